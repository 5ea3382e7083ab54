#!/usr/bin/perl

# One user's response is never another's.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;
use MIME::Base64;

use Harness;

my $t = Harness->new(plan => 98);

# every response says whose it is

my $echo = sub {
    my (@headers) = @_;

    return sub {
        my ($q) = @_;

        my ($who) = map { $_->[1] }
            grep { lc $_->[0] =~ /^(?:authorization|cookie|x-user|x-key|x-lang
                                    |x-forwarded-host|accept-language)$/xi }
            @{ $q->{headers} };

        return { body => join(' ', map { "$_->[0]=$_->[1]" } grep {
                     $_->[0] !~ /^(?:host|connection)$/i } @{ $q->{headers} }),
                 headers => [ @headers ] };
    };
};

my $b = $t->backend('api',
    '/max/'      => $echo->('Cache-Control' => 'max-age=60'),
    '/public/'   => $echo->('Cache-Control' => 'public, max-age=60'),
    '/smaxage/'  => $echo->('Cache-Control' => 's-maxage=60'),
    '/must/'     => $echo->('Cache-Control' => 'max-age=60, must-revalidate'),
    '/private/'  => $echo->('Cache-Control' => 'private, max-age=60'),
    '/nostore/'  => $echo->('Cache-Control' => 'no-store, max-age=60'),
    '/nocache/'  => $echo->('Cache-Control' => 'no-cache, max-age=60'),
    '/field/'    => $echo->('Cache-Control' => 'private="x", max-age=60'),
    '/cookie/'   => $echo->('Cache-Control' => 'public, max-age=60',
                            'Set-Cookie' => 'sid=secret'),
    '/any/'      => $echo->('Cache-Control' => 'public, max-age=60',
                            Vary => '*'),
    '/any2/'     => $echo->('Cache-Control' => 'public, max-age=60',
                            Vary => 'Accept', Vary => 'X-A, *'),
    '/lang/'     => $echo->('Cache-Control' => 'max-age=60',
                            Vary => 'X-Lang'),
    '/vcookie/'  => $echo->('Cache-Control' => 'public, max-age=60',
                            Vary => 'Cookie'),
    '/vhost/'    => $echo->('Cache-Control' => 'public, max-age=60',
                            Vary => 'X-Forwarded-Host'),
    '/coding/'   => $echo->('Cache-Control' => 'max-age=60',
                            'Content-Encoding' => 'br'),
    '/vcoding/'  => $echo->('Cache-Control' => 'max-age=60',
                            Vary => 'Accept-Encoding'),
    '/part/'     => { status => 206, body => 'ab', headers =>
                      [ 'Cache-Control' => 'max-age=60',
                        'Content-Range' => 'bytes 0-1/9' ] },
    '/partial/'  => $echo->('Cache-Control' => 'max-age=60',
                            'X-Aggregate' => 'partial; failed="a"'),
    '/auth'      => sub {
        my ($q) = @_;
        my ($user) = map { $_->[1] } grep { lc $_->[0] eq 'x-token' }
            @{ $q->{headers} };
        return { status => $user ? 200 : 401,
                 headers => [ 'X-User-Id' => $user || '' ] };
    },
    '/page/'     => sub {
        my ($q) = @_;
        my ($user) = map { $_->[1] } grep { lc $_->[0] eq 'x-token' }
            @{ $q->{headers} };
        return { body => "for $user" };
    },
    '/self/'     => sub {
        my ($q) = @_;
        return { body => "$q->{method} $q->{uri} $q->{body}",
                 headers => [ 'Cache-Control' => 'public, max-age=60' ] };
    },
);

$t->run(<<'EOF');

%%GLOBALS%%

events {
}

