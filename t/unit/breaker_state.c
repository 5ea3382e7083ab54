
/*
 * The state machine: rules by table, invariants under random events.
 *
 * sources: brk_state.c brk_window.c
 */

#include "brk_state.h"
#include "breaker_check.h"


#define CALLS  64


static const brk_outcome_t  success = { 0, 0, 0, 0 };
static const brk_outcome_t  neutral = { 1, 0, 0, 0 };
static const brk_outcome_t  failure = { 0, 1, 0, 0 };
static const brk_outcome_t  slow = { 0, 0, 1, 0 };
static const brk_outcome_t  header = { 0, 0, 0, 1 };


static const brk_policy_t  standard = {
    5, 5000, 8000, 20, 3, 1, 1000, 10000, 60000, 300000, 30000
};


typedef struct {
    brk_breaker_t  b;
    brk_policy_t   p;
    brk_clock_t   m;
} rig_t;


static void
rig_init(rig_t *rig)
{
    memset(rig, 0, sizeof(rig_t));

    rig->p = standard;
    rig->m.policy = &rig->p;
    rig->m.now = 1000000;

    brk_init(&rig->b, 1, rig->m.now);
}


static brk_verdict_e
acquire(rig_t *rig, brk_token_t *token)
{
    brk_msec_t  wait;

    return brk_acquire(&rig->b, &rig->m, 0, token, &wait);
}


/* a script of calls: letters are what happens */

static void
play(rig_t *rig, const char *script, const char *name)
{
    unsigned       n;
    brk_token_t    token;
    brk_verdict_e  verdict;

    n = 0;

    for ( /* void */ ; *script; script++, n++) {

        switch (*script) {

        case '.':                                     /* a second goes by */
            rig->m.now += 1000;
            continue;

        case 'o':
            rig->m.now = rig->b.open_until;
            continue;

        case ' ':
            continue;
        }

        verdict = acquire(rig, &token);

        if (*script == 'r') {
            check(verdict == BRK_REJECT, "%s: step %u is rejected", name, n);
            continue;
        }

        check(verdict != BRK_REJECT, "%s: step %u goes through", name, n);

        switch (*script) {

        case 's':
            brk_settle(&rig->b, &rig->m, &token, success);
            break;

        case 'f':
            brk_settle(&rig->b, &rig->m, &token, failure);
            break;

        case 'w':
            brk_settle(&rig->b, &rig->m, &token, slow);
            break;

        case 'n':
            brk_settle(&rig->b, &rig->m, &token, neutral);
            break;

        default:                                      /* l: it never ends */
            break;
        }
    }
}


typedef struct {
    const char     *name;
    const char     *script;
    unsigned        state;
    unsigned        why;
    brk_policy_t    policy;
} rule_t;


#define RATE(n, percent)                                                      \
    { 0, (percent) * 100, 0, (n), 3, 1, 0, 10000, 60000, 300000, 30000 }

#define SLOW(n, percent)                                                      \
    { 0, 0, (percent) * 100, (n), 3, 1, 0, 10000, 60000, 300000, 30000 }

#define ROW(n)                                                                \
    { (n), 0, 0, 20, 3, 1, 0, 10000, 60000, 300000, 30000 }

#define PROBES(n, m)                                                          \
    { 1, 0, 0, 20, (n), (m), 0, 10000, 1000, 4000, 30000 }

#define OFF()                                                                 \
    { 0, 0, 0, 1, 3, 1, 0, 10000, 60000, 300000, 30000 }

