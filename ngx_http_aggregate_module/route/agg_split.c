
#include <math.h>
#include <string.h>

#include "agg_split.h"
#include "gw_siphash.h"


#define AGG_SPLIT_SIGMA    3.0
#define AGG_SPLIT_GROWTH   1.2            /* growth of the histogram's bounds */
#define AGG_SPLIT_SLOWER   0.05           /* a part of the calls */
#define AGG_SPLIT_MARGIN   5.0            /* ms beside K times */


static void agg_split_slide(agg_split_window_t *w, uint64_t length,
    uint64_t now);
static void agg_split_clear(agg_split_window_t *w, uint64_t now);
static unsigned agg_split_slot(uint64_t time);
static double agg_split_slot_bound(unsigned i);
static double agg_split_longer(const agg_split_sum_t *sum, double limit);
static void agg_split_move(agg_split_version_t *v, uint32_t percent,
    agg_split_state_e state, agg_split_why_e why, uint64_t now);
static int agg_split_ramp(agg_split_t *s, unsigned i,
    const agg_split_plan_t *plan, const agg_split_rule_t *rule, uint64_t now);
static void agg_split_event(agg_split_event_t *event, unsigned version,
    const agg_split_version_t *v, uint32_t from, const agg_split_sum_t *sum,
    const agg_split_base_t *base);
static uint32_t agg_split_room(const agg_split_t *s, unsigned version);
static agg_split_why_e agg_split_worse(const agg_split_sum_t *sum,
    const agg_split_base_t *base, const agg_split_rule_t *rule);


#define agg_split_read(x)  __atomic_load_n(&(x), __ATOMIC_RELAXED)


const uint32_t  agg_split_bounds[AGG_SPLIT_BOUNDS] = {
    5, 10, 25, 50, 75, 100, 250, 500, 750, 1000, 2500, 5000, 7500, 10000
};


static const uint64_t  agg_split_key[2] = { UINT64_C(0x6167677265676174),
                                            UINT64_C(0x655f73706c697421) };


static const char  *agg_split_states[AGG_SPLIT_STATES] = {
    "fixed", "ramping", "waiting", "paused", "manual", "aborted", "promoted"
};


static const char  *agg_split_whys[AGG_SPLIT_WHYS] = {
    "configured", "next step", "too few calls", "no room beside the others",
    "errors", "latency", "by hand"
};


static const char  *agg_split_reasons[AGG_SPLIT_REASONS] = {
    "share", "header", "cookie", "unkeyed"
};


size_t
agg_split_size(unsigned nversions)
{
    return offsetof(agg_split_t, versions)
           + nversions * sizeof(agg_split_version_t);
}


void
agg_split_init(agg_split_t *s, unsigned nversions, uint64_t text,
    const agg_split_plan_t *plans, uint64_t now)
{
    unsigned              i;
    uint64_t              changes;
    agg_split_version_t  *v;

    changes = (s->magic == AGG_SPLIT_MAGIC) ? s->changes : 0;

    memset(s, 0, agg_split_size(nversions));

    s->nversions = nversions;
    s->text = text;
    s->changes = changes;

    for (i = 1; i < nversions; i++) {
        v = &s->versions[i];

        v->percent = plans[i].percent;
        v->state = plans[i].nsteps ? AGG_SPLIT_RAMPING : AGG_SPLIT_FIXED;
        v->since = now;
    }

    s->versions[0].since = now;
    s->magic = AGG_SPLIT_MAGIC;
}


unsigned
agg_split_pick(const agg_split_t *s, unsigned bucket)
{
    unsigned  i, low, high, percent;

    low = 0;
    high = AGG_SPLIT_FULL;

    for (i = 1; i < s->nversions; i++) {

        percent = agg_split_read(s->versions[i].percent);

        if (percent > high - low) {
            percent = high - low;
        }

        if (i & 1) {
            if (bucket >= low && bucket < low + percent) {
                return i;
            }

            low += percent;

        } else {
            if (bucket < high && bucket >= high - percent) {
                return i;
            }

            high -= percent;
        }
    }

    return 0;
}


uint64_t
agg_split_salt(const uint8_t *salt, size_t len)
{
    return gw_siphash(agg_split_key, salt, len);
}


/* the salt is the key of the hash, so that splits are independent */

unsigned
agg_split_bucket(uint64_t salt, const uint8_t *key, size_t len)
{
    uint64_t  k[2];

    k[0] = salt;
    k[1] = salt ^ agg_split_key[1];

    return (unsigned) (gw_siphash(k, key, len) % AGG_SPLIT_FULL);
}


unsigned
agg_split_whole(const agg_split_t *s)
{
    unsigned  i;

    for (i = 1; i < s->nversions; i++) {
        if (agg_split_read(s->versions[i].percent) == AGG_SPLIT_FULL) {
            return i;
        }
    }

    return 0;
}


