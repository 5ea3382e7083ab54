#!/usr/bin/perl

# What a purge reaches: by every spelling of a URI, where the key leaves
# arguments out, by several names at once; and nothing that it does not name,
# however many there are.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;

use Harness;

my $t = Harness->new(plan => 88);

my %n;

my $b = $t->backend('api',
    '/swr/' => sub {
        my ($q) = @_;
        return { body => 'n' . ++$n{$q->{uri}}, headers =>
                 [ 'Cache-Control' => 'max-age=600, '
                   . 'stale-while-revalidate=600' ] };
    },
    '/' => sub {
        my ($q) = @_;
        return { body => 'ok' } if $q->{method} eq 'POST';
        my ($tags) = ($q->{args} || '') =~ /tags=([\w,]+)/;
        ($tags = $tags || '') =~ tr/,/ /;
        return { body => 'n' . ++$n{$q->{uri}}, headers =>
                 [ 'Cache-Control' => 'max-age=600',
                   'Surrogate-Key' => $tags ] };
    },
);

$t->run(<<'EOC');

%%GLOBALS%%

worker_processes  2;

events {
}

http {
    %%HTTP%%

    aggregate_cache_zone  api   4m;
    aggregate_cache_zone  tiny  1m;

    aggregate_cache_tags  $upstream_http_surrogate_key;

    server {
        listen       127.0.0.1:%%PORT_0%%;
        server_name  localhost;

        location / {
            aggregate_cache  api;
            proxy_pass       http://127.0.0.1:%%PORT_api%%;
        }

        location /key/ {
            aggregate_cache      api;
            aggregate_cache_key  $uri;
            proxy_pass           http://127.0.0.1:%%PORT_api%%;
        }

        location /user/ {
            aggregate_cache      api;
            aggregate_cache_key  $arg_id;
            proxy_pass           http://127.0.0.1:%%PORT_api%%;
        }

        location /ru/ {
            rewrite              ^/ru/(.*)$ /swr/$1 break;
            aggregate_cache      api;
            aggregate_cache_key  $arg_id;
            proxy_pass           http://127.0.0.1:%%PORT_api%%;
        }

        location /old/ {
            rewrite          ^/old/(.*)$ /new/$1 break;
            aggregate_cache  api;
            proxy_pass       http://127.0.0.1:%%PORT_api%%;
        }

        location /tiny/ {
            aggregate_cache  tiny;
            proxy_pass       http://127.0.0.1:%%PORT_api%%;
        }

        location /swr/ {
            aggregate_cache  tiny;
            proxy_pass       http://127.0.0.1:%%PORT_api%%;
        }

        location = /purge {
            aggregate_cache_purge  api;
        }

        location = /purge-tiny {
            aggregate_cache_purge  tiny;
        }

        location = /state {
            aggregate_cache_status;
        }
    }

    server {
        listen         127.0.0.1:%%PORT_1%%;
        server_name    localhost;
        merge_slashes  off;

        location / {
            aggregate_cache  api;
            proxy_pass       http://127.0.0.1:%%PORT_api%%;
        }
    }
}

EOC

sub purge { return http_request('POST', "/purge?$_[0]") }

sub hit {
    my ($uri, %o) = @_;
    return http_get($uri, %o)->header('X-Cache') eq 'HIT';
}

sub kept {
    my ($uri, %o) = @_;
    http_get($uri, %o);
    return hit($uri, %o);
}

sub escape {
    my ($text) = @_;
    $text =~ s/([^A-Za-z0-9_.~-])/sprintf('%%%02x', ord($1))/ge;
    return $text;
}

# a URI, purged by the very text and by that text escaped, and by others

my @uris = (
    [ '/a', '/a', '//a', '/./a', '/b/../a', '/%61', 'http://any/a',
      '/b/%2e%2e/a', '/a#top', '/a?' ],
    [ '//a//b' ], [ '/a/../c' ], [ '/a/./d' ], [ '/a/%2e%2e/e' ],
    [ '/a%20b', '/a b', '/a%20b' ], [ '/a%2520b' ], [ '/a%3Fb' ],
    [ '/100%25' ], [ '/%C3%A9', '/%c3%a9' ], [ '/d/' ],
    [ '/q?b=1&a=2', '/q?a=2&b=1' ], [ '/q?a=b%20c', '/q?a=%62%20c' ],
    [ '/q?a=%2f%2F', '/q?a=//' ], [ '/q?a=100%25' ],
    [ '/old/x', '/new/x', '/old//x' ], [ '/old/./y', '/new/y', '/old/y' ],
);

