
/*
 * The key of a stored response: fields that cannot run into each other.
 */

#ifndef _AGG_CACHE_KEY_H_INCLUDED_
#define _AGG_CACHE_KEY_H_INCLUDED_


#include <sys/types.h>
#include <stddef.h>
#include <stdint.h>

#include "agg_cache_control.h"
#include "agg_header_names.h"


#pragma GCC visibility push(hidden)


#define AGG_CACHE_KEY_ARGS_MAX    1024
#define AGG_CACHE_VARY_MAX        16
#define AGG_CACHE_VARY_LEN_MAX    64


/* one value that a variant depends on, hashed: it may be a secret */

typedef struct {
    agg_cache_str_t   name;
    const u_char     *hash;     /* 32 bytes; NULL: the field is absent */
} agg_cache_vary_value_t;


/* the length of one field in a key */
#define agg_cache_field_length(len)  (sizeof(uint32_t) + (len))


/* appends a field at p, returns the end; the caller has the room */
u_char *agg_cache_field_write(u_char *p, const u_char *data, size_t len);

/*
 * How many arguments a query string (without "?") has; an empty string has
 * none.
 */
size_t agg_cache_args_count(const agg_cache_str_t *args);

/*
 * Splits args into list, which has room for agg_cache_args_count() entries,
 * and sorts it by the bytes of the names; arguments of one name keep their
 * order, which an application may depend on.
 */
void agg_cache_args_sort(const agg_cache_str_t *args, agg_cache_str_t *list,
    size_t n);

/* the sorted arguments as one field; they take args->len bytes at most */
u_char *agg_cache_args_write(u_char *p, const agg_cache_str_t *list, size_t n,
    size_t len);

/*
 * Adds the names of one Vary line to names, lower case, sorted, each once.
 * Names that skip lists as "a" NUL "b" NUL NUL are left out.
 * Returns the new number of names, or -1: "*", a name that is no token or is
 * too long, or more than AGG_CACHE_VARY_MAX of them.  The lower case copies
 * are put at *buf, which has line->len bytes at least and is moved on.
 */
int agg_cache_vary_add(agg_cache_str_t *names, int n,
    const agg_cache_str_t *line, const char *skip, u_char **buf);

/* the bytes that a variant's fields add to the key of its resource */
size_t agg_cache_variant_length(const agg_cache_vary_value_t *values,
    size_t n);
u_char *agg_cache_variant_write(u_char *p,
    const agg_cache_vary_value_t *values, size_t n);

/* 64 bits of FNV-1a with a final mix, for tables; not for keys */
uint64_t agg_cache_hash(u_char kind, const u_char *data, size_t len);


#pragma GCC visibility pop


#endif /* _AGG_CACHE_KEY_H_INCLUDED_ */
