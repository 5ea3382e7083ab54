package Bench;

# What run.pl, instr.pl and scale.pl share: scenarios, peers, the processes of
# a measurement, and one sample of it.  README.md says what is measured.

use strict;
use warnings;

use Cwd ();
use Exporter 'import';
use File::Basename qw(basename dirname);
use File::Path qw(mkpath rmtree);
use IO::Socket::INET;
use POSIX qw(:sys_wait_h);
use Time::HiRes qw(time sleep);

use Bench::Fixtures qw(write_fixtures decode canonical);

our @EXPORT = qw(%env @scenarios scenario peers peer use_peer has start stop
    stop_all backends gateway check hit sample tree syscall_pids read_file
    write_file render);

our $bench = Cwd::realpath(dirname(__FILE__) . '/..');
our $top = dirname($bench);
our $work = ($ENV{BUILD_DIR} || "$top/build") . '/bench';
our $run = "$work/run";

# all ports follow the first one: PORTS, or one whose followers are free
my $ports = $ENV{PORTS} || free_ports();
our $port = $ports;

# MODULES       directories with modules beside the distribution's
# GW_CPU        cores of the gateway under test
# LOAD_CPU      cores of the load generator, the backends and redis
# CONNS         connections at saturation; SLOW_CONNS where parts are slow
# BENCH_NICE    below 0: ahead of the machine's other work, as root
# QUIET_MAX     seconds to wait for a quiet machine before a sample
# FOREIGN_MAX   per cent of the machine that others may use in a sample
# RETRIES       further samples where they use more
our %env = (
    NGINX       => 'nginx',
    MODULES     => "$top/build",
    GW_CPU      => '0',
    LOAD_CPU    => '1',
    CONNS       => 64,
    SLOW_CONNS  => 200,
    BENCH_NICE  => 0,
    QUIET_MAX   => 2,
    FOREIGN_MAX => 15,
    RETRIES     => 0,
);

for my $name (keys %env) {
    $env{$name} = $ENV{$name} if defined $ENV{$name};
}

$ENV{PATH} .= ':/usr/local/sbin:/usr/sbin:/sbin';
$ENV{LC_ALL} = 'C';


# name, URI, expected document, further values: kind (sat: as fast as it goes;
# slow: SLOW_CONNS connections, or conns), needs, lua (the load's script),
# workers, post (a document of requests/ to send), and seconds, where a second
# is too short for all connections to be answered
my @table = (
    [ 'AGG3', '/api/user/42', 'agg3' ],
    [ 'PROXY', '/proxy/recommendations/42', 'recommendations' ],
    [ 'PROXYu', '/proxy/users/42', 'users' ],
    [ 'PROXYo', '/proxy/orders/42', 'orders' ],
    [ 'PROXYs', '/proxy/shape', 'articles' ],
    [ 'GUARD', '/guarded/recommendations/42', 'recommendations' ],
    [ 'GUARDv', '/guardedv/recommendations/42', 'recommendations' ],
    [ 'AGG3P', '/passthru/user/42', 'agg3p' ],
    [ 'AGG10', '/agg10', 'agg10' ],
    [ 'SHAPE', '/shape', 'shape' ],
    [ 'FANOUT', '/fanout/42', 'fanout' ],
    [ 'GRAPH', '/graph/42', 'graph' ],
    [ 'L1', '/l1', 'cache' ],
    [ 'STATIC', '/static', 'cache' ],
    [ 'L2', '/l2/k7', 'cache', needs => 'redis', lua => 'l2.lua' ],
    [ 'BREAKER', '/breaker', 'fallback' ],
    [ 'RETURN', '/return', 'fallback' ],
    [ 'AGG3x2', '/api/user/42', 'agg3', workers => 2 ],
    [ 'L1x2', '/l1', 'cache', workers => 2 ],
    [ 'SLOW', '/slow/user/42', 'agg3', kind => 'slow' ],
    [ 'SLOWP', '/slowp/user/42', 'agg3p', kind => 'slow' ],
    [ 'HEDGE', '/hedge/user/42', 'agg3', kind => 'slow', conns => 20,
      seconds => 10 ],
    [ 'TAIL', '/tail/user/42', 'agg3', kind => 'slow', conns => 20,
      seconds => 10 ],
    [ 'LIVE', '/api/user/42', 'agg3', kind => 'slow' ],
    [ 'DEAD', '/dead/user/42', 'agg3-degraded', kind => 'slow' ],
    [ 'DEADb', '/deadb/user/42', 'agg3-degraded', kind => 'slow' ],
    [ 'HANG', '/hang/user/42', 'agg3-degraded', kind => 'slow' ],
    [ 'SYN', '/syn/user/42', 'agg3-degraded', kind => 'slow' ],
    [ 'MEM', '/mem', 'mem', kind => 'slow', seconds => 4 ],
    [ 'GQL1', '/graphql', 'gql1', post => 'gql1' ],
    [ 'GQL3', '/graphql', 'gql3', post => 'gql3' ],
    [ 'GQLN', '/graphql', 'gqln', post => 'gqln' ],
    [ 'GRPC1', '/v1/articles', 'grpc1', post => 'grpc1' ],
    [ 'GRPCS', '/v1/prices', 'grpcs', lines => 1 ],
);

