# gRPC from a browser: a WebSocket both ways and an EventSource, in Chromium
# without a screen.  The page tells what it saw by requests, which the log has.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use Test::More;

use Harness;
use Harness::Grpc qw(descriptor);

my $t = Harness->new(modules => [ 'ngx_http_aggregate_module' ]);

$t->plan(5);
$t->port('0');
descriptor($t, 'items.pb', 'items.proto');

my $g = Harness::Grpc->new($t, 'grpc');

$t->write_file('html/page.html', <<'EOP');
<!doctype html>
<title>gRPC</title>
<script>
const tell = (what, text) => fetch(`/tell/${what}?${encodeURIComponent(text)}`);

const ws = new WebSocket(`ws://${location.host}/v1/chat`);
const got = [];
ws.onopen = () => ws.send('{"id":"1","name":"a"}');
ws.onmessage = e => {
  got.push(JSON.parse(e.data).name);
  if (got.length === 1) ws.send('{"id":"2","name":"\u00e9"}');
  else ws.send('');
};
ws.onclose = e => tell('chat', `${got.join()},${e.code},${e.wasClean}`);

const fail = new WebSocket(`ws://${location.host}/v1/chat`);
fail.onopen = () => fail.send('{"id":"fail"}');
fail.onclose = e => tell('fail', `${e.code},${e.reason}`);

const ids = [];
const s = new EventSource('/v1/watch?n=3');
s.onmessage = e => ids.push(JSON.parse(e.data).id);
s.addEventListener('end', () => { s.close(); tell('events', ids.join()); });
</script>
EOP

$t->run(<<'EOC');
%%GLOBALS%%
events { }
http {
    %%HTTP%%
    aggregate_grpc_descriptor  items.pb;
    upstream grpc { server 127.0.0.1:%%PORT_grpc%%; keepalive 4; }
    server {
        listen 127.0.0.1:%%PORT_0%%;
        aggregate_grpc_websocket  on;
        location /v1/ {
            aggregate_grpc  t.v1.Items;
            grpc_pass       grpc://grpc;
        }
        location = /page { alias %%TESTDIR%%/html/page.html;
                           default_type text/html; }
        location /tell/ { return 204; }
        location = /favicon.ico { return 204; }
    }
}
EOC

my $port = $t->port;
my $profile = $t->testdir . '/profile';
my $pid = fork;

die "fork: $!\n" if !defined $pid;

if ($pid == 0) {
    setpgrp;
    open STDIN, '<', '/dev/null';
    open STDOUT, '>', $t->testdir . '/chromium.log';
    open STDERR, '>&', \*STDOUT;
    $ENV{HOME} = $t->testdir;
    { no warnings 'exec';
      exec 'chromium', '--headless', '--no-sandbox', '--disable-gpu',
          '--disable-dev-shm-usage', '--remote-debugging-port=0',
          "--user-data-dir=$profile", "http://127.0.0.1:$port/page"; }
    POSIX::_exit(127);
}

Harness::guard("+$pid");

my %want = (
    chat   => 'got%20a%2Cgot%20%C3%A9%2C1000%2Ctrue',
    fail   => '4009%2Cas%20told',
    events => '1%2C2%2C3',
);

for my $what (sort keys %want) {
    my $told;
    wait_for(sub { ($told) = $t->access_log =~ m{/tell/$what\?(\S+)} },
             slow(60));
    is($told, $want{$what}, $what);
}

kill 'KILL', -$pid, $pid;
waitpid $pid, 0;
Harness::guard("-$pid");

is(scalar(() = $t->grep_log(qr/\[error\]/)), 0, 'no errors');
is(http_get('/v1/items/1')->status, 200, 'the gateway is as before');
