# Random blocks against a model of the contract: parts that succeed or fail in
# all ways, that need each other, merge, hide, are skipped, are fanned out; the
# answers must be those that the model foretells.
#
# TEST_NGINX_SEED repeats a run, TEST_NGINX_ROUNDS makes it longer.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use Test::More;

use JSON::PP ();
use List::Util qw(shuffle);
use Time::HiRes qw(time);

use Harness;
use Harness::Aggregate;

my $seed = $ENV{TEST_NGINX_SEED} || int(time() * 1000) % 10_000_000;
my $blocks = $ENV{TEST_NGINX_ROUNDS} || 150;
srand $seed;

my $t = Harness->new(modules => ['ngx_http_aggregate_module'], plan => 3);

# what a backend may answer: a document, or the reason of the failure.  "id" is
# what ${part.id} gives: [ value in a path ], or undef when it is unusable
my @id5 = (id => 5);
my %kinds = (
    number => { text => '12345678901234567890' },
    string => { text => '"a b"', whole => 'a b' },
    plain  => { text => '"abc"', whole => 'abc' },
    true   => { text => 'true', whole => 'true' },
    null   => { text => 'null' },
    none   => { text => 'null', status => 204 },
    empty  => { text => '{}', object => [] },
    array  => { text => '[1,{"id":2}]' },
    obj    => { text => '{"id":5,"a":1.0}', @id5,
                object => [ [ id => '5' ], [ a => '1.0' ] ] },
    obj2   => { text => '{"a":"x","b":[1],"a":2}',
                object => [ [ a => '"x"' ], [ b => '[1]' ], [ a => '2' ] ] },
    idstr  => { text => '{"id":"x y/z"}', slash => 1,
                object => [ [ id => '"x y/z"' ] ] },
    iddots => { text => '{"id":"..","c":1}', slash => 1,
                object => [ [ id => '".."' ], [ c => '1' ] ] },
    idnull => { text => '{"id":null,"c":2}',
                object => [ [ id => 'null' ], [ c => '2' ] ] },
    iddeep => { text => '{"c":3,"id":{"id":1}}',
                object => [ [ c => '3' ], [ id => '{"id":1}' ] ] },
    idbool => { text => '{"id":false,"b":0}', id => 'false',
                object => [ [ id => 'false' ], [ b => '0' ] ] },
    list   => { list => [ 1, 2, 3 ] },
    dups   => { list => [ 7, 8, 7, 7 ] },
    void   => { list => [] },
    odd    => { list => [ 1, 'x', 404, 2 ] },
    500 => { reason => 'status', code => 500 },
    404 => { reason => 'status', code => 404 },
    401 => { reason => 'status', code => 401 },
    429 => { reason => 'status', code => 429 },
    503 => { reason => 'status', code => 503 },
    close => { reason => 'connect' }, reset => { reason => 'connect' },
    bad => { reason => 'invalid_json' }, bad2 => { reason => 'invalid_json' },
    cut => { reason => 'truncated' }, gzip => { reason => 'encoding' },
    hang => { reason => 'timeout' },
);

$kinds{number}{whole} = $kinds{number}{text};

for my $kind (values %kinds) {
    my $list = $kind->{list} or next;
    $kind->{elements} = [ map { /\D/ ? "{\"id\":\"..\"}" : "{\"id\":$_}" }
                          @$list ];
}

my @good = grep { !$kinds{$_}{reason} } sort keys %kinds;
my @failing = grep { $kinds{$_}{reason} } sort keys %kinds;
my @lists = grep { $kinds{$_}{list} } sort keys %kinds;

my %defaults = ('7' => {}, '"d"' => {}, '{"id":9}' => { id => 9,
    object => [ [ id => '9' ] ] }, '{}' => { object => [] }, '[]' => {});

$defaults{'7'}{whole} = 7;
$defaults{'"d"'}{whole} = 'd';

