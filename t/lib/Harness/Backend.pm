package Harness::Backend;

# A scripted HTTP/1 backend: a process of its own that serves any number of
# connections at once, and does to each request what a table says.
#
#     my $b = $t->backend('users',
#         '/a'  => '{"a":1}',                       200, application/json
#         '/b'  => { status => 500, body => 'x' },
#         '/c'  => [ { action => 'reset' }, '{}' ], one after the other; the
#                                                   last one stays
#         '/d/' => sub { my ($q) = @_; return { body => $q->{uri} } },
#         '*'   => { status => 404 },
#     );
#
# A key is a path, taken without the arguments; one that ends with "/" covers
# what begins with it (the longest wins); "*" is the rest, by default a 404.
# A function gets the request as it stands in the log, below, and runs in the
# backend's process: what it changes is not seen by the test.
#
# A behaviour:
#
#     status reason version    200, "OK", "1.1"
#     type                     Content-Type (application/json; undef: none)
#     headers                  array of names and values
#     body                     '' by default
#     repeat    N              the body N times over
#     length    N              the Content-Length stated (undef: none stated,
#                              the end of the body is the end of connection)
#     chunked   1 | [ ... ]    chunked coding, whole or in these chunks
#     delay     T              seconds before the first byte
#     body_delay T             seconds between the header and the body
#     drip      T              one byte (or drip_bytes) of the body every T s
#     drip_all  1              the header drips too
#     close     1              Connection: close
#     keepalive 1              keeps a connection of HTTP/1.0 as well
#     cut       N              only the first N bytes of the body are sent,
#                              then `after' happens ("close" by default)
#     after                    "keep", "close", "reset" or "hang" after it
#     action                   no response at all: "close", "reset", "hang"
#     endless   'bytes'        a body without an end, length not stated
#     gzip      1              the body compressed, asked for or not
#     raw       'bytes'        sent as they are instead of a response
#     early     1              answers before the request's body has come
#     steps     [ ... ]        a script of one's own:
#                              [ send => 'bytes' ], [ wait => T ],
#                              [ drip => 'bytes', T, N ], [ repeat => 'bytes' ],
#                              [ 'close' ], [ 'reset' ], [ 'hang' ], [ 'done' ]
#
# 204, 304 and HEAD have no body.
#
# From the test, at any time:
#
#     $b->port
#     $b->set('/a' => {...})   changes one entry (no functions)
#     $b->log                  the requests, oldest first, each a hash: method,
#                              uri, path, args, version, head (as it came),
#                              headers ([[name, value]...]), body, connection,
#                              time (when it had come), first (the first byte
#                              went out), ended, done (answered wholly) or
#                              aborted (the peer left before that)
#     $b->log('/a')            those of one path
#     $b->count, ->count('/a') how many
#     $b->header($q, 'Name')   the values of a header of a logged request
#     $b->stats                hash: connections, requests, aborted, all since
#                              clear; open (connections), active (requests that
#                              have not ended), parallel (most of them at once)
#     $b->clear                forgets the log and the counts
#     $b->pause, ->resume      SIGSTOP, SIGCONT
#     $b->stop, ->start        gone (connection refused), and back again on
#                              the same port with an empty log

use strict;
use warnings;

use Errno qw(EAGAIN EINTR EWOULDBLOCK);
use IO::Select;
use IO::Socket::INET;
use JSON::PP ();
use POSIX ();
use Socket qw(SOL_SOCKET SO_LINGER SOMAXCONN);
use Time::HiRes qw(time sleep);

use Harness::Client;

my $json = JSON::PP->new->ascii->allow_nonref;


sub new {
    my ($class, %o) = @_;

    my $self = bless {
        table   => $o{table},
        name    => $o{name},
        address => $o{address} || '127.0.0.1',
        port    => 0,
    }, $class;

    $self->start;
    return $self;
}


sub port { return $_[0]{port} }
sub pid  { return $_[0]{pid} }


sub listener {
    my ($self, $port) = @_;

    my $socket = IO::Socket::INET->new(
        LocalAddr => $self->{address},
        LocalPort => $port,
        Proto     => 'tcp',
        Listen    => SOMAXCONN,
        ReuseAddr => 1,
    ) or die "backend $self->{name}: cannot listen on port $port: $!\n";

    $socket->blocking(0);
    return $socket;
}


