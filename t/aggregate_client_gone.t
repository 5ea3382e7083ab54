# When the client goes away every subrequest is cancelled.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use Test::More;

use Time::HiRes qw(sleep time);

use Harness;
use Harness::Aggregate;
use Harness::H2;

my $t = Harness->new(modules => ['ngx_http_aggregate_module']);

my $b = $t->backend('b',
    '/1' => '1',
    '/slow' => { delay => 20 },
    '/half' => { body => '"' . 'x' x 100 . '"', cut => 50, after => 'hang' },
    '/drip' => { body => '"' . 'x' x 1000 . '"', drip => 0.05 },
    '/big' => '"' . 'x' x 1_000_000 . '"',
    '/0.3' => { body => '{"id":1}', delay => slow(0.3) },
);

my @cases = (
    [ 'no answer yet', 'backend a /b/slow { } backend b /b/slow { }', 2 ],
    [ 'some of the parts there',
      'backend a /b/slow { } backend b /b/1 { }', 1 ],
    [ 'half a body', 'backend a /b/half { } backend b /b/slow { }', 2 ],
    [ 'a byte now and then', 'backend a /b/drip { }', 1 ],
    [ 'more than run at once',
      'concurrency 2; ' . join('', map { "backend p$_ /b/slow { }" } 1 .. 6),
      2 ],
    [ 'unbuffered', 'backend a /unbuffered/slow { }', 1 ],
    [ 'a nested aggregate', 'backend a /nested { } backend b /b/slow { }', 2 ],
    [ 'required', 'backend a /b/slow { required; }', 1 ],
    [ 'retry', 'backend a /b/slow { retry 3; }', 1 ],
);

