
/*
 * google.api.http: from a method's options to the rule that a request meets.
 *
 * Given:    the serialized HttpRule of a method, at configuration;
 *           then the method and the path of a request, as it was sent or
 *           already decoded.
 * Promises: the most specific template is found, whatever the order of the
 *           rules: literal before "*" before "**", segment by segment, and a
 *           verb before none.  No recursion, nothing is allocated to match.
 * Cost:     a walk of a tree of segments that visits no node twice.
 * Source:   google/api/http.proto (the grammar of templates).
 */


#ifndef AGG_GRPC_RULE_H_INCLUDED
#define AGG_GRPC_RULE_H_INCLUDED


#include "agg_json.h"


#pragma GCC visibility push(hidden)


#define AGG_GRPC_MAX_SEGMENTS   64      /* in a template */
#define AGG_GRPC_MAX_BINDINGS   64      /* of a method */
#define AGG_GRPC_MAX_ALLOWED    16      /* methods told in Allow */


/* one binding of an HttpRule; the strings point into its bytes */

typedef struct {
    agg_str_t             kind;         /* "GET"; "*": any method */
    agg_str_t             path;         /* the template */
    agg_str_t             body;         /* empty: none; "*", or a field */
    agg_str_t             response_body;
} agg_grpc_http_t;


typedef struct {
    agg_str_t             name;         /* the path of a field: "a.b" */
    unsigned              first;        /* the segments it covers, from here */
    unsigned              end;          /* to before this one */
    unsigned              open:1;       /* to the end of the path: "**" */
    unsigned              multi:1;      /* of more than one segment */
} agg_grpc_variable_t;


typedef struct {
    agg_grpc_http_t       http;
    agg_str_t             verb;         /* empty: none */
    agg_grpc_variable_t  *variables;
    unsigned              nvariables;
    void                 *data;         /* the caller's */
} agg_grpc_rule_t;


typedef struct agg_grpc_node_s  agg_grpc_node_t;


typedef struct {
    agg_mem_t            *mem;
    agg_grpc_node_t      *root;
    agg_str_t            *verbs;
    unsigned              nverbs;
    agg_str_t            *kinds;        /* the methods, each of them once */
    unsigned              nkinds;
    unsigned              nrules;
} agg_grpc_rules_t;


typedef struct {
    agg_grpc_rule_t      *rule;         /* NULL: none for the method */
    agg_str_t             path;         /* without the verb */
    unsigned              nsegments;
    uint32_t              segments[AGG_GRPC_MAX_SEGMENTS + 2];  /* offsets */
    unsigned              decoded:1;

    /* without a rule: the methods that the path has rules for */
    agg_str_t             allowed[AGG_GRPC_MAX_ALLOWED];
    unsigned              nallowed;
} agg_grpc_match_t;


/*
 * The bindings of a serialized HttpRule, its own one first, at most
 * AGG_GRPC_MAX_BINDINGS.  AGG_INVALID: the bytes are invalid, or a binding has
 * no pattern; AGG_TOO_LARGE: there are too many.
 */
agg_rc_e agg_grpc_http_read(const agg_str_t *rule, agg_grpc_http_t *list,
    unsigned *n);


/* rules without any; AGG_NOMEM; all memory comes from mem */
agg_rc_e agg_grpc_rules_init(agg_grpc_rules_t *rules, agg_mem_t *mem);

/*
 * Compiles a template and adds its rule.  AGG_INVALID: *error describes the
 * error in the template; or, if *error is NULL, *rule is an earlier rule with
 * the same method and template.
 */
agg_rc_e agg_grpc_rules_add(agg_grpc_rules_t *rules,
    const agg_grpc_http_t *http, void *data, agg_grpc_rule_t **rule,
    const char **error);


/*
 * AGG_OK: m->rule is set.  AGG_NOT_FOUND: m->nallowed is the number of methods
 * with rules for the path, 0 if there are none.  AGG_INVALID: the
 * percent-encoding is invalid.  "decoded" says that the path is already
 * decoded.  The match points into the path.
 */
agg_rc_e agg_grpc_match(const agg_grpc_rules_t *rules, agg_grpc_match_t *m,
    const agg_str_t *method, const agg_str_t *path, int decoded);

/*
 * The value of a variable of the rule, decoded into dst, which has room for
 * the length of the path.  AGG_INVALID: invalid percent-encoding.
 */
agg_rc_e agg_grpc_match_value(const agg_grpc_match_t *m, unsigned i,
    u_char *dst, agg_str_t *value);


/* whether a decoded path has a segment "." or ".." */
int agg_grpc_has_dots(const agg_str_t *path);

/*
 * Percent-decoding; with "slashes", %2F is decoded too. dst may be src->data.
 * Returns the number of bytes; -1: the encoding is invalid.
 */
ssize_t agg_grpc_decode(u_char *dst, const agg_str_t *src, int slashes);


#pragma GCC visibility pop


#endif /* AGG_GRPC_RULE_H_INCLUDED */
