#!/usr/bin/perl

# The zone: many keys, eviction, a full zone, reloads, other sizes, other
# policies, old and new workers side by side.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;
use Time::HiRes qw(sleep time);

use Harness;

my $t = Harness->new(modules => [ 'ngx_http_breaker_module' ]);

my $b = $t->backend('b',
    '/'     => 'fine',
    '/fail' => { status => 500 },
    '/slow' => { delay => 1, body => 'slow' },
    '/slowfail' => { delay => 1, status => 500 },
);

my $template = <<'EOC';

%%GLOBALS%%

worker_processes  2;

events {
    worker_connections  1024;
}

http {
    %%HTTP%%
    access_log  off;

    breaker_zone  z SIZE;
    breaker_zone  small 64k;

    breaker_policy p {
        failure_threshold  1;
        probes             1;
        POLICY
    }


    server {
        listen       127.0.0.1:%%PORT_0%%;
        server_name  localhost;

        location / {
            breaker     $arg_key zone=z policy=p;
            proxy_pass  http://127.0.0.1:%%PORT_b%%;
        }

        location /small/ {
            breaker     $arg_key zone=small policy=p;
            proxy_pass  http://127.0.0.1:%%PORT_b%%/;
        }

        location = /breakers {
            breaker_status;
        }

        BROKEN
    }
}

EOC

sub conf {
    my (%o) = @_;
    my $conf = $template;
    my $size = $o{size} || '1m';
    my $policy = $o{policy} || 'recovery_timeout 10m;';
    my $broken = $o{broken} || '';

    $conf =~ s/SIZE/$size/;
    $conf =~ s/POLICY/$policy/;
    $conf =~ s/BROKEN/$broken/;
    return $conf;
}

sub status { return http_get('/breakers')->json }

sub zone {
    my ($name) = @_;
    my ($zone) = grep { $_->{name} eq $name } @{ status()->{zones} };
    return $zone;
}

sub row {
    my ($key, $zone) = @_;
    $zone ||= 'z';
    return http_get("/breakers?zone=$zone&key=$key")->json->{breakers}[0];
}

# many requests on one connection, pipelined; how many had this status
sub burst {
    my ($status, @uris) = @_;
    my $n = 0;
    my $c = $t->connect;

    while (my @some = splice @uris, 0, 200) {
        $c->send(join '', map { "GET $_ HTTP/1.1\r\nHost: localhost\r\n\r\n" }
                 @some);

        my ($in, $until) = ('', time() + slow(30));

        while (time() < $until) {
            my $seen = () = $in =~ m{HTTP/1.1 \d\d\d .*?\r\n\r\n}sg;
            last if $seen == @some;
            $c->wait_io('can_read', $until);
            sysread $c->socket, $in, 1 << 20, length $in;
        }

        $n += () = $in =~ m{HTTP/1.1 $status }g;
    }

    close $c->socket;
    return $n;
}

$t->plan(42);
$t->run(conf());

# many keys in a small zone: the least recently used closed ones go

my $slots = zone('small')->{slots};
cmp_ok($slots, '>', 50, "$slots slots in 64k");

http_get('/small/fail?key=open');
is(row('open', 'small')->{state}, 'open', 'one is open');

is(burst(200, map { "/small/?key=tenant-$_" } 1 .. 10_000), 10_000,
   '10,000 keys: none refused');

my $zone = zone('small');

is($zone->{used}, $slots, '10,000 keys: full');
is($zone->{evicted}, 10_000 - $slots + 1, '10,000 keys: evicted');
is($zone->{refused}, 0, '10,000 keys: all were guarded');
is(row('open', 'small')->{state}, 'open', 'the open one is still there');
is(http_get('/small/?key=open')->status, 503, 'and rejects');
ok(row('tenant-10000', 'small'), 'so is the newest');
ok(!row('tenant-1', 'small'), 'the oldest is gone');

# a key in use stays: its call is under way

my $held = $t->connect;
$held->request(GET => '/small/slowfail?key=held');
sleep 0.1;

burst(200, map { "/small/?key=other-$_" } 1 .. 2 * $slots);

is($held->response->status, 500, 'its call fails');
is(row('held', 'small')->{state}, 'open', 'and is counted');

# all open: the others are let through

burst(500, map { "/small/fail?key=bad-$_" } 1 .. 2 * $slots);

$zone = zone('small');
is(scalar(grep { $_->{zone} eq 'small' && $_->{state} eq 'open' }
          @{ status()->{breakers} }), $slots, 'all are open');
cmp_ok($zone->{refused}, '>', 0, 'refused');
is(http_get('/small/?key=new')->body, 'fine', 'a new key is let through');
my @lines = $t->grep_log(qr/\[error\].*zone "small" is full of open breakers/);
cmp_ok(scalar @lines, '>=', 1, 'logged');
cmp_ok(scalar @lines, '<', 10, 'but not each time');
is(http_get('/small/?key=bad-1')->status, 503, 'those inside still reject');

my $r = http_request('POST', '/breakers?zone=small&action=reset&key=bad-1');
is($r->status, 200, 'one is reset');
is(http_get('/small/?key=new')->body, 'fine', 'and makes room');
ok(row('new', 'small'), 'for another one');

# a large zone: 10,000 keys at once

$t->reload(conf(size => '16m'));
like(join('', $t->error_log), qr/closed -> open/, 'log goes on');
is(zone('z')->{used}, 0, 'another size starts empty');
is(zone('small')->{used}, $slots, 'the other zone stays');

burst(200, map { "/?key=tenant-$_" } 1 .. 10_000);

$zone = zone('z');
is("$zone->{used} $zone->{evicted}", '10000 0', '10,000 keys side by side');
is(status()->{omitted}, $slots, 'the report has an end');

# a reload while open

http_get('/fail?key=r');
my $row = row('r');
is($row->{state}, 'open', 'open');

ok($t->reload(conf(size => '16m')), 'reload');
is_deeply({ %{ row('r') }, since => 0, open_until => 0 },
          { %$row, since => 0, open_until => 0 }, 'nothing has changed');
cmp_ok(abs(row('r')->{open_until} - $row->{open_until}), '<', 0.1, 'when');
is(http_get('/?key=r')->status, 503, 'still open');

# a reload that fails changes nothing

$t->allow_log(qr/\[emerg\].*unknown directive "nonsense"/);
ok(!$t->reload(conf(size => '16m', broken => 'nonsense;')), 'refused');
is(http_get('/?key=r')->status, 503, 'still open');
is(row('r')->{transitions}, 1, 'as before');

# another policy at the next reload: it holds for what is open already

ok($t->reload(conf(size => '16m', policy => 'recovery_timeout 300ms;'
                                          . 'max_recovery_timeout 500ms;')),
   'a shorter policy');
http_get('/?key=r');
sleep 0.6;
is(http_get('/?key=r')->status, 200, 'is open for the shorter time');
is(row('r')->{state}, 'closed', 'and recovers');

# an old worker ends its calls in the same memory

$held = $t->connect;
$held->request(GET => '/slowfail?key=old', close => 1);
sleep 0.1;
ok($t->reload(conf(size => '16m')), 'reload with a call under way');
is(http_get('/?key=old')->status, 200, 'new worker: closed');
is($held->response->status, 500, 'old worker: the call fails');
ok(wait_for(sub { row('old')->{state} eq 'open' }, slow(5)), 'and opens it');
is(http_get('/?key=old')->status, 503, 'new worker: open');
