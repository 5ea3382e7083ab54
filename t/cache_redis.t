#!/usr/bin/perl

# The second tier: two nodes (zones with a server each) on one real Redis:
# entries, purges, and a Redis that is slow, hung, gone, back, empty.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;
use IO::Socket::INET;
use Time::HiRes qw(time sleep);

use Harness;

my $t = Harness->new(plan => 56);

my %n;
my $pid;

# the first port is the client's default
$t->port(0);

my $api = $t->backend('api',
    '/lang/' => sub {
        my ($q) = @_;
        my ($lang) = map { $_->[1] } grep { lc $_->[0] eq 'x-lang' }
            @{ $q->{headers} };
        return { body => "$lang" . ++$n{$q->{uri}}, headers =>
                 [ 'Cache-Control' => 'max-age=60', Vary => 'X-Lang' ] };
    },
    '/big/' => sub {
        my ($q) = @_;
        return { body => "$q->{uri};", repeat => 30000, headers =>
                 [ 'Cache-Control' => 'max-age=60' ] };
    },
    '/swr/' => sub {
        my ($q) = @_;
        return { body => 'n' . ++$n{$q->{uri}}, headers =>
                 [ 'Cache-Control' => 'max-age=60, '
                   . 'stale-while-revalidate=60' ] };
    },
    '/' => sub {
        my ($q) = @_;
        return { body => 'n' . ++$n{$q->{uri}}, headers =>
                 [ 'Cache-Control' => 'max-age=60', 'X-Kept' => 'yes',
                   'Surrogate-Key' => 'all' ] };
    },
);

$t->write_file('secret', "s3cret\n");

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
        server           127.0.0.1:%%PORT_redis%%;
        password         file:%%TESTDIR%%/secret;
        database         3;
        prefix           t:;
        connect_timeout  TIMEOUT;
        timeout          TIMEOUT;
    }

    server {
        listen       127.0.0.1:%%PORT_0%%;
        server_name  localhost;

        aggregate_cache_key   $uri$is_args$args;
        aggregate_cache_tags  $upstream_http_surrogate_key;

        location / {
            aggregate_cache  one redis=fleet;
            proxy_pass       http://127.0.0.1:%%PORT_api%%;
        }

        location /lost/ {
            aggregate_cache             one redis=fleet;
            aggregate_cache_purge_lost  stale after=6s;
            proxy_pass                  http://127.0.0.1:%%PORT_api%%;
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

        aggregate_cache_key   $uri$is_args$args;
        aggregate_cache_tags  $upstream_http_surrogate_key;

        location / {
            aggregate_cache  two redis=fleet;
            proxy_pass       http://127.0.0.1:%%PORT_api%%;
        }
    }
}

EOF

sub one { return http_get($_[0], headers => $_[1] || []) }

sub two {
    return http_get($_[0], port => $t->port(1), headers => $_[1] || []);
}

sub start_redis {
    my @password = @_ ? @_ : ('--requirepass', 's3cret');
    my $port = $t->port('redis');

    $pid = fork();
    die "fork: $!" if !defined $pid;

    if (!$pid) {
        open(STDOUT, '>', $t->testdir . '/redis.log');
        open(STDERR, '>&', \*STDOUT);
        exec('redis-server', '--port', $port, '--bind',
             '127.0.0.1', '--save', '', '--appendonly', 'no', '--dir',
             $t->testdir, @password) or POSIX::_exit(1);
    }

    wait_for(sub { redis('PING') eq '+PONG' }, 10);
}

sub stop_redis {
    return if !$pid;
    kill('CONT', $pid);
    kill('KILL', $pid);
    waitpid($pid, 0);
    undef $pid;
}

END { local $?; stop_redis() if $pid }

# one command on a connection of its own, the first line of the answer

sub redis {
    my @commands = ([ AUTH => 's3cret' ], [ SELECT => 3 ], [ @_ ]);

    my $s = IO::Socket::INET->new(PeerAddr => '127.0.0.1',
                                  PeerPort => $t->port('redis'),
                                  Timeout => 2) or return '';
    my $line = '';

    for my $c (@commands) {
        print $s "*" . @$c . "\r\n",
            map { '$' . length($_) . "\r\n$_\r\n" } @$c;
        $line = <$s> || '';
    }

    $line =~ s/\r\n//;
    return $line;
}

sub state_of { return http_get('/state')->json->{zones}{$_[0]} }

sub linked {
    return wait_for(sub { state_of('one')->{redis} eq 'up'
                          && state_of('two')->{redis} eq 'up' }, 10);
}

$conf =~ s/TIMEOUT/int(slow(100)) . 'ms'/eg;

start_redis();
$t->run($conf);
ok(linked(), 'both nodes are linked');

# what one has fetched the other one has

is(one('/a')->body, 'n1', 'a miss');
ok(wait_for(sub { redis('DBSIZE') eq ':2' }), 'stored, beside the stream');

my $r = two('/a');
is($r->body . $r->header('X-Cache'), 'n1HIT', 'a hit on the other node');
like($r->header('Cache-Status'), qr/detail=L2/, 'from the second tier');
is($r->header('X-Kept') . $r->header('Content-Type'), 'yesapplication/json',
   'with its header');
like($r->header('Age'), qr/^\d$/, 'and age');
like(two('/a')->header('Cache-Status'), qr/detail=L1/, 'then from the first');
is($api->count('/a'), 1, 'one fetch');
is(state_of('two')->{hits}{L2}, 1, 'counted');

