# The codec of gRPC against @bufbuild/protobuf, on random messages of a schema
# with every kind of field: wire to JSON, the JSON of either through the other,
# and JSON with one value replaced, which both take or refuse.
#
# The other is another way where its readers see less of the text or are less
# strict than protobuf's conformance cases; such pairs are not compared:
#   - JavaScript's JSON has no duplicate members, no -0, and no numbers of 64
#     bits: those cases are in grpc_codec.t;
#   - base64 that has text behind its padding, or one character too many, is
#     cut there by the other, and refused by us;
#   - an Any without "@type", or with a member "value" of a type that has no
#     JSON of its own, or without the one of a type that has;
#   - field masks whose paths are empty or no lower camel case.
#
# TEST_NGINX_SEED gives other messages, TEST_NGINX_ROUNDS more of them.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use Test::More;

my $seed = $ENV{TEST_NGINX_SEED} || 1;
my $rounds = $ENV{TEST_NGINX_ROUNDS} || 1500;
my $dir = $FindBin::Bin;

chomp(my $tool = qx{"$dir/../build.sh" tool grpc_codec_tool});
die "no grpc_codec_tool\n" if $?;

$ENV{NODE_PATH} ||= "$dir/../build/node/node_modules";

open my $in, '-|', 'node', "$dir/node/grpc_differential.js", $tool,
    "$dir/data/grpc/kinds.pb", $seed, $rounds or die "node: $!\n";

my $lines = 0;

while (my $line = <$in>) {
    chomp $line;

    if ($line =~ /^(not )?ok - (.*)/) {
        $lines++;
        ok(!$1, $2);
        next;
    }

    $line =~ s/^# //;
    $line =~ /^[\w ,]+: \d+$/ ? note($line) : diag($line);
}

close $in;

is($?, 0, 'node ended well');
is($lines, 6, 'all was tried');

done_testing();
