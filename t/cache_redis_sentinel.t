#!/usr/bin/perl

# Redis behind three sentinels: the master dies and another one takes its
# place, a failover is asked for, a sentinel dies; no request fails, and no
# purge is lost.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;
use Time::HiRes qw(time sleep);

use Harness;
use Harness::Redis;

my $t = Harness->new(plan => 26);

$t->port(0);

my %n;

my $api = $t->backend('api',
    '/' => sub {
        my ($q) = @_;
        return { body => 'n' . ++$n{$q->{uri}}, headers =>
                 [ 'Cache-Control' => 'max-age=600' ] };
    },
);

my @servers = map {
    Harness::Redis->new($t, "server$_", '--requirepass', 'pw', '--masterauth',
        'pw', '--repl-diskless-sync-delay', 0,
        $_ ? ('--replicaof', '127.0.0.1 ' . $t->port('server0')) : ())
} 0 .. 1;

for my $server (@servers) {
    $server->login([ AUTH => 'pw' ]);
    $server->start or die "no redis\n";
}

my $master = $t->port('server0');

my @sentinels = map {
    Harness::Redis->new($t, "sentinel$_")->sentinel(<<"EOF") } 0 .. 2;
sentinel monitor main 127.0.0.1 $master 2
sentinel auth-pass main pw
sentinel down-after-milliseconds main 1000
sentinel failover-timeout main 6000
requirepass spw
sentinel sentinel-pass spw
EOF

for my $sentinel (@sentinels) {
    $sentinel->login([ AUTH => 'spw' ]);
    $sentinel->start or die "no sentinel\n";

    # what they do every ten seconds or two, oftener (from 7.0 on)
    $sentinel->call(qw(SENTINEL DEBUG info-period 200 publish-period 200
                       ask-period 200 ping-period 200));
}

ok(wait_for(sub { $servers[1]->call('INFO', 'replication')
                  =~ /master_link_status:up/ }, slow(20)), 'in step');

ok(wait_for(sub {
    3 == grep {
        my $info = { @{ $_->call('SENTINEL', 'MASTER', 'main') || [] } };
        ($info->{'num-other-sentinels'} || 0) == 2
            && ($info->{'num-slaves'} || 0) == 1
    } @sentinels }, slow(30)), 'three sentinels');

my $conf = <<'EOF';

%%GLOBALS%%

worker_processes  2;

events {
}

http {
    %%HTTP%%

    aggregate_cache_zone  one 4m;
    aggregate_cache_zone  two 4m;

    aggregate_redis fleet {
        sentinel           main 127.0.0.1:%%PORT_sentinel0%%
                           127.0.0.1:%%PORT_sentinel1%%
                           127.0.0.1:%%PORT_sentinel2%%;
        sentinel_password  spw;
        password           pw;
        database           2;
        connect_timeout    1s;
        timeout            1s;
    }

    aggregate_cache_key  $uri;

    server {
        listen       127.0.0.1:%%PORT_0%%;
        server_name  localhost;

        location / {
            aggregate_cache  one redis=fleet;
            proxy_pass       http://127.0.0.1:%%PORT_api%%;
        }

        location = /purge {
            aggregate_cache_purge  one redis=fleet;
        }

        location = /state {
            aggregate_cache_status;
        }
    }

    server {
        listen       127.0.0.1:%%PORT_1%%;
        server_name  localhost;

        location / {
            aggregate_cache  two redis=fleet;
            proxy_pass       http://127.0.0.1:%%PORT_api%%;
        }
    }
}

EOF

sub one { return http_get($_[0]) }
sub two { return http_get($_[0], port => $t->port(1)) }

sub states {
    my $zones = http_get('/state')->json->{zones};
    return "$zones->{one}{redis} $zones->{two}{redis}";
}

sub up {
    return wait_for(sub { $_->('/up' . rand()) for \&one, \&two;
                          states() eq 'up up' }, slow(20));
}

