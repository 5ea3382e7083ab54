
/*
 * Fields of a request message from strings: variables of a path,
 * parameters of a query.
 *
 * A message is made of pieces, one after the other in one buffer, which every
 * reader of protobuf merges: the body's first, then those of the parameters,
 * and at last those of the path, whose scalars so win over the body's.
 *
 *     agg_pb_bind_init(&bind, message, read options, &buf);
 *     agg_pb_bind_body(&bind, field of "body" or NULL for "*");
 *     agg_pb_bind_reserve(&bind, path)    of each variable of the path
 *     agg_pb_bind_query(&bind, name, value, &err)   of each parameter
 *     agg_pb_bind_path(&bind, path, value, &err)    of each variable
 */


#ifndef AGG_PB_BIND_H_INCLUDED
#define AGG_PB_BIND_H_INCLUDED


#include "agg_pb_from_json.h"


#pragma GCC visibility push(hidden)


/* the most fields of a dotted path, including the one that is bound */

#define AGG_PB_PATH  32

/* the most parameters and variables of a request */

#define AGG_PB_BOUND  1000


typedef struct {
    unsigned                  n;
    const agg_pb_field_t     *fields[AGG_PB_PATH];
} agg_pb_path_t;


typedef struct {
    uint64_t                  path;         /* hash of the fields */
    uint32_t                  field;        /* + 1; of a oneof: its member */
    u_char                    by;
} agg_pb_bound_t;


typedef struct {
    const agg_pb_message_t   *message;
    const agg_pb_read_t      *options;      /* the key of the hashes */
    agg_buf_t                *out;
    agg_pb_bound_t           *bound;
    uint32_t                  nbound;
    uint32_t                  size;
    unsigned                  all:1;        /* the body is "*" */
} agg_pb_bind_t;


/*
 * Resolves a variable of a template, such as "user.id", during configuration:
 * proto or JSON names, through singular messages, to a singular scalar, an
 * enum, or a well-known type that is a single string.  AGG_OK, or AGG_INVALID
 * with a text.
 */

agg_rc_e agg_pb_path(const agg_pb_message_t *m, const agg_str_t *name,
    agg_pb_path_t *path, agg_pb_error_t *err);


/* allocates nothing; later allocations are freed together with out->mem */

void agg_pb_bind_init(agg_pb_bind_t *bind, const agg_pb_message_t *m,
    const agg_pb_read_t *options, agg_buf_t *out);

/* marks the fields that parameters may not set: AGG_OK, AGG_NOMEM */

agg_rc_e agg_pb_bind_body(agg_pb_bind_t *bind, const agg_pb_field_t *field);
agg_rc_e agg_pb_bind_reserve(agg_pb_bind_t *bind, const agg_pb_path_t *path);


/*
 * Both take decoded text and append to out.  AGG_OK; AGG_NOT_FOUND with a text:
 * there is no such field, which the caller may ignore; AGG_INVALID with a text;
 * AGG_TOO_LARGE: over out->max; AGG_NOMEM.  Out is unchanged after an error.
 */

agg_rc_e agg_pb_bind_query(agg_pb_bind_t *bind, const agg_str_t *name,
    const agg_str_t *value, agg_pb_error_t *err);
agg_rc_e agg_pb_bind_path(agg_pb_bind_t *bind, const agg_pb_path_t *path,
    const agg_str_t *value, agg_pb_error_t *err);


#pragma GCC visibility pop


#endif /* AGG_PB_BIND_H_INCLUDED */
