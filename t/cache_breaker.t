#!/usr/bin/perl

# A cache before a breaker, whichever module was loaded first: a hit asks no
# breaker, and a stale entry stands in where it rejects; the same in parts of
# an aggregate, and of an aggregate as a whole.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;
use Time::HiRes qw(sleep);

use Harness;

my @modules = qw(ngx_http_aggregate_module ngx_http_breaker_module);
my @orders = ([ @modules ], [ reverse @modules ]);
my @t = map { Harness->new(modules => $_) } @orders;

# the second one has the five checks of the harness as well
$t[0]->plan(2 * 46 + 5);
$t[1]{counted} = 1;

my %n;

my $b = $t[0]->backend('api',
    '/fresh/' => sub {
        my ($q) = @_;
        return { status => 500, body => '"bad"' } if $n{$q->{uri}}++;
        return { body => '"good"', headers =>
                 [ 'Cache-Control' => 'max-age=60' ] };
    },
    '/stale/' => sub {
        my ($q) = @_;
        return { status => 500, body => '"bad"' } if $n{$q->{uri}}++;
        return { body => '"good"', headers =>
                 [ 'Cache-Control' => 'max-age=1, stale-if-error=60' ] };
    },
    '/trip/'  => { status => 500, body => '"bad"' },
    '/ok/'    => { body => '1', headers =>
                   [ 'Cache-Control' => 'max-age=60' ] },
);

my $conf = <<'EOF';

%%GLOBALS%%

worker_processes  2;

events {
}

http {
    %%HTTP%%

    log_format  b  '$uri $status $breaker_result $aggregate_cache_status';

    aggregate_cache_zone  api 1m;

    breaker_zone    z 1m;
    breaker_policy  p { failure_threshold 2; recovery_timeout 60s;
                        slow_call 0; }

    server {
        listen       127.0.0.1:%%PORT_0%%;
        server_name  localhost;
        access_log   %%TESTDIR%%/b.log b;

        aggregate_cache_key  $uri;
        proxy_read_timeout   2s;

        location ~ ^/[a-z]+/plain {
            aggregate_cache  api;
            breaker          plain zone=z policy=p;
            proxy_pass       http://127.0.0.1:BACKEND;
        }

        location ~ ^/[a-z]+/body {
            aggregate_cache   api;
            aggregate_cache_valid  200 1m;
            breaker           body zone=z policy=p;
            breaker_fallback  200 application/json '"fallback"';
            proxy_pass        http://127.0.0.1:BACKEND;
        }

        location ~ ^/[a-z]+/named {
            aggregate_cache   api;
            breaker           named zone=z policy=p;
            breaker_fallback  @other;
            proxy_pass        http://127.0.0.1:BACKEND;
        }

        location @other {
            return 200 '"other"';
        }

        location ~ ^/[a-z]+/part {
            internal;
            aggregate_cache  api;
            breaker          part zone=z policy=p;
            proxy_pass       http://127.0.0.1:BACKEND;
        }

        location /ok/ {
            proxy_pass       http://127.0.0.1:BACKEND;
        }

        location = /agg {
            aggregate {
                backend old  /stale/part { }
                backend good /ok/1       { }
            }
        }

        location = /trip {
            aggregate {
                backend bad  /trip/part { }
                backend good /ok/1      { }
            }
        }

        location = /whole {
            aggregate_cache        api;
            aggregate_cache_ttl    / 1s;
            aggregate_cache_stale  error 1h;

            aggregate {
                backend old  /stale/$arg_p { required; }
                backend good /ok/1         { }
            }
        }

        location = /guarded {
            aggregate_cache        api;
            aggregate_cache_ttl    / 1s;
            aggregate_cache_stale  error 1h;
            breaker                guarded zone=z policy=p;

            aggregate {
                backend old /stale/alone { required; }
            }
        }

        location /stale/alone {
            proxy_pass  http://127.0.0.1:BACKEND;
        }

        location = /breakers {
            breaker_status;
        }
    }
}

EOF

$conf =~ s/BACKEND/$b->port/ge;