static const rule_t  rules[] = {

    { "five in a row", "fffffr", BRK_OPEN, BRK_WHY_FAILURES, ROW(5) },
    { "four are not five", "ffffs", BRK_CLOSED, 0, ROW(5) },
    { "a success breaks the row", "ffffsffffs", BRK_CLOSED, 0, ROW(5) },
    { "a slow call breaks it too", "ffffwffff", BRK_CLOSED, 0, ROW(5) },
    { "a neutral one does not", "ffffnfr", BRK_OPEN, BRK_WHY_FAILURES,
      ROW(5) },
    { "a row has no age", "ff....................ffff", BRK_OPEN,
      BRK_WHY_FAILURES, ROW(6) },

    { "half of ten", "sssssfffffr", BRK_OPEN, BRK_WHY_FAILURE_RATE,
      RATE(10, 50) },
    { "less than half", "ssssssffff", BRK_CLOSED, 0, RATE(10, 50) },
    { "too few calls", "fffffffff", BRK_CLOSED, 0, RATE(10, 50) },
    { "all of one", "fr", BRK_OPEN, BRK_WHY_FAILURE_RATE, RATE(1, 100) },
    { "reached by a success", "fffffssssr", BRK_OPEN, BRK_WHY_FAILURE_RATE,
      RATE(9, 50) },
    { "old calls fall off", "fffffff...........sssffff", BRK_CLOSED, 0,
      RATE(10, 60) },
    { "neutral calls do not count", "fffffnnnnnnnnn", BRK_CLOSED, 0,
      RATE(10, 10) },

    { "slow calls", "sswwwwwwwwr", BRK_OPEN, BRK_WHY_SLOW_RATE,
      SLOW(10, 80) },
    { "less than eight slow", "ssswwwwwww", BRK_CLOSED, 0, SLOW(10, 80) },
    { "slow calls, no rule", "wwwwwwwwwwwwwwwwwwww", BRK_CLOSED, 0,
      RATE(10, 1) },

    { "all rules off", "ffffffffffffwwwwwwwwww", BRK_CLOSED, 0, OFF() },

    { "three probes close it", "fo sss", BRK_CLOSED, BRK_WHY_RECOVERED,
      PROBES(3, 1) },
    { "two do not", "fo ss", BRK_HALF_OPEN, BRK_WHY_ELAPSED, PROBES(3, 1) },
    { "a failed probe opens it", "fo ssf r", BRK_OPEN, BRK_WHY_PROBE_FAILED,
      PROBES(3, 1) },
    { "one at a time", "fo lrrr", BRK_HALF_OPEN, BRK_WHY_ELAPSED,
      PROBES(3, 1) },
    { "two at a time", "fo llrrr", BRK_HALF_OPEN, BRK_WHY_ELAPSED,
      PROBES(3, 2) },
    { "no more than are needed", "fo slrr", BRK_HALF_OPEN, BRK_WHY_ELAPSED,
      PROBES(2, 5) },
    { "a neutral one is given back", "fo nnnnn sss", BRK_CLOSED,
      BRK_WHY_RECOVERED, PROBES(3, 1) },
    { "a slow probe, no rule", "fo wss", BRK_CLOSED, BRK_WHY_RECOVERED,
      PROBES(3, 1) },
    { "a hung probe", "fo l.............................. r", BRK_OPEN,
      BRK_WHY_PROBE_LATE, PROBES(3, 1) },
    { "closing forgets the failures", "fo sss ss f", BRK_OPEN,
      BRK_WHY_FAILURES, PROBES(3, 1) },
    { "idle for long", "fo ................................................ s",
      BRK_HALF_OPEN, BRK_WHY_ELAPSED, PROBES(3, 1) }
};


static void
test_rules(void)
{
    rig_t          rig;
    unsigned       i;
    const rule_t  *rule;

    for (i = 0; i < sizeof(rules) / sizeof(rules[0]); i++) {
        rule = &rules[i];

        rig_init(&rig);
        rig.p = rule->policy;

        play(&rig, rule->script, rule->name);

        check(rig.b.state == rule->state, "%s: state %u", rule->name,
              rig.b.state);
        check(rig.b.why == rule->why, "%s: why %u", rule->name, rig.b.why);
    }
}


/* doubles with each failed recovery, up to the cap; closing starts anew */

