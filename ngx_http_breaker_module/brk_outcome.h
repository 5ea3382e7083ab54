
/*
 * Outcomes of calls: the end of a call, as nginx reports it, becomes an
 * outcome for the state machine.  This is one table without state.
 */


#ifndef _BRK_OUTCOME_H_INCLUDED_
#define _BRK_OUTCOME_H_INCLUDED_


#include <stddef.h>

#include "brk_state.h"


#pragma GCC visibility push(hidden)


#define BRK_STATUS_MIN  400
#define BRK_STATUS_MAX  599

#define BRK_GRPC_UNKNOWN  2
#define BRK_GRPC_CODES    17    /* 0 is OK */


typedef enum {
    BRK_END_DONE = 0,           /* the response is complete */
    BRK_END_BROKEN,             /* the body stopped before its end */
    BRK_END_CLIENT,             /* the client went away */
    BRK_END_CANCEL,             /* cancelled on our side */
    BRK_END_LOCAL               /* no backend was called */
} brk_end_e;


/* which ends are failures */

typedef struct {
    brk_msec_t   slow_call;     /* 0: off */
    unsigned     error:1;
    unsigned     timeout:1;
    uint32_t     grpc;          /* a bit for each code of gRPC */
    uint32_t     statuses[(BRK_STATUS_MAX - BRK_STATUS_MIN) / 32 + 1];
} brk_rules_t;


typedef struct {
    brk_end_e    end;
    unsigned     status;        /* 0: none */
    unsigned     header:1;      /* the backend sent a response header */
    unsigned     grpc;          /* code of gRPC, 0: none, or OK */
    brk_msec_t   time;          /* until the header, else until the end */
} brk_call_t;


/* the outcome of a call that has ended */
brk_outcome_t brk_outcome(const brk_rules_t *rules, const brk_call_t *call);

/* the code in a "grpc-status" field; UNKNOWN if it is not one of gRPC's */
unsigned brk_grpc_code(const uint8_t *text, size_t len);

/* the code by its name, such as "unavailable"; 0: there is no such name */
unsigned brk_grpc_named(const uint8_t *name, size_t len);

/* statuses from BRK_STATUS_MIN to BRK_STATUS_MAX; others never match */
void brk_rules_add(brk_rules_t *rules, unsigned status);
unsigned brk_rules_match(const brk_rules_t *rules, unsigned status);


#pragma GCC visibility pop


#endif /* _BRK_OUTCOME_H_INCLUDED_ */
