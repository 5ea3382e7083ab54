
/*
 * The format that a scraper prefers, by its Accept header (RFC 9110, 12.5.1).
 * OpenMetrics only where it is named, in version 1.0.0 or in none, and not
 * with a lower quality than the text format.  Time is linear in len.
 */


#ifndef AGG_METRICS_ACCEPT_H_INCLUDED
#define AGG_METRICS_ACCEPT_H_INCLUDED


#include <stddef.h>
#include <stdint.h>


#pragma GCC visibility push(hidden)


/* 1: OpenMetrics */
int agg_metrics_openmetrics(const uint8_t *accept, size_t len);


#pragma GCC visibility pop


#endif /* AGG_METRICS_ACCEPT_H_INCLUDED */
