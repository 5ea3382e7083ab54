
/*
 * The parser.  Nodes that can nest (selections, values) point to their
 * "parent", so there is no stack and no limit of depth.  Every node takes a
 * token, and the number of tokens is limited.
 */


#include "agg_gql_parse.h"


static agg_rc_e agg_gql_parse_document(agg_gql_parser_t *p);
static agg_rc_e agg_gql_parse_definition(agg_gql_parser_t *p);
static agg_rc_e agg_gql_parse_operation(agg_gql_parser_t *p);
static agg_rc_e agg_gql_parse_variables(agg_gql_parser_t *p,
    agg_gql_operation_t *op);
static agg_rc_e agg_gql_parse_fragment(agg_gql_parser_t *p);
static agg_rc_e agg_gql_parse_selections(agg_gql_parser_t *p,
    uint32_t *first, uint32_t *set_offset);
static agg_rc_e agg_gql_parse_selection(agg_gql_parser_t *p,
    agg_gql_selection_t *sel);
static agg_rc_e agg_gql_parse_field(agg_gql_parser_t *p,
    agg_gql_selection_t *sel);
static agg_rc_e agg_gql_parse_spread(agg_gql_parser_t *p,
    agg_gql_selection_t *sel);
static agg_rc_e agg_gql_parse_args(agg_gql_parser_t *p, unsigned constant,
    uint32_t *first);
static agg_rc_e agg_gql_parse_arg_name(agg_gql_parser_t *p, uint32_t *arg,
    agg_gql_arg_t **node);
static agg_rc_e agg_gql_parse_one_value(agg_gql_parser_t *p,
    unsigned constant, uint32_t parent, uint32_t *value);
static agg_rc_e agg_gql_parse_scalar(agg_gql_parser_t *p, unsigned constant,
    agg_gql_value_t *v);


void *
agg_gql_push(agg_mem_t *mem, void **array, uint32_t *n, size_t size)
{
    void    *p;
    size_t   room;
    u_char  *element;

    if ((*n & (*n - 1)) == 0 && (*n >= 16 || *n == 0)) {
        room = (*n == 0) ? 16 : 2 * (size_t) *n;

        p = mem->grow(mem->ctx, *array, *n * size, room * size);
        if (p == NULL) {
            return NULL;
        }

        *array = p;
    }

    element = (u_char *) *array + *n * size;
    memset(element, 0, size);
    (*n)++;

    return element;
}


void *
agg_gql_push_room(agg_mem_t *mem, void **array, uint32_t *n, uint32_t *room,
    size_t size)
{
    void    *p;
    size_t   new;
    u_char  *element;

    if (*n == *room) {
        new = (*n == 0) ? 16 : 2 * (size_t) *n;

        p = mem->grow(mem->ctx, *array, *n * size, new * size);
        if (p == NULL) {
            return NULL;
        }

        *array = p;
        *room = (uint32_t) new;
    }

    element = (u_char *) *array + *n * size;
    memset(element, 0, size);
    (*n)++;

    return element;
}


agg_rc_e
agg_gql_parse(agg_gql_doc_t *doc, agg_mem_t *mem,
    const agg_gql_source_t *source, uint32_t max_tokens,
    agg_gql_errors_t *errors)
{
    agg_rc_e          rc;
    agg_gql_parser_t  p;

    memset(doc, 0, sizeof(agg_gql_doc_t));
    memset(&p, 0, sizeof(agg_gql_parser_t));

    doc->mem = mem;
    doc->source = source;

    p.doc = doc;
    p.mem = mem;
    p.max_tokens = (max_tokens != 0) ? max_tokens : 0x7fffffff;

    rc = agg_gql_lex_init(&p.lexer, source, errors);

    if (rc == AGG_OK) {
        rc = agg_gql_parse_document(&p);
    }

    doc->sdl = p.sdl;

    return rc;
}


static agg_rc_e
agg_gql_parse_document(agg_gql_parser_t *p)
{
    agg_gql_try(agg_gql_advance(p));

    do {
        agg_gql_try(agg_gql_parse_definition(p));
    } while (!agg_gql_peek(p, AGG_GQL_TOKEN_EOF));

    return AGG_OK;
}


