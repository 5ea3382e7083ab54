# aggregate_log_level, aggregate_expose, and the line that a failed part leaves.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use Test::More;

use Harness;
use Harness::Aggregate;

my $t = Harness->new(modules => ['ngx_http_aggregate_module'],
                     log_level => 'info');

my $b = $t->backend('b', '/1' => '1', '/503' => { status => 503 },
    '/bad' => '{"a":SECRET}', '/slow' => { delay => 10 },
    '/html' => { type => 'text/html', body => '<html></html>' },
    '/cut' => '{"a":', '/stuck' => { body => '{"a":1}', body_delay => 10 },
    '/list' => '{"items":[{"p":"1"},{"p":"503"},{}]}');

# a block, and the line
my @lines = (
    [ 'backend a /b/503?token=SECRET { retry 1; }',
      qr{\[error\].*"a" failed: status, status 503, after \d+ms, }
        . q{subrequest "/b/503", 2 tries, upstream "127\.0\.0\.1:\d+"} ],
    [ 'backend a /b/bad { }',
      qr/"a" failed: invalid_json, .*, unexpected is a letter at byte 5/ ],
    [ 'backend a /b/html { }',
      qr{"a" failed: invalid_json, .*, type "text/html", .*"<", as HTML}
        . ' begins at byte 0' ],
    [ 'backend a /b/cut { }',
      qr/"a" failed: invalid_json, .*, unexpected is the end at byte 5/ ],
    [ 'backend a /b/slow { }',
      qr/"a" failed: timeout, status -, .*waited for the response header/ ],
    [ 'backend a /b/stuck { }',
      qr/"a" failed: timeout, .*waited for the body/ ],
    [ 'backend a /dead/x { }',
      qr/"a" failed: connect, status -, .*upstream "127\.0\.0\.1:\d+"/ ],
    [ 'backend v /b/slow { hidden; } backend a /b/${v.} { }',
      qr/"a" failed: timeout, status -, after 0ms, while it waited for "v"/ ],
    [ 'backend v /b/list { } backend a /b/${v.x.y} { }',
      qr/"a" failed: dependency, .*, "\.x\.y" of "v" has no value for it/ ],
    [ 'backend v /b/list { } backend a /b/${item.p} { each v.items; }',
      qr{"a" failed for 2 of 3 elements, the first: status, status 503, .*}
        . q{subrequest "/b/503"} ],
    [ 'backend a /b/$arg_none { }', qr/"a" failed: bad_uri, status -/ ],
);

my @blocks = map { [ $_->[0], "timeout 150ms; backend one /b/1 { } $_->[0]",
                     undef ] } @lines;
my @levels = map { [ "level $_", 'backend one /b/1 { } backend a /b/503 { }',
                     '200 partial:a {"one":1}',
                     location => "aggregate_log_level $_;" ] }
    qw(error warn notice info);
my @hidden = (
    [ 'hidden', 'backend one /b/1 { } backend a /b/503 { }', undef,
      location => 'aggregate_expose off;' ],
    [ 'hidden, failed', 'backend one /b/1 { } backend a /b/503 { required; }',
      undef, location => 'aggregate_expose off;' ],
    [ 'hidden, complete', 'backend one /b/1 { }', '200 complete {"one":1}',
      location => 'aggregate_expose off;' ],
);

$t->plan(@lines + 2 * @levels + 8);

serve($t, cases => [ @blocks, @levels, @hidden ]);

for my $i (0 .. $#lines) {
    $t->mark_log;
    http_get(case_uri($blocks[$i]));
    ok($t->wait_log(qr/$lines[$i][1]/), "line: $lines[$i][0]")
        or diag(join "\n", $t->grep_log(qr/aggregate backend/));
}

ok(!$t->grep_log(qr/failed: .*SECRET.*client:/), 'nothing secret in them');

for my $case (@levels) {
    my ($level) = $case->[0] =~ /(\w+)$/;
    $t->mark_log;
    check($t, $case);
    ok($t->wait_log(qr/\[$level\].*aggregate backend "a" failed/), $case->[0]);
}

my $r = http_get(case_uri($hidden[0]));
is($r->header('X-Aggregate'), 'partial', 'no names in X-Aggregate');
is($r->body, '{"one":1}', 'the answer is the same');
$r = http_get(case_uri($hidden[1]));
is($r->status, 503, 'a problem');
is(join(' ', sort $r->body =~ /"(\w+)":/g), 'status title', 'without names');
check($t, $hidden[2]);

# one line a second for a part and a reason, and then how many there were
$t->mark_log;
my $asked = 0;
my $counted = Harness::wait_for(sub {
    http_get(case_uri($levels[0]));
    $asked++;
    return $t->grep_log(qr/"a" failed: status, .*, and \d+ more since/);
}, Harness::slow(10));
ok($counted, 'lines that were held back are counted');
my $written = () = $t->grep_log(qr/"a" failed: status/);
cmp_ok($written, '<', $asked, "$written lines for $asked failures");
