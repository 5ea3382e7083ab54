#!/usr/bin/perl

# A Redis Cluster of three masters and a replica: keys by slots, a slot that
# is being moved (ASK) and one that has been (MOVED), a master that dies.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;
use Time::HiRes qw(time sleep);

use Harness;
use Harness::Redis;

my $t = Harness->new(plan => 30);

$t->port(0);

my %n;

my $api = $t->backend('api',
    '/' => sub {
        my ($q) = @_;
        return { body => 'n' . ++$n{$q->{uri}}, headers =>
                 [ 'Cache-Control' => 'max-age=600' ] };
    },
);

my @nodes = map {
    Harness::Redis->new($t, "node$_", '--cluster-enabled', 'yes',
        '--cluster-node-timeout', 1500, '--cluster-port', $t->port("bus$_"),
        '--cluster-require-full-coverage', 'no', '--requirepass', 'pw',
        '--masterauth', 'pw', '--repl-diskless-sync-delay', 0)
} 0 .. 3;

for my $node (@nodes) {
    $node->login([ AUTH => 'pw' ]);
    $node->start or die "no redis\n";
}

# the last one becomes a replica of the master that has the purges

my @ids = map { $_->call('CLUSTER', 'MYID') } @nodes;
my @ranges = ([ 0, 5460 ], [ 5461, 10922 ], [ 10923, 16383 ]);

for my $i (0 .. 2) {
    $nodes[$i]->call('CLUSTER', 'ADDSLOTSRANGE', @{ $ranges[$i] });
    $nodes[$i]->call('CLUSTER', 'SET-CONFIG-EPOCH', $i + 1);
}

for my $i (1 .. 3) {
    $nodes[0]->call('CLUSTER', 'MEET', '127.0.0.1', $nodes[$i]->port,
                    $t->port("bus$i"));
}

sub info { return $_[0]->call('CLUSTER', 'INFO') || '' }

ok(wait_for(sub {
    4 == grep { info($_) =~ /state:ok/ && info($_) =~ /known_nodes:4/
                && info($_) =~ /slots_ok:16384/ } @nodes }, slow(20)),
   'a cluster of four');

sub owner {
    my ($key) = @_;
    my $slot = $nodes[0]->call('CLUSTER', 'KEYSLOT', $key);
    my ($i) = grep { $slot >= $ranges[$_][0] && $slot <= $ranges[$_][1] }
        0 .. 2;
    return ($i, $slot);
}

my ($chief) = owner('t:{purge}');

ok(wait_for(sub { $nodes[3]->call('CLUSTER', 'REPLICATE', $ids[$chief])
                  eq 'OK' }, slow(10)), 'a replica');
ok(wait_for(sub { $nodes[3]->call('INFO', 'replication')
                  =~ /master_link_status:up/ }, slow(20)), 'in step');

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
        server           127.0.0.1:%%PORT_node0%%;
        server           127.0.0.1:%%PORT_node1%%;
        cluster          on;
        password         pw;
        prefix           t:;
        connect_timeout  1s;
        timeout          1s;
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
            add_header       X-Key $aggregate_cache_key;
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
                          states() eq 'up up' }, slow(15));
}

sub keys_of {
    my ($node) = @_;
    return grep { !/purge/ } @{ $_[0]->call('KEYS', '*') };
}

$t->run($conf);
ok(up(), 'up');

# all of what one has fetched, two gets from Redis

my $failed = 0;

for my $i (1 .. 40) {
    $failed++ if one("/a$i")->body ne 'n1';
}

ok(wait_for(sub { 40 <= map { keys_of($_) } @nodes[0 .. 2] }, slow(5)),
   'stored');

for my $i (1 .. 40) {
    my $r = two("/a$i");
    $failed++ if $r->body ne 'n1' || $r->header('Cache-Status') !~ /L2/;
}

is($failed, 0, 'everything from the second tier');
cmp_ok(scalar(keys_of($nodes[$_])), '>', 3, "a share on node $_") for 0 .. 2;

# purges: the stream has a node of its own

