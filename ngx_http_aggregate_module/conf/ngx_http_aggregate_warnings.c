
/* see ngx_http_aggregate_warnings.h */

#include "ngx_http_aggregate_warnings.h"


#define ngx_http_aggregate_warn(cf, level, where, fmt, ...)                   \
    ngx_log_error(level, (cf)->log, 0, fmt " in %V:%ui", __VA_ARGS__,         \
                  &(where)->file, (where)->line)


/* at most this many warnings about URIs without a location */

#define NGX_HTTP_AGGREGATE_LOST_MAX  20


/* marks of a level */

#define NGX_HTTP_AGGREGATE_ASKS   1      /* a location asks for others */
#define NGX_HTTP_AGGREGATE_ASKED  2      /* "asked" says so */


typedef struct {
    ngx_http_aggregate_asked_t     asked;
    void                         **conf;       /* who asks */
    ngx_http_gw_level_t           *level;
    ngx_http_gw_level_t           *target;     /* NULL: is not known */
    ngx_uint_t                     tried;      /* in the search for rings */
    unsigned                       seen:1;
    unsigned                       on_way:1;
} ngx_http_aggregate_ask_t;


typedef struct {
    ngx_array_t                    asks;       /* ngx_http_aggregate_ask_t */
    ngx_uint_t                     lost;       /* without a location */
} ngx_http_aggregate_warnings_conf_t;


/* the result of the lookup of a location */

typedef enum {
    NGX_HTTP_AGGREGATE_FOUND = 0,
    NGX_HTTP_AGGREGATE_BY_REGEX,
    NGX_HTTP_AGGREGATE_BY_NONE,
    NGX_HTTP_AGGREGATE_REDIRECTED,
    NGX_HTTP_AGGREGATE_UNDECIDED
} ngx_http_aggregate_taken_e;


static ngx_int_t ngx_http_aggregate_warnings_record(ngx_conf_t *cf);
static ngx_int_t ngx_http_aggregate_warnings(ngx_conf_t *cf);
static void *ngx_http_aggregate_warnings_create_conf(ngx_conf_t *cf);
static void ngx_http_aggregate_warn_level(ngx_conf_t *cf,
    ngx_http_gw_level_t *level);
static void ngx_http_aggregate_warn_identity(ngx_conf_t *cf,
    ngx_array_t *levels, ngx_http_gw_level_t *level);
static ngx_uint_t ngx_http_aggregate_authenticates(
    ngx_http_gw_level_t *level);
static ngx_uint_t ngx_http_aggregate_is_unchecked(ngx_str_t *text);
static ngx_uint_t ngx_http_aggregate_is_made_of(ngx_str_t *text,
    ngx_uint_t remote_user);
static ngx_uint_t ngx_http_aggregate_is_ours(ngx_http_gw_written_t *written);
static void ngx_http_aggregate_warn_ask(ngx_conf_t *cf,
    ngx_http_aggregate_warnings_conf_t *wcf, ngx_array_t *levels,
    ngx_http_aggregate_ask_t *ask);
static void ngx_http_aggregate_warn_lost(ngx_conf_t *cf,
    ngx_http_aggregate_asked_t *asked, ngx_http_aggregate_taken_e rc,
    ngx_http_gw_level_t *taken);
static void ngx_http_aggregate_find_line(ngx_http_aggregate_asked_t *asked);
static ngx_http_aggregate_taken_e ngx_http_aggregate_taken(
    ngx_array_t *levels, ngx_http_gw_level_t *in,
    ngx_http_aggregate_asked_t *asked, ngx_http_gw_level_t **taken);
static ngx_http_aggregate_taken_e ngx_http_aggregate_taken_by_regex(
    ngx_array_t *levels, ngx_http_gw_level_t *in,
    ngx_http_aggregate_asked_t *asked, ngx_http_gw_level_t **taken);
#if (NGX_PCRE)
static ngx_uint_t ngx_http_aggregate_may_match(ngx_str_t *regex,
    ngx_str_t *path);
#endif
static ngx_http_aggregate_taken_e ngx_http_aggregate_taken_static(
    ngx_array_t *levels, ngx_http_gw_level_t *in,
    ngx_http_aggregate_asked_t *asked, ngx_http_gw_level_t **taken);
