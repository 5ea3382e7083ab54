# What an element of a fan-out costs does not depend on how many there are:
# the work for 8,000 is four times that for 2,000, through every module that
# keeps something for a subrequest.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use Test::More;

use Harness;

# a rewritten request has lost its context, and asks for it again
my %parts = (
    plain   => '',
    rewrite => 'rewrite ^/rewrite/(.*) /plain/$1 last;',
    breaker => 'breaker all zone=z policy=p;',
    moved   => 'rewrite ^/moved/(.*) /breaker/$1 last;',
    page    => 'breaker all zone=z policy=p; error_page 404 /plain/1;',
    cache   => 'aggregate_cache c; aggregate_cache_ttl / 1h;',
    turned  => 'rewrite ^/turned/(.*) /cache/$1 last;',
    shape   => 'aggregate_apply s;',
    gunzip  => 'gunzip on; sub_filter q r; sub_filter_types *;',
);

my $t = Harness->new(plan => 2 * keys(%parts));
my $few = 3500;
my $many = 9500;

for my $n ($few, $many) {
    $t->write_file("www/$n", '[' . join(',', map { "{\"id\":$_}" } 1 .. $n)
                             . ']');
}

$t->write_file('www/one', '{"x":1}');

my $conf = <<'EOC';
%%GLOBALS%%
events { worker_connections 1024; }
http {
    %%HTTP%%
    breaker_zone z 4m;
    breaker_policy p { failure_threshold 5; recovery_timeout 9s; }
    aggregate_cache_zone c 32m;
    aggregate_metrics_zone m 1m;
    aggregate_shape s { deny y; }
    log_subrequest off;
    server {
        listen 127.0.0.1:%%PORT_0%%;
        root %%TESTDIR%%/www;
        location /list/ { alias %%TESTDIR%%/www/; }
EOC

for my $name (sort keys %parts) {
    my $file = $parts{$name} =~ /last;/ ? '' : 'try_files /one =404;';

    $conf .= <<"EOC";
        location /$name/ { $parts{$name} $file }
        location /all/$name/ {
            aggregate {
                timeout 60s; max_subrequests 10000; concurrency 16;
                max_response_size 8m;
                backend list /list/\$arg_n { }
                backend each /$name/\${item.id} { each list; }
            }
        }
EOC
}

$t->run("$conf } }");


# microseconds of the worker's processor time
sub used {
    my ($pid) = $t->workers;
    open my $f, '<', "/proc/$pid/schedstat" or die "no schedstat: $!\n";
    my ($ns) = split ' ', <$f>;
    return $ns / 1000;
}


sub cost {
    my ($name, $n) = @_;
    my $start = used();
    my $r = http_get("/all/$name/?n=$n", timeout => slow(60));

    my $elements = () = $r->body =~ /"x":1/g;
    return (used() - $start, $elements);
}


for my $name (sort keys %parts) {
    my ($elements, $least, $ratio);

    # what else runs on the machine may take the processor's caches
    for (1 .. 3) {
        my @time;

        for my $n ($few, $many) {

            # the first one fills the cache
            (my $time, $elements) = cost($name, $n);
            ($time[@time]) = sort { $a <=> $b }
                map { (cost($name, $n))[0] } 1 .. 3;
        }

        $ratio = $time[1] / $time[0];
        $least = $ratio if !defined $least || $ratio < $least;
        last if $least < 4.5;
    }

    is($elements, $many, "$name: every element");

    # 2.7 times where the work is linear, 7.4 times where it is quadratic; the
    # memory of both is more than a worker keeps
    ok($least < 4.5, "$name: linear") or diag("$least times the work");
}