void
agg_split_count(agg_split_t *s, unsigned version, agg_split_reason_e reason,
    unsigned error, uint64_t time, const agg_split_rule_t *rule, uint64_t now)
{
    unsigned              i;
    agg_split_slice_t    *slice;
    agg_split_version_t  *v;

    if (version >= s->nversions) {
        return;
    }

    v = &s->versions[version];

    v->requests[reason]++;
    v->errors += (error != 0);
    v->duration_sum += time;

    for (i = 0; i < AGG_SPLIT_BOUNDS && time > agg_split_bounds[i]; i++) {
        /* void */
    }

    v->durations[i]++;

    /* testers are not representative */

    if (reason == AGG_SPLIT_HEADER || reason == AGG_SPLIT_COOKIE) {
        return;
    }

    agg_split_slide(&v->window, rule->window, now);

    slice = &v->window.slices[v->window.head];

    slice->calls++;
    slice->errors += (error != 0);
    slice->times[agg_split_slot(time)]++;

    if (v->step_calls < UINT32_MAX) {
        v->step_calls++;
    }
}


unsigned
agg_split_look(agg_split_t *s, const agg_split_plan_t *plans,
    const agg_split_rule_t *rule, uint64_t now, agg_split_event_t *events)
{
    uint32_t              from;
    unsigned              i, n;
    agg_split_why_e       why;
    agg_split_sum_t       sum;
    agg_split_version_t  *v;

    if (s->looked && now - s->looked < AGG_SPLIT_TICK) {
        return 0;
    }

    s->looked = now ? now : 1;

    agg_split_window_sum(&s->versions[0].window, rule->window, now, &sum);

    if (sum.calls >= rule->min) {
        s->base.calls = sum.calls;
        s->base.errors = sum.errors;
        s->base.p95 = agg_split_percentile(&sum, 0.95);
    }

    n = 0;

    for (i = 1; i < s->nversions; i++) {
        v = &s->versions[i];

        if (v->state == AGG_SPLIT_ABORTED) {
            continue;
        }

        from = v->percent;
        why = AGG_SPLIT_WHY_CONFIG;

        agg_split_window_sum(&v->window, rule->window, now, &sum);

        if (rule->on && from) {
            why = agg_split_worse(&sum, &s->base, rule);
        }

        if (why != AGG_SPLIT_WHY_CONFIG) {

            (void) agg_split_abort(s, i, now);
            v->why = why;

            agg_split_event(&events[n++], i, v, from, &sum, &s->base);

            continue;
        }

        if (plans[i].nsteps && agg_split_ramp(s, i, &plans[i], rule, now)) {
            agg_split_event(&events[n++], i, v, from, &sum, &s->base);
        }
    }

    return n;
}


/* returns 1 if a step was taken */

static int
agg_split_ramp(agg_split_t *s, unsigned i, const agg_split_plan_t *plan,
    const agg_split_rule_t *rule, uint64_t now)
{
    uint32_t              next;
    agg_split_version_t  *v;

    v = &s->versions[i];

    if ((v->state != AGG_SPLIT_RAMPING && v->state != AGG_SPLIT_WAITING)
        || (int64_t) (now - v->since) < (int64_t) plan->every
        || v->step + 1 >= plan->nsteps)
    {
        return 0;
    }

    next = plan->steps[v->step + 1];

    v->state = AGG_SPLIT_WAITING;

    /* too few calls prove nothing */

    if (rule->on && v->step_calls < rule->min) {
        v->why = AGG_SPLIT_WHY_CALLS;
        return 0;
    }

    if (next > agg_split_room(s, i)) {
        v->why = AGG_SPLIT_WHY_ROOM;
        return 0;
    }

    v->step++;

    agg_split_move(v, next, (v->step + 1 == plan->nsteps)
                            ? AGG_SPLIT_PROMOTED : AGG_SPLIT_RAMPING,
                   AGG_SPLIT_WHY_STEP, now);
    s->changes++;

    return 1;
}


int
agg_split_set(agg_split_t *s, unsigned version, uint32_t percent,
    uint64_t now)
{
    if (percent > agg_split_room(s, version)) {
        return -1;
    }

    agg_split_move(&s->versions[version], percent, AGG_SPLIT_MANUAL,
                   AGG_SPLIT_WHY_HAND, now);
    s->changes++;

    return 0;
}


int
agg_split_abort(agg_split_t *s, unsigned version, uint64_t now)
{
    agg_split_version_t  *v;

    v = &s->versions[version];

    if (v->state == AGG_SPLIT_ABORTED) {
        return -1;
    }

    v->last_percent = v->percent;
    v->last_state = v->state;
    v->aborts++;

    agg_split_move(v, 0, AGG_SPLIT_ABORTED, AGG_SPLIT_WHY_HAND, now);
    s->changes++;

    return 0;
}


