
/*
 * The parser of type system definitions: schemas, types, directives,
 * extensions.
 */


#include "agg_gql_parse.h"


static agg_rc_e agg_gql_parse_sdl_body(agg_gql_parser_t *p,
    agg_gql_sdl_def_t *def);
static agg_rc_e agg_gql_parse_directive_def(agg_gql_parser_t *p,
    agg_gql_sdl_def_t *def);
static agg_rc_e agg_gql_parse_root_types(agg_gql_parser_t *p,
    agg_gql_sdl_def_t *def);
static agg_rc_e agg_gql_parse_interfaces(agg_gql_parser_t *p,
    agg_gql_sdl_def_t *def);
static agg_rc_e agg_gql_parse_names(agg_gql_parser_t *p, int delimiter,
    agg_gql_range_t *range);
static agg_rc_e agg_gql_parse_fields(agg_gql_parser_t *p,
    agg_gql_sdl_def_t *def);
static agg_rc_e agg_gql_parse_inputs(agg_gql_parser_t *p, int open, int close,
    agg_gql_range_t *range);


static const char *const  agg_gql_sdl_words[] = {
    "schema", "scalar", "type", "interface", "union", "enum", "input",
    "directive"
};


static const char *const  agg_gql_on_names[] = {
    "QUERY", "MUTATION", "SUBSCRIPTION", "FIELD", "FRAGMENT_DEFINITION",
    "FRAGMENT_SPREAD", "INLINE_FRAGMENT", "VARIABLE_DEFINITION", "SCHEMA",
    "SCALAR", "OBJECT", "FIELD_DEFINITION", "ARGUMENT_DEFINITION",
    "INTERFACE", "UNION", "ENUM", "ENUM_VALUE", "INPUT_OBJECT",
    "INPUT_FIELD_DEFINITION"
};


const char *
agg_gql_on_name(agg_gql_on_e on)
{
    return agg_gql_on_names[on];
}


agg_gql_on_e
agg_gql_on_by_name(const agg_str_t *name)
{
    unsigned  on;

    for (on = 0; on < AGG_GQL_ON_END; on++) {
        if (strlen(agg_gql_on_names[on]) == name->len
            && memcmp(agg_gql_on_names[on], name->data, name->len) == 0)
        {
            break;
        }
    }

    return (agg_gql_on_e) on;
}


/* called at the description, if there is one */

agg_rc_e
agg_gql_parse_sdl(agg_gql_parser_t *p, const agg_gql_token_t *keyword)
{
    unsigned            extend, described, kind;
    agg_str_t           description;
    uint32_t            start, index;
    agg_gql_def_t      *def;
    agg_gql_lexer_t     ahead;
    agg_gql_token_t     word;
    agg_gql_sdl_def_t  *d;

    word = *keyword;
    start = p->lexer.token.start;
    described = (p->lexer.token.start != keyword->start);
    extend = agg_gql_is_word(p, keyword, "extend");

    if (extend && !described) {
        ahead = p->lexer;
        agg_gql_try(agg_gql_lex_next(&ahead));
        word = ahead.token;
    }

    for (kind = 0; kind <= AGG_GQL_SDL_DIRECTIVE; kind++) {
        if (agg_gql_is_word(p, &word, agg_gql_sdl_words[kind])) {
            break;
        }
    }

    if (kind > AGG_GQL_SDL_DIRECTIVE
        || (extend && kind == AGG_GQL_SDL_DIRECTIVE))
    {
        if (described) {
            return agg_gql_syntax(p->lexer.errors, p->lexer.source, start,
                                  "Unexpected description, only GraphQL "
                                  "definitions support descriptions.",
                                  NULL, "");
        }

        return agg_gql_unexpected(p, &word);
    }

    if (p->sdl == NULL) {
        p->sdl = p->mem->alloc(p->mem->ctx, sizeof(agg_gql_sdl_t));
        if (p->sdl == NULL) {
            return AGG_NOMEM;
        }

        memset(p->sdl, 0, sizeof(agg_gql_sdl_t));
    }

    memset(&description, 0, sizeof(agg_str_t));
    agg_gql_try(agg_gql_parse_description(p, &description));

    if (extend) {
        agg_gql_try(agg_gql_advance(p));
    }

    agg_gql_try(agg_gql_advance(p));

    index = p->sdl->ndefs;

    d = agg_gql_new(p->mem, p->sdl->defs, p->sdl->ndefs);
    def = agg_gql_new(p->mem, p->doc->defs, p->doc->ndefs);

    if (d == NULL || def == NULL) {
        return AGG_NOMEM;
    }

    def->kind = AGG_GQL_DEF_SDL;
    def->index = index;

    d->kind = (agg_gql_sdl_e) kind;
    d->extend = extend;
    d->description = description;
    d->offset = start;
    d->name_offset = start;
    d->applied = AGG_GQL_NONE;

    return agg_gql_parse_sdl_body(p, d);
}


