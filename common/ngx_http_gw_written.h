
/*
 * The directives in "http" as they are written, with file and line, and their
 * levels: main, servers, locations. nginx discards both when it merges
 * configurations, but warnings need them.
 *
 * While "http" is parsed, the setters of nginx's directives are replaced by
 * ours, which record the directives that warnings may name.  The command tables
 * are restored when the temporary pool is destroyed.  Each of the two modules
 * has its own record, and one may be on top of the other.
 */


#ifndef _NGX_HTTP_GW_WRITTEN_H_INCLUDED_
#define _NGX_HTTP_GW_WRITTEN_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>


#pragma GCC visibility push(hidden)


typedef struct {
    void                     **conf;       /* the level's loc_conf */
    ngx_uint_t                 number;     /* in the order of the files */
    ngx_str_t                  name;
    ngx_str_t                  value;      /* the first argument */
    ngx_str_t                  file;
    ngx_uint_t                 line;
    unsigned                   handler:1;  /* has set the content handler */
} ngx_http_gw_written_t;


/* Angie 1.3.0: locations of several names have one configuration */

#if (angie_version >= 1003000)
#define ngx_http_gw_location_t           ngx_http_core_loc_t
#define ngx_http_gw_location_conf(loc)   (loc)->conf
#else
#define ngx_http_gw_location_t           ngx_http_core_loc_conf_t
#define ngx_http_gw_location_conf(loc)   (loc)
#endif


typedef struct ngx_http_gw_level_s  ngx_http_gw_level_t;

struct ngx_http_gw_level_s {
    ngx_str_t                  name;       /* a location's */
#if (NGX_PCRE)
    ngx_http_regex_t          *regex;      /* or NULL */
#endif
    void                     **conf;
    ngx_http_core_loc_conf_t  *clcf;
    ngx_http_gw_level_t       *parent;     /* NULL: main */
    ngx_http_gw_level_t       *server;     /* NULL: main; itself: a server */
    ngx_http_gw_written_t     *written;    /* in the order of the files */
    ngx_uint_t                 nwritten;
    ngx_uint_t                 nested;     /* locations in it */
    unsigned                   exact:1;
    unsigned                   noregex:1;
    unsigned                   named:1;
    unsigned                   marks:2;    /* for the caller */
};


/* to be called in preconfiguration */

ngx_int_t ngx_http_gw_record(ngx_conf_t *cf);

/*
 * To be called in postconfiguration: returns pointers to all levels, each after
 * its parent, and regular expressions in their order, in the temporary pool.
 * NULL: there is no memory.
 */

ngx_array_t *ngx_http_gw_levels(ngx_conf_t *cf);

/*
 * To be called in postconfiguration: logs the error that nginx would log about
 * an undefined variable in one of our directives, with the line of the
 * directive.
 */

ngx_int_t ngx_http_gw_check_variables(ngx_conf_t *cf);

/* the first directive of that name at the level itself, or NULL */

ngx_http_gw_written_t *ngx_http_gw_find(ngx_http_gw_level_t *level,
    const char *name);

/*
 * whether the directive restricts access in the access phase, and is not "off"
 */

ngx_uint_t ngx_http_gw_is_access(ngx_http_gw_written_t *written);

/* whether the directive adds to responses, except to those of subrequests */

ngx_uint_t ngx_http_gw_is_addition(ngx_http_gw_written_t *written);

/* whether access to the location is restricted, there or at a level above */

ngx_uint_t ngx_http_gw_is_restricted(ngx_http_gw_level_t *level);

/*
 * the "return" of the level or of its server, which is executed first, or NULL
 */

ngx_http_gw_written_t *ngx_http_gw_returns(ngx_http_gw_level_t *level);

/* the directive whose handler serves the location, or NULL */

ngx_http_gw_written_t *ngx_http_gw_answers(ngx_http_gw_level_t *level);

/*
 * Logs the second line of an error about an undefined name, if a known name is
 * near; "near" is the result of gw_nearest_try(), or NULL.
 */

void ngx_http_gw_did_you_mean(ngx_conf_t *cf, const ngx_str_t *near,
    ngx_str_t *name, u_char *file, ngx_uint_t line);

/* to be called in setters: warns about a time without a unit, such as "500" */

void ngx_http_gw_warn_time(ngx_conf_t *cf, ngx_str_t *value);


#pragma GCC visibility pop


#endif /* _NGX_HTTP_GW_WRITTEN_H_INCLUDED_ */
