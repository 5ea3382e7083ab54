
/* see agg_metrics_include.h */

#include <string.h>

#include "agg_metrics_include.h"


typedef struct {
    const uint8_t      *data;
    size_t              len;
} agg_metrics_str_t;


typedef enum {
    AGG_METRICS_UNTYPED = 0,
    AGG_METRICS_COUNTER,
    AGG_METRICS_GAUGE,
    AGG_METRICS_HISTOGRAM,
    AGG_METRICS_SUMMARY
} agg_metrics_type_e;


typedef struct {
    gw_out_t           *out;           /* NULL: only checked */
    int                 openmetrics;
    agg_metrics_seen_t *seen;
    size_t              before;        /* families of earlier texts */
    size_t              all;           /* with all of this one */

    agg_metrics_str_t   family;
    agg_metrics_type_e  type;
    agg_metrics_str_t   help;
    unsigned            has_help:1;
    unsigned            has_type:1;
    unsigned            sampled:1;
} agg_metrics_reader_t;


static int agg_metrics_check_utf8(const uint8_t *text, size_t len);
static int agg_metrics_read_text(agg_metrics_reader_t *rd,
    const uint8_t *text, size_t len);
static int agg_metrics_read_comment(agg_metrics_reader_t *rd,
    const uint8_t *p, const uint8_t *end);
static int agg_metrics_read_type(agg_metrics_reader_t *rd,
    const uint8_t *p, const uint8_t *end);
static int agg_metrics_set_suffixes(agg_metrics_reader_t *rd);
static int agg_metrics_is_sample(const agg_metrics_str_t *family, unsigned n,
    const uint8_t *name, size_t len);
static int agg_metrics_read_family(agg_metrics_reader_t *rd,
    const agg_metrics_str_t *name);
static int agg_metrics_read_sample(agg_metrics_reader_t *rd,
    const uint8_t *p, const uint8_t *end);
static int agg_metrics_is_member(agg_metrics_reader_t *rd,
    const agg_metrics_str_t *name);
static const uint8_t *agg_metrics_read_labels(const uint8_t *p,
    const uint8_t *end);
static const uint8_t *agg_metrics_read_number(const uint8_t *p,
    const uint8_t *end);
static const uint8_t *agg_metrics_read_name(const uint8_t *p,
    const uint8_t *end, int colon);
static int agg_metrics_total(agg_metrics_str_t name);
static int agg_metrics_has_family(agg_metrics_reader_t *rd, size_t len);
static void agg_metrics_emit_head(agg_metrics_reader_t *rd);


static const char  *const agg_metrics_types[] = {
    "untyped", "counter", "gauge", "histogram", "summary"
};


/* a summary has the first two of them */

static const char  *const agg_metrics_suffixes[] = {
    "_sum", "_count", "_bucket"
};


/* the prefixes of the names of our own families */

static const char  *const agg_metrics_own[] = {
    "gateway_request", "gateway_backend_", "gateway_aggregates",
    "gateway_cache_requests", "gateway_trace_", "gateway_metrics_",
    "gateway_include_", "gateway_build_", "gateway_config_"
};


int
agg_metrics_include(gw_out_t *out, int openmetrics, agg_metrics_seen_t *seen,
    const uint8_t *text, size_t len)
{
    size_t                before;
    agg_metrics_reader_t  rd;

    memset(&rd, 0, sizeof(rd));
    rd.openmetrics = openmetrics;
    rd.seen = seen;
    rd.before = seen->n;

    if (len == 0) {
        return 0;
    }

    before = seen->n;

    if (agg_metrics_check_utf8(text, len) != 0) {
        return -1;
    }

    if (agg_metrics_read_text(&rd, text, len) != 0) {
        seen->n = before;
        return -1;
    }

    if (out == NULL) {
        return 0;
    }

    memset(&rd, 0, sizeof(rd));
    rd.out = out;
    rd.openmetrics = openmetrics;
    rd.seen = seen;
    rd.before = before;
    rd.all = seen->n;

    seen->n = before;

    (void) agg_metrics_read_text(&rd, text, len);

    return 0;
}


static int
agg_metrics_check_utf8(const uint8_t *text, size_t len)
{
    int             valid;
    const uint8_t  *p, *last;

    last = text + len;
    valid = 1;

    for (p = text; p < last && valid; /* void */ ) {
        p += *p < 0x80 ? 1 : gw_utf8_length(p, last, &valid);
    }

    return valid ? 0 : -1;
}


