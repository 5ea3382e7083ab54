
#include "agg_grpc_call.h"
#include "gw_number.h"


#define agg_grpc_lower(c)  ((c) >= 'A' && (c) <= 'Z' ? (c) | 0x20 : (c))


static unsigned agg_grpc_accept_weight(u_char **pos, u_char *end);
static u_char *agg_grpc_accept_skip(u_char *p, u_char *end);
static int agg_grpc_accept_form(const u_char *data, size_t len);


void
agg_grpc_reader_init(agg_grpc_reader_t *reader, agg_mem_t *mem, size_t max)
{
    memset(reader, 0, sizeof(agg_grpc_reader_t));

    reader->max = max;
    agg_buf_init(&reader->buf, mem, max);
}


agg_grpc_frame_e
agg_grpc_reader_next(agg_grpc_reader_t *reader, u_char **pos, u_char *last)
{
    u_char  *p;
    size_t   n, used;

    p = *pos;

    if (reader->nhead < AGG_GRPC_FRAME_HEAD) {

        n = AGG_GRPC_FRAME_HEAD - reader->nhead;

        if ((size_t) (last - p) < n) {
            n = (size_t) (last - p);
        }

        if (n == AGG_GRPC_FRAME_HEAD) {
            memcpy(reader->head, p, AGG_GRPC_FRAME_HEAD);

        } else if (n != 0) {
            memcpy(reader->head + reader->nhead, p, n);
        }

        reader->nhead += (unsigned) n;
        p += n;

        if (reader->nhead < AGG_GRPC_FRAME_HEAD) {
            *pos = p;
            return AGG_GRPC_FRAME_MORE;
        }

        reader->size = (size_t) reader->head[1] << 24
                       | (size_t) reader->head[2] << 16
                       | (size_t) reader->head[3] << 8 | reader->head[4];
        reader->buf.pos = reader->buf.start;

        if (reader->head[0] != 0) {
            return AGG_GRPC_FRAME_COMPRESSED;
        }

        if (reader->size > reader->max) {
            return AGG_GRPC_FRAME_TOO_LARGE;
        }
    }

    used = agg_buf_used(&reader->buf);
    n = (size_t) (last - p);

    if (used == 0 && n >= reader->size) {

        /* the whole message lies in these bytes */

        reader->message.data = p;
        reader->message.len = reader->size;
        reader->nhead = 0;
        *pos = p + reader->size;

        return AGG_GRPC_FRAME_MESSAGE;
    }

    if (n > reader->size - used) {
        n = reader->size - used;
    }

    if (agg_buf_append(&reader->buf, p, n) != AGG_OK) {
        return AGG_GRPC_FRAME_NOMEM;
    }

    *pos = p + n;

    if (used + n < reader->size) {
        return AGG_GRPC_FRAME_MORE;
    }

    reader->message.data = reader->buf.start;
    reader->message.len = reader->size;
    reader->nhead = 0;

    return AGG_GRPC_FRAME_MESSAGE;
}


void
agg_grpc_frame_head(u_char *p, size_t len)
{
    p[0] = 0;
    p[1] = (u_char) (len >> 24);
    p[2] = (u_char) (len >> 16);
    p[3] = (u_char) (len >> 8);
    p[4] = (u_char) len;
}


int64_t
agg_grpc_timeout_read(const u_char *data, size_t len)
{
    size_t   i;
    int64_t  n;

    if (len < 2 || len > 9) {
        return -1;
    }

    n = 0;

    for (i = 0; i < len - 1; i++) {

        if (data[i] < '0' || data[i] > '9') {
            return -1;
        }

        n = n * 10 + (data[i] - '0');
    }

    switch (data[i]) {

    case 'H':
        n *= 3600 * 1000;
        break;

    case 'M':
        n *= 60 * 1000;
        break;

    case 'S':
        n *= 1000;
        break;

    case 'm':
        break;

    case 'u':
        n /= 1000;
        break;

    case 'n':
        n /= 1000000;
        break;

    default:
        return -1;
    }

    return n == 0 ? 1 : n;
}


