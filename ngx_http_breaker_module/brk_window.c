
#include <stddef.h>
#include <string.h>

#include "brk_window.h"


static unsigned brk_window_age(const brk_window_t *w, brk_msec_t now);
static void brk_window_slide(brk_window_t *w, brk_msec_t now);
static void brk_slice_add(brk_slice_t *to, const brk_slice_t *slice);


void
brk_window_clear(brk_window_t *w, brk_msec_t now)
{
    memset(w->slices, 0, sizeof(w->slices));
    memset(&w->all, 0, sizeof(brk_slice_t));

    w->head = 0;
    w->start = now;
}


void
brk_window_fit(brk_window_t *w, brk_msec_t length, brk_msec_t now)
{
    uint32_t      width;
    unsigned      i;
    brk_msec_t    start, age;
    brk_slice_t  *slice, *to;
    brk_window_t  old;

    width = (uint32_t) (length / BRK_SLICES);

    if (w->width == width) {
        return;
    }

    old = *w;

    brk_window_clear(w, now);
    w->width = width;

    if (old.width == 0) {
        return;
    }

    brk_window_slide(&old, now);

    for (i = 0; i < BRK_SLICES; i++) {

        start = old.start - (brk_msec_t) i * old.width;

        if ((int64_t) (now - start) <= 0) {
            age = 0;

        } else {
            age = (now - start + width - 1) / width;
        }

        if (age >= BRK_SLICES) {
            break;
        }

        slice = &old.slices[(old.head + BRK_SLICES - i) % BRK_SLICES];
        to = &w->slices[(w->head + BRK_SLICES - age) % BRK_SLICES];

        brk_slice_add(to, slice);
        brk_slice_add(&w->all, slice);
    }
}


void
brk_window_add(brk_window_t *w, unsigned failure, unsigned slow,
    brk_msec_t now)
{
    brk_slice_t  *slice;

    if (now - w->start >= w->width) {
        brk_window_slide(w, now);
    }

    slice = &w->slices[w->head];

    slice->calls++;
    slice->failures += (failure != 0);
    slice->slow += (slow != 0);

    w->all.calls++;
    w->all.failures += (failure != 0);
    w->all.slow += (slow != 0);
}


int
brk_window_amend(brk_window_t *w, brk_msec_t start, brk_msec_t now)
{
    brk_msec_t    back;
    brk_slice_t  *slice;

    if (now - w->start >= w->width) {
        brk_window_slide(w, now);
    }

    back = w->start - start;

    if (w->width == 0 || back % w->width || back / w->width >= BRK_SLICES) {
        return 0;
    }

    slice = &w->slices[(w->head + BRK_SLICES - back / w->width) % BRK_SLICES];

    if (slice->failures >= slice->calls) {
        return 0;
    }

    slice->failures++;
    w->all.failures++;

    return 1;
}


void
brk_window_sum(const brk_window_t *w, brk_msec_t now, brk_sum_t *sum)
{
    unsigned            i, age;
    const brk_slice_t  *slice;

    memset(sum, 0, sizeof(brk_sum_t));

    if (w->width == 0) {
        return;
    }

    age = brk_window_age(w, now);

    for (i = 0; i + age < BRK_SLICES; i++) {
        slice = &w->slices[(w->head + BRK_SLICES - i) % BRK_SLICES];

        sum->calls += slice->calls;
        sum->failures += slice->failures;
        sum->slow += slice->slow;
    }
}


void
brk_window_repair(brk_window_t *w)
{
    unsigned      i;
    brk_slice_t  *slice;

    w->head %= BRK_SLICES;
    memset(&w->all, 0, sizeof(brk_slice_t));

    for (i = 0; i < BRK_SLICES; i++) {
        slice = &w->slices[i];

        if (slice->failures > slice->calls) {
            slice->failures = slice->calls;
        }

        if (slice->slow > slice->calls) {
            slice->slow = slice->calls;
        }

        brk_slice_add(&w->all, slice);
    }
}


/* the number of slices to move on; BRK_SLICES: all of them are too old */

static unsigned
brk_window_age(const brk_window_t *w, brk_msec_t now)
{
    int64_t     delta;
    brk_msec_t  length;

    delta = (int64_t) (now - w->start);
    length = (brk_msec_t) w->width * BRK_SLICES;

    if (delta < 0) {
        return (w->start - now > length) ? BRK_SLICES : 0;
    }

    if ((brk_msec_t) delta >= length) {
        return BRK_SLICES;
    }

    return (unsigned) ((brk_msec_t) delta / w->width);
}


static void
brk_window_slide(brk_window_t *w, brk_msec_t now)
{
    unsigned     i, age;
    brk_slice_t  all;

    age = brk_window_age(w, now);

    if (age == BRK_SLICES) {
        brk_window_clear(w, now);
        return;
    }

    w->start += (brk_msec_t) age * w->width;

    while (age--) {
        w->head = (w->head + 1) % BRK_SLICES;
        memset(&w->slices[w->head], 0, sizeof(brk_slice_t));
    }

    /* the sum is computed anew, so that an error in it does not last */

    memset(&all, 0, sizeof(brk_slice_t));

    for (i = 0; i < BRK_SLICES; i++) {
        brk_slice_add(&all, &w->slices[i]);
    }

    w->all = all;
}


static void
brk_slice_add(brk_slice_t *to, const brk_slice_t *slice)
{
    to->calls += slice->calls;
    to->failures += slice->failures;
    to->slow += slice->slow;
}