agg_rc_e
agg_gql_advance(agg_gql_parser_t *p)
{
    agg_gql_token_t  *token;

    token = &p->lexer.token;
    p->last_end = token->end;

    agg_gql_try(agg_gql_lex_next(&p->lexer));

    if (token->kind == AGG_GQL_TOKEN_EOF) {
        return AGG_OK;
    }

    if (p->doc->ntokens++ == p->max_tokens) {
        agg_gql_try(agg_gql_limit(p->lexer.errors, p->lexer.source,
                                  token->start, "max_tokens", p->max_tokens));
    }

    return AGG_OK;
}


agg_rc_e
agg_gql_expect(agg_gql_parser_t *p, agg_gql_token_e kind)
{
    char        quoted[4];
    agg_rc_e    rc;
    agg_str_t   found;
    agg_buf_t   b;
    const char *name;

    if (agg_gql_peek(p, kind)) {
        return agg_gql_advance(p);
    }

    agg_gql_try(agg_gql_token_text(p->lexer.source, &p->lexer.token, p->mem,
                                   &found));

    if (kind == AGG_GQL_TOKEN_NAME) {
        name = "Name";

    } else {
        quoted[0] = '"';
        quoted[1] = (char) kind;
        quoted[2] = '"';
        quoted[3] = '\0';
        name = quoted;
    }

    agg_buf_init(&b, p->mem, 64);

    rc = agg_gql_put(&b, "Expected %s, found ", name);

    if (rc == AGG_OK) {
        rc = agg_buf_append(&b, "", 1);
    }

    if (rc != AGG_OK) {
        return rc;
    }

    return agg_gql_syntax(p->lexer.errors, p->lexer.source,
                          p->lexer.token.start, (char *) b.start, &found,
                          ".");
}


agg_rc_e
agg_gql_expect_keyword(agg_gql_parser_t *p, const char *word)
{
    agg_rc_e   rc;
    agg_str_t  found;
    agg_buf_t  b;

    if (agg_gql_is_word(p, &p->lexer.token, word)) {
        return agg_gql_advance(p);
    }

    agg_gql_try(agg_gql_token_text(p->lexer.source, &p->lexer.token, p->mem,
                                   &found));
    agg_buf_init(&b, p->mem, 64);

    rc = agg_gql_put(&b, "Expected \"%s\", found ", word);

    if (rc == AGG_OK) {
        rc = agg_buf_append(&b, "", 1);
    }

    if (rc != AGG_OK) {
        return rc;
    }

    return agg_gql_syntax(p->lexer.errors, p->lexer.source,
                          p->lexer.token.start, (char *) b.start, &found,
                          ".");
}


agg_rc_e
agg_gql_unexpected(agg_gql_parser_t *p, const agg_gql_token_t *token)
{
    agg_str_t  found;

    agg_gql_try(agg_gql_token_text(p->lexer.source, token, p->mem, &found));

    return agg_gql_syntax(p->lexer.errors, p->lexer.source, token->start,
                          "Unexpected ", &found, ".");
}


int
agg_gql_is_word(const agg_gql_parser_t *p, const agg_gql_token_t *token,
    const char *word)
{
    size_t  len;

    if (token->kind != AGG_GQL_TOKEN_NAME) {
        return 0;
    }

    len = strlen(word);

    return token->end - token->start == len
           && memcmp(p->lexer.source->text.data + token->start, word, len)
              == 0;
}


agg_rc_e
agg_gql_parse_name(agg_gql_parser_t *p, agg_str_t *name, uint32_t *offset)
{
    if (agg_gql_peek(p, AGG_GQL_TOKEN_NAME)) {
        agg_gql_token_str(p->lexer.source, &p->lexer.token, name);
        *offset = p->lexer.token.start;
    }

    return agg_gql_expect(p, AGG_GQL_TOKEN_NAME);
}


/* text may be NULL */

