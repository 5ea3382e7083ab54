#!/bin/bash

# The one entry of the project: builds the modules, tests them, runs the
# demo.  Each verb installs by apt what it needs and is not there.

set -u -o pipefail

top=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd -P) || exit 1
build=${BUILD_DIR:-$top/build}
jobs=${JOBS:-$(nproc 2>/dev/null || echo 2)}

modules="ngx_http_aggregate_module ngx_http_breaker_module"


say()
{
    printf '== %s\n' "$*"
}


die()
{
    printf 'build.sh: %s\n' "$1" >&2
    shift
    [ $# -eq 0 ] || printf '  %s\n' "$@" >&2
    exit 1
}


usage()
{
    cat <<END
usage: ./build.sh VERB [ARGUMENTS]

  modules [--with-nginx=DIR]   build the modules for the installed nginx, or
                               for the source tree in DIR
  test [FILE...]               everything below; with FILEs those tests only
  unit [NAME]                  C unit tests, with ASan and UBSan
  fuzz [NAME] [SECONDS]        replay the corpus, then fuzz for SECONDS (10)
  help                         this text

environment: BUILD_DIR (build/), JOBS ($jobs),
             CC, NGINX (the nginx to build for: its binary)
END
}


# packages


as_root()
{
    if [ "$(id -u)" -eq 0 ]; then
        "$@"

    elif command -v sudo >/dev/null; then
        sudo "$@"

    else
        die "root is needed for: $*" "become root, or install sudo"
    fi
}


packages()
{
    local p missing=()

    if ! command -v dpkg-query >/dev/null; then
        say "no dpkg here: assuming that these are installed: $*"
        return
    fi

    for p in "$@"; do
        [ "$(dpkg-query -W -f '${db:Status-Status}' "$p" 2>/dev/null)" \
            = installed ] || missing+=("$p")
    done

    [ ${#missing[@]} -eq 0 ] && return

    say "installing by apt-get: ${missing[*]}"
    mkdir -p "$build"

    if ! { as_root apt-get -q -o DPkg::Lock::Timeout=300 update \
           && as_root env DEBIAN_FRONTEND=noninteractive apt-get -q -y \
                  -o DPkg::Lock::Timeout=300 --no-install-recommends \
                  install "${missing[@]}"; } >"$build/apt.log" 2>&1 </dev/null
    then
        tail -n 15 "$build/apt.log" >&2
        die "apt-get failed, see $build/apt.log" \
            "install these by hand and run again: ${missing[*]}"
    fi
}


# one build at a time in one build directory
lock()
{
    exec 9>"$build/lock"
    flock 9
}


# modules


# the sources, in the order of the modules' lists; nothing for an empty one
module_srcs()
{
    local name=$1

    [ -f "$top/$name/config" ] || return

    (
        # shellcheck disable=SC2034
        ngx_addon_dir=$top/$name ngx_module_link=DYNAMIC ngx_module_srcs=

        cd "$build/stub" || exit 1
        # shellcheck disable=SC1090
        . "$top/$name/config" >/dev/null
        # shellcheck disable=SC2086
        printf '%s\n' $ngx_module_srcs
    ) | grep . || true
}


present_modules()
{
    local name

    mkdir -p "$build/stub/auto"
    : >"$build/stub/auto/module"

    for name in $modules; do
        [ -z "$(module_srcs "$name")" ] || echo "$name"
    done
}


nginx_binary()
{
    local binary=${NGINX:-}

    [ -n "$binary" ] || binary=$(PATH=$PATH:/usr/sbin:/sbin command -v nginx) \
        || return 1

    echo "$binary"
}


# make the Makefile of a configured tree treat our sources our way: the
# compiler writes the dependencies, and no warning is let through
tune_makefile()
{
    local objs=$1

    # shellcheck disable=SC2016
    sed -i 's|^ADDON_DEPS = .*|ADDON_DEPS = $(CORE_DEPS)|' "$objs/Makefile" \
        || return 1

    cat >>"$objs/Makefile" <<END

$objs/addon/%.o: CFLAGS += -Wall -Wextra -Werror -MMD -MP

-include \$(wildcard $objs/addon/*/*.d)
END
}


# configure_tree SRC OBJS FLAG...: only when something of it has changed
configure_tree()
{
    local src=$1 objs=$2 key
    shift 2

    key=$({ echo "$src" "$@"
            cat "$top/config" "$top"/ngx_http_*/config
            cat "$src/auto/modules"
            find -L "$src/src" -name '*.h' | sort | xargs cat
            declare -f tune_makefile
            for name in $modules; do module_srcs "$name"; done
          } 2>/dev/null | cksum)

    if [ -f "$objs/Makefile" ] && [ "$(cat "$objs/key" 2>/dev/null)" = "$key" ]
    then
        return
    fi

    say "configuring nginx's build system, half a minute; log: $objs.log"
    mkdir -p "$objs"
    rm -f "$objs/key"

    if ! (
        cd "$src" || exit 1
        configure=./configure
        [ -f configure ] || configure=auto/configure
        bash $configure "$@" --builddir="$objs" --add-dynamic-module="$top" \
            && tune_makefile "$objs"
    ) >"$objs.log" 2>&1 </dev/null
    then
        tail -n 15 "$objs.log" >&2
        die "configure failed, see $objs.log"
    fi

    echo "$key" >"$objs/key"
}


# make_modules SRC OBJS OUT
make_modules()
{
    local src=$1 objs=$2 out=$3 name

    make -s -j "$jobs" -f "$objs/Makefile" -C "$src" modules \
        >"$objs.make.log" 2>&1 || {
        grep -vE '^make|note:' "$objs.make.log" | head -n 60 >&2
        die "the modules do not compile, see $objs.make.log"
    }

    mkdir -p "$out"

    for name in $modules; do
        [ -f "$objs/$name.so" ] || { rm -f "$out/$name.so"; continue; }
        cmp -s "$objs/$name.so" "$out/$name.so" && continue

        # by rename: a running nginx has the old file mapped
        cp "$objs/$name.so" "$out/$name.so.new" \
            && mv "$out/$name.so.new" "$out/$name.so" || exit 1
    done
}


# check_loads BINARY OUT: both orders, in a configuration that does nothing
check_loads()
{
    local binary=$1 out=$2 dir order names errors path

    names=$(cd "$out" && ls ngx_http_*_module.so 2>/dev/null)
    [ -n "$names" ] || return 0

    dir=$(mktemp -d) || exit 1

    for order in "$names" "$(tac <<<"$names")"; do
        {
            for path in $order; do echo "load_module $out/$path;"; done
            echo "pid $dir/pid; error_log stderr; events { } http {"
            echo "access_log off;"
            for path in client_body proxy fastcgi uwsgi scgi; do
                echo "${path}_temp_path $dir/$path;"
            done
            echo "}"
        } >"$dir/conf"

        if ! errors=$("$binary" -t -q -p "$dir" -c "$dir/conf" 2>&1); then
            rm -rf "$dir"
            explain_load "$binary" "$errors"
        fi
    done

    rm -rf "$dir"
}


explain_load()
{
    local binary=$1 errors=$2 hint

    case $errors in

    *"is not binary compatible"*)
        hint="this nginx was built with other options than its headers say."
        hint="$hint Build against the headers of the package that gave the"
        hint="$hint binary (apt-get install nginx nginx-dev), or against its"
        hint="$hint source tree: ./build.sh modules --with-nginx=DIR"
        ;;

    *" version "*" instead of "*)
        hint="the binary and the headers are of different versions. Bring"
        hint="$hint them together (apt-get install nginx nginx-dev), or build"
        hint="$hint against the binary's source: --with-nginx=DIR"
        ;;

    *"undefined symbol"*)
        hint="the module wants a function that this nginx does not have: an"
        hint="$hint nginx built without SSL, or with fewer modules, or a"
        hint="$hint source file missing from a module's config"
        ;;

    *)
        hint="the message above is nginx's own"
        ;;
    esac

    printf '%s\n' "$errors" >&2
    die "the modules do not load in $binary" "$(fold -s -w 70 <<<"$hint" \
        | sed '2,$s/^/  /')"
}