static void ngx_http_aggregate_warn_target(ngx_conf_t *cf,
    ngx_http_aggregate_ask_t *ask);
static ngx_int_t ngx_http_aggregate_warn_rings(ngx_conf_t *cf,
    ngx_array_t *asks);
static ngx_http_aggregate_ask_t *ngx_http_aggregate_next_ask(
    ngx_http_aggregate_ask_t *of, ngx_http_aggregate_ask_t *ask,
    ngx_uint_t n);
static ngx_int_t ngx_http_aggregate_warn_ring(ngx_conf_t *cf,
    ngx_http_aggregate_ask_t **way, ngx_uint_t depth,
    ngx_http_aggregate_ask_t *first);


static ngx_http_module_t  ngx_http_aggregate_warnings_module_ctx = {
    ngx_http_aggregate_warnings_record,    /* preconfiguration */
    ngx_http_aggregate_warnings,           /* postconfiguration */

    ngx_http_aggregate_warnings_create_conf,
                                           /* create main configuration */
    NULL,                                  /* init main configuration */

    NULL,                                  /* create server configuration */
    NULL,                                  /* merge server configuration */

    NULL,                                  /* create location configuration */
    NULL                                   /* merge location configuration */
};


ngx_module_t  ngx_http_aggregate_warnings_module = {
    NGX_MODULE_V1,
    &ngx_http_aggregate_warnings_module_ctx,   /* module context */
    NULL,                                  /* module directives */
    NGX_HTTP_MODULE,                       /* module type */
    NULL,                                  /* init master */
    NULL,                                  /* init module */
    NULL,                                  /* init process */
    NULL,                                  /* init thread */
    NULL,                                  /* exit thread */
    NULL,                                  /* exit process */
    NULL,                                  /* exit master */
    NGX_MODULE_V1_PADDING
};


/* directives whose handlers change something */

static const char  *ngx_http_aggregate_changing[] = {
    "aggregate_cache_purge", "aggregate_split_status", NULL
};


static ngx_int_t
ngx_http_aggregate_warnings_record(ngx_conf_t *cf)
{
    return ngx_http_gw_record(cf);
}


static void *
ngx_http_aggregate_warnings_create_conf(ngx_conf_t *cf)
{
    ngx_http_aggregate_warnings_conf_t  *wcf;

    wcf = ngx_pcalloc(cf->pool, sizeof(ngx_http_aggregate_warnings_conf_t));
    if (wcf == NULL) {
        return NULL;
    }

    if (ngx_array_init(&wcf->asks, cf->temp_pool, 8,
                       sizeof(ngx_http_aggregate_ask_t))
        != NGX_OK)
    {
        return NULL;
    }

    return wcf;
}


ngx_int_t
ngx_http_aggregate_warn_asked(ngx_conf_t *cf,
    ngx_http_aggregate_asked_t *asked)
{
    ngx_http_conf_ctx_t                 *ctx;
    ngx_http_aggregate_ask_t            *ask;
    ngx_http_aggregate_warnings_conf_t  *wcf;

    wcf = ngx_http_conf_get_module_main_conf(cf,
                                          ngx_http_aggregate_warnings_module);

    ask = ngx_array_push(&wcf->asks);
    if (ask == NULL) {
        return NGX_ERROR;
    }

    ctx = cf->ctx;

    ngx_memzero(ask, sizeof(ngx_http_aggregate_ask_t));

    ask->asked = *asked;
    ask->conf = ctx->loc_conf;

    return NGX_OK;
}


