package Bench::Fixtures;

# What the backends serve (fixtures/NAME.json), what is posted
# (requests/NAME.json), and what a gateway has to answer (expected/NAME.json).
# The same bytes on every machine.

use strict;
use warnings;
use utf8;

use Encode ();
use Exporter 'import';
use File::Path qw(mkpath);
use JSON::PP ();

our @EXPORT_OK = qw(write_fixtures decode canonical);

my @digits = split //, '0123456789abcdef';
my @words = ('lorem', 'ipsum', 'dolor', 'sit', 'amet', '\"quoted\"', 'café',
             'tab\there', 'elit', 'sed', 'eiusmod', 'tempor');
my $json = JSON::PP->new->utf8->canonical->allow_nonref;


sub decode { return $json->decode($_[0]) }
sub canonical { return $json->encode($_[0]) }


sub hex_of {
    my ($seed, $n) = @_;
    return join '', map { $digits[($_ * 7919 + $seed * 104729 + 13) % 16] }
        0 .. $n - 1;
}


sub text {
    my ($seed, $n) = @_;
    return join ' ', map { $words[($_ * 5 + $seed * 3) % 12] } 0 .. $n - 1;
}


sub bool { return $_[0] ? 'true' : 'false' }


sub user {
    return '{"id":42,"name":"Ada Lovelace","email":"ada@example.org",'
        . '"active":true,"tier":"gold","created_at":"2021-03-14T09:26:53Z",'
        . '"score":97.25,"address":{"street":"12 St. James’s Square",'
        . '"city":"London","zip":"SW1Y 4JH","country":"GB"},'
        . '"roles":["customer","beta","reviewer"],"preferences":{"lang":"en",'
        . '"currency":"GBP","newsletter":false,"theme":null},'
        . '"avatar":"https://cdn.example.org/a/' . hex_of(42, 40) . '",'
        . '"bio":"' . text(1, 8) . '"}';
}


sub order {
    my ($i) = @_;

    my $tracking = $i % 3 == 1 ? '"' . hex_of($i, 12) . '"' : 'null';

    return sprintf('{"id":%d,"sku":"SKU-%s","status":"%s","amount":%s,'
                   . '"currency":"GBP","placed_at":"2025-0%d-1%dT10:0%d:00Z",'
                   . '"lines":%d,"note":"%s","gift":%s,"tracking":%s}',
                   900100 + $i, hex_of($i, 8),
                   (qw(paid shipped returned))[$i % 3],
                   ($i * 137 % 9000 + 1999) / 100, $i % 9 + 1, $i % 10,
                   $i % 10, $i % 5 + 1, text($i, 4), bool($i % 4 == 0),
                   $tracking);
}


sub product {
    my ($i) = @_;

    return sprintf('{"id":%d,"name":"%s","price":%s,"score":%s,'
                   . '"tags":["t%d","u%d"],"image":"https://cdn.example.org'
                   . '/p/%s","in_stock":%s,"category":{"id":%d,'
                   . '"name":"cat-%d"}}',
                   5000 + $i, text($i, 4), ($i * 311 % 7000 + 499) / 100,
                   ($i * 17 % 100) / 100, $i, $i * 3, hex_of($i, 24),
                   bool($i % 2 == 0), $i % 5, $i % 5);
}


sub part_item {
    my ($part, $i) = @_;

    return sprintf('{"id":%d,"name":"%s","value":%s,"ok":%s,"ref":"%s",'
                   . '"unit":"kg","sub":{"a":%d,"b":null}}',
                   $i + $part * 100, text($i + $part, 4),
                   ($i * 977 % 10000) / 100, bool($i % 2 == 0),
                   hex_of($i + $part, 16), $i);
}


sub article {
    my ($i) = @_;

    return sprintf('{"id":%d,"name":"%s","price":%s,"currency":"EUR",'
                   . '"stock":%d,"sku":"%s","brand":"brand-%d",'
                   . '"category":"category/%d/%d","rating":%s,'
                   . '"created":"2024-0%d-2%dT00:00:00Z","description":"%s",'
                   . '"tags":["a%d","b%d","c%d"]}',
                   7000 + $i, text($i, 3), ($i * 733 % 9000 + 99) / 100,
                   $i * 31 % 500, hex_of($i, 16), $i % 12, $i % 7, $i % 3,
                   ($i * 7 % 50) / 10, $i % 9 + 1, $i % 9, text($i, 13),
                   $i % 4, $i % 6, $i % 9);
}


sub item {
    my ($i, $sku) = @_;

    return sprintf('{"sku":"%s","name":"Product %d","price":%s,"stock":%d,'
                   . '"brand":"brand-%d"}',
                   $sku, $i, ($i * 350 + 199) / 100, $i * 7 % 50, $i % 4);
}


sub list { return '[' . join(',', @_) . ']' }


