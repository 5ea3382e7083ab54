# retry: more tries for GET and HEAD after connect or 502, 503, 504.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use Test::More;

use Harness;
use Harness::Aggregate;

my $t = Harness->new(modules => ['ngx_http_aggregate_module']);

my $fail = { status => 503, body => '"no"' };
my %again = (
    503 => $fail, 502 => { status => 502 }, 504 => { status => 504 },
    500 => { status => 500 }, 404 => { status => 404 },
    429 => { status => 429, headers => [ 'Retry-After' => 1 ] },
    close => { action => 'close' }, reset => { action => 'reset' },
    bad => '{', cut => { body => '{"a":1}', cut => 3 },
    half => { raw => "HTTP/1.1 200 OK\r\nX-A" },
    garbage => { raw => "HTTP/9.9 x\r\n\r\n" },
    gzip => { body => '1', gzip => 1 }, big => '"' . 'x' x 2000 . '"',
    slow => { delay => 10 }, mixed => { status => 502 },
);

# each is told by its query how often it fails first
my $b = $t->backend('b', '/once/' => sub {
    my ($what) = $_[0]{path} =~ m{/(\w+)$};
    our %count;
    return $count{ $_[0]{uri} }++ ? '"there"' : $again{$what};
}, '/twice/' => sub {
    my ($what) = $_[0]{path} =~ m{/(\w+)$};
    our %seen;
    return $seen{ $_[0]{uri} }++ > 1 ? '"there"' : $again{$what};
}, '/always/' => sub {
    my ($what) = $_[0]{path} =~ m{/(\w+)$};
    return $again{$what};
}, '/slow503' => { status => 503, delay => slow(0.4) }, '/1' => '1');

my $there = '200 complete {"a":"there"}';
my $n = 0;


# one part, its outcome, how many requests the backend has seen
sub row {
    my ($name, $path, $block, $wanted, $count, %o) = @_;
    $n++;
    my $first = $path =~ /\?/ ? "$path&n=$n" : "$path?n=$n";
    return [ $name, ($o{block} || '') . " backend a $first { $block }",
             $wanted, count => { $path =~ s{^/b}{}r => $count } ];
}

my @cases = (
    row('none by default', '/b/once/503', '', '502 {"a":"status"}', 1),
    row('retry 0', '/b/once/503', 'retry 0;', '502 {"a":"status"}', 1),
    row('status 503', '/b/once/503', 'retry 1;', $there, 2),
    row('status 502', '/b/once/502', 'retry 1;', $there, 2),
    row('status 504', '/b/once/504', 'retry 1;', $there, 2),
    row('closed', '/b/once/close', 'retry 1;', $there, 2),
    row('reset', '/b/once/reset', 'retry 1;', $there, 2),
    row('half a header', '/b/once/half', 'retry 1;', $there, 2),
    row('status 500', '/b/once/500', 'retry 3;', '502 {"a":"status"}', 1),
    row('status 404', '/b/once/404', 'retry 3;', '502 {"a":"status"}', 1),
    row('status 429', '/b/once/429', 'retry 3;', '502 {"a":"status"}', 1),
    row('no JSON', '/b/once/bad', 'retry 3;', '502 {"a":"invalid_json"}', 1),
    row('truncated', '/b/once/cut', 'retry 3;', '502 {"a":"truncated"}', 1),
    row('gzip', '/b/once/gzip', 'retry 3;', '502 {"a":"encoding"}', 1),
    row('too large', '/b/once/big', 'retry 3;', '502 {"a":"too_large"}', 1,
        block => 'max_body_size 1k;'),
    row('a deadline', '/b/once/slow', 'retry 3; timeout 80ms;',
        '504 {"a":"timeout"}', 1),
    row('two, of one that is enough', '/b/once/503', 'retry 2;', $there, 2),
    row('two, of two', '/b/twice/503', 'retry 2;', $there, 3),
    row('one, of two', '/b/twice/503', 'retry 1;', '502 {"a":"status"}', 2),
    row('three, in vain', '/b/always/503', 'retry 3;', '502 {"a":"status"}', 4),
    row('three, in vain, closed', '/b/always/close', 'retry 3;',
        '502 {"a":"connect"}', 4),
    row('HEAD', '/b/once/503', 'method HEAD; retry 1;',
        '200 complete {"a":null}', 2),
    row('POST', '/b/once/503', 'method POST; retry 3;',
        '502 {"a":"status"}', 1),
    row('accepted', '/b/once/503', 'accept 503; retry 3;',
        '200 complete {"a":"no"}', 1),
    row('required', '/b/once/503', 'required; retry 1;', $there, 2),
    row('a default', '/b/always/503', 'default 9; retry 1;',
        '200 partial:a {"a":9}', 2),
    row('string', '/b/once/503', 'encoding string; retry 1;',
        '200 complete {"a":"\"there\""}', 2),
    row('max_subrequests', '/b/always/503', 'retry 10;',
        qr/^502 \{"a":"\w+"\}$/, 3, block => 'max_subrequests 3;'),
    row('within its deadline', '/b/slow503', 'retry 10; timeout '
        . int(slow(1000)) . 'ms;', '504 {"a":"timeout"}', 3,
        block => 'timeout 30s;'),
    row('within the block\'s deadline', '/b/slow503', 'retry 10;',
        '504 {"a":"timeout"}', 3,
        block => 'timeout ' . int(slow(1000)) . 'ms;'),
);

my $others = [ 'others', 'timeout 10s; backend a /b/always/503?o { retry 2; }
    backend b /b/once/503?o { retry 2; } backend c /b/1 { }',
    '200 partial:a {"b":"there","c":1}',
    count => { '/always/503' => 3, '/once/503' => 2, '/1' => 1 } ];
my $dependent = [ 'a dependent waits for the last try',
    'backend v /b/twice/503?d { retry 2; } backend a /b/once/502?v=${v.} {
     retry 1; }', '200 complete {"v":"there","a":"there"}',
    count => { '/twice/503' => 3, '/once/502' => 2 } ];
my $headers = [ 'the same again',
    'backend a /b/once/503?h { retry 1; header X-A b; }', $there ];
my $refused = [ 'refused', 'backend a /dead/x { retry 2; }
    backend b /b/1 { }', '200 partial:a {"b":1}' ];
my $own = [ 'nginx\'s own 504', 'backend a /short/once/slow { retry 1; }',
            $there, count => { '/once/slow' => 2 } ];

$t->plan(@cases + 8);

serve($t, cases => [ @cases, $others, $dependent, $headers, $refused, $own ],
    server => q{
    location /short/ { internal; proxy_pass http://127.0.0.1:%%PORT_b%%/;
                       proxy_read_timeout 80ms; }
});

check($t, @cases, $others, $dependent, $refused, $own);

$b->clear;
check($t, $headers);
my @q = $b->log;
is($q[0]{head}, $q[1]{head}, 'the request is the same');

$b->clear;
my $r = http_get(case_uri($cases[-1]));
cmp_ok($r->time, '<', slow(2), 'in time');
wait_for(sub { $b->stats->{active} == 0 }, slow(2));
select undef, undef, undef, slow(0.5);
is($b->count, 3, 'and no try after that');
