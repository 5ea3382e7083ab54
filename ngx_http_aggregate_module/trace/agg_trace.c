
/* see agg_trace.h */

#include <string.h>

#include "agg_trace.h"

#if (defined __SSE2__ && !defined AGG_NO_SSE2)
#include <emmintrin.h>
#endif


#define AGG_TRACE_KEY_MAX    256
#define AGG_TRACE_VALUE_MAX  256


static int agg_trace_unhex(uint8_t *dst, const uint8_t *p, size_t len);
static int agg_trace_is_zero(const uint8_t *p, size_t len);
static void agg_trace_trim(const uint8_t **p, size_t *len);
static int agg_trace_b3_id(uint8_t *dst, const uint8_t *p, size_t len);
static int agg_trace_b3_decision(agg_trace_context_t *context,
    const uint8_t *sampled, size_t sampled_len, const uint8_t *flags,
    size_t flags_len);
static int agg_trace_member(const uint8_t *p, size_t len);


static inline uint64_t
agg_trace_rotate(uint64_t x, unsigned n)
{
    return x << n | x >> (64 - n);
}


void
agg_trace_random_init(agg_trace_random_t *random, const uint8_t *seed)
{
    memcpy(random->s, seed, sizeof(random->s));

    /* the generator never leaves the state of all zeros */

    random->s[0] |= (random->s[1] | random->s[2] | random->s[3]) == 0;
}


static inline uint64_t
agg_trace_next(uint64_t *s)
{
    uint64_t  result, t;

    result = agg_trace_rotate(s[1] * 5, 7) * 9;
    t = s[1] << 17;

    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= t;
    s[3] = agg_trace_rotate(s[3], 45);

    return result;
}


uint64_t
agg_trace_random(agg_trace_random_t *random)
{
    return agg_trace_next(random->s);
}


void
agg_trace_make_ids(agg_trace_random_t *random, uint8_t *trace_id,
    uint8_t *span_id, uint8_t *other)
{
    uint64_t            n[4];
    agg_trace_random_t  local;

    local = *random;

    do {
        n[0] = agg_trace_next(local.s);
        n[1] = agg_trace_next(local.s);
        n[2] = agg_trace_next(local.s);
        n[3] = agg_trace_next(local.s);
    } while (n[0] == 0 || n[1] == 0 || n[2] == 0 || n[3] == 0);

    *random = local;

    memcpy(trace_id, n, 16);
    memcpy(span_id, &n[2], 8);
    memcpy(other, &n[3], 8);
}


void
agg_trace_make_span(agg_trace_random_t *random, uint8_t *span_id)
{
    uint64_t  n;

    do {
        n = agg_trace_next(random->s);
    } while (n == 0);

    memcpy(span_id, &n, 8);
}


int
agg_trace_ratio(const uint8_t *trace_id, uint32_t ratio)
{
    uint64_t  n;

    /* the last 56 bits, in network byte order */

    memcpy(&n, trace_id + 8, 8);

#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
    n = __builtin_bswap64(n);
#endif

    n &= ((uint64_t) 1 << 56) - 1;

    return ratio >= AGG_TRACE_ALL
           || n < ratio * (((uint64_t) 1 << 56) / AGG_TRACE_ALL);
}


int32_t
agg_trace_parse_ratio(const uint8_t *p, size_t len)
{
    size_t   i;
    int32_t  n;
    int      digits;

    if ((len == 2 && memcmp(p, "on", 2) == 0) || (len == 1 && *p == '1')) {
        return AGG_TRACE_ALL;
    }

    if ((len == 3 && memcmp(p, "off", 3) == 0)
        || (len == 1 && *p == '0') || len == 0)
    {
        return 0;
    }

    if (len < 2 || len > 7 || p[len - 1] != '%' || *p == '.'
        || p[len - 2] == '.')
    {
        return -1;
    }

    n = 0;
    digits = -1;

    for (i = 0; i < len - 1; i++) {

        if (p[i] == '.' && digits < 0) {
            digits = 0;
            continue;
        }

        if (p[i] < '0' || p[i] > '9' || digits == 2) {
            return -1;
        }

        n = n * 10 + (p[i] - '0');
        digits += (digits >= 0);
    }

    for (digits = digits < 0 ? 0 : digits; digits < 2; digits++) {
        n *= 10;
    }

    return n <= AGG_TRACE_ALL ? n : -1;
}


