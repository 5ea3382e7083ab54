#!/usr/bin/perl

# One URI, several ways to a response: what came one way, past the access
# rules of that way, never goes out on another.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;

use Harness;

my $t = Harness->new(plan => 71 + 2 * 16);

my $say = sub {
    my ($name, @headers) = @_;

    return sub {
        my ($q) = @_;
        my %h = map { lc $_->[0] => $_->[1] } @{ $q->{headers} };

        return { body => join('|', $name, $q->{uri}, map { "$_=$h{$_}" }
                     grep { !/^connection$/ } sort keys %h),
                 headers => [ 'Cache-Control' => 'public, max-age=60',
                              @headers ] };
    };
};

my %seen;

my $inside = $t->backend('inside',
    '/gone/'   => { status => 404, headers =>
                    [ 'Cache-Control' => 'max-age=60' ] },
    '/accel/'  => sub {
        my ($q) = @_;
        my ($n) = $q->{uri} =~ /n=(\w+)/;
        return { headers => [ 'X-Accel-Redirect' => "/file/$n",
                              'Cache-Control' => 'max-age=60' ] };
    },
    '/refuse/' => sub {
        my ($q) = @_;
        return { status => $q->{method} eq 'POST' ? 500 : 200, body => 'x',
                 headers => [ 'Cache-Control' => 'max-age=60' ] };
    },
    '/jump/'   => sub {
        my ($q) = @_;
        return { headers => [ 'X-Accel-Redirect' => '/file/after' ] }
            if $q->{method} eq 'POST';
        return { body => 'x', headers => [ 'Cache-Control' => 'max-age=60' ] };
    },
    '/down/'   => { action => 'close' },
    '/ws/'     => $say->('socket'),
    '/'        => $say->('inside'),
);

my $outside = $t->backend('outside', '/' => $say->('outside'));

# knows who may, by a header that no cache knows
my $auth = $t->backend('auth', '/' => sub {
    my ($q) = @_;
    my ($token) = map { $_->[1] } grep { lc $_->[0] eq 'x-token' }
        @{ $q->{headers} };

    return { status => ($token || '') =~ /^good(.)/ ? 200 : 401,
             body => 'x', headers => [ 'Cache-Control' => 'max-age=60',
                                       'X-User' => $1 || '' ] };
});

$t->write_file('html/50x.html', 'an error page');
$t->write_file('html/real.txt', 'a file');

# what is asked for by a name, by servers that answer to it: their own name, or
# the only one at the address, or whatever matches

my @servers = (
    [ 2, 'w.example' ],         [ 3, '*.example' ],
    [ 4, '.example' ],          [ 5, '~^w\.' ],
    [ 6, '~^(?<any>.+)$' ],     [ 7, 'nothing' ],
    [ 8, '$hostname' ],         [ 9, '' ],
    [ 10, '""' ],               [ 11, '_' ],
    [ 12, '_' ],                [ 13, '0:w.example' ],
    [ 14, 'x w.example' ],      [ 15, '$hostname w.example' ],
    [ 16, '"" w.example' ],     [ 17, 'w.example x' ],
);

my $servers = join '', map { my ($n, $name) = @$_;
    $name = "server_name $name;" if $name ne ''; <<"EOF" } @servers;

    server {
        listen            127.0.0.$n:%%PORT_0%%;
        $name
        proxy_set_header  X-Server $n;

        location /by/ {
            proxy_pass  http://127.0.0.1:%%PORT_inside%%;
        }
    }
EOF

my $conf = <<'EOF';

%%GLOBALS%%

events {
}

