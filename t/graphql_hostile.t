# GraphQL under hostile documents, variables and backends: an answer within the
# limits, soon, and a worker that lives.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use Test::More;
use Time::HiRes qw(time);

use Harness;
use Harness::GraphQL;

my $t = Harness->new(modules => ['ngx_http_aggregate_module']);

my $many = '[' . join(',', map { "{\"id\":$_,\"k\":$_}" } 1 .. 20000) . ']';

$t->backend('b',
    '/a' => '{"id":1,"k":1}',
    '/echo/' => sub { return '{"id":1,"k":2}' },
    '/many' => $many,
    '/deep' => '[' x 120 . ']' x 120,
    '/deeper' => '[' x 200000,
    '/names' => '{' . join(',', map { "\"\\u0061$_\":$_" } 1 .. 30000) . '}',
    '/same' => '{' . join(',', ('"id":1') x 50000) . '}',
    '/utf8' => "{\"id\":\"\xff\xfe\"}",
    '/lone' => '{"id":"\ud800","k":"\ud800"}',
    '/big' => { body => '{"id":"' . 'x' x 2000000 . '"}' },
    '/k' => '[]',
    '/wide' => '{"id":1,"pad":"' . 'x' x 900000 . '"}',
    '/500' => '[' . join(',', map { "{\"id\":$_,\"k\":$_}" } 1 .. 500) . ']',
    '/post' => '{"id":1}',
    '/told' => { status => 500, body => '{"pad":"' . 'x' x 900000
        . '","text":"no","kind":"K"}' },
);

$t->write_file('s.graphql', <<'EOS');
type A {
  id: ID
  k: ID
  self: A @rest(get: "/b/a")
  b: A @rest(get: "/b/k?k=${keys}", batch: {key: "k", by: "k", size: 1000})
  one: A @rest(get: "/b/echo/${parent.k}")
  list: [A] @rest(get: "/b/many")
  wide: A @rest(get: "/b/wide")
  must: Must @rest(get: "/b/wide")
  post(s: String): A @rest(post: "/b/post", body: "${args.}")
  told: A @rest(get: "/b/told", error: {message: "text", code: "kind"})
  groups(s: String): A @rest(post: "/b/k", batch: {key: "k", by: "k"},
                             body: "[${keys},${parent.k},${args.}]")
}
type Must { id: ID! none: ID! }
input In { a: In b: [In] s: String }
type Query {
  a: A @rest(get: "/b/a")
  many: [A] @rest(get: "/b/many")
  few: [A] @rest(get: "/b/500")
  deep: [[A]] @rest(get: "/b/deep")
  deeper: A @rest(get: "/b/deeper")
  names: A @rest(get: "/b/names")
  same: A @rest(get: "/b/same")
  utf8: A @rest(get: "/b/utf8")
  lone: A @rest(get: "/b/lone")
  big: A @rest(get: "/b/big")
  path(s: String): A @rest(get: "/b/echo/${args.s}")
  query(s: [String]): A @rest(get: "/b/echo/x?s=${args.s*}&t=${args.s}")
  head(s: String): A @rest(get: "/b/echo/h",
                           headers: [{name: "X-S", value: "${args.s}"}])
  in(in: In): A @rest(get: "/b/echo/i?i=${args.in.s}")
}
EOS

my $fragments = join "\n", map { my $n = $_ + 1;
    "fragment F$_ on A { a: self { ...F$n } b: self { ...F$n } }" } 0 .. 25;

