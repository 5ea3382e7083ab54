#!/usr/bin/perl

# Responses are read into one buffer of the worker.  Whatever comes in pieces,
# at the same time, is not mixed up, and a response that is not whole keeps
# what has come of it.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;

use Harness;
use Harness::Aggregate;

my $t = Harness->new(modules => ['ngx_http_aggregate_module']);


# "id.size.coding.cuts": where the response is cut, each piece some ms later
sub response {
    my ($uri, $broken) = @_;

    my ($id, $size, $coding, $cuts) = $uri =~ m{(\d+)\.(\d+)\.(\w)\.([\d-]*)};
    my $body = qq({"id":$id,"x":") . ($id % 10) x $size . qq("});
    my $head = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nX-$id: "
        . 'h' x ($id % 50) . "\r\n";

    if ($coding eq 'c') {
        $head .= "Transfer-Encoding: chunked\r\n\r\n";
        $body = join('', map { sprintf "%x\r\n%s\r\n", length, $_ }
                     $body =~ /(.{1,700})/gs) . "0\r\n\r\n";

    } elsif ($coding eq 'l') {
        $head .= 'Content-Length: ' . length($body) . "\r\n\r\n";

    } else {
        $head .= "Connection: close\r\n\r\n";
    }

    $head = "HTTP/1.1 103 Early Hints\r\nX: y\r\n\r\n$head" if $coding eq '1';

    my $text = $head . $body;
    my ($at, @steps) = 0;

    for my $cut (sort { $a <=> $b } grep { $_ < length $text }
                 split /-/, $cuts)
    {
        push @steps, [ send => substr $text, $at, $cut - $at ],
            [ wait => 0.002 + $id % 7 / 1000 ];
        $at = $cut;

        return { steps => [ @steps, [ 'close' ] ] } if $broken;
    }

    push @steps, [ send => substr $text, $at ];
    push @steps, [ $coding =~ /[cl]/ ? 'done' : 'close' ];

    return { steps => \@steps };
}


my $b = $t->backend('b', '/' => sub { response($_[0]{uri}) });
$t->backend('broken', '/' => sub { response($_[0]{uri}, 1) });

my @places = qw(b small large huge buffered gunzip sub ssi apply twice fallback
                variable delayed);
my @cases = map {
    my $place = $_;
    [ $place, join('', map { "backend p$_ /$place/\$arg_p$_ { }" } 0 .. 5) ]
} @places;

push @cases, [ 'all', join('', map {
    "backend p$_ /$places[$_]/\$arg_p$_ { }" } 0 .. 5) ];

push @cases, [ 'shaped', join('', map {
    "backend p$_ /b/\$arg_p$_ { allow id x; }" } 0 .. 5) ];

my $rounds = 8;

$t->plan($rounds * @cases + 3);

