
/*
 * Statements: paths are parsed, texts are checked and copied, in the written
 * order.
 */


#include "agg_state.h"
#include "agg_scan.h"


static agg_rule_t *agg_rule_create(agg_shape_t *s, agg_rule_e type,
    const agg_str_t *path, unsigned flags, agg_error_t *err);
static void agg_rule_add(agg_shape_t *s, agg_rule_t *rule);
static agg_rc_e agg_rule_name(agg_shape_t *s, agg_rule_t *rule,
    const agg_str_t *name, agg_error_t *err);
static agg_rc_e agg_rule_check_name(agg_shape_t *s, const agg_rule_t *rule,
    agg_error_t *err);
static agg_rc_e agg_rule_text(agg_shape_t *s, agg_rule_t *rule,
    const agg_str_t *json, agg_error_t *err);
static agg_path_t *agg_path_each(agg_mem_t *mem, const agg_path_t *path,
    agg_error_t *err);
static int agg_path_same(const agg_path_t *p1, const agg_path_t *p2,
    unsigned n);
static agg_rc_e agg_shape_build(agg_shape_t *s, unsigned parts,
    agg_error_t *err);
static agg_shape_t *agg_shape_part(agg_shape_t *s, unsigned parts,
    agg_error_t *err);
static agg_rc_e agg_shape_error(agg_error_t *err, agg_rc_e rc,
    const char *text);


agg_shape_t *
agg_shape_create(agg_mem_t *mem)
{
    agg_shape_t  *s;

    s = mem->alloc(mem->ctx, sizeof(agg_shape_t));
    if (s == NULL) {
        return NULL;
    }

    memset(s, 0, sizeof(agg_shape_t));

    s->mem = *mem;
    s->last = &s->rules;

    return s;
}


agg_rc_e
agg_shape_target(agg_shape_t *s, const agg_str_t *path, agg_error_t *err)
{
    agg_path_t  *target;

    target = agg_path_parse(&s->mem, path,
                            AGG_PATH_NO_WILDCARD|AGG_PATH_ROOT_OK, err);
    if (target == NULL) {
        return AGG_INVALID;
    }

    s->target = target;

    return AGG_OK;
}


agg_rc_e
agg_shape_limit(agg_shape_t *s, const agg_str_t *path_or_null, size_t n,
    agg_error_t *err)
{
    agg_rule_t  *rule;

    rule = agg_rule_create(s, AGG_RULE_LIMIT, path_or_null, AGG_PATH_ROOT_OK,
                           err);
    if (rule == NULL) {
        return AGG_INVALID;
    }

    rule->n = n;

    agg_rule_add(s, rule);

    return AGG_OK;
}


agg_rc_e
agg_shape_limit_arg(agg_shape_t *s, const agg_str_t *path_or_null, size_t max,
    unsigned *slot, agg_error_t *err)
{
    agg_rule_t  *rule;

    rule = agg_rule_create(s, AGG_RULE_LIMIT, path_or_null, AGG_PATH_ROOT_OK,
                           err);
    if (rule == NULL) {
        return AGG_INVALID;
    }

    *slot = s->nlimits++;

    rule->n = max;
    rule->slot = (int) *slot;

    agg_rule_add(s, rule);

    return AGG_OK;
}


agg_rc_e
agg_shape_allow(agg_shape_t *s, const agg_str_t *path, agg_error_t *err)
{
    agg_rule_t  *rule;

    rule = agg_rule_create(s, AGG_RULE_ALLOW, path, AGG_PATH_ROOT_OK, err);
    if (rule == NULL) {
        return AGG_INVALID;
    }

    agg_rule_add(s, rule);

    return AGG_OK;
}


agg_rc_e
agg_shape_deny(agg_shape_t *s, const agg_str_t *path, agg_error_t *err)
{
    agg_rule_t  *rule;

    rule = agg_rule_create(s, AGG_RULE_DENY, path, 0, err);
    if (rule == NULL) {
        return AGG_INVALID;
    }

    agg_rule_add(s, rule);

    return AGG_OK;
}


