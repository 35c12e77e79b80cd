#!/usr/bin/env bash
# Two boxes that are each other's peers: warm connections with real programs, and what happens when the peer is killed,
# restarted, silent, a stranger or has another key. Needs root. PEPSAL_BIN_DIR names the folder of the programs. Names
# of groups of cases, or of cases, run only these.
set -euo pipefail

# shellcheck source=tests/support/shell.sh
source "$(dirname "$0")/../support/shell.sh"

need_root "to make network namespaces"
need_programs ip ip6tables iptables curl nginx ncat openssl tcpdump iperf3

readonly lab=ppe$$ server6=fd00:81:3::2
# shellcheck source=tests/support/two_boxes.sh
source "$(dirname "$0")/../support/two_boxes.sh"

is_up() { # ROLE READY: the peer is up, with as many warm connections or more
  satbox status "$1" | awk -v "least=$2" '/^peer .* up / { match($0, /ready=[0-9]+/); ready = substr($0, RSTART + 6, RLENGTH - 6) }
    END { exit !(ready + 0 >= least + 0) }'
}
is_down() { satbox status "$1" | grep "^peer .* down .*$2" >/dev/null; }               # ROLE REASON

url() { # FAMILY SCHEME FILE
  if [[ $1 == 4 ]]; then echo "$2://$server/$3"; else echo "$2://[$server6]/$3"; fi
}

fetch() { # FAMILY SCHEME FILE: prints nothing, fails when what comes is not the file
  local got
  got=$(mktemp -p "$work")
  in_role user curl -gfksS --max-time 30 -o "$got" "$(url "$@")" && cmp -s "$got" "$work/www/$3"
}

upload() { # FAMILY SCHEME: what arrives is what was sent
  rm -f "$work/www/up/sent"
  in_role user curl -gfksS --max-time 30 -T "$work/www/large" "$(url "$1" "$2" up/sent)" &&
    cmp -s "$work/www/up/sent" "$work/www/large"
}

start_boxes() { # PEPSAL-OPTION...
  satbox --peers start gw --warm-connections 4 "$@"
  satbox --peers start term --warm-connections 4 "$@"
}

stop_boxes() {
  satbox stop gw
  satbox stop term
}

both_up() { is_up term 4 && is_up gw 4; }

start_up_boxes() { # PEPSAL-OPTION...
  start_boxes "$@"
  eventually both_up || wrong "the peers do not come up: $(satbox status term | grep '^peer')"
}

processes_of() { # ROLE TITLE: pids of the daemon's processes in that namespace
  local pid
  for pid in $(ip netns pids "$lab-$1"); do
    ! tr '\0' ' ' 2>/dev/null <"/proc/$pid/cmdline" | grep "^pepsal: $2" >/dev/null || echo "$pid"
  done
}

kill_gateway() { # as a crash does
  local pid
  for pid in $(processes_of gw ''); do kill -KILL "$pid" 2>/dev/null || true; done
}

set_up() {
  printf '%s\n' DESCRIPTION=test DOWN_MBIT=20 UP_MBIT=10 RTT_MS=100 QUEUE_BDP=2 >"$work/link.conf"
  satlab up link >/dev/null
  mkdir "$work/www"
  head -c 1000 /dev/urandom >"$work/www/small"
  head -c 1500000 /dev/urandom >"$work/www/large"
  head -c 48 /dev/urandom | base64 -w 0 >"$work/secret"
  head -c 48 /dev/urandom | base64 -w 0 >"$work/other"
  chmod 600 "$work/secret" "$work/other"
  in_role server "$root/scripts/lab/webserver" --tls --log "$work" "$server" "$server6"
  serve_beside user 7001 ncat -lk -p 7001 --sh-exec "head -c 6; echo answer" # asked from the server's side
  serve_beside server 7002 ncat -lk -p 7002 --sh-exec "echo banner; cat"     # speaks first
  # Answers once the client's stream has ended; urgent bytes are read in place.
  serve_beside server 7003 python3 -c '
import socket
listener = socket.create_server(("", 7003))
listener.setsockopt(socket.SOL_SOCKET, socket.SO_OOBINLINE, 1)
while True:
    client = listener.accept()[0]
    said = b""
    while piece := client.recv(4096):
        said += piece
    client.sendall(said + b"-end-seen")
    client.close()'
  # Sends as much as is accepted within a second, records how much that was, and sends the rest.
  serve_beside server 7004 python3 -c '
import pathlib, select, socket, sys
content = memoryview((bytes(range(256)) * 62501)[:16_000_000])
listener = socket.create_server(("", 7004))
while True:
    client = listener.accept()[0]
    client.setblocking(False)
    sent = 0
    while sent < len(content) and select.select([], [client], [], 1)[1]:
        sent += client.send(content[sent:sent + 65536])
    pathlib.Path(sys.argv[1]).write_text(str(sent))
    client.setblocking(True)
    client.sendall(content[sent:])
    client.close()' "$work/taken"
  serve_beside server 5201 iperf3 -s
  case=control
  eventually fetch 4 http small || wrong "no way to the server without the boxes"
}

# shellcheck source=tests/integration/peer_cases/transfers.sh
source "$(dirname "$0")/peer_cases/transfers.sh"
# shellcheck source=tests/integration/peer_cases/losses.sh
source "$(dirname "$0")/peer_cases/losses.sh"
# shellcheck source=tests/integration/peer_cases/strangers.sh
source "$(dirname "$0")/peer_cases/strangers.sh"

set_up
start_up_boxes
# shellcheck disable=SC2034 # run_groups reads it
declare -rA groups=(
  [transfers]="carries keeps_dscp speaks_and_half_closes urgent_byte back_pressure from_the_server refused_there box_itself burst
    many_at_once iperf_both_ways"
  [losses]="reset_passes far_proxies_killed keeper_killed peer_goes_and_comes box_restarted forged_syns half_open_ends"
  [unlike]="without_peers mixed_families none_kept less_patient keys"
  [unknown]="strangers silent_strangers bad_input"
)
run_groups "$@"

end_test
