# Unary calls of gRPC as REST: by the rules of google.api.http, by one method,
# with bodies, queries, errors and metadata.

use strict;
use warnings;

use FindBin;
use IO::Socket::INET;
use lib "$FindBin::Bin/lib";
use Test::More;

use Harness;
use Harness::Grpc qw(descriptor frame settings headers trailers field);

my $t = Harness->new(modules => [ 'ngx_http_aggregate_module' ]);

$t->plan(166);
$t->port('0');
descriptor($t, 'items.pb', 'items.proto');

my $g = Harness::Grpc->new($t, 'grpc');

# a resolver that takes what it is asked, and says nothing

my $deaf = IO::Socket::INET->new(Proto => 'udp', LocalAddr => '127.0.0.1')
    or die "udp: $!\n";

my $unavailable = settings() . frame(1, 5, "\x88"
    . field('content-type', 'application/grpc') . field('grpc-status', 14));

$t->backend('down', '*' => { raw => $unavailable, after => 'hang' });

$t->run(<<'EOC' =~ s/DEAF/$deaf->sockport/er);
%%GLOBALS%%
events { }
http {
    %%HTTP%%
    aggregate_grpc_descriptor  items.pb;
    upstream grpc { server 127.0.0.1:%%PORT_grpc%%; keepalive 4; }
    upstream two {
        server 127.0.0.1:%%PORT_down%% max_fails=0;
        server 127.0.0.1:%%PORT_grpc%% backup;
    }
    log_format  call  '$request_method $uri $upstream_status '
                      '$aggregate_grpc_status $aggregate_grpc_method '
                      '"$http_accept" $content_length';
    access_log  %%TESTDIR%%/call.log call;
    log_format  mapped  '$uri $tenant';
    access_log  %%TESTDIR%%/mapped.log mapped;
    map $arg_wait_ms $tenant { default none; 1 seven; }
    resolver    127.0.0.1:DEAF;
    map $content_length $has_length { default 1; '' 0; }
    server {
        listen 127.0.0.1:%%PORT_0%%;
        client_body_buffer_size 1k;

        location /v1/ {
            aggregate_grpc  t.v1.Items;
            grpc_pass       grpc://grpc;
        }
        location /auto/ {
            aggregate_grpc  t.v1.Items auto strip=/auto;
            grpc_pass       grpc://grpc;
        }
        location = /get {
            aggregate_grpc  t.v1.Items/Get;
            grpc_pass       grpc://grpc;
        }
        location = /plain {
            aggregate_grpc  t.v1.Items/Plain;
            grpc_pass       grpc://grpc;
        }
        location /rewritten/ {
            rewrite         ^/rewritten(/.*)$ $1 break;
            aggregate_grpc  t.v1.Items;
            grpc_pass       grpc://grpc;
        }
        location /set/ {
            if ($has_length) { set $x 1; }
            aggregate_grpc   t.v1.Items strip=/set;
            grpc_set_header  x-accept $http_accept;
            grpc_set_header  x-host $http_host;
            grpc_set_header  x-uri $request_uri;
            grpc_set_header  x-method $request_method;
            grpc_set_header  x-drop '';
            grpc_set_header  x-args '$args $query_string $is_args $arg_wait_ms';
            grpc_set_header  x-path '$uri $document_uri';
            grpc_set_header  x-tenant $tenant;
            grpc_pass        grpc://grpc;
        }
        location /status/ {
            aggregate_grpc         t.v1.Items strip=/status;
            aggregate_grpc_errors  status;
            grpc_pass              grpc://grpc;
        }
        location /print/ {
            aggregate_grpc        t.v1.Items strip=/print;
            aggregate_grpc_print  always_print_primitive_fields enums_as_ints
                                  preserve_proto_field_names;
            grpc_pass             grpc://grpc;
        }
        location /loose/ {
            aggregate_grpc                 t.v1.Items strip=/loose;
            aggregate_grpc_ignore_unknown  on;
            grpc_pass                      grpc://grpc;
        }
        location /some/ {
            aggregate_grpc                 t.v1.Items strip=/some;
            aggregate_grpc_ignore_unknown  utm_source;
            grpc_pass                      grpc://grpc;
        }
        location /timeout/ {
            aggregate_grpc          t.v1.Items strip=/timeout;
            aggregate_grpc_timeout  500ms;
            grpc_pass               grpc://grpc;
        }
        location /resolve/ {
            set $where              grpc://nobody.test:1;
            aggregate_grpc          t.v1.Items strip=/resolve;
            aggregate_grpc_timeout  300ms;
            grpc_pass               $where;
        }
        location /next/ {
            aggregate_grpc      t.v1.Items strip=/next;
            grpc_next_upstream  error http_503;
            grpc_pass           grpc://two;
        }
        location /one/ {
            aggregate_grpc      t.v1.Items strip=/one;
            grpc_next_upstream  off;
            grpc_pass           grpc://two;
        }
        location /intercept/ {
            aggregate_grpc         t.v1.Items strip=/intercept;
            grpc_intercept_errors  on;
            error_page             404 = /page;
            error_page             503 = @named;
            grpc_pass              grpc://grpc;
        }
        location /dead/ {
            aggregate_grpc  t.v1.Items strip=/dead;
            grpc_pass       grpc://127.0.0.1:1;
        }
        location /dead_page/ {
            aggregate_grpc  t.v1.Items strip=/dead_page;
            error_page      502 = /page;
            grpc_pass       grpc://127.0.0.1:1;
        }
        location /tiny/ {
            client_max_body_size  100;
            aggregate_grpc        t.v1.Items strip=/tiny;
            grpc_pass             grpc://grpc;
        }
        location = /page { return 200 "page"; }
        location @named { return 200 "named"; }
    }
}
EOC

