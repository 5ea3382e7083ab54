
#include "ngx_http_breaker.h"


static void ngx_http_breaker_set_clock(brk_clock_t *clock,
    ngx_http_breaker_policy_t *policy);
static void ngx_http_breaker_lock(ngx_http_breaker_zone_t *zone);
static void ngx_http_breaker_unlock(ngx_http_breaker_zone_t *zone,
    ngx_log_t *log);
static void ngx_http_breaker_log_call(ngx_http_breaker_ctx_t *ctx,
    brk_event_t *event, ngx_log_t *log);
static void ngx_http_breaker_log_event(ngx_http_breaker_zone_t *zone,
    u_char *key, size_t len, brk_event_t *event, ngx_uint_t level,
    ngx_log_t *log);
static void ngx_http_breaker_log_full(ngx_http_breaker_zone_t *zone,
    brk_key_t *key, ngx_log_t *log);


ngx_int_t
ngx_http_breaker_zone_init(ngx_shm_zone_t *shm_zone, void *data)
{
    ngx_http_breaker_zone_t  *ozone = data;

    size_t                    size;
    uint64_t                  seed[2];
    brk_table_t              *table;
    ngx_slab_pool_t          *shpool;
    ngx_http_breaker_zone_t  *zone;

    zone = shm_zone->data;
    shpool = (ngx_slab_pool_t *) shm_zone->shm.addr;
    zone->shpool = shpool;

    if (ozone || shm_zone->shm.exists) {
        table = shpool->data;

        if (table == NULL || brk_table_check(table, table->size) != 0) {
            ngx_log_error(NGX_LOG_EMERG, shm_zone->shm.log, 0,
                          "breaker zone \"%V\" was made by another version "
                          "of the module, rename it", &zone->name);
            return NGX_ERROR;
        }

        zone->table = table;
        zone->repaired = table->repaired;

        return NGX_OK;
    }

    shpool->log_nomem = 0;

    /*
     * the table takes all pages of the zone, less what the slab pool may need
     */

    size = shpool->pfree << ngx_pagesize_shift;

    table = ngx_slab_alloc(shpool, size);

    seed[0] = ((uint64_t) ngx_random() << 32) ^ ngx_random()
              ^ ((uint64_t) ngx_time() << 20);
    seed[1] = ((uint64_t) ngx_random() << 32) ^ ngx_random()
              ^ (uintptr_t) shm_zone ^ ((uint64_t) ngx_pid << 40);

    if (table == NULL || brk_table_init(table, size, seed) != 0) {
        ngx_log_error(NGX_LOG_EMERG, shm_zone->shm.log, 0,
                      "breaker zone \"%V\" is too small", &zone->name);
        return NGX_ERROR;
    }

    zone->table = table;
    shpool->data = table;

    return NGX_OK;
}


brk_verdict_e
ngx_http_breaker_acquire(ngx_http_breaker_ctx_t *ctx,
    ngx_http_breaker_guard_t *guard, brk_key_t *key, ngx_log_t *log)
{
    brk_clock_t               clock;
    brk_verdict_e             verdict;
    ngx_http_breaker_zone_t  *zone;

    zone = guard->zone;

    ngx_http_breaker_set_clock(&clock, guard->policy);

    ngx_http_breaker_lock(zone);

    verdict = brk_table_acquire(zone->table, key, &clock, guard->dry_run,
                                &ctx->permit);

    ngx_http_breaker_unlock(zone, log);

    if (verdict == BRK_FULL) {
        ngx_http_breaker_log_full(zone, key, log);
        return verdict;
    }

    if (clock.event.from != clock.event.to) {
        ngx_http_breaker_log_event(zone, (u_char *) key->data, key->len,
                                   &clock.event, ctx->log_level, log);
    }

    return verdict;
}


