
/*
 * The state file of a zone: JSON, which is written to a temporary file, synced
 * and renamed.  It holds the changes at run time, with a digest of the
 * configuration of each split, so that a changed configuration takes
 * precedence.
 */

#include "ngx_http_aggregate_split.h"

#include <cjson/cJSON.h>
#include <grp.h>


#define NGX_HTTP_AGGREGATE_SPLIT_FILE    (1024 * 1024)
#define NGX_HTTP_AGGREGATE_SPLIT_GROUPS  64


static ngx_int_t ngx_http_aggregate_split_writable(ngx_cycle_t *cycle,
    u_char *dir);
static char *ngx_http_aggregate_split_read(
    ngx_http_aggregate_split_zone_t *zone, ngx_log_t *log);
static ngx_int_t ngx_http_aggregate_split_apply(
    ngx_http_aggregate_split_conf_t *split, cJSON *item, ngx_log_t *log);
static ngx_int_t ngx_http_aggregate_split_apply_version(
    ngx_http_aggregate_split_conf_t *split, agg_split_version_t *versions,
    cJSON *item);
static ngx_int_t ngx_http_aggregate_split_number(cJSON *item,
    const char *name, double max, uint64_t *value);
static ngx_int_t ngx_http_aggregate_split_state_number(cJSON *item,
    const char *name, uint32_t *state);
static uint32_t ngx_http_aggregate_split_why(cJSON *item);
static void ngx_http_aggregate_split_write(gw_out_t *out,
    ngx_http_aggregate_split_conf_t *split);
static ngx_int_t ngx_http_aggregate_split_replace(
    ngx_http_aggregate_split_zone_t *zone, ngx_chain_t *cl, ngx_log_t *log);


/* only now the user of the workers is known */

ngx_int_t
ngx_http_aggregate_split_init_module(ngx_cycle_t *cycle)
{
    u_char                                 dir[NGX_MAX_PATH + 1], *last;
    ngx_uint_t                             i;
    ngx_http_aggregate_split_zone_t      **zonep;
    ngx_http_aggregate_split_main_conf_t  *smcf;

    smcf = ngx_http_cycle_get_module_main_conf(cycle,
                                              ngx_http_aggregate_split_module);
    if (smcf == NULL) {
        return NGX_OK;
    }

    zonep = smcf->zones.elts;

    for (i = 0; i < smcf->zones.nelts; i++) {

        if (zonep[i]->file.len == 0 || zonep[i]->file.len > NGX_MAX_PATH) {
            continue;
        }

        /* the path is a full one, and "/" may be all of the directory */

        last = ngx_cpymem(dir, zonep[i]->file.data, zonep[i]->file.len);

        while (last > dir + 1 && *--last != '/') { /* void */ }

        *last = '\0';

        if (ngx_http_aggregate_split_writable(cycle, dir) != NGX_OK) {
            ngx_log_error(NGX_LOG_WARN, cycle->log, ngx_errno,
                          "directory of \"state=%V\" in "
                          "\"aggregate_split_zone\" cannot be written by the "
                          "user of the workers, changes of splits are lost on "
                          "a restart", &zonep[i]->file);
        }
    }

    return NGX_OK;
}


/* the master may be root, and its workers another user; sets ngx_errno */

static ngx_int_t
ngx_http_aggregate_split_writable(ngx_cycle_t *cycle, u_char *dir)
{
    int               i, n;
    gid_t             groups[NGX_HTTP_AGGREGATE_SPLIT_GROUPS];
    mode_t            need;
    ngx_file_info_t   info;
    ngx_core_conf_t  *ccf;

    ccf = (ngx_core_conf_t *) ngx_get_conf(cycle->conf_ctx, ngx_core_module);

    if (geteuid() != 0 || ccf->user == 0) {
        return access((char *) dir, W_OK|X_OK) == 0 ? NGX_OK : NGX_ERROR;
    }

    if (ngx_file_info(dir, &info) == NGX_FILE_ERROR) {
        return NGX_ERROR;
    }

    need = S_IWOTH|S_IXOTH;

    if (info.st_uid == ccf->user) {
        need = S_IWUSR|S_IXUSR;

    } else if (info.st_gid == ccf->group) {
        need = S_IWGRP|S_IXGRP;

    } else {
        n = NGX_HTTP_AGGREGATE_SPLIT_GROUPS;

        if (getgrouplist(ccf->username, ccf->group, groups, &n) == -1) {
            return NGX_OK;
        }

        for (i = 0; i < n; i++) {
            if (info.st_gid == groups[i]) {
                need = S_IWGRP|S_IXGRP;
            }
        }
    }

    if ((info.st_mode & need) != need) {
        ngx_set_errno(NGX_EACCES);
        return NGX_ERROR;
    }

    return NGX_OK;
}


