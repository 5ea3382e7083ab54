
/*
 * Shapes: statements compiled once, run over the bytes of a document as they
 * arrive.
 *
 * Given:    statements at configuration time, the document in pieces of any
 *           size at run time.
 * Promises: what stays is copied byte for byte; every cutting of the document
 *           into pieces gives the same output; errors are found wherever they
 *           are, in what is dropped too; out->max bounds what is held.
 * Cost:     one pass for target, limit, allow, deny, rename, into and what
 *           move takes out, then one copying pass over the output for each
 *           move and set.  A shape with an index from the end holds the
 *           document until it is complete and makes the pass then.
 *
 * Order, whatever the order of writing: target, limit, allow, deny, rename,
 * into, move, set; statements of one kind in written order.  Paths of allow,
 * deny, rename, into and the source of move name the document as it is after
 * target and limit; destinations of move and set name it as it is when they
 * run.
 *
 * In detail:
 *
 *  - target: of duplicate members on the way the last decides, even when it
 *    leads nowhere.
 *  - limit on what is no array does nothing; of several on one array the
 *    least counts.
 *  - allow: objects and arrays on the way stay, as their kind, even when
 *    nothing of them does; scalars on the way go; a scalar document that
 *    cannot match becomes null.
 *  - rename: every duplicate is renamed.  A sibling that has the new name in
 *    the output and is not itself renamed away is dropped, before and after;
 *    when several statements give one name in one object, the last of them
 *    that finds a member wins.
 *  - move: all sources are taken out, as shaped by then, before the first is
 *    placed, duplicates too, of which the last is placed; of duplicates on the
 *    way the last decides, even when it leads nowhere.  "move a.b a" puts b in
 *    the place of a, and "move a a.b" wraps a.
 *  - move with wildcards, which both paths must share: it is done within each
 *    value that the last one leads to, when that is complete, and so before
 *    any move without them.
 *  - into: the value takes the place of the first member of its name after
 *    rename, and further ones go; move and set come later, so what they put
 *    there stays.
 *  - move, set: a key where there is no object replaces what is there by an
 *    object; an index that is not there, [] and .* without a container: the
 *    statement does nothing there.  Duplicates on the way all get the value.
 *  - white space between the tokens of what is copied whole stays, other
 *    white space goes.
 */


#ifndef AGG_SHAPE_H_INCLUDED
#define AGG_SHAPE_H_INCLUDED


#include "agg_json.h"
#include "agg_path.h"


#pragma GCC visibility push(hidden)


typedef struct agg_shape_s   agg_shape_t;
typedef struct agg_state_s   agg_state_t;
typedef struct agg_edge_s    agg_edge_t;
typedef struct agg_frame_s   agg_frame_t;
typedef struct agg_winner_s  agg_winner_t;


/*
 * the arguments of a shape at run time, by the slots that its statements
 * returned
 */

typedef struct {
    agg_str_t        *values;           /* for the elements, raw JSON; data
                                           is NULL: nothing for this one */
    size_t            n;
    size_t            at;               /* the one of duplicate arrays whose
                                           "[" is so many bytes into the
                                           input, from 1; 0: all of them */
} agg_shape_into_t;


typedef struct {
    size_t           *limits;
    agg_str_t        *values;
    agg_shape_into_t *into;
} agg_shape_args_t;


/*
 * A run.  The caller provides the memory, agg_shape_run_size() bytes, aligned
 * as by malloc().  Other memory is allocated from out->mem.
 */

typedef struct {
    size_t                   offset;    /* bytes taken, where the error is */
    unsigned                 empty;     /* no byte but white space came */
    unsigned                 stopped;   /* at a byte: this one */
    unsigned char            stop;

    /* the other fields are private */

    unsigned                 step;
    agg_rc_e                 rc;
    unsigned                 found;     /* the document began */
    const agg_shape_t       *shape;
    const agg_shape_args_t  *args;
    agg_buf_t               *out;
    agg_frame_t             *frames;
    agg_frame_t             *frame;     /* the innermost */
    const agg_state_t       *child;     /* for the value that is due */
    const agg_edge_t        *edge;      /* the edge of the member due */
    const u_char            *piece;
    size_t                   base;      /* the piece's offset */
    const u_char            *from;      /* where the bytes to be copied begin */
    const u_char            *to;
    const u_char            *quote;     /* where in this piece the name is */
    size_t                   length;    /* the raw length of the name */
    u_char                  *names;     /* the name, when it came in pieces */
    unsigned                 flushed_early; /* the name, AGG_FLUSHED_* */
    unsigned                 copying;   /* scanned bytes stay */
    agg_winner_t            *winners;
    agg_buf_t               *moves;
    agg_buf_t                spare;
    agg_scan_t               scan;
} agg_shape_run_t;


