
/* "aggregate_split_zone", "aggregate_split", "aggregate_split_status" */

#include "ngx_http_aggregate_block_parser.h"
#include "ngx_http_aggregate_checks.h"
#include "ngx_http_aggregate_depends.h"
#include "ngx_http_aggregate_inherit.h"
#include "ngx_http_aggregate_split.h"
#include "ngx_http_gw_decimal.h"
#include "ngx_http_gw_written.h"
#include "gw_siphash.h"
#include "gw_text.h"


static ngx_int_t ngx_http_aggregate_split_percent(u_char *data, size_t len,
    uint32_t *percent);
static char *ngx_http_aggregate_split_zone(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
static ngx_int_t ngx_http_aggregate_split_check_file(ngx_conf_t *cf,
    ngx_http_aggregate_split_main_conf_t *smcf, ngx_str_t *file);
static char *ngx_http_aggregate_split(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
static char *ngx_http_aggregate_split_parameters(ngx_conf_t *cf,
    ngx_http_aggregate_split_conf_t *split);
static char *ngx_http_aggregate_split_define(ngx_conf_t *cf,
    ngx_http_aggregate_split_conf_t *split);
static char *ngx_http_aggregate_split_check(ngx_conf_t *cf,
    ngx_http_aggregate_split_conf_t *split);
static void ngx_http_aggregate_split_digest(
    ngx_http_aggregate_split_conf_t *split);
static char *ngx_http_aggregate_split_share(ngx_conf_t *cf,
    ngx_command_t *cmd, void *conf);
static char *ngx_http_aggregate_split_ramp(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
static char *ngx_http_aggregate_split_abort(ngx_conf_t *cf,
    ngx_command_t *cmd, void *conf);
static char *ngx_http_aggregate_split_force(ngx_conf_t *cf,
    ngx_command_t *cmd, void *conf);
static ngx_int_t ngx_http_aggregate_split_version(ngx_conf_t *cf,
    ngx_http_aggregate_split_conf_t *split, ngx_str_t *name);
static char *ngx_http_aggregate_split_status(ngx_conf_t *cf,
    ngx_command_t *cmd, void *conf);
static ngx_int_t ngx_http_aggregate_split_init(ngx_conf_t *cf);
static void *ngx_http_aggregate_split_create_main_conf(ngx_conf_t *cf);
static void *ngx_http_aggregate_split_create_loc_conf(ngx_conf_t *cf);
static char *ngx_http_aggregate_split_merge_loc_conf(ngx_conf_t *cf,
    void *parent, void *child);


static ngx_command_t  ngx_http_aggregate_split_statements[] = {

    { ngx_string("ramp"),
      NGX_HTTP_AGGREGATE_SPLIT_CONF|NGX_CONF_1MORE,
      ngx_http_aggregate_split_ramp,
      NGX_HTTP_AGGREGATE_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("abort"),
      NGX_HTTP_AGGREGATE_SPLIT_CONF|NGX_CONF_ANY,
      ngx_http_aggregate_split_abort,
      NGX_HTTP_AGGREGATE_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("header"),
      NGX_HTTP_AGGREGATE_SPLIT_CONF|NGX_CONF_TAKE12,
      ngx_http_aggregate_split_force,
      NGX_HTTP_AGGREGATE_CONF_OFFSET,
      offsetof(ngx_http_aggregate_split_conf_t, header),
      NULL },

    { ngx_string("cookie"),
      NGX_HTTP_AGGREGATE_SPLIT_CONF|NGX_CONF_TAKE12,
      ngx_http_aggregate_split_force,
      NGX_HTTP_AGGREGATE_CONF_OFFSET,
      offsetof(ngx_http_aggregate_split_conf_t, cookie),
      NULL },

    { ngx_null_string,
      NGX_HTTP_AGGREGATE_SPLIT_CONF|NGX_CONF_ANY,
      ngx_http_aggregate_split_share,
      NGX_HTTP_AGGREGATE_CONF_OFFSET,
      0,
      NULL }
};


static ngx_command_t  ngx_http_aggregate_split_commands[] = {

    { ngx_string("aggregate_split_zone"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_TAKE23,
      ngx_http_aggregate_split_zone,
      NGX_HTTP_MAIN_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("aggregate_split"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_BLOCK|NGX_CONF_TAKE23|NGX_CONF_TAKE4,
      ngx_http_aggregate_split,
      NGX_HTTP_MAIN_CONF_OFFSET,
      0,
      ngx_http_aggregate_split_statements },

    { ngx_string("aggregate_split_status"),
      NGX_HTTP_LOC_CONF|NGX_CONF_NOARGS,
      ngx_http_aggregate_split_status,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

      ngx_null_command
};


static ngx_http_module_t  ngx_http_aggregate_split_module_ctx = {
    NULL,                                  /* preconfiguration */
    ngx_http_aggregate_split_init,         /* postconfiguration */

    ngx_http_aggregate_split_create_main_conf, /* create main configuration */
    NULL,                                  /* init main configuration */

    NULL,                                  /* create server configuration */
    NULL,                                  /* merge server configuration */

    ngx_http_aggregate_split_create_loc_conf,
                                           /* create location configuration */
    ngx_http_aggregate_split_merge_loc_conf
                                           /* merge location configuration */
};


ngx_module_t  ngx_http_aggregate_split_module = {
    NGX_MODULE_V1,
    &ngx_http_aggregate_split_module_ctx,  /* module context */
    ngx_http_aggregate_split_commands,     /* module directives */
    NGX_HTTP_MODULE,                       /* module type */
    NULL,                                  /* init master */
    ngx_http_aggregate_split_init_module,  /* init module */
    ngx_http_aggregate_split_init_process, /* init process */
    NULL,                                  /* init thread */
    NULL,                                  /* exit thread */
    NULL,                                  /* exit process */
    NULL,                                  /* exit master */
    NGX_MODULE_V1_PADDING
};


/* "5%", "0.01%": hundredths of a per cent */

static ngx_int_t
ngx_http_aggregate_split_percent(u_char *data, size_t len, uint32_t *percent)
{
    ngx_int_t  n;

    if (len < 2 || data[len - 1] != '%') {
        return NGX_ERROR;
    }

    n = ngx_http_gw_hundredths(data, len - 1);

    if (n == NGX_ERROR || n > AGG_SPLIT_FULL) {
        return NGX_ERROR;
    }

    *percent = (uint32_t) n;

    return NGX_OK;
}


/* aggregate_split_zone NAME SIZE [state=FILE] */

static char *
ngx_http_aggregate_split_zone(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_aggregate_split_main_conf_t *smcf = conf;

    ssize_t                            size;
    ngx_str_t                         *value;
    ngx_shm_zone_t                    *shm_zone;
    ngx_http_aggregate_split_zone_t   *zone, **zonep;

    value = cf->args->elts;

    size = ngx_parse_size(&value[2]);

    if (value[1].len == 0 || size == NGX_ERROR || size < 65536) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid value \"%V\" in \"%V\", it must be a name "
                           "and a size from 64k",
                           value[1].len ? &value[2] : &value[1], &cmd->name);
        return NGX_CONF_ERROR;
    }

    zone = ngx_pcalloc(cf->pool, sizeof(ngx_http_aggregate_split_zone_t));
    if (zone == NULL) {
        return NGX_CONF_ERROR;
    }

    zone->name = value[1];

    if (cf->args->nelts == 4) {

        if (ngx_strncmp(value[3].data, "state=", 6) != 0
            || value[3].len == 6)
        {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "invalid parameter \"%V\" in \"%V\", it must "
                               "be \"state=FILE\"", &value[3], &cmd->name);
            return NGX_CONF_ERROR;
        }

        zone->file.data = value[3].data + 6;
        zone->file.len = value[3].len - 6;

        if (ngx_conf_full_name(cf->cycle, &zone->file, 0) != NGX_OK
            || ngx_http_aggregate_split_check_file(cf, smcf, &zone->file)
               != NGX_OK)
        {
            return NGX_CONF_ERROR;
        }
    }

    if (ngx_array_init(&zone->splits, cf->pool, 2,
                       sizeof(ngx_http_aggregate_split_conf_t *))
        != NGX_OK)
    {
        return NGX_CONF_ERROR;
    }

    shm_zone = ngx_shared_memory_add(cf, &zone->name, size,
                                     &ngx_http_aggregate_split_module);
    if (shm_zone == NULL) {
        return NGX_CONF_ERROR;
    }

    if (shm_zone->data) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "duplicate split zone \"%V\"", &value[1]);
        return NGX_CONF_ERROR;
    }

    shm_zone->init = ngx_http_aggregate_split_init_zone;
    shm_zone->data = zone;
    zone->shm_zone = shm_zone;

    zonep = ngx_array_push(&smcf->zones);
    if (zonep == NULL) {
        return NGX_CONF_ERROR;
    }

    *zonep = zone;

    return NGX_CONF_OK;
}


/* a zone replaces the file as a whole, so it cannot be shared */

static ngx_int_t
ngx_http_aggregate_split_check_file(ngx_conf_t *cf,
    ngx_http_aggregate_split_main_conf_t *smcf, ngx_str_t *file)
{
    ngx_uint_t                         i;
    ngx_http_aggregate_split_zone_t  **zones;

    zones = smcf->zones.elts;

    for (i = 0; i < smcf->zones.nelts; i++) {

        if (zones[i]->file.len == file->len
            && ngx_strncmp(zones[i]->file.data, file->data, file->len) == 0)
        {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "state file \"%V\" is already used by the split "
                               "zone \"%V\"", file, &zones[i]->name);
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


/* aggregate_split $VAR key=STRING [salt=STRING] [zone=NAME] { ... } */

static char *
ngx_http_aggregate_split(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_aggregate_split_main_conf_t *smcf = conf;

    char                              *rv;
    ngx_http_aggregate_split_conf_t   *split, **splitp;

    split = ngx_pcalloc(cf->pool, sizeof(ngx_http_aggregate_split_conf_t));
    if (split == NULL) {
        return NGX_CONF_ERROR;
    }

    split->file = cf->conf_file->file.name.data;
    split->line = cf->conf_file->line;
    split->ordinal = smcf->splits.nelts;
    split->nversions = 1;
    split->header.index = NGX_ERROR;
    split->header.condition = NGX_ERROR;
    split->cookie = split->header;

    split->rule.errors = 0.05;
    split->rule.min = 20;
    split->rule.window = 60000;

    rv = ngx_http_aggregate_split_parameters(cf, split);
    if (rv != NGX_CONF_OK) {
        return rv;
    }

    rv = ngx_http_aggregate_split_define(cf, split);
    if (rv != NGX_CONF_OK) {
        return rv;
    }

    splitp = ngx_array_push(&smcf->splits);
    if (splitp == NULL) {
        return NGX_CONF_ERROR;
    }

    *splitp = split;

    rv = ngx_http_aggregate_parse_block(cf, cmd, split);
    if (rv != NGX_CONF_OK) {
        return rv;
    }

    rv = ngx_http_aggregate_split_check(cf, split);
    if (rv != NGX_CONF_OK) {
        return rv;
    }

    if (split->key.lengths == NULL && split->header.index == NGX_ERROR
        && split->cookie.index == NGX_ERROR)
    {
        ngx_log_error(NGX_LOG_WARN, cf->log, 0,
                      "\"key=\" of \"aggregate_split\" has no variable, all "
                      "requests get the same version in %s:%ui",
                      split->file, split->line);
    }

    ngx_http_aggregate_split_digest(split);

    split->initial = ngx_pcalloc(cf->pool,
                             agg_split_size((unsigned) split->nversions));
    if (split->initial == NULL) {
        return NGX_CONF_ERROR;
    }

    agg_split_init(split->initial, (unsigned) split->nversions, split->text,
                   split->plans, 0);

    return NGX_CONF_OK;
}


static char *
ngx_http_aggregate_split_parameters(ngx_conf_t *cf,
    ngx_http_aggregate_split_conf_t *split)
{
    ngx_str_t                          *value, text;
    ngx_uint_t                          i, key;
    ngx_http_compile_complex_value_t    ccv;

    value = cf->args->elts;
    key = 0;

    for (i = 2; i < cf->args->nelts; i++) {

        if (ngx_strncmp(value[i].data, "key=", 4) == 0 && value[i].len > 4
            && !key)
        {
            key = 1;

            text.data = value[i].data + 4;
            text.len = value[i].len - 4;

            ngx_memzero(&ccv, sizeof(ngx_http_compile_complex_value_t));

            ccv.cf = cf;
            ccv.value = &text;
            ccv.complex_value = &split->key;

            if (ngx_http_compile_complex_value(&ccv) != NGX_OK) {
                return NGX_CONF_ERROR;
            }

            continue;
        }

        if (ngx_strncmp(value[i].data, "salt=", 5) == 0 && value[i].len > 5
            && split->salt.len == 0)
        {
            split->salt.data = value[i].data + 5;
            split->salt.len = value[i].len - 5;
            continue;
        }

        if (ngx_strncmp(value[i].data, "zone=", 5) == 0 && value[i].len > 5
            && split->zone_name.len == 0)
        {
            split->zone_name.data = value[i].data + 5;
            split->zone_name.len = value[i].len - 5;
            continue;
        }

        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid parameter \"%V\" in \"aggregate_split\", "
                           "it must be \"key=\", \"salt=\" or \"zone=\", each "
                           "once", &value[i]);
        return NGX_CONF_ERROR;
    }

    if (!key) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "no \"key=\" in \"aggregate_split\"");
        return NGX_CONF_ERROR;
    }

    return NGX_CONF_OK;
}


