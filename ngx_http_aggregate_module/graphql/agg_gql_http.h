
/*
 * A request of GraphQL over HTTP: its parameters, the media type of its
 * answer, and the status that an outcome has.
 *
 * Given:    the body, or the values of a query string, and header values as
 *           they came; memory comes from the caller's agg_mem_t.
 * Promises: no recursion; what is read is bounded by the bytes that are given.
 *           Decoded strings are copied, "variables" is left as it stands.
 * Cost:     linear.
 * Source:   GraphQL over HTTP (working draft, 2025), RFC 9110, 12.5.1.
 */


#ifndef AGG_GQL_HTTP_H_INCLUDED
#define AGG_GQL_HTTP_H_INCLUDED


#include "agg_json.h"


#pragma GCC visibility push(hidden)


/* the outcome of a request, before or after its execution */

typedef enum {
    AGG_GQL_DONE = 0,                   /* data, no errors */
    AGG_GQL_DATA_ERRORS,                /* data, maybe null, and errors */
    AGG_GQL_BAD_JSON,
    AGG_GQL_BAD_BODY,                   /* JSON, but no object */
    AGG_GQL_BAD_PARAMS,
    AGG_GQL_SYNTAX,
    AGG_GQL_INVALID,                    /* validation */
    AGG_GQL_OVER_LIMIT,
    AGG_GQL_NO_OPERATION,
    AGG_GQL_BAD_VARIABLES,
    AGG_GQL_NOT_FOUND,                  /* persisted */
    AGG_GQL_BAD_HASH,
    AGG_GQL_ONLY_DOCUMENTS,
    AGG_GQL_BAD_METHOD,
    AGG_GQL_BAD_TYPE,
    AGG_GQL_NOT_ACCEPTABLE,
    AGG_GQL_BODY_TOO_LARGE,
    AGG_GQL_ANSWER_TOO_LARGE,
    AGG_GQL_FAILED                      /* no memory */
} agg_gql_outcome_e;


typedef enum {
    AGG_GQL_JSON = 0,                   /* application/json */
    AGG_GQL_RESPONSE_JSON,              /* application/graphql-response+json */
    AGG_GQL_NO_MEDIA
} agg_gql_media_e;


/* strings with data == NULL stand for missing parameters */

typedef struct {
    agg_str_t           query;
    agg_str_t           operation_name;
    agg_str_t           variables;      /* an object, raw, or none */
    agg_str_t           document_id;
    agg_str_t           hash;           /* the "persistedQuery" hash */
    unsigned            persisted:1;    /* there is a "persistedQuery" */
    unsigned            version:1;      /* and its version is 1 */
} agg_gql_request_t;


/*
 * Reads the members of a request from valid JSON.  Returns AGG_GQL_DONE, or
 * AGG_GQL_BAD_BODY, AGG_GQL_BAD_PARAMS or AGG_GQL_FAILED with a static text in
 * *message.  The last one of duplicate members is used.
 */

agg_gql_outcome_e agg_gql_request_json(agg_gql_request_t *req,
    const agg_str_t *json, agg_mem_t *mem, const char **message);


/*
 * Adds a parameter of a query string.  The value is decoded here ("+" means a
 * blank); unknown names are ignored, and an empty value means a missing
 * parameter.
 */

agg_gql_outcome_e agg_gql_request_args(agg_gql_request_t *req,
    const agg_str_t *args, agg_mem_t *mem, const char **message);


/*
 * The media type for the Accept headers, which are joined by commas; data is
 * NULL if there are none.  *html is set if text/html is preferred to both
 * types.
 */

agg_gql_media_e agg_gql_accept(const agg_str_t *accept, int *html);


/* whether a Content-Type is JSON in UTF-8 */

int agg_gql_content_type(const agg_str_t *type);


/* the status of an outcome */

unsigned agg_gql_status(agg_gql_outcome_e outcome, agg_gql_media_e media,
    int draft);

/* "extensions.code" of an outcome, a static text */

const char *agg_gql_outcome_code(agg_gql_outcome_e outcome);


#pragma GCC visibility pop


#endif /* AGG_GQL_HTTP_H_INCLUDED */
