
/*
 * One stored response is one string of bytes: a header of fixed length with
 * all numbers, big-endian, and then key, tags, header lines, names and body.
 * No text to parse and no base64: reading is a handful of comparisons, and
 * the body is used where it lies.
 *
 *     0  "AGC"  version          16  origin       56  written
 *     4  kind                    24  fresh        64  born, ms
 *     5  flags                   32  updating     72  born, seq
 *     6  status                  40  error        80  seq
 *     8  sum of all the rest     48  epoch        88  lengths of key, tags,
 *                                                     lines, names and body
 *                                                108  since
 *
 * Another node, or whoever may write to Redis, made what is read, so every
 * length is checked against what is there, and every header line against the
 * grammar: a stored line can never end early and start another.
 */


#include <string.h>

#include "agg_cache_entry.h"


static uint64_t agg_cache_entry_sum(const u_char *data, size_t len);
static u_char *agg_cache_put(u_char *p, uint64_t value, size_t size);
static uint64_t agg_cache_get(const u_char *p);
static uint32_t agg_cache_get_length(const u_char *p);
static int agg_cache_entry_verify(const agg_cache_entry_t *entry);


size_t
agg_cache_entry_length(const agg_cache_entry_t *entry)
{
    if (entry->key.len > AGG_CACHE_ENTRY_KEY_MAX
        || entry->tags.len > AGG_CACHE_ENTRY_TAGS_MAX
        || entry->lines.len > AGG_CACHE_ENTRY_LINES_MAX
        || entry->names.len > AGG_CACHE_ENTRY_NAMES_MAX * sizeof(uint64_t)
        || entry->body.len > UINT32_MAX)
    {
        return 0;
    }

    return AGG_CACHE_ENTRY_HEADER + entry->key.len + entry->tags.len
           + entry->lines.len + entry->names.len + entry->body.len;
}


u_char *
agg_cache_entry_write(u_char *p, const agg_cache_entry_t *entry)
{
    memcpy(p, "AGC", 3);
    p += 3;

    p = agg_cache_put(p, AGG_CACHE_ENTRY_VERSION, 1);
    p = agg_cache_put(p, entry->kind, 1);
    p = agg_cache_put(p, entry->freshness.flags, 1);
    p = agg_cache_put(p, entry->status, 2);
    p = agg_cache_put(p, 0, 8);
    p = agg_cache_put(p, (uint64_t) entry->freshness.origin, 8);
    p = agg_cache_put(p, (uint64_t) entry->freshness.fresh, 8);
    p = agg_cache_put(p, (uint64_t) entry->freshness.updating, 8);
    p = agg_cache_put(p, (uint64_t) entry->freshness.error, 8);
    p = agg_cache_put(p, entry->born.epoch, 8);
    p = agg_cache_put(p, (uint64_t) entry->written, 8);
    p = agg_cache_put(p, entry->born.id.ms, 8);
    p = agg_cache_put(p, entry->born.id.seq, 8);
    p = agg_cache_put(p, entry->seq, 8);
    p = agg_cache_put(p, entry->key.len, 4);
    p = agg_cache_put(p, entry->tags.len, 4);
    p = agg_cache_put(p, entry->lines.len, 4);
    p = agg_cache_put(p, entry->names.len, 4);
    p = agg_cache_put(p, entry->body.len, 4);
    p = agg_cache_put(p, entry->since, 4);

    if (entry->key.len) {
        memcpy(p, entry->key.data, entry->key.len);
        p += entry->key.len;
    }

    if (entry->tags.len) {
        memcpy(p, entry->tags.data, entry->tags.len);
        p += entry->tags.len;
    }

    if (entry->lines.len) {
        memcpy(p, entry->lines.data, entry->lines.len);
        p += entry->lines.len;
    }

    if (entry->names.len) {
        memcpy(p, entry->names.data, entry->names.len);
        p += entry->names.len;
    }

    return p;
}


u_char *
agg_cache_entry_put_name(u_char *p, uint64_t hash)
{
    return agg_cache_put(p, hash, sizeof(uint64_t));
}


uint64_t
agg_cache_entry_name(const agg_cache_entry_t *entry, size_t i)
{
    if (i >= entry->names.len / sizeof(uint64_t)) {
        return 0;
    }

    return agg_cache_get(entry->names.data + i * sizeof(uint64_t));
}


