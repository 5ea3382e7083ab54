#!/bin/bash

# Installs, upgrades, removes and purges the packages by apt, with an nginx
# that runs; for a chroot of "build.sh fresh" only:
#
#     ./build.sh deb-test [SUITE]

set -u -o pipefail

top=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P) || exit 1
conf=/etc/nginx/conf.d/packages.conf
old=0.0.9
port=184$(sed -n 's/^VERSION_ID="\([0-9]*\)"/\1/p' /etc/os-release)
passed=0
failed=0

export DEBIAN_FRONTEND=noninteractive


check()
{
    local name=$1
    shift

    if "$@" >/tmp/check.log 2>&1 </dev/null; then
        passed=$((passed + 1))
        echo "ok $name"
    else
        failed=$((failed + 1))
        tail -n 20 /tmp/check.log
        echo "FAILED $name"
    fi
}


refused()
{
    ! "$@"
}


# says PATTERN COMMAND...
says()
{
    local pattern=$1
    shift

    "$@" >/tmp/says.log 2>&1 && cat /tmp/says.log \
        && grep -q -- "$pattern" /tmp/says.log
}


# repack FROM TO SED...: another package of the same files
repack()
{
    local from=$1 to=$2
    shift 2

    rm -rf /root/repack
    dpkg-deb -R "$from" /root/repack
    sed -i "$@" /root/repack/DEBIAN/control
    dpkg-deb -b /root/repack "$to" >/dev/null
    rm -rf /root/repack
}


misfit()
{
    repack "$1" "$2" -e 's/nginx-abi-[^, ]*/nginx-abi-9.9.9-1/' \
                     -e 's/^Version: .*/Version: 9.9.9-1/'
}


apt()
{
    apt-get -q -y -o DPkg::Lock::Timeout=300 "$@"
}


asks()
{
    exec 3<>"/dev/tcp/127.0.0.1/$port" || return 1
    printf 'GET %s HTTP/1.0\r\n\r\n' "$1" >&3
    grep -q "$2" <&3
}


# the worker that serves is a new one: the old ones are told to end
reloads()
{
    nginx -t && nginx -s reload && sleep 1
}


configure()
{
    sed "s/PORT/$port/" >$conf <<'END'
breaker_zone guard 1m;

server {
    listen 127.0.0.1:PORT;

    location = /a {
        breaker  a zone=guard;
        aggregate { backend b /b { } }
    }

    location = /b {
        internal;
        proxy_pass  http://127.0.0.1:PORT/c;
    }

    location = /c {
        default_type  application/json;
        return        200 '{"it":"works"}';
    }
}
END
}


cd "$top" || exit 1

# the verbs without packages

check "build.sh modules" ./build.sh modules
rm -f $conf /etc/nginx/sites-enabled/default
./build.sh uninstall >/dev/null 2>&1

check "nginx runs" bash -c "nginx -t && { pgrep -x nginx || nginx; }"
check "a first install wants a reload" says 'nginx -s reload' \
    ./build.sh install
check "which it says once" refused grep USR2 /tmp/says.log
configure
check "a reload loads what was installed" reloads
check "it works" asks /a '"it":"works"'

echo >>/usr/lib/nginx/modules/ngx_http_breaker_module.so
check "a replaced module wants a binary upgrade" says 'kill -USR2' \
    ./build.sh install
check "uninstall refuses what is in use" refused ./build.sh uninstall
check "and changes nothing" nginx -t
rm -f $conf
check "uninstall" says 'nginx -s reload' ./build.sh uninstall
check "nginx is content without the modules" reloads
check "nothing is left" bash -c \
    "! ls /etc/nginx/modules-enabled/ /usr/share/nginx/modules-available/ \
          /usr/lib/nginx/modules/ | grep -e aggregate -e breaker"


# the packages

./build.sh deb || exit 1
rm -rf /root/old /root/new
mkdir /root/old
cp -r build/deb /root/new

for path in /root/new/*.deb; do
    repack "$path" "/root/old/${path##*/}" "s/^Version: .*/Version: $old/"
done

apt purge 'libnginx-mod-http-aggregate' 'libnginx-mod-http-breaker' \
    >/dev/null 2>&1

check "apt installs $old" apt install /root/old/*.deb
check "aggregate is enabled" \
    test -e /etc/nginx/modules-enabled/50-mod-http-aggregate.conf
check "breaker is enabled" \
    test -e /etc/nginx/modules-enabled/50-mod-http-breaker.conf

configure

check "nginx takes the directives" nginx -t
check "a reload loads the modules" reloads
check "they work" asks /a '"it":"works"'

check "apt upgrades" apt install /root/new/*.deb
check "the version is new" bash -c \
    "dpkg-query -W -f '\${Version}' libnginx-mod-http-aggregate \
     | grep -v '^$old'"
check "nginx takes the directives after it" nginx -t
check "the old modules work on" asks /a '"it":"works"'
check "apt is content" apt check

# a package for another nginx, and another nginx
rm -rf /root/misfit
mkdir -p /root/misfit
misfit /root/new/libnginx-mod-http-breaker_*.deb /root/misfit/breaker.deb
check "apt refuses a module for another nginx" \
    refused apt install /root/misfit/breaker.deb

(cd /root/misfit && apt-get -q download nginx) >/dev/null 2>&1
misfit /root/misfit/nginx_*.deb /root/misfit/other.deb
check "another nginx is not installed beside the modules" \
    refused apt --no-remove install /root/misfit/other.deb
check "but in their place" says '^Remv libnginx-mod-http-aggregate' \
    apt --simulate install /root/misfit/other.deb
rm -rf /root/misfit

rm -f $conf
check "apt removes" apt remove libnginx-mod-http-aggregate \
    libnginx-mod-http-breaker
check "nginx is content without them" nginx -t
check "no link is left that nginx follows" bash -c \
    "! ls /etc/nginx/modules-enabled/*.conf | grep -e aggregate -e breaker"
check "no module is left" bash -c \
    "! ls /usr/lib/nginx/modules/ | grep -e aggregate -e http_breaker"
check "apt purges" apt purge libnginx-mod-http-aggregate \
    libnginx-mod-http-breaker
check "nothing is left" bash -c \
    "! ls /etc/nginx/modules-enabled/ /usr/share/nginx/modules-available/ \
          /usr/lib/nginx/modules/ | grep -e aggregate -e breaker"

nginx -s stop

echo "packages: $passed passed, $failed failed"
[ $failed -eq 0 ]
