# Random configurations under random requests: what passes "nginx -t" gets a
# batch of requests of all kinds, whole, cut off, pipelined and slow, beside a
# scripted backend and a real Redis.  After each batch the worker lives, the
# log has no alert, every request has been answered, the sockets are back, and
# nginx ends within three seconds.  Some batches see a reload on their way, a
# Redis or a backend that stands still for a moment, or connections run out.
#
# TEST_NGINX_SEED and TEST_NGINX_SECONDS make it another and a longer run; a
# failing batch is made smaller for TEST_NGINX_MINIMIZE seconds, and is written
# to TEST_NGINX_FOUND.  The batches that failed once are replayed first: they
# are kept in corpus/random_conf.  TEST_NGINX_CASE runs one such file alone.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";
use Test::More;

use File::Path qw(mkpath);
use Errno qw(EAGAIN EINTR EWOULDBLOCK);
use IO::Select;
use IO::Socket::INET;
use JSON::PP ();
use Socket qw(SOL_SOCKET SO_LINGER SHUT_WR);
use Time::HiRes qw(time sleep);

use Harness;
use Harness::Grpc;
use Harness::H2;
use Harness::Random;
use Harness::RandomRequests;
use Harness::Redis;

my $seed = $ENV{TEST_NGINX_SEED} || 20261128;
my $seconds = $ENV{TEST_NGINX_SECONDS} || 20;
my $minimize = $ENV{TEST_NGINX_MINIMIZE} || 0;
my $found = $ENV{TEST_NGINX_FOUND};
my $batch = 50;

alarm(0);

my $t = Harness->new;
my @kept = sort glob "$FindBin::Bin/corpus/random_conf/*.json";

@kept = ($ENV{TEST_NGINX_CASE}) x 5 if $ENV{TEST_NGINX_CASE};

my $backend = $t->backend('b', Harness::Random::backend());
$t->write_file('www/a.json', '{"a":[1,2,3]}');
$t->write_file('www/l1.gz', "\x1f\x8b\x08\0\0\0\0\0\0\3\3\0\0\0\0\0\0\0\0\0");
$t->write_file('dav/l1', 'dav');
$t->write_file('users', "x:{PLAIN}y\n");
chmod 0777, $t->testdir . '/dav';
$t->write_file('www/l0', '{"l":0}');
$t->write_file('schema.graphql', Harness::Random::schema());
$t->write_file('documents.json', '{"a":"{ ok { id } }"}');

Harness::Grpc::descriptor($t, 'items.pb', 'items.proto');
my $grpc = Harness::Grpc->new($t, 'grpc');

system('openssl req -x509 -newkey rsa:2048 -nodes -days 9 -subj /CN=localhost'
       . " -keyout $t->{dir}/key.pem -out $t->{dir}/cert.pem 2>/dev/null") == 0
    or die "openssl failed\n";

my $dead = $t->dead_port;
my ($resumes, %resumed) = (0);
my $redis = Harness::Redis->new($t, 'redis');
$redis->start;

$t->plan(@kept + 2);

my $json = JSON::PP->new->latin1->canonical->pretty;

for my $file (@kept) {
    my $case = $json->decode($t->read_whole($file));
    my @problems = try_batch($case->{conf}, $case->{requests});

    (my $name = $file) =~ s{.*/}{};
    ok(!@problems, $name) or diag(map { "$_\n" } @problems);
}

my ($tried, $refused, $failed) = (0, 0, 0);
my $until = $ENV{TEST_NGINX_CASE} ? 0 : time() + $seconds;

for (my $n = 0; time() < $until && $failed < 5; $n++) {
    srand($seed + $n);

    my $conf = passing(Harness::Random::conf());
    my @requests = Harness::RandomRequests::requests($batch);

    if (!defined $conf) {
        $refused++;
        next;
    }

    my @problems = try_batch($conf, \@requests);
    $tried++;
    next if !@problems;

    $failed++;
    diag('seed ' . ($seed + $n) . ":\n", map { "$_\n" } @problems);

    my $requests = \@requests;
    ($conf, $requests) = smaller($conf, $requests, class(@problems))
        if $minimize;
    keep($seed + $n, $conf, $requests) if $found;
}

note("$tried configurations from seed $seed on, $refused refused");
is($failed, 0, 'no batch failed');
cmp_ok($tried, '>=', 3 * $refused, 'most configurations pass nginx -t');


