
/*
 * The files that "aggregate_graphql" reads at start: the schema, and trusted
 * documents.
 */

#include "ngx_http_aggregate_graphql.h"
#include "ngx_http_aggregate_checks.h"
#include "ngx_http_aggregate_warnings.h"


#define NGX_HTTP_AGGREGATE_GRAPHQL_MAX_FILE  (32 * 1024 * 1024)


typedef struct {
    ngx_conf_t                         *cf;
    ngx_http_aggregate_graphql_conf_t  *conf;
} ngx_http_aggregate_graphql_binder_t;


static char *ngx_http_aggregate_graphql_read_mask(ngx_conf_t *cf,
    ngx_http_aggregate_graphql_conf_t *gcf, ngx_str_t *mask);
static ngx_int_t ngx_http_aggregate_graphql_add_source(ngx_conf_t *cf,
    ngx_http_aggregate_graphql_conf_t *gcf, ngx_str_t *name);
static ngx_int_t ngx_http_aggregate_graphql_read_file(ngx_conf_t *cf,
    ngx_str_t *name, agg_str_t *text);
static char *ngx_http_aggregate_graphql_conf_errors(ngx_conf_t *cf,
    agg_gql_errors_t *errors, ngx_str_t *id);
static ngx_int_t ngx_http_aggregate_graphql_bound(ngx_conf_t *cf,
    ngx_http_aggregate_graphql_conf_t *gcf);
static ngx_int_t ngx_http_aggregate_graphql_field_shape(ngx_conf_t *cf,
    agg_gql_binding_t *binding, ngx_http_aggregate_graphql_field_t *field);
static ngx_int_t ngx_http_aggregate_graphql_field(ngx_conf_t *cf,
    agg_gql_binding_t *binding);
static ngx_int_t ngx_http_aggregate_graphql_variables(ngx_conf_t *cf,
    ngx_http_aggregate_graphql_conf_t *gcf, agg_gql_binding_t *binding);
static void ngx_http_aggregate_graphql_sense(ngx_conf_t *cf,
    ngx_http_aggregate_graphql_conf_t *gcf, agg_gql_binding_t *binding,
    agg_gql_rest_t *rest);
static void ngx_http_aggregate_graphql_warn(ngx_conf_t *cf,
    agg_gql_binding_t *binding, agg_gql_text_t *text, const char *what);
static ngx_int_t ngx_http_aggregate_graphql_asked(ngx_conf_t *cf,
    agg_gql_binding_t *binding, agg_gql_rest_t *rest);
static ngx_int_t ngx_http_aggregate_graphql_template(ngx_conf_t *cf,
    agg_gql_template_t *t, agg_gql_text_t *text);
static ngx_int_t ngx_http_aggregate_graphql_used(ngx_conf_t *cf,
    agg_str_t *name, agg_gql_text_t *text, size_t offset);
static int ngx_http_aggregate_graphql_index(void *ctx, const agg_str_t *name);
static ngx_uint_t ngx_http_aggregate_graphql_is_manifest(agg_str_t *text,
    agg_str_t *operations);
static char *ngx_http_aggregate_graphql_map(ngx_conf_t *cf,
    ngx_http_aggregate_graphql_conf_t *gcf, ngx_array_t *documents,
    agg_str_t *text);
static char *ngx_http_aggregate_graphql_index_documents(ngx_conf_t *cf,
    ngx_http_aggregate_graphql_conf_t *gcf, ngx_array_t *documents);
static char *ngx_http_aggregate_graphql_add_document(ngx_conf_t *cf,
    ngx_http_aggregate_graphql_conf_t *gcf, ngx_array_t *documents,
    agg_str_t *id, agg_str_t *text);
static char *ngx_http_aggregate_graphql_check_document(ngx_conf_t *cf,
    ngx_http_aggregate_graphql_conf_t *gcf, ngx_str_t *id, ngx_str_t *text);
static char *ngx_http_aggregate_graphql_manifest(ngx_conf_t *cf,
    ngx_http_aggregate_graphql_conf_t *gcf, ngx_array_t *documents,
    agg_str_t *operations);
