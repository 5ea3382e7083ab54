#!/usr/bin/perl

# A split that is first read in a subrequest that has the variables of the
# client request, as those of SSI have: the version is the client's, and the
# string around the variable has the values of the subrequest.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;

use Harness;

my $t = Harness->new(modules => [ 'ngx_http_aggregate_module' ], plan => 9);

my $long = 'k' x 3000;

my $b = $t->backend('b',
    '/key' => sub {
        my ($q) = @_;
        my ($key) = map { $_->[1] } grep { $_->[0] eq 'X-Key' }
            @{ $q->{headers} };
        return { body => $key, type => 'text/plain',
                 headers => [ 'Cache-Control' => 'max-age=60' ] };
    });

mkdir $t->testdir . '/www';
$t->write_file('www/page.html', '<!--# include virtual="/key?id=own" -->');
$t->write_file('www/none.html', '<!--# include virtual="/key" -->');
$t->write_file('www/two.html', '<!--# include virtual="/key?id=own" -->,'
               . '<!--# include virtual="/key?id=other" -->');
$t->write_file('www/cached.html', '<!--# include virtual="/cached/key" -->');

$t->run(<<'EOC');

%%GLOBALS%%

events {
}

http {
    %%HTTP%%

    aggregate_cache_zone  z 1m;

    aggregate_split $v key=$arg_id {
        header  X-Version;
        100%    v2;
        *       v1;
    }

    server {
        listen       127.0.0.1:%%PORT_0%%;
        server_name  localhost;
        root         %%TESTDIR%%/www;

        large_client_header_buffers  4 16k;

        location / {
            default_type  text/html;
            ssi           on;
        }

        location = /key {
            proxy_set_header  X-Key "[$arg_id-$v-$arg_id]";
            proxy_pass        http://127.0.0.1:%%PORT_b%%;
        }

        location /cached/ {
            aggregate_cache      z;
            aggregate_cache_key  "$arg_id,$v";
            proxy_set_header     X-Key "$arg_id.$v.$http_x_n";
            proxy_pass           http://127.0.0.1:%%PORT_b%%/;
        }
    }
}

EOC

sub page {
    my ($uri, @headers) = @_;
    return http_request(GET => $uri, headers => [ @headers ])->body;
}

is(page("/page.html?id=$long"), '[own-v2-own]', 'of the subrequest');
is(page("/none.html?id=$long"), '[-v2-]', 'without arguments');
is(page('/none.html'), '[-v2-]', 'unkeyed');
is(page('/none.html?id=1', 'X-Version' => 'v1'), '[-v1-]', 'forced');
is(page("/two.html?id=$long"), '[own-v2-own],[other-v2-other]', 'twice');
is(page('/key?id=1'), '[1-v2-1]', 'the request of the client');

# a key of the cache with another's value would be shared

is(page('/cached.html?id=1', 'X-N' => 1), '.v2.1', 'cached');
is(page('/cached.html?id=2', 'X-N' => 2), '.v2.1', 'one entry for both');
is(page('/cached/key?id=1', 'X-N' => 3), '1.v2.3', 'not for this one');
