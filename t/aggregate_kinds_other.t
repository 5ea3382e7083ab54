# The other handlers of nginx, FastCGI, SCGI, uwsgi and memcached: parts, and
# responses that are shaped or stored.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use Test::More;

use IO::Select;
use IO::Socket::INET;
use POSIX ();

use Harness;
use Harness::Aggregate;

my $t = Harness->new(modules => ['ngx_http_aggregate_module']);

my $big = '"' . 'x' x 200_000 . '"';
my @pids;


# a server of its own process: reads what comes, sends what CODE makes of it
# (undef: reads on; more than one piece: with a pause between), closes
sub server {
    my ($code) = @_;

    my $listen = IO::Socket::INET->new(LocalAddr => '127.0.0.1', Listen => 128,
                                       ReuseAddr => 1) or die "listen: $!\n";
    my $parent = $$;
    my $pid = fork();
    die "fork: $!\n" if !defined $pid;

    if ($pid == 0) {
        $SIG{$_} = 'DEFAULT' for qw(TERM INT __DIE__);
        $SIG{PIPE} = 'IGNORE';
        serve_raw($listen, $code, $parent);
        POSIX::_exit(0);
    }

    push @pids, $pid;
    return $listen->sockport;
}


sub serve_raw {
    my ($listen, $code, $parent) = @_;

    my $select = IO::Select->new($listen);
    my %in;

    while (getppid() == $parent) {
        for my $s ($select->can_read(1)) {
            if ($s == $listen) {
                $select->add(scalar $listen->accept);
                next;
            }

            my $n = sysread $s, $in{$s}, 65536, length($in{$s} || '');
            my @out = $n ? $code->($in{$s}) : ('');
            next if !defined $out[0];

            for my $piece (@out) {
                print $s $piece;
                $s->flush;
                select undef, undef, undef, 0.05 if @out > 1;
            }

            delete $in{$s};
            $select->remove($s);
            close $s;
        }
    }

    return;
}

END {
    local $?;
    if (@pids) {
        kill 'TERM', @pids;
        waitpid $_, 0 for @pids;
    }
}


# FastCGI: the path is in the parameters, as it stands

sub record {
    my ($type, $content) = @_;
    my $out = '';

    for my $piece (length $content ? unpack('(a32000)*', $content) : '') {
        $out .= pack('CCnnCx', 1, $type, 1, length $piece, 0) . $piece;
    }

    return $out;
}

my $head = "Content-Type: application/json\r\n\r\n";
my $end = record(6, '') . record(3, pack 'NCx3', 0, 0);

sub fastcgi {
    my ($in) = @_;
    return if $in !~ /\x01\x05\x00\x01\x00\x00/;     # the end of the body
    my ($what) = $in =~ m{/f/(\w+)};

    return record(6, "${head}{\"f\":1}") . $end if $what eq 'ok';
    return record(6, $head . $big) . $end if $what eq 'big';
    return record(6, $head), record(6, '{"f":'), record(6, '2}') . $end
        if $what eq 'slow';
    return record(6, "Status: 404 Not Found\r\n${head}1") . $end
        if $what eq 'missing';
    return record(6, "Status: 204 No Content\r\n\r\n") . $end
        if $what eq 'none';
    return record(6, $head . '{"f":') if $what eq 'cut';
    return record(6, $head . '12') if $what eq 'cutnumber';
    return record(6, "X-Accel-Redirect: /c\r\n$head") . $end
        if $what eq 'accel';
    return record(6, "X-Accel-Redirect: /shaped/c\r\n$head") . $end
        if $what eq 'elsewhere';
    return record(7, 'a message') . record(6, $head . '3') . $end
        if $what eq 'stderr';
    return record(6, "Set-Cookie: a=b\r\n${head}4") . $end;
}


sub cgi {
    my ($in) = @_;
    my ($what) = $in =~ m{/[su]/(\w+)};

    return if !defined $what;
    return "Status: 200 OK\r\n${head}{\"c\":1}" if $what eq 'ok';
    return "Status: 200 OK\r\n$head$big" if $what eq 'big';
    return "Status: 503 Busy\r\n${head}1" if $what eq 'busy';
    return "Status: 200 OK\r\nContent-Length: 9\r\n${head}{\"c\":" if
        $what eq 'cut';
    return '' if $what eq 'closed';
    return 'garbage';
}


