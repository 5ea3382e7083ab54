
/*
 * The protocol of Redis (RESP2) over hiredis's formatter and reader.
 *
 * hiredis's reader collects what it gets in a buffer of its own, which costs
 * a value of 1 MB several copies and lets the other side say how much memory
 * is taken.  So the length of a value is read here, and its bytes go to a
 * buffer that the caller has chosen after it knew the length; all other
 * replies are single lines, of at most AGG_REDIS_LINE_MAX bytes, which the
 * reader gets whole.  An array is never an answer to what is asked on such a
 * connection.
 *
 * A connection that follows a stream gets arrays, and small ones: there the
 * reader reads all, with a bound on what it may collect.
 *
 * The work is linear in what comes in.
 */


#include <stdlib.h>
#include <string.h>

#include <hiredis/hiredis.h>

#include "agg_redis.h"


#define AGG_REDIS_IN_LINE   0
#define AGG_REDIS_IN_VALUE  1
#define AGG_REDIS_IN_END    2
#define AGG_REDIS_IN_ERROR  3


#if (HIREDIS_MAJOR >= 1)
typedef size_t  agg_redis_count_t;
#else
typedef int     agg_redis_count_t;
#endif


typedef struct {
    redisReader                 *reader;
    redisReplyObjectFunctions    functions;
    void                      *(*create_array)(const redisReadTask *task,
                                               agg_redis_count_t n);
    size_t                       pending;
} agg_redis_reader_t;


static agg_redis_event_e agg_redis_line(agg_redis_parser_t *parser);
static agg_redis_event_e agg_redis_fail(agg_redis_parser_t *parser);
static void *agg_redis_create_array(const redisReadTask *task,
    agg_redis_count_t n);
static int agg_redis_length(const u_char *p, size_t len, int64_t *length);


int
agg_redis_parser_create(agg_redis_parser_t *parser)
{
    redisReader  *reader;

    memset(parser, 0, sizeof(agg_redis_parser_t));

    reader = redisReaderCreate();

    if (reader == NULL) {
        return -1;
    }

    parser->reader = reader;

    return 0;
}


void
agg_redis_parser_destroy(agg_redis_parser_t *parser)
{
    if (parser->reader != NULL) {
        redisReaderFree(parser->reader);
        parser->reader = NULL;
    }
}


agg_redis_event_e
agg_redis_parse(agg_redis_parser_t *parser, const u_char **data,
    const u_char *last)
{
    size_t         size;
    const u_char  *p;

    while (*data < last || (parser->state == AGG_REDIS_IN_VALUE
                            && parser->left == 0))
    {
        p = *data;

        switch (parser->state) {

        case AGG_REDIS_IN_LINE:

            *data = p + 1;

            if (parser->nline == AGG_REDIS_LINE_MAX) {
                return agg_redis_fail(parser);
            }

            parser->line[parser->nline++] = *p;

            if (*p == '\n') {
                return agg_redis_line(parser);
            }

            break;

        case AGG_REDIS_IN_VALUE:

            size = (size_t) (last - p);

            if (size > parser->left) {
                size = parser->left;
            }

            if (parser->dst != NULL && size) {
                memcpy(parser->dst + parser->length - parser->left, p, size);
            }

            *data = p + size;
            parser->left -= size;

            if (parser->left == 0) {
                parser->state = AGG_REDIS_IN_END;
                parser->left = 2;
            }

            break;

        case AGG_REDIS_IN_END:

            *data = p + 1;

            if (*p != (parser->left == 2 ? '\r' : '\n')) {
                return agg_redis_fail(parser);
            }

            if (--parser->left == 0) {
                parser->state = AGG_REDIS_IN_LINE;
                parser->nline = 0;

                return AGG_REDIS_REPLY;
            }

            break;

        default:
            return AGG_REDIS_BROKEN;
        }
    }

    return parser->state == AGG_REDIS_IN_ERROR ? AGG_REDIS_BROKEN
                                               : AGG_REDIS_AGAIN;
}


size_t
agg_redis_room(agg_redis_parser_t *parser, u_char **p)
{
    if (parser->state != AGG_REDIS_IN_VALUE || parser->dst == NULL) {
        return 0;
    }

    *p = parser->dst + parser->length - parser->left;

    return parser->left;
}


void
agg_redis_filled(agg_redis_parser_t *parser, size_t len)
{
    parser->left -= len;

    if (parser->left == 0) {
        parser->state = AGG_REDIS_IN_END;
        parser->left = 2;
    }
}


static agg_redis_event_e
agg_redis_fail(agg_redis_parser_t *parser)
{
    parser->state = AGG_REDIS_IN_ERROR;

    return AGG_REDIS_BROKEN;
}


