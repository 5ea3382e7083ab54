# merge and on_conflict: by declared order, never by arrival.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use Test::More;

use Harness;
use Harness::Aggregate;

my $t = Harness->new(modules => ['ngx_http_aggregate_module']);

my %documents = (
    xy => '{"x":1,"y":2}', x3 => '{"x":3}', xz => '{"x":4,"z":5}',
    y => '{"y":6}', e => '{}', xx => '{"x":1,"x":2,"y":3}', a => '{"a":"m"}',
    escaped => '{"\u0078":7}', long => '{"\u0079":8,"w":9}',
    smile => "{\"\xf0\x9f\x98\x80\":1}", smile2 => '{"\ud83d\ude00":2}',
    lone => '{"\ud800":1}', lone2 => '{"\uD800":2}', lone3 => '{"\ud801":3}',
    empty => '{"":1}', empty2 => '{"":2}', case => '{"X":1}',
    nul => '{"x\u0000":1}', quote => '{"q\"q":1}', quote2 => '{"q\u0022q":2}',
    slash => '{"a\/b":1}', slash2 => '{"a/b":2}',
    array => '[1]', string => '"x"', number => '1', true => 'true',
    null => 'null', nested => '{"o":{"x":1}}', nested2 => '{"o":{"y":2}}',
    _errors => '{"_errors":"mine","k":1}',
    many => '{' . join(',', map { "\"k$_\":$_" } 1 .. 500) . '}',
    many2 => '{' . join(',', map { "\"k$_\":-$_" } reverse 1 .. 500) . '}',
    no => undef,
);

$t->backend('b', '/' => sub {
    my (undef, $speed, $name) = split m{/}, $_[0]{path};
    my $b = defined $documents{$name} ? { body => $documents{$name} }
                                      : { status => 500 };
    $b->{delay} = 0.06 if $speed eq 's';
    return $b;
});

sub block {
    my ($policy, @names) = @_;
    my ($n, $text) = (0, $policy ? "on_conflict $policy;" : '');

    for my $name (@names) {
        my $part = $name =~ m{^[sf]/} ? $name : "f/$name";
        $text .= ' backend p' . ++$n . " /b/$part { merge; }";
    }

    return $text;
}

my $k = join ',', map { "\"k$_\":$_" } 1 .. 500;
my $k2 = join ',', map { "\"k$_\":-$_" } reverse 1 .. 500;

