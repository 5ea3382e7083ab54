#!/usr/bin/perl

# What stands in Redis for other nodes: for how long, within which limits, and
# what is said if a key is not what it should be.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;
use Time::HiRes qw(time sleep);

use Harness;
use Harness::Fleet;

my %n;

my $f = Harness::Fleet->new(plan => 16, workers => 1, backend => [
    '/vary' => sub {
        my ($q) = @_;
        my ($lang) = map { $_->[1] } grep { lc $_->[0] eq 'x-lang' }
            @{ $q->{headers} };
        return { body => $lang . ++$n{$lang}, headers => [ Vary => 'X-Lang',
                 'Cache-Control' => 'max-age=' . ($lang eq 'en' ? 600 : 1) ] };
    },
    '/age' => { body => 'age', headers => [ Age => 2147480000,
                'Cache-Control' => 'max-age=2147483647' ] },
    '/stale' => { body => 'stale', headers =>
                  [ 'Cache-Control' => 'max-age=60' ] },
    '/' => { body => 'body' } ], server => <<'EOC');

        location /valid {
            aggregate_cache_valid  100y;
            proxy_pass             http://127.0.0.1:BACKEND;
        }

        location /stale {
            aggregate_cache_stale  updating 100y error 100y;
            proxy_pass             http://127.0.0.1:BACKEND;
        }

EOC

ok($f->linked, 'both gateways are linked');

sub lang {
    my ($i, $lang) = @_;
    my $r = $f->get($i, '/vary', headers => [ 'X-Lang' => $lang ]);
    return $r->body . ' ' . $r->header('X-Cache');
}

# all variants are found as long as the last one

is(lang(0, 'en'), 'en1 MISS', 'a variant for 600 seconds');
is(lang(0, 'de'), 'de1 MISS', 'a variant for one second');
sleep(2.2);
is(lang(1, 'en'), 'en1 HIT', 'the long one is found by the other gateway');

# times over the limit

for my $name (qw(valid age stale)) {
    my $keys = $f->redis->call('DBSIZE');

    is($f->get(0, "/$name")->header('X-Cache'), 'MISS', "$name, stored");
    ok(wait_for(sub { $f->redis->call('DBSIZE') > $keys }, slow(5)),
       "$name, in Redis");
    is($f->get(1, "/$name")->header('X-Cache'), 'HIT',
       "$name, read by the other gateway");
}

# the stream is something else

my $line = qr/\[error\] .*key "f:\{purge\}" of redis "fleet" \(\S+\) is not a/;
my $t = $f->gateway(0);

$f->redis->call('DEL', 'f:{purge}');
$f->redis->call('SET', 'f:{purge}', 'bogus');

ok($t->wait_log($line, slow(20)), 'the key is named');
$t->mark_log;
ok($t->wait_log(qr/connection for purges of redis "fleet" closed/, slow(10)),
   'the stream is tried again');
is(scalar(() = $t->grep_log($line)), 0, 'and nothing is said again');
