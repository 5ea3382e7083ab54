# Filters that replace the response of a part by an error page, as image_filter
# and lua's ngx.exit() do: the part fails, and the client gets its answer on a
# connection that goes on, whatever "error_page" has for the status.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use Test::More;

use Harness;

my $t = Harness->new;

my $load = $t->load_others(qw(ndk_http_module ngx_http_lua_module
                              ngx_http_image_filter_module));

my $b = $t->backend('b', '/1' => '1', '/2' => '[2,"not a picture"]',
    '/slow' => { body => '3', delay => slow(0.05) });

$t->write_file('page.json', '4');

my %filters = (
    body => 'image_filter test;',
    header => 'header_filter_by_lua_block { ngx.exit(415) }',
);

my %pages = (
    none => '',
    proxied => 'error_page 415 /b/slow;',
    file => 'error_page 415 = /page.json;',
    named => 'error_page 415 = @named;',
    recursive => 'recursive_error_pages on; error_page 415 =200 /return;',
);

my %sources = (
    proxied => 'proxy_pass http://127.0.0.1:%%PORT_b%%/2;',
    unbuffered => 'proxy_buffering off;
                   proxy_pass http://127.0.0.1:%%PORT_b%%/2;',
    static => 'default_type application/json; alias %%TESTDIR%%/page.json;',
);

my (@names, $conf);

for my $f (sort keys %filters) {
    for my $p (sort keys %pages) {
        for my $s (sort keys %sources) {
            push @names, "$f-$p-$s";
            $conf .= "location = /p/$names[-1] {
                          $filters{$f} $pages{$p} $sources{$s} }
                      location = /a/$names[-1] { aggregate {
                          errors e; backend p /p/$names[-1] { }
                          backend one /b/1 { } } }\n";
        }
    }
}

$conf = '' if !$load;
@names = () if !$load;

# a header filter that fails: the backend's header has come, and is not retried
my @failed = $load ? 'failed' : ();

$conf .= 'location = /p/failed { header_filter_by_lua_block { error("x") }
              proxy_pass http://127.0.0.1:%%PORT_b%%/2; }
          location = /a/failed { aggregate { errors e;
              backend p /p/failed { retry 2; } backend one /b/1 { } } }'
    if $load;

$t->plan(@names * 2 + @failed * 2 + 1);

$t->run(<<"EOF");
$load
%%GLOBALS%%
events { }
http {
    %%HTTP%%
    server {
        listen       127.0.0.1:%%PORT_0%%;
        server_name  localhost;
        location /b/ { proxy_pass http://127.0.0.1:%%PORT_b%%/; }
        location \@named { rewrite ^ /slow break;
                          proxy_pass http://127.0.0.1:%%PORT_b%%; }
        location = /page.json { alias %%TESTDIR%%/page.json; }
        location = /return { return 200 5; }
        location = /agg { aggregate { backend one /b/1 { } } }
        location = /status { stub_status; }
        $conf
    }
}
EOF

for my $name (@names) {
    my $c = $t->connect;

    $c->request('GET', "/a/$name");
    my $r = $c->response;
    is($r ? $r->status . ' ' . $r->body : 'closed',
       '200 {"one":1,"e":[{"backend":"p","reason":"status","status":415}]}',
       $name);

    $c->request('GET', '/agg');
    $r = $c->response;
    is($r ? $r->body : 'closed', '{"one":1}',
       "$name: the connection goes on");
    $c->close;
}

for my $name (@failed) {
    $b->clear;
    is(http_get("/a/$name")->body,
       '{"one":1,"e":[{"backend":"p","reason":"internal","status":null}]}',
       'a header filter fails');
    is($b->count('/2'), 1, 'the backend is not asked again');
}

ok(wait_for(sub { $t->stub_status('/status')->{active} == 1 }, 10),
   'no request is left');
