
/* the headers of requests of four protocols */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agg_sent_header.h"


static unsigned  checks;
static unsigned  failed;


static void
check(int ok, const char *what)
{
    checks++;

    if (!ok) {
        failed++;
        printf("failed: %s\n", what);
    }
}


/* the values of the header, each followed by a "|" */

static void
check_values(agg_sent_e kind, const char *data, size_t len,
    const char *header, const char *wanted)
{
    char              text[256];
    size_t            n;
    u_char           *copy;
    agg_cache_str_t   name, value, h;
    agg_sent_t  sent;

    /* the buffer has its exact size, for ASan */

    copy = malloc(len + (len == 0));
    memcpy(copy, data, len);

    h.data = (const u_char *) header;
    h.len = strlen(header);
    n = 0;

    agg_sent_init(&sent, kind, copy, len);

    while (agg_sent_next(&sent, &name, &value)) {

        if (agg_sent_is(&sent, &name, &h)) {
            memcpy(text + n, value.data, value.len);
            n += value.len;
            text[n++] = '|';
        }
    }

    check(n == strlen(wanted) && memcmp(text, wanted, n) == 0, header);

    free(copy);
}


#define check_request(kind, data, header, wanted)                             \
    check_values(kind, data, sizeof(data) - 1, header, wanted)


/* no prefix of a request leads out of it */

static void
check_prefixes(agg_sent_e kind, const char *data, size_t len)
{
    size_t            i;
    u_char           *copy;
    agg_cache_str_t   name, value;
    agg_sent_t  sent;

    for (i = 0; i <= len; i++) {
        copy = malloc(i + (i == 0));
        memcpy(copy, data, i);

        agg_sent_init(&sent, kind, copy, i);

        while (agg_sent_next(&sent, &name, &value)) {
            check(name.data >= copy && name.data + name.len <= copy + i
                  && value.data + value.len <= copy + i, "within");
        }

        free(copy);
    }
}


static const char  http[] = "GET /a:b HTTP/1.1\r\nHost: a:1\r\nX-User: alice"
    "\r\nx-none:\r\nX-USER: bob\r\n\r\nX-User: body\r\n";

static const char  fastcgi[] = "\1\1\0\1\0\10\0\0" "\0\1\0\0\0\0\0\0"
    "\1\4\0\1\0\47\1\0" "\13\5HTTP_X_USERalice" "\6\200\0\0\0HTTP_A"
    "\4\4HTTPa: b" "\0" "\1\4\0\1\0\0\0\0";

static const char  uwsgi[] = "\0\44\0\0" "\13\0HTTP_X_USER\5\0alice"
    "\6\0HTTP_A\0\0";

static const char  scgi[] = "44:CONTENT_LENGTH\0" "0\0" "SCGI\0" "1\0"
    "HTTP_X_USER\0alice\0" ",";


int
main(void)
{
    check_request(AGG_SENT_HTTP, http, "X-User", "alice|bob|");
    check_request(AGG_SENT_HTTP, http, "host", "a:1|");
    check_request(AGG_SENT_HTTP, http, "X-None", "|");
    check_request(AGG_SENT_HTTP, http, "X-Users", "");
    check_request(AGG_SENT_HTTP, "GET / HTTP/1.0\r\n\r\n", "a", "");
    check_request(AGG_SENT_HTTP, "", "a", "");
    check_request(AGG_SENT_HTTP, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "a",
                  "");

    check_request(AGG_SENT_FASTCGI, fastcgi, "X-User", "alice|");
    check_request(AGG_SENT_FASTCGI, fastcgi, "A", "|");
    check_request(AGG_SENT_FASTCGI, fastcgi, "HTTP", "");
    check_request(AGG_SENT_FASTCGI, fastcgi, "X_User", "alice|");

    check_request(AGG_SENT_UWSGI, uwsgi, "x-user", "alice|");
    check_request(AGG_SENT_UWSGI, uwsgi, "a", "|");

    check_request(AGG_SENT_SCGI, scgi, "X-User", "alice|");
    check_request(AGG_SENT_SCGI, scgi, "Length", "");

    check_prefixes(AGG_SENT_HTTP, http, sizeof(http) - 1);
    check_prefixes(AGG_SENT_FASTCGI, fastcgi, sizeof(fastcgi) - 1);
    check_prefixes(AGG_SENT_UWSGI, uwsgi, sizeof(uwsgi) - 1);
    check_prefixes(AGG_SENT_SCGI, scgi, sizeof(scgi) - 1);

    if (failed) {
        printf("%u of %u checks failed\n", failed, checks);
        return 1;
    }

    printf("ok sent_header: %u checks\n", checks);

    return 0;
}
