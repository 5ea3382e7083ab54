#!/usr/bin/perl

# The conditions and the range of a client hold for every response, stored or
# not; and a hit has the headers that the miss had.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;

use Harness;

my $date = 'Wed, 01 Jan 2020 00:00:00 GMT';
my $later = 'Thu, 02 Jan 2020 00:00:00 GMT';
my @validators = (ETag => '"v"', 'Last-Modified' => $date);

# why it is not stored

my %unstored = (
    none      => [],
    private   => [ 'Cache-Control' => 'private' ],
    nostore   => [ 'Cache-Control' => 'no-store' ],
    cookie    => [ 'Cache-Control' => 'max-age=60', 'Set-Cookie' => 'a=b' ],
    vary      => [ 'Cache-Control' => 'max-age=60', Vary => '*' ],
);

my %locations = (
    '/cred/'   => [ 'Cache-Control' => 'max-age=60' ],
    '/stored/' => [ 'Cache-Control' => 'max-age=60' ],
);

my @conditions = (
    [ [ 'If-None-Match' => '"v"' ], 304 ],
    [ [ 'If-None-Match' => 'W/"v", "x"' ], 304 ],
    [ [ 'If-None-Match' => '"x"' ], 200 ],
    [ [ 'If-Modified-Since' => $date ], 304 ],
    [ [ 'If-None-Match' => '"v"', 'If-Modified-Since' =>
        'Tue, 01 Jan 2019 00:00:00 GMT' ], 304 ],
    [ [ 'If-None-Match' => '"x"', 'If-Modified-Since' => $date ], 200 ],
    [ [ 'If-Match' => '"x"' ], 412 ],
    [ [ 'If-Match' => '"v"', 'If-Unmodified-Since' =>
        'Tue, 01 Jan 2019 00:00:00 GMT' ], 200 ],
    [ [ Range => 'bytes=2-4' ], 206 ],
    [ [ Range => 'bytes=2-4', 'If-Range' => '"v"' ], 206 ],
    [ [ Range => 'bytes=2-4', 'If-Range' => '"x"' ], 200 ],
    [ [ Range => 'bytes=20-' ], 416 ],
);

my @ways = ((map { "/$_/" } sort keys %unstored), sort keys %locations);

my @lines = (
    Location => '/login?next=1', Location2 => '//cdn.example/x',
    'Content-Location' => '/a/b', Link => '</x>; rel=next', Refresh => '1; /x',
    'WWW-Authenticate' => 'Basic realm="x"', 'X-Empty' => '',
    'x-lower' => 'A, b', 'X-Two' => '1', 'X-Two' => '2',
    'Content-Disposition' => 'attachment; filename="x"',
    'Content-Language' => 'de', 'Cache-Control' => 'max-age=60',
    'Cache-Control' => 'stale-if-error=5', ETag => 'W/"x"',
    'Last-Modified' => 'Sunday, 06-Nov-94 08:49:37 GMT',
    Expires => 'Tue, 19 Jan 2038 03:14:07 GMT', Server => 'x/1.0 (y)',
    Vary => 'Accept', 'Strict-Transport-Security' => 'max-age=1',
    Pragma => 'x', Warning => '199 - "x"', Allow => 'GET',
);

my %more = (
    '/header/a'  => { body => 'x', headers => \@lines,
                      type => 'text/html;  charset="utf-8"' },
    '/header/b'  => { status => 302, body => '', headers =>
                      [ Location => '/login?next=1',
                        'Cache-Control' => 'max-age=60' ] },
    '/header/c'  => { status => 301, body => '', headers =>
                      [ Location => '//cdn.example/x',
                        'Cache-Control' => 'max-age=60' ] },
    '/header/d'  => { status => 201, body => 'x', type => undef, headers =>
                      [ Location => 'http://elsewhere.example:81/x',
                        'Last-Modified' => 'never',
                        'Cache-Control' => 'max-age=60' ] },
    '/header/e'  => { body => 'x', headers => [ 'X-Accel-Charset' => 'koi8-r',
                      'Cache-Control' => 'max-age=60' ] },
    '/header/f'  => { body => 'x', type => 'text/html; charset=utf-8',
                      headers => [ 'X-Accel-Charset' => 'koi8-r',
                      'Cache-Control' => 'max-age=60' ] },
);

my $t = Harness->new(plan => @ways * (2 * @conditions + 22) + 2 * keys(%more)
                     + 43);

