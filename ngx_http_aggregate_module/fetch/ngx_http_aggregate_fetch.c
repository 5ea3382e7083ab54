
/*
 * A fetch: its start, alone or joined to an equal one, and its result, after
 * one try or several.
 *
 * One of several equal fetches is the leader: it is queued and has the tries,
 * for the others too, even if it already has a result of its own, such as a
 * timeout.  When no fetch waits any more, the try is cancelled.
 */

#include "ngx_http_aggregate_fetch_core.h"
#include "gw_siphash.h"


typedef struct {
    uint64_t                         hash;
    ngx_http_aggregate_fetch_t      *fetch;
} ngx_http_aggregate_join_entry_t;


struct ngx_http_aggregate_join_s {
    ngx_pool_t                      *pool;
    uint64_t                         key;
    ngx_http_aggregate_join_entry_t *entries;
    ngx_uint_t                       mask;
    ngx_uint_t                       used;
};


static ngx_http_aggregate_join_entry_t *ngx_http_aggregate_join_find(
    ngx_http_aggregate_fetch_t *fetch);
static ngx_int_t ngx_http_aggregate_join_grow(ngx_http_aggregate_join_t *join);
static uint64_t ngx_http_aggregate_fetch_hash(
    ngx_http_aggregate_fetch_t *fetch);
static ngx_uint_t ngx_http_aggregate_fetch_equal(
    ngx_http_aggregate_fetch_t *a, ngx_http_aggregate_fetch_t *b);
static ngx_int_t ngx_http_aggregate_fetch_follow(
    ngx_http_aggregate_fetch_t *fetch, ngx_http_aggregate_fetch_t *leader);
static void ngx_http_aggregate_fetch_pend(ngx_http_aggregate_fetch_t *fetch);
static void ngx_http_aggregate_fetch_enqueue(
    ngx_http_aggregate_fetch_t *fetch);
static void ngx_http_aggregate_fetch_clock(ngx_http_aggregate_fetch_t *fetch,
    ngx_msec_t start, uint64_t usec);
static void ngx_http_aggregate_fetch_set(ngx_http_aggregate_fetch_t *fetch,
    ngx_http_aggregate_try_t *t, ngx_http_aggregate_reason_e reason);
static void ngx_http_aggregate_fetch_due(ngx_http_aggregate_fetch_t *fetch);
static void ngx_http_aggregate_fetch_drop(ngx_http_aggregate_fetch_t *fetch,
    ngx_http_aggregate_reason_e reason);
static ngx_uint_t ngx_http_aggregate_runs_on(ngx_http_aggregate_try_t *t);
static void ngx_http_aggregate_log_retry(ngx_http_aggregate_try_t *t,
    ngx_uint_t reason);
static ngx_uint_t ngx_http_aggregate_retries(ngx_http_aggregate_try_t *t);


ngx_int_t
ngx_http_aggregate_fetch_start(ngx_http_aggregate_fetches_t *fs,
    ngx_http_aggregate_fetch_t *fetch)
{
    ngx_http_aggregate_join_entry_t  *entry;

    fetch->fetches = fs;
    entry = NULL;

    if (fs->cancelled || fs->expired) {
        ngx_http_aggregate_fetch_pend(fetch);
        ngx_http_aggregate_fetch_fail(fetch,
                                fs->cancelled ? NGX_HTTP_AGGREGATE_CANCELLED
                                              : NGX_HTTP_AGGREGATE_TIMEOUT);
        return NGX_OK;
    }

    if (fetch->join) {
        entry = ngx_http_aggregate_join_find(fetch);

        if (entry == NULL) {
            return NGX_ERROR;
        }

        if (entry->fetch
            && ngx_http_aggregate_fetch_follow(fetch, entry->fetch) == NGX_OK)
        {
            return NGX_OK;
        }
    }

    if (ngx_http_aggregate_fetches_left(fs) < 1) {
        return NGX_DECLINED;
    }

    fs->root->sent++;

    if (entry) {
        fetch->join->used += (entry->fetch == NULL);
        entry->fetch = fetch;
    }

    fetch->leader = fetch;
    fetch->followers_last = &fetch->followers;
    fetch->waiting = 1;

    ngx_http_aggregate_fetch_pend(fetch);
    ngx_http_aggregate_fetch_enqueue(fetch);

    return NGX_OK;
}


