#!/usr/bin/perl

# Holds README, doc/ and the code together: each directive and statement of
# a command table is in the reference with its contexts, and the other way
# round; so are the variables and the verbs of build.sh; every block of
# configuration, and conf.example, passes "nginx -t".
#
# A piece of a configuration is tested where it can stand: in http, server,
# location and so on, the first of them that takes it.  What a piece does not
# define is put around it: upstreams, variables, zones.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;

use Harness;
use Reference;

my $top = "$FindBin::Bin/..";

my $r = Reference->new($top);

my %code = %{ $r->{code} };
my %code_variables = %{ $r->{variables} };
my @strange = @{ $r->{strange} };
my %pages = %{ $r->{pages} };
my $readme = join "\n", map { $pages{$_} } sort keys %pages;
my %reference = %{ $r->{reference} };
my @blocks = read_blocks();
my @names = sort keys %{ { %code, %reference } };
my %variables = (
    %code_variables,
    map { $_ => 1 } $readme =~ /\$((?:aggregate|breaker)_\w+)/g
);
my @verbs = sort keys %{ { map { $_ => 1 }
                           $readme =~ m{\./build\.sh ([a-z-]+)}g } };
my @examples = glob "$top/conf.example/*.conf";


# those that start as they are, in the directory of the project
my @started = grep { !m{/production[.]conf$} } @examples;

my $t = Harness->new;

# what configurations name: files of the example, and documents of nobody
$t->write_file(s{.*/}{}r, slurp($_)) for glob "$top/conf.example/*.graphql";
$t->write_file('app.json', '{}');
$t->write_file('tutorial.graphql', slurp("$top/conf.example/shop.graphql"));
$t->write_file('redis.secret', 'secret');

my $d = $t->testdir;
system("protoc -I$top/t/data/grpc -I$top/conf.example/demo --include_imports"
       . " --descriptor_set_out=$d/shop.pb shop.proto") == 0
    or die "protoc failed\n";
system("openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=localhost"
       . " -keyout $d/api.example.com.key -out $d/api.example.com.pem"
       . " >/dev/null 2>&1") == 0 or die "openssl failed\n";
$t->write_file('ca.pem', slurp("$d/api.example.com.pem"));

my @entries = map { my $n = $_; map { { %$_, name => $n } }
                        @{ $reference{$n} || [] } } @names;
my @versions = slurp("$top/CHANGES") =~ /^Changes with (\S+)/gm;
my ($now) = slurp("$top/common/gw_version.h") =~ /GW_VERSION\s+"(.*)"/;

$t->plan(2 + @names + keys(%variables) + @verbs + @blocks + @examples
         + @started + @entries + 2 * keys %pages);


# the tables

is("@strange", '', 'every flag of a command table has a name here');

for my $name (@names) {
    my $in_code = $code{$name};
    my $entries = $reference{$name} || [];
    my @wrong;

    push @wrong, 'it is in no command table' if !$in_code;
    push @wrong, 'it is not in the reference' if !@$entries;

    if (!@wrong) {
        my %said = map { $_ => 1 } map { @{ $_->{contexts} } } @$entries;
        my %is = map { $_ => 1 } @{ $in_code->{contexts} };

        push @wrong, map { "context $_ is not in the reference" }
            grep { !$said{$_} } sort keys %is;
        push @wrong, map { "context $_ is only in the reference" }
            grep { !$is{$_} } sort keys %said;

        my @syntax = map { @{ $_->{syntax} } } @$entries;

        push @wrong, "Syntax does not begin with $name: $_"
            for grep { !/^\Q$name\E(?:[ ;]|$)/ } @syntax;
        push @wrong, 'Syntax lacks "{ ... }"'
            if $in_code->{block} && !grep { /\{.*\}$/ } @syntax;
        push @wrong, "Syntax ends with neither \";\" nor \"}\": $_"
            for grep { !/[;}]$/ } @syntax;
        push @wrong, 'an entry without a Default'
            if grep { $_->{default} eq '' } @$entries;
        push @wrong, map { wrong_entry($name, $_) } @$entries;
        push @wrong, "a Default that does not pass for a statement: $_"
            for grep { /;$/ && !/^\Q$name\E / }
                map { $_->{default} } @$entries;
    }

    judge("reference: $name", @wrong);
}