http {
    %%HTTP%%

    aggregate_cache_zone  api 4m;
    aggregate_cache       api;
    aggregate_cache_ttl   / 60s;

    server {
        listen       127.0.0.1:%%PORT_0%%;
        server_name  localhost a.example;

        proxy_set_header  Host $http_host;

        location / {
            proxy_pass  http://127.0.0.1:%%PORT_inside%%;
        }

        # the answer of /auth is asked for each time, though it says max-age

        location /secret/ {
            auth_request  /auth;
            error_page    401 = @login;
            proxy_pass    http://127.0.0.1:%%PORT_inside%%;
        }

        location @login {
            proxy_pass  http://127.0.0.1:%%PORT_outside%%;
        }

        location /mine/ {
            auth_request              /auth;
            auth_request_set          $user $upstream_http_x_user;
            aggregate_cache_identity  $user;
            proxy_set_header          X-User $user;
            proxy_pass                http://127.0.0.1:%%PORT_inside%%;
        }

        location = /auth {
            internal;
            proxy_pass  http://127.0.0.1:%%PORT_auth%%;
        }

        location /denied/ {
            if ($arg_in = "") {
                return 403;
            }

            error_page  403 = @login;
            proxy_pass  http://127.0.0.1:%%PORT_inside%%;
        }

        # two backends by a header

        location /beta/ {
            if ($http_x_beta = "1") {
                proxy_pass  http://127.0.0.1:%%PORT_outside%%;
            }

            if ($http_x_beta = "2") {
                proxy_pass  http://127.0.0.1:%%PORT_auth%%;
            }

            proxy_pass  http://127.0.0.1:%%PORT_inside%%;
        }

        # a front controller: all URIs are one, and yet are not

        location /front/ {
            try_files  $uri /index.php?$args;
        }

        location = /index.php {
            internal;
            proxy_set_header  X-Asked $request_uri;
            proxy_pass        http://127.0.0.1:%%PORT_inside%%;
        }

        location /v1/ {
            rewrite  ^/v1(/.*)$ $1 break;
            proxy_set_header  X-Asked $request_uri;
            proxy_pass  http://127.0.0.1:%%PORT_inside%%;
        }

        # not cached after all: the backend gets what the client sent

        location /through/ {
            try_files   /none @through;
        }

        location @through {
            aggregate_cache  off;
            proxy_pass       http://127.0.0.1:%%PORT_inside%%;
        }

        location /file/ {
            internal;
            proxy_pass  http://127.0.0.1:%%PORT_inside%%;
        }

        location = /50x.html {
            root  %%TESTDIR%%/html;
        }

        location = /real.txt {
            root  %%TESTDIR%%/html;
        }

        location /gone/ {
            proxy_intercept_errors  on;
            error_page  404 /50x.html;
            proxy_pass  http://127.0.0.1:%%PORT_inside%%;
        }

        location /gone/named/ {
            proxy_intercept_errors  on;
            error_page  404 @login;
            proxy_pass  http://127.0.0.1:%%PORT_inside%%;
        }

        location /down/ {
            error_page  502 /50x.html;
            proxy_pass  http://127.0.0.1:%%PORT_inside%%;
        }

        location /ws/ {
            proxy_http_version  1.1;
            proxy_set_header    Upgrade $http_upgrade;
            proxy_pass          http://127.0.0.1:%%PORT_inside%%;
        }

        location = /purge {
            aggregate_cache_purge  api;
        }
    }

    # one name, one port, two addresses

    server {
        listen       127.0.0.2:%%PORT_0%%;
        server_name  other b.example a.example;

        location / {
            proxy_pass  http://127.0.0.1:%%PORT_outside%%;
        }
    }

    # servers that a name leads to by other ways, each at its own addresses

%%SERVERS%%
}

EOF

$conf =~ s/%%SERVERS%%/$servers/;
$t->run($conf);

sub get {
    my ($uri, @headers) = @_;
    return http_get($uri, headers => [ @headers ]);
}

sub cached { return get(@_)->header('X-Cache') || '' }

# behind authentication, where the answer to those without is another

my $r = get('/secret/a', 'X-Token' => 'goodA');
like($r->body, qr/^inside/, 'who may, gets it');
is(cached('/secret/a', 'X-Token' => 'goodB'), 'HIT', 'and others who may');
$r = get('/secret/a');
like($r->body, qr/^outside/, 'who may not does not get what is kept');
like(get('/secret/a')->body, qr/^outside/, 'nor the second time');
$r = get('/secret/a', 'X-Token' => 'goodA');
like($r->body, qr/^inside/, 'who may does not get the page to log in');

get('/secret/b') for 1 .. 2;
$r = get('/secret/b', 'X-Token' => 'goodA');
like($r->body, qr/^inside/, 'the other way round');

get('/denied/a?in=1');
like(get('/denied/a')->body, qr/^outside/, 'an access rule by hand');
like(get('/denied/a?in=1')->body, qr/^inside/, 'and who is let in');

# identity from a subrequest whose answer could be kept

for my $user (qw(A B A B)) {
    $r = get('/mine/a', 'X-Token' => "good$user");
    like($r->body, qr/x-user=$user/, "for $user");
}

is($r->header('X-Cache'), 'HIT', 'kept for the user');
is(get('/mine/a', 'X-Token' => 'bad')->status, 401, 'and for no other');
is($auth->count('/auth'), 13, 'each request was authenticated');

# "if"

for my $beta (0 .. 2, 0 .. 2) {
    my $name = (qw(inside outside x))[$beta];
    like(get('/beta/a', 'X-Beta' => $beta)->body, qr/^$name/,
         "backend $beta");
}

# rewritten URIs

for my $n (1, 2, 1, 2) {
    $r = get("/front/$n");
    like($r->body, qr{x-asked=/front/$n$}, "a front controller, $n");
}

