#!/usr/bin/perl

# Splits and the cache: the response of a version is never that of another one.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;

use Harness;

my $t = Harness->new(modules => [ 'ngx_http_aggregate_module' ]);

$t->backend($_, '*' => { body => qq("$_"),
                         headers => [ 'Cache-Control' => 'max-age=60' ] })
    for qw(v1 v2);

my $conf = <<'EOC';
%%GLOBALS%%
worker_processes 1;
events { }
http {
    %%HTTP%%

    aggregate_cache_zone c 4m;

    aggregate_split $pool key=$http_x_user { cookie v; 50% v2; * v1; }

    upstream v1 { server 127.0.0.1:%%PORT_v1%%; }
    upstream v2 { server 127.0.0.1:%%PORT_v2%%; }

    server {
        listen 127.0.0.1:%%PORT_0%%;
        server_name localhost;

        aggregate_cache c;
        aggregate_cache_ignore_headers Cookie;

        location /plain/ { proxy_pass http://$pool; }
        location /key/ { proxy_pass http://$pool;
                         aggregate_cache_key $uri$pool; }
        location /braces/ { proxy_pass http://$pool;
                         aggregate_cache_key $uri${pool}x; }
        location /longer/ { proxy_pass http://$pool;
                         set $pool_x 1;
                         aggregate_cache_key $uri$pool_x; }
        location /identity/ { proxy_pass http://$pool;
                         aggregate_cache_identity $pool; }
        location /fixed/ { proxy_pass http://v1; }

        # the value is carried along, and the variable is not read again
        location /redirected/ { set $carried $pool; try_files /none @carried; }
        location @carried { proxy_pass http://$carried; }
        location /index/ { set $carried $pool; error_page 418 = /taken/a;
                           return 418; }
        location /taken/ { proxy_pass http://$carried; }
        location /carries/ { aggregate_cache off; set $carried $pool;
                             aggregate { backend a /cached/a { } } }
        location /cached/ { proxy_pass http://$carried; }
        location /beside/ { aggregate_cache off;
            aggregate { backend a /part/a { } backend b /fixed/b { } } }

        location /agg/ { aggregate { backend a /part/a { } } }
        location /aggkey/ { aggregate { backend a /part/a { } }
                            aggregate_cache_key $uri$pool; }
        location /part/ { aggregate_cache off; proxy_pass http://$pool; }
    }
}
EOC

$t->plan(24);
$t->run($conf);

sub get {
    my ($uri, $version) = @_;
    my $r = http_request(GET => $uri, headers => [ Cookie => "v=$version" ]);
    return ($r->body =~ /(v\d)/)[0] . ' ' . ($r->header('X-Cache') || '-');
}

is(get('/plain/a', 'v1'), 'v1 MISS', 'without the variable in the key');
is(get('/plain/a', 'v2'), 'v2 MISS', 'another version');
is(get('/plain/a', 'v1'), 'v1 MISS', 'is not stored');
ok($t->wait_log(qr/\[warn\].*location "\/plain\/" depend on "\$pool" and are/),
   'a warning');
is(get('/plain/b', 'v1'), 'v1 MISS', 'nor another one');
is(scalar($t->grep_log(qr/depend on/)), 1, 'one line');

for my $where (qw(key braces identity)) {
    get("/$where/a", 'v1');
    is(get("/$where/a", 'v1'), 'v1 HIT', "$where: stored");
    is(get("/$where/a", 'v2'), 'v2 MISS', "$where: by version");
    is(get("/$where/a", 'v2'), 'v2 HIT', "$where: each");
}

get('/longer/a', 'v1');
is(get('/longer/a', 'v1'), 'v1 MISS', 'the name of another variable');

get('/fixed/a', 'v1');
is(get('/fixed/a', 'v2'), 'v1 HIT', 'a location without the variable');

get('/agg/a', 'v1');
is(get('/agg/a', 'v2'), 'v2 MISS', 'an aggregate of parts that read it');
get('/aggkey/a', 'v1');
is(get('/aggkey/a', 'v1'), 'v1 HIT', 'with the variable in its key');
is(get('/aggkey/a', 'v2'), 'v2 MISS', 'by version');

for my $where (qw(redirected index carries)) {
    get("/$where/a", 'v1');
    is((get("/$where/a", 'v2') =~ /^(v\d)/)[0], 'v2',
       "$where: a value that was carried along");
}

get('/beside/a', 'v1');
my $asked = $t->{backends}{v1}->count('/fixed/b');
get('/beside/a', 'v2');
is($t->{backends}{v1}->count('/fixed/b'), $asked,
   'a part beside one that reads the variable is stored');
