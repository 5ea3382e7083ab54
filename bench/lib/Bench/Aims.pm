package Bench::Aims;

# What the gateway is to cost, of what others cost, and the arithmetic of it.

use strict;
use warnings;

use Exporter 'import';

our @EXPORT_OK = qw(@aims @late median quartiles);

# scenario, the most it may be, of which scenarios (summed) of which peer
our @aims = (
    [ 'AGG3',    0.90, 'nginx',      'PROXY', 'PROXYu', 'PROXYo' ],
    [ 'AGG3',    0.25, 'lua',        'AGG3' ],
    [ 'AGG3P',   0.95, 'lua-splice', 'AGG3P' ],
    [ 'AGG10',   0.90, 'lua-splice', 'AGG10' ],
    [ 'SHAPE',   0.10, 'lua',        'SHAPE' ],
    [ 'SHAPE',   0.33, 'bun',        'SHAPE' ],
    [ 'SHAPE',   1.60, 'nginx',      'PROXYs' ],
    [ 'L1',      1.00, 'nginx',      'STATIC' ],
    [ 'L1',      0.95, 'lua',        'L1' ],
    [ 'L1',      1.00, 'nginx',      'L1' ],
    [ 'L2',      0.55, 'lua',        'L2' ],
    [ 'BREAKER', 1.10, 'nginx',      'RETURN' ],
    [ 'GUARD',   1.03, 'nginx',      'PROXY' ],
    [ 'DEAD',    1.05, 'ours',       'LIVE' ],
    [ 'DEADb',   1.00, 'ours',       'LIVE' ],
    [ 'GQL3',    0.25, 'mercurius',  'GQL3' ],
    [ 'GQL3',    1.50, 'ours',       'AGG3' ],
    [ 'GQL1',    0.45, 'mercurius',  'GQL1' ],
    [ 'GQL1',    0.80, 'tailcall',   'GQL1' ],
    [ 'GQLN',    0.20, 'mercurius',  'GQLN' ],
);

# p99: scenario, the most it may be, in ms or of another peer's
our @late = (
    [ 'SLOWP',   1.00, 'lua-splice', 'ssi' ],
    [ 'HANG',    515 ],
    [ 'HANG',    1.00, 'lua' ],
);


sub median { return quantile(0.5, @_) }


# the first and the third
sub quartiles { return (quantile(0.25, @_), quantile(0.75, @_)) }


sub quantile {
    my ($part, @v) = @_;

    @v = sort { $a <=> $b } @v;
    my $at = $part * (@v - 1);
    my $below = int $at;
    my $above = $below + ($below < $#v);

    return $v[$below] + ($at - $below) * ($v[$above] - $v[$below]);
}


1;