our @scenarios = map { $_->[0] } @table;

my %scenario = map {
    my ($name, $uri, $expect, %o) = @$_;
    $name => { name => $name, uri => $uri, expect => $expect, kind => 'sat',
               needs => '', lua => 'load.lua', workers => 1, post => '', %o };
} @table;


# peers: directories of peers/ with the files
#     scenarios   names, one a line, with expect=NAME for another document
#     needs       apt:PACKAGE, cc:SOURCE, cmd:PROGRAM, env:VARIABLE,
#                 warm:SECONDS
# and nginx.conf, or "command" with the command line of another gateway

sub peers { return map { basename($_) } grep { -d } glob("$bench/peers/*") }


sub peer {
    my ($name) = @_;

    my %peer = (name => $name, dir => "$bench/peers/$name", warm => 1);
    die "no peer $name\n" if !-d $peer{dir};

    for (split /\n/, read_file("$peer{dir}/scenarios")) {
        my ($scenario, %o) = split /[\s=]+/;
        $peer{scenarios}{$scenario} = \%o;
    }

    for (split /\n/, read_file("$peer{dir}/needs")) {
        my ($kind, $what) = /^(\w+):(\S+)$/ or next;

        $peer{warm} = $what if $kind eq 'warm';
        push @{ $peer{apt} }, $what if $kind eq 'apt';
        $peer{source} = "$peer{dir}/$what" if $kind eq 'cc';
        $peer{missing} = "no $what in PATH"
            if $kind eq 'cmd' && !grep { -x "$_/$what" } split /:/, $ENV{PATH};
        $peer{missing} = "\$$what is not set"
            if $kind eq 'env' && !$ENV{$what};
    }

    return \%peer;
}


sub has {
    my ($peer, $name) = @_;
    return $peer->{scenarios}{$name};
}


sub scenario {
    my ($name, $peer) = @_;
    my $scenario = $scenario{$name} or die "no scenario $name\n";
    return { %$scenario, %{ $peer->{scenarios}{$name} || {} } };
}


# files


sub read_file {
    my ($path) = @_;

    open my $in, '<:raw', $path or return '';
    local $/;
    my $text = <$in>;
    close $in;
    return defined $text ? $text : '';
}


sub write_file {
    my ($path, $text) = @_;

    open my $out, '>:raw', $path or die "$path: $!\n";
    print $out $text;
    close $out or die "$path: $!\n";
    return;
}


sub render {
    my ($text, %value) = @_;

    $value{FIXTURES} = "$work/fixtures";
    $value{WORK} = $work;
    $value{NODE} = $ENV{BENCH_NODE_PATH};
    $value{KRAKEND} = $ENV{BENCH_KRAKEND};
    $value{TAILCALL} = $ENV{BENCH_TAILCALL};
    $text =~ s/\b22([012]\d\d)\b/$ports + $1/ge;
    $text =~ s/\@([A-Z]+)\@/defined $value{$1} ? $value{$1} : "\@$1\@"/ge;
    return $text;
}


