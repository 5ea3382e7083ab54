
/*
 * Descriptors: FileDescriptorSets, as "protoc --include_imports
 * --descriptor_set_out" writes them, become a pool of messages, enums and
 * services.
 *
 * Given:    the bytes of the sets, which must outlive the pool: names lie in
 *           them.
 * Promises: a pool that was loaded is complete (each type is there, field
 *           numbers and names are unique) and is never changed.  The types of
 *           google/protobuf, google/rpc and google/api that JSON needs are
 *           always in it: the well-known types, google.rpc.Status with the
 *           error details, google.api.HttpBody.
 * Cost:     linear in the bytes, but for nearest names.
 */


#ifndef AGG_PB_DESC_H_INCLUDED
#define AGG_PB_DESC_H_INCLUDED


#include "agg_pb.h"


#pragma GCC visibility push(hidden)


/* numbers of FieldDescriptorProto.Type */

typedef enum {
    AGG_PB_DOUBLE = 1,
    AGG_PB_FLOAT,
    AGG_PB_INT64,
    AGG_PB_UINT64,
    AGG_PB_INT32,
    AGG_PB_FIXED64_TYPE,
    AGG_PB_FIXED32_TYPE,
    AGG_PB_BOOL,
    AGG_PB_STRING,
    AGG_PB_GROUP,
    AGG_PB_MESSAGE,
    AGG_PB_BYTES,
    AGG_PB_UINT32,
    AGG_PB_ENUM,
    AGG_PB_SFIXED32,
    AGG_PB_SFIXED64,
    AGG_PB_SINT32,
    AGG_PB_SINT64
} agg_pb_type_e;


/* a bit of "first" that no block has */

#define AGG_PB_BY_TABLE  0x10000


/* bytes that are read together */

#define AGG_PB_PADDING  16


/* messages whose JSON is their own; HttpBody and Empty have none */

typedef enum {
    AGG_PB_PLAIN = 0,
    AGG_PB_ANY,
    AGG_PB_TIMESTAMP,
    AGG_PB_DURATION,
    AGG_PB_FIELD_MASK,
    AGG_PB_STRUCT,
    AGG_PB_VALUE,
    AGG_PB_LIST_VALUE,
    AGG_PB_WRAPPER,             /* fields[0] is the value */
    AGG_PB_EMPTY,
    AGG_PB_HTTP_BODY
} agg_pb_kind_e;


/* fields that the short cuts know; members of oneofs are none of them */

typedef enum {
    AGG_PB_QUICK_NONE = 0,
    AGG_PB_QUICK_STRING,
    AGG_PB_QUICK_INT32,
    AGG_PB_QUICK_UINT32,
    AGG_PB_QUICK_INT64,
    AGG_PB_QUICK_UINT64,
    AGG_PB_QUICK_NUMBER,        /* an integer of another encoding */
    AGG_PB_QUICK_DOUBLE,
    AGG_PB_QUICK_FLOAT,
    AGG_PB_QUICK_BOOL,
    AGG_PB_QUICK_ENUM,
    AGG_PB_QUICK_STRINGS,
    AGG_PB_QUICK_NUMBERS,       /* packed; f->element says which */
    AGG_PB_QUICK_MESSAGE
} agg_pb_quick_e;


typedef struct agg_pb_message_s  agg_pb_message_t;
typedef struct agg_pb_enum_s     agg_pb_enum_t;
typedef struct agg_pb_pool_s     agg_pb_pool_t;


