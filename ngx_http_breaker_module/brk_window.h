
/*
 * A sliding window of calls: ten slices of equal width in a ring.  The oldest
 * slice falls off as a whole, so the window covers 90 to 100 per cent of its
 * length.
 *
 * Times are milliseconds of a monotonic clock and are compared by their
 * difference only.  A clock that is a little behind (another worker's cached
 * time) counts into the newest slice; one that jumped back by more than the
 * window empties it.
 */


#ifndef _BRK_WINDOW_H_INCLUDED_
#define _BRK_WINDOW_H_INCLUDED_


#include <stdint.h>


#pragma GCC visibility push(hidden)


#define BRK_SLICES  10


typedef uint64_t  brk_msec_t;


typedef struct {
    uint32_t     calls;
    uint32_t     failures;
    uint32_t     slow;
} brk_slice_t;


typedef struct {
    brk_msec_t   start;           /* the newest slice's start */
    uint32_t     width;           /* milliseconds of a slice, 0: unused */
    uint32_t     head;            /* the newest slice */
    brk_slice_t  all;             /* the sum of the slices */
    brk_slice_t  slices[BRK_SLICES];
} brk_window_t;


typedef struct {
    uint64_t     calls;
    uint64_t     failures;
    uint64_t     slow;
} brk_sum_t;


/* forgets all calls, keeps the width */
void brk_window_clear(brk_window_t *w, brk_msec_t now);

/*
 * Makes the window "length" milliseconds long (at least BRK_SLICES).  Calls in
 * the window stay, each slice by the time at which it began, so changing the
 * length never makes a call live longer.
 */
void brk_window_fit(brk_window_t *w, brk_msec_t length, brk_msec_t now);

/* records one call; the window has been fitted before */
void brk_window_add(brk_window_t *w, unsigned failure, unsigned slow,
    brk_msec_t now);

/*
 * Records a success without the lock, if no more is to be done than to add one
 * to the newest slice: 0 if there is more.  A slice that falls off meanwhile
 * may take it along.
 */
static inline int
brk_window_pass(brk_window_t *w, brk_msec_t length, brk_msec_t now)
{
    uint32_t  head;

    head = w->head;

    /* the width is length / BRK_SLICES; a division takes its time */

    if (length - (brk_msec_t) w->width * BRK_SLICES >= BRK_SLICES
        || now - w->start >= w->width
        || (w->all.failures | w->all.slow)
        || head >= BRK_SLICES)
    {
        return 0;
    }

    __atomic_fetch_add(&w->slices[head].calls, 1, __ATOMIC_RELAXED);
    __atomic_fetch_add(&w->all.calls, 1, __ATOMIC_RELAXED);

    return 1;
}

/*
 * A call that was recorded before it ended, in the slice that began at "start",
 * has failed: 1, or 0 if that slice is not in the window any more.
 */
int brk_window_amend(brk_window_t *w, brk_msec_t start, brk_msec_t now);

/* counts the calls that are in the window at "now" */
void brk_window_sum(const brk_window_t *w, brk_msec_t now, brk_sum_t *sum);

/* turns any bytes into a valid window, after a writer was killed */
void brk_window_repair(brk_window_t *w);


#pragma GCC visibility pop


#endif /* _BRK_WINDOW_H_INCLUDED_ */
