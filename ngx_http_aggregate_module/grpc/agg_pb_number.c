
/* see agg_pb_number.h */


#include <stdio.h>
#include <stdlib.h>

#include "agg_pb_number.h"


/* 10^15 and above may have more digits than a double holds */

#define AGG_PB_EXACT      1000000000000000ULL

#define AGG_PB_DECIMALS   8

/* digits that decide how a double is rounded, and some more */

#define AGG_PB_MAX_TEXT   1100

#define AGG_PB_MAX_DIGITS 17

/* digits that a double holds whatever they are */

#define AGG_PB_SHORT      15

/* powers of ten that are exact as a float */

#define AGG_PB_FLOAT_TENS 10


static u_char *agg_pb_print_fixed(u_char *p, uint64_t m, unsigned k);
static u_char *agg_pb_print_digits(u_char *p, const char *digits, int n,
    int point);
static int agg_pb_shortest(double n, int single, char *digits, int *point);
static uint64_t agg_pb_round_to_odd(const agg_pb_power_t *power, uint64_t n);
static uint64_t agg_pb_multiply(uint64_t a, uint64_t b, uint64_t *low);
static int agg_pb_integer(const agg_pb_decimal_t *d, uint64_t *n);
static void agg_pb_text(const agg_pb_decimal_t *d, const u_char *p,
    const u_char *end, char *text);


static const double  agg_pb_tens[] = {
    1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13,
    1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22
};

static const uint64_t  agg_pb_powers_of_ten[] = {
    0, 10, 100, 1000, 10000, 100000, 1000000, 10000000, 100000000, 1000000000,
    10000000000, 100000000000, 1000000000000, 10000000000000, 100000000000000,
    1000000000000000, 10000000000000000, 100000000000000000,
    1000000000000000000, 10000000000000000000U
};


u_char *
agg_pb_print_double(u_char *p, double n)
{
    int       k, count, point;
    char      digits[AGG_PB_MAX_DIGITS + 1];
    double    scaled;
    uint64_t  m;

    if (n < 0 || (n == 0 && 1 / n < 0)) {
        *p++ = '-';
        n = -n;
    }

    /*
     * Both m and 10^k are exact, so a quotient that is n says that the text
     * reads back; with fifteen digits at most there is no other as short.
     */

    for (k = 0; k <= AGG_PB_DECIMALS; k++) {
        scaled = n * agg_pb_tens[k];

        if (scaled >= (double) AGG_PB_EXACT) {
            break;
        }

        m = (uint64_t) (scaled + 0.5);

        if ((double) m / agg_pb_tens[k] == n && (n >= 1e-6 || k == 0)) {
            return agg_pb_print_fixed(p, m, (unsigned) k);
        }
    }

    count = agg_pb_shortest(n, 0, digits, &point);

    return agg_pb_print_digits(p, digits, count, point);
}


u_char *
agg_pb_print_float(u_char *p, float n)
{
    int       k, count, point;
    char      digits[AGG_PB_MAX_DIGITS + 1];
    double    scaled;
    uint32_t  m;

    if (n < 0 || (n == 0 && 1 / n < 0)) {
        *p++ = '-';
        n = -n;
    }

    /* the same, in floats, with six digits at most */

    for (k = 0; k <= AGG_PB_DECIMALS; k++) {
        scaled = (double) n * agg_pb_tens[k];

        if (scaled >= 1e6) {
            break;
        }

        m = (uint32_t) (scaled + 0.5);

        if ((float) m / (float) agg_pb_tens[k] == n && (n >= 1e-6f || k == 0)) {
            return agg_pb_print_fixed(p, m, (unsigned) k);
        }
    }

    if (n < 16777216 && (float) (uint32_t) n == n) {
        return gw_write_uint(p, (uint32_t) n);
    }

    count = agg_pb_shortest((double) n, 1, digits, &point);

    return agg_pb_print_digits(p, digits, count, point);
}


/* m / 10^k, the last digit of m not being zero unless k is */

static u_char *
agg_pb_print_fixed(u_char *p, uint64_t m, unsigned k)
{
    uint64_t  whole;
    unsigned  i;

    if (k == 0) {
        return gw_write_uint(p, m);
    }

    whole = m / agg_pb_powers_of_ten[k];
    m -= whole * agg_pb_powers_of_ten[k];

    p = gw_write_uint(p, whole);
    *p++ = '.';

    for (i = k; i > 1; i -= 2) {
        (void) gw_write_pair(p + i - 2, (unsigned) (m % 100));
        m /= 100;
    }

    if (i != 0) {
        *p = (u_char) ('0' + m);
    }

    return p + k;
}


