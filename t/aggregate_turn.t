#!/usr/bin/perl

# An answer is composed after all events of a turn of the event loop; what else
# comes in the same turn is handled before.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Fcntl qw(O_NONBLOCK O_RDWR);
use POSIX qw(mkfifo);
use Test::More;
use Time::HiRes qw(sleep time);

use Harness;
use Harness::Aggregate;
use Harness::GraphQL qw(graphql);
use Harness::H2;

my $t = Harness->new(modules => ['ngx_http_aggregate_module']);

my $late = slow(0.8);
my $deadline = int($late * 2000) . 'ms';

my $b = $t->backend('b',
    '/' => { body => '{"v":1}', delay => $late },
    '/now' => '{"v":2}',
    '/bad' => { body => '{"v":1,"w":x}', delay => $late / 2 },
);

my $two = 'backend a /b/a { } backend b /b/b { }';

# with the parts that are asked at first

my @cases = (
    [ 'two parts', "timeout 30s; $two" ],
    [ 'nested', 'timeout 30s; backend a /nested { }' ],
    [ 'a chain', 'timeout 30s; backend a /b/a { hidden; } backend b /b/b { }
                  backend c /b/now?${a.v} { }' ],
);

my @deadlines = (
    [ 'a deadline', "timeout $deadline; $two",
      '200 complete {"a":{"v":1},"b":{"v":1}}' ],
    [ "a part's deadline", "timeout 30s; backend a /b/a { timeout $deadline; }
                            backend b /b/b { timeout $deadline; }",
      '200 complete {"a":{"v":1},"b":{"v":1}}' ],
    [ 'a nested deadline', "timeout $deadline; backend a /nested { }",
      '200 complete {"a":{"a":{"v":1},"b":{"v":1}}}' ],
);

my $bad = [ 'not JSON', 'timeout 30s; backend a /b/bad { allow v w; }
                         backend b /b/b { allow v; }' ];

my @ways = (
    [ 'FIN', sub { $_[0]->close } ],
    [ 'RST', sub { $_[0]->reset } ],
    [ 'a half-closed connection', sub { $_[0]->shutdown } ],
);

$t->write_file('shop.graphql', <<'EOF');
type Query { a: Item @rest(get: "/b/a") b: Item @rest(get: "/b/b") }
type Item { v: Int }
EOF

mkfifo($t->testdir . '/fifo', 0600) or die "mkfifo: $!\n";
sysopen my $fifo, $t->testdir . '/fifo', O_RDWR | O_NONBLOCK
    or die "fifo: $!\n";

$t->plan(2 + 3 * @cases * @ways + @deadlines + 1 + 2 + 4);

serve($t, cases => [ @cases, @deadlines, $bad ],
    listen => 'listen 127.0.0.1:%%PORT_0%%;
               listen 127.0.0.1:%%PORT_h2%% http2;',
    http => q{
        log_format turn '$uri $status';
        access_log %%TESTDIR%%/turn.log turn;
        proxy_read_timeout 30s;
    },
    server => qq{
        log_subrequest on;
        location = /blocked { access_log %%TESTDIR%%/fifo turn; return 204; }
        location = /next { aggregate { backend a /b/now { } } }
        location /nested { internal; aggregate { timeout 30s; $two } }
        location = /graphql {
            aggregate_graphql %%TESTDIR%%/shop.graphql {
                timeout $deadline;
            }
        }
    });


# Whatever the code does comes in one turn with the answers of n parts: the
# worker waits for a full pipe, which is the log of a request.  (A signal would
# end a wait for events without any.)

sub in_one_turn {
    my ($n, $code) = @_;

    wait_for(sub { $b->stats->{active} == $n }, slow(5)) or return;

    1 while syswrite $fifo, 'x' x 4096;
    my $c = $t->connect;
    $c->request(GET => '/blocked');

    wait_for(sub { $b->stats->{active} == 0 }, slow(5));
    $code->();
    sleep slow(0.02);

    1 while sysread $fifo, my $ignored, 65536;
    $c->close;

    return;
}


sub logged {
    my ($n) = @_;
    my @lines;

    wait_for(sub {
        @lines = split /\n/, $t->read_file('turn.log');
        @lines >= $n }, slow(5));

    return @lines;
}


sub forget {
    $b->clear;
    truncate $t->testdir . '/turn.log', 0;
    return;
}


# all is read before an answer is sent

my $uri = case_uri($cases[0]);
my @clients = map { $t->connect } 1 .. 3;

$_->request(GET => $uri) for @clients;
in_one_turn(6, sub { });

is_deeply([ map { outcome($_->response) } @clients ],
    [ ('200 complete {"a":{"v":1},"b":{"v":1}}') x 3 ], 'three answers');

my @lines = logged(9);
is_deeply([ @lines[6 .. 8] ], [ ("$uri 200") x 3 ],
    'all parts of the turn are read first') or diag(explain(\@lines));
$_->close for @clients;

# the client leaves in the turn in which the last part comes, and others take
# the memory of its request

for my $case (@cases) {
    for my $way (@ways) {
        forget();

        my $c = $t->connect;
        $c->request(GET => case_uri($case));
        my @others = map { $t->connect } 1 .. 4;

        in_one_turn(2, sub {
            $way->[1]->($c);
            sleep slow(0.01);
            $_->request(GET => '/next') for @others;
        });

        is(join(' ', map { outcome($_->response) } @others),
            join(' ', ('200 complete {"a":{"v":2}}') x 4),
            "$case->[0], $way->[0]: others");
        $_->close for @others;

        wait_for(sub { grep { $_ eq case_uri($case) . ' 499' } logged(1) },
            slow(5));
        @lines = logged(1);

        is((grep { index($_, case_uri($case)) == 0 } @lines)[0],
            case_uri($case) . ' 499', "$case->[0], $way->[0]: gone");
        is($b->count('/now'), 4,
            "$case->[0], $way->[0]: nothing more is asked");
    }
}

# what is wrong with a response is known until it is logged

my $c = $t->connect;
$c->request(GET => case_uri($bad));
in_one_turn(2, sub { });

is(outcome($c->response), '200 partial:a {"b":{"v":1}}', 'not JSON');
is(scalar($t->grep_log(qr/"a" failed: .*found a letter at byte 11 where/)), 1,
    'where it is wrong');

# a deadline passes, whose parts have come

for my $case (@deadlines) {
    my $c = $t->connect;
    $c->request(GET => case_uri($case));
    in_one_turn(2, sub { sleep 2 * $late });

    is(outcome($c->response), $case->[2], $case->[0]);
}

$c = $t->connect;
$c->request(POST => '/graphql', body => '{"query":"{ a { v } b { v } }"}',
    headers => [ 'Content-Type' => 'application/json' ]);
in_one_turn(2, sub { sleep 2 * $late });

is($c->response->body, '{"data":{"a":{"v":1},"b":{"v":1}}}',
    'a deadline of an operation');

# streams of a connection

my $h2 = Harness::H2->new(port => $t->port('h2'));
my ($kept, $reset) = map { $h2->request(GET => case_uri($cases[0])) } 1 .. 2;

forget();
in_one_turn(4, sub { $h2->rst($reset) });
my $answer = $h2->wait($kept, slow(5));

is($answer->{body}, '{"a":{"v":1},"b":{"v":1}}', 'a stream beside is answered');

@lines = logged(6);
is_deeply([ sort grep { /^\Q$uri/ } @lines ], [ "$uri 200", "$uri 499" ],
    'one is answered, one is gone') or diag(explain(\@lines));

forget();
$h2->request(GET => case_uri($cases[0])) for 1 .. 2;
in_one_turn(4, sub { $h2->close });

wait_for(sub { 2 == grep { $_ eq "$uri 499" } logged(1) }, slow(5));
@lines = logged(1);
is_deeply([ grep { /^\Q$uri/ } @lines ], [ ("$uri 499") x 2 ],
    'a closed connection');

is(outcome(http_get($uri)), '200 complete {"a":{"v":1},"b":{"v":1}}',
    'afterwards');