static void
test_backoff(void)
{
    rig_t     rig;
    unsigned  i;

    static const brk_msec_t  times[] = { 1000, 2000, 4000, 8000, 9000, 9000 };

    rig_init(&rig);
    rig.p.failure_threshold = 1;
    rig.p.recovery_timeout = 1000;
    rig.p.max_recovery_timeout = 9000;
    rig.p.jitter = 0;

    for (i = 0; i < 6; i++) {
        play(&rig, "f", "backoff");
        check(rig.m.event.to == BRK_OPEN && rig.m.event.open_for == times[i],
              "open %u for %lu", i, (long) rig.m.event.open_for);

        rig.m.now = rig.b.open_until - 1;
        play(&rig, "r", "a moment too early");
        rig.m.now++;
    }

    play(&rig, "sss f", "recovery");
    check(rig.m.event.open_for == 1000, "the first time again");

    /* huge levels and times do not overflow */

    rig.b.level = UINT32_MAX;
    rig.p.recovery_timeout = 1;
    rig.p.max_recovery_timeout = 86400000;
    rig.p.jitter = BRK_RATE_FULL;
    rig.m.random = UINT32_MAX;
    rig.m.now = rig.b.open_until;
    play(&rig, "f", "the longest");
    check(rig.m.event.open_for == 2 * 86400000ul, "%lu",
          (long) rig.m.event.open_for);
}


static void
test_jitter(void)
{
    rig_t       rig;
    uint64_t    seed;
    unsigned    i;
    brk_msec_t  least, most, time;

    seed = 42;
    least = UINT64_MAX;
    most = 0;

    for (i = 0; i < 10000; i++) {
        rig_init(&rig);
        rig.p.failure_threshold = 1;
        rig.m.random = random32(&seed);

        play(&rig, "f", "jitter");

        time = rig.m.event.open_for;
        check(time >= 60000 && time <= 66000, "open for %lu", (long) time);

        least = (time < least) ? time : least;
        most = (time > most) ? time : most;
    }

    check(least < 60100 && most > 65900, "all of the range is used");
}


static void
test_tokens(void)
{
    rig_t          rig, before;
    unsigned       i;
    brk_msec_t     wait;
    brk_token_t    token, stale[10], probe, copy, old;
    brk_verdict_e  verdict;

    /* failures of calls that began before the trip: one trip, one level */

    rig_init(&rig);

    for (i = 0; i < 10; i++) {
        acquire(&rig, &stale[i]);
    }

    for (i = 0; i < 5; i++) {
        brk_settle(&rig.b, &rig.m, &stale[i], failure);
    }

    check(rig.b.state == BRK_OPEN && rig.b.level == 1, "tripped once");

    brk_settle(&rig.b, &rig.m, &stale[5], failure);
    check(rig.b.level == 1 && rig.b.gen == 2, "and once only");
    check(rig.b.totals.failure == 6, "all are counted");

    /* nor do they decide a probe, either way */

    rig.m.now = rig.b.open_until;
    verdict = acquire(&rig, &probe);
    check(verdict == BRK_PROBE, "a probe");

    before = rig;
    brk_settle(&rig.b, &rig.m, &stale[6], failure);
    brk_settle(&rig.b, &rig.m, &stale[7], success);
    brk_settle(&rig.b, &rig.m, &stale[8], slow);
    before.b.totals = rig.b.totals;
    check(memcmp(&before.b, &rig.b, sizeof(brk_breaker_t)) == 0,
          "stale results change nothing");

    /* settled twice */

    copy = probe;
    old = probe;
    brk_settle(&rig.b, &rig.m, &probe, success);
    check(rig.b.succeeded == 1, "one success");
    brk_settle(&rig.b, &rig.m, &probe, success);
    check(rig.b.succeeded == 1, "the token is void");
    brk_settle(&rig.b, &rig.m, &copy, failure);
    check(rig.b.succeeded == 1 && rig.b.state == BRK_HALF_OPEN,
          "and so is a copy of it");

    /* the lease of another probe in the same place */

    acquire(&rig, &probe);
    check(probe.lease == old.lease && probe.serial != old.serial,
          "the place is used again");
    brk_settle(&rig.b, &rig.m, &old, failure);
    check(rig.b.state == BRK_HALF_OPEN && brk_live(&rig.b) == 1, "not this");

    /* a result at the very moment of its lease's end comes too late */

    rig.m.now = rig.b.leases[probe.lease - 1].until;
    brk_settle(&rig.b, &rig.m, &probe, success);
    check(rig.b.state == BRK_OPEN && rig.b.why == BRK_WHY_PROBE_LATE, "late");

    /* dry run: told to be rejected, goes on, decides nothing */

    verdict = brk_acquire(&rig.b, &rig.m, 1, &token, &wait);
    check(verdict == BRK_REJECT && rig.b.totals.dry_rejected == 1
          && rig.b.totals.rejected == 0 && wait > 0, "dry");
    before = rig;
    brk_settle(&rig.b, &rig.m, &token, failure);
    before.b.totals = rig.b.totals;
    check(memcmp(&before.b, &rig.b, sizeof(brk_breaker_t)) == 0, "dry result");
}


