package Harness::H3;

# A small HTTP/3 client, for what ready-made ones do not do: resets of streams,
# windows that stay small, connections that just end.
#
#     my $h = Harness::H3->new(port => $port, window => 20_000);
#     my $id = $h->request(GET => '/a', headers => [...], body => '...');
#     my $s = $h->wait($id, 5);      # { status, headers, body, ended, reset }
#     $h->more($id, 10_000);         # so much more may come
#     $h->rst($id);                  # RESET_STREAM and STOP_SENDING
#     $h->close;                     # CONNECTION_CLOSE
#     $h->vanish;                    # nothing more is sent or read
#
# QUIC version 1 with TLS_AES_128_GCM_SHA256 and X25519 (RFC 9000, 9001, 8446),
# fields that are literals or from the static table (RFC 9204).  The server's
# certificate is not looked at.  What is lost is sent again after a silence.

use strict;
use warnings;

use Crypt::AuthEnc::GCM qw(gcm_decrypt_verify gcm_encrypt_authenticate);
use Crypt::Cipher;
use Crypt::PK::X25519;
use Digest::SHA qw(hmac_sha256 sha256);
use IO::Select;
use IO::Socket::INET;
use List::Util qw(max);
use Time::HiRes qw(time);

my ($initial, $handshake, $application) = (0, 2, 9);

my %statuses = (24 => 103, 25 => 200, 26 => 304, 27 => 404, 28 => 503,
                63 => 100, 64 => 204, 65 => 206, 66 => 302, 67 => 400,
                68 => 403, 69 => 421, 70 => 425, 71 => 500);
my %names = (4 => 'content-length', 5 => 'cookie', 6 => 'date', 7 => 'etag',
             10 => 'last-modified', 12 => 'location', 36 => 'cache-control',
             43 => 'content-encoding', 53 => 'content-type', 59 => 'vary',
             92 => 'server');