agg_rc_e
agg_gql_parse_description(agg_gql_parser_t *p, agg_str_t *text)
{
    if (!agg_gql_peek(p, AGG_GQL_TOKEN_STRING)
        && !agg_gql_peek(p, AGG_GQL_TOKEN_BLOCK))
    {
        return AGG_OK;
    }

    if (text != NULL) {
        agg_gql_try(agg_gql_lex_string(p->lexer.source, &p->lexer.token,
                                       p->mem, text));
    }

    return agg_gql_advance(p);
}


agg_rc_e
agg_gql_parse_type(agg_gql_parser_t *p, agg_str_t *name, uint32_t *offset,
    uint32_t *name_offset, agg_gql_wraps_t *wraps)
{
    unsigned  lists;

    *offset = p->lexer.token.start;
    *wraps = 0;

    for (lists = 0; agg_gql_peek(p, '['); lists++) {

        if (lists == AGG_GQL_MAX_LISTS) {
            return agg_gql_syntax(p->lexer.errors, p->lexer.source,
                                  p->lexer.token.start,
                                  "Too many lists in one another.", NULL, "");
        }

        agg_gql_try(agg_gql_advance(p));
    }

    agg_gql_try(agg_gql_parse_name(p, name, name_offset));

    for ( ;; ) {

        if (agg_gql_peek(p, '!')) {
            *wraps = *wraps << 2 | AGG_GQL_IS_NON_NULL;
            agg_gql_try(agg_gql_advance(p));
        }

        if (lists-- == 0) {
            return AGG_OK;
        }

        agg_gql_try(agg_gql_expect(p, ']'));
        *wraps = *wraps << 2 | AGG_GQL_IS_LIST;
    }
}


static agg_rc_e
agg_gql_parse_definition(agg_gql_parser_t *p)
{
    unsigned          described;
    agg_gql_lexer_t   ahead;
    agg_gql_token_t   keyword;

    static const char *const  operations[] = {
        "query", "mutation", "subscription"
    };

    if (agg_gql_peek(p, '{')) {
        return agg_gql_parse_operation(p);
    }

    described = agg_gql_peek(p, AGG_GQL_TOKEN_STRING)
                || agg_gql_peek(p, AGG_GQL_TOKEN_BLOCK);
    keyword = p->lexer.token;

    if (described) {
        ahead = p->lexer;
        agg_gql_try(agg_gql_lex_next(&ahead));
        keyword = ahead.token;

        if (keyword.kind == '{') {
            return agg_gql_syntax(p->lexer.errors, p->lexer.source,
                                  p->lexer.token.start,
                                  "Unexpected description, descriptions are "
                                  "not supported on shorthand queries.",
                                  NULL, "");
        }
    }

    if (keyword.kind != AGG_GQL_TOKEN_NAME) {
        return agg_gql_unexpected(p, &keyword);
    }

    if (agg_gql_is_word(p, &keyword, operations[AGG_GQL_QUERY])
        || agg_gql_is_word(p, &keyword, operations[AGG_GQL_MUTATION])
        || agg_gql_is_word(p, &keyword, operations[AGG_GQL_SUBSCRIPTION]))
    {
        return agg_gql_parse_operation(p);
    }

    if (agg_gql_is_word(p, &keyword, "fragment")) {
        return agg_gql_parse_fragment(p);
    }

    return agg_gql_parse_sdl(p, &keyword);
}


static agg_rc_e
agg_gql_add_def(agg_gql_parser_t *p, agg_gql_def_e kind, uint32_t index)
{
    agg_gql_def_t  *def;

    def = agg_gql_new(p->mem, p->doc->defs, p->doc->ndefs);
    if (def == NULL) {
        return AGG_NOMEM;
    }

    def->kind = kind;
    def->index = index;

    return AGG_OK;
}


