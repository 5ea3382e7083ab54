
/* see agg_http_reply.h */

#include <string.h>
#include <strings.h>

#include "agg_http_reply.h"


enum {
    AGG_HTTP_REPLY_STATUS = 0,
    AGG_HTTP_REPLY_FIELDS,
    AGG_HTTP_REPLY_PLAIN,
    AGG_HTTP_REPLY_CHUNK,
    AGG_HTTP_REPLY_DATA,
    AGG_HTTP_REPLY_CRLF,
    AGG_HTTP_REPLY_TRAILER,
    AGG_HTTP_REPLY_END
};


static agg_http_reply_e agg_http_reply_line(agg_http_reply_t *reply);
static agg_http_reply_e agg_http_reply_status(agg_http_reply_t *reply);
static agg_http_reply_e agg_http_reply_field(agg_http_reply_t *reply);
static agg_http_reply_e agg_http_reply_body(agg_http_reply_t *reply);
static agg_http_reply_e agg_http_reply_chunk(agg_http_reply_t *reply);
static agg_http_reply_e agg_http_reply_take(agg_http_reply_t *reply,
    const uint8_t **p, const uint8_t *last);


void
agg_http_reply_init(agg_http_reply_t *reply)
{
    memset(reply, 0, offsetof(agg_http_reply_t, line));
}


agg_http_reply_e
agg_http_reply_push(agg_http_reply_t *reply, const uint8_t *data, size_t len)
{
    uint8_t            c;
    const uint8_t     *p, *last;
    agg_http_reply_e   rc;

    p = data;
    last = data + len;

    while (p < last) {

        if (reply->state == AGG_HTTP_REPLY_END) {
            break;
        }

        if (reply->state == AGG_HTTP_REPLY_PLAIN
            || reply->state == AGG_HTTP_REPLY_DATA)
        {
            rc = agg_http_reply_take(reply, &p, last);

            if (rc != AGG_HTTP_REPLY_MORE) {
                return rc;
            }

            continue;
        }

        c = *p++;

        if (++reply->header > AGG_HTTP_REPLY_HEADER) {
            return AGG_HTTP_REPLY_TOO_LARGE;
        }

        if (c != '\n') {

            if (reply->nline < AGG_HTTP_REPLY_LINE) {
                reply->line[reply->nline++] = c;

            } else {
                reply->long_line = 1;
            }

            continue;
        }

        if (reply->nline && reply->line[reply->nline - 1] == '\r') {
            reply->nline--;
        }

        rc = agg_http_reply_line(reply);

        reply->nline = 0;
        reply->long_line = 0;

        if (rc != AGG_HTTP_REPLY_MORE) {
            return rc;
        }
    }

    return reply->state == AGG_HTTP_REPLY_END ? AGG_HTTP_REPLY_DONE
                                              : AGG_HTTP_REPLY_MORE;
}


agg_http_reply_e
agg_http_reply_eof(agg_http_reply_t *reply)
{
    reply->close = 1;

    return reply->state == AGG_HTTP_REPLY_PLAIN && !reply->sized
           ? AGG_HTTP_REPLY_DONE : AGG_HTTP_REPLY_INVALID;
}


static agg_http_reply_e
agg_http_reply_line(agg_http_reply_t *reply)
{
    switch (reply->state) {

    case AGG_HTTP_REPLY_STATUS:
        return agg_http_reply_status(reply);

    case AGG_HTTP_REPLY_FIELDS:
        return reply->nline ? agg_http_reply_field(reply)
                            : agg_http_reply_body(reply);

    case AGG_HTTP_REPLY_CHUNK:
        return agg_http_reply_chunk(reply);

    case AGG_HTTP_REPLY_CRLF:

        if (reply->nline) {
            return AGG_HTTP_REPLY_INVALID;
        }

        /* the end of line after a chunk does not count as header */

        reply->header = 0;
        reply->state = AGG_HTTP_REPLY_CHUNK;
        return AGG_HTTP_REPLY_MORE;

    default: /* AGG_HTTP_REPLY_TRAILER */

        if (reply->nline) {
            return AGG_HTTP_REPLY_MORE;
        }

        reply->state = AGG_HTTP_REPLY_END;
        return AGG_HTTP_REPLY_DONE;
    }
}


static agg_http_reply_e
agg_http_reply_status(agg_http_reply_t *reply)
{
    unsigned  i;
    uint8_t  *p;

    p = reply->line;

    if (reply->nline < 12 || memcmp(p, "HTTP/1.", 7) != 0
        || (p[7] != '0' && p[7] != '1') || p[8] != ' '
        || (reply->nline > 12 && p[12] != ' '))
    {
        return AGG_HTTP_REPLY_INVALID;
    }

    reply->status = 0;

    for (i = 9; i < 12; i++) {

        if (p[i] < '0' || p[i] > '9') {
            return AGG_HTTP_REPLY_INVALID;
        }

        reply->status = reply->status * 10 + (p[i] - '0');
    }

    if (reply->status < 100) {
        return AGG_HTTP_REPLY_INVALID;
    }

    reply->close = (p[7] == '0');
    reply->state = AGG_HTTP_REPLY_FIELDS;

    return AGG_HTTP_REPLY_MORE;
}


static int
agg_http_reply_is(agg_http_reply_t *reply, size_t name, const char *text)
{
    return name == strlen(text)
           && strncasecmp((char *) reply->line, text, name) == 0;
}


