
/* the one line of the error log that a failed part leaves */

#include "ngx_http_aggregate_module.h"


#define NGX_HTTP_AGGREGATE_LOG_SIZE  1024


static u_char *ngx_http_aggregate_log_fetch(u_char *p, u_char *last,
    ngx_http_aggregate_part_t *part, ngx_http_aggregate_fetch_t *fetch);
static u_char *ngx_http_aggregate_log_waiting(u_char *p, u_char *last,
    ngx_http_aggregate_part_t *part);


/* never a body, an argument or a value: they may be secret */

void
ngx_http_aggregate_log_failure(ngx_http_aggregate_part_t *part,
    ngx_uint_t elements)
{
    u_char                    *p, *last, text[NGX_HTTP_AGGREGATE_LOG_SIZE];
    ngx_str_t                  line;
    ngx_log_t                 *log;
    ngx_uint_t                 level;
    ngx_http_aggregate_ctx_t  *ctx;

    ctx = part->ctx;
    log = ctx->request->connection->log;
    level = ctx->conf->log_level;

    if (log->log_level < level) {
        return;
    }

    last = text + NGX_HTTP_AGGREGATE_LOG_SIZE;

    p = ngx_slprintf(text, last, "aggregate backend \"%V\" failed",
                     &part->conf->name);

    if (elements) {
        p = ngx_slprintf(p, last, " for %ui of %ui elements, the first",
                         elements, part->nelements);
    }

    p = ngx_slprintf(p, last, ": %V, status ",
                     &ngx_http_aggregate_reasons[part->reason]);

    p = part->status ? ngx_slprintf(p, last, "%ui", part->status)
                     : ngx_slprintf(p, last, "-");

    p = ngx_slprintf(p, last, ", after %Mms", part->clock.started
                              ? ngx_current_msec - part->clock.start : 0);

    if (part->failure) {
        p = ngx_http_aggregate_log_fetch(p, last, part, part->failure);

    } else if (part->state == NGX_HTTP_AGGREGATE_WAITING) {
        p = ngx_http_aggregate_log_waiting(p, last, part);
    }

    if (part->reason == NGX_HTTP_AGGREGATE_DEPENDENCY && part->lacks) {
        p = ngx_slprintf(p, last, ", \"%*s\" of \"%*s\" has no value for it",
                         part->lacks->path->text.len,
                         part->lacks->path->text.data,
                         part->lacks->text.len, part->lacks->text.data);
    }

    line.data = text;
    line.len = p - text;

    ngx_log_error(level, log, 0, "%V", &line);
}


static u_char *
ngx_http_aggregate_log_fetch(u_char *p, u_char *last,
    ngx_http_aggregate_part_t *part, ngx_http_aggregate_fetch_t *fetch)
{
    ngx_http_upstream_t       *u;
    ngx_http_aggregate_try_t  *t;

    if (fetch->uri.len) {
        p = ngx_slprintf(p, last, ", subrequest \"%V\"", &fetch->uri);
    }

    if (fetch->tries > 1) {
        p = ngx_slprintf(p, last, ", %ui tries", fetch->tries);
    }

    u = fetch->response ? fetch->response->upstream : NULL;

    if (u && u->state && u->state->peer) {
        p = ngx_slprintf(p, last, ", upstream \"%V\"", u->state->peer);
    }

    t = fetch->leader ? fetch->leader->current : NULL;

    if (part->reason == NGX_HTTP_AGGREGATE_INVALID_JSON && t && t->run) {
        p = ngx_slprintf(p, last, ", at byte %uz", t->run->offset);
    }

    return p;
}


static u_char *
ngx_http_aggregate_log_waiting(u_char *p, u_char *last,
    ngx_http_aggregate_part_t *part)
{
    ngx_uint_t                  i, n, *need;
    ngx_http_aggregate_part_t  *other;

    need = part->conf->needs.elts;

    for (i = 0, n = 0; i < part->conf->needs.nelts; i++) {
        other = &part->ctx->parts[need[i]];

        if (other->state != NGX_HTTP_AGGREGATE_DONE || other->failed) {
            p = ngx_slprintf(p, last, "%s \"%V\"",
                             n++ ? "," : ", while it waited for",
                             &other->conf->name);
        }
    }

    return p;
}
