
/* see agg_metrics.h */

#include <string.h>

#include "agg_metrics.h"
#include "gw_siphash.h"
#include "gw_text.h"


/*
 * A table is at most four fifths full.  For each configured route this many
 * statuses are reserved, and as many for "_other".
 */

#define AGG_METRICS_SLOTS(series)  ((series) + (series) / 4 + 8)
#define AGG_METRICS_STATUSES       8

#define AGG_METRICS_NO_SLOT        ((uint32_t) -1)


static uint32_t agg_metrics_slot(agg_metrics_t *m, uint64_t key);
static uint32_t agg_metrics_lookup(agg_metrics_t *m,
    agg_metrics_family_e family, uint64_t key);
static uint32_t agg_metrics_insert(agg_metrics_t *m,
    agg_metrics_family_e family, uint64_t key);
static uint32_t agg_metrics_find(agg_metrics_t *m,
    agg_metrics_known_t *known, agg_metrics_family_e family, uint32_t a,
    uint32_t b, uint32_t c, int *overflow);
static uint32_t agg_metrics_find_new(agg_metrics_t *m,
    agg_metrics_known_t *known, agg_metrics_family_e family, uint32_t a,
    uint32_t b, uint32_t c, int *overflow);
static void agg_metrics_keep(agg_metrics_t *m, agg_metrics_family_e family,
    uint32_t slot, uint32_t bucket, uint64_t duration,
    const uint64_t *trace_id, uint64_t span_id, uint64_t time);
static uint64_t agg_metrics_check(const agg_metrics_exemplar_t *e);


static size_t
agg_metrics_align(size_t n)
{
    return (n + 15) & ~(size_t) 15;
}


static uint32_t
agg_metrics_values(uint32_t series)
{
    return 2 * series + 32;
}


size_t
agg_metrics_size(uint32_t series, uint32_t nbuckets, uint32_t nprocesses)
{
    size_t  size, slots;

    slots = AGG_METRICS_SLOTS((size_t) series);

    size = agg_metrics_align(sizeof(agg_metrics_t));

    size += AGG_METRICS_FAMILIES
            * agg_metrics_align(slots * sizeof(uint64_t));
    size += AGG_METRICS_HISTOGRAMS
            * agg_metrics_align(slots * (nbuckets + 2) * sizeof(uint64_t));
    size += (AGG_METRICS_COUNTERS - AGG_METRICS_HISTOGRAMS)
            * agg_metrics_align(slots * sizeof(uint64_t));

    size += agg_metrics_align(agg_metrics_values(series)
                              * sizeof(agg_metrics_value_t));
    size += agg_metrics_align(AGG_METRICS_HISTOGRAMS * (size_t) series
                              * sizeof(agg_metrics_exemplar_t));

    size += agg_metrics_align(nprocesses * sizeof(agg_metrics_process_t));
    size += nprocesses * agg_metrics_align(2 * slots * sizeof(int32_t));

    return size;
}


uint32_t
agg_metrics_fit(size_t size, uint32_t nbuckets, uint32_t nprocesses)
{
    uint32_t  low, high, n;

    low = 0;
    high = AGG_METRICS_SERIES;

    while (low < high) {
        n = (low + high + 1) / 2;

        if (agg_metrics_size(n, nbuckets, nprocesses) <= size) {
            low = n;

        } else {
            high = n - 1;
        }
    }

    return low;
}