sub post {
    my ($uri, $body, @headers) = @_;

    return http_request(POST => $uri, body => $body, headers =>
        [ @headers ? @headers : ('Content-Type' => 'application/json') ]);
}

# rules

my $r = http_get('/v1/items/7');
is($r->status, 200, 'a call');
is($r->header('Content-Type'), 'application/json', 'its type');
is($r->body, '{"id":"7","name":"n7","kind":"KIND_BOOK",'
    . '"priceCents":"9007199254740993","tags":["a","b"],'
    . '"part":{"name":"p","n":1},"created":"2023-11-14T22:13:20Z",'
    . '"stock":{"x":1}}', 'its JSON');
is($r->header('Content-Length'), length $r->body, 'its length');
is($r->header('Trailer'), undef, 'no trailers');

is(http_get('/v1/shelves/a/items/b%2Fc')->json->{id},
   'shelves/a/items/b%2Fc', 'a variable of more segments');
is(http_get('/v1/items/a%2Fb')->json->{id}, 'a/b', 'a variable of one');
is(http_get('/v1/items/a:b')->json->{id}, 'a:b', 'a colon');
is(http_get('/v1/items/%C3%A9')->body =~ /"id":"\xc3\xa9"/, 1, 'UTF-8');
is(http_get('/v1/items/%ff')->status, 400, 'invalid UTF-8');
is_deeply(http_get('/v1/parts/x/5')->json->{part}, { name => 'x', n => 5 },
          'nested variables');
is(http_get('/v1/parts/x/y')->status, 400, 'a number that is none');
is(post('/v1/items/7:cancel', '{"fields":[]}')->json->{name}, 'gone',
   'a verb');
is(http_request(DELETE => '/v1/items/7')->body, '{}', 'DELETE, Empty');
is(http_request(PURGE => '/v1/items')->body, '{}', 'a custom kind');
is(http_request(PATCH => '/v1/items/9',
                body => '{"name":"x"}')->body, '{"id":"9","name":"x"}',
   'PATCH, a field as the body');
is(http_get('/v1/items?n=2')->json->[1]{id}, '1', 'response_body');
is(http_get('/v1/items')->body, '[]', 'which is empty');

$r = post('/v1/items?dryRun=true',
          '{"id":"1","priceCents":9007199254740993,"kind":2,'
          . '"created":"2024-01-01T00:00:00.5Z","stock":{"a":1},'
          . '"blob":"AQ=="}');
is($r->body, '{"id":"1","kind":"KIND_PEN","priceCents":"9007199254740993",'
    . '"tags":["true"],"created":"2024-01-01T00:00:00.500Z","stock":{"a":1},'
    . '"blob":"AQ=="}', 'a body and a query');

