# The verbs of build.sh that measure: sourced by it, and of no use alone.

# shellcheck shell=bash disable=SC2154


# what the peers that Debian has need
bench_packages()
{
    local file packages=(perl procps wrk redis-server strace valgrind gcc
                         libc6-dev util-linux)

    for file in "$top"/bench/peers/*/needs; do
        mapfile -t -O ${#packages[@]} packages < <(sed -n 's/^apt://p' "$file")
    done

    no_daemons packages "${packages[@]}"
}


# no_daemons COMMAND...: what apt installs there does not start
no_daemons()
{
    local policy=/usr/sbin/policy-rc.d status

    if [ -e $policy ]; then
        "$@"
        return
    fi

    need_root "$policy"
    printf '#!/bin/sh\nexit 101\n' \
        | as_root install -m 755 /dev/stdin $policy || return 1

    # packages ends the shell where apt fails
    ("$@")
    status=$?

    as_root rm -f $policy
    return $status
}


# as root, ahead of the machine's other work
bench_nice()
{
    [ "$(id -u)" -eq 0 ] && echo -15 || echo 0
}


# bench [ROUNDS]: ours and its peers on the same work, five minutes a round
verb_bench()
{
    local rounds=${1:-1} out=$build/bench/last

    bench_packages || exit 1
    (lock; modules_stock) || exit 1
    mkdir -p "$build/bench"

    BENCH_NICE=${BENCH_NICE:-$(bench_nice)} perl "$top/bench/run.pl" \
        -r "$rounds" -o "$out.tsv" || say "not all peers were measured"

    perl "$top/bench/report.pl" -s "$out.svg" "$out.tsv" | tee "$out.md"
    say "$out.md, $out.svg, $out.tsv"
}


# bench-guard [-u | -q]; -q is what CI runs
verb_bench-guard()
{
    packages perl wrk redis-server strace valgrind gcc libc6-dev util-linux
    (lock; modules_stock) || exit 1

    perl "$top/bench/instr.pl" -g "$@"

    local status=$?

    [ "${1:-}" != -q ] || return $status

    perl "$top/bench/cost.pl" -g "$@" && return $status
}


# bench-scale: how it grows, as plots
verb_bench-scale()
{
    packages perl wrk redis-server gcc libc6-dev
    (lock; modules_stock) || exit 1
    mkdir -p "$build/bench"

    BENCH_NICE=${BENCH_NICE:-$(bench_nice)} perl "$top/bench/scale.pl" "$@"
}


# bench-route [BALANCE | CANARY]: balancing and canaries against nginx's own
verb_bench-route()
{
    packages perl wrk gcc libc6-dev util-linux
    (lock; modules_stock) || exit 1
    mkdir -p "$build/bench"

    BENCH_NICE=${BENCH_NICE:-$(bench_nice)} perl "$top/bench/route.pl" "$@"
}


# bench-claims [TRAFFIC | DAY]: the figures that are quoted for gateways
verb_bench-claims()
{
    no_daemons packages perl wrk redis-server gcc libc6-dev util-linux \
        || exit 1
    (lock; modules_stock) || exit 1
    mkdir -p "$build/bench"

    BENCH_NICE=${BENCH_NICE:-$(bench_nice)} perl "$top/bench/claims.pl" "$@"
}