sub start {
    my ($self) = @_;

    return if $self->{pid};
    close delete $self->{reserved} if $self->{reserved};

    my $main = $self->listener($self->{port});
    my $control = $self->listener(0);

    $self->{port} = $main->sockport;
    $self->{control} = $control->sockport;

    my $parent = $$;
    my $pid = fork();
    die "fork: $!\n" if !defined $pid;

    if ($pid == 0) {
        $SIG{$_} = 'DEFAULT' for qw(INT TERM HUP CHLD __DIE__ __WARN__);
        $SIG{PIPE} = 'IGNORE';
        eval {
            Harness::Backend::Server->new($self->{table}, $main, $control)
                ->serve($parent);
        };
        print STDERR "backend $self->{name} died: $@" if $@;
        POSIX::_exit($@ ? 1 : 0);
    }

    $self->{pid} = $pid;
    return;
}


sub stop {
    my ($self) = @_;

    my $pid = delete $self->{pid} or return;

    kill 'CONT', $pid;
    kill 'TERM', $pid;
    waitpid $pid, 0;

    # nobody else gets the port meanwhile: bound, but not listening
    $self->{reserved} = IO::Socket::INET->new(
        LocalAddr => $self->{address},
        LocalPort => $self->{port},
        Proto     => 'tcp',
        ReuseAddr => 1,
    );

    return;
}


sub alive {
    my ($self) = @_;
    return $self->{pid} && waitpid($self->{pid}, POSIX::WNOHANG()) == 0;
}


sub pause  { return kill 'STOP', $_[0]{pid} }
sub resume { return kill 'CONT', $_[0]{pid} }


sub control {
    my ($self, $command, @arguments) = @_;

    my $client = Harness::Client->new(port => $self->{control}, timeout => 30);
    $client->request(POST => "/$command", body => $json->encode(\@arguments),
                     close => 1);
    my $r = $client->response;

    die "backend $self->{name} does not answer: " . ($r->error || $r->status)
        . "\n" if $r->error || $r->status != 200;

    return $json->decode($r->body);
}


sub set {
    my ($self, $path, $behaviour) = @_;
    $self->control('set', $path, $behaviour);
    return;
}


sub log {
    my ($self, @path) = @_;
    return @{ $self->control('log', @path) };
}


sub count {
    my ($self, @path) = @_;
    return $self->control('count', @path);
}


sub stats { return $_[0]->control('stats') }
sub clear { $_[0]->control('clear'); return }


sub header {
    my (undef, $request, $name) = @_;
    my @values = map { $_->[1] }
        grep { lc $_->[0] eq lc $name } @{ $request->{headers} };
    return wantarray ? @values : $values[0];
}


package Harness::Backend::Server;

use strict;
use warnings;

use Errno qw(EAGAIN EINTR EWOULDBLOCK);
use IO::Compress::Gzip ();
use POSIX ();
use Socket qw(SOL_SOCKET SO_LINGER);
use Time::HiRes qw(time);

my %reasons = (
    200 => 'OK', 201 => 'Created', 204 => 'No Content',
    206 => 'Partial Content', 301 => 'Moved Permanently', 302 => 'Found',
    304 => 'Not Modified', 400 => 'Bad Request', 401 => 'Unauthorized',
    403 => 'Forbidden', 404 => 'Not Found', 429 => 'Too Many Requests',
    500 => 'Internal Server Error', 502 => 'Bad Gateway',
    503 => 'Service Unavailable', 504 => 'Gateway Timeout',
);


sub new {
    my ($class, $table, $main, $control) = @_;

    my $self = bless {
        table     => { %$table },
        listeners => { $main->fileno => [ $main, 0 ],
                       $control->fileno => [ $control, 1 ] },
        conns     => {},
        serial    => 0,
    }, $class;

    $self->clear;
    return $self;
}


sub clear {
    my ($self) = @_;

    $self->{log} = [];
    $self->{connections} = $self->{requests} = $self->{aborted} = 0;
    $self->{parallel} = $self->active;
    return 1;
}


