# Parts run in parallel, as many as concurrency allows.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use Test::More;

use Harness;
use Harness::Aggregate;

my $unit = slow(0.2);

my $t = Harness->new(modules => ['ngx_http_aggregate_module'], plan => 20);

my $b = $t->backend('b',
    '/slow/' => { body => '1', delay => $unit },
    '/ok/' => '2',
    '/no/' => { status => 500, delay => $unit },
);

sub parts {
    my ($n, $path, $more) = @_;
    return join "\n", map { "backend p$_ /b/$path/$_ { @{[$more || '']} }" }
        1 .. $n;
}

my $five = [ 'five', parts(5, 'slow'), undef ];
my $twelve = [ 'twelve', parts(12, 'slow'), undef ];
my $sixteen = [ 'default of concurrency', parts(20, 'slow'), undef ];
my $two = [ 'concurrency 2', 'concurrency 2;' . parts(6, 'slow'), undef ];
my $one = [ 'concurrency 1', 'concurrency 1; timeout 60s;'
            . parts(4, 'slow', 'timeout ' . int($unit * 1800) . 'ms;'), undef ];
my $failed = [ 'concurrency 1, failures', 'concurrency 1;'
               . parts(2, 'no') . 'backend last /b/ok/1 { }', undef ];
my $mixed = [ 'concurrency 2, short ones', 'concurrency 2;'
              . 'backend s /b/slow/1 { }'
              . join('', map { "backend q$_ /b/ok/$_ { }" } 1 .. 6), undef ];
my $many = [ 'sixty', 'concurrency 64; backend p0 /b/ok/0 { }'
             . parts(59, 'ok'), undef ];
my $limited = [ 'max_subrequests', 'max_subrequests 3;' . parts(4, 'ok'),
                undef ];

serve($t, cases => [ $five, $twelve, $sixteen, $two, $one, $failed, $mixed,
                     $many ]);


sub ask {
    my ($case) = @_;
    $b->clear;
    my $r = http_get(case_uri($case));
    return ($r, $r->time, [ $b->log ]);
}


# the most requests that were in flight at once, as the backend saw them
sub in_flight {
    my ($log) = @_;
    my $most = 0;

    for my $q (@$log) {
        my $n = grep { $_->{time} <= $q->{time}
                       && $_->{time} + $unit * 0.9 > $q->{time} } @$log;
        $most = $n if $n > $most;
    }

    return $most;
}


my ($r, $time, $log) = ask($five);
is(outcome($r), '200 complete {"p1":1,"p2":1,"p3":1,"p4":1,"p5":1}', 'five');
cmp_ok($time, '>=', $unit * 0.95, 'five take as long as one');
cmp_ok($time, '<', $unit * 2, 'and not longer');
is(in_flight($log), 5, 'all five at once');

($r, $time, $log) = ask($twelve);
is($r->status, 200, 'twelve');
cmp_ok($time, '<', $unit * 2, 'twelve take as long as one');

($r, $time, $log) = ask($sixteen);
is(in_flight($log), 16, 'sixteen at once by default');
cmp_ok($time, '>=', $unit * 1.9, 'the others wait');
cmp_ok($time, '<', $unit * 3, 'for a free place only');
is(scalar @$log, 20, 'and all are sent');

($r, $time, $log) = ask($two);
is(outcome($r), '200 complete {' . join(',', map { "\"p$_\":1" } 1 .. 6) . '}',
   'concurrency 2');
is(in_flight($log), 2, 'two at once');
cmp_ok($time, '>=', $unit * 2.9, 'in three rounds');

($r, $time, $log) = ask($one);
is(outcome($r), '200 complete {"p1":1,"p2":1,"p3":1,"p4":1}',
   'a part\'s deadline counts from its start');
is(in_flight($log), 1, 'one at once');
cmp_ok($time, '>=', $unit * 3.9, 'one after the other');

($r, $time, $log) = ask($failed);
is(outcome($r), '200 partial:p1, p2 {"last":2}', 'failures free their places');

($r, $time, $log) = ask($mixed);
cmp_ok($time, '<', $unit * 1.9, 'short parts pass a slow one');

($r, $time, $log) = ask($many);
is(scalar @$log, 60, 'sixty parts');

# more parts than may be sent: refused by nginx -t, or not sent
my ($ok, $output) = $t->test_config(configuration(cases => [ $limited ]));

if (!$ok) {
    like($output, qr/max_subrequests/, 'max_subrequests 3 and four parts');

} else {
    $t->reload(configuration(cases => [ $limited ]));
    ($r, $time, $log) = ask($limited);
    cmp_ok(scalar @$log, '<=', 3, 'max_subrequests 3 and four parts');
}