my %table = (%more,
    '/large' => sub {
        my ($q) = @_;
        my ($range) = map { $_->[1] } grep { lc $_->[0] eq 'range' }
            @{ $q->{headers} };

        return { body => 'x' x 200_000, headers =>
                 [ 'Cache-Control' => 'max-age=60', 'Accept-Ranges' =>
                   'bytes', ETag => '"l"' ] } if !$range;

        return { status => 206, body => 'y', headers =>
                 [ 'Content-Range' => 'bytes 5-5/200000', ETag => '"l"',
                   'Cache-Control' => 'max-age=60' ] };
    },
    '/header/' => { body => 'x' },
    (map { ("/dated/$_->[0]" => { body => 'x', headers =>
        [ 'Cache-Control' => 'max-age=60', 'Last-Modified' => $_->[1] ] }) }
        [ a => $date ], [ b => $later ], [ c => $later =~ s/Jan/xxx/r ]),
    '/chunked' => { body => '0123456789', chunked => 1, headers =>
                    [ 'Accept-Ranges' => 'bytes' ] },
    '/nocache' => sub {
        my ($q) = @_;
        my ($etag) = map { $_->[1] } grep { lc $_->[0] eq 'if-none-match' }
            @{ $q->{headers} };
        my @headers = (headers => [ 'Cache-Control' => 'no-cache',
                                    ETag => '"n"' ]);

        return { status => 304, @headers } if ($etag || '') eq '"n"';

        push @{ $headers[1] }, 'X-Accel-Charset' => 'koi8-r';
        return { body => '0123456789', @headers };
    },
);

for my $way (keys %unstored) {
    $table{"/$way/"} = { body => '0123456789',
                         headers => [ @{ $unstored{$way} }, @validators ] };
}

for my $way (keys %locations) {
    $table{$way} = { body => '0123456789',
                     headers => [ @{ $locations{$way} }, @validators ] };
}

my $b = $t->backend('api', %table);

$t->run(<<'EOF');

%%GLOBALS%%

events {
}

http {
    %%HTTP%%

    aggregate_cache_zone  api 4m max_object=100k;
    log_format  reason  '$uri $status $aggregate_cache_reason';

    server {
        listen       127.0.0.1:%%PORT_0%%;
        server_name  localhost;

        aggregate_cache  api;
        access_log  %%TESTDIR%%/reason.log reason;

        location / {
            proxy_pass  http://127.0.0.1:%%PORT_api%%;
            proxy_pass_header  Server;
            add_header  X-Reason $aggregate_cache_reason always;
        }

        location /file/ {
            root   %%TESTDIR%%;
        }

        location /charset/ {
            charset  koi8-r;
        }

        location /slice/ {
            slice             4;
            proxy_set_header  Range $slice_range;
            proxy_pass        http://127.0.0.1:%%PORT_0%%/file/;
        }

        location = /stub {
            aggregate_cache  off;
            stub_status;
        }
    }
}

EOF

for my $way (@ways) {
    my @with = $way eq '/cred/' ? (Authorization => 'Basic eA==') : ();
    my $n = 0;

    for my $case (@conditions) {
        my ($headers, $status) = @$case;
        my $uri = $way . $n++;
        my $name = "$way, " . join ' ', @$headers;

        # of a miss, and when it is known that it is not stored

        for my $round (1, 2) {
            my $r = http_get($uri, headers => [ @with, @$headers ]);

            is($r->status, $status, "$name, $round");
            is($r->body, $status == 200 ? '0123456789' : '234',
               "$name, $round, its body") if $status =~ /^20/;
        }

        next if $name =~ /Range/;

        is(http_request(HEAD => $uri, headers => [ @with, @$headers ])->status,
           $status, "$name, HEAD");
    }

    my $r = http_get("${way}whole", headers => \@with);
    is($r->body, '0123456789', "$way, whole");
    http_get("${way}whole", headers => \@with);
    is($b->count("${way}whole"), $way eq '/stored/' ? 1 : 2,
       "$way, stored or not");
}

# the headers of a hit

for my $uri (sort keys %more) {
    my $miss = http_get($uri)->head;
    my $hit = http_get($uri)->head;

    like($hit, qr/^X-Cache: HIT\r$/m, "$uri, a hit");

    for my $head ($miss, $hit) {
        $head =~ s/^(?:X-Cache|X-Reason|Cache-Status|Age|Date): .*\n//mg;
        $head =~ s/^Accept-Ranges: bytes\r\n//m;
        $head =~ s/^(HTTP\S+ \d+) .*/$1/;
    }

    is(join("\n", sort split /\r\n/, $hit),
       join("\n", sort split /\r\n/, $miss),
       "$uri, its headers");
}

