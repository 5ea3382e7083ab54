
/*
 * Shapes by table, refusals, limits of memory and output, hostile documents.
 * sources: shape/agg_shape.c shape/agg_state.c shape/agg_run.c
 * sources: shape/agg_members.c shape/agg_name.c shape/agg_keep.c
 * sources: shape/agg_place.c shape/agg_replay.c
 * sources: json/agg_path.c json/agg_scan.c json/agg_json.c json/agg_write.c
 */


#include <time.h>

#include "shape_statement.h"


#define SHARE  "a wildcard is not allowed here, unless both paths of "       \
               "\"move\" share it"


/* statements are parted by "; ", their words by blanks; NULL: not found */

static const struct {
    const char  *statements;
    const char  *doc;
    const char  *result;
} cases[] = {

    /* nothing to do */

    { "", " { \"a\" : 1 } ", "{ \"a\" : 1 }" },
    { "", "12", "12" },
    { "", "\n[1.0, 1e400,12345678901234567890, \"\\u00e9\\ud800\"]\n",
      "[1.0, 1e400,12345678901234567890, \"\\u00e9\\ud800\"]" },
    { "allow .", "{\"a\":[1, 2]}", "{\"a\":[1, 2]}" },
    { "target .", "5", "5" },
    { "deny x", "{ \"a\" : 1 , \"b\" : [ 1 , 2 ] }",
      "{\"a\":1,\"b\":[ 1 , 2 ]}" },

    /* target */

    { "target a", "{\"a\":[1,{\"b\":2}]}", "[1,{\"b\":2}]" },
    { "target a", "{ \"x\" : 1 , \"a\" : 7 , \"y\" : 2 }", "7" },
    { "target a.b", "{\"a\":{\"b\":1}}", "1" },
    { "target a.b", "{\"a\":{\"b\":1},\"a\":{\"b\":2}}", "2" },
    { "target a.b", "{\"a\":{\"b\":1},\"a\":{\"c\":2}}", NULL },
    { "target a.b", "{\"a\":{\"b\":1},\"a\":5}", NULL },
    { "target a.b", "{\"a\":{\"b\":1,\"b\":2},\"c\":{\"b\":3}}", "2" },
    { "target a.b", "[{\"b\":1}]", NULL },
    { "target a", "null", NULL },
    { "target a[1]", "{\"a\":[1,2,3]}", "2" },
    { "target [0].a", "[{\"a\":\"x\"},{\"a\":\"y\"}]", "\"x\"" },
    { "target a[-1]", "{\"a\":[1,2,3]}", "3" },
    { "target a[-3].b", "{\"a\":[{\"b\":1},2,3]}", "1" },
    { "target a[-4]", "{\"a\":[1,2,3]}", NULL },
    { "target a[5]", "{\"a\":[1,2,3]}", NULL },
    { "target a", "{\"\\u0061\":1}", "1" },
    { "target \"a.b\"", "{\"a.b\":null}", "null" },

    /* limit */

    { "limit 2", "[1,2,3]", "[1,2]" },
    { "limit 0", "[1,2,3]", "[]" },
    { "limit 0", "[]", "[]" },
    { "limit 3", "[1,2,3]", "[1,2,3]" },
    { "limit 2", "{\"a\":[1,2,3]}", "{\"a\":[1,2,3]}" },
    { "limit a 1", "{\"a\":[[1,2],3],\"b\":[1,2]}",
      "{\"a\":[[1,2]],\"b\":[1,2]}" },
    { "limit a 1", "{\"a\":\"xyz\"}", "{\"a\":\"xyz\"}" },
    { "limit feed[].tags 1; limit feed 2",
      "{\"feed\":[{\"tags\":[1,2]},{\"tags\":[3]},{\"tags\":[]}],\"n\":3}",
      "{\"feed\":[{\"tags\":[1]},{\"tags\":[3]}],\"n\":3}" },
    { "limit a 3; limit a 1; limit a 2", "{\"a\":[1,2,3]}", "{\"a\":[1]}" },
    { "limit *.x 1", "{\"a\":{\"x\":[1,2]},\"b\":{\"x\":[3,4]}}",
      "{\"a\":{\"x\":[1]},\"b\":{\"x\":[3]}}" },
    { "limit a $2", "{\"a\":[1,2,3]}", "{\"a\":[1,2]}" },
    { "limit a 2; limit a[-1] 1", "{\"a\":[[1,2],[3,4],[5,6]]}",
      "{\"a\":[[1,2],[3]]}" },

    /* allow */

    { "allow a", "{\"a\":1,\"b\":2}", "{\"a\":1}" },
    { "allow a; allow c", "{\"a\":1,\"b\":2,\"c\":3}", "{\"a\":1,\"c\":3}" },
    { "allow a", "{\"b\":2}", "{}" },
    { "allow a", "[1,2]", "[]" },
    { "allow a", "5", "null" },
    { "allow a.b", "{\"a\":{\"b\":1,\"c\":2},\"b\":3}", "{\"a\":{\"b\":1}}" },
    { "allow a.b", "{\"a\":5}", "{}" },
    { "allow a.b", "{\"a\":[1,2]}", "{\"a\":[]}" },
    { "allow a.b", "{\"a\":{}}", "{\"a\":{}}" },
    { "allow feed[].x", "{\"feed\":[1,{\"x\":2,\"y\":3},[4],{}]}",
      "{\"feed\":[{\"x\":2},[],{}]}" },
    { "allow feed[].x", "{\"feed\":{\"x\":1}}", "{\"feed\":{}}" },
    { "allow [].id", "[{\"id\":1,\"n\":2},{\"id\":3}]",
      "[{\"id\":1},{\"id\":3}]" },
    { "allow a[1]", "{\"a\":[1,2,3]}", "{\"a\":[2]}" },
    { "allow a[-1]; allow a[0].x", "{\"a\":[{\"x\":1,\"y\":2},3,4]}",
      "{\"a\":[{\"x\":1},4]}" },
    { "allow a[0].x; allow a[-1].y", "{\"a\":[{\"x\":1,\"y\":2,\"z\":3}]}",
      "{\"a\":[{\"x\":1,\"y\":2}]}" },
    { "allow *.b", "{\"a\":{\"b\":1,\"c\":2},\"d\":5,\"e\":[1]}",
      "{\"a\":{\"b\":1},\"e\":[]}" },
    { "allow a; allow a.b", "{\"a\":{\"b\":1,\"c\":2}}",
      "{\"a\":{\"b\":1,\"c\":2}}" },
    { "allow a", "{\"a\":1,\"a\":2}", "{\"a\":1,\"a\":2}" },
    { "allow a", "{\"\\u0061\":1,\"\\u0062\":2}", "{\"\\u0061\":1}" },

    /* deny */

    { "deny a", "{\"a\":1,\"b\":2}", "{\"b\":2}" },
    { "deny b", "{\"a\":1,\"b\":2}", "{\"a\":1}" },
    { "deny a; deny b", "{\"a\":1,\"b\":2}", "{}" },
    { "deny ssn", "{\"\\u0073sn\":1,\"s\\u0073n\":2,\"ssn\":3,\"x\":4}",
      "{\"x\":4}" },
    { "deny a[0]", "{\"a\":[1,2,3]}", "{\"a\":[2,3]}" },
    { "deny a[-1]", "{\"a\":[1,2,3]}", "{\"a\":[1,2]}" },
    { "deny a[]", "{\"a\":[1,2,3]}", "{\"a\":[]}" },
    { "deny a.*", "{\"a\":{\"b\":1},\"c\":{\"b\":1}}",
      "{\"a\":{},\"c\":{\"b\":1}}" },
    { "deny [].x.y", "[{\"x\":{\"y\":1,\"z\":2}},{\"x\":5},7]",
      "[{\"x\":{\"z\":2}},{\"x\":5},7]" },
    { "allow a; deny a.b", "{\"a\":{\"b\":1,\"c\":2},\"d\":1}",
      "{\"a\":{\"c\":2}}" },
    { "deny a; allow a.b", "{\"a\":{\"b\":1}}", "{}" },
    { "deny \"\"", "{\"\":1,\"a\":2}", "{\"a\":2}" },

    /* rename */

    { "rename a b", "{\"a\":1}", "{\"b\":1}" },
    { "rename a b", "{ \"a\" : 1 , \"c\" : 2 }", "{\"b\":1,\"c\":2}" },
    { "rename a b", "{\"b\":1,\"a\":2}", "{\"b\":2}" },
    { "rename a b", "{\"a\":1,\"b\":2}", "{\"b\":1}" },
    { "rename a b", "{\"b\":1,\"x\":0,\"a\":2,\"b\":3}",
      "{\"x\":0,\"b\":2}" },
    { "rename a b", "{\"b\":1}", "{\"b\":1}" },
    { "rename a b", "{\"b\":1,\"\\u0061\":2,\"\\u0062\":3}", "{\"b\":2}" },
    { "rename a b", "{\"a\":1,\"a\":2,\"b\":3}", "{\"b\":1,\"b\":2}" },
    { "rename a b; rename b a", "{\"a\":1,\"b\":2}", "{\"b\":1,\"a\":2}" },
    { "rename a b; rename b c", "{\"a\":1,\"b\":2,\"c\":3}",
      "{\"b\":1,\"c\":2}" },
    { "rename *.a n; rename x.b n", "{\"x\":{\"a\":1,\"n\":2,\"b\":3,\"a\":4}}",
      "{\"x\":{\"n\":3}}" },
    { "rename *.a n; rename x.a m", "{\"x\":{\"a\":1},\"y\":{\"a\":2}}",
      "{\"x\":{\"m\":1},\"y\":{\"n\":2}}" },
    { "rename x.a m; rename *.a n", "{\"x\":{\"a\":1},\"y\":{\"a\":2}}",
      "{\"x\":{\"n\":1},\"y\":{\"n\":2}}" },
    { "rename a[].x y", "{\"a\":[{\"x\":1},{\"y\":2},3]}",
      "{\"a\":[{\"y\":1},{\"y\":2},3]}" },
    { "rename a b; deny a", "{\"a\":1,\"b\":2}", "{\"b\":2}" },
    { "rename a b; deny b", "{\"a\":1,\"b\":2}", "{\"b\":1}" },
    { "rename a b; allow b", "{\"a\":1,\"b\":2}", "{\"b\":2}" },
    { "rename a \"x\\\"y\"", "{\"a\":1}", "{\"x\\\"y\":1}" },
    { "rename a b.c", "{\"a\":1}", "{\"b.c\":1}" },
    { "rename a a", "{\"\\u0061\":1}", "{\"a\":1}" },
    { "rename a.b c", "{\"c\":[1],\"a\":{\"c\":{\"d\":1},\"b\":{}},\"d\":1}",
      "{\"c\":[1],\"a\":{\"c\":{}},\"d\":1}" },

    /* move */

    { "move a b", "{\"a\":1}", "{\"b\":1}" },
    { "move a b", "{\"a\":1,\"b\":2}", "{\"b\":1}" },
    { "move a b", "{\"b\":2}", "{\"b\":2}" },
    { "move a b.c", "{\"a\":[1, 2],\"x\":0}",
      "{\"x\":0,\"b\":{\"c\":[1, 2]}}" },
    { "move a.b c", "{\"a\":{\"b\":1,\"d\":2}}", "{\"a\":{\"d\":2},\"c\":1}" },
    { "move a.b a", "{\"a\":{\"b\":1,\"d\":2}}", "{\"a\":1}" },
    { "move a a.b", "{\"a\":1,\"x\":2}", "{\"x\":2,\"a\":{\"b\":1}}" },
    { "move a x; move a.b y", "{\"a\":{\"b\":1,\"c\":2}}",
      "{\"x\":{\"c\":2},\"y\":1}" },
    { "move a b; move b a", "{\"a\":1,\"b\":2}", "{\"b\":1,\"a\":2}" },
    { "move a .", "{\"a\":[1],\"b\":2}", "[1]" },
    { "move [0] [0]", "[1,2,3]", "[1,3]" },

    { "move a[].m.t a[].t",
      "{\"a\":[{\"m\":{\"t\":1,\"x\":2}},{\"m\":{}},7,{\"m\":{\"t\":3}}],"
      "\"b\":0}",
      "{\"a\":[{\"m\":{\"x\":2},\"t\":1},{\"m\":{}},7,{\"m\":{},\"t\":3}],"
      "\"b\":0}" },
    { "move [].a [].b", "[{\"a\":1,\"b\":2},{\"b\":3},{\"a\":4}]",
      "[{\"b\":1},{\"b\":3},{\"b\":4}]" },
    { "move [].a []", "[{\"a\":1,\"b\":2},{\"b\":3}]", "[1,{\"b\":3}]" },
    { "move [].a [].b.c", "[{\"a\":[1, 2]}]",
      "[{\"b\":{\"c\":[1, 2]}}]" },
    { "move *.a *.b", "{\"x\":{\"a\":1},\"y\":{\"a\":2},\"z\":[]}",
      "{\"x\":{\"b\":1},\"y\":{\"b\":2},\"z\":[]}" },
    { "move a[][].b a[][].c", "{\"a\":[[{\"b\":1}],[{\"b\":2},{}]]}",
      "{\"a\":[[{\"c\":1}],[{\"c\":2},{}]]}" },
    { "move [].a [].x; move [].b [].a",
      "[{\"a\":1,\"b\":2},{\"b\":3}]",
      "[{\"x\":1,\"a\":2},{\"a\":3}]" },
    { "move [].a [].b; move [].b [].a", "[{\"a\":1,\"b\":2}]",
      "[{\"b\":1,\"a\":2}]" },
    { "move [][0] [].f", "[[1,2],[]]", "[{\"f\":1},[]]" },
    { "move [][0] [][-1]", "[[1,2,3],[4]]", "[[2,1],[]]" },
    { "move [].a [].b", "[{\"a\":1,\"a\":2}]", "[{\"b\":2}]" },
    { "deny [].c; move [].a [].b", "[{\"a\":{\"c\":1},\"c\":2}]",
      "[{\"b\":{\"c\":1}}]" },
    { "allow [].a.k; move [].a.k [].t",
      "[{\"a\":{\"k\":1,\"q\":2},\"z\":3},{}]",
      "[{\"a\":{},\"t\":1},{}]" },
    { "limit 1; move [].a [].b", "[{\"a\":1},{\"a\":2}]", "[{\"b\":1}]" },
    { "target t; move [].a [].b", "{\"t\":[{\"a\":1}]}", "[{\"b\":1}]" },
    { "rename [].a b; move [].a.k [].t", "[{\"a\":{\"k\":1}}]",
      "[{\"b\":{},\"t\":1}]" },
    { "move [].a [].b; set [].c 7", "[{\"a\":1}]",
      "[{\"b\":1,\"c\":7}]" },
    { "move [].a [].b; move [0] x", "[{\"a\":1}]", "{\"x\":{\"b\":1}}" },
    { "move x.a[].b x.a[].c; move x y", "{\"x\":{\"a\":[{\"b\":1}]}}",
      "{\"y\":{\"a\":[{\"c\":1}]}}" },
    { "move [0].a [1].a", "[{\"a\":1},{}]", "[{},{\"a\":1}]" },
    { "move a[-1] last", "{\"a\":[1,2,3]}", "{\"a\":[1,2],\"last\":3}" },
    { "move a[0] x; move a[-1] y", "{\"a\":[1]}", "{\"a\":[],\"x\":1}" },
    { "move a[0] x; move a[-1] y", "{\"a\":[1,2]}",
      "{\"a\":[],\"x\":1,\"y\":2}" },
    { "move a x[3]", "{\"a\":1,\"x\":[1]}", "{\"x\":[1]}" },
    { "move a b", "{\"a\":1,\"a\":2,\"c\":3}", "{\"c\":3,\"b\":2}" },
    { "move a.b c", "{\"a\":{\"b\":1},\"a\":{}}", "{\"a\":{},\"a\":{}}" },
    { "allow u.n; move u.n name", "{\"u\":{\"n\":\"x\",\"m\":1},\"v\":2}",
      "{\"u\":{},\"name\":\"x\"}" },
    { "deny u.n; move u.n name", "{\"u\":{\"n\":\"x\"}}", "{\"u\":{}}" },
    { "rename a.x y; move a b", "{\"a\":{\"x\":1}}", "{\"b\":{\"y\":1}}" },
    { "rename a b; move a c", "{\"b\":1,\"a\":2}", "{\"c\":2}" },
    { "rename x a; move a c", "{\"a\":1,\"x\":2}", "{\"a\":2}" },
    { "rename x a; move a.b c", "{\"a\":{\"b\":1},\"x\":2}", "{\"a\":2}" },

    /* set */

    { "set a 1", "{}", "{\"a\":1}" },
    { "set a 1", "{\"a\":{\"b\":2},\"c\":3}", "{\"a\":1,\"c\":3}" },
    { "set a.b {\"c\":1}", "{\"x\":0}", "{\"x\":0,\"a\":{\"b\":{\"c\":1}}}" },
    { "set a.b 1", "{\"a\":5}", "{\"a\":{\"b\":1}}" },
    { "set a.b 1", "{\"a\":[5]}", "{\"a\":{\"b\":1}}" },
    { "set a 1", "7", "{\"a\":1}" },
    { "set a 1", "[]", "{\"a\":1}" },
    { "set . 1", "[]", "1" },
    { "set [].s true", "[{},{\"s\":0},5,[]]",
      "[{\"s\":true},{\"s\":true},{\"s\":true},{\"s\":true}]" },
    { "set a[].s 1", "{}", "{}" },
    { "set a[].s 1", "{\"a\":5}", "{\"a\":5}" },
    { "set a.* 0", "{\"a\":{\"x\":1,\"y\":[2]}}", "{\"a\":{\"x\":0,\"y\":0}}" },
    { "set a[1] 0", "{\"a\":[1,2,3]}", "{\"a\":[1,0,3]}" },
    { "set a[-1].x 0", "{\"a\":[{},{}]}", "{\"a\":[{},{\"x\":0}]}" },
    { "set a[3] 0", "{\"a\":[1,2,3]}", "{\"a\":[1,2,3]}" },
    { "set a[0] 0", "{\"a\":{}}", "{\"a\":{}}" },
    { "set a $x\"y", "{}", "{\"a\":\"x\\\"y\"}" },
    { "set a 1", "{\"a\":0,\"\\u0061\":2}", "{\"a\":1,\"\\u0061\":1}" },
    { "set a 1; set a.b 2; set c 3", "{}", "{\"a\":{\"b\":2},\"c\":3}" },
    { "set \"x.y\" 1", "{}", "{\"x.y\":1}" },
    { "deny a; set a 1", "{\"a\":0}", "{\"a\":1}" },
    { "allow x; set a 1", "5", "{\"a\":1}" },

    /* into */

    { "into items product [10,20]",
      "{\"items\":[{\"id\":1},{\"id\":2},{\"id\":3}]}",
      "{\"items\":[{\"id\":1,\"product\":10},{\"id\":2,\"product\":20},"
      "{\"id\":3}]}" },
    { "into items product [10,null,30]",
      "{\"items\":[{\"product\":0,\"id\":1},{\"product\":0},5,{}]}",
      "{\"items\":[{\"product\":10,\"id\":1},{\"product\":0},5,{}]}" },
    { "into . p [{\"a\":1},[2]]", "[{},{\"p\":0,\"p\":1,\"q\":2}]",
      "[{\"p\":{\"a\":1}},{\"p\":[2],\"q\":2}]" },
    { "into items p [1]; allow items[].id", "{\"items\":[{\"id\":1,\"p\":0}]}",
      "{\"items\":[{\"id\":1,\"p\":1}]}" },
    { "into items p [1,2]; deny items[0]", "{\"items\":[{},{}]}",
      "{\"items\":[{\"p\":2}]}" },
    { "into items p [1]; rename items[].a p",
      "{\"items\":[{\"p\":0,\"a\":5,\"b\":6}]}",
      "{\"items\":[{\"p\":1,\"b\":6}]}" },
    { "into items p [1,2,3]; limit items 1", "{\"items\":[{},{}]}",
      "{\"items\":[{\"p\":1}]}" },
    { "into items p [1]; into items q [2]", "{\"items\":[{}]}",
      "{\"items\":[{\"p\":1,\"q\":2}]}" },
    { "into items p [1]; allow x", "{\"items\":[{}],\"x\":1}", "{\"x\":1}" },

    /* all together, in whatever order */

    { "set s \"v\"; move u.id id; rename u.n name; deny u.x; "
      "allow u; allow feed; limit feed 1; target data",
      "{\"data\":{\"u\":{\"id\":7,\"n\":\"z\",\"x\":1},\"feed\":[1,2],"
      "\"y\":2}}",
      "{\"u\":{\"name\":\"z\"},\"feed\":[1],\"id\":7,\"s\":\"v\"}" },
};


