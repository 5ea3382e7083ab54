# The verbs of build.sh that test: sourced by it, and of no use alone.

# shellcheck shell=bash disable=SC2154


# unit tests and fuzzers


include_flags()
{
    local dir

    for dir in "$top/common" "$top"/ngx_http_*_module/ \
               "$top"/ngx_http_*_module/*/ "$top/t/$1"
    do
        [ -d "$dir" ] && printf -- '-I%s\n' "${dir%/}"
    done
}


# the files named by the line "sources:" of a program, and of the pure ground
# floor, which every room may use, those that need nothing else
program_srcs()
{
    local name path found

    for path in "$top"/common/gw_*.c \
                "$top"/ngx_http_aggregate_module/http_rules/*.c
    do
        grep -q agg_json.h "${path%.c}.h" || echo "$path"
    done

    # shellcheck disable=SC2013
    for name in $(sed -n '1,40s/^[ *\/]*sources: *//p' "$1"); do

        found=
        for path in "$top" "$top"/ngx_http_*_module; do
            [ -f "$path/$name" ] && found=$path/$name
        done

        [ -n "$found" ] || { echo "$1: no source $name" >&2; exit 1; }
        echo "$found"
    done
}


# program SOURCE BINARY COMPILER FLAG...: compiled when anything it may
# include is newer
program()
{
    local source=$1 binary=$2 srcs libs flags
    shift 2

    srcs=$(program_srcs "$source") || exit 1
    libs=$(sed -n '1,40s/^[ *\/]*libs: *//p' "$source")
    flags=$(include_flags "$(basename "$(dirname "$source")")")

    # shellcheck disable=SC2086
    if [ -x "$binary" ] && [ -z "$(find "$source" $srcs "$top/t/lib/verbs.sh" \
         "$top"/common "$top"/ngx_http_*_module "$(dirname "$source")" \
         \( -name '*.c' -o -name '*.h' -o -name verbs.sh \) \
         -newer "$binary" -print -quit 2>/dev/null)" ]
    then
        return
    fi

    mkdir -p "$(dirname "$binary")"
    # shellcheck disable=SC2086
    "$@" -Wall -Wextra -Werror $flags "$source" $srcs -o "$binary" $libs
}


# the part of a log that tells: a sanitizer's report, or the end
failure()
{
    grep -aE -B 3 -A 15 'ERROR: |runtime error: ' "$1" | head -n 40 \
        | cut -c -1000 | grep -a . || tail -n 30 "$1"

    # what a fuzzer found, to be decoded and run again
    grep -a '^Base64: ' "$1" | head -n 1
}


sanitize="-O1 -g -fno-omit-frame-pointer -fsanitize=address,undefined \
-fno-sanitize-recover=all"


# run_unit SOURCE
run_unit()
{
    local name
    name=$(basename "$1" .c)

    # shellcheck disable=SC2086
    program "$1" "$build/unit/$name" "${CC:-gcc}" $sanitize || return 1

    (cd "$top/t/unit" && "$build/unit/$name") >"$build/unit/$name.log" 2>&1 || {
        failure "$build/unit/$name.log"
        echo "FAILED $name, see $build/unit/$name.log"
        return 1
    }

    tail -n 1 "$build/unit/$name.log"
}


# run_arm64 SOURCE: the same for arm64, whose vectors have code of their own
run_arm64()
{
    local name
    name=$(basename "$1" .c)-arm64

    program "$1" "$build/unit/$name" aarch64-linux-gnu-gcc -O1 -g -static \
        || return 1

    (cd "$top/t/unit" && qemu-aarch64 "$build/unit/$name") \
        >"$build/unit/$name.log" 2>&1 || {
        tail -n 30 "$build/unit/$name.log"
        echo "FAILED $name, see $build/unit/$name.log"
        return 1
    }

    echo "$(tail -n 1 "$build/unit/$name.log"), arm64"
}


verb_unit()
{
    local source failed=0 ran=0

    packages gcc libc6-dev
    mkdir -p "$build/unit"

    for source in "$top"/t/unit/${1:-*}.c; do
        [ -f "$source" ] || continue
        [[ $source != *_tool.c ]] || continue
        ran=$((ran + 1))
        run_unit "$source" || failed=$((failed + 1))

        # a line "arm64:" wants a program to run there too
        if [ "$(uname -m)" != aarch64 ] \
            && sed -n 1,40p "$source" | grep -q '^ \* arm64:'
        then
            packages gcc-aarch64-linux-gnu libc6-dev-arm64-cross qemu-user
            ran=$((ran + 1))
            run_arm64 "$source" || failed=$((failed + 1))
        fi
    done

    [ $ran -gt 0 ] || [ -z "${1:-}" ] || die "no unit test \"$1\" in t/unit"

    echo "unit: $((ran - failed)) passed, $failed failed"
    [ $failed -eq 0 ]
}


