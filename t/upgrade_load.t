# A binary upgrade with replaced modules under load: USR2, WINCH, QUIT, and the
# way back.  No request fails, streams go on to their end, and what Redis has is
# not asked again; a reload alone leaves the old modules in place.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use File::Copy qw(copy);
use POSIX ();
use Test::More;
use Time::HiRes qw(sleep);

use Harness;
use Harness::Aggregate;
use Harness::Grpc qw(descriptor);
use Harness::Redis;

my $t = Harness->new(plan => 45, log_level => 'notice');
my $dir = $t->testdir;

$t->port('0');
$t->{ports}{dead} = $t->dead_port;

# the modules stand where a package or "install" puts them
my @names = map { m{([^/]+)$} } @{ $t->{modules} };

mkdir "$dir/modules";
copy($_, "$dir/modules/" . ($_ =~ s{.*/}{}r)) or die "$_: $!\n"
    for @{ $t->{modules} };
$t->{modules} = [ map { "$dir/modules/$_" } @names ];

my %n;
my $b = $t->backend('b',
    '/quick' => '1',
    '/some' => { body => '{"id":2}', delay => 0.01 },
    '/users/42' => '{"name":"Ada"}',
    '/500' => { status => 500 },
    '/kept' => sub {
        my ($q) = @_;
        return { body => ++$n{"$q->{path}?$q->{args}"}, headers =>
                 [ 'Cache-Control' => 'max-age=600' ] };
    },
);

my $grpc = Harness::Grpc->new($t, 'grpc');
descriptor($t, 'items.pb', 'items.proto');

