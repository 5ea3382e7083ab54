
/*
 * The loader: first files and symbols, then fields, then tables.
 * Descriptors of messages nest without a limit, so nested messages are appended
 * to the list of symbols, which is processed in one pass.
 */


#include "agg_pb_load.h"


#define agg_pb_is(s, text)                                                   \
    ((s)->len == sizeof(text) - 1                                            \
     && memcmp((s)->data, text, sizeof(text) - 1) == 0)

#define agg_pb_starts(s, text)                                               \
    ((s)->len >= sizeof(text) - 1                                            \
     && memcmp((s)->data, text, sizeof(text) - 1) == 0)


static agg_rc_e agg_pb_load_set(agg_pb_loader_t *l, const agg_str_t *set,
    size_t which);
static agg_rc_e agg_pb_load_file(agg_pb_loader_t *l, const agg_str_t *bytes,
    size_t which);
static agg_rc_e agg_pb_load_imports(agg_pb_loader_t *l);
static agg_rc_e agg_pb_load_symbols(agg_pb_loader_t *l, uint32_t file);
static agg_rc_e agg_pb_declare(agg_pb_loader_t *l, uint32_t file,
    const agg_str_t *prefix, agg_pb_symbol_e kind, const agg_str_t *bytes);
static agg_rc_e agg_pb_scan_message(agg_pb_loader_t *l, uint32_t symbol);
static agg_rc_e agg_pb_count_extension(agg_pb_loader_t *l, uint32_t symbol);
static agg_rc_e agg_pb_load_message(agg_pb_loader_t *l, uint32_t symbol);
static agg_rc_e agg_pb_load_extension(agg_pb_loader_t *l, uint32_t symbol);
static agg_rc_e agg_pb_load_enum(agg_pb_loader_t *l, uint32_t symbol);
static agg_rc_e agg_pb_read_decl(agg_pb_loader_t *l, uint32_t file,
    const agg_str_t *bytes, agg_pb_decl_t *decl);
static void agg_pb_load_required(agg_pb_pool_t *pool);
static agg_rc_e agg_pb_grow_names(agg_pb_loader_t *l);
static agg_rc_e agg_pb_grow(agg_mem_t *mem, void *list, uint32_t n,
    uint32_t *size, size_t element);


agg_rc_e
agg_pb_load(agg_pb_pool_t **pool, agg_mem_t *mem, const agg_str_t *sets,
    size_t n, agg_pb_error_t *err, size_t *which)
{
    size_t            i;
    agg_rc_e          rc;
    agg_pb_loader_t   l;
    agg_pb_symbol_t  *symbol;

    static agg_rc_e  (*const steps[])(agg_pb_loader_t *l, uint32_t symbol) = {
        agg_pb_scan_message,
        agg_pb_count_extension,
        agg_pb_load_message,
        agg_pb_load_extension,
        agg_pb_load_enum,
        agg_pb_load_service
    };

    memset(&l, 0, sizeof(agg_pb_loader_t));

    *which = 0;
    err->len = 0;

    l.mem = mem;
    l.err = err;
    l.which = which;
    l.pool = agg_pb_zalloc(mem, sizeof(agg_pb_pool_t));

    if (l.pool == NULL || agg_pb_grow_names(&l) != AGG_OK) {
        return AGG_NOMEM;
    }

    rc = AGG_OK;

    for (i = 0; i < n && rc == AGG_OK; i++) {
        rc = agg_pb_load_set(&l, &sets[i], i);
    }

    if (rc == AGG_OK) {
        rc = agg_pb_load_imports(&l);
    }

    for (i = 0; i < l.nfiles && rc == AGG_OK; i++) {
        rc = agg_pb_load_symbols(&l, (uint32_t) i);
    }

    /* the first step appends symbols to the list that it processes */

    for (n = 0; n < sizeof(steps) / sizeof(steps[0]); n++) {

        for (i = 0; i < l.pool->nsymbols && rc == AGG_OK; i++) {
            rc = steps[n](&l, (uint32_t) i);
        }

        if (n == 0 && rc == AGG_OK) {
            rc = agg_pb_load_builtins(&l);
        }
    }

    for (i = 0; i < l.pool->nsymbols && rc == AGG_OK; i++) {
        symbol = &l.pool->symbols[i];

        if (symbol->kind == AGG_PB_SYMBOL_MESSAGE) {
            rc = agg_pb_finish_message(&l, symbol->file, symbol->item);
        }
    }

    for (i = 0; i < l.pool->nsymbols && rc == AGG_OK; i++) {
        symbol = &l.pool->symbols[i];

        if (symbol->kind == AGG_PB_SYMBOL_MESSAGE) {
            rc = agg_pb_check_maps(&l, symbol->file, symbol->item);
        }
    }

    if (rc == AGG_OK) {
        rc = agg_pb_check_builtins(&l);
        agg_pb_load_required(l.pool);
    }

    if (l.files != NULL) {
        mem->grow(mem->ctx, l.files, 0, 0);
    }

    *pool = l.pool;

    return rc;
}


