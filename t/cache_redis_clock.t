#!/usr/bin/perl

# Nodes whose clocks differ: what one has stored is for the other one as old
# as it is, and no younger.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;
use Time::HiRes qw(time sleep);

use Harness;
use Harness::Fleet;

my %n;

sub answer {
    my ($control) = @_;
    return sub {
        my ($q) = @_;
        return { body => 'n' . ++$n{$q->{uri}},
                 headers => [ 'Cache-Control' => $control ] };
    };
}

my $f = Harness::Fleet->new(
    plan    => 32,
    workers => 1,
    block   => 'timeout 500ms; connect_timeout 500ms;',
    backend => [
        '/linked/' => '1',
        '/short/'  => answer('max-age=2'),
        '/long/'   => answer('max-age=1000'),
    ],
);

my $g = $f->gateway(1);
my $dir = $g->testdir;

# its wall clock is off by what a file says

$g->write_file('clock.c', <<'EOC');
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/time.h>

static char  path[4096];


/* nginx empties its environment */

static void __attribute__((constructor))
remember(void)
{
    snprintf(path, sizeof(path), "%s", getenv("CLOCK_OFFSET"));
}


int
gettimeofday(struct timeval *tv, void *tz)
{
    int    rc;
    FILE  *f;
    long   wall = 0;

    static int  (*next)(struct timeval *, void *);

    if (next == NULL) {
        next = (int (*)(struct timeval *, void *))
               dlsym(RTLD_NEXT, "gettimeofday");
    }

    rc = next(tv, tz);
    f = fopen(path, "r");

    if (f) {
        if (fscanf(f, "%ld", &wall) == 1) {
            tv->tv_sec += wall;
        }

        fclose(f);
    }

    return rc;
}
EOC

system("cc -shared -fPIC -o $dir/clock.so $dir/clock.c -ldl") == 0
    or die "no C compiler\n";

sub jump {
    my ($seconds) = @_;
    $g->write_file('offset', "$seconds\n");

    # until it has seen it
    return wait_for(sub { get(1, '/linked/' . rand());
        my ($h, $m, $s) = (get(1, '/state')->header('Date') || '')
            =~ /(\d+):(\d+):(\d+)/ or return 0;
        my @now = gmtime(time() + $seconds);
        my $off = ($h * 3600 + $m * 60 + $s)
                  - ($now[2] * 3600 + $now[1] * 60 + $now[0]);
        return abs(($off + 43200) % 86400 - 43200) < 3;
    });
}

sub get {
    my ($i, $uri) = @_;
    return $f->get($i, $uri);
}

sub age {
    my ($r) = @_;
    return $r->header('X-Cache') . ($r->header('Age') // '-');
}

# from Redis, which must have it
sub from_redis {
    my ($i, $uri) = @_;
    my $r;
    wait_for(sub { sleep(0.02); 1 });
    $r = get($i, $uri);
    diag("$uri: " . ($r->header('Cache-Status') || ''))
        if ($r->header('Cache-Status') || '') !~ /detail=L2/;
    return $r;
}

$g->stop;

{
    local $ENV{LD_PRELOAD} = "$dir/clock.so";
    local $ENV{CLOCK_OFFSET} = "$dir/offset";
    local $ENV{ASAN_OPTIONS} =
        'detect_odr_violation=0:detect_leaks=0:verify_asan_link_order=0';
    $g->write_file('offset', "0\n");
    $g->run;
}

for my $skew (0, 600, -600) {

    # a jump, as a clock that is set

    ok(jump($skew), "node 1 is off by $skew s");
    ok($f->linked, 'linked');

    for my $from (0, 1) {

        my $uri = "/long/$skew-$from";
        my $to = 1 - $from;

        get($from, $uri);
        sleep(slow(0.1));
        like(age(from_redis($to, $uri)), qr/^HIT[01]$/,
             "from $from to $to: as young as it is");

        get($from, "/short/$skew-$from");
        get($from, "$uri-later");
        my $start = time();

        # its age with its owner, and right after that with the other one

        wait_for(sub { time() - $start > 2.2 });
        my $with = get($from, "$uri-later")->header('Age');
        my $without = from_redis($to, "$uri-later")->header('Age');
        ok($without >= $with && $without <= $with + 1,
           "no younger: $with, then $without");
        is(get($to, "/short/$skew-$from")->body, 'n2', 'old: fetched anew');
    }
}

# the clock of a node is set back: what it has is no younger, in its zone

jump(600);
get(1, '/long/back');
get(1, '/short/back');
sleep(2.5);
my $before = get(1, '/long/back')->header('Age');
cmp_ok($before, '>=', 2, 'aged');
jump(0);
my $after = get(1, '/long/back');
is($after->header('X-Cache'), 'HIT', 'the clock is set back');
cmp_ok($after->header('Age'), '>=', $before, 'and the age is not');
is(get(1, '/short/back')->body, 'n2', 'what was old is old');

# the clock of Redis goes back: what it holds comes from the future

my $redis = $f->redis;

sub restart_redis {
    my ($seconds) = @_;
    local $ENV{LD_PRELOAD} = "$dir/clock.so";
    local $ENV{CLOCK_OFFSET} = "$dir/redis-offset";
    $g->write_file('redis-offset', "$seconds\n");
    $redis->call('SAVE');
    $redis->kill_it;
    return $redis->start && $f->linked;
}

jump(0);
ok(restart_redis(600), 'a Redis that is ahead');
get(0, '/long/future');
get(0, '/long/there');
sleep(slow(0.1));
is(from_redis(1, '/long/there')->body, 'n1', 'used');
ok(restart_redis(0), 'it is set right');
is(get(1, '/long/future')->body, 'n2', 'from the future: fetched anew');