is(http_get('/v1/items/1?fields=a&fields=b')->json->{tags}[1], 'b',
   'a repeated parameter');
is(http_get('/v1/items/1?part.name=q&part.n=3')->json->{part}{n}, 3,
   'a nested parameter');
is(http_get('/v1/items/1?kind=KIND_PEN&name=a%20b+c')->status, 200,
   'an enum, percent-encoding');

# refused

for my $case (
    [ '/v1/nothing', 404, qr/no method/ ],
    [ '/v1/items/', 404, qr/no method/ ],
    [ '/v1/items/a/b', 404, qr/no method/ ],
    [ '/v1/items/1?nosuch=1', 400, qr/nosuch/ ],
    [ '/v1/items/1?name=a&name=b', 400, qr/name/ ],
    [ '/v1/items/1?id=2', 400, qr/id/ ],
    [ '/v1/items/1?part=2', 400, qr/part/ ],
    [ '/v1/items/1?kind=NOSUCH', 400, qr/kind/ ],
    [ '/v1/items/1?part.n=x', 400, qr/part\.n.*int32/ ],
    [ '/v1/items/1?name=%zz', 400, qr/percent/ ],
    [ '/v1/items/1?name=%ff', 400, qr/name/ ],
    [ '/v1/items/../items/1', 400, qr/invalid path/ ],
    [ '/v1/items/%2e%2e/items/1', 400, qr/invalid path/ ],
    [ '/v1/items/..%2fitems', 400, qr/invalid path/ ],
) {
    my ($uri, $status, $detail) = @$case;

    $r = http_get($uri);
    is($r->status, $status, "$uri: status");
    is($r->header('Content-Type'), 'application/problem+json', "$uri: type");
    like($r->json->{detail}, $detail, "$uri: detail");
}

for my $case (
    [ '{"part":{"n":"x"}}', qr/part\.n: / ],
    [ '{"tags":["a",1]}', qr/tags\[1\]: / ],
    [ '{"nosuch":1}', qr/nosuch/ ],
    [ '{"id":"1","id":"2"}', qr/id/ ],
    [ '{', qr/./ ],
    [ '[]', qr/./ ],
    [ '{} x', qr/./ ],
) {
    $r = post('/v1/items', $case->[0]);
    is($r->status, 400, "$case->[0]: status");
    like($r->json->{detail}, $case->[1], "$case->[0]: detail");
}

is(post('/v1/echo', 'null')->status, 400, 'null as a message');
is(post('/v1/fail?code=5', '{}')->status, 400, 'a query beside body: "*"');

$r = http_request(PUT => '/v1/items/1');
is($r->status, 405, 'a method that has no rule');
is($r->header('Allow'), 'DELETE, GET, HEAD, PATCH', 'those that have');
is(post('/v1/items', 'a=1', 'Content-Type' =>
        'application/x-www-form-urlencoded')->status, 415, 'a type');
is(post('/v1/items', '{}', 'Content-Type' => 'application/x+json; a=b')->status,
   200, 'another');
is(post('/tiny/v1/items', '{"name":"' . 'x' x 200 . '"}')->status, 413,
   'a large body');

my $c = $t->connect;
$c->request(GET => '/v1/items/1?nosuch=1');
$c->request(GET => '/v1/items/1');
is($c->response->status . $c->response->status, '400200',
   'a refusal keeps the connection');

# one method

is(post('/get', '{"id":"3"}')->json->{id}, '3', 'one method by POST');
is(http_get('/get?id=3')->json->{id}, '3', 'by GET, as it has no effects');
is(post('/get?id=3', '{}')->status, 400, 'POST has no query');
$r = http_get('/plain?text=x');
is($r->status . ' ' . $r->header('Allow'), '405 POST', 'not by GET');
is(post('/plain', '{"text":"x"}')->json->{method}, '/t.v1.Items/Plain',
   'but by POST');
is(post('/plain', '')->json->{text}, undef, 'an empty body');
is(post('/auto/t.v1.Items/Plain', '{"text":"y"}')->json->{text}, 'y', 'auto');
is(http_get('/auto/v1/items/1')->json->{id}, '1', 'beside rules');
is(http_get('/rewritten/v1/items/1')->json->{id}, '1', 'rewritten');

