#!/usr/bin/perl

# Subrequests of other modules, whose handlers take the first end of a
# subrequest for the last one: a 304 about another response is fetched anew for
# them, too, whatever handler has answered so, and a stale response stands in
# for an error.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;

use Harness;

my $t = Harness->new;

my $load = $t->load_others(qw(ndk_http_module ngx_http_lua_module
                              ngx_http_echo_module ngx_http_js_module));

# the content of a location, and the answer around the body of its subrequest

my %owners = (
    plain     => [ 'proxy_pass http://127.0.0.1:%%PORT_api%%/sub/plain;
                    aggregate_cache api;' ],
    ssi       => [ 'ssi on; ssi_types *; alias %%TESTDIR%%/ssi.html;' ],
    ssi_wait  => [ 'ssi on; ssi_types *; alias %%TESTDIR%%/wait.html;' ],
    ssi_set   => [ 'ssi on; ssi_types *; alias %%TESTDIR%%/set.html;' ],
    ssi_stub  => [ 'ssi on; ssi_types *; alias %%TESTDIR%%/stub.html;' ],
    addition  => [ 'add_before_body /sub/addition; addition_types *;
                    alias %%TESTDIR%%/empty.html;' ],
    aggregate => [ 'aggregate { backend x /sub/aggregate
                        { encoding string; } }', '{"x":"%s"}' ],
    nested    => [ 'aggregate { backend x /inner { } }', '{"x":{"x":"%s"}}' ],
    inner     => [ 'internal; aggregate { backend x /sub/inner
                        { encoding string; } }' ],
);

my %others = (
    lua       => [ 'content_by_lua_block {
            local r = ngx.location.capture("/sub/lua")
            ngx.print(r.status, r.body) }', '200%s' ],
    lua_multi => [ 'content_by_lua_block {
            local a, b = ngx.location.capture_multi{
                {"/sub/lua_multi"}, {"/sub/lua_multi2"}}
            ngx.print(a.status, a.body, b.status, b.body) }', '200%s200%s' ],
    lua_in    => [ 'access_by_lua_block {
            local r = ngx.location.capture("/sub/lua_in")
            ngx.print(r.status, r.body) ngx.exit(200) }', '200%s' ],
    lua_deep  => [ 'content_by_lua_block {
            local r = ngx.location.capture("/lua_one")
            ngx.print(r.status, r.body) }', '200200%s' ],
    lua_one   => [ 'internal; content_by_lua_block {
            local r = ngx.location.capture("/sub/lua_one")
            ngx.print(r.status, r.body) }' ],
    lua_aggr  => [ 'content_by_lua_block {
            local r = ngx.location.capture("/inner2")
            ngx.print(r.status, r.body) }', '200{"x":"%s"}' ],
    inner2    => [ 'internal; aggregate { backend x /sub/inner2
                        { encoding string; } }' ],
    js        => [ 'js_content njs.promise;', '200%s' ],
    js_call   => [ 'js_content njs.callback;', '200%s' ],
    js_two    => [ 'js_content njs.two;', '200%s200%s' ],
    js_detach => [ 'js_content njs.detached;', 'done' ],
    echo      => [ 'echo_location /sub/echo;' ],
    echo_sub  => [ 'echo_subrequest GET /sub/echo_sub;' ],
    echo_sync => [ 'echo_location_async /sub/echo_sync;' ],
);

# handlers that say 304 themselves

my %handlers = (
    exit   => 'content_by_lua_block {
            local n = ngx.shared.n:incr(ngx.var.uri, 1, 0)
            ngx.header["Cache-Control"] = "max-age=60"
            ngx.header.ETag = n == 1 and \'"old"\' or \'"new"\'
            if ngx.req.get_headers()["If-None-Match"] then
                return ngx.exit(304)
            end
            ngx.print(n == 1 and "old" or "new") }',
    status => 'content_by_lua_block {
            local n = ngx.shared.n:incr(ngx.var.uri, 1, 0)
            ngx.header["Cache-Control"] = "max-age=60"
            ngx.header.ETag = n == 1 and \'"old"\' or \'"new"\'
            if ngx.req.get_headers()["If-None-Match"] then
                ngx.status = 304
                return ngx.exit(ngx.OK)
            end
            ngx.print(n == 1 and "old" or "new") }',
    script => 'set $dir %%TESTDIR%%; js_content njs.handler;',
);

my %callers = (
    main => [ 'rewrite . /own/NAME/main last;', '%s' ],
    lua  => [ 'content_by_lua_block {
            local r = ngx.location.capture("/own/NAME/lua")
            ngx.print(r.status, r.body) }', '200%s' ],
    js   => [ 'set $own /own/NAME/js; js_content njs.own;', '200%s' ],
    agg  => [ 'aggregate { backend x /own/NAME/agg
                        { encoding string; } }', '{"x":"%s"}' ],
);

