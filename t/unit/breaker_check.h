
/* the common part of the unit tests of the breaker */


#ifndef _BREAKER_CHECK_H_INCLUDED_
#define _BREAKER_CHECK_H_INCLUDED_


#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>


static unsigned long  checks;


#define check(x, ...)                                                         \
    do {                                                                      \
        checks++;                                                             \
        if (!(x)) {                                                           \
            fprintf(stderr, "%s:%d: failed: %s: ", __FILE__, __LINE__, #x);   \
            fprintf(stderr, __VA_ARGS__);                                     \
            fprintf(stderr, "\n");                                            \
            exit(1);                                                          \
        }                                                                     \
    } while (0)


static inline uint32_t
random32(uint64_t *seed)
{
    *seed ^= *seed << 13;
    *seed ^= *seed >> 7;
    *seed ^= *seed << 17;

    return (uint32_t) (*seed >> 32);
}


static inline uint32_t
below(uint64_t *seed, uint32_t n)
{
    return random32(seed) % n;
}


#endif /* _BREAKER_CHECK_H_INCLUDED_ */
