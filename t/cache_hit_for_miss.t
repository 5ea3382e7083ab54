#!/usr/bin/perl

# Clients do not wait for each other where the response of a location is not
# stored, whatever the reason is.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;

use Harness;

my $wait = slow(0.3);
my @fresh = ('Cache-Control' => 'max-age=60');

my %cases = (
    file     => { headers => [ 'X-Accel-Redirect' => '/internal/file' ] },
    proxied  => { headers => [ 'X-Accel-Redirect' => '/internal/proxied' ] },
    returned => { headers => [ 'X-Accel-Redirect' => '/internal/returned' ] },
    missing  => { status => 404 },
    named    => { status => 404 },
    failed   => { status => 500 },
    cut      => { body => 'x' x 100, cut => 50, headers => [ @fresh ] },
    chunks   => { body => 'x' x 100, chunked => 1, cut => 50,
                  headers => [ @fresh ] },
);

my @names = sort keys %cases;

my $t = Harness->new(plan => 2 * @names + 4);

my $serve = sub {
    my ($q) = @_;
    my ($name) = $q->{path} =~ m{/(\w+)$};

    return { body => 'inner' } if $q->{path} =~ m{^/internal/};
    return { %{ $cases{$name} }, delay => $wait };
};

my $b = $t->backend('api', '/' => $serve);

$t->write_file('file', "file\n");

$t->run(<<'EOF');

%%GLOBALS%%

worker_processes  1;

events {
}

http {
    %%HTTP%%

    aggregate_cache_zone  api 4m;

    server {
        listen       127.0.0.1:%%PORT_0%%;
        server_name  localhost;

        aggregate_cache         api;
        proxy_intercept_errors  on;
        error_page  404 500 = /internal/returned;

        location / {
            proxy_pass  http://127.0.0.1:%%PORT_api%%;
        }

        location ~ ^/(part/)?named$ {
            error_page  404 = @named;
            proxy_pass  http://127.0.0.1:%%PORT_api%%;
        }

        location @named {
            return  200 named;
        }

        location /internal/ {
            internal;
            aggregate_cache  off;
            root  %%TESTDIR%%;
            try_files  /file =404;
        }

        location /internal/proxied {
            internal;
            aggregate_cache  off;
            proxy_pass  http://127.0.0.1:%%PORT_api%%;
        }

        location /internal/returned {
            internal;
            return  200 returned;
        }
    }
}

EOF

# the most requests that the backend has at once, of so many clients

sub parallel {
    my ($uri, $n) = @_;

    $b->clear;

    my @clients = map { $t->connect } 1 .. $n;
    $_->request(GET => $uri, close => 1) for @clients;
    $_->response for @clients;

    return $b->stats->{parallel};
}

for my $name (@names) {
    my $r = http_get("/$name");

    is($r->status, 200, "$name, status");
    is(parallel("/$name", 4), 4, "$name, at once");
}

# a request that is not locked says nothing about the next ones

for my $request ([ HEAD => '/head/file' ], [ HEAD => '/head/missing' ],
                 [ GET => '/get/file' ], [ GET => '/get/missing' ])
{
    my ($method, $uri) = @$request;

    http_request($method => $uri,
                 headers => [ 'Cache-Control' => 'no-store' ]);
    cmp_ok(parallel($uri, 4), '<', 4, "$uri, not yet");
}