for my $name (sort keys %variables) {
    my $there = $readme =~ /\$\Q$name\E\b/;
    my @wrong;

    push @wrong, 'no such variable in the code' if !$code_variables{$name};
    push @wrong, 'not in the reference' if !$there;

    judge("variable: \$$name", @wrong);
}

is($versions[0], $now, 'CHANGES begins with the version of the modules');

# all at once, and one by one to find those that are wrong
my ($all_right) = try_all_examples();

for my $entry (@entries) {
    my ($ok, $output) = $all_right ? (1) : try_example($entry);

    ok($ok, "example: $entry->{name} in $entry->{page}")
        or diag("$output\n$entry->{example}");
}


# the verbs

my $help = `$top/build.sh help`;

like($help, qr/^  \Q$_\E\b/m, "build.sh $_") for @verbs;


# the links

for my $page (sort keys %pages) {
    my @broken = broken_links($page);
    ok(!@broken, "$page: links") or diag(map { "$_\n" } @broken);
}


# the contents

for my $page (sort keys %pages) {
    my @missing = missing_contents($page);
    ok(!@missing, "$page: contents") or diag(map { "$_\n" } @missing);
}


# the blocks

for my $block (@blocks) {
    my ($ok, $output) = try_block($block->{text});

    ok($ok && !warned($block->{text}, $output),
       "$block->{page} line $block->{line}: nginx -t")
        or diag("$output\n$block->{text}");
}

for my $example (@examples) {
    my ($ok, $output) = $t->test_config(whole(slurp($example)));
    (my $name = $example) =~ s{.*/}{};

    # the one spelling that old and new versions of nginx take
    $output =~ s/^.*"listen \.\.\. http2" directive is deprecated.*\n//gm;

    ok($ok && $output !~ /\[warn\]/, "conf.example/$name: nginx -t")
        or diag($output);
}

# by the command in their first lines, with the modules under test in build/
for my $dir ('build', 'build/run', 'conf.example') {
    mkdir "$d/$dir" or die "mkdir: $!\n";
}
symlink $_, "$d/build/" . s{.*/}{}r for @{ $t->{modules} };

for my $file (glob("$top/conf.example/*.{conf,graphql}"), "$d/shop.pb") {
    $t->write_file('conf.example/' . $file =~ s{.*/}{}r, slurp($file));
}

