#!/usr/bin/perl

# bench/cost.pl [-g [-u]] [-n N] [-r ROUNDS] [-k] [NAME...]
#
# User-space instructions that a capability adds to a request, by callgrind:
# each name of the table below against the one that it is compared with, the
# same request through the same gateway.  Left out is what malloc() and free()
# do within the heap: it is of the heap's state, and moves by 200 without cause.
# On a busy machine a response comes in more pieces: the least of three rounds
# counts.
#
# -g compares with bench/cost.txt, tolerance 60 instructions, and 3 per cent of
# the figure, and says where the aim that stands there is missed.  -u writes the
# file anew.  -k keeps what callgrind wrote as
# build/bench/callgrind.cost.NAME.REQUESTS.

use strict;
use warnings;

use FindBin;
use Getopt::Std;
use IO::Socket::INET;
use POSIX qw(_exit);

use lib "$FindBin::Bin/lib";
use Bench;

my %o = (n => 600, r => 3);
getopts('gukn:r:', \%o) or exit 2;

$| = 1;

my $modules = "load_module modules/ngx_http_aggregate_module.so;\n";
my $five = join ' ', ('server 127.0.0.1:22103;') x 5;
my $agg = 'include parts.conf;
        location = /x {
            aggregate {
                backend user            /_users/42 { }
                backend recent_orders   /_orders/42 { target items; limit 5; }
                backend recommendations /_recommendations/42 {
                    target products;
                }
            }
        }';
my $exporter = 'aggregate_trace_exporter {
        endpoint http://127.0.0.1:22130/v1/traces;
        service gateway;
    }';

my $shop = "upstream paced { server 127.0.0.1:22143; include upstream.conf; }
    aggregate_grpc_descriptor $Bench::work/fixtures/shop.pb;";

