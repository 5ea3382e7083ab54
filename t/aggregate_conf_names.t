# Errors of configuration: each names the file, the line, the statement, the
# value, the range, and the nearest name of a typo.  Here: names, URIs,
# references, cycles, keys.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use Test::More;

use Harness;
use Harness::Aggregate qw(:conf);

my $t = Harness->new(modules => ['ngx_http_aggregate_module']);

my @errors = (
    # backend NAME URI
    (map { [ "backend $_", location("aggregate {\nbackend $_ /b/ { #!\n}\n}"),
             qr/backend/, value($_) ] }
        'a-b', '1a', 'a.b', "'a b'", "''", 'item', '$a', "\xc3\xa9", 'a/b',
        '-', 'a*'),
    [ 'backend without a URI', location("aggregate {\nbackend a { #!\n}\n}"),
      qr/invalid number of arguments in "backend"/ ],
    [ 'backend with three', location("aggregate {\nbackend a /b /c { #!\n}\n}"),
      qr/invalid number of arguments in "backend"/ ],
    [ 'backend without a block', in_block('backend a /b/; #!'),
      qr/directive "backend" has no opening "\{"/ ],
    [ 'two of one name', in_block("backend a /b/ { }\nbackend a /c/ { #!\n}"),
      qr/backend/, qr/"a"/ ],
    (map { [ "URI $_", location("aggregate {\nbackend a $_ { #!\n}\n}"),
             value($_) ] }
        'b/c', 'http://x/', '@named', "''", 'users', '?x=1', '$uri',
        '/b/$request_uri', '/b?x=$request_uri', '/b/${request_uri}'),
    [ '$args in the path',
      location("aggregate {\nbackend a /b/\$args { #!\n}\n}"), qr/args/ ],
    [ '$args in the path, braces',
      location("aggregate {\nbackend a '/b/\${args}/c' { #!\n}\n}"), qr/args/ ],
    [ 'an unknown variable',
      location("aggregate {\nbackend a /b/\$nosuch { #!\n}\n}"), qr/nosuch/ ],
    [ 'an unknown variable, a typo',
      location("aggregate {\nbackend a /b/\${arg} { #!\n}\n}"), qr/\barg\b/ ],
    [ 'an unknown part', location("aggregate {\nbackend user /u/ { }\n"
      . "backend a '/b/\${usr.id}' { #!\n}\n}"), qr/"usr"/, qr/"user"/ ],
    [ 'an unknown part, nothing near', location("aggregate {\n"
      . "backend a '/b/\${qqqqqq.id}' { #!\n}\n}"), qr/"qqqqqq"/ ],
    [ 'no end of a reference',
      location("aggregate {\nbackend o /o/ { }\n"
      . "backend a '/b/\${o.x' { #!\n}\n}"),
      qr/o\.x/ ],
    (map { [ "a reference \${$_}", location("aggregate {\nbackend o /o/ { }\n"
             . "backend a '/b/\${$_}' { #!\n}\n}"), qr/\Q$_\E/ ] }
        '.x', 'o.a..b', 'o.a.', 'o.a[', 'o.a[x]', 'o.a[]', 'o.a[].b', 'o.a.*',
        'o.*', 'o.[]', 'o.a b', 'o."x', 'o.a[1', 'o.a[--1]', 'o.a[1x]',
        'o.a[99999999999999999999]', 'o.?'),
    [ 'an empty reference', location("aggregate {\n"
      . "backend a '/b/\${}' { #!\n}\n}"), qr/\$\{\}|variable|empty/ ],
    [ 'item without each',
      location("aggregate {\nbackend a '/b/\${item.id}' { #!\n}\n}"),
      qr/item/ ],

    # cycles
    [ 'a part that needs itself',
      location("aggregate {\nbackend a '/b/\${a.x}' { #!\n}\n}"), qr/cycle/ ],
    [ 'two that need each other', location("aggregate {\n"
      . "backend a '/b/\${b.x}' { }\nbackend b '/b/\${a.x}' { }\n}"),
      qr/cycle/, qr/\ba\b.*\bb\b/ ],
    [ 'three', location("aggregate {\nbackend a '/b/\${b.x}' { }\n"
      . "backend b /b/ {\nheader X-A \${c.x};\n}\nbackend c /b/ {\n"
      . "method POST;\nbody '{\"x\":\${a.x}}';\n}\n}"), qr/cycle/ ],
    [ 'by each', location("aggregate {\nbackend a '/b/\${b.x}' { }\n"
      . "backend b /b/ {\neach a.items;\n}\n}"), qr/cycle/ ],
    [ 'each of itself', location("aggregate {\nbackend a /a/ { #!\n"
      . "each a.items; #!\n}\n}"), qr/each|cycle/ ],

    # as, keys
    [ 'two parts of one key', location("aggregate {\nbackend a /b/ { }\n"
      . "backend b /b/ { #!\nas a; #!\n}\n}"), qr/"a"/ ],
    [ 'two as of one key', location("aggregate {\nbackend a /b/ {\nas x;\n}\n"
      . "backend b /b/ { #!\nas x; #!\n}\n}"), qr/"x"/ ],
    [ 'a key equal to errors', location("aggregate {\nerrors e;\n"
      . "backend a /b/ { #!\nas e; #!\n}\n}"), qr/"e"/ ],
    [ 'a name equal to errors', location("aggregate {\nerrors a;\n"
      . "backend a /b/ { #!\n}\n}"), qr/"a"/ ],
    [ 'errors after it', location("aggregate {\nbackend a /b/ { }\n"
      . "errors a;\n}"), qr/"a"/ ],
    [ 'as without a value', in_backend('as; #!'),
      qr/invalid number of arguments in "as"/ ],
    [ 'as, not UTF-8', in_backend("as \xff; #!"), qr/as/ ],
    (map { [ "$_ twice", in_backend("$_;\n$_; #!"), qr/@{[(split)[0]]}/,
             qr/duplicate/ ] }
        'as x', 'merge', 'hidden', 'required', 'default 1', 'timeout 1s',
        'accept 2xx', 'encoding json', 'method GET', 'body request',
        'forward all', 'if $arg_x', 'retry 1', 'hedge 1s max=5%'),
);

$t->plan(scalar @errors);

check_errors($t, @errors);