agg_rc_e
agg_shape_rename(agg_shape_t *s, const agg_str_t *path, const agg_str_t *name,
    agg_error_t *err)
{
    agg_rc_e     rc;
    agg_rule_t  *rule;

    rule = agg_rule_create(s, AGG_RULE_RENAME, path, 0, err);
    if (rule == NULL) {
        return AGG_INVALID;
    }

    if (rule->path->steps[rule->path->nsteps - 1].type != AGG_STEP_KEY) {
        return agg_shape_error(err, AGG_INVALID,
                               "the last step must be a key");
    }

    rc = agg_rule_name(s, rule, name, err);
    if (rc != AGG_OK) {
        return rc;
    }

    rc = agg_rule_check_name(s, rule, err);
    if (rc != AGG_OK) {
        return rc;
    }

    agg_rule_add(s, rule);

    rule->priority = s->nrules;

    return AGG_OK;
}


agg_rc_e
agg_shape_into(agg_shape_t *s, const agg_str_t *array_path,
    const agg_str_t *name, unsigned *slot, agg_error_t *err)
{
    agg_rc_e     rc;
    agg_rule_t  *rule;

    rule = agg_rule_create(s, AGG_RULE_INTO, array_path,
                           AGG_PATH_NO_WILDCARD|AGG_PATH_ROOT_OK
                           |AGG_PATH_EMPTY_OK, err);
    if (rule == NULL) {
        return AGG_INVALID;
    }

    rule->path = agg_path_each(&s->mem, rule->path, err);
    if (rule->path == NULL) {
        return AGG_NOMEM;
    }

    rc = agg_rule_name(s, rule, name, err);
    if (rc != AGG_OK) {
        return rc;
    }

    rc = agg_rule_check_name(s, rule, err);
    if (rc != AGG_OK) {
        return rc;
    }

    *slot = s->ninto++;
    rule->slot = (int) *slot;

    agg_rule_add(s, rule);

    return AGG_OK;
}


/*
 * A "move" with wildcards is done within each value that the wildcards lead to,
 * by the remaining parts of the paths.
 */

static agg_rc_e
agg_move_share(agg_rule_t *rule, agg_error_t *err)
{
    unsigned     i, n;
    agg_path_t  *from, *to;

    from = rule->path;
    to = rule->to;

    for (i = 0, n = 0; i < from->nsteps; i++) {
        if (from->steps[i].type == AGG_STEP_ANY
            || from->steps[i].type == AGG_STEP_EACH)
        {
            n = i + 1;
        }
    }

    for (i = n; i < to->nsteps; i++) {
        if (to->steps[i].type == AGG_STEP_ANY
            || to->steps[i].type == AGG_STEP_EACH)
        {
            n = to->nsteps + 1;
        }
    }

    if (n > to->nsteps || n == from->nsteps + (n == 0)
        || !agg_path_same(from, to, n))
    {
        return agg_shape_error(err, AGG_INVALID,
                               "a wildcard is not allowed here, unless both "
                               "paths of \"move\" share it");
    }

    rule->shared = n;

    to->steps += n;
    to->nsteps -= n;

    return AGG_OK;
}


agg_rc_e
agg_shape_move(agg_shape_t *s, const agg_str_t *from, const agg_str_t *to,
    agg_error_t *err)
{
    agg_rc_e     rc;
    agg_rule_t  *rule, *other;

    rule = agg_rule_create(s, AGG_RULE_MOVE, from, 0, err);
    if (rule == NULL) {
        return AGG_INVALID;
    }

    rule->to = agg_path_parse(&s->mem, to, AGG_PATH_ROOT_OK, err);
    if (rule->to == NULL) {
        return AGG_INVALID;
    }

    rc = agg_move_share(rule, err);
    if (rc != AGG_OK) {
        return rc;
    }

    for (other = s->rules; other != NULL; other = other->next) {
        if (other->type == AGG_RULE_MOVE
            && other->path->nsteps == rule->path->nsteps
            && agg_path_same(other->path, rule->path, rule->path->nsteps))
        {
            return agg_shape_error(err, AGG_INVALID, "is moved twice");
        }
    }

    rule->slot = (int) s->nmoves++;

    agg_rule_add(s, rule);

    return AGG_OK;
}


agg_rc_e
agg_shape_set(agg_shape_t *s, const agg_str_t *path, const agg_str_t *json,
    agg_error_t *err)
{
    agg_rc_e     rc;
    agg_str_t    v;
    agg_rule_t  *rule;

    if (agg_json_validate(json->data, json->len, &err->offset) != AGG_OK) {
        err->text = "invalid JSON";
        return AGG_INVALID;
    }

    rule = agg_rule_create(s, AGG_RULE_SET, path, AGG_PATH_ROOT_OK, err);
    if (rule == NULL) {
        return AGG_INVALID;
    }

    v = *json;
    agg_json_trim(&v);

    rc = agg_rule_text(s, rule, &v, err);
    if (rc != AGG_OK) {
        return rc;
    }

    agg_rule_add(s, rule);

    return AGG_OK;
}