void
agg_cache_entry_adopt(u_char *data, int64_t origin, uint32_t since)
{
    (void) agg_cache_put(data + 16, (uint64_t) origin, 8);
    (void) agg_cache_put(data + 80, AGG_CACHE_ENTRY_FOREIGN, 8);
    (void) agg_cache_put(data + 108, since, 4);
}


void
agg_cache_entry_steady(agg_cache_entry_t *entry, int64_t now, uint32_t steady)
{
    int64_t  origin;

    /* an age of more than half of the clock's range counts as a negative one */

    origin = now - (int32_t) (steady - entry->since) / AGG_CACHE_ENTRY_STEADY;

    if (origin < entry->freshness.origin) {
        entry->freshness.origin = origin > 0 ? origin : 0;
    }
}


void
agg_cache_entry_seal(u_char *data, size_t len)
{
    (void) agg_cache_put(data + 8, agg_cache_entry_sum(data, len), 8);
}


/* the checksum covers all of the entry except itself */

static uint64_t
agg_cache_entry_sum(const u_char *data, size_t len)
{
    return agg_cache_sum(data + 16, len - 16) + agg_cache_sum(data, 8);
}


static u_char *
agg_cache_put(u_char *p, uint64_t value, size_t size)
{
    size_t  i;

    for (i = size; i > 0; i--) {
        p[i - 1] = (u_char) value;
        value >>= 8;
    }

    return p + size;
}


/* compilers make one load of each of these */

static uint64_t
agg_cache_get(const u_char *p)
{
    return ((uint64_t) agg_cache_get_length(p) << 32)
           | agg_cache_get_length(p + 4);
}


static uint32_t
agg_cache_get_length(const u_char *p)
{
    return ((uint32_t) p[0] << 24) | ((uint32_t) p[1] << 16)
           | ((uint32_t) p[2] << 8) | (uint32_t) p[3];
}


int
agg_cache_entry_read(agg_cache_entry_t *entry, const u_char *data, size_t len,
    int verify)
{
    size_t         offset;
    const u_char  *p;

    offset = agg_cache_entry_body_offset(data, len);

    if (offset == 0 || offset > len) {
        return -1;
    }

    if (agg_cache_get_length(data + 104) != len - offset) {
        return -1;
    }

    entry->kind = data[4];
    entry->freshness.flags = data[5];
    entry->status = ((unsigned) data[6] << 8) | data[7];
    entry->freshness.origin = (int64_t) agg_cache_get(data + 16);
    entry->freshness.fresh = (int64_t) agg_cache_get(data + 24);
    entry->freshness.updating = (int64_t) agg_cache_get(data + 32);
    entry->freshness.error = (int64_t) agg_cache_get(data + 40);
    entry->born.epoch = agg_cache_get(data + 48);
    entry->written = (int64_t) agg_cache_get(data + 56);
    entry->born.id.ms = agg_cache_get(data + 64);
    entry->born.id.seq = agg_cache_get(data + 72);
    entry->seq = agg_cache_get(data + 80);
    entry->since = agg_cache_get_length(data + 108);

    p = data + AGG_CACHE_ENTRY_HEADER;

    entry->key.data = p;
    entry->key.len = (size_t) agg_cache_get_length(data + 88);
    p += entry->key.len;

    entry->tags.data = p;
    entry->tags.len = (size_t) agg_cache_get_length(data + 92);
    p += entry->tags.len;

    entry->lines.data = p;
    entry->lines.len = (size_t) agg_cache_get_length(data + 96);
    p += entry->lines.len;

    entry->names.data = p;
    entry->names.len = (size_t) agg_cache_get_length(data + 100);
    p += entry->names.len;

    entry->body.data = p;
    entry->body.len = len - offset;

    if (verify) {

        if (agg_cache_get(data + 8) != agg_cache_entry_sum(data, len)) {
            return -1;
        }

        return agg_cache_entry_verify(entry);
    }

    return 0;
}


