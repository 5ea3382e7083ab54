#!/usr/bin/perl

# aggregate_status: JSON and HTML, with what other locations say.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use Test::More;

use Harness;

my $t = Harness->new(plan => 26);

my $b = $t->backend('b', '/ok' => '{}', '/500' => { status => 500 },
    '/slow' => { delay => 0.08, body => '{}' }, '/html' => '<b>');

$t->run(<<'EOC');

%%GLOBALS%%

worker_processes  1;

events {
}

http {
    %%HTTP%%

    aggregate_metrics_zone  gw 256k;
    aggregate_cache_zone    cache 1m;
    breaker_zone            main 1m;
    breaker_policy          p { }

    upstream b {
        server 127.0.0.1:%%PORT_b%%;
    }

    server {
        listen             127.0.0.1:%%PORT_0%%;
        server_name        localhost;
        aggregate_metrics  gw;

        location /b/ { proxy_pass http://b/; breaker x zone=main policy=p; }
        location = /agg { aggregate { backend part /b/ok { } } }
        location /evil/ {
            rewrite            '(?s)^/evil/(?<route>.*)$' /ok break;
            aggregate_metrics  gw route=$route;
            proxy_pass         http://b;
        }

        location = /breakers { breaker_status; }

        location = /status {
            aggregate_metrics off;
            aggregate_status include=/breakers include=/b/html include=/none;
        }

        location = /bare {
            aggregate_metrics off;
            aggregate_status;
        }
    }
}

EOC

http_get('/b/ok') for 1 .. 8;
http_get('/b/500') for 1 .. 2;
http_get('/b/slow');
http_get('/agg');
http_get('/evil/%3Cscript%3Ealert%281%29%3C/script%3E%22');

my $r = http_get('/status');
is($r->status, 200, 'JSON');
is($r->header('Content-Type'), 'application/json', 'its type');
my $s = $r->json;

is($s->{version}, '0.1.0', 'version');
is($s->{nginx}, $t->version, 'nginx');
ok(length $s->{host}, 'host');
like($s->{time}, qr/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d/, 'time');
cmp_ok($s->{uptime}, '>=', 0, 'uptime');
is($s->{routes}{'/b/'}{total}, 11, 'a route: requests');
is($s->{routes}{'/b/'}{errors}, 2, 'errors');
is($s->{routes}{'/b/'}{in_flight}, 0, 'in flight');
cmp_ok($s->{routes}{'/b/'}{p50}, '<', 0.1, 'p50');
cmp_ok($s->{routes}{'/b/'}{p99}, '>=', 0.1, 'p99');
is($s->{backends}{part}{total}, 1, 'a part');
is($s->{backends}{b}{total}, 12, 'an upstream');
ok(exists $s->{cache}{zones}{cache}, 'the cache');
is($s->{exporter}{exported}, 0, 'the exporter');
is($s->{includes}{'/breakers'}{breakers}[0]{key}, 'x', 'the breakers');
is($s->{includes}{'/b/html'}, undef, 'no JSON');
is($s->{includes}{'/none'}, undef, 'nothing there');

$r = http_get('/status?format=html');
is($r->header('Content-Type'), 'text/html; charset=utf-8', 'HTML');
like($r->body, qr{<a href="/breakers">/breakers</a>}, 'a link');
unlike($r->body, qr/<script/, 'escaped');
like($r->body, qr{<td>&lt;script&gt;alert\(1\)&lt;/script&gt;&quot;</td>},
     'and there');

my $tags = $r->body;
$tags =~ s/<!DOCTYPE html>|<meta[^>]*>//g;
my (@stack, @bad);
for ($tags =~ m{<(/?\w+)}g) {
    if (m{^/(\w+)}) { push @bad, $_ if pop(@stack) ne $1 }
    else            { push @stack, $_ }
}
is("@bad@stack", '', 'balanced');

is(http_get('/bare')->json->{routes}{'/b/'}{total}, 11, 'without includes');
is(http_request('POST', '/status')->status, 405, 'POST is refused');
