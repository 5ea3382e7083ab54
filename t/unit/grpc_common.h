
/* for the tests of the codec: the schema of t/data/grpc, and a loaded pool */


#ifndef GRPC_COMMON_H_INCLUDED
#define GRPC_COMMON_H_INCLUDED


#include "agg_pb_bind.h"
#include "agg_pb_status.h"
#include "agg_test.h"


#define KINDS  "test.kinds.Kinds"
#define OLD    "test.old.Old"


static agg_pb_pool_t  *pool maybe_unused;


static inline agg_str_t
read_set(const char *name)
{
    long        size;
    char        path[1000];
    FILE       *in;
    agg_str_t   s;

    /* beside this file, wherever the test runs */

    snprintf(path, sizeof(path), "%.*s../data/grpc/%s",
             (int) (strrchr(__FILE__, '/') + 1 - __FILE__), __FILE__, name);

    in = fopen(path, "rb");

    if (in == NULL || fseek(in, 0, SEEK_END) != 0 || (size = ftell(in)) <= 0
        || fseek(in, 0, SEEK_SET) != 0)
    {
        printf("cannot read %s\n", path);
        exit(1);
    }

    s.len = (size_t) size;
    s.data = malloc(s.len);

    if (s.data == NULL || fread(s.data, 1, s.len, in) != s.len) {
        exit(1);
    }

    fclose(in);

    return s;
}


/* on memory of its own, which is never freed */

static inline void *
kept_alloc(void *ctx, size_t size)
{
    (void) ctx;

    return malloc(size);
}


static inline void *
kept_grow(void *ctx, void *p, size_t used, size_t size)
{
    (void) ctx;
    (void) used;

    if (size == 0) {
        free(p);
        return NULL;
    }

    return realloc(p, size);
}


static inline void
load_kinds(void)
{
    size_t          which;
    agg_str_t       set;
    agg_pb_error_t  err;

    static agg_mem_t  kept = { kept_alloc, kept_grow, NULL };

    if (pool != NULL) {
        return;
    }

    set = read_set("kinds.pb");

    if (agg_pb_load(&pool, &kept, &set, 1, &err, &which) != AGG_OK) {
        printf("kinds.pb: %.*s\n", (int) err.len, err.text);
        exit(1);
    }
}


static inline const agg_pb_message_t *
message(const char *name)
{
    return agg_pb_find_message(pool, (const u_char *) name, strlen(name));
}


#endif /* GRPC_COMMON_H_INCLUDED */