static char *
ngx_http_aggregate_split_define(ngx_conf_t *cf,
    ngx_http_aggregate_split_conf_t *split)
{
    ngx_str_t            *value;
    ngx_http_variable_t  *var;

    value = cf->args->elts;

    if (value[1].len < 2 || value[1].data[0] != '$') {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid variable name \"%V\" in "
                           "\"aggregate_split\"", &value[1]);
        return NGX_CONF_ERROR;
    }

    split->name.data = value[1].data + 1;
    split->name.len = value[1].len - 1;

    if (split->salt.len == 0) {
        split->salt = split->name;
    }

    split->salt_hash = agg_split_salt(split->salt.data, split->salt.len);

    split->attribute.len = sizeof("gateway.split.") - 1 + split->name.len;
    split->attribute.data = ngx_pnalloc(cf->pool, split->attribute.len);

    if (split->attribute.data == NULL) {
        return NGX_CONF_ERROR;
    }

    ngx_memcpy(ngx_cpymem(split->attribute.data, "gateway.split.",
                          sizeof("gateway.split.") - 1),
               split->name.data, split->name.len);

    /* without NGX_HTTP_VAR_CHANGEABLE, a second definition is an error */

    var = ngx_http_add_variable(cf, &split->name, NGX_HTTP_VAR_NOCACHEABLE);
    if (var == NULL) {
        return NGX_CONF_ERROR;
    }

    if (var->get_handler) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "variable \"$%V\" is already defined", &split->name);
        return NGX_CONF_ERROR;
    }

    split->depends = ngx_http_aggregate_depends_add(cf, &split->name);
    if (split->depends == NGX_ERROR) {
        return NGX_CONF_ERROR;
    }

    var->get_handler = ngx_http_aggregate_split_variable;
    var->data = (uintptr_t) split;

    return NGX_CONF_OK;
}