static char    lines[40][600];


static unsigned
statements_of(statements_t *st, const char *text)
{
    char         *p;
    size_t        len;
    unsigned      n;
    const char   *end;
    agg_error_t   err;

    n = 0;

    while (*text) {
        end = strstr(text, "; ");
        len = end ? (size_t) (end - text) : strlen(text);

        memcpy(lines[n], text, len);
        lines[n][len] = '\0';

        for (p = lines[n]; *p; p++) {
            if (*p == ' ') {
                *p = '\t';
            }
        }

        check(statement_add(st, lines[n], len, &err) == AGG_OK, "%s: %s at %zu",
              lines[n], err.text, err.offset);

        text += len + (end ? 2 : 0);
        n++;
    }

    return n;
}


static void
expect(const statements_t *st, const agg_str_t *doc, size_t first, size_t size,
    const char *result, const char *statements)
{
    agg_rc_e   rc;
    agg_buf_t  out;

    agg_buf_init(&out, &mem, 1 << 20);
    rc = statements_run(st, st->shape, doc, first, size, &out, NULL);

    check(rc == (result ? AGG_OK : AGG_NOT_FOUND), "%s of %.*s: %d",
          statements, (int) doc->len, doc->data, rc);
    check(agg_buf_used(&out) == (result ? strlen(result) : 0)
          && (result == NULL
              || memcmp(out.start, result, strlen(result)) == 0),
          "%s of %.*s by %zu, %zu: %.*s", statements, (int) doc->len,
          doc->data, first, size, (int) agg_buf_used(&out), out.start);

    if (out.start != NULL) {
        mem_free(out.start);
    }
}


