
/* The printer of well-known types with a single value. */


#include "agg_pb_print.h"


#define AGG_PB_MIN_SECONDS   INT64_C(-62135596800)    /* of the year 1 */
#define AGG_PB_MAX_SECONDS   INT64_C(253402300799)    /* of the year 9999 */
#define AGG_PB_MAX_DURATION  INT64_C(315576000000)

#define AGG_PB_SECOND        1000000000


static agg_rc_e agg_pb_read_time(agg_pb_printer_t *w,
    const agg_pb_message_t *m, uint32_t first, uint32_t last,
    int64_t *seconds, int32_t *nanos);
static u_char *agg_pb_print_nanos(u_char *p, unsigned nanos);


/* reads a Timestamp or a Duration */

static agg_rc_e
agg_pb_read_time(agg_pb_printer_t *w, const agg_pb_message_t *m,
    uint32_t first, uint32_t last, int64_t *seconds, int32_t *nanos)
{
    uint32_t         base, i;
    uint64_t         bits;
    agg_rc_e         rc;
    agg_pb_entry_t  *e;

    base = w->n;
    *nanos = 0;
    *seconds = 0;

    rc = agg_pb_index(w, m, first, last);
    if (rc != AGG_OK) {
        return rc;
    }

    for (i = base; i < w->n; i++) {
        e = &w->entries[i];

        (void) agg_pb_read_scalar(&m->fields[e->field], w->base + e->start,
                                  w->base + e->end, &bits);

        if (e->field == 0) {
            *seconds = (int64_t) bits;

        } else {
            *nanos = (int32_t) bits;
        }
    }

    w->n = base;

    return agg_pb_room(w, 64);
}


agg_rc_e
agg_pb_print_timestamp(agg_pb_printer_t *w, const agg_pb_message_t *m,
    uint32_t first, uint32_t last)
{
    u_char    *p;
    int32_t    nanos;
    int64_t    seconds;
    agg_rc_e   rc;

    rc = agg_pb_read_time(w, m, first, last, &seconds, &nanos);
    if (rc != AGG_OK) {
        return rc;
    }

    p = agg_pb_put_timestamp(w->out->pos, seconds, nanos);

    if (p == NULL) {
        return agg_pb_fault(w, AGG_PB_BAD_RANGE);
    }

    w->out->pos = p;

    return AGG_OK;
}


u_char *
agg_pb_put_timestamp(u_char *p, int64_t seconds, int32_t nanos)
{
    unsigned  second, days, era, doe, year, yoe, doy, month, day;

    if (seconds < AGG_PB_MIN_SECONDS || seconds > AGG_PB_MAX_SECONDS
        || nanos < 0 || nanos >= AGG_PB_SECOND)
    {
        return NULL;
    }

    /* counts days from March 1 of the year 0, in eras of 400 years */

    days = (unsigned) ((seconds - AGG_PB_MIN_SECONDS) / 86400) + 306;
    second = (unsigned) ((seconds - AGG_PB_MIN_SECONDS) % 86400);

    era = days / 146097;
    doe = days % 146097;
    yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
    doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
    month = (5 * doy + 2) / 153;
    day = doy - (153 * month + 2) / 5 + 1;
    month = (month < 10) ? month + 3 : month - 9;
    year = yoe + era * 400 + (month <= 2);

    *p++ = '"';
    p = gw_write_pair(p, year / 100);
    p = gw_write_pair(p, year % 100);
    *p++ = '-';
    p = gw_write_pair(p, month);
    *p++ = '-';
    p = gw_write_pair(p, day);
    *p++ = 'T';
    p = gw_write_pair(p, second / 3600);
    *p++ = ':';
    p = gw_write_pair(p, second / 60 % 60);
    *p++ = ':';
    p = gw_write_pair(p, second % 60);
    p = agg_pb_print_nanos(p, (unsigned) nanos);
    *p++ = 'Z';
    *p++ = '"';

    return p;
}


