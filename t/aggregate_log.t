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

# bodies that are not JSON: what was found where, and what belongs there
my @bodies = (
    [ '[1,2', 'the end of the body at byte 4 where "," or "]" must follow' ],
    [ '{"a":[1,2',
      'the end of the body at byte 9 where "," or "]" must follow' ],
    [ '{"a":1', 'the end of the body at byte 6 where "," or "}" must follow' ],
    [ '{"a" 1}', 'a digit at byte 5 where ":" must follow' ],
    [ '{a:1}', 'a letter at byte 1 where the name of a member or "}" must'
        . ' follow' ],
    [ '{"a":1,}', 'a bracket at byte 7 where the name of a member must begin' ],
    [ '[x]', 'a letter at byte 1 where a value must begin' ],
    [ '[1,]', 'a bracket at byte 3 where a value must begin' ],
    [ '[1 2]', 'a digit at byte 3 where "," or "]" must follow' ],
    [ '{"a":{"b":1]}', 'a bracket at byte 11 where "," or "}" must follow' ],
    [ '{"a":nul}', 'a bracket at byte 8 where true, false or null goes on' ],
    [ '{"a":-x}', 'a letter at byte 6 where a digit must follow' ],
    [ "{\"a\":\"b\n\"}",
      'a control character at byte 7 where a string goes on' ],
    [ '{"a":"\\x"}', 'a letter at byte 7 where an escape in a string goes on' ],
    [ "{\"a\":\"\xc3x\"}",
      'a letter at byte 7 where a UTF-8 character goes on' ],
    [ '1 2', 'a digit at byte 2 where the document has ended' ],
    [ '[' x 129 . ']' x 129,
      'a bracket at byte 128 where the depth exceeds 128' ],
);

my $b = $t->backend('b', '/1' => '1', '/503' => { status => 503 },
    '/bad' => '{"a":SECRET}', '/slow' => { delay => 10 },
    '/html' => { type => 'text/html', body => '<html></html>' },
    '/cut' => '{"a":', '/stuck' => { body => '{"a":1}', body_delay => 10 },
    '/list' => '{"items":[{"p":"1"},{"p":"503"},{}],"slash":"a/b"}',
    map { ("/json/$_" => { body => $bodies[$_][0] }) } 0 .. $#bodies);

# a block, and the line
my @lines = (
    [ 'backend a /b/503?token=SECRET { retry 1; }',
      qr{\[error\].*"a" failed: status, status 503, after \d+ms, }
        . q{subrequest "/b/503", 2 tries, upstream "127\.0\.0\.1:\d+"} ],
    [ 'backend a /b/bad { }',
      qr/"a" failed: invalid_json, .*, found a letter at byte 5 where a/
        . q{ value must begin} ],
    [ 'backend a /b/html { }',
      qr{"a" failed: invalid_json, .*, type "text/html", found "<", as HTML}
        . ' begins, at byte 0 where a value must begin' ],
    [ 'backend a /b/cut { }',
      qr/"a" failed: invalid_json, .*, found the end of the body at byte 5/
        . ' where a value must begin' ],
    [ 'backend a /b/slow { }',
      qr/"a" failed: timeout, status -, .*waited for the response header/ ],
    [ 'backend a /b/stuck { }',
      qr/"a" failed: timeout, .*waited for the body/ ],
    [ 'backend a /dead/x { }',
      qr/"a" failed: connect, status -, .*upstream "127\.0\.0\.1:\d+" while/ ],
    [ 'backend a /dead/x { retry 1; }',
      qr/\[warn\].*"a" failed: connect, status -, retrying/ ],
    [ 'backend v /b/slow { hidden; } backend a /b/${v.} { }',
      qr/"a" failed: timeout, status -, after 0ms, while it waited for "v"/ ],
    [ 'backend v /b/list { } backend a /b/${v.x.y} { }',
      qr/"a" failed: dependency, .*, "\.x\.y" of "v" has no value for it/ ],
    [ 'backend v /b/list { } backend a /b/${item.p} { each v.items; }',
      qr{"a" failed for 2 of 3 elements, the first: status, status 503, .*}
        . q{subrequest "/b/503"} ],
    [ 'backend a /b/$arg_none { }',
      qr/"a" failed: bad_uri, status -, .*, "\$arg_none" has a value that is /
        . 'not allowed there' ],
    [ 'backend v /b/list { } backend a /b/$uri/${v.slash} { }',
      qr/"a" failed: bad_uri, .*, "\.slash" of "v" has a value that is not/ ],
    [ 'backend a /b/list { header X "$cr"; }',
      qr/"a" failed: bad_uri, .*, "\$cr" has a value that is not allowed/ ],
);

for my $i (0 .. $#bodies) {
    my $found = qr/"a" failed: .*, found \Q$bodies[$i][1]\E(?: while|,)/;

    push @lines, [ "backend a /b/json/$i { }", $found ],
                 [ "backend a /b/json/$i { target x; }", $found ];
}

my @blocks = map { [ $_->[0], 'timeout '
                     . ($_->[0] =~ /slow|stuck/ ? '150ms' : '5s')
                     . "; backend one /b/1 { } $_->[0]", undef ] } @lines;
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

$t->plan(@lines + 2 * @levels + 10);

serve($t, cases => [ @blocks, @levels, @hidden ],
      http => q{map $uri $cr { default "a\\nb"; }});

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

# and the last ones are counted by a line of their own
$t->mark_log;
http_get(case_uri($levels[1])) for 1 .. 20;
ok($t->wait_log(qr/"a" failed: status, \d+ more since the last line/),
   'a count that no other line tells');

# or when the worker exits
$t->mark_log;
http_get(case_uri($levels[2])) for 1 .. 20;
$t->reload;
ok($t->wait_log(qr/"a" failed: status, \d+ more since the last line/),
   'a count that is left at the exit of a worker');