static void
run_cases(void)
{
    size_t        i, k;
    char          wide[2000];
    agg_str_t     doc;
    agg_error_t   err;
    statements_t  st;

    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        statements_init(&st);
        statements_of(&st, cases[i].statements);
        check(agg_shape_compile(st.shape, &err) == AGG_OK, "%s", err.text);

        doc = str_of(cases[i].doc);

        expect(&st, &doc, 0, 0, cases[i].result, cases[i].statements);

        for (k = 1; k < doc.len; k++) {
            expect(&st, &doc, k, 0, cases[i].result, cases[i].statements);
            expect(&st, &doc, 0, k, cases[i].result, cases[i].statements);
        }

        /* with much white space behind, for the loops that look ahead */

        memcpy(wide, doc.data, doc.len);
        memset(wide + doc.len, '\n', 200);
        doc.data = (u_char *) wide;
        doc.len += 200;
        expect(&st, &doc, 0, 0, cases[i].result, cases[i].statements);

        statements_free(&st);
        mem_free_all();
    }
}


/* errors are found wherever they are, at the same byte */

static void
run_invalid(void)
{
    size_t           i, k, n, offset;
    agg_rc_e         rc;
    agg_str_t        doc;
    agg_buf_t        out;
    agg_error_t      err;
    statements_t     st;

    agg_shape_run_t  *run;

    static const char *const  shapes[] = {
        "", "target a", "target a[0]", "deny a", "allow x", "limit a 1",
        "rename a b", "target a[-1]", "allow a[0].b",
    };

    static const struct {
        const char  *doc;
        size_t       offset;
    } t[] = {
        { "", 0 }, { " ", 1 }, { "{", 1 }, { "[", 1 }, { "{\"a\":1", 6 },
        { "{\"a\":1,}", 7 }, { "{\"a\" 1}", 5 }, { "{\"a\":}", 5 },
        { "{\"a\":[1,2,}", 10 }, { "{\"a\":[1,\x01]}", 8 }, { "[1,2", 4 },
        { "{\"a\":1}x", 7 }, { "{\"a\":1}{", 7 }, { "[]]", 2 },
        { "{\"a\":[0,{\"b\":01}]}", 14 }, { "{\"a\":\"\xff\"}", 6 },
        { "{\"x\":[\"\xc3\"],\"a\":1}", 8 }, { "{a:1}", 1 },
        { "{\"\xc3\":1}", 3 }, { "{\"\\x\":1}", 3 }, { "{\"a\":[1],\"b", 11 },
        { "{\"a\":[1}", 7 }, { "[1,]", 3 }, { "{\"a\":[1,]}", 8 },
        { "{\"a\":tru}", 8 }, { "{\"a\":-}", 6 }, { "{,}", 1 }, { "nul", 3 },
    };

    for (k = 0; k < sizeof(shapes) / sizeof(shapes[0]); k++) {
        statements_init(&st);
        statements_of(&st, shapes[k]);
        check(agg_shape_compile(st.shape, &err) == AGG_OK, "%s", err.text);

        for (i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
            for (n = 0; n < 4; n++) {
                doc = str_of(t[i].doc);
                agg_buf_init(&out, &mem, 1 << 20);
                rc = statements_run(&st, st.shape, &doc, 0, n, &out, &run);
                offset = run->offset;

                check(rc == AGG_INVALID, "%s of %s: %d", shapes[k], t[i].doc,
                      rc);
                check(offset == t[i].offset, "%s of %s: %zu", shapes[k],
                      t[i].doc, offset);
                check(run->empty == (t[i].doc[0] == '\0'
                                     || t[i].doc[0] == ' '), "%s", t[i].doc);
                check(agg_shape_run_push(run, doc.data, doc.len)
                      == AGG_INVALID, "final");
                free(run);
            }
        }

        statements_free(&st);
        mem_free_all();
    }
}