static agg_rc_e
agg_gql_parse_sdl_body(agg_gql_parser_t *p, agg_gql_sdl_def_t *def)
{
    if (def->kind == AGG_GQL_SDL_DIRECTIVE) {
        return agg_gql_parse_directive_def(p, def);
    }

    if (def->kind != AGG_GQL_SDL_SCHEMA) {
        agg_gql_try(agg_gql_parse_name(p, &def->name, &def->name_offset));
    }

    if (def->kind == AGG_GQL_SDL_TYPE || def->kind == AGG_GQL_SDL_INTERFACE) {
        agg_gql_try(agg_gql_parse_interfaces(p, def));
    }

    agg_gql_try(agg_gql_parse_applied(p, 1, &def->applied));

    switch (def->kind) {

    case AGG_GQL_SDL_SCHEMA:
        agg_gql_try(agg_gql_parse_root_types(p, def));
        break;

    case AGG_GQL_SDL_UNION:
        if (agg_gql_peek(p, '=')) {
            agg_gql_try(agg_gql_advance(p));
            agg_gql_try(agg_gql_parse_names(p, '|', &def->names));
        }

        break;

    case AGG_GQL_SDL_TYPE:
    case AGG_GQL_SDL_INTERFACE:
    case AGG_GQL_SDL_ENUM:
        agg_gql_try(agg_gql_parse_fields(p, def));
        break;

    case AGG_GQL_SDL_INPUT:
        agg_gql_try(agg_gql_parse_inputs(p, '{', '}', &def->inputs));
        break;

    default:
        break;
    }

    /* an extension must not be empty */

    if (def->extend && def->applied == AGG_GQL_NONE && def->names.n == 0
        && def->interfaces.n == 0 && def->fields.n == 0 && def->inputs.n == 0)
    {
        return agg_gql_unexpected(p, &p->lexer.token);
    }

    return AGG_OK;
}


static agg_rc_e
agg_gql_parse_directive_def(agg_gql_parser_t *p, agg_gql_sdl_def_t *def)
{
    uint32_t             i;
    agg_gql_token_t      token;
    agg_gql_sdl_name_t  *name;

    agg_gql_try(agg_gql_expect(p, '@'));
    agg_gql_try(agg_gql_parse_name(p, &def->name, &def->name_offset));
    agg_gql_try(agg_gql_parse_inputs(p, '(', ')', &def->inputs));

    if (agg_gql_is_word(p, &p->lexer.token, "repeatable")) {
        def->repeatable = 1;
        agg_gql_try(agg_gql_advance(p));
    }

    agg_gql_try(agg_gql_expect_keyword(p, "on"));
    agg_gql_try(agg_gql_parse_names(p, '|', &def->names));

    for (i = 0; i < def->names.n; i++) {
        name = &p->sdl->names[def->names.first + i];

        if (agg_gql_on_by_name(&name->name) == AGG_GQL_ON_END) {
            token.kind = AGG_GQL_TOKEN_NAME;
            token.start = name->offset;
            token.end = name->offset + (uint32_t) name->name.len;
            return agg_gql_unexpected(p, &token);
        }
    }

    return AGG_OK;
}


static agg_rc_e
agg_gql_parse_root_types(agg_gql_parser_t *p, agg_gql_sdl_def_t *def)
{
    unsigned             i;
    agg_gql_sdl_name_t  *name;

    static const char *const  operations[] = {
        "query", "mutation", "subscription"
    };

    if (def->extend && !agg_gql_peek(p, '{')) {
        return AGG_OK;
    }

    agg_gql_try(agg_gql_expect(p, '{'));
    def->names.first = p->sdl->nnames;

    do {
        name = agg_gql_new(p->mem, p->sdl->names, p->sdl->nnames);
        if (name == NULL) {
            return AGG_NOMEM;
        }

        def->names.n++;
        name->node_offset = p->lexer.token.start;

        for (i = 0; i < 3; i++) {
            if (agg_gql_is_word(p, &p->lexer.token, operations[i])) {
                break;
            }
        }

        if (i == 3) {

            if (agg_gql_peek(p, AGG_GQL_TOKEN_NAME)) {
                return agg_gql_unexpected(p, &p->lexer.token);
            }

            return agg_gql_expect(p, AGG_GQL_TOKEN_NAME);
        }

        name->operation = (agg_gql_operation_e) i;

        agg_gql_try(agg_gql_advance(p));
        agg_gql_try(agg_gql_expect(p, ':'));
        agg_gql_try(agg_gql_parse_name(p, &name->name, &name->offset));

    } while (!agg_gql_peek(p, '}'));

    return agg_gql_advance(p);
}


