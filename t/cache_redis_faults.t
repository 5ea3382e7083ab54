#!/usr/bin/perl

# A Redis that answers too late, not at all, as somebody else, or not this
# command: what is lost, what is said, and when it is used again.  Between
# nginx and a real Redis stands a proxy that does what a file says.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;
use IO::Select;
use IO::Socket::INET;
use Time::HiRes qw(time sleep);

use Harness;
use Harness::Redis;

my $t = Harness->new(plan => 41);
my $d = $t->testdir;

$t->port(0);

my %n;

my $api = $t->backend('api',
    '/slow/vary' => { body => 'vary', headers =>
                      [ 'Cache-Control' => 'max-age=1000', Vary => 'X-Lang' ] },
    '/' => sub {
        my ($q) = @_;
        return { body => 'n' . ++$n{$q->{uri}}, headers =>
                 [ 'Cache-Control' => 'max-age=1000' ] };
    },
);

my $redis = Harness::Redis->new($t, 'redis', '--user', 'gateway', 'on', '>pw',
    '~*', '+@all');

ok($redis->start, 'a Redis');

# "delay SECONDS", "mute", "say TEXT"; it counts connections that it has got,
# those that nginx has closed, and values that nginx has asked for

my $port = $t->port('proxy');
my $proxy = fork();
die "fork: $!" if !defined $proxy;

