
/* see agg_graph.h */

#include <string.h>

#include "agg_graph.h"


#define AGG_GRAPH_NEW   0
#define AGG_GRAPH_DONE  ((size_t) -1)


/*
 * stack[0 .. depth - 1] is the path from a root to the current part, next[i] is
 * where the search in the needs of part i continues, plus one.
 */

size_t
agg_graph_cycle(const unsigned char *needs, size_t n, size_t *work)
{
    size_t   i, k, root, depth, *stack, *next;

    stack = work;
    next = work + n;

    for (i = 0; i < n; i++) {
        next[i] = AGG_GRAPH_NEW;
    }

    for (root = 0; root < n; root++) {

        if (next[root] != AGG_GRAPH_NEW) {
            continue;
        }

        stack[0] = root;
        next[root] = 1;
        depth = 1;

        while (depth > 0) {
            i = stack[depth - 1];
            k = next[i] - 1;

            if (k == n) {
                next[i] = AGG_GRAPH_DONE;
                depth--;
                continue;
            }

            next[i]++;

            if (!needs[i * n + k] || next[k] == AGG_GRAPH_DONE) {
                continue;
            }

            if (next[k] == AGG_GRAPH_NEW) {
                stack[depth++] = k;
                next[k] = 1;
                continue;
            }

            /* the part is already on the path */

            for (i = 0; stack[i] != k; i++) { /* void */ }

            memmove(stack, stack + i, (depth - i) * sizeof(size_t));

            return depth - i;
        }
    }

    return 0;
}
