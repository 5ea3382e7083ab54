
/*
 * The scanner: in one piece, in pieces as the first byte says, and in single
 * bytes it must give the same answer, with every kind of its core, also
 * when the same document was learned before, and when several of them, parted
 * by form feeds, are read in turn on one table of patterns; the members of a
 * valid document must add up.
 * sources: json/agg_scan.c json/agg_json.c json/agg_write.c
 */


#include <stdlib.h>

#include "agg_scan.h"


#define DOCUMENTS  8


typedef struct {
    const u_char  *data;
    size_t         len;
    size_t         pos;
    agg_scan_t     scan;
    agg_scan_t     twin;            /* by single bytes */
} document_t;


int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);


static agg_rc_e
pieces(const u_char *data, size_t len, size_t size, agg_patterns_t *patterns,
    size_t *offset)
{
    size_t      pos, n;
    u_char     *p;
    agg_rc_e    rc;
    agg_scan_t  s;

    rc = AGG_OK;
    agg_scan_init(&s);

    if (patterns != NULL) {
        s.patterns = patterns;
        agg_patterns_start(patterns);
    }

    for (pos = 0; pos < len && rc == AGG_OK; pos += n) {
        n = (size > len - pos) ? len - pos : size;

        /* a copy of its own, so that no piece is read beyond its end */

        p = malloc(n);
        memcpy(p, data + pos, n);
        rc = agg_scan_push(&s, p, n);
        free(p);
    }

    if (rc == AGG_OK) {
        rc = agg_scan_finish(&s);
    }

    *offset = s.offset;

    return rc;
}


/* a piece of a document; 0 when there is nothing to come */

static int
go_on(document_t *d, size_t size)
{
    size_t    i;
    u_char   *p;
    agg_rc_e  rc, rc1;

    size = (size > d->len - d->pos) ? d->len - d->pos : size;

    if (size == 0) {
        return 0;
    }

    p = malloc(size);
    memcpy(p, d->data + d->pos, size);
    rc = agg_scan_push(&d->scan, p, size);
    free(p);

    rc1 = AGG_OK;

    for (i = 0; i < size && rc1 == AGG_OK; i++) {
        rc1 = agg_scan_push(&d->twin, d->data + d->pos + i, 1);
    }

    if (rc != rc1 || d->scan.offset != d->twin.offset
        || d->scan.state != d->twin.state || d->scan.depth != d->twin.depth
        || (rc != AGG_OK && d->scan.failed != d->twin.failed))
    {
        abort();
    }

    d->pos += size;

    return (rc == AGG_OK);
}


/* sizes of pieces from the bytes of the documents themselves */

static void
in_turn(const u_char *data, size_t len, size_t piece, agg_patterns_t *patterns)
{
    int          more;
    size_t       size;
    unsigned     i, n;
    document_t   documents[DOCUMENTS], *d;

    n = 0;

    while (len != 0 && n < DOCUMENTS) {
        d = &documents[n++];
        memset(d, 0, sizeof(document_t));
        d->data = data;

        while (d->len < len && data[d->len] != '\f') {
            d->len++;
        }

        data += d->len;
        len -= d->len;

        if (len != 0) {
            data++;
            len--;
        }

        agg_scan_init(&d->scan);
        agg_scan_init(&d->twin);
        d->scan.patterns = patterns;

        agg_patterns_start(patterns);
    }

    do {
        more = 0;

        for (i = 0; i < n; i++) {
            d = &documents[i];
            size = piece;

            if (d->pos < d->len) {
                size += d->data[d->pos];
            }

            more |= go_on(d, size);
        }

    } while (more);
}


static void
members(const agg_str_t *value)
{
    u_char     *p;
    size_t      len;
    agg_str_t   name;
    agg_iter_t  it;

    agg_iter_init(&it, value);

    while (agg_iter_next(&it)) {

        if (agg_json_validate(it.value.data, it.value.len, NULL) != AGG_OK) {
            abort();
        }

        if (it.kind == AGG_OBJECT) {
            p = malloc(it.name.len + 1);
            name.data = p;
            name.len = agg_json_unescape_any(p, &it.name);

            if (!agg_json_name_equal(&it.name, &name)
                || !agg_json_names_equal(&it.name, &it.name))
            {
                abort();
            }

            len = agg_json_escaped_length(p, name.len);

            if (len < name.len + 2) {
                abort();
            }

            free(p);
        }
    }
}


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    size_t          offset, offset2, piece;
    u_char         *p;
    agg_rc_e        rc;
    unsigned        n;
    agg_str_t       v;
    agg_patterns_t  patterns;

    if (size == 0) {
        return 0;
    }

    piece = data[0] + 1;
    data++;
    size--;

    p = malloc(size + 1);
    memcpy(p, data, size);

    rc = pieces(p, size, 1, NULL, &offset);
    agg_patterns_init(&patterns);

    for (n = 0; agg_scan_core_name(n) != NULL; n++) {
        agg_scan_core_use(n);

        offset2 = size;

        if (agg_json_validate(p, size, &offset2) != rc || offset2 != offset
            || pieces(p, size, piece, NULL, &offset2) != rc
            || offset2 != offset
            || pieces(p, size, size, &patterns, &offset2) != rc
            || offset2 != offset
            || pieces(p, size, piece, &patterns, &offset2) != rc
            || offset2 != offset)
        {
            abort();
        }

        in_turn(p, size, piece, &patterns);
    }

    v.data = p;
    v.len = size;

    if (rc == AGG_OK) {
        members(&v);
    }

    free(p);

    return 0;
}