static ngx_int_t
ngx_http_aggregate_warnings(ngx_conf_t *cf)
{
    ngx_uint_t                            i, k;
    ngx_array_t                          *levels;
    ngx_http_gw_level_t                 **level;
    ngx_http_aggregate_ask_t             *ask;
    ngx_http_aggregate_warnings_conf_t   *wcf;

    levels = ngx_http_gw_levels(cf);
    if (levels == NULL) {
        return NGX_ERROR;
    }

    level = levels->elts;

    for (i = 0; i < levels->nelts; i++) {
        ngx_http_aggregate_warn_level(cf, level[i]);
        ngx_http_aggregate_warn_identity(cf, levels, level[i]);
    }

    wcf = ngx_http_conf_get_module_main_conf(cf,
                                          ngx_http_aggregate_warnings_module);
    ask = wcf->asks.elts;

    for (i = 0, k = 0; i < wcf->asks.nelts; i++) {

        if (level[k]->conf != ask[i].conf) {
            for (k = 0; level[k]->conf != ask[i].conf; k++) {
                if (k + 1 == levels->nelts) {
                    return NGX_OK;
                }
            }
        }

        ask[i].level = level[k];
        level[k]->marks |= NGX_HTTP_AGGREGATE_ASKS;

        ngx_http_aggregate_warn_ask(cf, wcf, levels, &ask[i]);
    }

    if (wcf->lost > NGX_HTTP_AGGREGATE_LOST_MAX) {
        ngx_log_error(NGX_LOG_WARN, cf->log, 0,
                      "%ui more URIs have no location of their own",
                      wcf->lost - NGX_HTTP_AGGREGATE_LOST_MAX);
    }

    for (i = 0; i < wcf->asks.nelts; i++) {
        ngx_http_aggregate_warn_target(cf, &ask[i]);
    }

    return ngx_http_aggregate_warn_rings(cf, &wcf->asks);
}


/* warns about directives that conflict with a handler of ours */

static void
ngx_http_aggregate_warn_level(ngx_conf_t *cf, ngx_http_gw_level_t *level)
{
    const char             **name;
    ngx_uint_t               i;
    ngx_http_gw_written_t   *written, *answers, *returns;

    answers = ngx_http_gw_answers(level);

    if (answers == NULL) {
        return;
    }

    returns = ngx_http_gw_returns(level);

    if (returns && ngx_http_aggregate_is_ours(answers)) {
        ngx_http_aggregate_warn(cf, NGX_LOG_WARN, returns,
                                "\"%V\" in %V:%ui is never reached, \"return\" "
                                "answers before", &answers->name,
                                &answers->file, answers->line);
    }

    for (i = 0; i < level->nwritten; i++) {
        written = &level->written[i];

        if (written->handler && written != answers
            && (ngx_http_aggregate_is_ours(written)
                || ngx_http_aggregate_is_ours(answers)))
        {
            ngx_http_aggregate_warn(cf, NGX_LOG_WARN, written,
                                    "\"%V\" has no effect, \"%V\" in %V:%ui "
                                    "answers in its place", &written->name,
                                    &answers->name, &answers->file,
                                    answers->line);
        }
    }

    for (name = ngx_http_aggregate_changing; *name; name++) {

        written = ngx_http_gw_find(level, *name);

        if (written && !ngx_http_gw_is_restricted(level)) {
            ngx_http_aggregate_warn(cf, NGX_LOG_WARN, written,
                                    "\"%V\" without access rules, such as "
                                    "\"allow\" and \"deny\", is open to "
                                    "everybody",
                                    &written->name);
        }
    }
}


/* $remote_user is not checked where only the backend asks for a password */

static void
ngx_http_aggregate_warn_identity(ngx_conf_t *cf, ngx_array_t *levels,
    ngx_http_gw_level_t *level)
{
    ngx_uint_t               i;
    ngx_http_gw_level_t    **nested, *above;
    ngx_http_gw_written_t   *written;

    written = ngx_http_gw_find(level, "aggregate_cache_identity");

    if (written == NULL || !ngx_http_aggregate_is_unchecked(&written->value)
        || ngx_http_aggregate_is_client_word(&written->value))
    {
        return;
    }

    for (above = level; above; above = above->parent) {
        if (ngx_http_aggregate_authenticates(above)) {
            return;
        }
    }

    /* the locations below may do it, all of those that have a cache */

    nested = levels->elts;

    for (i = 0; i < levels->nelts; i++) {

        for (above = nested[i]->parent; above; above = above->parent) {

            if (above == level && ngx_http_aggregate_authenticates(nested[i]))
            {
                return;
            }
        }
    }

    ngx_http_aggregate_warn(cf, NGX_LOG_WARN, written,
                            "\"%V %V\" is a name that the client sends, and "
                            "no \"auth_basic\" or \"auth_request\" checks its "
                            "password", &written->name, &written->value);
}


