#!/usr/bin/perl

# gRPC upstreams: the status stands in a header or in a trailer, under HTTP 200,
# and a stream that is reset is the backend's error.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;

use Harness;

my $t = Harness->new(modules => [ 'ngx_http_breaker_module' ]);

# frames of HTTP/2; field lines are literals without indexing

sub frame {
    my ($type, $flags, $payload, $stream) = @_;
    return substr(pack('N', length $payload), 1)
        . pack('CCN', $type, $flags, $stream // 1) . $payload;
}

sub field {
    my ($name, $value) = @_;
    return "\0" . pack('C/a*', $name) . pack('C/a*', $value);
}

my $settings = frame(4, 0, '', 0);
my $type = field('content-type', 'application/grpc');

sub header { return frame(1, 4, "\x88$type") }
sub message { return frame(0, 0, "\0\0\0\0\2hi") }
sub trailer {
    my ($code) = @_;
    return frame(1, 5, defined $code ? field('grpc-status', $code)
                                     : field('x', 'y'));
}
sub only { return frame(1, 5, "\x88$type" . field('grpc-status', $_[0])) }

my %answers = (
    ok          => header() . message() . trailer(0),
    t14         => header() . message() . trailer(14),
    t5          => header() . message() . trailer(5),
    t1          => header() . message() . trailer(1),
    t99         => header() . trailer(99),
    none        => header() . message() . trailer(undef),
    h14         => only(14),
    h13         => only(13),
    h3          => only(3),
    rst         => header() . message() . frame(3, 0, pack('N', 2)),
    rst_first   => frame(3, 0, pack('N', 8)),
    refused     => frame(3, 0, pack('N', 7)),
    badframe    => header() . frame(0, 0, 'x' x 10, 2),
    badlength   => header() . message() . frame(3, 0, 'x'),
    goaway      => frame(7, 0, pack('NN', 0, 2), 0),
    h503        => frame(1, 5, "\x08\x03503"),
);

my $locations = '';

for my $name (sort keys %answers) {
    my $b = $t->backend($name, '*' => { raw => $settings . $answers{$name},
                                        after => 'hang' });
    my $port = $b->port;

    $locations .= <<"EOC";
        location = /$name {
            breaker    \$arg_key zone=z policy=p;
            grpc_pass  grpc://127.0.0.1:$port;
        }

        location = /listed/$name {
            breaker    \$arg_key zone=z policy=listed;
            grpc_pass  grpc://127.0.0.1:$port;
        }

        location = /probe/$name {
            breaker    \$arg_key zone=z policy=probe;
            grpc_pass  grpc://127.0.0.1:$port;
        }
EOC
}

my $plain = $t->backend('plain',
    '/' => { headers => [ 'grpc-status' => 14 ], body => 'x' });

my $conf = <<'EOC';

%%GLOBALS%%

worker_processes  1;

events {
}

http {
    %%HTTP%%

    breaker_zone  z 1m;

    breaker_policy p {
        failure_threshold  1000;
        minimum_calls      1000;
    }

    breaker_policy listed {
        failure_threshold  1000;
        minimum_calls      1000;
        failures           grpc_cancelled grpc_not_found;
    }

    breaker_policy probe {
        failure_threshold     1;
        recovery_timeout      1ms;
        max_recovery_timeout  1ms;
        probes                2;
    }

    server {
        listen       127.0.0.1:%%PORT_0%%;
        server_name  localhost;

        grpc_read_timeout  2s;
        client_max_body_size 1m;

LOCATIONS

        location = /plain {
            breaker     $arg_key zone=z policy=p;
            proxy_pass  http://127.0.0.1:%%PORT_plain%%/;
        }

        location = /breakers {
            breaker_status;
        }
    }
}

EOC

$conf =~ s/LOCATIONS/$locations/;

sub row {
    my ($key) = @_;
    return http_get("/breakers?key=$key")->json->{breakers}[0] || {};
}

sub failures {
    my ($where, $key) = @_;

    $key //= $where =~ s{/}{_}gr;
    http_request(POST => "/$where?key=$key", body => "\0\0\0\0\0");

    my $row;
    wait_for(sub { $row = row($key); ($row->{calls} || 0) > 0 }, slow(5));

    return ($row->{calls} // '-') . ':' . ($row->{failures} // '-');
}

$t->plan(28);
$t->run($conf);

my %expected = (
    ok => 0, none => 0, t14 => 1, t5 => 0, t1 => 0, t99 => 1, h14 => 1,
    h13 => 1, h3 => 0, rst => 1, rst_first => 1, refused => 1, badframe => 1,
    badlength => 1, goaway => 1, h503 => 1,
);

is(failures($_), "1:$expected{$_}", $_) for sort keys %expected;

# the codes of a list are all there are

is(failures("listed/$_->[0]"), "1:$_->[1]", "listed: $_->[0]")
    for [ t1 => 1 ], [ t5 => 1 ], [ t14 => 0 ], [ h14 => 0 ], [ rst => 0 ],
        [ ok => 0 ];

is(failures('plain'), '1:0', 'the header of no gRPC upstream is only a header');

# a probe whose trailer says that it failed

http_request(POST => '/probe/h14?key=q', body => "\0\0\0\0\0");
is(row('q')->{state}, 'open', 'open');
http_request(POST => '/probe/t14?key=q', body => "\0\0\0\0\0");
is(row('q')->{reason}, 'probe failed', 'a trailer fails a probe');
http_request(POST => '/probe/h14?key=q', body => "\0\0\0\0\0");
is(row('q')->{reason}, 'probe failed', 'and so does a header');
http_request(POST => '/probe/ok?key=q', body => "\0\0\0\0\0") for 1 .. 2;
is(row('q')->{state}, 'closed', 'closed by two that succeed');
is(scalar($t->grep_log(qr/\[alert\]/)), 0, 'no alerts');
