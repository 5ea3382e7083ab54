package Harness::Fleet;

# Two gateways, each an nginx of its own, on one backend and one real Redis.
#
#     my $f = Harness::Fleet->new(
#         plan    => 12,
#         backend => [ '/a' => 'b', ... ],     see Harness/Backend.pm
#         redis   => [ '--maxmemory', '1mb' ], options of redis-server
#         block   => 'timeout 100ms;',         statements of aggregate_redis
#         server  => 'location ...',           more of the server
#         workers => 2,
#         zone    => '8m',
#     );
#     $f->get(0, '/a', headers => [ ... ]);    the response of a gateway
#     $f->many([ 50, 50 ], '/a')               so many clients of each, at
#                                              once: the responses, and the
#                                              seconds that it took
#     my $load = $f->load('/key/');            clients that ask both for
#                                              random keys of it, whose body
#                                              is to be the URI, until
#     $f->more($load, 10);                     waits for 10 more requests
#     my $l = $f->loaded($load);               { requests, failed, slowest }
#     $f->state(0)                             what aggregate_cache_status says
#     $f->linked                               waits until both have Redis
#     $f->gateway(0), ->gateways, ->backend, ->redis
#
# The password of Redis is "s3cret", "location /" is cached.  For both
# gateways come the checks of Harness.pm at the end.

use strict;
use warnings;

use IO::Handle;
use IO::Select;
use POSIX ();
use Time::HiRes qw(time);

use Harness;
use Harness::Redis;

my $conf = <<'EOC';

%%GLOBALS%%

worker_processes  WORKERS;

events {
    worker_connections  1024;
}

http {
    %%HTTP%%

    aggregate_cache_zone  api ZONE;

    aggregate_redis fleet {
        server    127.0.0.1:REDIS;
        password  s3cret;
        prefix    f:;
        BLOCK
    }

    server {
        listen       127.0.0.1:%%PORT_0%% backlog=1024;
        server_name  localhost;

        aggregate_cache           api redis=fleet;
        aggregate_cache_key       $uri$is_args$args;
        aggregate_cache_identity  $http_x_user;
        add_header                X-Key $aggregate_cache_key;

        location / {
            proxy_pass  http://127.0.0.1:BACKEND;
        }

        location = /purge {
            aggregate_cache_purge  api redis=fleet;
        }

        location = /state {
            aggregate_cache_status;
        }

        SERVER
    }

    MORE
}

EOC


sub new {
    my ($class, %o) = @_;

    my @gateways = map { Harness->new(%{ $o{harness} || {} }) } 0, 1;
    my $t = $gateways[0];

    # five checks for the other one
    $t->plan($o{plan} + 5);
    $gateways[1]{counted} = 1;

    my $backend = $t->backend('api', @{ $o{backend} || [] });
    my $redis = Harness::Redis->new($t, 'redis', '--requirepass', 's3cret',
                                    @{ $o{redis} || [] });
    $redis->login([ AUTH => 's3cret' ]);

    my $text = $conf;
    my %v = (
        WORKERS => $o{workers} || 2,
        REDIS   => $redis->port,
        BACKEND => $backend->port,
        ZONE    => $o{zone} || '8m',
        BLOCK   => $o{block} || 'timeout ' . int(slow(200)) . 'ms;',
        SERVER  => $o{server} || '',
        MORE    => $o{http} || '',
    );

    $text =~ s/\b(SERVER|MORE)\b/$v{$1}/g;
    $text =~ s/\b(WORKERS|REDIS|BACKEND|BLOCK|ZONE)\b/$v{$1}/g;

    my $self = bless {
        gateways => \@gateways,
        backend  => $backend,
        redis    => $redis,
        text     => $text,
        ports    => [ map { $_->port(0) } @gateways ],
    }, $class;

    $redis->start or die "redis-server did not start\n";
    $_->run($text) for @gateways;

    return $self;
}


