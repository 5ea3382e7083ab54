
/*
 * The lines of a header: what is taken of them is what nginx would take, and a
 * name has the lower case and the hash of its own, whatever came before it.
 * sources: fetch/agg_header_line.c
 */


#include <ctype.h>
#include <stdlib.h>

#include "../unit/header_reference.h"


int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);


static void
need(int ok)
{
    if (!ok) {
        abort();
    }
}


static void
compare(agg_header_names_t *names, agg_header_line_t *line, u_char *p,
    u_char *end)
{
    long                 note;
    size_t               i, len;
    uint64_t             hash;
    agg_header_line_t    wanted;
    agg_header_name_t   *name;

    name = line->name;

    need(header_reference(&wanted, &len, p, end));

    need(line->value.data == wanted.value.data
         && line->value.len == wanted.value.len
         && line->next == wanted.next && name->len == len);

    for (i = 0, hash = 0; i < len; i++) {
        need(name->text[i] == p[i] && name->lowcase[i] == tolower(p[i]));
        hash = hash * 31 + (u_char) tolower(p[i]);
    }

    need(name->text[len] == '\0' && name->lowcase[len] == '\0');
    need(name->hash == hash);
    need(!name->kind || name->data == (void *) (uintptr_t) hash);
    need(name == &names->other
         || agg_header_known(names, name->lowcase) == name);

    name->data = (void *) (uintptr_t) hash;
    name->kind = 1;

    /* the last value of a name, as long as its lines are equal */

    for (i = 0, note = 0; i < line->value.len; i++) {
        note = (long) ((uint64_t) note * 31 + line->value.data[i]);
    }

    if (agg_header_kept(line)) {
        need(!name->noted || name->note == note);

        name->note = note;
        name->noted = 1;
    }
}


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    size_t               n;
    u_char              *p, *copy, *end;
    agg_header_line_t    line;
    agg_header_names_t  *names;

    copy = malloc(size + 1);
    names = calloc(1, sizeof(agg_header_names_t));

    if (copy == NULL || names == NULL) {
        abort();
    }

    names->last = &names->start;

    /* the copy ends with the input, so that whoever reads beyond is seen */

    p = copy + 1;
    end = p + size;

    memcpy(p, data, size);

    while (p < end) {

        n = agg_header_lines(&line, 1, names, p, end);

        if (n == 1) {
            compare(names, &line, p, end);
            p = line.next;
            continue;
        }

        /* the next line, or the rest of this one; maybe of another header */

        if (*p == 'x') {
            names->last = &names->start;
        }

        p++;

        while (p < end && p[-1] != '\n') {
            p++;
        }
    }

    free(names);
    free(copy);

    return 0;
}