# processes: all that is started here ends with us

my @running;
my $autogroup;

$SIG{$_} = sub { exit 130 } for qw(INT TERM HUP);


sub ahead {
    my ($nice) = @_;

    open my $f, '+<', '/proc/self/autogroup' or return;
    my ($before) = <$f> =~ /nice (-?\d+)/;
    return if !defined $before;
    syswrite $f, "$nice\n";
    close $f;
    return $before;
}


sub start {
    my ($cpus, $log, @command) = @_;

    my $pid = fork;
    die "fork: $!\n" if !defined $pid;

    if (!$pid) {
        open STDIN, '<', '/dev/null';
        open STDOUT, '>', "$run/$log.log";
        open STDERR, '>&', \*STDOUT;
        POSIX::nice($env{BENCH_NICE}) if $env{BENCH_NICE};
        exec 'taskset', '-c', $cpus, @command or POSIX::_exit(127);
    }

    push @running, $pid;
    return $pid;
}


sub stop {
    my ($pid) = @_;

    return if !$pid || !kill 'TERM', $pid;

    my @all = tree($pid);

    for (1 .. 1000) {
        last if waitpid($pid, WNOHANG);
        sleep 0.02;

        # nginx without a master may have missed one
        kill 'TERM', $pid if $_ % 50 == 0;
        kill 'KILL', @all if $_ == 900;
    }

    @running = grep { $_ != $pid } @running;
    return;
}


sub stop_all {
    my @all = reverse @running;
    stop($_) for @all;
    return;
}


END {
    my $status = $?;
    stop_all();
    ahead($autogroup) if defined $autogroup;
    $? = $status;
}


# a process and all below it
sub tree {
    my @found;

    for my $pid (@_) {
        push @found, $pid;
        push @found, tree(split ' ',
            read_file("/proc/$pid/task/$pid/children"));
    }

    return @found;
}


# seconds of CPU of a process tree, all threads, from the scheduler's counters
sub cpu_time {
    my $sum = 0;

    for my $pid (tree(@_)) {
        for (glob "/proc/$pid/task/*/schedstat") {
            $sum += (split ' ', read_file($_))[0] || 0;
        }
    }

    return $sum / 1e9;
}


# the largest process of a tree, at its largest, in kB
sub peak_kb {
    my $most = 0;

    for my $pid (tree(@_)) {
        my ($kb) = read_file("/proc/$pid/status") =~ /^VmHWM:\s+(\d+)/m;
        $most = $kb if $kb && $kb > $most;
    }

    return $most;
}


# of the machine, in seconds: busy, all
sub machine {
    my @t = (split ' ', read_file('/proc/stat'))[1 .. 8];
    my $all = 0;
    $all += $_ for @t;
    my $busy = $all - $t[3] - $t[4];
    my $hz = POSIX::sysconf(POSIX::_SC_CLK_TCK());
    return ($busy / $hz, $all / $hz);
}


sub wait_quiet {
    for (1 .. $env{QUIET_MAX} * 2) {
        my @a = machine();
        sleep 0.4;
        my @b = machine();
        return if $b[1] <= $a[1] || ($b[0] - $a[0]) / ($b[1] - $a[1]) < 0.12;
    }

    return;
}


sub is_free {
    my ($p) = @_;

    return IO::Socket::INET->new(LocalAddr => '127.0.0.1', LocalPort => $p,
        Listen => 1, ReuseAddr => 1);
}


# below those that the system hands out to clients; others may look, too
sub free_ports {
    for my $i (0 .. 9) {
        my $first = 22000 + 1000 * (($$ + $i) % 10);

        return $first if !grep { !is_free($first + $_) }
            0, 101 .. 104, 111 .. 114, 121, 122, 128, 129, 144,
            150, 151, 161 .. 165, 200;
    }

    die "no free ports, PORTS=15000 takes others\n";
}


