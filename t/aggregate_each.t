# Fan-out: one subrequest for each element of an array.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use Test::More;

use Harness;
use Harness::Aggregate;

my $t = Harness->new(modules => ['ngx_http_aggregate_module']);

my %carts = (
    three => '{"user":7,"items":'
             . '[{"id":1,"n":2},{"id":2,"n":1},{"id":3,"n":9}]}',
    dup   => '{"items":[{"id":1},{"id":2},{"id":1},{"id":1},{"id":2}]}',
    empty => '{"items":[]}',
    none  => '{"user":7}',
    null  => '{"items":null}',
    object => '{"items":{"a":1}}',
    string => '{"items":"abc"}',
    mixed => '{"items":[{"id":1},5,"x",null,[1],{"id":3}]}',
    noid  => '{"items":[{"id":1},{"n":1},{"id":null},{"id":{}},{"id":2}]}',
    bad   => '{"items":[{"id":"x"},{"id":500},{"id":1},{"id":"bad"}]}',
    evil  => '{"items":[{"id":".."},{"id":"a/b"},{"id":""},{"id":"a\r\nb"},'
             . '{"id":1}]}',
    has   => '{"items":[{"id":1,"p":"old","z":0},{"p":1,"id":2,"p":2},'
             . '{"id":3}]}',
    esc   => '{"items":[{"id":1,"\u0070":"old"},{"id":2}]}',
    order => '{"items":[{"id":"slow"},{"id":"quick"},{"id":1}]}',
    plain => '[1,2,3]',
    strings => '["1","2"]',
    many  => '{"items":[' . join(',', map { "{\"id\":$_}" } 1 .. 60) . ']}',
    toomany => '{"items":[' . join(',', map { "{\"id\":$_}" } 1 .. 101) . ']}',
    samemany => '{"items":[' . join(',', ('{"id":1}') x 90) . ']}',
    deep  => '{"a":{"b":[{"c":{"id":1}},{"c":{"id":2}}]}}',
    nested => '{"items":[{"id":1,"l":[1,2]},{"id":2,"l":[]}]}',
    big   => '{"items":[{"id":12345678901234567890},{"id":1.0}]}',
    spaced => "{ \"items\" : [ { \"id\" : 1 } , { } , {\"id\":2, \"o\":{}} ] }",
);

my $b = $t->backend('b',
    '/cart/' => sub {
        my ($name) = $_[0]{path} =~ m{/(\w+)$};
        return { body => $carts{$name} };
    },
    '/p/' => sub {
        my ($id) = $_[0]{uri} =~ m{/([^/]*)$};
        return { status => 404 } if $id eq 'x';
        return { status => 500 } if $id eq '500';
        return { body => '{' } if $id eq 'bad';
        return { body => '"slow"', delay => slow(0.1) } if $id eq 'slow';
        return { body => "{\"name\":\"p$id\",\"price\":$id.50,\"x\":{}}" }
            if $id =~ /^\d+$/;
        return { body => '"' . $id . '"' };
    },
    '/s/' => sub { { body => '"' . ($_[0]{uri} =~ m{/([^/]*)$})[0] . '"' } },
    '/late/' => { delay => 20 },
    '/arr' => '[1,2]',
    '/echo' => sub {
        my ($q) = @_;
        my %h = map { lc $_->[0] => $_->[1] } @{ $q->{headers} };
        return { body => '"' . ($h{'x-id'} || '') . $q->{body} . '"' };
    },
    '/500' => { status => 500 },
    '/mark/' => sub { { body => '{"next":' . ($_[0]{uri} =~ m{/(\d+)$})[0]
                                . '0}' } },
);

sub cart {
    my ($cart, $more, $host) = @_;
    return "backend cart /b/cart/$cart { @{[$host || '']} }
            backend p '/b/p/\${item.id}' { each cart.items; $more }";
}

my ($p1, $p2, $p3) = map { "{\"name\":\"p$_\",\"price\":$_.50,\"x\":{}}" }
    1 .. 3;

