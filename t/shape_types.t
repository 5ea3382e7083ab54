#!/usr/bin/perl

# Which responses a shape is given to, and what a filter before it can do to
# them: types, "strict", ranges of other units, and bodies that gunzip refuses.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use IO::Compress::Gzip qw(gzip);
use Test::More;

use Harness;

my $t = Harness->new(modules => ['ngx_http_aggregate_module']);

my $doc = '{"name":"Ann","ssn":"SECRET"}';
my $shaped = '{"name":"Ann"}';

gzip(\$doc => \my $zipped);

sub typed { return { body => $doc, type => $_[0] } }
sub labelled {
    my ($body, %more) = @_;
    return { body => $body, %more,
             headers => [ 'Content-Encoding' => 'gzip' ] };
}
sub range {
    my ($range, %more) = @_;
    return { status => 206, body => $doc,
             headers => [ 'Content-Range' => $range ], %more };
}

my $long = '{"name":"Ann","ssn":"' . 'SECRET' x 20000 . '"}';
gzip(\$long => \my $zlong);

$t->backend('b',
    '/json' => $doc,
    '/text' => typed('text/plain'),
    '/textjson' => typed('text/json; charset=utf-8'),
    '/TEXTJSON' => typed('Text/JSON'),
    '/nd' => { body => "$doc\n$doc\n", type => 'application/x-ndjson' },
    '/none' => typed(undef),
    '/201' => { status => 201, body => $doc, type => 'text/plain' },
    '/201empty' => { status => 201, body => '', type => 'text/plain' },
    '/204' => { status => 204 },
    '/404' => { status => 404, body => $doc, type => 'text/plain' },
    '/items' => range('items 0-9/100'),
    '/ITEMS' => range('rows=0-9/*'),
    '/bytesrange' => range('bytes-range 0-9/10'),
    '/bytes' => range('bytes 0-9/10'),
    '/BYTES' => range('Bytes 0-9/10'),
    '/badrange' => range('0-9/10'),
    '/itemstext' => range('items 0-9/100', type => 'text/plain'),
    '/items200' => { body => $doc,
                     headers => [ 'Content-Range' => 'items 0-9/100' ] },
    '/gz' => labelled($zipped),
    '/gzlong' => labelled($zlong),
    '/gzempty' => labelled(''),
    '/gzplain' => labelled($doc),
    '/gzplainlong' => labelled($long),
    '/gzcut' => labelled(substr($zipped, 0, 20)),
    '/gzcutlong' => labelled(substr($zlong, 0, length($zlong) - 9)),
    '/gzmore' => labelled($zipped . 'behind its end'),
    '/gzchunks' => labelled($doc, chunked => [ $doc =~ /(.{1,4})/gs ]),
    '/gzdrip' => labelled($doc, drip => 0.01, drip_bytes => 6),
    '/gzendless' => { endless => 'no gzip at all ' x 100,
                      headers => [ 'Content-Encoding' => 'gzip' ] },
    '/gz204' => { status => 204, headers => [ 'Content-Encoding' => 'gzip' ] },
);

