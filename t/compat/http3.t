# Clients of HTTP/3: aggregates, shapes, GraphQL, the cache, the breaker, and
# what such a client does in the middle of an answer.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";
use Test::More;

use Time::HiRes qw(time);

use Harness;

plan skip_all => 'this nginx has no HTTP/3'
    if `$ENV{TEST_NGINX_BINARY} -V 2>&1` !~ /--with-http_v3_module/;

require Harness::H3;

my $t = Harness->new;
my $long = '"' . 'x' x 900_000 . '"';

my $b = $t->backend('b',
    '/1' => '{"id":1,"secret":2}', '/long' => $long,
    '/500' => { status => 500 }, '/404' => { status => 404 },
    '/slow' => { body => '1', delay => slow(0.2) }, '/hang' => { delay => 20 },
    '/echo' => sub { { body => $_[0]{body} } },
    '/fresh' => sub { { body => '{"f":1}',
                        headers => [ 'Cache-Control' => 'max-age=60' ] } },
    '/id' => sub { { body => ($_[0]{args} || 0) =~ /(\d+)/ ? $1 : 0,
                     delay => (($1 || 0) % 3) * 0.02 } },
);

$t->plan(41);

system('openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=localhost'
       . " -keyout $t->{dir}/key.pem -out $t->{dir}/cert.pem 2>/dev/null") == 0
    or die "openssl failed\n";

$t->write_file('s.graphql', <<'EOS');
type Item { id: Int }
type Query { item: Item @rest(get: "/b/1") bad: Item @rest(get: "/b/500") }
EOS