ngx_http_aggregate_join_t *
ngx_http_aggregate_join_create(ngx_pool_t *pool, ngx_uint_t expected)
{
    ngx_uint_t                  size;
    ngx_http_aggregate_join_t  *join;

    for (size = 4; size < 2 * expected; size *= 2) { /* void */ }

    join = ngx_palloc(pool, sizeof(ngx_http_aggregate_join_t));
    if (join == NULL) {
        return NULL;
    }

    join->pool = pool;
    join->key = ((uint64_t) ngx_random() << 32) ^ (uint64_t) ngx_random();
    join->mask = size - 1;
    join->used = 0;

    join->entries = ngx_pcalloc(pool,
                              size * sizeof(ngx_http_aggregate_join_entry_t));

    return join->entries ? join : NULL;
}


/* the entry of an equal fetch, or a free one; NULL: there is no memory */

static ngx_http_aggregate_join_entry_t *
ngx_http_aggregate_join_find(ngx_http_aggregate_fetch_t *fetch)
{
    uint64_t                          hash;
    ngx_uint_t                        i;
    ngx_http_aggregate_join_t        *join;
    ngx_http_aggregate_join_entry_t  *entry;

    join = fetch->join;

    if (2 * join->used > join->mask
        && ngx_http_aggregate_join_grow(join) != NGX_OK)
    {
        return NULL;
    }

    hash = ngx_http_aggregate_fetch_hash(fetch);

    for (i = hash & join->mask; /* void */ ; i = (i + 1) & join->mask) {
        entry = &join->entries[i];

        if (entry->fetch == NULL) {
            entry->hash = hash;
            return entry;
        }

        if (entry->hash == hash
            && ngx_http_aggregate_fetch_equal(entry->fetch, fetch))
        {
            return entry;
        }
    }
}


static ngx_int_t
ngx_http_aggregate_join_grow(ngx_http_aggregate_join_t *join)
{
    ngx_uint_t                        i, k, mask;
    ngx_http_aggregate_join_entry_t  *entries;

    mask = 2 * join->mask + 1;

    entries = ngx_pcalloc(join->pool,
                        (mask + 1) * sizeof(ngx_http_aggregate_join_entry_t));
    if (entries == NULL) {
        return NGX_ERROR;
    }

    for (i = 0; i <= join->mask; i++) {

        if (join->entries[i].fetch == NULL) {
            continue;
        }

        for (k = join->entries[i].hash & mask;
             entries[k].fetch;
             k = (k + 1) & mask)
        {
            /* void */
        }

        entries[k] = join->entries[i];
    }

    join->entries = entries;
    join->mask = mask;

    return NGX_OK;
}


/* backends choose values in URIs, and must not make their hashes collide */

static uint64_t
ngx_http_aggregate_fetch_hash(ngx_http_aggregate_fetch_t *fetch)
{
    uint64_t    key[2];
    ngx_uint_t  i;

    key[0] = fetch->join->key;
    key[1] = fetch->join->key;

    key[0] = gw_siphash(key, fetch->uri.data, fetch->uri.len);

    if (fetch->args.len) {
        key[0] = gw_siphash(key, fetch->args.data, fetch->args.len);
    }

    if (fetch->body_set) {
        key[0] = gw_siphash(key, fetch->body.data, fetch->body.len);
    }

    for (i = 0; i < fetch->nheaders; i++) {
        key[0] = gw_siphash(key, fetch->headers[i].value.data,
                            fetch->headers[i].value.len);
    }

    return key[0];
}


