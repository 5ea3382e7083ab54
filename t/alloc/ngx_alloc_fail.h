
/*
 * Allocations that fail.  "./build.sh alloc" includes this before each
 * source of the modules, so that the ones made by them, and none of nginx's
 * own, fail in a worker: one of so many as a file says, which the test writes.
 * See t/alloc/alloc.t.
 */

#ifndef _NGX_ALLOC_FAIL_H_INCLUDED_
#define _NGX_ALLOC_FAIL_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include <sys/mman.h>


typedef struct {
    uint32_t  one_in;    /* 0: none fails */
    uint32_t  seed;
    uint32_t  count;     /* those that have failed */
} ngx_alloc_fail_t;


/* one of each is left of those in all objects */

__attribute__((weak)) ngx_alloc_fail_t *volatile  ngx_alloc_fail_control;
__attribute__((weak)) uint32_t                    ngx_alloc_fail_seed;
__attribute__((weak)) uint64_t                    ngx_alloc_fail_state;


/* nginx opens its modules in the master, before it clears the environment */

__attribute__((weak, constructor)) void
ngx_alloc_fail_open(void)
{
    int    fd;
    char  *name;
    void  *p;

    name = getenv("TEST_NGINX_ALLOC");

    if (name == NULL || ngx_alloc_fail_control) {
        return;
    }

    fd = open(name, O_RDWR);

    if (fd == -1) {
        return;
    }

    p = mmap(NULL, sizeof(ngx_alloc_fail_t), PROT_READ|PROT_WRITE, MAP_SHARED,
             fd, 0);

    (void) close(fd);

    if (p != MAP_FAILED) {
        ngx_alloc_fail_control = p;
    }
}


__attribute__((weak)) ngx_uint_t
ngx_alloc_fails(void)
{
    ngx_alloc_fail_t *control = ngx_alloc_fail_control;

    uint32_t  one_in;

    if (control == NULL || ngx_process != NGX_PROCESS_WORKER) {
        return 0;
    }

    one_in = control->one_in;

    if (one_in == 0) {
        return 0;
    }

    if (ngx_alloc_fail_seed != control->seed) {
        ngx_alloc_fail_seed = control->seed;
        ngx_alloc_fail_state = ((uint64_t) control->seed << 1) + 1;
    }

    ngx_alloc_fail_state = ngx_alloc_fail_state * 6364136223846793005u
                           + 1442695040888963407u;

    if ((uint32_t) (ngx_alloc_fail_state >> 33) % one_in != 0) {
        return 0;
    }

    control->count++;

    return 1;
}


#define ngx_alloc(size, log)                                                  \
    (ngx_alloc_fails() ? NULL : (ngx_alloc)(size, log))
#define ngx_calloc(size, log)                                                 \
    (ngx_alloc_fails() ? NULL : (ngx_calloc)(size, log))
#define ngx_create_pool(size, log)                                            \
    (ngx_alloc_fails() ? NULL : (ngx_create_pool)(size, log))
#define ngx_palloc(pool, size)                                                \
    (ngx_alloc_fails() ? NULL : (ngx_palloc)(pool, size))
#define ngx_pnalloc(pool, size)                                               \
    (ngx_alloc_fails() ? NULL : (ngx_pnalloc)(pool, size))
#define ngx_pcalloc(pool, size)                                               \
    (ngx_alloc_fails() ? NULL : (ngx_pcalloc)(pool, size))
#define ngx_pool_cleanup_add(pool, size)                                      \
    (ngx_alloc_fails() ? NULL : (ngx_pool_cleanup_add)(pool, size))
#define ngx_http_cleanup_add(r, size)                                         \
    (ngx_alloc_fails() ? NULL : (ngx_http_cleanup_add)(r, size))
#define ngx_array_create(pool, n, size)                                       \
    (ngx_alloc_fails() ? NULL : (ngx_array_create)(pool, n, size))
#define ngx_array_push(array)                                                 \
    (ngx_alloc_fails() ? NULL : (ngx_array_push)(array))
#define ngx_array_push_n(array, n)                                            \
    (ngx_alloc_fails() ? NULL : (ngx_array_push_n)(array, n))
#define ngx_array_init(array, pool, n, size)                                  \
    (ngx_alloc_fails() ? NGX_ERROR : (ngx_array_init)(array, pool, n, size))
#define ngx_list_init(list, pool, n, size)                                    \
    (ngx_alloc_fails() ? NGX_ERROR : (ngx_list_init)(list, pool, n, size))
#define ngx_list_push(list)                                                   \
    (ngx_alloc_fails() ? NULL : (ngx_list_push)(list))
#define ngx_create_temp_buf(pool, size)                                       \
    (ngx_alloc_fails() ? NULL : (ngx_create_temp_buf)(pool, size))
#define ngx_alloc_chain_link(pool)                                            \
    (ngx_alloc_fails() ? NULL : (ngx_alloc_chain_link)(pool))
#define ngx_chain_add_copy(pool, chain, in)                                   \
    (ngx_alloc_fails() ? NGX_ERROR : (ngx_chain_add_copy)(pool, chain, in))
#define ngx_slab_alloc_locked(pool, size)                                     \
    (ngx_alloc_fails() ? NULL : (ngx_slab_alloc_locked)(pool, size))

/* memory is allocated only for callers that bring none */

#define ngx_http_post_request(r, pr)                                          \
    ((pr) == NULL && ngx_alloc_fails()                                        \
     ? NGX_ERROR : (ngx_http_post_request)(r, pr))

#define ngx_http_subrequest(r, uri, args, psr, ps, flags)                     \
    (ngx_alloc_fails() ? NGX_ERROR                                            \
     : (ngx_http_subrequest)(r, uri, args, psr, ps, flags))
#define ngx_get_connection(s, log)                                            \
    (ngx_alloc_fails() ? NULL : (ngx_get_connection)(s, log))


#endif /* _NGX_ALLOC_FAIL_H_INCLUDED_ */
