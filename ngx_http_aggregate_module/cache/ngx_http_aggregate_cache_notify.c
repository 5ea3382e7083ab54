
/*
 * Notifications between workers, by an eventfd for each worker.  The master
 * creates the descriptors, once, so that old and new workers can notify each
 * other during a reload.
 */


#include "ngx_http_aggregate_cache.h"

#if (NGX_LINUX)
#include <sys/eventfd.h>
#endif


static void ngx_http_aggregate_cache_notify_handler(ngx_event_t *ev);


static int                ngx_http_aggregate_cache_fds
                                         [NGX_HTTP_AGGREGATE_CACHE_WORKERS];
static ngx_uint_t         ngx_http_aggregate_cache_nfds;
static ngx_event_t        ngx_http_aggregate_cache_event;
static ngx_connection_t  *ngx_http_aggregate_cache_connection;

static ngx_http_aggregate_cache_notify_pt  ngx_http_aggregate_cache_notified;


ngx_int_t
ngx_http_aggregate_cache_notify_init_module(ngx_cycle_t *cycle)
{
#if (NGX_LINUX)

    int               fd;
    ngx_uint_t        n;
    ngx_core_conf_t  *ccf;

    ccf = (ngx_core_conf_t *) ngx_get_conf(cycle->conf_ctx, ngx_core_module);

    n = ngx_min((ngx_uint_t) ngx_max(ccf->worker_processes, 1),
                NGX_HTTP_AGGREGATE_CACHE_WORKERS);

    while (ngx_http_aggregate_cache_nfds < n) {

        fd = eventfd(0, EFD_NONBLOCK|EFD_CLOEXEC);

        if (fd == -1) {
            ngx_log_error(NGX_LOG_CRIT, cycle->log, ngx_errno,
                          "eventfd() failed");
            break;
        }

        ngx_http_aggregate_cache_fds[ngx_http_aggregate_cache_nfds++] = fd;
    }

#endif

    return NGX_OK;
}


ngx_int_t
ngx_http_aggregate_cache_notify_init_process(ngx_cycle_t *cycle,
    ngx_http_aggregate_cache_notify_pt handler)
{
    int                fd;
    ngx_uint_t         i;
    ngx_event_t       *rev;
    ngx_connection_t  *c;

    ngx_http_aggregate_cache_notified = handler;

    ngx_http_aggregate_cache_event.handler =
                                        ngx_http_aggregate_cache_notify_handler;
    ngx_http_aggregate_cache_event.log = cycle->log;

    if (ngx_process != NGX_PROCESS_WORKER
        && ngx_process != NGX_PROCESS_SINGLE)
    {
        return NGX_OK;
    }

    i = (ngx_process == NGX_PROCESS_SINGLE) ? 0 : ngx_worker;

    if (i >= ngx_http_aggregate_cache_nfds) {
        return NGX_OK;
    }

    /* the connection closes its descriptor, the next worker needs ours */

    fd = dup(ngx_http_aggregate_cache_fds[i]);

    if (fd == -1) {
        ngx_log_error(NGX_LOG_ALERT, cycle->log, ngx_errno, "dup() failed");
        return NGX_OK;
    }

    c = ngx_get_connection(fd, cycle->log);
    if (c == NULL) {
        (void) close(fd);
        return NGX_OK;
    }

    rev = c->read;
    rev->log = cycle->log;
    rev->handler = ngx_http_aggregate_cache_notify_handler;

    /* the check for leaked sockets on exit skips channels */
    rev->channel = 1;
    c->write->channel = 1;

    if (ngx_add_event(rev, NGX_READ_EVENT,
                      (ngx_event_flags & NGX_USE_CLEAR_EVENT)
                      ? NGX_CLEAR_EVENT : 0)
        != NGX_OK)
    {
        ngx_close_connection(c);
        return NGX_OK;
    }

    ngx_http_aggregate_cache_connection = c;

    return NGX_OK;
}


void
ngx_http_aggregate_cache_notify_exit_process(ngx_cycle_t *cycle)
{
    if (ngx_http_aggregate_cache_connection) {
        ngx_close_connection(ngx_http_aggregate_cache_connection);
        ngx_http_aggregate_cache_connection = NULL;
    }
}


/* calls the handler of each worker whose bit is set */

void
ngx_http_aggregate_cache_notify(uint64_t workers)
{
    uint64_t    one;
    ngx_uint_t  i;

    one = 1;

    for (i = 0; i < ngx_http_aggregate_cache_nfds; i++) {

        if (!(workers & ((uint64_t) 1 << i))) {
            continue;
        }

        if (write(ngx_http_aggregate_cache_fds[i], &one, sizeof(one)) == -1
            && ngx_errno != NGX_EAGAIN)
        {
            ngx_log_error(NGX_LOG_ALERT, ngx_cycle->log, ngx_errno,
                          "write() to an eventfd failed");
        }
    }
}


/* calls the handler of this worker, after the current event */

void
ngx_http_aggregate_cache_notify_self(void)
{
    ngx_post_event((&ngx_http_aggregate_cache_event), &ngx_posted_events);
}


static void
ngx_http_aggregate_cache_notify_handler(ngx_event_t *ev)
{
    uint64_t  value;

    if (ev != &ngx_http_aggregate_cache_event) {

        /*
         * An old and a new worker share the counter during a reload, so its
         * value is of no use.
         */

        (void) !read(ngx_http_aggregate_cache_connection->fd, &value,
                     sizeof(value));
    }

    ngx_http_aggregate_cache_notified();
}
