
/*
 * Checks that need the whole "aggregate" block: statements that exclude each
 * other, equal keys, dependencies between parts.
 */

#include "ngx_http_aggregate_module.h"
#include "ngx_http_aggregate_conf.h"
#include "ngx_http_aggregate_warnings.h"
#include "gw_text.h"


#define ngx_http_aggregate_error(cf, where, fmt, ...)                         \
    ngx_log_error(NGX_LOG_EMERG, (cf)->log, 0, fmt " in %V:%ui", __VA_ARGS__, \
                  &(where)->file, (where)->line)

#define ngx_http_aggregate_warn(cf, where, fmt, ...)                          \
    ngx_log_error(NGX_LOG_WARN, (cf)->log, 0, fmt " in %V:%ui", __VA_ARGS__,  \
                  &(where)->file, (where)->line)


static ngx_int_t ngx_http_aggregate_check_statements(ngx_conf_t *cf,
    ngx_http_aggregate_backend_t *backend);
static ngx_int_t ngx_http_aggregate_check_sense(ngx_conf_t *cf,
    ngx_http_aggregate_backend_t *backend);
static ngx_int_t ngx_http_aggregate_check_pair(ngx_conf_t *cf,
    ngx_http_aggregate_backend_t *backend, ngx_uint_t first, const char *one,
    ngx_uint_t second, const char *other);
static ngx_int_t ngx_http_aggregate_check_references(ngx_conf_t *cf,
    ngx_http_aggregate_backend_t *backend);
static ngx_int_t ngx_http_aggregate_check_template(ngx_conf_t *cf,
    ngx_http_aggregate_backend_t *backend, agg_template_t *t,
    ngx_http_aggregate_where_t *where);
static ngx_int_t ngx_http_aggregate_check_each(ngx_conf_t *cf,
    ngx_http_aggregate_backend_t *backend);
static void ngx_http_aggregate_suggest_backend(ngx_conf_t *cf,
    ngx_http_aggregate_block_t *block, ngx_str_t *name,
    ngx_http_aggregate_where_t *where);
static ngx_http_aggregate_backend_t *ngx_http_aggregate_find_backend(
    ngx_http_aggregate_block_t *block, ngx_str_t *name);
static ngx_int_t ngx_http_aggregate_add_need(
    ngx_http_aggregate_backend_t *backend, ngx_uint_t number);
static ngx_int_t ngx_http_aggregate_check_cycle(ngx_conf_t *cf,
    ngx_http_aggregate_block_t *block);
static ngx_int_t ngx_http_aggregate_check_keys(ngx_conf_t *cf,
    ngx_http_aggregate_block_t *block);
static ngx_int_t ngx_http_aggregate_make_key(ngx_conf_t *cf, ngx_str_t *key,
    ngx_str_t *name, const char *before, const char *after);
static ngx_int_t ngx_http_aggregate_complete(ngx_conf_t *cf,
    ngx_http_aggregate_backend_t *backend);
static ngx_int_t ngx_http_aggregate_complete_into(ngx_conf_t *cf,
    ngx_http_aggregate_backend_t *backend);
static void ngx_http_aggregate_group(ngx_http_aggregate_block_t *block,
    ngx_http_aggregate_backend_t *backend);


static ngx_http_aggregate_forward_t  ngx_http_aggregate_forward_all =
    { 1, { NULL, 0, 0, 0, NULL } };


