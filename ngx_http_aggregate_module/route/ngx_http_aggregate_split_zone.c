
/* the zone of splits, and their evaluation once a second */

#include "ngx_http_aggregate_split.h"


#define NGX_HTTP_AGGREGATE_SPLIT_TIMER  500


static void ngx_http_aggregate_split_find(
    ngx_http_aggregate_split_zone_t *old,
    ngx_http_aggregate_split_conf_t *split, ngx_log_t *log);
static ngx_int_t ngx_http_aggregate_split_place(
    ngx_http_aggregate_split_zone_t *zone,
    ngx_http_aggregate_split_conf_t *split);
static void ngx_http_aggregate_split_free(
    ngx_http_aggregate_split_zone_t *zone,
    ngx_http_aggregate_split_zone_t *old);
static ngx_uint_t ngx_http_aggregate_split_uses(
    ngx_http_aggregate_split_zone_t *zone, agg_split_t *state);
static void ngx_http_aggregate_split_handler(ngx_event_t *ev);
static ngx_uint_t ngx_http_aggregate_split_look(
    ngx_http_aggregate_split_conf_t *split, ngx_log_t *log);
static void ngx_http_aggregate_split_log(
    ngx_http_aggregate_split_conf_t *split, agg_split_event_t *event,
    ngx_log_t *log);


static ngx_event_t       ngx_http_aggregate_split_event;
static ngx_connection_t  ngx_http_aggregate_split_connection;


ngx_int_t
ngx_http_aggregate_split_init_zone(ngx_shm_zone_t *shm_zone, void *data)
{
    ngx_uint_t                         i, fresh;
    ngx_slab_pool_t                   *shpool;
    ngx_http_aggregate_split_zone_t   *zone;
    ngx_http_aggregate_split_conf_t  **splits;

    zone = shm_zone->data;
    shpool = (ngx_slab_pool_t *) shm_zone->shm.addr;

    zone->shpool = shpool;
    fresh = (data == NULL && !shm_zone->shm.exists);

    if (fresh) {
        zone->places = ngx_slab_calloc(shpool,
                                   sizeof(ngx_http_aggregate_split_places_t));
        if (zone->places == NULL) {
            ngx_log_error(NGX_LOG_EMERG, shm_zone->shm.log, 0,
                          "split zone \"%V\" is too small", &zone->name);
            return NGX_ERROR;
        }

        shpool->data = zone->places;
        shpool->log_nomem = 0;

    } else {
        zone->places = shpool->data;
    }

    splits = zone->splits.elts;

    for (i = 0; i < zone->splits.nelts; i++) {
        ngx_http_aggregate_split_find(data, splits[i], shm_zone->shm.log);
    }

    for (i = 0; i < zone->splits.nelts; i++) {

        if (splits[i]->state
            || ngx_http_aggregate_split_place(zone, splits[i]) == NGX_OK)
        {
            continue;
        }

        ngx_http_aggregate_split_free(zone, data);

        if (ngx_http_aggregate_split_place(zone, splits[i]) != NGX_OK) {
            ngx_log_error(NGX_LOG_EMERG, shm_zone->shm.log, 0,
                          "split zone \"%V\" is too small for split \"$%V\"",
                          &zone->name, &splits[i]->name);
            return NGX_ERROR;
        }
    }

    if (fresh && zone->file.len) {
        ngx_http_aggregate_split_load(zone, shm_zone->shm.log);
    }

    return NGX_OK;
}


/*
 * Takes the state over from the previous configuration.  It is not touched, as
 * the reload may still fail: if the text has changed, the first new worker
 * replaces the state, and old workers have the shares of their configuration.
 */

