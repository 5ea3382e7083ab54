#!/usr/bin/perl

# Answers are composed in buffers of the worker.  One that is not sent at once
# keeps its buffer, and other clients get nothing of it.  A small one has none.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;

use Digest::MD5 qw(md5_hex);
use IO::Uncompress::Gunzip ();

use Harness;
use Harness::Aggregate;
use Harness::H2;

my $t = Harness->new(modules => ['ngx_http_aggregate_module'],
                     log_level => 'debug');


# no two are alike, and gzip makes little of them
sub text {
    my ($n, $size) = @_;

    return substr join('', map { md5_hex("$n $_") } 0 .. $size / 32), 0, $size;
}


my @sizes = (3000, 12_000, 60_000, 60_000);

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

$t->plan(@cases * $rounds + 2);

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


# clients that read nothing until all have asked, eight times each

for my $round (1 .. $rounds) {
    for my $case (@cases) {
        my @asked;

        for (1 .. 6) {
            my $c = $t->connect;
            my @n = map { ++$serial } 1 .. 8;

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

        is($same, 48, "round $round: $case->[0]");
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

# more of them wait than there are spares

@n = map { 4 * ++$serial } 1 .. 20;

my $before = length $t->error_log;

@streams = map { $h2->request(GET => case_uri($cases[0]) . "?n=$_") } @n;

wait_for(sub {
    20 == grep { length($h2->wait($_, 0.01)->{body} || '') >= 1000 } @streams;
}, slow(10));

my @large = substr($t->error_log, $before) =~ /malloc: \w+:(16416|65568)\b/g;
is("@large", '', 'small answers that wait have no large buffers');
