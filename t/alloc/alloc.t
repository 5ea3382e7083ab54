# Allocations of our modules fail, one of so many: whatever a request is
# answered with, the worker lives, the request ends, and its connections and
# descriptors come back.
#
# ./build.sh alloc SECONDS SEED builds the modules for it.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";
use Test::More;

use Time::HiRes qw(time sleep);

use Harness;
use Harness::Grpc qw(descriptor);
use Harness::Redis;
use Harness::WebSocket;

my $seed = $ENV{TEST_NGINX_SEED} || 7;
my $seconds = $ENV{TEST_NGINX_SECONDS} || 20;

srand $seed;
alarm 0;

my $t = Harness->new(plan => 6);
my $control = "$t->{dir}/control";
my $large = '[' . join(',', map { qq({"id":$_,"s":"abcdefgh"}) } 1 .. 9000)
            . ']';

$t->write_file('control', pack 'L3', 0, 0, 0);
$ENV{TEST_NGINX_ALLOC} = $control;

$t->backend('b',
    '/1' => '{"a":1,"list":[{"id":1},{"id":2},{"id":3}],"s":"x"}',
    '/2' => { body => '[1,2,3]', headers => [ 'Cache-Control' => 'max-age=1',
                                              'X-Tags' => 'a b' ] },
    '/vary' => { body => '{"v":1}', headers => [
        'Cache-Control' => 'max-age=0, stale-while-revalidate=9', ETag => '"e"',
        Vary => 'X-V' ] },
    '/large' => $large, '/500' => { status => 500 }, '/cut' => '{"a":',
    '/slow' => { body => '1', delay => 0.05 }, '/late' => { delay => 5 },
    '/gzip' => { body => '{"z":1}', gzip => 1 },
    '/set' => { body => '{"c":1}', headers => [ 'Set-Cookie' => 'a=b' ] },
);

$t->port(0);
my $redis = Harness::Redis->new($t, 'redis');
$redis->start;

descriptor($t, 'items.pb', 'items.proto');
my $grpc = Harness::Grpc->new($t, 'grpc');

$t->write_file('s.graphql', <<'EOS');
type Item { id: ID! s: String again: [Item] @rest(get: "/b/large")
  one(q: String): Top @rest(get: "/b/1?id=${parent.id}&q=${args.q}") }
type Top { a: Int s: String list: [Item!] }
type Query { top: Top @rest(get: "/b/1") bad: Top @rest(get: "/b/500")
  cut: Top @rest(get: "/b/cut", default: "null")
  large: [Item] @rest(get: "/b/large") }
type Mutation { put(a: String): Top @rest(post: "/b/1", body: "${args.a}") }
EOS

