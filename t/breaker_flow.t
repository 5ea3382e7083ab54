#!/usr/bin/perl

# A guarded request on its way through nginx: fallbacks, error pages, internal
# redirects, subrequests, HTTP/2, the order of the phases.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;
use Time::HiRes qw(sleep);

use Harness;

my $t = Harness->new(modules => [ 'ngx_http_breaker_module' ]);

my $b = $t->backend('b',
    '/'      => 'fine',
    '/fail'  => { status => 500, body => 'failed' },
    '/ssi'   => { type => 'text/html',
                  body => 'A<!--#include virtual="/in/ok?key=s1" -->'
                        . '<!--#include virtual="/in/ok?key=s2" -->B' },
    '/accel' => { headers => [ 'X-Accel-Redirect' => '/again/ok?key=x' ] },
);

my $dead = $t->dead_port;
my $conf = <<'EOC';

%%GLOBALS%%

worker_processes  2;

events {
}

http {
    %%HTTP%%

    log_format  b  '$request_uri $status $breaker_key $breaker_result';
    access_log  %%TESTDIR%%/b.log b;

    breaker_zone    z 1m;
    breaker_zone    y 1m;
    breaker_policy  p { failure_threshold 1; recovery_timeout 60s; }

    server {
        listen       127.0.0.1:%%PORT_0%%;
        listen       127.0.0.1:%%PORT_h2%% http2;
        server_name  localhost;

        breaker      $arg_key zone=z policy=p;

        location / {
            proxy_pass  http://127.0.0.1:%%PORT_b%%;
        }

        location /json/ {
            breaker_fallback  200 application/json
                              '{"items":[],"of":"$arg_key"}';
            proxy_pass        http://127.0.0.1:%%PORT_b%%/;
        }

        location /code/ {
            breaker_fallback  429;
            error_page        429 =209 /static/page;
            proxy_pass        http://127.0.0.1:%%PORT_b%%/;
        }

        location /empty/ {
            breaker_fallback  204;
            proxy_pass        http://127.0.0.1:%%PORT_b%%/;
        }

        location /named/ {
            breaker_fallback  @fallback;
            proxy_pass        http://127.0.0.1:%%PORT_b%%/;
        }

        location /loop/ {
            breaker_fallback  @loop;
            proxy_pass        http://127.0.0.1:%%PORT_b%%/;
        }

        location /other/ {
            breaker_fallback  @other;
            proxy_pass        http://127.0.0.1:%%PORT_b%%/;
        }

        location /page/ {
            error_page  503 =200 /static/page;
            proxy_pass  http://127.0.0.1:%%PORT_b%%/;
        }

        location /proxied/ {
            error_page  503 = @fallback;
            proxy_pass  http://127.0.0.1:%%PORT_b%%/;
        }

        # the fallback has the breaker of the server as well

        location @fallback {
            rewrite     ^ /fallback break;
            proxy_pass  http://127.0.0.1:%%PORT_b%%;
        }

        location @loop {
            breaker_fallback  @loop;
            breaker     $arg_other zone=z policy=p;
            rewrite     ^ /fail break;
            proxy_pass  http://127.0.0.1:%%PORT_b%%;
        }

        location @other {
            breaker           $arg_other zone=z policy=p;
            breaker_fallback  200 text/plain other;
            rewrite           ^ /fallback break;
            proxy_pass        http://127.0.0.1:%%PORT_b%%;
        }

        location /again/ {
            proxy_pass  http://127.0.0.1:%%PORT_b%%/;
        }

        location /files/ {
            root        %%TESTDIR%%;
            try_files   $uri @fallback;
        }

        location /files2/ {
            root        %%TESTDIR%%;
            try_files   /none =404;
            proxy_pass  http://127.0.0.1:%%PORT_b%%;
        }

        location /ssi {
            ssi         on;
            proxy_pass  http://127.0.0.1:%%PORT_b%%;
        }

        location /in/ {
            proxy_pass  http://127.0.0.1:%%PORT_b%%/;
        }

        location /auth {
            auth_request  /check;
            breaker       off;
            proxy_pass    http://127.0.0.1:%%PORT_b%%/;
        }

        location = /check {
            internal;
            breaker     auth zone=z policy=p;
            proxy_pass  http://127.0.0.1:DEAD;
        }

        location /mirrored {
            mirror      /mirror;
            proxy_pass  http://127.0.0.1:%%PORT_b%%;
        }

        location = /mirror {
            internal;
            rewrite     ^ /copy break;
            proxy_pass  http://127.0.0.1:%%PORT_b%%;
        }

        location /static/ {
            alias         %%TESTDIR%%/;
            default_type  text/plain;
        }

        location = /return {
            return  200 returned;
        }

        location /zone/ {
            breaker     $arg_key zone=y policy=p;
            proxy_pass  http://127.0.0.1:%%PORT_b%%/;
        }

        location = /breakers {
            breaker_status;
        }
    }

    server {
        listen            127.0.0.1:%%PORT_1%%;
        breaker_fallback  403;

        location /inherit/ {
            breaker     inherit zone=z policy=p;
            proxy_pass  http://127.0.0.1:%%PORT_b%%/;
        }

        location /own/ {
            breaker           inherit zone=z policy=p;
            breaker_fallback  404;
            proxy_pass        http://127.0.0.1:%%PORT_b%%/;
        }
    }
}