static char *
ngx_http_aggregate_split_check(ngx_conf_t *cf,
    ngx_http_aggregate_split_conf_t *split)
{
    uint64_t      sum;
    ngx_uint_t    i;
    const char   *text;

    text = NULL;
    sum = 0;

    for (i = 1; i < split->nversions; i++) {
        sum += split->plans[i].percent;

        if (split->plans[i].nsteps && split->zone_name.len == 0) {
            text = "\"ramp\" needs \"zone=\"";
        }
    }

    if (split->rule.on && split->zone_name.len == 0) {
        text = "\"abort\" needs \"zone=\"";
    }

    if (sum > AGG_SPLIT_FULL) {
        text = "the shares are over 100%";
    }

    if (split->names[0].data == NULL) {
        text = "there is no default, \"* VERSION;\"";
    }

    if (text) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "%s in \"aggregate_split $%V\"", text,
                           &split->name);
        return NGX_CONF_ERROR;
    }

    return NGX_CONF_OK;
}


/* a digest of versions, shares, ramps and salt: equal ones keep the state */

static void
ngx_http_aggregate_split_digest(ngx_http_aggregate_split_conf_t *split)
{
    uint64_t           words[8];
    ngx_uint_t         i;
    agg_split_plan_t  *plan;

    static const uint64_t  key[2] = { 0, 0 };

    words[0] = gw_siphash(key, split->salt.data, split->salt.len);

    for (i = 0; i < split->nversions; i++) {

        plan = &split->plans[i];

        words[1] = gw_siphash(key, split->names[i].data, split->names[i].len);
        words[2] = plan->percent;
        words[3] = plan->nsteps;
        words[4] = plan->every;
        words[5] = gw_siphash(key, (u_char *) plan->steps,
                              plan->nsteps * sizeof(uint32_t));

        words[0] = gw_siphash(key, (u_char *) words, 6 * sizeof(uint64_t));
    }

    split->text = words[0];
}


