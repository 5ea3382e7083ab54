
/*
 * The stored form: what is written is read again, what is broken is not.
 *
 * sources: cache/agg_cache_entry.c cache/agg_cache_key.c
 */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agg_cache_entry.h"


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


static u_char    names[16];


static u_char *
make(agg_cache_entry_t *entry, size_t *len, const char **lines)
{
    u_char  *data, *p, *text;

    text = malloc(1024);

    for (p = text; *lines; lines++) {
        p = agg_cache_field_write(p, (const u_char *) *lines, strlen(*lines));
    }

    memset(entry, 0, sizeof(*entry));

    entry->kind = AGG_CACHE_ENTRY_RESPONSE;
    entry->status = 200;
    entry->freshness.flags = AGG_CACHE_SHARED;
    entry->freshness.origin = 1700000000;
    entry->freshness.fresh = 60;
    entry->freshness.updating = 30;
    entry->freshness.error = 3600;
    entry->born.epoch = 0xfedcba9876543210ULL;
    entry->born.id.ms = 0x123456789aULL;
    entry->born.id.seq = 7;
    entry->seq = 12;
    entry->since = 0xfffffffe;
    entry->written = 1700000000123;
    (void) agg_cache_entry_put_name(agg_cache_entry_put_name(names, 5), 6);
    entry->names.data = names;
    entry->names.len = sizeof(names);
    entry->key.data = (const u_char *) "the key";
    entry->key.len = 7;
    entry->tags.data = (const u_char *) "t1 t2";
    entry->tags.len = 5;
    entry->lines.data = text;
    entry->lines.len = (size_t) (p - text);
    entry->body.data = (const u_char *) "{\"id\":1}";
    entry->body.len = 8;

    *len = agg_cache_entry_length(entry);
    data = malloc(*len);

    p = agg_cache_entry_write(data, entry);
    memcpy(p, entry->body.data, entry->body.len);

    check((size_t) (p - data) + entry->body.len == *len, "length");
    check(agg_cache_entry_body_offset(data, *len) == (size_t) (p - data),
          "body offset");

    agg_cache_entry_seal(data, *len);
    free(text);

    return data;
}


static void
check_round(void)
{
    size_t              len, i;
    u_char             *data, saved;
    const u_char       *p;
    agg_cache_str_t     name, value;
    agg_cache_entry_t   entry, got;
    static const char  *lines[] = { "Content-Type", "application/json",
                                    "X-Empty", "", NULL };

    data = make(&entry, &len, lines);

    memset(&got, 0, sizeof(got));

    check(agg_cache_entry_read(&got, data, len, 1) == 0, "read");
    check(got.kind == entry.kind && got.status == entry.status, "status");
    check(memcmp(&got.freshness, &entry.freshness, sizeof(got.freshness))
          == 0, "freshness");
    check(got.born.epoch == entry.born.epoch
          && agg_cache_id_compare(&got.born.id, &entry.born.id) == 0, "born");
    check(got.since == 0xfffffffe, "since");
    check(got.seq == 12 && got.written == 1700000000123, "written");
    check(agg_cache_entry_name(&got, 0) == 5
          && agg_cache_entry_name(&got, 1) == 6
          && agg_cache_entry_name(&got, 2) == 0, "names");
    check(got.key.len == 7 && memcmp(got.key.data, "the key", 7) == 0, "key");
    check(got.tags.len == 5 && memcmp(got.tags.data, "t1 t2", 5) == 0,
          "tags");
    check(got.body.len == 8 && memcmp(got.body.data, "{\"id\":1}", 8) == 0,
          "body");

    p = got.lines.data;
    check(agg_cache_entry_line(&got, &p, &name, &value) == 1, "line 1");
    check(name.len == 12 && value.len == 16, "line 1");
    check(agg_cache_entry_line(&got, &p, &name, &value) == 1, "line 2");
    check(name.len == 7 && value.len == 0, "line 2");
    check(agg_cache_entry_line(&got, &p, &name, &value) == 0, "end");

    agg_cache_entry_steady(&got, 1700000010, 160 - 2);
    check(got.freshness.origin == 1700000000, "the clock was set forward");
    agg_cache_entry_steady(&got, 1699999000, 160 - 2);
    check(got.freshness.origin == 1699998990, "the clock was set back");
    agg_cache_entry_steady(&got, 1699999000, 0xfffffff0);
    check(got.freshness.origin == 1699998990, "no age");
    agg_cache_entry_steady(&got, 2, 0x7ffffff0);
    check(got.freshness.origin == 0, "before all time");

    agg_cache_entry_adopt(data, 1600000000, 5);
    check(agg_cache_entry_read(&got, data, len, 0) == 0
          && got.freshness.origin == 1600000000 && got.since == 5
          && got.seq == AGG_CACHE_ENTRY_FOREIGN, "adopted");
    agg_cache_entry_seal(data, len);
    check(agg_cache_entry_read(&got, data, len, 1) == 0, "sealed again");

    /* any length but the right one, any byte changed */

    for (i = 0; i < len; i++) {
        check(agg_cache_entry_read(&got, data, i, 1) == -1, "truncated");

        saved = data[i];
        data[i] ^= 0x10;
        check(agg_cache_entry_read(&got, data, len, 1) == -1, "changed");
        data[i] = saved;
    }

    free(data);
}


