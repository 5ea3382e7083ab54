#!/usr/bin/perl

# Half-open: probes, their number and their time, backoff, jitter, and probes
# that never come back.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;
use Time::HiRes qw(sleep time);

use Harness;

my $t = Harness->new(modules => [ 'ngx_http_breaker_module' ]);

my $b = $t->backend('b',
    '/'      => 'fine',
    '/fail'  => { status => 500 },
    '/hold'  => { delay => slow(1) > 1 ? 1 : 0.5, body => 'held' },
    '/hang'  => { action => 'hang' },
    '/body'  => 'body',
);

my $conf = <<'EOC';

%%GLOBALS%%

worker_processes  WORKERS;

events {
}

http {
    %%HTTP%%

    breaker_zone  z 1m;

    breaker_policy p {
        failure_threshold     1;
        slow_call             0;
        recovery_timeout      300ms;
        max_recovery_timeout  1s;
        jitter                0%;
        probes                3;
        probe_concurrency     2;
        probe_timeout         2s;
    }

    breaker_policy slow {
        failure_threshold     1;
        slow_call             200ms;
        slow_rate             80%;
        recovery_timeout      300ms;
        probes                1;
    }

    breaker_policy jitter {
        failure_threshold     1;
        recovery_timeout      10s;
        jitter                50%;
    }

    server {
        listen       127.0.0.1:%%PORT_0%%;
        server_name  localhost;

        proxy_read_timeout  10s;

        location / {
            breaker     $arg_key zone=z policy=p;
            proxy_pass  http://127.0.0.1:%%PORT_b%%;
            add_header  X-Result $breaker_result always;
        }

        location /slow/ {
            breaker     $arg_key zone=z policy=slow;
            proxy_pass  http://127.0.0.1:%%PORT_b%%/;
        }

        location /jitter/ {
            breaker     $arg_key zone=z policy=jitter;
            proxy_pass  http://127.0.0.1:%%PORT_b%%/;
        }

        location /access/ {
            deny        all;
            breaker     $arg_key zone=z policy=p;
            proxy_pass  http://127.0.0.1:%%PORT_b%%/;
        }

        location /try/ {
            breaker     $arg_key zone=z policy=p;
            try_files   /none @other;
            proxy_pass  http://127.0.0.1:%%PORT_b%%;
        }

        location @other {
            breaker     off;
            return      200 other;
        }

        location = /breakers {
            breaker_status;
        }
    }
}

EOC

sub row {
    my ($key) = @_;
    my ($row) = grep { $_->{key} eq $key }
        @{ http_get('/breakers')->json->{breakers} };
    return $row;
}

sub state { return row($_[0])->{state} }

# opens a breaker and waits until it lets a probe through
sub half_open {
    my ($key, $time) = @_;

    http_get("/fail?key=$key");
    return sleep($time || 0.35);
}

$conf =~ s/WORKERS/4/;

$t->plan(51);
$t->run($conf);

# recovery

half_open('a');
is(http_get('/?key=a')->header('X-Result'), 'probe', "probe $_") for 1 .. 3;
is(http_get('/?key=a')->header('X-Result'), 'pass', 'closed again');

my $row = row('a');
is("$row->{state} $row->{reason}", 'closed probes succeeded', 'and it says so');
is($row->{transitions}, 3, 'three transitions');

my @lines = $t->grep_log(qr/breaker "a"/);
is(join(' ', map { / (\w+ -> \w+)/ } @lines),
   'closed -> open open -> half_open half_open -> closed', 'all logged');

# 50 clients at once: never more than probe_concurrency at the backend

half_open('b');
$b->clear;

my @c = map { $t->connect } 1 .. 50;
$_->request(GET => '/hold?key=b', close => 1) for @c;
my @r = map { $_->response } @c;

my %n;
$n{ $_->status }++ for @r;

is($n{200}, 2, 'two probes');
is($n{503}, 48, 'the others are rejected');
is($b->stats->{parallel}, 2, 'two at a time at the backend');

my @rejected = grep { $_->status == 503 } @r;
is(scalar(grep { $_->header('Retry-After') == 1 } @rejected), 48,
   'Retry-After 1');
is(scalar(grep { $_->header('X-Breaker') eq 'open' } @rejected), 48,
   'X-Breaker');
is(state('b'), 'half_open', 'one more is missing');

# under a stream of clients it closes, and no storm comes with it

@c = map { $t->connect } 1 .. 20;
$_->request(GET => '/hold?key=b', close => 1) for @c;
is(scalar(grep { $_->response->status == 200 } @c), 1, 'the one that misses');
is(state('b'), 'closed', 'closed');

# backoff: doubled up to the cap, and from the start after a recovery

my @times;

for (1 .. 4) {
    http_get('/fail?key=c');
    my ($line) = reverse $t->grep_log(qr/breaker "c" .* -> open/);
    push @times, $line =~ /open for (\d+)ms/;
    sleep $times[-1] / 1000 + 0.05;
}

