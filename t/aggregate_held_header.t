#!/usr/bin/perl

# Parts whose filters hold the header until they have the body, and end in a
# way of their own: XML that "xslt_stylesheet" makes JSON of, and images.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;

use Harness;

my $t = Harness->new;
my $load = $t->load_others(qw(ngx_http_xslt_filter_module
                              ngx_http_image_filter_module));

plan(skip_all => 'no xslt and image filters') if !$load;

$t->allow_log(qr/xmlParseChunk\(\) failed|libxml2 error|too big response/);


# "/WAY.SIZE"
sub response {
    my ($uri) = @_;

    my ($way, $size) = $uri =~ m{^/(\w+)\.(\d+)};
    my $body = '<a><b>' . 'b' x $size . '</b></a>';

    if ($way eq 'gif') {
        return { headers => [ 'Content-Type' => 'image/gif' ],
                 body => 'GIF89a' . pack('vv', 12, 34) . "\0" x $size };
    }

    $body = 'GIF89a' . 'b' x $size if $way =~ /^text/;
    $body = substr $body, 0, -6 if $way eq 'broken';
    $body = "x$body" if $way eq 'wrong';

    $way =~ s/^text_//;

    my $head = "HTTP/1.1 200 OK\r\nContent-Type: text/xml\r\n";
    my $length = length($body) + ($way eq 'cut');

    if ($way eq 'chunked') {
        $head .= "Transfer-Encoding: chunked\r\n\r\n";
        $body = join('', map { sprintf "%x\r\n%s\r\n", length, $_ }
                     $body =~ /(.{1,900})/gs) . "0\r\n\r\n";

    } else {
        $head .= "X-Accel-Buffering: yes\r\n" if $way eq 'buffered';
        $head .= "Content-Length: $length\r\n\r\n";
    }

    my $text = $head . $body;
    my @pieces = $way eq 'pieces' ? $text =~ /.{1,700}/gs : $text;

    return { steps => [ (map { [ send => $_ ], [ wait => 0.002 ] } @pieces),
                        [ $way eq 'cut' ? 'close' : 'done' ] ] };
}


$t->backend('b', '/' => sub { response($_[0]{uri}) });
$t->backend('y', '/' => '1');

$t->write_file('a.xslt', <<'EOF');
<?xml version="1.0"?>
<xsl:stylesheet version="1.0"
    xmlns:xsl="http://www.w3.org/1999/XSL/Transform">
<xsl:output method="text" media-type="application/json"/>
<xsl:template match="/">{"v":"<xsl:value-of select="a/b"/>"}</xsl:template>
</xsl:stylesheet>
EOF

my $pass = 'xslt_stylesheet %%TESTDIR%%/a.xslt;
    proxy_pass http://127.0.0.1:%%PORT_b%%/;';
my $y = 'proxy_pass http://127.0.0.1:%%PORT_y%%;';

my %locations = (
    plain => $pass,
    unbuffered => "$pass proxy_buffering off;",
    apply => "$pass aggregate_apply s;",
    cache => "$pass aggregate_cache z; aggregate_cache_valid 1m;",
    stored => "$pass proxy_cache p; proxy_cache_valid 1m;",
    gzip => "$pass gzip on; gzip_types *; gzip_min_length 1;",
    page => "$pass error_page 500 502 =200 /page;",
    proxied => "$pass error_page 500 502 =200 /y;",
    named => "$pass error_page 500 502 = \@y;",
);

my $seconds = int slow(4);
my $conf = '';

for my $name (sort keys %locations) {
    $conf .= "location /$name/ { internal; $locations{$name} }
        location = /a/$name { aggregate { timeout ${seconds}s;
            backend x /$name/\$arg_x { } backend y /y { } } }\n";
}

my @good = qw(xml.10 xml.10 xml.20000 xml.20000 chunked.10 chunked.20000
              pieces.3000 pieces.40000 buffered.20000);
my @bad = qw(broken.10 broken.20000 wrong.10 wrong.20000 cut.10 cut.20000);

$t->plan(keys(%locations) * 2 + 6);

$t->run(<<"EOF");
%%GLOBALS%%
$load
events { }
http {
    %%HTTP%%
    aggregate_shape s { allow v; }
    aggregate_cache_zone z 1m;
    proxy_cache_path %%TESTDIR%%/cache keys_zone=p:1m;
    proxy_http_version 1.1;
    proxy_set_header Connection "";
    server {
        listen       127.0.0.1:%%PORT_0%%;
        server_name  localhost;
        location = /y { $y }
        location \@y { $y }
        location = /page { return 200 '{"page":1}'; }
        location /image/ { internal; image_filter size;
            proxy_pass http://127.0.0.1:%%PORT_b%%/; }
        location /small/ { internal; image_filter size; image_filter_buffer 1k;
            error_page 415 = /y;
            proxy_pass http://127.0.0.1:%%PORT_b%%/; }
        location /test/ { internal; image_filter test;
            proxy_pass http://127.0.0.1:%%PORT_b%%/; }
        location = /a/test { aggregate { timeout ${seconds}s;
            backend y /y { } backend x /test/\$arg_x { encoding string; } } }
        location = /a/image { aggregate { backend x /image/\$arg_x { }
            backend y /y { } } }
        location = /a/small { aggregate { backend x /small/\$arg_x { }
            backend y /y { } } }
        location = /errors { aggregate { errors e; timeout ${seconds}s;
            backend x /plain/\$arg_x { } backend y /y { hidden; } } }
        $conf
    }
}
EOF

for my $name (sort keys %locations) {
    my @differ = grep {
        my ($size) = /(\d+)/;
        asked("/a/$name?x=$_")
            ne '{"x":{"v":"' . 'b' x $size . '"},"y":1}';
    } @good;

    is("@differ", '', $name);

    is(join('', map { asked("/a/$name?x=$_") } @bad), '{"y":1}' x @bad,
       "$name: not XML, or not whole");
}

is(join(' ', map { asked("/errors?x=$_") =~ /"reason":"(\w+)","status":(\w+)/
                   ? "$1,$2" : '-' } @bad),
   join(' ', ('status,500') x 4, ('truncated,200') x 2), 'the reasons');

# the header comes with the first bytes, and nginx goes on buffering

is(join(' ', grep {
    my ($size) = /(\d+)/;
    asked("/a/test?x=$_") ne '{"y":1,"x":"GIF89a' . 'b' x $size . '"}';
} qw(text.10 text.20000 text.20000 text_chunked.40000 text_pieces.3000
     text_pieces.9000 text_pieces.40000 text_pieces.200000)), '',
   'header and first bytes');
is(asked('/a/test?x=text_cut.2000'), '{"y":1}', 'and not the last ones');

# nginx's image filter waits for ever for the end of a subrequest's body

is(asked('/a/image?x=gif.2000'), '{"y":1}', 'an image');
is(asked('/a/image?x=gif.20000'), '{"y":1}', 'a large one');
is(asked('/a/small?x=gif.2000'), '{"x":1,"y":1}',
   'one that the filter rejects, and its error page');


sub asked {
    my ($uri) = @_;

    my $c = $t->connect;
    $c->request(GET => $uri);

    my $r = $c->response;

    # the connection goes on
    $c->request(GET => '/y');
    return $c->response->body eq '1' ? $r->body : 'closed';
}
