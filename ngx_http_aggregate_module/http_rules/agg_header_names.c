
/*
 * See agg_header_names.h.  The table is sorted by the length of the names, and
 * a name is compared only with the few of the same length.
 */

#include <string.h>

#include "agg_header_names.h"


#define AGG_HEADER_MAX      25         /* the longest name */

/* the flags of all hop-by-hop fields, and of all conditions */

#define AGG_HEADER_ANY_HOP                                                    \
    (AGG_HEADER_HOP|AGG_HEADER_NO_FORWARD|AGG_HEADER_NO_COPY                  \
     |AGG_HEADER_NO_PASS|AGG_HEADER_NO_STORE)

#define AGG_HEADER_ANY_IF                                                     \
    (AGG_HEADER_NO_FORWARD|AGG_HEADER_NO_FILL|AGG_HEADER_NO_COPY)


typedef struct {
    const char  *name;
    unsigned     flags;
} agg_header_name_t;


static int agg_header_equal(const u_char *name, const char *known,
    size_t len);


static const agg_header_name_t  agg_header_names[] = {
    { "te", AGG_HEADER_ANY_HOP|AGG_HEADER_NO_SET },
    { "age", AGG_HEADER_NO_PASS|AGG_HEADER_NO_STORE },
    { "date", AGG_HEADER_NO_PASS|AGG_HEADER_NO_STORE },
    { "host", AGG_HEADER_NO_SET },
    { "vary", AGG_HEADER_NO_PASS },
    { "range", AGG_HEADER_NO_FORWARD|AGG_HEADER_NO_FILL
      |AGG_HEADER_NO_COPY|AGG_HEADER_NO_SHAPE },
    { "expect", AGG_HEADER_NO_FORWARD|AGG_HEADER_NO_SET
      |AGG_HEADER_NO_COPY },
    { "server", AGG_HEADER_NO_PASS },
    { "x-host", AGG_HEADER_NO_FILL },
    { "expires", AGG_HEADER_NO_PASS },
    { "trailer", AGG_HEADER_ANY_HOP|AGG_HEADER_NO_SET },
    { "upgrade", AGG_HEADER_ANY_HOP|AGG_HEADER_NO_SET },
    { "x-cache", AGG_HEADER_NO_PASS|AGG_HEADER_NO_STORE },
    { "if-range", AGG_HEADER_ANY_IF|AGG_HEADER_NO_SHAPE },
    { "forwarded", AGG_HEADER_NO_FILL },
    { "x-breaker", AGG_HEADER_NO_PASS|AGG_HEADER_NO_STORE },
    { "connection", AGG_HEADER_ANY_HOP|AGG_HEADER_NO_SET },
    { "keep-alive", AGG_HEADER_ANY_HOP|AGG_HEADER_NO_SET },
    { "set-cookie", AGG_HEADER_NO_PASS|AGG_HEADER_NO_STORE },
    { "set-cookie2", AGG_HEADER_NO_STORE },
    { "x-aggregate", AGG_HEADER_NO_PASS },
    { "cache-status", AGG_HEADER_NO_PASS|AGG_HEADER_NO_STORE },
    { "content-type", AGG_HEADER_NO_PASS|AGG_HEADER_NO_STORE },
    { "x-url-scheme", AGG_HEADER_KEYED },
    { "accept-ranges", AGG_HEADER_NO_PASS|AGG_HEADER_NO_STORE },
    { "cache-control", AGG_HEADER_NO_PASS },
    { "content-range", AGG_HEADER_NO_PASS },
    { "if-none-match", AGG_HEADER_ANY_IF|AGG_HEADER_NO_SHAPE
      |AGG_HEADER_CONDITION },
    { "server-timing", AGG_HEADER_NO_PASS|AGG_HEADER_NO_STORE },
    { "x-http-method", AGG_HEADER_NO_FILL },
    { "x-rewrite-url", AGG_HEADER_NO_FILL },
    { "content-length", AGG_HEADER_NO_SET|AGG_HEADER_NO_COPY
      |AGG_HEADER_NO_PASS|AGG_HEADER_NO_STORE },
    { "http2-settings", AGG_HEADER_ANY_HOP|AGG_HEADER_NO_SET },
    { "x-original-uri", AGG_HEADER_NO_FILL },
    { "x-original-url", AGG_HEADER_NO_FILL },
    { "accept-encoding", AGG_HEADER_NO_FORWARD|AGG_HEADER_NO_FILL
      |AGG_HEADER_NO_COPY|AGG_HEADER_NO_SHAPE },
    { "front-end-https", AGG_HEADER_KEYED },
    { "x-accel-charset", AGG_HEADER_NO_STORE },
    { "x-forwarded-ssl", AGG_HEADER_KEYED },
    { "x-forwarded-uri", AGG_HEADER_NO_FILL },
    { "x-original-host", AGG_HEADER_NO_FILL },
    { "content-encoding", AGG_HEADER_NO_PASS|AGG_HEADER_NO_STORE },
    { "proxy-connection", AGG_HEADER_ANY_HOP|AGG_HEADER_NO_SET },
    { "x-forwarded-host", AGG_HEADER_NO_FILL },
    { "x-forwarded-port", AGG_HEADER_KEYED },
    { "cdn-cache-control", AGG_HEADER_NO_STORE },
    { "if-modified-since", AGG_HEADER_ANY_IF|AGG_HEADER_NO_SHAPE
      |AGG_HEADER_CONDITION },
    { "transfer-encoding", AGG_HEADER_ANY_HOP|AGG_HEADER_NO_SET },
    { "x-forwarded-proto", AGG_HEADER_KEYED },
    { "x-method-override", AGG_HEADER_NO_FILL },
    { "proxy-authenticate", AGG_HEADER_ANY_HOP },
    { "x-forwarded-prefix", AGG_HEADER_KEYED },
    { "x-forwarded-scheme", AGG_HEADER_KEYED },
    { "x-forwarded-server", AGG_HEADER_NO_FILL },
    { "proxy-authorization", AGG_HEADER_ANY_HOP },
    { "x-forwarded-protocol", AGG_HEADER_KEYED },
    { "x-http-host-override", AGG_HEADER_NO_FILL },
    { "x-http-method-override", AGG_HEADER_NO_FILL },
    { "proxy-authentication-info", AGG_HEADER_ANY_HOP }
};


