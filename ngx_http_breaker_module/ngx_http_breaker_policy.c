
#include "ngx_http_breaker.h"
#include "ngx_http_gw_decimal.h"
#include "ngx_http_gw_written.h"


#define NGX_HTTP_BREAKER_SECOND  ((ngx_uint_t) 1000)
#define NGX_HTTP_BREAKER_DAY     (86400 * NGX_HTTP_BREAKER_SECOND)

/* unknown, deadline_exceeded, internal, unavailable, data_loss */

#define NGX_HTTP_BREAKER_GRPC                                                 \
    (1 << 2 | 1 << 4 | 1 << 13 | 1 << 14 | 1 << 15)


typedef enum {
    NGX_HTTP_BREAKER_NUMBER = 0,
    NGX_HTTP_BREAKER_RATE,
    NGX_HTTP_BREAKER_TIME
} ngx_http_breaker_kind_e;


/* the allowed values of a statement; a rate has the range of 0% to 100% */

typedef struct {
    ngx_http_breaker_kind_e     kind;
    ngx_uint_t                  min;
    ngx_uint_t                  max;
    const char                 *range;
} ngx_http_breaker_range_t;


typedef struct {
    ngx_http_breaker_policy_t  *policy;
    uint32_t                    seen;       /* by index */
} ngx_http_breaker_policy_ctx_t;


static char *ngx_http_breaker_statement(ngx_conf_t *cf, ngx_command_t *dummy,
    void *conf);