static ngx_uint_t
ngx_http_aggregate_authenticates(ngx_http_gw_level_t *level)
{
    ngx_uint_t              i;
    ngx_http_gw_written_t  *written;

    for (i = 0; i < level->nwritten; i++) {
        written = &level->written[i];

        if (ngx_http_gw_is_access(written)
            && ngx_strcmp(written->name.data, "allow") != 0
            && ngx_strcmp(written->name.data, "deny") != 0)
        {
            return 1;
        }
    }

    return 0;
}


static ngx_uint_t
ngx_http_aggregate_is_ours(ngx_http_gw_written_t *written)
{
    return ngx_strncmp(written->name.data, "aggregate", 9) == 0;
}


static void
ngx_http_aggregate_warn_ask(ngx_conf_t *cf,
    ngx_http_aggregate_warnings_conf_t *wcf, ngx_array_t *levels,
    ngx_http_aggregate_ask_t *ask)
{
    ngx_http_gw_level_t         *server, *taken;
    ngx_http_aggregate_taken_e   rc;

    server = ask->level->server;

    /* the URI may be rewritten before the lookup of a location */

    if (ngx_http_gw_find(server, "rewrite") || ngx_http_gw_find(server, "if"))
    {
        return;
    }

    taken = NULL;

    rc = ngx_http_aggregate_taken(levels, server, &ask->asked, &taken);

    if (rc == NGX_HTTP_AGGREGATE_UNDECIDED) {
        return;
    }

    if (rc == NGX_HTTP_AGGREGATE_FOUND || rc == NGX_HTTP_AGGREGATE_BY_REGEX) {
        ask->target = taken;
    }

    if (rc != NGX_HTTP_AGGREGATE_FOUND
        && wcf->lost++ < NGX_HTTP_AGGREGATE_LOST_MAX)
    {
        ngx_http_aggregate_warn_lost(cf, &ask->asked, rc, taken);
    }
}


static void
ngx_http_aggregate_warn_lost(ngx_conf_t *cf,
    ngx_http_aggregate_asked_t *asked, ngx_http_aggregate_taken_e rc,
    ngx_http_gw_level_t *taken)
{
    const char  *more;

    ngx_http_aggregate_find_line(asked);

    more = asked->whole ? "" : "...";

    switch (rc) {

    case NGX_HTTP_AGGREGATE_REDIRECTED:
        ngx_http_aggregate_warn(cf, NGX_LOG_WARN, asked,
                                "URI \"%V\" of %s \"%V\" is redirected to "
                                "\"%V/\" by nginx, so it fails",
                                &asked->path, asked->kind, &asked->name,
                                &asked->path);
        break;

    case NGX_HTTP_AGGREGATE_BY_REGEX:

        if (taken) {
            ngx_http_aggregate_warn(cf, NGX_LOG_WARN, asked,
                                    "URI \"%V\" of %s \"%V\" is taken by the "
                                    "regular expression of location \"%V\" "
                                    "only", &asked->path, asked->kind,
                                    &asked->name, &taken->name);
            break;
        }

        ngx_http_aggregate_warn(cf, NGX_LOG_WARN, asked,
                                "URI \"%V%s\" of %s \"%V\" is taken by a "
                                "location with a regular expression, or by "
                                "none", &asked->path, more, asked->kind,
                                &asked->name);
        break;

    default:
        ngx_http_aggregate_warn(cf, NGX_LOG_WARN, asked,
                                "no location of the server takes URI "
                                "\"%V%s\" of %s \"%V\"", &asked->path, more,
                                asked->kind, &asked->name);
    }
}


static void
ngx_http_aggregate_find_line(ngx_http_aggregate_asked_t *asked)
{
    size_t  i;

    if (asked->line) {
        return;
    }

    asked->line = 1;

    for (i = 0; i < asked->text.len; i++) {
        if (asked->text.data[i] == '\n') {
            asked->line++;
        }
    }
}


/* the rules of ngx_http_core_find_location() */

