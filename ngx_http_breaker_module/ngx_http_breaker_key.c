
/* the key of a breaker, which is hashed once if it is known before */

#include "ngx_http_breaker.h"

#include <ngx_sha1.h>


/* a key that is too long: its beginning, "#" and the digest of the whole */

#define NGX_HTTP_BREAKER_DIGEST  20
#define NGX_HTTP_BREAKER_PREFIX                                               \
    (BRK_KEY_MAX - 1 - 2 * NGX_HTTP_BREAKER_DIGEST)


static ngx_http_breaker_known_t *ngx_http_breaker_known(
    ngx_http_breaker_guard_t *guard, ngx_str_t *text);


brk_key_t *
ngx_http_breaker_get_key(ngx_http_request_t *r,
    ngx_http_breaker_guard_t *guard, brk_key_t *room, brk_permit_t **hint)
{
    ngx_str_t                   text;
    ngx_http_breaker_known_t   *known;
    ngx_http_variable_value_t  *v;

    if (guard->hashed) {
        *hint = &guard->known->hint;
        return &guard->known->key;
    }

    if (guard->index != NGX_ERROR) {
        v = ngx_http_get_flushed_variable(r, (ngx_uint_t) guard->index);

        if (v == NULL) {
            goto failed;
        }

        text.len = v->not_found ? 0 : v->len;
        text.data = v->data;

    } else if (ngx_http_complex_value(r, &guard->key, &text) != NGX_OK) {
        goto failed;
    }

    if (text.len == 0) {
        return NULL;
    }

    known = ngx_http_breaker_known(guard, &text);
    *hint = &known->hint;

    if (known->key.len == text.len
        && ngx_memcmp(known->text, text.data, text.len) == 0)
    {
        *room = known->key;
        room->data = text.data;

        return room;
    }

    if (ngx_http_breaker_make_key(r->pool, guard->zone, &text, room)
        != NGX_OK)
    {
        goto failed;
    }

    known->key = *room;
    known->hint.born = 0;

    if (room->digest) {

        /* not kept: no text has this length */

        known->key.len = 0;

    } else {
        ngx_memcpy(known->text, text.data, text.len);
        guard->hashed = (guard->key.lengths == NULL);
    }

    return room;

failed:

    ngx_log_error(NGX_LOG_ERR, r->connection->log, 0,
                  "cannot make a breaker's key, request is not guarded");

    return NULL;
}


/* the entry of this text among those that were looked up recently */

static ngx_http_breaker_known_t *
ngx_http_breaker_known(ngx_http_breaker_guard_t *guard, ngx_str_t *text)
{
    ngx_uint_t  i;

    if (guard->key.lengths == NULL) {
        return guard->known;
    }

    i = text->len + text->data[0] + text->data[text->len / 2]
        + text->data[text->len - 1];

    return &guard->known[i % NGX_HTTP_BREAKER_KNOWN];
}


ngx_int_t
ngx_http_breaker_make_key(ngx_pool_t *pool, ngx_http_breaker_zone_t *zone,
    ngx_str_t *text, brk_key_t *key)
{
    u_char      *p, digest[NGX_HTTP_BREAKER_DIGEST];
    ngx_sha1_t   sha1;

    key->digest = 0;
    key->data = text->data;
    key->len = (uint8_t) text->len;

    if (text->len > BRK_KEY_MAX) {

        p = ngx_pnalloc(pool, BRK_KEY_MAX);
        if (p == NULL) {
            return NGX_ERROR;
        }

        key->digest = 1;
        key->data = p;
        key->len = BRK_KEY_MAX;

        ngx_sha1_init(&sha1);
        ngx_sha1_update(&sha1, text->data, text->len);
        ngx_sha1_final(digest, &sha1);

        p = ngx_cpymem(p, text->data, NGX_HTTP_BREAKER_PREFIX);
        *p++ = '#';
        (void) ngx_hex_dump(p, digest, NGX_HTTP_BREAKER_DIGEST);
    }

    key->hash = brk_table_hash(zone->table, key->data, key->len);

    return NGX_OK;
}