void
ngx_http_breaker_settle(ngx_http_breaker_ctx_t *ctx, ngx_log_t *log)
{
    brk_outcome_t             outcome;
    brk_clock_t               clock;
    ngx_http_breaker_zone_t  *zone;

    zone = ctx->subject.zone;
    outcome = ctx->outcome;

    if (!outcome.neutral && !outcome.failure && !outcome.slow
        && brk_table_pass(zone->table, &ctx->permit, &ctx->policy->policy,
                          ngx_current_msec))
    {
        return;
    }

    ngx_http_breaker_set_clock(&clock, ctx->policy);

    ngx_http_breaker_lock(zone);

    brk_table_settle(zone->table, &ctx->permit, &clock, outcome);

    ngx_http_breaker_unlock(zone, log);

    ngx_http_breaker_log_call(ctx, &clock.event, log);
}


void
ngx_http_breaker_overdue(ngx_http_breaker_ctx_t *ctx, ngx_log_t *log)
{
    brk_clock_t               clock;
    ngx_http_breaker_zone_t  *zone;

    zone = ctx->subject.zone;

    ngx_http_breaker_set_clock(&clock, ctx->policy);

    ngx_http_breaker_lock(zone);

    brk_table_overdue(zone->table, &ctx->permit, &clock);

    ngx_http_breaker_unlock(zone, log);

    ngx_http_breaker_log_call(ctx, &clock.event, log);
}


void
ngx_http_breaker_late(ngx_http_breaker_ctx_t *ctx, ngx_uint_t probe,
    ngx_log_t *log)
{
    brk_clock_t               clock;
    ngx_http_breaker_zone_t  *zone;

    zone = ctx->subject.zone;

    ngx_http_breaker_set_clock(&clock, ctx->policy);

    ngx_http_breaker_lock(zone);

    brk_table_late(zone->table, &ctx->permit, &clock, ctx->outcome,
                   probe != 0);

    ngx_http_breaker_unlock(zone, log);

    ngx_http_breaker_log_call(ctx, &clock.event, log);
}


void
ngx_http_breaker_await(ngx_http_breaker_zone_t *zone, brk_permit_t *permit,
    ngx_log_t *log)
{
    brk_slot_t  *slot;

    ngx_http_breaker_lock(zone);

    slot = brk_table_slot(zone->table, permit->index, permit->born);

    if (slot) {
        brk_await(&slot->breaker, &permit->token);
    }

    ngx_http_breaker_unlock(zone, log);
}


void
ngx_http_breaker_resume(ngx_http_breaker_zone_t *zone,
    ngx_http_breaker_policy_t *policy, brk_permit_t *permit, ngx_log_t *log)
{
    brk_slot_t    *slot;
    brk_clock_t    clock;

    ngx_http_breaker_set_clock(&clock, policy);

    ngx_http_breaker_lock(zone);

    slot = brk_table_slot(zone->table, permit->index, permit->born);

    if (slot) {
        brk_resume(&slot->breaker, &clock, &permit->token);
    }

    ngx_http_breaker_unlock(zone, log);
}


ngx_int_t
ngx_http_breaker_force(ngx_http_breaker_zone_t *zone, brk_key_t *key,
    brk_state_e state, brk_event_t *event, ngx_log_t *log)
{
    brk_slot_t    *slot;
    brk_clock_t    clock;

    ngx_http_breaker_set_clock(&clock, NULL);

    ngx_http_breaker_lock(zone);

    slot = brk_table_find(zone->table, key);

    if (slot) {
        brk_force(&slot->breaker, &clock, state);
        brk_table_place(zone->table, slot, 1);
    }

    ngx_http_breaker_unlock(zone, log);

    if (slot == NULL) {
        return NGX_DECLINED;
    }

    if (clock.event.from != clock.event.to) {
        ngx_http_breaker_log_event(zone, (u_char *) key->data, key->len,
                                   &clock.event, NGX_LOG_WARN, log);
    }

    *event = clock.event;

    return NGX_OK;
}


ngx_int_t
ngx_http_breaker_peek(ngx_http_breaker_zone_t *zone, brk_key_t *key,
    brk_slot_t *slot, ngx_log_t *log)
{
    brk_slot_t  *found;

    ngx_http_breaker_lock(zone);

    found = brk_table_find(zone->table, key);

    if (found) {
        *slot = *found;
    }

    ngx_http_breaker_unlock(zone, log);

    return found ? NGX_OK : NGX_DECLINED;
}


