# The grammar of random configurations has every directive and statement of
# ours: in what it generates from one seed, each one occurs.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use Test::More tests => 2;

use Harness::Random;
use Reference;

my $code = Reference->new("$FindBin::Bin/..")->{code};
my %seen;

srand 20261128;

for (1 .. 400) {
    my $conf = Harness::Random::conf();
    $seen{$1}++ while $conf =~ /^([a-z_]+)(?=[ ;])/mg;
}

my @missing = grep { !$seen{$_} } sort keys %$code;

cmp_ok(scalar keys %$code, '>', 100, 'directives are known');
is("@missing", '', 'each of them is in the grammar');
