# Variables for logs, and Server-Timing by aggregate_debug.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use Test::More;

use Harness;
use Harness::Aggregate;

my $t = Harness->new(modules => ['ngx_http_aggregate_module'], plan => 59);

my $b = $t->backend('b',
    '/1' => '1', '/o' => '{"id":5}',
    '/slow' => { delay => 20 }, '/0.1' => { body => '2', delay => slow(0.1) },
    '/500' => { status => 500 }, '/404' => { status => 404 }, '/bad' => '{',
    '/201' => { status => 201, body => '3' },
    '/list' => '[1,2,3]', '/e/' => '1',
    '/k1' => { body => '1', headers => [ 'Surrogate-Key' => 'user-1 all' ] },
    '/k2' => { body => '2', headers => [ 'Surrogate-Key' => 'all  item-2',
                                         'Surrogate-Key' => 'item-3' ] },
    '/k5' => { status => 500, headers => [ 'Surrogate-Key' => 'failed' ] },
);

my $short = 'timeout ' . int(slow(60)) . 'ms;';

serve($t, http => q{
    log_format agg '$uri|$status|$aggregate_status|$aggregate_backends|'
                   '$aggregate_backend_status|$aggregate_backend_time|'
                   '$aggregate_backend_reason|$aggregate_tags|$request_time';
    access_log %%TESTDIR%%/agg.log agg;
    map $arg_debug $debug { default ''; yes 1; zero 0; off off; }
}, server => qq{
    location /complete { aggregate { backend a /b/1 { } backend b /b/0.1 { }
                                     backend c /b/201 { } } }
    location /partial { aggregate {
        backend a /b/500 { } backend b /b/1 { } backend c /b/slow { $short }
        backend d /dead/x { default 1; } backend e /b/bad { hidden; }
        backend f /b/x?\${e.x} { } backend g /b/1 { if \$arg_no; }
        backend h /b/\$arg_no/x { } } }
    location /failed { aggregate { backend a /b/404 { required; }
                                   backend b /b/slow { } } }
    location /skipped { aggregate { backend a /b/1 { if \$arg_no; } } }
    location /chain { aggregate { backend a /b/0.1 { }
                                  backend b /b/0.1?\${a.} { } } }
    location /each { aggregate { backend a /b/list { hidden; }
                                 backend b /b/e/\${item.} { each a.; } } }
    location /retry { aggregate { backend a /b/500 { }
                                  backend b /b/1 { retry 2; } } }
    location /tags { aggregate { backend a /b/k1 { } backend b /b/k2 { }
                                 backend c /b/k5 { } backend d /b/1 { } } }
    location /none { return 200 "none"; }
    location /refused { aggregate { backend a /b/1 { } } }
    location /gone { aggregate { timeout 20s; backend a /b/1 { }
                                 backend b /b/slow { }
                                 backend c /b/x?\${b.} { } } }
    location /header {
        add_header X-Status \$aggregate_status;
        add_header X-Backends \$aggregate_backends;
        aggregate { backend a /b/1 { } backend b /b/500 { } }
    }

    location /debug {
        aggregate_debug \$arg_debug;
        aggregate { backend a /b/0.1 { } backend b /b/1 { as x; }
                    backend c /b/slow { $short } backend d /b/500 { }
                    backend e /b/1 { hidden; } backend f /b/1 { if \$arg_no; }
                    backend g /b/bad { } }
    }
    location /debug2 { aggregate_debug \$debug;
                       aggregate { backend a /b/1 { } } }
    location /debug/failed {
        aggregate_debug \$arg_debug;
        aggregate { backend a /b/404 { required; } }
    }
});


my $seen = 0;

# the log line of a request, split
sub line {
    my ($uri, %o) = @_;

    my $r = $o{sent} ? undef : http_request($o{method} || 'GET', $uri);
    $seen++;

    my @lines;
    wait_for(sub {
        @lines = split /\n/, $t->read_file('agg.log');
        @lines >= $seen;
    }, slow(3));

    my %line;
    @line{qw(uri status aggregate backends code time reason tags total)}
        = split /\|/, $lines[-1] || '', -1;
    # a blank after the comma is a matter of taste
    s/, +/,/g for values %line;
    return (\%line, $r);
}


my ($l) = line('/complete');
is($l->{aggregate}, 'complete', 'complete');
is($l->{backends}, 'a,b,c', 'backends');
is($l->{code}, '200,200,201', 'statuses');
like($l->{time}, qr/^\d+\.\d{3},\d+\.\d{3},\d+\.\d{3}$/, 'times');
is($l->{reason}, '-,-,-', 'no reasons');
my @times = split /,/, $l->{time};
cmp_ok($times[1], '>=', slow(0.095), 'the time of a slow one');
cmp_ok($times[0], '<', $times[1], 'and of a quick one');
is($l->{tags}, '', 'no tags');

($l) = line('/partial');
is($l->{aggregate}, 'partial', 'partial');
is($l->{backends}, 'a,b,c,d,e,f,g,h', 'backends');
is($l->{reason}, 'status,-,timeout,connect,invalid_json,dependency,-,bad_uri',
   'reasons');
like($l->{code}, qr/^500,200,-,-,200,-,-,-$/, 'statuses');
like($l->{time}, qr/^(?:\d+\.\d{3},){5}-,-,-$/, 'times');