static void
ngx_http_aggregate_split_find(ngx_http_aggregate_split_zone_t *old,
    ngx_http_aggregate_split_conf_t *split, ngx_log_t *log)
{
    ngx_uint_t                         i;
    ngx_http_aggregate_split_conf_t  **splits, *prev;

    split->state = NULL;

    splits = old ? old->splits.elts : NULL;

    for (i = 0; old && i < old->splits.nelts; i++) {
        prev = splits[i];

        if (prev->name.len != split->name.len
            || ngx_strncmp(prev->name.data, split->name.data, prev->name.len)
               != 0)
        {
            continue;
        }

        if (prev->capacity >= split->nversions) {
            split->state = prev->state;
            split->capacity = prev->capacity;
        }

        if (prev->text != split->text) {
            ngx_log_error(NGX_LOG_NOTICE, log, 0,
                          "split \"$%V\" has changed, its shares are those of "
                          "the configuration", &split->name);
        }

        return;
    }
}


/* NGX_DECLINED: there is no room */

static ngx_int_t
ngx_http_aggregate_split_place(ngx_http_aggregate_split_zone_t *zone,
    ngx_http_aggregate_split_conf_t *split)
{
    ngx_uint_t    i;
    agg_split_t  *state;

    for (i = 0; i < NGX_HTTP_AGGREGATE_SPLIT_MAX; i++) {
        if (zone->places->states[i] == NULL) {
            break;
        }
    }

    if (i == NGX_HTTP_AGGREGATE_SPLIT_MAX) {
        return NGX_DECLINED;
    }

    state = ngx_slab_alloc(zone->shpool,
                           agg_split_size((unsigned) split->nversions));
    if (state == NULL) {
        return NGX_DECLINED;
    }

    state->magic = 0;

    agg_split_init(state, (unsigned) split->nversions, split->text,
                   split->plans, ngx_current_msec);

    zone->places->states[i] = state;

    split->state = state;
    split->capacity = split->nversions;

    return NGX_OK;
}


/*
 * Frees states that neither this configuration nor the previous one has, which
 * goes on if the reload fails.  A worker of an earlier one that still runs
 * does not find the text of its split there any more.
 */

static void
ngx_http_aggregate_split_free(ngx_http_aggregate_split_zone_t *zone,
    ngx_http_aggregate_split_zone_t *old)
{
    ngx_uint_t    i;
    agg_split_t  *state;

    for (i = 0; i < NGX_HTTP_AGGREGATE_SPLIT_MAX; i++) {

        state = zone->places->states[i];

        if (state == NULL
            || ngx_http_aggregate_split_uses(zone, state)
            || (old && ngx_http_aggregate_split_uses(old, state)))
        {
            continue;
        }

        ngx_shmtx_lock(&zone->shpool->mutex);

        state->text = 0;
        zone->places->states[i] = NULL;

        ngx_slab_free_locked(zone->shpool, state);

        ngx_shmtx_unlock(&zone->shpool->mutex);
    }
}


static ngx_uint_t
ngx_http_aggregate_split_uses(ngx_http_aggregate_split_zone_t *zone,
    agg_split_t *state)
{
    ngx_uint_t                         i;
    ngx_http_aggregate_split_conf_t  **splits;

    splits = zone->splits.elts;

    for (i = 0; i < zone->splits.nelts; i++) {
        if (splits[i]->state == state) {
            return 1;
        }
    }

    return 0;
}


ngx_int_t
ngx_http_aggregate_split_init_process(ngx_cycle_t *cycle)
{
    ngx_uint_t                             i, n;
    ngx_event_t                           *ev;
    ngx_http_aggregate_split_conf_t       *split, **splits;
    ngx_http_aggregate_split_main_conf_t  *smcf;

    smcf = ngx_http_cycle_get_module_main_conf(cycle,
                                             ngx_http_aggregate_split_module);

    if (smcf == NULL
        || (ngx_process != NGX_PROCESS_WORKER
            && ngx_process != NGX_PROCESS_SINGLE))
    {
        return NGX_OK;
    }

    splits = smcf->splits.elts;
    n = 0;

    for (i = 0; i < smcf->splits.nelts; i++) {
        split = splits[i];

        if (split->zone == NULL) {
            continue;
        }

        n++;

        ngx_shmtx_lock(&split->zone->shpool->mutex);

        if (split->state->text != split->text) {
            agg_split_init(split->state, (unsigned) split->nversions,
                           split->text, split->plans, ngx_current_msec);
        }

        ngx_shmtx_unlock(&split->zone->shpool->mutex);
    }

    if (n == 0) {
        return NGX_OK;
    }

    ev = &ngx_http_aggregate_split_event;

    ngx_http_aggregate_split_connection.fd = (ngx_socket_t) -1;

    ev->handler = ngx_http_aggregate_split_handler;
    ev->data = &ngx_http_aggregate_split_connection;
    ev->log = cycle->log;
    ev->cancelable = 1;

    if (!ev->timer_set) {
        ngx_add_timer(ev, NGX_HTTP_AGGREGATE_SPLIT_TIMER);
    }

    return NGX_OK;
}


