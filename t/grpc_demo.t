#!/usr/bin/perl

# The gateway of conf.example/grpc.conf in front of its backend, at ports of
# this test: the commands that its comment has are run as they are written.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;

use Harness;

my $top = "$FindBin::Bin/..";

my $t = Harness->new;
my $d = $t->testdir;

my $text = slurp("$top/conf.example/grpc.conf");
my ($comment) = $text =~ /\A((?:\n|#.*\n)+)/;

$comment =~ s/^#[ ]*//gm;
$comment =~ s/\\\n\s*//g;

my @curls = $comment =~ /^(curl .*)$/gm;

my @expected = (
    qr/^\{"id":"1","name":"Pen","priceCents":"199","tags":\["paper"\]\}$/,
    qr/^\[\{"id":"1",.*\},\{"id":"2",.*\}\]$/,
    qr/^\{"id":"\d+","itemId":"2","count":3\}$/,
    qr/^(?:data: \{"id":.*\}\n\n){5}event: end\ndata: \{\}\n\n$/,
    qr/^\{"user":\{"id":"7",.*\},"cart":\{"itemIds":\["1","2"\]\}\}$/,
);

$t->plan(5 + @expected);

is(scalar @curls, scalar @expected, 'the commands are found');

my ($protoc) = $comment =~ /^(protoc .*)$/m;
$protoc =~ s/conf\.example\/shop\.pb/$d\/shop.pb/;
is(system("cd '$top' && $protoc"), 0, 'the descriptor');

my %port = (8080 => $t->port('0'), 50051 => $t->port('shop'));

my $pid = open my $out, '-|', 'node', "$top/conf.example/demo/shop.mjs",
    $port{50051} or die "node: $!\n";
Harness::guard("+$pid");
is(scalar <$out>, "ready on port " . $port{50051} . "\n", 'the backend');

sub here { return $_[0] =~ s/:(8080|50051)\b/:$port{$1}/gr }

my $conf = here($text) =~ s{build/run/}{$d/}gr
    =~ s/^(?:load_module|pid|error_log|worker_processes)\s.*$//gmr;

$t->run("%%GLOBALS%%\n$conf");

for my $i (0 .. $#expected) {
    my $command = here($curls[$i]);
    like(scalar `$command 2>/dev/null`, $expected[$i], $curls[$i]);
}

my $logged = qr{"GET\ /v1/items/1\ HTTP/1\.1"\ 200\ \S+
                \ shop\.v1\.Catalog/GetItem\ 0\ 200$}mx;
like($t->read_when('access.log', $logged), $logged, 'the log');

$t->reload("%%GLOBALS%%\n$conf");
is(http_get('/v1/items/none')->json->{detail}, 'no item "none"',
   'and after a reload');

kill 'KILL', $pid;
close $out;
Harness::guard("-$pid");


sub slurp {
    my ($path) = @_;

    open my $in, '<', $path or die "$path: $!\n";
    local $/;
    return scalar <$in>;
}
