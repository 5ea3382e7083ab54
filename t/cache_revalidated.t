#!/usr/bin/perl

# A 304 updates the stored response: what it says replaces what is stored, and
# what it does not say stays as it was.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;
use Time::HiRes qw(time sleep);

use Harness;
use Harness::Fleet;

# the headers of the 200 and those of the 304, besides ETag

my @fresh = ('Cache-Control' => 'max-age=1');
my @swr = ('Cache-Control' => 'max-age=1, stale-while-revalidate=600');
my @long = ('Cache-Control' => 'max-age=600');
my @cookies = ('Set-Cookie' => 'a=1', 'Set-Cookie' => 'b=2');
my @hour = ('Cache-Control' => 'max-age=3600');

my %cases = (
    kept       => [ [ @fresh, 'Surrogate-Key' => 'one two' ], [ @long ] ],
    replaced   => [ [ @fresh, 'Surrogate-Key' => 'one two' ],
                    [ @long, 'Surrogate-Key' => 'two three' ] ],
    background => [ [ @swr, 'Surrogate-Key' => 'one' ], [ @long ] ],
    site       => [ [ @fresh, 'Surrogate-Key' => 'one two' ], [ @long ] ],
    some       => [ [ @fresh, 'Surrogate-Key' => 'one', 'X-Tags' => 'two' ],
                    [ @long, 'X-Tags' => 'three' ] ],

    accel      => [ [ @hour, 'X-Accel-Expires' => 1 ], [ @hour ] ],
    accelonly  => [ [ 'X-Accel-Expires' => 1 ], [] ],
    cdn        => [ [ @hour, 'CDN-Cache-Control' => 'max-age=1' ], [ @hour ] ],
    cdnonly    => [ [ 'CDN-Cache-Control' => 'max-age=1' ], [] ],
    cdnpublic  => [ [ 'CDN-Cache-Control' => 'max-age=1',
                      'Cache-Control' => 'private' ], [] ],
    cdnnocache => [ [ @hour, 'CDN-Cache-Control' => 'no-cache' ], [] ],
    cdnswr     => [ [ 'CDN-Cache-Control' =>
                      'max-age=2, stale-while-revalidate=600' ], [ @hour ] ],
    ignored    => [ [ @fresh, 'CDN-Cache-Control' => 'max-age=1' ],
                    [ @hour ] ],
    hidden     => [ [ @fresh ], [] ],
    renewed    => [ [ @fresh, 'CDN-Cache-Control' => 'max-age=1' ],
                    [ 'CDN-Cache-Control' => 'max-age=3600' ] ],

    large      => [ [ @fresh, map { ("X-Old-$_" => 'a' x 1000) } 1 .. 35 ],
                    [ @long, map { ("X-New-$_" => 'b' x 1000) } 1 .. 35 ] ],
    cookie     => [ [ @fresh ], [ @long, @cookies ] ],
    cookies    => [ [ @fresh ], [ @long, @cookies ] ],
);

# the time for which the 304 renews the response

my %ttl = (accel => 1, accelonly => 1, cdn => 1, cdnonly => 1, cdnpublic => 1,
           cdnswr => 2, ignored => 3600, hidden => 1, renewed => 3600);

my $serve = sub {
    my ($q) = @_;
    my ($name) = $q->{path} =~ m{([^/]+)$};
    my ($old, $new) = @{ $cases{$name} || [ [], [] ] };
    my $asked = grep { lc $_->[0] eq 'if-none-match' } @{ $q->{headers} };

    return { status => $asked ? 304 : 200, body => 'body',
             headers => [ ETag => '"a"', $asked ? @$new : @$old ] };
};

