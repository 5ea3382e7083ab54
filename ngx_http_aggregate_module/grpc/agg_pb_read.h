
/* shared by the files of the reader of JSON */


#ifndef AGG_PB_READ_H_INCLUDED
#define AGG_PB_READ_H_INCLUDED


#include "agg_pb_from_json.h"
#include "agg_pb_keys.h"
#include "agg_pb_text.h"


#pragma GCC visibility push(hidden)


#define AGG_PB_SEEN  32


typedef enum {
    AGG_PB_READ_MEMBERS = 0,
    AGG_PB_READ_LIST,
    AGG_PB_READ_MAP,
    AGG_PB_READ_ANY             /* of a type whose JSON is its own */
} agg_pb_read_e;


/* an open object or list */

typedef struct {
    agg_pb_read_e             state;
    unsigned                  first:1;
    unsigned                  any:1;        /* "@type" may stand in it */
    unsigned                  done:1;       /* the value of an Any was read */
    unsigned                  typed:1;      /* "@type" was read */
    unsigned                  packed:1;     /* a packed list has begun */
    uint32_t                  nopen;        /* lengths left open at the end */
    uint32_t                  group;        /* its end tag, or 0 */
    uint32_t                  seen;         /* where its bits start */
    uint32_t                  next;         /* the field that may come next */
    uint32_t                  top;          /* behind all that have come */
    uint32_t                  index;        /* of a list's element */
    uint32_t                  scope;        /* of a map's keys */
    const agg_pb_message_t   *m;
    const agg_pb_field_t     *field;        /* of a list or a map */
    agg_str_t                 name;         /* of the member, raw */
} agg_pb_level_t;


typedef struct {
    const agg_pb_pool_t      *pool;
    const agg_pb_read_t      *options;
    agg_pb_error_t           *err;
    const agg_pb_field_t     *root;         /* the body is this field */

    const u_char             *start;
    const u_char             *p;
    const u_char             *end;
    size_t                    looked;       /* bytes left to look ahead */
    const u_char             *last;         /* where quick values may begin */

    uint32_t                 *seen;         /* bits of fields and oneofs */
    uint32_t                  nseen;
    uint32_t                  seen_size;

    uint32_t                  depth;
    uint32_t                  scopes;
    agg_buf_t                 text;         /* a text without its escapes */

    agg_pb_keys_t             keys;
    agg_pb_writer_t           w;
    agg_pb_level_t            levels[AGG_PB_DEPTH];
    uint32_t                  seen_first[AGG_PB_SEEN];
} agg_pb_json_t;


/* a JSON string, without its quotes */

typedef struct {
    agg_str_t                 raw;
    unsigned                  escaped;
} agg_pb_string_t;


static inline void
agg_pb_space(agg_pb_json_t *r)
{
    while (r->p < r->end && *r->p <= ' '
           && (*r->p == ' ' || *r->p == '\n' || *r->p == '\r'
               || *r->p == '\t'))
    {
        r->p++;
    }
}


/* over one byte, if it is there */

static inline int
agg_pb_byte(agg_pb_json_t *r, u_char c)
{
    if (r->p == r->end || *r->p != c) {
        return 0;
    }

    r->p++;

    return 1;
}


/* AGG_INVALID with the path of the current value, and a text */

agg_rc_e agg_pb_refuse(agg_pb_json_t *r, const char *what);
agg_rc_e agg_pb_refuse_name(agg_pb_json_t *r, const char *what,
    const agg_str_t *name);
agg_rc_e agg_pb_refuse_syntax(agg_pb_json_t *r);


/* moves to the next member or element, or after the end */

static inline agg_rc_e
agg_pb_next(agg_pb_json_t *r, agg_pb_level_t *level, u_char close,
    unsigned *end)
{
    agg_pb_space(r);

    *end = 0;

    if (r->p < r->end && *r->p == close) {
        r->p++;
        *end = 1;
        return AGG_OK;
    }

    if (level->first && r->p < r->end) {
        level->first = 0;
        return AGG_OK;
    }

    if (r->p == r->end || *r->p != ',') {
        level->name.len = 0;
        return agg_pb_refuse_syntax(r);
    }

    r->p++;
    agg_pb_space(r);

    return AGG_OK;
}


static inline agg_rc_e
agg_pb_colon(agg_pb_json_t *r)
{
    agg_pb_space(r);

    if (r->p == r->end || *r->p != ':') {
        return agg_pb_refuse_syntax(r);
    }

    r->p++;
    agg_pb_space(r);

    return AGG_OK;
}


/*
 * Reads at r->p: a string; a word such as null, 1 or 0; any value, which is
 * skipped.  "text" is the decoded string, in the input or in r->text.
 */

agg_rc_e agg_pb_string(agg_pb_json_t *r, agg_pb_string_t *s);
agg_rc_e agg_pb_decode(agg_pb_json_t *r, const agg_pb_string_t *s,
    agg_str_t *text);
int agg_pb_word(agg_pb_json_t *r, const char *word, size_t len);
agg_rc_e agg_pb_pass(agg_pb_json_t *r);

/* skips a name and a colon, up to the value */

agg_rc_e agg_pb_next_member(agg_pb_json_t *r, agg_pb_level_t *level,
    agg_pb_string_t *name, unsigned *end);

/* finds "@type" in the object at r->p, without moving */

agg_rc_e agg_pb_find_type(agg_pb_json_t *r, agg_str_t *type);


/*
 * Writes the scalar at r->p, with its tag or as an element of a packed list.
 * absent: the default is omitted.  *drop is set if the name of an enum's value
 * is unknown and ignored.
 */

agg_rc_e agg_pb_scalar(agg_pb_json_t *r, const agg_pb_field_t *f, int tag,
    int absent, unsigned *drop);

/* a message whose JSON is a single string */

agg_rc_e agg_pb_text_value(agg_pb_json_t *r, const agg_pb_message_t *m,
    const agg_pb_field_t *f);

/* the key of a pair of a map, from the name of a member */

agg_rc_e agg_pb_read_key(agg_pb_json_t *r, agg_pb_level_t *level,
    const agg_pb_string_t *name);


#pragma GCC visibility pop


#endif /* AGG_PB_READ_H_INCLUDED */
