
/*
 * SipHash-1-3 (Aumasson and Bernstein, 2012), for tables whose keys a client
 * or a backend chooses: without the key nobody can choose collisions.  The
 * value is the same on every machine.  A byte costs about a nanosecond.
 */


#ifndef _GW_SIPHASH_H_INCLUDED_
#define _GW_SIPHASH_H_INCLUDED_


#include <stddef.h>
#include <stdint.h>


#pragma GCC visibility push(hidden)


uint64_t gw_siphash(const uint64_t key[2], const uint8_t *data, size_t len);


#pragma GCC visibility pop


#endif /* _GW_SIPHASH_H_INCLUDED_ */