# what is too large

my $r = http_get('/large', headers => [ Range => 'bytes=5-5' ]);
is($r->status . $r->body, '206x', 'a range of what is too large');
like($r->header('Cache-Status'), qr/detail=too-large$/, 'and why');
$r = http_get('/large', headers => [ Range => 'bytes=5-5' ]);
is($r->status . $r->body, '206y', 'the next one is for the backend');
like($r->header('Cache-Status'), qr/detail=hit-for-miss$/, 'and why');
is_deeply([ $b->header(($b->log('/large'))[1], 'Range') ], [ 'bytes=5-5' ],
          'with its range');
is(http_get('/large', headers => [ 'If-None-Match' => '"l"' ])->status, 304,
   'a condition');
is(length http_get('/large')->body, 200_000, 'the whole');
is(http_get('/large')->header('X-Reason'), 'too-large', 'in a header');
is(http_get('/header/new')->header('X-Reason'), 'no-freshness', 'another');
is(http_get('/stored/new')->header('X-Reason'), '-', 'none');

$r = http_get('/chunked', headers => [ Range => 'bytes=2-4' ]);
is($r->status . $r->body, '2000123456789', 'no length, no range');
is($r->header('Accept-Ranges'), undef, 'and none is promised');

# the date is that of the entry, whatever was asked for before

for my $round (1 .. 2) {
    for my $is ([ a => $date ], [ b => $later ], [ c => undef ], [ a => $date ])
    {
        my $uri = "/dated/$is->[0]";

        my @got = map {
            http_get($uri, headers => [ 'If-Modified-Since' => $_ ])->status
        } $date, $later;

        is("@got", join(' ', map { defined $is->[1] && $_ eq $is->[1] ? 304
                                                                      : 200 }
            $date, $later), "dates of $uri");
    }
}

# no-cache with a validator is stored, and asked for each time

is(http_get('/nocache')->header('X-Cache'), 'MISS', 'no-cache');

for my $n (1 .. 2) {
    $r = http_get('/nocache');
    is($r->header('X-Cache') . $r->body, 'REVALIDATED0123456789',
       "revalidated, $n");
    like($r->header('Content-Type'), qr/; charset=koi8-r$/, 'its charset');
}

is(http_get('/nocache', headers => [ 'If-None-Match' => '"n"' ])->status, 304,
   'a 304 for the client');
is(http_get('/nocache', headers => [ Range => 'bytes=1-2' ])->body, '12',
   'a range');
is($b->count('/nocache'), 5, 'each time');

$b->set('/nocache' => { body => 'new', headers =>
                        [ 'Cache-Control' => 'no-cache', ETag => '"m"' ] });
is(http_get('/nocache')->body, 'new', 'a new one');
$b->set('/nocache' => { status => 503, body => 'down' });
is(http_get('/nocache')->status, 503, 'nor is it used on an error');

# static files

$t->write_file('file/a', '0123456789');
my $etag = http_get('/file/a')->header('ETag');
is(http_get('/file/a', headers => [ 'If-None-Match' => $etag ])->status, 304,
   'a file');
is(http_get('/file/a', headers => [ Range => 'bytes=0-1' ])->body, '01',
   'a range of a file');
like(http_get('/file/a', headers => [ Range => 'bytes=0-1,4-5' ])->body,
     qr/45/, 'ranges of a file');

# slices of it, none of which is stored

for my $case ([ 'If-None-Match' => $etag, 304 ], [ 'If-Match' => '"x"', 412 ],
              [ Range => 'bytes=3-5', 206 ], [ 'If-Match' => $etag, 200 ])
{
    my ($name, $value, $status) = @$case;

    is(http_get('/slice/a', headers => [ $name => $value ])->status, $status,
       "slices, $name: $value");
}

# what nginx says of a range replaces a header that is made already

for my $age (0, 1) {
    $r = http_get('/stored/416', headers => [ Range => 'bytes=99-' ]);

    is($r->status, 416, "a range beyond the end, $age");
    is(join(' ', map { scalar(my @h = $r->headers($_)) }
                     'Cache-Status', 'X-Cache', 'Age'),
       "1 1 $age", 'what is said of the cache');

    http_get('/stored/416');
}

ok(wait_for(sub { $t->stub_status('/stub')->{active} == 1 }, 5),
   'no connection is left');
unlike($t->error_log, qr/directio|pread/, 'no trouble');
