#!/usr/bin/perl

# The exporter over TLS and over a socket of the file system; the collector is
# another server of the same nginx.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use Test::More;

use Harness;
use Harness::Metrics;
use Harness::Otlp;

my $t = Harness->new(plan => 10, modules => ['ngx_http_aggregate_module']);
my $d = $t->testdir;

my $c = $t->backend('c', '*' => { body => '', type => undef });

for my $name (qw(collector other)) {
    system("openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=$name"
           . " -addext subjectAltName=DNS:$name -keyout $d/$name.key"
           . " -out $d/$name.pem >$d/openssl.log 2>&1") == 0
        or die "openssl failed\n";
}

my $conf = <<'EOC';

%%GLOBALS%%

worker_processes  1;

events {
}

http {
    %%HTTP%%

    aggregate_metrics_zone  gw 64k;

    aggregate_trace_exporter {
        interval  50ms;
        EXPORTER
    }

    server {
        listen           127.0.0.1:%%PORT_0%%;
        server_name      localhost;
        aggregate_trace  on;

        location /ok { return 200 ok; }
        location = /metrics {
            aggregate_trace off;
            aggregate_metrics_status;
        }
    }

    server {
        listen               127.0.0.1:%%PORT_tls%% ssl;
        listen               unix:%%TESTDIR%%/otel.sock;
        ssl_certificate      collector.pem;
        ssl_certificate_key  collector.key;
        ssl_verify_client    optional_no_ca;

        location / {
            proxy_pass        http://127.0.0.1:%%PORT_c%%;
            proxy_set_header  X-Client $ssl_client_s_dn;
            proxy_set_header  X-Name $ssl_server_name;
        }
    }
}

EOC

sub conf { return $conf =~ s/EXPORTER/$_[0]/r }

sub arrives {
    my $n = () = $c->log;
    http_get('/ok');
    return wait_for(sub { scalar(() = $c->log) > $n }, slow(3));
}

sub retries {
    http_get('/ok');
    return wait_for(sub { metrics(http_get('/metrics')->body)
        ->value('gateway_trace_exports_total', result => 'retry') }, slow(3));
}

$t->port(0);

my $https = 'endpoint https://127.0.0.1:' . $t->port('tls') . '/v1/traces;';

# nginx leaves its socket behind before 1.19.1
sub again {
    my ($conf) = @_;

    $t->stop;
    unlink "$d/otel.sock";
    return $t->run($conf);
}

$t->run(conf("$https tls_ca collector.pem; tls_name collector;"
             . ' tls_certificate other.pem; tls_certificate_key other.key;'));
ok(arrives(), 'TLS');
ok(arrives(), 'again');
like(($c->log)[-1]{head}, qr/^X-Client: CN=other\r$/m, 'with a certificate');
like(($c->log)[-1]{head}, qr/^X-Name: collector\r$/m, 'and a server name');

for my $case (
    [ 'another name', 'tls_ca collector.pem; tls_name other;' ],
    [ 'another CA', 'tls_ca other.pem; tls_name collector;' ],
    [ 'no CA', 'tls_name collector;' ],
) {
    my ($name, $more) = @$case;
    again(conf("$https $more"));
    my $n = () = $c->log;
    ok(retries() && scalar(() = $c->log) == $n, "$name: nothing is sent");
}

again(conf("$https tls_verify off;"));
ok(arrives(), 'tls_verify off');

again(conf("endpoint unix:$d/otel.sock:/v1/traces;"));
ok(arrives(), 'a socket of the file system');

# a collector that speaks no TLS

again(conf('endpoint https://127.0.0.1:' . $c->port . '/v1/traces;'
                 . ' timeout 300ms;'));
ok(retries(), 'a collector without TLS');
