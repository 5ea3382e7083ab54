
/*
 * The rules of RFC 9111 for a shared cache, with RFC 5861 (stale-*) and RFC
 * 9213 (CDN-Cache-Control), and nginx's X-Accel-Expires.
 *
 * Given what a response and its request said, one function tells whether the
 * response may be stored and how long it may be used.  In doubt the answer
 * is no: a value that cannot be read is taken as stale, qualified forms of
 * "private" and "no-cache" as the unqualified ones, and of two equal
 * directives the stricter counts.
 *
 * X-Accel-Expires and a valid CDN-Cache-Control take the place of all of
 * Cache-Control and Expires, "private" and "no-store" too.
 *
 * Responses with Set-Cookie, or with a content coding (the origin was asked
 * for none), are refused although the RFC would allow them.
 */


#include "agg_cache_policy.h"


static void agg_cache_effective(const agg_cache_response_t *resp,
    agg_cache_control_t *cc);
static void agg_cache_keep_control(agg_cache_control_t *cc,
    const agg_cache_freshness_t *fresh);
static agg_cache_reason_e agg_cache_refuse(const agg_cache_response_t *resp,
    const agg_cache_control_t *cc);
static int64_t agg_cache_lifetime(const agg_cache_response_t *resp,
    const agg_cache_control_t *cc, int64_t *age);
static int64_t agg_cache_seconds(int64_t seconds);
static unsigned agg_cache_source(const agg_cache_response_t *resp,
    const agg_cache_control_t *cc);
static void agg_cache_stale(const agg_cache_response_t *resp,
    const agg_cache_control_t *cc, agg_cache_freshness_t *fresh);
static int64_t agg_cache_initial_age(const agg_cache_response_t *resp);


static const char  *agg_cache_reasons[] = {
    "-",
    "method",
    "status",
    "range",
    "no-store",
    "no-cache",
    "request-no-store",
    "private",
    "set-cookie",
    "vary-star",
    "vary",
    "encoded",
    "partial",
    "credentials",
    "no-freshness",
    "stale-on-arrival",
    "configuration",
    "bypass",
    "key",
    "request-body",
    "error",
    "rejected",
    "redirected",
    "subrequests",
    "too-large",
    "header-too-large",
    "incomplete",
    "tags",
    "hit-for-miss",
    "no-room"
};


agg_cache_reason_e
agg_cache_check_storable(const agg_cache_response_t *resp,
    agg_cache_freshness_t *fresh)
{
    int64_t              age, lifetime;
    agg_cache_reason_e   reason;
    agg_cache_control_t  cc;

    agg_cache_effective(resp, &cc);

    reason = agg_cache_refuse(resp, &cc);

    if (reason != AGG_CACHE_STORE) {
        return reason;
    }

    age = (resp->age > 0) ? resp->age : 0;

    if (cc.flags & AGG_CACHE_CC_NO_CACHE) {

        /* kept for its validator only, whatever states its freshness */

        lifetime = 0;

    } else {
        lifetime = agg_cache_lifetime(resp, &cc, &age);
    }

    if (lifetime == AGG_CACHE_UNSET) {
        return AGG_CACHE_NO_FRESHNESS;
    }

    fresh->flags = agg_cache_source(resp, &cc);
    fresh->origin = resp->received - age;
    fresh->fresh = lifetime;

    if (fresh->origin < 0) {

        /* an age beyond the epoch shortens the lifetime */

        fresh->fresh += fresh->origin;
        fresh->fresh = fresh->fresh > 0 ? fresh->fresh : 0;
        fresh->origin = 0;
    }

    agg_cache_stale(resp, &cc, fresh);

    if (agg_cache_control_shared(&cc)) {
        fresh->flags |= AGG_CACHE_SHARED;
    }

    if (!(cc.flags & AGG_CACHE_CC_NO_CACHE)
        && lifetime <= age
        && lifetime + fresh->updating <= age
        && lifetime + fresh->error <= age)
    {
        return AGG_CACHE_NO_STALE;
    }

    return AGG_CACHE_STORE;
}


/*
 * The lifetime that X-Accel-Expires or CDN-Cache-Control stated must survive,
 * as neither header is stored, nor is one that the configuration hides.
 */

