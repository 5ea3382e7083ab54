#!/usr/bin/perl

# The breaker's directives in every context that nginx copies or merges: "if" of
# a server and of a location, "limit_except", nested, named and regex locations;
# and copies of guarded requests, which inherit their handlers.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;

use Harness;

my $t = Harness->new(modules => [ 'ngx_http_breaker_module' ]);

my $b = $t->backend('b',
    '/'      => 'fine',
    '/fail'  => { status => 500 },
    '/short' => [ { headers => [ 'Cache-Control' => 'max-age=1' ],
                    body => 'first' },
                  { headers => [ 'Cache-Control' => 'max-age=60' ],
                    body => 'second' } ],
);

$t->write_file('www/big.txt', join '', map { sprintf "%09d\n", $_ } 0 .. 999);

my $conf = <<'EOC';

%%GLOBALS%%

worker_processes  1;

events {
}

http {
    %%HTTP%%

    breaker_zone  z 1m;

    breaker_policy p {
        failure_threshold  1;
    }

    proxy_cache_path  %%TESTDIR%%/cache keys_zone=c:1m;

    breaker_fallback  503 text/plain "open";

    server {
        listen       127.0.0.1:%%PORT_0%%;
        server_name  localhost;

        if ($http_x_debug) {
            set $debug on;
        }

        location /plain/ {
            breaker     $arg_key zone=z policy=p;
            proxy_pass  http://127.0.0.1:%%PORT_b%%/;
            add_header  X-Result $breaker_result always;
        }

        location /if/ {
            breaker     $arg_key zone=z policy=p;
            proxy_pass  http://127.0.0.1:%%PORT_b%%/;
            add_header  X-Result $breaker_result always;

            if ($arg_key) {
                set $x 1;
            }
        }

        location /limit/ {
            breaker     $arg_key zone=z policy=p;
            proxy_pass  http://127.0.0.1:%%PORT_b%%/;
            add_header  X-Result $breaker_result always;

            limit_except GET {
                allow all;
            }
        }

        location /both/ {
            breaker     $arg_key zone=z policy=p;
            proxy_pass  http://127.0.0.1:%%PORT_b%%/;
            add_header  X-Result $breaker_result always;

            limit_except GET {
                allow all;
            }

            if ($arg_key) {
                set $x 1;
            }
        }

        location /outer/ {
            breaker     $arg_key zone=z policy=p;
            add_header  X-Result $breaker_result always;

            location /outer/inner/ {
                proxy_pass  http://127.0.0.1:%%PORT_b%%/;
            }
        }

        location ~ ^/regex/(?<rest>.*)$ {
            breaker     $arg_key zone=z policy=p;
            proxy_pass  http://127.0.0.1:%%PORT_b%%/$rest;
            add_header  X-Result $breaker_result always;
        }

        location /named/ {
            rewrite    ^/named(/.*)$ $1 break;
            try_files  /none @named;
        }

        location @named {
            breaker     $arg_key zone=z policy=p;
            proxy_pass  http://127.0.0.1:%%PORT_b%%;
            add_header  X-Result $breaker_result always;
        }

        location = /update {
            breaker                       one zone=z policy=p;
            proxy_cache                   c;
            proxy_cache_key               $uri;
            proxy_cache_use_stale         updating;
            proxy_cache_background_update on;
            proxy_pass                    http://127.0.0.1:%%PORT_b%%/short;
            add_header  X-Cache $upstream_cache_status always;

            if ($http_host) {
                set $x 1;
            }
        }

        location /slice/ {
            breaker            two zone=z policy=p;
            slice              1000;
            proxy_cache        c;
            proxy_cache_key    $uri$slice_range;
            proxy_cache_valid  200 206 1h;
            proxy_set_header   Range $slice_range;
            proxy_pass         http://127.0.0.1:%%PORT_0%%/www/;

            if ($http_host) {
                set $x 1;
            }
        }

        location /www/ {
            alias  %%TESTDIR%%/www/;
        }

        location = /status {
            breaker_status;

            limit_except GET {
                deny all;
            }

            if ($arg_x) {
                set $x 1;
            }
        }

        location = /breakers {
            breaker_status;

            limit_except GET {
                allow 127.0.0.1;
                deny all;
            }
        }

        location /nested {
            breaker_status;

            location /nested/below {
                return 200 below;
            }

            location /nested/files {
                root  %%TESTDIR%%;
            }
        }
    }
}

EOC

my @places = qw(plain if limit both outer/inner regex named);

$t->plan(4 * @places + 17);
$t->run($conf);

for my $place (@places) {
    my $key = $place =~ s{/}{}gr;

    my $r = http_get("/$place/?key=$key");
    is($r->status . $r->header('X-Result'), '200pass', "$place: guarded");
    is(http_request(POST => "/$place/?key=$key", body => 'x')->body, 'fine',
       "$place: POST");
    is(http_get("/$place/fail?key=$key")->status, 500, "$place: a failure");
    $r = http_get("/$place/?key=$key");
    is($r->status . $r->body, '503open', "$place: open");
}

# copies of a guarded request

is(http_get('/update')->body, 'first', 'cached');
ok(wait_for(sub { http_get('/update')->header('X-Cache') ne 'HIT' }, slow(5)),
   'stale');
ok(wait_for(sub { http_get('/update')->body eq 'second' }, slow(5)),
   'updated in the background, in spite of "if"');

my $r = http_get('/slice/big.txt');
is(length $r->body, 10000, 'all slices');
is($r->body, $t->read_file('www/big.txt'), 'in order');

# the status page

is(http_get('/status')->status, 200, 'GET');
is(http_get('/status?x=1')->header('Content-Type'), 'application/json',
   'with a true "if"');
is(http_request(POST => '/status?key=plain&action=reset')->status, 403,
   'POST is denied by limit_except');
is(http_request(DELETE => '/status')->status, 403, 'and DELETE');
is(http_request(POST => '/breakers?key=plain&action=reset')->status, 200,
   'POST where limit_except allows it');
is(http_get('/breakers?key=plain')->json->{breakers}[0]{state}, 'closed',
   'and it has worked');
is(http_request(DELETE => '/breakers')->status, 405, 'DELETE is refused');
is(http_request(POST => '/breakers?x=1&key=if&action=reset')->status, 200,
   'again');
is(http_get('/nested')->status, 200, 'around other locations');
is(http_get('/nested/below')->body, 'below', 'which are their own');
is(http_get('/nested/files/big.txt')->status, 404, 'files too');
is(scalar($t->grep_log(qr/\[alert\]|no handler/)), 0, 'nothing is lost');