my $b = $t->backend('b',
    '/k/' => sub {
        my (undef, undef, $name, $delay) = split m{/}, $_[0]{path};
        my $kind = $kinds{$name};
        my %r = (delay => $delay / 1000,
                 $delay % 2 ? (chunked => 1) : ());

        return { %r, action => $name } if $name =~ /^(?:close|reset)$/;
        return { action => 'hang' } if $name eq 'hang';
        return { %r, body => '{"id":' } if $name eq 'bad';
        return { %r, body => '{"id":1}x' } if $name eq 'bad2';
        return { delay => $r{delay}, body => '{"id":1}', length => 50,
                 after => 'close' } if $name eq 'cut';
        return { %r, body => '1', gzip => 1 } if $name eq 'gzip';
        return { %r, status => 204 } if $name eq 'none';
        return { %r, status => $kind->{code}, body => '{"id":6}' }
            if $kind->{code};
        return { %r, body => '{"list":[' . join(',', @{ $kind->{elements} })
                             . '],"z":1}' } if $kind->{list};
        return { %r, body => $kind->{text} };
    },
    '/i/' => sub {
        my ($id) = $_[0]{path} =~ m{/(\w+)$};
        return { status => 404 } if $id eq '404';
        return { body => "\"r$id\"", delay => rand 0.02 };
    },
);


sub pick { return $_[rand @_] }
sub chance { return rand() < $_[0] }


# a block: its parts, in declared order
sub block {
    my $n = 1 + int rand 6;
    my @parts;

    for my $i (0 .. $n - 1) {
        my $p = { name => "p$i", kind => chance(0.7) ? pick(@good)
                                                     : pick(@failing),
                  delay => int rand 25 };

        $p->{kind} = pick(@lists) if chance(0.2);
        $p->{kind} = 'obj' if $p->{kind} eq 'hang' && chance(0.7);
        $p->{as} = pick("k$i", "k$i \"q\"", "\xc3\xa9$i") if chance(0.25);
        $p->{hidden} = 1 if !$p->{as} && chance(0.15);
        $p->{merge} = 1 if !$p->{as} && !$p->{hidden} && chance(0.25);
        $p->{required} = 1 if chance(0.1);
        $p->{default} = pick(grep { !$p->{merge} || /^\{/ }
                             sort keys %defaults)
            if !$p->{required} && chance(0.25);
        $p->{if} = 1 if chance(0.15);
        push @parts, $p;
    }

    # what needs what: along a random order, so that there is no cycle
    my @order = shuffle(@parts);

    for my $i (1 .. $#order) {
        my $p = $order[$i];
        next if !chance(0.4);

        my $host = $order[int rand $i];

        if ($host->{each}) {
            next;
        }

        if ($kinds{ $host->{kind} }{list} && chance(0.7)) {
            $p->{each} = $host;
            delete @$p{qw(default merge)};
            if (chance(0.5)) {
                $p->{into} = "into$i";
                delete @$p{qw(hidden as)};
            }
            next;
        }

        $p->{needs} = $host;
        $p->{what} = pick('id', 'id', 'whole');
        $p->{where} = pick('path', 'args', 'header');
    }

    return { parts => \@parts, order => \@order,
             conflict => pick('last', 'first', 'error'),
             errors => chance(0.3) };
}


sub text {
    my ($block) = @_;

    my $text = "timeout 20s; on_conflict $block->{conflict};";
    $text .= ' errors _errors;' if $block->{errors};

    for my $p (@{ $block->{parts} }) {
        my ($uri, $more) = ("/b/k/$p->{kind}/$p->{delay}", '');

        if (my $host = $p->{needs}) {
            my $value = "\${$host->{name}."
                . ($p->{what} eq 'id' ? 'id' : '') . '}';
            $uri .= "/$value" if $p->{where} eq 'path';
            $uri .= "?x=$value" if $p->{where} eq 'args';
            $more .= " header X-A $value;" if $p->{where} eq 'header';
        }

        if ($p->{each}) {
            $uri = '/b/i/${item.id}';
            $more .= " each $p->{each}{name}.list;";
            $more .= " into $p->{into};" if $p->{into};
        }

        $more .= ' timeout 50ms;' if $p->{kind} eq 'hang' && !$p->{each};
        $more .= " as '" . $p->{as} . "';" if $p->{as};
        $more .= " $_;" for grep { $p->{$_} } qw(hidden merge required);
        $more .= " default '$p->{default}';" if defined $p->{default};
        $more .= ' if $arg_on;' if $p->{if};
        $text .= "\n    backend $p->{name} '$uri' {$more }";
    }

    return $text;
}


# what each part comes to: skipped, failed with a reason, or a document
sub settle {
    my ($block, $on) = @_;
    my %r;

    for my $p (@{ $block->{order} }) {
        my $host = $p->{needs} || $p->{each};
        my $h = $host && $r{ $host->{name} };
        my $r = $r{ $p->{name} } = {};

        if (($p->{if} && !$on) || ($h && $h->{skipped})) {
            $r->{skipped} = 1;
            next;
        }

        if ($p->{each}) {
            fan_out($p, $r, $h);

        } elsif ($h && (my $reason = unusable($p, $h))) {
            $r->{reason} = $reason;

        } else {
            %$r = %{ $kinds{ $p->{kind} } };
            $r->{list} = [ @{ $r->{list} } ] if $r->{list};
        }

        if ($p->{merge} && !$r->{reason} && !$r->{object} && !$r->{list}
            && $r->{text} ne 'null')
        {
            $r->{reason} = 'conflict';
        }

        if ($r->{reason} && defined $p->{default}) {
            my ($reason, $code) = @$r{qw(reason code)};
            %$r = (%{ $defaults{ $p->{default} } }, text => $p->{default},
                   reason => $reason, code => $code, default => 1);
        }

        $r->{gone} = 1 if $r->{reason} && !$r->{default};
    }

    return \%r;
}


sub unusable {
    my ($p, $h) = @_;

    return 'dependency' if $h->{gone};

    my $value = $p->{what} eq 'id' ? $h->{id} : $h->{whole};

    if ($p->{what} eq 'id' && $h->{slash}) {
        return $p->{where} eq 'path' ? 'bad_uri' : '';
    }

    return defined $value ? '' : 'dependency';
}


sub fan_out {
    my ($p, $r, $h) = @_;

    if ($h->{gone} || !$h->{list}) {
        $r->{reason} = 'dependency';
        return;
    }

    my @results = map { $_ eq 'x' || $_ eq '404' ? 'null' : "\"r$_\"" }
        @{ $h->{list} };

    $r->{text} = '[' . join(',', @results) . ']';
    $r->{bad} = 1 if grep { $_ eq 'null' } @results;

    if ($p->{into}) {
        push @{ $h->{into} }, [ $p, \@results ];
        delete $r->{text};
    }

    return;
}


# the text of a part that has succeeded, or of its default
sub text_of {
    my ($block, $p, $r) = @_;

    if (!$r->{list} || $r->{default}) {
        return $r->{text};
    }

    my @elements = @{ $kinds{ $p->{kind} }{elements} };

    # members are added in the order of the parts that bring them
    for my $other (@{ $block->{parts} }) {
        my ($into) = grep { $_->[0] == $other } @{ $r->{into} || [] };
        next if !$into;

        for my $i (0 .. $#elements) {
            $elements[$i] =~ s/\}$/,"$other->{into}":$into->[1][$i]}/;
        }
    }

    return '{"list":[' . join(',', @elements) . '],"z":1}';
}


