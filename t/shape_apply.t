# A shape applied to the responses of a location: which one, to what, and what
# becomes of the headers.

use strict;
use warnings;

use IO::Uncompress::Gunzip qw(gunzip);

use FindBin;
use lib "$FindBin::Bin/lib";
use Test::More;

use Harness;

my $t = Harness->new(modules => ['ngx_http_aggregate_module']);

my $user = '{"id":12345678901234567890,"name":"Ann","ssn":"1-2","f":1.0,'
    . '"feed":[{"id":1,"t":"a","x":1},{"id":2,"t":"b","x":2}]}';

my $mobile = '{"name":"Ann","feed":[{"id":1}]}';
my $web = '{"id":12345678901234567890,"name":"Ann","f":1.0,'
    . '"feed":[{"id":1,"t":"a","x":1},{"id":2,"t":"b","x":2}]}';

my $b = $t->backend('b',
    '/user' => $user,
    '/etag' => { body => $user, headers => [ ETag => '"abc"',
        'Last-Modified' => 'Mon, 01 Jan 2024 00:00:00 GMT',
        'Accept-Ranges' => 'bytes', 'Content-MD5' => 'x', Digest => 'y',
        'Content-Digest' => 'x', 'Repr-Digest' => 'y',
        'Cache-Control' => 'max-age=60' ] },
    '/xmobile' => { body => $user, headers => [ 'X-Shape' => 'mobile' ] },
    '/xweb' => { body => $user, headers => [ 'X-Shape' => 'web' ] },
    '/weak' => { body => $user, headers => [ ETag => 'W/"w"' ] },
    '/tags' => { body => $user, headers => [ ETag => '"x"', ETag => '"y"' ] },
    '/odd' => { body => $user, headers => [ ETag => 'odd' ] },
    '/vary' => { body => $user, headers => [ Vary => 'accept, x-client' ] },
    '/plus' => { body => $user, type => 'application/vnd.api+json' },
    '/charset' => { body => $user, type => 'Application/JSON; charset=utf-8' },
    '/text' => { body => $user, type => 'text/plain', headers => [
        ETag => '"t"', 'Last-Modified' => 'Mon, 01 Jan 2024 00:00:00 GMT' ] },
    '/none' => { body => $user, type => undef },
    '/404' => { status => 404, body => $user },
    '/201' => { status => 201, body => $user },
    '/204' => { status => 204 },
    '/302' => { status => 302, body => $user, headers => [ Location => '/' ] },
    '/chunked' => { body => $user, chunked => [ $user =~ /(.)/gs ] },
    '/drip' => { body => $user, drip => 0.001, drip_bytes => 7 },
    '/nolength' => { body => $user, length => undef },
    '/scalar' => '5',
    '/list' => '[{"ssn":1,"a":2},3]',
    '/big' => { body => '[' . join(',', ('{"id":1,"ssn":"' . 'x' x 90 . '"}')
                                          x 2000) . ']' },
);

$t->write_file('www/user.json', $user);
$t->write_file('www/part.json', $user);
$t->write_file('www/page.html', '[<!--#include virtual="/inc/part.json" -->]');
$t->write_file('www/err.json', '{"name":"e","ssn":1}');

