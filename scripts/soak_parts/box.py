"""PEPsal on one box of the network: started as an administrator would start it, inspected, counted."""

import asyncio
import contextlib
import json
import os
import re
import resource
import signal
import socket
import subprocess
import time
from pathlib import Path

from network import BIN, SCRIPTS, SoakError, call

CGROUPS = Path("/sys/fs/cgroup")
# A /dev in which log is the soak's own socket: nothing of the machine's is used or visible.
OWN_DEV = """
set -e
dev=$1 log=$2
shift 2
mkdir -p "$dev"
mount -t tmpfs dev "$dev"
mkdir "$dev/shm"
mount --bind /dev/shm "$dev/shm"
for name in null zero random urandom; do
  touch "$dev/$name"
  mount --bind "/dev/$name" "$dev/$name"
done
ln -s "$log" "$dev/log"
mount --move "$dev" /dev
exec "$@"
"""


class Cgroup:
    """A cgroup of one controller, version 1 or 2, for the daemon of one box; none if the machine does not permit it."""

    def __init__(self, controller, name):
        self.folder = None
        first = CGROUPS / controller / name
        second = CGROUPS / name
        try:
            if (CGROUPS / controller / "cgroup.procs").exists():
                first.mkdir()
                self.folder, self.version = first, 1
            elif controller in (CGROUPS / "cgroup.controllers").read_text().split():
                (CGROUPS / "cgroup.subtree_control").write_text(f"+{controller}")
                second.mkdir(exist_ok=True)
                self.folder, self.version = second, 2
        except OSError:
            pass

    def join_by(self):
        return [] if self.folder is None else [str(self.folder / "cgroup.procs")]

    def read(self, first, second):
        return int((self.folder / (first if self.version == 1 else second)).read_text())

    def write(self, first, second, value):
        (self.folder / (first if self.version == 1 else second)).write_text(str(value))

    def remove(self):
        if self.folder is not None:
            with contextlib.suppress(OSError):
                self.folder.rmdir()


class Syslog:
    """Reads what a box logs; stops reading when told to."""

    def __init__(self, path):
        self.path = path
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        self.socket.bind(str(path))
        self.lines = []
        self.file = open(f"{path}.txt", "w", encoding="utf-8", errors="replace")

    def read(self):
        with contextlib.suppress(BlockingIOError):
            while True:
                line = self.socket.recv(65536).decode(errors="replace")
                self.lines.append((time.monotonic(), line))
                self.file.write(f"{time.monotonic():.3f} {line}\n")
                self.file.flush()

    def start(self):
        asyncio.get_running_loop().add_reader(self.socket, self.read)

    def stop(self):
        asyncio.get_running_loop().remove_reader(self.socket)

    def close(self):
        self.socket.close()
        self.file.close()