sub is_open {
    my ($p) = @_;

    return IO::Socket::INET->new(PeerAddr => "127.0.0.1:$p", Timeout => 1);
}


sub wait_port {
    my ($p, $pid) = @_;

    for (1 .. 3000) {
        return 1 if is_open($p);
        last if waitpid($pid, WNOHANG);
        sleep 0.02;
    }

    warn "nothing listens on $p, see $run\n";
    return 0;
}


# what stands behind the gateway


sub program {
    my ($source, $binary) = @_;

    return if -x $binary && -M $binary < -M $source;

    system($ENV{CC} || 'cc', '-O2', '-o', $binary, $source, '-lm') == 0
        or die "$source does not compile\n";
    return;
}


sub prepare {
    mkpath($run);
    program("$bench/backend/canned.c", "$work/canned");

    my $made = "$work/fixtures/users.json";
    write_fixtures($work)
        if !-f $made || -M $made > -M "$bench/lib/Bench/Fixtures.pm";

    $autogroup = ahead($env{BENCH_NICE})
        if $env{BENCH_NICE} && !defined $autogroup;
    return;
}


# all backends, once for a whole run
my ($backend, $redis, $grpc);


sub backends {
    prepare();

    my $first = $ports + 101;
    die "port $first is taken: PORTS=23000 takes others\n" if is_open($first);

    $backend = start($env{LOAD_CPU}, 'backend', "$work/canned",
        "$work/fixtures", map { render($_) } 22101 .. 22104, '22111+20',
        '22112+35', '22113+50', '22114+10~500', '22121+5000', '!22122');
    wait_port($first, $backend) or die "no backend\n";
    start_grpc();
    return;
}


# the descriptors of gRPC; returns the command that has made them
sub describe_grpc {
    my @protoc = ('protoc', "-I$bench/grpc", "-I$top/t/data/grpc");

    mkpath("$work/fixtures");
    system(@protoc, '--include_imports',
           "--descriptor_set_out=$work/fixtures/shop.pb", 'shop.proto') == 0
        or die "no protoc\n";

    return @protoc;
}


sub start_grpc {
    my $wire = "$work/fixtures/grpc1.bin";
    my @protoc = describe_grpc();

    my $encode = "@protoc --encode=bench.v1.Article shop.proto";
    my $message = `$encode <$bench/grpc/article.txtpb` or die "no message\n";
    write_file($wire, pack 'CN/a*', 0, $message);

    program("$bench/backend/grpc.c", "$work/grpc");
    $grpc = start($env{LOAD_CPU}, 'grpc', "$work/grpc",
        map { render($_) } "22141=$wire", "22142=$work/fixtures/grpcs.bin",
            "22143~2000=$work/fixtures/grpcs.bin");
    wait_port($ports + 141, $grpc) or die "no gRPC backend\n";
    return;
}


sub start_redis {
    return if $redis;

    mkpath("$run/redis");
    $redis = start($env{LOAD_CPU}, 'redis', 'redis-server', '--port',
        $ports + 200, '--bind', '127.0.0.1', '--save', '', '--appendonly',
        'no', '--dir', "$run/redis");
    wait_port($ports + 200, $redis) or die "no redis\n";

    my $value = read_file("$work/fixtures/cache.json");
    my $socket = is_open($ports + 200);

    for my $n (0 .. 999) {
        my $key = "bench:k$n";
        printf $socket "*3\r\n\$3\r\nSET\r\n\$%d\r\n%s\r\n\$%d\r\n%s\r\n",
            length $key, $key, length $value, $value;
        my $reply = <$socket>;
    }

    close $socket;
    return;
}


# the gateway: gateway(PEER, SCENARIO, %o) gives its pid
#     wrap    a command to run it under, without a master
#     add     lines for the server of nginx.conf
#     http    lines for its http context


sub modules_dir {
    my ($dir) = @_;

    my ($stock) = `$env{NGINX} -V 2>&1` =~ /--modules-path=(\S+)/;
    mkpath("$dir/modules");

    for my $module (map { glob "$_/*.so" } grep { defined } $stock,
                    split /:/, $env{MODULES})
    {
        my $link = "$dir/modules/" . basename($module);
        unlink $link;
        symlink Cwd::realpath($module), $link;
    }

    return;
}


