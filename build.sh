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

  run [PORT]                   build, and start the gateway of conf.example/
                               on 127.0.0.1:PORT (8080)
  stop                         stop it
  test [FILE...]               everything that follows; or the given files of
                               t/ on the installed nginx

  modules [--with-nginx=DIR]   build the modules for the installed nginx, or
                               for the source tree in DIR
  lint [NAME]                  gcc, clang, the analyzers, the style checker
  unit [NAME]                  unit tests in C, with ASan and UBSan
  fuzz [NAME] [SECONDS]        replay the corpus, then fuzz for SECONDS (10)
  asan [FILE...]               t/ on an nginx built from Debian's source with
                               ASan, UBSan and NGX_DEBUG_PALLOC
  compat [FILE...]             t/ on the nginx of Debian 13

  install                      put the modules into the installed nginx
  bench-json                   our JSON code and cJSON, one after the other
  help                         this text

environment: BUILD_DIR ($build)
             JOBS ($jobs), CC, NGINX (the nginx to build for)
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


# the system's Debian archives as lines of a sources list: debian_sources
# TYPE CODENAME, with the codename of the system replaced
debian_sources()
{
    local type=$1 codename=$2 own

    own=$(sed -n 's/^VERSION_CODENAME=//p' /etc/os-release)

    {
        cat /etc/apt/sources.list.d/*.sources 2>/dev/null | awk -v RS= '
        {
            uris = suites = components = key = ""
            on = 1
            n = split($0, lines, "\n")
            for (i = 1; i <= n; i++) {
                p = index(lines[i], ":")
                name = tolower(substr(lines[i], 1, p - 1))
                value = substr(lines[i], p + 1)
                if (name == "uris") uris = value
                if (name == "suites") suites = value
                if (name == "components") components = value
                if (name == "signed-by" && value ~ /^ *\//) key = value
                if (name == "enabled" && value ~ /no/) on = 0
            }
            sub(/^ */, "", key)
            nu = split(uris, u, " ")
            ns = split(suites, s, " ")
            for (i = 1; on && i <= nu; i++)
                for (j = 1; j <= ns; j++)
                    print (key ? "[signed-by=" key "] " : "") \
                          u[i], s[j], components
        }'

        sed -n 's/^deb  *//p' /etc/apt/sources.list \
            /etc/apt/sources.list.d/*.list 2>/dev/null

    } | grep -E " $own(-updates|-security|/updates)? " | sort -u \
      | sed "s/^/$type /; s/ $own\([-/ ]\)/ $codename\1/"
}


# apt_private NAME TYPE CODENAME TOOL ARGUMENT...: with lists of our own; the
# system's are not touched
apt_private()
{
    local dir=$build/apt/$1 type=$2 codename=$3 tool=$4
    shift 4

    if [ ! -f "$dir/updated" ]; then
        mkdir -p "$dir/lists/partial" "$dir/cache/archives/partial"
        debian_sources "$type" "$codename" >"$dir/sources.list"
        [ -s "$dir/sources.list" ] || return 1
        touch "$dir/updated"
        apt_private "${dir##*/}" "$type" "$codename" apt-get update \
            >"$dir/log" 2>&1 || { rm -f "$dir/updated"; return 1; }
    fi

    "$tool" -q -o Dir::Etc::sourcelist="$dir/sources.list" \
        -o Dir::Etc::sourceparts=- -o Dir::State::lists="$dir/lists" \
        -o Dir::Cache="$dir/cache" -o APT::Sandbox::User=root "$@"
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
# compiler writes the dependencies, no warning is let through; with further
# flags for everything, which the tests of configure need not know
tune_makefile()
{
    local objs=$1 flags=$2

    # shellcheck disable=SC2016
    sed -i 's|^ADDON_DEPS = .*|ADDON_DEPS = $(CORE_DEPS)|' "$objs/Makefile" \
        || return 1

    cat >>"$objs/Makefile" <<END

CFLAGS += $flags
LINK += $flags

$objs/addon/%.o: CFLAGS += -Wall -Wextra -Werror -MMD -MP

-include \$(wildcard $objs/addon/*/*.d)

print-flags: ; @echo \$(CFLAGS) \$(ALL_INCS)
END
}


# make's view of time: a generated file with the old text keeps its old date
keep_dates()
{
    local objs=$1 old=$2 file

    for file in "$old"/*; do
        cmp -s "$file" "$objs/${file##*/}" \
            && touch -r "$file" "$objs/${file##*/}"
    done

    rm -rf "$old"
}


# configure_tree SRC OBJS FLAGS CONFIGURE-FLAG...: only when something of it
# has changed; FLAGS are added to the compiler's and the linker's
configure_tree()
{
    local src=$1 objs=$2 flags=$3 key
    shift 3

    key=$({ echo "$src" "$flags" "$@"
            cat "$top/config" "$top"/ngx_http_*/config "$src/auto/modules"
            find -L "$src/src" -name '*.h' | sort | xargs cat
            declare -f tune_makefile
            for name in $modules; do module_srcs "$name"; done
          } 2>/dev/null | cksum)

    if [ -f "$objs/Makefile" ] && [ "$(cat "$objs/key" 2>/dev/null)" = "$key" ]
    then
        return
    fi

    say "configuring nginx's build system, half a minute; log: $objs.log"
    mkdir -p "$objs" "$objs.old"
    cp -p "$objs"/*.h "$objs"/*.c "$objs.old" 2>/dev/null
    rm -f "$objs/key"

    if ! (
        cd "$src" || exit 1
        configure=./configure
        [ -f configure ] || configure=auto/configure
        bash $configure --builddir="$objs" "$@" \
            && tune_makefile "$objs" "$flags"
    ) >"$objs.log" 2>&1 </dev/null
    then
        tail -n 15 "$objs.log" >&2
        die "configure failed, see $objs.log"
    fi

    keep_dates "$objs" "$objs.old"
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
        || die "$binary is ${version##*/}, and nginx-dev another version" \
               "apt-get install nginx nginx-dev makes them the same;" \
               "for an nginx of another origin: --with-nginx=DIR"

    # shellcheck disable=SC1091
    . "$src/conf_flags"

    configure_tree "$src" "$objs" "" "${NGX_CONF_FLAGS[@]}" \
        --with-cc-opt="$(dpkg-buildflags --get CFLAGS) -fPIC \
$(dpkg-buildflags --get CPPFLAGS)" \
        --with-ld-opt="$(dpkg-buildflags --get LDFLAGS) -fPIC" \
        --add-dynamic-module="$top"

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

    configure_tree "$src" "$objs" "" "$@" --add-dynamic-module="$top"
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

    for dir in "$top"/ngx_http_*_module/ "$top"/ngx_http_*_module/*/ \
               "$top/t/$1"
    do
        [ -d "$dir" ] && printf -- '-I%s\n' "${dir%/}"
    done
}


# the files named by the line "sources:" of a program
program_srcs()
{
    local name path found

    # shellcheck disable=SC2013
    for name in $(sed -n '1,15s/^[ *\/]*sources: *//p' "$1"); do

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
        [[ $source != *_tool.c ]] || continue
        ran=$((ran + 1))
        run_unit "$source" || failed=$((failed + 1))
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
    local source name="" seconds=10 failed=0 ran=0 arg pids=()

    for arg in "$@"; do
        case $arg in
        *[!0-9]*) name=$arg ;;
        *)        seconds=$arg ;;
        esac
    done

    packages clang libclang-rt-14-dev
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


