#!/usr/bin/perl

# Breakers and aggregates: parts with breakers of their own, an aggregate that
# is guarded itself, one key for both, deadlines and cancelled parts.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;
use Time::HiRes qw(sleep time);

use Harness;

my $t = Harness->new;

my $b = $t->backend('b',
    '/ok'    => '{"ok":1}',
    '/fail'  => { status => 500, body => '{}' },
    '/slow'  => { delay => 1, body => '{"slow":1}' },
    '/404'   => { status => 404, body => '{}' },
    '/drip'  => { body => '{"a":"' . 'x' x 50 . '"}', drip => 0.05 },
);

my $conf = <<'EOC';

%%GLOBALS%%

worker_processes  2;

events {
}

http {
    %%HTTP%%

    log_format  b  '$uri $status $breaker_key $breaker_result '
                   '$aggregate_backend_reason';

    breaker_zone    z 1m;
    breaker_policy  p { failure_threshold 2; recovery_timeout 60s;
                        slow_call 0; }

    server {
        listen       127.0.0.1:%%PORT_0%%;
        server_name  localhost;
        access_log   %%TESTDIR%%/b.log b;

        location = /parts {
            aggregate {
                errors  errors;
                backend good   /_good/ok    { }
                backend bad    /_bad/$arg_p { }
                backend stand  /_stand/fail { }
                backend page   /_page/fail  { }
            }
        }

        location = /required {
            aggregate {
                backend bad /_bad/fail { required; }
            }
        }

        location = /retry {
            aggregate {
                backend bad /_bad/fail { retry 3; default '{}'; }
            }
        }

        location = /late {
            aggregate {
                backend late /_late/$arg_p { timeout 100ms; }
                backend good /_good/ok     { }
            }
        }

        location = /cancelled {
            aggregate {
                backend late /_cancelled/slow { }
                backend need /_good/404       { required; }
            }
        }

        location = /whole {
            breaker  whole zone=z policy=p;
            aggregate {
                backend one /_free/$arg_p { required; }
            }
        }

        location = /same {
            breaker  same zone=z policy=p;
            aggregate {
                backend one /_same/fail { }
                backend two /_same/ok   { }
            }
        }

        location = /fallback {
            breaker           whole zone=z policy=p;
            breaker_fallback  200 application/json '{"fallback":1}';
            aggregate {
                backend one /_free/ok { }
            }
        }

        location ^~ /_good/ {
            internal;
            breaker     good zone=z policy=p;
            proxy_pass  http://127.0.0.1:%%PORT_b%%/;
        }

        location ^~ /_bad/ {
            internal;
            breaker     bad zone=z policy=p;
            proxy_pass  http://127.0.0.1:%%PORT_b%%/;
        }

        location ^~ /_stand/ {
            internal;
            breaker           stand zone=z policy=p;
            breaker_fallback  200 application/json '{"stands":"in"}';
            proxy_pass        http://127.0.0.1:%%PORT_b%%/;
        }

        location ^~ /_page/ {
            internal;
            breaker     page zone=z policy=p;
            error_page  503 =502 /_empty;
            proxy_pass  http://127.0.0.1:%%PORT_b%%/;
        }

        location = /_empty {
            internal;
            default_type  application/json;
            return  502 '{}';
        }

        location ^~ /_late/ {
            internal;
            breaker     late zone=z policy=p;
            proxy_pass  http://127.0.0.1:%%PORT_b%%/;
        }

        location ^~ /_cancelled/ {
            internal;
            breaker     cancelled zone=z policy=p;
            proxy_pass  http://127.0.0.1:%%PORT_b%%/;
        }

        location ^~ /_free/ {
            internal;
            proxy_pass  http://127.0.0.1:%%PORT_b%%/;
        }

        location ^~ /_same/ {
            internal;
            breaker     same zone=z policy=p;
            proxy_pass  http://127.0.0.1:%%PORT_b%%/;
        }

        location = /breakers {
            breaker_status;
        }
    }
}

EOC

sub row {
    my ($key) = @_;
    return http_get("/breakers?key=$key")->json->{breakers}[0];
}

sub outcome {
    my ($key) = @_;
    my $row = row($key) or return '-';
    return join ' ', map { ($_) x $row->{outcomes}{$_} }
        qw(success failure slow neutral);
}

