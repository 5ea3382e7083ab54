
/*
 * The runner without statements: a shape of NULL validates and copies whole.
 * It stands in until statements can be compiled, and refuses them.
 */

#include "agg_shape.h"


static agg_rc_e
agg_shape_refuse(agg_error_t *err)
{
    err->text = "statements that shape are not supported";
    err->offset = 0;

    return AGG_INVALID;
}


agg_shape_t *
agg_shape_create(agg_mem_t *mem)
{
    return mem->alloc(mem->ctx, 1);
}


agg_rc_e
agg_shape_target(agg_shape_t *s, const agg_str_t *path, agg_error_t *err)
{
    (void) s;
    (void) path;

    return agg_shape_refuse(err);
}


agg_rc_e
agg_shape_limit(agg_shape_t *s, const agg_str_t *path, size_t n,
    agg_error_t *err)
{
    (void) n;

    return agg_shape_target(s, path, err);
}


agg_rc_e
agg_shape_limit_arg(agg_shape_t *s, const agg_str_t *path, size_t max,
    unsigned *slot, agg_error_t *err)
{
    (void) max;
    (void) slot;

    return agg_shape_target(s, path, err);
}


agg_rc_e
agg_shape_allow(agg_shape_t *s, const agg_str_t *path, agg_error_t *err)
{
    return agg_shape_target(s, path, err);
}


agg_rc_e
agg_shape_deny(agg_shape_t *s, const agg_str_t *path, agg_error_t *err)
{
    return agg_shape_target(s, path, err);
}


agg_rc_e
agg_shape_rename(agg_shape_t *s, const agg_str_t *path, const agg_str_t *name,
    agg_error_t *err)
{
    (void) name;

    return agg_shape_target(s, path, err);
}


agg_rc_e
agg_shape_move(agg_shape_t *s, const agg_str_t *from, const agg_str_t *to,
    agg_error_t *err)
{
    (void) to;

    return agg_shape_target(s, from, err);
}


agg_rc_e
agg_shape_set(agg_shape_t *s, const agg_str_t *path, const agg_str_t *json,
    agg_error_t *err)
{
    (void) json;

    return agg_shape_target(s, path, err);
}


agg_rc_e
agg_shape_set_arg(agg_shape_t *s, const agg_str_t *path, unsigned *slot,
    agg_error_t *err)
{
    (void) slot;

    return agg_shape_target(s, path, err);
}


agg_rc_e
agg_shape_into(agg_shape_t *s, const agg_str_t *path, const agg_str_t *name,
    unsigned *slot, agg_error_t *err)
{
    (void) name;
    (void) slot;

    return agg_shape_target(s, path, err);
}


agg_rc_e
agg_shape_compile(agg_shape_t *s, agg_error_t *err)
{
    (void) s;
    (void) err;

    return AGG_OK;
}


agg_rc_e
agg_shape_compile_split(agg_shape_t *s, agg_error_t *err)
{
    return agg_shape_compile(s, err);
}


agg_shape_t *
agg_shape_head(agg_shape_t *s)
{
    (void) s;

    return NULL;
}


agg_shape_t *
agg_shape_tail(agg_shape_t *s)
{
    (void) s;

    return NULL;
}


int
agg_shape_is_identity(const agg_shape_t *s)
{
    (void) s;

    return 1;
}


size_t
agg_shape_run_size(const agg_shape_t *s)
{
    (void) s;

    return sizeof(agg_shape_run_t);
}


void
agg_shape_run_init(agg_shape_run_t *run, const agg_shape_t *s, agg_buf_t *out,
    const agg_shape_args_t *args)
{
    memset(run, 0, sizeof(agg_shape_run_t));

    run->shape = s;
    run->args = args;
    run->out = out;

    agg_scan_init(&run->scan);
}


agg_rc_e
agg_shape_run_push(agg_shape_run_t *run, const u_char *data, size_t len)
{
    agg_rc_e  rc;

    rc = agg_scan_push(&run->scan, data, len);

    return rc == AGG_OK ? agg_buf_append(run->out, data, len) : rc;
}


agg_rc_e
agg_shape_run_finish(agg_shape_run_t *run)
{
    agg_str_t  value;

    if (agg_scan_finish(&run->scan) != AGG_OK) {
        return AGG_INVALID;
    }

    value.data = run->out->start;
    value.len = agg_buf_used(run->out);

    agg_json_trim(&value);

    run->out->start = value.data;
    run->out->pos = value.data + value.len;

    return AGG_OK;
}


agg_rc_e
agg_shape_run_missing(agg_shape_run_t *run, const agg_str_t *doc)
{
    return agg_buf_append(run->out, doc->data, doc->len);
}
