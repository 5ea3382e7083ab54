
/*
 * The treatment of headers by name: one table serves all rooms, so that a name
 * is hop-by-hop either everywhere or nowhere.
 *
 * Hop-by-hop are the fields of RFC 9110, 7.6.1, those of older RFCs that are
 * still in use, and the fields that a Connection field lists, which only the
 * caller knows.
 */

#ifndef _AGG_HEADER_NAMES_H_INCLUDED_
#define _AGG_HEADER_NAMES_H_INCLUDED_


#include <sys/types.h>
#include <stddef.h>
#include <stdint.h>


#pragma GCC visibility push(hidden)


#define AGG_HEADER_HOP         0x0001  /* hop-by-hop */

/* flags for the headers of a client's request */

#define AGG_HEADER_NO_FORWARD  0x0002  /* not for the subrequest of a part */
#define AGG_HEADER_NO_SET      0x0004  /* not to be set by "header" */
#define AGG_HEADER_NO_FILL     0x0008  /* not for the fill of a cache */
#define AGG_HEADER_NO_COPY     0x0010  /* not for a request of its own */
#define AGG_HEADER_NO_SHAPE    0x0020  /* not for what is to be shaped, */
#define AGG_HEADER_CONDITION   0x0040  /* these with GET and HEAD only */
#define AGG_HEADER_KEYED       0x0080  /* part of the key of a cache */

/* flags for the headers of a response */

#define AGG_HEADER_NO_PASS     0x0100  /* not from a part to the answer */
#define AGG_HEADER_NO_STORE    0x0200  /* not to be stored as it is */


/* the flags of a name, in any case; 0: it has no special treatment */
unsigned agg_header_flags(const u_char *name, size_t len);

/* a bit for each character of a token (RFC 9110, 5.6.2) */
extern const uint32_t  agg_token_characters[];


static inline int
agg_is_token(u_char c)
{
    return (agg_token_characters[c >> 5] >> (c & 0x1f)) & 1;
}


#pragma GCC visibility pop


#endif /* _AGG_HEADER_NAMES_H_INCLUDED_ */
