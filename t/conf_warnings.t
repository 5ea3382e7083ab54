# Warnings of "nginx -t" about what nginx takes and what does not do what was
# meant: each names the file and the line, and where nothing is wrong there is
# none.  And errors about names, of zones and the like, that are found out when
# all is read: they name the line that they stand in, and the nearest name.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use Test::More;

use Harness;

my $t = Harness->new(modules => [ 'ngx_http_aggregate_module',
                                  'ngx_http_breaker_module' ]);

my $b = 'backend b /b/;';

# name, text with "#!" in the line that is meant, what is said of it
my @warnings = (

    # access rules that parts ignore
    (map { [ "$_->[0] in a part's location",
             server("location /b/ {\ninternal;\n$_->[1]; #!\n$::proxy }",
                    aggregate()),
             qr/"$_->[0]" does not apply to backend "b" in \S+:\d+, which is/ ]
         }
        [ deny => 'deny 10.0.0.0/8' ], [ auth_basic => 'auth_basic x' ],
        [ auth_request => 'auth_request /auth' ],
        [ allow => 'allow 10.0.0.0/8' ]),
    [ 'access rules around a part\'s location',
      server("location / {\ndeny 10.0.0.0/8; #!\n"
             . "location /b/ { internal; $::proxy } }",
             aggregate('= /a')),
      qr/"deny" does not apply/ ],
    [ 'access rules in the location of a regular expression',
      server("location ~ ^/b/ {\ninternal;\ndeny 10.1.1.1; #!\n$::proxy }",
             aggregate(), part('/')), qr/"deny" does not apply/ ],

    [ 'limit_except in a part\'s location',
      server("location /b/ {\ninternal;\nlimit_except GET { #!\ndeny all; }\n"
             . "$::proxy }", aggregate()),
      qr/"limit_except" does not apply to backend "b"/ ],

    # additions, which nginx makes to no subrequest
    (map { [ "$_ in a part's location",
             server("location /b/ {\ninternal;\n$_ /x; #!\n$::proxy }",
                    aggregate()),
             qr/"$_" does not apply to backend "b" in \S+:\d+, which is/ ]
         } qw(add_before_body add_after_body)),

    # URIs without a location
    [ 'no location', server("location = /a { aggregate {\n"
        . "backend b /typo/x { } #!\n} }", part()),
      qr{no location of the server takes URI "/typo/x" of backend "b"} ],
    [ 'no location, with a variable', server("location = /a { aggregate {\n"
        . "backend b /typo/\$arg_id { } #!\n} }", part()),
      qr{no location of the server takes URI "/typo/\.\.\."} ],
    [ 'an exact location is no prefix', server("location = /a { aggregate {\n"
        . "backend b /b/x { } #!\n} }", part('= /b/')),
      qr{no location of the server takes URI "/b/x"} ],
    [ 'the location is in another server',
      server(aggregate('= /a', "backend b /b/ { } #!")) . server(part()),
      qr/no location of the server takes/ ],
    [ 'a regular expression alone',
      server("location = /a { aggregate {\nbackend b /x/b.json { } #!\n} }",
             part('~ \.json$')),
      qr/taken by the regular expression of location "\\\.json\$" only/ ],
    [ 'a regular expression alone, with a variable',
      server("location = /a { aggregate {\nbackend b /x/\$arg_i { } #!\n} }",
             part('~ \.json$')),
      qr/taken by a location with a regular expression, or by none/ ],
    [ 'a regular expression that can not match',
      server("location = /a { aggregate {\nbackend b /x/\$arg_i { } #!\n} }",
             part('~ ^/y/')),
      qr{no location of the server takes URI "/x/\.\.\."} ],
    [ 'a redirect that adds a slash',
      server(aggregate('= /a', 'backend b /b { } #!'), part()),
      qr{URI "/b" of backend "b" is redirected to "/b/"} ],
    [ 'a field of GraphQL', graphql('/typo/{id}', ''),
      qr{no location of the server takes URI "/typo/\.\.\." of field "user" }
      . qr{in \S+schema\.graphql:3$}m ],

    # rings
    [ 'an aggregate in itself',
      server("location /a {\naggregate {\nbackend b /a/b { } #!\n} }"),
      qr{location "/a" asks for itself by its backend "b": "/a"} ],
    [ 'two aggregates in each other',
      server("location = /a {\naggregate {\nbackend x /b/ { } #!\n} }",
             "location /b/ { aggregate {\nbackend y /a { }\n} }"),
      qr{location "/a" asks for itself by its backend "x": "/b/" -> "/a"} ],
    [ 'three, of which one is nested',
      server("location = /a {\naggregate {\nbackend x /b/c/ { } #!\n} }",
             "location /b/ { location /b/c/ { aggregate {\n"
             . "backend y /d { }\n} } }",
             "location /d { aggregate { backend z /a { } } }"),
      qr{"/b/c/" -> "/d" -> "/a"} ],

    # two handlers, or "return"
    (map { [ "$_->[0] before aggregate",
             server("location = /a {\n$_->[1]; #!\naggregate { $b } }",
                    part()),
             qr/"$_->[0]" has no effect, "aggregate" in \S+ answers/ ] }
        [ proxy_pass => 'proxy_pass http://127.0.0.1:1' ],
        [ fastcgi_pass => 'fastcgi_pass 127.0.0.1:1' ],
        [ empty_gif => 'empty_gif' ]),
    [ 'proxy_pass after aggregate',
      server("location = /a {\naggregate { #!\n$b }\n$::proxy }", part()),
      qr/"aggregate" has no effect, "proxy_pass" in \S+ answers/ ],
    [ 'return before aggregate',
      server("location = /a {\nreturn 200; #!\naggregate { $b } }", part()),
      qr/"aggregate" in \S+ is never reached, "return" answers before/ ],
    [ 'return after aggregate',
      server("location = /a {\naggregate { $b }\nreturn 200; #!\n}", part()),
      qr/"aggregate" in \S+ is never reached/ ],
    [ 'return beside aggregate_cache_status',
      server("location = /a {\nallow all; aggregate_cache_status;\n"
             . "return 200; #!\n}"), qr/is never reached/ ],
    [ 'return of the server and aggregate',
      server("return 301 https://b;  #!", aggregate(), part()),
      qr/"aggregate" in \S+ is never reached, "return" answers before/ ],
    [ 'aggregate_status beside breaker_status',
      server("location = /p { deny all;\nbreaker_status; #!\n"
             . "aggregate_status; }"),
      qr/"breaker_status" has no effect, "aggregate_status" in/ ],
    [ 'proxy_pass beside breaker_status',
      server("location = /a { allow 127.0.0.1; deny all;\n"
             . "$::proxy #!\nbreaker_status; }"),
      qr/"proxy_pass" has no effect, "breaker_status" in/ ],

    # breakers that guard nothing
    [ 'a breaker and return', server("location /b/ {\n"
        . "breaker k zone=z; #!\nreturn 200 x; }"),
      qr/"breaker" guards nothing where "return" answers/ ],
    [ 'a breaker and return of the server', server("return 301 https://b;\n"
        . "location /b/ {\nbreaker k zone=z; #!\n$::proxy }"),
      qr/"breaker" guards nothing where "return" answers/ ],
    [ 'a breaker and files', server("location /b/ {\n"
        . "breaker k zone=z; #!\nroot /srv; }"),
      qr/"breaker" guards nothing where files are served/ ],
    [ 'a breaker and files, nested', server("location / {\n$::proxy\n"
        . "location /b/ {\nbreaker k zone=z; #!\nalias /srv/; } }"),
      qr/"breaker" guards nothing where files are served/ ],
    [ 'a breaker and files, named', server("location \@n {\n"
        . "breaker k zone=z; #!\n}"), qr/"breaker" guards nothing/ ],

    # identities that nobody checks
    (map { [ "the identity $_", server("location / { aggregate_cache c;\n"
             . "aggregate_cache_identity $_; #!\n$::proxy }"),
             qr/"aggregate_cache_identity \S+" is a name .* no "auth_basic"/ ]
         } '$remote_user', '${remote_user}-$http_x'),
    [ 'the identity $remote_user with allow',
      server("location / { allow 10.0.0.0/8; deny all; aggregate_cache c;\n"
             . "aggregate_cache_identity \$remote_user; #!\n$::proxy }"),
      qr/is a name that the client sends/ ],
    [ 'the identity $remote_user beside auth_basic',
      server("location / { aggregate_cache c; auth_basic off;\n"
             . "aggregate_cache_identity \$remote_user; #!\n$::proxy }",
             'location /b/ { auth_basic x; }'),
      qr/is a name that the client sends/ ],

    # for anybody
    [ 'aggregate_cache_purge without rules',
      server("location = /p {\naggregate_cache_purge c; #!\n}"),
      qr/"aggregate_cache_purge" without access rules/ ],
    [ 'breaker_status without rules',
      server("location = /p {\nbreaker_status; #!\n}"),
      qr/"breaker_status" without access rules/ ],
    [ 'aggregate_split_status without rules',
      server("location / { location /p {\naggregate_split_status; #!\n} }"),
      qr/"aggregate_split_status" without access rules/ ],
    [ 'allow all is none',
      server("location = /p {\nallow all;\nbreaker_status; #!\n}"),
      qr/"breaker_status" without access rules/ ],
    [ 'allow without deny',
      server("location = /p {\nallow 127.0.0.1;\nbreaker_status; #!\n}"),
      qr/"breaker_status" without access rules/ ],
    [ 'deny behind allow all',
      server("location = /p {\nallow all; deny 10.0.0.1;\n"
             . "breaker_status; #!\n}"),
      qr/"breaker_status" without access rules/ ],
    [ 'rules of the server that are replaced',
      server("deny 10.0.0.1; auth_basic x;",
             "location = /p {\nallow all; auth_basic off;\n"
             . "breaker_status; #!\n}"),
      qr/"breaker_status" without access rules/ ],
    [ 'rules in another location',
      server("location = /q { deny all; }",
             "location = /p {\nbreaker_status; #!\n}"),
      qr/"breaker_status" without access rules/ ],

    # keys and identities
    [ 'a key without a variable',
      server("location / { aggregate_cache c;\n"
             . "aggregate_cache_key home; #!\n$::proxy }"),
      qr/"aggregate_cache_key" has no variable/ ],
    [ 'an empty key',
      server("location / { aggregate_cache c;\n"
             . "aggregate_cache_key ''; #!\n$::proxy }"),
      qr/"aggregate_cache_key" is empty, no response/ ],
    [ 'a split without a variable',
      "aggregate_split \$v key=all { #!\n50% a;\n* b;\n}\n" . server(),
      qr/"key=" of "aggregate_split" has no variable/ ],
    (map { [ "an identity by $_",
             server("location / { aggregate_cache c;\n"
                    . "aggregate_cache_identity $_; #!\n$::proxy }"),
             qr/"aggregate_cache_identity \Q$_\E" is a value that/ ] }
        qw($http_x_user $cookie_user $arg_user u-$http_a-$cookie_b),
        '"${http_x_user}"' =~ tr/"//dr),

    # statements of a backend
    [ 'retry of a POST',
      server(aggregate('= /a', "backend b /b/ {\nretry 1; #!\nmethod POST; }"),
             part()),
      qr/"retry" has no effect in backend "b", a POST is sent once/ ],
    [ 'a body with GET',
      server(aggregate('= /a', "backend b /b/ {\nbody '{}'; #!\n}"), part()),
      qr/"body" with "method GET" in backend "b"/ ],
    [ 'the client\'s body with GET',
      server(aggregate('= /a', "backend b /b/ {\nbody request; #!\n}"),
             part()), qr/"body" with "method GET"/ ],
    [ 'a deadline above the block\'s',
      server(aggregate('= /a', "timeout 1s;\nbackend b /b/ {\n"
                               . "timeout 1001ms; #!\n}"), part()),
      qr/"timeout" of backend "b" exceeds the 1000ms/ ],
    [ 'a deadline above the default, and the block\'s after it',
      server(aggregate('= /a', "backend b /b/ {\ntimeout 3s; #!\n}\n"
                               . 'timeout 2s;'), part()),
      qr/"timeout" of backend "b" exceeds the 2000ms/ ],

    [ 'retry of a field\'s POST',
      graphql('/b/{id}', part(), 'post', 'retry: "1"'),
      qr/"retry" has no effect, .* "Query\.user" in \S+schema\.graphql:3$/m ],
    [ 'a deadline of a field above the block\'s',
      graphql('/b/{id}', part(), 'get', 'timeout: "2001ms"'),
      qr/"timeout" exceeds .* "Query\.user" in \S+schema\.graphql:3$/m ],
    [ 'a bare timeout of a field',
      graphql('/b/{id}', part(), 'get', 'timeout: "1"'),
      qr/"timeout" without a unit .* in \S+schema\.graphql:3$/m ],

    # times without a unit
    [ 'a bare timeout of a block',
      server(aggregate('= /a', "timeout 500; #!\nbackend b /b/;"), part()),
      qr/"500" in "timeout" is a time in seconds, write "500s", or "500ms"/ ],
    [ 'a bare timeout of a backend',
      server(aggregate('= /a', "timeout 1m; backend b /b/ {\n"
                               . "timeout 5; #!\n}"), part()),
      qr/"5" in "timeout" is a time in seconds/ ],
    (map { [ "a bare time in $_",
             server("location / { aggregate_cache c;\n$_; #!\n$::proxy }"),
             qr/"60" in "\Q@{[(split)[0]]}\E" is a time in seconds/ ] }
        'aggregate_cache_ttl / 60', 'aggregate_cache_valid 200 60',
        'aggregate_cache_valid 60', 'aggregate_cache_stale updating 60',
        'aggregate_cache_lock_timeout 60',
        'aggregate_cache_purge_lost stale after=60'),
    [ 'a bare hedge',
      server(aggregate('= /a', "backend b /b/ {\nhedge 1; #!\n}"), part()),
      qr/"1" in "hedge" is a time in seconds/ ],
    (map { [ "a bare time of $_", server("location / {\n$_; #!\n$::proxy }"),
             qr/"5" in "\Q@{[(split)[0]]}\E" is a time in seconds/ ] }
        'aggregate_grpc_timeout 5', 'aggregate_grpc_stream sse ping=5',
        'aggregate_grpc_websocket on ping=5'),
    (map { [ "a bare $_->[0]", in_http($_->[1]),
             qr/"5" in "$_->[0]" is a time in seconds/ ] }
        [ timeout => "aggregate_redis r { server 127.0.0.1:1;\n"
                     . "timeout 5; #!\n}" ],
        [ recovery_timeout => "breaker_policy p {\nrecovery_timeout 5; #!\n}" ],
        [ window => "breaker_policy p {\nwindow 5; #!\n}" ],
    ),
);

# what is right, and near to what is not
my @fine = (
    [ 'an aggregate and its part', server(aggregate(), part()) ],
    [ 'rules of the server hold for the aggregate too',
      server('deny 10.0.0.1; auth_basic x;', aggregate(), part()) ],
    [ 'rules around both', server('location / { deny 10.0.0.1;',
                                  aggregate(), part(), '}') ],
    [ 'rules of the aggregate', server("location = /a { deny 10.0.0.1;\n"
        . "aggregate { $b } }", part()) ],
    [ 'no rules', server(aggregate(), "location /b/ { internal; allow all; "
        . "auth_basic off;\n$::proxy }") ],
    [ 'a prefix', server(aggregate('= /a', 'backend b /b/c/d?x=1 { }'),
                         part()) ],
    [ 'a prefix, with a variable', server(aggregate('= /a',
        'backend b /b/$arg_i?x=1 { }'), part()) ],
    [ 'a variable that may lead to a location', server(aggregate('= /a',
        'backend b /b$arg_i { }'), part()) ],
    [ 'a prefix beside regular expressions', server(aggregate(), part(),
        part('~ \.json$')) ],
    [ 'an exact location', server(aggregate('= /a', 'backend b /b { }'),
                                  part('= /b'), part('/b/')) ],
    [ 'a location that is nested', server(aggregate(),
        'location / { location /b/ { internal;', $::proxy, '} }') ],
    [ 'the root', server(aggregate(), part('/')) ],
    [ 'a rewrite of the server', server('rewrite ^/x /b/;',
        aggregate('= /a', 'backend b /x { }'), part()) ],
    [ 'a ring with an "if"', server('set $again "";',
        aggregate('/a', 'backend b /a { if $again; }')) ],
    [ 'two servers with one path', server(aggregate('/a'), part('/b/'))
                                 . server(aggregate('/b/', 'backend b /a/;'),
                                          part('/a/')) ],
    [ 'an aggregate in an aggregate', server(aggregate(),
        "location /b/ { internal; aggregate { backend c /c/; } }",
        part('/c/')) ],
    [ 'proxy_pass in an if', server("location = /a { if (\$arg_x) "
        . "{ $::proxy }\naggregate { $b } }", part()) ],
    [ 'return in an if', server("location = /a { if (\$arg_x) "
        . "{ return 403; }\naggregate { $b } }", part()) ],
    [ 'a breaker and proxy_pass', server("location / { breaker k zone=z;\n"
        . "$::proxy }") ],
    [ 'a breaker and an aggregate', server("location = /a {\n"
        . "breaker k zone=z; aggregate { $b } }", part()) ],
    [ 'a breaker of the server', server('breaker k zone=z;',
        'location / { return 200; }', 'location /x/ { root /srv; }') ],
    [ 'a breaker that is off', server('location / { breaker off; '
        . 'root /srv; }') ],
    [ 'a breaker for what is nested', server('location / { breaker k zone=z;',
        'location /x/ {', $::proxy, '} }') ],
    [ 'a breaker and try_files', server("location / { breaker k zone=z;\n"
        . 'try_files $uri @b; }', part('@b') =~ s/internal;//r) ],
    [ 'rules for those who purge', server('location = /p { allow 127.0.0.1; '
        . 'deny all; aggregate_cache_purge c; }') ],
    [ 'rules of the server for those who change nothing of them',
      server('deny 10.0.0.1; auth_basic x;',
             'location = /p { auth_basic off; breaker_status; }') ],
    [ 'a split by a cookie alone', "aggregate_split \$v key=all { "
        . "cookie c; 50% a; * b; }\n" . server() ],
    [ 'limit_except for clients and parts', server(aggregate(),
        "location /b/ { limit_except GET { deny all; } $::proxy }") ],
    [ 'return in an if of the server', server('if ($arg_x) { return 403; }',
        aggregate(), part()) ],
    [ 'retry of a field', graphql('/b/{id}', part(), 'get',
        'retry: "1" timeout: "2s"') ],
    [ 'rules by deny alone', server('location = /p { deny all; '
        . 'breaker_status; }') ],
    [ 'rules of the server', server('auth_basic x;',
        'location = /p { breaker_status; }') ],
    [ 'rules by auth_request', server('location = /p { auth_request /auth; '
        . 'breaker_status; }') ],
    [ 'rules by limit_except', server('location = /p { limit_except GET '
        . '{ deny all; } breaker_status; }') ],
    [ 'an internal location', server('location = /p { internal; '
        . 'breaker_status; }') ],
    [ 'a key with a variable', server('location / { aggregate_cache c; '
        . 'aggregate_cache_key "home $arg_x";', $::proxy, '}') ],
    (map { [ "an identity checked by $_->[0]", server($_->[1]
             . 'location / { aggregate_cache c;'
             . 'aggregate_cache_identity $remote_user;', $_->[2], $::proxy,
             '}') ] }
        [ auth_basic => '', 'auth_basic x;' ],
        [ auth_request => '', 'auth_request /auth;' ],
        [ 'auth_basic of the server', 'auth_basic x;', '' ]),
    [ 'an identity checked in a location', server('aggregate_cache c;'
        . 'aggregate_cache_identity $remote_user;',
        "location / { auth_basic x; $::proxy }") ],
    [ 'an identity of several words', server('location / { aggregate_cache c;'
        . 'set $user x; aggregate_cache_identity $user-$remote_user;',
        $::proxy, '}') ],
    [ 'an identity of auth_request', server('location / { aggregate_cache c; '
        . 'set $user x; aggregate_cache_identity $user-$http_x;', $::proxy,
        '}') ],
    [ 'retry of a GET', server(aggregate('= /a', 'backend b /b/ '
        . '{ retry 1; }'), part()) ],
    [ 'retry 0 of a POST', server(aggregate('= /a', 'backend b /b/ '
        . '{ method POST; retry 0; }'), part()) ],
    [ 'a body with POST', server(aggregate('= /a', 'backend b /b/ '
        . '{ body request; method POST; }'), part()) ],
    [ 'a deadline as long as the block\'s', server(aggregate('= /a',
        'backend b /b/ { timeout 2s; }'), part()) ],
    [ 'times with a unit', server("location = /a { aggregate {\n"
        . 'timeout 500ms; backend b /b/ { timeout 0.5s; } }',
        'aggregate_cache c; aggregate_cache_ttl / 60s;',
        'aggregate_cache_valid 200 0; aggregate_cache_valid 404 1m; }',
        part()) =~ s/0\.5s/100ms/r ],
    [ 'a field of GraphQL', graphql('/b/{id}', part()) ],
);

# names that nobody has defined: the line, and the nearest name
my @unknown = (
    [ 'a zone of aggregate_cache', server("location / {\n"
        . "aggregate_cache cc; #!\n}"),
      qr/zone "cc" is not declared/, qr/did you mean "c" instead of "cc"/ ],
    [ 'a zone of aggregate_cache_purge', server("location / {\nallow all;\n"
        . "aggregate_cache_purge othre; #!\n}"),
      qr/zone "othre" is not declared/, qr/did you mean "other"/ ],
    [ 'a Redis', server("location / {\n"
        . "aggregate_cache c redis=flete; #!\n}")
        . "aggregate_redis fleet { server 127.0.0.1:1; }\n",
      qr/redis "flete" is not defined/, qr/did you mean "fleet"/ ],
    [ 'a zone of persisted', "SCHEMA type Query { a: Int \@rest(get: \"/b/\")"
        . " }\nEND\naggregate_graphql_zone apq 1m;\n"
        . server("location / { aggregate_graphql %%TESTDIR%%/schema.graphql "
                 . "{\npersisted apk; #!\n} }"),
      qr/unknown zone "apk" in "persisted"/, qr/did you mean "apq"/ ],
    [ 'the host of a Redis', "aggregate_redis r {\n"
        . "server redis.invalid:1; #!\n}\n", qr/host not found/, qr/./ ],
    [ 'a zone of breaker', server("location / {\n"
        . "breaker k zone=zoned; #!\n}"),
      qr/unknown breaker zone "zoned"/, qr/did you mean "zone2"/ ],
    [ 'a policy', server("location / {\n"
        . "breaker k zone=z policy=quik; #!\n}")
        . "breaker_policy quick { }\n",
      qr/unknown breaker policy "quik"/, qr/did you mean "quick"/ ],
    [ 'a named location', server("location / { breaker k zone=z;\n"
        . "breaker_fallback \@fallbak; #!\n}", 'location @fallback { }'),
      qr/unknown named location "\@fallbak"/, qr/did you mean "\@fallback"/ ],
    [ 'a shape', server("location / {\naggregate_apply mobil; #!\n}")
        . "aggregate_shape mobile { allow a; }\n",
      qr/unknown shape "mobil"/, qr/did you mean "mobile"/ ],
    [ 'a zone of a split', "aggregate_split_zone splits 1m;\n"
        . "aggregate_split \$v key=\$remote_addr zone=split { #!\n"
        . "50% a;\n* b;\n}\n" . server(),
      qr/unknown split zone "split"/, qr/did you mean "splits"/ ],
    [ 'a zone of aggregate_metrics', "aggregate_metrics_zone series 1m;\n"
        . server("location / {\naggregate_metrics serie; #!\n}"),
      qr/unknown zone "serie"/, qr/did you mean "series"/ ],
    [ 'a zone of aggregate_metrics_status',
      "aggregate_metrics_zone series 1m;\n"
        . server("location / {\naggregate_metrics_status serie; #!\n}"),
      qr/unknown zone/, qr/did you mean "series"/ ],
    [ 'a part', server(aggregate('= /a', "backend user /b/;\n"
        . "backend b /b/\${usr.id}; #!"), part()),
      qr/unknown backend "usr"/, qr/did you mean "user"/ ],
    [ 'a variable', server("location / { aggregate_cache c;\n"
        . "aggregate_debug \$no_such; #!\n}"),
      qr/unknown variable "\$no_such"/, qr/./ ],
    (map { [ "a variable of $_->[0]", $_->[1],
             qr/unknown variable "\$$_->[2]"/,
             qr/did you mean "\$$_->[3]" instead of "\$$_->[2]" in/ ] }
        [ 'breaker', "breaker_zone keys 1m;\n"
            . server("location / {\nbreaker \$urii zone=keys; #!\n}"),
          'urii', 'uri' ],
        [ 'breaker_fallback',
          server("location / {\nbreaker_fallback 200 text/plain "
                 . "'a\${reqest_id}'; #!\n}"), 'reqest_id', 'request_id' ],
        [ 'aggregate_cache_key',
          server("location / { aggregate_cache c;\n"
                 . "aggregate_cache_key \$hots\$uri; #!\n}"),
          'hots', 'host' ],
        [ 'aggregate_cache_bypass',
          server("location / { aggregate_cache c;\n"
                 . "aggregate_cache_bypass \$arg_a \$scheem; #!\n}"),
          'scheem', 'scheme' ],
        [ 'aggregate_split', "aggregate_split \$v key=\$remote_adr { #!\n"
            . "50% a;\n* b;\n}\n" . server(), 'remote_adr', 'remote_addr' ],
        [ 'header in aggregate_split', "aggregate_split \$v key=a {\n"
            . "header X if=\$remote_usr; #!\n50% a;\n* b;\n}\n" . server(),
          'remote_usr', 'remote_user' ],
        [ 'aggregate_trace_name',
          server("location / {\naggregate_trace_name \$sheme; #!\n}"),
          'sheme', 'scheme' ]),
);

$t->plan(@warnings + @fine + @unknown + 8);

$t->write_file('included.conf', "\ndeny 10.0.0.1;\n");

for my $case (@warnings) {
    my ($name, $text, @patterns) = @$case;

    my ($ok, $output) = test($text);
    my @told = grep { !/conflicting server name/ }
        $output =~ /^(.*\[warn\].*)$/mg;
    my @wrong = grep { my $wanted = $_; !grep { $_ =~ $wanted } @told }
        @patterns;

    my @marked = marked($text);

    push @wrong, "the line @marked"
        if @marked && !grep { /test\.conf:\Q$marked[0]\E$/ } @told;
    push @wrong, 'one warning' if @told != 1;
    push @wrong, 'success' if !$ok;

    ok(!@wrong, $name) or diag("missing: @wrong\n$output");
}

for my $case (@fine) {
    my ($name, $text) = @$case;

    my ($ok, $output) = test($text);

    ok($ok && $output !~ /\[warn\](?!.*conflicting server name)/,
       "fine: $name") or diag($output);
}

for my $case (@unknown) {
    my ($name, $text, @patterns) = @$case;

    my ($ok, $output) = test($text);
    my @wrong = grep { $output !~ $_ } @patterns;
    my ($line) = marked($text);

    push @wrong, "the line $line"
        if $output !~ /\[emerg\].* in \S*test\.conf:\Q$line\E$/m;
    push @wrong, 'the failure' if $ok;

    ok(!@wrong, "unknown: $name") or diag("missing: @wrong\n$output");
}

# in a file that is included, with its own lines
{
    my ($ok, $output) = test(server(aggregate(),
        "location /b/ { internal; include %%TESTDIR%%/included.conf;\n"
        . "$::proxy }"));

    like($output, qr/"deny" does not apply .* in \S+included\.conf:2$/m,
         'in an included file');
}

# one line for each, whatever asks for it
{
    my ($ok, $output) = test(server(
        aggregate('= /a', "backend b /b/1;\nbackend c /b/2;"),
        aggregate('= /d', 'backend b /b/1;'),
        "location /b/ { internal; deny 10.0.0.1;\n$::proxy }"));

    is(() = $output =~ /does not apply/g, 1, 'a rule is warned of once');
}

# "internal" is a notice
{
    my ($ok, $output) = test(server(aggregate(),
                                    "location /b/ { $::proxy }"));

    # before it has "-e", nginx prints warnings and nothing below
    like($output, $t->older('1.19.5') ? qr/is successful/
         : qr/\[notice\].*location "\/b\/" of backend "b" is not/,
         'not internal: a notice');

    ($ok, $output) = test(server(aggregate(), part()));
    unlike($output, qr/is not "internal"/, 'internal: none');
}

# the commands of nginx are its own again: reloads, and errors in between
$t->conf("%%GLOBALS%%\nevents { }\nhttp {\n%%HTTP%%\n"
         . server("location = /p {\nbreaker_status;\n}") . '}');
$t->run;

is(http_get('/p')->status, 200, 'a warning is no error');

$t->write_file('nginx.conf', "events { }\nhttp { nosuch; }\n");
$t->allow_log(qr/unknown directive "nosuch"/);
$t->mark_log;
$t->signal('HUP');
$t->wait_log(qr/unknown directive "nosuch"/);

$t->conf("%%GLOBALS%%\nevents { }\nhttp {\n%%HTTP%%\n"
         . server("location = /p {\nreturn 204;\n}") . '}');
ok($t->reload, 'a reload after one that failed');
is(http_get('/p')->status, 204, 'which is in effect');

unlike(join('', grep { /\[warn\]/ } split /^/, $t->error_log),
       qr/has no effect|guards nothing/, 'no other warnings');

$t->stop;


BEGIN {
    $::proxy = 'proxy_pass http://127.0.0.1:1;';
}


sub in_http {
    my ($text) = @_;
    return "$text\n";
}


sub server {
    my (@pieces) = @_;
    return join("\n", 'server { listen 127.0.0.1:%%PORT_0%%;', @pieces, '}',
                '');
}


sub aggregate {
    my ($location, $text) = @_;

    $location = '= /a' if !defined $location;
    $text = 'backend b /b/;' if !defined $text;

    return "location $location { aggregate {\n$text\n} }";
}


sub part {
    my ($location) = @_;

    $location = '/b/' if !defined $location;

    return "location $location { internal;\n$::proxy }";
}


sub graphql {
    my ($uri, $part, $method, $more) = @_;

    $method = 'get' if !defined $method;
    $more = '' if !defined $more;

    my ($path) = $uri =~ s/\{id\}/\${args.id}/r;

    return ("SCHEMA type Query {\n  version: Int \@rest(get: \"/b/v\")\n"
            . "  user(id: ID!): String \@rest($method: \"$path\" $more)\n"
            . "}\nEND\n"
            . server('location = /g { aggregate_graphql '
                     . '%%TESTDIR%%/schema.graphql { } }',
                     part('= /b/v'), $part));
}


# "backend x /x;" is short for an empty block
sub test {
    my ($text) = @_;

    if ($text =~ s/^SCHEMA (.*)^END\n//ms) {
        $t->write_file('schema.graphql', $1);
    }

    my ($ok, $output) = $t->test_config(whole($text));

    # nginx has many variables with HTTP/3
    $output =~ s/^.*could not build optimal variables_hash.*\n//mg;

    return ($ok, $output);
}


sub whole {
    my ($text) = @_;

    $text =~ s/^SCHEMA (.*)^END\n//ms;
    $text =~ s/(backend \w+ [^\s{};]*(?:\$\{[^}]*\}[^\s{};]*)?);/$1 { }/g;

    my $zones = 'aggregate_cache_zone c 1m; aggregate_cache_zone other 1m; '
              . 'breaker_zone z 1m; breaker_zone zone2 1m;';

    return "%%GLOBALS%%\nevents { }\nhttp {\n%%HTTP%%\n$zones\n$text}\n";
}


sub marked {
    my ($text) = @_;

    my @lines = split /\n/, $t->expand(whole($text));

    return grep { $lines[$_ - 1] =~ /#!/ } 1 .. @lines;
}
