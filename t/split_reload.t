#!/usr/bin/perl

# Reloads: the state of a split is that of the previous configuration or none,
# whatever came before that, and the zone does not fill with splits of the past.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use Test::More;

use Harness;

my $t = Harness->new(modules => [ 'ngx_http_aggregate_module' ]);
my $b = $t->backend('b', '*' => 'ok');

my $frame = <<'EOC';

%%GLOBALS%%

worker_processes  2;

events {
}

http {
    %%HTTP%%

    aggregate_split_zone splits 64k state=%%TESTDIR%%/state/s.json;

    SPLITS

    server {
        listen 127.0.0.1:%%PORT_0%%;
        LISTEN

        location = /split { aggregate_split_status; }
    }
}

EOC

sub conf {
    my ($splits, $listen) = @_;
    my $conf = $frame;
    $listen //= '';
    $conf =~ s/SPLITS/$splits/;
    $conf =~ s/LISTEN/$listen/;
    return $conf;
}

sub version {
    my ($name, $version) = @_;
    my ($s) = grep { $_->{name} eq $name }
        @{ http_get('/split')->json->{splits} };
    my ($v) = grep { $_->{name} eq $version } @{ $s->{versions} };
    return "$v->{percent} $v->{state}";
}

sub post { return http_request(POST => "/split?$_[0]")->status }

sub changed { return scalar $t->grep_log(qr/\[notice\].*has changed/) }

my $two = 'aggregate_split $pool key=$arg_key zone=splits { 20% v2; * v1; }';
my $three = 'aggregate_split $pool key=$arg_key zone=splits '
    . '{ 20% v2; 10% v3; * v1; }';
my $other = 'aggregate_split $other key=$arg_key zone=splits { 5% x; * y; }';

mkdir $t->testdir . '/state';
chmod 0777, $t->testdir . '/state';

$t->plan(30);
$t->run(conf($two));

# a split that is changed, and changed back

is(post('split=pool&version=v2&percent=33'), 200, 'changed by hand');
$t->reload(conf($two));
is(version('pool', 'v2'), '33 manual', 'kept');
$t->reload(conf($three));
is(version('pool', 'v2'), '20 fixed', 'a changed configuration wins');
is(changed(), 1, 'with one line');
$t->reload(conf($two));
is(version('pool', 'v2'), '20 fixed', 'and wins again when it is changed back');
is(changed(), 2, 'with another line');

# a split that is removed, and added again

is(post('split=pool&version=v2&percent=44'), 200, 'changed by hand');
$t->reload(conf($other));
$t->reload(conf($two));
is(version('pool', 'v2'), '20 fixed', 'a split that was away is as configured');

# a reload that fails

is(post('split=pool&version=v2&percent=55'), 200, 'changed by hand');
$t->allow_log(qr/bind\(\) to/);
$t->allow_log(qr/still could not bind/);
is($t->reload(conf("$three $other", 'listen 127.0.0.1:' . $b->port . ';')), 0,
   'a reload that fails');
wait_for(sub { $t->grep_log(qr/still could not bind/) }, slow(10));
is(version('pool', 'v2'), '55 manual', 'changes nothing');
$t->reload(conf($two));
is(version('pool', 'v2'), '55 manual', 'nor after the next one');

$t->allow_log(qr/split zone "splits" is too small/);
is($t->reload(conf(join ' ', map { $other =~ s/other/many$_/r } 1 .. 30)), 0,
   'splits that the zone has no room for');
is(version('pool', 'v2'), '55 manual', 'take nothing away');

# more splits than the zone has room for, some at a time

my ($name, @failed);

for my $n (1 .. 12) {
    $name = "p$n";
    my $splits = join ' ', map {
        "aggregate_split \$$name$_ key=\$arg_key zone=splits "
            . '{ 20% v2; 1% v3; * v1; }'
    } 'a', 'b';
    push @failed, $n if !$t->reload(conf($splits));
    is(version("${name}a", 'v2'), '20 fixed', "reload $n") if !@failed;
}

is("@failed", '', 'all reloads succeed');
is(post("split=${name}a&version=v2&percent=66"), 200, 'changed by hand');
$t->reload;
is(version("${name}a", 'v2') . ' ' . version("${name}b", 'v2'),
   '66 manual 20 fixed', 'each has a state of its own');
$t->stop;
$t->run;
is(version("${name}a", 'v2'), '66 manual', 'the file has it, too');
