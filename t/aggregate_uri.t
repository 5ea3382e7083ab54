# No client input, and no backend's value, adds a segment, a parameter or a
# header to what a backend is asked, or reaches another location.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use Test::More;

use JSON::PP ();

use Harness;
use Harness::Aggregate;

my $t = Harness->new(modules => ['ngx_http_aggregate_module']);

# no path or argument has these; most of them nginx does not escape before
my $raw = $t->older('1.21.1') ? qr/[#;]/ : qr/["<>\\^`{}|#;]/;

my $b = $t->backend('b', '/' => '1', '/ok' => '1');
my $json = JSON::PP->new->ascii->allow_nonref;

my $v = $t->backend('v', '/' => '"x"');
my $secret = $t->backend('secret', '/' => '"SECRET"');

my @fine = (
    'abc', '0', '-', '~', '_', '...', '..a', 'a..', '.a', 'a.', '. .', ' ',
    'a b', ' a', 'a ', 'a+b', 'a%b', '%', '%%', '%2', '%zz', '%2F', '%2f..',
    '%2e%2e', '%252e', '%00', '%0d%0aX:%20y', 'a?b', '?', '?x=1', 'a#b', '#',
    'a&b=c', '&x=1', 'a=b', '=', 'a"b', "a'b", '<>', '{}', '|', '^', '`',
    '!$()*', ':@', ',', '[1]', '$args', '${v.x}', '$', 'a:80', '@host',
    "caf\xc3\xa9", "\xe2\x82\xac", "\xf0\x9f\x98\x80", "\xff", "a\x80b",
    "\xc0\xaf", "\xc0\xae\xc0\xae", 'http:', 'HTTP 1.1', '*', 'x' x 2000,
    ' HTTP_1.1',
);

my @bad = (
    '', '.', '..', '/', 'a/b', '/a', 'a/', '../x', '..\\x', '\\', 'a\\b', ';',
    'a;b', '..;', '..;/x', "\0", "a\0b", "a\0", "\r\nX-Evil: 1", "a\nb", "\n",
    "\r", "\t", "a\tb", "\x01", "\x1f", "\x7f", "a\x7fb", "\x0b", "\x1b[0m",
    " HTTP/1.1\r\nX-Evil: 1\r\n\r\nGET /secret", './', '//',
);

$t->plan(51);

serve($t, server => q{
    location /path    { aggregate { backend p /b/seg/$arg_v/end?z=1 { } } }
    location /inside  { aggregate { backend p /b/seg/a-$arg_v-b/end { } } }
    location /last    { aggregate { backend p /b/seg/$arg_v { } } }
    location /twice   { aggregate { backend p /b/seg/$arg_v$arg_v { } } }
    location /args    { aggregate { backend p /b/seg?v=$arg_v&z=1 { } } }
    location /name    { aggregate { backend p /b/seg?$arg_v=1&z=1 { } } }

    location /jpath   { aggregate { backend v /v/ { hidden; }
                                    backend p /b/seg/${v.}/end?z=1 { } } }
    location /jargs   { aggregate { backend v /v/ { hidden; }
                                    backend p /b/seg?v=${v.}&z=1 { } } }
    location /jheader { aggregate { backend v /v/ { hidden; }
                                    backend p /b/seg { header X-V ${v.}; } } }

    location ~ ^/cap/(?<cap>(?s:.*))$ {
        aggregate { backend p /b/seg/$cap/end?z=1 { } }
    }
    location ~ ^/capargs/(?<cap2>(?s:.*))$ {
        aggregate { backend p /b/seg?v=$cap2&z=1 { } }
    }
    location ~ ^/capheader/(?<cap3>(?s:.*))$ {
        aggregate { backend p /b/seg { header X-V $cap3; } }
    }
    location /hdr     { aggregate { backend p /b/seg/$http_x_v/end?z=1 { } } }
    location /cookie  { aggregate { backend p /b/seg/$cookie_v/end?z=1 { } } }
    location /hargs   { aggregate { backend p /b/seg?v=$http_x_v&z=1 { } } }
    location /mapped  { aggregate { backend p /b/$mapped/x { } } }

    location /uri     { aggregate { backend p /b/seg$uri { } } }
    location /wargs   { aggregate { backend p /b/seg?z=1&$args { } } }
    location /oargs   { aggregate { backend p /b/seg?$args { } } }

    location /v/ { internal; proxy_pass http://127.0.0.1:%%PORT_v%%/; }
    location /secret { internal; proxy_pass http://127.0.0.1:%%PORT_secret%%; }
    location /b/secret { internal;
                         proxy_pass http://127.0.0.1:%%PORT_secret%%; }
}, http => q{
    map $arg_v $mapped { default mapped; evil ../secret; }
});


sub percent {
    my ($text) = @_;
    return $text =~ s/([^A-Za-z0-9])/sprintf '%%%02X', ord $1/ger;
}


sub decode {
    my ($text) = @_;
    return $text =~ s/%([0-9A-Fa-f]{2})/chr hex $1/ger;
}


sub show {
    my ($text) = @_;
    $text =~ s/([^!-~])/sprintf '\\x%02x', ord $1/ge;
    return length $text > 80 ? substr($text, 0, 80) . '...' : $text;
}


# sends one value in and says what the backend was asked; undef: nothing
sub asked {
    my ($uri, %o) = @_;

    $b->clear;
    my $r = http_get($uri, %o);
    my @log = $b->log;

    return (outcome($r)) if !@log;
    return ("$#log more requests") if @log > 1;
    return (outcome($r), $log[0]);
}


# the path of the request has exactly these segments, its arguments are these
sub in_path {
    my ($place, $values, $ask, $before, $after, $args) = @_;

    my @wrong;

    for my $value (@$values) {
        my ($got, $q) = asked($ask->($value));

        if (!$q) {
            push @wrong, show($value) . ": not asked: $got";
            next;
        }

        my ($path, $query) = split /\?/, $q->{uri}, 2;
        my @segments = map { decode($_) } split m{/}, $path, -1;
        my @wanted = (@$before, $value, @$after);

        push @wrong, show($value) . ": asked for $q->{uri}"
            if join("\0", @segments) ne join("\0", @wanted)
                || (defined $query ? $query : '-') ne $args
                || $q->{uri} =~ /[^!-~]/ || $q->{uri} =~ /$raw/
                || $q->{head} =~ /^X-Evil/mi || $got ne '200 complete {"p":1}';
    }

    ok(!@wrong, "$place: fine values") or diag(join "\n", @wrong);
    return;
}


sub refused {
    my ($place, $values, $ask, $reason) = @_;

    $reason ||= 'bad_uri';
    my @wrong;

    for my $value (@$values) {
        my ($got, $q) = asked($ask->($value));
        push @wrong, show($value) . ": $got" . ($q ? " for $q->{uri}" : '')
            if $q || $got !~ /^502 \{"p":"(?:$reason)"\}$|^200 partial:p \{\}$/;
    }

    ok(!@wrong, "$place: refused values") or diag(join "\n", @wrong);
    return;
}


sub in_args {
    my ($place, $values, $ask) = @_;

    my @wrong;

    for my $value (@$values) {
        my ($got, $q) = asked($ask->($value));

        if (!$q) {
            # the one that nginx cannot carry
            push @wrong, show($value) . ": not asked: $got"
                if $value !~ /\0/;
            next;
        }

        my ($path, $query) = split /\?/, $q->{uri}, 2;
        my ($one, @more) = split /&/, $query, -1;
        my ($name, $encoded) = split /=/, $one, -1;

        push @wrong, show($value) . ": asked for $q->{uri}"
            if $path ne '/seg' || "@more" ne 'z=1' || $name ne 'v'
                || $one !~ /^v=[^=]*$/ || decode($encoded) ne $value
                || $encoded !~ /^(?:[A-Za-z0-9._~!'()*-]|%[0-9A-Fa-f]{2})*$/
                || $q->{head} =~ /^X-Evil/mi;
    }

    ok(!@wrong, "$place: every value in an argument")
        or diag(join "\n", @wrong);
    return;
}


# by an argument, percent-decoded once

my $by_arg = sub { my ($at) = @_; sub { "/$at?v=" . percent($_[0]) } };

in_path('$arg_', \@fine, $by_arg->('path'), [ '', 'seg' ], [ 'end' ], 'z=1');
refused('$arg_', \@bad, $by_arg->('path'));
in_path('$arg_ at the end', \@fine, $by_arg->('last'), [ '', 'seg' ], [], '-');
refused('$arg_ at the end', \@bad, $by_arg->('last'));
in_args('$arg_', [ @fine, @bad ], $by_arg->('args'));

my @inside = map { "a-$_-b" } @fine;
in_path('inside of a segment', \@inside,
        sub { '/inside?v=' . percent($_[0] =~ s/^a-(.*)-b$/$1/sr) },
        [ '', 'seg' ], [ 'end' ], '-');
refused('inside of a segment', \@bad, $by_arg->('inside'));
refused('twice', [ '.', '..', '/', '' ], $by_arg->('twice'));

# what the client encodes twice stays encoded once
my ($got, $q) = asked('/path?v=%252e%252e');
is($q && $q->{uri}, '/seg/%252e%252e/end?z=1', 'decoded once, not twice');
($got, $q) = asked('/path?v=%252F..%252Fsecret');
is($q && $q->{uri}, '/seg/%252F..%252Fsecret/end?z=1', 'an encoded slash');
($got, $q) = asked('/path?v=%2e%2e');
is($got, '502 {"p":"bad_uri"}', 'two dots, encoded');
($got, $q) = asked('/path?v=..%2F..%2Fsecret');
is($got, '502 {"p":"bad_uri"}', 'a way up, encoded');
($got, $q) = asked('/path?v=a&v=..');
is($q && $q->{uri}, '/seg/a/end?z=1', 'the first of two');
($got, $q) = asked('/path');
is($got, '502 {"p":"bad_uri"}', 'no such argument');
($got, $q) = asked('/args');
is($q && $q->{uri}, '/seg?v=&z=1', 'no such argument, in an argument');
($got, $q) = asked('/args?v=a%26b%3Dc%23d%2Be%20f');
is($q && $q->{uri}, '/seg?v=a%26b%3Dc%23d%2Be%20f&z=1', 'an argument\'s value');
($got, $q) = asked('/args?v=a+b');
is($q && $q->{uri}, '/seg?v=a%2Bb&z=1', 'a plus sign is a plus sign');
($got, $q) = asked('/name?v=' . percent('a&b=c'));
is($q && $q->{uri}, '/seg?a%26b%3Dc=1&z=1', 'the name of an argument');

for my $value ('%', '%2', '%zz', 'a%', '%%41', '%u0041') {
    ($got, $q) = asked("/path?v=$value");
    ok($q ? $q->{uri} =~ m{^/seg/[^/?#]+/end\?z=1$} : $got =~ /bad_uri/,
       "a bad escape: $value") or diag($got, $q && $q->{uri});
}

# by a capture of the location, which nginx has decoded

my @cap = grep { !/\0/ } @fine;
in_path('a capture', \@cap, sub { '/cap/' . percent($_[0]) }, [ '', 'seg' ],
        [ 'end' ], 'z=1');
refused('a capture', [ grep { !m{\0|^\.\.?$|^\.\./|//|^/|\.\./|\./} } @bad ],
        sub { '/cap/' . percent($_[0]) });
in_args('a capture', [ grep { !m{\0|^\.\.?$|^\.\./|//|^/|\.\./|\./} }
                       @fine, @bad ], sub { '/capargs/' . percent($_[0]) });

# by a header and a cookie, as they stand

my @plain = grep { !/[\0-\x1f\x7f;]|^\s|\s$/ } @fine;
in_path('a header', \@plain, sub { ('/hdr', headers => [ 'X-V' => $_[0] ]) },
        [ '', 'seg' ], [ 'end' ], 'z=1');
refused('a header', [ grep { !/[\0\r\n]|^\s|\s$/ } @bad ],
        sub { ('/hdr', headers => [ 'X-V' => $_[0] ]) });
in_args('a header', [ @plain, ';', 'a/b', '..' ],
        sub { ('/hargs', headers => [ 'X-V' => $_[0] ]) });
refused('a cookie', [ '.', '..', '../x', 'a/b', '\\' ],
        sub { ('/cookie', headers => [ Cookie => "v=$_[0]" ]) });
($got, $q) = asked('/mapped?v=evil');
is($got, '502 {"p":"bad_uri"}', 'a mapped value is no exception');

# by a backend's value: what it sends is no more trusted

my @utf8 = grep { utf8::decode(my $x = $_) } @fine;

sub by_json {
    my ($at) = @_;

    return sub {
        my ($value) = @_;
        utf8::decode($value);
        $v->set('/' => { body => $json->encode($value) });
        return "/$at";
    };
}

in_path('a backend\'s value', \@utf8, by_json('jpath'), [ '', 'seg' ],
        [ 'end' ], 'z=1');
refused('a backend\'s value', \@bad, by_json('jpath'));
in_args('a backend\'s value', [ @utf8, grep { !/\0/ } @bad ],
        by_json('jargs'));

# headers

my @wrong;
for my $value (@utf8, grep { /[\0-\x1f\x7f]/ } @bad) {
    my $control = $value =~ /[\0-\x08\x0a-\x1f\x7f]/;
    my ($got, $q) = asked(by_json('jheader')->($value));
    my $seen = $q && $b->header($q, 'X-V');

    push @wrong, show($value) . ": $got " . show(defined $seen ? $seen : '-')
        if $control ? $q || $got !~ /^200 partial:p \{\}$/
            : !$q ? $value !~ /\t/
            : (defined $seen ? $seen : '') ne $value =~ s/^[ \t]+|[ \t]+$//gr
              || $b->header($q, 'X-Evil');
}
ok(!@wrong, 'a header from a backend\'s value') or diag(join "\n", @wrong);

@wrong = ();
for my $value (grep { /[\r\n\x01\x7f]/ && !m{[/\0]} } @bad) {
    my ($got, $q) = asked('/capheader/' . percent($value));
    push @wrong, show($value) . ": $got"
        if $q || $got !~ /^502 \{"p":"\w+"\}$/;
}
ok(!@wrong, 'a header from a capture') or diag(join "\n", @wrong);

# $uri, segment by segment

for my $row ([ '/uri/a/b', '/seg/uri/a/b' ],
             [ '/uri/a%20b/c', '/seg/uri/a%20b/c' ],
             [ '/uri/a%2Fb', '/seg/uri/a/b' ],
             [ '/uri/%3Fx=1', '/seg/uri/%3Fx=1' ],
             [ '/uri/%23', '/seg/uri/%23' ],
             [ '/uri/%2525', '/seg/uri/%2525' ],
             [ '/uri/%252e%252e/x', '/seg/uri/%252e%252e/x' ])
{
    ($got, $q) = asked($row->[0] . '?q=1');
    my $seen = $q ? $q->{uri} =~ s/%3D/=/gr : $got;
    is($seen, $row->[1], "\$uri: $row->[0]");
}

for my $uri ('/uri/a%0d%0aX-Evil:%201', '/uri/a%01', '/uri/x%3By') {
    ($got, $q) = asked($uri);
    ok($q ? $q->{uri} !~ /[^!-~]|;/ && $q->{head} !~ /^X-Evil/mi
          : $got eq '502 {"p":"bad_uri"}', "\$uri: $uri")
        or diag($got, $q && $q->{head});
}

# $args as they stand

($got, $q) = asked('/oargs?a=1&b=%20%2F&c=x+y&&d');
is($q && $q->{uri}, '/seg?a=1&b=%20%2F&c=x+y&&d', '$args');
($got, $q) = asked('/wargs?a=1;b=?c');
is($q && $q->{uri}, '/seg?z=1&a=1;b=?c', '$args after others');
($got, $q) = asked('/oargs?a=%0d%0aX-Evil:%201');
is($q && $q->{uri}, '/seg?a=%0d%0aX-Evil:%201', '$args stay encoded');

is($secret->count, 0, 'no value has reached another location');
