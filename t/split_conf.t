#!/usr/bin/perl

# aggregate_split, aggregate_split_zone: what nginx -t says.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;

use Harness;

my $t = Harness->new(modules => [ 'ngx_http_aggregate_module' ]);

my $zone = 'aggregate_split_zone z 64k; ';

sub block {
    my ($block, $more) = @_;
    return $zone . 'aggregate_split $s key=$arg_u ' . ($more // 'zone=z')
        . " {\n$block\n}";
}

my @errors = (
    [ block('5% v2;'), qr/no default/ ],
    [ block(''), qr/no default/ ],
    [ block('* v1; * v2;'), qr/duplicate/ ],
    [ block('* v1; 5% v1;'), qr/duplicate version "v1"/ ],
    [ block('5% v2; 5% v2; * v1;'), qr/duplicate version "v2"/ ],
    [ block('ramp v2 1% 2% every=1m; 5% v2; * v1;'),
      qr/duplicate version "v2"/ ],
    [ block('60% v2; 50% v3; * v1;'), qr/over 100%/ ],
    [ block('101% v2; * v1;'), qr/invalid share "101%"/ ],
    [ block('0.001% v2; * v1;'), qr/invalid share "0.001%"/ ],
    [ block('-1% v2; * v1;'), qr/invalid share "-1%"/ ],
    [ block('x% v2; * v1;'), qr/invalid share "x%"/ ],
    [ block('.% v2; * v1;'), qr/invalid share "\.%"/ ],
    [ block('5% v2 v3; * v1;'), qr/one version/ ],
    [ block('5%; * v1;'), qr/one version/ ],
    [ block('*;'), qr/one version/ ],
    [ block('5% v/2; * v1;'), qr{invalid version "v/2"} ],
    [ block("5% ''; * v1;"), qr/invalid version ""/ ],
    [ block('* $v;'), qr/invalid version/ ],
    [ block('5 v2; * v1;'), qr/unknown statement "5"|"5"/ ],
    [ block('rampe v2 1% 2% every=1m; * v1;'), qr/did you mean "ramp"/ ],
    [ block('ramp v2 1% every=1m; * v1;'), qr/two steps/ ],
    [ block('ramp v2 1% 2%; * v1;'), qr/"every="/ ],
    [ block('ramp v2 2% 1% every=1m; * v1;'), qr/step "1%".*rising/ ],
    [ block('ramp v2 2% 2% every=1m; * v1;'), qr/step "2%"/ ],
    [ block('ramp v2 1% 101% every=1m; * v1;'), qr/step "101%"/ ],
    [ block('ramp v2 1% 2% every=0; * v1;'), qr/"every=0"/ ],
    [ block('ramp v2 1% 2% every=x; * v1;'), qr/"every=x"/ ],
    [ block('ramp v2 1% 2% every=1m; * v1;', ''), qr/"ramp" needs "zone="/ ],
    [ block('abort; 5% v2; * v1;', ''), qr/"abort" needs "zone="/ ],
    [ block('abort; abort; * v1;'), qr/duplicate/ ],
    (map { [ block("abort $_; * v1;"), qr/invalid value "\Q$_\E" in "abort"/ ] }
        'min=0', 'min=x', 'errors=101%', 'errors=5', 'latency=2',
        'latency=0.5x', 'latency=101x', 'window=0', 'window=2d', 'x=1'),
    [ block('header X-A; header X-B; * v1;'), qr/duplicate/ ],
    [ block('cookie a if=1; * v1;'), qr/"if=1"/ ],
    [ block('cookie a if=$nosuch; * v1;'),
      qr/unknown variable "\$nosuch" in .*:\d+/ ],
    [ block("header 'X A'; * v1;"), qr/invalid name "X A"/ ],
    [ block('header X:A; * v1;'), qr/invalid name/ ],
    [ block('* v1;', 'zone=y'), qr/unknown split zone "y" in \S+:\d+/ ],
    [ block('* v1;', 'zone=z zone=z'), qr/each once/ ],
    [ block('* v1;', 'x=y'), qr/invalid parameter "x=y"/ ],
    [ 'aggregate_split $s zone=z { * v1; }', qr/no "key="/ ],
    [ 'aggregate_split s key=$uri { * v1; }', qr/variable name "s"/ ],
    [ 'aggregate_split $uri key=$arg_u { * v1; }', qr/"uri"|\$uri/ ],
    [ 'aggregate_split $s key=$nosuch { * v1; }', qr/nosuch/ ],
    [ 'map $uri $s { default 1; } aggregate_split $s key=$arg_u { * v1; }',
      qr/\$s|"s"/ ],
    [ 'aggregate_split $s key=$arg_u { * v1; } map $uri $s { default 1; }',
      qr/"s"/ ],
    [ 'aggregate_split $s key=$arg_u { * v1; } '
      . 'aggregate_split $s key=$arg_u { * v1; }', qr/"s"/ ],
    [ 'aggregate_split_zone z 32k;', qr/"32k".*from 64k/ ],
    [ 'aggregate_split_zone z x;', qr/"x"/ ],
    [ "$zone $zone", qr/duplicate split zone|already bound/ ],
    [ 'aggregate_split_zone z 64k state=;', qr/"state="/ ],
    [ 'aggregate_split_zone z 64k stat=x;', qr/"stat=x"/ ],
    [ "aggregate_split_zone y 64k state=/tmp/s;\n"
      . 'aggregate_split_zone z 64k state=/tmp/s;',
      qr{state file "/tmp/s" is already used by .* zone "y" in \S+:\d+} ],
    [ 'server { listen 127.0.0.1:8080; aggregate_split $s key=a { * v; } }',
      qr/not allowed here/ ],
);

my @fine = (
    block('* v1;'),
    block('* v1;', ''),
    block('0% v2; * v1;'),
    block('100% v2; * v1;'),
    block('0.01% v2; 99.99% v3; * v1;'),
    block("ramp v2 0.01% 1% 100% every=10m;\nabort;\n* v1;"),
    block('ramp v-2 1% 2% every=1s; abort errors=0% latency=1.5x min=1 '
          . 'window=1s; * v_1.0;'),
    block('header X-Canary if=$http_x_a; cookie a-b; * v1;',
          'salt=other zone=z'),
    'aggregate_split $s key=$arg_u zone=z { * v1; } ' . $zone,
    'aggregate_split_zone y 64k state=/tmp/s; '
        . 'aggregate_split_zone z 64k state=/tmp/s2;',
    'aggregate_split $s key=$arg_u$http_x { 5% v2; * v1; }',
    block(join ' ', '* v1;', map { "1% w$_;" } 1 .. 15),
);

# the group of nobody has another name elsewhere
my $nobody = 'nobody ' . getgrgid((getpwnam 'nobody')[3]);

# mode and owner of a directory of "state=", the user of the workers, and
# whether nginx warns
my @directories = (
    [ 0755, 'root', 'root', 0 ],
    [ 0755, 'root', $nobody, 1 ],
    [ 0755, 'nobody', $nobody, 0 ],
    [ 0555, 'nobody', $nobody, 1 ],
    [ 0666, 'root', $nobody, 1 ],
    [ 0777, 'root', $nobody, 0 ],
    [ 0775, 'root', 'nobody root', 0 ],
    [ 0757, 'root', 'nobody root', 1 ],
);

$t->plan(@errors + @fine + @directories + 2);

sub try_conf {
    my ($http, $user) = @_;

    my $globals = $t->expand('%%GLOBALS%%');
    $globals =~ s/^user root;/user $user;/m if $user;

    return $t->test_config("$globals\nevents { }\nhttp {\n%%HTTP%%\n"
                           . "$http}\n");
}

for my $case (@errors) {
    my ($ok, $output) = try_conf($case->[0] . "\n");
    ok(!$ok && $output =~ $case->[1], "refused: $case->[0]")
        or diag($output);
}

for my $http (@fine) {
    my ($ok, $output) = try_conf("$http\n");
    ok($ok && $output !~ /emerg|warn/, "taken: $http") or diag($output);
}

my $cannot = qr{\[warn\].*"state=/\S+/x[.]json".*cannot be written.*workers};

SKIP: {
    skip 'only root has workers of another user', scalar @directories if $>;

    for my $case (@directories) {
        my ($mode, $owner, $user, $warns) = @$case;
        my $dir = $t->testdir . '/state';

        mkdir $dir;
        chown((getpwnam $owner)[2], 0, $dir) or die "chown: $!\n";
        chmod $mode, $dir or die "chmod: $!\n";

        my ($ok, $output) =
            try_conf("aggregate_split_zone z 64k state=$dir/x.json;\n", $user);

        ok($ok && ($output =~ $cannot xor !$warns),
           sprintf 'mode %o of %s for user %s', $mode, $owner, $user)
            or diag($output);
    }
}

for my $file (qw(nowhere/x.json temp.json/x.json)) {
    $t->write_file('temp.json', '');

    my ($ok, $output) =
        try_conf("aggregate_split_zone z 64k state=%%TESTDIR%%/$file;\n");
    ok($ok && $output =~ $cannot, "no directory: $file") or diag($output);
}
