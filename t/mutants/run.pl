#!/usr/bin/perl

# Applies small changes to a copy of the sources, one after the other, builds,
# and runs the one test that must fail.  A mutant that no test notices has
# survived: either a test is missing, or the line is not needed.
#
# usage: run.pl TREE [NAME...]
#
# TREE is the copy, which has a build of its own.  The mutants are in
# t/mutants/*.txt; NAME is that of a mutant or of a file, "sample" stands for
# a fixed ten, "check" only says which entries do not apply.  An entry:
#
#     proxy-authorization-passes
#     file fetch/ngx_http_aggregate_fetch_headers.c
#     test aggregate_request_headers
#     - the old lines, as they stand
#     + the new lines
#
# The test is a file of t/, "unit NAME", or "alloc SECONDS SEED".  The old lines
# must be there just once; their indentation does not count.

use strict;
use warnings;

my ($tree, @wanted) = @ARGV;
my (@mutants, %good);
my %count = map { $_ => 0 } qw(killed survived broken stale);

die "usage: run.pl TREE [NAME...]\n" if !defined $tree;

# those of the security-relevant lines first, one of each kind

my @sample = qw(
    proxy-authorization-passes
    connection-options-uncounted
    response-size-off-by-one
    own-deadline-leaves-connection
    set-cookie-stored
    identity-not-in-key
    foreign-origin-purges
    breaker-counts-twice-under-parent
    shape-fails-open
    credentials-served
);

for my $file (glob "$tree/t/mutants/*.txt") {
    push @mutants, read_table($file);
}

my %names;
die "two mutants are named $_\n"
    for grep { $names{$_}++ } map { $_->{name} } @mutants;

exit check() if "@wanted" eq 'check';

@wanted = @sample if "@wanted" eq 'sample';

if (@wanted) {
    my %is = map { $_ => 1 } @wanted;

    for my $name (@wanted) {
        die "no mutant \"$name\"\n"
            if !grep { $_->{name} eq $name || $_->{table} eq $name } @mutants;
    }

    @mutants = grep { $is{$_->{name}} || $is{$_->{table}} } @mutants;
}

$| = 1;

# the build outlives the copy, and may hold what a mutant was compiled to

my $touched = "$tree/../touched";
utime undef, undef, map { "$tree/$_" } split /\n/, slurp($touched)
    if -e $touched;

for my $mutant (@mutants) {
    my $result = try_mutant($mutant);

    $count{$result}++;
    printf "%-8s %s (%s)\n", $result, $mutant->{name}, $mutant->{test};
}

printf "mutants: %d passed, %d failed\n", $count{killed},
       $count{survived} + $count{broken} + $count{stale};

exit($count{killed} == @mutants ? 0 : 1);


sub read_table {
    my ($path) = @_;

    my ($table) = $path =~ m{([^/]+)\.txt$};
    my (@found, $mutant);

    open my $in, '<', $path or die "$path: $!\n";

    while (my $line = <$in>) {
        chomp $line;
        next if $line =~ /^#/;

        if ($line eq '') {
            undef $mutant;

        } elsif (!$mutant) {
            $mutant = { name => $line, table => $table, old => [],
                        new => [] };
            push @found, $mutant;

        } elsif ($line =~ /^(file|test) (.+)$/) {
            $mutant->{$1} = $2;

        } elsif ($line =~ /^([-+]) ?(.*)$/) {
            push @{ $mutant->{$1 eq '-' ? 'old' : 'new'} }, $2;

        } else {
            die "$path:$.: \"$line\"\n";
        }
    }

    for (@found) {
        die "$path: $_->{name} is not whole\n"
            if !$_->{file} || !$_->{test} || !@{ $_->{old} };
    }

    return @found;
}


sub check {
    my @stale = grep { !defined((locate($_))[0]) } @mutants;

    print "$_->{name} of $_->{table}.txt does not apply\n" for @stale;

    return @stale ? 1 : 0;
}


# the file, its text, and the pattern of the old lines, which is there once
sub locate {
    my ($mutant) = @_;

    my ($path) = grep { -f } map { "$tree/$_/$mutant->{file}" }
        qw(ngx_http_aggregate_module ngx_http_breaker_module .);

    return if !$path;

    my $text = slurp($path);
    my $old = join '\n', map { '[ ]*' . quotemeta(s/^\s+//r) }
        @{ $mutant->{old} };
    my $there = () = $text =~ /^$old$/gm;

    return if $there != 1;
    return ($path, $text, $old);
}


sub try_mutant {
    my ($mutant) = @_;
    my ($path, $text, $old) = locate($mutant);

    return 'stale' if !defined $path;
    return 'broken' if !passes($mutant->{test});

    (my $changed = $text) =~ s{^$old$}{join "\n", @{ $mutant->{new} }}me;

    note_touched($path);
    spew($path, $changed);

    my $result = !builds($mutant->{test}) ? 'broken'
        : run_test($mutant->{test}) ? 'survived' : 'killed';

    spew($path, $text);

    return $result;
}


sub note_touched {
    my ($path) = @_;

    my %is = map { $_ => 1 } split /\n/, -e $touched ? slurp($touched) : '';

    $is{substr $path, length "$tree/"} = 1;
    spew($touched, join "\n", sort keys %is);
    return;
}


# before a change is blamed for it
sub passes {
    my ($test) = @_;

    if (!defined $good{$test}) {
        $good{$test} = builds($test) && run_test($test);
        print "the test $test fails without any change\n" if !$good{$test};
    }

    return $good{$test};
}


sub builds {
    my ($test) = @_;

    return 1 if $test =~ /^unit /;
    return quiet("$tree/build.sh", 'modules');
}


sub run_test {
    my ($test) = @_;

    return quiet("$tree/build.sh", split ' ', $test)
        if $test =~ /^(?:unit|alloc) /;
    return quiet("$tree/build.sh", 'test', $test);
}


sub quiet {
    my (@command) = @_;

    my $pid = fork;
    die "fork: $!\n" if !defined $pid;

    if (!$pid) {
        open STDOUT, '>', "$tree/log" or die "$tree/log: $!\n";
        open STDERR, '>&', \*STDOUT or die "stderr: $!\n";
        exec { $command[0] } @command or die "$command[0]: $!\n";
    }

    waitpid $pid, 0;
    return $? == 0;
}


sub slurp {
    my ($path) = @_;

    open my $in, '<:raw', $path or die "$path: $!\n";
    local $/;
    return scalar <$in>;
}


sub spew {
    my ($path, $text) = @_;

    open my $out, '>:raw', $path or die "$path: $!\n";
    print $out $text;
    close $out or die "$path: $!\n";
    return;
}
