# Fresh Debian 12 systems in folders, for tests of what a minimal machine needs: scripts/check and
# tests/integration/package_test.sh source this, after common.sh. Needs root and debootstrap.
# shellcheck shell=bash disable=SC2154

# A fresh Debian 12 with this tree in it, where COMMAND runs in namespaces of its own.
in_fresh_root() { # FOLDER COMMAND...
  local fresh=$1
  shift
  # shellcheck disable=SC2016
  unshare --mount --pid --fork --kill-child bash -c '
    set -e
    cd "$0"
    mount --bind . .
    cd "$0"
    mount -t proc proc proc
    mount --rbind /sys sys
    mount --rbind /dev dev
    mount -t tmpfs tmpfs run
    mount -t tmpfs -o mode=1777 tmpfs tmp
    pivot_root . mnt
    cd /
    umount -l mnt
    exec env -i CI="${CI-}" HOME=/root LANG=C.UTF-8 PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
      "$@"' "$fresh" "$@"
}

# The mirror from which this machine gets its packages, if it is a Debian 12, otherwise Debian's own.
debian_mirror() {
  local mirror
  # shellcheck disable=SC2016
  mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' 'Origin: Debian' 'Codename: bookworm' | sed -n 1p)
  echo "${mirror:-http://deb.debian.org/debian}"
}

make_fresh_root() { # FOLDER
  debootstrap --variant=minbase bookworm "$1" "$(debian_mirror)"
  cp -r /etc/apt/apt.conf.d "$1/etc/apt/"
  echo force-unsafe-io >"$1/etc/dpkg/dpkg.cfg.d/unsafe-io" # nothing here must survive a loss of power
  cp /etc/resolv.conf "$1/etc/" 2>/dev/null || true
  mkdir "$1/pepsal"
  (cd "$root" && git ls-files -z | tar --null -T - -c) | tar -x -C "$1/pepsal"
  git -C "$1/pepsal" init -q
  git -C "$1/pepsal" add -A
}
