# Every directive of the command tables outside of blocks: nginx takes it in the
# contexts that the reference names, in every kind of location, and nowhere
# else.  And what a location has is inherited by the blocks within it.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use Test::More;

use Harness;
use Harness::Grpc qw(descriptor);
use Reference;

# nginx is started hundreds of times
alarm(slow(1200));

my $t = Harness->new;
my $reference = Reference->new("$FindBin::Bin/..");

descriptor($t, 'items.pb', 'items.proto');
$t->write_file('s.graphql', 'type Query { a: Int @rest(get: "/b/1") }');
$t->write_file('other.graphql', 'type Query { b: Int @rest(get: "/b/2") }');

# what follows the name, if the name alone is not enough
my %samples = (
    aggregate => '{ backend a /b/1 { } }',
    aggregate_apply => 's',
    aggregate_balance => 'peak_ewma',
    aggregate_balance_local => '10.0.0.0/8',
    aggregate_buffer => '64k',
    aggregate_cache => 'z',
    aggregate_cache_bypass => '$arg_x',
    aggregate_cache_identity => '$remote_user',
    aggregate_cache_ignore_headers => 'Cookie',
    aggregate_cache_key => '$uri',
    aggregate_cache_lock => 'off',
    aggregate_cache_lock_timeout => '1s',
    aggregate_cache_no_store => '$arg_x',
    aggregate_cache_purge => 'z',
    aggregate_cache_purge_lost => 'stale',
    aggregate_cache_stale => 'error 1m',
    aggregate_cache_tags => '$arg_t',
    aggregate_cache_ttl => '/ 1m',
    aggregate_cache_valid => '1m',
    aggregate_cache_zone => 'z2 1m',
    aggregate_debug => '$arg_d',
    aggregate_expose => 'off',
    aggregate_graphql => 's.graphql { }',
    aggregate_graphql_zone => 'gz2 256k',
    aggregate_grpc => 't.v1.Items; grpc_pass 127.0.0.1:1',
    aggregate_grpc_descriptor => 'items.pb',
    aggregate_grpc_errors => 'status',
    aggregate_grpc_ignore_unknown => 'on',
    aggregate_grpc_max_message => '1m',
    aggregate_grpc_max_response => '1m',
    aggregate_grpc_print => 'off',
    aggregate_grpc_stream => 'sse',
    aggregate_grpc_timeout => '1s',
    aggregate_grpc_websocket => 'on',
    aggregate_log_level => 'warn',
    aggregate_metrics => 'mz',
    aggregate_metrics_status => 'mz',
    aggregate_metrics_zone => 'mz2 256k',
    aggregate_redis => 'r2 { server 127.0.0.1:1; }',
    aggregate_shape => 's2 { deny x; }',
    aggregate_shape_buffer => '1m',
    aggregate_split => '$other key=$arg_a { * one; }',
    aggregate_split_zone => 'sz2 64k',
    aggregate_temp_path => '%%TESTDIR%%/temp',
    aggregate_trace => 'off',
    aggregate_trace_attr => 'a $uri',
    aggregate_trace_context => 'propagate',
    aggregate_trace_exporter => '{ endpoint http://127.0.0.1:1/; }',
    aggregate_trace_keep => 'error',
    aggregate_trace_name => '$uri',
    aggregate_trace_parent => '$http_x_parent',
    aggregate_trace_propagators => 'b3',
    aggregate_trace_redact => 'token',
    breaker => 'k zone=bz',
    breaker_fallback => '503',
    breaker_log_level => 'warn',
    breaker_policy => 'p2 { }',
    breaker_zone => 'bz2 256k',
);

my $b = $t->backend('b', '*' => '{"v":1,"x":2}');
my %parents = map { $_ => 1 } qw(main http server location upstream);
my (@names, @refused);

for my $name (sort keys %{ $reference->{code} }) {
    my %in = map { $_ => 1 } @{ $reference->{code}{$name}{contexts} };
    next if !grep { $parents{$_} } keys %in;

    push @names, [ $name, \%in ];
    push @refused, map { [ $name, $_ ] } grep { !$in{$_} }
        qw(main http server location upstream if if_server limit_except);
}

my @kinds = ('plain', 'if', 'limit_except', 'nested', 'regex', 'named',
             'server');
