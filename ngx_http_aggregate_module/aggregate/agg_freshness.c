
/* see agg_freshness.h */

#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "agg_freshness.h"


#define AGG_DELTA_MAX  2147483647L


static void agg_freshness_directive(agg_freshness_t *f,
    const unsigned char *name, size_t len, const unsigned char *value,
    size_t vlen);
static long agg_freshness_least(long a, long b);


void
agg_freshness_init(agg_freshness_t *f)
{
    f->max_age = -1;
    f->s_maxage = -1;
    f->expires = -1;
    f->age = 0;
    f->flags = 0;
}


void
agg_freshness_cache_control(agg_freshness_t *f, const agg_str_t *value)
{
    size_t                len, vlen;
    const unsigned char  *p, *last, *name, *v;

    p = value->data;
    last = p + value->len;

    while (p < last) {

        if (*p == ',' || *p == ' ' || *p == '\t') {
            p++;
            continue;
        }

        name = p;

        while (p < last && *p != ',' && *p != '=' && *p != ' ' && *p != '\t') {
            p++;
        }

        len = p - name;
        v = NULL;
        vlen = 0;

        if (p < last && *p == '=') {
            v = ++p;

            if (p < last && *p == '"') {
                v = ++p;

                while (p < last && *p != '"') {
                    p += (*p == '\\' && last - p > 1) ? 2 : 1;
                }

                vlen = p - v;

            } else {
                while (p < last && *p != ',' && *p != ' ' && *p != '\t') {
                    p++;
                }

                vlen = p - v;
            }
        }

        while (p < last && *p != ',') {
            p++;
        }

        agg_freshness_directive(f, name, len, v, vlen);
    }
}


static void
agg_freshness_directive(agg_freshness_t *f, const unsigned char *name,
    size_t len, const unsigned char *value, size_t vlen)
{
    long       n;
    unsigned   i;

    static const struct {
        const char  *name;
        size_t       len;
        unsigned     flag;
    } flags[] = {
        { "private", 7, AGG_CACHE_PRIVATE },
        { "no-cache", 8, AGG_CACHE_NO_CACHE },
        { "no-store", 8, AGG_CACHE_NO_STORE },
        { "must-revalidate", 15, AGG_CACHE_MUST_REVALIDATE },
        { NULL, 0, 0 }
    };

    for (i = 0; flags[i].name != NULL; i++) {
        if (len == flags[i].len
            && strncasecmp((char *) name, flags[i].name, len) == 0)
        {
            f->flags |= flags[i].flag;
            return;
        }
    }

    if (len == 7 && strncasecmp((char *) name, "max-age", 7) == 0) {
        n = agg_delta_seconds(value, vlen);
        f->max_age = agg_freshness_least(f->max_age, n < 0 ? 0 : n);
        return;
    }

    if (len == 8 && strncasecmp((char *) name, "s-maxage", 8) == 0) {
        n = agg_delta_seconds(value, vlen);
        f->s_maxage = agg_freshness_least(f->s_maxage, n < 0 ? 0 : n);
    }
}


long
agg_delta_seconds(const unsigned char *p, size_t len)
{
    long    n;
    size_t  i;

    if (len == 0) {
        return -1;
    }

    for (n = 0, i = 0; i < len; i++) {

        if (p[i] < '0' || p[i] > '9') {
            return -1;
        }

        if (n > AGG_DELTA_MAX / 10) {
            n = AGG_DELTA_MAX;
            continue;
        }

        n = n * 10 + (p[i] - '0');
    }

    return n > AGG_DELTA_MAX ? AGG_DELTA_MAX : n;
}


/* the least of two, where -1 is no value */

static long
agg_freshness_least(long a, long b)
{
    if (a == -1) {
        return b;
    }

    if (b == -1) {
        return a;
    }

    return a < b ? a : b;
}


void
agg_freshness_merge(agg_freshness_t *all, const agg_freshness_t *f, int first)
{
    long  max_age, s_maxage;

    max_age = (f->max_age != -1) ? f->max_age : f->expires;
    s_maxage = (f->s_maxage != -1) ? f->s_maxage : max_age;

    if (max_age != -1) {
        max_age = (max_age > f->age) ? max_age - f->age : 0;
    }

    if (s_maxage != -1) {
        s_maxage = (s_maxage > f->age) ? s_maxage - f->age : 0;
    }

    if (first) {
        agg_freshness_init(all);
        all->max_age = max_age;
        all->s_maxage = s_maxage;

    } else {
        all->max_age = (all->max_age == -1 || max_age == -1)
                       ? -1 : agg_freshness_least(all->max_age, max_age);
        all->s_maxage = (all->s_maxage == -1 || s_maxage == -1)
                        ? -1 : agg_freshness_least(all->s_maxage, s_maxage);
    }

    all->flags |= f->flags;
}


size_t
agg_freshness_write(const agg_freshness_t *all, unsigned char *dst)
{
    int       n;
    unsigned  i;

    static const char  *names[] = {
        "private", "no-cache", "no-store", "must-revalidate"
    };

    n = 0;
    dst[0] = '\0';

    if (all->max_age != -1) {
        n = snprintf((char *) dst, AGG_FRESHNESS_SIZE, "max-age=%ld",
                     all->max_age);
    }

    if (all->s_maxage != -1 && all->s_maxage != all->max_age) {
        n += snprintf((char *) dst + n, AGG_FRESHNESS_SIZE - n,
                      "%ss-maxage=%ld", n ? ", " : "", all->s_maxage);
    }

    for (i = 0; i < 4; i++) {
        if (all->flags & (1u << i)) {
            n += snprintf((char *) dst + n, AGG_FRESHNESS_SIZE - n, "%s%s",
                          n ? ", " : "", names[i]);
        }
    }

    return n;
}
