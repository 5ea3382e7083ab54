# A shape may hide data: what cannot be shaped is an error, and never the bare
# body.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use Test::More;

use Harness;
use Harness::H2;

my $t = Harness->new(modules => ['ngx_http_aggregate_module']);

my $secret = 'SECRET' x 40;
my $doc = qq({"name":"Ann","ssn":"$secret"});
my $gzip = { body => $doc, gzip => 1 };

# a document of n bytes
sub sized {
    my ($n) = @_;

    my $head = '{"name":"Ann","ssn":"';

    return $head . 'x' x ($n - length($head) - 2) . '"}';
}

my $b = $t->backend('b',
    '/doc' => $doc,
    '/invalid' => qq({"ssn":"$secret","name":tru}),
    '/cut' => qq({"name":"Ann","ssn":"$secret"),
    '/two' => qq($doc$doc),
    '/utf8' => qq({"name":"\xff","ssn":"$secret"}),
    '/deep' => '[' x 200 . qq("$secret") . ']' x 200,
    '/html' => { body => "<p>$secret</p>" },
    '/empty' => '',
    '/blank' => '  ',
    '/gzip' => $gzip,
    '/identity' => { body => $doc, headers =>
                     [ 'Content-Encoding' => 'identity' ] },
    '/206' => { status => 206, body => $doc, headers =>
                [ 'Content-Range' => 'bytes 0-9/10' ] },
    '/range' => { body => $doc, headers =>
                  [ 'Content-Range' => 'bytes 0-9/10' ] },
    '/206text' => { status => 206, body => $doc, type => 'text/plain' },
    '/206none' => { status => 206, body => $doc, type => undef },
    '/206parts' => { status => 206, type => 'multipart/byteranges; boundary=x',
        body => "--x\r\nContent-Type: application/json\r\nContent-Range: "
                . "bytes 0-9/10\r\n\r\n$secret\r\n--x--\r\n" },
    '/large' => { body => qq({"name":"Ann","ssn":") . $secret x 300 . '"}' },
    '/n/' => sub { { body => sized($_[0]{path} =~ /(\d+)$/) } },
    '/nchunks/' => sub { { body => sized($_[0]{path} =~ /(\d+)$/),
                           chunked => 1 } },
    '/largechunks' => { body => qq({"name":"Ann","ssn":") . $secret x 300
                        . '"}', chunked => 1 },
    '/endless' => { endless => qq({"name":1,"ssn":"$secret"},) },
    '/trunc' => { body => $doc, cut => 100, after => 'close' },
    '/truncchunks' => { chunked => [ $doc, $doc ], body => $doc . $doc,
                        cut => 300, after => 'close' },
    '/reset' => { body => $doc, cut => 100, after => 'reset' },
    '/escaped' => qq({"name":1,"\\u0073sn":"$secret","s\\u0073n":"$secret"}),
    '/split' => { body => $doc, chunked => [ $doc =~ /(.{1,2})/gs ] },
    '/slow' => { body => $doc, drip => 0.002, drip_bytes => 5 },
    '/dup' => qq({"ssn":"$secret","name":1,"ssn":"$secret"}),
);

$t->write_file('www/doc.json', $doc);
$t->write_file('www/bad.json', qq({"ssn":"$secret"));
$t->write_file('www/page.html', '<!--#include virtual="/m/invalid" -->|'
               . '<!--#include virtual="/m/doc" -->');
$t->write_file('www/ssi.json',
               '{"a":<!--#include virtual="/raw/doc" -->,"name":1}');

my $conf = <<'EOC';
%%GLOBALS%%
events { }
http {
    %%HTTP%%
    types { application/json json; text/html html; }

    aggregate_shape mobile { allow name; }
    aggregate_shape web    { deny ssn; }

    map $http_x_client $client { mobile mobile; web web; default ""; }

    upstream b { server 127.0.0.1:%%PORT_b%%; }

    server {
        listen 127.0.0.1:%%PORT_0%%;
        listen 127.0.0.1:%%PORT_h2%% http2;
        server_name localhost;
        root %%TESTDIR%%/www;
        add_header X-Always yes always;

        location /m/     { proxy_pass http://b/; aggregate_apply mobile;
                           aggregate_shape_buffer 64k; }
        location /w/     { proxy_pass http://b/; aggregate_apply web; }
        location /v/     { proxy_pass http://b/; aggregate_apply $client; }
        location /x/     { proxy_pass http://b/;
                           aggregate_apply $http_x_client; }
        location /u/     { proxy_pass http://b/; proxy_buffering off;
                           aggregate_apply mobile;
                           aggregate_shape_buffer 64k; }
        location /ask/   { proxy_pass http://b/; aggregate_apply mobile;
                           proxy_set_header Accept-Encoding gzip; }
        location /gun/   { proxy_pass http://b/; aggregate_apply mobile;
                           gunzip on; }
        location /static/ { alias %%TESTDIR%%/www/; aggregate_apply mobile; }
        location /page   { alias %%TESTDIR%%/www/page.html; ssi on;
                           default_type text/html; }
        location /ssi    { alias %%TESTDIR%%/www/ssi.json; ssi on;
                           ssi_types *; default_type application/json;
                           aggregate_apply mobile; }
        location /add/   { proxy_pass http://b/; addition_types *;
                           add_after_body /raw/doc; aggregate_apply mobile; }
        location /raw/   { proxy_pass http://b/; aggregate_apply off; }
        location /ep/    { proxy_pass http://b/; aggregate_apply mobile;
                           error_page 502 /err; }
        location /eb/    { proxy_pass http://b/; aggregate_apply mobile;
                           error_page 502 = @back; }
        location @back   { rewrite ^ /doc break; proxy_pass http://b;
                           aggregate_apply web; }
        location = /err  { default_type text/plain; return 200 "sorry"; }
        location /agg    {
            aggregate { backend a /in/invalid { } backend b /in/doc { }
                        backend c /in/trunc { } }
        }
        location /in/    { internal; proxy_pass http://b/;
                           aggregate_apply mobile; }
        location /cache/ { proxy_pass http://b/; proxy_cache c;
                           proxy_cache_valid 200 1m;
                           add_header X-Status $upstream_cache_status;
                           aggregate_apply $http_x_client; }
    }

    proxy_cache_path %%TESTDIR%%/cache keys_zone=c:1m;
}
EOC

$t->plan(174);
$t->run($conf);

sub refused {
    my ($r, $status, $name, $why) = @_;

    is($r->status, $status, "$name: $status");
    unlike($r->head . $r->body, qr/SECRET|Ann/, "$name: nothing gets out");

    if ($why) {
        my $line = qr{\[error\] .*response in location "/\w+/" cannot be }
            . qr{shaped by "[^"]+": $why};
        ok($t->wait_log(qr/$line/), "$name: a line in the log");
    }

    $t->mark_log;
}

my $cut = qr/it is not valid JSON/;

refused(http_get("/m/$_"), 502, $_, $cut)
    for qw(invalid cut two utf8 deep html empty blank);
refused(http_get("/u/$_"), 502, "$_ unbuffered", $cut) for qw(invalid cut);

refused(http_get('/m/gzip'), 502, 'gzip unasked', 'it has a content encoding');
refused(http_get('/ask/gzip'), 502, 'gzip asked for in the configuration',
        'it has a content encoding');
is(http_get('/gun/gzip')->body, '{"name":"Ann"}', 'gunzip helps');
is(http_get('/m/identity')->body, '{"name":"Ann"}', 'identity is none');

refused(http_get("/m/$_"), 502, $_, 'it is a range of a response')
    for qw(206 206text 206none 206parts);
refused(http_get("/m/206parts", headers => [ Range => 'bytes=0-1,5-9' ]), 502,
        '206 of parts, asked for', 'it is a range of a response');
refused(http_get('/m/range'), 502, 'a range', 'it is a range of a response');

refused(http_get("/$_/large"), 502, "large $_",
        'it exceeds "aggregate_shape_buffer"') for qw(m u);
refused(http_get("/$_/largechunks"), 502, "large chunks $_",
        'it exceeds "aggregate_shape_buffer"') for qw(m u);
refused(http_get("/$_/endless"), 502, "endless $_", undef) for qw(m u);

for my $way (qw(m/n m/nchunks u/n u/nchunks)) {
    is(http_get("/$way/65536")->body, '{"name":"Ann"}', "$way: to the byte");
    refused(http_get("/$way/65537"), 502, "$way: one more",
            'it exceeds "aggregate_shape_buffer"');
}

for my $how (qw(trunc truncchunks reset)) {
    refused(http_get("/$_/$how"), 502, "$how $_") for qw(m u);
}

# no shape of that name

refused(http_get('/v/doc'), 500, 'an empty value', 'no shape has the name');
refused(http_get('/x/doc', headers => [ 'X-Client' => $_ ]), 500,
        "the value $_", 'no shape has the name')
    for 'nosuch', 'MOBILE', 'mobile,web', 'off', '$client', "mob\xc3\xa9";
refused(http_request(HEAD => '/v/doc'), 500, 'HEAD');

# what a client may try

my @tries = (
    [ Range => 'bytes=0-20' ], [ Range => 'bytes=20-40', 'If-Range' => '"a"' ],
    [ 'Accept-Encoding' => 'gzip, deflate, br' ],
    [ 'If-None-Match' => '*' ], [ 'If-Match' => '*' ],
    [ 'X-Client' => 'web' ], [ Accept => 'text/html' ],
);

for my $h (@tries) {
    my $r = http_get('/m/doc', headers => $h);
    unlike($r->body, qr/SECRET/, "@$h");
    unlike(http_get('/static/doc.json', headers => $h)->body, qr/SECRET/,
           "@$h of a file");
}

is(http_get("/w/$_")->body, '{"name":"Ann"}', "deny of $_")
    for qw(doc split slow);
is(http_get('/w/dup')->body, '{"name":1}', 'deny of duplicates');
is(http_get('/w/escaped')->body, '{"name":1}', 'deny of escaped names');
refused(http_get('/static/bad.json'), 502, 'a bad file', $cut);

# parts of other responses

is(http_get('/page')->body, '|{"name":"Ann"}', 'SSI: a part that fails');
refused(http_get('/ssi'), 500, 'SSI in what is shaped');
refused(http_get('/add/doc'), 500, 'addition to what is shaped');
my $r = http_get('/agg');
is($r->body, '{"b":{"name":"Ann"}}', 'an aggregate');
like($r->header('X-Aggregate'), qr/partial; failed="a, c"/, 'is partial');

# error pages

$r = http_get('/m/invalid');
is($r->header('X-Always'), 'yes', 'add_header always');
like($r->body, qr/502 Bad Gateway/, 'the page of nginx');
is(http_get('/ep/invalid')->body, 'sorry', 'error_page');
is(http_get('/eb/gzip')->body, '{"name":"Ann"}', 'error_page with a backend');

# one cached body, many shapes

is(http_get('/cache/doc', headers => [ 'X-Client' => 'mobile',
                                       Range => 'bytes=0-5' ])->body,
   '{"name":"Ann"}', 'cache: filled by a request for a range');
is(http_get('/cache/doc', headers => [ 'X-Client' => 'web',
                                       'If-None-Match' => '"x"' ])->body,
   '{"name":"Ann"}', 'cache: a hit in another shape');
$r = http_get('/cache/doc', headers => [ 'X-Client' => 'none' ]);
refused($r, 500, 'cache: no shape', 'no shape has the name');
is($b->count('/doc'), scalar(grep { $_->{path} eq '/doc' } $b->log), 'counted');

# HTTP/2

my $h2 = Harness::H2->new(port => $t->port('h2'));

for my $case ([ '/m/doc', qr/^\{"name":"Ann"\}$/ ],
              [ '/m/invalid', qr/502 Bad/ ], [ '/v/doc', qr/500 Internal/ ],
              [ '/m/gzip', qr/502 Bad/ ], [ '/m/endless', qr/502 Bad/ ],
              [ '/w/split', qr/^\{"name":"Ann"\}$/ ])
{
    my $id = $h2->request(GET => $case->[0]);
    my $answer = $h2->wait($id, 10);
    like($answer->{body}, $case->[1], "h2 $case->[0]");
    unlike($answer->{body}, qr/SECRET/, "h2 $case->[0]");
}
