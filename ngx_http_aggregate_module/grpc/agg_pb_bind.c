
/* see agg_pb_bind.h */


#include "agg_pb_base64.h"
#include "agg_pb_bind.h"
#include "agg_pb_text.h"


/* the source that has set a field */

#define AGG_PB_BY_BODY    1
#define AGG_PB_BY_PATH    2
#define AGG_PB_BY_QUERY   3
#define AGG_PB_BY_ONEOF   4         /* not a field, but its oneof */


static agg_rc_e agg_pb_resolve(const agg_pb_message_t *m,
    const agg_str_t *name, agg_pb_path_t *path, agg_pb_error_t *err);
static uint64_t agg_pb_path_hash(uint64_t hash, const agg_pb_field_t *f);
static uint64_t agg_pb_oneof_hash(uint64_t hash, const agg_pb_field_t *f);
static agg_pb_bound_t *agg_pb_find_bound(agg_pb_bind_t *bind, uint64_t hash,
    int oneof);
static agg_rc_e agg_pb_add_bound(agg_pb_bind_t *bind, uint64_t hash,
    const agg_pb_field_t *f, unsigned by);
static agg_rc_e agg_pb_add_path(agg_pb_bind_t *bind,
    const agg_pb_path_t *path, unsigned by);
static agg_rc_e agg_pb_check_bound(agg_pb_bind_t *bind,
    const agg_pb_path_t *path, const agg_str_t *name, agg_pb_error_t *err);
static agg_rc_e agg_pb_write_path(agg_pb_bind_t *bind,
    const agg_pb_path_t *path, const agg_str_t *value);
static agg_rc_e agg_pb_write_leaf(agg_pb_writer_t *w,
    const agg_pb_field_t *f, const agg_str_t *value);
static agg_rc_e agg_pb_write_scalar(agg_pb_writer_t *w,
    const agg_pb_field_t *f, int tag, const agg_str_t *value);
static agg_rc_e agg_pb_refuse_value(const agg_str_t *name,
    const agg_pb_field_t *f, agg_pb_error_t *err);
static void agg_pb_path_name(const agg_pb_path_t *path, agg_pb_error_t *err);


agg_rc_e
agg_pb_path(const agg_pb_message_t *m, const agg_str_t *name,
    agg_pb_path_t *path, agg_pb_error_t *err)
{
    agg_rc_e               rc;
    const agg_pb_field_t  *f;

    rc = agg_pb_resolve(m, name, path, err);

    if (rc == AGG_NOT_FOUND) {
        return AGG_INVALID;
    }

    if (rc != AGG_OK) {
        return rc;
    }

    f = path->fields[path->n - 1];

    if (f->repeated) {
        agg_pb_error(err, "\"%V\" is a %s field", name,
                     f->map ? "map" : "repeated");
        return AGG_INVALID;
    }

    return AGG_OK;
}


/* follows singular messages to a field whose value can be a text */

static agg_rc_e
agg_pb_resolve(const agg_pb_message_t *m, const agg_str_t *name,
    agg_pb_path_t *path, agg_pb_error_t *err)
{
    size_t                 len;
    u_char                *p, *end, *dot;
    agg_str_t              part;
    const agg_pb_field_t  *f;

    path->n = 0;
    p = name->data;
    end = p + name->len;

    for ( ;; ) {
        len = (size_t) (end - p);
        dot = len ? memchr(p, '.', len) : NULL;

        part.data = p;
        part.len = dot ? (size_t) (dot - p) : len;

        f = agg_pb_find_field(m, part.data, part.len);

        if (f == NULL) {
            agg_pb_error(err, "no field \"%V\" in %V", &part, &m->name);
            return AGG_NOT_FOUND;
        }

        if (path->n == AGG_PB_PATH) {
            agg_pb_error(err, "\"%V\" is nested too deep", &part);
            return AGG_INVALID;
        }

        path->fields[path->n++] = f;

        if (dot == NULL) {
            break;
        }

        if (f->repeated || f->message == NULL
            || agg_pb_is_scalar_kind(f->message)
            || f->message->kind == AGG_PB_ANY
            || f->message->kind == AGG_PB_STRUCT
            || f->message->kind == AGG_PB_VALUE
            || f->message->kind == AGG_PB_LIST_VALUE)
        {
            agg_pb_error(err, "\"%V\" is not a message with fields", &part);
            return AGG_INVALID;
        }

        m = f->message;
        p = dot + 1;
    }

    if (f->map || (f->message != NULL && !agg_pb_is_scalar_kind(f->message))) {
        agg_pb_error(err, "\"%V\" is a %s field", name,
                     f->map ? "map" : "message");
        return AGG_INVALID;
    }

    return AGG_OK;
}


