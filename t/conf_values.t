#!/usr/bin/perl

# Values of directives that have a value of one kind each: the error names the
# directive, the value, what is allowed, the file and the line.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use Test::More;

use Harness;

my $t = Harness->new;

my @cases = (
    [ 'aggregate_log_level debug', '"error", "warn", "notice", or "info"' ],
    [ 'breaker_log_level debug', '"error", "warn", "notice", or "info"' ],
    [ 'aggregate_trace_context foo',
      '"ignore", "extract", "inject", or "propagate"' ],
    [ 'aggregate_grpc_errors foo', '"problem" or "status"' ],
    [ 'aggregate_buffer x', 'a size from 0' ],
    [ 'aggregate_grpc_max_message x', 'a size from 1 to 1g' ],
    [ 'aggregate_grpc_max_response -1', 'a size from 1 to 1g' ],
    [ 'aggregate_grpc_timeout x', 'a time from 0' ],
    [ 'aggregate_cache_lock_timeout x', 'a time from 0' ],
);

my @valid = (
    'aggregate_log_level info', 'breaker_log_level warn',
    'aggregate_trace_context ignore', 'aggregate_grpc_errors status',
    'aggregate_buffer 64k', 'aggregate_grpc_max_message 1m',
    'aggregate_grpc_timeout 5s', 'aggregate_cache_lock_timeout 0',
);

sub check {
    my ($directive) = @_;
    return $t->test_config(<<"EOC");

%%GLOBALS%%

events {
}

http {
    %%HTTP%%

    server {
        listen  127.0.0.1:%%PORT_0%%;

        location / {
            $directive;
        }
    }
}

EOC
}

$t->plan(2 * @cases + @valid);

for my $case (@cases) {
    my ($directive, $range) = @$case;
    my ($name, $value) = split ' ', $directive;
    my ($ok, $output) = check($directive);
    my $wanted = qq(invalid value "$value" in "$name", must be $range in );
    ok(!$ok && $output =~ /\Q$wanted\E\S+:\d+/, $directive)
        or diag($output);
    my ($word) = $range =~ /^"(\w+)/;
    $word //= $range =~ /size/ ? '1k' : '1s';
    ($ok, $output) = check("$name $word; $name $word");
    like($output, qr/"$name" directive is duplicate/, "$name twice");
}

for my $directive (@valid) {
    my ($ok, $output) = check($directive);
    ok($ok, $directive) or diag($output);
}
