package Harness::Redis;

# A real redis-server for a test.
#
#     my $redis = Harness::Redis->new($t, 'redis', '--requirepass', 'x');
#     $redis->start;                 (more options may follow)
#     $redis->call('SET', 'a', 1);   one command: a scalar, an array, undef for
#                                    nil; '' when it is not reached
#     $redis->signal('STOP');        and so on
#     $redis->kill; $redis->start;
#
# port: $t->port(NAME), or that of address(HOST, PORT).  user and password are
# set by login(..), database by select(N).  sentinel => FILE starts it as a
# sentinel.  The server ends with the test.

use strict;
use warnings;

use IO::Socket::INET;
use POSIX ();

use Harness;

my @all;


sub new {
    my ($class, $t, $name, @options) = @_;

    my $self = bless {
        t       => $t,
        name    => $name,
        host    => '127.0.0.1',
        port    => $t->port($name),
        options => [ @options ],
        login   => [],
    }, $class;

    $self->{dir} = $t->testdir . "/redis-$name";
    mkdir($self->{dir});

    push @all, $self;

    return $self;
}


sub port { return $_[0]{port} }


# another address than that of this name
sub address {
    my ($self, $host, $port) = @_;
    @{$self}{qw(host port)} = ($host, $port);
    return $self;
}


sub login {
    my ($self, @commands) = @_;
    $self->{login} = [ @commands ];
    return;
}


sub start {
    my ($self, @more) = @_;

    my @options = ('--port', $self->{port}, '--bind', $self->{host}, '--dir',
                   $self->{dir}, '--loglevel', 'notice');

    push @options, '--save', '', '--appendonly', 'no' if !$self->{file};

    my $pid = fork();
    die "fork: $!" if !defined $pid;

    if (!$pid) {
        $SIG{$_} = 'DEFAULT' for qw(INT TERM HUP ALRM);
        open(STDOUT, '>>', "$self->{dir}/log");
        open(STDERR, '>&', \*STDOUT);
        exec('redis-server', $self->{file} || (), @options,
             @{ $self->{options} }, @more, $self->{file} ? '--sentinel' : ())
            or POSIX::_exit(1);
    }

    $self->{pid} = $pid;

    return wait_for(sub { ($self->call('PING') || '') eq 'PONG' }, slow(10));
}


# a sentinel: it writes into its file
sub sentinel {
    my ($self, $text) = @_;

    $self->{file} = "$self->{dir}/conf";

    open(my $f, '>', $self->{file}) or die "$self->{file}: $!";
    print $f $text;
    close($f);

    return $self;
}


sub signal {
    my ($self, $signal) = @_;
    return kill($signal, $self->{pid});
}


sub kill_it {
    my ($self) = @_;

    my $pid = delete $self->{pid} or return;

    kill('CONT', $pid);
    kill('KILL', $pid);
    waitpid($pid, 0);

    return;
}


# one command on a connection of its own

sub call {
    my ($self, @command) = @_;

    my $s = IO::Socket::INET->new(PeerAddr => $self->{host},
        PeerPort => $self->{port}, Timeout => 2) or return '';
    my $reply;

    local $SIG{ALRM} = sub { die "late\n" };
    my $left = alarm(slow(5));

    eval {
        for my $c (@{ $self->{login} }, \@command) {
            print $s "*" . @$c . "\r\n",
                map { '$' . length($_) . "\r\n$_\r\n" } @$c;
            $reply = reply($s);
        }
        1;
    } or $reply = '';

    alarm($left);

    return $reply;
}


sub reply {
    my ($s) = @_;

    my $line = <$s>;
    die "closed\n" if !defined $line;

    $line =~ s/\r\n\z//;
    my $type = substr($line, 0, 1, '');

    return $line if $type =~ /[+:]/;
    return "-$line" if $type eq '-';
    return if $line < 0;
    return [ map { scalar reply($s) } 1 .. $line ] if $type eq '*';

    my $data = '';
    while (length($data) < $line + 2) {
        read($s, $data, $line + 2 - length($data), length($data))
            or die "closed\n";
    }

    return substr($data, 0, $line);
}


END {
    local $?;
    $_->kill_it for @all;
}

1;