static ngx_int_t ngx_http_aggregate_graphql_decode(ngx_conf_t *cf,
    agg_str_t *json, ngx_str_t *text);


static ngx_str_t  ngx_http_aggregate_graphql_method_names[] = {
    ngx_string("GET"),
    ngx_string("POST"),
    ngx_string("PUT"),
    ngx_string("PATCH"),
    ngx_string("DELETE")
};


static ngx_uint_t  ngx_http_aggregate_graphql_method_bits[] = {
    NGX_HTTP_GET, NGX_HTTP_POST, NGX_HTTP_PUT, NGX_HTTP_PATCH, NGX_HTTP_DELETE
};


char *
ngx_http_aggregate_graphql_schema(ngx_conf_t *cf,
    ngx_http_aggregate_graphql_conf_t *gcf, ngx_array_t *files)
{
    char              *rv;
    agg_rc_e           rc;
    agg_mem_t         *mem;
    ngx_str_t         *file;
    ngx_uint_t         i;
    agg_gql_errors_t   errors;

    mem = ngx_http_aggregate_mem(cf->pool);

    if (mem == NULL
        || ngx_array_init(&gcf->sources, cf->pool, 4,
                          sizeof(agg_gql_source_t))
           != NGX_OK)
    {
        return NGX_CONF_ERROR;
    }

    file = files->elts;

    for (i = 0; i < files->nelts; i++) {
        rv = ngx_http_aggregate_graphql_read_mask(cf, gcf, &file[i]);

        if (rv != NGX_CONF_OK) {
            return rv;
        }
    }

    if (gcf->sources.nelts == 0) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "no file matches \"%V\" in \"aggregate_graphql\"",
                           &file[0]);
        return NGX_CONF_ERROR;
    }

    agg_gql_errors_init(&errors, mem);
    errors.suggest = 1;

    rc = agg_gql_schema_build(&gcf->schema, mem, gcf->sources.elts,
                              gcf->sources.nelts, &errors);

    if (rc == AGG_OK) {
        rc = agg_gql_bind(&gcf->schema, mem, ngx_http_aggregate_graphql_index,
                          cf, &gcf->reaches, &errors);
    }

    if (rc == AGG_INVALID) {
        return ngx_http_aggregate_graphql_conf_errors(cf, &errors, NULL);
    }

    if (rc != AGG_OK
        || ngx_http_aggregate_graphql_bound(cf, gcf) != NGX_OK)
    {
        return NGX_CONF_ERROR;
    }

    return NGX_CONF_OK;
}


static char *
ngx_http_aggregate_graphql_read_mask(ngx_conf_t *cf,
    ngx_http_aggregate_graphql_conf_t *gcf, ngx_str_t *mask)
{
    ngx_int_t   rc;
    ngx_str_t   pattern, name, file;
    ngx_glob_t  gl;

    pattern = *mask;

    if (ngx_conf_full_name(cf->cycle, &pattern, 1) != NGX_OK) {
        return NGX_CONF_ERROR;
    }

    if (strpbrk((char *) pattern.data, "*?[") == NULL) {
        return (ngx_http_aggregate_graphql_add_source(cf, gcf, &pattern)
                == NGX_OK)
               ? NGX_CONF_OK : NGX_CONF_ERROR;
    }

    ngx_memzero(&gl, sizeof(ngx_glob_t));

    gl.pattern = pattern.data;
    gl.log = cf->log;
    gl.test = 1;

    if (ngx_open_glob(&gl) != NGX_OK) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, ngx_errno,
                           ngx_open_glob_n " \"%V\" failed", &pattern);
        return NGX_CONF_ERROR;
    }

    for ( ;; ) {

        if (ngx_read_glob(&gl, &name) != NGX_OK) {
            break;
        }

        file.len = name.len;
        file.data = ngx_pnalloc(cf->pool, name.len + 1);

        if (file.data == NULL) {
            ngx_close_glob(&gl);
            return NGX_CONF_ERROR;
        }

        ngx_cpystrn(file.data, name.data, name.len + 1);

        rc = ngx_http_aggregate_graphql_add_source(cf, gcf, &file);

        if (rc != NGX_OK) {
            ngx_close_glob(&gl);
            return NGX_CONF_ERROR;
        }
    }

    ngx_close_glob(&gl);

    return NGX_CONF_OK;
}


