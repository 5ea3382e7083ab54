
/* the bytes that the grammar of JSON allows where a run has stopped */

#include "agg_shape.h"
#include "agg_run.h"


#define AGG_EXPECTED_DEPTH  "the depth exceeds 128"


static const char *agg_expected_scan(const agg_shape_run_t *run);
static const char *agg_expected_value(const agg_shape_run_t *run,
    const char *text);
static const char *agg_expected_after(uint64_t object);


const char *
agg_shape_run_expected(const agg_shape_run_t *run)
{
    switch (run->step) {

    case AGG_RUN_SCAN:
    case AGG_RUN_REST:
    case AGG_RUN_NAME_STRING:
        return agg_expected_scan(run);

    case AGG_RUN_VALUE:
    case AGG_RUN_ELEMENT:
        return agg_expected_value(run, "a value must begin");

    case AGG_RUN_FIRST_VALUE:
        return agg_expected_value(run, "a value or \"]\" must follow");

    case AGG_RUN_FIRST_NAME:
        return "the name of a member or \"}\" must follow";

    case AGG_RUN_NAME:
        return "the name of a member must begin";

    case AGG_RUN_COLON:
        return "\":\" must follow";

    case AGG_RUN_AFTER:
        return agg_expected_after(run->frame->close == '}');

    default: /* AGG_RUN_END */
        return "the document has ended";
    }
}


static const char *
agg_expected_scan(const agg_shape_run_t *run)
{
    const agg_scan_t  *s;

    s = &run->scan;

    switch (s->state == AGG_SCAN_ERROR ? s->failed : s->state) {

    case AGG_SCAN_VALUE:
        return agg_expected_value(run, "a value must begin");

    case AGG_SCAN_FIRST_VALUE:
        return agg_expected_value(run, "a value or \"]\" must follow");

    case AGG_SCAN_FIRST_NAME:
        return "the name of a member or \"}\" must follow";

    case AGG_SCAN_NAME:
        return "the name of a member must begin";

    case AGG_SCAN_COLON:
        return "\":\" must follow";

    case AGG_SCAN_STRING:
    case AGG_SCAN_NAME_STRING:
        return "a string goes on";

    case AGG_SCAN_ESCAPE:
    case AGG_SCAN_HEX:
        return "an escape in a string goes on";

    case AGG_SCAN_UTF8:
        return "a UTF-8 character goes on";

    case AGG_SCAN_LITERAL:
        return "true, false or null goes on";

    case AGG_SCAN_MINUS:
    case AGG_SCAN_DOT:
    case AGG_SCAN_E:
    case AGG_SCAN_E_SIGN:
        return "a digit must follow";

    default: /* behind a value, or in a number */
        return agg_expected_after(s->depth > s->base ? s->kinds[0] & 1
                                                 : run->frame->close == '}');
    }
}


/* a bracket begins a value, unless it is one too many */

static const char *
agg_expected_value(const agg_shape_run_t *run, const char *text)
{
    return (run->stopped && (run->stop == '[' || run->stop == '{'))
           ? AGG_EXPECTED_DEPTH : text;
}


static const char *
agg_expected_after(uint64_t object)
{
    return object ? "\",\" or \"}\" must follow" : "\",\" or \"]\" must follow";
}