sub memcached {
    my ($in) = @_;
    return if $in !~ m{^get /m/(\w+)\r\n};

    return "VALUE /m/ok 0 7\r\n{\"m\":1}\r\nEND\r\n" if $1 eq 'ok';
    return "VALUE /m/big 0 " . length($big) . "\r\n$big\r\nEND\r\n"
        if $1 eq 'big';
    return "END\r\n" if $1 eq 'missing';
    return "VALUE /m/cut 0 70\r\n{\"m\":1}" if $1 eq 'cut';
    return "ERROR\r\n";
}


sub part {
    my ($uri) = @_;
    return "backend a $uri { } backend z /b/1 { }";
}

sub one { return "200 complete {\"a\":$_[0],\"z\":1}" }

my $failed = '200 partial:a {"z":1}';

# nginx does not compare the lengths of these before
my $cut = $t->older('1.19.1') ? '502 {"a":"invalid_json"}'
                              : '502 {"a":"truncated"}';

my @cases = (
    [ 'FastCGI', part('/f/ok'), one('{"f":1}') ],
    [ 'FastCGI, big', part('/f/big'), one($big) ],
    [ 'FastCGI, in pieces', part('/f/slow'), one('{"f":2}') ],
    [ 'FastCGI, 404', part('/f/missing'), $failed ],
    [ 'FastCGI, 204', part('/f/none'), one('null') ],
    [ 'FastCGI, cut', part('/f/cut'), $failed ],
    [ 'FastCGI, a message on stderr', part('/f/stderr'), one('3') ],
    [ 'FastCGI, a cookie', part('/f/cookie'), one('4') ],
    [ 'FastCGI, unbuffered', part('/f-unbuffered/f/big'), one($big) ],
    [ 'FastCGI, a cut one alone', 'backend a /f/cut { }',
      '502 {"a":"truncated"}' ],
    [ 'FastCGI, cut, what came is a document', 'backend a /f/cutnumber { }',
      '502 {"a":"truncated"}' ],

    [ 'FastCGI, unbuffered, from another place', part('/f-unbuffered/f/accel'),
      one('{"c":1}') ],

    [ 'SCGI', part('/s/ok'), one('{"c":1}') ],
    [ 'SCGI, big', part('/s/big'), one($big) ],
    [ 'SCGI, 503', part('/s/busy'), $failed ],
    [ 'SCGI, cut', 'backend a /s/cut { }', $cut ],
    [ 'SCGI, closed', 'backend a /s/closed { }', '502 {"a":"connect"}' ],

    [ 'uwsgi', part('/u/ok'), one('{"c":1}') ],
    [ 'uwsgi, big', part('/u/big'), one($big) ],
    [ 'uwsgi, 503', part('/u/busy'), $failed ],
    [ 'uwsgi, cut', 'backend a /u/cut { }', $cut ],
    [ 'uwsgi, closed', 'backend a /u/closed { }', '502 {"a":"connect"}' ],

    [ 'memcached', part('/m/ok'), one('{"m":1}') ],
    [ 'memcached, big', part('/m/big'), one($big) ],
    [ 'memcached, not there', part('/m/missing'), $failed ],
    [ 'memcached, not there, the status',
      'backend a /m/missing { required; }', '404 {"a":"status"}' ],
    [ 'memcached, cut', 'backend a /m/cut { }', '502 {"a":"truncated"}' ],
    [ 'memcached, an error', 'backend a /m/error { }', '502 {"a":"connect"}' ],

    [ 'all of them', 'backend f /f/ok { } backend s /s/ok { }
      backend u /u/ok { } backend m /m/ok { } backend b /b/1 { }',
      '200 complete {"f":{"f":1},"s":{"c":1},"u":{"c":1},"m":{"m":1},"b":1}' ],
    [ 'no server', 'backend f /dead-f { } backend s /dead-s { }
      backend u /dead-u { } backend m /dead-m { }',
      '502 {"f":"connect","m":"connect","s":"connect","u":"connect"}' ],

    # shaped responses to clients
    map({ [ "shaped: $_->[0]", undef, ref $_->[1] ? $_->[1]
            : "200 application/json $_->[1]", uri => "/shaped/$_->[0]" ] }
        [ 'f/ok', '{"f":1}' ], [ 'f/big', $big ], [ 'f/slow', '{"f":2}' ],
        [ 'f/cut', qr/^502 / ], [ 'f/cutnumber', qr/^502 / ],
        [ 'f/elsewhere', '{"c":1}' ],
        [ 'unbuffered/f/elsewhere', '{"c":1}' ],
        [ 'f/stderr', '3' ],
        map({ [ "$_/f/ok", '{"f":1}' ], [ "$_/f/big", $big ],
              [ "$_/f/slow", '{"f":2}' ], [ "$_/f/cut", qr/^502 / ],
              [ "$_/f/cutnumber", qr/^502 / ] } qw(rate unbuffered cache)),
        [ 's/ok', '{"c":1}' ], [ 's/big', $big ], [ 's/cut', qr/^502 / ],
        [ 's/closed', qr/^502 / ],
        [ 'u/ok', '{"c":1}' ], [ 'u/big', $big ], [ 'u/cut', qr/^502 / ],
        [ 'm/ok', '{"m":1}' ], [ 'm/big', $big ], [ 'm/cut', qr/^502 / ]),
);

