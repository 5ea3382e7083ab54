
/*
 * The cheapest possible gRPC backend: canned answers from memory over HTTP/2
 * without TLS, one thread, epoll.  Requests are not looked at.
 *
 *     grpc PORT=FILE...
 *
 * answers each call on 127.0.0.1:PORT with the messages of FILE, each with its
 * gRPC prefix there, in a DATA frame of its own, and with status 0.  PORT~US
 * rests as many microseconds behind each message, for one client at a time.
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
#include <unistd.h>


#define MAX_EVENTS  256
#define MAX_FDS     20000
#define MAX_CALLS   1024
#define IN_SIZE     65536
#define PREFACE     24
#define WINDOW      0x40000000u

#define DATA           0
#define HEADERS        1
#define SETTINGS       4
#define PING           6
#define WINDOW_UPDATE  8
#define CONTINUATION   9

#define END_STREAM  0x01
#define ACK         0x01


typedef struct {
    unsigned char  *data;       /* frames, their streams to be filled in */
    size_t          len;
    size_t          payload;    /* of the DATA frames in them */
    useconds_t      rest;
} answer_t;


typedef struct {
    int             fd;
    int             preface;
    size_t          n;
    size_t          received;   /* since the last WINDOW_UPDATE */
    long            window;
    size_t          ncalls;     /* that wait for the window */
    unsigned        calls[MAX_CALLS];
    const answer_t *answer;
    unsigned char  *out;
    size_t          left;
    size_t          size;
    unsigned char   in[IN_SIZE];
} conn_t;


static int       ep;
static conn_t   *conns[MAX_FDS];
static answer_t *listening[MAX_FDS];


static void
fail(const char *what)
{
    perror(what);
    exit(1);
}


static unsigned
get32(const unsigned char *p)
{
    return (unsigned) p[0] << 24 | (unsigned) p[1] << 16
           | (unsigned) p[2] << 8 | p[3];
}


static void
put32(unsigned char *p, unsigned n)
{
    p[0] = (unsigned char) (n >> 24);
    p[1] = (unsigned char) (n >> 16);
    p[2] = (unsigned char) (n >> 8);
    p[3] = (unsigned char) n;
}


static size_t
frame(unsigned char *p, unsigned type, unsigned flags, const void *payload,
    size_t len)
{
    put32(p, (unsigned) len << 8 | type);
    p[4] = (unsigned char) flags;
    put32(p + 5, 0);
    memcpy(p + 9, payload, len);

    return 9 + len;
}


static void
load(answer_t *answer, const char *path)
{
    FILE           *f;
    long            size;
    size_t          n, len;
    unsigned char  *file;

    static const char  head[] = "\x88\0\x0c" "content-type"
                                "\x10" "application/grpc";
    static const char  tail[] = "\0\x0b" "grpc-status" "\x01" "0";

    f = fopen(path, "r");
    if (f == NULL || fseek(f, 0, SEEK_END) != 0) {
        fail(path);
    }

    size = ftell(f);
    rewind(f);

    file = malloc((size_t) size);
    answer->data = malloc((size_t) size * 3 + 256);

    if (file == NULL || answer->data == NULL
        || fread(file, 1, (size_t) size, f) != (size_t) size)
    {
        fail(path);
    }

    (void) fclose(f);

    answer->len = frame(answer->data, HEADERS, 4, head, sizeof(head) - 1);

    for (n = 0; n < (size_t) size; n += len) {
        len = 5 + get32(file + n + 1);
        answer->len += frame(answer->data + answer->len, DATA, 0, file + n,
                             len);
    }

    answer->len += frame(answer->data + answer->len, HEADERS, 5, tail,
                         sizeof(tail) - 1);
    answer->payload = (size_t) size;

    free(file);
}