http {
    %%HTTP%%

    aggregate_cache_zone  api 4m;
    aggregate_cache_zone  other 1m;

    upstream api {
        server 127.0.0.1:%%PORT_api%%;
    }

    server {
        listen       127.0.0.1:%%PORT_0%%;
        server_name  localhost a.example;

        aggregate_cache      api;
        aggregate_cache_ttl  /page 60s;

        location / {
            proxy_pass  http://api;
        }

        location /page/ {
            auth_request              /auth;
            auth_request_set          $user $upstream_http_x_user_id;
            aggregate_cache_identity  $user;
            proxy_pass                http://api;
        }

        location = /auth {
            internal;
            aggregate_cache off;
            proxy_pass  http://api;
        }

        location /ignore/ {
            aggregate_cache_ignore_headers  Authorization;
            proxy_pass  http://api/max/;
        }

        location /nocookie/ {
            aggregate_cache_ignore_headers  Set-Cookie;
            proxy_pass  http://api/cookie/;
        }

        location /ownkey/ {
            aggregate_cache_key       $arg_k;
            aggregate_cache_identity  $http_x_user;
            proxy_pass                http://api/max/;
        }

        location /self/ {
            proxy_method  GET;
            proxy_pass    http://api;
        }

        location /keyed/ {
            aggregate_cache_key  $arg_a:$arg_b;
            proxy_pass           http://api/max/;
        }

        location /denied/ {
            deny  all;
            proxy_pass  http://api/max/;
        }
    }

    server {
        listen       127.0.0.1:%%PORT_1%%;
        server_name  _;

        location / {
            aggregate_cache  api;
            proxy_set_header Host $host;
            proxy_pass  http://api;
        }
    }
}

EOF


my ($alice, $bob) = map { [ Authorization => 'Basic '
    . encode_base64("$_:x", '') ] } qw(alice bob);
my ($ca, $cb) = map { [ Cookie => "sid=$_" ] } qw(alice bob);

sub get { return http_get($_[0], headers => $_[1] || []) }

# two clients with credentials, and one without

for my $case ([ 'max', 0 ], [ 'public', 1 ], [ 'smaxage', 1 ], [ 'must', 0 ],
              [ 'private', 0 ], [ 'nostore', 0 ], [ 'nocache', 0 ],
              [ 'field', 0 ])
{
    my ($name, $shared) = @$case;

    for my $pair ([ $alice, $bob, 'auth' ], [ $ca, $cb, 'cookie' ]) {
        my ($one, $two, $kind) = @$pair;
        my $uri = "/$name/$kind";

        my $first = get($uri, $one);
        my $second = get($uri, $two);
        my $third = get($uri);

        is($second->header('X-Cache'), $shared ? 'HIT' : 'MISS',
           "$uri, another user");
        ok($shared || index($second->body, $one->[1]) < 0,
           "$uri, nothing of the first");
        ok($shared || index($third->body, $one->[1]) < 0
           && index($third->body, $two->[1]) < 0, "$uri, anonymous");
    }
}

# what an anonymous client has had is not for those with credentials

get('/max/anon');
is(get('/max/anon')->header('X-Cache'), 'HIT', 'anonymous');
is(get('/max/anon', $alice)->header('X-Cache'), 'MISS', 'not for alice');
like(get('/max/anon', $alice)->body, qr/Authorization/, 'her own');
is(get('/max/anon')->header('X-Cache'), 'HIT', 'anonymous, still');

# never kept

for my $name (qw(cookie any any2 coding part partial)) {
    get("/$name/x");
    is(get("/$name/x")->header('X-Cache'), 'MISS', "$name is not kept");
}

is(get('/cookie/x')->header('Set-Cookie'), 'sid=secret', 'but delivered');

# variants

my %lang = map { $_ => get('/lang/a', [ 'X-Lang' => $_ ])->body } qw(de fr);
is(get('/lang/a', [ 'X-Lang' => 'de' ])->header('X-Cache'), 'HIT', 'variant');
is(get('/lang/a', [ 'X-Lang' => 'de' ])->body, $lang{de}, 'its body');
is(get('/lang/a', [ 'X-Lang' => 'fr' ])->body, $lang{fr}, 'the other');
is(get('/lang/a')->header('X-Cache'), 'MISS', 'without the field');
is(get('/lang/a', [ 'X-Lang' => '' ])->header('X-Cache'), 'MISS',
   'empty is not absent');
