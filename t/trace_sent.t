#!/usr/bin/perl

# Spans tell what was sent: the client's method after nginx has changed it, the
# one that the backend got, its URL, the peers of both connections.  A request
# that ends within its handler has a span too.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use Test::More;

use Harness;
use Harness::Metrics;
use Harness::Otlp;

my $t = Harness->new(plan => 37);

my $c = $t->backend('c', '/v1/traces' => { body => '', type => undef });
my $b = $t->backend('b',
    '/ok'    => '{}',
    '/500'   => { status => 500, body => '{}' },
    '/cut'   => { body => '{', length => 9, after => 'close' },
    '/moved' => { headers => [ 'X-Accel-Redirect' => '/b/ok' ] },
);
my $dead = $t->dead_port;

$t->run(<<'EOC' =~ s/DEAD/$dead/gr);

%%GLOBALS%%

worker_processes  1;

events {
}

http {
    %%HTTP%%

    proxy_cache_path        %%TESTDIR%%/cache keys_zone=cache:1m;
    aggregate_metrics_zone  gw 512k;
    aggregate_metrics       gw;

    aggregate_trace_exporter {
        endpoint  http://127.0.0.1:%%PORT_c%%/v1/traces;
        interval  50ms;
    }

    upstream b {
        server 127.0.0.1:%%PORT_b%%;
    }

    upstream failing {
        server 127.0.0.1:DEAD max_fails=1;
        server 127.0.0.1:DEAD max_fails=1;
    }

    server {
        listen           127.0.0.1:%%PORT_0%%;
        listen           unix:%%TESTDIR%%/socket;
        server_name      localhost;
        aggregate_trace  on;

        location /b/ { proxy_pass http://b/; }

        location /method/ {
            proxy_method  $arg_method;
            proxy_pass    http://b/ok?;
        }

        location /cache/ {
            proxy_cache        cache;
            proxy_cache_valid  1m;
            proxy_pass         http://b/;
        }

        location = /moved { proxy_pass http://b/moved; }

        location = /ssi {
            ssi           on;
            default_type  text/html;
            return        200 '<!--#include virtual="/b/ok" -->';
        }

        location = /page {
            proxy_intercept_errors  on;
            error_page              500 /b/ok;
            proxy_pass              http://b/500;
        }

        location /early/ {
            error_page  403 /b/ok;
            return      403;
        }

        location /attr/ {
            aggregate_trace_attr  http.route mine;
            aggregate_trace_attr  url.scheme own;
            aggregate_trace_attr  empty $arg_none;
            aggregate_trace_attr  error.type worst span=client;
            aggregate_trace_attr  gateway.parts many span=aggregate;
            proxy_pass            http://b/;
        }

        location = /attr/aggregate {
            aggregate { backend p /b/ok { } }
            aggregate_trace_attr  gateway.parts many span=aggregate;
        }

        location = /part {
            aggregate {
                backend dead /port/ { }
                backend page /nobody/page { }
                backend cut /b/cut { }
            }
        }

        location /real/ {
            set_real_ip_from  127.0.0.1;
            real_ip_header    X-Real-IP;
            proxy_pass        http://b/;
        }

        location /socket/ { proxy_pass http://unix:%%TESTDIR%%/socket:/b/; }
        location /port/ { proxy_pass http://127.0.0.1:DEAD; }

        location /variable/ {
            set         $host_ 127.0.0.1:%%PORT_b%%;
            proxy_pass  http://$host_/ok?;
        }

        location /pkg.Service/ { grpc_pass grpc://127.0.0.1:DEAD; }

        location = /rewritten {
            rewrite    ^ '/pkg.Service/a b' break;
            grpc_pass  grpc://127.0.0.1:DEAD;
        }

        location = /nobody {
            set         $name nothing.invalid;
            proxy_pass  http://$name;
        }

        location = /nobody/page {
            error_page  502 = @page;
            set         $name nothing.invalid;
            proxy_pass  http://$name;
        }

        location = /failing {
            error_page  502 = @page;
            proxy_pass  http://failing;
        }

        location @page {
            rewrite     ^ /ok break;
            proxy_pass  http://b;
        }

        location = /metrics {
            aggregate_metrics_status;
            aggregate_metrics  off;
            aggregate_trace    off;
        }
    }
}

EOC

# the spans until the one of the client request
sub trace {
    my ($method, $uri, %o) = @_;

    my $before = () = $c->log;
    my ($path) = $uri =~ /^([^?]*)/;
    my @spans;

    http_request($method, $uri, %o);

    wait_for(sub {
        my @log = $c->log;
        splice @log, 0, $before;
        @spans = map { @{ otlp($_)->{spans} } } @log;
        return grep { ($_->{attrs}{'url.path'} || '') eq $path
                      || ($_->{attrs}{'url.scheme'} || '') eq 'own' } @spans;
    }, slow(5));

    return @spans;
}

sub names { return join ', ', map { $_->{name} } @_ }

sub server { my ($s) = grep { $_->{kind} eq 'SERVER' } @_; return $s->{attrs} }

sub client {
    my ($s) = grep { $_->{kind} eq 'CLIENT' } @_;
    return $s ? $s->{attrs} : {};
}

my @s = trace(GET => '/method/?method=PUT');
is(names(@s), 'GET /method/, PUT b', 'proxy_method');
is(client(@s)->{'http.request.method'}, 'PUT', 'is the method of the span');
@s = trace(GET => '/method/?method=PURGE');
is(names(@s), 'GET /method/, HTTP b', 'a method that is not known');
is(join(' ', @{ client(@s) }{qw(http.request.method
                                http.request.method_original)}),
   '_OTHER PURGE', 'is an attribute');
@s = trace(HTTP => '/b/ok');
is(names(@s), 'HTTP /b/, HTTP b', 'a method of the name HTTP');
is(server(@s)->{'http.request.method'}, '_OTHER', 'is not known');
@s = trace(HEAD => '/cache/ok');
is(names(@s), 'HEAD /cache/, GET b', 'HEAD, which the cache has changed');

@s = trace(POST => '/moved', body => 'x');
is(names(@s), 'POST /moved, POST b, GET b', 'X-Accel-Redirect');
is(server(@s)->{'http.request.method'}, 'POST', 'the client\'s method');
@s = trace(POST => '/page', body => 'x');
is(names(@s), 'POST /page, POST b, GET b', 'error_page');
@s = trace(POST => '/early/x', body => 'x');
is(server(@s)->{'http.request.method'}, 'POST', 'a redirect before the access');

my $id = '0af7651916cd43dd8448eb211c80319c';
@s = trace(GET => '/ssi', headers =>
           [ traceparent => "00-$id-b7ad6b7169203331-01" ]);
is(names(@s), 'GET /ssi, GET b', 'SSI in a page of "return"');
like(($b->log)[-1]{head}, qr/^traceparent: 00-$id-$s[1]{span_id}-01\r$/m,
     'has sent its id');

# a name is there once, which the reader of spans checks as well

@s = trace(GET => '/attr/500');
is(join(' ', @{ server(@s) }{qw(http.route url.scheme)}), 'mine own',
   'configured attributes replace others');
ok(!exists server(@s)->{empty}, 'unless they are empty');
is(client(@s)->{'error.type'}, 'worst', 'on CLIENT');
@s = trace(GET => '/attr/aggregate');
is(span_named('gateway.aggregate', @s)->{attrs}{'gateway.parts'}, 'many',
   'on an aggregate');

@s = trace(GET => '/real/ok', headers => [ 'X-Real-IP' => '192.0.2.1' ]);
is(join(' ', @{ server(@s) }{qw(client.address network.peer.address)}),
   '192.0.2.1 127.0.0.1', 'the realip module');
like(server(@s)->{'network.peer.port'}, qr/^\d{4,5}$/, 'the port of the proxy');
@s = trace(GET => '/b/ok', host => '[2001:db8::1]:8080');
is(server(@s)->{'server.address'}, '2001:db8::1', 'no brackets');

@s = trace(GET => '/socket/ok');
my $dir = $t->testdir;
my ($a) = grep { ($_->{'server.address'} || '') =~ m{/} }
    map { $_->{attrs} } @s;
is($a->{'url.full'}, "http://unix:$dir/socket:/b/ok", 'a socket: URL');
ok(!exists $a->{'server.port'}, 'no port');

@s = trace(GET => '/port/ok');
is(server(@s)->{'gateway.backend'}, "127.0.0.1:$dead", 'a port of a backend');
@s = trace(GET => '/variable/');
is(server(@s)->{'gateway.backend'}, '_other', 'a variable');
@s = trace(GET => '/pkg.Service/M%20?x=1&token=2');
is(client(@s)->{'url.full'},
   "grpc://127.0.0.1:$dead/pkg.Service/M%20?x=1&token=REDACTED", 'grpc_pass');
@s = trace(GET => '/rewritten?x=1');
is(client(@s)->{'url.full'}, "grpc://127.0.0.1:$dead/pkg.Service/a%20b?x=1",
   'with another URI');

# a status is one that a backend has sent

@s = trace(GET => '/part');
is_deeply([ map { [ @{ span_named("GET $_", @s)->{attrs} }
                      {qw(http.response.status_code error.type)} ] }
            qw(dead page cut) ],
          [ [ undef, 'connect' ], [ 200, undef ], [ 200, 'truncated' ] ],
          'statuses of parts');

# upstreams that end within the handler

@s = trace(GET => '/nobody');
is(client(@s)->{'error.type'}, 'connect', 'a name that is not resolved');
@s = trace(GET => '/nobody/page');
is(names(@s), 'GET /nobody/page, GET nothing.invalid, GET b',
   'before an error_page');
is($s[1]{attrs}{'error.type'}, 'connect', 'an error');
my %ids = map { $_->{span_id} => 1 } @s;
is(scalar keys %ids, 3, 'with an id of its own');
like(($b->log)[-1]{head}, qr/^traceparent: \S+-$s[2]{span_id}-/m,
     'and not the one that the next backend got');
trace(GET => '/failing');
@s = trace(GET => '/failing');
is(names(@s), 'GET /failing, GET failing, GET b', 'no live upstreams');
is($s[1]{attrs}{'network.peer.address'}, undef, 'and so no peer');

my $m = metrics(http_get('/metrics')->body);
is($m->value('gateway_backend_errors_total', service => '_other',
             status => 'connect'), 2, 'counted as errors');
is($m->value('gateway_backend_errors_total', service => 'failing',
             status => 'connect'), 2, 'of the upstream');
is($m->sum('gateway_backend_in_flight'), 0, 'nothing is in flight');
