# The statements inside a backend that shape its part.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use Test::More;

use Harness;
use Harness::Aggregate;

my $t = Harness->new(modules => ['ngx_http_aggregate_module']);

my %documents = (
    user => '{"id":7,"name":"Ann","ssn":"1-2","address":{"city":"X","zip":"0"},'
        . '"tags":["a","b","c"],"big":12345678901234567890,"f":1.0}',
    feed => '{"feed":[{"id":1,"title":"one","body":"x"},{"id":2,"title":"two",'
        . '"body":"y"},{"id":3,"title":"three","body":"z"}],"next":null}',
    list => '[{"id":1,"x":{"y":1}},{"id":2,"x":{"y":2}},{"id":3}]',
    mixed => '{"feed":[1,{"x":1,"y":2},"s",[{"x":3}],null,{"y":4},[]]}',
    dup => '{"a":1,"b":2,"a":3,"c":{"d":1,"d":2}}',
    esc => '{"\u0061":1,"b\"c":2,"d.e":{"f":3},"\u00e9":4,"":5}',
    deep => '{"a":{"b":{"c":{"d":[1,2,[3,4,[5]]]}}}}',
    wrap => '{"data":{"items":[1,2,3,4,5,6,7],"total":7},"meta":{}}',
    spaced => "{ \"a\" : [ 1 , 2 , 3 ] ,\n\t\"b\" : { \"c\" : null } }\n",
    matrix => '{"rows":[[1,2,3],[4,5,6],[7,8,9]]}',
    scalar => '5', null => 'null', empty => '{}', array => '[]',
);

$t->backend('b',
    '/' => sub {
        my ($how, $name) = $_[0]{path} =~ m{^/(\w)/(\w+)$};
        my $body = $documents{$name};
        return { body => $body } if $how eq 'w';
        return { body => $body, chunked => [ $body =~ /(.)/gs ] }
            if $how eq 'c';
        return { body => $body, drip => 0.001,
                 drip_bytes => 1 + length($body) / 10 };
    },
    '/500' => { status => 500 },
);

