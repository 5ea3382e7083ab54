
/* makes a request to the collector of the queued spans */


#include "ngx_http_aggregate_exporter.h"

#include <zlib.h>


/* the most bytes of the "Content-Length" line, and of the head of a body */

#define NGX_HTTP_AGGREGATE_EXPORTER_LENGTH  64
#define NGX_HTTP_AGGREGATE_EXPORTER_HEAD    4096


static void ngx_http_aggregate_exporter_release(
    ngx_http_aggregate_exporter_t *e, ngx_http_aggregate_exporter_item_t *item);
static ngx_int_t ngx_http_aggregate_exporter_body(
    ngx_http_aggregate_exporter_t *e, gw_out_block_t *out, size_t room,
    ngx_uint_t spans);
static ngx_int_t ngx_http_aggregate_exporter_gzip(
    ngx_http_aggregate_exporter_t *e, gw_out_block_t *out, size_t room);


void *
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


ngx_http_aggregate_exporter_item_t *
ngx_http_aggregate_exporter_alloc(ngx_http_aggregate_exporter_t *e,
    size_t len)
{
    size_t                                size;
    ngx_http_aggregate_exporter_item_t   *item;
    ngx_http_aggregate_exporter_chunk_t  *chunk;

    len = ngx_align(sizeof(ngx_http_aggregate_exporter_item_t) + len,
                    NGX_ALIGNMENT);
    chunk = e->chunk;

    if (chunk == NULL || (size_t) (chunk->end - chunk->last) < len) {

        size = sizeof(ngx_http_aggregate_exporter_chunk_t)
               + ngx_max(len, NGX_HTTP_AGGREGATE_EXPORTER_CHUNK);

        chunk = ngx_alloc(size, &e->log);
        if (chunk == NULL) {
            return NULL;
        }

        chunk->last = (u_char *) &chunk[1];
        chunk->end = (u_char *) chunk + size;
        chunk->items = 0;

        if (e->chunk && e->chunk->items == 0) {
            ngx_free(e->chunk);
        }

        e->chunk = chunk;
    }

    item = (ngx_http_aggregate_exporter_item_t *) chunk->last;

    item->chunk = chunk;

    chunk->last += len;
    chunk->items++;

    return item;
}


static void
ngx_http_aggregate_exporter_release(ngx_http_aggregate_exporter_t *e,
    ngx_http_aggregate_exporter_item_t *item)
{
    ngx_http_aggregate_exporter_chunk_t  *chunk;

    chunk = item->chunk;

    if (--chunk->items) {
        return;
    }

    if (chunk == e->chunk) {
        chunk->last = (u_char *) &chunk[1];
        return;
    }

    ngx_free(chunk);
}


ngx_int_t
ngx_http_aggregate_exporter_make(ngx_http_aggregate_exporter_t *e)
{
    u_char          *last, length[NGX_HTTP_AGGREGATE_EXPORTER_LENGTH];
    size_t           room;
    ngx_int_t        rc;
    gw_out_block_t   out;

    if (e->request) {
        return NGX_OK;
    }

    if (e->first == NULL) {
        return NGX_DECLINED;
    }

    /* the header is put in front of the body, whose length it contains */

    room = e->conf->head.len + sizeof(length);

    gw_out_block_init(&out, 64 * 1024 * 1024 + 2 * e->conf->queue,
                      ngx_http_aggregate_exporter_grow, NULL);

    rc = ngx_http_aggregate_exporter_body(e, &out, room,
                                          (ngx_uint_t) e->conf->batch);

    if (rc == NGX_OK && e->conf->gzip) {
        rc = ngx_http_aggregate_exporter_gzip(e, &out, room);
    }

    if (rc != NGX_OK) {

        if (out.start) {
            ngx_free(out.start);
        }

        ngx_http_aggregate_exporter_total(e, AGG_METRICS_SPANS_FAILED,
                                          e->batch_spans);
        e->bytes -= e->batch_bytes;
        return NGX_ERROR;
    }

    e->request = out.start;
    e->size = gw_out_block_used(&out);

    last = ngx_sprintf(length, "Content-Length: %uz" CRLF CRLF,
                       e->size - room);

    e->start = room - (last - length) - e->conf->head.len;

    ngx_memcpy(e->request + e->start, e->conf->head.data, e->conf->head.len);
    ngx_memcpy(e->request + e->start + e->conf->head.len, length,
               last - length);

    return NGX_OK;
}


static ngx_int_t
ngx_http_aggregate_exporter_body(ngx_http_aggregate_exporter_t *e,
    gw_out_block_t *out, size_t room, ngx_uint_t spans)
{
    size_t                               size;
    ngx_uint_t                           n;
    ngx_http_aggregate_exporter_conf_t  *conf;
    ngx_http_aggregate_exporter_item_t  *item, *end;

    conf = e->conf;
    size = 0;
    n = 0;

    for (item = e->first;
         item && (n == 0 || n + item->spans <= spans);
         item = item->next)
    {
        n += item->spans;
        size += item->len;
    }

    end = item;

    e->batch_spans = n;
    e->batch_bytes = size;
    e->spans -= n;

    /* allocated at once, as a buffer that grows is copied */

    if (gw_out_room(&out->out,
                    room + NGX_HTTP_AGGREGATE_EXPORTER_HEAD + size + n)
        == 0)
    {
        out->out.last += room;
    }

    agg_otlp_head(out, (int) conf->json, conf->attrs, conf->nattrs,
                  NGX_HTTP_AGGREGATE_VERSION, size);

    for (item = e->first; item != end; item = e->first) {

        gw_out_put(&out->out, item->data, item->len);

        e->first = item->next;

        if (conf->json && e->first != end) {
            gw_out_put(&out->out, ",", 1);
        }

        ngx_http_aggregate_exporter_release(e, item);
    }

    if (e->first == NULL) {
        e->last = &e->first;
    }

    agg_otlp_tail(out, (int) conf->json);

    return out->out.failed ? NGX_ERROR : NGX_OK;
}


static ngx_int_t
ngx_http_aggregate_exporter_gzip(ngx_http_aggregate_exporter_t *e,
    gw_out_block_t *out, size_t room)
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

    size = deflateBound(&z, gw_out_block_used(out) - room);

    p = ngx_alloc(room + size, &e->log);
    if (p == NULL) {
        (void) deflateEnd(&z);
        return NGX_ERROR;
    }

    z.next_in = out->start + room;
    z.avail_in = (uInt) (gw_out_block_used(out) - room);
    z.next_out = p + room;
    z.avail_out = (uInt) size;

    rc = deflate(&z, Z_FINISH);

    (void) deflateEnd(&z);

    ngx_free(out->start);

    out->start = p;
    out->out.last = p + room + (size - z.avail_out);
    out->out.end = p + room + size;

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