# statements that nginx refuses are taken out, as often as it takes
sub passing {
    my ($conf) = @_;

    $conf =~ s/%%PORT_dead%%/$dead/g;

    for (1 .. 80) {
        my ($ok, $output) = $t->test_config($conf);
        return $conf if $ok;

        my ($line) = $output =~ /\[emerg\].* in \S*test\.conf:(\d+)/;
        $line = defined $line ? unexpanded($conf, $line)
                              : unknown($conf, $output);
        return undef if !defined $line;

        my $next = Harness::Random::without_line($conf, $line);
        $next = Harness::Random::without_line($conf, $line - 1)
            if !defined $next;
        return undef if !defined $next;
        $conf = $next;
    }

    return undef;
}


# where a variable stands whose block was taken out
sub unknown {
    my ($conf, $output) = @_;
    my ($name) = $output =~ /\[emerg\].* unknown "(\w+)" variable/ or return;
    my $n = 0;

    for my $line (split /\n/, $conf) {
        $n++;
        return $n if $line =~ /\$\Q$name\E\b/ && $line !~ /\{$/;
    }

    return;
}


# the line before its placeholders became several lines
sub unexpanded {
    my ($conf, $wanted) = @_;
    my ($n, $seen) = (0, 0);

    for my $line (split /\n/, $conf) {
        $n++;
        $seen += 1 + ($t->expand($line) =~ tr/\n//);
        last if $seen >= $wanted;
    }

    return $n;
}


# one configuration and its requests; returns what was wrong
sub try_batch {
    my ($conf, $requests) = @_;
    my @problems;

    $conf =~ s/%%PORT_dead%%/$dead/g;
    unlink map { $t->testdir . "/$_" } qw(error.log stderr.log);

    return 'it does not start' if !eval { $t->run($conf); 1 };

    my @before = $t->workers;
    my $sockets = sockets(@before);
    my $reloads = grep { ($_->{event} || '') eq 'reload' } @$requests;

    push @problems, drive($requests);

    # an old worker closes connections that have sent nothing yet, and so does
    # one that is short of them
    @problems = grep { !/^no answer/ } @problems
        if $reloads || $conf =~ /^worker_connections \d\d;/m;

    push @problems, replaced(@before) if $reloads;
    @before = $t->workers;

    # the sockets of upstreams with keepalive and of Redis may stay
    my $allowed = $sockets + 10 * @before;
    wait_for(sub { sockets(@before) <= $allowed }, slow(8))
        or push @problems, 'sockets: ' . sockets(@before)
            . " of $sockets at the start";

    my $start = time();
    my $clean = $t->stop;
    my $took = time() - $start;

    push @problems, sprintf('QUIT: it took %.1f s', $took)
        if $took > slow(3);
    push @problems, "stop: $t->{unclean}" if !$clean;
    push @problems, "workers: $t->{worker_trouble}" if $t->{worker_trouble};
    delete @{$t}{qw(unclean worker_trouble)};

    my @log = split /^/, $t->error_log;
    push @problems, map { chomp; 'log: ' . substr $_, 0, 300 }
        first(3, grep { /\[(?:alert|crit|emerg)\]|exited on signal/
                        && !allowed($_, $conf) } @log);
    push @problems, map { chomp; "report: $_" }
        first(3, grep { /Sanitizer|runtime error: / } @log,
              split /^/, $t->read_file('stderr.log'));

    my %logged = map { /\brid=(\d+)/ ? ($1 => 1) : () }
        grep { / \[(?:info|notice|warn|error)\] / } @log;

    # what it prints must not fill its pipe
    1 while $grpc->line(0.001) ne '';

    @problems = grep { !/^no answer to (\d+)/ || !$logged{$1} } @problems;

    unlink map { $t->testdir . "/$_" } qw(error.log stderr.log)
        if !@problems;
    return @problems;
}


# the workers after a reload are those that have to live, and the others end
sub replaced {
    my @old = @_;
    my @started;

    wait_for(sub { @started = $t->started(0); @started == 2 * @old }, slow(8))
        or return "workers started: @started";

    $t->{expected} = \@started;
    $t->{workers} = [ @started[@old .. $#started] ];

    return if wait_for(sub { !grep { $t->is_worker($_) } @old }, slow(8));
    return "old workers: @old";
}


# nginx's own: a file that is not there, what a client sent
sub allowed {
    my ($line, $conf) = @_;

    return $line =~ m{\[crit\] .* (?:open|stat|mkdir|rename|unlink)\(\)
                      .*?failed\ \((?:2|13|20|21|36|39):}x
        || $line =~ /\[crit\] .*pread\(\) .*Is a directory/
        || $line =~ /\[crit\] .*utimes\(\)/

        || $conf =~ /^worker_connections \d\d;/m
           && $line =~ /\d\d worker_connections are not enough/

        # the body's file is closed before "post_action" reads it
        || $conf =~ /^post_action/m
           && $line =~ /\(9: Bad file descriptor\) while sending request to/;
}


sub first {
    my ($n, @list) = @_;
    return splice @list, 0, $n;
}


sub sockets {
    my $n = 0;

    for my $pid (@_) {
        $n += grep { (readlink($_) || '') =~ /^socket/ } glob "/proc/$pid/fd/*";
    }

    return $n;
}


# all requests, a dozen at a time
sub drive {
    my ($requests) = @_;
    my @left = @$requests;
    my (@open, @problems);

    while (@left || @open) {
        while (@left && @open < 12) {
            my $q = shift @left;
            event($q->{event}), next if $q->{event};

            my $c = start($q);
            push @open, $c if $c;
        }

        resume();

        my %wanted = map { $_->{socket} => $_ } @open;
        my $read = IO::Select->new(map { $_->{socket} }
                                   grep { $_->{next} <= time() } @open);

        if ($read->count) {
            feed($wanted{$_}) for $read->can_read(0.02);
        } else {
            sleep 0.01;
        }

        my $now = time();

        for my $c (@open) {
            leave($c) if defined $c->{leaves} && $now >= $c->{leaves};
            drip($c) if $c->{out} && $now >= $c->{drips};
            $c->{done} = 'late' if !$c->{done} && $now > $c->{until};
            push @problems, judge($c) if $c->{done};
        }

        @open = grep { !$_->{done} } @open;
    }

    $_->() for values %resumed;
    %resumed = ();

    return @problems;
}


# what happens beside the requests
sub event {
    my ($event) = @_;

    $t->signal('HUP') if $event eq 'reload';
    $t->signal('USR1') if $event eq 'reopen';

    $redis->call('CLIENT', 'KILL', 'TYPE', 'normal') if $event eq 'redis_drop';

    if ($event eq 'redis_pause') {
        $redis->signal('STOP');
        $resumed{redis} = sub { $redis->signal('CONT') };

    } elsif ($event eq 'backend_pause') {
        $backend->pause;
        $resumed{backend} = sub { $backend->resume };
    }

    $resumes = time() + 0.4;
    return;
}


sub resume {
    return if !%resumed || time() < $resumes;

    $_->() for values %resumed;
    %resumed = ();
    return;
}


sub start {
    my ($q) = @_;
    my $now = time();

    my $c = { request => $q, in => '', next => 0, until => $now + slow(15) };
    $c->{leaves} = $now + $q->{delay}
        if $q->{how} !~ /^(?:wait|slow|drip|thin)$/;

    if ($q->{port} eq 'h2') {
        my $window = $q->{how} eq 'thin' ? 200 : undef;
        $c->{h2} = eval { Harness::H2->new(port => $t->port('h2'),
                                           window => $window) } or return;
        $c->{socket} = $c->{h2}{socket};
        $c->{ids} = [ map { $c->{h2}->request(@$_) } @{ $q->{streams} } ];

    } else {
        $c->{socket} = IO::Socket::INET->new(
            PeerAddr => '127.0.0.1', PeerPort => $t->port($q->{port}),
        ) or return;

        $c->{out} = $q->{raw};
        drip($c) if $q->{how} eq 'drip';
        syswrite $c->{socket}, delete $c->{out} if $q->{how} ne 'drip';
    }

    $c->{socket}->blocking(0);
    return $c;
}


# a request in a dozen pieces
sub drip {
    my ($c) = @_;
    my $n = 1 + int(length($c->{request}{raw}) / 12);

    syswrite $c->{socket}, substr $c->{out}, 0, $n, '';
    $c->{drips} = time() + 0.015;
    return;
}


sub feed {
    my ($c) = @_;
    my $slow = $c->{request}{how} eq 'slow';
    my $n = sysread $c->{socket}, my $bytes, $slow ? 500 : 65536;

    return if !defined $n && ($!{EAGAIN} || $!{EINTR} || $!{EWOULDBLOCK});

    if (!$n) {
        $c->{done} = 'closed';
        return;
    }

    $c->{next} = time() + 0.02 if $slow && length $c->{in} < 20000;
    $c->{in} .= $bytes;

    if ($c->{h2}) {
        $c->{h2}{in} .= $bytes;
        $c->{socket}->blocking(1);
        $c->{h2}->frames;
        widen($c) if $c->{request}{how} eq 'thin';
        $c->{socket}->blocking(0);

        $c->{done} = 'answered'
            if !grep { !$_->{ended} && !$_->{reset} }
                map { $c->{h2}{streams}{$_} } @{ $c->{ids} };
    }

    return;
}


# the windows of HTTP/2 by a little, and wide after a while
sub widen {
    my ($c) = @_;
    my $n = length $c->{in} < 9000 ? 150 : 0x3fff0000;

    $c->{h2}->widen($_, $n) for grep { !$c->{h2}{streams}{$_}{wide} }
        @{ $c->{ids} };
    $c->{h2}{streams}{$_}{wide} = $n > 150 for @{ $c->{ids} };
    $c->{next} = time() + 0.01;
    return;
}


sub leave {
    my ($c) = @_;
    my $how = $c->{request}{how};

    delete $c->{leaves};

    if ($how eq 'rst') {
        $c->{h2}->rst($_) for @{ $c->{ids} };

    } elsif ($how eq 'half') {
        shutdown $c->{socket}, SHUT_WR;
        return;

    } elsif ($how eq 'reset') {
        setsockopt $c->{socket}, SOL_SOCKET, SO_LINGER, pack('ii', 1, 0);
    }

    $c->{done} = 'left';
    return;
}


sub judge {
    my ($c) = @_;
    my $q = $c->{request};
    my @problems;

    push @problems, "late: request $q->{id} has no end"
        . ($q->{raw} ? ': ' . substr($q->{raw}, 0, 60) =~ s/\r\n.*//sr : '')
        if $c->{done} eq 'late';

    push @problems, "no answer to $q->{id}: "
        . substr($q->{raw}, 0, 60) =~ s/\r\n.*//sr
        if $c->{done} eq 'closed' && $c->{in} eq '' && $q->{how} eq 'wait'
            && $q->{good} && !$c->{h2};

    close $c->{socket};
    return @problems;
}


# the same failure from less

sub class {
    my ($first) = @_;

    return qr/^log: .*\Q$1\E/
        if $first =~ /^log: .*(exited on signal|open socket|[a-z]+\(\) failed
                                 |zero size buf|header already sent)/x;
    return $first =~ /^(report|late|no answer|sockets|QUIT|\w+)/
        ? qr/^\Q$1\E/ : qr/./;
}


sub smaller {
    my ($conf, $requests, $class) = @_;
    my $end = time() + $minimize;
    my $fails = sub {
        return scalar grep { /$class/ } try_batch(@_);
    };

    for (my $n = int(@$requests / 2); $n >= 1 && time() < $end;) {
        my $less = 0;

        for (my $i = 0; $i < @$requests && time() < $end;) {
            my @rest = @$requests;
            splice @rest, $i, $n;

            if (@rest && $fails->($conf, \@rest)) {
                $requests = \@rest;
                $less = 1;
            } else {
                $i += $n;
            }
        }

        $n = int($n / 2) if !$less || $n > @$requests;
    }

    for (my $n = $conf =~ tr/\n//; $n > 0 && time() < $end; $n--) {
        my $less = Harness::Random::without_line($conf, $n);
        next if !defined $less || !($t->test_config($less))[0];
        $conf = $less if $fails->($less, $requests);
    }

    return ($conf, $requests);
}


sub keep {
    my ($name, $conf, $requests) = @_;

    mkpath($found);
    open my $out, '>:raw', "$found/$name.json" or die "$found/$name: $!\n";
    print $out $json->encode({ conf => $conf, requests => $requests });
    close $out;
    diag("kept as $found/$name.json:\n$conf\n",
         map { substr($_->{raw} || $_->{event} || "h2 $_->{streams}[0][1]",
                      0, 400) . "\n" } @$requests);
    return;
}


sub Harness::read_whole {
    my ($self, $path) = @_;

    open my $in, '<:raw', $path or die "$path: $!\n";
    local $/;
    return scalar <$in>;
}
