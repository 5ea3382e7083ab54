#!/usr/bin/perl

# Responses that vary by a header which the configuration sets, so that the
# client's own header does not tell which variant it gets.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;

use IO::Socket::INET;
use POSIX ();

use Harness;

my $t = Harness->new(plan => 56);

my @pids;


# a server that answers each connection once with what CODE makes of the user

sub server {
    my ($end, $code) = @_;

    my $listen = IO::Socket::INET->new(LocalAddr => '127.0.0.1', Listen => 128,
                                       ReuseAddr => 1) or die "listen: $!\n";
    my $parent = $$;
    my $pid = fork();
    die "fork: $!\n" if !defined $pid;

    if ($pid == 0) {
        $SIG{$_} = 'DEFAULT' for qw(TERM INT __DIE__);

        while (getppid() == $parent) {
            my $s = $listen->accept or next;
            my $in = '';

            while ($in !~ $end) {
                sysread $s, $in, 65536, length $in or last;
            }

            my ($user) = $in =~ /(alice|bob)/;
            print $s $code->("Cache-Control: max-age=60\r\nVary: X-User\r\n"
                             . "\r\nfor " . ($user || 'all'));
            close $s;
        }

        POSIX::_exit(0);
    }

    push @pids, $pid;
    return $listen->sockport;
}

END {
    local $?;
    if (@pids) {
        kill 'TERM', @pids;
        waitpid $_, 0 for @pids;
    }
}

sub record { return pack('CCnnCx', 1, $_[0], 1, length $_[1], 0) . $_[1] }

my $cgi = server(qr/REQUEST_URI/, sub { $_[0] });
my $fastcgi = server(qr/\x01\x05\x00\x01\x00\x00/,
                     sub { record(6, $_[0]) . record(6, '')
                           . record(3, pack 'NCx3', 0, 0) });

# a response says what the backend has got; a part is a string of JSON

my $echo = sub {
    my ($vary, @names) = @_;

    return sub {
        my ($q) = @_;
        my %got = map { lc $_->[0] => $_->[1] } @{ $q->{headers} };

        my $text = join(' ', map { defined $got{$_} ? $got{$_} : '-' } @names);

        return { body => $q->{path} =~ /_/ ? "\"$text\"" : $text,
                 headers => [ 'Cache-Control' => 'max-age=60',
                              Vary => $vary ] };
    };
};

my $b = $t->backend('api',
    '/'      => $echo->('X-User', 'x-user'),
    '/two/'  => $echo->('X-Lang, X-User', 'x-lang', 'x-user'),
    '/_accept/' => $echo->('Accept', 'accept'),
    '/host/' => $echo->('Host, X-Forwarded-Proto, X-Forwarded-Host', 'host'),
    '/later/' => sub {
        my ($q) = @_;
        my %got = map { lc $_->[0] => $_->[1] } @{ $q->{headers} };

        return $got{'if-none-match'}
            ? { status => 304, headers => [ ETag => '"a"', Vary => 'X-User',
                                            'Cache-Control' => 'max-age=60' ] }
            : { body => "for $got{'x-user'}",
                headers => [ ETag => '"a"',
                             'Cache-Control' => 'max-age=1' ] };
    },
);

$t->run(<<"EOF");

%%GLOBALS%%

events {
}

http {
    %%HTTP%%

    aggregate_cache_zone  api 4m;
    aggregate_cache       api;

    map \$http_x_token \$user {
        a        alice;
        b        bob;
        default  "";
    }

    server {
        listen       127.0.0.1:%%PORT_0%%;
        server_name  localhost;

        proxy_set_header  X-User \$user;

        location / {
            proxy_pass  http://127.0.0.1:%%PORT_api%%;
        }

        location /identity/ {
            aggregate_cache_identity  \$user;
            proxy_pass  http://127.0.0.1:%%PORT_api%%;
        }

        location /key/ {
            aggregate_cache_key  \$uri:\$user;
            proxy_pass  http://127.0.0.1:%%PORT_api%%;
        }

        location /ignored/ {
            aggregate_cache_ignore_headers  Vary;
            proxy_pass  http://127.0.0.1:%%PORT_api%%;
        }

        location /sent/ {
            proxy_set_header  X-Other 1;
            proxy_pass  http://127.0.0.1:%%PORT_api%%;
        }

        location /removed/ {
            proxy_set_header  X-User "";
            proxy_pass  http://127.0.0.1:%%PORT_api%%;
        }

        location /unbuffered/ {
            proxy_buffering  off;
            proxy_pass  http://127.0.0.1:%%PORT_api%%;
        }

        location /host/ {
            proxy_set_header  Host \$host:\$server_port;
            proxy_set_header  X-Forwarded-Proto \$scheme;
            proxy_set_header  X-Forwarded-Host \$host;
            proxy_pass  http://127.0.0.1:%%PORT_api%%;
        }

        location /parts/statement {
            aggregate { backend a /_part/a { header X-User \$user; } }
        }

        location /parts/proxied {
            aggregate { backend a /_set/a { } }
        }

        location /parts/stored {
            aggregate { backend a /_stored/a { header X-User \$user; } }
        }

        location /parts/nested {
            aggregate { backend a /parts/statement { } }
        }

        location /parts/user {
            aggregate { backend a /_user/a { } }
        }

        location /parts/users {
            aggregate_cache_identity  \$user;
            aggregate { backend a /_user/a { } }
        }

        location /parts/identity {
            aggregate_cache_identity  \$user;
            aggregate { backend a /_part/a { header X-User \$user; } }
        }

        location /parts/constant {
            aggregate { backend a /_accept/a { header Accept text/x; } }
        }

        location /parts/forwarded {
            aggregate { backend a /_part/a { } }
        }

        location /parts/none {
            aggregate { backend a /_part/a { forward none; } }
        }

        location /_ {
            aggregate_cache   off;
            proxy_set_header  X-Other 1;
            proxy_pass  http://127.0.0.1:%%PORT_api%%;
        }

        location /_set/ {
            aggregate_cache   off;
            proxy_set_header  X-User \$user;
            proxy_pass  http://127.0.0.1:%%PORT_api%%;
        }

        location /_user/ {
            aggregate_cache_identity  \$user;
            aggregate_cache_ignore_headers  Vary;
            proxy_hide_header  Vary;
            proxy_pass  http://127.0.0.1:%%PORT_api%%;
        }

        location /_stored/ {
            proxy_set_header  X-Other 1;
            proxy_pass  http://127.0.0.1:%%PORT_api%%;
        }

        location /fastcgi/ {
            fastcgi_pass   127.0.0.1:$fastcgi;
            fastcgi_param  REQUEST_METHOD \$request_method;
            fastcgi_param  HTTP_X_USER \$user if_not_empty;
        }

        location /scgi/ {
            scgi_pass   127.0.0.1:$cgi;
            scgi_param  HTTP_X_USER \$user if_not_empty;
            scgi_param  REQUEST_URI \$request_uri;
        }

        location /uwsgi/ {
            uwsgi_pass   127.0.0.1:$cgi;
            uwsgi_param  HTTP_X_USER \$user if_not_empty;
            uwsgi_param  REQUEST_URI \$request_uri;
        }
    }
}

