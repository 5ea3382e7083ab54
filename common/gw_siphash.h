
/*
 * SipHash-1-3 (Aumasson and Bernstein, 2012), for tables whose keys come from
 * clients or backends: without the hash key nobody can produce collisions.  The
 * value is the same on every machine.  Cost: about a nanosecond per byte.
 */


#ifndef _GW_SIPHASH_H_INCLUDED_
#define _GW_SIPHASH_H_INCLUDED_


#include <stddef.h>
#include <stdint.h>


#pragma GCC visibility push(hidden)


uint64_t gw_siphash(const uint64_t key[2], const uint8_t *data, size_t len);


#pragma GCC visibility pop


#endif /* _GW_SIPHASH_H_INCLUDED_ */
