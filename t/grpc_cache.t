# A cache in front of gRPC: nginx's own error for a broken backend is never
# stored, and has no header of that backend; an error of the backend itself is
# stored by its metadata, as one of HTTP would be.

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
my @fresh = ('cache-control' => 'max-age=50', etag => '"e"', 'x-a' => 'b',
             'retry-after' => 7);
my @cookie = (@fresh, 'set-cookie' => 's=secret');

sub only {
    my ($status, $type, @fields) = @_;
    my $out = $status == 200 ? "\x88" : "\x08\x03$status";

    for (@fields = ('content-type', $type, @fields); @fields; ) {
        $out .= field(splice @fields, 0, 2);
    }

    return frame(1, 5, $out);
}

my %broken = (
    two         => headers(@cookie) . message($item) . message($item) . $ok,
    none        => headers(@cookie) . $ok,
    compressed  => headers(@cookie) . message($item, 1) . $ok,
    bad_wire    => headers(@cookie) . message("\x0a\x05a") . $ok,
    no_trailer  => headers(@fresh) . frame(0, 1, "\0\0\0\0\3$item"),
    rst         => headers(@fresh) . message($item)
                   . frame(3, 0, pack('N', 2)),
    large       => headers(@fresh) . message("\x0a\xd0\x0f" . 'x' x 2000) . $ok,
    html        => only(200, 'text/html', @fresh),
    moved       => only(302, 'application/grpc', @fresh),
);

# name => [ bytes, status ]
my %good = (
    item        => [ headers(@fresh) . message($item) . $ok, 200 ],
    not_found   => [ headers(@fresh) . trailers('grpc-status', 5), 404 ],
    at_once     => [ only(200, 'application/grpc', @fresh, 'grpc-status', 5),
                     404 ],
    unavailable => [ headers(@fresh) . trailers('grpc-status', 14), 503 ],
    html_404    => [ only(404, 'text/html', @fresh), 404 ],
);

my %private = (
    cookie      => [ headers(@cookie) . trailers('grpc-status', 5), 404 ],
    stale       => [ headers() . trailers('grpc-status', 5), 404 ],
);

my (%backends, $locations);

for my $name (sort keys %broken, keys %good, keys %private) {
    my $bytes = $broken{$name} // ($good{$name} // $private{$name})->[0];

    $backends{$name} = $t->backend($name,
        '*' => { raw => settings() . $bytes, after => 'hang' });
    my $port = $backends{$name}->port;

    $locations .= <<"EOC";
        location = /$name {
            aggregate_grpc   t.v1.Items/Get get;
            grpc_pass        grpc://127.0.0.1:$port;
        }
        location = /valid_$name {
            aggregate_cache_valid  any 1h;
            aggregate_grpc   t.v1.Items/Get get;
            grpc_pass        grpc://127.0.0.1:$port;
        }
EOC
}

$t->plan(10 * keys(%broken) + 6 * keys(%good) + 3 * keys %private);

my $conf = <<'EOC';
%%GLOBALS%%
events { }
http {
    %%HTTP%%
    aggregate_grpc_descriptor    items.pb;
    aggregate_grpc_max_response  1k;
    aggregate_cache_zone         c 1m;
    server {
        listen 127.0.0.1:%%PORT_0%%;
        aggregate_cache    c;
        grpc_read_timeout  5s;
        LOCATIONS
    }
}
EOC

$conf =~ s/LOCATIONS/$locations/;
$t->run($conf);

for my $name (sort keys %broken) {

    for my $path ("/$name", "/valid_$name") {
        $backends{$name}->clear;

        for my $i (1 .. 2) {
            my $r = http_get($path);

            is($r->status . $r->header('X-Cache'), '502MISS', "$path, $i");

            if ($i == 2) {
                is(join(' ', map { $r->header($_) // '-' } 'Cache-Control',
                        'ETag', 'Set-Cookie', 'X-A', 'Retry-After'),
                   '- - - - -', "$path: no header of the backend");
                is($r->json->{code}, 'UNAVAILABLE', "$path: the body");
            }
        }

        is($backends{$name}->count, 2, "$path: asked each time");
    }
}

for my $name (sort keys %good) {
    my $status = $good{$name}[1];

    for my $was (qw(MISS HIT)) {
        my $r = http_get("/$name");

        is($r->status . $r->header('X-Cache'), "$status$was", "$name, $was");
        is($r->json->{status} // 200, $status, "$name, $was: the body");
    }

    is($backends{$name}->count, 1, "$name: asked once");
    is(http_get("/$name")->header('ETag') // '-',
       $name =~ /at_once|html/ ? '-' : '"e"', "$name: metadata are headers");
}

for my $name (sort keys %private) {
    my $status = $private{$name}[1];

    is(http_get("/$name")->status . http_get("/$name")->header('X-Cache'),
       "${status}MISS", "$name: not stored");
    is($backends{$name}->count, 2, "$name: asked each time");
    is(http_get("/$name")->json->{status}, $status, "$name: the body");
}