static int
agg_metrics_read_text(agg_metrics_reader_t *rd, const uint8_t *text,
    size_t len)
{
    int             rc;
    const uint8_t  *p, *end, *last;

    last = text + len;

    for (p = text; p < last; p = end + 1) {

        end = memchr(p, '\n', (size_t) (last - p));

        /* the last line has to end with a line feed */

        if (end == NULL) {
            return -1;
        }

        while (p < end && (*p == ' ' || *p == '\t')) {
            p++;
        }

        if (p == end) {
            continue;
        }

        rc = *p == '#' ? agg_metrics_read_comment(rd, p + 1, end)
                       : agg_metrics_read_sample(rd, p, end);

        if (rc != 0) {
            return -1;
        }
    }

    return 0;
}


static const uint8_t *
agg_metrics_blanks(const uint8_t *p, const uint8_t *end)
{
    while (p < end && (*p == ' ' || *p == '\t')) {
        p++;
    }

    return p;
}


static int
agg_metrics_read_comment(agg_metrics_reader_t *rd, const uint8_t *p,
    const uint8_t *end)
{
    int                is_help;
    const uint8_t     *q;
    agg_metrics_str_t  name;

    p = agg_metrics_blanks(p, end);

    if (end - p < 6
        || (memcmp(p, "HELP", 4) != 0 && memcmp(p, "TYPE", 4) != 0)
        || (p[4] != ' ' && p[4] != '\t'))
    {
        return 0;
    }

    is_help = (*p == 'H');

    p = agg_metrics_blanks(p + 4, end);
    q = agg_metrics_read_name(p, end, 1);

    if (q == NULL || (q < end && *q != ' ' && *q != '\t')) {
        return -1;
    }

    name.data = p;
    name.len = (size_t) (q - p);

    if (rd->sampled || rd->family.data == NULL || rd->family.len != name.len
        || memcmp(rd->family.data, name.data, name.len) != 0)
    {
        if (agg_metrics_read_family(rd, &name) != 0) {
            return -1;
        }
    }

    p = agg_metrics_blanks(q, end);

    if (!is_help) {
        return agg_metrics_read_type(rd, p, end);
    }

    if (rd->has_help) {
        return -1;
    }

    rd->has_help = 1;
    rd->help.data = p;
    rd->help.len = (size_t) (end - p);

    return 0;
}


static int
agg_metrics_read_type(agg_metrics_reader_t *rd, const uint8_t *p,
    const uint8_t *end)
{
    size_t    len;
    unsigned  i;

    if (rd->has_type) {
        return -1;
    }

    while (end > p && (end[-1] == ' ' || end[-1] == '\t')) {
        end--;
    }

    len = (size_t) (end - p);

    for (i = 0; i <= AGG_METRICS_SUMMARY; i++) {
        if (strlen(agg_metrics_types[i]) == len
            && memcmp(agg_metrics_types[i], p, len) == 0)
        {
            rd->type = i;
            rd->has_type = 1;
            rd->seen->family[rd->seen->n - 1].counter =
                                           (i == AGG_METRICS_COUNTER
                                            && agg_metrics_total(rd->family));
            return agg_metrics_set_suffixes(rd);
        }
    }

    return -1;
}


/* -1: a family before has the name of one of the samples */

static int
agg_metrics_set_suffixes(agg_metrics_reader_t *rd)
{
    size_t               i;
    unsigned             n;
    agg_metrics_seen_t  *seen;

    if (rd->type != AGG_METRICS_HISTOGRAM && rd->type != AGG_METRICS_SUMMARY) {
        return 0;
    }

    seen = rd->seen;
    n = (rd->type == AGG_METRICS_HISTOGRAM) ? 3 : 2;

    seen->family[seen->n - 1].suffixes = n & 3;

    for (i = 0; i + 1 < seen->n; i++) {
        if (agg_metrics_is_sample(&rd->family, n, seen->family[i].name,
                                  seen->family[i].len))
        {
            return -1;
        }
    }

    return 0;
}


/* whether the name is that of the family with one of the first n suffixes */

static int
agg_metrics_is_sample(const agg_metrics_str_t *family, unsigned n,
    const uint8_t *name, size_t len)
{
    unsigned  i;

    if (n == 0 || len <= family->len
        || memcmp(name, family->data, family->len) != 0)
    {
        return 0;
    }

    len -= family->len;

    for (i = 0; i < n; i++) {
        if (strlen(agg_metrics_suffixes[i]) == len
            && memcmp(agg_metrics_suffixes[i], name + family->len, len) == 0)
        {
            return 1;
        }
    }

    return 0;
}


