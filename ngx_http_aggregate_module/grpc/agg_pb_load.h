
/* shared by the files of the loader */


#ifndef AGG_PB_LOAD_H_INCLUDED
#define AGG_PB_LOAD_H_INCLUDED


#include "agg_pb_desc.h"
#include "agg_pb_wire.h"


#pragma GCC visibility push(hidden)


/* an iterator over the fields of a descriptor; bad: it is invalid */

typedef struct {
    const u_char             *p;
    const u_char             *end;
    uint32_t                  tag;
    uint64_t                  n;            /* of a varint */
    agg_str_t                 value;        /* of bytes */
    unsigned                  bad;
} agg_pb_reader_t;


typedef struct {
    agg_str_t                 name;
    agg_str_t                 package;
    agg_str_t                 bytes;
    size_t                    set;
    unsigned                  proto3;
} agg_pb_file_t;


/* a FieldDescriptorProto */

typedef struct {
    agg_str_t                 name;
    agg_str_t                 json_name;
    agg_str_t                 extendee;
    agg_str_t                 type_name;
    agg_str_t                 options;
    uint64_t                  number;
    uint64_t                  label;
    uint64_t                  type;
    uint64_t                  oneof;        /* NONE: in none */
    unsigned                  optional;     /* proto3_optional */
} agg_pb_decl_t;


typedef struct {
    agg_mem_t                *mem;
    agg_pb_pool_t            *pool;
    agg_pb_error_t           *err;
    size_t                   *which;

    agg_pb_file_t            *files;
    uint32_t                  nfiles;
    uint32_t                  files_size;
    uint32_t                  symbols_size;
} agg_pb_loader_t;


/* a field, or a message, of the built-in types */

typedef struct {
    const char               *message;
    const char               *name;
    uint32_t                  number;
    agg_pb_type_e             type;
    unsigned                  repeated;
    const char               *type_name;
} agg_pb_builtin_t;


void agg_pb_reader_init(agg_pb_reader_t *r, const agg_str_t *bytes);
int agg_pb_reader_next(agg_pb_reader_t *r);

void *agg_pb_zalloc(agg_mem_t *mem, size_t size);

int agg_pb_identifier(const agg_str_t *name);
agg_rc_e agg_pb_no_set(agg_pb_loader_t *l, size_t which);

agg_rc_e agg_pb_load_service(agg_pb_loader_t *l, uint32_t symbol);

/* adds a symbol; *item is NULL if it already exists with the same definition */

agg_rc_e agg_pb_add_symbol(agg_pb_loader_t *l, uint32_t file,
    const agg_str_t *name, agg_pb_symbol_e kind, const agg_str_t *bytes,
    void **item);

agg_rc_e agg_pb_load_field(agg_pb_loader_t *l, uint32_t file,
    agg_pb_message_t *m, const agg_pb_decl_t *decl, const agg_str_t *name);

/* sorts the fields of a message, and makes its tables */

agg_rc_e agg_pb_finish_message(agg_pb_loader_t *l, uint32_t file,
    agg_pb_message_t *m);
agg_rc_e agg_pb_finish_enum(agg_pb_loader_t *l, agg_pb_enum_t *e);
agg_rc_e agg_pb_check_maps(agg_pb_loader_t *l, uint32_t file,
    const agg_pb_message_t *m);

/* adds missing built-in types, and checks those that a set has defined */

agg_rc_e agg_pb_load_builtins(agg_pb_loader_t *l);
agg_rc_e agg_pb_check_builtins(agg_pb_loader_t *l);


#pragma GCC visibility pop


#endif /* AGG_PB_LOAD_H_INCLUDED */