agg_rc_e
agg_pb_print_duration(agg_pb_printer_t *w, const agg_pb_message_t *m,
    uint32_t first, uint32_t last)
{
    u_char    *p;
    int32_t    nanos;
    int64_t    seconds;
    agg_rc_e   rc;

    rc = agg_pb_read_time(w, m, first, last, &seconds, &nanos);
    if (rc != AGG_OK) {
        return rc;
    }

    if (seconds < -AGG_PB_MAX_DURATION || seconds > AGG_PB_MAX_DURATION
        || nanos <= -AGG_PB_SECOND || nanos >= AGG_PB_SECOND
        || (seconds < 0 && nanos > 0) || (seconds > 0 && nanos < 0))
    {
        return agg_pb_fault(w, AGG_PB_BAD_RANGE);
    }

    p = w->out->pos;
    *p++ = '"';

    if (seconds < 0 || nanos < 0) {
        *p++ = '-';
        seconds = -seconds;
        nanos = -nanos;
    }

    p = gw_write_uint(p, (uint64_t) seconds);
    p = agg_pb_print_nanos(p, (unsigned) nanos);
    *p++ = 's';
    *p++ = '"';

    w->out->pos = p;

    return AGG_OK;
}


/* prints none, three, six or nine digits */

static u_char *
agg_pb_print_nanos(u_char *p, unsigned nanos)
{
    unsigned  i, digits;

    if (nanos == 0) {
        return p;
    }

    for (digits = 9; nanos % 1000 == 0; digits -= 3) {
        nanos /= 1000;
    }

    *p++ = '.';

    for (i = digits; i; i--) {
        p[i - 1] = (u_char) ('0' + nanos % 10);
        nanos /= 10;
    }

    return p + digits;
}


/* a path that could not be read back unchanged is an error */

agg_rc_e
agg_pb_print_mask(agg_pb_printer_t *w, const agg_pb_message_t *m,
    uint32_t first, uint32_t last)
{
    int            upper, comma;
    u_char         c;
    uint32_t       base, i, tag;
    agg_rc_e       rc;
    agg_str_t      path;
    const u_char  *p, *end;

    base = w->n;

    rc = agg_pb_index(w, m, first, last);
    if (rc != AGG_OK) {
        return rc;
    }

    rc = agg_pb_print_text(w, "\"");
    comma = 0;

    for (i = base; i < w->n && rc == AGG_OK; i++) {

        p = w->base + w->entries[i].start;
        end = w->base + w->entries[i].end;

        while (p < end) {
            p = agg_pb_reread(p, end, &tag, &path);

            rc = agg_pb_room(w, path.len + 2);
            if (rc != AGG_OK) {
                return rc;
            }

            if (comma) {
                *w->out->pos++ = ',';
            }

            comma = 1;

            for (upper = 0; path.len; path.data++, path.len--) {
                c = *path.data;

                if (c == '_' && !upper) {
                    upper = 1;
                    continue;
                }

                if ((c >= 'A' && c <= 'Z') || c < ' ' || c > '~' || c == '"'
                    || c == '\\' || c == ',' || c == '_'
                    || (upper && (c < 'a' || c > 'z')))
                {
                    return agg_pb_fault(w, AGG_PB_BAD_RANGE);
                }

                *w->out->pos++ = upper ? (u_char) (c - 'a' + 'A') : c;
                upper = 0;
            }

            if (upper) {
                return agg_pb_fault(w, AGG_PB_BAD_RANGE);
            }
        }
    }

    w->n = base;

    return agg_pb_print_text(w, "\"");
}


agg_rc_e
agg_pb_print_wrapper(agg_pb_printer_t *w, const agg_pb_message_t *m,
    uint32_t first, uint32_t last)
{
    uint32_t               base;
    uint64_t               bits;
    agg_rc_e               rc;
    agg_pb_entry_t        *e;
    const agg_pb_field_t  *f;

    f = m->fields;
    base = w->n;

    rc = agg_pb_index(w, m, first, last);
    if (rc != AGG_OK) {
        return rc;
    }

    if (w->n == base) {
        return agg_pb_print_default(w, f);
    }

    e = &w->entries[w->n - 1];
    w->n = base;

    if (f->wire == AGG_PB_LEN) {
        return agg_pb_print_bytes(w, f, w->base + e->start, w->base + e->end);
    }

    (void) agg_pb_read_scalar(f, w->base + e->start, w->base + e->end, &bits);

    return agg_pb_print_scalar(w, f, bits);
}
