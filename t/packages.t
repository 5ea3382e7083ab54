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

plan tests => 35;

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

# for Debian; not optimized, which takes half the time
my $output = `DEB_BUILD_OPTIONS=noopt $top/build.sh deb 2>&1`;
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

# the source package, and a binary one, with the macros of nginx-mod-devel for
# a build that has been
my $archive = "$d/SOURCES/nginx-gateway-$version.tar.gz";
mkdir "$d/SOURCES";

my ($tar) = slurp('packaging/nginx-gateway.spec')
    =~ /^# +(tar .*?LICENSE doc conf\.example)$/ms;
$tar =~ s/^# *//mg;
$tar =~ s/\\\n//g;
$tar =~ s/\S*\.tar\.gz/$archive/;

$output = `cd $top && $tar 2>&1`;
is($?, 0, 'the archive, as the spec says') or diag($output);

my %macros = (
    _topdir           => $d,
    _nginx_abiversion => '1',
    nginx_moddir      => '/usr/lib64/nginx/modules',
    nginx_modconfdir  => '/usr/share/nginx/modules',
    _vpath_builddir   => 'objs',
    nginx_modconfigure => 'mkdir objs',
    nginx_modbuild    => "cp $ENV{TEST_NGINX_MODULES}/*.so objs",
);
my $macros = join ' ', map { "--define '$_ $macros{$_}'" } sort keys %macros;

$output = `rpmbuild $macros --nodeps -ba \\
    $top/packaging/nginx-gateway.spec 2>&1`;
is($?, 0, 'packages of rpm') or diag($output);

my ($rpm) = glob "$d/RPMS/*/nginx-gateway-$version-1*.rpm";
ok(-f ($rpm || ''), 'a binary one');
ok(glob("$d/SRPMS/nginx-gateway-$version-1*.src.rpm"), 'and its source');

my $requires = `rpm -qp --requires $rpm 2>/dev/null`;
like($requires, qr/^nginx\(abi\) = 1$/m, 'it depends on the ABI of nginx');
like(`rpm -qpl $rpm 2>/dev/null`,
     qr{^/usr/lib64/nginx/modules/ngx_http_${_}_module\.so$
        .*^/usr/share/nginx/modules/ngx_http_${_}_module\.conf$}msx,
     "$_: the module and its load_module") for qw(aggregate breaker);

# the step of the Dockerfile that builds, with the source that nginx-dev has,
# for a binary whose options, unlike this one's, ask for no optimization
my $dockerfile = slurp('packaging/Dockerfile');
like($dockerfile,
     qr{\./build\.sh modules --with-nginx="\$\(command -v nginx\)"},
     'the Dockerfile builds for its nginx');

open my $script, '>', "$d/nginx" or die "$d/nginx: $!\n";
print $script <<"EOS";
#!/bin/sh
[ "\$1" = -V ] || exec $stock "\$@"
$stock -V 2>&1 | sed 's/-O2/-O0/; s/-Wp,-D_FORTIFY_SOURCE=2//' >&2
EOS
close $script;
chmod 0755, "$d/nginx";

$output = `NGINX_SOURCE=/usr/share/nginx/src \\
    $top/build.sh modules --with-nginx=$d/nginx 2>&1`;
is($?, 0, 'for a binary and a source') or diag($output);

# the one that enables them
my ($sed) = $dockerfile =~ /^RUN (sed .*?)\\\n +&& nginx -t$/ms;
$sed =~ s/\\\n//g;
$sed =~ s{/etc/nginx/nginx\.conf}{$d/nginx.conf};

open my $conf, '>', "$d/nginx.conf" or die "$d/nginx.conf: $!\n";
print $conf "events { }\n";
close $conf;

system $sed;
is(slurp_path("$d/nginx.conf"),
   "load_module modules/ngx_http_breaker_module.so;\n"
   . "load_module modules/ngx_http_aggregate_module.so;\nevents { }\n",
   'the Dockerfile loads the modules');

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
