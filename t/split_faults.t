#!/usr/bin/perl

# Splits while workers are killed and configurations are read anew: every key
# keeps its version; and a state file on a disk that is full.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use Test::More;

use Harness;
use Time::HiRes qw(sleep time);

my $t = Harness->new;
my $b = $t->backend('b', '/' => 'ok', '/x' => 'ok');

$t->plan(17);

my $full = $t->testdir . '/full';
my $state = $t->testdir . '/state';

mkdir $_ for $full, $state;
chmod 0777, $full, $state;

my $conf = <<'EOC';

%%GLOBALS%%

worker_processes  4;

events {
}

http {
    %%HTTP%%

    aggregate_split_zone splits 256k state=%%TESTDIR%%/state/s.json;
    aggregate_split_zone onfull 256k state=%%TESTDIR%%/full/s.json;

    aggregate_split $pool key=$arg_key zone=splits { 30% v2; 20% v3; * v1; }
    aggregate_split $other key=$arg_key zone=onfull { 10% v2; * v1; }

    upstream v1 { server 127.0.0.1:%%PORT_b%%; }
    upstream v2 { server 127.0.0.1:%%PORT_b%%; }
    upstream v3 { server 127.0.0.1:%%PORT_b%%; }

    server {
        listen 127.0.0.1:%%PORT_0%%;

        location = /which { return 200 "$pool $pid"; }
        location = /x     { proxy_pass http://$pool; }
        location = /split { aggregate_split_status; }
    }
}

EOC

$conf =~ s/%%TESTDIR%%/$t->testdir/ge;
$t->run($conf);

sub which {
    my ($key) = @_;
    return (split ' ', http_get("/which?key=$key")->body || '')[0];
}

sub post { return http_request(POST => "/split?$_[0]") }

sub version {
    my ($name, $version) = @_;
    my ($s) = grep { $_->{name} eq $name }
        @{ http_get('/split')->json->{splits} };
    my ($v) = grep { $_->{name} eq $version } @{ $s->{versions} };
    return $v;
}

# workers are killed, and the configuration is read anew, under load

my @keys = map { "k$_" } 1 .. 120;
my %was = map { $_ => which($_) } @keys;
my %n;
$n{$_}++ for values %was;
is(join(' ', sort keys %n), 'v1 v2 v3', 'three versions');

my @clients;

for my $n (1 .. 4) {
    pipe my $out, my $in or die "pipe: $!";
    my $pid = fork;
    die "fork: $!" if !defined $pid;

    if (!$pid) {
        close $out;
        my ($answered, $wrong) = (0, 0);
        my $end = time + 4;

        while (time < $end) {
            my $key = $keys[int rand @keys];
            my $got = eval { which($key) };
            next if !$got;
            $answered++;
            $wrong++ if $got ne $was{$key};
            eval { http_get("/x?key=$key") };
        }

        syswrite $in, "$answered $wrong\n";
        require POSIX;
        POSIX::_exit(0);
    }

    close $in;
    push @clients, [ $pid, $out ];
}

$t->allow_worker_exit;

for my $round (1 .. 5) {
    sleep 0.3;
    my @workers = split ' ', `pgrep -P ${\ $t->pid}`;
    kill 'KILL', $workers[int rand @workers] if @workers;
    sleep 0.2;
    kill 'HUP', $t->pid;
}

my ($answered, $wrong) = (0, 0);

for (@clients) {
    my ($pid, $out) = @$_;
    my ($n, $w) = split ' ', scalar <$out> || '0 0';
    $answered += $n;
    $wrong += $w;
    waitpid $pid, 0;
}

cmp_ok($answered, '>', 100, 'most were answered');
is($wrong, 0, 'every key has kept its version');
ok(wait_for(sub { eval { http_get('/which?key=1')->status == 200 } }), 'lives');
is(version('pool', 'v2')->{percent}, 30, 'the first share');
is(version('pool', 'v3')->{percent}, 20, 'the second');
is(scalar(grep { which($_) ne $was{$_} } @keys), 0, 'as before');

# a change by hand while workers die is in force in all of them, once

my @workers = split ' ', `pgrep -P ${\ $t->pid}`;
kill 'KILL', $workers[0];
my $r = post('split=pool&version=v2&percent=45');
$r = post('split=pool&version=v2&percent=45') if !$r->status;
is($r->status, 200, 'changed');
is(scalar(grep { $was{$_} eq 'v2' && which($_) ne 'v2' } @keys), 0,
   'nobody leaves what has grown');
kill 'HUP', $t->pid;
sleep 0.5;
is(version('pool', 'v2')->{percent}, 45, 'kept');
like($t->read_file('state/s.json'), qr/"share":4500,"state":"manual"/,
     'and written');

# a full disk, where one can be had: else a directory that is not there

my $mounted = system("mount -t tmpfs -o size=4k,mode=777 tmpfs $full"
    . ' 2>/dev/null') == 0;

if ($mounted) {
    open my $fill, '>', "$full/fill";
    syswrite $fill, 'x' x 4096;
    close $fill;

} else {
    rename $full, "$full.gone";
}

END { system "umount -l $full 2>/dev/null" if $mounted }

$r = post('split=other&version=v2&percent=50');
is($r->status, 503, 'full: told');
is($r->json->{persisted}, JSON::PP::false, 'not persisted');
is(version('other', 'v2')->{percent}, 50, 'in force all the same');
is(scalar($t->grep_log(qr/\[error\].*state file/)), 1, 'one line');
is(scalar(grep { !/fill$/ } glob "$full/*"), 0, 'nothing half-written');

if ($mounted) {
    unlink "$full/fill";

} else {
    rename "$full.gone", $full;
}

is(post('split=other&version=v2&percent=51')->json->{persisted},
   JSON::PP::true, 'room again');
$t->allow_log(qr/state file/);