agg_rc_e
agg_shape_set_arg(agg_shape_t *s, const agg_str_t *path, unsigned *slot,
    agg_error_t *err)
{
    agg_rule_t  *rule;

    rule = agg_rule_create(s, AGG_RULE_SET, path, AGG_PATH_ROOT_OK, err);
    if (rule == NULL) {
        return AGG_INVALID;
    }

    *slot = s->nvalues++;
    rule->slot = (int) *slot;

    agg_rule_add(s, rule);

    return AGG_OK;
}


static agg_rule_t *
agg_rule_create(agg_shape_t *s, agg_rule_e type, const agg_str_t *path,
    unsigned flags, agg_error_t *err)
{
    agg_str_t    root;
    agg_rule_t  *rule;

    rule = s->mem.alloc(s->mem.ctx, sizeof(agg_rule_t));
    if (rule == NULL) {
        agg_shape_error(err, AGG_NOMEM, "no memory");
        return NULL;
    }

    memset(rule, 0, sizeof(agg_rule_t));

    rule->type = type;
    rule->slot = AGG_NO_SLOT;

    if (path == NULL) {
        root.len = 1;
        root.data = (u_char *) ".";
        path = &root;
    }

    rule->path = agg_path_parse(&s->mem, path, flags, err);

    return (rule->path == NULL) ? NULL : rule;
}


static void
agg_rule_add(agg_shape_t *s, agg_rule_t *rule)
{
    *s->last = rule;
    s->last = &rule->next;
    s->nrules++;
}


/* a name, or a JSON string with its quotes */

static agg_rc_e
agg_rule_name(agg_shape_t *s, agg_rule_t *rule, const agg_str_t *name,
    agg_error_t *err)
{
    u_char     *p;
    agg_str_t   raw;
    agg_buf_t   b;

    p = s->mem.alloc(s->mem.ctx, name->len + 1);
    if (p == NULL) {
        return agg_shape_error(err, AGG_NOMEM, "no memory");
    }

    rule->name.data = p;

    if (name->len >= 2 && name->data[0] == '"'
        && agg_json_validate(name->data, name->len, NULL) == AGG_OK
        && name->data[name->len - 1] == '"')
    {
        raw.data = name->data + 1;
        raw.len = name->len - 2;
        rule->name.len = agg_json_unescape_any(p, &raw);

    } else {
        if (name->len == 0) {
            return agg_shape_error(err, AGG_INVALID, "empty name");
        }

        memcpy(p, name->data, name->len);
        rule->name.len = name->len;
    }

    if (rule->name.len > AGG_PATH_MAX_NAME) {
        return agg_shape_error(err, AGG_INVALID, "too long a name");
    }

    if (!agg_utf8_valid(p, rule->name.len)) {
        return agg_shape_error(err, AGG_INVALID, "the name is not UTF-8");
    }

    agg_buf_init(&b, &s->mem, (size_t) 1 << 20);

    if (agg_json_escape(&b, p, rule->name.len) != AGG_OK
        || agg_buf_append(&b, ":", 1) != AGG_OK)
    {
        return agg_shape_error(err, AGG_NOMEM, "no memory");
    }

    rule->text.data = b.start;
    rule->text.len = agg_buf_used(&b);

    return AGG_OK;
}


/*
 * Refuses two statements that give the same name in one object, as far as this
 * can be known.
 */

static agg_rc_e
agg_rule_check_name(agg_shape_t *s, const agg_rule_t *rule, agg_error_t *err)
{
    unsigned           parent;
    const agg_rule_t  *other;

    for (other = s->rules; other != NULL; other = other->next) {

        if (other->type != rule->type
            || other->path->nsteps != rule->path->nsteps)
        {
            continue;
        }

        if (rule->type == AGG_RULE_RENAME
            && agg_path_same(other->path, rule->path, rule->path->nsteps))
        {
            return agg_shape_error(err, AGG_INVALID, "is renamed twice");
        }

        parent = rule->path->nsteps - (rule->type == AGG_RULE_RENAME);

        /* different objects may have either of the two members */

        if (rule->type == AGG_RULE_RENAME && rule->path->wildcard) {
            continue;
        }

        if (agg_path_same(other->path, rule->path, parent)
            && other->name.len == rule->name.len
            && memcmp(other->name.data, rule->name.data, rule->name.len) == 0)
        {
            return agg_shape_error(err, AGG_INVALID,
                                   "another member gets this name");
        }
    }

    return AGG_OK;
}