static ngx_http_aggregate_taken_e
ngx_http_aggregate_taken(ngx_array_t *levels, ngx_http_gw_level_t *in,
    ngx_http_aggregate_asked_t *asked, ngx_http_gw_level_t **taken)
{
    ngx_http_gw_level_t         *found, *inner;
    ngx_http_aggregate_taken_e   rc, nested;

    rc = ngx_http_aggregate_taken_static(levels, in, asked, &found);

    *taken = found;

    if (rc == NGX_HTTP_AGGREGATE_UNDECIDED
        || rc == NGX_HTTP_AGGREGATE_REDIRECTED)
    {
        return rc;
    }

    if (rc == NGX_HTTP_AGGREGATE_FOUND) {

        if (found->exact) {
            return rc;
        }

        nested = ngx_http_aggregate_taken(levels, found, asked, &inner);

        if (nested == NGX_HTTP_AGGREGATE_UNDECIDED
            || nested == NGX_HTTP_AGGREGATE_REDIRECTED)
        {
            return nested;
        }

        if (nested != NGX_HTTP_AGGREGATE_BY_NONE) {

            if (inner == NULL) {
                return NGX_HTTP_AGGREGATE_UNDECIDED;
            }

            *taken = inner;
            return NGX_HTTP_AGGREGATE_FOUND;
        }

        if (found->noregex) {
            return rc;
        }
    }

    switch (ngx_http_aggregate_taken_by_regex(levels, in, asked, &inner)) {

    case NGX_HTTP_AGGREGATE_BY_REGEX:

        /* a prefix matches, and, by a variable, possibly an expression too */

        if (inner == NULL && rc == NGX_HTTP_AGGREGATE_FOUND) {
            return NGX_HTTP_AGGREGATE_UNDECIDED;
        }

        *taken = inner;

        return rc == NGX_HTTP_AGGREGATE_FOUND ? rc
                                              : NGX_HTTP_AGGREGATE_BY_REGEX;

    default:
        return rc;
    }
}


static ngx_http_aggregate_taken_e
ngx_http_aggregate_taken_by_regex(ngx_array_t *levels,
    ngx_http_gw_level_t *in, ngx_http_aggregate_asked_t *asked,
    ngx_http_gw_level_t **taken)
{
#if (NGX_PCRE)
    ngx_uint_t             i;
    ngx_http_gw_level_t  **level, *inner;

    level = levels->elts;

    for (i = 0; i < levels->nelts; i++) {

        if (level[i]->parent != in || level[i]->regex == NULL) {
            continue;
        }

        if (!asked->whole) {

            if (!ngx_http_aggregate_may_match(&level[i]->name, &asked->path)) {
                continue;
            }

            *taken = NULL;
            return NGX_HTTP_AGGREGATE_BY_REGEX;
        }

        if (ngx_regex_exec(level[i]->regex->regex, &asked->path, NULL, 0)
            < 0)
        {
            continue;
        }

        *taken = level[i];

        if (ngx_http_aggregate_taken(levels, level[i], asked, &inner)
            != NGX_HTTP_AGGREGATE_BY_NONE
            && inner)
        {
            *taken = inner;
        }

        return NGX_HTTP_AGGREGATE_BY_REGEX;
    }
#endif

    return NGX_HTTP_AGGREGATE_BY_NONE;
}


#if (NGX_PCRE)

/* compares the literal beginning of an expression such as "^/api/" */

static ngx_uint_t
ngx_http_aggregate_may_match(ngx_str_t *regex, ngx_str_t *path)
{
    u_char      ch;
    ngx_uint_t  i;

    if (regex->len == 0 || regex->data[0] != '^'
        || ngx_strlchr(regex->data, regex->data + regex->len, '|'))
    {
        return 1;
    }

    for (i = 1; i < regex->len && i <= path->len; i++) {
        ch = regex->data[i];

        if (ch != '/' && ch != '-' && ch != '_'
            && (ch < '0' || ch > '9')
            && ((ch | 0x20) < 'a' || (ch | 0x20) > 'z'))
        {
            return 1;
        }

        /* the character before one of these is optional */

        if (i + 1 < regex->len
            && ngx_strchr("?*{", regex->data[i + 1]) != NULL)
        {
            return 1;
        }

        if (ngx_tolower(ch) != ngx_tolower(path->data[i - 1])) {
            return 0;
        }
    }

    return 1;
}

#endif


/* the longest prefix; a variable may lead to a longer one */