sub serve {
    my ($self, $parent) = @_;

    while (getppid() == $parent) {

        my ($rin, $win, $timeout) = ('', '', 1);
        my $now = time();

        vec($rin, $_, 1) = 1 for keys %{ $self->{listeners} };

        for my $c (values %{ $self->{conns} }) {
            vec($rin, $c->{fd}, 1) = 1;
            vec($win, $c->{fd}, 1) = 1 if length $c->{out};

            if ($c->{wake}) {
                my $left = $c->{wake} - $now;
                $timeout = $left if $left < $timeout;
            }
        }

        my $n = select($rin, $win, undef, $timeout < 0 ? 0 : $timeout);
        ($rin, $win) = ('', '') if !defined $n || $n < 0;

        for my $fd (keys %{ $self->{listeners} }) {
            $self->accept(@{ $self->{listeners}{$fd} }) if vec($rin, $fd, 1);
        }

        $now = time();

        for my $c (values %{ $self->{conns} }) {
            $self->readable($c) if vec($rin, $c->{fd}, 1);
            $self->run($c)
                if !$c->{gone} && (vec($win, $c->{fd}, 1)
                                   || ($c->{wake} && $c->{wake} <= $now));
        }
    }
}


sub accept {
    my ($self, $listener, $control) = @_;

    while (my $socket = $listener->accept) {
        $socket->blocking(0);

        my $c = {
            socket => $socket, fd => $socket->fileno, control => $control,
            in => '', out => '', steps => [], id => ++$self->{serial},
        };

        $self->{conns}{ $c->{fd} } = $c;
        $self->{connections}++ if !$control;
    }

    return;
}


# the requests that have not ended
sub active {
    my ($self) = @_;
    return scalar grep { $_->{entry} } values %{ $self->{conns} };
}


# the connection's request has ended: "done", "aborted" or, when we broke it
# off ourselves, neither
sub ended {
    my ($self, $c, $how) = @_;

    my $entry = delete $c->{entry} or return;

    $entry->{ended} = time();
    $entry->{$how} = 1 if $how;
    $self->{aborted}++ if ($how || '') eq 'aborted';
    return;
}


sub drop {
    my ($self, $c, $reset) = @_;

    return if $c->{gone};
    $c->{gone} = 1;
    $self->ended($c);

    setsockopt($c->{socket}, SOL_SOCKET, SO_LINGER, pack('ii', 1, 0))
        if $reset;

    delete $self->{conns}{ $c->{fd} };
    close $c->{socket};
    return;
}


sub readable {
    my ($self, $c) = @_;

    my $n = sysread($c->{socket}, $c->{in}, 65536, length $c->{in});

    if (!defined $n) {
        return if $!{EAGAIN} || $!{EINTR} || $!{EWOULDBLOCK};
        $n = 0;
    }

    if ($n == 0) {
        $self->ended($c, 'aborted');
        return $self->drop($c);
    }

    return $self->next_request($c);
}


sub next_request {
    my ($self, $c) = @_;

    while (!$c->{gone} && !@{ $c->{steps} } && length $c->{in}) {

        if (!$c->{request}) {
            return if $c->{in} !~ /\r\n\r\n/;
            $c->{in} =~ s/^(.*?\r\n\r\n)//s;
            $c->{request} = $self->parse($c, $1);
        }

        my $q = $c->{request};
        my $body = $self->body($c, $q);

        if (!defined $body && !$q->{early}) {
            my $b = $self->behaviour($q);
            return if ref $b ne 'HASH' || !$b->{early};
        }

        $q->{body} = defined $body ? $body : '';
        delete $c->{request};
        $self->answer($c, $q);
    }

    return;
}


sub parse {
    my ($self, $c, $head) = @_;

    my ($first, @lines) = split /\r\n/, $head;
    my ($method, $uri, $version)
        = $first =~ m{^(\S+) (\S+)(?: HTTP/(\d\.\d))?$};

    my $q = {
        method  => defined $method ? $method : $first,
        uri     => defined $uri ? $uri : '',
        version => defined $version ? $version : '0.9',
        head    => $head,
        headers => [ map { /^([^:]*):[ \t]*(.*?)[ \t]*$/s ? [ $1, $2 ]
                                                        : [ $_, '' ] } @lines ],
        connection => $c->{id},
        number  => ++$c->{count},
        time    => time(),
        body    => '',
    };

    ($q->{path}, $q->{args}) = split /\?/, $q->{uri}, 2;
    $q->{path} = '' if !defined $q->{path};
    return $q;
}


