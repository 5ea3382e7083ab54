
/* converts an "aggregate_grpc" directive to rules, or to one method */

#include "ngx_http_aggregate_grpc.h"


static const agg_pb_service_t *ngx_http_aggregate_grpc_service(ngx_conf_t *cf,
    ngx_http_aggregate_grpc_main_conf_t *mcf,
    ngx_http_aggregate_grpc_call_t *call, ngx_str_t *name);
static char *ngx_http_aggregate_grpc_single(ngx_conf_t *cf,
    ngx_http_aggregate_grpc_main_conf_t *mcf,
    ngx_http_aggregate_grpc_call_t *call, ngx_str_t *name);
static char *ngx_http_aggregate_grpc_methods(ngx_conf_t *cf,
    ngx_http_aggregate_grpc_call_t *call, const agg_pb_service_t *service,
    agg_mem_t *mem);
static char *ngx_http_aggregate_grpc_rule(ngx_conf_t *cf,
    ngx_http_aggregate_grpc_call_t *call, const agg_pb_service_t *service,
    const agg_pb_method_t *method, agg_grpc_http_t *http);
static char *ngx_http_aggregate_grpc_rule_error(ngx_conf_t *cf,
    ngx_http_aggregate_grpc_call_t *call, agg_grpc_http_t *http,
    ngx_http_aggregate_grpc_binding_t *binding, agg_grpc_rule_t *earlier,
    const char *error);
static char *ngx_http_aggregate_grpc_fields(ngx_conf_t *cf,
    ngx_http_aggregate_grpc_call_t *call, agg_grpc_rule_t *rule,
    ngx_http_aggregate_grpc_binding_t *binding);
static const agg_pb_field_t *ngx_http_aggregate_grpc_field(ngx_conf_t *cf,
    ngx_http_aggregate_grpc_call_t *call, const agg_pb_message_t *m,
    agg_str_t *name, ngx_http_aggregate_grpc_binding_t *binding,
    const char *what);
static ngx_http_aggregate_grpc_binding_t *ngx_http_aggregate_grpc_bind(
    ngx_conf_t *cf, const agg_pb_service_t *service,
    const agg_pb_method_t *method);
static void ngx_http_aggregate_grpc_complete(
    ngx_http_aggregate_grpc_binding_t *binding);


char *
ngx_http_aggregate_grpc_compile(ngx_conf_t *cf,
    ngx_http_aggregate_grpc_main_conf_t *mcf,
    ngx_http_aggregate_grpc_call_t *call)
{
    char                    *rv;
    agg_mem_t               *mem;
    ngx_str_t               *names;
    ngx_uint_t               i;
    const agg_pb_service_t  *service;

    mem = ngx_http_aggregate_grpc_pool_mem(cf->pool);

    if (mem == NULL || agg_grpc_rules_init(&call->rules, mem) != AGG_OK) {
        return NGX_CONF_ERROR;
    }

    names = call->services.elts;

    for (i = 0; i < call->services.nelts; i++) {

        if (ngx_strlchr(names[i].data, names[i].data + names[i].len, '/')) {

            if (call->services.nelts != 1 || call->automatic
                || call->strip.len)
            {
                ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                              "the method \"%V\" must be the only argument "
                              "of \"aggregate_grpc\" except for \"get\" in "
                              "%s:%ui", &names[i], call->file, call->line);
                return NGX_CONF_ERROR;
            }

            return ngx_http_aggregate_grpc_single(cf, mcf, call, &names[i]);
        }

        service = ngx_http_aggregate_grpc_service(cf, mcf, call, &names[i]);
        if (service == NULL) {
            return NGX_CONF_ERROR;
        }

        rv = ngx_http_aggregate_grpc_methods(cf, call, service, mem);
        if (rv != NGX_CONF_OK) {
            return rv;
        }
    }

    if (call->by_get) {
        ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                      "\"get\" of \"aggregate_grpc\" needs a method, as in "
                      "\"%V/Method\", in %s:%ui", &names[0], call->file,
                      call->line);
        return NGX_CONF_ERROR;
    }

    if (call->rules.nrules == 0) {
        ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                      "no method of \"%V\" has a google.api.http rule, "
                      "and \"auto\" is not given in %s:%ui", &names[0],
                      call->file, call->line);
        return NGX_CONF_ERROR;
    }

    return NGX_CONF_OK;
}