char *
ngx_http_aggregate_check(ngx_conf_t *cf, ngx_http_aggregate_block_t *block)
{
    ngx_uint_t                      i;
    ngx_http_aggregate_backend_t  **backends;

    if (block->backends.nelts == 0) {

        /* cf->args are those of the last statement of the block */

        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"aggregate\" has no \"backend\"");
        return NGX_CONF_ERROR;
    }

    if (block->methods.mask == 0) {
        block->methods.mask = NGX_HTTP_AGGREGATE_SAFE;
        ngx_str_set(&block->methods.allow, "GET, HEAD");
    }

    if (block->forward == NULL) {
        block->forward = &ngx_http_aggregate_forward_all;
    }

    backends = block->backends.elts;

    for (i = 0; i < block->backends.nelts; i++) {

        if (ngx_http_aggregate_check_statements(cf, backends[i]) != NGX_OK
            || ngx_http_aggregate_check_references(cf, backends[i]) != NGX_OK
            || ngx_http_aggregate_check_sense(cf, backends[i]) != NGX_OK)
        {
            return NGX_CONF_ERROR;
        }

        ngx_http_aggregate_group(block, backends[i]);

        block->merge |= backends[i]->merge;
    }

    if (ngx_http_aggregate_check_cycle(cf, block) != NGX_OK
        || ngx_http_aggregate_check_keys(cf, block) != NGX_OK)
    {
        return NGX_CONF_ERROR;
    }

    for (i = 0; i < block->backends.nelts; i++) {

        if (ngx_http_aggregate_complete_into(cf, backends[i]) != NGX_OK) {
            return NGX_CONF_ERROR;
        }
    }

    for (i = 0; i < block->backends.nelts; i++) {

        if (ngx_http_aggregate_complete(cf, backends[i]) != NGX_OK) {
            return NGX_CONF_ERROR;
        }
    }

    return NGX_CONF_OK;
}


static ngx_int_t
ngx_http_aggregate_check_statements(ngx_conf_t *cf,
    ngx_http_aggregate_backend_t *backend)
{
    agg_str_t   value;
    ngx_uint_t  has_default, has_as, has_into, has_each;

    has_default = (backend->default_value.data != NULL);
    has_as = (backend->as.data != NULL);
    has_into = (backend->into.data != NULL);
    has_each = (backend->each.data != NULL);

    if (ngx_http_aggregate_check_pair(cf, backend, backend->required,
                                      "required", has_default, "default")
        || ngx_http_aggregate_check_pair(cf, backend, backend->hidden,
                                         "hidden", has_as, "as")
        || ngx_http_aggregate_check_pair(cf, backend, backend->hidden,
                                         "hidden", backend->merge, "merge")
        || ngx_http_aggregate_check_pair(cf, backend, backend->hidden,
                                         "hidden", has_into, "into")
        || ngx_http_aggregate_check_pair(cf, backend, backend->merge,
                                         "merge", has_as, "as")
        || ngx_http_aggregate_check_pair(cf, backend, backend->merge,
                                         "merge", has_each, "each")
        || ngx_http_aggregate_check_pair(cf, backend, has_into,
                                         "into", has_as, "as")
        || ngx_http_aggregate_check_pair(cf, backend, backend->string,
                                         "encoding string",
                                         backend->fail_on != NULL, "fail_on")
        || ngx_http_aggregate_check_pair(cf, backend, backend->string,
                                         "encoding string",
                                         backend->merge, "merge")
        || ngx_http_aggregate_check_pair(cf, backend, backend->string,
                                         "encoding string",
                                         backend->shape != NULL,
                                         "a statement that shapes JSON"))
    {
        return NGX_ERROR;
    }

    if (has_into && !has_each) {
        ngx_http_aggregate_error(cf, &backend->where,
                                 "\"into\" without \"each\" in backend \"%V\"",
                                 &backend->name);
        return NGX_ERROR;
    }

    if (backend->merge && has_default) {
        value.data = backend->default_value.data;
        value.len = backend->default_value.len;

        if (agg_json_kind(&value) != AGG_OBJECT
            && agg_json_kind(&value) != AGG_NULL)
        {
            ngx_http_aggregate_error(cf, &backend->where,
                                     "\"default\" of backend \"%V\" with "
                                     "\"merge\" must be an object or null",
                                     &backend->name);
            return NGX_ERROR;
        }
    }

    if (backend->method == 0) {
        backend->method = NGX_HTTP_GET;
        ngx_str_set(&backend->method_name, "GET");
    }

    ngx_conf_init_msec_value(backend->timeout, 0);
    ngx_conf_init_value(backend->retry, 0);
    ngx_conf_init_value(backend->encoded_slash, 0);

    if (backend->encoded_slash) {
        backend->uri.slash = 1;
    }

    return NGX_OK;
}


/* warns about statements without effect, or with an unexpected one */

