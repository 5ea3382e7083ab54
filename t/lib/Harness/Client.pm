package Harness::Client;

# An HTTP/1 client on plain sockets, for tests: it sends what it is told,
# byte for byte, and judges the framing of what comes back.
#
#     my $c = Harness::Client->new(port => $port, timeout => 10);
#     $c->request(GET => '/a');                  # sends, does not wait
#     $c->request(GET => '/b', headers => [ 'X-A' => 1 ], close => 1);
#     my $a = $c->response;                      # in order
#     my $b = $c->response;
#     ok($c->eof, 'closed by the server');
#
# A response:
#
#     $r->status          200; 0 when there is no valid response
#     $r->header('Age')   values joined by ", "; undef when absent
#     $r->headers('Age')  the list of values
#     $r->body            without the chunked coding
#     $r->json            the body decoded, undef when it is no JSON
#     $r->error           undef, or one of "connect", "timeout", "closed"
#                         (before the end of the header), "truncated", "bad"
#     $r->time            seconds from the last thing sent, or from the response
#                         before, until the last byte was read
#     $r->head            the header as it came
#
# request() takes: headers (array of names and values, or a hash), body
# (adds Content-Length), version ("1.1"), close (adds Connection: close),
# host ("localhost"; undef sends none), chunked (array of chunks).

use strict;
use warnings;

use Errno qw(EAGAIN EINTR EWOULDBLOCK);
use IO::Select;
use IO::Socket::INET;
use IO::Socket::UNIX;
use Socket qw(SOL_SOCKET SO_LINGER);
use Time::HiRes qw(time);


sub new {
    my ($class, %o) = @_;

    my $self = bless {
        in      => '',
        timeout => $o{timeout} || 10,
        methods => [],
    }, $class;

    $self->{socket} = $o{path}
        ? IO::Socket::UNIX->new(Peer => $o{path})
        : IO::Socket::INET->new(
            PeerAddr => $o{host} || '127.0.0.1',
            PeerPort => $o{port},
            Timeout  => $self->{timeout},
        );

    $self->{error} = 'connect' if !$self->{socket};
    $self->{socket}->blocking(0) if $self->{socket};

    return $self;
}


sub socket { return $_[0]{socket} }


sub send {
    my ($self, $bytes) = @_;

    my $until = time() + $self->{timeout};
    local $SIG{PIPE} = 'IGNORE';

    $self->{since} = time();

    while (length $bytes) {
        return 0 if !$self->{socket};

        my $n = syswrite($self->{socket}, $bytes);

        if (defined $n) {
            substr($bytes, 0, $n, '');
            next;
        }

        return 0 if !again();
        return 0 if !$self->wait_io('can_write', $until);
    }

    return 1;
}


sub request {
    my ($self, $method, $uri, %o) = @_;

    push @{ $self->{methods} }, $method;
    return $self->send(format_request($method, $uri, %o));
}


sub format_request {
    my ($method, $uri, %o) = @_;

    my $version = $o{version} || '1.1';
    my @headers = ref($o{headers} || []) eq 'HASH'
        ? %{ $o{headers} } : @{ $o{headers} || [] };
    my $text = "$method $uri HTTP/$version\r\n";

    my $host = exists $o{host} ? $o{host} : 'localhost';
    $text .= "Host: $host\r\n" if defined $host;
    $text .= "Connection: close\r\n" if $o{close};

    while (my ($name, $value) = splice(@headers, 0, 2)) {
        $text .= "$name: $value\r\n";
    }

    if ($o{chunked}) {
        return $text . "Transfer-Encoding: chunked\r\n\r\n"
            . join('', map { sprintf("%x\r\n%s\r\n", length, $_) }
                grep { length } @{ $o{chunked} }) . "0\r\n\r\n";
    }

    if (defined $o{body}) {
        return $text . 'Content-Length: ' . length($o{body}) . "\r\n\r\n"
            . $o{body};
    }

    return "$text\r\n";
}


# the next response on the connection; option method for a hand-made request
sub response {
    my ($self, %o) = @_;

    my $until = time() + ($o{timeout} || $self->{timeout});
    my $method = shift @{ $self->{methods} } || $o{method} || 'GET';
    my $r = Harness::Response->new;

    $r->{error} = $self->{error};
    $self->read_head($r, $until) && $self->read_body($r, $method, $until)
        if $self->{socket};

    $r->{time} = time() - ($self->{since} || time());
    $self->{since} = time();
    return $r;
}


sub read_head {
    my ($self, $r, $until) = @_;

    while ($self->{in} !~ /\r\n\r\n/) {
        my $error = $self->fill($until) or next;
        $r->{error} = $error eq 'eof' ? 'closed' : $error;
        $r->{head} = $self->{in};
        return 0;
    }

    $self->{in} =~ s/^(.*?\r\n\r\n)//s;
    $r->parse_head($1);

    if (!$r->{error} && $r->{status} >= 100 && $r->{status} < 200
        && $r->{status} != 101)
    {
        $r->{informational}++;
        return $self->read_head($r, $until);
    }

    return !$r->{error};
}