int
agg_trace_parse(agg_trace_context_t *context, const uint8_t *p, size_t len)
{
    uint8_t  version;

    agg_trace_trim(&p, &len);

    if (len < AGG_TRACE_PARENT_LEN
        || p[2] != '-' || p[35] != '-' || p[52] != '-'
        || agg_trace_unhex(&version, p, 1) != 0 || version == 0xff
        || (version == 0 && len != AGG_TRACE_PARENT_LEN)
        || (len > AGG_TRACE_PARENT_LEN && p[AGG_TRACE_PARENT_LEN] != '-')
        || agg_trace_unhex(context->trace_id, p + 3, 16) != 0
        || agg_trace_unhex(context->span_id, p + 36, 8) != 0
        || agg_trace_unhex(&context->flags, p + 53, 1) != 0
        || agg_trace_is_zero(context->trace_id, 16)
        || agg_trace_is_zero(context->span_id, 8))
    {
        return -1;
    }

    context->flags &= AGG_TRACE_SAMPLED|AGG_TRACE_RANDOM;
    context->decided = 1;
    context->debug = 0;

    return 0;
}


/* lower case only */

static int
agg_trace_unhex(uint8_t *dst, const uint8_t *p, size_t len)
{
    size_t    i;
    unsigned  c, n;

    for (i = 0; i < 2 * len; i++) {

        c = p[i];

        if (c >= '0' && c <= '9') {
            n = c - '0';

        } else if (c >= 'a' && c <= 'f') {
            n = c - 'a' + 10;

        } else {
            return -1;
        }

        dst[i / 2] = (uint8_t) (i % 2 ? dst[i / 2] | n : n << 4);
    }

    return 0;
}


static int
agg_trace_is_zero(const uint8_t *p, size_t len)
{
    size_t   i;
    uint8_t  all;

    for (i = 0, all = 0; i < len; i++) {
        all |= p[i];
    }

    return all == 0;
}


static void
agg_trace_trim(const uint8_t **p, size_t *len)
{
    while (*len && ((*p)[0] == ' ' || (*p)[0] == '\t')) {
        (*p)++;
        (*len)--;
    }

    while (*len && ((*p)[*len - 1] == ' ' || (*p)[*len - 1] == '\t')) {
        (*len)--;
    }
}


static int
agg_trace_b3_id(uint8_t *dst, const uint8_t *p, size_t len)
{
    if (len == 32) {
        return agg_trace_unhex(dst, p, 16);
    }

    memset(dst, 0, 8);

    return len == 16 ? agg_trace_unhex(dst + 8, p, 8) : -1;
}


/* SAMPLED, TRACE-SPAN[-SAMPLED[-PARENT]] */

int
agg_trace_parse_b3(agg_trace_context_t *context, const uint8_t *p, size_t len)
{
    size_t          trace, n;
    const uint8_t  *q;

    agg_trace_trim(&p, &len);

    q = memchr(p, '-', len);

    if (q == NULL) {
        return agg_trace_parse_b3multi(context, NULL, 0, NULL, 0, p, len, NULL,
                                       0);
    }

    trace = (size_t) (q - p);
    n = len - trace - 1;
    q++;

    if (n < 16 || (n > 16 && q[16] != '-') || n == 17
        || (n > 18 && (q[18] != '-' || n != 35)))
    {
        return -1;
    }

    return agg_trace_parse_b3multi(context, p, trace, q, 16,
                                   n >= 18 ? q + 17 : NULL, 1, NULL, 0);
}


int
agg_trace_parse_b3multi(agg_trace_context_t *context,
    const uint8_t *trace_id, size_t trace_len, const uint8_t *span_id,
    size_t span_len, const uint8_t *sampled, size_t sampled_len,
    const uint8_t *flags, size_t flags_len)
{
    int  rc;

    rc = agg_trace_b3_decision(context, sampled, sampled_len, flags,
                               flags_len);

    if (rc == 0 && trace_id == NULL && span_id == NULL) {
        return context->decided ? 1 : -1;
    }

    if (rc != 0
        || trace_id == NULL || span_id == NULL || span_len != 16
        || agg_trace_b3_id(context->trace_id, trace_id, trace_len) != 0
        || agg_trace_unhex(context->span_id, span_id, 8) != 0
        || agg_trace_is_zero(context->trace_id, 16)
        || agg_trace_is_zero(context->span_id, 8))
    {
        context->decided = 0;
        return -1;
    }

    return 0;
}


static int
agg_trace_b3_decision(agg_trace_context_t *context, const uint8_t *sampled,
    size_t sampled_len, const uint8_t *flags, size_t flags_len)
{
    context->flags = 0;
    context->decided = 0;
    context->debug = 0;

    if (flags && flags_len == 1 && *flags == '1') {
        context->flags = AGG_TRACE_SAMPLED;
        context->decided = 1;
        context->debug = 1;
        return 0;
    }

    if (sampled == NULL) {
        return 0;
    }

    if (sampled_len != 1
        || (*sampled != '0' && *sampled != '1' && *sampled != 'd'))
    {
        return -1;
    }

    context->flags = (*sampled == '0') ? 0 : AGG_TRACE_SAMPLED;
    context->decided = 1;
    context->debug = (*sampled == 'd');

    return 0;
}


