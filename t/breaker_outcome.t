#!/usr/bin/perl

# What counts as what: how a guarded request ended, and its one outcome.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;
use Time::HiRes qw(sleep);

use Harness;

my $t = Harness->new(modules => [ 'ngx_http_breaker_module' ]);

my $b = $t->backend('b',
    '/200'     => 'fine',
    '/204'     => { status => 204 },
    '/304'     => { status => 304 },
    '/400'     => { status => 400 },
    '/404'     => { status => 404 },
    '/429'     => { status => 429 },
    '/500'     => { status => 500 },
    '/501'     => { status => 501 },
    '/502'     => { status => 502 },
    '/503'     => { status => 503 },
    '/504'     => { status => 504 },
    '/reset'   => { action => 'reset' },
    '/close'   => { action => 'close' },
    '/hang'    => { action => 'hang' },
    '/bad'     => { raw => "HTTP/1.1 200 OK\r\n\0: x\r\n\r\n" },
    '/cut'     => { body => 'x' x 1000, cut => 10 },
    '/chunk'   => { raw => "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n"
                         . "\r\n5\r\nhe" },
    '/stall'   => { body => 'x' x 1000, cut => 10, after => 'hang' },
    '/late'    => { delay => slow(0.3), body => 'late' },
    '/late500' => { delay => slow(0.3), status => 500 },
    '/drip'    => { body => 'abcdef', drip => 0.1 },
    '/drip500' => { status => 500, body => 'abcdef', drip => 0.1 },
    '/accel'   => { headers => [ 'X-Accel-Redirect' => '/static/a.txt' ] },
    '/accel500' => { status => 500,
                     headers => [ 'X-Accel-Redirect' => '/static/a.txt' ] },
    '/cached'  => { headers => [ 'Cache-Control' => 'max-age=60' ],
                    body => 'cached' },
    '/stale'   => [ { headers => [ 'Cache-Control' => 'max-age=1' ],
                      body => 'first' }, { status => 500 } ],
);

my $up = $t->backend('up',
    '/ws' => { raw => "HTTP/1.1 101 Switching Protocols\r\n"
                    . "Upgrade: x\r\nConnection: upgrade\r\n\r\nhello",
               after => 'hang' },
);

my $dead = $t->dead_port;
my $conf = <<'EOC';

%%GLOBALS%%

worker_processes  2;

events {
}

