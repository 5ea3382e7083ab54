
/* see ngx_http_gw_written.h */

#include "ngx_http_gw_written.h"
#include "ngx_http_gw_variable.h"


#define NGX_HTTP_GW_LEVELS                                                    \
    (NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF)


/*
 * Enough for all, and so large that it is mapped: what is gone once the
 * configuration is read leaves no gap among the memory of requests
 */

#define NGX_HTTP_GW_RECORD_SIZE  (256 * 1024)


typedef struct {
    ngx_module_t   *module;
    ngx_command_t  *commands;
    ngx_command_t  *copy;
    ngx_uint_t      n;
} ngx_http_gw_table_t;


typedef struct {
    ngx_str_t       name;
    ngx_str_t       file;
    ngx_uint_t      line;
} ngx_http_gw_used_t;


typedef struct {
    ngx_pool_t     *pool;
    ngx_array_t     tables;      /* ngx_http_gw_table_t */
    ngx_array_t     written;     /* ngx_http_gw_written_t */
    ngx_array_t     used;        /* ngx_http_gw_used_t: variables */
} ngx_http_gw_record_t;


static ngx_int_t ngx_http_gw_record_module(ngx_conf_t *cf,
    ngx_http_gw_record_t *record, ngx_module_t *module);
static void ngx_http_gw_restore(void *data);
static char *ngx_http_gw_set(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
static ngx_int_t ngx_http_gw_use(ngx_conf_t *cf,
    ngx_http_gw_record_t *record, ngx_command_t *cmd);
static ngx_uint_t ngx_http_gw_is_indexed(ngx_http_core_main_conf_t *cmcf,
    ngx_str_t *name);
static ngx_command_t *ngx_http_gw_command(ngx_http_gw_record_t *record,
    ngx_command_t *cmd);
static ngx_uint_t ngx_http_gw_access_kind(ngx_str_t *name);
static ngx_uint_t ngx_http_gw_is_word(ngx_str_t *text, const char *word);
static ngx_uint_t ngx_http_gw_is_in(ngx_str_t *name, const char **names);
static ngx_uint_t ngx_http_gw_is_ours(ngx_str_t *name);
static ngx_uint_t ngx_http_gw_is_recorded(ngx_str_t *name);
static int ngx_libc_cdecl ngx_http_gw_compare(const void *one,
    const void *two);
static ngx_http_gw_level_t *ngx_http_gw_add(ngx_conf_t *cf,
    ngx_array_t *levels, void **conf, ngx_http_gw_level_t *parent);
static ngx_int_t ngx_http_gw_add_locations(ngx_conf_t *cf,
    ngx_array_t *levels, ngx_http_gw_level_t *parent);
static ngx_int_t ngx_http_gw_add_tree(ngx_conf_t *cf, ngx_array_t *levels,
    ngx_http_location_tree_node_t *node, ngx_http_gw_level_t *parent);
static ngx_int_t ngx_http_gw_add_location(ngx_conf_t *cf, ngx_array_t *levels,
    ngx_http_gw_location_t *location, ngx_http_gw_level_t *parent);


static const char  *ngx_http_gw_access[] = {
    "allow", "deny", "auth_basic", "auth_request", "auth_jwt",
    "auth_jwt_require", "auth_digest", "auth_pam", "auth_ldap", "auth_gss",
    "access_by_lua", "access_by_lua_block", "access_by_lua_file", "js_access",
    NULL
};


/* these also restrict access, in other phases */

static const char  *ngx_http_gw_other_access[] = {
    "if", "limit_except", "return", "ssl_verify_client", NULL
};


static const char  *ngx_http_gw_additions[] = {
    "add_before_body", "add_after_body", NULL
};


static const char  *ngx_http_gw_other[] = {
    "rewrite", "try_files", "index", "error_page", NULL
};


static const char  *ngx_http_gw_prefixes[] = {
    "aggregate", "breaker", NULL
};


static ngx_http_gw_record_t  *ngx_http_gw_recording;


ngx_int_t
ngx_http_gw_record(ngx_conf_t *cf)
{
    ngx_uint_t             i;
    ngx_module_t         **modules;
    ngx_pool_cleanup_t    *cln;
    ngx_http_gw_record_t  *record;

    cln = ngx_pool_cleanup_add(cf->temp_pool, sizeof(ngx_http_gw_record_t));
    if (cln == NULL) {
        return NGX_ERROR;
    }

    record = cln->data;
    ngx_memzero(record, sizeof(ngx_http_gw_record_t));

    record->pool = ngx_create_pool(NGX_HTTP_GW_RECORD_SIZE, cf->log);
    if (record->pool == NULL) {
        return NGX_ERROR;
    }

    cln->handler = ngx_http_gw_restore;

    if (ngx_array_init(&record->tables, record->pool, 64,
                       sizeof(ngx_http_gw_table_t))
        != NGX_OK
        || ngx_array_init(&record->written, record->pool, 64,
                          sizeof(ngx_http_gw_written_t))
           != NGX_OK
        || ngx_array_init(&record->used, record->pool, 16,
                          sizeof(ngx_http_gw_used_t))
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    ngx_http_gw_recording = record;

    modules = cf->cycle->modules;

    for (i = 0; modules[i]; i++) {

        if (modules[i]->type == NGX_HTTP_MODULE && modules[i]->commands
            && ngx_http_gw_record_module(cf, record, modules[i]) != NGX_OK)
        {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_gw_record_module(ngx_conf_t *cf, ngx_http_gw_record_t *record,
    ngx_module_t *module)
{
    ngx_uint_t            i, n;
    ngx_command_t        *copy;
    ngx_http_gw_table_t  *table;

    for (n = 0; module->commands[n].name.len; n++) { /* void */ }

    copy = ngx_palloc(record->pool, (n + 1) * sizeof(ngx_command_t));
    table = ngx_array_push(&record->tables);

    if (copy == NULL || table == NULL) {
        return NGX_ERROR;
    }

    ngx_memcpy(copy, module->commands, (n + 1) * sizeof(ngx_command_t));

    for (i = 0; i < n; i++) {
        if (copy[i].set && (copy[i].type & NGX_HTTP_GW_LEVELS)) {
            copy[i].set = ngx_http_gw_set;
        }
    }

    table->module = module;
    table->commands = module->commands;
    table->copy = copy;
    table->n = n;

    module->commands = copy;

    return NGX_OK;
}


static void
ngx_http_gw_restore(void *data)
{
    ngx_http_gw_record_t *record = data;

    ngx_uint_t            i;
    ngx_http_gw_table_t  *table;

    table = record->tables.elts;

    for (i = 0; i < record->tables.nelts; i++) {
        table[i].module->commands = table[i].commands;
    }

    ngx_http_gw_recording = NULL;

    ngx_destroy_pool(record->pool);
}


static char *
ngx_http_gw_set(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    char                      *rv;
    ngx_str_t                 *value;
    ngx_uint_t                 i, recorded;
    ngx_http_handler_pt        handler;
    ngx_http_conf_ctx_t       *ctx;
    ngx_http_gw_record_t      *record;
    ngx_http_gw_written_t      entry, *written;
    ngx_http_core_loc_conf_t  *clcf;

    ctx = cf->ctx;
    value = cf->args->elts;
    record = ngx_http_gw_recording;

    ngx_memzero(&entry, sizeof(ngx_http_gw_written_t));

    entry.conf = ctx->loc_conf;
    entry.name = cmd->name;
    entry.file = cf->conf_file->file.name;
    entry.line = cf->conf_file->line;

    if (cf->args->nelts > 1) {
        entry.value = value[1];
    }

    if (ngx_http_gw_use(cf, record, cmd) != NGX_OK) {
        return NGX_CONF_ERROR;
    }

    recorded = ngx_http_gw_is_recorded(&cmd->name);
    i = record->written.nelts;

    if (recorded) {
        written = ngx_array_push(&record->written);
        if (written == NULL) {
            return NGX_CONF_ERROR;
        }

        entry.number = i;
        *written = entry;
    }

    clcf = ctx->loc_conf[ngx_http_core_module.ctx_index];
    handler = clcf->handler;

    cmd = ngx_http_gw_command(record, cmd);

    rv = cmd->set(cf, cmd, conf);

    if (rv != NGX_CONF_OK || clcf->handler == handler) {
        return rv;
    }

    if (!recorded) {
        i = record->written.nelts;

        written = ngx_array_push(&record->written);
        if (written == NULL) {
            return NGX_CONF_ERROR;
        }

        entry.number = i;
        *written = entry;
    }

    written = record->written.elts;
    written[i].handler = 1;

    return NGX_CONF_OK;
}


/* finds the variables in the arguments of one of our directives */

static ngx_int_t
ngx_http_gw_use(ngx_conf_t *cf, ngx_http_gw_record_t *record,
    ngx_command_t *cmd)
{
    ngx_str_t           *value, rest, name;
    ngx_uint_t           i;
    ngx_http_gw_used_t  *used;

    if (!ngx_http_gw_is_ours(&cmd->name)) {
        return NGX_OK;
    }

    value = cf->args->elts;

    for (i = 1; i < cf->args->nelts; i++) {
        rest = value[i];

        while (ngx_http_gw_variable_next(&rest, &name)) {

            used = ngx_array_push(&record->used);
            if (used == NULL) {
                return NGX_ERROR;
            }

            used->name.len = name.len;
            used->name.data = ngx_pnalloc(record->pool, name.len);
            if (used->name.data == NULL) {
                return NGX_ERROR;
            }

            ngx_strlow(used->name.data, name.data, name.len);

            used->file = cf->conf_file->file.name;
            used->line = cf->conf_file->line;
        }
    }

    return NGX_OK;
}


ngx_int_t
ngx_http_gw_check_variables(ngx_conf_t *cf)
{
    ngx_uint_t                  i;
    ngx_http_gw_used_t         *used;
    ngx_http_core_main_conf_t  *cmcf;

    cmcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_core_module);

    used = ngx_http_gw_recording->used.elts;

    for (i = 0; i < ngx_http_gw_recording->used.nelts; i++) {

        if (!ngx_http_gw_variable_known(cf, &used[i].name)
            && ngx_http_gw_is_indexed(cmcf, &used[i].name))
        {
            ngx_http_gw_variable_unknown(cf, &used[i].name, &used[i].file,
                                         used[i].line);
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


/* nginx requires only these to be known: other arguments may be literals */

static ngx_uint_t
ngx_http_gw_is_indexed(ngx_http_core_main_conf_t *cmcf, ngx_str_t *name)
{
    ngx_uint_t            i;
    ngx_http_variable_t  *v;

    v = cmcf->variables.elts;

    for (i = 0; i < cmcf->variables.nelts; i++) {

        if (v[i].name.len == name->len
            && ngx_strncmp(v[i].name.data, name->data, name->len) == 0)
        {
            return 1;
        }
    }

    return 0;
}


/* the module's own command */

static ngx_command_t *
ngx_http_gw_command(ngx_http_gw_record_t *record, ngx_command_t *cmd)
{
    ngx_uint_t            i;
    ngx_http_gw_table_t  *table;

    table = record->tables.elts;

    for (i = 0; i < record->tables.nelts; i++) {
        if (cmd >= table[i].copy && cmd < table[i].copy + table[i].n) {
            break;
        }
    }

    return &table[i].commands[cmd - table[i].copy];
}


static ngx_uint_t
ngx_http_gw_is_in(ngx_str_t *name, const char **names)
{
    for ( /* void */ ; *names; names++) {

        if (ngx_http_gw_is_word(name, *names)) {
            return 1;
        }
    }

    return 0;
}


static ngx_uint_t
ngx_http_gw_is_ours(ngx_str_t *name)
{
    const char  **prefix;

    for (prefix = ngx_http_gw_prefixes; *prefix; prefix++) {
        if (ngx_strncmp(name->data, *prefix, ngx_strlen(*prefix)) == 0) {
            return 1;
        }
    }

    return 0;
}


static ngx_uint_t
ngx_http_gw_is_recorded(ngx_str_t *name)
{
    return ngx_http_gw_is_ours(name)
           || ngx_http_gw_is_in(name, ngx_http_gw_access)
           || ngx_http_gw_is_in(name, ngx_http_gw_other_access)
           || ngx_http_gw_is_in(name, ngx_http_gw_additions)
           || ngx_http_gw_is_in(name, ngx_http_gw_other);
}


ngx_array_t *
ngx_http_gw_levels(ngx_conf_t *cf)
{
    ngx_uint_t                    i;
    ngx_array_t                  *levels;
    ngx_http_conf_ctx_t          *ctx;
    ngx_http_gw_level_t          *top, *server;
    ngx_http_core_srv_conf_t    **cscfp;
    ngx_http_gw_location_t      **location;
    ngx_http_core_main_conf_t    *cmcf;

    ngx_qsort(ngx_http_gw_recording->written.elts,
              ngx_http_gw_recording->written.nelts,
              sizeof(ngx_http_gw_written_t), ngx_http_gw_compare);

    levels = ngx_array_create(cf->temp_pool, 64,
                              sizeof(ngx_http_gw_level_t *));
    if (levels == NULL) {
        return NULL;
    }

    ctx = cf->ctx;

    top = ngx_http_gw_add(cf, levels, ctx->loc_conf, NULL);
    if (top == NULL) {
        return NULL;
    }

    cmcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_core_module);
    cscfp = cmcf->servers.elts;

    for (i = 0; i < cmcf->servers.nelts; i++) {

        server = ngx_http_gw_add(cf, levels, cscfp[i]->ctx->loc_conf, top);

        if (server == NULL
            || ngx_http_gw_add_locations(cf, levels, server) != NGX_OK)
        {
            return NULL;
        }

        for (location = cscfp[i]->named_locations;
             location && *location;
             location++)
        {
            if (ngx_http_gw_add_location(cf, levels, *location, server)
                != NGX_OK)
            {
                return NULL;
            }
        }
    }

    return levels;
}


static int ngx_libc_cdecl
ngx_http_gw_compare(const void *one, const void *two)
{
    const ngx_http_gw_written_t *first = one;
    const ngx_http_gw_written_t *second = two;

    if (first->conf != second->conf) {
        return first->conf < second->conf ? -1 : 1;
    }

    return first->number < second->number ? -1 : 1;
}


static ngx_http_gw_level_t *
ngx_http_gw_add(ngx_conf_t *cf, ngx_array_t *levels, void **conf,
    ngx_http_gw_level_t *parent)
{
    ngx_uint_t              low, high, middle;
    ngx_http_gw_level_t    *level, **place;
    ngx_http_gw_written_t  *written;

    level = ngx_pcalloc(cf->temp_pool, sizeof(ngx_http_gw_level_t));
    place = ngx_array_push(levels);

    if (level == NULL || place == NULL) {
        return NULL;
    }

    *place = level;

    level->conf = conf;
    level->clcf = conf[ngx_http_core_module.ctx_index];
    level->parent = parent;

    if (parent) {
        level->server = parent->server ? parent->server : level;
        parent->nested++;
    }

    written = ngx_http_gw_recording->written.elts;
    low = 0;
    high = ngx_http_gw_recording->written.nelts;

    while (low < high) {
        middle = low + (high - low) / 2;

        if (written[middle].conf < conf) {
            low = middle + 1;

        } else {
            high = middle;
        }
    }

    level->written = &written[low];

    while (low < ngx_http_gw_recording->written.nelts
           && written[low].conf == conf)
    {
        level->nwritten++;
        low++;
    }

    return level;
}


static ngx_int_t
ngx_http_gw_add_locations(ngx_conf_t *cf, ngx_array_t *levels,
    ngx_http_gw_level_t *parent)
{
#if (NGX_PCRE)
    ngx_http_gw_location_t  **location;

    for (location = parent->clcf->regex_locations;
         location && *location;
         location++)
    {
        if (ngx_http_gw_add_location(cf, levels, *location, parent)
            != NGX_OK)
        {
            return NGX_ERROR;
        }
    }
#endif

    return ngx_http_gw_add_tree(cf, levels, parent->clcf->static_locations,
                                parent);
}


/* the depth is that of nginx's own recursion */

static ngx_int_t
ngx_http_gw_add_tree(ngx_conf_t *cf, ngx_array_t *levels,
    ngx_http_location_tree_node_t *node, ngx_http_gw_level_t *parent)
{
    if (node == NULL) {
        return NGX_OK;
    }

    if (node->exact
        && ngx_http_gw_add_location(cf, levels, node->exact, parent) != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (node->inclusive
        && ngx_http_gw_add_location(cf, levels, node->inclusive, parent)
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (ngx_http_gw_add_tree(cf, levels, node->left, parent) != NGX_OK
        || ngx_http_gw_add_tree(cf, levels, node->tree, parent) != NGX_OK)
    {
        return NGX_ERROR;
    }

    return ngx_http_gw_add_tree(cf, levels, node->right, parent);
}


static ngx_int_t
ngx_http_gw_add_location(ngx_conf_t *cf, ngx_array_t *levels,
    ngx_http_gw_location_t *location, ngx_http_gw_level_t *parent)
{
    ngx_http_gw_level_t  *level;

    level = ngx_http_gw_add(cf, levels,
                            ngx_http_gw_location_conf(location)->loc_conf,
                            parent);
    if (level == NULL) {
        return NGX_ERROR;
    }

    level->name = location->name;
    level->exact = location->exact_match;
    level->named = location->named;
#if (NGX_PCRE)
    level->noregex = location->noregex;
    level->regex = location->regex;
#endif

    return ngx_http_gw_add_locations(cf, levels, level);
}


ngx_http_gw_written_t *
ngx_http_gw_find(ngx_http_gw_level_t *level, const char *name)
{
    ngx_uint_t  i;

    for (i = 0; i < level->nwritten; i++) {

        if (ngx_http_gw_is_word(&level->written[i].name, name)) {
            return &level->written[i];
        }
    }

    return NULL;
}


ngx_uint_t
ngx_http_gw_is_access(ngx_http_gw_written_t *written)
{
    if (ngx_http_gw_is_word(&written->value, "off")
        || (ngx_http_gw_is_word(&written->value, "all")
            && ngx_http_gw_is_word(&written->name, "allow")))
    {
        return 0;
    }

    return ngx_http_gw_is_in(&written->name, ngx_http_gw_access);
}


ngx_uint_t
ngx_http_gw_is_addition(ngx_http_gw_written_t *written)
{
    return written->value.len
           && ngx_http_gw_is_in(&written->name, ngx_http_gw_additions);
}


/* rules of a kind replace those of the same kind from above */

ngx_uint_t
ngx_http_gw_is_restricted(ngx_http_gw_level_t *level)
{
    ngx_uint_t              i, kind, here, above;
    ngx_http_gw_written_t  *written;

    if (level->clcf->internal == 1) {
        return 1;
    }

    above = 0;

    for ( /* void */ ; level; level = level->parent) {

        here = 0;

        for (i = 0; i < level->nwritten; i++) {
            written = &level->written[i];

            if (ngx_http_gw_is_in(&written->name, ngx_http_gw_other_access)) {
                return 1;
            }

            kind = ngx_http_gw_access_kind(&written->name);

            if (kind & above) {
                continue;
            }

            here |= kind;

            /*
             * without a matching rule access is allowed; rules after "all" have
             * no effect
             */

            if (ngx_http_gw_is_word(&written->name, "allow")) {

                if (ngx_http_gw_is_word(&written->value, "all")) {
                    above |= kind;
                }

                continue;
            }

            if (kind && !ngx_http_gw_is_word(&written->value, "off")) {
                return 1;
            }
        }

        above |= here;
    }

    return 0;
}


/* a separate bit for each directive, and one for both "allow" and "deny" */

static ngx_uint_t
ngx_http_gw_access_kind(ngx_str_t *name)
{
    ngx_uint_t  i;

    if (ngx_http_gw_is_word(name, "allow")) {
        return 2;
    }

    for (i = 1; ngx_http_gw_access[i]; i++) {

        if (ngx_http_gw_is_word(name, ngx_http_gw_access[i])) {
            return (ngx_uint_t) 1 << i;
        }
    }

    return 0;
}


static ngx_uint_t
ngx_http_gw_is_word(ngx_str_t *text, const char *word)
{
    return ngx_strlen(word) == text->len
           && ngx_strncmp(word, text->data, text->len) == 0;
}


ngx_http_gw_written_t *
ngx_http_gw_returns(ngx_http_gw_level_t *level)
{
    ngx_http_gw_written_t  *returns;

    returns = ngx_http_gw_find(level, "return");

    if (returns == NULL && level->server) {
        returns = ngx_http_gw_find(level->server, "return");
    }

    return returns;
}


ngx_http_gw_written_t *
ngx_http_gw_answers(ngx_http_gw_level_t *level)
{
    ngx_uint_t  i;

    for (i = level->nwritten; i > 0; i--) {
        if (level->written[i - 1].handler) {
            return &level->written[i - 1];
        }
    }

    return NULL;
}


void
ngx_http_gw_did_you_mean(ngx_conf_t *cf, const ngx_str_t *near,
    ngx_str_t *name, u_char *file, ngx_uint_t line)
{
    if (near) {
        ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                      "did you mean \"%V\" instead of \"%V\" in %s:%ui?",
                      near, name, file, line);
    }
}


void
ngx_http_gw_warn_time(ngx_conf_t *cf, ngx_str_t *value)
{
    ngx_str_t   *name;
    ngx_uint_t   i, zero;

    zero = 1;

    for (i = 0; i < value->len; i++) {

        if (value->data[i] < '0' || value->data[i] > '9') {
            return;
        }

        zero &= (value->data[i] == '0');
    }

    if (zero) {
        return;
    }

    name = cf->args->elts;

    ngx_conf_log_error(NGX_LOG_WARN, cf, 0,
                       "\"%V\" in \"%V\" is a time in seconds, write \"%Vs\", "
                       "or \"%Vms\" for milliseconds",
                       value, name, value, value);
}