# [ name, query, what comes of it, options ]
my @cases = (
    [ 'depth', '{ a ' . '{ self ' x 30 . '{ id }' . ' }' x 30 . ' }',
      qr/"limit":"max_depth"/ ],
    [ 'depth of 100000', '{ a ' . '{ self ' x 100000, qr/LIMIT_EXCEEDED/ ],
    [ 'aliases', '{ ' . join(' ', map { "a$_: a { id }" } 1 .. 100) . ' }',
      qr/"limit":"max_(?:aliases|root_fields)"/ ],
    [ 'exponential fragments', "{ a { ...F0 } } $fragments "
      . 'fragment F26 on A { id }', qr/LIMIT_EXCEEDED/ ],
    [ 'a cycle', '{ a { ...X } } fragment X on A { self { ...X } }',
      qr/GRAPHQL_VALIDATION_FAILED/ ],
    [ 'directives', '{ a ' . '@skip(if: false) ' x 3000 . '{ id } }',
      qr/LIMIT_EXCEEDED|VALIDATION_FAILED/ ],
    [ 'tokens', '{ a { ' . 'id ' x 100000 . '} }',
      qr/"limit":"max_tokens"/ ],
    [ 'the same field', '{ a { ' . 'id ' x 4900 . '} }',
      '{"data":{"a":{"id":"1"}}}' ],
    [ 'blanks', '{ a { id } }' . ' ' x 900000, '{"data":{"a":{"id":"1"}}}' ],
    [ 'comments', "#x\n" x 300000 . '{ a { id } }',
      '{"data":{"a":{"id":"1"}}}' ],
    [ 'lists', '{ in(in: {b: ' . '[' x 100000, qr/LIMIT_EXCEEDED|PARSE/ ],
    [ 'deep literals', '{ in(in: ' . '{a: ' x 900 . '{s: "x"}' . '}' x 900
      . ') { id } }', '{"data":{"in":{"id":"1"}}}' ],
    [ 'deep variables', 'query($i: In) { in(in: $i) { id } }',
      qr/BAD_REQUEST/, variables => '{"a":' x 100000 . '1' . '}' x 100000 ],
    [ 'deep variables that are valid', 'query($i: In) { in(in: $i) { id } }',
      '{"data":{"in":{"id":"1"}}}',
      variables => '{"i":' . '{"a":' x 100 . 'null' . '}' x 101 ],
    [ 'a variable of 900 KB', 'query($s: [String]) { query(s: $s) { id } }',
      qr/"data"/, variables => '{"s":["' . 'x' x 900000 . '"]}' ],
    [ 'many elements', 'query($s: [String]) { query(s: $s) { id } }',
      qr/"data"/, variables => '{"s":[' . join(',', ('"x"') x 50000) . ']}' ],
    [ 'CRLF in a header', '{ head(s: "a\r\nX-Evil: 1") { id } }',
      qr/"reason":"bad_uri"/ ],
    [ 'NUL in a header', '{ head(s: "a\u0000b") { id } }',
      qr/"reason":"bad_uri"/ ],
    map({ [ "path $_", 'query($s: String) { path(s: $s) { id } }',
            qr/"reason":"bad_uri"/, variables => "{\"s\":\"$_\"}" ] }
        '..', '.', '', '../x', 'a/b', 'a\\\\b', 'a;b', '\u0000', 'a\r\n',
        '\ud800'),
    [ 'a path', 'query($s: String) { path(s: $s) { id } }',
      '{"data":{"path":{"id":"1"}}}', variables => '{"s":"%2e%2e?x#y&z"}' ],
    [ 'invalid UTF-8', "{ a { id } } # \xff", qr/BAD_REQUEST/, raw => 1 ],
    [ 'a deep body', '{ deep { id } }', qr/INVALID_VALUE/ ],
    [ 'too deep a body', '{ deeper { id } }', qr/"reason":"invalid_json"/ ],
    [ 'names with escapes', '{ names { id k } }',
      '{"data":{"names":{"id":null,"k":null}}}' ],
    [ 'a member again and again', '{ same { id } }',
      '{"data":{"same":{"id":"1"}}}' ],
    [ 'a body that is not UTF-8', '{ utf8 { id } }',
      qr/"reason":"invalid_json"/ ],
    [ 'a lone surrogate as key', '{ lone { id b { id } one { id } } }',
      qr/"reason":"dependency".*"reason":"bad_uri"/s ],
    [ 'a large body', '{ big { id } }', qr/"reason":"too_large"/ ],
    [ 'a batch of 20000', '{ many { b { id } } }',
      qr/^\{"data":\{"many":\[\{"b":null\}(?:,\{"b":null\}){19999}\]\}\}$/ ],
    [ '20000 fields', '{ many { one { id } } }', qr/"reason":"too_many"/ ],
    [ 'a wide value for 20000', '{ many { wide { id } } }',
      qr/^\{"data":\{"many":\[\{"wide":\{"id":"1"\}\}
         (?:,\{"wide":\{"id":"1"\}\}){19999}\]\}\}$/x ],
    [ 'a wide value that is null for 20000', '{ many { must { none } } }',
      qr/LIMIT_EXCEEDED/ ],
    [ 'a wide value with fields for 20000',
      '{ many { wide { self { id } } } }', qr/LIMIT_EXCEEDED/ ],
    [ 'a large failure for 20000', '{ many { told { id } } }',
      qr/"message":"no".*"code":"K"/ ],
    [ 'a large request for 500', 'query($s: String) {
        few { post(s: $s) { id } } }',
      qr/^\{"data":\{"few":\[\{"post":\{"id":"1"\}\}
         (?:,\{"post":\{"id":"1"\}\}){499}\]\}\}$/x,
      variables => '{"s":"' . 'x' x 900000 . '"}' ],
    [ 'a large request for the batches of 500', 'query($s: String) {
        few { groups(s: $s) { id } } }',
      qr/"reason":"too_many"/,
      variables => '{"s":"' . 'x' x 400000 . '"}' ],
    [ 'more large requests than are composed', 'query($s: String) {
        few { a: post(s: $s) { id } b: post(s: $s) { id } } }',
      qr/LIMIT_EXCEEDED/, variables => '{"s":"' . 'x' x 900000 . '"}' ],
    [ 'fields without a request', '{ many { '
      . join(' ', map { "a$_: one { id }" } 10 .. 36) . ' } }',
      qr/LIMIT_EXCEEDED/ ],
    [ 'batches without a request', '{ many { '
      . join(' ', map { "a$_: groups { id }" } 10 .. 14) . ' } }',
      qr/LIMIT_EXCEEDED|"reason":"too_many"/ ],
    [ 'a long literal of another type', '{ path(s: ' . '1' x 300000
      . ') { id } }',
      qr/GRAPHQL_VALIDATION_FAILED/ ],
    [ 'long literals of another type', '{ in(in: {b: ['
      . join(', ', map { "{s: {s: \"$_" . 'x' x 20000 . '"}}' } 1 .. 20)
      . ']}) { id } }', qr/GRAPHQL_VALIDATION_FAILED/ ],
    [ 'lists of lists', '{ many { list { list { id } } } }',
      qr/LIMIT_EXCEEDED|"reason":"timeout"/ ],
);

