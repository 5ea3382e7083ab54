#!/usr/bin/perl

# An error that nginx makes of a backend's failure is never stored, whatever
# the backend had said before it failed, and takes the place of nothing good.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;

use Harness;

my $head = "HTTP/1.1 200 OK\r\nCache-Control: max-age=600\r\n"
    . "CDN-Cache-Control: max-age=600\r\nX-Accel-Expires: 600\r\n"
    . "Expires: Tue, 19 Jan 2038 03:14:07 GMT\r\n";

my %failures = (
    close    => [ [ send => $head ], [ 'close' ] ],
    reset    => [ [ send => $head ], [ 'reset' ] ],
    hang     => [ [ send => $head ], [ 'hang' ] ],
    bad      => [ [ send => $head . "X-Bad\0name: 1\r\n\r\nbody" ],
                  [ 'close' ] ],
    long     => [ [ send => $head . 'X-Long: ' . ('a' x 40000) . "\r\n\r\n" ],
                  [ 'close' ] ],
    none     => [ [ 'close' ] ],
    status   => [ [ send => "HTTP/1.1 200\r\nCache-Control: max-age=600\r\n" ],
                  [ 'close' ] ],
);

my @errors = (429, 408, 500, 501, 502, 503, 504, 520);
my @names = sort keys %failures;

my $t = Harness->new(plan => 6 * @names + 3 * @errors + 8);

my $good = { body => 'good', headers =>
             [ 'Cache-Control' =>
               'max-age=1, stale-while-revalidate=60, stale-if-error=600' ] };

my %table = ('/own' => { status => 503, body => 'own', headers =>
                         [ 'Cache-Control' => 'max-age=60' ] },
             '/gone' => $good);

for my $name (@names) {
    $table{"/miss/$name"} = { steps => $failures{$name} };
    $table{"/valid/$name"} = { steps => $failures{$name} };
    $table{"/stale/$name"} = $good;
    $table{"/update/$name"} = $good;
}

for my $status (@errors) {
    $table{"/stale/$status"} = $good;
    $table{"/update/$status"} = $good;
}

my $b = $t->backend('api', %table);

$t->run(<<'EOF');

%%GLOBALS%%

events {
}

http {
    %%HTTP%%

    aggregate_cache_zone  api 4m;
    log_format  reason  '$uri $aggregate_cache_status $aggregate_cache_reason';

    server {
        listen       127.0.0.1:%%PORT_0%%;
        server_name  localhost;

        aggregate_cache  api;
        access_log  %%TESTDIR%%/reason.log reason;

        proxy_read_timeout   300ms;
        proxy_next_upstream  off;

        location / {
            proxy_pass  http://127.0.0.1:%%PORT_api%%;
        }

        location /valid/ {
            aggregate_cache_valid  any 60s;
            aggregate_cache_ttl    / 60s;
            proxy_pass  http://127.0.0.1:%%PORT_api%%;
        }

        location /missing/ {
            aggregate_cache_valid  any 60s;
            root  %%TESTDIR%%;
        }
    }
}

EOF

# nothing is stored

for my $name (@names) {
    for my $where ('miss', 'valid') {
        my $first = http_get("/$where/$name");

        cmp_ok($first->status, '>=', 500, "$where, $name");
        is(http_get("/$where/$name")->header('X-Cache'), 'MISS',
           "$where, $name, not stored");
    }
}

# what the backend itself says is

http_get('/own');
is(http_get('/own')->header('X-Cache'), 'HIT', "the backend's own 503");

# nor does an error take the place of a good entry

my @uris = ((map { "stale/$_" } @names, @errors),
            (map { "update/$_" } @names, @errors));

http_get("/$_") for @uris, 'gone';

my $filled = time();

# once its second is over, and so are the seconds for stale-while-revalidate

for my $name (@names) {
    $b->set("/stale/$name" => { steps => $failures{$name} });
    $b->set("/update/$name" => { steps => $failures{$name} });
}

for my $status (@errors) {
    my $error = { status => $status, body => 'error', headers =>
                  [ 'Cache-Control' => 'max-age=600' ] };

    $b->set("/stale/$status" => $error);
    $b->set("/update/$status" => $error);
}

$b->clear;

# on a busy machine the first one is stale before the last one is

ok(wait_for(sub { time() - $filled > 2
                  && http_get('/update/' . $names[0])->header('X-Cache')
                     eq 'STALE' }, slow(5)), 'stale');

for my $name (@names, @errors) {
    my $r = http_get("/update/$name");

    is($r->header('X-Cache') . $r->body, 'STALEgood', "refreshed, $name");
    ok(wait_for(sub { http_get("/update/$name");
                      $b->count("/update/$name") }, 5), "asked, $name");
}

# each refresh has ended by then

ok(wait_for(sub { !$b->stats->{active} }, 5), 'all have ended');

for my $name (@errors) {
    my $r = http_get("/update/$name");

    is($r->header('X-Cache') . $r->body, 'STALEgood',
       "still there after the refresh, $name");
}

# a file that is not there is an error of nginx, too

http_get('/missing/a');
is(http_get('/missing/a')->header('X-Cache'), 'MISS', 'a 404 of nginx');

my $log = $t->read_file('reason.log');

like($log, qr{^/miss/close MISS error$}m, 'reason: error');
like($log, qr{^/missing/a MISS error$}m, 'reason: error, a file');
like($log, qr{^/own HIT -$}m, 'reason: none');
unlike($log, qr{incomplete}, 'reason: nothing is cut');