static ngx_uint_t
ngx_http_aggregate_fetch_equal(ngx_http_aggregate_fetch_t *a,
    ngx_http_aggregate_fetch_t *b)
{
    ngx_uint_t  i;

#define ngx_http_aggregate_same(x, y)                                         \
    ((x).len == (y).len                                                       \
     && ngx_memcmp((x).data, (y).data, (x).len) == 0)

    if (!ngx_http_aggregate_same(a->uri, b->uri)
        || !ngx_http_aggregate_same(a->args, b->args)
        || !ngx_http_aggregate_same(a->body, b->body)
        || a->method != b->method
        || a->body_set != b->body_set
        || a->body_request != b->body_request
        || a->headers_in != b->headers_in
        || a->nheaders != b->nheaders
        || a->accept != b->accept
        || a->fail_on != b->fail_on
        || a->retry != b->retry
        || a->hedge != b->hedge
        || a->sink != b->sink
        || a->stage != b->stage
        || a->shape != b->shape
        || a->error_body != b->error_body
        || !ngx_http_aggregate_same(a->missing, b->missing))
    {
        return 0;
    }

    for (i = 0; i < a->nheaders; i++) {

        if (!ngx_http_aggregate_same(a->headers[i].value, b->headers[i].value)
            || (a->headers[i].name != b->headers[i].name
                && !ngx_http_aggregate_same(a->headers[i].name->lowcase_name,
                                          b->headers[i].name->lowcase_name)))
        {
            return 0;
        }
    }

    return 1;
}


/* NGX_DECLINED: the tries of the leader have been cancelled */

static ngx_int_t
ngx_http_aggregate_fetch_follow(ngx_http_aggregate_fetch_t *fetch,
    ngx_http_aggregate_fetch_t *leader)
{
    ngx_http_aggregate_try_t  *t;

    t = leader->current;

    if (leader->waiting) {
        *leader->followers_last = fetch;
        leader->followers_last = &fetch->next;
        leader->waiting++;

    } else if (t == NULL || !leader->answered) {
        return NGX_DECLINED;
    }

    fetch->leader = leader;
    fetch->joined = 1;
    fetch->start = leader->start;
    fetch->start_usec = leader->start_usec;

    ngx_http_aggregate_fetch_pend(fetch);

    if (leader->answered) {
        ngx_http_aggregate_fetch_set(fetch, t, t->reason);
        ngx_http_aggregate_fetch_due(fetch);

    } else if (leader->tries) {
        ngx_http_aggregate_fetch_clock(fetch, ngx_current_msec,
                                   ngx_http_aggregate_usec(fetch->fetches));
    }

    return NGX_OK;
}


static void
ngx_http_aggregate_fetch_pend(ngx_http_aggregate_fetch_t *fetch)
{
    ngx_http_aggregate_fetches_t  *fs;

    fs = fetch->fetches;

    fetch->clock->pending++;

    fetch->pending_link = fs->pending_last;
    *fs->pending_last = fetch;
    fs->pending_last = &fetch->next_pending;
}


static void
ngx_http_aggregate_fetch_enqueue(ngx_http_aggregate_fetch_t *fetch)
{
    ngx_http_aggregate_fetches_t  *fs;

    fs = fetch->fetches;

    fetch->next = NULL;

    *fs->queue_last = fetch;
    fs->queue_last = &fetch->next;
}


/* called for the first subrequest; until then the fetch is queued */

void
ngx_http_aggregate_fetch_sent(ngx_http_aggregate_fetch_t *fetch,
    ngx_http_aggregate_try_t *t)
{
    ngx_http_aggregate_fetch_t    *f;
    ngx_http_aggregate_fetches_t  *fs;

    fs = fetch->fetches;

    if (fetch->hedging) {
        t->hedge = 1;
        t->number = fetch->current->number;
        fetch->second = t;
        return;
    }

    fetch->current = t;
    fetch->response = t->request;

    t->number = ++fetch->tries;

    if (t->number == 1) {
        fetch->start = ngx_current_msec;
        fetch->start_usec = ngx_http_aggregate_usec(fs);

        for (f = fetch->followers; f; f = f->next) {

            if (!f->has_result) {
                f->start = fetch->start;
                f->start_usec = fetch->start_usec;
                ngx_http_aggregate_fetch_clock(f, f->start, f->start_usec);
            }
        }
    }

    ngx_http_aggregate_fetch_clock(fetch, fetch->start, fetch->start_usec);

    if (fetch->hedge && (fetch->method & (NGX_HTTP_GET|NGX_HTTP_HEAD))) {
        ngx_http_aggregate_hedge_sent(fetch);
    }
}


static void
ngx_http_aggregate_fetch_clock(ngx_http_aggregate_fetch_t *fetch,
    ngx_msec_t start, uint64_t usec)
{
    ngx_http_aggregate_clock_t    *clock;
    ngx_http_aggregate_fetches_t  *fs;

    fs = fetch->fetches;
    clock = fetch->clock;

    if (!clock->started) {
        clock->started = 1;
        clock->start = start;
        clock->start_usec = usec;
        clock->deadline = clock->start + clock->timeout;
    }

    if (clock->timeout && !clock->linked) {
        clock->linked = 1;
        clock->next = fs->clocks;
        fs->clocks = clock;
    }
}