for my $example (@started) {
    (my $name = $example) =~ s{.*/}{conf.example/};

    my $command = slurp($example)
        =~ m{^#     nginx -p "\$PWD/" -c \Q$name\E$}m;
    my ($ok, $output) = nginx('-t', '-p', "$d/", '-c', $name);

    ok($ok && $command && $output !~ /\[warn\]/, "$name starts as it says")
        or diag($output);
}


# nginx with arguments: whether it succeeds, and what it prints
sub nginx {
    my @arguments = @_;

    my $pid = open my $out, '-|';
    die "fork: $!\n" if !defined $pid;

    if ($pid == 0) {
        open STDERR, '>&', \*STDOUT;
        $t->exec_nginx(@arguments);
    }

    my $output = do { local $/; <$out> };
    close $out;

    return ($? == 0, $output);
}


# a line of an entry of the reference that is missing, or wrong
sub wrong_entry {
    my ($name, $entry) = @_;
    my @in = @{ $entry->{contexts} };
    my @wrong;

    # by nginx's rule: what can be set at several levels is inherited
    my $inherits = @in > 1 && $in[0] eq 'http' ? 'from the level above'
                                               : '(?:no|from aggregate)';

    push @wrong, "Inherits: $entry->{inherits}, where it must be $inherits"
        if $entry->{inherits} !~ /^$inherits(?:, as a whole list)?$/;
    push @wrong, "Since: \"$entry->{since}\" is no version of CHANGES"
        if !grep { $_ eq $entry->{since} } @versions;
    push @wrong, 'an entry without an Example'
        if $entry->{example} !~ /(?:^|[;\s])\Q$name\E(?=[ ;])/;
    push @wrong, 'an entry without a text' if $entry->{text} !~ /\w/;

    return @wrong;
}


# the sections and entries of a page that its contents, before the first
# section, lack
sub missing_contents {
    my ($page) = @_;

    return () if $page eq 'README.md';

    (my $text = $pages{$page}) =~ s/^```.*?^```$//gms;
    my ($top_of_page) = $text =~ /\A(.*?)^##/ms;
    my %listed = map { $_ => 1 } $top_of_page =~ /\]\(#([^)]+)\)/g;
    my @missing;

    while ($text =~ /^## (.*)$/gm) {
        my $name = lc $1;

        $name =~ s/[^\w\- ]//g;
        $name =~ tr/ /-/;
        push @missing, "no link to \"$1\"" if !$listed{$name};
    }

    for my $name (map { $_->{name} } grep { $_->{page} eq $page } @entries) {
        push @missing, "no link to \"$name\"" if !$listed{$name};
    }

    return @missing;
}


# files and headings of this tree that a page names and that are not there
sub broken_links {
    my ($page) = @_;
    my ($dir) = $page =~ m{^(.*/)} ? $1 : '';
    my @broken;

    (my $text = $pages{$page}) =~ s/^```.*?^```$//gms;

    while ($text =~ /\]\(([^)\s]+)\)/g) {
        my $link = $1;
        next if $link =~ /^https?:/;

        my ($path, $anchor) = split /#/, $link, 2;
        my $file = $path eq '' ? $page : "$dir$path";
        1 while $file =~ s{[^/]+/\.\./}{};

        if (!-e "$top/$file") {
            push @broken, $link;
        } elsif (defined $anchor && !anchors($file)->{$anchor}) {
            push @broken, $link;
        }
    }

    return @broken;
}


sub anchors {
    my ($file) = @_;
    my (%found, %times);

    (my $text = $pages{$file} || slurp("$top/$file")) =~ s/^```.*?^```$//gms;

    while ($text =~ /^#+ (.*)$/gm) {
        my $name = lc $1;

        $name =~ s/[^\w\- ]//g;
        $name =~ tr/ /-/;
        my $n = $times{$name}++;
        $found{$n ? "$name-$n" : $name} = 1;
    }

    return \%found;
}


sub judge {
    my ($what, @wrong) = @_;

    ok(!@wrong, $what) or diag(map { "$_\n" } @wrong);
    return;
}


sub slurp {
    my ($file) = @_;

    open my $in, '<:raw', $file or die "$file: $!\n";
    local $/;
    return scalar <$in>;
}


sub read_blocks {
    my @found;

    for my $page (sort keys %pages) {
        while ($pages{$page} =~ /^```nginx\n(.*?)^```$/gms) {
            my ($start, $text) = ($-[0], $1);
            my $line = 1 + (() = substr($pages{$page}, 0, $start) =~ /\n/g);
            push @found, { page => $page, line => $line, text => $text };
        }
    }

    return @found;
}