int
agg_split_pause(agg_split_t *s, unsigned version, uint64_t now)
{
    agg_split_version_t  *v;

    v = &s->versions[version];

    if (v->state != AGG_SPLIT_RAMPING && v->state != AGG_SPLIT_WAITING) {
        return -1;
    }

    agg_split_move(v, v->percent, AGG_SPLIT_PAUSED, AGG_SPLIT_WHY_HAND, now);
    s->changes++;

    return 0;
}


int
agg_split_resume(agg_split_t *s, unsigned version,
    const agg_split_plan_t *plan, uint64_t now)
{
    uint32_t              percent, state;
    agg_split_version_t  *v;

    v = &s->versions[version];

    if (v->state != AGG_SPLIT_PAUSED && v->state != AGG_SPLIT_ABORTED) {
        return -1;
    }

    percent = v->percent;
    state = AGG_SPLIT_RAMPING;

    if (v->state == AGG_SPLIT_ABORTED) {
        percent = v->last_percent;
        state = v->last_state;
    }

    if (percent > agg_split_room(s, version)) {
        return -1;
    }

    if (state == AGG_SPLIT_PAUSED || state == AGG_SPLIT_WAITING) {
        state = AGG_SPLIT_RAMPING;
    }

    if (state == AGG_SPLIT_RAMPING && plan->nsteps == 0) {
        state = AGG_SPLIT_FIXED;
    }

    agg_split_clear(&v->window, now);
    agg_split_move(v, percent, state, AGG_SPLIT_WHY_HAND, now);
    s->changes++;

    return 0;
}


int
agg_split_reset(agg_split_t *s, unsigned version,
    const agg_split_plan_t *plan, uint64_t now)
{
    agg_split_version_t  *v;

    v = &s->versions[version];

    if (plan->percent > agg_split_room(s, version)) {
        return -1;
    }

    v->step = 0;

    agg_split_clear(&v->window, now);
    agg_split_move(v, plan->percent,
                   plan->nsteps ? AGG_SPLIT_RAMPING : AGG_SPLIT_FIXED,
                   AGG_SPLIT_WHY_HAND, now);
    s->changes++;

    return 0;
}


/* the share that the other versions leave to this one */

static uint32_t
agg_split_room(const agg_split_t *s, unsigned version)
{
    unsigned  i;
    uint32_t  sum;

    sum = 0;

    for (i = 1; i < s->nversions; i++) {
        if (i != version) {
            sum += s->versions[i].percent;
        }
    }

    return (sum > AGG_SPLIT_FULL) ? 0 : AGG_SPLIT_FULL - sum;
}


static void
agg_split_move(agg_split_version_t *v, uint32_t percent,
    agg_split_state_e state, agg_split_why_e why, uint64_t now)
{
    v->state = state;
    v->why = why;
    v->since = now;
    v->step_calls = 0;

    __atomic_store_n(&v->percent, percent, __ATOMIC_RELAXED);
}


static void
agg_split_event(agg_split_event_t *event, unsigned version,
    const agg_split_version_t *v, uint32_t from, const agg_split_sum_t *sum,
    const agg_split_base_t *base)
{
    event->version = version;
    event->from = from;
    event->to = v->percent;
    event->state = v->state;
    event->why = v->why;
    event->base = *base;
    event->calls = sum->calls;
    event->errors = sum->errors;
    event->p95 = agg_split_percentile(sum, 0.95);
}


void
agg_split_window_sum(const agg_split_window_t *w, uint64_t length,
    uint64_t now, agg_split_sum_t *sum)
{
    unsigned                  i, k;
    uint64_t                  age, width;
    const agg_split_slice_t  *slice;

    memset(sum, 0, sizeof(agg_split_sum_t));

    if (w->start == 0) {
        return;
    }

    width = length / AGG_SPLIT_SLICES;
    age = ((int64_t) (now - w->start) < 0) ? 0 : (now - w->start) / width;

    for (i = 0; i + age < AGG_SPLIT_SLICES; i++) {

        slice = &w->slices[(w->head + AGG_SPLIT_SLICES - i)
                           % AGG_SPLIT_SLICES];

        sum->calls += slice->calls;
        sum->errors += slice->errors;

        for (k = 0; slice->calls && k < AGG_SPLIT_HISTOGRAM; k++) {
            sum->times[k] += slice->times[k];
        }
    }
}


