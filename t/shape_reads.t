#!/usr/bin/perl

# Large responses that are shaped, and those of parts, are read in large pieces,
# and a rate that limits how they are read still does so.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;

use Harness;
use Harness::Aggregate;

my $t = Harness->new(modules => ['ngx_http_aggregate_module'],
                     log_level => 'debug');

my $body = '[' . join(',', map { qq({"a":$_,"b":"@{[ 'x' x 100 ]}"}) }
                      1 .. 1000) . ']';
my $shaped = '[' . join(',', map { qq({"a":$_}) } 1 .. 1000) . ']';
my $small = '[{"a":1,"b":2}]';

my $chunks = join '', map { sprintf "%x\r\n%s\r\n", length, $_ }
    $body =~ /(.{1,10000})/gs;

$t->backend('b', '/length' => $body, '/small' => $small,
    '/chunked' => { steps => [ [ send => "HTTP/1.1 200 OK\r\nContent-Type: "
        . "application/json\r\nTransfer-Encoding: chunked\r\n\r\n${chunks}0"
        . "\r\n\r\n" ], [ 'done' ] ] },
    '/error' => { status => 500, body => $body });

$t->plan(21);

serve($t, http => q{
    aggregate_shape a { allow [].a; }
    proxy_buffer_size 4k;
    proxy_buffers 8 4k;
}, server => q{
    location /shape/ { aggregate_apply a;
        proxy_pass http://127.0.0.1:%%PORT_b%%/; }
    location /part/ { aggregate { backend p /b$uri { allow [].a; } } }
    location /b/part/ { internal; proxy_pass http://127.0.0.1:%%PORT_b%%/; }
    location /rate/ { aggregate_apply a; proxy_limit_rate 100k;
        proxy_pass http://127.0.0.1:%%PORT_b%%/; }
    location /page/ { aggregate_apply a; proxy_intercept_errors on;
        error_page 500 =200 /shape/small;
        proxy_pass http://127.0.0.1:%%PORT_b%%/; }
});


# reads of more than 4 KB, of 4 KB, and into several buffers
sub reads {
    my ($uri) = @_;

    my $before = length $t->error_log;
    my $r = http_get($uri);
    my $log = substr $t->error_log, $before;

    my @size = $log =~ /recv: fd:\d+ -?\d+ of (\d+)/g;
    my $readv = () = $log =~ /readv: /g;

    return ($r, scalar(grep { $_ > 4096 } @size),
            scalar(grep { $_ == 4096 } @size), $readv);
}


for my $way (qw(length chunked)) {
    my ($r, $large, $small, $readv) = reads("/shape/$way");

    ok($r->body eq $shaped, "$way: shaped");
    cmp_ok($large, '>=', 1, "$way: large pieces");
    cmp_ok($large, '<=', 16, "$way: few of them");
    cmp_ok($small, '<=', 2, "$way: the header's buffer");
    is($readv, 0, "$way: one buffer");

    ($r, $large, $small) = reads("/part/$way");

    ok($r->body eq qq({"p":$shaped}), "$way: a part");
    cmp_ok($large, '>=', 1, "$way: a part's large pieces");
    cmp_ok($small, '<=', 2, "$way: a part's header");
}

# a small one does not need it

my ($r, $large) = reads('/shape/small');
is($r->body, '[{"a":1}]', 'small');
is($large, 0, 'small: one read');

# nor an error page's response, which comes from another place

($r) = reads('/page/error');
is($r->body, '[{"a":1}]', 'an error page');

$r = http_get('/rate/length');
ok($r->body eq $shaped, 'proxy_limit_rate');
cmp_ok($r->time, '>=', 0.5, 'it limits');
