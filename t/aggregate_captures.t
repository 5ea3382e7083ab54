# $1 to $9 in the requests of parts are what the location has captured, whatever
# regular expressions the values of other variables are found by.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use Test::More;

use Harness;
use Harness::Aggregate;

my $t = Harness->new(modules => ['ngx_http_aggregate_module'], plan => 8);

$t->backend('b',
    '/' => sub {
        my ($req) = @_;
        my ($form) = map { $_->[1] } grep { lc $_->[0] eq 'x-form' }
            @{ $req->{headers} };
        return { body => qq{"$req->{uri} } . ($form // '') . '"' };
    },
    '/body' => sub { return { body => $_[0]{body} } },
    '/o' => { body => '{"id":5}', delay => slow(0.05) },
);

serve($t, http => q{
    map $arg_form $form {
        default       plain;
        ~^(m)obile$   small;
        ~^desktop     large;
    }
}, server => q{
    location ~ ^/header/([^/]+)/([^/]+)$ { aggregate {
        backend a /b/a/$1 { header X-Form $form; }
        backend b /b/b/$2/$1 { } } }
    location ~ ^/if/([^/]+)$ { aggregate {
        backend a /b/a/$1 { if $form; } } }
    location ~ ^/body/([^/]+)$ { aggregate {
        backend a /b/body { method POST; body '[$form,$1]'; } } }
    location ~ ^/later/([^/]+)$ { aggregate {
        backend a /b/o { header X-Form $form; }
        backend b /b/$1/${a.id} { } } }
    location ~ ^/debug/([^/]+)$ { aggregate_debug $form; aggregate {
        backend a /b/$1 { } } }
    location ~ ^/outer/([^/]+)$ { aggregate {
        backend a /header/$1/in { header X-Form $form; }
        backend b /b/$1/$9/x { } errors e; } }
});

my @rows = (
    [ '/header/x/y', '{"a":"/a/x plain","b":"/b/y/x "}', 'no match' ],
    [ '/header/x/y?form=mobile', '{"a":"/a/x small","b":"/b/y/x "}',
      'another capture' ],
    [ '/header/x/y?form=desktop', '{"a":"/a/x large","b":"/b/y/x "}',
      'no capture in a match' ],
    [ '/if/x?form=desktop', '{"a":"/a/x "}', 'in "if" of the same part' ],
    [ '/body/x?form=mobile', '{"a":["small","x"]}', 'in a body' ],
    [ '/later/x?form=mobile', '{"a":{"id":5},"b":"/x/5 "}',
      'in a part that starts later' ],
    [ '/debug/x?form=mobile', '{"a":"/x "}', 'in "aggregate_debug"' ],
    [ '/outer/x?form=mobile',
      '{"a":{"a":"/a/x small","b":"/b/in/x small"},'
      . '"e":[{"backend":"b","reason":"bad_uri","status":null}]}',
      'a location of its own, and a capture that is not there' ],
);

is(http_get($_->[0])->body, $_->[1], $_->[2]) for @rows;
