# The subrequest engine, driven by a user of its own (t/glue/): waves, equal
# fetches, retry, deadlines, cancellation, clients that leave, observers.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use Test::More;

use Harness;

my $modules = $ENV{TEST_NGINX_MODULES} || "$FindBin::Bin/../build";
my ($dir) = `bash $FindBin::Bin/glue/link.sh $modules` =~ /^(.+)$/
    or die "the module for tests does not link\n";
$ENV{TEST_NGINX_MODULES} = $dir;

my $t = Harness->new(modules => ['ngx_http_aggregate_module'],
                     log_level => 'notice');

my $b = $t->backend('b',
    '/1' => '1', '/2' => '{ "a" : 2 }', '/text' => 'plain "text"',
    '/slow' => { delay => 10, body => '3' },
    '/pause' => { delay => slow(0.3), body => '4' },
    '/404' => { status => 404 },
    '/once' => sub {
        our %seen;
        return $seen{ $_[0]{uri} }++ ? '"there"' : { status => 503 };
    },
    '/never' => { status => 503 },
    '/echo' => sub {
        my ($q) = @_;
        return '"' . $q->{method} . ' ' . $q->{body} . '"';
    },
    '/observed' => sub {
        my ($q) = @_;
        return '"' . join(',', map { $_->[1] }
            grep { lc $_->[0] eq 'x-observed' } @{ $q->{headers} }) . '"';
    });

my %plans = (
    one => 'fetch_plan; fetch a /b/1;',
    kinds => 'fetch_plan; fetch a /b/2; fetch b /b/text string;
              fetch c /b/text raw; fetch d /b/text; fetch e /b/404;
              fetch f /b/echo post body=hello; fetch g /dead/x;',
    waves => 'fetch_plan; fetch a /b/1 wave=1; fetch b /b/pause wave=1;
              fetch c /b/1?c wave=2; fetch d /b/2?d wave=3;',
    joined => 'fetch_plan; fetch a /b/pause?j join; fetch b /b/pause?j join;
               fetch c /b/pause?j; fetch d /b/pause?k join;
               fetch e /b/pause?j join string; fetch f /b/pause?j wave=2 join;',
    joined_slow => 'fetch_plan; fetch a /b/pause?s join timeout='
               . int(slow(100)) . 'ms; fetch b /b/pause?s join;',
    joined_quick => 'fetch_plan; fetch a /b/pause?q join; fetch b /b/pause?q
               join timeout=' . int(slow(100)) . 'ms;',
    joined_both => 'fetch_plan; fetch a /b/slow?b join timeout='
               . int(slow(100)) . 'ms; fetch b /b/slow?b join timeout='
               . int(slow(150)) . 'ms;',
    joined_cancelled => 'fetch_plan; fetch z /b/1;
               fetch a /b/pause?c join cancelled_by=z;
               fetch b /b/pause?c join;',
    joined_all => 'fetch_plan; fetch z /b/1;
               fetch a /b/slow?c join cancelled_by=z;
               fetch b /b/slow?c join cancelled_by=z;',
    retry => 'fetch_plan; fetch a /b/once?1 retry=1; fetch b /b/once?2;
              fetch c /b/never retry=2; fetch d /b/once?4 retry=1 join;
              fetch e /b/once?4 retry=1 join; fetch f /b/once?5 post retry=1;',
    deadline => 'fetch_plan; fetch a /b/slow timeout=' . int(slow(100)) . 'ms;
              fetch b /b/1;',
    block => 'fetch_plan timeout=' . int(slow(150)) . 'ms; fetch a /b/slow;
              fetch b /b/1; fetch c /b/1?c wave=2; fetch d /b/slow?2 join;
              fetch e /b/slow?2 join;',
    cancel => 'fetch_plan; fetch z /b/1; fetch a /b/slow cancelled_by=z;
              fetch b /b/2?b wave=2;',
    queued => 'fetch_plan concurrency=1; fetch z /b/1;
              fetch a /b/never?q cancelled_by=z; fetch b /b/2;',
    budget => 'fetch_plan max=2; fetch a /b/1?1; fetch b /b/1?1 join;
              fetch c /b/1?1 join; fetch d /b/1?3;',
    hang => 'fetch_plan timeout=30s; fetch a /b/slow?h; fetch b /b/slow?h2;',
    nested => 'fetch_plan concurrency=1; fetch a /one raw; fetch b /one raw;',
    observed => 'fetch_plan; fetch a /b/observed; fetch b /b/once?o retry=1;',
);

my $locations = join '', map { "location = /$_ { $plans{$_} }\n" }
    sort keys %plans;

$t->plan(29);

