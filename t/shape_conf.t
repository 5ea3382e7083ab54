# aggregate_shape, aggregate_apply, aggregate_shape_buffer: what nginx -t says.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use Test::More;

use Harness;
use Harness::Aggregate qw(:conf);

my $t = Harness->new(modules => ['ngx_http_aggregate_module']);

sub at_http { return "events { }\nhttp {\n$_[0]\n}\n" }
sub applied {
    return "events { }\nhttp {\naggregate_shape web { deny a; }\n"
        . "aggregate_shape mobile { }\nserver {\nlisten 127.0.0.1:8080;\n"
        . "location / {\n$_[0]\n}\n}\n}\n";
}

my @errors = (
    [ 'no name', at_http('aggregate_shape { } #!'), qr/aggregate_shape/ ],
    [ 'two names', at_http('aggregate_shape a b { } #!'), qr/aggregate_shape/ ],
    [ 'the name off', at_http('aggregate_shape off { } #!'), qr/"off"/ ],
    [ 'the name of a variable', at_http('aggregate_shape $a { } #!'),
      qr/"\$a"/ ],
    [ 'an empty name', at_http("aggregate_shape '' { } #!"), qr/""/ ],
    [ 'no block', at_http('aggregate_shape a; #!'), qr/aggregate_shape/ ],
    [ 'twice', at_http("aggregate_shape a { }\naggregate_shape a { } #!"),
      qr/duplicate name "a"/, qr/the first is in \S+:\d+/ ],
    [ 'in a server', in_server('aggregate_shape a { } #!'),
      qr/not allowed here/ ],
    [ 'an unknown statement', at_http("aggregate_shape a {\nalow x; #!\n}"),
      qr/"alow"/, qr/did you mean "allow"/ ],
    [ 'a statement of backend', at_http("aggregate_shape a {\nas x; #!\n}"),
      qr/"as" is a statement of "backend"/ ],
    [ 'a statement of aggregate',
      at_http("aggregate_shape a {\nconcurrency 2; #!\n}"),
      qr/"concurrency" is a statement of "aggregate"/ ],
    (map { [ $_, at_http("aggregate_shape a {\n$_; #!\n}"),
             qr/@{[(split)[0]]}|nosuch/ ] }
        "target 'a..b'", 'target a[]', 'limit x', 'limit a[x] 2',
        'limit $nosuch 2', 'limit $arg_n', 'allow', 'allow a[b', 'deny .',
        'rename a[] b', 'rename . a', 'rename a', 'move . a', 'move a[] b',
        'move a b.*', "set a '{'", 'set a $nosuch', 'set a'),
    [ 'where in the path', at_http("aggregate_shape a {\nallow ok a[b; #!\n}"),
      qr/invalid path "a\[b" in "allow": expected a number at offset 2/ ],
    [ 'which path of two: the second',
      at_http("aggregate_shape a {\nmove ok b.*; #!\n}"),
      qr/invalid path "b\.\*" in "move": a wildcard is not allowed/ ],
    [ 'which path of two: the first',
      at_http("aggregate_shape a {\nmove a[] b; #!\n}"),
      qr/invalid path "a\[\]" in "move": a wildcard is not allowed/ ],
    [ 'one name for two members',
      at_http("aggregate_shape a {\nrename a c; rename b c; #!\n}"),
      qr/another member gets this name/ ],
    [ 'renamed twice',
      at_http("aggregate_shape a {\nrename a c; rename a d; #!\n}"),
      qr/is renamed twice/ ],

    [ 'an unknown shape', applied('aggregate_apply wbe; #!'),
      qr/unknown shape "wbe" in "aggregate_apply"/, qr/did you mean "web"/ ],
    [ 'a shape in another case', applied('aggregate_apply WEB; #!'),
      qr/unknown shape "WEB"/ ],
    [ 'no shape', applied('aggregate_apply; #!'), qr/aggregate_apply/ ],
    [ 'applied twice', applied("aggregate_apply web;\naggregate_apply web; #!"),
      qr/aggregate_apply/, qr/duplicate/ ],
    [ 'an unknown variable', applied('aggregate_apply $nosuch; #!'),
      qr/\$nosuch/ ],
    [ 'an unknown parameter', applied('aggregate_apply web vari=X; #!'),
      qr/"vari=X"/, qr/empty=off/ ],
    [ 'a bad empty', applied('aggregate_apply $arg_a empty=on; #!'),
      qr/"empty=on"/ ],
    [ 'empty of a name', applied('aggregate_apply web empty=off; #!'),
      qr/empty=off/, qr/variable/ ],
    [ 'an empty vary', applied('aggregate_apply web vary=; #!'), qr/vary/ ],
    [ 'a bad vary', applied("aggregate_apply web 'vary=X Y'; #!"), qr/X Y/ ],
    [ 'a star', applied("aggregate_apply web vary=*; #!"), qr/"\*"/ ],
    [ 'a comma too many', applied('aggregate_apply web vary=A,; #!'),
      qr/"A,"/ ],
    [ 'a bad type', applied('aggregate_apply web types=json; #!'),
      qr/"json" of "types"/ ],
    [ 'no type', applied('aggregate_apply web types=; #!'), qr/of "types"/ ],
    [ 'two slashes', applied('aggregate_apply web types=a/b/c; #!'),
      qr/of "types"/ ],
    [ 'a wildcard', applied('aggregate_apply web types=text/*; #!'),
      qr/of "types"/ ],
    [ 'a type too few', applied('aggregate_apply web types=a/b,; #!'),
      qr/of "types"/ ],
    [ 'off and strict', applied('aggregate_apply off strict; #!'),
      qr/"strict"/ ],
    [ 'off and more', applied('aggregate_apply off vary=A; #!'), qr/vary=A/ ],
    [ 'a bad size', applied('aggregate_shape_buffer x; #!'),
      qr/"x" in "aggregate_shape_buffer"/, qr/from 1 to 1g/ ],
    [ 'no size', applied('aggregate_shape_buffer 0; #!'),
      qr/"0" in "aggregate_shape_buffer"/ ],
    [ 'two sizes', applied('aggregate_shape_buffer 1m 2m; #!'),
      qr/aggregate_shape_buffer/ ],
    [ 'a size twice',
      applied("aggregate_shape_buffer 1m;\naggregate_shape_buffer 1m; #!"),
      qr/duplicate/ ],
);

my @fine = (
    [ 'off', applied('aggregate_apply off;') ],
    [ 'a variable', applied('aggregate_apply $arg_shape empty=off vary=A,B-C '
                            . 'vary=D;') ],
    [ 'braces', applied('aggregate_apply "${arg_shape}";') ],
    [ 'text and a variable', applied('aggregate_apply web_$arg_v;') ],
    [ 'at http, applied before it is there',
      at_http("aggregate_apply a;\naggregate_shape_buffer 64k;\n"
              . 'aggregate_shape a { allow x; }') ],
    [ 'all statements',
      at_http('aggregate_shape a { target a.b[-1]; limit 5; limit x $arg_n 9; '
              . q{allow . a[].b '"odd.key".c'; deny a.*; rename a.b c; }
              . q{move a.b c.d; set a.b '{"x":[1]}'; set c $uri; }
              . 'rename [].x y; deny [0].z; }') ],
    [ 'no aggregate_shape', in_server('location / { }') ],
);

$t->plan(@errors + @fine);

check_errors($t, @errors);
check_fine($t, @fine);
