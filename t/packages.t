# The packages: one version everywhere, what is in those for Debian, and the
# steps of the RPM spec and of the Dockerfile, as far as they go without rpm's
# distributions and without docker.  "build.sh deb-test" installs, upgrades and
# removes them.

use strict;
use warnings;

use FindBin;
use File::Temp qw(tempdir);
use Test::More;

my $d = tempdir(CLEANUP => 1);
my $top = "$FindBin::Bin/..";

# the packages are for the installed nginx, whatever nginx is under test
my $stock = `PATH=\$PATH:/usr/sbin command -v nginx`;
chomp $stock;

plan tests => 27;

# one version
my ($version) = slurp('common/gw_version.h') =~ /GW_VERSION\s+"([\d.]+)"/;
like($version, qr/^\d+\.\d+\.\d+$/, 'a version');

my ($number, $date) = slurp('CHANGES')
    =~ /^Changes with (\S+) +(\d\d? [A-Z][a-z][a-z] \d{4})$/m;

is($number, $version, 'CHANGES has it');
like($date || '', qr/./, 'and a date');
like(slurp('debian/changelog'), qr/^nginx-gateway \(\Q$version\E\)/,
     'debian/changelog has it');
like(slurp('packaging/nginx-gateway.spec'), qr/^Version:\s+\Q$version\E$/m,
     'the spec has it');

# in the modules, and in the log when nginx starts
for my $module (qw(aggregate breaker)) {
    my $so = "$ENV{TEST_NGINX_MODULES}/ngx_http_${module}_module.so";

    ok(slurp_path($so)
           =~ m{ngx_http_${module}_module/\Q$version\E},
       "ngx_http_${module}_module.so says it");
}

# for Debian
my $output = `$top/build.sh deb 2>&1`;
is($?, 0, 'build.sh deb') or diag($output);

my ($abi) = `grep -h nginx:abi /usr/share/nginx/src/debian/*.abisubstvars`
    =~ /(nginx-abi-[\w.-]+)/;

for my $module (qw(aggregate breaker)) {
    my ($deb) = $output =~ m{^(/\S+/libnginx-mod-http-${module}_\S+\.deb)$}m;

    ok(defined $deb, "a package of $module");
    $deb = '/none' if !defined $deb;

    my $depends = `dpkg-deb --field $deb Depends`;
    like($depends, qr/\Q$abi\E/, "$module: depends on $abi");
    like($depends, qr/libcjson1/, "$module: depends on its libraries");
    is(`dpkg-deb --field $deb Version`, "$version\n", "$module: the version");

    my $files = `dpkg-deb -c $deb`;
    like($files, qr{\./usr/lib/nginx/modules/ngx_http_${module}_module\.so\n},
         "$module: the module");
    like($files,
         qr{\./usr/share/nginx/modules-available/mod-http-$module\.conf},
         "$module: its load_module");
}

$output = `$top/build.sh deb 'a b' 2>&1`;
like($output, qr/"a b" is no version/, 'a bad version');

# RPM
$output = `rpmspec -P --define '_nginx_abiversion 1' \\
    --define 'nginx_moddir /usr/lib64/nginx/modules' \\
    --define 'nginx_modconfdir /usr/share/nginx/modules' \\
    $top/packaging/nginx-gateway.spec 2>&1`;
is($?, 0, 'the spec is one') or diag($output);

my @named = $output =~ /^%(?:license|doc) (.*)$/mg;
is_deeply([ grep { !-e "$top/$_" } map { split } @named ], [],
          'the files that the spec names');

# the step of the Dockerfile that builds, with the source that nginx-dev has
like(slurp('packaging/Dockerfile'),
     qr{\./build\.sh modules --with-nginx="\$\(command -v nginx\)"},
     'the Dockerfile builds for its nginx');

$output = `NGINX_SOURCE=/usr/share/nginx/src \\
    $top/build.sh modules --with-nginx=$stock 2>&1`;
is($?, 0, 'for a binary and a source') or diag($output);

$output = `NGINX_SOURCE=$d $top/build.sh modules --with-nginx=$stock 2>&1`;
isnt($?, 0, 'for a binary without its source');
like($output, qr/no source of nginx [\d.]+ in .*nginx-[\d.]+\.tar\.gz/s,
     'which is asked for');


sub slurp {
    my ($name) = @_;
    return slurp_path("$top/$name");
}


sub slurp_path {
    my ($path) = @_;

    open my $in, '<:raw', $path or die "$path: $!\n";
    local $/;
    return scalar <$in>;
}
