
/*
 * Runs shapes over documents for the tests in Perl.  Lines of standard input:
 * a statement (words parted by tabs), "doc" TAB document, "cut" TAB size of
 * the pieces, "new" to start with no statements.  Each document gives a line:
 * the result, or "!" and the reason.
 * sources: shape/agg_shape.c shape/agg_state.c shape/agg_run.c
 * sources: shape/agg_members.c shape/agg_name.c shape/agg_keep.c
 * sources: shape/agg_place.c shape/agg_replay.c
 * sources: json/agg_path.c json/agg_scan.c json/agg_json.c json/agg_write.c
 */


#define _GNU_SOURCE

#include "shape_statement.h"


static const char *const  reasons[] = {
    "ok", "again", "invalid", "too large", "no memory", "not found",
};


int
main(void)
{
    char          *line, *lines[1000];
    size_t         size, cut;
    ssize_t        len;
    agg_rc_e       rc;
    agg_str_t      doc, null;
    unsigned       n, compiled, bad;
    agg_buf_t      out;
    agg_error_t    err;
    statements_t   st;

    agg_shape_run_t  *run;

    n = 0;
    cut = 0;
    bad = 0;
    compiled = 0;
    statements_init(&st);

    for ( ;; ) {
        line = NULL;
        size = 0;
        len = getline(&line, &size, stdin);

        if (len <= 0) {
            free(line);
            break;
        }

        len -= (line[len - 1] == '\n');
        line[len] = '\0';

        if (strcmp(line, "new") == 0) {
            statements_free(&st);
            mem_free_all();

            while (n != 0) {
                free(lines[--n]);
            }

            bad = 0;
            compiled = 0;
            statements_init(&st);
            free(line);
            continue;
        }

        if (strncmp(line, "cut\t", 4) == 0) {
            cut = strtoul(line + 4, NULL, 10);
            free(line);
            continue;
        }

        if (strncmp(line, "doc\t", 4) != 0) {

            if (n == 1000) {
                return 1;
            }

            lines[n++] = line;

            if (statement_add(&st, line, (size_t) len, &err) != AGG_OK) {
                printf("!refused %s at %zu: %s\n", err.text, err.offset, line);
                bad = 1;
            }

            continue;
        }

        if (!compiled && !bad) {
            compiled = 1;

            if (agg_shape_compile(st.shape, &err) != AGG_OK) {
                printf("!refused %s\n", err.text);
                bad = 1;
            }
        }

        if (bad) {
            printf("!refused\n");
            free(line);
            continue;
        }

        doc.data = (u_char *) line + 4;
        doc.len = (size_t) len - 4;

        agg_buf_init(&out, &mem, 64 << 20);
        rc = statements_run(&st, st.shape, &doc, 0, cut, &out, &run);

        if (rc == AGG_NOT_FOUND) {
            null = str("null");
            rc = agg_shape_run_missing(run, &null);
        }

        if (rc == AGG_OK) {
            printf("%.*s\n", (int) agg_buf_used(&out), out.start);

        } else {
            printf("!%s\n", reasons[rc]);
        }

        if (out.start != NULL) {
            mem_free(out.start);
        }

        free(run);
        free(line);
    }

    statements_free(&st);
    mem_free_all();

    while (n != 0) {
        free(lines[--n]);
    }

    return 0;
}
