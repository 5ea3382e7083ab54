#!/bin/bash

# The one entry of the project: builds the modules, tests them, runs the
# demo.  Each verb installs by apt what it needs and is not there.

set -u -o pipefail

top=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd -P) || exit 1
build=${BUILD_DIR:-$top/build}
jobs=${JOBS:-$(nproc 2>/dev/null || echo 2)}

# nginx takes a variable of this name for sockets that it inherits
export -n NGINX

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

  modules [--with-nginx=DIR|BINARY]
                               build the modules for the installed nginx, for
                               the source tree in DIR, or for an nginx of
                               another origin, which needs its source too
  lint [NAME]                  gcc, clang, the analyzers, the style checker
  unit [NAME]                  unit tests in C, with ASan and UBSan
  fuzz [NAME] [SECONDS]        replay the corpus, then fuzz for SECONDS (10)
  fuzz-conf [SECONDS [SEED]]   random configurations under random requests, on
                               the nginx of "asan", for SECONDS (60)
  asan [FILE...]               t/ on an nginx built from Debian's source with
                               ASan, UBSan and NGX_DEBUG_PALLOC
  compat [[--asan] --with-nginx=DIR] [FILE...]
                               t/ on the nginx of Debian 13, or on one built
                               from the source tree in DIR, with sanitizers
  fresh [SUITE [COMMAND...]]   what a new user does, in a chroot of Debian SUITE
                               (trixie): "run", then "test", or COMMAND
  mutants [NAME...]            small changes of the sources, each of which has
                               to make its test fail; "sample": ten of them
  alloc [SECONDS [SEED]]       requests to modules whose allocations fail, with
                               ASan, for SECONDS (60)
  soak [SECONDS]               two gateways under load, in rounds of SECONDS
                               (60): their memory must not grow

  check FILE                   run "nginx -t" on the configuration FILE without
                               touching the nginx that runs; exits with 0 if it
                               is clean, 1 for an error, 2 for warnings
  directives [json|vscode|vim] all directives with contexts and syntax: as JSON,
                               as the manifest of VS Code's extension for nginx,
                               as keywords for vim
  deb [VERSION]                build packages for Debian to build/deb
  deb-test [SUITE]             install, upgrade and remove them in a chroot of
                               Debian SUITE (trixie)
  install                      put the modules into the installed nginx
  uninstall                    remove them again
  bench [ROUNDS]               this gateway and its peers on the same work,
                               a round of about five minutes
  bench-json                   our JSON code and cJSON, one after the other
  bench-scale [DIR]            CPU time by workers, parts, bodies and keys
  bench-route [BALANCE|CANARY] balancing and canaries against nginx's own
  bench-claims [TRAFFIC|DAY]   the figures that are quoted for gateways: hit
                               rates, calls, latencies, a day of outages
  bench-guard [-u | -q]        instructions of a request, compared with the
                               recorded ones
  help                         this text

environment: BUILD_DIR ($build)
             JOBS ($jobs), CC, NGINX (the nginx to build for), NGINX_SOURCE
             ASAN_BASE (a directory for the nginx with sanitizers, which
             several trees may share)
END
}


# packages


need_root()
{
    [ "$(id -u)" -eq 0 ] || command -v sudo >/dev/null \
        || die "root is needed for $1" "become root, or install sudo"
}


as_root()
{
    if [ "$(id -u)" -eq 0 ]; then
        "$@"
    else
        sudo "$@"
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
    need_root "apt-get install ${missing[*]}"
    mkdir -p "$build"

    apt_update || say "apt-get update failed, see $build/apt.log:" \
        "trying with the lists that are there"

    if ! fetch_missing "${missing[@]}" || ! install_missing "${missing[@]}"
    then
        tail -n 15 "$build/apt.log" >&2
        die "apt-get failed, see $build/apt.log" \
            "install these by hand and run again: ${missing[*]}"
    fi
}


apt_get()
{
    as_root env LC_ALL=C DEBIAN_FRONTEND=noninteractive apt-get -q -y \
        -o DPkg::Lock::Timeout=300 -o Acquire::Retries=3 \
        -o DPkg::Options::=--force-confdef -o DPkg::Options::=--force-confold \
        --no-install-recommends "$@" </dev/null
}


# twice, since an index may be replaced while it is read
apt_update()
{
    apt_get update >"$build/apt.log" 2>&1 \
        || { sleep 5; apt_get update >"$build/apt.log" 2>&1; }
}


