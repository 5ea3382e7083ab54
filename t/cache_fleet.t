#!/usr/bin/perl

# One fetch for a key in the whole fleet: two gateways on one Redis, and a
# holder of the lock that is quick, slow, gone, or has nothing to share.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;
use Time::HiRes qw(time sleep);

use Harness;
use Harness::Fleet;

my %n;

sub answer {
    my ($delay, $control, @headers) = @_;

    return sub {
        my ($q) = @_;
        return { delay => $delay, body => 'n' . ++$n{$q->{uri}},
                 headers => [ 'Cache-Control' => $control, @headers ] };
    };
}

my $f = Harness::Fleet->new(
    plan    => 54,
    block   => 'timeout 500ms; connect_timeout 500ms;',
    backend => [
        '/quick/'   => answer(0.25, 'max-age=60'),
        '/long/'    => answer(1.6, 'max-age=60'),
        '/nostore/' => answer(0.25, 'no-store'),
        '/fail/'    => { delay => 0.25, status => 500, body => 'failed' },
        '/big/'     => { delay => 0.2, body => 'x' x 1000, repeat => 1100,
                         headers => [ 'Cache-Control' => 'max-age=60' ] },
        '/left/'    => { delay => 0.4, body => 'first', headers =>
                         [ 'Cache-Control' => 'max-age=60' ] },
        '/hang/'    => sub {
            my ($q) = @_;
            return { action => 'hang' } if !$n{$q->{uri}}++;
            return { body => 'again', headers =>
                     [ 'Cache-Control' => 'max-age=60' ] };
        },
        '/vary/'    => sub {
            my ($q) = @_;
            my ($lang) = map { $_->[1] } grep { lc $_->[0] eq 'x-lang' }
                @{ $q->{headers} };
            return { delay => 0.3, body => $lang . ++$n{$q->{uri}}, headers =>
                     [ 'Cache-Control' => 'max-age=60', Vary => 'X-Lang' ] };
        },
        '/swr/'     => sub {
            my ($q) = @_;
            my $i = ++$n{$q->{uri}};
            return { delay => $i > 1 ? 0.5 : 0, body => "v$i", headers =>
                     [ 'Cache-Control' => 'max-age='
                       . ($i > 1 ? 60 : 2) . ', stale-while-revalidate=60' ]
                   };
        },
        '/linked/'  => '1',
        '/any/'     => answer(0, 'max-age=60'),
    ],
    server  => <<'EOS',

        aggregate_cache_lock_timeout  25s;
        proxy_read_timeout            25s;

        location ~ ^/[a-z]+/impatient {
            aggregate_cache_lock_timeout  600ms;
            proxy_pass                    http://127.0.0.1:BACKEND;
        }

        location ~ ^/[a-z]+/unlocked {
            aggregate_cache_lock          off;
            proxy_pass                    http://127.0.0.1:BACKEND;
        }

EOS
);

my $b = $f->backend;
my $redis = $f->redis;

sub bodies {
    my %seen;
    $seen{$_->body}++ for @_;
    return join ' ', map { "$_:$seen{$_}" } sort keys %seen;
}

sub marks { return @{ $redis->call('KEYS', 'f:*:[lc]') } }

sub locks {
    return grep { ($redis->call('GET', $_) || '-') ne '-' } marks();
}

# a request of one gateway that has got as far as the backend
sub begun {
    my ($i, $uri, %o) = @_;

    my $n = $b->count($uri);
    my ($c) = $f->clients($i, 1, $uri, %o);
    wait_for(sub { $b->count($uri) > $n }, slow(5)) or diag("no $uri");

    return $c;
}

sub quick { return $_[0] < slow(4) }

ok($f->linked, 'both are linked');

# 100 clients of a cold key, half of them on each node

my ($time, @r) = $f->many([ 50, 50 ], '/quick/a');
is(bodies(@r), 'n1:100', '100 clients of two nodes have the same response');
is($b->count('/quick/a'), 1, 'one fetch in the fleet');
cmp_ok($time, '<', slow(2), 'soon');
is(scalar(grep { $_->status == 200 } @r), 100, 'all answered');
is(scalar(locks()), 0, 'the lock is gone');

my $holder = begun(0, '/quick/b');
my $start = time();
my @waiting = $f->clients(1, 3, '/quick/b');
is(bodies($holder->response, map { $_->response } @waiting), 'n1:4',
   'one came later');
ok(quick(time() - $start), 'and did not wait for long');

# a fetch that takes longer than a lease

($time, @r) = $f->many([ 3, 3 ], '/long/a');
is(bodies(@r), 'n1:6', 'the lease is renewed');
is($b->count('/long/a'), 1, 'one fetch');
is(scalar(locks()), 0, 'and given back');

# not storable: nobody waits but for the first one

($time, @r) = $f->many([ 50, 50 ], '/nostore/a');
is(scalar(grep { $_->status == 200 } @r), 100, 'no-store: all answered');
is($b->count('/nostore/a'), 100, 'each with its own response');
ok(quick($time), 'not one after the other');

my ($key) = map { 'f:{' . $_->header('X-Key') . '}' } @r;
is($redis->call('GET', "$key:l"), '-', 'the fleet knows');

