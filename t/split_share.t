#!/usr/bin/perl

# Splits: shares, sticky keys, forced versions, changes by POST in all workers,
# the state file, aborts, ramps, and what happens when things go wrong.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use JSON::PP ();
use Test::More;
use Time::HiRes qw(sleep time);

use Harness;

my $t = Harness->new(modules => [ 'ngx_http_aggregate_module' ]);

my %b = map { $_ => $t->backend($_,
    '*'     => $_,
    '/404'  => { status => 404 },
    '/hang' => { action => 'hang' },
) } qw(v1 v2 v3);

my $conf = <<'EOC';

%%GLOBALS%%

worker_processes  2;

events {
}

http {
    %%HTTP%%

    aggregate_split_zone splits 256k state=%%TESTDIR%%/state/splits.json;

    map $http_x_tester $tester { default 0; yes 1; }

    aggregate_split $pool key=$http_x_user zone=splits {
        header  X-Canary if=$tester;
        cookie  canary;
        SHARE   v2;
        abort   errors=5% min=20 window=10s;
        *       v1;
    }

    aggregate_split $ab key=$http_x_user salt=other {
        10%  v2;
        20%  v3;
        *    v1;
    }

    aggregate_split $ramp key=$http_x_user zone=splits {
        ramp   v2 1% 50% 100% every=2s;
        abort  min=5 window=10s;
        *      v1;
    }

    aggregate_split $quick key=$http_x_user zone=splits {
        ramp   v2 0% 100% every=1s;
        *      v1;
    }

    upstream v1 { server 127.0.0.1:%%PORT_v1%%; }
    upstream v2 { server 127.0.0.1:%%PORT_v2%%; }
    upstream v3 { server 127.0.0.1:%%PORT_v3%%; }

    server {
        listen       127.0.0.1:%%PORT_0%%;
        server_name  localhost;

        location /       { proxy_pass http://$pool; proxy_read_timeout 300ms; }
        location /ab/    { proxy_pass http://$ab; }
        location /ramp/  { proxy_pass http://$ramp; }
        location /quick/ { return 200 $quick; }
        location /which  { return 200 $pool; }
        location /which-ab { return 200 $ab; }

        location /agg {
            aggregate {
                backend a /part/a { }
                backend b /part/b { encoding string; }
                backend c /part/c { encoding string; }
            }
        }
        location /part/ {
            proxy_set_header X-User other;
            proxy_pass http://$pool;
        }

        location = /split {
            aggregate_split_status;
        }
    }
}

EOC

mkdir $t->testdir . '/state';
chmod 0777, $t->testdir . '/state';

sub conf { return $conf =~ s/SHARE/$_[0]/r }

sub get {
    my ($uri, @headers) = @_;
    return http_request(GET => $uri, headers => [ @headers ]);
}

sub post {
    my ($args, @headers) = @_;
    return http_request(POST => "/split?$args", headers => [ @headers ]);
}

sub split_of {
    my ($name) = @_;
    my ($s) = grep { $_->{name} eq $name }
        @{ http_get('/split')->json->{splits} };
    return $s;
}

sub version { return (split_of($_[0])->{versions})->[0] }

sub share {
    my ($uri, $n) = @_;
    my %n;
    $n{ get($uri, 'X-User' => "u$_")->body }++ for 1 .. $n;
    return \%n;
}

$t->plan(78);
$t->run(conf('20%'));

# shares and stickiness

my %first = map { $_ => get('/which', 'X-User' => "u$_")->body } 1 .. 200;
my $n = grep { $_ eq 'v2' } values %first;
cmp_ok(abs($n - 40), '<', 25, 'a fifth') or diag($n);
is(scalar(grep { get('/which', 'X-User' => "u$_")->body ne $first{$_} }
          1 .. 200), 0, 'sticky');
is(get('/which')->body, 'v1', 'no key: the default');

my %ab;
$ab{ get('/which-ab', 'X-User' => "u$_")->body }++ for 1 .. 300;
cmp_ok(abs($ab{v2} - 30), '<', 25, 'another split, without a zone');
cmp_ok(abs($ab{v3} - 60), '<', 35, 'and its second version');

# forced

is(get('/which', 'X-User' => 'u1', 'X-Canary' => 'v2')->body, $first{1},
   'a header without its condition');
is(get('/which', 'X-User' => 'u1', 'X-Canary' => 'v2', 'X-Tester' => 'yes')
   ->body, 'v2', 'a header');
is(get('/which', 'X-User' => 'u1', 'X-Canary' => 'v9', 'X-Tester' => 'yes')
   ->body, $first{1}, 'of no version');
is(get('/which', 'X-User' => 'u1', Cookie => 'a=b; canary=v2')->body, 'v2',
   'a cookie');
is(get('/which', 'X-User' => 'u1', Cookie => 'canary=v2', 'X-Canary' => 'v1',
       'X-Tester' => 'yes')->body, 'v1', 'the header is first');

# a part has the version of its client's request

my ($canary) = grep { $first{$_} eq 'v2' } sort keys %first;
my ($stable) = grep { $first{$_} eq 'v1' } sort keys %first;
is(get('/agg', 'X-User' => "u$canary")->json->{b}, 'v2', 'a part');
is(get('/agg', 'X-User' => "u$stable")->json->{b}, 'v1', 'of another');

# changes by POST

my $r = post('split=pool&version=v2&percent=12.5');
is($r->status, 200, 'a share by hand');
is_deeply($r->json, { split => 'pool', version => 'v2', from => 20,
                      to => 12.5, state => 'manual',
                      persisted => JSON::PP::true }, 'the answer');
is(version('pool')->{percent}, 12.5, 'in force');
is(version('pool')->{state}, 'manual', 'manual');

my %second = map { $_ => get('/which', 'X-User' => "u$_")->body } 1 .. 200;
is(scalar(grep { $first{$_} eq 'v1' && $second{$_} eq 'v2' } 1 .. 200), 0,
   'nobody comes in when it shrinks');
post('split=pool&version=v2&percent=50');
my %third = map { $_ => get('/which', 'X-User' => "u$_")->body } 1 .. 200;
is(scalar(grep { $first{$_} eq 'v2' && $third{$_} ne 'v2' } 1 .. 200), 0,
   'nobody leaves when it grows');
is(scalar(grep { get('/which', 'X-User' => "u$_")->body ne $third{$_} }
          1 .. 200), 0, 'in all workers');

post('split=pool&version=v2&percent=100');
is(get('/which')->body, 'v2', 'no key: the version that has all');

is(post('split=nosuch&version=v2&percent=1')->status, 404, 'no split');
is(post('version=v2&percent=1')->status, 404, 'none of several');
is(post('split=pool&version=v9&percent=1')->status, 404, 'no version');
is(post('split=pool&version=v1&percent=1')->status, 404, 'the default');
is(post('split=pool&version=v2')->status, 400, 'nothing to do');
is(post('split=pool&version=v2&percent=101')->status, 400, 'over 100');
is(post('split=pool&version=v2&percent=1.001')->status, 400, 'too fine');
is(post('split=pool&version=v2&percent=x')->status, 400, 'no number');
is(post('split=pool&version=v2&percent=.')->status, 400, 'no digit');
is(post('split=pool&version=v2&action=x')->status, 400, 'no action');
is(post('split=pool&version=v2&percent=1&action=abort')->status, 400, 'both');
is(post('split=ab&version=v2&percent=1')->status, 409, 'no zone');
is(post('split=pool&version=v2&action=resume')->status, 409,
   'nothing to resume');
is(post('split=pool&version=v2&percent=1', Origin => 'http://evil')->status,
   403, 'a foreign origin');
is(post('split=pool&version=v2&percent=1',
        'Sec-Fetch-Site' => 'cross-site')->status, 403, 'and site');
is(get('/split?split=pool&version=v2&percent=1')->status, 200, 'GET');
is(version('pool')->{percent}, 100, 'changes nothing');
is(http_request(DELETE => '/split')->status, 405, 'DELETE');

is(post('split=pool&version=v2&action=reset')->json->{to}, 20, 'reset');
is(version('pool')->{state}, 'fixed', 'as configured');
is(post('split=pool&version=v2&action=abort')->json->{state}, 'aborted',
   'abort');
is(get('/which', 'X-User' => "u$canary")->body, 'v1', 'nobody gets it');
is(get('/which', 'X-User' => 'x', Cookie => 'canary=v2')->body, 'v2',
   'but who is forced');
is(post('split=pool&version=v2&action=resume')->json->{to}, 20, 'resume');

# reload and restart

post('split=pool&version=v2&percent=33');
$t->reload;
is(version('pool')->{percent}, 33, 'kept by a reload');
$t->stop;
$t->run;
is(version('pool')->{percent}, 33, 'and by a restart');
is(version('pool')->{state}, 'manual', 'with its state');
like(version('ramp')->{state}, qr/^(?:ramping|waiting)$/, 'others too');

$t->reload(conf('25%'));
is(version('pool')->{percent}, 25, 'a changed configuration wins');
is(scalar($t->grep_log(qr/\[notice\].*split "\$pool" has changed/)), 1,
   'with one line');
$t->reload(conf('20%'));

# errors abort it

my ($fast) = grep { $_->{name} eq 'pool' }
    @{ http_get('/split')->json->{splits} };
post('split=pool&version=v2&action=reset');
get('/x', 'X-User' => "u$_") for 1 .. 100;
cmp_ok(version('pool')->{window}{calls}, '>=', 5, 'calls are counted');
is(version('pool')->{window}{errors}, 0, 'without errors');
$b{v2}->set('*' => { status => 500, body => '' });
get('/x', 'X-User' => 'forced', Cookie => 'canary=v2') for 1 .. 40;
sleep 1.5;
is(version('pool')->{state}, 'fixed', 'testers are no sample');
get('/x', 'X-User' => "u$_") for grep { $first{$_} eq 'v2' } 1 .. 200;
my $time = time;
ok(wait_for(sub { version('pool')->{state} eq 'aborted' }, slow(4)),
   'aborted');
cmp_ok(time - $time, '<', slow(2), 'within two seconds');
is(version('pool')->{percent}, 0, 'at 0 %');
is(version('pool')->{reason}, 'errors', 'why');
my $aborted = qr/\[error\].*split "\$pool": version "v2" is aborted/;
my @lines = $t->grep_log($aborted);
is(scalar @lines, 1, 'one line');
like($lines[0], qr/at 20\.00% for its errors: \d+ of \d+ calls failed.*"v1": /,
     'with the figures');
is(get('/x', 'X-User' => "u$canary")->body, 'v1', 'nobody gets it');
$t->stop;
$t->run;
is(version('pool')->{state}, 'aborted', 'after a restart as well');
$b{v2}->set('*' => 'v2');
is(post('split=pool&version=v2&action=resume')->json->{to}, 20, 'resumed');
sleep 1.5;
is(version('pool')->{state}, 'fixed', 'with an empty window');

# a client that leaves is no error, a 404 neither

my @c = map { $t->connect } 1 .. 25;
$_->request(GET => '/hang', headers => [ 'X-User' => "u$canary" ]) for @c;
sleep 0.1;
$_->close for @c;
get('/404', 'X-User' => "u$canary") for 1 .. 25;
sleep 1.5;
is(version('pool')->{state}, 'fixed', 'neither counts');

# ramps

ok(wait_for(sub { version('quick')->{state} eq 'promoted' }, slow(5)),
   'time alone, where there is no "abort"');
is(get('/quick/', 'X-User' => 'u1')->body, 'v2', 'at its end');
sleep 1;
is(version('ramp')->{state}, 'waiting', 'no traffic is no proof');
is(post('split=ramp&version=v2&percent=50')->json->{state}, 'manual', 'hand');
post('split=ramp&version=v2&action=reset');
is(version('ramp')->{step}, 1, 'from the first step');
is(post('split=ramp&version=v2&action=pause')->json->{state}, 'paused',
   'paused');
is(post('split=ramp&version=v2&action=resume')->json->{state}, 'ramping',
   'and on');

# metrics and page

my $text = http_get('/split?format=prometheus')->body;
like($text, qr/^gateway_split_ratio\{split="pool",version="v2"\} 0\.2$/m,
     'ratio');
like($text, qr/^gateway_split_requests_total\{[^}]*reason="cookie"\} \d+$/m,
     'requests');
like(http_get('/split?format=html')->body, qr/<h2>\$pool/, 'a page');

# the file cannot be written: in force all the same

rename $t->testdir . '/state', $t->testdir . '/gone';
$r = post('split=pool&version=v2&percent=7');
is($r->status . $r->json->{persisted}, '5030', 'not persisted');
is(version('pool')->{percent}, 7, 'but in force');
$t->allow_log(qr/state file/);

# rubbish in it

$t->stop;
rename $t->testdir . '/gone', $t->testdir . '/state';
$t->write_file('state/splits.json', '{"splits":[{"name":"pool","text":');
$t->run;
is(version('pool')->{percent}, 20, 'rubbish: the configuration');
is(scalar($t->grep_log(qr/\[error\].*state file .* is invalid/)), 1,
   'one line');
