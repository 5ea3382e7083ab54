# Every kind of location that a part may be.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use Test::More;
use Time::HiRes qw(time);

use IO::Compress::Gzip ();

use Harness;
use Harness::Aggregate;
use Harness::H2;

my $t = Harness->new(modules => ['ngx_http_aggregate_module']);

my $long = '"' . 'x' x 100_000 . '"';
my $huge = '"' . 'y' x 900_000 . '"';

my $n = 0;
my $b = $t->backend('b',
    '/1' => '1', '/o' => '{"a":1}', '/long' => $long, '/huge' => $huge,
    '/hugechunked' => { body => $huge, chunked => [ $huge =~ /(.{1,3000})/g ] },
    '/slowhuge' => { body => $huge, drip => 0.01, drip_bytes => 50_000 },
    '/500' => { status => 500, body => '{"err":1}' },
    '/404' => { status => 404, body => '{"err":2}' },
    '/count' => sub { { body => ++$n, headers => [
        'Cache-Control' => 'max-age=60' ] } },
    '/stale/' => sub { { body => ++$n, headers => [
        'Cache-Control' => 'max-age=1' ] } },
    '/gzip' => { gzip => 1, body => '{"z":"' . 'z' x 5000 . '"}' },
    '/ssi' => { body => '{"ssi":<!--#include virtual="/inc/a.json" -->,'
                        . '"v":"<!--#echo var="uri" -->"}' },
    '/sub' => '{"a":"HERE","b":"HERE"}',
    '/redirect' => { headers => [ 'X-Accel-Redirect' => '/files/a.json' ] },
    '/lock' => { body => '"locked"', delay => slow(0.15),
                 headers => [ 'Cache-Control' => 'max-age=60' ] },
    '/upgrade' => { status => 101, headers => [ Upgrade => 'x',
                    Connection => 'upgrade' ] },
    '/pieces' => { steps => [
        [ send => "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n1" ],
        [ wait => 0.05 ], [ send => '2' ], [ 'done' ] ] },
    '/early' => { early => 1, body => '"early"' },
);

sub part {
    my ($uri, $more) = @_;
    return "backend a $uri { @{[$more || '']} } backend z /b/1 { }";
}

sub one {
    my ($value) = @_;
    return "200 complete {\"a\":$value,\"z\":1}";
}