/* digits, with the point before digits[point] */

static u_char *
agg_pb_print_digits(u_char *p, const char *digits, int n, int point)
{
    int  exponent;

    if (point > 0 && point <= 21) {

        if (n <= point) {
            memcpy(p, digits, (size_t) n);
            memset(p + n, '0', (size_t) (point - n));
            return p + point;
        }

        memcpy(p, digits, (size_t) point);
        p += point;
        *p++ = '.';
        memcpy(p, digits + point, (size_t) (n - point));
        return p + n - point;
    }

    if (point > -6 && point <= 0) {
        *p++ = '0';
        *p++ = '.';
        memset(p, '0', (size_t) -point);
        p += -point;
        memcpy(p, digits, (size_t) n);
        return p + n;
    }

    *p++ = (u_char) digits[0];

    if (n > 1) {
        *p++ = '.';
        memcpy(p, digits + 1, (size_t) (n - 1));
        p += n - 1;
    }

    exponent = point - 1;

    *p++ = 'e';
    *p++ = (exponent < 0) ? '-' : '+';

    return gw_write_uint(p, (uint64_t) abs(exponent));
}


/*
 * The number of digits; n is positive.  Schubfach: the interval of what reads
 * back as n, multiplied by four and a power of ten, has one or two integers of
 * the length that is wanted; products are rounded to odd, so that
 * comparisons of them are exact.
 */

static int
agg_pb_shortest(double n, int single, char *digits, int *point)
{
    int              exponent, h, k, closer;
    float            small;
    uint32_t         half;
    uint64_t         c, left, middle, right, s, tens;
    unsigned         odd, down, up;
    agg_pb_power_t   power;

    if (single) {
        small = (float) n;
        memcpy(&half, &small, sizeof(float));
        c = half & 0x7fffff;
        exponent = (int) (half >> 23);
        closer = (c == 0 && exponent > 1);
        c |= exponent ? 0x800000 : 0;
        exponent = (exponent ? exponent : 1) - 150;

    } else {
        memcpy(&c, &n, sizeof(double));
        exponent = (int) (c >> 52);
        c &= UINT64_C(0xfffffffffffff);
        closer = (c == 0 && exponent > 1);
        c |= exponent ? UINT64_C(0x10000000000000) : 0;
        exponent = (exponent ? exponent : 1) - 1075;
    }

    /*
     * Logarithms, rounded down, of a power of two, or of 3/4 of it, and of
     * one of ten; what is added and taken away keeps them positive.
     */

    k = (int) (((int64_t) exponent * 1262611 - (closer ? 524031 : 0)
                + ((int64_t) 512 << 22)) >> 22) - 512;
    h = exponent + ((-k * 1741647 + (2048 << 19)) >> 19) - 2048 + 1;

    odd = (unsigned) c & 1;
    power = agg_pb_powers[-k - AGG_PB_POWER_MIN];

    left = agg_pb_round_to_odd(&power, (4 * c - 2 + (unsigned) closer) << h);
    middle = agg_pb_round_to_odd(&power, (4 * c) << h);
    right = agg_pb_round_to_odd(&power, (4 * c + 2) << h);

    left += odd;
    right -= odd;

    s = middle / 4;
    tens = s / 10;

    down = left <= 40 * tens;
    up = 40 * tens + 40 <= right;

    if (s >= 10 && down != up) {
        s = tens + up;
        k++;

    } else {
        down = left <= 4 * s;
        up = 4 * s + 4 <= right;

        if (down == up) {
            up = middle > 4 * s + 2 || (middle == 4 * s + 2 && (s & 1));
        }

        s += up;
    }

    while (s % 10 == 0) {
        s /= 10;
        k++;
    }

    h = (int) (gw_write_uint((u_char *) digits, s) - (u_char *) digits);
    *point = h + k;

    return h;
}


/* the upper half of the product, its last bit set where the rest is not 0 */

static uint64_t
agg_pb_round_to_odd(const agg_pb_power_t *power, uint64_t n)
{
    uint64_t  low, high, carry, unused;

    carry = agg_pb_multiply(power->low, n, &unused);
    high = agg_pb_multiply(power->high, n, &low);

    low += carry;
    high += low < carry;

    return high | (low > 1);
}


/* the upper half of the product of two words, and the lower one */

