#!/usr/bin/perl

# Metrics and traces beside others: Lua, $request_id, HTTP/2, an upgrade,
# auth_request, SSI, internal redirects, error_page; and a reload under load, by
# which no count is lost or doubled.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use Test::More;

use Harness;
use Harness::H2;
use Harness::Metrics;
use Harness::Otlp;
use IO::Socket::INET;
use Time::HiRes qw(sleep time);

my $t = Harness->new;
my $c = $t->backend('c', '/v1/traces' => { body => '', type => undef });
my $b = $t->backend('b', '/ok' => '{"a":1}', '/500' => { status => 500 },
    '/ssi' => { body => '<!--#include virtual="/b/ok" -->',
                type => 'text/html' },
    '/404' => { status => 404, body => 'none' });

# a backend that switches protocols and echoes
my $listener = IO::Socket::INET->new(Listen => 4, LocalAddr => '127.0.0.1',
                                     ReuseAddr => 1) or die "listen: $!";
my $echo = $listener->sockport;
my $child = fork;
die "fork: $!" if !defined $child;

if (!$child) {
    while (my $s = $listener->accept) {
        while (defined(my $line = <$s>)) { last if $line =~ /^\r?$/ }
        print $s "HTTP/1.1 101 Switching Protocols\r\nUpgrade: echo\r\n"
            . "Connection: Upgrade\r\n\r\n";
        my $line = <$s>;
        print $s "echo $line" if defined $line;
        close $s;
    }

    require POSIX;
    POSIX::_exit(0);
}

END { kill 'KILL', $child if $child }

my $load = $t->load_others(qw(ndk_http_module ngx_http_lua_module));

my %text = $load ? (
    LUA_LOAD => $load,
    LUA_CODE => 'content_by_lua_block {
                local answer = ngx.location.capture("/b/ok");
                ngx.header["X-Id"] = ngx.var.request_id;
                ngx.print(answer.body)
            }',
    OTEL_CODE => 'rewrite_by_lua_block {
                ngx.req.set_header("traceparent", "00-' . ('ab' x 16) . '-'
        . ('cd' x 8) . '-01")
            }',
) : (
    LUA_LOAD => '',
    OTEL_CODE => '',
    LUA_CODE => 'add_header X-Id $request_id; proxy_pass http://b/ok;',
);

$t->plan(32);
my $conf = <<'EOC';

LUA_LOAD
%%GLOBALS%%

worker_processes  2;

events {
}

