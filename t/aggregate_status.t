# The status of the answer: rule 5, with every code that a backend may send.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use Test::More;

use Harness;
use Harness::Aggregate;

my $t = Harness->new(modules => ['ngx_http_aggregate_module']);

my $b = $t->backend('b',
    '/1' => '1',
    '/slow' => { delay => 10, body => '"slow"' },
    '/bad' => '{',
    '/s/' => sub {
        my ($code) = $_[0]{path} =~ m{/(\d+)$};
        return { status => $code, body => '{"backend":"SECRET"}',
                 headers => [ 'X-Leak' => 'SECRET', ETag => '"SECRET"',
                              'WWW-Authenticate' => 'Basic realm="r"',
                              'Retry-After' => 17,
                              'Set-Cookie' => 'SECRET=1',
                              Location => 'http://127.0.0.1/SECRET' ] };
    },
    '/two' => { status => 401, body => '', headers => [
        'WWW-Authenticate' => 'Basic realm="one"',
        'WWW-Authenticate' => 'Bearer realm="two"' ] },
);

my %special = map { $_ => 1 } 407, 408, 421, 425, 444, 494 .. 499;
my @codes = (200 .. 599, 600, 700, 999);

my $body = '200 complete {"a":{"backend":"SECRET"}}';

my @cases = (
    [ 'a backend\'s own 504 is a status, not a timeout',
      'backend a /b/s/504 { }', '502 {"a":"status"}' ],
    [ 'nginx\'s own 504 is a timeout',
      'backend a /short/slow { }', '504 {"a":"timeout"}' ],
    [ 'nginx\'s own 504, required',
      'backend a /short/slow { required; } backend b /b/1 { }',
      '504 {"a":"timeout"}' ],
    [ 'a required part\'s deadline',
      'backend a /b/slow { required; timeout 60ms; } backend b /b/1 { }',
      '504 {"a":"timeout"}' ],
    [ 'the block\'s deadline, a required part',
      'timeout 60ms; backend a /b/slow { required; } backend b /b/1 { }',
      '504 {"a":"timeout"}' ],
    [ 'the block\'s deadline, no part required',
      'timeout 60ms; backend a /b/slow { } backend b /b/1 { }',
      '200 partial:a {"b":1}' ],
    [ 'the block\'s deadline, nothing there',
      'timeout 60ms; backend a /b/slow { } backend b /b/s/404 { }',
      '504 {"a":"timeout","b":"status"}' ],
    [ 'no connection', 'backend a /dead/x { required; } backend b /b/1 { }',
      '502 {"a":"connect"}' ],
    [ 'no JSON', 'backend a /b/bad { required; } backend b /b/1 { }',
      '502 {"a":"invalid_json"}' ],
    [ 'a dependency',
      'backend a /b/s/404 { } backend b /b/${a.x} { required; }',
      qr/^502 \{"a":"status","b":"dependency"\}$/ ],
    [ 'a bad URI', 'backend a /b/$arg_x { required; } backend b /b/1 { }',
      '400 {"a":"bad_uri"}', args => 'x=..' ],
    [ 'a part that is not required and gives 404',
      'backend a /b/s/404 { } backend b /b/1 { }', '200 partial:a {"b":1}' ],
    [ 'no part required, 404 from all',
      'backend a /b/s/404 { } backend b /b/s/404 { }',
      '502 {"a":"status","b":"status"}' ],
    [ 'the first to fail decides, not the first declared',
      'timeout 5s; backend a /b/slow { required; timeout 2s; }
       backend b /b/s/403 { required; }',
      '403 {"b":"status"}' ],
    [ 'a return in the part\'s location',
      'backend a /return/403 { required; }', '403 {"a":"status"}' ],
    [ 'nginx\'s own 404',
      'backend a /nosuch { required; }', '404 {"a":"status"}' ],
    [ 'nginx\'s own 503', 'backend a /return/503 { required; }',
      '503 {"a":"status"}' ],

    [ 'accept replaces 2xx', 'backend a /b/s/200 { accept 404; }',
      '502 {"a":"status"}' ],
    [ 'accept 404', 'backend a /b/s/404 { accept 404; }',
      $body ],
    [ 'accept 2xx 404: the one',
      'backend a /b/s/404 { accept 2xx 404; }',
      $body ],
    [ 'accept 2xx 404: the other',
      'backend a /b/s/201 { accept 2xx 404; }',
      $body ],
    [ 'accept 200, not 201', 'backend a /b/s/201 { accept 200; }',
      '502 {"a":"status"}' ],
    [ 'accept 3xx', 'backend a /b/s/302 { accept 3xx; }',
      $body ],
    [ 'accept 4xx', 'backend a /b/s/429 { accept 4xx; }',
      $body ],
    [ 'accept 5xx', 'backend a /b/s/500 { accept 5xx; }',
      $body ],
    [ 'accept 5xx, a backend\'s own 504',
      'backend a /b/s/504 { accept 5xx; }',
      $body ],
    [ 'accept several times', 'backend a /b/s/418 { accept 2xx 404 418 500; }',
      $body ],
    [ 'accept 4xx, a required part with 500',
      'backend a /b/s/500 { accept 4xx; required; }', '502 {"a":"status"}' ],
    [ 'accept 5xx does not accept a refused connection',
      'backend a /dead/x { accept 5xx; }', '502 {"a":"connect"}' ],
    [ 'accept 5xx does not accept nginx\'s own 504',
      'backend a /short/slow { accept 5xx; }', '504 {"a":"timeout"}' ],
    [ 'an accepted status without a body',
      'backend a /b/two { accept 401; }', '200 complete {"a":null}' ],
);

