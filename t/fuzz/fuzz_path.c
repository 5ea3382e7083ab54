
/*
 * Paths: the first byte is the flags, a line, then a document for the path.
 * sources: json/agg_path.c json/agg_scan.c json/agg_json.c json/agg_write.c
 */


#include <stdlib.h>

#include "agg_path.h"


int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);


static void *
fuzz_alloc(void *ctx, size_t size)
{
    *(void **) ctx = malloc(size);

    return *(void **) ctx;
}


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    void        *block;
    u_char      *p;
    agg_mem_t    mem;
    agg_str_t    text, doc, value;
    agg_path_t  *path;
    agg_error_t  err;

    const uint8_t  *line;

    if (size == 0) {
        return 0;
    }

    line = memchr(data + 1, '\n', size - 1);
    text.len = (line ? (size_t) (line - data) : size) - 1;
    text.data = malloc(text.len + 1);
    memcpy(text.data, data + 1, text.len);

    block = NULL;
    mem.alloc = fuzz_alloc;
    mem.grow = NULL;
    mem.ctx = &block;

    err.text = NULL;
    path = agg_path_parse(&mem, &text, data[0] & 7, &err);

    if (path == NULL) {
        if (err.text == NULL || err.offset > text.len) {
            abort();
        }

    } else if (line != NULL) {
        doc.len = size - 1 - (size_t) (line - data);
        p = malloc(doc.len + 1);
        memcpy(p, line + 1, doc.len);
        doc.data = p;

        if (agg_json_validate(p, doc.len, NULL) == AGG_OK
            && agg_path_get(path, &doc, &value) == AGG_OK
            && agg_json_validate(value.data, value.len, NULL) != AGG_OK)
        {
            abort();
        }

        free(p);
    }

    free(block);
    free(text.data);

    return 0;
}