sub read_body {
    my ($self, $r, $method, $until) = @_;

    if ($method eq 'HEAD' || $r->{status} == 204 || $r->{status} == 304) {
        return;
    }

    my $coding = $r->header('Transfer-Encoding');
    my $length = $r->header('Content-Length');

    if (defined $coding) {
        return $self->read_chunked($r, $until);
    }

    if (defined $length && $length !~ /^\d+$/) {
        $r->{error} = 'bad';
        return;
    }

    while (!defined $length || length($self->{in}) < $length) {
        my $error = $self->fill($until) or next;
        last if !defined $length && $error eq 'eof';
        $r->{error} = $error eq 'timeout' ? $error : 'truncated';
        last;
    }

    $length = length $self->{in}
        if !defined $length || $length > length $self->{in};
    $r->{body} = substr($self->{in}, 0, $length, '');
    return;
}


sub read_chunked {
    my ($self, $r, $until) = @_;

    while (1) {
        my $line = $self->read_line($r, $until);
        return if !defined $line;

        if ($line !~ /^([0-9a-fA-F]+)\s*(?:;.*)?$/) {
            $r->{error} = 'bad';
            return;
        }

        my $size = hex $1;
        last if $size == 0;

        while (length($self->{in}) < $size + 2) {
            my $error = $self->fill($until) or next;
            $r->{body} .= $self->{in};
            $self->{in} = '';
            $r->{error} = $error eq 'timeout' ? $error : 'truncated';
            return;
        }

        $r->{body} .= substr($self->{in}, 0, $size, '');

        if (substr($self->{in}, 0, 2, '') ne "\r\n") {
            $r->{error} = 'bad';
            return;
        }

        $r->{chunks}++;
    }

    while (defined(my $line = $self->read_line($r, $until))) {
        return if $line eq '';
        $r->{trailers} .= "$line\r\n";
    }

    return;
}


sub read_line {
    my ($self, $r, $until) = @_;

    while ($self->{in} !~ /\r\n/) {
        my $error = $self->fill($until) or next;
        $r->{error} = $error eq 'timeout' ? $error : 'truncated';
        return;
    }

    $self->{in} =~ s/^(.*?)\r\n//s;
    return $1;
}


# one read; false when something came, else "eof" or "timeout"
sub fill {
    my ($self, $until) = @_;

    while (1) {
        my $n = sysread($self->{socket}, $self->{in}, 65536,
                        length $self->{in});

        return '' if $n;
        return 'eof' if defined $n || !again();
        return 'timeout' if !$self->wait_io('can_read', $until);
    }
}


sub again {
    return $!{EAGAIN} || $!{EWOULDBLOCK} || $!{EINTR};
}


sub wait_io {
    my ($self, $how, $until) = @_;

    my $left = $until - time();
    return 0 if $left <= 0;

    return scalar(() = IO::Select->new($self->{socket})->$how($left));
}


# everything until the end of the connection, or until the time is over
sub rest {
    my ($self, $timeout) = @_;

    my $until = time() + ($timeout || $self->{timeout});
    while ($self->{socket} && !$self->fill($until)) { }

    return substr($self->{in}, 0, length $self->{in}, '');
}


# true when the server has closed and nothing is left unread
sub eof {
    my ($self, $timeout) = @_;

    return 1 if !$self->{socket};
    return 0 if length $self->{in};
    return $self->fill(time() + ($timeout || $self->{timeout})) eq 'eof';
}


# true when a byte is there within the time: nothing is taken
sub readable {
    my ($self, $timeout) = @_;

    return 1 if length $self->{in};
    return $self->fill(time() + $timeout) eq '';
}


sub shutdown {
    my ($self) = @_;
    CORE::shutdown($self->{socket}, 1) if $self->{socket};
    return;
}


sub close {
    my ($self) = @_;
    CORE::close($self->{socket}) if $self->{socket};
    delete $self->{socket};
    return;
}


# closes with RST
sub reset {
    my ($self) = @_;
    setsockopt($self->{socket}, SOL_SOCKET, SO_LINGER, pack('ii', 1, 0))
        if $self->{socket};
    return $self->close;
}


package Harness::Response;

use strict;
use warnings;

use JSON::PP ();


sub new {
    return bless {
        status => 0, reason => '', version => '', head => '', list => [],
        body => '', trailers => '', chunks => 0, informational => 0,
    }, shift;
}


sub status  { return $_[0]{status} }
sub reason  { return $_[0]{reason} }
sub version { return $_[0]{version} }
sub head    { return $_[0]{head} }
sub body    { return $_[0]{body} }
sub error   { return $_[0]{error} }
sub time    { return $_[0]{time} }


sub parse_head {
    my ($r, $head) = @_;

    $r->{head} = $head;
    $r->{list} = [];

    my ($first, @lines) = split /\r\n/, $head;

    if ($first !~ m{^HTTP/(1\.[01]) (\d{3})(?: (.*))?$}) {
        $r->{error} = 'bad';
        return;
    }

    @{$r}{qw(version status reason)} = ($1, $2 + 0, defined $3 ? $3 : '');

    for my $line (@lines) {
        if ($line !~ /^([!#\$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*(.*?)[ \t]*$/) {
            $r->{error} = 'bad';
            return;
        }
        push @{ $r->{list} }, [ $1, $2 ];
    }

    return;
}


sub headers {
    my ($r, $name) = @_;
    return map { $_->[1] } grep { lc $_->[0] eq lc $name } @{ $r->{list} };
}


sub header {
    my ($r, $name) = @_;
    my @values = $r->headers($name);
    return @values ? join(', ', @values) : undef;
}


sub json {
    my ($r) = @_;
    return eval { JSON::PP->new->utf8->allow_nonref->decode($r->{body}) };
}


1;
