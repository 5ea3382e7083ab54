
#include "ngx_http_breaker.h"
#include "ngx_http_gw_written.h"
#include "gw_text.h"


static void ngx_http_breaker_get_place(ngx_conf_t *cf,
    ngx_http_breaker_place_t *place);
static ngx_int_t ngx_http_breaker_variable(ngx_conf_t *cf, ngx_str_t *key);
static char *ngx_http_breaker_parameters(ngx_conf_t *cf,
    ngx_http_breaker_guard_t *guard);
static ngx_uint_t ngx_http_breaker_is_json(ngx_str_t *type);
static ngx_int_t ngx_http_breaker_resolve_zone(ngx_conf_t *cf,
    ngx_http_breaker_main_conf_t *bmcf, ngx_http_breaker_guard_t *guard);
static ngx_int_t ngx_http_breaker_resolve_policy(ngx_conf_t *cf,
    ngx_http_breaker_main_conf_t *bmcf, ngx_http_breaker_guard_t *guard);
static ngx_int_t ngx_http_breaker_check_policies(ngx_conf_t *cf,
    ngx_http_breaker_main_conf_t *bmcf, ngx_uint_t n);


static const char  *ngx_http_breaker_parameter_names[] = {
    "zone=", "policy=", "dry_run", NULL
};

static ngx_str_t  ngx_http_breaker_default_policy = ngx_string("default");


char *
ngx_http_breaker_zone(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_breaker_main_conf_t *bmcf = conf;

    ssize_t                    size;
    ngx_str_t                 *value;
    ngx_shm_zone_t            *shm_zone;
    ngx_http_breaker_zone_t   *zone, **zones;

    value = cf->args->elts;

    if (value[1].len == 0) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "empty name in \"breaker_zone\"");
        return NGX_CONF_ERROR;
    }

    size = ngx_parse_size(&value[2]);

    if (size == NGX_ERROR) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid size \"%V\" in \"breaker_zone\"",
                           &value[2]);
        return NGX_CONF_ERROR;
    }

    if (size < (ssize_t) (8 * ngx_pagesize)) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "size \"%V\" in \"breaker_zone\" is too small, "
                           "it must be at least %uzk", &value[2],
                           8 * ngx_pagesize / 1024);
        return NGX_CONF_ERROR;
    }

    zone = ngx_pcalloc(cf->pool, sizeof(ngx_http_breaker_zone_t));
    if (zone == NULL) {
        return NGX_CONF_ERROR;
    }

    zone->name = value[1];

    shm_zone = ngx_shared_memory_add(cf, &zone->name, size,
                                     &ngx_http_breaker_module);
    if (shm_zone == NULL) {
        return NGX_CONF_ERROR;
    }

    if (shm_zone->data) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "duplicate breaker zone \"%V\"", &value[1]);
        return NGX_CONF_ERROR;
    }

    zone->shm_zone = shm_zone;

    shm_zone->init = ngx_http_breaker_zone_init;
    shm_zone->data = zone;

    zones = ngx_array_push(&bmcf->zones);
    if (zones == NULL) {
        return NGX_CONF_ERROR;
    }

    *zones = zone;

    return NGX_CONF_OK;
}