static void
agg_split_slide(agg_split_window_t *w, uint64_t length, uint64_t now)
{
    uint64_t  age, width;

    width = length / AGG_SPLIT_SLICES;

    if (w->start == 0 || w->head >= AGG_SPLIT_SLICES) {
        agg_split_clear(w, now);
        return;
    }

    if ((int64_t) (now - w->start) < 0) {

        /* the clock of another worker may be slightly ahead */

        if (w->start - now > length) {
            agg_split_clear(w, now);
        }

        return;
    }

    age = (now - w->start) / width;

    if (age >= AGG_SPLIT_SLICES) {
        agg_split_clear(w, now);
        return;
    }

    w->start += age * width;

    while (age--) {
        w->head = (w->head + 1) % AGG_SPLIT_SLICES;
        memset(&w->slices[w->head], 0, sizeof(agg_split_slice_t));
    }
}


static void
agg_split_clear(agg_split_window_t *w, uint64_t now)
{
    memset(w, 0, sizeof(agg_split_window_t));

    w->start = now ? now : 1;
}


/* slot i counts times above bound i - 1, up to and including bound i */

static unsigned
agg_split_slot(uint64_t time)
{
    unsigned  i;

    if (time <= 1) {
        return 0;
    }

    i = (unsigned) ceil(log((double) time) / log(AGG_SPLIT_GROWTH) - 1e-9);

    return (i < AGG_SPLIT_HISTOGRAM) ? i : AGG_SPLIT_HISTOGRAM - 1;
}


static double
agg_split_slot_bound(unsigned i)
{
    return pow(AGG_SPLIT_GROWTH, (double) i);
}


double
agg_split_percentile(const agg_split_sum_t *sum, double part)
{
    double    wanted, seen, low;
    unsigned  i;

    if (sum->calls == 0) {
        return 0;
    }

    wanted = part * (double) sum->calls;
    seen = 0;

    for (i = 0; i < AGG_SPLIT_HISTOGRAM; i++) {

        if (sum->times[i] && seen + (double) sum->times[i] >= wanted) {

            low = i ? agg_split_slot_bound(i - 1) : 0;

            return low + (agg_split_slot_bound(i) - low)
                         * (wanted - seen) / (double) sum->times[i];
        }

        seen += (double) sum->times[i];
    }

    return agg_split_slot_bound(AGG_SPLIT_HISTOGRAM - 1);
}


/* the calls that took longer than the limit, interpolated within its slot */

static double
agg_split_longer(const agg_split_sum_t *sum, double limit)
{
    double    n, low, high;
    unsigned  i;

    n = 0;

    for (i = 0; i < AGG_SPLIT_HISTOGRAM; i++) {

        low = i ? agg_split_slot_bound(i - 1) : 0;
        high = agg_split_slot_bound(i);

        if (low >= limit) {
            n += (double) sum->times[i];

        } else if (high > limit) {
            n += (double) sum->times[i] * (high - limit) / (high - low);
        }
    }

    return n;
}


/* AGG_SPLIT_WHY_ERRORS, AGG_SPLIT_WHY_LATENCY, or 0 */

static agg_split_why_e
agg_split_worse(const agg_split_sum_t *sum, const agg_split_base_t *base,
    const agg_split_rule_t *rule)
{
    double  n, p, lower, q, upper;

    if (sum->calls < rule->min) {
        return AGG_SPLIT_WHY_CONFIG;
    }

    n = (double) sum->calls;
    p = (double) sum->errors / n;
    lower = agg_split_wilson((double) sum->errors, n, 0);

    q = 0;
    upper = 0;

    if (base->calls) {
        q = (double) base->errors / (double) base->calls;
        upper = agg_split_wilson((double) base->errors, (double) base->calls,
                                 1);
    }

    if (p - q - sqrt((p - lower) * (p - lower) + (upper - q) * (upper - q))
        > rule->errors)
    {
        return AGG_SPLIT_WHY_ERRORS;
    }

    if (rule->latency > 0 && base->calls
        && agg_split_wilson(agg_split_longer(sum, base->p95 * rule->latency
                                                  + AGG_SPLIT_MARGIN), n, 0)
           > AGG_SPLIT_SLOWER)
    {
        return AGG_SPLIT_WHY_LATENCY;
    }

    return AGG_SPLIT_WHY_CONFIG;
}


double
agg_split_wilson(double n, double m, int upper)
{
    double  p, z2, centre, margin;

    p = n / m;
    z2 = AGG_SPLIT_SIGMA * AGG_SPLIT_SIGMA;

    centre = p + z2 / (2 * m);
    margin = AGG_SPLIT_SIGMA * sqrt(p * (1 - p) / m + z2 / (4 * m * m));

    return (upper ? centre + margin : centre - margin) / (1 + z2 / m);
}


const char *
agg_split_state_name(unsigned state)
{
    return agg_split_states[state < AGG_SPLIT_STATES ? state : 0];
}


const char *
agg_split_why_text(unsigned why)
{
    return agg_split_whys[why < AGG_SPLIT_WHYS ? why : 0];
}


const char *
agg_split_reason_name(unsigned reason)
{
    return agg_split_reasons[reason < AGG_SPLIT_REASONS ? reason : 0];
}
