
/* see ngx_http_aggregate_block_parser.h */

#include "ngx_http_aggregate_block_parser.h"
#include "gw_text.h"


#define NGX_HTTP_AGGREGATE_BLOCK_MODULE  0x52474741   /* "AGGR" */


/* a block with statements of any name */

typedef struct {
    ngx_command_t  *statements;
    ngx_command_t  *other;
    void           *conf;
} ngx_http_aggregate_open_block_t;


/* the place of the last line that was logged: it may be in an included file */

typedef struct {
    ngx_conf_t     *cf;
    u_char         *name;
    ngx_uint_t      line;
} ngx_http_aggregate_place_t;


static char *ngx_http_aggregate_parse_statements(ngx_conf_t *cf,
    ngx_command_t *statements, void *conf);
static u_char *ngx_http_aggregate_note_place(ngx_log_t *log, u_char *buf,
    size_t len);
static char *ngx_http_aggregate_parse_open(ngx_conf_t *cf,
    ngx_command_t *statements, ngx_command_t *other, void *conf);
static char *ngx_http_aggregate_open_statement(ngx_conf_t *cf,
    ngx_command_t *dummy, void *conf);
static ngx_uint_t ngx_http_aggregate_takes(ngx_command_t *cmd, ngx_uint_t n);
static ngx_command_t *ngx_http_aggregate_statement(ngx_command_t *statements,
    ngx_str_t *name);
static void ngx_http_aggregate_hint_statement(ngx_conf_t *cf,
    ngx_command_t *statements);
static ngx_str_t *ngx_http_aggregate_other_block(ngx_conf_t *cf,
    ngx_str_t *name);
static void ngx_http_aggregate_missing_quotes(ngx_conf_t *cf,
    ngx_str_t *name);


/*
 * nginx looks up the statements of a block among the commands of all modules of
 * one type.  This module has those of the block that is being parsed.
 */

static ngx_command_t  ngx_http_aggregate_no_statements[] = {
    ngx_null_command
};


ngx_module_t  ngx_http_aggregate_block_module = {
    NGX_MODULE_V1,
    NULL,                                  /* module context */
    ngx_http_aggregate_no_statements,      /* module directives */
    NGX_HTTP_AGGREGATE_BLOCK_MODULE,       /* module type */
    NULL,                                  /* init master */
    NULL,                                  /* init module */
    NULL,                                  /* init process */
    NULL,                                  /* init thread */
    NULL,                                  /* exit thread */
    NULL,                                  /* exit process */
    NULL,                                  /* exit master */
    NGX_MODULE_V1_PADDING
};


char *
ngx_http_aggregate_parse_block(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    char                           *rv;
    void                           *confs[1];
    ngx_conf_t                      save;
    ngx_command_t                  *statements, *last;
    ngx_http_aggregate_conf_ctx_t   ctx;

    statements = cmd->post;

    for (last = statements; last->name.len; last++) { /* void */ }

    confs[0] = conf;

    ctx.http = *(ngx_http_conf_ctx_t *) cf->ctx;
    ctx.conf = confs;

    save = *cf;

    cf->ctx = &ctx;

    rv = last->set ? ngx_http_aggregate_parse_open(cf, statements, last, conf)
                   : ngx_http_aggregate_parse_statements(cf, statements,
                                                         conf);
    *cf = save;

    return rv;
}


static char *
ngx_http_aggregate_parse_statements(ngx_conf_t *cf, ngx_command_t *statements,
    void *conf)
{
    char                        *rv;
    void                        *data;
    ngx_command_t               *around;
    ngx_conf_file_t              file, *conf_file;
    ngx_log_handler_pt           handler;
    ngx_http_aggregate_place_t   place;

    around = ngx_http_aggregate_block_module.commands;

    ngx_http_aggregate_block_module.commands = statements;
    ngx_http_aggregate_block_module.ctx_index = 0;

    cf->module_type = NGX_HTTP_AGGREGATE_BLOCK_MODULE;
    cf->cmd_type = NGX_HTTP_AGGREGATE_BLOCK_CONF;

    ngx_memzero(&place, sizeof(ngx_http_aggregate_place_t));
    place.cf = cf;

    handler = cf->log->handler;
    data = cf->log->data;
    cf->log->handler = ngx_http_aggregate_note_place;
    cf->log->data = &place;

    rv = ngx_conf_parse(cf, NULL);

    cf->log->handler = handler;
    cf->log->data = data;

    ngx_http_aggregate_block_module.commands = around;

    if (rv != NGX_CONF_OK && cf->args->nelts) {

        conf_file = cf->conf_file;

        if (place.name) {
            file = *conf_file;
            file.file.name.data = place.name;
            file.line = place.line;
            cf->conf_file = &file;
        }

        ngx_http_aggregate_hint_statement(cf, statements);

        cf->conf_file = conf_file;

        /* the error is logged once, and not again for each enclosing block */

        cf->args->nelts = 0;
    }

    return rv;
}


/* a handler of the log, which adds nothing to the line */

static u_char *
ngx_http_aggregate_note_place(ngx_log_t *log, u_char *buf, size_t len)
{
    ngx_http_aggregate_place_t *place = log->data;

    if (place->cf->conf_file) {
        place->name = place->cf->conf_file->file.name.data;
        place->line = place->cf->conf_file->line;
    }

    return buf;
}


