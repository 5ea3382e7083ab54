# The client's body, and bodies made of a template.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use Test::More;

use Harness;
use Harness::Aggregate;

my $t = Harness->new(modules => ['ngx_http_aggregate_module']);

my $b = $t->backend('b',
    '/' => '1',
    '/v' => '{"n":12345678901234567890,"f":1.0,"s":"q\"\u00e9","o":{"b":1,'
            . '"a":[ 2, {"c":null} ],"b":3},"l":[],"t":true,"z":null}',
    '/500' => { status => 500 },
    '/echo' => sub { { body => $_[0]{body} } },
    '/again' => sub {
        my ($q) = @_;
        return { status => 503 } if $q->{number} % 2;
        return { body => $q->{body} };
    },
);

my $small = '{"a":"small"}';
my $large = '{"a":"' . join('', map { chr(97 + $_ % 26) } 1 .. 100_000) . '"}';

sub made {
    my ($template, $block) = @_;
    return "backend v /b/v { hidden; } backend e /b/echo { method POST;
            body '$template'; } " . ($block || '');
}

my $v = '"v":{"n":12345678901234567890';

my @cases = (
    [ 'a constant', made('{"a":[1,2.0,"x"]}'),
      '200 complete {"e":{"a":[1,2.0,"x"]}}' ],
    [ 'a constant that is no object', made('12'), '200 complete {"e":12}' ],
    [ 'a number of a part', made('{"x":${v.n}}'),
      '200 complete {"e":{"x":12345678901234567890}}' ],
    [ '1.0', made('[${v.f}]'), '200 complete {"e":[1.0]}' ],
    [ 'a string, its escapes as they are', made('{"x":${v.s}}'),
      '200 complete {"e":{"x":"q\"\u00e9"}}' ],
    [ 'an object, byte for byte', made('{"x":${v.o},"y":1}'),
      '200 complete {"e":{"x":{"b":1,"a":[2,{"c":null}],"b":3},"y":1}}' ],
    [ 'an empty array, true and null',
      made('[${v.l},${v.t},${v.z}]'), '200 complete {"e":[[],true,null]}' ],
    [ 'nothing there: null', made('{"x":${v.no.such},"y":${v.l[0]}}'),
      '200 complete {"e":{"x":null,"y":null}}' ],
    [ 'the whole', made('${v.}'),
      qr/^200 complete \{"e":\{"n":12345678901234567890,"f":1.*:null\}\}$/ ],
    [ 'a variable', made('{"x":$arg_x}'),
      '200 complete {"e":{"x":"1"}}', args => 'x=1' ],
    [ 'a variable in braces', made('[${arg_x},$arg_x]'),
      '200 complete {"e":["1","1"]}', args => 'x=1' ],
    [ 'an empty variable', made('{"x":$arg_x}'),
      '200 complete {"e":{"x":""}}' ],
    [ 'a dollar sign in a string', made('{"x":"$arg_x ${v.n} $","y":"5$"}'),
      '200 complete {"e":{"x":"$arg_x ${v.n} $","y":"5$"}}', args => 'x=1' ],
    [ 'a dollar sign in a name', made('{"$arg_x":$arg_x}'),
      '200 complete {"e":{"$arg_x":"1"}}', args => 'x=1' ],
    [ 'an escaped quote before it', made('{"a\\\\"$arg_x":1}'),
      '200 complete {"e":{"a\"$arg_x":1}}' ],
    [ 'a variable can not break out',
      'backend e /b/echo { method POST; body \'{"x":$http_x_v,"y":1}\'; }',
      '200 complete {"e":{"x":"\",\"admin\":true,\"z\":\"\\\\","y":1}}',
      headers => [ 'X-V' => '","admin":true,"z":"\\' ] ],
    [ 'a variable that is no UTF-8',
      'backend e /b/echo { method POST; body \'[$http_x_v]\'; }',
      [ "200 complete {\"e\":[\"a\xef\xbf\xbdb\"]}",
        '200 complete {"e":["a\ufffdb"]}' ],
      headers => [ 'X-V' => "a\xffb" ] ],
    [ 'a variable with control characters',
      'backend e /b/echo { method POST; body \'[$http_x_v]\'; }',
      qr/^200 complete \{"e":\["a(?:\\t|\\u0009)b"\]\}$/,
      headers => [ 'X-V' => "a\tb" ] ],
    [ 'of a failed part with a default',
      q{ backend v /b/500 { default '{"n":[1.0]}'; hidden; }
         backend e /b/echo { method POST; body '{"x":${v.n}}'; } },
      '200 partial:v {"e":{"x":[1.0]}}' ],
    [ 'after target and limit',
      q{ backend v /b/v { target o.a; limit 1; hidden; }
         backend e /b/echo { method POST; body '{"x":${v.}}'; } },
      '200 complete {"e":{"x":[2]}}' ],
    [ 'PUT', q{ backend e /b/echo { method PUT; body '[1]'; } },
      '200 complete {"e":[1]}' ],
    [ 'PATCH', q{ backend e /b/echo { method PATCH; body '[1]'; } },
      '200 complete {"e":[1]}' ],
    [ 'a body of 20,000 bytes',
      'backend e /b/echo { method POST; body \'["' . 'x' x 4000 . '",${v.}]\'; }
       backend v /large { hidden; }',
      '200 complete {"e":["' . 'x' x 4000 . '",' . $large . ']}' ],

    [ 'body request, a GET without one',
      q{ methods GET POST; backend e /b/echo { method POST; body request; } },
      '200 complete {"e":null}' ],
    [ 'body request', q{ methods POST; backend e /b/echo { method POST;
      body request; } }, "200 complete {\"e\":$small}",
      method => 'POST', body => $small ],
    [ 'body request, chunked', q{ methods POST; backend e /b/echo {
      method POST; body request; } }, "200 complete {\"e\":$small}",
      method => 'POST', chunked => [ $small =~ /(..?)/g ] ],
    [ 'body request, large', q{ methods POST; backend e /b/echo {
      method POST; body request; } }, "200 complete {\"e\":$large}",
      method => 'POST', body => $large ],
    [ 'body request, large and chunked', q{ methods POST; backend e /b/echo {
      method POST; body request; } }, "200 complete {\"e\":$large}",
      method => 'POST', chunked => [ $large =~ /(.{1,5000})/g ] ],
    [ 'body request, in a file', q{ methods POST; backend e /b/echo {
      method POST; body request; } }, "200 complete {\"e\":$large}",
      method => 'POST', body => $large,
      location => 'client_body_buffer_size 1k;' ],
    [ 'body request, always in a file', q{ methods POST; backend e /b/echo {
      method POST; body request; } }, "200 complete {\"e\":$small}",
      method => 'POST', body => $small,
      location => 'client_body_in_file_only clean;' ],
    [ 'body request, in one buffer', q{ methods POST; backend e /b/echo {
      method POST; body request; } }, "200 complete {\"e\":$large}",
      method => 'POST', body => $large,
      location => 'client_body_buffer_size 256k;
                   client_body_in_single_buffer on;' ],
    [ 'the same body for three parts, in a file',
      q{ methods POST; backend e /b/echo { method POST; body request; }
         backend f /b/echo { method PUT; body request; }
         backend g /b/echo { method POST; body request; target a; } },
      "200 complete {\"e\":$large,\"f\":$large,\"g\":" . substr($large, 5)
          =~ s/}$//r . '}',
      method => 'POST', body => $large,
      location => 'client_body_buffer_size 1k;' ],
    [ 'the same body for three parts, in memory',
      q{ methods POST; backend e /b/echo { method POST; body request; }
         backend f /b/echo { method PUT; body request; }
         backend g /b/echo { method POST; body request; target a; } },
      "200 complete {\"e\":$small,\"f\":$small,\"g\":\"small\"}",
      method => 'POST', body => $small ],
    [ 'a part unbuffered', q{ methods POST; backend e /unbuffered/echo {
      method POST; body request; } }, "200 complete {\"e\":$large}",
      method => 'POST', body => $large,
      location => 'client_body_buffer_size 1k;' ],
    [ 'one with, one without', q{ methods POST; backend e /b/echo {
      method POST; body request; } backend f /b/echo { method POST; }
      backend g /b/echo { } },
      "200 complete {\"e\":$small,\"f\":null,\"g\":null}",
      method => 'POST', body => $small ],
    [ 'a dependent part sends it later', q{ methods POST;
      backend v /b/v { hidden; }
      backend e /b/echo { method POST; body request; header X-N ${v.n}; } },
      "200 complete {\"e\":$large}", method => 'POST', body => $large,
      location => 'client_body_buffer_size 1k;' ],
    [ 'too large a body', q{ methods POST; backend e /b/echo {
      method POST; body request; } }, qr/^413 /,
      method => 'POST', body => $large,
      location => 'client_max_body_size 1k;' ],
    [ 'proxy_pass_request_body off in the part', q{ methods POST;
      backend e /nobody/echo { method POST; body request; } },
      '200 complete {"e":null}', method => 'POST', body => $small ],
);

