# gRPC calls that are retried, traced, pooled behind several servers, and kept
# apart by the same status that other backends have.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use Test::More;

use Harness;
use Harness::Grpc qw(descriptor frame settings headers message trailers field);
use Harness::Otlp;

my $t = Harness->new;

$t->plan(24);
$t->port('0');
descriptor($t, 'items.pb', 'items.proto');

my $g = Harness::Grpc->new($t, 'grpc');
my $c = $t->backend('c', '/v1/traces' => { body => '', type => undef });
my $u = $t->backend('users', '/u/1' => '{"id":1,"ids":["a","b"]}');

my $good = settings() . headers() . message("\x0a\x017")
    . trailers('grpc-status', 0);

# the first call fails, and what comes behind it does not
sub flaky {
    my ($failure) = @_;

    return '*' => sub {
        our %calls;
        return { raw => $calls{$failure}++ ? $good : $failure,
                 after => 'hang' };
    };
}

my %failure = (
    early => settings() . frame(1, 5, "\x88"
        . field('content-type', 'application/grpc')
        . field('grpc-status', 14)),
    late  => settings() . headers() . trailers('grpc-status', 14),
    rst   => settings() . headers() . frame(3, 0, pack('N', 2)),
    not   => settings() . headers() . trailers('grpc-status', 5),
);

my %b = map { $_ => $t->backend($_, flaky($failure{$_})) } keys %failure;

my $parts = join '', map { <<"EOC" } sort keys %failure;
        location = /_$_ {
            internal;
            aggregate_grpc  t.v1.Items/Get get;
            grpc_pass       grpc://127.0.0.1:%%PORT_$_%%;
        }
        location = /$_ {
            aggregate {
                errors   errors;
                backend  it /_$_?id=7 { retry 1; target id; }
            }
        }
EOC

$t->run(<<'EOC' =~ s/^PARTS\n/$parts/mr);
%%GLOBALS%%
events { }
http {
    %%HTTP%%
    aggregate_grpc_descriptor  items.pb;
    aggregate_trace_exporter {
        endpoint  http://127.0.0.1:%%PORT_c%%/v1/traces;
        interval  100ms;
    }
    aggregate_metrics_zone  gw 512k;
    aggregate_metrics       gw;
    upstream grpc { server 127.0.0.1:%%PORT_grpc%%; keepalive 4; }
    server {
        listen 127.0.0.1:%%PORT_0%%;
        location /u/ { proxy_pass http://127.0.0.1:%%PORT_users%%; }
        location ^~ /_g/ {
            internal;
            aggregate_grpc  t.v1.Items strip=/_g;
            grpc_pass       grpc://grpc;
        }
PARTS
        location = /traced {
            aggregate_trace  on;
            aggregate {
                backend echo /_g/v1/echo/x { }
                backend none /_g/v1/items/none { }
            }
        }
        location = /direct/v1/echo/y {
            aggregate_trace  on;
            aggregate_grpc   t.v1.Items strip=/direct;
            grpc_pass        grpc://grpc;
        }
        location = /each {
            aggregate {
                errors   errors;
                backend  user /u/1 { hidden; }
                backend  items /_g/v1/items/${item.} {
                    each user.ids; allow id name;
                }
                backend  one /_g/v1/items/9 { merge; allow name; }
            }
        }
        location = /metrics { aggregate_metrics_status; }
        location = /stub { stub_status; }
    }
}
EOC

# retries

for my $what (qw(early late rst)) {
    my $r = http_get("/$what");
    is($r->status, 200, "$what: retried");
    is($r->body, '{"it":"7","errors":[]}', "$what: and answered");
    is($b{$what}->stats->{connections}, 2, "$what: by the second call");
}

my $r = http_get('/not');
is($r->status, 502, 'NOT_FOUND is an answer');
is($b{not}->stats->{connections}, 1, 'and not retried');

# each, with a shape, beside a part that is merged

is(http_get('/each')->body, '{"items":[{"id":"a","name":"na"},'
   . '{"id":"b","name":"nb"}],"name":"n9","errors":[]}',
   'each and merge, shaped');

# traces

my $trace = '4bf92f3577b34da6a3ce929d0e0e4736';
my @parent = (traceparent => "00-$trace-00f067aa0ba902b7-01");

$r = http_get('/traced', headers => \@parent);
my $sent = $r->json->{echo}{metadata}{traceparent} || '';
like($sent, qr/^00-$trace-[0-9a-f]{16}-01$/, 'a part carries the trace');
unlike($sent, qr/00f067aa0ba902b7/, 'as a span of its own');

my @s;
ok(wait_for(sub {
    @s = grep { $_->{trace_id} eq $trace } spans($c);
    return @s >= 3;
}, slow(10)), 'and there are spans');

my ($span) = $sent =~ /^00-$trace-([0-9a-f]{16})/;
my ($part) = grep { $_->{span_id} eq ($span || '') } @s;

ok($part, 'one of them is the part\'s');
is($part->{attrs}{'http.response.status_code'}, 200, 'with its status');
my ($none) = grep { ($_->{attrs}{'http.response.status_code'} || 0) == 404 }
    @s;
ok($none, 'a mapped status is the other one\'s');

$r = http_get('/direct/v1/echo/y', headers => \@parent);
like($r->json->{metadata}{traceparent}, qr/^00-$trace-[0-9a-f]{16}-01$/,
     'so does a call without an aggregate');

# metrics

my $text = http_get('/metrics')->body;
like($text, qr/service="echo"/, 'the series of a part');
like($text, qr/errors_total\{service="none",status="404"\} 1/,
     'and of one that failed');

# a client without traces sends none

$r = http_get('/each');
is($r->status, 200, 'all goes on');

is(http_get('/late')->status, 200, 'a backend that is well again');
ok(wait_for(sub { $t->stub_status('/stub')->{active} == 1 }, slow(5)),
   'no connection is left');
