
/*
 * Which node of a Redis Cluster a key belongs to, and what the nodes and
 * sentinels say about each other.
 */

#ifndef _AGG_REDIS_CLUSTER_H_INCLUDED_
#define _AGG_REDIS_CLUSTER_H_INCLUDED_


#include <sys/types.h>
#include <stddef.h>
#include <stdint.h>


#pragma GCC visibility push(hidden)


#define AGG_REDIS_SLOTS     16384

/* the longest name of a host */
#define AGG_REDIS_HOST_MAX  255


/* host is not terminated; a length of 0: the host that says so */

typedef struct {
    const char              *host;
    size_t                   length;
    unsigned                 port;
} agg_redis_address_t;


/* the slot of a key, by its first {...} where that is not empty */
unsigned agg_redis_slot(const u_char *key, size_t len);

/*
 * "MOVED 3999 127.0.0.1:6381": the text of an error after the word and the
 * blank.  0, or -1: it is of another form.
 */
int agg_redis_moved(const char *text, size_t len, unsigned *slot,
    agg_redis_address_t *address);

/*
 * The masters of a reply to CLUSTER SLOTS: calls handler for each range of
 * slots, first to last.  Returns the number of slots, or -1: not of that
 * form.  Ranges without a known address are passed over.
 */
int agg_redis_slots(void *reply, void (*handler)(void *ctx, unsigned first,
    unsigned last, const agg_redis_address_t *address), void *ctx);

/* a reply to SENTINEL get-master-addr-by-name; 0, or -1: there is none */
int agg_redis_master(void *reply, agg_redis_address_t *address);

/*
 * A message of +switch-master.  1: of the master of that name, address is
 * the new one; 0: something else.
 */
int agg_redis_switched(void *reply, const char *name, size_t len,
    agg_redis_address_t *address);


#pragma GCC visibility pop


#endif /* _AGG_REDIS_CLUSTER_H_INCLUDED_ */
