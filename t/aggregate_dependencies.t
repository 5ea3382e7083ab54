# ${part.path}: what is taken, what starts when, what fails with it.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use Test::More;

use Harness;
use Harness::Aggregate;

my $t = Harness->new(modules => ['ngx_http_aggregate_module']);

my $unit = slow(0.2);

my $values = '{'
    . '"s":"abc","n":12345678901234567890,"f":1.0,"e":1E3,"neg":-0,"t":true,'
    . '"no":false,"null":null,"o":{"id":"in"},"l":["first",2,"last"],'
    . '"empty":"",'
    . '"u":"caf\u00e9","raw":"caf' . "\xc3\xa9" . '","pair":"\ud83d\ude00",'
    . '"lone":"a\ud800","esc":"a\/b","q":"\"","blank":"a b","pct":"100%",'
    . '"odd.key":{"b":"odd"},"sp ace":"spaced","z":"\u0000","nl":"a\nb",'
    . '"deep":{"a":[{"b":[["x","y"]]}]},"k-1_$@":"plain","\u0061b":"named"}';

my $b = $t->backend('b',
    '/v' => $values,
    '/wrap' => "{\"data\":$values,\"s\":\"outer\"}",
    '/list' => '[{"id":1},{"id":2},{"id":3}]',
    '/str' => '"a b"', '/num' => '7', '/true' => 'true', '/null' => 'null',
    '/obj' => '{"a":1}', '/500' => { status => 500 },
    '/404' => { status => 404, body => '{"id":"no"}' },
    '/bad' => '{', '/204' => { status => 204 },
    '/slow/' => sub { { body => '{"id":"' . (split m{/}, $_[0]{path})[-1]
                                 . '"}', delay => $unit } },
    '/late' => { delay => 10 },
    '/inc/' => sub { 1 + ($_[0]{path} =~ m{(\d+)$})[0] },
    '/got/' => sub {
        my ($q) = @_;
        my %h = map { lc $_->[0] => $_->[1] } @{ $q->{headers} };
        my $x = $h{'x-v'} || '';
        return { body => '"' . "$q->{uri}|$x" =~ s/(["\\])/\\$1/gr . '"' };
    },
);

sub got {
    my ($uri, $header) = @_;
    return '200 complete {"g":"/got/' . $uri . '|' . ($header || '') . '"}';
}

sub from {
    my ($path) = @_;
    return "backend v /b/v { hidden; } backend g '/b/got/\${v.$path}' { }";
}

my @cases = (
    [ 'a string', from('s'), got('abc') ],
    [ 'a big number as it stands', from('n'), got('12345678901234567890') ],
    [ '1.0 as it stands', from('f'), got('1.0') ],
    [ '1E3 as it stands', from('e'), got('1E3') ],
    [ '-0', from('neg'), got('-0') ],
    [ 'true', from('t'), got('true') ],
    [ 'false', from('no'), got('false') ],
    [ 'an escape', from('u'), got('caf%C3%A9') ],
    [ 'raw UTF-8', from('raw'), got('caf%C3%A9') ],
    [ 'a pair of escapes', from('pair'), got('%F0%9F%98%80') ],
    [ 'a blank', from('blank'), got('a%20b') ],
    [ 'a percent sign', from('pct'), got('100%25') ],
    [ 'a quote', from('q'),

      # nginx does not escape it before
      got($t->older('1.21.1') ? '\\"' : '%22') ],
    [ 'a nested member', from('o.id'), got('in') ],
    [ 'an index', from('l[0]'), got('first') ],
    [ 'an index, a number', from('l[1]'), got('2') ],
    [ 'the last one', from('l[-1]'), got('last') ],
    [ 'the first one, from the end', from('l[-3]'), got('first') ],
    [ 'a quoted key', from('"odd.key".b'), got('odd') ],
    [ 'a quoted key with a blank', from('"sp ace"'), got('spaced') ],
    [ 'deep', from('deep.a[0].b[0][1]'), got('y') ],
    [ 'letters of a bare key', from('k-1_$@'), got('plain') ],
    [ 'a name that was escaped', from('ab'), got('named') ],

    [ 'null', from('null'), '200 partial:g {}' ],
    [ 'an object', from('o'), '200 partial:g {}' ],
    [ 'an array', from('l'), '200 partial:g {}' ],
    [ 'no such member', from('nosuch'), '200 partial:g {}' ],
    [ 'no such index', from('l[3]'), '200 partial:g {}' ],
    [ 'no such index, from the end', from('l[-4]'), '200 partial:g {}' ],
    [ 'a member of a string', from('s.x'), '200 partial:g {}' ],
    [ 'an index of an object', from('o[0]'), '200 partial:g {}' ],
    [ 'a lone surrogate has no bytes', from('lone'), '200 partial:g {}' ],
    [ 'an empty string in the path', from('empty'), '200 partial:g {}' ],
    [ 'a slash in the path', from('esc'), '200 partial:g {}' ],
    [ 'NUL in the path', from('z'), '200 partial:g {}' ],
    [ 'a new line in the path', from('nl'), '200 partial:g {}' ],

    [ 'the whole, a string', q{ backend v /b/str { hidden; }
      backend g /b/got/${v.} { } }, got('a%20b') ],
    [ 'the whole, a number', q{ backend v /b/num { hidden; }
      backend g /b/got/${v.} { } }, got('7') ],
    [ 'the whole, true', q{ backend v /b/true { hidden; }
      backend g /b/got/${v.} { } }, got('true') ],
    [ 'the whole, an object', q{ backend v /b/obj { hidden; }
      backend g /b/got/${v.} { } }, '200 partial:g {}' ],
    [ 'the whole, null', q{ backend v /b/204 { hidden; }
      backend g /b/got/${v.} { } }, '200 partial:g {}' ],
    [ 'the whole, an array by index', q{ backend v /b/list { hidden; }
      backend g '/b/got/${v.[1].id}' { } }, got('2') ],
    [ 'an array by index, without the dot', q{ backend v /b/list { hidden; }
      backend g '/b/got/${v.[-1].id}' { } }, got('3') ],

    [ 'in an argument', q{ backend v /b/v { hidden; }
      backend g '/b/got/x?a=${v.blank}&b=${v.l[1]}' { } },
      got('x?a=a%20b&b=2') ],
    [ 'an empty string in an argument', q{ backend v /b/v { hidden; }
      backend g /b/got/x?a=${v.empty}&b=1 { } }, got('x?a=&b=1') ],
    [ 'a slash in an argument', q{ backend v /b/v { hidden; }
      backend g /b/got/x?a=${v.esc} { } }, got('x?a=a%2Fb') ],
    [ 'null in an argument', q{ backend v /b/v { hidden; }
      backend g /b/got/x?a=${v.null} { } }, '200 partial:g {}' ],
    [ 'in a header', q{ backend v /b/v { hidden; }
      backend g /b/got/x { header X-V ${v.s}; } }, got('x', 'abc') ],
    [ 'in a header, a number', q{ backend v /b/v { hidden; }
      backend g /b/got/x { header X-V 'n=${v.n}'; } },
      got('x', 'n=12345678901234567890') ],
    [ 'in a header, UTF-8 bytes', q{ backend v /b/v { hidden; }
      backend g /b/got/x { header X-V ${v.u}; } }, got('x', "caf\xc3\xa9") ],
    [ 'in a header, a new line', q{ backend v /b/v { hidden; }
      backend g /b/got/x { header X-V ${v.nl}; } }, '200 partial:g {}' ],
    [ 'in a header, NUL', q{ backend v /b/v { hidden; }
      backend g /b/got/x { header X-V ${v.z}; } }, '200 partial:g {}' ],
    [ 'in a header, null', q{ backend v /b/v { hidden; }
      backend g /b/got/x { header X-V ${v.null}; } }, '200 partial:g {}' ],
    [ 'in a header, no such member', q{ backend v /b/v { hidden; }
      backend g /b/got/x { header X-V ${v.nosuch}; } }, '200 partial:g {}' ],

    [ 'twice', q{ backend v /b/v { hidden; }
      backend g '/b/got/${v.s}/${v.s}?x=${v.s}' { } }, got('abc/abc?x=abc') ],
    [ 'two in one segment', q{ backend v /b/v { hidden; }
      backend g '/b/got/a${v.s}-${v.n}z' { } },
      got('aabc-12345678901234567890z') ],
    [ 'of two parts', q{ backend v /b/v { hidden; } backend w /b/num { hidden; }
      backend g '/b/got/${v.s}/${w.}' { } }, got('abc/7') ],
    [ 'with a variable of nginx', q{ backend v /b/v { hidden; }
      backend g '/b/got/${v.s}/${arg_x}/$arg_x' { } }, got('abc/1/1'),
      args => 'x=1' ],

    [ 'after target', q{ backend v /b/wrap { hidden; target data; }
      backend g /b/got/${v.s} { } }, got('abc') ],
    [ 'after limit', q{ backend v /b/list { hidden; limit 2; }
      backend g '/b/got/${v.[-1].id}' { } }, got('2') ],
    [ 'before deny', q{ backend v /b/obj { deny a; }
      backend g /b/got/${v.a} { } },
      '200 complete {"v":{},"g":"/got/1|"}' ],
    [ 'before allow', q{ backend v /b/v { allow s; }
      backend g /b/got/${v.n} { } },
      '200 complete {"v":{"s":"abc"},"g":"/got/12345678901234567890|"}' ],
    [ 'before rename', q{ backend v /b/obj { rename a b; }
      backend g /b/got/${v.a} { } },
      '200 complete {"v":{"b":1},"g":"/got/1|"}' ],
    [ 'the new name is not there yet', q{ backend v /b/obj { rename a b; }
      backend g /b/got/${v.b} { } },
      '200 partial:g {"v":{"b":1}}' ],
    [ 'before move and set', q{ backend v /b/obj { move a c.d; set a 9; }
      backend g /b/got/${v.a} { } },
      '200 complete {"v":{"c":{"d":1},"a":9},"g":"/got/1|"}' ],
    [ 'what set makes is not there yet', q{ backend v /b/obj { set z 9; }
      backend g /b/got/${v.z} { } },
      '200 partial:g {"v":{"a":1,"z":9}}' ],
    [ 'target not there', q{ backend v /b/obj { target nosuch; }
      backend g /b/got/${v.a} { } }, '200 partial:g {"v":null}' ],
    [ 'target not there, the default',
      q{ backend v /b/obj { target nosuch; default '{"a":5}'; }
      backend g /b/got/${v.a} { } },
      qr/^200 (?:complete|partial:v) \{"v":\{"a":5\},"g":"\/got\/5\|"\}$/ ],

    [ 'a failed part', q{ backend v /b/500 { } backend g /b/got/${v.s} { }
      backend w /b/num { } }, '200 partial:v, g {"w":7}' ],
    [ 'a failed part with a default',
      q{ backend v /b/500 { default '{"s":"dflt"}'; }
      backend g /b/got/${v.s} { } },
      '200 partial:v {"v":{"s":"dflt"},"g":"/got/dflt|"}' ],
    [ 'a default that has no such member',
      q{ backend v /b/500 { default '{}'; } backend g /b/got/${v.s} { } },
      '200 partial:v, g {"v":{}}' ],
    [ 'nothing of a failed part\'s body',
      q{ backend v /b/404 { } backend g /b/got/${v.id} { }
         backend w /b/num { } },
      '200 partial:v, g {"w":7}' ],
    [ 'a dependent\'s default', q{ backend v /b/bad { }
      backend g /b/got/${v.s} { default '"none"'; } },
      '200 partial:v, g {"g":"none"}' ],
    [ 'and what depends on that', q{ backend v /b/bad { }
      backend h /b/got/${v.s} { default '{"s":"none"}'; }
      backend g /b/got/${h.s} { } },
      '200 partial:v, h {"h":{"s":"none"},"g":"/got/none|"}' ],
    [ 'a chain of failures', q{ backend v /b/bad { }
      backend w /b/got/${v.s} { } backend x /b/got/${w.} { }
      backend y /b/got/${x.} { } backend z /b/num { } },
      '200 partial:v, w, x, y {"z":7}' ],
    [ 'a chain of failures, one required', q{ backend v /b/bad { }
      backend w /b/got/${v.s} { } backend x /b/got/${w.} { required; }
      backend z /b/num { } },
      '502 {"v":"invalid_json","w":"dependency","x":"dependency"}' ],
    [ 'a chain of ten', 'backend p0 /b/num { }'
      . join('', map { "backend p$_ '/b/inc/\${p" . ($_ - 1)
                       . ".}' { hidden; }" } 1 .. 9)
      . "backend g '/b/got/\${p9.}' { }",
      '200 complete {"p0":7,"g":"/got/16|"}' ],
    [ 'declared the other way round', q{ backend g /b/got/${v.} { }
      backend v /b/inc/${w.} { hidden; } backend w /b/num { hidden; } },
      got('8') ],

    [ 'in a body', q{ backend v /b/v { hidden; } backend g /b/body {
      method POST; body '{"x":${v.n},"o":${v.o},"no":${v.nosuch}}'; } },
      '200 complete {"g":{"x":12345678901234567890,"o":{"id":"in"},'
      . '"no":null}}' ],
    [ 'in a body, a failed part: null, or no call',
      q{ backend v /b/500 { hidden; } backend g /b/body {
      method POST; body '{"x":${v.n}}'; } },
      [ '200 partial:v {"g":{"x":null}}',
        '502 {"g":"dependency","v":"status"}' ] ],
    [ 'in a body, a failed part with a default',
      q{ backend v /b/500 { hidden; default '{"n":1.0}'; } backend g /b/body {
      method POST; body '{"x":${v.n}}'; } },
      '200 partial:v {"g":{"x":1.0}}' ],
);

my $graph = [ 'graph', q{
    timeout 60s;
    backend a /b/slow/a { }
    backend b /b/slow/b-${a.id} { }
    backend c /b/slow/c { }
    backend d /b/slow/d-${b.id}-${c.id} { }
    backend e /b/long/e { }
    backend f /b/slow/f { header X-V ${a.id}; } }, undef ];
my $cancelled = [ 'cancelled', q{
    backend a /b/slow/a { required; accept 404; }
    backend b /b/slow/b-${a.id} { }
    backend c /b/late { } }, undef ];
my $deadline = [ 'deadline', 'timeout ' . int($unit * 1500) . 'ms;' . q{
    backend a /b/slow/a { }
    backend b /b/slow/b-${a.id} { }
    backend c /b/slow/c-${b.id} { } }, undef ];

$t->backend('e', '/body' => sub { { body => $_[0]{body} } });

$b->set('/long/e' => { body => '1', delay => $unit * 3 });

$t->plan(@cases + 14);

serve($t, cases => [ @cases, $graph, $cancelled, $deadline ], server => q{
    location = /b/body {
        internal; proxy_pass http://127.0.0.1:%%PORT_e%%/body;
    }
});

check($t, @cases);

# the graph: each part starts as soon as what it needs is there

$b->clear;
my $r = http_get(case_uri($graph));
is(outcome($r), '200 complete {"a":{"id":"a"},"b":{"id":"b-a"},"c":{"id":"c"},'
   . '"d":{"id":"d-b-a-c"},"e":1,"f":{"id":"f"}}', 'a graph');

my %at = map { ($_->{path} =~ m{/([a-f])[^/]*$}) => $_->{time} } $b->log;
my $first = $at{a};
my %units = map { $_ => ($at{$_} - $first) / $unit } keys %at;

cmp_ok($units{$_}, '<', 0.5, "$_ starts at once") for qw(c e);
for my $name (qw(b f)) {
    cmp_ok($units{$name}, '>=', 0.95, "$name starts after a");
    cmp_ok($units{$name}, '<', 1.6, "$name waits for nothing else");
}
cmp_ok($units{d}, '>=', 1.95, 'd starts after b');
cmp_ok($units{d}, '<', 2.6, 'd does not wait for e');
cmp_ok($r->time, '<', $unit * 3.8, 'as long as the longest chain');

$b->clear;
$b->set('/slow/a' => { status => 403 });
$r = http_get(case_uri($cancelled));
like(outcome($r), qr/^403 \{"a":"status"[,}]/, 'a required part failed');
ok(wait_for(sub { $b->stats->{aborted} == 1 }, slow(3)),
   'others are cancelled');
is(scalar(grep { $_->{path} =~ /b-/ } $b->log), 0, 'dependents are not called');

$b->set('/slow/a' => { body => '{"id":"a"}', delay => $unit });
$b->clear;
$r = http_get(case_uri($deadline));
like(outcome($r), qr/^200 partial:b, c \{"a":\{"id":"a"\}\}$/,
     'the deadline ends a chain');