static void
drop(conn_t *c)
{
    (void) close(c->fd);
    conns[c->fd] = NULL;
    free(c->out);
    free(c);
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
queue(conn_t *c, const void *data, size_t len)
{
    if (c->left + len > c->size) {
        c->size = (c->left + len) * 2;
        c->out = realloc(c->out, c->size);

        if (c->out == NULL) {
            fail("realloc()");
        }
    }

    memcpy(c->out + c->left, data, len);
    c->left += len;
}


/* returns 0 when the connection is gone */

static int
send_out(conn_t *c)
{
    size_t   sent;
    ssize_t  n;

    for (sent = 0; sent < c->left; sent += (size_t) n) {
        n = send(c->fd, c->out + sent, c->left - sent, MSG_NOSIGNAL);

        if (n >= 0) {
            continue;
        }

        if (errno != EAGAIN) {
            drop(c);
            return 0;
        }

        watch(c->fd, EPOLL_CTL_MOD, EPOLLIN | EPOLLOUT);
        break;
    }

    c->left -= sent;
    memmove(c->out, c->out + sent, c->left);

    return 1;
}


static void
answer(conn_t *c, unsigned stream)
{
    size_t           start, n, len;
    unsigned char   *p;
    const answer_t  *a;

    a = c->answer;
    c->window -= (long) a->payload;

    start = c->left;
    queue(c, a->data, a->len);

    for (n = 0; n < a->len; n += len) {
        p = c->out + start + n;
        len = 9 + (get32(p) >> 8);
        put32(p + 5, stream);
    }

    if (a->rest == 0) {
        return;
    }

    for (n = 0; n < a->len; n += len) {
        p = c->out + start + n;
        len = 9 + (get32(p) >> 8);

        if (send(c->fd, p, len, MSG_NOSIGNAL) != (ssize_t) len) {
            fail("send()");
        }

        (void) usleep(a->rest);
    }

    c->left = start;
}


static void
serve(conn_t *c, const unsigned char *p, size_t len)
{
    unsigned       type, flags, stream;
    unsigned char  reply[32];

    type = p[3];
    flags = p[4];
    stream = get32(p + 5) & 0x7fffffff;

    if (type == SETTINGS && !(flags & ACK)) {
        queue(c, reply, frame(reply, SETTINGS, ACK, "", 0));

    } else if (type == PING && !(flags & ACK)) {
        queue(c, reply, frame(reply, PING, ACK, p + 9, 8));

    } else if (type == WINDOW_UPDATE && stream == 0) {
        c->window += (long) get32(p + 9);

    } else if (type == DATA) {
        c->received += len;
    }

    if (c->received >= WINDOW / 2) {
        put32(reply + 16, WINDOW / 2);
        queue(c, reply, frame(reply, WINDOW_UPDATE, 0, reply + 16, 4));
        c->received -= WINDOW / 2;
    }

    if ((type == DATA || type == HEADERS) && (flags & END_STREAM)) {

        if (c->ncalls == MAX_CALLS) {
            (void) fprintf(stderr, "too many calls\n");
            exit(1);
        }

        c->calls[c->ncalls++] = stream;
    }

    while (c->ncalls && c->window >= (long) c->answer->payload) {
        answer(c, c->calls[0]);
        c->ncalls--;
        memmove(c->calls, c->calls + 1, c->ncalls * sizeof(unsigned));
    }
}


static void
readable(conn_t *c)
{
    size_t   used, len;
    ssize_t  n;

    n = recv(c->fd, c->in + c->n, IN_SIZE - c->n, 0);

    if (n <= 0) {
        if (n == 0 || errno != EAGAIN) {
            drop(c);
        }

        return;
    }

    c->n += (size_t) n;
    used = 0;

    if (!c->preface) {

        if (c->n < PREFACE) {
            return;
        }

        c->preface = 1;
        used = PREFACE;
    }

    while (c->n - used >= 9) {
        len = get32(c->in + used) >> 8;

        if (c->n - used < 9 + len) {
            break;
        }

        serve(c, c->in + used, len);
        used += 9 + len;
    }

    c->n -= used;
    memmove(c->in, c->in + used, c->n);

    (void) send_out(c);
}


static void
open_port(const char *arg)
{
    int                  s, one;
    char                *end;
    answer_t            *a;
    struct sockaddr_in   sin;

    one = 1;

    a = calloc(1, sizeof(answer_t));
    if (a == NULL) {
        fail("calloc()");
    }

    memset(&sin, 0, sizeof(sin));
    sin.sin_family = AF_INET;
    sin.sin_port = htons((unsigned short) strtol(arg, &end, 10));
    sin.sin_addr.s_addr = htonl(INADDR_LOOPBACK);

    if (*end == '~') {
        a->rest = (useconds_t) strtol(end + 1, &end, 10);
    }

    load(a, end + 1);

    s = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);

    if (s < 0 || s >= MAX_FDS
        || setsockopt(s, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) != 0
        || bind(s, (struct sockaddr *) &sin, sizeof(sin)) != 0
        || listen(s, 4096) != 0)
    {
        fail(arg);
    }

    listening[s] = a;
    watch(s, EPOLL_CTL_ADD, EPOLLIN);
}


static void
accept_all(int s)
{
    int            fd, one;
    conn_t        *c;
    unsigned char  head[32], settings[6], update[4];

    for ( ;; ) {
        fd = accept4(s, NULL, NULL, SOCK_NONBLOCK);

        if (fd < 0) {
            return;
        }

        c = fd < MAX_FDS ? calloc(1, sizeof(conn_t)) : NULL;

        if (c == NULL) {
            (void) close(fd);
            continue;
        }

        one = 1;
        (void) setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));

        c->fd = fd;
        c->window = 65535;
        c->answer = listening[s];
        conns[fd] = c;

        /* SETTINGS_INITIAL_WINDOW_SIZE, and the connection's window */

        settings[0] = 0;
        settings[1] = 4;
        put32(settings + 2, WINDOW);
        put32(update, WINDOW);

        queue(c, head, frame(head, SETTINGS, 0, settings, 6));
        queue(c, head, frame(head, WINDOW_UPDATE, 0, update, 4));

        watch(fd, EPOLL_CTL_ADD, EPOLLIN);
        (void) send_out(c);
    }
}


int
main(int argc, char **argv)
{
    int                  i, n, fd;
    struct epoll_event   events[MAX_EVENTS];

    ep = epoll_create1(0);
    if (ep < 0) {
        fail("epoll_create1()");
    }

    for (i = 1; i < argc; i++) {
        open_port(argv[i]);
    }

    for ( ;; ) {
        n = epoll_wait(ep, events, MAX_EVENTS, -1);

        for (i = 0; i < n; i++) {
            fd = events[i].data.fd;

            if (listening[fd] != NULL) {
                accept_all(fd);
                continue;
            }

            if (conns[fd] != NULL && (events[i].events & EPOLLOUT)) {
                watch(fd, EPOLL_CTL_MOD, EPOLLIN);

                if (send_out(conns[fd]) == 0) {
                    continue;
                }
            }

            if (conns[fd] != NULL && (events[i].events & ~EPOLLOUT)) {
                readable(conns[fd]);
            }
        }
    }
}
