
/*
 * A parser for an HTTP/1 response that arrives in pieces from an untrusted
 * peer.  It extracts the status, Retry-After, whether the connection can be
 * kept alive, and the beginning of the body.  A header is limited to
 * AGG_HTTP_REPLY_HEADER bytes, a body to AGG_HTTP_REPLY_BODY.
 */


#ifndef AGG_HTTP_REPLY_H_INCLUDED
#define AGG_HTTP_REPLY_H_INCLUDED


#include <stddef.h>
#include <stdint.h>


#pragma GCC visibility push(hidden)


#define AGG_HTTP_REPLY_LINE    1024
#define AGG_HTTP_REPLY_HEADER  16384
#define AGG_HTTP_REPLY_BODY    (4 * 1024 * 1024)
#define AGG_HTTP_REPLY_KEPT    4096


typedef enum {
    AGG_HTTP_REPLY_MORE = 0,
    AGG_HTTP_REPLY_DONE,
    AGG_HTTP_REPLY_INVALID,
    AGG_HTTP_REPLY_TOO_LARGE
} agg_http_reply_e;


typedef struct {
    unsigned  state;
    unsigned  status;
    unsigned  chunked:1;
    unsigned  sized:1;             /* left is its length, or a chunk's */
    unsigned  close:1;
    unsigned  long_line:1;
    uint64_t  left;
    uint64_t  total;
    size_t    header;
    size_t    nline;
    size_t    nkept;
    size_t    nretry_after;
    uint8_t   line[AGG_HTTP_REPLY_LINE];
    uint8_t   retry_after[64];     /* as it came */
    uint8_t   kept[AGG_HTTP_REPLY_KEPT];
} agg_http_reply_t;


/* takes no memory */
void agg_http_reply_init(agg_http_reply_t *reply);

/* after DONE, the rest of the data is ignored */
agg_http_reply_e agg_http_reply_push(agg_http_reply_t *reply,
    const uint8_t *data, size_t len);

/* the peer has closed the connection */
agg_http_reply_e agg_http_reply_eof(agg_http_reply_t *reply);


#pragma GCC visibility pop


#endif /* AGG_HTTP_REPLY_H_INCLUDED */