sub gateways { return @{ $_[0]{gateways} } }
sub gateway  { return $_[0]{gateways}[$_[1]] }
sub backend  { return $_[0]{backend} }
sub redis    { return $_[0]{redis} }
sub text     { return $_[0]{text} }
sub port     { return $_[0]{ports}[$_[1]] }


sub get {
    my ($self, $i, $uri, %o) = @_;
    return http_get($uri, port => $self->{ports}[$i], %o);
}


sub state {
    my ($self, $i) = @_;
    my $json = $self->get($i, '/state')->json or return {};
    return $json->{zones}{api};
}


sub linked {
    my ($self) = @_;

    return wait_for(sub {
        $self->get($_, '/linked/' . rand()) for 0, 1;
        return !grep { $self->state($_)->{redis} ne 'up' } 0, 1;
    }, slow(20));
}


sub clients {
    my ($self, $i, $n, $uri, %o) = @_;

    return map {
        my $c = $self->{gateways}[$i]->connect(port => $self->{ports}[$i],
                                               timeout => slow(30));
        $c->request(GET => $uri, close => 1, %o);
        $c;
    } 1 .. $n;
}


sub many {
    my ($self, $n, $uri, %o) = @_;

    my $start = time();
    my @clients = map { $self->clients($_, $n->[$_], $uri, %o) } 0, 1;
    my @responses = map { $_->response } @clients;

    return (time() - $start, @responses);
}


# a process for each gateway; a connection for each request

sub load {
    my ($self, $prefix, %o) = @_;

    # they go on until the other end of "until" is closed
    pipe my $in, my $out or die "pipe: $!\n";
    pipe my $until, my $end or die "pipe: $!\n";
    pipe my $ticks, my $tick or die "pipe: $!\n";
    my @pids;

    $tick->blocking(0);

    for my $i (0, 1) {
        my $pid = fork();
        die "fork: $!\n" if !defined $pid;

        if (!$pid) {
            close $in;
            close $end;
            $self->ask($i, $prefix, $out, IO::Select->new($until), $tick,
                       %o);
            POSIX::_exit(0);
        }

        push @pids, $pid;
    }

    close $out;
    close $until;

    close $tick;

    return { pids => \@pids, in => $in, end => $end, ticks => $ticks };
}


sub ask {
    my ($self, $i, $prefix, $out, $until, $tick, %o) = @_;

    my %l = (requests => 0, failed => 0, slowest => 0);
    my $why = '';

    srand($$);

    while (!$until->can_read(0)) {
        my $uri = $prefix . int(rand($o{keys} || 1000));
        my $start = time();
        my ($c) = $self->clients($i, 1, $uri);
        my $r = $c->response;

        $l{requests}++;
        syswrite($tick, '.');
        $l{slowest} = time() - $start if time() - $start > $l{slowest};

        if ($r->error || $r->status != 200 || $r->body ne $uri) {
            $l{failed}++;
            $why = " gateway $i, $uri: " . ($r->error || $r->status);
        }
    }

    syswrite($out, "$l{requests} $l{failed} $l{slowest}$why\n");
    return;
}


# what has ended before does not count

sub more {
    my ($self, $load, $n) = @_;

    my $ticks = IO::Select->new($load->{ticks});
    my $until = time() + slow(20);

    while ($ticks->can_read(0)) {
        sysread($load->{ticks}, my $data, 65536) or last;
    }

    while ($n > 0 && time() < $until && $ticks->can_read(slow(1))) {
        $n -= sysread($load->{ticks}, my $data, 1) || last;
    }

    return $n <= 0;
}


sub loaded {
    my ($self, $load) = @_;

    close $load->{end};

    my %l = (requests => 0, failed => 0, slowest => 0, why => '');
    my $in = $load->{in};

    while (my $line = <$in>) {
        my ($requests, $failed, $slowest, $why) = split ' ', $line, 4;

        $l{requests} += $requests;
        $l{failed} += $failed;
        $l{slowest} = $slowest if $slowest > $l{slowest};
        $l{why} .= $why if $why;
    }

    waitpid($_, 0) for @{ $load->{pids} };

    return \%l;
}

1;
