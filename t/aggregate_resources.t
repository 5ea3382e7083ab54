# Resources that run out, and upstreams that hang in odd places.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use Test::More;

use IO::Socket::INET;
use Time::HiRes qw(time);

use Harness;
use Harness::Aggregate;

my $t = Harness->new(modules => ['ngx_http_aggregate_module'], plan => 27);

my $b = $t->backend('b',
    '/1' => '1', '/0.1' => { body => '2', delay => slow(0.1) },
    '/id' => sub {
        my ($id) = $_[0]{args} =~ /(\d+)/;
        return { body => "{\"id\":$id}", delay => rand slow(0.12) };
    },
    '/big' => '"' . 'x' x 300_000 . '"',
);

# answers no query and no handshake
my $silent = IO::Socket::INET->new(Proto => 'udp', LocalAddr => '127.0.0.1')
    or die "udp: $!\n";
my $deaf = IO::Socket::INET->new(LocalAddr => '127.0.0.1', Listen => 128)
    or die "listen: $!\n";

# a queue for connections that is full: connect() hangs
my $full = IO::Socket::INET->new(LocalAddr => '127.0.0.1', Listen => 1)
    or die "listen: $!\n";
my @fill;
for (1 .. 4) {
    my $s = IO::Socket::INET->new(Proto => 'tcp', Blocking => 0) or die;
    connect $s, $full->sockname;
    push @fill, $s;
}

