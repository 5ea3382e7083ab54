# Requests that once ended a worker: HTTP/0.9, clients that pipeline or leave
# while somebody else answers for an aggregate, a response without memory.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use Test::More;

use Harness;

my $t = Harness->new(modules => ['ngx_http_aggregate_module']);

my $b = $t->backend('b', '/1' => '1', '/503' => { status => 503 },
    '/slow' => { delay => slow(0.3), body => '2' },
    '/headers' => sub {
        my ($q) = @_;
        return '"' . join(',', map { "$_->[0]=$_->[1]" }
            grep { $_->[0] =~ /^X-/ } @{ $q->{headers} }) . '"';
    });

$t->plan(13);

$t->run(<<'EOF');
%%GLOBALS%%
events { }
http {
    %%HTTP%%
    server {
        listen       127.0.0.1:%%PORT_0%%;
        server_name  localhost;

        location /b/ {
            internal;
            proxy_pass http://127.0.0.1:%%PORT_b%%/;
            proxy_http_version 1.1;
        }

        location = /old {
            aggregate {
                methods GET POST;
                backend a /b/headers { header X-A 1; header X-B 2;
                    header X-C 3; header X-D 4; header X-E 5; }
                backend b /b/headers { method POST; body '{"x":1}'; }
                backend c /b/1 { body request; forward none; }
            }
        }

        # whoever answers leaves the read handler as it is
        location = /failed {
            error_page 503 /elsewhere;
            aggregate { backend a /b/503 { required; } }
        }

        location = /failed_named {
            error_page 503 = @elsewhere;
            aggregate { backend a /b/503 { required; } }
        }

        location = /elsewhere {
            proxy_ignore_client_abort on;
            proxy_pass http://127.0.0.1:%%PORT_b%%/slow;
        }

        location @elsewhere {
            proxy_ignore_client_abort on;
            proxy_pass http://127.0.0.1:%%PORT_b%%;
            rewrite ^ /slow break;
        }

        location = /again {
            error_page 503 /old;
            aggregate { backend a /b/503 { required; } }
        }

        location = /one { aggregate { backend a /b/1 { } } }
        location = /status { stub_status; }
    }
}
EOF

my $old = '{"a":"X-A=1,X-B=2,X-C=3,X-D=4,X-E=5","b":"","c":1}';

is(raw("GET /old\r\n"), $old, 'HTTP/0.9');
is(raw("GET /old\n"), $old, 'with half a line end');
like(raw("GET /old HTTP/1.0\r\n\r\n"),
     qr/\Q$old\E$/, 'HTTP/1.0 without Host');
is(raw("GET /one\r\n"), '{"a":1}', 'without header fields of ours');

for my $uri ('/failed', '/failed_named') {
    my $c = $t->connect;
    $c->request('GET', $uri);
    wait_for(sub { $b->count('/slow') }, 5);
    $c->request('GET', '/one');
    is($c->response->body, '2', "$uri: pipelined behind a page of its own");
    is($c->response->body, '{"a":1}', 'and answered');

    $b->clear;
    $c->request('GET', $uri);
    wait_for(sub { $b->count('/slow') }, 5);
    $c->close;

    $b->clear;
    $c = $t->connect;
    $c->request('GET', $uri);
    wait_for(sub { $b->count('/slow') }, 5);
    $c->reset;
    is(http_get('/one')->status, 200, 'clients that leave meanwhile');
    $b->clear;
}

like(http_get('/again')->body, qr/^\Q{"a":"X-A=1\E/,
     'an aggregate in place of another');
ok(wait_for(sub { $t->stub_status('/status')->{active} == 1 }, 10),
   'no request is left');
is(http_get('/one')->status, 200, 'the worker lives');


sub raw {
    my ($request) = @_;
    my $c = $t->connect;
    $c->send($request);
    return $c->rest;
}