char *
ngx_http_breaker(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_breaker_loc_conf_t *blcf = conf;

    ngx_str_t                          *value;
    ngx_uint_t                          n;
    ngx_http_breaker_guard_t           *guard, **guards;
    ngx_http_breaker_main_conf_t       *bmcf;
    ngx_http_compile_complex_value_t    ccv;

    if (blcf->guard != NGX_CONF_UNSET_PTR) {
        return "is duplicate";
    }

    value = cf->args->elts;

    if (cf->args->nelts == 2 && ngx_strcmp(value[1].data, "off") == 0) {
        blcf->guard = NULL;
        return NGX_CONF_OK;
    }

    if (value[1].len == 0) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "empty key in \"breaker\"");
        return NGX_CONF_ERROR;
    }

    guard = ngx_pcalloc(cf->pool, sizeof(ngx_http_breaker_guard_t));
    if (guard == NULL) {
        return NGX_CONF_ERROR;
    }

    ngx_memzero(&ccv, sizeof(ngx_http_compile_complex_value_t));

    ccv.cf = cf;
    ccv.value = &value[1];
    ccv.complex_value = &guard->key;

    if (ngx_http_compile_complex_value(&ccv) != NGX_OK) {
        return NGX_CONF_ERROR;
    }

    guard->index = ngx_http_breaker_variable(cf, &value[1]);

    n = guard->key.lengths ? NGX_HTTP_BREAKER_KNOWN : 1;

    guard->known = ngx_pcalloc(cf->pool, n * sizeof(ngx_http_breaker_known_t));
    if (guard->known == NULL) {
        return NGX_CONF_ERROR;
    }

    ngx_http_breaker_get_place(cf, &guard->place);

    if (ngx_http_breaker_parameters(cf, guard) != NGX_CONF_OK) {
        return NGX_CONF_ERROR;
    }

    bmcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_breaker_module);

    guards = ngx_array_push(&bmcf->guards);
    if (guards == NULL) {
        return NGX_CONF_ERROR;
    }

    *guards = guard;
    blcf->guard = guard;

    return NGX_CONF_OK;
}


/* the index of a key that is one variable, as most of them are */

static ngx_int_t
ngx_http_breaker_variable(ngx_conf_t *cf, ngx_str_t *key)
{
    u_char      ch;
    ngx_str_t   name;
    ngx_uint_t  i;

    if (key->len < 2 || key->data[0] != '$') {
        return NGX_ERROR;
    }

    name.data = key->data + 1;
    name.len = key->len - 1;

    for (i = 0; i < name.len; i++) {
        ch = name.data[i] | 0x20;

        if ((ch < 'a' || ch > 'z') && name.data[i] != '_'
            && (i == 0 || name.data[i] < '0' || name.data[i] > '9'))
        {
            return NGX_ERROR;
        }
    }

    return ngx_http_get_variable_index(cf, &name);
}


static char *
ngx_http_breaker_parameters(ngx_conf_t *cf, ngx_http_breaker_guard_t *guard)
{
    ngx_str_t   *value;
    ngx_uint_t   i;
    const char  *nearest;

    value = cf->args->elts;

    for (i = 2; i < cf->args->nelts; i++) {

        if (ngx_strncmp(value[i].data, "zone=", 5) == 0
            && value[i].len > 5 && guard->zone_name.len == 0)
        {
            guard->zone_name.len = value[i].len - 5;
            guard->zone_name.data = value[i].data + 5;
            continue;
        }

        if (ngx_strncmp(value[i].data, "policy=", 7) == 0
            && value[i].len > 7 && guard->policy_name.len == 0)
        {
            guard->policy_name.len = value[i].len - 7;
            guard->policy_name.data = value[i].data + 7;
            continue;
        }

        if (ngx_strcmp(value[i].data, "dry_run") == 0 && !guard->dry_run) {
            guard->dry_run = 1;
            continue;
        }

        nearest = gw_nearest(ngx_http_breaker_parameter_names,
                             value[i].data, value[i].len);

        if (nearest && ngx_strncmp(value[i].data, nearest,
                                   ngx_strlen(nearest)) != 0)
        {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "invalid parameter \"%V\" in \"breaker\", "
                               "did you mean \"%s\"?", &value[i], nearest);

        } else {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "invalid parameter \"%V\" in \"breaker\"",
                               &value[i]);
        }

        return NGX_CONF_ERROR;
    }

    if (guard->zone_name.len == 0) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "no \"zone=\" parameter in \"breaker\"");
        return NGX_CONF_ERROR;
    }

    return NGX_CONF_OK;
}