# the installed nginx, by the headers and build system of nginx-dev
modules_stock()
{
    local binary version src=/usr/share/nginx/src objs=$build/objs

    packages nginx nginx-dev gcc make libssl-dev libhiredis-dev

    [ -n "$(present_modules)" ] || die "no module has sources yet"

    [ -f "$src/conf_flags" ] || die "no $src/conf_flags" \
        "nginx-dev of Debian 12 or later has it; elsewhere build against" \
        "the source tree of your nginx: ./build.sh modules --with-nginx=DIR"

    binary=$(nginx_binary) || die "no nginx found in PATH"

    version=$("$binary" -v 2>&1)
    grep -qF "\"${version##*/}\"" "$src/src/core/nginx.h" \
        || die "$binary is ${version##*/}, but nginx-dev is of another version" \
               "apt-get install nginx nginx-dev brings both to one version;" \
               "for an nginx of another origin: --with-nginx=DIR"

    # shellcheck disable=SC1091
    . "$src/conf_flags"

    configure_tree "$src" "$objs" "${NGX_CONF_FLAGS[@]}" \
        --with-cc-opt="$(dpkg-buildflags --get CFLAGS) -fPIC \
$(dpkg-buildflags --get CPPFLAGS)" \
        --with-ld-opt="$(dpkg-buildflags --get LDFLAGS) -fPIC"

    make_modules "$src" "$objs" "$build"
    check_loads "$binary" "$build"
}