static agg_rc_e
agg_rule_text(agg_shape_t *s, agg_rule_t *rule, const agg_str_t *json,
    agg_error_t *err)
{
    rule->text.data = s->mem.alloc(s->mem.ctx, json->len);
    if (rule->text.data == NULL) {
        return agg_shape_error(err, AGG_NOMEM, "no memory");
    }

    memcpy(rule->text.data, json->data, json->len);
    rule->text.len = json->len;

    return AGG_OK;
}


/* turns the path of an array into that of its elements */

static agg_path_t *
agg_path_each(agg_mem_t *mem, const agg_path_t *path, agg_error_t *err)
{
    agg_path_t  *each;

    each = mem->alloc(mem->ctx, sizeof(agg_path_t)
                                + (path->nsteps + 1) * sizeof(agg_step_t));
    if (each == NULL) {
        agg_shape_error(err, AGG_NOMEM, "no memory");
        return NULL;
    }

    *each = *path;

    each->steps = (agg_step_t *) (each + 1);

    if (path->nsteps != 0) {
        memcpy(each->steps, path->steps, path->nsteps * sizeof(agg_step_t));
    }

    memset(&each->steps[path->nsteps], 0, sizeof(agg_step_t));

    each->steps[path->nsteps].type = AGG_STEP_EACH;
    each->nsteps++;

    return each;
}


static int
agg_path_same(const agg_path_t *p1, const agg_path_t *p2, unsigned n)
{
    unsigned           i;
    const agg_step_t  *s1, *s2;

    for (i = 0; i < n; i++) {
        s1 = &p1->steps[i];
        s2 = &p2->steps[i];

        if (s1->type != s2->type || s1->index != s2->index
            || s1->name.len != s2->name.len
            || (s1->name.len != 0
                && memcmp(s1->name.data, s2->name.data, s1->name.len) != 0))
        {
            return 0;
        }
    }

    return 1;
}


agg_rc_e
agg_shape_compile(agg_shape_t *s, agg_error_t *err)
{
    s->patterns = agg_patterns_create(&s->mem);
    if (s->patterns == NULL) {
        return agg_shape_error(err, AGG_NOMEM, "no memory");
    }

    return agg_shape_build(s, AGG_SHAPE_HEAD|AGG_SHAPE_TAIL, err);
}


static agg_rc_e
agg_shape_build(agg_shape_t *s, unsigned parts, agg_error_t *err)
{
    agg_rc_e  rc;

    rc = agg_states_build(s, parts, err);

    if (rc == AGG_OK && agg_replay_init(s) != AGG_OK) {
        rc = agg_shape_error(err, AGG_NOMEM, "no memory");
    }

    return rc;
}


agg_rc_e
agg_shape_compile_split(agg_shape_t *s, agg_error_t *err)
{
    agg_rc_e  rc;

    rc = agg_shape_compile(s, err);
    if (rc != AGG_OK) {
        return rc;
    }

    s->head = agg_shape_part(s, AGG_SHAPE_HEAD, err);
    if (s->head == NULL) {
        return AGG_NOMEM;
    }

    s->tail = agg_shape_part(s, AGG_SHAPE_TAIL, err);

    return (s->tail == NULL) ? AGG_NOMEM : AGG_OK;
}


static agg_shape_t *
agg_shape_part(agg_shape_t *s, unsigned parts, agg_error_t *err)
{
    agg_shape_t  *part;

    part = s->mem.alloc(s->mem.ctx, sizeof(agg_shape_t));
    if (part == NULL) {
        agg_shape_error(err, AGG_NOMEM, "no memory");
        return NULL;
    }

    *part = *s;

    return (agg_shape_build(part, parts, err) == AGG_OK) ? part : NULL;
}


agg_shape_t *
agg_shape_head(agg_shape_t *s)
{
    return s->head;
}


agg_shape_t *
agg_shape_tail(agg_shape_t *s)
{
    return s->tail;
}


int
agg_shape_is_identity(const agg_shape_t *s)
{
    return s->start == &agg_state_copy && s->late == NULL && !s->place;
}


static agg_rc_e
agg_shape_error(agg_error_t *err, agg_rc_e rc, const char *text)
{
    err->offset = 0;
    err->text = text;

    return rc;
}
