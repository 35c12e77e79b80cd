"""One lab of scripts/lab/satlab with a server in it, and what runs on its boxes."""

import os
import re
import shutil
import subprocess
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from browser import write_page
from programs import SSHD

SCRIPTS = Path(__file__).resolve().parent.parent
SERVER = "10.81.3.2"
OTHER_PORT = 5000
# How the C versions of PEPsal are started and given traffic; {path} and {port} are filled in.
OTHER_COMMAND = "{path} -p {port} -c 2000"

class LabError(Exception):
    """A part of the lab that could not be created; one line."""


def call(*command, **options):
    """Runs a command; its last line of output is the error if it fails."""
    done = subprocess.run([str(word) for word in command], stdin=subprocess.DEVNULL, capture_output=True, text=True,
                          check=False, **options)
    if done.returncode != 0:
        words = (done.stderr or done.stdout).strip().splitlines()
        raise LabError(words[-1] if words else f"{command[0]} ended with {done.returncode}")
    return done.stdout


class Lab:
    """Use with 'with': removed at the end, however that comes about."""

    def __init__(self, name, conf, seed, options):
        self.name = name
        self.conf = conf
        self.seed = seed
        self.options = options
        self.folder = None
        self.background = []
        self.with_peers = False
        self.boxes = []  # those with PEPsal

    def __enter__(self):
        self.folder = Path(tempfile.mkdtemp(prefix=f"satbench{os.getpid()}-", dir="/dev/shm"))
        self.www = self.folder / "www"
        self.www.mkdir()
        try:
            self._write_scenario()
            self._satlab("--folder", self.folder, "up", self.conf)
            self._start_servers()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        for role in self.boxes:
            self.stop_box(role)
        if self._is_there():
            self._satlab("down")
        for process in self.background:
            process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)

    def namespace(self, role):
        return f"{self.name}-{role}"

    def _write_scenario(self):
        """The scenario file with another sequence of losses."""
        name = f"{self.conf}.conf"
        lines = (Path(self.options.folder) / name).read_text().splitlines()
        kept = [line for line in lines if not line.startswith("SEED=")]
        (self.folder / name).write_text("\n".join([*kept, f"SEED={self.seed}"]) + "\n")

    def _is_there(self):
        """Whether there is a lab, even a half-built one."""
        try:
            return bool(self._satlab("status"))
        except LabError:
            return False

    def _satlab(self, *arguments):
        return call(SCRIPTS / "lab/satlab", "--name", self.name, *arguments)

    def inside(self, role, *command):
        return call("ip", "netns", "exec", self.namespace(role), *command)

    def _spawn(self, role, command, log):
        with open(self.folder / log, "wb") as output:
            process = subprocess.Popen(["ip", "netns", "exec", self.namespace(role), *command],
                                       stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True)
        self.background.append(process)
        return process

    def _start_servers(self):
        write_page(self.www)
        self.inside("server", SCRIPTS / "lab/webserver", "--tls", self.folder, SERVER)
        if self.options.with_ssh:
            for key in ("host_key", "client_key"):
                call("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", self.folder / key)
            (self.folder / "sshd_config").write_text(SSHD.format(host=SERVER, folder=self.folder))
            Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
            # sshd executes itself again for each connection, so it needs its full path.
            process = self._spawn("server", ["/usr/sbin/sshd", "-D", "-e", "-f", f"{self.folder}/sshd_config"], "sshd.out")
            self._await_listener("server", 22, process, "sshd.out")

    def _await_listener(self, role, port, process, log):
        for _ in range(200):
            if f":{port} " in self.inside(role, "ss", "-Hltn"):
                return
            if process.poll() is not None:
                break
            time.sleep(0.05)
        lines = (self.folder / log).read_text(errors="replace").strip().splitlines()
        raise LabError(f"{process.args[4]} did not start: {lines[-1] if lines else 'it said nothing'}")

    def put(self, name, content):
        (self.www / name).write_bytes(content)

    # --- what runs on the boxes

    def start_column(self, column):
        """direct leaves the boxes as plain routers."""
        program, _, boxes = column.rpartition("-")
        roles = {"gateway": ["gw"], "terminal": ["term"], "both": ["gw", "term"], "direct": []}[boxes]
        for role in roles:
            if program == "other":
                self._start_other(role)
            else:
                self.boxes.append(role)
                self.start_box(role, peers=boxes == "both" and self.options.peers)
        if column == "both" and self.options.peers:
            self._await_peers(roles)
            self.with_peers = True

    def _satbox(self, action, role, *options, peers=False):
        flags = ([] if self.options.tuning else ["--no-tuning"]) + (["--peers"] if peers else [])
        return call(SCRIPTS / "lab/satbox", "--name", self.name, *flags, action, role, *options)

    def start_box(self, role, peers=False):
        self._satbox("start", role, *self.options.pepsal_options, peers=peers)

    def _await_peers(self, roles):
        """Waits until the pools of warm connections are full, as they are in daily use."""
        for _ in range(600):
            status = [self._satbox("status", role) for role in roles]
            found = [re.search(r"^peer .* up .* ready=(\d+) target=(\d+)", text, re.MULTILINE) for text in status]
            if all(match and match[1] == match[2] for match in found):
                return
            time.sleep(0.1)
        raise LabError("the boxes do not become each other's peers: see satbox status")

    def warm_connections_used(self):
        """Those used by clients of the terminal's box so far; None without peers."""
        if not self.with_peers:
            return None
        return int(re.search(r"^warm_connections_used (\d+)", self._satbox("status", "term"), re.MULTILINE)[1])

    def stop_box(self, role):
        try:
            self._satbox("stop", role)
        except LabError:
            pass  # taking the lab down removes everything

    def _start_other(self, role):
        """Any transparent proxy that listens on a port and takes connections from TPROXY."""
        command = self.options.other_command.format(path=self.options.other, port=OTHER_PORT).split()
        process = self._spawn(role, command, f"other-{role}.out")
        self._await_listener(role, OTHER_PORT, process, f"other-{role}.out")
        terrestrial = "wan0" if role == "gw" else "lan0"
        self.inside(role, SCRIPTS / "lab/tproxy", OTHER_PORT, terrestrial, "sat0")

    # --- the satellite

    def restart_schedule(self):
        """Restarts losses and changes of rate, so that every transfer sees the same ones."""
        self._satlab("restart-schedule")

    def tell_rate(self, down, up):
        """Tells all boxes at once what a modem would tell them."""
        def tell(role):
            self.inside(role, "env", f"PATH={SCRIPTS / 'system'}:{os.environ['PATH']}",
                        Path(os.environ["PEPSAL_BIN_DIR"]) / "pepsalctl", "--instance", f"{self.name}-{role}",
                        "link", "sat0", "--rate", f"{down:g}/{up:g}")

        with ThreadPoolExecutor(2) as pool:
            list(pool.map(tell, self.boxes))

    def link_counters(self):
        counters = {}
        for line in self._satlab("stats").splitlines():
            words = dict(word.split("=", 1) for word in line.split())
            counters[words.pop("direction")] = {key: int(value) for key, value in words.items() if value.isdigit()}
        return counters


def link_share(before, after):
    """What one transfer has sent over the satellite and lost there."""
    kept = ("offered_packets", "offered_bytes", "queue_drops", "random_losses", "outage_losses")
    return {way: {key: after[way][key] - before[way][key] for key in kept} for way in after}