# document, statements, what becomes of it; arguments
my @rows = (
    # target
    [ user => 'target address;', '{"city":"X","zip":"0"}' ],
    [ user => 'target address.city;', '"X"' ],
    [ user => 'target .address.city;', '"X"' ],
    [ user => 'target tags[0];', '"a"' ],
    [ user => 'target tags[-1];', '"c"' ],
    [ user => 'target tags[3];', 'null' ],
    [ user => 'target tags[-4];', 'null' ],
    [ user => 'target big;', '12345678901234567890' ],
    [ user => 'target f;', '1.0' ],
    [ user => 'target nosuch;', 'null' ],
    [ user => 'target nosuch.x;', 'null' ],
    [ user => 'target name.x;', 'null' ],
    [ user => 'target tags.x;', 'null' ],
    [ user => 'target address[0];', 'null' ],
    [ user => "target nosuch; default '[]';", '[]' ],
    [ list => 'target [1].x.y;', '2' ],
    [ list => 'target [1];', '{"id":2,"x":{"y":2}}' ],
    [ esc => q{target '"d.e".f';}, '3' ],
    [ esc => 'target a;', '1' ],
    [ esc => q{target '"b\\\\"c"';}, '2' ],
    [ esc => "target '\"\xc3\xa9\"';", '4' ],
    [ esc => q{target '""';}, '5' ],
    [ deep => 'target a.b.c.d[2][2][0];', '5' ],
    [ scalar => 'target x;', 'null' ],
    [ null => 'target x;', 'null' ],
    [ null => "target x; default '1';", '1' ],

    # limit
    [ wrap => 'target data.items; limit 3;', '[1,2,3]' ],
    [ wrap => 'target data.items; limit 0;', '[]' ],
    [ wrap => 'target data.items; limit 7;', '[1,2,3,4,5,6,7]' ],
    [ wrap => 'target data.items; limit 100;', '[1,2,3,4,5,6,7]' ],
    [ wrap => 'limit data.items 2;',
      '{"data":{"items":[1,2],"total":7},"meta":{}}' ],
    [ wrap => 'target data; limit items 1;', '{"items":[1],"total":7}' ],
    [ wrap => 'limit 2;', $documents{wrap} ],
    [ wrap => 'limit meta 2; limit nosuch 2; limit data.total 2;',
      '{"data":{"items":[1,2,3,4,5,6,7],"total":7},"meta":{}}' ],
    [ list => 'limit 2;', '[{"id":1,"x":{"y":1}},{"id":2,"x":{"y":2}}]' ],
    [ matrix => 'limit rows 2; limit rows[] 1;', '{"rows":[[1],[4]]}' ],
    [ matrix => 'limit rows[0] 1;', '{"rows":[[1],[4,5,6],[7,8,9]]}' ],
    [ matrix => 'limit rows[-1] 1;', '{"rows":[[1,2,3],[4,5,6],[7]]}' ],
    [ array => 'limit 5;', '[]' ],
    [ scalar => 'limit 5;', '5' ],
    [ wrap => 'target data.items; limit $arg_n 5;', '[1,2]', 'n=2' ],
    [ wrap => 'target data.items; limit $arg_n 5;', '[1,2,3,4,5]', 'n=6' ],
    [ wrap => 'target data.items; limit $arg_n 5;', '[1,2,3,4,5]', 'n=5' ],
    [ wrap => 'target data.items; limit $arg_n 5;', '[1,2,3,4,5]', '' ],
    [ wrap => 'target data.items; limit $arg_n 5;', '[1,2,3,4,5]', 'n=x' ],
    [ wrap => 'target data.items; limit $arg_n 5;', '[1,2,3,4,5]', 'n=-1' ],
    [ wrap => 'target data.items; limit $arg_n 5;', '[1,2,3,4,5]', 'n=1.5' ],
    [ wrap => 'target data.items; limit $arg_n 5;', '[1,2,3,4,5]', 'n=+1' ],
    [ wrap => 'target data.items; limit $arg_n 5;', '[1,2,3,4,5]', 'n=%31' ],
    [ wrap => 'target data.items; limit $arg_n 5;', '[1,2,3,4,5]', 'n=0x1' ],
    [ wrap => 'target data.items; limit $arg_n 5;', '[1,2,3,4,5]',
      'n=99999999999999999999999999' ],
    [ wrap => 'target data.items; limit $arg_n 5;', '[1,2,3,4,5]',
      'n=18446744073709551617' ],
    [ wrap => 'target data.items; limit $arg_n 5;', '[]', 'n=0' ],
    [ wrap => 'target data.items; limit $arg_n 5;', [ '[1,2]', '[1,2,3,4,5]' ],
      'n=02' ],
    [ wrap => 'limit data.items $arg_n 5;',
      '{"data":{"items":[1],"total":7},"meta":{}}', 'n=1' ],

    # allow
    [ user => 'allow id name;', '{"id":7,"name":"Ann"}' ],
    [ user => 'allow name; allow id;', '{"id":7,"name":"Ann"}' ],
    [ user => 'allow address.city;', '{"address":{"city":"X"}}' ],
    [ user => 'allow address;', '{"address":{"city":"X","zip":"0"}}' ],
    [ user => 'allow nosuch;', '{}' ],
    [ user => 'allow nosuch.x id;', '{"id":7}' ],
    [ user => 'allow address.nosuch;', '{"address":{}}' ],
    [ user => 'allow tags[];', '{"tags":["a","b","c"]}' ],
    [ user => 'allow tags[1];', '{"tags":["b"]}' ],
    [ user => 'allow address.*;', '{"address":{"city":"X","zip":"0"}}' ],
    [ user => 'allow *.city;', [ '{"address":{"city":"X"}}',
      '{"address":{"city":"X"},"tags":[]}' ] ],
    [ feed => 'allow feed[].id;', '{"feed":[{"id":1},{"id":2},{"id":3}]}' ],
    [ feed => 'allow feed[].id feed[].title next;',
      '{"feed":[{"id":1,"title":"one"},{"id":2,"title":"two"},'
      . '{"id":3,"title":"three"}],"next":null}' ],
    [ list => 'allow [].id;', '[{"id":1},{"id":2},{"id":3}]' ],
    [ list => 'allow [].x.y;', '[{"x":{"y":1}},{"x":{"y":2}},{}]' ],
    [ list => 'allow [0];', '[{"id":1,"x":{"y":1}}]' ],
    [ mixed => 'allow feed[].x;', [ '{"feed":[{"x":1},{}]}',
                                    '{"feed":[{"x":1},[],{},[]]}' ] ],
    [ dup => 'allow a;', '{"a":1,"a":3}' ],
    [ dup => 'allow c.d;', '{"c":{"d":1,"d":2}}' ],
    [ esc => 'allow a;', '{"\u0061":1}' ],
    [ esc => q{allow '"d.e"';}, '{"d.e":{"f":3}}' ],

    # deny
    [ user => 'deny ssn;', $documents{user} =~ s/"ssn":"1-2",//r ],
    [ user => 'deny ssn address.zip tags;', '{"id":7,"name":"Ann",'
      . '"address":{"city":"X"},"big":12345678901234567890,"f":1.0}' ],
    [ user => 'deny nosuch;', $documents{user} ],
    [ user => 'deny *;', '{}' ],
    [ user => 'deny tags[0];', $documents{user} =~ s/"a",//r ],
    [ user => 'deny tags[-1];', $documents{user} =~ s/,"c"//r ],
    [ user => 'deny tags[];', $documents{user} =~ s/\["a","b","c"\]/[]/r ],
    [ feed => 'deny feed[].body next;', '{"feed":[{"id":1,"title":"one"},'
      . '{"id":2,"title":"two"},{"id":3,"title":"three"}]}' ],
    [ list => 'deny [].x [].id;', '[{},{},{}]' ],
    [ dup => 'deny a;', '{"b":2,"c":{"d":1,"d":2}}' ],
    [ dup => 'deny c.d;', '{"a":1,"b":2,"a":3,"c":{}}' ],
    [ esc => 'deny a;', '{"b\"c":2,"d.e":{"f":3},"\u00e9":4,"":5}' ],
    [ user => 'allow address; deny address.zip;', '{"address":{"city":"X"}}' ],
    [ user => 'allow address.zip; deny address;', '{}' ],
    [ user => 'deny a b c d e f g h i;', $documents{user} =~ s/,"f":1\.0//r ],

    # rename
    [ user => 'allow id name; rename id key;', '{"key":7,"name":"Ann"}' ],
    [ user => 'allow id name; rename id name;', '{"name":7}' ],
    [ user => 'allow id name; rename name id;', '{"id":"Ann"}' ],
    [ user => 'allow address; rename address.city town;',
      '{"address":{"town":"X","zip":"0"}}' ],
    [ feed => 'allow feed[].id; rename feed[].id n;',
      '{"feed":[{"n":1},{"n":2},{"n":3}]}' ],
    [ feed => 'allow feed[].id; rename feed items;',
      '{"items":[{"id":1},{"id":2},{"id":3}]}' ],
    [ user => 'allow id; rename nosuch x;', '{"id":7}' ],
    [ user => q{allow id; rename id 'a"b';}, '{"a\"b":7}' ],
    [ dup => 'deny c; rename a z;', '{"z":1,"b":2,"z":3}' ],

    # move
    [ user => 'allow id name; move id who.id;',
      '{"name":"Ann","who":{"id":7}}' ],
    [ user => 'allow id address; move address.city city;',
      '{"id":7,"address":{"zip":"0"},"city":"X"}' ],
    [ user => 'allow id name; move id name;', '{"name":7}' ],
    [ user => 'allow id; move nosuch x.y;', '{"id":7}' ],
    [ user => 'allow id name; move id a.b.c.d;',
      '{"name":"Ann","a":{"b":{"c":{"d":7}}}}' ],

    # set
    [ user => 'allow id; set v 1.0;', '{"id":7,"v":1.0}' ],
    [ user => q{allow id; set v '{"a":[1,"x"]}';},
      '{"id":7,"v":{"a":[1,"x"]}}' ],
    [ user => 'allow id; set id null;', '{"id":null}' ],
    [ user => 'allow id; set a.b.c true;', '{"id":7,"a":{"b":{"c":true}}}' ],
    [ user => 'allow id; set v $arg_v;', '{"id":7,"v":"x"}', 'v=x' ],
    [ user => 'allow id; set v $arg_v;', '{"id":7,"v":""}' ],
    [ user => 'allow id; set v $quoted;', '{"id":7,"v":"a\"\\\\b"}' ],
    [ user => 'allow address.city; set address.zip 1;',
      '{"address":{"city":"X","zip":1}}' ],
    [ empty => 'set a 1; set b 2;', '{"a":1,"b":2}' ],
    [ empty => 'set a 1; set a 2;', '{"a":2}' ],

    # together, whatever the order they are written in
    [ wrap => 'limit 2; target data.items;', '[1,2]' ],
    [ user => 'set v 1; rename id key; deny ssn; allow id ssn;',
      '{"key":7,"v":1}' ],
    [ user => 'allow id ssn; deny ssn; rename id key; set v 1;',
      '{"key":7,"v":1}' ],
    [ feed => 'limit 1; target feed; allow [].id [].title; rename [].title t;',
      '[{"id":1,"t":"one"}]' ],
    [ feed => 'rename feed items; limit feed 1; allow feed[].id;',
      '{"items":[{"id":1}]}' ],
    [ feed => 'rename next after; deny next;',
      $documents{feed} =~ s/,"next":null//r ],
    [ spaced => 'limit a 2; deny b.c;', '{"a":[1,2],"b":{}}' ],
    [ deep => 'allow a.b.c.d[2];', '{"a":{"b":{"c":{"d":[[3,4,[5]]]}}}}' ],
);

my @cases;
for my $row (@rows) {
    my ($document, $statements, $wanted, $args) = @$row;

    for my $how ('w', 'c', 'd') {
        my @wanted = map { "200 complete {\"v\":$_}" }
            ref $wanted ? @$wanted : $wanted;

        push @cases, [ "$document: $statements (" . ($args || '') . ", $how)",
                       "backend v /b/$how/$document { $statements }",
                       @wanted > 1 ? \@wanted : $wanted[0],
                       args => $args ];
    }
}

# a default takes the place of the whole part and is not shaped
my @more = (
    [ 'a default is not shaped',
      q{ backend v /b/500 { target a; deny b; default '{"a":1,"b":2}'; } },
      '200 partial:v {"v":{"a":1,"b":2}}' ],
    [ 'a shape does not make a bad document good',
      'backend v /bad/ { target a; }', '502 {"v":"invalid_json"}' ],
    [ 'bad after what is taken', 'backend v /bad2/ { target a; }',
      '502 {"v":"invalid_json"}' ],
    [ 'bad in what is dropped', 'backend v /bad3/ { deny b; }',
      '502 {"v":"invalid_json"}' ],
    [ 'bad in what limit drops', 'backend v /bad4/ { limit 1; }',
      '502 {"v":"invalid_json"}' ],
);

$t->plan(@cases + @more);

serve($t, cases => [ @cases, @more ], http => q{
    map $arg_v $quoted { default 'a"\\\\b'; }
}, server => <<'EOF');
    location /bad/ { return 200 '{"a":1'; }
    location /bad2/ { return 200 '{"a":1,}'; }
    location /bad3/ { return 200 '{"a":1,"b":tru}'; }
    location /bad4/ { return 200 '[1,2,x]'; }
EOF

check($t, @cases, @more);