$t->plan(109);
$t->run(<<'EOC');
%%GLOBALS%%
events { }
http {
    %%HTTP%%
    types { application/json json; text/html html; }

    server {
        listen 127.0.0.1:%%PORT_0%%;
        server_name localhost;
        root %%TESTDIR%%/www;
        proxy_http_version 1.1;
        gzip_types *;

        location /m/    { proxy_pass http://b/; aggregate_apply mobile; }
        location /off/  { proxy_pass http://b/; aggregate_apply off; }
        location /v/    { proxy_pass http://b/;
                          aggregate_apply $client vary=X-Client; }
        location /e/    { proxy_pass http://b/;
                          aggregate_apply $http_x_shape empty=off
                              vary=X-Shape,X-Other; }
        location /up/   { proxy_pass http://b/;
                          aggregate_apply $upstream_http_x_shape empty=off; }
        location /map/  { proxy_pass http://b/;
                          aggregate_apply $named empty=off; }
        location /n/    { proxy_pass http://b/; aggregate_apply n; }
        location /none/ { proxy_pass http://b/; aggregate_apply none; }
        location /miss/ { proxy_pass http://b/; aggregate_apply miss; }
        location /gz/   { proxy_pass http://b/; aggregate_apply mobile;
                          gzip on; gzip_min_length 1; }
        location /unbuf/ { proxy_pass http://b/; proxy_buffering off;
                          aggregate_apply mobile; }
        location /small/ { proxy_pass http://b/; proxy_buffer_size 1k;
                          proxy_buffers 2 1k; proxy_busy_buffers_size 1k;
                          aggregate_apply web; }
        location /static/ { alias %%TESTDIR%%/www/; aggregate_apply mobile; }
        location /ret   { default_type application/json;
                          return 200 '{"name":1,"ssn":2}';
                          aggregate_apply web; }
        location /sub/  { proxy_pass http://b/; aggregate_apply web;
                          proxy_set_header Accept-Encoding "";
                          sub_filter_types *; sub_filter '"Ann"' '"Bob"'; }
        location /inc/  { alias %%TESTDIR%%/www/; aggregate_apply mobile; }
        location /page  { alias %%TESTDIR%%/www/page.html; ssi on;
                          default_type text/html; }
        location /ep/   { proxy_pass http://b/; proxy_intercept_errors on;
                          error_page 404 =200 /err.json;
                          aggregate_apply web; }
        location = /err.json { aggregate_apply web; }
        location /agg {
            aggregate {
                backend u /in/user { }
                backend w /w/user { allow name ssn; }
            }
            aggregate_apply agg;
        }
        location /aggtag/ {
            aggregate { backend u /raw/etag { pass_header ETag; } }
            aggregate_apply agg;
        }
        location /gztag/ {
            aggregate { backend u /raw/etag { pass_header ETag; } }
            aggregate_apply off;
            gzip on; gzip_min_length 1;
        }
        location /in/   { internal; proxy_pass http://b/;
                          aggregate_apply mobile; }
        location /w/    { internal; proxy_pass http://b/; }
        location /raw/  { internal; proxy_pass http://b/;
                          aggregate_apply off; }

        aggregate_apply web;
        location /inherit/ { proxy_pass http://b/; }
    }

    # shapes may stand behind their use

    map $http_x_client $client { default web; mobile mobile; bad nosuch; }

    map $upstream_http_x_shape $named { default ""; mobile mobile; web web; }

    aggregate_shape mobile { allow name feed[].id; limit feed 1; }
    aggregate_shape web    { deny ssn [].ssn; }
    aggregate_shape n      { limit feed $arg_n 2; set by $arg_by; }
    aggregate_shape none   { }
    aggregate_shape miss   { target nosuch.x; set a 1; }
    aggregate_shape agg    { move u.name name; deny w.ssn u.feed; }

    upstream b { server 127.0.0.1:%%PORT_b%%; keepalive 4; }
}
EOC

sub get { return http_get(@_) }
sub body { return get(@_)->body }

# which one

is(body('/m/user'), $mobile, 'a name');
is(body('/off/user'), $user, 'off');
is(body('/v/user'), $web, 'a variable, its default');
is(body('/v/user', headers => [ 'X-Client' => 'mobile' ]), $mobile,
   'a variable');
is(body('/e/user'), $user, 'an empty value, allowed to be');
is(body('/e/user', headers => [ 'X-Shape' => 'web' ]), $web, 'a value');
is(body('/inherit/user'), $web, 'inherited');
is(body("/$_/xmobile"), $mobile, "the response names it: $_") for qw(up map);
is(body("/$_/xweb"), $web, "another response: $_") for qw(up map);
is(body("/$_/user"), $user, "a response that names none: $_") for qw(up map);
is(get('/up/xmobile', headers => [ Range => 'bytes=0-9',
                                   'Accept-Encoding' => 'gzip' ])->body,
   $mobile, 'the response names it: asked for whole and plain');
is(body('/none/user'), $user, 'a shape without statements');

# what

is(body('/m/chunked'), $mobile, 'chunks of one byte');
is(body('/m/drip'), $mobile, 'slow');
is(body('/m/nolength'), $mobile, 'no length');
is(body('/m/201'), $mobile, 'status 201');
is(body('/m/plus'), $mobile, '+json');
is(body('/m/charset'), $mobile, 'a charset');
is(body('/unbuf/user'), $mobile, 'unbuffered');
is(body('/unbuf/chunked'), $mobile, 'unbuffered chunks');
is(length body('/small/big'), 2000 * 9 + 1, 'many small buffers');
is(body('/m/scalar'), 'null', 'a scalar that is not allowed');
is(body('/v/list'), '[{"a":2},3]', 'a list');
is(body('/miss/user'), '{"a":1}', 'a target that is not there is null');
is(body('/static/user.json'), $mobile, 'a file');
is(body('/ret'), '{"name":1}', 'return');
is(body('/sub/user'), $web =~ s/Ann/Bob/r, 'after sub_filter');
is(body('/page'), "[$mobile]", 'a part of SSI');
is(body('/agg'), '{"u":{},"w":{"name":"Ann"},"name":"Ann"}',
   'an aggregate, and a part of it');

is(body('/m/text'), $user, 'another type');
is(body('/m/none'), $user, 'no type');
is(body('/m/404'), $user, 'not 2xx');
is(get('/m/404')->status, 404, 'status 404');
is(get('/m/302')->status, 302, 'status 302');
is(get('/m/204')->status, 204, 'status 204');
is(body('/ep/404'), '{"name":"e"}', 'an error page that is 200');

# variables in statements

like(body('/n/user?n=1&by=x"y'), qr/"feed":\[[^\]]*"id":1[^\]]*\],.*"x\\"y"/,
     'limit, set');
like(body('/n/user?n=3'), qr/"id":2/, 'above the maximum');
like(body('/n/user?n=x'), qr/"id":2.*"by":""/, 'no number');

# headers

my $r = get('/m/etag');
is($r->header('Content-Length'), length $mobile, 'Content-Length');
like($r->header('ETag'), qr{^W/"abc-[0-9a-f]{16}"$}, 'ETag');
is($r->header('Accept-Ranges'), undef, 'Accept-Ranges');
is($r->header('Content-MD5'), undef, 'Content-MD5');
is($r->header($_), undef, $_) for qw(Digest Content-Digest Repr-Digest);
is($r->header('Cache-Control'), 'max-age=60', 'others stay');
like($r->header('Content-Type'), qr{^application/json}, 'Content-Type');

my $web_etag = get('/v/etag')->header('ETag');
my $mobile_etag = $r->header('ETag');
isnt($web_etag, $mobile_etag, 'another shape, another tag');
is(get('/m/etag')->header('ETag'), $mobile_etag, 'the same shape');
like(get('/m/weak')->header('ETag'), qr{^W/"w-[0-9a-f]{16}"$}, 'weak before');
is(get('/m/odd')->header('ETag'), undef, 'no tag at all');
like(join(' ', get('/m/tags')->headers('ETag')), qr{^W/"[xy]-[0-9a-f]{16}"$},
     'one of two tags');
isnt(get('/n/etag?n=1')->header('ETag'), get('/n/etag?n=2')->header('ETag'),
     'another limit, another tag');
isnt(get('/n/etag?by=1')->header('ETag'), get('/n/etag?by=2')->header('ETag'),
     'another value, another tag');
is(get('/off/etag')->header('ETag'), '"abc"', 'off: as it was');
is(get('/off/etag')->header('Accept-Ranges'), 'bytes', 'off: as it was');
is(get('/e/etag')->header('ETag'), '"abc"', 'empty: as it was');

is(get('/v/user')->header('Vary'), 'X-Client', 'Vary');
is(get('/e/user')->header('Vary'), 'X-Shape, X-Other', 'Vary of unshaped');
is(get('/v/vary')->header('Vary'), 'accept, x-client', 'Vary has it');
is(get('/m/user')->header('Vary'), undef, 'no vary');

# HEAD

$r = http_request(HEAD => '/m/etag');
is($r->status, 200, 'HEAD');
is($r->header('ETag'), $mobile_etag, 'HEAD: ETag');
is($r->header('Content-Length'), undef, 'HEAD: no length');
is($r->body, '', 'HEAD: no body');

# conditions: they are the shape's own, and the backend never sees them

$b->clear;

for my $tag ($mobile_etag, '"other", ' . $mobile_etag, $mobile_etag =~ s{W/}{}r,
             '*')
{
    $r = get('/m/etag', headers => [ 'If-None-Match' => $tag ]);
    is($r->status, 304, "304 for $tag");
    is($r->body, '', 'no body');
}

is($r->header('ETag'), $mobile_etag, '304: ETag');
is($r->header('Content-Type'), undef, '304: no type');

my $agg_etag = get('/aggtag/')->header('ETag');
like($agg_etag, qr{^W/"abc-[0-9a-f]{16}"$}, 'an aggregate\'s own tag');
is(get('/aggtag/', headers => [ 'If-None-Match' => $agg_etag ])->status, 304,
   'an aggregate\'s own tag: 304');
is(join(' ', get('/gztag/', headers => [ 'Accept-Encoding' => 'gzip' ])
             ->headers('ETag')), 'W/"abc"', 'an aggregate\'s own tag: gzip');
is(get('/gztag/', headers => [ 'If-None-Match' => '"abc"' ])->status, 200,
   'a part\'s tag is no validator of the answer');

for my $tag ($web_etag, '"abc"', 'W/"abc"', '"x', $mobile_etag . 'x') {
    $r = get('/m/etag', headers => [ 'If-None-Match' => $tag ]);
    is($r->body, $mobile, "200 for $tag");
}

is(get('/v/etag', headers => [ 'If-None-Match' => $mobile_etag ])->body, $web,
   'the tag of another shape');
is(get('/m/etag', headers => [ 'If-Modified-Since' =>
                               'Mon, 01 Jan 2024 00:00:00 GMT' ])->body,
   $mobile, 'no time is that of a shape');
is(http_request(HEAD => '/m/etag', headers =>
                [ 'If-None-Match' => $mobile_etag ])->status, 304, 'HEAD 304');

my @seen = map { $b->header($_, 'If-None-Match'),
                 $b->header($_, 'If-Modified-Since') } $b->log;
is("@seen", '', 'the backend sees no condition');

is(get('/e/etag', headers => [ 'If-None-Match' => '"abc"' ])->status, 304,
   'unshaped: by its own tag');
@seen = grep { defined } map { $b->header($_, 'If-None-Match') } $b->log;
is("@seen", '', 'and the backend does not see it');

# of what is not shaped they count as ever

is(get('/m/text', headers => [ 'If-None-Match' => '"t"' ])->status, 304,
   'another type: by its tag');
is(get('/m/text', headers => [ 'If-None-Match' => '"u"' ])->status, 200,
   'another type: another tag');
is(get('/m/text', headers => [ 'If-Modified-Since' =>
                               'Mon, 01 Jan 2024 00:00:00 GMT' ])->status, 304,
   'another type: by its time');

# ranges, encodings

$b->clear;
$r = get('/m/etag', headers => [ Range => 'bytes=0-3', 'If-Range' => '"abc"',
                                 'Accept-Encoding' => 'gzip' ]);
is($r->status, 200, 'no ranges');
is($r->body, $mobile, 'no ranges');

my ($q) = $b->log;
is(join(',', map { $b->header($q, $_) } qw(Range If-Range Accept-Encoding)),
   '', 'the backend is asked for all, and plain');

$r = get('/static/user.json', headers => [ Range => 'bytes=0-3' ]);
is($r->status . $r->body, "200$mobile", 'no ranges of a file');

$r = get('/static/user.json');
like($r->header('ETag'), qr{^W/"}, 'the tag of a file');
is(get('/static/user.json', headers =>
       [ 'If-None-Match' => $r->header('ETag') ])->status, 304,
   'a file, 304');
is(get('/static/user.json', headers =>
       [ 'If-Modified-Since' => $r->header('Last-Modified') ])->status, 200,
   'a file, by its time');

# gzip to the client

my $gz = get('/gz/user', headers => [ 'Accept-Encoding' => 'gzip' ]);
is($gz->header('Content-Encoding'), 'gzip', 'gzip');

my $zipped = $gz->body;
gunzip(\$zipped => \my $plain);
is($plain, $mobile, 'gunzipped');

is(body('/gz/user'), $mobile, 'no gzip unasked');

# other clients

is(http("GET /m/user HTTP/1.0\r\n\r\n", close => 0)->body, $mobile,
   'HTTP/1.0');

my $c = $t->connect;
$c->request(GET => '/m/user');
$c->request(GET => '/v/user');
$c->request(GET => '/m/chunked');
is(join('|', map { $c->response->body } 1 .. 3), "$mobile|$web|$mobile",
   'pipelined');