char *
ngx_http_breaker_fallback(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_breaker_loc_conf_t *blcf = conf;

    ngx_int_t                           code;
    ngx_str_t                          *value;
    ngx_http_breaker_fallback_t        *fallback;
    ngx_http_compile_complex_value_t    ccv;

    if (blcf->fallback != NGX_CONF_UNSET_PTR) {
        return "is duplicate";
    }

    value = cf->args->elts;

    fallback = ngx_pcalloc(cf->pool, sizeof(ngx_http_breaker_fallback_t));
    if (fallback == NULL) {
        return NGX_CONF_ERROR;
    }

    blcf->fallback = fallback;
    ngx_http_breaker_get_place(cf, &fallback->place);

    if (value[1].len > 1 && value[1].data[0] == '@'
        && cf->args->nelts == 2)
    {
        fallback->name = value[1];
        return NGX_CONF_OK;
    }

    code = (value[1].len == 3) ? ngx_atoi(value[1].data, 3) : NGX_ERROR;

    /* 408 and 499 would end the request without an answer, as 444 does */

    if (code == NGX_ERROR || code < NGX_HTTP_OK || code > BRK_STATUS_MAX
        || (code >= NGX_HTTP_SPECIAL_RESPONSE && code < NGX_HTTP_BAD_REQUEST)
        || code == NGX_HTTP_REQUEST_TIME_OUT
        || code == NGX_HTTP_CLOSE
        || code == NGX_HTTP_CLIENT_CLOSED_REQUEST)
    {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid value \"%V\" in \"breaker_fallback\", it "
                           "must be a code from 200 to 299 or 400 to 599 "
                           "without 408, 444 and 499, or a named location",
                           &value[1]);
        return NGX_CONF_ERROR;
    }

    fallback->code = (ngx_uint_t) code;

    if (cf->args->nelts == 2) {

        /*
         * as with "return", an error may have a page; others have an empty body
         */

        if (code < NGX_HTTP_BAD_REQUEST) {
            fallback->body = ngx_pcalloc(cf->pool,
                                         sizeof(ngx_http_complex_value_t));
            if (fallback->body == NULL) {
                return NGX_CONF_ERROR;
            }
        }

        return NGX_CONF_OK;
    }

    if (code == NGX_HTTP_NO_CONTENT) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "code \"204\" in \"breaker_fallback\" takes no "
                           "body");
        return NGX_CONF_ERROR;
    }

    fallback->type = value[2];

    if (ngx_http_script_variables_count(&value[3])
        && ngx_http_breaker_is_json(&value[2]))
    {
        return ngx_http_breaker_fallback_json(cf, fallback, &value[3])
               == NGX_OK ? NGX_CONF_OK : NGX_CONF_ERROR;
    }

    fallback->body = ngx_pcalloc(cf->pool, sizeof(ngx_http_complex_value_t));
    if (fallback->body == NULL) {
        return NGX_CONF_ERROR;
    }

    ngx_memzero(&ccv, sizeof(ngx_http_compile_complex_value_t));

    ccv.cf = cf;
    ccv.value = &value[3];
    ccv.complex_value = fallback->body;

    if (ngx_http_compile_complex_value(&ccv) != NGX_OK) {
        return NGX_CONF_ERROR;
    }

    return NGX_CONF_OK;
}


/* application/json and any type that ends with +json, with parameters */

static ngx_uint_t
ngx_http_breaker_is_json(ngx_str_t *type)
{
    size_t  len;

    for (len = 0; len < type->len; len++) {
        if (type->data[len] == ';' || type->data[len] == ' ') {
            break;
        }
    }

    return len > 5
           && (ngx_strncasecmp(type->data + len - 5, (u_char *) "/json", 5)
               == 0
               || ngx_strncasecmp(type->data + len - 5, (u_char *) "+json", 5)
                  == 0);
}


/* zones and policies may be declared after their use */

