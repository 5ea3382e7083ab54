# Members stand in declared order, whichever part arrives first.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use Test::More;

use Harness;
use Harness::Aggregate;

my $t = Harness->new(modules => ['ngx_http_aggregate_module']);

$t->backend('b',
    '/1' => { body => '1', delay => 0.15 },
    '/2' => { body => '2', delay => 0.1 },
    '/3' => { body => '3', delay => 0.05 },
    '/4' => '4',
    '/o' => { body => '{"x":1,"y":2}', delay => 0.1 },
    '/p' => '{"z":3}',
    '/slowhead' => { body => '5', body_delay => 0.1 },
    '/drip' => { body => '"dripping"', drip => 0.01 },
    '/no' => { status => 500, delay => 0.1 },
);

my @cases = (
    [ 'the last declared is the first to arrive',
      q{ backend a /b/1 { } backend b /b/2 { } backend c /b/3 { }
         backend d /b/4 { } },
      '200 complete {"a":1,"b":2,"c":3,"d":4}' ],

    [ 'names do not sort',
      q{ backend z /b/4 { } backend a /b/1 { } backend m /b/3 { } },
      '200 complete {"z":4,"a":1,"m":3}' ],

    [ 'bodies that come in pieces',
      q{ backend drip /b/drip { } backend head /b/slowhead { }
         backend quick /b/4 { } },
      '200 complete {"drip":"dripping","head":5,"quick":4}' ],

    [ 'a merged part stands in its own place',
      q{ backend a /b/3 { } backend b /b/o { merge; } backend c /b/4 { } },
      '200 complete {"a":3,"x":1,"y":2,"c":4}' ],

    [ 'two merged parts, the later declared arrives first',
      q{ backend a /b/o { merge; } backend b /b/p { merge; } },
      '200 complete {"x":1,"y":2,"z":3}' ],

    [ 'a default stands in its part\'s place',
      q{ backend a /b/4 { } backend b /b/no { default []; }
         backend c /b/1 { } },
      '200 partial:b {"a":4,"b":[],"c":1}' ],

    [ 'a failed part leaves no gap',
      q{ backend a /b/4 { } backend b /b/no { } backend c /b/1 { } },
      '200 partial:b {"a":4,"c":1}' ],

    [ 'the first one fails',
      q{ backend a /b/no { } backend b /b/4 { } },
      '200 partial:a {"b":4}' ],

    [ 'failed parts are named in declared order',
      q{ backend z /b/no { } backend ok /b/4 { } backend a /dead/x { }
         backend b /b/no { } },
      '200 partial:z, a, b {"ok":4}' ],

    [ 'a dependent declared first stands first',
      q{ backend b /b/${a.}/ { as first; } backend a /b/4 { as second; }
         backend c /b/1 { } },
      '200 complete {"first":{},"second":4,"c":1}' ],

    [ 'the same backend twice',
      q{ backend a /b/1 { } backend b /b/1 { } backend c /b/4 { } },
      '200 complete {"a":1,"b":1,"c":4}' ],

    [ 'twenty parts, more than run at once',
      (join ' ', map { "backend p$_ /b/" . (1 + $_ % 4) . ' { }' } 1 .. 20),
      '200 complete {'
          . (join ',', map { "\"p$_\":" . (1 + $_ % 4) } 1 .. 20) . '}' ],
);

$t->backend('slash', '/' => '{}');
$t->plan(@cases + 1);

serve($t, cases => \@cases, server => q{
    location ~ ^/b/\d/$ { internal;
                          proxy_pass http://127.0.0.1:%%PORT_slash%%; }
});

check($t, @cases);

# the declared order holds when the same block is asked many times at once
my @clients = map { $t->connect } 1 .. 8;
$_->request(GET => case_uri($cases[0])) for @clients;
is(join(' ', map { outcome($_->response) } @clients),
   join(' ', ('200 complete {"a":1,"b":2,"c":3,"d":4}') x 8),
   'eight clients at once');