ngx_int_t
ngx_http_breaker_peek_at(ngx_http_breaker_zone_t *zone, ngx_uint_t index,
    brk_slot_t *slot, ngx_log_t *log)
{
    brk_slot_t  *found;

    ngx_http_breaker_lock(zone);

    found = brk_table_at(zone->table, index);

    if (found) {
        *slot = *found;
    }

    ngx_http_breaker_unlock(zone, log);

    return found ? NGX_OK : NGX_DECLINED;
}


static void
ngx_http_breaker_set_clock(brk_clock_t *clock,
    ngx_http_breaker_policy_t *policy)
{
    /* xorshift: random() for each call would cost more than the breaker */

    static uint32_t  state;

    if (state == 0) {
        state = (uint32_t) ngx_random() | 1;
    }

    state ^= state << 13;
    state ^= state >> 17;
    state ^= state << 5;

    clock->policy = policy ? &policy->policy : NULL;
    clock->now = ngx_current_msec;
    clock->random = state;
    clock->event.from = 0;
    clock->event.to = 0;
}


static void
ngx_http_breaker_lock(ngx_http_breaker_zone_t *zone)
{
    ngx_shmtx_lock(&zone->shpool->mutex);

    brk_table_enter(zone->table);
}


static void
ngx_http_breaker_unlock(ngx_http_breaker_zone_t *zone, ngx_log_t *log)
{
    uint64_t  repaired;

    repaired = zone->table->repaired;

    brk_table_leave(zone->table);

    ngx_shmtx_unlock(&zone->shpool->mutex);

    if (zone->repaired != repaired) {
        zone->repaired = repaired;
        ngx_log_error(NGX_LOG_WARN, log, 0,
                      "breaker zone \"%V\" was repaired after a worker died "
                      "while changing it", &zone->name);
    }
}


static void
ngx_http_breaker_log_call(ngx_http_breaker_ctx_t *ctx, brk_event_t *event,
    ngx_log_t *log)
{
    if (event->from != event->to) {
        ngx_http_breaker_log_event(ctx->subject.zone, ctx->subject.key.data,
                                   ctx->subject.key.len, event,
                                   ctx->log_level, log);
    }
}


/* "level" is for a breaker that opens; anything else is a warning at most */

static void
ngx_http_breaker_log_event(ngx_http_breaker_zone_t *zone, u_char *key,
    size_t len, brk_event_t *event, ngx_uint_t level, ngx_log_t *log)
{
    u_char  shown[BRK_KEY_MAX * GW_SHOW], *last, open_for[64];

    last = gw_show(shown, key, len);

    open_for[0] = '\0';

    if (event->to == BRK_OPEN) {
        (void) ngx_snprintf(open_for, sizeof(open_for), ", open for %Mms%Z",
                            (ngx_msec_t) event->open_for);
    }

    if (event->to != BRK_OPEN) {
        level = ngx_max(level, NGX_LOG_WARN);
    }

    ngx_log_error(level, log, 0,
                  "breaker \"%*s\" in zone \"%V\": %s -> %s, %s "
                  "(%uD in a row, calls: %uL, failures: %uL, slow: %uL)%s",
                  (size_t) (last - shown), shown, &zone->name,
                  brk_state_name(event->from), brk_state_name(event->to),
                  brk_why_text(event->why), event->consecutive,
                  event->sum.calls, event->sum.failures, event->sum.slow,
                  open_for);
}


/* at most once a second, as there may be thousands of such requests */

static void
ngx_http_breaker_log_full(ngx_http_breaker_zone_t *zone, brk_key_t *key,
    ngx_log_t *log)
{
    u_char  shown[BRK_KEY_MAX * GW_SHOW], *last;

    if (zone->full == ngx_time()) {
        return;
    }

    zone->full = ngx_time();

    last = gw_show(shown, key->data, key->len);

    ngx_log_error(NGX_LOG_ERR, log, 0,
                  "breaker zone \"%V\" is full of open breakers, "
                  "key \"%*s\" is not guarded",
                  &zone->name, (size_t) (last - shown), shown);
}
