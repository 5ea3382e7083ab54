#!/usr/bin/perl

# breaker_status: JSON, Prometheus, HTML; POST and who may send it; keys that
# try to break out of each of these.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use JSON::PP ();
use Test::More;
use Time::HiRes qw(time);

use Harness;

my $t = Harness->new(modules => [ 'ngx_http_breaker_module' ]);

my $b = $t->backend('b',
    '/'     => 'fine',
    '/fail' => { status => 500 },
);

my $conf = <<'EOC';

%%GLOBALS%%

worker_processes  2;

events {
}

http {
    %%HTTP%%

    breaker_zone    main 1m;
    breaker_zone    side 64k;
    breaker_policy  p { failure_threshold 2; recovery_timeout 60s; }
    breaker_policy  q { failure_rate 0.5%; slow_rate 12.55%; slow_call 1s; }

    server {
        listen       127.0.0.1:%%PORT_0%%;
        server_name  localhost;

        location / {
            set_unescaped;
            breaker     $key zone=main policy=p;
            proxy_pass  http://127.0.0.1:%%PORT_b%%;
            add_header  X-Key $breaker_key always;
        }

        location /side/ {
            breaker     side zone=side policy=q;
            proxy_pass  http://127.0.0.1:%%PORT_b%%/;
        }

        location = /breakers {
            breaker_status;
        }
    }

    server {
        listen  127.0.0.1:%%PORT_one%%;

        location = /breakers {
            breaker_status;
        }
    }
}

EOC

# any byte comes into a key by the decoded URI: /k/KEY/path

$conf =~ s{set_unescaped;}{rewrite  "(?s)^/k/(?<key>.*)/(\\w+)\$" /\$2 break;};

my %keys = (
    plain   => 'plain',
    crlf    => "a\r\nX-Evil: 1",
    log     => "x\n2026/01/01 00:00:00 [emerg] 1#1: forged",
    quote   => 'a"b\\c\'d',
    html    => '<script>alert(1)</script>',
    attr    => '" onmouseover="alert(1)',
    label   => 'x"} 1' . "\nevil{key=\"",
    utf8    => "caf\xc3\xa9",
    binary  => join('', map { chr } 1 .. 31, 127 .. 255),
    amp     => 'a&key=plain&action=open',
    percent => '%41%00',
    long    => 'l' x 255,
    longer  => 'm' x 256,
    longest => 'm' x 600,
);

sub encode {
    my ($text) = @_;
    $text =~ s/([^A-Za-z0-9])/sprintf '%%%02X', ord $1/ge;
    return $text;
}

sub shown {
    my ($text) = @_;
    $text =~ s/([^\x20-\x7e]|\\)/sprintf '\\x%02X', ord $1/ge;
    return $text;
}

sub status {
    my ($query, %o) = @_;
    return http_get('/breakers' . ($query || ''), %o);
}

sub change {
    my ($query, %o) = @_;
    return http_request('POST', "/breakers?$query", %o);
}

sub rows { return @{ status('?format=json')->json->{breakers} } }

sub row {
    my ($key) = @_;
    my ($row) = grep { $_->{key} eq $key } rows();
    return $row;
}