typedef struct {
    agg_str_t                 name;         /* "user_id" */
    agg_str_t                 json_name;    /* "userId" */
    agg_str_t                 print[2];     /* ,"userId": and ,"user_id":
                                               and AGG_PB_PADDING bytes */
    uint32_t                  first;        /* bits, one for each of the first
                                               sixteen bytes of print[0]; and
                                               BY_TABLE: this name is another
                                               field's, or has escapes */

    uint32_t                  number;
    uint32_t                  index;        /* in message->fields */
    uint32_t                  oneof;        /* in message->oneofs, or NONE */

    u_char                    type;         /* agg_pb_type_e */
    u_char                    wire;         /* wire type of one value */
    u_char                    tag_len;
    u_char                    quick;        /* agg_pb_quick_e */
    u_char                    element;      /* that of one of its values */
    u_char                    tag[8];       /* number and wire type to write,
                                               and zeros */
    uint64_t                  tag_mask;     /* of its bytes as a word */

    unsigned                  repeated:1;   /* set for maps, too */
    unsigned                  map:1;
    unsigned                  packed:1;     /* to be written packed */
    unsigned                  packable:1;   /* may be read packed */
    unsigned                  presence:1;   /* singular, default is not unset */
    unsigned                  required:1;
    unsigned                  utf8:1;       /* a string that must be UTF-8 */
    unsigned                  extension:1;  /* both names are "[pkg.name]" */

    agg_pb_message_t         *parent;
    agg_pb_message_t         *message;      /* a message, group or map entry */
    agg_pb_enum_t            *enumeration;
} agg_pb_field_t;


typedef struct {
    uint32_t                  hash;
    uint32_t                  index;        /* + 1, or 0: free */
} agg_pb_slot_t;


struct agg_pb_message_s {
    agg_str_t                 name;         /* "pkg.Outer.Inner" */
    agg_pb_field_t           *fields;       /* by number */
    uint32_t                  nfields;
    uint32_t                  noneofs;      /* without those of "optional" */
    agg_str_t                *oneofs;       /* names */
    agg_pb_kind_e             kind;
    unsigned                  map_entry:1;
    unsigned                  proto3:1;
    unsigned                  builtin:1;    /* not from a set */
    unsigned                  requires:1;   /* it has required fields, or what
                                               it contains may have some */

    /* tables for look-ups */

    agg_pb_slot_t            *names;        /* both names of the fields */
    uint32_t                  names_mask;
    uint32_t                  ndense;
    const agg_pb_field_t    **dense;        /* by number, or NULL */

    uint32_t                  size;         /* fields there is room for */
};


typedef struct {
    agg_str_t                 name;
    int32_t                   number;
    unsigned                  plain:1;      /* the name needs no escapes */
} agg_pb_enum_value_t;


struct agg_pb_enum_s {
    agg_str_t                 name;
    agg_pb_enum_value_t      *values;       /* as declared */
    uint32_t                  nvalues;
    uint32_t                 *by_number;    /* first of its number only */
    uint32_t                  nnumbers;
    agg_pb_slot_t            *names;
    uint32_t                  names_mask;
    unsigned                  closed:1;     /* proto2 */
    unsigned                  null_value:1; /* google.protobuf.NullValue */
    unsigned                  builtin:1;
};


typedef enum {
    AGG_PB_IDEMPOTENCY_UNKNOWN = 0,
    AGG_PB_NO_SIDE_EFFECTS,
    AGG_PB_IDEMPOTENT
} agg_pb_idempotency_e;


typedef struct {
    agg_str_t                 name;
    agg_pb_message_t         *input;
    agg_pb_message_t         *output;
    agg_pb_idempotency_e      idempotency;
    unsigned                  client_streaming:1;
    unsigned                  server_streaming:1;
    unsigned                  has_http:1;
    agg_str_t                 http;         /* wire bytes of the HttpRule */
} agg_pb_method_t;


typedef struct {
    agg_str_t                 name;         /* "pkg.Service" */
    agg_pb_method_t          *methods;      /* as declared */
    uint32_t                  nmethods;
} agg_pb_service_t;


typedef enum {
    AGG_PB_SYMBOL_MESSAGE = 0,
    AGG_PB_SYMBOL_ENUM,
    AGG_PB_SYMBOL_SERVICE,
    AGG_PB_SYMBOL_EXTENSION
} agg_pb_symbol_e;


typedef struct {
    agg_str_t                 name;
    agg_pb_symbol_e           kind;
    void                     *item;         /* as the kind says */
    agg_str_t                 bytes;        /* its descriptor */
    uint32_t                  file;         /* the loader's number of it */
} agg_pb_symbol_t;


