#!/usr/bin/perl

# hedge: a second request when the first one is late, within a budget.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use Test::More;

use Time::HiRes qw(sleep time);

use Harness;
use Harness::Aggregate;

my $t = Harness->new;

# the first request of each URI, and those that follow, by what the path says:
# /t/SERIAL/FIRST/SECOND/...

my %kind = (
    fast => '"fast"', hang => { action => 'hang' },
    late => { body => '"late"', delay => slow(0.3) },
    later => { body => '"later"', delay => slow(0.6) },
    fail => { status => 503, body => '"no"', delay => slow(0.2) },
    fail0 => { status => 503, body => '"no"' },
    bad => { body => '{', delay => slow(0.2) },
    drip => { body => '"' . 'x' x 20 . '"', drip => 0.02, drip_bytes => 1 },
    close => { action => 'close', delay => slow(0.2) },
);

my $b = $t->backend('b', '/t/' => sub {
    my ($first, @then) = split m{/}, $_[0]{path} =~ s{^/t/\w+/}{}r;
    our %count;
    my $n = $count{ $_[0]{path} }++;
    return $kind{ $n ? $then[$n - 1] || $then[-1] : $first };
}, '/rest' => { body => '"rest"', delay => slow(2) });

my $at = 'hedge ' . int(slow(0.05) * 1000) . 'ms';
my $own = int(slow(0.4) * 1000) . 'ms';
my $n = 0;

sub row {
    my ($name, $path, $block, $wanted, $count, %o) = @_;
    $n++;
    return [ $name, ($o{block} || 'timeout 20s;')
             . " backend a /b/t/$n/$path { $block }",
             $wanted, count => { "/t/$n/$path" => $count } ];
}

my @cases = (
    row('none by default', 'late/fast', '', '200 complete {"a":"late"}', 1),
    row('the second wins', 'hang/fast', "$at max=100%;",
        '200 complete {"a":"fast"}', 2),
    row('the first wins', 'late/hang', "$at max=100%;",
        '200 complete {"a":"late"}', 2),
    row('the header came', 'drip/fast', "$at max=100%;",
        '200 complete {"a":"' . 'x' x 20 . '"}', 1),
    row('in time', 'fast/late', "$at max=100%;",
        '200 complete {"a":"fast"}', 1),
    row('the first fails', 'fail/late', "$at max=100%;",
        '200 complete {"a":"late"}', 2),
    row('the first is no JSON', 'bad/late', "$at max=100%;",
        '200 complete {"a":"late"}', 2),
    row('the first is closed', 'close/late', "$at max=100%; retry 2;",
        '200 complete {"a":"late"}', 2),
    row('the second fails', 'late/fail0', "$at max=100%; retry 2;",
        '200 complete {"a":"late"}', 2),
    row('both fail', 'fail/fail', "$at max=100%;", '502 {"a":"status"}', 2),
    row('both fail, and are retried', 'fail/fail/fast',
        "$at max=100%; retry 1;", '200 complete {"a":"fast"}', 3),
    row('hedged once', 'fail/fail/late/fast', "$at max=100%; retry 1;",
        '200 complete {"a":"late"}', 3),
    row('a deadline', 'hang/hang', "$at max=100%; timeout "
        . int(slow(0.3) * 1000) . 'ms;', '504 {"a":"timeout"}', 2),
    row('no budget', 'late/fast', "$at;", '200 complete {"a":"late"}', 1),
    row('max_subrequests', 'late/fast', "$at max=100%;",
        '200 complete {"a":"late"}', 1, block => 'max_subrequests 1;'),
    row('concurrency', 'late/fast', "$at max=100%;",
        '200 complete {"a":"late"}', 1, block => 'concurrency 1;'),
    row('HEAD', 'late/fast', "$at max=100%; method HEAD; encoding string;",
        '200 complete {"a":null}', 2),
    row('POST', 'late/fast', "method POST; body 1; $at max=100%;",
        '200 complete {"a":"late"}', 1),
    row('no breaker', 'late/fast', "$at max=100%;",
        '200 complete {"a":"fast"}', 2),
);

$t->plan(@cases + 34);