sub role { return (($_[0]->call('ROLE') || [ '' ])->[0]) }

# what one fetches two gets from Redis, on all workers
sub shared {
    return wait_for(sub {
        my $u = '/s' . rand();
        my $all = 0;
        for my $k (1 .. 6) {
            one("$u-$k");
            sleep(0.03);
            $all++ if (two("$u-$k")->header('Cache-Status') || '') =~ /L2/;
        }
        $all == 6 }, slow(15));
}

$t->run($conf);
ok(up(), 'up');
ok(shared(), 'the second tier is used');
like(two('/stays')->body, qr/n1/, 'one');
is(one('/stays')->body, 'n1', 'the other');
is(http_request('POST', '/purge?uri=/x')->status, 200, 'a purge');

# the master dies

$servers[0]->call('WAIT', 1, 2000);
$servers[0]->kill_it;

my $failed = 0;
my $i = 0;

ok(wait_for(sub {
    $i++;
    $failed++ if one("/f$i")->status != 200 || two("/f$i")->status != 200;
    role($servers[1]) eq 'master' && states() eq 'up up' }, slow(40)),
   'another master');

is($failed, 0, 'no request failed');
ok(shared(), 'it is used');
is(one('/stays')->body, 'n1', 'what was there is there');

is(http_request('POST', '/purge?uri=/stays')->status, 200, 'a purge');
ok(wait_for(sub { two('/stays')->header('X-Cache') eq 'MISS' }, slow(3)),
   'arrives');

# the old one comes back, as a replica; a failover that is asked for

$servers[0]->start;
ok(wait_for(sub { role($servers[0]) eq 'slave'
                  && $servers[0]->call('INFO', 'replication')
                     =~ /master_link_status:up/ }, slow(40)),
   'the old master is a replica');

# a purge just before it
one('/last');
two('/last');

sub failover {
    return ($sentinels[1]->call('SENTINEL', 'FAILOVER', 'main') || '') eq 'OK';
}

ok(wait_for(\&failover, slow(20)), 'a failover is asked for');

$failed = 0;
my $asked = time();

ok(wait_for(sub {
    # a sentinel may give one up, if the replica looks too young to it
    $asked = time() if time() > $asked + 5
                       && role($servers[1]) eq 'master' && failover();
    $i++;
    $failed++ if one("/f$i")->status != 200 || two("/f$i")->status != 200;
    role($servers[0]) eq 'master' && role($servers[1]) eq 'slave'
        && states() eq 'up up' }, slow(60)), 'done');

is($failed, 0, 'no request failed');
ok(shared(), 'the new one is used');
ok(wait_for(sub {
    http_request('POST', '/purge?uri=/last')->status == 200 }, slow(5)),
   'a purge');
ok(wait_for(sub { two('/last')->header('X-Cache') eq 'MISS' }, slow(3)),
   'arrives');

# sentinels die: the one that is left is enough to know the master

$_->kill_it for @sentinels[0, 1];
$t->restart;
ok(up(), 'with one sentinel');
ok(wait_for(sub {
    2 == (() = $sentinels[2]->call('CLIENT', 'LIST') =~ /\bsub=1\b/g)
    }, slow(10)), 'that both workers listen to');

$sentinels[2]->kill_it;
ok(shared(), 'and without one, while the master is there');

# all is gone

$servers[0]->kill_it;
$failed = 0;
for my $k (1 .. 20) { $failed++ if one("/gone$k")->status != 200; }
is($failed, 0, 'no request failed');

# nonsense

for (
    [ 's/sentinel  .*?;/sentinel main;/s', qr/number of arguments/ ],
    [ 's/database/server 127.0.0.1:1; database/', qr/exclude each other/ ],
) {
    my $bad = $conf;
    eval "\$bad =~ $_->[0]";
    my ($ok, $output) = $t->test_config($bad);
    like($output, $_->[1], $_->[0]);
}
