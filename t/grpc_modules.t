# Calls of gRPC within subrequests of other modules: lua, njs, echo, SSI, and
# auth_request.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use Test::More;

use Harness;
use Harness::Grpc qw(descriptor);

my $t = Harness->new;

my $load = $t->load_others(qw(ndk_http_module ngx_http_lua_module
                              ngx_http_echo_module ngx_http_js_module));

$t->port('0');
descriptor($t, 'items.pb', 'items.proto');

my $g = Harness::Grpc->new($t, 'grpc');

$t->backend('b', '/' => 'b');
$t->write_file('www/ssi.html', '<!--# include virtual="/v1/echo/a" -->'
               . '<!--# include virtual="/v1/watch?n=2" -->');
$t->write_file('njs.js', 'export default { f(r) { r.subrequest("/v1/echo/a",'
    . ' s => r.return(200, s.status + s.responseText)) } }');

my $unary = qr/"text":"a"/;
my $stream = qr/\[\{"id":"1",.*\},\{"id":"2",.*\}\]/;

# a location's text, and what is in its body
my %locations = (
    ssi  => [ 'ssi on; ssi_types *; alias %%TESTDIR%%/www/ssi.html;',
              qr/$unary.*$stream/s ],
    auth => [ 'auth_request /v1/echo/a;
               proxy_pass http://127.0.0.1:%%PORT_b%%/;', qr/^b$/ ],
    auth_denied => [ 'auth_request /denied;
               proxy_pass http://127.0.0.1:%%PORT_b%%/;', qr/401/ ],
    auth_broken => [ 'auth_request /broken;
               proxy_pass http://127.0.0.1:%%PORT_b%%/;', qr/500/ ],
    addition => [ 'add_after_body /v1/echo/a; addition_types *;
                   proxy_pass http://127.0.0.1:%%PORT_b%%/;',
                  qr/^b\{.*$unary/ ],
    lua  => [ 'content_by_lua_block {
                 local r = ngx.location.capture("/v1/echo/a");
                 ngx.print(r.status, r.body) }', qr/^200.*$unary/ ],
    lua_error => [ 'content_by_lua_block {
                 local r = ngx.location.capture("/v1/fail?code=5");
                 ngx.print(r.status, r.body) }', qr/^404\{.*\}$/ ],
    lua_two => [ 'content_by_lua_block { local r, q =
                 ngx.location.capture_multi{{"/v1/watch?n=2"},
                                            {"/v1/echo/a"}};
                 ngx.print(r.body, q.body) }', qr/^$stream.*$unary/ ],
    lua_access => [ 'access_by_lua_block {
                 local r = ngx.location.capture("/v1/echo/a") }
                 grpc_pass grpc://127.0.0.1:%%PORT_grpc%%;
                 aggregate_grpc t.v1.Items/Echo get;', qr/"method"/ ],
    echo => [ 'echo_location /v1/echo/a; echo -n c;', qr/$unary.*c$/ ],
    lua_exit => [ 'header_filter_by_lua_block { ngx.exit(502) }
                 grpc_pass grpc://127.0.0.1:%%PORT_grpc%%;
                 aggregate_grpc t.v1.Items/Echo get;', qr/502/ ],
    lua_exit_page => [ 'header_filter_by_lua_block { if ngx.ctx.x == nil
                 and ngx.var.uri == "/lua_exit_page" then ngx.exit(502) end }
                 error_page 502 /v1/echo/a;
                 grpc_pass grpc://127.0.0.1:%%PORT_grpc%%;
                 aggregate_grpc t.v1.Items/Echo get;', qr/$unary|502/ ],
    lua_exit_stream => [ 'header_filter_by_lua_block { ngx.exit(502) }
                 grpc_pass grpc://127.0.0.1:%%PORT_grpc%%;
                 aggregate_grpc_stream sse;
                 aggregate_grpc t.v1.Items/Watch get;', qr/502/ ],
    js   => [ 'js_content njs.f;', qr/^200.*$unary/ ],
);

my @names = grep { $load || !/^(?:lua|echo|js)/ } sort keys %locations;
my $all = join "\n", map { "location = /$_ { $locations{$_}[0] }" } @names;
my $import = $load ? 'js_import njs from %%TESTDIR%%/njs.js;' : '';

$t->plan(2 * @names + 1);

$t->run(<<"EOC");
$load
%%GLOBALS%%
worker_processes 1;
events { }
http {
    %%HTTP%%
    $import
    aggregate_grpc_descriptor items.pb;
    server {
        listen 127.0.0.1:%%PORT_0%%;
        $all
        location /v1/ {
            aggregate_grpc t.v1.Items;
            grpc_pass grpc://127.0.0.1:%%PORT_grpc%%;
        }
        # the status of these calls comes behind their response header
        location = /denied {
            set \$args       code=16&header_first=true;
            aggregate_grpc  t.v1.Items/Fail get;
            grpc_pass       grpc://127.0.0.1:%%PORT_grpc%%;
        }
        location = /broken {
            set \$args                   'id=1';
            aggregate_grpc              t.v1.Items/Get;
            aggregate_grpc_max_message  1;
            grpc_pass                   grpc://127.0.0.1:%%PORT_grpc%%;
        }
        location = /stub { stub_status; }
    }
}
EOC

for my $name (@names) {
    like(http_get("/$name")->body, $locations{$name}[1], $name);

    # HTTP/1.0, with a client that leaves
    my $c = $t->connect;
    $c->send("GET /$name HTTP/1.0\r\n\r\n");
    $c->close;

    ok(wait_for(sub { $t->stub_status('/stub')->{active} == 1 }, slow(5)),
       "$name: connections are closed");
}

is(http_get('/v1/echo/a')->status, 200, 'the worker goes on');
