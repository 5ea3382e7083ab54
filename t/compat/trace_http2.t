#!/usr/bin/perl

# The method and the URL of a request that "proxy_pass" sends by HTTP/2, which
# only a newer nginx does, are those that the server got.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";
use Test::More;

use Harness;
use Harness::Otlp;

my ($minor, $patch) = `$ENV{TEST_NGINX_BINARY} -v 2>&1` =~ m{/1\.(\d+)\.(\d+)};

plan skip_all => 'this nginx has no "proxy_http_version 2"'
    if !$minor || $minor * 1000 + $patch < 29_004;

my $t = Harness->new(plan => 15, modules => ['ngx_http_aggregate_module']);

$t->port(0);

my $c = $t->backend('c', '/v1/traces' => { body => '', type => undef });

$t->run(<<'EOC');

%%GLOBALS%%

worker_processes  1;

events {
}

http {
    %%HTTP%%

    large_client_header_buffers  4 64k;

    aggregate_trace_exporter {
        endpoint  http://127.0.0.1:%%PORT_c%%/v1/traces;
        interval  50ms;
    }

    proxy_http_version  2;
    proxy_buffer_size   64k;
    proxy_buffers       8 64k;

    upstream b {
        server 127.0.0.1:%%PORT_1%%;
        keepalive 4;
    }

    server {
        listen           127.0.0.1:%%PORT_0%%;
        server_name      localhost;
        aggregate_trace  on;

        location / { proxy_pass http://b; }

        location /a/ { proxy_pass http://b/other/; }

        location /method/ {
            proxy_method  $arg_method;
            proxy_pass    http://b/m;
        }

        location /variable {
            set         $uri_ /of/a/variable?x=1;
            proxy_pass  http://b$uri_;
        }

        location = /part { aggregate { backend p /a/p%20q?x=$arg_x { } } }
    }

    server {
        listen       127.0.0.1:%%PORT_1%%;
        server_name  b;
        http2        on;
        add_header   Got '$request_method $request_uri';

        location / { return 200 '{"got":"$request_method $request_uri"}'; }
    }
}

EOC

# the span of the upstream, as the server saw it

sub sent {
    my ($method, $uri) = @_;

    $c->clear;

    my $r = http_request($method, $uri);
    my $span;

    wait_for(sub { ($span) = grep { $_->{kind} eq 'CLIENT' } spans($c) },
             slow(5));

    return ($r, $span
            && "$span->{attrs}{'http.request.method'} "
               . $span->{attrs}{'url.full'} =~ s{^http://b}{}r);
}

for my $case ([ GET => '/' ], [ GET => '/plain/path?a=1&b=%20' ],
              [ POST => '/a/b%2fc?d' ], [ DELETE => '/a/long/' . 'x' x 300 ],
              [ PUT => '/~!@$^*|{}/%ff' ], [ GET => '/method/?method=PATCH' ],
              [ GET => '/variable' ], [ GET => '/long/' . 'aZ9~' x 200 ])
{
    my ($r, $sent) = sent(@$case);
    is($sent, $r->header('Got'),
       substr("$case->[0] $case->[1]", 0, 40));
}

my ($r, $sent) = sent(GET => '/part?x=1%2C2');
is($sent, $r->json->{p}{got}, 'a part');

# longer than a frame

($r, $sent) = sent(GET => '/long/' . 'aZ9~' x 6000);
is($r->status, 200, 'a path in two frames');
like($sent, qr{^GET }, 'has a span');

$sent = (sent(HEAD => '/head'))[1];
is($sent, 'HEAD /head', 'HEAD');
$sent = (sent(GET => '/secret?token=x&y=1'))[1];
is($sent, 'GET /secret?token=REDACTED&y=1', 'a secret');
$sent = (sent(GET => '/kept'))[1];
is($sent, 'GET /kept', 'over a kept connection');
is(scalar($t->grep_log(qr/\[error\]/)), 0, 'no error');
