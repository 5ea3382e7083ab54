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
    [ 'bad JSON of set names itself', in_backend("set a '{x'; #!"), qr/\{x/ ],
);

$t->plan(scalar @errors);

check_errors($t, @errors);
