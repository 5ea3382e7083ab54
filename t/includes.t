#!/usr/bin/perl

# The rooms look down only: reads the #include lines of all sources, and
# fails on one that leads up or sideways.  A function is defined in the room
# whose header declares it, so that no call leads up either.  Base names are
# unique, as nginx puts the objects of folders of one name together, and pure
# files include nothing of nginx's.  The others include a header of nginx
# first, since it has to define _GNU_SOURCE before any of the system.  In some
# rooms the files, too, are layers: those that a file uses, directly or not, do
# not use that file.

use strict;
use warnings;

use FindBin;

use Test::More;

my $top = "$FindBin::Bin/..";

my @floor = qw(common base conf http_rules json);

my %sees = (
    common     => [],
    base       => [ qw(common http_rules) ],
    conf       => [ qw(common base) ],
    http_rules => [ qw(common json) ],
    json       => [ qw(common) ],
    shape      => [ @floor ],
    fetch      => [ @floor, 'shape' ],
    aggregate  => [ @floor, qw(shape fetch) ],
    graphql    => [ @floor, qw(shape fetch) ],
    redis      => [ @floor ],
    cache      => [ @floor, 'redis' ],
    grpc       => [ @floor ],
    route      => [ @floor ],
    metrics    => [ @floor, qw(shape fetch aggregate graphql redis cache grpc
                               route) ],
    trace      => [ @floor, qw(shape fetch aggregate graphql redis cache grpc
                               route metrics) ],
    breaker    => [ 'common' ],
);

# the rooms whose files are layers

my @layered = qw(cache redis);

my (%room, %pages, %declared, %defined, @twice);

for my $file (glob "$top/common/*.[ch] $top/ngx_http_*_module/*.[ch] "
                   . "$top/ngx_http_*_module/*/*.[ch]")
{
    my ($dir, $name) = $file =~ m{([^/]+)/([^/]+)$};
    my $room = $dir eq 'ngx_http_breaker_module' ? 'breaker' : $dir;

    push @twice, $name if $room{$name};
    $room{$name} = $room;
    $pages{$name} = slurp($file);
}

for my $name (sort keys %pages) {
    (my $text = $pages{$name}) =~ s{/\*.*?\*/}{}gs;

    if ($name =~ /\.h$/) {
        $declared{$1} = $name
            while $text =~ /^(?!\#|static|\s).*?\b(\w+)\([^;{]*\);$/gm;

    } else {
        $defined{$1} = $name while $text =~ /^(\w+)\([^;]*?\)\n\{$/gm;
    }
}

my @up = map { up($_) } sort keys %pages;
my @impure = map { impure($_) } sort keys %pages;
my @late = grep { /^ngx/ && (included($_))[0] !~ /^ngx/ } sort keys %pages;
my @unknown = grep { !$sees{$room{$_}} } sort keys %pages;

my @elsewhere = map { "$_ is declared in $declared{$_}, and defined in "
                      . "$defined{$_} of another room" }
    grep { $defined{$_} && $room{$defined{$_}} ne $room{$declared{$_}} }
    sort keys %declared;

plan tests => 7 + 2 * @layered;

cmp_ok(scalar(grep { $defined{$_} } keys %declared), '>', 200,
       'functions are found');
is_deeply(\@unknown, [], 'every room is known here');
is_deeply(\@twice, [], 'base names are unique');
is_deeply(\@up, [], 'no include leads up');
is_deeply(\@elsewhere, [], 'no declaration leads up');
is_deeply(\@impure, [], 'pure files know no nginx');
is_deeply(\@late, [], 'headers of nginx come first');

for my $name (@layered) {
    my $uses = uses($name);

    cmp_ok(scalar(map { %$_ } values %$uses), '>', 10,
           "$name: calls between files are found");
    is_deeply([ circles($uses) ], [], "$name: no circle of files");
}


sub slurp {
    my ($file) = @_;

    open my $in, '<', $file or die "$file: $!\n";
    local $/;
    return scalar <$in>;
}


sub included {
    my ($name) = @_;

    return $pages{$name} =~ /^\s*#\s*include\s+["<]([^">]+)[">]/gm;
}


sub up {
    my ($name) = @_;

    my $own = $room{$name};
    my %seen = map { $_ => 1 } $own, @{ $sees{$own} || [] };

    return map { "$own/$name includes $room{$_}/$_" }
        grep { $room{$_} && !$seen{$room{$_}} } included($name);
}


sub impure {
    my ($name) = @_;

    return if $name !~ /^(?:agg|brk|gw)_/;
    return map { "$name includes $_" } grep { /^ngx/ } included($name);
}


# file => the files of the room that define a function it names, be it in a
# call or as a handler
sub uses {
    my ($name) = @_;

    my (%text, %owner, %uses);

    for my $file (grep { $room{$_} eq $name && /\.c$/ } keys %pages) {
        ($text{$file} = $pages{$file}) =~ s{/\*.*?\*/|"(?:[^"\\]|\\.)*"}{}gs;
        $owner{$1} = $file while $text{$file} =~ /^(\w+)\([^;{}]*\)\n\{$/gm;
    }

    for my $file (keys %text) {
        for my $word ($text{$file} =~ /\b(\w+)\b/g) {
            my $other = $owner{$word};
            $uses{$file}{$other} = $word if $other && $other ne $file;
        }
    }

    return \%uses;
}


# takes away the files that use no other one until there is no such file
sub circles {
    my ($uses) = @_;

    my %left = map { $_ => { %{ $uses->{$_} } } } keys %$uses;

    while (1) {
        for my $file (keys %left) {
            delete $left{$file}{$_}
                for grep { !$left{$_} } keys %{ $left{$file} };
        }

        my @free = grep { !%{ $left{$_} } } keys %left or last;
        delete @left{@free};
    }

    return map {
        my $file = $_;
        map { "$file uses $_ ($left{$file}{$_})" } sort keys %{ $left{$file} };
    } sort keys %left;
}
