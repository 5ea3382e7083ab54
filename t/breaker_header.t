#!/usr/bin/perl

# When a call is decided: a probe at its response header, however long its body
# lasts, and a call that hangs when "slow_call" is over.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;
use Time::HiRes qw(sleep time);

use Harness;

my $t = Harness->new(modules => [ 'ngx_http_breaker_module' ]);

my $event = "data: x\n\n";

my $b = $t->backend('b',
    '/'       => 'fine',
    '/fail'   => { status => 500 },
    '/stream' => { type => 'text/event-stream', length => undef,
                   body => $event x 1000, drip => 0.05,
                   drip_bytes => length($event) },
    '/cut'    => { body => 'x' x 1000, cut => 10, body_delay => 0.2 },
    '/badchunk' => { raw => "HTTP/1.1 200 OK\r\n"
                     . "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\nzz" },
    '/fail_stream' => { status => 500, body => 'x' x 100, drip => 0.05 },
    '/hang'   => { action => 'hang' },
    '/late'   => { delay => 0.6, body => 'late' },
    '/late500' => { delay => 0.6, status => 500 },
    '/late2'  => { body => 'abcdef', drip => 0.2 },
    '/post'   => 'posted',
);

my $conf = <<'EOC';

%%GLOBALS%%

worker_processes  2;

events {
}

http {
    %%HTTP%%

    breaker_zone  z 1m;

    breaker_policy p {
        failure_threshold     1;
        slow_call             0;
        recovery_timeout      200ms;
        max_recovery_timeout  200ms;
        jitter                0%;
        probes                1;
        probe_timeout         1s;
    }

    breaker_policy two {
        failure_threshold     1;
        slow_call             0;
        recovery_timeout      200ms;
        max_recovery_timeout  200ms;
        jitter                0%;
        probes                2;
        probe_timeout         1s;
    }

    breaker_policy slow {
        failure_threshold     0;
        failure_rate          0;
        slow_call             300ms;
        slow_rate             100%;
        minimum_calls         4;
        window                10s;
        recovery_timeout      200ms;
        max_recovery_timeout  200ms;
        probes                1;
    }

    breaker_policy count {
        failure_threshold     2;
        slow_call             300ms;
        slow_rate             0;
        minimum_calls         1000;
        window                10s;
        recovery_timeout      60s;
    }

    server {
        listen       127.0.0.1:%%PORT_0%%;
        server_name  localhost;

        proxy_read_timeout  10s;
        proxy_buffering     off;
        proxy_http_version  1.1;

        location / {
            breaker     $arg_key zone=z policy=p;
            proxy_pass  http://127.0.0.1:%%PORT_b%%;
            add_header  X-Result $breaker_result always;
        }

        location /two/ {
            breaker     $arg_key zone=z policy=two;
            proxy_pass  http://127.0.0.1:%%PORT_b%%/;
        }

        location /buffered/ {
            breaker          $arg_key zone=z policy=p;
            proxy_buffering  on;
            proxy_pass       http://127.0.0.1:%%PORT_b%%/;
        }

        location /slow/ {
            breaker     $arg_key zone=z policy=slow;
            proxy_pass  http://127.0.0.1:%%PORT_b%%/;
        }

        location /count/ {
            breaker             $arg_key zone=z policy=count;
            proxy_read_timeout  800ms;
            proxy_pass          http://127.0.0.1:%%PORT_b%%/;
        }

        location = /breakers {
            breaker_status;
        }
    }
}

EOC

sub row {
    my ($key) = @_;
    return http_get("/breakers?key=$key")->json->{breakers}[0] || {};
}

# the call is settled a moment after its client has the answer
sub counted {
    my ($key, $wanted, $name) = @_;
    wait_for(sub { window($key) eq $wanted }, slow(2));
    is(window($key), $wanted, $name);
    return;
}


