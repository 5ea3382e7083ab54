#!/usr/bin/perl

# The style checker: nginx's style as far as it can be judged line by line.
#
#     t/style.pl [FILE...]      without arguments: the whole tree
#
# One line for each finding, "file:line: what"; exit status 1 when there is
# one.  The last line counts.

use strict;
use warnings;

use File::Basename qw(basename dirname);
use File::Find;

my $top = dirname(__FILE__) . '/..';
my $columns = 80;
my $function_lines = 120;
my $file_lines = 1100;

my $found = 0;
my $file;


sub complain {
    my ($line, $what) = @_;
    (my $name = $file) =~ s{^\Q$top\E/}{};
    print "$name:$line: $what\n";
    $found++;
}


my @files = @ARGV;

if (!@files) {
    my @dirs = grep { -d } glob("$top/ngx_http_*_module"), glob("$top/common"),
        map { "$top/$_" } qw(t bench conf.example);

    find({ no_chdir => 1, wanted => sub {
        push @files, $_ if -f && m{\.(?:c|h|pm|pl|t|sh|conf)$|/config$};
    } }, @dirs);

    push @files, map { "$top/$_" } qw(config build.sh .ci/run);
    @files = sort @files;
}

my %base;

for my $path (@files) {
    $file = $path;
    open my $in, '<:raw', $file or die "$file: $!\n";
    my $text = do { local $/; <$in> };
    close $in;

    check_text($text);

    if ($file =~ /\.[ch]$/) {
        check_c($text);

        my $name = basename($file);
        complain(1, "base name is also that of $base{$name}")
            if $base{$name} && $file !~ m{/t/|/bench/};
        $base{$name} = $file;
    }
}

printf "style: %d files, %d findings\n", scalar @files, $found;
exit($found ? 1 : 0);


# what holds for all kinds of files
sub check_text {
    my ($text) = @_;

    my @lines = split /\n/, $text, -1;
    my $last = pop @lines;

    complain(scalar @lines, 'no newline at the end') if $last ne '';
    complain(scalar @lines, 'blank line at the end')
        if @lines && $lines[-1] eq '';
    complain(1, "more than $file_lines lines")
        if @lines > $file_lines && $file =~ /\.[ch]$/;

    my $n = 0;

    for my $line (@lines) {
        $n++;
        complain($n, "longer than $columns columns")
            if length $line > $columns;
        complain($n, 'tab') if $line =~ /\t/;
        complain($n, 'trailing blank') if $line =~ /\s$/;
        complain($n, 'not ASCII')
            if $line =~ /[^\t\x20-\x7e]/ && $file =~ /\.[ch]$/;
        complain($n, 'left to do')
            if $line =~ /\b(?:TO[D]O|FIX[M]E|X[X]X)\b/;
    }
}


# comments and the contents of strings blanked out, the lines kept
sub plain {
    my ($text) = @_;

    $text =~ s{
        ( /\*.*?\*/ )
        | "( (?:[^"\\\n]|\\.)* )"
        | '( (?:[^'\\\n]|\\.)+ )'
    }{
        if (defined $1) {
            (my $c = $1) =~ s/[^\n]/ /g;
            $c;
        } elsif (defined $2) {
            my $s = $2;
            $s =~ s/[^\n]/x/g;
            "\"$s\"";
        } else {
            "'" . 'x' x length($3) . "'";
        }
    }gsex;

    return $text;
}