/* called for an empty zone, which no other process uses yet */

void
ngx_http_aggregate_split_load(ngx_http_aggregate_split_zone_t *zone,
    ngx_log_t *log)
{
    char                              *text, *name;
    cJSON                             *root, *list, *item;
    ngx_uint_t                         i, bad;
    ngx_http_aggregate_split_conf_t  **splits;

    text = ngx_http_aggregate_split_read(zone, log);
    if (text == NULL) {
        return;
    }

    root = cJSON_Parse(text);
    ngx_free(text);

    list = cJSON_GetObjectItemCaseSensitive(root, "splits");
    bad = !cJSON_IsArray(list);

    splits = zone->splits.elts;

    cJSON_ArrayForEach(item, list) {

        name = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(item,
                                                                    "name"));
        if (name == NULL) {
            bad = 1;
            continue;
        }

        for (i = 0; i < zone->splits.nelts; i++) {

            if (splits[i]->name.len == ngx_strlen(name)
                && ngx_strncmp(splits[i]->name.data, name,
                               splits[i]->name.len) == 0)
            {
                bad |= (ngx_http_aggregate_split_apply(splits[i], item, log)
                        != NGX_OK);
            }
        }
    }

    cJSON_Delete(root);

    if (bad) {
        ngx_log_error(NGX_LOG_ERR, log, 0,
                      "state file \"%V\" of split zone \"%V\" is invalid, "
                      "shares are those of the configuration",
                      &zone->file, &zone->name);
    }
}


/* NULL: the file does not exist, or cannot be read */

static char *
ngx_http_aggregate_split_read(ngx_http_aggregate_split_zone_t *zone,
    ngx_log_t *log)
{
    char      *text;
    size_t     size;
    ssize_t    n;
    ngx_fd_t   fd;

    fd = ngx_open_file(zone->file.data, NGX_FILE_RDONLY|NGX_FILE_NONBLOCK,
                       NGX_FILE_OPEN, 0);

    if (fd == NGX_INVALID_FILE) {

        if (ngx_errno != NGX_ENOENT) {
            ngx_log_error(NGX_LOG_ERR, log, ngx_errno,
                          "state file \"%V\" cannot be opened, shares are "
                          "those of the configuration", &zone->file);
        }

        return NULL;
    }

    text = ngx_alloc(NGX_HTTP_AGGREGATE_SPLIT_FILE + 1, log);
    size = 0;
    n = 0;

    while (text && size < NGX_HTTP_AGGREGATE_SPLIT_FILE) {

        n = read(fd, text + size, NGX_HTTP_AGGREGATE_SPLIT_FILE - size);

        if (n <= 0) {
            break;
        }

        size += (size_t) n;
    }

    if (n == -1) {
        ngx_log_error(NGX_LOG_ERR, log, ngx_errno,
                      "state file \"%V\" cannot be read, shares are those of "
                      "the configuration", &zone->file);
        ngx_free(text);
        text = NULL;
    }

    if (text) {
        text[size] = '\0';
    }

    (void) ngx_close_file(fd);

    return text;
}


static ngx_int_t
ngx_http_aggregate_split_apply(ngx_http_aggregate_split_conf_t *split,
    cJSON *item, ngx_log_t *log)
{
    char                 *digest;
    cJSON                *versions, *version;
    u_char                expected[17];
    uint64_t              sum;
    ngx_uint_t            i;
    agg_split_version_t   new[AGG_SPLIT_VERSIONS];

    digest = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(item,
                                                                   "text"));
    versions = cJSON_GetObjectItemCaseSensitive(item, "versions");

    if (digest == NULL || !cJSON_IsArray(versions)) {
        return NGX_ERROR;
    }

    ngx_sprintf(expected, "%016xL%Z", split->text);

    if (ngx_strcmp(digest, expected) != 0) {
        ngx_log_error(NGX_LOG_NOTICE, log, 0,
                      "split \"$%V\" has changed, its shares are those of the "
                      "configuration", &split->name);
        return NGX_OK;
    }

    ngx_memcpy(new, split->state->versions,
               split->nversions * sizeof(agg_split_version_t));

    cJSON_ArrayForEach(version, versions) {
        if (ngx_http_aggregate_split_apply_version(split, new, version)
            != NGX_OK)
        {
            return NGX_ERROR;
        }
    }

    sum = 0;

    for (i = 1; i < split->nversions; i++) {
        sum += new[i].percent;
    }

    if (sum > AGG_SPLIT_FULL) {
        return NGX_ERROR;
    }

    ngx_memcpy(split->state->versions, new,
               split->nversions * sizeof(agg_split_version_t));

    return NGX_OK;
}