static void
test_waiting(void)
{
    rig_t        rig;
    brk_token_t  probe, other;

    rig_init(&rig);
    rig.p.failure_threshold = 1;
    play(&rig, "fo", "waiting");

    check(acquire(&rig, &probe) == BRK_PROBE, "a probe");
    brk_await(&rig.b, &probe);

    rig.m.now += 29999;
    play(&rig, "r", "the probe's client sends its body");

    /* the probe took too long: another one gets its place, nothing failed */

    rig.m.now += 1;
    check(acquire(&rig, &other) == BRK_PROBE, "another probe");
    check(rig.b.state == BRK_HALF_OPEN, "no failure");

    brk_resume(&rig.b, &rig.m, &probe);
    brk_settle(&rig.b, &rig.m, &probe, failure);
    check(rig.b.state == BRK_HALF_OPEN && brk_live(&rig.b) == 1, "void");

    /* in time: the lease begins with the call to the backend */

    brk_await(&rig.b, &other);
    rig.m.now += 29000;
    brk_resume(&rig.b, &rig.m, &other);
    rig.m.now += 29000;
    play(&rig, "r", "still alive");
    brk_settle(&rig.b, &rig.m, &other, success);
    check(rig.b.succeeded == 1, "a success");
}


static void
test_force(void)
{
    rig_t        rig;
    brk_msec_t   wait;
    brk_token_t  token, stale;

    rig_init(&rig);
    acquire(&rig, &stale);

    brk_force(&rig.b, &rig.m, BRK_FORCED_OPEN);
    check(rig.m.event.from == BRK_CLOSED && rig.m.event.to == BRK_FORCED_OPEN
          && rig.m.event.why == BRK_WHY_HAND, "event");
    check(brk_acquire(&rig.b, &rig.m, 0, &token, &wait) == BRK_REJECT
          && wait == rig.p.recovery_timeout, "rejects");

    brk_force(&rig.b, &rig.m, BRK_FORCED_OPEN);
    check(rig.m.event.from == rig.m.event.to && rig.b.gen == 2, "twice");

    rig.m.now += 1000000000;
    play(&rig, "rrr", "for good");

    brk_force(&rig.b, &rig.m, BRK_FORCED_CLOSED);
    play(&rig, "ffffffffffffffffffffffffff", "lets all through");
    check(rig.b.state == BRK_FORCED_CLOSED, "for good");

    brk_settle(&rig.b, &rig.m, &stale, failure);

    brk_force(&rig.b, &rig.m, BRK_CLOSED);
    check(rig.b.state == BRK_CLOSED && rig.b.consecutive == 0, "reset");
    play(&rig, "ffffs fffff r", "as new");

    brk_force(&rig.b, &rig.m, BRK_CLOSED);
    play(&rig, "fffffr", "an open one is reset as well");
}


/* a reload brings another policy, old and new workers use both */

static void
test_policies(void)
{
    rig_t        rig;
    brk_token_t  token;

    rig_init(&rig);
    rig.p.failure_threshold = 1;
    play(&rig, "fo ss", "two of three probes");

    rig.p.probes = 1;
    check(acquire(&rig, &token) == BRK_PASS && rig.b.state == BRK_CLOSED,
          "fewer probes close it");

    rig.p.recovery_timeout = 3600000;
    rig.p.max_recovery_timeout = 3600000;
    play(&rig, "fr", "open for an hour");

    rig.p.recovery_timeout = 1000;
    rig.p.max_recovery_timeout = 10000;
    play(&rig, "r", "a shorter policy");
    check(rig.b.open_until - rig.m.now <= 11000, "holds at once");

    rig.p.probe_timeout = 3600000;
    play(&rig, "o lr", "an hour's probe");
    rig.p.probe_timeout = 1000;
    play(&rig, "r. r", "a shorter one");
    check(rig.b.why == BRK_WHY_PROBE_LATE, "late now");
}


