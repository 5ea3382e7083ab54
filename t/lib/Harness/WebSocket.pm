package Harness::WebSocket;

# A client of a WebSocket, over a Harness client.
#
#     my $ws = Harness::WebSocket->new($t, '/v1/chat', 'Origin: http://x');
#     ...->new($t, '/v1/chat', \$bytes);   # sent with the handshake
#     $ws->head;                   # what answered the handshake
#     $ws->text('{}');             # a message
#     $ws->frame(9, 'ping', FIN);  # an opcode with its data; FIN 0: more follow
#     $ws->next;                   # [ opcode, data ]; undef: it has ended
#     $ws->close_code;             # code and reason of the next Close, or none

use strict;
use warnings;

use Errno ();
use Harness;


sub new {
    my ($class, $t, $uri, @headers) = @_;

    my $with = @headers && ref $headers[-1] ? ${ pop @headers } : '';
    my $c = $t->connect;
    my $self = bless { c => $c, in => '', head => '' }, $class;

    $c->send("GET $uri HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\n"
             . "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
             . "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
             . join('', map { "$_\r\n" } @headers) . "\r\n$with");

    wait_for(sub { $self->{in} =~ /\r\n\r\n/ || $self->fill < 0 }, slow(5));
    $self->{in} =~ s/^(.*?\r\n\r\n)//s and $self->{head} = $1;

    return $self;
}


sub head   { return $_[0]{head} }
sub client { return $_[0]{c} }
sub socket { return $_[0]{c}->socket }
sub text   { return $_[0]->frame(1, $_[1]) }


# bytes that came, 0: none yet, -1: there will be none
sub fill {
    my ($self) = @_;

    my $n = $self->socket->sysread($self->{in}, 65536, length $self->{in});

    return $n || -1 if defined $n;
    return $!{EAGAIN} ? 0 : -1;
}


sub frame {
    my ($self, $op, $data, $fin) = @_;

    $self->{c}->send(bytes($op, $data, $fin));
    return;
}


sub bytes {
    my ($op, $data, $fin) = @_;

    my $mask = "\x01\x82\x03\x84";
    my $n = length $data;
    my $len = $n < 126 ? pack('C', 0x80 | $n)
        : $n < 65536 ? pack('Cn', 0x80 | 126, $n)
        : pack('CQ>', 0x80 | 127, $n);

    return pack('C', ($fin // 0x80) | $op) . $len . $mask
        . ($data ^ substr($mask x ($n / 4 + 1), 0, $n));
}


# length of the head, and of the data; nothing: not yet known
sub lengths {
    my ($in) = @_;

    my (undef, $n) = unpack 'CC', $in;
    return if !defined $n;

    my $head = $n == 126 ? 4 : $n == 127 ? 10 : 2;
    return if length $in < $head;

    return ($head, $n == 126 ? unpack('x2n', $in)
        : $n == 127 ? unpack('x2Q>', $in) : $n);
}


sub next {
    my ($self) = @_;
    my $frame;

    wait_for(sub {
        my ($head, $n) = lengths($self->{in});

        return $self->fill < 0
            if !defined $head || length $self->{in} < $head + $n;

        $frame = [ ord($self->{in}) & 15, substr $self->{in}, $head, $n ];
        substr $self->{in}, 0, $head + $n, '';
        return 1;
    }, slow(5));

    return $frame;
}


sub close_code {
    my ($self) = @_;

    while (my $f = $self->next) {
        return unpack('n', $f->[1]) . substr($f->[1], 2) if $f->[0] == 8;
    }

    return 'none';
}


1;
