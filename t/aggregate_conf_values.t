# Errors of configuration: each names the file, the line, the statement, the
# value, the range, and the nearest name of a typo.  Here: values of the
# statements of a backend.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use Test::More;

use Harness;
use Harness::Aggregate qw(:conf);

my $t = Harness->new(modules => ['ngx_http_aggregate_module']);

my @errors = (
    # values
    [ 'required with a value', in_backend('required on; #!'),
      qr/invalid number of arguments in "required"/ ],
    [ 'merge with a value', in_backend('merge x; #!'),
      qr/invalid number of arguments in "merge"/ ],
    (map { [ "default $_", in_backend("default $_; #!"), qr/default/,
             value($_) ] }
        'nul', "'{\"a\":}'", "'[1,]'", "'{a:1}'", "'1 2'", 'hello', '01',
        "'\"a'", 'NaN', 'True', "'['"),
    [ 'default, nothing', in_backend("default ''; #!"), qr/default/ ],
    [ 'default, blanks', in_backend("default ' '; #!"), qr/default/ ],
    [ 'default, not UTF-8', in_backend("default '\"\xff\"'; #!"), qr/default/ ],
    [ 'default, too deep',
      in_backend("default '" . '[' x 129 . ']' x 129 . "'; #!"), qr/default/ ],
    (map { [ "accept $_", in_backend("accept $_; #!"), qr/accept/,
             qr/"\Q$_\E"/ ] }
        '2x', '600', '99', '6xx', 'abc', '20', '2xxx', '-200', '0xx', 'xxx',
        '2000', '1000', 'x2x', '200-299'),
    [ 'accept, the second', in_backend('accept 200 2x; #!'), qr/accept/,
      qr/"2x"/ ],
    [ 'encoding xml', in_backend('encoding xml; #!'), qr/encoding/, qr/"xml"/,
      qr/json\b.*string/ ],
    [ 'encoding jsno', in_backend('encoding jsno; #!'), qr/"jsno"/, qr/json/ ],
    (map { [ "method $_", in_backend("method $_; #!"), qr/method/,
             qr/"\Q$_\E"/, qr/GET\b.*POST/ ] }
        'FOO', 'PSOT', 'TRACE', 'CONNECT', '$request_method'),
    (map { [ "body $_", in_backend("method POST;\nbody $_; #!"), qr/body/ ] }
        "'{\"a\":}'", 'hello', "''", "'{\"a\":\$arg_x'",
        "'{\"a\":\$}'", "'{\"a\":\$ x}'", "'[\$arg_x \$arg_x]'", "'\${a.b'",
        "'{\"a\":1 \$arg_x}'", "'1\$arg_x'"),
    [ 'body, an unknown variable',
      in_backend("method POST;\nbody '[\$nosuch]'; #!"), qr/nosuch/ ],
    [ 'body, an unknown part',
      in_backend("method POST;\nbody '[\${nosuch.x}]'; #!"), qr/nosuch/ ],
    [ 'body, a wildcard', location("aggregate {\nbackend o /o/ { }\n"
      . "backend a /b/ {\nmethod POST;\nbody '[\${o.x[]}]'; #!\n}\n}"),
      qr/body/ ],
    (map { [ "header $_", in_backend("header $_ x; #!"), qr/header/,
             qr/"?\Q$_\E/ ] }
        qw(Host Connection Content-Length Transfer-Encoding TE Trailer Upgrade
           Expect Keep-Alive host CONNECTION content-length)),
    (map { [ "header '$_'", in_backend("header '$_' x; #!"), qr/header/ ] }
        'a b', '', 'a:', 'X-(', "X\xc3\xa9", 'X"Y', "a\tb"),
    [ 'header without a value', in_backend('header X-A; #!'),
      qr/invalid number of arguments in "header"/ ],
    [ 'header, a new line', in_backend('header X-A "a\nX-Evil: 1"; #!'),
      qr/header/ ],
    [ 'header, an unknown variable', in_backend('header X-A $nosuch; #!'),
      qr/nosuch/ ],
    [ 'header, an unknown part', in_backend('header X-A ${nosuch.x}; #!'),
      qr/nosuch/ ],
    [ 'pass_header without a name', in_backend('pass_header; #!'),
      qr/invalid number of arguments in "pass_header"/ ],
    [ 'pass_header, no name', in_backend("pass_header 'a b'; #!"),
      qr/pass_header/, qr/"a b"/ ],
    (map { [ "pass_header $_", in_backend("pass_header $_; #!"),
             qr/"\Q$_\E" in "pass_header", is a header that the aggregate/ ] }
        qw(X-Cache x-breaker X-Aggregate Cache-Status Set-Cookie Vary Age
           Connection Proxy-Connection Proxy-Authenticate Content-Length)),
    (map { [ "header $_", in_backend("header $_ x; #!"),
             qr/"\Q$_\E" in "header", is a header that nginx sets/ ] }
        qw(Host connection Content-Length Transfer-Encoding TE Trailer Upgrade
           Expect Keep-Alive Proxy-Connection HTTP2-Settings)),
    [ 'if without a dollar', in_backend('if arg_x; #!'), qr/if/, qr/"arg_x"/ ],
    [ 'if, two', in_backend('if $arg_x $arg_y; #!'),
      qr/invalid number of arguments in "if"/ ],
    [ 'if, an unknown variable', in_backend('if $nosuch; #!'), qr/nosuch/ ],
    (map { [ "two variables in one: $_", in_backend("$_; #!"),
             qr/must be one variable/, qr/arg_x\$arg_y/ ] }
        'if $arg_x$arg_y', 'limit $arg_x$arg_y 5', 'set a $arg_x$arg_y'),
    [ 'if, in braces', in_backend('if ${arg_x}; #!'), qr/\$\{arg_x\}/ ],
    [ 'merge with encoding string',
      in_marked('encoding string; merge;'),
      qr/"encoding string" with "merge" in backend "a"/ ],
    (map { [ "retry $_", in_backend("retry $_; #!"), qr/retry/,
             qr/"\Q$_\E"/, qr/\d+ (?:to|and|\.\.) \d+|\d+-\d+/ ] }
        '-1', 'x', '1.5', '101', '99999999', '9' x 30),
    (map { [ "hedge $_", in_backend("hedge $_; #!"), qr/hedge/,
             qr/"\Q$_\E"/, qr/must be a time from 1ms to 1h/ ] }
        '0', '-1s', 'x', '2h', '9' x 30),
    (map { [ "hedge $_", in_backend("hedge 10ms $_; #!"), qr/hedge/,
             qr/"\Q$_\E"/, qr/from "max=1%" to "max=100%"/ ] }
        'max=0%', 'max=101%', 'max=10', 'max=%', 'max=1.5%', 'min=10%',
        'max=-1%', 'max=' . '9' x 30 . '%', '10%'),
    [ 'each of an unknown part', in_backend('each nosuch.items; #!'),
      qr/nosuch/ ],
    [ 'each of an unknown part, a typo', location("aggregate {\n"
      . "backend cart /b/ { }\nbackend a /b/ {\neach crat.items; #!\n}\n}"),
      qr/"crat"/, qr/"cart"/ ],
    [ 'each with a wildcard', location("aggregate {\n"
      . "backend cart /b/ { }\nbackend a /b/ {\neach cart.items[].x; #!\n}\n}"),
      qr/each/ ],
    [ 'each, a bad path', location("aggregate {\n"
      . "backend cart /b/ { }\nbackend a /b/ {\neach cart.a..b; #!\n}\n}"),
      qr/each/ ],
    [ 'each twice', location("aggregate {\nbackend cart /b/ { }\n"
      . "backend a /b/ {\neach cart.a;\neach cart.b; #!\n}\n}"),
      qr/each/, qr/duplicate/ ],
    [ 'into twice', location("aggregate {\nbackend cart /b/ { }\n"
      . "backend a /b/ {\neach cart.a;\ninto x;\ninto y; #!\n}\n}"),
      qr/into/, qr/duplicate/ ],
    [ 'timeout in a backend', in_backend('timeout abc; #!'), qr/timeout/,
      qr/"abc"/ ],
);

$t->plan(scalar @errors);

check_errors($t, @errors);
