# Requests without a header, a host or a version: each handler and filter of
# ours answers them.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use Test::More;

use Harness;

my $t = Harness->new;

$t->backend('b', '/1' => { body => '{"a":1}',
                           headers => [ 'Cache-Control' => 'max-age=60' ] });

# a location, and what its body has in it
my %locations = (
    aggregate => [ 'aggregate { backend x /b/1 { header X-A $http_x; }
                    backend y /b/1 { header X-B $host; header X-C c; } }',
                   qr/\{"x":\{"a":1\},"y":/ ],
    graphql   => [ 'aggregate_graphql %%TESTDIR%%/s.graphql { }',
                   qr/"data":\{"a":1\}/ ],
    purge     => [ 'aggregate_cache_purge z;', qr/POST|Not Allowed|405/ ],
    cstatus   => [ 'aggregate_cache_status;', qr/"zones"|"z"/ ],
    bstatus   => [ 'breaker_status;', qr/"breakers"/ ],
    metrics   => [ 'aggregate_metrics_status;', qr/# TYPE/ ],
    page      => [ 'aggregate_status;', qr/"routes"/ ],
    balance   => [ 'aggregate_balance_status;', qr/\{/ ],
    splits    => [ 'aggregate_split_status;', qr/\{/ ],
    split     => [ 'return 200 "is $sp";', qr/is v/ ],
    cached    => [ 'aggregate_cache z; proxy_pass http://u/1;', qr/"a":1/ ],
    guarded   => [ 'breaker k zone=bz; proxy_pass http://u/1;', qr/"a":1/ ],
    shaped    => [ 'aggregate_apply s; proxy_pass http://u/1;', qr/"b":1/ ],
    traced    => [ 'aggregate_trace_context propagate;
                    proxy_pass http://u/1;', qr/"a":1/ ],
    spans     => [ 'aggregate_trace on; aggregate_trace_propagators b3 b3multi
                    tracecontext; proxy_pass http://u/1;', qr/"a":1/ ],
    parts     => [ 'aggregate_trace on; aggregate { backend x /b/1 { } }',
                   qr/"a":1/ ],
    buffered  => [ 'aggregate_buffer 0; aggregate { backend x /b/1 { } }',
                   qr/"a":1/ ],
);

my @requests = (
    [ 'HTTP/0.9', "GET %s\r\n" ],
    [ 'HTTP/0.9, LF', "GET %s\n" ],
    [ 'no header', "GET %s HTTP/1.0\r\n\r\n" ],
);

$t->plan(@requests * keys %locations);
$t->write_file('s.graphql', 'type Query { a: Int @rest(get: "/b/1", '
                            . 'select: "a") }');

my $all = join "\n", map { "location = /$_ { $locations{$_}[0] }" }
    sort keys %locations;

$t->run(<<"EOC");
%%GLOBALS%%
events { }
http {
    %%HTTP%%
    log_format own '\$host \$breaker_key \$aggregate_status \$sp';
    access_log %%TESTDIR%%/own.log own;
    aggregate_cache_zone z 1m;
    breaker_zone bz 256k;
    aggregate_metrics_zone m 256k;
    aggregate_metrics m;
    aggregate_trace_exporter { endpoint http://127.0.0.1:%%PORT_b%%/1; }
    aggregate_split_zone sz 64k;
    aggregate_split \$sp key=\$http_x_user\$cookie_a zone=sz { 5% v2; * v1; }
    aggregate_shape s { rename a b; }
    upstream u { aggregate_balance peak_ewma;
                 server 127.0.0.1:%%PORT_b%%; }
    server {
        listen 127.0.0.1:%%PORT_0%%;
        $all
        location /b/ { proxy_pass http://u/; }
    }
}
EOC

for my $name (sort keys %locations) {
    my $uri = "/$name" . ($name eq 'graphql' ? '?query={a}' : '');

    for my $request (@requests) {
        my ($kind, $text) = @$request;
        my $c = $t->connect;

        $c->send(sprintf $text, $uri);
        my $answer = $c->rest;
        $c->close;

        like($answer, $locations{$name}[1], "$name: $kind");
    }
}
