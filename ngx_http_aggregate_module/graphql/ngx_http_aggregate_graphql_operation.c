
/* An operation: its document, plan, variables and execution. */

#include "ngx_http_aggregate_graphql.h"


static ngx_int_t ngx_http_aggregate_graphql_find_document(
    ngx_http_aggregate_graphql_op_t *op, agg_str_t *text);
static ngx_int_t ngx_http_aggregate_graphql_find_persisted(
    ngx_http_aggregate_graphql_op_t *op, agg_str_t *text);
static ngx_int_t ngx_http_aggregate_graphql_find_plan(
    ngx_http_aggregate_graphql_op_t *op);
static ngx_int_t ngx_http_aggregate_graphql_compile(
    ngx_http_aggregate_graphql_op_t *op,
    ngx_http_aggregate_graphql_plan_t *plan);
static ngx_int_t ngx_http_aggregate_graphql_check(
    ngx_http_aggregate_graphql_op_t *op);
static ngx_int_t ngx_http_aggregate_graphql_share(
    ngx_http_aggregate_graphql_op_t *op);
static ngx_int_t ngx_http_aggregate_graphql_values(
    ngx_http_aggregate_graphql_op_t *op);
static ngx_int_t ngx_http_aggregate_graphql_find_variant(
    ngx_http_aggregate_graphql_op_t *op);
static void ngx_http_aggregate_graphql_over_limit(
    ngx_http_aggregate_graphql_op_t *op, agg_gql_outcome_e outcome,
    const char *message, const char *limit);
static ngx_int_t ngx_http_aggregate_graphql_errors(
    ngx_http_aggregate_graphql_op_t *op, agg_gql_errors_t *errors,
    agg_rc_e rc);
static agg_rc_e ngx_http_aggregate_graphql_write_error(
    ngx_http_aggregate_graphql_op_t *op, agg_gql_error_t *error);
static size_t ngx_http_aggregate_graphql_room(
    ngx_http_aggregate_graphql_op_t *op);
static size_t ngx_http_aggregate_graphql_size(
    ngx_http_aggregate_graphql_op_t *op);
static void ngx_http_aggregate_graphql_failed(
    ngx_http_aggregate_graphql_op_t *op, agg_rc_e rc);


/* the maximum size of the errors of a request */

#define NGX_HTTP_AGGREGATE_GRAPHQL_MAX_ERRORS  (256 * 1024)


#define ngx_http_aggregate_graphql_puts(b, s)                                 \
    agg_buf_append(b, s, ngx_strlen(s))


/* op->outcome is AGG_GQL_DONE if the operation can be started */

void
ngx_http_aggregate_graphql_prepare(ngx_http_aggregate_graphql_op_t *op)
{
    if (op->outcome != AGG_GQL_DONE) {
        return;
    }

    if (ngx_http_aggregate_graphql_find_document(op, &op->text) != NGX_OK
        || ngx_http_aggregate_graphql_find_plan(op) != NGX_OK
        || ngx_http_aggregate_graphql_check(op) != NGX_OK
        || ngx_http_aggregate_graphql_share(op) != NGX_OK
        || ngx_http_aggregate_graphql_values(op) != NGX_OK
        || ngx_http_aggregate_graphql_find_variant(op) != NGX_OK)
    {
        /* the outcome is already set */

        if (op->outcome == AGG_GQL_DONE) {
            ngx_http_aggregate_graphql_refuse(op, AGG_GQL_FAILED,
                                              "Internal server error.");
        }
    }
}


/* an error of the whole request, without a place */

void
ngx_http_aggregate_graphql_refuse(ngx_http_aggregate_graphql_op_t *op,
    agg_gql_outcome_e outcome, const char *message)
{
    ngx_http_aggregate_graphql_over_limit(op, outcome, message, NULL);
}


/* limit: the statement, or NULL */