# the body of a request, undef while it is not whole
sub body {
    my ($self, $c, $q) = @_;

    my %h = map { lc $_->[0] => $_->[1] } @{ $q->{headers} };

    if (($h{'transfer-encoding'} || '') =~ /chunked/i) {
        return if $c->{in} !~ /^((?:[0-9a-f]+\r\n.*?\r\n)*?0\r\n\r\n)/is;

        my ($in, $body) = ($c->{in}, '');
        while ($in =~ s/^([0-9a-f]+)\r\n//i) {
            my $size = hex $1;
            return if length($in) < $size + 2;
            $body .= substr($in, 0, $size, '');
            $in = substr($in, 2);
            last if $size == 0;
        }
        $c->{in} = $in;
        return $body;
    }

    my $length = $h{'content-length'} || 0;
    return if length($c->{in}) < $length;
    return substr($c->{in}, 0, $length, '');
}


sub key {
    my ($self, $path) = @_;

    return $path if exists $self->{table}{$path};

    for (my $p = $path; $p =~ s{[^/]*$}{} && length $p; chop $p) {
        return $p if exists $self->{table}{$p};
    }

    return '*';
}


sub behaviour {
    my ($self, $q) = @_;
    return $self->{table}{ $self->key($q->{path}) };
}


sub answer {
    my ($self, $c, $q) = @_;

    if ($c->{control}) {
        $c->{steps} = $self->command($q);
        return $self->run($c);
    }

    $self->{requests}++;
    $c->{entry} = $q;
    push @{ $self->{log} }, $q;
    shift @{ $self->{log} } if @{ $self->{log} } > 20000;

    my $active = $self->active;
    $self->{parallel} = $active if $active > $self->{parallel};

    my $b = $self->behaviour($q);

    if (ref $b eq 'ARRAY') {
        $b = @$b > 1 ? shift @$b : $b->[0];
    }

    $b = $b->($q) if ref $b eq 'CODE';
    $b = { status => 404, body => '{"error":"not found"}' } if !defined $b;
    $b = { body => $b } if !ref $b;

    $c->{steps} = $b->{steps} ? [ @{ $b->{steps} } ] : script($b, $q);
    $self->run($c);
    return;
}


# the steps of a behaviour
sub script {
    my ($b, $q) = @_;

    my @steps;
    push @steps, [ wait => $b->{delay} ] if $b->{delay};

    if ($b->{action}) {
        return [ @steps, [ $b->{action} ] ];
    }

    if (defined $b->{raw}) {
        push @steps, [ send => $b->{raw} ], [ 'done' ],
            [ $b->{after} || 'close' ];
        return \@steps;
    }

    my ($head, $body, $close) = response($b, $q);

    if ($b->{drip_all}) {
        push @steps, [ drip => $head, $b->{drip}, $b->{drip_bytes} || 1 ];
    } else {
        push @steps, [ send => $head ];
    }

    push @steps, [ wait => $b->{body_delay} ] if $b->{body_delay};

    if ($b->{drip}) {
        push @steps, [ drip => $body, $b->{drip}, $b->{drip_bytes} || 1 ];

    } elsif (length $body) {
        push @steps, [ send => $body ];
    }

    return [ @steps, [ repeat => $b->{endless} ] ] if defined $b->{endless};

    my $after = $b->{after} || (defined $b->{cut} || $close ? 'close' : 'keep');
    push @steps, [ 'done' ] if !defined $b->{cut} && $after ne 'hang';
    push @steps, [ $after ];

    return \@steps;
}


sub response {
    my ($b, $q) = @_;

    my $status = $b->{status} || 200;
    my $body = defined $b->{body} ? $b->{body} : '';
    my @headers = @{ $b->{headers} || [] };
    my $close = $b->{close} || !keeps($b, $q);

    $body x= $b->{repeat} if $b->{repeat};

    if ($b->{gzip}) {
        my $plain = $body;
        IO::Compress::Gzip::gzip(\$plain => \$body, -Minimal => 1);
        push @headers, 'Content-Encoding' => 'gzip';
    }

    my $bare = $status == 204 || $status == 304;
    my $type = exists $b->{type} ? $b->{type} : 'application/json';
    unshift @headers, 'Content-Type' => $type if defined $type && !$bare;

    if ($b->{chunked}) {
        my @chunks = ref $b->{chunked} ? @{ $b->{chunked} } : ($body);
        $body = join '', map { sprintf("%x\r\n%s\r\n", length, $_) }
            grep { length } @chunks;
        $body .= "0\r\n\r\n" if !defined $b->{endless};
        push @headers, 'Transfer-Encoding' => 'chunked';

    } elsif (exists $b->{length} ? defined $b->{length}
             : !$bare && !defined $b->{endless})
    {
        push @headers, 'Content-Length' =>
            exists $b->{length} ? $b->{length} : length $body;

    } elsif (!$bare) {
        $close = 1;
    }

    push @headers, 'Connection' => $close ? 'close' : 'keep-alive';

    my $head = sprintf "HTTP/%s %03d %s\r\n", $b->{version} || '1.1', $status,
        defined $b->{reason} ? $b->{reason} : $reasons{$status} || 'Status';

    while (my ($name, $value) = splice(@headers, 0, 2)) {
        $head .= "$name: $value\r\n";
    }

    $body = '' if $bare || $q->{method} eq 'HEAD';
    $body = substr($body, 0, $b->{cut}) if defined $b->{cut};

    return ("$head\r\n", $body, $close);
}