static int
agg_metrics_read_family(agg_metrics_reader_t *rd,
    const agg_metrics_str_t *name)
{
    size_t               i, len;
    agg_metrics_str_t    other;
    agg_metrics_seen_t  *seen;

    seen = rd->seen;

    if (seen->n == AGG_METRICS_SEEN) {
        return -1;
    }

    for (i = 0; i < sizeof(agg_metrics_own) / sizeof(char *); i++) {
        if (name->len >= strlen(agg_metrics_own[i])
            && memcmp(name->data, agg_metrics_own[i],
                      strlen(agg_metrics_own[i]))
               == 0)
        {
            return -1;
        }
    }

    for (i = 0; i < seen->n; i++) {

        len = seen->family[i].len;

        if (rd->openmetrics && seen->family[i].counter && i < rd->before) {
            len -= sizeof("_total") - 1;
        }

        if ((len == name->len || seen->family[i].len == name->len)
            && memcmp(seen->family[i].name, name->data, name->len) == 0)
        {
            return -1;
        }

        other.data = seen->family[i].name;
        other.len = seen->family[i].len;

        if (agg_metrics_is_sample(&other, seen->family[i].suffixes,
                                  name->data, name->len))
        {
            return -1;
        }
    }

    seen->family[seen->n].name = name->data;
    seen->family[seen->n].len = name->len;
    seen->family[seen->n].counter = 0;
    seen->family[seen->n].suffixes = 0;
    seen->n++;

    rd->family = *name;
    rd->type = AGG_METRICS_UNTYPED;
    rd->help.len = 0;
    rd->has_help = 0;
    rd->has_type = 0;
    rd->sampled = 0;

    return 0;
}


static int
agg_metrics_read_sample(agg_metrics_reader_t *rd, const uint8_t *p,
    const uint8_t *end)
{
    const uint8_t      *q, *last;
    agg_metrics_str_t   name;

    q = agg_metrics_read_name(p, end, 1);

    if (q == NULL) {
        return -1;
    }

    name.data = p;
    name.len = (size_t) (q - p);

    if (!agg_metrics_is_member(rd, &name)
        && agg_metrics_read_family(rd, &name) != 0)
    {
        return -1;
    }

    q = agg_metrics_blanks(q, end);

    if (q < end && *q == '{') {
        q = agg_metrics_read_labels(q + 1, end);

        if (q == NULL) {
            return -1;
        }
    }

    q = agg_metrics_blanks(q, end);
    last = agg_metrics_read_number(q, end);

    if (last == NULL) {
        return -1;
    }

    /* a timestamp, which only one of the formats has in seconds, is dropped */

    q = agg_metrics_blanks(last, end);

    if (q < end) {
        if (q == last) {
            return -1;
        }

        if (*q == '-') {
            q++;
        }

        while (q < end && *q >= '0' && *q <= '9') {
            q++;
        }

        if ((q[-1] < '0' || q[-1] > '9')
            || agg_metrics_blanks(q, end) != end)
        {
            return -1;
        }
    }

    if (rd->out) {
        agg_metrics_emit_head(rd);
        gw_out_put(rd->out, p, (size_t) (last - p));
        gw_out_put(rd->out, "\n", 1);
    }

    rd->sampled = 1;

    return 0;
}


static int
agg_metrics_is_member(agg_metrics_reader_t *rd, const agg_metrics_str_t *name)
{
    if (rd->family.len == 0) {
        return 0;
    }

    if (name->len == rd->family.len
        && memcmp(name->data, rd->family.data, rd->family.len) == 0)
    {
        return rd->type != AGG_METRICS_HISTOGRAM;
    }

    return agg_metrics_is_sample(&rd->family,
                                 rd->seen->family[rd->seen->n - 1].suffixes,
                                 name->data, name->len);
}


/* starts after the "{", and returns the end, after the "}" */

