
/*
 * What Redis may hand us as an entry.
 *
 * sources: cache/agg_cache_entry.c cache/agg_cache_key.c
 */

#include <stdlib.h>
#include <string.h>

#include "agg_cache_entry.h"


int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);


static void
need(int ok)
{
    if (!ok) {
        abort();
    }
}


static void
check_inside(const agg_cache_str_t *str, const u_char *data, size_t size)
{
    need(str->data >= data && str->data <= data + size);
    need(str->len <= (size_t) (data + size - str->data));
}


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    u_char             *copy;
    const u_char       *p;
    agg_cache_str_t     name, value;
    agg_cache_entry_t   entry;

    copy = malloc(size + 1);
    memcpy(copy, data, size);

    /* the sum is made right, so that what follows it is reached */

    if (size >= AGG_CACHE_ENTRY_HEADER) {
        agg_cache_entry_seal(copy, size);
    }

    if (agg_cache_entry_read(&entry, copy, size, 1) == 0) {

        check_inside(&entry.key, copy, size);
        check_inside(&entry.tags, copy, size);
        check_inside(&entry.lines, copy, size);
        check_inside(&entry.names, copy, size);
        (void) agg_cache_entry_name(&entry, AGG_CACHE_ENTRY_NAMES_MAX);
        check_inside(&entry.body, copy, size);

        p = entry.lines.data;

        while (agg_cache_entry_line(&entry, &p, &name, &value) == 1) {
            check_inside(&name, copy, size);
            check_inside(&value, copy, size);
            need(memchr(value.data, '\n', value.len) == NULL);
        }

        need(p == entry.lines.data + entry.lines.len);
        need(agg_cache_entry_length(&entry) == size);
    }

    free(copy);

    return 0;
}