/* N% VERSION; * VERSION; */

static char *
ngx_http_aggregate_split_share(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_aggregate_split_conf_t *split = conf;

    ngx_int_t   n;
    uint32_t    percent;
    ngx_str_t  *value;

    value = cf->args->elts;

    if (value[0].len == 1 && value[0].data[0] == '*') {

        if (cf->args->nelts != 2) {
            return "must have one version";
        }

        if (split->names[0].data) {
            return "is duplicate";
        }

        n = ngx_http_aggregate_split_version(cf, split, &value[1]);
        if (n == NGX_ERROR) {
            return NGX_CONF_ERROR;
        }

        split->names[0] = value[1];

        return NGX_CONF_OK;
    }

    if (value[0].data[value[0].len - 1] != '%') {
        return ngx_http_aggregate_unknown_statement(cf,
                                        ngx_http_aggregate_split_statements);
    }

    if (ngx_http_aggregate_split_percent(value[0].data, value[0].len,
                                         &percent)
        != NGX_OK)
    {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid share \"%V\", it must be from 0%% to "
                           "100%% in steps of 0.01%%", &value[0]);
        return NGX_CONF_ERROR;
    }

    if (cf->args->nelts != 2) {
        return "must have one version";
    }

    n = ngx_http_aggregate_split_version(cf, split, &value[1]);
    if (n == NGX_ERROR) {
        return NGX_CONF_ERROR;
    }

    split->names[split->nversions] = value[1];
    split->plans[split->nversions].percent = percent;
    split->nversions++;

    return NGX_CONF_OK;
}


