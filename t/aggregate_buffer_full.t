# A disk that is full, before or in the middle of an answer's temporary file:
# the answer stays in memory, its client gets every byte of it, and the room
# that the file took is free at once.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use Test::More;

use Harness;
use Harness::H2;

my $t = Harness->new;
my $warn = qr/an answer is buffered to a temporary file/;
my $kept = qr/\[error\].*an answer stays in memory, as its temporary file/;
my $full = $t->testdir . '/full';

mkdir $full;
plan skip_all => 'no file system can be mounted'
    if system("mount -t tmpfs -o size=1m,mode=777 tmpfs $full 2>/dev/null");

my $owner = $$;
END { system "umount -l $full 2>/dev/null" if $owner && $$ == $owner }

$t->plan(45);

# what nginx says of each write, and of a file that it cannot make
$t->allow_log(qr/\[crit\].*(?:pwrite|writev|open|mkdir)\w*\(\).*28: No space/);
$t->allow_log(qr/\[crit\].*failed \(28: /);

srand 7;
my $body = '[' . join(',', map { int rand 1e9 } 1 .. 300_000) . ']';
my $want = qq({"a":$body});
my $small = '[' . join(',', map { int rand 1e9 } 1 .. 60_000) . ']';

$t->backend('b', '/big' => $body, '/small' => $small,
            '/list' => qq({"all":$body}));
$t->write_file('s.graphql', 'type Query { all: [Int] @rest(get: "/b/list", '
                            . 'select: "all") }');

my $conf = <<'EOC';
%%GLOBALS%%
events { worker_connections 256; }
http {
    %%HTTP%%
    aggregate_cache_zone z 16m max_object=8m;
    aggregate_buffer 100k;
    aggregate_temp_path %%TESTDIR%%/full 1;
    server {
        listen 127.0.0.1:%%PORT_0%% sndbuf=64k;
        listen 127.0.0.1:%%PORT_h2%% http2 sndbuf=64k;
        location /agg { aggregate { %%BIG%% backend a /b/big { } } }
        location /small { aggregate { %%BIG%% backend a /b/small { } } }
        location /threads { aio threads; aio_write on;
                            aggregate { %%BIG%% backend a /b/big { } } }
        location /stored { aggregate_cache z; aggregate_cache_ttl / 1h;
                           aggregate { %%BIG%% backend a /b/big { } } }
        location /gql { aggregate_graphql %%TESTDIR%%/s.graphql { %%BIG%% } }
        location /b/ { proxy_pass http://127.0.0.1:%%PORT_b%%/; }
    }
}
EOC

$conf =~ s/%%BIG%%/max_body_size 8m; max_response_size 8m;/g;
$t->run($conf);

sub used {
    my ($blocks) = `df --output=used -k $full` =~ /(\d+)\s*$/;
    return $blocks;
}

sub same {
    my ($got, $wanted, $name) = @_;
    ok($got eq $wanted, "$name: every byte")
        or diag(length($got) . ' bytes in place of ' . length $wanted);
    return;
}

# a client that reads nothing until nginx has given up, or has written it all
sub late {
    my ($uri, $line, %o) = @_;

    $t->mark_log;
    my $c = $t->connect;
    $c->request(GET => $uri, %o);
    ok($t->wait_log($line, slow(10)), "$uri: the log says so");
    return $c;
}

my $files = used();


# full in the middle

for my $uri ('/agg', '/threads', '/stored', '/stored',
             '/gql?query=%7Ball%7D')
{
    my $wanted = $uri =~ /gql/ ? qq({"data":{"all":$body}}) : $want;
    my $c = late($uri, $kept);

    is(scalar(() = $t->grep_log($kept)), 1, "$uri: one line");
    ok(wait_for(sub { used() - $files <= 16 }, slow(5)),
       "$uri: the disk has its room back");
    same($c->response->body, $wanted, $uri);

    $c->request(GET => '/b/small');
    same($c->response->body, $small, 'the connection goes on');
    $c->close;
}


# full from the start

open my $fill, '>', "$full/fill" or die "$full/fill: $!\n";
1 while syswrite $fill, 'x' x 4096;
close $fill;

my $c = late('/agg', $kept);
same($c->response->body, $want, 'no room at all');
$c->close;

$t->mark_log;
my $h = Harness::H2->new(port => $t->port('h2'));
my @ids = map { $h->request(GET => '/agg') } 1 .. 3;
same($h->wait($_, slow(20))->{body}, $want, 'HTTP/2') for @ids;
$h->close;

# clients that leave

for my $way (qw(close reset)) {
    $c = late('/agg', $kept);
    $c->$way;
}


# many that share what there is

unlink "$full/fill";
$t->mark_log;
my @clients = map { my $c = $t->connect; $c->request(GET => '/small'); $c }
    1 .. 8;
ok($t->wait_log($kept, slow(10)), 'too many');
same($_->response->body, qq({"a":$small}), 'of eight') for @clients;
$_->close for @clients;

ok(wait_for(sub { used() <= $files + 16 }, slow(10)), 'no file is left')
    or diag(used());


# there is room

$c = late('/small', $warn);
same($c->response->body, qq({"a":$small}), 'room again');
is(scalar(() = $t->grep_log($kept)), 0, 'by a file');
$c->close;
