
/* declarations shared by the files of the runner */


#ifndef AGG_RUN_H_INCLUDED
#define AGG_RUN_H_INCLUDED


#include "agg_state.h"
#include "agg_scan.h"


#pragma GCC visibility push(hidden)


typedef enum {
    AGG_RUN_VALUE = 0,
    AGG_RUN_FIRST_VALUE,
    AGG_RUN_ELEMENT,
    AGG_RUN_FIRST_NAME,
    AGG_RUN_NAME,
    AGG_RUN_NAME_STRING,
    AGG_RUN_COLON,
    AGG_RUN_SCAN,                   /* a value */
    AGG_RUN_REST,                   /* the rest of an array */
    AGG_RUN_AFTER,
    AGG_RUN_END
} agg_run_step_e;


/* flushed_early: the name was too long to be held until its end is known */

#define AGG_FLUSHED        1        /* it is in the output */
#define AGG_FLUSHED_GONE   2        /* its member is dropped */
#define AGG_FLUSHED_LARGE  3        /* the output had no room for it */


/* the members with one name in the output, where there may be several */


struct agg_winner_s {
    size_t              first;      /* where the first is in the output */
    unsigned            priority;   /* theirs, from 1; 0: none came yet */
    unsigned            placed;     /* the value of into is in the output */
};


/*
 * Predictions: the members of the next object of a frame are expected to begin
 * like those of the last one, with "name": and the same blanks around it.  If a
 * prediction matches, no lookup is needed.  The slot after the predictions is
 * for further members; END follows that slot, and the last prediction.
 */

#define AGG_PREDICTIONS        24
#define AGG_PREDICTION_SLOTS   (AGG_PREDICTIONS + 2)

/* predictions are turned off when misses exceed objects by this number */

#define AGG_PREDICTION_MISSES  48

/* matches no mask of a block */

#define AGG_PREDICTION_NONE    0x80000000u
#define AGG_PREDICTION_END     0xffffffffu


typedef struct {
    u_char              text[2 * AGG_BLOCK];
    unsigned            mask;       /* for a text of one block */
    size_t              len;        /* the text's, any length */
    const agg_state_t  *child;      /* NULL: it is dropped */
} agg_prediction_t;


struct agg_frame_s {
    const agg_state_t  *state;
    const agg_state_t  *usual;      /* the state of the predictions */
    agg_prediction_t   *predictions;
    unsigned            misses;     /* how often predictions missed */
    agg_prediction_t   *prediction; /* the next member's */
    size_t              index;      /* the element's index */
    size_t              at;         /* the array's, bytes from 1 */
    size_t              limit;
    size_t              total;      /* elements, when counted */
    size_t              start;      /* the container's, in the output */
    size_t              mark;       /* there, to go back to */
    int                 slot;       /* the value is taken by a move */
    u_char              close;      /* the closing byte, 0: the document's */
    u_char              silent;
    u_char              comma;      /* something is in it */
    u_char              dirty;      /* something in it must go */
};


#define agg_prediction_fits(h, p)                                            \
    ((~agg_block_equal(p, (h)->text) & (h)->mask) == 0)


/* whether the next element of an array is copied, as those before it */

static inline int
agg_run_copies(const agg_frame_t *f)
{
    return f->state->element == &agg_state_copy && f->index < f->limit
           && f->state->nelements == 0 && !f->state->whole && !f->silent;
}


/* the predictions of a frame are those of its state */

static inline void
agg_frame_usual(agg_frame_t *f)
{
    if (f->usual != f->state) {
        f->usual = f->state;
        f->misses = 0;
        f->predictions[0].mask = AGG_PREDICTION_END;
        f->predictions[AGG_PREDICTIONS].mask = AGG_PREDICTION_END;
        f->predictions[AGG_PREDICTIONS + 1].mask = AGG_PREDICTION_END;
    }
}


/* at the start of an object */

static inline void
agg_frame_predictions(agg_frame_t *f)
{
    if (f->misses < AGG_PREDICTION_MISSES) {
        f->prediction = f->predictions;
        f->misses -= (f->misses != 0);

    } else {
        f->prediction = &f->predictions[AGG_PREDICTIONS];
    }
}


/* after a member that was handled without its prediction */

static inline void
agg_prediction_skip(agg_frame_t *f)
{
    if (f->prediction < &f->predictions[AGG_PREDICTIONS]
        && f->prediction->mask != AGG_PREDICTION_END)
    {
        f->prediction++;
    }
}


#define agg_run_depth(run)  ((unsigned) ((run)->frame - (run)->frames))

#define agg_run_due(run)                                                     \
    ((run)->from == NULL ? 0 : (size_t) ((run)->to - (run)->from))

#define agg_run_try(expr)                                                    \
    do {                                                                     \
        agg_rc_e  try_rc_ = (expr);                                          \
                                                                             \
        if (try_rc_ != AGG_OK) {                                             \
            return try_rc_;                                                  \
        }                                                                    \
    } while (0)


/* names: agg_name.c */

agg_rc_e agg_run_name_string(agg_shape_run_t *run, const u_char **pos,
    const u_char *end);
agg_rc_e agg_run_save(agg_shape_run_t *run, const u_char *p, size_t n);
const agg_edge_t *agg_state_edge(const agg_state_t *st, const u_char *name,
    size_t n);


/*
 * Members: agg_members.c. p is at an opening quote, and AGG_SCAN_AHEAD bytes
 * are readable; run->step tells where it stops.  No byte of the member may have
 * been handled before.
 */

agg_rc_e agg_run_members(agg_shape_run_t *run, const u_char **pos,
    const u_char *end);
agg_rc_e agg_run_silent_members(agg_shape_run_t *run, const u_char **pos,
    const u_char *end);


/* elements up to a limit, in an array that agg_run_copies(): agg_members.c */

agg_rc_e agg_run_elements(agg_shape_run_t *run, const u_char **pos,
    const u_char *end);


/*
 * Replay: agg_replay.c. agg_replay_start() is called for each document.
 * agg_run_replay() continues from *pos, after a value or at the start of the
 * document; if it cannot, *pos is unchanged.
 */

void agg_replay_start(const agg_shape_t *s);
agg_rc_e agg_run_replay(agg_shape_run_t *run, const u_char **pos,
    const u_char *end);
int agg_run_replays(const agg_shape_run_t *run);


/* output that is kept, and names of several members: agg_keep.c */

agg_rc_e agg_run_keep(agg_shape_run_t *run, const u_char *p);
agg_mode_e agg_run_resolve_name(agg_shape_run_t *run, agg_mode_e mode,
    agg_rc_e *rc);
agg_rc_e agg_run_append_into(agg_shape_run_t *run);
void agg_run_compact(agg_shape_run_t *run);
agg_rc_e agg_run_flush(agg_shape_run_t *run);


#pragma GCC visibility pop


#endif /* AGG_RUN_H_INCLUDED */
