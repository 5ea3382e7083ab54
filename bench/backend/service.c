
/*
 * A service behind the gateway: JSON of 0.5 to 2 KB, by the URI. The time that
 * an answer takes is drawn from a log-normal distribution with a median of
 * 15 ms and a long tail (p95 66 ms, p99 122 ms, p99.9 242 ms).
 *
 *     service NAME PORT
 *
 * /calls says how many requests it has had.  /mode/MODE changes what it does
 * from then on:
 *
 *     well      answers as above
 *     slow      takes five seconds
 *     reset     resets the connection, in turn before the answer and within it
 *     rubbish   sends, in turn, half of the JSON as a complete response, and
 *               bytes that are no HTTP
 */


#define _GNU_SOURCE

#include <arpa/inet.h>
#include <errno.h>
#include <math.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>


#define MAX_EVENTS  256
#define MAX_FDS     20000
#define IN_SIZE     4096
#define OUT_SIZE    4096

#define MEDIAN      15000.0
#define SIGMA       0.9
#define LONGEST     2000000.0
#define SLOW        5000000.0


typedef enum {
    MODE_WELL = 0,
    MODE_SLOW,
    MODE_RESET,
    MODE_RUBBISH
} mode_e;


typedef struct {
    int          fd;
    int          waits;       /* in the heap */
    int          reset;       /* when the answer has been sent */
    size_t       n;
    size_t       left;
    long         due;
    const char  *next;
    char         in[IN_SIZE];
    char         out[OUT_SIZE];
} conn_t;


static int          ep, listener;
static int          nheap;
static mode_e       mode;
static conn_t      *heap[MAX_FDS];
static conn_t      *conns[MAX_FDS];
static unsigned     calls, troubles;
static const char  *service;

static const char  *modes[] = { "well", "slow", "reset", "rubbish" };


static void
fail(const char *what)
{
    perror(what);
    exit(1);
}


/* microseconds */

static long
now(void)
{
    struct timespec  ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);

    return (long) ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}


static double
uniform(void)
{
    return ((double) random() + 1) / ((double) RAND_MAX + 2);
}


static long
latency(void)
{
    double  normal, us;

    if (mode == MODE_SLOW) {
        return (long) SLOW;
    }

    normal = sqrt(-2 * log(uniform())) * cos(2 * M_PI * uniform());
    us = MEDIAN * exp(SIGMA * normal);

    return (long) (us < LONGEST ? us : LONGEST);
}


/* connections whose answer is not due yet are in a heap, the next one first */

static void
heap_push(conn_t *c)
{
    int  i;

    c->waits = 1;

    for (i = nheap++; i > 0 && heap[(i - 1) / 2]->due > c->due;
         i = (i - 1) / 2)
    {
        heap[i] = heap[(i - 1) / 2];
    }

    heap[i] = c;
}


static conn_t *
heap_pop(void)
{
    int      i, child;
    conn_t  *c, *last;

    c = heap[0];
    last = heap[--nheap];

    for (i = 0; (child = 2 * i + 1) < nheap; i = child) {

        if (child + 1 < nheap && heap[child + 1]->due < heap[child]->due) {
            child++;
        }

        if (heap[child]->due >= last->due) {
            break;
        }

        heap[i] = heap[child];
    }

    heap[i] = last;
    c->waits = 0;

    return c;
}


static void
drop(conn_t *c, int reset)
{
    struct linger  linger;

    if (reset) {
        linger.l_onoff = 1;
        linger.l_linger = 0;
        (void) setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &linger,
                          sizeof(linger));
    }

    (void) close(c->fd);
    conns[c->fd] = NULL;
    c->fd = -1;

    /* one that waits is freed when it leaves the heap */

    if (!c->waits) {
        free(c);
    }
}


static void
watch(int fd, int op, unsigned events)
{
    struct epoll_event  ev;

    ev.events = events;
    ev.data.fd = fd;

    if (epoll_ctl(ep, op, fd, &ev) != 0) {
        fail("epoll_ctl()");
    }
}