for my $row (@uris) {

    my ($uri, @others) = @$row;
    my @failed;

    for my $purge ((map { escape($_) } $uri, @others),
                   grep { !/[& #]/ } $uri, @others)
    {
        push @failed, "$purge not stored" if !kept($uri);
        push @failed, $purge if purge("uri=$purge")->status != 200;
        push @failed, $purge if hit($uri);
    }

    is("@failed", '', "purged: $uri");
}

ok(kept('//s//t', port => $t->port(1)), 'slashes that are not merged');
purge('uri=//s//t');
ok(!hit('//s//t', port => $t->port(1)), 'are purged');

# nothing else is

kept($_) for '/x', '/x/', '/x/y', '/x?a', '/X', '/xx';
purge('uri=/x');
ok(!hit('/x'), 'this one');
ok(hit($_), "not $_") for '/x/', '/x/y', '/x?a', '/X', '/xx';

kept($_) for '/p/a/1', '/p/b/1', '/p';
purge('prefix=/p//c/../a/');
ok(!hit('/p/a/1'), 'a prefix in another spelling');
ok(hit('/p/b/1') && hit('/p'), 'and no others');
kept('/p/a/1');
purge('prefix=' . escape('/p/%61/'));
ok(!hit('/p/a/1'), 'an escaped prefix');

# unsafe methods purge what they name, in any spelling

for my $uri ('//post//b', '/post/../post/b', '/post/%62') {
    kept('/post/b');
    http_request('POST', $uri, body => 'x');
    ok(!hit('/post/b'), "POST to $uri");
}

# the key leaves the arguments out

for my $how ('purge', 'POST') {

    my $mark = sub {
        my ($uri) = @_;
        return $how eq 'purge' ? purge('uri=' . escape($uri))
                               : http_request('POST', $uri, body => 'x');
    };

    kept('/key/a');
    ok(hit('/key/a?utm=1'), "$how: one entry for all arguments");
    is($mark->('/key/a')->status, 200, 'the URI is marked');
    ok(!hit('/key/a?utm=1'), 'gone when it is asked for with arguments');
    ok(hit('/key/a'), 'and fetched anew');

    # fetched with arguments, marked without, asked for with others first

    purge('all=1');
    kept('/key/b?utm=1');
    $mark->('/key/b');
    is(hit('/key/b?utm=2') ? 'purge' : 'POST', $how,
       'another one, before that: gone after POST only');
    ok($how eq 'POST' || !hit('/key/b'), 'the URI that was marked');

    purge('all=1');
    kept('/key/c?utm=1');
    $mark->('/key/c?utm=1');
    ok(!hit('/key/c'), 'marked as it was fetched');

    purge('all=1');
    kept('/key/d');
    http_get('/key/d?utm=1');
    $mark->('/key/d?utm=2');
    http_get('/key/d');
    ok($how eq 'POST' || !hit('/key/d?utm=2'), 'marked by other arguments');
}

# by prefixes and tags the same

purge('all=1');
kept('/user/one/x?id=5');
ok(hit('/user/two/y?id=5'), 'another path, the same key');
purge('prefix=/user/one/');
ok(!hit('/user/two/y?id=5'), 'the prefix that it was fetched by');
kept('/user/one/x?id=6');
purge('prefix=/user/two/');
ok(!hit('/user/two/y?id=6'), 'the prefix that it is asked for by');
kept('/user/one/x?id=7');
purge('prefix=/user/three/');
ok(hit('/user/two/y?id=7') && hit('/user/one/x?id=7'), 'neither');

# an entry that was refreshed knows them too

kept('/ru/a?id=8');
purge('uri=/ru/a%3Fid=8&soft=1');
is(http_get('/ru/a?id=8')->header('X-Cache'), 'STALE', 'a rewritten URI');
ok(wait_for(sub { hit('/ru/a?id=8') }), 'refreshed');
ok(hit('/user/a?id=8'), 'the key has another URI');
purge('prefix=/ru/');
ok(!hit('/user/a?id=8'), 'purged by the URI that it was refreshed for');

# each argument counts

# an unsafe method reaches its own key, also where workers know several

for my $id (8, 9) {
    http_get("/user/four?id=$id") for 1 .. 12;
}

is(http_request('POST', '/user/four?id=8')->status, 200, 'POST');
ok(!hit('/user/five?id=8'), 'its key');
is(join('', map { hit('/user/four?id=9') } 1 .. 8), '1' x 8, 'no other key');

sub names {
    my ($r) = @_;
    my $p = $r->json->{purged};
    return $r->status . ' ' . join(' ', map { "$_=$p->{$_}" }
        grep { $p->{$_} } qw(uris keys tags prefixes all));
}

kept("/t$_?tags=t$_") for 1 .. 6;
is(names(purge('tag=t1&tag=t2')), '200 tags=2', 'two tags');
is(names(purge('tag=t3%20t4%09t5')), '200 tags=3', 'separated by blanks');
is(join('', map { hit("/t$_?tags=t$_") ? $_ : '-' } 1 .. 6), '-----6',
   'all of them');

kept("/u$_") for 1 .. 4;
is(names(purge('uri=/u1&uri=/u2&prefix=/v/&prefix=/w/&tag=q')),
   '200 uris=2 tags=1 prefixes=2', 'URIs and others');
is(join('', map { hit("/u$_") ? $_ : '-' } 1 .. 4), '--34', 'all of them');
is(names(purge('all=1')), '200 all=1', 'all');

my $many = join('%20', map { "m$_" } 1 .. 900);
kept('/m?tags=m900');
is(names(purge("tag=$many")), '200 tags=900', 'many');
ok(!hit('/m?tags=m900'), 'to the last one');

# what is not understood purges nothing

kept('/stay');
is(purge($_)->status, 400, "\"$_\"")
    for 'uri=/stay&tga=x', 'uri=/stay&d=e', 'uri=/stay&prefix=/x',
        'uri=/stay&soft=yes', 'uri=/stay&all=0', 'uri=/stay&tag=%20',
        'uri=/stay&tag', 'uri=/..', 'soft=1';
ok(hit('/stay'), 'nothing is purged');

# the marks scale with the zone, and give way softly

sub tiny {
    my ($n) = @_;
    my $c = $t->connect;
    my $status = 0;

    for my $i (1 .. $n / 100) {
        my $tags = join('%20', map { "b$i-$_-" . rand() } 1 .. 100);
        $c->request(POST => "/purge-tiny?tag=$tags");
        $status = $c->response->status;
    }

    return $status;
}

sub marks { return http_get('/state')->json->{zones}{tiny}{purge_marks} }

kept('/tiny/a');
is(tiny(1500), 200, '1500 purges of other tags in 1m');
ok(hit('/tiny/a'), 'nothing else is touched');
is(marks()->{used}, 1500, 'marks in use');
is(marks()->{evicted}, 0, 'none gave way');
cmp_ok(http_get('/state')->json->{zones}{api}{purge_marks}{size}, '>=', 6250,
       'marks in 4m');

kept('/tiny/b');
kept('/swr/a');
http_request('POST', '/purge-tiny?uri=/tiny/b');
$t->mark_log;
is(tiny(2000), 200, '2000 more');
cmp_ok(marks()->{evicted}, '>', 1500, 'marks gave way');
is(marks()->{used}, marks()->{size}, 'all are in use');
is(http_get('/swr/a')->header('X-Cache'), 'STALE', 'what is older is stale');
is(http_get('/tiny/b')->header('X-Cache'), 'MISS', 'what was purged is gone');
ok(kept('/tiny/c'), 'what is newer is not');
tiny(2000);
my @warned = $t->grep_log(qr/\[warn\].*"tiny" has room for \d+ purge marks/);
is(scalar(@warned), 1, 'said once');
