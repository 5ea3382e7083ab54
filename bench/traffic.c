
/*
 * Clients of an open system: each request is sent when the plan says, whether
 * or not earlier ones have been answered, so that a late answer delays no other
 * request, and hides no other's delay.
 *
 *     traffic DEADLINE-MS <PLAN
 *
 * Each line of the plan is a screen: the microsecond at which it is wanted, and
 * the URIs that it needs, all asked at once:
 *
 *     AT PORT URI [PORT URI]...
 *
 * For each screen there is a line: AT, the microseconds until its last response
 * had come whole, the worst status, and how often "service": stands in the
 * bodies of its 2xx responses.  A status of 0 is a connection that failed, 1 a
 * screen that was not there at its deadline.  Connections are kept; where a
 * kept one is closed before a byte of the response, another is asked, once.
 */


#define _GNU_SOURCE

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>


#define MAX_CALLS   8
#define MAX_EVENTS  256
#define MAX_PORTS   64
#define IN_SIZE     65536

#define FAILED      0
#define LATE        1


typedef struct call_s    call_t;
typedef struct screen_s  screen_t;


/* a connection, and the request that it carries */

struct call_s {
    int          fd;
    int          port;
    int          reused;
    size_t       n;
    const char  *uri;
    screen_t    *screen;
    call_t      *next;
    char         in[IN_SIZE + 1];
};


struct screen_s {
    long         at;
    long         took;
    int          ncalls;
    int          left;
    int          status;
    int          services;
    int          port[MAX_CALLS];
    char        *uri[MAX_CALLS];
    call_t      *call[MAX_CALLS];
};


static int        ep;
static int        nports;
static int        ports[MAX_PORTS];
static long       begun;
static call_t    *idle[MAX_PORTS];
static size_t     nscreens;
static screen_t  *screens;


static void
fail(const char *what)
{
    perror(what);
    exit(1);
}


/* microseconds since the start */

static long
now(void)
{
    struct timespec  ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);

    return (long) ts.tv_sec * 1000000 + ts.tv_nsec / 1000 - begun;
}


static int
port_index(int port)
{
    int  i;

    for (i = 0; i < nports; i++) {
        if (ports[i] == port) {
            return i;
        }
    }

    if (nports == MAX_PORTS) {
        errno = E2BIG;
        fail("ports");
    }

    ports[nports] = port;

    return nports++;
}


static void
read_plan(void)
{
    char      *line, *word;
    size_t     size, room;
    ssize_t    len;
    screen_t  *s;

    line = NULL;
    size = 0;
    room = 0;

    while ((len = getline(&line, &size, stdin)) > 0) {

        if (nscreens == room) {
            room = room ? 2 * room : 1024;
            screens = realloc(screens, room * sizeof(screen_t));
            if (screens == NULL) {
                fail("realloc()");
            }
        }

        s = &screens[nscreens++];
        memset(s, 0, sizeof(screen_t));

        word = strtok(line, " \n");
        s->at = word ? strtol(word, NULL, 10) : 0;

        while (s->ncalls < MAX_CALLS && (word = strtok(NULL, " \n")) != NULL) {
            s->port[s->ncalls] = port_index((int) strtol(word, NULL, 10));

            word = strtok(NULL, " \n");
            s->uri[s->ncalls++] = word ? strdup(word) : NULL;

            if (word == NULL) {
                errno = EINVAL;
                fail("plan");
            }
        }

        s->left = s->ncalls;
        s->status = 200;
    }

    free(line);
}


static void
settle(screen_t *s, int i, int status)
{
    s->call[i] = NULL;
    s->left--;

    if (s->status / 100 == 2) {
        s->status = status;
    }

    if (s->left == 0) {
        s->took = now() - s->at;
    }
}


static int
index_of(const call_t *c)
{
    int  i;

    for (i = 0; c->screen->call[i] != c; i++) { /* void */ }

    return i;
}


static void
drop(call_t *c)
{
    (void) close(c->fd);
    free(c);
}


static call_t *
call_open(int port)
{
    int                  one;
    call_t              *c;
    struct epoll_event   ev;
    struct sockaddr_in   sin;

    one = 1;

    c = malloc(sizeof(call_t));
    if (c == NULL) {
        fail("malloc()");
    }

    c->port = port;
    c->reused = 0;

    c->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    if (c->fd == -1) {
        fail("socket()");
    }

    (void) setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));

    memset(&sin, 0, sizeof(sin));
    sin.sin_family = AF_INET;
    sin.sin_port = htons((unsigned short) ports[port]);
    sin.sin_addr.s_addr = htonl(INADDR_LOOPBACK);

    /* on loopback the connection is there at once, or refused */

    if (connect(c->fd, (struct sockaddr *) &sin, sizeof(sin)) != 0
        && errno != EINPROGRESS)
    {
        drop(c);
        return NULL;
    }

    ev.events = EPOLLIN;
    ev.data.ptr = c;

    if (epoll_ctl(ep, EPOLL_CTL_ADD, c->fd, &ev) != 0) {
        fail("epoll_ctl()");
    }

    return c;
}