my @headers = (
    [ 'required', 'backend a /b/s/$arg_code { required; }', undef ],
    [ 'optional', 'backend a /b/s/$arg_code { }  backend b /b/1 { }', undef ],
    [ 'accepted', 'backend a /b/s/$arg_code { accept 4xx; }',
      undef ],
    [ 'two challenges', 'backend a /b/two { required; }', undef ],
    [ 'cancelled', 'timeout 9s; backend a /b/s/401 { required; }
                    backend b /b/slow { }', undef ],
);

$t->plan(@cases + 20);

serve($t, cases => [ @cases, @headers ], server => q{
    location /short/ {
        internal;
        proxy_read_timeout 60ms;
        proxy_pass http://127.0.0.1:%%PORT_b%%/;
    }
    location ~ ^/return/403$ { return 403; }
    location ~ ^/return/503$ { return 503 '{"x":1}'; }
});

check($t, @cases);

# every code

my ($required, $optional) = map { case_uri($_) } @headers[0, 1];
my (@wrong, @leaks, @headed, @partial);

for my $code (@codes) {
    my $wanted = $code < 300 && $code != 206 ? '200 complete'
        : ($code >= 400 && $code < 500 && !$special{$code}) || $code == 503
            ? "$code {\"a\":\"status\"}" : '502 {"a":"status"}';

    my $r = http_get("$required?code=$code");
    my $got = outcome($r);

    push @wrong, "$code: $got" if index($got, $wanted) != 0;

    my $passed = ($code >= 400 && $code < 500 && !$special{$code});
    my $headers = join ' ', $r->header('WWW-Authenticate') || '-',
        $r->header('Retry-After') || '-';
    push @headed, "$code: $headers"
        if $headers ne ($passed ? 'Basic realm="r" 17'
                        : $code == 503 ? '- 17' : '- -');

    push @leaks, "$code: " . $r->head . $r->body
        if $code >= 300 && ($r->head . $r->body) =~ /SECRET|127\.0\.0\.1/;

    $r = http_get("$optional?code=$code");
    $got = outcome($r);
    push @partial, "$code: $got"
        if $got !~ ($code < 300 && $code != 206
                                ? qr/^200 complete/
                                : qr/^200 partial:a \{"b":1\}$/)
            || defined $r->header('Retry-After')
            || defined $r->header('WWW-Authenticate');
}

ok(!@wrong, 'required: all codes') or diag("$_\n") for join "\n", @wrong;
ok(!@headed, 'required: WWW-Authenticate with 4xx, Retry-After with 503 too')
    or diag(join "\n", @headed);
ok(!@leaks, 'required: nothing of the backend\'s answer leaks')
    or diag(join "\n", @leaks);
ok(!@partial, 'optional: all codes') or diag(join "\n", @partial);

# the problem

my $r = http_get("$required?code=404");
is($r->header('Content-Type'), 'application/problem+json', 'problem+json');
is($r->json->{status}, 404, 'its status');
is($r->json->{title}, 'Not Found', 'its title');
is($r->header('Content-Length'), length $r->body, 'its length');
is(join(' ', sort grep { !/^(?:type|detail|instance)$/ } keys %{ $r->json }),
   'backends status title', 'members');
unlike($r->body, qr/SECRET|127\.0/, 'no leak');

$r = http_request('HEAD', "$required?code=404");
is($r->status, 404, 'HEAD');
is($r->body, '', 'HEAD: no body');
is($r->header('Content-Type'), 'application/problem+json', 'HEAD: the type');

my $c = $t->connect;
$c->request(GET => "$required?code=403");
is($c->response->status, 403, 'an error on a connection that is kept');
$c->request(GET => "$required?code=200");
is($c->response->status, 200, 'and the next request on it');

$r = http_get(case_uri($headers[2]) . '?code=401');
is(outcome($r), $body, 'an accepted 401');
is($r->header('WWW-Authenticate'), undef, 'keeps its challenge to itself');

$r = http_get(case_uri($headers[3]));
is(join(' | ', $r->headers('WWW-Authenticate')),
   'Basic realm="one" | Bearer realm="two"', 'two challenges');

$b->clear;
$r = http_get(case_uri($headers[4]));
cmp_ok($r->time, '<', slow(3), 'a required failure does not wait for others');
ok(wait_for(sub { $b->stats->{aborted} == 1 }, slow(3)),
   'and cancels them at the backend');
