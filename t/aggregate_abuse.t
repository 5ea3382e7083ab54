# Abusive clients and backends at random: the workers live, every connection
# and descriptor comes back, memory does not grow.
#
# TEST_NGINX_SEED repeats a run, TEST_NGINX_ROUNDS makes it longer.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use Test::More;

use POSIX ();
use Time::HiRes qw(sleep time);

use Harness;
use Harness::Aggregate;
use Harness::H2;

my $t = Harness->new(modules => ['ngx_http_aggregate_module'], plan => 15,
                     log_level => 'notice');

my $seed = $ENV{TEST_NGINX_SEED} || time() % 1_000_000;
my $rounds = $ENV{TEST_NGINX_ROUNDS} || 60;

my $big = '"' . 'x' x 60_000 . '"';

my @odd = (
    { action => 'reset' }, { action => 'close' }, { body => '{"a":' },
    { body => '"1"', delay => 0.02 }, { body => $big, cut => 30_000 },
    { body => $big, cut => 100, after => 'reset' }, { gzip => 1, body => '1' },
    { status => 500 }, { status => 503, body => 'x' x 3000 }, { status => 204 },
    { body => $big, drip => 0.001, drip_bytes => 7000 }, { body => $big },
    { body => $big, chunked => [ $big =~ /(.{1,4000})/g ] },
    { raw => "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n" },
    { raw => "garbage\r\n\r\n" }, { body => $big, length => undef },
    { status => 401, headers => [ 'WWW-Authenticate' => 'x' ] },
    { body => '[1,2,3]', headers => [ 'X-Accel-Redirect' => '/file' ] },
    { body => '{"id":5}' }, { body => '{"id":"../x"}' }, { body => '[[[' },
    { body => '1', headers => [ 'Set-Cookie' => 'x' x 2000 ] },
    { endless => 'y' x 100, body => '"' },
);

my $b = $t->backend('b',
    '/1' => '1', '/o' => '{"id":5,"l":[1,2,2,3]}', '/big' => $big,
    '/late' => { delay => 0.05, body => '2' },
    '/never' => { action => 'hang' },
    '/odd' => sub { $odd[rand @odd] },
    '/echo' => sub { { body => '"' . length($_[0]{body}) . '"' } },
);

