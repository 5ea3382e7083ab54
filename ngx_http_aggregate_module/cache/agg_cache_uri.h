
/*
 * One name for all spellings of a URI.
 */

#ifndef _AGG_CACHE_URI_H_INCLUDED_
#define _AGG_CACHE_URI_H_INCLUDED_


#include <sys/types.h>
#include <stddef.h>
#include <stdint.h>

#include "agg_cache_key.h"


#pragma GCC visibility push(hidden)


/*
 * Splits at the first "?" and drops a fragment.  path and args point into
 * the URI of len bytes; args is empty where there are none.
 */
void agg_cache_uri_split(const u_char *uri, size_t len,
    agg_cache_str_t *path, agg_cache_str_t *args);

/*
 * Makes of a path as a client sends it the path that nginx looks up: escapes
 * are decoded, "." and ".." resolved and, with merge, adjacent slashes made
 * one.  Writes at most len bytes, at least one.  Returns the length, or -1:
 * the path does not begin with "/", or leads out of the root.
 */
ssize_t agg_cache_uri_path(u_char *dst, const u_char *src, size_t len,
    int merge);

/* decodes escapes, and leaves alone what is none; returns the length */
size_t agg_cache_uri_unescape(u_char *dst, const u_char *src, size_t len);


#pragma GCC visibility pop


#endif /* _AGG_CACHE_URI_H_INCLUDED_ */