static ngx_int_t
ngx_http_aggregate_check_sense(ngx_conf_t *cf,
    ngx_http_aggregate_backend_t *backend)
{
    agg_template_t              *uri;
    ngx_http_aggregate_asked_t   asked;

    if (backend->retry && !(backend->method & NGX_HTTP_AGGREGATE_SAFE)) {
        ngx_http_aggregate_warn(cf, &backend->retry_where,
                                "\"retry\" has no effect in backend \"%V\", "
                                "a %V is sent once", &backend->name,
                                &backend->method_name);
        backend->retry = 0;
    }

    if (backend->hedge
        && (!(backend->method & NGX_HTTP_AGGREGATE_SAFE)
            || backend->body == NGX_HTTP_AGGREGATE_REQUEST_BODY))
    {
        ngx_http_aggregate_warn(cf, &backend->hedge_where,
                                "\"hedge\" has no effect in backend \"%V\", "
                                "a %V%s is sent once", &backend->name,
                                &backend->method_name,
                                backend->method & NGX_HTTP_AGGREGATE_SAFE
                                ? " with the client's body" : "");
        backend->hedge = NULL;
    }

    if (backend->body && (backend->method & NGX_HTTP_AGGREGATE_SAFE)) {
        ngx_http_aggregate_warn(cf, &backend->body_where,
                                "\"body\" with \"method %V\" in backend "
                                "\"%V\", a backend may ignore or refuse it",
                                &backend->method_name, &backend->name);
    }

    if (backend->timeout > backend->block->limits.timeout) {
        ngx_http_aggregate_warn(cf, &backend->timeout_where,
                                "\"timeout\" of backend \"%V\" exceeds the "
                                "%Mms of the whole \"aggregate\"",
                                &backend->name,
                                backend->block->limits.timeout);
    }

    uri = &backend->uri;

    ngx_memzero(&asked, sizeof(ngx_http_aggregate_asked_t));

    asked.kind = "backend";
    asked.name = backend->name;
    asked.file = backend->where.file;
    asked.line = backend->where.line;
    asked.conditional = (backend->if_index != NGX_CONF_UNSET
                         || backend->each.data != NULL);
    asked.whole = (uri->npieces == 1 || uri->pieces[1].args
                   || uri->pieces[1].mark);

    asked.path.data = uri->pieces[0].text.data;
    asked.path.len = uri->pieces[0].text.len;

    return ngx_http_aggregate_warn_asked(cf, &asked);
}


static ngx_int_t
ngx_http_aggregate_check_pair(ngx_conf_t *cf,
    ngx_http_aggregate_backend_t *backend, ngx_uint_t first, const char *one,
    ngx_uint_t second, const char *other)
{
    if (!first || !second) {
        return NGX_OK;
    }

    ngx_http_aggregate_error(cf, &backend->where,
                             "\"%s\" with \"%s\" in backend \"%V\", "
                             "only one is allowed",
                             one, other, &backend->name);

    return NGX_ERROR;
}