/* the result of a try is known, but its subrequest may continue for a while */

void
ngx_http_aggregate_try_result(ngx_http_aggregate_try_t *t,
    ngx_http_aggregate_reason_e reason)
{
    ngx_http_aggregate_fetch_t    *fetch;
    ngx_http_aggregate_fetches_t  *fs;

    fetch = t->fetch;
    fs = t->fetches;

    t->has_result = 1;
    t->reason = reason;

    if (!t->finalized && !ngx_http_aggregate_runs_on(t)) {
        fs->cancels = 1;
    }

    if (reason == NGX_HTTP_AGGREGATE_CONNECT) {
        ngx_http_aggregate_refused(t);
    }

    ngx_http_aggregate_notify(fs, end, t);

    ngx_http_aggregate_fetches_post(fs);

    if (fetch->waiting == 0) {
        return;
    }

    if (fetch->second && ngx_http_aggregate_hedge_result(t, reason)) {
        return;
    }

    if (ngx_http_aggregate_retries(t)) {

        ngx_http_aggregate_log_retry(t, reason);

        fetch->current = NULL;
        fetch->response = NULL;

        ngx_http_aggregate_fetch_enqueue(fetch);

        return;
    }

    ngx_http_aggregate_fetch_result(fetch, t, reason);
}


/*
 * A short body with a status that is not accepted is read to its end: it may be
 * stored by a cache, and the connection to the backend can be kept.
 */

static ngx_uint_t
ngx_http_aggregate_runs_on(ngx_http_aggregate_try_t *t)
{
    off_t  length;

    length = t->request->headers_out.content_length_n;

    if (t->accepted || !t->header || length < 0
        || length > (off_t) t->fetches->limits->max_body_size)
    {
        return 0;
    }

    ngx_http_aggregate_free_place(t);

    return 1;
}


static void
ngx_http_aggregate_log_retry(ngx_http_aggregate_try_t *t, ngx_uint_t reason)
{
    u_char      text[NGX_INT_T_LEN + 1];
    ngx_uint_t  status;

    status = ngx_http_aggregate_sent_status(t);

    *ngx_sprintf(text, status ? "%ui" : "-", status) = '\0';

    ngx_log_error(NGX_LOG_WARN, t->request->connection->log, 0,
                  "aggregate backend \"%V\" failed: %V, status %s, retrying",
                  t->fetch->name, &ngx_http_aggregate_reasons[reason], text);
}


static ngx_uint_t
ngx_http_aggregate_retries(ngx_http_aggregate_try_t *t)
{
    ngx_http_aggregate_fetch_t    *fetch;
    ngx_http_aggregate_fetches_t  *fs;

    fetch = t->fetch;
    fs = t->fetches;

    if ((ngx_int_t) t->number > fetch->retry
        || !(fetch->method & (NGX_HTTP_GET|NGX_HTTP_HEAD))
        || fs->closed
        || ngx_http_aggregate_fetches_left(fs) < 1)
    {
        return 0;
    }

    switch (t->reason) {

    case NGX_HTTP_AGGREGATE_CONNECT:
        break;

    case NGX_HTTP_AGGREGATE_STATUS:
    case NGX_HTTP_AGGREGATE_TIMEOUT:

        if (t->status == NGX_HTTP_BAD_GATEWAY
            || t->status == NGX_HTTP_SERVICE_UNAVAILABLE
            || t->status == NGX_HTTP_GATEWAY_TIME_OUT)
        {
            break;
        }

        return 0;

    default:
        return 0;
    }

    fs->root->sent++;

    return 1;
}


/* sets the result of a leader and its followers; t is NULL if none was sent */

