
/*
 * Several processes on one mapping, some of which are killed anywhere.
 *
 * sources: brk_table.c brk_state.c brk_window.c
 */

#define _GNU_SOURCE

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "brk_table.h"
#include "breaker_check.h"


#define WORKERS  3
#define KEYS     24
#define HELD     16
#define SIZE     (sizeof(brk_table_t) + 16 * (sizeof(brk_slot_t) + 16))


typedef struct {
    uint32_t      lock;               /* the owner, as in ngx_shmtx */
    uint32_t      stop;
    brk_msec_t    now;
    uint64_t      calls;
    uint64_t      glances;
    uint64_t      passes;
    uint64_t      refused;
    uint64_t      probes;
    uint64_t      trips;
    uint64_t      failed;             /* a line of a failed check */
    uint8_t       table[SIZE] __attribute__((aligned(64)));
} shared_t;


static shared_t            *shared;

static const brk_policy_t   policy = {
    3, 5000, 0, 5, 3, 2, 5000, 1000, 200, 1000, 300
};


static void
lock(void)
{
    uint32_t  none;

    for ( ;; ) {
        none = 0;

        if (__atomic_compare_exchange_n(&shared->lock, &none, getpid(), 0,
                                        __ATOMIC_ACQUIRE, __ATOMIC_RELAXED))
        {
            return;
        }

        sched_yield();
    }
}


static void
unlock(pid_t pid)
{
    uint32_t  owner;

    owner = (uint32_t) pid;

    __atomic_compare_exchange_n(&shared->lock, &owner, 0, 0, __ATOMIC_RELEASE,
                                __ATOMIC_RELAXED);
}


/* in a child: the parent reads it, a killed lock must not hide it */

#define hold(x)                                                               \
    if (!(x)) {                                                               \
        shared->failed = __LINE__;                                            \
        _exit(1);                                                             \
    }


static void
worker(uint64_t seed)
{
    char            text[32];
    unsigned        n, k;
    brk_key_t       key;
    brk_slot_t     *slot;
    brk_table_t    *t;
    brk_clock_t    m;
    brk_permit_t    hint, held[HELD];
    brk_verdict_e   verdict;
    brk_outcome_t   outcome;
    brk_breaker_t   was;

    t = (brk_table_t *) shared->table;
    m.policy = &policy;
    n = 0;

    memset(&was, 0, sizeof(brk_breaker_t));
    memset(&hint, 0, sizeof(brk_permit_t));

    while (!shared->stop) {

        key.len = (uint8_t) sprintf(text, "key-%u", below(&seed, KEYS));
        key.data = (uint8_t *) text;
        key.digest = 0;
        key.hash = brk_table_hash(t, key.data, key.len);

        /* each worker has read the clock some time ago */

        m.now = __atomic_add_fetch(&shared->now, below(&seed, 3) == 0,
                                   __ATOMIC_RELAXED) - below(&seed, 5);
        m.random = random32(&seed);
        m.event.from = m.event.to = BRK_CLOSED;

        if (n < HELD && below(&seed, 4) == 0
            && brk_table_try_lockless(t, &key, &hint, &held[n]))
        {

            hold(held[n].token.gen && held[n].token.lease == 0);
            shared->glances++;
            n++;
            continue;
        }

        if (n < HELD && below(&seed, 4) == 0
            && !brk_table_try_lockless(t, &key, &hint, &held[n])
            && brk_table_refuse(t, &held[n], &policy, m.now, 0))
        {
            hold(held[n].token.gen == 0
                 && held[n].wait <= brk_longest(&policy));
            shared->refused++;
            continue;
        }

        if (n && below(&seed, 8) == 0
            && brk_table_pass(t, &held[n - 1], &policy, m.now))
        {
            shared->passes++;
            n--;
            continue;
        }

        lock();
        brk_table_enter(t);

        if (n < HELD && below(&seed, 2)) {

            slot = brk_table_find(t, &key);

            if (slot) {
                was = slot->breaker;
            }

            verdict = brk_table_acquire(t, &key, &m, 0, &held[n]);
            slot = brk_table_find(t, &key);

            if (verdict == BRK_FULL) {
                hold(slot == NULL && t->oldest == BRK_NONE);

            } else {
                hold(slot && brk_live(&slot->breaker) <= 2);
                hold(brk_live(&slot->breaker) + slot->breaker.succeeded <= 3);

                if (verdict != BRK_REJECT && slot->born == held[n].born) {
                    hold(m.event.from != BRK_OPEN
                         || (int64_t) (m.now - was.open_until) >= 0);
                }
            }

            if (verdict == BRK_PASS || verdict == BRK_PROBE) {
                shared->calls++;
                shared->probes += (verdict == BRK_PROBE);
                n++;
            }

        } else if (n) {
            k = below(&seed, n);

            memset(&outcome, 0, sizeof(brk_outcome_t));
            outcome.failure = below(&seed, 3) == 0;
            outcome.neutral = !outcome.failure && below(&seed, 8) == 0;

            brk_table_settle(t, &held[k], &m, outcome);

            if (m.event.from != m.event.to) {
                shared->trips += (m.event.to == BRK_OPEN);
                hold(m.event.open_for >= 200 || m.event.to != BRK_OPEN);
                hold(m.event.open_for <= 1500);
            }

            held[k] = held[--n];
        }

        brk_table_leave(t);
        unlock(getpid());
    }

    _exit(0);
}