static const agg_pb_service_t *
ngx_http_aggregate_grpc_service(ngx_conf_t *cf,
    ngx_http_aggregate_grpc_main_conf_t *mcf,
    ngx_http_aggregate_grpc_call_t *call, ngx_str_t *name)
{
    agg_str_t                s;
    const agg_str_t         *nearest;
    const agg_pb_service_t  *service;

    s.len = name->len;
    s.data = name->data;

    service = agg_pb_find_service(mcf->pool, &s);

    if (service) {
        return service;
    }

    nearest = agg_pb_nearest_service(mcf->pool, &s);

    if (nearest) {
        ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                      "unknown service \"%V\" of \"aggregate_grpc\", did you "
                      "mean \"%*s\"? in %s:%ui", name, nearest->len,
                      nearest->data, call->file, call->line);

    } else {
        ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                      "unknown service \"%V\" of \"aggregate_grpc\" in %s:%ui",
                      name, call->file, call->line);
    }

    return NULL;
}


static char *
ngx_http_aggregate_grpc_single(ngx_conf_t *cf,
    ngx_http_aggregate_grpc_main_conf_t *mcf,
    ngx_http_aggregate_grpc_call_t *call, ngx_str_t *name)
{
    u_char                   *slash;
    agg_str_t                 s;
    ngx_str_t                 service_name;
    const agg_str_t          *nearest;
    const agg_pb_method_t    *method;
    const agg_pb_service_t   *service;

    slash = ngx_strlchr(name->data, name->data + name->len, '/');

    service_name.data = name->data;
    service_name.len = slash - name->data;

    service = ngx_http_aggregate_grpc_service(cf, mcf, call, &service_name);
    if (service == NULL) {
        return NGX_CONF_ERROR;
    }

    s.data = slash + 1;
    s.len = name->data + name->len - s.data;

    method = agg_pb_find_method(service, &s);

    if (method == NULL) {
        nearest = agg_pb_nearest_method(service, &s);

        if (nearest) {
            ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                          "unknown method \"%V\" of \"aggregate_grpc\", did "
                          "you mean \"%*s\"? in %s:%ui", name, nearest->len,
                          nearest->data, call->file, call->line);

        } else {
            ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                          "unknown method \"%V\" of \"aggregate_grpc\" "
                          "in %s:%ui", name, call->file, call->line);
        }

        return NGX_CONF_ERROR;
    }

    call->post = ngx_http_aggregate_grpc_bind(cf, service, method);
    if (call->post == NULL) {
        return NGX_CONF_ERROR;
    }

    call->post->has_body = 1;
    ngx_http_aggregate_grpc_complete(call->post);

    if (!call->by_get && method->idempotency != AGG_PB_NO_SIDE_EFFECTS) {
        return NGX_CONF_OK;
    }

    call->get = ngx_http_aggregate_grpc_bind(cf, service, method);
    if (call->get == NULL) {
        return NGX_CONF_ERROR;
    }

    ngx_http_aggregate_grpc_complete(call->get);

    return NGX_CONF_OK;
}


