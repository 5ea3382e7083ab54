#!/usr/bin/perl

# The only server of an upstream is asked by parts once in a millisecond as
# long as it refuses connections.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;

use Harness;
use Harness::Aggregate;

my $t = Harness->new;
my $load = $t->load_others(qw(ndk_http_module ngx_http_lua_module));

my $b = $t->backend('b', '/' => '{"v":1}');
my $down = $t->backend('down', '/' => '{"v":2}');

sub parts {
    my ($location, $n, $more) = @_;
    return join '', map { "backend p$_ $location/$_ { " . ($more || '') . ' }' }
        1 .. $n;
}

my %block = (
    many    => 'concurrency 1; ' . parts('/refused', 20, 'default null;'),
    literal => 'concurrency 1; '
               . parts('/dead_port', 20, 'default null;'),
    two     => parts('/pair', 20),
    both    => 'concurrency 1; ' . parts('/both', 20, 'default null;'),
    kept    => parts('/kept', 4),
    down    => parts('/kept', 4, 'default null;'),
    retry   => 'backend a /refused/1 { retry 2; default null; }',
    tls     => 'concurrency 1; ' . parts('/tls', 4, 'default null;'),
    (map { ("by_$_" => 'concurrency 1; ' . join('', map {
        "backend d$_ /script_NAME/down { default null; }
         backend l$_ /script_NAME/live { }" } 1 .. 10) =~ s/NAME/$_/gr) }
        qw(b dead)),
    other   => parts('/refused', 4, 'default null;')
               . parts('/b', 4) =~ s/p/q/gr,
);

$t->plan(20);

# whoever is chosen, the configuration has one server

my $scripts = '';

for my $name (qw(b dead)) {
    my $balancer = $load && 'balancer_by_lua_block {
            local down = string.find(ngx.var.uri, "down", 1, true)
            require("ngx.balancer").set_current_peer("127.0.0.1",
                down and %%PORT_dead%% or %%PORT_b%%)
        }';

    $scripts .= "upstream script_$name { server 127.0.0.1:%%PORT_$name%%;
        @{[$balancer || '']} }\n";
}

serve($t, main => $load, http => $scripts . q{
    upstream dead { server 127.0.0.1:%%PORT_dead%%; }
    upstream pair { server 127.0.0.1:%%PORT_dead%% max_fails=0;
                    server 127.0.0.1:%%PORT_b%%; }
    upstream both { server 127.0.0.1:%%PORT_dead%% max_fails=0;
                    server 127.0.0.1:%%PORT_dead%% max_fails=0; }
    upstream kept { server 127.0.0.1:%%PORT_down%%; keepalive 8; }
    proxy_http_version 1.1;
    proxy_set_header Connection "";
}, server => q{
    location /refused/ { internal; proxy_pass http://dead/; }
    location /dead_port/ { internal;
        proxy_pass http://127.0.0.1:%%PORT_dead%%/; }
    location /pair/ { internal; proxy_pass http://pair/; }
    location /both/ { internal; proxy_pass http://both/; }
    location /kept/ { internal; proxy_pass http://kept/; }
    location /tls/ { internal; proxy_pass https://127.0.0.1:%%PORT_0%%/; }
    location /script_b/ { internal; proxy_pass http://script_b; }
    location /script_dead/ { internal; proxy_pass http://script_dead; }
    location /plain/ { proxy_pass http://dead/; }
} . join('', map { "location /$_ { aggregate { $block{$_} } }\n" }
    keys %block));


sub asked {
    my ($uri) = @_;

    my $before = length $t->error_log;
    my $r = http_get($uri);
    my $log = substr $t->error_log, $before;
    my $refused = () = $log =~ /connect\(\) failed \(111/g;
    my $live = () = $log =~ /no live upstreams/g;

    return ($r, $refused, $live);
}


my $null = '{' . join(',', map { qq("p$_":null) } 1 .. 20) . '}';

for my $case (qw(many literal)) {
    my ($r, $refused, $live) = asked("/$case");

    is($r->body, $null, "$case: all parts have failed");
    cmp_ok($refused, '<=', 10, "$case: few connections");
    is($refused + $live, 20, "$case: each part has an error of its own");
}

# those who have another server go on to that

my ($r, $refused) = asked('/two');
is($r->body, '{' . join(',', map { qq("p$_":{"v":1}) } 1 .. 20) . '}',
   'another server is asked');
is($refused >= 10, 1, 'and each asks, as nginx has it');

(undef, $refused) = asked('/both');
is($refused, 40, 'each asks both');

# a handshake that fails is no refusal

(undef, undef, my $skipped) = asked('/tls');
is($skipped, 0, 'each tries to shake hands');

# nor is one left out that a script has chosen

SKIP: {
    skip 'no lua', 2 if !$load;

    for my $name (qw(b dead)) {
        ($r) = asked("/by_$name");
        is($r->body, '{' . join(',', map { qq("d$_":null,"l$_":{"v":1}) }
                                1 .. 10) . '}', "by a script, $name");
    }
}

# a retry is an attempt of its own, and a later request asks anew

($r, $refused) = asked('/retry');
is($r->body, '{"a":null}', 'retries');

select undef, undef, undef, 0.01;
($r, $refused) = asked('/retry');
cmp_ok($refused, '>=', 1, 'a later request asks anew');

($r) = asked('/other');
like($r->body, qr/"p4":null.*"q4":\{"v":1\}/,
     'other upstreams are not affected');

my @plain = map { http_get("/plain/$_")->status } 1 .. 3;
is("@plain", '502 502 502', 'nor those who are no parts');

# connections that are open serve on where no new one is accepted

http_get('/kept') for 1 .. 2;
$down->pause;
$down->resume;
is(http_get('/kept')->body =~ tr/2//, 5, 'all by open connections');

$down->stop;
($r) = asked('/down');
is($r->body, '{' . join(',', map { qq("p$_":null) } 1 .. 4) . '}', 'gone');

$down->start;
is(http_get('/kept')->body =~ tr/2//, 5, 'back at once');

($r, $refused) = asked('/kept');
is($refused, 0, 'nothing is refused any more');