static void
check_lines(void)
{
    size_t              i, len;
    u_char             *data;
    agg_cache_entry_t   entry, got;
    static const char  *bad[][3] = {
        { "X-A", "a\r\nSet-Cookie: b", NULL },
        { "X-A", "a\nb", NULL },
        { "X A", "a", NULL },
        { "X-A:", "a", NULL },
        { "", "a", NULL },
        { "X-A", NULL, NULL },
    };

    for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        data = make(&entry, &len, bad[i]);
        check(agg_cache_entry_read(&got, data, len, 1) == -1, bad[i][0]);
        free(data);
    }
}


static void
check_values(void)
{
    size_t              i, len;
    u_char             *data;
    agg_cache_entry_t   entry, got;
    static const char  *none[] = { NULL };
    static const struct { size_t at; u_char value; }  bad[] = {
        { 0, 'B' }, { 3, 9 }, { 4, 9 }, { 7, 1 }, { 6, 9 },
        { 16, 0x80 }, { 24, 0x80 }, { 28, 0x80 }, { 32, 1 }, { 40, 0xff },
        { 3, 1 }, { 56, 0x80 }, { 88, 0xff }, { 92, 0xff }, { 96, 0xff },
        { 100, 0xff }, { 103, 1 }, { 103, 8 }, { 104, 1 },
    };

    for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        data = make(&entry, &len, none);

        /* with a right sum, as an attacker would have it */

        data[bad[i].at] = bad[i].value;
        agg_cache_entry_seal(data, len);

        check(agg_cache_entry_read(&got, data, len, 1) == -1, "bad value");
        free(data);
    }

    memset(&entry, 0, sizeof(entry));
    entry.key.len = AGG_CACHE_ENTRY_KEY_MAX + 1;
    check(agg_cache_entry_length(&entry) == 0, "key too long");
    entry.key.len = 0;
    entry.tags.len = AGG_CACHE_ENTRY_TAGS_MAX + 1;
    check(agg_cache_entry_length(&entry) == 0, "tags too long");
    entry.tags.len = 0;
    entry.lines.len = AGG_CACHE_ENTRY_LINES_MAX + 1;
    check(agg_cache_entry_length(&entry) == 0, "lines too long");
    entry.lines.len = 0;
    entry.names.len = (AGG_CACHE_ENTRY_NAMES_MAX + 1) * 8;
    check(agg_cache_entry_length(&entry) == 0, "too many names");
}


int
main(void)
{
    check_round();
    check_lines();
    check_values();

    if (failed) {
        printf("%u of %u checks failed\n", failed, checks);
        return 1;
    }

    printf("ok cache_entry: %u checks\n", checks);

    return 0;
}
