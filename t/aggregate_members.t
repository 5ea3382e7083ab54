# What becomes a member of the answer: as, hidden, default, if, errors.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use Test::More;

use Harness;
use Harness::Aggregate;

my $t = Harness->new(modules => ['ngx_http_aggregate_module']);

$t->backend('b',
    '/1' => '1',
    '/2' => '2',
    '/o' => '{"id":7,"x":{"y":"z"}}',
    '/null' => 'null',
    '/404' => { status => 404, body => '{"m":"no"}' },
    '/500' => { status => 500 },
    '/bad' => '{',
    '/slow' => { delay => 10 },
    '/7/' => '"seven"',
    '/q/' => sub { { body => '"' . $_[0]{path} . '"' } },
);

my @cases = (
    # as
    [ 'as', q{ backend a /b/1 { as other; } }, '200 complete {"other":1}' ],
    [ 'as, a blank', q{ backend a /b/1 { as 'two words'; } },
      '200 complete {"two words":1}' ],
    [ 'as, a quote', q{ backend a /b/1 { as 'say "x"'; } },
      '200 complete {"say \"x\"":1}' ],
    [ 'as, a backslash', q{ backend a /b/1 { as 'a\\\\b'; } },
      '200 complete {"a\\\\b":1}' ],
    [ 'as, UTF-8', qq{ backend a /b/1 { as \xc3\xa9; } },
      qr/^200 complete \{"(?:\xc3\xa9|\\u00e9)":1\}$/i ],
    [ 'as, the name of no other part any more',
      q{ backend a /b/1 { as b; } backend b /b/2 { as a; } },
      '200 complete {"b":1,"a":2}' ],
    [ 'a part failed under its own name',
      q{ backend a /b/500 { as x; } backend b /b/2 { as y; } },
      '200 partial:a {"y":2}' ],

    # hidden
    [ 'hidden', q{ backend a /b/1 { hidden; } backend b /b/2 { } },
      '200 complete {"b":2}' ],
    [ 'hidden, all of them', q{ backend a /b/1 { hidden; } },
      '200 complete {}' ],
    [ 'hidden, used by another',
      q{ backend a /b/o { hidden; } backend b /b/q/${a.id} { } },
      '200 complete {"b":"/q/7"}' ],
    [ 'hidden and failed', q{ backend a /b/500 { hidden; } backend b /b/2 { } },
      '200 partial:a {"b":2}' ],
    [ 'hidden and required',
      q{ backend a /b/404 { hidden; required; } backend b /b/2 { } },
      qr/^404 \{"a":"status"/ ],
    [ 'hidden, with a default for others',
      q{ backend a /b/500 { hidden; default '{"id":9}'; }
         backend b /b/q/${a.id} { } },
      '200 partial:a {"b":"/q/9"}' ],

    # required
    [ 'required and there',
      q{ backend a /b/1 { required; } backend b /b/2 { } },
      '200 complete {"a":1,"b":2}' ],
    [ 'required there, another not',
      q{ backend a /b/1 { required; } backend b /b/500 { } },
      '200 partial:b {"a":1}' ],
    [ 'required not there',
      q{ backend a /b/500 { required; } backend b /b/2 { } },
      qr/^502 \{"a":"status"/ ],

    # default
    [ 'default', q{ backend a /b/500 { default []; } },
      '200 partial:a {"a":[]}' ],
    [ 'default null', q{ backend a /b/500 { default null; } },
      '200 partial:a {"a":null}' ],
    [ 'default false', q{ backend a /b/500 { default false; } },
      '200 partial:a {"a":false}' ],
    [ 'default 1.0 as it was written', q{ backend a /b/500 { default 1.0; } },
      '200 partial:a {"a":1.0}' ],
    [ 'default, a string', q{ backend a /b/500 { default '"x y"'; } },
      '200 partial:a {"a":"x y"}' ],
    [ 'default, an object',
      q{ backend a /b/500 { default '{"b":1,"a":[2,3],"b":4}'; } },
      '200 partial:a {"a":{"b":1,"a":[2,3],"b":4}}' ],
    [ 'default not wanted', q{ backend a /b/1 { default []; } },
      '200 complete {"a":1}' ],
    [ 'null is no failure', q{ backend a /b/null { default []; } },
      '200 complete {"a":null}' ],
    [ 'default and as', q{ backend a /b/bad { as z; default '{}'; } },
      '200 partial:a {"z":{}}' ],
    [ 'default after a timeout',
      q{ backend a /b/slow { timeout 50ms; default '"late"'; } },
      '200 partial:a {"a":"late"}' ],
    [ 'default after a refused connection',
      q{ backend a /dead/x { default 0; } backend b /b/1 { } },
      '200 partial:a {"a":0,"b":1}' ],
    [ 'every part by its default',
      q{ backend a /dead/x { default 0; } backend b /b/500 { default 1; } },
      '200 partial:a, b {"a":0,"b":1}' ],

    # if
    [ 'if, empty', q{ backend a /b/1 { if $arg_x; } backend b /b/2 { } },
      '200 complete {"b":2}', count => { '/1' => 0, '/2' => 1 } ],
    [ 'if, 0', q{ backend a /b/1 { if $arg_x; } backend b /b/2 { } },
      '200 complete {"b":2}', args => 'x=0', count => { '/1' => 0 } ],
    [ 'if, 1', q{ backend a /b/1 { if $arg_x; } backend b /b/2 { } },
      '200 complete {"a":1,"b":2}', args => 'x=1', count => { '/1' => 1 } ],
    [ 'if, 00', q{ backend a /b/1 { if $arg_x; } },
      '200 complete {"a":1}', args => 'x=00' ],
    [ 'if, 0.0', q{ backend a /b/1 { if $arg_x; } },
      '200 complete {"a":1}', args => 'x=0.0' ],
    [ 'if, all skipped', q{ backend a /b/1 { if $arg_x; } backend b /b/2 {
                            if $arg_y; } },
      '200 complete {}', count => { '/1' => 0, '/2' => 0 } ],
    [ 'if and required: skipping is no failure',
      q{ backend a /b/1 { if $arg_x; required; } backend b /b/2 { } },
      '200 complete {"b":2}' ],
    [ 'if and default: a skipped part has none',
      q{ backend a /b/1 { if $arg_x; default 9; } backend b /b/2 { } },
      '200 complete {"b":2}' ],
    [ 'a skipped part\'s dependents are skipped',
      q{ backend a /b/o { if $arg_x; } backend b /b/q/${a.id} { }
         backend c /b/q/${b.} { required; } backend d /b/2 { } },
      '200 complete {"d":2}', count => { '/q/7' => 0 } ],
    [ 'dependents by a header and a body are skipped as well',
      q{ backend a /b/o { if $arg_x; }
         backend b /b/1 { header X-A ${a.id}; }
         backend c /b/1 { method POST; body '{"a":${a.id}}'; }
         backend d /b/2 { } },
      '200 complete {"d":2}', count => { '/1' => 0 } ],
    [ 'all skipped, one failed: nothing to answer with',
      q{ backend a /b/1 { if $arg_x; } backend b /b/500 { } },
      '502 {"b":"status"}' ],
    [ 'if, a skipped merge', q{ backend a /b/o { if $arg_x; merge; }
                                backend b /b/2 { } },
      '200 complete {"b":2}' ],

    # errors
    [ 'nothing to answer with', q{ backend a /b/500 { } backend b /dead/x { } },
      '502 {"a":"status","b":"connect"}' ],
    [ 'nothing to answer with, one timed out',
      q{ backend a /b/500 { } backend b /b/slow { timeout 50ms; } },
      '504 {"a":"status","b":"timeout"}' ],
    [ 'a hidden part succeeded, the rest failed',
      q{ backend a /b/1 { hidden; } backend b /b/500 { } },
      '200 partial:b {}' ],
);

my $errors = [ 'errors', q{ errors _errors;
    backend a /b/500 { } backend b /b/1 { } backend c /dead/x { default []; }
    backend d /b/slow { timeout 50ms; } backend e /b/bad { hidden; }
    backend f /b/404 { as g; } backend h /b/q/${f.id} { }
    backend i /b/1 { if $arg_x; } }, undef ];
my $nothing = [ 'errors, none', q{ errors _errors; backend b /b/1 { } },
    undef ];
my $problem = [ 'errors, all', q{ errors _errors; backend b /b/404 { } },
    '502 {"b":"status"}' ];

$t->plan(@cases + 10);

serve($t, cases => [ @cases, $errors, $nothing, $problem ]);

check($t, @cases, $problem);

my $r = http_get(case_uri($errors));
like(outcome($r), qr/^200 partial:a, c, d, e, f, h \{/, 'errors: partial');
is(errors_of($r, '_errors'), 'a:status c:connect d:timeout e:invalid_json'
   . ' f:status h:dependency', 'errors, declared order');
is_deeply([ map { $_->{status} } grep { $_->{reason} eq 'status' }
            @{ $r->json->{_errors} || [] } ], [ 500, 404 ],
          'with the backends\' statuses');
is(scalar(grep { join(' ', sort keys %$_) ne 'backend reason status' }
          @{ $r->json->{_errors} || [ {} ] }), 0,
   'three members, in every one of them');
like($r->body, qr/^\s*\{\s*"b":\s*1,\s*"c":\s*\[\s*\],\s*"_errors":/,
     'after the parts');
unlike($r->body, qr/127\.0\.0\.1|refused|upstream/, 'no leak');
is(scalar(() = $r->body =~ /\{"backend":"\w+","reason":"\w+","status":/g), 6,
   'members in the contract\'s order');

$r = http_get(case_uri($nothing));
matches(outcome($r), [ '200 complete {"b":1}',
                       '200 complete {"b":1,"_errors":[]}' ],
        'errors, none failed');

# an answer does not depend on who asked before
check($t, $cases[0]);
