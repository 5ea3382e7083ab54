
/*
 * The parts of a compiled shape, for the compiler and the runner only.
 *
 * A state says what is to be done with a value.  As no path descends to any
 * depth, all paths that apply to a value are at the same step, so the states
 * form a graph without cycles, one level for each level of the document, as
 * deep as the longest path.
 */


#ifndef AGG_STATE_H_INCLUDED
#define AGG_STATE_H_INCLUDED


#include "agg_shape.h"
#include "agg_block.h"


#pragma GCC visibility push(hidden)


/* names of this length or longer share a bucket */

#define AGG_EDGE_LONG   32

#define AGG_NO_SLOT     (-1)

/*
 * the bit of a name, by its length and its first byte, or a quote if it is
 * empty
 */

#define agg_name_bit(len, c)  (((len) * 9 + (c)) & 63)


/* the treatment of a value of one kind */

typedef enum {
    AGG_DROP = 0,
    AGG_COPY,
    AGG_WALK
} agg_mode_e;


typedef enum {
    AGG_RULE_LIMIT = 0,
    AGG_RULE_ALLOW,
    AGG_RULE_DENY,
    AGG_RULE_RENAME,
    AGG_RULE_INTO,
    AGG_RULE_MOVE,
    AGG_RULE_SET
} agg_rule_e;


typedef struct agg_rule_s  agg_rule_t;

struct agg_rule_s {
    agg_rule_e            type;
    agg_path_t           *path;
    agg_path_t           *to;       /* a move's path in the element */
    unsigned              shared;   /* steps up to the last wildcard */
    agg_str_t             name;     /* decoded, of a rename and into */
    agg_str_t             text;     /* the name as "name":, a constant */
    size_t                n;        /* a limit's number */
    int                   slot;     /* an argument's slot, or a move's */
    unsigned              priority; /* a rename's, from 1 */
    agg_rule_t           *next;
};


struct agg_edge_s {
    agg_str_t             name;     /* decoded */
    const agg_state_t    *child;
    const agg_str_t      *text;     /* the new name, NULL: none */
    int                   out;      /* which of the state's outs it becomes */
    unsigned              priority; /* 0: not renamed */
    u_char                head;     /* the name's first byte, else a quote */
    u_char                start[AGG_BLOCK];    /* the first bytes of the name */
};


/* a name in the output that several members may have */

typedef struct {
    agg_str_t             name;     /* decoded */
    const agg_str_t      *text;
    int                   slot;     /* into's, or AGG_NO_SLOT */
} agg_out_t;


/* a move of a member that a later one may replace */

typedef struct {
    int                   slot;
    int                   out;
    unsigned              priority;
} agg_pending_t;


typedef struct {
    long                  index;
    const agg_state_t    *child;
} agg_element_t;


struct agg_state_s {
    u_char                scalar;   /* agg_mode_e by kind */
    u_char                object;
    u_char                array;
    u_char                silent;   /* on the way to the target */
    u_char                whole;    /* indexes from the end: count first */
    u_char                busy;     /* to do for any value: silent, moves */
    int                   slot;     /* a move takes the value */
    unsigned              winner;   /* place of its outs in the runner */

    unsigned              nsources; /* moves that find theirs from here on */
    unsigned             *sources;
    unsigned              nplaces;  /* moves within this value */
    const agg_rule_t    **places;

    uint64_t              names;    /* a bit for each edge's name */
    unsigned              nedges;
    agg_edge_t           *edges;    /* by length */
    unsigned short        first[AGG_EDGE_LONG + 3];
    const agg_state_t    *other;    /* other members */

    unsigned              nouts;
    agg_out_t            *outs;
    unsigned              npending;
    agg_pending_t        *pending;

    const agg_state_t    *element;  /* other elements */
    unsigned              nelements;
    agg_element_t        *elements;
    unsigned              nback;    /* from the end */
    agg_element_t        *back;
    const agg_state_t   **both;     /* elements[i] that is back[j] as well */
    size_t                limit;
    unsigned              nlimits;
    unsigned             *limits;   /* slots */

    /* for the compiler */

    unsigned              depth;
    unsigned              keep;
    uint64_t             *set;
    agg_state_t          *next;
};


/* the tables of agg_replay.c */

typedef struct agg_replayed_s  agg_replayed_t;


struct agg_shape_s {
    agg_mem_t             mem;
    agg_path_t           *target;
    agg_rule_t           *rules;
    agg_rule_t          **last;
    unsigned              nrules;
    unsigned              nmoves;
    unsigned              nlimits;  /* slots */
    unsigned              nvalues;
    unsigned              ninto;

    /* compiled */

    const agg_state_t    *start;
    const agg_state_t    *root;
    const agg_state_t    *late;     /* the second pass, NULL: none */
    unsigned              place;    /* moves and sets are done */
    unsigned              nframes;
    unsigned              nwinners;
    size_t                name_size;

    agg_shape_t          *head;
    agg_shape_t          *tail;

    agg_patterns_t       *patterns; /* of the documents of all its runs */
    agg_replayed_t       *replay;   /* NULL: there is nothing to replay */
};


extern const agg_state_t  agg_state_copy;
extern const agg_state_t  agg_state_drop;


/* parts of a shape */

#define AGG_SHAPE_HEAD  0x01        /* target and limit */
#define AGG_SHAPE_TAIL  0x02

agg_rc_e agg_states_build(agg_shape_t *s, unsigned parts, agg_error_t *err);


/*
 * Writes the document with the value at each place that the path names,
 * creating missing objects.
 */

agg_rc_e agg_place(agg_buf_t *out, const agg_str_t *doc,
    const agg_path_t *path, const agg_str_t *json);


/*
 * What replays have learned from earlier documents. agg_replay_init() is called
 * after the states have been built: AGG_NOMEM.
 */

agg_rc_e agg_replay_init(agg_shape_t *s);


#pragma GCC visibility pop


#endif /* AGG_STATE_H_INCLUDED */
