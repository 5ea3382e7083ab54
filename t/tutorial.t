#!/usr/bin/perl

# The steps of doc/tutorial.md run as they are written: the configuration of
# each step, in front of the demo's backends, and its commands, which print
# what the page shows.  "..." in an output stands for any text.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;

use Harness;

my $top = "$FindBin::Bin/..";

my $t = Harness->new;
my $d = $t->testdir;

my $page = slurp("$top/doc/tutorial.md");
my ($frame) = $page =~ /^```nginx\n(load_module.*?)^```$/ms;
my @steps = read_steps();

$t->plan(2 + @steps + (map { @{ $_->{tries} } } @steps));

cmp_ok(scalar @steps, '>=', 6, 'the steps are found');

my ($schema) = $page =~ /^```graphql\n(.*?)^```$/ms;
$t->write_file('tutorial.graphql', $schema);

for my $step (@steps) {
    my ($ok, $output) = $t->test_config(whole($step->{conf}));
    ok($ok && $output !~ /\[warn\]/, "$step->{name}: nginx -t")
        or diag($output);
}

$t->run(whole('', demo()));

for my $step (@steps) {
    $t->reload(whole($step->{conf}, demo()));

    for my $try (@{ $step->{tries} }) {
        my $command = at_ports($try->{command});
        my $output = `sh -c '@{[ $command =~ s/'/'\\''/gr ]}' 2>/dev/null`;

        my $expected = join '.*', map { quotemeta } split /\.\.\./,
                           $try->{output}, -1;

        like($output =~ s/\r//gr, qr/\A$expected\s*\z/s,
             "$step->{name}: $try->{command}");
    }
}

# the frame itself, with the paths of this test
my $text = $frame =~ s/^load_module.*$//gmr =~ s{build/run/}{$d/}gr
                  =~ s/include\s+step\*/include $d\/nostep*/r;
my ($ok, $output) = $t->test_config("%%GLOBALS%%\n"
    . $text =~ s/^(?:pid|error_log)\s.*$//gmr);

ok($ok, 'the frame of the steps') or diag($output);


# a heading "## 1. NAME", a configuration, and commands with their outputs
sub read_steps {
    my @found;

    while ($page =~ /^## (\d\. .*?)\n(.*?)(?=^## |\z)/gms) {
        my ($name, $step) = ($1, $2);
        my ($conf) = $step =~ /^```nginx\n(.*?)^```$/ms;
        my @tries;

        while ($step =~ /^```sh\n(.*?)^```\n\n```text\n(.*?)\n```\n/gms) {
            push @tries, { command => $1, output => $2 };
        }

        die "$name has no configuration or no command\n"
            if !defined $conf || !@tries;

        push @found, { name => $name, conf => $conf, tries => \@tries };
    }

    return @found;
}


# part 3 of the example, which is the demo's backends
sub demo {
    my ($part) = slurp("$top/conf.example/nginx.conf")
                     =~ /^    # ---- 3\.[^\n]*\n(.*)^\}/ms;

    $part =~ s{^\s*error_log\s.*$}{}gm;
    $part =~ s{conf\.example/data}{$top/conf.example/data};

    return $part;
}


sub whole {
    my ($conf, $demo) = @_;

    $demo = '' if !defined $demo;

    return at_ports("%%GLOBALS%%\nevents { }\nhttp {\n%%HTTP%%\n"
                    . "default_type application/json;\n$demo\n$conf\n}\n");
}


sub at_ports {
    my ($text) = @_;

    $text =~ s/127\.0\.0\.1:(8088|1808\d)\b/"127.0.0.1:" . $t->port($1)/ge;
    return $text;
}


sub slurp {
    my ($file) = @_;

    open my $in, '<:raw', $file or die "$file: $!\n";
    local $/;
    return scalar <$in>;
}