my $conf = configuration(main => 'worker_processes 2;',
    listen => 'listen 127.0.0.1:%%PORT_0%%;
               listen 127.0.0.1:%%PORT_h2%% http2;',
    http => q{
        proxy_cache_path %%TESTDIR%%/cache keys_zone=c:1m;
        limit_req_zone $arg_r zone=r:1m rate=200r/s;
        upstream kept { server 127.0.0.1:%%PORT_b%%; keepalive 8; }
        client_body_buffer_size 2k;
        proxy_buffers 4 4k; proxy_buffer_size 4k; proxy_busy_buffers_size 4k;
        log_format agg '$status $aggregate_status $aggregate_backend_reason '
                       '$aggregate_backend_time $aggregate_tags';
        access_log %%TESTDIR%%/agg.log agg;
        aggregate_debug $arg_d;
    }, server => q{
        location /a0 { aggregate { timeout 60ms; errors e;
            backend a /b/odd { } backend b /b/1 { } backend c /b/late { } } }
        location /a1 { aggregate { timeout 40ms;
            backend a /b/o { } backend b /b/odd?${a.id} { retry 2; }
            backend c /b/o?${b.id} { default []; } backend d /b/never { } } }
        location /a2 { aggregate { timeout 60ms; max_subrequests 12;
            backend a /b/o { } backend b /b/odd { each a.l; into k; }
            backend c /b/late?${item.} { each a.l; timeout 20ms; } } }
        location /a3 { aggregate { timeout 90ms; max_body_size 50k;
            backend a /b/big { } backend b /kept/big { }
            backend c /file { } backend d /b/odd { required; } } }
        location /a4 { aggregate { timeout 80ms; methods GET POST;
            backend a /b/echo { method POST; body request; }
            backend b /kept/echo { method PUT; body request; }
            backend c /b/odd { merge; default '{}'; }
            backend d /b/echo { method POST;
                                body '{"x":$arg_x,"y":${a.}}'; } } }
        location /a5 { aggregate { timeout 80ms; concurrency 2;
            backend a /a0 { } backend b /a1 { } backend c /cached/odd { }
            backend d /limited/1 { } backend e /aio { } backend f /try/x { } } }
        location /a6 { aggregate { timeout 40ms;
            backend a /notemp/odd { } backend b /unbuffered/odd { }
            backend c /errors/odd { } backend d /locked/late { } } }
        location /kept/ { proxy_http_version 1.1;
            proxy_set_header Connection ""; proxy_pass http://kept/; }
        location /cached/ { proxy_cache c; proxy_cache_valid any 1s;
            proxy_pass http://127.0.0.1:%%PORT_b%%/; }
        location /locked/ { proxy_cache c; proxy_cache_lock on;
            proxy_cache_valid 1s; proxy_pass http://127.0.0.1:%%PORT_b%%/; }
        location /limited/ { limit_req zone=r burst=1000;
            proxy_pass http://127.0.0.1:%%PORT_b%%/; }
        location /notemp/ { proxy_max_temp_file_size 0;
            proxy_pass http://127.0.0.1:%%PORT_b%%/; }
        location /unbuffered/ { proxy_buffering off;
            proxy_pass http://127.0.0.1:%%PORT_b%%/; }
        location /errors/ { proxy_intercept_errors on;
            error_page 500 502 503 = @named;
            proxy_pass http://127.0.0.1:%%PORT_b%%/; }
        location @named { return 200 '"named"'; }
        location /try/ { try_files /nosuch @named; }
        location /file { alias %%TESTDIR%%/file; }
        location /aio { aio threads; alias %%TESTDIR%%/file; }
        location /status { access_log off; stub_status; }
    });

$t->write_file('file', $big);
$t->port('0');
$t->{ports}{dead} = $t->dead_port;
$t->run($conf);


sub uri {
    return '/a' . int(rand 7) . '?x=' . int(rand 99) . '&d=' . int(rand 2);
}


my @actions = (
    sub { http_get(uri()) },
    sub {
        my $c = $t->connect(timeout => slow(5));
        $c->request(GET => uri());
        sleep rand 0.02;
        $c->close;
    },
    sub {
        my $c = $t->connect(timeout => slow(5));
        $c->request(GET => uri());
        sleep rand 0.1 if rand > 0.5;
        $c->reset;
    },
    sub {
        my $c = $t->connect(timeout => slow(5));
        my $n = 1 + int rand 6;
        $c->request(GET => uri()) for 1 .. $n;
        $c->response for 1 .. rand $n;
        rand > 0.5 ? $c->reset : $c->close;
    },
    sub {
        my $c = $t->connect(timeout => slow(5));
        $c->request(POST => '/a4', body => 'x' x rand 8000);
        $c->response if rand > 0.5;
        rand > 0.5 ? $c->reset : $c->close;
    },
    sub {
        my $c = $t->connect(timeout => slow(5));
        $c->send("POST /a4 HTTP/1.1\r\nHost: x\r\nContent-Length: "
                 . int(1 + rand 9000) . "\r\n\r\n" . 'y' x rand 3000);
        sleep rand 0.01;
        rand > 0.5 ? $c->reset : $c->close;
    },
    sub {
        my $c = $t->connect(timeout => slow(5));
        $c->send(substr "GET /a1 HTTP/1.1\r\nHost: x\r\nX: y\r\n\r\n", 0,
                 1 + rand 36);
        rand > 0.5 ? $c->reset : $c->close;
    },
    sub {
        my $c = $t->connect(timeout => slow(5));
        $c->request(GET => uri());
        $c->shutdown;
        $c->rest(0.02) if rand > 0.5;
        $c->close;
    },
    sub {
        my $h = Harness::H2->new(port => $t->port('h2'));
        my @ids = map { $h->request(GET => uri()) } 1 .. 1 + rand 8;
        $h->rst($_) for grep { rand > 0.6 } @ids;
        $h->wait($ids[rand @ids], 0.1) if rand > 0.4;
        rand > 0.5 ? $h->reset : $h->close;
    },
    sub {
        my $h = Harness::H2->new(port => $t->port('h2'));
        my $id = $h->request(POST => '/a4', body => 'z' x rand 9000,
                             open => rand > 0.7);
        rand > 0.5 ? $h->rst($id) : $h->wait($id, 0.3);
        rand > 0.5 ? $h->reset : $h->close;
    },
);


sub batch {
    my ($serial) = @_;

    my @pids;
    for my $client (1 .. 16) {
        my $pid = fork();
        die "fork: $!\n" if !defined $pid;

        if ($pid == 0) {
            srand $seed + 1000 * $serial + $client;
            $SIG{$_} = 'DEFAULT' for qw(TERM __DIE__);
            eval { $actions[rand @actions]->() } for 1 .. $rounds;
            print STDERR $@ if $@ && $@ !~ /no connection/;
            POSIX::_exit(0);
        }

        push @pids, $pid;
    }

    waitpid $_, 0 for @pids;
    return;
}


sub quiet {
    return wait_for(sub {
        my $s = $b->stats;
        return $s->{active} == 0
            && http_get('/status')->body =~ /Active connections: 1\b/;
    }, slow(20));
}


my @workers = $t->workers;
my ($fds, @rss);

for my $serial (1 .. 3) {
    batch($serial);
    ok(quiet(), "batch $serial: every connection is back")
        or diag(http_get('/status')->body, explain($b->stats));

    is("@{[ $t->workers ]}", "@workers", "batch $serial: the same workers");
    is(scalar(grep { kill 0, $_ } @workers), 2, "batch $serial: alive");

    # cached upstream connections come and go
    my $now = $t->fds;
    $fds = $now if !defined $fds;
    cmp_ok($now, '<=', $fds + 16, "batch $serial: descriptors");

    push @rss, $t->rss;
}

# it grows with the most that was under way at once, not with each batch; the
# allocator of the sanitizers keeps what was freed, on purpose

my $bound = $ENV{TEST_NGINX_SLOW} ? 2 ** 40 : 100;

while ($rss[-1] - $rss[-2] >= $bound && @rss < 10) {
    batch(@rss + 1);
    quiet();
    push @rss, $t->rss;
}

cmp_ok($rss[-1] - $rss[-2], '<', $bound, 'memory does not grow for ever')
    or diag("@rss");

my $log = $t->read_file('agg.log');
cmp_ok(scalar(() = $log =~ /^(?:200|499|50\d|401) /mg), '>', $rounds * 3,
       'requests were made') or diag("seed $seed");

# 500 before an aggregate began: nginx 1.26, of an HTTP/2 client that is gone
is(scalar(grep { !/^(?:200|499|50[234]|400|401|408|413|000|500 -) / }
          split /\n/, $log), 0, 'and only these statuses given')
    or diag(grep { !/^(?:200|499|502|504|400|401) / } split /^/, $log);

diag("seed $seed") if !Test::More->builder->is_passing;