# tool NAME: t/unit/NAME_tool.c is run by a test of t/, which asks for it
# here; prints where it is
verb_tool()
{
    local name=${1:-}

    [ -f "$top/t/unit/$name.c" ] || die "no t/unit/$name.c"

    packages gcc libc6-dev >&2

    # shellcheck disable=SC2086
    (lock; program "$top/t/unit/$name.c" "$build/unit/$name" \
               "${CC:-gcc}" $sanitize) >&2 || exit 1

    echo "$build/unit/$name"
}


# run_fuzz SOURCE SECONDS; what fuzzing finds stays in the build directory
run_fuzz()
{
    local source=$1 seconds=$2 name dir binary corpus=() run=()

    name=$(basename "$source" .c)
    dir=$build/fuzz/$name
    binary=$dir/$name
    mkdir -p "$dir/corpus" "$dir/found"

    # shellcheck disable=SC2086
    program "$source" "$binary" clang $sanitize -fsanitize=fuzzer || return 1

    corpus=("$dir/corpus")
    [ -d "$top/t/fuzz/corpus/$name" ] && corpus+=("$top/t/fuzz/corpus/$name")

    # with a seed it is to do the same each time, on any machine
    if [ -n "${FUZZ_SEED:-}" ]; then
        ! setarch -R true 2>/dev/null || run=(setarch -R)
        run+=("$binary" -seed="$FUZZ_SEED" -runs="$FUZZ_RUNS" -reload=0)
    else
        run=("$binary")
    fi

    if ! "$binary" -runs=0 -timeout=10 -artifact_prefix="$dir/found/" \
             "${corpus[@]}" >"$dir/log" 2>&1 \
       || { [ "$seconds" -gt 0 ] \
            && ! "${run[@]}" -max_total_time="$seconds" -timeout=10 \
                     -rss_limit_mb=1024 -artifact_prefix="$dir/found/" \
                     -print_final_stats=1 "${corpus[@]}" >"$dir/log" 2>&1; }
    then
        failure "$dir/log"
        echo "FAILED fuzz $name, see $dir/log and $dir/found"
        return 1
    fi

    echo "ok fuzz $name:" \
        "$(find "${corpus[@]}" -type f | wc -l) inputs in the corpus," \
        "$(sed -n 's/^stat::number_of_executed_units: *//p' "$dir/log" \
           | grep . || echo 0) runs in at most $seconds s"
}


