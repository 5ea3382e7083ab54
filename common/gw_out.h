
/*
 * A growing output: a piece of memory between last and end, and a function that
 * provides the next piece.  The piece may be a buffer of a chain, so that the
 * output consists of several buffers, or a single block that is moved when it
 * grows: gw_out_block_t, with an allocator.  After a failure nothing more is
 * written and "failed" is set, so one test at the end is enough.
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


/* a single block, which doubles when it is full, up to max bytes */

typedef struct {
    gw_out_t    out;
    uint8_t    *start;
    size_t      max;

    /* allocates size bytes and copies the used ones of old; NULL: no memory */
    void     *(*grow)(void *ctx, void *old, size_t used, size_t size);
    void       *ctx;
} gw_out_block_t;


/* starts with no memory; the caller frees block->start when it is done */
void gw_out_block_init(gw_out_block_t *block, size_t max,
    void *(*grow)(void *ctx, void *old, size_t used, size_t size), void *ctx);

#define gw_out_block_used(block)                                              \
    ((size_t) ((block)->out.last - (block)->start))


/* makes room for n bytes at out->last; -1: there is no memory */
int gw_out_room(gw_out_t *out, size_t n);

/* append bytes, a string without its NUL, and a decimal number */
void gw_out_put(gw_out_t *out, const void *data, size_t len);
void gw_out_text(gw_out_t *out, const char *text);
void gw_out_uint(gw_out_t *out, uint64_t n);

/*
 * Writes n / 10^digits in full, without an exponent, with at least that many
 * digits after the point; if both are 0, without a point.  Up to 18 digits.
 */
void gw_out_decimal(gw_out_t *out, uint64_t n, unsigned digits,
    unsigned least);

/* escapes with a function of gw_text.h, and its factor */
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