static ngx_int_t
ngx_http_aggregate_split_apply_version(ngx_http_aggregate_split_conf_t *split,
    agg_split_version_t *versions, cJSON *item)
{
    char                 *name;
    time_t                now;
    uint64_t              percent, last, step, since;
    ngx_uint_t            i;
    agg_split_version_t  *v;

    name = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(item,
                                                                 "name"));

    for (i = 1; name && i < split->nversions; i++) {
        if (split->names[i].len == ngx_strlen(name)
            && ngx_strncmp(split->names[i].data, name, split->names[i].len)
               == 0)
        {
            break;
        }
    }

    if (name == NULL || i == split->nversions) {
        return NGX_ERROR;
    }

    v = &versions[i];

    if (ngx_http_aggregate_split_number(item, "share", AGG_SPLIT_FULL,
                                        &percent)
        != NGX_OK
        || ngx_http_aggregate_split_number(item, "last_share",
                                           AGG_SPLIT_FULL, &last)
           != NGX_OK
        || ngx_http_aggregate_split_number(item, "step",
                                           AGG_SPLIT_STEPS - 1, &step)
           != NGX_OK
        || ngx_http_aggregate_split_number(item, "since", 1e12, &since)
           != NGX_OK
        || ngx_http_aggregate_split_state_number(item, "state", &v->state)
           != NGX_OK
        || ngx_http_aggregate_split_state_number(item, "last_state",
                                                 &v->last_state)
           != NGX_OK
        || (step && step >= split->plans[i].nsteps))
    {
        return NGX_ERROR;
    }

    now = ngx_time();

    v->why = ngx_http_aggregate_split_why(item);
    v->percent = (uint32_t) percent;
    v->last_percent = (uint32_t) last;
    v->step = (uint32_t) step;
    v->since = ngx_current_msec;

    if ((time_t) since < now) {
        v->since -= (uint64_t) (now - (time_t) since) * 1000;
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_aggregate_split_number(cJSON *item, const char *name, double max,
    uint64_t *value)
{
    cJSON  *number;

    number = cJSON_GetObjectItemCaseSensitive(item, name);

    if (!cJSON_IsNumber(number) || !(number->valuedouble >= 0)
        || number->valuedouble > max)
    {
        return NGX_ERROR;
    }

    *value = (uint64_t) number->valuedouble;

    return NGX_OK;
}


static ngx_int_t
ngx_http_aggregate_split_state_number(cJSON *item, const char *name,
    uint32_t *state)
{
    char      *text;
    uint32_t   i;

    text = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(item, name));

    for (i = 0; text && i < AGG_SPLIT_STATES; i++) {
        if (ngx_strcmp(text, agg_split_state_name(i)) == 0) {
            *state = i;
            return NGX_OK;
        }
    }

    return NGX_ERROR;
}


static uint32_t
ngx_http_aggregate_split_why(cJSON *item)
{
    char      *text;
    uint32_t   i;

    text = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(item,
                                                                 "reason"));

    for (i = 0; text && i < AGG_SPLIT_WHYS; i++) {
        if (ngx_strcmp(text, agg_split_why_text(i)) == 0) {
            return i;
        }
    }

    return AGG_SPLIT_WHY_CONFIG;
}


/*
 * changes that another worker makes meanwhile are saved too, by either worker
 */

ngx_int_t
ngx_http_aggregate_split_save(ngx_http_aggregate_split_zone_t *zone,
    ngx_log_t *log)
{
    uint64_t                           before, after;
    ngx_int_t                          rc;
    ngx_pool_t                        *pool;
    ngx_uint_t                         i;
    ngx_http_aggregate_route_out_t     out;
    ngx_http_aggregate_split_conf_t  **splits;

    if (zone->file.len == 0) {
        return NGX_OK;
    }

    splits = zone->splits.elts;

    do {
        before = 0;
        after = 0;

        pool = ngx_create_pool(NGX_DEFAULT_POOL_SIZE, log);
        if (pool == NULL) {
            return NGX_ERROR;
        }

        ngx_http_aggregate_route_out(&out, pool);
        gw_out_text(&out.out, "{\"splits\":[");

        for (i = 0; i < zone->splits.nelts; i++) {
            before += splits[i]->state->changes;
            gw_out_text(&out.out, i ? ",\n" : "\n");
            ngx_http_aggregate_split_write(&out.out, splits[i]);
        }

        gw_out_text(&out.out, "\n]}\n");

        rc = NGX_ERROR;

        if (!out.out.failed) {
            out.last->buf->last = out.out.last;
            rc = ngx_http_aggregate_split_replace(zone, out.first, log);
        }

        ngx_destroy_pool(pool);

        for (i = 0; i < zone->splits.nelts; i++) {
            after += splits[i]->state->changes;
        }

    } while (rc == NGX_OK && before != after);

    return rc;
}


