# The header of a backend's response, however it is written, means the same to
# a part as it means to "proxy_pass" alone.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use Test::More;

use Harness;
use Harness::Aggregate;

my $t = Harness->new(modules => ['ngx_http_aggregate_module']);

my $long = 'X-' . 'Long' x 12;
my @names = ('X-A', 'X-B', 'X-9', 'X-C7', $long);

srand 7;

my @lines = (
    "X-A: one\r\n", "X-A:two\r\n", "X-A:   three   \r\n", "X-A:\r\n",
    "X-A:    \r\n", "X-A: a  b \x{e4} c\r\n", "X-A: \x01\x7f\r\n",
    "X-A: tab\there\t\r\n", "X-A: by LF\n", "x-a: lower\r\n", "X-A\r\n",
    "X-A: cr\r\r\n", "X-A: v\rw\r\n", "X-A : space\r\n", " X-A: folded\r\n",
    "X-A: " . 'v' x 3000 . "\r\n", "X-A: nul\x00here\r\n", "\x00: nul\r\n",
    "X-B: bee\r\n", "x-B: B:e:e\r\n", "X-9: nine\r\n", "X_A: underscore\r\n",
    "X\@A: at\r\n", "-: dash\r\n", ": none\r\n", "HTTP/1.1 200 OK\r\n",
    "Set-Cookie: a=1\r\n", "Set-Cookie: b=2; Path=/\r\n", "ETag: \"e\"\r\n",
    "$long: l\r\n", "X-" . 'y' x 28 . ": 30\r\n", "X-" . 'y' x 29 . ": 31\r\n",
    "Server: x\r\n", "Date: Mon, 01 Sep 2025 00:00:00 GMT\r\n",
    "Connection: keep-alive\r\n", "Content-Type: application/json\r\n",
    "Transfer-Encoding: identity\r\n", "Content-Length: 1\r\n",
    "Content-Length: x\r\n", "X-Accel-Limit-Rate: 0\r\n",
);

# each line alone, and random ones

my @headers = map { [ $_ ] } @lines;

push @headers, [ map { $lines[rand @lines] } 1 .. 1 + rand 6 ] for 1 .. 60;
push @headers, [ map { "X-C$_: $_\r\n" } 1 .. 120 ];

my @raw = map {
    join '', "HTTP/1.1 200 OK\r\n", @$_, "Content-Length: 1\r\n\r\n1";
} @headers;

push @raw, $raw[0] =~ s/OK\r/OK/r, "HTTP/1.0 200 OK\r\nX-A: one\r\n\r\n1",
    "HTTP/1.1 200\r\nX-A: one\r\nContent-Length: 1\r\n\r\n1",
    "HTTP/1.1 404 Not Found\r\nX-A: one\r\nContent-Length: 1\r\n\r\n1",
    "HTTP/1.1 204 No Content\r\nX-A: one\r\nX-B: none\r\n\r\n",
    "HTTP/1.1 200 OK\r\n\r\n1";

my $b = $t->backend('b',
    '/whole/' => sub { { raw => $raw[ $_[0]{uri} =~ s/.*\///r ] } },
    '/drip/' => sub {
        my $raw = $raw[ $_[0]{uri} =~ s/.*\///r ];
        my $cut = 10 + (length($raw) - 10) * 2 / 5;
        return { steps => [ [ send => substr $raw, 0, $cut ], [ wait => 0.005 ],
                            [ send => substr $raw, $cut ], [ 'close' ] ] };
    });

my $pass = join '', map { "pass_header $_; " } @names;
my $aggregate = [ 'of a part', "backend a '/b/\$arg_k/\$arg_n' { accept 2xx 4xx;
    encoding string; $pass }" ];

$t->plan(scalar @raw);

serve($t, cases => [ $aggregate ], server => q{
    location /alone/ { proxy_pass http://127.0.0.1:%%PORT_b%%/; }
});

for my $n (0 .. $#raw) {
    my $alone = told(http_get("/alone/whole/$n"));

    my @got = map { told(http_get(case_uri($aggregate) . "?k=$_&n=$n")) }
        qw(whole drip whole);

    is_deeply(\@got, [ ($alone) x 3 ],
              escaped($raw[$n] =~ s/v{9,}/v.../r));
}


sub escaped { return $_[0] =~ s/([^ -~])/sprintf '\\x%02x', ord $1/ger }


# whether there was a response, and the values of the header

sub told {
    my ($r) = @_;

    my $good = $r->status < 500
        && ($r->header('X-Aggregate') || 'complete') eq 'complete';

    return $good ? { map { $_ => [ $r->head =~ /^$_: *(.*?) *\r?$/gmi ] }
                         @names } : 'none';
}
