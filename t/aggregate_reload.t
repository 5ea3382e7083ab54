# Reload under load: no request fails, what was begun is finished, the old
# workers go.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use Test::More;

use POSIX ();
use Time::HiRes qw(sleep time);

use Harness;
use Harness::Aggregate;

my $t = Harness->new(modules => ['ngx_http_aggregate_module'], plan => 15);

my $b = $t->backend('b',
    '/quick' => '1',
    '/some' => { body => '{"id":2}', delay => 0.01 },
    '/0.4' => { body => '3', delay => slow(0.4) },
    '/list' => '[1,2,3]', '/item/' => '4',
);

my $conf = configuration(main => 'worker_processes 2;', server => q{
    location /load { aggregate {
        timeout 20s;
        backend a /b/quick { } backend b /b/some { }
        backend c /b/quick?${b.id} { }
        backend l /b/list { hidden; }
        backend d /b/item/${item.} { each l.; } } }
    location /slow { aggregate { timeout 20s; backend a /b/0.4 { }
                                 backend b /b/0.4?${a.} { } } }
    location /version { return 200 %%VERSION%%; }
});

my $wanted = '200 complete {"a":1,"b":{"id":2},"c":1,"d":[4,4,4]}';

$t->port('0');
$t->{ports}{dead} = $t->dead_port;
$t->run($conf =~ s/%%VERSION%%/0/r);


my @clients;

# clients in processes of their own: each writes how many were good, and what
# else came
sub client {
    my ($n, $code) = @_;

    pipe my $in, my $out or die;
    my $pid = fork();
    die "fork: $!\n" if !defined $pid;

    if ($pid == 0) {
        close $in;
        $SIG{TERM} = 'DEFAULT';
        my ($good, @bad) = (0);
        my $until = time() + slow($n);

        while (time() < $until) {
            my ($got) = $code->();
            $got eq $wanted ? $good++ : push @bad, $got;
            sleep 0.005;
        }

        print $out join "\n", $good, @bad;
        close $out;
        POSIX::_exit(0);
    }

    close $out;
    push @clients, $pid;
    return $in;
}

my @closing = map { client(2.5, sub { outcome(http_get('/load')) }) } 1 .. 3;

# kept alive: a connection that is closed between requests is opened again, as
# every client does
my $c;
my @keeping = map { client(2.5, sub {
    for (1 .. 3) {
        $c ||= $t->connect;
        $c->request(GET => '/load');
        my $r = $c->response;
        undef $c if $r->error || lc($r->header('Connection') || '') eq 'close';
        return outcome($r) if !$r->error;
    }
    return 'no answer';
}) } 1 .. 2;

# a slow one, begun before each reload and finished after it
my @slow;
my @old = $t->workers;

for my $version (1 .. 4) {
    sleep slow(0.25);
    my $s = $t->connect;
    $s->request(GET => '/slow');
    push @slow, $s;
    sleep 0.02;
    ok($t->reload($conf =~ s/%%VERSION%%/$version/r), "reload $version");
    is(http_get('/version')->body, $version, "the new one: $version");
}

is(join(' ', map { outcome($_->response) } @slow),
   join(' ', ('200 complete {"a":3,"b":3}') x 4), 'what was begun is finished');
$_->close for @slow;

my ($good, @bad) = (0);
for my $in (@closing) {
    my ($n, @other) = split /\n/, do { local $/; <$in> };
    $good += $n;
    push @bad, @other;
}
cmp_ok($good, '>', 10, 'a load') or diag($good);
is(scalar @bad, 0, 'Connection: close: no failure') or diag(join "\n", @bad);

($good, @bad) = (0);
for my $in (@keeping) {
    my ($n, @other) = split /\n/, do { local $/; <$in> };
    $good += $n;
    push @bad, @other;
}
cmp_ok($good, '>', 10, 'a load, kept alive') or diag($good);
is(scalar @bad, 0, 'kept alive: no failure') or diag(join "\n", @bad);
waitpid $_, 0 for @clients;

ok(wait_for(sub { !grep { kill 0, $_ } @old }, slow(5)), 'the old workers go');
is(outcome(http_get('/load')), $wanted, 'and the new ones serve');
