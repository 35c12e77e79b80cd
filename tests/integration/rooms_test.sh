#!/usr/bin/env bash
# The arrows between rooms drawn in docs/ARCHITECTURE.md are the dependencies that CMake links, and a room may only use
# those above it.
set -euo pipefail
# shellcheck source=tests/support/shell.sh
source "$(dirname "$0")/../support/shell.sh"

need_programs cmake ninja

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cmake -S "$root" -B "$folder/build" -G Ninja -DPEPSAL_TESTS=OFF "--graphviz=$folder/graph.dot" >"$folder/log" 2>&1 ||
  fail "$(tail -n 20 "$folder/log")"

# "ROOM USED...", sorted.
in_cmake() {
  sed -nE 's|.* // pepsal_([a-z]+) -> pepsal_([a-z]+)$|\1 \2|p' "$folder/graph.dot" | grep -v ' headers$' | sort |
    awk '{ used[$1] = used[$1] " " $2 } END { for (room in used) print room used[room] }' | sort
}

in_document() {
  sed -nE 's|^    ([a-z]+) +→ ([a-z ]+)$|\1 \2|p' "$root/docs/ARCHITECTURE.md" |
    awk '{ for (i = 2; i <= NF; i++) print $1, $i }' | sort |
    awk '{ used[$1] = used[$1] " " $2 } END { for (room in used) print room used[room] }' | sort
}

case=document
[[ -n $(in_document) ]] || wrong "docs/ARCHITECTURE.md draws no arrows"
diff <(in_document) <(in_cmake) || wrong "docs/ARCHITECTURE.md (<) and CMake (>) differ"

case=order
sed -nE 's|^    ([a-z]+) +→ ([a-z ]+)$|\1 \2|p' "$root/docs/ARCHITECTURE.md" >"$folder/arrows"
seen=" util link "
while read -r room used; do
  for other in $used; do
    [[ $seen == *" $other "* ]] || wrong "$room uses $other, which does not stand above it"
  done
  seen+="$room "
done <"$folder/arrows"

end_test