$t->write_file('shop.graphql', 'type User { name: String }
    type Query { user(id: ID!): User @rest(get: "/b/users/${args.id}") }');

my $redis = Harness::Redis->new($t, 'redis');
$redis->start;

$t->conf(configuration(
    main => 'worker_processes 2; env ASAN_OPTIONS; env UBSAN_OPTIONS;',
    http => '
        aggregate_cache_zone zone 4m;
        breaker_zone guards 1m;
        breaker_policy once { failure_threshold 1; recovery_timeout 600s; }
        aggregate_grpc_descriptor items.pb;
        aggregate_redis fleet {
            server 127.0.0.1:%%PORT_redis%%; prefix t:; timeout 5s;
            connect_timeout 5s;
        }',
    server => '
        aggregate_cache_key $uri$is_args$args;
        location = /load { aggregate {
            timeout 20s;
            backend a /b/quick { } backend b /b/some { }
            backend c /b/quick?${b.id} { } } }
        location = /graphql { aggregate_graphql %%TESTDIR%%/shop.graphql { } }
        location = /kept {
            aggregate_cache zone redis=fleet;
            proxy_pass http://127.0.0.1:%%PORT_b%%;
        }
        location = /some {
            breaker some zone=guards;
            proxy_pass http://127.0.0.1:%%PORT_b%%;
        }
        location = /500 {
            breaker bad zone=guards policy=once;
            proxy_pass http://127.0.0.1:%%PORT_b%%;
        }
        location = /purge { allow all; aggregate_cache_purge zone redis=fleet; }
        location = /cache { allow all; aggregate_cache_status; }
        location /v1/ {
            aggregate_grpc t.v1.Items;
            aggregate_grpc_stream sse;
            aggregate_grpc_websocket on ping=0;
            grpc_pass grpc://127.0.0.1:%%PORT_grpc%%;
        }',
));


# nginx as a service runs it: a master that is nobody's child, since USR2 is
# for those alone

my $started = fork();
die "fork: $!\n" if !defined $started;
$t->exec_nginx('-c', "$dir/nginx.conf") if $started == 0;
waitpid $started, 0;
is($?, 0, 'nginx starts');

# the file is written after the process that was started has ended

my $first;
ok(wait_for(sub { $first = -f "$dir/nginx.pid" && master('nginx.pid') }),
   'in the background') or die $t->error_log;
Harness::guard("+$first");

my $built = versions();
like($built, qr/^\d+\.\d+\.\d+$/, 'the modules as built');


# what there is before

ok(purges_read(), 'Redis is there');
is(http_get('/kept?1')->body, 1, 'a response is kept');
is(http_get('/kept?2')->body, 1, 'another');
ok(wait_for(sub { $redis->call('DBSIZE') > 2 }), 'in Redis');
is(http_get('/500')->status, 500, 'a failure');
is(http_get('/500')->status, 503, 'opens a breaker');


# clients in processes of their own, until the file "enough" is there; each
# writes how many were good, and what else came

my @clients = (
    client(1, '200 complete {"a":1,"b":{"id":2},"c":1}', GET => '/load'),
    client(0, '200 complete {"a":1,"b":{"id":2},"c":1}', GET => '/load'),
    client(1, '200 complete (application/json; charset=utf-8) '
              . '{"data":{"user":{"name":"Ada"}}}',
           POST => '/graphql', '{"query":"{ user(id: 42) { name } }"}'),
    client(0, '200 application/json N', GET => '/kept?1'),
    client(1, '200 application/json N', GET => '/kept?1'),
    client(0, '200 application/json {"id":2}', GET => '/some'),
);

ok(wait_for(sub { requests() > 50 }, slow(20)), 'a load');


# streams, of the old workers

my $ws = websocket();
is(chat($ws, 1), '{"id":"1","name":"got x"}', 'a WebSocket');

my $events = $t->connect(timeout => slow(20));
$events->request(GET => '/v1/watch?n=1000000&every_ms=20',
                 headers => [ Accept => 'text/event-stream' ]);
my $seen = 0;
ok(event($events), 'events');


# the modules are replaced, as "install" does: by rename

for my $name (@names) {
    my $bytes = $t->read_file("modules/$name");
    $bytes =~ s{(_module/)\d+\.\d+\.\d+\0}{${1}9.9.9\0} or die "$name\n";
    $t->write_file("modules/$name", $bytes);
}

$t->mark_log;
kill HUP => $first;
ok($t->wait_log(qr/start worker process/, slow(20)), 'a reload');
ok($t->wait_log(qr/worker process \d+ exited|gracefully shutting down/,
                slow(20)), 'the workers are new');
is(versions(), $built, 'it keeps the modules');


# there and back

my $second = upgrade($first);
is(versions(), '9.9.9', 'a new binary takes the new modules');
is(chat($ws, 2), '{"id":"2","name":"got x"}', 'the WebSocket is served');

kill WINCH => $first;
ok($t->wait_log(qr/ $first#\d+: .*worker process \d+ exited/, slow(20)),
   'WINCH ends the old workers');
is(chat($ws, 3), '{"id":"3","name":"got x"}', 'but not what they serve');

$t->mark_log;
kill HUP => $first;
ok($t->wait_log(qr/ $first#\d+: start worker process/, slow(20)),
   'HUP brings the old workers back');
kill QUIT => $second;
ok(wait_for(sub { master('nginx.pid') == $first
                  && !master('nginx.pid.oldbin') }, slow(20)),
   'QUIT takes the new ones back');
is(chat($ws, 4), '{"id":"4","name":"got x"}', 'the WebSocket is served');


# and there

my $third = upgrade($first);
kill WINCH => $first;
ok(wait_for(sub { quiet_since($first) }, slow(20)), 'the old workers are told');

# fresh zones, and Redis
is(http_get('/500')->status, 500, 'breakers start anew');
is(http_get('/500')->status, 503, 'and open');
ok(purges_read(), 'the purges have been read');
is(http_get('/kept?2')->body, 1, 'the cache fills from Redis');
is(http_request(POST => '/purge?uri=/kept%3F2')->status, 200, 'a purge');
is(http_get('/kept?2')->body, 2, 'is heard');

my $last = $seen;
ok(event($events) && $seen > $last, 'the events go on');
is(chat($ws, 5), '{"id":"5","name":"got x"}', 'the WebSocket, too');
ok(kill(0, $first), 'the old master waits for them');
chat($ws, 'bye');
$_->close for $ws->{c}, $events;

kill QUIT => $first;
ok(wait_for(sub { !kill 0, $first }, slow(20)), 'QUIT ends the old master');
Harness::guard("-$first");
is(master('nginx.pid'), $third, 'the new one stays');
ok(!-e "$dir/nginx.pid.oldbin", 'alone');

my $more = requests() + 50;
ok(wait_for(sub { requests() > $more }, slow(20)), 'and serves');


# the sums

$t->write_file('enough', '');

for my $client (@clients) {
    my ($good, @bad) = split /\n/, do { local $/; readline $client->{in} };
    waitpid $client->{pid}, 0;
    is(join("\n", @bad), '', "$good times $client->{uri}: no failure");
}

kill QUIT => $third;
ok(wait_for(sub { !kill 0, $third }, slow(20)), 'the end');
Harness::guard("-$third");


sub master {
    my ($name) = @_;
    my ($pid) = $t->read_file($name) =~ /^(\d+)$/m;
    return $pid || 0;
}


# the second master, when both serve
sub upgrade {
    my ($old) = @_;
    my $new;

    $t->mark_log;
    kill USR2 => $old;

    wait_for(sub {
        $new = master('nginx.pid');
        return $new && $new != $old && master('nginx.pid.oldbin') == $old
            && $t->grep_log(qr/ $new#\d+: start worker process/) >= 2;
    }, slow(20)) or die "no second master:\n" . $t->error_log;

    Harness::guard("+$new");
    pass('USR2 starts a second master');
    return $new;
}


# what is in Redis is taken from then on
sub purges_read {
    return wait_for(sub { http_get('/cache')->body =~ /"redis":"up"/ },
                    slow(10));
}


# all that was told to end has been: those that are left serve what they have
sub quiet_since {
    my ($old) = @_;

    my %told = map { / (\d+)#\d+: gracefully shutting down/ ? ($1 => 1) : () }
        split /^/, $t->error_log;
    my %ended = map { /worker process (\d+) exited/ ? ($1 => 1) : () }
        split /^/, $t->error_log;

    for my $path (glob '/proc/[0-9]*/stat') {
        open my $f, '<', $path or next;
        my ($pid, $parent) = (<$f> || '') =~ /^(\d+) \(.*\) \S (\d+)/ or next;
        return 0 if $parent == $old && $pid != $third && !$told{$pid};
    }

    return 1;
}


# those that the modules said when they were loaded last
sub versions {
    my @said = map { m{_module/([\d.]+)} ? $1 : () } $t->grep_log(qr/_module/);
    my %last = map { $_ || 'none' => 1 } @said[-2, -1];
    return join ' ', sort keys %last;
}


# clients

# a connection that is kept and ends between requests is opened again, as every
# client does
sub client {
    my ($kept, $wanted, $method, $uri, $body) = @_;

    pipe my $in, my $out or die "pipe: $!\n";
    my $pid = fork();
    die "fork: $!\n" if !defined $pid;

    if ($pid == 0) {
        close $in;
        my ($good, $c, @bad) = (0);
        open my $count, '>>', "$dir/count" or die;

        until (-e "$dir/enough" || @bad > 10) {
            my $reused = $c;
            $c ||= $t->connect;
            $c->request($method, $uri, close => !$kept, body => $body,
                headers => [ 'Content-Type' => 'application/json' ]);

            my $r = $c->response;

            if ($r->error || !$kept
                || lc($r->header('Connection') || '') eq 'close')
            {
                $c->close;
                undef $c;
            }

            next if $reused && ($r->error || '') eq 'closed';

            my $got = $r->error || outcome($r);
            $got =~ s/ \d+$/ N/;
            $got eq $wanted ? $good++ : push @bad, $got;

            syswrite $count, '.';
            sleep 0.005;
        }

        print $out join "\n", $good, @bad;
        close $out;
        POSIX::_exit(0);
    }

    close $out;
    return { in => $in, pid => $pid, uri => $uri };
}


sub requests { return -s "$dir/count" || 0 }


sub websocket {
    my $c = $t->connect;

    $c->send("GET /v1/chat HTTP/1.1\r\nHost: localhost\r\n"
        . "Upgrade: websocket\r\nConnection: Upgrade\r\n"
        . "Sec-WebSocket-Version: 13\r\n"
        . "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n");

    my $ws = { c => $c, in => '' };
    more($ws) while $ws->{in} !~ /\r\n\r\n/;
    $ws->{in} =~ s/^.*?\r\n\r\n//s;
    return $ws;
}


sub more {
    my ($ws) = @_;

    IO::Select->new($ws->{c}->socket)->can_read(slow(10)) or die "a timeout\n";
    $ws->{c}->socket->sysread($ws->{in}, 65536, length $ws->{in})
        or die "the WebSocket has ended\n";
    return;
}


# a message there, and the answer to it
sub chat {
    my ($ws, $id) = @_;
    my $message = qq({"id":"$id","name":"x"});

    $ws->{c}->send(pack('CCN', 0x81, 0x80 | length $message, 0) . $message);
    return if $id eq 'bye';

    more($ws) while length $ws->{in} < 2
        || length $ws->{in} < 2 + unpack 'xC', $ws->{in};
    return substr(substr($ws->{in}, 0, 2 + unpack('xC', $ws->{in}), ''), 2);
}


# the next event, which has the next number
sub event {
    my ($c) = @_;

    while (1) {
        if ($c->{in} =~ s/^.*?data: \{"id":"(\d+)"[^\n]*\n//s) {
            return 0 if $1 != $seen + 1;
            $seen = $1;
            return 1;
        }

        IO::Select->new($c->socket)->can_read(slow(10)) or return 0;
        $c->socket->sysread($c->{in}, 65536, length $c->{in}) or return 0;
    }
}