my $chain = [ 'a chain', 'backend a /b/0.3 { hidden; }
              backend b /b/slow?${a.id} { } backend c /b/slow { }', undef ];
my $post = [ 'a body', 'methods POST; backend a /b/slow { method POST;
             body request; }', undef ];

# a deadline that is never met here
$_->[1] = "timeout 30s; $_->[1]" for @cases, $chain, $post;

my @ways = (
    [ 'FIN', sub { $_[0]->close } ],
    [ 'RST', sub { $_[0]->reset } ],
    [ 'a half-closed connection', sub { $_[0]->shutdown } ],
);

# the aggregate is a subrequest of another module

my @within = ('/guarded', '/page', '/page/two', '/added');

$t->write_file('page', 'A<!--#include virtual="/long" -->B');
$t->write_file('two', '<!--#include virtual="/ok" -->'
                      . '<!--#include virtual="/long" -->');

$t->write_file('big', '<!--#include virtual="/big" -->'
                      . '<!--#include virtual="/long" -->');

$t->plan(@cases * @ways + @within * (@ways + 2) + 24);

serve($t, cases => [ @cases, $chain, $post ],
    listen => 'listen 127.0.0.1:%%PORT_0%%;
               listen 127.0.0.1:%%PORT_h2%% http2;
               listen 127.0.0.1:%%PORT_queued%% http2 sndbuf=16k;',
    http => q{
        log_format gone '$request_uri $status $aggregate_status '
                        '"$aggregate_backend_reason" $request_time';
        access_log %%TESTDIR%%/gone.log gone;
        proxy_read_timeout 30s;
    },
    server => q{
        location /unbuffered/ { internal; proxy_buffering off;
            proxy_pass http://127.0.0.1:%%PORT_b%%/; }
        location /nested { internal; aggregate { timeout 30s;
            backend x /b/slow { } } }
        location /long { aggregate { timeout 30s; backend a /b/slow { }
            backend b /b/1 { } } }
        location = /guarded { auth_request /long;
            proxy_pass http://127.0.0.1:%%PORT_b%%/1; }
        location = /page { ssi on; ssi_types *; alias %%TESTDIR%%/page; }
        location = /page/two { ssi on; ssi_types *; alias %%TESTDIR%%/two; }
        location = /big { aggregate { backend a /b/big { } } }
        location = /page/big { ssi on; ssi_types *; alias %%TESTDIR%%/big; }
        location = /added { add_after_body /long; addition_types *;
            alias %%TESTDIR%%/page; }
        location /status { stub_status; }
        location /ok { aggregate { backend a /b/1 { } } }
    });


sub settled {
    my ($n) = @_;
    return wait_for(sub {
        my $s = $b->stats;
        $s->{aborted} >= $n && $s->{active} == 0 }, slow(1.5));
}


for my $case (@cases) {
    my ($name, undef, $n) = @$case;

    for my $way (@ways) {
        $b->clear;

        my $c = $t->connect;
        $c->request(GET => case_uri($case));
        wait_for(sub { $b->stats->{active} >= $n }, slow(2));
        $way->[1]->($c);

        ok(settled($n), "$name: $way->[0]")
            or diag(explain($b->stats));
    }
}

# what had not started is not started any more

$b->clear;
my $c = $t->connect;
$c->request(GET => case_uri($chain));
wait_for(sub { $b->count == 2 }, slow(2));
$c->close;
sleep slow(0.5);
is($b->count, 2, 'a chain: the dependent part is not asked');
is($b->stats->{active}, 0, 'a chain: nothing goes on');

# in the middle of a body

$b->clear;
$c = $t->connect;
$c->send('POST ' . case_uri($post) . " HTTP/1.1\r\nHost: x\r\n"
         . "Content-Length: 100\r\n\r\nhalf");
$c->close;
sleep slow(0.1);
is($b->count, 0, 'gone before its body has come: nothing is asked');

$c = $t->connect;
$c->request(POST => case_uri($post), body => 'x' x 100_000);
wait_for(sub { $b->stats->{active} == 1 }, slow(2));
$c->reset;
ok(settled(1), 'gone after its body has come');

# pipelined: the first is worked on, the client leaves

$b->clear;
$c = $t->connect;
$c->request(GET => '/long') for 1 .. 3;
wait_for(sub { $b->stats->{active} == 1 }, slow(2));
$c->reset;
ok(settled(1), 'pipelined');
is($b->count('/slow'), 1, 'pipelined: the others are not begun');

$b->clear;
$c = $t->connect;
$c->request(GET => '/long') for 1 .. 3;
wait_for(sub { $b->stats->{active} == 1 }, slow(2));
$c->close;
ok(settled(1), 'pipelined, and a FIN behind them');

# many at once

$b->clear;
my @clients = map { $t->connect } 1 .. 20;
$_->request(GET => '/long') for @clients;
wait_for(sub { $b->stats->{active} == 20 }, slow(3));
$clients[$_]->reset for grep { $_ % 2 } 0 .. 19;
ok(wait_for(sub { $b->stats->{active} == 10 }, slow(2)), 'half of twenty');
sleep slow(0.2);
is($b->stats->{active}, 10, 'and no other');
$_->close for @clients;
ok(settled(20), 'the rest');

# HTTP/2: a stream is reset, the others go on

$b->clear;
my $h = Harness::H2->new(port => $t->port('h2'));
my @ids = map { $h->request(GET => '/long') } 1 .. 3;
my $ok = $h->request(GET => '/ok');
is($h->wait($ok, slow(5))->{body}, '{"a":1}', 'HTTP/2: an answer');
wait_for(sub { $b->stats->{active} == 3 }, slow(2));
$h->rst($ids[1]);
ok(wait_for(sub { $b->stats->{active} == 2 }, slow(2)),
   'HTTP/2: RST_STREAM cancels its stream\'s');
sleep slow(0.2);
is($b->stats->{active}, 2, 'HTTP/2: and no other');
$ok = $h->request(GET => '/ok');
is($h->wait($ok, slow(5))->{status}, 200, 'HTTP/2: the connection is good');
$h->close;
ok(settled(3), 'HTTP/2: FIN');

$b->clear;
$h = Harness::H2->new(port => $t->port('h2'));
$h->request(GET => '/long') for 1 .. 5;
wait_for(sub { $b->stats->{active} == 5 }, slow(2));
$h->reset;
ok(settled(5), 'HTTP/2: RST');

for my $uri (@within) {
    for my $way (@ways) {
        $b->clear;

        $c = $t->connect;
        $c->request(GET => $uri);
        wait_for(sub { $b->stats->{active} == 1 }, slow(2));
        $way->[1]->($c);
        ok(settled(1), "within $uri: $way->[0]");
    }

    for my $way ('rst', 'close') {
        $b->clear;

        $h = Harness::H2->new(port => $t->port('h2'));
        my $id = $h->request(GET => $uri);
        wait_for(sub { $b->stats->{active} == 1 }, slow(2));
        $h->$way($way eq 'rst' ? $id : ());
        ok(settled(1), "within $uri: HTTP/2, $way");
        $h->close;
    }
}

# HTTP/2 has frames in its queue, and tells the end by a write event

for my $how ('close', 'reset') {
    $b->clear;
    $h = Harness::H2->new(port => $t->port('queued'));
    $h->request(GET => '/page/big');
    wait_for(sub { $b->stats->{active} == 1 && $b->stats->{aborted} == 0 },
             slow(2));
    sleep slow(0.2);
    $h->$how;
    ok(settled(1), "within /page/big: HTTP/2, $how");
}

# the log, and what is left

my @log = split /\n/, $t->read_file('gone.log');
is(scalar(grep { $_ !~ /^\S+ (?:499|200|400) / } @log), 0,
   'the log tells 499') or diag(grep { !/ (?:499|200) / } @log);
is(scalar(grep { /^\S+ 499 \S+ "[^"]*(?:timeout|status|connect)/ } @log), 0,
   'and no reason that is not true') or diag(@log);
cmp_ok(scalar(grep { /^\S+ 499 \S+ "[^"]*cancelled/ } @log), '>', 20,
       'but cancelled') or diag(join "\n", @log);

my ($active) = http_get('/status')->body =~ /Active connections: (\d+)/;
is($active, 1, 'no connection is left');
is($b->stats->{open}, 0, 'none to the backend');

is(outcome(http_get('/ok')), '200 complete {"a":1}', 'and others are served');
