
/* a walk along a path, with an iterator for each of its steps */


#include "agg_content.h"


typedef struct {
    agg_iter_t    it;
    long          index;            /* the element to come */
    long          wanted;
} agg_content_level_t;


static int agg_content_enter(agg_content_level_t *level,
    const agg_step_t *step, const agg_str_t *value);
static int agg_content_matches(agg_content_level_t *level,
    const agg_step_t *step);
static int agg_content_is_failure(const agg_str_t *value);


int
agg_content_fails(const agg_path_t *path, const agg_str_t *doc)
{
    unsigned              depth;
    agg_str_t             value;
    agg_content_level_t  *level, levels[AGG_PATH_MAX_STEPS];

    value = *doc;
    depth = 0;

    for ( ;; ) {

        if (depth == path->nsteps) {
            if (agg_content_is_failure(&value)) {
                return 1;
            }

        } else if (agg_content_enter(&levels[depth], &path->steps[depth],
                                     &value))
        {
            depth++;
        }

        for ( ;; ) {

            if (depth == 0) {
                return 0;
            }

            level = &levels[depth - 1];

            if (!agg_iter_next(&level->it)) {
                depth--;
                continue;
            }

            if (agg_content_matches(level, &path->steps[depth - 1])) {
                value = level->it.value;
                break;
            }
        }
    }
}


static int
agg_content_enter(agg_content_level_t *level, const agg_step_t *step,
    const agg_str_t *value)
{
    agg_iter_t  count;
    agg_kind_e  kind;

    kind = (step->type == AGG_STEP_KEY || step->type == AGG_STEP_ANY)
           ? AGG_OBJECT : AGG_ARRAY;

    if (agg_json_kind(value) != kind) {
        return 0;
    }

    agg_iter_init(&level->it, value);

    level->index = 0;
    level->wanted = step->index;

    if (step->type == AGG_STEP_INDEX && level->wanted < 0) {
        count = level->it;

        while (agg_iter_next(&count)) {
            level->wanted++;
        }
    }

    return 1;
}


static int
agg_content_matches(agg_content_level_t *level, const agg_step_t *step)
{
    switch (step->type) {

    case AGG_STEP_KEY:
        return agg_json_name_equal(&level->it.name, &step->name);

    case AGG_STEP_INDEX:
        return level->index++ == level->wanted;

    default:
        return 1;
    }
}


static int
agg_content_is_failure(const agg_str_t *value)
{
    agg_iter_t  it;

    switch (agg_json_kind(value)) {

    case AGG_NULL:
    case AGG_FALSE:
        return 0;

    case AGG_ARRAY:
        agg_iter_init(&it, value);
        return agg_iter_next(&it);

    default:
        return 1;
    }
}
