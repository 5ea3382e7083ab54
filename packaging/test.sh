#!/bin/bash

# Installs, upgrades, removes and purges the packages by apt, with an nginx
# that runs; for a chroot of "build.sh fresh" only:
#
#     ./build.sh deb-test [SUITE]

set -u -o pipefail

top=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P) || exit 1
conf=/etc/nginx/conf.d/packages.conf
old=0.0.9
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


apt()
{
    apt-get -q -y -o DPkg::Lock::Timeout=300 "$@"
}


asks()
{
    exec 3<>/dev/tcp/127.0.0.1/18480 || return 1
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
    cat >$conf <<'END'
breaker_zone guard 1m;

server {
    listen 127.0.0.1:18480;

    location = /a {
        breaker  a zone=guard;
        aggregate { backend b /b { } }
    }

    location = /b {
        internal;
        proxy_pass  http://127.0.0.1:18480/c;
    }

    location = /c {
        default_type  application/json;
        return        200 '{"it":"works"}';
    }
}
END
    rm -f /etc/nginx/sites-enabled/default
}


cd "$top" || exit 1

./build.sh deb $old || exit 1
rm -rf /root/old /root/new
cp -r build/deb /root/old

./build.sh deb || exit 1
cp -r build/deb /root/new

apt purge 'libnginx-mod-http-aggregate' 'libnginx-mod-http-breaker' \
    >/dev/null 2>&1
rm -f $conf

check "nginx runs" bash -c "nginx -t && (pgrep -x nginx || nginx)"

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

# a package for another nginx
mkdir -p /root/misfit
dpkg-deb -R /root/new/libnginx-mod-http-breaker_*.deb /root/misfit/tree
sed -i 's/nginx-abi-[^,]*/nginx-abi-0.0.0-1/' /root/misfit/tree/DEBIAN/control
sed -i 's/^Version: .*/Version: 9.0/' /root/misfit/tree/DEBIAN/control
dpkg-deb -b /root/misfit/tree /root/misfit/misfit.deb >/dev/null
check "apt refuses a misfit module" refused apt install /root/misfit/misfit.deb
rm -rf /root/misfit

rm -f $conf
check "apt removes" apt remove libnginx-mod-http-aggregate \
    libnginx-mod-http-breaker
check "nginx is content without them" nginx -t
check "no link is left" bash -c \
    "! ls /etc/nginx/modules-enabled/ | grep -e aggregate -e breaker"
check "no module is left" bash -c \
    "! ls /usr/lib/nginx/modules/ | grep -e aggregate -e http_breaker"
check "apt purges" apt purge libnginx-mod-http-aggregate \
    libnginx-mod-http-breaker

nginx -s stop

echo "packages: $passed passed, $failed failed"
[ $failed -eq 0 ]