static ngx_command_t *ngx_http_breaker_find_statement(ngx_str_t *name);
static char *ngx_http_breaker_value(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
static ngx_int_t ngx_http_breaker_parse_rate(ngx_str_t *value);
static char *ngx_http_breaker_failures(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
static char *ngx_http_breaker_unknown(ngx_conf_t *cf, ngx_str_t *name);
static ngx_int_t ngx_http_breaker_policy_check(ngx_conf_t *cf,
    ngx_http_breaker_policy_ctx_t *ctx);


/* no module of nginx parses these statements */

#define NGX_HTTP_BREAKER_POLICY_CONF  0


#define ngx_http_breaker_policy_offset(name)                                  \
    offsetof(ngx_http_breaker_policy_t, policy)                               \
    + offsetof(brk_policy_t, name)


static ngx_http_breaker_range_t  ngx_http_breaker_failure_threshold_range =
    { NGX_HTTP_BREAKER_NUMBER, 0, 1000000,
      "a number from 1 to 1000000, or 0 for off" };

static ngx_http_breaker_range_t  ngx_http_breaker_failure_rate_range =
    { NGX_HTTP_BREAKER_RATE, 0, BRK_RATE_FULL,
      "a rate from 0.01% to 100%, or 0 for off" };

static ngx_http_breaker_range_t  ngx_http_breaker_slow_call_range =
    { NGX_HTTP_BREAKER_TIME, 0, NGX_HTTP_BREAKER_DAY,
      "a time from 1ms to 1d, or 0 for off" };

static ngx_http_breaker_range_t  ngx_http_breaker_window_range =
    { NGX_HTTP_BREAKER_TIME, 100, NGX_HTTP_BREAKER_DAY,
      "a time from 100ms to 1d" };

static ngx_http_breaker_range_t  ngx_http_breaker_minimum_calls_range =
    { NGX_HTTP_BREAKER_NUMBER, 1, 1000000,
      "a number from 1 to 1000000" };

static ngx_http_breaker_range_t  ngx_http_breaker_recovery_timeout_range =
    { NGX_HTTP_BREAKER_TIME, 1, NGX_HTTP_BREAKER_DAY,
      "a time from 1ms to 1d" };

static ngx_http_breaker_range_t  ngx_http_breaker_jitter_range =
    { NGX_HTTP_BREAKER_RATE, 0, BRK_RATE_FULL,
      "a rate from 0% to 100%" };

static ngx_http_breaker_range_t  ngx_http_breaker_probes_range =
    { NGX_HTTP_BREAKER_NUMBER, 1, 1000,
      "a number from 1 to 1000" };

static ngx_http_breaker_range_t  ngx_http_breaker_probe_concurrency_range =
    { NGX_HTTP_BREAKER_NUMBER, 1, BRK_LEASES,
      "a number from 1 to 16" };


static ngx_command_t  ngx_http_breaker_statements[] = {

    { ngx_string("failure_threshold"),
      NGX_HTTP_BREAKER_POLICY_CONF|NGX_CONF_TAKE1,
      ngx_http_breaker_value,
      0,
      ngx_http_breaker_policy_offset(failure_threshold),
      &ngx_http_breaker_failure_threshold_range },

    { ngx_string("failure_rate"),
      NGX_HTTP_BREAKER_POLICY_CONF|NGX_CONF_TAKE1,
      ngx_http_breaker_value,
      0,
      ngx_http_breaker_policy_offset(failure_rate),
      &ngx_http_breaker_failure_rate_range },

    { ngx_string("slow_call"),
      NGX_HTTP_BREAKER_POLICY_CONF|NGX_CONF_TAKE1,
      ngx_http_breaker_value,
      0,
      offsetof(ngx_http_breaker_policy_t, rules)
      + offsetof(brk_rules_t, slow_call),
      &ngx_http_breaker_slow_call_range },

    { ngx_string("slow_rate"),
      NGX_HTTP_BREAKER_POLICY_CONF|NGX_CONF_TAKE1,
      ngx_http_breaker_value,
      0,
      ngx_http_breaker_policy_offset(slow_rate),
      &ngx_http_breaker_failure_rate_range },

    { ngx_string("window"),
      NGX_HTTP_BREAKER_POLICY_CONF|NGX_CONF_TAKE1,
      ngx_http_breaker_value,
      0,
      ngx_http_breaker_policy_offset(window),
      &ngx_http_breaker_window_range },

    { ngx_string("minimum_calls"),
      NGX_HTTP_BREAKER_POLICY_CONF|NGX_CONF_TAKE1,
      ngx_http_breaker_value,
      0,
      ngx_http_breaker_policy_offset(minimum_calls),
      &ngx_http_breaker_minimum_calls_range },

    { ngx_string("recovery_timeout"),
      NGX_HTTP_BREAKER_POLICY_CONF|NGX_CONF_TAKE1,
      ngx_http_breaker_value,
      0,
      ngx_http_breaker_policy_offset(recovery_timeout),
      &ngx_http_breaker_recovery_timeout_range },

    { ngx_string("max_recovery_timeout"),
      NGX_HTTP_BREAKER_POLICY_CONF|NGX_CONF_TAKE1,
      ngx_http_breaker_value,
      0,
      ngx_http_breaker_policy_offset(max_recovery_timeout),
      &ngx_http_breaker_recovery_timeout_range },

    { ngx_string("jitter"),
      NGX_HTTP_BREAKER_POLICY_CONF|NGX_CONF_TAKE1,
      ngx_http_breaker_value,
      0,
      ngx_http_breaker_policy_offset(jitter),
      &ngx_http_breaker_jitter_range },

    { ngx_string("probes"),
      NGX_HTTP_BREAKER_POLICY_CONF|NGX_CONF_TAKE1,
      ngx_http_breaker_value,
      0,
      ngx_http_breaker_policy_offset(probes),
      &ngx_http_breaker_probes_range },

    { ngx_string("probe_concurrency"),
      NGX_HTTP_BREAKER_POLICY_CONF|NGX_CONF_TAKE1,
      ngx_http_breaker_value,
      0,
      ngx_http_breaker_policy_offset(probe_concurrency),
      &ngx_http_breaker_probe_concurrency_range },

    { ngx_string("probe_timeout"),
      NGX_HTTP_BREAKER_POLICY_CONF|NGX_CONF_TAKE1,
      ngx_http_breaker_value,
      0,
      ngx_http_breaker_policy_offset(probe_timeout),
      &ngx_http_breaker_recovery_timeout_range },

    { ngx_string("failures"),
      NGX_HTTP_BREAKER_POLICY_CONF|NGX_CONF_1MORE,
      ngx_http_breaker_failures,
      0,
      0,
      NULL },

      ngx_null_command
};


void
ngx_http_breaker_policy_init(ngx_http_breaker_policy_t *policy)
{
    policy->policy.failure_threshold = 5;
    policy->policy.failure_rate = BRK_RATE_FULL / 2;
    policy->policy.slow_rate = BRK_RATE_FULL / 10 * 8;
    policy->policy.window = 10 * NGX_HTTP_BREAKER_SECOND;
    policy->policy.minimum_calls = 20;
    policy->policy.recovery_timeout = 60 * NGX_HTTP_BREAKER_SECOND;
    policy->policy.max_recovery_timeout = 300 * NGX_HTTP_BREAKER_SECOND;
    policy->policy.jitter = BRK_RATE_FULL / 10;
    policy->policy.probes = 3;
    policy->policy.probe_concurrency = 1;
    policy->policy.probe_timeout = 30 * NGX_HTTP_BREAKER_SECOND;

    policy->rules.slow_call = 2 * NGX_HTTP_BREAKER_SECOND;
    policy->rules.error = 1;
    policy->rules.timeout = 1;
    policy->rules.grpc = NGX_HTTP_BREAKER_GRPC;
    brk_rules_add(&policy->rules, NGX_HTTP_INTERNAL_SERVER_ERROR);
    brk_rules_add(&policy->rules, NGX_HTTP_BAD_GATEWAY);
    brk_rules_add(&policy->rules, NGX_HTTP_SERVICE_UNAVAILABLE);
    brk_rules_add(&policy->rules, NGX_HTTP_GATEWAY_TIME_OUT);

    ngx_http_breaker_watch_init(policy);
}


char *
ngx_http_breaker_policy(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_breaker_main_conf_t *bmcf = conf;

    char                           *rv;
    ngx_str_t                      *value;
    ngx_uint_t                      i;
    ngx_conf_t                      save;
    ngx_http_breaker_policy_t      *policy, **policies;
    ngx_http_breaker_policy_ctx_t  *ctx;

    value = cf->args->elts;

    if (value[1].len == 0) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid name \"\" in \"%V\"", &cmd->name);
        return NGX_CONF_ERROR;
    }

    policies = bmcf->policies.elts;

    for (i = 0; i < bmcf->policies.nelts; i++) {
        if (policies[i]->name.len == value[1].len
            && ngx_strncmp(policies[i]->name.data, value[1].data, value[1].len)
               == 0)
        {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "duplicate breaker policy \"%V\"", &value[1]);
            return NGX_CONF_ERROR;
        }
    }

    policy = ngx_pcalloc(cf->pool, sizeof(ngx_http_breaker_policy_t));
    if (policy == NULL) {
        return NGX_CONF_ERROR;
    }

    policies = ngx_array_push(&bmcf->policies);
    if (policies == NULL) {
        return NGX_CONF_ERROR;
    }

    *policies = policy;

    policy->name = value[1];
    ngx_http_breaker_policy_init(policy);

    ctx = ngx_pcalloc(cf->pool, sizeof(ngx_http_breaker_policy_ctx_t));
    if (ctx == NULL) {
        return NGX_CONF_ERROR;
    }

    ctx->policy = policy;

    save = *cf;
    cf->handler = ngx_http_breaker_statement;
    cf->handler_conf = (void *) ctx;

    rv = ngx_conf_parse(cf, NULL);

    *cf = save;

    if (rv != NGX_CONF_OK) {
        return rv;
    }

    if (ngx_http_breaker_policy_check(cf, ctx) != NGX_OK) {
        return NGX_CONF_ERROR;
    }

    return NGX_CONF_OK;
}


