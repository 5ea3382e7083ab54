# Parts whose location has "aggregate_apply", and whose responses cannot be
# shaped: the reason and the status are those of the backend's response, not
# those of the error in its place.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use Test::More;

use Harness;
use Harness::Aggregate;

my $t = Harness->new(modules => ['ngx_http_aggregate_module']);

my @range = ('Content-Range' => 'bytes 0-9/10');

$t->backend('b',
    '/fine' => '{"a":1,"b":2}',
    '/invalid' => '{"a":tru}',
    '/201' => { status => 201, body => '{"a":' },
    '/empty' => '',
    '/html' => { type => 'text/html', body => '<p>' },
    '/large' => '{"a":"' . 'a' x 2000 . '"}',
    '/chunks' => { body => '{"a":"' . 'a' x 2000 . '"}', chunked => 1 },
    '/gzip' => { body => '{"a":1}', gzip => 1 },
    '/nogzip' => { body => '{"a":1}', headers =>
                   [ 'Content-Encoding' => 'gzip' ] },
    '/206' => { status => 206, body => '{"a":1}', headers => \@range },
    '/range' => { body => '{"a":1}', headers => \@range },
    '/cut' => { body => '{"a":1,"b":2}', cut => 7, after => 'close' },
    '/404' => { status => 404, body => 'x' },
    '/502' => { status => 502, body => '{"a":' },
);

# where, what, the reason, the status sent, that of a required part
my @table = (
    [ 's', 'invalid', 'invalid_json', 200, 502 ],
    [ 's', '201', 'invalid_json', 201, 502 ],
    [ 's', 'empty', 'invalid_json', 200, 502 ],
    [ 'strict', 'html', 'invalid_json', 200, 502 ],
    [ 's', 'large', 'too_large', 200, 502 ],
    [ 's', 'chunks', 'too_large', 200, 502 ],
    [ 's', 'gzip', 'encoding', 200, 502 ],
    [ 'gunzip', 'nogzip', 'encoding', 200, 502 ],
    [ 's', '206', 'status', 206, 502 ],
    [ 's', 'range', 'truncated', 200, 502 ],
    [ 's', 'cut', 'truncated', 200, 502 ],
    [ 'none', 'fine', 'internal', 200, 502 ],
    [ 's', '404', 'status', 404, 404 ],
    [ 's', '502', 'status', 502, 502 ],
);

my @cases = map {
    my ($where, $what, $reason, $sent, $status) = @$_;

    ([ "$where, $what",
       "errors e; backend one /b/fine { } backend x /$where/$what { }",
       qq/200 partial:x {"one":{"a":1,"b":2},"e":[{"backend":"x",/
       . qq/"reason":"$reason","status":$sent}]}/ ],
     [ "$where, $what, required", "backend x /$where/$what { required; }",
       qq/$status {"x":"$reason"}/ ]);
} @table;

push @cases,
    [ 'what can be', 'backend x /s/fine { }', '200 complete {"x":{"a":1}}' ],
    [ 'an accepted status that was not sent',
      'backend x /s/invalid { accept 2xx 502; }', '502 {"x":"invalid_json"}' ],
    [ 'it is not asked once more', 'backend x /s/invalid { retry 2; }',
      '502 {"x":"invalid_json"}', count => { '/invalid' => 1 } ];

$t->plan(scalar @cases);

serve($t, cases => \@cases, http => 'aggregate_shape s { allow a; }',
      server => join '', map {
          my ($name, $directives) = @$_;
          "location /$name/ { internal; $directives
              proxy_pass http://127.0.0.1:%%PORT_b%%/; }\n"
      } [ s => 'aggregate_apply s; aggregate_shape_buffer 1k;' ],
        [ strict => 'aggregate_apply s strict;' ],
        [ gunzip => 'aggregate_apply s; gunzip on;' ],
        [ none => 'aggregate_apply $arg_none;' ]);

check($t, @cases);
