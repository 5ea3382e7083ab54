#!/usr/bin/perl

# The harness on the bare nginx: also an example to start a test from.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;
use Time::HiRes qw(time);

use Harness;

my $t = Harness->new(modules => []);

my $b = $t->backend('users',
    '/plain'   => '{"id":1}',
    '/error'   => { status => 500, body => 'no', headers => [ 'X-A' => 1 ] },
    '/series'  => [ 'one', 'two' ],
    '/code/'   => sub {
        my ($q) = @_;
        return { body => "$q->{method} $q->{uri} $q->{body}" };
    },
    '/slow'    => { delay => 0.3, body => 'slow' },
    '/drip'    => { body => 'abcdef', drip => 0.02 },
    '/reset'   => { action => 'reset' },
    '/close'   => { action => 'close' },
    '/hang'    => { action => 'hang' },
    '/cut'     => { body => 'x' x 1000, cut => 10 },
    '/cutrst'  => { body => 'x' x 1000, cut => 10, after => 'reset' },
    '/chunked' => { chunked => [ 'abc', 'defg' ] },
    '/bad'     => { raw => "HTTP/1.1 200 OK\r\n"
                         . "Transfer-Encoding: chunked\r\n\r\nzz\r\n" },
    '/endless' => { endless => 'x' },
    '/gzip'    => { gzip => 1, body => 'a' x 1000 },
    '/204'     => { status => 204 },
    '/big'     => { body => '0123456789', repeat => 300_000 },
);

my $conf = <<'EOC';

%%GLOBALS%%

events {
}

http {
    %%HTTP%%

    server {
        listen       127.0.0.1:%%PORT_0%%;
        server_name  localhost;

        proxy_http_version  1.1;
        proxy_set_header    Connection "";

        location / {
            proxy_pass          http://127.0.0.1:%%PORT_users%%;
            proxy_read_timeout  500ms;
        }

        location /dead {
            proxy_pass          http://127.0.0.1:DEAD;
        }

        location /static/ {
            root  %%TESTDIR%%;
        }

        location = /status {
            stub_status;
        }

        location = /generation {
            return 200 one;
        }
    }
}

EOC

my $dead = $t->dead_port;
$conf =~ s/DEAD/$dead/;

$t->plan(54);
$t->write_file('static/a.txt', 'a file');
$t->run($conf);

# the client

my $r = http_get('/plain');
is($r->status, 200, 'status');
is($r->body, '{"id":1}', 'body');
is($r->header('content-type'), 'application/json', 'header');
is_deeply($r->json, { id => 1 }, 'json');
is($r->error, undef, 'no error');

$r = http_request('HEAD', '/plain');
is($r->body . $r->header('Content-Length'), '8', 'HEAD');

is(http_get('/static/a.txt')->body, 'a file', 'static file');
is(http("GET /plain HTTP/1.0\r\n\r\n")->body, '{"id":1}', 'raw request');

my $c = $t->connect;
$c->request(GET => '/plain');
is($c->response->body, '{"id":1}', 'keep-alive, first');
$c->request(GET => '/error');
$c->request(GET => '/static/a.txt');
$c->request(POST => '/code/', chunked => [ 'ab', 'c' ], close => 1);
$r = $c->response;
is($r->status . $r->header('X-A') . $r->body, '5001no', 'pipelined, first');
is($c->response->body, 'a file', 'pipelined, second');
is($c->response->body, 'POST /code/ abc', 'pipelined, third');
ok($c->eof, 'closed');

is($t->connect(port => $dead)->response->error, 'connect', 'connect error');

# backends

is(join(' ', map { http_get('/series')->body } 1 .. 3), 'one two two',
   'a series of behaviours');
is(http_request('PUT', '/code/x?y', body => 'data')->body,
   'PUT /code/x?y data', 'code');

$r = http_get('/slow');
is($r->body, 'slow', 'delay');
cmp_ok($r->time, '>=', 0.29, 'delay, time');

$r = http_get('/drip');
is($r->body, 'abcdef', 'drip');
cmp_ok($r->time, '>=', 0.09, 'drip, time');

is(http_get('/reset')->status, 502, 'reset');
is(http_get('/close')->status, 502, 'close');
is(http_get('/dead')->status, 502, 'dead port');
is(http_get('/cut')->error, 'truncated', 'cut');
is(http_get('/cutrst')->error, 'truncated', 'cut and reset');
is(http_get('/chunked')->body, 'abcdefg', 'chunked');
isnt(http_get('/bad')->error, undef, 'bad chunk');
is(http_get('/gzip')->header('Content-Encoding'), 'gzip', 'gzip');
is(http_get('/204')->status, 204, 'no content');
is(length http_get('/big')->body, 3_000_000, 'big');
is(http_get('/nothing')->status, 404, 'no such entry');

$c = $t->connect;
$c->request(GET => '/endless');
ok($c->readable(5), 'endless, begun');
$c->reset;
ok(wait_for(sub { $b->stats->{aborted} == 1 }), 'endless, aborted');
is(($b->log('/endless'))[0]{aborted}, 1, 'aborted in the log');

# what a backend has seen

$b->clear;
http_get('/plain?a=b', headers => [ 'X-Client' => 'me' ]);

my ($q) = $b->log('/plain');
is($q->{args}, 'a=b', 'log, arguments');
is($b->header($q, 'x-client'), 'me', 'log, header');
like($q->{head}, qr{^GET /plain\?a=b HTTP/1.1\r\n.*\r\n\r\n$}s, 'log, raw');
ok($q->{done} && !$q->{aborted}, 'log, done');
ok($q->{time} <= $q->{first} && $q->{first} <= $q->{ended}, 'log, times');
is($b->count, 1, 'count');

my @clients = map { $t->connect } 1 .. 3;
$_->request(GET => '/slow', close => 1) for @clients;
is(join(' ', map { $_->response->body } @clients), 'slow slow slow',
   'parallel requests');
is($b->stats->{parallel}, 3, 'and how many');

$b->set('/plain', { status => 201, body => 'new' });
is(http_get('/plain')->status, 201, 'behaviour changed');

is(http_get('/hang')->status, 504, 'hang');
ok(wait_for(sub { $b->stats->{open} == 0 }), 'connections closed');

$b->stop;
is(http_get('/plain')->status, 502, 'backend stopped');
$b->start;
is(http_get('/code/')->status, 200, 'backend started');

# reload

my @old = $t->workers;
(my $new = $conf) =~ s/return 200 one/return 200 two/;

ok($t->reload($new), 'reload');
is(http_get('/generation')->body, 'two', 'new configuration');
isnt(join(' ', $t->workers), "@old", 'new workers');

my ($ok, $output) = $t->test_config("$conf bad;");
ok(!$ok, 'bad configuration');
like($output, qr/unknown directive "bad"/, 'and why');

is($t->stub_status('/status')->{active}, 1, 'stub_status');
cmp_ok($t->rss, '>', 1000, 'memory of the worker');
