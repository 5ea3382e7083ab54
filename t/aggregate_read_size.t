#!/usr/bin/perl

# A location with long responses has them read at once.  Whatever was read
# before, their headers are limited by "proxy_buffer_size" as by nginx alone.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use List::Util qw(uniq);
use Test::More;

use Harness;
use Harness::Aggregate;

my $t = Harness->new(log_level => 'debug');

$t->allow_log(qr/upstream sent too big header/);

my @sizes = (2040 .. 2056);
my @ways = ('', 'early', 'pieces', 'lines');


# "/body.SIZE", or a header of SIZE bytes
sub response {
    my ($uri) = @_;

    my ($way, $size) = $uri =~ m{/(\w*)\.(\d+)};

    if ($way eq 'body') {
        return { body => '"' . 'b' x ($size - 2) . '"' };
    }

    if ($way eq 'chunked') {
        return { chunked => 1, body => '"' . 'b' x ($size - 2) . '"' };
    }

    if ($way eq 'stuck') {
        return { steps => [ [ send => "HTTP/1.1 200 OK\r\nX: " . 'x' x $size ],
                            [ wait => slow(3) ], [ 'close' ] ] };
    }

    my $head = "HTTP/1.1 200 OK\r\nContent-Length: 4\r\nX: ";
    my $early = "HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n";

    $head = "$early$head" if $way eq 'early';
    $head .= "y\r\nX: " x 30 if $way eq 'lines';

    $head .= 'x' x ($size - 4 - length $head);
    $head .= "\r\n\r\n";

    return { steps => [
        $way eq 'pieces'
        ? map { [ send => $_ ], [ wait => 0.002 ] }
              "${head}true" =~ /.{1,400}/gs
        : [ send => "${head}true" ], [ 'done' ] ] };
}


$t->backend('b', '/' => sub { response($_[0]{uri}) });
$t->backend('other', '/' => sub { return 'true' });

my @cases = map { [ $_, "backend p /$_/\$arg_p { }" ] }
    qw(a never next chunked off);

$t->plan(@ways + 9);

serve($t, cases => \@cases, http => q{
    upstream first { server 127.0.0.1:%%PORT_b%% max_fails=0;
                     server 127.0.0.1:%%PORT_other%% backup; }
    proxy_http_version 1.1;
    proxy_set_header Connection "";
    proxy_buffer_size 2k;
    proxy_buffers 8 2k;
    proxy_busy_buffers_size 4k;
}, server => q{
    location /alone/ { proxy_pass http://127.0.0.1:%%PORT_b%%/; }
    location /a/ { proxy_pass http://127.0.0.1:%%PORT_b%%/; }
    location /never/ { proxy_pass http://127.0.0.1:%%PORT_b%%/; }
    location /chunked/ { proxy_pass http://127.0.0.1:%%PORT_b%%/; }
    location /next/ { proxy_pass http://first/;
        proxy_next_upstream error invalid_header; }
    location /off/ { proxy_pass http://127.0.0.1:%%PORT_b%%/;
        proxy_buffering off; }
});


sub part {
    my ($name, $uri) = @_;

    my ($case) = grep { $_->[0] eq $name } @cases;
    my $r = http_get(case_uri($case) . "?p=$uri");

    return $r->body =~ /^\{"p":(.*)\}\z/s && $1 ne 'null' ? $1 : 'failed';
}



# by nginx alone, which takes the first of the responses if there are two
sub alone {
    my ($uri) = @_;

    $uri =~ s/^early/lines/;
    return http_get("/alone/$uri")->status == 200 ? 'true' : 'failed';
}


# the sizes of the buffers that it was read into, or how it ended
sub reads {
    my ($name, $uri) = @_;

    $t->mark_log;

    my $part = part($name, $uri);
    my @reads = map { /recv: fd:\d+ \d+ of (\d+)/ ? $1 : () } $t->grep_log('');

    # the first is the client's
    return $part eq 'failed' ? $part : join ' ', uniq(@reads[1 .. $#reads]);
}


# nginx's own limit of a header, and that of a part of a location whose last
# responses were long

part($_, 'body.20000') for qw(a next);

for my $way (@ways) {
    my @differ = grep {
        my $alone = alone("$way.$_");

        $alone ne part('a', "$way.$_") || $alone ne part('never', "$way.$_")
            || part('next', "$way.$_") ne 'true';
    } @sizes;

    is("@differ", '', 'headers, ' . ($way || 'whole'));
}

part('next', 'body.20000');
is(part('next', 'stuck.2100'), 'true', 'one without an end');

SKIP: {
    skip 'no debug log', 6 if $t->error_log !~ /\[debug\]/;

    reads('a', 'body.20000');

    is(reads('a', 'body.20000'), 32768, 'a long one after another');
    is(reads('a', 'body.200'), 32768, 'a short one');

    part('a', 'body.200') for 1 .. 80;
    is(reads('a', 'body.200'), 2048, 'after many short ones');

    part('a', 'body.7000');
    is(reads('a', 'body.7000'), 8192, 'not so long ones');

    # as much of it as comes with the header counts

    my @read = map { reads('chunked', 'chunked.20000') } 1 .. 20;
    ok(scalar(grep { $_ eq '32768' } @read), 'of unknown length')
        or diag("@read");

    part('off', 'body.20000');
    is(reads('off', 'body.20000'), 32768, 'without buffering');
}

is(length part('a', 'body.200000'), 200_000, 'longer ones');
is(length part('a', 'body.200000'), 200_000, 'once more');
