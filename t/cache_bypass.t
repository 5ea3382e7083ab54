#!/usr/bin/perl

# aggregate_cache_bypass: not answered from the cache, but kept;
# aggregate_cache_no_store: answered from the cache, but not kept.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;

use Harness;

my $t = Harness->new(plan => 43);

my %n;

my $b = $t->backend('api',
    '/slow/'  => sub {
        my ($q) = @_;
        return { delay => 0.3, body => 'n' . ++$n{$q->{uri}},
                 headers => [ 'Cache-Control' => 'max-age=60' ] };
    },
    '/short/' => sub {
        my ($q) = @_;
        my $i = ++$n{$q->{uri}};
        return { status => $i > 1 ? 500 : 200, body => "n$i", headers =>
                 [ 'Cache-Control' => 'max-age=60, stale-if-error=60' ] };
    },
    '/none/'  => sub {
        my ($q) = @_;
        my $i = ++$n{$q->{uri}};
        return { body => "n$i", headers =>
                 [ 'Cache-Control' => $i == 2 ? 'no-store' : 'max-age=60' ] };
    },
    '/'       => sub {
        my ($q) = @_;
        my ($path) = $q->{uri} =~ /^([^?]*)/;
        return { body => 'n' . ++$n{$path}, headers =>
                 [ 'Cache-Control' => 'max-age=60', ETag => '"e"' ] };
    },
);

$t->run(<<'EOF');

%%GLOBALS%%

worker_processes  2;

events {
}

http {
    %%HTTP%%

    log_format  cache  '$uri $aggregate_cache_status $aggregate_cache_tier';
    access_log  %%TESTDIR%%/cache.log cache;

    aggregate_cache_zone  api 4m;

    # the arguments below are not in it
    aggregate_cache_key   $uri;

    server {
        listen       127.0.0.1:%%PORT_0%%;
        server_name  localhost;

        aggregate_cache           api;
        aggregate_cache_bypass    $http_x_bypass $arg_bypass;
        aggregate_cache_no_store  $http_x_private $arg_private;

        location / {
            proxy_pass  http://127.0.0.1:%%PORT_api%%;
        }

        location /inherits/ {
            aggregate_cache_ttl  / 60s;
            proxy_pass           http://127.0.0.1:%%PORT_api%%;
        }

        location /own/ {
            aggregate_cache_bypass    $arg_other;
            aggregate_cache_no_store  $arg_other;
            proxy_pass                http://127.0.0.1:%%PORT_api%%;
        }

        location /client/ {
            aggregate_cache_bypass  $http_cache_control;
            proxy_pass              http://127.0.0.1:%%PORT_api%%;
        }

        location = /agg {
            aggregate_cache  off;

            aggregate {
                backend a /part/a { encoding string; }
            }
        }

        location = /state {
            aggregate_cache_status;
        }
    }
}

EOF

sub answer {
    my $r = http_get(@_);
    return $r->body . ' ' . $r->header('X-Cache');
}

my @bypass = (headers => [ 'X-Bypass' => 1 ]);
my @private = (headers => [ 'X-Private' => 1 ]);

# bypass

is(answer('/a'), 'n1 MISS', 'a miss');
is(answer('/a'), 'n1 HIT', 'a hit');

my $r = http_get('/a', @bypass);
is($r->body . ' ' . $r->header('X-Cache'), 'n2 BYPASS', 'bypass');
like($r->header('Cache-Status'), qr/^aggregate; fwd=bypass; .*stored/,
     'Cache-Status');
is($r->header('Age'), undef, 'no Age');
is(answer('/a'), 'n2 HIT', 'its response is kept');

is(answer('/a?bypass=1'), 'n3 BYPASS', 'by an argument');
is(answer('/a?bypass=0'), 'n3 HIT', '0 does not');
is(answer('/a?bypass='), 'n3 HIT', 'nor an empty one');
is(answer('/a', headers => [ 'X-Bypass' => 0 ]), 'n3 HIT',
   'nor a header of 0');