sub check_c {
    my ($text) = @_;

    my $pure = basename($file) =~ /^(?:agg|brk|gw)_/;
    my @raw = split /\n/, $text;
    my @lines = split /\n/, plain($text);
    my $macro = 0;

    for my $i (0 .. $#lines) {
        my ($line, $n) = ($lines[$i], $i + 1);
        my $in_macro = $macro;
        $macro = $line =~ /\\$/;

        complain($n, 'a pure file includes an nginx header')
            if $pure && $raw[$i] =~ /^\s*#\s*include\s*[<"]ngx_/;

        complain($n, '// comment') if $line =~ m{//};
        complain($n, "a comment begins with \"$1\"")
            if $raw[$i] =~ m{^\s*/?\*\s(of|what|that|it)\s};
        complain($n, 'commented-out code') if $raw[$i] =~ /^\s*#if\s+0\b/;

        next if $line =~ /^\s*#/;

        check_line($n, $line, $i ? $lines[$i - 1] : '',
                   $i < $#lines ? $lines[$i + 1] : '', $in_macro || $macro);
    }

    check_functions(\@lines);
}


sub check_line {
    my ($n, $line, $before, $after, $macro) = @_;

    complain($n, 'blank missing after keyword')
        if $line =~ /\b(?:if|for|while|switch)\(/;
    complain($n, 'blank missing before {') if $line =~ /\)\{/;
    complain($n, '"} else" wants "{" on its line')
        if $line =~ /^\s*\} else$/;
    complain($n, 'no blank line before "} else"')
        if $line =~ /^\s*\} else\b/ && $before =~ /\S/ && !$macro;
    complain($n, '"for ( ;; )"') if $line =~ /for \(\s*;\s*;\s*\)/
        && $line !~ /for \( ;; \)/;
    complain($n, 'indented by other than 4')
        if $line =~ /^( +)(?:if|for|while|switch|return|goto|break|continue)\b/
        && length($1) % 4;
    complain($n, 'a cast wants a blank after it and before the "*"')
        if $line =~ /\((?:const )?(?:u_char|char|void|int|\w+_t)\*+\)/
        || $line =~ /\((?:const )?(?:u_char|char|void|\w+_t) \*+\)[\w(&]/;
    complain($n, '"*" stands at the name')
        if $line =~ /\b(?:u_char|char|void|\w+_t)\*+ \w/;
    complain($n, 'an operator starts the continued line')
        if $line =~ /(?:&&|\|\||[^+]\+|==|!=| [?:])$/ && !$macro
        && $line !~ /^\s*(?:case|default)\b/;
    complain($n, 'blank before ";" or ","')
        if $line =~ /\S [;,]/ && $line !~ /for \(/;
    complain($n, 'blank missing after ","') if $line =~ /,[^\s'"]/ && !$macro;
    complain($n, 'two statements on a line')
        if $line =~ /;\s*[^\s}]/ && $line !~ /[({]/ && $line !~ /\)/ && !$macro;
    complain($n, 'single-line block')
        if $line =~ /^\s+(?:if|for|while|else)\b.*\{.*\S.*\}/ && !$macro;

    if ($line =~ /^(\s*)(?:\} else )?(?:if|for|while)( \(.*)$/) {
        my ($indent, $rest) = ($1, $2);
        my $depth = () = $rest =~ /\(/g;
        $depth -= () = $rest =~ /\)/g;

        complain($n, 'no braces')
            if $depth == 0 && $rest !~ /\{(?:\s*\})?$/ && $rest !~ /;$/
            && $rest !~ /\\$/ && $after !~ /^\s*(?:&&|\|\||\{)/;
        complain($n, '"{" of a condition over several lines stands alone')
            if $depth > 0 && $rest =~ /\{$/;
    }

    complain($n, '"{" of a condition over several lines stands alone')
        if $line =~ /^\s+(?:&&|\|\|).*\) \{$/;
    complain($n, 'no braces') if $line =~ /^\s*\} else(?! if| \{)./;
}


sub check_functions {
    my ($lines) = @_;

    my $start;

    for my $i (0 .. $#$lines) {
        my $line = $lines->[$i];

        if ($line eq '{') {
            $start = $i;
            check_head($lines, $i);
            check_declarations($lines, $i);
            next;
        }

        next if $line ne '}' || !defined $start;

        complain($start + 1, 'function of ' . ($i - $start - 1)
                 . " lines, more than $function_lines")
            if $i - $start - 1 > $function_lines;

        undef $start;

        my $next = $i + 1;
        $next++ while $next <= $#$lines && $lines->[$next] !~ /\S/;
        next if $next > $#$lines;

        my $blank = $next - $i - 1;
        next if $lines->[$next] =~ /^#\s*(?:endif|else|elif|undef)/;

        # a comment was blanked out too: it counts as no blank line
        complain($i + 1, 'two blank lines after a function')
            if $blank < 2;
    }
}


# the name of a function stands at the start of a line, below its type
sub check_head {
    my ($lines, $i) = @_;

    my $head = $i - 1;
    $head-- while $head > 0 && $lines->[$head] =~ /^\s/;

    complain($head + 1, 'the return type stands on a line of its own')
        if $lines->[$head] =~ /^\w[\w\s*]*[\s*]\w+\(/
        && $lines->[$head] !~ /\b__attribute__/;
    complain($head + 1, '"{" of a function stands alone')
        if $lines->[$head] =~ /\) *\{$/;
}


# the block of declarations at the top of a function: shorter types first,
# the names in a column two blanks right of the longest type
sub check_declarations {
    my ($lines, $i) = @_;

    my @found;

    for my $n ($i + 1 .. $#$lines) {
        my $line = $lines->[$n];

        last if $line !~ /\S/;
        next if $line =~ /^ {8,}/;
        return if $line !~ /^    ((?:(?:static|const|struct|enum|unsigned|
            volatile|register|signed|long|short)\ )*\w+)(\ +)
            (\(?\**)(\w+)(.*)$/x;

        my ($type, $gap, $stars, $name, $rest) = ($1, $2, $3, $4, $5);
        return if $type =~ /^(?:return|goto|case|else)$/ || $rest =~ /^\(/
            || $rest !~ /^\s*(?:[,;=[)]|$)/;

        push @found, [ $n + 1, $type, length($gap), length($stars) ];
    }

    return if !@found;

    my $longest = 0;
    my $before = 0;

    for (@found) {
        my $length = length $_->[1];
        $longest = $length if $length > $longest;
    }

    for (@found) {
        my ($n, $type, $gap, $stars) = @$_;

        # the stars hang left of the column of the names
        my $column = length($type) + $gap + $stars;
        my $min = $longest + 2;

        $_->[4] = $column;
        complain($n, 'declarations go from the shorter to the longer type')
            if length($type) < $before;
        $before = length $type;
    }

    my %columns = map { $_->[4] => 1 } @found;

    complain($found[0][0], 'the names of declarations stand in one column')
        if keys %columns > 1;
    complain($found[0][0], 'two blanks after the longest type')
        if !grep { $_->[2] == 2 } @found;
}