static void
ngx_http_aggregate_graphql_over_limit(ngx_http_aggregate_graphql_op_t *op,
    agg_gql_outcome_e outcome, const char *message, const char *limit)
{
    agg_buf_t  *b;

    op->outcome = outcome;
    op->nerrors = 1;

    b = &op->errors;

    agg_buf_init(b, op->ctx->mem, NGX_HTTP_AGGREGATE_GRAPHQL_MAX_ERRORS);

    (void) ngx_http_aggregate_graphql_puts(b, "{\"message\":");
    (void) agg_json_escape(b, (u_char *) message, ngx_strlen(message));
    (void) ngx_http_aggregate_graphql_puts(b, ",\"extensions\":{\"code\":\"");
    (void) ngx_http_aggregate_graphql_puts(b, agg_gql_outcome_code(outcome));

    if (limit && !op->ctx->mask_errors) {
        (void) ngx_http_aggregate_graphql_puts(b, "\",\"limit\":\"");
        (void) ngx_http_aggregate_graphql_puts(b, limit);
    }

    (void) ngx_http_aggregate_graphql_puts(b, "\"}}");
}


static ngx_int_t
ngx_http_aggregate_graphql_find_document(ngx_http_aggregate_graphql_op_t *op,
    agg_str_t *text)
{
    agg_gql_request_t                      *req;
    ngx_http_aggregate_graphql_conf_t      *gcf;
    ngx_http_aggregate_graphql_document_t  *document;

    req = &op->request;
    gcf = op->ctx->conf;

    document = NULL;

    if (gcf->documents) {

        if (req->document_id.data) {
            document = ngx_http_aggregate_graphql_document(gcf,
                                                           &req->document_id);

        } else if (req->persisted && req->hash.data) {
            document = ngx_http_aggregate_graphql_document(gcf, &req->hash);
        }

        if (document) {
            text->data = document->text.data;
            text->len = document->text.len;
            return NGX_OK;
        }
    }

    if (gcf->documents_only && req->query.data) {
        ngx_http_aggregate_graphql_refuse(op, AGG_GQL_ONLY_DOCUMENTS,
                                  "Only trusted documents are executed.");
        return NGX_ERROR;
    }

    if ((req->document_id.data && (gcf->documents || !req->query.data))
        || (gcf->documents_only && req->persisted))
    {
        ngx_http_aggregate_graphql_refuse(op, AGG_GQL_NOT_FOUND,
                                          "PersistedQueryNotFound");
        return NGX_ERROR;
    }

    if (req->persisted && (gcf->persisted || !req->query.data)) {
        return ngx_http_aggregate_graphql_find_persisted(op, text);
    }

    if (req->query.data == NULL) {
        ngx_http_aggregate_graphql_refuse(op, AGG_GQL_BAD_PARAMS,
                                  "The request must have a \"query\".");
        return NGX_ERROR;
    }

    *text = req->query;

    return NGX_OK;
}


/* looks up the document by its SHA-256, in hexadecimal */

static ngx_int_t
ngx_http_aggregate_graphql_find_persisted(ngx_http_aggregate_graphql_op_t *op,
    agg_str_t *text)
{
    u_char                              hash[NGX_HTTP_AGGREGATE_GRAPHQL_HASH];
    ngx_int_t                           n;
    ngx_uint_t                          i;
    agg_gql_request_t                  *req;
    ngx_http_aggregate_graphql_conf_t  *gcf;

    req = &op->request;
    gcf = op->ctx->conf;

    if (!req->version) {
        ngx_http_aggregate_graphql_refuse(op, AGG_GQL_BAD_HASH,
                          "\"version\" of \"persistedQuery\" must be 1.");
        return NGX_ERROR;
    }

    for (i = 0; i < sizeof(hash); i++) {

        n = (req->hash.data && req->hash.len == 2 * sizeof(hash))
            ? ngx_hextoi(&req->hash.data[2 * i], 2) : NGX_ERROR;

        if (n == NGX_ERROR) {
            ngx_http_aggregate_graphql_refuse(op, AGG_GQL_BAD_HASH,
                          "\"sha256Hash\" must be a SHA-256 in hexadecimal "
                          "digits.");
            return NGX_ERROR;
        }

        hash[i] = (u_char) n;
    }

    if (req->query.data) {

        if (ngx_http_aggregate_graphql_sha256(op->hash, &req->query, NULL)
            != NGX_OK)
        {
            return NGX_ERROR;
        }

        op->hashed = 1;

        if (ngx_memcmp(hash, op->hash, sizeof(hash)) != 0) {
            ngx_http_aggregate_graphql_refuse(op, AGG_GQL_BAD_HASH,
                          "\"sha256Hash\" is not the hash of \"query\".");
            return NGX_ERROR;
        }

        op->persist = 1;
        *text = req->query;

        return NGX_OK;
    }

    if (gcf->persisted) {
        switch (ngx_http_aggregate_graphql_persisted_get(gcf->persisted, hash,
                                             op->ctx->request->pool, text))
        {

        case NGX_OK:
            return NGX_OK;

        case NGX_DECLINED:
            break;

        default:
            return NGX_ERROR;
        }
    }

    ngx_http_aggregate_graphql_refuse(op, AGG_GQL_NOT_FOUND,
                                      "PersistedQueryNotFound");

    return NGX_ERROR;
}


