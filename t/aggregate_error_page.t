# Pages of "error_page" for the errors of parts: an error that nginx makes, as
# no valid response header has come, keeps its reason, whatever page it has.
# Another aggregate as the page for the error of an aggregate.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use Test::More;

use Harness;
use Harness::Aggregate;

my $t = Harness->new(modules => ['ngx_http_aggregate_module']);

$t->backend('b',
    '/1' => '1',
    '/slow' => { delay => 10 },
    '/close' => { action => 'close' },
    '/503' => { status => 503, headers => [ 'Retry-After' => 7 ] },
    '/504' => { status => 504 },
    '/401' => { status => 401, headers => [ 'WWW-Authenticate' => 'Basic' ] },
    '/fresh' => { body => '1', headers => [ 'Cache-Control' => 'max-age=9' ] },
    '/accel444' => { headers => [ 'X-Accel-Redirect' => '/444' ] },
    '/accel' => { headers => [ 'X-Accel-Redirect' => '/noname/x' ] },
);

my @table = (

    # the page keeps the status
    [ 'refused', '/page/dead/x', 'connect', 'null', 502 ],
    [ 'closed', '/page/b/close', 'connect', 'null', 502 ],
    [ 'late', '/page/b/slow', 'timeout', 'null', 504 ],
    [ 'no such name', '/page/noname/x', 'connect', 'null', 502 ],
    [ 'refused, recursion', '/recursive/dead/x', 'connect', 'null', 502 ],
    [ 'late, recursion', '/recursive/b/slow', 'timeout', 'null', 504 ],
    [ 'refused, a named page', '/named/dead/x', 'connect', 'null', 502 ],

    [ 'a header of the backend, and then a 444', '/b/accel444', 'status', 444,
      502 ],

    # the page is from another backend, which is as bad
    [ 'refused, and then late', '/two/dead/slow', 'timeout', 'null', 504 ],
    [ 'refused, and then a 503', '/two/dead/503', 'status', 503, 503 ],
    [ 'refused, and then no such name', '/none/dead/x', 'connect', 'null',
      502 ],
    [ 'no such name after X-Accel-Redirect', '/b/accel', 'connect', 'null',
      502 ],

    # the page has a status of its own
    [ 'refused, =503', '/changed/dead/x', 'status', 503, 503 ],
    [ 'refused, = and a return', '/return/dead/x', 'status', 503, 503 ],

    # the backend's status
    [ 'a 503', '/page/b/503', 'status', 503, 503 ],
    [ 'a 504', '/page/b/504', 'status', 504, 502 ],
);

my @cases = map {
    my ($name, $uri, $reason, $sent) = @$_;

    [ $name, "errors e; backend one /b/1 { } backend x $uri { }",
      qq/200 partial:x {"one":1,"e":[{"backend":"x","reason":"$reason",/
      . qq/"status":$sent}]}/ ];
} @table;

my @required = map {
    my ($name, $uri, $reason, undef, $status) = @$_;

    [ "$name, required", "backend x $uri { required; }",
      qq/$status {"x":"$reason"}/ ];
} @table;

my @others = (
    [ 'nothing else is there', 'backend x /page/b/slow { }',
      '504 {"x":"timeout"}' ],
    [ 'a page with an accepted status',
      'backend x /json/dead/x { accept 502; }', '200 complete {"x":"page"}' ],
    [ 'a page with an accepted status, recursion',
      'backend x /jsonrecursive/dead/x { accept 502; }',
      '200 complete {"x":"page"}' ],
    [ 'nginx\'s own page is never accepted',
      'backend x /dead/x { accept 502; }', '502 {"x":"connect"}' ],
);

# the headers of the first answer are not those of the second

my @names = qw(Cache-Control Retry-After WWW-Authenticate Allow Server-Timing
               X-Aggregate);
my @second = (
    [ '503', 'GET', 'max-age=9 - - - - complete' ],
    [ '401', 'GET', 'max-age=9 - - - - complete' ],
    [ '504', 'GET', 'max-age=9 - - - - complete' ],
    [ '504', 'POST', 'max-age=9 - - - - complete' ],
    [ '503', 'GET', 'max-age=9 - - - - complete', '/recursive' ],
    [ '503', 'GET', 'no-store - - - - -', '/failed' ],
    [ '401', 'GET', 'no-store - Basic - x -', '/none' ],
);

$t->plan(@cases + @required + @others + @second);

my $pass = sub {
    my ($name, $directives) = @_;

    return qq{
        location /$name/b/ { $directives proxy_read_timeout 60ms;
            proxy_intercept_errors on;
            proxy_pass http://127.0.0.1:%%PORT_b%%/; }
        location /$name/dead/ { $directives
            proxy_pass http://127.0.0.1:%%PORT_dead%%/; }
        location /$name/noname/ { $directives set \$host_of_$name no.invalid;
            proxy_pass http://\$host_of_$name/; }
    };
};

my $page = 'error_page 502 503 504 /50x.html;';

serve($t, cases => [ @cases, @required, @others ], http => q{
        resolver 127.0.0.1:%%PORT_dead%%;
        resolver_timeout 50ms;
    }, server => q{
        location /noname/ { set $noname no.invalid;
            proxy_pass http://$noname/; }
        location = /50x.html { default_type text/html; return 200 "<p>"; }
        location = /444 { return 444; }
        aggregate_debug $arg_debug;
        location /first {
            aggregate { methods GET; backend x /b/$arg_x { required; } }
            error_page 401 405 502 503 =200 /second;
            location /first/recursive {
                recursive_error_pages on;
                aggregate { backend x /b/$arg_x { required; } }
            }
            location /first/failed {
                error_page 503 /second/failed;
                aggregate { backend x /b/$arg_x { required; } }
            }
            location /first/none {
                error_page 404 /second;
                aggregate { backend x /b/$arg_x { required; } }
            }
        }
        location /second {
            aggregate { methods GET POST; backend y /b/fresh { } }
            location /second/failed { aggregate { backend y /dead/y { } } }
        }
        location = /page.json { return 200 '"page"'; }
        location @page { default_type text/html; return 200 "<p>"; }
        location @second { rewrite ^/two/dead/(.*) /$1 break;
            proxy_read_timeout 60ms;
            proxy_pass http://127.0.0.1:%%PORT_b%%; }
        location @none { set $none no.invalid; proxy_pass http://$none; }
        location @return { return 503; }
    }
    . $pass->('page', $page)
    . $pass->('recursive', "$page recursive_error_pages on;")
    . $pass->('named', 'error_page 502 504 @page;')
    . $pass->('two', 'error_page 502 = @second;')
    . $pass->('none', 'error_page 502 = @none;')
    . $pass->('changed', 'error_page 502 =503 /50x.html;')
    . $pass->('return', 'error_page 502 = @return;')
    . $pass->('json', 'error_page 502 /page.json;')
    . $pass->('jsonrecursive',
              'error_page 502 /page.json; recursive_error_pages on;'));

check($t, @cases, @required, @others);

for (@second) {
    my ($x, $method, $wanted, $place) = @$_;
    my $r = http_request($method,
                         '/first' . ($place || '') . "?debug=1&x=$x");
    my @got = map { join ',', $r->headers($_) } @names;

    s/;.*// for $got[4];
    is(join(' ', map { length $_ ? $_ : '-' } @got), $wanted,
       join ' ', 'another aggregate:', $method, $x, $place || '');
}
