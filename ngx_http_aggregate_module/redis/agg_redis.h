
/*
 * Redis replies as they come in pieces: single ones, values of any length,
 * and the entries of a stream.
 */

#ifndef _AGG_REDIS_H_INCLUDED_
#define _AGG_REDIS_H_INCLUDED_


#include <sys/types.h>
#include <stddef.h>
#include <stdint.h>


#pragma GCC visibility push(hidden)


#define AGG_REDIS_LINE_MAX    512
#define AGG_REDIS_STREAM_MAX  (1024 * 1024)

/* the most elements of an array that a reader accepts */
#define AGG_REDIS_ELEMENTS_MAX  20000


typedef enum {
    AGG_REDIS_AGAIN = 0,     /* all is consumed, more is needed */
    AGG_REDIS_REPLY,         /* a reply is complete */
    AGG_REDIS_VALUE,         /* a value begins: set dst, or leave it NULL */
    AGG_REDIS_BROKEN         /* no reply of Redis, or one not asked for */
} agg_redis_event_e;


typedef enum {
    AGG_REDIS_STATUS = 0,
    AGG_REDIS_ERROR,
    AGG_REDIS_INTEGER,
    AGG_REDIS_NIL,
    AGG_REDIS_BULK
} agg_redis_type_e;


typedef struct {
    agg_redis_type_e         type;
    int64_t                  integer;
    size_t                   length;    /* the value's, or the text's */
    u_char                  *dst;       /* NULL: the value is passed over */

    /* private */
    void                    *reader;
    size_t                   left;
    unsigned                 state;
    size_t                   nline;
    u_char                   line[AGG_REDIS_LINE_MAX];
} agg_redis_parser_t;


/* one event of a stream: id as text, name and value of its fields in turn */

typedef struct {
    const char              *id;
    size_t                   id_length;
    size_t                   nfields;
    void                    *fields;    /* for agg_redis_field() */
} agg_redis_entry_t;


/*
 * Returns 0, or -1 if there is no memory.  A parser must be destroyed even
 * after AGG_REDIS_BROKEN, which it returns for ever once it has done so.
 */
int agg_redis_parser_create(agg_redis_parser_t *parser);
void agg_redis_parser_destroy(agg_redis_parser_t *parser);

/*
 * Consumes from *data, which is moved on.  With AGG_REDIS_REPLY, the text of
 * a status or an error is line, of length bytes.  After AGG_REDIS_VALUE the
 * caller sets dst, of length bytes, and calls again.  Arrays are broken.
 */
agg_redis_event_e agg_redis_parse(agg_redis_parser_t *parser,
    const u_char **data, const u_char *last);

/*
 * The rest of a value may be read into its dst directly: agg_redis_room()
 * returns the length of the room at *p, or 0, and agg_redis_filled() tells how
 * much of it was used.
 */
size_t agg_redis_room(agg_redis_parser_t *parser, u_char **p);
void agg_redis_filled(agg_redis_parser_t *parser, size_t len);

/*
 * A command of argc strings, formatted by hiredis; NULL: there is no memory.
 * The caller frees it with agg_redis_free().
 */
char *agg_redis_command(size_t argc, const u_char **argv, const size_t *lens,
    size_t *len);
void agg_redis_free(char *command);

/*
 * The other way to read, for a connection that follows a stream: complete
 * replies of hiredis.  agg_redis_reader_feed() returns -1 if there is no
 * memory, or if a reply is too long.  agg_redis_reader_next() returns 1 and a
 * reply, 0 if more data is needed, or -1 if the data is invalid; the caller
 * frees the reply with agg_redis_reply_free().
 */
void *agg_redis_reader_create(void);
void agg_redis_reader_destroy(void *reader);
int agg_redis_reader_feed(void *data, const u_char *buf, size_t len);
int agg_redis_reader_next(void *reader, void **reply);
void agg_redis_reply_free(void *reply);

/*
 * The type of a reply; "*", an array, is AGG_REDIS_BULK + 1.  text and integer
 * are set if the reply has them.
 */
#define AGG_REDIS_ARRAY  (AGG_REDIS_BULK + 1)
int agg_redis_reply_type(void *reply, const char **text, size_t *len,
    int64_t *integer);

/* the elements of an array, 0 for all else; element i of it */
size_t agg_redis_elements(void *reply);
void *agg_redis_element(void *reply, size_t i);

/*
 * The entries of a reply to XRANGE or XREVRANGE (depth 0) or to XREAD of one
 * stream (depth 1): calls handler for each, until it does not return 0.
 * Returns the number of them, or -1: not of that form.
 */
int agg_redis_entries(void *reply, unsigned depth,
    int (*handler)(void *ctx, const agg_redis_entry_t *entry), void *ctx);

/* the field of that name, or NULL */
const char *agg_redis_field(const agg_redis_entry_t *entry, const char *name,
    size_t *len);

/*
 * Up to 16 hexadecimal digits in lower case at the start of a text, which may
 * be NULL; what is none ends it.
 */
uint64_t agg_redis_hex(const char *text, size_t len);

/* the value of "name:value" in a reply to INFO, or NULL */
const char *agg_redis_info(const char *text, size_t len, const char *name,
    size_t *value_len);

/* "123-4"; 0, or -1: it is none */
int agg_redis_id(const char *text, size_t len, uint64_t *ms, uint64_t *seq);


#pragma GCC visibility pop


#endif /* _AGG_REDIS_H_INCLUDED_ */
