
/* Integers as decimal digits, without leading zeros; the end is returned. */


#ifndef _GW_NUMBER_H_INCLUDED_
#define _GW_NUMBER_H_INCLUDED_


#include <stdint.h>
#include <string.h>


#pragma GCC visibility push(hidden)


/* the numbers below a hundred, with two digits each */

extern const char  gw_hundred[201];


/* room that one of them may need */

#define GW_NUMBER  20

uint8_t *gw_write_uint(uint8_t *p, uint64_t n);
uint8_t *gw_write_int(uint8_t *p, int64_t n);


/* n below 100, with two digits */

static inline uint8_t *
gw_write_pair(uint8_t *p, unsigned n)
{
    memcpy(p, gw_hundred + n * 2, 2);

    return p + 2;
}


#pragma GCC visibility pop


#endif /* _GW_NUMBER_H_INCLUDED_ */
