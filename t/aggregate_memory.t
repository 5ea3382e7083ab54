# The memory of a burst is given back: slow clients of large answers make a
# worker grow, and seconds after they have gone it is small again.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use Test::More;

use Harness;

my $t = Harness->new(plan => 8);
my $mb = 1024 * 1024;
my $clients = 60;

$t->backend('b', '/big' => { body => '"' . 'x' x (950 * 1024) . '"' },
    '/one' => '1');

$t->run(<<'EOC');
%%GLOBALS%%
worker_rlimit_nofile 4096;
events { worker_connections 2048; }
http {
    %%HTTP%%
    aggregate_cache_zone z 8m;
    server {
        listen 127.0.0.1:%%PORT_0%% sndbuf=8k;
        location /agg { aggregate { timeout 60s; backend a /b/big { } } }
        location /file { aggregate_buffer 64k;
                         aggregate { timeout 60s; backend a /b/big { } } }
        location /small { aggregate { backend a /b/one { } } }
        location /hit { aggregate_cache z; aggregate_cache_ttl / 1h;
                        proxy_pass http://127.0.0.1:%%PORT_b%%/big; }
        location /b/ { proxy_pass http://127.0.0.1:%%PORT_b%%/; }
    }
}
EOC

http_get('/hit');
is(http_get('/small')->body, '{"a":1}', 'an aggregate');

my $start = $t->rss;

for my $uri ('/agg', '/hit') {
    my @open = map { my $c = $t->connect; $c->request(GET => $uri); $c }
        1 .. $clients;

    # each has its answer, and takes nothing of it
    ok(wait_for(sub { $t->rss > $start + $clients * 800 }, slow(30)),
       "$uri: a burst makes the worker grow")
        or diag("$start KB at the start, " . $t->rss . ' now');

    $_->close for @open;

    # the allocator of the sanitizers keeps what was freed, on purpose
    my $bound = $t->{binary} =~ m{/asan/} ? 2 ** 40 : $start + 24 * 1024;

    ok(wait_for(sub { $t->rss < $bound }, slow(10)),
       "$uri: the memory is given back")
        or diag("$start KB at the start, " . $t->rss . ' now');
}

# an answer in a file costs little while its client waits

my $warn = qr/an answer is buffered to a temporary file/;
my @open = map { my $c = $t->connect; $c->request(GET => '/file'); $c }
    1 .. $clients;

ok(wait_for(sub { (() = $t->grep_log($warn)) == $clients }, slow(30)),
   'a file for each');

my $bound = $t->{binary} =~ m{/asan/} ? 2 ** 40
                                      : $start + 20 * 1024 + $clients * 250;
ok(wait_for(sub { $t->rss < $bound }, slow(10)), 'the memory is given back')
    or diag("$start KB at the start, " . $t->rss . ' now');

$_->close for @open;

is(http_get('/small')->body, '{"a":1}', 'the worker goes on');