sub window {
    my $row = row($_[0]);
    return join ' ', map { "$_:" . ($row->{$_} // '') }
        qw(calls failures slow);
}

sub half_open {
    my ($key, $where) = @_;
    http_get(($where || '') . "/fail?key=$key");
    return sleep 0.25;
}

$t->plan(35);
$t->run($conf);

# an event stream longer than "probe_timeout"

half_open('a');
my $stream = $t->connect;
$stream->request(GET => '/stream?key=a');
my $head = Harness::Response->new;
$stream->read_head($head, time + slow(5));
is($head->status, 200, 'a stream as a probe');
ok(wait_for(sub { row('a')->{state} eq 'closed' }, slow(5)),
   'its header closes the breaker');
sleep 1.2;
is(http_get('/?key=a')->header('X-Result'), 'pass', 'and it stays so');
is(row('a')->{state}, 'closed', 'longer than a probe may take');
is(scalar($t->grep_log(qr/breaker "a".*timed out/)), 0, 'nothing timed out');
my $before = window('a');
is(row('a')->{outcomes}{success}, 1, 'and is not counted yet');
$stream->close;
sleep 0.2;
is(window('a'), $before, 'the client leaves: nothing');
is(row('a')->{outcomes}{success}, 2, 'a success, as its header was');

# a header with a failure decides at once, too

half_open('b');
my $c = $t->connect;
$c->request(GET => '/fail_stream?key=b');
ok(wait_for(sub { row('b')->{reason} eq 'probe failed' }, slow(3)),
   'a 500 has failed before its body ends');
$c->close;

# the body is cut short after that: a failure in the window, once

half_open('c');
http_get('/cut?key=c');
ok(wait_for(sub { row('c')->{state} eq 'open' }, slow(5)),
   'a body that is cut short after it');
my ($line) = reverse $t->grep_log(qr/breaker "c"/);
like($line, qr/closed -> open, consecutive failures/, 'counts as any error');
is_deeply({ map { $_ => row('c')->{outcomes}{$_} } qw(success failure) },
          { success => 0, failure => 2 }, 'once');

half_open('d', '/two');
http_get('/two/cut?key=d');
sleep 0.3;
is(row('d')->{state} . row('d')->{probes_succeeded}, 'half_open1',
   'half-open still: decided by the header');
is(http_get('/two/?key=d')->status, 200, 'the second probe');
is(row('d')->{state}, 'closed', 'closes it');

# what a backend says that is no HTTP is its error, and no client that left

for my $where ('', '/buffered') {
    my $key = 'e' . length $where;
    http_get("$where/?key=$key");
    http_get("$where/badchunk?key=$key");
    ok(wait_for(sub { row($key)->{state} eq 'open' }, slow(3)),
       "a bad chunk is an error$where");
}

# calls that hang are slow when "slow_call" is over

my $start = time;
my @c = map { $t->connect } 1 .. 4;
$_->request(GET => '/slow/hang?key=f') for @c;
ok(wait_for(sub { (row('f')->{state} || '') eq 'open' }, slow(3)),
   'four hung calls open it');
cmp_ok(time - $start, '<', slow(1.2), 'long before they end');
is(row('f')->{reason}, 'slow call rate', 'as slow ones');
$_->close for @c;
sleep 0.2;

# a probe that hangs

sleep 0.4;
my $probe = $t->connect;
$probe->request(GET => '/slow/hang?key=f');
ok(wait_for(sub { row('f')->{reason} eq 'probe was slow' }, slow(3)),
   'a hung probe has failed then');
$probe->close;

# once, whatever becomes of it

http_get('/count/late?key=g');
counted('g', 'calls:1 failures:0 slow:1', 'a slow success');

http_get('/count/late500?key=h');
counted('h', 'calls:1 failures:1 slow:1', 'a slow failure');

is(http_get('/count/hang?key=i')->status, 504, 'a timeout');
counted('i', 'calls:1 failures:1 slow:1', 'is one call');
http_get('/count/hang?key=i');
is(row('i')->{state}, 'open', 'and two in a row are two');

my $hung = $t->connect;
$hung->request(GET => '/count/hang?key=j');
ok(wait_for(sub { window('j') eq 'calls:1 failures:0 slow:1' }, slow(3)),
   'counted while it hangs');
$hung->close;
sleep 0.3;
counted('j', 'calls:1 failures:0 slow:1', 'a client that leaves then');

# neither a slow body nor a slow client is a slow call

is(http_get('/count/late2?key=k')->body, 'abcdef', 'a slow body');
counted('k', 'calls:1 failures:0 slow:0', 'is not slow');

my $post = $t->connect;
$post->send("POST /count/post?key=l HTTP/1.1\r\nHost: x\r\n"
            . "Content-Length: 4\r\n\r\nab");
sleep 0.7;
counted('l', 'calls:0 failures:0 slow:0', 'a client that is slow to send');
$post->send('cd');
is($post->response->body, 'posted', 'is answered');
counted('l', 'calls:1 failures:0 slow:0', 'and is not slow');

# its clock starts with the backend

my $late = $t->connect;
$late->send("POST /count/hang?key=m HTTP/1.1\r\nHost: x\r\n"
            . "Content-Length: 4\r\n\r\nab");
sleep 0.6;
$late->send('cd');
counted('m', 'calls:0 failures:0 slow:0', 'not yet');
ok(wait_for(sub { window('m') eq 'calls:1 failures:0 slow:1' }, slow(3)),
   'but later');
$late->close;
