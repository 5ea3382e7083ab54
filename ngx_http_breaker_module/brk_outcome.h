
/*
 * What counts as what: the end of a call, as nginx tells it, becomes an
 * outcome for the state machine.  One table, no state.
 */


#ifndef _BRK_OUTCOME_H_INCLUDED_
#define _BRK_OUTCOME_H_INCLUDED_


#include "brk_state.h"


#pragma GCC visibility push(hidden)


#define BRK_STATUS_MIN  400
#define BRK_STATUS_MAX  599


typedef enum {
    BRK_END_DONE = 0,           /* as the backend wanted it */
    BRK_END_BROKEN,             /* the body stopped before its end */
    BRK_END_CLIENT,             /* the client went away */
    BRK_END_CANCEL,             /* somebody here needed it no more */
    BRK_END_LOCAL               /* no backend was asked */
} brk_end_e;


/* which ends are failures */

typedef struct {
    brk_msec_t   slow_call;     /* 0: off */
    unsigned     error:1;
    unsigned     timeout:1;
    uint32_t     statuses[(BRK_STATUS_MAX - BRK_STATUS_MIN) / 32 + 1];
} brk_rules_t;


typedef struct {
    brk_end_e    end;
    unsigned     status;        /* 0: none */
    unsigned     header:1;      /* the backend sent a response header */
    brk_msec_t   time;          /* until the header, else until the end */
} brk_call_t;


brk_outcome_t brk_outcome(const brk_rules_t *rules, const brk_call_t *call);

void brk_rules_add(brk_rules_t *rules, unsigned status);
unsigned brk_rules_match(const brk_rules_t *rules, unsigned status);


#pragma GCC visibility pop


#endif /* _BRK_OUTCOME_H_INCLUDED_ */