static agg_rc_e
agg_pb_load_set(agg_pb_loader_t *l, const agg_str_t *set, size_t which)
{
    agg_rc_e         rc;
    agg_pb_reader_t  r;

    if (set->len == 0 || set->len > AGG_PB_MAX_INPUT) {
        return agg_pb_no_set(l, which);
    }

    agg_pb_reader_init(&r, set);

    while (agg_pb_reader_next(&r)) {

        if (r.tag != agg_pb_tag(1, AGG_PB_LEN)) {
            return agg_pb_no_set(l, which);
        }

        rc = agg_pb_load_file(l, &r.value, which);
        if (rc != AGG_OK) {
            return rc;
        }
    }

    return r.bad ? agg_pb_no_set(l, which) : AGG_OK;
}


static agg_rc_e
agg_pb_load_file(agg_pb_loader_t *l, const agg_str_t *bytes, size_t which)
{
    uint32_t         i;
    unsigned         edition;
    agg_pb_file_t   *file;
    agg_pb_reader_t  r;

    if (agg_pb_grow(l->mem, &l->files, l->nfiles, &l->files_size,
                    sizeof(agg_pb_file_t))
        != AGG_OK)
    {
        return AGG_NOMEM;
    }

    edition = 0;

    file = &l->files[l->nfiles];
    memset(file, 0, sizeof(agg_pb_file_t));

    file->bytes = *bytes;
    file->set = which;

    agg_pb_reader_init(&r, bytes);

    while (agg_pb_reader_next(&r)) {

        switch (r.tag) {

        case agg_pb_tag(1, AGG_PB_LEN):
            file->name = r.value;
            break;

        case agg_pb_tag(2, AGG_PB_LEN):
            file->package = r.value;
            break;

        case agg_pb_tag(12, AGG_PB_LEN):
            file->proto3 = agg_pb_is(&r.value, "proto3");

            if (!file->proto3 && !agg_pb_is(&r.value, "proto2")) {
                edition = 1;
            }

            break;

        case agg_pb_tag(14, AGG_PB_VARINT):
            edition = 1;
        }
    }

    if (r.bad || file->name.len == 0
        || !agg_utf8_valid(file->name.data, file->name.len)
        || memchr(file->name.data, '\0', file->name.len) != NULL)
    {
        return agg_pb_no_set(l, which);
    }

    if (edition) {
        agg_pb_error(l->err, "uses an edition in \"%V\"", &file->name);
        *l->which = which;
        return AGG_INVALID;
    }

    /* several sets may contain the same file */

    for (i = 0; i < l->nfiles; i++) {
        if (l->files[i].bytes.len == bytes->len
            && memcmp(l->files[i].bytes.data, bytes->data, bytes->len) == 0)
        {
            return AGG_OK;
        }
    }

    l->nfiles++;

    return AGG_OK;
}