static ngx_int_t
ngx_http_aggregate_graphql_find_plan(ngx_http_aggregate_graphql_op_t *op)
{
    ngx_http_aggregate_graphql_plan_t  *plan;

    plan = ngx_http_aggregate_graphql_plan_find(op);

    if (plan) {
        op->hit = 1;
        op->plan = plan;

    } else {
        plan = ngx_http_aggregate_graphql_plan_create(op);
        if (plan == NULL) {
            return NGX_ERROR;
        }

        op->plan = plan;

        if (ngx_http_aggregate_graphql_compile(op, plan) != NGX_OK) {
            return NGX_ERROR;
        }

        ngx_http_aggregate_graphql_plan_keep(plan);
    }

    if (op->persist) {
        ngx_http_aggregate_graphql_persisted_put(op->ctx->conf->persisted,
                                                 op->hash, &op->text);
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_aggregate_graphql_compile(ngx_http_aggregate_graphql_op_t *op,
    ngx_http_aggregate_graphql_plan_t *plan)
{
    agg_rc_e                            rc;
    ngx_uint_t                          n;
    agg_gql_errors_t                    errors;
    agg_gql_limits_t                    limits;
    ngx_http_aggregate_graphql_conf_t  *gcf;

    gcf = op->ctx->conf;

    agg_gql_errors_init(&errors, op->ctx->mem);
    errors.suggest = op->ctx->introspection;

    limits.max_tokens = (uint32_t) gcf->max_tokens;
    limits.max_depth = (uint32_t) gcf->max_depth;
    limits.max_aliases = (uint32_t) gcf->max_aliases;
    limits.max_root_fields = (uint32_t) gcf->max_root_fields;
    limits.max_selections = (uint32_t) gcf->max_selections;

    rc = agg_gql_parse(&plan->doc, &plan->mem, &plan->source,
                       limits.max_tokens, &errors);

    if (rc == AGG_OK) {
        rc = agg_gql_validate(&gcf->schema, &plan->doc, &limits,
                              op->ctx->introspection, &errors);
    }

    if (rc == AGG_OK) {
        rc = agg_gql_operation(&plan->doc, &op->request.operation_name,
                               &plan->operation, &errors);
    }

    if (rc != AGG_OK) {
        return ngx_http_aggregate_graphql_errors(op, &errors, rc);
    }

    n = agg_gql_conditions(&plan->doc, plan->operation, plan->conditions);
    plan->nconditions = n;

    return NGX_OK;
}


static ngx_int_t
ngx_http_aggregate_graphql_check(ngx_http_aggregate_graphql_op_t *op)
{
    agg_gql_operation_t                *operation;
    ngx_http_aggregate_graphql_plan_t  *plan;

    plan = op->plan;
    operation = &plan->doc.operations[plan->operation];

    op->name.data = operation->name.data;
    op->name.len = operation->name.len;
    op->mutation = (operation->kind == AGG_GQL_MUTATION);
    op->known = 1;

    if (op->mutation && op->ctx->get) {
        ngx_http_aggregate_graphql_refuse(op, AGG_GQL_BAD_METHOD,
                              "A mutation must be sent with POST.");
        return NGX_ERROR;
    }

    return NGX_OK;
}


/* the operations of a batch share the limits of a single one */

static ngx_int_t
ngx_http_aggregate_graphql_share(ngx_http_aggregate_graphql_op_t *op)
{
    u_char                              text[80];
    const char                         *limit;
    agg_gql_doc_t                      *doc;
    agg_gql_limits_t                   *spent;
    ngx_http_aggregate_graphql_conf_t  *gcf;

    if (!op->ctx->batch) {
        return NGX_OK;
    }

    gcf = op->ctx->conf;
    doc = &op->plan->doc;
    spent = &op->ctx->spent;

    spent->max_tokens += doc->ntokens;
    spent->max_aliases += doc->naliases;
    spent->max_root_fields += doc->operations[op->plan->operation].nroots;
    spent->max_selections += doc->nexpanded;

    limit = (spent->max_tokens > (uint32_t) gcf->max_tokens)
            ? "max_tokens"
            : (spent->max_aliases > (uint32_t) gcf->max_aliases)
            ? "max_aliases"
            : (spent->max_root_fields > (uint32_t) gcf->max_root_fields)
            ? "max_root_fields"
            : (spent->max_selections > (uint32_t) gcf->max_selections)
            ? "max_selections" : NULL;

    if (limit == NULL) {
        return NGX_OK;
    }

    *ngx_sprintf(text, "The batch is over the limit of \"%s\".", limit)
        = '\0';

    ngx_http_aggregate_graphql_over_limit(op, AGG_GQL_OVER_LIMIT,
                                          (char *) text, limit);

    return NGX_ERROR;
}


static ngx_int_t
ngx_http_aggregate_graphql_values(ngx_http_aggregate_graphql_op_t *op)
{
    size_t                              max;
    agg_rc_e                            rc;
    agg_str_t                          *values;
    agg_gql_errors_t                    errors;
    agg_gql_operation_t                *operation;
    ngx_http_aggregate_graphql_plan_t  *plan;

    plan = op->plan;
    operation = &plan->doc.operations[plan->operation];

    values = ngx_palloc(op->ctx->request->pool,
                        (operation->nvariables + 1) * sizeof(agg_str_t));
    if (values == NULL) {
        return NGX_ERROR;
    }

    agg_gql_errors_init(&errors, op->ctx->mem);
    errors.suggest = op->ctx->introspection;

    /* coercion may double values, by quotes and brackets; defaults add more */

    max = 2 * (op->request.variables.len + op->text.len)
          + op->ctx->conf->limits.max_body_size;

    rc = agg_gql_coerce_variables(&op->ctx->conf->schema, &plan->doc,
                                  plan->operation,
                                  op->request.variables.data
                                  ? &op->request.variables : NULL,
                                  values, op->ctx->mem, max, &errors);

    if (rc == AGG_TOO_LARGE) {
        ngx_http_aggregate_graphql_over_limit(op, AGG_GQL_OVER_LIMIT,
                                      "Defaults make the variables too large.",
                                      "max_body_size");
        return NGX_ERROR;
    }

    if (rc != AGG_OK) {
        return ngx_http_aggregate_graphql_errors(op, &errors, rc);
    }

    op->exec.variables = values;

    return NGX_OK;
}


/* the plan for the current values of @skip and @include */

static ngx_int_t
ngx_http_aggregate_graphql_find_variant(ngx_http_aggregate_graphql_op_t *op)
{
    agg_rc_e                               rc;
    uint64_t                               mask;
    agg_mem_t                             *mem;
    ngx_uint_t                             kept;
    ngx_http_aggregate_graphql_plan_t     *plan;
    ngx_http_aggregate_graphql_variant_t  *variant;

    plan = op->plan;
    kept = (plan->nconditions <= AGG_GQL_MAX_CONDITIONS);
    mask = kept ? agg_gql_mask(op->exec.variables, plan->conditions,
                               plan->nconditions)
                : 0;

    for (variant = kept ? plan->variants : NULL;
         variant;
         variant = variant->next)
    {
        if (variant->mask == mask) {
            op->exec.plan = &variant->plan;
            return NGX_OK;
        }
    }

    kept = kept && plan->nvariants < NGX_HTTP_AGGREGATE_GRAPHQL_VARIANTS;
    mem = kept ? &plan->mem : op->ctx->mem;

    variant = mem->alloc(mem->ctx,
                         sizeof(ngx_http_aggregate_graphql_variant_t));
    if (variant == NULL) {
        return NGX_ERROR;
    }

    variant->mask = mask;

    rc = agg_gql_plan(&variant->plan, mem, &op->ctx->conf->schema,
                      op->ctx->conf->reaches, &plan->doc, plan->operation,
                      op->exec.variables);

    if (rc == AGG_TOO_LARGE) {
        ngx_http_aggregate_graphql_over_limit(op, AGG_GQL_OVER_LIMIT,
                                  "The operation selects too many fields.",
                                  "max_selections");
        return NGX_ERROR;
    }

    if (rc != AGG_OK) {
        return NGX_ERROR;
    }

    if (kept) {
        variant->next = plan->variants;
        plan->variants = variant;
        plan->nvariants++;
    }

    op->exec.plan = &variant->plan;

    return NGX_OK;
}


static ngx_int_t
ngx_http_aggregate_graphql_errors(ngx_http_aggregate_graphql_op_t *op,
    agg_gql_errors_t *errors, agg_rc_e rc)
{
    unsigned  i;

    if (rc != AGG_INVALID || errors->n == 0) {
        return NGX_ERROR;
    }

    switch (errors->list[0].code) {

    case AGG_GQL_PARSE_FAILED:
        op->outcome = AGG_GQL_SYNTAX;
        break;

    case AGG_GQL_VALIDATION_FAILED:
        op->outcome = AGG_GQL_INVALID;
        break;

    case AGG_GQL_LIMIT_EXCEEDED:
        op->outcome = AGG_GQL_OVER_LIMIT;
        break;

    case AGG_GQL_OPERATION_RESOLUTION_FAILURE:
        op->outcome = AGG_GQL_NO_OPERATION;
        break;

    default: /* AGG_GQL_BAD_USER_INPUT */
        op->outcome = AGG_GQL_BAD_VARIABLES;
    }

    agg_buf_init(&op->errors, op->ctx->mem,
                 NGX_HTTP_AGGREGATE_GRAPHQL_MAX_ERRORS);

    op->nerrors = errors->n;

    for (i = 0; i < errors->n; i++) {

        if (i && ngx_http_aggregate_graphql_puts(&op->errors, ",") != AGG_OK) {
            op->outcome = AGG_GQL_DONE;
            return NGX_ERROR;
        }

        if (ngx_http_aggregate_graphql_write_error(op, &errors->list[i])
            != AGG_OK)
        {
            op->outcome = AGG_GQL_DONE;
            return NGX_ERROR;
        }
    }

    return NGX_ERROR;
}


static agg_rc_e
ngx_http_aggregate_graphql_write_error(ngx_http_aggregate_graphql_op_t *op,
    agg_gql_error_t *error)
{
    u_char      text[80], *p;
    agg_rc_e    rc;
    unsigned    i;
    agg_buf_t  *b;

    b = &op->errors;

    rc = ngx_http_aggregate_graphql_puts(b, "{\"message\":");

    if (rc == AGG_OK) {
        rc = agg_json_escape(b, error->message.data, error->message.len);
    }

    for (i = 0; rc == AGG_OK && i < error->nplaces; i++) {
        p = ngx_sprintf(text, "%s{\"line\":%uD,\"column\":%uD}%s",
                        i ? "," : ",\"locations\":[", error->places[i].line,
                        error->places[i].column,
                        (i + 1 == error->nplaces) ? "]" : "");

        rc = agg_buf_append(b, text, p - text);
    }

    if (rc == AGG_OK) {
        p = ngx_sprintf(text, ",\"extensions\":{\"code\":\"%s\"",
                        agg_gql_code_name(error->code));
        rc = agg_buf_append(b, text, p - text);
    }

    if (rc == AGG_OK && error->limit && !op->ctx->mask_errors) {
        p = ngx_sprintf(text, ",\"limit\":\"%s\"", error->limit);
        rc = agg_buf_append(b, text, p - text);
    }

    return (rc == AGG_OK) ? ngx_http_aggregate_graphql_puts(b, "}}") : rc;
}


void
ngx_http_aggregate_graphql_start(ngx_http_aggregate_graphql_op_t *op)
{
    agg_rc_e         rc;
    agg_gql_exec_t  *e;

    e = &op->exec;

    e->mem = op->ctx->mem;
    e->hash_key[0] = op->ctx->conf->plan_key[0];
    e->hash_key[1] = op->ctx->conf->plan_key[1];
    e->env.ctx = op;
    e->env.variable = ngx_http_aggregate_graphql_variable;
    e->env.start = ngx_http_aggregate_graphql_fetch;
    e->max_request = op->ctx->conf->limits.max_body_size;
    e->max = op->ctx->conf->limits.max_response_size;
    e->mask_errors = op->ctx->mask_errors;

    op->running = 1;

    rc = agg_gql_exec_start(e);

    if (rc != AGG_OK) {
        ngx_http_aggregate_graphql_failed(op, rc);
        return;
    }

    if (agg_gql_exec_done(e)) {
        ngx_http_aggregate_graphql_advance(op);
    }
}


/* called after results; op->running is cleared after the last one */

void
ngx_http_aggregate_graphql_advance(ngx_http_aggregate_graphql_op_t *op)
{
    size_t           room;
    agg_rc_e         rc;
    agg_gql_exec_t  *e;

    e = &op->exec;

    rc = e->rc;

    if (rc == AGG_OK) {
        rc = agg_gql_exec_run(e);
    }

    if (rc == AGG_OK && !agg_gql_exec_done(e)) {
        return;
    }

    if (rc == AGG_OK) {
        room = ngx_http_aggregate_graphql_room(op);

        e->out.max = room;
        e->errors.max = room;

        rc = agg_gql_exec_write(e);

        if (rc == AGG_OK && ngx_http_aggregate_graphql_size(op) > room) {
            rc = AGG_TOO_LARGE;
        }
    }

    if (rc != AGG_OK) {
        ngx_http_aggregate_graphql_failed(op, rc);
        return;
    }

    op->running = 0;
    op->nerrors = e->nerrors;
    op->outcome = e->nerrors ? AGG_GQL_DATA_ERRORS : AGG_GQL_DONE;
}


/* the room in the answer that the other operations of a batch leave */

static size_t
ngx_http_aggregate_graphql_room(ngx_http_aggregate_graphql_op_t *op)
{
    size_t                             used, max;
    ngx_uint_t                         i;
    ngx_http_aggregate_graphql_ctx_t  *ctx;

    ctx = op->ctx;
    max = ctx->conf->limits.max_response_size;

    /* brackets and commas of a batch */

    used = ctx->batch ? ctx->nops + 1 : 0;

    for (i = 0; i < ctx->nops; i++) {

        if (&ctx->ops[i] != op) {
            used += ngx_http_aggregate_graphql_size(&ctx->ops[i]);
        }
    }

    return (used < max) ? max - used : 0;
}


static size_t
ngx_http_aggregate_graphql_size(ngx_http_aggregate_graphql_op_t *op)
{
    size_t  data, errors;

    if (op->outcome > AGG_GQL_DATA_ERRORS) {
        return sizeof("{\"errors\":[]}") - 1 + agg_buf_used(&op->errors);
    }

    data = agg_buf_used(&op->exec.out);
    errors = agg_buf_used(&op->exec.errors);

    if (errors == 0) {
        return sizeof("{\"data\":}") - 1 + data;
    }

    return sizeof("{\"errors\":[],\"data\":}") - 1 + errors + data;
}


static void
ngx_http_aggregate_graphql_failed(ngx_http_aggregate_graphql_op_t *op,
    agg_rc_e rc)
{
    op->running = 0;

    if (rc == AGG_TOO_LARGE) {
        ngx_log_error(NGX_LOG_ERR, op->ctx->request->connection->log, 0,
                      "graphql answer is larger than \"max_response_size\" "
                      "of %uz bytes",
                      op->ctx->conf->limits.max_response_size);

        ngx_http_aggregate_graphql_over_limit(op, AGG_GQL_ANSWER_TOO_LARGE,
                                              "The answer is too large.",
                                              "max_response_size");
        return;
    }

    ngx_http_aggregate_graphql_refuse(op, AGG_GQL_FAILED,
                                      "Internal server error.");
}
