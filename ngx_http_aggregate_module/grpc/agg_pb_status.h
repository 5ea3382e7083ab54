
/* The status of a call: codes, grpc-message, grpc-status-details-bin. */


#ifndef AGG_PB_STATUS_H_INCLUDED
#define AGG_PB_STATUS_H_INCLUDED


#include "agg_pb_to_json.h"


#pragma GCC visibility push(hidden)


typedef enum {
    AGG_GRPC_OK = 0,
    AGG_GRPC_CANCELLED,
    AGG_GRPC_UNKNOWN,
    AGG_GRPC_INVALID_ARGUMENT,
    AGG_GRPC_DEADLINE_EXCEEDED,
    AGG_GRPC_NOT_FOUND,
    AGG_GRPC_ALREADY_EXISTS,
    AGG_GRPC_PERMISSION_DENIED,
    AGG_GRPC_RESOURCE_EXHAUSTED,
    AGG_GRPC_FAILED_PRECONDITION,
    AGG_GRPC_ABORTED,
    AGG_GRPC_OUT_OF_RANGE,
    AGG_GRPC_UNIMPLEMENTED,
    AGG_GRPC_INTERNAL,
    AGG_GRPC_UNAVAILABLE,
    AGG_GRPC_DATA_LOSS,
    AGG_GRPC_UNAUTHENTICATED
} agg_grpc_code_e;

#define AGG_GRPC_CODES  17


/* the decimal number of a header; codes above 16 are kept; -1: it is invalid */

long agg_grpc_code(const u_char *data, size_t len);

/* "NOT_FOUND"; "UNKNOWN" for an unknown code */

const char *agg_grpc_code_name(long code);

/* "Not Found", as the title of a problem */

const char *agg_grpc_code_title(long code);

/* 404; 500 for an unknown code */

unsigned agg_grpc_http_status(long code);

/* the code for an error of nginx itself: 404 is NOT_FOUND, and so on */

agg_grpc_code_e agg_grpc_code_of_http(unsigned status);


/*
 * Decodes grpc-message; len bytes at dst are enough, and dst may be src.
 * Invalid escapes are copied.  The result may contain any bytes:
 * agg_json_escape() writes invalid UTF-8 as U+FFFD.
 */

size_t agg_grpc_message(u_char *dst, const u_char *src, size_t len);


typedef struct {
    int64_t                   retry_after;  /* seconds, rounded up; -1: none */
    unsigned                  n;            /* details that were written */
} agg_grpc_details_t;


/*
 * Appends the details of a grpc-status-details-bin header as a JSON array.  The
 * header is base64, in either alphabet, with or without padding.  DebugInfo is
 * omitted.  A detail of an unknown type, or with invalid bytes, is written as
 * {"@type":...,"value":"base64"}.  The array is empty if the header is not a
 * google.rpc.Status.  AGG_OK; AGG_TOO_LARGE: over out->max; AGG_NOMEM.  Out is
 * unchanged after an error.
 */

agg_rc_e agg_grpc_details(const agg_pb_pool_t *pool, const u_char *data,
    size_t len, const agg_pb_print_t *print, agg_buf_t *out,
    agg_grpc_details_t *details);


#pragma GCC visibility pop


#endif /* AGG_PB_STATUS_H_INCLUDED */
