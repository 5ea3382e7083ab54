
/*
 * Header values of any kind: bounded results, and nothing read outside.
 *
 * sources: cache/agg_cache_policy.c
 * sources: cache/agg_cache_key.c
 */

#include <stdlib.h>
#include <string.h>

#include "agg_cache_policy.h"


int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);


static void
need(int ok)
{
    if (!ok) {
        abort();
    }
}


static void
check_judge(agg_cache_response_t *resp)
{
    agg_cache_freshness_t  fresh;

    resp->received = 1000000;

    if (agg_cache_check_storable(resp, &fresh) != AGG_CACHE_STORE) {
        return;
    }

    need(fresh.fresh >= 0 && fresh.fresh <= AGG_CACHE_SECONDS_MAX);
    need(fresh.updating >= 0 && fresh.updating <= AGG_CACHE_SECONDS_MAX);
    need(fresh.error >= 0 && fresh.error <= AGG_CACHE_SECONDS_MAX);
    need(fresh.origin <= resp->received);

    need(!(resp->flags & (AGG_CACHE_RESP_SET_COOKIE|AGG_CACHE_RESP_VARY_ANY
                          |AGG_CACHE_RESP_PARTIAL)));
    need(!(resp->flags & AGG_CACHE_RESP_CREDENTIALS)
         || (fresh.flags & AGG_CACHE_SHARED));
    need((resp->flags & (AGG_CACHE_RESP_TARGETED|AGG_CACHE_RESP_ACCEL))
         || !(resp->control.flags & (AGG_CACHE_CC_PRIVATE
                                     |AGG_CACHE_CC_NO_STORE)));
}


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    int                   n;
    size_t                count;
    u_char               *text, *buf, *p;
    agg_cache_str_t       line, names[AGG_CACHE_VARY_MAX], *list;
    agg_cache_response_t  resp;

    if (size < 4) {
        return 0;
    }

    memset(&resp, 0, sizeof(resp));

    resp.flags = data[0] | (unsigned) (data[1] & 0x06) << 8;
    resp.status = 200 + data[2];
    resp.age = (int8_t) data[3];
    resp.accel = data[3];
    resp.expires = 1000000 + data[2];
    resp.date = AGG_CACHE_UNSET;
    resp.valid = (int8_t) data[1];
    resp.ttl = 60;
    resp.stale_updating = AGG_CACHE_UNSET;
    resp.stale_error = 10;

    size -= 4;
    text = malloc(size + 1);
    memcpy(text, data + 4, size);

    agg_cache_control_init(&resp.control);
    agg_cache_control_parse(&resp.control, text, size);
    check_judge(&resp);

    if (agg_cache_targeted_parse(&resp.targeted, text, size) == 0) {
        resp.flags |= AGG_CACHE_RESP_TARGETED;
        check_judge(&resp);
    }

    line.data = text;
    line.len = size;
    buf = malloc(size + 1);
    p = buf;

    n = agg_cache_vary_add(names, 0, &line, "accept-encoding\0", &p);
    need(n <= AGG_CACHE_VARY_MAX && p <= buf + size);

    free(buf);

    count = agg_cache_args_count(&line);
    list = calloc(count + 1, sizeof(agg_cache_str_t));
    buf = malloc(size + 4);

    agg_cache_args_sort(&line, list, count);
    need(agg_cache_args_write(buf, list, count, size) == buf + size + 4
         || (count == 0 && size == 0));

    free(buf);
    free(list);
    free(text);

    return 0;
}