$t->plan(@cases + 4);
$t->allow_log(qr/memcached sent invalid response/);
$t->backend('b', '/1' => '1');

my ($f, $s, $m) = map { server($_) } \&fastcgi, \&cgi, \&memcached;

serve($t, cases => \@cases, http => qq{
    default_type application/json;
    aggregate_shape whole { deny nothing; }
    aggregate_cache_zone z 8m;
    fastcgi_cache_path %%TESTDIR%%/cache keys_zone=c:1m;
}, server => qq{
    location /f/ { fastcgi_pass 127.0.0.1:$f;
                   fastcgi_param REQUEST_URI \$uri; }
    location /f-unbuffered/ { fastcgi_pass 127.0.0.1:$f; fastcgi_buffering off;
                   fastcgi_param REQUEST_URI \$uri; }
    location /s/ { scgi_pass 127.0.0.1:$s; scgi_param REQUEST_URI \$uri; }
    location /u/ { uwsgi_pass 127.0.0.1:$s; uwsgi_param REQUEST_URI \$uri; }
    location /m/ { set \$memcached_key \$uri; memcached_pass 127.0.0.1:$m; }
    location /shaped/ {
        aggregate_apply whole;
        location /shaped/f/ { fastcgi_pass 127.0.0.1:$f;
                              fastcgi_param REQUEST_URI \$uri; }
        location /shaped/c { return 200 '{"c":1}'; }
        location /shaped/unbuffered/ { fastcgi_pass 127.0.0.1:$f;
                                       fastcgi_buffering off;
                                       fastcgi_param REQUEST_URI \$uri; }
        location /shaped/rate/ { fastcgi_pass 127.0.0.1:$f;
                                 fastcgi_limit_rate 10m;
                                 fastcgi_param REQUEST_URI \$uri; }
        location /shaped/cache/ { fastcgi_pass 127.0.0.1:$f;
                                  fastcgi_cache c; fastcgi_cache_key \$uri;
                                  fastcgi_cache_valid 1m;
                                  fastcgi_param REQUEST_URI \$uri; }
        location /shaped/s/ { scgi_pass 127.0.0.1:$s;
                              scgi_param REQUEST_URI \$uri; }
        location /shaped/u/ { uwsgi_pass 127.0.0.1:$s;
                              uwsgi_param REQUEST_URI \$uri; }
        location ~ ^/shaped(/m/.*) { set \$memcached_key \$1;
                                     memcached_pass 127.0.0.1:$m; }
    }
    location /kept/ {
        aggregate_cache z; aggregate_cache_ttl / 1m;
        fastcgi_param REQUEST_URI \$uri;
        location /kept/buffered/ { fastcgi_pass 127.0.0.1:$f; }
        location /kept/unbuffered/ { fastcgi_pass 127.0.0.1:$f;
                                     fastcgi_buffering off; }
    }
    location /c { return 200 '{"c":1}'; }
    location /dead-f { fastcgi_pass 127.0.0.1:%%PORT_dead%%; }
    location /dead-s { scgi_pass 127.0.0.1:%%PORT_dead%%; }
    location /dead-u { uwsgi_pass 127.0.0.1:%%PORT_dead%%; }
    location /dead-m { set \$memcached_key x;
                       memcached_pass 127.0.0.1:%%PORT_dead%%; }
});

check($t, @cases);

# what is not whole is not stored

for my $way (qw(buffered unbuffered)) {
    http_get("/kept/$way/f/$_") for qw(ok cutnumber);

    is(http_get("/kept/$way/f/ok")->header('X-Cache'), 'HIT', "$way: stored");
    isnt(http_get("/kept/$way/f/cutnumber")->header('X-Cache'), 'HIT',
         "$way: cut");
}
