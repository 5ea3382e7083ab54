# A worker that is told to go at each stage of a request: it stays as long as
# its clients wait, and then nothing holds it, neither a connection nor a timer.
# A worker that is terminated or killed leaves nothing behind that others would
# wait for.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use IO::Socket::INET;
use Test::More;
use Time::HiRes qw(sleep time);

use Harness;
use Harness::Grpc qw(descriptor settings headers message);
use Harness::WebSocket;

my $t = Harness->new;

$t->port('0');
descriptor($t, 'items.pb', 'items.proto');

$t->write_file('s.graphql', <<'EOF');
type Query { hang: Int @rest(get: "/b/hang") late: Int @rest(get: "/b/late")
             list: [Item] @rest(get: "/b/list") }
type Item { id: Int  hang: Int @rest(get: "/b/hang?i=${parent.id}")
            late: Int @rest(get: "/b/late?i=${parent.id}") }
EOF

my $late = slow(0.4);
my %calls;

my $b = $t->backend('b',
    '/ok' => '1',
    '/list' => '[{"id":1},{"id":2},{"id":3}]',
    '/hang' => { action => 'hang' },
    '/late' => { delay => $late, body => '1' },
    '/body/hang' => { body => '"abc"', cut => 2, after => 'hang' },
    '/body/late' => { body => '"abc"', body_delay => $late },
    '/big' => { body => 'x', repeat => 900_000, type => 'text/plain' },
    (map { my $w = $_;

        # the first call, and those that follow
        "/retry/$w" => sub { then($_[0], $w, { status => 503, body => '1' }) },
        "/probe/$w" => sub { then($_[0], $w, { status => 500, body => '1' }) },
        "/stale/$w" => sub { then($_[0], $w, { body => '1',
            headers => [ 'Cache-Control' =>
                         'max-age=1, stale-while-revalidate=600' ] }) }
    } 'hang', 'late'),
);

sub then {
    my ($q, $w, $first) = @_;

    return !$calls{$q->{uri}}++ ? $first
         : $w eq 'hang'         ? { action => 'hang' }
         :                        { delay => $late, body => '1' };
}

$t->backend('grpc', '*' => { raw => settings() . headers()
    . message("\x0a\x011"), after => 'hang' });
$t->backend('collector', '*' => { action => 'hang' });

# ports where commands, and connections, wait for ever
my @silent = map { IO::Socket::INET->new(LocalAddr => '127.0.0.1',
                   Listen => $_) or die "listen: $!\n" } 64, 1;
my ($silent, $full) = map { $_->sockport } @silent;
my @fill = map { IO::Socket::INET->new(PeerAddr => '127.0.0.1', Proto => 'tcp',
                 PeerPort => $full, Blocking => 0) } 1 .. 4;

