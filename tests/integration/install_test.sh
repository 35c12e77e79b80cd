#!/usr/bin/env bash
# cmake --install into a folder, the daemon started from there, and the uninstall target: only what the administrator
# edits is left. Needs root. PEPSAL_BIN_DIR names the folder of the programs.
set -euo pipefail
# shellcheck source=tests/support/shell.sh
source "$(dirname "$0")/../support/shell.sh"

need_root "to start the daemon"
need_programs cmake
readonly build=$PEPSAL_BIN_DIR/..
work=$(mktemp -d)
daemon=
finish() {
  [[ -z $daemon ]] || kill -KILL "$daemon" 2>/dev/null || true
  rm -rf "$work" "/dev/shm/pepsal.inst$$"
}
trap finish EXIT
trap 'exit 130' INT TERM

# What the build needs is in debian/control, too; g++ and binutils are part of every Debian that builds, the others are
# for tests.
for package in $(packages_for build); do
  [[ $package =~ ^(g\+\+|binutils|libgtest-dev|libbenchmark-dev)$ ]] || grep -qE "^ $package( |,|$)" "$root/debian/control" ||
    wrong "debian/control: Build-Depends lacks $package of scripts/programs"
done

export DESTDIR=$work/root
installed() { (cd "$DESTDIR" && find . -type f | sort); }

mkdir -p "$DESTDIR/etc/default"
echo 'RULES_OPTS="--intercept eth9"' >"$DESTDIR/etc/default/pepsal"
cmake --install "$build" >"$work/said" || wrong "cmake --install: $(tail -n 5 "$work/said")"
prefix=$(sed -n 's/^CMAKE_INSTALL_PREFIX:PATH=//p' "$build/CMakeCache.txt")
for file in "$prefix"/sbin/{pepsal,pepsalctl,pepsal-iptables,pepsal-satlink} "$prefix/libexec/pepsal-queuer" \
  "$prefix/lib/systemd/system/pepsal"{,-rules,-link}{,@}.service "$prefix/share/man/man8/pepsal.8" /etc/pepsal/pepsal.conf; do
  [[ -s $DESTDIR$file ]] || wrong "$file is not installed"
done
grep -q eth9 "$DESTDIR/etc/default/pepsal" || wrong "a file of the administrator's was overwritten"
! grep -rE '@[A-Z_]+@' "$DESTDIR$prefix/lib/systemd" || wrong "a unit has a name that was not filled in"

for script in pepsal-iptables pepsal-satlink; do # they find their parts, wherever both are installed
  "$DESTDIR$prefix/sbin/$script" --help >"$work/said" 2>&1 || wrong "the installed $script: $(cat "$work/said")"
done

# It finds its queuer, wherever both are installed.
if daemon=$("$root/scripts/lab/launch.py" "$work/log" unshare -n sh -c 'ip link set lo up && exec "$@"' sh \
  "$DESTDIR$prefix/sbin/pepsal" --instance "inst$$" --pidfile "$work/pid"); then
  kill -TERM "$daemon"
  eventually have_ended "$daemon" || wrong "the installed daemon does not end"
else
  wrong "the installed daemon does not start: $(cat "$work/log")"
fi
daemon=

cmake -DMANIFEST="$build/install_manifest.txt" -P "$root/scripts/system/uninstall.cmake" >"$work/said" 2>&1 ||
  wrong "uninstall: $(cat "$work/said")"
[[ $(installed | paste -sd ' ') == "./etc/default/pepsal ./etc/pepsal/pepsal.conf" ]] || wrong "uninstall leaves: $(installed)"
[[ -z $(find "$DESTDIR$prefix" -name '*pepsal*') ]] || wrong "uninstall leaves folders: $(find "$DESTDIR$prefix" -name '*pepsal*')"
end_test
