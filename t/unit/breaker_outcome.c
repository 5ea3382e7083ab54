
/*
 * What counts as what.
 *
 * sources: brk_outcome.c
 */

#include "brk_outcome.h"
#include "breaker_check.h"


#define S  1                                          /* slow */
#define F  2                                          /* failure */
#define N  4                                          /* neutral */


typedef struct {
    const char  *name;
    brk_end_e    end;
    unsigned     status;
    unsigned     header;
    brk_msec_t   time;
    unsigned     standard;          /* with the standard list */
    unsigned     bare;              /* nothing is a failure */
} row_t;


static const row_t  rows[] = {

    { "200", BRK_END_DONE, 200, 1, 10, 0, 0 },
    { "200 slow", BRK_END_DONE, 200, 1, 2001, S, S },
    { "200 just in time", BRK_END_DONE, 200, 1, 2000, 0, 0 },
    { "304", BRK_END_DONE, 304, 1, 10, 0, 0 },
    { "400", BRK_END_DONE, 400, 1, 10, 0, 0 },
    { "404", BRK_END_DONE, 404, 1, 10, 0, 0 },
    { "429", BRK_END_DONE, 429, 1, 10, 0, 0 },
    { "599", BRK_END_DONE, 599, 1, 10, 0, 0 },
    { "600", BRK_END_DONE, 600, 1, 10, 0, 0 },
    { "501", BRK_END_DONE, 501, 1, 10, 0, 0 },
    { "500", BRK_END_DONE, 500, 1, 10, F, 0 },
    { "502 of a backend", BRK_END_DONE, 502, 1, 10, F, 0 },
    { "503", BRK_END_DONE, 503, 1, 10, F, 0 },
    { "504 of a backend", BRK_END_DONE, 504, 1, 10, F, 0 },
    { "500 slow", BRK_END_DONE, 500, 1, 5000, F|S, S },

    { "refused", BRK_END_DONE, 502, 0, 1, F, 0 },
    { "timeout", BRK_END_DONE, 504, 0, 60000, F|S, S },
    { "no name", BRK_END_DONE, 0, 0, 1, F, 0 },

    { "truncated", BRK_END_BROKEN, 200, 1, 10, F, 0 },
    { "truncated 404", BRK_END_BROKEN, 404, 1, 10, F, 0 },
    { "truncated 500", BRK_END_BROKEN, 500, 1, 10, F, 0 },
    { "truncated, slow", BRK_END_BROKEN, 200, 1, 2500, F|S, S },

    { "client gone", BRK_END_CLIENT, 0, 0, 100, N, N },
    { "client gone late", BRK_END_CLIENT, 0, 0, 2100, S, S },
    { "client gone in the body", BRK_END_CLIENT, 200, 1, 100, N, N },
    { "client gone in a slow body", BRK_END_CLIENT, 200, 1, 2100, S, S },
    { "client gone after a 500", BRK_END_CLIENT, 500, 1, 100, F, N },

    { "cancelled", BRK_END_CANCEL, 0, 0, 100, N, N },
    { "cancelled late", BRK_END_CANCEL, 0, 0, 9000, N, N },
    { "cancelled in the body", BRK_END_CANCEL, 200, 1, 9000, N, N },
    { "own deadline", BRK_END_CANCEL, 504, 0, 500, F, 0 },
    { "own deadline, late", BRK_END_CANCEL, 504, 0, 2500, F|S, S },
    { "own deadline in the body", BRK_END_CANCEL, 504, 1, 500, F, 0 },
    { "cancelled after a 500", BRK_END_CANCEL, 500, 1, 500, F, N },

    { "no backend was asked", BRK_END_LOCAL, 0, 0, 9000, N, N },
    { "nor for a 500", BRK_END_LOCAL, 500, 0, 9000, N, N }
};


static unsigned
flags(brk_outcome_t outcome)
{
    return (outcome.slow ? S : 0) | (outcome.failure ? F : 0)
           | (outcome.neutral ? N : 0);
}


