# What a backend, a client or the configuration does that is out of the
# ordinary, and the right answer to it.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use Test::More;

use Harness;
use Harness::Aggregate;

my $t = Harness->new(modules => ['ngx_http_aggregate_module']);

my $b = $t->backend('b',
    '/1' => '1',
    '/write' => sub {
        my ($q) = @_;
        my %h = map { lc $_->[0] => $_->[1] } @{ $q->{headers} };
        return '"' . join(',', map { $h{"if-$_"} || '-' }
            qw(match none-match unmodified-since modified-since range)) . '"';
    },
    '/endless404' => { status => 404, endless => 'x' x 100, drip => 0.01 },
    '/stalled503' => [ { status => 503, length => 100, cut => 5,
                         body => 'x' x 100, after => 'hang' }, '"there"' ],
    '/endless503' => [ { status => 503, endless => 'x' x 100, drip => 0.01 },
                       '"there"' ],
    '/big' => '"' . 'x' x 3_000_000 . '"',
    '/slow' => { delay => 10 },
    '/halfway' => { length => 100, body => '1', after => 'hang' },
    '/404' => { status => 404 },
    '/503' => { status => 503, headers => [ 'Retry-After' => 17 ] },
    '/206' => { status => 206, body => '206' },
    '/bom' => "\xef\xbb\xbf{\"a\":1}",
    '/bomdrip' => { body => "\xef\xbb\xbf{\"a\":1}", drip => 0.01 },
    '/list' => '{"items":[{"p":"1"},{"p":"2"},7]}',
    '/dots' => '".."',
    '/fail/' => sub {
        my ($json) = $_[0]{uri} =~ /\?(.*)/;
        return $json =~ s/%([0-9a-f]{2})/chr hex $1/gier;
    },
    '/uri/' => sub { return '"' . $_[0]{uri} . '"' },
    '/raw/uri/' => sub { return '"' . $_[0]{uri} . '"' },
    '/echo' => sub { return length $_[0]{body} });

my $early = { raw => "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"
              . "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n5" };

$b->set('/early' => $early);
$b->set('/early404' => { raw => $early->{raw} =~ s/200 OK/404 No/r });
$b->set('/earlies' => { steps => [
    [ send => "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 10" ], [ wait => 0.05 ],
    [ send => "2 Processing\r\n\r\n" ], [ wait => 0.05 ],
    [ send => "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n6" ] ] });

my @conditions = map { ("If-$_") } qw(Match None-Match Unmodified-Since
    Modified-Since Range);
my %date = map { $_ => 'Sat, 01 Jan 2000 00:00:00 GMT' } @conditions;
my $put = { method => 'PUT', body => 'x', headers => [
    'If-Match' => 'm', 'If-None-Match' => '*',
    'If-Unmodified-Since' => $date{'If-Unmodified-Since'},
    'If-Modified-Since' => $date{'If-Modified-Since'}, 'If-Range' => '"r"',
    'Content-Type' => 'text/plain' ] };
my $passed = "m,*,$date{'If-Match'},-,-";

