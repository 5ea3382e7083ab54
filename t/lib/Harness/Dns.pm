package Harness::Dns;

# A name server with one address for all names, as a file has it.
#
#     my $dns = Harness::Dns->new($t->port('dns'), "$dir/address");
#
#     $t->write_file('address', "127.0.0.1\n");
#     $t->write_file('address', "-\n");              there is none
#
# It ends with the object.

use strict;
use warnings;

use IO::Socket::INET;
use POSIX ();


sub new {
    my ($class, $port, $file) = @_;

    my $pid = fork();
    die "fork: $!" if !defined $pid;

    serve($port, $file) if !$pid;
    return bless { pid => $pid, parent => $$ }, $class;
}


sub serve {
    my ($port, $file) = @_;

    $SIG{$_} = 'DEFAULT' for qw(INT TERM HUP ALRM);

    my $s = IO::Socket::INET->new(Proto => 'udp', LocalAddr => '127.0.0.1',
        LocalPort => $port) or POSIX::_exit(1);

    while (defined $s->recv(my $q, 512)) {
        my ($id) = unpack('n', $q);
        my $end = 12 + index(substr($q, 12), "\0") + 1;
        my $type = unpack('n', substr($q, $end, 2));
        open(my $f, '<', $file) or next;
        chomp(my $ip = <$f>);
        my $found = $ip ne '-' && $type == 1;
        $s->send(pack('n6', $id, $ip eq '-' ? 0x8183 : 0x8180, 1, $found, 0,
                      0)
            . substr($q, 12, $end - 12 + 4)
            . ($found ? pack('n3Nn', 0xc00c, 1, 1, 1, 4)
                        . pack('C4', split(/\./, $ip)) : ''));
    }

    POSIX::_exit(0);
}


sub DESTROY {
    my ($self) = @_;

    return if $self->{parent} != $$;

    local ($?, $!);
    kill 'KILL', $self->{pid};
    waitpid $self->{pid}, 0;
    return;
}


1;
