package Harness;

# The test harness: a real nginx with our modules, a client, backends.
#
#     use strict;
#     use warnings;
#     use FindBin;
#     use lib "$FindBin::Bin/lib";
#     use Test::More;
#     use Harness;
#
#     my $t = Harness->new(plan => 2);
#
#     $t->backend('users', '/u/1' => '{"id":1}');
#     $t->write_file('www/a.json', '{}');
#     $t->run(<<'EOF');                            (or two steps: conf, run)
#     %%GLOBALS%%
#     events { }
#     http {
#         %%HTTP%%
#         server {
#             listen       127.0.0.1:%%PORT_0%%;
#             server_name  localhost;
#             location / { proxy_pass http://127.0.0.1:%%PORT_users%%; }
#         }
#     }
#     ...
#     my $r = http_get('/u/1');
#     is($r->status, 200, 'status');
#     is($r->body, '{"id":1}', 'body');
#
# The plan counts the test's own checks.  At the end of each test come five
# more: nginx stopped cleanly and in time, the workers lived, no [alert],
# [crit], [emerg] in the error log, no report of a sanitizer, no death by a
# signal.  What a test provokes on purpose it has to allow: allow_log(qr/../),
# allow_worker_exit.
#
# Placeholders: %%PORT_x%% is a free port, the same for the same x, or the one
# of the backend named x; %%TESTDIR%% the test's directory; %%GLOBALS%% the
# module lines, user, pid and error log; %%HTTP%% access log and temp paths.
#
# Environment: TEST_NGINX_BINARY, TEST_NGINX_MODULES (a directory; by default
# build/ of this tree), TEST_NGINX_GLOBALS (further lines for %%GLOBALS%%),
# TEST_NGINX_LEAVE (keeps the directory and says where), TEST_NGINX_VERBOSE
# (shows requests and responses), TEST_NGINX_SLOW (a factor for all timeouts,
# for sanitizers and valgrind).
#
# new(plan => N, modules => [names], log_level => 'info'):
#     modules: by default all that are built; [] for the bare nginx.
#
# nginx      conf(TEXT), run([TEXT]), reload([TEXT]), stop, restart, testdir,
#            test_config(TEXT) -> (ok, output): nginx -t, not run
#            port(x), dead_port (refuses connections), pid, workers (pids)
# files      write_file(NAME, TEXT), read_file(NAME)
# logs       error_log, access_log, grep_log(qr//) -> lines,
#            wait_log(qr//), mark_log: grep_log and wait_log look from here on
# worker     fds, rss (KB; sums over the workers), signal('HUP'),
#            stub_status(URI) -> hash: active accepts handled requests reading
#            writing waiting (its own connection counts)
# backends   backend(NAME, TABLE): see Harness/Backend.pm
# client     connect(%o): see Harness/Client.pm
#
# Exported: http_get(URI, %o), http_request(METHOD, URI, %o), http(RAW, %o):
#     one request on a connection of its own, "Connection: close" added unless
#     close => 0; %o as in Harness::Client->request, and port, timeout.
# wait_for(CODE, SECONDS): true as soon as CODE returns true, else false.
# slow(T): T times TEST_NGINX_SLOW.

use strict;
use warnings;

use Cwd ();
use Exporter 'import';
use Fcntl qw(:flock);
use File::Basename qw(dirname);
use File::Path qw(mkpath);
use File::Temp ();
use IO::Socket::INET;
use POSIX qw(:sys_wait_h);
use Test::More ();
use Time::HiRes qw(time sleep);

use Harness::Backend;
use Harness::Client;

our @EXPORT = qw(http http_get http_request wait_for slow);

my $implicit = 5;
my $top = Cwd::realpath(dirname(__FILE__) . '/../..');
my $main = $$;
my @all;
my $guard;

$SIG{PIPE} = 'IGNORE';
$SIG{$_} = sub { exit 1 } for qw(INT TERM HUP);

# a test that hangs
$SIG{ALRM} = sub { print STDERR "the test takes too long\n"; exit 1 };
alarm(300 * ($ENV{TEST_NGINX_SLOW} || 1));


