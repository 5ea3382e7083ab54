
/*
 * The cheapest possible JSON backend: canned answers from memory, keep-alive,
 * one thread, epoll.  It shares a core with the load generator: what it does
 * not spend keeps the gateway the bottleneck.
 *
 *     canned DIR PORT...
 *
 * serves DIR/NAME.json as /NAME.json, /NAME/... on 127.0.0.1:PORT.  PORT+MS
 * answers MS milliseconds late, PORT+MS~LATE one answer of fifty LATE, and
 * /calls says how many requests such ports have had.  !PORT is a blackhole: its
 * accept queue is full and nobody accepts, so a connect there gets no answer.
 */


#define _GNU_SOURCE

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>


#define MAX_DOCS    128
#define MAX_EVENTS  256
#define MAX_FDS     20000
#define IN_SIZE     4096


typedef struct conn_s      conn_t;
typedef struct listener_s  listener_t;


typedef struct {
    char        *name;
    char        *data;
    size_t       len;
    size_t       name_len;
} doc_t;


struct conn_s {
    int          fd;
    int          close;
    char         in[IN_SIZE];
    size_t       n;
    size_t       left;
    long         due;
    conn_t      *next;
    const char  *out;
    listener_t  *listener;
};


/* all answers of a port are late by the same time: first in, first out */

struct listener_s {
    int          fd;
    int          delay;
    conn_t      *first;
    conn_t     **last;
    listener_t  *late;
    listener_t  *next;
};


static int          ep;
static int          ndocs;
static doc_t        docs[MAX_DOCS];
static conn_t      *conns[MAX_FDS];
static listener_t  *listeners;
static listener_t  *listening[MAX_FDS];

static unsigned     calls;
static char         calls_text[128];

static const char   not_found[] = "HTTP/1.1 404 Not Found\r\n"
                                  "Content-Type: application/json\r\n"
                                  "Content-Length: 2\r\n\r\n{}";


static void
fail(const char *what)
{
    perror(what);
    exit(1);
}


static long
now(void)
{
    struct timespec  ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);

    return (long) ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}


static void
load_doc(const char *dir, const char *file, size_t name_len)
{
    int     head;
    FILE   *f;
    char    path[4096], header[512], date[64];
    long    size;
    doc_t  *doc;
    time_t  t;

    (void) snprintf(path, sizeof(path), "%s/%s", dir, file);

    f = fopen(path, "r");
    if (f == NULL || fseek(f, 0, SEEK_END) != 0) {
        fail(path);
    }

    size = ftell(f);
    rewind(f);

    t = time(NULL);
    (void) strftime(date, sizeof(date), "%a, %d %b %Y %H:%M:%S GMT",
                    gmtime(&t));

    head = snprintf(header, sizeof(header),
                    "HTTP/1.1 200 OK\r\n"
                    "Server: canned\r\n"
                    "Date: %s\r\n"
                    "Content-Type: application/json\r\n"
                    "Content-Length: %ld\r\n"
                    "Last-Modified: Mon, 01 Sep 2025 00:00:00 GMT\r\n"
                    "Connection: keep-alive\r\n"
                    "Accept-Ranges: bytes\r\n\r\n", date, size);

    doc = &docs[ndocs++];

    doc->name = strndup(file, name_len);
    doc->name_len = name_len;
    doc->len = (size_t) head + (size_t) size;
    doc->data = malloc(doc->len);

    if (doc->name == NULL || doc->data == NULL) {
        fail("malloc()");
    }

    memcpy(doc->data, header, (size_t) head);

    if (fread(doc->data + head, 1, (size_t) size, f) != (size_t) size) {
        fail(path);
    }

    (void) fclose(f);
}


static void
load(const char *path)
{
    DIR            *dir;
    const char     *dot;
    struct dirent  *entry;

    dir = opendir(path);
    if (dir == NULL) {
        fail(path);
    }

    while ((entry = readdir(dir)) != NULL && ndocs < MAX_DOCS) {
        dot = strrchr(entry->d_name, '.');

        if (dot != NULL && strcmp(dot, ".json") == 0) {
            load_doc(path, entry->d_name, (size_t) (dot - entry->d_name));
        }
    }

    (void) closedir(dir);
}


static const doc_t *
find(const char *uri, size_t len)
{
    int   i;
    char  end;

    for (i = 0; i < ndocs; i++) {

        if (len <= docs[i].name_len + 1
            || memcmp(uri + 1, docs[i].name, docs[i].name_len) != 0)
        {
            continue;
        }

        end = uri[docs[i].name_len + 1];

        if (end == '/' || end == '.') {
            return &docs[i];
        }
    }

    return NULL;
}


