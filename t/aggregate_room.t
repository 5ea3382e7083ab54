#!/usr/bin/perl

# The memory of an aggregate's parts comes in one block, whatever
# "request_pool_size" is, and their responses are read into one buffer of the
# worker.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;

use Harness;
use Harness::Aggregate;

my $t = Harness->new(modules => ['ngx_http_aggregate_module'],
    log_level => 'debug');

$t->backend('b', '/x/' => '{"a":1}',
    '/list' => '{"l":[' . join(',', 1 .. 20) . ']}');

my @cases = map {
    my $n = $_;
    [ "$n parts", join('', map { "backend p$_ /b/x/$_ { }" } 1 .. $n), $n ]
} 1, 3, 10, 32;

push @cases,
    [ 'in turns', 'concurrency 4; '
      . join('', map { "backend p$_ /b/x/$_ { }" } 1 .. 8), 8 ],
    [ 'each', 'backend h /b/list { } backend e /b/x/${item.} { each h.l; }', 2,
      calls => 21 ];

$t->plan(3 * @cases);

serve($t, cases => \@cases);

# the first response makes the worker's buffer

http_get(case_uri($cases[0]));

for my $i (0 .. $#cases) {
    my ($name, undef, $parts, %o) = @{ $cases[$i] };

    my $before = length $t->error_log;
    my $r = http_get(case_uri($cases[$i]));
    my $log = substr $t->error_log, $before;

    is(keys %{ $r->json }, $parts, "$name: answered");

    # the client's connection and the request have one each, and the parts and
    # the answer have some; without the room each part had three

    my $blocks = () = $log =~ /posix_memalign: /g;
    my $connects = () = $log =~ /connect to 127/g;

    cmp_ok($blocks - $connects, '<=', 6, "$name: blocks");

    # nor has each a buffer of "proxy_buffer_size", a page, but some whose
    # response has come in two pieces, as long as there are no spare ones

    my $buffers = () = $log =~ /malloc: \w+:(?:4096|4128)\b/g;
    my $asked = $o{calls} || $parts;
    cmp_ok($buffers, '<=', $asked < 8 ? $asked : $asked / 2, "$name: buffers");
}