sub new {
    my ($class, %o) = @_;

    my $self = bless {
        o        => \%o,
        ports    => {},
        backends => {},
        allowed  => [],
        mark     => 0,
        dir      => File::Temp::tempdir('gateway-XXXXXX', TMPDIR => 1),
    }, $class;

    # a worker of another user must be able to come here
    chmod 0755, $self->{dir};

    # where an nginx of nobody's packages logs
    mkpath("$self->{dir}/logs");

    $self->{binary} = $self->find_binary;
    $self->{modules} = [ $self->find_modules ];

    push @all, $self;
    Test::More::plan(tests => $o{plan} + $implicit) if $o{plan};
    $self->{counted} = 1 if $o{plan};

    if ($ENV{TEST_NGINX_LEAVE}) {
        Test::More::diag("directory: $self->{dir}");
    } else {
        guard("dir $self->{dir}");
    }

    return $self;
}


sub find_binary {
    my ($self) = @_;

    my @places = map { "$_/nginx" } split(/:/, $ENV{PATH}),
        '/usr/sbin', '/usr/local/nginx/sbin';

    for my $binary (grep { defined } $ENV{TEST_NGINX_BINARY}, @places) {
        return $binary if -x $binary && !-d _;
        die "$binary is no program\n" if defined $ENV{TEST_NGINX_BINARY};
    }

    die "no nginx found: set TEST_NGINX_BINARY\n";
}


sub find_modules {
    my ($self) = @_;

    my $dir = $ENV{TEST_NGINX_MODULES} || "$top/build";
    my $wanted = $self->{o}{modules};

    return glob("$dir/ngx_http_*_module.so") if !$wanted;

    for my $name (@$wanted) {
        -f "$dir/$name.so"
            or die "$dir/$name.so is missing: run ./build.sh modules\n";
    }

    return map { "$dir/$_.so" } @$wanted;
}


sub version {
    my ($self) = @_;
    my ($version) = `$self->{binary} -v 2>&1` =~ m{nginx/(\d+\.\d+\.\d+)};
    return $version;
}


# older('1.19.1'): this nginx is older than that
sub older {
    my ($self, $than) = @_;

    my ($ours, $theirs) = map { sprintf '%03d%03d%03d', split /\./ }
        $self->version, $than;
    return $ours < $theirs;
}


sub testdir { return $_[0]{dir} }
sub pid     { return $_[0]{pid} }


sub plan {
    my ($self, $n) = @_;
    Test::More::plan(tests => $n + $implicit);
    $self->{counted} = 1;
    return;
}


# ports: below the range that the kernel takes for outgoing connections, each
# held by a lock for as long as the test runs

my @locks;
my $port_dir = '/tmp/nginx-test-ports';


sub free_port {
    my $low = 32768;

    if (open my $f, '<', '/proc/sys/net/ipv4/ip_local_port_range') {
        ($low) = split ' ', scalar <$f>;
    }

    my ($first, $last) = $low > 14000 ? (12000, $low - 1) : (1024, 65535);

    if (!-d $port_dir && mkdir $port_dir) {
        chmod 01777, $port_dir;
    }

    for (1 .. 1000) {
        my $port = $first + int rand($last - $first + 1);

        open my $lock, '>>', "$port_dir/$port" or next;
        chmod 0666, "$port_dir/$port";
        flock $lock, LOCK_EX | LOCK_NB or next;

        my $probe = IO::Socket::INET->new(
            LocalAddr => '0.0.0.0', LocalPort => $port, Proto => 'tcp',
            Listen    => 1,
        ) or next;

        close $probe;
        push @locks, $lock;
        return $port;
    }

    die "no free port\n";
}


sub port {
    my ($self, $name) = @_;

    $name = $self->{first_port} if !defined $name;
    die "no port in the configuration\n" if !defined $name;

    my $backend = $self->{backends}{$name};
    return $backend->port if $backend;

    $self->{first_port} = $name if !defined $self->{first_port};
    return $self->{ports}{$name} ||= free_port();
}


