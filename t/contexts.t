# Our content handlers in the blocks that nginx makes within a location: "if",
# "limit_except", nested, named and regular-expression locations; each runs with
# its own configuration.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use Test::More;

use Harness;
use Harness::Grpc qw(descriptor);

my $t = Harness->new;

$t->backend('b', '/1' => '1', '/2' => '2', '/in' => '{"in":1}');

my $aggregate = 'aggregate { methods GET POST; backend a /b/1 { } }';
my %handlers = (
    aggregate => [ $aggregate, 200, 'POST', 200 ],
    purge     => [ 'aggregate_cache_purge z;', 405, 'POST', 200 ],
    status    => [ 'aggregate_cache_status;', 200, 'POST', 405 ],
    breakers  => [ 'breaker_status;', 200, 'POST', 400 ],
    metrics   => [ 'aggregate_metrics_status;', 200, 'POST', 405 ],
    balance   => [ 'aggregate_balance_status;', 200, 'POST', 405 ],
    operator  => [ 'aggregate_status;', 200, 'POST', 405 ],
    splits    => [ 'aggregate_split_status;', 200, 'POST', 404 ],
    graphql   => [ 'aggregate_graphql s.graphql { }', 200, 'POST', 415 ],
    grpc      => [ 'aggregate_grpc t.v1.Items/Plain;'
                   . ' grpc_pass grpc://127.0.0.1:1;', 405, 'POST', 502 ],
);

# the text of a location, %s standing for the handler
my %blocks = (
    'if_before' => 'location /%n { if ($http_x_i) { set $x 1; } %s }',
    'if_after'  => 'location /%n { %s if ($http_x_i) { add_header X-If 1; } }',
    'ifs'       => 'location /%n { %s if ($http_x_i) { set $x 1; }'
                   . ' if ($http_x_i) { add_header X-If 1; } }',
    'if_server' => 'location /%n { %s }',
    'regex'     => 'location ~ ^/%n { if ($http_x_i) { set $x 1; } %s }',
    'nested'    => 'location /%n { location /%n { if ($http_x_i) { set $x 1; }'
                   . ' %s } }',
    'named'     => 'location /%n { error_page 418 = @%n;'
                   . ' if ($http_x_i) { return 418; } return 418; }'
                   . ' location @%n { if ($http_x_i) { set $x 1; } %s }',
    'rewritten' => 'location /%n { rewrite ^ /inner_%n last; }'
                   . ' location /inner_%n { if ($http_x_i) { set $x 1; } %s }',
    'limited'   => 'location /%n { %s limit_except GET { allow all; } }',
    'limited_if' => 'location /%n { if ($http_x_i) { set $x 1; }'
                   . ' limit_except GET { allow all; } %s }',
);

my ($conf, @cases) = ('');

for my $handler (sort keys %handlers) {
    for my $block (sort keys %blocks) {
        my $name = "${handler}_$block";
        my $text = $blocks{$block};

        $text =~ s/%n/$name/g;
        $text =~ s/%s/$handlers{$handler}[0]/;
        $conf .= "$text\n";
        push @cases, [ $handler, $block, $name ];
    }
}

$t->plan(4 * @cases + 8);

$t->write_file('s.graphql',
               'type Query { a: Int @rest(get: "/b/1") }');

descriptor($t, 'items.pb', 'items.proto');

$t->run(<<"EOC");
%%GLOBALS%%
events { }
http {
    %%HTTP%%
    aggregate_cache_zone z 1m;
    breaker_zone bz 256k;
    aggregate_metrics_zone mz 256k;
    aggregate_split_zone sz 64k;
    aggregate_grpc_descriptor items.pb;
    aggregate_split \$sp key=\$arg_a zone=sz { 5% v2; * v1; }
    server {
        listen 127.0.0.1:%%PORT_0%%;
        if (\$http_x_s) { set \$y 1; }
        set \$x 0;
        $conf
        location /b/ { proxy_pass http://127.0.0.1:%%PORT_b%%/; }

        location /other { if (\$http_x_i) { rewrite ^ /in break;
            proxy_pass http://127.0.0.1:%%PORT_b%%; } $aggregate }
        location /denied { $aggregate limit_except GET { deny all; } }
        location /proxied { $aggregate limit_except GET {
            proxy_pass http://127.0.0.1:%%PORT_b%%; } }
        location /grpc_other { aggregate_grpc t.v1.Items/Plain;
            grpc_pass grpc://127.0.0.1:1;
            if (\$http_x_i) { proxy_pass http://127.0.0.1:%%PORT_b%%; } }
        location /host { $aggregate location /host/static { } }
    }
}
EOC

for my $case (@cases) {
    my ($handler, $block, $name) = @$case;
    my (undef, $get, $method, $status) = @{ $handlers{$handler} };

    my $args = $handler eq 'graphql' ? '?query={a}' : '';

    for my $headers ([], [ 'X-I' => 1 ], [ 'X-I' => 1, 'X-S' => 1 ]) {
        is(http_get("/$name$args", headers => $headers)->status, $get,
           "$handler, $block: GET with @$headers");
    }

    # answered by the handler, not by the static module's 405
    $args = '?tag=a' if $handler eq 'purge';
    my $r = http_request($method => "/$name$args", headers => [ 'X-I' => 1 ]);

    is($r->status, $status, "$handler, $block: $method");
}

is(http_get('/other')->body, '{"a":1}', 'a false "if" with a handler');
is(http_get('/other', headers => [ 'X-I' => 1 ])->body, '{"in":1}',
   'a true "if" with a handler');
is(http_request(POST => '/denied')->status, 403, 'denied by limit_except');
is(http_request(POST => '/proxied')->status, 404, 'handled by limit_except');
is(http_get('/proxied')->body, '{"a":1}', 'and not the method outside it');
is(http_get('/grpc_other')->status, 405, 'the handler of grpc_pass');
is(http_get('/grpc_other', headers => [ 'X-I' => 1 ])->status, 404,
   'and that of proxy_pass in an "if"');
is(http_get('/host/static')->status, 404, 'a nested location does not inherit');
