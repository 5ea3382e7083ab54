# Required fields of proto2: a message that lacks one is refused before a
# backend is asked, wherever the field stands and whatever could bind it.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use Test::More;

use Harness;
use Harness::Grpc qw(frame settings field);

my $many = join '', map { "optional int32 f$_ = $_;\n" } 10 .. 150;

my $proto = <<"EOP";
syntax = "proto2";
package r;
import "google/api/annotations.proto";

message Leaf {
    required string name = 1;
    optional int32 n = 2;
}

message Free {
    optional string text = 1;
}

message Call {
    required string id = 1;
    optional Leaf leaf = 2;
    repeated Leaf leaves = 3;
    map<string, Leaf> by_name = 4;
    optional group Part = 5 { required bool on = 1; optional Call call = 2; }
    optional Free free = 6;
    optional Leaf other = 7;
    extensions 1000 to max;
}

extend Call {
    optional Leaf more = 1000;
}

message Wide {
    $many
    required int32 last = 151;
}

service Calls {
    rpc Get(Call) returns (Free) {
        option (google.api.http) = { get: "/get/{id}" };
    }
    rpc Post(Call) returns (Free) {
        option (google.api.http) = { post: "/post/{id}" body: "*" };
    }
    rpc Leave(Call) returns (Free) {
        option (google.api.http) = { post: "/leaf/{id}" body: "leaf" };
    }
    rpc Sub(Call) returns (Free) {
        option (google.api.http) = { post: "/sub/{leaf.name}" body: "*" };
    }
    rpc Many(stream Call) returns (Free) {
        option (google.api.http) = { post: "/many" body: "*" };
    }
    rpc Width(Wide) returns (Free) {
        option (google.api.http) = { post: "/wide" body: "*" };
    }
    rpc None(Free) returns (Call) {
        option (google.api.http) = { post: "/free" body: "*" };
    }
}
EOP

my @good = (
    '/get/a' => undef,
    '/get/a?leaf.name=x' => undef,
    '/post/a' => '{}',
    '/post/a' => '',
    '/post/a' => '{"leaf":{"name":""},"free":{}}',
    '/post/a' => '{"leaves":[{"name":"x"},{"name":"y","n":1}]}',
    '/post/a' => '{"byName":{"k":{"name":"x"}}}',
    '/post/a' => '{"part":{"on":false,"call":{"id":"b"}}}',
    '/post/a' => '{"[r.more]":{"name":"x"}}',
    '/leaf/a' => '{"name":"x"}',
    '/sub/x' => '{"id":"a"}',
    '/sub/x' => '{"id":"a","leaf":{"n":1}}',
    '/many' => '[{"id":"a"},{"id":"b"}]',
    '/many' => '[]',
    '/wide' => '{"last":0}',
    '/wide' => '{"f10":1,"f150":1,"last":0}',
    '/free' => '{}',
);

my @bad = (
    '/get/a?leaf.n=1' => undef, 'name: missing in r.Leaf',
    '/post/a' => '{"leaf":{}}', 'name: missing in r.Leaf',
    '/post/a' => '{"leaf":{"n":1},"other":{"name":"x"}}',
        'name: missing in r.Leaf',
    '/post/a' => '{"leaves":[{"name":"x"},{}]}', 'name: missing in r.Leaf',
    '/post/a' => '{"byName":{"k":{"name":"x"},"l":{}}}',
        'name: missing in r.Leaf',
    '/post/a' => '{"part":{}}', 'on: missing in r.Call.Part',
    '/post/a' => '{"part":{"on":true,"call":{"free":{}}}}',
        'id: missing in r.Call',
    '/post/a' => '{"[r.more]":{"n":3}}', 'name: missing in r.Leaf',
    '/leaf/a' => '{}', 'name: missing in r.Leaf',
    '/sub/x' => '{}', 'id: missing in r.Call',
    '/many' => '[{"id":"a"},{}]', 'id: missing in r.Call',
    '/many' => '[{"id":"a","leaf":{}}]', 'name: missing in r.Leaf',
    '/wide' => '{}', 'last: missing in r.Wide',
    '/wide' => '{"f10":1,"f73":1,"f74":1,"f150":1}',
        'last: missing in r.Wide',
);

my $t = Harness->new(modules => [ 'ngx_http_aggregate_module' ]);

$t->plan(@good / 2 + 3 * @bad / 3 + 2);
Harness::Grpc::compile($t, 'required.pb', $proto);

my $asked = settings() . frame(1, 5, "\x88"
    . field('content-type', 'application/grpc') . field('grpc-status', 7));

$t->backend('grpc', '*' => { raw => $asked, after => 'hang' });

$t->run(<<'EOC');
%%GLOBALS%%
events { }
http {
    %%HTTP%%
    aggregate_grpc_descriptor  required.pb;
    server {
        listen 127.0.0.1:%%PORT_0%%;

        location / {
            aggregate_grpc  r.Calls;
            grpc_pass       grpc://127.0.0.1:%%PORT_grpc%%;
        }
    }
}
EOC

while (my ($uri, $body) = splice @good, 0, 2) {
    my $r = defined $body ? post($uri, $body) : http_get($uri);
    is($r->status, 403, "$uri " . ($body // ''));
}

while (my ($uri, $body, $why) = splice @bad, 0, 3) {
    my $r = defined $body ? post($uri, $body) : http_get($uri);
    my $what = "$uri " . ($body // '');

    is($r->status, 400, $what);
    is($r->json->{detail}, $why, "$what: what is missing");
    is($r->json->{code}, 'INVALID_ARGUMENT', "$what: the code");
}

# many of them in one message, each of which is looked at once

my $leaves = join ',', ('{"name":"x"}') x 20_000;
my $r = post('/post/a', qq({"leaves":[$leaves]}));
is($r->status, 403, '20,000 messages');
$r = post('/post/a', qq({"leaves":[$leaves,{}]}));
is($r->status, 400, 'the last of which is missing a field');


sub post {
    my ($uri, $body) = @_;

    return http_request(POST => $uri, body => $body,
        headers => [ 'Content-Type' => 'application/json' ]);
}