static agg_rc_e
agg_pb_load_imports(agg_pb_loader_t *l)
{
    uint32_t         i, k;
    agg_pb_file_t   *file;
    agg_pb_reader_t  r;

    for (i = 0; i < l->nfiles; i++) {
        file = &l->files[i];

        agg_pb_reader_init(&r, &file->bytes);

        while (agg_pb_reader_next(&r)) {

            if (r.tag != agg_pb_tag(3, AGG_PB_LEN)) {
                continue;
            }

            for (k = 0; k < l->nfiles; k++) {
                if (l->files[k].name.len == r.value.len
                    && memcmp(l->files[k].name.data, r.value.data, r.value.len)
                       == 0)
                {
                    break;
                }
            }

            if (k == l->nfiles) {
                agg_pb_error(l->err, "lacks \"%V\", which \"%V\" imports",
                             &r.value, &file->name);
                *l->which = file->set;
                return AGG_INVALID;
            }
        }
    }

    return AGG_OK;
}


static agg_rc_e
agg_pb_load_symbols(agg_pb_loader_t *l, uint32_t file)
{
    agg_rc_e         rc;
    agg_str_t        package;
    agg_pb_reader_t  r;

    package = l->files[file].package;

    agg_pb_reader_init(&r, &l->files[file].bytes);

    while (agg_pb_reader_next(&r)) {

        switch (r.tag) {

        case agg_pb_tag(4, AGG_PB_LEN):
            rc = agg_pb_declare(l, file, &package, AGG_PB_SYMBOL_MESSAGE,
                                &r.value);
            break;

        case agg_pb_tag(5, AGG_PB_LEN):
            rc = agg_pb_declare(l, file, &package, AGG_PB_SYMBOL_ENUM,
                                &r.value);
            break;

        case agg_pb_tag(6, AGG_PB_LEN):
            rc = agg_pb_declare(l, file, &package, AGG_PB_SYMBOL_SERVICE,
                                &r.value);
            break;

        case agg_pb_tag(7, AGG_PB_LEN):
            rc = agg_pb_declare(l, file, &package, AGG_PB_SYMBOL_EXTENSION,
                                &r.value);
            break;

        default:
            rc = AGG_OK;
        }

        if (rc != AGG_OK) {
            return rc;
        }
    }

    return AGG_OK;
}


/* in all four kinds of descriptors, field 1 is the name */

static agg_rc_e
agg_pb_declare(agg_pb_loader_t *l, uint32_t file, const agg_str_t *prefix,
    agg_pb_symbol_e kind, const agg_str_t *bytes)
{
    void             *item;
    u_char           *p;
    agg_str_t         name, full;
    agg_pb_reader_t   r;

    name.len = 0;
    name.data = bytes->data;

    agg_pb_reader_init(&r, bytes);

    while (agg_pb_reader_next(&r)) {
        if (r.tag == agg_pb_tag(1, AGG_PB_LEN)) {
            name = r.value;
        }
    }

    if (r.bad) {
        return agg_pb_no_set(l, l->files[file].set);
    }

    if (!agg_pb_identifier(&name)) {
        agg_pb_error(l->err, "has an invalid name in \"%V\"",
                     &l->files[file].name);
        *l->which = l->files[file].set;
        return AGG_INVALID;
    }

    full = name;

    if (prefix->len != 0) {
        full.len = prefix->len + 1 + name.len;
        full.data = l->mem->alloc(l->mem->ctx, full.len);

        if (full.data == NULL) {
            return AGG_NOMEM;
        }

        p = full.data;
        memcpy(p, prefix->data, prefix->len);
        p += prefix->len;
        *p++ = '.';
        memcpy(p, name.data, name.len);
    }

    return agg_pb_add_symbol(l, file, &full, kind, bytes, &item);
}