/* ramp VERSION N%... every=T; */

static char *
ngx_http_aggregate_split_ramp(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_aggregate_split_conf_t *split = conf;

    ngx_int_t          n;
    uint32_t           percent;
    ngx_str_t         *value, text;
    ngx_uint_t         i;
    agg_split_plan_t  *plan;

    value = cf->args->elts;

    n = ngx_http_aggregate_split_version(cf, split, &value[1]);
    if (n == NGX_ERROR) {
        return NGX_CONF_ERROR;
    }

    plan = &split->plans[split->nversions];

    for (i = 2; i < cf->args->nelts; i++) {

        if (ngx_strncmp(value[i].data, "every=", 6) == 0) {

            text.data = value[i].data + 6;
            text.len = value[i].len - 6;

            n = ngx_parse_time(&text, 0);

            if (plan->every || n == NGX_ERROR || n < 1000
                || n > (ngx_int_t) 31536000 * 1000)
            {
                ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                                   "invalid value \"%V\" in \"ramp\", it must "
                                   "be a time from 1s to 1y, once", &value[i]);
                return NGX_CONF_ERROR;
            }

            ngx_http_gw_warn_time(cf, &text);

            plan->every = (uint64_t) n;
            continue;
        }

        if (ngx_http_aggregate_split_percent(value[i].data, value[i].len,
                                             &percent)
            != NGX_OK
            || plan->nsteps == AGG_SPLIT_STEPS
            || (plan->nsteps && percent <= plan->steps[plan->nsteps - 1]))
        {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "invalid step \"%V\" in \"ramp\", it must be up "
                               "to %d rising shares, from 0%% to 100%% in "
                               "steps of 0.01%%", &value[i],
                               AGG_SPLIT_STEPS);
            return NGX_CONF_ERROR;
        }

        plan->steps[plan->nsteps++] = percent;
    }

    if (plan->nsteps < 2 || plan->every == 0) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"ramp\" must have two steps or more, and "
                           "\"every=\"");
        return NGX_CONF_ERROR;
    }

    plan->percent = plan->steps[0];

    split->names[split->nversions] = value[1];
    split->nversions++;

    return NGX_CONF_OK;
}