static void
run_refused(void)
{
    size_t        i;
    char          line[600], *p;
    agg_error_t   err;
    agg_rc_e      rc;
    statements_t  st;

    static const struct {
        const char  *first;
        const char  *statement;
        const char  *text;
    } t[] = {
        { "", "target a[]", "a wildcard is not allowed here" },
        { "", "allow a[b", "expected a number" },
        { "", "deny .", "the whole document is not allowed here" },
        { "", "rename . a", "the whole document is not allowed here" },
        { "", "rename a[] b", "the last step must be a key" },
        { "", "rename a.* b", "the last step must be a key" },
        { "", "rename a[0] b", "the last step must be a key" },
        { "", "rename a \xff", "the name is not UTF-8" },
        { "rename a b", "rename a c", "is renamed twice" },
        { "rename a b", "rename c b", "another member gets this name" },
        { "rename x.a b", "rename x.c b", "another member gets this name" },
        { "", "move . a", "the whole document is not allowed here" },
        { "", "move a[] b", SHARE },
        { "", "move a b.*", SHARE },
        { "", "move a[] a[]", SHARE },
        { "", "move a[].b a[].c[]", SHARE },
        { "", "move a[].b c[].b", SHARE },
        { "", "move a[].b a.*.b", SHARE },
        { "", "move a[][].b a[].b", SHARE },
        { "move a[].b a[].c", "move a[].b a[].d", "is moved twice" },
        { "move a b", "move a c", "is moved twice" },
        { "", "set a {1}", "invalid JSON" },
        { "", "set a ", "invalid JSON" },
        { "", "into a[] b []", "a wildcard is not allowed here" },
        { "into a b []", "into a b []", "another member gets this name" },
    };

    for (i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
        statements_init(&st);
        statements_of(&st, t[i].first);

        strcpy(line, t[i].statement);

        for (p = line; *p; p++) {
            if (*p == ' ') {
                *p = '\t';
            }
        }

        rc = statement_add(&st, line, strlen(line), &err);
        check(rc == AGG_INVALID, "%s", line);
        check(strcmp(err.text, t[i].text) == 0, "%s: %s", line, err.text);

        statements_free(&st);
        mem_free_all();
    }

    /* this looks like a contradiction and is none */

    statements_init(&st);
    statements_of(&st, "rename a b; rename x.a b; rename *.c b; rename y[].d "
                  "b; rename y[].e b");
    statements_free(&st);
    mem_free_all();
}