static void
ngx_http_aggregate_split_handler(ngx_event_t *ev)
{
    ngx_uint_t                             i, k, changed;
    ngx_http_aggregate_split_zone_t      **zones;
    ngx_http_aggregate_split_conf_t      **splits;
    ngx_http_aggregate_split_main_conf_t  *smcf;

    if (ngx_exiting) {

        /* the workers of the next configuration do it, and save the file */

        return;
    }

    ev->log = ngx_cycle->log;

    smcf = ngx_http_cycle_get_module_main_conf((ngx_cycle_t *) ngx_cycle,
                                             ngx_http_aggregate_split_module);

    zones = smcf ? smcf->zones.elts : NULL;

    for (i = 0; smcf && i < smcf->zones.nelts; i++) {

        splits = zones[i]->splits.elts;
        changed = 0;

        for (k = 0; k < zones[i]->splits.nelts; k++) {
            changed |= ngx_http_aggregate_split_look(splits[k], ev->log);
        }

        if (changed) {
            (void) ngx_http_aggregate_split_save(zones[i], ev->log);
        }
    }

    ngx_add_timer(ev, NGX_HTTP_AGGREGATE_SPLIT_TIMER);
}


static ngx_uint_t
ngx_http_aggregate_split_look(ngx_http_aggregate_split_conf_t *split,
    ngx_log_t *log)
{
    unsigned           i, n;
    agg_split_event_t  events[AGG_SPLIT_VERSIONS];

    /*
     * read without the lock: at worst, there is one evaluation too many or too
     * late
     */

    if (split->state->looked
        && ngx_current_msec - split->state->looked < AGG_SPLIT_TICK)
    {
        return 0;
    }

    n = 0;

    ngx_shmtx_lock(&split->zone->shpool->mutex);

    if (split->state->text == split->text) {
        n = agg_split_look(split->state, split->plans, &split->rule,
                           ngx_current_msec, events);
    }

    ngx_shmtx_unlock(&split->zone->shpool->mutex);

    for (i = 0; i < n; i++) {
        ngx_http_aggregate_split_log(split, &events[i], log);
    }

    return n != 0;
}


static void
ngx_http_aggregate_split_log(ngx_http_aggregate_split_conf_t *split,
    agg_split_event_t *event, ngx_log_t *log)
{
    ngx_str_t  *version, *base;

    version = &split->names[event->version];
    base = &split->names[0];

    if (event->state != AGG_SPLIT_ABORTED) {
        ngx_log_error(NGX_LOG_NOTICE, log, 0,
                      "split \"$%V\": version \"%V\" goes from %uD.%02uD%% to "
                      "%uD.%02uD%%, %s", &split->name, version,
                      event->from / 100, event->from % 100, event->to / 100,
                      event->to % 100,
                      agg_split_state_name(event->state));
        return;
    }

    ngx_log_error(NGX_LOG_ERR, log, 0,
                  "split \"$%V\": version \"%V\" is aborted at %uD.%02uD%% for "
                  "its %s: %uL of %uL calls failed, 95th percentile %.0fms; "
                  "\"%V\": %uL of %uL calls failed, 95th percentile %.0fms; "
                  "window of %Mms",
                  &split->name, version, event->from / 100, event->from % 100,
                  agg_split_why_text(event->why), event->errors, event->calls,
                  event->p95, base, event->base.errors, event->base.calls,
                  event->base.p95, (ngx_msec_t) split->rule.window);
}