agg_metrics_t *
agg_metrics_init(void *memory, uint32_t series, const uint64_t *bounds,
    uint32_t nbuckets, uint32_t nprocesses, const uint64_t key[2])
{
    size_t          width;
    uint8_t        *p;
    uint32_t        i;
    agg_metrics_t  *m;

    static const char  *const names[] = {
        "_other", "_none", "_aggregate", "_cache"
    };

    m = memory;
    p = (uint8_t *) memory + agg_metrics_align(sizeof(agg_metrics_t));

    m->series = series;
    m->slots = AGG_METRICS_SLOTS(series);
    m->values = agg_metrics_values(series);
    m->nbuckets = nbuckets;
    m->nprocesses = nprocesses;
    m->key[0] = key[0];
    m->key[1] = key[1];
    memcpy(m->bounds, bounds, nbuckets * sizeof(uint64_t));

    for (i = 0; i < AGG_METRICS_FAMILIES; i++) {
        m->tables[i].keys = (uint64_t *) (void *) p;
        p += agg_metrics_align(m->slots * sizeof(uint64_t));

        if (i < AGG_METRICS_COUNTERS) {
            width = i < AGG_METRICS_HISTOGRAMS ? agg_metrics_width(m) : 1;

            m->tables[i].data = (uint64_t *) (void *) p;
            p += agg_metrics_align(m->slots * width * sizeof(uint64_t));
        }
    }

    m->value = (agg_metrics_value_t *) (void *) p;
    p += agg_metrics_align(m->values * sizeof(agg_metrics_value_t));

    m->exemplars = (agg_metrics_exemplar_t *) (void *) p;
    p += agg_metrics_align(AGG_METRICS_HISTOGRAMS * (size_t) series
                           * sizeof(agg_metrics_exemplar_t));

    m->processes = (agg_metrics_process_t *) (void *) p;
    p += agg_metrics_align(nprocesses * sizeof(agg_metrics_process_t));

    for (i = 0; i < nprocesses; i++) {
        m->processes[i].cells = (int32_t *) (void *) p;
        p += agg_metrics_align(2 * m->slots * sizeof(int32_t));
    }

    /* these have fixed numbers, which start from 1 */

    for (i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        m->value[i].hash = i + 1;
        m->value[i].len = (uint32_t) strlen(names[i]);
        m->value[i].configured = 1;
        memcpy(m->value[i].text, names[i], m->value[i].len);
    }

    m->values_used = i;

    agg_metrics_reserve(m, 0, 0);

    for (i = 0; i < AGG_METRICS_FAMILIES; i++) {
        (void) agg_metrics_add(m, i, AGG_METRICS_OTHER,
                               i < AGG_METRICS_HISTOGRAMS ? AGG_METRICS_OTHER
                                                          : AGG_METRICS_ANY,
                               0);
    }

    return m;
}


void
agg_metrics_reserve(agg_metrics_t *m, uint32_t routes, uint32_t services)
{
    uint64_t  n;

    n = AGG_METRICS_STATUSES * (uint64_t) (routes + 1);

    if (n < (uint64_t) services + routes) {
        n = (uint64_t) services + routes;
    }

    m->reserved = n < m->series ? (uint32_t) n : m->series;

    n = (uint64_t) routes + services + 16;
    m->values_reserved = n < m->values ? (uint32_t) n : m->values;
}


size_t
agg_metrics_text(uint8_t *dst, const uint8_t *src, size_t len)
{
    int             valid;
    size_t          n, i, size;
    uint8_t        *p;
    const uint8_t  *last;

    static const char  hex[] = "0123456789ABCDEF";

    p = dst;
    last = src + len;

    for ( /* void */ ; src < last; src += n) {

        n = 1;
        valid = (*src >= 0x20 && *src < 0x7f);

        if (*src >= 0x80) {
            n = gw_utf8_length(src, last, &valid);
        }

        /* C1 control characters are valid UTF-8, but cannot be displayed */

        if (valid && *src == 0xc2 && n == 2 && src[1] < 0xa0) {
            valid = 0;
        }

        size = valid ? n : 4 * n;

        if ((size_t) (p - dst) + size > AGG_METRICS_TEXT) {
            break;
        }

        if (valid) {
            memcpy(p, src, n);
            p += n;
            continue;
        }

        for (i = 0; i < n; i++) {
            *p++ = '\\';
            *p++ = 'x';
            *p++ = (uint8_t) hex[src[i] >> 4];
            *p++ = (uint8_t) hex[src[i] & 0xf];
        }
    }

    return (size_t) (p - dst);
}