/* every allocation fails in turn */

static void
run_nomem(void)
{
    int           ok;
    long          grant;
    unsigned      slot;
    agg_rc_e      rc, first;
    agg_str_t     doc, path, name, json, values[2];
    agg_buf_t     out;
    agg_shape_t  *s;
    agg_error_t   err;

    size_t             limit;
    agg_shape_run_t   *run;
    agg_shape_into_t   into;
    agg_shape_args_t   args;

    doc = str("{\"a\":[{\"b\":1,\"c\":2,\"x\":{}},{\"b\":3}],\"m\":[1,2,3]}");
    path = str("a");
    name = str("p");
    json = str("{\"x\":[1]}");
    values[0] = str("7");
    values[1] = str("[8]");
    into.values = values;
    into.n = 2;
    limit = 5;

    args.limits = &limit;
    args.values = values;
    args.into = &into;

    ok = 0;

    for (grant = 0; !ok; grant++) {
        mem_left = grant;
        first = AGG_NOMEM;
        err.text = "";

        s = agg_shape_create(&mem);

        if (s != NULL
            && agg_shape_limit_arg(s, &path, 9, &slot, &err) == AGG_OK
            && agg_shape_deny(s, &str("a[0].x"), &err) == AGG_OK
            && agg_shape_allow(s, &path, &err) == AGG_OK
            && agg_shape_allow(s, &str("m[-1]"), &err) == AGG_OK
            && agg_shape_rename(s, &str("a[].c"), &str("b"), &err) == AGG_OK
            && agg_shape_into(s, &path, &name, &slot, &err) == AGG_OK
            && agg_shape_move(s, &str("m[-1]"), &str("n.o"), &err) == AGG_OK
            && agg_shape_set(s, &str("q"), &json, &err) == AGG_OK
            && agg_shape_set_arg(s, &str("r"), &slot, &err) == AGG_OK
            && agg_shape_compile_split(s, &err) == AGG_OK)
        {
            run = malloc(agg_shape_run_size(s));
            agg_buf_init(&out, &mem, 1 << 20);
            agg_shape_run_init(run, s, &out, &args);

            agg_shape_run_push(run, doc.data, doc.len);
            rc = agg_shape_run_finish(run);
            first = rc;
            ok = (rc == AGG_OK);
            free(run);

        } else {
            check(s == NULL || strcmp(err.text, "no memory") == 0, "%s",
                  err.text);
        }

        check(ok || first == AGG_NOMEM, "%ld: %d", grant, first);

        if (ok) {
            check(agg_json_validate(out.start, agg_buf_used(&out), NULL)
                  == AGG_OK, "%.*s", (int) agg_buf_used(&out), out.start);
        }

        mem_free_all();
    }

    check(grant > 40, "%ld", grant);
    mem_left = -1;
}


