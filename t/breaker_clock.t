#!/usr/bin/perl

# Clocks that jump: the wall clock says nothing to a breaker, and a monotonic
# one that does the impossible leaves none open for ever.  A small library
# between nginx and libc adds to each clock what a file says.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;
use Time::HiRes qw(sleep time);

use Harness;

my $t = Harness->new(modules => [ 'ngx_http_breaker_module' ]);

my $b = $t->backend('b',
    '/'     => 'fine',
    '/fail' => { status => 500 },
);

my $conf = <<'EOC';

%%GLOBALS%%

worker_processes  2;

events {
}

http {
    %%HTTP%%

    breaker_zone  z 1m;

    breaker_policy p {
        failure_threshold     1;
        recovery_timeout      1s;
        max_recovery_timeout  1s;
        jitter                0%;
        probes                1;
    }

    breaker_policy rate {
        failure_threshold     0;
        minimum_calls         4;
        window                1m;
    }

    server {
        listen       127.0.0.1:%%PORT_0%%;
        server_name  localhost;

        location / {
            breaker     $arg_key zone=z policy=p;
            proxy_pass  http://127.0.0.1:%%PORT_b%%;
        }

        location /rate/ {
            breaker     $arg_key zone=z policy=rate;
            proxy_pass  http://127.0.0.1:%%PORT_b%%/;
        }

        location = /breakers {
            breaker_status;
        }
    }
}

EOC

my $shim = <<'EOC';
#define _GNU_SOURCE

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/time.h>
#include <time.h>


static char  path[4096];


/* nginx empties its environment */

static void __attribute__((constructor))
remember(void)
{
    snprintf(path, sizeof(path), "%s", getenv("CLOCK_OFFSETS"));
}


static void
offsets(long *wall, long *monotonic)
{
    FILE  *f;

    *wall = *monotonic = 0;
    f = fopen(path, "r");

    if (f) {
        if (fscanf(f, "%ld %ld", wall, monotonic) != 2) {
            *wall = *monotonic = 0;
        }

        fclose(f);
    }
}


int
clock_gettime(clockid_t id, struct timespec *ts)
{
    int   rc;
    long  wall, monotonic;

    static int  (*next)(clockid_t, struct timespec *);

    if (next == NULL) {
        next = (int (*)(clockid_t, struct timespec *))
               dlsym(RTLD_NEXT, "clock_gettime");
    }

    rc = next(id, ts);
    offsets(&wall, &monotonic);
    ts->tv_sec += (id == CLOCK_REALTIME) ? wall : monotonic;

    return rc;
}


int
gettimeofday(struct timeval *tv, void *tz)
{
    int   rc;
    long  wall, monotonic;

    static int  (*next)(struct timeval *, void *);

    if (next == NULL) {
        next = (int (*)(struct timeval *, void *))
               dlsym(RTLD_NEXT, "gettimeofday");
    }

    rc = next(tv, tz);
    offsets(&wall, &monotonic);
    tv->tv_sec += wall;

    return rc;
}
EOC

my $dir = $t->testdir;

$t->write_file('clock.c', $shim);
system("cc -shared -fPIC -o $dir/clock.so $dir/clock.c -ldl") == 0
    or die "no C compiler\n";

# the file is replaced as a whole, so nobody reads half of it
sub jump {
    my ($wall, $monotonic) = @_;
    $t->write_file('offsets', "$wall $monotonic\n");
    return;
}

sub row {
    my ($key) = @_;
    return http_get("/breakers?key=$key")->json->{breakers}[0];
}

# each worker has to see a new time before it is asked for one
sub settle { http_get('/breakers') for 1 .. 4 }

$t->plan(18);

jump(0, 1_000_000);

{
    local $ENV{LD_PRELOAD} = "$dir/clock.so";
    local $ENV{CLOCK_OFFSETS} = "$dir/offsets";
    local $ENV{ASAN_OPTIONS} =
        'detect_odr_violation=0:detect_leaks=0:verify_asan_link_order=0';

    $t->run($conf);
}

# the wall clock

for my $wall (86400, -86400) {
    my $key = "wall$wall";

    http_get("/fail?key=$key");
    is(row($key)->{state}, 'open', "wall clock by $wall: open");
    jump($wall, 1_000_000);
    settle();
    my $since = row($key)->{since};
    cmp_ok(abs($since - time() - $wall), '<', 60, 'nginx has seen it');
    is(http_get("/?key=$key")->status, 503, 'still open');
    sleep 1.1;
    is(http_get("/?key=$key")->status, 200, 'recovers in time');
    is(row($key)->{state}, 'closed', 'closed');
}

# the monotonic clock, back by an hour: open for the longest time at most

http_get('/fail?key=back');
http_get('/rate/fail?key=window') for 1 .. 3;
jump(0, 1_000_000 - 3600);
settle();
is(http_get('/?key=back')->status, 503, 'back by an hour: still open');
ok(wait_for(sub { http_get('/?key=back')->status == 200 }, slow(5)),
   'but not for an hour');
is(row('back')->{state}, 'closed', 'and it recovers');
is(row('window')->{calls}, 0, 'a window of the future is empty');
http_get('/rate/fail?key=window') for 1 .. 4;
is(row('window')->{state}, 'open', 'and goes on');

# forward: it is over, and old calls are forgotten

http_get('/fail?key=forth');
jump(0, 1_000_000);
settle();
is(http_get('/?key=forth')->status, 200, 'forward: the time is over');
is(row('forth')->{state}, 'closed', 'closed');
http_get('/rate/fail?key=new') for 1 .. 4;
is(row('new')->{state}, 'open', 'rates work');