my @cases = (
    # nginx's own content
    [ 'a static file', part('/files/a.json'), one('{"file":1}') ],
    [ 'a static file with arguments', part('/files/a.json?x=1'),
      one('{"file":1}') ],
    [ 'a static file, sendfile', part('/sendfile/long.json'), one($long) ],
    [ 'a static file, sendfile and in pieces',
      part('/sendchunk/long.json'), one($long) ],
    [ 'a static file, directio', part('/directio/long.json'), one($long) ],
    [ 'a static file, aio threads', part('/aio/long.json'), one($long) ],
    [ 'a static file, aio threads and sendfile',
      part('/aiosend/huge.json'), one($huge) ],
    [ 'a static file, open_file_cache', part('/opencache/long.json'),
      one($long) ],
    [ 'a static file with small output buffers', part('/outbuf/long.json'),
      one($long) ],
    [ 'an empty static file', part('/files/empty.json'), one('null') ],
    [ 'no such file', part('/files/none.json'), '200 partial:a {"z":1}' ],
    [ 'a directory', part('/files/dir'), '200 partial:a {"z":1}' ],
    [ 'a directory with an index', part('/files/dir/'), one('{"index":1}') ],
    [ 'an alias', part('/alias/x'), one('{"file":1}') ],
    [ 'autoindex in JSON', part('/list/dir/', 'limit 1; target [0].name;'),
      one('"index.json"') ],
    [ 'gzip_static', part('/gzstatic/gz.json'), one('{"plain":1}') ],
    [ 'a POST to a static file', part('/files/a.json', 'method POST;'),
      '200 partial:a {"z":1}' ],
    [ 'return 200', part('/return/200'), one('{"r":1}') ],
    [ 'return 200 with a variable', part('/return/var?x=7'), one('7') ],
    [ 'return 200 without a body', part('/return/empty'), one('null') ],
    [ 'return 204', part('/return/204'), one('null') ],
    [ 'return 301', part('/return/301'), '200 partial:a {"z":1}' ],
    [ 'return 444', part('/return/444'), '200 partial:a {"z":1}' ],
    [ 'return 404', part('/return/404'), '200 partial:a {"z":1}' ],
    [ 'empty_gif', part('/gif'), '200 partial:a {"z":1}' ],
    [ 'stub_status', part('/stub', 'encoding string;'),
      qr/^200 complete \{"a":"Active connections: / ],
    [ 'an internal location', part('/internal'), one('1') ],
    [ 'a location that denies: the access phase does not run in parts',
      part('/denied'), one('1') ],
    [ 'a location with auth_request: the same', part('/authed'), one('1') ],
    [ 'a location with auth_basic: the same', part('/basic'), one('1') ],

    # ways to another location
    [ 'rewrite last', part('/rewritten/a.json'), one('{"file":1}') ],
    [ 'rewrite break', part('/broken/o'), one('{"a":1}') ],
    [ 'a rewrite that does not end', part('/cycle'),
      '200 partial:a {"z":1}' ],
    [ 'try_files, a file', part('/try/a.json'), one('{"file":1}') ],
    [ 'try_files, the second', part('/try/none'), one('{"file":1}') ],
    [ 'try_files, a named location', part('/trynamed/none'), one('{"a":1}') ],
    [ 'try_files, a code', part('/trycode/none'), '200 partial:a {"z":1}' ],
    [ 'error_page, a URI', part('/errpage/404'), '200 partial:a {"z":1}' ],
    [ 'error_page, a URI, its body where the status is accepted',
      part('/errpage/404', 'accept 404;'), one('{"file":1}') ],
    [ 'error_page = a URI', part('/errpage2/500'), one('{"file":1}') ],
    [ 'error_page =200 a URI', part('/errpage200/500'), one('{"file":1}') ],
    [ 'error_page, a named location', part('/errnamed/500'), one('{"a":1}') ],
    [ 'error_page of a refused connection', part('/errdead/x'),
      one('{"file":1}') ],
    [ 'error_page of a return', part('/errreturn'), one('{"file":1}') ],
    [ 'error_page to what fails, too', part('/errfail/500'),
      '200 partial:a {"z":1}' ],
    [ 'error_page with recursion', part('/errrec/500'), one('{"a":1}') ],
    [ 'X-Accel-Redirect', part('/b/redirect'), one('{"file":1}') ],
    [ 'if', part('/if?x=1'), one('"if"') ],
    [ 'a regular expression', part('/re/o'), one('{"a":1}') ],
    [ 'limit_except', part('/except', 'method POST;'), one('1') ],

    # proxied
    [ 'buffered', part('/b/long'), one($long) ],
    [ 'buffered, more than its buffers', part('/b/huge'), one($huge) ],
    [ 'buffered, chunked', part('/b/hugechunked'), one($huge) ],
    [ 'small buffers', part('/smallbuf/huge'), one($huge) ],
    [ 'small buffers, no temporary file', part('/notemp/huge'), one($huge) ],
    [ 'small buffers, no temporary file, slowly', part('/notemp/slowhuge'),
      one($huge) ],
    [ 'unbuffered', part('/unbuffered/huge'), one($huge) ],
    [ 'unbuffered, slowly', part('/unbuffered/slowhuge'), one($huge) ],
    [ 'a limited rate', part('/rate/long'), one($long) ],
    [ 'HTTP/1.0', part('/http10/huge'), one($huge) ],
    [ 'an upstream block', part('/group/long'), one($long) ],
    [ 'an upstream block with keepalive', part('/kept/long'), one($long) ],
    [ 'the next upstream', part('/next/o'), one('{"a":1}') ],
    [ 'an address by a variable', part('/var/o'), one('{"a":1}') ],
    [ 'proxy_intercept_errors', part('/intercept/404'), one('{"file":1}') ],
    [ 'proxy_store', part('/store/long'), one($long) ],
    [ 'proxy_force_ranges', part('/ranges/long'), one($long) ],
    [ 'proxy_hide_header, proxy_ignore_headers', part('/hide/redirect'),
      one('null') ],
    [ 'proxy over TLS', part('/tls/x'), one('"https"') ],
    [ 'proxy to a unix socket', part('/unix/x'), one('"unix"') ],
    [ 'the same nginx', part('/self/x'), one('{"self":1}') ],
    [ '101 unasked', part('/b/upgrade'), '200 partial:a {"z":1}' ],
    [ 'a mirrored location', part('/mirrored/o'), one('{"a":1}') ],

    # filters
    [ 'SSI with an include', part('/ssi/ssi'),
      [ one('{"ssi":{"file":1},"v":"/ssi/ssi"}'), '200 partial:a {"z":1}' ] ],
    [ 'SSI without an include', part('/ssi/o'), one('{"a":1}') ],
    [ 'sub_filter', part('/sub/sub'),
      one('{"a":"' . 'long' x 200 . '","b":"' . 'long' x 200 . '"}') ],
    [ 'sub_filter of a static file', part('/subfile/a.json'),
      one('{"elif":1}') ],
    [ 'gunzip', part('/gunzip/gzip'), one('{"z":"' . 'z' x 5000 . '"}') ],
    [ 'compressed, no gunzip', part('/b/gzip'), '200 partial:a {"z":1}' ],
    [ 'gzip on in the part\'s location', part('/gz/o'), one('{"a":1}') ],
    [ 'addition', part('/add/o'), [ one('{"a":1}'), '200 partial:a {"z":1}' ] ],
    [ 'slice', part('/slice/long'),
      [ one($long), '200 partial:a {"z":1}' ] ],
    [ 'expires and add_header', part('/expires/o'), one('{"a":1}') ],
    [ 'limit_rate of a static file', part('/limitrate/long.json'), one($long) ],

    # nested
    [ 'a nested aggregate', part('/nested'), one('{"x":{"a":1},"y":1}') ],
    [ 'a nested aggregate that is partial', part('/nestedpartial'),
      '200 partial:a {"a":{"y":1},"z":1}' ],
    [ 'a nested aggregate that failed', part('/nestedfailed'),
      '200 partial:a {"z":1}' ],
    [ 'a nested aggregate\'s status', part('/nestedstatus', 'required;'),
      '404 {"a":"status"}' ],
    [ 'a nested one in a nested one', part('/nested2'),
      one('{"n":{"x":{"a":1},"y":1},"w":1}') ],
    [ 'two of them', 'backend a /nested { } backend b /nested { }',
      '200 complete {"a":{"x":{"a":1},"y":1},"b":{"x":{"a":1},"y":1}}' ],
    [ 'a nested one through proxy_pass', part('/self/nested'),
      one('{"x":{"a":1},"y":1}') ],
    [ 'ten kinds at once', 'backend a /files/a.json { } backend b /b/long { }
      backend c /return/204 { } backend d /aio/long.json { }
      backend e /nested { } backend f /try/none { } backend g /errpage200/500 {
      } backend h /unbuffered/huge { } backend i /gunzip/gzip { target z;
      encoding json; } backend j /cached/count { hidden; }',
      '200 complete {"a":{"file":1},"b":' . $long . ',"c":null,"d":' . $long
      . ',"e":{"x":{"a":1},"y":1},"f":{"file":1},"g":{"file":1},"h":' . $huge
      . ',"i":"' . 'z' x 5000 . '"}' ],
);

$t->plan(@cases + 51);

$t->write_file('html/delay.html', '(<!--#include virtual="/delay3" -->)');
$t->write_file('html/late.html', '(<!--#include virtual="/delay6" -->)');
$t->write_file('html/files/a.json', '{"file":1}');
$t->write_file('html/files/empty.json', '');
$t->write_file('html/files/long.json', $long);
$t->write_file('html/files/huge.json', $huge);
$t->write_file('html/files/dir/index.json', '{"index":1}');
$t->write_file('html/files/gz.json', '{"plain":1}');
IO::Compress::Gzip::gzip(\'{"zipped":1}' => \my $gz);
$t->write_file('html/files/gz.json.gz', $gz);

system('openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=localhost'
       . " -keyout $t->{dir}/key.pem -out $t->{dir}/cert.pem 2>/dev/null") == 0
    or die "openssl failed\n";

my $dead = $t->dead_port;

serve($t, cases => \@cases,
    listen => 'listen 127.0.0.1:%%PORT_0%%;
               listen 127.0.0.1:%%PORT_h2%% http2;
               listen 127.0.0.1:%%PORT_tls%% ssl;
               listen unix:%%TESTDIR%%/sock;
               ssl_certificate %%TESTDIR%%/cert.pem;
               ssl_certificate_key %%TESTDIR%%/key.pem;',
    http => qq{
        default_type application/json;
        proxy_cache_path %%TESTDIR%%/cache keys_zone=c:1m;
        map \$uri \$by_uri { default other; /mapped/a 'is a';
                            /mapped/b 'is b'; }
        limit_req_zone \$uri zone=delay:1m rate=5r/s;
        limit_req_zone \$uri zone=longer:1m rate=2r/s;
        limit_req_zone \$uri zone=nodelay:1m rate=1r/m;
        upstream group { server 127.0.0.1:%%PORT_b%%; }
        upstream kept { server 127.0.0.1:%%PORT_b%%; keepalive 4; }
        upstream next { server 127.0.0.1:$dead; server 127.0.0.1:%%PORT_b%%; }
    },
    server => q{
        location /files/ { index index.json; }
        location /sendfile/ { sendfile on; alias %%TESTDIR%%/html/files/; }
        location /sendchunk/ { sendfile on; sendfile_max_chunk 4k;
                               alias %%TESTDIR%%/html/files/; }
        location /directio/ { directio 512; alias %%TESTDIR%%/html/files/; }
        location /aio/ { aio threads; alias %%TESTDIR%%/html/files/; }
        location /aiosend/ { aio threads; sendfile on;
                             alias %%TESTDIR%%/html/files/; }
        location /opencache/ { open_file_cache max=10; sendfile on;
                               alias %%TESTDIR%%/html/files/; }
        location /outbuf/ { output_buffers 1 512;
                            alias %%TESTDIR%%/html/files/; }
        location /alias/x { alias %%TESTDIR%%/html/files/a.json; }
        location /list/ { autoindex on; autoindex_format json; index no;
                          alias %%TESTDIR%%/html/files/; }
        location /gzstatic/ { gzip_static on; gzip_proxied any;
                              alias %%TESTDIR%%/html/files/; }
        location = /return/200 { return 200 '{"r":1}'; }
        location = /return/var { return 200 $arg_x; }
        location = /return/empty { return 200; }
        location = /return/204 { return 204; }
        location = /return/301 { return 301 http://x/; }
        location = /return/444 { return 444; }
        location = /return/404 { return 404; }
        location = /gif { empty_gif; }
        location = /stub { stub_status; }
        location = /internal { internal; return 200 1; }
        location = /denied { deny all;
                             proxy_pass http://127.0.0.1:%%PORT_b%%/1; }
        location = /authed { auth_request /return/404;
                             proxy_pass http://127.0.0.1:%%PORT_b%%/1; }
        location = /basic { auth_basic x; auth_basic_user_file none;
                            proxy_pass http://127.0.0.1:%%PORT_b%%/1; }

        location /rewritten/ { rewrite ^/rewritten/(.*) /files/$1 last; }
        location /broken/ { rewrite ^/broken(.*) $1 break;
                            proxy_pass http://127.0.0.1:%%PORT_b%%; }
        location /cycle { rewrite ^ /cycle last; }
        location /try/ { root %%TESTDIR%%/html/files;
                         rewrite ^/try(.*) $1 break;
                         try_files $uri /files/a.json; }
        location /trynamed/ { try_files $uri @named; }
        location /trycode/ { try_files $uri =404; }
        location @named { rewrite ^ /o break;
                          proxy_pass http://127.0.0.1:%%PORT_b%%; }
        location /errpage/ { error_page 404 /files/a.json;
            proxy_intercept_errors on;
            proxy_pass http://127.0.0.1:%%PORT_b%%/; }
        location /errpage2/ { error_page 500 = /files/a.json;
            proxy_intercept_errors on;
            proxy_pass http://127.0.0.1:%%PORT_b%%/; }
        location /errpage200/ { error_page 500 =200 /files/a.json;
            proxy_intercept_errors on;
            proxy_pass http://127.0.0.1:%%PORT_b%%/; }
        location /errnamed/ { error_page 500 = @named;
            proxy_intercept_errors on;
            proxy_pass http://127.0.0.1:%%PORT_b%%/; }
        location /errdead/ { error_page 502 = /files/a.json;
            proxy_pass http://127.0.0.1:%%PORT_dead%%/; }
        location /errreturn { error_page 403 =200 /files/a.json; return 403; }
        location /errfail/ { error_page 500 = @dead;
            proxy_intercept_errors on;
            proxy_pass http://127.0.0.1:%%PORT_b%%/; }
        location @dead { proxy_pass http://127.0.0.1:%%PORT_dead%%; }
        location /errrec/ { error_page 500 = @rec; recursive_error_pages on;
            proxy_intercept_errors on;
            proxy_pass http://127.0.0.1:%%PORT_b%%/; }
        location @rec { error_page 502 = @named; recursive_error_pages on;
            proxy_pass http://127.0.0.1:%%PORT_dead%%; }
        location /if { if ($arg_x) { return 200 '"if"'; } return 404; }
        location ~ ^/re/(?<re>.*)$ {
            proxy_pass http://127.0.0.1:%%PORT_b%%/$re; }
        location /except { limit_except GET { deny all; }
            proxy_pass http://127.0.0.1:%%PORT_b%%/1; }

        location /smallbuf/ { proxy_buffers 2 4k; proxy_buffer_size 4k;
            proxy_busy_buffers_size 4k;
            proxy_pass http://127.0.0.1:%%PORT_b%%/; }
        location /notemp/ { proxy_buffers 2 4k; proxy_buffer_size 4k;
            proxy_busy_buffers_size 4k; proxy_max_temp_file_size 0;
            proxy_pass http://127.0.0.1:%%PORT_b%%/; }
        location /unbuffered/ { proxy_buffering off;
            proxy_pass http://127.0.0.1:%%PORT_b%%/; }
        location /rate/ { proxy_limit_rate 200k;
            proxy_pass http://127.0.0.1:%%PORT_b%%/; }
        location /http10/ { proxy_http_version 1.0;
            proxy_pass http://127.0.0.1:%%PORT_b%%/; }
        location /group/ { proxy_pass http://group/; }
        location /kept/ { proxy_http_version 1.1;
            proxy_set_header Connection ""; proxy_pass http://kept/; }
        location /next/ { proxy_pass http://next/; }
        location /var/ { set $b 127.0.0.1:%%PORT_b%%; proxy_pass http://$b/o; }
        location /intercept/ { proxy_intercept_errors on;
            error_page 404 =200 /files/a.json;
            proxy_pass http://127.0.0.1:%%PORT_b%%/; }
        location /store/ { proxy_store %%TESTDIR%%/stored;
            proxy_store_access all:rw;
            proxy_pass http://127.0.0.1:%%PORT_b%%/; }
        location /ranges/ { proxy_force_ranges on;
            proxy_pass http://127.0.0.1:%%PORT_b%%/; }
        location /hide/ { proxy_ignore_headers X-Accel-Redirect;
            proxy_hide_header X-Accel-Redirect;
            proxy_pass http://127.0.0.1:%%PORT_b%%/; }
        location /tls/ { proxy_pass https://127.0.0.1:%%PORT_tls%%/tlsok; }
        location /tlsok { return 200 '"$scheme"'; }
        location /unix/ { proxy_pass http://unix:%%TESTDIR%%/sock:/unixok; }
        location /unixok { return 200 '"unix"'; }
        location /self/ { proxy_pass http://127.0.0.1:%%PORT_0%%/; }
        location = /x { return 200 '{"self":1}'; }
        location /mirrored/ { mirror /mirror;
            proxy_pass http://127.0.0.1:%%PORT_b%%/; }
        location /mirror { internal;
            proxy_pass http://127.0.0.1:%%PORT_b%%/mirror; }

        location /ssi/ { ssi on; ssi_types application/json;
            proxy_pass http://127.0.0.1:%%PORT_b%%/; }
        location /inc/ { alias %%TESTDIR%%/html/files/; }
        location /sub/ { sub_filter HERE %%LONG%%; sub_filter_once off;
            sub_filter_types application/json;
            proxy_pass http://127.0.0.1:%%PORT_b%%/; }
        location /subfile/ { sub_filter file elif;
            sub_filter_types application/json;
            alias %%TESTDIR%%/html/files/; }
        location /gunzip/ { gunzip on;
            proxy_pass http://127.0.0.1:%%PORT_b%%/; }
        location /gz/ { gzip on; gzip_min_length 1;
            gzip_types application/json; gzip_proxied any;
            proxy_pass http://127.0.0.1:%%PORT_b%%/; }
        location /add/ { add_after_body /inc/empty.json;
            addition_types application/json;
            proxy_pass http://127.0.0.1:%%PORT_b%%/; }
        location /slice/ { slice 4k;
            proxy_set_header Range $slice_range;
            proxy_pass http://127.0.0.1:%%PORT_b%%/; }
        location /expires/ { expires 1h; add_header X-A b always;
            proxy_pass http://127.0.0.1:%%PORT_b%%/; }
        location /limitrate/ { limit_rate 500k;
            alias %%TESTDIR%%/html/files/; }

        location /nested { aggregate { backend x /b/o { } backend y /b/1 { } } }
        location /nested2 { aggregate { backend n /nested { }
                                        backend w /b/1 { } } }
        location /nestedpartial { aggregate { backend x /b/500 { }
                                              backend y /b/1 { } } }
        location /nestedfailed { aggregate { backend x /b/500 { } } }
        location /nestedstatus { aggregate { backend x /b/404 { required; } } }

        location /cached/ { proxy_cache c; proxy_pass
            http://127.0.0.1:%%PORT_b%%/; }
        location /locked/ { proxy_cache c; proxy_cache_lock on; proxy_pass
            http://127.0.0.1:%%PORT_b%%/; }
        location /stale/ { proxy_cache c; proxy_cache_use_stale updating error
            http_500 timeout; proxy_cache_background_update on;
            proxy_pass http://127.0.0.1:%%PORT_b%%/stale/; }
        location /cache { aggregate { backend a /cached/count { } } }
        location /lock { aggregate { backend a /locked/lock { } } }
        location /uses-stale { aggregate { backend a /stale/x { } } }

        location /delayed/ { limit_req zone=delay burst=20;
            proxy_pass http://127.0.0.1:%%PORT_b%%/; }
        location /refused/ { limit_req zone=nodelay;
            proxy_pass http://127.0.0.1:%%PORT_b%%/; }
        location /delay { aggregate { timeout 5s; backend a /delayed/1 { } } }
        location /delay2 { aggregate { timeout 120ms;
            backend a /delayed/o { } backend b /b/1 { } } }
        location /longer/ { limit_req zone=longer burst=20;
            proxy_pass http://127.0.0.1:%%PORT_b%%/; }
        location /delay3 { aggregate { timeout 5s;
            backend a /longer/1 { } backend b /b/pieces { } } }
        location /fallback/ { error_page 500 = @delayed;
            proxy_intercept_errors on;
            proxy_pass http://127.0.0.1:%%PORT_b%%/; }
        location @delayed { limit_req zone=longer burst=20; rewrite ^ /1 break;
            proxy_pass http://127.0.0.1:%%PORT_b%%; }
        location /delay4 { aggregate { timeout 5s;
            backend a /fallback/500 { } backend b /b/pieces { } } }
        location /delay5 { aggregate { timeout 5s; backend i /delay3 { }
                                       backend b /b/pieces { } } }
        location /delay6 { aggregate { timeout 120ms;
            backend a /longer/2 { } backend b /b/pieces { } } }
        location /refuse { aggregate { backend a /refused/1 { }
                                       backend b /b/1 { } } }
        location /html/ { ssi on; types { } default_type text/html;
                          root %%TESTDIR%%; }
        location /ok { return 200 ok; }

        location /vars { set $mine main; aggregate {
            backend a /sets/a { } backend b /sets/b { } backend c /shows { } } }
        location /sets/ { set $mine part-$uri; return 200 '"$mine"'; }
        location /shows { return 200 '"$mine"'; }
        location /maps { aggregate {
            backend a /mapped/a { } backend b /mapped/b { } } }
        location /mapped/ { return 200 '"$by_uri"'; }
        location /uris { aggregate { backend a /tell/a?x=1 { }
                                     backend b /tell/b { } } }
        location /tell/ {
            return 200 '"$uri $args $request_method $request_uri"'; }
        location /aggerror { error_page 502 /files/a.json;
                             aggregate { backend a /b/500 { } } }
    } =~ s/%%LONG%%/'long' x 200/er);

check($t, @cases);

# proxy_cache: a miss, hits, a lock, stale answers

$b->clear;
my $first = outcome(http_get('/cache'));
like($first, qr/^200 complete \{"a":\d+\}$/, 'proxy_cache: miss');
is(outcome(http_get('/cache')), $first, 'proxy_cache: hit');
cmp_ok($b->count('/count'), '<=', 1, 'proxy_cache: no more than one');

$b->clear;
my @clients = map { $t->connect } 1 .. 4;
$_->request(GET => '/lock') for @clients;
is(join(' ', map { outcome($_->response) } @clients),
   join(' ', ('200 complete {"a":"locked"}') x 4), 'proxy_cache_lock');
is($b->count('/lock'), 1, 'proxy_cache_lock: one request');

$first = outcome(http_get('/uses-stale'));
like($first, qr/^200 complete/, 'stale: filled');
select undef, undef, undef, 2.1;
$b->set('/stale/' => { body => '"new"', delay => slow(0.3),
                      headers => [ 'Cache-Control' => 'max-age=60' ] });
my $r = http_get('/uses-stale');
is(outcome($r), $first, 'stale while it is updated');
cmp_ok($r->time, '<', slow(0.25), 'and at once');
wait_for(sub { outcome(http_get('/uses-stale')) =~ /new/ }, slow(3));
is(outcome(http_get('/uses-stale')), '200 complete {"a":"new"}', 'updated');

# limit_req: a delay, a delay past the deadline, a refusal

my $start = time();
http_get('/delay');
$r = http_get('/delay');
is(outcome($r), '200 complete {"a":1}', 'limit_req delays a part');
cmp_ok(time() - $start, '>=', 0.19, 'it does');
cmp_ok($r->time, '<', slow(1.2), 'and no more than that');

# nginx deletes the timer of limit_req when it reads another part's pieces; the
# streams of HTTP/2 have no event of the client's socket before that

my $h2 = Harness::H2->new(port => $t->port('h2'));

for ([ '/delay3', '{"a":1,"b":12}', 'beside another part' ],
     [ '/delay4', '{"a":1,"b":12}', 'in a fallback' ],
     [ '/delay5', '{"i":{"a":1,"b":12},"b":12}', 'in an aggregate' ],
     [ '/html/delay.html', '({"a":1,"b":12})', 'in a page' ])
{
    my ($uri, $body, $name) = @$_;

    http_get($uri);

    my $id = $h2->request(GET => $uri);
    $r = http_get($uri);
    my $stream = $h2->wait($id);

    is($r->body, $body, "limit_req delays a part $name");
    cmp_ok($r->time, '>=', 0.1, "it does, $name");
    cmp_ok($r->time, '<', slow(2), "and no more than that, $name");
    is($stream->{body}, $body, "limit_req delays a part $name, HTTP/2");
    cmp_ok($stream->{time}, '>=', 0.1, "it does, $name, HTTP/2");
    cmp_ok($stream->{time}, '<', slow(2), "and no more, $name, HTTP/2");
}

$h2->close;

http_get('/html/late.html');
$r = http_get('/html/late.html');
is($r->body, '({"b":12})', 'limit_req delays past the deadline in a page');
cmp_ok($r->time, '<', slow(1), 'and the page does not wait');

http_get('/delay2') for 1 .. 2;
my $c = $t->connect;
$c->request(GET => '/delay2') for 1 .. 4;
my @r = map { $c->response } 1 .. 4;
is(scalar(grep { $_->status == 200 } @r), 4,
   'limit_req delays past the deadline');
matches(outcome($_), [ '200 complete {"a":{"a":1},"b":1}',
                       '200 partial:a {"b":1}' ], 'and no answer is lost')
    for @r;
$c->request(GET => '/ok');
is($c->response->body, 'ok', 'the connection is good');

http_get('/refuse');
$r = http_get('/refuse');
is(outcome($r), '200 partial:a {"b":1}', 'limit_req refuses a part');

# variables: each part has its own copy

is(outcome(http_get('/vars')),
   '200 complete {"a":"part-/sets/a","b":"part-/sets/b","c":"main"}',
   'set in a part is seen by no other');
is(outcome(http_get('/maps?x=1')), '200 complete {"a":"is a","b":"is b"}',
   'a map is evaluated in each part');
is(outcome(http_get('/uris?q=2')), '200 complete {"a":"/tell/a x=1 GET '
   . '/uris?q=2","b":"/tell/b  GET /uris?q=2"}', 'uri, args, request_method');

# error_page of the aggregate's own location
matches(outcome(http_get('/aggerror')), [ '502 {"a":"status"}',
        '502 application/json {"file":1}' ], 'error_page of its own location');

# nothing is held
$_->close for @clients;
$c->close;
ok(wait_for(sub { http_get('/stub')->body =~ /Active connections: 1\b/ },
            slow(3)), 'no connection is left');
ok(wait_for(sub { $b->stats->{active} == 0 }, slow(3)), 'nothing goes on');
