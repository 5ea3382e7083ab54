#!/usr/bin/perl

# "build.sh run" with a port that somebody else has: it refuses before it
# builds anything, and the gateway that runs goes on.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use IO::Socket::INET;
use POSIX ();
use Test::More;

use Harness;

my $top = "$FindBin::Bin/..";

my $t = Harness->new;

$t->plan(5);

my $d = $t->testdir;

mkdir "$d/run" or die "mkdir: $!\n";

# a process that build.sh takes for the gateway, as it has its configuration
my ($own, $behind) = two_listeners();
my $conf = "$d/run/nginx.conf";
my $pid = fork();
die "fork: $!\n" if !defined $pid;
exec 'tail', '-f', '/dev/null', $conf or die "exec: $!\n" if $pid == 0;
Harness::guard("+$pid");

$t->write_file('run/nginx.conf',
               'listen  127.0.0.1:' . $own->sockport . ";\n");
$t->write_file('run/nginx.pid', "$pid\n");

Harness::wait_for(sub {
    open my $in, '<', "/proc/$pid/cmdline" or return 0;
    return index(<$in> // '', $conf) >= 0;
});

my $taken = listener();
my $output = run($taken->sockport);

like($output, qr/port \d+ of 127\.0\.0\.1 is taken/, 'a taken port');
is(waitpid($pid, POSIX::WNOHANG), 0, 'the gateway goes on');
ok(!-e "$d/objs", 'nothing is built');

# the port of the gateway is free as soon as that has stopped
like(run($own->sockport), qr/port ${\ $behind->sockport} .* is taken/,
     'a taken port of a backend');

close $behind;
kill 'TERM', $pid;
waitpid $pid, 0;
Harness::guard("-$pid");

like(run($own->sockport), qr/port ${\ $own->sockport} .* is taken/,
     'the port without a gateway');


sub listener {
    my ($port) = @_;

    return IO::Socket::INET->new(Listen => 5, LocalAddr => '127.0.0.1',
                                 LocalPort => $port || 0);
}


# at a port, and at that of the first backend of the demo behind it
sub two_listeners {
    for (1 .. 100) {
        my $first = listener() or next;
        my $base = $first->sockport + 10000;

        $base -= 20000 if $base > 65500;
        my $second = listener($base + 1);
        return ($first, $second) if $second;
    }

    die "no ports\n";
}


sub run {
    my ($port) = @_;

    local $ENV{BUILD_DIR} = $d;
    return scalar `$top/build.sh run $port 2>&1 </dev/null`;
}