# a source tree: in a copy of links, so that nothing is written into it; with
# the flags of its own build where there is one
modules_tree()
{
    local tree name src objs flags

    tree=$(cd "$1" 2>/dev/null && pwd -P) || die "no directory $1"
    [ -f "$tree/src/core/nginx.h" ] || die "no nginx source in $tree"

    packages gcc make libssl-dev libpcre2-dev zlib1g-dev libhiredis-dev

    [ -n "$(present_modules)" ] || die "no module has sources yet"

    name=$(basename "$tree")-$(cksum <<<"$tree" | cut -d ' ' -f 1)
    src=$build/with/$name/src
    objs=$build/with/$name/objs

    rm -rf "$src"
    mkdir -p "$src" && cp -rs "$tree"/* "$src" || exit 1
    rm -rf "$src/objs" "$src/Makefile"

    flags=$(sed -n 's/^#define NGX_CONFIGURE "\(.*\)"$/\1/p' \
            "$tree/objs/ngx_auto_config.h" 2>/dev/null)

    [ -n "$flags" ] || flags="--with-compat --with-threads \
--with-http_ssl_module --with-http_v2_module --with-http_stub_status_module"

    say "with ${flags# }"
    eval "set -- $flags"

    configure_tree "$src" "$objs" "$@"
    make_modules "$src" "$objs" "$build/with/$name"

    if [ -x "$tree/objs/nginx" ]; then
        check_loads "$tree/objs/nginx" "$build/with/$name"
    else
        say "no binary in $tree/objs to load them in"
    fi

    ls "$build/with/$name"/*.so
}


verb_modules()
{
    lock
    case ${1:-} in

    "")
        modules_stock
        ls "$build"/ngx_http_*_module.so
        ;;

    --with-nginx=?*)
        modules_tree "${1#*=}"
        ;;

    *)
        die "unknown argument \"$1\"" "modules [--with-nginx=DIR]"
        ;;
    esac
}


# unit tests and fuzzers


include_flags()
{
    local dir

    for dir in "$top"/ngx_http_*_module/*/ "$top/t/$1"; do
        [ -d "$dir" ] && printf -- '-I%s\n' "${dir%/}"
    done
}


