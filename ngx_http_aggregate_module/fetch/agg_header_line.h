
/*
 * Field lines of a response's header in their usual form: a name, a colon, a
 * value that ends with CR LF.  What has another form is for nginx to parse.
 */


#ifndef AGG_HEADER_LINE_H_INCLUDED
#define AGG_HEADER_LINE_H_INCLUDED


#include "agg_json.h"


#pragma GCC visibility push(hidden)


/* names are shorter than this: they are found in two blocks */

#define AGG_HEADER_NAME  32

/* a line of up to this length is compared with the last one of its name */

#define AGG_HEADER_LINE  48


/*
 * A name, in lower case too, with the hash that nginx makes of it.  Both texts
 * end with a zero.  "line" is the last one, or the last that was short enough.
 * All from "noted" on is the caller's, and zero at first; "noted" becomes zero
 * again when another line takes the place of "line".
 */

typedef struct agg_header_name_s  agg_header_name_t;

struct agg_header_name_s {
    u_char              text[AGG_HEADER_NAME];
    u_char              lowcase[AGG_HEADER_NAME];
    size_t              len;
    uint64_t            hash;
    agg_header_name_t  *next;       /* of the line that followed, or NULL */

    u_char              line[AGG_HEADER_LINE];
    uint64_t            mask;       /* a bit for each byte of the line */
    unsigned            size;
    unsigned            value_at;
    unsigned            value_len;

    int                 noted;
    int                 kind;
    long                note;
    void               *data;
    const void         *hides;
    int                 hidden;
};


/*
 * Names that were seen before; all zero at first.  A name that has got a place
 * keeps it for good.  The ones that find none share "other", whose texts and
 * data are valid until the next call.
 */

#define AGG_HEADER_NAMES  128

typedef struct {
    agg_header_name_t   names[AGG_HEADER_NAMES];
    agg_header_name_t   other;
    agg_header_name_t   start;      /* "next" is the name of a first line */
    agg_header_name_t  *last;       /* of the line before, or &start */
} agg_header_names_t;


typedef struct {
    agg_header_name_t  *name;
    agg_str_t           value;      /* without spaces around it */
    u_char             *next;       /* behind CR LF */
} agg_header_line_t;


/*
 * Up to n lines at p, and their number.  It is less if the next line is not
 * whole, too near to the end, or not of that form, or to be taken alone.
 */

size_t agg_header_lines(agg_header_line_t *lines, size_t n,
    agg_header_names_t *names, u_char *p, const u_char *end);


/* whether the next line of that name is compared with this one */

static inline int
agg_header_kept(const agg_header_line_t *line)
{
    const agg_header_name_t  *name;

    name = line->name;

    return name->value_len == line->value.len
           && memcmp(name->line + name->value_at, line->value.data,
                     line->value.len)
              == 0;
}


/* the name whose text in lower case this is; NULL: it has no place */

static inline agg_header_name_t *
agg_header_known(agg_header_names_t *names, const u_char *lowcase)
{
    size_t  i;

    i = (size_t) ((uintptr_t) lowcase - (uintptr_t) names->names)
        / sizeof(agg_header_name_t);

    return (i < AGG_HEADER_NAMES && names->names[i].lowcase == lowcase)
           ? &names->names[i] : NULL;
}


#pragma GCC visibility pop


#endif /* AGG_HEADER_LINE_H_INCLUDED */
