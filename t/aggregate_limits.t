# max_body_size, max_response_size: to the byte, and without reading on.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use Test::More;

use Harness;
use Harness::Aggregate;

my $t = Harness->new(modules => ['ngx_http_aggregate_module']);

# a JSON string of N bytes, its quotes included
sub text { return '"' . 'x' x ($_[0] - 2) . '"' }

my $b = $t->backend('b',
    '/1' => '1',
    '/n/' => sub { { body => text($_[0]{path} =~ m{(\d+)$}) } },
    '/chunked/' => sub { { body => text($_[0]{path} =~ m{(\d+)$}),
                           chunked => 1 } },
    '/close/' => sub { { body => text($_[0]{path} =~ m{(\d+)$}),
                         length => undef } },
    '/drip/' => sub { { body => text($_[0]{path} =~ m{(\d+)$}), drip => 0.001,
                        drip_bytes => 100 } },
    '/10m' => { body => text(10_000_000) },
    '/10mchunked' => { body => text(10_000_000), chunked => 1 },
    '/endless' => { endless => 'x' x 1000, body => '"' },
    '/spaces' => { body => ' ' x 3000 . '1' },
    '/target' => { body => '{"a":1,"b":"' . 'x' x 3000 . '"}' },
    '/chunkedtarget' => { body => '{"a":1,"b":"' . 'x' x 3000 . '"}',
                          chunked => 1 },
    '/lie' => { body => '1', length => 10_000_000, after => 'hang' },
    '/500' => { status => 500, body => 'x' x 5000 },
);

sub got { return "200 complete {\"a\":" . text($_[0]) . '}' }

my @ways = ('n', 'chunked', 'close', 'drip');