void
agg_pb_bind_init(agg_pb_bind_t *bind, const agg_pb_message_t *m,
    const agg_pb_read_t *options, agg_buf_t *out)
{
    memset(bind, 0, sizeof(agg_pb_bind_t));

    bind->message = m;
    bind->options = options;
    bind->out = out;
}


agg_rc_e
agg_pb_bind_body(agg_pb_bind_t *bind, const agg_pb_field_t *field)
{
    agg_pb_path_t  path;

    if (field == NULL) {
        bind->all = 1;
        return AGG_OK;
    }

    path.n = 1;
    path.fields[0] = field;

    return agg_pb_add_path(bind, &path, AGG_PB_BY_BODY);
}


agg_rc_e
agg_pb_bind_reserve(agg_pb_bind_t *bind, const agg_pb_path_t *path)
{
    return agg_pb_add_path(bind, path, AGG_PB_BY_PATH);
}


/*
 * paths are compared by a hash of their fields, which is valid for this process
 */

static uint64_t
agg_pb_path_hash(uint64_t hash, const agg_pb_field_t *f)
{
    hash = (hash ^ (uint64_t) (uintptr_t) f) * UINT64_C(0x9e3779b97f4a7c15);

    return hash ^ hash >> 29;
}


static uint64_t
agg_pb_oneof_hash(uint64_t hash, const agg_pb_field_t *f)
{
    hash = (hash ^ (f->oneof + 1)) * UINT64_C(0xc2b2ae3d27d4eb4f);

    return hash ^ hash >> 29;
}


static agg_pb_bound_t *
agg_pb_find_bound(agg_pb_bind_t *bind, uint64_t hash, int oneof)
{
    uint32_t         i;
    agg_pb_bound_t  *b;

    for (i = 0; i < bind->nbound; i++) {
        b = &bind->bound[i];

        if (b->path == hash && (b->by == AGG_PB_BY_ONEOF) == oneof) {
            return b;
        }
    }

    return NULL;
}


static agg_rc_e
agg_pb_add_bound(agg_pb_bind_t *bind, uint64_t hash, const agg_pb_field_t *f,
    unsigned by)
{
    uint32_t         size;
    agg_mem_t       *mem;
    agg_pb_bound_t  *bound;

    if (agg_pb_find_bound(bind, hash, by == AGG_PB_BY_ONEOF) != NULL) {
        return AGG_OK;
    }

    if (bind->nbound == bind->size) {
        mem = bind->out->mem;
        size = bind->size ? bind->size * 2 : 16;

        bound = mem->grow(mem->ctx, bind->bound,
                          bind->nbound * sizeof(agg_pb_bound_t),
                          size * sizeof(agg_pb_bound_t));
        if (bound == NULL) {
            return AGG_NOMEM;
        }

        bind->bound = bound;
        bind->size = size;
    }

    bound = &bind->bound[bind->nbound++];
    bound->path = hash;
    bound->field = f->index + 1;
    bound->by = (u_char) by;

    return AGG_OK;
}


static agg_rc_e
agg_pb_add_path(agg_pb_bind_t *bind, const agg_pb_path_t *path, unsigned by)
{
    uint64_t               hash;
    agg_rc_e               rc;
    unsigned               i;
    const agg_pb_field_t  *f;

    hash = bind->options->key[0];

    for (i = 0; i < path->n; i++) {
        f = path->fields[i];

        if (f->oneof != AGG_PB_NONE) {
            rc = agg_pb_add_bound(bind, agg_pb_oneof_hash(hash, f), f,
                                  AGG_PB_BY_ONEOF);
            if (rc != AGG_OK) {
                return rc;
            }
        }

        hash = agg_pb_path_hash(hash, f);
    }

    if (path->fields[path->n - 1]->repeated && by == AGG_PB_BY_QUERY) {
        return AGG_OK;
    }

    return agg_pb_add_bound(bind, hash, path->fields[path->n - 1], by);
}