static void
ngx_http_aggregate_split_write(gw_out_t *out,
    ngx_http_aggregate_split_conf_t *split)
{
    time_t                since;
    u_char                digest[17];
    unsigned              i;
    agg_split_version_t   v[AGG_SPLIT_VERSIONS];

    ngx_shmtx_lock(&split->zone->shpool->mutex);

    ngx_memcpy(v, ngx_http_aggregate_split_state(split)->versions,
               split->nversions * sizeof(agg_split_version_t));

    ngx_shmtx_unlock(&split->zone->shpool->mutex);

    ngx_sprintf(digest, "%016xL%Z", split->text);

    gw_out_text(out, "{\"name\":\"");
    gw_out_json(out, split->name.data, split->name.len);
    gw_out_text(out, "\",\"text\":\"");
    gw_out_text(out, (char *) digest);
    gw_out_text(out, "\",\"versions\":[");

    for (i = 1; i < split->nversions; i++) {

        since = ngx_time()
                - (time_t) ((int64_t) (ngx_current_msec - v[i].since) / 1000);

        gw_out_text(out, i > 1 ? ",\n  {\"name\":\"" : "\n  {\"name\":\"");
        gw_out_json(out, split->names[i].data, split->names[i].len);
        gw_out_text(out, "\",\"share\":");
        gw_out_uint(out, v[i].percent);
        gw_out_text(out, ",\"state\":\"");
        gw_out_text(out, agg_split_state_name(v[i].state));
        gw_out_text(out, "\",\"step\":");
        gw_out_uint(out, v[i].step);
        gw_out_text(out, ",\"since\":");
        gw_out_uint(out, (uint64_t) ngx_max(since, 0));
        gw_out_text(out, ",\"last_share\":");
        gw_out_uint(out, v[i].last_percent);
        gw_out_text(out, ",\"last_state\":\"");
        gw_out_text(out, agg_split_state_name(v[i].last_state));
        gw_out_text(out, "\",\"reason\":\"");
        gw_out_text(out, agg_split_why_text(v[i].why));
        gw_out_text(out, "\"}");
    }

    gw_out_text(out, "]}");
}


static ngx_int_t
ngx_http_aggregate_split_replace(ngx_http_aggregate_split_zone_t *zone,
    ngx_chain_t *cl, ngx_log_t *log)
{
    size_t      size;
    u_char      name[NGX_MAX_PATH + 1], *last;
    ssize_t     n;
    ngx_fd_t    fd;
    ngx_err_t   err;

    last = ngx_snprintf(name, NGX_MAX_PATH, "%V.%P%Z", &zone->file, ngx_pid);

    if (last == name + NGX_MAX_PATH) {
        err = ENAMETOOLONG;
        goto failed;
    }

    fd = ngx_open_file(name, NGX_FILE_WRONLY, NGX_FILE_TRUNCATE, 0600);

    if (fd == NGX_INVALID_FILE) {
        err = ngx_errno;
        goto failed;
    }

    for ( /* void */ ; cl; cl = cl->next) {

        size = cl->buf->last - cl->buf->pos;
        n = ngx_write_fd(fd, cl->buf->pos, size);

        if (n == -1 || (size_t) n != size) {
            err = (n == -1) ? ngx_errno : NGX_ENOSPC;
            goto unlink;
        }
    }

    if (fsync(fd) == -1) {
        err = ngx_errno;
        goto unlink;
    }

    if (ngx_close_file(fd) == NGX_FILE_ERROR) {
        err = ngx_errno;
        (void) ngx_delete_file(name);
        goto failed;
    }

    if (ngx_rename_file(name, zone->file.data) == NGX_FILE_ERROR) {
        err = ngx_errno;
        (void) ngx_delete_file(name);
        goto failed;
    }

    return NGX_OK;

unlink:

    (void) ngx_close_file(fd);
    (void) ngx_delete_file(name);

failed:

    ngx_log_error(NGX_LOG_ERR, log, err,
                  "state file \"%V\" of split zone \"%V\" cannot be written, "
                  "its changes are lost on a restart", &zone->file,
                  &zone->name);

    return NGX_ERROR;
}