is("@times", '300 600 1000 1000', 'doubled, up to the cap');

http_get('/?key=c') for 1 .. 3;
is(state('c'), 'closed', 'recovered');
http_get('/fail?key=c');
my ($line) = reverse $t->grep_log(qr/breaker "c" .* -> open/);
like($line, qr/open for 300ms/, 'from the start');

# jitter

my (%times, $least, $most);

for my $i (1 .. 60) {
    http_get("/jitter/fail?key=j$i");
}

for ($t->grep_log(qr/breaker "j\d+" .* -> open/)) {
    my ($time) = /open for (\d+)ms/;
    $times{$time}++;
    $least = $time if !defined $least || $time < $least;
    $most = $time if !defined $most || $time > $most;
}

cmp_ok($least, '>=', 10000, 'not less than the timeout');
cmp_ok($most, '<=', 15000, 'not more than the jitter allows');
cmp_ok(keys %times, '>', 30, 'and spread');
cmp_ok($most - $least, '>', 2500, 'over the range');

# a failed probe, and one that is slow

half_open('d');
is(http_get('/?key=d')->status, 200, 'one succeeds');
is(http_get('/fail?key=d')->status, 500, 'one fails');
is(row('d')->{reason}, 'probe failed', 'open again');

http_get('/slow/fail?key=e');
sleep 0.6;
is(http_get('/slow/hold?key=e')->status, 200, 'a slow probe');
is(row('e')->{reason}, 'probe was slow', 'is a failed one');

# results of an earlier state decide nothing

my $late = $t->connect;
$b->clear;
$late->request(GET => '/hold?key=f');
wait_for(sub { $b->count('/hold') }, slow(5));
half_open('f');
is(http_get('/?key=f')->status, 200, 'a probe');
is($late->response->status, 200, 'an old call comes back');
is(row('f')->{probes_succeeded}, 1, 'and counts for nothing');

# a client that leaves gives its probe back

half_open('g');
for (1 .. 2) {
    my $c = $t->connect;
    $c->request(GET => '/hang?key=g');
    sleep 0.1;
    close $c->socket;
}
ok(wait_for(sub { row('g')->{probes} == 0 }, slow(5)), 'given back');
is(http_get('/?key=g')->header('X-Result'), 'probe', 'to the next one');
is(state('g'), 'half_open', 'half-open all the time');

# a probe that hangs

half_open('h');
my $hung = $t->connect;
$hung->request(GET => '/hang?key=h');
wait_for(sub { row('h')->{probes} == 1 }, slow(5));
sleep 2.1;
is(http_get('/?key=h')->status, 503, 'too late');
is(row('h')->{reason}, 'probe timed out', 'a failed probe');
close $hung->socket;

# a probe whose client is slow to send its body has not begun

half_open('i');
my @slow = map { $t->connect } 1 .. 2;
$_->send("POST /body?key=i HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\nab")
    for @slow;
wait_for(sub { row('i')->{probes} == 2 }, slow(5));
is(http_get('/?key=i')->status, 503, 'both probes are taken');
sleep 2.1;
is(http_get('/?key=i')->header('X-Result'), 'probe', 'their time is over');
is(state('i'), 'half_open', 'which is no failure');
$_->send('cd') for @slow;
is(join(' ', map { $_->response->status } @slow), '200 200', 'they go on');
is(row('i')->{probes_succeeded}, 1, 'and decide nothing');

# one that sends it in time: the clock starts with the call

half_open('k');
my $c = $t->connect;
$c->send("POST /body?key=k HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\nab");
sleep 1.2;
$c->send('cd');
is($c->response->header('X-Result'), 'probe', 'a probe with a body');
is(row('k')->{probes_succeeded}, 1, 'has succeeded');

# neither access rules nor try_files cost a probe

half_open('l');
is(http_get('/access/?key=l')->status, 403, 'denied');
is(http_get('/try/?key=l')->body, 'other', 'elsewhere');
is(row('l')->{state} . row('l')->{probes}, 'open0', 'no probe was given');

# kill -9 of the worker that holds the probes

half_open('m');
my @held = map { $t->connect } 1 .. 2;
$_->request(GET => '/hang?key=m') for @held;
ok(wait_for(sub { (row('m')->{probes} || 0) == 2 }, slow(5)), 'two held');
$t->allow_worker_exit;
kill 'KILL', $t->workers;
sleep 0.2;
ok(wait_for(sub { http_get('/breakers')->status == 200 }, slow(10)),
   'new workers');
is(row('m')->{probes}, 2, 'nobody has given them back');
ok(wait_for(sub { http_get('/?key=m')->status == 503
                  && $t->grep_log(qr/"m".*half_open -> open, probe timed out/)
            }, slow(10)), 'the lease ends, as a failure');
ok(wait_for(sub { (http_get('/?key=m')->header('X-Result') || '') eq 'probe' },
            slow(10)), 'and it goes on');
http_get('/?key=m') for 1 .. 2;
is(state('m'), 'closed', 'to the end');
