
/*
 * Paths: a subset of jq's.
 *
 *   path = "." | ["."] first *next
 *   first = key | "*" | index       next = "." key | ".*" | ["."] index
 *   key = 1*[A-Za-z0-9_$@-] | a JSON string
 *   index = "[]" | "[" ["-"] digits "]"
 *
 * JSONPath's spellings ("$.a", "$[0]", "@.a", "..", "[*]", "['a']") would name
 * something else here, or nothing, and a shape that hides a member would then
 * expose it.  They are refused, and the error names the path that is meant.
 * The key "$" at the beginning of a path is written in quotes.
 *
 * A path is immutable once parsed and may be shared.
 */


#ifndef AGG_PATH_H_INCLUDED
#define AGG_PATH_H_INCLUDED


#include "agg_json.h"


#pragma GCC visibility push(hidden)


#define AGG_PATH_MAX_STEPS    32
#define AGG_PATH_MAX_NAME     1024      /* bytes of a decoded key */

#define AGG_PATH_NO_WILDCARD  0x01      /* neither [] nor .* */
#define AGG_PATH_ROOT_OK      0x02      /* "." names the document */
#define AGG_PATH_EMPTY_OK     0x04      /* and so does an empty path */


typedef enum {
    AGG_STEP_KEY = 0,
    AGG_STEP_ANY,                       /* .*: every member */
    AGG_STEP_INDEX,
    AGG_STEP_EACH                       /* []: every element */
} agg_step_e;


typedef struct {
    agg_step_e        type;
    long              index;            /* from the end when negative */
    agg_str_t         name;             /* decoded */
} agg_step_t;


typedef struct {
    unsigned          nsteps;           /* 0: the document */
    unsigned          wildcard;         /* has [] or .* */
    unsigned          negative;         /* has an index from the end */
    agg_step_t       *steps;
    agg_str_t         text;             /* as it was given */
} agg_path_t;


/*
 * An error, with its offset in the path.  The text is static or in "buf", so an
 * error must not be copied.
 */

#define AGG_ERROR_TEXT        160

typedef struct {
    size_t            offset;
    const char       *text;
    char              buf[AGG_ERROR_TEXT];
} agg_error_t;


/*
 * Returns NULL with *err set if the text is not a path, or if there is no
 * memory.  The path and all that it refers to are allocated from mem.
 */

agg_path_t *agg_path_parse(agg_mem_t *mem, const agg_str_t *text,
    unsigned flags, agg_error_t *err);


/*
 * The raw value at a path without wildcards in a valid document; the last
 * one of duplicate members is used.  AGG_OK or AGG_NOT_FOUND.
 */

agg_rc_e agg_path_get(const agg_path_t *path, const agg_str_t *doc,
    agg_str_t *value);


#pragma GCC visibility pop


#endif /* AGG_PATH_H_INCLUDED */