void
agg_cache_keep_freshness(agg_cache_response_t *resp,
    const agg_cache_freshness_t *fresh)
{
    if (resp->flags & AGG_CACHE_RESP_ACCEL) {
        return;
    }

    if (fresh->flags & AGG_CACHE_ACCEL) {

        resp->flags |= AGG_CACHE_RESP_ACCEL;
        resp->accel = fresh->fresh;

        if (fresh->flags & AGG_CACHE_ACCEL_UNTIL) {
            resp->flags |= AGG_CACHE_RESP_ACCEL_UNTIL;
            resp->accel += fresh->origin - resp->received;
        }

        return;
    }

    if (resp->flags & AGG_CACHE_RESP_TARGETED) {
        return;
    }

    if (fresh->flags & AGG_CACHE_TARGETED) {

        resp->flags |= AGG_CACHE_RESP_TARGETED;

        agg_cache_control_init(&resp->targeted);
        agg_cache_keep_control(&resp->targeted, fresh);

    } else if ((fresh->flags & AGG_CACHE_STATED)
               && !(resp->flags & (AGG_CACHE_RESP_CONTROL
                                   |AGG_CACHE_RESP_EXPIRES)))
    {
        agg_cache_keep_control(&resp->control, fresh);
    }
}


static void
agg_cache_keep_control(agg_cache_control_t *cc,
    const agg_cache_freshness_t *fresh)
{
    if (fresh->flags & AGG_CACHE_SHARED) {
        cc->flags |= AGG_CACHE_CC_PUBLIC;
    }

    cc->stale_updating = fresh->updating;
    cc->stale_error = fresh->error;

    if (!(fresh->flags & AGG_CACHE_STATED)) {
        return;
    }

    if (fresh->fresh == 0 && fresh->updating == 0 && fresh->error == 0) {

        /* only "no-cache" is stored like this */

        cc->flags |= AGG_CACHE_CC_NO_CACHE;
        return;
    }

    cc->max_age = fresh->fresh;
}


/* the flags for what states the lifetime */

static unsigned
agg_cache_source(const agg_cache_response_t *resp,
    const agg_cache_control_t *cc)
{
    if (resp->flags & AGG_CACHE_RESP_ACCEL) {
        return (resp->flags & AGG_CACHE_RESP_ACCEL_UNTIL)
               ? AGG_CACHE_ACCEL|AGG_CACHE_ACCEL_UNTIL : AGG_CACHE_ACCEL;
    }

    if (resp->flags & AGG_CACHE_RESP_TARGETED) {
        return (cc->max_age != AGG_CACHE_UNSET
                || cc->s_maxage != AGG_CACHE_UNSET
                || (cc->flags & AGG_CACHE_CC_NO_CACHE))
               ? AGG_CACHE_TARGETED|AGG_CACHE_STATED : AGG_CACHE_TARGETED;
    }

    return (cc->max_age != AGG_CACHE_UNSET
            || cc->s_maxage != AGG_CACHE_UNSET
            || (cc->flags & AGG_CACHE_CC_NO_CACHE)
            || (resp->flags & AGG_CACHE_RESP_EXPIRES))
           ? AGG_CACHE_STATED : 0;
}


/* the directives that count */

static void
agg_cache_effective(const agg_cache_response_t *resp, agg_cache_control_t *cc)
{
    if (!(resp->flags & AGG_CACHE_RESP_ACCEL)) {
        *cc = (resp->flags & AGG_CACHE_RESP_TARGETED) ? resp->targeted
                                                      : resp->control;
        return;
    }

    /*
     * X-Accel-Expires says nothing of credentials: "public" does still, where
     * nothing says the opposite
     */

    agg_cache_control_init(cc);

    if (agg_cache_control_shared(&resp->control)
        && !(resp->control.flags & (AGG_CACHE_CC_NO_STORE
                                    |AGG_CACHE_CC_NO_CACHE
                                    |AGG_CACHE_CC_PRIVATE)))
    {
        cc->flags = AGG_CACHE_CC_PUBLIC;
    }
}


static agg_cache_reason_e
agg_cache_refuse(const agg_cache_response_t *resp,
    const agg_cache_control_t *cc)
{
    if (!(resp->flags & AGG_CACHE_RESP_GET)) {
        return AGG_CACHE_NO_METHOD;
    }

    /* 206 is a part, 304 answers another request, 1xx are not final */

    if (resp->status < 200 || resp->status > 599
        || resp->status == 206 || resp->status == 304)
    {
        return AGG_CACHE_NO_STATUS;
    }

    if (resp->flags & AGG_CACHE_RESP_RANGE) {
        return AGG_CACHE_NO_RANGE;
    }

    if (resp->flags & AGG_CACHE_RESP_REQ_NO_STORE) {
        return AGG_CACHE_NO_REQUEST;
    }

    if (cc->flags & AGG_CACHE_CC_NO_STORE) {
        return AGG_CACHE_NO_DIRECTIVE;
    }

    if (cc->flags & AGG_CACHE_CC_PRIVATE) {
        return AGG_CACHE_NO_PRIVATE;
    }

    if ((cc->flags & AGG_CACHE_CC_NO_CACHE)
        && (!(resp->flags & AGG_CACHE_RESP_VALIDATOR) || resp->status != 200))
    {
        return AGG_CACHE_NO_CACHE;
    }

    if (resp->flags & AGG_CACHE_RESP_SET_COOKIE) {
        return AGG_CACHE_NO_SET_COOKIE;
    }

    if (resp->flags & AGG_CACHE_RESP_VARY_ANY) {
        return AGG_CACHE_NO_VARY;
    }

    if (resp->flags & AGG_CACHE_RESP_VARY_MANY) {
        return AGG_CACHE_NO_VARY_MANY;
    }

    if (resp->flags & AGG_CACHE_RESP_ENCODED) {
        return AGG_CACHE_NO_ENCODED;
    }

    if (resp->flags & AGG_CACHE_RESP_PARTIAL) {
        return AGG_CACHE_NO_PARTIAL;
    }

    if ((resp->flags & AGG_CACHE_RESP_CREDENTIALS)
        && !agg_cache_control_shared(cc))
    {
        return AGG_CACHE_NO_CREDENTIALS;
    }

    return AGG_CACHE_STORE;
}


