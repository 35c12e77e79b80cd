"""The subjects: servers behind a box, with nothing, HAProxy or the daemon on the box."""

import contextlib
import os
import signal
import time
from pathlib import Path

from network import BenchError, await_true, say

ROOT = Path(__file__).resolve().parent.parent.parent
BINARIES = Path(os.environ.get("PEPSAL_BIN_DIR") or ROOT / "build/bin")
SERVER = "10.2.0.2"
PINGPONG_PORT = 7
REUSE_OPTIONS = ["--proxy-reuse", "1000", "--spare-proxies", "48"]

# A path's name and the options of the daemon on it; None: no daemon.
DAEMON_OPTIONS = {
    "plain": None,
    "haproxy": None,
    "pepsal": [],
    "reuse": REUSE_OPTIONS,
    "honest": ["--connect", "honest"],
    # One client makes all the connections of the idle figure.
    "idle": ["--max-connections", "12000", "--max-connections-per-client", "12000"],
}

# Not scripts/lab/webserver's: as a daemon, nginx would be its own scheduling group, see Network.spawn.
NGINX = """worker_processes auto;
pid {work}/nginx-{name}.pid;
error_log {work}/nginx-{name}.err;
daemon off;
events {{ worker_connections 4096; }}
http {{
  access_log off;
  client_body_temp_path {work}/nginx-{name}.tmp;
  proxy_temp_path {work}/nginx-{name}.tmp;
  fastcgi_temp_path {work}/nginx-{name}.tmp;
  uwsgi_temp_path {work}/nginx-{name}.tmp;
  scgi_temp_path {work}/nginx-{name}.tmp;
  server {{
    listen 80 backlog=4096;
    location / {{ return 200 "An answer that fits into one segment.\\n"; }}
  }}
}}
"""

HAPROXY_PORT = 5001
HAPROXY = """defaults
  mode tcp
  option splice-request
  option splice-response
  backlog 4096
  timeout connect 10s
  timeout client 1h
  timeout server 1h
listen everything
  bind :{port} transparent
  source 0.0.0.0 usesrc client
  server origin 0.0.0.0:0
"""


class Daemon:
    """The daemon on a box, in the foreground."""

    def __init__(self, network, box, options, core=None):
        self.network, self.box = network, box
        self.instance = network.full_name(box)
        self.pid_file = network.work / f"{box}.pid"
        self.process = network.launch(box, f"{box}.log", BINARIES / "pepsal", "--instance", self.instance, "--pidfile",
                                      self.pid_file, *options, core=core)

    def counter(self, name):
        status = self.network.call(BINARIES / "pepsalctl", "--instance", self.instance, "status")
        found = [line.split()[1] for line in status.splitlines() if line.split()[:1] == [name]]
        return int(found[0]) if found else 0

    def stop(self):
        with contextlib.suppress(OSError, ValueError):
            os.kill(int(self.pid_file.read_text()), signal.SIGTERM)
        if not await_true(lambda: self.process.poll() is not None, 5):
            self.network.kill_all(self.box)


class Subject:
    """A path with its servers and what runs on its box."""

    def __init__(self, network, name, web=True):
        self.network, self.name = network, name
        self.client, self.box, self.server = f"{name}-client", f"{name}-box", f"{name}-server"
        self.daemon = None
        say(f"preparing {name}")
        network.make_path(name)
        self._start_servers(web)
        if name == "haproxy":
            self._start_haproxy()
        if DAEMON_OPTIONS[name] is not None:
            self.daemon = Daemon(network, self.box, DAEMON_OPTIONS[name])
            network.inside(self.box, ROOT / "scripts/steering/pepsal-iptables", "start", "--intercept", "clients")

    def _start_servers(self, web):
        network = self.network
        network.spawn(self.server, f"pingpong-{self.name}.log", BINARIES / "pingpong", "server", SERVER, PINGPONG_PORT)
        if web:
            conf = network.work / f"nginx-{self.name}.conf"
            conf.write_text(NGINX.format(work=network.work, name=self.name))
            network.spawn(self.server, f"nginx-{self.name}.log", "nginx", "-c", conf, "-e", conf.with_suffix(".err"))
            network.spawn(self.server, f"iperf3-{self.name}.log", "iperf3", "-s")

    def _start_haproxy(self):
        network, box = self.network, self.box
        conf = network.work / "haproxy.cfg"
        conf.write_text(HAPROXY.format(port=HAPROXY_PORT))
        network.inside(box, ROOT / "scripts/lab/tproxy", HAPROXY_PORT, "clients")
        network.spawn(box, "haproxy.log", "haproxy", "-db", "-f", conf)

    def listens(self, port):
        return f":{port} " in self.network.inside(self.server, "ss", "-Hltn")

    def see_that_it_answers(self):
        if not await_true(lambda: self.listens(80), 10):
            raise BenchError(f"{self.name}: the server does not start")
        time.sleep(0.5)
        self.network.inside(self.client, "curl", "-sS", "-m", "10", "-o", self.network.work / "answer", f"http://{SERVER}/")
        if self.daemon and self.daemon.counter("connections_opened") == 0:
            raise BenchError(f"{self.name}: the daemon did not get the connection")
