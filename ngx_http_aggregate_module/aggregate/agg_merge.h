
/*
 * Members of the answer's root that more than one part wants to set.
 *
 * A source is a part, by its declared number: either one member with a given
 * name, or all members of an object ("merge").  The table says which source
 * owns a name.  Names are compared decoded; duplicates within one source stay
 * together.  Open addressing, with a keyed hash (SipHash-1-3), since backends
 * choose the names; linear in the bytes of the names.
 */

#ifndef _AGG_MERGE_H_INCLUDED_
#define _AGG_MERGE_H_INCLUDED_


#include <stdint.h>

#include "agg_json.h"


#pragma GCC visibility push(hidden)


typedef enum {
    AGG_MERGE_LAST = 0,         /* the last declared source owns a name */
    AGG_MERGE_FIRST,
    AGG_MERGE_ERROR             /* a name of two sources is a conflict */
} agg_merge_e;


typedef struct {
    agg_str_t               name;       /* raw, data == NULL: a free slot */
    uint64_t                hash;
    unsigned                source;
} agg_merge_slot_t;


typedef struct {
    agg_merge_slot_t       *slots;
    size_t                  mask;
    size_t                  used;
    agg_merge_e             policy;
    uint64_t                key[2];
    agg_mem_t              *mem;
} agg_merge_t;


/* key is secret and random, 16 bytes; returns AGG_OK or AGG_NOMEM */
agg_rc_e agg_merge_init(agg_merge_t *m, agg_merge_e policy,
    const uint64_t key[2], agg_mem_t *mem);

/*
 * Adds a source; sources are added in declared order.  name is the raw name
 * for its one member, or NULL to add the members of object, which must be a
 * valid JSON object.  The names must outlive m.
 *
 * Returns AGG_OK, AGG_NOMEM, or AGG_INVALID under AGG_MERGE_ERROR where an
 * earlier source has one of the names: then nothing is added.
 */
agg_rc_e agg_merge_add(agg_merge_t *m, unsigned source,
    const agg_str_t *name, const agg_str_t *object);

/* true where source owns the member with the raw name */
int agg_merge_owns(agg_merge_t *m, unsigned source, const agg_str_t *name);


#pragma GCC visibility pop


#endif /* _AGG_MERGE_H_INCLUDED_ */
