# Deadlines: the answer is in time, the backend's connection is closed at
# once, the next request on the client's connection is not delayed.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use Test::More;

use Time::HiRes qw(time);

use Harness;
use Harness::Aggregate;

my $t = Harness->new(modules => ['ngx_http_aggregate_module']);

my $b = $t->backend('b',
    '/1' => '1',
    '/slow' => { delay => 20, body => '"slow"' },
    '/hang' => { action => 'hang' },
    '/half' => { body => '"' . 'x' x 100 . '"', cut => 50, after => 'hang' },
    '/head' => { raw => "HTTP/1.1 200 OK\r\nX-A: ", after => 'hang' },
    '/drip' => { body => '"' . 'x' x 1000 . '"', drip => 0.02 },
    '/chunks' => { body => '"' . 'x' x 1000 . '"', drip => 0.02,
                   chunked => [ ('xxxxx') x 100 ] },
    '/big' => { body => '"' . 'x' x 500_000 . '"', cut => 400_000,
                after => 'hang' },
    '/0.2' => { body => '"0.2"', delay => slow(0.2) },
    '/0.6' => { body => '"0.6"', delay => slow(0.6) },
    '/0.1' => { body => '{"id":"0.1"}', delay => slow(0.1) },
);

my $p = $t->backend('p', '/' => '1');

my $ms = int slow(150);
my $half = "timeout ${ms}ms;";