$t->run(<<"EOF");
%%GLOBALS%%
events { }
http {
    %%HTTP%%
    server {
        listen       127.0.0.1:%%PORT_0%%;
        server_name  localhost;
        $locations
        location /b/ { internal; proxy_pass http://127.0.0.1:%%PORT_b%%/; }
        location /dead/ { internal; proxy_pass http://127.0.0.1:1/; }
    }
}
EOF


# the events, and the lines of the answer
sub ask {
    my ($plan) = @_;
    $b->clear;
    my $r = http_get("/$plan");
    return ($r->body =~ /^(handlers .*)$/m,
            $r->body =~ s/^handlers .*\n//mr =~ s/ +$//mgr);
}

my ($events, $got) = ask('one');
is($got, "a - 200 1 1\n", 'one fetch');
is($events, 'handlers 1 begin 1 headers 1 end 1 result 1', 'its events');

($events, $got) = ask('kinds');
is($got, <<'EOF', 'what becomes of a body');
a - 200 1 { "a" : 2 }
b - 200 1 "plain \"text\""
c - 200 1 plain "text"
d invalid_json 200 1
e status 404 1
f - 200 1 "POST hello"
g connect 0 1
EOF

($events, $got) = ask('waves');
is($got, "a - 200 1 1\nb - 200 1 4\nc - 200 1 1\nd - 200 1 { \"a\" : 2 }\n",
   'three waves');
my %log = map { $_->{uri} => $_ } $b->log;
cmp_ok($log{'/1?c'}{time}, '>=', $log{'/pause'}{first},
       'a wave waits for the one before');

($events, $got) = ask('joined');
is($got, <<'EOF', 'equal fetches');
a - 200 1 4
b - 200 1 joined 4
c - 200 1 4
d - 200 1 4
e - 200 1 "4"
f - 200 1 4
EOF
is($b->count, 5, 'are sent once');
is($events, 'handlers 6 begin 5 headers 5 end 5 result 6',
   'and have a result each');

($events, $got) = ask('joined_slow');
is($got, "a timeout 0 1\nb - 200 1 joined 4\n",
   'a deadline of one of them is not that of the other');
is($b->count, 1, 'which is not sent again');

($events, $got) = ask('joined_quick');
is($got, "a - 200 1 4\nb timeout 0 0 joined\n",
   'nor is a deadline of another that of the first');

($events, $got) = ask('joined_both');
is($got, "a timeout 0 1\nb timeout 0 0 joined\n", 'each has its own');
ok(aborted('/slow'), 'and the last one closes the connection');

($events, $got) = ask('joined_cancelled');
like($got, qr/^a cancelled 0 1$/m, 'the one that was sent is cancelled');
like($got, qr/^b - 200 1 joined 4$/m, 'for the other it goes on');

($events, $got) = ask('joined_all');
is($got, "z - 200 1 1\na cancelled 0 1\nb cancelled 0 0 joined\n",
   'both cancelled');
ok(aborted('/slow'), 'and so is the subrequest');

($events, $got) = ask('retry');
is($got, <<'EOF', 'tries');
a - 200 2 "there"
b status 503 1
c status 503 3
d - 200 2 "there"
e - 200 2 joined "there"
f status 503 1
EOF

($events, $got) = ask('deadline');
is($got, "a timeout 0 1\nb - 200 1 1\n", 'a deadline of one');
ok(aborted('/slow'), 'closes its connection');

($events, $got) = ask('block');
is($got, "a timeout 0 1\nb - 200 1 1\nc - 0 0\nd timeout 0 1\n"
   . "e timeout 0 0 joined\n", 'the deadline of all');

($events, $got) = ask('cancel');
is($got, "z - 200 1 1\na cancelled 0 1\nb - 200 1 { \"a\" : 2 }\n",
   'cancelled by another\'s result');
is($events, 'handlers 2 begin 3 headers 3 end 3 result 3',
   'without its handler');

($events, $got) = ask('queued');
is($b->count('/never'), 0, 'one that was cancelled in the queue is not sent');

($events, $got) = ask('budget');
is($got, "a - 200 1 1\nb - 200 1 1\nc - 200 1 joined 1\nd too_large 0 0\n",
   'max_subrequests counts what is sent');

is(http_get('/nested')->body =~ s/^handlers.*\n//mgr,
   "a - 200 1 a - 200 1 1\n\nb - 200 1 a - 200 1 1\n\n",
   'users in users, one at a time');

($events, $got) = ask('observed');
like($got, qr/^a - 200 1 "yes"$/m, 'an observer sets a header');
is($events, 'handlers 2 begin 3 headers 3 end 3 result 2', 'and sees tries');

$t->mark_log;
$b->clear;
my $c = $t->connect;
$c->send("GET /hang HTTP/1.1\r\nHost: localhost\r\n\r\n");
wait_for(sub { $b->count == 2 }, 5);
$c->close;
ok(wait_for(sub { 2 == grep { $_->{aborted} } $b->log }, 5)
   && $t->wait_log(qr/glue closed: cancelled, handlers 2, open 1, begin 2, /),
   'a client that leaves cancels all');


sub aborted {
    my ($path) = @_;
    return wait_for(sub { !grep { !$_->{aborted} } $b->log($path) }, 5);
}