static uint64_t
agg_pb_multiply(uint64_t a, uint64_t b, uint64_t *low)
{
#if (__SIZEOF_INT128__)

    unsigned __int128  product;

    product = (unsigned __int128) a * b;
    *low = (uint64_t) product;

    return (uint64_t) (product >> 64);

#else

    uint64_t  middle, other;

    middle = (a >> 32) * (uint32_t) b + ((uint64_t) (uint32_t) a * (uint32_t) b
                                         >> 32);
    other = (uint64_t) (uint32_t) a * (b >> 32) + (uint32_t) middle;

    *low = a * b;

    return (a >> 32) * (b >> 32) + (middle >> 32) + (other >> 32);

#endif
}


const u_char *
agg_pb_short_decimal(const u_char *p, int single, uint64_t *bits)
{
    float     small;
    double    value;
    int64_t   n;
    uint32_t  half;
    uint64_t  word, below;
    unsigned  negative, others, whole, places, end;

    negative = (*p == '-');
    p += negative;

    others = agg_block_not_digit(p);
    whole = agg_first(others | 1u << AGG_BLOCK);

    if (whole == 0 || whole > AGG_PB_SHORT || (*p == '0' && whole > 1)) {
        return NULL;
    }

    if (p[whole] != '.') {
        places = 0;
        n = (int64_t) agg_pb_digits(p, whole);
        p += whole;

    } else {
        end = agg_first((others & (others - 1)) | 1u << AGG_BLOCK);
        places = end - whole - 1;

        if (places == 0) {
            return NULL;
        }

        if (end <= 8) {

            /* the point is taken out of the word */

            word = agg_word_load(p);
            below = (UINT64_C(1) << 8 * whole) - 1;
            word = (word & below) | (word >> 8 & ~below);

            n = (int64_t) agg_pb_eight_digits(word << 8 * (9 - end));
            p += end;

        } else {
            n = (int64_t) agg_pb_digits(p, whole);
            p += whole + 1;

            places = agg_first(agg_block_not_digit(p) | 1u << AGG_BLOCK);

            if (whole + places > AGG_PB_SHORT) {
                return NULL;
            }

            n = n * (int64_t) agg_pb_tens[places]
                + (int64_t) agg_pb_digits(p, places);
            p += places;
        }
    }

    /* both are exact, so the result is rounded once */

    if (!single) {
        value = (double) n / agg_pb_tens[places];
        value = negative ? -value : value;
        memcpy(bits, &value, sizeof(double));

        return p;
    }

    if (n >> 24 || places > AGG_PB_FLOAT_TENS) {
        return NULL;
    }

    small = (float) n / (float) agg_pb_tens[places];
    small = negative ? -small : small;
    memcpy(&half, &small, sizeof(float));
    *bits = half;

    return p;
}


const u_char *
agg_pb_scan_number(const u_char *p, const u_char *end, agg_pb_decimal_t *d)
{
    u_char         sign;
    int32_t        exponent, scale;
    uint64_t       digits, digit;
    unsigned       n, point;
    const u_char  *start;

    d->negative = 0;
    d->more = 0;

    if (p < end && *p == '-') {
        d->negative = 1;
        p++;
    }

    if (p == end || (u_char) (*p - '0') > 9) {
        return NULL;
    }

    if (*p == '0' && p + 1 < end && (u_char) (p[1] - '0') <= 9) {
        return NULL;
    }

    n = 0;
    scale = 0;
    digits = 0;

    for (point = 0; /* void */ ; point = 1) {

        for (start = p; p < end && (u_char) (*p - '0') <= 9; p++) {

            digit = (uint64_t) (*p - '0');

            if (n < 19 || (n == 19 && digits <= (UINT64_MAX - digit) / 10)) {
                digits = digits * 10 + digit;
                n += digits != 0;
                scale -= (int32_t) point;
                continue;
            }

            d->more |= *p != '0';
            scale += !point;
        }

        if (p == start) {
            return NULL;
        }

        if (point || p == end || *p != '.') {
            break;
        }

        p++;
    }

    if (p < end && (*p | 0x20) == 'e') {
        p++;
        sign = 0;
        exponent = 0;

        if (p < end && (*p == '+' || *p == '-')) {
            sign = *p == '-';
            p++;
        }

        for (start = p; p < end && (u_char) (*p - '0') <= 9; p++) {
            if (exponent < 100000000) {
                exponent = exponent * 10 + (*p - '0');
            }
        }

        if (p == start) {
            return NULL;
        }

        scale += sign ? -exponent : exponent;
    }

    d->digits = digits;
    d->exponent = scale;
    d->kept = (u_char) n;

    return p;
}


