
#include "ngx_http_breaker.h"


#define NGX_HTTP_BREAKER_ROWS   10000
#define NGX_HTTP_BREAKER_CHUNK  ((size_t) 16384)

/* the most that one ngx_http_breaker_write() can write */

#define NGX_HTTP_BREAKER_PIECE  8192


static ngx_int_t ngx_http_breaker_collect_key(ngx_http_request_t *r,
    ngx_http_breaker_zone_t *zone, ngx_str_t *text,
    ngx_http_breaker_report_t *report);
static ngx_int_t ngx_http_breaker_collect_zone(ngx_http_request_t *r,
    ngx_http_breaker_zone_t *zone, ngx_uint_t closed,
    ngx_http_breaker_report_t *report);
static ngx_int_t ngx_http_breaker_fill_row(ngx_http_request_t *r,
    ngx_http_breaker_zone_t *zone, brk_slot_t *slot,
    ngx_http_breaker_row_t *row);
static int ngx_libc_cdecl ngx_http_breaker_cmp_rows(const void *one,
    const void *two);
static int ngx_http_breaker_text_more(gw_out_t *out, size_t n);


/* the breakers that are not closed come first, in case there are too many */

ngx_int_t
ngx_http_breaker_collect(ngx_http_request_t *r, ngx_http_breaker_zone_t *zone,
    ngx_str_t *key, ngx_http_breaker_report_t *report)
{
    ngx_uint_t                      i, closed;
    ngx_http_breaker_zone_t       **zones, **told;
    ngx_http_breaker_main_conf_t   *bmcf;

    bmcf = ngx_http_get_module_main_conf(r, ngx_http_breaker_module);

    report->omitted = 0;
    report->conf = bmcf;
    report->filter.len = 0;
    report->state.len = 0;

    if (ngx_array_init(&report->zones, r->pool, 4,
                       sizeof(ngx_http_breaker_zone_t *))
        != NGX_OK
        || ngx_array_init(&report->rows, r->pool, 16,
                          sizeof(ngx_http_breaker_row_t))
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    zones = bmcf->zones.elts;

    for (i = 0; i < bmcf->zones.nelts; i++) {

        if (zone && zone != zones[i]) {
            continue;
        }

        told = ngx_array_push(&report->zones);
        if (told == NULL) {
            return NGX_ERROR;
        }

        *told = zones[i];
    }

    told = report->zones.elts;

    for (i = 0; key && i < report->zones.nelts; i++) {
        if (ngx_http_breaker_collect_key(r, told[i], key, report) != NGX_OK) {
            return NGX_ERROR;
        }
    }

    if (key) {
        return NGX_OK;
    }

    for (closed = 0; closed < 2; closed++) {
        for (i = 0; i < report->zones.nelts; i++) {
            if (ngx_http_breaker_collect_zone(r, told[i], closed, report)
                != NGX_OK)
            {
                return NGX_ERROR;
            }
        }
    }

    ngx_qsort(report->rows.elts, report->rows.nelts,
              sizeof(ngx_http_breaker_row_t), ngx_http_breaker_cmp_rows);

    return NGX_OK;
}


static ngx_int_t
ngx_http_breaker_collect_key(ngx_http_request_t *r,
    ngx_http_breaker_zone_t *zone, ngx_str_t *text,
    ngx_http_breaker_report_t *report)
{
    ngx_int_t                rc;
    brk_key_t                key;
    brk_slot_t               slot;
    ngx_http_breaker_row_t  *row;

    if (ngx_http_breaker_make_key(r->pool, zone, text, &key) != NGX_OK) {
        return NGX_ERROR;
    }

    rc = ngx_http_breaker_peek(zone, &key, &slot, r->connection->log);

    if (rc == NGX_DECLINED && key.len == BRK_KEY_MAX && !key.digest) {

        /* a long key, as it is displayed */

        key.digest = 1;
        rc = ngx_http_breaker_peek(zone, &key, &slot, r->connection->log);
    }

    if (rc != NGX_OK) {
        return NGX_OK;
    }

    row = ngx_array_push(&report->rows);
    if (row == NULL) {
        return NGX_ERROR;
    }

    return ngx_http_breaker_fill_row(r, zone, &slot, row);
}


static ngx_int_t
ngx_http_breaker_collect_zone(ngx_http_request_t *r,
    ngx_http_breaker_zone_t *zone, ngx_uint_t closed,
    ngx_http_breaker_report_t *report)
{
    brk_slot_t               slot;
    ngx_uint_t               i;
    ngx_http_breaker_row_t  *row;

    for (i = 0; i < zone->table->slots; i++) {

        if (ngx_http_breaker_peek_at(zone, i, &slot, r->connection->log)
            != NGX_OK
            || (slot.breaker.state == BRK_CLOSED) != (closed != 0))
        {
            continue;
        }

        if (report->rows.nelts >= NGX_HTTP_BREAKER_ROWS) {
            report->omitted++;
            continue;
        }

        row = ngx_array_push(&report->rows);
        if (row == NULL) {
            return NGX_ERROR;
        }

        if (ngx_http_breaker_fill_row(r, zone, &slot, row) != NGX_OK) {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_breaker_fill_row(ngx_http_request_t *r,
    ngx_http_breaker_zone_t *zone, brk_slot_t *slot,
    ngx_http_breaker_row_t *row)
{
    u_char         *p;
    brk_breaker_t  *b;

    b = &slot->breaker;

    p = ngx_pnalloc(r->pool, slot->len * (1 + GW_SHOW));
    if (p == NULL) {
        return NGX_ERROR;
    }

    row->zone = zone;

    row->key.data = p;
    row->key.len = slot->len;
    p = ngx_cpymem(p, slot->key, slot->len);

    row->shown.data = p;
    row->shown.len = gw_show(p, slot->key, slot->len) - p;

    brk_window_sum(&b->window, ngx_current_msec, &row->sum);

    row->totals = b->totals;
    row->state = b->state;
    row->why = b->why;
    row->consecutive = b->consecutive;
    row->succeeded = b->succeeded;
    row->live = brk_live(b);
    row->age = ngx_max((int64_t) (ngx_current_msec - b->since), 0);
    row->left = 0;

    if (b->state == BRK_OPEN) {
        row->left = ngx_max((int64_t) (b->open_until - ngx_current_msec), 0);
    }

    return NGX_OK;
}


static int ngx_libc_cdecl
ngx_http_breaker_cmp_rows(const void *one, const void *two)
{
    int                            rc;
    const ngx_http_breaker_row_t  *a, *b;

    static const int  rank[BRK_STATES] = { 4, 0, 1, 2, 3 };

    a = one;
    b = two;

    if (a->state != b->state) {
        return rank[a->state] - rank[b->state];
    }

    rc = (int) ngx_memn2cmp(a->zone->name.data, b->zone->name.data,
                            a->zone->name.len, b->zone->name.len);
    if (rc) {
        return rc;
    }

    return (int) ngx_memn2cmp(a->key.data, b->key.data, a->key.len,
                              b->key.len);
}


void
ngx_http_breaker_text_init(ngx_http_breaker_text_t *text, ngx_pool_t *pool)
{
    ngx_memzero(text, sizeof(ngx_http_breaker_text_t));

    text->out.more = ngx_http_breaker_text_more;
    text->out.ctx = text;
    text->pool = pool;
}


static int
ngx_http_breaker_text_more(gw_out_t *out, size_t n)
{
    ngx_buf_t                *b;
    ngx_chain_t              *cl;
    ngx_http_breaker_text_t  *text;

    text = out->ctx;

    cl = ngx_alloc_chain_link(text->pool);
    b = ngx_create_temp_buf(text->pool, ngx_max(n, NGX_HTTP_BREAKER_CHUNK));

    if (cl == NULL || b == NULL) {
        return -1;
    }

    cl->buf = b;
    cl->next = NULL;

    if (text->last) {
        text->last->buf->last = out->last;
        text->last->next = cl;

    } else {
        text->first = cl;
    }

    text->last = cl;

    out->last = b->last;
    out->end = b->end;

    return 0;
}


/* a longer piece would be truncated, but callers keep theirs far shorter */

void
ngx_http_breaker_write(ngx_http_breaker_text_t *text, const char *fmt, ...)
{
    va_list  args;

    if (gw_out_room(&text->out, NGX_HTTP_BREAKER_PIECE) != 0) {
        return;
    }

    va_start(args, fmt);
    text->out.last = ngx_vslprintf(text->out.last, text->out.end, fmt, args);
    va_end(args);
}


ngx_int_t
ngx_http_breaker_text_end(ngx_http_breaker_text_t *text)
{
    ngx_chain_t  *cl;

    if (text->out.failed || text->last == NULL) {
        return NGX_ERROR;
    }

    text->last->buf->last = text->out.last;

    for (cl = text->first; cl; cl = cl->next) {
        text->size += cl->buf->last - cl->buf->pos;
    }

    return NGX_OK;
}