/* the bound of the output: exactly what fits, however it is cut */

static void
run_large(void)
{
    size_t        i, k, max, len, offset;
    char          doc[3000];
    agg_rc_e      rc;
    agg_str_t     d;
    agg_buf_t     out;
    agg_error_t   err;
    statements_t  st;

    static const struct {
        const char  *statements;
        size_t       result;
    } t[] = {
        { "", 1323 }, { "deny a", 1213 }, { "allow a", 111 },
        { "allow *.x", 1007 }, { "allow *.y", 1012 },
    };

    len = (size_t) sprintf(doc, "{\"a\":\"");
    memset(doc + len, 'v', 103);
    len += 103;
    len += (size_t) sprintf(doc + len, "\",\"");
    memset(doc + len, 'n', 1000);
    len += 1000;
    len += (size_t) sprintf(doc + len, "\":{\"y\":1},\"");
    memset(doc + len, 'm', 196);
    len += 196;
    len += (size_t) sprintf(doc + len, "\":5}");

    for (i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
        statements_init(&st);
        statements_of(&st, t[i].statements);
        check(agg_shape_compile(st.shape, &err) == AGG_OK, "%s", err.text);

        d.data = (u_char *) doc;
        d.len = len;

        for (max = t[i].result - 2; max < t[i].result + 3; max++) {
            for (k = 0; k < 70; k += 1 + k / 3) {
                agg_buf_init(&out, &mem, max);
                rc = statements_run(&st, st.shape, &d, k % 7, k, &out, NULL);
                offset = agg_buf_used(&out);

                check(rc == (max < t[i].result ? AGG_TOO_LARGE : AGG_OK),
                      "%s, %zu by %zu: %d, %zu", t[i].statements, max, k, rc,
                      offset);
                check(rc != AGG_OK || offset == t[i].result,
                      "%s, %zu by %zu: %zu", t[i].statements, max, k, offset);

                if (out.start != NULL) {
                    mem_free(out.start);
                }
            }
        }

        statements_free(&st);
        mem_free_all();
    }
}


