#!/usr/bin/perl

# Where Redis is found: a unix socket with a user of its own, a name that the
# resolver knows and that moves; and the link that brings purges: broken off,
# it resumes and has lost none; silent, what is in the zone is stale.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;
use Time::HiRes qw(time sleep);

use Harness;
use Harness::Dns;
use Harness::Redis;

my $t = Harness->new(plan => 38);
my $d = $t->testdir;

$t->port(0);

my %n;

my $api = $t->backend('api',
    '/' => sub {
        my ($q) = @_;
        return { body => 'n' . ++$n{$q->{uri}}, headers =>
                 [ 'Cache-Control' => 'max-age=600' ] };
    },
);

my $redis = Harness::Redis->new($t, 'one', '--unixsocket', "$d/sock",
    '--unixsocketperm', '777', '--user',
    'gateway', 'on', '>pw', '~u:*', '+@all');
my $second = Harness::Redis->new($t, 'two');

my $dns = Harness::Dns->new($t->port('dns'), "$d/address");

sub conf {
    my ($statements, $resolver) = @_;
    $resolver ||= '';

    return <<"EOF";

%%GLOBALS%%

worker_processes  2;

events {
}

http {
    %%HTTP%%

    aggregate_cache_zone  one 4m;
    aggregate_cache_zone  two 4m;

    aggregate_redis fleet {
        $statements
        connect_timeout  1s;
        timeout          500ms;
    }

    $resolver

    aggregate_cache_key         \$uri;
    aggregate_cache_purge_lost  stale after=2s;

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

        location /serve/ {
            aggregate_cache             two redis=fleet;
            aggregate_cache_purge_lost  serve;
            proxy_pass                  http://127.0.0.1:%%PORT_api%%;
        }
    }
}

EOF
}

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

sub shared {
    return wait_for(sub {
        my $u = '/s' . rand();
        one($u);
        sleep(0.03);
        return (two($u)->header('Cache-Status') || '') =~ /L2/ }, slow(15));
}

# a unix socket, and a user who sees nothing but keys of the prefix

ok($redis->start, 'a Redis');

my $unix = conf("server unix:$d/sock; user gateway; password pw; prefix u:;");

$t->run($unix);
ok(up(), 'a unix socket, and a user');
ok(shared(), 'used');
is(scalar(grep { !/^u:/ } @{ $redis->call('KEYS', '*') }), 0, 'by prefix');

# the link breaks off: what is purged meanwhile is not lost

sub cut {
    my $list = $redis->call('CLIENT', 'LIST');
    my @ids = $list =~ /^id=(\d+)[^\n]* cmd=xread/mg;
    $redis->call('CLIENT', 'KILL', 'ID', $_) for @ids;
    return scalar @ids;
}

my $lost = 0;

for my $i (1 .. 10) {
    one("/cut$i");
    two("/cut$i");
    $lost++ if cut() < 1;
    $lost++ if http_request('POST', "/purge?uri=/cut$i")->status != 200;
    $lost++ if !wait_for(sub { two("/cut$i")->header('X-Cache') ne 'HIT' },
                         slow(3));
}

is($lost, 0, 'cut off ten times, no purge is lost');
ok(up(), 'linked again');

# silent: nothing is heard of purges any more

one('/quiet');
two('/quiet');
two('/serve/quiet');
is(two('/quiet')->header('X-Cache'), 'HIT', 'a hit');
is(two('/serve/quiet')->header('X-Cache'), 'HIT', 'another one');

# alive and idle is not silent
sleep(3);
is(two('/quiet')->header('X-Cache'), 'HIT', 'a hit with nothing to tell');

$redis->signal('STOP');
ok(wait_for(sub { two('/quiet')->header('X-Cache') ne 'HIT' }, slow(10)),
   'silent: not served as fresh');
is(two('/quiet')->status, 200, 'but served');
is(two('/serve/quiet')->header('X-Cache'), 'HIT', 'served, as is wished');

$redis->signal('CONT');
ok(up(), 'up again');
two('/quiet');
is(two('/quiet')->header('X-Cache'), 'HIT', 'a hit again');

# gone with all it had

$redis->kill_it;
ok($redis->start, 'another Redis in its place');
ok(up(), 'linked');
one('/new');
two('/new');
is(http_request('POST', '/purge?uri=/new')->status, 200, 'a purge');
ok(wait_for(sub { two('/new')->header('X-Cache') ne 'HIT' }, slow(3)),
   'arrives');

# a name; it is not there at first

my $resolver = 'resolver 127.0.0.1:%%PORT_dns%% valid=1s ipv6=off;'
    . ' resolver_timeout 1s;';
my $named = conf('server redis.internal:%%PORT_two%%; prefix u:;', $resolver);

$t->write_file('address', "-\n");
$t->mark_log;
$t->reload($named);
is(one('/n1')->status, 200, 'a name without an address: served');
ok($t->wait_log(qr/"redis.internal" of redis "fleet" could not be resolved/),
   'said');
isnt(states(), 'up up', 'not used');

ok($second->start, 'a Redis of that name');
$t->write_file('address', "127.0.0.1\n");
ok(up(), 'it has one now');
ok(shared(), 'used');

# it moves to an address where nobody is, and comes back

$t->write_file('address', "127.0.0.2\n");
sleep(1.5);
$second->call('CLIENT', 'KILL', 'TYPE', 'normal');
ok(wait_for(sub { one('/m' . rand()); states() ne 'up up' }, slow(10)),
   'moved');
$t->write_file('address', "127.0.0.1\n");
ok(up(), 'and back');

# a failover by name: the old master is a replica now, and lives

my $third = Harness::Redis->new($t, 'three')
    ->address('127.0.0.3', $second->port);
ok($third->start, 'another Redis, to be the master');
$third->call('REPLICAOF', '127.0.0.1', $second->port);
ok(wait_for(sub { $third->call('INFO', 'replication')
                  =~ /master_link_status:up/ }, slow(20)), 'in step');
$third->call('REPLICAOF', 'NO', 'ONE');
$second->call('REPLICAOF', '127.0.0.3', $third->port);

$t->write_file('address', "127.0.0.3\n");
ok(wait_for(sub { one('/f' . rand());
                  http_request('POST', '/purge?uri=/f')->status == 200 },
            slow(15)), 'a replica: the name is resolved anew');
ok(up() && shared(), 'used');
one('/master');
ok(wait_for(sub { grep { !/purge/ } @{ $third->call('KEYS', 'u:*') } }),
   'by the new master');

# the name goes on to point at a replica

$third->call('REPLICAOF', '127.0.0.1', $second->port);
$second->call('REPLICAOF', 'NO', 'ONE');
one("/g$_") for 1 .. 3;
ok(wait_for(sub { one('/g' . rand()); states() ne 'up up' }, slow(10)),
   'a replica is not "up"');
is(one('/h')->status, 200, 'served');
$t->write_file('address', "127.0.0.1\n");
ok(up() && shared(), 'the name is right again: used');

# a name server need not know this name

$t->write_file('address', "-\n");
$t->reload(conf('server localhost:%%PORT_two%%; prefix u:;', $resolver));
ok(up() && shared(), 'localhost');
is(scalar($t->grep_log(qr/"localhost" of redis/)), 0, 'nobody was asked');

# without a resolver it has to be known at once

my ($ok, $output) = $t->test_config(conf('server redis.invalid:1;'));
like($output, qr/host not found in "redis.invalid:1"/, 'no such host');

($ok, $output) = $t->test_config(conf("server unix:$d/sock; tls on;"));
like($output, qr/no name to verify/, 'TLS to a socket');