my @cases = (
    # without into
    [ 'an array of results', cart('three', ''),
      "200 complete {\"cart\":$carts{three},\"p\":[$p1,$p2,$p3]}" ],
    [ 'shaped, each result', cart('three', 'allow name;', 'hidden;'),
      '200 complete {"p":[{"name":"p1"},{"name":"p2"},{"name":"p3"}]}' ],
    [ 'target of each result', cart('three', 'target price;', 'hidden;'),
      '200 complete {"p":[1.50,2.50,3.50]}' ],
    [ 'as', cart('three', 'target name; as names;', 'hidden;'),
      '200 complete {"names":["p1","p2","p3"]}' ],
    [ 'the array\'s order, not that of arrival', cart('order', '', 'hidden;'),
      "200 complete {\"p\":[\"slow\",\"quick\",$p1]}" ],
    [ 'equal requests are sent once',
      cart('dup', 'target name;', 'hidden;'),
      '200 complete {"p":["p1","p2","p1","p1","p2"]}',
      count => { '/p/1' => 1, '/p/2' => 1 } ],
    [ 'an empty array', cart('empty', ''),
      '200 complete {"cart":{"items":[]},"p":[]}' ],
    [ 'no such member', cart('none', ''),
      '200 partial:p {"cart":{"user":7}}' ],
    [ 'null', cart('null', ''), '200 partial:p {"cart":{"items":null}}' ],
    [ 'an object', cart('object', ''),
      '200 partial:p {"cart":{"items":{"a":1}}}' ],
    [ 'a string', cart('string', ''),
      '200 partial:p {"cart":{"items":"abc"}}' ],
    [ 'failed elements are null', cart('bad', '', 'hidden;'),
      "200 partial:p {\"p\":[null,null,$p1,null]}" ],
    [ 'or the default', cart('bad', "default '{\"d\":1}';", 'hidden;'),
      "200 partial:p {\"p\":[{\"d\":1},{\"d\":1},$p1,{\"d\":1}]}" ],
    [ 'elements that lack what is needed',
      cart('noid', 'target name;', 'hidden;'),
      '200 partial:p {"p":["p1",null,null,null,"p2"]}' ],
    [ 'elements that are no objects', cart('mixed', 'target name;', 'hidden;'),
      '200 partial:p {"p":["p1",null,null,null,null,"p3"]}' ],
    [ 'hostile elements', cart('evil', 'target name;', 'hidden;'),
      '200 partial:p {"p":[null,null,null,null,"p1"]}',
      count => { '/p/1' => 1, '/cart/evil' => 1 } ],
    [ 'a root array', q{ backend cart /b/cart/plain { hidden; }
      backend p /b/s/${item.} { each cart.; } },
      '200 complete {"p":["1","2","3"]}' ],
    [ 'a root array of strings', q{ backend cart /b/cart/strings { hidden; }
      backend p /b/s/${item.} { each cart.; } },
      '200 complete {"p":["1","2"]}' ],
    [ 'a deeper array', q{ backend cart /b/cart/deep { hidden; }
      backend p /b/s/${item.c.id} { each cart.a.b; } },
      '200 complete {"p":["1","2"]}' ],
    [ 'numbers as they stand', q{ backend cart /b/cart/big { hidden; }
      backend p /b/s/${item.id} { each cart.items; } },
      '200 complete {"p":["12345678901234567890","1.0"]}' ],
    [ 'after target and limit', q{ backend cart /b/cart/three { target items;
      limit 2; } backend p /b/p/${item.id} { each cart.; target name; } },
      '200 complete {"cart":[{"id":1,"n":2},{"id":2,"n":1}],"p":["p1","p2"]}' ],
    [ 'before the rest of the shaping', q{ backend cart /b/cart/three {
      deny items; } backend p /b/p/${item.id} { each cart.items;
      target name; } },
      '200 complete {"cart":{"user":7},"p":["p1","p2","p3"]}' ],
    [ 'in an argument', q{ backend cart /b/cart/three { hidden; }
      backend p /b/s/x?id=${item.id}&n=${item.n} { each cart.items; } },
      '200 complete {"p":["x?id=1&n=2","x?id=2&n=1","x?id=3&n=9"]}' ],
    [ 'in a header', q{ backend cart /b/cart/three { hidden; }
      backend p /b/echo { each cart.items; header X-Id ${item.id}; } },
      '200 complete {"p":["1","2","3"]}' ],
    [ 'in a body', q{ backend cart /b/cart/three { hidden; }
      backend p /b/echo { each cart.items; method POST; encoding string;
      body '[${item.n}]'; } },
      '200 complete {"p":["\"[2]\"","\"[1]\"","\"[9]\""]}' ],
    [ 'equal but for a header', q{ backend cart /b/cart/three { hidden; }
      backend p /b/echo { each cart.items; header X-Id ${item.n}; } },
      '200 complete {"p":["2","1","9"]}', count => { '/echo' => 3 } ],
    [ 'equal without the element', q{ backend cart /b/cart/three { hidden; }
      backend p /b/s/same { each cart.items; } },
      '200 complete {"p":["same","same","same"]}',
      count => { '/s/same' => 1 } ],
    [ 'with another part\'s value', q{ backend cart /b/cart/three { hidden; }
      backend v /b/arr { hidden; }
      backend p '/b/s/${v.[0]}-${item.id}' { each cart.items; } },
      '200 complete {"p":["1-1","1-2","1-3"]}' ],
    [ 'hidden', cart('three', 'hidden;'),
      "200 complete {\"cart\":$carts{three}}" ],
    [ 'empty, nothing else', cart('empty', '', 'hidden;'),
      '200 complete {"p":[]}', count => { '/cart/empty' => 1 } ],
    [ 'sixty', cart('many', 'target name;', 'hidden;'),
      '200 complete {"p":[' . join(',', map { "\"p$_\"" } 1 .. 60) . ']}' ],
    [ 'more than max_subrequests', cart('toomany', '') =~ s/^/errors e;/r,
      qr/"e":\[\{"backend":"p","reason":"too_large","status":/,
      count => { '/p/1' => 0, '/cart/toomany' => 1 } ],
    [ 'more than a smaller max_subrequests',
      'max_subrequests 3;' . cart('three', '', 'hidden;') . 'backend x /b/arr {
      }', '200 partial:p {"x":[1,2]}', count => { '/p/1' => 0 } ],
    [ 'just within max_subrequests',
      'max_subrequests 4;' . cart('three', 'target name;', 'hidden;'),
      '200 complete {"p":["p1","p2","p3"]}' ],

    # into
    [ 'into', cart('three', 'into p;'), '200 complete {"cart":{"user":7,'
      . "\"items\":[{\"id\":1,\"n\":2,\"p\":$p1},{\"id\":2,\"n\":1,\"p\":$p2},"
      . "{\"id\":3,\"n\":9,\"p\":$p3}]}}" ],
    [ 'into, shaped', cart('three', 'into p; target name;'),
      '200 complete {"cart":{"user":7,"items":[{"id":1,"n":2,"p":"p1"},'
      . '{"id":2,"n":1,"p":"p2"},{"id":3,"n":9,"p":"p3"}]}}' ],
    [ 'into, white space', cart('spaced', 'into p; target name;'),
      '200 partial:p {"cart":{"items":[{"id":1,"p":"p1"},{"p":null},'
      . '{"id":2,"o":{},"p":"p2"}]}}' ],
    [ 'into, an empty array', cart('empty', 'into p;'),
      '200 complete {"cart":{"items":[]}}' ],
    [ 'into, equal requests', cart('dup', 'into p; target name;'),
      '200 complete {"cart":{"items":[{"id":1,"p":"p1"},{"id":2,"p":"p2"},'
      . '{"id":1,"p":"p1"},{"id":1,"p":"p1"},{"id":2,"p":"p2"}]}}',
      count => { '/p/1' => 1, '/p/2' => 1 } ],
    [ 'into, failed elements', cart('bad', 'into p; target name;'),
      '200 partial:p {"cart":{"items":[{"id":"x","p":null},{"id":500,"p":null},'
      . '{"id":1,"p":"p1"},{"id":"bad","p":null}]}}' ],
    [ 'into, the default', cart('bad', 'into p; target name; default 0;'),
      '200 partial:p {"cart":{"items":[{"id":"x","p":0},{"id":500,"p":0},'
      . '{"id":1,"p":"p1"},{"id":"bad","p":0}]}}' ],
    [ 'into, elements that are no objects',
      cart('mixed', 'into p; target name;'),
      '200 partial:p {"cart":{"items":[{"id":1,"p":"p1"},5,"x",null,[1],'
      . '{"id":3,"p":"p3"}]}}' ],
    [ 'into, a member that is there is replaced in place',
      cart('has', 'into p; target name;'),
      '200 complete {"cart":{"items":[{"id":1,"p":"p1","z":0},'
      . '{"p":"p2","id":2},{"id":3,"p":"p3"}]}}' ],
    [ 'into, by its decoded name', cart('esc', 'into p; target name;'),
      [ map { "200 complete {\"cart\":{\"items\":[{\"id\":1,\"$_\":\"p1\"},"
              . '{"id":2,"p":"p2"}]}}' } 'p', '\u0070' ] ],
    [ 'into, a key that needs escapes', q{ backend cart /b/cart/deep { }
      backend p /b/p/${item.c.id} { each cart.a.b; into 'a"b';
      target name; } },
      '200 complete {"cart":{"a":{"b":[{"c":{"id":1},"a\"b":"p1"},'
      . '{"c":{"id":2},"a\"b":"p2"}]}}}' ],
    [ 'into, after the host\'s own shaping',
      cart('three', 'into p; target name;', 'deny items[].n; set v 1;'),
      '200 complete {"cart":{"user":7,"items":[{"id":1,"p":"p1"},'
      . '{"id":2,"p":"p2"},{"id":3,"p":"p3"}],"v":1}}' ],
    [ 'into, the host\'s allow does not drop it',
      cart('three', 'into p; target name;', 'allow items[].n;'),
      '200 complete {"cart":{"items":[{"n":2,"p":"p1"},{"n":1,"p":"p2"},'
      . '{"n":9,"p":"p3"}]}}' ],
    [ 'into, the host\'s target',
      q{ backend cart /b/cart/three { target items; limit 2; as lines; }
         backend p /b/p/${item.id} { each cart.; into p; target name; } },
      '200 complete {"lines":[{"id":1,"n":2,"p":"p1"},'
      . '{"id":2,"n":1,"p":"p2"}]}' ],
    [ 'into, a merged host',
      cart('three', 'into p; target name;', 'merge;'),
      '200 complete {"user":7,"items":[{"id":1,"n":2,"p":"p1"},'
      . '{"id":2,"n":1,"p":"p2"},{"id":3,"n":9,"p":"p3"}]}' ],
    [ 'into, no array', cart('object', 'into p;'),
      '200 partial:p {"cart":{"items":{"a":1}}}' ],
    [ 'into, no such member', cart('none', 'into p;'),
      '200 partial:p {"cart":{"user":7}}' ],
    [ 'two into one', cart('three', 'into p; target name;')
      . 'backend q /b/s/${item.n} { each cart.items; into q; }',
      '200 complete {"cart":{"user":7,"items":['
      . '{"id":1,"n":2,"p":"p1","q":"2"},{"id":2,"n":1,"p":"p2","q":"1"},'
      . '{"id":3,"n":9,"p":"p3","q":"9"}]}}' ],

    # the host
    [ 'the host failed', cart('three', '') =~ s{/b/cart/three}{/b/500}r
      . 'backend x /b/arr { }', '200 partial:cart, p {"x":[1,2]}' ],
    [ 'the host failed, its default',
      cart('three', 'target name;', "default '{\"items\":[{\"id\":3}]}';")
      =~ s{/b/cart/three}{/b/500}r,
      '200 partial:cart {"cart":{"items":[{"id":3}]},"p":["p3"]}' ],
    [ 'the host skipped', cart('three', '', 'if $arg_x;')
      . 'backend x /b/arr { }', '200 complete {"x":[1,2]}',
      count => { '/p/1' => 0 } ],
    [ 'the fan-out skipped', cart('three', 'if $arg_x;', 'target user;'),
      '200 complete {"cart":7}', count => { '/p/1' => 0 } ],

    # required
    [ 'required, all there', cart('three', 'required; target name;', 'hidden;'),
      '200 complete {"p":["p1","p2","p3"]}' ],
    [ 'required, no array', cart('object', 'required;', 'hidden;'),
      '502 {"p":"dependency"}' ],
    [ 'required, an element failed',
      cart('bad', 'required; target name;', 'hidden;'),
      '200 partial:p {"p":[null,null,"p1",null]}' ],
    [ 'required, too many', cart('toomany', 'required;', 'hidden;'),
      '502 {"p":"too_large"}' ],

    # a part that needs a fan-out, a fan-out of a fan-out
    [ 'a part that takes a result',
      q{ backend cart /b/cart/three { hidden; }
         backend p /b/mark/${item.id} { each cart.items; hidden; }
         backend q '/b/s/${p.[1].next}' { } }, '200 complete {"q":"20"}' ],
    [ 'a fan-out of a fan-out',
      q{ backend cart /b/cart/three { hidden; }
         backend p /b/mark/${item.id} { each cart.items; hidden; }
         backend q /b/s/${item.next} { each p.; } },
      '200 complete {"q":["10","20","30"]}' ],
);

my $slow = [ 'slow', 'timeout 20s; backend cart /b/cart/three { hidden; }
    backend p /b/late/${item.id} { each cart.items; timeout '
    . int(slow(150)) . 'ms; }', undef ];
my $wide = [ 'wide', 'timeout 20s; backend cart /b/cart/many { hidden; }
    backend p /b/q/${item.id} { each cart.items; }', undef ];
my $narrow = [ 'narrow', 'timeout 20s; concurrency 3;
    backend cart /b/cart/three { hidden; }
    backend p /b/q/${item.id} { each cart.items; }
    backend x /b/q/a { } backend y /b/q/b { } backend z /b/q/c { }', undef ];

$b->set('/q/' => { body => '1', delay => slow(0.1) });

$t->plan(@cases + 11);

serve($t, cases => [ @cases, $slow, $wide, $narrow ], server => q{
    location /lookup { aggregate { errors e;
        backend cart /b/cart/bad { hidden; }
        backend p /b/p/${item.id} { each cart.items; } } }
});

check($t, @cases);

# deadlines

$b->clear;
my $r = http_get(case_uri($slow));
matches(outcome($r), [ '200 partial:p {"p":[null,null,null]}',
                       '200 partial:p {}' ], 'late elements');
cmp_ok($r->time, '<', slow(0.9), 'in time');
ok(wait_for(sub { $b->stats->{aborted} == 3 }, slow(2)), 'all are cancelled');

# concurrency

$b->clear;
$r = http_get(case_uri($wide));
is(outcome($r), '200 complete {"p":[' . join(',', (1) x 60) . ']}', 'sixty');
cmp_ok($b->stats->{parallel}, '<=', 16, 'sixteen at once');
cmp_ok($b->stats->{parallel}, '>=', 14, 'and not less');
cmp_ok($r->time, '<', slow(1.2), 'in four rounds');

$b->clear;
$r = http_get(case_uri($narrow));
is(outcome($r), '200 complete {"p":[1,1,1],"x":1,"y":1,"z":1}', 'concurrency');
cmp_ok($b->stats->{parallel}, '<=', 3, 'three at once, elements and parts');

# errors: one entry for the part

$r = http_get('/lookup');
my @errors = @{ $r->json->{e} || [] };
is(scalar(grep { $_->{backend} ne 'p' } @errors), 0, 'errors: of the part');
cmp_ok(scalar @errors, '>=', 1, 'errors: there');