http {
    %%HTTP%%

    breaker_zone  z 1m;

    breaker_policy p {
        failure_threshold  0;
        failure_rate       0;
        slow_call          SLOW_CALL;
        slow_rate          80%;
        minimum_calls      100000;
    }

    breaker_policy list {
        failure_threshold  0;
        failure_rate       0;
        minimum_calls      100000;
        failures           timeout http_404;
    }

    proxy_cache_path  %%TESTDIR%%/cache keys_zone=c:1m;

    upstream tries {
        server  127.0.0.1:DEAD max_fails=0;
        server  127.0.0.1:%%PORT_b%% backup max_fails=0;
    }

    upstream gone {
        server  127.0.0.1:DEAD down;
    }

    breaker $arg_key zone=z policy=p;

    server {
        listen       127.0.0.1:%%PORT_0%%;
        server_name  localhost;

        proxy_read_timeout     READ_TIMEOUT;
        proxy_connect_timeout  READ_TIMEOUT;
        proxy_http_version     1.1;
        proxy_set_header       Connection "";

        location /b/ {
            proxy_pass  http://127.0.0.1:%%PORT_b%%/;
        }

        location /unbuffered/ {
            proxy_buffering  off;
            proxy_pass       http://127.0.0.1:%%PORT_b%%/;
        }

        location /list/ {
            breaker     $arg_key zone=z policy=list;
            proxy_pass  http://127.0.0.1:%%PORT_b%%/;
        }

        location /dead {
            proxy_pass  http://127.0.0.1:DEAD;
        }

        location /gone {
            proxy_pass  http://gone;
        }

        location /noname {
            set $host_of nowhere.invalid;
            proxy_pass  http://$host_of;
        }

        location /tries/ {
            proxy_pass  http://tries/;
        }

        location /tries500/ {
            proxy_next_upstream  error http_500;
            proxy_pass           http://tries/;
        }

        location /ws {
            proxy_set_header  Upgrade x;
            proxy_set_header  Connection upgrade;
            proxy_read_timeout  5s;
            proxy_pass        http://127.0.0.1:%%PORT_up%%;
        }

        location /intercept/ {
            proxy_intercept_errors  on;
            error_page  500 502 504 =200 /static/a.txt;
            error_page  404 =  @named;
            proxy_pass  http://127.0.0.1:%%PORT_b%%/;
        }

        location /page/ {
            error_page  502 504 /static/a.txt;
            proxy_pass  http://127.0.0.1:%%PORT_b%%/;
        }

        location /pagedead {
            error_page  502 =200 /static/a.txt;
            proxy_pass  http://127.0.0.1:DEAD;
        }

        location /second {
            error_page  502 = @second;
            proxy_pass  http://127.0.0.1:DEAD;
        }

        location @second {
            rewrite     ^ /200 break;
            proxy_pass  http://127.0.0.1:%%PORT_b%%;
        }

        location /return {
            error_page  502 =203 @return;
            proxy_pass  http://127.0.0.1:DEAD;
        }

        location @return {
            return  200 returned;
        }

        location @named {
            return  200 named;
        }

        location /cache/ {
            proxy_cache            c;
            proxy_cache_valid      200 1m;
            proxy_cache_key        $uri;
            proxy_cache_use_stale  error timeout http_500;
            proxy_pass             http://127.0.0.1:%%PORT_b%%/;
        }

        location /static/ {
            root  %%TESTDIR%%;
        }

        location /answer {
            return  500 answered;
        }

        location /denied {
            deny        all;
            proxy_pass  http://127.0.0.1:%%PORT_b%%/200;
        }

        location = /breakers {
            breaker     off;
            breaker_status;
        }
    }
}

EOC

$conf =~ s/DEAD/$dead/g;
$conf =~ s/SLOW_CALL/int(slow(200)) . 'ms'/e;
$conf =~ s/READ_TIMEOUT/int(slow(500)) . 'ms'/eg;

sub outcome {
    my ($key) = @_;
    my ($row) = grep { $_->{key} eq $key }
        @{ http_get('/breakers')->json->{breakers} };
    return '-' if !$row;
    my $o = $row->{outcomes};
    return join(' ', map { ($_) x $o->{$_} } qw(success failure slow neutral))
        . ($row->{slow} && !$o->{slow} ? ' (slow)' : '');
}

# the client may have its response before the worker is done with it
sub is_outcome {
    my ($key, $expected, $name) = @_;
    wait_for(sub { outcome($key) eq $expected }, slow(5));
    is(outcome($key), $expected, $name);
}

# uri, status seen, outcome

my @rows = (
    [ '/b/200', 200, 'success' ],
    [ '/b/204', 204, 'success' ],
    [ '/b/304', 304, 'success' ],
    [ '/b/400', 400, 'success' ],
    [ '/b/404', 404, 'success' ],
    [ '/b/429', 429, 'success' ],
    [ '/b/501', 501, 'success' ],
    [ '/b/500', 500, 'failure' ],
    [ '/b/502', 502, 'failure' ],
    [ '/b/503', 503, 'failure' ],
    [ '/b/504', 504, 'failure' ],
    [ '/b/reset', 502, 'failure' ],
    [ '/b/close', 502, 'failure' ],
    [ '/b/bad', 502, 'failure' ],
    [ '/b/hang', 504, 'failure (slow)' ],
    [ '/b/late', 200, 'slow' ],
    [ '/b/late500', 500, 'failure (slow)' ],
    [ '/b/drip', 200, 'success' ],
    [ '/b/cut', 200, 'failure' ],
    [ '/b/chunk', 200, 'failure' ],
    [ '/b/stall', 200, 'failure' ],
    [ '/unbuffered/200', 200, 'success' ],
    [ '/unbuffered/cut', 200, 'failure' ],
    [ '/unbuffered/stall', 200, 'failure' ],
    [ '/dead', 502, 'failure' ],
    [ '/gone', 502, 'failure' ],
    [ '/noname', 502, 'failure' ],

    [ '/list/404', 404, 'failure' ],
    [ '/list/500', 500, 'success' ],
    [ '/list/reset', 502, 'success' ],
    [ '/list/hang', 504, 'failure' ],

    [ '/tries/200', 200, 'success' ],
    [ '/tries/500', 500, 'failure' ],
    [ '/tries500/500', 500, 'failure' ],

    [ '/intercept/500', 200, 'failure' ],
    [ '/intercept/404', 200, 'success' ],
    [ '/intercept/hang', 200, 'failure (slow)' ],
    [ '/page/reset', 502, 'failure' ],
    [ '/page/hang', 504, 'failure (slow)' ],
    [ '/pagedead', 200, 'failure' ],
    [ '/return', 203, 'failure' ],
    [ '/second', 200, 'success' ],

    [ '/b/accel', 200, 'success' ],
    [ '/b/accel500', 200, 'failure' ],

    [ '/static/a.txt', 200, '-' ],
    [ '/answer', 500, '-' ],
    [ '/denied', 403, '-' ],
);

