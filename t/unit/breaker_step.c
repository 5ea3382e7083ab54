
/*
 * A process that is killed after any one instruction: a child works on the
 * table step by step, and after each step a copy of the memory must be as good
 * as before or after once the next process has entered it.
 *
 * sources: brk_table.c brk_state.c brk_window.c
 */

#define _GNU_SOURCE

#include <errno.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

#include "brk_table.h"
#include "breaker_check.h"


#define SIZE  (sizeof(brk_table_t) + 4 * (sizeof(brk_slot_t) + 16))


typedef struct {
    uint8_t       table[SIZE] __attribute__((aligned(64)));
    brk_permit_t  permit;
    brk_msec_t    now;
} shared_t;


typedef struct {
    const char   *name;
    void        (*step)(brk_table_t *t);
} step_t;


static shared_t             *shared;

static const brk_outcome_t   success = { 0, 0, 0, 0 };
static const brk_outcome_t   failure = { 0, 1, 0, 0 };

static const brk_policy_t    policy = {
    2, 0, 0, 5, 1, 1, 0, 1000, 200, 1000, 300
};


static brk_verdict_e
acquire(brk_table_t *t, const char *text)
{
    brk_key_t      key;
    brk_clock_t   m;
    brk_verdict_e  verdict;

    key.data = (const uint8_t *) text;
    key.len = (uint8_t) strlen(text);
    key.digest = 0;
    key.hash = brk_table_hash(t, key.data, key.len);

    m.policy = &policy;
    m.now = shared->now;
    m.random = 0;

    brk_table_enter(t);
    verdict = brk_table_acquire(t, &key, &m, 0, &shared->permit);
    brk_table_leave(t);

    return verdict;
}


static void
settle(brk_table_t *t, brk_outcome_t outcome)
{
    brk_clock_t  m;

    m.policy = &policy;
    m.now = shared->now;
    m.random = 0;

    brk_table_enter(t);
    brk_table_settle(t, &shared->permit, &m, outcome);
    brk_table_leave(t);
}


static void
step_acquire(brk_table_t *t)
{
    acquire(t, "a");
}


static void
step_fail(brk_table_t *t)
{
    settle(t, failure);
}


static void
step_succeed(brk_table_t *t)
{
    settle(t, success);
}


static void
step_wait(brk_table_t *t)
{
    (void) t;
    shared->now += 1000;
}


static void
step_fill(brk_table_t *t)
{
    char      text[2];
    unsigned  i;

    text[1] = '\0';

    for (i = 0; i < 8; i++) {
        text[0] = (char) ('p' + i);
        acquire(t, text);
        settle(t, success);
    }
}


static void
step_force(brk_table_t *t)
{
    brk_slot_t    *slot;
    brk_clock_t   m;

    m.policy = &policy;
    m.now = shared->now;

    brk_table_enter(t);
    slot = brk_table_slot(t, 0, brk_table_at(t, 0)->born);
    brk_force(&slot->breaker, &m, BRK_FORCED_OPEN);
    brk_table_place(t, slot, 0);
    brk_force(&slot->breaker, &m, BRK_CLOSED);
    brk_table_place(t, slot, 0);
    brk_table_leave(t);
}


static const step_t  steps[] = {
    { "the first key", step_acquire },
    { "a failure", step_fail },
    { "again", step_acquire },
    { "a trip", step_fail },
    { "recovery", step_wait },
    { "a probe", step_acquire },
    { "that fails", step_fail },
    { "more time", step_wait },
    { "another", step_acquire },
    { "that closes", step_succeed },
    { "evictions", step_fill },
    { "by hand", step_force }
};


/* the life that goes on after a death */

static void
survive(const shared_t *left, unsigned n)
{
    unsigned          i;
    brk_slot_t       *slot;
    brk_table_t      *t;
    static shared_t   own;

    own = *left;
    t = (brk_table_t *) own.table;

    if (t->busy == 0) {
        check(brk_table_verify(t) == 0, "step %u: idle and not valid", n);
    }

    brk_table_enter(t);
    brk_table_leave(t);
    check(brk_table_verify(t) == 0, "step %u: not repaired", n);

    for (i = 0; i < t->slots; i++) {
        slot = brk_table_at(t, i);

        if (slot) {
            check(brk_live(&slot->breaker) <= 1, "step %u: leases", n);
            check((int64_t) (slot->breaker.open_until - left->now) <= 1000,
                  "step %u: open for ever", n);
            check(slot->breaker.gen > 0, "step %u: generation", n);
        }
    }
}


int
main(void)
{
    int       status;
    pid_t     pid;
    unsigned  i, n;

    static const uint64_t  seeds[2] = { 1, 2 };

    shared = mmap(NULL, sizeof(shared_t), PROT_READ|PROT_WRITE,
                  MAP_SHARED|MAP_ANONYMOUS, -1, 0);
    check(shared != MAP_FAILED, "mmap");
    check(brk_table_init((brk_table_t *) shared->table, SIZE, seeds) == 0,
          "init");
    shared->now = 5000;

    pid = fork();
    check(pid >= 0, "fork: %s", strerror(errno));

    if (pid == 0) {
        ptrace(PTRACE_TRACEME, 0, NULL, NULL);
        raise(SIGSTOP);

        for (i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
            steps[i].step((brk_table_t *) shared->table);
        }

        _exit(0);
    }

    check(waitpid(pid, &status, 0) == pid && WIFSTOPPED(status),
          "the child may not be traced");

    for (n = 0; /* void */ ; n++) {
        check(ptrace(PTRACE_SINGLESTEP, pid, NULL, NULL) == 0, "step: %s",
              strerror(errno));
        check(waitpid(pid, &status, 0) == pid, "waitpid");

        if (!WIFSTOPPED(status)) {
            break;
        }

        check(WSTOPSIG(status) == SIGTRAP, "signal %d", WSTOPSIG(status));

        survive(shared, n);
    }

    check(WIFEXITED(status) && WEXITSTATUS(status) == 0, "status %d", status);
    check(n > 1000, "%u steps only", n);

    printf("ok breaker_step: %lu checks\n", checks);

    return 0;
}