agg_rc_e
agg_pb_add_symbol(agg_pb_loader_t *l, uint32_t file, const agg_str_t *name,
    agg_pb_symbol_e kind, const agg_str_t *bytes, void **item)
{
    uint32_t                hash, i;
    agg_pb_pool_t          *pool;
    agg_pb_symbol_t        *symbol;
    const agg_pb_symbol_t  *old;

    static const size_t  sizes[] = {
        sizeof(agg_pb_message_t),
        sizeof(agg_pb_enum_t),
        sizeof(agg_pb_service_t),
        sizeof(agg_pb_field_t)
    };

    pool = l->pool;
    *item = NULL;

    old = agg_pb_find_symbol(pool, name->data, name->len);

    if (old != NULL) {

        if (old->kind == kind
            && ((old->bytes.len == bytes->len
                 && memcmp(old->bytes.data, bytes->data, bytes->len) == 0)
                || agg_pb_starts(name, "google.")))
        {
            /*
             * Google adds fields to its own files: the first definition is used
             */
            return AGG_OK;
        }

        agg_pb_error(l->err, "defines \"%V\" differently than \"%V\" does",
                     name, &l->files[old->file].name);
        *l->which = l->files[file].set;
        return AGG_INVALID;
    }

    if (agg_pb_grow(l->mem, &pool->symbols, pool->nsymbols, &l->symbols_size,
                    sizeof(agg_pb_symbol_t))
        != AGG_OK)
    {
        return AGG_NOMEM;
    }

    *item = agg_pb_zalloc(l->mem, sizes[kind]);
    if (*item == NULL) {
        return AGG_NOMEM;
    }

    symbol = &pool->symbols[pool->nsymbols++];
    symbol->name = *name;
    symbol->kind = kind;
    symbol->item = *item;
    symbol->bytes = *bytes;
    symbol->file = file;

    /* the name is part of the definition, except for extensions */

    if (kind != AGG_PB_SYMBOL_EXTENSION) {
        *(agg_str_t *) *item = *name;
    }

    if (pool->nsymbols > pool->names_mask / 2) {
        return agg_pb_grow_names(l);
    }

    hash = agg_pb_hash(name->data, name->len);

    for (i = hash; pool->names[i & pool->names_mask].index; i++) { /* void */ }

    pool->names[i & pool->names_mask].hash = hash;
    pool->names[i & pool->names_mask].index = pool->nsymbols;

    return AGG_OK;
}


static agg_rc_e
agg_pb_grow_names(agg_pb_loader_t *l)
{
    uint32_t        hash, i, k, size;
    agg_pb_pool_t  *pool;
    agg_pb_slot_t  *names;

    pool = l->pool;
    size = pool->names ? (pool->names_mask + 1) * 4 : 256;

    names = agg_pb_zalloc(l->mem, size * sizeof(agg_pb_slot_t));
    if (names == NULL) {
        return AGG_NOMEM;
    }

    for (k = 0; k < pool->nsymbols; k++) {
        hash = agg_pb_hash(pool->symbols[k].name.data,
                           pool->symbols[k].name.len);

        for (i = hash; names[i & (size - 1)].index; i++) { /* void */ }

        names[i & (size - 1)].hash = hash;
        names[i & (size - 1)].index = k + 1;
    }

    if (pool->names != NULL) {
        l->mem->grow(l->mem->ctx, pool->names, 0, 0);
    }

    pool->names = names;
    pool->names_mask = size - 1;

    return AGG_OK;
}


static agg_rc_e
agg_pb_scan_message(agg_pb_loader_t *l, uint32_t symbol)
{
    uint32_t           file;
    agg_rc_e           rc;
    agg_str_t          name;
    agg_pb_reader_t    r, options;
    agg_pb_message_t  *m;

    if (l->pool->symbols[symbol].kind != AGG_PB_SYMBOL_MESSAGE) {
        return AGG_OK;
    }

    file = l->pool->symbols[symbol].file;
    name = l->pool->symbols[symbol].name;

    m = l->pool->symbols[symbol].item;
    m->proto3 = l->files[file].proto3;

    agg_pb_reader_init(&r, &l->pool->symbols[symbol].bytes);

    while (agg_pb_reader_next(&r)) {
        rc = AGG_OK;

        switch (r.tag) {

        case agg_pb_tag(2, AGG_PB_LEN):
            m->size++;
            break;

        case agg_pb_tag(3, AGG_PB_LEN):
            rc = agg_pb_declare(l, file, &name, AGG_PB_SYMBOL_MESSAGE,
                                &r.value);
            break;

        case agg_pb_tag(4, AGG_PB_LEN):
            rc = agg_pb_declare(l, file, &name, AGG_PB_SYMBOL_ENUM, &r.value);
            break;

        case agg_pb_tag(6, AGG_PB_LEN):
            rc = agg_pb_declare(l, file, &name, AGG_PB_SYMBOL_EXTENSION,
                                &r.value);
            break;

        case agg_pb_tag(7, AGG_PB_LEN):
            agg_pb_reader_init(&options, &r.value);

            while (agg_pb_reader_next(&options)) {
                if (options.tag == agg_pb_tag(7, AGG_PB_VARINT)) {
                    m->map_entry = options.n != 0;
                }
            }

            break;

        case agg_pb_tag(8, AGG_PB_LEN):
            m->noneofs++;
        }

        if (rc != AGG_OK) {
            return rc;
        }
    }

    return AGG_OK;
}