sub fails {
    my ($name, $path, $json, $fails, $more) = @_;
    $json =~ s/([^\w.-])/sprintf '%%%02x', ord $1/ge;
    return [ "fail_on: $name", "backend a '/b/fail/x?$json' { fail_on $path; "
             . ($more || '') . ' } backend b /b/1 { }',
             $fails ? '200 partial:a {"b":1}' : qr/^200 complete \{"a":/ ];
}

sub fanned {
    my ($name, $path, $json, $wanted, $shape) = @_;
    $json =~ s/([^\w.-])/sprintf '%%%02x', ord $1/ge;
    return [ "each: $name", "backend l '/b/fail/x?$json' { "
             . ($shape || '') . " } backend x /b/uri/\${item.p} { each $path;
             into x; }",
             defined $wanted ? '200 complete {"l":'
                               . $wanted =~ s{"x":"}{"x":"/uri/}gr . '}'
                             : qr/^200 partial:x \{"l":/ ];
}

sub slash {
    my ($name, $value, $wanted, $uri, $more) = @_;
    $uri ||= '/b/uri/$arg_x/z';
    return [ "encoded_slash: $name", "backend a $uri { encoded_slash on;
             required; " . ($more || '') . ' }', $wanted, args => "x=$value" ];
}

sub part { return "methods GET PUT POST; backend a $_[0]" }

my @cases = (
    [ 'the conditions of a write',
      part('/b/write { method PUT; body request; }'),
      "200 complete {\"a\":\"$passed\"}", %$put ],
    [ 'though nothing else is forwarded',
      part('/b/write { method PUT; body request; forward none; }'),
      "200 complete {\"a\":\"$passed\"}", %$put ],
    [ 'not without the body', part('/b/write { method PUT; }'),
      '200 complete {"a":"-,-,-,-,-"}', %$put ],
    [ 'not with a safe method', part('/b/write { body request; }'),
      '200 complete {"a":"-,-,-,-,-"}', %$put ],
    [ 'of several parts those only',
      part('/b/write { method PUT; body request; }
      backend b /b/write { } backend c /b/write { body request; }'),
      "200 complete {\"a\":\"$passed\",\"b\":\"-,-,-,-,-\","
      . "\"c\":\"-,-,-,-,-\"}", %$put ],

    [ 'a 404 without an end',
      'timeout 20s; backend a /b/endless404 { required; }',
      '404 {"a":"status"}' ],
    [ 'a 503 without an end is tried again',
      'timeout 20s; concurrency 1; backend a /b/endless503 { retry 1; }',
      '200 complete {"a":"there"}' ],
    [ 'and one that stalls',
      'timeout 20s; concurrency 1; backend a /b/stalled503 { retry 1; }',
      '200 complete {"a":"there"}' ],
    [ 'an early 103', 'backend a /b/early { }', '200 complete {"a":5}' ],
    [ 'before a 404', 'backend a /b/early404 { required; }',
      '404 {"a":"status"}' ],
    [ 'two of them, in pieces', 'backend a /b/earlies { }',
      '200 complete {"a":6}' ],

    [ 'HEAD of what is large', 'backend a /b/big { method HEAD; }',
      '200 complete {"a":null}' ],
    [ 'in a string', 'backend a /b/big { method HEAD; encoding string; }',
      '200 complete {"a":null}' ],

    [ 'a byte-order mark', 'backend a /b/bom { }',
      '200 complete {"a":{"a":1}}' ],
    [ 'one byte at a time', 'backend a /b/bomdrip { allow a; }',
      '200 complete {"a":{"a":1}}' ],
    [ 'a 206', 'backend a /b/206 { required; }', '502 {"a":"status"}' ],
    [ '206 by its name', 'backend a /b/206 { accept 206; }',
      '200 complete {"a":206}' ],
    [ '206 among others', 'backend a /b/206 { accept 2xx 404; required; }',
      '502 {"a":"status"}' ],

    [ 'a body of 4k where 1k may be sent',
      'methods POST; backend a /small/echo { method POST; body request; }',
      '200 complete {"a":4000}', method => 'POST', body => 'x' x 4000 ],
    [ 'a template of 4k there', 'methods POST; backend v /b/4k { hidden; }
      backend a /small/echo { method POST; body \'${v.}\'; required; }',
      '200 complete {"a":4002}', method => 'POST' ],
    [ 'nginx\'s own 413', 'backend a /return413 { required; }',
      '502 {"a":"too_large"}' ],

    [ 'a client\'s bad value', 'backend a /b/$arg_x/y { required; }',
      '400 {"a":"bad_uri"}', args => 'x=..' ],
    [ 'in a header', 'backend a /b/1 { header X-A $ctl; required; }',
      '400 {"a":"bad_uri"}' ],
    [ 'a backend\'s', 'backend v /b/dots { hidden; }
      backend a /b/${v.}/y { required; }', '502 {"a":"bad_uri"}' ],
    [ 'both', 'backend v /b/dots { hidden; }
      backend a /b/${v.}/$arg_x { required; }', '502 {"a":"bad_uri"}',
      args => 'x=..' ],
    [ 'one bad with another that is good', 'backend v /b/1 { hidden; }
      backend a /b/${v.}/$arg_x { required; }', '400 {"a":"bad_uri"}',
      args => 'x=..' ],
    [ 'in all elements', 'backend l /b/list { hidden; }
      backend a /b/$arg_x/${item.p} { each l.items; required; }',
      '400 {"a":"bad_uri"}', args => 'x=..' ],
    [ 'of a part that is not required', 'backend a /b/$arg_x/y { }
      backend b /b/1 { }', '200 partial:a {"b":1}', args => 'x=..' ],

    fails('a value', 'errors', '{"errors":[1]}', 1),
    fails('an object', 'errors', '{"errors":{}}', 1),
    fails('zero', 'errors', '{"errors":0}', 1),
    fails('none', 'errors', '{"data":1}', 0),
    fails('null', 'errors', '{"errors":null}', 0),
    fails('false', 'errors', '{"errors":false}', 0),
    fails('an empty array', 'errors', '{"errors":[ ]}', 0),
    fails('the second of two', 'errors error', '{"error":"x"}', 1),
    fails('of two members of one name', 'e', '{"e":1,"e":null}', 1),
    fails('in elements', '[].e', '[{"e":null},{},7,{"e":1}]', 1),
    fails('in no element', '[].e', '[{"e":null},{},7,[1]]', 0),
    fails('in the last one', 'a[-1].e', '{"a":[{"e":1},{"e":2}]}', 1),
    fails('not in that one', 'a[0].e', '{"a":[{"e":null},{"e":2}]}', 0),
    fails('any member', 'a.*.b', '{"a":{"x":{"b":null},"y":{"b":1}}}', 1),
    fails('as it came', 'errors', '{"errors":[1],"d":{}}', 1, 'target d;'),
    fails('what is shaped away', 'e', '{"e":1,"d":1}', 1, 'deny e;'),
    fails('escaped', 'errors', '{"\u0065rrors":[1]}', 1),
    [ 'fail_on and a shape', 'backend a \'/b/fail/x?{"d":{"p":1,"q":2}}\' {
      fail_on e; target d; allow p; }', '200 complete {"a":{"p":1}}' ],
    [ 'fail_on, a shape, and another part', 'backend a
      \'/b/fail/x?{"d":{"p":"1","q":2}}\' { fail_on e; target d; deny p; }
      backend b /b/${a.p} { }', '200 complete {"a":{"q":2},"b":1}' ],
    [ 'fail_on and a default', 'backend a \'/b/fail/x?{"e":1}\' { fail_on e;
      default 7; } backend b /b/1 { }', '200 partial:a {"a":7,"b":1}' ],
    [ 'fail_on in each element', 'backend l /b/list { hidden; }
      backend a \'/b/fail/x?{"e":${item.p}}\' { each l.items; fail_on e; }',
      '200 partial:a {"a":[null,null,null]}' ],

    fanned('two arrays of one name', 'l.i', '{"i":[{"p":1}],"i":[{"p":2}]}',
         '{"i":[{"p":1}],"i":[{"p":2,"x":"2"}]}'),
    fanned('of different lengths', 'l.i',
         '{"i":[{"p":1},{"p":2},{"p":3}],"i":[{"p":4}]}',
         '{"i":[{"p":1},{"p":2},{"p":3}],"i":[{"p":4,"x":"4"}]}'),
    fanned('on the way', 'l.a.i',
         '{"a":{"i":[{"p":1}]},"a":{"i":[{"p":2}]}}',
         '{"a":{"i":[{"p":1}]},"a":{"i":[{"p":2,"x":"2"}]}}'),
    fanned('shaped', 'l.i', '{ "z":1, "i":[{"p":1}], "i":[{"p":2,"q":3}]}',
         '{"i":[{"p":1}],"i":[{"p":2,"x":"2"}]}', 'allow i[].p;'),
    fanned('an index from the end', 'l.i',
         '{"z":1,"i":[{"p":1}],"i":[{"p":2},{"p":3}]}',
         '{"z":1,"i":[{}],"i":[{"p":2,"x":"2"},{"x":"3"}]}', 'deny i[-1].p;'),
    fanned('two elements of one name', 'l.i', '{"i":[{"p":1,"p":2}]}',
         '{"i":[{"p":1,"p":2,"x":"2"}]}'),
    fanned('the second is no array', 'l.i', '{"i":[{"p":1}],"i":7}', undef),

    [ 'move within elements', 'backend a \'/b/fail/x?{"f":[{"m":{"t":1,"u":2}},'
      . '{"m":{"t":3}}]}\' { move f[].m.t f[].t; }',
      '200 complete {"a":{"f":[{"m":{"u":2},"t":1},{"m":{},"t":3}]}}' ],

    slash('one', 'a/b', '200 complete {"a":"/uri/a%2Fb/z"}'),
    slash('encoded', 'a%2fb', '200 complete {"a":"/uri/a%2Fb/z"}'),
    slash('several', '/a//b/', '200 complete {"a":"/uri/%2Fa%2F%2Fb%2F/z"}'),
    slash('none', 'ab', '200 complete {"a":"/uri/ab/z"}'),
    slash('with others', 'a/b%20%25%3f%23%2541',
          '200 complete {"a":"/uri/a%2Fb%20%25%3F%23%2541/z"}'),
    slash('dots', 'a/../b', '400 {"a":"bad_uri"}'),
    slash('dots at the end', 'a/..', '400 {"a":"bad_uri"}'),
    slash('one dot', './a', '400 {"a":"bad_uri"}'),
    slash('others are refused', 'a/b%5cc', '400 {"a":"bad_uri"}'),
    slash('nothing', '', '400 {"a":"bad_uri"}'),
    slash('another location is not reached', 'secret/x',
          '200 complete {"a":"/uri/secret%2Fx/z"}'),
    slash('nor by a regular expression', 'secret.php/x',
          '200 complete {"a":"/uri/secret.php%2Fx/z"}'),
    slash('arguments', 'a/b', '200 complete {"a":"/uri/x?a%2Fb"}',
          '/b/uri/x?$arg_x'),
    slash('in a location without a URI', 'a%20b/c',
          '200 complete {"a":"/raw/uri/a%20b%2Fc"}', '/raw/uri/$arg_x'),
    slash('again', 'a/b', '200 complete {"a":"/uri/a%2Fb"}',
          '/b/uri/$arg_x', 'retry 1;'),
    [ 'a backend\'s slash', 'backend v /b/path { hidden; }
      backend a /b/uri/${v.} { encoded_slash on; }',
      '200 complete {"a":"/uri/p%2Fq"}' ],
);

# status of a failure: what the backend sent
my @statuses = (
    [ 'backend a /b/slow { timeout 50ms; }', 'a:timeout:null' ],
    [ 'backend a /b/halfway { timeout 50ms; }', 'a:timeout:200' ],
    [ 'backend a /dead/1 { }', 'a:connect:null' ],
    [ 'backend a /b/404 { }', 'a:status:404' ],
    [ 'backend a /short/slow { }', 'a:timeout:null' ],
    [ 'backend a /b/$arg_none/x { }', 'a:bad_uri:null' ],
    [ 'backend l /b/list { } backend a /b/${item.p} { each l.items; into x; }',
      'a:status:404' ],
    [ 'backend l /b/list { } backend a /b/1 { each l.items; into x; }',
      'a:dependency:null' ],
    [ 'backend a /return413 { }', 'a:too_large:null' ],
);

my @errors = map {
    [ $_->[1], "errors e; backend one /b/1 { } $_->[0]", undef ] } @statuses;

my $retry_after = [ 'a 503', 'backend a /b/503 { required; }',
                    '503 {"a":"status"}' ];
my $each503 = [ 'a 503 of an element', 'backend l /b/list { hidden; }
    backend a /b/503?${item.p} { each l.items; required; }',
    '503 {"a":"status"}' ];

$b->set('/path' => '"p/q"');
$b->set('/4k' => '"' . 'x' x 4000 . '"');

$t->plan(@cases + @errors + 4);

serve($t, cases => [ @cases, @errors, $retry_after, $each503 ],
    http => "client_max_body_size 1m; map \$uri \$ctl { default 'a\x01b'; }",
    server => q{
    location /short/ { internal; proxy_pass http://127.0.0.1:%%PORT_b%%/;
                       proxy_read_timeout 80ms; }
    location /small/ { internal; client_max_body_size 1k;
                       proxy_pass http://127.0.0.1:%%PORT_b%%/; }
    location /b/uri/secret/ { internal; return 403; }
    location ~ \.php/ { internal; return 403; }
    location /raw/ { internal; proxy_pass http://127.0.0.1:%%PORT_b%%; }
    location /return413 { internal; return 413; }
});

check($t, @cases, $retry_after, $each503);

for my $i (0 .. $#errors) {
    my $r = http_get(case_uri($errors[$i]));
    is(join(' ', map { my $e = $_; join ':', map { $e =~ /"$_":"?(\w+)/ }
                 qw(backend reason status) }
             $r->body =~ /(\{"backend"[^}]*\})/g),
       $statuses[$i][1], "status: $statuses[$i][0]");
}

is(http_get(case_uri($retry_after))->header('Retry-After'), 17,
   'a 503 with its Retry-After');
is(http_get(case_uri($each503))->header('Retry-After'), 17,
   'one of an element, too');
