# Backends that break the rules of gRPC are a 502 with a body of ours, never a
# 200; what is right, but comes in unusual ways, is a 200.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use Test::More;

use Harness;
use Harness::Grpc qw(descriptor frame field message settings headers trailers);

my $t = Harness->new(modules => [ 'ngx_http_aggregate_module' ]);

descriptor($t, 'items.pb', 'items.proto');

my $item = "\x0a\x01" . '7';                       # {"id":"7"}
my $ok = trailers('grpc-status', 0);
my $ping = frame(6, 0, 'p' x 8, 0);
my $window = frame(8, 0, pack('N', 1000), 0);

sub only {
    my (@fields) = @_;
    my $out = "\x88" . field('content-type', 'application/grpc');
    $out .= field(splice @fields, 0, 2) while @fields;
    return frame(1, 5, $out);
}

sub plain {
    my ($status, $type) = @_;
    return frame(1, 4, "\x08\x03$status" . field('content-type', $type)
                       . field('location', 'http://inner/'))
        . frame(0, 1, '<p>inner address</p>');
}

# name => [ bytes, status, what the log says ]
my %answers = (
    good        => [ headers() . message($item) . $ok, 200 ],
    pings       => [ headers() . $ping . message($item) . $ping . $ok, 200 ],
    ping_last   => [ headers() . message($item) . $ok . $ping, 200 ],
    ping_both   => [ settings() . $ping . headers() . message($item) . $window
                     . $ping . settings() . $ok, 200 ],
    empty       => [ headers() . message('') . $ok, 200 ],
    pieces      => [ headers() . frame(0, 0, "\0\0\0") . frame(0, 0, "\0\3\x0a")
                     . frame(0, 0, "\x01") . frame(0, 0, '7') . $ok, 200 ],
    padded      => [ headers() . frame(0, 8, "\3\0\0\0\0\3$item\0\0\0") . $ok,
                     200 ],
    metadata    => [ headers('x-a', 'b', 'grpc-encoding', 'identity')
                     . message($item) . $ok, 200 ],
    two         => [ headers() . message($item) . message($item) . $ok, 502,
                     'more than one message' ],
    none        => [ headers() . $ok, 502, 'no message' ],
    only_ok     => [ only('grpc-status', 0), 502, 'no message' ],
    cut         => [ headers() . frame(0, 0, "\0\0\0\0\5$item") . $ok, 502,
                     'a cut message' ],
    cut_head    => [ headers() . message($item) . frame(0, 0, "\0\0") . $ok,
                     502, 'a cut message' ],
    compressed  => [ headers() . message($item, 1) . $ok, 502, 'a compressed' ],
    flag        => [ headers() . message($item, 9) . $ok, 502, 'a compressed' ],
    large       => [ headers() . frame(0, 0, "\0\0\x10\0\1") . $ok, 502,
                     'aggregate_grpc_max_message' ],
    lie         => [ headers() . frame(0, 0, "\0\xff\xff\xff\xff$item") . $ok,
                     502, 'aggregate_grpc_max_message' ],
    no_status   => [ headers() . message($item) . trailers('x', 'y'), 502,
                     'no grpc-status' ],
    no_trailer  => [ headers() . frame(0, 1, "\0\0\0\0\3$item"), 502,
                     'no grpc-status' ],
    bad_wire    => [ headers() . message("\x0a\x05a") . $ok, 502, 'upstream' ],
    bad_utf8    => [ headers() . message("\x0a\x01\xff") . $ok, 502,
                     'upstream' ],
    rst         => [ headers() . message($item) . frame(3, 0, pack('N', 2)),
                     502, 'rejected' ],
    rst_first   => [ frame(3, 0, pack('N', 8)), 502, 'rejected' ],
    rst_after   => [ headers() . frame(3, 0, pack('N', 7)), 502, 'rejected' ],
    goaway      => [ frame(7, 0, pack('NN', 0, 2), 0), 502, 'goaway' ],
    goaway_mid  => [ headers() . frame(7, 0, pack('NN', 0, 2), 0), 502,
                     'goaway' ],
    goaway_ok   => [ headers() . frame(7, 0, pack('NN', 1, 0), 0)
                     . message($item) . $ok, 200 ],
    bad_frame   => [ headers() . frame(0, 0, 'x' x 10, 2), 502, 'unknown' ],
    html        => [ plain(200, 'text/html'), 502, 'not gRPC' ],
    html_404    => [ plain(404, 'text/html'), 404, 'not gRPC' ],
    html_503    => [ plain(503, 'text/html'), 503, 'not gRPC' ],
    grpc_302    => [ plain(302, 'application/grpc'), 502, 'not gRPC' ],
    grpcs_type  => [ plain(200, 'application/grpc-web'), 502, 'not gRPC' ],
    http1       => [ undef, 502 ],
    closed      => [ headers() . message($item), 502 ],
    trailer_5   => [ headers() . trailers('grpc-status', 5, 'grpc-message',
                                          'no%20x'), 404 ],
    trailer_14  => [ headers() . message($item)
                     . trailers('grpc-status', 14), 503 ],
    trailer_99  => [ headers() . trailers('grpc-status', 99), 500 ],
    trailer_x   => [ headers() . trailers('grpc-status', 'x'), 500 ],
    only_5      => [ only('grpc-status', 5, 'x-secret', 'y'), 404 ],
    only_16     => [ only('grpc-status', 16, 'www-authenticate', 'Bearer'),
                     401 ],
    early_ok    => [ headers('grpc-status', 0) . message($item)
                     . trailers('grpc-status', 5), 404 ],
    early_none  => [ headers('grpc-status', 0)
                     . frame(0, 1, "\0\0\0\0\3$item"), 502,
                     'no grpc-status' ],
    hop         => [ headers('upgrade', 'h2c') . message($item) . $ok, 200 ],
    early_data  => [ only('grpc-status', 7) . message($item), 403 ],
);

