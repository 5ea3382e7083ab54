# The header of a proxied response on its way into a part: lines that are equal
# to those of the response before, names that some locations hide, lines that
# come in two pieces while another response comes, more names than have places,
# and what filters see that run before all others.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use Test::More;

use Harness;

my $t = Harness->new;
my $load = $t->load_others(qw(ndk_http_module ngx_http_lua_module
                              ngx_http_js_module));

my @old = ('Last-Modified' => 'Mon, 06 Jan 2020 00:00:00 GMT');
my @new = ('Last-Modified' => 'Tue, 07 Jan 2020 00:00:00 GMT');

# SSI writes what the subrequest has

my $tells = join '|', map { qq{<!--# echo var="$_" default="" -->} }
    qw(sent_http_last_modified sent_http_content_type sent_http_server
       upstream_http_x_a);

$t->backend('b',
    '/old'  => { body => qq{"$tells"}, headers => [ @old, 'X-A' => 'one' ] },
    '/new'  => { body => qq{"$tells"}, headers => [ @new, 'X-A' => 'two' ] },
    '/both' => { body => qq{"$tells"},
                 headers => [ @old, @new, 'X-A' => 'three', 'X-A' => 'four' ] },
    '/case' => { body => 4, headers => [ 'x-a' => 'five', 'X-a' => 'six' ] },
    '/hide' => { body => qq{"$tells"},
                 headers => [ 'X-B' => 'bee', Server => 'other',
                              'X-A' => 'seven' ] },
    '/cookie' => { body => 6, headers => [ 'Set-Cookie' => 'a=1; Path=/in' ] },
    '/type' => { body => qq{"$tells"},
                 type => 'application/json; charset=latin1' },
    '/redirect' => { headers => [ 'X-Accel-Redirect' => '/t/hide',
                                  'X-B' => 'gone', @old ] },
    '/again' => [ { status => 500, headers => [ 'X-A' => 'wrong' ] },
                  { body => 8, headers => [ 'X-A' => 'right' ] } ],
    '/meanwhile' => { body => qq{"$tells"}, delay => slow(0.2),
                      headers => [ 'X-A' => 'second', @old ] },
    '/many' => sub {
        return { body => 11, headers => [
            map { ("X-N$_" => "value $_") }
                $_[0]{args} * 60 .. $_[0]{args} * 60 + 59 ] };
    },
    '/reason' => { raw => "HTTP/1.1 200\r\nX-A: none\r\n"
                          . "Content-Length: 2\r\n\r\n12" },
    '/ten' => { raw => "HTTP/1.0 200 OK\r\nX-A: ten\r\n"
                       . "Content-Length: 2\r\n\r\n13" },
    '/odd' => { raw => "HTTP/1.1 200 O\rK\r\nX-A: odd\r\n"
                       . "Content-Length: 2\r\n\r\n14" },
    '/cut' => { body => 'x' x 100, cut => 50 },
    '/pieces' => { steps => [
        [ send => "HTTP/1.1 200 OK\r\nContent-Type: text/plain; charset=x\r\n"
                  . "X-A: first\r\nContent-Length: " . length($tells)
                  . "\r\nX-B: a line that is long enough for that\r\n" ],
        [ wait => slow(0.5) ],
        [ send => "X-C: last\r\n$new[0]: $new[1]\r\n\r\n$tells" ],
        [ 'done' ], [ 'keep' ] ] },
);

$t->write_file('njs.js', 'export default { h(r) {
    r.headersOut["X-Top"] = r.variables.upstream_http_x_a || "none" } }');

my $import = $load ? 'js_import njs from %%TESTDIR%%/njs.js;' : '';
my $filters = !$load ? '' : 'js_header_filter njs.h;
    header_filter_by_lua_block {
        ngx.header["X-Lua"] = ngx.var.upstream_http_x_a or "none" }';

my $told = 'pass_header X-A X-B X-C X-Top X-Lua;';
my $many = join ' ', map { "X-N$_" } 0 .. 179;

$t->plan(42);

# the others come after ours, and so are filters that come first

$t->run(<<"EOF");
%%GLOBALS%%
$load
events { }
http {
    %%HTTP%%
    $import
    proxy_http_version 1.1;
    proxy_set_header Connection "";
    upstream b     { server 127.0.0.1:%%PORT_b%%; keepalive 4; }
    upstream twice { server 127.0.0.1:%%PORT_b%% max_fails=0;
                     server 127.0.0.1:%%PORT_b%% max_fails=0; }
    server {
        listen       127.0.0.1:%%PORT_0%%;
        server_name  localhost;
        location /t/ {
            internal;
            ssi on;
            ssi_types application/json text/plain;
            $filters
            proxy_pass http://b/;
        }
        location /hides/ {
            internal;
            ssi on;
            ssi_types *;
            proxy_hide_header X-B;
            proxy_pass http://b/;
        }
        location /shows/ {
            internal;
            ssi on;
            ssi_types *;
            proxy_pass_header Server;
            proxy_pass http://b/;
        }
        location /path/ {
            internal;
            proxy_cookie_path /in /out;
            proxy_pass http://b/;
        }
        location /twice/ {
            internal;
            proxy_next_upstream http_500;
            proxy_pass http://twice/;
        }
        location /one/ {
            aggregate { backend a /t/\$arg_to { $told } }
        }
        location = /hidden {
            aggregate { backend a /hides/hide { $told } }
        }
        location = /shown {
            aggregate { backend a /shows/hide { $told } }
        }
        location = /cookie { aggregate { backend a /path/cookie { } } }
        location = /cut {
            aggregate { backend a /path/cut { encoding string; } }
        }
        location = /again  { aggregate { backend a /twice/again { $told } } }
        location = /two {
            aggregate {
                backend a /t/pieces { encoding string; $told }
                backend b /t/meanwhile { $told }
            }
        }
        location = /many {
            aggregate { backend a /t/many?\${arg_n} { pass_header $many; } }
        }
    }
}
EOF

sub one { return http_get("/one/?to=$_[0]") }
sub all { return join ' ', $_[0]->headers($_[1]) }

# twice in turn, as what is known of a line comes from the one before

my $json = 'application/json';

for my $round (1, 2) {

    is(one('old')->body, qq({"a":"$old[1]|$json||one"}), "old, round $round")
        for 1, 2;

    is(one('new')->body, qq({"a":"$new[1]|$json||two"}), "new, round $round");

    my $r = one('both');
    is(all($r, 'X-A'), 'three four', "both lines of a name, round $round");
    like($r->body, qr/^\{"a":"(?:\Q$old[1]\E|\Q$new[1]\E)\|/,
         'one time, or another');

    is(all(one('case'), 'X-A'), 'five six', "other letters, round $round");

    $r = http_get('/hidden');
    is(all($r, 'X-A') . all($r, 'X-B'), 'seven', "hidden, round $round");
    is($r->body, qq({"a":"|$json||seven"}), 'and so is the server');

    $r = http_get('/shown');
    is(all($r, 'X-A') . all($r, 'X-B'), 'sevenbee', "shown, round $round");
    is($r->body, qq({"a":"|$json|other|seven"}), 'and so is the server');

    is(all(http_get('/cookie'), 'Set-Cookie'), 'a=1; Path=/out',
       "a path of a cookie, round $round");

    is(one('type')->body, qq({"a":"|$json; charset=latin1||"}),
       "a charset, round $round");

    is(all(one('redirect'), 'X-B'), 'bee', "redirected, round $round");
}

my $r = http_get('/again');
is($r->body . all($r, 'X-A'), '{"a":8}right', 'the second server');

$r = http_get('/two');
is($r->body, qq({"a":"$new[1]|text/plain; charset=x||first",)
             . qq("b":"$old[1]|$json||second"}), 'in pieces');
is(all($r, 'X-A') . all($r, 'X-B') . all($r, 'X-C'),
   'first seconda line that is long enough for thatlast', 'all lines');

for my $n (0, 1, 2, 0) {
    $r = http_get("/many?n=$n");
    is(join(' ', map { $r->header("X-N$_") || '' } $n * 60 .. $n * 60 + 59),
       join(' ', map { "value $_" } $n * 60 .. $n * 60 + 59),
       "sixty names, $n");
}

is(all(one('reason'), 'X-A'), 'none', 'no reason phrase');
is(all(one('ten'), 'X-A'), 'ten', 'HTTP/1.0');
is(one('odd')->status, 502, 'a status line that is none');
is(all(one('old'), 'X-A'), 'one', 'and again');

like(http_get('/cut')->body, qr/"truncated"/, 'half of a body is no body');

SKIP: {
    skip 'no lua, no njs', 4 if !$load;

    is(all(one('old'), 'X-Top'), 'one', 'seen by a filter that comes first');
    is(all(one('old'), 'X-Lua'), 'one', 'and by a later one');
    like(all(one('both'), 'X-Top'), qr/three/, 'both lines');
    is(all(one('hide'), 'X-Top'), 'seven', 'of another');
}