static agg_rc_e
agg_gql_parse_operation(agg_gql_parser_t *p)
{
    agg_gql_doc_t        *doc;
    agg_gql_operation_t  *op;

    doc = p->doc;

    agg_gql_try(agg_gql_add_def(p, AGG_GQL_DEF_OPERATION, doc->noperations));

    op = agg_gql_new(p->mem, doc->operations, doc->noperations);
    if (op == NULL) {
        return AGG_NOMEM;
    }

    op->offset = p->lexer.token.start;
    op->name_offset = op->offset;
    op->applied = AGG_GQL_NONE;
    op->variable = doc->nvariables;
    op->value = doc->nvalues;

    if (!agg_gql_peek(p, '{')) {
        agg_gql_try(agg_gql_parse_description(p, NULL));

        if (agg_gql_is_word(p, &p->lexer.token, "mutation")) {
            op->kind = AGG_GQL_MUTATION;

        } else if (agg_gql_is_word(p, &p->lexer.token, "subscription")) {
            op->kind = AGG_GQL_SUBSCRIPTION;
        }

        agg_gql_try(agg_gql_advance(p));

        if (agg_gql_peek(p, AGG_GQL_TOKEN_NAME)) {
            agg_gql_try(agg_gql_parse_name(p, &op->name, &op->name_offset));
        }

        agg_gql_try(agg_gql_parse_variables(p, op));
        agg_gql_try(agg_gql_parse_applied(p, 0, &op->applied));
    }

    agg_gql_try(agg_gql_parse_selections(p, &op->first, &op->set_offset));

    op->end = p->last_end;
    op->selection_end = doc->nselections;
    op->value_end = doc->nvalues;

    return AGG_OK;
}


static agg_rc_e
agg_gql_parse_variables(agg_gql_parser_t *p, agg_gql_operation_t *op)
{
    agg_gql_variable_t  *v;

    if (!agg_gql_peek(p, '(')) {
        return AGG_OK;
    }

    agg_gql_try(agg_gql_advance(p));

    do {
        v = agg_gql_new(p->mem, p->doc->variables, p->doc->nvariables);
        if (v == NULL) {
            return AGG_NOMEM;
        }

        op->nvariables++;
        v->value = AGG_GQL_NONE;
        v->node_offset = p->lexer.token.start;

        agg_gql_try(agg_gql_parse_description(p, NULL));

        v->offset = p->lexer.token.start;

        agg_gql_try(agg_gql_expect(p, '$'));
        agg_gql_try(agg_gql_parse_name(p, &v->name, &v->name_offset));
        agg_gql_try(agg_gql_expect(p, ':'));
        agg_gql_try(agg_gql_parse_type(p, &v->type_name, &v->type_offset,
                                       &v->type_name_offset, &v->wraps));

        if (agg_gql_peek(p, '=')) {
            agg_gql_try(agg_gql_advance(p));
            agg_gql_try(agg_gql_parse_value(p, 1, &v->value));
        }

        agg_gql_try(agg_gql_parse_applied(p, 1, &v->applied));
        v->end = p->last_end;

    } while (!agg_gql_peek(p, ')'));

    return agg_gql_advance(p);
}


static agg_rc_e
agg_gql_parse_fragment(agg_gql_parser_t *p)
{
    agg_gql_doc_t       *doc;
    agg_gql_fragment_t  *f;

    doc = p->doc;

    agg_gql_try(agg_gql_add_def(p, AGG_GQL_DEF_FRAGMENT, doc->nfragments));

    f = agg_gql_new(p->mem, doc->fragments, doc->nfragments);
    if (f == NULL) {
        return AGG_NOMEM;
    }

    f->offset = p->lexer.token.start;
    f->value = doc->nvalues;

    agg_gql_try(agg_gql_parse_description(p, NULL));
    agg_gql_try(agg_gql_advance(p));

    if (agg_gql_is_word(p, &p->lexer.token, "on")) {
        return agg_gql_unexpected(p, &p->lexer.token);
    }

    agg_gql_try(agg_gql_parse_name(p, &f->name, &f->name_offset));
    agg_gql_try(agg_gql_expect_keyword(p, "on"));
    agg_gql_try(agg_gql_parse_name(p, &f->type_name, &f->type_offset));
    agg_gql_try(agg_gql_parse_applied(p, 0, &f->applied));
    agg_gql_try(agg_gql_parse_selections(p, &f->first, &f->set_offset));

    f->end = p->last_end;
    f->selection_end = doc->nselections;
    f->value_end = doc->nvalues;

    return AGG_OK;
}