my @cases = (
    (map { [ "max_body_size, $_, just within",
             "max_body_size 1000; backend a /b/$_/1000 { }", got(1000) ],
           [ "max_body_size, $_, one more",
             "max_body_size 1000; backend a /b/$_/1001 { }",
             '502 {"a":"too_large"}' ],
           [ "max_body_size 64k, $_, just within",
             "timeout 20s; max_body_size 64k;
             backend a /b/$_/65536 { }", got(65536) ],
           [ "max_body_size 64k, $_, one more",
             "timeout 20s; max_body_size 64k;
             backend a /b/$_/65537 { }",
             '502 {"a":"too_large"}' ] } @ways),

    [ '1m by default, just within', 'backend a /b/n/1048576 { }',
      got(1048576) ],
    [ '1m by default, one more', 'backend a /b/n/1048577 { }',
      '502 {"a":"too_large"}' ],
    [ 'ten megabytes', 'backend a /b/10m { } backend b /b/1 { }',
      '200 partial:a {"b":1}' ],
    [ 'ten megabytes, chunked',
      'backend a /b/10mchunked { } backend b /b/1 { }',
      '200 partial:a {"b":1}' ],
    [ 'ten megabytes are fine when they are allowed',
      'timeout 20s; max_body_size 11m; max_response_size 11m;
       backend a /b/10m { }', got(10_000_000) ],
    [ 'endless', 'timeout 20s; backend a /b/endless { } backend b /b/1 { }',
      '200 partial:a {"b":1}' ],
    [ 'a length that is a lie', 'timeout 20s; backend a /b/lie { }
      backend b /b/1 { }', '200 partial:a {"b":1}' ],
    [ 'white space counts', 'max_body_size 2k; backend a /b/spaces { }',
      '502 {"a":"too_large"}' ],
    [ 'what target leaves out counts',
      'max_body_size 2k; backend a /b/target { target a; }',
      '502 {"a":"too_large"}' ],
    [ 'to the byte with target, just within',
      'max_body_size 3014; backend a /b/chunkedtarget { target a; }',
      '200 complete {"a":1}' ],
    [ 'to the byte with target, one more',
      'max_body_size 3013; backend a /b/chunkedtarget { target a; }',
      '502 {"a":"too_large"}' ],
    [ 'a static file', 'max_body_size 1000; backend a /files/1001 { }',
      '502 {"a":"too_large"}' ],
    [ 'a static file, just within', 'max_body_size 1000;
      backend a /files/1000 { }', got(1000) ],
    [ 'a static file of megabytes', 'backend a /files/5m { }
      backend b /b/1 { }', '200 partial:a {"b":1}' ],
    [ 'an answer of return', 'max_body_size 100; backend a /return { }',
      '502 {"a":"too_large"}' ],
    [ 'unbuffered', 'backend a /unbuffered/10m { } backend b /b/1 { }',
      '200 partial:a {"b":1}' ],
    [ 'a default', 'max_body_size 1000; backend a /b/n/2000 { default 0; }',
      '200 partial:a {"a":0}' ],
    [ 'required', 'max_body_size 1000; backend a /b/n/2000 { required; }
      backend b /b/1 { }', qr/^502 \{"a":"too_large"/ ],
    [ 'each part has its own', 'max_body_size 1000; backend a /b/n/900 { }
      backend b /b/n/900 { }',
      '200 complete {"a":' . text(900) . ',"b":' . text(900) . '}' ],
    [ 'a body that is not accepted does not matter',
      'max_body_size 1000; backend a /b/500 { } backend b /b/1 { }',
      '200 partial:a {"b":1}' ],

    [ 'max_response_size, just within', 'max_response_size 1000;
      backend a /b/n/494 { } backend b /b/n/494 { }',
      '200 complete {"a":' . text(494) . ',"b":' . text(494) . '}' ],
    [ 'max_response_size, one more', 'max_response_size 1000;
      backend a /b/n/496 { } backend b /b/n/496 { }', qr/^502 / ],
    [ 'max_subrequests, to the last one', 'max_subrequests 2;
      backend a /b/1 { } backend b /b/1 { } backend c /b/1 { }',
      '200 partial:c {"a":1,"b":1}' ],
    [ 'max_response_size, to the byte', 'max_response_size 999;
      backend a /b/n/494 { } backend b /b/n/494 { }',
      '200 complete {"a":' . text(494) . ',"b":' . text(494) . '}' ],
    [ 'max_response_size, by a byte', 'max_response_size 998;
      backend a /b/n/494 { } backend b /b/n/494 { }', qr/^502 / ],
    [ 'max_response_size 8m by default', 'max_body_size 10m; timeout 20s;
      backend a /b/n/8400000 { }', qr/^502 / ],
    [ 'many parts make it', 'max_response_size 64k;'
      . join('', map { "backend p$_ /b/n/9000 { }" } 1 .. 8), qr/^502 / ],
    [ 'a fan-out makes it', 'max_response_size 64k;
      backend v /list { hidden; }
      backend p /b/n/9000?${item.} { each v.; }',
      [ qr/^502 /, '200 partial:p {}' ] ],
    [ 'equal results of a fan-out make it, sent once as they are',
      'max_response_size 64k; backend v /list { hidden; }
      backend p /b/n/9000 { each v.; }',
      [ qr/^502 /, '200 partial:p {}' ] ],
    [ 'a default makes it', 'max_response_size 100;
      backend a /b/500 { default ' . "'\"" . 'x' x 200 . "\"'; }", qr/^502 / ],
    [ 'what is hidden or left out does not count',
      'max_response_size 100; backend a /b/n/5000 { hidden; }
       backend b /b/target { target a; }', '200 complete {"b":1}' ],
);

$t->plan(@cases + 8);

$t->write_file("html/files/$_", text($_)) for 1000, 1001;
$t->write_file('html/files/5m', text(5_000_000));

serve($t, cases => \@cases, server => q{
    location /files/ { internal; }
    location /return { internal; return 200 '%%TEXT%%'; }
    location /list { internal; return 200 '[1,2,3,4,5,6,7,8]'; }
    location /unbuffered/ { internal; proxy_buffering off;
        proxy_pass http://127.0.0.1:%%PORT_b%%/; }
    location /ten { aggregate { timeout 20s; backend a /b/10m { }
                                backend b /b/1 { } } }
} =~ s/%%TEXT%%/text(102)/er);

check($t, @cases);

# what is too large is not read to its end

$b->clear;
http_get('/ten') for 1 .. 3;
ok(wait_for(sub { $b->stats->{active} == 0 }, slow(3)), 'no request goes on');
is($b->stats->{aborted}, 3, 'each was left off early');

$b->clear;
my ($endless) = grep { $_->[0] eq 'endless' } @cases;
my $r = http_get(case_uri($endless));
cmp_ok($r->time, '<', slow(3), 'an endless body ends the part at once');
ok(wait_for(sub { $b->stats->{active} == 0 }, slow(3)), 'and its connection');

my ($lie) = grep { $_->[0] =~ /lie/ } @cases;
$r = http_get(case_uri($lie));
cmp_ok($r->time, '<', slow(3), 'a length over the limit is enough');

# the memory of a worker is bounded by the limits

my $before = $t->rss;
my @clients = map { $t->connect } 1 .. 8;
$_->request(GET => '/ten') for @clients;
is(scalar(grep { $_->response->status == 200 } @clients), 8, 'eight at once');
# (a sanitizer keeps for a while what was freed)
cmp_ok($t->rss - $before, '<', $ENV{TEST_NGINX_SLOW} ? 400_000 : 40_000,
       'memory');

# temporary files are not left behind
my @files = grep { -f } glob $t->testdir . '/temp_proxy/*/*/*';
is(scalar @files, 0, 'no temporary file');
