
/* see agg_freshness.h */

#include <stdio.h>
#include <string.h>

#include "agg_freshness.h"


static int64_t agg_freshness_least(int64_t a, int64_t b);


void
agg_freshness_init(agg_freshness_t *f)
{
    agg_cache_control_init(&f->control);

    f->expires = AGG_CACHE_UNSET;
    f->age = 0;
}


/* the smaller of two values, of which -1 is none */

static int64_t
agg_freshness_least(int64_t a, int64_t b)
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
    int64_t               max_age, s_maxage;
    agg_cache_control_t  *cc;

    max_age = (f->control.max_age != -1) ? f->control.max_age : f->expires;
    s_maxage = (f->control.s_maxage != -1) ? f->control.s_maxage : max_age;

    if (max_age != -1) {
        max_age = (max_age > f->age) ? max_age - f->age : 0;
    }

    if (s_maxage != -1) {
        s_maxage = (s_maxage > f->age) ? s_maxage - f->age : 0;
    }

    cc = &all->control;

    if (first) {
        agg_freshness_init(all);
        cc->max_age = max_age;
        cc->s_maxage = s_maxage;

    } else {
        cc->max_age = (cc->max_age == -1 || max_age == -1)
                      ? -1 : agg_freshness_least(cc->max_age, max_age);
        cc->s_maxage = (cc->s_maxage == -1 || s_maxage == -1)
                       ? -1 : agg_freshness_least(cc->s_maxage, s_maxage);
    }

    cc->flags |= f->control.flags;
}


size_t
agg_freshness_write(const agg_freshness_t *all, u_char *dst)
{
    int                         n;
    unsigned                    i;
    const agg_cache_control_t  *cc;

    static const struct {
        unsigned     flag;
        const char  *name;
    } directives[] = {
        { AGG_CACHE_CC_PRIVATE, "private" },
        { AGG_CACHE_CC_NO_CACHE, "no-cache" },
        { AGG_CACHE_CC_NO_STORE, "no-store" },
        { AGG_CACHE_CC_MUST_REVALIDATE, "must-revalidate" }
    };

    cc = &all->control;
    n = 0;
    dst[0] = '\0';

    if (cc->max_age != -1) {
        n = snprintf((char *) dst, AGG_FRESHNESS_SIZE, "max-age=%ld",
                     (long) cc->max_age);
    }

    if (cc->s_maxage != -1 && cc->s_maxage != cc->max_age) {
        n += snprintf((char *) dst + n, AGG_FRESHNESS_SIZE - n,
                      "%ss-maxage=%ld", n ? ", " : "", (long) cc->s_maxage);
    }

    for (i = 0; i < sizeof(directives) / sizeof(directives[0]); i++) {
        if (cc->flags & directives[i].flag) {
            n += snprintf((char *) dst + n, AGG_FRESHNESS_SIZE - n, "%s%s",
                          n ? ", " : "", directives[i].name);
        }
    }

    return (size_t) n;
}
