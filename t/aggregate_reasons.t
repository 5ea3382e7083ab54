# Every reason of the closed list, and nothing of a backend in what is told.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use Test::More;

use Harness;
use Harness::Aggregate;

my $t = Harness->new(modules => ['ngx_http_aggregate_module']);

my $ok = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n";

my $b = $t->backend('b',
    '/1' => '1',
    '/slow' => { delay => 10 },
    '/slowbody' => { body => '"SECRET"', body_delay => 10 },
    '/drip' => { body => '"' . 'x' x 1000 . '"', drip => 0.2 },
    '/reset' => { action => 'reset' },
    '/close' => { action => 'close' },
    '/hang' => { action => 'hang' },
    '/garbage' => { raw => "SECRET garbage\r\n\r\n" },
    '/halfhead' => { raw => "HTTP/1.1 200 OK\r\nX-Secret: SEC" },
    '/badheader' => { raw => "HTTP/1.1 200 OK\r\nSECRET\0bad: x\r\n\r\n1" },
    '/hugehead' => { headers => [ 'X-SECRET' => 'x' x 70000 ], body => '1' },
    '/500' => { status => 500, body => 'SECRET' },
    '/302' => { status => 302, headers => [ Location => '/SECRET' ] },
    '/bad' => '{"SECRET":',
    '/html' => { type => 'text/html', body => '<h1>SECRET</h1>' },
    '/gzip' => { gzip => 1, body => '{"a":1}' },
    '/br' => { headers => [ 'Content-Encoding' => 'br' ], body => '{"a":1}' },
    '/identity' => { headers => [ 'Content-Encoding' => 'identity' ],
                     body => '{"a":1}' },
    '/big' => { body => '"' . 'x' x 2000 . '"' },
    '/bigchunked' => { body => '"' . 'x' x 2000 . '"', chunked => 1 },
    '/bigclose' => { body => '"' . 'x' x 2000 . '"', length => undef },
    '/endless' => { endless => 'x' x 1000, body => '"' },
    '/cut' => { body => '{"a":"SECRET"}', cut => 7 },
    '/cutvalid' => { body => '{"a":1}', length => 20, after => 'close' },
    '/cutreset' => { body => '{"a":1}', length => 20, after => 'reset' },
    '/cutchunked' => { raw => $ok . "Transfer-Encoding: chunked\r\n\r\n"
                              . "7\r\n{\"a\":1}\r\n" },
    '/cutchunk' => { raw => $ok . "Transfer-Encoding: chunked\r\n\r\n"
                            . "ff\r\n{\"a\":1}" },
    '/badchunk' => { raw => $ok . "Transfer-Encoding: chunked\r\n\r\n"
                            . "7\r\n{\"a\":1}\r\nzz\r\n" },
    '/firstbadchunk' => { raw => $ok . "Transfer-Encoding: chunked\r\n\r\n"
                            . "SECRET\r\n{\"a\":1}\r\n" },
    '/resetclose' => { steps => [ [ send => $ok . "\r\n12" ], [ wait => 0.03 ],
                                  [ 'reset' ] ] },
    '/resetchunk' => { steps => [ [ send => $ok . "Transfer-Encoding: chunked"
                                            . "\r\n\r\n2\r\n12\r\n" ],
                                  [ wait => 0.03 ], [ 'reset' ] ] },
    '/stall' => { steps => [ [ send => $ok . "\r\n12" ], [ 'hang' ] ] },
    '/nolength' => { body => '{"a":1}', length => undef },
    '/toolong' => { body => '{"a":1}SECRET', length => 7 },
    '/http09' => { raw => '{"a":1}' },
    '/100' => { raw => "HTTP/1.1 100 Continue\r\n\r\n$ok"
                       . "Content-Length: 1\r\n\r\n1" },
    '/o' => '{"id":1,"n":null,"o":{},"l":[],"ctl":"a\u0001b"}',
    '/array' => '[]',
    '/503' => { status => 503 },
);