my $locations = '';

for my $name (sort keys %answers) {
    my $bytes = $answers{$name}[0];
    my %what = defined $bytes
        ? (raw => settings() . $bytes,
           after => $name eq 'closed' ? 'close' : 'hang')
        : (body => '{"x":1}');
    my $port = $t->backend($name, '*' => \%what)->port;

    $locations .= <<"EOC";
        location = /$name {
            aggregate_grpc  t.v1.Items/Get get;
            grpc_pass       grpc://127.0.0.1:$port;
        }
EOC
}

my @names = sort keys %answers;

$t->plan(7 * @names + 10);

my $conf = <<'EOC';
%%GLOBALS%%
events { }
http {
    %%HTTP%%
    aggregate_grpc_descriptor   items.pb;
    aggregate_grpc_max_message  1m;
    log_format  call  '$uri $upstream_status $aggregate_grpc_status';
    access_log  %%TESTDIR%%/call.log call;
    server {
        listen 127.0.0.1:%%PORT_0%%;
        grpc_read_timeout 5s;
        location = /stub { stub_status; }
        LOCATIONS
    }
}
EOC

$conf =~ s/LOCATIONS/$locations/;
$t->run($conf);

for my $name (@names) {
    my (undef, $status, $said) = @{ $answers{$name} };

    $t->mark_log;
    my $r = http_get("/$name");
    my $problem = $r->json;

    is($r->status, $status, "$name: status");
    is($r->error, undef, "$name: whole");

    if ($status == 200) {
        like($r->header('Content-Type'), qr{^application/json$},
             "$name: type");
        is($r->body, $name eq 'empty' ? '{}' : '{"id":"7"}', "$name: body");

    } else {
        like($r->header('Content-Type'), qr{^application/problem\+json$},
             "$name: type");
        is($problem->{status}, $status, "$name: body");
    }

    unlike($r->head . $r->body, qr/inner|grpc-|127\.0\.0\.1|secret/,
           "$name: nothing of the backend");
    ok(!$said || $t->wait_log(qr/upstream.*\Q$said\E/),
       "$name: log");

    # a HEAD is the same without a body
    my $h = http_request(HEAD => "/$name");
    is($h->status . length $h->body, $status . 0, "$name: HEAD");
}

is(http_get('/metadata')->header('X-A'), 'b', 'metadata are headers');
is(http_get('/hop')->header('Upgrade'), undef, 'but those of a connection');
is(http_get('/only_16')->header('WWW-Authenticate'), 'Bearer',
   'and the challenge of a 401');
is(http_get('/only_16')->json->{code}, 'UNAUTHENTICATED', 'code');
is(http_get('/trailer_5')->json->{detail}, 'no x', 'detail');
is(http_get('/html_404')->json->{code}, 'NOT_FOUND', 'of no gRPC as well');

my $log = $t->read_file('call.log');

like($log, qr{^/trailer_14 503 14$}m, 'the mapped status is that of upstream');
like($log, qr{^/rst 502 -$}m, 'a reset is a 502');
like($log, qr{^/two 502 -$}m, 'so is a second message');

is($t->stub_status('/stub')->{active}, 1, 'no connection is left');
