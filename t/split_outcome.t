#!/usr/bin/perl

# What is an error of a version: the tries of its own upstream and their
# bodies, whatever "error_page" and the like make of the request.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use Test::More;

use Harness;
use Harness::Metrics;
use Time::HiRes qw(sleep);

my $t = Harness->new(modules => [ 'ngx_http_aggregate_module' ]);

my $head = "HTTP/1.1 200 OK\r\n";
my $chunked = $head . "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n";

my $b = $t->backend('b',
    '/'         => 'fine',
    '/500'      => { status => 500, body => 'x' },
    '/404'      => { status => 404, body => 'x' },
    '/cut'      => { body => 'x' x 1000, cut => 10 },
    '/badchunk' => { raw => $chunked . "zz\r\n" },
    '/nochunk'  => { raw => $chunked },
    '/whole'    => { raw => $chunked . "0\r\n\r\n" },
    '/close'    => { raw => $head . "\r\nhello" },
    '/late'     => { body => 'x' x 1000, body_delay => 3 },
    '/drip'     => { body => 'x' x 1000, drip => 0.05 },
    '/json'     => { body => '[' . '1,' x 500 . '1]', drip => 0.05 },
    '/empty'    => { status => 204, body => '' },
    '/accel'    => { headers => [ 'X-Accel-Redirect' => '/accel/' ],
                     body => '' },
);

my $dead = $t->dead_port;
$t->plan(26);

$t->run(<<'EOC' =~ s/DEAD/$dead/gr);

%%GLOBALS%%

worker_processes  1;

events {
}

http {
    %%HTTP%%

    aggregate_split_zone splits 256k;

    aggregate_split $pool key=x zone=splits { 100% v2; * v1; }
    aggregate_split $dead key=x zone=splits { 100% none; * v1; }

    upstream v1   { server 127.0.0.1:%%PORT_b%%; }
    upstream v2   { server 127.0.0.1:%%PORT_b%%; }
    upstream none { server 127.0.0.1:DEAD max_fails=0; }

    proxy_http_version  1.1;
    proxy_read_timeout  1s;

    server {
        listen 127.0.0.1:%%PORT_0%%;

        location / {
            proxy_pass  http://$pool;
        }

        location /unbuffered/ {
            proxy_buffering  off;
            rewrite          ^/unbuffered(/.*) $1 break;
            proxy_pass       http://$pool;
        }

        location /ignore/ {
            proxy_buffering            off;
            proxy_ignore_client_abort  on;
            rewrite                    ^/ignore(/.*) $1 break;
            proxy_pass                 http://$pool;
        }

        location /part/ {
            rewrite     ^/part(/.*) $1 break;
            proxy_pass  http://$pool;
        }

        location /plain/ {
            proxy_pass  http://v1/;
        }

        location = /cancelled {
            aggregate {
                backend required /plain/500 { required; }
                backend a /part/json { }
            }
        }

        location /dead/ {
            proxy_pass  http://$dead/;
            error_page  502 503 504 = @stable;
        }

        location @stable {
            rewrite           ^ / break;
            proxy_pass        http://v1;
            proxy_set_header  X-Version $dead;
            add_header        X-Version $dead;
        }

        location /fails/ {
            rewrite                 ^/fails(/.*) $1 break;
            proxy_pass              http://$pool;
            proxy_intercept_errors  on;
            error_page              404 500 = @fails;
        }

        location @fails {
            rewrite     ^ /500 break;
            proxy_pass  http://v1;
        }

        location /again/ {
            rewrite                 ^/again(/.*) $1 break;
            proxy_pass              http://$pool;
            proxy_intercept_errors  on;
            error_page              500 = @again;
        }

        location @again {
            rewrite     ^ / break;
            proxy_pass  http://$pool;
        }

        location /early/ {
            set         $copy $pool;
            rewrite     ^/early(/.*) $1 break;
            proxy_pass  http://v1;
        }

        location /accel/ {
            internal;
            rewrite     ^ /500 break;
            proxy_pass  http://$pool;
        }

        location = /split { aggregate_split_status; }
    }
}

EOC

sub counted {
    my ($split, $version) = @_;
    my $m = metrics(http_get('/split?format=prometheus')->body);
    my %of = (split => $split, version => $version);
    return map { $m->sum("gateway_split_${_}_total", %of) || 0 }
        qw(requests errors);
}

# what a request adds to the calls and the errors of a version

sub adds {
    my ($uri, $want, $name, %o) = @_;
    my @of = $o{dead} ? qw(dead none) : qw(pool v2);
    my @before = counted(@of);
    my @now;
    $o{ask} ? $o{ask}->() : http_get($uri);
    wait_for(sub { @now = counted(@of);
                   "@{[ $now[0] - $before[0] ]}" eq (split ' ', $want)[0] },
             slow(3));
    is(join(' ', map { $now[$_] - $before[$_] } 0, 1), $want, $name);
    return;
}

adds('/', '1 0', 'a response');
adds('/404', '1 0', 'a 404');
adds('/500', '1 1', 'a 500');
adds('/empty', '1 0', 'no body');

# redirects: only the version's own tries

adds('/dead/', '1 1', 'error_page leads to another one', dead => 1);
is(http_get('/dead/')->header('X-Version'), 'none', 'which reads it, too');
adds('/fails/404', '1 0', 'the other one fails');
adds('/fails/500', '1 1', 'both do');
adds('/again/500', '1 0', 'error_page leads to the same version');
adds('/early/accel', '1 1', 'X-Accel-Redirect leads to the version');

# bodies

for my $where ('', '/unbuffered') {
    my $name = $where ? ', unbuffered' : '';
    adds("$where/cut", '1 1', "a body that is cut short$name");
    adds("$where/badchunk", '1 1', "an invalid chunk$name");
    adds("$where/nochunk", '1 1', "no last chunk$name");
    adds("$where/late", '1 1', "a body that does not come$name");
    adds("$where/whole", '1 0', "all chunks$name");
    adds("$where/close", '1 0', "a body until the connection ends$name");
}

adds('/', '1 0', 'HEAD', ask => sub { http_request(HEAD => '/') });

# neither a client that leaves, nor a part that is cancelled

my @before = counted(qw(pool v2));

for my $where ('/unbuffered', '/ignore') {
    my $c = $t->connect;
    $c->request(GET => "$where/drip");
    sleep 0.3;
    $c->close;
}

ok(wait_for(sub { $b->stats->{active} == 0 }, slow(5)), 'both are over');
is(http_get('/cancelled')->status, 502, 'a part fails');
sleep 0.5;
my @now = counted(qw(pool v2));
is($now[1] - $before[1], 0, 'the end of a client or a part is no error');
