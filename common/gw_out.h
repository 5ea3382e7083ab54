
/*
 * An output that grows: a piece of memory that is written from last to end,
 * and a function that gives the next one.  The piece may be a buffer of a
 * chain, in which case the output lies in several buffers, or one block that
 * is moved as it grows; gw_out_block_t is the latter, over an allocator.
 *
 * After the first failure nothing is written any more, and "failed" is set,
 * so one test at the end is enough.
 */


#ifndef _GW_OUT_H_INCLUDED_
#define _GW_OUT_H_INCLUDED_


#include <stddef.h>
#include <stdint.h>

#include "gw_text.h"


#pragma GCC visibility push(hidden)


typedef struct gw_out_s  gw_out_t;

struct gw_out_s {
    uint8_t    *last;
    uint8_t    *end;
    unsigned    failed;

    /*
     * Makes room for n bytes between last and end; whatever is before last
     * stays part of the output.  0, or -1: there is no memory.
     */
    int       (*more)(gw_out_t *out, size_t n);
    void       *ctx;
};


/* in one block; grows by doubling, up to max bytes */

typedef struct {
    gw_out_t    out;
    uint8_t    *start;
    size_t      max;

    /* allocates size bytes and copies the used ones of old; NULL: no memory */
    void     *(*grow)(void *ctx, void *old, size_t used, size_t size);
    void       *ctx;
} gw_out_block_t;


void gw_out_block_init(gw_out_block_t *block, size_t max,
    void *(*grow)(void *ctx, void *old, size_t used, size_t size), void *ctx);

#define gw_out_block_used(block)                                              \
    ((size_t) ((block)->out.last - (block)->start))


/* room for n bytes at out->last: 0, or -1 */
int gw_out_room(gw_out_t *out, size_t n);

void gw_out_put(gw_out_t *out, const void *data, size_t len);
void gw_out_text(gw_out_t *out, const char *text);
void gw_out_uint(gw_out_t *out, uint64_t n);

/*
 * n / 10^digits in full, without an exponent; at least so many digits stand
 * after the point, none and no point where both are 0.  Up to 18 digits.
 */
void gw_out_decimal(gw_out_t *out, uint64_t n, unsigned digits,
    unsigned least);

/* with one of the escapes of gw_text.h and its factor */
void gw_out_escape(gw_out_t *out, gw_escape_pt escape, size_t factor,
    const uint8_t *data, size_t len);

#define gw_out_json(out, data, len)                                           \
    gw_out_escape(out, gw_escape_json, GW_JSON, data, len)
#define gw_out_html(out, data, len)                                           \
    gw_out_escape(out, gw_escape_html, GW_HTML, data, len)
#define gw_out_label(out, data, len)                                          \
    gw_out_escape(out, gw_escape_label, GW_LABEL, data, len)


#pragma GCC visibility pop


#endif /* _GW_OUT_H_INCLUDED_ */