static const uint8_t *
agg_metrics_read_labels(const uint8_t *p, const uint8_t *end)
{
    int       valid;
    unsigned  n;

    for ( ;; ) {

        p = agg_metrics_blanks(p, end);

        if (p < end && *p == '}') {
            return p + 1;
        }

        p = agg_metrics_read_name(p, end, 0);

        if (p == NULL) {
            return NULL;
        }

        p = agg_metrics_blanks(p, end);

        if (p == end || *p++ != '=') {
            return NULL;
        }

        p = agg_metrics_blanks(p, end);

        if (p == end || *p++ != '"') {
            return NULL;
        }

        while (p < end && *p != '"') {

            if (*p == '\\') {
                p++;

                if (p == end || (*p != '\\' && *p != '"' && *p != 'n')) {
                    return NULL;
                }
            }

            n = 1;
            valid = 1;

            if (*p >= 0x80) {
                n = gw_utf8_length(p, end, &valid);
            }

            if (!valid) {
                return NULL;
            }

            p += n;
        }

        if (p == end) {
            return NULL;
        }

        p = agg_metrics_blanks(p + 1, end);

        if (p < end && *p == ',') {
            p++;
            continue;
        }

        if (p == end || *p != '}') {
            return NULL;
        }
    }
}


static const uint8_t *
agg_metrics_read_number(const uint8_t *p, const uint8_t *end)
{
    size_t          i, len;
    unsigned        digits;
    const uint8_t  *q;

    static const char  *const words[] = { "Inf", "NaN" };

    if (p < end && (*p == '+' || *p == '-')) {
        p++;
    }

    for (i = 0; i < 2; i++) {
        if (end - p >= 3 && memcmp(p, words[i], 3) == 0) {
            p += 3;
            goto done;
        }
    }

    digits = 0;

    for (q = p; q < end && ((*q >= '0' && *q <= '9') || *q == '.'); q++) {
        digits += (*q != '.');
    }

    len = (size_t) (q - p);

    if (digits == 0 || len > digits + 1) {
        return NULL;
    }

    p = q;

    if (p < end && (*p == 'e' || *p == 'E')) {
        p++;

        if (p < end && (*p == '+' || *p == '-')) {
            p++;
        }

        for (q = p; q < end && *q >= '0' && *q <= '9'; q++) { /* void */ }

        if (q == p) {
            return NULL;
        }

        p = q;
    }

done:

    return p == end || *p == ' ' || *p == '\t' ? p : NULL;
}


static const uint8_t *
agg_metrics_read_name(const uint8_t *p, const uint8_t *end, int colon)
{
    const uint8_t  *q;

    for (q = p; q < end; q++) {

        if ((*q >= 'a' && *q <= 'z') || (*q >= 'A' && *q <= 'Z')
            || *q == '_' || (colon && *q == ':')
            || (q > p && *q >= '0' && *q <= '9'))
        {
            continue;
        }

        break;
    }

    return q == p ? NULL : q;
}


static int
agg_metrics_total(agg_metrics_str_t name)
{
    return name.len > 6 && memcmp(name.data + name.len - 6, "_total", 6) == 0;
}


/* a family whose name is the first len bytes of that of the present one */

static int
agg_metrics_has_family(agg_metrics_reader_t *rd, size_t len)
{
    size_t  i;

    for (i = 0; i < rd->all; i++) {
        if (rd->seen->family[i].len == len
            && memcmp(rd->seen->family[i].name, rd->family.data, len) == 0)
        {
            return 1;
        }
    }

    return 0;
}


static void
agg_metrics_emit_head(agg_metrics_reader_t *rd)
{
    size_t       i, len;
    const char  *type;

    if (rd->sampled) {
        return;
    }

    type = agg_metrics_types[rd->type];
    len = rd->family.len;

    if (rd->openmetrics) {
        if (rd->type == AGG_METRICS_COUNTER && agg_metrics_total(rd->family)
            && !agg_metrics_has_family(rd, len - (sizeof("_total") - 1)))
        {
            len -= sizeof("_total") - 1;

        } else if (rd->type == AGG_METRICS_COUNTER
                   || rd->type == AGG_METRICS_UNTYPED)
        {
            type = "unknown";
        }
    }

    if (rd->has_help) {
        gw_out_text(rd->out, "# HELP ");
        gw_out_put(rd->out, rd->family.data, len);
        gw_out_put(rd->out, " ", 1);

        for (i = 0; i < rd->help.len; i++) {
            if (rd->openmetrics && rd->help.data[i] == '"') {
                gw_out_put(rd->out, "\\", 1);
            }

            gw_out_put(rd->out, rd->help.data + i, 1);
        }

        gw_out_put(rd->out, "\n", 1);
    }

    gw_out_text(rd->out, "# TYPE ");
    gw_out_put(rd->out, rd->family.data, len);
    gw_out_put(rd->out, " ", 1);
    gw_out_text(rd->out, type);
    gw_out_put(rd->out, "\n", 1);
}