static char *
ngx_http_aggregate_grpc_methods(ngx_conf_t *cf,
    ngx_http_aggregate_grpc_call_t *call, const agg_pb_service_t *service,
    agg_mem_t *mem)
{
    char                   *rv;
    u_char                 *p;
    uint32_t                i;
    unsigned                k, n;
    agg_rc_e                rc;
    agg_grpc_http_t         list[AGG_GRPC_MAX_BINDINGS];
    const agg_pb_method_t  *method;

    for (i = 0; i < service->nmethods; i++) {

        method = &service->methods[i];

        if (method->has_http) {

            rc = agg_grpc_http_read(&method->http, list, &n);

            if (rc != AGG_OK) {
                ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                              "google.api.http of \"%*s/%*s\" %s in %s:%ui",
                              service->name.len, service->name.data,
                              method->name.len, method->name.data,
                              rc == AGG_TOO_LARGE
                              ? "has more than 64 bindings"
                              : "is invalid", call->file, call->line);
                return NGX_CONF_ERROR;
            }

        } else if (call->automatic) {

            ngx_memzero(&list[0], sizeof(agg_grpc_http_t));

            list[0].kind.data = (u_char *) "POST";
            list[0].kind.len = 4;
            list[0].body.data = (u_char *) "*";
            list[0].body.len = 1;

            list[0].path.len = service->name.len + method->name.len + 2;

            p = mem->alloc(mem->ctx, list[0].path.len);
            if (p == NULL) {
                return NGX_CONF_ERROR;
            }

            list[0].path.data = p;

            *p++ = '/';
            p = ngx_cpymem(p, service->name.data, service->name.len);
            *p++ = '/';
            ngx_memcpy(p, method->name.data, method->name.len);

            n = 1;

        } else {
            n = 0;
        }

        for (k = 0; k < n; k++) {
            rv = ngx_http_aggregate_grpc_rule(cf, call, service, method,
                                              &list[k]);
            if (rv != NGX_CONF_OK) {
                return rv;
            }
        }
    }

    return NGX_CONF_OK;
}


static char *
ngx_http_aggregate_grpc_rule(ngx_conf_t *cf,
    ngx_http_aggregate_grpc_call_t *call, const agg_pb_service_t *service,
    const agg_pb_method_t *method, agg_grpc_http_t *http)
{
    agg_rc_e                            rc;
    const char                         *error;
    agg_grpc_rule_t                    *rule;
    ngx_http_aggregate_grpc_binding_t  *binding;

    binding = ngx_http_aggregate_grpc_bind(cf, service, method);
    if (binding == NULL) {
        return NGX_CONF_ERROR;
    }

    rc = agg_grpc_rules_add(&call->rules, http, binding, &rule, &error);

    if (rc == AGG_NOMEM) {
        return NGX_CONF_ERROR;
    }

    if (rc != AGG_OK) {
        return ngx_http_aggregate_grpc_rule_error(cf, call, http, binding,
                                                  rule, error);
    }

    return ngx_http_aggregate_grpc_fields(cf, call, rule, binding);
}


static char *
ngx_http_aggregate_grpc_rule_error(ngx_conf_t *cf,
    ngx_http_aggregate_grpc_call_t *call, agg_grpc_http_t *http,
    ngx_http_aggregate_grpc_binding_t *binding, agg_grpc_rule_t *earlier,
    const char *error)
{
    ngx_http_aggregate_grpc_binding_t  *other;

    if (error) {
        ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                      "invalid template \"%*s\" of \"%V\": %s in %s:%ui",
                      http->path.len, http->path.data, &binding->name, error,
                      call->file, call->line);
        return NGX_CONF_ERROR;
    }

    other = earlier->data;

    ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                  "\"%*s %*s\" of \"%V\" is a rule of \"%V\" already, as "
                  "\"%*s\" in %s:%ui", http->kind.len, http->kind.data,
                  http->path.len, http->path.data, &binding->name,
                  &other->name, earlier->http.path.len,
                  earlier->http.path.data, call->file, call->line);

    return NGX_CONF_ERROR;
}


static char *
ngx_http_aggregate_grpc_fields(ngx_conf_t *cf,
    ngx_http_aggregate_grpc_call_t *call, agg_grpc_rule_t *rule,
    ngx_http_aggregate_grpc_binding_t *binding)
{
    unsigned         i;
    agg_str_t       *name;
    agg_pb_error_t   err;

    if (rule->nvariables != 0) {
        binding->paths = ngx_palloc(cf->pool, rule->nvariables
                                              * sizeof(agg_pb_path_t));
        if (binding->paths == NULL) {
            return NGX_CONF_ERROR;
        }
    }

    for (i = 0; i < rule->nvariables; i++) {

        if (agg_pb_path(binding->method->input, &rule->variables[i].name,
                        &binding->paths[i], &err)
            != AGG_OK)
        {
            ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                          "invalid variable \"%*s\" in the template \"%*s\" "
                          "of \"%V\": %*s in %s:%ui",
                          rule->variables[i].name.len,
                          rule->variables[i].name.data, rule->http.path.len,
                          rule->http.path.data, &binding->name, err.len,
                          err.text, call->file, call->line);
            return NGX_CONF_ERROR;
        }
    }

    name = &rule->http.body;

    if (name->len != 0) {
        binding->has_body = 1;

        if (name->len != 1 || name->data[0] != '*') {
            binding->body = ngx_http_aggregate_grpc_field(cf, call,
                                                   binding->method->input,
                                                   name, binding, "body");
            if (binding->body == NULL) {
                return NGX_CONF_ERROR;
            }
        }
    }

    name = &rule->http.response_body;

    if (name->len != 0) {
        binding->response = ngx_http_aggregate_grpc_field(cf, call,
                                                   binding->method->output,
                                                   name, binding,
                                                   "response_body");
        if (binding->response == NULL) {
            return NGX_CONF_ERROR;
        }
    }

    ngx_http_aggregate_grpc_complete(binding);

    return NGX_CONF_OK;
}


