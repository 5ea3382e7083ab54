#!/usr/bin/perl

# Workers that die and reloads while calls go on: probes, the lock, the zone.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;
use Time::HiRes qw(sleep time);

use Harness;

my $t = Harness->new(modules => [ 'ngx_http_breaker_module' ]);

my $b = $t->backend('b',
    '/'     => { body => 'fine', keepalive => 1 },
    '/fail' => { status => 500 },
    '/hang' => { action => 'hang' },
);

my $conf = <<'EOC';

%%GLOBALS%%

worker_processes  4;

events {
}

http {
    %%HTTP%%
    access_log  off;

    breaker_zone  z 128k;

    breaker_policy p {
        failure_threshold     3;
        recovery_timeout      50ms;
        max_recovery_timeout  100ms;
        probes                2;
        probe_concurrency     1;
        probe_timeout         300ms;
    }

    server {
        listen       127.0.0.1:%%PORT_0%%;
        server_name  localhost;

        location / {
            breaker     $arg_key zone=z policy=p;
            proxy_pass  http://127.0.0.1:%%PORT_b%%;
        }

        location = /breakers {
            breaker_status;
        }
    }
}

EOC

sub zone { return http_get('/breakers')->json->{zones}[0] }

sub row {
    my ($key) = @_;
    return http_get("/breakers?key=$key")->json->{breakers}[0];
}

# clients that go on whatever happens; each tells what it saw
sub clients {
    my ($n, $seconds) = @_;
    my @pids;

    for my $i (1 .. $n) {
        my $pid = fork();
        die "fork: $!\n" if !defined $pid;

        if ($pid == 0) {
            my ($until, $k) = (time() + $seconds, $i);
            srand $i;

            while (time() < $until) {
                my $key = 'k' . int rand 200;
                my $uri = rand() < 0.3 ? '/fail' : rand() < 0.02 ? '/hang'
                        : '/x';
                my $c = $t->connect(timeout => 1);
                $c->request(GET => "$uri?key=$key", close => 1);
                $c->response if $uri ne '/hang';
                sleep 0.002;
            }

            POSIX::_exit(0);
        }

        push @pids, $pid;
    }

    return @pids;
}

$t->plan(17);
$t->run($conf);
$t->allow_worker_exit;

# workers are killed at any moment

my @pids = clients(3, slow(6));
my ($killed, $until) = (0, time() + slow(5));

while (time() < $until) {
    my @workers = children($t->pid);
    next if !@workers;
    $killed += kill 'KILL', $workers[rand @workers];
    sleep 0.05 + rand 0.1;
}

waitpid $_, 0 for @pids;

cmp_ok($killed, '>', 20, "$killed workers killed");
ok(wait_for(sub { children($t->pid) == 4 }, slow(10)), 'four new ones');

my $r = http_get('/breakers');
is($r->status, 200, 'status');
my $zone = $r->json->{zones}[0];
is($zone->{used}, scalar(grep { 1 } @{ $r->json->{breakers} }),
   'as many as are listed');
is(scalar(grep { $_->{failures} > $_->{calls} || $_->{slow} > $_->{calls}
                 || $_->{probes} > 1 } @{ $r->json->{breakers} }), 0,
   'all of them are sane');

# every breaker still recovers

sleep slow(0.5);
my $wedged = 0;

for my $i (0 .. 199) {
    my $end = time() + slow(3);
    while (time() < $end) {
        http_get("/x?key=k$i");
        last if row("k$i")->{state} eq 'closed';
        sleep 0.02;
    }
    $wedged++ if row("k$i")->{state} ne 'closed';
}

is($wedged, 0, 'none is wedged');

# reloads under load

@pids = clients(3, slow(5));

for (1 .. 8) {
    $t->signal('HUP');
    sleep slow(0.5);
}

waitpid $_, 0 for @pids;
ok(wait_for(sub { children($t->pid) == 4 }, slow(20)), 'four workers');
is(http_get('/x?key=fresh')->status, 200, 'reloads under load');
is($t->grep_log(qr/exited on signal (?!9)/), 0, 'no other death');
is(zone()->{used}, scalar @{ http_get('/breakers')->json->{breakers} },
   'the zone is whole');

# a backend that is down for a while and comes back: under load it opens once,
# lets probes through one by one, and closes

$b->stop;
http_get('/x?key=down') for 1 .. 3;
is(row('down')->{state}, 'open', 'down');
sleep 0.2;
http_get('/x?key=down');
is(row('down')->{state}, 'open', 'still down');
cmp_ok(row('down')->{transitions}, '>=', 3, 'after a probe');
$b->start;
ok(wait_for(sub { http_get('/x?key=down');
                  row('down')->{state} eq 'closed' }, slow(5)), 'recovered');

# a probe lost with its worker

http_get('/fail?key=lost') for 1 .. 3;
sleep 0.15;
my $c = $t->connect;
$c->request(GET => '/hang?key=lost');
ok(wait_for(sub { row('lost')->{probes} == 1 }, slow(2)), 'a probe hangs');
kill 'KILL', children($t->pid);
ok(wait_for(sub { children($t->pid) == 4 }, slow(10)), 'its worker died');
ok(wait_for(sub { http_get('/x?key=lost');
                  row('lost')->{state} eq 'closed' }, slow(5)),
   'the breaker recovers');


sub children {
    my ($pid) = @_;
    my @children;

    for my $stat (glob '/proc/[0-9]*/stat') {
        open my $f, '<', $stat or next;
        my $line = <$f>;
        next if !defined $line;
        push @children, $1 if $line =~ /^(\d+) \(.*\) [^Z] (\d+)/ && $2 == $pid;
    }

    return @children;
}