ngx_int_t
ngx_http_breaker_resolve(ngx_conf_t *cf, ngx_http_breaker_main_conf_t *bmcf)
{
    ngx_uint_t                  i;
    ngx_http_breaker_guard_t  **guards;

    guards = bmcf->guards.elts;

    for (i = 0; i < bmcf->guards.nelts; i++) {

        if (ngx_http_breaker_resolve_zone(cf, bmcf, guards[i]) != NGX_OK
            || ngx_http_breaker_resolve_policy(cf, bmcf, guards[i]) != NGX_OK
            || ngx_http_breaker_check_policies(cf, bmcf, i) != NGX_OK)
        {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_breaker_resolve_zone(ngx_conf_t *cf,
    ngx_http_breaker_main_conf_t *bmcf, ngx_http_breaker_guard_t *guard)
{
    ngx_uint_t                 i;
    gw_nearest_t               nearest;
    ngx_http_breaker_zone_t  **zones;

    zones = bmcf->zones.elts;

    for (i = 0; i < bmcf->zones.nelts; i++) {
        if (zones[i]->name.len == guard->zone_name.len
            && ngx_strncmp(zones[i]->name.data, guard->zone_name.data,
                           guard->zone_name.len)
               == 0)
        {
            guard->zone = zones[i];
            return NGX_OK;
        }
    }

    ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                  "unknown breaker zone \"%V\" in %s:%ui",
                  &guard->zone_name, guard->place.file, guard->place.line);

    gw_nearest_init(&nearest, guard->zone_name.data, guard->zone_name.len);

    for (i = 0; i < bmcf->zones.nelts; i++) {
        gw_nearest_try(&nearest, zones[i]->name.data, zones[i]->name.len,
                       &zones[i]->name);
    }

    ngx_http_gw_did_you_mean(cf, nearest.item, &guard->zone_name,
                             guard->place.file, guard->place.line);

    return NGX_ERROR;
}


static ngx_int_t
ngx_http_breaker_resolve_policy(ngx_conf_t *cf,
    ngx_http_breaker_main_conf_t *bmcf, ngx_http_breaker_guard_t *guard)
{
    ngx_str_t                   *name;
    ngx_uint_t                   i;
    gw_nearest_t                 nearest;
    ngx_http_breaker_policy_t  **policies, *policy;

    name = guard->policy_name.len ? &guard->policy_name
                                  : &ngx_http_breaker_default_policy;

    policies = bmcf->policies.elts;

    for (i = 0; i < bmcf->policies.nelts; i++) {
        if (policies[i]->name.len == name->len
            && ngx_strncmp(policies[i]->name.data, name->data, name->len)
               == 0)
        {
            guard->policy = policies[i];
            return NGX_OK;
        }
    }

    if (guard->policy_name.len) {
        ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                      "unknown breaker policy \"%V\" in %s:%ui",
                      name, guard->place.file, guard->place.line);

        gw_nearest_init(&nearest, name->data, name->len);

        for (i = 0; i < bmcf->policies.nelts; i++) {
            gw_nearest_try(&nearest, policies[i]->name.data,
                           policies[i]->name.len, &policies[i]->name);
        }

        ngx_http_gw_did_you_mean(cf, nearest.item, name, guard->place.file,
                                 guard->place.line);

        return NGX_ERROR;
    }

    policy = ngx_pcalloc(cf->pool, sizeof(ngx_http_breaker_policy_t));
    if (policy == NULL) {
        return NGX_ERROR;
    }

    policy->name = *name;
    ngx_http_breaker_policy_init(policy);

    policies = ngx_array_push(&bmcf->policies);
    if (policies == NULL) {
        return NGX_ERROR;
    }

    *policies = policy;
    guard->policy = policy;

    return NGX_OK;
}


/* the uses of one literal key in one zone share one policy */

static ngx_int_t
ngx_http_breaker_check_policies(ngx_conf_t *cf,
    ngx_http_breaker_main_conf_t *bmcf, ngx_uint_t n)
{
    ngx_uint_t                  i;
    ngx_http_breaker_guard_t  **guards, *guard;

    guards = bmcf->guards.elts;
    guard = guards[n];

    if (guard->key.lengths) {
        return NGX_OK;
    }

    for (i = 0; i < n; i++) {

        if (guards[i]->key.lengths
            || guards[i]->zone != guard->zone
            || guards[i]->policy == guard->policy
            || guards[i]->key.value.len != guard->key.value.len
            || ngx_strncmp(guards[i]->key.value.data, guard->key.value.data,
                           guard->key.value.len)
               != 0)
        {
            continue;
        }

        ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                      "breaker \"%V\" of zone \"%V\" has policy \"%V\" in "
                      "%s:%ui and policy \"%V\" in %s:%ui",
                      &guard->key.value, &guard->zone->name,
                      &guards[i]->policy->name, guards[i]->place.file,
                      guards[i]->place.line, &guard->policy->name,
                      guard->place.file, guard->place.line);

        return NGX_ERROR;
    }

    return NGX_OK;
}