sub new {
    my ($class, %o) = @_;

    my $self = bless {
        next => 0, streams => {}, scid => random(8), dcid => random(8),
        window => $o{window} || 1 << 28,
        idle => $o{idle} || 60_000,
        transcript => '',
        levels => { map { $_ => { pn => 0, largest => -1, got => [],
                                  sent => {}, at => 0 } }
                    $initial, $handshake, $application },
    }, $class;

    $self->{socket} = IO::Socket::INET->new(
        PeerAddr => '127.0.0.1', PeerPort => $o{port}, Proto => 'udp',
    ) or die "no socket for port $o{port}: $!\n";
    $self->{socket}->blocking(0);

    my $secret = hmac_sha256($self->{dcid},
        pack 'H*', '38762cf7f55934b34d179ae6a4c80cadccbb7f0a');
    $self->set_keys($initial, label($secret, 'client in', '', 32),
                    label($secret, 'server in', '', 32));

    $self->{key} = Crypt::PK::X25519->new->generate_key;
    my $hello = $self->client_hello;
    $self->{transcript} = $hello;
    $self->send($initial, crypto(0, $hello));

    my $until = time() + ($o{timeout} || 10);
    $self->read($until) while !$self->{done} && !$self->{closed}
                              && time() < $until;
    die 'no QUIC handshake: error ' . ($self->{error} // 'none') . "\n"
        if !$self->{done};

    # the control stream, without settings
    $self->send($application, stream(2, 0, "\0\4\0", 0));
    return $self;
}


sub random { return join '', map { chr int rand 256 } 1 .. $_[0] }


# TLS

sub label {
    my ($secret, $label, $context, $length) = @_;
    my $info = pack('n C/a* C/a*', $length, "tls13 $label", $context);

    return substr hmac_sha256("$info\1", $secret), 0, $length;
}


sub set_keys {
    my ($self, $level, @secrets) = @_;

    $self->{levels}{$level}{keys} = [ map { {
        key => label($_, 'quic key', '', 16),
        iv => label($_, 'quic iv', '', 12),
        hp => Crypt::Cipher->new('AES', label($_, 'quic hp', '', 16)),
    } } @secrets ];

    return;
}


sub client_hello {
    my ($self) = @_;

    my %parameters = (1 => $self->{idle}, 4 => 1 << 28, 5 => $self->{window},
                      6 => 65536, 7 => 65536, 9 => 8);
    my $transport = join '', map { my $v = varint($parameters{$_});
                                   varint($_) . varint(length $v) . $v }
        sort keys %parameters;
    $transport .= varint(15) . varint(8) . $self->{scid};

    my @extensions = (
        0x00, pack('n/a*', pack('C n/a*', 0, 'localhost')),
        0x0a, pack('n/a*', pack 'n', 0x1d),
        0x0d, pack('n/a*', pack 'n*', 0x0403, 0x0804, 0x0401, 0x0503, 0x0805),
        0x10, pack('n/a*', pack 'C/a*', 'h3'),
        0x2b, pack('C/a*', pack 'n', 0x0304),
        0x33, pack('n/a*', pack 'n n/a*', 0x1d,
                   $self->{key}->export_key_raw('public')),
        0x39, $transport,
    );
    my $list = '';

    while (my ($type, $value) = splice @extensions, 0, 2) {
        $list .= pack 'n n/a*', $type, $value;
    }

    my $body = pack('n a32 C n/a* C/a* n/a*', 0x0303, random(32), 0,
                    pack('n', 0x1301), "\0", $list);
    return "\1" . substr(pack('N', length $body), 1) . $body;
}


# the server's messages, as far as they have come
sub tls {
    my ($self, $level) = @_;
    my $in = \$self->{levels}{$level}{tls};

    while (defined $$in && length $$in >= 4) {
        my ($type, $high, $low) = unpack 'CCn', $$in;
        my $length = $high << 16 | $low;
        last if length $$in < 4 + $length;

        my $message = substr $$in, 0, 4 + $length, '';
        next if $level == $application;

        $self->{transcript} .= $message;
        $self->server_hello($message) if $type == 2;
        $self->finished if $type == 20;
    }

    return;
}


sub server_hello {
    my ($self, $message) = @_;

    my ($public) = $message =~ /\0\x33\0\x24\0\x1d\0\x20(.{32})/s
        or die "no key share in the server's hello\n";
    my $peer = Crypt::PK::X25519->new->import_key_raw($public, 'public');

    my $zero = "\0" x 32;
    my $secret = hmac_sha256($self->{key}->shared_secret($peer),
        label(hmac_sha256($zero, $zero), 'derived', sha256(''), 32));
    my $hash = sha256($self->{transcript});

    $self->{client} = label($secret, 'c hs traffic', $hash, 32);
    $self->set_keys($handshake, $self->{client},
                    label($secret, 's hs traffic', $hash, 32));
    $self->{master} = hmac_sha256($zero,
        label($secret, 'derived', sha256(''), 32));
    return;
}


sub finished {
    my ($self) = @_;
    my $hash = sha256($self->{transcript});

    $self->set_keys($application,
                    label($self->{master}, 'c ap traffic', $hash, 32),
                    label($self->{master}, 's ap traffic', $hash, 32));

    my $verify = hmac_sha256($hash, label($self->{client}, 'finished', '', 32));
    $self->send($handshake, crypto(0, "\x14\0\0\x20$verify"));
    $self->{done} = 1;
    return;
}


# packets

sub varint {
    my ($n) = @_;

    return pack 'C', $n if $n < 64;
    return pack 'n', $n | 0x4000 if $n < 16384;
    return pack 'N', $n | 0x80000000 if $n < 1 << 30;
    return pack 'Q>', $n | 3 << 62;
}


sub take {
    my ($in) = @_;
    my $size = 1 << (ord($$in) >> 6);
    my $bytes = substr $$in, 0, $size, '';

    return unpack('Q>', "\0" x (8 - $size) . $bytes)
        & ((1 << 8 * $size - 2) - 1);
}


sub crypto {
    my ($offset, $data) = @_;
    return "\6" . varint($offset) . varint(length $data) . $data;
}


sub stream {
    my ($id, $offset, $data, $fin) = @_;
    return pack('C', 0x0e | ($fin ? 1 : 0)) . varint($id) . varint($offset)
        . varint(length $data) . $data;
}


sub send {
    my ($self, $level, $frames, $unasked) = @_;
    my $l = $self->{levels}{$level};
    my $k = $l->{keys} or return;
    my $pn = $l->{pn}++;
    my $long = $level != $application;

    $frames .= "\0" x max(0, 1160 - length $frames) if $level == $initial;
    $l->{sent}{$pn} = $frames if !$unasked;

    my $head = $long
        ? pack('C N C/a* C/a*', 0xc3 | $level << 4, 1, $self->{dcid},
               $self->{scid}) . ($level == $initial ? "\0" : '')
          . pack('n', length($frames) + 20 | 0x4000)
        : "\x43$self->{dcid}";
    my $at = length $head;

    $head .= pack 'N', $pn;
    my ($text, $tag) = gcm_encrypt_authenticate('AES', $k->[0]{key},
        nonce($k->[0], $pn), $head, $frames);
    $text .= $tag;

    my $mask = $k->[0]{hp}->encrypt(substr $text, 0, 16);
    substr($head, 0, 1) ^= substr($mask, 0, 1) & ($long ? "\x0f" : "\x1f");
    substr($head, $at, 4) ^= substr $mask, 1, 4;

    CORE::send($self->{socket}, $head . $text, 0) if $self->{socket};
    return;
}


sub nonce {
    my ($key, $pn) = @_;
    return $key->{iv} ^ ("\0" x 4 . pack 'Q>', $pn);
}


# what comes until then, or one round of it
sub read {
    my ($self, $until) = @_;
    my $left = $until - time();

    if (!IO::Select->new($self->{socket})->can_read(
            $left < 0.5 ? max(0, $left) : 0.5))
    {
        $self->again if $left >= 0.5;
        return;
    }

    for (1 .. 50) {
        defined recv $self->{socket}, my $bytes, 65536, 0 or last;
        last if $bytes eq '';
        1 while $self->packet(\$bytes);
    }

    $self->ack($_) for sort keys %{ $self->{levels} };
    return;
}


# what nobody has acknowledged
sub again {
    my ($self) = @_;

    for my $level ($initial, $handshake, $application) {
        my $sent = $self->{levels}{$level}{sent};
        my @frames = map { delete $sent->{$_} } sort { $a <=> $b } keys %$sent;
        $self->send($level, $_) for @frames;
    }

    return;
}


sub packet {
    my ($self, $bytes) = @_;

    return 0 if length $$bytes < 21;

    my $first = ord $$bytes;
    my ($level, $at, $length) = ($application, 9, length($$bytes) - 9);

    if ($first & 0x80) {
        my ($dcid, $scid, $rest) = unpack 'x5 C/a C/a a*', $$bytes;
        $level = $first >> 4 & 3;
        return 0 if $level & 1;

        my $size = length $rest;
        substr $rest, 0, take(\$rest), '' if $level == $initial;
        $length = take(\$rest);
        $at = 7 + length($dcid) + length($scid) + $size - length $rest;
        $self->{dcid} = $scid;
    }

    my $l = $self->{levels}{$level};
    my $packet = substr $$bytes, 0, $at + $length, '';
    my $k = $l->{keys} or return 1;

    my $mask = $k->[1]{hp}->encrypt(substr $packet, $at + 4, 16);
    substr($packet, 0, 1) ^= substr($mask, 0, 1)
        & ($first & 0x80 ? "\x0f" : "\x1f");
    my $size = 1 + (ord($packet) & 3);
    substr($packet, $at, $size) ^= substr $mask, 1, $size;

    my $pn = unpack 'N', "\0" x (4 - $size) . substr $packet, $at, $size;
    my $range = 1 << 8 * $size;
    my $expected = $l->{largest} + 1;
    $pn |= $expected & ~($range - 1);
    $pn += $range if $pn <= $expected - $range / 2;
    $pn -= $range if $pn > $expected + $range / 2 && $pn >= $range;

    my $head = substr $packet, 0, $at + $size, '';
    my $tag = substr $packet, -16, 16, '';
    my $frames = gcm_decrypt_verify('AES', $k->[1]{key}, nonce($k->[1], $pn),
                                    $head, $packet, $tag);
    return 1 if !defined $frames;

    my $seen = grep { $pn >= $_->[0] && $pn <= $_->[1] } @{ $l->{got} };
    $l->{largest} = max($l->{largest}, $pn);
    $l->{ack} = 1;
    return 1 if $seen;

    got($l, $pn);
    $self->frames($level, $frames);
    return 1;
}


# ranges, the newest first
sub got {
    my ($l, $pn) = @_;
    my @got = sort { $b->[0] <=> $a->[0] } @{ $l->{got} }, [ $pn, $pn ];
    my @merged = shift @got;

    for my $r (@got) {
        if ($r->[1] + 1 >= $merged[-1][0]) {
            $merged[-1][0] = $r->[0];
        } else {
            push @merged, $r;
        }
    }

    $l->{got} = [ @merged[0 .. ($#merged > 30 ? 30 : $#merged)] ];
    return;
}


sub ack {
    my ($self, $level) = @_;
    my $l = $self->{levels}{$level};

    return if !delete $l->{ack} || $self->{closed};

    my ($first, @more) = @{ $l->{got} };
    my $out = "\2" . varint($first->[1]) . "\0" . varint(scalar @more)
        . varint($first->[1] - $first->[0]);
    my $low = $first->[0];

    for my $r (@more) {
        $out .= varint($low - $r->[1] - 2) . varint($r->[1] - $r->[0]);
        $low = $r->[0];
    }

    $self->send($level, $out, 1);
    return;
}


sub frames {
    my ($self, $level, $in) = @_;
    my $l = $self->{levels}{$level};

    while (length $in) {
        my $type = take(\$in);

        next if $type < 2 || $type == 0x1e;

        if ($type < 4) {
            my $high = take(\$in);
            take(\$in);
            my $n = take(\$in);
            my $low = $high - take(\$in);
            delete @{ $l->{sent} }{ $low .. $high };

            while ($n--) {
                $high = $low - take(\$in) - 2;
                $low = $high - take(\$in);
                delete @{ $l->{sent} }{ $low .. $high };
            }

            take(\$in), take(\$in), take(\$in) if $type == 3;

        } elsif ($type == 4) {
            my ($id, $code) = (take(\$in), take(\$in));
            take(\$in);
            $self->{streams}{$id}{reset} = $code;

        } elsif ($type == 6) {
            my $at = take(\$in);
            my $data = substr $in, 0, take(\$in), '';
            $l->{tls} //= '';
            $l->{tls} .= in_order($l, $at, $data);
            $self->tls($level);

        } elsif ($type >= 8 && $type < 16) {
            my $id = take(\$in);
            my $at = $type & 4 ? take(\$in) : 0;
            my $size = $type & 2 ? take(\$in) : length $in;
            $self->stream_data($id, $at, substr($in, 0, $size, ''), $type & 1);

        } elsif ($type == 0x18) {
            take(\$in), take(\$in);
            substr $in, 0, 1 + ord $in, '';
            substr $in, 0, 16, '';

        } elsif ($type == 0x1a || $type == 0x1b) {
            $self->send($level, "\x1b" . substr $in, 0, 8) if $type == 0x1a;
            substr $in, 0, 8, '';

        } elsif ($type == 0x1c || $type == 0x1d) {
            $self->{closed} = 1;
            $self->{error} = take(\$in);
            return;

        } elsif ($type == 7) {
            substr $in, 0, take(\$in), '';

        } elsif ($type == 5 || $type == 0x11 || $type == 0x15) {
            take(\$in), take(\$in);

        } else {
            take(\$in);
        }
    }

    return;
}


# gives what follows the bytes before
sub in_order {
    my ($of, $at, $data) = @_;
    my $out = '';

    $of->{at} //= 0;
    $of->{pieces}{$at} = $data
        if length $data >= length($of->{pieces}{$at} // '');

    for my $start (sort { $a <=> $b } keys %{ $of->{pieces} }) {
        last if $start > $of->{at};
        my $piece = delete $of->{pieces}{$start};
        my $known = $of->{at} - $start;
        next if length $piece <= $known;
        $out .= substr $piece, $known;
        $of->{at} = $start + length $piece;
    }

    return $out;
}


# requests

sub stream_data {
    my ($self, $id, $at, $data, $fin) = @_;
    my $s = $self->{streams}{$id} ||= {};

    $s->{end} = $at + length $data if $fin;
    $s->{in} .= in_order($s, $at, $data);
    return if $id & 2;

    while ($s->{in} ne '') {
        if ($s->{left}) {
            my $piece = substr $s->{in}, 0, $s->{left}, '';
            $s->{body} .= $piece;
            $s->{left} -= length $piece;
            next;
        }

        my $in = $s->{in};
        my $type = take(\$in);
        last if $in eq '' || length $in < 1 << (ord($in) >> 6);
        my $size = take(\$in);

        if ($type == 0) {
            $s->{left} = $size;
        } else {
            last if length $in < $size;
            my $block = substr $in, 0, $size, '';
            $self->fields($s, $block) if $type == 1;
        }

        $s->{in} = $in;
    }

    $s->{ended} = 1 if defined $s->{end} && $s->{at} >= $s->{end};
    return;
}


sub prefixed {
    my ($in, $bits) = @_;
    my $most = (1 << $bits) - 1;
    my $n = ord(substr $$in, 0, 1, '') & $most;

    return $n if $n < $most;

    for (my $shift = 0;; $shift += 7) {
        my $byte = ord substr $$in, 0, 1, '';
        $n += ($byte & 127) << $shift;
        return $n if $byte < 128;
    }
}


sub fields {
    my ($self, $s, $in) = @_;
    my @out;

    substr $in, 0, 2, '';

    while (length $in) {
        my $first = ord $in;

        if ($first & 0x80) {
            my $n = prefixed(\$in, 6);
            push @out, $statuses{$n} ? (':status', $statuses{$n}) : ("#$n", '');
            next;
        }

        my $name;

        if ($first & 0x40) {
            my $n = prefixed(\$in, 4);
            $name = $statuses{$n} ? ':status' : $names{$n} // "#$n";
        } else {
            $name = substr $in, 0, prefixed(\$in, 3), '';
        }

        push @out, $name, substr $in, 0, prefixed(\$in, 7), '';
    }

    my %fields = @out;

    return if ($fields{':status'} // 0) < 200;
    $s->{status} = $fields{':status'};
    $s->{headers} = \@out;
    return;
}


sub literal {
    my ($bits, $flags, $text) = @_;
    my $most = (1 << $bits) - 1;
    my $n = length $text;

    return chr($flags | $n) . $text if $n < $most;

    my $out = chr($flags | $most);
    for ($n -= $most; $n >= 128; $n >>= 7) {
        $out .= chr($n % 128 + 128);
    }
    return $out . chr($n) . $text;
}


sub request {
    my ($self, $method, $path, %o) = @_;

    my $id = $self->{next};
    $self->{next} += 4;
    $self->{streams}{$id} = { status => 0, body => '', in => '',
                              headers => [], window => $self->{window} };

    my @fields = (':method' => $method, ':scheme' => 'https', ':path' => $path,
                  ':authority' => 'localhost', @{ $o{headers} || [] });
    my $block = "\0\0";

    while (my ($name, $value) = splice @fields, 0, 2) {
        $block .= literal(3, 0x20, $name) . literal(7, 0, $value);
    }

    my $out = "\1" . varint(length $block) . $block;
    $out .= "\0" . varint(length $o{body}) . $o{body} if defined $o{body};

    my @pieces = unpack '(a1000)*', $out;
    my $at = 0;

    for my $i (0 .. $#pieces) {
        $self->send($application, stream($id, $at, $pieces[$i],
                                         $i == $#pieces && !$o{open}));
        $at += length $pieces[$i];
    }

    $self->{streams}{$id}{out} = $at;
    return $id;
}


# the stream, as far as it has come when it ends or the time is over
sub wait {
    my ($self, $id, $seconds) = @_;

    my $until = time() + ($seconds || 10);
    my $s = $self->{streams}{$id};

    $self->read($until) while !$s->{ended} && !defined $s->{reset}
        && !$self->{closed} && time() < $until;

    return $s;
}


sub header {
    my ($s, $name) = @_;
    my %headers = @{ $s->{headers} };
    return $headers{$name};
}


sub more {
    my ($self, $id, $n) = @_;
    my $s = $self->{streams}{$id};

    $s->{window} += $n;
    $self->send($application, "\x11" . varint($id) . varint($s->{window}));
    return;
}


# H3_REQUEST_CANCELLED
sub rst {
    my ($self, $id) = @_;
    my $s = $self->{streams}{$id};

    $self->send($application, "\4" . varint($id) . varint(0x10c)
                . varint($s->{out}) . "\5" . varint($id) . varint(0x10c));
    return;
}


sub stop {
    my ($self, $id) = @_;
    $self->send($application, "\5" . varint($id) . varint(0x10c));
    return;
}


# H3_NO_ERROR
sub close {
    my ($self) = @_;

    $self->send($application, "\x1d" . varint(0x100) . varint(0), 1);
    return $self->vanish;
}


sub vanish {
    my ($self) = @_;

    CORE::close(delete $self->{socket}) if $self->{socket};
    $self->{closed} = 1;
    return;
}


1;