static agg_redis_event_e
agg_redis_line(agg_redis_parser_t *parser)
{
    void        *got;
    size_t       len;
    int64_t      length;
    redisReply  *reply;

    len = parser->nline;

    if (len < 3 || parser->line[len - 2] != '\r') {
        return agg_redis_fail(parser);
    }

    if (parser->line[0] == '$') {

        if (agg_redis_length(parser->line + 1, len - 3, &length) != 0) {
            return agg_redis_fail(parser);
        }

        parser->dst = NULL;

        if (length < 0) {
            parser->type = AGG_REDIS_NIL;
            parser->length = 0;
            parser->nline = 0;

            return AGG_REDIS_REPLY;
        }

        parser->type = AGG_REDIS_BULK;
        parser->length = (size_t) length;
        parser->left = (size_t) length;
        parser->state = AGG_REDIS_IN_VALUE;

        return AGG_REDIS_VALUE;
    }

    if (parser->line[0] != '+' && parser->line[0] != '-'
        && parser->line[0] != ':')
    {
        return agg_redis_fail(parser);
    }

    got = NULL;

    if (redisReaderFeed(parser->reader, (char *) parser->line, len)
            != REDIS_OK
        || redisReaderGetReply(parser->reader, &got) != REDIS_OK
        || got == NULL)
    {
        return agg_redis_fail(parser);
    }

    reply = got;

    parser->type = (reply->type == REDIS_REPLY_INTEGER) ? AGG_REDIS_INTEGER
                   : (reply->type == REDIS_REPLY_ERROR) ? AGG_REDIS_ERROR
                   : AGG_REDIS_STATUS;
    parser->integer = reply->integer;

    freeReplyObject(reply);

    memmove(parser->line, parser->line + 1, len - 3);

    parser->length = len - 3;
    parser->nline = 0;

    return AGG_REDIS_REPLY;
}


static int
agg_redis_length(const u_char *p, size_t len, int64_t *length)
{
    size_t  i;

    if (len == 2 && p[0] == '-' && p[1] == '1') {
        *length = -1;
        return 0;
    }

    if (len == 0 || len > 10) {
        return -1;
    }

    *length = 0;

    for (i = 0; i < len; i++) {

        if (p[i] < '0' || p[i] > '9') {
            return -1;
        }

        *length = *length * 10 + (p[i] - '0');
    }

    return 0;
}


char *
agg_redis_command(size_t argc, const u_char **argv, const size_t *lens,
    size_t *len)
{
    int    n;
    char  *command;

    command = NULL;

    n = redisFormatCommandArgv(&command, (int) argc, (const char **) argv,
                               lens);

    if (n < 0) {
        return NULL;
    }

    *len = (size_t) n;

    return command;
}


void
agg_redis_free(char *command)
{
    redisFreeCommand(command);
}


void *
agg_redis_reader_create(void)
{
    agg_redis_reader_t  *reader;

    reader = calloc(1, sizeof(agg_redis_reader_t));

    if (reader == NULL) {
        return NULL;
    }

    reader->reader = redisReaderCreate();

    if (reader->reader == NULL) {
        free(reader);
        return NULL;
    }

    /* hiredis would free its buffer after each reply and allocate a new one */
    reader->reader->maxbuf = 0;

    reader->functions = *reader->reader->fn;
    reader->create_array = reader->functions.createArray;
    reader->functions.createArray = agg_redis_create_array;

    reader->reader->fn = &reader->functions;
    reader->reader->privdata = reader;

    return reader;
}


/* the peer does not decide how much memory is allocated */

static void *
agg_redis_create_array(const redisReadTask *task, agg_redis_count_t n)
{
    agg_redis_reader_t  *reader;

    if (n > AGG_REDIS_ELEMENTS_MAX) {
        return NULL;
    }

    reader = task->privdata;

    return reader->create_array(task, n);
}


void
agg_redis_reader_destroy(void *data)
{
    agg_redis_reader_t  *reader;

    reader = data;

    if (reader != NULL) {
        redisReaderFree(reader->reader);
        free(reader);
    }
}


int
agg_redis_reader_feed(void *data, const u_char *buf, size_t len)
{
    agg_redis_reader_t  *reader;

    reader = data;

    if (len > AGG_REDIS_STREAM_MAX - reader->pending) {
        return -1;
    }

    reader->pending += len;

    return redisReaderFeed(reader->reader, (const char *) buf, len)
           == REDIS_OK ? 0 : -1;
}


int
agg_redis_reader_next(void *data, void **reply)
{
    agg_redis_reader_t  *reader;

    reader = data;
    *reply = NULL;

    if (redisReaderGetReply(reader->reader, reply) != REDIS_OK) {
        return -1;
    }

    if (*reply == NULL) {
        return 0;
    }

    reader->pending = 0;

    return 1;
}


void
agg_redis_reply_free(void *reply)
{
    freeReplyObject(reply);
}


