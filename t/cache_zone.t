#!/usr/bin/perl

# The zone: full, reloaded, and with workers that die.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;
use Time::HiRes qw(time sleep);

use Harness;

my $t = Harness->new(plan => 60);

my $b = $t->backend('api',
    '/slow/' => { delay => 1, body => 'slow', headers =>
                  [ 'Cache-Control' => 'max-age=6000' ] },
    '/limit/' => sub {
        my ($coding, $size) = $_[0]{uri} =~ m{/limit/(\w+)/(\d+)};
        return { body => 'x' x $size, chunked => $coding eq 'chunked',
                 headers => [ 'Cache-Control' => 'max-age=6000' ] };
    },
    '/' => sub {
        my ($q) = @_;
        my ($size) = $q->{uri} =~ m{/s(\d+)/};
        return { body => "$q->{uri};", repeat => $size || 1,
                 headers => [ 'Cache-Control' => 'max-age=6000' ] };
    },
);

my $conf = <<'EOF';

%%GLOBALS%%

worker_processes  2;

events {
}

http {
    %%HTTP%%

    aggregate_cache_zone  api 1m max_object=200k;
    aggregate_cache_zone  half 1m;

    log_format  reason  '$uri $aggregate_cache_reason';

    server {
        listen       127.0.0.1:%%PORT_0%%;
        server_name  localhost;

        location / {
            aggregate_cache  api;
            proxy_pass       http://127.0.0.1:%%PORT_api%%;
        }

        location ~ ^/half(?<limit>/limit/.*) {
            aggregate_cache  half;
            access_log       %%TESTDIR%%/reason.log reason;
            proxy_pass       http://127.0.0.1:%%PORT_api%%$limit;
        }

        location = /state {
            aggregate_cache_status;
        }
    }
}

EOF

$t->run($conf);

sub state_of { return http_get('/state')->json->{zones}{api} }

# full: it evicts, nobody fails, what is used stays

my $failed = 0;
my $wrong = 0;

http_get('/hot') for 1 .. 3;

for my $i (1 .. 1500) {
    my $uri = '/s' . (1 + $i % 400) . "/$i";
    my $r = http_get($uri);
    $failed++ if $r->status != 200;
    $wrong++ if $r->body ne "$uri;" x (1 + $i % 400);
    $wrong++ if http_get('/hot')->header('X-Cache') ne 'HIT';
}

is($failed, 0, 'no request failed in a full zone');
is($wrong, 0, 'all got their own, and the hot one stayed');
cmp_ok(state_of()->{evictions}, '>', 100, 'it was full');

my $s = state_of();
cmp_ok($s->{bytes}, '<', 1024 * 1024, 'bytes');

# max_object, to the byte

for my $coding (qw(length chunked)) {
    for ([ 204_800, 'HIT' ], [ 204_801, 'MISS' ]) {
        my ($size, $state) = @$_;

        http_get("/limit/$coding/$size");
        is(http_get("/limit/$coding/$size")->header('X-Cache'), $state,
           "$coding, $size bytes");
    }
}

# what a zone has no room for

my ($ok, $output) = $t->test_config('%%GLOBALS%% events { } http {
    aggregate_cache_zone half 1m max_object=1m; }');
my ($max) = $output =~ /\[warn\]\ .*max_object\ 1048576\ of\ zone\ "half"\ is
                         \ too\ large,\ a\ response\ larger\ than\ (\d+)/x;

ok($ok && $max, 'a warning');

for my $case ([ 'length', $max + 1, 'MISS', 'too-large' ],
              [ 'length', $max, 'MISS', 'no-room' ],
              [ 'chunked', $max + 1, 'MISS', 'no-room' ],
              [ 'chunked', $max, 'MISS', 'no-room' ],
              [ 'length', $max - 2048, 'HIT', '-' ],
              [ 'chunked', $max - 2048, 'HIT', '-' ])
{
    my ($coding, $size, $state, $reason) = @$case;
    my $uri = "/half/limit/$coding/$size";

    my $detail = http_get($uri)->header('Cache-Status');

    is(http_get($uri)->header('X-Cache'), $state, "$uri, not stored");
    ok(wait_for(sub { $t->read_file('reason.log') =~ /^\Q$uri $reason\E$/m }),
       "$uri, the reason in the log");

    next if $coding eq 'chunked';
    like($detail, $reason eq '-' ? qr/stored/ : qr/detail=$reason/,
         "$uri, the reason in the response");
}

# reload

http_get('/kept');
ok($t->reload($conf), 'reload');
is(http_get('/kept')->header('X-Cache'), 'HIT', 'survives');

(my $larger = $conf) =~ s/api 1m/api 2m/;
ok($t->reload($larger), 'another size');
is(http_get('/kept')->header('X-Cache'), 'MISS', 'starts afresh');

# a worker that fetches is killed: the next one takes over

$t->allow_worker_exit;

my ($c, $killed, $fetching);

for my $i (1 .. 5) {
    $killed = "/slow/killed$i";
    $c = $t->connect;
    $c->request(GET => $killed);

    # found before the fetch is over, or once more

    wait_for(sub { $b->count($killed) == 1 });
    last if wait_for(sub {
        ($fetching) = grep { my $pid = $_; grep { $_ } connected($pid) }
            $t->workers;
        return $fetching;
    }, 0.5);
}

is($b->count($killed), 1, 'a fetch under way');
ok($fetching, 'by a worker');

my $start = time();
my @waiting = map { $t->connect } 1 .. 24;
$_->request(GET => $killed, close => 1) for @waiting;
sleep(0.2);
kill('KILL', $fetching);

my @r = map { $_->response } @waiting;
my @good = grep { $_->status == 200 && $_->body eq 'slow' } @r;

