#!/usr/bin/perl

# Responses that consist of several: what the handler sends by subrequests is
# not seen whole, so it is not stored; what filters add, they add to a hit too.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;
use Time::HiRes qw(sleep);

use Harness;


my @uris = ([ '/ssi', 'HIT', '-' ], [ '/ssi/many', 'HIT', '-' ],
            [ '/added', 'HIT', '-' ], [ '/ssi/cached', 'HIT', '-' ]);

my @echoed = ([ '/echo', 'MISS', 'subrequests' ],
              [ '/async', 'MISS', 'subrequests' ],
              [ '/last', 'MISS', 'subrequests' ],
              [ '/two', 'MISS', 'subrequests' ],
              [ '/plain', 'HIT', '-' ]);

my @sizes = (1, 100, 2000, 20000);

my $t = Harness->new;

my (%n, @large);

my @fresh = (headers => [ 'Cache-Control' => 'max-age=60' ]);

my $b = $t->backend('api',
    '/ssi'        => { body => 'a<!--# include virtual="/in/1" -->b'
                       . '<!--# include virtual="/in/2" -->c',
                       type => 'text/html', @fresh },
    '/ssi/many'   => { body => 'a<!--# include virtual="/in/1" -->' x 300,
                       type => 'text/html', drip => 0.001,
                       drip_bytes => 1000, @fresh },
    '/ssi/cached' => { body => 'a<!--# include virtual="/kept/1" -->b',
                       type => 'text/html', @fresh },
    '/added'      => { body => 'main', type => 'text/html', @fresh },
    '/renewed/'   => sub {
        my ($q) = @_;
        my ($size) = $q->{uri} =~ /(\d+)/;

        return { status => 304, headers => [ ETag => '"1"' ] }
            if grep { lc $_->[0] eq 'if-none-match' } @{ $q->{headers} };

        return { body => 'm' x $size, type => 'text/html', headers =>
                 [ 'Cache-Control' => 'no-cache', ETag => '"1"' ] };
    },
    '/replaced/'  => sub {
        my ($q) = @_;
        my ($size) = $q->{uri} =~ /(\d+)/;

        return $n{$q->{uri}}++
            ? { status => 503, body => 'busy' x 5000, drip => 0.01,
                drip_bytes => 5000, type => 'text/html' }
            : { body => 'm' x $size, type => 'text/html', headers =>
                [ 'Cache-Control' => 'max-age=1, stale-if-error=60' ] };
    },
    '/large/'     => sub {
        my ($q) = @_;
        my ($digit) = $q->{uri} =~ /(\d)$/;
        return { body => '"' . $digit x 5000 . '"', @fresh };
    },
    '/in/'        => { body => '[in]', delay => 0.02, type => 'text/html' },
    '/kept/'      => { body => '[kept]', type => 'text/html', @fresh },
);

my $load = $t->load_others('ngx_http_echo_module');

push @uris, @echoed if $load;
$t->plan(4 * @uris + 4 * @sizes + 5);

$t->run($load . <<'EOF'

%%GLOBALS%%

worker_processes  1;

events {
}

http {
    %%HTTP%%

    aggregate_cache_zone  api 8m;
    log_format  reason  '$uri $aggregate_cache_status $aggregate_cache_reason';

    server {
        listen       127.0.0.1:%%PORT_0%%;
        server_name  localhost;

        access_log   %%TESTDIR%%/reason.log reason;

        location / {
            aggregate_cache  api;
            ssi              on;
            proxy_pass  http://127.0.0.1:%%PORT_api%%;
        }

        location /added {
            aggregate_cache      api;
            add_before_body      /in/1;
            add_after_body       /in/2;
            proxy_pass  http://127.0.0.1:%%PORT_api%%;
        }

        location ~ ^/(?:renewed|replaced)/ {
            aggregate_cache      api;
            add_before_body      /in/1;
            add_after_body       /in/2;
            proxy_pass  http://127.0.0.1:%%PORT_api%%;
        }

        location /large/ {
            aggregate_cache  api;
            proxy_pass  http://127.0.0.1:%%PORT_api%%;
        }

        location /large/slow/ {
            aggregate_cache  api;
            limit_rate       4k;
            proxy_pass  http://127.0.0.1:%%PORT_api%%;
        }

        location = /large {
            aggregate {
                backend a /large/1 { }
                backend b /large/2 { }
                backend c /large/3 { }
            }
        }

        location /in/ {
            proxy_pass  http://127.0.0.1:%%PORT_api%%;
        }

EOF
    . ($load ? <<'EOF' : '') . <<'EOF');
        aggregate_cache_valid  60s;

        location = /echo {
            aggregate_cache  api;
            echo             a;
            echo_location    /in/1;
            echo             b;
        }

        location = /two {
            aggregate_cache  api;
            echo_location    /in/1;
            echo_location    /in/2;
        }

        location = /last {
            aggregate_cache  api;
            echo             a;
            echo_location    /in/1;
        }

        location = /async {
            aggregate_cache       api;
            echo                  a;
            echo_location_async   /in/1;
            echo_location_async   /in/2;
            echo                  b;
        }

        location = /plain {
            aggregate_cache  api;
            echo             a;
            echo             b;
        }
EOF
        location = /stub {
            stub_status;
        }
    }
}

EOF

for my $case (@uris) {
    my ($uri, $status, $reason) = @$case;
    my @r = map { http_get($uri) } 1 .. 3;

    is($r[0]->status, 200, "$uri, 200");
    is($r[1]->body, $r[0]->body, "$uri, the second is as the first");
    is($r[2]->header('X-Cache'), $status, "$uri, $status");

    my $why = qr{^\Q$uri\E \w+ \Q$reason\E$}m;
    like($t->read_when('reason.log', $why), $why, "$uri, why");
}

# the entry in the place of a response, whose end is sent by a filter

my @replaced = map { my $way = $_; map { "/$way/$_" } @sizes }
    qw(renewed replaced);

http_get($_) for @replaced;
sleep 2.1;

for my $uri (@replaced) {
    my $r = http_get($uri);
    my ($size) = $uri =~ /(\d+)/;

    is($r->header('X-Cache'), $uri =~ /renewed/ ? 'REVALIDATED' : 'STALE',
        $uri);
    ok($r->body eq '[in]' . 'm' x $size . '[in]', "$uri, whole");
}

# entries that are larger than a block of a pool, at once

@large = map { http_get('/large')->body } 1 .. 3;

is($large[0], '{"a":"' . 1 x 5000 . '","b":"' . 2 x 5000 . '","c":"'
   . 3 x 5000 . '"}', 'large parts');
is($large[2], $large[0], 'which are hits');

http_get("/large/slow/$_") for 4, 5;

my @slow = map { [ $_, $t->connect ] } 4, 5, 4;

$_->[1]->request(GET => "/large/slow/$_->[0]") for @slow;

is(join(' ', map { $_->[1]->response->body eq '"' . $_->[0] x 5000 . '"' }
        @slow), '1 1 1', 'and those that are sent slowly');
undef @slow;

like(http_get('/ssi/cached')->body, qr/^a\[kept\]b$/, 'parts are there');

ok(wait_for(sub { $t->stub_status('/stub')->{active} == 1 }, 5),
   'no connection is left');
