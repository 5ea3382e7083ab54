# The directives of gRPC: what nginx -t says of them, with file and line.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use Test::More;

use Harness;
use Harness::Grpc qw(descriptor compile);
use Harness::Otlp qw(protobuf);

my $t = Harness->new(modules => [ 'ngx_http_aggregate_module' ]);

descriptor($t, 'items.pb', 'items.proto');

sub rules {
    my ($name, $rule, $more) = @_;

    compile($t, "$name.pb", <<"EOP");
syntax = "proto3";
package r;
import "google/api/annotations.proto";
import "google/protobuf/timestamp.proto";
message In {
  string id = 1; repeated string tags = 2; map<string, string> m = 3;
  In sub = 4; google.protobuf.Timestamp at = 5; int32 n = 6;
}
service S {
  rpc A(In) returns (In) { option (google.api.http) = { $rule }; }
  ${\ ($more // '') }
}
EOP
    return "aggregate_grpc_descriptor $name.pb;";
}

my $n = 0;

# a rule, whose location is to be refused or taken
sub rule {
    my ($rule, $more) = @_;
    my $name = 'r' . $n++;
    return [ rules($name, $rule, $more), 'aggregate_grpc r.S;' ];
}

$t->write_file('no.pb', "\x0a\x05abc");
$t->write_file('text.pb', 'no descriptor');
$t->write_file('edition.pb', "\x0a\x16\x0a\x07e.proto\x62\x08editions"
               . "\x70\xe8\x07");
compile($t, 'alone.pb', 'syntax = "proto3"; package a;
    import "google/api/annotations.proto"; service S { }',
    '--include_source_info');
compile($t, 'one.pb', 'syntax = "proto3"; package d; message M { int32 a = 1; }
    service S { rpc X(M) returns (M); }');
compile($t, 'other.pb', 'syntax = "proto3"; package d;
    message M { string a = 1; }');

my $file = 'aggregate_grpc_descriptor items.pb;';

# [ in http, in the location, what is said ]
my @errors = (
    [ 'aggregate_grpc_descriptor nosuch.pb;', '',
      qr/nosuch\.pb" failed.*:\d+/ ],
    [ 'aggregate_grpc_descriptor .;', '', qr/is not a file|failed/ ],
    [ 'aggregate_grpc_descriptor no.pb;', '',
      qr/no\.pb" is not a FileDescriptorSet in \S+test\.conf:\d+/ ],
    [ 'aggregate_grpc_descriptor text.pb;', '', qr/not a FileDescriptorSet/ ],
    [ 'aggregate_grpc_descriptor edition.pb;', '',
      qr/edition\.pb" uses an edition in "e\.proto" in \S+test\.conf:\d+/ ],
    [ 'aggregate_grpc_descriptor alone.pb;', '',
      qr{lacks "google/api/annotations.proto".*alone\.proto.* in \S+:\d+} ],
    [ 'aggregate_grpc_descriptor one.pb; aggregate_grpc_descriptor other.pb;',
      '', qr/other\.pb" defines "d\.M" differently.* in \S+:\d+/ ],
    [ '', 'aggregate_grpc t.v1.Items;',
      qr/needs "aggregate_grpc_descriptor" in \S+:\d+/ ],
    [ $file, 'aggregate_grpc t.v1.Itens;',
      qr/unknown service "t\.v1\.Itens".*mean "t\.v1\.Items"\? in \S+:\d+/ ],
    [ $file, 'aggregate_grpc nothing;', qr/unknown service "nothing"/ ],
    [ $file, 'aggregate_grpc t.v1.Items/Gett;',
      qr/unknown method "t\.v1\.Items\/Gett".*mean "Get"\? in \S+:\d+/ ],
    [ $file, 'aggregate_grpc t.v1.Items/Get auto;', qr/only argument/ ],
    [ $file, 'aggregate_grpc t.v1.Items/Get t.v1.Items;', qr/only argument/ ],
    [ $file, 'aggregate_grpc t.v1.Items get;', qr/"get".*needs a method/ ],
    [ $file, 'aggregate_grpc auto;', qr/needs a service/ ],
    [ $file, 'aggregate_grpc t.v1.Items strip=/a/;',
      qr/invalid prefix "\/a\/"/ ],
    [ $file, 'aggregate_grpc t.v1.Items strip=a;', qr/invalid prefix "a"/ ],
    [ $file, 'aggregate_grpc t.v1.Items; aggregate_grpc t.v1.Items;',
      qr/is duplicate/ ],
    [ 'aggregate_grpc_descriptor one.pb;', 'aggregate_grpc d.S;',
      qr/no method of "d\.S" has a google\.api\.http rule.* in \S+:\d+/ ],
    [ @{ rule('get: "/v1/{id"') },
      qr/invalid template.*"r\.S\/A": a variable does not end in \S+:\d+/ ],
    [ @{ rule('get: "v1"') }, qr/must begin with "\/"/ ],
    [ @{ rule('get: "/v1/{nosuch}"') }, qr/invalid variable "nosuch".*:\d+/ ],
    [ @{ rule('get: "/v1/{tags}"') }, qr/invalid variable "tags"/ ],
    [ @{ rule('get: "/v1/{m}"') }, qr/invalid variable "m"/ ],
    [ @{ rule('get: "/v1/{sub}"') }, qr/invalid variable "sub"/ ],
    [ @{ rule('post: "/v1" body: "idd"') },
      qr/"body" of "r\.S\/A" names "idd".*did you mean "id"\? in \S+:\d+/ ],
    [ @{ rule('get: "/v1" response_body: "sub.id"') },
      qr/"response_body" of "r\.S\/A" names "sub\.id"/ ],
    [ @{ rule('get: "/v1/{id}"', 'rpc B(In) returns (In) {
        option (google.api.http) = { get: "/v1/{sub.id}" }; }') },
      qr/"GET \/v1\/\{sub\.id\}" of "r\.S\/B" is a rule of "r\.S\/A" already/ ],
    [ @{ rule('body: "*"') }, qr/google\.api\.http of "r\.S\/A" is invalid/ ],
    [ $file, 'aggregate_grpc t.v1.Items; aggregate_grpc_print enum_as_ints;',
      qr/unknown parameter "enum_as_ints".*did you mean "enums_as_ints"/ ],
    [ $file, 'aggregate_grpc_print off enums_as_ints;', qr/"off" among/ ],
    [ $file, 'aggregate_grpc_stream ssee;', qr/did you mean "sse"/ ],
    [ $file, 'aggregate_grpc_stream ping=x;', qr/invalid time "x"/ ],
    [ $file, 'aggregate_grpc_errors other;', qr/invalid value "other"/ ],
    [ $file, 'aggregate_grpc_timeout x;', qr/invalid value/ ],
    [ $file, 'aggregate_grpc_max_message x;', qr/invalid value/ ],
    [ $file, 'aggregate_grpc_ignore_unknown on x;', qr/among names/ ],
    [ "$file aggregate_grpc t.v1.Items;", '', qr/not allowed here/ ],
    [ $file, 'aggregate_grpc_websocket onn;', qr/did you mean "on"/ ],
    [ $file, 'aggregate_grpc_websocket on pin=1s;', qr/mean "ping="/ ],
    [ $file, 'aggregate_grpc_websocket on ping=x;', qr/value "ping=x"/ ],
    [ $file, 'aggregate_grpc_websocket on max_frame=0;', qr/"max_frame=0"/ ],
    (map { [ $file, "aggregate_grpc_websocket on origin=a origin=$_;",
             qr/"origin=\Q$_\E" of "aggregate_grpc_websocket", must.* \S+:\d+/ ]
         } 'http://app.example.com', 'a/b', 'a:', 'a:65536', ''),
    (map { my $name = $_;
           map { [ $file, "$name $_;",
                   qr/invalid value "$_" in "$name", must be a size.* \S+:\d+/ ]
               } qw(0 0k 2g -1) }
         qw(aggregate_grpc_max_message aggregate_grpc_max_response)),
    [ $file, 'aggregate_grpc t.v1.Items; aggregate_grpc_websocket on ping=60s;',
      qr/"ping".*must be below "client_body_timeout" in \S+:\d+/ ],
    [ $file, 'aggregate_grpc t.v1.Items; grpc_read_timeout 5s;
              aggregate_grpc_websocket on;',
      qr/"ping".*must be below "grpc_read_timeout" in \S+:\d+/ ],
);

my @good = (
    [ '', '' ],
    [ $file, '' ],
    [ $file, 'aggregate_grpc t.v1.Items;' ],
    [ $file, 'aggregate_grpc t.v1.Items auto strip=/x;' ],
    [ $file, 'aggregate_grpc t.v1.Items/Plain get;' ],
    [ $file, 'aggregate_grpc off;' ],
    [ $file, 'aggregate_grpc t.v1.Items; aggregate_grpc_websocket on ping=5s
              max_frame=1k origin=a origin=b:8080 "origin=[::1]:8080";' ],
    [ $file, 'aggregate_grpc t.v1.Items; aggregate_grpc_max_message 1;
              aggregate_grpc_max_response 1g;' ],
    [ "$file aggregate_grpc_descriptor items.pb;",
      'aggregate_grpc t.v1.Items;' ],
    [ 'aggregate_grpc_descriptor one.pb;', 'aggregate_grpc d.S auto;' ],
    rule('get: "/v1/{at}"'),
    rule('get: "/v1/{sub.sub.id}/{n}"'),
    rule('post: "/v1" body: "sub" response_body: "tags"'),
    [ $file, 'aggregate_grpc t.v1.Items; aggregate_grpc_stream sse ping=0;
              aggregate_grpc_ignore_unknown a b; aggregate_grpc_print off;
              aggregate_grpc_errors status; aggregate_grpc_timeout 5s;' ],
    [ "aggregate_grpc_stream ping=5s; aggregate_grpc_ignore_unknown on; $file",
      'aggregate_grpc t.v1.Items;' ],
);

$t->plan(@errors + @good + 5);

sub try_conf {
    my ($http, $location, $pass) = @_;

    return $t->test_config(<<"EOC");
%%GLOBALS%%
events { }
http {
    %%HTTP%%
    $http
    server {
        listen 127.0.0.1:%%PORT_0%%;
        location / {
            $location
            @{[ $pass // 'grpc_pass grpc://127.0.0.1:1;' ]}
        }
    }
}
EOC
}

for my $case (@errors) {
    my ($http, $location, $said) = @$case;
    my ($ok, $output) = try_conf($http, $location);

    ok(!$ok && $output =~ $said, "refused: " . ($location || $http)
       . " ($said)") or diag($output);
}

for my $case (@good) {
    my ($ok, $output) = try_conf(@$case);
    ok($ok, "taken: " . ($case->[1] || $case->[0])) or diag($output);
}

for my $pass ('proxy_pass http://127.0.0.1:1;', '') {
    my ($ok, $output) = try_conf($file, 'aggregate_grpc t.v1.Items;', $pass);

    ok(!$ok && $output =~ /needs "grpc_pass" in its location in \S+:\d+/,
       "refused: with \"$pass\"") or diag($output);
}

# what unit tests and fuzzers load is what its sources say

sub files {
    my ($path) = @_;

    open my $in, '<:raw', $path or die "$path: $!\n";
    local $/;
    my %file;

    for (@{ protobuf(scalar <$in>) }) {
        my ($name) = grep { $_->[0] == 1 } @{ protobuf($_->[1]) };
        $file{ $name->[1] } = $_->[1];
    }

    return \%file;
}

my $kept = files("$FindBin::Bin/data/grpc/kinds.pb");
my $made = files(descriptor($t, 'kinds.pb', 'kinds.proto', 'old.proto'));

is(join(' ', sort keys %$kept), join(' ', sort keys %$made), 'kinds.pb');
ok($kept->{$_} eq $made->{$_}, "$_ is as kinds.pb has it")
    for qw(kinds.proto old.proto);
