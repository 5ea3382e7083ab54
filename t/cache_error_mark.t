#!/usr/bin/perl

# After an error that a stale entry stood in for, requests do not wait for
# each other for a while: each one asks the backend, and gets the entry.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;
use Time::HiRes qw(time sleep);

use Harness;

my $t = Harness->new(plan => 4);

my %n;
my $delay = slow(0.6);

$t->backend('api',
    '/' => sub {
        my ($q) = @_;
        return { status => 500, body => 'bad', delay => $delay }
            if $n{$q->{uri}}++;
        return { body => 'good', headers =>
                 [ 'Cache-Control' => 'max-age=1, stale-if-error=60' ] };
    },
);

$t->run(<<'EOF');

%%GLOBALS%%

events {
}

http {
    %%HTTP%%

    aggregate_cache_zone  api 1m;

    server {
        listen       127.0.0.1:%%PORT_0%%;
        server_name  localhost;

        location / {
            aggregate_cache  api;
            proxy_pass       http://127.0.0.1:%%PORT_api%%;
        }
    }
}

EOF

is(http_get('/a')->body, 'good', 'stored');
sleep(2.1);
is(http_get('/a')->header('X-Cache'), 'STALE', 'an error: the entry');

my $start = time();
my @clients = map { $t->connect } 1 .. 4;
$_->request(GET => '/a') for @clients;

is(join(' ', map { $_->response->header('X-Cache') } @clients),
   'STALE STALE STALE STALE', 'others get it too');
cmp_ok(time() - $start, '<', 2.5 * $delay, 'side by side');
