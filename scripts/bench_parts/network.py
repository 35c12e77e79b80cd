"""Network namespaces of one benchmark: created, joined, used, and removed with everything that runs in them."""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parent.parent / "lab"))

from launch import last_words, launch

ALLOWED_CONGESTION = Path("/proc/sys/net/ipv4/tcp_allowed_congestion_control")


class BenchError(Exception):
    """A part that could not be created or measured; one line."""


def say(text):
    print(f"bench: {text}", file=sys.stderr, flush=True)


def await_true(condition, seconds):
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def on_core(core, command):
    """The command on one core, or on any (None, or where there is only one)."""
    return command if core is None or os.cpu_count() == 1 else ["taskset", "-c", str(core), *command]


class Network:
    """Use with 'with'. Names are short; the real ones contain the pid of this process."""

    def __init__(self):
        self.prefix = f"pb{os.getpid()}"
        self.names = []
        self.started = []
        self.allowed_before = None

    def __enter__(self):
        self.work = Path(tempfile.mkdtemp(prefix="bench"))
        return self

    def __exit__(self, *_):
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)
        for name in self.names:
            self.kill_all(name)
        for process in self.started:
            process.wait()
        for name in self.names:
            subprocess.run(["ip", "netns", "delete", self.full_name(name)], check=False)
        if self.allowed_before is not None:
            ALLOWED_CONGESTION.write_text(self.allowed_before)
        # Left by killed daemons: the table and the control socket.
        for left in (*Path("/dev/shm").glob(f"pepsal.{self.prefix}-*"), *Path("/run/pepsal").glob(f"{self.prefix}-*.ctl")):
            left.unlink(missing_ok=True)
        shutil.rmtree(self.work, ignore_errors=True)

    def full_name(self, name):
        return f"{self.prefix}-{name}"

    # --- programs

    def call(self, *command):
        """Runs a command; its last line of output is the error if it fails."""
        done = subprocess.run([str(word) for word in command], stdin=subprocess.DEVNULL, capture_output=True, text=True,
                              check=False)
        if done.returncode != 0:
            words = (done.stderr or done.stdout).strip().splitlines()
            raise BenchError(f"{command[0]}: {words[-1] if words else f'ended with {done.returncode}'}")
        return done.stdout

    def _within(self, name, command, core=None):
        return on_core(core, ["ip", "netns", "exec", self.full_name(name), *(str(word) for word in command)])

    def inside(self, name, *command):
        return self.call(*self._within(name, command))

    # In this process's session: its own session would be its own scheduling group (sched(7), autogroup).
    def spawn(self, name, log, *command, core=None):
        with open(self.work / log, "wb") as output:
            process = subprocess.Popen(self._within(name, command, core), stdin=subprocess.DEVNULL, stdout=output,
                                       stderr=output)
        self.started.append(process)
        return process

    # The same for a program that says when it is ready.
    def launch(self, name, log, *command, core=None):
        process = launch(self.work / log, self._within(name, command, core), own_session=False)
        if process is None:
            raise BenchError(f"'{' '.join(str(word) for word in command)}' did not start: {last_words(self.work / log)}")
        self.started.append(process)
        return process

    def log(self, name):
        return (self.work / name).read_text(errors="replace")

    def pids(self, name):
        return [int(word) for word in self.call("ip", "netns", "pids", self.full_name(name)).split()]

    def kill_all(self, name):
        with contextlib.suppress(BenchError):
            for pid in self.pids(name):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)

    # --- namespaces

    def make(self, name, router=False):
        self.call("ip", "netns", "add", self.full_name(name))
        self.names.append(name)
        self.inside(name, "ip", "link", "set", "lo", "up")
        self.inside(name, "sysctl", "-qw", "net.ipv4.tcp_congestion_control=cubic",
                    "net.ipv4.ip_local_port_range=1024 65535")
        if router:
            self.inside(name, "sysctl", "-qw", "net.ipv4.ip_forward=1", "net.ipv4.conf.all.rp_filter=0",
                        "net.ipv4.conf.default.rp_filter=0")

    def join(self, first, second):
        """A veth pair between two of (namespace, device, address)."""
        (name, device, _), (other, other_device, _) = first, second
        self.call("ip", "link", "add", device, "netns", self.full_name(name), "type", "veth", "peer", "name",
                  other_device, "netns", self.full_name(other))
        for where, link, address in (first, second):
            self.inside(where, "ip", "address", "add", address, "dev", link)
            self.inside(where, "ip", "link", "set", link, "up")

    def make_path(self, subject):
        """Client, box and server of a subject: 10.1.0.2 – box – 10.2.0.2."""
        client, box, server = f"{subject}-client", f"{subject}-box", f"{subject}-server"
        self.make(client)
        self.make(box, router=True)
        self.make(server)
        self.join((client, "up0", "10.1.0.2/24"), (box, "clients", "10.1.0.1/24"))
        self.join((server, "up0", "10.2.0.2/24"), (box, "servers", "10.2.0.1/24"))
        self.inside(client, "ip", "route", "add", "default", "via", "10.1.0.1")
        self.inside(server, "ip", "route", "add", "default", "via", "10.2.0.1")

    def allow_cubic(self):
        """A namespace can only use a congestion control that the initial namespace allows."""
        subprocess.run(["modprobe", "-q", "tcp_cubic"], check=False, stderr=subprocess.DEVNULL)
        allowed = ALLOWED_CONGESTION.read_text()
        if "cubic" not in allowed.split():
            ALLOWED_CONGESTION.write_text(f"{allowed.strip()} cubic")
            self.allowed_before = allowed