size_t
agg_cache_entry_body_offset(const u_char *data, size_t len)
{
    uint64_t  key, tags, lines, names;

    if (len < AGG_CACHE_ENTRY_HEADER
        || memcmp(data, "AGC", 3) != 0
        || data[3] != AGG_CACHE_ENTRY_VERSION)
    {
        return 0;
    }

    key = agg_cache_get_length(data + 88);
    tags = agg_cache_get_length(data + 92);
    lines = agg_cache_get_length(data + 96);
    names = agg_cache_get_length(data + 100);

    if (key > AGG_CACHE_ENTRY_KEY_MAX
        || tags > AGG_CACHE_ENTRY_TAGS_MAX
        || lines > AGG_CACHE_ENTRY_LINES_MAX
        || names > AGG_CACHE_ENTRY_NAMES_MAX * sizeof(uint64_t)
        || names % sizeof(uint64_t) != 0)
    {
        return 0;
    }

    return AGG_CACHE_ENTRY_HEADER + (size_t) (key + tags + lines + names);
}


static int
agg_cache_entry_verify(const agg_cache_entry_t *entry)
{
    int                           rc;
    size_t                        i;
    const u_char                 *p;
    agg_cache_str_t               name, value;
    const agg_cache_freshness_t  *fresh;

    fresh = &entry->freshness;

    if (entry->kind != AGG_CACHE_ENTRY_RESPONSE
        && entry->kind != AGG_CACHE_ENTRY_VARY)
    {
        return -1;
    }

    if (entry->kind == AGG_CACHE_ENTRY_RESPONSE
        && (entry->status < 200 || entry->status > 599
            || entry->status == 206 || entry->status == 304))
    {
        return -1;
    }

    if (fresh->fresh < 0 || fresh->fresh > AGG_CACHE_SECONDS_MAX
        || fresh->updating < 0 || fresh->updating > AGG_CACHE_SECONDS_MAX
        || fresh->error < 0 || fresh->error > AGG_CACHE_SECONDS_MAX
        || fresh->origin < 0 || fresh->origin > INT64_MAX / 4
        || entry->written < 0 || entry->written > INT64_MAX / 4)
    {
        return -1;
    }

    p = entry->lines.data;

    for ( ;; ) {
        rc = agg_cache_entry_line(entry, &p, &name, &value);

        if (rc <= 0) {
            return rc;
        }

        for (i = 0; i < name.len; i++) {
            if (!agg_is_token(name.data[i])) {
                return -1;
            }
        }

        for (i = 0; i < value.len; i++) {
            if (value.data[i] == '\r' || value.data[i] == '\n'
                || value.data[i] == '\0')
            {
                return -1;
            }
        }
    }
}


int
agg_cache_entry_line(const agg_cache_entry_t *entry, const u_char **p,
    agg_cache_str_t *name, agg_cache_str_t *value)
{
    size_t            len, left;
    unsigned          i;
    const u_char     *end;
    agg_cache_str_t  *strings[2];

    end = entry->lines.data + entry->lines.len;

    if (*p == end) {
        return 0;
    }

    value->len = 0;

    strings[0] = name;
    strings[1] = value;

    for (i = 0; i < 2; i++) {

        left = (size_t) (end - *p);

        if (left < 4) {
            return -1;
        }

        len = (size_t) agg_cache_get_length(*p);

        if (len > left - 4) {
            return -1;
        }

        strings[i]->data = *p + 4;
        strings[i]->len = len;

        *p += 4 + len;
    }

    return name->len ? 1 : -1;
}


uint64_t
agg_cache_sum(const u_char *data, size_t len)
{
    uint64_t  sum, word;

    sum = 0x9e3779b97f4a7c15ULL ^ len;

    while (len >= 8) {
        memcpy(&word, data, 8);

        sum = (sum ^ word) * 0xd6e8feb86659fd93ULL;
        sum = (sum << 29) | (sum >> 35);

        data += 8;
        len -= 8;
    }

    word = 0;

    if (len) {
        memcpy(&word, data, len);
    }

    sum = (sum ^ word) * 0xd6e8feb86659fd93ULL;

    return sum ^ (sum >> 32);
}


int
agg_cache_id_compare(const agg_cache_id_t *one, const agg_cache_id_t *two)
{
    if (one->ms != two->ms) {
        return one->ms < two->ms ? -1 : 1;
    }

    if (one->seq != two->seq) {
        return one->seq < two->seq ? -1 : 1;
    }

    return 0;
}
