
/* the status of the splits, and changes by POST */

#include "ngx_http_aggregate_split.h"
#include "ngx_http_gw_decimal.h"
#include "ngx_http_gw_origin.h"


/* a change by hand, as it is reported; shares are in 1/100 % */

typedef struct {
    ngx_uint_t  version;
    ngx_uint_t  from;
    ngx_uint_t  to;
    ngx_uint_t  state;
} ngx_http_aggregate_split_result_t;


static ngx_int_t ngx_http_aggregate_split_get(ngx_http_request_t *r);
static ngx_int_t ngx_http_aggregate_split_post(ngx_http_request_t *r);
static const char *ngx_http_aggregate_split_args(ngx_http_request_t *r,
    ngx_str_t *action, ngx_int_t *percent);
static ngx_int_t ngx_http_aggregate_split_send(ngx_http_request_t *r,
    ngx_http_aggregate_split_conf_t *split,
    ngx_http_aggregate_split_result_t *result);
static ngx_http_aggregate_split_conf_t *ngx_http_aggregate_split_find(
    ngx_http_request_t *r);
static ngx_uint_t ngx_http_aggregate_split_find_version(ngx_http_request_t *r,
    ngx_http_aggregate_split_conf_t *split);
static ngx_int_t ngx_http_aggregate_split_change(
    ngx_http_aggregate_split_conf_t *split, ngx_str_t *action,
    ngx_int_t percent, ngx_http_aggregate_split_result_t *result);
static ngx_int_t ngx_http_aggregate_split_error(ngx_http_request_t *r,
    ngx_uint_t status, const char *text);


static ngx_str_t  ngx_http_aggregate_split_actions[] = {
    ngx_string("abort"),
    ngx_string("pause"),
    ngx_string("resume"),
    ngx_string("reset"),
    ngx_null_string
};


ngx_int_t
ngx_http_aggregate_split_status_handler(ngx_http_request_t *r)
{
    ngx_int_t  rc;

    if (!(r->method & (NGX_HTTP_GET|NGX_HTTP_HEAD|NGX_HTTP_POST))) {
        return NGX_HTTP_NOT_ALLOWED;
    }

    rc = ngx_http_discard_request_body(r);

    if (rc != NGX_OK) {
        return rc;
    }

    return (r->method == NGX_HTTP_POST) ? ngx_http_aggregate_split_post(r)
                                        : ngx_http_aggregate_split_get(r);
}


static ngx_int_t
ngx_http_aggregate_split_get(ngx_http_request_t *r)
{
    ngx_str_t                              value;
    const char                            *type;
    ngx_http_aggregate_route_out_t         out;
    ngx_http_aggregate_split_main_conf_t  *smcf;

    smcf = ngx_http_get_module_main_conf(r, ngx_http_aggregate_split_module);

    ngx_http_aggregate_route_out(&out, r->pool);

    if (ngx_http_arg(r, (u_char *) "format", 6, &value) != NGX_OK) {
        value.len = 0;
    }

    if (value.len == 10 && ngx_strncmp(value.data, "prometheus", 10) == 0) {
        type = GW_PROMETHEUS_TEXT;
        ngx_http_aggregate_split_prometheus(&out.out, &smcf->splits);

    } else if (value.len == 4 && ngx_strncmp(value.data, "html", 4) == 0) {
        type = "text/html; charset=utf-8";
        ngx_http_aggregate_split_html(&out.out, &smcf->splits);

    } else {
        type = "application/json";
        ngx_http_aggregate_split_json(&out.out, &smcf->splits);
    }

    return ngx_http_aggregate_route_send(r, &out, NGX_HTTP_OK, type);
}


