# A Redis that is down: the log names it and the cause once for an outage, not
# each time that a connection is tried, whichever worker tries.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use Test::More;

use Harness;
use Harness::Redis;

my $t = Harness->new(modules => ['ngx_http_aggregate_module'], plan => 7);

$t->port('0');
$t->backend('b', '/' => sub {
    return { body => '1', headers => [ 'Cache-Control' => 'max-age=600' ] };
});

my $redis = Harness::Redis->new($t, 'redis');

$t->run(<<'EOC');
%%GLOBALS%%
worker_processes 2;
events { }
http {
    %%HTTP%%
    aggregate_cache_zone  zone 1m;
    aggregate_redis fleet { server 127.0.0.1:%%PORT_redis%%; }
    server {
        listen 127.0.0.1:%%PORT_0%%;
        location / {
            aggregate_cache  zone redis=fleet;
            proxy_pass       http://127.0.0.1:%%PORT_b%%;
        }
    }
}
EOC

my $tried = qr/connect\(\) to redis "fleet" \(\S+:\d+\) failed \(111: /;

is(http_get("/$_")->body, 1, 'a request is served') for 1 .. 2;
ok($t->wait_log(qr/\[warn\] .*redis "fleet" \(\S+\) is down: /, slow(10)),
   'Redis is down');
cmp_ok(scalar(() = $t->grep_log(qr/\[error\] .*$tried/)), '>=', 1,
       'and why is said');

$t->mark_log;
ok(wait_for(sub { (() = $t->grep_log($tried)) >= 4 }, slow(20)),
   'connections are tried');
is(scalar(() = $t->grep_log(qr/\[error\]/)), 0, 'and nothing is said of it');

$redis->start;
ok($t->wait_log(qr/\[warn\] .*redis "fleet" \(\S+\) is up again/, slow(20)),
   'Redis is up');