# cJSON against ours, on the documents of the demo
verb_bench-json()
{
    packages gcc libc6-dev libcjson-dev

    (lock; program "$top/bench/json.c" "$build/bench/json" \
               "${CC:-gcc}" -O2 -g) || exit 1

    "$build/bench/json" "$top/conf.example/data"
}


# the demo


run_dir=$build/run


# the pid of the gateway that runs from this tree
running_gateway()
{
    local pid

    pid=$(cat "$run_dir/nginx.pid" 2>/dev/null) || return 1
    grep -qaF "$run_dir/nginx.conf" "/proc/$pid/cmdline" 2>/dev/null || return 1
    echo "$pid"
}


verb_stop()
{
    local pid i

    if ! pid=$(running_gateway); then
        say "no gateway runs from $run_dir"
        return
    fi

    kill -QUIT "$pid"

    for ((i = 0; i < 100; i++)); do
        [ -d "/proc/$pid" ] || { say "stopped"; return; }
        [ "$i" -ne 50 ] || kill -TERM "$pid"
        sleep 0.1
    done

    die "process $pid does not end"
}


# who the workers run as, when we are root: somebody who may read the demo's
# files, and preferably nobody in particular
run_user()
{
    local user file=$top/conf.example/data/users/42.json

    [ "$(id -u)" -eq 0 ] || return 0

    for user in www-data nobody "$(stat -c %U "$top")"; do
        id "$user" >/dev/null 2>&1 || continue
        if [ "$user" = root ] || runuser -u "$user" -- test -r "$file"; then
            echo "user $user;"
            return
        fi
    done
}


