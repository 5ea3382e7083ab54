#!/usr/bin/perl

# Balancing by latency where servers come and go by their name, under load, and
# where "sticky" asks for one of them: what only a newer nginx has.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";
use Test::More;

use Harness;
use IO::Socket::INET;
use POSIX ();
use Time::HiRes qw(sleep time);

my ($minor, $patch) = `$ENV{TEST_NGINX_BINARY} -v 2>&1` =~ m{/1\.(\d+)\.(\d+)};

plan skip_all => 'this nginx has no "resolve"'
    if !$minor || $minor * 1000 + $patch < 27_003;

my $sticky = $minor * 1000 + $patch >= 29_006;
my $t = Harness->new(modules => [ 'ngx_http_aggregate_module' ]);

# four servers with one port, of addresses of their own

my @b = $t->backend('b1', '*' => { delay => 0.01, body => 'b1' });

for my $n (2 .. 4) {
    my $b = $t->backend("b$n", '*' => { delay => 0.01, body => "b$n" });
    $b->stop;
    $b->{address} = "127.0.0.$n";
    $b->{port} = $b[0]->port;
    $b->start;
    push @b, $b;
}

# the server of names gives what a file says

$t->port(0);
my $port = $t->port('dns');
my $d = $t->testdir;
my $dns = fork;
die "fork: $!" if !defined $dns;

if (!$dns) {
    $SIG{$_} = 'DEFAULT' for qw(INT TERM HUP ALRM);
    my $s = IO::Socket::INET->new(Proto => 'udp', LocalAddr => '127.0.0.1',
        LocalPort => $port) or POSIX::_exit(1);

    while (defined $s->recv(my $q, 512)) {
        my $end = 12 + index(substr($q, 12), "\0") + 1;
        my $type = unpack 'n', substr($q, $end, 2);
        open my $f, '<', "$d/addresses" or next;
        my @ip = $type == 1 ? split(' ', scalar <$f> // '') : ();
        $s->send(pack('n6', unpack('n', $q), 0x8180, 1, scalar @ip, 0, 0)
            . substr($q, 12, $end - 12 + 4)
            . join '', map { pack 'n3Nn C4', 0xc00c, 1, 1, 1, 4, split /\./ }
                       @ip);
    }

    POSIX::_exit(0);
}

END { local $?; if ($dns) { kill 'KILL', $dns; waitpid $dns, 0 } }

sub addresses {
    $t->write_file('addresses.new', join(' ', map { "127.0.0.$_" } @_) . "\n");
    rename "$d/addresses.new", "$d/addresses" or die "rename: $!";
}

$t->plan(13);

my $conf = <<'EOC';

%%GLOBALS%%

worker_processes  2;

events {
}

http {
    %%HTTP%%

    resolver          127.0.0.1:%%PORT_dns%% valid=1s ipv6=off;
    resolver_timeout  2s;

    upstream u {
        zone               u 512k;
        aggregate_balance  peak_ewma decay=1s;
        server             servers.internal:%%PORT_b1%% resolve max_fails=0;
        keepalive          8;
    }

    STICKY

    server {
        listen       127.0.0.1:%%PORT_0%%;
        server_name  localhost;

        location / {
            proxy_http_version  1.1;
            proxy_set_header    Connection "";
            proxy_pass          http://u;
        }

        location /sticky { proxy_pass http://SERVERS; }
        location = /balance { aggregate_balance_status; }
    }
}

EOC

my $upstream = <<'EOC';
upstream s {
        zone               s 256k;
        aggregate_balance  peak_ewma;
        server             127.0.0.1:%%PORT_b1%%;
        server             127.0.0.2:%%PORT_b1%%;
        server             127.0.0.3:%%PORT_b1%%;
        sticky             cookie srv;
    }
EOC

$conf =~ s/STICKY/$sticky ? $upstream : ''/e;
$conf =~ s/SERVERS/$sticky ? 's' : 'u'/e;

addresses(1, 2);
$t->run($conf);

sub names {
    my ($u) = grep { $_->{name} eq 'u' }
        @{ http_get('/balance')->json->{upstreams} };
    return join ' ', sort map { $_->{server} =~ s/:.*//r }
        @{ $u ? $u->{servers} : [] };
}

sub asked {
    my ($n) = @_;
    my %n;
    $n{ http_get('/')->body }++ for 1 .. $n;
    return \%n;
}

ok(wait_for(sub { names() eq '127.0.0.1 127.0.0.2' }, slow(10)), 'two servers')
    or diag(names());
my $n = asked(40);
is(join(' ', sort keys %$n), 'b1 b2', 'both are asked');

# two more, then other ones, while clients ask

my @clients;

for (1 .. 3) {
    pipe my $out, my $in or die "pipe: $!";
    my $pid = fork;
    die "fork: $!" if !defined $pid;

    if (!$pid) {
        close $out;
        $dns = 0;
        my ($all, $bad) = (0, 0);
        my $end = time + slow(6);

        while (time < $end) {
            my $r = eval { http_get('/') };
            $all++;
            $bad++ if !$r || $r->status != 200;
        }

        syswrite $in, "$all $bad\n";
        POSIX::_exit(0);
    }

    close $in;
    push @clients, [ $pid, $out ];
}

addresses(1 .. 4);
ok(wait_for(sub { names() =~ /^(127\.0\.0\.\d ?){4}$/ }, slow(10)), 'two more');
addresses(3, 4);
ok(wait_for(sub { names() eq '127.0.0.3 127.0.0.4' }, slow(10)), 'two others');
addresses(4);
ok(wait_for(sub { names() eq '127.0.0.4' }, slow(10)), 'one is left');
addresses(1, 2, 3);
ok(wait_for(sub { names() =~ /^(127\.0\.0\.\d ?){3}$/ }, slow(10)), 'three');

my ($all, $bad) = (0, 0);

for (@clients) {
    my ($pid, $out) = @$_;
    my ($a, $b) = split ' ', scalar <$out> || '0 1';
    $all += $a;
    $bad += $b;
    waitpid $pid, 0;
}

cmp_ok($all, '>', 50, 'clients asked meanwhile');
is($bad, 0, 'and were all answered');

# a slow one of those that the name has

$b[0]->set('*' => { delay => 0.3, body => 'b1' });
asked(20);
$n = asked(60);
cmp_ok($n->{b1} || 0, '<=', 6, 'the slow one gets little')
    or diag(explain $n);

my $in_flight = 0;

for my $u (@{ http_get('/balance')->json->{upstreams} }) {
    $in_flight += $_->{in_flight} for @{ $u->{servers} };
}

is($in_flight, 0, 'nothing is left in flight');

SKIP: {
    skip 'this nginx has no "sticky"', 3 if !$sticky;

    $b[0]->set('*' => { delay => 0.01, body => 'b1' });

    my $r = http_get('/sticky');
    my ($cookie) = ($r->header('Set-Cookie') || '') =~ /^(srv=[^;]+)/;
    ok($cookie, 'a cookie');

    my %s;
    $s{ http_request(GET => '/sticky', headers => [ Cookie => $cookie ])->body
        }++ for 1 .. 20;
    is(join(' ', %s), $r->body . ' 20', 'the same server always');

    my ($its) = grep { $_->{name} eq $r->body } @b;
    $its->stop;
    is(http_request(GET => '/sticky', headers => [ Cookie => $cookie ])->status,
       200, 'another one, when that is gone');
}