/* abort [errors=N%] [latency=Kx] [min=N] [window=T]; */

static char *
ngx_http_aggregate_split_abort(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_aggregate_split_conf_t *split = conf;

    ngx_int_t    n;
    uint32_t     percent;
    ngx_str_t   *value, text;
    ngx_uint_t   i;

    if (split->rule.on) {
        return "is duplicate";
    }

    split->rule.on = 1;

    value = cf->args->elts;

    for (i = 1; i < cf->args->nelts; i++) {

        if (ngx_strncmp(value[i].data, "errors=", 7) == 0
            && ngx_http_aggregate_split_percent(value[i].data + 7,
                                                value[i].len - 7, &percent)
               == NGX_OK)
        {
            split->rule.errors = (double) percent / AGG_SPLIT_FULL;
            continue;
        }

        if (ngx_strncmp(value[i].data, "latency=", 8) == 0
            && value[i].len > 9 && value[i].data[value[i].len - 1] == 'x')
        {
            n = ngx_http_gw_hundredths(value[i].data + 8, value[i].len - 9);

            if (n >= 100 && n <= 10000) {
                split->rule.latency = (double) n / 100;
                continue;
            }
        }

        if (ngx_strncmp(value[i].data, "min=", 4) == 0) {

            n = ngx_atoi(value[i].data + 4, value[i].len - 4);

            if (n >= 1 && n <= 1000000) {
                split->rule.min = (uint32_t) n;
                continue;
            }
        }

        if (ngx_strncmp(value[i].data, "window=", 7) == 0) {

            text.data = value[i].data + 7;
            text.len = value[i].len - 7;

            n = ngx_parse_time(&text, 0);

            if (n != NGX_ERROR && n >= 1000 && n <= 86400 * 1000) {
                ngx_http_gw_warn_time(cf, &text);

                split->rule.window = (uint64_t) n;
                continue;
            }
        }

        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid value \"%V\" in \"abort\", it must be "
                           "\"errors=\" with 0%% to 100%%, \"latency=\" with "
                           "1x to 100x, \"min=\" with 1 to 1000000, or "
                           "\"window=\" with 1s to 1d", &value[i]);
        return NGX_CONF_ERROR;
    }

    return NGX_CONF_OK;
}


