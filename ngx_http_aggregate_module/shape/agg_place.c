
/*
 * Placing of values by "move" and "set" in a complete document, in one copying
 * pass.  Each level of the path is an iterator on a small stack.
 */


#include "agg_state.h"


typedef struct {
    agg_iter_t         it;
    const u_char      *close;       /* the container's last byte */
    long               index;       /* the element to come */
    long               wanted;
    unsigned           any;         /* there are members */
    unsigned           found;
} agg_level_t;


typedef struct {
    agg_buf_t         *out;
    const agg_path_t  *path;
    const agg_str_t   *json;
    const u_char      *from;        /* not copied yet */
    agg_level_t       *level;
    unsigned           depth;       /* levels of the path in use */
    agg_level_t        levels[AGG_PATH_MAX_STEPS];
} agg_place_t;


static agg_rc_e agg_place_value(agg_place_t *pl, const agg_str_t *value);
static void agg_place_enter(agg_place_t *pl, const agg_str_t *value);
static int agg_place_match(agg_place_t *pl);
static agg_rc_e agg_place_leave(agg_place_t *pl);
static int agg_place_keys(agg_place_t *pl, unsigned from);
static agg_rc_e agg_place_until(agg_place_t *pl, const u_char *p);
static agg_rc_e agg_place_member(agg_place_t *pl, unsigned from);
static agg_rc_e agg_place_object(agg_place_t *pl, unsigned from);


agg_rc_e
agg_place(agg_buf_t *out, const agg_str_t *doc, const agg_path_t *path,
    const agg_str_t *json)
{
    agg_rc_e     rc;
    agg_place_t  pl;

    pl.out = out;
    pl.path = path;
    pl.json = json;
    pl.from = doc->data;
    pl.depth = 0;

    rc = agg_place_value(&pl, doc);

    while (rc == AGG_OK && pl.depth != 0) {
        pl.level = &pl.levels[pl.depth - 1];

        if (!agg_iter_next(&pl.level->it)) {
            rc = agg_place_leave(&pl);
            continue;
        }

        pl.level->any = 1;

        if (agg_place_match(&pl)) {
            pl.level->found = 1;
            rc = agg_place_value(&pl, &pl.level->it.value);
        }
    }

    if (rc != AGG_OK) {
        return rc;
    }

    return agg_place_until(&pl, doc->data + doc->len);
}


/* a value at the end of the first steps of the path */

static agg_rc_e
agg_place_value(agg_place_t *pl, const agg_str_t *value)
{
    agg_rc_e    rc;
    agg_kind_e  kind;

    if (pl->depth < pl->path->nsteps) {
        kind = agg_json_kind(value);

        switch (pl->path->steps[pl->depth].type) {

        case AGG_STEP_KEY:

            if (kind == AGG_OBJECT) {
                agg_place_enter(pl, value);
                return AGG_OK;
            }

            if (!agg_place_keys(pl, pl->depth)) {
                return AGG_OK;
            }

            break;

        case AGG_STEP_ANY:

            if (kind == AGG_OBJECT) {
                agg_place_enter(pl, value);
            }

            return AGG_OK;

        default:

            if (kind == AGG_ARRAY) {
                agg_place_enter(pl, value);
            }

            return AGG_OK;
        }
    }

    rc = agg_place_until(pl, value->data);
    if (rc != AGG_OK) {
        return rc;
    }

    pl->from = value->data + value->len;

    return agg_place_object(pl, pl->depth);
}


static void
agg_place_enter(agg_place_t *pl, const agg_str_t *value)
{
    agg_iter_t    count;
    agg_level_t  *level;

    level = &pl->levels[pl->depth];

    level->close = value->data + value->len - 1;
    level->wanted = pl->path->steps[pl->depth].index;
    level->index = 0;
    level->any = 0;
    level->found = 0;

    agg_iter_init(&level->it, value);

    if (level->wanted < 0) {
        count = level->it;

        while (agg_iter_next(&count)) {
            level->wanted++;
        }
    }

    pl->depth++;
}


static int
agg_place_match(agg_place_t *pl)
{
    agg_step_t  *step;

    step = &pl->path->steps[pl->depth - 1];

    switch (step->type) {

    case AGG_STEP_KEY:
        return agg_json_name_equal(&pl->level->it.name, &step->name);

    case AGG_STEP_INDEX:
        return pl->level->index++ == pl->level->wanted;

    default:
        return 1;
    }
}


/* leaves a container at its end */

static agg_rc_e
agg_place_leave(agg_place_t *pl)
{
    agg_rc_e      rc;
    unsigned      depth;
    agg_level_t  *level;

    level = pl->level;
    depth = --pl->depth;

    if (level->found || !agg_place_keys(pl, depth)) {
        return AGG_OK;
    }

    rc = agg_place_until(pl, level->close);

    if (rc == AGG_OK && level->any) {
        rc = agg_buf_append(pl->out, ",", 1);
    }

    return (rc == AGG_OK) ? agg_place_member(pl, depth) : rc;
}


/* creates objects, for steps that are keys */

static int
agg_place_keys(agg_place_t *pl, unsigned from)
{
    while (from < pl->path->nsteps) {
        if (pl->path->steps[from].type != AGG_STEP_KEY) {
            return 0;
        }

        from++;
    }

    return 1;
}


static agg_rc_e
agg_place_until(agg_place_t *pl, const u_char *p)
{
    agg_rc_e  rc;

    rc = agg_buf_append(pl->out, pl->from, (size_t) (p - pl->from));

    pl->from = p;

    return rc;
}


/* adds a member for the step "from", with everything in it */

static agg_rc_e
agg_place_member(agg_place_t *pl, unsigned from)
{
    agg_rc_e          rc;
    const agg_str_t  *name;

    name = &pl->path->steps[from].name;

    rc = agg_json_escape(pl->out, name->data, name->len);

    if (rc == AGG_OK) {
        rc = agg_buf_append(pl->out, ":", 1);
    }

    return (rc == AGG_OK) ? agg_place_object(pl, from + 1) : rc;
}


/* adds the value, in objects for the remaining steps */

static agg_rc_e
agg_place_object(agg_place_t *pl, unsigned from)
{
    agg_rc_e          rc;
    unsigned          i;
    const agg_str_t  *name;

    for (i = from; i < pl->path->nsteps; i++) {
        name = &pl->path->steps[i].name;

        rc = agg_buf_append(pl->out, "{", 1);

        if (rc == AGG_OK) {
            rc = agg_json_escape(pl->out, name->data, name->len);
        }

        if (rc == AGG_OK) {
            rc = agg_buf_append(pl->out, ":", 1);
        }

        if (rc != AGG_OK) {
            return rc;
        }
    }

    rc = agg_buf_append(pl->out, pl->json->data, pl->json->len);

    for (i = from; i < pl->path->nsteps && rc == AGG_OK; i++) {
        rc = agg_buf_append(pl->out, "}", 1);
    }

    return rc;
}