my $f = Harness::Fleet->new(plan => 37, backend => [ '/' => $serve ],
                            workers => 1, server => <<'EOC');

        aggregate_cache_tags  $upstream_http_surrogate_key;

        location ~ /site$ {
            aggregate_cache_tags  "site $upstream_http_surrogate_key";
            proxy_hide_header     Surrogate-Key;
            proxy_pass            http://127.0.0.1:BACKEND;
        }

        location ~ /some$ {
            aggregate_cache_tags
                "$upstream_http_surrogate_key $upstream_http_x_tags";
            proxy_pass  http://127.0.0.1:BACKEND;
        }

        location ~ /ignored$ {
            aggregate_cache_ignore_headers  CDN-Cache-Control;
            proxy_pass  http://127.0.0.1:BACKEND;
        }

        location ~ /cookies$ {
            aggregate_cache_ignore_headers  Set-Cookie;
            proxy_pass  http://127.0.0.1:BACKEND;
        }

        location ~ /large$ {
            proxy_buffer_size        128k;
            proxy_buffers            4 128k;
            proxy_busy_buffers_size  128k;
            proxy_pass  http://127.0.0.1:BACKEND;
        }

        location ~ /hidden$ {
            proxy_hide_header  Cache-Control;
            proxy_pass  http://127.0.0.1:BACKEND;
        }

EOC

ok($f->linked, 'both gateways are linked');

sub state_of { return $f->get($_[0], $_[1])->header('X-Cache') }

sub purge {
    my ($i, $tag) = @_;
    return http_request(POST => "/purge?tag=$tag", port => $f->port($i));
}

my @paths = map { $_ eq 'kept' ? ('/a/kept', '/b/kept') : "/a/$_" }
    qw(background kept replaced site some);

my @lifetimes = sort keys %ttl;

$f->get(0, $_) for @paths, map { "/a/$_" } @lifetimes,
    qw(cdnnocache large cookie cookies);

my $filled = time();
wait_for(sub { time() - $filled > 2 }, 5);

for my $path (@paths) {

    if ($path =~ /background/) {
        is(state_of(0, $path), 'STALE', "$path, stale");
        ok(wait_for(sub { state_of(0, $path) eq 'HIT' }, 5),
           "$path, refreshed");
        next;
    }

    is(state_of(0, $path), 'REVALIDATED', "$path, revalidated");
}

# a purge of a tag that only the 200 had

is(state_of(1, '/b/kept'), 'HIT', 'the entry in Redis');
purge(0, 'one');

ok(wait_for(sub { state_of(1, '/b/kept') ne 'HIT' }, 5),
   'the other gateway has the tags of the 200');

for my $path (grep { !/replaced|^.b/ } @paths) {
    isnt(state_of(0, $path), 'HIT', "$path, purged by a tag of the 200");
}

is(state_of(0, '/a/replaced'), 'HIT', 'the tags of the 304 replace them');
purge(0, 'three');
isnt(state_of(0, '/a/replaced'), 'HIT', 'and purge it');

# what stated the lifetime, though it is not stored

for my $name (@lifetimes) {
    my $path = "/a/$name";
    my $stale = $name eq 'cdnswr' ? 'STALE' : 'REVALIDATED';

    # on a busy machine, it may be stale again

    ok(wait_for(sub {
        my $state = state_of(0, $path);

        # the refresh in the background

        sleep 0.2 if $state eq 'STALE';

        my $r = $f->get(0, $path);
        my ($ttl) = ($r->header('Cache-Status') || '') =~ /ttl=(\d+)/;

        return $state eq $stale && $r->header('X-Cache') eq 'HIT'
            && $ttl <= $ttl{$name} && $ttl > $ttl{$name} - 100;
    }, slow(10)), "$name, lifetime");
}

is(state_of(0, '/a/cdnnocache'), 'REVALIDATED', "no-cache, $_") for 1, 2;

# a header that gets too large

my $r = $f->get(0, '/a/large');
is($r->body . ' ' . $r->header('X-Cache'), 'body REVALIDATED', 'too large');
like($r->header('Cache-Status'), qr/detail=header-too-large/, 'and why');
is(state_of(0, '/a/large'), 'MISS', 'not stored');

# cookies are for the client whose request is revalidated

for my $name ('cookie', 'cookies') {
    $r = $f->get(0, "/a/$name");
    is($r->body . ' ' . $r->header('X-Cache'), 'body REVALIDATED', $name);
    is(join(' ', $r->headers('Set-Cookie')), 'a=1 b=2', "$name, sent");

    $r = $f->get(0, "/a/$name");
    is($r->header('Set-Cookie'), undef, "$name, not stored");
}

is($r->header('X-Cache'), 'HIT', 'and the entry is renewed');