# bound, so that nobody else listens there, and not listening
sub dead_port {
    my ($self) = @_;

    my $socket = IO::Socket::INET->new(
        LocalAddr => '127.0.0.1', LocalPort => 0, Proto => 'tcp',
    ) or die "no dead port: $!\n";

    push @locks, $socket;
    return $socket->sockport;
}


# configuration

sub expand {
    my ($self, $text) = @_;

    my $dir = $self->{dir};
    my $user = $> == 0 ? 'user root;' : '';
    my $level = $self->{o}{log_level} || 'info';

    my $globals = join "\n",
        (map { "load_module $_;" } @{ $self->{modules} }), $user,
        "pid $dir/nginx.pid;", "error_log $dir/error.log $level;",
        $ENV{TEST_NGINX_GLOBALS} || '';

    # by default it is 100 before 1.19.10
    my $http = join "\n", 'keepalive_requests 100000;', own_paths($dir);

    $text =~ s/%%GLOBALS%%/$globals/g;
    $text =~ s/%%HTTP%%/$http/g;
    $text =~ s/%%TESTDIR%%/$dir/g;
    $text =~ s/%%PORT_(\w+)%%/$self->port($1)/ge;

    return $text;
}


sub conf {
    my ($self, $text) = @_;
    $self->write_file('nginx.conf', $self->expand($text));
    return;
}


# "nginx -t" creates and opens these, and root alone may do so where the
# installed nginx has them
sub own_paths {
    my ($dir) = @_;

    return "access_log $dir/access.log;",
        map { "${_}_temp_path $dir/temp_$_;" }
            qw(client_body proxy fastcgi uwsgi scgi);
}