http {
    %%HTTP%%

    aggregate_metrics_zone  gw 512k;

    aggregate_trace_exporter {
        endpoint  http://127.0.0.1:%%PORT_c%%/v1/traces;
        interval  100ms;
    }

    upstream b { server 127.0.0.1:%%PORT_b%%; }

    map $http_upgrade $connection_upgrade { default upgrade; '' close; }

    server {
        listen             127.0.0.1:%%PORT_0%%;
        listen             127.0.0.1:%%PORT_1%% http2;
        server_name        localhost;
        aggregate_metrics  gw;
        aggregate_trace    on;

        location /b/ { proxy_pass http://b/; }

        location = /lua { LUA_CODE }

        # what another tracer does, which sets the header in the rewrite phase

        location = /otel {
            OTEL_CODE
            proxy_pass http://b/ok;
        }

        # what its variables say

        location = /ids {
            set $otel_trace_id OTEL_TRACE;
            set $otel_span_id  OTEL_SPAN;

            aggregate_trace_parent 00-$otel_trace_id-$otel_span_id-01;
            proxy_pass http://b/ok;
        }

        # where it alone is to be seen by the backend

        location = /alone {
            aggregate_trace_context ignore;
            OTEL_CODE
            proxy_pass http://b/ok;
        }

        location = /ssi {
            ssi        on;
            proxy_pass http://b/ssi;
        }

        location = /auth {
            auth_request /_auth;
            proxy_pass   http://b/ok;
        }

        location = /_auth { internal; proxy_pass http://b/ok; }

        location = /denied {
            auth_request /_deny;
            proxy_pass   http://b/ok;
        }

        location = /_deny { internal; return 403; }

        location = /moved {
            rewrite ^ /b/ok last;
        }

        location = /page {
            error_page 404 = /b/ok;
            proxy_intercept_errors on;
            proxy_pass http://b/404;
        }

        location = /upgrade {
            proxy_pass          http://127.0.0.1:ECHO;
            proxy_http_version  1.1;
            proxy_set_header    Upgrade $http_upgrade;
            proxy_set_header    Connection $connection_upgrade;
        }

        location = /load { proxy_pass http://b/ok; }

        location = /metrics {
            aggregate_metrics off;
            aggregate_trace   off;
            aggregate_metrics_status;
        }
    }
}

EOC

$conf =~ s/ECHO/$echo/;
$conf =~ s/OTEL_TRACE/'ab' x 16/e;
$conf =~ s/OTEL_SPAN/'cd' x 8/e;
$conf =~ s/$_/$text{$_}/g for keys %text;
$t->run($conf);

sub text { return metrics(http_get('/metrics')->body) }

sub count {
    my ($route, $status) = @_;
    return text()->value('gateway_requests_total', route => $route,
                         status => $status) || 0;
}

# the answer is there before the request has ended
sub is_counted {
    my ($route, $status, $name) = @_;
    return ok(wait_for(sub { count($route, $status) == 1 }), $name);
}

my $r = http_get('/lua');
is($r->body, '{"a":1}', 'Lua: a captured subrequest');
like($r->header('X-Id'), qr/^[0-9a-f]{32}$/, '$request_id');
is_counted('/lua', 200, 'counted once');
is(text()->value('gateway_backend_duration_seconds_count',
                 route => '/lua', backend => 'b'), 1,
   'its subrequest is the route\'s');

# another tracer in front: one trace, one header, nothing twice

for my $uri ('/otel', '/ids') {
    my $client = $load || $uri eq '/ids' ? '00-' . ('12' x 16) . '-'
        . ('34' x 8) . '-01' : '00-' . ('ab' x 16) . '-' . ('cd' x 8) . '-01';
    http_request(GET => $uri, headers => [ traceparent => $client ]);

    my ($sent) = ($b->log)[-1];
    my @parents = map { $_->[1] } grep { lc $_->[0] eq 'traceparent' }
        @{ $sent->{headers} };
    is(scalar @parents, 1, "$uri: one header");

    my @spans;
    wait_for(sub {
        @spans = grep { $_->{trace_id} eq 'ab' x 16 } spans($c);
        grep { $_->{name} eq "GET $uri" } @spans
    });

    my @server = grep { $_->{name} eq "GET $uri" } @spans;
    is(scalar @server, 1, 'one span of the request');
    is($server[0]{parent_id}, 'cd' x 8, 'in the trace of the other tracer');

    my @its = grep { ($_->{parent_id} || '') eq $server[0]{span_id} } @spans;
    is($parents[0], '00-' . ('ab' x 16) . "-$its[0]{span_id}-01",
       'and the backend is in it');
}

http_request(GET => '/alone', headers => $load ? []
    : [ traceparent => '00-' . ('ab' x 16) . '-' . ('cd' x 8) . '-01' ]);
my ($sent) = ($b->log)[-1];
is(join(' ', map { $_->[1] } grep { lc $_->[0] eq 'traceparent' }
             @{ $sent->{headers} }),
   '00-' . ('ab' x 16) . '-' . ('cd' x 8) . '-01', 'left alone: its header');
is(count('/otel', 200) . count('/ids', 200) . count('/alone', 200), '111',
   'each counted once');

is(http_get('/ssi')->body, '{"a":1}', 'SSI');
is(text()->value('gateway_backend_duration_seconds_count',
                 route => '/ssi', backend => 'b'), 2, 'and what it includes');

is(http_get('/auth')->status, 200, 'auth_request');
is_counted('/auth', 200, 'counted once');
is(http_get('/denied')->status, 403, 'denied');
is_counted('/denied', 403, 'counted');

http_get('/moved');
is_counted('/b/', 200, 'a redirect within: where it came to');
is(http_get('/page')->body, '{"a":1}', 'error_page');
is_counted('/page', 200, 'where access was checked first');
is(text()->sum('gateway_requests_in_flight'), 0, 'none in flight');

# HTTP/2

my $h2 = Harness::H2->new(port => $t->port(1));
my $stream = $h2->request(GET => '/load');
ok(wait_for(sub { $h2->wait($stream, 1); count('/load', 200) == 1 }),
   'HTTP/2');
$h2->close;

# an upgrade: counted when it ends, with 101

my $s = IO::Socket::INET->new(PeerAddr => '127.0.0.1',
                              PeerPort => $t->port(0));
print $s "GET /upgrade HTTP/1.1\r\nHost: localhost\r\nUpgrade: echo\r\n"
    . "Connection: Upgrade\r\n\r\n";
like(scalar <$s>, qr/ 101 /, 'an upgrade');
while (defined(my $line = <$s>)) { last if $line =~ /^\r?$/ }
is(text()->value('gateway_requests_in_flight', route => '/upgrade'), 1,
   'in flight');
print $s "hello\n";
is(scalar <$s>, "echo hello\n", 'both ways');
close $s;
ok(wait_for(sub { count('/upgrade', 101) == 1 }), 'counted as 101');

# a reload under load

my $before = count('/load', 200);
my @clients;

for my $n (1 .. 3) {
    pipe my $out, my $in or die "pipe: $!";
    my $pid = fork;
    die "fork: $!" if !defined $pid;

    if (!$pid) {
        close $out;
        my $answered = 0;
        my $end = time + 3;

        while (time < $end) {
            my $got = eval { http_get('/load')->status } || 0;
            $answered++ if $got == 200;
        }

        syswrite $in, "$answered\n";
        require POSIX;
        POSIX::_exit(0);
    }

    close $in;
    push @clients, [ $pid, $out ];
}

for (1 .. 3) {
    sleep 0.5;
    $t->reload;
}

my $answered = 0;

for (@clients) {
    $answered += readline $_->[1];
    waitpid $_->[0], 0;
}

cmp_ok($answered, '>', 50, 'under load');
ok(wait_for(sub { count('/load', 200) - $before == $answered }),
   'no count is lost or doubled')
    or diag(count('/load', 200) - $before, " of $answered");
is(text()->sum('gateway_requests_in_flight'), 0, 'none in flight');
