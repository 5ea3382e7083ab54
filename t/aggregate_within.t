# An aggregate that is itself a subrequest: of SSI, auth_request, addition,
# mirror, of itself; and one that others are led to.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use Test::More;

use Time::HiRes qw(sleep);

use Harness;
use Harness::Aggregate;

my $t = Harness->new(modules => ['ngx_http_aggregate_module'], plan => 37);

my $b = $t->backend('b',
    '/1' => '1', '/2' => { body => '2', delay => slow(0.05) },
    '/t/' => { delay => 0.1, body => '"t"' },
    '/slow' => { delay => 20 }, '/500' => { status => 500 },
    '/403' => { status => 403 }, '/big' => '"' . 'x' x 100_000 . '"',
    '/page' => { type => 'text/html', body =>
        'A<!--#include virtual="/agg" -->B<!--#include virtual="/agg2" -->C' },
    '/pagelate' => { type => 'text/html', body =>
        'A<!--#include virtual="/late" -->B' },
    '/pagefail' => { type => 'text/html', body =>
        'A<!--#include virtual="/fail" -->B' },
    '/pagebig' => { type => 'text/html', body =>
        'A<!--#include virtual="/big" -->B' },
    '/pagewait' => { type => 'text/html', body =>
        'A<!--#include virtual="/agg" wait="yes" -->B' },
    '/pageset' => { type => 'text/html', body =>
        'A<!--#include virtual="/agg" set="x" -->[<!--#echo var="x"'
        . ' encoding="none" -->]B' },
);

$t->backend('x', '/' => sub {
    return { headers => [ 'X-Accel-Redirect' => $_[0]{path} ] } });