$t->plan(2 * @rows + 20);
$t->write_file('static/a.txt', 'a file');
$t->run($conf);

my $n = 0;

for my $row (@rows) {
    my ($uri, $status, $expected) = @$row;
    my $key = 'k' . ++$n;

    is(http_get("$uri?key=$key")->status, $status, "$uri: status");

    is_outcome($key, $expected, "$uri: $expected");
}

# POST with a body, read before and while it is sent on

is(http_request('POST', '/b/200?key=post', body => 'x' x 100_000)->status,
   200, 'post');
is_outcome('post', 'success', 'post: success');

# an empty key, and one that is not there

is(http_get('/b/500?key=')->status, 500, 'empty key');
is(http_get('/b/500')->status, 500, 'no key');
is_outcome('', '-', 'not guarded');

# a cache: the fill counts, hits are neutral

http_get('/cache/cached?key=fill');
is_outcome('fill', 'success', 'cache fill');
is(http_get('/cache/cached?key=hit')->body, 'cached', 'cache hit');
is_outcome('hit', 'neutral', 'cache hit: neutral');
http_get('/cache/stale?key=first');
sleep 2.1;
is(http_get('/cache/stale?key=stale')->body, 'first', 'stale on error');
is_outcome('stale', 'failure', 'stale on error: failure');

# the client goes away

sub leave {
    my ($uri, $key, $after) = @_;
    my $c = $t->connect;
    $c->request(GET => "$uri?key=$key");
    sleep $after;
    close $c->socket;
    return wait_for(sub { outcome($key) ne '' && outcome($key) ne '-' },
                    slow(5));
}

leave('/b/late', 'gone', 0.05);
is_outcome('gone', 'neutral', 'client gone');
leave('/b/hang', 'gonelate', slow(0.35));
is_outcome('gonelate', 'slow', 'client gone after slow_call');
leave('/b/drip', 'gonebody', slow(0.15));
is_outcome('gonebody', 'neutral', 'client gone in the body');
leave('/b/drip500', 'gone500', slow(0.15));
is_outcome('gone500', 'failure', 'client gone in the body of a 500');

# an upgraded connection is settled at once

my $c = $t->connect;
$c->request(GET => '/ws?key=ws', headers => [ Connection => 'upgrade',
                                             Upgrade => 'x' ]);
ok(wait_for(sub { outcome('ws') eq 'success' }, slow(5)), 'upgraded: success');
close $c->socket;
sleep 0.2;
is_outcome('ws', 'success', 'and once only');

# pipelined: one outcome each

$c = $t->connect;
$c->request(GET => '/b/200?key=pipe') for 1 .. 3;
$c->request(GET => '/b/500?key=pipe', close => 1);
is(join(' ', map { $c->response->status } 1 .. 4), '200 200 200 500',
   'pipelined');
wait_for(sub { outcome('pipe') =~ /failure/ }, slow(5));
is_outcome('pipe', 'success success success failure', 'pipelined: outcomes');

# HEAD

is(http_request('HEAD', '/b/500?key=head')->status, 500, 'HEAD');
is_outcome('head', 'failure', 'HEAD: failure');