cmp_ok(scalar(@good) + scalar(grep { $_->error } @r), '==', 24,
       'all were answered, but those of the dead worker');
cmp_ok(time() - $start, '<', slow(4), 'in time');
ok(wait_for(sub { scalar(my @w = children()) == 2 }), 'a new worker');

# unless all of them were the dead worker's
http_get($killed) if !@good;
is(http_get($killed)->header('X-Cache'), 'HIT', 'kept');

# killed under load, again and again

my $deaths = 0;

for my $round (1 .. 6) {
    my @c = map { $t->connect(timeout => 5) } 1 .. 20;

    for my $i (0 .. $#c) {
        $c[$i]->request(GET => '/s' . (20 * $i + 1) . "/k$round$i",
                        close => 1);
    }

    my ($pid) = children();
    $deaths += kill('KILL', $pid);

    for my $i (0 .. $#c) {
        my $r = $c[$i]->response;
        my $uri = '/s' . (20 * $i + 1) . "/k$round$i";
        $wrong++ if !$r->error && $r->body ne "$uri;" x (20 * $i + 1);
    }

    wait_for(sub { my @w = children(); @w == 2 && !grep { $_ == $pid } @w });
}

is($deaths, 6, 'workers killed');
is($wrong, 0, 'no body was mixed up');
is(http_get('/after')->status, 200, 'the cache works');
is(http_get('/after')->header('X-Cache'), 'HIT', 'and keeps');

# configuration errors name the directive, the value, and where it stands

my $redis = 'aggregate_redis r { server 127.0.0.1:1; tls on; ';

for my $case (
    [ 'aggregate_cache_zone api 1k;',
      qr/"1k" of zone "api" in "aggregate_cache_zone" is too small/ ],
    [ 'aggregate_cache_zone api x;',
      qr/invalid size "x" of zone "api" in "aggregate_cache_zone"/ ],
    [ 'aggregate_cache_zone api 1m foo=1;',
      qr/invalid parameter "foo=1" of "aggregate_cache_zone"/ ],
    [ 'aggregate_cache_zone api 1m max_object=x;',
      qr/max_object "x" in "aggregate_cache_zone"/ ],
    [ 'aggregate_cache_zone api 1m max_object=2m;',
      qr/max_object "2m" in .*, it must be from 1 to the size of the zone/ ],
    [ 'aggregate_cache_zone api 1m; aggregate_cache_zone api 1m;',
      qr/duplicate zone "api" in "aggregate_cache_zone"/ ],
    [ 'aggregate_cache nosuch;', qr/zone "nosuch" is not declared/ ],
    [ 'aggregate_cache off redis=r;',
      qr/invalid parameter "redis=r" of "aggregate_cache off"/ ],
    [ 'aggregate_cache api foo=r;',
      qr/invalid parameter "foo=r" of "aggregate_cache"/ ],
    [ 'aggregate_cache_ttl api 1s;',
      qr/invalid prefix "api" in "aggregate_cache_ttl"/ ],
    [ 'aggregate_cache_ttl / 1s; aggregate_cache_ttl / 2s;',
      qr/duplicate prefix "\/" in "aggregate_cache_ttl"/ ],
    [ 'aggregate_cache_ttl / never;',
      qr/invalid time "never" in "aggregate_cache_ttl"/ ],
    [ 'aggregate_cache_valid never;',
      qr/invalid time "never" in "aggregate_cache_valid"/ ],
    [ 'aggregate_cache_valid abc 1m;',
      qr/invalid status "abc" in "aggregate_cache_valid", .* 100 to 599/ ],
    [ 'aggregate_cache_valid 200 600 1m;',
      qr/invalid status "600" in "aggregate_cache_valid"/ ],
    [ 'aggregate_cache_stale now;',
      qr/invalid parameter "now" of "aggregate_cache_stale"/ ],
    [ 'aggregate_cache_stale error x;',
      qr/invalid time "x" in "aggregate_cache_stale"/ ],
    [ 'aggregate_cache_ignore_headers Cookies;',
      qr/"Cookies" in "aggregate_cache_ignore_headers", .* Cookie, / ],
    [ 'aggregate_cache_purge_lost ask;',
      qr/invalid value "ask" in "aggregate_cache_purge_lost"/ ],
    [ 'aggregate_cache_purge_lost stale after=1ms;',
      qr/"after=1ms" of "aggregate_cache_purge_lost"/ ],
    [ "$redis tls_ca /nosuch.pem; }",
      qr/invalid "tls_ca" in redis "r"/ ],
    [ "$redis tls_certificate /nosuch; tls_certificate_key /nosuch; }",
      qr/invalid "tls_certificate" or "tls_certificate_key" in redis "r"/ ])
{
    my ($line, $error) = @$case;
    my ($ok, $output) = $t->test_config("%%GLOBALS%% events { } http { $line
        server { listen 127.0.0.1:%%PORT_9%%; } }");
    like($output, qr/$error.* in \S+:\d+$/m, $line);
}


sub children {
    my $pid = $t->pid;

    open(my $f, '<', "/proc/$pid/task/$pid/children") or return;
    return split(' ', <$f> || '');
}


# is there a connection to the backend

sub connected {
    my ($pid) = @_;

    my $port = sprintf('%04X', $b->port);
    my %inode;

    open(my $tcp, '<', '/proc/net/tcp') or return;
    while (my $line = <$tcp>) {
        my @f = split(' ', $line);
        $inode{$f[9]} = 1 if $f[2] =~ /:$port$/ && $f[3] eq '01';
    }

    return grep { /socket:\[(\d+)\]/ && $inode{$1} }
        map { readlink($_) || '' } glob("/proc/$pid/fd/*");
}
