# Bodies on their way through the filter: large ones in pieces of one byte and
# in huge buffers, cut at every place, nested deeply; all statements; memory.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use Test::More;

use Digest::MD5 qw(md5_hex);

use Harness;

my $t = Harness->new(modules => ['ngx_http_aggregate_module']);

my $size = 3 * 1024 * 1024;

my $item = '{"id":12345678901234567890,"t":"\\u00e9 \\"q\\" ' . 'x' x 60
    . '","n":[1,{"secret":"s"},[]],"secret":{"a":[1,2,"]}"]}},';
my $kept = $item =~ s/,?"secret":(?:"s"|\{[^}]*\}"\]\})//gr;
my $count = int($size / length $item);
my $doc = '[' . $item x $count . '0]';
my $answer = '[' . $kept x $count . '0]';
my $ids = '[' . '{"id":12345678901234567890},' x ($count - 1)
    . '{"id":12345678901234567890}]';

# what a cut might break: names, escapes, UTF-8, numbers, literals
my $small = "{ \"na\\u006de\" : -1.50e+3 ,\"\\ud83d\\ude00\":\"\xc3\xa9\","
    . "\"secret\":{\"name\":[true,\"\\\\\"]},\"l\":[null,{\"secret\":1}]}";
my $rest = "{\"na\\u006de\":-1.50e+3,\"\\ud83d\\ude00\":\"\xc3\xa9\","
    . '"l":[null,{}]}';

my $all = '{"data":{"list":[{"a":1,"b":{"c":2,"e":1}},{"a":3,"b":{"c":4}},'
    . '{"a":5}],"old":{"x":[1]},"drop":1,"first":"F","name":1}}';

sub chunks { return join('', map { sprintf "%x\r\n%s\r\n", length, $_ } @_)
                 . "0\r\n\r\n" }

sub bytes { return $_[0] =~ s/(.)/1\r\n$1\r\n/gsr }

my $head = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
    . "Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n";

my $b = $t->backend('b',
    '/large' => { body => $doc },
    '/bytes' => { raw => $head . bytes('[') . bytes($item) x $count
                  . bytes('0]') . "0\r\n\r\n" },
    '/cut/' => sub {
        my ($at) = $_[0]{path} =~ m{(\d+)$};
        return { raw => $head . chunks(substr($small, 0, $at),
                                       substr($small, $at)) };
    },
    '/drip' => { body => $small, drip => 0.001 },
    '/deep' => '[' x 128 . ']' x 128,
    '/deeper' => '[' x 129 . ']' x 129,
    '/deepdrop' => '{"secret":' . '[' x 127 . ']' x 127 . ',"a":1}',
    '/deeperdrop' => '{"secret":' . '[' x 128 . ']' x 128 . ',"a":1}',
    '/all' => $all,
);

$t->write_file('www/large.json', $doc);

$t->plan(39 + 2 * (length($small) - 1));
$t->run(<<'EOC');
%%GLOBALS%%
events { }
http {
    %%HTTP%%
    types { application/json json; }
    aggregate_shape hide { deny secret [].secret [].n[].secret l[].secret; }
    aggregate_shape ids  { allow [].id; }
    aggregate_shape all  {
        target data;
        limit  list $arg_n 2;
        allow  list old first name;
        deny   list[].b.e;
        rename list[].b bee;
        rename first name;
        move   old.x new.place.x;
        set    list[].by $arg_by;
        set    const '{"v":[1, 2]}';
    }

    upstream b { server 127.0.0.1:%%PORT_b%%; }

    server {
        listen 127.0.0.1:%%PORT_0%%;
        server_name localhost;
        root %%TESTDIR%%/www;
        proxy_http_version 1.1;
        gzip_types *;

        location /hide/  { proxy_pass http://b/; aggregate_apply hide; }
        location /ids/   { proxy_pass http://b/; aggregate_apply ids; }
        location /all/   { proxy_pass http://b/; aggregate_apply all; }
        location /unbuf/ { proxy_pass http://b/; aggregate_apply hide;
                           proxy_buffering off; }
        location /tiny/  { proxy_pass http://b/; aggregate_apply hide;
                           proxy_buffer_size 1k; proxy_buffers 2 1k;
                           proxy_busy_buffers_size 1k; }
        location /huge/  { proxy_pass http://b/; aggregate_apply hide;
                           proxy_buffer_size 4m; proxy_buffers 2 4m;
                           proxy_busy_buffers_size 4m; }
        location /file/  { alias %%TESTDIR%%/www/; sendfile on;
                           aggregate_apply hide; }
        location /pages/ { alias %%TESTDIR%%/www/; output_buffers 1 4m;
                           aggregate_apply hide; }
        location /gzip/  { proxy_pass http://b/; aggregate_apply hide;
                           gzip on; }
        location /agg    { aggregate { backend a /part/large { }
                                       max_body_size 8m; } }
        location /part/  { internal; proxy_pass http://b/;
                           aggregate_apply hide; }
    }
}
EOC

sub same {
    my ($r, $body, $name) = @_;

    is($r->status, 200, "$name: 200");
    is(md5_hex($r->body), md5_hex($body), "$name: the body");
    is($r->header('Content-Length'), length $body, "$name: its length");
}

my @o = (timeout => slow(60));

# large

same(http_get("/$_/large", @o), $answer, "$_ large")
    for qw(hide unbuf tiny huge);
same(http_get("/$_/large.json", @o), $answer, "$_ large") for qw(file pages);
same(http_get("/$_/bytes", @o), $answer, "$_, bytes")
    for qw(hide unbuf);
same(http_get('/ids/large', @o), $ids, 'ids');

# every cut

for my $at (1 .. length($small) - 1) {
    is(http_get("/$_/cut/$at")->body, $rest, "$_: cut at $at")
        for qw(hide unbuf);
}

is(http_get('/unbuf/drip', @o)->body, $rest, 'byte by byte');

# depth

is(http_get('/hide/deep')->body, '[' x 128 . ']' x 128, 'deep');
is(http_get('/hide/deeper')->status, 502, 'too deep');
is(http_get('/hide/deepdrop')->body, '{"a":1}', 'deep in what goes');
is(http_get('/hide/deeperdrop')->status, 502, 'too deep in what goes');

# all statements, in their order

is(http_get('/all/all?n=1&by=m"e')->body,
   '{"list":[{"a":1,"bee":{"c":2},"by":"m\"e"}],"old":{},"name":"F",'
   . '"new":{"place":{"x":[1]}},"const":{"v":[1, 2]}}', 'all statements');
is(http_get('/all/all')->body,
   '{"list":[{"a":1,"bee":{"c":2},"by":""},{"a":3,"bee":{"c":4},"by":""}],'
   . '"old":{},"name":"F","new":{"place":{"x":[1]}},"const":{"v":[1, 2]}}',
   'without what variables give');

# a part, and gzip

same(http_get('/gzip/large', @o), $answer, 'gzip, not asked for');

my $r = http_get('/agg', @o);
is($r->header('X-Aggregate'), 'complete', 'a large part');
is(md5_hex($r->body), md5_hex(qq({"a":$answer})), 'its body');
