
#include "ngx_http_breaker.h"

#include <cjson/cJSON.h>


static void ngx_http_breaker_json_zone(ngx_http_breaker_text_t *text,
    ngx_http_breaker_zone_t *zone);
static void ngx_http_breaker_json_row(ngx_http_breaker_text_t *text,
    ngx_http_breaker_row_t *row);
static ngx_int_t ngx_http_breaker_json_transitions(cJSON *object,
    ngx_http_breaker_row_t *row);
static ngx_int_t ngx_http_breaker_json_string(cJSON *object, const char *name,
    ngx_str_t *value);
static double ngx_http_breaker_seconds(int64_t ms);
static double ngx_http_breaker_rate(uint64_t part, uint64_t of);
static void ngx_http_breaker_json_print(ngx_http_breaker_text_t *text,
    cJSON *object, ngx_uint_t valid);


/* writes object by object, so that a long list is in memory once */

void
ngx_http_breaker_json(ngx_http_breaker_text_t *text,
    ngx_http_breaker_report_t *report)
{
    ngx_uint_t                 i;
    ngx_http_breaker_row_t    *rows;
    ngx_http_breaker_zone_t  **zones;

    ngx_http_breaker_write(text, "{\"zones\":[");

    zones = report->zones.elts;

    for (i = 0; i < report->zones.nelts; i++) {
        ngx_http_breaker_write(text, i ? ",\n" : "\n");
        ngx_http_breaker_json_zone(text, zones[i]);
    }

    ngx_http_breaker_write(text, "\n],\"breakers\":[");

    rows = report->rows.elts;

    for (i = 0; i < report->rows.nelts; i++) {
        ngx_http_breaker_write(text, i ? ",\n" : "\n");
        ngx_http_breaker_json_row(text, &rows[i]);
    }

    ngx_http_breaker_write(text, "\n],\"omitted\":%ui}\n", report->omitted);
}


void
ngx_http_breaker_json_change(ngx_http_breaker_text_t *text,
    ngx_http_breaker_zone_t *zone, ngx_str_t *key, ngx_str_t *action,
    brk_event_t *event)
{
    cJSON       *object;
    ngx_uint_t   valid;

    object = cJSON_CreateObject();

    valid = object
        && ngx_http_breaker_json_string(object, "zone", &zone->name) == NGX_OK
        && ngx_http_breaker_json_string(object, "key", key) == NGX_OK
        && ngx_http_breaker_json_string(object, "action", action) == NGX_OK
        && cJSON_AddStringToObject(object, "from",
                                   brk_state_name(event->from))
        && cJSON_AddStringToObject(object, "to", brk_state_name(event->to))
        && cJSON_AddBoolToObject(object, "changed",
                                 event->from != event->to);

    ngx_http_breaker_json_print(text, object, valid);
    ngx_http_breaker_write(text, "\n");
}


void
ngx_http_breaker_json_error(ngx_http_breaker_text_t *text,
    const char *message)
{
    cJSON       *object;
    ngx_uint_t   valid;

    object = cJSON_CreateObject();
    valid = object && cJSON_AddStringToObject(object, "error", message);

    ngx_http_breaker_json_print(text, object, valid);
    ngx_http_breaker_write(text, "\n");
}


static void
ngx_http_breaker_json_zone(ngx_http_breaker_text_t *text,
    ngx_http_breaker_zone_t *zone)
{
    cJSON        *object;
    ngx_uint_t    valid;
    brk_table_t  *t;

    t = zone->table;
    object = cJSON_CreateObject();

    valid = object
        && ngx_http_breaker_json_string(object, "name", &zone->name) == NGX_OK
        && cJSON_AddNumberToObject(object, "slots", t->slots)
        && cJSON_AddNumberToObject(object, "used", t->used)
        && cJSON_AddNumberToObject(object, "evicted", (double) t->evicted)
        && cJSON_AddNumberToObject(object, "refused", (double) t->refused)
        && cJSON_AddNumberToObject(object, "repaired", (double) t->repaired);

    ngx_http_breaker_json_print(text, object, valid);
}


