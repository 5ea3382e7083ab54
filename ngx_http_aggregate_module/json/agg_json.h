
/*
 * JSON over pointer and length: validation, iteration, names, writing.
 *
 * Given:    bytes, never terminated, never read past their end; memory comes
 *           from the caller's agg_mem_t.
 * Promises: no tree, no recursion, no globals; nesting up to AGG_MAX_DEPTH;
 *           values are looked at where they lie and copied byte for byte.
 * Cost:     linear; validation by blocks of 64 bytes (agg_core.h), the rest 16
 *           bytes at a time (SSE2, else two 64-bit words).
 * Source:   RFC 8259 (JSON), RFC 3629 (UTF-8).
 */


#ifndef AGG_JSON_H_INCLUDED
#define AGG_JSON_H_INCLUDED


#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/types.h>


#pragma GCC visibility push(hidden)


#define AGG_MAX_DEPTH  128


typedef enum {
    AGG_OK = 0,
    AGG_AGAIN,
    AGG_INVALID,
    AGG_TOO_LARGE,
    AGG_NOMEM,
    AGG_NOT_FOUND
} agg_rc_e;


typedef enum {
    AGG_NONE = 0,
    AGG_NULL,
    AGG_TRUE,
    AGG_FALSE,
    AGG_NUMBER,
    AGG_STRING,
    AGG_ARRAY,
    AGG_OBJECT
} agg_kind_e;


/* the layout of ngx_str_t */

typedef struct {
    size_t            len;
    u_char           *data;
} agg_str_t;


/*
 * The caller's memory. alloc() returns NULL if there is none. grow() moves a
 * block, or NULL at first, to one of "size" bytes, and keeps its first "used"
 * bytes; it returns NULL if there is no memory, and the old block is unchanged.
 * With a size of 0 it frees the block and returns NULL.
 */

typedef struct {
    void             *(*alloc)(void *ctx, size_t size);
    void             *(*grow)(void *ctx, void *p, size_t used, size_t size);
    void             *ctx;
} agg_mem_t;


/* contiguous output that grows geometrically */

typedef struct {
    u_char           *start;
    u_char           *pos;
    u_char           *end;
    size_t            max;          /* most bytes it may hold */
    agg_mem_t        *mem;
} agg_buf_t;


/*
 * Texts that were learned from similar documents, such as those of one backend.
 * Several scans may share them at the same time. agg_patterns_create() returns
 * NULL if there is no memory.
 */

typedef struct agg_patterns_s  agg_patterns_t;

agg_patterns_t *agg_patterns_create(agg_mem_t *mem);


/* the state of a resumable scan; only the scanner uses these fields */

typedef struct {
    agg_patterns_t   *patterns;     /* NULL: none */
    size_t            offset;       /* bytes taken, or where the error is */
    uint64_t          kinds[2];     /* the containers, 1: an object */
    u_char            state;
    u_char            depth;        /* containers around, and how many of */
    u_char            base;         /* these are not the value's own */
    u_char            string;       /* the state to go back to in a string */
    u_char            more;         /* bytes of an escape, a character or a
                                       literal still to come */
    u_char            low;          /* bounds of the next byte of a character */
    u_char            high;
    u_char            failed;       /* after an error: the state before it */
    const char       *literal;      /* the rest of a literal */
} agg_scan_t;


/* an iterator over the members of an object or the elements of an array */

typedef struct {
    u_char           *pos;
    u_char           *end;
    agg_kind_e        kind;         /* the container's kind */
    agg_str_t         name;         /* raw, between its quotes */
    agg_str_t         value;        /* raw, trimmed */
} agg_iter_t;


/*
 * Validates a document: one value, with white space around it.  Returns AGG_OK,
 * or AGG_INVALID with *offset (which may be NULL) as the offset of the first
 * byte that is not allowed, or len if bytes are missing.  Lone surrogate
 * escapes are valid, raw control characters are not.
 */

agg_rc_e agg_json_validate(const u_char *data, size_t len, size_t *offset);


/*
 * The same for a document in pieces of any size. agg_scan_push() returns AGG_OK
 * to continue; AGG_INVALID is final. agg_scan_finish() returns AGG_OK if the
 * document is complete, else AGG_INVALID. s->offset is the number of accepted
 * bytes, or the offset of the error.
 */

void agg_scan_init(agg_scan_t *s);
agg_rc_e agg_scan_push(agg_scan_t *s, const u_char *data, size_t len);
agg_rc_e agg_scan_finish(agg_scan_t *s);


/* by the first byte, without leading white space; AGG_NONE: it is empty */

agg_kind_e agg_json_kind(const agg_str_t *value);


/* the position after the value at p, which must be before the end */

const u_char *agg_json_skip(const u_char *p, const u_char *end);


/* removes insignificant white space at both ends */

void agg_json_trim(agg_str_t *v);


/*
 * Iterates over a valid document. agg_iter_next() returns 1 with name and value
 * set; 0 at the end, or if the value is not a container.
 */

void agg_iter_init(agg_iter_t *it, const agg_str_t *value);
int agg_iter_next(agg_iter_t *it);


/*
 * Compares decoded names: "\u0061" equals "a", and a lone surrogate equals only
 * itself.  "raw" is the text between the quotes of a valid string.
 */

int agg_json_name_equal(const agg_str_t *raw, const agg_str_t *decoded);
int agg_json_names_equal(const agg_str_t *raw1, const agg_str_t *raw2);
uint32_t agg_json_name_hash(const agg_str_t *raw, uint32_t seed);


/*
 * Decodes the text between the quotes of a valid string to dst, which needs at
 * most raw->len bytes and may be raw->data.  Returns the number of bytes, or -1
 * if there is a lone surrogate.  The second function writes such a surrogate as
 * three bytes, which are not valid UTF-8.
 */

ssize_t agg_json_unescape(u_char *dst, const agg_str_t *raw);
size_t agg_json_unescape_any(u_char *dst, const agg_str_t *raw);


/*
 * Appends any bytes as a JSON string, with its quotes and the shortest escapes;
 * invalid UTF-8 becomes U+FFFD. agg_json_escaped_length() is the length of the
 * result.
 */

agg_rc_e agg_json_escape(agg_buf_t *b, const u_char *data, size_t len);
size_t agg_json_escaped_length(const u_char *data, size_t len);

/* whether the bytes are UTF-8 by RFC 3629, without surrogates */

int agg_utf8_valid(const u_char *p, size_t len);


/*
 * agg_buf_reserve() makes room for n more bytes; AGG_TOO_LARGE: over b->max;
 * AGG_NOMEM.  After an error the buffer is unchanged.
 */

void agg_buf_init(agg_buf_t *b, agg_mem_t *mem, size_t max);
agg_rc_e agg_buf_reserve(agg_buf_t *b, size_t n);


static inline size_t
agg_buf_used(const agg_buf_t *b)
{
    return (size_t) (b->pos - b->start);
}


static inline agg_rc_e
agg_buf_append(agg_buf_t *b, const void *p, size_t n)
{
    agg_rc_e  rc;

    if ((size_t) (b->end - b->pos) < n) {
        rc = agg_buf_reserve(b, n);
        if (rc != AGG_OK) {
            return rc;
        }
    }

    if (n != 0) {
        memcpy(b->pos, p, n);
        b->pos += n;
    }

    return AGG_OK;
}


#pragma GCC visibility pop


#endif /* AGG_JSON_H_INCLUDED */
