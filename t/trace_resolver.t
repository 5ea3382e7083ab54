#!/usr/bin/perl

# The name of the collector is resolved by the resolver: it may have no address
# at first, and move; requests are served meanwhile.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use Test::More;

use Harness;
use Harness::Dns;
use Harness::Otlp;

my $t = Harness->new(plan => 13, modules => ['ngx_http_aggregate_module']);
my $d = $t->testdir;

$t->port(0);

my $c = $t->backend('c', '/v1/traces' => { body => '', type => undef });
my $port = $c->port;
my $dns = Harness::Dns->new($t->port('dns'), "$d/address");

my $conf = <<'EOC' =~ s/COLLECTOR/$port/gr;

%%GLOBALS%%

worker_processes  1;

events {
}

http {
    %%HTTP%%
    RESOLVER

    aggregate_trace_exporter {
        endpoint  http://HOST:COLLECTOR/v1/traces;
        interval  50ms;
    }

    server {
        listen           127.0.0.1:%%PORT_0%%;
        aggregate_trace  on;
        location /       { return 204; }
    }
}

EOC

sub conf {
    my ($host, $resolver) = @_;
    return $conf =~ s/HOST/$host/r =~ s/RESOLVER/$resolver/r;
}

# whether the span of a request arrives
sub arrives {
    my ($uri) = @_;

    http_get($uri);
    return wait_for(sub { grep { $_->{attrs}{'url.path'} eq $uri } spans($c) },
                    slow(8));
}

my $resolver = 'resolver 127.0.0.1:%%PORT_dns%% valid=1s ipv6=off;'
    . ' resolver_timeout 1s;';

$t->write_file('address', "-\n");
$t->run(conf('otel.internal', $resolver));

is(http_get('/early')->status, 204, 'a name without an address: served');
ok($t->wait_log(qr/trace collector .*: host not found/), 'said');
is($c->count, 0, 'nothing has come');

$t->write_file('address', "127.0.0.1\n");
ok(arrives('/there'), 'it has one now');
ok(scalar(grep { $_->{attrs}{'url.path'} eq '/early' } spans($c)),
   'nothing is lost');
like(($c->log)[-1]{head}, qr/^Host: otel\.internal:$port\r$/m, 'the Host');

# the connection is kept, and the next one is to another address

$t->write_file('address', "127.0.0.2\n");
ok(arrives('/kept'), 'over the connection that is there');
sleep(2);
$c->stop;
$c->start;
http_get('/moved');
select(undef, undef, undef, 0.5);
is($c->count, 0, 'the name is resolved anew');
$t->write_file('address', "127.0.0.1\n");
ok(arrives('/back'), 'and back');

# a name server need not know this name

$t->write_file('address', "-\n");
$t->reload(conf('localhost', $resolver));
ok(arrives('/localhost'), 'localhost');
$t->write_file('address', "127.0.0.1\n");

# a worker that exits resolves the name

$t->reload(conf('otel.internal', $resolver) =~ s/50ms/1h/r);
http_get('/last');
$t->stop;
ok(scalar(grep { $_->{attrs}{'url.path'} eq '/last' } spans($c)),
   'the spans of a worker that exits');

my ($ok, $output) = $t->test_config(conf('otel.invalid', ''));
like($output, qr{host not found in endpoint "http://otel\.invalid:.*:\d+$}m,
     'without a resolver');
($ok, $output) = $t->test_config(conf('127.0.0.1', $resolver));
ok($ok, 'an address') or diag($output);
