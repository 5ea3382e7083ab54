#!/usr/bin/perl

# bench/scale.pl [DIR]
#
# How this gateway grows with workers, parts, the size of bodies and the number
# of keys: a table, and a plot for each in DIR (build/bench).  A figure is the
# median of ROUNDS (3) samples of a second, taken in turn.

use strict;
use warnings;

use FindBin;

use lib "$FindBin::Bin/lib";
use Bench;
use Bench::Chart qw(lines);
use Bench::Fixtures ();

my $rounds = $ENV{ROUNDS} || 3;
my $dir = $ARGV[0] || $Bench::work;
my $peer = peer('ours');

$| = 1;

my @sizes = map { 1024 * 4 ** $_ } 0 .. 5;
my @parts = (1, 2, 4, 8, 16);
my @keys = (1, 10, 100, 1000, 10000, 100000);

Bench::prepare();
fixtures();
backends();

my %got;

for my $round (1 .. $rounds) {
    many_workers($_) for 1, 2, 4;
    many_parts($_) for @parts;
    large_bodies($_) for @sizes;
    many_keys($_) for @keys;
}

show('workers', 'AGG3: microseconds of CPU a request by workers', 'workers',
     0);
show('parts', 'microseconds of CPU a request by parts of 2 KB', 'parts', 0);
show('bodies', 'microseconds of CPU a request by the body of a part',
     'bytes', 1);
show('keys', 'microseconds of CPU a hit of L1 by keys in the zone', 'keys', 1);


# a document of about so many bytes, served as /size-BYTES/
sub fixtures {
    for my $size (@sizes) {
        my ($text, $i) = ('[', 0);

        while (length $text < $size - 340) {
            $text .= ',' if $i;
            $text .= Encode::encode_utf8(Bench::Fixtures::article($i++));
        }

        $text .= ($i ? ',' : '') . '"' . 'x' x ($size - length($text) - 4)
            . '"]';
        write_file("$Bench::work/fixtures/size-$size.json", $text);
    }

    return;
}


sub measure {
    my ($kind, $x, $scenario, %o) = @_;

    my $pid = gateway($peer, $scenario, %o)
        or die "$kind $x: no gateway\n";
    my ($status) = hit($scenario, 1);
    die "$kind $x: " . ($status || 'no answer') . "\n"
        if !$status || $status != 200;

    Bench::load($scenario, $o{warm} || 1, $env{CONNS});
    my $got = sample($pid, $scenario, 1, $env{CONNS});
    stop($pid);

    push @{ $got{$kind}{$x} }, $got;
    printf "%-8s %8d  %8.1f us  %6d/s\n", $kind, $x, @$got{qw(cpu_us rps)};
    return;
}


# further locations of the configuration
sub with {
    my ($text) = @_;
    return (add => $text);
}


sub many_workers {
    my ($n) = @_;

    my %scenario = %{ scenario('AGG3', $peer) };
    measure('workers', $n, { %scenario, workers => $n });
    return;
}


sub many_parts {
    my ($n) = @_;

    my $parts = join ' ', map { "backend p$_ /_part/" . $_ % 10 . ' { }' }
        1 .. $n;
    measure('parts', $n, { %{ scenario('AGG10', $peer) }, uri => '/scale' },
        with("location = /scale { aggregate { $parts } }"));
    return;
}


sub large_bodies {
    my ($size) = @_;

    measure('bodies', $size,
        { %{ scenario('AGG10', $peer) }, uri => '/scale' },
        with("location = /scale { aggregate { max_body_size 2m; "
             . 'backend p /_size/ { } } } '
             . "location = /_size/ { internal; "
             . "proxy_pass http://parts/size-$size/x; }"));
    return;
}


# the zone holds all of them: the 4 KB document under as many URIs
sub many_keys {
    my ($n) = @_;

    local $ENV{KEYS} = $n;
    measure('keys', $n, { %{ scenario('L1', $peer) }, lua => 'keys.lua',
                          uri => '/keys/1' },
        warm => 2 + int($n / 10000),
        with('location ^~ /keys/ { aggregate_cache keys; '
             . 'aggregate_cache_valid 1d; '
             . 'proxy_pass http://parts/cache/; }'),
        http => 'aggregate_cache_zone keys 1024m;');
    return;
}


sub median {
    my @v = sort { $a <=> $b } @_;
    return $v[@v / 2];
}


sub show {
    my ($kind, $title, $label, $log) = @_;

    my @points;

    print "\n**$title**\n\n| $label | CPU us a request | requests/s |"
        . " peak MiB |\n|---|---|---|---|\n";

    for my $x (sort { $a <=> $b } keys %{ $got{$kind} }) {
        my @samples = @{ $got{$kind}{$x} };
        my ($us, $rps, $kb) = map {
            my $name = $_;
            median(map { $_->{$name} } @samples);
        } qw(cpu_us rps peak_kb);

        printf "| %d | %.1f | %d | %.0f |\n", $x, $us, $rps, $kb / 1024;
        my $k = $kind eq 'keys' ? 1000 : 1024;
        push @points, [ $x, $us, $x < $k ? $x : $x / $k . 'k' ];
    }

    lines("$dir/scale-$kind.svg", $title, $label, 'us', $log, @points);
    return;
}
