#!/usr/bin/perl

# Trace Context, level 2, strictly: what a backend gets for what a client
# sends.  The cases are those of the test suite of W3C.  Then B3, and the
# modes of aggregate_trace_context.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use Test::More;

use Harness;

my $t = Harness->new(plan => 155, modules => ['ngx_http_aggregate_module']);

my $b = $t->backend('b', '*' => '{}');
my $c = $t->backend('c', '/v1/traces' => '');

$t->run(<<'EOC');

%%GLOBALS%%

events {
}

http {
    %%HTTP%%

    underscores_in_headers  on;

    aggregate_trace_exporter {
        endpoint  http://127.0.0.1:%%PORT_c%%/v1/traces;
    }

    server {
        listen           127.0.0.1:%%PORT_0%%;
        server_name      localhost;
        aggregate_trace  0%;

        location / {
            proxy_pass  http://127.0.0.1:%%PORT_b%%;
            add_header  X-Ids $aggregate_trace_id,$aggregate_span_id;
            add_header  X-Parent $aggregate_parent_id;
            add_header  X-Sampled $aggregate_trace_sampled;
            add_header  X-Sent $aggregate_traceparent;
        }

        location /agg {
            aggregate { backend a /a { } backend b /b { } backend c /c { } }
        }

        location /ignore  { aggregate_trace_context ignore;
                            proxy_pass http://127.0.0.1:%%PORT_b%%; }
        location /extract { aggregate_trace_context extract;
                            proxy_pass http://127.0.0.1:%%PORT_b%%; }
        location /inject  { aggregate_trace_context inject;
                            proxy_pass http://127.0.0.1:%%PORT_b%%; }
        location /set     { proxy_set_header traceparent own;
                            proxy_pass http://127.0.0.1:%%PORT_b%%; }
        location /own     { aggregate_trace 100% parent=ignore;
                            proxy_pass http://127.0.0.1:%%PORT_b%%; }
        location /parent  { aggregate_trace_parent $arg_p;
                            proxy_pass http://127.0.0.1:%%PORT_b%%; }
        location /b3      { aggregate_trace_propagators b3;
                            proxy_pass http://127.0.0.1:%%PORT_b%%; }
        location /b3first { aggregate_trace_propagators b3 tracecontext;
                            proxy_pass http://127.0.0.1:%%PORT_b%%; }
        location /b3own   { aggregate_trace_propagators b3;
                            aggregate_trace 0% parent=ignore;
                            proxy_pass http://127.0.0.1:%%PORT_b%%; }
        location /b3inject { aggregate_trace_propagators b3;
                            aggregate_trace 0%;
                            aggregate_trace_context inject;
                            proxy_pass http://127.0.0.1:%%PORT_b%%; }
        location /b3multi { aggregate_trace_propagators b3multi tracecontext;
                            proxy_pass http://127.0.0.1:%%PORT_b%%; }
    }
}

EOC

my $id = '4bf92f3577b34da6a3ce929d0e0e4736';
my $span = '00f067aa0ba902b7';
my $good = "00-$id-$span-01";

# what the backend gets: headers of a name
sub get {
    my ($headers, $uri) = @_;
    http_get($uri || '/', headers => $headers);
    return received(($b->log)[-1]);
}

sub received {
    my ($q) = @_;
    my %got;

    for my $name (qw(traceparent tracestate b3 x-b3-traceid x-b3-spanid
                     x-b3-sampled x-b3-flags baggage))
    {
        $got{$name} = [ map { $_->[1] } grep { lc $_->[0] eq $name }
                        @{ $q->{headers} } ];
    }

    return \%got;
}

my $valid = qr/^00-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-(0[0-3])$/;

# 1: the trace goes on, 0: it does not
sub goes_on {
    my ($name, $wanted, @headers) = @_;

    my $got = get(\@headers);
    my ($sent) = @{ $got->{traceparent} };
    my ($trace, $parent) = ($sent || '') =~ $valid;

    ok(@{ $got->{traceparent} } == 1 && $trace
       && ($trace eq $id) == $wanted && $parent ne $span, $name)
        or diag($sent);
    return;
}

goes_on('none', 0);
goes_on('one', 1, traceparent => $good);
goes_on('two', 0, traceparent => $good, traceparent => $good);
goes_on('two that differ', 0, traceparent => $good,
        traceparent => "00-$id-00f067aa0ba902b8-01");
goes_on('another name', 0, 'trace-parent' => $good);
goes_on('another name', 0, 'trace_parent' => $good);
goes_on('any case', 1, TraceParent => $good);
goes_on('any case', 1, TRACEPARENT => $good);
goes_on('version 00, more', 0, traceparent => "$good.");
goes_on('version 00, more', 0, traceparent => "$good-more");
goes_on('a later version', 1, traceparent => "cc-$id-$span-01");
goes_on('a later version, more', 1, traceparent => "cc-$id-$span-01-more");
goes_on('a later version, more', 0, traceparent => "cc-$id-$span-01.more");
goes_on('version ff', 0, traceparent => "ff-$id-$span-01");
goes_on("version $_", 0, traceparent => "$_-$id-$span-01")
    for qw(.0 0. 000 0000 0 AA);
goes_on("trace id $_", 0, traceparent => "00-$_-$span-01")
    for '0' x 32, '.' . substr($id, 1), substr($id, 1) . '.', $id . '3',
        substr($id, 1), uc $id;
goes_on("parent id $_", 0, traceparent => "00-$id-$_-01")
    for '0' x 16, '.' . substr($span, 1), substr($span, 1) . '.', $span . '3',
        substr($span, 1), uc $span;
goes_on("flags $_", 0, traceparent => "00-$id-$span-$_")
    for qw(.0 0. 001 1 0A);
goes_on('blanks', 1, traceparent => $_)
    for " $good", "\t$good", "$good ", "$good\t", "\t $good \t";
goes_on('empty', 0, traceparent => '');
goes_on('long', 0, traceparent => 'x' x 4000);

# flags

like(get([ traceparent => "00-$id-$span-0$_->[0]" ])->{traceparent}[0],
     qr/-0$_->[1]$/, "flags 0$_->[0]")
    for [ 0, 0 ], [ 1, 1 ], [ 2, 2 ], [ 3, 3 ], [ 8, 0 ], [ 9, 1 ];
like(get([])->{traceparent}[0], qr/-02$/, 'an id of our own is random');

# tracestate

sub state_is {
    my ($name, $wanted, @states) = @_;

    my $got = get([ traceparent => $good, map { (tracestate => $_) } @states ]);
    is(join(' | ', @{ $got->{tracestate} }), $wanted, "tracestate: $name");
    goes_on("$name: the trace", 1, traceparent => $good,
            map { (tracestate => $_) } @states) if @states == 1;
    return;
}

is(scalar @{ get([ tracestate => 'foo=1' ])->{tracestate} }, 0,
   'tracestate alone is left out');
is(scalar @{ get([ traceparent => "$good-", tracestate => 'a=1' ])
             ->{tracestate} }, 0, 'nor with a bad traceparent');
is(scalar @{ get([ traceparent => $good, traceparent => $good,
                   tracestate => 'a=1' ])->{tracestate} }, 0, 'nor with two');
is(join(' ', @{ get([ traceparent => $good, 'trace-state' => 'a=1' ])
               ->{tracestate} }), '', 'another name');
is(join(' ', @{ get([ traceparent => $good, TraceState => 'a=1' ])
               ->{tracestate} }), 'a=1', 'any case');

state_is('one', 'foo=1,bar=2', 'foo=1,bar=2');
state_is('empty', '', '');
state_is('empty after', 'foo=1', 'foo=1', '');
state_is('empty before', 'foo=1', '', 'foo=1');
state_is('several', 'foo=1,bar=2,rojo=1,congo=2,baz=3', 'foo=1,bar=2',
         'rojo=1,congo=2', 'baz=3');
state_is('twice', 'foo=1,foo=1', 'foo=1,foo=1');
state_is('twice', 'foo=1,foo=2', 'foo=1', 'foo=2');

my $key = join '', 'a' .. 'z', 0 .. 9, '_-*/';
my $value = join '', map { chr } grep { chr !~ /[,=]/ } 0x21 .. 0x7e;
state_is('all characters', "$key=$value", "$key=$value");
state_is('all characters', "$key\@z=x $value", "$key\@z=x $value");
state_is('a digit first', '0a@b=1', '0a@b=1');
state_is('blanks', 'foo=1,bar=2,baz=3', $_)
    for "foo=1 \t , \t bar=2, \t baz=3", "foo=1\t \t,\t \tbar=2,\t \tbaz=3",
        ' foo=1,bar=2,baz=3', "foo=1,bar=2,baz=3\t";
state_is("key $_", '', "$_=1,bar=2")
    for 'foo ', 'FOO', 'foo.bar', '@foo', '', '_a';
state_is("key $_", "$_=1,bar=2", "$_=1,bar=2")
    for qw(foo@ foo@@bar foo@bar@baz);
state_is("value $_", '', $_) for 'foo=bar=baz', 'foo=,bar=3', 'foo',
    "foo=caf\xc3\xa9", 'foo=' . 'x' x 257;
state_is('256', join(',', 'foo=1', 'z' x 256 . '=' . 'v' x 256), 'foo=1',
         'z' x 256 . '=' . 'v' x 256);
state_is('257', '', 'foo=1', 'z' x 257 . '=1');
state_is('256 with a vendor', 'foo=1,' . 't' x 241 . '@' . 'v' x 14 . '=1',
         'foo=1', 't' x 241 . '@' . 'v' x 14 . '=1');

my @many = map { sprintf 'bar%02d=%02d', $_, $_ } 1 .. 33;
state_is('32 members', join(',', @many[0 .. 31]), join(',', @many[0 .. 9]),
         join(',', @many[10 .. 19]), join(',', @many[20 .. 31]));
state_is('33 members', '', join(',', @many[0 .. 9]),
         join(',', @many[10 .. 32]));

# several calls: the parts of an aggregate

for my $case ([ 'a valid one', $id, traceparent => $good ],
              [ 'none', '' ],
              [ 'a bad one', '', traceparent => "00-" . '0' x 32
                                                . "-$span-01" ])
{
    my ($name, $wanted, @headers) = @$case;
    my $n = () = $b->log;

    http_get('/agg', headers => \@headers);

    my @log = $b->log;
    splice @log, 0, $n;
    my (%traces, %parents);

    for (@log) {
        my @sent = @{ received($_)->{traceparent} };
        next if @sent != 1 || $sent[0] !~ $valid;
        $traces{$1}++;
        $parents{$2}++;
    }

    my @traces = keys %traces;
    is(@traces . ',' . keys %parents, '1,3', "parts, $name");
    $wanted ? is($traces[0], $wanted, 'the trace goes on')
            : isnt($traces[0], $id, 'a new trace');
}

# modes

my $got = get([ traceparent => $good, tracestate => 'a=1' ], '/ignore');
is_deeply([ $got->{traceparent}, $got->{tracestate} ], [ [$good], ['a=1'] ],
          'ignore: as they came');
$got = get([ traceparent => $good, tracestate => 'a=1' ], '/extract');
is_deeply([ $got->{traceparent}, $got->{tracestate} ], [ [$good], ['a=1'] ],
          'extract: as they came');
$got = get([ traceparent => $good, tracestate => 'a=1' ], '/inject');
is(scalar @{ $got->{tracestate} }, 0, 'inject: no tracestate');
like($got->{traceparent}[0], qr/^00-(?!$id)/, 'inject: a trace of our own');
is_deeply(get([ traceparent => $good ], '/set')->{traceparent}, ['own'],
          'the location sets it itself');
like(get([ traceparent => "00-$id-$span-00" ], '/own')->{traceparent}[0],
     qr/^00-$id-\w+-01$/, 'parent=ignore');
like(get([], "/parent?p=$good")->{traceparent}[0], qr/^00-$id-/,
     'aggregate_trace_parent');
is_deeply(get([ baggage => 'a=1' ])->{baggage}, ['a=1'], 'baggage passes');

# variables

my $r = http_get('/', headers => [ traceparent => $good ]);
my ($trace, $own) = split /,/, $r->header('X-Ids');
is($trace, $id, '$aggregate_trace_id');
like($own, qr/^[0-9a-f]{16}$/, '$aggregate_span_id');
is($r->header('X-Parent'), $span, '$aggregate_parent_id');
is($r->header('X-Sampled'), 1, '$aggregate_trace_sampled');
is($r->header('X-Sent'), received(($b->log)[-1])->{traceparent}[0],
   '$aggregate_traceparent');

# B3

$got = get([ b3 => "$id-$span-1" ], '/b3');
like($got->{b3}[0], qr/^$id-(?!$span)\w{16}-1$/, 'b3');
is(scalar @{ $got->{traceparent} }, 0, 'b3 alone');
like(get([ b3 => "$id-$span-0-$span" ], '/b3')->{b3}[0], qr/^$id-\w{16}-0$/,
     'b3 with a parent');
like(get([ b3 => "$id-$span-d" ], '/b3')->{b3}[0], qr/^$id-\w{16}-d$/,
     'b3: debug');
like(get([ b3 => $_ ], '/b3')->{b3}[0], qr/^(?!$id)\w{32}-\w{16}-$_$/,
     "b3: $_ alone") for qw(0 1 d);
like(get([ 'X-B3-Sampled' => 0 ], '/b3multi')->{traceparent}[0], qr/-0[02]$/,
     'b3multi: 0 alone');
$got = get([ 'X-B3-Flags' => 1 ], '/b3multi');
is_deeply([ @$got{qw(x-b3-sampled x-b3-flags)} ], [ [], [1] ],
          'b3multi: debug');
like(get([ b3 => '0', traceparent => $good ], '/b3first')->{traceparent}[0],
     qr/^00-(?!$id)\w{32}-\w{16}-0[02]$/, 'the first one of the list');
like(get([ b3 => "$id-$span-x", traceparent => $good ], '/b3first')
         ->{traceparent}[0], qr/^00-$id-/, 'that is valid');
like(get([ b3 => "$id-$span-d" ], '/b3own')->{b3}[0], qr/-0$/,
     'b3: debug, which is ignored');
like(get([ b3 => '1' ], '/b3inject')->{b3}[0], qr/-0$/,
     'b3: 1 alone, at the edge');
like(get([ b3 => "$span-$span" ], '/b3')->{b3}[0], qr/^0{16}$span-/,
     'b3: 64 bits');
unlike(get([ b3 => $_ ], '/b3')->{b3}[0], qr/^$id/, "b3: $_")
    for '2', '', "$id-$span-x", "$id-$span-1-", "$id-", uc("$id-$span-1"),
        "$id-$span-11";
$got = get([ 'X-B3-TraceId' => $id, 'X-B3-SpanId' => $span,
             'X-B3-Sampled' => 1 ], '/b3multi');
is_deeply([ $got->{'x-b3-traceid'}, $got->{'x-b3-sampled'} ], [ [$id], [1] ],
          'b3multi');
like($got->{traceparent}[0], qr/^00-$id-$got->{'x-b3-spanid'}[0]-01$/,
     'all that are named are written');