uint32_t
agg_metrics_intern(agg_metrics_t *m, const uint8_t *data, size_t len,
    int configured)
{
    size_t                n;
    uint8_t               text[AGG_METRICS_TEXT];
    uint32_t              i, tries;
    uint64_t              hash, seen;
    agg_metrics_value_t  *v;

    n = agg_metrics_text(text, data, len);

    if (n == 0) {
        return AGG_METRICS_NONE;
    }

    for (i = 0; i < 4; i++) {
        if (m->value[i].len == n && memcmp(m->value[i].text, text, n) == 0) {
            return i + 1;
        }
    }

    /* hashes below 16 belong to the values with fixed numbers */

    hash = gw_siphash(m->key, text, n) | 16;
    i = (uint32_t) (((hash >> 32) * m->values) >> 32);

    for (tries = 0; tries < m->values; tries++) {

        v = &m->value[i];
        seen = __atomic_load_n(&v->hash, __ATOMIC_ACQUIRE);

        if (seen == 0) {

            if (m->values_used + m->values / 8 >= m->values
                || (!configured && m->values_dynamic + m->values_reserved
                                   + m->values / 8 >= m->values))
            {
                return AGG_METRICS_OTHER;
            }

            if (__atomic_compare_exchange_n(&v->hash, &seen, hash, 0,
                                            __ATOMIC_ACQ_REL,
                                            __ATOMIC_ACQUIRE))
            {
                agg_metrics_inc(&m->values_used, 1);

                if (!configured) {
                    agg_metrics_inc(&m->values_dynamic, 1);
                }

                seen = hash;
            }
        }

        if (seen == hash) {

            if (configured) {
                v->configured = 1;
            }

            if (__atomic_load_n(&v->len, __ATOMIC_ACQUIRE) == 0) {
                memcpy(v->text, text, n);
                __atomic_store_n(&v->len, (uint32_t) n, __ATOMIC_RELEASE);
            }

            return i + 1;
        }

        i = (i + 1 == m->values) ? 0 : i + 1;
    }

    return AGG_METRICS_OTHER;
}


static uint32_t
agg_metrics_slot(agg_metrics_t *m, uint64_t key)
{
    key *= 0x9e3779b97f4a7c15ULL;

    return (uint32_t) (((key >> 32) * m->slots) >> 32);
}


/* the series of a key; AGG_METRICS_NO_SLOT: it does not exist yet */

static uint32_t
agg_metrics_lookup(agg_metrics_t *m, agg_metrics_family_e family,
    uint64_t key)
{
    uint32_t   i, tries;
    uint64_t  *keys, seen;

    keys = m->tables[family].keys;
    i = agg_metrics_slot(m, key);

    for (tries = 0; tries < m->slots; tries++) {

        seen = __atomic_load_n(&keys[i], __ATOMIC_ACQUIRE);

        if (seen == key) {
            return i;
        }

        if (seen == 0) {
            break;
        }

        i = (i + 1 == m->slots) ? 0 : i + 1;
    }

    return AGG_METRICS_NO_SLOT;
}


static uint32_t
agg_metrics_insert(agg_metrics_t *m, agg_metrics_family_e family,
    uint64_t key)
{
    uint32_t              i, a, tries, dynamic;
    uint64_t              seen;
    agg_metrics_table_t  *table;

    table = &m->tables[family];

    /* the count is raised before a slot is taken, so the table is never full */

    a = agg_metrics_a(key);
    dynamic = (a != AGG_METRICS_OTHER && !m->value[a - 1].configured);

    if (__atomic_add_fetch(&table->used, 1, __ATOMIC_RELAXED) > m->series) {
        goto full;
    }

    if (dynamic
        && __atomic_add_fetch(&table->dynamic, 1, __ATOMIC_RELAXED)
           + m->reserved > m->series)
    {
        agg_metrics_inc(&table->dynamic, -1);
        goto full;
    }

    i = agg_metrics_slot(m, key);

    for (tries = 0; tries < m->slots; tries++) {

        seen = 0;

        if (__atomic_compare_exchange_n(&table->keys[i], &seen, key, 0,
                                        __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE))
        {
            return i;
        }

        if (seen == key) {

            /* another process has added the same key */

            agg_metrics_inc(&table->used, -1);

            if (dynamic) {
                agg_metrics_inc(&table->dynamic, -1);
            }

            return i;
        }

        i = (i + 1 == m->slots) ? 0 : i + 1;
    }

full:

    agg_metrics_inc(&table->used, -1);

    return AGG_METRICS_NO_SLOT;
}