if ($load) {
    %owners = (%owners, %others);

    for my $handler (keys %handlers) {
        for my $caller (keys %callers) {
            my ($content, $text) = @{ $callers{$caller} };

            $content =~ s/NAME/$handler/;
            $owners{"${handler}_$caller"} = [ $content, $text ];
        }
    }
}

$t->write_file('ssi.html', '<!--# include virtual="/sub/ssi" -->');
$t->write_file('wait.html',
               '<!--# include virtual="/sub/ssi_wait" wait="yes" -->');
$t->write_file('set.html', '<!--# include virtual="/sub/ssi_set" set="x" -->'
               . '<!--# echo var="x" encoding="none" -->');
$t->write_file('stub.html', '<!--# block name="none" -->stub<!--# endblock -->'
               . '<!--# include virtual="/sub/ssi_stub" stub="none" -->');
$t->write_file('empty.html', ' ');
$t->write_file('njs.js', <<'EOF');
import fs from 'fs';
async function promise(r) {
    let s = await r.subrequest("/sub/js");
    r.return(200, s.status + s.responseText);
}
function callback(r) {
    r.subrequest("/sub/js_call", s => r.return(200, s.status + s.responseText));
}
async function two(r) {
    let s = await Promise.all([r.subrequest("/sub/js_two"),
                               r.subrequest("/sub/js_two2")]);
    r.return(200, s.map(x => x.status + x.responseText).join(''));
}
function detached(r) {
    r.subrequest("/sub/js_detach", { detached: true });
    r.return(200, "done");
}
async function own(r) {
    let s = await r.subrequest(r.variables.own);
    r.return(200, s.status + s.responseText);
}
function handler(r) {
    let file = r.variables.dir + r.uri.split('/').join('_'), name = 'new';

    try {
        fs.readFileSync(file);
    } catch (e) {
        fs.writeFileSync(file, name = 'old');
    }

    r.headersOut['Cache-Control'] = 'max-age=60';
    r.headersOut.ETag = '"' + name + '"';

    if (r.rawHeadersIn.some(x => x[0] == 'If-None-Match')) {
        r.return(304);
    } else {
        r.return(200, name);
    }
}
export default { promise, callback, two, detached, own, handler }
EOF

my $conf = join '', map { "location = /$_ { $owners{$_}[0] }\n" } keys %owners;
$conf .= join '', map {
    "location /own/$_/ { aggregate_cache api; $handlers{$_} }\n"
    } keys %handlers if $load;

my $http = $load ? 'lua_shared_dict n 1m;
                    js_import njs from %%TESTDIR%%/njs.js;' : '';

my $b = $t->backend('api', '/' => sub {
    my ($q) = @_;
    our %seen;
    my $n = ++$seen{$q->{path}};
    my $asked = grep { $_->[0] =~ /^if-/i } @{ $q->{headers} };

    return { status => 304, headers => [ ETag => '"new"' ] } if $asked;
    return { body => $n == 1 ? 'old' : 'new',
             headers => [ ETag => $n == 1 ? '"old"' : '"new"',
                          'Cache-Control' => 'max-age=60' ] };
});

my @names = grep { $owners{$_}[0] !~ /^internal/ } sort keys %owners;
my @proxied = grep { !/^(?:exit|status|script)_/ } @names;

$t->plan(2 * @names + @proxied + !!$load + 1);

$t->run(<<"EOF");
$load
%%GLOBALS%%
worker_processes 1;
events { }
http {
    %%HTTP%%
    $http
    aggregate_cache_zone  api 8m;
    aggregate_cache_stale  error 1h;
    server {
        listen       127.0.0.1:%%PORT_0%%;
        server_name  localhost;
        location /sub/ {
            aggregate_cache  api;
            proxy_pass  http://127.0.0.1:%%PORT_api%%;
        }
        location = /purge { aggregate_cache_purge api; }
        location = /stub { stub_status; }
        $conf
    }
}
EOF

sub check {
    my ($name, $body, $about) = @_;

    my $text = $owners{$name}[1] // '%s';
    my $got = http_get("/$name")->body;

    $got =~ s/\s+$//;
    $text =~ s/%s/$body/g;

    is($got, $text, "$name, $about");
    return;
}

sub expire { return http_request(POST => '/purge?all=1&soft=1') }

check($_, 'old', 'filled') for @names;
expire();
check($_, 'new', 'fetched anew') for @names;

is(http_get('/sub/js_detach')->body, 'new', 'js_detach, stored anew') if $load;

expire();
$b->stop;
check($_, 'new', 'stale on an error') for @proxied;

ok(wait_for(sub { $t->stub_status('/stub')->{active} == 1 }, 5),
   'no connection is left');