/* header NAME [if=$var]; cookie NAME [if=$var]; */

static char *
ngx_http_aggregate_split_force(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    char *p = conf;

    u_char                            *d;
    size_t                             i;
    ngx_str_t                         *value, name;
    ngx_uint_t                         header;
    ngx_http_aggregate_split_force_t  *force;

    force = (ngx_http_aggregate_split_force_t *) (p + cmd->offset);

    if (force->index != NGX_ERROR) {
        return "is duplicate";
    }

    value = cf->args->elts;
    header = (cmd->name.data[0] == 'h');

    name.len = value[1].len + (header ? 5 : 7);
    name.data = ngx_pnalloc(cf->pool, name.len);
    if (name.data == NULL) {
        return NGX_CONF_ERROR;
    }

    d = ngx_cpymem(name.data, header ? "http_" : "cookie_", header ? 5 : 7);

    for (i = 0; i < value[1].len; i++) {

        if (value[1].data[i] <= ' ' || value[1].data[i] >= 0x7f
            || ngx_strchr("\"(),/:;<=>?@[\\]{}", value[1].data[i]))
        {
            break;
        }

        *d++ = (header && value[1].data[i] == '-')
               ? '_' : ngx_tolower(value[1].data[i]);
    }

    if (i == 0 || i < value[1].len) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid name \"%V\" in \"%V\"", &value[1],
                           &cmd->name);
        return NGX_CONF_ERROR;
    }

    if (!header) {
        ngx_memcpy(name.data + 7, value[1].data, value[1].len);
    }

    force->index = ngx_http_aggregate_variable_used(cf, &name);
    if (force->index == NGX_ERROR) {
        return NGX_CONF_ERROR;
    }

    if (cf->args->nelts == 2) {
        return NGX_CONF_OK;
    }

    if (value[2].len < 5 || ngx_strncmp(value[2].data, "if=$", 4) != 0) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid parameter \"%V\" in \"%V\", it must be "
                           "\"if=$variable\"", &value[2], &cmd->name);
        return NGX_CONF_ERROR;
    }

    name.data = value[2].data + 4;
    name.len = value[2].len - 4;

    force->condition = ngx_http_aggregate_variable_used(cf, &name);

    return (force->condition == NGX_ERROR) ? NGX_CONF_ERROR : NGX_CONF_OK;
}


/* NGX_OK: the name may be used for a new version */

static ngx_int_t
ngx_http_aggregate_split_version(ngx_conf_t *cf,
    ngx_http_aggregate_split_conf_t *split, ngx_str_t *name)
{
    u_char      ch;
    size_t      i;
    ngx_uint_t  k;

    for (i = 0; i < name->len; i++) {
        ch = name->data[i] | 0x20;

        if ((ch < 'a' || ch > 'z')
            && (name->data[i] < '0' || name->data[i] > '9')
            && name->data[i] != '_' && name->data[i] != '.'
            && name->data[i] != '-')
        {
            break;
        }
    }

    if (name->len == 0 || i < name->len) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid version \"%V\", it must be letters, "
                           "digits, \"_\", \".\" and \"-\"", name);
        return NGX_ERROR;
    }

    for (k = 0; k < split->nversions; k++) {
        if (split->names[k].len == name->len
            && ngx_strncmp(split->names[k].data, name->data, name->len) == 0)
        {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "duplicate version \"%V\"", name);
            return NGX_ERROR;
        }
    }

    if (split->nversions == AGG_SPLIT_VERSIONS) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "more than %d versions", AGG_SPLIT_VERSIONS);
        return NGX_ERROR;
    }

    return NGX_OK;
}


