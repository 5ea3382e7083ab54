# The answer's own headers, and what it takes from the parts.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use Test::More;

use Harness;
use Harness::Aggregate;

my $t = Harness->new(modules => ['ngx_http_aggregate_module']);

my $far = 'Thu, 01 Jan 2037 00:00:00 GMT';

my %headers = (
    none    => [],
    m60     => [ 'Cache-Control' => 'max-age=60' ],
    m30     => [ 'Cache-Control' => 'public, max-age=30' ],
    m30sp   => [ 'Cache-Control' => ' Max-Age=30 ,  PUBLIC ' ],
    m0      => [ 'Cache-Control' => 'max-age=0' ],
    m90a    => [ 'Cache-Control' => 'max-age=90', Age => 50 ],
    m60a    => [ 'Cache-Control' => 'max-age=60', Age => 100 ],
    abad    => [ 'Cache-Control' => 'max-age=60', Age => 'x' ],
    priv    => [ 'Cache-Control' => 'private, max-age=100' ],
    privx   => [ 'Cache-Control' => 'max-age=100, private="X-A"' ],
    nocache => [ 'Cache-Control' => 'no-cache, max-age=100' ],
    nostore => [ 'Cache-Control' => 'no-store' ],
    must    => [ 'Cache-Control' => 'must-revalidate, max-age=100' ],
    lines   => [ 'Cache-Control' => 'max-age=45',
                 'Cache-Control' => 'private' ],
    huge    => [ 'Cache-Control' => 'max-age=99999999999999999999999' ],
    bad     => [ 'Cache-Control' => 'max-age=abc' ],
    neg     => [ 'Cache-Control' => 'max-age=-5' ],
    quoted  => [ 'Cache-Control' => 'x="max-age=1, no-store", max-age=70' ],
    evil    => [ 'Cache-Control' => 'max-age=50, x-max-age=1, no-storex' ],
    onlyp   => [ 'Cache-Control' => 'private' ],
    onlyn   => [ 'Cache-Control' => 'no-cache' ],
    expires => [ Expires => $far ],
    past    => [ Expires => 'Thu, 01 Jan 1970 00:00:00 GMT' ],
    zero    => [ Expires => '0', 'Cache-Control' => 'max-age=60' ],
    cookie  => [ 'Cache-Control' => 'max-age=60', 'Set-Cookie' => 'a=1' ],
    cookies => [ 'Set-Cookie' => 'b=2; Path=/; HttpOnly',
                 'Set-Cookie' => 'c="3, 4"' ],
    v1      => [ Vary => 'Accept-Language' ],
    v2      => [ Vary => 'accept-language, X-A', Vary => 'X-B' ],
    vstar   => [ Vary => '*' ],
    v64     => [ Vary => join ', ', map { "X-V$_" } 1 .. 64 ],
    tell    => [ 'X-Cache' => 'HIT', 'X-Breaker' => 'open',
                 'X-Aggregate' => 'complete-SECRET',
                 'Cache-Status' => 'x; hit' ],
    own     => [ 'X-A' => 'one', 'X-B' => 'bee', 'X-A' => 'two' ],
    own2    => [ 'X-A' => 'three' ],
    leak    => [ ETag => '"e"', 'Last-Modified' => $far, Location => '/x',
                 'Content-Language' => 'de', 'Content-Disposition' => 'inline',
                 'Accept-Ranges' => 'bytes', Server => 'SECRET',
                 'X-Powered-By' => 'SECRET', Link => '</x>', Via => 'SECRET',
                 'X-Accel-Buffering' => 'no', Refresh => '1',
                 'Content-MD5' => 'x', 'WWW-Authenticate' => 'Basic',
                 'Strict-Transport-Security' => 'max-age=1',
                 'Access-Control-Allow-Origin' => '*',
                 Trailer => 'X', 'Proxy-Authenticate' => 'x', 'X-Leak' => '1' ],
);

$t->backend('b',
    '/h/' => sub {
        my ($name) = $_[0]{path} =~ m{/(\w+)$};
        return { body => '1', headers => $headers{$name} };
    },
    '/fail/' => sub {
        my ($name) = $_[0]{path} =~ m{/(\w+)$};
        return { status => 500, headers => $headers{$name} };
    },
);

my $n = 0;
my @rows;


sub row {
    my ($name, $parts, $wanted, $block) = @_;

    my $i = 0;
    my $text = join ' ', map {
        my $part = $_;
        $part =~ m{^(!?)(\w+)(?:\s(.*))?$};
        sprintf 'backend p%d /b/%s/%s { %s }', ++$i, $1 ? 'fail' : 'h', $2,
            $3 || ''
    } @$parts;

    push @rows, [ $name, $wanted, '/r' . ++$n,
                  "location = /r$n { aggregate { " . ($block || '')
                  . " $text } }\n" ];
    return "/r$n";
}


