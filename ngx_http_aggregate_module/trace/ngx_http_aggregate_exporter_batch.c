
/* spans that wait become a request to the collector */


#include "ngx_http_aggregate_exporter.h"

#include <zlib.h>


static ngx_int_t ngx_http_aggregate_exporter_body(
    ngx_http_aggregate_exporter_t *e, gw_out_block_t *out, ngx_uint_t spans);
static ngx_int_t ngx_http_aggregate_exporter_gzip(
    ngx_http_aggregate_exporter_t *e, gw_out_block_t *out);
static void *ngx_http_aggregate_exporter_grow(void *ctx, void *old,
    size_t used, size_t size);


static void *
ngx_http_aggregate_exporter_grow(void *ctx, void *old, size_t used,
    size_t size)
{
    u_char  *p;

    (void) ctx;

    p = ngx_alloc(size, ngx_cycle->log);
    if (p == NULL) {
        return NULL;
    }

    if (used) {
        ngx_memcpy(p, old, used);
    }

    if (old) {
        ngx_free(old);
    }

    return p;
}


ngx_int_t
ngx_http_aggregate_exporter_make(ngx_http_aggregate_exporter_t *e)
{
    size_t           len;
    u_char          *p;
    ngx_int_t        rc;
    gw_out_block_t   out;

    if (e->request) {
        return NGX_OK;
    }

    if (e->first == NULL) {
        return NGX_DECLINED;
    }

    gw_out_block_init(&out, 64 * 1024 * 1024 + 2 * e->conf->queue,
                      ngx_http_aggregate_exporter_grow, NULL);

    rc = ngx_http_aggregate_exporter_body(e, &out,
                                          (ngx_uint_t) e->conf->batch);

    if (rc == NGX_OK && e->conf->gzip) {
        rc = ngx_http_aggregate_exporter_gzip(e, &out);
    }

    len = gw_out_block_used(&out);

    if (rc == NGX_OK) {
        e->request = ngx_alloc(e->conf->head.len + len + 64, &e->log);
    }

    if (e->request) {
        p = ngx_cpymem(e->request, e->conf->head.data, e->conf->head.len);
        p = ngx_sprintf(p, "Content-Length: %uz" CRLF CRLF, len);
        p = ngx_cpymem(p, out.start, len);

        e->size = p - e->request;
    }

    if (out.start) {
        ngx_free(out.start);
    }

    if (e->request == NULL) {
        ngx_http_aggregate_exporter_total(e, AGG_METRICS_SPANS_FAILED,
                                          e->batch_spans);
        e->bytes -= e->batch_bytes;
        return NGX_ERROR;
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_aggregate_exporter_body(ngx_http_aggregate_exporter_t *e,
    gw_out_block_t *out, ngx_uint_t spans)
{
    size_t                               size;
    ngx_uint_t                           n;
    ngx_http_aggregate_exporter_conf_t  *conf;
    ngx_http_aggregate_exporter_item_t  *item, *end;

    conf = e->conf;
    size = 0;
    n = 0;

    for (item = e->first; item && n < spans; item = item->next) {
        n += item->spans;
        size += item->len;
    }

    end = item;

    e->batch_spans = n;
    e->batch_bytes = size;
    e->spans -= n;

    agg_otlp_head(out, (int) conf->json, conf->attrs, conf->nattrs,
                  NGX_HTTP_AGGREGATE_VERSION, size);

    for (item = e->first; item != end; item = e->first) {

        gw_out_put(&out->out, item->data, item->len);

        e->first = item->next;

        if (conf->json && e->first != end) {
            gw_out_put(&out->out, ",", 1);
        }

        ngx_free(item);
    }

    if (e->first == NULL) {
        e->last = &e->first;
    }

    agg_otlp_tail(out, (int) conf->json);

    return out->out.failed ? NGX_ERROR : NGX_OK;
}


static ngx_int_t
ngx_http_aggregate_exporter_gzip(ngx_http_aggregate_exporter_t *e,
    gw_out_block_t *out)
{
    int        rc;
    u_char    *p;
    size_t     size;
    z_stream   z;

    ngx_memzero(&z, sizeof(z_stream));

    if (deflateInit2(&z, 1, Z_DEFLATED, MAX_WBITS + 16, MAX_MEM_LEVEL - 1,
                     Z_DEFAULT_STRATEGY)
        != Z_OK)
    {
        return NGX_ERROR;
    }

    size = deflateBound(&z, gw_out_block_used(out));

    p = ngx_alloc(size, &e->log);
    if (p == NULL) {
        (void) deflateEnd(&z);
        return NGX_ERROR;
    }

    z.next_in = out->start;
    z.avail_in = (uInt) gw_out_block_used(out);
    z.next_out = p;
    z.avail_out = (uInt) size;

    rc = deflate(&z, Z_FINISH);

    (void) deflateEnd(&z);

    ngx_free(out->start);

    out->start = p;
    out->out.last = p + (size - z.avail_out);
    out->out.end = p + size;

    return rc == Z_STREAM_END ? NGX_OK : NGX_ERROR;
}


void
ngx_http_aggregate_exporter_total(ngx_http_aggregate_exporter_t *e,
    agg_metrics_total_e which, uint64_t n)
{
    ngx_uint_t                                i;
    ngx_http_aggregate_metrics_zone_t       **zones;
    ngx_http_aggregate_metrics_main_conf_t   *mmcf;

    mmcf = ngx_http_cycle_get_module_main_conf(e->cycle,
                                         ngx_http_aggregate_metrics_module);
    zones = mmcf->zones.elts;

    for (i = 0; i < mmcf->zones.nelts; i++) {
        agg_metrics_inc(&zones[i]->metrics->totals[which], n);
    }
}