int32_t
agg_metrics_add(agg_metrics_t *m, agg_metrics_family_e family, uint32_t a,
    uint32_t b, uint32_t c)
{
    uint32_t  slot;
    uint64_t  key;

    key = agg_metrics_key(a, b, c);
    slot = agg_metrics_lookup(m, family, key);

    if (slot == AGG_METRICS_NO_SLOT) {
        slot = agg_metrics_insert(m, family, key);
    }

    return slot == AGG_METRICS_NO_SLOT ? -1 : (int32_t) slot;
}


static uint64_t *
agg_metrics_data(agg_metrics_t *m, agg_metrics_family_e family, uint32_t slot)
{
    size_t  words;

    words = family < AGG_METRICS_HISTOGRAMS ? agg_metrics_width(m) : 1;

    return m->tables[family].data + slot * words;
}


static uint32_t
agg_metrics_find(agg_metrics_t *m, agg_metrics_known_t *known,
    agg_metrics_family_e family, uint32_t a, uint32_t b, uint32_t c,
    int *overflow)
{
    agg_metrics_place_t  *place;

    place = agg_metrics_known(known, family, a, b, c);

    if (place) {
        *overflow = 0;
        return place->slot;
    }

    return agg_metrics_find_new(m, known, family, a, b, c, overflow);
}


/*
 * The series of a label set; if there is no room, one with "_other" in place of
 * the first label, or the series of "_other" that exists from the start.
 */

static uint32_t
agg_metrics_find_new(agg_metrics_t *m, agg_metrics_known_t *known,
    agg_metrics_family_e family, uint32_t a, uint32_t b, uint32_t c,
    int *overflow)
{
    int32_t               n;
    agg_metrics_place_t  *place;

    *overflow = 0;

    n = agg_metrics_add(m, family, a, b, c);

    if (n >= 0) {
        place = &known->place[family][(a ^ b) % AGG_METRICS_KNOWN];

        place->key = agg_metrics_key(a, b, c);
        place->slot = (uint32_t) n;
        place->data = family < AGG_METRICS_COUNTERS
                      ? agg_metrics_data(m, family, place->slot) : NULL;

    } else {
        *overflow = 1;
        agg_metrics_inc(&m->tables[family].overflow, 1);

        n = agg_metrics_add(m, family, AGG_METRICS_OTHER, b, c);
    }

    if (n < 0) {
        n = agg_metrics_add(m, family, AGG_METRICS_OTHER,
                            family < AGG_METRICS_HISTOGRAMS
                            ? AGG_METRICS_OTHER : AGG_METRICS_ANY, 0);
    }

    return (uint32_t) n;
}


int
agg_metrics_count(agg_metrics_t *m, agg_metrics_known_t *known,
    agg_metrics_family_e family, uint32_t a, uint32_t b, uint32_t c,
    uint64_t n)
{
    int       overflow;
    uint32_t  slot;

    slot = agg_metrics_find(m, known, family, a, b, c, &overflow);

    if (slot != AGG_METRICS_NO_SLOT) {
        agg_metrics_inc(agg_metrics_data(m, family, slot), n);
    }

    return overflow;
}


int
agg_metrics_observe(agg_metrics_t *m, agg_metrics_known_t *known,
    agg_metrics_family_e family, uint32_t a, uint32_t b, uint64_t duration,
    const uint64_t *trace_id, uint64_t span_id, uint64_t time)
{
    int        overflow;
    uint32_t   slot, bucket;
    uint64_t  *data;

    slot = agg_metrics_find(m, known, family, a, b, 0, &overflow);

    if (slot == AGG_METRICS_NO_SLOT) {
        return overflow;
    }

    for (bucket = 0; bucket < m->nbuckets; bucket++) {
        if (duration <= m->bounds[bucket]) {
            break;
        }
    }

    data = agg_metrics_data(m, family, slot);

    agg_metrics_inc(&data[0], duration);
    agg_metrics_inc(&data[1 + bucket], 1);

    if (trace_id) {
        agg_metrics_keep(m, family, slot, bucket, duration, trace_id, span_id,
                         time);
    }

    return overflow;
}


static uint64_t
agg_metrics_where(agg_metrics_family_e family, uint32_t slot,
    uint32_t bucket)
{
    return ((uint64_t) slot << 8 | bucket) + 1 + ((uint64_t) family << 40);
}


