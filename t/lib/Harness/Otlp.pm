package Harness::Otlp;

# Decodes what an exporter sends to a collector, by the field numbers of
# opentelemetry-proto 1.x.
#
#     my @spans = spans($backend);           of all requests in its log
#     my $batch = otlp($request);            one request of the log:
#                                            { resource, scope, spans }
#
# A span: trace_id span_id parent_id (hex) state name kind start end (ns)
# attrs (hash) events ([{ name time attrs }]) links status flags.
#
# protobuf(MESSAGE) gives [[field, value]...] of any message, and dies where
# it is none.

use strict;
use warnings;

use Exporter 'import';
use IO::Uncompress::Gunzip qw(gunzip);
use JSON::PP ();

our @EXPORT = qw(spans otlp protobuf span_named tree);


sub varint {
    my ($data, $pos) = @_;
    my ($n, $shift) = (0, 0);

    for (;;) {
        die "varint is cut\n" if $$pos >= length $$data || $shift > 63;
        my $c = ord substr $$data, $$pos++, 1;
        $n |= ($c & 0x7f) << $shift;
        return $n if $c < 0x80;
        $shift += 7;
    }
}


sub protobuf {
    my ($data) = @_;
    my ($pos, @fields) = (0);

    while ($pos < length $data) {
        my $tag = varint(\$data, \$pos);
        my ($field, $type) = ($tag >> 3, $tag & 7);
        my $value;

        if ($type == 0) {
            $value = varint(\$data, \$pos);

        } elsif ($type == 1) {
            $value = unpack 'Q<', substr $data, $pos, 8;
            $pos += 8;

        } elsif ($type == 2) {
            my $len = varint(\$data, \$pos);
            die "field $field is cut\n" if $pos + $len > length $data;
            $value = substr $data, $pos, $len;
            $pos += $len;

        } elsif ($type == 5) {
            $value = unpack 'L<', substr $data, $pos, 4;
            $pos += 4;

        } else {
            die "wire type $type\n";
        }

        push @fields, [ $field, $value ];
    }

    die "message is cut\n" if $pos != length $data;
    return \@fields;
}


sub fields {
    my ($data) = @_;
    my %by;
    push @{ $by{ $_->[0] } }, $_->[1] for @{ protobuf($data) };
    return \%by;
}


sub attrs {
    my ($list) = @_;
    my %attrs;

    for (@{ $list || [] }) {
        my $kv = fields($_);
        my $value = fields($kv->{2}[0]);
        my ($type) = keys %$value;

        die "attribute $kv->{1}[0] is there twice\n"
            if exists $attrs{ $kv->{1}[0] };
        my $v = $value->{$type}[0];
        die "not UTF-8: $kv->{1}[0]\n"
            if $type == 1 && !utf8::decode(my $copy = $v);
        $attrs{ $kv->{1}[0] } = $v;
    }

    return \%attrs;
}


sub otlp {
    my ($request) = @_;

    my $body = $request->{body};
    utf8::downgrade($body);
    my ($coding) = $request->{head} =~ /^Content-Encoding: (\S+)\r/mi;

    if (($coding || '') eq 'gzip') {
        gunzip(\$body => \my $plain) or die "gunzip\n";
        $body = $plain;
    }

    return from_json($body)
        if $request->{head} =~ m{^Content-Type: application/json\r}mi;
    die "Content-Type\n"
        if $request->{head} !~ m{^Content-Type: application/x-protobuf\r}mi;

    my $batch = fields($body);
    die "resource_spans\n" if join(',', keys %$batch) ne '1';
    my $rs = fields($batch->{1}[0]);
    my $ss = fields($rs->{2}[0]);
    my $scope = fields($ss->{1}[0]);

    return {
        resource => attrs(fields($rs->{1}[0])->{1}),
        scope    => { name => $scope->{1}[0], version => $scope->{2}[0] },
        spans    => [ map { span($_) } @{ $ss->{2} } ],
    };
}


