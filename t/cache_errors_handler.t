#!/usr/bin/perl

# "stale-if-error" with errors of a handler that has no upstream: each 5xx is
# one, and a 404 is not.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;

use Harness;

my $t = Harness->new;
my $load = $t->load_others(qw(ndk_http_module ngx_http_lua_module));

plan(skip_all => 'no lua module') if !$load;

my @errors = (408, 429, 500, 501, 502, 503, 504, 505, 520);

$t->plan(@errors + 1);

$t->run(<<"EOF");
%%GLOBALS%%
$load
events { }
http {
    %%HTTP%%
    aggregate_cache_zone z 1m;
    server {
        listen       127.0.0.1:%%PORT_0%%;
        server_name  localhost;
        location / {
            aggregate_cache     z;
            aggregate_cache_key \$uri;
            content_by_lua_block {
                ngx.status = tonumber(ngx.var.arg_s)
                ngx.header["Cache-Control"] =
                    "max-age=1, stale-if-error=600"
                ngx.say(ngx.var.arg_s)
            }
        }
    }
}
EOF

http_get("/$_?s=200") for @errors, 404;
sleep 2;
is(http_get("/$_?s=$_")->body, "200\n", "instead of a $_") for @errors;
is(http_get('/404?s=404')->body, "404\n", 'a 404');