u_char *
agg_grpc_timeout_write(u_char *p, uint64_t msec)
{
    u_char  unit;

    unit = 'm';

    if (msec > 99999999) {
        msec /= 1000;
        unit = 'S';

        if (msec > 99999999) {
            msec = 99999999;
        }
    }

    p = gw_write_uint(p, msec);
    *p++ = unit;

    return p;
}


agg_grpc_form_e
agg_grpc_accept(const agg_str_t *values, unsigned n)
{
    int              form;
    u_char          *p, *end, *start;
    size_t           len;
    unsigned         i, weight, best_weight;
    agg_grpc_form_e  best;

    best = AGG_GRPC_ARRAY;
    best_weight = 0;

    for (i = 0; i < n; i++) {

        p = values[i].data;
        end = p + values[i].len;

        while (p < end) {

            while (p < end && (*p == ' ' || *p == '\t' || *p == ',')) {
                p++;
            }

            start = p;

            while (p < end && *p != ',' && *p != ';' && *p != ' '
                   && *p != '\t')
            {
                p++;
            }

            len = (size_t) (p - start);
            weight = agg_grpc_accept_weight(&p, end);
            form = agg_grpc_accept_form(start, len);

            if (form >= 0 && weight > best_weight) {
                best = (agg_grpc_form_e) form;
                best_weight = weight;
            }
        }
    }

    return best;
}


/* the weight in thousandths; sets *pos after the comma, skipping parameters */

static unsigned
agg_grpc_accept_weight(u_char **pos, u_char *end)
{
    u_char    *p;
    unsigned   weight, unit;

    p = *pos;
    weight = 1000;

    while (p < end && *p != ',') {

        if (*p == '"') {
            p = agg_grpc_accept_skip(p, end);
            continue;
        }

        if (*p++ != ';') {
            continue;
        }

        while (p < end && (*p == ' ' || *p == '\t')) {
            p++;
        }

        if (end - p < 3 || (*p != 'q' && *p != 'Q') || p[1] != '=') {
            continue;
        }

        p += 2;
        weight = *p++ == '1' ? 1000 : 0;

        if (p < end && *p == '.') {
            p++;

            for (unit = 100; p < end && *p >= '0' && *p <= '9'; unit /= 10) {
                weight += (unsigned) (*p++ - '0') * unit;
            }
        }
    }

    *pos = p;

    return weight;
}


/* skips a quoted string */

static u_char *
agg_grpc_accept_skip(u_char *p, u_char *end)
{
    for (p++; p < end && *p != '"'; p++) {
        if (*p == '\\' && end - p > 1) {
            p++;
        }
    }

    return p < end ? p + 1 : p;
}


static int
agg_grpc_accept_form(const u_char *data, size_t len)
{
    size_t  i, k;

    static const struct {
        agg_str_t        type;
        agg_grpc_form_e  form;
    } types[] = {
        { { 17, (u_char *) "text/event-stream" }, AGG_GRPC_SSE },
        { { 20, (u_char *) "application/x-ndjson" }, AGG_GRPC_NDJSON },
        { { 17, (u_char *) "application/jsonl" }, AGG_GRPC_NDJSON },
        { { 16, (u_char *) "application/json" }, AGG_GRPC_ARRAY },
        { { 13, (u_char *) "application/*" }, AGG_GRPC_ARRAY },
        { { 3, (u_char *) "*/*" }, AGG_GRPC_ARRAY }
    };

    for (i = 0; i < sizeof(types) / sizeof(types[0]); i++) {

        if (types[i].type.len != len) {
            continue;
        }

        for (k = 0; k < len; k++) {
            if (agg_grpc_lower(data[k]) != types[i].type.data[k]) {
                break;
            }
        }

        if (k == len) {
            return (int) types[i].form;
        }
    }

    return -1;
}
