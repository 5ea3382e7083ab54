
/*
 * Hedged requests: the same request is sent once more if there is no response
 * header after some time.
 */

#include "ngx_http_aggregate_fetch_core.h"


static ngx_uint_t ngx_http_aggregate_hedge_waits(
    ngx_http_aggregate_fetch_t *fetch);
static void ngx_http_aggregate_hedge_try(ngx_http_aggregate_fetch_t *fetch);


/* the request was sent, for the first time or by "retry" */

void
ngx_http_aggregate_hedge_sent(ngx_http_aggregate_fetch_t *fetch)
{
    ngx_http_aggregate_fetches_t  *fs;

    fs = fetch->fetches;

    agg_hedge_call(&fetch->hedge->budget, ngx_current_msec);

    if (fetch->hedged) {
        return;
    }

    fetch->hedge_time = ngx_current_msec + fetch->hedge->delay;

    if (!fetch->hedge_linked) {
        fetch->hedge_linked = 1;
        fetch->next_hedge = fs->hedges;
        fs->hedges = fetch;
    }
}


/*
 * sends the hedges that are due; there are at most as many as running
 * subrequests
 */

void
ngx_http_aggregate_hedge_send(ngx_http_aggregate_fetches_t *fs)
{
    ngx_http_aggregate_fetch_t  *fetch;

    for (fetch = fs->hedges; fetch; fetch = fetch->next_hedge) {

        if (ngx_http_aggregate_hedge_waits(fetch)
            && (ngx_msec_int_t) (fetch->hedge_time - ngx_current_msec) <= 0)
        {
            ngx_http_aggregate_hedge_try(fetch);
        }
    }
}


/* the earliest time when a hedge is due, or the given time */

ngx_msec_t
ngx_http_aggregate_hedge_next(ngx_http_aggregate_fetches_t *fs,
    ngx_msec_t next)
{
    ngx_http_aggregate_fetch_t  **p, *fetch;

    for (p = &fs->hedges; *p; /* void */ ) {
        fetch = *p;

        if (!ngx_http_aggregate_hedge_waits(fetch)) {
            fetch->hedge_linked = 0;
            *p = fetch->next_hedge;
            continue;
        }

        if ((ngx_msec_int_t) (fetch->hedge_time - next) < 0) {
            next = fetch->hedge_time;
        }

        p = &fetch->next_hedge;
    }

    return next;
}


static ngx_uint_t
ngx_http_aggregate_hedge_waits(ngx_http_aggregate_fetch_t *fetch)
{
    ngx_http_aggregate_try_t  *t;

    t = fetch->current;

    return !fetch->hedged && fetch->waiting
           && t != NULL && !t->has_result && !t->header;
}


/* a fetch has a single chance for a hedge */

static void
ngx_http_aggregate_hedge_try(ngx_http_aggregate_fetch_t *fetch)
{
    ngx_http_request_t               *sr;
    ngx_http_aggregate_fetches_t     *fs;
    ngx_http_aggregate_fetch_root_t  *root;

    fs = fetch->fetches;
    root = fs->root;
    sr = fetch->current->request;

    fetch->hedged = 1;

    if (ngx_http_aggregate_fetches_left(fs) < 1
        || root->running >= root->concurrency
        || (ngx_int_t) fs->places >= fs->limits->concurrency
        || !ngx_http_aggregate_breaker_closed(sr)
        || !agg_hedge_take(&fetch->hedge->budget, ngx_current_msec,
                           fetch->hedge->percent))
    {
        return;
    }

    ngx_log_error(NGX_LOG_INFO, sr->connection->log, 0,
                  "aggregate backend \"%V\" has sent no response header in "
                  "%Mms, a second request is sent", fetch->name,
                  fetch->hedge->delay);

    root->sent++;

    fetch->hedging = 1;

    if (ngx_http_aggregate_try_send(fetch) != NGX_OK) {
        fetch->second = NULL;
    }

    fetch->hedging = 0;
}


/*
 * The result of one of two tries.  Returns not 0 if it is a failure, and the
 * fetch waits for the other one.
 */

ngx_uint_t
ngx_http_aggregate_hedge_result(ngx_http_aggregate_try_t *t,
    ngx_http_aggregate_reason_e reason)
{
    ngx_http_aggregate_try_t    *other;
    ngx_http_aggregate_fetch_t  *fetch;

    fetch = t->fetch;

    other = (t == fetch->second) ? fetch->current : fetch->second;

    fetch->second = NULL;

    if (reason != NGX_HTTP_AGGREGATE_NO_REASON) {
        fetch->current = other;
        fetch->response = other->request;
        return 1;
    }

    fetch->current = t;

    ngx_http_aggregate_try_drop(other, NGX_HTTP_AGGREGATE_CANCELLED);

    return 0;
}