sub keeps {
    my ($b, $q) = @_;

    my $connection = join ',', map { lc $_->[1] }
        grep { lc $_->[0] eq 'connection' } @{ $q->{headers} };

    return $q->{version} eq '1.1' ? $connection !~ /close/
        : $b->{keepalive} || $connection =~ /keep-alive/;
}


# runs a connection's steps as far as they go now
sub run {
    my ($self, $c) = @_;

    while (!$c->{gone}) {
        return if !$self->flush($c);

        if ($c->{wake}) {
            return if time() < $c->{wake};
            delete $c->{wake};
        }

        my $step = $c->{steps}[0] or return $self->next_request($c);
        my ($what, @a) = @$step;

        if ($what eq 'send') {
            $c->{out} = $a[0];
            shift @{ $c->{steps} };

        } elsif ($what eq 'wait') {
            $c->{wake} = time() + $a[0];
            shift @{ $c->{steps} };

        } elsif ($what eq 'drip') {
            my $bytes = $a[0];
            $c->{out} = substr($bytes, 0, $a[2] || 1, '');

            if (length $bytes) {
                $c->{wake} = time() + $a[1];
                $c->{steps}[0] = [ 'drip', $bytes, @a[1, 2] ];
            } else {
                shift @{ $c->{steps} };
            }

        } elsif ($what eq 'repeat') {
            $c->{out} = $a[0] x (1 + int(65536 / (length($a[0]) || 1)));

        } elsif ($what eq 'hang') {
            return;

        } elsif ($what eq 'done') {
            $self->ended($c, 'done');
            shift @{ $c->{steps} };

        } elsif ($what eq 'keep') {
            shift @{ $c->{steps} };

        } else {
            return $self->drop($c, $what eq 'reset');
        }
    }

    return;
}


# false while there is something unsent
sub flush {
    my ($self, $c) = @_;

    while (length $c->{out}) {
        my $n = syswrite($c->{socket}, $c->{out});

        if (!defined $n) {
            return 0 if $!{EAGAIN} || $!{EINTR} || $!{EWOULDBLOCK};

            $self->ended($c, 'aborted');
            $self->drop($c);
            return 0;
        }

        $c->{entry}{first} ||= time() if $c->{entry};
        substr($c->{out}, 0, $n, '');
    }

    return 1;
}


sub command {
    my ($self, $q) = @_;

    my @a = @{ $json->decode($q->{body} || '[]') };
    my $what = substr $q->{path}, 1;
    my @log = @a ? grep { $_->{path} eq $a[0] } @{ $self->{log} }
                 : @{ $self->{log} };
    my $value;

    if ($what eq 'set') {
        $self->{table}{ $a[0] } = $a[1];
        $value = 1;

    } elsif ($what eq 'clear') {
        $value = $self->clear;

    } elsif ($what eq 'log') {
        $value = \@log;

    } elsif ($what eq 'count') {
        $value = scalar @log;

    } elsif ($what eq 'stats') {
        $value = {
            open => scalar(grep { !$_->{control} } values %{ $self->{conns} }),
            active => $self->active,
            map { $_ => $self->{$_} }
                qw(connections requests aborted parallel),
        };
    }

    my $text = $json->encode($value);

    return [ [ send => "HTTP/1.1 200 OK\r\nContent-Length: " . length($text)
                       . "\r\n\r\n$text" ], [ 'close' ] ];
}


1;