($l) = line('/failed');
is($l->{aggregate}, 'failed', 'failed');
is($l->{status}, 404, 'its status');
is($l->{reason}, 'status,cancelled', 'reasons');
is($l->{backends}, 'a,b', 'backends');

($l) = line('/skipped');
is(join('|', @$l{qw(aggregate backends code time reason)}),
   'complete|a|-|-|-', 'skipped');

($l) = line('/chain');
@times = split /,/, $l->{time};
cmp_ok($times[1], '<', slow(0.17), 'a part\'s time counts from its start');
cmp_ok($times[1], '>=', slow(0.095), 'to its end');
cmp_ok($l->{total}, '>=', slow(0.19), 'the request\'s is longer');

($l) = line('/each');
is($l->{backends}, 'a,b', 'each: backends');
like($l->{code}, qr/^200,200$/, 'each: one status');
like($l->{time}, qr/^\d+\.\d{3},\d+\.\d{3}$/, 'each: one time');

($l) = line('/tags');
is(join(' ', sort split /[ ,]+/, $l->{tags}), 'all item-2 item-3 user-1',
   'tags: the union');

($l) = line('/none');
is($_, '-', 'not an aggregate')
    for map { length $_ ? $_ : '-' } @$l{qw(aggregate backends code time)};

($l) = line('/refused', method => 'POST');
is($l->{status}, 405, 'refused');
like($l->{aggregate}, qr/^(?:-|failed|)$/, 'refused: status');
unlike($l->{code}, qr/\d/, 'refused: no status of a backend');

my $c = $t->connect;
$c->request(GET => '/gone');
wait_for(sub { $b->stats->{active} == 1 }, slow(2));
$c->close;
($l) = line('/gone', sent => 1);
is($l->{status}, 499, 'the client has gone');
is($l->{aggregate}, 'failed', 'the client has gone: failed');
like($l->{reason}, qr/^(?:-|cancelled),cancelled,(?:-|cancelled)$/,
     'the client has gone: cancelled');
like($l->{time}, qr/^\d+\.\d{3},\d+\.\d{3},-$/, 'the client has gone: times');

my $r;
($l, $r) = line('/header');
is($r->header('X-Status'), 'partial', 'a variable in a header');
like($r->header('X-Backends'), qr/^a, ?b$/, 'another one');

# Server-Timing

is(http_get('/debug')->header('Server-Timing'), undef, 'no aggregate_debug');
is(http_get('/debug?debug=0')->header('Server-Timing'), undef, '0');
is(http_get('/debug?debug=')->header('Server-Timing'), undef, 'empty');
is(http_get('/debug2?debug=zero')->header('Server-Timing'), undef, 'mapped: 0');
is(http_get('/debug2?debug=none')->header('Server-Timing'), undef,
   'mapped: empty');
like(http_get('/debug2?debug=off')->header('Server-Timing'), qr/^a;dur=/,
     'mapped: another value');
like(http_get('/debug?debug=00')->header('Server-Timing'), qr/^a;dur=/, '00');

$r = http_get('/debug?debug=1');
my @entries = split /, /, join ', ', $r->headers('Server-Timing');
my %entry = map { /^(\w+);(.*)$/ ? ($1 => $2) : ($_ => '') } @entries;
is(join(' ', grep { !/^f/ } map { /^(\w+)/ } @entries), 'a b c d e g',
   'declared order, by name') or diag($r->head);
like($entry{a}, qr/^dur=\d+\.\d$/, 'a part');
cmp_ok(($entry{a} =~ /dur=([\d.]+)/)[0], '>=', slow(95), 'in milliseconds');
like($entry{b}, qr/^dur=\d+\.\d$/, 'its name, not its key');
like($entry{c}, qr/^dur=\d+\.\d;desc="timeout"$/, 'the reason');
like($entry{d}, qr/^dur=\d+\.\d;desc="status"$/, 'another');
like($entry{g}, qr/^dur=\d+\.\d;desc="invalid_json"$/, 'a third');
ok(!exists $entry{f} || $entry{f} !~ /desc="[^"]*(?:fail|status)/,
   'a skipped part has not failed');

$r = http_get('/debug/failed?debug=1');
is($r->status, 404, 'an error');
like($r->header('Server-Timing') || 'a;dur=0.0;desc="status"',
     qr/^a;dur=\d+\.\d;desc="status"$/, 'an error\'s, if any');

# inherited from server and http, and switched off

my $aggregate = 'aggregate { backend a /b/1 { } }';
$t->reload(configuration(http => 'aggregate_debug $arg_x;', server => qq{
    location /inherited { $aggregate }
    location /own { aggregate_debug \$arg_y; $aggregate }
})) or die;
ok(http_get('/inherited?x=1')->header('Server-Timing'), 'from http');
ok(!http_get('/own?x=1')->header('Server-Timing'), 'overridden');
ok(http_get('/own?y=1')->header('Server-Timing'), 'by another');
$t->reload(configuration(server => qq{
    aggregate_debug \$arg_x;
    location /inherited { $aggregate }
})) or die;
ok(http_get('/inherited?x=1')->header('Server-Timing'), 'from server');