static ngx_int_t
ngx_http_aggregate_split_post(ngx_http_request_t *r)
{
    ngx_int_t                          percent;
    ngx_str_t                          action;
    const char                        *text;
    ngx_http_aggregate_split_conf_t   *split;
    ngx_http_aggregate_split_result_t  result;

    if (ngx_http_gw_is_foreign(r)) {
        return ngx_http_aggregate_split_error(r, NGX_HTTP_FORBIDDEN,
                                              "sent by another site");
    }

    split = ngx_http_aggregate_split_find(r);
    result.version = split ? ngx_http_aggregate_split_find_version(r, split)
                           : 0;

    if (result.version == 0) {
        return ngx_http_aggregate_split_error(r, NGX_HTTP_NOT_FOUND,
                                              split ? "no such version"
                                                    : "no such split");
    }

    text = ngx_http_aggregate_split_args(r, &action, &percent);

    if (text) {
        return ngx_http_aggregate_split_error(r, NGX_HTTP_BAD_REQUEST, text);
    }

    if (split->zone == NULL) {
        return ngx_http_aggregate_split_error(r, NGX_HTTP_CONFLICT,
                                              "the split has no zone");
    }

    if (ngx_http_aggregate_split_change(split, &action, percent, &result)
        != NGX_OK)
    {
        return ngx_http_aggregate_split_error(r, NGX_HTTP_CONFLICT,
                                   "the shares would be over 100%, or the "
                                   "state does not allow it");
    }

    ngx_log_error(NGX_LOG_NOTICE, r->connection->log, 0,
                  "split \"$%V\": version \"%V\" goes from %ui.%02ui%% to "
                  "%ui.%02ui%% by hand, %s", &split->name,
                  &split->names[result.version], result.from / 100,
                  result.from % 100, result.to / 100, result.to % 100,
                  agg_split_state_name((unsigned) result.state));

    return ngx_http_aggregate_split_send(r, split, &result);
}


/* NULL, or the error in the arguments */

static const char *
ngx_http_aggregate_split_args(ngx_http_request_t *r, ngx_str_t *action,
    ngx_int_t *percent)
{
    ngx_str_t   value;
    ngx_uint_t  i;

    *percent = NGX_ERROR;
    action->len = 0;

    if (ngx_http_arg(r, (u_char *) "percent", 7, &value) == NGX_OK) {

        *percent = ngx_http_gw_hundredths(value.data, value.len);

        if (*percent == NGX_ERROR || *percent > AGG_SPLIT_FULL) {
            return "percent must be from 0 to 100 in steps of 0.01";
        }
    }

    if (ngx_http_arg(r, (u_char *) "action", 6, &value) == NGX_OK) {

        for (i = 0; ngx_http_aggregate_split_actions[i].len; i++) {
            *action = ngx_http_aggregate_split_actions[i];

            if (action->len == value.len
                && ngx_strncmp(action->data, value.data, value.len) == 0)
            {
                break;
            }

            action->len = 0;
        }

        if (action->len == 0) {
            *percent = NGX_ERROR;
        }
    }

    if ((action->len == 0) == (*percent == NGX_ERROR)) {
        return "either percent, or an action of abort, pause, resume, reset";
    }

    return NULL;
}


/* saves the change, and responds with it */

static ngx_int_t
ngx_http_aggregate_split_send(ngx_http_request_t *r,
    ngx_http_aggregate_split_conf_t *split,
    ngx_http_aggregate_split_result_t *result)
{
    ngx_int_t                       rc;
    ngx_str_t                      *version;
    ngx_http_aggregate_route_out_t  out;

    version = &split->names[result->version];

    rc = ngx_http_aggregate_split_save(split->zone, r->connection->log);

    ngx_http_aggregate_route_out(&out, r->pool);

    gw_out_text(&out.out, "{\"split\":\"");
    gw_out_json(&out.out, split->name.data, split->name.len);
    gw_out_text(&out.out, "\",\"version\":\"");
    gw_out_json(&out.out, version->data, version->len);
    gw_out_text(&out.out, "\",\"from\":");
    gw_out_decimal(&out.out, result->from, 2, 0);
    gw_out_text(&out.out, ",\"to\":");
    gw_out_decimal(&out.out, result->to, 2, 0);
    gw_out_text(&out.out, ",\"state\":\"");
    gw_out_text(&out.out, agg_split_state_name((unsigned) result->state));
    gw_out_text(&out.out, "\",\"persisted\":");
    gw_out_text(&out.out, (rc == NGX_OK && split->zone->file.len)
                          ? "true}\n" : "false}\n");

    return ngx_http_aggregate_route_send(r, &out,
                                         rc == NGX_OK
                                         ? NGX_HTTP_OK
                                         : NGX_HTTP_SERVICE_UNAVAILABLE,
                                         "application/json");
}