/* called while locations are merged: remembers the server as well */

ngx_int_t
ngx_http_breaker_add_named(ngx_conf_t *cf,
    ngx_http_breaker_fallback_t *fallback)
{
    ngx_http_breaker_named_t      *named;
    ngx_http_breaker_main_conf_t  *bmcf;

    bmcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_breaker_module);

    named = ngx_array_push(&bmcf->named);
    if (named == NULL) {
        return NGX_ERROR;
    }

    named->cscf = ngx_http_conf_get_module_srv_conf(cf, ngx_http_core_module);
    named->fallback = fallback;

    return NGX_OK;
}


ngx_int_t
ngx_http_breaker_check_named(ngx_conf_t *cf,
    ngx_http_breaker_main_conf_t *bmcf)
{
    ngx_str_t                     *name;
    ngx_uint_t                     i;
    gw_nearest_t                   nearest;
    ngx_http_breaker_named_t      *named;
    ngx_http_breaker_location_t  **location;

    named = bmcf->named.elts;

    for (i = 0; i < bmcf->named.nelts; i++) {

        if (ngx_http_breaker_has_named(named[i].cscf,
                                       &named[i].fallback->name))
        {
            continue;
        }

        ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                      "unknown named location \"%V\" of \"breaker_fallback\" "
                      "in %s:%ui", &named[i].fallback->name,
                      named[i].fallback->place.file,
                      named[i].fallback->place.line);

        name = &named[i].fallback->name;
        gw_nearest_init(&nearest, name->data, name->len);

        for (location = named[i].cscf->named_locations;
             location && *location;
             location++)
        {
            gw_nearest_try(&nearest, (*location)->name.data,
                           (*location)->name.len, &(*location)->name);
        }

        ngx_http_gw_did_you_mean(cf, nearest.item, name,
                                 named[i].fallback->place.file,
                                 named[i].fallback->place.line);

        return NGX_ERROR;
    }

    return NGX_OK;
}


ngx_uint_t
ngx_http_breaker_has_named(ngx_http_core_srv_conf_t *cscf, ngx_str_t *name)
{
    ngx_http_breaker_location_t  **location;

    for (location = cscf->named_locations;
         location && *location;
         location++)
    {
        if ((*location)->name.len == name->len
            && ngx_strncmp((*location)->name.data, name->data, name->len)
               == 0)
        {
            return 1;
        }
    }

    return 0;
}


ngx_http_breaker_policy_t *
ngx_http_breaker_policy_of(ngx_http_breaker_main_conf_t *bmcf,
    ngx_http_breaker_zone_t *zone, ngx_str_t *key)
{
    ngx_uint_t                   i, several;
    ngx_http_breaker_guard_t   **guards;
    ngx_http_breaker_policy_t   *policy;

    guards = bmcf->guards.elts;
    policy = NULL;
    several = 0;

    for (i = 0; i < bmcf->guards.nelts; i++) {

        if (guards[i]->zone != zone) {
            continue;
        }

        if (guards[i]->key.lengths == NULL) {

            if (guards[i]->key.value.len == key->len
                && ngx_memcmp(guards[i]->key.value.data, key->data, key->len)
                   == 0)
            {
                return guards[i]->policy;
            }

            continue;
        }

        several |= (policy && policy != guards[i]->policy);
        policy = guards[i]->policy;
    }

    return several ? NULL : policy;
}


static void
ngx_http_breaker_get_place(ngx_conf_t *cf, ngx_http_breaker_place_t *place)
{
    place->file = cf->conf_file->file.name.data;
    place->line = cf->conf_file->line;
}
