# "build.sh check FILE": the exit code tells errors from warnings, the notices
# are printed, and neither the pid file nor the log of a running nginx is
# touched.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use Test::More;

use Harness;

my $t = Harness->new(modules => [ 'ngx_http_aggregate_module',
                                  'ngx_http_breaker_module' ]);

my $d = $t->testdir;
my $build = "$FindBin::Bin/../build.sh";

$ENV{ASAN_OPTIONS} ||= 'detect_odr_violation=0:detect_leaks=0';

$t->plan(20);

# as an operator writes it: the modules by load_module, relative names
my $load = join '', map { "load_module $_;\n" } $t->expand('%%GLOBALS%%')
    =~ /^load_module (\S+);/mg;

my $location = 'location = /a { aggregate { backend b /b/ { } } }';
my $part = 'location /b/ { internal; proxy_pass http://127.0.0.1:1; }';

my ($status, $output) = check("$load", "$location $part");

is($status, 0, 'clean');
like($output, qr/site\.conf test is successful/, 'names the file');
unlike($output, qr/warn|notice|emerg/, 'says no more');

($status, $output) = check($load, "$location\nlocation /b/ { "
                           . 'proxy_pass http://127.0.0.1:1; }');

is($status, 0, 'a notice is clean');

# before it has "-e", nginx prints warnings and nothing below
like($output, $t->older('1.19.5') ? qr/is successful/
     : qr/\[notice\] location "\/b\/" .* in \S+site\.conf:\d+$/m,
     'and is printed');

($status, $output) = check($load, $location);

is($status, 2, 'a warning');
like($output, qr/\[warn\] no location .* in \S+site\.conf:\d+$/m,
     'and is printed');

($status, $output) = check($load, 'aggregte_debug $x;');

is($status, 1, 'an error');
like($output, qr/\[emerg\] unknown directive .*site\.conf:\d+$/m,
     'and is printed');

($status, $output) = check($load, 'aggregate_cach z;');

is($status, 1, 'a misspelled name of ours');
like($output, qr/did you mean "aggregate_cache" instead of "aggregate_cach"/,
     'and the right one');

# a pid file and a log of the configuration's own
$t->write_file('own.pid', '12345');
($status, $output) = check("${load}pid $d/own.pid;\n", "$location $part");

is($status, 0, 'a pid file that is named');
is($t->read_file('own.pid'), '12345', 'is left alone');

# files beside the configuration
$t->write_file('s.graphql', 'type Query { a: Int @rest(get: "/b/") }');
$t->write_file('part.inc', "$part\n");
($status, $output) = check($load, 'location = /g { aggregate_graphql '
                           . 's.graphql { } } include part.inc;');

is($status, 0, 'names of files are relative to it') or diag($output);

# the modules of this tree, where none are loaded
delete $ENV{NGINX};

($status, $output) = check('', "$location $part");
is($status, 0, 'without load_module') or diag($output);

($status, $output) = check("load_module modules/ngx_http_aggregate_module.so;\n"
    . "load_module modules/ngx_http_breaker_module.so;\n",
    "$location $part");
is($status, 0, 'with load_module of what is not installed') or diag($output);

# what is no file
($status, $output) = run("$d/none.conf");
is($status, 1, 'no such file');
like($output, qr/no file "\S+none\.conf"/, 'says so');

($status, $output) = run();
is($status, 1, 'no argument');

is(join(" ", grep { -e } "$d/nginx.pid", "$d/modules"), "",
   'nothing is left behind');


sub check {
    my ($globals, $server) = @_;

    $t->write_file('site.conf', "${globals}error_log $d/site.log;\n"
        . "events { }\nhttp {\naccess_log off;\nserver {\n"
        . $t->expand("listen 127.0.0.1:%%PORT_0%%;\n$server\n}\n}\n"));

    local $ENV{NGINX} = $t->{binary} if $globals =~ m{load_module /};

    return run("$d/site.conf");
}


sub run {
    my $output = `$build check @_ 2>&1`;
    return ($? >> 8, $output);
}