void
ngx_http_aggregate_fetch_result(ngx_http_aggregate_fetch_t *fetch,
    ngx_http_aggregate_try_t *t, ngx_http_aggregate_reason_e reason)
{
    ngx_http_aggregate_fetch_t  *f;

    fetch->answered = 1;
    fetch->waiting = 0;

    if (!fetch->has_result) {
        ngx_http_aggregate_fetch_set(fetch, t, reason);
        ngx_http_aggregate_fetch_due(fetch);
    }

    for (f = fetch->followers; f; f = f->next) {

        if (!f->has_result) {
            ngx_http_aggregate_fetch_set(f, t, reason);
            ngx_http_aggregate_fetch_due(f);
        }
    }

    fetch->followers = NULL;
}


static void
ngx_http_aggregate_fetch_set(ngx_http_aggregate_fetch_t *fetch,
    ngx_http_aggregate_try_t *t, ngx_http_aggregate_reason_e reason)
{
    ngx_http_aggregate_fetches_t  *fs;

    fs = fetch->fetches;

    fetch->has_result = 1;
    fetch->reason = reason;
    fetch->end = ngx_current_msec;
    fetch->end_usec = ngx_http_aggregate_usec(fs);

    if (t) {
        fetch->response = t->request;
        fetch->status = ngx_http_aggregate_sent_status(t);
        fetch->value = t->value;
        fetch->source = t->source;
        fetch->degraded = t->degraded;
        fetch->tries = t->number;
    }

    fetch->clock->pending--;

    *fetch->pending_link = fetch->next_pending;

    if (fetch->next_pending) {
        fetch->next_pending->pending_link = fetch->pending_link;

    } else {
        fs->pending_last = fetch->pending_link;
    }

    ngx_http_aggregate_notify(fs, result, fetch);
}


static void
ngx_http_aggregate_fetch_due(ngx_http_aggregate_fetch_t *fetch)
{
    ngx_http_aggregate_fetches_t  *fs;

    fs = fetch->fetches;

    *fs->due_last = fetch;
    fs->due_last = &fetch->next_due;
}


/* a result without a response of a backend */

void
ngx_http_aggregate_fetch_fail(ngx_http_aggregate_fetch_t *fetch,
    ngx_http_aggregate_reason_e reason)
{
    ngx_http_aggregate_fetch_drop(fetch, reason);
    ngx_http_aggregate_fetch_due(fetch);
}


void
ngx_http_aggregate_fetch_cancel(ngx_http_aggregate_fetches_t *fs,
    ngx_http_aggregate_fetch_t *fetch, ngx_http_aggregate_reason_e reason)
{
    if (fetch->has_result) {
        return;
    }

    if (fetch->pending_link == NULL) {

        /* the fetch was not started */

        fetch->fetches = fs;
        ngx_http_aggregate_fetch_pend(fetch);
    }

    ngx_http_aggregate_fetch_drop(fetch, reason);
}


static void
ngx_http_aggregate_fetch_drop(ngx_http_aggregate_fetch_t *fetch,
    ngx_http_aggregate_reason_e reason)
{
    ngx_http_aggregate_fetch_t  *leader;

    leader = fetch->leader;

    if (leader && leader->current) {
        fetch->status = ngx_http_aggregate_sent_status(leader->current);
    }

    ngx_http_aggregate_fetch_set(fetch, NULL, reason);

    if (leader == NULL || leader->waiting == 0 || --leader->waiting) {
        return;
    }

    if (leader->current) {
        ngx_http_aggregate_try_drop(leader->current, reason);
    }

    if (leader->second) {
        ngx_http_aggregate_try_drop(leader->second, reason);
        leader->second = NULL;
    }
}


/* no fetch waits for the try any more: it is cancelled as soon as possible */

void
ngx_http_aggregate_try_drop(ngx_http_aggregate_try_t *t,
    ngx_http_aggregate_reason_e reason)
{
    ngx_http_aggregate_fetches_t  *fs;

    if (t->has_result) {
        return;
    }

    fs = t->fetches;

    t->has_result = 1;
    t->reason = reason;

    fs->cancels = 1;

    ngx_http_aggregate_notify(fs, end, t);
    ngx_http_aggregate_fetches_post(fs);
}


/* the monotonic clock in microseconds, if they are wanted */

uint64_t
ngx_http_aggregate_usec(ngx_http_aggregate_fetches_t *fs)
{
    struct timespec  ts;

    if (!fs->usec) {
        return 0;
    }

    (void) clock_gettime(CLOCK_MONOTONIC, &ts);

    return (uint64_t) ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}