serve($t, cases => \@cases,
    http => q{
        breaker_zone    z 1m;
        breaker_policy  p { failure_threshold 1; recovery_timeout 300ms;
                            slow_call 0; }
    },
    server => qq{
        location /guarded/ { internal; breaker g zone=z policy=p;
            proxy_pass http://127.0.0.1:%%PORT_b%%/; }
        location = /guarded_part { aggregate { timeout 20s;
            backend a /guarded/t/\$arg_n/\$arg_what/\$arg_then {
                $at max=100%; } } }
        location = /any { aggregate {
            timeout 2s; backend a /b/t/\$arg_n/\$arg_what/\$arg_then {
                $at max=100%; } } }
        location = /two { aggregate { timeout 20s;
            backend a /b/t/two/hang/fast { $at max=100%; }
            backend b /b/rest { } } }
        location = /own { aggregate { timeout 20s;
            backend a /b/t/own/hang/hang { $at max=100%; timeout $own; }
            backend b /b/rest { } } }
        location = /share { aggregate { timeout 20s;
            backend a /b/t/\$arg_n/late/late { $at max=25%; } } }
        location = /tenth { aggregate { timeout 20s;
            backend a /b/t/\$arg_n/\$arg_what/fast { $at; } } }
        location = /each { aggregate { timeout 20s;
            backend l /list { hidden; default '[1,2,2,3]'; }
            backend e /b/t/i\${item.}/hang/fast { each l; $at max=100%; } } }
        location = /list { internal; default_type application/json;
            return 200 '[1,2,2,3]'; }
        location = /gone { aggregate { timeout 20s;
            backend a /b/t/gone/hang/hang { $at max=100%; } } }
        location = /status { breaker_status; }
        location = /stub { stub_status; }
    });

check($t, @cases);

sub aborted {
    my ($uri, $wanted) = @_;
    return wait_for(sub { $wanted == grep { $_->{aborted} } $b->log($uri) }, 5);
}

# the loser is cancelled at once

http_get('/any?n=c&what=hang&then=fast');
ok(aborted('/t/c/hang/fast', 1), 'the second wins, the first is cancelled');

http_get('/any?n=c&what=late&then=hang');
ok(aborted('/t/c/late/hang', 1), 'the first wins, the second is cancelled');

# not only when all is done

my $c = $t->connect;
$c->request(GET => '/two');
ok(aborted('/t/two/hang/fast', 1), 'while another part runs on');
ok(!$c->readable(0), 'which is not there yet');
is($c->response->body, '{"a":"fast","b":"rest"}', 'then the answer');

# a part's own deadline

$c = $t->connect;
$c->request(GET => '/own');
ok(aborted('/t/own/hang/hang', 2), 'both are cancelled at its deadline');
ok(!$c->readable(0), 'while another part runs on');
is($c->response->body, '{"b":"rest"}', 'then the answer');

is(http_get('/any?n=d&what=hang&then=hang')->status, 504, 'a deadline');
ok(aborted('/t/d/hang/hang', 2), 'both are cancelled');

my $start = time;
is(http_get('/tenth?what=fast&n=f1')->body, '{"a":"fast"}', 'in time');
cmp_ok(time - $start, '<', slow(0.3), 'soon');

# ten in a hundred: the tenth call is the first that may be hedged

http_get("/tenth?what=fast&n=f$_") for 2 .. 8;
is(http_get('/tenth?what=late&n=l1')->body, '{"a":"late"}', 'the ninth');
is($b->count('/t/l1/late/fast'), 1, 'is sent once');
is(http_get('/tenth?what=late&n=l2')->body, '{"a":"fast"}', 'the tenth');
is($b->count('/t/l2/late/fast'), 2, 'is sent twice');
is(http_get('/tenth?what=late&n=l3')->body, '{"a":"late"}', 'the next');
is($b->count('/t/l3/late/fast'), 1, 'is sent once');

# a quarter of those that are late all the time

my @c = map { my $c = $t->connect; $c->request(GET => "/share?n=$_"); $c }
    1 .. 40;
is(scalar(grep { $_->response->status == 200 } @c), 40, 'forty late ones');

my $calls = 0;
$calls += $b->count("/t/$_/late/late") for 1 .. 40;
cmp_ok($calls, '<=', 50, 'fifty calls');
cmp_ok($calls, '>=', 45, 'or a little less');

# elements, two of which are equal and one fetch

is(http_get('/each')->body, '{"e":["fast","fast","fast","fast"]}', 'each');
is(join(' ', map { $b->count("/t/i$_/hang/fast") } 1 .. 3), '2 2 2',
   'one more for each');

# the client leaves

$c = $t->connect;
$c->request(GET => '/gone');
ok(wait_for(sub { $b->count('/t/gone/hang/hang') == 2 }, 5), 'two of them');
$c->close;
ok(aborted('/t/gone/hang/hang', 2), 'a client that leaves: both are cancelled');

# a breaker: the loser counts for nothing, and none is sent unless it is closed

sub totals {
    my ($row) = grep { $_->{key} eq 'g' }
        @{ http_get('/status?format=json')->json->{breakers} };
    return $row;
}

is(http_get('/guarded_part?what=hang&then=fast&n=b1')->body, '{"a":"fast"}',
   'behind a breaker');
is($b->count('/t/b1/hang/fast'), 2, 'two calls');
ok(aborted('/t/b1/hang/fast', 1), 'one is cancelled');
my $row = totals();
is($row->{state}, 'closed', 'the breaker stays closed');

http_get('/guarded_part?what=fail0&then=fail0&n=b2');
is(totals()->{state}, 'open', 'it opens');
sleep(slow(0.4));
is(http_get('/guarded_part?what=late&then=fast&n=b3')->body, '{"a":"late"}',
   'a probe');
is($b->count('/t/b3/late/fast'), 1, 'is not hedged');
like($t->error_log, qr/second request is sent.*n=b1/, 'the log says so');
unlike($t->error_log, qr/second request is sent.*n=b3/, 'nor tried to be');