static void
drop(conn_t *c)
{
    (void) close(c->fd);
    conns[c->fd] = NULL;
    c->fd = -1;

    /* one that waits is in a queue, and freed when it leaves it */

    if (c->due == 0) {
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


/* returns 0 when the connection is gone */

static int
send_out(conn_t *c)
{
    ssize_t  n;

    while (c->left) {
        n = send(c->fd, c->out, c->left, MSG_NOSIGNAL);

        if (n < 0) {

            if (errno == EAGAIN) {
                watch(c->fd, EPOLL_CTL_MOD, EPOLLIN | EPOLLOUT);
                return 1;
            }

            drop(c);
            return 0;
        }

        c->out += n;
        c->left -= (size_t) n;
    }

    if (c->close) {
        drop(c);
        return 0;
    }

    return 1;
}


static void
serve(conn_t *c)
{
    char         *end, *uri, *uri_end;
    size_t        used;
    listener_t   *l;
    const doc_t  *doc;

    while (c->left == 0 && c->due == 0 && c->n) {

        end = memmem(c->in, c->n, "\r\n\r\n", 4);

        if (end == NULL) {
            if (c->n == IN_SIZE) {
                drop(c);
            }

            return;
        }

        *end = '\0';
        used = (size_t) (end + 4 - c->in);

        doc = NULL;
        uri = strchr(c->in, ' ');
        uri_end = uri ? strchr(uri + 1, ' ') : NULL;

        if (uri_end != NULL) {
            doc = find(uri + 1, (size_t) (uri_end - uri - 1));
        }

        c->close = strcasestr(c->in, "\r\nconnection: close") != NULL;
        c->out = doc ? doc->data : not_found;
        c->left = doc ? doc->len : sizeof(not_found) - 1;

        c->n -= used;
        memmove(c->in, c->in + used, c->n);

        l = c->listener;

        if (uri != NULL && strncmp(uri, " /calls ", 8) == 0) {
            c->out = calls_text;
            c->left = (size_t) snprintf(calls_text, sizeof(calls_text),
                                        "HTTP/1.1 200 OK\r\n"
                                        "Content-Length: 10\r\n\r\n%10u",
                                        calls);

        } else if (l->late != NULL) {
            calls++;
            l = (random() % 50 == 0) ? l->late : l;
        }

        if (l->delay && c->out != calls_text) {
            c->due = now() + l->delay;
            c->next = NULL;
            *l->last = c;
            l->last = &c->next;
            return;
        }

        if (send_out(c) == 0) {
            return;
        }
    }
}


/* sends what is due; returns the time until the next is, or -1 */

static int
expire(void)
{
    long         time, wait, left;
    conn_t      *c;
    listener_t  *l;

    time = now();
    wait = -1;

    for (l = listeners; l != NULL; l = l->next) {

        while (l->first != NULL && l->first->due <= time) {
            c = l->first;
            c->due = 0;

            l->first = c->next;
            if (l->first == NULL) {
                l->last = &l->first;
            }

            if (c->fd == -1) {
                free(c);

            } else if (send_out(c)) {
                serve(c);
            }
        }

        if (l->first != NULL) {
            left = l->first->due - time;
            wait = (wait == -1 || left < wait) ? left : wait;
        }
    }

    return (int) wait;
}


static void
open_port(const char *arg)
{
    int                  s, i, one, hole;
    char                *end;
    listener_t          *l;
    struct sockaddr_in   sin;

    one = 1;
    hole = (arg[0] == '!');

    memset(&sin, 0, sizeof(sin));
    sin.sin_family = AF_INET;
    sin.sin_port = htons((unsigned short) strtol(arg + hole, &end, 10));
    sin.sin_addr.s_addr = htonl(INADDR_LOOPBACK);

    s = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);

    if (s == -1
        || setsockopt(s, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) != 0
        || bind(s, (struct sockaddr *) &sin, sizeof(sin)) != 0
        || listen(s, hole ? 0 : 4096) != 0)
    {
        fail(arg);
    }

    if (hole) {
        for (i = 0; i < 4; i++) {
            (void) connect(socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0),
                           (struct sockaddr *) &sin, sizeof(sin));
        }

        return;
    }

    l = calloc(1, sizeof(listener_t));
    if (l == NULL) {
        fail("calloc()");
    }

    l->fd = s;
    l->delay = (*end == '+') ? (int) strtol(end, &end, 10) : 0;
    l->last = &l->first;
    l->next = listeners;

    listeners = l;
    listening[s] = l;

    if (*end == '~') {

        /* a second queue, of which nobody listens to the socket */

        l->late = calloc(1, sizeof(listener_t));
        if (l->late == NULL) {
            fail("calloc()");
        }

        l->late->fd = -1;
        l->late->delay = (int) strtol(end + 1, NULL, 10);
        l->late->last = &l->late->first;
        l->late->next = listeners;

        listeners = l->late;
    }

    watch(s, EPOLL_CTL_ADD, EPOLLIN);
}


static void
accept_all(listener_t *l)
{
    int      s, one;
    conn_t  *c;

    one = 1;

    for ( ;; ) {
        s = accept4(l->fd, NULL, NULL, SOCK_NONBLOCK);

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
        c->listener = l;
        conns[s] = c;

        watch(s, EPOLL_CTL_ADD, EPOLLIN);
    }
}


static void
handle(conn_t *c, unsigned events)
{
    ssize_t  n;

    if (events & EPOLLOUT) {

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
        drop(c);
    }
}


int
main(int argc, char **argv)
{
    int                  i, n, fd;
    struct epoll_event   events[MAX_EVENTS];

    if (argc < 3) {
        (void) fprintf(stderr, "usage: canned DIR PORT...\n");
        return 2;
    }

    load(argv[1]);

    ep = epoll_create1(0);

    for (i = 2; i < argc; i++) {
        open_port(argv[i]);
    }

    for ( ;; ) {
        n = epoll_wait(ep, events, MAX_EVENTS, expire());

        for (i = 0; i < n; i++) {
            fd = events[i].data.fd;

            if (listening[fd] != NULL) {
                accept_all(listening[fd]);

            } else if (conns[fd] != NULL) {
                handle(conns[fd], events[i].events);
            }
        }
    }
}
