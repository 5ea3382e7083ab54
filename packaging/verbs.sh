# The verbs of build.sh that make packages: sourced by it, and of no use alone.

# shellcheck shell=bash disable=SC2154


# deb [VERSION]: in a copy of the tree, since debhelper works in place
verb_deb()
{
    local version=${1:-} dir=$build/deb name path key
    local options="parallel=$jobs noddebs ${DEB_BUILD_OPTIONS:-}"
    local names="config common $modules debian doc conf.example README.md \
                 CHANGES LICENSE"

    [[ $version =~ ^([0-9][A-Za-z0-9.+~]*)?$ ]] \
        || die "\"$version\" is no version of a native package"

    packages nginx nginx-dev build-essential debhelper fakeroot libssl-dev \
        libhiredis-dev libcjson-dev zlib1g-dev

    # shellcheck disable=SC2086
    key=$(cd "$top" && { echo "$version $options"; dpkg-query -W nginx-dev
                         find $names -type f | sort | xargs cat; } | cksum)

    if [ "$(cat "$dir/key" 2>/dev/null)" = "$key" ]; then
        ls "$dir"/*.deb
        return
    fi

    rm -rf "$dir"
    mkdir -p "$dir/src"

    for name in $names; do
        cp -a "$top/$name" "$dir/src/" || exit 1
    done

    if [ -n "$version" ]; then
        sed -i "1s/([^)]*)/($version)/" "$dir/src/debian/changelog"
    fi

    say "building packages, a minute or two; log: $dir/log"

    (cd "$dir/src" && DEB_BUILD_OPTIONS=$options \
         dpkg-buildpackage -b -us -uc) >"$dir/log" 2>&1 </dev/null || {
        tail -n 15 "$dir/log" >&2
        die "dpkg-buildpackage failed, see $dir/log"
    }

    rm -rf "$dir/src"

    for path in "$dir"/*.deb; do
        dpkg-deb --field "$path" Depends | grep -q nginx-abi- \
            || die "$path does not depend on the ABI of nginx"
        echo "$path"
    done

    echo "$key" >"$dir/key"
}


# deb-test [SUITE]: installs, upgrades and removes them in a chroot
verb_deb-test()
{
    verb_fresh "${1:-trixie}" packaging/test.sh
}