EOC

$conf =~ s/DEAD/$dead/;

sub row {
    my ($key, $zone) = @_;
    my ($row) = grep { $_->{key} eq $key && $_->{zone} eq ($zone || 'z') }
        @{ http_get('/breakers')->json->{breakers} };
    return $row;
}

sub outcome {
    my ($key) = @_;
    my $row = row($key) or return '-';
    return join ' ', map { ($_) x $row->{outcomes}{$_} }
        qw(success failure slow neutral);
}

# the client may have its response before the worker is done with it
sub is_outcome {
    my ($key, $expected, $name) = @_;
    wait_for(sub { outcome($key) eq $expected }, slow(5));
    is(outcome($key), $expected, $name);
}

$t->plan(69);
$t->write_file('page', 'the page');
$t->write_file('files/a', 'a file');
$t->run($conf);

http_get('/fail?key=a');
is(row('a')->{state}, 'open', 'open');

# the default, and what is not guarded

my $r = http_get('/x?key=a');
is($r->status, 503, 'default: 503');
like($r->header('Retry-After'), qr/^[3-6]\d$/, 'default: Retry-After');
is($r->header('X-Breaker'), 'open', 'default: X-Breaker');
like($r->body, qr/503 Service/, 'default: body');
is(http_request('HEAD', '/x?key=a')->status, 503, 'HEAD');
is(http_get('/static/page?key=a')->body, 'the page', 'static: not guarded');
is(http_get('/return?key=a')->body, 'returned', 'return: not guarded');
is(http_get('/zone/x?key=a')->body, 'fine', 'another zone');
is(http_get('/x?key=b')->body, 'fine', 'another key');
is(http_get('/breakers?key=a')->status, 200, 'nor is the status');

# more keys than a worker remembers, in turn on one connection: every other one
# fails and is open, and the next ones stay apart from it; so do keys that are
# too long and differ at their end

my @keys = (map { chr(ord('A') + $_ % 26) . int($_ / 26) } 0 .. 59);
push @keys, map { 'L' x 280 . $_ } 1 .. 4;

my $many = $t->connect;

my @answers = map {
    my $uri = $_;
    map {
        $many->request(GET => $uri->($_) . "?key=$keys[$_]");
        $many->response->status;
    } 0 .. $#keys;
} sub { $_[0] % 2 ? '/x' : '/fail' }, sub { '/x' }, sub { '/x' };