static ngx_int_t
ngx_http_aggregate_check_references(ngx_conf_t *cf,
    ngx_http_aggregate_backend_t *backend)
{
    ngx_uint_t                    i;
    ngx_http_aggregate_header_t  *header;

    if (ngx_array_init(&backend->needs, cf->pool, 1, sizeof(ngx_uint_t))
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (backend->each.data
        && ngx_http_aggregate_check_each(cf, backend) != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (ngx_http_aggregate_check_template(cf, backend, &backend->uri,
                                          &backend->where)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (backend->body == NGX_HTTP_AGGREGATE_TEMPLATE_BODY
        && ngx_http_aggregate_check_template(cf, backend,
                                             &backend->body_template,
                                             &backend->body_where)
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (backend->headers) {
        header = backend->headers->elts;

        for (i = 0; i < backend->headers->nelts; i++) {

            if (ngx_http_aggregate_check_template(cf, backend,
                                                  &header[i].value,
                                                  &header[i].where)
                != NGX_OK)
            {
                return NGX_ERROR;
            }
        }
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_aggregate_check_template(ngx_conf_t *cf,
    ngx_http_aggregate_backend_t *backend, agg_template_t *t,
    ngx_http_aggregate_where_t *where)
{
    size_t                         i;
    ngx_str_t                      name;
    agg_piece_t                   *piece;
    ngx_http_aggregate_backend_t  *needed;

    for (i = 0; i < t->npieces; i++) {
        piece = &t->pieces[i];

        if (piece->kind != AGG_PIECE_PART) {
            continue;
        }

        name.data = piece->text.data;
        name.len = piece->text.len;

        if (name.len == 4 && ngx_strncmp(name.data, "item", 4) == 0) {

            if (backend->each.data == NULL) {
                ngx_http_aggregate_error(cf, where,
                                         "\"${item.\" in backend \"%V\", "
                                         "which has no \"each\"",
                                         &backend->name);
                return NGX_ERROR;
            }

            piece->index = NGX_HTTP_AGGREGATE_ITEM;
            continue;
        }

        needed = ngx_http_aggregate_find_backend(backend->block, &name);

        if (needed == NULL) {
            ngx_http_aggregate_error(cf, where,
                                     "unknown backend \"%V\" in \"${%V.\" "
                                     "of backend \"%V\"",
                                     &name, &name, &backend->name);

            ngx_http_aggregate_suggest_backend(cf, backend->block, &name,
                                               where);

            return NGX_ERROR;
        }

        piece->index = needed->number;
        needed->referenced = 1;

        if (ngx_http_aggregate_add_need(backend, needed->number) != NGX_OK) {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_aggregate_check_each(ngx_conf_t *cf,
    ngx_http_aggregate_backend_t *backend)
{
    ngx_http_aggregate_backend_t  *host;

    host = ngx_http_aggregate_find_backend(backend->block,
                                           &backend->each_name);
    if (host == NULL) {
        ngx_http_aggregate_error(cf, &backend->each_where,
                                 "unknown backend \"%V\" in \"each %V\" of "
                                 "backend \"%V\"", &backend->each_name,
                                 &backend->each, &backend->name);

        ngx_http_aggregate_suggest_backend(cf, backend->block,
                                           &backend->each_name,
                                           &backend->each_where);

        return NGX_ERROR;
    }

    backend->each_part = host->number;
    host->referenced = 1;

    if (backend->into.data) {

        if (host->each.data) {
            ngx_http_aggregate_error(cf, &backend->each_where,
                                     "\"into\" in backend \"%V\" is not "
                                     "allowed, backend \"%V\" has \"each\" "
                                     "itself", &backend->name, &host->name);
            return NGX_ERROR;
        }

        host->host = 1;
    }

    return ngx_http_aggregate_add_need(backend, host->number);
}


/* logs a second line if a known name is near */

static void
ngx_http_aggregate_suggest_backend(ngx_conf_t *cf,
    ngx_http_aggregate_block_t *block, ngx_str_t *name,
    ngx_http_aggregate_where_t *where)
{
    ngx_uint_t                      i;
    gw_nearest_t                    nearest;
    ngx_http_aggregate_backend_t  **backends;

    backends = block->backends.elts;

    gw_nearest_init(&nearest, name->data, name->len);

    for (i = 0; i < block->backends.nelts; i++) {
        gw_nearest_try(&nearest, backends[i]->name.data,
                       backends[i]->name.len, &backends[i]->name);
    }

    if (nearest.item) {
        ngx_http_aggregate_error(cf, where, "did you mean \"%V\"?",
                                 nearest.item);
    }
}


static ngx_http_aggregate_backend_t *
ngx_http_aggregate_find_backend(ngx_http_aggregate_block_t *block,
    ngx_str_t *name)
{
    ngx_uint_t                      i;
    ngx_http_aggregate_backend_t  **backends;

    backends = block->backends.elts;

    for (i = 0; i < block->backends.nelts; i++) {

        if (backends[i]->name.len == name->len
            && ngx_strncmp(backends[i]->name.data, name->data, name->len) == 0)
        {
            return backends[i];
        }
    }

    return NULL;
}


static ngx_int_t
ngx_http_aggregate_add_need(ngx_http_aggregate_backend_t *backend,
    ngx_uint_t number)
{
    ngx_uint_t  i, *need;

    need = backend->needs.elts;

    for (i = 0; i < backend->needs.nelts; i++) {
        if (need[i] == number) {
            return NGX_OK;
        }
    }

    need = ngx_array_push(&backend->needs);
    if (need == NULL) {
        return NGX_ERROR;
    }

    *need = number;

    return NGX_OK;
}


static ngx_int_t
ngx_http_aggregate_check_cycle(ngx_conf_t *cf,
    ngx_http_aggregate_block_t *block)
{
    size_t                         *work, length;
    u_char                         *needs, *p, *text;
    ngx_str_t                       way;
    ngx_uint_t                      i, k, n, *need;
    ngx_http_aggregate_backend_t  **backends;

    n = block->backends.nelts;
    backends = block->backends.elts;

    needs = ngx_pcalloc(cf->temp_pool, n * n);
    work = ngx_palloc(cf->temp_pool, 2 * n * sizeof(size_t));

    if (needs == NULL || work == NULL) {
        return NGX_ERROR;
    }

    for (i = 0; i < n; i++) {
        need = backends[i]->needs.elts;

        for (k = 0; k < backends[i]->needs.nelts; k++) {
            needs[i * n + need[k]] = 1;
        }

        block->independent += (k == 0);
    }

    length = agg_graph_cycle(needs, n, work);

    if (length == 0) {
        return NGX_OK;
    }

    for (i = 0, k = 0; i < length; i++) {
        k += backends[work[i]]->name.len + sizeof(" -> ");
    }

    k += backends[work[0]]->name.len;

    text = ngx_pnalloc(cf->temp_pool, k);
    if (text == NULL) {
        return NGX_ERROR;
    }

    for (i = 0, p = text; i < length; i++) {
        p = ngx_sprintf(p, "%V -> ", &backends[work[i]]->name);
    }

    way.data = text;
    way.len = ngx_sprintf(p, "%V", &backends[work[0]]->name) - text;

    ngx_http_aggregate_error(cf, &backends[work[0]]->where,
                             "backends need each other in a cycle: %V", &way);

    return NGX_ERROR;
}


static ngx_int_t
ngx_http_aggregate_check_keys(ngx_conf_t *cf,
    ngx_http_aggregate_block_t *block)
{
    ngx_uint_t                      i, k;
    ngx_http_aggregate_backend_t  **backends, *a, *b;

    backends = block->backends.elts;

    for (i = 0; i < block->backends.nelts; i++) {
        a = backends[i];

        if (a->hidden || a->merge || a->into.data) {
            continue;
        }

        if (a->as.data == NULL) {
            a->as = a->name;
        }

        if (ngx_http_aggregate_make_key(cf, &a->key, &a->as, "", ":")
            != NGX_OK)
        {
            return NGX_ERROR;
        }

        if (a->as.len == block->errors.len
            && ngx_strncmp(a->as.data, block->errors.data, a->as.len) == 0)
        {
            ngx_http_aggregate_error(cf, &a->where,
                                     "key \"%V\" of backend \"%V\" is that "
                                     "of \"errors\"", &a->as, &a->name);
            return NGX_ERROR;
        }

        for (k = 0; k < i; k++) {
            b = backends[k];

            if (b->key.data && b->as.len == a->as.len
                && ngx_strncmp(a->as.data, b->as.data, a->as.len) == 0)
            {
                ngx_http_aggregate_error(cf, &a->where,
                                         "duplicate key \"%V\" of backends "
                                         "\"%V\" and \"%V\"",
                                         &a->as, &b->name, &a->name);
                return NGX_ERROR;
            }
        }
    }

    if (block->errors.data == NULL) {
        return NGX_OK;
    }

    return ngx_http_aggregate_make_key(cf, &block->errors_key, &block->errors,
                                       "", ":");
}


static ngx_int_t
ngx_http_aggregate_make_key(ngx_conf_t *cf, ngx_str_t *key, ngx_str_t *name,
    const char *before, const char *after)
{
    agg_buf_t  b;

    agg_buf_init(&b, ngx_http_aggregate_mem(cf->pool), 65536);

    if (agg_buf_append(&b, before, ngx_strlen(before)) != AGG_OK
        || agg_json_escape(&b, name->data, name->len) != AGG_OK
        || agg_buf_append(&b, after, ngx_strlen(after)) != AGG_OK)
    {
        return NGX_ERROR;
    }

    key->data = b.start;
    key->len = agg_buf_used(&b);

    return NGX_OK;
}


/* the shape of the host adds the results of other parts to its elements */

static ngx_int_t
ngx_http_aggregate_complete_into(ngx_conf_t *cf,
    ngx_http_aggregate_backend_t *backend)
{
    unsigned                         slot;
    agg_str_t                        path, name;
    ngx_uint_t                       i;
    agg_error_t                      err;
    ngx_http_aggregate_backend_t   **backends, *host;

    if (backend->into.data == NULL) {
        return NGX_OK;
    }

    backends = backend->block->backends.elts;
    host = backends[backend->each_part];

    for (i = 0; i < backend->number; i++) {

        if (backends[i]->into.data == NULL
            || backends[i]->each.len != backend->each.len
            || ngx_strncmp(backends[i]->each.data, backend->each.data,
                           backend->each.len)
               != 0)
        {
            continue;
        }

        if (backends[i]->into.len == backend->into.len
            && ngx_strncmp(backends[i]->into.data, backend->into.data,
                           backend->into.len)
               == 0)
        {
            ngx_http_aggregate_error(cf, &backend->each_where,
                                     "duplicate \"into %V\" of backends "
                                     "\"%V\" and \"%V\"", &backend->into,
                                     &backends[i]->name, &backend->name);
            return NGX_ERROR;
        }
    }

    path = backend->each_path->text;

    name.data = backend->into.data;
    name.len = backend->into.len;

    if (host->shape == NULL) {
        host->shape = ngx_http_aggregate_shape_create(cf);
    }

    if (host->default_value.data && host->default_shape == NULL) {
        host->default_shape = ngx_http_aggregate_shape_create(cf);

        if (host->default_shape == NULL) {
            return NGX_ERROR;
        }
    }

    if (host->shape == NULL) {
        return NGX_ERROR;
    }

    if (agg_shape_into(host->shape->shape, &path, &name, &backend->into_slot,
                       &err)
        != AGG_OK
        || (host->default_shape
            && agg_shape_into(host->default_shape->shape, &path, &name, &slot,
                              &err)
               != AGG_OK))
    {
        ngx_http_aggregate_error(cf, &backend->each_where,
                                 "invalid \"into\" of backend \"%V\": %s",
                                 &backend->name, err.text);
        return NGX_ERROR;
    }

    host->intos++;

    return NGX_OK;
}


static ngx_int_t
ngx_http_aggregate_complete(ngx_conf_t *cf,
    ngx_http_aggregate_backend_t *backend)
{
    if (backend->default_shape
        && ngx_http_aggregate_shape_complete(cf, backend->default_shape, 0)
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (backend->shape
        && ngx_http_aggregate_shape_complete(cf, backend->shape,
                                             backend->referenced)
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (backend->string || (backend->shape && backend->fail_on == NULL)) {
        return NGX_OK;
    }

    backend->patterns = ngx_http_aggregate_patterns_create(cf);

    return backend->patterns ? NGX_OK : NGX_ERROR;
}


/* backends that receive the same headers of the client share one list */

static void
ngx_http_aggregate_group(ngx_http_aggregate_block_t *block,
    ngx_http_aggregate_backend_t *backend)
{
    ngx_uint_t                      i;
    ngx_http_aggregate_backend_t  **backends, *other;

    if (backend->forward == NULL) {
        backend->forward = block->forward;
    }

    backends = block->backends.elts;

    for (i = 0; i < backend->number; i++) {
        other = backends[i];

        if (other->forward == backend->forward
            && ngx_http_aggregate_with(other)
               == ngx_http_aggregate_with(backend))
        {
            backend->forward_group = other->forward_group;
            return;
        }
    }

    backend->forward_group = block->forward_groups++;
}
