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

my %cases = (
    kept       => [ [ @fresh, 'Surrogate-Key' => 'one two' ], [ @long ] ],
    replaced   => [ [ @fresh, 'Surrogate-Key' => 'one two' ],
                    [ @long, 'Surrogate-Key' => 'two three' ] ],
    background => [ [ @swr, 'Surrogate-Key' => 'one' ], [ @long ] ],
    site       => [ [ @fresh, 'Surrogate-Key' => 'one two' ], [ @long ] ],
    some       => [ [ @fresh, 'Surrogate-Key' => 'one', 'X-Tags' => 'two' ],
                    [ @long, 'X-Tags' => 'three' ] ],
);

my $serve = sub {
    my ($q) = @_;
    my ($name) = $q->{path} =~ m{([^/]+)$};
    my ($old, $new) = @{ $cases{$name} || [ [], [] ] };
    my $asked = grep { lc $_->[0] eq 'if-none-match' } @{ $q->{headers} };

    return { status => $asked ? 304 : 200, body => 'body',
             headers => [ ETag => '"a"', $asked ? @$new : @$old ] };
};

my $f = Harness::Fleet->new(plan => 16, backend => [ '/' => $serve ],
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

EOC

ok($f->linked, 'both gateways are linked');

sub state_of { return $f->get($_[0], $_[1])->header('X-Cache') }

sub purge {
    my ($i, $tag) = @_;
    return http_request(POST => "/purge?tag=$tag", port => $f->port($i));
}

my @paths = map { $_ eq 'kept' ? ('/a/kept', '/b/kept') : "/a/$_" }
    sort keys %cases;

$f->get(0, $_) for @paths;

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