int
agg_redis_reply_type(void *data, const char **text, size_t *len,
    int64_t *integer)
{
    redisReply  *reply;

    reply = data;

    *text = reply->str;
    *len = (size_t) reply->len;
    *integer = reply->integer;

    switch (reply->type) {

    case REDIS_REPLY_STATUS:
        return AGG_REDIS_STATUS;

    case REDIS_REPLY_ERROR:
        return AGG_REDIS_ERROR;

    case REDIS_REPLY_INTEGER:
        return AGG_REDIS_INTEGER;

    case REDIS_REPLY_NIL:
        return AGG_REDIS_NIL;

    case REDIS_REPLY_STRING:
        return AGG_REDIS_BULK;

    default:
        return AGG_REDIS_ARRAY;
    }
}


size_t
agg_redis_elements(void *data)
{
    redisReply  *reply;

    reply = data;

    return reply->type == REDIS_REPLY_ARRAY ? (size_t) reply->elements : 0;
}


void *
agg_redis_element(void *data, size_t i)
{
    redisReply  *reply;

    reply = data;

    return reply->element[i];
}


int
agg_redis_entries(void *data, unsigned depth,
    int (*handler)(void *ctx, const agg_redis_entry_t *entry), void *ctx)
{
    size_t              i, n;
    redisReply         *reply, *element, *fields;
    agg_redis_entry_t   entry;

    reply = data;

    if (reply->type == REDIS_REPLY_NIL) {
        return 0;
    }

    if (depth) {

        /* [[name, entries]] */

        if (reply->type != REDIS_REPLY_ARRAY || reply->elements != 1
            || reply->element[0]->type != REDIS_REPLY_ARRAY
            || reply->element[0]->elements != 2)
        {
            return -1;
        }

        reply = reply->element[0]->element[1];
    }

    if (reply->type != REDIS_REPLY_ARRAY) {
        return -1;
    }

    n = (size_t) reply->elements;

    for (i = 0; i < n; i++) {

        element = reply->element[i];

        if (element->type != REDIS_REPLY_ARRAY || element->elements != 2
            || element->element[0]->type != REDIS_REPLY_STRING)
        {
            return -1;
        }

        fields = element->element[1];

        entry.id = element->element[0]->str;
        entry.id_length = (size_t) element->element[0]->len;
        entry.fields = fields;
        entry.nfields = (fields->type == REDIS_REPLY_ARRAY)
                        ? (size_t) fields->elements / 2 : 0;

        if (handler(ctx, &entry) != 0) {
            return -1;
        }
    }

    return (int) n;
}


const char *
agg_redis_field(const agg_redis_entry_t *entry, const char *name, size_t *len)
{
    size_t       i;
    redisReply  *fields, *field, *value;

    fields = entry->fields;

    for (i = 0; i < entry->nfields; i++) {

        field = fields->element[2 * i];
        value = fields->element[2 * i + 1];

        if (field->type == REDIS_REPLY_STRING
            && value->type == REDIS_REPLY_STRING
            && (size_t) field->len == strlen(name)
            && memcmp(field->str, name, (size_t) field->len) == 0)
        {
            *len = (size_t) value->len;
            return value->str;
        }
    }

    return NULL;
}


int
agg_redis_id(const char *text, size_t len, uint64_t *ms, uint64_t *seq)
{
    size_t     i;
    unsigned   digit;
    uint64_t  *part;

    *ms = 0;
    *seq = 0;
    part = ms;

    if (len == 0 || text[0] == '-' || text[len - 1] == '-') {
        return -1;
    }

    for (i = 0; i < len; i++) {

        if (text[i] == '-' && part == ms) {
            part = seq;
            continue;
        }

        if (text[i] < '0' || text[i] > '9') {
            return -1;
        }

        digit = (unsigned) (text[i] - '0');

        if (*part > (UINT64_MAX - digit) / 10) {
            return -1;
        }

        *part = *part * 10 + digit;
    }

    return part == seq ? 0 : -1;
}


uint64_t
agg_redis_hex(const char *text, size_t len)
{
    char      c;
    size_t    i;
    uint64_t  value;

    value = 0;

    for (i = 0; text != NULL && i < len && i < 16; i++) {

        c = text[i];

        if (c >= '0' && c <= '9') {
            value = (value << 4) | (uint64_t) (c - '0');

        } else if (c >= 'a' && c <= 'f') {
            value = (value << 4) | (uint64_t) (c - 'a' + 10);

        } else {
            break;
        }
    }

    return value;
}


const char *
agg_redis_info(const char *text, size_t len, const char *name,
    size_t *value_len)
{
    size_t       n;
    const char  *p, *end, *eol;

    n = strlen(name);
    end = text + len;

    for (p = text; p < end; p = eol + 1) {

        eol = memchr(p, '\n', (size_t) (end - p));

        if (eol == NULL) {
            eol = end;
        }

        if ((size_t) (eol - p) > n && p[n] == ':' && memcmp(p, name, n) == 0)
        {
            p += n + 1;
            *value_len = (size_t) (eol - p);

            if (*value_len && p[*value_len - 1] == '\r') {
                (*value_len)--;
            }

            return p;
        }
    }

    return NULL;
}