static void
ask(screen_t *s, int i, int fresh)
{
    int      n;
    char     out[1024];
    call_t  *c;

    c = fresh ? NULL : idle[s->port[i]];

    if (c != NULL) {
        idle[s->port[i]] = c->next;
        c->reused = 1;

    } else {
        c = call_open(s->port[i]);

        if (c == NULL) {
            settle(s, i, FAILED);
            return;
        }
    }

    c->n = 0;
    c->uri = s->uri[i];
    c->screen = s;
    s->call[i] = c;

    n = snprintf(out, sizeof(out), "GET %s HTTP/1.1\r\n"
                 "Host: 127.0.0.1:%d\r\nAccept: */*\r\n\r\n", c->uri,
                 ports[c->port]);

    if (send(c->fd, out, (size_t) n, MSG_NOSIGNAL) == n) {
        return;
    }

    drop(c);

    if (!fresh) {
        ask(s, i, 1);
        return;
    }

    settle(s, i, FAILED);
}


/* the end of the response in c->in, 0 if there is more of it to come */

static size_t
response_end(call_t *c, int closed)
{
    char    *body, *length;
    size_t   head, size;

    c->in[c->n] = '\0';

    body = memmem(c->in, c->n, "\r\n\r\n", 4);
    if (body == NULL) {
        return 0;
    }

    head = (size_t) (body + 4 - c->in);
    *body = '\0';
    length = strcasestr(c->in, "\r\ncontent-length: ");
    size = length ? (size_t) strtol(length + 18, NULL, 10) : 0;

    if (length == NULL
        && strcasestr(c->in, "\r\ntransfer-encoding: chunked") == NULL)
    {
        *body = '\r';
        return closed ? c->n : 0;
    }

    *body = '\r';

    if (length != NULL) {
        return c->n >= head + size ? head + size : 0;
    }

    /* the text of no document here holds what ends the last chunk */

    body = memmem(c->in + head - 2, c->n - head + 2, "\r\n0\r\n\r\n", 7);

    return body ? (size_t) (body + 7 - c->in) : 0;
}


static void
received(call_t *c, int closed)
{
    int        status, services;
    char      *p;
    size_t     end;
    screen_t  *s;

    s = c->screen;
    end = response_end(c, closed);

    if (end == 0) {
        return;
    }

    status = (c->n > 12 && memcmp(c->in, "HTTP/1.1 ", 9) == 0)
             ? atoi(c->in + 9) : FAILED;
    services = 0;

    if (status / 100 == 2) {
        for (p = strstr(c->in, "\"service\":"); p != NULL;
             p = strstr(p + 1, "\"service\":"))
        {
            services++;
        }
    }

    s->services += services;
    settle(s, index_of(c), status);
    c->screen = NULL;

    if (!closed && status != FAILED
        && strcasestr(c->in, "\r\nconnection: close") == NULL)
    {
        c->next = idle[c->port];
        idle[c->port] = c;
        return;
    }

    drop(c);
}


static void
forget(call_t *c)
{
    call_t  **link;

    for (link = &idle[c->port]; *link != NULL; link = &(*link)->next) {
        if (*link == c) {
            *link = c->next;
            break;
        }
    }

    drop(c);
}


static void
handle(call_t *c)
{
    int        i, again;
    ssize_t    n;
    screen_t  *s;

    if (c->screen == NULL) {
        forget(c);
        return;
    }

    n = recv(c->fd, c->in + c->n, IN_SIZE - c->n, 0);

    if (n < 0 && errno == EAGAIN) {
        return;
    }

    if (n > 0) {
        c->n += (size_t) n;
        received(c, 0);
        return;
    }

    s = c->screen;
    i = index_of(c);

    if (n == 0 && c->n) {
        received(c, 1);

        if (s->call[i] != c) {
            return;
        }
    }

    again = c->reused && c->n == 0;
    drop(c);

    if (again) {
        ask(s, i, 1);
        return;
    }

    settle(s, i, FAILED);
}


static void
give_up(screen_t *s)
{
    int  i;

    for (i = 0; i < s->ncalls; i++) {
        if (s->call[i] != NULL) {
            drop(s->call[i]);
            settle(s, i, LATE);
        }
    }
}


int
main(int argc, char **argv)
{
    int                  i, n;
    long                 deadline, time, wait;
    size_t               next, oldest;
    screen_t            *s;
    struct epoll_event   events[MAX_EVENTS];

    if (argc != 2) {
        (void) fprintf(stderr, "usage: traffic DEADLINE-MS <PLAN\n");
        return 2;
    }

    deadline = strtol(argv[1], NULL, 10) * 1000;
    ep = epoll_create1(0);

    read_plan();

    begun = now();
    next = 0;
    oldest = 0;

    while (oldest < nscreens) {
        time = now();

        for ( /* void */ ; next < nscreens && screens[next].at <= time; next++)
        {
            for (i = 0; i < screens[next].ncalls; i++) {
                ask(&screens[next], i, 0);
            }
        }

        for ( /* void */ ; oldest < next; oldest++) {
            s = &screens[oldest];

            if (s->left && s->at + deadline > time) {
                break;
            }

            /* events of its connections are of an earlier turn */

            give_up(s);
        }

        wait = (next < nscreens) ? screens[next].at - time : 1000000;

        if (oldest < next && screens[oldest].at + deadline - time < wait) {
            wait = screens[oldest].at + deadline - time;
        }

        n = epoll_wait(ep, events, MAX_EVENTS,
                       wait > 0 ? (int) (wait / 1000) : 0);

        for (i = 0; i < n; i++) {
            handle(events[i].data.ptr);
        }
    }

    for (next = 0; next < nscreens; next++) {
        s = &screens[next];
        (void) printf("%ld %ld %d %d\n", s->at, s->took, s->status,
                      s->services);
    }

    return 0;
}
