#!/usr/bin/perl

# The page to try operations on, as somebody uses it in Chromium: the schema is
# listed, an operation with variables runs, digits stay as they are, and the
# page asks nobody but its own server.  PAGES_DIR keeps screenshots.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use Test::More;

use File::Temp;
use HTTP::Tiny;
use IO::Socket::INET;
use JSON::PP;
use MIME::Base64 qw(decode_base64);
use Harness;

my $t = Harness->new(modules => ['ngx_http_aggregate_module'], plan => 17);

$t->backend('b', '/users/42' => '{"id":42,"name":"Ada & <b>",'
    . '"account":12345678901234567890,"total":1.10}');

$t->write_file('shop.graphql', <<'EOS');
scalar Long
"Somebody who buys."
type User { id: ID! name: String account: Long total: Float }
type Query { user(id: ID!): User @rest(get: "/b/users/${args.id}") }
EOS

$t->run(<<'EOC');

%%GLOBALS%%

events {
}

http {
    %%HTTP%%

    server {
        listen       127.0.0.1:%%PORT_0%%;
        server_name  localhost;

        location /b/ { proxy_pass http://127.0.0.1:%%PORT_b%%/; }

        location = /graphql {
            aggregate_graphql shop.graphql { ide on; }
        }

        location = /off {
            aggregate_graphql shop.graphql { }
        }
    }
}

EOC

my $json = JSON::PP->new->utf8->allow_nonref->canonical;
my $dir = File::Temp->newdir;
my ($driver, $port, $session) = start_driver();
my $url = 'http://127.0.0.1:' . $t->port(0);

my $html = http_get('/off', headers => [ Accept => 'text/html' ]);
unlike($html->body, qr/<html/, 'there is no page unless it is wanted');

for my $width (1280, 400) {
    for my $dark (0, 1) {
        my $what = "$width, " . ($dark ? 'dark' : 'light');

        resize($width, $dark);
        post('url', { url => "$url/graphql" });

        ok(wait_for(sub { js('return document.getElementById("schema")'
            . '.textContent') =~ /User/ }), "$what: the schema is listed");

        my ($scroll, $client) = @{ js('const e = document.documentElement;'
            . 'return [e.scrollWidth, e.clientWidth]') };
        cmp_ok($scroll, '<=', $client, "$what: its width");

        picture("ide-$width-" . ($dark ? 'dark' : 'light'));
    }
}

# an operation with variables, by the button

js('document.getElementById("query").value = arguments[0];'
   . 'document.getElementById("variables").value = arguments[1];',
   'query U($i: ID!) { user(id: $i) { id name account total } }',
   '{"i": 42}');
click('run');

my $shown = <<'EOR';
{
  "data": {
    "user": {
      "id": "42",
      "name": "Ada & <b>",
      "account": 12345678901234567890,
      "total": 1.10
    }
  }
}
EOR
chomp $shown;

ok(wait_for(sub { result() eq $shown }), 'the answer, digits as they came')
    or diag(result());
like(js('return document.getElementById("state").textContent'),
     qr/^200, \d+ ms, /, 'its status and time');

# what is wrong is said

js('document.getElementById("query").value = "{ usr }"');
click('run');
ok(wait_for(sub { result() =~ /Cannot query field/ }), 'an error is shown');

js('document.getElementById("variables").value = "{"');
click('run');
like(result(), qr/^Variables: /, 'variables that are no JSON');

# it comes back with what was there

js('document.getElementById("query").value = "{ __typename }";'
   . 'document.getElementById("variables").value = "";');
click('run');
ok(wait_for(sub { result() =~ /"__typename": "Query"/ }), 'it ran');
post('refresh', {});
is(js('return document.getElementById("query").value'), '{ __typename }',
   'the operation is kept');

my @asked = @{ js('return performance.getEntriesByType("resource")'
    . '.map(e => e.name)') };
is_deeply([ grep { index($_, "$url/") != 0 } @asked ], [],
          'nobody else is asked');

my @log = map { $_->{message} } @{ post('se/log', { type => 'browser' }) };
is_deeply([ grep { !/favicon|graphql - Failed to load resource/ } @log ], [],
          'the console is empty');


END {
    my $status = $?;

    if ($driver) {
        eval { http_delete("/session/$session") } if $session;
        kill 'TERM', $driver;
        waitpid $driver, 0;
    }

    $? = $status;
}


sub result { return js('return document.getElementById("result").textContent') }


sub click {
    my ($id) = @_;

    js("document.getElementById('$id').click()");
    return;
}


sub js {
    my ($script, @args) = @_;
    return post('execute/sync', { script => $script, args => \@args });
}


sub resize {
    my ($width, $dark) = @_;

    post('goog/cdp/execute', { cmd => 'Emulation.setDeviceMetricsOverride',
        params => { width => $width, height => 900, deviceScaleFactor => 1,
                    mobile => JSON::PP::false } });
    post('goog/cdp/execute', { cmd => 'Emulation.setEmulatedMedia',
        params => { features => [ { name => 'prefers-color-scheme',
            value => $dark ? 'dark' : 'light' } ] } });
    return;
}


sub picture {
    my ($name) = @_;

    return if !$ENV{PAGES_DIR};

    my $shot = post('goog/cdp/execute', { cmd => 'Page.captureScreenshot',
                                          params => {} });
    open my $file, '>:raw', "$ENV{PAGES_DIR}/$name.png" or die $!;
    print $file decode_base64($shot->{data});
    close $file or die $!;
    return;
}


# the driver of Chromium, by the protocol of W3C

sub start_driver {
    my $free = IO::Socket::INET->new(Listen => 1, LocalAddr => '127.0.0.1')
        ->sockport;

    my $pid = fork;
    die "fork: $!" if !defined $pid;

    if (!$pid) {
        open STDOUT, '>', '/dev/null';
        open STDERR, '>&', \*STDOUT;
        exec 'chromedriver', "--port=$free" or exit 127;
    }

    $port = $free;
    wait_for(sub { IO::Socket::INET->new("127.0.0.1:$free") })
        or die 'no driver';

    $driver = $pid;

    my $answer = driver('POST', '/session', { capabilities => {
        alwaysMatch => {
            'goog:loggingPrefs'  => { browser => 'ALL' },
            'goog:chromeOptions' => { args => [
                '--headless=new', '--no-sandbox', '--disable-gpu',
                '--disable-dev-shm-usage', '--no-first-run',
                '--disable-background-networking',
                "--user-data-dir=$dir/profile" ] },
        } } });

    return ($pid, $free, $answer->{sessionId});
}


sub post {
    my ($command, $data) = @_;
    return driver('POST', "/session/$session/$command", $data);
}


sub http_delete { return driver('DELETE', $_[0]) }


sub driver {
    my ($method, $path, $data) = @_;

    my $r = HTTP::Tiny->new(timeout => 60)->request($method,
        "http://127.0.0.1:$port$path",
        $data ? { content => $json->encode($data) } : {});

    my $value = eval { $json->decode($r->{content})->{value} };
    die "$path: $r->{status} $r->{content}\n" if $@;

    die "$path: $value->{message}\n"
        if ref $value eq 'HASH' && $value->{error};

    return $value;
}