# says how much is fetched, and each package when its turn has come
fetch_missing()
{
    apt_get --download-only install "$@" 2>&1 | tee -a "$build/apt.log" \
        | sed -n 's/^\(Need to get .*\|After this .*used\)\.$/   \1/p
                  s/^Get:\([^ ]* \)\{4\}\([^ ]*\) .*\(\[.*\]\)$/   \2 \3/p'
}


# Not to be interrupted, which would leave packages half installed.  Servers,
# which Debian would start at once, are not: their ports are the user's.
install_missing()
{
    local policy=/usr/sbin/policy-rc.d status servers

    trap '' INT TERM HUP

    # one of ours is left when build.sh was killed
    if [ -e $policy ] && ! grep -q 'by build\.sh' $policy; then
        policy=""
    else
        printf '#!/bin/sh\n# for a moment, by build.sh\nexit 101\n' \
            | as_root install -m 755 /dev/stdin $policy
    fi

    apt_get install "$@" 2>&1 | tee -a "$build/apt.log" \
        | sed -n 's/^Setting up \([^ ]*\) .*/   \1/p'
    status=$?

    [ -z "$policy" ] || as_root rm -f "$policy"

    trap - INT TERM HUP

    servers=$(printf '%s\n' "$@" | grep -xE 'nginx|redis-server' | xargs)
    [ -z "$servers" ] || say "not started, but enabled at the next boot:" \
        "$servers (systemctl disable $servers)"

    return $status
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
        apt_in "$dir" apt-get update >"$dir/log" 2>&1 || return 1
        touch "$dir/updated"
    fi

    apt_in "$dir" "$tool" "$@"
}