# the files named by the line "sources:" of a program
program_srcs()
{
    local name path found

    sed -n '1,15s/^[ *\/]*sources: *//p' "$1" | tr ' ' '\n' | grep . \
    | while read -r name; do

        found=
        for path in "$top"/ngx_http_*_module; do
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
    libs=$(sed -n '1,15s/^[ *\/]*libs: *//p' "$source")
    flags=$(include_flags "$(basename "$(dirname "$source")")")

    # shellcheck disable=SC2086
    if [ -x "$binary" ] && [ -z "$(find "$source" $srcs "$top/build.sh" \
         "$top"/ngx_http_*_module "$(dirname "$source")" \
         \( -name '*.c' -o -name '*.h' -o -name build.sh \) \
         -newer "$binary" -print -quit)" ]
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
    grep -aE -A 15 'ERROR: |runtime error: ' "$1" | head -n 40 | grep . \
        || tail -n 30 "$1"
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


verb_unit()
{
    local source failed=0 ran=0

    packages gcc libc6-dev
    mkdir -p "$build/unit"

    for source in "$top"/t/unit/${1:-*}.c; do
        [ -f "$source" ] || continue
        ran=$((ran + 1))
        run_unit "$source" || failed=$((failed + 1))
    done

    [ $ran -gt 0 ] || [ -z "${1:-}" ] || die "no unit test \"$1\" in t/unit"

    echo "unit: $((ran - failed)) passed, $failed failed"
    [ $failed -eq 0 ]
}


# run_fuzz SOURCE SECONDS; what fuzzing finds stays in the build directory
run_fuzz()
{
    local source=$1 seconds=$2 name dir binary corpus=()

    name=$(basename "$source" .c)
    dir=$build/fuzz/$name
    binary=$dir/$name
    mkdir -p "$dir/corpus" "$dir/found"

    # shellcheck disable=SC2086
    program "$source" "$binary" clang $sanitize -fsanitize=fuzzer || return 1

    corpus=("$dir/corpus")
    [ -d "$top/t/fuzz/corpus/$name" ] && corpus+=("$top/t/fuzz/corpus/$name")

    if ! "$binary" -runs=0 -timeout=10 -artifact_prefix="$dir/found/" \
             "${corpus[@]}" >"$dir/log" 2>&1 \
       || { [ "$seconds" -gt 0 ] \
            && ! "$binary" -max_total_time="$seconds" -timeout=10 \
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
           | grep . || echo 0) runs in $seconds s"
}


verb_fuzz()
{
    local source name="" seconds=10 failed=0 ran=0 arg

    for arg in "$@"; do
        case $arg in
        *[!0-9]*) name=$arg ;;
        *)        seconds=$arg ;;
        esac
    done

    packages clang libclang-rt-14-dev

    for source in "$top"/t/fuzz/${name:-*}.c; do
        [ -f "$source" ] || continue
        ran=$((ran + 1))
        run_fuzz "$source" "$seconds" || failed=$((failed + 1))
    done

    [ $ran -gt 0 ] || [ -z "$name" ] || die "no fuzzer \"$name\" in t/fuzz"

    echo "fuzz: $((ran - failed)) passed, $failed failed"
    [ $failed -eq 0 ]
}


# tests


# prove_with BINARY MODULES FILE...
prove_with()
{
    local binary=$1 dir=$2
    shift 2

    TEST_NGINX_BINARY=$binary TEST_NGINX_MODULES=$dir \
        prove -j "$jobs" -I "$top/t/lib" "$@" </dev/null
}


verb_test()
{
    packages perl nginx
    [ -z "$(present_modules)" ] || (lock; modules_stock) || exit 1

    [ $# -gt 0 ] || set -- "$top"/t/*.t
    prove_with "$(nginx_binary)" "$build" "$@"
}


verb=${1:-help}
[ $# -eq 0 ] || shift

case $verb in

modules|test|unit|fuzz)
    case $top$build in
    *[[:space:]]*)
        die "nginx's build system takes no blanks in paths: $top"
        ;;
    esac

    mkdir -p "$build" || exit 1
    "verb_$verb" "$@"
    ;;

help|-h|--help)
    usage
    ;;

*)
    usage >&2
    die "unknown verb \"$verb\""
    ;;
esac
