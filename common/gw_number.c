
/* see gw_number.h */


#include "gw_number.h"


const char  gw_hundred[201] =
    "00010203040506070809101112131415161718192021222324252627282930313233343536"
    "37383940414243444546474849505152535455565758596061626364656667686970717273"
    "7475767778798081828384858687888990919293949596979899";


/* with leading zeros */

static inline uint8_t *
gw_write_four(uint8_t *p, unsigned n)
{
    p = gw_write_pair(p, n / 100);

    return gw_write_pair(p, n % 100);
}


uint8_t *
gw_write_uint(uint8_t *p, uint64_t n)
{
    unsigned  low;

    if (n < 10) {
        *p = (uint8_t) ('0' + n);
        return p + 1;
    }

    if (n < 100) {
        return gw_write_pair(p, (unsigned) n);
    }

    if (n < 10000) {
        low = (unsigned) n;
        p = gw_write_uint(p, low / 100);

        return gw_write_pair(p, low % 100);
    }

    if (n < 100000000) {
        low = (unsigned) n;
        p = gw_write_uint(p, low / 10000);

        return gw_write_four(p, low % 10000);
    }

    low = (unsigned) (n % 100000000);

    p = gw_write_uint(p, n / 100000000);
    p = gw_write_four(p, low / 10000);

    return gw_write_four(p, low % 10000);
}


uint8_t *
gw_write_int(uint8_t *p, int64_t n)
{
    if (n < 0) {
        *p++ = '-';
        return gw_write_uint(p, 0 - (uint64_t) n);
    }

    return gw_write_uint(p, (uint64_t) n);
}
