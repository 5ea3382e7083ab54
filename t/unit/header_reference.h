
/* a field line of a header, taken a byte at a time as nginx takes it */


#ifndef HEADER_REFERENCE_H_INCLUDED
#define HEADER_REFERENCE_H_INCLUDED


#include "agg_header_line.h"


/* "name: value CR LF" at p; 0: nginx parses it in another way */

static inline int
header_reference(agg_header_line_t *line, size_t *len, u_char *p, u_char *end)
{
    u_char  *start, *last;

    for (start = p; p < end && *p != ':'; p++) {
        if (!((*p >= 'a' && *p <= 'z') || (*p >= 'A' && *p <= 'Z')
              || (*p >= '0' && *p <= '9') || *p == '-'))
        {
            return 0;
        }
    }

    *len = (size_t) (p - start);

    if (p == end || p == start) {
        return 0;
    }

    for (p++; p < end && *p == ' '; p++) { /* void */ }

    line->value.data = p;

    for (last = p; p < end && *p != '\r'; p++) {

        if (*p == '\n' || *p == '\0') {
            return 0;
        }

        if (*p != ' ') {
            last = p + 1;
        }
    }

    if (end - p < 2 || p[1] != '\n') {
        return 0;
    }

    line->value.len = (size_t) (last - line->value.data);
    line->next = p + 2;

    return 1;
}


#endif /* HEADER_REFERENCE_H_INCLUDED */
