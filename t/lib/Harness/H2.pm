package Harness::H2;

# A small HTTP/2 client with prior knowledge, for what ready-made ones do not
# do: resets of streams, several streams at once, connections that just end.
#
#     my $h = Harness::H2->new(port => $port);
#     my $id = $h->request(GET => '/a', headers => [...], body => '...');
#     my $s = $h->wait($id, 5);          # { status, body, ended, reset, time,
#                                        #   heads: 2 with trailers }
#     $h->rst($id);                      # RST_STREAM, CANCEL
#     $h->widen($id, 100);               # WINDOW_UPDATE; window => 200 in new
#                                        # gives streams that window
#     $h->close; $h->reset;              # FIN; RST
#
# Of the response's headers the status is all that is read: the rest may be
# compressed in ways that it does not know.

use strict;
use warnings;

use Errno qw(EAGAIN EINTR EWOULDBLOCK);
use IO::Select;
use IO::Socket::INET;
use Socket qw(SOL_SOCKET SO_LINGER);
use Time::HiRes qw(time);

my %indexed = (0x88 => 200, 0x89 => 204, 0x8a => 206, 0x8b => 304, 0x8c => 400,
               0x8d => 404, 0x8e => 500);


sub new {
    my ($class, %o) = @_;

    my $self = bless { in => '', next => 1, streams => {} }, $class;

    $self->{socket} = IO::Socket::INET->new(
        PeerAddr => '127.0.0.1', PeerPort => $o{port}, Timeout => 10,
    ) or die "no connection to port $o{port}: $!\n";

    # windows that no test fills, of streams and of the connection
    $self->write("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
                 . frame(4, 0, 0, pack('nN', 4, $o{window}
                                                      || 0x7fffffff))
                 . frame(8, 0, 0, pack('N', 0x7fff0000 - 65535)));
    return $self;
}


sub frame {
    my ($type, $flags, $id, $payload) = @_;
    return substr(pack('N', length $payload), 1)
        . pack('CCN', $type, $flags, $id) . $payload;
}


sub string {
    my ($text) = @_;
    my $n = length $text;

    return pack('C', $n) . $text if $n < 127;

    my $out = pack 'C', 127;
    for ($n -= 127; $n >= 128; $n >>= 7) {
        $out .= pack 'C', $n % 128 + 128;
    }
    return $out . pack('C', $n) . $text;
}


sub request {
    my ($self, $method, $path, %o) = @_;

    my $id = $self->{next};
    $self->{next} += 2;

    my @headers = (':method' => $method, ':scheme' => 'http', ':path' => $path,
                   ':authority' => 'localhost', @{ $o{headers} || [] });
    my $block = '';

    while (my ($name, $value) = splice(@headers, 0, 2)) {
        $block .= "\0" . string($name) . string($value);
    }

    my $body = $o{body};
    my $out = frame(1, defined $body ? 4 : 5, $id, $block);

    if (defined $body) {
        my @pieces = unpack '(a16384)*', $body;
        push @pieces, '' if !@pieces;

        for my $i (0 .. $#pieces) {
            $out .= frame(0, $i == $#pieces && !$o{open} ? 1 : 0, $id,
                          $pieces[$i]);
        }
    }

    $self->{streams}{$id} = { status => 0, body => '', start => time() };
    $self->write($out);
    return $id;
}


sub rst {
    my ($self, $id) = @_;
    return $self->write(frame(3, 0, $id, pack 'N', 8));
}


sub widen {
    my ($self, $id, $n) = @_;
    return $self->write(frame(8, 0, $id, pack 'N', $n));
}


sub write {
    my ($self, $bytes) = @_;

    local $SIG{PIPE} = 'IGNORE';

    while (length $bytes) {
        my $n = syswrite $self->{socket}, $bytes;
        return 0 if !defined $n && !$!{EINTR};
        substr $bytes, 0, $n, '' if $n;
    }

    return 1;
}


# the stream, as far as it has come when it ends or the time is over
sub wait {
    my ($self, $id, $seconds) = @_;

    my $until = time() + ($seconds || 10);
    my $s = $self->{streams}{$id};

    while (!$s->{ended} && !$s->{reset} && !$self->{closed}) {
        my $left = $until - time();
        last if $left <= 0;
        next if !IO::Select->new($self->{socket})->can_read($left);

        my $n = sysread $self->{socket}, $self->{in}, 65536, length $self->{in};
        $self->{closed} = 1 if defined $n ? $n == 0 : !$!{EINTR};
        $self->frames;
    }

    return $s;
}


sub frames {
    my ($self) = @_;

    while (length $self->{in} >= 9) {
        my ($high, $low, $type, $flags, $id) = unpack 'CnCCN', $self->{in};
        my $length = $high << 16 | $low;
        last if length $self->{in} < 9 + $length;

        substr $self->{in}, 0, 9, '';
        $self->take($type, $flags, $id, substr $self->{in}, 0, $length, '');
    }

    return;
}


sub take {
    my ($self, $type, $flags, $id, $payload) = @_;

    my $s = $self->{streams}{$id} || {};

    if ($type == 0) {
        $s->{body} .= $payload;

    } elsif ($type == 1) {
        # size updates of the table come first
        $s->{heads}++;
        $payload =~ s/^[\x20-\x3f]+//;
        $s->{status} = $indexed{ ord $payload }
            || ($payload =~ /^[\x08\x48]\x03(\d{3})/ ? $1 : 1);

    } elsif ($type == 3) {
        $s->{reset} = 1;

    } elsif ($type == 4 && !($flags & 1)) {
        $self->write(frame(4, 1, 0, ''));

    } elsif ($type == 6 && !($flags & 1)) {
        $self->write(frame(6, 1, 0, $payload));

    } elsif ($type == 7) {
        $self->{goaway} = 1;
    }

    if ($type < 2 && $flags & 1) {
        $s->{ended} = 1;
        $s->{time} = time() - $s->{start};
    }

    return;
}


sub close {
    my ($self) = @_;
    CORE::close $self->{socket} if $self->{socket};
    delete $self->{socket};
    return;
}


sub reset {
    my ($self) = @_;
    setsockopt $self->{socket}, SOL_SOCKET, SO_LINGER, pack('ii', 1, 0);
    return $self->close;
}


1;