EOF

sub get {
    my ($uri, @headers) = @_;
    return http_get($uri, headers => [ @headers ]);
}

my @alice = ('X-Token' => 'a');
my @bob = ('X-Token' => 'b');

for my $uri ('/a', '/unbuffered/a', '/two/a', '/fastcgi/a', '/scgi/a',
             '/uwsgi/a')
{
    my $first = get($uri, @alice);

    like($first->body, qr/alice$/, "$uri, the first");
    like(get($uri, @bob)->body, qr/bob$/, "$uri, not what another user got");
    like($first->header('Cache-Status'), qr/; detail=vary$/, "$uri, why");

    # a client that pretends to be somebody

    get($uri, @alice, 'X-User' => 'mallory');
    like(get($uri, @bob, 'X-User' => 'mallory')->body, qr/bob$/,
         "$uri, the client's own header");

    # for those without the header there is one response

    get($uri);
    is(get($uri)->header('X-Cache'), 'HIT', "$uri, not set");
}

ok($t->wait_log(qr/\[warn\].*location "\/" vary by "x-user", which/), 'a log');

# the answer of an aggregate varies by what its parts vary by

for my $uri (map { "/parts/$_" } qw(statement proxied stored nested)) {
    get($uri, @alice) for 1, 2;

    like(get($uri, @bob)->body, qr/"bob"/, $uri);
    like(get($uri, @alice)->body, qr/"alice"/, "$uri, the first");
}

get('/parts/identity', $_->[0], $_->[1]) for \@alice, \@bob;
is(get('/parts/identity', @bob)->header('X-Cache')
   . get('/parts/identity', @alice)->body, 'HIT{"a":"alice"}', 'an identity');

# a part that is stored for one user

get('/parts/user', @alice) for 1, 2;
is(get('/parts/user', @bob)->body, '{"a":"bob"}', 'a part of a user');
is(get('/parts/user', @alice)->body, '{"a":"alice"}', 'another user');
get('/parts/user');
is(get('/parts/user')->header('X-Cache'), 'HIT', 'a part of nobody');

get('/parts/users', $_->[0], $_->[1]) for \@alice, \@bob;
is(get('/parts/users', @bob)->header('X-Cache')
   . get('/parts/users', @alice)->body, 'HIT{"a":"alice"}',
   'both with the identity');

for my $case ([ 'constant', 'Accept', '{"a":"text/x"}' ],
              [ 'forwarded', 'X-User', '{"a":"carol"}' ],
              [ 'none', 'X-User', '{"a":"-"}' ])
{
    my ($name, $header, $body) = @$case;

    get("/parts/$name", $header => 'carol', @alice);

    my $r = get("/parts/$name", $header => 'carol', @bob);
    is($r->header('X-Cache') . $r->body, "HIT$body", "a part, $name");
}

# the configuration tells them apart, or says that there is nothing to tell

for my $uri ('/identity/a', '/key/a') {
    get($uri, $_->[0], $_->[1]) for \@alice, \@bob;

    is(get($uri, @alice)->header('X-Cache') . get($uri, @bob)->body, 'HITbob',
       $uri);
}

get('/ignored/a', @alice);
is(get('/ignored/a', @bob)->body, 'alice', 'without Vary');

# what the backend gets is what the client has sent, or nothing

get('/sent/a', 'X-User' => $_) for qw(alice bob);
is(get('/sent/a', 'X-User' => 'bob')->header('X-Cache')
   . get('/sent/a', 'X-User' => 'alice')->body, 'HITalice', 'of the client');

get('/removed/a', 'X-User' => 'alice');
is(get('/removed/a', 'X-User' => 'alice')->body, '-', 'removed');
is(get('/removed/a', 'X-User' => 'alice')->header('X-Cache'), 'HIT',
   'removed, stored');

get('/host/a');
is(get('/host/a')->header('X-Cache'), 'HIT', 'the host and the scheme');

# a 304 says so later

get('/later/a', @alice);
ok(wait_for(sub { get('/later/a', @alice)->header('X-Cache')
                  eq 'REVALIDATED' }, 5), 'a 304 adds Vary');
is(get('/later/a', @alice)->header('X-Cache'), 'MISS',
   'and the response is not stored any more');