/*
 * Parses a selection set with everything in it.  While the set of a selection
 * is open, its "end" is the index of the last selection in it.
 */

static agg_rc_e
agg_gql_parse_selections(agg_gql_parser_t *p, uint32_t *first,
    uint32_t *set_offset)
{
    uint32_t              id, parent, last, *link;
    agg_gql_doc_t        *doc;
    agg_gql_selection_t  *sel;

    doc = p->doc;
    parent = AGG_GQL_NONE;
    last = AGG_GQL_NONE;
    *first = AGG_GQL_NONE;
    *set_offset = p->lexer.token.start;

    agg_gql_try(agg_gql_expect(p, '{'));

    for ( ;; ) {
        id = doc->nselections;

        sel = agg_gql_new(p->mem, doc->selections, doc->nselections);
        if (sel == NULL) {
            return AGG_NOMEM;
        }

        sel->parent = parent;
        sel->next = AGG_GQL_NONE;

        link = (parent == AGG_GQL_NONE) ? &last : &doc->selections[parent].end;

        if (*link != AGG_GQL_NONE) {
            doc->selections[*link].next = id;

        } else if (parent == AGG_GQL_NONE) {
            *first = id;

        } else {
            doc->selections[parent].first = id;
        }

        *link = id;

        agg_gql_try(agg_gql_parse_selection(p, sel));

        if (agg_gql_peek(p, '{')) {
            sel->set_offset = p->lexer.token.start;
            sel->end = AGG_GQL_NONE;
            parent = id;
            agg_gql_try(agg_gql_advance(p));
            continue;
        }

        if (sel->kind == AGG_GQL_INLINE) {
            return agg_gql_expect(p, '{');
        }

        sel->end = p->last_end;

        while (agg_gql_peek(p, '}')) {
            agg_gql_try(agg_gql_advance(p));

            if (parent == AGG_GQL_NONE) {
                return AGG_OK;
            }

            sel = &doc->selections[parent];
            sel->end = p->last_end;
            parent = sel->parent;
        }
    }
}


static agg_rc_e
agg_gql_parse_selection(agg_gql_parser_t *p, agg_gql_selection_t *sel)
{
    sel->offset = p->lexer.token.start;
    sel->name_offset = sel->offset;
    sel->arg = AGG_GQL_NONE;
    sel->applied = AGG_GQL_NONE;
    sel->first = AGG_GQL_NONE;
    sel->fragment = AGG_GQL_NONE;

    if (agg_gql_peek(p, AGG_GQL_TOKEN_SPREAD)) {
        agg_gql_try(agg_gql_parse_spread(p, sel));

    } else {
        agg_gql_try(agg_gql_parse_field(p, sel));
    }

    /* a spread has no set, so a following "{" does not belong to it */

    if (sel->kind == AGG_GQL_SPREAD && agg_gql_peek(p, '{')) {
        return agg_gql_expect(p, AGG_GQL_TOKEN_NAME);
    }

    return AGG_OK;
}


static agg_rc_e
agg_gql_parse_field(agg_gql_parser_t *p, agg_gql_selection_t *sel)
{
    sel->kind = AGG_GQL_FIELD;

    agg_gql_try(agg_gql_parse_name(p, &sel->name, &sel->name_offset));
    sel->alias = sel->name;

    if (agg_gql_peek(p, ':')) {
        p->doc->naliases++;
        agg_gql_try(agg_gql_advance(p));
        agg_gql_try(agg_gql_parse_name(p, &sel->name, &sel->name_offset));
    }

    agg_gql_try(agg_gql_parse_args(p, 0, &sel->arg));

    return agg_gql_parse_applied(p, 0, &sel->applied);
}


static agg_rc_e
agg_gql_parse_spread(agg_gql_parser_t *p, agg_gql_selection_t *sel)
{
    sel->kind = AGG_GQL_INLINE;

    agg_gql_try(agg_gql_advance(p));

    if (agg_gql_is_word(p, &p->lexer.token, "on")) {
        agg_gql_try(agg_gql_advance(p));
        agg_gql_try(agg_gql_parse_name(p, &sel->name, &sel->name_offset));

    } else if (agg_gql_peek(p, AGG_GQL_TOKEN_NAME)) {
        sel->kind = AGG_GQL_SPREAD;
        agg_gql_try(agg_gql_parse_name(p, &sel->name, &sel->name_offset));
    }

    return agg_gql_parse_applied(p, 0, &sel->applied);
}


