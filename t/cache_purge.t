#!/usr/bin/perl

# Purges: by URI, key, tag, prefix, all; hard and soft; against fills.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;
use Time::HiRes qw(sleep);

use Harness;

my $t = Harness->new(plan => 50);

my %n;

my $b = $t->backend('api',
    '/slow/' => sub {
        my ($q) = @_;
        return { delay => 0.4, body => 'n' . ++$n{$q->{uri}}, headers =>
                 [ 'Cache-Control' => 'max-age=60' ] };
    },
    '/lang/' => sub {
        my ($q) = @_;
        return { body => 'n' . ++$n{$q->{uri}}, headers =>
                 [ 'Cache-Control' => 'max-age=60', Vary => 'X-Lang' ] };
    },
    '/soft/' => sub {
        my ($q) = @_;
        return { body => 'n' . ++$n{$q->{uri}}, headers =>
                 [ 'Cache-Control' => 'max-age=60, '
                   . 'stale-while-revalidate=30' ] };
    },
    '/' => sub {
        my ($q) = @_;
        my ($tags) = ($q->{args} || '') =~ /tags=([\w,]+)/;
        ($tags = $tags || '') =~ tr/,/ /;
        return { body => 'n' . ++$n{$q->{uri}}, headers =>
                 [ 'Cache-Control' => 'max-age=60',
                   'Surrogate-Key' => $tags ] };
    },
);

$t->run(<<'EOF');

%%GLOBALS%%

worker_processes  2;

events {
}

http {
    %%HTTP%%

    aggregate_cache_zone  api 4m;

    server {
        listen       127.0.0.1:%%PORT_0%%;
        server_name  localhost;

        add_header  X-Key $aggregate_cache_key;

        location / {
            aggregate_cache           api;
            aggregate_cache_identity  $http_x_user;
            aggregate_cache_tags      $upstream_http_surrogate_key;
            proxy_pass                http://127.0.0.1:%%PORT_api%%;
        }

        location = /purge {
            aggregate_cache_purge  api;
        }

        location = /state {
            aggregate_cache_status;
        }
    }
}

EOF

sub fresh {
    my ($uri, @headers) = @_;
    return http_get($uri, headers => [ @headers ])->header('X-Cache') eq 'HIT';
}

sub warm { http_get($_) for @_ }

sub purge {
    my ($args, %o) = @_;
    return http_request('POST', "/purge?$args", %o);
}

# by URI: all variants, identities

warm('/a', '/b');
http_get('/a', headers => [ 'X-User' => $_ ]) for qw(alice bob);
ok(fresh('/a') && fresh('/a', 'X-User' => 'bob'), 'kept');

my $r = purge('uri=/a');
is($r->status, 200, 'purged');
is_deeply($r->json, { soft => JSON::PP::false, purged =>
    { uris => 1, keys => 0, tags => 0, prefixes => 0,
      all => 0 } }, 'answer');
ok(!fresh('/a'), 'gone');
ok(!fresh('/a', 'X-User' => 'alice'), 'for alice');
ok(!fresh('/a', 'X-User' => 'bob'), 'for bob');
ok(fresh('/b'), 'another one stays');
ok(fresh('/a'), 'kept again');

http_get('/lang/a', headers => [ 'X-Lang' => $_ ]) for qw(de fr);
ok(fresh('/lang/a', 'X-Lang' => 'fr'), 'variants');
purge('uri=/lang/a');
ok(!fresh('/lang/a', 'X-Lang' => $_), "variant $_") for qw(de fr);

warm('/q?b=1&a=2', '/q');
purge('uri=/q%3Fa%3D2%26b%3D1');
ok(!fresh('/q?b=1&a=2'), 'arguments in any order');
ok(fresh('/q'), 'without them it is another');

warm('/e%20x');
purge('uri=/e%2520x');
ok(!fresh('/e%20x'), 'an encoded path');

warm('/a');
purge('uri=https://any.example/a');
ok(!fresh('/a'), 'an absolute URI');

# by key

my $key = http_get('/b')->header('X-Key');
like($key, qr/^[0-9a-f]{64}$/, 'the key');
purge("key=$key");
ok(!fresh('/b'), 'by key');

# by tag

warm('/t1?tags=x,y', '/t2?tags=y', '/t3?tags=xy');
purge('tag=x');
ok(!fresh('/t1?tags=x,y'), 'the tag');
ok(fresh('/t2?tags=y') && fresh('/t3?tags=xy'), 'other tags');
purge('tag=y');
ok(!fresh('/t1?tags=x,y') && !fresh('/t2?tags=y'), 'one of several tags');

# by prefix

warm('/p/1', '/p/q/2', '/pp');
purge('prefix=/p/q/');
ok(fresh('/p/1') && !fresh('/p/q/2'), 'the prefix');
purge('prefix=/p/');
ok(!fresh('/p/1') && !fresh('/p/q/2'), 'a shorter one');
ok(fresh('/pp'), 'ends at a slash');

# all, several at once

warm('/a', '/b');
purge('all=1');
ok(!fresh('/a') && !fresh('/b'), 'all');
$r = purge('uri=/a&tag=z')->json->{purged};
is("$r->{uris} $r->{tags}", '1 1', 'two at once');

# soft

warm('/soft/a');
purge('uri=/soft/a&soft=1');
is(http_get('/soft/a')->header('X-Cache'), 'STALE', 'soft');
ok(wait_for(sub { my $r = http_get('/soft/a');
    $r->header('X-Cache') eq 'HIT' && $r->body eq 'n2' }, 5), 'refreshed');

warm('/a');
purge('uri=/a&soft=1');
is(http_get('/a')->header('X-Cache'), 'MISS', 'soft, where none is allowed');

# a fill that was under way when the purge came

my $c = $t->connect;
$c->request(GET => '/slow/a');
ok(wait_for(sub { $b->count('/slow/a') == 1 }), 'a fill is under way');
purge('uri=/slow/a');
is($c->response->body, 'n1', 'it is delivered');
is(http_get('/slow/a')->body, 'n2', 'but not kept');
ok(fresh('/slow/a'), 'what came after it is');

# what is refused

is(http_get('/purge?all=1')->status, 405, 'GET');
is(http_get('/purge?all=1')->header('Allow'), 'POST, DELETE', 'Allow');
is(http_request('DELETE', '/purge?uri=/x')->status, 200, 'DELETE');
is(purge($_)->status, 400, "\"$_\"")
    for '', 'key=12', 'prefix=/a', 'uri=a', 'all=0';
for ([ Origin => 'http://evil.example' ], [ Origin => 'null' ],
     [ Origin => 'x:/alocalhost' ], [ 'Sec-Fetch-Site' => 'same-site' ],
     [ Origin => 'http://localhost', Origin => 'http://evil.example' ])
{
    is(purge('all=1', headers => $_)->status, 403, "foreign: @$_");
}

for ([ Origin => 'http://localhost' ], [ Origin => 'https://LOCALHOST' ],
     [ 'Sec-Fetch-Site' => 'same-origin' ], [ 'Sec-Fetch-Site' => 'none' ])
{
    is(purge('uri=/none', headers => $_)->status, 200, "our own: @$_");
}

# many purges: the table is full, nothing purged comes back

warm('/full');
purge('uri=/full');
my $p = $t->connect;
for my $i (1 .. 6000) {
    $p->request(POST => "/purge?tag=t$i");
    $p->response;
}
ok(!fresh('/full'), 'still gone after 6000 others');
