# What is taken from a backend is copied byte for byte; what is no JSON is a
# failed part.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use Test::More;

use Harness;
use Harness::Aggregate;

my $t = Harness->new(modules => ['ngx_http_aggregate_module']);

my @valid = (
    '12345678901234567890', '-12345678901234567890123456789012345678901',
    '9007199254740993', '1.0', '1.10', '-0', '-0.0', '0', '0e0', '0.0e-0',
    '1e400', '-1E+400', '1e-400', '1E5', '123.456e+7', '9' x 1000,
    '0.' . '1' x 1000, 'true', 'false', 'null', '""', '[]', '{}', '[{}]',
    '{"":1}', '{"a":{}}', '{"":{"":[""]}}', '[[],[],{}]',
    '"\u00e9"', '"\u00E9"', "\"\xc3\xa9\"", '"\ud800"', '"\udc00"',
    '"\udc00\ud800"', '"\ud83d\ude00"', "\"\xf0\x9f\x98\x80\"",
    '"\ud800x"', '"\u0000"', '"a\u0000b"', '"\u001f"', '"\/"', '"/"',
    '"\"\\\\\/\b\f\n\r\t"', '"\\\\"', '"\\\\\\""', "\"\x7f\"",
    "\"\xf4\x8f\xbf\xbf\"", "\"\xef\xbf\xbf\"", "\"\xee\x80\x80\"",
    "\"\xed\x9f\xbf\"", "\"\xe0\xa0\x80\"", "\"\xc2\x80\"", "\"\xef\xbb\xbf\"",
    "\"\xe2\x80\xa8\"",
    '{"b":1,"a":2,"c":3}', '{"a":1,"a":2,"a":3}', '{"\u0061":1,"a":2}',
    '{"a\"b":1}', "{\"\xc3\xa9\":\"\\u00e9\"}", '{"a":[1,2,{"b":null}]}',
    '{"__proto__":1,"constructor":2}', '"<script>&\'"', '"{"', '"}"', '"]"',
    '["a",1,true,null,{"x":[]}]', '"' . 'x' x 40000 . '"',
    '"' . "\xc3\xa9" x 20000 . '"', '"' . '\u00e9' x 10000 . '"',
    '[' x 128 . ']' x 128, '{"a":' x 128 . '1' . '}' x 128,
    '[{"a":' x 64 . '[]' =~ s/\[\]/1/r . '}]' x 64,
    '[' . join(',', 1 .. 3000) . ']',
    '{' . join(',', map { "\"k$_\":$_" } 1 .. 1500) . '}',
);

my @spaced = (
    " 1 ", "\t{\r\n\t\"a\" : [ 1 , 2 ] ,\n \"b\":{ } }\r\n", "\n\n\"a b\"\n",
    "[ ]", "{ }", " null\n", "[\n\n1\n,\t2 ]", ' { "a b" : " c  d " } ',
    ' ' x 5000 . '1' . "\n" x 5000,
);

