#!/usr/bin/perl

# "breaker_fallback" with a JSON type: what a client wrote stays inside its
# string.  Named locations, one after the other.  And the level of the lines
# for transitions.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use JSON::PP ();
use Test::More;

use Harness;

my $t = Harness->new(modules => [ 'ngx_http_breaker_module' ]);

my $b = $t->backend('b', '/' => 'fine', '/fail' => { status => 500 });
my $n = $t->backend('n', '*' => 'named');

my $conf = <<'EOC';

%%GLOBALS%%

worker_processes  1;

events {
}

http {
    %%HTTP%%

    breaker_zone  z 1m;

    breaker_policy p {
        failure_threshold     1;
        recovery_timeout      1ms;
        max_recovery_timeout  1ms;
        probes                1;
    }

    server {
        listen       127.0.0.1:%%PORT_0%%;
        server_name  localhost;

        breaker  $arg_key zone=z;

        location = /json {
            breaker_fallback 200 application/json
                '{"q":"$http_x_text","u":"${uri}s","n":$request_length,"$1":0}';
            proxy_pass  http://127.0.0.1:%%PORT_b%%;
        }

        location = /problem {
            breaker_fallback 503 'application/problem+json; charset=utf-8'
                '{"detail":"$http_x_text"}';
            proxy_pass  http://127.0.0.1:%%PORT_b%%;
        }

        location ~ ^/capture/(.*)$ {
            breaker_fallback 200 application/json '["$1"]';
            proxy_pass  http://127.0.0.1:%%PORT_b%%;
        }

        location = /empty {
            breaker_fallback 200 application/json $http_x_nosuch;
            proxy_pass  http://127.0.0.1:%%PORT_b%%;
        }

        location = /text {
            breaker_fallback 200 text/plain 'q: $http_x_text';
            proxy_pass  http://127.0.0.1:%%PORT_b%%;
        }

        location = /constant {
            breaker_fallback 200 application/json '{"a":"\\n"}';
            proxy_pass  http://127.0.0.1:%%PORT_b%%;
        }

LEVELS

        location = /chain {
            breaker           A zone=z;
            breaker_fallback  @b;
            proxy_pass        http://127.0.0.1:%%PORT_b%%/;
        }

        location @b {
            breaker           B zone=z;
            breaker_fallback  @c;
            proxy_pass        http://127.0.0.1:%%PORT_n%%;
        }

        location @c {
            breaker           C zone=z;
            breaker_fallback  @again;
            proxy_pass        http://127.0.0.1:%%PORT_n%%;
        }

        location @again {
            breaker           $arg_again zone=z;
            breaker_fallback  @b;
            proxy_pass        http://127.0.0.1:%%PORT_n%%;
        }

        location = /self {
            error_page  418 = @self;
            return      418;
        }

        location @self {
            breaker           S zone=z;
            breaker_fallback  @self;
            proxy_pass        http://127.0.0.1:%%PORT_n%%;
        }

        location = /breakers {
            breaker_status;
        }
    }
}

EOC

my $levels = '';

for my $level (qw(default error warn notice info)) {
    my $directive = $level eq 'default' ? '' : "breaker_log_level $level;";
    $levels .= <<"EOC";
        location /$level/ {
            $directive
            breaker     $level zone=z policy=p;
            proxy_pass  http://127.0.0.1:%%PORT_b%%/;
        }
EOC
}

$conf =~ s/LEVELS/$levels/;

$t->plan(35);
$t->run($conf);

http_get('/breakers');
http_request(GET => '/json?key=k');
http_request(POST => '/breakers?key=k&action=open');

sub rejected {
    my ($uri, $text) = @_;
    return http_request(GET => "$uri?key=k",
                        headers => [ 'X-Text' => $text ]);
}

my $json = JSON::PP->new->utf8;

for my $text ('plain', 'a"b', 'a\\', '","x":"', "tab\there", "\xc3\xa9",
              "bad\xff\xc0", "\xe2\x82")
{
    my $r = rejected('/json', $text);
    my $doc = eval { $json->decode($r->body) };
    ok($doc, "valid: $text") or diag($r->body);
    is_deeply([ sort keys %{ $doc || {} } ], [ '', 'n', 'q', 'u' ],
              'no other member') if $text =~ /"/;
}

is($json->decode(rejected('/json', '","x":"')->body)->{q}, '","x":"',
   'the value is whole');
is($json->decode(rejected('/json', 'x')->body)->{u}, '/jsons', 'braces');
is($json->decode(rejected('/problem', 'a"b')->body)->{detail}, 'a"b',
   'a type with a parameter');
is(rejected('/capture/a%22b', '')->body, '["a\\"b"]', 'a capture');
is(rejected('/empty', '')->body, '', 'an empty variable');
is(rejected('/text', 'a"b\\')->body, 'q: a"b\\', 'other types as they are');
is(rejected('/constant', '')->body, '{"a":"\\n"}', 'constants as they are');

# the conditions of a client concern what the backend has

for my $header ([ 'If-Match' => '"x"' ], [ 'If-None-Match' => '*' ],
                [ 'If-Unmodified-Since' => 'Thu, 01 Jan 1970 00:00:01 GMT' ])
{
    is(http_get('/constant?key=k', headers => $header)->status, 200,
       "the fallback, $header->[0]");
}

# named locations, each with a breaker of its own; the backend is never asked
# by a request that its breaker has rejected, and none is redirected for ever

sub opened {
    my ($key) = @_;
    http_get($key eq 'S' ? '/self' : '/chain?again=D');
    return http_request(POST => "/breakers?key=$key&action=open")->status;
}

is(http_get('/chain')->body, 'fine', 'all are closed');

for my $case (
    [ A => '/chain', 'named', 'the first one is open' ],
    [ B => '/chain', 'named', 'the second one, too' ],
    [ C => '/chain', 'named', 'the third one, too' ],
) {
    my ($key, $uri, $body, $name) = @$case;
    opened($key);
    is(http_get($uri)->body, $body, $name);
}

is(http_get('/chain?again=B')->body, 'named',
   'a fallback is not guarded by the same key');
opened('D');
$n->clear;
my $r = http_get('/chain?again=D');
is($r->status . ' ' . $r->header('X-Breaker'), '503 open',
   'back to the second');
ok($r->header('Retry-After'), 'the default answer');
opened('S');
is(http_get('/self')->status, 503, 'back to itself');
is($n->count, 1, 'nothing was asked since');

# levels: the way to open has the one that is set, the way back is no error

for my $level (qw(default error warn notice info)) {
    http_get("/$level/fail");
    wait_for(sub {
        http_get("/$level/");
        http_get("/breakers?key=$level")->json->{breakers}[0]{state}
            eq 'closed';
    }, slow(5));
}

my %open = (default => 'error', error => 'error', warn => 'warn',
            notice => 'notice', info => 'info');
my %back = (default => 'warn', error => 'warn', warn => 'warn',
            notice => 'notice', info => 'info');

for my $level (qw(default error warn notice info)) {
    my @l = map { /\[(\w+)\].* -> (\w+)/ ? "$1:$2" : () }
        $t->grep_log(qr/breaker "$level"/);
    is("@l", "$open{$level}:open $back{$level}:half_open $back{$level}:closed",
       "level $level");
}

is(scalar($t->grep_log(qr/\[alert\]/)), 0, 'no alerts');
