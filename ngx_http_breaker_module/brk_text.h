
/*
 * Text that people and programs read: keys, which may hold any byte, in a form
 * that is safe in a log line, JSON, HTML and Prometheus, and the nearest known
 * name for a typo.
 */


#ifndef _BRK_TEXT_H_INCLUDED_
#define _BRK_TEXT_H_INCLUDED_


#include <stddef.h>
#include <stdint.h>


#pragma GCC visibility push(hidden)


#define BRK_NAME_MAX  64


/* each returns the end of what it wrote, up to so many bytes for one */

#define BRK_SHOW   ((size_t) 4)
#define BRK_HTML   ((size_t) 6)
#define BRK_LABEL  ((size_t) 2)
#define BRK_QUERY  ((size_t) 3)

/* every byte but printable ASCII, and the backslash, as \xHH */
uint8_t *brk_text_show(uint8_t *dst, const uint8_t *src, size_t len);

/* for a text or attribute of HTML, for a label value of Prometheus */
uint8_t *brk_text_html(uint8_t *dst, const uint8_t *src, size_t len);
uint8_t *brk_text_label(uint8_t *dst, const uint8_t *src, size_t len);

/* percent-encoded as one component of a query */
uint8_t *brk_text_query(uint8_t *dst, const uint8_t *src, size_t len);

/*
 * The name of the list (NULL at its end) that is nearest to what was written,
 * by the least number of letters changed, added, left out or swapped; NULL:
 * nothing is near enough.
 */
const char *brk_text_nearest(const char *const *names, const uint8_t *name,
    size_t len);


#pragma GCC visibility pop


#endif /* _BRK_TEXT_H_INCLUDED_ */
