
/*
 * An encoder for spans in OTLP, as protobuf or JSON.  It writes the messages of
 * opentelemetry-proto 1.x that a trace needs, each in one pass.  Strings may
 * contain any bytes: invalid UTF-8 becomes U+FFFD, and values are cut at
 * AGG_OTLP_VALUE bytes.
 *
 * A batch is a head, the spans as written by agg_otlp_span() (in JSON separated
 * by commas), and a tail.
 */


#ifndef AGG_OTLP_H_INCLUDED
#define AGG_OTLP_H_INCLUDED


#include "gw_out.h"


#pragma GCC visibility push(hidden)


#define AGG_OTLP_VALUE   1024


typedef enum {
    AGG_OTLP_INTERNAL = 1,
    AGG_OTLP_SERVER,
    AGG_OTLP_CLIENT
} agg_otlp_kind_e;


typedef enum {
    AGG_OTLP_STRING = 0,
    AGG_OTLP_INT,
    AGG_OTLP_BOOL,
    AGG_OTLP_CONSTANT
} agg_otlp_type_e;


/*
 * A key that is known beforehand, in its protobuf encoding, and copied as a
 * whole.  AGG_OTLP_KEY("name") initializes it.
 */

#define AGG_OTLP_KEY_TEXT  30

typedef struct {
    uint8_t                 tag;
    uint8_t                 len;
    char                    text[AGG_OTLP_KEY_TEXT];
} agg_otlp_key_t;

#define AGG_OTLP_KEY(name)  { 0x0a, (uint8_t) (sizeof(name) - 1), name }


/*
 * A known key with a short ASCII string, encoded beforehand and copied as a
 * whole.  An attribute of type AGG_OTLP_CONSTANT refers to it by its data and
 * length.
 */

#define AGG_OTLP_CONSTANT_TEXT  47

typedef struct {
    uint8_t                 len;
    uint8_t                 text[AGG_OTLP_CONSTANT_TEXT];
} agg_otlp_constant_t;


typedef struct {
    const agg_otlp_key_t   *known;     /* NULL: the key is any text */
    const uint8_t          *key;
    size_t                  key_len;
    agg_otlp_type_e         type;
    const uint8_t          *data;      /* a string's bytes */
    size_t                  len;
    int64_t                 number;
} agg_otlp_attr_t;


typedef struct {
    uint64_t                time;      /* nanoseconds since the epoch */
    const char             *name;
    const agg_otlp_attr_t  *attrs;
    unsigned                nattrs;
} agg_otlp_event_t;


typedef struct {
    uint8_t                 trace_id[16];
    uint8_t                 span_id[8];
    uint8_t                 flags;
} agg_otlp_link_t;


typedef struct {
    const uint8_t          *trace_id;
    const uint8_t          *span_id;
    const uint8_t          *parent_id;     /* NULL: a root */
    const uint8_t          *state;
    size_t                  state_len;
    const uint8_t          *name;
    size_t                  name_len;
    agg_otlp_kind_e         kind;
    uint64_t                start;         /* nanoseconds since the epoch */
    uint64_t                end;
    const agg_otlp_attr_t  *attrs;
    unsigned                nattrs;
    const agg_otlp_event_t *events;
    unsigned                nevents;
    const agg_otlp_link_t  *link;          /* NULL: none */
    uint8_t                 flags;
    unsigned                remote:1;      /* the parent is of elsewhere */
    unsigned                error:1;
} agg_otlp_span_t;


/* 0; -1: key and value are too long together */
int agg_otlp_constant(agg_otlp_constant_t *constant,
    const agg_otlp_key_t *key, const char *value);

/* appends the span to out, whose block may move */
void agg_otlp_span(gw_out_block_t *out, int json,
    const agg_otlp_span_t *span);

/* "size" is that of all spans of the batch, including the commas of JSON */
void agg_otlp_head(gw_out_block_t *out, int json,
    const agg_otlp_attr_t *resource, unsigned n, const char *version,
    size_t size);
void agg_otlp_tail(gw_out_block_t *out, int json);

/*
 * The collector's answer to a batch: how many spans it rejected, and why; 0
 * for anything that does not say so.  *message is a part of the body.
 */
uint64_t agg_otlp_rejected(int json, const uint8_t *p, size_t len,
    const uint8_t **message, size_t *message_len);


#pragma GCC visibility pop


#endif /* AGG_OTLP_H_INCLUDED */