# the answers that are right, for one request
sub foretell {
    my ($block, $on) = @_;
    my $r = settle($block, $on);

    my (@members, @failed);
    my %owner;

    for my $p (@{ $block->{parts} }) {
        my $x = $r->{ $p->{name} };
        next if $x->{skipped} || $x->{gone} || $p->{hidden} || $p->{into};

        my $text = text_of($block, $p, $x);
        my @own;

        if ($p->{merge}) {
            next if $text eq 'null';

            if ($x->{list} && !$x->{default}) {
                @own = ([ list => $text =~ /^\{"list":(.*),"z":1\}$/ ],
                        [ z => 1 ]);
            } else {
                @own = @{ $x->{object} };
            }

        } else {
            @own = ([ defined $p->{as} ? $p->{as} =~ s/"/\\"/gr : $p->{name},
                      $text ]);
        }

        my @clash = grep { $owner{ $_->[0] } } @own;

        if (@clash && $block->{conflict} eq 'error') {
            return if $x->{default} || defined $p->{default}
                || needed($block, $p);
            $x->{reason} = 'conflict';
            $x->{gone} = 1;
            next;
        }

        if (@clash && $block->{conflict} eq 'first') {
            @own = grep { !$owner{ $_->[0] } } @own;
        }

        if (@clash && $block->{conflict} eq 'last') {
            my %new = map { $_->[0] => 1 } @own;
            @members = grep { !$new{ $_->[0] } } @members;
        }

        push @members, @own;
        $owner{ $_->[0] } = 1 for @own;
    }

    for my $p (@{ $block->{parts} }) {
        my $x = $r->{ $p->{name} };
        push @failed, [ $p, $x ]
            if !$x->{skipped} && ($x->{reason} || $x->{bad});
    }

    return verdict($block, $r, \@members, \@failed);
}