int
main(void)
{
    unsigned      i, status;
    brk_call_t    call;
    brk_rules_t   standard, bare, off;
    const row_t  *row;

    memset(&standard, 0, sizeof(brk_rules_t));
    standard.slow_call = 2000;
    bare = standard;

    standard.error = 1;
    standard.timeout = 1;
    brk_rules_add(&standard, 500);
    brk_rules_add(&standard, 502);
    brk_rules_add(&standard, 503);
    brk_rules_add(&standard, 504);

    for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        row = &rows[i];

        memset(&call, 0, sizeof(brk_call_t));
        call.end = row->end;
        call.status = row->status;
        call.header = row->header;
        call.time = row->time;

        check(flags(brk_outcome(&standard, &call)) == row->standard,
              "%s: %x", row->name, flags(brk_outcome(&standard, &call)));
        check(flags(brk_outcome(&bare, &call)) == row->bare,
              "%s, bare: %x", row->name, flags(brk_outcome(&bare, &call)));

        off = standard;
        off.slow_call = 0;
        check(brk_outcome(&off, &call).slow == 0, "%s: slow", row->name);
    }

    /* error and timeout are two rules */

    memset(&call, 0, sizeof(brk_call_t));
    bare.error = 1;
    call.status = 504;
    check(brk_outcome(&bare, &call).failure == 0, "a timeout is no error");
    call.status = 502;
    check(brk_outcome(&bare, &call).failure == 1, "an error");
    bare.error = 0;
    bare.timeout = 1;
    check(brk_outcome(&bare, &call).failure == 0, "an error is no timeout");
    call.status = 504;
    check(brk_outcome(&bare, &call).failure == 1, "a timeout");

    /* codes of gRPC, with a header and without */

    memset(&off, 0, sizeof(brk_rules_t));
    off.grpc = 1 << 14 | 1 << 2;

    for (i = 0; i < 40; i++) {
        memset(&call, 0, sizeof(brk_call_t));
        call.status = 200;
        call.header = 1;
        call.grpc = i;
        check(brk_outcome(&off, &call).failure == (i == 14 || i == 2), "%u", i);
        call.end = BRK_END_CLIENT;
        check(brk_outcome(&off, &call).failure == 0, "%u: client", i);
        call.end = BRK_END_DONE;
        call.header = 0;
        call.status = 502;
        check(brk_outcome(&off, &call).failure == 0, "%u: no header", i);
    }

    check(brk_grpc_code((const uint8_t *) "0", 1) == 0, "ok");
    check(brk_grpc_code((const uint8_t *) "14", 2) == 14, "a code");
    check(brk_grpc_code((const uint8_t *) "16", 2) == 16, "the last code");
    check(brk_grpc_code((const uint8_t *) "17", 2) == 2, "one too many");
    check(brk_grpc_code((const uint8_t *) "4294967310", 10) == 2, "too many");
    check(brk_grpc_code((const uint8_t *) "", 0) == 2, "nothing");
    check(brk_grpc_code((const uint8_t *) "-1", 2) == 2, "no number");
    check(brk_grpc_named((const uint8_t *) "unavailable", 11) == 14, "name");
    check(brk_grpc_named((const uint8_t *) "unauthenticated", 15) == 16,
          "the last name");
    check(brk_grpc_named((const uint8_t *) "ok", 2) == 0, "ok is no failure");
    check(brk_grpc_named((const uint8_t *) "unavail", 7) == 0, "a part");

    /* every status by itself */

    for (status = BRK_STATUS_MIN; status <= BRK_STATUS_MAX; status++) {
        memset(&off, 0, sizeof(brk_rules_t));
        brk_rules_add(&off, status);

        for (i = 0; i < 1000; i++) {
            check(brk_rules_match(&off, i) == (i == status), "%u", i);
        }
    }

    printf("ok breaker_outcome: %lu checks\n", checks);

    return 0;
}