static ngx_http_aggregate_split_conf_t *
ngx_http_aggregate_split_find(ngx_http_request_t *r)
{
    ngx_str_t                              name;
    ngx_uint_t                             i;
    ngx_http_aggregate_split_conf_t      **splits;
    ngx_http_aggregate_split_main_conf_t  *smcf;

    smcf = ngx_http_get_module_main_conf(r, ngx_http_aggregate_split_module);

    splits = smcf->splits.elts;

    if (ngx_http_arg(r, (u_char *) "split", 5, &name) != NGX_OK) {
        return (smcf->splits.nelts == 1) ? splits[0] : NULL;
    }

    for (i = 0; i < smcf->splits.nelts; i++) {
        if (splits[i]->name.len == name.len
            && ngx_strncmp(splits[i]->name.data, name.data, name.len) == 0)
        {
            return splits[i];
        }
    }

    return NULL;
}


/* 0: there is none, or it is the default, whose share cannot be set */

static ngx_uint_t
ngx_http_aggregate_split_find_version(ngx_http_request_t *r,
    ngx_http_aggregate_split_conf_t *split)
{
    ngx_str_t   name;
    ngx_uint_t  i;

    if (ngx_http_arg(r, (u_char *) "version", 7, &name) != NGX_OK) {
        return 0;
    }

    for (i = 1; i < split->nversions; i++) {
        if (split->names[i].len == name.len
            && ngx_strncmp(split->names[i].data, name.data, name.len) == 0)
        {
            return i;
        }
    }

    return 0;
}


static ngx_int_t
ngx_http_aggregate_split_change(ngx_http_aggregate_split_conf_t *split,
    ngx_str_t *action, ngx_int_t percent,
    ngx_http_aggregate_split_result_t *result)
{
    int                rc;
    uint64_t           now;
    unsigned           i;
    agg_split_t       *s;
    agg_split_plan_t  *plan;

    s = split->state;
    i = (unsigned) result->version;
    plan = &split->plans[i];
    now = ngx_current_msec;

    ngx_shmtx_lock(&split->zone->shpool->mutex);

    rc = -1;

    if (s->text == split->text) {

        result->from = s->versions[i].percent;

        switch (action->len ? action->data[2] : 0) {

        case 'o': /* abort */
            rc = agg_split_abort(s, i, now);
            break;

        case 'u': /* pause */
            rc = agg_split_pause(s, i, now);
            break;

        case 's':

            rc = (action->len == 6) ? agg_split_resume(s, i, plan, now)
                                    : agg_split_reset(s, i, plan, now);
            break;

        default:
            rc = agg_split_set(s, i, (uint32_t) percent, now);
        }

        result->to = s->versions[i].percent;
        result->state = s->versions[i].state;
    }

    ngx_shmtx_unlock(&split->zone->shpool->mutex);

    return rc == 0 ? NGX_OK : NGX_DECLINED;
}


static ngx_int_t
ngx_http_aggregate_split_error(ngx_http_request_t *r, ngx_uint_t status,
    const char *text)
{
    ngx_http_aggregate_route_out_t  out;

    ngx_http_aggregate_route_out(&out, r->pool);

    gw_out_text(&out.out, "{\"error\":\"");
    gw_out_text(&out.out, text);
    gw_out_text(&out.out, "\"}\n");

    return ngx_http_aggregate_route_send(r, &out, status, "application/json");
}