static char *
ngx_http_aggregate_split_status(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_aggregate_split_loc_conf_t *slcf = conf;

    ngx_http_core_loc_conf_t  *clcf;

    if (slcf->status) {
        return "is duplicate";
    }

    slcf->status = 1;

    clcf = ngx_http_conf_get_module_loc_conf(cf, ngx_http_core_module);
    clcf->handler = ngx_http_aggregate_split_status_handler;

    return NGX_CONF_OK;
}


/* zones may be declared after the splits that use them */

static ngx_int_t
ngx_http_aggregate_split_init(ngx_conf_t *cf)
{
    ngx_uint_t                             i, k, zoned;
    gw_nearest_t                           nearest;
    ngx_http_aggregate_split_zone_t      **zones;
    ngx_http_aggregate_split_conf_t       *split, **splits, **splitp;
    ngx_http_aggregate_split_main_conf_t  *smcf;

    smcf = ngx_http_conf_get_module_main_conf(cf,
                                             ngx_http_aggregate_split_module);

    splits = smcf->splits.elts;
    zones = smcf->zones.elts;
    zoned = 0;

    for (i = 0; i < smcf->splits.nelts; i++) {
        split = splits[i];

        if (split->zone_name.len == 0) {
            continue;
        }

        for (k = 0; k < smcf->zones.nelts; k++) {
            if (zones[k]->name.len == split->zone_name.len
                && ngx_strncmp(zones[k]->name.data, split->zone_name.data,
                               split->zone_name.len)
                   == 0)
            {
                break;
            }
        }

        if (k == smcf->zones.nelts) {
            ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                          "unknown split zone \"%V\" in %s:%ui",
                          &split->zone_name, split->file, split->line);

            gw_nearest_init(&nearest, split->zone_name.data,
                            split->zone_name.len);

            for (k = 0; k < smcf->zones.nelts; k++) {
                gw_nearest_try(&nearest, zones[k]->name.data,
                               zones[k]->name.len, &zones[k]->name);
            }

            ngx_http_gw_did_you_mean(cf, nearest.item, &split->zone_name,
                                     split->file, split->line);

            return NGX_ERROR;
        }

        split->zone = zones[k];

        splitp = ngx_array_push(&zones[k]->splits);
        if (splitp == NULL) {
            return NGX_ERROR;
        }

        *splitp = split;
        zoned = 1;
    }

    if (zoned) {
        ngx_http_aggregate_split_init_filter();
    }

    return NGX_OK;
}


static void *
ngx_http_aggregate_split_create_main_conf(ngx_conf_t *cf)
{
    ngx_http_aggregate_split_main_conf_t  *smcf;

    smcf = ngx_pcalloc(cf->pool, sizeof(ngx_http_aggregate_split_main_conf_t));
    if (smcf == NULL) {
        return NULL;
    }

    if (ngx_array_init(&smcf->zones, cf->pool, 2,
                       sizeof(ngx_http_aggregate_split_zone_t *))
        != NGX_OK
        || ngx_array_init(&smcf->splits, cf->pool, 2,
                          sizeof(ngx_http_aggregate_split_conf_t *))
           != NGX_OK)
    {
        return NULL;
    }

    return smcf;
}


static void *
ngx_http_aggregate_split_create_loc_conf(ngx_conf_t *cf)
{
    return ngx_pcalloc(cf->pool, sizeof(ngx_http_aggregate_split_loc_conf_t));
}


static char *
ngx_http_aggregate_split_merge_loc_conf(ngx_conf_t *cf, void *parent,
    void *child)
{
    ngx_http_aggregate_split_loc_conf_t *prev = parent;
    ngx_http_aggregate_split_loc_conf_t *conf = child;

    if (ngx_http_aggregate_inherits_handler(cf,
                                      ngx_http_aggregate_split_status_handler,
                                      conf->status ? conf : NULL,
                                      prev->status ? prev : NULL))
    {
        conf->status = 1;
    }

    return NGX_CONF_OK;
}