my @cases = (
    [ 'nothing in common', block('', 'xy', 'e', 'a'),
      '200 complete {"x":1,"y":2,"a":"m"}' ],
    [ 'last by default', block('', 'xy', 'x3'), '200 complete {"y":2,"x":3}' ],
    [ 'last', block('last', 'xy', 'x3'), '200 complete {"y":2,"x":3}' ],
    [ 'first', block('first', 'xy', 'x3'), '200 complete {"x":1,"y":2}' ],
    [ 'error', block('error', 'xy', 'x3'), '200 partial:p2 {"x":1,"y":2}' ],

    [ 'last, the first declared arrives last', block('last', 's/xy', 'x3'),
      '200 complete {"y":2,"x":3}' ],
    [ 'first, the first declared arrives last', block('first', 's/xy', 'x3'),
      '200 complete {"x":1,"y":2}' ],
    [ 'error, the first declared arrives last', block('error', 's/xy', 'x3'),
      '200 partial:p2 {"x":1,"y":2}' ],

    [ 'last of three', block('last', 'xy', 's/x3', 'xz'),
      '200 complete {"y":2,"x":4,"z":5}' ],
    [ 'first of three', block('first', 's/xy', 'x3', 'xz'),
      '200 complete {"x":1,"y":2,"z":5}' ],
    [ 'error, three', block('error', 'xy', 'x3', 'xz'),
      '200 partial:p2, p3 {"x":1,"y":2}' ],
    [ 'error, a part that failed is in nobody\'s way',
      block('error', 'x3', 'xy', 'y'), '200 partial:p2 {"x":3,"y":6}' ],
    [ 'error, a failed first', block('error', 'no', 'xy', 'e'),
      '200 partial:p1 {"x":1,"y":2}' ],

    [ 'a failed part', block('', 'no', 'x3'), '200 partial:p1 {"x":3}' ],
    [ 'null adds nothing', block('error', 'xy', 'null', 'a'),
      '200 complete {"x":1,"y":2,"a":"m"}' ],
    [ 'an array', block('', 'array', 'x3'), '200 partial:p1 {"x":3}' ],
    [ 'a string', block('', 'x3', 'string'), '200 partial:p2 {"x":3}' ],
    [ 'a number', block('', 'number', 'x3'), '200 partial:p1 {"x":3}' ],
    [ 'true', block('', 'true', 'x3'), '200 partial:p1 {"x":3}' ],
    [ 'only what is no object', block('', 'array', 'string'),
      '502 {"p1":"conflict","p2":"conflict"}' ],
    [ 'only empty ones', block('', 'e', 'null'), '200 complete {}' ],
    [ 'merge is shallow', block('', 'nested', 'nested2'),
      '200 complete {"o":{"y":2}}' ],

    [ 'names are compared decoded', block('last', 'xy', 'escaped'),
      '200 complete {"y":2,"\u0078":7}' ],
    [ 'decoded, first', block('first', 'escaped', 'xy'),
      '200 complete {"\u0078":7,"y":2}' ],
    [ 'decoded, error', block('error', 'long', 'y'),
      '200 partial:p2 {"\u0079":8,"w":9}' ],
    [ 'a pair of escapes is a character', block('last', 'smile', 'smile2'),
      '200 complete {"\ud83d\ude00":2}' ],
    [ 'and the other way round', block('first', 'smile', 'smile2'),
      "200 complete {\"\xf0\x9f\x98\x80\":1}" ],
    [ 'lone surrogates', block('last', 'lone', 'lone2', 'lone3'),
      '200 complete {"\uD800":2,"\ud801":3}' ],
    [ 'an empty name', block('last', 'empty', 'empty2'),
      '200 complete {"":2}' ],
    [ 'letters differ by case', block('error', 'x3', 'case'),
      '200 complete {"x":3,"X":1}' ],
    [ 'NUL is a character of a name', block('error', 'x3', 'nul'),
      '200 complete {"x":3,"x\u0000":1}' ],
    [ 'a quote in a name', block('last', 'quote', 'quote2'),
      '200 complete {"q\u0022q":2}' ],
    [ 'an escaped slash', block('first', 'slash', 'slash2'),
      '200 complete {"a\/b":1}' ],

    [ 'a part\'s own duplicates stay', block('', 'xx', 'a'),
      '200 complete {"x":1,"x":2,"y":3,"a":"m"}' ],
    [ 'duplicates are no conflict of two parts', block('error', 'xx', 'a'),
      '200 complete {"x":1,"x":2,"y":3,"a":"m"}' ],
    [ 'duplicates that lose, last', block('last', 'xx', 'x3'),
      '200 complete {"y":3,"x":3}' ],
    [ 'duplicates that win, first', block('first', 'xx', 'x3'),
      '200 complete {"x":1,"x":2,"y":3}' ],
    [ 'duplicates that lose, first', block('first', 'x3', 'xx'),
      '200 complete {"x":3,"y":3}' ],
    [ 'duplicates that win, last', block('last', 'x3', 'xx'),
      '200 complete {"x":1,"x":2,"y":3}' ],

    [ 'five hundred members, last', block('last', 'many', 'many2'),
      "200 complete {$k2}" ],
    [ 'five hundred members, first', block('first', 's/many', 'many2'),
      "200 complete {$k}" ],
    [ 'five hundred members, error', block('error', 'many', 'many2', 'x3'),
      "200 partial:p2 {$k,\"x\":3}" ],

    [ 'a part\'s key against a merged member, last',
      'backend a /b/f/x3 { } backend b /b/f/a { merge; }',
      '200 complete {"a":"m"}' ],
    [ 'the merged member first, last wins',
      'backend b /b/f/a { merge; } backend a /b/f/x3 { }',
      '200 complete {"a":{"x":3}}' ],
    [ 'a part\'s key against a merged member, first',
      'on_conflict first; backend a /b/f/x3 { } backend b /b/f/a { merge; }',
      '200 complete {"a":{"x":3}}' ],
    [ 'the merged member first, first wins',
      'on_conflict first; backend b /b/f/a { merge; } backend a /b/f/x3 { }',
      '200 complete {"a":"m"}' ],
    [ 'a part\'s key against a merged member, error',
      'on_conflict error; backend a /b/f/x3 { } backend b /b/f/a { merge; }',
      '200 partial:b {"a":{"x":3}}' ],
    [ 'the merged member first, error',
      'on_conflict error; backend b /b/f/a { merge; } backend a /b/f/x3 { }',
      '200 partial:a {"a":"m"}' ],

    [ 'a default is merged',
      q{ backend a /b/f/xy { merge; }
         backend b /b/f/no { merge; default '{"x":0}'; } },
      '200 partial:b {"y":2,"x":0}' ],
    [ 'a required part that is no object',
      'backend a /b/f/array { merge; required; } backend b /b/f/x3 { }',
      '502 {"a":"conflict"}' ],
    [ 'error, a required part that is late in the order',
      'on_conflict error; backend a /b/f/xy { merge; }
       backend b /b/s/x3 { merge; required; }', '502 {"b":"conflict"}' ],
    [ 'target takes what is merged',
      'backend a /b/f/nested { merge; target o; } backend b /b/f/y { merge; }',
      '200 complete {"x":1,"y":6}' ],
    [ 'renamed before it is merged',
      'backend a /b/f/xy { merge; rename x a; } backend b /b/f/x3 { merge; }',
      '200 complete {"a":1,"y":2,"x":3}' ],
    [ 'the target of a merged part is not there: null',
      'backend a /b/f/xy { merge; target nosuch; }
       backend b /b/f/x3 { merge; }',
      '200 complete {"x":3}' ],
);

my $reserved = [ 'a member named as errors',
    'errors _errors; backend a /b/f/_errors { merge; } backend b /b/f/no { }',
    undef ];
my $listed = [ 'conflicts in errors',
    'errors _errors; on_conflict error;' . block('', 'xy', 'x3', 'array'),
    undef ];

$t->plan(@cases + 3);

serve($t, cases => [ @cases, $reserved, $listed ]);

check($t, @cases);

my $r = http_get(case_uri($reserved));
is(scalar(() = $r->body =~ /"_errors"/g), 1, 'one member of the name _errors');

$r = http_get(case_uri($listed));
like(outcome($r), qr/^200 partial:p2, p3 \{"x":1,"y":2,"_errors":/,
     'conflicts are failures');
is(errors_of($r, '_errors'), 'p2:conflict p3:conflict', 'by their reason');
