# GraphQL over REST: fields that share one request keep what is their own.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use Test::More;

use Harness;
use Harness::GraphQL;

my $t = Harness->new(modules => ['ngx_http_aggregate_module']);

my $quick = int(slow(100)) . 'ms';
my $longer = int(slow(300)) . 'ms';

$t->backend('b',
    '/one' => { body => '{"a":1,"b":2}', headers => [
        'X-A' => 'a', 'X-B' => 'b', 'X-C' => 'c', 'Set-Cookie' => 'k=v',
        'Cache-Control' => 'max-age=60' ] },
    '/pause' => { delay => slow(0.4), body => '{"a":1}' },
    '/slow' => { delay => 10, body => '{"a":1}' },
    '/first' => '{"x":1}',
);

$t->write_file('s.graphql', <<"EOS");
type Query {
  plain: Int \@rest(get: "/b/one", select: "a")
  a: Int \@rest(get: "/b/one", select: "a", passHeaders: ["X-A"])
  ab: Int \@rest(get: "/b/one", select: "b", passHeaders: ["X-A", "X-B"])
  pause: Int \@rest(get: "/b/pause", select: "a")
  quick: Int \@rest(get: "/b/pause", select: "a", timeout: "$quick")
  slow: Int \@rest(get: "/b/slow", select: "a", timeout: "$quick")
  slower: Int \@rest(get: "/b/slow", select: "a", timeout: "$longer")
  first: First \@rest(get: "/b/first")
}
type First {
  x: Int
  late: Int \@rest(get: "/b/pause?\${parent.none}", select: "a",
                   timeout: "$quick")
}
EOS

my @headers = (
    [ 'plain first', '{ plain a }', 'a', undef ],
    [ 'plain last', '{ a plain }', 'a', undef ],
    [ 'more last', '{ a ab }', 'a', 'b' ],
    [ 'more first', '{ ab a plain }', 'a', 'b' ],
    [ 'more in the middle', '{ plain ab a }', 'a', 'b' ],
);

my @deadlines = (
    [ 'the quick one last', '{ pause quick }',
      'FETCH_FAILED quick {"pause":1,"quick":null}',
      count => { '/pause' => 1 }, partial => 'Query.quick' ],
    [ 'the quick one first', '{ quick pause }',
      'FETCH_FAILED quick {"quick":null,"pause":1}',
      count => { '/pause' => 1 }, partial => 'Query.quick' ],
    [ 'while the request is sent', '{ pause first { x late } }',
      'FETCH_FAILED first.late {"pause":1,"first":{"x":1,"late":null}}',
      count => { '/pause' => 1 }, partial => 'First.late' ],
);

$t->plan(4 * @headers + graphql_checks(@deadlines) + 4);

graphql_serve($t, schema => 's.graphql', block => 'timeout 8s;',
    http => q{ log_format v '$aggregate_backends|$aggregate_backend_time'; },
    location => 'access_log %%TESTDIR%%/v.log v;');

for my $case (@headers) {
    my ($name, $query, $a, $b) = @$case;
    my $r = graphql($t, $query);

    is(join(',', $r->headers('X-A')), $a, "passHeaders: $name");
    is($r->header('X-B'), $b, "passHeaders: $name, the other header");
    is($r->header('X-C'), undef, "passHeaders: $name, nothing else");
    is(join(',', $r->headers('Set-Cookie')), 'k=v',
       "passHeaders: $name, cookies once");
}

graphql_check($t, @deadlines);

my $start = time;
is(graphql_outcome(graphql($t, '{ slow slower }')->body),
   'FETCH_FAILED slow FETCH_FAILED slower {"slow":null,"slower":null}',
   'both have a deadline');
cmp_ok(time - $start, '<', 5, 'which is their own');
ok(wait_for(sub { !grep { !$_->{aborted} } $t->{backends}{b}->log('/slow') },
            5), 'the request is cancelled');

graphql($t, '{ plain ab }');
my $lines = sub { split /\n/, $t->read_file('v.log') };
wait_for(sub { $lines->() == @headers + @deadlines + 2 }, 5);
like(($lines->())[-1], qr/^Query\.plain,Query\.ab\|0\.\d{3},0\.\d{3}$/,
     'the time of a shared request');