my @invalid = (
    '[' x 129 . ']' x 129, '{"a":' x 129 . '1' . '}' x 129,
    '[' x 100000, '{"a":' x 50000,
    '01', '-01', '00', '1.', '.5', '-.5', '+1', '-', '--1', '1e', '1e+', '1e-',
    '1.e1', '0x1', '1_000', '1a', '1 2', '1,2', 'NaN', '-Infinity', 'nul',
    'nulll', 'null null', 'True', 'TRUE', 'tru', 'truefalse', 'undefined',
    'f', 'n', 't',
    '"', '"a', '"a\"', '"a\\', '"\x41"', '"\a"', '"\u"', '"\u12"', '"\u123"',
    '"\u123', '"\u12g4"', '"\U0041"', '"\\', "'a'", "\"\x01\"", "\"a\nb\"",
    "\"\t\"", "\"\x00\"", "\"\x1f\"", '"a""b"', '"a"b', '"a" "b"',
    '[', ']', '{', '}', '[1', '[1,', '[1,]', '[,1]', '[,]', '[1 2]', '[1,,2]',
    '[1}', '[1]]', '[1],', '[]1', '[[]',
    '{"a"', '{"a":', '{"a":1', '{"a":1,', '{"a"}', '{"a":}', '{"a":1,}',
    '{,}', '{,"a":1}', '{a:1}', '{"a" 1}', '{1:1}', '{null:1}', '{"a":1 "b":2}',
    '{"a":1,"b"}', '{"a":1]', '{"a":1}}', '{"a"::1}', '{"a":1:2}', '{[]:1}',
    "{'a':1}", '{"a\':1}', '{}{}', '{} []', '{}x', '[]"a"', '{"a":1;"b":2}',
    "\xef\xbb{}", "\xef\xbb\xbf\xef\xbb\xbf{}", "{}\xef\xbb\xbf",
    "\xfe\xff\x00{", "\xff\xfe{\x00}\x00",
    "\"\xff\"", "\"\xfe\"", "\"\x80\"", "\"\xbf\"", "\"\xc0\x80\"",
    "\"\xc1\xbf\"", "\"\xe0\x80\x80\"", "\"\xe0\x9f\xbf\"",
    "\"\xf0\x80\x80\x80\"", "\"\xf0\x8f\xbf\xbf\"", "\"\xed\xa0\x80\"",
    "\"\xed\xbf\xbf\"", "\"\xed\xa0\xbd\xed\xb8\x80\"", "\"\xf4\x90\x80\x80\"",
    "\"\xf5\x80\x80\x80\"", "\"\xf8\x88\x80\x80\x80\"", "\"\xc3\"",
    "\"\xe2\x82\"", "\"\xf0\x9f\x98\"", "\"\xc3x\"", "\"\xe2\x82x\"",
    "\"\xe2x\x82\"", "{\"\xff\":1}", "\"\xc3", "\xff", "[\xff]",
    '/*c*/1', '1//c', "1 #c\n", '1;', '<html>', '<', 'hello', '(1)', '`1`',
    "\0", "1\0", "{}\0", "[1,\0002]", "\x0c1", "\x0b1", "\xc2\xa01", "1\x1a",
    "\xe2\x80\xa81", '\u0031', '"\ud800\u"', '[1,2,3', '[' . '1,' x 20000,
    '"' . 'x' x 40000, '"' . 'x' x 40000 . "\n\"", '9' x 1000 . 'x',
    "callback({})", ")]}',\n{}", "{}\n{}\n",
);

# what a form of sending does to these is seen too
my %how = (
    whole   => sub { { body => $_[0] } },
    chunked => sub { { body => $_[0], chunked => [ $_[0] =~ /(.)/gs ] } },
    close   => sub { { body => $_[0], length => undef } },
    dripped => sub { { body => $_[0], drip => 0.002,
                       drip_bytes => 1 + int(length($_[0]) / 16) } },
);

my %documents = (valid => \@valid, spaced => \@spaced, invalid => \@invalid);

$t->backend('b', '/' => sub {
    my (undef, $how, $kind, $n) = split m{/}, $_[0]{path};
    return $how{$how}->($documents{$kind}[$n]);
});

