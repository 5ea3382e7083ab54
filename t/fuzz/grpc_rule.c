
/*
 * Any templates and any path: the rule that is met does not depend on the
 * order of the rules, and its variables lie within the path.
 *
 * sources: grpc/agg_grpc_rule.c grpc/agg_grpc_http.c
 */

#include <stdlib.h>

#include "agg_grpc_rule.h"


#define RULES  32

#define hold(x)  if (!(x)) { abort(); }


int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);


static void *
fuzz_alloc(void *ctx, size_t size)
{
    u_char  **next = ctx, *p;

    p = *next;
    *next += (size + 15) & ~(size_t) 15;

    return p;
}


static unsigned
lines(const uint8_t *data, size_t size, agg_str_t *list, unsigned max)
{
    size_t    i, start;
    unsigned  n;

    n = 0;
    start = 0;

    for (i = 0; i <= size && n < max; i++) {
        if (i == size || data[i] == '\n') {
            list[n].data = (u_char *) data + start;
            list[n].len = i - start;
            n++;
            start = i + 1;
        }
    }

    return n;
}


/* the kind of a line is its first character */

static unsigned
add(agg_grpc_rules_t *rules, agg_str_t *line)
{
    agg_rc_e          rc;
    const char       *error;
    agg_grpc_http_t   http;
    agg_grpc_rule_t  *rule;

    if (line->len == 0) {
        return 0;
    }

    memset(&http, 0, sizeof(http));

    http.kind.data = (u_char *) (line->data[0] == 'g' ? "GET"
                                 : line->data[0] == 'h' ? "HEAD" : "*");
    http.kind.len = strlen((char *) http.kind.data);
    http.path.data = line->data + 1;
    http.path.len = line->len - 1;

    rc = agg_grpc_rules_add(rules, &http, line, &rule, &error);
    hold(rc == AGG_OK || rc == AGG_INVALID);

    return rc == AGG_OK;
}


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    u_char            *next1, *next2, dst[4096];
    unsigned           i, n;
    agg_rc_e           rc1, rc2;
    agg_mem_t          mem1, mem2;
    agg_str_t          list[RULES], *path, value, method;
    agg_grpc_http_t    http[AGG_GRPC_MAX_BINDINGS];
    agg_grpc_match_t   m1, m2;
    agg_grpc_rules_t   rules1, rules2;

    static u_char      memory1[1 << 24], memory2[1 << 24];

    if (size > sizeof(dst)) {
        return 0;
    }

    method.data = (u_char *) data;
    method.len = size;
    (void) agg_grpc_http_read(&method, http, &n);

    next1 = memory1;
    next2 = memory2;
    mem1 = (agg_mem_t) { fuzz_alloc, NULL, &next1 };
    mem2 = (agg_mem_t) { fuzz_alloc, NULL, &next2 };

    hold(agg_grpc_rules_init(&rules1, &mem1) == AGG_OK);
    hold(agg_grpc_rules_init(&rules2, &mem2) == AGG_OK);

    n = lines(data, size, list, RULES) - 1;
    path = &list[n];

    for (i = 0; i < n; i++) {
        (void) add(&rules1, &list[i]);
    }

    /* where two are in conflict it is the first that counts */

    for (i = n; i-- > 0; /* void */) {
        (void) add(&rules2, &list[i]);
    }

    method.data = (u_char *) "GET";
    method.len = 3;

    rc1 = agg_grpc_match(&rules1, &m1, &method, path, 0);
    rc2 = agg_grpc_match(&rules2, &m2, &method, path, 0);

    hold(rc1 == rc2);
    hold(rc1 != AGG_NOT_FOUND || m1.nallowed == m2.nallowed);

    if (rc1 != AGG_OK) {
        return 0;
    }

    if (rules1.nrules == n) {
        hold(m1.rule->data == m2.rule->data);
    }

    for (i = 0; i < m1.rule->nvariables; i++) {
        if (agg_grpc_match_value(&m1, i, dst, &value) == AGG_OK) {
            hold(value.len <= path->len);
        }
    }

    return 0;
}
