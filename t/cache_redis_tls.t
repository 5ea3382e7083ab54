#!/usr/bin/perl

# Redis behind TLS: who it is, is verified before anything is sent, a
# password least of all; names, addresses, certificates of the gateway's own.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;
use Time::HiRes qw(time sleep);

use Harness;
use Harness::Redis;

my $t = Harness->new(plan => 39);
my $d = $t->testdir;

$t->port(0);

# what Redis says to one without a certificate
$t->allow_log(qr/\[crit\].*alert (?:certificate required|handshake failure)/);

# one that is gone, to nginx with an OpenSSL newer than itself
$t->allow_log(qr/\[crit\].*SSL_\w+\(\) failed .*unexpected eof/)
    if $t->older('1.21.4');

my $api = $t->backend('api',
    '/big/' => sub {
        my ($q) = @_;
        return { body => "$q->{uri};", repeat => 60000, headers =>
                 [ 'Cache-Control' => 'max-age=60' ] };
    },
    '/' => { body => 'right', headers => [ 'Cache-Control' => 'max-age=60' ] },
);

# two authorities; a server's certificate of each, one that has expired, and
# one of the gateway

sub openssl {
    system("openssl $_[0] >>$d/openssl.log 2>&1") == 0
        or die "openssl $_[0] failed\n";
    return;
}

for my $ca ('ca', 'other') {
    openssl("req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=$ca"
            . " -keyout $d/$ca.key -out $d/$ca.pem");
}

# dates in the past are only to be had from "openssl ca"
$t->write_file('index.txt', '');
$t->write_file('ca.cnf', <<"EOF");
[ca]
default_ca = test
[test]
database = $d/index.txt
new_certs_dir = $d
rand_serial = yes
default_md = sha256
policy = any
[any]
commonName = supplied
EOF

sub issue {
    my ($name, $ca, $alt, @dates) = @_;

    $t->write_file("$name.ext", "subjectAltName=$alt\n");

    openssl("req -newkey rsa:2048 -nodes -subj /CN=$name"
            . " -keyout $d/$name.key -out $d/$name.csr");
    openssl("ca -batch -notext -config $d/ca.cnf -cert $d/$ca.pem"
            . " -keyfile $d/$ca.key -in $d/$name.csr -extfile $d/$name.ext"
            . " @dates -out $d/$name.pem");
    return;
}

issue('server', 'ca', 'DNS:redis.internal,IP:127.0.0.1', '-days 2');
issue('named', 'ca', 'DNS:redis.internal', '-days 2');
issue('foreign', 'other', 'DNS:redis.internal,IP:127.0.0.1', '-days 2');
issue('expired', 'ca', 'DNS:redis.internal,IP:127.0.0.1',
      '-startdate 20200101000000Z', '-enddate 20200102000000Z');
issue('gateway', 'ca', 'DNS:gateway', '-days 2');

# a port in the clear is for the test alone

my $redis = Harness::Redis->new($t, 'plain', '--requirepass', 's3cret',
    '--tls-port', $t->port('tls'), '--tls-ca-cert-file', "$d/ca.pem");

$redis->login([ AUTH => 's3cret' ]);

sub start {
    my ($name, $clients) = @_;

    return $redis->start('--tls-cert-file', "$d/$name.pem", '--tls-key-file',
        "$d/$name.key", '--tls-auth-clients', $clients || 'no');
}

sub conf {
    my ($statements) = @_;

    return <<"EOF";

%%GLOBALS%%

worker_processes  2;

events {
}

http {
    %%HTTP%%

    aggregate_cache_zone  api 8m;

    aggregate_redis fleet {
        server           127.0.0.1:%%PORT_tls%%;
        password         s3cret;
        tls              on;
        connect_timeout  2s;
        timeout          2s;
        $statements
    }

    server {
        listen       127.0.0.1:%%PORT_0%%;
        server_name  localhost;

        location / {
            aggregate_cache  api redis=fleet;
            proxy_pass       http://127.0.0.1:%%PORT_api%%;
        }

        location = /purge {
            aggregate_cache_purge  api redis=fleet;
        }

        location = /state {
            aggregate_cache_status;
        }
    }
}

EOF
}

