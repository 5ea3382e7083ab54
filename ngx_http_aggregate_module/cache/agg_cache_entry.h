
/*
 * The form in which a response is kept, in shared memory and in Redis.
 */

#ifndef _AGG_CACHE_ENTRY_H_INCLUDED_
#define _AGG_CACHE_ENTRY_H_INCLUDED_


#include <sys/types.h>
#include <stddef.h>
#include <stdint.h>

#include "agg_cache_key.h"
#include "agg_cache_policy.h"


#pragma GCC visibility push(hidden)


#define AGG_CACHE_ENTRY_VERSION    2
#define AGG_CACHE_ENTRY_HEADER     112
#define AGG_CACHE_ENTRY_KEY_MAX    65536
#define AGG_CACHE_ENTRY_TAGS_MAX   8192
#define AGG_CACHE_ENTRY_LINES_MAX  65536

/* the names by which purges find a response: see agg_cache_entry_t, names */
#define AGG_CACHE_ENTRY_NAMES_MAX  66

#define AGG_CACHE_ENTRY_STEADY     16

/* agg_cache_entry_t, seq: another node stored it */
#define AGG_CACHE_ENTRY_FOREIGN    UINT64_MAX


/*
 * agg_cache_entry_t, kind.  VARY: no response, but the names of the request
 * fields by which the response is chosen, in "lines", one field each.
 */

#define AGG_CACHE_ENTRY_RESPONSE   1
#define AGG_CACHE_ENTRY_VARY       2


/* an event in a stream of purges, and which stream */

typedef struct {
    uint64_t               ms;
    uint64_t               seq;
} agg_cache_id_t;


typedef struct {
    uint64_t               epoch;
    agg_cache_id_t         id;
} agg_cache_place_t;


typedef struct {
    unsigned               kind;
    unsigned               status;

    agg_cache_freshness_t  freshness;

    /*
     * The last purge that was known before the response was asked for, in the
     * stream's order and in that of the node that keeps it.  written is the
     * freshness's origin by the clock of Redis, in milliseconds, 0: unknown;
     * since is the same by a clock of the node that is never set, in units of
     * 1/AGG_CACHE_ENTRY_STEADY seconds.
     */

    agg_cache_place_t      born;
    uint64_t               seq;
    int64_t                written;
    uint32_t               since;

    agg_cache_str_t        key;
    agg_cache_str_t        tags;      /* blank-separated */
    agg_cache_str_t        lines;     /* the header: name, value, name, .. */
    agg_cache_str_t        names;     /* see agg_cache_entry_name() */
    agg_cache_str_t        body;
} agg_cache_entry_t;


/* the bytes of an entry that a script in Redis compares, counted from 1 */
#define AGG_CACHE_ENTRY_SEEN_FROM  17
#define AGG_CACHE_ENTRY_SEEN_TO    112


/* the length of the whole; 0: a part is over its limit */
size_t agg_cache_entry_length(const agg_cache_entry_t *entry);

/*
 * Writes all but the body, which the caller puts after the end returned.
 * agg_cache_entry_seal() then makes the sum of the whole of len bytes.
 */
u_char *agg_cache_entry_write(u_char *p, const agg_cache_entry_t *entry);
void agg_cache_entry_seal(u_char *data, size_t len);

/*
 * Reads an entry of len bytes; the strings point into data.  With verify the
 * sum is checked, and each header line: what came from outside is not
 * trusted.  Returns 0, or -1: this is no entry.
 */
int agg_cache_entry_read(agg_cache_entry_t *entry, const u_char *data,
    size_t len, int verify);

/* the length of the part before the body, of the first bytes; 0: no entry */
size_t agg_cache_entry_body_offset(const u_char *data, size_t len);

/*
 * Walks the header lines: *p is the position, starting at lines.data.
 * Returns 1 with a line, 0 at the end, -1 at a line that is broken.
 */
int agg_cache_entry_line(const agg_cache_entry_t *entry, const u_char **p,
    agg_cache_str_t *name, agg_cache_str_t *value);

/*
 * The names are hashes of eight bytes each: first the URI and the URI before
 * a rewrite, then the prefixes of both.  Returns name i, 0: there is none.
 */
u_char *agg_cache_entry_put_name(u_char *p, uint64_t hash);
uint64_t agg_cache_entry_name(const agg_cache_entry_t *entry, size_t i);

/* turns an entry that came from Redis into one of this node */
void agg_cache_entry_adopt(u_char *data, int64_t origin, uint32_t since);

/*
 * Corrects the origin after the wall clock, which is at now, has been set
 * back; steady is the other clock.
 */
void agg_cache_entry_steady(agg_cache_entry_t *entry, int64_t now,
    uint32_t steady);

/* a checksum against accidents, which does not stop an attacker */
uint64_t agg_cache_sum(const u_char *data, size_t len);

/* -1, 0, 1 */
int agg_cache_id_compare(const agg_cache_id_t *one,
    const agg_cache_id_t *two);


#pragma GCC visibility pop


#endif /* _AGG_CACHE_ENTRY_H_INCLUDED_ */
