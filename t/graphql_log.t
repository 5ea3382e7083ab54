# GraphQL over REST: aggregate_log_level, aggregate_expose, and the line that a
# failed field leaves.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use Test::More;

use Harness;
use Harness::GraphQL;

my $t = Harness->new(modules => ['ngx_http_aggregate_module'],
                     log_level => 'info');

$t->backend('b', '/503' => { status => 503 }, '/bad' => '{"a":SECRET}',
            '/gone' => { status => 404 }, '/list' => '[{"id":1},{"id":2}]');

$t->write_file('s.graphql', <<'EOS');
type Item { id: ID!  bad: Int @rest(get: "/b/bad?token=SECRET${parent.id}") }
type Query {
  a: Int @rest(get: "/b/503", retry: 1)
  b: Int @rest(get: "/b/503", select: "a")
  gone: Int @rest(get: "/b/gone", nullOn: ["404"])
  list: [Item] @rest(get: "/b/list")
}
EOS

$t->plan(18);

graphql_serve($t, schema => 's.graphql', server => '
    location = /info {
        aggregate_log_level info;
        aggregate_expose off;
        aggregate_graphql %%TESTDIR%%/s.graphql { }
    }
    location = /none {
        error_log %%TESTDIR%%/none.log error;
        aggregate_log_level warn;
        aggregate_graphql %%TESTDIR%%/s.graphql { }
    }');

my $sent = 'subrequest "/b/503", 2 tries, upstream "127\.0\.0\.1:\d+"';
my $found = 'found a letter at byte 5 where a value must begin';

my $r = graphql($t, '{ a }');
like(line(qr/Query\.a/),
     qr{\[error\].* failed: status, status 503, after \d+ms, $sent},
     'the line of a field');
is($r->header('X-Aggregate'), 'partial; failed="Query.a"',
   'aggregate_expose on');

graphql($t, '{ list { id bad } }');
like(line(qr/Item\.bad/),
     qr/ failed: invalid_json, status 200, after \d+ms, .*, $found/,
     'invalid JSON');
unlike($t->error_log =~ s/, client: .*//gr, qr/SECRET/,
       'nothing of a body or of arguments');

ok(another_second(sub { graphql($t, '{ b }') for 1 .. 20 }),
   'many failures in a second');
is($t->grep_log(qr/"Query\.b" failed: status, status/), 1, 'leave one line');
ok($t->wait_log(qr/graphql field "Query\.b" failed: status, 19 more since the/),
   'and their number');

$t->mark_log;
graphql($t, '{ gone }');
graphql($t, '{ list { id } }');
is($t->grep_log(qr/graphql field/), 0, 'null by nullOn is no failure');

$t->mark_log;
$r = graphql($t, '{ a }', uri => '/info');
like(line(qr/Query\.a/), qr/\[info\].*"Query\.a" failed/,
     'aggregate_log_level');
is($r->header('X-Aggregate'), 'partial', 'aggregate_expose off');
is($t->grep_log(qr/"Query\.a" failed: .* retrying/), 1,
   'the line of a retry');
is(graphql($t, '{ list { id } }', uri => '/info')->header('X-Aggregate'),
   'complete', 'aggregate_expose off, complete');
$r = graphql($t, '{ a list { id } }', uri => '/info');
is(graphql_outcome($r->body),
   'FETCH_FAILED a {"a":null,"list":[{"id":"1"},{"id":"2"}]}', 'the answer');

graphql($t, '{ a }', uri => '/none');
is($t->read_file('none.log') =~ /"Query\.a" failed: status, /, '',
   'a level below that of error_log');

# a worker that exits reports what it has suppressed
ok(another_second(sub { graphql($t, '{ b }') for 1 .. 3 }), 'more failures');
$t->mark_log;
is($t->reload, 1, 'a reload');
ok($t->wait_log(qr/"Query\.b" failed: status, 2 more since the last line/),
   'and their number');
is(graphql($t, '{ gone }')->body, '{"data":{"gone":null}}',
   'the new configuration');


# runs it within a second of its own
sub another_second {
    my ($code) = @_;

    for (1 .. 5) {
        my $now = time;
        wait_for(sub { time != $now }, 2);
        $t->mark_log;
        $now = time;
        $code->();
        return 1 if time == $now;
        sleep 2;
    }

    return 0;
}


sub line {
    my ($pattern) = @_;
    $t->wait_log(qr/graphql field "$pattern" failed/);
    return ($t->grep_log(qr/graphql field "$pattern" failed/))[0];
}