static void
test_clock(void)
{
    rig_t       rig;
    unsigned    i;
    brk_msec_t  now;

    static const int64_t  jumps[] = {
        -1, -1000, -100000, -0xffffffffll, -1000000000000ll,
        1, 1000, 100000, 0xffffffffll, 1000000000000ll
    };

    for (i = 0; i < sizeof(jumps) / sizeof(jumps[0]); i++) {
        rig_init(&rig);
        rig.m.now = 2000000000000ll;
        rig.p.failure_threshold = 1;
        play(&rig, "f", "clock");

        rig.m.now += (uint64_t) jumps[i];
        now = rig.m.now;

        if (jumps[i] < 66000) {
            play(&rig, "r", "still open");
        }

        /* open for the longest time at most, whatever the clock did */

        rig.m.now = now + 330001;
        play(&rig, "l", "half-open");
        check(rig.b.state == BRK_HALF_OPEN, "jump %ld", (long) jumps[i]);

        rig.m.now += (uint64_t) jumps[i];
        play(&rig, jumps[i] < 30000 ? "r" : "", "the probe is held");

        rig.m.now += 30000;
        play(&rig, "r", "and has ended");
        check(rig.b.why == BRK_WHY_PROBE_LATE, "jump %ld", (long) jumps[i]);
    }
}


/* the invariants, whatever happens in whatever order */

static unsigned
legal(unsigned from, unsigned to, unsigned why)
{
    if (why == BRK_WHY_HAND) {
        return to == BRK_CLOSED || to == BRK_FORCED_OPEN
               || to == BRK_FORCED_CLOSED;
    }

    switch (from) {

    case BRK_CLOSED:
        return to == BRK_OPEN
               && (why == BRK_WHY_FAILURES || why == BRK_WHY_FAILURE_RATE
                   || why == BRK_WHY_SLOW_RATE);

    case BRK_OPEN:
        return to == BRK_HALF_OPEN && why == BRK_WHY_ELAPSED;

    case BRK_HALF_OPEN:
        return (to == BRK_CLOSED && why == BRK_WHY_RECOVERED)
               || (to == BRK_OPEN
                   && (why == BRK_WHY_PROBE_FAILED || why == BRK_WHY_PROBE_SLOW
                       || why == BRK_WHY_PROBE_LATE));

    default:
        return 0;
    }
}


/* a run of random events, with the calls that are under way */

typedef struct {
    rig_t           rig;
    uint64_t        seed;
    unsigned        n;
    brk_token_t     calls[CALLS];
    brk_breaker_t   was;
} run_t;


static void
random_policy(run_t *run)
{
    uint64_t      *seed;
    brk_policy_t  *p;

    p = &run->rig.p;
    seed = &run->seed;

    p->failure_threshold = below(seed, 6);
    p->failure_rate = below(seed, 3) * 4000;
    p->slow_rate = below(seed, 3) * 4000;
    p->minimum_calls = 1 + below(seed, 20);
    p->probes = 1 + below(seed, 5);
    p->probe_concurrency = 1 + below(seed, BRK_LEASES);
    p->window = 1000 + below(seed, 10000);
    p->recovery_timeout = 1 + below(seed, 5000);
    p->max_recovery_timeout = p->recovery_timeout + below(seed, 20000);
    p->probe_timeout = 500 + below(seed, 5000);
    p->jitter = below(seed, BRK_RATE_FULL + 1);
}


static void
random_acquire(run_t *run)
{
    rig_t          *rig;
    brk_msec_t      wait;
    brk_token_t    *call;
    brk_verdict_e   verdict;

    rig = &run->rig;

    if (run->n == CALLS) {
        run->n = below(&run->seed, CALLS);            /* they died */
    }

    call = &run->calls[run->n];
    verdict = brk_acquire(&rig->b, &rig->m, 0, call, &wait);

    if (verdict == BRK_REJECT) {
        check(rig->b.totals.rejected == run->was.totals.rejected + 1,
              "counted");
        check(wait <= rig->p.max_recovery_timeout * 2
              || rig->b.state == BRK_FORCED_OPEN, "wait");
        return;
    }

    /* 3: none gets through before its time */

    check(run->was.state != BRK_OPEN
          || (int64_t) (rig->m.now - run->was.open_until) >= 0, "too early");
    check(run->was.state != BRK_FORCED_OPEN, "forced");
    check(call->gen == rig->b.gen, "of this generation");
    check((verdict == BRK_PROBE) == (call->lease != 0), "probe");

    run->n++;
}


