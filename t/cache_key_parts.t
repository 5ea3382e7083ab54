#!/usr/bin/perl

# A key that names the client's request is no key for a part of an aggregate:
# the response to the part is not stored, and no other part gets it.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;

use Harness;

# the key, and whether parts are stored

my @keys = (
    [ '$request_uri', 0 ],
    [ '$host${request_uri}x', 0 ],
    [ '$Request_URI', 0 ],
    [ '$REQUEST', 0 ],
    [ '$request_uri_of_part', 1 ],
    [ '$request_method$uri', 1 ],
    [ '${uri}request_uri', 1 ],
);

my $t = Harness->new(plan => 4 * @keys);

my $b = $t->backend('api', '/' => sub {
    my ($q) = @_;
    return { body => "\"$q->{path}\"",
             headers => [ 'Cache-Control' => 'max-age=60' ] };
});

my $locations = join '', map { <<"EOC" } 0 .. $#keys;
        location /$_/ {
            aggregate_cache      api;
            aggregate_cache_key  $keys[$_][0];
            proxy_pass           http://127.0.0.1:%%PORT_api%%;
        }

        location = /agg/$_ {
            aggregate {
                backend a /$_/a { }
                backend b /$_/b { }
            }
        }
EOC

$t->run(<<"EOF");

%%GLOBALS%%

events {
}

http {
    %%HTTP%%

    aggregate_cache_zone  api 1m;

    map \$uri \$request_uri_of_part {
        default  \$uri;
    }

    server {
        listen       127.0.0.1:%%PORT_0%%;
        server_name  localhost;

$locations
    }
}

EOF

for my $n (0 .. $#keys) {
    my ($key, $stored) = @{ $keys[$n] };
    my @bodies = map { http_get("/agg/$n")->body } 1, 2;

    is("@bodies", join(' ', ("{\"a\":\"/$n/a\",\"b\":\"/$n/b\"}") x 2),
       "$key, each part has its own");
    is($b->count("/$n/a"), $stored ? 1 : 2, "$key, stored or not");

    http_get("/$n/c");
    is(http_get("/$n/c")->header('X-Cache'), 'HIT', "$key, other requests");

    my @lines = $t->grep_log(qr{are not those of the subrequest "/$n/});
    is(scalar @lines, $stored ? 0 : 4, "$key, the error log");
}
