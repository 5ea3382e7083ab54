#!/usr/bin/perl

# Memory stays as it is: two gateways under load with keys and bodies of all
# sizes, more than the zone holds, with purges, variants, refreshes and what
# may not be stored.  TEST_SOAK is the length of each of three rounds, in
# seconds; "./build.sh soak SECONDS" sets it.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;
use Time::HiRes qw(time sleep);

use Harness;
use Harness::Fleet;

my $seconds = $ENV{TEST_SOAK} || 1;

# what a sanitizer holds back of freed memory is no leak
my $room = ($ENV{TEST_NGINX_SLOW} || 1) > 1 ? 300_000 : 4_000;

my $control = sub {
    my ($n) = @_;
    return 'no-store' if $n % 7 == 0;
    return 'max-age=1, stale-while-revalidate=60' if $n % 7 == 1;
    return 'max-age=1' if $n % 7 == 2;
    return 'max-age=60';
};

my $f = Harness::Fleet->new(
    plan    => 15,
    zone    => '2m',
    backend => [
        '/linked/' => '1',
        '/k/'      => sub {
            my ($q) = @_;
            my ($n) = $q->{uri} =~ /(\d+)/;
            return { body => $q->{uri}, headers =>
                     [ 'Cache-Control' => $control->($n),
                       'X-Fill' => 'x' x ($n * 37 % 3000),
                       ($n % 5 ? () : (Vary => 'X-Lang')) ] };
        },
        '/large/'  => sub {
            my ($q) = @_;
            my ($n) = $q->{uri} =~ /(\d+)/;
            return { body => 'x' x 1000, repeat => 1 + $n * 13 % 200,
                     headers => [ 'Cache-Control' => 'max-age=60' ] };
        },
    ],
);

# of the workers' own: the pages of the zone are touched little by little

sub anonymous {
    my ($t) = @_;
    my $n = 0;

    for my $pid ($t->workers) {
        open my $in, '<', "/proc/$pid/status" or next;
        /^RssAnon:\s+(\d+)/ and $n += $1 while <$in>;
    }

    return $n;
}

sub sample {
    my @states = map { $f->state($_) } 0, 1;

    return {
        rss    => [ map { anonymous($_) } $f->gateways ],
        fds    => [ map { $_->fds } $f->gateways ],
        chunks => join(' ', map { $_->{chunks} } @states),
        bytes  => [ map { $_->{bytes} } @states ],
        purges => [ map { $_->{purges} } @states ],
        evicts => [ map { $_->{evictions} } @states ],
        states => \@states,
    };
}

my $large = 0;

sub round {
    my $until = time() + $seconds;
    my $enough = $large + 50;
    my $load = $f->load('/k/', keys => 8000);

    while (time() < $until || $large < $enough) {
        $f->get($_, '/large/' . $large++ % 500) for 0, 1;
        sleep(0.01);

        http_request('POST', '/purge?uri=/k/' . int(rand(8000)),
                     port => $f->port($large % 2));
        http_request('POST', '/purge?prefix=/k/&soft=1', port => $f->port(0))
            if $large % 100 == 0;
    }

    return $f->loaded($load);
}

ok($f->linked, 'linked');

# the first round makes room, the next ones use it

my $l = round();
is($l->{failed}, 0, 'no request failed') or diag($l->{why});
my $before = sample();

$l = round();
is($l->{failed}, 0, 'nor in the second round') or diag($l->{why});
my $between = sample();

$l = round();
is($l->{failed}, 0, 'nor in the third') or diag($l->{why});
my $after = sample();

is($after->{chunks}, $before->{chunks}, 'the zones have what they had');

for my $i (0, 1) {
    my $state = $after->{states}[$i];

    cmp_ok($state->{entries}, '>', 10, "gateway $i: it was used");
    cmp_ok($after->{evicts}[$i], '>', $before->{evicts}[$i],
           "gateway $i: and full");
    is($state->{resets} . $state->{failed}, '00',
       "gateway $i: always valid, and never without room");
    cmp_ok($after->{rss}[$i] - $between->{rss}[$i], '<', $room,
           "gateway $i: memory of the workers is flat");
    cmp_ok($after->{fds}[$i], '<=', $between->{fds}[$i] + 4,
           "gateway $i: so are descriptors");
}

diag(sprintf("rss %s, %s, %s; requests %d", map({ join('+', @{ $_->{rss} }) }
     $before, $between, $after), $l->{requests})) if $ENV{TEST_SOAK};
