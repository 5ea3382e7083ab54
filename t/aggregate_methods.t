# Methods of the client, and of the parts.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use Test::More;

use Harness;
use Harness::Aggregate;

my $t = Harness->new(modules => ['ngx_http_aggregate_module'], plan => 52);

my $b = $t->backend('b', '/' => sub { { body => "\"$_[0]{method}\"" } });

serve($t, server => q{
    location /plain { aggregate { backend a /b/a { } backend c /b/c { } } }
    location /post { aggregate { methods POST; backend a /b/a { } } }
    location /two { aggregate { methods GET POST PUT; backend a /b/a { } } }
    location /get { aggregate { methods GET; backend a /b/a { } } }
    location /own {
        aggregate {
            methods GET HEAD POST;
            backend a /b/a { method POST; }
            backend b /b/b { method PUT; }
            backend c /b/c { method PATCH; }
            backend d /b/d { method DELETE; }
            backend e /b/e { method OPTIONS; }
            backend f /b/f { method HEAD; }
            backend g /b/g { method GET; }
        }
    }
});


sub ask {
    my ($method, $uri, %o) = @_;
    $b->clear;
    my $r = http_request($method, $uri, %o);
    return ($r, join ' ', sort map { "$_->{path}=$_->{method}" } $b->log);
}


my ($r, $seen) = ask('GET', '/plain');
is(outcome($r), '200 complete {"a":"GET","c":"GET"}', 'GET');
my $length = length $r->body;

($r, $seen) = ask('HEAD', '/plain');
is($r->status, 200, 'HEAD');
is($r->body, '', 'HEAD: no body');
is($seen, '/a=GET /c=GET', 'HEAD: parts are asked with GET');
is($r->header('X-Aggregate'), 'complete', 'HEAD: X-Aggregate');
is($r->header('Content-Type'), 'application/json', 'HEAD: type');
like($r->header('Content-Length') // $length, qr/^$length$/,
     'HEAD: the length of GET, if any');

my $c = $t->connect;
$c->request(HEAD => '/plain');
is($c->response->status, 200, 'HEAD on a connection that is kept');
$c->request(GET => '/plain');
is(outcome($c->response), '200 complete {"a":"GET","c":"GET"}',
   'and a GET after it');

for my $method (qw(POST PUT PATCH DELETE OPTIONS PROPFIND FOO)) {
    ($r, $seen) = ask($method, '/plain');
    is($r->status, 405, "$method: 405");
    is(join(' ', sort split /\s*,\s*/, $r->header('Allow') || ''), 'GET HEAD',
       "$method: Allow");
    is($seen, '', "$method: no part is asked");
}

($r, $seen) = ask('POST', '/plain', body => 'x' x 100000);
is($r->status, 405, '405 with a body');

$c = $t->connect;
$c->request(POST => '/plain', body => 'x' x 5000);
is($c->response->status, 405, '405 on a connection that is kept');
$c->request(GET => '/plain');
is($c->response->status, 200, 'and the next request');

($r, $seen) = ask('TRACE', '/plain');
is($r->status, 405, 'TRACE');

($r, $seen) = ask('POST', '/post', body => '{}');
is(outcome($r), '200 complete {"a":"GET"}', 'methods POST');
($r, $seen) = ask('GET', '/post');
is($r->status, 405, 'methods POST: GET');
is($r->header('Allow'), 'POST', 'methods POST: Allow');

($r, $seen) = ask('PUT', '/two', body => '{}');
is($r->status, 200, 'methods GET POST PUT: PUT');
($r, $seen) = ask('DELETE', '/two');
like($r->header('Allow') || '', qr/^GET, (?:HEAD, )?POST, PUT$/,
     'methods GET POST PUT: Allow');
($r, $seen) = ask('HEAD', '/two');
like($r->status, qr/^(?:200|405)$/, 'methods without HEAD: HEAD');
is($r->body, '', 'no body to HEAD, in any case');

($r, $seen) = ask('GET', '/own');
is($seen, '/a=POST /b=PUT /c=PATCH /d=DELETE /e=OPTIONS /f=HEAD /g=GET',
   'methods of parts');
is(outcome($r), '200 complete {"a":"POST","b":"PUT","c":"PATCH",'
   . '"d":"DELETE","e":"OPTIONS","f":null,"g":"GET"}', 'and their answers');

($r, $seen) = ask('HEAD', '/own');
is($r->status, 200, 'HEAD');
is($seen, '/a=POST /b=PUT /c=PATCH /d=DELETE /e=OPTIONS /f=HEAD /g=GET',
   'HEAD: what a part states, it gets');

# what was declared of a request with a body
for my $q ($b->log) {
    next if $q->{method} !~ /^(?:POST|PUT|PATCH)$/;
    like($b->header($q, 'Content-Length') // '0', qr/^0$/,
         "$q->{method} without a body: no length, or 0");
}

$c = $t->connect;
$c->send("GET /plain HTTP/1.0\r\n\r\n");
$r = $c->response;
is(outcome($r), '200 complete {"a":"GET","c":"GET"}', 'HTTP/1.0');
ok($c->eof, 'HTTP/1.0: closed');
$c = $t->connect;
$c->send("HEAD /plain HTTP/1.0\r\n\r\n");
is($c->response(method => 'HEAD')->status, 200, 'HTTP/1.0 HEAD');
is($c->rest, '', 'no body');
