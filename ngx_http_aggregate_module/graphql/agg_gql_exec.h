
/*
 * Execution of a plan: the calls to backends for the objects in it, and the
 * answer, which is written from the bytes of the responses.
 *
 * Given:    a plan, the values of variables, and results of calls as they
 *           arrive, which are valid JSON; memory that lives as long as the
 *           request.
 * Promises: no recursion, and no tree of a response: an object is remembered
 *           only while one of its fields is fetched.  A call starts as soon as
 *           the object that it needs has arrived, a batch when all calls have
 *           ended that could add objects to it; equal calls are sent once.
 * Cost:     linear in the bytes of the results, and, for results that several
 *           fields read, in the number of these fields; the sites of calls
 *           are charged against the size of the answer.
 * Source:   GraphQL, September 2025, section 6.
 *
 * A site is a fetched field of one object.  The sites of a value are kept in
 * the order in which a walk over the value meets them, so the writer, which
 * walks in the same order, finds them in succession.
 */


#ifndef AGG_GQL_EXEC_H_INCLUDED
#define AGG_GQL_EXEC_H_INCLUDED


#include "agg_gql_arena.h"
#include "agg_gql_plan.h"


#pragma GCC visibility push(hidden)


/* why a call has no value, if it failed before it was sent */

typedef enum {
    AGG_GQL_CALL_OK = 0,
    AGG_GQL_CALL_TOO_MANY,                  /* "max_subrequests" */
    AGG_GQL_CALL_BAD_URI,
    AGG_GQL_CALL_DEPENDENCY,
    AGG_GQL_CALL_TOO_LARGE,                 /* its URI or body */
    AGG_GQL_CALL_INTERNAL,
    AGG_GQL_CALL_OTHER                      /* the caller's reason */
} agg_gql_call_e;

#define AGG_GQL_CALL_ERRORS  AGG_GQL_CALL_OTHER


typedef enum {
    AGG_GQL_SITE_WAITING = 0,
    AGG_GQL_SITE_VALUE,
    AGG_GQL_SITE_LIST,                      /* the list of a batch */
    AGG_GQL_SITE_FAILED,
    AGG_GQL_SITE_FORBIDDEN,
    AGG_GQL_SITE_BAD_ARGUMENT,
    AGG_GQL_SITE_INVALID                    /* the result is not what a batch
                                               can be taken from */
} agg_gql_site_e;


typedef struct agg_gql_object_s  agg_gql_object_t;
typedef struct agg_gql_site_s    agg_gql_site_t;
typedef struct agg_gql_call_s    agg_gql_call_t;
typedef struct agg_gql_item_s    agg_gql_item_t;
typedef struct agg_gql_key_s     agg_gql_key_t;
typedef struct agg_gql_state_s   agg_gql_state_t;
typedef struct agg_gql_exec_s    agg_gql_exec_t;


/*
 * The output for a value, which can be copied if the same value is written
 * again.  It is valid unless the output has been taken back since.
 */

typedef struct {
    const agg_gql_node_t     *node;         /* NULL: nothing was */
    size_t                    start;
    size_t                    len;
    uint32_t                  taken_back;
} agg_gql_memo_t;


/* an object that contains sites */

struct agg_gql_object_s {
    const agg_gql_set_t      *set;
    agg_str_t                 value;
    agg_gql_object_t         *parent;
};


struct agg_gql_item_s {
    agg_str_t                 value;
    agg_gql_item_t           *next;
};


/* a key of a batch, with the items that were received for it */

struct agg_gql_key_s {
    agg_str_t                 raw;
    agg_str_t                 plain;
    uint32_t                  hash;
    agg_gql_call_t           *call;
    agg_gql_item_t           *items;
    agg_gql_item_t          **last;
    agg_gql_key_t            *next;         /* the next key of the call */
    agg_gql_memo_t            memo;
};


struct agg_gql_site_s {
    agg_gql_site_e            state;
    agg_gql_node_t           *node;
    agg_gql_object_t         *object;
    agg_gql_site_t           *next;         /* the next one of the value */
    agg_gql_site_t           *same;         /* same call, or next in queue */
    agg_gql_call_t           *call;
    agg_gql_key_t            *key;
    agg_str_t                 raw;          /* the key; data NULL: none */
    agg_str_t                 value;
    agg_gql_site_t           *sites;        /* the sites of the value */
};


/* a request to a backend */

struct agg_gql_call_s {
    agg_gql_exec_t           *owner;
    const agg_gql_binding_t  *binding;
    agg_gql_state_t          *state;
    agg_str_t                 path;
    agg_str_t                 args;
    agg_str_t                 body;
    agg_str_t                *headers;      /* values */
    agg_gql_site_t           *sites;        /* the sites waiting for it */
    agg_gql_key_t            *keys;
    agg_gql_key_t           **table;
    uint32_t                  mask;
    uint32_t                  hash;
    agg_gql_call_t           *next;         /* the next one of the field */