# the files of a peer, with the paths filled in, in a directory of its own
sub lay_out {
    my ($peer, $scenario, %o) = @_;

    my $dir = $run . '/' . ($o{name} || 'gateway');

    rmtree($dir);
    mkpath("$dir/tmp");

    for my $file (glob("$bench/common/*"), glob("$peer->{dir}/*")) {
        my $text = render(read_file($file), DIR => $dir,
                          WORKERS => $scenario->{workers});

        $text =~ s/127\.0\.0\.1:$ports\b/127.0.0.1:$port/g;

        if ($file =~ m{/nginx\.conf$}) {
            $text =~ s/^http \{\n/$&    $o{http}\n/m if $o{http};
            $text =~ s/^ +listen .*\n/$&        $o{add}\n/m if $o{add};
        }

        write_file("$dir/" . basename($file), $text);
    }

    modules_dir($dir) if -f "$dir/nginx.conf";
    return $dir;
}


sub gateway {
    my ($peer, $scenario, %o) = @_;

    die "port $port is taken\n" if is_open($port);
    start_redis() if $scenario->{needs} eq 'redis';
    program($peer->{source}, "$work/$peer->{name}") if $peer->{source};

    my $dir = lay_out($peer, $scenario, %o);
    my @command = -f "$dir/nginx.conf"
        ? ($env{NGINX}, '-p', $dir, '-c', 'nginx.conf', '-e',
           "$dir/error.log")
        : split ' ', render(read_file("$dir/command"), DIR => $dir);

    push @command, '-g', 'daemon off;' . ($o{wrap} ? 'master_process off;'
                                                   : '')
        if $command[0] eq $env{NGINX};

    my $cpus = $scenario->{workers} == 1 ? $env{GW_CPU}
                                         : "$env{GW_CPU},$env{LOAD_CPU}";
    my $pid = start($cpus, $o{name} || 'gateway', @{ $o{wrap} || [] },
                    @command);

    return $pid if wait_port($port, $pid);
    stop($pid);
    return;
}


# a client: one connection, one request at a time


sub receive {
    my ($socket) = @_;

    my ($length, $status, $chunked);

    while (defined(my $line = <$socket>)) {
        $status = $1 if $line =~ m{^HTTP/1\.1 (\d+)};
        $length = $1 if $line =~ /^Content-Length: (\d+)/i;
        $chunked = 1 if $line =~ /^Transfer-Encoding: chunked/i;
        last if $line =~ /^\r?$/;
    }

    return if !defined $status;

    my $body = '';

    while ($chunked || defined $length) {
        my $size = $length;
        ($size) = map { hex } (<$socket> || '') =~ /^(\w+)/ if $chunked;
        read $socket, my $data, $size if $size;
        $body .= $data if $size;
        last if !$chunked;

        # behind the last chunk are trailers
        my $line = <$socket>;
        next if $size;
        $line = <$socket> while defined $line && $line !~ /^\r?$/;
        last;
    }

    return ($status, $body);
}


# where the body is that a scenario posts, '' where it posts none
sub posted {
    my ($scenario) = @_;
    return $scenario->{post} && "$work/requests/$scenario->{post}.json";
}


sub request {
    my ($scenario, $uri) = @_;

    my $host = "Host: 127.0.0.1:$port\r\n";
    return "GET $uri HTTP/1.1\r\n$host\r\n" if !$scenario->{post};

    my $body = read_file(posted($scenario));

    return "POST $uri HTTP/1.1\r\n${host}Content-Type: application/json\r\n"
        . 'Content-Length: ' . length($body) . "\r\n\r\n$body";
}


# N requests; returns status and body of the last
sub hit {
    my ($scenario, $n) = @_;

    my ($socket, @answer);

    for my $i (1 .. $n) {
        $socket ||= is_open($port) or return;

        my $uri = $scenario->{uri};
        $uri =~ s/k7$/'k' . $i % 1000/e if $n > 1;

        print $socket request($scenario, $uri);
        @answer = receive($socket);
        undef $socket if !@answer;
    }

    return @answer;
}


# lines or events, with an envelope or without, as one array
sub documents {
    my ($body) = @_;

    return $body if $body =~ /^\s*\[/;

    my @line = map { /^(?:data: )?(\{.+\})$/ ? decode($1) : () }
        split /\r?\n/, $body;

    return canonical([ map { $_->{result} || $_ } @line ]);
}


# whether the answer is the expected document, the order of members aside
sub check {
    my ($scenario) = @_;

    my $expected = read_file("$work/expected/$scenario->{expect}.json");
    my ($status, $body);

    for (1 .. 10) {
        local $SIG{ALRM} = sub { die "late\n" };

        my $same = eval {
            alarm 10;
            ($status, $body) = hit($scenario, 1);
            alarm 0;
            $body = documents($body) if $scenario->{lines};
            $status == 200 && canonical(decode($body)) eq $expected;
        };

        alarm 0;
        return 1 if $same;
        sleep 0.1;
    }

    write_file("$run/wrong", ($status || '') . "\n" . ($body || ''));
    return 0;
}


# load: sample(GATEWAY-PID, SCENARIO, SECONDS, CONNS, DELAY) gives a table


sub load {
    my ($scenario, $seconds, $conns, $delay) = @_;

    local $ENV{DELAY} = $delay || 0;
    local $ENV{POST} = posted($scenario);

    # wrk knows whole seconds only
    my $longer = int($seconds) + ($seconds > int($seconds));
    my $pid = start($env{LOAD_CPU}, 'wrk', 'wrk', '-t1', "-c$conns",
        "-d${longer}s", '--timeout', '10s', '-s',
        "$bench/wrk/$scenario->{lua}",
        "http://127.0.0.1:$port$scenario->{uri}");

    if ($seconds < $longer) {
        sleep $seconds;
        kill 'INT', $pid;
    }

    waitpid $pid, 0;
    @running = grep { $_ != $pid } @running;

    my ($line) = read_file("$run/wrk.log") =~ /^@ (.*)$/m;
    die read_file("$run/wrk.log") if !defined $line;

    my %got;
    @got{qw(requests us p50 p99 max errors)} = split ' ', $line;
    return \%got;
}


sub sample_once {
    my ($pid, $scenario, $seconds, $conns, $delay) = @_;

    my @behind = grep { $_ } $backend, $redis, $grpc;
    my ($gw, $back) = (cpu_time($pid), cpu_time(@behind));
    my ($busy, $all) = machine();
    my $children = (times)[2] + (times)[3];
    my $got = load($scenario, $seconds, $conns, $delay);

    $gw = cpu_time($pid) - $gw;
    $back = cpu_time(@behind) - $back;
    my $wrk = (times)[2] + (times)[3] - $children;
    my @end = machine();

    my $n = $got->{requests} || 1;
    my $time = $got->{us} / 1e6 || 1;
    my $foreign = 100 * ($end[0] - $busy - $gw - $back - $wrk)
                  / ($end[1] - $all || 1);

    return {
        %$got,
        conns   => $conns,
        seconds => sprintf('%.2f', $time),
        rps     => sprintf('%.0f', $n / $time),
        cpu_us  => sprintf('%.2f', $gw * 1e6 / $n),
        busy    => sprintf('%.0f', 100 * $gw / $time),
        load    => sprintf('%.0f', 100 * ($back + $wrk) / $time),
        peak_kb => peak_kb($pid),
        foreign => sprintf('%.0f', $foreign < 0 ? 0 : $foreign),
    };
}


# on a quiet machine, if it can be had
sub sample {
    my @o = @_;
    my $best;

    for (0 .. $env{RETRIES}) {
        wait_quiet();
        my $got = sample_once(@o);
        $best = $got if !$best || $got->{foreign} < $best->{foreign};
        last if $best->{foreign} <= $env{FOREIGN_MAX};
    }

    return $best;
}


1;
