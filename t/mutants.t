# Each entry of t/mutants/ applies to the sources as they are: one that does not
# would protect nothing.

use strict;
use warnings;

use FindBin;
use Test::More tests => 2;

my $top = "$FindBin::Bin/..";
my $said = qx{perl "$top/t/mutants/run.pl" "$top" check};

is($said, '', 'each mutant applies');
is($?, 0, 'the tables are whole');