static void
random_settle(run_t *run)
{
    rig_t          *rig, again;
    unsigned        k;
    brk_token_t     copy;
    brk_outcome_t   outcome;

    if (run->n == 0) {
        return;
    }

    rig = &run->rig;

    memset(&outcome, 0, sizeof(brk_outcome_t));
    outcome.neutral = below(&run->seed, 8) == 0;

    if (!outcome.neutral) {
        outcome.failure = below(&run->seed, 2);
        outcome.slow = below(&run->seed, 2);
    }

    k = below(&run->seed, run->n);
    copy = run->calls[k];
    brk_settle(&rig->b, &rig->m, &run->calls[k], outcome);

    /* 6: neutral and stale ones change no state by themselves */

    if (outcome.neutral || copy.gen != run->was.gen) {
        check(rig->b.gen == run->was.gen || rig->b.why == BRK_WHY_PROBE_LATE,
              "undecided");
    }

    /* 7: the token is void, and so is a probe's copy */

    again = *rig;
    brk_settle(&again.b, &again.m, &run->calls[k], outcome);
    check(again.b.gen == rig->b.gen, "settled twice");

    if (copy.lease) {
        brk_settle(&again.b, &again.m, &copy, outcome);
        check(again.b.gen == rig->b.gen, "a probe settled twice");
    }

    run->calls[k] = run->calls[--run->n];
}


static void
check_transition(run_t *run)
{
    brk_event_t         *e;
    const brk_policy_t  *p;

    e = &run->rig.m.event;
    p = &run->rig.p;

    if (e->from == e->to) {
        check(run->rig.b.state == run->was.state, "no silent change");
        return;
    }

    /* 1: legal edges, each with a new generation */

    check(legal(e->from, e->to, e->why), "%u to %u by %u", e->from, e->to,
          e->why);
    check(run->rig.b.state == e->to, "event");
    check(run->rig.b.gen > run->was.gen, "generation");

    /* 5: no rate without enough calls */

    if (e->why == BRK_WHY_FAILURE_RATE || e->why == BRK_WHY_SLOW_RATE) {
        check(e->sum.calls >= p->minimum_calls, "calls");
    }

    if (e->to != BRK_OPEN) {
        return;
    }

    /* 9: one level at a time; 10: open for a time within the bounds */

    check(run->rig.b.level == (e->from == BRK_CLOSED ? 1
                                                     : run->was.level + 1),
          "level");
    check(e->open_for >= p->recovery_timeout
          && e->open_for <= p->max_recovery_timeout
                            + p->max_recovery_timeout * p->jitter
                              / BRK_RATE_FULL, "open for");
}


static void
test_random(uint64_t seed, brk_msec_t base, unsigned skew, unsigned forced)
{
    rig_t       *rig;
    unsigned     i, what;
    brk_sum_t    sum;
    brk_msec_t   now;

    static run_t              run;
    static const brk_state_e  hands[] = {
        BRK_CLOSED, BRK_FORCED_OPEN, BRK_FORCED_CLOSED
    };

    memset(&run, 0, sizeof(run_t));
    rig = &run.rig;
    rig_init(rig);
    run.seed = seed;
    random_policy(&run);

    now = base;
    brk_init(&rig->b, 1, now);

    for (i = 0; i < 20000; i++) {

        if (below(&run.seed, 3) == 0) {
            now += below(&run.seed, below(&run.seed, 20) ? 50 : 3000);
        }

        rig->m.now = now - skew + (skew ? below(&run.seed, 2 * skew) : 0);
        rig->m.random = random32(&run.seed);
        rig->m.event.from = rig->m.event.to = rig->b.state;
        run.was = rig->b;

        what = below(&run.seed, 10);

        if (what < 5) {
            random_acquire(&run);

        } else if (what < 9) {
            random_settle(&run);

        } else if (forced && below(&run.seed, 30) == 0) {
            brk_force(&rig->b, &rig->m, hands[below(&run.seed, 3)]);
        }

        check_transition(&run);

        /* 2: never more probes than allowed */

        check(brk_live(&rig->b) <= rig->p.probe_concurrency, "concurrency");
        check(brk_live(&rig->b) + rig->b.succeeded <= rig->p.probes, "probes");

        /* 8: the parts of the window */

        brk_window_sum(&rig->b.window, rig->m.now, &sum);
        check(sum.failures <= sum.calls && sum.slow <= sum.calls, "window");

        /* 13: never open for ever */

        check(rig->b.state != BRK_OPEN
              || (int64_t) (rig->b.open_until - rig->m.now)
                 <= (int64_t) rig->p.max_recovery_timeout * 2 + 2 * skew,
              "open for ever");
    }
}