my @cases = (
    [ 'an empty body is null', q{ backend v /empty/empty { } },
      '200 complete {"v":null}' ],
    [ 'an empty chunked body', q{ backend v /empty/chunked { } },
      '200 complete {"v":null}' ],
    [ 'an empty body up to the close', q{ backend v /empty/close { } },
      '200 complete {"v":null}' ],
    [ 'status 204', q{ backend v /empty/204 { } }, '200 complete {"v":null}' ],
    [ '201 without a body', q{ backend v /empty/201 { } },
      '200 complete {"v":null}' ],
    [ 'status 205', q{ backend v /empty/205 { } }, '200 complete {"v":null}' ],
    [ 'an empty body has no members to merge',
      q{ backend v /empty/204 { merge; } }, '200 complete {}' ],
    [ 'an empty body is shaped as null is',
      q{ backend a /empty/204 { target x; default []; }
         backend b /empty/null { target x; default []; }
         backend c /empty/empty { target x; }
         backend d /empty/204 { set x.y 1; allow z; }
         backend e /empty/null { set x.y 1; allow z; }
         backend f /empty/204 { target x; default '{}'; fail_on e; set x 1; }
         backend g /empty/204 { merge; set m 1; } },
      '200 complete {"a":[],"b":[],"c":null,"d":{"x":{"y":1}},'
      . '"e":{"x":{"y":1}},"f":{"x":1},"m":1}' ],
    [ 'an empty body of a status that is not accepted',
      q{ backend v /empty/404 { } backend w /empty/204 { } },
      '200 partial:v {"w":null}' ],
    [ 'a type that is not JSON, with JSON in it',
      q{ backend v /empty/html { } }, '200 complete {"v":{"a":1}}' ],
    [ 'no type at all',
      q{ backend v /empty/notype { } }, '200 complete {"v":[1]}' ],
    [ 'a charset', q{ backend v /empty/charset { } },
      '200 complete {"v":"x"}' ],
    [ 'nothing but blanks: empty, or no JSON',
      q{ backend v /empty/blank { } },
      [ '200 complete {"v":null}', '502 {"v":"invalid_json"}' ] ],

    [ 'encoding string', q{ backend v /text/plain { encoding string; } },
      qr!^200 complete \{"v":"a \\"b\\" \\\\ \\n\\t(?:\\/|/)}"\}$! ],
    [ 'encoding string, UTF-8',
      q{ backend v /text/utf8 { encoding string; } },
      [ "200 complete {\"v\":\"\xc3\xa9\xf0\x9f\x98\x80\"}",
        qr/^200 complete \{"v":"\\u00e9\\ud83d\\ude00"\}$/i ] ],
    [ 'encoding string, control characters',
      q{ backend v /text/control { encoding string; } },
      qr/^200 complete \{"v":"a\\u0000\\u001b\\u001f(?:\x7f|\\u007f)"\}$/i ],
    [ 'encoding string, not UTF-8',
      q{ backend v /text/latin1 { encoding string; } },
      [ '502 {"v":"encoding"}', '502 {"v":"invalid_json"}' ] ],
    [ 'encoding string, a cut UTF-8 sequence',
      q{ backend v /text/cut { encoding string; } },
      [ '502 {"v":"encoding"}', '502 {"v":"invalid_json"}' ] ],
    [ 'encoding string, JSON stays a string',
      q{ backend v /text/json { encoding string; } },
      '200 complete {"v":"{\"a\":1}"}' ],
    [ 'encoding string, nothing',
      q{ backend v /empty/204 { encoding string; } },
      [ '200 complete {"v":null}', '200 complete {"v":""}' ] ],
);

$t->backend('e',
    '/empty'   => { body => '' },
    '/chunked' => { body => '', chunked => 1 },
    '/close'   => { body => '', length => undef },
    '/204'     => { status => 204 },
    '/201'     => { status => 201 },
    '/205'     => { status => 205, length => 0 },
    '/404'     => { status => 404 },
    '/null'    => 'null',
    '/html'    => { type => 'text/html', body => '{"a":1}' },
    '/notype'  => { type => undef, body => '[1]' },
    '/charset' => { type => 'application/json; charset=utf-8', body => '"x"' },
    '/blank'   => { body => " \r\n\t " },
);

$t->backend('x',
    '/plain'   => { type => 'text/plain', body => "a \"b\" \\ \n\t/}" },
    '/utf8'    => "\xc3\xa9\xf0\x9f\x98\x80",
    '/control' => "a\0\x1b\x1f\x7f",
    '/latin1'  => "caf\xe9",
    '/cut'     => "caf\xc3",
    '/json'    => '{"a":1}',
);

$t->plan(@cases + 12);

serve($t, cases => \@cases, server => q{
    location /empty/ { internal; proxy_pass http://127.0.0.1:%%PORT_e%%/; }
    location /text/  { internal; proxy_pass http://127.0.0.1:%%PORT_x%%/; }
    location /v { aggregate { backend v /b/$arg_h/$arg_k/$arg_n { } } }
});

check($t, @cases);

for my $how (sort keys %how) {
    my $c = $t->connect;

    for my $kind (sort keys %documents) {
        my @wrong;

        for my $n (0 .. $#{ $documents{$kind} }) {
            my $document = $documents{$kind}[$n];

            # what has so many pieces is seen once in a while only
            next if $how eq 'dripped' && ($n % 4 || length $document > 5000);
            next if $how eq 'chunked' && length $document > 5000;

            $c->request(GET => "/v?h=$how&k=$kind&n=$n");
            my $r = $c->response;
            my $got = outcome($r);

            my $wanted = $kind eq 'invalid' ? '502 {"v":"invalid_json"}'
                : '200 complete {"v":' . squeeze($document) . '}';

            push @wrong, short($document) . ' gave ' . short($got)
                if $got ne $wanted;
        }

        ok(!@wrong, "$kind documents, $how") or diag(map { "$_\n" } @wrong);
    }
}


sub short {
    my ($text) = @_;
    $text =~ s/([^ -~])/sprintf '\\x%02x', ord $1/ge;
    return length $text > 200 ? substr($text, 0, 200) . '...' : $text;
}
