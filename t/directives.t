# "build.sh directives": every directive of the command tables, for editors.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use JSON::PP;
use Test::More;

use Reference;

my $top = "$FindBin::Bin/..";
my $r = Reference->new($top);
my @names = sort keys %{ $r->{code} };

plan tests => 16;

cmp_ok(scalar @names, '>', 100, 'the tables are found');

my $list = decode_json(scalar `$top/build.sh directives`);
my %entries;
push @{ $entries{$_->{name}} }, $_ for grep { $_->{name} } @$list;

is_deeply([ sort keys %entries ], \@names, 'json: all of them');
is_deeply([ grep { grep { !@{ $_->{syntax} } } @{ $entries{$_} } } @names ], [],
          'json: each with its syntax');
is_deeply([ grep { my %in = map { $_ => 1 } map { @{ $_->{contexts} } }
                       @{ $entries{$_} };
                   grep { !$in{$_} } @{ $r->{code}{$_}{contexts} } } @names ],
          [], 'json: each with all its contexts');
is_deeply($entries{aggregate}[0]{contexts}, ['location'],
          'json: the context of aggregate');
ok($entries{aggregate}[0]{block}, 'json: which is a block');
is($entries{breaker}[0]{module}, 'ngx_http_breaker_module', 'json: modules');
ok((grep { ($_->{variable} || '') eq '$breaker_state' } @$list),
   'json: variables');

my %links = map { $_->{link} => 1 } @{ $entries{timeout} };

is(keys %links, @{ $entries{timeout} }, 'json: a link to each of one name');

my $rows = decode_json(scalar `$top/build.sh directives vscode`);

is($rows->[0][0], 1, 'vscode: the first row has the modules');

my ($row) = grep { $_->[0] == 2 && $_->[1] eq 'breaker_zone' } @$rows;

is_deeply([ @$row[0 .. 5] ],
          [ 2, 'breaker_zone', [ 'NAME SIZE' ], $row->[3], [ 'http' ],
            (grep { $rows->[0][$_] eq 'ngx_http_breaker_module' }
                 1 .. $#{ $rows->[0] })[0] ],
          'vscode: a directive');
is_deeply([ grep { @$_ != 9 } grep { $_->[0] == 2 } @$rows ], [],
          'vscode: nine columns');
is_deeply([ grep { @$_ != 7 } grep { $_->[0] == 3 } @$rows ], [],
          'vscode: seven for a variable');

my $vim = `$top/build.sh directives vim`;

like($vim, qr/^syn keyword ngxDirectiveBlock contained aggregate$/m,
     'vim: a block');
like($vim, qr/^syn keyword ngxDirective contained breaker_zone$/m,
     'vim: a directive');

my $output = `$top/build.sh directives xml 2>&1`;
like($output, qr/unknown format "xml"/, 'no such format');