my $body = '/big/a;' x 30000;
ok(one('/big/a')->body eq $body, 'a large one');
sleep(slow(0.2));
$r = two('/big/a');
ok($r->body eq $body, 'large, from Redis');
like($r->header('Cache-Status'), qr/detail=L2/, 'indeed');

is(one('/lang/a', [ 'X-Lang' => 'de' ])->body, 'de1', 'a variant');
is(one('/lang/a', [ 'X-Lang' => 'fr' ])->body, 'fr2', 'another one');
sleep(slow(0.2));
is(two('/lang/a', [ 'X-Lang' => 'de' ])->body, 'de1', 'variants in Redis');
is(two('/lang/a', [ 'X-Lang' => 'fr' ])->body, 'fr2', 'each its own');
is(two('/lang/a', [ 'X-Lang' => 'it' ])->body, 'it3', 'and no others');

one('/head');
one('/only');
sleep(slow(0.1));
$r = http_request('HEAD', '/head', port => $t->port(1));
is($r->status . $r->header('X-Cache') . $r->header('Content-Length'),
   '200HIT2', 'HEAD, from Redis');
like($r->header('Cache-Status'), qr/detail=L2/, 'indeed');
$r = two('/only', [ 'Cache-Control' => 'only-if-cached' ]);
is($r->status . $r->header('X-Cache'), '200HIT', 'only-if-cached');
is(two('/none', [ 'Cache-Control' => 'only-if-cached' ])->status, 504,
   'only-if-cached: not there either');
is($api->count('/none'), 0, 'nor is the backend asked');

one('/cred', [ Cookie => 'a=b' ]);
is(two('/cred')->body, 'n2', 'nothing with credentials');
one('/anon');
sleep(slow(0.1));
is(two('/anon', [ Cookie => 'a=b' ])->body, 'n2', 'and nothing for them');

# injection: a key is what it is

one("/x?a=%0d%0aFLUSHALL%0d%0a");
is(two('/a')->header('X-Cache'), 'HIT', 'no command in a key');
cmp_ok(substr(redis('DBSIZE'), 1), '>', 4, 'nothing was flushed');

# purges reach both

sub purge { return http_request('POST', "/purge?$_[0]") }

for my $how ('uri=/p', 'tag=all', 'all=1') {

    one('/p');
    two('/p');
    my $before = $api->count('/p');
    my $start = time();

    ok(wait_for(sub { purge($how)->status == 200 }), "purge by $how");
    ok(wait_for(sub { two('/p')->header('X-Cache') eq 'MISS' }, 3),
       'on the other node');
    cmp_ok(time() - $start, '<', slow(1), 'within a second');
}

one('/p2');
sleep(slow(0.1));
purge('uri=/p2');
sleep(slow(0.3));
is(two('/p2')->body, 'n2', 'not from Redis either');

one('/post');
two('/post');
http_request('POST', '/post', body => 'x');
ok(wait_for(sub { two('/post')->header('X-Cache') eq 'MISS' }, 3),
   'an unsafe method on the other node');

one('/swr/a');
two('/swr/a');
purge('uri=/swr/a&soft=1');
ok(wait_for(sub { two('/swr/a')->header('X-Cache') ne 'HIT' }, 3), 'soft');

# hung: a request loses one timeout, and after three nobody asks

kill('STOP', $pid);

my @times = map { my $r = one("/hung$_"); $r->time } 1 .. 8;
@times = sort { $a <=> $b } @times;
cmp_ok($times[-1], '<', slow(0.5), 'hung: soon answered');
cmp_ok($times[3], '<', slow(0.08), 'then at once');
is(state_of('one')->{redis}, 'down', 'known to all');
is(one('/a')->status, 200, 'served');
is(purge('uri=/a')->status, 503, 'a purge that did not reach it');
is(one('/a')->header('X-Cache'), 'MISS', 'is done here');

kill('CONT', $pid);
ok(wait_for(sub { one('/x' . rand()); state_of('one')->{redis} eq 'up' }, 10),
   'back again');

# slow for a while: a PING in the background tells when it is over

redis('CLIENT', 'PAUSE', int slow(1500), 'ALL');
one("/paused$_") for 1 .. 5;
is(state_of('one')->{redis}, 'down', 'slow: not asked');
ok(wait_for(sub { state_of('one')->{redis} eq 'up' }, 10),
   'asked again, though no request came');
one('/paused');
sleep(slow(0.1));
like(two('/paused')->header('Cache-Status'), qr/detail=L2/, 'and used');

# gone, under load, and back

my $failed = 0;

stop_redis();

for my $i (1 .. 40) {
    $failed++ if one("/gone$i")->status != 200;
    $failed++ if two("/gone$i")->status != 200;
}

is($failed, 0, 'gone: no request failed');

start_redis();
ok(wait_for(sub { $_->('/y' . rand()) for \&one, \&two;
    state_of('one')->{redis} eq 'up' && state_of('two')->{redis} eq 'up' },
    15), 'restarted');

ok(wait_for(sub { my $u = '/z' . rand(); one($u); sleep(0.05);
    (two($u)->header('Cache-Status') || '') =~ /detail=L2/ }, 10),
   'used again, though it is empty');

# the wrong password

stop_redis();
start_redis('--requirepass', 'other');

for my $i (1 .. 10) {
    $failed++ if one("/wrong$i")->status != 200;
}

is($failed, 0, 'wrong password: no request failed');
is(state_of('one')->{redis}, 'down', 'not asked any more');

# reload, with connections to Redis open

stop_redis();
start_redis();
ok($t->reload($conf), 'reload');
ok(wait_for(sub { one('/r' . rand()); state_of('one')->{redis} eq 'up' }, 15),
   'the new workers are linked');