sub needed {
    my ($block, $p) = @_;
    return grep { ($_->{needs} || $_->{each} || 0) == $p } @{ $block->{parts} };
}


sub verdict {
    my ($block, $r, $members, $failed) = @_;

    my %reasons = map { $_->[0]{name} => $_->[1]{reason} || '*' } @$failed;
    my @required = grep { $_->[0]{required} && $_->[1]{gone} } @$failed;

    if (@required) {
        return { reasons => \%reasons,
                 error => { map { $_->[0]{name} => status($_->[1]) }
                            @required } };
    }

    my @run = grep { !$_->{skipped} } values %$r;

    if (@run && !grep { !$_->{gone} } @run) {
        my $late = grep { ($_->{reason} || '') eq 'timeout' } @run;
        return { reasons => \%reasons, all => 1,
                 error => { '' => $late ? 504 : 502 } };
    }

    my $body = '{' . join(',', map { "\"$_->[0]\":$_->[1]" } @$members);

    return {
        reasons => \%reasons, body => $body, errors => $block->{errors},
        tell => @$failed ? 'partial:' . join(', ', map { $_->[0]{name} }
                                             @$failed) : 'complete',
    };
}


sub status {
    my ($x) = @_;

    return $x->{code} if $x->{code} && ($x->{code} < 500 || $x->{code} == 503);
    return $x->{reason} eq 'timeout' ? 504 : 502;
}


# undef when the answer is one of the right ones
sub wrong {
    my ($w, $r) = @_;
    my $got = outcome($r);

    if ($w->{error}) {
        my %right = map { $_ => 1 } values %{ $w->{error} };
        return "status, one of @{[ sort keys %right ]}"
            if !$right{ $r->status }
                || $r->header('Content-Type') ne 'application/problem+json';

        my %told = %{ ($r->json || {})->{backends} || {} };
        delete @told{ grep { $told{$_} eq 'cancelled' } keys %told };

        for my $name (keys %told) {
            my $reason = $w->{reasons}{$name};
            next if $reason && ($reason eq '*' || $reason eq $told{$name});
            return "reason of $name: " . ($reason || 'none');
        }

        if ($w->{all}) {
            return 'all parts told' if keys %told != keys %{ $w->{reasons} };
        } elsif (!grep { $told{$_} && $w->{error}{$_} == $r->status }
                 keys %{ $w->{error} })
        {
            return 'the part that was required told';
        }

        return;
    }

    my $body = $w->{body};
    my $errors = $w->{errors} ? qr/(?:,?"_errors":\[.*\])?/ : qr//;

    return "200 $w->{tell} $body}"
        if $got !~ /^200 \Q$w->{tell}\E \Q$body\E$errors\}$/;

    if ($w->{errors}) {
        my %told = map { $_->{backend} => $_->{reason} }
            @{ $r->json->{_errors} || [] };
        my %right = %{ $w->{reasons} };

        for my $name (keys %right) {
            return "an error of $name: $right{$name}" if !$told{$name}
                || ($right{$name} ne '*' && $told{$name} ne $right{$name});
        }
        return 'no error of another' if keys %told != keys %right;
    }

    return;
}


my @blocks = map { block() } 1 .. $blocks;
my $n = 0;

serve($t, server => join '', map { "\nlocation = /r" . $n++ . " { aggregate {\n"
                                   . text($_) . "\n} }\n" } @blocks);

my (@wrong, %seen);
my $asked = 0;
my $c = $t->connect;

for my $i (0 .. $#blocks) {
    for my $on (0, 1) {
        my $w = foretell($blocks[$i], $on) or next;

        $c->request(GET => "/r$i?on=$on");
        my $r = $c->response;
        $asked++;
        $seen{ $w->{error} ? 'error' : $w->{tell} =~ /^(\w+)/ ? $1 : '' }++;
        $c = $t->connect if $r->error;

        my $trouble = wrong($w, $r);
        push @wrong, text($blocks[$i]) . "\non=$on\nexpected: $trouble\n"
            . 'got: ' . outcome($r) . "\n" if $trouble;
    }
}

ok(!@wrong, "$asked answers, seed $seed")
    or diag(scalar(@wrong) . " wrong, seed $seed:\n",
            join "\n", @wrong > 5 ? @wrong[0 .. 4] : @wrong);
cmp_ok($asked, '>', $blocks, 'most of them could be foretold');
cmp_ok(scalar(grep { $seen{$_} } qw(error complete partial)), '==', 3,
       'of all sorts') or diag(explain(\%seen));