static ngx_int_t
ngx_http_aggregate_graphql_add_source(ngx_conf_t *cf,
    ngx_http_aggregate_graphql_conf_t *gcf, ngx_str_t *name)
{
    agg_gql_source_t  *source;

    source = ngx_array_push(&gcf->sources);
    if (source == NULL) {
        return NGX_ERROR;
    }

    source->name.data = name->data;
    source->name.len = name->len;

    return ngx_http_aggregate_graphql_read_file(cf, name, &source->text);
}


static ngx_int_t
ngx_http_aggregate_graphql_read_file(ngx_conf_t *cf, ngx_str_t *name,
    agg_str_t *text)
{
    off_t            size;
    ssize_t          n;
    ngx_file_t       file;
    ngx_file_info_t  info;

    ngx_memzero(&file, sizeof(ngx_file_t));

    file.name = *name;
    file.log = cf->log;

    file.fd = ngx_open_file(name->data, NGX_FILE_RDONLY, NGX_FILE_OPEN, 0);

    if (file.fd == NGX_INVALID_FILE) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, ngx_errno,
                           ngx_open_file_n " \"%V\" failed", name);
        return NGX_ERROR;
    }

    if (ngx_fd_info(file.fd, &info) == NGX_FILE_ERROR) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, ngx_errno,
                           ngx_fd_info_n " \"%V\" failed", name);
        goto failed;
    }

    size = ngx_file_size(&info);

    if (!ngx_is_file(&info) || size > NGX_HTTP_AGGREGATE_GRAPHQL_MAX_FILE) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"%V\" is not a file, or is larger than %d bytes",
                           name,
                           NGX_HTTP_AGGREGATE_GRAPHQL_MAX_FILE);
        goto failed;
    }

    text->len = (size_t) size;
    text->data = ngx_pnalloc(cf->pool, text->len + 1);
    if (text->data == NULL) {
        goto failed;
    }

    n = ngx_read_file(&file, text->data, text->len, 0);

    if (n == NGX_ERROR || (size_t) n != text->len) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, ngx_errno,
                           ngx_read_file_n " \"%V\" failed", name);
        goto failed;
    }

    text->data[text->len] = '\0';

    if (ngx_close_file(file.fd) == NGX_FILE_ERROR) {
        ngx_conf_log_error(NGX_LOG_ALERT, cf, ngx_errno,
                           ngx_close_file_n " \"%V\" failed", name);
    }

    return NGX_OK;

failed:

    (void) ngx_close_file(file.fd);

    return NGX_ERROR;
}


/* logs errors with file, line and column; "id" is that of a trusted document */

static char *
ngx_http_aggregate_graphql_conf_errors(ngx_conf_t *cf,
    agg_gql_errors_t *errors, ngx_str_t *id)
{
    unsigned          i;
    ngx_str_t         message, file;
    agg_gql_error_t  *error;

    for (i = 0; i < errors->n; i++) {
        error = &errors->list[i];

        message.data = error->message.data;
        message.len = error->message.len;

        if (id) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "document \"%V\": %V at %uD:%uD", id, &message,
                               error->nplaces ? error->places[0].line : 0,
                               error->nplaces ? error->places[0].column : 0);
            continue;
        }

        if (error->source == NULL || error->nplaces == 0) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0, "%V", &message);
            continue;
        }

        file.data = error->source->name.data;
        file.len = error->source->name.len;

        ngx_log_error(NGX_LOG_EMERG, cf->log, 0, "%V in %V:%uD:%uD", &message,
                      &file, error->places[0].line, error->places[0].column);
    }

    return NGX_CONF_ERROR;
}


/* prepares the bindings of the schema for the subrequest engine */

