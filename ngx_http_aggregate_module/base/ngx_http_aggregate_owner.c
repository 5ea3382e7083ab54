
#include "ngx_http_aggregate_owner.h"


ngx_http_post_subrequest_pt  ngx_http_aggregate_owner_handler;

ngx_uint_t  (*ngx_http_aggregate_owner_gone)(ngx_http_request_t *sr);
ngx_uint_t  (*ngx_http_aggregate_owner_deadline)(ngx_http_request_t *r,
    ngx_msec_t *deadline);