# a configuration that is whole, with this machine's paths
sub whole {
    my ($text) = @_;

    $text =~ s/^\s*load_module\s.*$//gm;
    $text =~ s/^\s*(?:user|pid|error_log)\s.*;$//gm;
    $text =~ s{/etc/nginx/ssl/}{%%TESTDIR%%/}g;
    $text =~ s{^(\s*listen\s+)443\b}{${1}127.0.0.1:%%PORT_tls%%}gm;
    $text =~ s{\b9180\b}{%%PORT_operations%%}g;
    $text =~ s{^(\s*access_log\s+)/var/log/nginx}{$1%%TESTDIR%%}gm;
    $text =~ s/^\s*\w+_temp_path\s.*;$//gm;
    $text =~ s/^http \{/http {\n    %%HTTP%%/m;
    $text =~ s/^(\s*access_log\s+)build\/run/$1%%TESTDIR%%/gm;
    $text =~ s/\s+access_log %%TESTDIR%%\/access.log;(?=.*access_log)//s;

    return "%%GLOBALS%%\n$text";
}


# a piece may lack the locations that its parts ask for
sub warned {
    my ($text, $output) = @_;

    my @warnings = $output =~ /^(.*\[warn\].*)$/mg;

    @warnings = grep { !/no location of the server takes/ } @warnings
        if $text !~ /^http \{/m;

    return scalar @warnings;
}


sub try_block {
    my ($text) = @_;

    return $t->test_config(whole($text)) if $text =~ /^http \{/m;

    my @around = (
        [ '', '' ],
        [ 'server {', '}' ],
        [ 'server { location / {', '} }' ],
        [ 'server { location / { aggregate {', '} } }' ],
        [ 'server { location / { aggregate { backend b /b {', '} } } }' ],
        [ 'upstream u {', '}' ],
    );

    # most begin with what tells where they stand
    @around = @around[1, 0, 2 .. 5] if $text =~ /^\s*location /;

    my ($best, $reached) = ('', -1);

    for my $around (@around) {
        my ($ok, $output, $line) = try_in($text, @$around);
        return ($ok, $output) if $ok;

        # where it stood right nginx came furthest, and its message tells
        ($best, $reached) = ($output, $line) if $line > $reached;
    }

    return (0, $best);
}


# an example in each of its contexts
sub try_example {
    my ($entry) = @_;
    my $text = $entry->{example};

    for my $context (@{ $entry->{contexts} }) {
        my ($before, $after) = example_around($text, $context, '');
        return (0, "no such context: $context") if !defined $before;

        my ($ok, $output) = try_in($text, $before, $after,
                                   prelude("$before\n$text"));
        return ($ok, "$context: $output") if !$ok;
    }

    return (1, '');
}


# all of them in one configuration: they define what they name
sub try_all_examples {
    my (@first, @then);

    for my $i (0 .. $#entries) {
        my $text = $entries[$i]{example};
        my @contexts = @{ $entries[$i]{contexts} };

        for my $context (@contexts) {
            my ($before, $after) = example_around($text, $context, $i);
            return 0 if !defined $before;

            # there can be one exporter
            if ($context eq 'aggregate_trace_exporter') {
                my ($ok) = try_example($entries[$i]);
                return 0 if !$ok;
                next;
            }

            my $list = "@contexts" eq 'http' ? \@first : \@then;
            push @$list, "$before\n$text\n$after\n";
        }
    }

    return try_in(join('', @first, @then), '', '', '');
}


# what an example may be put into; the names are unique by "n"
sub example_around {
    my ($text, $context, $n) = @_;

    my $redis = $text =~ /\bserver |\bsentinel / ? '' : 'server 127.0.0.1;';
    my $version = $text =~ /^ramp/ ? '' : '50% v2;';
    my $endpoint = $text =~ /^endpoint/
                 ? '' : 'endpoint https://127.0.0.1:4318/v1/traces;';

    my %around = (
        http     => [ '', '' ],
        server   => [ 'server {', '}' ],
        location => [ 'server { location / {', '} }' ],
        upstream => [ "upstream u$n { zone u$n 128k; server 127.0.0.1:1;",
                      '}' ],
        aggregate => [ 'server { location / { aggregate {'
                       . ' backend user /user { }', '} } }' ],
        backend  => [ 'server { location / { aggregate {'
                      . ' backend user /user { } backend cart /cart { }'
                      . ' backend b /b {', '} } } }' ],
        aggregate_shape  => [ "aggregate_shape s$n {", '}' ],
        aggregate_redis  => [ "aggregate_redis r$n { $redis", '}' ],
        aggregate_split  => [ "aggregate_split \$v$n key=\$remote_addr"
                              . " zone=splits { $version", '* v1; }' ],
        aggregate_graphql => [ 'server { location / {'
                               . ' aggregate_graphql shop.graphql {',
                               '} } }' ],
        breaker_policy   => [ "breaker_policy p$n {", '}' ],
        aggregate_trace_exporter => [ "aggregate_trace_exporter { $endpoint",
                                      '}' ],
    );

    return @{ $around{$context} || [] };
}


# what the examples name
sub prelude {
    my ($text) = @_;

    my @has = (
        [ 'aggregate_shape mobile',       '{ allow id; }' ],
        [ 'aggregate_cache_zone api',     '1m;' ],
        [ 'aggregate_redis fleet',        '{ server 127.0.0.1:6379; }' ],
        [ 'aggregate_graphql_zone apq',   '1m;' ],
        [ 'aggregate_metrics_zone gw',    '1m;' ],
        [ 'aggregate_split_zone splits',  '1m;' ],
        [ 'aggregate_grpc_descriptor shop.pb', ';' ],
        [ 'aggregate_trace_exporter',
          '{ endpoint http://127.0.0.1:4318/v1/traces; }' ],
        [ 'breaker_zone backends',        '1m;' ],
        [ 'breaker_policy strict',        '{ }' ],
    );

    return join "\n", map { "$_->[0] $_->[1]" }
        grep { $text !~ /^\Q$_->[0]\E\b/m } @has;
}


sub try_in {
    my ($text, $before, $after, $prelude) = @_;

    my ($ok, $output, $conf);
    my $extra = defined $prelude ? $prelude : zones($text);

    $text =~ s{/etc/nginx/ssl/}{%%TESTDIR%%/}g;
    $text =~ s{\bstate=/var/lib/nginx/splits/}{state=%%TESTDIR%%/}g;
    $text =~ s{/var/(?:cache/nginx|lib/nginx)/}{%%TESTDIR%%/}g;

    for (1 .. 30) {
        $conf = <<"EOC";
%%GLOBALS%%
events { }
http {
    %%HTTP%%
$extra
$before
$text
$after
}
EOC
        ($ok, $output) = $t->test_config($conf);
        return ($ok, $output) if $ok;

        if ($output =~ /unknown (?:variable "\$|")(\w+)"/) {
            $extra .= "map \$uri \$$1 { default ''; }\n";

        } elsif ($output =~ /host not found in upstream "(\w+)/) {
            $extra .= "upstream $1 { server 127.0.0.1:1; }\n";

        } else {
            last;
        }
    }

    # lines of the piece that nginx took
    my ($line) = $output =~ m{test\.conf:(\d+)};
    my $piece = $t->expand($text);
    my $first = (split /^\Q$piece\E/m, $t->expand($conf))[0] =~ tr/\n//;

    return ($ok, $output, defined $line ? $line - $first : 0);
}


# shared memory that a piece names and does not define
sub zones {
    my ($text) = @_;

    my $extra = '';
    my %is = map { $_ => 1 }
        $text =~ /^\s*(?:breaker_zone|aggregate_\w+) (\w+)\b/gm;
    my %wanted;

    $wanted{"breaker_zone $1 1m;"} = $1
        while $text =~ /^\s*breaker \S.*\bzone=(\w+)/gm;
    $wanted{"breaker_policy $1 { }"} = $1
        while $text =~ /^\s*breaker \S.*\bpolicy=(\w+)/gm;

    for my $line (sort keys %wanted) {
        my ($what, $name) = split ' ', $line;
        $extra .= "$line\n" if $text !~ /^\s*$what $name\b/m;
    }

    return $extra;
}