# printing

$r = http_get('/print/v1/itemlist?n=1');
like($r->body, qr/"price_cents":"9007199254740993"/, 'names of the file');
like($r->body, qr/"kind":1/, 'enums as numbers');
like($r->body, qr/"blob":""/, 'fields with their defaults');

is(post('/loose/v1/items?x=1', '{"nosuch":1,"id":"4"}')->json->{id}, '4',
   'unknown names are passed over');
is(http_get('/some/v1/items/1?utm_source=x')->status, 200, 'or some of them');
is(http_get('/some/v1/items/1?utm_x=x')->status, 400, 'and no others');

# errors

$r = http_get('/v1/fail?code=5&text=' . 'no%20%22x%22');
is($r->status, 404, 'a mapped status');
is($r->body, '{"status":404,"title":"Not Found","code":"NOT_FOUND",'
    . '"detail":"no \"x\"","details":[]}', 'as a problem');
is($r->header('X-Trailing'), undef, 'trailing metadata are not sent');
is(http_get('/status/v1/fail?code=5&text=a')->body,
   '{"code":5,"message":"a","details":[]}', 'as google.rpc.Status');
is(http_get('/status/v1/fail?code=5&text=a')->header('Content-Type'),
   'application/json', 'of this type');

$r = http_get('/v1/fail?code=14&details=retry,bad,debug,unknown,item');
is($r->status, 503, 'UNAVAILABLE');
is($r->header('Retry-After'), 3, 'with its RetryInfo');
is(scalar @{ $r->json->{details} }, 4, 'details without DebugInfo');
like($r->body, qr/"retryDelay":"2\.500s"/, 'built-in types');
like($r->body, qr/"fieldViolations":\[\{"field":"item\.name"/, 'more of them');
like($r->body, qr/"\@type":"type\.googleapis\.com\/t\.v1\.Nothing",
                  "value":"CAE="/x, 'an unknown type');
like($r->body, qr/t\.v1\.Item","id":"i1"/, 'one of the descriptors');
unlike($r->body, qr/secret/, 'no stack');

is(http_get("/v1/fail?code=$_->[0]&header_first=true")->status, $_->[1],
   "code $_->[0] in a trailer") for [ 1, 499 ], [ 8, 429 ], [ 16, 401 ];

$r = http_get('/dead/v1/items/1');
is($r->status, 502, 'no backend');
is($r->json->{status}, 502, 'with a body of ours');
is(http_get('/dead_page/v1/items/1')->body, 'page', 'or an error page');
is(http_get('/intercept/v1/items/none')->body, 'page',
   'grpc_intercept_errors');
is(http_get('/intercept/v1/fail?code=14')->body, 'named', 'a named location');
is(http_get('/next/v1/items/1')->status, 200, 'grpc_next_upstream');
is(http_get('/one/v1/items/1')->status, 503, 'is not asked otherwise');

# metadata

my $echo = http_get('/v1/echo/a/b', headers => [
    'X-A' => 1, 'Authorization' => 'Bearer x', 'Accept' => 'a/b',
    'Accept-Language' => 'en', 'Content-Language' => 'de', 'Range' => 'x',
    'Grpc-Encoding' => 'gzip', 'Grpc-Own' => 'x', 'X-Hop' => 1,
    'Connection' => 'X-Hop',
    'TE' => 'gzip', 'Keep-Alive' => 'x', 'If-None-Match' => '"e2"' ]);
my $metadata = $echo->json->{metadata};

is($echo->json->{text}, 'a/b', 'echo');
is($metadata->{'x-a'}, 1, 'a header is metadata');
is($metadata->{authorization}, 'Bearer x', 'and this one');
is(join(' ', grep { /^(?:accept|range|grpc|x-hop|keep|content-lang)/ }
         sort keys %$metadata), '', 'others are not');
is($echo->header('X-Initial'), 'yes', 'initial metadata are headers');

# one more is "close"

for my $n (30, 31, 32) {
    $metadata = http_get('/v1/echo/x', headers => [ 'X-A' => 1, 'X-Hop' => 1,
        Connection => join ', ', (map { "x-$_" } 1 .. $n - 1), 'x-hop' ])
        ->json->{metadata};
    is($metadata->{'x-hop'}, undef, "the last of $n in Connection");
    is($metadata->{'x-a'}, $n > 31 ? undef : 1, "of $n: others");
}

$metadata = post('/set/v1/echo', '{"text":"x"}',
    'Content-Type' => 'application/json', Accept => 'a/b', 'X-Drop' => 1)
    ->json->{metadata};
is($metadata->{'x-accept'}, 'a/b', 'variables are the client\'s');
is($metadata->{'x-host'}, 'localhost', 'the host');
is($metadata->{'x-uri'}, '/set/v1/echo', 'the URI');
is($metadata->{'x-method'}, 'POST', 'the method');
is($metadata->{'x-drop'}, undef, 'a header that is taken off');

$metadata = http_get('/set/v1/echo/a?wait_ms=1')->json->{metadata};
is($metadata->{'x-args'}, 'wait_ms=1 wait_ms=1 ? 1', 'the query');
is($metadata->{'x-path'}, '/set/v1/echo/a /set/v1/echo/a', 'the path');
is($metadata->{'x-method'}, 'GET', 'the method of another request');
is($metadata->{'x-tenant'}, 'seven', 'a map of an argument');
my $mapped = qr{^/set/v1/echo/a seven$}m;
like($t->read_when('mapped.log', $mapped), $mapped,
     'and what it is afterwards');

# deadlines

is(http_get('/v1/echo/x')->json->{deadlineMs}, undef, 'no deadline');
my $left = http_get('/v1/echo/x', headers => [ 'Grpc-Timeout' => '2S' ])
    ->json->{deadlineMs};
ok($left > 1000 && $left <= 2000, 'the client\'s');
$left = http_get('/timeout/v1/echo/x', headers => [ 'Grpc-Timeout' => '2S' ])
    ->json->{deadlineMs};
ok($left && $left <= 500, 'or the directive\'s, the least');
is(http_get('/v1/echo/x', headers => [ 'Grpc-Timeout' => '2X' ])->status, 400,
   'one that is invalid');
$r = http_get('/timeout/v1/echo/x?wait_ms=5000');
is($r->status . $r->json->{code}, '504DEADLINE_EXCEEDED', 'which is over');
is($g->line(slow(5)), 'cancelled', 'and the call is cancelled');

$r = http_get('/resolve/v1/items/1');
is($r->status . $r->json->{code}, '504DEADLINE_EXCEEDED',
   'and while a name is resolved');

# HttpBody

$r = http_get('/v1/pages/x');
is($r->body, '<p>x</p>', 'HttpBody');
is($r->header('Content-Type'), 'text/html; charset=utf-8', 'of its type');
is(post('/v1/upload', 'abc', 'Content-Type' => 'text/plain')->body,
   '{"total":"3","count":10}', 'and the other way');

# streams of clients

is(post('/v1/sum', '[{"n":1},{"n":"2"},{"n":3}]')->body,
   '{"total":"6","count":3}', 'an array');
is(post('/v1/sum', "{\"n\":1}\n\n{\"n\":5}\n", 'Content-Type' =>
        'application/x-ndjson')->body, '{"total":"6","count":2}', 'lines');
is(post('/v1/sum', '[]')->body, '{}', 'no message');
is(post('/v1/sum?n=1', '[]')->status, 400, 'and a query');
is(post('/v1/sum?n=1', '', 'Content-Type' => 'application/x-ndjson')->status,
   400, 'beside no line, too');
is(post('/v1/sum', '{"n":1}')->status, 400, 'no array');
is(post('/v1/sum', '[{"n":1},{"n":"x"}]')->status, 400, 'a bad one');

my $log = $t->read_file('call.log');

like($log, qr{^GET /page 404 5 }m, 'a redirect has its own URI');

like($log, qr{^GET /v1/items/7 200 0 t\.v1\.Items/Get "-" -$}m, 'the log');
like($log, qr{^GET /v1/nothing - - - "-" -$}m, 'without a call');
like($log, qr{^POST /set/v1/echo 200 0 t\.v1\.Items/Echo "a/b" 12$}m,
     'what the client sent is logged');
