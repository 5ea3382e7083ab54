# GraphQL over HTTP: methods, media types, statuses, persisted operations.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use Digest::SHA qw(sha256_hex);
use JSON::PP ();
use Test::More;

use Harness;
use Harness::GraphQL;

my $t = Harness->new(modules => ['ngx_http_aggregate_module']);
my $json = JSON::PP->new->canonical->allow_nonref->utf8;

$t->backend('b',
    '/one' => { body => '1', headers => [ 'Cache-Control' => 'max-age=60',
        Vary => 'X-Lang', 'X-Passed' => 'yes' ] },
    '/two' => { body => '2', headers => [ 'Cache-Control' =>
        'private, max-age=30', 'Set-Cookie' => 'a=b' ] },
    '/slow' => { body => '3', delay => slow(5) },
    '/gone' => { status => 410, body => '{}' },
    '/set' => '4',
);

$t->write_file('s.graphql', <<'EOS');
type Query {
  one: Int @rest(get: "/b/one", passHeaders: ["X-Passed"])
  two: Int @rest(get: "/b/two")
  slow: Int @rest(get: "/b/slow")
  short: Int @rest(get: "/b/slow", timeout: "80ms")
  gone: Int @rest(get: "/b/gone")
  dead: Int @rest(get: "/dead/x")
  echo(n: Int, s: String): Int @rest(get: "/b/one?n=${args.n}&s=${args.s}")
  hidden: Int @rest(get: "/b/one?op=$graphql_operation")
}
type Mutation { set(n: Int!): Int @rest(post: "/b/set", body: "${args.n}") }
EOS

my $trusted = 'query Trusted { one }';

$t->write_file('app.json', $json->encode({
    first => $trusted, 'sha256:abc' => '{ two }' }));
$t->write_file('manifest.json', $json->encode({
    format => 'apollo-persisted-query-manifest', version => 1, operations => [
        { id => 'm1', name => 'Trusted', type => 'query',
          body => $trusted } ] }));

my $files = '%%TESTDIR%%/s.graphql';

$t->port('0');
$t->{ports}{dead} ||= $t->dead_port;

$t->run(graphql_configuration($t, schema => 's.graphql', block => q{
        timeout 1s; persisted apq; batching 3; ide $arg_ide;
        introspection $arg_intro; mask_errors $arg_mask; },
    http => q{
        aggregate_graphql_zone apq 64k;
        log_format g '$graphql_operation $graphql_type $graphql_plan '
                     '$graphql_errors $graphql_hash';
    },
    server => qq{
        access_log %%TESTDIR%%/g.log g;
        location = /draft { aggregate_graphql $files { status draft; } }
        location = /docs { aggregate_graphql $files {
            documents %%TESTDIR%%/app.json; } }
        location = /only { aggregate_graphql $files {
            documents %%TESTDIR%%/app.json only; } }
        location = /manifest { aggregate_graphql $files {
            documents %%TESTDIR%%/manifest.json only; } }
        location = /posts { aggregate_graphql $files { methods POST; } }
        location = /limited {
            client_max_body_size 100;
            aggregate_graphql $files { }
        }
        location = /own413 {
            client_max_body_size 100;
            error_page 413 = /own;
            aggregate_graphql $files { }
        }
        location = /own { return 200 own; }
        location = /small { aggregate_graphql $files {
            max_subrequests 1; max_tokens 20; plan_cache 0; } }
        location = /tiny { aggregate_graphql $files {
            max_response_size 10; } }
    }));

my $response = 'application/graphql-response+json';
my $both = [ Accept => $response ];


