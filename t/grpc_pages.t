# Errors that nginx makes in a location of gRPC without a call: those of a
# breaker, limits, access rules and "return" have the body of other errors.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use Test::More;

use Harness;
use Harness::Grpc qw(descriptor);

my $t = Harness->new(modules => [ qw(ngx_http_aggregate_module
                                     ngx_http_breaker_module) ]);

my %locations = (
    breaker => 'breaker k zone=b policy=p;',
    limited => 'limit_req zone=l;',
    denied  => 'deny all;',
    login   => 'auth_basic x; auth_basic_user_file %%TESTDIR%%/passwords;',
    gone    => 'return 410;',
    large   => 'client_max_body_size 10;',
    status  => 'deny all; aggregate_grpc_errors status;',
    only    => 'limit_except POST { deny all; }',
    paged   => 'error_page 403 /page; deny all;',
    text    => 'default_type text/html; return 404 "<b>x</b>";',
    off     => 'deny all; aggregate_grpc off;',
);

my $locations = join "\n", map {
    my $call = $_ eq 'off' ? '' : "aggregate_grpc t.v1.Items strip=/$_;";
    "location /$_/ { $locations{$_} $call grpc_pass grpc://127.0.0.1:1; }"
} sort keys %locations;

$t->plan(47);
$t->port('0');
descriptor($t, 'items.pb', 'items.proto');
$t->write_file('passwords', "u:{PLAIN}p\n");

$t->run(<<"EOC");
%%GLOBALS%%
events { }
http {
    %%HTTP%%
    aggregate_grpc_descriptor  items.pb;
    breaker_zone     b 256k;
    breaker_policy   p { failure_threshold 1; recovery_timeout 1h; }
    limit_req_zone   \$server_port zone=l:64k rate=1r/m;
    log_format  call '\$uri \$status \$aggregate_grpc_status';
    access_log  %%TESTDIR%%/call.log call;
    server {
        listen 127.0.0.1:%%PORT_0%%;
        $locations
        location = /page  { return 200 page; }
        location = /plain { deny all; }
    }
}
EOC

sub check {
    my ($r, $status, $code, $name) = @_;
    my $problem = $r->json || {};

    is($r->status, $status, $name);
    is($r->header('Content-Type'), 'application/problem+json', "$name: type");
    is($problem->{status}, $status, "$name: body");
    is($problem->{code}, $code, "$name: code");
    is($r->error, undef, "$name: whole");
    return;
}

is(http_get("/$_/v1/items/1")->status, 502, "$_: a call") for qw(breaker
                                                              limited);

my $r = http_get('/breaker/v1/items/1');
check($r, 503, 'UNAVAILABLE', 'an open breaker');
like($r->header('Retry-After'), qr/^\d+$/, 'its Retry-After');

check(http_get('/limited/v1/items/1'), 503, 'UNAVAILABLE', 'a limit');
check(http_get('/denied/v1/items/1'), 403, 'PERMISSION_DENIED', 'a rule');
check(http_get('/gone/v1/items/1'), 410, 'UNKNOWN', 'a return');
check(http_get('/only/v1/items/1'), 403, 'PERMISSION_DENIED', 'a method');

$r = http_get('/login/v1/items/1');
check($r, 401, 'UNAUTHENTICATED', 'a login');
is($r->header('WWW-Authenticate'), 'Basic realm="x"', 'its challenge');

check(http_request(POST => '/large/v1/items', body => 'x' x 11), 413,
      'INVALID_ARGUMENT', 'a length');

$r = http_request(HEAD => '/denied/v1/items/1');
is($r->status . length $r->body, '4030', 'HEAD');
cmp_ok($r->header('Content-Length'), '>', 50, 'with the length of GET');

is(http_get('/status/v1/items/1')->json->{code}, 7, 'as google.rpc.Status');

is(http_get('/paged/v1/items/1')->body, 'page', 'a page of error_page');
is(http_get('/text/v1/items/1')->body, '<b>x</b>', 'a text of return');
like(http_get($_)->body, qr/<html>/, "$_: not a location of gRPC")
    for '/off/v1/items/1', '/plain';

my $logged = qr{^/denied/v1/items/1 403 -$}m;
like($t->read_when('call.log', $logged), $logged, 'no status of a call');
