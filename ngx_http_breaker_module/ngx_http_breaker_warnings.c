
/* warnings about breakers that guard nothing, and replaced status pages */

#include "ngx_http_breaker.h"
#include "ngx_http_gw_written.h"


static void ngx_http_breaker_warn_level(ngx_conf_t *cf,
    ngx_http_gw_level_t *level);
static void ngx_http_breaker_warn_unguarded(ngx_conf_t *cf,
    ngx_http_gw_level_t *level, ngx_http_gw_written_t *breaker);


ngx_int_t
ngx_http_breaker_warnings(ngx_conf_t *cf)
{
    ngx_uint_t             i;
    ngx_array_t           *levels;
    ngx_http_gw_level_t  **level;

    levels = ngx_http_gw_levels(cf);
    if (levels == NULL) {
        return NGX_ERROR;
    }

    level = levels->elts;

    for (i = 0; i < levels->nelts; i++) {
        ngx_http_breaker_warn_level(cf, level[i]);
    }

    return NGX_OK;
}


static void
ngx_http_breaker_warn_level(ngx_conf_t *cf, ngx_http_gw_level_t *level)
{
    ngx_uint_t              i;
    ngx_http_gw_written_t  *breaker, *status, *answers, *written;

    breaker = ngx_http_gw_find(level, "breaker");

    if (breaker && level != level->server && level->parent) {
        ngx_http_breaker_warn_unguarded(cf, level, breaker);
    }

    status = ngx_http_gw_find(level, "breaker_status");

    if (status == NULL) {
        return;
    }

    answers = ngx_http_gw_answers(level);

    for (i = 0; i < level->nwritten; i++) {
        written = &level->written[i];

        /* the aggregate module warns about its own directives */

        if (written->handler && written != answers
            && ngx_strncmp(written->name.data, "aggregate", 9) != 0
            && ngx_strncmp(answers->name.data, "aggregate", 9) != 0)
        {
            ngx_log_error(NGX_LOG_WARN, cf->log, 0,
                          "\"%V\" has no effect, \"%V\" in %V:%ui answers in "
                          "its place in %V:%ui", &written->name,
                          &answers->name, &answers->file, answers->line,
                          &written->file, written->line);
        }
    }

    if (!ngx_http_gw_is_restricted(level)) {
        ngx_log_error(NGX_LOG_WARN, cf->log, 0,
                      "\"breaker_status\" without access rules, such as "
                      "\"allow\" and \"deny\", is open to everybody in %V:%ui",
                      &status->file, status->line);
    }
}


/* a breaker guards what a content handler answers */

static void
ngx_http_breaker_warn_unguarded(ngx_conf_t *cf, ngx_http_gw_level_t *level,
    ngx_http_gw_written_t *breaker)
{
    if (breaker->value.len == 3
        && ngx_strncmp(breaker->value.data, "off", 3) == 0)
    {
        return;
    }

    if (ngx_http_gw_returns(level)) {
        ngx_log_error(NGX_LOG_WARN, cf->log, 0,
                      "\"breaker\" guards nothing where \"return\" answers "
                      "in %V:%ui", &breaker->file, breaker->line);
        return;
    }

    /* a nested location, or an "if" block, may have a handler */

    if (level->clcf->handler || level->nested
        || ngx_http_gw_find(level, "if")
        || ngx_http_gw_find(level, "rewrite")
        || ngx_http_gw_find(level, "try_files"))
    {
        return;
    }

    ngx_log_error(NGX_LOG_WARN, cf->log, 0,
                  "\"breaker\" guards nothing where files are served in "
                  "%V:%ui", &breaker->file, breaker->line);
}
