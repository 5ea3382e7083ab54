# GraphQL over REST: the limits of a batch of operations, of requests to
# backends, and of answers.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use Test::More;

use Harness;
use Harness::GraphQL;

my $t = Harness->new(modules => ['ngx_http_aggregate_module']);

$t->backend('b',
    '/things' => '[' . join(',', map { qq({"t":"$_","id":1,"x":2,"y":3,"z":4}) }
                            'A' .. 'D') . ']',
);

my $fields = '{ id: ID! x: Int y: Int z: Int }';

$t->write_file('s.graphql', <<"EOS");
interface Thing \@discriminate(by: "t") $fields
@{[ join "\n", map { "type $_ implements Thing $fields" } 'A' .. 'D' ]}
type Query { things: [Thing] \@rest(get: "/b/things") }
EOS

# [ name, operations of a batch, the outcome of each ]
my $things = '{ things { id x y z } }';
my $answer = '{"data":{"things":['
    . join(',', ('{"id":"1","x":2,"y":3,"z":4}') x 4) . ']}}';
my $over = sub {
    my ($limit) = @_;
    return qq({"errors":[{"message":"The batch is over the limit of )
        . qq(\\"$limit\\".","extensions":{"code":"LIMIT_EXCEEDED",)
        . qq("limit":"$limit"}}]});
};

my @batches = (
    [ 'one', [ $things ], [ $answer ] ],
    [ 'one whose plan has grown', [ $things ], [ $answer ] ],
    [ 'two', [ $things, $things ], [ $answer, $answer ] ],
    [ 'three', [ ($things) x 3 ],
      [ $answer, $answer, $over->('max_selections') ] ],
    [ 'fragments, expanded',
      [ '{ things { ...F ... on A { ...F } ... on B { ...F } } }
         fragment F on Thing { id x y }', '{ __typename a: __typename }',
        '{ __typename }' ],
      [ qr/"data"/, qr/"data"/, $over->('max_selections') ] ],
    [ 'below introspection',
      [ ('{ __schema { types { fields { name } } } }') x 4 ],
      [ (qr/"data"/) x 3, $over->('max_selections') ] ],
    [ 'root fields', [ ('{ __typename a: __typename }') x 3 ],
      [ (qr/"data"/) x 2, $over->('max_root_fields') ] ],
    [ 'aliases', [ ('{ a: __typename b: __typename }') x 2 ],
      [ qr/"data"/, $over->('max_aliases') ] ],
);

$t->plan(@batches + 1);

graphql_serve($t, schema => 's.graphql', block => 'batching 5;
    max_selections 12; max_root_fields 4; max_aliases 3;
    mask_errors $arg_mask;');

for my $case (@batches) {
    my ($name, $queries, $expected) = @$case;
    my $r = batch($queries);
    my @answers = split /,(?=\{"(?:data|errors)":)/,
        $r->body =~ /\A\[(.*)\]\z/s ? $1 : $r->body;

    my @wrong = grep {
        my ($got, $want) = ($answers[$_] // '', $expected->[$_]);
        ref $want ? $got !~ $want : $got ne $want;
    } 0 .. $#$expected;

    ok(@answers == @$queries && !@wrong, "a batch: $name") or diag($r->body);
}

like(batch([ ($things) x 3 ], args => 'mask=1')->body,
     qr/"extensions":\{"code":"LIMIT_EXCEEDED"\}/, 'a batch: mask_errors');


sub batch {
    my ($queries, %o) = @_;
    s/\s+/ /g for @$queries;
    return graphql($t, undef, %o, json =>
        '[' . join(',', map { qq({"query":"$_"}) } @$queries) . ']');
}
