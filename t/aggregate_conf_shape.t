# Errors of configuration: each names the file, the line, the statement, the
# value, the range, and the nearest name of a typo.  Here: statements that
# shape.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use Test::More;

use Harness;
use Harness::Aggregate qw(:conf);

my $t = Harness->new(modules => ['ngx_http_aggregate_module']);

my @errors = (
    # shaping
    (map { [ $_, in_backend("$_; #!"), qr/@{[(split)[0]]}|nosuch/ ] }
        "target 'a..b'", 'target a[', 'target a[x]', 'target a]', "target ''",
        'target a.*b', "target '\"a'", "target 'a b'", 'target ?',
        'limit x', 'limit -1', 'limit a.b x', 'limit a.b 3 4 5', 'limit a..b 3',
        'limit $arg_n', 'limit $arg_n x', 'limit $nosuch 5', 'limit a $arg_n',
        'limit 1.5', 'limit 99999999999999999999999',
        'allow', 'allow a..b', 'allow ok a[', 'deny', 'deny a..b', 'deny a[x]',
        'rename a', 'rename a b c', 'rename a..b c', 'rename a[0] x',
        'move a', 'move a b c', 'move a[].b c', 'move a b.*', 'move a.* b',
        'move a b[].c', 'move a..b c',
        'set a', 'set a b', "set a '{'", 'set a..b 1', 'set a $nosuch',
        "set a '1 2'", 'set a 1 2'),
    [ 'a bad path names itself', in_backend("target 'a..b'; #!"),
      qr/"a\.\.b"/ ],
    [ 'a bad path of deny names itself', in_backend('deny ok x[y].z; #!'),
      qr/"x\[y\]\.z"/ ],
    [ 'target twice', in_backend("target a;\ntarget b; #!"), qr/target/,
      qr/duplicate/ ],
    # spellings of JSONPath, and of a name: each with the one that is meant

    (map { my ($statement, $meant) = @$_;
           [ "$statement: $meant", in_backend("$statement; #!"),
             qr/did you mean \Q$meant\E/ ] }
        [ 'deny $.ssn', '"ssn"' ], [ 'allow ok $.a.b', '"a.b"' ],
        [ 'deny $[0].a', '"[0].a"' ], [ 'deny @.a', '"a"' ],
        [ 'deny @[0]', '"[0]"' ], [ 'deny .$.ssn', '"ssn"' ],
        [ 'deny $..ssn', '"*.ssn"' ], [ 'deny ..ssn', '"*.ssn"' ],
        [ 'deny a..b', '"a.*.b"' ], [ 'deny a[*].b', '"a[].b"' ],
        [ q{deny "$['a'].b"}, q{"\"a\".b"} =~ s/\\//gr ],
        [ q{deny "a['b']"}, '"a."b""' ],
        [ 'target $.a', '"a"' ], [ 'limit $.a 5', '"a"' ],
        [ 'rename $.a b', '"a"' ], [ 'move $.a b', '"a"' ],
        [ 'move a $.b', '"b"' ], [ 'set $.a 1', '"a"' ],
        [ 'rename a.b c.d', '"move a.b c.d"' ],
        [ 'forward *', '"all"' ], [ 'forward Accept *', '"all"' ]),
    [ 'a key of that name', in_backend('rename a.b c.d; #!'),
      qr/'"c\.d"'/ ],
    [ 'pass_header *', in_backend('pass_header *; #!'),
      qr/"\*".*each header is named/ ],
    [ 'pass_header X-*', in_backend('pass_header ETag X-*; #!'),
      qr/"X-\*".*each header is named/ ],
    [ 'each $.a', in_block('backend a /a { } backend b /b/${item} '
                           . '{ each a.$.x; #!' . "\n" . '}'),
      qr/did you mean "x"/ ],
    [ 'a path of a template', in_block('backend a /a { } '
                           . 'backend b /b/${a.$.x} { } #!'),
      qr/did you mean "x"/ ],
    [ 'bad JSON of set names itself', in_backend("set a '{x'; #!"), qr/\{x/ ],
);

my @fine = map { [ $_, in_backend("$_;") ] }
    q{deny '"$".a'}, q{deny '"@".a'}, q{deny '"$.a"'}, q{deny '"a..b"'},
    q{rename a '"c.d"'}, 'deny a.$.b', 'deny a.@', 'deny $', 'deny $a';

$t->plan(@errors + @fine);

check_errors($t, @errors);
check_fine($t, @fine);
