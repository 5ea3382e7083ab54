#!/usr/bin/perl

# The balancer "peak_ewma": slow servers, servers that fail fast, Retry-After,
# recovery, and what it has in common with nginx's own methods.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;
use Time::HiRes qw(sleep time);

use Harness;

my $t = Harness->new(modules => [ 'ngx_http_aggregate_module' ]);

my %b;

for my $i (1 .. 5) {
    $b{$i} = $t->backend("b$i", '*' => { delay => 0.005, body => "b$i" });
}

my $dead = $t->dead_port;
my $conf = <<'EOC';

%%GLOBALS%%

worker_processes  WORKERS;

events {
}

http {
    %%HTTP%%

    upstream u {
        ZONE
        aggregate_balance  peak_ewma decay=2s;
        server  127.0.0.1:%%PORT_b1%% max_fails=0;
        server  127.0.0.1:%%PORT_b2%% max_fails=0;
        server  127.0.0.1:%%PORT_b3%% max_fails=0;
        server  127.0.0.1:%%PORT_b4%% max_fails=0;
        server  127.0.0.1:%%PORT_b5%% max_fails=0;
        keepalive  16;
    }

    upstream rr {
        server  127.0.0.1:%%PORT_b1%% max_fails=0;
        server  127.0.0.1:%%PORT_b2%% max_fails=0;
        server  127.0.0.1:%%PORT_b3%% max_fails=0;
        server  127.0.0.1:%%PORT_b4%% max_fails=0;
        server  127.0.0.1:%%PORT_b5%% max_fails=0;
        keepalive  16;
    }

    upstream tries {
        ZONE2
        aggregate_balance  peak_ewma decay=2s;
        server  127.0.0.1:DEAD;
        server  127.0.0.1:%%PORT_b1%%;
        server  127.0.0.1:%%PORT_b2%% down;
    }

    upstream backup {
        aggregate_balance  peak_ewma;
        server  127.0.0.1:DEAD;
        server  127.0.0.1:DEAD;
        server  127.0.0.1:%%PORT_b3%% backup;
        server  127.0.0.1:%%PORT_b4%% backup;
    }

    upstream none {
        aggregate_balance  peak_ewma;
        server  127.0.0.1:DEAD;
        server  127.0.0.1:DEAD;
    }

    upstream one {
        aggregate_balance  peak_ewma;
        server  127.0.0.1:%%PORT_b5%%;
    }

    upstream conns {
        zone  conns 64k;
        aggregate_balance  peak_ewma;
        server  127.0.0.1:%%PORT_b1%% max_conns=1;
        server  127.0.0.1:%%PORT_b2%% max_conns=1;
    }

    upstream weights {
        aggregate_balance  peak_ewma decay=1s;
        server  127.0.0.1:%%PORT_b1%% weight=4;
        server  127.0.0.1:%%PORT_b2%%;
        server  127.0.0.1:%%PORT_b3%%;
    }

    upstream many {
        zone  many 1m;
        aggregate_balance  peak_ewma;
        MANY
    }

    upstream local {
        aggregate_balance        peak_ewma;
        aggregate_balance_local  127.0.0.0/24 factor=3;
        server  127.0.0.1:%%PORT_b1%%;
        server  127.0.0.1:%%PORT_b2%%;
        server  127.0.1.1:%%PORT_far%%;
    }

    server {
        listen       127.0.0.1:%%PORT_0%%;
        server_name  localhost;

        proxy_http_version   1.1;
        proxy_set_header     Connection "";
        proxy_read_timeout   2s;
        proxy_next_upstream  off;
        add_header           X-Server $upstream_addr always;

        location /u/      { proxy_pass http://u/; }
        location /rr/     { proxy_pass http://rr/; }
        location /tries/  { proxy_next_upstream error;
                            proxy_pass http://tries/; }
        location /backup/ { proxy_next_upstream error;
                            proxy_pass http://backup/; }
        location /none/   { proxy_next_upstream error;
                            proxy_pass http://none/; }
        location /one/    { proxy_pass http://one/; }
        location /conns/  { proxy_pass http://conns/; }
        location /weights/ { proxy_pass http://weights/; }
        location /many/   { proxy_next_upstream error;
                            proxy_pass http://many/; }
        location /local/  { proxy_pass http://local/; }

        location = /balance {
            aggregate_balance_status;

            limit_except GET {
                deny all;
            }
        }
    }
}

EOC

$t->backend('far', '*' => { delay => 0.004, body => 'far' });

$conf =~ s/DEAD/$dead/g;
$conf =~ s/MANY/join "\n        ", map { "server 127.0.2.$_:$dead;" } 1 .. 99/e;
$conf =~ s/(127\.0\.2\.99:\d+;)/$1 server 127.0.0.1:%%PORT_b1%%;/;
$conf =~ s/127\.0\.1\.1:%%PORT_far%%/127.0.0.1:%%PORT_far%%/;
$conf =~ s{aggregate_balance_local  127\.0\.0\.0/24}
          {aggregate_balance_local  10.0.0.0/8};

my $with = $conf =~ s/ZONE2/zone tries 128k;/r =~ s/ZONE/zone u 256k;/r
    =~ s/WORKERS/2/r;

sub servers {
    my ($upstream) = @_;
    my ($u) = grep { $_->{name} eq $upstream }
        @{ http_get('/balance')->json->{upstreams} };
    return @{ $u->{servers} };
}

sub server {
    my ($upstream, $i) = @_;
    my $port = $b{$i}->port;
    my ($s) = grep { $_->{server} eq "127.0.0.1:$port" } servers($upstream);
    return $s;
}

# N requests, so many at once: how many each backend got, and the times
sub load {
    my ($uri, $n, $c) = @_;
    my (%n, @times, %status);

    for (1 .. $n / $c) {
        my @c = map { $t->connect } 1 .. $c;
        my $start = time;
        $_->request(GET => $uri, close => 1) for @c;

        for (@c) {
            my $r = $_->response;
            $n{ $r->body }++ if $r->status == 200;
            $status{ $r->status }++;
            push @times, time - $start;
        }
    }

    @times = sort { $a <=> $b } @times;
    return { n => \%n, status => \%status, p99 => $times[$#times * 0.99] };
}

# a steady stream of clients, so that one slow answer holds up no other
sub stream {
    my ($uri, $n, $clients) = @_;
    my (%n, %status, @times);
    my $start = time;
    my @busy = map { { c => $t->connect } } 1 .. $clients;
    my $sent = 0;

    for (@busy) {
        $_->{c}->request(GET => $uri);
        $_->{start} = time;
        $sent++;
    }

    while (@busy) {
        my $rin = '';
        vec($rin, fileno $_->{c}->socket, 1) = 1 for @busy;
        select(my $rout = $rin, undef, undef, 10) or last;

        for my $k (grep { vec($rout, fileno $_->{c}->socket, 1) } @busy) {
            my $r = $k->{c}->response;
            $status{ $r->status }++;
            $n{ $r->body }++ if $r->status == 200;
            push @times, time - $k->{start};

            if ($sent++ < $n) {
                $k->{c}->request(GET => $uri);
                $k->{start} = time;
            } else {
                $k->{c}->close;
                $k->{gone} = 1;
            }
        }

        @busy = grep { !$_->{gone} } @busy;
    }

    @times = sort { $a <=> $b } @times;
    return { n => \%n, status => \%status, p99 => $times[$#times * 0.99],
             took => time - $start };
}

$t->plan(37);
$t->run($with);

# equal servers

my $r = stream('/u/', 500, 8);
is($r->{status}{200}, 500, 'all answered');
is(scalar(grep { ($r->{n}{"b$_"} || 0) > 40 } 1 .. 5), 5, 'all servers work')
    or diag(explain $r->{n});

my @s = servers('u');
is(scalar @s, 5, 'five in the status');
is(scalar(grep { $_->{latency} >= 0.004 && $_->{latency} < slow(0.5) } @s), 5,
   'with their latency');
is(scalar(grep { $_->{in_flight} } @s), 0, 'nothing in flight');
my $picks = 0;
$picks += $_->{picks} for @s;
is($picks, 500, 'all picks counted');
is($s[0]{state}, 'up', 'up');

# one of five is ten times slower

$b{$_}->set('*' => { delay => slow($_ == 3 ? 0.2 : 0.02), body => "b$_" })
    for 1 .. 5;
my $rr = stream('/rr/', 300, 8);
$r = stream('/u/', 600, 8);
is($r->{status}{200}, 600, 'all answered with a slow one');
cmp_ok($r->{n}{b3} || 0, '<=', 30, 'the slow one gets 5 % at most')
    or diag(explain $r->{n});
cmp_ok($rr->{n}{b3}, '>=', 50, 'by round robin it gets a fifth');
cmp_ok($r->{took} / 600, '<', $rr->{took} / 300, 'which saves time')
    or diag("p99: $r->{p99} $rr->{p99}");

# another one fails in no time as well

$b{4}->set('*' => { status => 503, body => '' });
$r = stream('/u/', 600, 8);
cmp_ok($r->{n}{b3} || 0, '<=', 30, 'the slow one gets 5 % still')
    or diag(explain $r->{n});
cmp_ok($r->{status}{503} || 0, '<=', 24, 'and 4 % see the other one')
    or diag(explain $r->{status});

# one fails in no time

$b{$_}->set('*' => { delay => 0.005, body => "b$_" }) for 1 .. 3, 5;
$r = stream('/u/', 600, 8);
cmp_ok($r->{status}{503} || 0, '<=', 24, 'a server that fails fast: 4 % see it')
    or diag(explain $r->{status});
cmp_ok(server('u', 4)->{latency}, '>=', 0.9, 'the penalty');
is(server('u', 4)->{state}, 'failing', 'it fails');
cmp_ok(server('u', 4)->{failures}, '>=', 1, 'counted');

# it recovers

$b{4}->set('*' => { delay => 0.005, body => 'b4' });
ok(wait_for(sub { stream('/u/', 40, 4)->{n}{b4} }, slow(8)),
   'one request, after "decay"');
$r = stream('/u/', 400, 8);
cmp_ok($r->{n}{b4}, '>=', 40, 'half a fair share at least')
    or diag(explain $r->{n});

# Retry-After

$b{2}->set('*' => { status => 429, body => '',
                    headers => [ 'Retry-After' => 30 ] });
stream('/u/', 100, 8);
my $before = $b{2}->count;
stream('/u/', 200, 8);
is($b{2}->count, $before, 'nothing more while it is to be left alone');
is(server('u', 2)->{state}, 'retry_after', 'told');
$b{2}->set('*' => { delay => 0.005, body => 'b2' });

# nginx's own: tries, down, backup, one, none, max_conns, weight, 100 servers

is(join(' ', map { http_get('/tries/')->body } 1 .. 4), 'b1 b1 b1 b1',
   'the next try');
my %states = map { $_->{state} => 1 } servers('tries');
is(join(' ', sort keys %states), 'down unavailable up', 'their states');
like(http_get('/backup/')->body, qr/^b[34]$/, 'backup');
is(http_get('/none/')->status, 502, 'none left');
is(http_get('/one/')->body, 'b5', 'a single one');
ok(wait_for(sub { (servers('one'))[0]{picks} == 1 }, slow(5)), 'counted');

$b{1}->set('/slow' => { delay => 0.5, body => 'b1' });
$b{2}->set('/slow' => { delay => 0.5, body => 'b2' });
my @c = map { $t->connect } 1 .. 3;
$_->request(GET => '/conns/slow', close => 1) for @c;
sleep 0.15;
is(join(' ', sort map { $_->{in_flight} } servers('conns')), '1 1',
   'in flight');
my @st = sort map { $_->response->status } @c;
is("@st", '200 200 502', 'max_conns');

$b{$_}->set('*' => { delay => 0.03, body => "b$_" }) for 1 .. 3;
$r = stream('/weights/', 200, 1);
cmp_ok($r->{n}{b1}, '>', 80, 'a heavier one gets more')
    or diag(explain $r->{n});

is(http_get('/many/')->body, 'b1', 'the only one of a hundred');
is(scalar(servers('many')), 100, 'a hundred in the status');

# the status

my $text = http_get('/balance?format=prometheus')->body;
my $sum = 0;
my $picked = qr/^gateway_balance_picks_total\{upstream="conns".* (\d+)$/m;
$sum += $_ for $text =~ /$picked/g;
is($sum, 2, 'Prometheus');
my %series;
$series{$_}++ for $text =~ /^(gateway\S+\{.*\}) /mg;
is(scalar(grep { $_ > 1 } values %series), 0, 'no series twice');
is(http_request(POST => '/balance')->status, 403, 'limit_except');

# a worker dies with requests in flight

$b{1}->set('/hang' => { action => 'hang' });
$b{2}->set('/hang' => { action => 'hang' });
my @h = map { $t->connect } 1 .. 2;
$_->request(GET => '/conns/hang') for @h;
ok(wait_for(sub { 2 == grep { $_->{in_flight} } servers('conns') }, slow(3)),
   'two hang');
$t->allow_worker_exit;
kill 'KILL', $t->workers;
ok(wait_for(sub { my $r = http_get('/balance');
                  $r->status == 200
                  && !grep { $_->{in_flight} } servers('conns') }, slow(6)),
   'taken back');