static void
respond(conn_t *c, const char *status, const char *body, size_t len)
{
    int  n;

    n = snprintf(c->out, OUT_SIZE, "HTTP/1.1 %s\r\n"
                 "Content-Type: application/json\r\n"
                 "Content-Length: %zu\r\n\r\n", status, len);

    memcpy(c->out + n, body, len);

    c->next = c->out;
    c->left = (size_t) n + len;
}


/* the document of a URI is always the same */

static size_t
document(const char *uri, size_t len, char *body, size_t size)
{
    int       i, n, items;
    size_t    k;
    unsigned  hash;

    hash = 5381;

    for (k = 0; k < len; k++) {
        hash = hash * 33 + (unsigned char) uri[k];
    }

    n = snprintf(body, size, "{\"service\":\"%s\",\"uri\":\"%.*s\","
                 "\"version\":%u,\"items\":[", service, (int) len, uri, hash);

    items = 4 + (int) (hash % 12);

    for (i = 0; i < items; i++) {
        n += snprintf(body + n, size - (size_t) n,
                      "%s{\"id\":%d,\"name\":\"Item %d of many\",\"price\":%d."
                      "%02d,\"currency\":\"EUR\",\"available\":%s}",
                      i ? "," : "", 1000 + i, i, 10 + i, i * 7 % 100,
                      i % 3 ? "true" : "false");
    }

    n += snprintf(body + n, size - (size_t) n, "]}");

    return (size_t) n;
}


/* returns 0 if the request was for the service itself */

static int
control(conn_t *c, const char *uri, size_t len)
{
    char      body[32];
    size_t    n;
    unsigned  i;

    if (len == 6 && memcmp(uri, "/calls", 6) == 0) {
        n = (size_t) snprintf(body, sizeof(body), "%u", calls);
        respond(c, "200 OK", body, n);
        return 0;
    }

    if (len <= 6 || memcmp(uri, "/mode/", 6) != 0) {
        return 1;
    }

    for (i = 0; i < sizeof(modes) / sizeof(modes[0]); i++) {
        if (len - 6 == strlen(modes[i])
            && memcmp(uri + 6, modes[i], len - 6) == 0)
        {
            mode = (mode_e) i;
            respond(c, "200 OK", "{}", 2);
            return 0;
        }
    }

    respond(c, "404 Not Found", "{}", 2);

    return 0;
}


static void
answer(conn_t *c, const char *uri, size_t len)
{
    char    body[OUT_SIZE - 512];
    size_t  n;

    n = document(uri, len < 256 ? len : 256, body, sizeof(body));

    switch (mode) {

    case MODE_RESET:
        respond(c, "200 OK", body, n);
        c->left = (troubles++ % 2) ? c->left / 2 : 0;
        c->reset = 1;
        break;

    case MODE_RUBBISH:

        if (troubles++ % 2) {
            respond(c, "200 OK", body + n / 2, n / 2);

        } else {
            c->next = c->out;
            c->left = 64;
            memset(c->out, 0x80 | (int) (troubles % 100), c->left);
            c->reset = 1;
        }

        break;

    case MODE_WELL:
    case MODE_SLOW:
        respond(c, "200 OK", body, n);
        break;
    }
}


/* returns 0 when the connection is gone */

static int
send_out(conn_t *c)
{
    ssize_t  n;

    while (c->left) {
        n = send(c->fd, c->next, c->left, MSG_NOSIGNAL);

        if (n < 0) {

            if (errno == EAGAIN) {
                watch(c->fd, EPOLL_CTL_MOD, EPOLLIN | EPOLLOUT);
                return 1;
            }

            drop(c, 0);
            return 0;
        }

        c->next += n;
        c->left -= (size_t) n;
    }

    if (c->reset) {
        drop(c, 1);
        return 0;
    }

    return 1;
}


