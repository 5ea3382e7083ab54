
/*
 * Failures inside a document: responses with the status 200 that report an
 * error, such as {"errors":[...]}.
 */


#ifndef AGG_CONTENT_H_INCLUDED
#define AGG_CONTENT_H_INCLUDED


#include "agg_path.h"


#pragma GCC visibility push(hidden)


/*
 * Whether the path leads to a value that is not null, false or an empty array;
 * all of several duplicate members are checked.  The document is valid JSON.
 * One pass over the values on the path, without allocations.
 */

int agg_content_fails(const agg_path_t *path, const agg_str_t *doc);


#pragma GCC visibility pop


#endif /* AGG_CONTENT_H_INCLUDED */
