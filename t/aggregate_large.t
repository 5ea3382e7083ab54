#!/usr/bin/perl

# Bodies of many sizes, which nginx reads in several turns: whole, shaped, on
# one kept connection, together with the header and late, and cut off.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;

use Harness;

my $t = Harness->new(modules => [ 'ngx_http_aggregate_module' ]);

my @sizes = (16, 4095, 8191, 16383, 16384, 16385, 32767, 32768, 32769, 65535,
             65536, 131071, 300_000, 1_000_000);

# each place in it is another one
sub text {
    my ($size) = @_;
    my $text = join ',', map { sprintf '%06d', $_ } 0 .. $size / 7;
    return '["' . substr($text, 0, $size - 4) . '"]';
}

my %answer = map { +"/$_" => { type => 'application/json', body => text($_) } }
    @sizes;

my $b = $t->backend('b', %answer,
    '/cut' => { type => 'application/json', body => text(200_000),
                cut => 100_000 });

$t->plan(2 * @sizes + 2);

$t->run(<<'EOC');

%%GLOBALS%%

events {
}

http {
    %%HTTP%%

    upstream b {
        server     127.0.0.1:%%PORT_b%%;
        keepalive  4;
    }

    proxy_http_version  1.1;
    proxy_set_header    Connection "";

    server {
        listen       127.0.0.1:%%PORT_0%%;
        server_name  localhost;

        location = /whole {
            aggregate { backend a /b/$arg_n { } }
        }

        location = /two {
            aggregate {
                backend a /b/$arg_n { target '[0]'; }
                backend c /small/$arg_n { as 'b'; }
            }
        }

        location /b/ {
            internal;
            proxy_pass  http://b/;
        }

        location /small/ {
            internal;
            proxy_buffer_size   4k;
            proxy_buffers       4 4k;
            proxy_pass          http://b/;
        }
    }
}

EOC

# not is(): nobody reads a million bytes

for my $n (@sizes) {
    my $text = text($n);

    ok(http_get("/whole?n=$n")->body eq qq({"a":$text}), "$n bytes");

    my $first = substr $text, 1, -1;
    ok(http_get("/two?n=$n")->body eq qq({"a":$first,"b":$text}),
       "$n bytes, shaped, and in small buffers");
}

my $r = http_get('/whole?n=cut');
is($r->status, 502, 'cut off');
is($r->json->{backends}{a}, 'truncated', 'and it is said');