my $conf = <<'EOC';
%%GLOBALS%%
events { }
http {
    %%HTTP%%
    types { application/json json; text/html html; }

    aggregate_shape m { allow name; }

    upstream b { server 127.0.0.1:%%PORT_b%%; }

    server {
        listen 127.0.0.1:%%PORT_0%%;
        server_name localhost;

        location /p/ { proxy_pass http://b/; aggregate_apply m; }
        location /t/ { proxy_pass http://b/;
            aggregate_apply m types=text/json,application/x-ndjson
                              types=text/plain; }
        location /s/ { proxy_pass http://b/; aggregate_apply m strict; }
        location /st/ { proxy_pass http://b/;
            aggregate_apply m types=text/json strict; }
        location /so/ { proxy_pass http://b/;
            aggregate_apply $http_x_shape empty=off strict; }
        location /g/ { proxy_pass http://b/; gunzip on; aggregate_apply m;
            aggregate_shape_buffer 256k; }
        location /gu/ { proxy_pass http://b/; gunzip on; aggregate_apply m;
            proxy_buffering off; }
        location /ge/ { proxy_pass http://b/; gunzip on; aggregate_apply m;
            error_page 502 =200 /sorry; }
        location = /sorry { default_type text/plain; return 200 sorry; }

        location /agg/ {
            aggregate {
                errors why;
                backend a /in/gzplain { }
                backend b /in/json { }
                backend c /in/gzempty { }
                backend d /in/gzmore { }
                backend e /in/gzcutlong { }
            }
        }
        location /in/ { internal; proxy_pass http://b/; gunzip on;
                        aggregate_apply m; }
    }
}
EOC

$t->plan(63);
$t->run($conf);

sub answer {
    my ($uri, @headers) = @_;
    my $r = http_request(GET => $uri, headers => [ @headers ]);
    return ($r->status || 'closed') . ' '
        . ($r->status && $r->status >= 400 ? '' : $r->body);
}

is(answer("/p/$_->[0]"), $_->[1], "types: $_->[0]")
    for [ json => "200 $shaped" ], [ text => "200 $doc" ],
        [ textjson => "200 $doc" ], [ none => "200 $doc" ];

is(answer("/t/$_->[0]"), $_->[1], "types=: $_->[0]")
    for [ json => "200 $shaped" ], [ text => "200 $shaped" ],
        [ textjson => "200 $shaped" ], [ TEXTJSON => "200 $shaped" ],
        [ none => "200 $doc" ], [ nd => '502 ' ];

is(answer("/s/$_->[0]"), $_->[1], "strict: $_->[0]")
    for [ json => "200 $shaped" ], [ text => '502 ' ], [ textjson => '502 ' ],
        [ none => '502 ' ], [ 201 => '502 ' ], [ '201empty' => '201 ' ],
        [ 204 => '204 ' ], [ 404 => '404 ' ], [ itemstext => '502 ' ],
        [ items => "206 $shaped" ];

is(http_request(HEAD => '/s/text')->status, 502, 'strict: HEAD');
ok($t->wait_log(qr/"\/s\/" cannot be shaped by "m": its type is not JSON/),
   'a line in the log');

is(answer("/st/$_->[0]"), $_->[1], "both: $_->[0]")
    for [ textjson => "200 $shaped" ], [ text => '502 ' ];

is(answer('/so/text'), "200 $doc", 'strict, but off');
is(answer('/so/text', 'X-Shape' => 'm'), '502 ', 'strict, and on');

is(answer("/p/$_->[0]"), $_->[1], "ranges: $_->[0]")
    for [ items => "206 $shaped" ], [ ITEMS => "206 $shaped" ],
        [ bytesrange => "206 $shaped" ], [ items200 => "200 $shaped" ],
        [ bytes => '502 ' ], [ BYTES => '502 ' ], [ badrange => '502 ' ],
        [ itemstext => "206 $doc" ];

is(http_get('/p/items')->header('Content-Range'), 'items 0-9/100',
   'the range stays');

# bodies that are no gzip, under its name

is(answer("/g/$_->[0]"), $_->[1], "gunzip: $_->[0]")
    for [ gz => "200 $shaped" ], [ gzlong => "200 $shaped" ],
        [ gz204 => '204 ' ], [ gzendless => '502 ' ];

for my $where (qw(g gu)) {
    is(answer("/$where/$_"), '502 ', "$where: $_")
        for qw(gzempty gzplain gzplainlong gzcut gzcutlong gzmore gzchunks
               gzdrip);
}

is(answer('/ge/gzplain'), '200 sorry', 'with a page of its own');

my $c = $t->connect;
$c->request(GET => '/g/gzplain');
is($c->response->status, 502, 'a connection that stays');
$c->request(GET => '/g/json');
is($c->response->body, $shaped, 'is good for the next request');

ok($t->wait_log(qr/cannot be shaped by "m": another filter failed/),
   'a line in the log');

# a part fails, and the others do not

my $r = http_get('/agg/');
is($r->status, 200, 'an aggregate');
is_deeply($r->json->{b}, { name => 'Ann' }, 'the good part');
is(join(' ', sort map { "$_->{backend}:$_->{reason}" } @{ $r->json->{why} }),
   'a:encoding c:encoding d:encoding e:encoding', 'the bad ones');
unlike($r->body, qr/SECRET/, 'nothing gets out');