/*
 * The age of what the origin itself says is the one of RFC 9111.  What
 * X-Accel-Expires and the configuration say counts from the arrival, less
 * the Age header, so the origin's clock does not matter.
 */

static int64_t
agg_cache_lifetime(const agg_cache_response_t *resp,
    const agg_cache_control_t *cc, int64_t *age)
{
    int64_t  date, lifetime;

    if (resp->flags & AGG_CACHE_RESP_ACCEL) {

        if (resp->accel <= 0) {
            return AGG_CACHE_UNSET;
        }

        lifetime = resp->accel;

        if (resp->flags & AGG_CACHE_RESP_ACCEL_UNTIL) {
            lifetime += *age;
        }

        return agg_cache_seconds(lifetime);
    }

    if (cc->s_maxage != AGG_CACHE_UNSET) {
        *age = agg_cache_initial_age(resp);
        return cc->s_maxage;
    }

    if (cc->max_age != AGG_CACHE_UNSET) {
        *age = agg_cache_initial_age(resp);
        return cc->max_age;
    }

    if ((resp->flags & AGG_CACHE_RESP_EXPIRES)
        && !(resp->flags & AGG_CACHE_RESP_TARGETED))
    {
        *age = agg_cache_initial_age(resp);

        date = (resp->date == AGG_CACHE_UNSET) ? resp->received : resp->date;

        if (resp->expires <= date) {
            return 0;
        }

        return agg_cache_seconds(resp->expires - date);
    }

    if (resp->valid != AGG_CACHE_UNSET) {
        return resp->valid > 0 ? agg_cache_seconds(resp->valid)
                               : AGG_CACHE_UNSET;
    }

    if (resp->status == 200 && resp->ttl != AGG_CACHE_UNSET) {
        return resp->ttl > 0 ? agg_cache_seconds(resp->ttl)
                             : AGG_CACHE_UNSET;
    }

    return AGG_CACHE_UNSET;
}


/* other nodes refuse an entry with a longer time */

static int64_t
agg_cache_seconds(int64_t seconds)
{
    return seconds > AGG_CACHE_SECONDS_MAX ? AGG_CACHE_SECONDS_MAX : seconds;
}


/* for how long the response may be used when it is stale */

static void
agg_cache_stale(const agg_cache_response_t *resp,
    const agg_cache_control_t *cc, agg_cache_freshness_t *fresh)
{
    fresh->updating = cc->stale_updating;
    fresh->error = cc->stale_error;

    if (cc->s_maxage == AGG_CACHE_UNSET) {

        /* s-maxage is proxy-revalidate as well, so no default for it */

        if (fresh->updating == AGG_CACHE_UNSET) {
            fresh->updating = agg_cache_seconds(resp->stale_updating);
        }

        if (fresh->error == AGG_CACHE_UNSET) {
            fresh->error = agg_cache_seconds(resp->stale_error);
        }
    }

    if (cc->flags & (AGG_CACHE_CC_MUST_REVALIDATE
                     |AGG_CACHE_CC_PROXY_REVALIDATE|AGG_CACHE_CC_NO_CACHE))
    {
        fresh->updating = 0;
        fresh->error = 0;
    }

    if (fresh->updating == AGG_CACHE_UNSET) {
        fresh->updating = 0;
    }

    if (fresh->error == AGG_CACHE_UNSET) {
        fresh->error = 0;
    }
}


static int64_t
agg_cache_initial_age(const agg_cache_response_t *resp)
{
    int64_t  apparent, corrected;

    apparent = 0;

    if (resp->date != AGG_CACHE_UNSET && resp->received > resp->date) {
        apparent = resp->received - resp->date;
    }

    corrected = (resp->age == AGG_CACHE_UNSET) ? resp->delay
                                               : resp->age + resp->delay;

    apparent = agg_cache_seconds(apparent);

    return apparent > corrected ? apparent : corrected;
}


const char *
agg_cache_reason_name(agg_cache_reason_e reason)
{
    return agg_cache_reasons[reason];
}
