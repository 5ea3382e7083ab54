#!/usr/bin/perl

# Configurations of the breaker module that are refused, with their messages,
# and some that are not.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;

use Harness;

my $t = Harness->new(modules => [ 'ngx_http_breaker_module' ]);

my $server = 'server { listen 127.0.0.1:%%PORT_0%%; ';
my $zone = "breaker_zone z 1m;\n";
my $p = 'breaker_policy p { }';
my $q = 'breaker_policy q { }';

# in http { }; what nginx says, undef: nothing

my @cases = (

    # zones

    [ 'breaker_zone;', qr/invalid number of arguments in "breaker_zone"/ ],
    [ 'breaker_zone z;', qr/invalid number of arguments/ ],
    [ 'breaker_zone z x;', qr/invalid size "x" in "breaker_zone" in .*:\d+/ ],
    [ 'breaker_zone z 0;',
      qr/size "0" in "breaker_zone" is too small, it must be at least 32k/ ],
    [ 'breaker_zone z 31k;', qr/size "31k" in "breaker_zone" is too small/ ],
    [ 'breaker_zone z 32k;', undef ],
    [ 'breaker_zone z 1m; breaker_zone z 1m;', qr/duplicate breaker zone "z"/ ],
    [ 'breaker_zone "" 1m;', qr/empty name in "breaker_zone"/ ],
    [ 'limit_req_zone $uri zone=z:1m rate=1r/s; breaker_zone z 1m;',
      qr/"z" is already (declared|used)/ ],
    [ "$server breaker_zone z 1m; }",
      qr/"breaker_zone" directive is not allowed here/ ],

    # policies

    [ 'breaker_policy p;', qr/directive "breaker_policy" has no opening "\{"/ ],
    [ 'breaker_policy p { }', undef ],
    [ 'breaker_policy p { } breaker_policy p { }',
      qr/duplicate breaker policy "p"/ ],
    [ 'breaker_policy p { failure_treshold 5; }',
      qr/unknown\ statement\ "failure_treshold"\ in\ "breaker_policy",
         \ did\ you\ mean\ "failure_threshold"\?\ in\ .*:\d+/x ],
    [ 'breaker_policy p { colour red; }',
      qr/unknown statement "colour" in "breaker_policy" in/ ],
    [ 'breaker_policy p { probes 0; }',
      qr/invalid\ value\ "0"\ in\ "probes",
         \ it\ must\ be\ a\ number\ from\ 1\ to\ 1000\ in\ .*:\d+/x ],
    [ 'breaker_policy p { probes -1; }', qr/invalid value "-1" in "probes"/ ],
    [ 'breaker_policy p { probes 1001; }',
      qr/invalid value "1001" in "probes"/ ],
    [ 'breaker_policy p { probes 99999999999999999999; }',
      qr/invalid value "9+" in "probes"/ ],
    [ 'breaker_policy p { probes; }',
      qr/invalid number of arguments in "probes", it takes a number/ ],
    [ 'breaker_policy p { probes 1 2; }',
      qr/invalid number of arguments in "probes"/ ],
    [ 'breaker_policy p { probes 1; probes 2; }', qr/"probes" is duplicate/ ],
    [ 'breaker_policy p { probe_concurrency 17; }',
      qr/"probe_concurrency", it must be a number from 1 to 16/ ],
    [ 'breaker_policy p { probe_concurrency 16; }', undef ],
    [ 'breaker_policy p { failure_threshold x; }',
      qr/invalid value "x" in "failure_threshold"/ ],
    [ 'breaker_policy p { failure_threshold 0; }', undef ],
    [ 'breaker_policy p { failure_rate 50; }',
      qr/invalid value "50" in "failure_rate", it must be a rate/ ],
    [ 'breaker_policy p { failure_rate 101%; }',
      qr/invalid value "101%" in "failure_rate"/ ],
    [ 'breaker_policy p { failure_rate %; }',
      qr/invalid value "%" in "failure_rate"/ ],
    [ 'breaker_policy p { failure_rate .%; }',
      qr/invalid value "\.%" in "failure_rate"/ ],
    [ 'breaker_policy p { failure_rate 12.345%; }',
      qr/invalid value "12.345%"/ ],
    [ 'breaker_policy p { failure_rate 12.5%; slow_rate 0; jitter 0%; }',
      undef ],
    [ 'breaker_policy p { jitter 200%; }',
      qr/"jitter", it must be a rate from 0% to 100%/ ],
    [ 'breaker_policy p { window 99ms; }',
      qr/value "99ms" in "window", it must be a time from 100ms to 1d/ ],
    [ 'breaker_policy p { window 25h; }', qr/invalid value "25h" in "window"/ ],
    [ 'breaker_policy p { window 1d; }', undef ],
    [ 'breaker_policy p { window soon; }',
      qr/invalid value "soon" in "window"/ ],
    [ 'breaker_policy p { minimum_calls 0; }',
      qr/invalid value "0" in "minimum_calls"/ ],
    [ 'breaker_policy p { recovery_timeout 0; }',
      qr/invalid value "0" in "recovery_timeout"/ ],
    [ 'breaker_policy p { recovery_timeout 2m; max_recovery_timeout 1m; }',
      qr/"max_recovery_timeout"\ of\ 60000ms\ in\ breaker\ policy\ "p"
         \ is\ less\ than\ "recovery_timeout"\ of\ 120000ms/x ],
    [ 'breaker_policy p { recovery_timeout 1h; }', undef ],
    [ 'breaker_policy p { probe_timeout 0; }',
      qr/invalid value "0" in "probe_timeout"/ ],
    [ 'breaker_policy p { failures; }',
      qr/invalid number of arguments in "failures"/ ],
    [ 'breaker_policy p { failures http_399; }',
      qr/invalid\ value\ "http_399"\ in\ "failures",\ it\ must\ be\ "error",
         \ "timeout",\ one\ of\ "http_400"\ to\ "http_599",\ or\ "grpc_"/x ],
    [ 'breaker_policy p { failures grpc_ok; }', qr/invalid value "grpc_ok"/ ],
    [ 'breaker_policy p { failures grpc_; }', qr/invalid value "grpc_"/ ],
    [ 'breaker_policy p { failures grpc_14; }', qr/invalid value "grpc_14"/ ],
    [ 'breaker_policy p { failures error grpc_unavailable grpc_cancelled; }',
      undef ],
    [ 'breaker_log_level debug;', qr/invalid value "debug"/ ],
    [ 'breaker_log_level warn; breaker_log_level warn;', qr/duplicate/ ],
    (map { [ "breaker_log_level $_;", undef ] } qw(error warn notice info)),
    [ 'breaker_policy p { failures http_5xx; }', qr/invalid value "http_5xx"/ ],
    [ 'breaker_policy p { failures 500; }',
      qr/invalid value "500" in "failures"/ ],
    [ 'breaker_policy p { failures error http_400 http_599; }', undef ],
    [ 'breaker_policy p { probes 2 { } }', qr/unexpected "\{"/ ],
    [ 'breaker_policy p { include; }',
      qr/invalid number of arguments in "include"/ ],
    [ 'breaker_policy p { include %%TESTDIR%%/p.conf; }', undef ],
    [ 'breaker_policy p { include %%TESTDIR%%/bad.conf; }',
      qr/unknown statement "prbes".*did you mean "probes"\? in .*bad.conf:2/ ],

    # breaker

    [ "$server breaker; }", qr/invalid number of arguments in "breaker"/ ],
    [ "$zone $server breaker k; }", qr/no "zone=" parameter in "breaker" in/ ],
    [ "$zone $server breaker k zone=; }", qr/invalid parameter "zone="/ ],
    [ "$zone $server breaker k zone=z zone=z; }",
      qr/invalid parameter "zone=z" in "breaker" in/ ],
    [ "$zone $server breaker k zne=z; }",
      qr/invalid parameter "zne=z" in "breaker", did you mean "zone="\?/ ],
    [ "$zone $server breaker k zone=z dryrun; }",
      qr/did you mean "dry_run"\?/ ],
    [ "$zone $server breaker k zone=z x=1; }",
      qr/invalid parameter "x=1" in "breaker" in/ ],
    [ "$server braeker k zone=z; }",
      qr/"braeker" in .*\n.* did you mean "breaker" instead of "braeker"/ ],
    [ "breaker_zones z 64k;", qr/did you mean "breaker_zone" instead/ ],
    [ "$server brotli on; }",
      qr/unknown directive "brotli"(?!.*did you mean)/s ],
    [ "$zone $server breaker '' zone=z; }", qr/empty key in "breaker"/ ],
    [ "$zone $server breaker k zone=y; }",
      qr/unknown breaker zone "y" in .*:\d+/ ],
    [ "$zone $server breaker k zone=z policy=q; }",
      qr/unknown breaker policy "q" in .*:\d+/ ],
    [ "$zone $server breaker \$nothing zone=z; }",
      qr/unknown variable "\$nothing" in .*:\d+/ ],
    [ "$zone $server breaker off; }", undef ],
    [ "$zone breaker off; breaker k zone=z;",
      qr/"breaker" directive is duplicate/ ],
    [ "breaker k zone=z; $zone", undef ],
    [ "$zone $p $server breaker k\$uri zone=z policy=p dry_run; }",
      undef ],
    [ "$zone $p $q\n$server\nlocation /a { breaker k zone=z policy=p; }\n"
      . "location /b { breaker k zone=z policy=q; } }",
      qr/breaker\ "k"\ of\ zone\ "z"\ has\ policy\ "p"\ in\ .*:\d+
         \ and\ policy\ "q"\ in\ .*:\d+/x ],
    [ "$zone $p $server location /a { breaker k zone=z; }\n"
      . "location /b { breaker k zone=z policy=p; } }",
      qr/breaker "k" of zone "z" has policy "default"/ ],
    [ "$zone breaker_zone y 1m; $p $q $server\n"
      . "location /a { breaker k zone=z policy=p; }\n"
      . "location /b { breaker k zone=y policy=q; }\n"
      . "location /c { breaker k zone=z policy=p dry_run; } }",
      undef ],

    [ "breaker_policy '' { }", qr/invalid name "" in "breaker_policy" in / ],

    # fallbacks

    [ "$server breaker_fallback; }", qr/invalid number of arguments/ ],
    [ "$server breaker_fallback 200 text/plain; }",
      qr/invalid number of arguments/ ],
    [ "$server breaker_fallback 199; }",
      qr/invalid value "199" in "breaker_fallback"/ ],
    [ "$server breaker_fallback 302; }", qr/invalid value "302"/ ],
    [ "$server breaker_fallback 444; }", qr/invalid value "444"/ ],
    [ "$server breaker_fallback 600; }", qr/invalid value "600"/ ],
    [ "$server breaker_fallback abc; }",
      qr/invalid value "abc" in "breaker_fallback", it must be a code/ ],
    [ "$server breaker_fallback @; }", qr/invalid value "@"/ ],
    [ "$server breaker_fallback 204 text/plain x; }",
      qr/code "204" in "breaker_fallback" takes no body/ ],
    [ "$server breaker_fallback 204; }", undef ],
    [ "$server breaker_fallback 503; breaker_fallback 503; }",
      qr/"breaker_fallback" directive is duplicate/ ],
    [ "$server breaker_fallback 200 text/plain '\$nothing'; }",
      qr/unknown variable "\$nothing" in .*:\d+/ ],
    [ "$server breaker_fallback \@f; }",
      qr/unknown named location "\@f" of "breaker_fallback" in .*:\d+/ ],
    [ "$server breaker_fallback \@f; location \@f { return 200; } }", undef ],
    [ "breaker_fallback \@f; $server }", undef ],

    # status

    [ "$server breaker_status; }",
      qr/"breaker_status" directive is not allowed here/ ],
    [ "$server location /s { breaker_status on; } }",
      qr/invalid number of arguments/ ],
    [ "$server location /s { breaker_status; breaker_status; } }",
      qr/is duplicate/ ],
    [ "$server location /s { breaker_status; } }", undef ],
);

$t->plan(2 * @cases + 1);

$t->write_file('p.conf', "probes 2;\n");
$t->write_file('bad.conf', "\nprbes 2;\n");

sub config {
    my ($http) = @_;
    return <<"EOC";
%%GLOBALS%%
events {
}
http {
    %%HTTP%%
    $http
}
EOC
}

for my $case (@cases) {
    my ($http, $expected) = @$case;
    my ($ok, $output) = $t->test_config(config($http));

    if ($expected) {
        ok(!$ok, "refused: $http");
        like($output, $expected, 'says why');

    } else {
        ok($ok, "taken: $http");
        unlike($output, qr/emerg|breaker(?!_status" without|" guards)/,
               'without a word') or diag($output);
    }
}

# the state of the module does not matter where it is not used

$t->run(config("$server location / { return 200 fine; } }"));
is(http_get('/')->body, 'fine', 'not used');