# the example as it stands, with the paths made whole; another port moves
# the backends too, to the ports that follow it
run_conf()
{
    local port=$1 sed=(-e "s|build/|$build/|g")

    [ "$port" -eq 8080 ] || sed+=(
        -e "s/127\.0\.0\.1:8080\b/127.0.0.1:$port/g"
        -e "s/127\.0\.0\.1:1808\([0-9]\)\b/127.0.0.1:$((port / 10))\1/g"
    )

    sed "${sed[@]}" "$top/conf.example/nginx.conf"
}


verb_run()
{
    local port=${1:-8080} binary

    case $port in
    *[!0-9]*|"") die "the port is a number" ;;
    esac

    (lock; modules_stock) || exit 1
    running_gateway >/dev/null && verb_stop

    mkdir -p "$run_dir"
    run_conf "$port" >"$run_dir/nginx.conf"
    binary=$(nginx_binary)

    "$binary" -p "$top/" -c "$run_dir/nginx.conf" -e "$run_dir/error.log" \
        -g "$(run_user)" </dev/null || die "nginx did not start" \
        "if a port is taken: ./build.sh run PORT"

    say "the gateway runs on 127.0.0.1:$port, error log $run_dir/error.log"
    say "try:"
    sed -n "s/^ *# *\(curl .*\)/   \1/p" "$run_dir/nginx.conf"
    say "./build.sh stop ends it"
}


# the installed nginx