is(join(' ', @answers[0 .. $#keys]), join(' ', ('500 200') x (@keys / 2)),
   'many keys: every other one fails');
is(join(' ', @answers[@keys .. $#answers]), join(' ', ('503 200') x @keys),
   'many keys: and is open, the others are not');

# a code with a body

$r = http_get('/json/x?key=a');
is($r->status, 200, 'body: status');
is($r->body, '{"items":[],"of":"a"}', 'body: with a variable');
is($r->header('Content-Type'), 'application/json', 'body: type');
is($r->header('X-Breaker'), 'open', 'body: X-Breaker');
is($r->header('Retry-After'), undef, 'body: no Retry-After');

$r = http_request('HEAD', '/json/x?key=a');
is($r->status . $r->header('Content-Length') . $r->body, '20021', 'body: HEAD');

# a request with a body: it is discarded, the connection goes on

my $c = $t->connect;
$c->request(POST => '/json/x?key=a', body => 'x' x 100_000);
$c->request(POST => '/x?key=a', chunked => [ 'abc', 'def' ]);
$c->request(GET => '/return', close => 1);
is(join(' ', map { $c->response->status } 1 .. 3), '200 503 200',
   'POST, pipelined');

# a bare code: error_page applies

$r = http_get('/code/x?key=a');
is($r->status . $r->body, '209the page', 'code: error_page');
is($r->header('X-Breaker'), 'open', 'code: X-Breaker');
is(http_get('/empty/x?key=a')->status, 204, 'code: 204');

# a named location, which inherits the breaker

$b->clear;
$r = http_get('/named/x?key=a');
is($r->body, 'fine', 'named: body');
is($r->header('X-Breaker'), 'open', 'named: X-Breaker');
is(($b->log)[0]{path}, '/fallback', 'named: asked');
is_outcome('a', 'failure', 'named: counts nothing');

# a fallback that fails, in turn guarded by another key

is(http_get('/loop/x?key=a&other=l')->status, 500, 'loop: it fails');
is(row('l')->{state}, 'open', 'loop: and opens its own');
$r = http_get('/loop/x?key=a&other=l');
is($r->status, 503, 'loop: ends with the default');
is(join(',', $r->headers('X-Breaker')), 'open', 'loop: X-Breaker once');
is(http_get('/other/x?key=a&other=l')->body, 'other', 'the other fallback');

# error_page for the default answer

$r = http_get('/page/x?key=a');
is($r->status . $r->body, '200the page', 'error_page: static');
is(http_get('/proxied/x?key=a')->body, 'fine', 'error_page: proxied');

wait_for(sub { $t->read_file('b.log') =~ m{^/proxied/}m }, slow(5));

my $log = $t->read_file('b.log');
like($log, qr{^/page/x\?key=a 200 a reject$}m, 'error_page: result in the log');
like($log, qr{^/proxied/x\?key=a 200 a reject$}m, 'and for the proxied one');
like($log, qr{^/named/x\?key=a 200 a reject$}m, 'and for the named one');

# inheritance

http_get('/inherit/fail', port => $t->port(1));
is(http_get('/inherit/x', port => $t->port(1))->status, 403, 'inherited');
is(http_get('/own/x', port => $t->port(1))->status, 404, 'its own');

# try_files

is(http_get('/files/a?key=c')->body, 'a file', 'try_files: the file');
is_outcome('c', '-', 'try_files: a file is not guarded');
is(http_get('/files/none?key=c')->body, 'fine', 'try_files: the backend');
is_outcome('c', 'success', 'try_files: once');
is(http_get('/files/none?key=a')->status, 503, 'try_files: rejected');
is(http_get('/files/a?key=a')->body, 'a file', 'try_files: not the file');
is(http_get('/files2/x?key=d')->status, 404, 'try_files: a code');
is_outcome('d', '-', 'try_files: took no permit');

# X-Accel-Redirect under one key

is(http_get('/accel?key=x')->body, 'fine', 'X-Accel-Redirect');
is_outcome('x', 'success', 'one outcome for the request');

# subrequests

$r = http_get('/ssi?key=m');
is($r->body, 'AfinefineB', 'ssi');
wait_for(sub { outcome('m') . outcome('s1') . outcome('s2')
               eq 'successsuccesssuccess' }, slow(5));
is(outcome('m') . outcome('s1') . outcome('s2'), 'successsuccesssuccess',
   'ssi: each by its own key');
http_get('/fail?key=s2');
$r = http_get('/ssi?key=m');
like($r->body, qr/^Afine.*503 Service.*B$/s, 'ssi: one is rejected');
is($r->status, 200, 'ssi: the page is not');
is($r->header('X-Breaker'), undef, 'ssi: nor does it say so');

is(http_get('/auth?key=')->status, 500, 'auth_request: down');
is(row('auth')->{state}, 'open', 'auth_request: open');
is(http_get('/auth?key=')->status, 500, 'auth_request: rejected');
is(row('auth')->{rejections}, 1, 'auth_request: counted');

# a mirror has the key of its request

$b->clear;
is(http_get('/mirrored?key=n')->body, 'fine', 'mirror');
ok(wait_for(sub { $b->count('/copy') == 1 }, slow(5)), 'mirror: copied');
ok(wait_for(sub { outcome('n') =~ /success/ }, slow(5)), 'mirror: counted');
is_outcome('n', 'success', 'mirror: not guarded again under the same key');

# HTTP/2

my $nghttp = qx{which nghttp 2>/dev/null};
chomp $nghttp;
die "nghttp is needed: apt-get install nghttp2-client\n" if !$nghttp;

my $url = 'http://127.0.0.1:' . $t->port('h2');
my $out = qx{$nghttp -v '$url/x?key=a' 2>&1};
like($out, qr/:status: 503/, 'h2: rejected');
like($out, qr/x-breaker: open/, 'h2: X-Breaker');
like($out, qr/retry-after: [1-6]\d/, 'h2: Retry-After');

$out = qx{$nghttp -v -m 10 '$url/x?key=h2' 2>&1};
my @ok = $out =~ /:status: 200/g;
is(scalar @ok, 10, 'h2: ten streams');
wait_for(sub { outcome('h2') eq join ' ', ('success') x 10 }, slow(5));
is_outcome('h2', join(' ', ('success') x 10), 'h2: ten outcomes');

qx{$nghttp -n -m 5 '$url/fail?key=h2f' 2>&1};
is(row('h2f')->{state}, 'open', 'h2: opens');
is(row('h2f')->{transitions}, 1, 'h2: once');