    agg_gql_call_e            error;        /* from here on: its result */
    const char               *reason;
    unsigned                  status;       /* 0: none */
    agg_str_t                 value;
    agg_str_t                 source;       /* JSON of a failed call */
    agg_str_t                 message;      /* told by it; data NULL: none */
    agg_str_t                 code;
    unsigned                  selected:1;   /* select and limit are done */
    unsigned                  done:1;
    unsigned                  failed:1;
    unsigned                  null:1;       /* by nullOn */
    unsigned                  used:1;       /* its value stands in the answer */
    unsigned                  told:1;       /* message and code are known */
    agg_gql_memo_t            memo;
    void                     *data;         /* the caller's */
};


/* a field of the plan with calls */

struct agg_gql_state_s {
    agg_gql_node_t           *node;
    uint32_t                  pending;      /* sites without a result */
    agg_str_t                *args;         /* values of its arguments */
    agg_gql_site_t           *batch;        /* sites that wait for it */
    agg_gql_site_t          **batch_last;
    agg_gql_call_t           *calls;
    agg_gql_call_t          **calls_last;
    agg_gql_call_t           *errors[AGG_GQL_CALL_ERRORS];
    unsigned                  args_known:1;
    unsigned                  args_failed:1;
    unsigned                  args_large:1; /* over max_request */
    unsigned                  batched:1;    /* in the list of batches */
    unsigned                  failed:1;     /* a call of it is */
};


typedef struct {
    void                     *ctx;

    /* AGG_OK or AGG_NOMEM; an unset variable is an empty string */

    agg_rc_e                (*variable)(void *ctx, int index,
                                        agg_str_t *value);

    /*
     * AGG_OK: agg_gql_exec_result() will be called; AGG_TOO_LARGE, AGG_NOMEM.
     * What belongs to the call may be allocated from the arena of its owner.
     */

    agg_rc_e                (*start)(void *ctx, agg_gql_call_t *call);
} agg_gql_env_t;


typedef struct agg_gql_frame_s  agg_gql_frame_t;


struct agg_gql_exec_s {
    agg_gql_plan_t           *plan;
    const agg_str_t          *variables;
    agg_mem_t                *mem;
    agg_gql_env_t             env;
    size_t                    max_request;  /* for a URI or body, bytes */
    size_t                    max;          /* for the answer, bytes */
    size_t                    charged;      /* for sites */
    uint64_t                  walked;       /* bytes of shared values */
    unsigned                  mask_errors;
    uint64_t                  hash_key[2];  /* secret */

    agg_gql_object_t          object;       /* the root */
    agg_gql_site_t           *sites;
    agg_gql_site_t          **sites_last;
    agg_gql_state_t         **states;       /* by number */
    uint32_t                  nstates;
    uint32_t                  pending;
    uint32_t                  root;         /* a mutation's next field */
    agg_gql_site_t           *queue;        /* to be started */
    agg_gql_site_t          **queue_last;
    agg_gql_state_t         **batches;
    uint32_t                  nbatches;
    uint32_t                  max_batches;
    agg_gql_call_t          **table;        /* equal calls */
    uint32_t                  mask;
    uint32_t                  ncalls;
    agg_gql_arena_t           arena;        /* of calls */
    uint32_t                  started;      /* calls */

    agg_gql_frame_t          *frames;
    uint32_t                  max_frames;
    agg_str_t                *values;       /* values read by frames */
    uint32_t                  max_values;

    agg_gql_site_t           *cursor;       /* the writer's position */
    uint32_t                  taken_back;   /* how often output was */
    agg_buf_t                 out;
    agg_buf_t                 errors;
    uint32_t                  nerrors;
    agg_rc_e                  rc;           /* why it ended early */
    unsigned                  mutation:1;
    unsigned                  expired:1;    /* nothing is started any more */
};


/*
 * Starts an operation.  The caller has set plan, variables, mem, env, the
 * limits, mask_errors and hash_key, and zeroed the rest.  AGG_OK, or an
 * error that ends the operation: AGG_TOO_LARGE, AGG_NOMEM.
 */

agg_rc_e agg_gql_exec_start(agg_gql_exec_t *e);

/*
 * The caller has set error, reason, status, and value or source of the call,
 * and "selected" if "select" and "limit" have been applied to the value.
 */

agg_rc_e agg_gql_exec_result(agg_gql_exec_t *e, agg_gql_call_t *call);

/* to be called after results: starts batches, or a mutation's next field */

agg_rc_e agg_gql_exec_run(agg_gql_exec_t *e);

#define agg_gql_exec_done(e)  ((e)->pending == 0)


/*
 * Writes "data" to e->out, and the elements of "errors", separated by commas,
 * to e->errors.
 */

agg_rc_e agg_gql_exec_write(agg_gql_exec_t *e);


/* shared by the files of the executor */

