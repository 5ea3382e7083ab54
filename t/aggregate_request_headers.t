# The request headers that parts get.

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
    '/o' => '{"id":7,"s":"x y"}',
);

my @never = qw(Connection Keep-Alive Proxy-Connection TE Trailer
    Transfer-Encoding Upgrade Range If-Range If-Match If-None-Match
    If-Modified-Since If-Unmodified-Since Accept-Encoding Expect Content-Type
    Content-Length Content-Encoding Content-Language Content-Disposition
    Content-Location HTTP2-Settings Proxy-Authorization);

my @client = (
    'X-One' => 'one', 'X-Two' => 'first', 'X-Two' => 'second',
    'User-Agent' => 'tester/1', Accept => 'application/json',
    'Accept-Language' => 'de, en;q=0.5', Cookie => 'a=1; b=2',
    Authorization => 'Bearer token', Referer => 'http://here/',
    'X-Forwarded-For' => '192.0.2.1', Origin => 'http://there',
    'Cache-Control' => 'no-cache', 'X-Request-Id' => 'r1', DNT => '1',
    'X-Empty' => '', 'Last-Event-ID' => '5',
);

my @hostile = (
    'Keep-Alive' => 'timeout=5', 'Proxy-Connection' => 'keep-alive',
    TE => 'trailers, deflate', Trailer => 'X-T', Upgrade => 'h2c, websocket',
    Range => 'bytes=0-1', 'If-Range' => '"x"', 'If-Match' => '"x"',
    'If-None-Match' => '"x"', 'Content-Encoding' => 'gzip',
    'If-Modified-Since' => 'Sat, 29 Oct 1994 19:43:31 GMT',
    'If-Unmodified-Since' => 'Sat, 29 Oct 2094 19:43:31 GMT',
    'Accept-Encoding' => 'gzip, br', 'Content-Language' => 'de',
    'Content-Type' => 'text/plain', 'Content-Disposition' => 'inline',
    'Content-Location' => '/x', 'HTTP2-Settings' => 'AAMAAABkAAQAAP__',
    'Proxy-Authorization' => 'Basic c2VjcmV0',
);

my %blocks = (
    all      => 'backend a /b/a { }',
    explicit => 'forward all; backend a /b/a { }',
    none     => 'forward none; backend a /b/a { }',
    names    => 'forward X-One cookie ACCEPT-language; backend a /b/a { }',
    override => 'forward none; backend a /b/a { forward X-One; }
                 backend c /b/c { } backend d /b/d { forward all; }',
    narrower => 'backend a /b/a { forward none; } backend c /b/c { }',
    header   => 'backend a /b/a { header X-One changed; header x-two "";
                 header X-New new; header X-Arg $arg_x;
                 header Authorization ""; header User-Agent gateway/$arg_x;
                 header X-Mixed "a $arg_x b"; header Accept text/plain; }
                 backend c /b/c { }',
    only     => 'forward none; backend a /b/a { header X-New new;
                 header Cookie $http_cookie; }',
    late     => 'backend o /b/o { hidden; }
                 backend a /b/a { header X-Id ${o.id};
                 header X-S "<${o.s}>"; }',
    post     => 'methods GET POST; backend a /b/a { }
                 backend c /b/c { method POST; body request; }',
    twice    => 'backend a /b/a { header X-N 1; } backend c /b/c { }
                 backend d /b/d { header X-N 2; }',
    literal  => 'backend a /b/a { header X-A "=,"; header X-B "a: b";
                 header X-C "50% \"q\""; header X-D ${arg_x}y; }',
);

my $server = join '', map { "location /$_ { aggregate { $blocks{$_} } }\n" }
    sort keys %blocks;