static agg_metrics_exemplar_t *
agg_metrics_place(agg_metrics_t *m, uint64_t where)
{
    uint64_t  n;

    n = (where * 0x9e3779b97f4a7c15ULL) >> 32;

    return &m->exemplars[(n * AGG_METRICS_HISTOGRAMS * m->series) >> 32];
}


/*
 * Two processes may write to one exemplar at a time, and one may be killed
 * meanwhile: an exemplar that does not match its sum is ignored.
 */

static void
agg_metrics_keep(agg_metrics_t *m, agg_metrics_family_e family,
    uint32_t slot, uint32_t bucket, uint64_t duration,
    const uint64_t *trace_id, uint64_t span_id, uint64_t time)
{
    uint64_t                where;
    agg_metrics_exemplar_t  e, *place;

    where = agg_metrics_where(family, slot, bucket);
    place = agg_metrics_place(m, where);

    e.where = where;
    e.duration = duration;
    e.time = time;
    e.trace_id[0] = trace_id[0];
    e.trace_id[1] = trace_id[1];
    e.span_id = span_id;
    e.check = agg_metrics_check(&e);

    *place = e;
}


static uint64_t
agg_metrics_check(const agg_metrics_exemplar_t *e)
{
    return (e->where ^ 0x5bd1e9955bd1e995ULL)
           + 3 * e->duration + 5 * e->time + 7 * e->trace_id[0]
           + 11 * e->trace_id[1] + 13 * e->span_id;
}


int
agg_metrics_exemplar(agg_metrics_t *m, agg_metrics_family_e family,
    uint32_t slot, uint32_t bucket, agg_metrics_exemplar_t *copy)
{
    uint64_t  where;

    where = agg_metrics_where(family, slot, bucket);

    *copy = *agg_metrics_place(m, where);

    return copy->where == where && copy->check == agg_metrics_check(copy);
}


int32_t *
agg_metrics_cell(agg_metrics_t *m, agg_metrics_known_t *known,
    agg_metrics_process_t *process, agg_metrics_family_e family, uint32_t a)
{
    int       overflow;
    uint32_t  slot;

    if (process == NULL) {
        return NULL;
    }

    slot = agg_metrics_find(m, known, family, a, 0, 0, &overflow);

    if (slot == AGG_METRICS_NO_SLOT) {
        return NULL;
    }

    return &process->cells[2 * slot + (family - AGG_METRICS_COUNTERS)];
}


int64_t
agg_metrics_gauge(agg_metrics_t *m, agg_metrics_family_e family,
    uint32_t slot, int (*alive)(int32_t pid))
{
    int32_t   pid;
    int64_t   sum;
    uint32_t  i, cell;

    cell = 2 * slot + (family - AGG_METRICS_COUNTERS);
    sum = 0;

    for (i = 0; i < m->nprocesses; i++) {
        pid = agg_metrics_read(&m->processes[i].pid);

        if (pid != 0 && m->processes[i].cells[cell] != 0 && alive(pid)) {
            sum += m->processes[i].cells[cell];
        }
    }

    return sum > 0 ? sum : 0;
}


agg_metrics_process_t *
agg_metrics_enter(agg_metrics_t *m, int32_t pid, int (*alive)(int32_t pid))
{
    int32_t                 old;
    uint32_t                i, dead;
    agg_metrics_process_t  *process;

    /* free ones first, then those of processes that have died */

    for (dead = 0; dead < 2; dead++) {
        for (i = 0; i < m->nprocesses; i++) {

            process = &m->processes[i];
            old = agg_metrics_read(&process->pid);

            if (old != 0 && old != pid && (!dead || alive(old))) {
                continue;
            }

            if (!__atomic_compare_exchange_n(&process->pid, &old, pid, 0,
                                             __ATOMIC_ACQ_REL,
                                             __ATOMIC_RELAXED))
            {
                continue;
            }

            process->queue = 0;
            memset(process->cells, 0, 2 * m->slots * sizeof(int32_t));

            return process;
        }
    }

    return NULL;
}


void
agg_metrics_leave(agg_metrics_t *m, agg_metrics_process_t *process)
{
    memset(process->cells, 0, 2 * m->slots * sizeof(int32_t));
    process->queue = 0;

    __atomic_store_n(&process->pid, 0, __ATOMIC_RELEASE);
}