# [ name, query, options, status, what the body or its outcome is ]
my @statuses = (
    [ 'data', '{ one }', {}, '200 200 200', '{"data":{"one":1}}' ],
    [ 'a field failed', '{ gone }', {}, '200 200 294',
      'FETCH_FAILED gone {"gone":null}' ],
    [ 'no JSON', undef, { json => '{"query":' }, '400 400 400',
      'BAD_REQUEST' ],
    [ 'no body', undef, { json => '' }, '400 400 400', 'BAD_REQUEST' ],
    [ 'no object', undef, { json => '"{ one }"' }, '400 400 422',
      'BAD_REQUEST' ],
    [ 'no query', undef, { json => '{"a":1}' }, '400 400 422',
      'BAD_REQUEST' ],
    [ 'a query that is null', undef, { json => '{"query":null}' },
      '400 400 422', 'BAD_REQUEST' ],
    [ 'a query that is none', undef, { json => '{"query":1}' },
      '400 400 422', 'BAD_REQUEST' ],
    [ 'variables that are none', '{ one }', { variables => '[1]' },
      '400 400 422', 'BAD_REQUEST' ],
    [ 'variables that are null', '{ one }', { variables => 'null' },
      '200 200 200', '{"data":{"one":1}}' ],
    [ 'extensions that are none', undef,
      { json => '{"query":"{ one }","extensions":1}' },
      '400 400 422', 'BAD_REQUEST' ],
    [ 'syntax', '{ one', {}, '400 200 400', 'GRAPHQL_PARSE_FAILED' ],
    [ 'an empty query', '', {}, '400 200 400', 'GRAPHQL_PARSE_FAILED' ],
    [ 'validation', '{ none }', {}, '400 200 422',
      'GRAPHQL_VALIDATION_FAILED' ],
    [ 'which operation', 'query A { one } query B { two }', {},
      '400 200 422', 'OPERATION_RESOLUTION_FAILURE' ],
    [ 'no such operation', 'query A { one }', { operationName => 'B' },
      '400 200 422', 'OPERATION_RESOLUTION_FAILURE' ],
    [ 'that operation', 'query A { one } query B { two }',
      { operationName => 'B' }, '200 200 200', '{"data":{"two":2}}' ],
    [ 'variables', 'query($n: Int!) { echo(n: $n) }',
      { variables => '{"n":"x"}' }, '400 200 422', 'BAD_USER_INPUT' ],
    [ 'unknown members', undef, { json => '{"query":"{ one }","a":[1]}' },
      '200 200 200', '{"data":{"one":1}}' ],
    [ 'a hash without a zone', undef, { json => '{"extensions":'
        . '{"persistedQuery":{"version":1,"sha256Hash":"' . '0' x 64
        . '"}}}' }, '404 200 404', 'PERSISTED_QUERY_NOT_FOUND' ],
    [ 'an id without documents', undef, { json => '{"documentId":"x"}' },
      '404 200 404', 'PERSISTED_QUERY_NOT_FOUND' ],
);

my @others = (
    'application/json; charset=utf-8', 'application/json;charset="UTF-8"',
);
my @no_types = (undef, '', 'text/plain', 'application/graphql',
                'application/json; charset=latin1', 'multipart/form-data');
my %accepts = (
    'application/json' => 'application/json',
    $response => $response,
    '*/*' => 'application/json',
    'application/*' => 'application/json',
    "$response, application/json" => $response,
    "application/json, $response" => 'application/json',
    "$response;q=0.5, application/json;q=0.9" => 'application/json',
    "application/json;q=0.5, $response;q=0.9" => $response,
    "text/html, $response;q=0.1" => $response,
    "$response; charset=utf-8" => $response,
    'text/html, */*;q=0.1' => 'application/json',
    'text/html' => 406,
    'application/json;q=0' => 406,
);

$t->plan(3 * @statuses + 2 * @others + @no_types + 2 * keys(%accepts) + 90);


