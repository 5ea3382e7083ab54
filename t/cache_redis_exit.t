# A worker that is told to exit while requests wait for Redis: for its reply,
# or for the connection to it.  They are answered.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use IO::Socket::INET;
use Test::More;

use Harness;
use Harness::Redis;

my $t = Harness->new(modules => ['ngx_http_aggregate_module'], plan => 8);

$t->port('0');
$t->backend('b', '/' => sub {
    my ($q) = @_;
    return { body => '1', headers => [ 'Cache-Control' => 'max-age=600' ] };
});

my $redis = Harness::Redis->new($t, 'redis', '--tcp-backlog', 1);
$redis->start;

my $time = slow(4);

my $conf = <<"EOF";
%%GLOBALS%%
worker_processes 1;
events { }
http {
    %%HTTP%%
    aggregate_cache_zone  zone 1m;
    aggregate_redis fleet {
        server           127.0.0.1:%%PORT_redis%%;
        timeout          ${time}s;
        connect_timeout  ${time}s;
    }
    server {
        listen 127.0.0.1:%%PORT_0%%;
        location / {
            aggregate_cache  zone redis=fleet;
            proxy_pass       http://127.0.0.1:%%PORT_b%%;
        }
        location = /cache { allow all; aggregate_cache_status; }
    }
}
EOF

$t->run($conf);

for my $way ('connection', 'reply') {
    ok(wait_for(sub { http_get('/cache')->body =~ /"redis":"up"/ }, slow(5)),
       'Redis is there');
    is(http_get('/first')->body, 1, 'and asked') if $way eq 'reply';

    $redis->signal('STOP');
    my @full = $way eq 'connection' ? fill() : ();

    my $c = $t->connect(timeout => $time + slow(5));
    $c->request(GET => "/$way");
    select undef, undef, undef, 0.1;

    # a reply would be lost by a connection that is closed
    ok($t->reload, "a reload while a request waits for the $way");

    my $r = $c->response;
    is($r->error || $r->body, 1, 'it is answered');

    $redis->signal('CONT');
    $_->close for @full;
}

is(http_get('/last')->body, 1, 'and those that follow');


# connections until none is taken any more
sub fill {
    my @full;

    for (1 .. 4) {
        push @full, IO::Socket::INET->new(
            PeerAddr => '127.0.0.1', PeerPort => $t->port('redis'),
            Proto => 'tcp', Blocking => 0);
    }

    return @full;
}
