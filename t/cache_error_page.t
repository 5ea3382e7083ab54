#!/usr/bin/perl

# A stale entry that is served instead of an error goes through the filters of
# its own location, wherever "error_page" has led to in the meantime.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;
use Time::HiRes qw(sleep);

use Harness;

my %ways = (
    none     => '',
    static   => 'error_page 502 503 /50x.html;',
    status   => 'error_page 502 503 =200 /50x.html;',
    proxied  => 'error_page 502 503 = /other/x;',
    regex    => 'error_page 502 503 = /matched/x;',
    named    => 'error_page 502 503 = @other;',
    text     => 'error_page 502 503 @text;',
    denied   => 'error_page 502 503 /denied;',
    gone     => 'error_page 502 503 = /gone;',
    cached   => 'error_page 502 503 = /kept/x;',
    twice    => 'error_page 502 503 = /again/x;',
    breaker  => 'breaker b zone=b policy=p; breaker_fallback @other;',
    both     => 'breaker c zone=b policy=p; error_page 502 503 = @other;',
);

my @ways = sort keys %ways;
my @failures = qw(down busy);

my $t = Harness->new(plan => 5 * @ways * @failures + 2);

my (%n, $secret);
my @fresh = ('Cache-Control' => 'max-age=1, stale-if-error=60');

$secret = '{"name":"al","secret":1}';

$t->backend('api',
    '/other/'   => { body => '{"other":2,"secret":2}', type =>
                     'application/json' },
    '/kept/'    => { body => '{"kept":3,"secret":3}', type =>
                     'application/json',
                     headers => [ 'Cache-Control' => 'max-age=60' ] },
    '/again/'   => { action => 'close' },
    '/' => sub {
        my ($q) = @_;
        my $busy = $q->{uri} =~ /busy/;

        return { body => $secret, type => 'application/json',
                 headers => \@fresh } if !$n{$q->{uri}}++;

        return $busy ? { status => 503, body => 'busy' }
                     : { action => 'close' };
    },
);

my $locations = join '', map { my $way = $_; map { <<"EOF" } @failures } @ways;

        location /$way/$_/ {
            aggregate_cache         api;
            aggregate_apply         public;
            add_header              X-Way \$uri;
            sub_filter              al AL;
            sub_filter_once         off;
            sub_filter_types        *;
            proxy_intercept_errors  on;
            $ways{$way}
            proxy_pass              http://127.0.0.1:%%PORT_api%%;
        }

        location = /in/$way/$_ {
            aggregate { backend a /$way/$_/part { } }
        }
EOF

$t->write_file('50x.html', $secret);

$t->run(<<"EOF");

%%GLOBALS%%

events {
}

http {
    %%HTTP%%

    types {
        application/json  html;
    }

    aggregate_cache_zone  api 1m;
    aggregate_shape       public { deny secret; }

    breaker_zone          b 1m;
    breaker_policy        p { failure_threshold 1; recovery_timeout 1h; }

    log_format  way  '\$uri \$status \$aggregate_cache_status';

    server {
        listen       127.0.0.1:%%PORT_0%%;
        server_name  localhost;

        access_log   %%TESTDIR%%/way.log way;

$locations

        location = /50x.html { root %%TESTDIR%%; }
        location = /denied   { deny all; }

        location \@text {
            default_type  application/json;
            return        200 '$secret';
        }

        location \@other {
            proxy_pass  http://127.0.0.1:%%PORT_api%%;
        }

        location /other/ {
            proxy_pass  http://127.0.0.1:%%PORT_api%%;
        }

        location ~ ^/(matched)/(?<rest>.*) {
            add_header  X-Way other;
            proxy_pass  http://127.0.0.1:%%PORT_api%%/other/\$rest;
        }

        location /kept/ {
            aggregate_cache  api;
            proxy_pass       http://127.0.0.1:%%PORT_api%%;
        }

        location /again/ {
            error_page  502 /50x.html;
            proxy_pass  http://127.0.0.1:%%PORT_api%%;
        }
    }
}

EOF

my @uris = map { my $way = $_; map { "$way/$_" } @failures } @ways;

http_get("/$_/x"), http_get("/in/$_") for @uris;

sleep 2.1;

for my $uri (@uris) {
    my $r = http_get("/$uri/x");

    is($r->body, '{"name":"AL"}', "$uri, the entry, shaped");
    is($r->header('X-Cache'), 'STALE', "$uri, it is stale");
    is($r->header('X-Way'), "/$uri/x", "$uri, a header of its location");
    like($r->header('Cache-Status'), qr/^aggregate; fwd=stale/,
        "$uri, and why");
    is(http_get("/in/$uri")->body, '{"a":{"name":"AL"}}', "$uri, as a part");
}

is(scalar(grep { m{^/\w+/\w+/x 200 STALE$} }
          split /\n/, $t->read_file('way.log')), scalar(@uris),
    'logged by their own URIs');
unlike($t->read_file('way.log'), qr/50x|other|kept|again/,
    'and no others');