# parts of a location that sets headers itself, and of one that is no proxy,
# which takes some off by itself
$server .= q{
    location /basic { auth_basic x; auth_basic_user_file %%TESTDIR%%/users;
        aggregate { forward none; backend a /basic-a { }
                    backend b /basic-b { forward all; } } }
    location /basic-a { return 200 '"<$remote_user>"'; }
    location /basic-b { return 200 '"<$remote_user>"'; }
    location /posted { aggregate { methods POST; backend a /posted-a { }
        backend b /posted-a { body request; method POST; } } }
    location /posted-a { return 200 '"<$request_body>"'; }
    location /plain { aggregate { backend a /plain-a { } } }
    location /plain-a {
        return 200 '"$http_te|$http_upgrade|$http_keep_alive|$http_x_one|"';
    }

    location /own { aggregate { backend a /own-b/a { } } }
    location /own-b/ {
        internal;
        proxy_pass http://127.0.0.1:%%PORT_b%%/;
        proxy_set_header X-Real $remote_addr;
        proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
        proxy_set_header X-One $http_x_one;
        proxy_set_header Host $host;
    }
};

$t->plan(74);

serve($t, server => $server);


# the request that one part made
sub seen {
    my ($uri, %o) = @_;

    my $part = delete $o{part} || 'a';
    my $method = delete $o{method} || 'GET';

    $b->clear;
    my $r = http_request($method, $uri, %o);
    my ($q) = $b->log("/$part");

    diag(outcome($r)) if !$q;
    return $q || { headers => [], head => '' };
}


sub values_of {
    my ($q, $name) = @_;
    my @values = $b->header($q, $name);
    return @values ? join('|', @values) : '-';
}


# all

my $q = seen('/all', headers => [ @client, @hostile ]);
my %wanted;
for (my $i = 0; $i < @client; $i += 2) {
    push @{ $wanted{$client[$i]} }, $client[$i + 1];
}

for my $name (sort keys %wanted) {
    is(values_of($q, $name), join('|', @{ $wanted{$name} }), "all: $name");
}

for my $name (@never) {
    next if $name eq 'Connection';
    is(values_of($q, $name), '-', "never: $name");
}

like($q->{head}, qr/^GET \/a HTTP\/1\.1\r\n/, 'the request line');

is_deeply(
    [ grep { !/^(?:host|connection)$/ } map { lc $_->[0] }
        @{ seen('/explicit', headers => [ @client, @hostile ])->{headers} } ],
    [ grep { !/^(?:host|connection)$/ } map { lc $_->[0] }
        @{ $q->{headers} } ],
    'forward all is the default');

# what Connection names

$q = seen('/all', headers => [
    'X-One' => '1', 'X-Hop' => 'h', 'x-hop-two' => 'h', 'X-Three' => '3',
    'X-Hop' => 'again', Connection => 'x-hop, keep-alive',
    Connection => ' X-HOP-TWO ,close,', 'X-Ho' => 'stays',
    'X-Hop-Two-More' => 'stays' ], close => 0);
is(values_of($q, 'X-Hop'), '-', 'a header that Connection names');
is(values_of($q, 'X-Hop-Two'), '-', 'one that a second Connection names');
is(values_of($q, 'X-Ho') . values_of($q, 'X-Hop-Two-More'), 'staysstays',
   'names are compared whole');
is(values_of($q, 'X-Three'), '3', 'others stay');

# more options than are compared one by one: nothing passes but what must

for ([ 32, '1' ], [ 33, '-' ], [ 1000, '-' ]) {
    my ($n, $passes) = @$_;

    $q = seen('/all', headers => [ 'X-One' => '1', 'X-Hop' => 'h',
        map({ (Connection => join(',', map { "o$_" } 1 .. $_)) }
            map { $_ > 500 ? (500, $_ - 501) : $_ - 1 } $n),
        Connection => 'x-hop' ], close => 0);
    is(values_of($q, 'X-One') . values_of($q, 'X-Hop'), "$passes-",
       "$n options");
}

# where no proxy takes them off

my $plain = http_get('/plain', headers => [ TE => 'trailers',
    Upgrade => 'websocket', 'Keep-Alive' => 'timeout=5', 'X-One' => 'one' ]);
is($plain->body, '{"a":"|||one|"}', 'hop-by-hop, in a location of nginx');

