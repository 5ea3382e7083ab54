#!/usr/bin/perl

# The recipes of doc/cookbook.md do what the page says: each is run as it is
# written, in front of backends that answer with what they were asked.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;

use Harness;

my $top = "$FindBin::Bin/..";

# backends by the ports that the recipes have; nobody listens on the others
my %servers = (
    9000 => 'location / {
        access_log %%TESTDIR%%/asked.log;
        if ($http_authorization = "") { return 401; }
        add_header X-User-Id u42;
        return 200;
    }',
    9001 => 'location / { return 200 \'{"at":1,"uri":"$request_uri",'
        . '"user":"$http_x_user_id","auth":"$http_authorization",'
        . '"language":"$http_accept_language"}\'; }
        location = /v { return 200 \'{"variant":"$http_x_variant"}\'; }
        location = /v1/profile {
            return 200 \'{"user":1,"name":"n","internal_notes":"secret"}\';
        }
        location = /v1/users/put {
            if ($http_if_match != \'"1"\') { return 412; }
            return 201 \'{"method":"$request_method"}\';
        }',
    9002 => 'location / { return 200 \'{"items":[{"id":1,"title":"t",'
        . '"text":"x"}]}\'; }',
    9003 => 'location / {
        add_header Surrogate-Key product-42;
        return 200 \'{"id":"$request_uri","name":"n","stock":7}\';
    }',
    9004 => 'location / { return 503; }',
    9006 => 'location / { return 200 \'{"items":[{"product_id":1},'
        . '{"product_id":2},{"product_id":1}]}\'; }',
    9007 => 'location / { default_type text/html;
        return 200 "$http_rsc $http_x_middleware_prefetch"; }',
    9008 => 'location / { return 200 \'{"at":8}\'; }',
    9009 => 'location / { return 200 \'{"temperature":7,"wind":{"speed":3,'
        . '"raw":1},"auth":"$http_authorization","key":"$http_x_api_key"}\'; }
        location = /v1/now {
            if ($http_authorization) { return 400; }
            if ($http_x_api_key != secret) { return 403; }
            if ($http_host != weather.example.com) { return 421; }
            return 200 \'{"temperature":7,"wind":{"speed":3,"raw":1}}\';
        }',
);

# of the backends
my @addresses = qw(0.1 1.1 1.2 2.1 2.2);

my @token = (Authorization => 'Bearer x');