/* NULL: there is no memory */

agg_shape_t *agg_shape_create(agg_mem_t *mem);


/*
 * Statements.  AGG_OK, or AGG_INVALID and AGG_NOMEM with *err set.  Slots are
 * numbered from 0, separately for limits, values and into.
 */

agg_rc_e agg_shape_target(agg_shape_t *s, const agg_str_t *path,
    agg_error_t *err);
agg_rc_e agg_shape_limit(agg_shape_t *s, const agg_str_t *path_or_null,
    size_t n, agg_error_t *err);
agg_rc_e agg_shape_limit_arg(agg_shape_t *s, const agg_str_t *path_or_null,
    size_t max, unsigned *slot, agg_error_t *err);
agg_rc_e agg_shape_allow(agg_shape_t *s, const agg_str_t *path,
    agg_error_t *err);
agg_rc_e agg_shape_deny(agg_shape_t *s, const agg_str_t *path,
    agg_error_t *err);
agg_rc_e agg_shape_rename(agg_shape_t *s, const agg_str_t *path,
    const agg_str_t *name, agg_error_t *err);
agg_rc_e agg_shape_move(agg_shape_t *s, const agg_str_t *from,
    const agg_str_t *to, agg_error_t *err);

/* json is validated and copied; invalid JSON is "invalid JSON" in err->text */

agg_rc_e agg_shape_set(agg_shape_t *s, const agg_str_t *path,
    const agg_str_t *json, agg_error_t *err);

/* args->values[slot] has plain bytes, which are written as a JSON string */

agg_rc_e agg_shape_set_arg(agg_shape_t *s, const agg_str_t *path,
    unsigned *slot, agg_error_t *err);

/*
 * Each element i of the array at the path that is an object and is kept gets
 * the member "name" with args->into[slot].values[i]: in the place of the first
 * member of that name in the output (further ones are dropped), or else as the
 * last member.
 */

agg_rc_e agg_shape_into(agg_shape_t *s, const agg_str_t *array_path,
    const agg_str_t *name, unsigned *slot, agg_error_t *err);


/*
 * To be called after the last statement.  AGG_INVALID: statements contradict
 * each other. agg_shape_compile_split() also makes two halves, in which slots
 * keep their numbers: head has target and limit, tail has the rest.
 */

agg_rc_e agg_shape_compile(agg_shape_t *s, agg_error_t *err);
agg_rc_e agg_shape_compile_split(agg_shape_t *s, agg_error_t *err);
agg_shape_t *agg_shape_head(agg_shape_t *s);
agg_shape_t *agg_shape_tail(agg_shape_t *s);

/* whether the shape only validates and copies */

int agg_shape_is_identity(const agg_shape_t *s);


/*
 * A shape of NULL validates and copies whole.  args may be NULL when the
 * shape has no slots; it is read until the run is finished.
 *
 * agg_shape_run_push() returns AGG_OK to continue; AGG_INVALID, AGG_TOO_LARGE
 * (over out->max) and AGG_NOMEM are final, and out is then undefined.
 *
 * agg_shape_run_finish() returns AGG_OK if out has a JSON value, without white
 * space around it; AGG_NOT_FOUND if the target is missing, and out is empty;
 * AGG_INVALID if the document is incomplete (run->empty: there was none).
 *
 * agg_shape_run_expect() may be called after init for a run without a shape; a
 * shape has patterns of its own.
 *
 * agg_shape_run_missing() may be called after AGG_NOT_FOUND: it applies the
 * statements after "target" to another, valid document, with the result in out.
 */

size_t agg_shape_run_size(const agg_shape_t *s);
void agg_shape_run_init(agg_shape_run_t *run, const agg_shape_t *s,
    agg_buf_t *out, const agg_shape_args_t *args);
void agg_shape_run_expect(agg_shape_run_t *run, agg_patterns_t *patterns);
agg_rc_e agg_shape_run_push(agg_shape_run_t *run, const u_char *data,
    size_t len);
agg_rc_e agg_shape_run_finish(agg_shape_run_t *run);
agg_rc_e agg_shape_run_missing(agg_shape_run_t *run, const agg_str_t *doc);

/*
 * For an error message after AGG_INVALID: what the grammar expects where the
 * run has stopped, as the end of a phrase such as "a letter at byte 5 where
 * ...".
 */

const char *agg_shape_run_expected(const agg_shape_run_t *run);


#pragma GCC visibility pop


#endif /* AGG_SHAPE_H_INCLUDED */