# documents by name: of the backends
sub fixtures {
    my %doc;

    $doc{users} = user();
    $doc{orders} = '{"user_id":42,"page":1,"total":40,"items":'
        . list(map { order($_) } 0 .. 39) . '}';

    my $products = list(map { product($_) } 0 .. 18);
    $doc{recommendations} = '{"user_id":42,"model":"als-v7",'
        . '"generated_at":"2025-09-01T00:00:00Z","products":' . "$products}";
    $doc{cache} = '{"id":1,"kind":"cached","products":' . "$products}";
    $doc{fallback} = '{"status":"degraded","source":"fallback","items":[]}';

    for my $n (0 .. 9) {
        $doc{"part$n"} = sprintf '{"part":%d,"items":%s}', $n,
            list(map { part_item($n, $_) } 0 .. 15);
    }

    $doc{shape} = list(map { article($_) } 0 .. 99);
    $doc{'shape-wrapped'} = '{"products":' . $doc{shape} . '}';

    # of about a million bytes
    $doc{big} = '{"items":' . list(map { article($_) } 0 .. 3099) . '}';

    $doc{cart} = '{"id":42,"currency":"EUR","items":' . list(map {
        sprintf '{"sku":%d,"quantity":%d}', 7000 + $_, $_ % 3 + 1
    } 0 .. 19) . '}';
    $doc{product} = article(7);

    # the orders' products: 40 orders have 16 different ones
    my %skus = map { 'SKU-' . hex_of($_, 8) => 1 } 0 .. 39;
    my @skus = sort keys %skus;
    $doc{catalog} = list(map { item($_, $skus[$_]) } 0 .. $#skus);

    return \%doc;
}


# what is posted: a GraphQL operation with its variables

my $user_fields = 'id name email active tier created_at score '
    . 'address { street city zip country } roles '
    . 'preferences { lang currency newsletter theme } avatar bio';
my $order_fields = 'id sku status amount currency placed_at lines note gift '
    . 'tracking';
my $product_fields = 'id name price score tags image in_stock '
    . 'category { id name }';


sub requests {
    return {
        gql1 => {
            query => 'query User($id: Int!) { user(id: $id)'
                . ' { id name email } }',
            variables => { id => 42 },
        },
        gql3 => {
            query => 'query Home($id: Int!, $first: Int = 10) { user(id: $id)'
                . " { $user_fields } recent_orders(user: \$id, first: \$first)"
                . " { $order_fields } recommendations(user: \$id)"
                . " { $product_fields } }",
            operationName => 'Home',
            variables => { id => 42, first => 5 },
        },
        gqln => {
            query => 'query Orders($id: Int!) { orders(user: $id)'
                . ' { id amount status product { sku name price stock } } }',
            variables => { id => 42 },
        },
    };
}


# gRPC: a message of bench/grpc/article.txtpb as JSON, and a hundred prices


sub article_message {
    return {
        id => '9007199254740993', name => 'Reading lamp, brass, with a dimmer',
        sku => 'LMP-0042-BR',
        description => 'A lamp for a desk or a bed, made of solid brass that is'
            . ' turned and polished by hand. The dimmer goes from a hundredth'
            . ' of the light to all of it without a step, and "remembers" where'
            . ' it was. The cord is two metres long and covered with linen.'
            . "\nBulb included.",
        price => 189.95, currency => 'EUR', stock => 37,
        brand => 'Lumière & Fils', category => 'home/lamps/reading',
        rating => 4.6, ratings => 1284, available => JSON::PP::true,
        status => 'STATUS_ACTIVE', created => '2025-09-09T10:30:00.250Z',
        tags => [ qw(lamp brass reading dimmer) ],
        imageUrl => 'https://cdn.example.org/articles/lmp-0042-br/'
            . 'front-1200.webp',
        weightKg => 1.75, related => [ 7001, 7013, 7044, 7051 ],
        maker => { name => 'Lumière & Fils SARL', country => 'FR',
                   founded => 1927 },
        note => 'Ships within two days; no delivery to islands. Returns are'
            . ' free for sixty days.',
    };
}


sub price_message {
    my ($i) = @_;

    return {
        id => '' . (900_719_925_474 + $i), sku => 'SKU-' . hex_of($i, 8),
        price => ($i * 311 % 7000 + 499) / 100, stock => $i % 50 + 1,
        status => 'STATUS_ACTIVE',
    };
}


# the member order of a generated client: by field number
sub article_text {
    my $of = article_message();

    return members($of, qw(id name sku description price currency stock brand
        category rating ratings available status created tags imageUrl weightKg
        related), [ 'maker', qw(name country founded) ], 'note');
}


sub members {
    my ($of, @names) = @_;

    return '{' . join(',', map {
        my ($name, @inner) = ref $_ ? @$_ : $_;
        "\"$name\":" . (@inner ? members($of->{$name}, @inner)
                              : $json->encode($of->{$name}))
    } @names) . '}';
}


sub varint {
    my ($n) = @_;
    my $out = '';

    for (; $n >= 128; $n >>= 7) {
        $out .= chr($n % 128 + 128);
    }

    return $out . chr $n;
}


# on the wire, with the prefix of gRPC
sub price_wire {
    my ($i) = @_;

    my $of = price_message($i);
    my $wire = "\x08" . varint($of->{id})
        . "\x12" . chr(length $of->{sku}) . $of->{sku}
        . "\x19" . pack('d<', $of->{price})
        . "\x20" . varint($of->{stock}) . "\x28\x01";

    return pack('CN/a*', 0, $wire);
}


# what the gateway answers them
sub answers {
    my ($value, $agg3) = @_;

    my %product;

    for my $item (@{ $value->{catalog} }) {
        my %product_of = %$item;
        delete $product_of{brand};
        $product{ $item->{sku} } = \%product_of;
    }

    my %user;
    $user{$_} = $value->{users}{$_} for qw(id name email);

    my @orders = map { {
        id => $_->{id}, amount => $_->{amount}, status => $_->{status},
        product => $product{ $_->{sku} },
    } } @{ $value->{orders}{items} };

    return (
        'gql1' => { data => { user => \%user } },
        'gql3' => { data => $agg3 },
        'gqln' => { data => { orders => \@orders } },
        'gql3-noslice' => { data => {
            %$agg3, recent_orders => $value->{orders}{items},
        } },
    );
}


# and of the gateway, made of those
sub expected {
    my ($doc) = @_;

    my %value = map { $_ => decode(Encode::encode_utf8($doc->{$_})) }
        keys %$doc;
    my ($user, $orders, $recs) = @value{qw(users orders recommendations)};
    my @items = @{ $orders->{items} };
    my %agg3 = (user => $user, recent_orders => [ @items[0 .. 4] ],
                recommendations => $recs->{products});
    my %short = (id => 1, name => 1, price => 1);
    my @shaped = map {
        my $article = $_;
        +{ map { $_ => $article->{$_} } keys %short };
    } @{ $value{shape} };

    return {
        answers(\%value, \%agg3),
        'grpc1'         => article_message(),
        'grpcs'         => [ map { price_message($_) } 0 .. 99 ],
        (map { $_ => $value{$_} }
            qw(users orders recommendations cache fallback)),
        'agg3'          => \%agg3,
        'agg3-degraded' => { %agg3, recommendations => undef },
        'agg3-noslice'  => { %agg3, recent_orders => \@items },
        'agg3-noslice-partial' => { user => $user, recent_orders => \@items },
        'agg3p'         => { user => $user, orders => $orders,
                             recommendations => $recs },
        'agg10'         => { map { ("p$_" => $value{"part$_"}) } 0 .. 9 },
        'articles'      => $value{shape},
        'shape'         => \@shaped,
        'shape-wrapped' => { products => \@shaped },
        'graph'         => { user => $user, offers => $recs->{products} },
        'mem'           => { a => $value{big}, b => $value{big} },
        'fanout'        => { cart => {
            %{ $value{cart} },
            items => [ map { +{ %$_, product => $value{product} } }
                       @{ $value{cart}{items} } ],
        } },
    };
}


# pages that Varnish puts together
sub include { return qq{<esi:include src="$_[0]"/>} }


sub pages {
    my %page;

    for my $prefix ('', 'slow') {
        $page{$prefix ? 'esi-slowp' : 'esi-agg3p'} = '{' . join(',', map {
            ($_ eq 'users' ? '"user":' : "\"$_\":")
                . include("/_$prefix$_/42")
        } qw(users orders recommendations)) . '}';
    }

    $page{'esi-agg10'} = '{' . join(',', map {
        "\"p$_\":" . include("/_part/$_")
    } 0 .. 9) . '}';

    return \%page;
}


sub write_file {
    my ($path, $text) = @_;

    open my $out, '>:raw', $path or die "$path: $!\n";
    print $out $text;
    close $out or die "$path: $!\n";
    return;
}


sub write_fixtures {
    my ($dir) = @_;

    my $doc = fixtures();
    my $expected = expected($doc);
    my $pages = pages();
    my $requests = requests();

    mkpath([ map { "$dir/$_" } qw(fixtures expected requests) ]);

    for my $set ($doc, $pages) {
        write_file("$dir/fixtures/$_.json", Encode::encode_utf8($set->{$_}))
            for keys %$set;
    }

    write_file("$dir/expected/$_.json", canonical($expected->{$_}))
        for keys %$expected;

    write_file("$dir/requests/$_.json", canonical($requests->{$_}))
        for keys %$requests;

    write_file("$dir/requests/grpc1.json", article_text());
    write_file("$dir/fixtures/grpcs.bin", join '', map { price_wire($_) }
        0 .. 99);

    return;
}


1;
