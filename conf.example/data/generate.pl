#!/usr/bin/perl

# Writes the demo's data, next to this file; the same bytes every time.
# The text is put together by hand rather than by a JSON encoder, since it
# is about what an encoder loses: 64-bit numbers, 10.00, escapes, order.

use strict;
use warnings;
use utf8;

use File::Basename qw(dirname);
use File::Path qw(make_path);
use POSIX qw(strftime);

my $root = dirname(__FILE__);

my @products = (
    # id, name, price, segment
    [1001, 'Two-person tent “Fjäll”',    '249.00', 'outdoor'],
    [1002, 'Trail running shoes',        '119.90', 'outdoor'],
    [1003, 'Down sleeping bag, -5 °C',   '189.50', 'outdoor'],
    [1004, 'Titanium mug, 450 ml',        '34.95', 'outdoor'],
    [1005, 'Headlamp, 400 lm',            '59.00', 'outdoor'],
    [1006, 'Map of the Tatra, 1:25 000',  '12.50', 'outdoor'],
    [1007, 'Water filter',                '39.90', 'outdoor'],
    [1008, 'Trekking poles, pair',        '79.00', 'outdoor'],
    [1009, 'Dry bag, 20 l',               '24.90', 'outdoor'],
    [1010, 'Gas stove',                   '54.00', 'outdoor'],
    [1011, 'Rain shell',                 '159.00', 'outdoor'],
    [1012, 'Merino base layer',           '69.95', 'outdoor'],
    [1013, 'Prime lens, 50 mm f/1.8',    '199.00', 'photography'],
    [1014, 'Carbon tripod',              '329.00', 'photography'],
    [1015, 'Neutral density filter set',  '89.90', 'photography'],
    [1016, 'Camera strap, leather',       '45.00', 'photography'],
    [1017, 'SD card, 128 GB',             '27.99', 'photography'],
    [1018, 'Sensor cleaning kit',         '19.50', 'photography'],
    [1019, 'Watercolour set, 24 pans',    '64.00', 'arts&crafts'],
    [1020, 'Linocut starter kit',         '38.50', 'arts&crafts'],
    [1021, 'Sketchbook, A5, 180 g/m²',    '14.95', 'arts&crafts'],
    [1022, 'Block printing ink, 75 ml',    '9.80', 'arts&crafts'],
    [1023, 'Bookbinding awl',              '7.25', 'arts&crafts'],
    [1024, 'Brush “Nº 8”, kolinsky',      '21.00', 'arts&crafts'],
);

my @authors = (
    [301, 'Mara Lindqvist',   'mara',   'true',  'Field notes'],
    [302, 'Tomás Ó Briain',   'tomas',  'false', 'Field notes'],
    [303, '渡辺 葵',            'aoi',    'true',  'Studio'],
    [304, 'Chidi Okonkwo',    'chidi',  'true',  'Workshop'],
    [305, 'Žofie Němcová',    'zofie',  'false', 'Studio'],
    [306, 'Priya Raman',      'priya',  'true',  'Workshop'],
    [307, 'Jean-Luc Fabre',   'jlfabre', 'false', 'Field notes'],
);

my @titles = (
    'Three days on the ridge',
    'What to leave at home',
    'Light at ten in the morning',
    'A repair that lasts',
    'Notes from a wet weekend',
    'The quiet side of the lake',
    'How we test sleeping bags',
    'Ink, paper, patience',
    'Packing for two',
    'Night sky without a tracker',
    'An honest review: 900 km in one pair of shoes',
    'Reader’s question: “which filter?”',
);

my @sentences = (
    'We left before sunrise and had the path to ourselves until noon.',
    'The forecast said 20 % rain; it rained for the other 80 %, too.',
    'None of this is new, and all of it is easy to forget.',
    'It cost 12 € and an afternoon.',
    'If it does not fit in the lid pocket, it stays at home.',
    "There is a table at the end, and a \"short version\" before it.",
    'The second batch came out better than the first: slower, thinner, '
    . 'and with less ink.',
    "Path in the archive: notes\\2026\\ridge.txt.",
    'Questions go below; we read every one of them 🙂.',
);

my @tags = qw(trail gear camp photo print repair review beginner winter lake);


sub put {
    my ($name, $text) = @_;

    my $path = "$root/$name";

    make_path(dirname($path));

    open my $fh, '>:encoding(UTF-8)', $path or die "$path: $!\n";
    print {$fh} "$text\n";
    close $fh or die "$path: $!\n";
}


