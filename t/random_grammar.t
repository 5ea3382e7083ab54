# The grammar of random configurations has every directive and statement of
# ours, in each context that it may stand in: all of them occur in what it
# generates from one seed.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use Test::More tests => 4;

use Harness::Random;
use Harness::RandomRequests;
use Reference;

my $code = Reference->new("$FindBin::Bin/..")->{code};
my (%seen, %requests);

srand 20261128;

for (1 .. 600) {
    my @in;

    for my $line (split /\n/, Harness::Random::conf()) {
        my ($name) = $line =~ /^([a-z_]+)/;

        $seen{"$name in $in[-1]"}++ if $name && @in;
        push @in, $name if $line =~ /\{$/;
        pop @in if $line eq '}';
    }

    for my $q (Harness::RandomRequests::requests(20)) {
        $requests{$_}++ for grep { defined } @{$q}{qw(event how port)};
    }
}

my @wanted = map { my $name = $_;
                   map { "$name in $_" } @{ $code->{$name}{contexts} } }
    sort keys %$code;
my @missing = grep { !$seen{$_} } @wanted;

cmp_ok(scalar keys %$code, '>', 100, 'directives are known');
is("@missing", '', 'each of them is in the grammar, in each context');

@missing = grep { !$requests{$_} } qw(wait close reset half slow drip rst thin
                                      h1 h2 pp reload reopen redis_pause
                                      redis_drop backend_pause);
is("@missing", '', 'all kinds of requests and events');
cmp_ok($seen{'aggregate_grpc in location'}, '>', 100, 'contexts are followed');
