#!/usr/bin/perl

# Two gateways under load, and what may happen to their Redis, or to them: no
# request fails, none is slow, nobody gets what another one asked for, and
# when it is over the second tier works again.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;
use Time::HiRes qw(time sleep);

use Harness;
use Harness::Fleet;

my $f = Harness::Fleet->new(
    plan    => 76,
    block   => 'timeout 100ms;',
    backend => [
        '/key/'    => sub {
            my ($q) = @_;
            return { body => $q->{uri}, headers =>
                     [ 'Cache-Control' => 'max-age=1' ] };
        },
        '/tier/'   => { body => 'x', headers =>
                        [ 'Cache-Control' => 'max-age=60' ] },
        '/linked/' => '1',
    ],
);

my $redis = $f->redis;

sub purge {
    my ($what) = @_;
    return http_request('POST', "/purge?$what", port => $f->port(0))->status;
}

# what one has stored the other one has

sub shared {
    return wait_for(sub {
        my $uri = '/tier/' . rand();
        $f->get(0, $uri);
        return wait_for(sub {
            ($f->get(1, $uri)->header('Cache-Status') || '')
                =~ /hit.*detail=L2/ }, 0);
    }, slow(20));
}

# $fault->() while there is load, and for a second after it

sub under_load {
    my ($name, $fault, $allowed) = @_;

    my $load = $f->load('/key/');

    ok($f->more($load, 10), "$name: there is load");
    $fault->();
    sleep(0.5);
    ok($f->more($load, 10), "$name: it goes on");

    my $l = $f->loaded($load);

    cmp_ok($l->{failed}, '<=', $allowed || 0, "$name: no request failed")
        or diag($l->{why});
    cmp_ok($l->{slowest}, '<', slow(3), "$name: none was slow");
    return;
}

ok($f->linked, 'both are linked');

under_load('nothing', sub { });
ok(shared(), 'nothing: shared');

# slow: a request loses one time-out at most

under_load('slow', sub {
    for (1 .. 4) {
        $redis->call('CLIENT', 'PAUSE', 60, 'ALL');
        sleep(0.15);
    }
});
ok(shared(), 'slow: shared again');

# hung, for some time and for longer

under_load('paused', sub { $redis->call('CLIENT', 'PAUSE', 800, 'ALL') });
ok(shared(), 'paused: shared again');

under_load('hung', sub {
    $redis->signal('STOP');
    ok(wait_for(sub { $f->state(0)->{redis} eq 'down'
                      && $f->state(1)->{redis} eq 'down' }, slow(5)),
       'hung: known to both');
    is(purge('uri=/none'), 503, 'hung: a purge says that it is alone');
});
$redis->signal('CONT');
ok($f->linked, 'hung: back');
ok(shared(), 'hung: shared again');

# gone, and started anew, empty

under_load('killed', sub {
    $redis->kill_it;
    ok(wait_for(sub { $f->state(0)->{redis} ne 'up' }, slow(5)),
       'killed: known');
    sleep(0.3);
    $redis->start;
});
ok($f->linked, 'killed: back');
ok(shared(), 'killed: shared again');

# flushed, again and again

under_load('flushed', sub {
    for (1 .. 5) {
        $redis->call('FLUSHALL');
        sleep(0.1);
    }
});
ok($f->linked, 'flushed: linked');
is(purge('uri=/none'), 200, 'flushed: a purge');
ok(shared(), 'flushed: shared again');

# refuses access

under_load('password', sub {
    $redis->call('CONFIG', 'SET', 'requirepass', 'other');
    $redis->login([ AUTH => 'other' ]);
    $redis->call('CLIENT', 'KILL', 'TYPE', 'normal');
    ok(wait_for(sub { $f->state(0)->{redis} ne 'up' }, slow(5)),
       'password: refused');
    is(purge('uri=/none'), 503, 'password: a purge');
});
$redis->call('CONFIG', 'SET', 'requirepass', 's3cret');
$redis->login([ AUTH => 's3cret' ]);
ok($f->linked, 'password: back');
ok(shared(), 'password: shared again');

# full: nothing is stored, what is there is used

my $uri = '/tier/full';
$f->get(0, $uri);
ok(wait_for(sub { ($f->get(1, $uri)->header('Cache-Status') || '')
                  =~ /hit/ }), 'full: something is there');

under_load('full', sub {
    $redis->call('CONFIG', 'SET', 'maxmemory-policy', 'noeviction');
    $redis->call('CONFIG', 'SET', 'maxmemory', '1');
    is(purge('uri=/none'), 503, 'full: a purge');
    is($f->get(0, '/tier/more')->status, 200, 'full: a fill');
});
$redis->call('CONFIG', 'SET', 'maxmemory', '0');
ok($f->linked, 'full: linked');
ok(shared(), 'full: shared again');

# a replica

under_load('readonly', sub {
    $redis->call('REPLICAOF', '127.0.0.1', $f->gateway(0)->dead_port);
    is(purge('uri=/none'), 503, 'readonly: a purge');
});
$redis->call('REPLICAOF', 'NO', 'ONE');
ok($f->linked, 'readonly: linked');
ok(shared(), 'readonly: shared again');

# a reload, and a worker that is killed

under_load('reload', sub {
    ok($f->gateway(0)->reload, 'reload: done');
    ok($f->gateway(0)->reload, 'reload: again');
});
ok($f->linked, 'reload: linked');
ok(shared(), 'reload: shared again');

$f->gateway(1)->allow_worker_exit;

under_load('worker', sub {
    kill('KILL', ($f->gateway(1)->workers)[0]);
}, 1);
ok($f->linked, 'worker: linked');
ok(shared(), 'worker: shared again');