serve($t, cases => \@cases, http => q{
    limit_req_zone $server_name zone=delayed:1m rate=20r/s;
    upstream broken_first {
        server 127.0.0.1:%%PORT_broken%%;
        server 127.0.0.1:%%PORT_b%% backup;
    }
    upstream kept { server 127.0.0.1:%%PORT_b%%; keepalive 4; }
    aggregate_shape whole { deny zz; }
    proxy_http_version 1.1;
    proxy_set_header Connection "";
    proxy_read_timeout 30s;
}, server => q{
    location /small/ { internal; proxy_pass http://127.0.0.1:%%PORT_b%%/;
        proxy_buffer_size 1k; proxy_buffers 8 1k; proxy_busy_buffers_size 2k; }
    location /large/ { internal; proxy_pass http://kept/;
        proxy_buffer_size 16k; proxy_buffers 8 16k; }
    location /huge/ { internal; proxy_pass http://kept/;
        proxy_buffer_size 64k; proxy_buffers 8 64k; }
    location /buffered/ { internal; proxy_pass http://127.0.0.1:%%PORT_b%%/;
        proxy_buffering off; }
    location /gunzip/ { internal; proxy_pass http://kept/; gunzip on; }
    location /sub/ { internal; proxy_pass http://kept/;
        sub_filter 'zz' 'yy'; sub_filter_types *; }
    location /ssi/ { internal; proxy_pass http://kept/; ssi on;
        ssi_types *; }
    location /apply/ { internal; proxy_pass http://kept/;
        aggregate_apply whole; }
    location /twice/ { internal; proxy_pass http://broken_first/;
        proxy_next_upstream error invalid_header; }
    location /fallback/ { internal; proxy_pass http://127.0.0.1:%%PORT_dead%%/;
        error_page 502 = @fallback; }
    location @fallback { proxy_pass http://kept; }
    location /variable/ { internal; proxy_pass http://127.0.0.1:%%PORT_dead%%/;
        error_page 502 = @variable; }
    location @variable { set $to 127.0.0.1:%%PORT_b%%; proxy_pass http://$to; }
    location /delayed/ { internal; limit_req zone=delayed burst=9;
        proxy_pass http://kept/; }
    location /before { limit_req zone=delayed burst=9; proxy_pass http://kept; }
});

srand 1;

my $serial = 0;
my @codings = qw(c l 1 e);


sub part {
    my ($place) = @_;

    my $size = (0, 10, 500, 3000, 9000, 40_000)[rand 6];
    my $id = ++$serial;
    my $coding = $codings[rand($place =~ /^(?:ssi|all)$/ ? 2 : 4)];

    # a request is delayed once, in its first part
    $coding = 1 if $place eq 'delayed';
    my @cuts = map { int rand(rand() < 0.5 ? 150 : 200 + $size) } 1 .. rand 6;

    # the first server's header is cut, so that the other is asked
    unshift @cuts, 1 + int rand 60 if $place eq 'twice';

    return join '.', $id, $size, $coding, join('-', @cuts);
}


sub expected {
    my ($i, $uri) = @_;

    my ($id, $size) = split /\./, $uri;
    return qq("p$i":{"id":$id,"x":") . ($id % 10) x $size . qq("});
}


for my $round (1 .. $rounds) {
    my @asked;

    http_get('/before/1.1.l.');

    # all at once

    for my $case (@cases) {
        my @parts = map { part($case->[0]) } 0 .. 5;
        my $c = $t->connect;

        $c->request(GET => case_uri($case) . '?'
            . join('&', map { "p$_=$parts[$_]" } 0 .. 5));
        push @asked, [ $case, $c, @parts ];
    }

    for my $asked (@asked) {
        my ($case, $c, @parts) = @$asked;

        my $wanted = '{' . join(',', map { expected($_, $parts[$_]) } 0 .. 5)
            . '}';

        my $r = $c->response;

        ok($r->body eq $wanted, "round $round: $case->[0]")
            or diag("@parts: ", outcome($r));
    }
}

# one that hangs, in its header or in its body, while others come and go

my @hanging = map { $t->connect } 1 .. 2;
my $text = qq(HTTP/1.1 200 OK\r\nContent-Length: 13\r\n\r\n{"hang":"it"});

$b->set("/hang_$_->[0]" => { steps => [ [ send => substr $text, 0, $_->[1] ],
    [ wait => slow(0.4) ], [ send => substr $text, $_->[1] ], [ 'done' ] ] })
    for [ header => 27 ], [ body => 43 ];

$hanging[0]->request(GET => case_uri($cases[0])
    . '?p0=hang_header&' . join '&', map { "p$_=1.1.l." } 1 .. 5);
$hanging[1]->request(GET => case_uri($cases[0])
    . '?p0=hang_body&' . join '&', map { "p$_=1.1.l." } 1 .. 5);

my $same = 0;

for (1 .. 20) {
    my @parts = map { part('b') } 0 .. 5;
    my $r = http_get(case_uri($cases[0]) . '?'
        . join '&', map { "p$_=$parts[$_]" } 0 .. 5);

    $same++ if $r->body eq '{'
        . join(',', map { expected($_, $parts[$_]) } 0 .. 5) . '}';
}

is($same, 20, 'while others hang');
like($hanging[0]->response->body, qr/^\{"p0":\{"hang":"it"\},"p1":\{"id":1,/,
    'what hung in its header');
like($hanging[1]->response->body, qr/^\{"p0":\{"hang":"it"\},"p1":\{"id":1,/,
    'what hung in its body');
