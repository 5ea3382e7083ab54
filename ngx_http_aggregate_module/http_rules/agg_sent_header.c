
/*
 * nginx tells nobody which headers its configuration sets for a backend, so
 * they are read from the request itself: lines in HTTP/1, and variables with
 * names such as HTTP_X_USER in the protocols that are like CGI.
 *
 * The request is nginx's own, so all that is checked are the bounds.  The cost
 * is one pass over the header for each name that is looked for.
 *
 * Sources: RFC 9112, 2.1; RFC 3875, 4.1.18; the specifications of FastCGI,
 * uwsgi and SCGI.
 */


#include <string.h>

#include "agg_sent_header.h"


#define AGG_SENT_FCGI_HEADER   8
#define AGG_SENT_FCGI_PARAMS   4
#define AGG_SENT_UWSGI_HEADER  4


static const u_char *agg_sent_params(const u_char *p, const u_char **last);
static int agg_sent_line(agg_sent_t *sent, agg_cache_str_t *name,
    agg_cache_str_t *value);
static int agg_sent_text(agg_sent_t *sent, agg_cache_str_t *text);
static int agg_sent_length(agg_sent_t *sent, size_t *len);
static int agg_sent_bytes(agg_sent_t *sent, size_t len, agg_cache_str_t *text);
static u_char agg_sent_upper(u_char c);


void
agg_sent_init(agg_sent_t *sent, agg_sent_e kind, const u_char *data,
    size_t len)
{
    const u_char  *p;

    sent->kind = kind;
    sent->last = data + len;

    p = NULL;

    switch (kind) {

    case AGG_SENT_HTTP:

        /* the request line */

        p = memchr(data, '\n', len);
        p = p ? p + 1 : NULL;
        break;

    case AGG_SENT_FASTCGI:
        p = agg_sent_params(data, &sent->last);
        break;

    case AGG_SENT_UWSGI:
        p = (len > AGG_SENT_UWSGI_HEADER)
            ? data + AGG_SENT_UWSGI_HEADER : NULL;
        break;

    case AGG_SENT_SCGI:

        /* the length of a netstring */

        p = memchr(data, ':', len);
        p = p ? p + 1 : NULL;
        break;
    }

    sent->p = p ? p : sent->last;
}


/* the content of the first record of the type PARAMS */

static const u_char *
agg_sent_params(const u_char *p, const u_char **last)
{
    size_t  len;

    while (*last - p >= AGG_SENT_FCGI_HEADER) {

        len = ((size_t) p[4] << 8) + p[5];

        if (p[1] == AGG_SENT_FCGI_PARAMS) {
            p += AGG_SENT_FCGI_HEADER;

            if (len < (size_t) (*last - p)) {
                *last = p + len;
            }

            return p;
        }

        len += p[6] + (size_t) AGG_SENT_FCGI_HEADER;

        if (len > (size_t) (*last - p)) {
            break;
        }

        p += len;
    }

    return NULL;
}


int
agg_sent_next(agg_sent_t *sent, agg_cache_str_t *name, agg_cache_str_t *value)
{
    size_t  len, size;

    if (sent->p == sent->last) {
        return 0;
    }

    switch (sent->kind) {

    case AGG_SENT_HTTP:
        return agg_sent_line(sent, name, value);

    case AGG_SENT_FASTCGI:
        return agg_sent_length(sent, &len)
               && agg_sent_length(sent, &size)
               && agg_sent_bytes(sent, len, name)
               && agg_sent_bytes(sent, size, value);

    case AGG_SENT_UWSGI:
        return agg_sent_length(sent, &len)
               && agg_sent_bytes(sent, len, name)
               && agg_sent_length(sent, &size)
               && agg_sent_bytes(sent, size, value);

    default: /* AGG_SENT_SCGI */
        return agg_sent_text(sent, name)
               && agg_sent_text(sent, value);
    }
}


static int
agg_sent_line(agg_sent_t *sent, agg_cache_str_t *name,
    agg_cache_str_t *value)
{
    const u_char  *p, *end, *colon;

    p = sent->p;
    end = memchr(p, '\n', (size_t) (sent->last - p));

    if (end == NULL) {
        return 0;
    }

    sent->p = end + 1;

    if (end > p && end[-1] == '\r') {
        end--;
    }

    colon = memchr(p, ':', (size_t) (end - p));

    /* the empty line ends the header */

    if (colon == NULL) {
        sent->p = sent->last;
        return 0;
    }

    name->data = p;
    name->len = (size_t) (colon - p);

    p = colon + 1;

    if (p < end && *p == ' ') {
        p++;
    }

    value->data = p;
    value->len = (size_t) (end - p);

    return 1;
}


static int
agg_sent_text(agg_sent_t *sent, agg_cache_str_t *text)
{
    const u_char  *end;

    end = memchr(sent->p, '\0', (size_t) (sent->last - sent->p));

    if (end == NULL) {
        return 0;
    }

    text->data = sent->p;
    text->len = (size_t) (end - sent->p);

    sent->p = end + 1;

    return 1;
}


static int
agg_sent_length(agg_sent_t *sent, size_t *len)
{
    size_t         left;
    const u_char  *p;

    p = sent->p;
    left = (size_t) (sent->last - p);

    if (sent->kind == AGG_SENT_UWSGI) {

        if (left < 2) {
            return 0;
        }

        *len = p[0] + ((size_t) p[1] << 8);
        sent->p += 2;

        return 1;
    }

    if (left < 1) {
        return 0;
    }

    if (p[0] < 128) {
        *len = p[0];
        sent->p += 1;

        return 1;
    }

    if (left < 4) {
        return 0;
    }

    *len = ((size_t) (p[0] & 0x7f) << 24) + ((size_t) p[1] << 16)
           + ((size_t) p[2] << 8) + p[3];
    sent->p += 4;

    return 1;
}


static int
agg_sent_bytes(agg_sent_t *sent, size_t len, agg_cache_str_t *text)
{
    if (len > (size_t) (sent->last - sent->p)) {
        return 0;
    }

    text->data = sent->p;
    text->len = len;

    sent->p += len;

    return 1;
}


int
agg_sent_is(const agg_sent_t *sent, const agg_cache_str_t *name,
    const agg_cache_str_t *header)
{
    u_char         c;
    size_t         i;
    const u_char  *p;

    p = name->data;

    if (sent->kind == AGG_SENT_HTTP) {

        if (name->len != header->len) {
            return 0;
        }

    } else {

        if (name->len != header->len + 5 || memcmp(p, "HTTP_", 5) != 0) {
            return 0;
        }

        p += 5;
    }

    for (i = 0; i < header->len; i++) {
        c = agg_sent_upper(header->data[i]);

        if (sent->kind != AGG_SENT_HTTP && c == '-') {
            c = '_';
        }

        if (agg_sent_upper(p[i]) != c) {
            return 0;
        }
    }

    return 1;
}


static u_char
agg_sent_upper(u_char c)
{
    return (c >= 'a' && c <= 'z') ? (u_char) (c & ~0x20) : c;
}
