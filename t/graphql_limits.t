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
    '/list' => '[{"id":1},{"id":2},{"id":3}]',
    '/echo' => '{"id":"e"}',
    '/first' => '{"a":1}',
    '/down' => { status => 500 },
    '/fill' => '{"id":"f"}',
);

my $fields = '{ id: ID! x: Int y: Int z: Int }';

$t->write_file('s.graphql', <<"EOS");
interface Thing \@discriminate(by: "t") $fields
@{[ join "\n", map { "type $_ implements Thing $fields" } 'A' .. 'D' ]}
input Fill { a: String = "@{[ 'd' x 100 ]}" }
input In { a: String b: [String] \@json(path: "bb") }
type Item {
  id: ID!
  uri(s: String): ID \@rest(get: "/b/echo?\${parent.id}&s=\${args.s}",
                        select: "id")
  batch(s: String): ID \@rest(get: "/b/echo?s=\${args.s}&k=\${keys}",
                          batch: {key: "id", by: "id"})
  all(s: String, t: String): ID \@rest(post: "/b/echo", select: "id",
                                   body: "\${args.}")
}
type Query {
  things: [Thing] \@rest(get: "/b/things")
  list: [Item] \@rest(get: "/b/list")
  down: Int \@rest(get: "/b/down")
  ids(l: [ID]): ID \@rest(post: "/b/echo", body: "\${args.l}", select: "id")
  fill(l: [Fill]): ID \@rest(post: "/b/fill", body: "\${args.l}",
                            select: "id")
  first: Int \@rest(get: "/b/first", select: "a")
  uri(s: String): ID \@rest(get: "/b/echo?s=\${args.s}", select: "id")
  body(in: In): ID \@rest(post: "/b/echo", body: "\${args.in}", select: "id")
  all(s: String, t: String): ID \@rest(post: "/b/echo", body: "\${args.}",
                                   select: "id")
  header(s: String): ID \@rest(get: "/b/echo", select: "id",
                           headers: [{name: "X-S", value: "\${args.}"}])
  spare(s: String): ID \@rest(get: "/b/echo?s=\${args.s}", default: "7")
}
type Mutation {
  set(s: String): ID \@rest(post: "/b/echo", body: "\${args.s}", select: "id")
}
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

# requests to backends over max_body_size, of which 1 KB are allowed
my ($half, $long) = ('x' x 600, 'x' x 1100);
my $large = sub {
    my ($paths, $data) = @_;
    return join(' ', map { "FETCH_FAILED $_" } @$paths) . " $data";
};
my @requests = (
    [ 'an argument of the largest size', '{ uri(s: "' . 'x' x 1022
      . '") first }', '{"data":{"uri":"e","first":1}}' ],
    [ 'an argument of one byte more', '{ uri(s: "' . 'x' x 1023
      . '") first }', $large->([ 'uri' ], '{"uri":null,"first":1}') ],
    [ 'an argument that gets longer', '{ uri(s: "' . 'x' x 1019
      . ' ") first }', '{"data":{"uri":"e","first":1}}' ],
    [ 'an argument that gets a byte too long', '{ uri(s: "' . 'x' x 1020
      . ' ") first }', $large->([ 'uri' ], '{"uri":null,"first":1}') ],
    [ 'an argument', 'query($s: String) { uri(s: $s) first }',
      $large->([ 'uri' ], '{"uri":null,"first":1}'), partial => 'Query.uri' ],
    [ 'a literal', qq({ uri(s: "$long") first }),
      $large->([ 'uri' ], '{"uri":null,"first":1}') ],
    [ 'an input object', 'query($s: String) {
        body(in: {a: $s, b: [$s]}) first }',
      $large->([ 'body' ], '{"body":null,"first":1}') ],
    [ 'all arguments', 'query($h: String) { all(s: $h, t: $h) first }',
      $large->([ 'all' ], '{"all":null,"first":1}') ],
    [ 'all arguments in a header', 'query($s: String) {
        header(s: $s) first }',
      $large->([ 'header' ], '{"header":null,"first":1}') ],
    [ 'a default', 'query($s: String) { spare(s: $s) first }',
      '{"data":{"spare":"7","first":1}}', partial => 'Query.spare' ],
    [ 'a field of objects', 'query($s: String) { list { id uri(s: $s) } }',
      $large->([ map { "list.$_.uri" } 0 .. 2 ], '{"list":['
      . '{"id":"1","uri":null},{"id":"2","uri":null},{"id":"3","uri":null}]}'),
      partial => 'Item.uri' ],
    [ 'a batch', 'query($s: String) { list { id batch(s: $s) } }',
      $large->([ map { "list.$_.batch" } 0 .. 2 ], '{"list":['
      . '{"id":"1","batch":null},{"id":"2","batch":null},'
      . '{"id":"3","batch":null}]}') ],
    [ 'all arguments of objects', 'query($h: String) {
        list { all(s: $h, t: $h) } }',
      $large->([ map { "list.$_.all" } 0 .. 2 ],
               '{"list":[{"all":null},{"all":null},{"all":null}]}') ],
    [ 'a mutation', 'mutation($s: String) { a: set(s: "") b: set(s: $s)
        c: set(s: "") }',
      $large->([ 'b' ], '{"a":"e","b":null,"c":"e"}') ],
);

