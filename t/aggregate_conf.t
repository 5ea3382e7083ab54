# Errors of configuration: each names the file, the line, the statement, the
# value, the range, and the nearest name of a typo.  Here: blocks, typos,
# the statements of the aggregate block, what does not go together; and what
# is no error.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use Test::More;

use Harness;
use Harness::Aggregate qw(:conf);

my $t = Harness->new(modules => ['ngx_http_aggregate_module']);

my @errors = (
    # where a block may stand
    [ 'aggregate in http', "events { }\nhttp {\naggregate { #!\n}\n}\n",
      qr/"aggregate" directive is not allowed here/ ],
    [ 'aggregate in server', in_server("aggregate { #!\n}"),
      qr/"aggregate" directive is not allowed here/ ],
    [ 'no backend', location("aggregate {\ntimeout 1s;\n} #!"),
      qr/"aggregate" has no "backend"/ ],
    [ 'no block', location('aggregate; #!'), qr/has no opening "\{"/ ],
    [ 'with an argument', location("aggregate x { #!\nbackend a /b/ { }\n}"),
      qr/invalid number of arguments in "aggregate"/ ],
    [ 'two blocks', location("aggregate {\nbackend a /b/ { }\n}\n"
      . "aggregate { #!\nbackend a /b/ { }\n}"),
      qr/"aggregate" directive is duplicate/ ],
    [ 'backend outside', location('backend a /b/ { #!' . "\n}"),
      qr/"backend"/ ],
    [ 'a block\'s statement in a backend', in_backend('concurrency 5; #!'),
      qr/"concurrency"/ ],
    [ 'a backend\'s statement in the block', in_block('required; #!'),
      qr/"required"/ ],
    [ 'a backend in a backend', in_backend("backend b /b/ { #!\n}"),
      qr/"backend"/ ],
    [ 'a directive of nginx in the block', in_block('proxy_pass http://x; #!'),
      qr/"proxy_pass"/ ],
    [ 'a directive of nginx in a backend', in_backend('root /x; #!'),
      qr/"root"/ ],

    # typos
    [ 'a typo in the block', in_block('tiemout 5s; #!'),
      qr/unknown directive "tiemout"/, qr/"timeout"/ ],
    [ 'a typo of backend', in_block("bakend b /b/ { #!\n}"),
      qr/"bakend"/, qr/"backend"/ ],
    [ 'a typo of concurrency', in_block('concurency 5; #!'),
      qr/"concurency"/, qr/"concurrency"/ ],
    [ 'a typo of on_conflict', in_block('on_conflikt last; #!'),
      qr/"on_conflikt"/, qr/"on_conflict"/ ],
    [ 'a typo of max_body_size', in_block('max_bodysize 1m; #!'),
      qr/"max_bodysize"/, qr/"max_body_size"/ ],
    [ 'a typo in a backend', in_backend('requird; #!'),
      qr/"requird"/, qr/"required"/ ],
    [ 'a typo of default', in_backend('defualt []; #!'),
      qr/"defualt"/, qr/"default"/ ],
    [ 'a typo of rename', in_backend('renam a b; #!'),
      qr/"renam"/, qr/"rename"/ ],
    [ 'nothing near', in_block('qqqqqqqqqq 5; #!'), qr/"qqqqqqqqqq"/ ],
    [ 'a typo of aggregate', location("agregate { #!\nbackend a /b/ { }\n}"),
      qr/unknown directive "agregate"/,
      qr/did you mean "aggregate" instead of "agregate"/ ],
    [ 'a typo of aggregate_cache_zone',
      "events { }\nhttp {\naggregate_cachezone a 1m; #!\n}\n",
      qr/unknown directive "aggregate_cachezone"/,
      qr/did you mean "aggregate_cache_zone" instead/ ],

    # the block's statements
    (map { my ($name, $value) = @$_;
           [ "$name $value", in_block("$name $value; #!"), qr/"?$name"?/,
             qr/"\Q$value\E"/ ] }
        [ timeout => 'abc' ], [ timeout => '-1s' ], [ timeout => '5x' ],
        [ max_body_size => 'abc' ],
        [ max_body_size => '-1' ], [ max_body_size => '1x' ],
        [ max_response_size => '1mm' ], [ max_response_size => '99999999999g' ],
        [ max_body_size => '99999999999g' ]),
    (map { my ($name, $value) = @$_;
           [ "$name $value", in_block("$name $value; #!"), qr/"?$name"?/,
             qr/"\Q$value\E"/, qr/\d+ (?:to|and|\.\.) \d+|\d+-\d+/ ] }
        [ concurrency => 0 ], [ concurrency => -1 ], [ concurrency => 'x' ],
        [ concurrency => '1k' ], [ concurrency => 99999999 ],
        [ concurrency => '9' x 30 ], [ concurrency => '1.5' ],
        [ max_subrequests => 0 ], [ max_subrequests => -5 ],
        [ max_subrequests => 'many' ], [ max_subrequests => 99999999 ]),
    [ 'timeout 0', in_block('timeout 0; #!'), qr/timeout/, qr/"0"/ ],
    [ 'on_conflict middle', in_block('on_conflict middle; #!'),
      qr/on_conflict/, qr/"middle"/, qr/last\b.*first\b.*error/ ],
    [ 'methods FOO', in_block('methods GET FOO; #!'),
      qr/methods/, qr/"FOO"/, qr/GET\b.*POST/ ],
    [ 'methods GTE', in_block('methods GTE; #!'), qr/"GTE"/, qr/GET/ ],
    [ 'methods twice the same', in_block('methods GET GET; #!'),
      qr/methods/, qr/GET/ ],
    [ 'errors without a name', in_block('errors; #!'),
      qr/invalid number of arguments in "errors"/ ],
    [ 'errors with two', in_block('errors a b; #!'),
      qr/invalid number of arguments in "errors"/ ],
    [ 'timeout without a value', in_block('timeout; #!'),
      qr/invalid number of arguments in "timeout"/ ],
    [ 'forward without a value', in_block('forward; #!'),
      qr/invalid number of arguments in "forward"/ ],
    [ 'forward, no name of a header', in_block("forward 'a b'; #!"),
      qr/forward/, qr/"a b"/ ],
    [ 'forward all and a name', in_block('forward all X-A; #!'),
      qr/forward/ ],
    [ 'forward none and a name', in_block('forward X-A none; #!'),
      qr/forward/ ],
    (map { [ "$_ twice", in_block("$_;\n$_; #!"), qr/\Q@{[(split)[0]]}\E/,
             qr/duplicate/ ] }
        'timeout 1s', 'concurrency 2', 'max_subrequests 5', 'max_body_size 1k',
        'max_response_size 1k', 'on_conflict last', 'errors e', 'forward none',
        'methods GET'),

    # what does not go together
    [ 'required with default', in_marked("required;\ndefault []; #!"),
      qr/"required"/, qr/"default"/ ],
    [ 'default with required', in_marked("default [];\nrequired; #!"),
      qr/"required"/, qr/"default"/ ],
    [ 'hidden with as', in_marked("hidden;\nas x; #!"),
      qr/"hidden"/, qr/"as"/ ],
    [ 'as with hidden', in_marked("as x;\nhidden; #!"),
      qr/"hidden"/, qr/"as"/ ],
    [ 'hidden with merge', in_marked("hidden;\nmerge; #!"),
      qr/"hidden"/, qr/"merge"/ ],
    [ 'hidden with into', location("aggregate {\nbackend o /b/ { }\n"
      . "backend a /b/ { #!\neach o.x;\ninto k;\nhidden; #!\n}\n}"),
      qr/"hidden"/, qr/"into"/ ],
    [ 'into without each', in_marked('into k; #!'), qr/"into"/, qr/"each"/ ],

    # aggregate_debug
    [ 'aggregate_debug without a value', location('aggregate_debug; #!'),
      qr/invalid number of arguments in "aggregate_debug"/ ],
    [ 'aggregate_debug, an unknown variable',
      location('aggregate_debug $nosuch; #!'), qr/nosuch/ ],
    [ 'aggregate_debug twice',
      location("aggregate_debug \$arg_a;\naggregate_debug \$arg_b; #!"),
      qr/"aggregate_debug" directive is duplicate/ ],

    # endings
    [ 'no end of a backend', "events { }\nhttp {\nserver {\n"
      . "location /x {\naggregate {\nbackend a /b/ {\nrequired;\n",
      qr/unexpected end of file/ ],
    [ 'no semicolon', in_backend("as x\n"), qr/unexpected "\}"|as/ ],
);