/* the work stays linear: twice the document, about twice the time */

static double
hostile_time(const char *statements, const char *open, const char *fill,
    const char *close, size_t n)
{
    char         *doc;
    size_t        len, i;
    double        best, t;
    agg_rc_e      rc;
    unsigned      run;
    agg_str_t     d;
    agg_buf_t     out;
    agg_error_t   err;
    statements_t  st;

    statements_init(&st);
    statements_of(&st, statements);
    check(agg_shape_compile(st.shape, &err) == AGG_OK, "%s", err.text);

    doc = malloc(strlen(open) + n * strlen(fill) + strlen(close) + 1);
    len = (size_t) sprintf(doc, "%s", open);

    for (i = 0; i < n; i++) {
        memcpy(doc + len, fill, strlen(fill));
        len += strlen(fill);
    }

    len--;
    len += (size_t) sprintf(doc + len, "%s", close);

    d.data = (u_char *) doc;
    d.len = len;
    best = 1e9;

    for (run = 0; run < 3; run++) {
        agg_buf_init(&out, &mem, 64 << 20);
        t = (double) clock();
        rc = statements_run(&st, st.shape, &d, 0, 4096, &out, NULL);
        t = (double) clock() - t;
        best = (t < best) ? t : best;

        check(rc == AGG_OK || rc == AGG_NOT_FOUND, "%s: %d", statements, rc);

        if (out.start != NULL) {
            mem_free(out.start);
        }
    }

    free(doc);
    statements_free(&st);
    mem_free_all();

    return best / CLOCKS_PER_SEC;
}


static void
run_hostile(void)
{
    size_t  i;
    double  t1, t8;

    static const struct {
        const char  *statements;
        const char  *open;
        const char  *fill;
        const char  *close;
    } t[] = {
        { "rename a b", "{", "\"a\":1,", "}" },
        { "rename a b", "{", "\"b\":1,\"a\":2,", "}" },
        { "rename *.a b", "{\"x\":{", "\"b\":1,", ",\"a\":1}}" },
        { "rename [].a b", "[", "{\"b\":1,\"a\":2},", "]" },
        { "deny a", "{", "\"a\":1,", "}" },
        { "deny a", "{", "\"\\u0061\":1,", "}" },
        { "allow a[-1]", "{\"a\":[", "1,", "]}" },
        { "deny a[-1].b[-1]", "{\"a\":[", "{\"b\":[1,2]},", "]}" },
        { "target a", "{", "\"a\":[1,2,3],", "}" },
        { "target a[-1]", "{", "\"a\":[1,2,3],", "}" },
        { "move a.b c", "{", "\"a\":{\"b\":[1]},", "}" },
        { "move a b", "{", "\"a\":[1,2],", "}" },
        { "set a[].x 1", "{\"a\":[", "{},", "]}" },
        { "set a 1", "{", "\"a\":2,", "}" },
        { "limit 1", "[", "[],", "]" },
        { "limit [] 0", "[", "[1],", "]" },
        { "allow *.x", "{", "\"n\":1,", "}" },
        { "into . p [1,2]; rename [].a p", "[", "{\"p\":1,\"a\":2},", "]" },
    };

    for (i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
        t1 = hostile_time(t[i].statements, t[i].open, t[i].fill, t[i].close,
                          8000);
        t8 = hostile_time(t[i].statements, t[i].open, t[i].fill, t[i].close,
                          64000);

        check(t8 < 32 * t1 + 0.05, "%s: %.4f s, %.4f s", t[i].statements, t1,
              t8);
    }
}


