
/* the body of "breaker_fallback": in a JSON type, variables stay in strings */

#include "ngx_http_breaker.h"


static ngx_int_t ngx_http_breaker_fallback_add(ngx_conf_t *cf,
    ngx_http_breaker_fallback_t *fallback, u_char *start, u_char *end,
    ngx_uint_t variable);
static ngx_http_breaker_rare ngx_int_t ngx_http_breaker_fallback_pieces(
    ngx_http_request_t *r, ngx_http_breaker_fallback_t *fallback,
    ngx_str_t *type);
static ngx_int_t ngx_http_breaker_fallback_text(ngx_http_request_t *r,
    ngx_array_t *pieces, ngx_str_t *text);


ngx_int_t
ngx_http_breaker_fallback_json(ngx_conf_t *cf,
    ngx_http_breaker_fallback_t *fallback, ngx_str_t *body)
{
    u_char  *p, *end, *start, ch;

    fallback->body = ngx_pcalloc(cf->pool, sizeof(ngx_http_complex_value_t));
    fallback->pieces = ngx_array_create(cf->pool, 4,
                                        sizeof(ngx_http_breaker_piece_t));

    if (fallback->body == NULL || fallback->pieces == NULL) {
        return NGX_ERROR;
    }

    p = body->data;
    end = p + body->len;
    start = p;

    while (p < end) {

        if (*p != '$') {
            p++;
            continue;
        }

        if (ngx_http_breaker_fallback_add(cf, fallback, start, p, 0)
            != NGX_OK)
        {
            return NGX_ERROR;
        }

        start = p++;

        if (p < end && *p == '{') {
            while (p < end && *p != '}') {
                p++;
            }

            p += (p < end);

        } else if (p < end && *p >= '1' && *p <= '9') {
            p++;

        } else {
            for ( /* void */ ; p < end; p++) {
                ch = *p | 0x20;

                if ((ch < 'a' || ch > 'z') && (*p < '0' || *p > '9')
                    && *p != '_')
                {
                    break;
                }
            }
        }

        if (ngx_http_breaker_fallback_add(cf, fallback, start, p, 1)
            != NGX_OK)
        {
            return NGX_ERROR;
        }

        start = p;
    }

    return ngx_http_breaker_fallback_add(cf, fallback, start, end, 0);
}


static ngx_int_t
ngx_http_breaker_fallback_add(ngx_conf_t *cf,
    ngx_http_breaker_fallback_t *fallback, u_char *start, u_char *end,
    ngx_uint_t variable)
{
    ngx_str_t                          text;
    ngx_http_breaker_piece_t          *piece;
    ngx_http_compile_complex_value_t   ccv;

    if (start == end) {
        return NGX_OK;
    }

    piece = ngx_array_push(fallback->pieces);
    if (piece == NULL) {
        return NGX_ERROR;
    }

    ngx_memzero(piece, sizeof(ngx_http_breaker_piece_t));
    piece->variable = variable;

    text.data = start;
    text.len = end - start;

    ngx_memzero(&ccv, sizeof(ngx_http_compile_complex_value_t));

    ccv.cf = cf;
    ccv.value = &text;
    ccv.complex_value = &piece->value;

    return ngx_http_compile_complex_value(&ccv);
}


ngx_int_t
ngx_http_breaker_fallback_send(ngx_http_request_t *r,
    ngx_http_breaker_fallback_t *fallback)
{
    ngx_str_t  *type;

    type = fallback->type.len ? &fallback->type : NULL;

    /* the conditions of the client concern another representation */

    r->disable_not_modified = 1;

    if (fallback->pieces) {
        return ngx_http_breaker_fallback_pieces(r, fallback, type);
    }

    return ngx_http_send_response(r, fallback->code, type, fallback->body);
}


static ngx_int_t
ngx_http_breaker_fallback_pieces(ngx_http_request_t *r,
    ngx_http_breaker_fallback_t *fallback, ngx_str_t *type)
{
    ngx_http_complex_value_t  body;

    ngx_memzero(&body, sizeof(ngx_http_complex_value_t));

    if (ngx_http_breaker_fallback_text(r, fallback->pieces, &body.value)
        != NGX_OK)
    {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    return ngx_http_send_response(r, fallback->code, type, &body);
}


static ngx_int_t
ngx_http_breaker_fallback_text(ngx_http_request_t *r, ngx_array_t *pieces,
    ngx_str_t *text)
{
    u_char                    *p;
    size_t                     len;
    ngx_str_t                 *values;
    ngx_uint_t                 i;
    ngx_http_breaker_piece_t  *piece;

    values = ngx_palloc(r->pool, pieces->nelts * sizeof(ngx_str_t));
    if (values == NULL) {
        return NGX_ERROR;
    }

    piece = pieces->elts;
    len = 0;

    for (i = 0; i < pieces->nelts; i++) {

        if (ngx_http_complex_value(r, &piece[i].value, &values[i]) != NGX_OK) {
            return NGX_ERROR;
        }

        len += values[i].len * (piece[i].variable ? GW_JSON : 1);
    }

    p = ngx_pnalloc(r->pool, len);
    if (p == NULL) {
        return NGX_ERROR;
    }

    text->data = p;

    for (i = 0; i < pieces->nelts; i++) {
        p = piece[i].variable
            ? gw_escape_json(p, values[i].data, values[i].len)
            : ngx_cpymem(p, values[i].data, values[i].len);
    }

    text->len = p - text->data;

    return NGX_OK;
}
