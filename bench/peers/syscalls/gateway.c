
/*
 * The system calls of a gateway, and nothing else: it asks the backends of a
 * route, and when all have answered, sends a body that was made before.  What
 * a gateway takes beyond this is its own work, not the kernel's.
 *
 *     gateway 127.0.0.1:PORT DIR [/URI NAME PORT/PATH... ]...
 *
 * answers URI with DIR/NAME.json.  Connections are kept, and tested before a
 * request is sent, as nginx does that.
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
#include <sys/uio.h>
#include <unistd.h>


#define MAX_EVENTS    512
#define MAX_ROUTES    16
#define MAX_BACKENDS  16


typedef struct conn_s     conn_t;
typedef struct backend_s  backend_t;


struct backend_s {
    int            port;
    char          *request;
    size_t         len;
    conn_t        *idle;
};


typedef struct {
    const char    *uri;
    struct iovec   answer[2];       /* its header, its body */
    backend_t      backends[MAX_BACKENDS];
    int            n;
} route_t;


/* one from a client, or one to a backend for the request of a client */

struct conn_s {
    int            fd;
    conn_t        *client;          /* NULL: it is one, or idle */
    backend_t     *backend;         /* NULL: a client */
    conn_t        *next;
    route_t       *route;
    int            waits;           /* for so many backends */
    size_t         length;          /* 0: the header is not there yet */
    size_t         received;
};


static int      ep;
static int      nroutes;
static char     buf[1 << 16];
static route_t  routes[MAX_ROUTES];


static void
fail(const char *what)
{
    perror(what);
    exit(1);
}


static void *
allocate(size_t size)
{
    void  *p;

    p = calloc(1, size);
    if (p == NULL) {
        fail("calloc()");
    }

    return p;
}


static struct sockaddr_in
loopback(int port)
{
    struct sockaddr_in  sin;

    memset(&sin, 0, sizeof(sin));
    sin.sin_family = AF_INET;
    sin.sin_port = htons((unsigned short) port);
    sin.sin_addr.s_addr = htonl(INADDR_LOOPBACK);

    return sin;
}


static conn_t *
watch(int fd, unsigned events)
{
    int                 one;
    conn_t             *c;
    struct epoll_event  ev;

    one = 1;
    c = allocate(sizeof(conn_t));
    c->fd = fd;

    ev.events = events;
    ev.data.ptr = c;

    (void) setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));

    if (epoll_ctl(ep, EPOLL_CTL_ADD, fd, &ev) != 0) {
        fail("epoll_ctl()");
    }

    return c;
}


static conn_t *
open_backend(backend_t *b)
{
    int                 fd;
    conn_t             *c;
    struct sockaddr_in  sin;

    sin = loopback(b->port);
    fd = socket(AF_INET, SOCK_STREAM, 0);

    if (fd == -1 || connect(fd, (struct sockaddr *) &sin, sizeof(sin)) != 0) {
        fail("connect()");
    }

    c = watch(fd, EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET);
    c->backend = b;

    return c;
}


static void
ask(conn_t *client, backend_t *b)
{
    int            err;
    conn_t        *c;
    socklen_t      len;
    struct iovec   iov;

    c = b->idle;

    if (c != NULL) {
        b->idle = c->next;

    } else {
        c = open_backend(b);
    }

    c->client = client;
    c->length = 0;
    c->received = 0;

    len = sizeof(err);
    (void) getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &err, &len);

    iov.iov_base = b->request;
    iov.iov_len = b->len;

    if (writev(c->fd, &iov, 1) != (ssize_t) b->len) {
        fail("writev() to a backend");
    }
}


static void
read_client(conn_t *c)
{
    int       i;
    char     *end;
    size_t    len;
    ssize_t   n;
    route_t  *r;

    n = recv(c->fd, buf, 1024, MSG_DONTWAIT);

    if (n <= 0) {

        if (n == 0 || errno != EAGAIN) {
            (void) close(c->fd);
        }

        return;
    }

    end = memchr(buf + 4, ' ', (size_t) n - 4);
    len = end ? (size_t) (end - buf) - 4 : 0;

    for (r = routes; r < routes + nroutes; r++) {

        if (strlen(r->uri) == len && memcmp(r->uri, buf + 4, len) == 0) {
            c->route = r;
            c->waits = r->n;

            for (i = 0; i < r->n; i++) {
                ask(c, &r->backends[i]);
            }

            return;
        }
    }

    fprintf(stderr, "no route\n");
    exit(1);
}