one('/p');
two('/p');
is(http_request('POST', '/purge?uri=/p')->status, 200, 'a purge');
ok(wait_for(sub { two('/p')->header('X-Cache') eq 'MISS' }, slow(3)),
   'on the other node');

# a slot under way: what is not on the old node any more, the new one has

my ($key, $slot, $from, $to, $uri);

for my $i (1 .. 200) {
    $uri = "/move$i";
    one($uri);
    $key = 't:{' . http_get($uri, port => $t->port(1))->header('X-Key') . '}';
    ($from, $slot) = owner($key);
    last if $from != $chief;
}

$to = ($from + 1) % 3;
$to = ($from + 2) % 3 if $to == $chief;

ok(wait_for(sub { $nodes[$from]->call('EXISTS', $key) }, slow(5)), 'a key');

# both zones are to ask Redis: nginx starts afresh, and knows the old map

$t->restart;
ok(up(), 'up again');

is($nodes[$to]->call('CLUSTER', 'SETSLOT', $slot, 'IMPORTING', $ids[$from]),
   'OK', 'importing');
is($nodes[$from]->call('CLUSTER', 'SETSLOT', $slot, 'MIGRATING', $ids[$to]),
   'OK', 'migrating');
is($nodes[$from]->call('MIGRATE', '127.0.0.1', $nodes[$to]->port, $key, 0,
                       5000, 'AUTH', 'pw'), 'OK', 'moved');

my $r = one($uri);
is($r->body, 'n1', 'ASK: it is followed');
like($r->header('Cache-Status'), qr/detail=L2/, 'to the new node');

$nodes[$_]->call('CLUSTER', 'SETSLOT', $slot, 'NODE', $ids[$to])
    for $to, $from, 3 - $to - $from;

$r = two($uri);
is($r->body, 'n1', 'MOVED: it is followed');
like($r->header('Cache-Status'), qr/detail=L2/, 'to the new node');

# a master dies, the one with the purges; its replica takes over

one("/f$_") for 1 .. 20;
two('/stays');
$nodes[$chief]->call('WAIT', 1, 2000);
$nodes[$chief]->kill_it;

my $start = time();
my ($taken, $up);
my $i = 0;

while (time() - $start < slow(30)) {
    $i++;
    $failed++ if one("/g$i")->status != 200 || two("/g$i")->status != 200;
    $taken = $nodes[3]->call('ROLE')->[0] eq 'master';
    $up = states();
    last if $taken && $up eq 'up up';
    sleep(0.05);
}

ok($taken, 'the replica took over');
is($failed, 0, 'no request failed');
is($up, 'up up', 'the link is on the new master');

my $purged = wait_for(sub {
    http_request('POST', '/purge?uri=/stays')->status == 200 }, slow(10));
ok($purged, 'a purge is taken');
ok(wait_for(sub { two('/stays')->header('X-Cache') eq 'MISS' }, slow(3)),
   'and arrives');

# all slots are used again
ok(wait_for(sub {
    my $u = '/h' . rand();
    my $all = 0;
    for my $k (1 .. 6) {
        one("$u-$k");
        sleep(0.02);
        $all++ if two("$u-$k")->header('Cache-Status') =~ /L2/;
    }
    $all == 6 }, slow(15)), 'everything from the second tier again');

# all of them gone, and back

$_->kill_it for @nodes[0 .. 3];
$failed = 0;
for my $k (1 .. 20) { $failed++ if one("/gone$k")->status != 200; }
is($failed, 0, 'no request failed');
is(http_request('POST', '/purge?uri=/a')->status, 503, 'a purge is not told');

# nonsense

for (
    [ 'database 1;', qr/"database" and "cluster" exclude/ ],
    [ 'sentinel m 127.0.0.1:1;', qr/exclude each other/ ],
) {
    my $bad = $conf;
    $bad =~ s/cluster  /$_->[0]\n        cluster  /;
    my ($ok, $output) = $t->test_config($bad);
    like($output, $_->[1], $_->[0]);
}
