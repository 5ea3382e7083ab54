
/* header names: each one in the columns that it belongs to, in any case */

#include <ctype.h>

#include "agg_header_names.h"
#include "breaker_check.h"


#define HOP   (AGG_HEADER_HOP|AGG_HEADER_NO_FORWARD|AGG_HEADER_NO_COPY       \
               |AGG_HEADER_NO_PASS|AGG_HEADER_NO_STORE)
#define IF    (AGG_HEADER_NO_FORWARD|AGG_HEADER_NO_FILL|AGG_HEADER_NO_COPY)
#define SET   AGG_HEADER_NO_SET
#define PASS  AGG_HEADER_NO_PASS
#define KEEP  AGG_HEADER_NO_STORE
#define FILL  AGG_HEADER_NO_FILL
#define ASK   (AGG_HEADER_NO_FORWARD|AGG_HEADER_NO_FILL|AGG_HEADER_NO_COPY)


static const struct {
    const char  *name;
    unsigned     flags;
} rows[] = {
    { "Connection", HOP|SET },
    { "Keep-Alive", HOP|SET },
    { "Proxy-Connection", HOP|SET },
    { "TE", HOP|SET },
    { "Trailer", HOP|SET },
    { "Transfer-Encoding", HOP|SET },
    { "Upgrade", HOP|SET },
    { "HTTP2-Settings", HOP|SET },
    { "Proxy-Authenticate", HOP },
    { "Proxy-Authorization", HOP },
    { "Proxy-Authentication-Info", HOP },

    { "Host", SET },
    { "Content-Length", SET|PASS|KEEP|AGG_HEADER_NO_COPY },
    { "Expect", SET|AGG_HEADER_NO_FORWARD|AGG_HEADER_NO_COPY },
    { "Range", ASK|AGG_HEADER_NO_SHAPE },
    { "Accept-Encoding", ASK|AGG_HEADER_NO_SHAPE },
    { "If-Range", IF|AGG_HEADER_NO_SHAPE },
    { "If-Match", IF },
    { "If-Unmodified-Since", IF },
    { "If-None-Match", IF|AGG_HEADER_NO_SHAPE|AGG_HEADER_CONDITION },
    { "If-Modified-Since", IF|AGG_HEADER_NO_SHAPE|AGG_HEADER_CONDITION },
    { "If-X", IF },
    { "If-", 0 },
    { "If", 0 },
    { "Iff", 0 },
    { "Ifx-", 0 },

    { "X-Accel-Charset", KEEP },

    { "Forwarded", FILL },
    { "X-Forwarded-Host", FILL },
    { "X-Forwarded-Server", FILL },
    { "X-Forwarded-URI", FILL },
    { "X-Host", FILL },
    { "X-HTTP-Host-Override", FILL },
    { "X-Original-Host", FILL },
    { "X-Original-URI", FILL },
    { "X-Original-URL", FILL },
    { "X-Rewrite-URL", FILL },
    { "X-HTTP-Method-Override", FILL },
    { "X-HTTP-Method", FILL },
    { "X-Method-Override", FILL },

    { "X-Forwarded-Proto", AGG_HEADER_KEYED },
    { "X-Forwarded-Protocol", AGG_HEADER_KEYED },
    { "X-Forwarded-Scheme", AGG_HEADER_KEYED },
    { "X-Forwarded-SSL", AGG_HEADER_KEYED },
    { "X-Forwarded-Port", AGG_HEADER_KEYED },
    { "X-Forwarded-Prefix", AGG_HEADER_KEYED },
    { "X-URL-Scheme", AGG_HEADER_KEYED },
    { "Front-End-HTTPS", AGG_HEADER_KEYED },
    { "X-Forwarded-For", 0 },

    { "Content-Type", PASS|KEEP },
    { "Content-Encoding", PASS|KEEP },
    { "Content-Range", PASS },
    { "Accept-Ranges", PASS|KEEP },
    { "Date", PASS|KEEP },
    { "Server", PASS },
    { "X-Breaker", PASS|KEEP },
    { "X-Cache", PASS|KEEP },
    { "X-Aggregate", PASS },
    { "Cache-Status", PASS|KEEP },
    { "Cache-Control", PASS },
    { "Expires", PASS },
    { "Age", PASS|KEEP },
    { "Vary", PASS },
    { "Set-Cookie", PASS|KEEP },
    { "Set-Cookie2", KEEP },
    { "Server-Timing", PASS|KEEP },
    { "CDN-Cache-Control", KEEP },

    { "ETag", 0 },
    { "Last-Modified", 0 },
    { "Authorization", 0 },
    { "Cookie", 0 },
    { "Connections", 0 },
    { "Connectio", 0 },
    { "X", 0 },
    { "", 0 },
    { "A-Name-That-Is-Longer-Than-Any-Other", 0 },
    { "Proxy-Authentication-Inf", 0 },
    { "Proxy-Authentication-Info2", 0 }
};


int
main(void)
{
    char      other[64];
    size_t    k, len;
    unsigned  i, c, flags;

    for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        len = strlen(rows[i].name);

        for (c = 0; c < 3; c++) {

            for (k = 0; k < len; k++) {
                other[k] = (c == 0) ? rows[i].name[k]
                           : (c == 1) ? (char) toupper(rows[i].name[k])
                           : (char) tolower(rows[i].name[k]);
            }

            flags = agg_header_flags((const u_char *) other, len);
            check(flags == rows[i].flags, "%s: %x, not %x", rows[i].name,
                  flags, rows[i].flags);
        }
    }

    for (i = 0; i < 256; i++) {
        check(agg_is_token((u_char) i)
              == (i && (isalnum((int) i) || strchr("!#$%&'*+-.^_`|~", (int) i))
                  && i < 128),
              "%u", i);
    }

    printf("ok header_names: %lu checks\n", checks);

    return 0;
}