struct agg_gql_frame_s {
    agg_gql_node_t           *node;         /* whose value it is */
    agg_gql_set_t            *set;          /* the set of an object */
    agg_gql_object_t         *object;
    agg_str_t                 value;
    const u_char             *pos;          /* in a list */
    const u_char             *end;          /* the list's, or around it */
    agg_gql_item_t           *item;         /* the items of a batch's list */
    agg_gql_wraps_t           wraps;        /* the elements' wraps */
    uint32_t                  index;        /* the field's or element's */
    uint32_t                  values;       /* where those read begin */
    size_t                    start;        /* in the output */
    unsigned                  list:1;
    unsigned                  items:1;
    unsigned                  nullable:1;
    unsigned                  comma:1;
    unsigned                  site:1;       /* the sites are another value's */
    unsigned                  seen:1;       /* an object's, in the walk */
    agg_gql_site_t           *sites;        /* to go back to */
    agg_gql_memo_t           *memo;         /* to be filled at its end */
    uint32_t                  nerrors;      /* when it began */
};


/* for tables whose keys come from backends or clients */

uint32_t agg_gql_exec_hash(const agg_gql_exec_t *e, const agg_str_t *s);

/* room for n frames, or for n values of frames: AGG_OK, AGG_NOMEM */

agg_rc_e agg_gql_exec_frames(agg_gql_exec_t *e, uint32_t n);
agg_rc_e agg_gql_exec_values(agg_gql_exec_t *e, uint32_t n);
/* the index of the first value of a frame at this depth */

uint32_t agg_gql_exec_base(const agg_gql_exec_t *e, uint32_t depth);
/* whether @allow permits it; 0 with e->rc set: there is no memory */

int agg_gql_allowed(agg_gql_exec_t *e, const agg_gql_binding_t *binding);
int agg_gql_node_allowed(agg_gql_exec_t *e, const agg_gql_node_t *node);
/* the type of an object of an interface or union; NULL: it is not known */

const agg_gql_type_t *agg_gql_object_type(const agg_gql_type_t *declared,
    const agg_str_t *object);

/*
 * The calls of sites and batches, in the order of their use.  AGG_OK, also if
 * a call fails, whose error is then in the call; otherwise an error that ends
 * the execution.
 */

agg_rc_e agg_gql_call_site(agg_gql_exec_t *e, agg_gql_site_t *site);
agg_rc_e agg_gql_call_args(agg_gql_exec_t *e, agg_gql_state_t *state);
agg_rc_e agg_gql_call_render(agg_gql_exec_t *e, agg_gql_call_t *call,
    agg_gql_site_t *site, const agg_str_t *keys);
agg_rc_e agg_gql_call_create(agg_gql_exec_t *e, agg_gql_state_t *state,
    agg_gql_call_t **call);
agg_rc_e agg_gql_call_send(agg_gql_exec_t *e, agg_gql_call_t *call);

agg_rc_e agg_gql_batch_start(agg_gql_exec_t *e, agg_gql_state_t *state);
agg_rc_e agg_gql_batch_result(agg_gql_exec_t *e, agg_gql_call_t *call);

agg_rc_e agg_gql_site_ended(agg_gql_exec_t *e, agg_gql_site_t *site);

/*
 * Ends sites whose call cannot be started.  Those of a field share a call for
 * each error, as they may be many.
 */

agg_rc_e agg_gql_exec_failed(agg_gql_exec_t *e, agg_gql_state_t *state,
    agg_gql_call_e error, agg_gql_site_t *sites);

/* applies nullOn and default to a failed call */

void agg_gql_call_judge(agg_gql_call_t *call);

/* takes back the memory of a call that was not started */

agg_rc_e agg_gql_call_back(agg_gql_exec_t *e, const agg_gql_call_t *call,
    const agg_gql_mark_t *mark);


/*
 * If many fields read one value, it is read again for each of them, up to this
 * many bytes in all: items of a batch, or otherwise the value.  Requests count
 * too if they are composed, but not sent.
 */

#define AGG_GQL_MAX_WALKED  ((uint64_t) 512 << 20)

agg_rc_e agg_gql_exec_walked(agg_gql_exec_t *e, const agg_str_t *value,
    const agg_gql_item_t *items);


/* adds an error at the writer's path, which has "depth" frames */

typedef enum {
    AGG_GQL_FIELD_FETCH_FAILED = 0,
    AGG_GQL_FIELD_FORBIDDEN,
    AGG_GQL_FIELD_INVALID_VALUE,
    AGG_GQL_FIELD_NULL_VALUE,
    AGG_GQL_FIELD_UNKNOWN_TYPE,
    AGG_GQL_FIELD_BAD_ARGUMENT,
    AGG_GQL_FIELD_INTERNAL
} agg_gql_field_error_e;

agg_rc_e agg_gql_field_error(agg_gql_exec_t *e, uint32_t depth,
    agg_gql_node_t *node, agg_gql_field_error_e error, agg_gql_call_t *call);


/*
 * Writes an object, or a list of objects, whose members come in the order of
 * the fields. 0: it is of another kind, and nothing was written.
 */

int agg_gql_stream(agg_gql_exec_t *e, const agg_gql_node_t *node,
    agg_gql_wraps_t wraps, const agg_str_t *value);


/* writes a leaf value; AGG_INVALID: the type does not have it */

agg_rc_e agg_gql_leaf(agg_buf_t *out, const agg_gql_type_t *type,
    const agg_str_t *value);


#pragma GCC visibility pop


#endif /* AGG_GQL_EXEC_H_INCLUDED */
