#!/usr/bin/perl

# Each rule that opens a breaker, and what clients, variables and logs see.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;
use Time::HiRes qw(sleep time);

use Harness;

my $t = Harness->new;

my $b = $t->backend('b',
    '/ok'   => 'fine',
    '/err'  => { status => 500, body => 'broken' },
    '/404'  => { status => 404, body => 'none' },
    '/slow' => { delay => 0.3, body => 'slow' },
);

my $conf = <<'EOC';

%%GLOBALS%%

worker_processes  2;

events {
}

http {
    %%HTTP%%

    log_format  b  '$uri $status $breaker_key $breaker_state $breaker_result';

    breaker_zone  z 1m;

    breaker_policy row {
        failure_threshold  5;
        failure_rate       0;
        slow_rate          0;
        recovery_timeout   60s;
    }

    breaker_policy rate {
        failure_threshold  0;
        failure_rate       50%;
        slow_rate          0;
        minimum_calls      10;
        window             2s;
    }

    breaker_policy slow {
        failure_threshold  0;
        failure_rate       0;
        slow_call          100ms;
        slow_rate          80%;
        minimum_calls      5;
    }

    breaker_policy off {
        failure_threshold  0;
        failure_rate       0;
        slow_call          0;
    }

    server {
        listen       127.0.0.1:%%PORT_0%%;
        server_name  localhost;

        access_log   %%TESTDIR%%/b.log b;

        location /row/ {
            breaker     row zone=z policy=row;
            proxy_pass  http://127.0.0.1:%%PORT_b%%/;
        }

        location /rate/ {
            breaker     rate zone=z policy=rate;
            proxy_pass  http://127.0.0.1:%%PORT_b%%/;
        }

        location /slow/ {
            breaker     slow zone=z policy=slow;
            proxy_pass  http://127.0.0.1:%%PORT_b%%/;
        }

        location /never/ {
            breaker     never zone=z policy=off;
            proxy_pass  http://127.0.0.1:%%PORT_b%%/;
        }

        location /dry/ {
            breaker     dry zone=z policy=row dry_run;
            proxy_pass  http://127.0.0.1:%%PORT_b%%/;
            add_header  X-State  "$breaker_state $breaker_result" always;
        }

        location /free/ {
            proxy_pass  http://127.0.0.1:%%PORT_b%%/;
            add_header  X-Vars
                "$breaker_key,$breaker_state,$breaker_result" always;
        }

        location = /breakers {
            breaker_status;
        }
    }
}

EOC

$t->plan(45);
$t->run($conf);

sub row {
    my ($key) = @_;
    my ($row) = grep { $_->{key} eq $key }
        @{ http_get('/breakers')->json->{breakers} };
    return $row;
}

# consecutive failures

is(http_get('/row/err')->status, 500, "failure $_") for 1 .. 4;
is(http_get('/row/ok')->body, 'fine', 'a success breaks the row');
is(http_get('/row/err')->status, 500, "failure $_ again") for 1 .. 4;
is(row('row')->{state}, 'closed', 'still closed');
is(http_get('/row/err')->status, 500, 'failure 5');

my $n = $b->count;
my $r = http_get('/row/ok');

is($r->status, 503, 'rejected');
is($r->header('X-Breaker'), 'open', 'X-Breaker');
cmp_ok($r->header('Retry-After'), '>=', 59, 'Retry-After');
cmp_ok($r->header('Retry-After'), '<=', 66, 'Retry-After with the jitter');
is($b->count, $n, 'the backend was not asked');

my $row = row('row');

is($row->{state}, 'open', 'open');
is($row->{zone}, 'z', 'zone');
is($row->{reason}, 'consecutive failures', 'why');
is($row->{calls}, 10, 'calls');
is($row->{failures}, 9, 'failures');
is($row->{failure_rate}, 90, 'rate');
is($row->{rejections}, 1, 'rejections');
is($row->{transitions}, 1, 'transitions');
is_deeply($row->{outcomes},
          { success => 1, failure => 9, slow => 0, neutral => 0 }, 'outcomes');
cmp_ok($row->{open_until}, '>', time() + 50, 'open until');
cmp_ok(abs($row->{since} - time()), '<', 5, 'since');

my @lines = $t->grep_log(qr/breaker "row" in zone "z": closed -> open/);
is(scalar @lines, 1, 'one line for the transition');
like($lines[0], qr/\[error\].*consecutive\ failures\ \(5\ in\ a\ row,
     \ calls:\ 10,\ failures:\ 9,\ slow:\ 0\),\ open\ for\ 6\d{4}ms/x,
     'with its counts');

# the failure rate, of a window that slides

http_get('/rate/err') for 1 .. 9;
is(row('rate')->{state}, 'closed', 'too few calls');
sleep 2.1;
http_get('/rate/ok') for 1 .. 6;
http_get('/rate/err') for 1 .. 5;
is(row('rate')->{state}, 'closed', 'the old failures are gone');
http_get('/rate/err');
$row = row('rate');
is($row->{state}, 'open', 'half of them failed');
is($row->{reason}, 'failure rate', 'by rate');

# slow calls

http_get('/slow/ok');
http_get('/slow/slow') for 1 .. 3;
is(row('slow')->{state}, 'closed', 'too few slow calls');
http_get('/slow/slow');
$row = row('slow');
is($row->{state}, 'open', 'slow calls');
is("$row->{reason} $row->{outcomes}{slow}", 'slow call rate 4', 'by slow rate');

# nothing is on

http_get('/never/err') for 1 .. 30;
is(row('never')->{state}, 'closed', 'all rules off');

# dry run

http_get('/dry/err') for 1 .. 5;
$r = http_get('/dry/ok');
is($r->body, 'fine', 'dry run lets through');
is($r->header('X-State'), 'open dry_reject', 'and says so');
is($r->header('X-Breaker'), undef, 'not to the client');
$row = row('dry');
is("$row->{state} $row->{rejections} $row->{dry_rejections}", 'open 0 1',
   'counted apart');

# variables

is(http_get('/free/ok')->header('X-Vars'), '-,-,-', 'not guarded');

wait_for(sub { $t->read_file('b.log') =~ m{^/dry/ok}m }, slow(5));

my $log = $t->read_file('b.log');
like($log, qr{^/row/err 500 row closed pass$}m, 'logged: pass');
like($log, qr{^/row/ok 503 row open reject$}m, 'logged: reject');

# 4xx is no failure

http_get('/never/404') for 1 .. 3;
is(row('never')->{outcomes}{success}, 3, '404 is a success');
