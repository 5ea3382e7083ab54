
/*
 * JSON: how fast a document is parsed by cJSON, and validated here: alone, and
 * as one that is like those before it; in one piece, and in pieces of 4 KB.
 * sources: json/agg_scan.c json/agg_json.c json/agg_write.c json/agg_path.c
 * libs: -lcjson
 */


#define _POSIX_C_SOURCE  200809L
#define _DEFAULT_SOURCE

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include <cjson/cJSON.h>

#include "agg_scan.h"


/* each figure is the best of so many runs of so many seconds */

#define RUNS     5
#define SECONDS  0.1
#define PIECE    4096


typedef struct {
    u_char  *data;
    size_t   len;
} doc_t;


typedef int (*work_pt)(const doc_t *doc);


static agg_patterns_t  patterns;


static double
now(void)
{
    struct timespec  ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);

    return (double) ts.tv_sec + (double) ts.tv_nsec / 1e9;
}


static int
work_cjson(const doc_t *doc)
{
    cJSON  *root;

    root = cJSON_ParseWithLength((char *) doc->data, doc->len);
    cJSON_Delete(root);

    return root != NULL;
}


static int
validate(const doc_t *doc, size_t piece, agg_patterns_t *expected)
{
    size_t      n, at;
    agg_scan_t  scan;

    agg_scan_init(&scan);

    if (expected) {
        agg_patterns_start(expected);
        scan.patterns = expected;
    }

    for (at = 0; at < doc->len; at += n) {
        n = (doc->len - at < piece) ? doc->len - at : piece;

        if (agg_scan_push(&scan, doc->data + at, n) != AGG_OK) {
            return 0;
        }
    }

    return agg_scan_finish(&scan) == AGG_OK;
}


static int
work_whole(const doc_t *doc)
{
    return validate(doc, doc->len, NULL);
}


static int
work_pieces(const doc_t *doc)
{
    return validate(doc, PIECE, NULL);
}


static int
work_like_whole(const doc_t *doc)
{
    return validate(doc, doc->len, &patterns);
}


static int
work_like_pieces(const doc_t *doc)
{
    return validate(doc, PIECE, &patterns);
}


/* megabytes a second */

static double
measure(work_pt work, const doc_t *doc)
{
    size_t    n, batch, i;
    double    start, seconds, best;
    unsigned  run;

    best = 0;

    /* so many at a time that reading the clock does not count */

    batch = 1 + 100000 / doc->len;

    for (run = 0; run < RUNS; run++) {
        n = 0;
        start = now();

        do {
            for (i = 0; i < batch; i++) {
                if (!work(doc)) {
                    fprintf(stderr, "a document is refused\n");
                    exit(1);
                }
            }

            n += batch;
            seconds = now() - start;

        } while (seconds < SECONDS);

        if ((double) n * (double) doc->len / seconds > best) {
            best = (double) n * (double) doc->len / seconds;
        }
    }

    return best / 1e6;
}


static void
report(const char *name, const doc_t *doc)
{
    unsigned  i;
    double    figure[5];

    static const work_pt  works[] = {
        work_cjson, work_whole, work_pieces, work_like_whole, work_like_pieces
    };

    agg_patterns_init(&patterns);

    for (i = 0; i < 5; i++) {
        figure[i] = measure(works[i], doc);
    }

    printf("%-28s %8zu  %7.0f  %7.0f  %7.0f  %7.0f  %7.0f %5.2f\n", name,
           doc->len, figure[0], figure[1], figure[2], figure[3], figure[4],
           figure[4] / figure[3]);
}


static doc_t
load(const char *dir, const char *name)
{
    char    path[4096];
    FILE   *f;
    doc_t   doc;

    snprintf(path, sizeof(path), "%s%s%s", dir ? dir : "", dir ? "/" : "",
             name);

    f = fopen(path, "rb");
    if (f == NULL) {
        perror(path);
        exit(1);
    }

    doc.data = malloc(1 << 23);
    doc.len = fread(doc.data, 1, 1 << 23, f);
    fclose(f);

    if (doc.len == 0) {
        fprintf(stderr, "%s%s%s: nothing can be read\n", dir ? dir : "",
                dir ? "/" : "", name);
        exit(1);
    }

    return doc;
}


/* the feed's document over and over in an array, up to a megabyte */

static doc_t
large(const doc_t *feed)
{
    doc_t  doc;

    doc.data = malloc((1 << 20) + feed->len + 2);
    doc.len = 0;

    while (doc.len < 1 << 20) {
        doc.data[doc.len] = (doc.len == 0) ? '[' : ',';
        memcpy(doc.data + doc.len + 1, feed->data, feed->len);
        doc.len += feed->len + 1;
    }

    doc.data[doc.len++] = ']';

    return doc;
}


static doc_t
dense(void)
{
    doc_t        doc;
    size_t       len;
    const char  *item;

    item = ",{\"id\":1234,\"sku\":\"A-1234\",\"price\":12.50,\"tags\":[\"a\","
           "\"b\"]}";
    len = strlen(item);

    doc.data = malloc(200 * len + 1);

    for (doc.len = 0; doc.len < 200 * len; doc.len += len) {
        memcpy(doc.data + doc.len, item, len);
    }

    doc.data[0] = '[';
    doc.data[doc.len++] = ']';

    return doc;
}


int
main(int argc, char **argv)
{
    int       k;
    doc_t     doc, feed;
    unsigned  i;

    static const char *const  names[] = {
        "users/42.json", "orders/42.json", "recommendations/outdoor.json",
    };

    if (argc < 2) {
        fprintf(stderr, "usage: %s conf.example/data [FILE]...\n", argv[0]);
        return 1;
    }

    printf("%-28s %8s  %7s  %7s  %7s  %7s  %7s\n", "MB/s", "bytes", "cJSON",
           "alone", "4 KB", "like", "4 KB");

    for (i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        doc = load(argv[1], names[i]);
        report(names[i], &doc);
        free(doc.data);
    }

    feed = load(argv[1], "feed.json");
    report("feed.json", &feed);

    doc = large(&feed);
    report("a megabyte of feeds", &doc);
    free(doc.data);

    doc = dense();
    report("small members, no blanks", &doc);
    free(doc.data);

    free(feed.data);

    for (k = 2; k < argc; k++) {
        doc = load(NULL, argv[k]);
        report(argv[k], &doc);
        free(doc.data);
    }

    return 0;
}
