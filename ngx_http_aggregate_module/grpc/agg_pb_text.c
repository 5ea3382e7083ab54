
/* see agg_pb_text.h */


#include "agg_pb_number.h"
#include "agg_pb_text.h"


#define AGG_PB_MIN_SECONDS   INT64_C(-62135596800)    /* of the year 1 */
#define AGG_PB_MAX_SECONDS   INT64_C(253402300799)    /* of the year 9999 */
#define AGG_PB_MAX_DURATION  INT64_C(315576000000)

#define agg_pb_is_digit(c)  ((u_char) ((c) - '0') <= 9)

#define agg_pb_two_digits(p)                                                 \
    ((unsigned) ((p)[0] - '0') * 10 + (unsigned) ((p)[1] - '0'))

/* the separators of 2006-01-02T15:04, a bit for each byte */

#define AGG_PB_NOT_DIGITS    0x2490


static int agg_pb_integer_bits(const agg_pb_field_t *f, int negative,
    uint64_t n, uint64_t *bits);
static void agg_pb_float_bits(const agg_pb_field_t *f, double n, float single,
    uint64_t *bits);
static const u_char *agg_pb_text_nanos(const u_char *p, const u_char *end,
    int32_t *nanos);
static agg_rc_e agg_pb_text_mask(agg_pb_writer_t *w,
    const agg_pb_message_t *m, const u_char *p, size_t len);


const u_char *
agg_pb_text_number(const agg_pb_field_t *f, const u_char *p,
    const u_char *end, uint64_t *bits)
{
    int               negative;
    float             single;
    double            number;
    int64_t           integer;
    uint64_t          n;
    const u_char     *start, *stop, *last;
    agg_pb_decimal_t  d;

    start = p;
    negative = (p < end && *p == '-');
    p += negative;
    last = (end - p > 18) ? p + 18 : end;

    for (n = 0, stop = p; p < last && agg_pb_is_digit(*p); p++) {
        n = n * 10 + (uint64_t) (*p - '0');
    }

    if (p > stop && (p == end || (!agg_pb_is_digit(*p) && *p != '.'
                                  && (*p | 0x20) != 'e'))
        && (*stop != '0' || p - stop == 1)
        && agg_pb_integer_bits(f, negative, n, bits) == 0)
    {
        return p;
    }

    stop = agg_pb_scan_number(start, end, &d);

    if (stop == NULL) {
        return NULL;
    }

    switch (f->type) {

    case AGG_PB_DOUBLE:
        if (agg_pb_decimal_double(&d, start, stop, &number) != 0) {
            return NULL;
        }

        agg_pb_float_bits(f, number, 0, bits);

        return stop;

    case AGG_PB_FLOAT:
        if (agg_pb_decimal_float(&d, start, stop, &single) != 0) {
            return NULL;
        }

        agg_pb_float_bits(f, 0, single, bits);

        return stop;

    case AGG_PB_UINT32:
    case AGG_PB_FIXED32_TYPE:
        return agg_pb_decimal_uint(&d, 32, bits) ? NULL : stop;

    case AGG_PB_UINT64:
    case AGG_PB_FIXED64_TYPE:
        return agg_pb_decimal_uint(&d, 64, bits) ? NULL : stop;

    case AGG_PB_INT64:
    case AGG_PB_SINT64:
    case AGG_PB_SFIXED64:
        if (agg_pb_decimal_int(&d, 64, &integer) != 0) {
            return NULL;
        }

        break;

    default:
        if (agg_pb_decimal_int(&d, 32, &integer) != 0) {
            return NULL;
        }
    }

    *bits = (uint64_t) integer;

    return stop;
}


/* up to eighteen digits: 0, or -1 when it is out of range or not exact */

static int
agg_pb_integer_bits(const agg_pb_field_t *f, int negative, uint64_t n,
    uint64_t *bits)
{
    switch (f->type) {

    case AGG_PB_INT64:
    case AGG_PB_SINT64:
    case AGG_PB_SFIXED64:
        break;

    case AGG_PB_UINT32:
    case AGG_PB_FIXED32_TYPE:
        if (n > UINT32_MAX) {
            return -1;
        }

        /* fall through */

    case AGG_PB_UINT64:
    case AGG_PB_FIXED64_TYPE:
        if (negative && n != 0) {
            return -1;
        }

        break;

    case AGG_PB_DOUBLE:
        if (n >> 53) {
            return -1;
        }

        agg_pb_float_bits(f, negative ? -(double) n : (double) n, 0, bits);

        return 0;

    case AGG_PB_FLOAT:
        if (n >> 24) {
            return -1;
        }

        agg_pb_float_bits(f, 0, negative ? -(float) n : (float) n, bits);

        return 0;

    default:
        if (n > (uint64_t) INT32_MAX + (uint64_t) negative) {
            return -1;
        }
    }

    *bits = negative ? 0 - n : n;

    return 0;
}