static char *
ngx_http_breaker_statement(ngx_conf_t *cf, ngx_command_t *dummy, void *conf)
{
    ngx_http_breaker_policy_ctx_t *ctx = conf;

    ngx_str_t                 *value;
    ngx_uint_t                 i, bad;
    ngx_command_t             *cmd;
    ngx_http_breaker_range_t  *range;

    value = cf->args->elts;

    if (ngx_strcmp(value[0].data, "include") == 0) {
        if (cf->args->nelts != 2) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "invalid number of arguments in \"include\"");
            return NGX_CONF_ERROR;
        }

        return ngx_conf_include(cf, dummy, conf);
    }

    cmd = ngx_http_breaker_find_statement(&value[0]);

    if (cmd == NULL) {
        return ngx_http_breaker_unknown(cf, &value[0]);
    }

    i = cmd - ngx_http_breaker_statements;

    if (ctx->seen & ((uint32_t) 1 << i)) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"%V\" is duplicate", &value[0]);
        return NGX_CONF_ERROR;
    }

    ctx->seen |= (uint32_t) 1 << i;

    bad = (cmd->type & NGX_CONF_TAKE1) ? cf->args->nelts != 2
                                       : cf->args->nelts < 2;
    if (bad) {
        range = cmd->post;

        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid number of arguments in \"%V\"%s%s",
                           &value[0], range ? ", it takes " : "",
                           range ? range->range : "");
        return NGX_CONF_ERROR;
    }

    return cmd->set(cf, cmd, ctx->policy);
}


static ngx_command_t *
ngx_http_breaker_find_statement(ngx_str_t *name)
{
    ngx_command_t  *cmd;

    for (cmd = ngx_http_breaker_statements; cmd->name.len; cmd++) {

        if (cmd->name.len == name->len
            && ngx_strncmp(cmd->name.data, name->data, name->len) == 0)
        {
            return cmd;
        }
    }

    return NULL;
}