class Box:
    def __init__(self, network, role, options):
        self.network, self.role, self.options = network, role, options
        self.namespace = network[role]
        self.instance = f"{network.name}-{role}"
        self.interfaces = {"term": ["lan0", "sat0"], "gw": ["wan0", "near0", "sat0"]}[role]
        self.folder = network.folder / role
        self.disk = self.folder / "disk"
        self.disk.mkdir(parents=True)
        self.pid_file = self.disk / "pepsal.pid"
        call("mount", "-t", "tmpfs", "-o", "size=64k", "soak", self.disk)
        self.syslog = Syslog(self.folder / "log")
        self.pids = Cgroup("pids", self.instance)
        self.memory = Cgroup("memory", self.instance)

    # --- starting and ending

    def _tune(self, action):
        side = "terminal" if self.role == "term" else "gateway"
        link = [f"--rate={self.network.rates[0]}/{self.network.rates[1]}", "--rtt=80", f"--side={side}"]
        self.namespace.run("env", f"PEPSAL_BIN_DIR={BIN}", SCRIPTS / "system/pepsal-satlink", action, "--interface", "sat0",
                           *(link if action == "start" else []))

    def tune(self):
        self._tune("start")

    def steer(self):
        take = [word for interface in self.interfaces for word in ("--intercept", interface)]
        self.namespace.run(SCRIPTS / "steering/pepsal-iptables", "start", "--instance", self.instance, *take)

    def command(self):
        side = "terminal" if self.role == "term" else "gateway"
        groups = [*self.pids.join_by(), *self.memory.join_by()]
        join = "for group in " + " ".join(groups) + "; do echo $$ >$group; done; " if groups else ""
        rates = f"{self.network.rates[0]}/{self.network.rates[1]}"
        daemon = [str(BIN / "pepsal"), "-d", "--instance", self.instance, "--pidfile", str(self.pid_file),
                  "--link", f"sat0 rate={rates} rtt=80 side={side}", *self.options]
        # ip netns exec shows another /sys, so groups are joined first.
        return ["sh", "-c", join + 'exec "$@"', "sh", "ip", "netns", "exec", self.namespace.name, "unshare", "--mount",
                "--propagation", "private", "sh", "-c", OWN_DEV, "sh", str(self.folder / "dev"), str(self.syslog.path), *daemon]

    async def start(self):
        """None if it is ready, otherwise what it said."""
        process = await asyncio.create_subprocess_exec(*self.command(), stdin=subprocess.DEVNULL,
                                                       stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        try:
            output, _ = await asyncio.wait_for(process.communicate(), 60)
        except asyncio.TimeoutError:
            process.kill()
            return "it did not say within a minute whether it is ready"
        return None if process.returncode == 0 else output.decode(errors="replace").strip() or "no word"

    async def stop(self):
        """Sends SIGTERM, and kills what is left after a while."""
        self.namespace.run(SCRIPTS / "steering/pepsal-iptables", "stop", "--instance", self.instance, check=False)
        with contextlib.suppress(ProcessLookupError, FileNotFoundError, ValueError):
            os.kill(self.manager(), signal.SIGTERM)
        for _ in range(100):
            if not self.processes():
                break
            await asyncio.sleep(0.1)
        for pid in self.processes():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        while self.processes():
            await asyncio.sleep(0.02)

    def discard(self):
        self._tune_off()
        self.syslog.close()
        call("umount", self.disk, check=False)
        for group in (self.pids, self.memory):
            group.remove()
        for path in (f"/dev/shm/pepsal.{self.instance}", f"/run/pepsal/{self.instance}.ctl"):
            Path(path).unlink(missing_ok=True)

    def _tune_off(self):
        with contextlib.suppress(SoakError):
            self._tune("stop")

    # --- inspecting

    def manager(self):
        return int(self.pid_file.read_text())

    def processes(self):
        """{pid: title} of all processes of the daemon."""
        found = {}
        for word in call("ip", "netns", "pids", self.namespace.name).split():
            with contextlib.suppress(OSError):
                title = Path(f"/proc/{word}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
                if title.startswith("pepsal") or "/pepsal" in title.split(" ")[0]:
                    found[int(word)] = title
        return found

    def role_of(self, title):
        for role in ("connection manager", "queuer", "dialler", "keeper", "proxy idle", "proxy waiting", "proxy"):
            if f"pepsal: {role}" in title or (role == "queuer" and "pepsal-queuer" in title):
                return role
        return "other"

    def of_role(self, *roles):
        return [pid for pid, title in self.processes().items() if self.role_of(title) in roles]

    async def ask(self, *words):
        process = await asyncio.create_subprocess_exec(
            "ip", "netns", "exec", self.namespace.name, str(BIN / "pepsalctl"), "--instance", self.instance, *words,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        output, error = await process.communicate()
        if process.returncode != 0:
            raise SoakError(f"pepsalctl {words[0]}: {error.decode(errors='replace').strip()}")
        return output.decode()

    async def connections(self):
        """Entries of the table, as shown by pepsalctl list."""
        return json.loads(await self.ask("list", "--json"))["connections"]

    async def clients(self):
        """Of all connections that its processes carry: those served without an entry only show in process titles."""
        titled = {match[1] for title in self.processes().values() if (match := re.match(r"pepsal: proxy (\S+) -> ", title))}
        return titled | {row["client"] for row in await self.connections()}

    async def status(self):
        text = await self.ask("status")
        return {name: int(value) for name, value in re.findall(r"^(\w+) (\d+)$", text, re.MULTILINE)}

    # --- limits

    def leave_descriptors(self, more):
        """How many more each process may have than now; processes forked meanwhile inherit it."""
        for pid in self.processes():
            with contextlib.suppress(OSError, ValueError):
                _, hard = resource.prlimit(pid, resource.RLIMIT_NOFILE)
                highest = max(int(number) for number in os.listdir(f"/proc/{pid}/fd"))
                resource.prlimit(pid, resource.RLIMIT_NOFILE, (min(highest + 1 + more, hard), hard))

    def limit_descriptors(self, soft):
        for pid in self.processes():
            with contextlib.suppress(OSError):
                _, hard = resource.prlimit(pid, resource.RLIMIT_NOFILE)
                resource.prlimit(pid, resource.RLIMIT_NOFILE, (min(soft, hard), hard))

    def descriptor_limit(self):
        return resource.prlimit(self.manager(), resource.RLIMIT_NOFILE)[0]

    # --- counting

    def rules(self):
        lines = []
        for program in ("iptables-save", "ip6tables-save"):
            lines += [line for line in self.namespace.run(program).splitlines() if not line.startswith("#")]
        for family in ("-4", "-6"):
            lines += self.namespace.run("ip", family, "rule").splitlines()
        return [re.sub(r"\[\d+:\d+\]", "", line) for line in lines]

    async def inventory(self):
        """What must be the same before the traffic and after it."""
        processes = self.processes()
        roles = [self.role_of(title) for title in processes.values()]
        manager = self.manager()
        sockets = self.namespace.run("ss", "-HtanO", "state", "connected", "exclude", "time-wait")
        held = [line for line in sockets.splitlines() if ":5001 " not in line]
        memory = Path(f"/proc/{manager}/smaps_rollup").read_text()
        return {
            "slots": (await self.status())["entries"],
            "busy": roles.count("proxy"),
            "managers": roles.count("connection manager"),
            "queuers": roles.count("queuer"),
            "keepers": roles.count("keeper"),
            "diallers": roles.count("dialler"),
            "other processes": roles.count("other"),
            "idle": roles.count("proxy idle"),
            "waiting for a peer": roles.count("proxy waiting"),
            "manager's descriptors": len(os.listdir(f"/proc/{manager}/fd")),
            "queuer's descriptors": sum(len(os.listdir(f"/proc/{pid}/fd")) for pid in self.of_role("queuer")),
            "manager's private kB": sum(int(kb) for kb in re.findall(r"^Private_\w+: +(\d+)", memory, re.MULTILINE)),
            "sockets": len(held),
            "shared memory": len(list(Path("/dev/shm").glob(f"pepsal.{self.instance}*"))),
            "rules": self.rules(),
        }
