#!/usr/bin/perl

# Prints what the command tables and the reference say of each directive and
# variable: directives.pl TOP [json | vscode | vim].
#
#     json    a list of objects, by name and context
#     vscode  the manifest of the extension "NGINX Configuration Language
#             Support" (assets/manifest/*.json): rows of a kind, 1 for the
#             names of modules, 2 for a directive, 3 for a variable
#     vim     keywords for syntax/nginx.vim

use strict;
use warnings;

use FindBin;
use lib $FindBin::Bin;

use Reference;

my ($top, $format) = @ARGV;
$format = 'json' if !defined $format;

my %formats = (json => \&json, vscode => \&vscode, vim => \&vim);

my $print = $formats{$format}
    or die "unknown format \"$format\": json, vscode or vim\n";

my $r = Reference->new($top);
my @entries = map { entries($_) } sort keys %{ $r->{code} };

$print->();


# one for each place in the reference: "timeout" is in several blocks
sub entries {
    my ($name) = @_;

    my $code = $r->{code}{$name};
    my @modules = sort keys %{ $code->{modules} };
    my %here = map { $_ => 1 } @{ $code->{contexts} };
    my %times;

    return map { {
        name     => $name,
        module   => $modules[0],
        block    => $code->{block} ? 1 : 0,
        syntax   => $_->{syntax},
        default  => $_->{default},
        contexts => [ grep { $here{$_} } @{ $_->{contexts} } ],
        since    => $_->{since},
        link     => link_to($_->{page}, $name, $times{ $_->{page} }++),
    } } @{ $r->{reference}{$name} || [] };
}


# the second heading of a name has "-1" in its link, and so on
sub link_to {
    my ($page, $name, $before) = @_;

    return "$page#$name" . ($before ? "-$before" : '');
}


# a text, a list, or a flag as JSON
sub quote {
    my ($value) = @_;

    return '[' . join(', ', map { quote($_) } @$value) . ']'
        if ref $value eq 'ARRAY';

    $value =~ s/(["\\])/\\$1/g;
    $value =~ s/([\x00-\x1f])/sprintf '\\u%04x', ord $1/ge;

    return "\"$value\"";
}


sub json {
    my @rows = map {
        my $e = $_;
        '  { ' . join(",\n    ",
                      (map { "\"$_\": " . quote($e->{$_}) }
                           qw(name module syntax default contexts since link)),
                      '"block": ' . ($e->{block} ? 'true' : 'false'))
        . ' }'
    } @entries;

    push @rows, map {
        '  { "variable": ' . quote("\$$_") . ",\n    "
        . '"module": ' . quote($r->{variables}{$_}) . ' }'
    } sort keys %{ $r->{variables} };

    print "[\n", join(",\n", @rows), "\n]\n";
}


sub vscode {
    my %modules = map { $_ => 1 } map { $_->{module} } @entries;
    my @modules = sort keys %modules;

    # the rows count them from 1
    @modules{@modules} = 1 .. @modules;

    my @rows = '[1, ' . join(', ', map { quote($_) } @modules) . ']';

    for my $e (@entries) {
        my @signature = map { s/^\Q$e->{name}\E\s*//r =~ s/;$//r }
            @{ $e->{syntax} };

        push @rows, '[' . join(', ', 2, quote($e->{name}), quote(\@signature),
                               quote($e->{default}), quote($e->{contexts}),
                               $modules{$e->{module}},
                               $e->{since} ? quote($e->{since}) : 'null',
                               quote($e->{link}), 'null') . ']';
    }

    my %about = map { /^\| `\$(\w+)` \| (.*?) \|$/gm }
        map { $r->{pages}{$_} } sort keys %{ $r->{pages} };

    for my $name (sort keys %{ $r->{variables} }) {
        my $about = defined $about{$name} ? $about{$name} : '';

        push @rows, '[' . join(', ', 3, quote("\$$name"), quote($about),
                               $modules{$r->{variables}{$name}}, 'null',
                               '""', 'null') . ']';
    }

    print "[\n", join(",\n", map { "  $_" } @rows), "\n]\n";
}


# of statements the names that are not common words: those in blocks of ours
# are highlighted by nginx.vim where it knows them
sub vim {
    print "\" after/syntax/nginx.vim\n\n";

    for my $name (sort keys %{ $r->{code} }) {
        my $code = $r->{code}{$name};
        my $group = $code->{block} ? 'ngxDirectiveBlock' : 'ngxDirective';

        print "syn keyword $group contained $name\n";
    }

    print "syn match ngxVariable /\\\$\\(", join('\\|',
        sort keys %{ $r->{variables} }), "\\)\\>/\n";
}