$t->plan(@cases + 24);

serve($t, cases => \@cases, http => 'client_max_body_size 1m;', server => q{
    location = /large { internal; alias %%TESTDIR%%/large; }
    location /unbuffered/ {
        internal; proxy_pass http://127.0.0.1:%%PORT_b%%/;
        proxy_http_version 1.1; proxy_request_buffering off;
        proxy_buffering off;
    }
    location /nobody/ {
        internal; proxy_pass http://127.0.0.1:%%PORT_b%%/;
        proxy_pass_request_body off; proxy_set_header Content-Length "";
    }
    location /get { aggregate { methods GET POST; backend e /b/echo { } } }
    location /typed { aggregate { methods POST; backend e /b/echo {
        method POST; body request; } backend f /b/v { } } }
    location /made { aggregate { methods GET POST; backend e /b/echo {
        method POST; body '{"x":$arg_x}'; }
        backend f /b/echo { method POST; body '{}';
                            header Content-Type application/x-own; } } }
    location /each { aggregate { backend v /b/v { target o.a; }
        backend e /b/echo { each v.; method POST; body '{"got":${item.}}'; } } }
});

$t->write_file('large', $large);

check($t, @cases);


sub requests {
    my ($method, $uri, %o) = @_;
    $b->clear;
    my $r = http_request($method, $uri, %o);
    return ($r, $b->log);
}


