
/*
 * Any template with any values: what is rendered has the literal's slashes
 * and none of a value's, and no byte that ends a request line.
 *
 * sources: http_rules/agg_template.c json/agg_json.c json/agg_path.c
 * sources: json/agg_scan.c json/agg_write.c
 */

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "agg_template.h"


#define BLOCKS  1024

#define hold(x)  if (!(x)) { abort(); }


int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);


static void      *blocks[BLOCKS];
static unsigned   nblocks;


static void *
fuzz_alloc(void *ctx, size_t size)
{
    (void) ctx;

    if (nblocks == BLOCKS) {
        return NULL;
    }

    blocks[nblocks] = malloc(size ? size : 1);

    return blocks[nblocks++];
}


static void *
fuzz_grow(void *ctx, void *p, size_t used, size_t size)
{
    void  *block;

    block = fuzz_alloc(ctx, size);

    if (block != NULL && used != 0) {
        memcpy(block, p, used);
    }

    return block;
}


static agg_mem_t  mem = { fuzz_alloc, fuzz_grow, NULL };


static size_t
count(const agg_str_t *s, unsigned char ch)
{
    size_t  i, n;

    for (i = 0, n = 0; i < s->len; i++) {
        n += (s->data[i] == ch);
    }

    return n;
}


static void
check(const agg_template_t *t, const agg_str_t *value, const agg_str_t *path,
    const agg_str_t *args)
{
    size_t  i, slashes, controls, own;

    for (i = 0, slashes = 0, controls = 0; i < t->npieces; i++) {

        if (t->pieces[i].args) {
            continue;
        }

        if (t->pieces[i].kind == AGG_PIECE_TEXT) {
            slashes += count(&t->pieces[i].text, '/');

        } else if (t->pieces[i].value == AGG_VALUE_SEGMENTS) {
            slashes += count(value, '/');
        }
    }

    hold(count(path, '/') == slashes);

    for (i = 0; i < args->len; i++) {
        hold(args->data[i] > 0x20 && args->data[i] != 0x7f);
    }

    for (i = 0, own = 0; i < t->npieces; i++) {
        if (t->pieces[i].kind == AGG_PIECE_TEXT && !t->pieces[i].args) {
            own += count(&t->pieces[i].text, '\n');
        }
    }

    controls = count(path, '\n');
    hold(controls == own);
}


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    size_t           i, room;
    agg_str_t        text, value, path, args, *values;
    agg_error_t      err;
    agg_template_e   kind;
    agg_template_t   t;
    unsigned char   *copy;
    const uint8_t   *split;

    if (size < 2) {
        return 0;
    }

    kind = (agg_template_e) (data[0] % 3);
    split = memchr(data + 1, '\n', size - 1);

    copy = malloc(size);
    memcpy(copy, data, size);

    text.data = copy + 1;
    text.len = split ? (size_t) (split - data - 1) : size - 1;

    value.data = text.data + text.len;
    value.len = size - 1 - text.len;

    if (value.len != 0) {
        value.data++;
        value.len--;
    }

    if (agg_template_parse(&t, kind, &text, &mem, &err) == AGG_OK
        && kind == AGG_TEMPLATE_URI)
    {
        values = malloc((t.npieces + 1) * sizeof(agg_str_t));

        for (i = 0; i < t.npieces; i++) {
            values[i] = value;
        }

        room = agg_uri_size(&t, values);
        path.data = malloc(room + 1);
        args.data = malloc(room + 1);

        if (agg_uri_render(&t, values, &path, &args) == AGG_OK) {
            hold(path.len <= room && args.len <= room);
            check(&t, &value, &path, &args);
        }

        free(path.data);
        free(args.data);
        free(values);
    }

    while (nblocks != 0) {
        free(blocks[--nblocks]);
    }

    free(copy);

    return 0;
}