/* the first row of each length */

static const u_char  agg_header_start[AGG_HEADER_MAX + 2] = {
    0, 0, 0, 1, 2, 5, 6, 9, 13, 14, 16, 19, 21, 24, 31, 35, 41, 45, 50,
    54, 55, 57, 57, 58, 58, 58, 59
};


unsigned
agg_header_flags(const u_char *name, size_t len)
{
    unsigned  i;

    if (len > AGG_HEADER_MAX) {
        return 0;
    }

    for (i = agg_header_start[len]; i < agg_header_start[len + 1]; i++) {
        if (agg_header_equal(name, agg_header_names[i].name, len)) {
            return agg_header_names[i].flags;
        }
    }

    return (len > 3 && agg_header_equal(name, "if-", 3)) ? AGG_HEADER_ANY_IF
                                                         : 0;
}


/* known is in lower case */

static int
agg_header_equal(const u_char *name, const char *known, size_t len)
{
    u_char  c;
    size_t  i;

    for (i = 0; i < len; i++) {
        c = name[i];

        if (c >= 'A' && c <= 'Z') {
            c |= 0x20;
        }

        if (c != (u_char) known[i]) {
            return 0;
        }
    }

    return 1;
}


/* letters, digits and !#$%&'*+-.^_`|~ */

const uint32_t  agg_token_characters[] = {
    0x00000000,
    0x03ff6cfa,        /* ?>=< ;:98 7654 3210  /.- ,+*) ('&% $#"! */
    0xc7fffffe,        /* _^]\ [ZYX WVUT SRQP  ONML KJIH GFED CBA@ */
    0x57ffffff,        /*  ~}| {zyx wvut srqp  onml kjih gfed cba` */
    0x00000000,
    0x00000000,
    0x00000000,
    0x00000000
};