$t->port($_) for 0, 'h3';
$t->run(<<'EOC');
%%GLOBALS%%
events { }
http {
    %%HTTP%%
    aggregate_cache_zone z 4m;
    breaker_zone bz 256k;
    breaker_policy p { failure_threshold 2; recovery_timeout 60s; }
    aggregate_shape s { deny secret; rename id key; }

    server {
        listen 127.0.0.1:%%PORT_0%%;
        listen 127.0.0.1:%%PORT_h3%% quic;
        ssl_certificate %%TESTDIR%%/cert.pem;
        ssl_certificate_key %%TESTDIR%%/key.pem;
        client_body_buffer_size 1k;

        location /two { aggregate { backend a /b/1 { } backend b /b/slow { } } }
        location /long { aggregate { backend a /b/long { } } }
        location /file { aggregate_buffer 64k;
                         aggregate { backend a /b/long { } } }
        location /partial { aggregate { timeout 100ms; backend a /b/hang { }
                                        backend b /b/1 { allow id; } } }
        location /problem { aggregate { backend a /b/404 { required; } } }
        location /hang { aggregate { timeout 20s; backend a /b/hang { } } }
        location /post { aggregate { methods POST; backend a /b/echo {
                                     method POST; body request; } } }
        location /id { aggregate { backend a /b/id?$args { }
                                   backend b /b/id?$args { } } }
        location /shape { aggregate_apply s;
                          proxy_pass http://127.0.0.1:%%PORT_b%%/1; }
        location /gql { aggregate_graphql %%TESTDIR%%/s.graphql { } }
        location /cached { aggregate_cache z;
                           proxy_pass http://127.0.0.1:%%PORT_b%%/fresh; }
        location /both { aggregate_cache z; aggregate_cache_ttl / 60s;
                         aggregate { backend a /b/long { } } }
        location /breaker { breaker k zone=bz policy=p;
                            breaker_fallback 200 text/plain fallback;
                            proxy_pass http://127.0.0.1:%%PORT_b%%/500; }
        location /ok { return 200 ok; }
        location = /stub { stub_status; }
        location /b/ { internal; proxy_pass http://127.0.0.1:%%PORT_b%%/; }
    }
}
EOC

my $h = client();

sub client { return Harness::H3->new(port => $t->port('h3'), @_) }

sub answer {
    my ($uri, %o) = @_;
    my $s = $h->wait($h->request($o{method} || 'GET', $uri, %o), slow(10));
    return "$s->{status} $s->{body}";
}

# nginx counts a QUIC connection and each of its streams: those of HTTP/1, of
# the first client, and of its control stream are left
sub alone { return $t->stub_status('/stub')->{active} <= 3 }


# answers

is(answer('/ok'), '200 ok', 'nginx itself');
is(answer('/two'), '200 {"a":{"id":1,"secret":2},"b":1}', 'an aggregate');
is(answer('/partial'), '200 {"b":{"id":1}}', 'a part is missing');
like(answer('/problem'), qr/^404 \{"status":404,/, 'a problem');
is(answer('/shape'), '200 {"key":1}', 'a shape');
is(answer('/long'), "200 {\"a\":$long}", 'a long answer');
is(answer('/file'), "200 {\"a\":$long}", 'by a temporary file');
is(answer('/two', method => 'HEAD'), '200 ', 'HEAD');
like(answer('/two', method => 'DELETE'), qr/^405 /, 'another method');
is(answer('/post', method => 'POST', body => '{"x":1}'),
   '200 {"a":{"x":1}}', 'POST');

my $body = '{"x":"' . 'y' x 9000 . '"}';
is(answer('/post', method => 'POST', body => $body), "200 {\"a\":$body}",
   'a body that is in a file');

my @json = (method => 'POST', headers => [ 'content-type',
                                           'application/json' ]);
is(answer('/gql', @json, body => '{"query":"{ item { id } }"}'),
   '200 {"data":{"item":{"id":1}}}', 'GraphQL');
like(answer('/gql', @json, body => '{"query":"{ bad { id } item { id } }"}'),
     qr/^200 .*"bad":null.*"errors"|^200 .*"errors".*"bad":null/,
     'GraphQL with an error');
like(answer('/gql', @json, body => '{"query":"{"}'), qr/^200 \{"errors"/,
     'GraphQL that is no document');

$b->clear;
is(answer('/cached'), '200 {"f":1}', 'a miss');
is(answer('/cached'), '200 {"f":1}', 'a hit') for 1 .. 5;
is($b->count('/fresh'), 1, 'one call');

answer('/breaker') for 1 .. 3;
$b->clear;
is(answer('/breaker'), '200 fallback', 'the fallback of an open breaker');
is($b->count('/500'), 0, 'nobody was called');

my $s = $h->wait($h->request(GET => '/two'), slow(10));
is(Harness::H3::header($s, 'content-length'), length $s->{body},
   'a header of the answer');

# many at once

my @ids = map { $h->request(GET => "/id?$_") } 1 .. 60;
my @bad = grep { my $s = $h->wait($ids[$_ - 1], slow(20));
                 $s->{body} ne "{\"a\":$_,\"b\":$_}" } 1 .. 60;
is("@bad", '', '60 streams at once');


# clients that leave

for my $way (qw(rst stop)) {
    for my $uri (qw(/hang /long /file /both /post)) {
        my $id = $h->request($uri eq '/post' ? ('POST', $uri, body => '{"x":',
                                                open => 1) : ('GET', $uri));
        $h->read(time() + 0.05);
        $h->$way($id);
        $h->wait($id, 0.3);
    }

    is(answer('/ok'), '200 ok', "the connection lives on after $way");
}

ok(wait_for(\&alone, slow(5)), 'no part is left')
    or diag($t->stub_status('/stub')->{active});

for my $way (qw(close vanish)) {
    for my $uri (qw(/hang /two /long /file /both)) {
        my $c = client(window => 30_000, idle => 2000);
        my $id = $c->request(GET => $uri);
        $c->request(GET => '/cached');
        $c->read(time() + 0.05) for 1 .. 3;
        $c->$way;
    }
}

is(answer('/two'), '200 {"a":{"id":1,"secret":2},"b":1}', 'others are served');
ok(wait_for(\&alone, slow(15)), 'no request is left')
    or diag($t->stub_status('/stub')->{active});


# a slow reader

for my $uri (qw(/long /file /both)) {
    my $c = client(window => 20_000);
    my $id = $c->request(GET => $uri);
    my $s = $c->{streams}{$id};
    my $rounds = 0;

    $c->wait($id, slow(0.3));
    cmp_ok(length $s->{body}, '<=', 20_000, "$uri: no more than the window");
    is(answer('/ok'), '200 ok', "$uri: others do not wait");

    until ($s->{ended} || defined $s->{reset} || $c->{closed}
           || $rounds++ > 200)
    {
        $c->more($id, 30_000);
        $c->read(time() + 0.02) for 1 .. 3;
    }

    $c->wait($id, slow(5));
    is($s->{body}, "{\"a\":$long}", "$uri: all of it comes");
    $c->close;
}


# a configuration that is read anew: both workers read the socket then, and the
# old one may never see the client's end

$h->close;
my $c = client(idle => 3000);
my $id = $c->request(GET => '/two');
$t->reload;
$s = $c->wait($id, slow(10));
is($s->{body}, '{"a":{"id":1,"secret":2},"b":1}', 'an answer over a reload');
$c->close;

$h = client(idle => 3000);
is(answer('/two'), '200 {"a":{"id":1,"secret":2},"b":1}', 'the next worker');
$h->close;