static char *
ngx_http_aggregate_parse_open(ngx_conf_t *cf, ngx_command_t *statements,
    ngx_command_t *other, void *conf)
{
    ngx_http_aggregate_open_block_t  block;

    block.statements = statements;
    block.other = other;
    block.conf = conf;

    cf->handler = ngx_http_aggregate_open_statement;
    cf->handler_conf = (void *) &block;

    return ngx_conf_parse(cf, NULL);
}


static char *
ngx_http_aggregate_open_statement(ngx_conf_t *cf, ngx_command_t *dummy,
    void *conf)
{
    ngx_http_aggregate_open_block_t *block = conf;

    char           *rv;
    ngx_str_t      *name;
    ngx_command_t  *cmd;

    name = cf->args->elts;

    if (name->len == 7 && ngx_strncmp(name->data, "include", 7) == 0
        && cf->args->nelts == 2)
    {
        return ngx_conf_include(cf, dummy, conf);
    }

    cmd = ngx_http_aggregate_statement(block->statements, name);

    if (cmd == NULL) {
        cmd = block->other;

    } else if (!ngx_http_aggregate_takes(cmd, cf->args->nelts - 1)) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid number of arguments in \"%V\"", name);
        return NGX_CONF_ERROR;
    }

    rv = cmd->set(cf, cmd, block->conf);

    if (rv != NGX_CONF_OK && rv != NGX_CONF_ERROR) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0, "\"%V\" %s", name, rv);
        return NGX_CONF_ERROR;
    }

    return rv;
}


static ngx_uint_t
ngx_http_aggregate_takes(ngx_command_t *cmd, ngx_uint_t n)
{
    if (cmd->type & NGX_CONF_ANY) {
        return 1;
    }

    if (cmd->type & NGX_CONF_FLAG) {
        return n == 1;
    }

    if (cmd->type & NGX_CONF_1MORE) {
        return n >= 1;
    }

    if (cmd->type & NGX_CONF_2MORE) {
        return n >= 2;
    }

    return n < NGX_CONF_MAX_ARGS && (cmd->type & (NGX_CONF_NOARGS << n));
}


static ngx_command_t *
ngx_http_aggregate_statement(ngx_command_t *statements, ngx_str_t *name)
{
    ngx_command_t  *cmd;

    for (cmd = statements; cmd->name.len; cmd++) {

        if (cmd->name.len == name->len
            && ngx_strncmp(cmd->name.data, name->data, name->len) == 0)
        {
            return cmd;
        }
    }

    return NULL;
}


char *
ngx_http_aggregate_unknown_statement(ngx_conf_t *cf,
    ngx_command_t *statements)
{
    ngx_str_t  *name;

    name = cf->args->elts;

    ngx_conf_log_error(NGX_LOG_EMERG, cf, 0, "unknown directive \"%V\"", name);

    ngx_http_aggregate_hint_statement(cf, statements);

    return NGX_CONF_ERROR;
}


/* adds to "unknown directive" or "not allowed here" what is known */

static void
ngx_http_aggregate_hint_statement(ngx_conf_t *cf, ngx_command_t *statements)
{
    ngx_str_t            *name, *block;
    gw_nearest_t          nearest;
    ngx_command_t        *cmd;
    const ngx_command_t  *near;

    name = cf->args->elts;

    if (ngx_http_aggregate_statement(statements, name)) {
        ngx_http_aggregate_missing_quotes(cf, name);
        return;
    }

    block = ngx_http_aggregate_other_block(cf, name);

    if (block) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"%V\" is a statement of \"%V\"", name, block);
        return;
    }

    gw_nearest_init(&nearest, name->data, name->len);

    for (cmd = statements; cmd->name.len; cmd++) {
        gw_nearest_try(&nearest, cmd->name.data, cmd->name.len, cmd);
    }

    near = nearest.item;

    if (near) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "did you mean \"%V\" instead of \"%V\"?",
                           &near->name, name);
    }
}


/* the first of our blocks, or nested blocks, that has the statement */

static ngx_str_t *
ngx_http_aggregate_other_block(ngx_conf_t *cf, ngx_str_t *name)
{
    ngx_uint_t      i;
    ngx_module_t  **modules;
    ngx_command_t  *cmd, *inner;

    modules = cf->cycle->modules;

    for (i = 0; modules[i]; i++) {

        if (modules[i]->type != NGX_HTTP_MODULE) {
            continue;
        }

        for (cmd = modules[i]->commands; cmd && cmd->name.len; cmd++) {

            if (!(cmd->type & NGX_CONF_BLOCK) || cmd->post == NULL
                || ngx_strncmp(cmd->name.data, "aggregate", 9) != 0)
            {
                continue;
            }

            if (ngx_http_aggregate_statement(cmd->post, name)) {
                return &cmd->name;
            }

            for (inner = cmd->post; inner->name.len; inner++) {

                if ((inner->type & NGX_CONF_BLOCK) && inner->post
                    && ngx_http_aggregate_statement(inner->post, name))
                {
                    return &inner->name;
                }
            }
        }
    }

    return NULL;
}


/* "default {};" is read as a block */

static void
ngx_http_aggregate_missing_quotes(ngx_conf_t *cf, ngx_str_t *name)
{
    if ((cf->args->nelts == 1 && (ngx_strcmp(name->data, "default") == 0
                                  || ngx_strcmp(name->data, "body") == 0))
        || (cf->args->nelts == 2 && ngx_strcmp(name->data, "set") == 0))
    {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "JSON in \"%V\" needs quotes: '{}'", name);
    }
}