for my $case (@requests) {
    push @$case, uri => '/sizes',
        variables => sprintf '{%s}', join ',',
            ($case->[1] =~ /\$s:/ ? qq("s":"$long") : ()),
            ($case->[1] =~ /\$h:/ ? qq("h":"$half") : ());
}

# answers whose size is the limit, or a byte over it
my $partial = '{"errors":[{"message":"Cannot fetch field Query.down.",'
    . '"locations":[{"line":1,"column":9}],"path":["down"],"extensions":'
    . '{"code":"FETCH_FAILED","reason":"status","http":{"status":500},'
    . '"coordinate":"Query.down"}}],"data":{"first":1,"down":null}}';
my @answers = (
    [ 'data', '{ first }', '{"data":{"first":1}}' ],
    [ 'data and errors', '{ first down }', $partial ],
    [ 'a batch', [ '{ first }', '{ first down }' ],
      '[{"data":{"first":1}},' . ($partial =~ s/:9\}/:9}/r) . ']' ],
);
my $exact = join '', map { my $i = $_; my $size = length $answers[$i][2];
    map { my $limit = $size - $_;
          "location = /$i/$_ { aggregate_graphql %%TESTDIR%%/s.graphql {
              max_response_size $limit; batching 5; } }\n" } 0, 1
} 0 .. $#answers;

$t->plan(@batches + 2 + graphql_checks(@requests) + 2 * @answers + 6);

graphql_serve($t, schema => 's.graphql', block => 'batching 5;
    max_selections 12; max_root_fields 4; max_aliases 3;
    mask_errors $arg_mask;', server => '
    location = /sizes {
        aggregate_graphql %%TESTDIR%%/s.graphql { max_body_size 1k; }
    }
    location = /variables {
        aggregate_graphql %%TESTDIR%%/s.graphql { max_response_size 200;
                                                  max_body_size 4k; }
    }
    ' . $exact);

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

graphql_check($t, @requests);
like(graphql($t, 'query($s: String) { uri(s: $s) }', uri => '/sizes',
             variables => qq({"s":"$long"}))->body,
     qr/"reason":"too_large","coordinate":"Query.uri"/, 'its reason');

for my $i (0 .. $#answers) {
    my ($name, $query, $expected) = @{ $answers[$i] };
    my ($ok, $over) = map {
        ref $query ? batch([ @$query ], uri => "/$i/$_")
                   : graphql($t, $query, uri => "/$i/$_")
    } 0, 1;

    is($ok->body, $expected, "max_response_size: $name");
    ok(index($over->body, $expected) < 0
       && $over->body =~ /"code":"LIMIT_EXCEEDED","limit":"max_response_size"/,
       "max_response_size: $name, a byte over it") or diag($over->body);
}

# variables may be larger than max_response_size
my $r = graphql($t, 'query($s: String) { first uri(s: $s) }',
                uri => '/variables', variables => qq({"s":"$long"}));
is($r->body, '{"data":{"first":1,"uri":"e"}}', 'variables');
$r = graphql($t, 'query($l: [ID]) { first @skip(if: true) uri
                  __typename @include(if: false) ids(l: $l) }',
             uri => '/variables', variables => '{"l":[' . '1,' x 499 . '1]}');
is($r->body, '{"data":{"uri":"e","ids":"e"}}', 'variables that get quotes');

for ([ 1, 200 ], [ 100, 200 ]) {
    my ($n, $status) = @$_;
    $r = graphql($t, 'query($l: [Fill]) { fill(l: $l) }', uri => '/variables',
                 variables => '{"l":[' . join(',', ('{}') x $n) . ']}');
    is($r->status . ' ' . ($r->body =~ /"limit":"(\w+)"/ ? $1 : 'none'),
       $status . ' ' . ($n == 1 ? 'none' : 'max_body_size'),
       "variables: $n objects with defaults");
}

like($r->body, qr/"code":"LIMIT_EXCEEDED"/, 'variables: the code');
is($t->{backends}{b}->count('/fill'), 1, 'variables: nothing is sent then');


sub batch {
    my ($queries, %o) = @_;
    s/\s+/ /g for @$queries;
    return graphql($t, undef, %o, json =>
        '[' . join(',', map { qq({"query":"$_"}) } @$queries) . ']');
}
