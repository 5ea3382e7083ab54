#!/usr/bin/perl

# Spans of proxied requests, of aggregates and their parts, of subrequests of
# others; what a collector gets of them.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use Test::More;

use Harness;
use Harness::Metrics;
use Harness::Otlp;

my $t = Harness->new(plan => 77);

my $once = 0;

my $c = $t->backend('c', '/v1/traces' => { body => '', type => undef });
my $b = $t->backend('b',
    '/ok'    => '{"id":[1,2]}',
    '/500'   => { status => 500, body => '{}' },
    '/404'   => { status => 404, body => '{}' },
    '/hang'  => { action => 'hang' },
    '/slow'  => { delay => 0.15, body => '{}' },
    '/badchunk' => { raw => "HTTP/1.1 200 OK\r\n"
                     . "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\nzz" },
    '/retry' => sub { $once++ % 2 ? '{}' : { status => 503 } },
    '/auth'  => '',
    '/mirror' => '',
);
my $dead = $t->dead_port;

my $far = "server 127.0.0.1:$dead max_fails=0;\n" x 20;

$t->run(<<'EOC' =~ s/DEAD/$dead/gr =~ s/FAR/$far/r);

%%GLOBALS%%

worker_processes  1;

events {
}

http {
    %%HTTP%%

    aggregate_metrics_zone  gw 512k;
    aggregate_metrics       gw;
    aggregate_cache_zone    cache 1m;
    aggregate_split_zone    splits 256k;
    breaker_zone            breakers 64k;
    breaker_policy          once { failure_threshold 1; }

    aggregate_split $pool key=$arg_key zone=splits { cookie v; * b; 1% tries; }
    aggregate_split $ab key=$arg_key { 100% two; * one; }

    aggregate_trace_exporter {
        endpoint  http://127.0.0.1:%%PORT_c%%/v1/traces;
        service   gateway;
        resource  deployment.environment.name test;
        header    X-Key 'a secret';
        interval  100ms;
    }

    upstream b {
        server 127.0.0.1:%%PORT_b%%;
    }

    upstream tries {
        server 127.0.0.1:DEAD max_fails=0;
        server 127.0.0.1:%%PORT_b%% backup;
    }

    upstream far {
        FAR
        server 127.0.0.1:%%PORT_b%% backup;
    }

    server {
        listen           127.0.0.1:%%PORT_0%%;
        server_name      localhost;
        aggregate_trace  on;

        location = /uncalled {
            aggregate {
                backend hit /cached { }
                backend open /open/500 { }
                backend spare /spare/500 { }
            }
        }

        location /open/ {
            breaker     open zone=breakers policy=once;
            proxy_pass  http://b/;
        }

        location /spare/ {
            breaker           spare zone=breakers policy=once;
            breaker_fallback  200 application/json '{}';
            proxy_pass        http://b/;
        }

        location /far/ { proxy_pass http://far/; }

        location = /part_off {
            aggregate {
                backend p /off/ok { }
            }
        }

        location = /chunks {
            proxy_http_version  1.1;
            proxy_buffering     off;
            proxy_pass          http://b/badchunk;
        }

        location /b/ {
            proxy_pass            http://b/;
            aggregate_trace_attr  user.id $arg_user;
            aggregate_trace_attr  who me span=client;
        }

        location /tries/  { proxy_pass http://tries/; }
        location /return  { return 418; }
        location /off/    { aggregate_trace off; proxy_pass http://b/; }

        location /auth/ {
            auth_request  /_auth;
            mirror        /_mirror;
            proxy_pass    http://b/ok;
        }

        location = /_auth   { internal; proxy_pass http://b/auth; }
        location = /_mirror { internal; proxy_pass http://tries/mirror; }

        location /named/ {
            aggregate_trace_name '$request_method my $arg_name';
            proxy_pass http://b/;
        }

        location /page/ {
            error_page 404 = @page;
            proxy_intercept_errors on;
            proxy_pass http://b/404;
        }

        location @page { rewrite ^ /ok break; proxy_pass http://tries; }

        location /cached { rewrite ^ /ok break; proxy_pass http://b;
                           aggregate_cache cache;
                           aggregate_cache_valid 1m; }

        location /stale/ {
            proxy_pass              http://b/;
            aggregate_cache         cache;
            aggregate_cache_valid   1s;
            aggregate_cache_stale   updating 1h;
        }

        location /split/ {
            proxy_pass  http://$pool/ok;
            add_header  X-Ab $ab;
        }

        location = /moved/ {
            add_header  X-Ab $ab;
            error_page  404 = @moved;
            proxy_intercept_errors on;
            proxy_pass  http://$pool/404;
        }

        location @moved { return 204; }

        location = /splits {
            aggregate { backend s /split/ { } backend plain /b/ok { } }
        }

        location /redact/ {
            aggregate_trace_redact  Key code;
            proxy_pass              http://b/ok?;
        }

        location /all/ {
            aggregate_trace_redact  *;
            proxy_pass              http://b/ok?$args;
        }

        location = /agg {
            aggregate {
                backend one /b/ok { }
                backend s404 /b/404 { }
                backend again /b/retry { retry 1; }
                backend late /b/hang { timeout 100ms; }
                backend uri /b/$arg_none/x { }
                backend each1 /b/slow { as x; }
                backend inner /inner { }
            }
        }

        location = /inner {
            aggregate { backend deep /b/ok { } }
        }

        location = /each {
            aggregate {
                backend list /b/ok { }
                backend each1 /b/slow?id=${item.} { each list.id; as x; }
            }
        }

        location = /failed {
            aggregate {
                backend must /b/500 { required; }
                backend cut /b/hang { }
            }
        }

        location = /metrics {
            aggregate_metrics_status;
            aggregate_metrics off;
            aggregate_trace off;
        }
    }
}

EOC

# the spans of one request, when the SERVER span has arrived
sub trace {
    my ($uri, %o) = @_;

    my $before = () = $c->log;
    my $r = http_get($uri, %o);
    my @spans;

    wait_for(sub {
        my @log = $c->log;
        splice @log, 0, $before;
        @spans = map { @{ otlp($_)->{spans} } } @log;
        return grep { $_->{kind} eq 'SERVER' } @spans;
    }, slow(5));

    return ($r, @spans);
}

my $id = '0af7651916cd43dd8448eb211c80319c';
my ($r, @s) = trace('/b/ok?user=7&token=abc&x=1',
    headers => [ traceparent => "00-$id-b7ad6b7169203331-01",
                 tracestate => 'a=1, b=2', 'User-Agent' => "caf\xff" ]);

my ($request) = $c->log;
my $batch = otlp($request);
is_deeply([ $batch->{resource}{'service.name'},
            $batch->{resource}{'deployment.environment.name'},
            $batch->{scope}{name} ], [ 'gateway', 'test', 'nginx-gateway' ],
          'resource and scope');
like($request->{head}, qr/^X-Key: a secret\r$/m, 'the header');
is($request->{method}, 'POST', 'POST');

is(scalar @s, 2, 'a proxied request: two spans');
is(tree(@s), '', 'parents and times');
my $server = span_named('GET /b/', @s);
my $client = span_named('GET b', @s);
is($server->{kind}, 'SERVER', 'SERVER');
is($server->{trace_id}, $id, 'its trace is the client\'s');
is($server->{parent_id}, 'b7ad6b7169203331', 'and so is its parent');
is($server->{state}, 'a=1,b=2', 'tracestate');
is($server->{flags} & 0x301, 0x301, 'flags: sampled, a remote parent');
my $a = $server->{attrs};
my $port = $t->port(0);
is_deeply({ map { $_ => $a->{$_} } grep { !/^network.peer.port/ } keys %$a }, {
    'http.request.method' => 'GET', 'url.path' => '/b/ok',
    'url.query' => 'user=7&token=REDACTED&x=1', 'url.scheme' => 'http',
    'http.route' => '/b/', 'http.response.status_code' => 200,
    'server.address' => 'localhost', 'server.port' => $port,
    'client.address' => '127.0.0.1', 'network.peer.address' => '127.0.0.1',
    'network.protocol.version' => '1.1',
    'user_agent.original' => "caf\xef\xbf\xbd", 'gateway.backend' => 'b',
    'user.id' => '7',
}, 'attributes of SERVER');
is($client->{kind}, 'CLIENT', 'CLIENT');
my $bport = $b->port;
is_deeply($client->{attrs}, {
    'http.request.method' => 'GET',
    'url.full' => 'http://b/ok?user=7&token=REDACTED&x=1',
    'server.address' => 'b', 'server.port' => 80,
    'network.peer.address' => '127.0.0.1', 'network.peer.port' => $bport,
    'http.response.status_code' => 200, 'peer.service' => 'b', who => 'me',
}, 'attributes of CLIENT');
like(($b->log)[-1]{head},
     qr/^traceparent: 00-$id-$client->{span_id}-01\r$/m,
     'the backend has the id of the CLIENT span');
like(($b->log)[-1]{head}, qr/^tracestate: a=1,b=2\r$/m, 'and tracestate');
is(scalar(() = ($b->log)[-1]{head} =~ /^traceparent:/mgi), 1, 'once');

($r, @s) = trace('/b/500');
is(tree(@s), '', 'the tree of a 500');
$server = span_named('GET /b/', @s);
is_deeply([ $server->{status}, $server->{attrs}{'error.type'} ], [ 2, '500' ],
          '500: an error');
is($server->{parent_id}, '', 'a new trace');
like($server->{trace_id}, qr/^(?!0{32})[0-9a-f]{32}$/, 'its id');

($r, @s) = trace('/b/404');
is(span_named('GET /b/', @s)->{status}, 0, '404: no error of the server');
is(span_named('GET b', @s)->{attrs}{'error.type'}, '404', 'but of the client');

($r, @s) = trace('/tries/ok');
$client = span_named('GET tries', @s);
is(scalar @{ $client->{events} || [] }, 1, 'a try is an event');
is_deeply($client->{events}[0]{attrs}, { 'network.peer.address' => '127.0.0.1',
    'network.peer.port' => $dead, 'error.type' => 'connect' }, 'which one');
is($client->{attrs}{'network.peer.port'}, $bport, 'the last one');

($r, @s) = trace('/return');
is(join(' ', map { $_->{name} } @s), 'GET /return', 'no backend');

($r, @s) = trace('/named/ok?name=own');
ok((grep { $_->{name} eq 'GET my own' } @s), 'a name');

($r, @s) = trace('/auth/');
is(tree(@s), '', 'auth_request, mirror: parents and times');
is(join(' ', sort map { $_->{name} } @s), 'GET /auth/ GET b GET b GET tries',
   'their spans');
my %sent = map { $_->{head} =~ /^traceparent: \S+-(\w{16})-0[13]\r/m;
                 ($1 || '') => $_->{path} } $b->log;
is(join(' ', sort map { $sent{ $_->{span_id} } || '-' }
             grep { $_->{kind} eq 'CLIENT' } @s),
   '/auth /mirror /ok', 'each has sent its own id');

($r, @s) = trace('/page/');
is(tree(@s), '', 'error_page');
is(join(' ', sort map { $_->{name} } @s), 'GET /page/ GET b GET tries',
   'a span for each upstream');

($r, @s) = trace('/agg');
is(tree(@s), '', 'aggregate: parents and times');
is(join(' ', sort map { $_->{name} } @s),
   'GET /agg GET again GET again GET deep GET each1 GET inner GET late GET one'
   . ' GET s404 gateway.aggregate gateway.aggregate gateway.part uri',
   'its spans');
my %by = map { $_->{name} => $_ } @s;
my ($agg) = grep { $_->{name} eq 'gateway.aggregate'
                   && $_->{parent_id} eq $by{'GET /agg'}{span_id} } @s;
is_deeply($agg->{attrs}, { 'gateway.outcome' => 'partial',
    'gateway.parts' => 7, 'gateway.parts_failed' => 3 }, 'outcome');
is($by{'GET one'}{parent_id}, $agg->{span_id}, 'a part is in it');
is($by{'GET one'}{attrs}{'url.full'}, 'http://b/ok', 'a part: its URL');
is($by{'GET s404'}{attrs}{'error.type'}, '404', 'a part: a status');
is($by{'GET late'}{attrs}{'error.type'}, 'timeout', 'a part: a deadline');
is($by{'gateway.part uri'}{attrs}{'error.type'}, 'bad_uri',
   'a part that called nobody');
is(join(',', sort map { $_->{attrs}{'http.request.resend_count'} || 0 }
             grep { $_->{name} eq 'GET again' } @s), '0,1', 'tries of a part');
cmp_ok($by{'GET each1'}{end} - $by{'GET each1'}{start}, '>', 140e6,
       'a part ends with its last byte');
is(scalar(grep { my $s = $_; $s->{kind} eq 'CLIENT' && $s->{attrs}{'url.full'}
                 && !grep { $_->{head} =~ /-\Q$s->{span_id}\E-/ } $b->log }
          @s), 0, 'every part has sent its own id');

($r, @s) = trace('/each');
is(join(',', sort map { $_->{attrs}{'gateway.part.item'} }
             grep { $_->{name} eq 'GET each1' } @s), '0,1', 'items');

my $bad;
http("GET / HTTQ/1.1\r\n\r\n");
ok(wait_for(sub { ($bad) = grep {
    ($_->{attrs}{'http.response.status_code'} || 0) == 400 } spans($c) },
    slow(5)), 'a bad request');
ok($bad && !exists $bad->{attrs}{'http.route'}, 'has no route')
    or diag(explain $bad);

($r, @s) = trace('/chunks');
is(span_named('GET b', @s)->{attrs}{'error.type'}, 'truncated',
   'an invalid chunk');
is(span_named('GET b', @s)->{attrs}{'gateway.cancelled'}, undef,
   'is not cancelled');

($r, @s) = trace('/part_off');
is(span_named('GET p', @s)->{attrs}{'url.full'}, 'http://b/ok',
   'a part whose location is not traced has a whole span');
is((grep { $_->{head} =~ /-\Q${\ span_named('GET p', @s)->{span_id}}\E-/ }
    $b->log) + 0, 1, 'with the id that it has sent');

($r, @s) = trace('/failed');
is(tree(@s), '', 'a failed aggregate');
is(span_named('gateway.aggregate', @s)->{status}, 2, 'is an error');
is(span_named('GET cut', @s)->{attrs}{'gateway.cancelled'}, 1, 'cancelled');
is(span_named('GET cut', @s)->{status}, 0, 'which is no error');

trace('/cached');
($r, @s) = trace('/cached');
is(join(' ', map { $_->{name} } @s), 'GET /cached', 'a hit');
is_deeply([ @{ $s[0]{attrs} }{qw(gateway.cache.result gateway.cache.tier)} ],
          [ 'hit', 'L1' ], 'what the cache did');

# parts for which a cache or a breaker has responded

trace('/uncalled');
($r, @s) = trace('/uncalled');
is(join(' ', sort map { $_->{name} } @s), 'GET /uncalled gateway.aggregate '
   . 'gateway.part hit gateway.part open gateway.part spare', 'not sent');
is_deeply([ map { my $s = span_named("gateway.part $_", @s);
                  [ $s->{kind}, $s->{status},
                    @{ $s->{attrs} }{qw(gateway.part error.type
                       gateway.cache.result gateway.breaker.result)} ] }
            qw(hit open spare) ],
          [ [ 'INTERNAL', 0, 'hit', undef, 'hit', undef ],
            [ 'INTERNAL', 2, 'open', 'breaker_open', undef, 'reject' ],
            [ 'INTERNAL', 0, 'spare', undef, undef, 'reject' ] ],
          'their spans');

($r, @s) = trace('/far/ok');
is(scalar @{ span_named('GET far', @s)->{events} }, 20, 'an event each try');
is(scalar(grep { $_->{attrs}{'error.type'} eq 'connect' }
          @{ span_named('GET far', @s)->{events} }), 20, 'with its error');

# a refresh in the background: a trace of its own, with a link

trace('/stale/ok');
select undef, undef, undef, 1.1;
my $count = () = $c->log;
($r, my @cause) = trace('/stale/ok');
my @refresh;
ok(wait_for(sub {
    my @log = $c->log;
    splice @log, 0, $count;
    @refresh = map { @{ otlp($_)->{spans} } } @log;
    return grep { $_->{name} eq 'gateway.cache.refresh' } @refresh;
}), 'a refresh');
my ($root) = grep { $_->{name} eq 'gateway.cache.refresh' } @refresh;
my ($cause) = grep { $_->{kind} eq 'SERVER' } @refresh, @cause;
my ($fetch) = grep { $_->{parent_id} eq $root->{span_id} } @refresh;
is($root->{parent_id} . $root->{kind}, 'INTERNAL', 'a root');
isnt($root->{trace_id}, $cause->{trace_id}, 'of a trace of its own');
is_deeply([ map { @$_{qw(trace_id span_id)} } @{ $root->{links} } ],
          [ @$cause{qw(trace_id span_id)} ], 'a link to what caused it');
like(($b->log)[-1]{head},
     qr/^traceparent: 00-$root->{trace_id}-$fetch->{span_id}-03\r$/m,
     'its fetch is a child');

# splits

($r, @s) = trace('/split/?key=1', headers => [ Cookie => 'v=tries' ]);
is_deeply([ @{ span_named('GET /split/', @s)->{attrs} }
            {qw(gateway.split.pool gateway.split.ab)} ], [ 'tries', 'two' ],
          'the versions of splits');
($r, @s) = trace('/moved/?key=1');
is(span_named('GET /moved/', @s)->{attrs}{'gateway.split.pool'}, 'b',
   'after a redirect');
($r, @s) = trace('/splits?key=1');
is_deeply([ map { span_named("GET $_", @s)->{attrs}{'gateway.split.pool'} }
            qw(s plain) ], [ 'b', undef ], 'on the part that has read it');

# arguments that are not shown

($r, @s) = trace('/redact/?code=1&KEY=2&token=3&a=code');
is(span_named('GET /redact/', @s)->{attrs}{'url.query'},
   'code=REDACTED&KEY=REDACTED&token=3&a=code', 'aggregate_trace_redact');
($r, @s) = trace('/b/ok?%74oken=1&to%6Be%4e=2&token%=3&token%7=4&tokens=5');
is(join(' ', $s[0]{attrs}{'url.query'},
        span_named('GET b', @s)->{attrs}{'url.full'} =~ s/.*\?//r),
   join(' ', ('%74oken=REDACTED&to%6Be%4e=REDACTED&token%=3&token%7=4&tokens=5')
        x 2), 'names are compared decoded');
($r, @s) = trace('/all/?a=1&b&c=3');
is(join(' ', span_named('GET /all/', @s)->{attrs}{'url.query'},
             span_named('GET b', @s)->{attrs}{'url.full'}),
   'a=REDACTED&b&c=REDACTED http://b/ok?a=REDACTED&b&c=REDACTED', 'all');

# off

my $n = () = $c->log;
http_get('/off/ok', headers => [ traceparent => "00-$id-b7ad6b7169203331-01" ]);
like(($b->log)[-1]{head}, qr/^traceparent: 00-$id-b7ad6b7169203331-01\r$/m,
     'off: the header passes as it is');

# exemplars

my $m = metrics(http_get('/metrics',
    headers => [ Accept => 'application/openmetrics-text' ])->body);
is($m->errors, '', 'OpenMetrics');
ok((grep { $_->{exemplar} && $_->{exemplar} =~ /^trace_id="[0-9a-f]{32}",
           span_id="[0-9a-f]{16}"$/x }
    $m->series('gateway_request_duration_seconds_bucket')), 'exemplars');
cmp_ok($m->value('gateway_trace_spans_total', result => 'exported'), '>', 30,
       'exported');
is($m->value('gateway_trace_queue_bytes'), 0, 'nothing waits');
is(scalar($c->log), $n, 'off: no spans');
