
/*
 * Text that people and programs read, made of bytes that may be anything:
 * names in configurations, keys, routes, headers.
 *
 * A function that escapes writes at dst, which must have room for len times
 * the factor that stands beside it, and returns the end of what it wrote.
 * Valid and printable UTF-8 stays as it is, except in gw_show(); the bytes of
 * anything else (control characters, C1 and DEL among them, and whatever is
 * not UTF-8) are written as \xHH.  Time is linear in len.
 */


#ifndef _GW_TEXT_H_INCLUDED_
#define _GW_TEXT_H_INCLUDED_


#include <stddef.h>
#include <stdint.h>


#pragma GCC visibility push(hidden)


typedef uint8_t *(*gw_escape_pt)(uint8_t *dst, const uint8_t *src, size_t len);


/* for a log line: all but printable ASCII, and the backslash, as \xHH */

#define GW_SHOW  ((size_t) 4)
uint8_t *gw_show(uint8_t *dst, const uint8_t *src, size_t len);

/*
 * The text between the quotes of a JSON string; control characters of ASCII
 * as JSON has them, so that only bytes that JSON cannot hold become \xHH.
 */

#define GW_JSON  ((size_t) 6)
uint8_t *gw_escape_json(uint8_t *dst, const uint8_t *src, size_t len);

/* for a text or a quoted attribute of HTML */

#define GW_HTML  ((size_t) 6)
uint8_t *gw_escape_html(uint8_t *dst, const uint8_t *src, size_t len);

/* the text between the quotes of a label's value in Prometheus' formats */

#define GW_LABEL  ((size_t) 5)
uint8_t *gw_escape_label(uint8_t *dst, const uint8_t *src, size_t len);

/* percent-encoded as one component of a query */

#define GW_QUERY  ((size_t) 3)
uint8_t *gw_escape_query(uint8_t *dst, const uint8_t *src, size_t len);


/* len, or the last end of a character at or before max when len is above it */
size_t gw_cut(const uint8_t *src, size_t len, size_t max);

/*
 * The length of the character at p < end, which is not ASCII; where it is no
 * UTF-8, *valid is 0 and the length is that of the part to replace as one.
 */
unsigned gw_utf8_length(const uint8_t *p, const uint8_t *end, int *valid);


/*
 * The known name that is nearest to a mistyped one, by the least number of
 * letters changed, added, left out or swapped with a neighbour.  The item of
 * the first of the nearest is kept; NULL: nothing is near enough, which is
 * when more than a third of the letters and one are wrong, or all of them.
 */

#define GW_NAME_MAX  64

typedef struct {
    const uint8_t  *name;
    size_t          len;
    unsigned        limit;
    const void     *item;
} gw_nearest_t;


void gw_nearest_init(gw_nearest_t *nearest, const uint8_t *name, size_t len);
void gw_nearest_try(gw_nearest_t *nearest, const uint8_t *name, size_t len,
    const void *item);

/* the same for a list of names that ends with NULL */
const char *gw_nearest(const char *const *names, const uint8_t *name,
    size_t len);


#pragma GCC visibility pop


#endif /* _GW_TEXT_H_INCLUDED_ */
