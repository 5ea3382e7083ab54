# Access rules belong in the aggregate's own location: there they hold, before
# any part is asked; in a part's location nginx does not run them.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use Test::More;

use Harness;
use Harness::Aggregate;

my $t = Harness->new(modules => ['ngx_http_aggregate_module'], plan => 25);

my $b = $t->backend('b', '/1' => '1', '/o' => '{"id":1}',
    '/auth' => sub {
        my %h = map { lc $_->[0] => $_->[1] } @{ $_[0]{headers} };
        return { status => 401, headers => [ 'WWW-Authenticate' => 'Basic' ] }
            if ($h{authorization} || '') ne 'good';
        return { status => 204, headers => [ 'X-User' => 'ann' ] };
    },
    '/who/' => sub { { body => '"' . $_[0]{path} . '"' } });

serve($t, http => q{
    limit_req_zone $uri zone=one:1m rate=1r/m;
    limit_conn_zone $uri zone=conn:1m;
}, server => q{
    location /denied { deny all; aggregate { backend a /b/1 { } } }
    location /allowed { allow 127.0.0.1; deny all;
                        aggregate { backend a /b/1 { } } }
    location /basic { auth_basic closed; auth_basic_user_file %%TESTDIR%%/pw;
                      aggregate { backend a /b/1 { } } }
    location /authed {
        auth_request /auth;
        auth_request_set $user $upstream_http_x_user;
        aggregate { backend a /b/who/$user { } backend b /b/1 {
                    header X-User $user; } }
    }
    location = /auth { internal; proxy_pass http://127.0.0.1:%%PORT_b%%;
                       proxy_pass_request_body off;
                       proxy_set_header Content-Length ""; }
    location /limited { limit_req zone=one; aggregate { backend a /b/1 { } } }
    location /conn { limit_conn conn 1; aggregate { backend a /b/1 { } } }
    location /parts { aggregate { backend a /closed { } backend b /b/1 { } } }
    location /closed { deny all; proxy_pass http://127.0.0.1:%%PORT_b%%/1; }
    location /rewritten { rewrite ^ /allowed last; }
    location /returned { return 403; aggregate { backend a /b/1 { } } }
    location /ifs { if ($arg_no) { return 400; }
                    aggregate { backend a /b/1 { } } }
    location /try { try_files /nosuch /allowed; }
    location /size { client_max_body_size 10;
                     aggregate { methods GET POST; backend a /b/1 { } } }
    location /satisfy { satisfy any; deny all; auth_request /auth;
                        aggregate { backend a /b/1 { } } }
    location /internal { internal; aggregate { backend a /b/1 { } } }
    location /named { try_files /nosuch @agg; }
    location @agg { aggregate { backend a /b/1 { } } }
    location /fallback { error_page 404 = @agg; return 404; }
});

$t->write_file('pw', "user:{PLAIN}secret\n");

my $one = '200 complete {"a":1}';


sub asked {
    my ($uri, %o) = @_;
    $b->clear;
    my $r = http_request(delete $o{method} || 'GET', $uri, %o);
    return ($r, $b->count - $b->count('/auth'));
}


my ($r, $n) = asked('/denied');
is($r->status . " $n", '403 0', 'deny: no part is asked');
($r, $n) = asked('/allowed');
is(outcome($r), $one, 'allow');

($r, $n) = asked('/basic');
is($r->status . " $n", '401 0', 'auth_basic: no part is asked');
like($r->header('WWW-Authenticate'), qr/closed/, 'auth_basic: its challenge');
($r, $n) = asked('/basic', headers => [
    Authorization => 'Basic dXNlcjpzZWNyZXQ=' ]);
is(outcome($r), $one, 'auth_basic: right');

($r, $n) = asked('/authed');
is($r->status . " $n", '401 0', 'auth_request: no part is asked');
($r, $n) = asked('/authed', headers => [ Authorization => 'good' ]);
is(outcome($r), '200 complete {"a":"/who/ann","b":1}', 'auth_request: right');
my ($q) = $b->log('/1');
is($b->header($q, 'X-User'), 'ann', 'with its variable');
is($b->count('/auth'), 1, 'asked once');

($r, $n) = asked('/limited');
is(outcome($r), $one, 'limit_req: the first');
($r, $n) = asked('/limited');
is($r->status . " $n", '503 0', 'limit_req: the second');
($r, $n) = asked('/conn');
is(outcome($r), $one, 'limit_conn');
($r, $n) = asked('/conn');
is(outcome($r), $one, 'limit_conn: given back');

($r, $n) = asked('/parts');
is(outcome($r), '200 complete {"a":1,"b":1}', 'deny in a part\'s location');
is(http_get('/closed')->status, 403, 'which is closed to clients');

($r, $n) = asked('/rewritten');
is(outcome($r), $one, 'rewrite to an aggregate');
($r, $n) = asked('/returned');
is($r->status . " $n", '403 0', 'return comes first');
($r, $n) = asked('/ifs?no=1');
is($r->status . " $n", '400 0', 'if and return');
($r, $n) = asked('/ifs');
is(outcome($r), $one, 'if: not taken');
($r, $n) = asked('/try');
is(outcome($r), $one, 'try_files to an aggregate');
($r, $n) = asked('/size', method => 'POST', body => 'x' x 11);
is($r->status . " $n", '413 0', 'client_max_body_size');
($r, $n) = asked('/satisfy', headers => [ Authorization => 'good' ]);
is(outcome($r), $one, 'satisfy any');
is(http_get('/internal')->status, 404, 'internal');
is(outcome(http_get('/named')), $one, 'a named location');
is(outcome(http_get('/fallback')), $one, 'error_page to an aggregate');
