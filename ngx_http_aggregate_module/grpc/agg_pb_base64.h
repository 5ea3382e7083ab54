
/* base64 of either alphabet, with or without its padding */


#ifndef AGG_PB_BASE64_H_INCLUDED
#define AGG_PB_BASE64_H_INCLUDED


#include "agg_pb.h"


#pragma GCC visibility push(hidden)


/* the size that is always enough for the result */

#define agg_pb_base64_size(len)  ((len) / 4 * 3 + 3)

/*
 * Decodes len characters; dst may be the same address.  Returns the end of the
 * result, or NULL if they are not base64.  Remaining bits are dropped.
 */

u_char *agg_pb_base64(u_char *dst, const u_char *src, size_t len);


#pragma GCC visibility pop


#endif /* AGG_PB_BASE64_H_INCLUDED */
