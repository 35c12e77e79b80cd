"""The lab of scripts/lab/satlab with one more host, "near", at the gateway's box:

    user -- term == satellite == gw -- server        two boxes between user and server
                                  gw -- near         one box between near and server

Namespaces are only entered to create a socket, or by programs that are started in them."""

import contextlib
import ctypes
import os
import subprocess
import time
from pathlib import Path

SCRIPTS = Path(__file__).resolve().parent.parent
BIN = Path(os.environ.get("PEPSAL_BIN_DIR", SCRIPTS.parent / "build/bin")).resolve()
ADDRESSES = {"user": ("10.81.1.2", "fd00:81:1::2"), "near": ("10.81.4.2", "fd00:81:4::2"),
             "server": ("10.81.3.2", "fd00:81:3::2")}
CLONE_NEWNET = 0x40000000
SCENARIO = """DESCRIPTION=A short satellite for the soak
DOWN_MBIT={down}
UP_MBIT={up}
RTT_MS=80
SEED={seed}
"""

libc = ctypes.CDLL(None, use_errno=True)


class SoakError(Exception):
    """Something of the soak's own that could not be created; one line."""


def call(*command, check=True):
    """Runs a command and returns its output; its last line is the error if it fails."""
    done = subprocess.run([str(word) for word in command], stdin=subprocess.DEVNULL, capture_output=True, text=True,
                          check=False)
    if check and done.returncode != 0:
        words = (done.stderr or done.stdout).strip().splitlines()
        raise SoakError(f"{Path(str(command[0])).name}: {words[-1] if words else f'ended with {done.returncode}'}")
    return done.stdout


class Namespace:
    """A network namespace in which sockets can be created."""

    def __init__(self, name):
        self.name = name
        self.descriptor = os.open(f"/run/netns/{name}", os.O_RDONLY | os.O_CLOEXEC)

    def close(self):
        os.close(self.descriptor)

    @contextlib.contextmanager
    def entered(self):
        home = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        try:
            self._enter(self.descriptor)
            yield
        finally:
            self._enter(home)
            os.close(home)

    @staticmethod
    def _enter(descriptor):
        if libc.setns(descriptor, CLONE_NEWNET) != 0:
            raise OSError(ctypes.get_errno(), "setns")

    def run(self, *command, check=True):
        return call("ip", "netns", "exec", self.name, *command, check=check)


class Network:
    """Use with 'with': removed at the end, however that comes about."""

    def __init__(self, name, folder, seed, rates=(40, 10)):
        self.name, self.folder, self.seed, self.rates = name, Path(folder), seed, rates
        self.namespaces = {}
        self.satsim = []  # later ones; the first belongs to the lab

    def __enter__(self):
        try:
            (self.folder / "soak.conf").write_text(SCENARIO.format(down=self.rates[0], up=self.rates[1], seed=self.seed))
            self._satlab("up", self.folder / "soak.conf")
            for role in ("user", "term", "gw", "server"):
                self.namespaces[role] = Namespace(f"{self.name}-{role}")
            self._add_near()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        for namespace in self.namespaces.values():
            namespace.close()
        if "near" in self.namespaces:
            call("ip", "netns", "del", f"{self.name}-near", check=False)
        if self._status():
            self._satlab("down")
        for process in self.satsim:
            process.kill()
            process.wait()

    def __getitem__(self, role):
        return self.namespaces[role]

    def _satlab(self, *arguments):
        return call("env", f"SATSIM={BIN / 'satsim'}", SCRIPTS / "lab/satlab", "--name", self.name, *arguments)

    def _status(self):
        """What satlab says about the lab; nothing if there is none."""
        text = call(SCRIPTS / "lab/satlab", "--name", self.name, "status", check=False)
        return dict(line.split("=", 1) for line in text.splitlines() if "=" in line)

    def _add_near(self):
        near, gateway = f"{self.name}-near", f"{self.name}-gw"
        call("ip", "netns", "add", near)
        self.namespaces["near"] = Namespace(near)
        call("ip", "link", "add", "eth0", "netns", near, "type", "veth", "peer", "name", "near0", "netns", gateway)
        for namespace, device, host in ((near, "eth0", 2), (gateway, "near0", 1)):
            call("ip", "-n", namespace, "address", "add", f"10.81.4.{host}/24", "dev", device)
            call("ip", "-n", namespace, "address", "add", f"fd00:81:4::{host}/64", "dev", device, "nodad")
            call("ip", "-n", namespace, "link", "set", device, "up")
            call("ip", "-n", namespace, "link", "set", "lo", "up")
        call("ip", "-n", near, "route", "add", "default", "via", "10.81.4.1")
        call("ip", "-n", near, "-6", "route", "add", "default", "via", "fd00:81:4::1")

    # --- the satellite's interfaces, which disappear with their satsim

    def remove_satellite(self):
        os.kill(int(self._status()["satsim_pid"]), 9)
        while call("ip", "-n", f"{self.name}-gw", "link", "show", "sat0", check=False):
            time.sleep(0.02)

    def restore_satellite(self):
        state = Path(self._status()["state"])
        log = open(state / "satsim.log", "wb")
        process = subprocess.Popen(
            ["ip", "netns", "exec", f"{self.name}-term", str(BIN / "satsim"), "--a-device", "sat0", "--b-namespace",
             f"{self.name}-gw", "--b-device", "sat0", "--rate-down", str(self.rates[0]), "--rate-up", str(self.rates[1]),
             "--rtt", "80", "--seed", str(self.seed)],
            stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)
        log.close()
        self.satsim.append(process)
        (state / "satsim.pid").write_text(f"{process.pid}\n")
        deadline = time.monotonic() + 20
        while "satsim ready" not in (state / "satsim.log").read_text():
            if process.poll() is not None or time.monotonic() > deadline:
                raise SoakError("satsim did not start again")
            time.sleep(0.02)
        self.address_satellite()

    def address_satellite(self):
        """Sets again what an interface loses when it goes down or away; what is there already stays."""
        for role, host, other, network in (("term", 1, 2, 3), ("gw", 2, 1, 1)):
            batch = (f"link set sat0 up\naddress replace 10.81.2.{host}/24 dev sat0\n"
                     f"address replace fd00:81:2::{host}/64 dev sat0 nodad\n"
                     f"route replace 10.81.{network}.0/24 via 10.81.2.{other}\n"
                     f"route replace fd00:81:{network}::/64 via fd00:81:2::{other}\n")
            subprocess.run(["ip", "-n", f"{self.name}-{role}", "-batch", "-"], input=batch, text=True, check=True,
                           capture_output=True)