static ngx_int_t
ngx_http_aggregate_graphql_bound(ngx_conf_t *cf,
    ngx_http_aggregate_graphql_conf_t *gcf)
{
    ngx_uint_t          i, k;
    agg_gql_type_t     *type;
    agg_gql_binding_t  *binding;

    for (i = 0; i < gcf->schema.ntypes; i++) {
        type = gcf->schema.types[i];

        binding = type->data;

        if (binding
            && ngx_http_aggregate_graphql_used(cf, &type->allow.text,
                                               &type->allow, 0)
               != NGX_OK)
        {
            return NGX_ERROR;
        }

        for (k = 0; k < type->nfields; k++) {

            binding = type->fields[k].data;

            if (binding == NULL) {
                continue;
            }

            if (type->fields[k].allow.text.data
                && ngx_http_aggregate_graphql_used(cf,
                                               &type->fields[k].allow.text,
                                               &type->fields[k].allow, 0)
                   != NGX_OK)
            {
                return NGX_ERROR;
            }

            if (binding->rest
                && (ngx_http_aggregate_graphql_variables(cf, gcf, binding)
                    != NGX_OK
                    || ngx_http_aggregate_graphql_field(cf, binding)
                       != NGX_OK))
            {
                return NGX_ERROR;
            }
        }
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_aggregate_graphql_field(ngx_conf_t *cf, agg_gql_binding_t *binding)
{
    ngx_str_t                           *name;
    ngx_uint_t                           i;
    ngx_http_aggregate_range_t          *range;
    ngx_http_aggregate_graphql_field_t  *field;

    field = ngx_pcalloc(cf->pool, sizeof(ngx_http_aggregate_graphql_field_t));
    if (field == NULL) {
        return NGX_ERROR;
    }

    binding->data = field;

    field->name.data = binding->coordinate.data;
    field->name.len = binding->coordinate.len;

    field->method =
                 ngx_http_aggregate_graphql_method_bits[binding->rest->method];
    field->method_name =
                ngx_http_aggregate_graphql_method_names[binding->rest->method];

    if (binding->nheaders) {
        field->headers = ngx_pcalloc(cf->pool,
                                   binding->nheaders
                                   * sizeof(ngx_http_aggregate_header_name_t));
        if (field->headers == NULL) {
            return NGX_ERROR;
        }
    }

    for (i = 0; i < binding->nheaders; i++) {
        field->headers[i].name.data = binding->headers[i].name.data;
        field->headers[i].name.len = binding->headers[i].name.len;
        field->headers[i].lowcase_name.data =
                                             binding->headers[i].lowcase.data;
        field->headers[i].lowcase_name.len = binding->headers[i].lowcase.len;
    }

    if (binding->naccept) {
        field->accept = ngx_array_create(cf->pool, binding->naccept,
                                         sizeof(ngx_http_aggregate_range_t));
        if (field->accept == NULL) {
            return NGX_ERROR;
        }
    }

    for (i = 0; i < binding->naccept; i++) {
        range = ngx_array_push(field->accept);

        range->least = binding->accept[i].least;
        range->most = binding->accept[i].most;
    }

    if (binding->npass_headers) {
        field->pass_headers = ngx_array_create(cf->pool,
                                               binding->npass_headers,
                                               sizeof(ngx_str_t));
        if (field->pass_headers == NULL) {
            return NGX_ERROR;
        }
    }

    for (i = 0; i < binding->npass_headers; i++) {
        name = ngx_array_push(field->pass_headers);

        name->data = binding->pass_headers[i].data;
        name->len = binding->pass_headers[i].len;
    }

    return ngx_http_aggregate_graphql_field_shape(cf, binding, field);
}


/* a shape cuts the result to the selected members as it arrives */

static ngx_int_t
ngx_http_aggregate_graphql_field_shape(ngx_conf_t *cf,
    agg_gql_binding_t *binding, ngx_http_aggregate_graphql_field_t *field)
{
    agg_error_t                  err;
    ngx_http_aggregate_shape_t  *sh;

    if (binding->string) {
        return NGX_OK;
    }

    field->patterns = ngx_http_aggregate_patterns_create(cf);
    if (field->patterns == NULL) {
        return NGX_ERROR;
    }

    if ((binding->select == NULL && binding->limit == 0)
        || binding->limit_variable != AGG_GQL_NO_VARIABLE)
    {
        return NGX_OK;
    }

    sh = ngx_http_aggregate_shape_create(cf);
    if (sh == NULL) {
        return NGX_ERROR;
    }

    if ((binding->select
         && agg_shape_target(sh->shape, &binding->rest->select.text, &err)
            != AGG_OK)
        || (binding->limit
            && agg_shape_limit(sh->shape, NULL, binding->limit, &err)
               != AGG_OK)
        || ngx_http_aggregate_shape_complete(cf, sh, 0) != NGX_OK)
    {
        return NGX_ERROR;
    }

    field->shape = sh;

    return NGX_OK;
}


/* checks the variables of a field, for errors with the right place */

static ngx_int_t
ngx_http_aggregate_graphql_variables(ngx_conf_t *cf,
    ngx_http_aggregate_graphql_conf_t *gcf, agg_gql_binding_t *binding)
{
    ngx_uint_t       i;
    agg_gql_rest_t  *rest;

    rest = (agg_gql_rest_t *) binding->rest;

    if (ngx_http_aggregate_graphql_template(cf, &binding->uri, &rest->uri)
        != NGX_OK
        || ngx_http_aggregate_graphql_template(cf, &binding->body,
                                               &rest->body)
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    for (i = 0; i < binding->nheaders; i++) {
        if (ngx_http_aggregate_graphql_template(cf, &binding->headers[i].value,
                                                &rest->headers[i].value)
            != NGX_OK)
        {
            return NGX_ERROR;
        }
    }

    if (binding->field) {
        ngx_http_aggregate_graphql_sense(cf, gcf, binding, rest);
    }

    return ngx_http_aggregate_graphql_asked(cf, binding, rest);
}


/* warns about arguments without effect, or with an unexpected one */

static void
ngx_http_aggregate_graphql_sense(ngx_conf_t *cf,
    ngx_http_aggregate_graphql_conf_t *gcf, agg_gql_binding_t *binding,
    agg_gql_rest_t *rest)
{
    size_t      i;
    agg_str_t  *time;

    if (binding->retry && rest->method != AGG_GQL_GET) {
        ngx_http_aggregate_graphql_warn(cf, binding, &rest->retry,
                                        "\"retry\" has no effect, only a GET "
                                        "is sent again");
    }

    if (binding->timeout > gcf->limits.timeout) {
        ngx_http_aggregate_graphql_warn(cf, binding, &rest->timeout,
                                        "\"timeout\" exceeds that of the whole "
                                        "\"aggregate_graphql\"");
    }

    time = &rest->timeout.text;

    for (i = 0; i < time->len; i++) {
        if (time->data[i] < '0' || time->data[i] > '9') {
            return;
        }
    }

    if (i) {
        ngx_http_aggregate_graphql_warn(cf, binding, &rest->timeout,
                                        "\"timeout\" without a unit is in "
                                        "seconds, write \"s\", or \"ms\" for "
                                        "milliseconds");
    }
}


static void
ngx_http_aggregate_graphql_warn(ngx_conf_t *cf, agg_gql_binding_t *binding,
    agg_gql_text_t *text, const char *what)
{
    size_t      i;
    ngx_str_t   file;
    ngx_uint_t  line;

    line = 1;

    for (i = 0; i < text->loc.offset; i++) {
        line += (text->loc.source->text.data[i] == '\n');
    }

    file.data = text->loc.source->name.data;
    file.len = text->loc.source->name.len;

    ngx_log_error(NGX_LOG_WARN, cf->log, 0, "%s: field \"%*s\" in %V:%ui",
                  what, binding->coordinate.len, binding->coordinate.data,
                  &file, line);
}


/* records the field's URI for warnings about the location that serves it */

static ngx_int_t
ngx_http_aggregate_graphql_asked(ngx_conf_t *cf, agg_gql_binding_t *binding,
    agg_gql_rest_t *rest)
{
    agg_piece_t                 *next;
    agg_gql_piece_t             *pieces;
    ngx_http_aggregate_asked_t   asked;

    pieces = binding->uri.pieces;

    if (binding->field == NULL || rest->uri.loc.source == NULL
        || binding->uri.npieces == 0
        || pieces[0].kind != AGG_GQL_PIECE_TEXT)
    {
        return NGX_OK;
    }

    ngx_memzero(&asked, sizeof(ngx_http_aggregate_asked_t));

    asked.kind = "field";
    asked.name.data = binding->field->name.data;
    asked.name.len = binding->field->name.len;
    asked.file.data = rest->uri.loc.source->name.data;
    asked.file.len = rest->uri.loc.source->name.len;
    asked.text.data = rest->uri.loc.source->text.data;
    asked.text.len = rest->uri.loc.offset;
    asked.conditional = 1;

    asked.path.data = pieces[0].piece.text.data;
    asked.path.len = pieces[0].piece.text.len;

    next = (binding->uri.npieces > 1) ? &pieces[1].piece : NULL;

    asked.whole = (next == NULL || next->args || next->mark);

    return ngx_http_aggregate_warn_asked(cf, &asked);
}


static ngx_int_t
ngx_http_aggregate_graphql_template(ngx_conf_t *cf, agg_gql_template_t *t,
    agg_gql_text_t *text)
{
    size_t            i;
    agg_gql_piece_t  *piece;

    for (i = 0; i < t->npieces; i++) {
        piece = &t->pieces[i];

        if (piece->kind == AGG_GQL_PIECE_VARIABLE
            && ngx_http_aggregate_graphql_used(cf, &piece->piece.text, text,
                                               piece->piece.offset)
               != NGX_OK)
        {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


/* the check of variables takes the place from the file being parsed */

static ngx_int_t
ngx_http_aggregate_graphql_used(ngx_conf_t *cf, agg_str_t *name,
    agg_gql_text_t *text, size_t offset)
{
    ngx_int_t         rc;
    ngx_str_t         variable;
    ngx_conf_file_t  *saved, file;
    agg_gql_place_t   place;

    variable.data = name->data;
    variable.len = name->len;

    if (variable.len && variable.data[0] == '$') {
        variable.data++;
        variable.len--;
    }

    if (text->loc.source == NULL) {
        return (ngx_http_aggregate_variable_used(cf, &variable) == NGX_ERROR)
               ? NGX_ERROR : NGX_OK;
    }

    agg_gql_place(&place, text->loc.source, text->loc.offset);

    file = *cf->conf_file;
    file.line = place.column;

    file.file.name.data = ngx_pnalloc(cf->pool, text->loc.source->name.len
                                      + NGX_INT32_LEN + 2);
    if (file.file.name.data == NULL) {
        return NGX_ERROR;
    }

    file.file.name.len = ngx_sprintf(file.file.name.data, "%*s:%uD%Z",
                                     text->loc.source->name.len,
                                     text->loc.source->name.data, place.line)
                         - file.file.name.data - 1;

    saved = cf->conf_file;
    cf->conf_file = &file;

    rc = ngx_http_aggregate_variable_used(cf, &variable);

    cf->conf_file = saved;

    return (rc == NGX_ERROR) ? NGX_ERROR : NGX_OK;
}


static int
ngx_http_aggregate_graphql_index(void *ctx, const agg_str_t *name)
{
    ngx_conf_t *cf = ctx;

    ngx_int_t  index;
    ngx_str_t  variable;

    variable.data = name->data;
    variable.len = name->len;

    index = ngx_http_get_variable_index(cf, &variable);

    return (index == NGX_ERROR) ? AGG_GQL_VARIABLE_ERROR : (int) index;
}


char *
ngx_http_aggregate_graphql_documents(ngx_conf_t *cf,
    ngx_http_aggregate_graphql_conf_t *gcf)
{
    char         *rv;
    ngx_str_t     name;
    agg_str_t     text, operations;
    ngx_array_t   documents;

    if (gcf->documents_file.data == NULL) {
        return NGX_CONF_OK;
    }

    name = gcf->documents_file;

    if (ngx_conf_full_name(cf->cycle, &name, 1) != NGX_OK
        || ngx_http_aggregate_graphql_read_file(cf, &name, &text) != NGX_OK
        || ngx_array_init(&documents, cf->pool, 16,
                          sizeof(ngx_http_aggregate_graphql_document_t))
           != NGX_OK)
    {
        return NGX_CONF_ERROR;
    }

    agg_json_trim(&text);

    if (agg_json_validate(text.data, text.len, NULL) != AGG_OK
        || agg_json_kind(&text) != AGG_OBJECT)
    {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"%V\" in \"documents\" must be a JSON object",
                           &name);
        return NGX_CONF_ERROR;
    }

    rv = ngx_http_aggregate_graphql_is_manifest(&text, &operations)
         ? ngx_http_aggregate_graphql_manifest(cf, gcf, &documents,
                                               &operations)
         : ngx_http_aggregate_graphql_map(cf, gcf, &documents, &text);

    if (rv != NGX_CONF_OK) {
        return rv;
    }

    return ngx_http_aggregate_graphql_index_documents(cf, gcf, &documents);
}


/* a manifest has a format, and an array of documents */

static ngx_uint_t
ngx_http_aggregate_graphql_is_manifest(agg_str_t *text, agg_str_t *operations)
{
    agg_iter_t  it;
    ngx_uint_t  found;

    static const agg_str_t  format = { 6, (u_char *) "format" };
    static const agg_str_t  member = { 10, (u_char *) "operations" };

    operations->data = NULL;
    found = 0;

    agg_iter_init(&it, text);

    while (agg_iter_next(&it)) {

        if (agg_json_name_equal(&it.name, &format)) {
            found = 1;

        } else if (agg_json_name_equal(&it.name, &member)
                   && agg_json_kind(&it.value) == AGG_ARRAY)
        {
            *operations = it.value;
        }
    }

    return found && operations->data;
}


/* reads an object that maps hashes to documents */

static char *
ngx_http_aggregate_graphql_map(ngx_conf_t *cf,
    ngx_http_aggregate_graphql_conf_t *gcf, ngx_array_t *documents,
    agg_str_t *text)
{
    char        *rv;
    agg_iter_t   it;

    agg_iter_init(&it, text);

    while (agg_iter_next(&it)) {

        /* the quoted name becomes a value */

        it.name.data--;
        it.name.len += 2;

        rv = ngx_http_aggregate_graphql_add_document(cf, gcf, documents,
                                                     &it.name, &it.value);
        if (rv != NGX_CONF_OK) {
            return rv;
        }
    }

    return NGX_CONF_OK;
}


/* makes a hash table of the documents, at most half full */

static char *
ngx_http_aggregate_graphql_index_documents(ngx_conf_t *cf,
    ngx_http_aggregate_graphql_conf_t *gcf, ngx_array_t *documents)
{
    uint32_t                                i, k, n;
    ngx_http_aggregate_graphql_document_t  *document;

    for (n = 4; n < 2 * documents->nelts + 1; n *= 2) { /* void */ }

    gcf->document_slots = ngx_palloc(cf->pool, n * sizeof(uint32_t));
    if (gcf->document_slots == NULL) {
        return NGX_CONF_ERROR;
    }

    ngx_memset(gcf->document_slots, 0xff, n * sizeof(uint32_t));

    gcf->document_mask = n - 1;
    gcf->documents = documents->elts;
    gcf->ndocuments = documents->nelts;

    document = documents->elts;

    for (i = 0; i < documents->nelts; i++) {

        for (k = document[i].hash & gcf->document_mask;
             gcf->document_slots[k] != NGX_MAX_UINT32_VALUE;
             k = (k + 1) & gcf->document_mask)
        {
            /* void */
        }

        gcf->document_slots[k] = i;
    }

    return NGX_CONF_OK;
}


/* "apollo-persisted-query-manifest" */

static char *
ngx_http_aggregate_graphql_manifest(ngx_conf_t *cf,
    ngx_http_aggregate_graphql_conf_t *gcf, ngx_array_t *documents,
    agg_str_t *operations)
{
    char        *rv;
    agg_str_t    id, body;
    agg_iter_t   it, member;

    static const agg_str_t  id_name = { 2, (u_char *) "id" };
    static const agg_str_t  body_name = { 4, (u_char *) "body" };

    agg_iter_init(&it, operations);

    while (agg_iter_next(&it)) {

        ngx_memzero(&id, sizeof(agg_str_t));
        ngx_memzero(&body, sizeof(agg_str_t));

        agg_iter_init(&member, &it.value);

        while (member.kind == AGG_OBJECT && agg_iter_next(&member)) {

            if (agg_json_name_equal(&member.name, &id_name)) {
                id = member.value;

            } else if (agg_json_name_equal(&member.name, &body_name)) {
                body = member.value;
            }
        }

        rv = ngx_http_aggregate_graphql_add_document(cf, gcf, documents, &id,
                                                     &body);
        if (rv != NGX_CONF_OK) {
            return rv;
        }
    }

    return NGX_CONF_OK;
}


static char *
ngx_http_aggregate_graphql_add_document(ngx_conf_t *cf,
    ngx_http_aggregate_graphql_conf_t *gcf, ngx_array_t *documents,
    agg_str_t *id, agg_str_t *text)
{
    ngx_http_aggregate_graphql_document_t  *document;

    if (agg_json_kind(id) != AGG_STRING || agg_json_kind(text) != AGG_STRING) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"%V\" in \"documents\" must be "
                           "{\"ID\": \"document\"}, or a manifest of "
                           "operations with \"id\" and \"body\"",
                           &gcf->documents_file);
        return NGX_CONF_ERROR;
    }

    document = ngx_array_push(documents);

    if (document == NULL
        || ngx_http_aggregate_graphql_decode(cf, id, &document->id) != NGX_OK
        || ngx_http_aggregate_graphql_decode(cf, text, &document->text)
           != NGX_OK)
    {
        return NGX_CONF_ERROR;
    }

    if (document->id.len > 7
        && ngx_strncmp(document->id.data, "sha256:", 7) == 0)
    {
        document->id.data += 7;
        document->id.len -= 7;
    }

    document->hash = ngx_crc32_long(document->id.data, document->id.len);

    return ngx_http_aggregate_graphql_check_document(cf, gcf, &document->id,
                                                     &document->text);
}


static char *
ngx_http_aggregate_graphql_check_document(ngx_conf_t *cf,
    ngx_http_aggregate_graphql_conf_t *gcf, ngx_str_t *id, ngx_str_t *text)
{
    char              *rv;
    agg_rc_e           rc;
    agg_mem_t         *mem;
    ngx_pool_t        *pool;
    agg_gql_doc_t      doc;
    agg_gql_errors_t   errors;
    agg_gql_limits_t   limits;
    agg_gql_source_t   source;

    pool = ngx_create_pool(4096, cf->log);
    if (pool == NULL) {
        return NGX_CONF_ERROR;
    }

    rv = NGX_CONF_ERROR;

    mem = ngx_http_aggregate_mem(pool);
    if (mem == NULL) {
        goto done;
    }

    ngx_memzero(&source, sizeof(agg_gql_source_t));

    source.text.data = text->data;
    source.text.len = text->len;

    limits.max_tokens = (uint32_t) gcf->max_tokens;
    limits.max_depth = (uint32_t) gcf->max_depth;
    limits.max_aliases = (uint32_t) gcf->max_aliases;
    limits.max_root_fields = (uint32_t) gcf->max_root_fields;
    limits.max_selections = (uint32_t) gcf->max_selections;

    agg_gql_errors_init(&errors, mem);
    errors.suggest = 1;

    rc = agg_gql_parse(&doc, mem, &source, limits.max_tokens, &errors);

    if (rc == AGG_OK) {
        rc = agg_gql_validate(&gcf->schema, &doc, &limits, 1, &errors);
    }

    if (rc == AGG_INVALID) {
        rv = ngx_http_aggregate_graphql_conf_errors(cf, &errors, id);

    } else if (rc == AGG_OK) {
        rv = NGX_CONF_OK;
    }

done:

    ngx_destroy_pool(pool);

    return rv;
}


static ngx_int_t
ngx_http_aggregate_graphql_decode(ngx_conf_t *cf, agg_str_t *json,
    ngx_str_t *text)
{
    agg_str_t  raw;

    raw.data = json->data + 1;
    raw.len = json->len - 2;

    text->data = ngx_pnalloc(cf->pool, raw.len + 1);
    if (text->data == NULL) {
        return NGX_ERROR;
    }

    text->len = agg_json_unescape_any(text->data, &raw);

    return NGX_OK;
}