sub test_config {
    my ($self, $text) = @_;

    $text = $self->expand($text);

    # on the same line: errors are looked for by their lines
    if ($text !~ /_temp_path/) {
        my $paths = join ' ', own_paths($self->{dir});
        $text =~ s/\b(http\s*\{)/$1 $paths/;
    }

    $text =~ s/^(error_log \Q$self->{dir}\E\/)error\.log/$1test.log/m;
    $self->write_file('test.conf', $text);

    my $pid = open my $out, '-|';
    die "fork: $!\n" if !defined $pid;

    if ($pid == 0) {
        open STDERR, '>&', \*STDOUT;
        $self->exec_nginx('-t', '-c', "$self->{dir}/test.conf",
                          $self->older('1.19.5') ? () : ('-e', 'stderr'));
    }

    my $output = do { local $/; <$out> };
    close $out;

    $self->{tested} .= $output;
    return ($? == 0, $output);
}


# The lines that load modules of the distribution, which are built for its
# nginx and for that alone; empty if one of them cannot be loaded.
sub load_others {
    my ($self, @names) = @_;

    my ($dir) = grep { -f "$_/$names[0].so" }
        qw(/usr/lib/nginx/modules /usr/lib64/nginx/modules);
    return '' if !$dir;

    my $load = join '', map { "load_module $dir/$_.so;\n" } @names;
    my ($loads) = $self->test_config("$load\n%%GLOBALS%%\nevents { }\n"
                                     . 'http { %%HTTP%% }');

    return $loads ? $load : '';
}


sub exec_nginx {
    my ($self, @arguments) = @_;

    $SIG{PIPE} = $SIG{INT} = $SIG{TERM} = $SIG{HUP} = 'DEFAULT';
    $ENV{ASAN_OPTIONS} ||= 'detect_odr_violation=0:detect_leaks=0';
    $ENV{UBSAN_OPTIONS} ||= 'print_stacktrace=1';

    no warnings 'exec';
    exec { $self->{binary} } $self->{binary}, '-p', $self->{dir}, @arguments;

    print STDERR "cannot run $self->{binary}: $!\n";
    POSIX::_exit(127);
}


# life of nginx

sub run {
    my ($self, $text) = @_;

    $self->conf($text) if defined $text;

    my $offset = -s "$self->{dir}/error.log" || 0;
    my $pid = fork();
    die "fork: $!\n" if !defined $pid;

    if ($pid == 0) {
        open STDIN, '<', '/dev/null';
        open STDOUT, '>>', "$self->{dir}/stderr.log";
        open STDERR, '>&', \*STDOUT;
        $self->exec_nginx('-c', "$self->{dir}/nginx.conf",
                          '-g', 'daemon off;');
    }

    guard("+$pid");

    my $gone;
    my $ready = wait_for(sub {
        $gone = waitpid($pid, WNOHANG) == $pid and return 1;
        return -s "$self->{dir}/nginx.pid"
            && $self->started($offset) >= $self->wanted_workers;
    }, slow(20));

    if (!$ready || $gone) {
        guard("-$pid") if $gone;
        $self->{pid} = $pid if !$gone;
        die "nginx did not start:\n" . $self->read_file('stderr.log')
            . join('', $self->lines_from('error.log', $offset)) . "\n";
    }

    $self->{pid} = $pid;
    $self->{offset} = $offset;
    $self->{workers} = [ $self->started($offset) ];
    $self->{expected} = [ @{ $self->{workers} } ];
    return $self;
}


sub wanted_workers {
    my ($self) = @_;

    my $conf = $self->read_file('nginx.conf');
    return $conf =~ /^\s*worker_processes\s+(\d+)/m ? $1 : 1;
}


# the pids of workers whose start the error log tells
sub started {
    my ($self, $offset) = @_;

    return map { /: start worker process (\d+)$/ ? $1 : () }
        $self->lines_from('error.log', $offset);
}


sub workers { return @{ $_[0]{workers} || [] } }


sub signal {
    my ($self, $name) = @_;
    return kill $name, $self->{pid};
}


# true when the new workers serve and the old ones take no connection any
# more; false when nginx refused the configuration
sub reload {
    my ($self, $text) = @_;

    $self->conf($text) if defined $text;

    my $offset = -s "$self->{dir}/error.log";
    my @old = $self->workers;

    $self->signal('HUP');

    my ($refused, @new);
    my $done = wait_for(sub {
        my @lines = $self->lines_from('error.log', $offset);

        $refused = grep { /\[emerg\]/ } @lines and return 1;

        @new = $self->started($offset);
        return 0 if @new < $self->wanted_workers;

        for my $pid (@old) {
            return 0 if kill(0, $pid)
                && !grep { / $pid#\d+: (gracefully shutting down|exiting)/ }
                    @lines;
        }

        return 1;
    }, slow(20));

    die "nginx did not reload within " . slow(20) . " s\n" if !$done;
    return 0 if $refused;

    $self->{workers} = \@new;
    push @{ $self->{expected} }, @new;
    return 1;
}


sub stop {
    my ($self) = @_;

    my $pid = $self->{pid} or return 1;

    $self->check_workers;
    delete $self->{pid};

    for my $try ([ QUIT => 15 ], [ TERM => 5 ], [ KILL => 5 ]) {
        my ($name, $seconds) = @$try;

        kill $name, $pid;
        my $ended = wait_for(sub { waitpid($pid, WNOHANG) == $pid },
                             slow($seconds)) or next;

        $self->{unclean} = "it took $name to stop nginx" if $name ne 'QUIT';
        $self->{unclean} ||= "nginx ended with status $?" if $?;
        last;
    }

    kill 'KILL', grep { $self->is_worker($_) } $self->workers;
    guard("-$pid");
    return !$self->{unclean};
}


# for the KILL above: pids are taken again
sub is_worker {
    my ($self, $pid) = @_;

    open my $f, '<', "/proc/$pid/cmdline" or return 0;
    return (<$f> || '') =~ /^nginx: worker process/;
}


sub check_workers {
    my ($self) = @_;

    my @started = $self->started($self->{offset});
    my @dead = grep { !kill 0, $_ } $self->workers;

    $self->{worker_trouble} ||= "workers started: @started, expected:"
        . " @{ $self->{expected} }"
        if "@started" ne "@{ $self->{expected} }";

    $self->{worker_trouble} ||= "dead workers: @dead" if @dead;
    return;
}


sub restart {
    my ($self, @text) = @_;
    $self->stop;
    return $self->run(@text);
}


sub allow_log {
    my ($self, @patterns) = @_;
    push @{ $self->{allowed} }, @patterns;
    return;
}


# for workers that a test kills, in a critical section too

sub allow_worker_exit {
    my ($self) = @_;
    $self->{worker_exit} = 1;
    $self->allow_log(qr/exited on signal 9/,
                     qr/shared memory zone "\w+" was locked by \d+/);
    return;
}


# files and logs

sub write_file {
    my ($self, $name, $text) = @_;

    my $path = "$self->{dir}/$name";
    mkpath(dirname($path));

    open my $f, '>:raw', "$path.new" or die "$path: $!\n";
    print $f $text or die "$path: $!\n";
    close $f or die "$path: $!\n";
    rename "$path.new", $path or die "$path: $!\n";

    return $path;
}


sub read_file {
    my ($self, $name) = @_;
    return join '', $self->lines_from($name, 0);
}


sub lines_from {
    my ($self, $name, $offset) = @_;

    open my $f, '<:raw', "$self->{dir}/$name" or return;
    seek $f, $offset || 0, 0;
    return <$f>;
}


# the text of a file, once it has what is wanted: a log may have a line only
# after its client has the response
sub read_when {
    my ($self, $name, $pattern) = @_;
    my $text;

    wait_for(sub { ($text = $self->read_file($name)) =~ $pattern }, slow(5));
    return $text;
}


sub error_log  { return $_[0]->read_file('error.log') }
sub access_log { return $_[0]->read_file('access.log') }


sub mark_log {
    my ($self) = @_;
    $self->{mark} = -s "$self->{dir}/error.log" || 0;
    return;
}


sub grep_log {
    my ($self, $pattern) = @_;
    return grep { /$pattern/ } $self->lines_from('error.log', $self->{mark});
}


sub wait_log {
    my ($self, $pattern, $seconds) = @_;
    return wait_for(sub { scalar(() = $self->grep_log($pattern)) },
                    $seconds || slow(5));
}


# the workers from outside

sub fds {
    my ($self) = @_;
    my $n = 0;
    $n += () = glob "/proc/$_/fd/*" for $self->workers;
    return $n;
}


sub rss {
    my ($self) = @_;
    my $n = 0;

    for my $pid ($self->workers) {
        open my $f, '<', "/proc/$pid/status" or next;
        /^VmRSS:\s+(\d+)/ and $n += $1 while <$f>;
    }

    return $n;
}


sub stub_status {
    my ($self, $uri) = @_;
    my %status;

    @status{qw(active accepts handled requests reading writing waiting)}
        = http_get($uri)->body =~ /(\d+)/g;

    return \%status;
}


# backends and the client

sub backend {
    my ($self, $name, @table) = @_;

    die "two backends named $name\n" if $self->{backends}{$name};
    die "port $name is taken already\n" if $self->{ports}{$name};

    return $self->{backends}{$name}
        = Harness::Backend->new(name => $name, table => {@table});
}


sub connect {
    my ($self, %o) = @_;

    return Harness::Client->new(
        port    => $o{port} || $self->port,
        timeout => $o{timeout} || slow(10),
        ($o{path} ? (path => $o{path}) : ()),
    );
}


sub http {
    my ($raw, %o) = @_;

    my $c = $all[-1]->connect(%o);
    show('>', $raw);
    $c->send($raw);

    my ($method) = $raw =~ /^([A-Z]+)/;
    my $r = $c->response(method => $method);
    show('<', $r->head . $r->body);

    $c->close;
    return $r;
}


sub http_request {
    my ($method, $uri, %o) = @_;

    my $close = exists $o{close} ? $o{close} : 1;
    return http(Harness::Client::format_request($method, $uri, %o,
                                                close => $close), %o);
}


sub http_get {
    my ($uri, %o) = @_;
    return http_request('GET', $uri, %o);
}


sub show {
    my ($mark, $text) = @_;

    return if !$ENV{TEST_NGINX_VERBOSE};
    $text = substr($text, 0, 2000) . '...' if length $text > 2000;
    $text =~ s/\r\n/\n/g;
    Test::More::note("$mark $_") for split /\n/, $text;
    return;
}


sub slow {
    my ($seconds) = @_;
    return $seconds * ($ENV{TEST_NGINX_SLOW} || 1);
}


sub wait_for {
    my ($code, $seconds) = @_;

    my $until = time() + (defined $seconds ? $seconds : slow(5));
    my $value;

    until ($value = $code->()) {
        return $value if time() > $until;
        sleep 0.01;
    }

    return $value;
}


# a process that outlives the test, should that be killed: it ends what the
# test started, and removes its directory

sub guard {
    my ($message) = @_;

    if (!$guard) {
        pipe my $in, $guard or die "pipe: $!\n";
        my $pid = fork();
        die "fork: $!\n" if !defined $pid;

        if ($pid == 0) {
            close $guard;
            watch($in);
            POSIX::_exit(0);
        }

        close $in;
        $guard->autoflush(1);
    }

    print $guard "$message\n";
    return;
}


sub watch {
    my ($in) = @_;

    $SIG{$_} = 'IGNORE' for qw(INT TERM HUP QUIT);
    open STDOUT, '>', '/dev/null';
    open STDERR, '>', '/dev/null';

    my (%running, @dirs);

    while (<$in>) {
        push @dirs, $1 if /^dir (.+)/;
        $running{$1} = 1 if /^\+(\d+)/;
        delete $running{$1} if /^-(\d+)/;
    }

    for my $name (qw(TERM KILL)) {
        kill $name, keys %running;
        sleep 1 if $name eq 'TERM' && %running;
    }

    File::Path::rmtree($_) for @dirs;
    return;
}


# the end

sub finish {
    my ($self) = @_;

    $self->stop;

    my @lost = grep { !$_->alive } grep { $_->{pid} }
        values %{ $self->{backends} };
    $_->stop for values %{ $self->{backends} };

    return if !$self->{counted};

    my @log = $self->lines_from('error.log', 0);
    my @other = map { $self->lines_from($_, 0) } qw(stderr.log test.log);
    my @alerts = grep { /\[(?:alert|crit|emerg)\]/ } @log;

    # an nginx that is older than the OpenSSL it is built with
    $self->allow_log(qr/SSL_read\(\) failed \(SSL: error:0A000126:/)
        if ($self->version || '9') =~ /^1\.1/;

    for my $allowed (@{ $self->{allowed} }) {
        @alerts = grep { !/$allowed/ } @alerts;
    }

    # lua's own errors have the same two words
    my $reports = qr/Sanitizer|(?<!aborted: )runtime error: /;

    verdict('clean stop', $self->{unclean},
            map { "backend $_->{name} died" } @lost);
    verdict('workers lived', $self->{worker_exit} ? undef
                                                  : $self->{worker_trouble});
    verdict('no alerts', @alerts);
    verdict('no sanitizer reports',
            grep { /$reports/ } @log, @other, $self->{tested} || '');
    verdict('no death by a signal', $self->{worker_exit} ? undef
                        : grep { /exited on signal/ } @log);
    return;
}


sub verdict {
    my ($name, @troubles) = @_;

    @troubles = grep { defined } @troubles;
    splice @troubles, 20 if @troubles > 20;

    Test::More::ok(!@troubles, $name) or Test::More::diag(@troubles);
    return;
}


sub remove {
    my ($self) = @_;

    if ($self->{broken} || !Test::More->builder->is_passing) {
        my @log = grep { /\[(?:warn|error|crit|alert|emerg)\]/ }
            $self->lines_from('error.log', 0);
        splice @log, 0, @log - 15 if @log > 15;
        Test::More::diag("the end of the error log:\n", @log) if @log;
    }

    File::Path::rmtree($self->{dir}) if !$ENV{TEST_NGINX_LEAVE};
    return;
}


END {
    if ($$ == $main) {
        my $status = $?;

        for my $self (@all) {
            $self->{broken} = $status;
            $self->{counted} = 0 if $status;
            $self->finish;
            $self->remove;
        }

        $? = $status;
    }
}


1;