my $known = $b->stats->{parallel};
($time, @r) = $f->many([ 2, 2 ], '/nostore/a');
is($b->count('/nostore/a'), 104, 'the next ones');
cmp_ok($known, '>', 10, 'many at once');

# a node that has not been told by its own backend

begun(0, '/nostore/b')->response;
$start = time();
is(scalar(map { $_->response } $f->clients(1, 5, '/nostore/b')), 5,
   'the other node');
ok(quick(time() - $start), 'does not wait');
is($b->count('/nostore/b'), 6, 'each for itself');

# an error

($time, @r) = $f->many([ 5, 5 ], '/fail/a');
is(scalar(grep { $_->status == 500 } @r), 10, 'an error is passed on');
ok(quick($time), 'at once');

# too large for Redis: one for each node

($time, @r) = $f->many([ 5, 5 ], '/big/a');
is(scalar(grep { length($_->body) == 1100000 } @r), 10, 'a large one');
ok(quick($time), 'not one after the other');

# the client of the holder goes away

$holder = begun(0, '/left/a');
@waiting = $f->clients(1, 5, '/left/a');
sleep(slow(0.1));
is($b->count('/left/a'), 1, 'the others wait');
$start = time();
$holder->close;
is(bodies(map { $_->response } @waiting), 'first:5', 'its fetch goes on');
ok(quick(time() - $start), 'soon');
is($b->count('/left/a'), 1, 'once');

# the holder is slow

$holder = begun(0, '/hang/impatient');
$start = time();
is($f->get(1, '/hang/impatient')->body, 'again', 'patience ends');
$time = time() - $start;
cmp_ok($time, '>', 0.5, 'not before its time');
ok(quick($time), 'not later either');
$holder->close;

# unlocked

$holder = begun(0, '/hang/unlocked');
is($f->get(1, '/hang/unlocked')->body, 'again', 'without a lock');
$holder->close;

# the worker that holds the lock is killed

$f->gateway(0)->allow_worker_exit;

$holder = begun(0, '/hang/killed');
@waiting = $f->clients(1, 5, '/hang/killed');
sleep(slow(0.1));
is($b->count('/hang/killed'), 1, 'the others wait');
$start = time();
kill('KILL', $f->gateway(0)->workers);
is(bodies(map { $_->response } @waiting), 'again:5',
   'the holder killed: the next one fetches');
ok(quick(time() - $start), 'as soon as the lease is over');
is($b->count('/hang/killed'), 2, 'once');
$holder->close;
ok($f->linked, 'it has workers again');

# Redis stops while one waits

$holder = begun(0, '/hang/stopped');
@waiting = $f->clients(1, 5, '/hang/stopped');
sleep(slow(0.1));
$start = time();
$redis->signal('STOP');
is(bodies(map { $_->response } @waiting), 'again:5', 'Redis hangs');
ok(quick(time() - $start), 'and nobody waits for it');
is($b->count('/hang/stopped'), 2, 'one fetch for the node');
$redis->signal('CONT');
$holder->close;
ok($f->linked, 'and goes on');

$holder = begun(0, '/hang/gone');
@waiting = $f->clients(1, 5, '/hang/gone');
sleep(slow(0.1));
$start = time();
$redis->kill_it;
is(bodies(map { $_->response } @waiting), 'again:5', 'Redis is killed');
ok(quick(time() - $start), 'and nobody waits for it');
$holder->close;
$redis->start;
ok($f->linked, 'and is back');

# variants, each with a fetch of its own

my @clients = map { my $l = $_; map {
    $f->clients($_, 3, '/vary/a', headers => [ 'X-Lang' => $l ]) } 0, 1 }
    qw(de fr);
is(join(' ', map { substr($_->response->body, 0, 2) } @clients),
   join(' ', ('de') x 6, ('fr') x 6), 'everybody has the own variant');
cmp_ok($b->count('/vary/a'), '<=', 4, 'few fetches');

# a stale entry on both: one refresh

is($f->get(0, '/swr/a')->body, 'v1', 'to become stale');
is($f->get(1, '/swr/a')->body, 'v1', 'on both');
wait_for(sub { $f->get(0, '/swr/a')->header('X-Cache') eq 'STALE' });
($time, @r) = $f->many([ 5, 5 ], '/swr/a');
is(bodies(@r), 'v1:10', 'stale at once');
ok(wait_for(sub { $f->get(0, '/swr/a')->body eq 'v2'
                  && $f->get(1, '/swr/a')->body eq 'v2' }),
   'both are refreshed');
is($b->count('/swr/a'), 2, 'by one fetch');

# locks that nobody of ours has made

$key = 'f:{' . $f->get(0, '/any/impatient')->header('X-Key') . '}';
http_request('POST', '/purge?uri=/any/impatient', port => $f->port(0));
$redis->call('DEL', $key);
$redis->call('SET', "$key:l", 'somebody');
is($f->get(0, '/any/impatient')->body, 'n2', 'a foreign lock');
http_request('POST', '/purge?uri=/any/impatient', port => $f->port(0));
$redis->call('DEL', $key, "$key:l");
$redis->call('LPUSH', "$key:l", 'x');
is($f->get(0, '/any/impatient')->body, 'n3', 'of another type');
$redis->call('DEL', "$key:l");

is(scalar(locks()), 0, 'no lock is left');