# one part, not required, beside one that is there: the reason by `errors'
my @table = (
    [ 'a deadline', q{ backend x /b/slow { timeout 50ms; } }, 'timeout' ],
    [ 'a deadline in the body',
      q{ backend x /b/slowbody { timeout 50ms; } }, 'timeout' ],
    [ 'a deadline, a byte now and then',
      q{ backend x /b/drip { timeout 100ms; } }, 'timeout' ],
    [ 'the deadline of all', q{ timeout 80ms; backend x /b/hang { } },
      'timeout' ],
    [ 'nginx\'s own 504', q{ backend x /short/slow { } }, 'timeout' ],
    [ 'refused', q{ backend x /dead/x { } }, 'connect' ],
    [ 'reset', q{ backend x /b/reset { } }, 'connect' ],
    [ 'closed', q{ backend x /b/close { } }, 'connect' ],
    [ 'half a header', q{ backend x /b/halfhead { } }, 'connect' ],
    [ 'a bad header', q{ backend x /b/badheader { } }, 'connect' ],
    [ 'a header too big', q{ backend x /b/hugehead { } }, 'connect' ],
    [ 'no live upstreams', q{ backend x /down/x { } }, 'connect' ],
    [ 'a name that does not resolve', q{ backend x /noname/x { } },
      'connect' ],
    [ 'status 500', q{ backend x /b/500 { } }, 'status' ],
    [ 'status 503', q{ backend x /b/503 { } }, 'status' ],
    [ 'status 302', q{ backend x /b/302 { } }, 'status' ],
    [ 'no such file', q{ backend x /nosuch { } }, 'status' ],
    [ 'a part that was refused here', q{ backend x /return/403 { } },
      'status' ],
    [ 'half a document', q{ backend x /b/bad { } }, 'invalid_json' ],
    [ 'HTML', q{ backend x /b/html { } }, 'invalid_json' ],
    [ 'gzip', q{ backend x /b/gzip { } }, 'encoding' ],
    [ 'an unknown coding', q{ backend x /b/br { } }, 'encoding' ],
    [ 'too large', q{ max_body_size 1k; backend x /b/big { } }, 'too_large' ],
    [ 'too large, chunked', q{ max_body_size 1k; backend x /b/bigchunked { } },
      'too_large' ],
    [ 'too large, no length', q{ max_body_size 1k; backend x /b/bigclose { } },
      'too_large' ],
    [ 'endless', q{ max_body_size 8k; backend x /b/endless { } },
      'too_large' ],
    [ 'cut', q{ backend x /b/cut { } }, 'truncated' ],
    [ 'cut, a whole document', q{ backend x /b/cutvalid { } }, 'truncated' ],
    [ 'cut by a reset', q{ backend x /b/cutreset { } }, 'truncated' ],
    [ 'reset, no length', q{ backend x /b/resetclose { } }, 'truncated' ],
    [ 'reset, chunked', q{ backend x /b/resetchunk { } }, 'truncated' ],
    [ 'reset, no length, buffered and stored',
      q{ backend x /stored/resetclose { } }, 'truncated' ],
    [ 'reset, no length, cached', q{ backend x /cached/resetclose { } },
      'truncated' ],
    [ 'reset, no length, after SSI', q{ backend x /ssi/resetclose { } },
      'truncated' ],
    [ 'nothing more comes, no length', q{ backend x /short/stall { } },
      '(?:timeout|truncated)' ],
    [ 'no last chunk', q{ backend x /b/cutchunked { } }, 'truncated' ],
    [ 'half a chunk', q{ backend x /b/cutchunk { } }, 'truncated' ],
    [ 'a bad chunk', q{ backend x /b/badchunk { } }, 'truncated' ],
    [ 'the first chunk bad', q{ backend x /b/firstbadchunk { } },
      'truncated' ],
    [ 'two dots', q{ backend x /b/$arg_dots/x { } }, 'bad_uri' ],
    [ 'an empty segment', q{ backend x /b/$arg_none/x { } }, 'bad_uri' ],
    [ 'a control character of a part',
      q{ backend o /b/o { } backend x /b/${o.ctl} { } }, 'bad_uri' ],
    [ 'a member that is not there',
      q{ backend o /b/o { } backend x /b/${o.no} { } }, 'dependency' ],
    [ 'null', q{ backend o /b/o { } backend x /b/${o.n} { } }, 'dependency' ],
    [ 'an object', q{ backend o /b/o { } backend x /b/${o.o} { } },
      'dependency' ],
    [ 'an array', q{ backend o /b/o { } backend x /b/${o.l} { } },
      'dependency' ],
    [ 'each of what is no array',
      q{ backend o /b/o { } backend x /b/1 { each o.o; } }, 'dependency' ],
    [ 'a merge of what is no object', q{ backend x /b/array { merge; } },
      'conflict' ],
    [ 'a merge of what is there',
      q{ on_conflict error; backend o /b/o { merge; }
         backend x /b/o { merge; } }, 'conflict' ],
);