if (!$proxy) {
    $SIG{$_} = 'DEFAULT' for qw(INT TERM HUP ALRM);
    $SIG{PIPE} = 'IGNORE';
    my $listen = IO::Socket::INET->new(LocalAddr => '127.0.0.1',
        LocalPort => $port, Listen => 64, ReuseAddr => 1)
        or POSIX::_exit(1);
    my $select = IO::Select->new($listen);
    my (%to, %client, @later);
    my ($got, $closed, $asked) = (0, 0, 0);

    while (1) {
        my $mode = 'pass';
        if (open(my $f, '<', "$d/mode")) {
            chomp($mode = <$f> // 'pass');
        }

        while (@later && $later[0][0] <= time()) {
            my $one = shift @later;
            syswrite($one->[1], $one->[2]);
        }

        for my $s ($select->can_read(0.003)) {

            if ($s == $listen) {
                my $c = $listen->accept or next;
                my $r = IO::Socket::INET->new(PeerAddr => '127.0.0.1',
                                              PeerPort => $redis->port);
                $got++;
                $r or close($c), next;
                @to{$c, $r} = ($r, $c);
                $client{$c} = 1;
                $select->add($c, $r);
                next;
            }

            my $o = $to{$s} or next;
            my $n = sysread($s, my $buf, 65536);

            if (!$n) {
                $closed++ if $client{$s};
                $select->remove($s, $o);
                delete @to{$s, $o};
                @later = grep { $_->[1] != $o && $_->[1] != $s } @later;
                close($_) for $s, $o;
                next;
            }

            if ($client{$s}) {
                $asked += () = $buf =~ /\r\nGET\r\n/g;

                if ($mode =~ /^say (.*)/) {
                    syswrite($s, "$1\r\n");

                } elsif ($mode ne 'mute') {
                    syswrite($o, $buf);
                }

            } else {
                push @later, [ time() + ($mode =~ /^delay (.*)/ ? $1 : 0),
                               $o, $buf ];
            }
        }

        open(my $f, '>', "$d/counts.new");
        print $f "$got $closed $asked\n";
        close($f);
        rename("$d/counts.new", "$d/counts");
    }
}

END { local $?; if ($proxy) { kill('KILL', $proxy); waitpid($proxy, 0) } }

sub mode {
    $t->write_file('mode.new', "$_[0]\n");
    rename("$d/mode.new", "$d/mode");
    sleep(0.05);
    return;
}

sub counts { return split(' ', $t->read_file('counts')) }

sub conf {
    my ($more) = @_;

    return <<"EOC";

%%GLOBALS%%

worker_processes  1;

events {
}

http {
    %%HTTP%%

    aggregate_cache_zone  one 4m;

    aggregate_redis fleet {
        server           127.0.0.1:%%PORT_proxy%%;
        user             gateway;
        password         pw;
        prefix           u:;
        connect_timeout  500ms;
        timeout          50ms;
    }

    aggregate_cache_key  \$uri;

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
}

EOC
}

sub one {
    my ($uri, @headers) = @_;
    return http_get($uri, headers => [ @headers ]);
}

sub state_of { return http_get('/state')->json->{zones}{one}{redis} }
sub purge { return http_request('POST', "/purge?$_[0]")->status }

sub up {
    return wait_for(sub { one('/up' . rand()); state_of() eq 'up' },
                    slow(15));
}

mode('pass');
$t->run(conf());
ok(up(), 'up');

# the expiry varies, by a twentieth

my @ttl;

for my $i (1 .. 30) {
    one("/ttl$i");
}

ok(wait_for(sub { @{ $redis->call('KEYS', 'u:{*}') } >= 31 }), 'stored');
push @ttl, grep { $_ > 500_000 } map { $redis->call('PTTL', $_) }
    @{ $redis->call('KEYS', 'u:{*}') };
@ttl = sort { $a <=> $b } @ttl;
cmp_ok($ttl[0], '>', 945_000, 'kept for its time, less a twentieth');
cmp_ok($ttl[-1], '<=', 1_050_000, 'or more by a twentieth');
cmp_ok($ttl[-1] - $ttl[0], '>', 20_000, 'they do not end all at once');

# late, but alive: it is left alone

$t->mark_log;
mode('delay 0.07');

my $start = time();
my $i = 0;
my $before = (counts())[2];

while (time() - $start < 4) {
    one('/late' . ++$i);
}

my $late = (counts())[2] - $before;

cmp_ok($i, '>', 40, 'requests');
cmp_ok($late, '<=', 6, "of $i requests few lose a time-out: $late");
cmp_ok($late, '>', 0, 'but those that find it late');
is(state_of(), 'down', 'no request waits for it');
cmp_ok(scalar(() = $t->grep_log(qr/is up again/)), '<=', 1, 'nor up');

mode('pass');
ok(wait_for(sub { state_of() eq 'up' }, slow(8)), 'quick again: used');

# stopped for a while: used as soon as it goes on

for my $seconds (0.5, 2) {
    $redis->signal('STOP');
    one('/stopped' . rand()) for 1 .. 4;
    is(state_of(), 'down', "stopped for $seconds s");
    sleep($seconds);
    $redis->signal('CONT');
    $start = time();
    ok(wait_for(sub { state_of() eq 'up' }, slow(8)), 'up');
    cmp_ok(time() - $start, '<', slow(0.3), 'soon');
}

# a connection that has gone idle while it owes replies is closed

$t->restart;
ok(up(), 'up');
my (undef, $closed) = counts();
one('/before-mute');
mode('mute');
one('/mute');
$start = time();
ok(wait_for(sub { (counts())[1] > $closed }, slow(3)), 'idle: closed');
cmp_ok(time() - $start, '>', 0.5, 'not at once');
mode('pass');
ok(up(), 'up again');

# one that wants a password: a new connection has one

my ($got) = counts();
$t->mark_log;
mode('say -NOAUTH Authentication required.');
one('/noauth');
mode('pass');
ok(wait_for(sub { (counts())[0] > $got }, slow(3)), 'NOAUTH: connects anew');
ok(up(), 'and is used');
ok($t->wait_log(qr/\[error\].*refuses the command "GET": "NOAUTH/), 'said');

# one that has become a replica

($got) = counts();
mode("say -READONLY You can't write against a read only replica.");
ok(wait_for(sub { one('/readonly' . rand()); (counts())[0] > $got }, slow(5)),
   'READONLY: connects anew');
mode('pass');
ok(up(), 'and is used');
is(purge('uri=/x'), 200, 'for purges too');

# commands that the user may not use are named

my %wanted = (
    eval => [ 'EVAL' ], ping => [ 'PING' ], get => [ 'GET' ],
    xread => [ 'XREAD' ], xadd => [ 'EVAL' ], set => [ 'SET' ],
);

for my $command (sort keys %wanted) {

    $redis->call('ACL', 'SETUSER', 'gateway', "-$command");
    $t->mark_log;
    $t->restart;

    ok(wait_for(sub {
        one("/acl-$command" . rand());
        purge('uri=/x') if $command eq 'xadd';
        scalar(() = $t->grep_log(qr/\[error\].*
            refuses\ the\ command\ "$wanted{$command}[0]":/x));
    }, slow(8)), "without $command: $wanted{$command}[0] is named");

    $redis->call('ACL', 'SETUSER', 'gateway', '+@all');
}

# what it needs, as the reference has it, and no more

$redis->call('ACL', 'SETUSER', 'gateway', '-@all', map { "+$_" } qw(
    ping auth select eval get set del unlink pttl pexpire xadd xrange
    xrevrange xread time role info));
$t->mark_log;
$t->restart;
ok(up(), 'with what it needs');
one('/need');
is(purge('uri=/need'), 200, 'a purge');
is(one('/need')->body, 'n2', 'and a fetch');
is(scalar(() = $t->grep_log(qr/refuses the command/)), 0, 'nothing is refused');

# replies that are slow, but in time: all of a request share one time-out

(my $patient = conf()) =~ s/timeout          50ms/timeout          500ms/;
$t->reload($patient);
ok(up(), 'with a longer time-out');

one('/slow/vary', 'X-Lang' => 'en');
wait_for(sub { @{ $redis->call('KEYS', 'u:{*}') } > 1 });
mode('delay 0.4');

for my $case ([ '/slow', 'en' ], [ '/slow/vary', 'de' ]) {
    my ($uri, $lang) = @$case;

    $start = time();
    one($uri, 'X-Lang' => $lang);
    cmp_ok(time() - $start, '<', 0.7, "$uri, one time-out");
}

mode('pass');