static char *
ngx_http_breaker_value(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_int_t                  n;
    ngx_str_t                 *value;
    uint32_t                  *number;
    brk_msec_t                *time;
    ngx_http_breaker_range_t  *range;

    value = cf->args->elts;
    range = cmd->post;

    switch (range->kind) {

    case NGX_HTTP_BREAKER_TIME:
        n = ngx_parse_time(&value[1], 0);
        break;

    case NGX_HTTP_BREAKER_RATE:
        n = ngx_http_breaker_parse_rate(&value[1]);
        break;

    default: /* NGX_HTTP_BREAKER_NUMBER */
        n = ngx_atoi(value[1].data, value[1].len);
    }

    if (n == NGX_ERROR
        || n < (ngx_int_t) range->min || n > (ngx_int_t) range->max)
    {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid value \"%V\" in \"%V\", it must be %s",
                           &value[1], &value[0], range->range);
        return NGX_CONF_ERROR;
    }

    if (range->kind == NGX_HTTP_BREAKER_TIME) {
        ngx_http_gw_warn_time(cf, &value[1]);
        time = (brk_msec_t *) ((u_char *) conf + cmd->offset);
        *time = (brk_msec_t) n;

    } else {
        number = (uint32_t *) ((u_char *) conf + cmd->offset);
        *number = (uint32_t) n;
    }

    return NGX_CONF_OK;
}


static ngx_int_t
ngx_http_breaker_parse_rate(ngx_str_t *value)
{
    if (value->len == 1 && value->data[0] == '0') {
        return 0;
    }

    if (value->len < 2 || value->data[value->len - 1] != '%') {
        return NGX_ERROR;
    }

    return ngx_http_gw_hundredths(value->data, value->len - 1);
}


static char *
ngx_http_breaker_failures(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_breaker_policy_t *policy = conf;

    ngx_int_t     status;
    unsigned      code;
    ngx_str_t    *value;
    ngx_uint_t    i;
    brk_rules_t  *rules;

    value = cf->args->elts;
    rules = &policy->rules;

    rules->error = 0;
    rules->timeout = 0;
    rules->grpc = 0;
    ngx_memzero(rules->statuses, sizeof(rules->statuses));

    for (i = 1; i < cf->args->nelts; i++) {

        if (ngx_strcmp(value[i].data, "error") == 0) {
            rules->error = 1;
            continue;
        }

        if (ngx_strcmp(value[i].data, "timeout") == 0) {
            rules->timeout = 1;
            continue;
        }

        if (value[i].len == sizeof("http_500") - 1
            && ngx_strncmp(value[i].data, "http_", 5) == 0)
        {
            status = ngx_atoi(value[i].data + 5, 3);

            if (status >= BRK_STATUS_MIN && status <= BRK_STATUS_MAX) {
                brk_rules_add(rules, (unsigned) status);
                continue;
            }
        }

        if (value[i].len > 5
            && ngx_strncmp(value[i].data, "grpc_", 5) == 0)
        {
            code = brk_grpc_named(value[i].data + 5, value[i].len - 5);

            if (code) {
                rules->grpc |= (uint32_t) 1 << code;
                continue;
            }
        }

        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid value \"%V\" in \"failures\", it must be "
                           "\"error\", \"timeout\", one of \"http_%d\" to "
                           "\"http_%d\", or \"grpc_\" and the name of a code, "
                           "as \"grpc_unavailable\"", &value[i],
                           BRK_STATUS_MIN, BRK_STATUS_MAX);
        return NGX_CONF_ERROR;
    }

    return NGX_CONF_OK;
}


static char *
ngx_http_breaker_unknown(ngx_conf_t *cf, ngx_str_t *name)
{
    gw_nearest_t    nearest;
    ngx_command_t  *cmd;

    gw_nearest_init(&nearest, name->data, name->len);

    for (cmd = ngx_http_breaker_statements; cmd->name.len; cmd++) {
        gw_nearest_try(&nearest, cmd->name.data, cmd->name.len, &cmd->name);
    }

    if (nearest.item) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "unknown statement \"%V\" in \"breaker_policy\", "
                           "did you mean \"%V\"?", name, nearest.item);

    } else {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "unknown statement \"%V\" in \"breaker_policy\"",
                           name);
    }

    return NGX_CONF_ERROR;
}


static ngx_int_t
ngx_http_breaker_policy_check(ngx_conf_t *cf,
    ngx_http_breaker_policy_ctx_t *ctx)
{
    ngx_uint_t      i;
    brk_policy_t   *p;
    ngx_command_t  *cmd;

    static ngx_str_t  name = ngx_string("max_recovery_timeout");

    p = &ctx->policy->policy;

    if (p->max_recovery_timeout < p->recovery_timeout) {

        cmd = ngx_http_breaker_find_statement(&name);
        i = cmd - ngx_http_breaker_statements;

        if (ctx->seen & ((uint32_t) 1 << i)) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "\"max_recovery_timeout\" of %Mms in breaker "
                               "policy \"%V\" is less than "
                               "\"recovery_timeout\" of %Mms",
                               (ngx_msec_t) p->max_recovery_timeout,
                               &ctx->policy->name,
                               (ngx_msec_t) p->recovery_timeout);
            return NGX_ERROR;
        }

        p->max_recovery_timeout = p->recovery_timeout;
    }

    if (ctx->policy->rules.slow_call == 0) {
        p->slow_rate = 0;
    }

    return NGX_OK;
}