$t->plan(2 * @cases + 4);
$t->allow_log(qr/graphql answer is larger/);

graphql_serve($t, schema => 's.graphql', block => 'max_subrequests 50;',
              location => 'client_max_body_size 4m;');

my ($worker) = $t->workers;

for my $case (@cases) {
    my ($name, $query, $expected, %o) = @$case;

    my $start = time;
    my $r = $o{raw}
        ? graphql($t, undef, json => "{\"query\":\"$query\"}")
        : graphql($t, $query, %o);
    my $spent = time - $start;
    my $body = $r->body // '';

    if (ref $expected) {
        ok($body =~ $expected, $name)
            or diag($r->status // '-', ' ', substr $body, 0, 500);
    } else {
        is($body, $expected, $name);
    }

    cmp_ok($spent, '<', slow(2.5), "$name: $spent s");
}

is(scalar(grep { $_->{head} =~ /Evil/ } $t->{backends}{b}->log), 0,
   'no header came through');
is(join(',', $t->workers), $worker, 'the worker lives');
open my $status, '<', "/proc/$worker/status" or die "status: $!\n";
my ($peak) = join('', <$status>) =~ /^VmHWM:\s+(\d+)/m;
cmp_ok($peak, '<', 600_000 * ($ENV{TEST_NGINX_SLOW} ? 4 : 1), 'its peak');
cmp_ok($t->rss, '<', 400_000 * ($ENV{TEST_NGINX_SLOW} ? 4 : 1), 'memory');
