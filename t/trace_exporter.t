#!/usr/bin/perl

# The exporter: batches, retries, Retry-After, partial success, what a
# collector may do wrong, a full queue, TLS, gzip, JSON, the end of a worker.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use Test::More;
use Time::HiRes qw(time sleep);

use Harness;
use Harness::Metrics;
use Harness::Otlp;

my $t = Harness->new(plan => 65, modules => ['ngx_http_aggregate_module']);

my $c = $t->backend('c', '/v1/traces' => '', '/other' => '');

my $conf = <<'EOC';

%%GLOBALS%%

worker_processes  1;

events {
}

http {
    %%HTTP%%

    aggregate_metrics_zone  gw 256k;

    aggregate_trace_exporter {
        endpoint  ENDPOINT;
        interval  50ms;
        timeout   500ms;
        MORE
    }

    server {
        listen           127.0.0.1:%%PORT_0%%;
        server_name      localhost;
        aggregate_trace  on;

        location /ok     { return 200 ok; }
        location /ratio  { aggregate_trace 0%; return 200 ok; }
        location /keep   { aggregate_trace 0%;
                           aggregate_trace_keep error slow=300ms;
                           proxy_pass http://127.0.0.1:%%PORT_dead%%; }
        location /var    { aggregate_trace $arg_t; return 200 ok; }
        location = /metrics {
            aggregate_trace off;
            aggregate_metrics_status;
        }
    }
}

EOC

sub conf {
    my ($more, $endpoint) = @_;
    $endpoint ||= 'http://127.0.0.1:' . $c->port . '/v1/traces';
    return $conf =~ s/ENDPOINT/$endpoint/r =~ s/MORE/$more || ''/er;
}

sub total {
    my ($result, $what) = @_;
    return metrics(http_get('/metrics')->body)
        ->value('gateway_trace_' . ($what || 'spans') . '_total',
                result => $result);
}

sub requests { return scalar(() = $c->log) }

# how many spans arrive for N requests
sub send_spans {
    my ($n, $wanted) = @_;
    my $before = () = spans($c);
    http_get('/ok') for 1 .. $n;
    ok(wait_for(sub { scalar(() = spans($c)) - $before >= $wanted },
                slow(10)), "$wanted of $n spans arrive");
    return;
}

my %ok = (status => 200, body => '', type => 'application/x-protobuf');

$c->set('/v1/traces' => {%ok});
$t->run(conf());

send_spans(3, 3);
my ($first) = $c->log;
is(otlp($first)->{resource}{'service.name'}, 'unknown_service:nginx',
   'the default service');
ok(wait_for(sub { total('exported') == 3 }), 'exported');

# one connection is kept

send_spans(1, 1);
my %connections = map { $_->{connection} => 1 } $c->log;
is(scalar keys %connections, 1, 'the connection is kept');

# not sampled, kept after the fact, by a variable

my $n = () = spans($c);
http_get('/ratio') for 1 .. 3;
http_get('/var?t=0');
http_get('/var?t=off');
http_get('/var');
http_get('/var?t=nonsense');
is(http_get('/keep')->status, 502, 'an error');
ok(wait_for(sub { scalar(() = spans($c)) >= $n + 2 }), 'is kept');
my ($server) = grep { ($_->{attrs}{'url.path'} || '') eq '/keep' } spans($c);
is($server->{flags} & 1, 0, 'with flag 0');
http_get('/var?t=1');
http_get('/var?t=100%25');
ok(wait_for(sub { scalar(() = spans($c)) >= $n + 3 }), 'by a variable');
is(scalar(grep { ($_->{attrs}{'url.path'} || '') eq '/ratio' } spans($c)), 0,
   'not sampled: not exported');

# what a collector may say

my $before;

for my $case (
    [ 503, { status => 503 }, 'retry' ],
    [ 429, { status => 429, headers => [ 'Retry-After' => 1 ] }, 'retry' ],
    [ 'reset', { action => 'reset' }, 'retry' ],
    [ 'close', { action => 'close' }, 'retry' ],
    [ 'hang', { action => 'hang' }, 'retry' ],
    [ 'garbage', { raw => "garbage\r\n\r\n", after => 'close' }, 'retry' ],
    [ 'half', { raw => "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nab",
                after => 'close' }, 'retry' ],
    [ 400, { status => 400, body => "no\x01\xff" }, 'failed' ],
    [ 302, { status => 302, headers => [ Location => '/other' ] }, 'failed' ],
    [ 'large', { body => 'x' x 65536, repeat => 70 }, 'failed' ],
    [ 'lying', { raw => "HTTP/1.1 200 OK\r\nContent-Length: 99999999\r\n\r\n" },
      'failed' ],
    [ 'chunked', { %ok, chunked => 1, body => 'xyz' }, 'ok' ],
    [ 'rubbish', { %ok, body => "\xff" x 11 }, 'ok' ],
) {
    my ($name, $what, $wanted) = @$case;

    $before = total($wanted, 'exports');
    $n = requests();
    $c->set('/v1/traces' => $what);
    http_get('/ok');
    ok(wait_for(sub { requests() > $n }), "$name: was sent");
    ok(wait_for(sub { total($wanted, 'exports') > $before }, slow(8)),
       "$name: $wanted");
    $c->set('/v1/traces' => {%ok});

    next if $wanted ne 'retry';
    ok(wait_for(sub { !metrics(http_get('/metrics')->body)
                          ->value('gateway_trace_queue_bytes') }, slow(12)),
       "$name: the same batch again");
}

is(scalar(grep { $_->{path} eq '/other' } $c->log), 0,
   'a redirect is not followed');

# partial success: rejected_spans 2, a message

$before = total('rejected');
$c->set('/v1/traces' => { %ok, body => "\x0a\x07\x08\x02\x12\x03bad" });
http_get('/ok') for 1 .. 3;
ok(wait_for(sub { total('rejected') >= $before + 1 }), 'rejected in part');
$n = requests();
$c->set('/v1/traces' => {%ok});
sleep slow(0.3);
is(requests(), $n, 'never sent again');

# a full queue

$t->restart(conf('queue 16k;', 'http://127.0.0.1:' . $t->dead_port . '/x'));
my $time = time();
http_get('/ok') for 1 .. 100;
cmp_ok(time() - $time, '<', slow(3), 'requests do not wait');
my $m = metrics(http_get('/metrics')->body);
cmp_ok($m->value('gateway_trace_spans_total', result => 'dropped'), '>', 30,
       'dropped');
cmp_ok($m->value('gateway_trace_queue_bytes'), '<=', 16384, 'the queue');

# JSON, gzip, by name, over a socket

$t->restart(conf('protocol json; gzip on; service json;'));
$c->set('/v1/traces' => { body => '{"partialSuccess":{"rejectedSpans":"1",'
                                  . '"errorMessage":"no"}}' });
$n = requests();
http_get('/ok');
ok(wait_for(sub { requests() > $n }), 'JSON: sent');
my $batch = otlp(($c->log)[-1]);
is($batch->{resource}{'service.name'}, 'json', 'JSON: decoded');
is($batch->{spans}[0]{attrs}{'http.response.status_code'}, 200,
   'JSON: a number');
ok(wait_for(sub { total('rejected') == 1 }), 'JSON: rejected in part');

# batches: a client request with two spans is divided if need be

$c->set('/v1/traces' => {%ok});

for my $case ([ 1, '' ], [ 1, 'protocol json;' ], [ 3, 'protocol json;' ]) {
    my ($size, $more) = @$case;
    $t->restart(conf("batch $size; $more"));
    $c->clear;
    http_get('/keep') for 1 .. 3;
    ok(wait_for(sub { scalar(() = spans($c)) == 6 }, slow(5)), 'six spans');
    my @sizes = map { scalar @{ otlp($_)->{spans} } } $c->log;
    is(scalar(grep { $_ > $size } @sizes), 0, "at most $size at a time")
        or diag("@sizes");
}

# the end of a worker

$c->set('/v1/traces' => {%ok});
$t->restart(conf('interval 1h;' =~ s/interval 1h;//r) =~ s/50ms/1h/r);
$n = () = spans($c);
http_get('/ok') for 1 .. 5;
$t->stop;
is(scalar(() = spans($c)) - $n, 5, 'a worker that ends sends what it has');

$t->run(conf() =~ s/50ms/1h/r);
$c->set('/v1/traces' => { action => 'hang' });
http_get('/ok');
$time = time();
$t->stop;
cmp_ok(time() - $time, '<', slow(3), 'for a second');

$t->run(conf() =~ s/500ms/60s/r);
$n = requests();
http_get('/ok');
ok(wait_for(sub { requests() > $n }), 'a collector that does not answer');
$time = time();
$t->stop;
cmp_ok(time() - $time, '<', slow(3), 'holds no worker for its timeout');

# lines in the log

$t->mark_log;
$c->set('/v1/traces' => { status => 400, body => "because\n\x1b[0m" });
$t->run(conf());
http_get('/ok');
ok($t->wait_log(qr/trace collector ".*": refused, status 400, "because\[0m"/),
   'one line');
http_get('/ok') for 1 .. 5;
sleep slow(0.3);
is(scalar($t->grep_log(qr/trace collector/)), 1, 'and no more');
