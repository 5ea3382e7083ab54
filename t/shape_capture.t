#!/usr/bin/perl

# Subrequests of other modules: whoever asks for a location with a shape gets
# what is shaped, or nothing.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use Test::More;

use Harness;

my $t = Harness->new(modules => ['ngx_http_aggregate_module']);

my $doc = '{"name":"Ann","ssn":"SECRET"}';
my $shaped = '{"name":"Ann"}';

$t->backend('b',
    '/doc' => $doc,
    '/long' => '{"name":"Ann","ssn":"' . 'SECRET' x 100000 . '"}',
    '/text' => { body => 'SECRET', type => 'text/plain' },
    '/404' => { status => 404, body => '{"error":1}' },
);

$t->write_file('www/doc.json', $doc);
$t->write_file('www/set.html',
    '<!--#include virtual="/shaped/doc" set="x" --><!--#echo var="x" '
    . 'encoding="none" -->');
$t->write_file('www/include.html', '<!--#include virtual="/shaped/doc" -->');

$t->write_file('capture.js', <<'EOC');
async function capture(r) {
    let reply = await r.subrequest(r.uri.slice(3));
    r.return(200, reply.status + ' ' + reply.responseText);
}

export default { capture };
EOC

# Debian's modules, where this nginx takes them

my $dir = '/usr/lib/nginx/modules';
my %modules = (lua => [ 'ndk_http_module', 'ngx_http_lua_module' ],
               js  => [ 'ngx_http_js_module' ]);
my %have;

for my $name (sort keys %modules) {
    my @files = map { "$dir/$_.so" } @{ $modules{$name} };
    my $load = join '', map { "load_module $_;\n" } @files;
    my ($ok) = $t->test_config("$load%%GLOBALS%%\nevents { }\n"
                               . "http { %%HTTP%% }\n");
    $have{$name} = $load if $ok;
}

sub conf {
    my ($last) = @_;

    my $conf = <<'EOC';
BEFORE
%%GLOBALS%%
AFTER
events { }
http {
    %%HTTP%%
    types { application/json json; text/html html; }

    aggregate_shape m { allow name; }

    JS

    server {
        listen 127.0.0.1:%%PORT_0%%;
        server_name localhost;
        root %%TESTDIR%%/www;

        location /shaped/ {
            proxy_pass http://127.0.0.1:%%PORT_b%%/;
            aggregate_apply m;
        }
        location /file/ { alias %%TESTDIR%%/www/; aggregate_apply m; }
        location /strict/ {
            proxy_pass http://127.0.0.1:%%PORT_b%%/;
            aggregate_apply m strict;
        }
        location /bare/ { proxy_pass http://127.0.0.1:%%PORT_b%%/; }
        location /set.html { ssi on; }
        location /include.html { ssi on; }
        location /slow { aggregate { backend a /shaped/doc { } } }

        LUA
    }
}
EOC

    my $load = join '', map { $have{$_} } sort keys %have;

    my $lua = <<'EOC';
        location /made/ {
            default_type application/json;
            content_by_lua_block { ngx.print('{"name":"Ann","ssn":"SECRET"}') }
            aggregate_apply m;
        }
        location /lua/ {
            content_by_lua_block {
                local r = ngx.location.capture(ngx.var.uri:sub(5))
                ngx.print(r.status, ' ', r.body)
            }
        }
        location /multi {
            content_by_lua_block {
                local a, b = ngx.location.capture_multi {
                    { '/shaped/doc' }, { '/bare/doc' } }
                ngx.print(a.status, a.body, b.status, b.body)
            }
        }
        location /end/ {
            proxy_pass http://127.0.0.1:%%PORT_b%%/;
            aggregate_apply m;
            body_filter_by_lua_block {
                if ngx.status == 200 then ngx.arg[2] = false end
            }
        }
        location /die/ {
            proxy_pass http://127.0.0.1:%%PORT_b%%/;
            aggregate_apply m;
            body_filter_by_lua_block {
                if ngx.status == 200 then error('no') end
            }
        }
        location /changed/ {
            proxy_pass http://127.0.0.1:%%PORT_b%%/;
            aggregate_apply m;
            header_filter_by_lua_block { ngx.header.content_length = nil }
            body_filter_by_lua_block {
                ngx.arg[1] = ngx.arg[1]:gsub('Ann', 'Bob')
            }
        }
EOC

    my $js = 'js_import capture from %%TESTDIR%%/capture.js;';

    $lua = '' if !$have{lua};
    $lua .= 'location /js/ { js_content capture.capture; }' if $have{js};
    $js = '' if !$have{js};

    $conf =~ s/BEFORE/$last ? '' : $load/e;
    $conf =~ s/AFTER/$last ? $load : ''/e;
    $conf =~ s/JS/$js/;
    $conf =~ s/LUA/$lua/;

    return $conf;
}

$t->plan(6 + 2 * (12 * !!$have{lua} + 4 * !!$have{js}));

my $line = qr/"\/shaped\/".*another module takes the response of the subreq/;

for my $last (0, 1) {
    $last ? $t->reload(conf(1)) : $t->run(conf(0));

    is(http_get('/include.html')->body, $shaped, 'SSI');
    is(http_get('/set.html')->body, $shaped, 'SSI with "set"');
    is(http_get('/slow')->body, qq({"a":$shaped}), 'a part');

    if ($have{lua}) {
        is(http_get('/lua/shaped/doc')->body, '502 ', 'lua gets nothing');
        ok($t->wait_log($line), 'and a line says why');
        is(http_get('/lua/shaped/long')->body, '502 ', 'a long body');
        is(http_get('/lua/file/doc.json')->body, '502 ', 'a file');
        is(http_get('/lua/made/x')->body, '502 ', "lua's own");
        is(http_get('/lua/strict/text')->body, '502 ', 'another type, strict');
        is(http_get('/lua/shaped/404')->body, '404 {"error":1}', 'an error');
        is(http_get('/lua/bare/doc')->body, "200 $doc", 'without a shape');
        is(http_get('/multi')->body, "502200$doc", 'several at once');
        is(http_get('/end/doc')->status, 502, 'a filter that takes the end');
        is(http_get('/die/doc')->status, 502, 'a filter that fails');
        is(http_get('/changed/doc')->body, '{"name":"Bob"}',
           'one that does neither');
    }

    if ($have{js}) {
        is(http_get('/js/shaped/doc')->body, "200 $shaped", 'njs');
        unlike(http_get('/js/shaped/long')->body, qr/SECRET/, 'a long body');
        is(http_get('/js/file/doc.json')->body, "200 $shaped", 'a file');
        is(http_get('/js/bare/doc')->body, "200 $doc", 'without a shape');
    }
}
