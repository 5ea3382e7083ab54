
/*
 * A key is a sequence of fields, each preceded by its length in four bytes.
 * A value cannot be read as the end of one field and the start of the next:
 * ("a:b", "c") and ("a", "b:c") differ.  The caller hashes the whole with
 * SHA-256, stores the key beside the response and compares it.
 *
 * Arguments are sorted by name, since clients send them in any order; the
 * sort is stable, in place and n log n.  A query with more than
 * AGG_CACHE_KEY_ARGS_MAX of them is kept as it came: the same text still has
 * the same key, and no client can buy a long sort.
 *
 * The values a response varies on are put in as hashes, as the key is kept
 * in shared memory and in Redis and they may hold credentials.
 */


#include <stdlib.h>
#include <string.h>

#include "agg_cache_key.h"


static int agg_cache_args_compare(const void *one, const void *two);
static size_t agg_cache_arg_name(const agg_cache_str_t *arg);
static int agg_cache_vary_skip(const u_char *data, size_t len,
    const char *skip);
static int agg_cache_vary_insert(agg_cache_str_t *names, int n,
    const u_char *data, size_t len);


u_char *
agg_cache_field_write(u_char *p, const u_char *data, size_t len)
{
    *p++ = (u_char) (len >> 24);
    *p++ = (u_char) (len >> 16);
    *p++ = (u_char) (len >> 8);
    *p++ = (u_char) len;

    if (len) {
        memcpy(p, data, len);
    }

    return p + len;
}


size_t
agg_cache_args_count(const agg_cache_str_t *args)
{
    size_t  i, n;

    if (args->len == 0) {
        return 0;
    }

    n = 1;

    for (i = 0; i < args->len; i++) {
        if (args->data[i] == '&') {
            n++;
        }
    }

    return n > AGG_CACHE_KEY_ARGS_MAX ? 1 : n;
}


void
agg_cache_args_sort(const agg_cache_str_t *args, agg_cache_str_t *list,
    size_t n)
{
    size_t         i;
    const u_char  *p, *last, *end;

    p = args->data;
    end = p + args->len;

    for (i = 0; i < n; i++) {

        last = (i + 1 < n) ? memchr(p, '&', (size_t) (end - p)) : end;

        list[i].data = p;
        list[i].len = (size_t) (last - p);

        p = last + 1;
    }

    if (n > 1) {
        qsort(list, n, sizeof(agg_cache_str_t), agg_cache_args_compare);
    }
}


static int
agg_cache_args_compare(const void *one, const void *two)
{
    int                     rc;
    size_t                  len1, len2;
    const agg_cache_str_t  *arg1, *arg2;

    arg1 = one;
    arg2 = two;

    len1 = agg_cache_arg_name(arg1);
    len2 = agg_cache_arg_name(arg2);

    rc = memcmp(arg1->data, arg2->data, len1 < len2 ? len1 : len2);

    if (rc != 0) {
        return rc;
    }

    if (len1 != len2) {
        return len1 < len2 ? -1 : 1;
    }

    /* both are of one string, so the address tells which came first */

    return arg1->data < arg2->data ? -1 : 1;
}


static size_t
agg_cache_arg_name(const agg_cache_str_t *arg)
{
    const u_char  *p;

    p = arg->len ? memchr(arg->data, '=', arg->len) : NULL;

    return (p == NULL) ? arg->len : (size_t) (p - arg->data);
}


u_char *
agg_cache_args_write(u_char *p, const agg_cache_str_t *list, size_t n,
    size_t len)
{
    size_t  i;

    p = agg_cache_field_write(p, NULL, 0);

    p[-4] = (u_char) (len >> 24);
    p[-3] = (u_char) (len >> 16);
    p[-2] = (u_char) (len >> 8);
    p[-1] = (u_char) len;

    for (i = 0; i < n; i++) {

        if (i) {
            *p++ = '&';
        }

        memcpy(p, list[i].data, list[i].len);
        p += list[i].len;
    }

    return p;
}


int
agg_cache_vary_add(agg_cache_str_t *names, int n, const agg_cache_str_t *line,
    const char *skip, u_char **buf)
{
    size_t         i, len;
    u_char         c, *name;
    const u_char  *p, *end;

    p = line->data;
    end = p + line->len;

    while (p < end) {

        if (*p == ' ' || *p == '\t' || *p == ',') {
            p++;
            continue;
        }

        name = *buf;

        for (len = 0; p + len < end; len++) {
            c = p[len];

            if (c == ' ' || c == '\t' || c == ',') {
                break;
            }

            if (!agg_is_token(c) || len == AGG_CACHE_VARY_LEN_MAX) {
                return -1;
            }
        }

        if (len == 1 && *p == '*') {
            return -1;
        }

        for (i = 0; i < len; i++) {
            c = p[i];
            name[i] = (c >= 'A' && c <= 'Z') ? (u_char) (c | 0x20) : c;
        }

        p += len;

        /* names are separated by a comma and by nothing else */

        while (p < end && (*p == ' ' || *p == '\t')) {
            p++;
        }

        if (p < end && *p != ',') {
            return -1;
        }

        if (agg_cache_vary_skip(name, len, skip)) {
            continue;
        }

        n = agg_cache_vary_insert(names, n, name, len);

        if (n < 0) {
            return -1;
        }

        *buf = name + len;
    }

    return n;
}


static int
agg_cache_vary_skip(const u_char *data, size_t len, const char *skip)
{
    size_t  n;

    if (skip == NULL) {
        return 0;
    }

    for ( /* void */ ; *skip; skip += n + 1) {
        n = strlen(skip);

        if (n == len && memcmp(skip, data, n) == 0) {
            return 1;
        }
    }

    return 0;
}


static int
agg_cache_vary_insert(agg_cache_str_t *names, int n, const u_char *data,
    size_t len)
{
    int  i, rc;

    for (i = 0; i < n; i++) {

        rc = memcmp(names[i].data, data,
                    names[i].len < len ? names[i].len : len);

        if (rc == 0 && names[i].len == len) {
            return n;
        }

        if (rc > 0 || (rc == 0 && names[i].len > len)) {
            break;
        }
    }

    if (n == AGG_CACHE_VARY_MAX) {
        return -1;
    }

    memmove(&names[i + 1], &names[i],
            (size_t) (n - i) * sizeof(agg_cache_str_t));

    names[i].data = data;
    names[i].len = len;

    return n + 1;
}


size_t
agg_cache_variant_length(const agg_cache_vary_value_t *values, size_t n)
{
    size_t  i, len;

    len = 0;

    for (i = 0; i < n; i++) {
        len += agg_cache_field_length(values[i].name.len);
        len += agg_cache_field_length(values[i].hash ? 32 : 0);
    }

    return len;
}


u_char *
agg_cache_variant_write(u_char *p, const agg_cache_vary_value_t *values,
    size_t n)
{
    size_t  i;

    for (i = 0; i < n; i++) {
        p = agg_cache_field_write(p, values[i].name.data, values[i].name.len);
        p = agg_cache_field_write(p, values[i].hash, values[i].hash ? 32 : 0);
    }

    return p;
}


uint64_t
agg_cache_hash(u_char kind, const u_char *data, size_t len)
{
    size_t    i;
    uint64_t  hash;

    hash = (0xcbf29ce484222325ULL ^ kind) * 0x100000001b3ULL;

    for (i = 0; i < len; i++) {
        hash = (hash ^ data[i]) * 0x100000001b3ULL;
    }

    hash ^= hash >> 32;
    hash *= 0xd6e8feb86659fd93ULL;
    hash ^= hash >> 32;

    return hash ? hash : 1;
}