static agg_rc_e
agg_gql_parse_interfaces(agg_gql_parser_t *p, agg_gql_sdl_def_t *def)
{
    if (!agg_gql_is_word(p, &p->lexer.token, "implements")) {
        return AGG_OK;
    }

    agg_gql_try(agg_gql_advance(p));

    return agg_gql_parse_names(p, '&', &def->interfaces);
}


static agg_rc_e
agg_gql_parse_names(agg_gql_parser_t *p, int delimiter,
    agg_gql_range_t *range)
{
    agg_gql_sdl_name_t  *name;

    range->first = p->sdl->nnames;

    if (agg_gql_peek(p, delimiter)) {
        agg_gql_try(agg_gql_advance(p));
    }

    for ( ;; ) {
        name = agg_gql_new(p->mem, p->sdl->names, p->sdl->nnames);
        if (name == NULL) {
            return AGG_NOMEM;
        }

        range->n++;

        agg_gql_try(agg_gql_parse_name(p, &name->name, &name->offset));

        if (!agg_gql_peek(p, delimiter)) {
            return AGG_OK;
        }

        agg_gql_try(agg_gql_advance(p));
    }
}


static agg_rc_e
agg_gql_parse_fields(agg_gql_parser_t *p, agg_gql_sdl_def_t *def)
{
    agg_str_t             text;
    agg_gql_sdl_field_t  *f;

    if (!agg_gql_peek(p, '{')) {
        return AGG_OK;
    }

    agg_gql_try(agg_gql_advance(p));
    def->fields.first = p->sdl->nfields;

    do {
        f = agg_gql_new(p->mem, p->sdl->fields, p->sdl->nfields);
        if (f == NULL) {
            return AGG_NOMEM;
        }

        def->fields.n++;
        f->offset = p->lexer.token.start;

        agg_gql_try(agg_gql_parse_description(p, &f->description));

        if (def->kind == AGG_GQL_SDL_ENUM
            && (agg_gql_is_word(p, &p->lexer.token, "true")
                || agg_gql_is_word(p, &p->lexer.token, "false")
                || agg_gql_is_word(p, &p->lexer.token, "null")))
        {
            agg_gql_try(agg_gql_token_text(p->lexer.source, &p->lexer.token,
                                           p->mem, &text));

            return agg_gql_syntax(p->lexer.errors, p->lexer.source,
                                  p->lexer.token.start, "", &text,
                                  " is reserved and cannot be used for an "
                                  "enum value.");
        }

        agg_gql_try(agg_gql_parse_name(p, &f->name, &f->name_offset));

        if (def->kind != AGG_GQL_SDL_ENUM) {
            agg_gql_try(agg_gql_parse_inputs(p, '(', ')', &f->args));
            agg_gql_try(agg_gql_expect(p, ':'));
            agg_gql_try(agg_gql_parse_type(p, &f->type_name, &f->type_offset,
                                           &f->type_name_offset, &f->wraps));
        }

        agg_gql_try(agg_gql_parse_applied(p, 1, &f->applied));

    } while (!agg_gql_peek(p, '}'));

    return agg_gql_advance(p);
}


static agg_rc_e
agg_gql_parse_inputs(agg_gql_parser_t *p, int open, int close,
    agg_gql_range_t *range)
{
    agg_gql_sdl_input_t  *in;

    if (!agg_gql_peek(p, open)) {
        return AGG_OK;
    }

    agg_gql_try(agg_gql_advance(p));
    range->first = p->sdl->ninputs;

    do {
        in = agg_gql_new(p->mem, p->sdl->inputs, p->sdl->ninputs);
        if (in == NULL) {
            return AGG_NOMEM;
        }

        range->n++;
        in->offset = p->lexer.token.start;
        in->value = AGG_GQL_NONE;

        agg_gql_try(agg_gql_parse_description(p, &in->description));
        agg_gql_try(agg_gql_parse_name(p, &in->name, &in->name_offset));
        agg_gql_try(agg_gql_expect(p, ':'));
        agg_gql_try(agg_gql_parse_type(p, &in->type_name, &in->type_offset,
                                       &in->type_name_offset, &in->wraps));

        if (agg_gql_peek(p, '=')) {
            agg_gql_try(agg_gql_advance(p));
            agg_gql_try(agg_gql_parse_value(p, 1, &in->value));
        }

        agg_gql_try(agg_gql_parse_applied(p, 1, &in->applied));

    } while (!agg_gql_peek(p, close));

    return agg_gql_advance(p);
}
