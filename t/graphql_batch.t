# GraphQL over REST: batches of fields of leaf types.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use Test::More;

use Harness;
use Harness::GraphQL;

my $t = Harness->new(modules => ['ngx_http_aggregate_module']);

$t->backend('b',
    '/items' => '[{"id":1,"sku":"a","at":{"no":7},"kind":"x"},'
        . '{"id":2,"sku":"b","at":{"no":8},"kind":"y"},'
        . '{"id":3,"sku":null,"kind":"x"}]',
    '/numbers' => '{"1":9.5,"2":19.5}',
    '/titles' => '{"a":"Apple","b":"Banana"}',
    '/stocks' => '{"7":70,"8":80}',
    '/flags' => '{"1":true,"2":false,"3":true}',
    '/codes' => '{"1":"one","2":22,"3":null}',
    '/states' => '{"1":"paid","2":9,"3":"odd"}',
    '/any' => '{"1":{"x":[1, 2]},"2":2.50,"3":"s"}',
    '/lists' => '{"a":[1,2],"b":[]}',
    '/rows' => '[{"by":1,"n":5},{"by":2,"n":6},{"by":1,"n":7}]',
    '/grid' => '{"1":[[1,2],[3]],"2":[null]}',
    '/down' => { status => 500 },
    '/gone' => { status => 404 },
    '/odd' => '7',
);

my $batch = 'batch: {key: "id", by: "id"}';

$t->write_file('s.graphql', <<"EOS");
scalar Json
scalar Int
enum State { PAID \@json(value: "paid") OPEN \@json(value: 9) }
interface Thing \@discriminate(by: "kind", map: [
    {value: "x", type: "X"}, {value: "y", type: "Y"}]) { id: ID! n: Float }
type X implements Thing { id: ID!
  n: Float \@rest(get: "/b/numbers?x=\${keys}", $batch) }
type Y implements Thing { id: ID! n: Float }
type Item {
  id: ID!
  sku: String
  price: Float \@rest(get: "/b/numbers?ids=\${keys}", $batch)
  title: String \@rest(get: "/b/titles?skus=\${keys}",
                      batch: {key: "sku", by: "sku"})
  stock: Int \@rest(get: "/b/stocks?no=\${keys}",
                   batch: {key: "at.no", by: "no"})
  flag: Boolean \@rest(get: "/b/flags?ids=\${keys}", $batch)
  code: ID \@rest(get: "/b/codes?ids=\${keys}", $batch)
  state: State \@rest(get: "/b/states?ids=\${keys}", $batch)
  any: Json \@rest(get: "/b/any?ids=\${keys}", $batch)
  row: Json \@rest(get: "/b/rows?ids=\${keys}",
                  batch: {key: "id", by: "by"})
  rows: [Json!] \@rest(get: "/b/rows?all=\${keys}",
                      batch: {key: "id", by: "by"})
  list: [Int] \@rest(get: "/b/lists?skus=\${keys}",
                    batch: {key: "sku", by: "sku"})
  lists: [Int!]! \@rest(get: "/b/lists?skus=\${keys}",
                       batch: {key: "sku", by: "sku"})
  grid: [[Int!]] \@rest(get: "/b/grid?ids=\${keys}", $batch)
  must: Float! \@rest(get: "/b/numbers?must=\${keys}", $batch)
  whole: Int \@rest(get: "/b/numbers?whole=\${keys}", $batch)
  down: Int \@rest(get: "/b/down?ids=\${keys}", $batch)
  downs: [Int!]! \@rest(get: "/b/down?all=\${keys}", $batch)
  gone: ID \@rest(get: "/b/gone?ids=\${keys}", nullOn: ["404"], $batch)
  spare: ID \@rest(get: "/b/down?spare=\${keys}", default: "7", $batch)
  odd: Json \@rest(get: "/b/odd?ids=\${keys}", $batch)
  secret: ID \@rest(get: "/b/codes?secret=\${keys}", $batch)
            \@allow(if: "\$arg_staff")
}
type Query {
  items: [Item] \@rest(get: "/b/items")
  things: [Thing] \@rest(get: "/b/items")
}
EOS

sub values_are {
    my ($field, @values) = @_;
    return "{ items { $field } }",
        '{"data":{"items":[' . join(',', map { "{\"$field\":$_}" } @values)
        . ']}}';
}

sub fails {
    my ($field, $code, $which) = @_;
    return "{ items { $field } }",
        join(' ', map { "$code items.$_.$field" } @$which)
        . ' {"items":[' . join(',', ("{\"$field\":null}") x 3) . ']}';
}

