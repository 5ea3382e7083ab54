
/*
 * Text for people and programs, from any bytes: names in configurations, keys,
 * routes, headers.
 *
 * A function that escapes writes at dst, which must have room for len times the
 * factor next to it, and returns the end.  Valid and printable UTF-8 is copied,
 * except in gw_show(); any other bytes (control characters including C1 and
 * DEL, and invalid UTF-8) are written as \xHH.  Time is linear in len.
 */


#ifndef _GW_TEXT_H_INCLUDED_
#define _GW_TEXT_H_INCLUDED_


#include <stddef.h>
#include <stdint.h>


#pragma GCC visibility push(hidden)


typedef uint8_t *(*gw_escape_pt)(uint8_t *dst, const uint8_t *src, size_t len);


/* for log lines: escapes all but printable ASCII, and the backslash, as \xHH */

#define GW_SHOW  ((size_t) 4)
uint8_t *gw_show(uint8_t *dst, const uint8_t *src, size_t len);

/*
 * The text between the quotes of a JSON string.  ASCII control characters get
 * the escapes of JSON, so that only bytes that JSON cannot represent become
 * \xHH.
 */

#define GW_JSON  ((size_t) 6)
uint8_t *gw_escape_json(uint8_t *dst, const uint8_t *src, size_t len);

/* for text or a quoted attribute in HTML */

#define GW_HTML  ((size_t) 6)
uint8_t *gw_escape_html(uint8_t *dst, const uint8_t *src, size_t len);

/* the text between the quotes of a label's value in Prometheus' formats */

#define GW_LABEL  ((size_t) 5)
uint8_t *gw_escape_label(uint8_t *dst, const uint8_t *src, size_t len);

/* percent-encoded as one component of a query */

#define GW_QUERY  ((size_t) 3)
uint8_t *gw_escape_query(uint8_t *dst, const uint8_t *src, size_t len);


/* len, or the last end of a character at or before max if len is larger */
size_t gw_cut(const uint8_t *src, size_t len, size_t max);

/*
 * The length of the character at p < end, which is not ASCII.  If it is
 * invalid, *valid is 0, and the length is that of the part to be replaced.
 */
unsigned gw_utf8_length(const uint8_t *p, const uint8_t *end, int *valid);


/*
 * Finds the known name that is nearest to a mistyped one, by the number of
 * letters that are changed, added, missing, or swapped with a neighbour.  Of
 * equally near names the first one is kept.  NULL: no name is near enough, that
 * is, more than a third of the letters plus one differ, or all of them.
 */

#define GW_NAME_MAX  64

typedef struct {
    const uint8_t  *name;
    size_t          len;
    unsigned        limit;
    const void     *item;
} gw_nearest_t;


/* compares names one by one; those longer than GW_NAME_MAX are skipped */
void gw_nearest_init(gw_nearest_t *nearest, const uint8_t *name, size_t len);
void gw_nearest_try(gw_nearest_t *nearest, const uint8_t *name, size_t len,
    const void *item);

/* the same for a list of names, which ends with NULL */
const char *gw_nearest(const char *const *names, const uint8_t *name,
    size_t len);


#pragma GCC visibility pop


#endif /* _GW_TEXT_H_INCLUDED_ */