$t->write_file('users', "me:{PLAIN}secret\n");
is(http_get('/basic', headers => [ Authorization => 'Basic bWU6c2VjcmV0' ])
   ->body, '{"a":"<>","b":"<me>"}', 'the user goes with Authorization');

is(http_request('POST', '/posted', body => 'x=1')->body,
   '{"a":"<>","b":"<x=1>"}', 'the body goes where it is asked for');

$q = seen('/none', headers => [ @client, @hostile ]);
is(join(' ', sort map { lc $_->[0] } @{ $q->{headers} }), 'host',
   'forward none') or diag($q->{head});

$q = seen('/names', headers => [ @client, @hostile ]);
is(join(' ', sort map { lc $_->[0] } @{ $q->{headers} }),
   'accept-language cookie host x-one', 'forward by names')
    or diag($q->{head});

# a backend's own

$q = seen('/override', headers => \@client);
is(values_of($q, 'X-One') . values_of($q, 'Cookie'), 'one-', 'overridden');
my ($c) = $b->log('/c');
my ($d) = $b->log('/d');
is(values_of($c, 'X-One') . values_of($c, 'Cookie'), '--', 'the block\'s');
is(values_of($d, 'X-One') . values_of($d, 'Cookie'), 'onea=1; b=2',
   'overridden by all');
$q = seen('/narrower', headers => \@client);
($c) = $b->log('/c');
is(values_of($q, 'X-One') . values_of($c, 'X-One'), '-one', 'narrower');

# header

$q = seen('/header?x=%41z', headers => [ @client, 'x-one' => 'again' ]);
is(values_of($q, 'X-One'), 'changed', 'header replaces, all of that name');
is(values_of($q, 'X-Two'), '-', 'an empty one removes');
is(values_of($q, 'X-New'), 'new', 'header adds');
like(values_of($q, 'X-Arg'), qr/^(?:%41z|Az)$/, 'a variable');
is(values_of($q, 'Authorization'), '-', 'Authorization removed');
like(values_of($q, 'User-Agent'), qr{^gateway/(?:%41z|Az)$},
     'User-Agent replaced');
like(values_of($q, 'X-Mixed'), qr/^a (?:%41z|Az) b$/, 'text and a variable');
is(values_of($q, 'Accept'), 'text/plain', 'Accept replaced');
($c) = $b->log('/c');
is(join(' ', map { values_of($c, $_) } 'X-One', 'X-New', 'User-Agent'),
   'one|again - tester/1', 'other parts are as they were');

$q = seen('/header', headers => \@client);
is(values_of($q, 'X-Arg'), '-', 'an empty variable: no header');

$q = seen('/only', headers => \@client);
is(join(' ', sort map { lc $_->[0] } @{ $q->{headers} }),
   'cookie host x-new', 'header with forward none');

$q = seen('/late', headers => \@client);
is(values_of($q, 'X-Id') . values_of($q, 'X-S'), '7<x y>',
   'values of another part');

$q = seen('/literal?x=1');
is(join(' ', map { values_of($q, "X-$_") } qw(A B C D)), '=, a: b 50% "q" 1y',
   'literals');

seen('/twice', headers => \@client);
is(join(' ', map { values_of(($b->log("/$_"))[0], 'X-N') } qw(a c d)),
   '1 - 2', 'each part has its own');

# bodies

$q = seen('/post', method => 'POST', body => 'hello', headers => \@client);
is(values_of($q, 'Content-Length') . $q->{method}, '-GET',
   'no length without body request');
($c) = $b->log('/c');
is(values_of($c, 'Content-Length') . $c->{body}, '5hello',
   'one with body request');

# the part's location has its say

$q = seen('/own', headers => \@client, host => 'www.example');
is(values_of($q, 'X-Real'), '127.0.0.1', 'proxy_set_header in the part');
is(values_of($q, 'X-Forwarded-For'), '192.0.2.1, 127.0.0.1',
   'with the client\'s X-Forwarded-For');
is(values_of($q, 'Host') . values_of($q, 'X-One'), 'www.exampleone',
   'Host and others');