static void
agg_pb_float_bits(const agg_pb_field_t *f, double n, float single,
    uint64_t *bits)
{
    uint32_t  half;

    if (f->type == AGG_PB_DOUBLE) {
        memcpy(bits, &n, sizeof(double));
        return;
    }

    memcpy(&half, &single, sizeof(float));
    *bits = half;
}


int
agg_pb_text_quoted(const agg_pb_field_t *f, const u_char *p, size_t len,
    uint64_t *bits)
{
    if (f->type == AGG_PB_FLOAT || f->type == AGG_PB_DOUBLE) {

        if (len == 3 && memcmp(p, "NaN", 3) == 0) {
            *bits = (f->type == AGG_PB_FLOAT) ? 0x7fc00000
                                              : UINT64_C(0x7ff8000000000000);
            return 0;
        }

        if (len == 8 && memcmp(p, "Infinity", 8) == 0) {
            *bits = (f->type == AGG_PB_FLOAT) ? 0x7f800000
                                              : UINT64_C(0x7ff0000000000000);
            return 0;
        }

        if (len == 9 && memcmp(p, "-Infinity", 9) == 0) {
            *bits = (f->type == AGG_PB_FLOAT) ? 0xff800000
                                              : UINT64_C(0xfff0000000000000);
            return 0;
        }
    }

    return agg_pb_text_number(f, p, p + len, bits) == p + len ? 0 : -1;
}


int
agg_pb_text_bool(const u_char *p, size_t len, uint64_t *bits)
{
    if (len == 4 && memcmp(p, "true", 4) == 0) {
        *bits = 1;
        return 0;
    }

    if (len == 5 && memcmp(p, "false", 5) == 0) {
        *bits = 0;
        return 0;
    }

    return -1;
}


/* an optional fraction of up to nine digits; NULL: it is bad */

static const u_char *
agg_pb_text_nanos(const u_char *p, const u_char *end, int32_t *nanos)
{
    unsigned  n;

    static const int32_t  tens[] = {
        1, 10, 100, 1000, 10000, 100000, 1000000, 10000000, 100000000
    };

    *nanos = 0;

    if (p == end || *p != '.') {
        return p;
    }

    for (n = 0, p++; p < end && agg_pb_is_digit(*p); n++, p++) {

        if (n == 9) {
            return NULL;
        }

        *nanos = *nanos * 10 + (*p - '0');
    }

    if (n == 0) {
        return NULL;
    }

    *nanos *= tens[9 - n];

    return p;
}


/* 2006-01-02T15:04:05.999999999Z, or +07:00 in the place of Z */

int
agg_pb_text_timestamp(const u_char *p, size_t len, int64_t *seconds,
    int32_t *nanos)
{
    int64_t        days, offset;
    unsigned       year, month, day, hour, minute, second, most, y, doy;
    const u_char  *end;

    end = p + len;

    /* all but the digits, and then all of these */

    if (len < sizeof("2006-01-02T15:04:05Z") - 1
        || p[4] != '-' || p[7] != '-' || p[10] != 'T' || p[13] != ':'
        || p[16] != ':'
        || agg_block_not_digit(p) != AGG_PB_NOT_DIGITS
        || !agg_pb_is_digit(p[17]) || !agg_pb_is_digit(p[18]))
    {
        return -1;
    }

    year = agg_pb_two_digits(p) * 100 + agg_pb_two_digits(p + 2);
    month = agg_pb_two_digits(p + 5);
    day = agg_pb_two_digits(p + 8);
    hour = agg_pb_two_digits(p + 11);
    minute = agg_pb_two_digits(p + 14);
    second = agg_pb_two_digits(p + 17);

    if (year < 1 || month < 1 || month > 12 || day < 1 || hour > 23
        || minute > 59 || second > 59)
    {
        return -1;
    }

    most = 30 + (month + month / 8) % 2;

    if (month == 2) {
        most = (year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)) ? 29
                                                                       : 28;
    }

    if (day > most) {
        return -1;
    }

    /* days since March 1 of the year 0, then since 1970 */

    y = year - (month <= 2);
    doy = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1;

    days = (int64_t) y * 365 + y / 4 - y / 100 + y / 400 + doy - 719468;

    *seconds = days * 86400 + hour * 3600 + minute * 60 + second;

    p = agg_pb_text_nanos(p + 19, end, nanos);

    if (p == NULL || p == end) {
        return -1;
    }

    if (*p == 'Z') {
        p++;

    } else {

        if (end - p < 6 || (*p != '+' && *p != '-') || p[3] != ':'
            || !agg_pb_is_digit(p[1]) || !agg_pb_is_digit(p[2])
            || !agg_pb_is_digit(p[4]) || !agg_pb_is_digit(p[5]))
        {
            return -1;
        }

        hour = agg_pb_two_digits(p + 1);
        minute = agg_pb_two_digits(p + 4);

        if (hour > 23 || minute > 59) {
            return -1;
        }

        offset = hour * 3600 + minute * 60;
        *seconds += (*p == '-') ? offset : -offset;
        p += 6;
    }

    if (p != end || *seconds < AGG_PB_MIN_SECONDS
        || *seconds > AGG_PB_MAX_SECONDS)
    {
        return -1;
    }

    return 0;
}


