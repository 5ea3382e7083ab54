package Harness::RandomRequests;

# The requests of Harness::Random, and what happens beside them.
#
# A request is a hash: port ("h1", "pp" or "h2"), raw (the bytes; several
# requests when pipelined), how ("wait", "close", "reset", "half", "slow",
# "drip"; for HTTP/2 "rst" and "thin", too), delay (seconds before it is
# dropped), id.  An event is a hash with the member event alone: "reload",
# "reopen", "redis_pause", "redis_drop", "backend_pause".

use strict;
use warnings;

use Harness::Random;

my $id = 0;


sub pick { return $_[ rand @_ ] }
sub chance { return rand() < $_[0] }

sub target { return Harness::Random::target() }
sub path { return pick(Harness::Random::paths()) }


my @names = (
    [ 'X-A' => 'a', 'b', '', 'x y', "\x80" ], [ Cookie => 'a=b', 'a=b; c=d' ],
    [ Authorization => 'Basic eDp5' ], [ Range => 'bytes=0-3', 'bytes=5-',
      'bytes=0-0,2-3', 'items=0-1', 'bytes=9999-' ],
    [ 'If-None-Match' => '"e"', '*', 'W/"e"' ], [ 'If-Match' => '*', '"q"' ],
    [ 'If-Modified-Since' => 'Sat, 28 Nov 2037 00:00:00 GMT', 'x' ],
    [ 'If-Range' => '"e"' ], [ 'Cache-Control' => 'no-cache', 'no-store',
      'only-if-cached', 'max-age=0' ], [ 'Accept-Encoding' => 'gzip', '*' ],
    [ Connection => 'close', 'X-A', 'keep-alive', 'upgrade' ],
    [ Upgrade => 'websocket', 'h2c' ], [ Expect => '100-continue', 'x' ],
    [ Accept => 'text/html', 'application/json', '*/*;q=0',
      'text/event-stream', 'application/x-ndjson',
      'application/graphql-response+json' ],
    [ Origin => 'http://localhost', 'http://evil' ],
    [ 'Sec-Fetch-Site' => 'cross-site' ], [ 'X-Forwarded-Host' => 'evil' ],
    [ 'Content-Type' => 'application/json', 'text/plain' ],
    [ TE => 'trailers' ], [ 'Transfer-Encoding' => 'identity', 'gzip' ],
    [ 'traceparent' => '00-' . ('a' x 32) . '-' . ('b' x 16) . '-01', '00' ],
);


my @calls = ('/items/1', '/items/none', '/items?n=3', '/items/a:cancel',
             '/fail?code=14', '/fail?code=5&header_first=true', '/items',
             '/fail?code=13&message_first=true', '/watch?n=3&every_ms=20',
             '/watch?n=50&every_ms=20&size=900', '/watch?n=2&fail_after=1',
             '/sum', '/chat', '/pages/1', '/download?n=3&size=2000',
             '/upload', '/echo/a/b', '/echo', '/parts/a/1', '/nosuch',
             '/echo/x?wait_ms=100', '/items/1?part.n=x');


sub call { return pick(@calls) }


sub uri {
    my $path = '/' . target();

    $path = '/p/' . path() . '/x' if chance(0.07);
    $path .= pick('/x', '/n', '/r', '/n/y', '/%2e%2e/l1', '//a', '/a%00b',
                  '/%zz', ';a', '/.') if chance(0.35);
    $path = pick('/stub', '/', '/none', '/L3/a') if chance(0.04);
    $path = '/g' . int(rand 3) . '/v1' . call() if chance(0.1);

    $id++;
    $path .= ($path =~ /\?/ ? '&' : '?') . "rid=$id";
    $path .= '&query=' . escape(query()) if chance(0.04);
    return $path . pick('', '', '&a=1', '&a=x', '&a=y',
        '&a=0', '&r=9000', '&id=..%2f', '&a=%0d%0aX:1', '&tag=a',
        '&uri=/l1&all=1', '&zone=bz&key=k&action=open', '&a=' . ('z' x 3000));
}


sub query {
    my @fields = ('ok { id name }', 'list { id again { id name } }',
                  'bad { id }', 'slow { id a { b } }', 'cut', 'hang',
                  'e503(q: "x") { id }',
                  'a: ok(id: $v) { id list { id list { id } } }', '__typename',
                  'loc(n: "x")', '__schema { types { name } }', 'nosuch',
                  'ok { ...F }', 'l2: list { again { again { id } } }',
                  'any { ... on Item { id } ... on Thing { a } }', 'guarded',
                  'some(first: 2) { id }', 'call(id: "x") { id price_cents }',
                  'watch { n }', 'gzip { id }', 'late', 'text',
                  'self(q: "{ok{id}}")');
    my $selection = join ' ', map { pick(@fields) } 0 .. rand 5;
    my $query = pick('query($v: ID) ', 'query($v: ID = 3) ', '', 'query Q ')
        . '{ ' . $selection . ' }' . pick('', '', ' fragment F on Item { id }',
                                          ' {', "\x01");

    $query = 'mutation { put(a: {b: 1}) { id } two: put(a: null) { id } }'
        if chance(0.1);
    return $query;
}


sub escape { return $_[0] =~ s/([^\w(){}:,.])/sprintf '%%%02x', ord $1/ger }


sub operation {
    my $query = query() =~ s/"/\\"/gr;

    return pick('{"id":"a"}', '{"extensions":{"persistedQuery":{"version":1,'
                . '"sha256Hash":"' . ('a' x 64) . '"}}}') if chance(0.05);
    return sprintf '{"query":"%s","variables":%s}', $query,
        pick('{}', 'null', '{"v":1}', '{"v":"../x"}', '{"v":[1]}', '5');
}


