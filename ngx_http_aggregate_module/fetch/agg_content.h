
/*
 * Failures within a document: responses that say 200 and mean something else,
 * such as {"errors":[...]}.
 */


#ifndef AGG_CONTENT_H_INCLUDED
#define AGG_CONTENT_H_INCLUDED


#include "agg_path.h"


#pragma GCC visibility push(hidden)


/*
 * True where the path leads to a value that is neither null, false nor an empty
 * array; of duplicate members all are looked at.  The document is valid JSON.
 * One pass over what the path names; no memory.
 */

int agg_content_fails(const agg_path_t *path, const agg_str_t *doc);


#pragma GCC visibility pop


#endif /* AGG_CONTENT_H_INCLUDED */