static pid_t
spawn(uint64_t seed)
{
    pid_t  pid;

    pid = fork();

    if (pid == 0) {
        worker(seed * 0x9e3779b97f4a7c15ull);
    }

    check(pid > 0, "fork: %s", strerror(errno));

    return pid;
}


int
main(void)
{
    int              status;
    pid_t            pid, pids[WORKERS];
    uint64_t         n, seed, in_lock;
    unsigned         i, k;
    brk_table_t     *t;
    struct timespec  pause;

    static const uint64_t  seeds[2] = { 1, 2 };

    shared = mmap(NULL, sizeof(shared_t), PROT_READ|PROT_WRITE,
                  MAP_SHARED|MAP_ANONYMOUS, -1, 0);
    check(shared != MAP_FAILED, "mmap");

    t = (brk_table_t *) shared->table;
    check(brk_table_init(t, SIZE, seeds) == 0, "init");
    shared->now = 1000;

    for (i = 0; i < WORKERS; i++) {
        pids[i] = spawn(i + 1);
    }

    seed = 77;
    in_lock = 0;

    for (n = 0; n < 400; n++) {

        pause.tv_sec = 0;
        pause.tv_nsec = 1000 * (1 + below(&seed, 4000));
        nanosleep(&pause, NULL);

        i = below(&seed, WORKERS);
        pid = pids[i];

        /* half of them in the middle of it, if it can be met */

        for (k = 0; n % 2 && k < 100000; k++) {
            if (*(volatile uint32_t *) &t->busy
                && *(volatile uint32_t *) &shared->lock == (uint32_t) pid)
            {
                break;
            }
        }

        kill(pid, SIGKILL);
        check(waitpid(pid, &status, 0) == pid, "waitpid");
        check(WIFSIGNALED(status), "line %lu of a worker",
              (long) shared->failed);

        in_lock += (shared->lock == (uint32_t) pid);
        unlock(pid);

        pids[i] = spawn(n + 100);
    }

    shared->stop = 1;

    for (i = 0; i < WORKERS; i++) {
        check(waitpid(pids[i], &status, 0) == pids[i], "waitpid");
        check(WIFEXITED(status) && WEXITSTATUS(status) == 0,
              "line %lu of a worker", (long) shared->failed);
    }

    brk_table_enter(t);
    brk_table_leave(t);

    check(brk_table_verify(t) == 0, "valid at the end");
    check(t->repaired <= in_lock && t->repaired > 0,
          "%lu repairs after %lu deaths in the lock", (long) t->repaired,
          (long) in_lock);
    check(shared->glances > 20 && shared->passes > 20 && shared->refused > 20
          && shared->trips > 20 && shared->probes > 20
          && t->evicted > 20, "enough has happened");

    printf("%lu calls, %lu glances, %lu passes, %lu probes, %lu trips, "
           "%lu evictions, %lu killed, %lu of them in the lock, "
           "%lu repairs\n", (long) shared->calls, (long) shared->glances,
           (long) shared->passes, (long) shared->probes, (long) shared->trips,
           (long) t->evicted, (long) n, (long) in_lock, (long) t->repaired);
    printf("ok breaker_fork: %lu checks\n", checks + (long) shared->calls);

    return 0;
}