for my $i (0, 1) {

    my $t = $t[$i];
    my $name = $i ? 'breaker first' : 'aggregate first';

    $t->run($conf);

    my $get = sub { http_get($_[0], port => $t->port(0)) };
    my $answer = sub {
        my $r = $get->($_[0]);
        return join ' ', $r->status, $r->body, $r->header('X-Cache') || '-',
            $r->header('X-Breaker') || '-';
    };

    my %fallback = (
        plain => qr/^503 .* MISS open$/s,
        body  => qr/^200 "fallback" MISS open$/,
        named => qr/^200 "other" MISS open$/,
    );

    # entries, to be fresh and to be stale; then the breakers open

    for my $kind (qw(plain body named)) {
        $get->("/$_/$kind") for qw(fresh stale);
    }

    $get->('/agg');
    $get->('/whole?p=part');
    $get->('/guarded');
    sleep(2.1);

    for my $kind (qw(plain body named)) {

        is($answer->("/fresh/$kind"), '200 "good" HIT -', "$name, $kind: hit");
        $get->("/trip/$kind") for 1 .. 2;
        my $asked = $b->count;

        like($answer->("/trip/$kind"), $fallback{$kind},
             "$name, $kind: the breaker is open");
        is($answer->("/fresh/$kind"), '200 "good" HIT -',
           "$name, $kind: a hit all the same");
        like($answer->("/stale/$kind"), qr/^200 "good" STALE /,
             "$name, $kind: stale where it rejects");
        like($answer->("/stale/$kind"), qr/^200 "good" STALE /,
             "$name, $kind: and again");
        like($answer->("/trip/$kind"), $fallback{$kind},
             "$name, $kind: nothing at hand");
        like($answer->("/ok/${kind}new"), $fallback{$kind},
             "$name, $kind: a fallback is not stored") for 1 .. 2;
        is($b->count, $asked, "$name, $kind: the backend was not asked");
    }

    # ranges and conditions concern what the backend has, and not a fallback

    for my $header ([ Range => 'bytes=1-2' ], [ Range => 'bytes=1-2' ],
                    [ Range => 'bytes=99-' ], [ 'If-Match' => '"x"' ])
    {
        my $r = http_get('/trip/body', port => $t->port(0),
                         headers => $header);
        is($r->status . $r->body, '200"fallback"', "$name, @$header");
    }

    # a hit is no call for the breaker

    my ($row) = grep { $_->{key} eq 'plain' }
        @{ $get->('/breakers')->json->{breakers} };
    is($row->{state}, 'open', "$name: state");

    # a stale part: the answer is complete

    my $r = $get->('/agg');
    is($r->body, '{"old":"good","good":1}', "$name: a stale part");
    is($r->header('X-Aggregate'), 'complete', "$name: complete");
    $get->('/trip') for 1 .. 2;
    $r = $get->('/trip');
    is($r->header('X-Aggregate'), 'partial; failed="bad"',
       "$name: the part's breaker is open");
    $r = $get->('/agg');
    is($r->body, '{"old":"good","good":1}', "$name: a stale part again");

    # a failure that a stale entry has hidden is a failure for the breaker

    like($answer->('/guarded'), qr/^200 .*"good".* STALE -$/,
         "$name: a guarded aggregate fails") for 1 .. 2;
    like($answer->('/guarded'), qr/^200 .*"good".* STALE /,
         "$name: and is rejected");

    # the aggregate as a whole

    is($get->('/whole?p=part')->header('X-Cache'), 'MISS',
       "$name: made of stale parts it is no error");

    $r = $get->('/whole?p=part');
    like($r->body, qr/"old":"good"/, "$name: with what is in it");

    $b->stop;
    $r = $get->('/agg');
    is($r->body, '{"old":"good"}', "$name: without a backend");
    is($answer->('/stale/plain'), '200 "good" STALE -',
       "$name: stale while it is gone");
    $b->start;

    my $log = $t->read_when('b.log', qr{^/stale/plain 200 reject STALE$}m);
    is(join(' ', sort $log =~ m{^/guarded 200 (\w+) STALE$}mg),
       'pass pass reject', "$name: what the breaker made of it");
    like($log, qr{^/stale/plain 200 reject STALE$}m, "$name: both tell");
    unlike($log, qr{^/fresh/\w+ 200 (?:pass|reject) HIT$}m,
           "$name: a hit asks no breaker");
    $t->stop;
}