static void
ngx_http_breaker_json_row(ngx_http_breaker_text_t *text,
    ngx_http_breaker_row_t *row)
{
    cJSON          *object, *item;
    int64_t         now;
    ngx_time_t     *tp;
    ngx_uint_t      valid;
    brk_sum_t      *sum;
    brk_totals_t   *totals;

    tp = ngx_timeofday();
    now = (int64_t) tp->sec * 1000 + tp->msec;

    sum = &row->sum;
    totals = &row->totals;

    object = cJSON_CreateObject();
    item = (row->state == BRK_OPEN)
           ? cJSON_CreateNumber(ngx_http_breaker_seconds(now + row->left))
           : cJSON_CreateNull();

    valid = object && item
        && ngx_http_breaker_json_string(object, "zone", &row->zone->name)
           == NGX_OK
        && ngx_http_breaker_json_string(object, "key", &row->shown) == NGX_OK
        && cJSON_AddStringToObject(object, "state",
                                   brk_state_name(row->state))
        && cJSON_AddStringToObject(object, "reason", brk_why_text(row->why))
        && cJSON_AddNumberToObject(object, "since",
                               ngx_http_breaker_seconds(now - row->age))
        && cJSON_AddNumberToObject(object, "calls", (double) sum->calls)
        && cJSON_AddNumberToObject(object, "failures", (double) sum->failures)
        && cJSON_AddNumberToObject(object, "slow", (double) sum->slow)
        && cJSON_AddNumberToObject(object, "failure_rate",
                         ngx_http_breaker_rate(sum->failures, sum->calls))
        && cJSON_AddNumberToObject(object, "slow_rate",
                         ngx_http_breaker_rate(sum->slow, sum->calls))
        && cJSON_AddNumberToObject(object, "consecutive_failures",
                                   row->consecutive);

    if (item) {
        if (object) {
            cJSON_AddItemToObject(object, "open_until", item);

        } else {
            cJSON_Delete(item);
        }
    }

    valid = valid
        && cJSON_AddNumberToObject(object, "probes", row->live)
        && cJSON_AddNumberToObject(object, "probes_succeeded", row->succeeded)
        && cJSON_AddNumberToObject(object, "rejections",
                                   (double) totals->rejected)
        && cJSON_AddNumberToObject(object, "dry_rejections",
                                   (double) totals->dry_rejected)
        && ngx_http_breaker_json_transitions(object, row) == NGX_OK;

    ngx_http_breaker_json_print(text, object, valid);
}


static ngx_int_t
ngx_http_breaker_json_transitions(cJSON *object, ngx_http_breaker_row_t *row)
{
    cJSON         *to, *outcomes;
    double         n;
    unsigned       i;
    brk_totals_t  *totals;

    totals = &row->totals;

    for (i = 0, n = 0; i < BRK_STATES; i++) {
        n += (double) totals->entered[i];
    }

    if (cJSON_AddNumberToObject(object, "transitions", n) == NULL) {
        return NGX_ERROR;
    }

    to = cJSON_AddObjectToObject(object, "transitions_to");

    for (i = 0; to && i < BRK_STATES; i++) {
        if (cJSON_AddNumberToObject(to, brk_state_name(i),
                                    (double) totals->entered[i])
            == NULL)
        {
            return NGX_ERROR;
        }
    }

    outcomes = cJSON_AddObjectToObject(object, "outcomes");

    if (to && outcomes
        && cJSON_AddNumberToObject(outcomes, "success",
                                   (double) totals->success)
        && cJSON_AddNumberToObject(outcomes, "failure",
                                   (double) totals->failure)
        && cJSON_AddNumberToObject(outcomes, "slow", (double) totals->slow)
        && cJSON_AddNumberToObject(outcomes, "neutral",
                                   (double) totals->neutral))
    {
        return NGX_OK;
    }

    return NGX_ERROR;
}


static ngx_int_t
ngx_http_breaker_json_string(cJSON *object, const char *name,
    ngx_str_t *value)
{
    u_char  text[BRK_KEY_MAX * GW_SHOW * GW_JSON + 3], *last;

    text[0] = '"';
    last = gw_escape_json(text + 1, value->data,
                          ngx_min(value->len, BRK_KEY_MAX * GW_SHOW));
    *last++ = '"';
    *last = '\0';

    if (cJSON_AddRawToObject(object, name, (char *) text) == NULL) {
        return NGX_ERROR;
    }

    return NGX_OK;
}


static double
ngx_http_breaker_seconds(int64_t ms)
{
    return (double) ms / 1000;
}


/* in per cent, with two digits */

static double
ngx_http_breaker_rate(uint64_t part, uint64_t of)
{
    uint64_t  hundredths;

    hundredths = of ? part * BRK_RATE_FULL / of : 0;

    return (double) hundredths / 100;
}


static void
ngx_http_breaker_json_print(ngx_http_breaker_text_t *text, cJSON *object,
    ngx_uint_t valid)
{
    char  *printed;

    printed = valid ? cJSON_PrintUnformatted(object) : NULL;

    if (printed) {
        ngx_http_breaker_write(text, "%s", printed);
        cJSON_free(printed);

    } else {
        text->out.failed = 1;
    }

    cJSON_Delete(object);
}
