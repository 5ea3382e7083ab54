
/*
 * Dependencies between the parts of an aggregate: finds a cycle.
 *
 * The graph is a square matrix of bytes: needs[i * n + k] is not zero where
 * part i needs part k.  Depth-first search with three colours and a stack of
 * its own, O(n * n) time, at configuration time.
 */

#ifndef _AGG_GRAPH_H_INCLUDED_
#define _AGG_GRAPH_H_INCLUDED_


#include <stddef.h>


#pragma GCC visibility push(hidden)


/*
 * Looks for a cycle.  work must have room for 2 * n elements.  Returns the
 * number of parts on the cycle, which are then the first ones of work, in
 * order, each needing the next and the last one the first; 0: no cycle.
 */
size_t agg_graph_cycle(const unsigned char *needs, size_t n, size_t *work);


#pragma GCC visibility pop


#endif /* _AGG_GRAPH_H_INCLUDED_ */
