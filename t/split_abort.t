#!/usr/bin/perl

# A canary that is worse: within two seconds of the call that proves it, and no
# call earlier, its share is 0 in all workers, without any further traffic, and
# stays that after a restart and in workers that start later.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use Test::More;

use Harness;
use Time::HiRes qw(sleep time);

use constant WORKERS => 4;

my $t = Harness->new(modules => [ 'ngx_http_aggregate_module' ]);

my $v1 = $t->backend('v1', '*' => 'v1');
my $v2 = $t->backend('v2', '*' => 'v2');

$t->plan(18);

my $conf = <<'EOC';

%%GLOBALS%%

worker_processes  4;

events {
}

http {
    %%HTTP%%

    aggregate_split_zone splits 256k state=%%TESTDIR%%/state/splits.json;

    aggregate_split $pool key=$arg_key zone=splits {
        20%    v2;
        abort  errors=5% min=20 window=1m;
        *      v1;
    }

    upstream v1 { server 127.0.0.1:%%PORT_v1%%; }
    upstream v2 { server 127.0.0.1:%%PORT_v2%%; }

    server {
        listen 127.0.0.1:%%PORT_0%% reuseport;

        location = /x     { proxy_pass http://$pool; }
        location = /which { return 200 "$pool $pid"; }
        location = /split { aggregate_split_status; }
    }
}

EOC

mkdir $t->testdir . '/state';
chmod 0777, $t->testdir . '/state';
$t->run($conf);

sub version {
    return http_get('/split')->json->{splits}[0]{versions}[0];
}

sub get { return http_get("/x?key=$_[0]")->status }

# the limit of the rate k / n, at three standard errors, after Wilson

sub limit {
    my ($k, $n, $sign) = @_;
    my $p = $k / $n;
    return ($p + 9 / (2 * $n)
            + $sign * 3 * sqrt($p * (1 - $p) / $n + 9 / (4 * $n * $n)))
        / (1 + 9 / $n);
}

# the difference of two rates, less its margin after Newcombe, is above 5 %

sub proven {
    my ($k, $n, $base, $calls) = @_;
    my ($p, $q) = ($k / $n, $base / $calls);
    return $n >= 20
        && $p - $q - sqrt(($p - limit($k, $n, -1)) ** 2
                          + (limit($base, $calls, 1) - $q) ** 2) > 0.05;
}

# what each worker gives a key of v2, asked until all of them have answered, or
# all of them have given what is wanted

sub workers {
    my ($key, $want, $seconds) = @_;
    my (%version, %since);
    my $end = time + $seconds;

    while (time < $end) {
        my ($version, $pid) = split ' ', http_get("/which?key=$key")->body;
        $since{$pid} = time if ($version{$pid} || '') ne $version;
        $version{$pid} = $version;
        last if keys %version == WORKERS
            && !grep { $_ ne $want } values %version;
        sleep 0.005;
    }

    my ($last) = sort { $b <=> $a } values %since;
    return (\%version, $last);
}

# keys of either version

my (@one, @two);

for my $n (1 .. 400) {
    my ($version) = split ' ', http_get("/which?key=k$n")->body;
    push @{ $version eq 'v2' ? \@two : \@one }, "k$n";
}

cmp_ok(scalar @two, '>', 60, 'a fifth has v2');

my ($seen) = workers($two[0], 'v2', 10);
is_deeply([ sort values %$seen ], [ ('v2') x WORKERS ], 'in all workers');

# both versions do well, and then v2 fails, one call after the other

is(scalar(grep { get($_) != 200 } @one[0 .. 59]), 0, 'v1 does well');
is(scalar(grep { get($_) != 200 } @two[0 .. 29]), 0, 'v2 as well');

$v2->set('*' => { status => 500, body => '' });

my $failed = 0;
$failed++ while !proven($failed + 1, 31 + $failed, 0, 60);

is(scalar(grep { get($two[29 + $_]) != 500 } 1 .. $failed), 0,
   "$failed calls fail");

sleep 2.5;
my $v = version();
is("$v->{state} $v->{percent}", 'fixed 20', 'which is no proof yet');
is("$v->{window}{calls} $v->{window}{errors}", (30 + $failed) . " $failed",
   'counted');

my $verdict = time;
is(get($two[30 + $failed]), 500, 'the call that proves it');

my ($got, $last) = workers($two[0], 'v1', slow(6));
is_deeply([ sort values %$got ], [ ('v1') x WORKERS ], 'nobody has v2');
cmp_ok($last - $verdict, '<', slow(2),
       sprintf 'after %.2f seconds', $last - $verdict);
$v = version();
is("$v->{state} $v->{percent} $v->{reason}", 'aborted 0 errors', 'aborted');

# a worker that starts later, all of them, and another master

$t->allow_worker_exit;
my ($victim) = keys %$got;
kill 'KILL', $victim;
ok(wait_for(sub {
    ($got) = eval { workers($two[0], 'v1', 2) };
    $got && !$got->{$victim} && keys %$got == WORKERS
}, slow(10)), 'another worker comes');
is_deeply([ sort values %$got ], [ ('v1') x WORKERS ], 'and has no share');

$t->reload;
($got) = workers($two[0], 'v1', slow(5));
is_deeply([ sort values %$got ], [ ('v1') x keys %$got ], 'after a reload');

$t->stop;
$t->run;
($got) = workers($two[0], 'v1', slow(5));
is_deeply([ sort values %$got ], [ ('v1') x WORKERS ], 'after a restart');
$v = version();
is("$v->{state} $v->{percent}", 'aborted 0', 'still');
is($v->{reason}, 'errors', 'with the reason');

is(scalar($t->grep_log(qr/\[error\].*split "\$pool": version "v2" is aborted/)),
   1, 'one line');