my @slow = (
    [ 'no answer', "$half backend a /b/slow { } backend b /b/1 { }",
      '200 partial:a {"b":1}' ],
    [ 'no answer, its own deadline',
      "backend a /b/slow { $half } backend b /b/1 { }",
      '200 partial:a {"b":1}' ],
    [ 'half a body', "$half backend a /b/half { } backend b /b/1 { }",
      '200 partial:a {"b":1}' ],
    [ 'half a body, its own deadline',
      "backend a /b/half { $half } backend b /b/1 { }",
      '200 partial:a {"b":1}' ],
    [ 'half a header', "$half backend a /b/head { } backend b /b/1 { }",
      '200 partial:a {"b":1}' ],
    [ 'a byte now and then', "$half backend a /b/drip { } backend b /b/1 { }",
      '200 partial:a {"b":1}' ],
    [ 'a chunk now and then',
      "$half backend a /b/chunks { } backend b /b/1 { }",
      '200 partial:a {"b":1}' ],
    [ 'much of a body', "$half backend a /b/big { } backend b /b/1 { }",
      '200 partial:a {"b":1}' ],
    [ 'several at once',
      "$half backend a /b/slow { } backend b /b/1 { } backend c /b/half { }
       backend d /b/hang { }", '200 partial:a, c, d {"b":1}' ],
    [ 'a default', "backend a /b/slow { $half default []; } backend b /b/1 { }",
      '200 partial:a {"a":[],"b":1}' ],
    [ 'required', "backend a /b/slow { $half required; } backend b /b/1 { }",
      '504 {"a":"timeout"}' ],
    [ 'required, the block\'s',
      "$half backend a /b/slow { required; } backend b /b/1 { }",
      '504 {"a":"timeout"}' ],
    [ 'nothing else', "$half backend a /b/slow { }", '504 {"a":"timeout"}' ],
    [ 'a part that waits for it',
      "backend a /b/slow { $half } backend c /b/0.1?x=\${a.id} { }
       backend b /b/1 { }", '200 partial:a, c {"b":1}' ],
    [ 'unbuffered', "$half backend a /unbuffered/half { } backend b /b/1 { }",
      '200 partial:a {"b":1}' ],
    [ 'cached', "$half backend a /cached/half { } backend b /b/1 { }",
      '200 partial:a {"b":1}' ],
    [ 'an upstream block with keepalive',
      "$half backend a /kept/slow { } backend b /b/1 { }",
      '200 partial:a {"b":1}' ],
    [ 'a dependent\'s own', "backend v /b/0.1 { }
      backend a '/b/slow?\${v.id}' { $half } backend b /b/1 { }",
      '200 partial:a {"v":{"id":"0.1"},"b":1}' ],
);

my @fine = (
    [ 'a deadline that is met', 'timeout ' . int(slow(2000)) . 'ms;
      backend a /b/0.2 { timeout ' . int(slow(1000)) . 'ms; }
      backend b /b/1 { }',
      '200 complete {"a":"0.2","b":1}' ],
    [ 'a dependent\'s deadline counts from its own start',
      'timeout ' . int(slow(2000)) . 'ms; backend v /b/0.2 { }
      backend w /b/0.2?x=${v.} { timeout ' . int(slow(350)) . 'ms; }
      backend a /b/0.2?x=${w.} { timeout ' . int(slow(350)) . 'ms; }',
      '200 complete {"v":"0.2","w":"0.2","a":"0.2"}' ],
    [ 'the block\'s deadline is the end of all',
      'timeout ' . int(slow(300)) . 'ms; backend v /b/0.2 { }
      backend w /b/0.2?x=${v.} { timeout ' . int(slow(900)) . 'ms; }',
      '200 partial:w {"v":"0.2"}' ],
    [ 'two seconds by default', 'backend a /b/slow { } backend b /b/1 { }',
      '200 partial:a {"b":1}' ],
);

$t->plan(@slow * 5 + @fine + 18);

serve($t, cases => [ @slow, @fine ],
    http => q{
        proxy_cache_path %%TESTDIR%%/cache keys_zone=c:1m;
        upstream kept { server 127.0.0.1:%%PORT_b%%; keepalive 4; }
        log_format time '$request_uri $status $request_time';
        access_log %%TESTDIR%%/time.log time;
    },
    server => q{
        location /unbuffered/ { internal; proxy_buffering off;
            proxy_pass http://127.0.0.1:%%PORT_b%%/; }
        location /cached/ { internal; proxy_cache c; proxy_cache_valid 1m;
            proxy_pass http://127.0.0.1:%%PORT_b%%/; }
        location /kept/ { internal; proxy_http_version 1.1;
            proxy_set_header Connection ""; proxy_pass http://kept/; }
        location /ok { return 200 ok; }
        location /owndeadline { aggregate {
            backend a /b/slow { timeout 150ms; } backend c /b/0.6 { } } }
        location /required { aggregate {
            backend a /b/slow { } backend c /b/404 { required; } } }
        location /paused { aggregate { timeout 300ms;
            backend a /p/1 { } backend b /b/1 { } } }
        location /p/ { internal; proxy_pass http://127.0.0.1:%%PORT_p%%/; }
    });

my $limit = slow(0.15) + slow(0.6);

for my $case (@slow) {
    my ($name, undef, $expected) = @$case;

    $b->clear;

    my $c = $t->connect;
    my $start = time();
    $c->request(GET => case_uri($case));
    my $r = $c->response;
    my $took = time() - $start;

    is(outcome($r), $expected, $name);
    cmp_ok($took, '<', $limit, "$name: in time");

    # the next request on the connection
    $start = time();
    $c->request(GET => '/ok');
    is($c->response->status, 200, "$name: the next request");
    cmp_ok(time() - $start, '<', slow(0.3), "$name: is not delayed");

    ok(wait_for(sub { $b->stats->{active} == 0 }, slow(1)),
       "$name: no request is left at the backend");
}

check($t, @fine);

# the backend's connection is closed when the deadline comes

$b->clear;
my $start = time();
http_get(case_uri($slow[0]));
wait_for(sub { $b->stats->{aborted} == 1 }, slow(2));
my ($q) = $b->log('/slow');
ok($q->{aborted}, 'closed before its answer');
cmp_ok(($q->{ended} || $start + 99) - $q->{time}, '<', $limit, 'at once');
cmp_ok(($q->{ended} || 0) - $q->{time}, '>=', slow(0.14), 'and not before');

# of a part's own deadline too, while another part is still asked

$b->clear;
$start = time();
is(outcome(http_get('/owndeadline')), '200 partial:a {"c":"0.6"}',
   'a part\'s own deadline');
ok(wait_for(sub { ($b->log('/slow'))[0]{aborted} }, slow(2)), 'it is closed');
($q) = $b->log('/slow');
cmp_ok(($q->{ended} || $start + 99) - $q->{time}, '<', slow(0.5),
       'before the answer is made');

# and of those whose answers nobody waits for

$b->clear;
is(http_get('/required')->status, 404, 'a required part has failed');
ok(wait_for(sub { ($b->log('/slow'))[0]{aborted} }, slow(2)),
   'the other one is cancelled');

# pipelined requests are answered one after the other, none is held up

my $c = $t->connect;
$start = time();
$c->request(GET => case_uri($slow[0]));
$c->request(GET => '/ok');
$c->request(GET => case_uri($slow[2]));
$c->request(GET => '/ok');
is(join(' ', map { $c->response->status } 1 .. 4), '200 200 200 200',
   'pipelined');
cmp_ok(time() - $start, '<', 2 * $limit, 'pipelined: in time');

# a client that closes, and one of HTTP/1.0, see the end at once

for my $o ([ close => 1 ], [ version => '1.0' ]) {
    $c = $t->connect;
    $start = time();
    $c->request(GET => case_uri($slow[0]), @$o);
    is(outcome($c->response), $slow[0][2], "@$o");
    ok($c->eof(slow(2)) && time() - $start < $limit, "@$o: closed at once");
}

# a backend that accepts and sleeps

$p->pause;
my $r = http_get('/paused');
$p->resume;
is(outcome($r), '200 partial:a {"b":1}', 'a backend that does not run');
cmp_ok($r->time, '<', slow(1), 'in time');

# the log tells the same time

my ($logged) = grep { /^\S*c\d+\/ 200/ } split /\n/, $t->read_file('time.log');
cmp_ok((split ' ', $logged || '- - 99')[2], '<', $limit,
       'the request\'s time in the log');
ok(!grep({ (split)[2] > 3 * slow(1) } split /\n/, $t->read_file('time.log')),
   'for all of them');
