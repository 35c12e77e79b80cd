# A lab of scripts/lab/satlab with PEPsal on both boxes, which ends with the test. Source shell.sh first, and set lab,
# the lab's name; server is the address of the lab's server.
# shellcheck shell=bash disable=SC2034,SC2154

readonly server=10.81.3.2 user=10.81.1.2

work=$(mktemp -d)
pids=()

satlab() { SATSIM=$PEPSAL_BIN_DIR/satsim "$root/scripts/lab/satlab" --name "$lab" --folder "$work" "$@"; }
satbox() { "$root/scripts/lab/satbox" --name "$lab" "$@"; }
in_role() { ip netns exec "$lab-$1" "${@:2}"; }
counter() { satbox status "$1" | awk -v name="$2" '$1 == name { print $2 }'; } # ROLE NAME
log_has() { satbox log "$1" | grep -F -- "$2" >/dev/null; }                              # ROLE TEXT

take_lab_down() {
  local role pid
  for role in term gw; do satbox stop $role >/dev/null 2>&1 || true; done
  for pid in "${pids[@]}"; do kill "$pid" 2>/dev/null || true; done
  pids=()
  satlab down >/dev/null 2>&1 || true
}
trap 'take_lab_down; rm -rf "$work"' EXIT
trap 'exit 130' INT TERM

# Runs a program of the lab until the end of the test.
run_beside() { # ROLE COMMAND...
  setsid ip netns exec "$lab-$1" "${@:2}" >/dev/null 2>&1 </dev/null &
  pids+=($!)
}

# The same for a server: returns once it listens.
serve_beside() { # ROLE PORT COMMAND...
  run_beside "$1" "${@:3}"
  eventually listens "$lab-$1" "$2" || wrong "nobody listens at port $2 of $1"
}

# A SYN to the server's port 80 that comes out of the terminal's box with any address: with a request in it, or only
# with a request for a Fast Open cookie.
forged_syn() { # SOURCE PORT data|wish
  in_role term python3 "$root/tests/support/forged_syn.py" "$@" "$server" 80
}