$t->run(<<'EOC');
%%GLOBALS%%
events { worker_connections 512; }
http {
    %%HTTP%%
    log_subrequest on;
    log_format a '$uri $status $aggregate_status $aggregate_backends '
                 '$breaker_key $breaker_result $sp $aggregate_cache_status';
    access_log %%TESTDIR%%/a.log a;

    aggregate_cache_zone z 1m;
    aggregate_cache_zone tiny 256k;
    aggregate_redis r { server 127.0.0.1:%%PORT_redis%%; timeout 300ms; }
    aggregate_metrics_zone m 256k;
    aggregate_graphql_zone apq 64k;
    aggregate_split_zone sz 64k;
    aggregate_split $sp key=$arg_k zone=sz { 50% v2; * v1; }
    breaker_zone bz 256k;
    breaker_policy p { failure_threshold 3; recovery_timeout 100ms; }
    aggregate_shape s { allow a s list[].id; rename s t; limit list 2; }
    aggregate_trace_exporter {
        endpoint http://127.0.0.1:%%PORT_b%%/v1/traces; interval 100ms;
    }
    aggregate_trace on;
    aggregate_metrics m;

    upstream u { aggregate_balance peak_ewma; zone u 64k;
                 server 127.0.0.1:%%PORT_b%%; server 127.0.0.1:%%PORT_b%%;
                 keepalive 4; }

    aggregate_grpc_descriptor items.pb;
    aggregate_grpc_websocket on ping=50ms;
    upstream grpc { server 127.0.0.1:%%PORT_grpc%%; keepalive 4; }

    server {
        listen 127.0.0.1:%%PORT_0%% sndbuf=32k;
        gzip on; gzip_types *; gzip_min_length 1;
        root %%TESTDIR%%;
        aggregate_debug $arg_debug;
        aggregate_buffer 64k;

        location /agg { aggregate {
            timeout 2s; methods GET POST; errors errs; max_subrequests 60;
            backend one /b/1 { method POST; body '{"x":"$arg_x"}'; }
            backend two /b/2?x=$arg_x { header X-A $arg_x; required; }
            backend three /c/vary { merge; default '{"d":1}'; }
            backend four /b/${one.a} { fail_on errors; retry 1; }
            backend five /b/slow { timeout 200ms; accept 2xx 404; }
            backend each /c/1?i=${item.id} { each one.list; into more; }
            backend bad /b/500 { retry 2; }
            backend cut /cut { hidden; }
            backend zipped /z/gzip { set t '"x"'; }
            backend nested /small { pass_header X-Tags; } } }
        location /v1/ { aggregate_grpc t.v1.Items; grpc_pass grpc://grpc; }
        location /calls { aggregate { timeout 2s;
            backend one /v1/items/7 { }
            backend watch /v1/watch?n=3 { each one.tags; into list; }
            backend all /v1/itemlist?n=9 { limit items 2; }
            backend shaped /shaped/v1/items/8 { allow id; }
            backend kept /kept/v1/items/9 { } } }
        location /shaped/ { aggregate_grpc t.v1.Items strip=/shaped;
            aggregate_apply s; breaker g zone=bz policy=p;
            grpc_pass grpc://grpc; }
        location /kept/ { aggregate_grpc t.v1.Items strip=/kept;
            aggregate_cache z redis=r; aggregate_cache_ttl / 1s;
            grpc_pass grpc://grpc; }
        location /hedged { aggregate { timeout 2s; concurrency 2;
            backend a /b/slow { hedge 5ms max=100%; retry 1; }
            backend b /b/1 { hedge 1ms max=100%; }
            backend c /b/1 { } backend d /b/1 { } } }
        location /small { aggregate { backend a /b/1 { allow a; } } }
        location /big { aggregate { backend a /b/large { } } }
        location /late { aggregate { timeout 100ms; backend a /b/late { }
                                     backend b /b/1 { } } }
        location /gql { aggregate_graphql %%TESTDIR%%/s.graphql {
            timeout 2s; persisted apq; batching 4; plan_cache 64k;
            max_response_size 4m; } }
        location /c/ { aggregate_cache z redis=r; aggregate_cache_ttl / 2s;
            aggregate_cache_tags $upstream_http_x_tags;
            aggregate_cache_stale updating 9s error 9s;
            breaker $uri zone=bz policy=p; proxy_pass http://u/; }
        location /own { aggregate_cache tiny; aggregate_cache_ttl / 1s;
            aggregate { backend a /b/1 { } backend b /b/large { } } }
        location /apply { aggregate_apply s; proxy_pass http://u/1; }
        location /applied { aggregate_apply s; aggregate_cache z redis=r;
            aggregate_cache_ttl / 1s; proxy_pass http://u/large; }
        location /breaker { breaker $arg_k zone=bz policy=p;
            breaker_fallback 200 text/plain f; proxy_pass http://u/500; }
        location /named { breaker n zone=bz policy=p;
            breaker_fallback @back; proxy_pass http://u/500; }
        location @back { return 200 back; }
        location /split { aggregate_cache z; aggregate_cache_ttl / 1s;
            add_header X-V $sp; proxy_pass http://u/$sp; }
        location /ssi { ssi on; ssi_types *; alias %%TESTDIR%%/page; }
        location /purge { aggregate_cache_purge z redis=r; }
        location /cstatus { aggregate_cache_status; }
        location /bstatus { breaker_status; }
        location /metrics { aggregate_metrics_status include=/small; }
        location /page { aggregate_status; }
        location /balance { aggregate_balance_status; }
        location /splits { aggregate_split_status; }
        location /z/ { gunzip on; proxy_pass http://u/; }
        location /b/ { proxy_pass http://u/; }
        location /cut { return 444; }
        location = /stub { stub_status; }
    }
}
EOC

$t->write_file('page', '<!--#include virtual="/agg" -->'
               . '<!--#include virtual="/c/2" -->');

my @uris = ('/agg?x=1', '/agg?debug=1', '/small', '/big', '/late', '/c/1',
    '/c/vary', '/c/2', '/c/large', '/own', '/apply', '/applied', '/named',
    '/breaker?k=1', '/split?k=%d', '/ssi', '/purge', '/purge?tag=a',
    '/purge?uri=/c/1', '/purge?prefix=/c/', '/cstatus', '/bstatus', '/metrics',
    '/page', '/balance', '/splits', '/bstatus?format=prometheus', '/c/%d',
    '/v1/items/7', '/v1/watch?n=%d', '/calls', '/calls', '/hedged', '/v1/sum',
    '/v1/fail?code=5', '/kept/v1/items/%d', '/shaped/v1/items/%d',
    '/bstatus?format=json', '/gql', '/gql', '/c/set', '/page?format=json');

my @queries = ('{top{a s list{id one(q:\"z\"){a}}}}', '{bad{a} cut{a} top{s}}',
    '{large{id s}}', '{large{id again{id}}}', 'mutation{put(a:\"x\"){a}}',
    '{__schema{types{name}}}', 'query Q($v:String){top{list{id}}}', '{', '{x}');

http_get($_) for map { my $u = $_; $u =~ s/%d/1/; $u } @uris;

my ($worker) = $t->workers;
my ($batches, $failed, $answers, @open) = (0, 0, 0);
my $until = time + $seconds;


# the control is a mapped file: its bytes change in place
sub fail_one_in {
    my ($n, $with) = @_;
    open my $f, '+<', $control or die "$control: $!\n";
    sysseek $f, 0, 0;
    syswrite $f, pack 'L2', $n, $with;
    sysseek $f, 8, 0;
    sysread $f, my $count, 4;
    close $f;
    return unpack 'L', $count;
}


sub start {
    my $c = $t->connect(timeout => slow(8));
    my $uri = $uris[rand @uris];
    my $n = int rand 40;
    $uri =~ s/%d/$n/;

    my %o = (headers => [ rand() < 0.3 ? ('Accept-Encoding' => 'gzip') : (),
                          rand() < 0.2 ? ('X-V' => int rand 3) : (),
                          rand() < 0.1 ? (Range => 'bytes=1-9') : () ]);
    my $method = 'GET';

    if ($uri eq '/gql') {
        my $query = '{"query":"' . $queries[rand @queries] . '"}';
        $query = "[$query,$query]" if rand() < 0.2;
        %o = (headers => [ 'Content-Type' => 'application/json' ],
              body => $query);
        $method = 'POST';

    } elsif ($uri eq '/v1/sum') {
        %o = (headers => [ 'Content-Type' => 'application/json' ],
              body => '[' . join(',', map { qq({"n":$_}) } 1 .. $n) . ']');
        $method = 'POST';

    } elsif ($uri =~ /watch/) {
        push @{ $o{headers} }, Accept => (qw(text/event-stream
            application/x-ndjson application/json))[rand 3];

    } elsif ($uri =~ /purge/) {
        $method = 'POST';

    } elsif (rand() < 0.15) {
        $method = (qw(HEAD POST PURGE OPTIONS))[rand 4];
        $o{body} = 'x' x rand 3000 if $method eq 'POST';
    }

    $c->request($method => $uri, %o, close => rand() < 0.3);
    return [ $c, "$method $uri", $method ];
}


sub settled {
    return wait_for(sub { http_get('/stub')->body =~ /Active connections: 1 / },
                    slow(10));
}


# a call both ways: what it is answered with does not matter, its end does

sub talk {
    my ($end) = @_;
    my $ws = Harness::WebSocket->new($t, '/v1/chat');

    for (1 .. 3) {
        last if $ws->head !~ / 101 /;
        $ws->text('{"id":"1","name":"x"}');
        last if !$ws->next;
    }

    $end ? $ws->client->reset : $ws->client->close;
    return;
}


ok(settled(), 'no request is open at the start');
my $fds = $t->fds;

while (time < $until && !@open && kill 0, $worker) {
    my $with = $seed * 100_000 + ++$batches;
    my $one_in = (15, 40, 120, 400, 1500)[rand 5];

    fail_one_in($one_in, $with);
    my @clients = map { start() } 1 .. 12;

    for my $client (@clients) {
        my ($c, $what, $method) = @$client;

        if (rand() < 0.1) {
            rand() < 0.5 ? $c->reset : $c->close;
            next;
        }

        my $r = $c->response(method => $method);
        $answers++ if $r->status == 200;

        # a connection that is closed is an answer
        push @open, "$what, batch $batches"
            if ($r->error || '') eq 'timeout';
        $c->close;
    }

    talk(rand() < 0.5) if rand() < 0.3;

    $failed = fail_one_in(0, $with);

    if ($batches % 5 == 0 && !settled()) {
        push @open, "a connection after batch $batches";
    }
}

fail_one_in(0, 0);

diag("$batches batches, $answers answers, $failed failed allocations");
cmp_ok($failed, '>', $seconds, 'allocations have failed');
cmp_ok($answers, '>', $seconds, 'some requests have succeeded');
is_deeply(\@open, [], 'every request has ended') or diag("seed $seed");
ok(settled(), 'no request is open');
ok(wait_for(sub { $t->fds <= $fds + 12 }, slow(10)), 'descriptors are back')
    or diag("$fds at first, " . $t->fds . ' now');
