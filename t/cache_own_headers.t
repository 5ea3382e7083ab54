#!/usr/bin/perl

# Headers that were there before the response, from the backend that has sent
# X-Accel-Redirect, or from another module, are the client's own: they are not
# stored, and each client gets its own ones whatever comes from the cache.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;
use Time::HiRes qw(sleep);

use Harness;

my $t = Harness->new;

my %n;

my %answers = (
    fresh => sub { [ 'Cache-Control' => 'max-age=60' ] },
    vary  => sub { [ 'Cache-Control' => 'max-age=60', Vary => 'X-V' ] },

    # the second one: an error, and the entry is served

    stale => sub { $_[0] > 1 ? undef
                   : [ 'Cache-Control' => 'max-age=1, stale-if-error=60' ] },

    # the second one, conditional: 304

    valid => sub { [ 'Cache-Control' => 'max-age=1', ETag => '"1"' ] },

    # a 304 without a reason for it, so that it is fetched again

    other => sub { [ 'Cache-Control' => 'max-age=1', ETag => '"1"' ] },
);

$t->backend('api',

    # the client's name, and headers that nginx takes from this response

    '/accel/' => sub {
        my ($q) = @_;
        my ($to) = $q->{uri} =~ m{^/accel/(\w+)};
        my ($who) = map { $_->[1] } grep { lc $_->[0] eq 'x-who' }
            @{ $q->{headers} };

        return { headers => [ 'X-Accel-Redirect' => "/kept/$to",
                              'Set-Cookie' => "sid=$who",
                              'Content-Disposition' => "inline; $who" ] };
    },

    '/' => sub {
        my ($q) = @_;
        my ($name) = $q->{uri} =~ m{^/\w+/(\w+)};
        my $headers = $answers{$name}->(++$n{$q->{uri}});
        my ($match) = map { $_->[1] } grep { lc $_->[0] eq 'if-none-match' }
            @{ $q->{headers} };

        return { action => 'close' } if !$headers;

        if ($match) {
            return { status => 304, headers =>
                     [ ETag => $name eq 'other' ? '"2"' : $match,
                       'Cache-Control' => 'max-age=1' ] };
        }

        return { body => 'body', headers => [ @$headers, 'X-Kept' => 'kept',
                 'Content-Disposition' => 'attachment' ] };
    },
);

my $load = $t->load_others(qw(ndk_http_module ngx_http_lua_module));
my @ways = ('accel', $load ? 'lua' : ());
my @names = sort keys %answers;

$t->plan(8 * @ways * @names + 2);

$t->run($load . <<'EOF' . ($load ? <<'EOF' : '') . <<'EOF');

%%GLOBALS%%

events {
}

http {
    %%HTTP%%

    aggregate_cache_zone  api 1m;

    server {
        listen       127.0.0.1:%%PORT_0%%;
        server_name  localhost;

        location /accel/ {
            proxy_pass  http://127.0.0.1:%%PORT_api%%;
        }

        location /kept/ {
            internal;
            aggregate_cache  api;
            proxy_pass       http://127.0.0.1:%%PORT_api%%;
        }

EOF
        location /lua/ {
            access_by_lua_block {
                local who = ngx.var.http_x_who
                ngx.header["Set-Cookie"] = "sid=" .. who
                ngx.header["Content-Disposition"] = "inline; " .. who
            }

            aggregate_cache  api;
            proxy_pass       http://127.0.0.1:%%PORT_api%%;
        }

EOF
    }
}

EOF

sub get {
    my ($uri, $who) = @_;
    return http_get($uri, headers => [ 'X-Who' => $who ]);
}

sub header_of {
    my ($r, $name) = @_;
    return join ' | ', $r->headers($name);
}

my %again = (fresh => 'HIT', vary => 'HIT', stale => 'STALE',
             valid => 'REVALIDATED', other => 'MISS');

for my $way (@ways) {
    get("/$way/$_", 'one') for @names;
}

sleep 2.1;

for my $way (@ways) {
    for my $name (@names) {
        my @r = map { get("/$way/$name", $_) } qw(two three);

        is($r[0]->header('X-Cache'), $again{$name}, "$way, $name");

        for my $i (0, 1) {
            my $who = (qw(two three))[$i];

            is(header_of($r[$i], 'set-cookie'), "sid=$who",
                "$way, $name, $who has an own cookie");
            is(header_of($r[$i], 'content-disposition'),
                "inline; $who | attachment",
                "$way, $name, $who has an own header");
            is(header_of($r[$i], 'x-kept'), 'kept',
                "$way, $name, $who has what is kept");
        }

        is($r[0]->body, 'body', "$way, $name, the body");
    }
}

is(header_of(get('/accel/fresh', 'four'), 'cache-control'), 'max-age=60',
    'and not more than that');
is(header_of(get('/accel/fresh', 'four'), 'date') =~ tr/|//, 0, 'one date');
