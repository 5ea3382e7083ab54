
/* see agg_pb.h */


#include <stdarg.h>

#include "agg_pb.h"
#include "agg_pb_block.h"
#include "gw_number.h"
#include "gw_text.h"


static void agg_pb_error_put(agg_pb_error_t *err, const u_char *p, size_t len);
static void agg_pb_error_format(agg_pb_error_t *err, const char *fmt,
    va_list args);


#if (AGG_PB_WIDE)

#define agg_pb_wide_of(c)                                                    \
    { AGG_ONES * (c), AGG_ONES * (c), AGG_ONES * (c), AGG_ONES * (c) }


int            agg_pb_wide;

const __m256i  agg_pb_wide_slash = agg_pb_wide_of('\\');
const __m256i  agg_pb_wide_flip = agg_pb_wide_of(0x02);
const __m256i  agg_pb_wide_most = agg_pb_wide_of(0x21);


/* before main(), or as the module is loaded */

static void __attribute__((constructor))
agg_pb_choose_blocks(void)
{
    __builtin_cpu_init();

    agg_pb_wide = __builtin_cpu_supports("avx2")
                  && __builtin_cpu_supports("bmi")
                  && __builtin_cpu_supports("bmi2");
}

#endif


void
agg_pb_error(agg_pb_error_t *err, const char *fmt, ...)
{
    va_list  args;

    err->len = 0;

    va_start(args, fmt);
    agg_pb_error_format(err, fmt, args);
    va_end(args);
}


void
agg_pb_error_add(agg_pb_error_t *err, const char *fmt, ...)
{
    va_list  args;

    va_start(args, fmt);
    agg_pb_error_format(err, fmt, args);
    va_end(args);
}


const u_char *
agg_pb_copy_utf8(const u_char *p, const u_char *end, u_char *dst)
{
    int     valid;
    size_t  n;

    do {

        if (*p >= 0xc2 && *p < 0xe0 && end - p > 1 && p[1] >> 6 == 2) {
            dst[0] = p[0];
            dst[1] = p[1];
            n = 2;

        } else {
            n = gw_utf8_length(p, end, &valid);

            if (*p < 0x80 || !valid) {
                return NULL;
            }

            memcpy(dst, p, n);
        }

        p += n;
        dst += n;

    } while (p < end && *p >= 0x80);

    return p;
}


/* copies whole characters only; invalid bytes become question marks */

static void
agg_pb_error_put(agg_pb_error_t *err, const u_char *p, size_t len)
{
    int            valid;
    size_t         n;
    const u_char  *end;

    if (len == 0) {
        return;
    }

    end = p + len;

    while (p < end) {
        n = 1;
        valid = 1;

        if (*p >= 0x80) {
            n = gw_utf8_length(p, end, &valid);
        }

        if (n > AGG_PB_ERROR_TEXT - err->len) {
            err->len = AGG_PB_ERROR_TEXT;
            return;
        }

        if (valid) {
            memcpy(err->text + err->len, p, n);
            err->len += n;

        } else {
            err->text[err->len++] = '?';
        }

        p += n;
    }
}


static void
agg_pb_error_format(agg_pb_error_t *err, const char *fmt, va_list args)
{
    u_char      c, digits[GW_NUMBER], *end;
    const char *text;
    agg_str_t  *s;

    for ( /* void */ ; *fmt; fmt++) {

        if (*fmt != '%') {
            agg_pb_error_put(err, (const u_char *) fmt, 1);
            continue;
        }

        switch (*++fmt) {

        case 's':
            text = va_arg(args, const char *);
            agg_pb_error_put(err, (const u_char *) text, strlen(text));
            break;

        case 'V':
            s = va_arg(args, agg_str_t *);
            agg_pb_error_put(err, s->data, s->len);
            break;

        case 'c':
            c = (u_char) va_arg(args, int);
            agg_pb_error_put(err, &c, 1);
            break;

        default: /* 'u' */
            end = gw_write_uint(digits, va_arg(args, unsigned));
            agg_pb_error_put(err, digits, (size_t) (end - digits));
        }
    }
}
