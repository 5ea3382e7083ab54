package Harness::Aggregate;

# What the aggregate tests share: a table of blocks, each in a location of its
# own, and what each must answer.
#
#     my @cases = (
#         [ 'name', q{ backend a /b/x { } }, '200 complete {"a":1}' ],
#         [ 'name', q{ ... }, [ 'this', qr/or that/ ], args => 'v=1' ],
#         [ 'name', q{ ... }, qr/.../, headers => [ ... ] ],
#     );
#
#     $t->plan(@cases + 3);
#     serve($t, cases => \@cases, server => '...', http => '...');
#     check($t, @cases);
#
# One check for each case.  Options of a case: uri (instead of the case's own
# location), args, method, headers, body, version; location (more directives
# of the location); count ({ '/x' => 1 }: requests that backend b has seen).
#
# /b/ is an internal location in front of the backend named b, /dead/ one
# where nobody listens.
#
# outcome(RESPONSE): the answer in one line.  An aggregate's:
#     200 complete {"a":1}
#     200 partial:a, b {"c":1}             (failed="a, b")
# an error's, after the problem was found well formed:
#     504 {"a":"timeout"}
# (the parts that were cancelled left out: which these are is a race)
# anything else: the status, the type and the body.
# matches(GOT, EXPECTED, NAME): a check; EXPECTED as in a case.
# squeeze(TEXT): the JSON text without insignificant white space.
# case_uri(CASE): where it is.  cc_set(RESPONSE): Cache-Control, sorted.
# errors_of(RESPONSE, NAME): the member of `errors NAME', "a:timeout b:status".
#
# With :conf, for nginx -t: check_errors takes rows of a name, a configuration,
# and patterns of which the message has all; lines that it may name end with
# "#!".  check_fine takes names and configurations.

use strict;
use warnings;

use Exporter 'import';
use JSON::PP ();
use Scalar::Util qw(refaddr);
use Test::More ();

use Harness;

our @EXPORT = qw(serve check outcome matches squeeze configuration case_uri
                 cc_set errors_of);
our @EXPORT_OK = qw(in_server location in_block in_backend in_marked value
                    check_errors check_fine);
our %EXPORT_TAGS = (conf => \@EXPORT_OK);

my %uris;
my $serial = 0;
my $json = JSON::PP->new->canonical->allow_nonref->utf8;


sub case_uri {
    my ($case) = @_;
    return $uris{ refaddr $case } ||= '/c' . ++$serial . '/';
}


sub configuration {
    my (%o) = @_;

    my $http = $o{http} || '';
    my $main = $o{main} || '';
    my $server = $o{server} || '';
    my $listen = $o{listen} || 'listen 127.0.0.1:%%PORT_0%%;';

    for my $case (@{ $o{cases} || [] }) {
        my ($name, $block, undef, %c) = @$case;
        next if !defined $block;

        $server .= sprintf "\n# %s\nlocation %s {\n%s\naggregate {\n%s\n}\n}\n",
            $name =~ s/[^ -~]/?/gr, case_uri($case), $c{location} || '',
            $block;
    }

    return <<"EOF";
%%GLOBALS%%
$main
events { worker_connections 1024; }
http {
    %%HTTP%%
    $http
    server {
        $listen
        server_name  localhost;
        root  %%TESTDIR%%/html;

        location /b/ {
            internal;
            proxy_pass http://127.0.0.1:%%PORT_b%%/;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_set_header Host backend;
            proxy_connect_timeout 5s;
            proxy_read_timeout 30s;
        }

        location /dead/ {
            internal;
            proxy_pass http://127.0.0.1:%%PORT_dead%%/;
        }

        $server
    }
}
EOF
}


sub serve {
    my ($t, %o) = @_;

    $t->port('0');
    $t->{ports}{dead} ||= $t->dead_port;
    $t->backend('b', '/' => '{}') if !$t->{backends}{b};

    return $t->run(configuration(%o));
}


sub check {
    my ($t, @cases) = @_;

    local $Test::Builder::Level = $Test::Builder::Level + 1;
    my $b = $t->{backends}{b};

    for my $case (@cases) {
        my ($name, undef, $expected, %o) = @$case;

        my $uri = $o{uri} || case_uri($case);
        $uri .= "?$o{args}" if defined $o{args};

        $b->clear if $o{count};

        my $r = http_request($o{method} || 'GET', $uri,
            map { defined $o{$_} ? ($_ => $o{$_}) : () }
                qw(headers body version chunked host));
        my $got = outcome($r);

        if ($o{count}) {
            my $counts = join ' ', map { "$_=" . $b->count($_) }
                sort keys %{ $o{count} };
            my $wanted = join ' ', map { "$_=$o{count}{$_}" }
                sort keys %{ $o{count} };
            $got .= " [$counts]" if $counts ne $wanted;
        }

        matches($got, $expected, $name);
    }

    return;
}