for my $case (@statuses) {
    my ($name, $query, $o, $statuses, $expected) = @$case;
    my @wanted = split ' ', $statuses;
    my @asked = ([ '/graphql', $both ], [ '/graphql', [] ],
                 [ '/draft', $both ]);

    # no zone for persisted operations there, and no batches
    @asked = map { [ $_->[0] =~ s{/graphql}{/docs}r, $_->[1] ] } @asked
        if $name =~ /without/;

    for my $i (0 .. 2) {
        my $r = graphql($t, $query, %$o, uri => $asked[$i][0],
                        headers => $asked[$i][1]);
        my $body = $r->body;

        is($r->status . ' ' . ($expected =~ /^\{/ ? $body
                                                  : graphql_outcome($body)),
           "$wanted[$i] $expected", "$name, $i");
    }
}


# types

for my $type (@others) {
    my $r = http_request('POST', '/graphql', body => '{"query":"{ one }"}',
                         headers => [ 'Content-Type' => $type ]);

    is($r->status, 200, $type);
    is($r->body, '{"data":{"one":1}}', "$type: body");
}

for my $type (@no_types) {
    my $r = http_request('POST', '/graphql', body => '{"query":"{ one }"}',
        headers => [ defined $type ? ('Content-Type' => $type) : () ]);

    is($r->status . ' ' . graphql_outcome($r->body), '415 BAD_REQUEST',
       defined $type ? "type $type" : 'no type');
}

for my $accept (sort keys %accepts) {
    my $r = graphql($t, '{ one }', headers => [ Accept => $accept ]);

    if ($accepts{$accept} eq '406') {
        is($r->status, 406, "$accept: 406");
        is(graphql_outcome($r->body), 'BAD_REQUEST', "$accept: body");
        next;
    }

    is($r->status, 200, "$accept: 200");
    is($r->header('Content-Type'), "$accepts{$accept}; charset=utf-8",
       "$accept: type");
}


# GET

my $r = http_get('/graphql?query=%7B+one+%7D');
is($r->body, '{"data":{"one":1}}', 'GET');
is($r->header('Cache-Control'), 'max-age=60', 'GET: Cache-Control');
like($r->header('Vary'), qr/^Accept, X-Lang$/, 'GET: Vary');
is($r->header('X-Passed'), 'yes', 'GET: a header that passes');

$r = http_get('/graphql?query={one,two}');
like($r->header('Cache-Control'), qr/^max-age=30, private$/, 'of two parts');
is($r->header('Set-Cookie'), 'a=b', 'Set-Cookie');

$r = http_get('/graphql?query=query(%24n:Int){echo(n:%24n)}'
              . '&variables=%7B%22n%22%3A7%7D&operationName=&extensions=');
is($r->body, '{"data":{"echo":1}}', 'GET with variables');
is(($t->{backends}{b}->log('/one'))[-1]{uri}, '/one?n=7', 'the variable');

$r = http_get('/graphql?query={one}&variables=x');
is($r->status . ' ' . graphql_outcome($r->body), '400 BAD_REQUEST',
   'GET with variables that are no JSON');
$r = http_get('/graphql?query=%7');
is($r->status, 400, 'GET that is not encoded well');
$r = http_get('/graphql?query={one}&operationName=%zz');
is($r->status, 400, 'GET with a name that is not encoded well');
$r = http_get('/graphql?utm=%zz&%=1&query={one}&x=%7&%q=%');
is($r->body, '{"data":{"one":1}}',
   'GET with unknown arguments that are not encoded well');
$r = http_get('/graphql?query=');
is($r->status, 400, 'GET with an empty query');

$r = http_request('HEAD', '/graphql?query={one}');
is($r->status . ' ' . length($r->body // ''), '200 0', 'HEAD');

$r = http_get('/graphql?query=mutation%7Bset(n:1)%7D');
is($r->status . ' ' . graphql_outcome($r->body), '405 BAD_REQUEST',
   'a mutation by GET');
is($r->header('Allow'), 'POST', 'a mutation by GET: Allow');
is($t->{backends}{b}->count('/set'), 0, 'a mutation by GET: not sent');

$r = http_request('PUT', '/graphql', body => '{"query":"{ one }"}');
is($r->status . ' ' . graphql_outcome($r->body), '405 BAD_REQUEST', 'PUT');
is($r->header('Allow'), 'GET, HEAD, POST', 'PUT: Allow');
is($r->header('Content-Type'), 'application/json; charset=utf-8', 'PUT: type');
is($r->header('Vary'), 'Accept', 'PUT: Vary');
$r = http_request('PUT', '/graphql', body => '{"query":"{ one }"}',
                  headers => $both);
is($r->status . ' ' . $r->header('Content-Type'),
   "405 $response; charset=utf-8", 'PUT: the other type');

for my $accept ('APPLICATION/*', 'Application/JSON', 'application/Json;Q=0.5',
                'TEXT/HTML, APPLICATION/JSON')
{
    $r = graphql($t, '{ one }', headers => [ Accept => $accept ]);
    is($r->status . ' ' . $r->header('Content-Type'),
       '200 application/json; charset=utf-8', "Accept: $accept");
}

$r = graphql($t, '{ one }', headers => [ Accept => uc $response ]);
is($r->header('Content-Type'), "$response; charset=utf-8",
   'Accept: the other type in upper case');
is(graphql($t, '{ one }', headers => [ Accept => 'APPLICATION/XML, x/*' ])
   ->status, 406, 'Accept: none of both');

$r = http_get('/posts?query={one}');
is($r->status . ' ' . $r->header('Allow'), '405 POST', 'methods');

$r = graphql($t, 'mutation { set(n: 1) }');
is($r->body, '{"data":{"set":4}}', 'a mutation');
is($r->header('Cache-Control'), 'no-store', 'a mutation: Cache-Control');


# failures

$r = graphql($t, '{ one gone }');
is($r->header('X-Aggregate'), 'partial; failed="Query.gone"', 'partial');
is($r->header('Cache-Control'), 'no-store', 'partial: Cache-Control');
is($r->body, '{"errors":[{"message":"Cannot fetch field Query.gone.",'
   . '"locations":[{"line":1,"column":7}],"path":["gone"],"extensions":'
   . '{"code":"FETCH_FAILED","reason":"status","http":{"status":410},'
   . '"coordinate":"Query.gone"}}],"data":{"one":1,"gone":null}}',
   'an error in full');

$r = graphql($t, '{ gone }', args => 'mask=1');
like($r->body, qr/"extensions":\{"code":"FETCH_FAILED"\}/, 'mask_errors');

$r = graphql($t, '{ dead }');
like($r->body, qr/"reason":"connect"/, 'a backend that is down');

$r = graphql($t, '{ one short }');
like($r->body, qr/"reason":"timeout".*"data":\{"one":1,"short":null\}/,
     'a deadline of a field');

$r = graphql($t, '{ slow one }');
like($r->body, qr/"reason":"timeout".*"data":\{"slow":null,"one":1\}/,
     'the deadline of the answer');

$r = graphql($t, '{ one two }', uri => '/small');
like($r->body, qr/"reason":"too_many".*"data":\{"one":1,"two":null\}/,
     'max_subrequests');
is($r->header('X-Aggregate'), 'partial; failed="Query.two"',
   'max_subrequests: partial');

$r = graphql($t, '{ ' . 'one ' x 30 . '}', uri => '/small');
like($r->body, qr/"code":"LIMIT_EXCEEDED","limit":"max_tokens"/,
     'max_tokens');

$r = graphql($t, '{ one two }', uri => '/tiny');
is($r->status . ' ' . graphql_outcome($r->body), '502 LIMIT_EXCEEDED',
   'max_response_size');


# introspection

$r = graphql($t, '{ __schema { queryType { name } } }', args => 'intro=1');
is($r->body, '{"data":{"__schema":{"queryType":{"name":"Query"}}}}',
   'introspection');
$r = graphql($t, '{ __schema { queryType { name } } }');
is(graphql_outcome($r->body), 'GRAPHQL_VALIDATION_FAILED',
   'introspection off, after it was on');
unlike(graphql($t, '{ onee }')->body, qr/one"/, 'no names are suggested');
like(graphql($t, '{ onee }', args => 'intro=1')->body, qr/Did you mean/,
     'names are suggested');


# plans

my $log = sub { (split /\n/, $t->read_file('g.log'))[-1] };

graphql($t, 'query Kept($n: Int) { echo(n: $n) }', variables => '{"n":1}');
wait_for(sub { $log->() =~ /^Kept/ }, 5);
like($log->(), qr/^Kept query miss 0 [0-9a-f]{64}$/, 'a plan is made');
graphql($t, 'query Kept($n: Int) { echo(n: $n) }', variables => '{"n":2}');
wait_for(sub { $log->() =~ /^Kept query hit/ }, 5);
is($log->(), 'Kept query hit 0 '
   . sha256_hex('query Kept($n: Int) { echo(n: $n) }'),
   'a plan is used again, for other variables');
graphql($t, 'mutation M { set(n: 1) }');
wait_for(sub { $log->() =~ /^M/ }, 5);
like($log->(), qr/^M mutation miss 0/, 'variables of a mutation');
graphql($t, '{ gone }');
wait_for(sub { $log->() =~ /^- query \w+ 1/ }, 5);
like($log->(), qr/^- query hit 1/, 'the number of errors');
graphql($t, 'query Named { hidden }');
is(($t->{backends}{b}->log('/one'))[-1]{uri}, '/one?op=Named',
   'a variable in a template');


# persisted operations

my $query = 'query Apq { one }';
my $persisted = sub {
    my ($hash, $text, $version) = @_;
    return $json->encode({
        defined $text ? (query => $text) : (),
        extensions => { persistedQuery => {
            version => $version // 1, sha256Hash => $hash } } });
};
my $hash = sha256_hex($query);

$r = graphql($t, undef, json => $persisted->($hash));
is($r->status . ' ' . graphql_outcome($r->body),
   '200 PERSISTED_QUERY_NOT_FOUND', 'APQ: not there');
like($r->body, qr/"message":"PersistedQueryNotFound"/, 'APQ: the message');
$r = graphql($t, undef, json => $persisted->($hash, $query));
is($r->body, '{"data":{"one":1}}', 'APQ: sent with its hash');
$r = graphql($t, undef, json => $persisted->($hash));
is($r->body, '{"data":{"one":1}}', 'APQ: by its hash');
$r = http_get('/graphql?extensions=' . join '', map { sprintf '%%%02X', ord }
    split //, $json->encode({ persistedQuery => { version => 1,
                              sha256Hash => uc $hash } }));
is($r->body, '{"data":{"one":1}}', 'APQ: by GET');
$r = graphql($t, undef, json => $persisted->('0' x 64, $query));
is($r->status . ' ' . graphql_outcome($r->body), '400 BAD_REQUEST',
   'APQ: another hash');
$r = graphql($t, undef, json => $persisted->($hash, $query, 2));
is($r->status, 400, 'APQ: another version');
my $bad = '{ nothing }';
graphql($t, undef, json => $persisted->(sha256_hex($bad), $bad));
$r = graphql($t, undef, json => $persisted->(sha256_hex($bad)));
is(graphql_outcome($r->body), 'PERSISTED_QUERY_NOT_FOUND',
   'APQ: a document that is not valid is not kept');

for my $n (1 .. 300) {
    my $text = "query Fill$n { one } # " . 'x' x 400;
    graphql($t, undef, json => $persisted->(sha256_hex($text), $text));
}

my $last = 'query Fill300 { one } # ' . 'x' x 400;
$r = graphql($t, undef, json => $persisted->(sha256_hex($last)));
is($r->body, '{"data":{"one":1}}', 'APQ: a full zone keeps the last');
$r = graphql($t, undef, json => $persisted->($hash));
is(graphql_outcome($r->body), 'PERSISTED_QUERY_NOT_FOUND',
   'APQ: a full zone drops the oldest');

my $large = 'query Large { one } # ' . 'x' x 20000;
$r = graphql($t, undef, json => $persisted->(sha256_hex($large), $large));
is($r->body, '{"data":{"one":1}}', 'APQ: a document over a quarter of a zone');
$r = graphql($t, undef, json => $persisted->(sha256_hex($large)));
is(graphql_outcome($r->body), 'PERSISTED_QUERY_NOT_FOUND',
   'APQ: it is not kept');
is(join(',', grep { my $text = "query Fill$_ { one } # " . 'x' x 400;
        graphql($t, undef, json => $persisted->(sha256_hex($text)))->body
            !~ /"data"/ } 280 .. 300), '', 'APQ: it evicts no others');

$t->reload;
$r = graphql($t, undef, json => $persisted->(sha256_hex($last)));
is($r->body, '{"data":{"one":1}}', 'APQ: a reload keeps the zone');


# trusted documents

my $id = sub { '{"documentId":"' . $_[0] . '"}' };

for my $uri ('/docs', '/only') {
    is(graphql($t, undef, uri => $uri, json => $id->('first'))->body,
       '{"data":{"one":1}}', "$uri: by its id");
    is(graphql($t, undef, uri => $uri, json => $id->('sha256:abc'))->body,
       '{"data":{"two":2}}', "$uri: by sha256:");
}

is(graphql($t, undef, uri => '/docs', json => $persisted->('abc'))->body,
   '{"data":{"two":2}}', 'by persistedQuery');
is(graphql($t, '{ one }', uri => '/docs')->body, '{"data":{"one":1}}',
   'a free document');
$r = graphql($t, '{ one }', uri => '/only');
is($r->status . ' ' . graphql_outcome($r->body),
   '403 PERSISTED_QUERY_ONLY', 'a free document where only');
$r = graphql($t, undef, uri => '/only', json => $id->('other'),
             headers => $both);
is($r->status . ' ' . graphql_outcome($r->body),
   '404 PERSISTED_QUERY_NOT_FOUND', 'an unknown id');
is(graphql($t, undef, uri => '/manifest', json => $id->('m1'))->body,
   '{"data":{"one":1}}', 'a manifest');
is(http_get('/only?documentId=first')->body, '{"data":{"one":1}}',
   'an id by GET');


# batches

$r = graphql($t, undef,
             json => '[{"query":"{ one }"},{"query":"{ gone }"},{"a":1}]');
is($r->status, 200, 'a batch');
like($r->body, qr/^\[\{"data":\{"one":1\}\},\{"errors":.*"data":\{"gone":null
                  \}\},\{"errors":\[\{.*"BAD_REQUEST"\}\}\]\}\]$/x,
     'a batch: its order');
$r = graphql($t, undef, json => '[' . join(',', ('{"query":"{ one }"}') x 4)
                                . ']');
is($r->status, 400, 'a batch that is too large');
is(graphql($t, undef, json => '[]')->status, 400, 'an empty batch');
is(graphql($t, undef, json => '[{"query":"{ one }"}]', uri => '/docs')
   ->status, 400, 'a batch where there are none');


# a body over client_max_body_size

my $long = '{"query":"{ one }","variables":{"a":"' . 'x' x 200 . '"}}';

$r = graphql($t, undef, json => $long, uri => '/limited');
is($r->status . ' ' . graphql_outcome($r->body), '413 BAD_REQUEST',
   'too large');
is($r->header('Content-Type'), 'application/json; charset=utf-8',
   'too large: type');
is($r->header('Vary'), 'Accept', 'too large: Vary');
$r = graphql($t, undef, json => $long, uri => '/limited', headers => $both);
is($r->status . ' ' . $r->header('Content-Type'),
   "413 $response; charset=utf-8", 'too large: the other type');
$r = http("POST /limited HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
          . "Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n"
          . "\r\n" . sprintf("%x\r\n%s\r\n0\r\n\r\n", length $long, $long));
is($r->status . ' ' . graphql_outcome($r->body), '413 BAD_REQUEST',
   'too large, chunked');
is(graphql($t, '{ one }', uri => '/limited')->status, 200, 'not too large');
is(graphql($t, undef, json => $long, uri => '/own413')->body, 'own',
   'too large: a page of its own');


# the page

$r = http_get('/graphql?ide=1', headers => [ Accept => 'text/html,*/*' ]);
is($r->header('Content-Type'), 'text/html; charset=utf-8', 'the page');
unlike($r->body, qr{(?:src|href)=|https?://|//\w}, 'it is self-contained');
is(http_get('/graphql', headers => [ Accept => 'text/html' ])->status, 406,
   'no page');
