#!/usr/bin/perl

# The pages for people, as Chromium has them: what stands in them, that nothing
# of them is wider than the window, at 1280 and at 400 pixels, light and dark,
# and that the console is empty.  PAGES_DIR keeps screenshots.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use Test::More;

use File::Temp;
use Harness;

my @pages = qw(/status?format=html /breakers?format=html /split?format=html);
my $t = Harness->new(plan => 4 + 13 * @pages);

my $b = $t->backend('b', '/ok' => '{}', '/500' => { status => 500 },
    '/slow' => { delay => 0.08, body => '{}' });

$t->run(<<'EOC');

%%GLOBALS%%

worker_processes  1;

events {
}

http {
    %%HTTP%%

    aggregate_metrics_zone  gw 256k;
    aggregate_cache_zone    cache 1m;
    aggregate_split_zone    splits 256k;
    breaker_zone            main 1m;
    breaker_policy          p { failure_threshold 3; }

    aggregate_split $pool key=$arg_u zone=splits {
        ramp   v2 5% 50% 100% every=1h;
        abort  errors=5%;
        *      v1;
    }

    upstream v1 {
        zone               v1 128k;
        aggregate_balance  peak_ewma;
        server             127.0.0.1:%%PORT_b%%;
        server             localhost:%%PORT_b%%;
    }

    upstream v2 { server 127.0.0.1:%%PORT_b%%; }

    server {
        listen             127.0.0.1:%%PORT_0%%;
        server_name        localhost;
        aggregate_metrics  gw;

        location /b/ {
            proxy_pass  http://v1/;
            breaker     $uri zone=main policy=p;
        }

        location /pool/ { proxy_pass http://$pool/ok; }

        location = /a/rather/long/route/of/a/service/that/has/many/parts {
            aggregate_cache        cache;
            aggregate_cache_valid  1m;
            aggregate {
                backend user /b/ok { }
                backend broken /b/500 { }
                backend late /b/slow { timeout 10ms; }
            }
        }

        location = /breakers { breaker_status; }
        location = /split    { aggregate_split_status; }

        location = /status {
            aggregate_metrics off;
            aggregate_status include=/breakers include=/split;
        }
    }
}

EOC

http_get("/pool/?u=$_") for 1 .. 20;
http_get('/a/rather/long/route/of/a/service/that/has/many/parts');
http_get('/b/500') for 1 .. 4;
http_get("/b/ok") for 1 .. 3;

my $s = http_get('/status')->json;
is($s->{splits}[0]{name}, 'pool', 'splits in JSON');
is(scalar @{ $s->{balancers}[0]{servers} }, 2, 'balancers');
is_deeply($s->{backends}{broken}{reasons}, { 500 => 1 }, 'a status');
is_deeply($s->{backends}{late}{reasons}, { timeout => 1 }, 'a reason');

my $dir = File::Temp->newdir;

# each runs in the page, and its result becomes the title
my $look = <<'EOS';
<script>addEventListener('load', () => { const e = document.documentElement;
document.title = JSON.stringify([e.scrollWidth, e.clientWidth,
matchMedia('(prefers-color-scheme: dark)').matches]); })</script>
EOS

my %has = (
    '/status?format=html'   => qr/late.*timeout&nbsp;1.*>Split\ pool<
                                  .*v2.*>Upstream\ v1<.*>Cache</xs,
    '/breakers?format=html' => qr/>force\ open<.*>force\ closed<
                                  .*>back\ to\ normal</xs,
    '/split?format=html'    => qr/\$pool.*v2.*ramping.*>abort</s,
);

for my $uri (@pages) {
    my ($name) = $uri =~ /(\w+)/;
    my $body = http_get($uri)->body;

    # a frame of the width, since windows have one that they are at least
    for my $width (1280, 400) {
        for my $dark (0, 1) {
            my ($dom, $console) = chromium($name, $body, $width, $dark);
            my ($scroll, $client, $is)
                = $dom =~ /&quot;?SEEN (\d+) (\d+) (\w+)/;
            my $what = "$name, $width" . ($dark ? ', dark' : ', light');

            cmp_ok($scroll || 9999, '<=', $client || 0, "$what: its width");
            is($is, $dark ? 'true' : 'false', "$what: the scheme");
            is($console, '', "$what: console");
        }
    }

    like($body, $has{$uri}, "$name: what it shows");
}


# the page in a frame of a width, within a page that looks at it
sub chromium {
    my ($name, $body, $width, $dark) = @_;

    $body =~ s/<meta http-equiv="refresh"[^>]*>//;
    $body =~ s{</body>}{<script>
        addEventListener('load', () => { const e = document.documentElement;
            parent.postMessage('SEEN ' + e.scrollWidth + ' ' + e.clientWidth
                + ' ' + matchMedia('(prefers-color-scheme: dark)').matches,
                '*'); });
        addEventListener('error', e => console.log('ERROR ' + e.message));
        </script>$&};

    write_text("$dir/page.html", $body);
    write_text("$dir/frame.html", <<"EOH");
<!DOCTYPE html><html style="color-scheme: light dark"><body style="margin:0">
<p id="seen">nothing</p>
<script>addEventListener('message',
    e => document.getElementById('seen').textContent = e.data)</script>
<iframe src="page.html" style="border:0;width:${width}px;height:1400px">
</iframe></body></html>
EOH

    my @command = ('chromium', '--headless=new', '--no-sandbox',
        '--disable-gpu', '--disable-dev-shm-usage', '--no-first-run',
        '--disable-background-networking', "--user-data-dir=$dir/profile",
        '--enable-logging=stderr', '--v=0', "--window-size=1280,1400",
        '--allow-file-access-from-files', '--virtual-time-budget=3000',
        $dark ? '--blink-settings=preferredColorScheme=0'
              : '--blink-settings=preferredColorScheme=1');

    if ($ENV{PAGES_DIR}) {
        my $file = "$ENV{PAGES_DIR}/$name-$width-" . ($dark ? 'dark' : 'light')
            . '.png';
        run(@command, "--screenshot=$file", "file://$dir/frame.html");
    }

    my ($out, $errors) = run(@command, '--dump-dom',
                             "file://$dir/frame.html");

    $out =~ s/>SEEN/>&quot;SEEN/;

    return ($out, join "\n", grep { /CONSOLE/ } split /\n/, $errors);
}


sub run {
    my @command = @_;

    open my $stderr, '>', "$dir/stderr" or die $!;
    my $pid = open my $out, '-|';
    die "fork: $!" if !defined $pid;

    if (!$pid) {
        open STDERR, '>&', $stderr;
        exec 'timeout', '60', @command or exit 127;
    }

    local $/;
    my $text = <$out>;
    close $out;

    open my $in, '<', "$dir/stderr" or die $!;
    return ($text || '', scalar <$in>);
}


sub write_text {
    my ($path, $text) = @_;

    open my $file, '>', $path or die "$path: $!";
    print $file $text;
    close $file or die "$path: $!";
    return;
}