my @cases = map {
    my ($name, $block, $reason) = @$_;
    my $entry = qr/\{"backend":"x","reason":"$reason","status":(?:\d+|null)\}/;

    [ $name, "errors _errors; backend one /b/1 { } $block",
      qr/^200 partial:x \{"one":1,.*"_errors":\[$entry\]\}$/,
      args => 'dots=..' ];
} @table;

my @required = map {
    my ($name, $block, $reason) = @$_;
    my $status = $reason =~ /timeout/ ? '50[24]'
        : $name =~ /nosuch|no such/ ? 404
        : $name =~ /refused here/ ? 403
        : $name eq 'status 503' ? 503
        : $name =~ /^(?:two dots|an empty segment)$/ ? 400 : 502;

    [ "$name, required", 'backend one /b/1 { } '
        . $block =~ s/(backend x \S+ \{)/$1 required;/r,
      qr/^$status \{"x":"$reason"\}$/,
      args => 'dots=..' ];
} @table;

my @taken = (
    [ 'identity is no compression', q{ backend x /b/identity { } },
      [ '200 complete {"x":{"a":1}}', '502 {"x":"encoding"}' ] ],
    [ 'no length, closed', q{ backend x /b/nolength { } },
      '200 complete {"x":{"a":1}}' ],

    # nginx passes on all of it before
    [ 'more than the length', q{ backend x /b/toolong { } },
      $t->older('1.19.1') ? '502 {"x":"invalid_json"}'
                          : '200 complete {"x":{"a":1}}' ],
    [ 'no header at all', q{ backend x /b/http09 { } },
      '502 {"x":"connect"}' ],
    [ 'garbage', q{ backend x /b/garbage { } }, '502 {"x":"connect"}' ],
    [ '100 Continue unasked', q{ backend x /b/100 { } },
      [ '200 complete {"x":1}', '502 {"x":"status"}', '502 {"x":"connect"}',
        '502 {"x":"invalid_json"}' ] ],
);

# a location that names itself: ended by max_subrequests or by nginx's limit
my $loop = [ 'a location that asks itself', 'backend x $uri { }
             backend one /b/1 { }', undef ];
my $wide = [ 'and twice each time', 'backend x $uri { } backend y $uri { }
             backend one /b/1 { }', undef ];

$t->plan(@cases + @required + @taken + 7);

serve($t, cases => [ @cases, @required, @taken ],
    http => q{
        proxy_cache_path %%TESTDIR%%/cache keys_zone=c:1m;
        upstream down { server 127.0.0.1:%%PORT_b%% down; }
    },
    server => q{
        location /short/ {
            internal;
            proxy_read_timeout 60ms;
            proxy_pass http://127.0.0.1:%%PORT_b%%/;
        }
        location /stored/ { internal; proxy_store %%TESTDIR%%/stored;
            proxy_pass http://127.0.0.1:%%PORT_b%%/; }
        location /cached/ { internal; proxy_cache c; proxy_cache_valid 1m;
            proxy_pass http://127.0.0.1:%%PORT_b%%/; }
        location /ssi/ { internal; ssi on; ssi_types *;
            proxy_pass http://127.0.0.1:%%PORT_b%%/; }
        location /down/ { internal; proxy_pass http://down/; }
        location /noname/ {
            internal;
            set $where noname.invalid;
            proxy_pass http://$where;
        }
        location ~ ^/return/403$ { return 403; }
        location /loop { aggregate { backend x /loop { }
                                     backend one /b/1 { } } }
        location /wide { aggregate { backend x /wide { } backend y /wide { }
                                     backend one /b/1 { } } }
    });

check($t, @cases, @required, @taken);

for my $name ('loop', 'wide') {
    $b->clear;
    my $r = http_get("/$name");
    like($r->status, qr/^(?:200|50\d)$/, "$name: answered");
    cmp_ok($r->time, '<', slow(3), "$name: in time");
    cmp_ok($b->count, '<=', 100, "$name: within max_subrequests");
}

my $r = http_get(case_uri($cases[0]));
is($r->status, 200, 'and others are served');
