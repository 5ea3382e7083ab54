#!/usr/bin/perl

# The benchmark's configurations: ours and those of stock nginx are good, the
# documents are the ones that its answers are compared with, and every peer's
# scenarios exist.

use strict;
use warnings;

use File::Temp qw(tempdir);
use FindBin;
use Test::More;

my $dir;

BEGIN {
    $dir = tempdir('gateway-XXXXXX', TMPDIR => 1, CLEANUP => 1);
    $ENV{BUILD_DIR} = $dir;
    $ENV{ASAN_OPTIONS} ||= 'detect_odr_violation=0:detect_leaks=0';
    $ENV{NGINX} = $ENV{TEST_NGINX_BINARY} if $ENV{TEST_NGINX_BINARY};
    $ENV{MODULES} = $ENV{TEST_NGINX_MODULES} if $ENV{TEST_NGINX_MODULES};
}

use lib "$FindBin::Bin/lib", "$FindBin::Bin/../bench/lib";

use Bench;
use Bench::Fixtures qw(write_fixtures decode);
use Harness;

my @stock = qw(nginx ours ssi);

plan tests => @stock + 4;

my $port = Harness::free_port();

# where an nginx before 1.19.5 writes its errors cannot be said to it
my $errors = `$env{NGINX} -h 2>&1` =~ /-e filename/ ? '-e stderr' : '';

Bench::describe_grpc();

for my $name (@stock) {
    my $peer = peer($name);
    my $place = Bench::lay_out($peer, scenario('AGG3', $peer));
    my $conf = read_file("$place/nginx.conf");

    $conf =~ s/127\.0\.0\.1:\K$Bench::port\b/$port/;
    write_file("$place/nginx.conf", $conf);

    my $said = `$env{NGINX} -t -p $place -c nginx.conf $errors 2>&1`;
    is($? >> 8, 0, "$name: nginx -t") or diag($said);
}

my (@unknown, @missing);

for my $peer (map { peer($_) } peers()) {
    push @unknown, grep {
        my $scenario = $_;
        !grep { $_ eq $scenario } @scenarios;
    } keys %{ $peer->{scenarios} };
}

is("@unknown", '', 'all scenarios of the peers are known');

write_fixtures("$dir/bench");

for my $peer (map { peer($_) } peers()) {
    push @missing, grep { !-s "$dir/bench/expected/$_.json" }
        map { scenario($_, $peer)->{expect} } keys %{ $peer->{scenarios} };
}

is("@missing", '', 'all expected documents are there');

my $agg3 = decode(read_file("$dir/bench/expected/agg3.json"));

is(scalar @{ $agg3->{recent_orders} }, 5, 'five orders');
is($agg3->{user}{id}, 42, 'of the user');
