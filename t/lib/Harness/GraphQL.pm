package Harness::GraphQL;

# What the tests of GraphQL share: a server with an endpoint, and a table of
# operations.
#
#     my @cases = (
#         [ 'name', '{ user { id } }', '{"data":{"user":{"id":"1"}}}' ],
#         [ 'name', '{ user { id } }', 'NULL_VALUE user.id {"user":null}' ],
#         [ 'name', '{ user { id } }', qr/.../, variables => '{"a":1}' ],
#     );
#
#     graphql_serve($t, schema => 'a.graphql', block => '...');
#     graphql_check($t, @cases);
#
# What is expected is the body, or its errors by code and path with the data.
# Options of a case: variables, operationName, args (of the endpoint), partial
# (what X-Aggregate names), count ({ '/x' => 1 }: requests that backend b has
# seen), uris (all of them, sorted), bodies ({ '/x' => [ ... ] }).
#
# graphql_serve: schema (FILES in the test's directory), block, location, http,
# server: more of each; /b/ is an internal location before backend b.
# graphql($t, QUERY, %o): one POST; options as of a case, uri, headers, json.

use strict;
use warnings;

use Exporter 'import';
use JSON::PP ();
use Test::More ();

use Harness;
use Harness::Aggregate qw(matches configuration);

our @EXPORT = qw(graphql graphql_serve graphql_check graphql_checks
                 graphql_outcome graphql_configuration);

my $json = JSON::PP->new->canonical->allow_nonref->utf8;


sub graphql_configuration {
    my ($t, %o) = @_;

    my $files = join ' ', map { "%%TESTDIR%%/$_" } split ' ', $o{schema};
    my $block = $o{block} || '';
    my $location = $o{location} || '';

    return configuration(
        http   => $o{http},
        server => "location = /graphql { $location
            aggregate_graphql $files { $block } }\n" . ($o{server} || ''));
}


sub graphql_serve {
    my ($t, %o) = @_;

    $t->port('0');
    $t->{ports}{dead} ||= $t->dead_port;
    $t->backend('b', '/' => '{}') if !$t->{backends}{b};

    return $t->run(graphql_configuration($t, %o));
}


sub graphql {
    my ($t, $query, %o) = @_;

    my $uri = $o{uri} || '/graphql';
    $uri .= "?$o{args}" if defined $o{args};

    my $body = $o{json};

    if (!defined $body) {
        my @members = '"query":' . $json->encode($query);
        push @members, "\"variables\":$o{variables}" if defined $o{variables};
        push @members, '"operationName":' . $json->encode($o{operationName})
            if defined $o{operationName};
        $body = '{' . join(',', @members) . '}';
    }

    return http_request('POST', $uri, body => $body,
        headers => [ 'Content-Type' => 'application/json',
                     @{ $o{headers} || [] } ]);
}


# errors by code and path, in the order of their paths, and the data
sub graphql_outcome {
    my ($body) = @_;

    my $answer = eval { $json->decode($body) };
    return "no JSON: $body" if !$answer;
    return $body if !$answer->{errors};

    my ($data) = $body =~ /,"data":(.*)\}\z/s;
    my @errors = sort map {
        join ' ', $_->{extensions}{code},
            $_->{path} ? join('.', @{ $_->{path} }) : ();
    } @{ $answer->{errors} };

    return join ' ', @errors, defined $data ? $data : ();
}


sub graphql_checks {
    my (@cases) = @_;

    my $n = 0;

    for my $case (@cases) {
        my (undef, undef, undef, %o) = @$case;
        $n += 1 + grep { exists $o{$_} } qw(partial count uris bodies);
    }

    return $n;
}


sub graphql_check {
    my ($t, @cases) = @_;

    local $Test::Builder::Level = $Test::Builder::Level + 1;
    my $b = $t->{backends}{b};

    for my $case (@cases) {
        my ($name, $query, $expected, %o) = @$case;

        $b->clear if $o{count} || $o{uris} || $o{bodies};

        my $r = graphql($t, $query, %o);
        my $body = defined $r->body ? $r->body : 'no body: ' . $r->status;

        matches(ref $expected || $expected =~ /^[\[{]/
                ? $body : graphql_outcome($body), $expected, $name);

        Test::More::is($r->header('X-Aggregate'),
                       "partial; failed=\"$o{partial}\"", "$name: partial")
            if exists $o{partial};

        Test::More::is_deeply({ map { $_ => $b->count($_) }
                                keys %{ $o{count} } }, $o{count},
                              "$name: requests")
            if exists $o{count};

        Test::More::is_deeply([ sort map { $_->{uri} } $b->log ],
                              [ sort @{ $o{uris} } ], "$name: URIs")
            if exists $o{uris};

        Test::More::is_deeply({ map { my $path = $_;
                                      $path => [ map { $_->{body} }
                                                 $b->log($path) ] }
                                keys %{ $o{bodies} } }, $o{bodies},
                              "$name: bodies")
            if exists $o{bodies};
    }

    return;
}


1;