verb_fuzz()
{
    local source name="" seconds=10 failed=0 ran=0 arg pids=()

    for arg in "$@"; do
        case $arg in
        *[!0-9]*) name=$arg ;;
        *)        seconds=$arg ;;
        esac
    done

    packages clang libclang-rt-dev
    mkdir -p "$build/fuzz"

    # two at a time
    for source in "$top"/t/fuzz/${name:-*}.c; do
        [ -f "$source" ] || continue
        ran=$((ran + 1))
        run_fuzz "$source" "$seconds" &
        pids+=($!)

        if [ ${#pids[@]} -eq 2 ]; then
            wait "${pids[0]}" || failed=$((failed + 1))
            pids=("${pids[1]}")
        fi
    done

    for arg in "${pids[@]}"; do
        wait "$arg" || failed=$((failed + 1))
    done

    [ $ran -gt 0 ] || [ -z "$name" ] || die "no fuzzer \"$name\" in t/fuzz"

    echo "fuzz: $((ran - failed)) passed, $failed failed"
    [ $failed -eq 0 ]
}


# bench-json [FILE...]: cJSON against ours, on the documents of the demo, and
# on others
verb_bench-json()
{
    packages gcc libc6-dev libcjson-dev

    (lock; program "$top/bench/json.c" "$build/bench/json" \
               "${CC:-gcc}" -O2 -g) || exit 1

    "$build/bench/json" "$top/conf.example/data" "$@"
}


# lint


lint_passed=0
lint_failed=0


# lint_step NAME COMMAND...: quiet when all is well
lint_step()
{
    local name=$1 log=$build/lint/$1
    shift

    # shellcheck disable=SC2053
    [ -z "$lint_only" ] || [[ $name = $lint_only ]] || return 0

    mkdir -p "$build/lint"

    if "$@" >"$log" 2>&1 </dev/null; then
        lint_passed=$((lint_passed + 1))
        echo "ok $name"
    else
        lint_failed=$((lint_failed + 1))
        head -n 60 "$log"
        echo "FAILED $name, see $log"
    fi
}


perl_syntax()
{
    local file failed=0

    for file in "$top"/t/*.t "$top"/t/*/*.t "$top"/t/*.pl "$top"/t/lib/*.pm \
                "$top"/t/lib/*/*.pm "$top"/bench/*.pl "$top"/bench/lib/*.pm \
                "$top"/bench/lib/*/*.pm
    do
        [ ! -f "$file" ] || perl -I "$top/t/lib" -I "$top/bench/lib" -wc \
            "$file" || failed=1
    done

    return $failed
}


# over_sources TOOL: analyze_TOOL for each source of the modules, with the flags
# of their build; what has not changed since it passed is passed over
over_sources()
{
    local tool=$1 name flags source stamp headers failed=0 pids=() pid
    local stamps=$build/lint/$tool.passed

    mkdir -p "$stamps"

    flags=$(make -s -f "$build/objs/Makefile" -C /usr/share/nginx/src \
            print-flags) || return 1
    headers=$(find "$top/common" "$top"/ngx_http_*_module -name '*.h' \
              -printf '%T@ %p\n' 2>/dev/null \
              | sort -n | tail -n 1 | cut -d ' ' -f 2-)

    for source in $(for name in $modules; do module_srcs "$name"; done); do

        stamp=$stamps/$(basename "$source")

        [ -f "$stamp" ] && [ "$stamp" -nt "$source" ] \
            && [ "$stamp" -nt "$headers" ] \
            && [ "$stamp" -nt "$top/t/lib/verbs.sh" ] && continue

        # shellcheck disable=SC2086
        (cd /usr/share/nginx/src && eval '"analyze_$tool" "$source"' $flags \
             && touch "$stamp") >"$stamp.log" 2>&1 &
        pids+=($!)

        if [ ${#pids[@]} -ge "$jobs" ]; then
            wait "${pids[0]}" || failed=1
            pids=("${pids[@]:1}")
        fi
    done

    for pid in "${pids[@]}"; do
        wait "$pid" || failed=1
    done

    cat "$stamps"/*.log
    rm -f "$stamps"/*.log
    return $failed
}


# what is not initialized clang finds with fewer mistakes
analyze_analyzer()
{
    gcc -fanalyzer -Wno-analyzer-use-of-uninitialized-value \
        -Wall -Wextra -Werror -O1 -S -o /dev/null "$@"
}


analyze_clang()
{
    clang "$@" -Wall -Wextra -Werror -Wno-unused-parameter \
        -Wno-unknown-warning-option -Wno-string-plus-int -fsyntax-only
}


# The checks are named one by one, since each clang-tidy brings new ones; an
# older one passes over those that it does not know.  What is freed is gcc's to
# find, which is not led astray by nginx's queues.
tidy_checks='-*,clang-analyzer-*,
bugprone-argument-comment,
bugprone-assert-side-effect,
bugprone-bad-signal-to-kill-thread,
bugprone-bool-pointer-implicit-conversion,
bugprone-chained-comparison,
bugprone-inc-dec-in-conditions,
bugprone-incorrect-roundings,
bugprone-infinite-loop,
bugprone-integer-division,
bugprone-macro-repeated-side-effects,
bugprone-misplaced-operator-in-strlen-in-alloc,
bugprone-misplaced-pointer-arithmetic-in-alloc,
bugprone-misplaced-widening-cast,
bugprone-multiple-statement-macro,
bugprone-non-zero-enum-to-bool-conversion,
bugprone-posix-return,
bugprone-redundant-branch-condition,
bugprone-signal-handler,
bugprone-signed-char-misuse,
bugprone-sizeof-expression,
bugprone-spuriously-wake-up-functions,
bugprone-string-integer-assignment,
bugprone-string-literal-with-embedded-nul,
bugprone-suspicious-enum-usage,
bugprone-suspicious-include,
bugprone-suspicious-memory-comparison,
bugprone-suspicious-memset-usage,
bugprone-suspicious-missing-comma,
bugprone-suspicious-realloc-usage,
bugprone-suspicious-semicolon,
bugprone-suspicious-string-compare,
bugprone-swapped-arguments,
bugprone-terminating-continue,
bugprone-too-small-loop-variable,
bugprone-undefined-memory-manipulation,
bugprone-unsafe-functions,
bugprone-unused-return-value,
-clang-analyzer-unix.Malloc,
-clang-analyzer-optin.performance.Padding,
-clang-analyzer-security.insecureAPI.DeprecatedOrUnsafeBufferHandling'


analyze_tidy()
{
    local source=$1
    shift

    clang-tidy --quiet --warnings-as-errors='*' \
        --checks="$(tr -d '\n' <<<"$tidy_checks")" \
        --header-filter="$top/.*" "$source" -- "$@" -Wno-unknown-warning-option
}


analyze_cppcheck()
{
    local name sources

    mapfile -t sources < <(for name in $modules; do
                               module_srcs "$name"
                           done)

    # shellcheck disable=SC2046
    cppcheck --quiet --error-exitcode=1 --inline-suppr --std=c99 \
        --enable=warning,performance,portability \
        --suppress=missingInclude --suppress=missingIncludeSystem \
        --suppress=autoVariables --suppress=ctunullpointer \
        --suppress=ctuuninitvar --suppress=uninitvar \
        --suppress=normalCheckLevelMaxBranches \
        -Dngx_inline=inline -DNGX_HTTP_SSL=1 -DNGX_THREADS=1 \
        '-DNGINX_VERSION="1"' '-DNGINX_VER="nginx/1"' '-DCRLF="\r\n"' \
        $(include_flags unit) "${sources[@]}"
}


# lint [NAME | quick]: quick is all but the slowest
verb_lint()
{
    local lint_only=${1:-}

    packages shellcheck perl libcryptx-perl clang cppcheck
    [ "$lint_only" = quick ] || packages clang-tidy

    (lock; modules_stock) || exit 1

    [ "$lint_only" != quick ] || lint_only='*'

    lint_step style perl "$top/t/style.pl"
    lint_step shell shellcheck -x "$top/build.sh" "$top/packaging/test.sh" \
        "$top/.ci/run"
    lint_step perl perl_syntax
    lint_step clang over_sources clang
    lint_step cppcheck analyze_cppcheck
    lint_step analyzer over_sources analyzer
    [ "$lint_only" = '*' ] || lint_step tidy over_sources tidy

    [ $((lint_passed + lint_failed)) -gt 0 ] || die "no lint \"$lint_only\"" \
        "style, shell, perl, clang, cppcheck, analyzer, tidy"

    echo "lint: $lint_passed passed, $lint_failed failed"
    [ $lint_failed -eq 0 ]
}


# an nginx from Debian's source, with sanitizers


asan_flags="-O1 -g -fno-omit-frame-pointer -fsanitize=address,undefined \
-fno-sanitize=alignment,pointer-overflow,nonnull-attribute \
-DNGX_DEBUG_PALLOC=1 -Wno-error"


# the newest source of the installed version that the mirror really has
debian_nginx()
{
    local dir=${ASAN_BASE:-$build/asan} wanted version codename tarball

    [ -f "$dir/src/debian/changelog" ] && return

    codename=$(sed -n 's/^VERSION_CODENAME=//p' /etc/os-release)
    wanted=$("$(nginx_binary)" -v 2>&1)
    wanted=${wanted##*/}
    wanted=${wanted%% *}

    say "fetching Debian's source of nginx $wanted"
    rm -rf "$dir/src" "$dir/src.new" "$dir/fetch"
    mkdir -p "$dir/fetch"

    for version in $(apt_private source deb-src "$codename" \
                     apt-cache showsrc nginx \
                     | sed -n "s/^Version: *\($wanted-.*\)/\1/p" | sort -rVu)
    do
        (
            cd "$dir/fetch" || exit 1
            apt_private source deb-src "$codename" \
                apt-get source --download-only "nginx=$version" \
            && dpkg-source --no-check -x nginx_*.dsc ../src.new \
            && mv ../src.new ../src
        ) >"$dir/fetch.log" 2>&1 && return

        say "the mirror has no complete source of $version"
        mv -f "$dir/fetch/nginx_$wanted".orig.tar.* "$dir" 2>/dev/null
        rm -rf "$dir/fetch"/* "$dir/src.new"
    done

    # without Debian's patches then
    for tarball in "$dir/nginx_$wanted".orig.tar.*; do
        [ -f "$tarball" ] || break

        say "using nginx's own source of $wanted"

        mkdir -p "$dir/src.new/debian" \
            && tar -xf "$tarball" -C "$dir/src.new" --strip-components=1 \
            && touch "$dir/src.new/debian/changelog" \
            && mv "$dir/src.new" "$dir/src" && return
    done

    rm -f "$build/apt/source/updated"
    die "no source of nginx $wanted, see $dir/fetch.log and $build/apt/source"
}


# the options of the installed nginx, without what is loaded dynamically
nginx_options()
{
    "$(nginx_binary)" -V 2>&1 | sed -n 's/^configure arguments: //p' \
        | sed "s/--with-\(cc\|ld\)-opt='[^']*'//g" | tr ' ' '\n' \
        | grep -Ev '=dynamic$|mail|stream|^$'
}


# the nginx alone; sets asan_base and options
asan_nginx()
{
    asan_base=${ASAN_BASE:-$build/asan}

    packages nginx gcc make dpkg-dev libssl-dev libpcre2-dev zlib1g-dev \
        libhiredis-dev libcjson-dev

    [ -n "$(present_modules)" ] || die "no module has sources yet"

    debian_nginx
    mapfile -t options < <(nginx_options)

    configure_tree "$asan_base/src" "$asan_base/nginx" "$asan_flags" \
        "${options[@]}" --with-cc-opt=-fPIC

    make_nginx "$asan_base/src" "$asan_base/nginx"
}


# asan_modules DIR FLAGS
asan_modules()
{
    local dir=$1 flags=$2 asan_base options
    asan_nginx

    configure_tree "$asan_base/src" "$dir/objs" "$flags" \
        "${options[@]}" --with-cc-opt=-fPIC --add-dynamic-module="$top"

    make_modules "$asan_base/src" "$dir/objs" "$dir/modules"

    ASAN_OPTIONS=detect_odr_violation=0:detect_leaks=0 \
        check_loads "$asan_base/nginx/nginx" "$dir/modules"
}


build_asan()
{
    asan_modules "$build/asan" "$asan_flags"
}


verb_asan()
{
    packages perl "${test_packages[@]}"
    (lock; build_asan) || exit 1

    prove_asan "$@"
}


verb_fuzz-conf()
{
    packages perl "${test_packages[@]}"
    (lock; build_asan) || exit 1

    TEST_NGINX_SECONDS=${1:-60} TEST_NGINX_SEED=${2:-$RANDOM$RANDOM} \
    TEST_NGINX_MINIMIZE=60 TEST_NGINX_FOUND=$build/fuzz/random_conf \
        prove_asan t/fuzz/random_conf.t
}


# the modules with allocations that fail
build_alloc()
{
    local header=$top/t/alloc/ngx_alloc_fail.h sum

    sum=$(cksum <"$header" | cut -d ' ' -f 1)

    asan_modules "$build/alloc" \
        "$asan_flags -include $header -DNGX_ALLOC_FAIL=$sum"
}


verb_alloc()
{
    packages perl "${test_packages[@]}"
    (lock; build_alloc) || exit 1

    TEST_NGINX_SECONDS=${1:-60} TEST_NGINX_SEED=${2:-$RANDOM} prove_alloc
}


prove_alloc()
{
    TEST_NGINX_SLOW=3 \
        prove_with "${ASAN_BASE:-$build/asan}/nginx/nginx" \
                   "$build/alloc/modules" t/alloc/alloc.t
}


# the nginx of Debian 13, unpacked beside ours: it runs on Debian 12


compat_release=trixie


build_compat()
{
    local dir=$build/compat src

    packages nginx gcc make dpkg-dev libssl-dev libhiredis-dev libcjson-dev \
        zlib1g-dev

    [ -n "$(present_modules)" ] || die "no module has sources yet"

    if [ ! -f "$dir/root/usr/share/nginx/src/conf_flags" ]; then
        say "fetching nginx and nginx-dev of Debian's $compat_release"
        rm -rf "$dir"
        mkdir -p "$dir/fetch"

        (
            cd "$dir/fetch" || exit 1
            apt_private compat deb $compat_release \
                apt-get download nginx nginx-dev || exit 1
            for package in *.deb; do dpkg -x "$package" root || exit 1; done
            mv root ..
        ) >"$dir/fetch.log" 2>&1 || {
            rm -f "$build/apt/compat/updated"
            die "no nginx of $compat_release," \
                "see $dir/fetch.log and $build/apt/compat/log"
        }
    fi

    src=$dir/root/usr/share/nginx/src

    # shellcheck disable=SC1091
    . "$src/conf_flags"

    configure_tree "$src" "$dir/objs" "" "${NGX_CONF_FLAGS[@]}" \
        --with-cc-opt="-O2 -fPIC" --add-dynamic-module="$top"

    make_modules "$src" "$dir/objs" "$dir/modules"
    check_loads "$dir/root/usr/sbin/nginx" "$dir/modules"
}


# The README's two commands on a Debian that has nothing of ours: a chroot by
# debootstrap, once for each suite, and the committed tree in it.


fresh_root()
{
    local suite=$1 root=$2 mirror

    [ ! -f "$root/complete" ] || return 0

    need_root "debootstrap"
    mirror=$(debian_sources deb "$suite" | sed -n \
             "s/^deb  *\(\[[^]]*\] *\)\{0,1\}\([^ ]*\) $suite .*/\2/p" \
             | head -n 1)
    [ -n "$mirror" ] || die "no mirror of Debian in the system's sources"

    say "debootstrap of $suite into $root"
    as_root rm -rf "$root"
    as_root debootstrap --variant=minbase "$suite" "$root" "$mirror" \
        >"$build/fresh.log" 2>&1 </dev/null || {
        tail -n 10 "$build/fresh.log" >&2
        die "debootstrap failed, see $build/fresh.log"
    }

    as_root cp /etc/resolv.conf /etc/hosts "$root/etc/"
    [ ! -f "$HOME/.npmrc" ] || as_root cp "$HOME/.npmrc" "$root/root/"
    as_root touch "$root/complete"
}


# in_fresh ROOT COMMAND: with what a started system has
in_fresh()
{
    local root=$1
    shift

    as_root unshare --mount --pid --fork --kill-child bash -c "
        mount -t proc proc '$root/proc'
        mount --rbind /dev '$root/dev'
        mount -t tmpfs tmpfs '$root/tmp'
        exec chroot '$root' /usr/bin/env -i HOME=/root LC_ALL=C.UTF-8 \
            PATH=/usr/sbin:/usr/bin:/sbin:/bin CI='${CI:-}' \
            ${NODE_EXTRA_CA_CERTS:+NODE_EXTRA_CA_CERTS=/root/ca.pem} \
            bash -c 'cd /root/gateway && $*'
    " </dev/null
}


verb_fresh()
{
    local suite=${1:-trixie} root
    [ $# -eq 0 ] || shift

    packages debootstrap git
    root=$build/fresh/$suite
    fresh_root "$suite" "$root"

    # where a proxy has a certificate of its own
    [ ! -f "${NODE_EXTRA_CA_CERTS:-}" ] \
        || as_root cp "$NODE_EXTRA_CA_CERTS" "$root/root/ca.pem"

    as_root rm -rf "$root/root/gateway.new"
    as_root git clone -q "$top" "$root/root/gateway.new" \
        || die "no clone of $top"

    # what an earlier run has built is kept
    as_root mkdir -p "$root/root/gateway/build"
    as_root mv "$root/root/gateway/build" "$root/root/gateway.new/build"
    as_root rm -rf "$root/root/gateway"
    as_root mv "$root/root/gateway.new" "$root/root/gateway"

    if [ $# -gt 0 ]; then
        in_fresh "$root" "$*"
        return
    fi

    in_fresh "$root" "./build.sh run && ./build.sh stop" \
        && in_fresh "$root" "./build.sh test"
}


# build_tree TREE FLAGS: an nginx built from a source tree
build_tree()
{
    local flags=$2 tree tree_dir tree_src tree_flags

    use_tree "$1"

    configure_tree "$tree_src" "$tree_dir/nginx${flags:+-asan}" "$flags" \
        "${tree_flags[@]}"
    make_nginx "$tree_src" "$tree_dir/nginx${flags:+-asan}"

    configure_tree "$tree_src" "$tree_dir/objs${flags:+-asan}" "$flags" \
        "${tree_flags[@]}" --add-dynamic-module="$top"
    make_modules "$tree_src" "$tree_dir/objs${flags:+-asan}" \
        "$tree_dir/modules${flags:+-asan}"

    ASAN_OPTIONS=detect_odr_violation=0:detect_leaks=0 \
        check_loads "$tree_dir/nginx${flags:+-asan}/nginx" \
                    "$tree_dir/modules${flags:+-asan}"

    echo "$tree_dir" >"$build/with/last"
}


# compat [--with-nginx=DIR] [FILE...]
verb_compat()
{
    local binary dir flags=""

    packages perl libcryptx-perl "${test_packages[@]}"

    [ "${1:-}" != --asan ] || { flags=$asan_flags; shift; }

    case ${1:-} in

    --with-nginx=?*)
        (lock; build_tree "${1#*=}" "$flags") || exit 1
        shift
        dir=$(cat "$build/with/last")
        binary=$dir/nginx${flags:+-asan}/nginx
        dir=$dir/modules${flags:+-asan}
        ;;

    *)
        [ -z "$flags" ] || die "--asan goes with --with-nginx=DIR"
        (lock; build_compat) || exit 1
        binary=$build/compat/root/usr/sbin/nginx
        dir=$build/compat/modules
        ;;
    esac

    "$binary" -v

    # with what only a newer nginx has
    [ $# -gt 0 ] || set -- "$top"/t/*.t "$top"/t/compat/*.t

    [ -z "$flags" ] || export TEST_NGINX_SLOW=3

    prove_with "$binary" "$dir" "$@"
}


# tests


test_packages=(curl jq openssl nghttp2-client redis-server
    build-essential debhelper fakeroot rpm
    libnginx-mod-http-lua libnginx-mod-http-js libnginx-mod-http-echo
    libnginx-mod-http-xslt-filter libnginx-mod-http-image-filter
    protobuf-compiler libprotobuf-dev chromium chromium-driver)


# the checker of Prometheus' text format, out of a package that would also
# start a server
unpack_promtool()
{
    local dir

    [ ! -x "$build/promtool" ] || return 0

    say "fetching promtool"
    dir=$(mktemp -d) || exit 1

    (
        # a package of its own from Debian 13 on
        cd "$dir" || exit 1
        package=promtool
        apt-cache show promtool >/dev/null 2>&1 || package=prometheus

        apt-get -q -o Acquire::Retries=3 download $package \
            || { apt_update \
                 && apt-get -q -o Acquire::Retries=3 download $package; } \
            || exit 1

        dpkg-deb --fsys-tarfile ${package}_*.deb \
            | tar -x --wildcards '*/usr/bin/promtool' \
            && mv usr/bin/promtool "$build/promtool"
    ) >"$build/promtool.log" 2>&1 </dev/null

    rm -rf "$dir"

    [ -x "$build/promtool" ] || {
        tail -n 5 "$build/promtool.log" >&2
        die "no promtool, see $build/promtool.log" \
            "it is in Debian's package prometheus, from Debian 13 on promtool"
    }
}


npm_ci()
{
    (cd "$1" && npm ci --ignore-scripts --no-audit --no-fund --fetch-retries=5)
}


# what the tests take from npm, by the lock file beside the list
unpack_node_modules()
{
    local dir=$build/node

    cmp -s "$top/t/node/package-lock.json" "$dir/installed" && return 0

    command -v node >/dev/null && command -v npm >/dev/null \
        || packages nodejs npm

    say "fetching the packages of t/node"
    rm -rf "$dir"
    mkdir -p "$dir"
    cp "$top/t/node/package.json" "$top/t/node/package-lock.json" "$dir"

    { npm_ci "$dir" || { sleep 5; npm_ci "$dir"; }; } \
        >"$build/node.log" 2>&1 </dev/null || {
        tail -n 15 "$build/node.log" >&2
        die "npm failed, see $build/node.log"
    }

    cp "$dir/package-lock.json" "$dir/installed"
}


# prove_with BINARY MODULES [FILE...]: a file may be named from anywhere, with
# or without its directory and its end
prove_with()
{
    local binary=$1 dir=$2 name path files=()
    shift 2

    for name in "$@"; do
        for path in "$name" "$top/$name" "$top/t/$name" "$top/t/$name.t"; do
            [ ! -f "$path" ] || { files+=("$path"); continue 2; }
        done

        die "no test $name"
    done

    # the one that compiles begins
    [ ${#files[@]} -gt 0 ] || mapfile -t files < <(
        printf '%s\n' "$top/t/packages.t" "$top"/t/*.t | awk '!seen[$0]++')

    unpack_promtool
    unpack_node_modules

    PROMTOOL=$build/promtool NODE_PATH=$build/node/node_modules \
        TEST_NGINX_BINARY=$binary TEST_NGINX_MODULES=$dir \
        prove --timer -j $((jobs + 1)) -I "$top/t/lib" "${files[@]}" </dev/null
}


# all but those that run no nginx
prove_asan()
{
    if [ $# -eq 0 ]; then
        # shellcheck disable=SC2046
        set -- $(grep -l '^use Harness;' "$top"/t/*.t)
    fi

    TEST_NGINX_SLOW=3 \
        prove_with "${ASAN_BASE:-$build/asan}/nginx/nginx" \
                   "$build/asan/modules" "$@"
}


# once_more COMMAND... runs all of a suite and, in CI, up to two files of it
# that failed once more, alone: on a busy machine a check may come too early or
# too late.  The summary names them.  A sanitizer's report, an alert, a dead
# worker or an unclean stop is a failure at once.
once_more()
{
    local first=$build/log/first status files=()

    "$@" 2>&1 | tee "$first.raw" | sed -u 's/^Failed [0-9]*\/[0-9]* sub/- &/'
    status=${PIPESTATUS[0]}

    if [ "$status" -ne 0 ]; then
        mapfile -t files < <(
            sed -n 's/^\(\/.*\.t\) *(Wstat: .*/\1/p' "$first.raw" | sort -u)

        if [ -n "${CI:-}" ] && [ ${#files[@]} -gt 0 ] \
           && [ ${#files[@]} -le 2 ] \
           && ! grep -qE "Failed test '($endings)'|Sanitizer" "$first.raw" \
           && "$@" "${files[@]}" >"$first.again" 2>&1
        then
            printf 'late: %s passed when run again, alone\n' \
                "${files[@]#"$top/"}"
            return 0
        fi

        grep '^Failed [0-9]*/[0-9]* sub' "$first.raw"
    fi

    return "$status"
}


endings="clean stop|workers lived|no alerts|no sanitizer reports"
endings+="|no death by a signal"
results=()
failures=()
total_passed=0
total_failed=0


# step NAME COMMAND...: its output goes to the terminal and to a log, from
# which the checks are counted
step()
{
    local name=$1 log=$build/log/$1 start=$SECONDS status passed failed
    shift

    say "$name"
    mkdir -p "$build/log"
    "$@" 2>&1 | tee "$log"
    status=$?

    count "$log" $status
    results+=("$(printf '%-8s %6d passed %4d failed %5d s' "$name" \
                 "$passed" "$failed" $((SECONDS - start)))")
    total_passed=$((total_passed + passed))
    total_failed=$((total_failed + failed))

    [ "$failed" -eq 0 ] || failures+=("$log")

    mapfile -O ${#results[@]} -t results < <(grep '^late: ' "$log")
}


# what failed, once more, as the whole log of a run is seldom at hand
show_failures()
{
    [ ${#failures[@]} -gt 0 ] || return 0

    say "what failed"
    grep -hE -A4 -e '# +Failed test|Dubious|Tests were run but no plan' \
         -e '^FAILED|: failed: |^(survived|broken|stale) ' \
         -e 'ERROR: |runtime error' "${failures[@]}" \
        | cut -c 1-300 | head -n 60
}


# sets passed and failed of the caller: from prove's summary, or from a line
# "NAME: N passed, M failed"; whatever failed in silence counts as one
count()
{
    local log=$1 status=$2 line ran=0 broken=0

    passed=0
    failed=0

    while read -r line; do
        case $line in
        Files=*Tests=*)
            ran=${line#*Tests=}
            ran=${ran%%,*}
            ;;
        Failed\ */*\ subtests*)
            line=${line#Failed }
            broken=$((broken + ${line%%/*}))
            ;;
        *:\ *\ passed,\ *\ failed)
            line=${line% failed}
            failed=${line##* }
            line=${line% passed,*}
            passed=${line##* }
            ;;
        *skipped:*|*"skipped subtest"*)
            [ -z "${CI:-}" ] || broken=$((broken + 1))
            ;;
        esac
    done <"$log"

    passed=$((passed + ran - (broken < ran ? broken : ran)))
    failed=$((failed + broken))

    if [ "$status" -ne 0 ] && [ $failed -eq 0 ]; then
        failed=1
    fi
}


verb_soak()
{
    packages perl nginx "${test_packages[@]}"
    (lock; modules_stock) || exit 1

    TEST_SOAK=${1:-60} prove_with "$(nginx_binary)" "$build" t/cache_soak.t
}


# mutants [NAME...]: in a copy of the tree, whose build is kept
verb_mutants()
{
    local tree=$build/mutants/tree name

    packages perl nginx "${test_packages[@]}"
    unpack_promtool

    rm -rf "$tree"
    mkdir -p "$tree" "$build/mutants/build"
    ln -sf "$build/promtool" "$build/mutants/build/promtool"

    for name in build.sh config README.md common t bench doc conf.example \
                $modules
    do
        [ ! -e "$top/$name" ] || cp -a "$top/$name" "$tree/" || exit 1
    done

    # the nginx with sanitizers is not built again for them
    BUILD_DIR=$build/mutants/build CI='' \
        ASAN_BASE=${ASAN_BASE:-$build/asan} \
        perl "$tree/t/mutants/run.pl" "$tree" "$@"
}


verb_test()
{
    local fuzzer line

    packages perl nginx "${test_packages[@]}"

    if [ $# -gt 0 ]; then
        (lock; modules_stock) || exit 1
        prove_with "$(nginx_binary)" "$build" "$@"
        return
    fi

    # a rare find is for the verb "fuzz", which has other seeds
    export FUZZ_SEED=1 FUZZ_RUNS=100000

    packages nginx-dev gcc make dpkg-dev libssl-dev libpcre2-dev zlib1g-dev \
        libhiredis-dev libcjson-dev clang libclang-rt-dev shellcheck cppcheck

    say "modules"
    (lock; modules_stock) || exit 1

    # beside all that waits more than it computes; in a group of its own, so
    # that all of it can be ended
    mkdir -p "$build/log"
    set -m
    (renice -n 19 "$BASHPID" >/dev/null; verb_fuzz 60) \
        >"$build/log/fuzzing" 2>&1 </dev/null &
    fuzzer=$!
    set +m
    # shellcheck disable=SC2064
    trap "kill -- -$fuzzer 2>/dev/null" EXIT

    step lint quick_lint
    step unit verb_unit

    say "an nginx with sanitizers"
    (lock; build_asan) || exit 1

    step stock once_more prove_with "$(nginx_binary)" "$build"
    step asan once_more prove_asan

    say "waiting for the fuzzers"
    wait $fuzzer
    step fuzz finish_fuzz "$build/log/fuzzing" $?
    trap - EXIT

    step conf random_conf
    step alloc run_alloc
    step mutants verb_mutants sample
    step guard verb_bench-guard -q

    show_failures

    say "summary, in $SECONDS s"
    for line in "${results[@]}"; do echo "   $line"; done

    [ $total_failed -eq 0 ] && echo "Result: PASS" || echo "Result: FAIL"
    echo "$total_passed passed, $total_failed failed"
    [ $total_failed -eq 0 ]
}


# the same configurations each time, so that a rare find of another seed does
# not stand in the way of other work
random_conf()
{
    TEST_NGINX_SECONDS=60 prove_asan t/fuzz/random_conf.t
}


# with the seed of the test
run_alloc()
{
    (lock; build_alloc) && prove_alloc
}


finish_fuzz()
{
    cat "$1"
    return "$2"
}


quick_lint()
{
    verb_lint quick
}
