#!/usr/bin/perl

# Answers are composed in one buffer of the worker.  One that is not sent at
# once keeps it, and other clients get nothing of it.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;

use IO::Uncompress::Gunzip ();

use Harness;
use Harness::Aggregate;
use Harness::H2;

my $t = Harness->new(modules => ['ngx_http_aggregate_module']);


# no two are alike, and gzip makes little of them
sub text {
    my ($n, $size) = @_;

    srand $n;
    return join '', map { chr 97 + rand 26 } 1 .. $size;
}


my @sizes = (20, 3000, 20_000, 60_000);

$t->backend('b', '/' => sub {
    my ($n) = $_[0]{uri} =~ m{/(\d+)};
    return '"' . text($n, $sizes[$n % 4]) . '"';
});

my $block = 'backend a /b/$arg_n { }';
my @cases = (
    [ 'plain', $block ],
    [ 'gzip', $block, undef,
      location => 'gzip on; gzip_types *; gzip_min_length 1;' ],
    [ 'rate', $block, undef, location => 'limit_rate 400k;' ],
    [ 'nested', 'backend inner /inner?n=$arg_n { }' ],
);
my $rounds = 3;

$t->plan(@cases * $rounds + 1);

serve($t, cases => \@cases,
    listen => 'listen 127.0.0.1:%%PORT_0%% sndbuf=4k;
               listen 127.0.0.1:%%PORT_h2%% http2 sndbuf=4k;',
    server => q{
        location /inner { aggregate { backend a /b/$arg_n { } } }
    });

my $serial = 0;


sub wanted {
    my ($case, $n) = @_;

    my $answer = '{"a":"' . text($n, $sizes[$n % 4]) . '"}';
    return $case->[0] eq 'nested' ? qq({"inner":$answer}) : $answer;
}


# clients that read nothing until all have asked, twice each

for my $round (1 .. $rounds) {
    for my $case (@cases) {
        my @asked;

        for (1 .. 6) {
            my $c = $t->connect;
            my @n = (++$serial, ++$serial);

            $c->request(GET => case_uri($case) . "?n=$_",
                headers => [ 'Accept-Encoding' => 'gzip' ]) for @n;
            push @asked, [ $c, @n ];
        }

        my $same = 0;

        for (@asked) {
            my ($c, @n) = @$_;

            for my $n (@n) {
                my $r = $c->response;
                my $body = $r->body;

                if (($r->header('Content-Encoding') || '') eq 'gzip') {
                    IO::Uncompress::Gunzip::gunzip(\$body, \my $text);
                    $body = $text;
                }

                $same++ if $body eq wanted($case, $n);
            }
        }

        is($same, 12, "round $round: $case->[0]");
    }
}

# over HTTP/2, where all streams have windows of a kilobyte at first

my $h2 = Harness::H2->new(port => $t->port('h2'), window => 1024);
my @n = map { ++$serial } 1 .. 8;
my @streams = map { $h2->request(GET => case_uri($cases[0]) . "?n=$_") } @n;

$h2->widen($_, 100_000) for @streams;
my $same = grep {
    $h2->wait($streams[$_])->{body} eq wanted($cases[0], $n[$_]) } 0 .. 7;

is($same, 8, 'HTTP/2');
