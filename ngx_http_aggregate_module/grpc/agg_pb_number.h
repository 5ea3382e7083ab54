
/*
 * Numbers as JSON has them.
 *
 * Printing: the shortest text that reads back as the same double or float, in
 * the form of ECMAScript's Number::toString.  Reading: the nearest double or
 * float, halfway to even.  Both are exact, and know no locale.
 * Cost: a few dozen instructions to print numbers of few decimals, some two
 * hundred for the others, which are printed by the Schubfach algorithm
 * (Giulietti, 2020).  Reading leaves long numbers to strtod.
 */


#ifndef AGG_PB_NUMBER_H_INCLUDED
#define AGG_PB_NUMBER_H_INCLUDED


#include "agg_block.h"
#include "agg_pb.h"
#include "gw_number.h"


#pragma GCC visibility push(hidden)


#define AGG_PB_POWER_MIN  (-292)
#define AGG_PB_POWER_MAX  324


typedef struct {
    uint64_t       high;
    uint64_t       low;
} agg_pb_power_t;


extern const agg_pb_power_t  agg_pb_powers[AGG_PB_POWER_MAX
                                           - AGG_PB_POWER_MIN + 1];


/* room that each of the printers may need */

#define AGG_PB_NUMBER  32


/* finite numbers only */

u_char *agg_pb_print_double(u_char *p, double n);
u_char *agg_pb_print_float(u_char *p, float n);


/*
 * The value of digits at p, sixteen at most, the last eight of which, or as
 * many from p on, can be read as a word.
 */

static inline uint64_t
agg_pb_eight_digits(uint64_t w)
{
    w = (w & 0x0f0f0f0f0f0f0f0fULL) * 2561 >> 8;
    w = (w & 0x00ff00ff00ff00ffULL) * 6553601 >> 16;

    return (w & 0x0000ffff0000ffffULL) * 42949672960001ULL >> 32;
}


static inline uint64_t
agg_pb_digits(const u_char *p, unsigned n)
{
    if (n <= 8) {
        return agg_pb_eight_digits(agg_word_load(p) << (64 - 8 * n));
    }

    return agg_pb_eight_digits(agg_word_load(p) << (128 - 8 * n)) * 100000000
           + agg_pb_eight_digits(agg_word_load(p + n - 8));
}


/*
 * A double's or a float's bits from a number without an exponent and with up
 * to fifteen digits, of a float's seven or eight, p to p[34] being readable.
 * The end, or NULL: it is another number, or none.
 */

const u_char *agg_pb_short_decimal(const u_char *p, int single,
    uint64_t *bits);


/* a JSON number taken apart */

typedef struct {
    uint64_t       digits;      /* the first 19 or 20, no leading zeros */
    int32_t        exponent;    /* of the last of these digits */
    u_char         kept;        /* how many they are */
    unsigned       negative:1;
    unsigned       more:1;      /* a digit that is not zero was left out */
} agg_pb_decimal_t;


/* by RFC 8259, from p on; the end of the number, or NULL: there is none */

const u_char *agg_pb_scan_number(const u_char *p, const u_char *end,
    agg_pb_decimal_t *d);

/* 0, or -1: not an integer, or not in the range of so many bits */

int agg_pb_decimal_uint(const agg_pb_decimal_t *d, unsigned bits, uint64_t *n);
int agg_pb_decimal_int(const agg_pb_decimal_t *d, unsigned bits, int64_t *n);

/*
 * The text that the decimal was scanned from is p .. end.  0; or -1: not
 * finite.
 */

int agg_pb_decimal_double(const agg_pb_decimal_t *d, const u_char *p,
    const u_char *end, double *n);
int agg_pb_decimal_float(const agg_pb_decimal_t *d, const u_char *p,
    const u_char *end, float *n);


#pragma GCC visibility pop


#endif /* AGG_PB_NUMBER_H_INCLUDED */