/* the magnitude of an integer: 0, or -1 */

static int
agg_pb_integer(const agg_pb_decimal_t *d, uint64_t *n)
{
    int32_t   exponent;
    uint64_t  digits;

    digits = d->digits;
    exponent = d->exponent;

    if (d->more) {
        return -1;
    }

    if (digits == 0) {
        *n = 0;
        return 0;
    }

    while (exponent < 0 && digits % 10 == 0) {
        digits /= 10;
        exponent++;
    }

    if (exponent < 0 || exponent > 19) {
        return -1;
    }

    for ( /* void */ ; exponent; exponent--) {
        if (digits > UINT64_MAX / 10) {
            return -1;
        }

        digits *= 10;
    }

    *n = digits;

    return 0;
}


int
agg_pb_decimal_uint(const agg_pb_decimal_t *d, unsigned bits, uint64_t *n)
{
    if (agg_pb_integer(d, n) != 0) {
        return -1;
    }

    if ((d->negative && *n != 0) || (bits < 64 && *n >> bits)) {
        return -1;
    }

    return 0;
}


int
agg_pb_decimal_int(const agg_pb_decimal_t *d, unsigned bits, int64_t *n)
{
    uint64_t  m, most;

    if (agg_pb_integer(d, &m) != 0) {
        return -1;
    }

    most = (uint64_t) 1 << (bits - 1);

    if (m > most || (m == most && !d->negative)) {
        return -1;
    }

    *n = (int64_t) (d->negative ? 0 - m : m);

    return 0;
}


int
agg_pb_decimal_double(const agg_pb_decimal_t *d, const u_char *p,
    const u_char *end, double *n)
{
    char    text[AGG_PB_MAX_TEXT + 32];
    double  value;

    if (!d->more && d->digits < (uint64_t) 1 << 53
        && d->exponent >= -22 && d->exponent <= 22)
    {
        /* both are exact, so the result is rounded once */

        value = (double) d->digits;

        if (d->exponent < 0) {
            value /= agg_pb_tens[-d->exponent];

        } else {
            value *= agg_pb_tens[d->exponent];
        }

        *n = d->negative ? -value : value;

        return 0;
    }

    agg_pb_text(d, p, end, text);
    value = strtod(text, NULL);

    *n = d->negative ? -value : value;

    return (value - value == 0) ? 0 : -1;
}


int
agg_pb_decimal_float(const agg_pb_decimal_t *d, const u_char *p,
    const u_char *end, float *n)
{
    char   text[AGG_PB_MAX_TEXT + 32];
    float  value;

    if (!d->more && d->digits < (uint64_t) 1 << 24
        && d->exponent >= -10 && d->exponent <= 10)
    {
        value = (float) d->digits;

        if (d->exponent < 0) {
            value /= (float) agg_pb_tens[-d->exponent];

        } else {
            value *= (float) agg_pb_tens[d->exponent];
        }

        *n = d->negative ? -value : value;

        return 0;
    }

    agg_pb_text(d, p, end, text);
    value = strtof(text, NULL);

    *n = d->negative ? -value : value;

    return (value - value == 0) ? 0 : -1;
}


/*
 * The decimal without a point, which a locale may want otherwise.  Digits that
 * do not fit are beyond what can decide, but for not being zero.
 */

static void
agg_pb_text(const agg_pb_decimal_t *d, const u_char *p, const u_char *end,
    char *text)
{
    int       n;
    int64_t   exponent;
    unsigned  point;

    n = 0;
    point = 0;
    exponent = d->exponent;

    if (!d->more) {
        n = (int) (gw_write_uint((u_char *) text, d->digits)
                   - (u_char *) text);

    } else {

        for ( /* void */ ; p < end && (*p | 0x20) != 'e'; p++) {

            if ((u_char) (*p - '0') > 9 || (n == 0 && *p == '0')) {
                continue;
            }

            if (n < AGG_PB_MAX_TEXT - 1) {
                text[n++] = (char) *p;

                /* the first ones are those of the exponent */

                exponent -= n > d->kept;

            } else if (*p != '0') {
                point = 1;
            }
        }

        if (point) {
            text[n++] = '1';
            exponent--;
        }
    }

    (void) snprintf(text + n, 24, "e%lld", (long long) exponent);
}