# no body that was not asked for

my ($r, $q) = requests('POST', '/get', body => $small,
                       headers => [ 'Content-Type' => 'x/y' ]);
is($r->status, 200, 'a POST of which no part wants the body');
is($q->{method}, 'GET', 'the part is a GET');
is($q->{body}, '', 'without a body');
is(join(' ', grep { /^content-/i } map { $_->[0] } @{ $q->{headers} }), '',
   'and without a header of one');

($r, $q) = requests('POST', '/get', body => $large);
is($r->status, 200, 'a large one of which no part wants the body');
is($q->{body}, '', 'no body');

# the client's Content-* go with the body

($r, my @q) = requests('POST', '/typed', body => $small, headers => [
    'Content-Type' => 'application/x-thing', 'Content-Language' => 'de' ]);
my ($e) = grep { $_->{path} eq '/echo' } @q;
my ($f) = grep { $_->{path} eq '/v' } @q;
is($b->header($e, 'Content-Type'), 'application/x-thing', 'Content-Type');
is($b->header($e, 'Content-Language'), 'de', 'Content-Language');
is($b->header($e, 'Content-Length'), length $small, 'Content-Length');
is(scalar(() = $b->header($e, 'Content-Length')), 1, 'one of them');
is(scalar(grep { /^content-/i } map { $_->[0] } @{ $f->{headers} }), 0,
   'the other part has none');

($r, @q) = requests('POST', '/typed', chunked => [ 'abc', 'def' ]);
($e) = grep { $_->{path} eq '/echo' } @q;
is($b->header($e, 'Content-Length'), 6, 'chunked comes with a length');
is($b->header($e, 'Transfer-Encoding'), undef, 'and no longer chunked');

# a template's length and type

($r, @q) = requests('POST', '/made?x=%41b', body => 'client',
                    headers => [ 'Content-Type' => 'text/plain',
                                 'Content-Encoding' => 'br' ]);
my ($made) = grep { $_->{body} ne '{}' } @q;
my ($typed) = grep { $_->{body} eq '{}' } @q;
like($made->{body}, qr/^\{"x":\s*"(?:%41b|Ab)"\}$/, 'a template\'s body');
is($b->header($made, 'Content-Length'), length $made->{body}, 'its length');
is($b->header($made, 'Content-Type'), 'application/json', 'its type');
is($b->header($made, 'Content-Encoding'), undef, 'not the client\'s');
is(join('|', $b->header($typed, 'Content-Type')), 'application/x-own',
   'its type by header');

($r, @q) = requests('GET', '/each');
is(join(' ', sort map { $_->{body} } grep { $_->{path} eq '/echo' } @q),
   '{"got":2} {"got":{"c":null}}', 'a body for each element');
is(outcome($r), '200 complete {"v":[2,{"c":null}],"e":[{"got":2},'
   . '{"got":{"c":null}}]}', 'and their results');

# connections stay good

my $c = $t->connect;
$c->request(POST => '/get', body => $large);
is($c->response->status, 200, 'kept after a body nobody wanted');
my ($in_file) = grep { $_->[0] eq 'body request, in a file' } @cases;
$c->request(POST => case_uri($in_file), body => $large);
is($c->response->status, 200, 'kept after a body in a file');
$c->request(GET => '/get');
is($c->response->status, 200, 'and good for another');

# a slow body
$c = $t->connect;
$c->send("POST /typed HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\n");
$c->send('ab');
select undef, undef, undef, 0.1;
$c->send('cd');
$r = $c->response(method => 'POST');
matches(outcome($r), qr/^200 partial:e \{"f":/, 'a body that comes in pieces');
