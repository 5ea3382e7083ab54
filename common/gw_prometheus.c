
/* see gw_prometheus.h */

#include <string.h>

#include "gw_prometheus.h"


static void gw_prometheus_head(gw_prometheus_t *p, const char *line,
    int suffix);
static void gw_prometheus_comma(gw_prometheus_t *p);
static void gw_prometheus_help(gw_prometheus_t *p, const char *help);
static void gw_prometheus_close(gw_prometheus_t *p);
static void gw_prometheus_end_line(gw_prometheus_t *p);


void
gw_prometheus_init(gw_prometheus_t *p, gw_out_t *out, int openmetrics)
{
    memset(p, 0, sizeof(gw_prometheus_t));

    p->out = out;
    p->max = GW_PROMETHEUS_VALUE;
    p->openmetrics = (openmetrics != 0);
}


void
gw_prometheus_family(gw_prometheus_t *p, const char *name,
    gw_prometheus_e type, const char *help)
{
    static const char  *types[] = { " counter\n", " gauge\n", " histogram\n" };

    if (p->family == name) {
        return;
    }

    gw_prometheus_end_line(p);

    p->family = name;
    p->type = type;

    /* in OpenMetrics the family of a counter has no "_total" in its name */

    gw_prometheus_head(p, "# HELP ", !p->openmetrics);
    gw_out_put(p->out, " ", 1);
    gw_prometheus_help(p, help);

    gw_prometheus_head(p, "\n# TYPE ", !p->openmetrics);
    gw_out_text(p->out, types[type]);
}


void
gw_prometheus_sample(gw_prometheus_t *p, const char *suffix)
{
    gw_prometheus_end_line(p);
    gw_prometheus_head(p, "", 1);

    if (suffix) {
        gw_out_put(p->out, "_", 1);
        gw_out_text(p->out, suffix);
    }
}


static void
gw_prometheus_head(gw_prometheus_t *p, const char *line, int suffix)
{
    gw_out_text(p->out, line);
    gw_out_text(p->out, p->family);

    if (p->type == GW_COUNTER && suffix) {
        gw_out_text(p->out, "_total");
    }
}


void
gw_prometheus_label(gw_prometheus_t *p, const char *name,
    const uint8_t *value, size_t len)
{
    gw_prometheus_comma(p);
    gw_out_text(p->out, name);
    gw_out_put(p->out, "=\"", 2);
    gw_out_label(p->out, value, gw_cut(value, len, p->max));
    gw_out_put(p->out, "\"", 1);
}


void
gw_prometheus_le(gw_prometheus_t *p, uint64_t n, unsigned digits)
{
    gw_prometheus_comma(p);
    gw_out_text(p->out, "le=\"");
    gw_out_decimal(p->out, n, digits, p->openmetrics);
    gw_out_put(p->out, "\"", 1);
}


void
gw_prometheus_le_inf(gw_prometheus_t *p)
{
    gw_prometheus_comma(p);
    gw_out_text(p->out, "le=\"+Inf\"");
}


static void
gw_prometheus_comma(gw_prometheus_t *p)
{
    gw_out_put(p->out, p->labels ? "," : "{", 1);
    p->labels = 1;
}


void
gw_prometheus_uint(gw_prometheus_t *p, uint64_t n)
{
    gw_prometheus_decimal(p, n, 0);
}


void
gw_prometheus_decimal(gw_prometheus_t *p, uint64_t n, unsigned digits)
{
    gw_prometheus_close(p);
    gw_out_decimal(p->out, n, digits, 0);
}


static void
gw_prometheus_close(gw_prometheus_t *p)
{
    if (p->labels) {
        gw_out_put(p->out, "}", 1);
    }

    gw_out_put(p->out, " ", 1);

    p->labels = 0;
    p->value = 1;
}


void
gw_prometheus_exemplar(gw_prometheus_t *p, const uint8_t *labels, size_t len,
    uint64_t n, unsigned digits, uint64_t ms)
{
    if (!p->openmetrics) {
        return;
    }

    gw_out_text(p->out, " # {");
    gw_out_put(p->out, labels, len);
    gw_out_text(p->out, "} ");
    gw_out_decimal(p->out, n, digits, 0);
    gw_out_put(p->out, " ", 1);
    gw_out_decimal(p->out, ms, 3, 3);
}


void
gw_prometheus_end(gw_prometheus_t *p)
{
    gw_prometheus_end_line(p);

    if (p->openmetrics) {
        gw_out_text(p->out, "# EOF\n");
    }
}


/* both formats escape a backslash and a line feed, only one a quote */

static void
gw_prometheus_help(gw_prometheus_t *p, const char *help)
{
    const char  *s;

    for (s = help; *s; s++) {

        if (*s == '\n') {
            gw_out_put(p->out, "\\n", 2);
            continue;
        }

        if (*s == '\\' || (*s == '"' && p->openmetrics)) {
            gw_out_put(p->out, "\\", 1);
        }

        gw_out_put(p->out, s, 1);
    }
}


static void
gw_prometheus_end_line(gw_prometheus_t *p)
{
    if (p->value) {
        gw_out_put(p->out, "\n", 1);
        p->value = 0;
    }
}