static void
read_backend(conn_t *c)
{
    char     *length, *body;
    conn_t   *client;
    ssize_t   n;

    if (c->client == NULL) {
        return;
    }

    n = recv(c->fd, buf, sizeof(buf) - 1, MSG_DONTWAIT);

    if (n <= 0) {

        if (n == -1 && errno == EAGAIN) {
            return;
        }

        fail("recv() from a backend");
    }

    if (c->length == 0) {
        buf[n] = '\0';
        length = strcasestr(buf, "\r\nContent-Length: ");
        body = strstr(buf, "\r\n\r\n");

        if (length == NULL || body == NULL) {
            fprintf(stderr, "no whole header\n");
            exit(1);
        }

        c->length = strtoul(length + 18, NULL, 10) + (body + 4 - buf);
    }

    c->received += (size_t) n;

    if (c->received < c->length) {
        return;
    }

    client = c->client;
    c->client = NULL;
    c->next = c->backend->idle;
    c->backend->idle = c;

    if (--client->waits == 0
        && writev(client->fd, client->route->answer, 2) == -1)
    {
        (void) close(client->fd);
    }
}


static void
load_body(struct iovec *answer, const char *dir, const char *name)
{
    char    path[4096];
    FILE   *f;
    long    size;

    (void) snprintf(path, sizeof(path), "%s/%s.json", dir, name);

    f = fopen(path, "r");
    if (f == NULL || fseek(f, 0, SEEK_END) != 0) {
        fail(path);
    }

    size = ftell(f);
    rewind(f);

    answer[1].iov_base = allocate((size_t) size);
    answer[1].iov_len = (size_t) size;

    if (fread(answer[1].iov_base, 1, (size_t) size, f) != (size_t) size) {
        fail(path);
    }

    (void) fclose(f);

    answer[0].iov_base = allocate(512);
    answer[0].iov_len = (size_t) snprintf(answer[0].iov_base, 512,
                                          "HTTP/1.1 200 OK\r\n"
                                          "Server: syscalls\r\n"
                                          "Content-Type: application/json\r\n"
                                          "Content-Length: %ld\r\n"
                                          "Connection: keep-alive\r\n\r\n",
                                          size);
}


/* /URI NAME PORT/PATH... */

static char **
load_route(char **arg, const char *dir)
{
    int         len;
    char       *path;
    route_t    *r;
    backend_t  *b;

    if (nroutes == MAX_ROUTES || arg[1] == NULL) {
        fprintf(stderr, "wrong route: %s\n", arg[0]);
        exit(1);
    }

    r = &routes[nroutes++];
    r->uri = *arg++;

    load_body(r->answer, dir, *arg++);

    while (*arg != NULL && **arg != '/' && r->n < MAX_BACKENDS) {
        b = &r->backends[r->n++];
        b->port = (int) strtol(*arg++, &path, 10);

        len = asprintf(&b->request, "GET %s HTTP/1.1\r\nHost: backend\r\n\r\n",
                       path);
        if (len == -1) {
            fail("asprintf()");
        }

        b->len = (size_t) len;
    }

    return arg;
}


static int
open_port(const char *address)
{
    int                  fd, one;
    const char          *port;
    struct sockaddr_in   sin;

    one = 1;
    port = strchr(address, ':');
    sin = loopback(port ? atoi(port + 1) : 0);

    fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);

    if (fd == -1
        || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) != 0
        || bind(fd, (struct sockaddr *) &sin, sizeof(sin)) != 0
        || listen(fd, 511) != 0)
    {
        fail(address);
    }

    return fd;
}


int
main(int argc, char **argv)
{
    int                        i, n, fd;
    char                     **arg;
    conn_t                    *c, *listening;
    static struct epoll_event  events[MAX_EVENTS];

    if (argc < 3) {
        return 2;
    }

    ep = epoll_create1(0);
    if (ep == -1) {
        fail("epoll_create1()");
    }

    for (arg = argv + 3; *arg != NULL; /* void */ ) {
        arg = load_route(arg, argv[2]);
    }

    listening = watch(open_port(argv[1]), EPOLLIN);

    for ( ;; ) {
        n = epoll_wait(ep, events, MAX_EVENTS, -1);

        for (i = 0; i < n; i++) {
            c = events[i].data.ptr;

            if (c == listening) {
                fd = accept(c->fd, NULL, NULL);

                if (fd != -1) {
                    (void) watch(fd, EPOLLIN | EPOLLRDHUP | EPOLLET);
                }

            } else if ((events[i].events & EPOLLIN) == 0) {
                continue;

            } else if (c->backend != NULL) {
                read_backend(c);

            } else {
                read_client(c);
            }
        }
    }
}