serve($t, server => q{
    location = /agg { aggregate { backend a /b/1 { } backend b /b/2 { } } }
    location = /one { aggregate { concurrency 1; backend a /agg { }
                                  backend b /agg { } backend c /b/1 { } } }
    location = /two { aggregate { concurrency 1; backend a /one { }
                                  backend b /b/2 { } } }
    location = /inner { aggregate { backend a /b/t/1 { } } }
    location = /inner4 { aggregate { backend a /b/t/2 { } backend b /b/t/3 { }
        backend c /b/t/4 { } backend d /b/t/5 { } } }
    location = /places { aggregate { concurrency 2; backend a /inner { }
        backend b /inner4?after=${a.a} { } } }
    location = /agg2 { aggregate { backend c /b/1 { } backend d /b/500 { } } }
    location = /late { aggregate { timeout 100ms; backend a /b/slow { }
                                   backend b /b/1 { } } }
    location = /never { aggregate { timeout 500ms; backend a /b/slow { } } }
    location = /fail { aggregate { backend a /b/500 { required; } } }
    location = /deny { aggregate { backend a /b/403 { required; } } }
    location = /big { aggregate { backend a /b/big { } } }

    location /page { ssi on; proxy_pass http://127.0.0.1:%%PORT_b%%; }
    location /authok { auth_request /agg; return 200 authorized; }
    location /authpart { auth_request /agg;
                         aggregate { backend x /b/1 { } } }
    location /guarded { auth_request /agg; root %%TESTDIR%%/html; }
    location /guarded/denied { auth_request /deny; root %%TESTDIR%%/html; }
    location /guarded/failed { auth_request /fail; root %%TESTDIR%%/html; }
    location /guarded/late { auth_request /late; root %%TESTDIR%%/html; }
    location /added { add_after_body /agg; add_before_body /agg2;
                      addition_types *; alias %%TESTDIR%%/html/guarded; }
    location /mirrored { mirror /never; alias %%TESTDIR%%/html/guarded; }
    location /mirrored2 { mirror /agg; aggregate { backend a /b/1 { } } }

    location /accel { proxy_pass http://127.0.0.1:%%PORT_x%%/; }
    location /self { aggregate { timeout 5s; backend a /accel/self { }
                                 backend b /b/1 { } } }
    location /errs { error_page 404 = /agg; return 404; }
    location /looperr { error_page 502 = /looperr;
                        aggregate { backend a /b/500 { } } }
    location /tries { try_files /nosuch /agg; }
    location /part-errs { aggregate { backend a /errs { } backend b /b/1 { } } }
    location /both { aggregate { backend a /agg { } backend b /agg { }
                                 backend c /late { } backend d /fail { } } }
    location /deep1 { aggregate { backend n /deep2 { } } }
    location /deep2 { aggregate { backend n /deep3 { } } }
    location /deep3 { aggregate { backend n /deep4 { } } }
    location /deep4 { aggregate { backend n /late { } } }
    location /innerssi { ssi on; ssi_types *;
                         aggregate { backend a /b/1 { } } }
});

$t->write_file('html/guarded/file', 'guarded');
$t->write_file("html/guarded/$_/file", 'guarded') for qw(denied failed late);


sub quiet {
    return wait_for(sub { $b->stats->{active} == 0 }, slow(3));
}


# SSI: the aggregate's answer stands in the page

my $one = '{"a":1,"b":2}';

my $r = http_get('/page');
is($r->status, 200, 'SSI');
is(squeeze($r->body), "A${one}B{\"c\":1}C", 'SSI: two aggregates');
$r = http_get('/pagelate');
is(squeeze($r->body), 'A{"b":1}B', 'SSI: a partial one');
cmp_ok($r->time, '<', slow(1), 'SSI: in time');
$r = http_get('/pagefail');
like(squeeze($r->body), qr/^A(?:.*)B$/s, 'SSI: a failed one');
$r = http_get('/pagebig');
is(length $r->body, 100_002 + length('A{"a":}B'), 'SSI: a big one');
$r = http_get('/pagewait');
is(squeeze($r->body), "A${one}B", 'SSI: wait');
$r = http_get('/pageset');
like(squeeze($r->body), qr/^A\[.*\]B$/s, 'SSI: set');

my $c = $t->connect;
$c->request(GET => '/page');
is($c->response->status, 200, 'SSI: kept alive');
$c->request(GET => '/agg');
is(outcome($c->response), "200 complete $one", 'SSI: and the next request');

# auth_request

$r = http_get('/guarded/file');
is($r->status . $r->body, '200guarded', 'auth_request: allowed');
$r = http_get('/authpart');
is(outcome($r), '200 complete {"x":1}', 'auth_request: before an aggregate');
$r = http_get('/guarded/denied/file');
is($r->status, 403, 'auth_request: denied');
$r = http_get('/guarded/failed/file');
$t->allow_log(qr/auth request unexpected status/);
is($r->status, 500, 'auth_request: failed');
$r = http_get('/guarded/late/file');
is($r->status . $r->body, '200guarded', 'auth_request: partial');

# addition and mirror

$r = http_get('/added/file');
is($r->status, 200, 'addition');
is(squeeze($r->body), "{\"c\":1}guarded$one", 'addition: both');

$b->clear;
$c = $t->connect;
$c->request(GET => '/mirrored/file');
is($c->response->body, 'guarded', 'mirror');
ok(wait_for(sub { $b->count('/slow') == 1 }, slow(2)), 'mirror: asked');
$c->close;
ok(quiet(), 'mirror: over at its deadline');
$r = http_get('/mirrored2');
is(outcome($r), '200 complete {"a":1}', 'mirror of an aggregate');
ok(quiet(), 'mirror of an aggregate: over');

# internal redirects

$r = http_get('/self');
like($r->status, qr/^(?:200|502)$/, 'a part that is led back to its aggregate');
cmp_ok($r->time, '<', slow(4), 'in time');
is(outcome(http_get('/errs')), "200 complete $one", 'error_page');
like(http_get('/looperr')->status, qr/^50[02]$/, 'error_page to itself');
is(outcome(http_get('/tries')), "200 complete $one", 'try_files');
is(outcome(http_get('/part-errs')), "200 complete {\"a\":$one,\"b\":1}",
   'a part led to an aggregate by error_page');

# nested

$r = http_get('/both');
is(outcome($r), "200 partial:c, d {\"a\":$one,\"b\":$one,\"c\":{\"b\":1}}",
   'nested: two good ones, a partial, a failed one');
is(outcome(http_get('/one')), "200 complete {\"a\":$one,\"b\":$one,\"c\":1}",
   'nested with room for one subrequest at a time');
$b->clear;
is(outcome(http_get('/places')), '200 complete '
   . '{"a":{"a":"t"},"b":{"a":"t","b":"t","c":"t","d":"t"}}',
   'a nested one after another');
is($b->stats->{parallel}, 2, 'still two at a time');
is(outcome(http_get('/two')), "200 complete {\"a\":{\"a\":$one,"
   . "\"b\":$one,\"c\":1},\"b\":2}", 'and in one more');
$r = http_get('/deep1');
is(outcome($r), '200 partial:n {"n":{"n":{"n":{"n":{"b":1}}}}}',
   'nested five deep, the innermost partial');
is(squeeze(http_get('/innerssi')->body), '{"a":1}', 'SSI on the answer itself');

ok(quiet(), 'nothing goes on');
is(outcome(http_get('/agg')), "200 complete $one", 'and all is well');