static agg_rc_e
agg_pb_check_bound(agg_pb_bind_t *bind, const agg_pb_path_t *path,
    const agg_str_t *name, agg_pb_error_t *err)
{
    uint64_t               hash;
    unsigned               i;
    agg_pb_bound_t        *b;
    const agg_pb_field_t  *f;

    if (bind->all) {
        agg_pb_error(err, "%V: the body has all fields", name);
        return AGG_INVALID;
    }

    hash = bind->options->key[0];

    for (i = 0; i < path->n; i++) {
        f = path->fields[i];

        if (f->oneof != AGG_PB_NONE) {
            b = agg_pb_find_bound(bind, agg_pb_oneof_hash(hash, f), 1);

            if (b != NULL && b->field != f->index + 1) {
                agg_pb_error(err, "%V: a second member of the oneof \"%V\"",
                             name, &f->parent->oneofs[f->oneof]);
                return AGG_INVALID;
            }
        }

        hash = agg_pb_path_hash(hash, f);
        b = agg_pb_find_bound(bind, hash, 0);

        if (b == NULL) {
            continue;
        }

        agg_pb_error(err, (b->by == AGG_PB_BY_QUERY) ? "%V: given twice"
                          : (b->by == AGG_PB_BY_PATH) ? "%V: is in the path"
                                                      : "%V: is the body",
                     name);
        return AGG_INVALID;
    }

    if (bind->nbound > AGG_PB_BOUND) {
        agg_pb_error(err, "too many parameters");
        return AGG_INVALID;
    }

    return AGG_OK;
}


agg_rc_e
agg_pb_bind_query(agg_pb_bind_t *bind, const agg_str_t *name,
    const agg_str_t *value, agg_pb_error_t *err)
{
    agg_rc_e       rc;
    agg_pb_path_t  path;

    rc = agg_pb_resolve(bind->message, name, &path, err);

    if (rc != AGG_OK) {
        return rc;
    }

    rc = agg_pb_check_bound(bind, &path, name, err);
    if (rc != AGG_OK) {
        return rc;
    }

    rc = agg_pb_add_path(bind, &path, AGG_PB_BY_QUERY);
    if (rc != AGG_OK) {
        return rc;
    }

    rc = agg_pb_write_path(bind, &path, value);

    return (rc == AGG_INVALID)
           ? agg_pb_refuse_value(name, path.fields[path.n - 1], err) : rc;
}


agg_rc_e
agg_pb_bind_path(agg_pb_bind_t *bind, const agg_pb_path_t *path,
    const agg_str_t *value, agg_pb_error_t *err)
{
    agg_rc_e  rc;

    rc = agg_pb_write_path(bind, path, value);

    if (rc == AGG_INVALID) {
        agg_pb_path_name(path, err);
        agg_pb_error_add(err, ": not %s",
                         agg_pb_text_kind(path->fields[path->n - 1]));
    }

    return rc;
}


static void
agg_pb_path_name(const agg_pb_path_t *path, agg_pb_error_t *err)
{
    unsigned  i;

    err->len = 0;

    for (i = 0; i < path->n; i++) {
        agg_pb_error_add(err, i ? ".%V" : "%V", &path->fields[i]->json_name);
    }
}


static agg_rc_e
agg_pb_refuse_value(const agg_str_t *name, const agg_pb_field_t *f,
    agg_pb_error_t *err)
{
    agg_pb_error(err, "%V: not %s", name, agg_pb_text_kind(f));

    return AGG_INVALID;
}


/* each enclosing message is a piece, to be merged with those already written */