sub conf {
    my ($connections) = @_;
    my ($udp, $tcp, $queue) = map { $_->sockport } $silent, $deaf, $full;

    return configuration(http => qq{
        upstream kept { server 127.0.0.1:%%PORT_b%%; keepalive 16; }
        upstream two { server 127.0.0.1:$tcp; server 127.0.0.1:%%PORT_b%%; }
        upstream one { server 127.0.0.1:%%PORT_b%% max_conns=1; }
        log_format agg '\$uri \$status \$aggregate_backend_reason';
        access_log %%TESTDIR%%/agg.log agg;
    }, server => qq{
        resolver 127.0.0.1:$udp valid=1s;
        resolver_timeout 30s;
        location /resolve/ { set \$host1 name.example;
                             proxy_pass http://\$host1/; }
        location /handshake/ { proxy_pass https://127.0.0.1:$tcp/; }
        location /connect/ { proxy_pass http://127.0.0.1:$queue/; }
        location /deaf/ { proxy_pass http://127.0.0.1:$tcp/; }
        location /two/ { proxy_read_timeout 20s; proxy_pass http://two/; }
        location /one/ { proxy_pass http://one/; }
        location /kept/ { proxy_http_version 1.1;
            proxy_set_header Connection ""; proxy_pass http://kept/; }

        location /a/resolve { aggregate { timeout @{[ int slow(150) ]}ms;
            backend a /resolve/x { } backend b /b/1 { } } }
        location /a/handshake { aggregate { timeout @{[ int slow(150) ]}ms;
            backend a /handshake/x { } backend b /b/1 { } } }
        location /a/connect { aggregate { timeout @{[ int slow(150) ]}ms;
            backend a /connect/x { } backend b /b/1 { } } }
        location /a/deaf { aggregate { timeout @{[ int slow(150) ]}ms;
            backend a /deaf/x { } backend b /b/1 { } } }
        location /g/resolve { aggregate { timeout 20s;
            backend a /resolve/x { } backend b /b/1 { } } }
        location /g/handshake { aggregate { timeout 20s;
            backend a /handshake/x { } backend b /b/1 { } } }
        location /g/connect { aggregate { timeout 20s;
            backend a /connect/x { } backend b /b/1 { } } }
        location /g/deaf { aggregate { timeout 20s;
            backend a /deaf/x { } backend b /b/1 { } } }
        location /a/one { aggregate { backend a /one/0.1 { }
            backend b /one/0.1 { } backend c /b/1 { } } }
        location /mix { aggregate { timeout @{[ int slow(80) ]}ms;
            backend a /kept/id?\$arg_n { } backend b /kept/id?1\$arg_n { }
            backend c /kept/id?2\$arg_n { } } }
        location /many { aggregate { timeout 5s;
            @{[ join ' ', map { "backend p$_ /b/0.1 { }" } 1 .. 10 ]} } }
        location /ok { aggregate { backend a /b/1 { } } }
        location /big { aggregate { timeout 20s; concurrency 64;
            max_response_size 64m;
            @{[ join ' ', map { "backend p$_ /b/big { }" } 1 .. 40 ]} } }
        location /status { stub_status; }
    }) =~ s/worker_connections 1024/worker_connections $connections/r;
}

$t->port('0');
$t->{ports}{dead} = $t->dead_port;
$t->run(conf(1024));

my $one = '200 partial:a {"b":1}';

for my $where (qw(resolve handshake connect deaf)) {
    my $c = $t->connect;
    my $start = time();
    $c->request(GET => "/a/$where");
    is(outcome($c->response), $one, "a deadline: $where");
    cmp_ok(time() - $start, '<', slow(0.8), "a deadline: $where: in time");
    $c->request(GET => '/ok');
    is(outcome($c->response), '200 complete {"a":1}',
       "a deadline: $where: the next request");

    for my $way ('close', 'reset') {
        $c = $t->connect;
        $c->request(GET => "/g/$where");

        # which is read after the other one
        http_get('/status');
        $c->$way;
    }
}

my $fds = $t->fds;
ok(wait_for(sub {
    http_get('/status')->body =~ /Active connections: 1\b/ }, slow(5)),
   'all of them are gone');
is(scalar(() = $t->read_file('agg.log')
          =~ m{^/g/\w+ 499 cancelled,(?:-|cancelled)$}mg), 8, 'cancelled')
    or diag($t->read_file('agg.log'));

# an upstream with max_conns: one of two is refused by nginx
like(outcome(http_get('/a/one')),
     qr/^200 (?:partial:[ab] \{"[ab]":2,"c":1\}|complete .*)$/, 'max_conns');

# answers that come after their deadline, on connections that are kept: none
# is taken for another's
my @wrong;
my ($whole, $none) = (0, 0);

for my $round (1 .. 25) {
    my @clients = map { $t->connect } 1 .. 6;
    my @n = map { $round * 10 + $_ } 0 .. 5;
    $clients[$_]->request(GET => "/mix?n=$n[$_]") for 0 .. 5;

    for my $i (0 .. 5) {
        my $r = $clients[$i]->response;
        my $n = $n[$i];
        my %right = (a => $n, b => "1$n", c => "2$n");
        my $j = $r->json || {};

        if ($r->status == 504) {
            $none++;
            next;
        }

        for my $name (keys %$j) {
            push @wrong, "$name of $n: " . $r->body
                if !$right{$name} || $right{$name} != $j->{$name}{id};
        }
        $whole++ if keys %$j == 3;
    }
}

is(scalar @wrong, 0, 'no answer is another\'s') or diag(join "\n", @wrong);
cmp_ok($whole, '>', 0, 'some came in time');
cmp_ok($whole + $none, '<', 150, 'some did not');

# forty bodies at once in one answer
my $r = http_get('/big');
is($r->status, 200, 'forty big parts');
is(length squeeze($r->body), 40 * 300_002 + 40 * 4 + 31 + 39 + 2 + 40,
   'whole') if $r->status == 200;

# too few connections: parts fail, the worker does not; then all is well again
$t->allow_log(qr/worker_connections are not enough/);
$t->reload(conf(24)) or die;

my @clients = map { $t->connect(timeout => slow(20)) } 1 .. 12;
$_->request(GET => '/many') for @clients;
my @r = map { $_->response } @clients;
is(scalar(grep { $_->error
                 ? 0 : $_->status !~ /^(?:200|50[0234])$/ } @r), 0,
   'too few connections: answers, or none');
cmp_ok(scalar(grep { $_->status == 200
                     && $_->header('X-Aggregate') eq 'complete' } @r), '<', 12,
       'too few connections: not all are whole');
$_->close for @clients;

ok(wait_for(sub { $b->stats->{active} == 0 }, slow(5)), 'nothing goes on');
ok(wait_for(sub { outcome(http_get('/ok')) eq '200 complete {"a":1}' },
            slow(5)), 'and one is served again');
is(outcome(http_get('/many')), '200 complete {'
   . join(',', map { "\"p$_\":2" } 1 .. 10) . '}', 'and ten parts');

# one worker is killed: its requests are lost, the next one serves
$t->allow_worker_exit;
my ($worker) = $t->workers;
my $c = $t->connect;
$c->request(GET => '/g/deaf');
http_get('/status');
kill 'KILL', $worker;
is($c->response->error, 'closed', 'a killed worker\'s request is lost');
ok(wait_for(sub { outcome(http_get('/ok')) eq '200 complete {"a":1}' },
            slow(5)), 'and the next worker serves');
