#!/usr/bin/perl

# The exporter against a collector that decodes by the official schema of
# OpenTelemetry, as t/node has it.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use Test::More;

use Harness;
use JSON::PP;
use MIME::Base64 qw(decode_base64);

my $t = Harness->new;

$ENV{NODE_PATH} ||= "$FindBin::Bin/../build/node/node_modules";

my $pid = open my $collector, '-|', 'node',
    "$FindBin::Bin/node/otlp_collector.js" or die "node: $!";
END { kill 'KILL', $pid if $pid }

my ($port) = (readline($collector) || '') =~ /^(\d+)$/
    or die "no collector\n";

my $b = $t->backend('b', '/ok' => '{"id":1}', '/500' => { status => 500 });
my $dead = $t->dead_port;

$t->plan(20);
$t->run(<<'EOC' =~ s/DEAD/$dead/gr =~ s/COLLECTOR/$port/gr);

%%GLOBALS%%

worker_processes  1;

events {
}

http {
    %%HTTP%%

    aggregate_metrics_zone gw 512k;

    aggregate_trace_exporter {
        endpoint  http://127.0.0.1:COLLECTOR/v1/traces?partial;
        service   gateway;
        resource  empty '';
        interval  100ms;
    }

    upstream tries {
        server 127.0.0.1:DEAD max_fails=0;
        server 127.0.0.1:%%PORT_b%% backup;
    }

    server {
        listen           127.0.0.1:%%PORT_0%%;
        aggregate_trace  on;

        location /b/ {
            proxy_pass            http://127.0.0.1:%%PORT_b%%/;
            aggregate_trace_attr  long $arg_long;
            aggregate_trace_attr  $arg_none none;
        }

        location /tries/ { proxy_pass http://tries/; }

        location /edge/ {
            aggregate_trace_context inject;
            proxy_pass              http://tries/ok;
        }

        location = /agg {
            aggregate {
                backend one /b/ok { }
                backend bad /b/500 { }
            }
        }

        location = /metrics {
            aggregate_trace off;
            aggregate_metrics_status;
        }
    }
}

EOC

my $id = '0af7651916cd43dd8448eb211c80319c';
my $long = 'x' x 1500;

http_get("/b/ok?long=$long", headers => [
    traceparent => "00-$id-b7ad6b7169203331-01", tracestate => 'a=1',
    'User-Agent' => "caf\xff\xc3\xa9" ]);
http_get('/tries/ok');
http_get('/agg');
http_get('/edge/', headers => [
    traceparent => "00-$id-b7ad6b7169203331-01" ]);

my (@batches, %span);

# a collector that is killed says no more

local $SIG{ALRM} = sub { kill 'KILL', $pid };
alarm 30;

while (keys %span < 8) {
    my $line = readline $collector;
    last if !defined $line;
    push @batches, decode_json($line);

    for my $resource (@{ $batches[-1]{message}{resourceSpans} || [] }) {
        for my $scope (@{ $resource->{scopeSpans} }) {
            $span{"$_->{kind} $_->{name}"} = $_ for @{ $scope->{spans} };
        }
    }
}

alarm 0;

is(join('', map { $_->{error} || $_->{verify} || '' } @batches), '',
   'decoded');
is(scalar(grep { !$_->{same} } @batches), 0, 'nothing that it does not know');
is($batches[0]{type}, 'application/x-protobuf', 'its type');

my $resource = $batches[0]{message}{resourceSpans}[0]{resource};
my %r = map { $_->{key} => $_->{value}{stringValue} }
    @{ $resource->{attributes} };
is($r{'service.name'}, 'gateway', 'service.name');

sub hex_of { return unpack 'H*', decode_base64($_[0] || '') }

sub attr {
    my ($span, $name) = @_;
    my ($a) = grep { $_->{key} eq $name } @{ $span->{attributes} };
    return $a ? (values %{ $a->{value} })[0] : undef;
}

my ($server) = grep { $_->{name} eq 'GET /b/' && hex_of($_->{traceId}) eq $id
                      } values %span;
ok($server, 'the trace id');
is(hex_of($server->{parentSpanId}), 'b7ad6b7169203331', 'the parent');
is($server->{traceState}, 'a=1', 'tracestate');
is($server->{kind}, 2, 'SERVER');
is($server->{flags}, 0x301, 'flags');
cmp_ok($server->{endTimeUnixNano}, 'ge', $server->{startTimeUnixNano},
       'times');
is(attr($server, 'http.response.status_code'), '200', 'a number');
is(attr($server, 'user_agent.original'), "caf\x{fffd}\x{e9}",
   'what is no UTF-8');
is(length attr($server, 'long'), 1024, 'cut at 1024 bytes');
is($server->{status}, undef, 'no status');

my ($tries) = grep { $_->{name} eq 'GET tries' && $_->{events} } values %span;
is($tries->{events}[0]{name}, 'gateway.upstream.try', 'an event');

my ($agg) = grep { $_->{name} eq 'gateway.aggregate' } values %span;
is($agg->{kind}, 1, 'INTERNAL');
my ($bad) = grep { $_->{name} eq 'GET bad' } values %span;
is($bad->{status}{code}, 2, 'an error');
is($bad->{parentSpanId}, $agg->{spanId}, 'in the aggregate');

my ($edge) = grep { $_->{name} eq 'GET /edge/' } values %span;
is(hex_of($edge->{links}[0]{traceId}), $id, 'a link');

ok(wait_for(sub {
    http_get('/metrics')->body
        =~ /^gateway_trace_spans_total\{result="rejected"\} [1-9]/m;
}), 'its partial success is understood');

# the lines about partial successes
$t->allow_log(qr/trace collector/);

kill 'KILL', $pid;
close $collector;