static agg_rc_e
agg_pb_write_path(agg_pb_bind_t *bind, const agg_pb_path_t *path,
    const agg_str_t *value)
{
    agg_rc_e               rc;
    unsigned               i;
    agg_pb_writer_t        w;
    const agg_pb_field_t  *f;

    agg_pb_writer_init(&w, bind->out);

    rc = AGG_OK;

    for (i = 0; i + 1 < path->n && rc == AGG_OK; i++) {

        rc = agg_pb_reserve(&w, sizeof(path->fields[i]->tag));
        if (rc != AGG_OK) {
            break;
        }

        agg_pb_put_tag(&w, path->fields[i]);

        if (path->fields[i]->type != AGG_PB_GROUP) {
            rc = agg_pb_open_len(&w);
        }
    }

    if (rc == AGG_OK) {
        rc = agg_pb_write_leaf(&w, path->fields[path->n - 1], value);
    }

    for (i = path->n - 1; i > 0 && rc == AGG_OK; i--) {
        f = path->fields[i - 1];

        if (f->type != AGG_PB_GROUP) {
            agg_pb_close_len(&w, w.nopen - 1);
            continue;
        }

        rc = agg_pb_reserve(&w, AGG_PB_VARINT_MAX);

        if (rc == AGG_OK) {
            w.out->pos = agg_pb_put_varint(w.out->pos,
                                           agg_pb_tag(f->number,
                                                      AGG_PB_END_GROUP));
        }
    }

    return agg_pb_writer_finish(&w, rc);
}


static agg_rc_e
agg_pb_write_leaf(agg_pb_writer_t *w, const agg_pb_field_t *f,
    const agg_str_t *value)
{
    agg_rc_e  rc;

    if (f->message == NULL && !f->packed) {
        return agg_pb_write_scalar(w, f, 1, value);
    }

    rc = agg_pb_reserve(w, sizeof(f->tag));
    if (rc != AGG_OK) {
        return rc;
    }

    agg_pb_put_tag(w, f);

    rc = agg_pb_open_len(w);
    if (rc != AGG_OK) {
        return rc;
    }

    if (f->message == NULL) {
        rc = agg_pb_write_scalar(w, f, 0, value);

    } else if (f->message->kind == AGG_PB_WRAPPER) {
        rc = agg_pb_write_scalar(w, f->message->fields, 1, value);

    } else {
        rc = agg_pb_text_message(w, f->message, value->data, value->len);
    }

    agg_pb_close_len(w, w->nopen - 1);

    return rc;
}


static agg_rc_e
agg_pb_write_scalar(agg_pb_writer_t *w, const agg_pb_field_t *f, int tag,
    const agg_str_t *value)
{
    int                         failed;
    u_char                     *p, *last;
    size_t                      size;
    uint64_t                    bits;
    agg_rc_e                    rc;
    const agg_pb_enum_value_t  *e;

    switch (f->type) {

    case AGG_PB_STRING:

        if (!agg_utf8_valid(value->data, value->len)) {
            return AGG_INVALID;
        }

        return agg_pb_put_bytes(w, f, value->data, value->len);

    case AGG_PB_BYTES:

        size = agg_pb_base64_size(value->len);

        p = w->out->mem->grow(w->out->mem->ctx, NULL, 0, size);
        if (p == NULL) {
            return AGG_NOMEM;
        }

        last = agg_pb_base64(p, value->data, value->len);

        rc = last ? agg_pb_put_bytes(w, f, p, (size_t) (last - p))
                  : AGG_INVALID;

        w->out->mem->grow(w->out->mem->ctx, p, 0, 0);

        return rc;

    case AGG_PB_BOOL:
        failed = agg_pb_text_bool(value->data, value->len, &bits);
        break;

    case AGG_PB_ENUM:
        failed = 0;
        e = agg_pb_enum_by_name(f->enumeration, value->data, value->len);

        if (e != NULL) {
            bits = (uint64_t) (int64_t) e->number;
            break;
        }

        /* fall through */

    default:
        failed = agg_pb_text_quoted(f, value->data, value->len, &bits);

        if (!failed && f->type == AGG_PB_ENUM && f->enumeration->closed) {
            failed = agg_pb_enum_by_number(f->enumeration, (int32_t) bits)
                     == NULL;
        }
    }

    return failed ? AGG_INVALID : agg_pb_put_scalar(w, f, tag, bits);
}
