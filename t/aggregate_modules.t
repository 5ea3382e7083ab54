# Parts whose locations are other modules': echo, lua and njs, whose handlers
# make subrequests themselves; and filters that fail.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use Test::More;

use Harness;
use IO::Compress::Gzip ();

my $t = Harness->new;

my $load = $t->load_others(qw(ndk_http_module ngx_http_lua_module
                              ngx_http_echo_module ngx_http_js_module));

IO::Compress::Gzip::gzip(\'{"z":1}', \my $gzip);

sub gz {
    return { headers => [ 'Content-Encoding' => 'gzip' ], body => $_[0] };
}

my $b = $t->backend('b', '/1' => '1', '/2' => '2', '/object' => '{"v":2,"x":3}',
    '/large' => { body => 'x' x 100_000 },
    '/none' => { status => 404, body => 'none' },
    '/late' => { delay => slow(1), body => '3' },
    '/later' => { delay => slow(1.5), body => '4' },
    '/gz' => gz($gzip), '/empty' => gz(''), '/plain' => gz('{"a":1}'),
    '/cut' => gz(substr $gzip, 0, 12), '/trail' => gz($gzip . 'garbage'),
    '/204' => { status => 204, headers => [ 'Content-Encoding' => 'gzip' ] });

$t->write_file('ssi.json', '<!--# include virtual="/b/1" -->');
$t->write_file('set.json', '<!--# include virtual="/b/1" set="x" -->'
    . '<!--# echo var="x" encoding="none" -->');
$t->write_file('njs.js', <<'EOF');
function b(r, d, f) {
    r.sendBuffer(d, f);
}
function f(r) {
    r.subrequest("/agg", s => r.return(200, s.status + s.responseText));
}
async function all(r, uris) {
    let a = await Promise.all(uris.map(uri => r.subrequest(uri)));
    r.return(200, '[' + a.map(s => s.status + ',' + s.responseText) + ']');
}
function one(r) {
    all(r, ['/b/1']);
}
function three(r) {
    all(r, ['/b/1', '/agg', '/b/object']);
}
function late(r) {
    all(r, ['/b/late']);
}
function large(r) {
    all(r, ['/b/large']);
}
function none(r) {
    all(r, ['/b/none']);
}
function callback(r) {
    r.subrequest('/b/2', s => r.return(200, s.responseText));
}
function detached(r) {
    r.subrequest('/b/1', { detached: true });
    r.return(200, '5');
}
export default { b, f, one, three, late, large, none, callback, detached }
EOF

