
/*
 * A purge names a URI as it stands in a log, in a link, or in a program, and
 * means the response, whatever the spelling by which it was asked for.  So
 * the path goes through the same steps as a request's in nginx (RFC 3986,
 * 5.2.4 and 6.2.2): an escaped slash or dot counts as the character itself,
 * while an escaped "%", "#" or "?" is data.  Where nginx would refuse an
 * escape, the characters stand for themselves.
 *
 * The work is done segment by segment, in one pass, and the result is never
 * longer than the source.
 */


#include <string.h>

#include "agg_cache_uri.h"


static int agg_cache_uri_char(const u_char **p, const u_char *end,
    u_char *c);
static int agg_cache_uri_hex(u_char c);
static u_char *agg_cache_uri_segment(u_char *start, u_char *u);


void
agg_cache_uri_split(const u_char *uri, size_t len, agg_cache_str_t *path,
    agg_cache_str_t *args)
{
    const u_char  *p;

    p = len ? memchr(uri, '#', len) : NULL;

    if (p != NULL) {
        len = (size_t) (p - uri);
    }

    path->data = uri;
    path->len = len;

    args->data = uri + len;
    args->len = 0;

    p = len ? memchr(uri, '?', len) : NULL;

    if (p != NULL) {
        path->len = (size_t) (p - uri);
        args->data = p + 1;
        args->len = len - path->len - 1;
    }
}


ssize_t
agg_cache_uri_path(u_char *dst, const u_char *src, size_t len, int merge)
{
    int            data;
    u_char         c, *u;
    const u_char  *p, *end;

    if (len == 0 || *src != '/') {
        return -1;
    }

    p = src + 1;
    end = src + len;

    u = dst;
    *u++ = '/';

    while (p < end) {

        data = agg_cache_uri_char(&p, end, &c);

        if (c != '/' || data) {
            *u++ = c;
            continue;
        }

        if (u[-1] == '/') {

            if (!merge) {
                *u++ = '/';
            }

            continue;
        }

        u = agg_cache_uri_segment(dst, u);

        if (u == NULL) {
            return -1;
        }

        if (u[-1] != '/') {
            *u++ = '/';
        }
    }

    if (u[-1] != '/') {
        u = agg_cache_uri_segment(dst, u);
    }

    return (u == NULL) ? -1 : u - dst;
}


/* drops a last segment "." or "..", with the one before; NULL: there is none */

static u_char *
agg_cache_uri_segment(u_char *start, u_char *u)
{
    if (u[-1] != '.') {
        return u;
    }

    if (u[-2] == '/') {
        return u - 1;
    }

    if (u[-2] != '.' || u[-3] != '/') {
        return u;
    }

    /* back to the slash that leads this one, and to the one before */

    for (u -= 4; u >= start; u--) {
        if (*u == '/') {
            return u + 1;
        }
    }

    return NULL;
}


/* one character; 1: it was escaped and can only be data */

static int
agg_cache_uri_char(const u_char **p, const u_char *end, u_char *c)
{
    int            high, low;
    const u_char  *s;

    s = *p;
    *c = *s;
    *p = s + 1;

    if (*s != '%' || end - s < 3) {
        return 0;
    }

    high = agg_cache_uri_hex(s[1]);
    low = agg_cache_uri_hex(s[2]);

    if (high < 0 || low < 0 || high + low == 0) {
        return 0;
    }

    *c = (u_char) (high * 16 + low);
    *p = s + 3;

    return *c == '%' || *c == '#' || *c == '?';
}


static int
agg_cache_uri_hex(u_char c)
{
    if (c >= '0' && c <= '9') {
        return c - '0';
    }

    c |= 0x20;

    return (c >= 'a' && c <= 'f') ? c - 'a' + 10 : -1;
}


size_t
agg_cache_uri_unescape(u_char *dst, const u_char *src, size_t len)
{
    u_char        *u;
    const u_char  *end;

    u = dst;
    end = src + len;

    while (src < end) {
        (void) agg_cache_uri_char(&src, end, u++);
    }

    return (size_t) (u - dst);
}
