#!/usr/bin/perl

# What the zones tell of themselves, as JSON and for Prometheus, with a Redis
# that is there, and that is gone.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;

use Harness;
use Harness::Fleet;

my $f = Harness::Fleet->new(
    plan    => 32,
    backend => [
        '/linked/' => '1',
        '/keep/'   => { body => 'x', headers =>
                        [ 'Cache-Control' => 'max-age=60' ] },
        '/tag/'    => { body => 'x', headers =>
                        [ 'Cache-Control' => 'max-age=60' ] },
    ],
    http    => 'gzip on;  gzip_types text/plain;  gzip_min_length 1;
                aggregate_cache_zone  \'odd"\\zöne\' 1m;
                server {
                    listen           127.0.0.1:%%PORT_1%%;
                    aggregate_cache  \'odd"\\zöne\';
                    location / { proxy_pass http://127.0.0.1:BACKEND; }
                }',
);

my $t = $f->gateway(0);

sub metrics {
    my $r = $f->get($_[0] || 0, '/state?format=prometheus');
    my %m;

    for my $line (split /\n/, $r->body) {
        $m{$1} = $2 if $line =~ /^aggregate_cache_(\S.*) (\d+)$/;
    }

    return ($r, %m);
}

ok($f->linked, 'linked');

$f->get(0, '/keep/a');
ok(wait_for(sub { $f->redis->call('DBSIZE') >= 1 }), 'stored');
ok(wait_for(sub { ($f->get(1, '/keep/a')->header('Cache-Status') || '')
                  =~ /detail=L2/ }), 'a hit of the second tier');
$f->get(1, '/keep/a') for 1 .. 3;
http_request('POST', '/purge?uri=/keep/none', port => $f->port(1));
http_get('/keep/odd', port => $t->port(1)) for 1 .. 2;

my ($r, %m) = metrics(1);
my $json = $f->state(1);

is($r->status, 200, 'prometheus');
is(http_get('/state?format=prometheus', port => $f->port(1),
    headers => [ 'Accept-Encoding' => 'gzip' ])->header('Content-Encoding'),
    'gzip', 'gzip finds the type without its parameters');
like($r->header('Content-Type'), qr{^text/plain; version=0\.0\.4}, 'type');

is($m{'hits_total{zone="api",tier="L1"}'}, 3, 'hits of shared memory');
is($m{'hits_total{zone="api",tier="L2"}'}, 1, 'hits of Redis');
is($json->{hits}{L1} . $json->{hits}{L2}, '31', 'JSON says the same');
is($m{'entries{zone="api"}'}, $json->{entries}, 'entries');
is($m{'bytes{zone="api"}'}, $json->{bytes}, 'bytes');
is($m{'misses_total{zone="api"}'}, $json->{misses}, 'misses');
is($m{'purges_total{zone="api"}'}, $json->{purges}, 'purges');
is($m{'purges_total{zone="api"}'}, 1, 'one purge');
is($m{'not_stored_total{zone="api"}'}, $json->{not_stored}, 'not stored');
is($m{'evictions_total{zone="api"}'}, 0, 'evictions');
is($m{'redis_state{zone="api",state="up"}'}, 1, 'Redis is up');
is($m{'redis_state{zone="api",state="down"}'}, 0, 'and not down');

($r, %m) = metrics(0);
is($m{'hits_total{zone="odd\\"\\\\zöne",tier="L1"}'}, 1, 'a name is escaped');
is($f->get(0, '/state')->json->{zones}{"odd\"\\z\x{f6}ne"}{hits}{L1}, 1,
   'in JSON, as the UTF-8 that it is');
ok(!(grep { /redis_state.*odd/ } keys %m), 'no state without a Redis');

my (%done, %type, $last, @bad);

for my $line (split /\n/, $r->body) {

    if ($line =~ /^# HELP (\w+) \S.*\.$/) {
        push @bad, $line if $done{$1}++;
        $last = $1;

    } elsif ($line =~ /^# TYPE (\w+) (counter|gauge)$/) {
        push @bad, $line if $type{$1} || $1 ne $last;
        $type{$1} = $2;

    } elsif ($line !~ /^(\w+)\{.*\} \d+$/ || $1 ne $last || !$type{$1}) {
        push @bad, $line;
    }
}

is("@bad", '', 'well formed');

my ($promtool) = grep { defined && -x } $ENV{PROMTOOL},
    "$FindBin::Bin/../build/promtool", map { "$_/promtool" }
    split /:/, $ENV{PATH};

die "promtool is needed: ./build.sh test fetches it\n" if !$promtool;

$t->write_file('metrics', $r->body);
my $out = qx{$promtool check metrics < '@{[ $t->testdir ]}/metrics' 2>&1};
is($? . $out, '0', 'promtool check metrics');

is($f->get(0, '/state', headers => [ Range => 'bytes=0-1' ])->status, 200,
   'no ranges');
is(http_request('HEAD', '/state', port => $f->port(0))->body, '', 'HEAD');
is(http_request('POST', '/state', port => $f->port(0))->status, 405, 'POST');

# Redis is gone

$f->redis->kill_it;
ok(wait_for(sub { $f->get(0, '/tag/' . rand());
                  $f->state(0)->{redis} eq 'down' }), 'down');
($r, %m) = metrics(0);
is($m{'redis_state{zone="api",state="down"}'}, 1, 'prometheus: down');
is($m{'redis_state{zone="api",state="up"}'}, 0, 'prometheus: not up');
is($f->get(0, '/keep/a')->header('X-Cache'), 'HIT', 'served meanwhile');

$f->redis->start;
ok($f->linked, 'and back');
($r, %m) = metrics(0);
is($m{'redis_state{zone="api",state="up"}'}, 1, 'prometheus: up');