#if (defined __SSE2__ && !defined AGG_NO_SSE2)

static inline void
agg_trace_hex8(uint8_t *dst, const uint8_t *src)
{
    __m128i  n, high, digits;

    n = _mm_loadl_epi64((const __m128i *) src);
    high = _mm_srli_epi16(n, 4);
    n = _mm_and_si128(_mm_unpacklo_epi8(high, n), _mm_set1_epi8(0x0f));

    /* letters do not directly follow the digits in ASCII */

    digits = _mm_add_epi8(n, _mm_set1_epi8('0'));
    n = _mm_and_si128(_mm_cmpgt_epi8(n, _mm_set1_epi8(9)),
                      _mm_set1_epi8('a' - '0' - 10));

    _mm_storeu_si128((__m128i *) dst, _mm_add_epi8(digits, n));
}

#endif


uint8_t *
agg_trace_hex(uint8_t *dst, const uint8_t *src, size_t len)
{
    /* both digits of each byte */

    static const char  hex[] =
        "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"
        "202122232425262728292a2b2c2d2e2f303132333435363738393a3b3c3d3e3f"
        "404142434445464748494a4b4c4d4e4f505152535455565758595a5b5c5d5e5f"
        "606162636465666768696a6b6c6d6e6f707172737475767778797a7b7c7d7e7f"
        "808182838485868788898a8b8c8d8e8f909192939495969798999a9b9c9d9e9f"
        "a0a1a2a3a4a5a6a7a8a9aaabacadaeafb0b1b2b3b4b5b6b7b8b9babbbcbdbebf"
        "c0c1c2c3c4c5c6c7c8c9cacbcccdcecfd0d1d2d3d4d5d6d7d8d9dadbdcdddedf"
        "e0e1e2e3e4e5e6e7e8e9eaebecedeeeff0f1f2f3f4f5f6f7f8f9fafbfcfdfeff";

#if (defined __SSE2__ && !defined AGG_NO_SSE2)

    for ( /* void */ ; len >= 8; len -= 8, src += 8, dst += 16) {
        agg_trace_hex8(dst, src);
    }

#endif

    for ( /* void */ ; len; len--, src++, dst += 2) {
        memcpy(dst, hex + 2 * (size_t) *src, 2);
    }

    return dst;
}


void
agg_trace_write(uint8_t *dst, const agg_trace_context_t *context)
{
    *dst++ = '0';
    *dst++ = '0';
    *dst++ = '-';
    dst = agg_trace_hex(dst, context->trace_id, 16);
    *dst++ = '-';
    dst = agg_trace_hex(dst, context->span_id, 8);
    *dst++ = '-';
    (void) agg_trace_hex(dst, &context->flags, 1);
}


void
agg_trace_write_b3(uint8_t *dst, const agg_trace_context_t *context)
{
    dst = agg_trace_hex(dst, context->trace_id, 16);
    *dst++ = '-';
    dst = agg_trace_hex(dst, context->span_id, 8);
    *dst++ = '-';
    *dst = (context->flags & AGG_TRACE_SAMPLED)
           ? (context->debug ? 'd' : '1') : '0';
}


int
agg_trace_state(uint8_t *dst, size_t *used, unsigned *members,
    const uint8_t *p, size_t len)
{
    size_t          n, size;
    const uint8_t  *comma, *last, *start;

    for (last = p + len; p <= last; p += size + 1) {

        comma = p < last ? memchr(p, ',', (size_t) (last - p)) : NULL;
        size = (size_t) ((comma ? comma : last) - p);

        start = p;
        n = size;
        agg_trace_trim(&start, &n);

        if (n == 0) {
            continue;
        }

        if (*members == AGG_TRACE_STATE_MAX || agg_trace_member(start, n) != 0)
        {
            return -1;
        }

        if (*members) {
            dst[(*used)++] = ',';
        }

        memcpy(dst + *used, start, n);
        *used += n;
        (*members)++;
    }

    return 0;
}


static int
agg_trace_member(const uint8_t *p, size_t len)
{
    size_t  i, key;

    for (key = 0; key < len && p[key] != '='; key++) {

        if ((p[key] >= 'a' && p[key] <= 'z')
            || (p[key] >= '0' && p[key] <= '9')
            || (key && (p[key] == '_' || p[key] == '-' || p[key] == '*'
                        || p[key] == '/' || p[key] == '@')))
        {
            continue;
        }

        return -1;
    }

    if (key == 0 || key > AGG_TRACE_KEY_MAX || key == len
        || len - key - 1 == 0 || len - key - 1 > AGG_TRACE_VALUE_MAX)
    {
        return -1;
    }

    for (i = key + 1; i < len; i++) {
        if (p[i] < 0x20 || p[i] > 0x7e || p[i] == '=') {
            return -1;
        }
    }

    return 0;
}
