
#include "ngx_http_aggregate_owner.h"


ngx_http_post_subrequest_pt  ngx_http_aggregate_owner_handler;
