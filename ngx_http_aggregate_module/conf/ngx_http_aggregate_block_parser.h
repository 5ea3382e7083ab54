
/*
 * Blocks of our own, such as "aggregate { }" and "aggregate_redis { }".
 *
 * The statements of a block are a table of nginx's own commands:
 *
 *     #define NGX_HTTP_AGGREGATE_REDIS_CONF  NGX_HTTP_AGGREGATE_BLOCK_CONF
 *
 *     static ngx_command_t  ngx_http_aggregate_redis_statements[] = {
 *
 *         { ngx_string("timeout"),
 *           NGX_HTTP_AGGREGATE_REDIS_CONF|NGX_CONF_TAKE1,
 *           ngx_http_aggregate_set_msec,
 *           NGX_HTTP_AGGREGATE_CONF_OFFSET,
 *           offsetof(ngx_http_aggregate_redis_t, timeout),
 *           &ngx_http_aggregate_redis_bounds },
 *
 *           ngx_null_command
 *     };
 *
 * The directive of the block has that table in "post", and its setter gives
 * the structure to fill, which the setters of the statements get as conf:
 *
 *     { ngx_string("aggregate_redis"),
 *       NGX_HTTP_MAIN_CONF|NGX_CONF_BLOCK|NGX_CONF_TAKE1,
 *       ngx_http_aggregate_redis,
 *       NGX_HTTP_MAIN_CONF_OFFSET,
 *       0,
 *       ngx_http_aggregate_redis_statements },
 *
 *     static char *
 *     ngx_http_aggregate_redis(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
 *     {
 *         ...
 *         rv = ngx_http_aggregate_parse_block(cf, cmd, redis);
 *         if (rv != NGX_CONF_OK) {
 *             return rv;
 *         }
 *
 *         (defaults, and checks of what the statements say together)
 *     }
 *
 * Standard setters of nginx work as well as ours (see setters.h), "include"
 * works, and so does ngx_http_conf_get_module_main_conf() in a setter.  A
 * setter returns NGX_CONF_OK, a text that goes on after the statement's name,
 * or NGX_CONF_ERROR when it has logged already.  Blocks nest: a statement may
 * have NGX_CONF_BLOCK and a table of its own in "post".
 *
 * Statements that have no fixed name, such as "5% v2;", go to the setter of a
 * last entry without a name, which stands in the place of ngx_null_command:
 *
 *         { ngx_null_string,
 *           NGX_HTTP_AGGREGATE_REDIS_CONF|NGX_CONF_ANY,
 *           ngx_http_aggregate_redis_other,
 *           NGX_HTTP_AGGREGATE_CONF_OFFSET,
 *           0,
 *           NULL }
 *
 * The handler reads all words in cf->args, the first one included, and refuses
 * unknown ones by ngx_http_aggregate_unknown_statement().  A block with such
 * an entry has no blocks in it.
 *
 * A statement that nobody knows is an error with file, line and the nearest
 * known name, or the block that it belongs to.  docs.t knows the block of
 * NGX_HTTP_AGGREGATE_REDIS_CONF as "aggregate_redis".
 */


#ifndef _NGX_HTTP_AGGREGATE_BLOCK_PARSER_H_INCLUDED_
#define _NGX_HTTP_AGGREGATE_BLOCK_PARSER_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>


#pragma GCC visibility push(hidden)


/* one of the bits of NGX_ANY_CONF, so that "include" is allowed */

#define NGX_HTTP_AGGREGATE_BLOCK_CONF  0x02000000


/*
 * in a block, "conf" of the setters is its structure, and cf->ctx has the rest
 */

typedef struct {
    ngx_http_conf_ctx_t    http;
    void                 **conf;
} ngx_http_aggregate_conf_ctx_t;


#define NGX_HTTP_AGGREGATE_CONF_OFFSET                                        \
    offsetof(ngx_http_aggregate_conf_ctx_t, conf)


/* parses the block of the directive "cmd", whose "{" has been read */
char *ngx_http_aggregate_parse_block(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);

/*
 * Logs that a statement is unknown, with the nearest statement of the table.
 * For the setter of an entry without a name, which returns the result.
 */
char *ngx_http_aggregate_unknown_statement(ngx_conf_t *cf,
    ngx_command_t *statements);


extern ngx_module_t  ngx_http_aggregate_block_module;


#pragma GCC visibility pop


#endif /* _NGX_HTTP_AGGREGATE_BLOCK_PARSER_H_INCLUDED_ */