/* extensions of options matter only to compilers */

static agg_rc_e
agg_pb_count_extension(agg_pb_loader_t *l, uint32_t symbol)
{
    agg_rc_e           rc;
    agg_pb_decl_t      decl;
    agg_pb_symbol_t   *extension;
    agg_pb_message_t  *m;

    extension = &l->pool->symbols[symbol];

    if (extension->kind != AGG_PB_SYMBOL_EXTENSION) {
        return AGG_OK;
    }

    rc = agg_pb_read_decl(l, extension->file, &extension->bytes, &decl);
    if (rc != AGG_OK) {
        return rc;
    }

    if (agg_pb_starts(&decl.extendee, ".google.protobuf.")) {
        return AGG_OK;
    }

    m = NULL;

    if (decl.extendee.len > 1 && decl.extendee.data[0] == '.') {
        m = (agg_pb_message_t *)
                agg_pb_find_message(l->pool, decl.extendee.data + 1,
                                    decl.extendee.len - 1);
    }

    if (m == NULL || m->map_entry || m->builtin) {
        agg_pb_error(l->err, "has no type \"%V\", which \"%V\" extends",
                     &decl.extendee, &extension->name);
        *l->which = l->files[extension->file].set;
        return AGG_INVALID;
    }

    m->size++;

    return AGG_OK;
}


static agg_rc_e
agg_pb_load_message(agg_pb_loader_t *l, uint32_t symbol)
{
    uint32_t           file;
    agg_rc_e           rc;
    unsigned           n;
    agg_pb_decl_t      decl;
    agg_pb_reader_t    r;
    agg_pb_message_t  *m;

    m = l->pool->symbols[symbol].item;

    if (l->pool->symbols[symbol].kind != AGG_PB_SYMBOL_MESSAGE || m->builtin) {
        return AGG_OK;
    }

    n = 0;
    file = l->pool->symbols[symbol].file;

    m->fields = agg_pb_zalloc(l->mem, m->size * sizeof(agg_pb_field_t) + 1);
    m->oneofs = agg_pb_zalloc(l->mem, m->noneofs * sizeof(agg_str_t) + 1);

    if (m->fields == NULL || m->oneofs == NULL) {
        return AGG_NOMEM;
    }

    agg_pb_reader_init(&r, &l->pool->symbols[symbol].bytes);

    while (agg_pb_reader_next(&r)) {

        if (r.tag == agg_pb_tag(8, AGG_PB_LEN)) {

            rc = agg_pb_read_decl(l, file, &r.value, &decl);
            if (rc != AGG_OK) {
                return rc;
            }

            m->oneofs[n++] = decl.name;
        }

        if (r.tag != agg_pb_tag(2, AGG_PB_LEN)) {
            continue;
        }

        rc = agg_pb_read_decl(l, file, &r.value, &decl);
        if (rc != AGG_OK) {
            return rc;
        }

        rc = agg_pb_load_field(l, file, m, &decl, NULL);
        if (rc != AGG_OK) {
            return rc;
        }
    }

    return AGG_OK;
}