/* 4: half-open ends, with traffic, though every probe's worker died */

static void
test_no_wedge(uint64_t seed)
{
    rig_t        rig;
    brk_msec_t   end;
    brk_token_t  token;

    rig_init(&rig);
    rig.p.failure_threshold = 1;
    rig.p.probes = 1 + below(&seed, 8);
    rig.p.probe_concurrency = 1 + below(&seed, BRK_LEASES);
    rig.p.probe_timeout = 1 + below(&seed, 3000);

    play(&rig, "fo", "wedge");
    acquire(&rig, &token);
    check(rig.b.state == BRK_HALF_OPEN, "half-open");

    /* a while of given back probes does not count */

    brk_settle(&rig.b, &rig.m, &token, neutral);

    end = rig.m.now + rig.p.probe_timeout * rig.p.probes;

    while (rig.b.state == BRK_HALF_OPEN) {
        check(rig.m.now <= end, "wedged");
        acquire(&rig, &token);

        if (below(&seed, 3) == 0) {
            brk_settle(&rig.b, &rig.m, &token, success);
        }

        rig.m.now++;
    }
}


static void
test_repair(uint64_t seed)
{
    rig_t        rig;
    uint8_t     *p;
    unsigned     i, k;
    brk_token_t  token;

    for (i = 0; i < 2000; i++) {
        rig_init(&rig);
        p = (uint8_t *) &rig.b;

        for (k = 0; k < sizeof(brk_breaker_t); k++) {
            if (below(&seed, 4) == 0) {
                p[k] = (uint8_t) random32(&seed);
            }
        }

        brk_repair(&rig.b);
        check(rig.b.state < BRK_STATES && rig.b.gen, "repaired");
        check(brk_state_name(rig.b.state) && brk_why_text(rig.b.why), "named");

        for (k = 0; k < 50; k++) {
            acquire(&rig, &token);
            brk_settle(&rig.b, &rig.m, &token,
                       below(&seed, 2) ? failure : success);
            rig.m.now += below(&seed, 100000);
        }
    }
}


/* calls that count before they end, and responses that fail afterwards */