my @cases = (
    [ 'Float', values_are('price', 9.5, 19.5, 'null'),
      uris => [ '/items', '/numbers?ids=1,2,3' ] ],
    [ 'String', values_are('title', '"Apple"', '"Banana"', 'null'),
      uris => [ '/items', '/titles?skus=a,b' ] ],
    [ 'Int, of a path', values_are('stock', 70, 80, 'null'),
      uris => [ '/items', '/stocks?no=7,8' ] ],
    [ 'Boolean', values_are('flag', 'true', 'false', 'true') ],
    [ 'ID', values_are('code', '"one"', '"22"', 'null') ],
    [ 'an enum', '{ items { state } }', 'INVALID_VALUE items.2.state '
      . '{"items":[{"state":"PAID"},{"state":"OPEN"},{"state":null}]}' ],
    [ 'a custom scalar', values_are('any', '{"x":[1, 2]}', '2.50', '"s"') ],
    [ 'a custom scalar of a list', values_are('row', '{"by":1,"n":5}',
                                              '{"by":2,"n":6}', 'null') ],
    [ 'a list of a custom scalar',
      values_are('rows', '[{"by":1,"n":5},{"by":1,"n":7}]',
                 '[{"by":2,"n":6}]', '[]') ],
    [ 'a list', values_are('list', '[1,2]', '[]', '[]') ],
    [ 'a list, not null', values_are('lists', '[1,2]', '[]', '[]') ],
    [ 'a list of lists', values_are('grid', '[[1,2],[3]]', '[null]', '[]') ],
    [ 'null that is not allowed', '{ items { must } }',
      'NULL_VALUE items.2.must {"items":[{"must":9.5},{"must":19.5},null]}' ],
    [ 'a value of another type', '{ items { whole } }',
      'INVALID_VALUE items.0.whole INVALID_VALUE items.1.whole '
      . '{"items":[{"whole":null},{"whole":null},{"whole":null}]}' ],
    [ 'a batch that fails', fails('down', 'FETCH_FAILED', [ 0 .. 2 ]),
      partial => 'Item.down' ],
    [ 'a list that fails', '{ items { downs } }',
      'FETCH_FAILED items.0.downs FETCH_FAILED items.1.downs '
      . 'FETCH_FAILED items.2.downs {"items":[null,null,null]}' ],
    [ 'nullOn', values_are('gone', ('null') x 3) ],
    [ 'a default', values_are('spare', ('"7"') x 3), partial => 'Item.spare' ],
    [ 'a result without keys', fails('odd', 'INVALID_VALUE', [ 0 .. 2 ]) ],
    [ 'forbidden', fails('secret', 'FORBIDDEN', [ 0 .. 2 ]),
      uris => [ '/items' ] ],
    [ 'allowed', values_are('secret', '"one"', '"22"', 'null'),
      args => 'staff=1' ],
    [ 'beside the key', '{ items { id price sku title } }',
      '{"data":{"items":['
      . '{"id":"1","price":9.5,"sku":"a","title":"Apple"},'
      . '{"id":"2","price":19.5,"sku":"b","title":"Banana"},'
      . '{"id":"3","price":null,"sku":null,"title":null}]}}' ],
    [ 'an alias, also of the name of the key',
      '{ items { id: price sku: title } }',
      '{"data":{"items":[{"id":9.5,"sku":"Apple"},'
      . '{"id":19.5,"sku":"Banana"},{"id":null,"sku":null}]}}' ],
    [ 'two aliases', '{ items { a: price b: price } }',
      '{"data":{"items":[{"a":9.5,"b":9.5},{"a":19.5,"b":19.5},'
      . '{"a":null,"b":null}]}}' ],
    [ 'fragments', '{ items { ...F ... on Item { title } } }
        fragment F on Item { price ...G } fragment G on Item { list }',
      '{"data":{"items":['
      . '{"price":9.5,"list":[1,2],"title":"Apple"},'
      . '{"price":19.5,"list":[],"title":"Banana"},'
      . '{"price":null,"list":[],"title":null}]}}' ],
    [ 'of an interface', '{ things { n ... on X { id } } }',
      '{"data":{"things":[{"n":9.5,"id":"1"},{"n":null},'
      . '{"n":null,"id":"3"}]}}',
      uris => [ '/items', '/numbers?x=1,3' ] ],
);

$t->plan(graphql_checks(@cases));

graphql_serve($t, schema => 's.graphql');
graphql_check($t, @cases);
