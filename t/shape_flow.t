# A shape on the ways that nginx has: error pages with a backend, redirects,
# SSI and other subrequests, breakers, caches, slices, threads.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use Test::More;

use Harness;

my $t = Harness->new(modules => [ 'ngx_http_aggregate_module',
                                  'ngx_http_breaker_module' ]);

my $secret = 'SECRET' x 40;
my $doc = qq({"name":"Ann","ssn":"$secret"});
my $ann = '{"name":"Ann"}';
my $large = qq({"name":"Ann","ssn":") . $secret x 100 . '"}';
my $time = 'Mon, 01 Jan 2024 00:00:00 GMT';

sub accel { return { body => '', headers => [ 'X-Accel-Redirect' => $_[0] ] } }

my $b = $t->backend('b',
    '/doc' => { body => $doc, headers => [ ETag => '"abc"' ] },
    '/fallback' => $doc,
    '/invalid' => qq({"ssn":"$secret","name":tru}),
    '/gzip' => { body => $doc, gzip => 1 },
    '/206' => { status => 206, body => $doc },
    '/trunc' => { body => $doc, cut => 100, after => 'close' },
    '/large' => { body => $large, chunked => 1 },
    '/endless' => { endless => qq({"name":1,"ssn":"$secret"},) },
    '/early' => { endless => qq({"ssn":"$secret",,) },
    '/toolong' => { body => $large x 4 },
    '/accel/bin' => accel('/files/bin.dat'),
    '/accel/json' => accel('/files/doc.json'),
    '/accel/shaped' => accel('/shaped/doc.json'),
    '/accel/cached' => accel('/kept/text'),
    '/accel/ret' => accel('/ret'),
    '/bytes' => { body => '0123456789', type => 'text/plain', headers =>
                  [ 'Accept-Ranges' => 'bytes', ETag => '"e"',
                    'Last-Modified' => $time ] },
    '/text' => { body => '0123456789', type => 'text/plain', headers =>
                 [ ETag => '"e"', 'Cache-Control' => 'max-age=60' ] },
    '/cached' => { body => $doc, headers => [ ETag => '"c"',
                   'Cache-Control' => 'max-age=60' ] },
    '/cachedfirst' => { body => $doc, headers => [ ETag => '"c"',
                        'Cache-Control' => 'max-age=60' ] },
    '/cachednow' => { body => $doc, headers => [ ETag => '"c"',
                        'Cache-Control' => 'max-age=60' ] },
    '/bad/' => sub { return { body => '{"a":' } },
    '/slices' => sub {
        my ($q) = @_;
        my ($range) = map { $_->[1] =~ /bytes=(\d+)-(\d+)/ ? [ $1, $2 ] : () }
            grep { lc $_->[0] eq 'range' } @{ $q->{headers} };
        my $last = length($large) - 1;
        return { body => $large } if !$range;
        my $end = $range->[1] > $last ? $last : $range->[1];
        return { status => 206, headers => [ 'Content-Range' =>
                 "bytes $range->[0]-$end/" . length $large ],
                 body => substr($large, $range->[0], $end + 1 - $range->[0]) };
    },
    '/slow' => { body => $doc, drip => 0.002, drip_bytes => 10 },
    '/empty' => { body => '', type => 'text/plain' },
    '/word' => { body => '"x"', type => 'text/plain' },
);

$t->write_file('www/bin.dat', '0123456789' x 100);
$t->write_file('www/doc.json', $doc);
$t->write_file('www/large.json', $large);
$t->write_file('www/bad.json', qq({"ssn":"$secret"));
$t->write_file('www/dir/index.txt', '0123456789' x 100);
$t->write_file('www/dir/index.json', $doc);

my %page = (
    echo => '{"name":"<!--# echo var="arg_x" -->","ssn":1}',
    include => '[1<!--# include virtual="/raw/doc" -->]',
    two => '[<!--# include virtual="/raw/word" -->,'
        . '<!--# include virtual="/raw/slow" -->,'
        . '<!--# include virtual="/raw/doc" wait="yes" -->]',
    shaped => '[<!--# include virtual="/m/doc" -->]',
    empty => '{"name":1<!--# include virtual="/raw/empty" -->'
        . '<!--# include virtual="/raw/empty" wait="yes" -->,"ssn":2}',
    stub => '<!--# block name="s" -->2<!--# endblock -->{"name":'
        . '<!--# include virtual="/raw/empty" stub="s" -->,"ssn":1}',
    set => '<!--# include virtual="/raw/word" set="v" -->{"name":'
        . '<!--# echo var="v" encoding="none" -->,"ssn":1}',
    if => '{"name":<!--# if expr="$arg_x" -->1<!--# else -->2<!--# endif -->}',
    bad => '{"name":<!--# include virtual="/raw/slow" -->',
    nested => '[<!--# include virtual="/ssi/include" -->]',
);

$t->write_file("www/ssi/$_.json", $page{$_}) for keys %page;
$t->write_file('www/outer.html', '<!--# include virtual="/ssi/include" -->|'
               . '<!--# include virtual="/ssi/two" -->|'
               . '<!--# include virtual="/ssi/echo?x=1" -->|'
               . '<!--# include virtual="/m/doc" -->');

$t->plan(195);
$t->run(<<'EOC');
%%GLOBALS%%
thread_pool few threads=2;
events { }
http {
    %%HTTP%%
    types { application/json json; application/octet-stream dat;
            text/plain txt; text/html html; }

    aggregate_shape mobile { allow name; }
    aggregate_shape web    { deny ssn; }
    aggregate_shape list   { limit 1; }
    aggregate_shape up     { target all; }

    aggregate_cache_zone zone 4m;
    breaker_zone z 1m;
    breaker_policy p { failure_threshold 2; }

    upstream b { server 127.0.0.1:%%PORT_b%%; keepalive 4; }
    proxy_cache_path %%TESTDIR%%/cache keys_zone=c:1m;
    proxy_http_version 1.1;
    proxy_set_header Connection "";
    gzip_types *;
    log_format status "$uri $status $aggregate_status";

    server {
        listen 127.0.0.1:%%PORT_0%%;
        server_name localhost;
        root %%TESTDIR%%/www;
        access_log %%TESTDIR%%/status.log status;

        location /raw/   { proxy_pass http://b/; }
        location /m/     { proxy_pass http://b/; aggregate_apply mobile;
                           aggregate_shape_buffer 16k; }
        location /page/  { proxy_pass http://b/; aggregate_apply mobile;
                           aggregate_shape_buffer 16k;
                           error_page 500 502 = @back; }
        location /unbuf/ { proxy_pass http://b/; aggregate_apply mobile;
                           proxy_buffering off; aggregate_shape_buffer 16k;
                           error_page 500 502 = @back; }
        location /name/  { proxy_pass http://b/; aggregate_apply $http_x_name;
                           error_page 500 502 = @back; }
        location /file/  { alias %%TESTDIR%%/www/; aggregate_apply mobile;
                           error_page 500 502 = @back; }
        location /uri/   { proxy_pass http://b/; aggregate_apply mobile;
                           error_page 502 =200 /dir/index.txt; }
        location @back   { rewrite ^ /fallback break; proxy_pass http://b;
                           aggregate_apply web; add_header X-Back yes; }

        location /st/    { alias %%TESTDIR%%/www/; aggregate_apply mobile;
                           gzip on; gzip_min_length 1;
                           index index.txt index.json; }
        location /js/    { alias %%TESTDIR%%/www/; aggregate_apply mobile;
                           index index.json; }
        location /try/   { aggregate_apply mobile;
                           try_files /nosuch /dir/index.txt; }
        location /away/  { aggregate_apply mobile;
                           try_files /nosuch /files/bin.dat; }
        location /files/ { alias %%TESTDIR%%/www/; gzip on;
                           gzip_min_length 1; }
        location /shaped/ { alias %%TESTDIR%%/www/; gzip on;
                           gzip_min_length 1; aggregate_apply web; }
        location /ret    { return 200 "0123456789"; gzip on;
                           gzip_min_length 1; }

        location /ssi/   { alias %%TESTDIR%%/www/ssi/; ssi on; ssi_types *;
                           default_type application/json;
                           try_files $uri.json =404;
                           aggregate_apply mobile; }
        location /list/  { rewrite ^/list/(.*) /ssi/$1.json break; ssi on;
                           ssi_types *; aggregate_apply list; }
        location /outer  { alias %%TESTDIR%%/www/outer.html; ssi on;
                           default_type text/html; }

        location /auth/  { auth_request /sub/doc; proxy_pass http://b/; }
        location /sub/   { proxy_pass http://b/; aggregate_apply $arg_none; }

        location /br/    { proxy_pass http://b/; breaker k zone=z policy=p;
                           aggregate_apply $http_x_name;
                           add_header X-State $breaker_state always; }

        location /cache/ { proxy_pass http://b/; proxy_cache c;
                           proxy_cache_key $uri; proxy_cache_lock on;
                           proxy_cache_valid any 1m;
                           aggregate_apply $http_x_name; }
        location /agg/   { proxy_pass http://b/; aggregate_cache zone;
                           aggregate_apply $http_x_name; }
        location /kept/  { proxy_pass http://b/; aggregate_cache zone;
                           aggregate_apply off; }
        location /both/  { proxy_pass http://b/; aggregate_cache zone;
                           aggregate_apply web; }

        location /slice/ { slice 4k; proxy_set_header Range $slice_range;
                           proxy_pass http://b/; aggregate_apply mobile;
                           error_page 502 = @back; }
        location /few/   { slice 4k; proxy_set_header Range $slice_range;
                           proxy_pass http://b/; aggregate_apply mobile;
                           aggregate_shape_buffer 8k; }
        location /aio/   { alias %%TESTDIR%%/www/; aio threads=few;
                           sendfile off; output_buffers 1 512;
                           aggregate_apply mobile;
                           error_page 502 = @back; }

        location /whole  {
            aggregate {
                backend a /part/doc { }
                backend b /within { }
                backend c /ssi/include { }
            }
            aggregate_apply $http_x_name;
        }
        location /within { internal;
            aggregate { backend all /raw/doc { } }
            aggregate_apply up; }
        location /part/  { internal; proxy_pass http://b/;
                           aggregate_apply mobile; }
    }
}
EOC

sub get { return http_get(@_) }
sub named { return headers => [ 'X-Name' => @_ ] }

sub closed {
    my ($r, $status, $name) = @_;

    is($r->status, $status, "$name: $status");
    unlike($r->head . $r->body, qr/SECRET/, "$name: nothing gets out");
}

# an error page that a backend makes

for my $where (qw(page unbuf)) {
    for my $what (qw(invalid gzip 206 trunc large endless early toolong)) {
        my $r = get("/$where/$what");
        is($r->status, 200, "/$where/$what: the page's status");
        is($r->body, $ann, "/$where/$what: in its own shape");
        is($r->header('X-Back'), 'yes', "/$where/$what: from the backend");
    }
}

is(http_request(POST => '/page/invalid', body => 'x' x 50_000)->body, $ann,
   'the page is asked with the body, from its file');

is(get('/name/doc', named('nosuch'))->body, $ann, 'no such shape');
is(get('/file/bad.json')->body, $ann, 'of a file');
is(get('/aio/bad.json')->body, $ann, 'of a file by threads');
is(get('/uri/invalid')->body, '0123456789' x 100, 'a file');
is(get('/uri/invalid', headers => [ Range => 'bytes=2-4' ])->body, '234',
   'a range of the page');

my $r = http_request(HEAD => '/name/doc', named('nosuch'));
is($r->status, 200, 'HEAD: the page');
is($r->header('X-Back'), 'yes', 'HEAD: from the backend');

# the connection goes on

my $c = $t->connect;

for (1 .. 2) {
    for my $what (qw(invalid doc gzip 206 large)) {
        $c->request(GET => "/m/$what");
        is($c->response->status, $what eq 'doc' ? 200 : 502,
           "$what on one connection");
    }

    $c->request(HEAD => '/m/gzip');
    is($c->response->status, 502, 'HEAD on it');
}

ok(wait_for(sub { $b->stats->{active} == 0 }, slow(5)),
   'no backend is left at work');

# out of the location, or to another

for my $uri (qw(/m/accel/bin /away/x /st/bin.dat /try/x /st/dir/)) {
    is(get($uri, headers => [ Range => 'bytes=3-5' ])->body, '345',
       "$uri: a range");
    is(get($uri, headers => [ 'Accept-Encoding' => 'gzip' ])
           ->header('Content-Encoding'),
       $uri eq '/try/x' ? undef : 'gzip', "$uri: gzip");

    $r = get($uri);
    is(get($uri, headers => [ 'If-None-Match' => $r->header('ETag') ])->status,
       304, "$uri: its tag");
    is(get($uri, headers =>
           [ 'If-Modified-Since' => $r->header('Last-Modified') ])->status,
       304, "$uri: its time");
}

is(get('/m/accel/ret', headers => [ 'Accept-Encoding' => 'gzip' ])
       ->header('Content-Encoding'), 'gzip', 'a redirect to return');
is(get('/m/accel/json')->body, $doc, 'to where there is no shape');
is(get('/m/accel/shaped', headers => [ Range => 'bytes=0-9' ])->body, $ann,
   'to where there is another');
is(get('/js/dir/', headers => [ Range => 'bytes=0-9' ])->body, $ann,
   'an index');
is(get('/m/accel/shaped', headers => [ 'Accept-Encoding' => 'gzip' ])
       ->header('Content-Encoding'), 'gzip', 'gzip of that');

# of what is not shaped the backend would have cut out a range

$b->clear;
$r = get('/m/bytes', headers => [ Range => 'bytes=2-4' ]);
is($r->status . $r->body, '206234', 'a range');
is(get('/m/bytes', headers => [ Range => 'bytes=2-4', 'If-Range' => '"x"' ])
       ->status, 200, 'If-Range');
is(get('/m/text', headers => [ Range => 'bytes=2-4' ])->status, 200,
   'no ranges where it has none');
is(get('/m/bytes', headers => [ 'If-Modified-Since' => $time ])->status, 304,
   'its time');
is(join('', map { $b->header($_, 'Range') } $b->log), '', 'not asked for');

# SSI

is(get('/ssi/echo?x=Ann')->body, $ann, 'echo');
is(get('/ssi/if?x=1')->body, '{"name":1}', 'if');
is(get('/ssi/if')->body, '{"name":2}', 'else');
is(get('/ssi/set')->body, '{"name":"x"}', 'set');
is(get('/ssi/empty')->body, '{"name":1}', 'an include of nothing');

for my $what (qw(include two shaped bad stub)) {
    closed(get("/ssi/$what"), 500, "ssi $what");
    closed(get("/list/$what"), 500, "list $what");
    ok($t->wait_log(qr/it contains other responses/), 'a line in the log');
    $t->mark_log;
}

is(get("/$_/nested")->body, '[]', 'an include that fails') for qw(ssi list);
is(get('/outer')->body, qq(||{"name":"1"}|$ann), 'parts of a page');

$c = $t->connect;
$c->request(GET => '/ssi/two');
$c->response;
$c->request(GET => '/m/doc');
ok($c->eof, 'after a 500 nginx closes');

# a subrequest of which only the header counts

is(get('/auth/doc')->body, $doc, 'auth_request');

# what the client chooses trips no breaker

closed(get('/br/doc', named('nosuch')), 500, 'breaker') for 1 .. 4;
closed(get('/br/gzip', named('web')), 502, 'breaker') for 1 .. 3;
closed(http_request(HEAD => '/br/doc', named('nosuch')), 500, 'HEAD')
    for 1 .. 3;
$r = get('/br/doc', named('web'));
is($r->body, $ann, 'breaker: not open');
is($r->header('X-State'), 'closed', 'breaker: closed');

# nor what a cache keeps

for my $where (qw(cache agg)) {
    $b->clear;
    closed(get("/$where/cached", named('nosuch')), 500, $where);
    is(get("/$where/cached", named('web'))->body, $ann, "$where: web");
    is(get("/$where/cached", named('mobile'))->body, $ann, "$where: mobile");
    is(get("/$where/cached", named('list'))->body, $doc, "$where: list");
    is($b->count, 1, "$where: asked once");

    my $tag = get("/$where/cached", named('web'))->header('ETag');
    is(get("/$where/cached", headers => [ 'X-Name' => 'web',
           'If-None-Match' => $tag ])->status, 304, "$where: 304");
    is(get("/$where/cached", headers => [ 'X-Name' => 'mobile',
           'If-None-Match' => $tag, Range => 'bytes=0-4' ])->body, $ann,
       "$where: the tag of another shape");
    is(get("/$where/cached", headers => [ 'X-Name' => 'web',
           'If-None-Match' => '"c"' ])->body, $ann, "$where: the bare tag");

    $b->clear;
    get("/$where/cachedfirst", headers => [ 'X-Name' => 'web',
        'If-None-Match' => $tag, Range => 'bytes=0-4',
        'Accept-Encoding' => 'gzip' ]);
    is(get("/$where/cachedfirst", named('mobile'))->body, $ann,
       "$where: filled by a condition and a range");
    is($b->count, 1, "$where: asked once");
}

is(get('/agg/cached', named('web'))->header('X-Cache'), 'HIT', 'a hit');

# from a shape to a cache without one, and back

is(get('/m/accel/cached', headers => [ Range => 'bytes=1-2' ])->body, '12',
   'a redirect to a cache');
is(get('/both/accel/cached', headers => [ Range => 'bytes=1-2' ])->body, '12',
   'a redirect from cache to cache');
is(get('/both/text', headers => [ 'If-None-Match' => '"e"' ])->status, 304,
   'a condition on a miss');
is(get('/both/cachednow', headers => [ 'If-None-Match' => '"c"' ])->body, $ann,
   'the bare tag on a miss');
is(get('/agg/cachednow', headers => [ 'X-Name' => 'web',
       'If-None-Match' => '"c"' ])->body, $ann, 'not of the client either');
is(get('/both/text', headers => [ 'If-None-Match' => '"e"' ])->status, 304,
   'and counts for a hit');
is(get('/both/text', headers => [ Range => 'bytes=1-2' ])->body, '12',
   'a range of a hit');

# slices, threads

is(get('/slice/slices')->body, $ann, 'slices');
is(get('/slice/slices', headers => [ Range => 'bytes=5000-9000' ])->body, $ann,
   'slices and a range');
closed(get('/few/slices'), 502, 'slices of a large body');
is(get('/aio/large.json')->body, $ann, 'threads');

# aggregates in aggregates

my $within = qq("b":$doc);
is(get('/whole', named('list'))->body, qq({"a":$ann,$within}), 'parts');
closed(get('/whole', named('nosuch')), 500, 'an aggregate');
ok(wait_for(sub { $t->read_file('status.log') =~ m{^/whole 500 }m }, slow(5)),
   'its line in the log');
