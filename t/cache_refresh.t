#!/usr/bin/perl

# Refreshes in the background, where the configuration is in their way: in "if"
# blocks, with a lingering close, on a graceful exit.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;
use Time::HiRes qw(time sleep);

use Harness;

my $t = Harness->new(plan => 24);

my @stale = (headers => [ 'Cache-Control' =>
             'max-age=1, stale-while-revalidate=600' ]);

my %n;

my $b = $t->backend('api',
    '/' => sub { my ($q) = @_;
                 return { body => 'n' . ++$n{$q->{path}}, @stale } },
    '/once/' => sub { my ($q) = @_;
                      return { body => 'n' . ++$n{$q->{path}},
                               $n{$q->{path}} > 1 ? @stale : () } },
);

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
        lingering_close  always;

        location / {
            proxy_pass  http://127.0.0.1:%%PORT_api%%;
        }

        location /if/ {
            if ($arg_debug) {
                set $debug 1;
            }

            proxy_pass  http://127.0.0.1:%%PORT_api%%;
        }

        location /limit/ {
            limit_except POST {
                allow all;
            }

            proxy_pass  http://127.0.0.1:%%PORT_api%%;
        }

        location /nested/ {
            location ~ ^/nested/(?<name>\w+)$ {
                if ($name) {
                    set $x $name;
                }

                proxy_pass  http://127.0.0.1:%%PORT_api%%;
            }
        }

        location /direct/ {
            root      %%TESTDIR%%;
            directio  512;
            aggregate_cache_valid  60s;
        }

        location = /stub {
            aggregate_cache  off;
            stub_status;
        }
    }
}

EOF

my @uris = map { "/if/a?debug=$_" } 0, 1;
push @uris, '/limit/a', '/nested/a';

http_get($_) for @uris, map { "/many/$_" } 1 .. 100;

for my $uri (@uris) {
    my ($path) = $uri =~ /^([^?]+)/;

    ok(wait_for(sub { http_get($uri)->header('X-Cache') eq 'STALE' }, 5),
       "$uri, stale");

    my %seen;

    ok(wait_for(sub { my $r = http_get($uri);
                      $seen{$r->header('X-Cache')} = 1;
                      $r->header('X-Cache') eq 'HIT' && $r->body ne 'n1' }, 5),
       "$uri, refreshed");
    ok(!$seen{MISS}, "$uri, by its handler");
}

# the first response is not stored, which is forgotten when the next one is

is(http_get('/once/a')->header('X-Cache'), 'MISS', 'not stored');
is(http_get('/once/a')->body, 'n2', 'stored');
ok(wait_for(sub { http_get('/once/a')->body eq 'n3' }, 5),
   'refreshed within a minute');

# more refreshes than there may be at once, all of them with a lingering close

my $start = time;

ok(wait_for(sub {
    http_get("/many/$_") for grep { $b->count("/many/$_") < 2 } 1 .. 100;
    return !grep { $b->count("/many/$_") < 2 } 1 .. 100;
}, 10), 'a hundred refreshes');
cmp_ok(time - $start, '<', Harness::slow(4), 'none of them lingers');

ok(wait_for(sub { $t->stub_status('/stub')->{active} == 1 }, 3),
   'no connection is left');

# an unaligned buffer

$t->write_file('direct/a', 'x' x 5000);
is(length http_get('/direct/a')->body, 5000, 'direct reads');
my $r = http_get('/direct/a');
is($r->header('X-Cache') . length $r->body, 'HIT5000', 'stored');

# a graceful exit has nothing to wait for, not even a backend that hangs

sleep(1.1);
is(http_get('/many/1')->header('X-Cache'), 'STALE', 'a refresh');

$b->set("/many/$_" => { action => 'hang' }) for 2 .. 9;
$b->clear;
http_get("/many/$_") for 2 .. 9;
ok(wait_for(sub { $b->stats->{requests} >= 8 }, 5), 'refreshes that hang');

my ($worker) = $t->workers;
$t->allow_worker_exit;
$start = time;
$t->signal('QUIT');
ok(wait_for(sub { !kill 0, $worker }, 10), 'it exits');
cmp_ok(time - $start, '<', Harness::slow(3), 'at once');
