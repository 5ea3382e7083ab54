#!/usr/bin/perl

# What nginx -t refuses of metrics and traces, and by which words.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use Test::More;

use Harness;

my $t = Harness->new(modules => ['ngx_http_aggregate_module']);

my $zone = 'aggregate_metrics_zone gw 64k;';
my $exporter = 'aggregate_trace_exporter { endpoint http://127.0.0.1:1/v1; }';

sub block { return "aggregate_trace_exporter { $_[0] }" }

my @endpoint = 'endpoint http://127.0.0.1:1/v1/traces;';

# http, location, what it says; nothing: it is taken
my @cases = (
    [ $zone, 'aggregate_metrics gw;' ],
    [ $zone, 'aggregate_metrics off;' ],
    [ $zone, "aggregate_metrics gw 'route=/a/{id}';" ],
    [ $zone, 'aggregate_metrics gw route=;' ],
    [ 'aggregate_metrics_zone gw 64k series=20 buckets=0.1,1;', '' ],
    [ '', 'aggregate_metrics gw;', qr/unknown zone "gw" .* in \S+:\d+/ ],
    [ $zone, 'aggregate_metrics other;', qr/unknown zone "other"/ ],
    [ $zone . $zone, '', qr/duplicate zone "gw"/ ],
    [ 'aggregate_metrics_zone gw 63k;', '', qr/invalid size "63k"/ ],
    [ 'aggregate_metrics_zone gw x;', '', qr/invalid size "x"/ ],
    [ 'aggregate_metrics_zone gw 64k series=0;', '', qr/"series=0"/ ],
    [ 'aggregate_metrics_zone gw 64k series=-1;', '', qr/"series=-1"/ ],
    [ 'aggregate_metrics_zone gw 64k series=100000;', '',
      qr/too small for 100000 series, it holds \d+, in \S+:\d+/ ],
    [ 'aggregate_metrics_zone gw 64k x=1;', '', qr/invalid parameter "x=1"/ ],
    (map { [ "aggregate_metrics_zone gw 64k buckets=$_;", '',
             qr/invalid bucket/ ] } '', '1,1', '2,1', '0', '-1', 'x', '1,',
                                    '0.0000001', '1e3', '1.', '99999999'),
    [ 'aggregate_metrics_zone gw 1m buckets=' . join(',', 1 .. 64) . ';', '' ],
    [ 'aggregate_metrics_zone gw 1m buckets=' . join(',', 1 .. 65) . ';', '',
      qr/more than 64 buckets/ ],
    [ $zone, 'aggregate_metrics gw x=1;', qr/invalid parameter "x=1"/ ],
    [ $zone, 'aggregate_metrics off route=a;', qr/invalid parameter/ ],
    [ $zone, 'aggregate_metrics gw; aggregate_metrics gw;', qr/is duplicate/ ],
    [ $zone, join(' ', 'aggregate_metrics gw;',
                  map { "location /r$_ { aggregate_metrics gw; }" } 1 .. 60),
      qr/too small for the 6\d routes .* in \S+:\d+/ ],
    [ $zone, 'aggregate_metrics_status;' ],
    [ $zone, 'aggregate_metrics_status gw include=/a?b=c include=/d;' ],
    [ '', 'aggregate_metrics_status;', qr/no "aggregate_metrics_zone" for/ ],
    [ "$zone aggregate_metrics_zone b 64k;", 'aggregate_metrics_status;',
      qr/several zones/ ],
    [ $zone, 'aggregate_metrics_status x;', qr/unknown zone/ ],
    [ $zone, 'aggregate_metrics_status include=a;', qr/must be a path/ ],
    [ $zone, 'aggregate_metrics_status include=;', qr/must be a path/ ],
    [ $zone, 'aggregate_metrics_status gw x;', qr/invalid parameter "x"/ ],

    (map { [ $exporter, "aggregate_trace $_;" ] }
         'on', 'off', '5%', '0.01%', '100%', '$arg_x', '5% parent=ignore',
         'on parent=follow'),
    (map { [ $exporter, "aggregate_trace $_;", qr/invalid value/ ] }
         '101%', '0.001%', '-1%', '5', 'yes', '1'),
    [ $exporter, 'aggregate_trace on parent=x;', qr/"parent=x"/ ],
    [ '', 'aggregate_trace off;' ],
    [ '', 'aggregate_trace on;', qr/without an "aggregate_trace_exporter" in/ ],
    [ $exporter . $exporter, '', qr/is duplicate/ ],
    [ block(''), '', qr/no "endpoint"/ ],
    [ block("@endpoint @endpoint"), '', qr/is duplicate/ ],
    (map { [ block("endpoint $_;"), '', qr/endpoint/ ] }
         '127.0.0.1:1/v1', 'http://127.0.0.1:1', 'ftp://127.0.0.1/v1',
         'http://', 'https:///v1', 'unix:/x'),
    [ block('endpoint unix:/run/x.sock:/v1/traces;'), '' ],
    [ block('endpoint https://127.0.0.1/v1; tls_verify off;'), '' ],
    [ block("@endpoint tls_verify x;"), '', qr/invalid value "x"/ ],
    [ block("@endpoint endpint x;"), '', qr/did you mean "endpoint"/ ],
    [ block("@endpoint batch 0;"), '', qr/invalid value "0" in "batch"/ ],
    [ block("@endpoint queue 1k;"), '', qr/invalid value "1k" in "queue"/ ],
    [ block("@endpoint interval 0;"), '', qr/"interval"/ ],
    [ block("@endpoint protocol grpc;"), '', qr/"grpc" in "protocol"/ ],
    [ block("@endpoint gzip yes;"), '', qr/"yes" in "gzip"/ ],
    [ block("@endpoint queue 1k;"), '', qr/must be a size from 16k to 1g/ ],
    [ block("@endpoint service a; service b;"), '', qr/"service".*duplicate/ ],
    [ block("@endpoint resource a;"), '', qr/number of arguments/ ],
    [ block("@endpoint hidden;"), '', qr/is a statement of "backend"/ ],
    [ block('endpoint https://127.0.0.1/v1; tls_certificate x;'), '',
      qr/need each other/ ],
    [ block("\ninclude %%TESTDIR%%/exporter.conf;\n"), '' ],
    [ block("@endpoint header A;"), '', qr/number of arguments/ ],
    [ block("@endpoint header 'A B' c;"), '', qr/invalid name of a header/ ],
    [ block("@endpoint header A \"x\\ny\";"), '', qr/control character/ ],
    [ block("@endpoint header A file:/nothing/there;"), '', qr/failed/ ],
    [ block("@endpoint header A env:NOTHING_IS_THERE;"), '',
      qr/no environment variable/ ],
    (map { [ block("@endpoint header $_ x;"), '',
             qr/invalid header "$_", it is set by the exporter .* in .*:\d/ ] }
         'Host', 'content-type', 'Content-Length', 'Transfer-Encoding',
         'Connection', 'User-Agent', 'Content-Encoding', 'Expect', 'TE'),
    [ block("@endpoint header A/B c;"), '', qr/invalid name of a header/ ],
    [ block("@endpoint resource service.name x;"), '',
      qr/invalid key "service.name" in "resource", it is set by "service"/ ],
    [ block("@endpoint resource k 1; resource k 2;"), '',
      qr/duplicate key "k" in "resource" in .*:\d/ ],
    [ block("@endpoint resource '' 1;"), '', qr/invalid key "" in "resource"/ ],
    [ block("@endpoint resource host.name h; resource K 1; resource k 2;"),
      '' ],
    (map { [ block("endpoint 'http://127.0.0.1:4318/v$_';"), '',
             qr/invalid endpoint .* in .*:\d/ ] }
         ' w', '"w', '<', '|', '{', '^', '`', '\\\\', '#w', "\xe4"),
    [ block("endpoint 'http://127.0.0.1:4318/v%20w?a=b&c=[d]';"), '' ],
    [ block("@endpoint interval 1s; timeout 2s; batch 10; queue 1m; gzip on;"
            . ' spans 10; protocol json; service x; resource a b;'
            . " header C d;"), '' ],
    [ $exporter, 'aggregate_trace_keep error slow=1s;' ],
    [ $exporter, 'aggregate_trace_keep off;' ],
    [ $exporter, 'aggregate_trace_keep slow=x;', qr/"slow=x"/ ],
    [ $exporter, 'aggregate_trace_keep error off;', qr/"off"/ ],
    [ $exporter, 'aggregate_trace_context x;', qr/invalid value "x"/ ],
    [ $exporter, 'aggregate_trace_propagators b3 x;', qr/invalid value "x"/ ],
    [ $exporter, 'aggregate_trace_attr a b; aggregate_trace_attr a c;',
      qr/duplicate attribute "a"/ ],
    [ $exporter, 'aggregate_trace_attr a b span=x;', qr/"span=x"/ ],
    [ $exporter, 'aggregate_trace_redact a; aggregate_trace_redact b;',
      qr/is duplicate/ ],
);

$t->plan(scalar @cases);

$t->write_file('exporter.conf', "@endpoint\nbatch 5;\n");

for my $case (@cases) {
    my ($http, $location, $wanted) = @$case;
    my ($ok, $output) = $t->test_config(<<"EOC");

%%GLOBALS%%

events {
}

http {
    %%HTTP%%

    $http

    server {
        listen  127.0.0.1:%%PORT_0%%;

        location / {
            $location
        }
    }
}

EOC

    my $name = substr "$http | $location", 0, 70;

    if ($wanted) {
        ok(!$ok && $output =~ $wanted, $name) or diag($output);
    } else {
        ok($ok, $name) or diag($output);
    }
}