# Cache-Control, as a sorted list: a string, or a pattern

row('one part', ['m60'], 'max-age=60');
row('the least of two', ['m60', 'm30'], 'max-age=30');
row('the least of three', ['m30', 'm0', 'm60'], 'max-age=0');
row('letters and blanks', ['m60', 'm30sp'], 'max-age=30');
row('less its age', ['m90a'], 'max-age=40');
row('the least is counted with the age', ['m90a', 'm60'], 'max-age=40');
row('older than its freshness', ['m60', 'm60a'], 'max-age=0');
row('an age that is no number', ['abad'], qr/^max-age=(?:60|0)$/);
row('a part states none', ['m60', 'none'], '');
row('no part states any', ['none', 'none'], '');
row('private', ['m60', 'priv'], 'max-age=60, private');
row('private with a field', ['privx', 'm60'],
    qr/^max-age=60, private(="x-a")?$/);
row('no-cache', ['m60', 'nocache'], qr/^max-age=\d+, no-cache$/);
row('no-store', ['m60', 'nostore'], qr/\bno-store\b/);
row('must-revalidate', ['must', 'm60'], 'max-age=60, must-revalidate');
row('all of them', ['must', 'priv', 'nocache', 'm30'],
    'max-age=30, must-revalidate, no-cache, private');
row('two lines', ['lines', 'm60'], 'max-age=45, private');
row('a huge number', ['huge', 'm60'], 'max-age=60');
row('a huge number alone', ['huge'], qr/^max-age=\d{9,19}$/);
row('no number', ['bad', 'm60'], qr/^(?:|max-age=0)$/);
row('a negative number', ['neg', 'm60'], qr/^(?:|max-age=0)$/);
row('in quotes it is text', ['quoted'], 'max-age=70');
row('names are compared whole', ['evil'], 'max-age=50');
row('private, no freshness', ['onlyp', 'm60'], qr/\bprivate\b/);
row('no-cache, no freshness', ['onlyn', 'm60'], qr/\bno-cache\b/);
row('Expires, or nothing', ['expires', 'm60'], qr/^(?:|max-age=60)$/);
row('Expires in the past, or nothing', ['past', 'm60'], qr/^(?:|max-age=0)$/);
row('max-age before Expires', ['zero'], 'max-age=60');
row('Set-Cookie adds private', ['cookie', 'm60'], 'max-age=60, private');
row('Set-Cookie, nothing stated', ['cookies', 'm60'], qr/\bprivate\b/);
row('partial', ['m60', '!m60'], qr/\bno-store\b/);
row('partial, nothing stated', ['none', '!none'], qr/\bno-store\b/);
row('partial, a default', ['m60', '!m60 default 1;'], qr/\bno-store\b/);
row('a hidden part is used too', ['m60', 'm30 hidden;'], 'max-age=30');
row('a skipped part is not', ['m60', 'none if $arg_nosuch;'], 'max-age=60');

my %at = (
    plain   => row('-', ['leak']),
    partial => row('-', ['m60', '!own', 'none', '!own2']),
    cookies => row('-', ['cookie', 'm60', 'cookies', '!cookies']),
    vary    => row('-', ['v1', 'v2', 'none']),
    star    => row('-', ['v1', 'vstar']),
    vary64  => row('-', ['v64', 'v64']),
    vary65  => row('-', ['v64', 'v1']),
    failedv => row('-', ['v1', '!v2']),
    tell    => row('-', ['tell']),
    pass    => row('-', ['own pass_header X-A x-b;', 'own', 'none',
                         'own2 pass_header X-A X-Nosuch;',
                         '!own2 pass_header X-A;']),
    nopass  => row('-', ['own', 'own2']),
    wild    => row('-', ['leak pass_header X-Leak Link;']),
);

my @checks = grep { $_->[0] ne '-' } @rows;

$t->plan(@checks + 39);

serve($t, server => join('', map { $_->[3] } @rows) . q{
    location /added/ {
        add_header X-Mine yes;
        aggregate { backend a /b/h/own { pass_header X-A; } }
    }
    location /in-part/ { aggregate { backend a /part/h/none { } } }
    location /part/ {
        internal;
        add_header X-Part yes;
        proxy_pass http://127.0.0.1:%%PORT_b%%/;
    }
    location /gzip/ {
        gzip on; gzip_types application/json; gzip_min_length 1;
        gzip_vary on;
        aggregate { backend a /b/h/v1 { } backend b /long { } }
    }
    location = /long { return 200 '"%%LONG%%"'; }
} =~ s/%%LONG%%/'x' x 500/er);

