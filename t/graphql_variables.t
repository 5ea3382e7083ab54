# GraphQL: $aggregate_* in logs, Server-Timing, tags.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use Test::More;

use Harness;
use Harness::GraphQL;

my $t = Harness->new(modules => ['ngx_http_aggregate_module'], plan => 12);

$t->backend('b',
    '/a' => { body => '[{"id":1},{"id":2}]',
              headers => [ 'Surrogate-Key' => 'x y' ] },
    '/c' => { body => '{"1":5}', headers => [ 'Surrogate-Key' => 'y z' ] },
    '/gone' => { status => 410 });

$t->write_file('s.graphql', <<'EOS');
type A {
  id: ID!
  c: Int @rest(get: "/b/c?i=${keys}", batch: {key: "id", by: "id"})
  bad: Int @rest(get: "/b/${parent.none}")
}
type Query {
  a: [A] @rest(get: "/b/a")
  gone: Int @rest(get: "/b/gone")
  first: [A] @rest(get: "/b/a", limit: "$arg_n 1")
}
EOS

graphql_serve($t, schema => 's.graphql',
    http => q{ log_format v '$aggregate_status|$aggregate_backends|'
        '$aggregate_backend_status|$aggregate_backend_time|'
        '$aggregate_backend_reason|$aggregate_tags'; },
    location => 'access_log %%TESTDIR%%/v.log v; aggregate_debug $arg_debug;');

my $line = sub {
    my ($lines) = @_;
    my @all;
    wait_for(sub { @all = split /\n/, -f $t->testdir . '/v.log'
                       ? $t->read_file('v.log') : ''; @all >= $lines }, 5);
    return $all[-1];
};

graphql($t, '{ a { id c } }');
like($line->(1), qr/^complete\|Query\.a,A\.c\|200,200
                    \|0\.\d{3},0\.\d{3}\|-,-\|x\ y\ z$/x, 'complete');

graphql($t, '{ gone a { bad x: c } }');
like($line->(2), qr/^partial\|Query\.gone,Query\.a,A\.bad,A\.c
        \|410,200,-,200\|[\d.]+,[\d.]+,-,[\d.]+\|status,-,dependency,-\|/x,
     'partial, in the order of the operation');

graphql($t, '{ nothing }');
is($line->(3), 'failed|||||', 'refused');

my $r = graphql($t, '{ a { id } gone }', args => 'debug=1');
like($r->header('Server-Timing'),
     qr/^Query\.a;dur=[\d.]+, Query\.gone;dur=[\d.]+;desc="status"$/,
     'Server-Timing');
is(graphql($t, '{ a { id } }')->header('Server-Timing'), undef,
   'no Server-Timing');

$r = graphql($t, '{ a { bad } }');
is($r->header('X-Aggregate'), 'partial; failed="A.bad"', 'a dependency');
is(graphql_outcome($r->body), 'FETCH_FAILED a.0.bad FETCH_FAILED a.1.bad '
   . '{"a":[{"bad":null},{"bad":null}]}', 'its errors');
is($t->{backends}{b}->count('/c'), 2, 'one request for a batch');

for ([ '', 1 ], [ 'n=0', 0 ], [ 'n=9', 1 ], [ 'n=x', 1 ]) {
    my ($args, $n) = @$_;
    my $body = graphql($t, '{ first { id } }', args => $args)->body;
    is(() = $body =~ /"id"/g, $n, "a limit of a variable: $args");
}