# what is fine
my @fine = (
    [ 'the contract\'s first example', location(<<'EOF') ],
    aggregate {
        timeout 500ms;
        backend user /_users/v1/users/$arg_id { required; }
        backend orders /_orders/v1/orders?user=$arg_id {
            as      recent_orders;
            target  items;
            limit   5;
            timeout 200ms;
            default [];
        }
        backend recs /_ml/v1/recommend/${user.segment} {
            as      recommendations;
            target  products;
        }
    }
EOF
    [ 'the contract\'s fan-out', location(<<'EOF') ],
    aggregate {
        backend cart    /_cart/v1/carts/$arg_id { }
        backend product /_catalog/v1/products/${item.product_id} {
            each  cart.items;
            into  product;
            allow id name price;
        }
    }
EOF
    [ 'all statements of the block', in_block('timeout 1s; concurrency 8;
       max_subrequests 50; max_body_size 64k; max_response_size 256k;
       on_conflict first; errors e; forward X-A X-B; methods GET HEAD POST;') ],
    [ 'statements after the backends', location('aggregate {
       backend a /b/ { } timeout 1s; errors e; }') ],
    [ 'on_conflict error', in_block('on_conflict error;') ],
    [ 'all statements of a backend', in_backend('as x; required;
       timeout 200ms; accept 2xx 404; encoding json; method POST;
       body request; header X-A b; header X-B $arg_x; forward none;
       pass_header X-C X-D; if $arg_y; target a.b; limit 5; limit x 3;
       limit y $arg_n 7; allow a b; deny c.d; rename e f; move g h.i;
       set j 1; set k $arg_z;') ],
    [ 'several of those that repeat', in_backend('limit 5; limit a 3; allow a;
       allow b c; deny d; deny e; rename f g; rename h i; move j k; move l m;
       set n 1; set o 2; header X-A 1; header X-B 2; pass_header X-A;
       pass_header X-B;') ],
    [ 'retry', in_backend('retry 3;') ],
    [ 'hedge', in_backend('hedge 50ms;') ],
    [ 'hedge with a share', in_backend('hedge 1h max=100%; retry 1;') ],
    [ 'body of a template', in_backend(q{method POST;
       body '{"a":$arg_x,"b":"$","c":${arg_y}}';}) ],
    [ 'default of all kinds', in_backend(q{default '{"a":[1.0,"x",null]}';}) ],
    [ 'names', location('aggregate { backend a /b/ { } backend A /b/ { }
       backend _ /b/ { } backend a1_B /b/ { } backend items /b/ { }
       backend timeout /b/ { } backend errors /b/ { } }') ],
    [ 'references', location(q{aggregate { backend o /o/ { }
       backend a '/b/${o.a.b[0].c[-1]}/${o."odd key".x}?${o.[0]}' { }
       backend c /b/${o.} { } backend d '/b/${o.k-1_$@}' { } }}) ],
    [ 'a reference to what comes later', location('aggregate {
       backend a /b/${z.id} { } backend z /z/ { } }') ],
    [ '$args, $is_args, $uri', location('aggregate {
       backend a /b?x=1&$args { } backend b /b$uri { } backend c /b?$args { }
       }') ],
    [ 'a block on one line', location('aggregate { backend a /b { } }') ],
    [ 'in two locations', in_server('
       location /x { aggregate { backend a /b { } } }
       location /y { aggregate { backend a /b { } } }') ],
    [ 'in a nested location', in_server('location /x { location /x/y {
       aggregate { backend a /b { } } } }') ],
    [ 'in a regular expression', in_server('location ~ ^/x/(?<id>.*)$ {
       aggregate { backend a /b/$id { } } }') ],
    [ 'beside other directives', location('add_header X-A b; gzip on;
       allow 127.0.0.1; deny all; aggregate { backend a /b { } }
       client_max_body_size 1m;') ],
    [ 'include in the block', in_block('include %%TESTDIR%%/inc.conf;') ],
    [ 'include in a backend', in_backend('include %%TESTDIR%%/inc2.conf;') ],
    [ 'aggregate_debug', "events { }\nhttp {\naggregate_debug \$arg_a;\nserver
       {\naggregate_debug \$arg_b;\nlocation / {\naggregate_debug \$arg_c;\n"
       . "aggregate { backend a /b { } }\n}\n}\n}\n" ],
    [ 'seventy parts', location('aggregate {'
       . join("\n", map { "backend p$_ /b/$_ { }" } 1 .. 70) . '}') ],
);

$t->write_file('inc.conf', "timeout 1s;\nbackend inc /b/ { required; }\n");
$t->write_file('inc2.conf', "as x;\ndefault [];\n");
$t->write_file('bad.conf', "\n\nconcurency 5;\n");

$t->write_file('bad2.conf', "\nas x;\n\nrequird;\n");
$t->write_file('bad3.conf', $t->expand(
    "backend a /a/ {\ninclude %%TESTDIR%%/bad2.conf;\n}\n"));

# where the line of an included file is, and what is suggested there
my @included = (
    [ in_block('include %%TESTDIR%%/bad.conf;'), 'concurrency', 'bad.conf:3' ],
    [ in_backend('include %%TESTDIR%%/bad2.conf;'), 'required', 'bad2.conf:4' ],
    [ in_block('include %%TESTDIR%%/bad3.conf;'), 'required', 'bad2.conf:4' ],
);

$t->plan(@errors + @fine + 2 * @included);

check_errors($t, @errors);
check_fine($t, @fine);

# in an included file the error names that file, and so does the suggestion
for my $case (@included) {
    my ($text, $meant, $place) = @$case;
    my ($ok, $output) = $t->test_config("%%GLOBALS%%\n$text");

    like($output, qr{unknown directive ".*" in \S*/\Q$place\E$}m,
         "an error in $place");
    like($output, qr{did you mean "$meant" .* in \S*/\Q$place\E$}m,
         'and what is meant');
}