/* 1.000000001s */

int
agg_pb_text_duration(const u_char *p, size_t len, int64_t *seconds,
    int32_t *nanos)
{
    int            negative;
    const u_char  *end, *start;

    if (len < 2 || p[len - 1] != 's') {
        return -1;
    }

    *seconds = 0;

    end = p + len - 1;
    negative = (*p == '-');
    p += negative;

    for (start = p; p < end && agg_pb_is_digit(*p); p++) {

        *seconds = *seconds * 10 + (*p - '0');

        if (*seconds > AGG_PB_MAX_DURATION) {
            return -1;
        }
    }

    if (p == start || agg_pb_text_nanos(p, end, nanos) != end) {
        return -1;
    }

    if (negative) {
        *seconds = -*seconds;
        *nanos = -*nanos;
    }

    return 0;
}


agg_rc_e
agg_pb_text_message(agg_pb_writer_t *w, const agg_pb_message_t *m,
    const u_char *p, size_t len)
{
    int       failed;
    int32_t   nanos;
    int64_t   seconds;
    agg_rc_e  rc;

    if (m->kind == AGG_PB_FIELD_MASK) {
        return agg_pb_text_mask(w, m, p, len);
    }

    if (m->kind == AGG_PB_TIMESTAMP) {
        failed = agg_pb_text_timestamp(p, len, &seconds, &nanos);

    } else {
        failed = agg_pb_text_duration(p, len, &seconds, &nanos);
    }

    if (failed) {
        return AGG_INVALID;
    }

    rc = AGG_OK;

    if (seconds != 0) {
        rc = agg_pb_put_scalar(w, &m->fields[0], 1, (uint64_t) seconds);
    }

    if (nanos != 0 && rc == AGG_OK) {
        rc = agg_pb_put_scalar(w, &m->fields[1], 1,
                               (uint64_t) (int64_t) nanos);
    }

    return rc;
}


/* "fooBar,baz.quxQuux"; the names come as lower camel case */

static agg_rc_e
agg_pb_text_mask(agg_pb_writer_t *w, const agg_pb_message_t *m,
    const u_char *p, size_t len)
{
    u_char         c;
    uint32_t       nopen;
    agg_rc_e       rc;
    const u_char  *end, *start;

    end = p + len;

    while (p < end) {
        nopen = w->nopen;

        rc = agg_pb_reserve(w, sizeof(m->fields->tag));
        if (rc != AGG_OK) {
            return rc;
        }

        agg_pb_put_tag(w, m->fields);

        rc = agg_pb_open_len(w);
        if (rc != AGG_OK) {
            return rc;
        }

        for (start = p; p < end && *p != ','; p++) {
            c = *p;

            if (c <= ' ' || c > '~' || c == '_' || c == '"' || c == '\\') {
                return AGG_INVALID;
            }

            rc = agg_pb_reserve(w, 2);
            if (rc != AGG_OK) {
                return rc;
            }

            if (c >= 'A' && c <= 'Z') {
                *w->out->pos++ = '_';
                c |= 0x20;
            }

            *w->out->pos++ = c;
        }

        if (p == start) {
            return AGG_INVALID;
        }

        agg_pb_close_len(w, nopen);

        if (p < end && ++p == end) {
            return AGG_INVALID;
        }
    }

    return AGG_OK;
}


const char *
agg_pb_text_kind(const agg_pb_field_t *f)
{
    static const char *const  types[] = {
        "", "a double", "a float", "an int64", "a uint64", "an int32",
        "a fixed64", "a fixed32", "a bool", "a string", "a group", "a message",
        "base64", "a uint32", "an enum", "an sfixed32", "an sfixed64",
        "an sint32", "an sint64"
    };

    if (f->message == NULL) {
        return types[f->type];
    }

    switch (f->message->kind) {

    case AGG_PB_TIMESTAMP:
        return "a timestamp";

    case AGG_PB_DURATION:
        return "a duration";

    case AGG_PB_FIELD_MASK:
        return "a field mask";

    case AGG_PB_LIST_VALUE:
        return "a list";

    case AGG_PB_WRAPPER:
        return types[f->message->fields[0].type];

    default:
        return "an object";
    }
}
