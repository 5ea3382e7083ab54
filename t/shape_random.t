# Random shapes with names against jq: the meaning of each statement is written
# down once more, in jq's words.
#
# TEST_NGINX_SEED repeats a run, TEST_NGINX_ROUNDS makes it longer.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use Test::More;

use JSON::PP ();
use Time::HiRes qw(time);

use Harness;

my $seed = $ENV{TEST_NGINX_SEED} || int(time() * 1000) % 10_000_000;
my $shapes = $ENV{TEST_NGINX_ROUNDS} || 60;
my $documents = 10;
srand $seed;

my $t = Harness->new(modules => ['ngx_http_aggregate_module'], plan => 3);

sub pick { return $_[rand @_] }
sub chance { return rand() < $_[0] }

my @names = qw(a b c d);


# documents are of few names, so that paths match

sub value {
    my ($depth) = @_;
    my $kind = $depth > 3 ? 0 : $depth == 0 ? 1 - rand 0.8 : rand;

    if ($kind < 0.25) {
        return pick(1, 2, 30, '"s"', "\"\xc3\xa9\"", '""', 'true', 'null', -4);
    }

    if ($kind < 0.55) {
        return '[' . join(',', map { value($depth + 1) } 1 .. rand 4) . ']';
    }

    my %seen;
    return '{' . join(',', map { "\"$_\":" . value($depth + 1) }
                      grep { !$seen{$_}++ } map { pick(@names) } 1 .. rand 7)
        . '}';
}


# a path is a list of names, numbers, "[]" (every element), "*" (every member)

sub path {
    my ($least, $wild) = @_;

    return [ map { my $kind = rand;
                   $wild && $kind < 0.25 ? '[]' : $wild && $kind < 0.35 ? '*'
                   : $kind > 0.85 ? pick(0, 1, -1) + 0 : pick(@names) }
             1 .. $least + rand 3 ];
}


sub text {
    my $text = join '', map { $_ eq '[]' ? '[]' : /^-?\d/ ? "[$_]" : ".$_" }
        @{ $_[0] };

    return $text eq '' ? '.' : $text =~ s/^\.//r;
}


sub shape {
    my %rule = (target => undef, limit => [], allow => [], deny => [],
                rename => [], move => [], set => []);
    my @text;

    if (chance(0.3)) {
        $rule{target} = path(1);
        push @text, 'target ' . text($rule{target});
    }

    if (chance(0.4)) {
        $rule{limit} = [ [ path(0, 1), 1 + int rand 2 ] ];
        push @text, 'limit ' . text($rule{limit}[0][0])
            . " $rule{limit}[0][1]";
    }

    if (chance(0.6)) {
        $rule{allow} = [ map { path(1, 1) } 0 .. rand 5 ];
        push @text, join ' ', 'allow', map { text($_) } @{ $rule{allow} };
    }

    if (chance(0.5)) {
        $rule{deny} = [ map { path(1, 1) } 0 .. rand 3 ];
        push @text, join ' ', 'deny', map { text($_) } @{ $rule{deny} };
    }

    if (chance(0.4)) {
        my @to = pick([ @names, 'e' ], ['e'])->@*;
        $rule{rename} = [ [ [ @{ path(0, 1) }, pick(@names) ], pick(@to) ] ];
        push @text, 'rename ' . text($rule{rename}[0][0])
            . " $rule{rename}[0][1]";

    } elsif (chance(0.5)) {
        $rule{move} = [ [ [ map { pick(@names) } 0 .. rand 2 ],
                          [ map { pick('x', 'y') } 0 .. rand 2 ] ] ];
        push @text, join ' ', 'move', map { text($_) } @{ $rule{move}[0] };
    }

    if (chance(0.4)) {
        my $v = pick('1', '"x"', '{"q":[1]}', '$arg_v');
        $rule{set} = [ [ [ map { pick(@names, 'x') } 0 .. rand 2 ],
                         $v eq '$arg_v' ? 'V'
                         : JSON::PP->new->allow_nonref->decode($v) ] ];
        push @text, 'set ' . text($rule{set}[0][0]) . " '$v'";
    }

    return { text => join('', map { "$_; " } @text), rule => \%rule };
}


my $jq = <<'EOF';
def index($n; $v): if $n < 0 then $n + ($v | length) else $n end;

# where in the document the path leads
def named($path):
  . as $doc
  | def walk($at; $left):
      ($doc | getpath($at)) as $v
      | if ($left | length) == 0 then $at
        elif ($v | type) == "array" then
          (if $left[0] == "[]" then range($v | length)
           elif ($left[0] | type) == "number" then
             index($left[0]; $v) | select(. >= 0 and . < ($v | length))
           else empty end) as $i
          | walk($at + [$i]; $left[1:])
        elif ($v | type) == "object" then
          (if $left[0] == "*" then $v | keys_unsorted[]
           else $left[0] | select(type == "string")
                         | select(. as $k | $v | has($k)) end) as $k
          | walk($at + [$k]; $left[1:])
        else empty end;
    walk([]; $path);