struct agg_pb_pool_s {
    agg_pb_symbol_t          *symbols;
    uint32_t                  nsymbols;
    agg_pb_slot_t            *names;        /* of symbols */
    uint32_t                  names_mask;
};


/*
 * Loads n sets (none: the built-in types alone).  AGG_OK, AGG_NOMEM, or
 * AGG_INVALID with a text in err and in *which the set that is to blame:
 *     "is not a FileDescriptorSet"
 *     "lacks \"b.proto\", which \"a.proto\" imports"
 *     "defines \"pkg.Name\" differently than another descriptor"
 *     "uses an edition in \"a.proto\""
 *     "has no type \".pkg.Name\" of the field \"pkg.Other.name\""
 * and the like: to be read after the name of a file.
 */

agg_rc_e agg_pb_load(agg_pb_pool_t **pool, agg_mem_t *mem,
    const agg_str_t *sets, size_t n, agg_pb_error_t *err, size_t *which);


/*
 * A hash of names that are few and chosen by the configuration; its length and
 * its first and last bytes count.
 */

static inline uint32_t
agg_pb_hash(const u_char *p, size_t len)
{
    uint32_t  half;
    uint64_t  first, last;

    if (len >= 8) {
        memcpy(&first, p, 8);
        memcpy(&last, p + len - 8, 8);

    } else if (len >= 4) {
        memcpy(&half, p, 4);
        first = half;
        memcpy(&half, p + len - 4, 4);
        last = half;

    } else if (len != 0) {
        first = p[0] | (uint64_t) p[len / 2] << 8 | (uint64_t) p[len - 1] << 16;
        last = 0;

    } else {
        return 0;
    }

    first = (first ^ len) * 0x9e3779b97f4a7c15ULL;
    last = (last ^ first ^ first >> 32) * 0xc2b2ae3d27d4eb4fULL;

    return (uint32_t) (last >> 32);
}


/* by full name, without a leading dot; NULL: there is none */

const agg_pb_symbol_t *agg_pb_find_symbol(const agg_pb_pool_t *pool,
    const u_char *name, size_t len);
const agg_pb_message_t *agg_pb_find_message(const agg_pb_pool_t *pool,
    const u_char *name, size_t len);
const agg_pb_service_t *agg_pb_find_service(const agg_pb_pool_t *pool,
    const agg_str_t *name);
const agg_pb_method_t *agg_pb_find_method(const agg_pb_service_t *service,
    const agg_str_t *name);

/* either name of the field */

const agg_pb_field_t *agg_pb_find_field(const agg_pb_message_t *m,
    const u_char *name, size_t len);
const agg_pb_field_t *agg_pb_field_by_number(const agg_pb_message_t *m,
    uint32_t number);

const agg_pb_enum_value_t *agg_pb_enum_by_name(const agg_pb_enum_t *e,
    const u_char *name, size_t len);
const agg_pb_enum_value_t *agg_pb_enum_by_number(const agg_pb_enum_t *e,
    int32_t number);

/* the name that was meant, for errors of configurations; NULL: none is near */

const agg_str_t *agg_pb_nearest_service(const agg_pb_pool_t *pool,
    const agg_str_t *name);
const agg_str_t *agg_pb_nearest_method(const agg_pb_service_t *service,
    const agg_str_t *name);
const agg_str_t *agg_pb_nearest_field(const agg_pb_message_t *m,
    const agg_str_t *name);


/* messages of the kinds whose JSON is one string, number or bool */

#define agg_pb_is_scalar_kind(m)                                             \
    ((m)->kind == AGG_PB_TIMESTAMP || (m)->kind == AGG_PB_DURATION           \
     || (m)->kind == AGG_PB_FIELD_MASK || (m)->kind == AGG_PB_WRAPPER)


#pragma GCC visibility pop


#endif /* AGG_PB_DESC_H_INCLUDED */