sub state_of { return http_get('/state')->json->{zones}{api}{redis} }

sub up {
    return wait_for(sub { http_get('/' . rand()); state_of() eq 'up' },
                    slow(10));
}

# AUTH is counted by Redis, also where it fails
sub auths {
    my $info = $redis->call('INFO', 'commandstats');
    return $info =~ /cmdstat_auth:calls=(\d+)/ ? $1 : 0;
}

# what is cached comes from Redis after a restart of nginx, which empties L1

sub works {
    my ($name) = @_;

    ok(up(), "$name: up");

    my $body = '/big/a;' x 60000;
    ok(http_get('/big/a')->body eq $body, "$name: a miss");
    ok(wait_for(sub { $redis->call('DBSIZE') > 0 }, slow(5)),
       "$name: stored");
    $t->restart;
    ok(up(), "$name: up again");

    my $r = http_get('/big/a');
    ok($r->body eq $body && $r->header('Cache-Status') =~ /detail=L2/,
       "$name: the whole of it from Redis") or diag($r->header('Cache-Status'));
    is(http_request('POST', '/purge?all=1')->status, 200, "$name: a purge");

    $redis->call('FLUSHALL');
    return;
}

sub refused {
    my ($name, $log) = @_;

    my $auths = auths();

    http_get('/' . rand()) for 1 .. 6;

    is(http_get('/' . rand())->status, 200, "$name: served");
    ok($t->wait_log($log), "$name: said");
    isnt(state_of(), 'up', "$name: not used");

    # the test's own is one
    is(auths() - $auths, 1, "$name: nothing was sent");
    $t->mark_log;
    return;
}

ok(start('server'), 'a Redis with TLS');

$t->run(conf("tls_ca $d/ca.pem;"));
works('an address');

$t->reload(conf("tls_ca $d/ca.pem; tls_name redis.internal;"));
works('a name');

# refused

$t->mark_log;
$t->reload(conf("tls_ca $d/ca.pem; tls_name redis.example;"));
refused('another name', qr/invalid: the name does not match/);

$t->reload(conf("tls_ca $d/other.pem;"));
refused('another authority', qr/invalid: self.signed|invalid: unable to get/);

$redis->kill_it;
start('named');
$t->reload(conf("tls_ca $d/ca.pem;"));
refused('no address', qr/invalid: the name does not match/);

$redis->kill_it;
start('expired');
$t->reload(conf("tls_ca $d/ca.pem;"));
refused('expired', qr/invalid: certificate has expired/);

$redis->kill_it;
start('foreign');
$t->reload(conf("tls_ca $d/ca.pem; tls_verify off;"));
ok(up(), 'not verified, as is wished');

# certificates of clients

$redis->kill_it;
start('server', 'yes');
$t->reload(conf("tls_ca $d/ca.pem; tls_certificate $d/gateway.pem;"
                . "tls_certificate_key $d/gateway.key;"));
ok(up(), 'with a certificate of its own');

$t->reload(conf("tls_ca $d/ca.pem;"));
ok(wait_for(sub { http_get('/' . rand()); state_of() ne 'up' }, slow(10)),
   'not without one');
is(http_get('/' . rand())->status, 200, 'and served');

# a server that speaks no TLS

my $plain = Harness::Redis->new($t, 'bare');
$plain->start;

my $conf = conf("tls_ca $d/ca.pem;");
$conf =~ s/PORT_tls/PORT_bare/;
$t->reload($conf);
ok(wait_for(sub { http_get('/' . rand()); state_of() ne 'up' }, slow(10)),
   'no TLS: not used');
is(http_get('/' . rand())->status, 200, 'no TLS: served');

# nonsense

$t->write_file('long', 'x' x 4096);

for (
    [ 'tls_ca nowhere.pem;', qr/nowhere.pem/ ],
    [ "tls_certificate $d/gateway.pem;", qr/need each other/ ],
    [ "sentinel_password file:$d/long;",
      qr/does not hold a secret of 1 to 4095 bytes/ ],
    [ 'tls_verifi off;', qr/did you mean "tls_verify" instead/ ],
) {
    my ($ok, $output) = $t->test_config(conf($_->[0]));
    like($output, $_->[1], $_->[0]);
}