static void
run_depth(void)
{
    char          doc[700];
    size_t        i, len;
    unsigned      depth, k;
    agg_rc_e      rc;
    agg_str_t     d;
    agg_buf_t     out;
    agg_error_t   err;
    statements_t  st;

    static const char *const  shapes[] = {
        "", "deny a", "allow x", "target x", "deny [].[].[]", "limit 1",
        "allow [-1]",
    };

    for (depth = 127; depth < 131; depth++) {
        len = 0;

        for (i = 0; i < depth; i++) {
            doc[len++] = '[';
        }

        for (i = 0; i < depth; i++) {
            doc[len++] = ']';
        }

        for (k = 0; k < sizeof(shapes) / sizeof(shapes[0]); k++) {
            statements_init(&st);
            statements_of(&st, shapes[k]);
            check(agg_shape_compile(st.shape, &err) == AGG_OK, "%s",
                  err.text);

            for (i = 0; i < 4; i++) {
                d.data = (u_char *) doc;
                d.len = len;
                agg_buf_init(&out, &mem, 1 << 20);
                rc = statements_run(&st, st.shape, &d, 0, i, &out, NULL);

                check((rc == AGG_INVALID) == (depth > 128), "%u %s: %d", depth,
                      shapes[k], rc);
            }

            statements_free(&st);
            mem_free_all();
        }
    }
}


/* head and tail are halves; missing puts another document in */

static void
run_parts(void)
{
    agg_rc_e          rc;
    agg_str_t         doc, other;
    agg_buf_t         out;
    agg_error_t       err;
    statements_t      st;

    agg_shape_run_t  *run;

    statements_init(&st);
    check(agg_shape_compile(st.shape, &err) == AGG_OK, "%s", err.text);
    check(agg_shape_is_identity(st.shape), "nothing to do");
    mem_free_all();

    statements_init(&st);
    statements_of(&st, "target a; limit 1; deny [].x; set b 1");
    check(agg_shape_compile_split(st.shape, &err) == AGG_OK, "%s", err.text);
    check(!agg_shape_is_identity(st.shape), "much to do");

    doc = str("{\"a\":[{\"x\":1,\"y\":2},{}]}");
    agg_buf_init(&out, &mem, 1000);
    rc = statements_run(&st, agg_shape_head(st.shape), &doc, 0, 0, &out, NULL);
    check(rc == AGG_OK && agg_buf_used(&out) == 15
          && memcmp(out.start, "[{\"x\":1,\"y\":2}]", 15) == 0, "%d: %.*s", rc,
          (int) agg_buf_used(&out), out.start);

    doc = str("[{\"x\":1,\"y\":2},{}]");
    agg_buf_init(&out, &mem, 1000);
    rc = statements_run(&st, agg_shape_tail(st.shape), &doc, 0, 0, &out, NULL);
    check(rc == AGG_OK && agg_buf_used(&out) == 7
          && memcmp(out.start, "{\"b\":1}", 7) == 0, "%d: %.*s", rc,
          (int) agg_buf_used(&out), out.start);

    doc = str("{}");
    agg_buf_init(&out, &mem, 1000);
    rc = statements_run(&st, st.shape, &doc, 0, 0, &out, &run);
    check(rc == AGG_NOT_FOUND && out.pos == out.start, "%d", rc);

    other = str(" {\"c\":5} ");
    rc = agg_shape_run_missing(run, &other);
    check(rc == AGG_OK && agg_buf_used(&out) == 13
          && memcmp(out.start, "{\"c\":5,\"b\":1}", 13) == 0, "%d: %.*s", rc,
          (int) agg_buf_used(&out), out.start);
    free(run);
    mem_free_all();

    statements_init(&st);
    statements_of(&st, "limit a 1; set b.c 2");
    check(agg_shape_compile_split(st.shape, &err) == AGG_OK, "%s", err.text);
    check(!agg_shape_is_identity(agg_shape_head(st.shape)), "a limit");
    check(!agg_shape_is_identity(agg_shape_tail(st.shape)), "a set");
    mem_free_all();

    statements_init(&st);
    statements_of(&st, "limit a 1");
    check(agg_shape_compile_split(st.shape, &err) == AGG_OK, "%s", err.text);
    check(agg_shape_is_identity(agg_shape_tail(st.shape)), "nothing left");
    mem_free_all();

    /* no shape at all */

    doc = str(" [1, 2] ");
    agg_buf_init(&out, &mem, 1000);
    rc = statements_run(&st, NULL, &doc, 0, 3, &out, NULL);
    check(rc == AGG_OK && agg_buf_used(&out) == 6
          && memcmp(out.start, "[1, 2]", 6) == 0, "%d", rc);
    mem_free_all();
}


int
main(void)
{
    run_cases();
    run_invalid();
    run_refused();
    run_nomem();
    run_large();
    run_depth();
    run_parts();
    run_hostile();

    finish("shape_cases");

    return 0;
}