static agg_http_reply_e
agg_http_reply_field(agg_http_reply_t *reply)
{
    size_t          name, n;
    uint64_t        length;
    const uint8_t  *p, *last;

    p = memchr(reply->line, ':', reply->nline);

    if (p == NULL || p == reply->line) {
        return AGG_HTTP_REPLY_INVALID;
    }

    if (reply->long_line) {
        return AGG_HTTP_REPLY_MORE;
    }

    name = (size_t) (p - reply->line);
    last = reply->line + reply->nline;

    for (p++; p < last && (*p == ' ' || *p == '\t'); p++) { /* void */ }

    while (last > p && (last[-1] == ' ' || last[-1] == '\t')) {
        last--;
    }

    n = (size_t) (last - p);

    if (agg_http_reply_is(reply, name, "content-length")) {

        if (n == 0 || n > 15 || reply->sized) {
            return AGG_HTTP_REPLY_INVALID;
        }

        for (length = 0; p < last; p++) {

            if (*p < '0' || *p > '9') {
                return AGG_HTTP_REPLY_INVALID;
            }

            length = length * 10 + (*p - '0');
        }

        reply->sized = 1;
        reply->left = length;

    } else if (agg_http_reply_is(reply, name, "transfer-encoding")) {

        if (n != 7 || strncasecmp((const char *) p, "chunked", 7) != 0) {
            return AGG_HTTP_REPLY_INVALID;
        }

        reply->chunked = 1;

    } else if (agg_http_reply_is(reply, name, "connection")) {

        if (n == 5 && strncasecmp((const char *) p, "close", 5) == 0) {
            reply->close = 1;
        }

    } else if (agg_http_reply_is(reply, name, "retry-after")
               && n <= sizeof(reply->retry_after))
    {
        memcpy(reply->retry_after, p, n);
        reply->nretry_after = n;
    }

    return AGG_HTTP_REPLY_MORE;
}


static agg_http_reply_e
agg_http_reply_body(agg_http_reply_t *reply)
{
    if (reply->status < 200) {

        /* another response follows */

        if (reply->status == 101) {
            return AGG_HTTP_REPLY_INVALID;
        }

        reply->state = AGG_HTTP_REPLY_STATUS;
        reply->chunked = 0;
        reply->sized = 0;

        return AGG_HTTP_REPLY_MORE;
    }

    if (reply->status == 204 || reply->status == 304) {
        reply->state = AGG_HTTP_REPLY_END;
        return AGG_HTTP_REPLY_DONE;
    }

    if (reply->chunked) {
        reply->sized = 0;
        reply->header = 0;
        reply->state = AGG_HTTP_REPLY_CHUNK;
        return AGG_HTTP_REPLY_MORE;
    }

    reply->state = AGG_HTTP_REPLY_PLAIN;

    if (!reply->sized) {
        reply->close = 1;
        return AGG_HTTP_REPLY_MORE;
    }

    if (reply->left > AGG_HTTP_REPLY_BODY) {
        return AGG_HTTP_REPLY_TOO_LARGE;
    }

    if (reply->left == 0) {
        reply->state = AGG_HTTP_REPLY_END;
        return AGG_HTTP_REPLY_DONE;
    }

    return AGG_HTTP_REPLY_MORE;
}


static agg_http_reply_e
agg_http_reply_chunk(agg_http_reply_t *reply)
{
    size_t    i;
    uint64_t  size;
    unsigned  c;

    size = 0;

    for (i = 0; i < reply->nline; i++) {

        c = reply->line[i] | 0x20;

        if (c >= '0' && c <= '9') {
            size = size * 16 + (c - '0');

        } else if (c >= 'a' && c <= 'f') {
            size = size * 16 + (c - 'a' + 10);

        } else {
            break;
        }

        if (size > AGG_HTTP_REPLY_BODY) {
            return AGG_HTTP_REPLY_TOO_LARGE;
        }
    }

    if (i == 0
        || (i < reply->nline && reply->line[i] != ';'
            && reply->line[i] != ' '))
    {
        return AGG_HTTP_REPLY_INVALID;
    }

    reply->left = size;
    reply->state = size ? AGG_HTTP_REPLY_DATA : AGG_HTTP_REPLY_TRAILER;

    return AGG_HTTP_REPLY_MORE;
}


static agg_http_reply_e
agg_http_reply_take(agg_http_reply_t *reply, const uint8_t **p,
    const uint8_t *last)
{
    size_t  n, keep;
    int     limited;

    limited = (reply->sized || reply->state == AGG_HTTP_REPLY_DATA);
    n = (size_t) (last - *p);

    if (limited && n > reply->left) {
        n = (size_t) reply->left;
    }

    keep = AGG_HTTP_REPLY_KEPT - reply->nkept;
    keep = keep < n ? keep : n;

    memcpy(reply->kept + reply->nkept, *p, keep);
    reply->nkept += keep;
    reply->total += n;
    *p += n;

    if (reply->total > AGG_HTTP_REPLY_BODY) {
        return AGG_HTTP_REPLY_TOO_LARGE;
    }

    if (!limited) {
        return AGG_HTTP_REPLY_MORE;
    }

    reply->left -= n;

    if (reply->left) {
        return AGG_HTTP_REPLY_MORE;
    }

    if (reply->state == AGG_HTTP_REPLY_DATA) {
        reply->state = AGG_HTTP_REPLY_CRLF;
        return AGG_HTTP_REPLY_MORE;
    }

    reply->state = AGG_HTTP_REPLY_END;
    return AGG_HTTP_REPLY_DONE;
}
