
/*
 * Values from text: what stands in a JSON string or as a number, in the key of
 * a map, in a parameter of a query.
 *
 * The bits of a scalar are those of an int64_t for all signed types and enums,
 * a double's or a float's own, 0 or 1 of a bool.
 */


#ifndef AGG_PB_TEXT_H_INCLUDED
#define AGG_PB_TEXT_H_INCLUDED


#include "agg_pb_writer.h"


#pragma GCC visibility push(hidden)


/* a number at p for a field of this type; where it ends, or NULL */

const u_char *agg_pb_text_number(const agg_pb_field_t *f, const u_char *p,
    const u_char *end, uint64_t *bits);

/* a whole text: a number, or NaN and the infinities: 0, or -1 */

int agg_pb_text_quoted(const agg_pb_field_t *f, const u_char *p, size_t len,
    uint64_t *bits);

/* "true" or "false": 0, or -1 */

int agg_pb_text_bool(const u_char *p, size_t len, uint64_t *bits);


int agg_pb_text_timestamp(const u_char *p, size_t len, int64_t *seconds,
    int32_t *nanos);
int agg_pb_text_duration(const u_char *p, size_t len, int64_t *seconds,
    int32_t *nanos);


/*
 * Appends the content of the message m, a Timestamp, Duration or FieldMask, as
 * its text says.  AGG_OK, AGG_INVALID, AGG_TOO_LARGE, AGG_NOMEM.
 */

agg_rc_e agg_pb_text_message(agg_pb_writer_t *w, const agg_pb_message_t *m,
    const u_char *p, size_t len);


/* "an int32": what a text is not */

const char *agg_pb_text_kind(const agg_pb_field_t *f);


#pragma GCC visibility pop


#endif /* AGG_PB_TEXT_H_INCLUDED */