static agg_rc_e
agg_gql_parse_args(agg_gql_parser_t *p, unsigned constant, uint32_t *first)
{
    uint32_t        id, last, value;
    agg_gql_arg_t  *arg;

    *first = AGG_GQL_NONE;

    if (!agg_gql_peek(p, '(')) {
        return AGG_OK;
    }

    agg_gql_try(agg_gql_advance(p));
    last = AGG_GQL_NONE;

    do {
        agg_gql_try(agg_gql_parse_arg_name(p, &id, &arg));

        if (last == AGG_GQL_NONE) {
            *first = id;

        } else {
            p->doc->args[last].next = id;
        }

        last = id;

        agg_gql_try(agg_gql_parse_value(p, constant, &value));

        p->doc->args[id].value = value;
        p->doc->values[value].arg = id;

    } while (!agg_gql_peek(p, ')'));

    return agg_gql_advance(p);
}


static agg_rc_e
agg_gql_parse_arg_name(agg_gql_parser_t *p, uint32_t *arg,
    agg_gql_arg_t **node)
{
    *arg = p->doc->nargs;

    *node = agg_gql_new(p->mem, p->doc->args, p->doc->nargs);
    if (*node == NULL) {
        return AGG_NOMEM;
    }

    (*node)->next = AGG_GQL_NONE;

    agg_gql_try(agg_gql_parse_name(p, &(*node)->name, &(*node)->offset));

    return agg_gql_expect(p, ':');
}


agg_rc_e
agg_gql_parse_applied(agg_gql_parser_t *p, unsigned constant, uint32_t *first)
{
    uint32_t            id, last, arg, offset;
    agg_gql_applied_t  *a;

    *first = AGG_GQL_NONE;
    last = AGG_GQL_NONE;

    while (agg_gql_peek(p, '@')) {
        id = p->doc->napplied;

        a = agg_gql_new(p->mem, p->doc->applied, p->doc->napplied);
        if (a == NULL) {
            return AGG_NOMEM;
        }

        a->offset = p->lexer.token.start;
        a->next = AGG_GQL_NONE;

        if (last == AGG_GQL_NONE) {
            *first = id;

        } else {
            p->doc->applied[last].next = id;
        }

        last = id;

        agg_gql_try(agg_gql_advance(p));
        agg_gql_try(agg_gql_parse_name(p, &a->name, &offset));
        agg_gql_try(agg_gql_parse_args(p, constant, &arg));

        a->arg = arg;
        a->end = p->last_end;
    }

    return AGG_OK;
}


/*
 * Parses a value with everything in it.  While a list or an object is open, its
 * "end" is the index of its last element.
 */

agg_rc_e
agg_gql_parse_value(agg_gql_parser_t *p, unsigned constant, uint32_t *value)
{
    uint32_t          id, arg, parent;
    agg_gql_arg_t    *node;
    agg_gql_doc_t    *doc;
    agg_gql_value_t  *v;

    doc = p->doc;
    parent = AGG_GQL_NONE;
    arg = AGG_GQL_NONE;

    for ( ;; ) {
        agg_gql_try(agg_gql_parse_one_value(p, constant, parent, &id));

        v = &doc->values[id];

        if (parent == AGG_GQL_NONE) {
            *value = id;

        } else if (doc->values[parent].kind == AGG_GQL_OBJECT) {
            doc->args[arg].value = id;
            v->arg = arg;

        } else {

            if (doc->values[parent].end == AGG_GQL_NONE) {
                doc->values[parent].first = id;

            } else {
                doc->values[doc->values[parent].end].next = id;
            }

            doc->values[parent].end = id;
        }

        if (v->kind == AGG_GQL_LIST || v->kind == AGG_GQL_OBJECT) {
            parent = id;
        }

        while (parent != AGG_GQL_NONE
               && agg_gql_peek(p, doc->values[parent].kind == AGG_GQL_LIST
                                  ? ']' : '}'))
        {
            agg_gql_try(agg_gql_advance(p));

            v = &doc->values[parent];
            v->end = p->last_end;
            parent = v->parent;
        }

        if (parent == AGG_GQL_NONE) {
            return AGG_OK;
        }

        if (doc->values[parent].kind == AGG_GQL_LIST) {
            continue;
        }

        agg_gql_try(agg_gql_parse_arg_name(p, &arg, &node));

        v = &doc->values[parent];

        if (v->end == AGG_GQL_NONE) {
            v->first = arg;

        } else {
            doc->args[v->end].next = arg;
        }

        v->end = arg;
    }
}


