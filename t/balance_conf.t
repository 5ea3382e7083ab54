#!/usr/bin/perl

# aggregate_balance, aggregate_balance_local: what nginx -t says; and locality.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;

use Harness;

my $t = Harness->new(modules => [ 'ngx_http_aggregate_module' ]);

sub ups { return "upstream u {\n$_[0]\n}\n" }

my $servers = 'server 127.0.0.1:81; server 127.0.0.2:81;';
my $on = 'aggregate_balance peak_ewma;';

my @errors = (
    [ ups("aggregate_balance least; $servers"),
      qr/invalid method "least".*"peak_ewma"/ ],
    [ ups("aggregate_balance; $servers"), qr/number of arguments/ ],
    [ ups("$on $on $servers"), qr/is duplicate/ ],
    [ ups("aggregate_balance peak_ewma decay=0; $servers"),
      qr/"decay=0".*from 1ms to 1d/ ],
    [ ups("aggregate_balance peak_ewma decay=x; $servers"), qr/"decay=x"/ ],
    [ ups("aggregate_balance peak_ewma decay=2d; $servers"), qr/"decay=2d"/ ],
    [ ups("aggregate_balance peak_ewma penalty=-1; $servers"),
      qr/"penalty=-1"/ ],
    [ ups("aggregate_balance peak_ewma failures=; $servers"),
      qr/"failures="/ ],
    [ ups("aggregate_balance peak_ewma failures=error,; $servers"),
      qr/"failures=error,"/ ],
    [ ups("aggregate_balance peak_ewma failures=http_200; $servers"),
      qr/http_400/ ],
    [ ups("aggregate_balance peak_ewma x=1; $servers"), qr/"x=1"/ ],
    [ ups("least_conn; $on $servers"), qr/only load balancing method/ ],
    [ ups("$on least_conn; $servers"), qr/only load balancing method/ ],
    [ ups("$on hash \$uri; $servers"), qr/only load balancing method/ ],
    [ ups("ip_hash; $on $servers"), qr/only load balancing method/ ],
    [ ups("$on random two; $servers"), qr/only load balancing method/ ],
    [ ups("aggregate_balance_local 10.0.0.0/8; $servers"),
      qr/without "aggregate_balance" in upstream "u"/ ],
    [ ups("$on aggregate_balance_local; $servers"), qr/number of arguments/ ],
    [ ups("$on aggregate_balance_local factor=2; $servers"), qr/no network/ ],
    [ ups("$on aggregate_balance_local 10.0.0.0/33; $servers"),
      qr/"10.0.0.0\/33"/ ],
    [ ups("$on aggregate_balance_local x; $servers"), qr/"x"/ ],
    (map { [ ups("$on aggregate_balance_local 10.0.0.0/8 factor=$_; $servers"),
             qr/"factor=\Q$_\E".*from 1 to 100/ ] } qw(0 0.99 101 x -1)),
    [ ups("$on aggregate_balance_local ::1 factor=2 factor=3; $servers"),
      qr/once/ ],
    [ ups($on), qr/no servers/ ],
    [ "server { listen 127.0.0.1:8080; $on }\n", qr/not allowed here/ ],
    [ "server { listen 127.0.0.1:8080; location / { aggregate_balance_status; "
      . "aggregate_balance_status; } }\n", qr/duplicate/ ],
);

# later versions of nginx take "keepalive" anywhere

push @errors, [ ups("keepalive 4; $on $servers"), qr/precede "keepalive"/ ]
    if $t->version =~ /^1\.(\d+)/ && $1 < 29;

my @fine = (
    ups("$on $servers"),
    ups("$on $servers keepalive 4;"),
    ups("zone u 64k; $on $servers"),
    ups("$on zone u 64k; $servers"),
    ups("$servers aggregate_balance peak_ewma decay=1ms penalty=0 "
        . 'failures=error,timeout,http_400,http_599;'),
    ups("$on aggregate_balance_local 10.0.0.0/8 fe80::/10 factor=1.5; "
        . $servers),
    ups("aggregate_balance_local 10.0.0.0/8 factor=100; $on $servers"),
    ups("$on server 127.0.0.1:81; server unix:/tmp/x backup weight=3;"),
    "server { listen 127.0.0.1:8080; location / { aggregate_balance_status; } "
    . "}\n",
);

sub try_conf {
    my ($http) = @_;
    return $t->test_config("%%GLOBALS%%\nevents { }\nhttp {\n%%HTTP%%\n"
                           . "$http}\n");
}

my @near = map { $t->backend("near$_", '*' => { delay => slow(0.1),
                                                body => 'near' }) } 1, 2;
my @far = map { $t->backend("far$_", '*' => { delay => slow(0.09),
                                              body => 'far' }) } 1, 2;

$t->plan(@errors + @fine + 5);

for my $case (@errors) {
    my ($ok, $output) = try_conf($case->[0]);
    ok(!$ok && $output =~ $case->[1], "refused: $case->[0]")
        or diag($output);
}

for my $http (@fine) {
    my ($ok, $output) = try_conf($http);
    ok($ok && $output !~ /emerg|warn/, "taken: $http") or diag($output);
}

my ($ok, $output) = try_conf(ups("$on aggregate_balance_local 10.1.0.0/8; "
                                 . $servers));
ok($ok, 'low address bits');
like($output, qr/\[warn\].*low address bits of 10\.1\.0\.0\/8 are meaningless/,
     'are a warning');

# the near ones are asked until they are slower by the factor

my $conf = <<'EOC';
%%GLOBALS%%
worker_processes 1;
events { }
http {
    %%HTTP%%

    upstream u {
        aggregate_balance peak_ewma decay=300s;
        aggregate_balance_local 127.0.0.1 factor=3;
        server 127.0.0.1:%%PORT_near1%%;
        server 127.0.0.1:%%PORT_near2%%;
        server 127.0.0.2:%%PORT_far1%%;
        server 127.0.0.2:%%PORT_far2%%;
    }

    server {
        listen 127.0.0.1:%%PORT_0%%;
        server_name localhost;
        location / { proxy_pass http://u; }
    }
}
EOC

$_->stop for @far;

for my $far (@far) {
    $far->{address} = '127.0.0.2';
    $far->start;
}

$t->run($conf);

my %n;
$n{ http_get('/')->body }++ for 1 .. 20;
cmp_ok($n{far} || 0, '<=', 2, 'the near ones, though they are slower')
    or diag(explain \%n);

$_->set('*' => { delay => 1 + slow(1), body => 'near' }) for @near;
%n = ();
$n{ http_get('/')->body }++ for 1 .. 20;
cmp_ok($n{far} || 0, '>=', 15, 'the far ones, when the near are too slow')
    or diag(explain \%n);
cmp_ok($n{near} || 0, '<=', 5, 'and no others');