static void
serve(conn_t *c)
{
    char    *end, *uri, *uri_end;
    size_t   used, len;

    while (c->left == 0 && !c->waits && c->n) {

        end = memmem(c->in, c->n, "\r\n\r\n", 4);
        uri = memchr(c->in, ' ', c->n);
        uri_end = uri ? memchr(uri + 1, ' ',
                               c->n - (size_t) (uri + 1 - c->in)) : NULL;

        if (end == NULL || uri_end == NULL || uri_end > end) {

            if (end != NULL || c->n == IN_SIZE) {
                drop(c, 0);
            }

            return;
        }

        uri++;
        len = (size_t) (uri_end - uri);
        used = (size_t) (end + 4 - c->in);

        if (control(c, uri, len)) {
            calls++;
            answer(c, uri, len);

            c->due = now() + latency();
            heap_push(c);
        }

        c->n -= used;
        memmove(c->in, c->in + used, c->n);

        if (!c->waits && send_out(c) == 0) {
            return;
        }
    }
}


/* sends what is due; returns the milliseconds until the next is, or -1 */

static int
expire(void)
{
    long     time;
    conn_t  *c;

    time = now();

    while (nheap && heap[0]->due <= time) {
        c = heap_pop();

        if (c->fd == -1) {
            free(c);

        } else if (send_out(c)) {
            serve(c);
        }
    }

    return nheap ? (int) ((heap[0]->due - time) / 1000) : -1;
}


static void
open_port(const char *port)
{
    int                 one;
    struct sockaddr_in  sin;

    one = 1;

    memset(&sin, 0, sizeof(sin));
    sin.sin_family = AF_INET;
    sin.sin_port = htons((unsigned short) strtol(port, NULL, 10));
    sin.sin_addr.s_addr = htonl(INADDR_LOOPBACK);

    listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);

    if (listener == -1
        || setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one))
           != 0
        || bind(listener, (struct sockaddr *) &sin, sizeof(sin)) != 0
        || listen(listener, 4096) != 0)
    {
        fail(port);
    }

    watch(listener, EPOLL_CTL_ADD, EPOLLIN);
}


static void
accept_all(void)
{
    int      s, one;
    conn_t  *c;

    one = 1;

    for ( ;; ) {
        s = accept4(listener, NULL, NULL, SOCK_NONBLOCK);

        if (s == -1) {
            return;
        }

        c = (s < MAX_FDS) ? calloc(1, sizeof(conn_t)) : NULL;

        if (c == NULL) {
            (void) close(s);
            continue;
        }

        (void) setsockopt(s, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));

        c->fd = s;
        conns[s] = c;

        watch(s, EPOLL_CTL_ADD, EPOLLIN);
    }
}


static void
handle(conn_t *c, unsigned events)
{
    ssize_t  n;

    if ((events & EPOLLOUT) && !c->waits) {

        if (send_out(c) == 0 || c->left) {
            return;
        }

        watch(c->fd, EPOLL_CTL_MOD, EPOLLIN);
        serve(c);
        return;
    }

    n = recv(c->fd, c->in + c->n, IN_SIZE - c->n, 0);

    if (n > 0) {
        c->n += (size_t) n;
        serve(c);
        return;
    }

    if (n == 0 || errno != EAGAIN) {
        drop(c, 0);
    }
}


int
main(int argc, char **argv)
{
    int                 i, n, fd;
    struct epoll_event  events[MAX_EVENTS];

    if (argc != 3) {
        (void) fprintf(stderr, "usage: service NAME PORT\n");
        return 2;
    }

    service = argv[1];
    ep = epoll_create1(0);
    srandom((unsigned) strtol(argv[2], NULL, 10));

    open_port(argv[2]);

    for ( ;; ) {
        n = epoll_wait(ep, events, MAX_EVENTS, expire());

        for (i = 0; i < n; i++) {
            fd = events[i].data.fd;

            if (fd == listener) {
                accept_all();

            } else if (conns[fd] != NULL) {
                handle(conns[fd], events[i].events);
            }
        }
    }
}