# the client may have its response before the worker is done with it
sub is_outcome {
    my ($key, $expected, $name) = @_;
    wait_for(sub { outcome($key) eq $expected }, slow(5));
    is(outcome($key), $expected, $name);
}

sub errors {
    my ($r) = @_;
    return join ' ', map { "$_->{backend}:$_->{reason}" }
        @{ $r->json->{errors} || [] };
}

$t->plan(36);
$t->run($conf);

# parts under breakers of their own

my $r = http_get('/parts?p=fail');
is(errors($r), 'bad:status stand:status page:status', 'they fail');
http_get('/parts?p=fail');
is(row('bad')->{state} . row('good')->{state}, 'openclosed', 'and open');

$b->clear;
$r = http_get('/parts?p=ok');
is($r->status, 200, 'open: status');
like(errors($r), qr/bad:breaker_open.* page:breaker_open/, 'open: reasons');
is_deeply($r->json->{stand}, { stands => 'in' }, 'open: a fallback is used');
like($r->header('X-Aggregate'), qr/partial/, 'open: partial');
is($r->header('X-Breaker'), undef, 'open: no X-Breaker of a part');
is($b->count('/ok') . $b->count('/fail'), '10', 'open: only one was asked');

$r = http_get('/required');
is($r->status, 503, 'required: 503');
is($r->json->{backends}{bad}, 'breaker_open', 'required: reason');
ok(wait_for(sub { $t->read_file('b.log') =~ m{^/required 503 - - breaker_open}m
            }, slow(5)), 'required: logged');

$b->clear;
is(http_get('/retry')->status, 200, 'retry: default');
is($b->count, 0, 'retry: never after breaker_open');

# a part's own deadline is a timeout, in the header and in the body

$r = http_get('/late?p=slow');
like($r->header('X-Aggregate'), qr/failed="late"/, 'deadline');
is_outcome('late', 'failure', 'deadline: a failure');
http_get('/late?p=drip');
ok(wait_for(sub { outcome('late') eq 'failure failure' }, slow(5)),
   'deadline in the body: a failure') or diag(outcome('late'));
is(row('late')->{state}, 'open', 'deadlines open a breaker');
$r = http_get('/late?p=slow');
cmp_ok($r->time, '<', slow(0.1), 'and nobody waits any more');

# a part that is cancelled for another's sake says nothing

is(http_get('/cancelled')->status, 404, 'cancelled');
ok(wait_for(sub { outcome('cancelled') eq 'neutral' }, slow(5)),
   'cancelled: neutral') or diag(outcome('cancelled'));

# the same when the client goes away

my $c = $t->connect;
$c->request(GET => '/cancelled?x');
close $c->socket;
ok(wait_for(sub { outcome('cancelled') =~ /^neutral neutral/ }, slow(5)),
   'client gone: neutral') or diag(outcome('cancelled'));

# an aggregate that is guarded as a whole

is(http_get('/whole?p=ok')->status, 200, 'whole');
is_outcome('whole', 'success', 'whole: success');
is(http_get('/whole?p=404')->status, 404, 'whole: 404');
is(http_get('/whole?p=fail')->status, 502, 'whole: 502');
is_outcome('whole', 'success success failure', 'whole: by its status');
http_get('/whole?p=fail');
is(row('whole')->{state}, 'open', 'whole: opens');
$r = http_get('/whole?p=ok');
is($r->status . $r->header('X-Breaker'), '503open', 'whole: rejected');
is(http_get('/fallback')->body, '{"fallback":1}', 'whole: fallback');

# one key for an aggregate and its parts: asked once, counted once

$r = http_get('/same');
is($r->status, 200, 'same key: status');
is_outcome('same', 'success', 'same key: one outcome');
http_get('/same') for 1 .. 4;
is(row('same')->{state}, 'closed', 'same key: the parts do not count');

http_request('POST', '/breakers?key=same&action=open');
$b->clear;
is(http_get('/same')->status, 503, 'same key: rejected');
is($b->count, 0, 'same key: as a whole');

# half-open, an aggregate takes one probe for all of its parts

http_request('POST', '/breakers?key=good&action=open');
$r = http_get('/parts?p=ok');
like(errors($r), qr/good:breaker_open/, 'forced open in a part');
http_request('POST', '/breakers?key=good&action=reset');
is(http_get('/parts?p=ok')->json->{good}{ok}, 1, 'reset');
