
/*
 * Trace contexts: W3C Trace Context, level 2 (a higher version is read as
 * version 00), and B3 in a single header or in several; ids, and sampling by
 * ratio.
 *
 * Ids are made by xoshiro256** (Blackman and Vigna, 2018), a generator that
 * each worker seeds once.  Ids are not secret: from enough of them the next
 * ones can be computed.  Whether a trace is sampled at N per cent is decided by
 * the last seven bytes of its id, which level 2 requires to be random, so all
 * nodes decide alike.
 */


#ifndef AGG_TRACE_H_INCLUDED
#define AGG_TRACE_H_INCLUDED


#include <stddef.h>
#include <stdint.h>


#pragma GCC visibility push(hidden)


#define AGG_TRACE_SAMPLED      0x01
#define AGG_TRACE_RANDOM       0x02

#define AGG_TRACE_PARENT_LEN   55
#define AGG_TRACE_B3_LEN       (32 + 1 + 16 + 2)
#define AGG_TRACE_STATE_MAX    32      /* members */

/* "N%" in hundredths of a per cent */
#define AGG_TRACE_ALL          10000


typedef struct {
    uint8_t   trace_id[16];
    uint8_t   span_id[8];
    uint8_t   flags;
    unsigned  decided:1;               /* flags say whether it is sampled */
    unsigned  debug:1;                 /* sampled, and marked so by B3 */
} agg_trace_context_t;


typedef struct {
    uint64_t  s[4];
} agg_trace_random_t;


/* seed: 32 bytes */
void agg_trace_random_init(agg_trace_random_t *random, const uint8_t *seed);
uint64_t agg_trace_random(agg_trace_random_t *random);

/* makes ids that are not zero */
void agg_trace_make_ids(agg_trace_random_t *random, uint8_t *trace_id,
    uint8_t *span_id, uint8_t *other);
void agg_trace_make_span(agg_trace_random_t *random, uint8_t *span_id);

/* 1: the trace is sampled at "ratio" of AGG_TRACE_ALL */
int agg_trace_ratio(const uint8_t *trace_id, uint32_t ratio);

/*
 * "100%", "5%", "0.01%", "1", "0", "on", "off" as hundredths of a per cent; -1:
 * invalid
 */
int32_t agg_trace_parse_ratio(const uint8_t *p, size_t len);


/*
 * These return 0, or -1 if the context is invalid.  B3 may tell whether to
 * sample without any ids: 1, and only "flags", "decided" and "debug" are set.
 */

int agg_trace_parse(agg_trace_context_t *context, const uint8_t *p,
    size_t len);
int agg_trace_parse_b3(agg_trace_context_t *context, const uint8_t *p,
    size_t len);

/* the fields of B3 that have separate headers; NULL: the header is missing */
int agg_trace_parse_b3multi(agg_trace_context_t *context,
    const uint8_t *trace_id, size_t trace_len, const uint8_t *span_id,
    size_t span_len, const uint8_t *sampled, size_t sampled_len,
    const uint8_t *flags, size_t flags_len);


/* write exactly AGG_TRACE_PARENT_LEN and AGG_TRACE_B3_LEN bytes */
void agg_trace_write(uint8_t *dst, const agg_trace_context_t *context);
void agg_trace_write_b3(uint8_t *dst, const agg_trace_context_t *context);

/* writes 2 * len hexadecimal digits in lower case, and returns their end */
uint8_t *agg_trace_hex(uint8_t *dst, const uint8_t *src, size_t len);


/*
 * Appends the members of one of possibly several "tracestate" headers, without
 * empty members, to dst, which has room for len + 1 more bytes.  *members is
 * their number so far; -1: the header is malformed, or there are more members
 * than AGG_TRACE_STATE_MAX.
 */
int agg_trace_state(uint8_t *dst, size_t *used, unsigned *members,
    const uint8_t *p, size_t len);


#pragma GCC visibility pop


#endif /* AGG_TRACE_H_INCLUDED */
