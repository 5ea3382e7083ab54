
/* The loader's third part: services and their methods. */


#include "agg_pb_load.h"


#define AGG_PB_HTTP         72295728
#define AGG_PB_IDEMPOTENCY  34


static agg_rc_e agg_pb_load_method(agg_pb_loader_t *l, uint32_t symbol,
    agg_pb_method_t *method, const agg_str_t *bytes);
static agg_rc_e agg_pb_load_method_options(agg_pb_loader_t *l,
    uint32_t symbol, agg_pb_method_t *method, const agg_str_t *bytes);
static agg_rc_e agg_pb_method_type(agg_pb_loader_t *l, uint32_t symbol,
    const agg_pb_method_t *method, const agg_str_t *type,
    agg_pb_message_t **message);


agg_rc_e
agg_pb_load_service(agg_pb_loader_t *l, uint32_t symbol)
{
    agg_rc_e           rc;
    agg_pb_symbol_t   *s;
    agg_pb_method_t   *method;
    agg_pb_reader_t    r;
    agg_pb_service_t  *service;

    s = &l->pool->symbols[symbol];
    service = s->item;

    if (s->kind != AGG_PB_SYMBOL_SERVICE) {
        return AGG_OK;
    }

    agg_pb_reader_init(&r, &s->bytes);

    while (agg_pb_reader_next(&r)) {
        service->nmethods += r.tag == agg_pb_tag(2, AGG_PB_LEN);
    }

    service->methods = agg_pb_zalloc(l->mem, service->nmethods
                                             * sizeof(agg_pb_method_t) + 1);
    if (service->methods == NULL) {
        return AGG_NOMEM;
    }

    method = service->methods;

    agg_pb_reader_init(&r, &s->bytes);

    while (agg_pb_reader_next(&r)) {

        if (r.tag != agg_pb_tag(2, AGG_PB_LEN)) {
            continue;
        }

        rc = agg_pb_load_method(l, symbol, method++, &r.value);
        if (rc != AGG_OK) {
            return rc;
        }
    }

    return AGG_OK;
}


static agg_rc_e
agg_pb_load_method(agg_pb_loader_t *l, uint32_t symbol,
    agg_pb_method_t *method, const agg_str_t *bytes)
{
    agg_rc_e          rc;
    agg_str_t         input, output;
    agg_pb_reader_t   r;
    agg_pb_symbol_t  *s;

    s = &l->pool->symbols[symbol];

    input.len = 0;
    output.len = 0;

    agg_pb_reader_init(&r, bytes);

    while (agg_pb_reader_next(&r)) {
        rc = AGG_OK;

        switch (r.tag) {

        case agg_pb_tag(1, AGG_PB_LEN):
            method->name = r.value;
            break;

        case agg_pb_tag(2, AGG_PB_LEN):
            input = r.value;
            break;

        case agg_pb_tag(3, AGG_PB_LEN):
            output = r.value;
            break;

        case agg_pb_tag(4, AGG_PB_LEN):
            rc = agg_pb_load_method_options(l, symbol, method, &r.value);
            break;

        case agg_pb_tag(5, AGG_PB_VARINT):
            method->client_streaming = r.n != 0;
            break;

        case agg_pb_tag(6, AGG_PB_VARINT):
            method->server_streaming = r.n != 0;
        }

        if (rc != AGG_OK) {
            return rc;
        }
    }

    if (r.bad) {
        return agg_pb_no_set(l, l->files[s->file].set);
    }

    if (!agg_pb_identifier(&method->name)
        || agg_pb_find_method(s->item, &method->name) != method)
    {
        agg_pb_error(l->err, "has an invalid name of a method of \"%V\"",
                     &s->name);
        *l->which = l->files[s->file].set;
        return AGG_INVALID;
    }

    rc = agg_pb_method_type(l, symbol, method, &input, &method->input);
    if (rc != AGG_OK) {
        return rc;
    }

    return agg_pb_method_type(l, symbol, method, &output, &method->output);
}


/* an extension may be encoded in pieces, which are merged by concatenation */

static agg_rc_e
agg_pb_load_method_options(agg_pb_loader_t *l, uint32_t symbol,
    agg_pb_method_t *method, const agg_str_t *bytes)
{
    u_char           *p;
    agg_pb_reader_t   r;

    agg_pb_reader_init(&r, bytes);

    while (agg_pb_reader_next(&r)) {

        if (r.tag == agg_pb_tag(AGG_PB_IDEMPOTENCY, AGG_PB_VARINT)) {
            method->idempotency = AGG_PB_IDEMPOTENCY_UNKNOWN;

            if (r.n == AGG_PB_NO_SIDE_EFFECTS || r.n == AGG_PB_IDEMPOTENT) {
                method->idempotency = (agg_pb_idempotency_e) r.n;
            }

            continue;
        }

        if (r.tag != agg_pb_tag(AGG_PB_HTTP, AGG_PB_LEN)) {
            continue;
        }

        method->has_http = 1;

        if (method->http.len == 0) {
            method->http = r.value;
            continue;
        }

        if (r.value.len == 0) {
            continue;
        }

        p = l->mem->alloc(l->mem->ctx, method->http.len + r.value.len);
        if (p == NULL) {
            return AGG_NOMEM;
        }

        memcpy(p, method->http.data, method->http.len);
        memcpy(p + method->http.len, r.value.data, r.value.len);

        method->http.data = p;
        method->http.len += r.value.len;
    }

    if (r.bad) {
        return agg_pb_no_set(l, l->files[l->pool->symbols[symbol].file].set);
    }

    return AGG_OK;
}


static agg_rc_e
agg_pb_method_type(agg_pb_loader_t *l, uint32_t symbol,
    const agg_pb_method_t *method, const agg_str_t *type,
    agg_pb_message_t **message)
{
    agg_pb_symbol_t  *s;

    *message = NULL;

    if (type->len > 1 && type->data[0] == '.') {
        *message = (agg_pb_message_t *)
                       agg_pb_find_message(l->pool, type->data + 1,
                                           type->len - 1);
    }

    if (*message != NULL) {
        return AGG_OK;
    }

    s = &l->pool->symbols[symbol];

    agg_pb_error(l->err, "has no type \"%V\" of the method \"%V/%V\"", type,
                 &s->name, &method->name);
    *l->which = l->files[s->file].set;

    return AGG_INVALID;
}