sub str {
    my ($s) = @_;

    $s =~ s/(["\\])/\\$1/g;

    return qq("$s");
}


sub obj {
    my @pairs = @_;
    my @out;

    while (@pairs) {
        my ($name, $value) = splice @pairs, 0, 2;
        push @out, str($name) . ":$value";
    }

    return '{' . join(',', @out) . '}';
}


sub arr {
    return '[' . join(',', @_) . ']';
}


sub hex_text {
    my ($seed, $length) = @_;

    my $state = ($seed * 2654435761 + 12345) % 4294967296;
    my $text = '';

    for (1 .. $length) {
        $state = ($state * 1664525 + 1013904223) % 4294967296;
        $text .= sprintf '%x', ($state >> 24) & 15;
    }

    return $text;
}


sub stamp {
    my ($hours) = @_;

    # so many hours before a fixed day

    return str(strftime('%Y-%m-%dT%H:%M:%SZ',
                        gmtime(1_795_197_600 - $hours * 3600 - $hours * 37)));
}


sub cents {
    my ($price, $quantity) = @_;

    (my $digits = $price) =~ s/\.//;
    my $sum = $digits * $quantity;

    return sprintf '%d.%02d', $sum / 100, $sum % 100;
}


# users: values that do not survive a double, or a decode and an encode

put('users/7.json', obj(
    id        => 7,
    account   => '9007199254740993',
    name      => str('Ada Király'),
    email     => str('ada@example.org'),
    segment   => str('photography'),
    score     => '97.250',
    address   => obj(street => str('Rózsa utca 12'), city => str('Budapest'),
                     country => str('HU')),
    roles     => arr(str('customer'), str('reviewer')),
    created_at => stamp(31_000),
));

put('users/13.json', obj(
    id        => 13,
    account   => '9007199254740995',
    name      => str('Ngozi Adeyemi'),
    email     => str('ngozi@example.org'),
    segment   => str('diy/tools'),
    score     => '41.0',
    address   => obj(street => str('14 Marina Road'), city => str('Lagos'),
                     country => str('NG')),
    roles     => arr(str('customer')),
    created_at => stamp(9_100),
));

put('users/42.json', obj(
    id        => 42,
    account   => '12345678901234567890',
    name      => str('Zoë Müller-Łęcka'),
    nickname  => '"Zo\u00eb \ud83d\ude00"',
    email     => str('zoe@example.org'),
    segment   => str('outdoor'),
    score     => '1.0',
    balance   => '10.00',
    active    => 'true',
    address   => obj(street => str('Große Straße 7 “Hinterhaus”'),
                     city => str('Kraków'), zip => str('31-002'),
                     country => str('PL')),
    roles     => arr(str('customer'), str('beta'), str('reviewer')),
    preferences => obj(language => str('pl'), currency => str('EUR'),
                       newsletter => 'false', theme => 'null'),
    avatar    => str('https://cdn.example.org/a/' . hex_text(42, 40)),
    created_at => stamp(20_500),
));

put('users/99.json', obj(
    id        => 99,
    account   => '9007199254740997',
    name      => str('Søren Kjær'),
    email     => str('soren@example.org'),
    segment   => str('arts&crafts'),
    score     => '-0.0',
    address   => obj(street => str('Nørrebrogade 3'),
                     city => str('København'), country => str('DK')),
    roles     => arr(str('customer')),
    created_at => stamp(2_750),
));


# orders: 40 of user 42, fewer of the others, none of user 13

my %orders_of = (7 => 3, 13 => 0, 42 => 40, 99 => 11);

for my $user (sort { $a <=> $b } keys %orders_of) {
    my @items;

    for my $i (0 .. $orders_of{$user} - 1) {
        my $product = $products[($i * 7 + $user) % @products];
        my $quantity = 1 + $i % 3;

        push @items, obj(
            id        => '90071992547' . sprintf('%02d%05d', $user, 99999 - $i),
            status    => str((qw(paid shipped delivered returned))[$i % 4]),
            placed_at => stamp(20 + $i * 211),
            currency  => str('EUR'),
            total     => cents($product->[2], $quantity),
            lines     => arr(obj(
                product_id => $product->[0],
                name       => str($product->[1]),
                quantity   => $quantity,
                price      => $product->[2],
            )),
            gift      => $i % 5 == 4 ? 'true' : 'false',
            tracking  => $i % 4 ? str(hex_text($i + $user, 12)) : 'null',
        );
    }

    # a page of five as well, which GraphQL asks for by "limit"
    for my $page (@items > 5 ? (5, 0) : 0) {
        put("orders/$user" . ($page ? "-$page" : '') . '.json', obj(
            user_id => $user,
            page    => 1,
            total   => scalar @items,
            items   => arr($page ? @items[0 .. $page - 1] : @items),
        ));
    }
}


# recommendations: one document for each segment

for my $segment ('outdoor', 'photography', 'arts&crafts') {
    my @picks = grep { $_->[3] eq $segment } @products;

    put("recommendations/$segment.json", obj(
        segment      => str($segment),
        model        => str('als-v7'),
        generated_at => stamp(5),
        products     => arr(map { obj(
            id       => $_->[0],
            name     => str($_->[1]),
            price    => $_->[2],
            score    => sprintf('0.%03d', 997 - ($_->[0] * 83) % 700),
            reason   => str((
                'bought together', 'popular with others', 'you looked at it',
            )[$_->[0] % 3]),
            image    => str('https://cdn.example.org/p/'
                            . hex_text($_->[0], 24)),
            in_stock => $_->[0] % 4 ? 'true' : 'false',
        ) } @picks),
    ));
}


# the catalog: one document for each product

my @all_products;

for my $product (@products) {
    my ($id, $name, $price, $segment) = @$product;

    push @all_products, obj(
        id          => $id,
        sku         => str('SKU-' . uc hex_text($id, 8)),
        name        => str($name),
        price       => $price,
        currency    => str('EUR'),
        segment     => str($segment),
        stock       => $id * 31 % 90,
        weight      => ($id * 17 % 4000) . '.0',
        description => str($sentences[$id % @sentences]),
        supplier    => obj(id => 60 + $id % 5, margin => '0.3' . $id % 10),
    );

    put("products/$id.json", $all_products[-1]);
}

put('products/all.json', arr(@all_products));


# carts: product 1004 twice, 1999 is no longer in the catalog

my %cart_of = (
    42 => [[1001, 1], [1004, 2], [1010, 1], [1004, 1], [1006, 3]],
    7  => [[1013, 1], [1999, 1], [1017, 2]],
    99 => [],
);

for my $user (sort { $a <=> $b } keys %cart_of) {
    put("carts/$user.json", obj(
        user_id => $user,
        version => 3,
        items   => arr(map { obj(product_id => $_->[0],
                                 quantity => $_->[1]) } @{ $cart_of{$user} }),
    ));
}


# the feed: 60 items, newest first

my @items;

for my $i (0 .. 59) {
    my $author = $authors[$i * 3 % @authors];
    my $reader = $authors[($i * 5 + 2) % @authors];

    push @items, obj(
        id         => '11829374650' . sprintf('%07d', 2_000_000 - $i * 4813),
        kind       => str((qw(article photo question))[$i % 3]),
        title      => str($titles[$i % @titles]),
        summary    => str($sentences[$i % @sentences]),
        body       => str(join ' ',
                          map { $sentences[($i + $_ * 2) % @sentences] }
                              0 .. 3),
        author     => obj(
            id       => $author->[0],
            name     => str($author->[1]),
            handle   => str($author->[2]),
            verified => $author->[3],
            avatar   => str('https://cdn.example.org/a/'
                            . hex_text($author->[0], 40)),
            column   => obj(name => str($author->[4]),
                            since => 2017 + $i % 7),
        ),
        tags       => arr(map { str($tags[($i * 3 + $_) % @tags]) }
                              0 .. 1 + $i % 3),
        likes      => $i * 37 % 500,
        rating     => sprintf('%.1f', 3 + $i % 20 / 10),
        comments   => arr(obj(
            id     => 70000 + $i,
            author => obj(id => $reader->[0], name => str($reader->[1])),
            text   => str($sentences[($i + 5) % @sentences]),
        )),
        ranking    => obj(model => str('mix-3'),
                          weight => '0.' . sprintf('%016d', 9e15 - $i * 1e13)),
        created_at => stamp(1 + $i * 7),
    );
}

put('feed.json', obj(
    version => str('2026-11-24'),
    total   => scalar @items,
    items   => arr(@items),
));
