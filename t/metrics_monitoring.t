#!/usr/bin/perl

# conf.example/monitoring: every expression names families that a scrape of
# the demo has; the rules are rules.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use JSON::PP ();
use Test::More;

use Harness;
use Harness::Metrics;

my $top = "$FindBin::Bin/..";
my $t = Harness->new(plan => 11);

sub slurp {
    my ($file) = @_;
    open my $in, '<:raw', "$top/$file" or die "$file: $!\n";
    local $/;
    return scalar <$in>;
}

# the demo, on ports of its own

my $conf = slurp('conf.example/nginx.conf');
my %ports;

$conf =~ s/^\s*(?:load_module|pid)\s.*$//gm;
$conf =~ s/^\s*error_log\s.*;$//gm;
$conf =~ s/^\s*\w+_temp_path\s.*;$//gm;
$conf =~ s/^(\s*access_log\s+)build\/run/$1%%TESTDIR%%/gm;
$conf =~ s{conf\.example/data}{$top/conf.example/data}g;
$conf =~ s/^worker_processes.*$/worker_processes 1;/m;
$conf =~ s/^http \{/http {\n    %%HTTP%%/m;
$conf =~ s/127\.0\.0\.1:8080/127.0.0.1:%%PORT_0%%/g;
$conf =~ s/127\.0\.0\.1:(180\d\d)/127.0.0.1:%%PORT_d$1%%/g;

$t->write_file('shop.graphql', slurp('conf.example/shop.graphql'));
$t->port(0);
$t->run("%%GLOBALS%%\n$conf");

http_get($_) for '/api/user/42', '/api/user/42', '/api/mobile/home/42',
    ('/api/stock/1001?down=1') x 4, '/api/stock/1001', '/nothing';

my $r = http_get('/metrics');
is($r->status, 200, 'the demo has metrics');
my $m = metrics($r->body);
is($m->errors, '', 'well formed');
is(promtool($r->body), '', 'promtool check metrics');
is($m->value('gateway_include_up'), 1, 'with the breakers');

my %family = map { s/_(?:bucket|sum|count)$//r => 1 } $m->names;
$family{$_} = 1 for keys %{ $m->{type} };
my $rules = slurp('conf.example/monitoring/rules.yml');
my %recorded = map { $_ => 1 } $rules =~ /record: (\S+)/g;

# names in an expression that are no functions, labels or strings
sub families {
    my ($expr) = @_;
    $expr =~ s/"[^"]*"//g;
    $expr =~ s/\{[^}]*\}//g;
    $expr =~ s/\b(?:by|without)\s*\([^)]*\)//g;
    $expr =~ s/\[[^\]]*\]//g;
    return grep { !/^(?:sum|rate|increase|le|histogram_quantile)$/ }
        $expr =~ /\b([a-z_:][a-z0-9_:]*)\b/g;
}

sub unknown {
    return join ' ', grep {
        my $name = s/_(?:bucket|sum|count)$//r;
        !$family{$_} && !$family{$name} && !$recorded{$_};
    } map { families($_) } @_;
}

my @exprs;

while ($rules =~ /^ +expr: (?:\|\n((?: {10}.*\n)+)|(.+)\n)/gm) {
    push @exprs, defined $1 ? $1 : $2;
}

cmp_ok(scalar @exprs, '>=', 12, 'expressions in the rules');
is(unknown(@exprs), '', 'the rules name families of the demo');

my $dashboard = JSON::PP::decode_json(
    slurp('conf.example/monitoring/dashboard.json'));
@exprs = map { map { $_->{expr} } @{ $_->{targets} } }
    @{ $dashboard->{panels} };
cmp_ok(scalar @exprs, '>=', 15, 'expressions in the dashboard');
is(unknown(@exprs), '', 'the dashboard names families of the demo');
is(unknown('rate(no_such_family[5m])'), 'no_such_family', 'others are seen');

my ($promtool) = grep { defined && -x } $ENV{PROMTOOL},
    "$top/build/promtool", map { "$_/promtool" } split /:/, $ENV{PATH};

die "promtool is needed: ./build.sh test fetches it\n" if !$promtool;

my $dir = "$top/conf.example/monitoring";
my $said = `$promtool check rules $dir/rules.yml 2>&1`;
is($?, 0, 'promtool check rules') or diag($said);
$said = `$promtool check config $dir/prometheus.yml 2>&1`;
is($?, 0, 'promtool check config') or diag($said);
