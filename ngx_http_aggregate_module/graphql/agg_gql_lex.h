
/*
 * The lexer returns one token at a time from a source, which is checked to be
 * valid UTF-8.  It may be copied in order to look ahead.  Strings are checked
 * when they are met, and decoded on request.  Cost: linear.
 */


#ifndef AGG_GQL_LEX_H_INCLUDED
#define AGG_GQL_LEX_H_INCLUDED


#include "agg_gql.h"


#pragma GCC visibility push(hidden)


/* a punctuator is its own first character */

typedef enum {
    AGG_GQL_TOKEN_EOF = 0,
    AGG_GQL_TOKEN_NAME = 1,
    AGG_GQL_TOKEN_INT,
    AGG_GQL_TOKEN_FLOAT,
    AGG_GQL_TOKEN_STRING,
    AGG_GQL_TOKEN_BLOCK,
    AGG_GQL_TOKEN_SPREAD = '.'
} agg_gql_token_e;


typedef struct {
    u_char                   kind;
    uint32_t                 start;
    uint32_t                 end;
} agg_gql_token_t;


typedef struct {
    const agg_gql_source_t  *source;
    uint32_t                 pos;
    agg_gql_token_t          token;
    agg_gql_errors_t        *errors;
} agg_gql_lexer_t;


/*
 * agg_gql_lex_init() returns AGG_INVALID if the source is too large, or not
 * UTF-8. agg_gql_lex_next() puts the next token into lexer->token, or returns
 * AGG_INVALID with an error.
 */

agg_rc_e agg_gql_lex_init(agg_gql_lexer_t *lexer,
    const agg_gql_source_t *source, agg_gql_errors_t *errors);
agg_rc_e agg_gql_lex_next(agg_gql_lexer_t *lexer);

/* the value of a string, decoded into memory of mem if it has escapes */

agg_rc_e agg_gql_lex_string(const agg_gql_source_t *source,
    const agg_gql_token_t *token, agg_mem_t *mem, agg_str_t *value);

/* adds the error "Syntax Error: ..." */

agg_rc_e agg_gql_syntax(agg_gql_errors_t *errors,
    const agg_gql_source_t *source, uint32_t offset, const char *text,
    const agg_str_t *detail, const char *rest);

/* a token in a message: Name "a", "{", <EOF> */

agg_rc_e agg_gql_token_text(const agg_gql_source_t *source,
    const agg_gql_token_t *token, agg_mem_t *mem, agg_str_t *text);


static inline void
agg_gql_token_str(const agg_gql_source_t *source, const agg_gql_token_t *token,
    agg_str_t *s)
{
    s->data = source->text.data + token->start;
    s->len = token->end - token->start;
}


#pragma GCC visibility pop


#endif /* AGG_GQL_LEX_H_INCLUDED */