is(get('/lang/a', [ 'X-Lang' => 'd', 'X-Lang' => 'e' ])->header('X-Cache'),
   'MISS', 'two lines');

get('/vcookie/a', $ca);
is(get('/vcookie/a', $cb)->header('X-Cache'), 'MISS', 'Vary: Cookie');
is(get('/vcookie/a', $ca)->header('X-Cache'), 'HIT', 'Vary: Cookie, own');

get('/vcoding/a', [ 'Accept-Encoding' => 'gzip' ]);
is(get('/vcoding/a')->header('X-Cache'), 'HIT', 'Vary: Accept-Encoding');

# what is not in the key does not reach the backend

for my $name ('X-Forwarded-Host', 'X-Original-URL', 'X-HTTP-Method-Override',
              'X-Rewrite-URL')
{
    my $r = get("/public/$name", [ $name => 'evil.example' ]);
    unlike($r->body, qr/evil/, "$name is not sent");
}

get('/vhost/a', [ 'X-Forwarded-Host' => 'evil' ]);
is(get('/vhost/a')->header('X-Cache'), 'HIT', 'nor chosen by');

# keys do not collide

is(get('/keyed/?a=x:y&b=z')->header('X-Cache'), 'MISS', 'a custom key');

my $r = http_get('/public/host', port => $t->port(1), host => 'one.example');
$r = http_get('/public/host', port => $t->port(1), host => 'two.example');
is($r->header('X-Cache'), 'MISS', 'the host is in the key');
$r = http_get('/public/host');
is($r->header('X-Cache'), 'MISS', 'the port is in the key');

# identity

is(get('/page/x', [ 'X-Token' => 'alice' ])->body, 'for alice', 'alice');
is(get('/page/x', [ 'X-Token' => 'bob' ])->body, 'for bob', 'bob');
$r = get('/page/x', [ 'X-Token' => 'alice' ]);
is($r->header('X-Cache') . $r->body, 'HITfor alice', 'her own');
$r = get('/page/x', [ 'X-Token' => 'bob', Cookie => 'a=b' ]);
is($r->header('X-Cache') . $r->body, 'HITfor bob', 'an identity and a cookie');

# access comes before a hit

is(get('/page/x')->status, 401, 'no hit without access');
is(get('/denied/a')->status, 403, 'denied');

is(get('/ignore/a', $alice)->header('X-Cache'), 'MISS', 'ignored, first');
is(get('/ignore/a', $bob)->header('X-Cache'), 'HIT', 'ignored by name');
is(get('/ignore/a', $ca)->header('X-Cache'), 'MISS', 'and only that');

# links that a backend builds are of the client's own scheme

is(get('/max/scheme', [ 'X-Forwarded-Proto' => $_ ])->header('X-Cache'),
   'MISS', "a scheme of its own: $_") for qw(https http);

# what a client does not want to be stored

get('/max/unwanted', [ 'Cache-Control' => 'no-store' ]);
is(get('/max/unwanted')->header('X-Cache'), 'MISS', 'no-store of a request');
is(get('/max/unwanted')->header('X-Cache'), 'HIT', 'and of that one only');

# a cookie is for whom it was set, though its response is stored

$r = get('/nocookie/a');
is($r->header('Set-Cookie'), 'sid=secret', 'the first client gets its cookie');
$r = get('/nocookie/a');
is($r->header('X-Cache'), 'HIT', 'ignored: stored');
is($r->header('Set-Cookie'), undef, 'without the cookie');

# the identity belongs to any key

is(get('/ownkey/?k=1', [ 'X-User' => $_ ])->header('X-Cache'), 'MISS',
   "a key of its own, $_") for qw(ann bob);
is(get('/ownkey/?k=1', [ 'X-User' => 'ann' ])->header('X-Cache'), 'HIT',
   'and again');

# a body is no key

$r = http_request('GET', '/self/b', body => 'evil');
is(http_get('/self/b')->body, 'GET /self/b ', 'a GET with a body');
is(http_request('POST', '/self/c', body => 'evil')->status, 200, 'POST');
is(http_get('/self/c')->body, 'GET /self/c ', 'nor that of a POST');