# a location's text, and what the part x of the answer may be
my %locations = (
    echo => [ 'echo 7;', '7' ],
    echo_location => [ 'echo_location /b/1;', undef ],
    echo_subrequest => [ 'echo_subrequest GET /b/1;', undef ],
    echo_async => [ 'echo_location_async /b/1;', undef ],
    echo_late => [ 'echo_location /b/late;', undef ],
    echo_several => [ 'echo "["; echo_location /b/1; echo ",";
                       echo_location /b/2; echo "]";', undef ],
    echo_sleep => [ 'echo_sleep ' . slow(1) . '; echo 1;', undef ],
    echo_body => [ 'echo_read_request_body; echo_request_body; echo 1;', '1' ],
    lua => [ 'content_by_lua_block { ngx.print("8") }', '8' ],
    lua_body => [ 'content_by_lua_block { ngx.req.read_body();
                   ngx.print(ngx.req.get_body_data() or "null") }', 'null' ],
    lua_capture => [ 'content_by_lua_block {
            ngx.print(ngx.location.capture("/b/1").body) }', '1' ],
    lua_captures => [ 'content_by_lua_block {
            local a, b = ngx.location.capture_multi{{"/b/1"},{"/b/2"}};
            ngx.print("[", a.body, ",", b.body, "]") }', '[1,2]' ],
    lua_late => [ 'content_by_lua_block {
            ngx.print(ngx.location.capture("/b/late").body) }', undef ],
    lua_one_late => [ 'content_by_lua_block {
            local a, b = ngx.location.capture_multi{{"/b/1"},{"/b/late"}};
            ngx.print(a.body, b.body) }', undef ],
    lua_aggregate_late => [ 'content_by_lua_block {
            ngx.print(ngx.location.capture("/agg_late").body) }', undef ],
    lua_fails => [ 'content_by_lua_block {
            ngx.thread.spawn(function()
                ngx.location.capture("/b/late") end);
            ngx.sleep(0.01); error("fails") }', undef ],
    lua_filter => [ 'body_filter_by_lua_block {
            ngx.arg[1] = ngx.arg[1]:gsub("2", "32") }
            proxy_pass http://127.0.0.1:%%PORT_b%%/2;', '32' ],
    lua_filter_end => [ 'body_filter_by_lua_block {
            ngx.ctx.b = (ngx.ctx.b or "") .. ngx.arg[1]
            ngx.arg[1] = ngx.arg[2] and "[" .. ngx.ctx.b .. "]" or nil }
            proxy_pass http://127.0.0.1:%%PORT_b%%/2;', '[2]' ],
    lua_filter_apply => [ 'aggregate_apply s; body_filter_by_lua_block {
            ngx.arg[1] = ngx.arg[1] }
            proxy_pass http://127.0.0.1:%%PORT_b%%/object;', '{"v":2}' ],
    lua_sleep => [ 'content_by_lua_block { ngx.sleep(' . slow(1)
                   . '); ngx.print("1") }', undef ],
    lua_rewrite => [ 'rewrite_by_lua_block { ngx.sleep(' . slow(1) . ') }
            proxy_pass http://127.0.0.1:%%PORT_b%%/1;', undef ],
    js_one => [ 'js_content njs.one;', '[200,1]' ],
    js_three => [ 'js_content njs.three;',
                  '[200,1,200,{"y":1},200,{"v":2,"x":3}]' ],
    js_callback => [ 'js_content njs.callback;', '2' ],
    js_detached => [ 'js_content njs.detached;', '5' ],
    js_late => [ 'js_content njs.late;', undef ],
    js_large => [ 'js_content njs.large;', undef ],
    js_none => [ 'js_content njs.none;', undef ],
    lua_aggregate => [ 'content_by_lua_block {
            ngx.print(ngx.location.capture("/agg").body) }', '{"y":1}' ],

    # njs takes the mark of the end off a subrequest's body
    js_filter => [ 'js_body_filter njs.b;
            proxy_pass http://127.0.0.1:%%PORT_b%%/2;', '2' ],
    ssi_set => [ 'ssi on; ssi_types *; alias %%TESTDIR%%/set.json;', undef ],
    ssi => [ 'ssi on; ssi_types *; alias %%TESTDIR%%/ssi.json;', undef ],

    # nginx adds nothing to a subrequest
    addition => [ 'add_before_body /b/1; addition_types *;
            proxy_pass http://127.0.0.1:%%PORT_b%%/2;', '2' ],
    mirror => [ 'mirror /b/late; proxy_pass http://127.0.0.1:%%PORT_b%%/2;',
                '2' ],
    gz => [ gunzip('gz'), '{"z":1}' ],
    gz_empty => [ gunzip('empty'), 'null' ],
    gz_204 => [ gunzip('204'), 'null' ],
    gz_plain => [ gunzip('plain'), undef ],
    gz_cut => [ gunzip('cut'), undef ],
    gz_trail => [ gunzip('trail'), undef ],
);

my @names = grep { $load || !/^(?:echo|lua|js)/ } sort keys %locations;
my @within = (
    [ js => 'js_content njs.f;', '200{"y":1}' ],
    [ lua => 'content_by_lua_block {
          local r = ngx.location.capture("/agg");
          ngx.print(r.status, r.body) }',
      '200{"y":1}' ],
    [ echo => 'echo_location /agg; echo_location /agg;', '{"y":1}{"y":1}' ],
    [ async => 'echo_location_async /agg; echo_location_async /agg;',
      '{"y":1}{"y":1}' ],
    [ shaped => 'aggregate_apply s; body_filter_by_lua_block {
          ngx.arg[1] = ngx.arg[1] } proxy_pass http://127.0.0.1:%%PORT_b%%/2;',
      '2' ],
);
@within = () if !$load;

my $conf = join '', map {
    "location = /$_ { internal; $locations{$_}[0] }\n"
    . "location = /a/$_ { aggregate { timeout " . int(slow(400)) . "ms;
       backend x /$_ { } backend y /b/1 { } } }\n" } @names;

$conf .= join '', map { "location = /in/$_->[0] { $_->[1] }\n" } @within;

$conf .= 'location = /outlives { aggregate { timeout ' . int(slow(4)) . 's;
    backend x /lua_fails { } backend y /b/later { } } }';

my $http = $load ? 'js_import njs from %%TESTDIR%%/njs.js;' : '';

$t->plan(@names * 2 + @within + 2);

$t->run(<<"EOF");
$load
%%GLOBALS%%
events { }
http {
    %%HTTP%%
    aggregate_shape s { deny x; }
    $http
    server {
        listen       127.0.0.1:%%PORT_0%%;
        server_name  localhost;
        location /b/ { internal; proxy_pass http://127.0.0.1:%%PORT_b%%/; }
        location = /agg { aggregate { backend y /b/1 { } } }
        location = /agg_late { aggregate { backend y /b/late { } } }
        location = /status { stub_status; }
        $conf
    }
}
EOF

for my $name (@names) {
    my $x = $locations{$name}[1];
    my $c = $t->connect;
    $c->request("GET", "/a/$name");
    my $r = $c->response;
    is($r->status . ' ' . $r->body,
       defined $x ? "200 {\"x\":$x,\"y\":1}" : '200 {"y":1}', $name);

    # what a module still waits for ends without harm
    $c->request("GET", "/agg");
    my $again = $c->response;
    is($again->body, '{"y":1}', "$name: the connection goes on");
    $c->close;
}

is(http_get("/in/$_->[0]")->body, $_->[2], "within $_->[0]")
    for @within;

SKIP: {
    skip 'no lua', 1 if !$load;

    is(http_get('/outlives')->body, '{"y":4}',
       'a part fails before its capture, and another one is answered later');
}

ok(wait_for(sub { $t->stub_status('/status')->{active} == 1 }, 10),
   'no request is left');


sub gunzip {
    return "gunzip on; proxy_pass http://127.0.0.1:%%PORT_b%%/$_[0];";
}