for my $row (@checks) {
    my ($name, $wanted, $uri) = @$row;
    my $r = http_get($uri);
    my $got = outcome($r) =~ /^200 / ? cc_set($r) =~ s/(^|, )public(?:, |$)/$1/r
                                     : outcome($r);
    ref $wanted ? like($got, $wanted, "Cache-Control: $name")
                : is($got, $wanted, "Cache-Control: $name");
}

# the answer's own

my $r = http_get($at{plain});
is($r->status, 200, 'status');
is($r->header('Content-Type'), 'application/json', 'type');
is($r->header('X-Aggregate'), 'complete', 'complete');
is($r->header('Content-Length') || length $r->body, length $r->body, 'length');
is(join(' ', sort map { lc $_->[0] } grep { $_->[0] !~ /^Transfer-Encoding$/ }
        @{ $r->{list} }) =~ s/content-length //r,
   'connection content-type date server x-aggregate', 'nothing else')
    or diag($r->head);
unlike($r->head, qr/SECRET/, 'no leak');
like($r->header('Server'), qr/^nginx/, 'the server is this one');

$r = http_get($at{partial});
is($r->header('X-Aggregate'), 'partial; failed="p2, p4"', 'partial');
is(join('', $r->headers('X-A'), $r->headers('X-B')), '', 'of failed parts');

$r = http_get($at{nopass});
is(join('', $r->headers('X-A'), $r->headers('X-B')), '', 'not asked for');

# Set-Cookie

$r = http_get($at{cookies});
is(join(' | ', $r->headers('Set-Cookie')),
   'a=1 | b=2; Path=/; HttpOnly | c="3, 4"',
   'Set-Cookie of those that succeeded, in order');
like(cc_set($r), qr/no-store/, 'and it is partial');

# Vary

$r = http_get($at{vary});
is(join(', ', sort map { lc } map { s/^\s+|\s+$//gr } map { split /,/ }
        $r->headers('Vary')), 'accept-language, x-a, x-b', 'Vary: the union');
is(scalar(() = $r->headers('Vary')), 1, 'in one line');
$r = http_get($at{star});
like($r->header('Vary'), qr/^(?:.*, )?\*$/, 'Vary: *');
is(scalar(split /, /, http_get($at{vary64})->header('Vary')), 64,
   'Vary: 64 names');
is(http_get($at{vary65})->header('Vary'), '*', 'Vary: one more is all');
$r = http_get($at{failedv});
like(lc($r->header('Vary') || ''), qr/^accept-language/, 'with a failed part');

# what never passes

$r = http_get($at{tell});
is($r->header('X-Aggregate'), 'complete', 'a backend\'s X-Aggregate');
is(join('', map { $r->headers($_) } qw(X-Cache X-Breaker Cache-Status)), '',
   'X-Cache, X-Breaker, Cache-Status');

# pass_header

$r = http_get($at{pass});
is(join(' | ', $r->headers('X-A')), 'one | two | three', 'pass_header');
is(join(' | ', $r->headers('X-B')), 'bee', 'in any letters');
is(outcome($r), '200 partial:p5 {"p1":1,"p2":1,"p3":1,"p4":1}', 'body');

$r = http_get($at{wild});
is($r->status, 200, 'pass_header of others');
is($r->header('X-Leak'), '1', 'X-Leak');
is($r->header('Link'), '</x>', 'Link');
is($r->header('Content-Type'), 'application/json', 'the type stays');
is(scalar(() = $r->headers('Server')), 1, 'one Server');
is($r->header('Content-Length') || length $r->body, length $r->body, 'length');

# directives of the locations

$r = http_get('/added/');
is($r->header('X-Mine') . '|' . join(',', $r->headers('X-A')), 'yes|one,two',
   'add_header in the location');
is(http_get('/in-part/')->header('X-Part'), undef,
   'add_header in a part\'s location');

$r = http_get('/gzip/', headers => [ 'Accept-Encoding' => 'gzip' ]);
is($r->header('Content-Encoding'), 'gzip', 'gzip to the client');
like(lc join(',', $r->headers('Vary')), qr/accept-encoding/, 'gzip_vary');

# pass_header of what would break the answer: refused, or without effect
for my $name (qw(Content-Length Transfer-Encoding Connection Content-Type
                 X-Aggregate X-Cache))
{
    my ($ok) = $t->test_config(configuration(server =>
        "location /x { aggregate { backend a /b/h/tell { pass_header $name; }
                                   } }"));
    if ($ok) {
        $t->reload(configuration(server => "location /x { aggregate {
            backend a /b/h/tell { pass_header $name; } } }"));
        $r = http_get('/x');
        is(outcome($r) . scalar(() = $r->headers($name)),
           '200 complete {"a":1}' . ($name =~ /X-Cache|Transfer/ ? 0 : 1),
           "pass_header $name");
        next;
    }
    ok(!$ok, "pass_header $name");
}