static agg_rc_e
agg_gql_parse_one_value(agg_gql_parser_t *p, unsigned constant,
    uint32_t parent, uint32_t *value)
{
    agg_gql_value_t  *v;

    *value = p->doc->nvalues;

    v = agg_gql_new(p->mem, p->doc->values, p->doc->nvalues);
    if (v == NULL) {
        return AGG_NOMEM;
    }

    v->offset = p->lexer.token.start;
    v->parent = parent;
    v->next = AGG_GQL_NONE;
    v->first = AGG_GQL_NONE;
    v->end = AGG_GQL_NONE;
    v->arg = AGG_GQL_NONE;

    switch (p->lexer.token.kind) {

    case '[':
        v->kind = AGG_GQL_LIST;
        return agg_gql_advance(p);

    case '{':
        v->kind = AGG_GQL_OBJECT;
        return agg_gql_advance(p);

    default:
        agg_gql_try(agg_gql_parse_scalar(p, constant, v));
        v->end = p->last_end;
        return AGG_OK;
    }
}


static agg_rc_e
agg_gql_parse_scalar(agg_gql_parser_t *p, unsigned constant,
    agg_gql_value_t *v)
{
    agg_str_t        name;
    uint32_t         offset;
    agg_gql_token_t  token;

    token = p->lexer.token;

    switch (token.kind) {

    case '$':
        agg_gql_try(agg_gql_advance(p));

        if (constant) {

            if (!agg_gql_peek(p, AGG_GQL_TOKEN_NAME)) {
                return agg_gql_unexpected(p, &token);
            }

            agg_gql_token_str(p->lexer.source, &p->lexer.token, &name);

            return agg_gql_syntax(p->lexer.errors, p->lexer.source,
                                  token.start, "Unexpected variable \"$",
                                  &name, "\" in constant value.");
        }

        v->kind = AGG_GQL_VARIABLE;
        return agg_gql_parse_name(p, &v->text, &offset);

    case AGG_GQL_TOKEN_INT:
    case AGG_GQL_TOKEN_FLOAT:
        v->kind = (token.kind == AGG_GQL_TOKEN_INT) ? AGG_GQL_INT
                                                    : AGG_GQL_FLOAT;
        agg_gql_token_str(p->lexer.source, &token, &v->text);
        break;

    case AGG_GQL_TOKEN_STRING:
    case AGG_GQL_TOKEN_BLOCK:
        v->kind = (token.kind == AGG_GQL_TOKEN_STRING) ? AGG_GQL_STRING
                                                       : AGG_GQL_BLOCK_STRING;
        agg_gql_try(agg_gql_lex_string(p->lexer.source, &token, p->mem,
                                       &v->text));
        break;

    case AGG_GQL_TOKEN_NAME:
        agg_gql_token_str(p->lexer.source, &token, &v->text);

        if (agg_gql_is_word(p, &token, "true")) {
            v->kind = AGG_GQL_TRUE;

        } else if (agg_gql_is_word(p, &token, "false")) {
            v->kind = AGG_GQL_FALSE;

        } else if (agg_gql_is_word(p, &token, "null")) {
            v->kind = AGG_GQL_NULL;

        } else {
            v->kind = AGG_GQL_ENUM;
        }

        break;

    default:
        return agg_gql_unexpected(p, &token);
    }

    return agg_gql_advance(p);
}
