#!/usr/bin/perl

# A Redis that answers anything but what it should: every request is served.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;
use IO::Select;
use IO::Socket::INET;
use Time::HiRes qw(time sleep);

use Harness;

# what is answered to the commands after a good greeting

my %answers = (
    'nothing'          => '',
    'a line forever'   => '+' x 100_000,
    'an array'         => "*1\r\n\$1\r\na\r\n",
    'a huge value'     => "\$2000000000\r\n" . ('x' x 200_000),
    'a long value'     => "\$3000000\r\n" . ('x' x 3_000_000) . "\r\n",
    'a cut value'      => "\$1000\r\nabc",
    'no entry'         => "\$3\r\nabc\r\n",
    'a false entry'    => "\$100\r\nAGC\1\1" . ("\xff" x 95) . "\r\n",
    'HTTP'             => "HTTP/1.1 400 Bad Request\r\n\r\n",
    'too many replies' => "+OK\r\n" x 1000,
    'an error'         => "-ERR no\r\n",
    'LOADING'          => "-LOADING Redis is loading\r\n",
    'a status'         => "+OK\r\n",
    'a close'          => undef,
);

my @names = sort keys %answers;

my $t = Harness->new(plan => 3 * @names + 2);

$t->port(0);

my $api = $t->backend('api',
    '/' => { body => 'right', headers => [ 'Cache-Control' => 'max-age=60' ] });

my $port = $t->port('redis');

my $conf = <<'EOF';

%%GLOBALS%%

worker_processes  1;

events {
}

http {
    %%HTTP%%

    aggregate_cache_zone  api 4m;

    aggregate_redis fleet {
        server   127.0.0.1:%%PORT_redis%%;
        timeout  100ms;
    }

    server {
        listen       127.0.0.1:%%PORT_0%%;
        server_name  localhost;

        location / {
            aggregate_cache  api redis=fleet;
            proxy_pass       http://127.0.0.1:%%PORT_api%%;
        }

        location = /state {
            aggregate_cache_status;
        }
    }
}

EOF

my $pid;

# PING is greeted, a link finds a stream; what follows is the script's

sub start {
    my ($answer) = @_;

    my $listen = IO::Socket::INET->new(LocalAddr => '127.0.0.1',
        LocalPort => $port, Listen => 64, ReuseAddr => 1) or die "listen: $!";

    $pid = fork();
    die "fork: $!" if !defined $pid;

    if ($pid) {
        close($listen);
        return;
    }

    $SIG{PIPE} = 'IGNORE';
    $SIG{TERM} = 'DEFAULT';

    my $select = IO::Select->new($listen);

    while (1) {
        for my $s ($select->can_read) {

            if ($s == $listen) {
                my $c = $listen->accept or next;
                $select->add($c);
                next;
            }

            my $n = sysread($s, my $buf, 65536);

            if (!$n) {
                $select->remove($s);
                close($s);
                next;
            }

            while ($buf =~ /\r\n(PING|ROLE|INFO|XREAD|GET|SET)\r\n
                            |\r\nEVAL\r\n.*\{purge\}/gsx) {

                if (!defined $1) {
                    syswrite($s, "*5\r\n\$2\r\n0a\r\n\$3\r\n1-0\r\n"
                        . "\$3\r\n1-0\r\n\$1\r\n1\r\n\$1\r\n0\r\n");
                    next;
                }

                if ($1 eq 'PING') {
                    syswrite($s, "+PONG\r\n");

                } elsif ($1 eq 'ROLE') {
                    syswrite($s, "*1\r\n\$6\r\nmaster\r\n");

                } elsif ($1 eq 'INFO') {
                    syswrite($s, "\$0\r\n\r\n");

                } elsif ($1 eq 'XREAD') {
                    syswrite($s, "*1\r\n*2\r\n\$1\r\ns\r\n*1\r\n*2\r\n"
                        . "\$3\r\n1-0\r\n*2\r\n\$4\r\nhash\r\n\$1\r\n1"
                        . "\r\n") if $buf !~ /\r\n1-0\r\n/;

                } elsif ($1 eq 'GET' || $1 eq 'SET') {

                    if (!defined $answer) {
                        $select->remove($s);
                        close($s);
                        last;
                    }

                    $s->blocking(0);
                    syswrite($s, $answer);
                }
            }
        }
    }
}

sub stop {
    kill('KILL', $pid);
    waitpid($pid, 0);
    undef $pid;
}

END { local $?; stop() if $pid }

start('');
$t->run($conf);

ok(wait_for(sub { http_get('/state')->json->{zones}{api}{redis} eq 'up' }, 5),
   'linked');

my $i = 0;

for my $name (@names) {

    stop();
    start($answers{$name});

    # asked again, whatever the one before has led to

    wait_for(sub { http_get('/again' . ++$i);
                   http_get('/state')->json->{zones}{api}{redis} eq 'up' }, 8);

    my @r = map { http_get("/$_" . ++$i) } 1 .. 12;

    is(scalar(grep { $_->status == 200 && $_->body eq 'right' } @r), 12,
       "$name: all are served");
    cmp_ok((sort { $b <=> $a } map { $_->time } @r)[0], '<', slow(0.6),
           "$name: in time");

    my $uri = "/again$i-" . $i;
    http_get($uri);
    is(http_get($uri)->header('X-Cache'), 'HIT', "$name: kept on the node");
}

cmp_ok($t->rss, '<', 200_000, 'memory');