apt_in()
{
    local dir=$1 tool=$2
    shift 2

    "$tool" -q -o Dir::Etc::sourcelist="$dir/sources.list" \
        -o Dir::Etc::sourceparts=- -o Dir::State::lists="$dir/lists" \
        -o Dir::Cache="$dir/cache" -o APT::Sandbox::User=root \
        -o Acquire::Retries=3 "$@"
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
    local src=$1 objs=$2 flags=$3 key name
    shift 3

    key=$({ echo "$src" "$flags" "$@"
            find -L "$src/src" -name '*.h' | sort | xargs cat \
                "$src/auto/modules"
            declare -f tune_makefile

            if [[ $* = *--add-dynamic-module=* ]]; then
                cat "$top/config" "$top"/ngx_http_*/config
                for name in $modules; do module_srcs "$name"; done
            fi
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

    make -s -q -f "$objs/Makefile" -C "$src" modules >/dev/null 2>&1 \
        || say "compiling, a minute or two; log: $objs.make.log"

    make -s -j "$jobs" -f "$objs/Makefile" -C "$src" modules \
        >"$objs.make.log" 2>&1 || {
        grep -vE '^make|note:' "$objs.make.log" | head -n 60 >&2
        die "the modules do not compile, see $objs.make.log"
    }

    # for t/glue/link.sh
    echo "$src" >"$objs/source"

    mkdir -p "$out"

    for name in $modules; do
        [ -f "$objs/$name.so" ] || { rm -f "$out/$name.so"; continue; }
        cmp -s "$objs/$name.so" "$out/$name.so" && continue

        # by rename: a running nginx has the old file mapped
        cp "$objs/$name.so" "$out/$name.so.new" \
            && mv "$out/$name.so.new" "$out/$name.so" || exit 1
    done
}


# make_nginx SRC OBJS: the binary of a tree that is configured
make_nginx()
{
    local src=$1 objs=$2

    make -s -q -f "$objs/Makefile" -C "$src" "$objs/nginx" >/dev/null 2>&1 \
        && return

    say "building nginx, once; log: $objs.make.log"
    make -s -j "$jobs" -f "$objs/Makefile" -C "$src" "$objs/nginx" \
        >"$objs.make.log" 2>&1 || die "it does not build, see $objs.make.log"
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


# the same from everywhere: they contain the working directory
debian_flags()
{
    (cd "$top" && dpkg-buildflags --get "$1")
}


# the installed nginx, by the headers and build system of nginx-dev
modules_stock()
{
    local binary version src=/usr/share/nginx/src objs=$build/objs

    packages nginx nginx-dev gcc make libssl-dev libhiredis-dev \
        libcjson-dev zlib1g-dev

    [ -n "$(present_modules)" ] || die "no module has sources yet"

    [ -f "$src/conf_flags" ] || die "no $src/conf_flags" \
        "nginx-dev of Debian 12 or later has it; elsewhere build against" \
        "the source tree of your nginx: ./build.sh modules --with-nginx=DIR"

    binary=$(nginx_binary) || die "no nginx found in PATH"

    version=$("$binary" -v 2>&1)
    version=${version##*/}
    version=${version%% *}
    grep -qF "\"$version\"" "$src/src/core/nginx.h" \
        || die "$binary is $version, and nginx-dev another version" \
               "apt-get install nginx nginx-dev makes them the same;" \
               "for an nginx of another origin: --with-nginx=DIR"

    # shellcheck disable=SC1091
    . "$src/conf_flags"

    configure_tree "$src" "$objs" "" "${NGX_CONF_FLAGS[@]}" \
        --with-cc-opt="$(debian_flags CFLAGS) -fPIC \
$(debian_flags CPPFLAGS)" \
        --with-ld-opt="$(debian_flags LDFLAGS) -fPIC" \
        --add-dynamic-module="$top"

    make_modules "$src" "$objs" "$build"
    check_loads "$binary" "$build"
}


# what t/ needs of an nginx; old ones do not know OpenSSL 3
tree_options="--with-cc-opt=-Wno-deprecated-declarations \
--with-compat --with-debug --with-threads \
--with-http_ssl_module --with-http_v2_module --with-http_stub_status_module \
--with-http_auth_request_module --with-http_sub_module \
--with-http_gunzip_module --with-http_gzip_static_module \
--with-http_addition_module \
--with-http_realip_module --with-http_slice_module"


# use_tree DIR [FLAGS]: sets tree, tree_dir (ours, for it), tree_src and
# tree_flags.  The source is built in a copy of links, so that nothing is
# written into it; with FLAGS, or the options of its own build where there is
# one
use_tree()
{
    local flags

    tree=$(cd "$1" 2>/dev/null && pwd -P) || die "no directory $1"
    [ -f "$tree/src/core/nginx.h" ] || die "no nginx source in $tree"

    packages gcc make libssl-dev zlib1g-dev libhiredis-dev libcjson-dev \
        "$(grep -qs PCRE2 "$tree/auto/lib/pcre/conf" \
           && echo libpcre2-dev || echo libpcre3-dev)"

    [ -n "$(present_modules)" ] || die "no module has sources yet"

    tree_dir=$build/with/$(basename "$tree")-$(cksum <<<"$tree" \
                                               | cut -d ' ' -f 1)
    tree_src=$tree_dir/src

    rm -rf "$tree_src"
    mkdir -p "$tree_src" && cp -rs "$tree"/* "$tree_src" || exit 1
    rm -rf "$tree_src/objs" "$tree_src/Makefile"

    flags=$(sed -n 's/^#define NGX_CONFIGURE "\(.*\)"$/\1/p' \
            "$tree/objs/ngx_auto_config.h" 2>/dev/null)

    flags=${2:-$flags}

    if [ -z "$flags" ]; then
        flags=$tree_options
        [ ! -d "$tree/src/http/v3" ] || flags+=" --with-http_v3_module"
    fi

    say "with ${flags# }"
    eval "tree_flags=($flags)"
}


# modules_tree DIR [BINARY [FLAGS]]: for BINARY, built with FLAGS
modules_tree()
{
    local binary=${2:-} tree tree_dir tree_src tree_flags

    use_tree "$1" "${3:-}"
    [ -n "$binary" ] || binary=$tree/objs/nginx

    configure_tree "$tree_src" "$tree_dir/objs" "" "${tree_flags[@]}" \
        --add-dynamic-module="$top"
    make_modules "$tree_src" "$tree_dir/objs" "$tree_dir/modules"

    if [ -x "$binary" ]; then
        check_loads "$binary" "$tree_dir/modules"
    else
        say "not tried: there is no $binary to load them in"
    fi

    ls "$tree_dir"/modules/*.so
}


# for an nginx that is installed, of nginx.org's packages for instance: with its
# own options, and the source of its version, which somebody has to bring
modules_binary()
{
    local binary=$1 version flags source

    version=$("$binary" -v 2>&1 | sed -n 's|.*nginx/\([0-9.]*\).*|\1|p')
    [ -n "$version" ] || die "$binary does not say which nginx it is"

    source=${NGINX_SOURCE:-$build/source/nginx-$version}

    grep -qsF "\"$version\"" "$source/src/core/nginx.h" \
        || die "no source of nginx $version in $source" \
               "$binary is nginx $version, and its modules need that source:" \
               "curl -LO https://nginx.org/download/nginx-$version.tar.gz" \
               "mkdir -p $build/source" \
               "tar -xzf nginx-$version.tar.gz -C $build/source" \
               "or name another directory by NGINX_SOURCE=DIR"

    # without other modules, which are no part of this source
    flags=$("$binary" -V 2>&1 | sed -n 's/^configure arguments: //p' \
            | sed 's/--add-\(dynamic-\)\{0,1\}module=[^ ]*//g;
                   s/--with-[a-z_]*=dynamic//g')

    modules_tree "$source" "$binary" "$flags"
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
        if [ -f "${1#*=}" ] && [ -x "${1#*=}" ]; then
            modules_binary "${1#*=}"
        else
            modules_tree "${1#*=}"
        fi
        ;;

    *)
        die "unknown argument \"$1\"" "modules [--with-nginx=DIR]"
        ;;
    esac
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
        [ -d "/proc/$pid" ] || { close_run; say "stopped"; return; }
        [ "$i" -ne 50 ] || kill -TERM "$pid"
        sleep 0.1
    done

    die "process $pid does not end"
}


# When we are root, the workers are nobody.  Where nobody may not read this
# directory, as in /root, they have a copy: sets run_user, and run_open to it.
run_as_nobody()
{
    run_user=""
    run_open=""

    if [ "$(id -u)" -ne 0 ] || ! id nobody >/dev/null 2>&1; then
        return
    fi

    run_user="user nobody $(id -gn nobody);"

    runuser -u nobody -- test -r "$top/conf.example/data/users/42.json" \
        && runuser -u nobody -- test -x "$run_dir" && return

    run_open=$(mktemp -d /tmp/gateway-run.XXXXXX) || exit 1
    chmod 755 "$run_open"
    cp -r "$top/conf.example/data" "$run_open/" || exit 1
    chmod -R a+rX "$run_open"
    echo "$run_open" >"$run_dir/open"

    say "the workers run as nobody, who may not read $top:" \
        "they have a copy of the demo's files in $run_open"
}


close_run()
{
    local open

    open=$(cat "$run_dir/open" 2>/dev/null)
    rm -f "$run_dir/open"
    [[ $open != /tmp/gateway-run.?????? ]] || rm -rf "$open"
}


# the example as it stands, with the paths made whole; another port moves
# the backends too, as far from it as 18080 is from 8080
run_conf()
{
    local port=$1 base n sed=()

    [ -z "${run_open:-}" ] || sed=(-e "s|build/run/\([a-z_]*;\)|$run_open/\1|" \
                                   -e "s|conf.example/data|$run_open/data|")
    sed+=(-e "s|build/|$build/|g")

    # the schema stands beside the configuration, and this is a copy of it
    sed+=(-e "s|\(aggregate_graphql  *\)shop|\1$top/conf.example/shop|")

    base=$((port + 10000))
    [ "$base" -le 65500 ] || base=$((port - 10000))

    [ "$port" -eq 8080 ] || for n in 1 2 3 4 5 6 7 8 9; do
        sed+=(-e "s/127\.0\.0\.1:1808$n\b/127.0.0.1:$((base + n))/g")
    done

    sed+=(-e "s/127\.0\.0\.1:8080\b/127.0.0.1:$port/g")

    sed "${sed[@]}" "$top/conf.example/nginx.conf"
}


# the ports that a configuration on stdin listens on
conf_ports()
{
    sed -n 's/.*listen  *127\.0\.0\.1:\([0-9]*\).*/\1/p' | sort -u
}


# before anything is downloaded or built, or stopped: the gateway that runs
# gives its ports back
check_ports()
{
    local port own=""

    ! running_gateway >/dev/null || own=$(conf_ports <"$run_dir/nginx.conf")

    for port in $(run_conf "$1" | conf_ports); do

        ! grep -qx "$port" <<<"$own" || continue

        # the redirection of a subshell tells whether somebody listens
        if (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; then
            die "port $port of 127.0.0.1 is taken" "./build.sh run PORT"
        fi
    done
}


verb_run()
{
    local port=${1:-8080} binary run_user run_open=""

    case $port in
    *[!0-9]*|""|??????*) die "the port is a number, from 1 to 65535" ;;
    esac

    if [ "$port" -lt 1 ] || [ "$port" -gt 65535 ]; then
        die "the port is a number, from 1 to 65535"
    fi

    port=$((10#$port))

    check_ports "$port"

    # for the lines to try
    command -v curl >/dev/null || (packages curl) \
        || say "going on without curl, which the lines to try need"

    (lock; modules_stock) || exit 1

    ! running_gateway >/dev/null || verb_stop

    mkdir -p "$run_dir"
    close_run
    run_as_nobody
    run_conf "$port" >"$run_dir/nginx.conf"
    binary=$(nginx_binary)

    "$binary" -p "$top/" -c "$run_dir/nginx.conf" -e "$run_dir/error.log" \
        -g "$run_user" </dev/null || { close_run; die "nginx did not start" \
        "if a port is taken: ./build.sh run PORT"; }

    say "the gateway runs on 127.0.0.1:$port, error log $run_dir/error.log"
    say "try:"
    sed -n "s/^ *# *\(curl .*\)/   \1/p" "$run_dir/nginx.conf"
    say "./build.sh stop ends it"
}


# check FILE: "nginx -t" with a prefix, a pid file and a log of its own, and
# with the modules of this tree where FILE finds none


check_once()
{
    local dir=$1 options=(-t -p "$1/")

    # from nginx 1.19.5 on
    ! "$binary" -h 2>&1 | grep -q -- '-e filename' || options+=(-e "$dir/log")

    "$binary" "${options[@]}" -g "$2" -c "$3" 2>&1 </dev/null
}


# a prefix with all that nginx's own has
check_prefix()
{
    local dir=$1 prefix path

    prefix=$("$binary" -V 2>&1 | sed -n 's/.*--prefix=\([^ ]*\).*/\1/p')
    path=$("$binary" -V 2>&1 | sed -n 's/.*--modules-path=\([^ ]*\).*/\1/p')

    mkdir "$dir/modules" "$dir/logs"
    ln -s "$build" "$dir/build"
    ln -s "${prefix:-/usr/local/nginx}"/* "$dir/" 2>/dev/null
    ln -s "${path:-$prefix/modules}"/*.so "$dir/modules/" 2>/dev/null
}


verb_check()
{
    local file=${1:-} binary dir pid load="" built="" output unknown name status

    if [ $# -ne 1 ] || [ ! -f "$file" ]; then
        die "no file \"$file\"" "check FILE"
    fi

    [ -n "$(nginx_binary)" ] || packages nginx
    binary=$(nginx_binary) || die "no nginx found in PATH"

    file=$(cd "$(dirname "$file")" && pwd -P)/$(basename "$file")
    dir=$(mktemp -d) || exit 1
    pid="pid $dir/pid;"
    check_prefix "$dir"

    while :; do
        output=$(check_once "$dir" "$pid $load" "$file")
        status=$?

        case $output in

        *'" is already loaded in '*)
            # FILE loads them, and it was a misspelled name
            [ -z "$load" ] || output=$unknown
            break
            ;;

        *'"pid" directive is duplicate'*)
            [ -n "$pid" ] || break
            pid=""
            ;;

        *'unknown directive "aggregate'*|*'unknown directive "breaker'*|\
        *dlopen*ngx_http_aggregate_module.so*|\
        *dlopen*ngx_http_breaker_module.so*)
            [ -z "$built" ] || break
            unknown=$output
            (lock; modules_stock) >&2 || exit 1

            for name in $(present_modules); do
                ln -sf "$build/$name.so" "$dir/modules/"
                [[ $output = *dlopen* ]] \
                    || load="$load load_module $build/$name.so;"
            done

            built=1
            ;;

        *)
            break
            ;;
        esac

        rm -f "$dir/log"
    done

    # what nginx itself does not show on a terminal
    sed -n 's/^.*\(\[notice\]\) [0-9#]*: \(.* in .*:[0-9]*\)$/nginx: \1 \2/p' \
        "$dir/log" 2>/dev/null
    printf '%s\n' "$output"
    rm -rf "$dir"

    [ $status -eq 0 ] || exit 1
    [[ $output != *'[warn]'* ]] || exit 2
    exit 0
}


verb_directives()
{
    perl "$top/t/lib/directives.pl" "$top" "${1:-json}" \
        || die "directives [json | vscode | vim]"
}


# the installed nginx


verb_install()
{
    local binary path name short available enabled made=() replaced=0

    (lock; modules_stock) || exit 1

    binary=$(nginx_binary)
    path=$("$binary" -V 2>&1 | sed -n 's/.*--modules-path=\([^ ]*\).*/\1/p')
    [ -n "$path" ] || die "$binary does not say where its modules are"

    need_root "what belongs to nginx"

    available=/usr/share/nginx/modules-available
    enabled=/etc/nginx/modules-enabled

    for name in $(present_modules); do

        [ ! -f "$path/$name.so" ] || cmp -s "$build/$name.so" "$path/$name.so" \
            || replaced=1

        # by rename: a running nginx has the old file mapped
        as_root install -D -m 644 "$build/$name.so" "$path/$name.so.new" \
            && as_root mv "$path/$name.so.new" "$path/$name.so" || exit 1
        say "$path/$name.so"

        [ -d $enabled ] || continue

        short=${name#ngx_}
        short=mod-${short%_module}
        short=${short//_/-}.conf

        echo "load_module modules/$name.so;" \
            | as_root install -D -m 644 /dev/stdin "$available/$short" \
            || exit 1

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

    if [ $replaced -eq 0 ]; then
        say "a running nginx takes them with a reload: nginx -s reload"
        return
    fi

    # a reload finds the old file by its name among those that are loaded
    say "a running nginx keeps the modules that it has loaded, after a reload" \
        "too. Upgrade it without a lost request:"
    echo "   kill -USR2  \$(cat /run/nginx.pid)          a second master starts"
    echo "   kill -WINCH \$(cat /run/nginx.pid.oldbin)   the old workers end"
    echo "   kill -QUIT  \$(cat /run/nginx.pid.oldbin)   the old master ends"
}


verb_uninstall()
{
    local binary path name short link refused="" shorts=()

    binary=$(nginx_binary) || die "no nginx found in PATH"
    path=$("$binary" -V 2>&1 | sed -n 's/.*--modules-path=\([^ ]*\).*/\1/p')
    [ -n "$path" ] || die "$binary does not say where its modules are"

    need_root "what belongs to nginx"

    for name in $modules; do
        short=${name#ngx_}
        short=mod-${short%_module}
        shorts+=("${short//_/-}.conf")
        link=/etc/nginx/modules-enabled/50-${shorts[-1]}

        [ ! -L "$link" ] || as_root mv "$link" "$link.off" || exit 1
    done

    as_root "$binary" -t -q || refused=1

    for short in "${shorts[@]}"; do
        link=/etc/nginx/modules-enabled/50-$short

        if [ -n "$refused" ]; then
            [ ! -L "$link.off" ] || as_root mv "$link.off" "$link"
        else
            as_root rm -f "$link.off" \
                "/usr/share/nginx/modules-available/$short"
        fi
    done

    [ -z "$refused" ] || die "nginx refuses its configuration without them" \
        "take their directives out of it, and ./build.sh uninstall again"

    for name in $modules; do
        as_root rm -f "$path/$name.so"
        say "removed $path/$name.so"
    done

    say "a running nginx lets them go with a reload: nginx -s reload"
}


# shellcheck source=packaging/verbs.sh
. "$top/packaging/verbs.sh"

# shellcheck source=t/lib/verbs.sh
. "$top/t/lib/verbs.sh"

# shellcheck source=bench/verbs.sh
. "$top/bench/verbs.sh"


verb=${1:-help}
[ $# -eq 0 ] || shift

case $verb in

run|stop|test|modules|lint|unit|tool|fuzz|fuzz-conf|asan|compat|fresh|\
mutants|alloc|soak|check|directives|deb|deb-test|install|uninstall|\
bench|bench-json|bench-scale|bench-guard|bench-route|bench-claims)
    case $top$build in
    *[[:space:]]*)
        die "nginx's build system takes no blanks in paths: $top"
        ;;
    esac

    mkdir -p "$build" || exit 1
    "verb_$verb" "$@"

    # this file may have changed since
    exit
    ;;

help|-h|--help)
    usage
    ;;

*)
    usage >&2
    die "unknown verb \"$verb\""
    ;;
esac
