#!/usr/bin/perl

# conf.example/production.conf as it stands, with other ports and real backends:
# TLS and HTTP/2, authentication, the cache by identity, a backend that is down,
# the log, and the server for operations.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use Test::More;

use JSON::PP ();

use Harness;
use Harness::Redis;

my $t = Harness->new(plan => 21);
my $d = $t->testdir;

system("openssl req -x509 -newkey rsa:2048 -nodes -days 2"
       . " -subj /CN=api.example.com -keyout $d/api.example.com.key"
       . " -out $d/api.example.com.pem >/dev/null 2>&1") == 0
    or die "openssl failed\n";

my $auth = $t->backend('auth', '/check' => sub {
    my %h = map { lc $_->[0] => $_->[1] } @{ $_[0]{headers} };
    return { status => 401 } if ($h{authorization} || '') !~ /^Bearer (\w+)/;
    return { status => 204, headers => [ 'X-User-Id' => $1 ] };
});
my $users = $t->backend('users', '/v1/users/7' => sub {
    my %h = map { lc $_->[0] => $_->[1] } @{ $_[0]{headers} };
    return { body => qq({"id":7,"for":"$h{'x-user-id'}"}) };
});
my $orders = $t->backend('orders', '/v1/orders' => '[1,2]');

my $redis = Harness::Redis->new($t, 'redis');
$redis->start;

open my $in, '<', "$FindBin::Bin/../conf.example/production.conf" or die $!;
my $conf = do { local $/; <$in> };

$conf =~ s/^load_module .*\n//gm;
$conf =~ s/^(?:user|pid|error_log)\s.*\n//gm;
$conf = "%%GLOBALS%%\n$conf";
$conf =~ s/^http \{/http {\n%%HTTP%%/m;
$conf =~ s{/etc/nginx/ssl/}{%%TESTDIR%%/}g;
$conf =~ s{/var/log/nginx/}{%%TESTDIR%%/}g;
$conf =~ s/listen(\s+)443\b/listen${1}127.0.0.1:%%PORT_tls%%/;
$conf =~ s/\b9180\b/%%PORT_operations%%/;
$conf =~ s/127\.0\.0\.1:6379/127.0.0.1:%%PORT_redis%%/;
$conf =~ s/\b9000\b/%%PORT_auth%%/;
$conf =~ s/\b9001\b/%%PORT_users%%/;
$conf =~ s/\b9002\b/%%PORT_orders%%/;
$conf =~ s/worker_processes  auto/worker_processes 1/;
$conf =~ s/timeout(\s+)50ms/timeout${1}1s/;

$t->run($conf);

my $tls = $t->port('tls');
my @curl = ('curl', '-sk', '--max-time', slow(10), '--resolve',
            "api.example.com:$tls:127.0.0.1", '-w', '\n%{http_version}',
            '-D', "$d/header");


sub ask {
    my ($path, @o) = @_;

    open my $out, '-|', @curl, @o, "https://api.example.com:$tls$path"
        or die "curl: $!\n";
    my $text = do { local $/; <$out> };
    close $out;

    my ($body, $version) = $text =~ /^(.*)\n(\S+)$/s;
    my $header = $t->read_file('header');
    my ($status) = $header =~ m{^HTTP/\S+ (\d+)};
    return ($status, $body, $header, $version);
}


my @ann = ('-H', 'Authorization: Bearer ann');
my @bob = ('-H', 'Authorization: Bearer bob');

my ($status, $body, $header, $version) = ask('/api/user/7');
is($status, 401, 'without a token');
is($users->count, 0, 'no backend is asked');

($status, $body, $header, $version) = ask('/api/user/7', @ann);
is($status, 200, 'with a token');
is($version, 2, 'by HTTP/2');
is($body, '{"user":{"id":7,"for":"ann"},"orders":[1,2]}', 'both parts');
like($header, qr/^x-request-id: [0-9a-f]{32}\r$/mi, 'the id of the request');
like($header, qr/^strict-transport-security: /mi, 'HSTS');
like($header, qr/^server: nginx\r$/mi, 'no version');

($status, $body, $header) = ask('/api/user/7', @ann);
like($header, qr/^x-cache: HIT\r$/mi, 'from the cache');
($status, $body, $header) = ask('/api/user/7', @bob);
is($body, '{"user":{"id":7,"for":"bob"},"orders":[1,2]}',
   'another identity has its own');

($status, $body, $header) = ask('/api/user/7', '--http1.1', @ann,
                                '-H', 'Accept-Encoding: gzip');
like($header, qr/^content-encoding: gzip\r$/mi, 'gzip, by HTTP/1.1');

is((ask('/_users/v1/users/7', @ann))[0], 404, 'a part is internal');
is((ask('/none'))[0], 404, 'nothing else');

$orders->stop;
($status, $body, $header) = ask('/api/user/7', '-H',
                                'Authorization: Bearer eve');
is($body, '{"user":{"id":7,"for":"eve"},"orders":[]}', 'a backend is down');
like($header, qr/^x-aggregate: partial\r$/mi, 'partial, and no name told');
unlike($header, qr/orders/, 'in no header');

my %o = (port => $t->port('operations'));

like(http_get('/metrics', %o)->body, qr/^gateway_requests_total\{.*"200"\} /m,
     'metrics');
like(http_get('/metrics', %o)->body, qr/^breaker_state\{.*"orders"\} /m,
     'and the breakers');
ok(http_get('/status', %o)->json, 'the status');
is(http_request(POST => '/purge?uri=/api/user/7', %o)->status, 200, 'a purge');

like($t->read_file('gateway.log'),
     qr/outcome=partial parts=user,orders times=\S+ reasons=-,connect /,
     'the log');