is(answer('/a?bypass=0', @bypass), 'n4 BYPASS', 'one of several is enough');
is(answer('/cold', @bypass), 'n1 BYPASS', 'bypass of a cold key');
is(answer('/cold'), 'n1 HIT', 'fills it');

$r = http_request('HEAD', '/a', @bypass);
is($r->status . $r->header('X-Cache'), '200BYPASS', 'HEAD');
is(($b->log('/a'))[-1]{method}, 'HEAD', 'HEAD reaches the backend');
is(answer('/a'), 'n4 HIT', 'and changes nothing');

$r = http_get('/a', headers => [ 'X-Bypass' => 1, 'If-None-Match' => '"x"',
                                 Range => 'bytes=0-0' ]);
is($r->status . $r->body, '206n', 'a range of a bypass');
unlike(($b->log('/a'))[-1]{head}, qr/^(?:range|if-)/im,
       'the whole is asked for');
like(answer('/a'), qr/^n\d+ HIT$/, 'and kept');

# those who bypass wait for nobody, and hold up nobody

my @c = map { $t->connect } 1 .. 4;
$_->request(GET => '/slow/a', close => 1, @bypass) for @c;
my %seen = map { $_->response->body => 1 } @c;
is(join(' ', sort keys %seen), 'n1 n2 n3 n4', 'each asks by itself');
is($b->count('/slow/a'), 4, 'four fetches');
like(answer('/slow/a'), qr/^n[1-4] HIT$/, 'one of them is kept');

# an error is not hidden by what is fresh, what may not be stored ends it

is(answer('/short/a'), 'n1 MISS', 'an entry');
$r = http_get('/short/a', @bypass);
is($r->status . $r->body, '500n2', 'an error is passed on');

is(answer('/none/a'), 'n1 MISS', 'storable');
is(answer('/none/a', @bypass), 'n2 BYPASS', 'no longer');

# no_store

is(answer('/p', @private), 'n1 MISS', 'no_store');
$r = http_get('/p', @private);
is($r->body . ' ' . $r->header('X-Cache'), 'n2 MISS', 'not kept');
unlike($r->header('Cache-Status'), qr/stored/, 'Cache-Status');
is(answer('/p'), 'n3 MISS', 'nor for others');
is(answer('/p'), 'n3 HIT', 'theirs is');
is(answer('/p', @private), 'n3 HIT', 'a hit all the same');
is(answer('/p?private=0', @bypass), 'n4 BYPASS', '0 is stored');
is(answer('/p'), 'n4 HIT', 'indeed');
is(answer('/p', headers => [ 'X-Bypass' => 1, 'X-Private' => 1 ]),
   'n5 BYPASS', 'both');
is(answer('/p'), 'n4 HIT', 'what was there stays');

# inheritance, and a part of an aggregate

is(answer('/inherits/a', @private), 'n1 MISS', 'inherited');
is(answer('/inherits/a'), 'n2 MISS', 'not kept');
answer('/own/a', @private);
is(answer('/own/a', @bypass), 'n1 HIT', 'a location of its own');
is(answer('/own/a?other=1'), 'n2 BYPASS', 'with its own');

answer('/client/a');
is(answer('/client/a', headers => [ 'Cache-Control' => 'no-cache' ]),
   'n2 BYPASS', 'a client may refresh where it is let');

http_get('/agg') for 1 .. 2;
is(http_get('/agg', @bypass)->json->{a}, 'n2', 'of a part');

my ($counted, $logged);
wait_for(sub {
    $counted = http_get('/state')->json->{zones}{api}{bypassed};
    $logged = () = $t->read_file('cache.log') =~ / BYPASS -$/mg;
    return $counted == $logged + 1;
});
is($counted, $logged + 1, 'all counted, and the part');