my @checks = (
    [ expose => 'aggregate_expose off;',
      sub { down($_[1])->body !~ /"backends"/ } ],
    [ apply => 'aggregate_apply s;', sub { $_[0]->body eq '{"a":{"v":1}}' } ],
    [ cache => 'aggregate_cache z; aggregate_cache_valid 1m;',
      sub { $_[0]->header('X-Cache') } ],
    [ guarded => 'breaker guarded zone=bz; breaker_fallback 200 text/plain fb;',
      sub { $_[0]->body eq 'fb' } ],
    [ metrics => 'aggregate_metrics mz route=%n;',
      sub { http_get('/metrics')->body =~ /route="$_[1]"/ } ],
    [ trace => 'aggregate_trace on;',
      sub { my ($q) = reverse $b->log("/part/up");
            return ($b->header($q, 'traceparent') || '')
                =~ /^00-\w{32}-\w{16}-03$/ } ],
    [ level => 'aggregate_log_level info;', sub { down($_[1]);
      scalar(() = $t->grep_log(qr{\[info\] .* failed: .*"GET /$_[1]\?})) } ],
);

$t->plan(@names + @refused + @kinds * @checks + 1);

is_deeply([ grep { my $n = $_; !grep { $_->[0] eq $n } @names } keys %samples ],
          [], 'samples of directives alone');

for (@names) {
    my ($name, $in) = @$_;

    my ($fine, $output) = $t->test_config(configuration(
        $name, map { $_ eq 'location' ? ($_, qw(nested regex named)) : $_ }
                   keys %$in));
    ok($fine, "$name in " . join ', ', sort keys %$in) or diag($output);
}

for (@refused) {
    my ($name, $place) = @$_;

    my ($fine, $output) = $t->test_config(configuration($name, $place));
    ok(!$fine && $output =~ /"$name" directive is not allowed here/,
       "no $name in $place") or diag($output);
}

# what each kind of a block inherits

my ($conf, $servers) = ('', '');
my $agg = 'aggregate { backend a /part/$down { } }';

for my $kind (@kinds) {
    for my $check (@checks) {
        my ($what, $text) = @$check;
        my $n = "${what}_$kind";
        $text =~ s/%n/$n/;

        my $inner = $kind eq 'plain' ? "location = /$n { $text $agg }"
            : $kind eq 'if' ? "location = /$n { $text set \$x 1;
                  if (\$x) { set \$y 1; } if (\$y) { set \$x 2; } $agg }"
            : $kind eq 'limit_except' ? "location = /$n { $text $agg
                  limit_except POST { allow all; } }"
            : $kind eq 'nested' ? "location ^~ /$n { $text location /$n {
                  location ~ . { $agg } } }"
            : $kind eq 'regex' ? "location ~ ^/$n\$ { $text $agg }"
            : $kind eq 'named' ? "location = /$n { error_page 418 = \@$n;
                  return 418; } location \@$n { $text $agg }"
            : "location = /$n { $agg }";

        $servers .= server($n, "$text $inner") if $kind eq 'server';
        $conf .= $inner if $kind ne 'server';
    }
}

sub server {
    my ($name, $text) = @_;

    return "server { listen 127.0.0.1:%%PORT_0%%; server_name $name;
        $text
        location /part/ { aggregate_cache off; aggregate_apply off; breaker off;
                          internal; proxy_pass http://127.0.0.1:%%PORT_b%%; }
        location /part/down { breaker off; aggregate_cache off;
                            aggregate_apply off;
                            proxy_pass http://127.0.0.1:1; } }\n";
}

$t->port('0');
$t->run(<<"EOC");
%%GLOBALS%%
events { }
http {
    %%HTTP%%
    aggregate_shape s { deny a.x; }
    aggregate_cache_zone z 1m;
    breaker_zone bz 256k;
    aggregate_metrics_zone mz 1m;
    map \$arg_down \$down { default up; 1 down; }
    aggregate_trace_exporter { endpoint http://127.0.0.1:%%PORT_b%%/; }
    @{[ server('localhost', $conf . q{
        location = /metrics { allow all; aggregate_metrics_status mz; }
        location = /breakers { allow all; breaker_status; }
        location = /open { breaker guarded zone=bz;
                           proxy_pass http://127.0.0.1:%%PORT_b%%; } }) ]}
    $servers
}
EOC

http_get('/open');
http_request(POST => '/breakers?zone=bz&key=guarded&action=open');

for my $kind (@kinds) {
    for my $check (@checks) {
        my ($what, $text, $right) = @$check;
        my $n = "${what}_$kind";
        my $r = http_get("/$n", host => host($n));
        ok($right->($r, $n), "$what, $kind") or diag($r->head . $r->body);
    }
}


sub host { return $_[0] =~ /_server$/ ? $_[0] : 'localhost' }


# the same with a part that fails
sub down {
    my ($n) = @_;
    return http_get("/$n?down=1", host => host($n));
}


sub configuration {
    my ($name, @places) = @_;

    my $text = join ' ', grep { defined } $name, $samples{$name};
    $text .= ';' if $text !~ /\}$/;
    my %at = map { $_ => "$text\n" } @places;
    $_ //= '' for @at{qw(main http server location nested regex named upstream
                         if if_server limit_except)};

    return <<"EOC";
%%GLOBALS%%
$at{main}
events { }
http {
    %%HTTP%%
    aggregate_cache_zone z 1m;
    aggregate_metrics_zone mz 256k;
    aggregate_split_zone sz 64k;
    aggregate_grpc_descriptor %%TESTDIR%%/items.pb;
    aggregate_shape s { deny x; }
    breaker_zone bz 256k;
    $at{http}
    upstream u { zone u 256k; server 127.0.0.1:1;
        @{[ $name eq 'aggregate_balance_local' ? 'aggregate_balance peak_ewma;'
                                               : '' ]} $at{upstream} }
    server {
        listen 127.0.0.1:%%PORT_0%%;
        $at{server}
        if (\$arg_a) { set \$x 1; $at{if_server} }
        location /l { $at{location} location /l/n { $at{nested} }
            if (\$arg_a) { set \$x 1; $at{if} }
            limit_except GET { allow all; $at{limit_except} } }
        location ~ ^/r { $at{regex} }
        location \@n { $at{named} }
    }
}
EOC
}
