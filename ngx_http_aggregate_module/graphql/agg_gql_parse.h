
/*
 * Declarations shared by the two halves of the parser: executable definitions
 * and type system definitions.
 */


#ifndef AGG_GQL_PARSE_H_INCLUDED
#define AGG_GQL_PARSE_H_INCLUDED


#include "agg_gql_lex.h"
#include "agg_gql_sdl.h"


#pragma GCC visibility push(hidden)


typedef struct {
    agg_gql_lexer_t          lexer;
    agg_gql_doc_t           *doc;
    agg_gql_sdl_t           *sdl;
    agg_mem_t               *mem;
    uint32_t                 max_tokens;
    uint32_t                 last_end;      /* the end of the token before */
} agg_gql_parser_t;


#define agg_gql_try(expr)                                                    \
    do {                                                                     \
        agg_rc_e  try_rc_ = (expr);                                          \
                                                                             \
        if (try_rc_ != AGG_OK) {                                             \
            return try_rc_;                                                  \
        }                                                                    \
    } while (0)


/*
 * Adds a zeroed element to an array; NULL: there is no memory.  The array has
 * room for a power of two, or none.
 */

void *agg_gql_push(agg_mem_t *mem, void **array, uint32_t *n, size_t size);

#define agg_gql_new(mem, array, n)                                           \
    agg_gql_push(mem, (void **) &(array), &(n), sizeof(*(array)))

#define agg_gql_new_pointer(mem, array, n)                                   \
    agg_gql_push(mem, (void **) &(array), &(n), sizeof(void *))


/* the same for an array that may also shrink: "room" is its capacity */

void *agg_gql_push_room(agg_mem_t *mem, void **array, uint32_t *n,
    uint32_t *room, size_t size);

#define agg_gql_new_room(mem, array, n, room)                                \
    agg_gql_push_room(mem, (void **) &(array), &(n), &(room),                \
                      sizeof(*(array)))


#define agg_gql_peek(p, c)  ((p)->lexer.token.kind == (c))


/*
 * Steps of the parser, which start at the current token and end behind what
 * they have parsed.  AGG_INVALID comes with a syntax error; AGG_NOMEM.
 */

agg_rc_e agg_gql_advance(agg_gql_parser_t *p);
agg_rc_e agg_gql_expect(agg_gql_parser_t *p, agg_gql_token_e kind);
agg_rc_e agg_gql_expect_keyword(agg_gql_parser_t *p, const char *word);
agg_rc_e agg_gql_unexpected(agg_gql_parser_t *p,
    const agg_gql_token_t *token);
agg_rc_e agg_gql_parse_name(agg_gql_parser_t *p, agg_str_t *name,
    uint32_t *offset);
agg_rc_e agg_gql_parse_description(agg_gql_parser_t *p, agg_str_t *text);
agg_rc_e agg_gql_parse_type(agg_gql_parser_t *p, agg_str_t *name,
    uint32_t *offset, uint32_t *name_offset, agg_gql_wraps_t *wraps);
agg_rc_e agg_gql_parse_value(agg_gql_parser_t *p, unsigned constant,
    uint32_t *value);
agg_rc_e agg_gql_parse_applied(agg_gql_parser_t *p, unsigned constant,
    uint32_t *first);

agg_rc_e agg_gql_parse_sdl(agg_gql_parser_t *p,
    const agg_gql_token_t *keyword);

int agg_gql_is_word(const agg_gql_parser_t *p, const agg_gql_token_t *token,
    const char *word);


#pragma GCC visibility pop


#endif /* AGG_GQL_PARSE_H_INCLUDED */