# the objects and arrays on the way of a path
def way($path):
  . as $doc
  | range($path | length) as $n
  | named($path[:$n]) as $at
  | ($doc | getpath($at) | type) as $kind
  | select($kind == "array" or $kind == "object") | $at;

# "allow", "deny" and "rename" in one go, by the places of before
def pruned($whole; $on; $denied; $renames):
  def go($at; $all):
    ($all or any($whole[]; . == $at)) as $all
    | def stays($p): (any($denied[]; . == $p) | not)
        and ($all or any($whole[], $on[]; . == $p));
    if type == "object" then
      [ to_entries[] | .key as $k | select(stays($at + [$k]))
        | .value |= go($at + [$k]; $all) ]
      | [ .[] | .key as $k
          | [ $renames[] | select(.[0] == $at + [$k]) | .[1] ] as $to
          | . + { to: ($to[0] // $k), moved: ($to | length > 0) } ]
      | [ .[] | select(.moved) | .to ] as $taken
      | [ .[] | .to as $to | select(.moved or all($taken[]; . != $to)) ]
      | reduce .[] as $e ({}; .[$e.to] = $e.value)
    elif type == "array" then
      [ range(length) as $i | select(stays($at + [$i]))
        | .[$i] | go($at + [$i]; $all) ]
    else . end;
  go([]; false);

def put($path; $value):
  if ($path | length) == 0 then $value
  else (if type == "object" then . else {} end)
       | .[$path[0]] = (.[$path[0]] | put($path[1:]; $value)) end;

def shaped($rule):
  (if $rule.target
   then [ named($rule.target) ] as $at
        | if $at == [] then null else getpath($at[0]) end
   else . end)
  | reduce $rule.limit[] as $l
      (.; reduce named($l[0]) as $at
            (.; (getpath($at) | type) as $kind
                | if $kind == "array" then setpath($at; getpath($at)[:$l[1]])
                  else . end))
  | . as $doc
  | (if $rule.allow == [] then [[]]
     else [ $rule.allow[] as $p | named($p) ] end) as $whole
  | [ $rule.allow[] as $p | way($p) ] as $on
  | [ $rule.deny[] as $p | named($p) ] as $denied
  | [ $rule.rename[] as $r | named($r[0]) | [ ., $r[1] ] ] as $renames
  | (if any($whole[], $on[]; . == []) then
       pruned($whole; $on; $denied; $renames)
     else null end)
  | reduce $rule.move[] as $m
      (.; if type == "object" and ([ named($m[0]) ] != [])
          then getpath($m[0]) as $v | delpaths([ $m[0] ])
               | put($m[1]; $v)
          else . end)
  | reduce $rule.set[] as $s (.; put($s[0]; $s[1]));

[ .[] | . as $case | .doc | shaped($case.rule) | tojson ][]
EOF

my @shapes = map { shape() } 1 .. $shapes;
my @docs = map { value(0) } 1 .. $documents;

my $b = $t->backend('b', map { ("/$_" => $docs[$_]) } 0 .. $#docs);

my $n = 0;
my $named = join "\n", map { "aggregate_shape s" . $n++ . " { $_->{text}}" }
    @shapes;
my $where = join "\n", map { "location /s$_/ { proxy_pass http://b/; "
                             . "aggregate_apply s$_; }" } 0 .. $#shapes;

$t->run(<<"EOC");
%%GLOBALS%%
events { }
http {
    %%HTTP%%
    $named
    upstream b { server 127.0.0.1:%%PORT_b%%; }
    server {
        listen 127.0.0.1:%%PORT_0%%;
        $where
    }
}
EOC

my $json = JSON::PP->new->allow_nonref;
my @cases = map { my $s = $_; map { { doc => $json->decode($_),
    rule => $shapes[$s]{rule} } } @docs } 0 .. $#shapes;

$t->write_file('cases.json', JSON::PP->new->canonical->encode(\@cases));
$t->write_file('shape.jq', $jq);

my $dir = $t->testdir;
my @right = `jq -r -f $dir/shape.jq $dir/cases.json`;
chomp @right;

is(scalar @right, scalar @cases, 'what jq says');

my (@wrong, %different);
my $c = $t->connect;
my $canonical = JSON::PP->new->allow_nonref->canonical;

for my $i (0 .. $#cases) {
    my ($s, $d) = (int($i / @docs), $i % @docs);

    $c->request(GET => "/s$s/$d?v=V");
    my $r = $c->response;

    # members in another order are the same here: the order of what is
    # moved and set is looked at elsewhere
    my $got = $r->status == 200
        ? $canonical->encode($canonical->decode($r->body)) : $r->status;
    my $right = defined $right[$i]
        ? $canonical->encode($json->decode($right[$i])) : '';

    $different{$right}++;

    push @wrong, "$shapes[$s]{text}\n  of $docs[$d]\n  got $got\n  jq  $right\n"
        if $got ne $right;
}

ok(!@wrong, scalar(@cases) . " answers, seed $seed")
    or diag(scalar(@wrong) . " wrong, seed $seed:\n",
            join "\n", @wrong > 6 ? @wrong[0 .. 5] : @wrong);
cmp_ok(scalar(keys %different), '>', @cases / 10, 'of many sorts');
