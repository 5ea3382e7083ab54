#!/usr/bin/perl

# Requests with credentials and those without have locks of their own: a
# response that is for one client only is nothing that others wait for, on
# the node and in the fleet.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;
use Time::HiRes qw(time);

use Harness;
use Harness::Fleet;

my %n;

my $f = Harness::Fleet->new(
    plan    => 17,
    block   => 'timeout 500ms; connect_timeout 500ms;',
    server  => 'aggregate_cache_lock_timeout 20s; proxy_read_timeout 20s;',
    backend => [
        '/linked/' => '1',

        # the first one hangs, or is slow where its client has no credentials
        '/'        => sub {
            my ($q) = @_;
            my $first = !$n{$q->{uri}}++;
            return { action => 'hang' } if $first && $q->{uri} !~ /none/;
            return { delay => $first ? 2 : 0.3, body => "n$n{$q->{uri}}",
                     headers => [ 'Cache-Control' => 'max-age=60' ] };
        },
    ],
);

my $b = $f->backend;

sub begun {
    my ($i, $uri, %o) = @_;
    my $n = $b->count($uri);
    my ($c) = $f->clients($i, 1, $uri, %o);
    wait_for(sub { $b->count($uri) > $n }, slow(5)) or diag("no $uri");
    return $c;
}

my @cookie = (headers => [ Cookie => 'a=b' ]);
my @authorization = (headers => [ Authorization => 'Basic x' ]);

ok($f->linked, 'both are linked');

# one with credentials is under way; on this node, and on the other one

for my $row ([ 'Cookie', @cookie ], [ 'Authorization', @authorization ]) {

    my ($name, @o) = @$row;

    for my $node (0, 1) {

        my $uri = "/$name-$node";
        my $holder = begun(0, $uri, @o);
        my ($time, @r) = $f->many($node ? [ 0, 3 ] : [ 3, 0 ], $uri);

        is(join(' ', map { $_->body } @r), 'n2 n2 n2',
           "$name, node $node: those without have one fetch");
        cmp_ok($time, '<', slow(3), 'and do not wait for it');
        $holder->close;
    }
}

# one without is under way

for my $node (0, 1) {

    my $uri = "/none-$node";
    my $holder = begun(0, $uri);
    my $start = time();
    is($f->get($node, $uri, @cookie)->status, 200,
       "node $node: one with credentials");
    cmp_ok(time() - $start, '<', slow(3), 'does not wait either');

    my @waiting = $f->clients($node, 2, $uri);
    wait_for(sub { $f->state($node)->{waited} }) if $node == 0;
    $holder->close;
    is(join(' ', map { $_->response->body } @waiting), 'n1 n1',
       'while those without wait for the fetch, whose client has gone');
}

is($b->count('/none-0'), 2, 'two fetches');
is($b->count('/none-1'), 2, 'on the other node too');