static agg_rc_e
agg_pb_load_extension(agg_pb_loader_t *l, uint32_t symbol)
{
    agg_rc_e           rc;
    agg_str_t          name;
    agg_pb_decl_t      decl;
    agg_pb_symbol_t   *extension;
    agg_pb_message_t  *m;

    extension = &l->pool->symbols[symbol];

    if (extension->kind != AGG_PB_SYMBOL_EXTENSION) {
        return AGG_OK;
    }

    rc = agg_pb_read_decl(l, extension->file, &extension->bytes, &decl);

    if (rc != AGG_OK || agg_pb_starts(&decl.extendee, ".google.protobuf.")) {
        return rc;
    }

    m = (agg_pb_message_t *)
            agg_pb_find_message(l->pool, decl.extendee.data + 1,
                                decl.extendee.len - 1);

    name.len = extension->name.len + 2;
    name.data = l->mem->alloc(l->mem->ctx, name.len);

    if (name.data == NULL) {
        return AGG_NOMEM;
    }

    name.data[0] = '[';
    memcpy(name.data + 1, extension->name.data, extension->name.len);
    name.data[name.len - 1] = ']';

    return agg_pb_load_field(l, extension->file, m, &decl, &name);
}


static agg_rc_e
agg_pb_read_decl(agg_pb_loader_t *l, uint32_t file, const agg_str_t *bytes,
    agg_pb_decl_t *decl)
{
    agg_pb_reader_t  r;

    memset(decl, 0, sizeof(agg_pb_decl_t));
    decl->oneof = AGG_PB_NONE;

    agg_pb_reader_init(&r, bytes);

    while (agg_pb_reader_next(&r)) {

        switch (r.tag) {

        case agg_pb_tag(1, AGG_PB_LEN):
            decl->name = r.value;
            break;

        case agg_pb_tag(2, AGG_PB_LEN):
            decl->extendee = r.value;
            break;

        case agg_pb_tag(3, AGG_PB_VARINT):
            decl->number = r.n;
            break;

        case agg_pb_tag(4, AGG_PB_VARINT):
            decl->label = r.n;
            break;

        case agg_pb_tag(5, AGG_PB_VARINT):
            decl->type = r.n;
            break;

        case agg_pb_tag(6, AGG_PB_LEN):
            decl->type_name = r.value;
            break;

        case agg_pb_tag(8, AGG_PB_LEN):
            decl->options = r.value;
            break;

        case agg_pb_tag(9, AGG_PB_VARINT):
            decl->oneof = r.n;
            break;

        case agg_pb_tag(10, AGG_PB_LEN):
            decl->json_name = r.value;
            break;

        case agg_pb_tag(17, AGG_PB_VARINT):
            decl->optional = r.n != 0;
        }
    }

    if (r.bad) {
        return agg_pb_no_set(l, l->files[file].set);
    }

    if (!agg_pb_identifier(&decl->name)
        || (decl->json_name.len != 0
            && !agg_utf8_valid(decl->json_name.data, decl->json_name.len)))
    {
        agg_pb_error(l->err, "has an invalid name in \"%V\"",
                     &l->files[file].name);
        *l->which = l->files[file].set;
        return AGG_INVALID;
    }

    return AGG_OK;
}


static agg_rc_e
agg_pb_load_enum(agg_pb_loader_t *l, uint32_t symbol)
{
    agg_rc_e               rc;
    agg_pb_enum_t         *e;
    agg_pb_decl_t          decl;
    agg_pb_symbol_t       *s;
    agg_pb_reader_t        r, v;
    agg_pb_enum_value_t   *value;

    s = &l->pool->symbols[symbol];
    e = s->item;

    if (s->kind != AGG_PB_SYMBOL_ENUM || e->builtin) {
        return AGG_OK;
    }

    agg_pb_reader_init(&r, &s->bytes);

    while (agg_pb_reader_next(&r)) {
        e->nvalues += r.tag == agg_pb_tag(2, AGG_PB_LEN);
    }

    if (e->nvalues == 0) {
        agg_pb_error(l->err, "has no values of the enum \"%V\"", &e->name);
        *l->which = l->files[s->file].set;
        return AGG_INVALID;
    }

    e->closed = !l->files[s->file].proto3;
    e->values = agg_pb_zalloc(l->mem, e->nvalues * sizeof(*e->values));

    if (e->values == NULL) {
        return AGG_NOMEM;
    }

    value = e->values;

    agg_pb_reader_init(&r, &s->bytes);

    while (agg_pb_reader_next(&r)) {

        if (r.tag != agg_pb_tag(2, AGG_PB_LEN)) {
            continue;
        }

        rc = agg_pb_read_decl(l, s->file, &r.value, &decl);
        if (rc != AGG_OK) {
            return rc;
        }

        value->name = decl.name;

        agg_pb_reader_init(&v, &r.value);

        while (agg_pb_reader_next(&v)) {
            if (v.tag == agg_pb_tag(2, AGG_PB_VARINT)) {
                value->number = (int32_t) (uint32_t) v.n;
            }
        }

        value++;
    }

    return agg_pb_finish_enum(l, e);
}


