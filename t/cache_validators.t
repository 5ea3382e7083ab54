#!/usr/bin/perl

# A 304 renews the stored response only if it is about that one: otherwise the
# response is fetched anew.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;

use Harness;

my $t = Harness->new(plan => 39);

my $date = 'Wed, 01 Jan 2020 00:00:00 GMT';
my $later = 'Thu, 02 Jan 2020 00:00:00 GMT';

# the validators of the stored response, and those of the 304

my %cases = (
    same      => [ [ ETag => '"a"' ], [ ETag => '"a"' ], 1 ],
    none      => [ [ ETag => '"a"' ], [], 1 ],
    weak      => [ [ ETag => '"a"' ], [ ETag => 'W/"a"' ], 1 ],
    weaker    => [ [ ETag => 'W/"a"' ], [ ETag => 'W/"a"' ], 1 ],
    time      => [ [ 'Last-Modified' => $date ],
                   [ 'Last-Modified' => $date ], 1 ],
    strong    => [ [ ETag => '"a"' ], [ ETag => '"b"' ], 0 ],
    weakother => [ [ ETag => 'W/"a"' ], [ ETag => 'W/"b"' ], 0 ],
    added     => [ [ 'Last-Modified' => $date ],
                   [ ETag => '"b"', 'Last-Modified' => $date ], 0 ],
    later     => [ [ 'Last-Modified' => $date ],
                   [ 'Last-Modified' => $later ], 0 ],
);

my $serve = sub {
    my ($q) = @_;
    my ($name) = $q->{path} =~ m{/(\w+?)(?:/two|/slow)?$};
    my ($old, $new) = @{ $cases{$name} };
    my $stale = $q->{path} =~ m{^/swr/} ? ', stale-while-revalidate=60' : '';
    my @control = ('Cache-Control' => "max-age=1$stale");
    my $asked = grep { $_->[0] =~ /^if-/i } @{ $q->{headers} };

    our %seen;

    return { status => 304, headers => [ @control, @$new ] } if $asked;
    return { body => 'new', headers => [ 'Cache-Control' => 'max-age=60',
                                         @$new ],
             delay => $q->{path} =~ /slow/ ? 1 : 0 } if $seen{$q->{path}}++;
    return { body => 'old', headers => [ @control, @$old ] };
};

my $b = $t->backend('api', '/' => $serve);

$t->run(<<'EOF');

%%GLOBALS%%

worker_processes  1;

events {
}

http {
    %%HTTP%%

    aggregate_cache_zone  api 8m;

    server {
        listen       127.0.0.1:%%PORT_0%%;
        server_name  localhost;

        aggregate_cache  api;

        location / {
            proxy_pass  http://127.0.0.1:%%PORT_api%%;
        }

        location ~ ^/agg/(?<name>.*) {
            aggregate_cache  off;
            aggregate {
                backend one /part/$name { encoding string; }
                backend two /part/$name/two { encoding string; }
            }
        }

        location ~ ^/hurry/(?<name>.*) {
            aggregate_cache  off;
            aggregate {
                timeout  150ms;
                backend one /part/$name/slow { encoding string; }
            }
        }

        location /unbuffered/ {
            proxy_buffering  off;
            proxy_pass  http://127.0.0.1:%%PORT_api%%;
        }

        location = /stub {
            aggregate_cache  off;
            stub_status;
        }
    }
}

EOF

my @names = sort keys %cases;

http_get($_) for map { ("/api/$_", "/unbuffered/$_", "/swr/$_") } @names;
http_get($_) for qw(/agg/strong /agg/added /part/strong/slow);

# all are: on a busy machine the last one may have come with an age

my $filled = time();

ok(wait_for(sub { time() - $filled > 2
                  && http_get("/swr/$names[-1]")->header('X-Cache')
                     eq 'STALE' }, slow(5)), 'stale by now');

for my $name (@names) {
    my $renewed = $cases{$name}[2];

    for my $where ('api', 'unbuffered') {
        my $c = $t->connect;
        $c->request(GET => "/$where/$name");
        my $r = $c->response;

        is($r->body . ' ' . $r->header('X-Cache'),
           $renewed ? 'old REVALIDATED' : 'new MISS', "$where, $name");

        next if $renewed || $where eq 'api';

        $c->request(GET => "/$where/$name");
        $r = $c->response;
        is($r->body . ' ' . $r->header('X-Cache'), 'new HIT',
           "$where, $name, stored");
    }

    # in the background

    ok(wait_for(sub { my $r = http_get("/swr/$name");
                      $r->body eq ($renewed ? 'old' : 'new')
                      && $r->header('X-Cache') eq 'HIT' }, 5),
       "$name, refreshed");
}

# as a part, whose owner waits

for my $name (qw(strong added)) {
    my $c = $t->connect;
    $c->request(GET => "/agg/$name");
    is($c->response->body, '{"one":"new","two":"new"}', "part, $name");
    $c->request(GET => "/agg/$name");
    is($c->response->body, '{"one":"new","two":"new"}', "part, $name, again");
}

my $hurried = $t->connect;
$hurried->request(GET => '/hurry/strong');
is($hurried->response->status, 504, 'a part that is too late by then');
$hurried->request(GET => '/agg/strong');
is($hurried->response->body, '{"one":"new","two":"new"}', 'and the next one');
$hurried->close;

ok(wait_for(sub { $t->stub_status('/stub')->{active} == 1 }, 5),
   'no connection is left');
