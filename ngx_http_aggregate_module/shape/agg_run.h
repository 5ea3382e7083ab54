
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


/* a name that is too long to wait */

#define AGG_SPILLED        1        /* is in the output */
#define AGG_SPILLED_GONE   2        /* is not needed */
#define AGG_SPILLED_LARGE  3        /* had no room there */


struct agg_track_s {
    size_t              first;      /* in the output, of the winners */
    unsigned            rank;       /* theirs, from 1; 0: none came yet */
    unsigned            placed;     /* into's value stands for it */
};


/*
 * How the members of the last object of a frame began, "name": and a blank on
 * either side where one was.  Those of the next object may well begin alike,
 * one by one, and then nothing has to be looked up.  In the slot behind the
 * habits is what is too much for them, behind that and behind the last habit
 * the END.
 */

#define AGG_HABITS        24
#define AGG_HABIT_SLOTS   (AGG_HABITS + 2)

/* prediction ends when misses exceed objects by this number */

#define AGG_HABIT_MISSES  48

/* masks of what is not like any block */

#define AGG_HABIT_NONE    0x80000000u
#define AGG_HABIT_END     0xffffffffu


typedef struct {
    u_char              text[2 * AGG_BLOCK];
    unsigned            mask;       /* for a text of one block */
    size_t              len;        /* the text's, any length */
    const agg_state_t  *child;      /* NULL: it is dropped */
} agg_habit_t;


struct agg_frame_s {
    const agg_state_t  *state;
    const agg_state_t  *usual;      /* the state of the habits */
    agg_habit_t        *habits;
    unsigned            misses;     /* how often habits missed */
    agg_habit_t        *habit;      /* the next member's */
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


#define agg_habit_fits(h, p)                                                 \
    ((~agg_block_equal(p, (h)->text) & (h)->mask) == 0)


/* an object begins */

static inline void
agg_frame_habits(agg_frame_t *f)
{
    if (f->misses < AGG_HABIT_MISSES) {
        f->habit = f->habits;
        f->misses -= (f->misses != 0);

    } else {
        f->habit = &f->habits[AGG_HABITS];
    }
}


/* a member was not taken by its habit */

static inline void
agg_habit_skip(agg_frame_t *f)
{
    if (f->habit < &f->habits[AGG_HABITS]
        && f->habit->mask != AGG_HABIT_END)
    {
        f->habit++;
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


/*
 * Members: agg_members.c.  p is at an opening quote, AGG_SCAN_AHEAD bytes are
 * there; the step tells where it stops.  Nothing may have been taken.
 */

agg_rc_e agg_run_members(agg_shape_run_t *run, const u_char **pos,
    const u_char *end);


/* output that stays, and claims to names: agg_keep.c */

agg_rc_e agg_run_keep(agg_shape_run_t *run, const u_char *p);
agg_mode_e agg_run_claim(agg_shape_run_t *run, agg_mode_e mode, agg_rc_e *rc);
agg_rc_e agg_run_append_into(agg_shape_run_t *run);
void agg_run_compact(agg_shape_run_t *run);
agg_rc_e agg_run_flush(agg_shape_run_t *run);


#pragma GCC visibility pop


#endif /* AGG_RUN_H_INCLUDED */