# a recipe: method, URI, headers; status, and what the response must have
my %tries = (
    'Users, tokens and the identity that backends see' => [
        [ GET => '/api/me', [], 401 ],
        [ GET => '/api/me', [ @token, 'X-User-Id' => 'root' ], 200,
          qr/"uri":"\/v1\/users\/u42","user":"u42","auth":""/ ],
        [ GET => '/api/me', [ @token, 'Accept-Language' => 'pl' ], 200,
          qr/"language":"pl"/ ],
        [ GET => '/_users/v1/users/1', [], 404 ],
    ],
    'JWT by auth_request' => [
        (map { [ GET => '/api/x', [], 401 ] } 1 .. 3),
        [ GET => '/api/x', \@token, 200, qr/"user":"u42"/ ],
        [ GET => '/api/x', \@token, 200, qr/"user":"u42"/ ],
        [ GET => '/api/x', [], 401 ],
    ],
    'Rate limits' => [
        [ GET => '/api/home', [], 200, qr/"news":\{"items"/ ],
        [ GET => '/api/home', [], undef, qr/429/, 200 ],
    ],
    'A small screen and a large one' => [
        [ GET => '/api/home', [ 'X-Client' => 'phone' ], 200,
          qr/\{"user":\{"name":"n"\},"feed":\[\{"id":1,"title":"t"\}\]\}$/ ],
        [ GET => '/api/home', [], 200,
          qr/^X-Cache:\ HIT.*"name":"n"\},"feed":\[\{.*"text":"x"/msx ],
        [ GET => '/api/home', [], 200, qr/^Vary:.*X-Client/m ],
    ],
    'A cached aggregate, purged by tag' => [
        [ GET => '/api/product/42', [], 200, qr/^X-Cache: MISS/m ],
        [ GET => '/api/product/42', [], 200, qr/^X-Cache: HIT/m ],
        [ POST => '/purge?tag=product-42&soft=1', [], 200, qr/"tags":1/ ],
        [ GET => '/api/product/42', [], 200, qr/^X-Cache: (?!HIT)/m ],
    ],
    'Fallbacks, from the part to the whole answer' => [
        [ GET => '/api/shop', [], 503, qr/"message":"back in a minute"/ ],
    ],
    'Joining a list with its details' => [
        [ GET => '/api/cart/1', [], 200,
          qr/"product_id":2,"product":\{"id":"\/v1\/products\/2","name":"n"\}/
        ],
    ],
    'A write with a condition' => [
        [ PUT => '/api/profile/put', [ 'If-Match' => '"0"' ], 412 ],
        [ PUT => '/api/profile/put', [ 'If-Match' => '"1"' ], 200,
          qr/"profile":\{"method":"PUT"\}/ ],
        [ GET => '/api/profile/put', [], 405 ],
    ],
    'CORS' => [
        [ OPTIONS => '/api/home', [ Origin => 'https://shop.example.com' ],
          204, qr{^Access-Control-Allow-Origin: https://shop}m ],
        [ GET => '/api/home', [ Origin => 'https://shop.example.com' ],
          200, qr{^Access-Control-Allow-Origin: https://shop.*"news"}ms ],
        [ GET => '/api/home', [ Origin => 'https://evil.example' ],
          200, qr{^(?!.*Access-Control-Allow-Origin)}s ],
    ],
    'One form for all errors' => [
        [ GET => '/nowhere', [], 404,
          qr/problem\+json.*\{"status":404\}$/s ],
        [ PUT => '/nowhere', [], 405,
          qr/problem\+json.*\{"status":405\}$/s ],
        [ GET => '/api/x', [], 200, qr/"uri"/ ],
        map { [ GET => "/status/$_", [], $_,
                qr/problem\+json.*\{"status":$_\}$/s ] } 500 .. 504
    ],
    'A response that needs a header in its key' => [
        [ GET => '/x', [], 200, qr/^X-Cache: MISS/m ],
        [ GET => '/x', [ RSC => 1 ], 200, qr/^X-Cache: MISS/m ],
        [ GET => '/x', [ RSC => 2 ], 200, qr/^X-Cache: HIT.*^1 /ms ],
        [ GET => '/x', [], 200, qr/^X-Cache: HIT/m ],
    ],
    'A canary' => [
        [ GET => '/api/home', [ 'X-Version' => 'new' ], 200, qr/"at":8/ ],
        [ GET => '/api/home', [ 'X-Version' => 'old' ], 200, qr/"at":1/ ],
        [ POST => '/split?version=new&action=abort', [], 200,
          qr/"state":"aborted"/ ],
    ],
    'A/B by cookie and by header' => [
        [ GET => '/v', [ 'X-Variant' => 'b' ], 200, qr/"variant":"b"/ ],
        [ GET => '/v', [ Cookie => 'variant=a' ], 200, qr/"variant":"a"/ ],
        [ GET => '/v', [], 200, qr/^Set-Cookie: visitor=.*"variant":"[ab]"/ms ],
    ],
    'Regions, with a spill-over by latency' => [
        [ GET => '/', [], 200, qr/"at":1/ ],
    ],
    'Shadow traffic' => [
        [ GET => '/', [], 200, qr/"at":1/ ],
        [ GET => '/metrics', [], 200, qr/gateway_backend_duration_seconds/ ],
    ],
    'Third parties' => [
        [ GET => '/api/weather?city=x', \@token, 200,
          qr/\{"weather":\{"temperature":7,"wind":\{"speed":3\}\}\}$/ ],
    ],
);

# bytes that nginx refuses before it has a location, and the status
my @refused = (
    [ 'a request line that is none', "GARBAGE\r\n\r\n", 400 ],
    [ 'no host', "GET / HTTP/1.1\r\n\r\n", 400 ],
    [ 'a URI of 9,000 bytes',
      'GET /' . 'x' x 9000 . " HTTP/1.1\r\nHost: x\r\n\r\n", 414 ],
    [ 'a header of 20 KB', "GET / HTTP/1.1\r\nHost: x\r\nX-Long: "
      . 'x' x 20480 . "\r\n\r\n", 400 ],
    [ 'a body of 2 MB', "POST /api/x HTTP/1.1\r\nHost: x\r\n"
      . "Content-Length: 2097152\r\n\r\n", 413 ],
    [ 'an unknown coding', "POST /api/x HTTP/1.1\r\nHost: x\r\n"
      . "Transfer-Encoding: x\r\n\r\n", 501 ],
    [ 'HTTP/3.0', "GET / HTTP/3.0\r\nHost: x\r\n\r\n", 505 ],
);

my $t = Harness->new;

my $page = slurp("$top/doc/cookbook.md");
my @recipes = read_recipes();

$t->plan(2 + @refused + map { @$_ } values %tries);

is_deeply([ sort map { $_->{name} } @recipes ], [ sort keys %tries ],
          'each recipe is tried');

$t->run(whole(''));

for my $recipe (@recipes) {
    $t->reload(whole($recipe->{conf}));

    my $asked = asked();

    for my $try (@{ $tries{$recipe->{name}} || [] }) {
        my ($method, $uri, $headers, $status, $has, $times) = @$try;

        if ($times) {
            my @seen = burst($times, $uri);
            like("@seen", $has, "$recipe->{name}: $times at once");
            next;
        }

        my $r = http_request($method, $uri, port => $t->port('8080'),
                         headers => $headers,
                         ($method eq 'PUT' ? (body => '{}') : ()));

        verify("$recipe->{name}: $method $uri @$headers", $r, $status, $has);
    }

    if ($recipe->{name} eq 'JWT by auth_request') {
        Harness::wait_for(sub { asked() - $asked >= 5 });
        is(asked() - $asked, 5, 'the service is asked once for a token');
    }

    refuse($recipe->{name}) if $recipe->{name} eq 'One form for all errors';
}


# requests to the service that verifies tokens
sub asked {
    return () = $t->read_file('asked.log') =~ /\n/g;
}


sub refuse {
    my ($name) = @_;

    for my $try (@refused) {
        my ($what, $bytes, $status) = @$try;

        my $c = $t->connect(port => $t->port('8080'));
        $c->send($bytes);
        my $r = $c->response(method => 'GET');
        $c->close;

        verify("$name: $what", $r, $status,
               qr/problem\+json.*\{"status":$status\}$/s);
    }

    return;
}


# requests in one write, and the statuses
sub burst {
    my ($n, $uri) = @_;

    my $c = $t->connect(port => $t->port('8080'));

    $c->send(Harness::Client::format_request('GET', $uri) x $n);
    my @seen = map { $c->response(method => 'GET')->status } 1 .. $n;
    $c->close;

    return @seen;
}


sub verify {
    my ($what, $r, $status, $has) = @_;

    my $text = $r->head =~ s/\r//gr . $r->body;
    my $ok = $r->status == $status && (!defined $has || $text =~ $has);

    ok($ok, $what) or diag($r->status . "\n$text");
    return;
}


# "## NAME" and the configuration in it
sub read_recipes {
    my @found;

    while ($page =~ /^## (.*?)\n(.*?)(?=^## |\z)/gms) {
        my ($name, $text) = ($1, $2);
        my ($conf) = $text =~ /^```nginx\n(.*?)^```$/ms;

        push @found, { name => $name, conf => $conf } if defined $conf;
    }

    return @found;
}


sub whole {
    my ($conf) = @_;

    my $servers = join '', map {
        my $port = $_;
        'server { ' . join('', map { "listen 127.0.$_:$port; " } @addresses)
        . "default_type application/json; $servers{$port} }\n"
    } sort keys %servers;

    # locations whose status is their name
    $conf =~ s{(?=    location /api/ [^\n]*\n\}\n\z)}{join '', map {
        "location = /status/$_ { return $_; }\n" } 500 .. 504}e
        if $conf =~ m{/_problem};

    # without the fleet's Redis
    $conf =~ s/^aggregate_redis\s.*\n//m;
    $conf =~ s/ redis=fleet//g;

    my $text = "%%GLOBALS%%\nevents { }\nhttp {\n%%HTTP%%\n$servers$conf\n}\n";

    $text =~ s{/var/(?:cache|log)/nginx}{%%TESTDIR%%}g;
    $text =~ s/(127\.0\.\d\.\d):(8080|90\d\d)\b/"$1:" . place($2)/ge;

    return $text;
}


sub place {
    my ($port) = @_;

    return $t->port($port) if $port == 8080 || $servers{$port};
    return $t->{ports}{"dead$port"} ||= $t->dead_port;
}


sub slurp {
    my ($file) = @_;

    open my $in, '<:raw', $file or die "$file: $!\n";
    local $/;
    return scalar <$in>;
}