# a frame of a client, masked by zeros or not at all
sub websocket_frame {
    my $text = pick('{}', '{"n":1}', '{"id":"a"}', '', '{"n":', 'x' x 110);
    my $first = pick(0x81, 0x81, 0x81, 0x01, 0x80, 0x88, 0x89, 0x8a, 0x82,
                     0xc1, 0x83);
    my $mask = chance(0.95);

    return pack 'CC a* a*', $first, length($text) | ($mask ? 0x80 : 0),
        $mask ? "\0\0\0\0" : '', $text;
}


# one HTTP/1 request; gives its bytes and whether it is well-formed
sub http1 {
    my ($last) = @_;
    my $method = pick(('GET') x 8, 'HEAD', 'POST', 'POST', 'PUT', 'DELETE',
                      'OPTIONS', 'PATCH', 'PURGE', 'TRACE');
    my $uri = uri();

    return ("GET $uri\r\n", 0) if $last && chance(0.02);

    my $version = pick(('1.1') x 8, '1.0');
    my $raw = "$method $uri HTTP/$version\r\n";
    my $good = $uri !~ /%zz|%00|z{99}/ && $method ne 'TRACE';

    if (chance(0.95)) {
        $raw .= 'Host: ' . pick(('localhost') x 9, 'other:80') . "\r\n";
    } else {
        $good &&= $version eq '1.0';
    }

    while (chance(0.5)) {
        my ($name, @values) = @{ pick(@names) };
        $raw .= "$name: " . pick(@values) . "\r\n";
        $good = 0 if $name =~ /^(?:Transfer-Encoding|Upgrade|Connection
                                   |Expect)$/x;
    }

    if (chance($uri =~ m{^/g} ? 0.2 : 0.02)) {
        $raw .= "Upgrade: websocket\r\nConnection: Upgrade\r\n"
            . "Sec-WebSocket-Version: 13\r\n"
            . "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
            . join '', map { websocket_frame() } 0 .. rand 4;
        return ($raw, 0, $method);
    }

    $raw .= "Connection: close\r\n" if $last;

    if ($method =~ /^P/ || chance(0.05)) {
        my $body = pick('', '{}', '{"a":1}', 'x' x 2000, operation(),
                        operation(), operation(), '[' . operation() . ']',
                        '[' . join(',', map { operation() } 1 .. 3) . ']',
                        '{"a":"' . ('y' x 20000) . '"}');

        $raw .= "Content-Type: application/json\r\n"
            if $body =~ /"query"/ && $raw !~ /Content-Type/;

        if (chance(0.3) && $version eq '1.1') {
            $raw .= "Transfer-Encoding: chunked\r\n\r\n";
            $raw .= sprintf("%x\r\n%s\r\n", length $body, $body) if $body;
            $raw .= chance(0.95) ? "0\r\n\r\n" : "zz\r\n";
            $good = 0;
        } elsif (chance(0.05)) {
            $raw .= "Content-Length: 999999\r\n\r\n$body";
            $good = 0;
        } else {
            $raw .= 'Content-Length: ' . length($body) . "\r\n\r\n$body";
        }
    } else {
        $raw .= "\r\n";
    }

    return ($raw, $good, $method);
}


sub requests {
    my ($n) = @_;
    my @out;

    while (@out < $n) {
        push @out, chance(0.12) ? http2() : one();
    }

    # one reload at most: signals that come together are one
    splice @out, rand @out, 0, { event => 'reload' } if chance(0.2);

    while (chance(0.2)) {
        splice @out, rand @out, 0, { event => pick(qw(reopen redis_pause
                                                redis_drop backend_pause)) };
    }

    return @out;
}


sub one {
    my ($raw, $good, @methods) = ('', 1);
    my $many = chance(0.2) ? 1 + int rand 4 : 1;

    for my $i (1 .. $many) {
        my ($bytes, $fine, $method) = http1($i == $many);
        $raw .= $bytes;
        $good &&= $fine;
        push @methods, $method || 'GET';
    }

    my $how = pick(('wait') x 8, 'close', 'reset', 'half', 'slow', 'drip');
    my $port = 'h1';

    if (chance(0.06)) {
        $port = 'pp';
        $raw = pick("PROXY TCP4 10.0.0.1 127.0.0.1 5 6\r\n",
                    "PROXY UNKNOWN\r\n") . $raw;
    }

    # a WebSocket has no end of its own
    $how = pick('close', 'reset') if $raw =~ /^Sec-WebSocket-Key/m;

    return {
        port => $port, raw => $raw, good => $good, how => $how, id => $id,
        methods => \@methods, delay => pick(0, 0.01, 0.05, 0.2, 0.5),
    };
}


sub http2 {
    my @streams;

    for (0 .. int rand 4) {
        my @headers;

        while (chance(0.4)) {
            my ($name, @values) = @{ pick(@names) };
            next if $name =~ /^(?:Connection|Transfer-Encoding|Upgrade)$/;
            push @headers, lc $name, pick(@values);
        }

        push @streams, [ pick(qw(GET GET GET HEAD POST DELETE)), uri(),
                         headers => \@headers,
                         chance(0.2) ? (body => pick('{}', 'x' x 9000)) : () ];
    }

    return {
        port => 'h2', streams => \@streams, id => $id,
        how => pick('wait', 'wait', 'close', 'reset', 'rst', 'thin'),
        delay => pick(0, 0.01, 0.1, 0.4),
    };
}


1;
