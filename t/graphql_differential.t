# Documents, schemas and variables against graphql-js: the errors of parsing
# and validation with their places, introspection, coerced values.  Both have
# the same documents, written and random ones.
#
# TEST_NGINX_SEED gives other documents, TEST_NGINX_ROUNDS more of them.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use Test::More;

my $seed = $ENV{TEST_NGINX_SEED} || 1;
my $rounds = $ENV{TEST_NGINX_ROUNDS} || 300;
my $dir = $FindBin::Bin;

chomp(my $tool = qx{"$dir/../build.sh" tool graphql_tool});
die "no graphql_tool\n" if $?;

$ENV{NODE_PATH} ||= "$dir/../build/node/node_modules";

open my $in, '-|', 'node', "$dir/node/graphql_differential.js", $tool,
    "$dir/data/graphql", $seed, $rounds or die "node: $!\n";

my $lines = 0;

while (my $line = <$in>) {
    chomp $line;

    if ($line =~ /^(not )?ok - (.*)/) {
        $lines++;
        ok(!$1, $2);
        next;
    }

    $line =~ s/^# //;
    diag($line);
}

close $in;

is($?, 0, 'node ended well');
is($lines, 14, 'all was tried');

done_testing();