sub called { return "location / {\n            grpc_pass grpc://$_[0];\n"
    . ($_[1] // '') . '        }' }

sub proxied { return "location = /x {\n            proxy_pass"
    . " http://$_[0]/recommendations/42;\n        }" }


# name, compared with, main, http, server, expected document
my @table = (
    [ 'plain', '', '', '', proxied('recommendations') ],
    [ 'loaded', 'plain', $modules, '', proxied('recommendations') ],
    [ 'metrics', 'plain', $modules, "aggregate_metrics_zone gw 1m;\n"
        . "    aggregate_metrics gw;", proxied('recommendations') ],
    [ 'unsampled', 'plain', $modules, "$exporter\n    aggregate_trace 0%;",
      proxied('recommendations') ],
    [ 'sampled', 'plain', $modules, "$exporter\n    aggregate_trace on;",
      proxied('recommendations') ],
    [ 'agg3', '', $modules, '', $agg, 'agg3' ],
    [ 'agg3-metrics', 'agg3', $modules, "aggregate_metrics_zone gw 1m;\n"
        . "    aggregate_metrics gw;", $agg, 'agg3' ],
    [ 'map', '', $modules, "map \$arg_u \$to { default recommendations; }",
      proxied('$to') ],
    [ 'split', 'map', $modules, "aggregate_split_zone z 256k;\n"
        . "    aggregate_split \$to key=\$arg_u zone=z {\n"
        . "        5% recommendations; * users; }",
      proxied('$to') ],
    [ 'least_conn', '', $modules, "upstream five { zone five 128k;"
        . " least_conn; $five include upstream.conf; }", proxied('five') ],
    [ 'balance', 'least_conn', $modules, "upstream five { zone five 128k;"
        . " aggregate_balance peak_ewma; $five include upstream.conf; }",
      proxied('five') ],
    [ 'grpc', '', $modules, $shop, called('shop'), '' ],
    [ 'grpc1', 'grpc', $modules, $shop,
      called('shop', "aggregate_grpc bench.v1.Shop;\n"), 'grpc1' ],
    [ 'events', '', $modules, $shop, called('paced'), '' ],
    [ 'grpcs', 'events', $modules, $shop,
      called('paced', "aggregate_grpc bench.v1.Shop;\n"
             . "aggregate_grpc_stream sse;\n"), 'grpcs' ],
);

# what a name asks for, if not GET /x; grpcs is of a hundred events
my %asks = (
    map     => { uri => '/x?u=12' },
    split   => { uri => '/x?u=12' },
    grpc    => { uri => '/v1/articles', post => 'grpc1' },
    grpc1   => { uri => '/v1/articles', post => 'grpc1' },
    events  => { uri => '/v1/prices', times => 0.05 },
    grpcs   => { uri => '/v1/prices', times => 0.05,
                 lines => 1 },
);

my %cost = map {
    my ($name, $than, $main, $http, $server, $expect) = @$_;
    $name => { than => $than, main => $main, http => $http,
               server => $server, expect => $expect // 'recommendations' };
} @table;

my @names = @ARGV ? @ARGV : grep { $cost{$_}{than} } map { $_->[0] } @table;

my %counted;
my $collector;

backends();
$collector = collector();
exit($o{g} ? guard() : report());


END { kill 'KILL', $collector if $collector }


# takes whatever it is sent, and says that all is well
sub collector {
    my $listener = IO::Socket::INET->new(Listen => 16, ReuseAddr => 1,
        LocalAddr => Bench::render('127.0.0.1:22130')) or die "collector: $!";

    my $pid = fork;
    return $pid if $pid;

    while (my $socket = $listener->accept) {
        my ($length, $body) = (0, '');

        while (defined(my $line = <$socket>)) {
            $length = $1 if $line =~ /^Content-Length: (\d+)/i;
            next if $line !~ /^\r?$/;

            read $socket, $body, $length;
            print $socket "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n"
                . "Content-Type: application/x-protobuf\r\n\r\n";
            $socket->flush;
        }
    }

    _exit(0);
}


# instructions a request, from the difference of a run of N and one of 3 N
sub instructions {
    my ($name) = @_;

    return $counted{$name} if $counted{$name};

    my $cost = $cost{$name} or die "no $name\n";
    my $dir = "$Bench::work/cost/$name";
    my %scenario = (name => $name, uri => '/x', expect => $cost->{expect},
                    needs => '', workers => 1, times => 1,
                    %{ $asks{$name} || {} });
    my $n = $o{n} * $scenario{times};

    system 'mkdir', '-p', $dir;
    write_file("$dir/nginx.conf", "$cost->{main}include main.conf;\n\n"
        . "http {\n    include http.conf;\n    request_pool_size 32k;\n"
        . "    $cost->{http}\n\n"
        . "    server {\n        listen 127.0.0.1:22000;\n"
        . "        $cost->{server}\n    }\n}\n");

    my $best;

    for (1 .. $o{r}) {
        my ($less, $more)
            = map { run($name, $dir, \%scenario, $_ * $n) } 1, 3;
        my $got = ($more - $less) / (2 * $n);
        $best = $got if !defined $best || $got < $best;
    }

    return $counted{$name} = $best;
}


sub run {
    my ($name, $dir, $scenario, $n) = @_;

    my $file = "$Bench::work/callgrind.cost.$name.$n";
    my $pid = gateway({ dir => $dir }, $scenario, wrap => [ 'valgrind',
        '--tool=callgrind', "--callgrind-out-file=$file",
        '--smc-check=all-non-file' ]) or die "no gateway\n";

    !$scenario->{expect} || check($scenario) or die "wrong answer: $name\n";
    Bench::hit($scenario, $n);
    stop($pid);

    my ($count) = Bench::read_file("$Bench::run/gateway.log")
        =~ /Collected : (\d+)/ or die "callgrind counted nothing\n";

    for (`callgrind_annotate --threshold=100 --auto=no $file 2>/dev/null`) {
        next if !/^\s*([\d,]+) .*:(?:_int_malloc|_int_free|_int_realloc
                 |unlink_chunk|systrim|sysmalloc|malloc_consolidate)\b/x;
        $count -= $1 =~ tr/,//dr;
    }

    unlink $file if !$o{k};
    return $count;
}


sub report {
    print join("\t", qw(name instructions more than)), "\n";

    for my $name (@names) {
        my $than = $cost{$name}{than};
        my $got = instructions($name);
        printf "%s\t%.0f\t%+.0f\t%s\n", $name, $got,
            $than ? $got - instructions($than) : 0, $than;
    }

    return 0;
}


sub guard {
    my $file = "$FindBin::Bin/cost.txt";
    my ($failed, $text) = (0, '');

    for my $line (split /^/, Bench::read_file($file)) {
        my ($name, $before, $aim) = split ' ', $line;

        if ($line !~ /^\w/) {
            $text .= $line;
            next;
        }

        my $got = instructions($name) - instructions($cost{$name}{than});
        my $bad = $got > $before + 60 + 0.03 * abs($before);

        printf "%s %-13s %+6.0f instructions more than %s, before %+d,"
            . " aim %+d%s\n", $bad ? 'NOT OK' : 'ok', $name, $got,
            $cost{$name}{than}, $before, $aim, $got > $aim ? ', missed' : '';
        $failed ||= $bad;
        $text .= sprintf "%-13s %6.0f %6d\n", $name, $got, $aim;
    }

    Bench::write_file($file, $text) if $o{u};

    return $failed && !$o{u} ? 1 : 0;
}
