#!/usr/bin/perl

# What the balancer takes for the failure of a server: a timeout on a kept
# connection, and "Retry-After", which belongs to the server that sent it and
# outlasts the responses to earlier requests.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;
use Time::HiRes qw(sleep);

use Harness;

my $t = Harness->new(modules => [ 'ngx_http_aggregate_module' ]);

my $busy = { status => 503, body => '', headers => [ 'Retry-After' => 30 ] };

my $b = $t->backend('b',
    '/ok'      => 'ok',
    '/hang'    => { action => 'hang' },
    '/close'   => { action => 'close' },
    '/garbage' => { raw => "HTTP/1.1 200 OK\r\na\0b: c\r\n\r\n" },
    '/slow'    => { delay => 0.5, body => 'slow' },
    '/drip'    => { body => 'x' x 20, drip => 0.05 },
    '/busy'    => $busy,
);
$t->backend('busy', '*' => $busy);
my $other = $t->backend('other', '*' => 'other');
my $dead = $t->dead_port;

$t->plan(17);

$t->run(<<'EOC' =~ s/DEAD/$dead/gr);

%%GLOBALS%%

worker_processes  1;

events {
}

http {
    %%HTTP%%

    upstream kept {
        zone  kept 256k;
        aggregate_balance  peak_ewma;
        server  127.0.0.1:%%PORT_b%% max_fails=0;
        keepalive  4;
    }

    upstream pair {
        zone  pair 256k;
        aggregate_balance  peak_ewma;
        server  127.0.0.1:%%PORT_b%% max_fails=0;
        server  127.0.0.1:%%PORT_other%% max_fails=0 backup;
        keepalive  4;
    }

    upstream next {
        aggregate_balance  peak_ewma;
        server  127.0.0.1:%%PORT_b%% max_fails=0;
        server  127.0.0.1:%%PORT_busy%% max_fails=0;
        server  127.0.0.1:DEAD max_fails=0 backup;
    }

    server {
        listen  127.0.0.1:%%PORT_0%%;

        proxy_http_version   1.1;
        proxy_set_header     Connection "";
        proxy_read_timeout   800ms;
        proxy_next_upstream  off;

        location /kept/ { proxy_pass http://kept/; }
        location /pair/ { proxy_pass http://pair/; }
        location /next/ { proxy_next_upstream http_503 error;
                          proxy_pass http://next/; }

        location = /balance { aggregate_balance_status; }
    }
}

EOC

sub server {
    my ($upstream, $port) = @_;
    my ($u) = grep { $_->{name} eq $upstream }
        @{ http_get('/balance')->json->{upstreams} };
    my ($s) = grep { $_->{server} eq "127.0.0.1:$port" } @{ $u->{servers} };
    return $s;
}

sub failures { return server('kept', $b->port)->{failures} }

# a kept connection

for my $case (
    [ hang    => 504, 1, 'a timeout' ],
    [ close   => 502, 0, 'a connection that was closed' ],
    [ garbage => 502, 1, 'an invalid header' ],
) {
    my ($uri, $status, $wanted, $name) = @$case;
    is(http_get('/kept/ok')->body, 'ok', 'a connection is kept');
    my $before = failures();
    is(http_get("/kept/$uri")->status, $status, $name);
    is(failures() - $before, $wanted, $wanted ? 'failed' : 'has not failed');
}

# an earlier request ends later, and well

my @c = map { $t->connect } 1 .. 2;
$c[0]->request(GET => '/pair/slow');
$c[1]->request(GET => '/pair/drip');
ok(wait_for(sub { $b->count('/slow') && $b->count('/drip') }, slow(3)),
   'two requests');
sleep 0.2;
is(http_get('/pair/busy')->status, 503, 'Retry-After');
is(server('pair', $b->port)->{state}, 'retry_after', 'is told');
is(join(' ', map { $_->response->body } @c), 'slow ' . 'x' x 20,
   'both end well');
is(server('pair', $b->port)->{state}, 'retry_after', 'which changes nothing');

# the next server cannot be reached, and has not sent anything

is(http_get('/next/busy')->status, 502, 'all servers fail');
is(server('next', $b->port)->{state}, 'retry_after', 'the first one');
is(server('next', $dead)->{state}, 'failing', 'the other one just fails');
