#!/usr/bin/perl

# What a response says decides whether it is stored, and for how long: in doubt
# it is not.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;
use POSIX qw(strftime);
use Time::HiRes qw(time sleep);

use Harness;

sub date {
    my ($time, $zone) = @_;
    return strftime('%a, %d %b %Y %H:%M:%S', gmtime $time)
        . (defined $zone ? $zone : ' GMT');
}

my $later = time() + 600;
my $before = date(time() - 600);
my $past = 'Thu, 01 Jan 1970 00:00:01 GMT';

# name, headers, what the second answer is (MISS), location

my @cases = (

    # what does not parse fails safe

    [ 'fresh', [ 'Cache-Control' => 'max-age=60' ], 'HIT' ],
    [ 'semicolon', [ 'Cache-Control' => 'max-age=60; private' ] ],
    [ 'no blank', [ 'Cache-Control' => 'max-age=60;no-store' ] ],
    [ 'a blank', [ 'Cache-Control' => 'max-age=60 private' ] ],
    [ 'a tab', [ 'Cache-Control' => "max-age=60\tno-cache" ] ],
    [ 'a slash', [ 'Cache-Control' => 'max-age=60/private' ] ],
    [ 'a bar', [ 'Cache-Control' => 'public|private, max-age=60' ] ],
    [ 'quoted', [ 'Cache-Control' => 'max-age=60, "private"' ] ],
    [ 'inside', [ 'Cache-Control' => 'max-age="60, private"' ] ],
    [ 'no end', [ 'Cache-Control' => 'x="y, max-age=60' ], 'MISS', '/ttl' ],
    [ 'ttl', [ 'Cache-Control' => 'must-revalidate; private' ], 'MISS',
      '/ttl' ],
    [ 'ttl, rubbish', [ 'Cache-Control' => 'max-age=60; public' ], 'MISS',
      '/ttl' ],
    [ 'two lines', [ 'Cache-Control' => 'max-age=60',
                     'Cache-Control' => 'foo private' ] ],
    [ 'one element', [ 'Cache-Control' => 'foo bar, max-age=60' ], 'HIT' ],
    [ 'a string', [ 'Cache-Control' => 'x="a, no-store", max-age=60' ],
      'HIT' ],
    [ 'CDN, not valid', [ 'CDN-Cache-Control' => 'private; max-age = 5',
                          'Cache-Control' => 'max-age=60' ] ],
    [ 'CDN, a parameter', [ 'CDN-Cache-Control' => 'max-age=60; private' ] ],

    # RFC 9213, and X-Accel-Expires

    [ 'CDN', [ 'CDN-Cache-Control' => 'max-age=60',
               'Cache-Control' => 'private, no-store' ], 'HIT' ],
    [ 'CDN and Expires', [ 'CDN-Cache-Control' => 'max-age=60',
                           Expires => $past ], 'HIT' ],
    [ 'CDN, its own', [ 'CDN-Cache-Control' => 'no-store',
                        'Cache-Control' => 'max-age=60' ] ],
    [ 'accel', [ 'X-Accel-Expires' => '60',
                 'Cache-Control' => 'private, no-store, no-cache' ], 'HIT' ],
    [ 'accel, 0', [ 'X-Accel-Expires' => '0',
                    'Cache-Control' => 'max-age=60' ] ],
    [ 'accel, not valid', [ 'X-Accel-Expires' => 'x',
                            'Cache-Control' => 'private' ] ],
    [ 'accel, cookie', [ 'X-Accel-Expires' => '60',
                         'Set-Cookie' => 'a=b' ] ],

    # ages and times

    [ 'Age, a list', [ 'Cache-Control' => 'max-age=60',
                       Age => '7200, 0' ] ],
    [ 'Age, the first', [ 'Cache-Control' => 'max-age=60',
                          Age => '0, 7200' ], 'HIT' ],
    [ 'Expires', [ Expires => date($later) ], 'HIT' ],
    [ 'Expires, CEST', [ Expires => date($later, ' CEST') ] ],
    [ 'Expires, +0200', [ Expires => date($later, ' +0200') ] ],
    [ 'Expires, no zone', [ Expires => date($later, '') ] ],
    [ 'Expires, asctime', [ Expires => strftime('%a %b %e %H:%M:%S %Y',
                                                gmtime $later) ], 'HIT' ],
    [ 'Expires twice', [ Expires => date($later), Expires => $past ] ],
    [ 'Expires twice, the other way',
      [ Expires => $past, Expires => date($later) ] ],
    [ 'a clock behind', [ 'Cache-Control' => 'max-age=60',
                          Date => $before ] ],
    [ 'a clock behind, ttl', [ Date => $before ], 'HIT', '/ttl' ],
    [ 'a clock behind, valid', [ Date => $before ], 'HIT', '/valid' ],
    [ 'a clock behind, accel', [ 'X-Accel-Expires' => '60',
                                 Date => $before ], 'HIT' ],
    [ 'Age, ttl', [ Age => '600' ], 'MISS', '/ttl' ],
    [ 'Age, valid', [ Age => '600' ], 'MISS', '/valid' ],
    [ 'Age, accel', [ 'X-Accel-Expires' => '60', Age => '600' ] ],
);

my $t = Harness->new(plan => @cases + 2);

my %table;

for my $i (0 .. $#cases) {
    my ($name, $headers, undef, $location) = @{ $cases[$i] };

    $table{($location || '') . "/$i"} = { body => $name,
                                          headers => $headers };
}

$table{'/turn/'} = { delay => 0.3, headers => [ 'Cache-Control' =>
                                                'max-age=1' ] };
$table{'/late'} = { delay => 1.2, headers => [ 'Cache-Control' =>
                                               'max-age=1' ] };

$t->backend('api', %table);

$t->run(<<'EOF');

%%GLOBALS%%

events {
}

http {
    %%HTTP%%

    aggregate_cache_zone  api 4m;

    server {
        listen       127.0.0.1:%%PORT_0%%;
        server_name  localhost;

        aggregate_cache  api;

        location / {
            proxy_pass  http://127.0.0.1:%%PORT_api%%;
        }

        location /ttl/ {
            aggregate_cache_ttl  /ttl 60s;
            proxy_pass  http://127.0.0.1:%%PORT_api%%;
        }

        location /valid/ {
            aggregate_cache_valid  60s;
            proxy_pass  http://127.0.0.1:%%PORT_api%%;
        }
    }
}

EOF

for my $i (0 .. $#cases) {
    my ($name, undef, $wanted, $location) = @{ $cases[$i] };
    my $uri = ($location || '') . "/$i";

    http_get($uri);

    is(http_get($uri)->header('X-Cache'), $wanted || 'MISS', $name);
}

# a second that turns in between is none for which the backend was awaited

my ($r, $n);

wait_for(sub {
    sleep 1 - (time() + 0.2) + int(time() + 0.2);

    my $start = time();

    $r = http_get('/turn/' . ++$n);
    return int(time()) > int($start) && time() - $start < 0.9;
}, slow(10));

like($r->header('Cache-Status'), qr/stored$/, 'the turn of a second');

like(http_get('/late')->header('Cache-Status'), qr/detail=stale-on-arrival/,
     'a response after more than its lifetime');