is($r->header('X-Cache'), 'HIT', 'and it is cached');
get('/front/1?a=b');
like(get('/front/1?a=b')->body, qr{x-asked=/front/1\?a=b$}, 'arguments');

get('/v1/y');
like(get('/y')->body, qr{^inside\|/y\|host=localhost$}, 'not rewritten');

for my $purge ('uri=/front/1', 'prefix=/front/', 'uri=/index.php') {
    get("/front/$_") for 1 .. 2;
    is(http_request('POST', "/purge?$purge")->status, 200, $purge);
    is(cached('/front/1'), 'MISS', "$purge: purged");
    is(cached('/front/2'), $purge eq 'uri=/front/1' ? 'HIT' : 'MISS',
       "$purge: and only that");
}

is(http_request('POST', '/front/1', body => 'x')->status, 200, 'POST');
is(cached('/front/1'), 'MISS', 'POST purges the URI it was sent to');
is(cached('/front/2'), 'HIT', 'and no other');

# X-Accel-Redirect: to what is kept for this URI only

for my $n (qw(a b a b)) {
    $r = get("/accel/x?n=$n");
    like($r->body, qr{^inside\|/file/$n\|}, "accelerated, $n");
}

is($r->header('X-Cache'), 'HIT', 'and kept');

# a POST that is accelerated has succeeded; one that fails has not

get('/jump/a');
is(cached('/jump/a'), 'HIT', 'kept');
is(http_request('POST', '/jump/a', body => 'x')->status, 200, 'POST, jump');
is(cached('/jump/a'), 'MISS', 'purged');

get('/refuse/a');
is(http_request('POST', '/refuse/a', body => 'x')->status, 500, 'POST fails');
is(cached('/refuse/a'), 'HIT', 'nothing purged');

# an error page is none of its URI's responses

is(get('/50x.html')->status, 200, 'the page by itself');
is(cached('/50x.html'), 'HIT', 'it is kept');
is(get('/gone/a')->status, 404, 'as an error page it has the status');
is(get('/gone/a')->status, 404, 'again');
is(get('/down/a')->status, 502, 'of its error');
is(get('/down/a')->status, 502, 'again');
is(get('/50x.html')->status, 200, 'the page by itself, still');
is(get('/gone/named/a')->status, 404, 'a named error page');
is(get('/gone/named/a')->status, 404, 'again');

# the request is whole where nothing is cached

$r = get('/through/a', 'Accept-Encoding' => 'br', 'If-None-Match' => '"x"',
         Range => 'bytes=0-1', 'X-Forwarded-Host' => 'h');
like($r->body, qr/accept-encoding=br.*if-none-match="x".*range=.*ded-host=h/,
     'an uncached way');

# hosts, as the client writes them

for my $host ('a.example', 'a.example:1', 'A.example', 'a.example.') {
    $r = http_get('/host/a', host => $host);
    is($r->header('X-Cache'), 'MISS', "Host: $host");
}

$r = http_get('/host/a', host => 'a.example');
like($r->body, qr/host=a\.example$/, 'none of them in the place of the name');
is($r->header('X-Cache'), 'HIT', 'the name is kept');

$r = http("GET http://a.example/host/a HTTP/1.1\r\nHost: evil.example\r\n"
          . "Connection: close\r\n\r\n");
like($r->body, qr/host=evil/, 'a host in the request line');
like(http_get('/host/a', host => 'a.example')->body, qr/host=a\.example$/,
     'does not carry in another');

# two servers that share a name

get('/twin/a');
http_get('/twin/a', host => 'a.example');
my $c = Harness::Client->new(host => '127.0.0.2', port => $t->port(0));
$c->request(GET => '/twin/a', host => 'a.example', close => 1);
like($c->response->body, qr/^outside/, 'a server of the same name');

for my $case (@servers, @servers) {
    my ($n) = @$case;

    $c = Harness::Client->new(host => "127.0.0.$n", port => $t->port(0));
    $c->request(GET => '/by/a', host => 'w.example', close => 1);
    $r = $c->response;

    my $which = $seen{$n}++ ? 'HIT' : 'MISS';
    is($r->header('X-Cache') . ' ' . ($r->body =~ /x-server=(\d+)/ ? $1 : ''),
       "$which $n", "$which of the server at address $n");
}

# WebSocket

get('/ws/a');
is(get('/ws/a', Upgrade => 'websocket', Connection => 'upgrade')
   ->header('X-Cache'), undef, 'an upgrade is not answered');
is(cached('/ws/a', Upgrade => 'h2c', Connection => 'upgrade'), 'HIT',
   'but one that nginx ignores');