static const agg_pb_field_t *
ngx_http_aggregate_grpc_field(ngx_conf_t *cf,
    ngx_http_aggregate_grpc_call_t *call, const agg_pb_message_t *m,
    agg_str_t *name, ngx_http_aggregate_grpc_binding_t *binding,
    const char *what)
{
    const agg_str_t       *nearest;
    const agg_pb_field_t  *field;

    field = agg_pb_find_field(m, name->data, name->len);

    if (field) {
        return field;
    }

    nearest = agg_pb_nearest_field(m, name);

    if (nearest) {
        ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                      "\"%s\" of \"%V\" names \"%*s\", which is not a field of "
                      "\"%*s\", did you mean \"%*s\"? in %s:%ui", what,
                      &binding->name, name->len, name->data, m->name.len,
                      m->name.data, nearest->len, nearest->data, call->file,
                      call->line);

    } else {
        ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                      "\"%s\" of \"%V\" names \"%*s\", which is not a field of "
                      "\"%*s\" in %s:%ui", what, &binding->name, name->len,
                      name->data, m->name.len, m->name.data, call->file,
                      call->line);
    }

    return NULL;
}


static ngx_http_aggregate_grpc_binding_t *
ngx_http_aggregate_grpc_bind(ngx_conf_t *cf, const agg_pb_service_t *service,
    const agg_pb_method_t *method)
{
    u_char                             *p;
    uintptr_t                           escape;
    ngx_http_aggregate_grpc_binding_t  *binding;

    binding = ngx_pcalloc(cf->pool,
                          sizeof(ngx_http_aggregate_grpc_binding_t));
    if (binding == NULL) {
        return NULL;
    }

    binding->method = method;
    binding->uri.len = service->name.len + method->name.len + 2;

    p = ngx_pnalloc(cf->pool, binding->uri.len);
    if (p == NULL) {
        return NULL;
    }

    binding->uri.data = p;

    *p++ = '/';
    p = ngx_cpymem(p, service->name.data, service->name.len);
    *p++ = '/';
    ngx_memcpy(p, method->name.data, method->name.len);

    binding->name.len = binding->uri.len - 1;
    binding->name.data = binding->uri.data + 1;

    escape = 2 * ngx_escape_uri(NULL, binding->uri.data, binding->uri.len,
                                NGX_ESCAPE_URI);
    if (escape == 0) {
        return binding;
    }

    p = ngx_pnalloc(cf->pool, binding->uri.len + escape);
    if (p == NULL) {
        return NULL;
    }

    (void) ngx_escape_uri(p, binding->uri.data, binding->uri.len,
                          NGX_ESCAPE_URI);

    binding->uri.data = p;
    binding->uri.len += escape;

    return binding;
}


static void
ngx_http_aggregate_grpc_complete(ngx_http_aggregate_grpc_binding_t *binding)
{
    const agg_pb_message_t  *m;

    m = binding->body ? binding->body->message : binding->method->input;

    binding->raw_body = binding->has_body && m != NULL
                        && m->kind == AGG_PB_HTTP_BODY
                        && (binding->body == NULL || !binding->body->repeated);

    m = binding->response ? binding->response->message
                          : binding->method->output;

    binding->raw_response = m != NULL && m->kind == AGG_PB_HTTP_BODY
                            && (binding->response == NULL
                                || !binding->response->repeated);
}