sub span {
    my $f = fields($_[0]);

    my %known = map { $_ => 1 } 1 .. 16;
    my @odd = grep { !$known{$_} } keys %$f;
    die "unknown fields @odd\n" if @odd;

    return {
        trace_id  => unpack('H*', $f->{1}[0]),
        span_id   => unpack('H*', $f->{2}[0]),
        state     => $f->{3} ? $f->{3}[0] : undef,
        parent_id => $f->{4} ? unpack('H*', $f->{4}[0]) : '',
        name      => $f->{5}[0],
        kind      => (qw(? INTERNAL SERVER CLIENT))[ $f->{6}[0] ],
        start     => $f->{7}[0],
        end       => $f->{8}[0],
        attrs     => attrs($f->{9}),
        events    => [ map { my $e = fields($_); {
                           time => $e->{1}[0], name => $e->{2}[0],
                           attrs => attrs($e->{3}) } } @{ $f->{11} || [] } ],
        links     => [ map { my $l = fields($_); {
                           trace_id => unpack('H*', $l->{1}[0]),
                           span_id => unpack('H*', $l->{2}[0]) } }
                       @{ $f->{13} || [] } ],
        status    => $f->{15} ? fields($f->{15}[0])->{3}[0] : 0,
        flags     => $f->{16} ? $f->{16}[0] : 0,
    };
}


sub from_json {
    my $rs = JSON::PP::decode_json($_[0])->{resourceSpans}[0];
    my $ss = $rs->{scopeSpans}[0];

    return {
        resource => json_attrs($rs->{resource}{attributes}),
        scope    => $ss->{scope},
        spans    => [ map { {
            trace_id  => $_->{traceId},
            span_id   => $_->{spanId},
            state     => $_->{traceState},
            parent_id => $_->{parentSpanId} || '',
            name      => $_->{name},
            kind      => (qw(? INTERNAL SERVER CLIENT))[ $_->{kind} ],
            start     => $_->{startTimeUnixNano},
            end       => $_->{endTimeUnixNano},
            attrs     => json_attrs($_->{attributes}),
            events    => [ map { { name => $_->{name},
                                   time => $_->{timeUnixNano},
                                   attrs => json_attrs($_->{attributes}) } }
                           @{ $_->{events} || [] } ],
            links     => [ map { { trace_id => $_->{traceId},
                                   span_id => $_->{spanId} } }
                           @{ $_->{links} || [] } ],
            status    => $_->{status} ? $_->{status}{code} : 0,
            flags     => $_->{flags},
        } } @{ $ss->{spans} } ],
    };
}


sub json_attrs {
    my %attrs;

    for (@{ $_[0] || [] }) {
        my ($value) = values %{ $_->{value} };
        $attrs{ $_->{key} } = ref $value ? $value + 0 : $value;
    }

    return \%attrs;
}


sub spans {
    my ($backend) = @_;
    return map { @{ otlp($_)->{spans} } } $backend->log;
}


sub span_named {
    my ($name, @spans) = @_;
    my ($span) = grep { $_->{name} eq $name } @spans;
    return $span || { attrs => {}, name => "no span $name" };
}


# what is wrong with the spans of one trace: parents, times
sub tree {
    my (@spans) = @_;

    my %by = map { $_->{span_id} => $_ } @spans;
    my @wrong;

    push @wrong, 'an id is there twice' if keys %by != @spans;

    for my $s (@spans) {
        push @wrong, "$s->{name} ends before it starts"
            if $s->{end} < $s->{start};

        my $p = $by{ $s->{parent_id} };
        next if $s->{kind} eq 'SERVER';

        if (!$p) {
            push @wrong, "$s->{name} has no parent";
            next;
        }

        push @wrong, "$s->{name} starts before $p->{name}"
            if $s->{start} < $p->{start};
        push @wrong, "$s->{name} ends after $p->{name}"
            if $s->{end} > $p->{end};
        push @wrong, "$s->{name} is in another trace"
            if $s->{trace_id} ne $p->{trace_id};
    }

    return join '; ', @wrong;
}


1;