static void
test_early(void)
{
    rig_t         rig;
    unsigned      i;
    uint64_t      gen;
    brk_sum_t     sum;
    brk_token_t   token, other;
    brk_totals_t  totals;

    rig_init(&rig);
    rig.p.failure_threshold = 0;
    rig.p.failure_rate = 0;

    acquire(&rig, &token);
    brk_overdue(&rig.b, &rig.m, &token);
    brk_overdue(&rig.b, &rig.m, &token);
    brk_window_sum(&rig.b.window, rig.m.now, &sum);
    check(sum.calls == 1 && sum.slow == 1 && sum.failures == 0, "once");

    rig.m.now += 3000;
    brk_settle(&rig.b, &rig.m, &token, failure);
    brk_window_sum(&rig.b.window, rig.m.now, &sum);
    check(sum.calls == 1 && sum.slow == 1 && sum.failures == 1, "the same");
    check(rig.b.consecutive == 1 && rig.b.totals.failure == 1, "in a row");

    rig.m.now += rig.p.window - 3000;
    brk_window_sum(&rig.b.window, rig.m.now, &sum);
    check(sum.calls == 0 && sum.failures == 0, "gone with its call");

    /* the call has left the window before it fails, or succeeds */

    for (i = 0; i < 2; i++) {
        acquire(&rig, &token);
        brk_overdue(&rig.b, &rig.m, &token);
        rig.m.now += 2 * rig.p.window;
        brk_settle(&rig.b, &rig.m, &token, i ? slow : failure);
        brk_window_sum(&rig.b.window, rig.m.now, &sum);
        check(sum.calls == 1 - i && sum.failures == 1 - i && sum.slow == 0,
              "%u: late", i);
        rig.m.now += 2 * rig.p.window;
    }

    /* enough of them open it, and what comes later is of an earlier state */

    for (i = 0; i < rig.p.minimum_calls && rig.b.state == BRK_CLOSED; i++) {
        acquire(&rig, &token);
        brk_overdue(&rig.b, &rig.m, &token);
    }

    check(rig.b.state == BRK_OPEN && rig.b.why == BRK_WHY_SLOW_RATE, "open");
    gen = rig.b.gen;
    brk_overdue(&rig.b, &rig.m, &token);
    brk_settle(&rig.b, &rig.m, &token, failure);
    check(rig.b.gen == gen, "nothing more");

    /* a probe that hangs is a slow one */

    rig.m.now = rig.b.open_until;
    check(acquire(&rig, &token) == BRK_PROBE, "a probe");
    brk_overdue(&rig.b, &rig.m, &token);
    check(rig.b.state == BRK_OPEN && rig.b.why == BRK_WHY_PROBE_SLOW, "slow");

    rig.p.slow_rate = 0;
    rig.m.now = rig.b.open_until;
    check(acquire(&rig, &token) == BRK_PROBE, "a probe");
    brk_overdue(&rig.b, &rig.m, &token);
    check(rig.b.state == BRK_HALF_OPEN, "slowness is off");

    /* a probe that fails behind its header */

    other = token;
    totals = rig.b.totals;
    brk_settle(&rig.b, &rig.m, &token, header);
    check(rig.b.succeeded == 1, "decided");
    check(memcmp(&totals, &rig.b.totals, sizeof(brk_totals_t)) == 0,
          "not counted before its end");
    brk_late(&rig.b, &rig.m, other.gen, failure, 0);
    check(rig.b.state == BRK_HALF_OPEN, "half-open still");
    check(rig.b.totals.success == totals.success
          && rig.b.totals.failure == totals.failure + 1, "a failure");
    brk_late(&rig.b, &rig.m, other.gen, success, 1);
    check(rig.b.state == BRK_HALF_OPEN
          && rig.b.totals.success == totals.success + 1, "a success");
    brk_late(&rig.b, &rig.m, other.gen, slow, 1);
    check(rig.b.state == BRK_HALF_OPEN
          && rig.b.totals.slow == totals.slow + 1, "a slow one");
    brk_late(&rig.b, &rig.m, other.gen - 1, failure, 1);
    check(rig.b.state == BRK_HALF_OPEN, "another generation");
    brk_late(&rig.b, &rig.m, other.gen, failure, 1);
    check(rig.b.state == BRK_OPEN && rig.b.why == BRK_WHY_PROBE_FAILED,
          "its status came later");

    brk_force(&rig.b, &rig.m, BRK_CLOSED);
    rig.p.failure_threshold = 1;
    brk_late(&rig.b, &rig.m, other.gen, failure, 0);
    check(rig.b.state == BRK_OPEN, "counts as any error");
}


int
main(void)
{
    uint64_t  seed;

    test_rules();
    test_backoff();
    test_jitter();
    test_tokens();
    test_waiting();
    test_force();
    test_policies();
    test_clock();

    for (seed = 1; seed <= 40; seed++) {
        test_random(seed * 0x9e3779b97f4a7c15ull, 1000000, 0, seed % 2);
        test_random(seed * 0xbf58476d1ce4e5b9ull, UINT64_MAX - 40000, 1000,
                    seed % 2);
        test_no_wedge(seed * 0x94d049bb133111ebull);
    }

    test_early();
    test_repair(99);

    printf("ok breaker_state: %lu checks\n", checks);

    return 0;
}