/* a message requires something, too, if one in it does */

static void
agg_pb_load_required(agg_pb_pool_t *pool)
{
    size_t                 i;
    unsigned               found;
    uint32_t               k;
    agg_pb_message_t      *m;
    const agg_pb_field_t  *f;

    do {
        found = 0;

        for (i = 0; i < pool->nsymbols; i++) {
            m = pool->symbols[i].item;

            if (pool->symbols[i].kind != AGG_PB_SYMBOL_MESSAGE || m->requires) {
                continue;
            }

            for (k = 0; k < m->nfields; k++) {
                f = &m->fields[k];

                if (f->required || (f->message && f->message->requires)) {
                    m->requires = 1;
                    found = 1;
                    break;
                }
            }
        }

    } while (found);
}


void
agg_pb_reader_init(agg_pb_reader_t *r, const agg_str_t *bytes)
{
    /* a pointer to no bytes may be NULL */

    r->p = bytes->data;
    r->end = bytes->len ? bytes->data + bytes->len : bytes->data;
    r->bad = 0;
}


int
agg_pb_reader_next(agg_pb_reader_t *r)
{
    const u_char  *p;

    if (r->p == r->end) {
        return 0;
    }

    p = agg_pb_read_tag(r->p, r->end, &r->tag);

    if (p != NULL) {

        switch (r->tag & 7) {

        case AGG_PB_VARINT:
            p = agg_pb_varint(p, r->end, &r->n);
            break;

        case AGG_PB_LEN:
            p = agg_pb_read_len(p, r->end, &r->value);
            break;

        default:
            p = agg_pb_skip(p, r->end, r->tag, NULL);
        }
    }

    if (p == NULL) {
        r->bad = 1;
        return 0;
    }

    r->p = p;

    return 1;
}


void *
agg_pb_zalloc(agg_mem_t *mem, size_t size)
{
    void  *p;

    p = mem->alloc(mem->ctx, size);

    if (p != NULL) {
        memset(p, 0, size);
    }

    return p;
}


/* list: the address of the pointer to the elements, n of which are used */

static agg_rc_e
agg_pb_grow(agg_mem_t *mem, void *list, uint32_t n, uint32_t *size,
    size_t element)
{
    void      *old, *p;
    uint32_t   more;

    if (n < *size) {
        return AGG_OK;
    }

    memcpy(&old, list, sizeof(void *));
    more = *size ? *size * 2 : 32;

    p = mem->grow(mem->ctx, old, n * element, more * element);
    if (p == NULL) {
        return AGG_NOMEM;
    }

    memcpy(list, &p, sizeof(void *));
    *size = more;

    return AGG_OK;
}


int
agg_pb_identifier(const agg_str_t *name)
{
    size_t  i;
    u_char  c;

    for (i = 0; i < name->len; i++) {
        c = name->data[i];

        if (c == '_' || (u_char) ((c | 0x20) - 'a') < 26
            || (i != 0 && (u_char) (c - '0') < 10))
        {
            continue;
        }

        return 0;
    }

    return name->len != 0;
}


agg_rc_e
agg_pb_no_set(agg_pb_loader_t *l, size_t which)
{
    agg_pb_error(l->err, "is not a FileDescriptorSet");
    *l->which = which;

    return AGG_INVALID;
}