my $conf = <<"EOC";
%%GLOBALS%%
worker_processes 1;
events { }
http {
    %%HTTP%%
    aggregate_cache_zone zone 4m;
    aggregate_cache_zone zone_r 256k;
    aggregate_cache_zone zone_f 256k;
    aggregate_redis silent { server 127.0.0.1:$silent;
                             timeout 30s; connect_timeout 30s; }
    aggregate_redis full { server 127.0.0.1:$full;
                           timeout 30s; connect_timeout 30s; }
    aggregate_grpc_descriptor items.pb;
    aggregate_shape bare { deny x; }
    aggregate_metrics_zone mz 256k;
    aggregate_trace_exporter { endpoint http://127.0.0.1:%%PORT_collector%%/;
                               interval 10ms; timeout 30s; }
    aggregate_split_zone sz 64k;
    aggregate_split \$version key=\$remote_addr zone=sz { * one; }
    breaker_zone bz 256k;
    breaker_policy quick { failure_threshold 1; recovery_timeout 50ms;
                           jitter 0%; probe_timeout 300ms; probes 1; }
    upstream grpc { server 127.0.0.1:%%PORT_grpc%%; keepalive 4; }
    upstream peers { zone peers 256k; aggregate_balance peak_ewma;
                     server 127.0.0.1:%%PORT_b%%; keepalive 4; }
    server {
        listen 127.0.0.1:%%PORT_0%% sndbuf=32k;
        server_name localhost;
        proxy_http_version 1.1;
        proxy_set_header Connection "";

        location ^~ /b/ { proxy_pass http://127.0.0.1:%%PORT_b%%/; }
        location ^~ /peers/ { proxy_pass http://peers/; }
        location ^~ /full/ { proxy_pass http://127.0.0.1:$full/; }
        location ~ ^/header/(?<w>.*) { aggregate { timeout 60s;
            backend a /b/\$w { } backend o /b/ok { } } }
        location = /connect/hang { aggregate { timeout 60s;
            backend a /full/x { } } }
        location ~ ^/body/(?<w>.*) { aggregate { timeout 60s;
            backend a /b/body/\$w { } } }
        location ~ ^/retry/(?<w>.*) { aggregate { timeout 60s;
            backend a /b/retry/\$w?\$args { retry 2; } } }
        location ~ ^/hedge/(?<w>.*) { aggregate { timeout 60s;
            backend a /b/\$w { hedge 20ms max=100%; } } }
        location ~ ^/each/(?<w>.*) { aggregate { timeout 60s; concurrency 2;
            backend l /b/list { hidden; }
            backend a /b/\$w?\${item.id} { each l.; } } }
        location ~ ^/nested/(?<w>.*) { aggregate { timeout 60s;
            backend a /header/\$w { } } }
        location ~ ^/peer/(?<w>.*) { set \$v \$version; aggregate { timeout 60s;
            backend a /peers/\$w { } } }
        location ~ ^/apply/(?<w>.*) { aggregate_apply bare;
            proxy_pass http://127.0.0.1:%%PORT_b%%/body/\$w; }
        location ~ ^/lock/(?<w>.*) { aggregate_cache zone;
            aggregate_cache_valid 1h; aggregate_cache_lock_timeout 60s;
            proxy_pass http://127.0.0.1:%%PORT_b%%/\$w; }
        location ~ ^/parts/(?<w>.*) { aggregate { timeout 60s;
            backend a /lock/\$w?\$args { } } }
        location ~ ^/stale/(?<w>.*) { aggregate_cache zone;
            proxy_pass http://127.0.0.1:%%PORT_b%%/stale/\$w?\$args; }
        location = /reply { aggregate_cache zone_r redis=silent;
            proxy_pass http://127.0.0.1:%%PORT_b%%/ok; }
        location = /handshake { aggregate_cache zone_f redis=full;
            proxy_pass http://127.0.0.1:%%PORT_b%%/ok; }
        location = /purge { allow all;
            aggregate_cache_purge zone_r redis=silent; }
        location ^~ /v1/ { aggregate_grpc t.v1.Items;
            aggregate_grpc_websocket on; grpc_pass grpc://grpc; }
        location = /call { aggregate { timeout 60s; backend a /v1/watch { } } }
        location = /graphql { aggregate_graphql s.graphql { timeout 60s; } }
        location = /trace { aggregate_trace on;
            aggregate { backend a /b/ok { } } }
        location ~ ^/probe/(?<w>.*) { breaker \$args zone=bz policy=quick;
            proxy_pass http://127.0.0.1:%%PORT_b%%/probe/\$w?\$args; }
        location = /big { aggregate_buffer 64k; aggregate { timeout 60s;
            backend a /b/big { encoding string; } } }
        location = /post { aggregate { methods POST; timeout 60s;
            backend a /b/ok { method POST; body request; } } }
        location ~ ^/pages/ { allow all;
            aggregate_metrics_status mz include=/b/hang; }
        location = /ok { aggregate { backend a /b/ok { } } }
    }
}
EOC

my $n = 0;

# A stage: how it is reached, which gives the clients that wait; and what they
# get where it goes on, which is when %w is "late".

my @stages = (
    [ header => asked('header/%w'), '{"a":1,"o":1}' ],
    [ connect => sub { pause(ask('/connect/hang')) } ],
    [ body => asked('body/%w'), '{"a":"abc"}' ],
    [ retry => sub { my ($w) = @_; my $c = ask("/retry/$w?$n");
                     wait_for(sub { $b->count("/retry/$w") >= 2 }, slow(5));
                     active(1); $c }, '{"a":1}' ],
    [ hedge => asked('hedge/%w', 2), '{"a":1}' ],
    [ 'fan-out' => asked('each/%w', 2), '{"a":[1,1,1]}' ],
    [ nested => asked('nested/%w'), '{"a":{"a":1,"o":1}}' ],
    [ balance => asked('peer/%w'), '{"a":1}' ],
    [ shape => asked('apply/%w'), '"abc"' ],
    [ lock => sub { my ($w) = @_;
                    pause(map { ask("/lock/$w?$n") } 1 .. 3) }, '1' ],
    [ 'lock of parts' => sub { my ($w) = @_;
                    pause(map { ask("/parts/$w?p$n") } 1 .. 3) }, '{"a":1}' ],
    [ refresh => sub { my ($w) = @_;
                       ask("/stale/$w?$n")->response; sleep 1.5;
                       my $c = ask("/stale/$w?$n"); active(1); $c }, '1' ],
    [ 'Redis, reply' => sub { pause(ask('/reply')) } ],
    [ 'Redis, handshake' => sub { pause(ask('/handshake')) } ],
    [ purge => sub { my $c = $t->connect;
                     $c->request(POST => '/purge?uri=/x'); pause($c) } ],
    [ gRPC => sub { pause(ask('/v1/watch?n=1', headers =>
                        [ Accept => 'text/event-stream' ])) } ],
    [ 'gRPC in a part' => sub { pause(ask('/call')) } ],
    [ WebSocket => sub { my $ws = Harness::WebSocket->new($t, '/v1/chat');
                         $ws->text('{}'); pause($ws->client) } ],
    [ GraphQL => sub { my ($w) = @_; my $c = ask("/graphql?query={$w}");
                       active(1); $c }, qr/\{"data":\{"\w+":1\}\}/ ],
    [ 'GraphQL, lists' => sub { my ($w) = @_;
                       my $c = ask("/graphql?query={list{$w}}");
                       active(3); $c }, qr/"\w+":1\},\{"\w+":1\},/ ],
    [ exporter => sub { my $c = ask('/trace'); $c->response; pause($c) } ],
    [ probe => sub { my ($w) = @_; ask("/probe/$w?$n")->response; pause();
                     my $c = ask("/probe/$w?$n"); active(1); $c }, '1' ],
    [ 'temporary file' => sub { pause(ask('/big')) }, qr/x"\}$/ ],
    [ 'request body' => sub { my $c = $t->connect;
                      $c->send("POST /post HTTP/1.1\r\nHost: localhost\r\n"
                               . "Content-Length: 4\r\n\r\n\"a");
                      pause($c) } ],
    [ 'other pages' => asked('pages/') ],
    [ idle => sub { my $c = ask('/ok'); $c->response; $c } ],
);

@stages = grep { $_->[0] =~ /$ENV{STAGE}/ } @stages if $ENV{STAGE};

my @late = grep { defined $_->[2] } @stages;

$t->plan(5 * @stages + 2 * @late);
$t->run($conf);

for my $stage (@stages) {
    my ($name, $reach, $answer) = @$stage;

    for my $w (defined $answer ? ('late', 'hang') : 'hang') {
        my @c = reached($reach, $w);
        my @old = $t->workers;
        $t->mark_log;
        $t->reload or die "no reload\n";

        is(join(' ', map { judged($_->response, $answer) } @c),
           join(' ', map { 'right' } @c), "$name: what waits is answered")
            if $w eq 'late';

        $_->close for @c;
        ok(wait_for(sub { !grep { kill 0, $_ } @old }, slow(3))
           && !$t->grep_log(qr/\[alert\]/), "$name, $w: the worker ends")
            or kill 'KILL', @old;
    }
}

# at once, whatever waits

for my $stage (@stages) {
    my ($name, $reach) = @$stage;

    my @c = reached($reach, 'hang');
    my $pid = delete $t->{pid};

    kill 'TERM', $pid;
    ok(wait_for(sub { waitpid($pid, 1) == $pid }, slow(3)),
       "$name: nginx is terminated");
    $_->close for @c;
    $t->run;
}

# killed: another one does the same for the next clients

$t->allow_worker_exit;

for my $stage (@stages) {
    my ($name, $reach, $answer) = @$stage;
    my $w = defined $answer ? 'late' : 'hang';

    my @c = reached($reach, $w);
    my $offset = -s $t->testdir . '/error.log';

    kill 'KILL', $t->workers;
    ok(wait_for(sub { $t->started($offset) == 1 }, slow(5)),
       "$name: another worker after one was killed");
    $t->{workers} = [ $t->started($offset) ];
    $_->close for @c;

    # what was locked, or refreshed, is the same
    $n-- if $name =~ /^(?:lock|refresh)/;
    my $start = time();
    @c = reached($reach, $w);
    is(defined $answer ? judged($c[0]->response, $answer)
                       : judged(http_get('/ok'), '{"a":1}'),
       'right', "$name: it serves");
    cmp_ok(time() - $start, '<', slow(4), "$name: in time");
    $_->close for @c;
}


sub judged {
    my ($r, $answer) = @_;

    my $body = $r->body;
    my $right = ref $answer ? $body =~ $answer : $body eq $answer;
    return $r->error || ($right ? 'right' : substr $body, -80);
}


sub asked {
    my ($uri, $active) = @_;

    return sub {
        my ($w) = @_;
        my $c = ask('/' . $uri =~ s/%w/$w/r);
        active($active || 1);
        return $c;
    };
}


sub ask {
    my ($uri, @more) = @_;
    my $c = $t->connect;
    $c->request(GET => $uri, @more);
    return $c;
}


sub active {
    my ($n) = @_;
    wait_for(sub { $b->stats->{active} >= $n }, slow(5))
        || diag('it was not reached: ', $b->stats->{active});
    return;
}


sub pause {
    sleep slow(0.15);
    return @_ == 1 ? $_[0] : @_;
}


sub reached {
    my ($reach, $w) = @_;

    wait_for(sub { $b->stats->{active} == 0 }, slow(3))
        || diag('a request of the stage before is still there');
    $b->clear;
    $n++;

    return $reach->($w);
}