sub matches {
    my ($got, $expected, $name) = @_;

    local $Test::Builder::Level = $Test::Builder::Level + 1;

    if (ref $expected eq 'ARRAY') {
        my $found = grep { ref $_ ? $got =~ $_ : $got eq $_ } @$expected;
        return Test::More::ok($found, $name)
            || Test::More::diag("got: $got\nexpected one of:\n",
                                map { "    $_\n" } @$expected);
    }

    return Test::More::like($got, $expected, $name) if ref $expected;
    return Test::More::is($got, $expected, $name);
}


sub outcome {
    my ($r) = @_;

    my $status = $r->status;
    my $type = $r->header('Content-Type') || '-';

    return "$status error: " . $r->error if defined $r->error;

    if (defined $r->header('X-Aggregate') && $status < 400) {
        my $tell = $r->header('X-Aggregate');
        $tell =~ s/^partial; failed="(.+)"$/partial:$1/;
        $tell .= " ($type)" if $type ne 'application/json';
        return "$status $tell " . squeeze($r->body);
    }

    return "$status " . problem($r) if $type eq 'application/problem+json';
    return "$status $type " . $r->body;
}


sub problem {
    my ($r) = @_;

    my $p = $r->json;

    return 'problem is no object: ' . $r->body if ref $p ne 'HASH';
    return 'problem with a wrong status: ' . $r->body
        if !defined $p->{status} || $p->{status} ne $r->status;
    return 'problem without a title: ' . $r->body
        if !defined $p->{title} || !length $p->{title};
    return 'problem without backends: ' . $r->body
        if ref $p->{backends} ne 'HASH';
    return 'problem with a leak: ' . $r->body
        if $r->body =~ /127\.0\.0\.1|SECRET/ || $r->head =~ /SECRET/;

    my %failed = %{ $p->{backends} };
    delete @failed{ grep { $failed{$_} eq 'cancelled' } keys %failed };

    return $json->encode(\%failed);
}


sub squeeze {
    my ($text) = @_;

    my $out = '';

    my $string = qr/"(?:[^"\\]++|\\.)*+"/s;

    while ($text =~ /\G(?:($string)|[ \t\r\n]+|([^" \t\r\n]+)|(.))/gs) {
        $out .= defined $1 ? $1 : defined $2 ? $2 : defined $3 ? $3 : '';
    }

    return $out;
}


sub cc_set {
    my ($r) = @_;

    return join ', ', sort map { s/^\s+|\s+$//gr } map { lc }
        split /,/, join ',', $r->headers('Cache-Control');
}


sub errors_of {
    my ($r, $name) = @_;

    my $list = ($r->json || {})->{$name};
    return '-' if ref $list ne 'ARRAY';
    return join ' ', map { "$_->{backend}:$_->{reason}" } @$list;
}



# configurations that are wrong, and right

sub in_server {
    return "events { }\nhttp {\nserver {\nlisten 127.0.0.1:8080;\n"
        . "$_[0]\n}\n}\n";
}


sub location { return in_server("location /x {\n$_[0]\n}") }


sub in_block {
    return location("aggregate {\n$_[0]\nbackend ok /b/ { }\n}");
}


sub in_backend {
    return location("aggregate {\nbackend a /a/ {\n$_[0]\n}\n}");
}


# where the line of the backend is as good
sub in_marked {
    return location("aggregate {\nbackend a /a/ { #!\n$_[0]\n}\n}");
}


# a value as a message shows it
sub value {
    my ($text) = @_;
    $text =~ s/^'(.*)'$/$1/s;
    return qr/"?\Q$text\E"?/;
}


sub check_errors {
    my ($t, @errors) = @_;

    local $Test::Builder::Level = $Test::Builder::Level + 1;

    for my $case (@errors) {
        my ($name, $text, @patterns) = @$case;
        my ($ok, $output) = $t->test_config("%%GLOBALS%%\n$text");

        my @missing = grep { $output !~ /$_/ } @patterns;

        # the line is one of those that are marked
        my @lines = split /\n/, $t->expand("%%GLOBALS%%\n$text");
        my @marked = grep { $lines[$_ - 1] =~ /#!/ } 1 .. @lines;
        my ($told) = $output =~ /\[emerg\].*? in \S*test\.conf:(\d+)$/sm;

        push @missing, 'the file and a line' if !$told;
        push @missing, "the line, one of @marked"
            if $told && @marked && !grep { $_ == $told } @marked;
        push @missing, 'the failure' if $ok;

        Test::More::ok(!@missing, $name)
            or Test::More::diag('missing: ', join(' ', @missing), "\n",
                                $output);
    }

    return;
}


sub check_fine {
    my ($t, @fine) = @_;

    local $Test::Builder::Level = $Test::Builder::Level + 1;

    for my $case (@fine) {
        my ($name, $text) = @$case;
        my ($ok, $output) = $t->test_config("%%GLOBALS%%\n$text");

        Test::More::ok($ok, "fine: $name") or Test::More::diag($output);
    }

    return;
}


1;
