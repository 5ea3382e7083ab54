#!/usr/bin/perl

# A Redis that has lost purges, all of them or some: what it still holds is
# not given as fresh to a node that has known none.  And one that has lost
# nothing: what it holds is used.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;
use Time::HiRes qw(sleep);

use Harness;
use Harness::Fleet;

my %n;

my $f = Harness::Fleet->new(
    plan    => 39,
    workers => 1,
    block   => 'timeout 500ms; connect_timeout 500ms;',
    backend => [
        '/linked/' => '1',
        '/swr/'    => sub {
            my ($q) = @_;
            return { body => 'n' . ++$n{$q->{uri}}, headers =>
                     [ 'Cache-Control' =>
                       'max-age=600, stale-while-revalidate=600' ] };
        },
        '/'        => sub {
            my ($q) = @_;
            return { body => 'n' . ++$n{$q->{uri}}, headers =>
                     [ 'Cache-Control' => 'max-age=600' ] };
        },
    ],
);

my $redis = $f->redis;
my $stream = 'f:{purge}';

sub tier {
    my ($r) = @_;
    return $1 if ($r->header('Cache-Status') || '') =~ /detail=(L\d)/;
    return $r->header('X-Cache');
}

# in Redis, as node 0 has fetched it
sub put {
    my ($uri) = @_;
    my $r = $f->get(0, $uri);
    my $key = 'f:{' . $r->header('X-Key') . '}';
    wait_for(sub { $redis->call('EXISTS', $key) }) or diag("$uri not stored");
    return $r->body;
}

sub purge {
    my ($i, $args) = @_;
    return http_request('POST', "/purge?$args", port => $f->port($i))->status;
}

sub fresh_node {
    $f->gateway(1)->restart;
    ok($f->linked, 'a node that has known nothing');
    return;
}

# until a node uses what is in Redis again
sub shared {
    my ($from, $to) = @_;
    return wait_for(sub {
        my $u = '/s' . rand();
        $f->get($from, $u);
        sleep(0.03);
        return tier($f->get($to, $u)) eq 'L2' }, slow(10));
}

ok($f->linked, 'both are linked');
ok(shared(0, 1), 'both use Redis');

# with the stream whole

put('/whole');
put('/purged');
is(purge(0, 'uri=/purged'), 200, 'a purge');
fresh_node();
is(tier($f->get(1, '/whole')), 'L2', 'what was not purged is used');
is($f->get(1, '/purged')->body, 'n2', 'what was purged is not');

# the stream is gone: evicted, or somebody deleted it

put($_) for '/del', '/swr/del', '/del2';
purge(0, "uri=/del&uri=/swr/del");
$redis->call('DEL', $stream);
fresh_node();
isnt(tier($f->get(1, '/del')), 'L2', 'the stream is gone: not used');
my $r = $f->get(1, '/swr/del');
is($r->header('X-Cache'), 'STALE', 'stale, where that is allowed');
ok(shared(0, 1) && shared(1, 0), 'what is stored since is used');
is(tier($f->get(1, '/del2')), 'MISS', 'what was not purged is not used either');

# gone, and there is another one by the time

put('/del3');
purge(0, 'uri=/del3');
$redis->call('DEL', $stream);
purge(0, 'uri=/other');
fresh_node();
isnt(tier($f->get(1, '/del3')), 'L2', 'another stream: not used');

# a node that runs takes what it has as stale

put('/swr/run');
is($f->get(1, '/swr/run')->header('X-Cache'), 'HIT', 'on both');
is($f->get(1, '/swr/run')->header('X-Cache'), 'HIT', 'in the zone');
$redis->call('DEL', $stream);
purge(0, 'uri=/other');
ok(wait_for(sub { $f->get(1, '/swr/run')->header('X-Cache') eq 'STALE' }, 3),
   'is told of it');

# cut at its beginning

put('/cut');
purge(0, 'uri=/cut');
purge(0, 'uri=/other');
$redis->call('XTRIM', $stream, 'MAXLEN', 1);
fresh_node();
isnt(tier($f->get(1, '/cut')), 'L2', 'cut: not used');

# a dump from before the purge; both nodes were down meanwhile

put('/dump');
is($redis->call('SAVE'), 'OK', 'a dump');
purge(0, 'uri=/dump');
$_->stop for $f->gateways;
$redis->kill_it;
ok($redis->start, 'a Redis of the dump');
$_->run for $f->gateways;
ok($f->linked, 'both nodes know nothing');
isnt(tier($f->get(1, '/dump')), 'L2', 'an older dump: not used');

# one node was there all the time, and knows of the purge

ok(shared(0, 1), 'used');
put('/dump2');
is($redis->call('SAVE'), 'OK', 'a dump');
purge(0, 'uri=/dump2');
$f->gateway(1)->stop;
$redis->kill_it;
ok($redis->start, 'a Redis of the dump');
ok(wait_for(sub { $f->get(0, '/linked/' . rand());
                  $f->state(0)->{redis} eq 'up' }, slow(15)),
   'the one that knows is there first');
$f->gateway(1)->run;
ok($f->linked, 'one node knows nothing');
isnt(tier($f->get(1, '/dump2')), 'L2', 'an older dump: not used');

# restarted with all it had: the nodes vouch for it

ok(shared(0, 1), 'used');
put('/kept');
is($redis->call('SAVE'), 'OK', 'a dump');
$redis->kill_it;
ok($redis->start, 'a Redis that has lost nothing');
ok($f->linked, 'linked again');
is(tier($f->get(1, '/kept')), 'L2', 'used');
put('/kept2');
fresh_node();
is(tier($f->get(1, '/kept2')), 'L2', 'by a node that has known nothing too');

# an entry of another version, and one of no epoch

my $key = 'f:{' . $f->get(0, '/old')->header('X-Key') . '}';
my $value;
wait_for(sub { $value = $redis->call('GET', $key) });
substr($value, 3, 1) = chr(1);
$redis->call('SET', $key, $value);
is($f->get(1, '/old')->body, 'n2', 'an entry of another version');
ok(!$f->gateway(1)->grep_log(qr/broken entry/), 'is not broken');

# of another type

$redis->call('DEL', $stream);
$redis->call('SET', $stream, 'x');
$f->gateway(1)->restart;
$r = $f->get(1, '/kept2');
is($r->status . tier($r), '200MISS', 'no stream can be made: not used');
$redis->call('DEL', $stream);
ok($f->linked, 'until it can');
