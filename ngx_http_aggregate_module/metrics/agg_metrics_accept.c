
/* see agg_metrics_accept.h */

#include <string.h>
#include <strings.h>

#include "agg_metrics_accept.h"


static const uint8_t *agg_metrics_token(const uint8_t *p,
    const uint8_t *last, const uint8_t **start, size_t *len);
static int agg_metrics_is(const uint8_t *p, size_t len, const char *text);
static int agg_metrics_quality(const uint8_t *p, size_t len);
static int agg_metrics_rank(const uint8_t *p, size_t len);


enum {
    AGG_METRICS_ALL = 0,
    AGG_METRICS_TEXT_ALL,
    AGG_METRICS_TEXT_PLAIN,
    AGG_METRICS_OPEN,
    AGG_METRICS_UNKNOWN
};


int
agg_metrics_openmetrics(const uint8_t *accept, size_t len)
{
    int             q[4] = { -1, -1, -1, -1 };
    int             quality, type, text, version;
    size_t          n;
    const uint8_t  *p, *last, *start;

    p = accept;
    last = accept + len;

    while (p < last) {

        p = agg_metrics_token(p, last, &start, &n);
        type = agg_metrics_rank(start, n);

        quality = 1000;
        version = 1;

        while (p < last && *p == ';') {
            p = agg_metrics_token(p + 1, last, &start, &n);

            if (n > 2 && agg_metrics_is(start, 2, "q=")) {
                quality = agg_metrics_quality(start + 2, n - 2);

            } else if (n > 8 && agg_metrics_is(start, 8, "version=")) {
                version = agg_metrics_is(start + 8, n - 8, "1.0.0")
                          || agg_metrics_is(start + 8, n - 8, "\"1.0.0\"");
            }
        }

        if (type != AGG_METRICS_UNKNOWN
            && (type != AGG_METRICS_OPEN || version)
            && q[type] < quality)
        {
            q[type] = quality;
        }

        if (p < last) {
            p++;
        }
    }

    text = q[AGG_METRICS_TEXT_PLAIN] >= 0 ? q[AGG_METRICS_TEXT_PLAIN]
           : q[AGG_METRICS_TEXT_ALL] >= 0 ? q[AGG_METRICS_TEXT_ALL]
           : q[AGG_METRICS_ALL];

    return q[AGG_METRICS_OPEN] > 0 && q[AGG_METRICS_OPEN] >= text;
}


/* up to the next "," or ";", without the blanks around it */

static const uint8_t *
agg_metrics_token(const uint8_t *p, const uint8_t *last,
    const uint8_t **start, size_t *len)
{
    const uint8_t  *end;

    while (p < last && (*p == ' ' || *p == '\t')) {
        p++;
    }

    *start = p;

    while (p < last && *p != ',' && *p != ';') {
        p++;
    }

    end = p;

    while (end > *start && (end[-1] == ' ' || end[-1] == '\t')) {
        end--;
    }

    *len = (size_t) (end - *start);

    return p;
}


static int
agg_metrics_is(const uint8_t *p, size_t len, const char *text)
{
    return len == strlen(text)
           && strncasecmp((const char *) p, text, len) == 0;
}


static int
agg_metrics_rank(const uint8_t *p, size_t len)
{
    return agg_metrics_is(p, len, "*/*") ? AGG_METRICS_ALL
           : agg_metrics_is(p, len, "text/*") ? AGG_METRICS_TEXT_ALL
           : agg_metrics_is(p, len, "text/plain") ? AGG_METRICS_TEXT_PLAIN
           : agg_metrics_is(p, len, "application/openmetrics-text")
             ? AGG_METRICS_OPEN : AGG_METRICS_UNKNOWN;
}


/* thousandths; what is no quality is none */

static int
agg_metrics_quality(const uint8_t *p, size_t len)
{
    int     n, scale;
    size_t  i;

    if (len == 0 || len > 5 || (*p != '0' && *p != '1')) {
        return 0;
    }

    n = (*p - '0') * 1000;
    scale = 100;

    for (i = 1; i < len; i++) {

        if (i == 1) {
            if (p[i] != '.') {
                return 0;
            }

            continue;
        }

        if (p[i] < '0' || p[i] > '9') {
            return 0;
        }

        n += (p[i] - '0') * scale;
        scale /= 10;
    }

    return n > 1000 ? 1000 : n;
}