$t->plan(129 + 9);
$t->allow_log(qr{x\\x0A2026/01/01 00:00:00 \[emerg\] 1#1: forged});
$t->run($conf);

# before any call

my $r = status();
is($r->status, 200, 'empty');
is($r->header('Content-Type'), 'application/json', 'type');
is($r->header('Cache-Control'), 'no-store', 'not to be cached');
is_deeply($r->json->{breakers}, [], 'no breakers');
is(join(' ', map { $_->{name} } @{ $r->json->{zones} }), 'main side', 'zones');
cmp_ok($r->json->{zones}[0]{slots}, '>', 1000, 'slots of 1m');
like(status('?format=html')->body, qr/No call has been guarded/, 'empty page');
like(status('?format=prometheus')->body, qr/^# TYPE breaker_state gauge$/m,
     'empty metrics');

# keys of all kinds

for my $name (sort keys %keys) {
    my $uri = '/k/' . encode($keys{$name});
    $uri =~ s/%0A/%0a/g;

    $r = http_get("$uri/ok");
    is($r->status, 200, "key $name");
    is($r->header('X-Evil'), undef, "key $name: no header of its own");

    if (length $keys{$name} <= 255) {
        is($r->header('X-Key'), shown($keys{$name}), "key $name: variable");
        ok(row(shown($keys{$name})), "key $name: JSON");
    }
}

my @long = grep { $_->{key} =~ /^m+#[0-9a-f]{40}$/ } rows();
is(scalar @long, 2, 'two long keys');
is(length $long[0]{key}, 255, 'are cut');

http_get('/k/' . encode($keys{$_}) . '/fail') for sort keys %keys;
http_get('/k/' . encode($keys{$_}) . '/fail') for sort keys %keys;
http_get('/side/ok');

is(scalar(grep { $_->{state} eq 'open' } rows()), scalar keys %keys,
   'all open');
is(scalar(grep { !/^\d{4}\/\d\d\/\d\d \d\d:\d\d:\d\d \[/ } $t->error_log), 0,
   'no forged line in the log') or diag($t->error_log);
is(scalar(grep { /\[emerg\]/ && !/breaker "/ } $t->error_log), 0,
   'nor a forged level');

# the whole document

$r = status();
my @rows = @{ $r->json->{breakers} };
is($rows[-1]{key}, 'side', 'closed ones come last');
is(join(' ', sort keys %{ $rows[0] }),
   'calls consecutive_failures dry_rejections failure_rate failures key '
   . 'open_until outcomes probes probes_succeeded reason rejections since slow '
   . 'slow_rate state transitions transitions_to zone', 'schema');
is($rows[-1]{open_until}, undef, 'open_until is null when closed');
is(scalar @{ status('?zone=side')->json->{breakers} }, 1, 'one zone');
is(status('?zone=none')->status, 404, 'unknown zone');
is(status('?format=xml')->status, 400, 'unknown format');
is(http_request('HEAD', '/breakers')->body, '', 'HEAD');
ok(http_request('HEAD', '/breakers')->header('Content-Length') > 100,
   'HEAD: length');

# Prometheus

$r = status('?format=prometheus');
is($r->header('Content-Type'), 'text/plain; version=0.0.4; charset=utf-8',
   'prometheus: type');

my (%type, @bad, $last);
my %done;

for my $line (split /\n/, $r->body) {
    if ($line =~ /^# TYPE (\w+) (counter|gauge)$/) {
        push @bad, $line if $type{$1} || $1 ne $last;
        $type{$1} = $2;

    } elsif ($line =~ /^# HELP (\w+) \S.*\.$/) {
        push @bad, "$line: again" if $done{$1}++;
        $last = $1;

    } elsif ($line !~ /^(\w+)\{(\w+="(?:[^"\\\n]|\\["\\n])*"
                       (?:,\w+="(?:[^"\\\n]|\\["\\n])*")*)\}\ \d+$/x
             || $1 ne $last || !$type{$1} || $done{$line}++)
    {
        push @bad, $line;
    }
}

is("@bad", '', 'prometheus: well formed');
is($type{breaker_calls_total}, 'counter', 'prometheus: calls');
like($r->body, qr/^breaker_state\{zone="main",key="plain"\} 1$/m, 'state');
like($r->body, qr/^breaker_calls_total\{zone="main",key="plain",
     outcome="failure"\}\ 2$/mx, 'failures');
like($r->body, qr/^breaker_rejected_total\{zone="main",key="plain"\} 0$/m,
     'rejected');
like($r->body, qr/^breaker_transitions_total\{zone="main",key="plain",
     to="open"\}\ 1$/mx, 'transitions');
like($r->body, qr/key="a\\"b\\\\x5Cc'd"/, 'escaped');

my ($promtool) = grep { defined && -x } $ENV{PROMTOOL},
    "$FindBin::Bin/../build/promtool", map { "$_/promtool" }
    split /:/, $ENV{PATH};

die "promtool is needed: ./build.sh test fetches it\n" if !$promtool;

$t->write_file('metrics', $r->body);
my $out = qx{$promtool check metrics < '@{[ $t->testdir ]}/metrics' 2>&1};
is($? . $out, '0', 'promtool check metrics');

# HTML

$r = status('?format=html');
like($r->header('Content-Type'), qr{^text/html; charset=utf-8$}, 'html: type');
like($r->header('Content-Security-Policy'), qr/default-src 'none'/,
     'html: CSP');
unlike($r->body, qr/<script|onmouseover="|<img|https?:|<link|url\(/,
       'html: nothing foreign in it');
like($r->body, qr/&lt;script&gt;alert\(1\)&lt;\/script&gt;/, 'html: escaped');
is(scalar(() = $r->body =~ /<form method="post"/g), 3 * @rows, 'html: forms');

my $tags = $r->body;
$tags =~ s/<!DOCTYPE html>|<(?:meta|input)[^>]*>//g;
my @stack;
for ($tags =~ m{<(/?\w+)}g) {
    if (m{^/(\w+)}) { push @bad, $_ if pop(@stack) ne $1 }
    else            { push @stack, $_ }
}
is("@bad@stack", '', 'html: balanced');

# rows in an order that no state changes, filters, thresholds, what is what

sub page_keys {
    my ($args) = @_;
    my @keys = status("?format=html$args")->body
        =~ /<td class="k">([^<]*)</g;
    return \@keys;
}

unlike(status('?format=html&filter=%22%3E%3Cscript%3E')->body, qr/"><script>/,
       'html: the filter is escaped');
like($r->body, qr/<button>force open<.*<button>force closed<.*back to normal/s,
     'html: what the buttons do');
like($r->body, qr/opens at /, 'html: thresholds');
like(status('?format=html&zone=side')->body,
     qr/in a row, 0\.5&#8201;% failed, 12\.55&#8201;% above 1000&nbsp;ms/,
     'html: rates');
like($r->body, qr{nginx/\d}, 'html: version');

# POST

$r = change('zone=main&key=plain&action=reset');
is($r->status, 200, 'reset');
is_deeply($r->json, { zone => 'main', key => 'plain', action => 'reset',
                      from => 'open', to => 'closed',
                      changed => JSON::PP::true }, 'says what changed');
is(http_get('/k/plain/ok')->status, 200, 'lets through again');

$r = change('zone=main&key=plain&action=open');
is($r->json->{to}, 'forced_open', 'open');
$r = http_get('/k/plain/ok');
is($r->status . $r->header('Retry-After'), '50360', 'rejects');
is(change('zone=main&key=plain&action=open')->json->{changed},
   JSON::PP::false, 'open, again');

change('zone=main&key=plain&action=close');
is(row('plain')->{state}, 'forced_closed', 'close');
http_get('/k/plain/fail') for 1 .. 5;
is(row('plain')->{state}, 'forced_closed', 'stays so');
is(http_get('/k/plain/ok')->status, 200, 'and lets through');
is(scalar $t->grep_log(qr/breaker "plain" .* by hand/), 3, 'logged');

is(change('zone=main&action=open')->status, 400, 'no key');
is(change('zone=main&key=plain')->status, 400, 'no action');
is(change('zone=main&key=plain&action=melt')->status, 400, 'unknown action');
is(change('zone=main&key=nobody&action=open')->status, 404, 'unknown key');
is(change('zone=none&key=plain&action=open')->status, 404, 'unknown zone');
$r = change('key=plain&action=open');
is($r->status, 400, 'which zone');
like($r->json->{error}, qr/several zones/, 'says why');

for my $name (qw(crlf html amp binary long longer)) {
    is(change('zone=main&action=reset&key=' . encode($keys{$name}))->status,
       200, "reset of key $name");
}

is(change('zone=main&action=reset&key=' . encode($long[1]{key}))->status, 200,
   'a long key as it is shown');

# who may

my $url = 'zone=main&key=plain&action=open';

for ([ Origin => 'http://evil.example' ], [ Origin => 'null' ],
     [ Origin => 'http://localhost.evil.example' ],
     [ Origin => 'http://localhost:81' ], [ 'Sec-Fetch-Site' => 'cross-site' ],
     [ 'Sec-Fetch-Site' => 'same-site' ],
     [ Origin => 'http://localhost', Origin => 'http://evil.example' ])
{
    is(change($url, headers => $_)->status, 403, "refused: @$_");
}

is(row('plain')->{state}, 'forced_closed', 'nothing has changed');

for ([ Origin => 'http://localhost' ], [ Origin => 'https://LOCALHOST' ],
     [ 'Sec-Fetch-Site' => 'same-origin' ], [ 'Sec-Fetch-Site' => 'none' ])
{
    is(change($url, headers => $_)->status, 200, "taken: @$_");
}

# a GET changes nothing, other methods neither

change('zone=main&key=plain&action=reset');
status('?zone=main&key=plain&action=open');
is(row('plain')->{state}, 'closed', 'GET changes nothing');
$r = http_request('DELETE', "/breakers?$url");
is($r->status . ' ' . $r->header('Allow'), '405 GET, HEAD, POST', 'DELETE');

# a button of the page

$r = change("$url&format=html", body => '');
is($r->status . ' ' . $r->header('Location'),
   '303 /breakers?format=html', 'back to the page');
is(row('plain')->{state}, 'forced_open', 'and done');

# rows of the page, whatever their state, and its filters

my $page = page_keys('');
change('zone=main&key=plain&action=open');
is_deeply(page_keys(''), $page, 'html: rows stay where they are');
change('zone=main&key=plain&action=reset');
change('zone=main&key=plain&action=open');
is_deeply(page_keys(''), $page, 'html: whatever the state');
is_deeply(page_keys('&filter=no-such-key'), [], 'html: filter, nothing');
is_deeply(page_keys('&filter=PLAIN&state=forced_open'), [ 'plain' ],
          'html: filter and state');
my $of_states = 0;
$of_states += @{ page_keys("&state=$_") }
    for qw(open closed half_open forced_open forced_closed);
is($of_states, scalar @$page, 'html: by state');