static ngx_http_aggregate_taken_e
ngx_http_aggregate_taken_static(ngx_array_t *levels, ngx_http_gw_level_t *in,
    ngx_http_aggregate_asked_t *asked, ngx_http_gw_level_t **taken)
{
    size_t                       shared;
    ngx_str_t                   *name, *path;
    ngx_uint_t                   i, redirected;
    ngx_http_gw_level_t        **level;
    ngx_http_aggregate_taken_e   rc;

    *taken = NULL;
    redirected = 0;
    rc = NGX_HTTP_AGGREGATE_BY_NONE;

    path = &asked->path;
    level = levels->elts;

    for (i = 0; i < levels->nelts; i++) {

        if (level[i]->parent != in || level[i]->named) {
            continue;
        }

#if (NGX_PCRE)
        if (level[i]->regex) {
            continue;
        }
#endif

        name = &level[i]->name;
        shared = ngx_min(name->len, path->len);

        if (ngx_filename_cmp(name->data, path->data, shared) != 0) {
            continue;
        }

        if (!asked->whole && name->len >= path->len
            && (name->len > path->len || level[i]->exact))
        {
            return NGX_HTTP_AGGREGATE_UNDECIDED;
        }

        if (name->len == path->len + 1 && !level[i]->exact
            && name->data[path->len] == '/' && level[i]->clcf->auto_redirect)
        {
            redirected = 1;
        }

        if (name->len > path->len
            || (level[i]->exact && name->len != path->len)
            || (*taken && !level[i]->exact
                && ((*taken)->exact || (*taken)->name.len > name->len)))
        {
            continue;
        }

        *taken = level[i];
        rc = NGX_HTTP_AGGREGATE_FOUND;
    }

    if (redirected
        && (*taken == NULL || (*taken)->name.len < path->len))
    {
        return NGX_HTTP_AGGREGATE_REDIRECTED;
    }

    return rc;
}


/* warns once for each location */

static void
ngx_http_aggregate_warn_target(ngx_conf_t *cf, ngx_http_aggregate_ask_t *ask)
{
    ngx_uint_t                   i;
    ngx_http_gw_level_t         *level, *above, *target;
    ngx_http_gw_written_t       *written;
    ngx_http_aggregate_asked_t  *asked;

    asked = &ask->asked;
    target = ask->target;

    if (target == NULL || (target->marks & NGX_HTTP_AGGREGATE_ASKED)) {
        return;
    }

    target->marks |= NGX_HTTP_AGGREGATE_ASKED;

    ngx_http_aggregate_find_line(asked);

    for (level = target; level; level = level->parent) {

        /* these rules apply to the requesting location as well */

        for (above = ask->level; above && above != level;
             above = above->parent)
        {
            /* void */
        }

        if (above) {
            break;
        }

        for (i = 0; i < level->nwritten; i++) {
            written = &level->written[i];

            if (ngx_http_gw_is_access(written)
                || ngx_http_gw_is_addition(written)
                || (level == target && level->clcf->internal == 1
                    && ngx_strcmp(written->name.data, "limit_except") == 0))
            {
                ngx_http_aggregate_warn(cf, NGX_LOG_WARN, written,
                                        "\"%V\" does not apply to %s \"%V\" "
                                        "in %V:%ui, which is requested by a "
                                        "subrequest", &written->name,
                                        asked->kind, &asked->name,
                                        &asked->file, asked->line);
            }
        }
    }

    if (target != ask->level && target->clcf->internal != 1) {
        ngx_http_aggregate_warn(cf, NGX_LOG_NOTICE, asked,
                                "location \"%V\" of %s \"%V\" is not "
                                "\"internal\", clients may ask for it too",
                                &target->name, asked->kind,
                                &asked->name);
    }
}


/* warns about an aggregate that contains itself, directly or indirectly */