verb_install()
{
    local binary path name short available enabled made=()

    (lock; modules_stock) || exit 1

    binary=$(nginx_binary)
    path=$("$binary" -V 2>&1 | sed -n 's/.*--modules-path=\([^ ]*\).*/\1/p')
    [ -n "$path" ] || die "$binary does not say where its modules are"

    available=/usr/share/nginx/modules-available
    enabled=/etc/nginx/modules-enabled

    for name in $(present_modules); do

        # by rename: a running nginx has the old file mapped
        as_root install -D -m 644 "$build/$name.so" "$path/$name.so.new" \
            && as_root mv "$path/$name.so.new" "$path/$name.so" || exit 1
        say "$path/$name.so"

        [ -d $enabled ] || continue

        short=${name#ngx_}
        short=mod-${short%_module}
        short=${short//_/-}.conf

        echo "load_module modules/$name.so;" \
            | as_root tee "$available/$short" >/dev/null || exit 1

        if [ ! -e "$enabled/50-$short" ]; then
            as_root ln -s "$available/$short" "$enabled/50-$short" || exit 1
            made+=("$enabled/50-$short")
        fi

        say "$enabled/50-$short"
    done

    [ -d $enabled ] || say "add to the top of nginx.conf:" \
        "load_module modules/NAME.so;"

    if ! as_root "$binary" -t -q; then
        [ ${#made[@]} -eq 0 ] || as_root rm -f "${made[@]}"
        die "nginx refuses its configuration now: nothing was enabled anew"
    fi

    say "a running nginx needs a restart, not a reload:" \
        "systemctl restart nginx"
}


# lint


lint_passed=0
lint_failed=0


# lint_step NAME COMMAND...: quiet when all is well
lint_step()
{
    local name=$1 log=$build/lint/$1
    shift

    [ -z "$lint_only" ] || [ "$lint_only" = "$name" ] || return 0

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

    for file in "$top"/t/*.t "$top"/t/*.pl "$top"/t/lib/*.pm \
                "$top"/t/lib/*/*.pm
    do
        [ ! -f "$file" ] || perl -I "$top/t/lib" -wc "$file" || failed=1
    done

    return $failed
}


# over_sources COMMAND...: the command with the flags of the modules' build
# and one source, for each of them
over_sources()
{
    local name flags source failed=0

    flags=$(make -s -f "$build/objs/Makefile" -C /usr/share/nginx/src \
            print-flags) || return 1

    for name in $modules; do
        for source in $(module_srcs "$name"); do
            # shellcheck disable=SC2086
            (cd /usr/share/nginx/src && eval '"$@" "$source"' $flags) \
                || failed=1
        done
    done

    return $failed
}


analyze_gcc()
{
    gcc -fanalyzer -Wall -Wextra -Werror -O1 -S -o /dev/null "$@"
}


analyze_clang()
{
    clang -Wall -Wextra -Werror -Wno-unknown-warning-option -fsyntax-only "$@"
}


tidy_checks='-*,clang-analyzer-*,bugprone-*,
-bugprone-easily-swappable-parameters,
-bugprone-reserved-identifier,
-bugprone-branch-clone,
-bugprone-assignment-in-if-condition,
-bugprone-narrowing-conversions,
-bugprone-not-null-terminated-result,
-bugprone-macro-parentheses,
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
        -Dngx_inline=inline -DNGX_HTTP_SSL=1 -DNGX_THREADS=1 \
        $(include_flags unit) "${sources[@]}"
}


# lint [NAME | quick]
verb_lint()
{
    local lint_only=${1:-}

    if [ "$lint_only" = quick ]; then
        lint_only=

        packages shellcheck perl
        lint_step style perl "$top/t/style.pl"
        lint_step shell shellcheck "$top/build.sh" "$top/.ci/run"
        lint_step perl perl_syntax

    else
        packages shellcheck perl clang clang-tidy cppcheck
        (lock; modules_stock) || exit 1

        lint_step style perl "$top/t/style.pl"
        lint_step shell shellcheck "$top/build.sh" "$top/.ci/run"
        lint_step perl perl_syntax
        lint_step clang over_sources analyze_clang
        lint_step cppcheck analyze_cppcheck
        lint_step analyzer over_sources analyze_gcc
        lint_step tidy over_sources analyze_tidy
    fi

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
    local dir=$build/asan wanted version codename

    [ -f "$dir/src/debian/changelog" ] && return

    codename=$(sed -n 's/^VERSION_CODENAME=//p' /etc/os-release)
    wanted=$("$(nginx_binary)" -v 2>&1)
    wanted=${wanted##*/}

    say "fetching Debian's source of nginx $wanted"
    rm -rf "$dir/src" "$dir/fetch"
    mkdir -p "$dir/fetch"

    for version in $(apt_private source deb-src "$codename" \
                     apt-cache showsrc nginx \
                     | sed -n "s/^Version: *\($wanted-.*\)/\1/p" | sort -rVu)
    do
        (
            cd "$dir/fetch" || exit 1
            apt_private source deb-src "$codename" \
                apt-get source --download-only "nginx=$version" \
            && dpkg-source --no-check -x nginx_*.dsc ../src
        ) >"$dir/fetch.log" 2>&1 && return

        say "the mirror has no complete source of $version"
        rm -rf "$dir/fetch"/* "$dir/src"
    done

    die "no source of nginx $wanted, see $dir/fetch.log and $build/apt/source"
}


# the options of the installed nginx, without what is loaded dynamically
nginx_options()
{
    "$(nginx_binary)" -V 2>&1 | sed -n 's/^configure arguments: //p' \
        | sed "s/--with-\(cc\|ld\)-opt='[^']*'//g" | tr ' ' '\n' \
        | grep -Ev '=dynamic$|mail|stream|^$'
}


build_asan()
{
    local dir=$build/asan options

    packages nginx gcc make dpkg-dev libssl-dev libpcre2-dev zlib1g-dev \
        libhiredis-dev

    [ -n "$(present_modules)" ] || die "no module has sources yet"

    debian_nginx
    mapfile -t options < <(nginx_options)

    configure_tree "$dir/src" "$dir/nginx" "$asan_flags" \
        "${options[@]}" --with-cc-opt=-fPIC

    if ! make -s -q -f "$dir/nginx/Makefile" -C "$dir/src" "$dir/nginx/nginx" \
         >/dev/null 2>&1
    then
        say "building nginx with sanitizers, some minutes," \
            "once; log: $dir/make.log"
        make -s -j "$jobs" -f "$dir/nginx/Makefile" -C "$dir/src" \
            "$dir/nginx/nginx" >"$dir/make.log" 2>&1 \
            || die "nginx does not build, see $dir/make.log"
    fi

    configure_tree "$dir/src" "$dir/objs" "$asan_flags" \
        "${options[@]}" --with-cc-opt=-fPIC --add-dynamic-module="$top"

    make_modules "$dir/src" "$dir/objs" "$dir/modules"

    ASAN_OPTIONS=detect_odr_violation=0:detect_leaks=0 \
        check_loads "$dir/nginx/nginx" "$dir/modules"
}


verb_asan()
{
    packages perl "${test_packages[@]}"
    (lock; build_asan) || exit 1

    [ $# -gt 0 ] || set -- "$top"/t/*.t
    prove_asan "$@"
}


# the nginx of Debian 13, unpacked beside ours: it runs on Debian 12


compat_release=trixie


build_compat()
{
    local dir=$build/compat src

    packages nginx gcc make dpkg-dev libssl-dev libhiredis-dev

    [ -n "$(present_modules)" ] || die "no module has sources yet"

    if [ ! -f "$dir/root/usr/share/nginx/src/conf_flags" ]; then
        say "fetching nginx and nginx-dev of Debian's $compat_release"
        rm -rf "$dir"
        mkdir -p "$dir/fetch"

        (
            cd "$dir/fetch" || exit 1
            apt_private compat deb $compat_release \
                apt-get download nginx nginx-dev || exit 1
            for package in *.deb; do dpkg -x "$package" ../root; done
        ) >"$dir/fetch.log" 2>&1 || die "no nginx of $compat_release," \
            "see $dir/fetch.log and $build/apt/compat/log"
    fi

    src=$dir/root/usr/share/nginx/src

    # shellcheck disable=SC1091
    . "$src/conf_flags"

    configure_tree "$src" "$dir/objs" "" "${NGX_CONF_FLAGS[@]}" \
        --with-cc-opt="-O2 -fPIC" --add-dynamic-module="$top"

    make_modules "$src" "$dir/objs" "$dir/modules"
    check_loads "$dir/root/usr/sbin/nginx" "$dir/modules"
}


verb_compat()
{
    packages perl "${test_packages[@]}"
    (lock; build_compat) || exit 1

    "$build/compat/root/usr/sbin/nginx" -v

    [ $# -gt 0 ] || set -- "$top"/t/*.t
    prove_with "$build/compat/root/usr/sbin/nginx" "$build/compat/modules" "$@"
}


# tests


test_packages=(curl jq openssl nghttp2-client redis-server)


# prove_with BINARY MODULES FILE...
prove_with()
{
    local binary=$1 dir=$2
    shift 2

    TEST_NGINX_BINARY=$binary TEST_NGINX_MODULES=$dir \
        prove -j "$jobs" -I "$top/t/lib" "$@" </dev/null
}


prove_asan()
{
    TEST_NGINX_SLOW=3 \
        prove_with "$build/asan/nginx/nginx" "$build/asan/modules" "$@"
}


results=()
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


verb_test()
{
    local seconds=5 fuzzer line

    packages perl nginx "${test_packages[@]}"

    if [ $# -gt 0 ]; then
        (lock; modules_stock) || exit 1
        prove_with "$(nginx_binary)" "$build" "$@"
        return
    fi

    [ -z "${CI:-}" ] || seconds=60

    packages nginx-dev gcc make dpkg-dev libssl-dev libpcre2-dev zlib1g-dev \
        libhiredis-dev libcjson-dev clang libclang-rt-14-dev shellcheck

    say "modules"
    (lock; modules_stock) || exit 1

    # what only needs a processor, side by side; in a group of its own, so
    # that all of it can be ended
    mkdir -p "$build/log"
    set -m
    (verb_fuzz "$seconds") >"$build/log/fuzzing" 2>&1 </dev/null &
    fuzzer=$!
    set +m
    # shellcheck disable=SC2064
    trap "kill -- -$fuzzer 2>/dev/null" EXIT

    step lint quick_lint
    step unit verb_unit

    say "an nginx with sanitizers"
    (lock; build_asan) || exit 1

    say "waiting for the fuzzers, $seconds s each"
    wait $fuzzer
    step fuzz finish_fuzz "$build/log/fuzzing" $?
    trap - EXIT

    step stock prove_with "$(nginx_binary)" "$build" "$top"/t/*.t
    step asan prove_asan "$top"/t/*.t

    say "summary, in $SECONDS s"
    for line in "${results[@]}"; do echo "   $line"; done

    [ $total_failed -eq 0 ] && echo "Result: PASS" || echo "Result: FAIL"
    echo "$total_passed passed, $total_failed failed"
    [ $total_failed -eq 0 ]
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


verb=${1:-help}
[ $# -eq 0 ] || shift

case $verb in

run|stop|test|modules|lint|unit|tool|fuzz|asan|compat|install|\
bench-json)
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
