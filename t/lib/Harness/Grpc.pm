package Harness::Grpc;

# A gRPC server, and what a gateway needs to speak with it.
#
#     my $g = Harness::Grpc->new($t, 'grpc');     # its port is %%PORT_grpc%%
#     $g->line(5);         # what it prints next, '' after so many seconds
#     $g->stop;
#
# descriptor($t, NAME, FILE...): protoc writes NAME, a FileDescriptorSet of
#     files of t/data/grpc, into the test's directory.
# frame, field, message, settings: pieces of HTTP/2 for a Harness backend that
#     answers with raw bytes.

use strict;
use warnings;

use Exporter 'import';
use FindBin;
use IO::Select;

our @EXPORT_OK = qw(descriptor frame field message settings headers trailers
                    compile);

# FindBin is in t/, or one below
my ($tests) = grep { -d "$_/data" } $FindBin::Bin, "$FindBin::Bin/..";
my $data = "$tests/data/grpc";


sub new {
    my ($class, $t, $name, @more) = @_;

    $ENV{NODE_PATH} or die "NODE_PATH is not set: ./build.sh test does that\n";

    my $port = $t->port($name);
    my $pid = open my $out, '-|', 'node',
        "$tests/node/grpc_backend.mjs", $port, $data, @more
        or die "node: $!\n";

    my $self = bless { pid => $pid, out => $out, owner => $$ }, $class;

    my $line = $self->line(60);
    $line eq 'ready' or die "the gRPC server says \"$line\"\n";
    Harness::guard("+$pid");

    return $self;
}


sub line {
    my ($self, $seconds) = @_;
    my $until = Time::HiRes::time() + $seconds;

    $self->{text} //= '';

    while ($self->{text} !~ /\n/) {
        my $left = $until - Time::HiRes::time();
        return '' if $left <= 0;
        next if !IO::Select->new($self->{out})->can_read($left);
        sysread $self->{out}, $self->{text}, 4096, length $self->{text}
            or return '';
    }

    my ($line, $rest) = split /\n/, $self->{text}, 2;
    $self->{text} = $rest;
    return $line;
}


sub stop {
    my ($self) = @_;

    return if !$self->{pid} || $self->{owner} != $$;
    local $?;
    kill 'KILL', $self->{pid};
    waitpid $self->{pid}, 0;
    Harness::guard("-$self->{pid}");
    delete $self->{pid};
    return;
}


sub DESTROY { return $_[0]->stop }


sub descriptor {
    my ($t, $name, @files) = @_;
    my $file = $t->testdir . "/$name";

    system('protoc', "-I$data", '--include_imports',
           "--descriptor_set_out=$file", @files) == 0
        or die "protoc failed\n";

    return $file;
}


# the same of a text: compile($t, 'x.pb', TEXT, OPTION...)

sub compile {
    my ($t, $name, $text, @options) = @_;
    my $dir = $t->testdir;

    @options = ('--include_imports') if !@options;
    (my $proto = $name) =~ s/\.pb$/.proto/;
    $t->write_file($proto, $text);

    system('protoc', "-I$dir", "-I$data", @options,
           "--descriptor_set_out=$dir/$name", $proto) == 0
        or die "protoc failed\n";

    return "$dir/$name";
}


# field lines are literals without indexing

sub frame {
    my ($type, $flags, $payload, $stream) = @_;

    return substr(pack('N', length $payload), 1)
        . pack('CCN', $type, $flags, $stream // 1) . $payload;
}


sub field {
    my ($name, $value) = @_;
    return "\0" . pack('C/a*', $name) . string($value);
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


sub settings { return frame(4, 0, '', 0) }


sub headers {
    my (@fields) = @_;
    my $out = "\x88" . field('content-type', 'application/grpc');

    while (my ($name, $value) = splice @fields, 0, 2) {
        $out .= field($name, $value);
    }

    return frame(1, 4, $out);
}


sub message {
    my ($bytes, $flag) = @_;
    return frame(0, 0, pack('CN', $flag // 0, length $bytes) . $bytes);
}


sub trailers {
    my (@fields) = @_;
    my $out = '';

    while (my ($name, $value) = splice @fields, 0, 2) {
        $out .= field($name, $value);
    }

    return frame(1, 5, $out);
}


1;