static ngx_int_t
ngx_http_aggregate_warn_rings(ngx_conf_t *cf, ngx_array_t *asks)
{
    ngx_uint_t                  i, n, depth;
    ngx_http_aggregate_ask_t   *ask, *next, **way;

    n = asks->nelts;
    ask = asks->elts;

    way = ngx_palloc(cf->temp_pool, (n + 1) * sizeof(void *));
    if (way == NULL) {
        return NGX_ERROR;
    }

    for (i = 0; i < n; i++) {

        if (ask[i].seen) {
            continue;
        }

        depth = 0;
        way[depth++] = &ask[i];
        ask[i].seen = 1;
        ask[i].on_way = 1;

        while (depth) {
            next = ngx_http_aggregate_next_ask(way[depth - 1], ask, n);

            if (next == NULL) {
                way[--depth]->on_way = 0;
                continue;
            }

            if (next->on_way) {
                if (ngx_http_aggregate_warn_ring(cf, way, depth, next)
                    != NGX_OK)
                {
                    return NGX_ERROR;
                }

                continue;
            }

            if (!next->seen) {
                next->seen = 1;
                next->on_way = 1;
                way[depth++] = next;
            }
        }
    }

    return NGX_OK;
}


/* the next request of the location that this request leads to */

static ngx_http_aggregate_ask_t *
ngx_http_aggregate_next_ask(ngx_http_aggregate_ask_t *of,
    ngx_http_aggregate_ask_t *ask, ngx_uint_t n)
{
    ngx_http_gw_level_t  *target;

    target = of->target;

    if (target == NULL || of->asked.conditional
        || !(target->marks & NGX_HTTP_AGGREGATE_ASKS)
        || ngx_http_gw_find(target, "return")
        || ngx_http_gw_find(target, "rewrite")
        || ngx_http_gw_find(target, "if"))
    {
        return NULL;
    }

    while (of->tried < n) {

        if (ask[of->tried++].level == target
            && !ask[of->tried - 1].asked.conditional)
        {
            return &ask[of->tried - 1];
        }
    }

    return NULL;
}


static ngx_int_t
ngx_http_aggregate_warn_ring(ngx_conf_t *cf, ngx_http_aggregate_ask_t **way,
    ngx_uint_t depth, ngx_http_aggregate_ask_t *first)
{
    size_t       len;
    u_char      *p;
    ngx_str_t    text;
    ngx_uint_t   i, k;

    for (i = 0; way[i] != first; i++) { /* void */ }

    len = 0;

    for (k = i; k < depth; k++) {
        len += way[k]->target->name.len + sizeof("\"\" -> ");
    }

    p = ngx_pnalloc(cf->temp_pool, len);
    if (p == NULL) {
        return NGX_ERROR;
    }

    text.data = p;

    for (k = i; k < depth; k++) {
        p = ngx_sprintf(p, "%s\"%V\"", k == i ? "" : " -> ",
                        &way[k]->target->name);
    }

    text.len = p - text.data;

    ngx_http_aggregate_warn(cf, NGX_LOG_WARN, &first->asked,
                            "location \"%V\" asks for itself by its %s "
                            "\"%V\": %V", &first->level->name,
                            first->asked.kind, &first->asked.name, &text);

    return NGX_OK;
}


ngx_uint_t
ngx_http_aggregate_is_client_word(ngx_str_t *text)
{
    return ngx_http_aggregate_is_made_of(text, 0);
}


/* the same for $remote_user, which is the client's word without a check */

static ngx_uint_t
ngx_http_aggregate_is_unchecked(ngx_str_t *text)
{
    return ngx_http_aggregate_is_made_of(text, 1);
}


static ngx_uint_t
ngx_http_aggregate_is_made_of(ngx_str_t *text, ngx_uint_t remote_user)
{
    size_t      left;
    u_char     *p, *last;
    ngx_uint_t  found;

    found = 0;
    last = text->data + text->len;

    for (p = text->data; p < last; p++) {

        if (*p != '$') {
            continue;
        }

        p++;

        if (p < last && *p == '{') {
            p++;
        }

        left = last - p;

        if (!(left >= 5 && ngx_strncasecmp(p, (u_char *) "http_", 5) == 0)
            && !(left >= 7 && ngx_strncasecmp(p, (u_char *) "cookie_", 7) == 0)
            && !(left >= 4 && ngx_strncasecmp(p, (u_char *) "arg_", 4) == 0)
            && !(remote_user && left >= 11
                 && ngx_strncasecmp(p, (u_char *) "remote_user", 11) == 0))
        {
            return 0;
        }

        found = 1;
    }

    return found;
}
