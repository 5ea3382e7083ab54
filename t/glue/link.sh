#!/bin/bash

# Links the module for tests into a copy of ngx_http_aggregate_module.so, whose
# symbols are hidden: link.sh DIRECTORY-OF-MODULES prints the one of the copy.

set -u -o pipefail

top=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd -P) || exit 1
dir=$(cd "$1" && pwd -P) || exit 1
name=ngx_http_aggregate_module
glue=ngx_http_aggregate_glue_module
out=$dir/glue

objs=$dir/objs
[ -d "$objs" ] || objs=$dir/../objs
objs=$(cd "$objs" && pwd -P) || exit 1
src=$(cat "$objs/source") || exit 1

mkdir -p "$out" || exit 1
exec 9>"$out/lock"
flock 9

flags=$(make -s -f "$objs/Makefile" -C "$src" print-flags) || exit 1
link=$(make -n -W "$objs/${name}_modules.o" -f "$objs/Makefile" -C "$src" \
           "$objs/$name.so" | sed -e ':a' -e '/\\$/N; s/\\\n//; ta' \
       | grep -e "-o $objs/$name.so") || exit 1

sed -e "s/^extern ngx_module_t  $name;/&\nextern ngx_module_t  $glue;/" \
    -e "s/^    &$name,/&\n    \&$glue,/" \
    -e "s/^    \"$name\",/&\n    \"$glue\",/" \
    "$objs/${name}_modules.c" >"$out/modules.c" || exit 1

cd "$src" || exit 1

for file in "$out/modules.c" "$top/t/glue/$glue.c"; do
    # shellcheck disable=SC2086
    ${CC:-cc} -c $flags -fPIC -Wall -Wextra -Werror -I "$top/$name/base" \
        -I "$top/$name/json" -I "$top/$name/shape" -I "$top/$name/fetch" \
        -I "$top/common" -o "$out/$(basename "$file" .c).o" "$file" >&2 \
        || exit 1
done

link=${link//-o $objs\/$name.so/-o $out\/$name.so.new $out/$glue.o}
link=${link//$objs\/${name}_modules.o/$out\/modules.o}

eval "$link" >&2 && mv "$out/$name.so.new" "$out/$name.so" && echo "$out"
