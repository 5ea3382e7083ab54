
/*
 * A field line of a response's header in its usual form: a name, a colon, a
 * value that ends with CR LF.  What has another form is for nginx to parse.
 */


#ifndef AGG_HEADER_LINE_H_INCLUDED
#define AGG_HEADER_LINE_H_INCLUDED


#include "agg_json.h"


#pragma GCC visibility push(hidden)


/* names are shorter than this: they are found in two blocks */

#define AGG_HEADER_NAME  32


/*
 * A name in lower case, with the hash that nginx makes of it.  The caller keeps
 * data with it, and sets "complete" when it has.
 */

typedef struct {
    u_char            text[AGG_HEADER_NAME];
    u_char            lowcase[AGG_HEADER_NAME];
    size_t            len;
    uint64_t          hash;
    void             *data;
    int               complete;
} agg_header_name_t;


/* names that were seen before; all zero at first */

#define AGG_HEADER_NAMES  64

typedef struct {
    agg_header_name_t   names[AGG_HEADER_NAMES];
} agg_header_names_t;


typedef struct {
    agg_header_name_t  *name;
    agg_str_t           value;      /* without spaces around it */
    u_char             *next;       /* behind CR LF */
} agg_header_line_t;


/* 0: the line is not whole, too near to the end, or not of that form */

int agg_header_line(agg_header_line_t *line, agg_header_names_t *names,
    u_char *p, const u_char *end);


#pragma GCC visibility pop


#endif /* AGG_HEADER_LINE_H_INCLUDED */
