
/* the line in the error log about a failed part */

#include "ngx_http_aggregate_module.h"


static u_char *ngx_http_aggregate_log_value(u_char *p, u_char *last,
    ngx_http_aggregate_part_t *part);
static u_char *ngx_http_aggregate_log_waiting(u_char *p, u_char *last,
    ngx_http_aggregate_part_t *part);


/* never logs a body, an argument or a value, as they may be secret */

void
ngx_http_aggregate_log_failure(ngx_http_aggregate_part_t *part,
    ngx_uint_t elements)
{
    u_char                     *p, *last, text[NGX_HTTP_AGGREGATE_LOG_SIZE];
    ngx_log_t                  *log;
    ngx_uint_t                  level, lines;
    ngx_http_aggregate_ctx_t   *ctx;
    ngx_http_aggregate_held_t  *held;

    ctx = part->ctx;
    log = ctx->request->connection->log;
    level = ctx->conf->log_level;

    if (log->log_level < level) {
        return;
    }

    held = &part->conf->held[part->reason];

    held->kind = "aggregate backend";
    held->name = &part->conf->name;
    held->reason = part->reason;

    if (ngx_http_aggregate_log_suppress(ctx->request, held, level, &lines)) {
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
        p = ngx_http_aggregate_log_fetch(p, last, part->failure, part->reason,
                                         part->status);

    } else if (part->state == NGX_HTTP_AGGREGATE_WAITING) {
        p = ngx_http_aggregate_log_waiting(p, last, part);
    }

    if (part->lacks) {
        p = ngx_http_aggregate_log_value(p, last, part);
    }

    ngx_http_aggregate_log_line(log, level, text, p, lines);
}


/* the value that is missing, or not allowed in the URI or a header */

static u_char *
ngx_http_aggregate_log_value(u_char *p, u_char *last,
    ngx_http_aggregate_part_t *part)
{
    const char   *what;
    agg_piece_t  *piece;

    if (part->reason == NGX_HTTP_AGGREGATE_DEPENDENCY) {
        what = "has no value for it";

    } else if (part->reason == NGX_HTTP_AGGREGATE_BAD_URI) {
        what = "has a value that is not allowed there";

    } else {
        return p;
    }

    piece = part->lacks;

    if (piece->kind == AGG_PIECE_VARIABLE) {
        return ngx_slprintf(p, last, ", \"$%*s\" %s", piece->text.len,
                            piece->text.data, what);
    }

    return ngx_slprintf(p, last, ", \"%*s\" of \"%*s\" %s",
                        piece->path->text.len, piece->path->text.data,
                        piece->text.len, piece->text.data, what);
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
