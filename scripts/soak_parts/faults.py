"""What happens to the boxes: one object for each kind of fault. begin() does it, end() undoes it; an Event tells the judge which
connections it may have cost, and when it was over. A long file, because it is one list: all faults are seen at a glance."""

import asyncio
import contextlib
import os
import signal
import socket
import time

from network import SoakError

GENEROUS = 1 << 40


class Event:
    def __init__(self, fault, box):
        self.fault, self.box = fault, box
        self.begin, self.end = time.monotonic(), None
        self.victims = set()  # clients' ends of connections whose processes were killed
        self.again = None  # seconds until a new connection was accelerated
        self.findings, self.notes = [], []
        self.lost = []  # which connections it has cost, for --keep


class Fault:
    name = ""
    hold = (0.5, 3.0)  # seconds
    opening = False  # whether it may cost connections that are just being opened
    by_log = False  # whether the kernel chooses the victim, which the daemon's log names
    boxes = ("term", "gw")
    reason = None  # why it is skipped

    def __init__(self, soak):
        self.soak, self.chance = soak, soak.chance

    def lacks(self):
        """Why it is not available on this machine, or None."""

    async def begin(self, event):
        raise NotImplementedError

    async def end(self, event):
        pass

    def concerns(self, event, connection):
        return event.box is None or event.box.role in connection.boxes

    async def busy(self, box):
        return [row for row in await box.connections() if row["state"] == "open" and row["pid"] > 0]

    def some(self, rows, most):
        return self.chance.sample(rows, min(len(rows), self.chance.randint(1, most)))


def send(pids, number):
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)


async def start_again(event):
    failure = await event.box.start()
    if failure:
        event.findings.append(f"the daemon did not start again: {failure}")


class ProxiesKilled(Fault):
    name, hold = "proxies killed", (0, 0.5)

    async def begin(self, event):
        for row in self.some(await self.busy(event.box), 4):
            event.victims.add(row["client"])
            send([row["pid"]], signal.SIGKILL)


class ProxiesStopped(Fault):
    name = "proxies stopped"

    async def begin(self, event):
        self.pids = [row["pid"] for row in self.some(await self.busy(event.box), 8)]
        send(self.pids, signal.SIGSTOP)

    async def end(self, event):
        send(self.pids, signal.SIGCONT)


class IdleKilled(Fault):
    name, hold, opening = "idle proxies killed", (0, 0.5), True

    async def begin(self, event):
        pids = event.box.of_role("proxy idle", "proxy waiting")
        rows = {row["pid"]: row["client"] for row in await event.box.connections()}
        for pid in self.some(pids, 12):
            event.victims |= {rows[pid]} if pid in rows else set()
            send([pid], signal.SIGKILL)


class IdleStopped(Fault):
    name = "idle proxies stopped"

    async def begin(self, event):
        self.pids = event.box.of_role("proxy idle", "proxy waiting")
        send(self.pids, signal.SIGSTOP)

    async def end(self, event):
        send(self.pids, signal.SIGCONT)


class ChildKilled(Fault):
    """A child of which there is only one."""

    hold = (0, 1)
    role = ""

    def lacks(self):
        here = [box for box in self.soak.boxes if box.of_role(self.role)]
        self.boxes = tuple(box.role for box in here)
        return None if here else "not in this arrangement"

    async def begin(self, event):
        send(event.box.of_role(self.role), signal.SIGKILL)


class QueuerKilled(ChildKilled):
    name, role = "queuer killed", "queuer"


class DiallerKilled(ChildKilled):
    name, role, opening = "dialler killed", "dialler", True  # legs wait in it for their clients


class KeeperKilled(ChildKilled):
    name, role = "keeper killed", "keeper"


class QueuerStopped(Fault):
    name = "queuer stopped"

    async def begin(self, event):
        self.pids = event.box.of_role("queuer")
        send(self.pids, signal.SIGSTOP)

    async def end(self, event):
        send(self.pids, signal.SIGCONT)


class ManagerStopped(Fault):
    name = "manager stopped"

    async def begin(self, event):
        self.pid = event.box.manager()
        send([self.pid], signal.SIGSTOP)

    async def end(self, event):
        send([self.pid], signal.SIGCONT)


class ManagerKilled(Fault):
    """Its proxies finish what they have; a connection that none has accepted yet is lost with the listener."""

    name, opening = "manager killed", True

    async def begin(self, event):
        send([event.box.manager()], signal.SIGKILL)

    async def end(self, event):
        await start_again(event)


class AllKilled(ManagerKilled):
    name = "all processes killed"

    async def begin(self, event):
        event.victims |= await event.box.clients()
        while pids := event.box.processes():
            send(pids, signal.SIGKILL)
            await asyncio.sleep(0.02)


class Restarted(Fault):
    name, hold = "restart in place", (0, 0.5)

    async def begin(self, event):
        await event.box.ask("restart")


class TableFull(Fault):
    name = "table full"

    async def begin(self, event):
        path = ("user", "server") if event.box.role == "term" else ("near", "server")
        before = (await event.box.status())["verdicts_bypass_full"]
        self.held = []
        deadline = time.monotonic() + 15
        while time.monotonic() < deadline:
            for _ in range(20):
                family = self.chance.choice((socket.AF_INET, socket.AF_INET6))
                self.held.append(self.soak.traffic.begin("held", path, family))
            await asyncio.sleep(0.3)
            if (await event.box.status())["verdicts_bypass_full"] > before:
                return
        event.notes.append("the table did not fill within 15 s")

    async def end(self, event):
        for connection in self.held:
            connection.release.set()
        deadline = time.monotonic() + self.soak.options.stall
        while any(connection.ended is None for connection in self.held) and time.monotonic() < deadline:
            await asyncio.sleep(0.05)


class DescriptorsOut(Fault):
    name = "descriptors out"

    async def begin(self, event):
        self.before = event.box.descriptor_limit()
        event.box.leave_descriptors(self.chance.choice((0, 0, 1, 2, 4)))

    async def end(self, event):
        event.box.limit_descriptors(self.before)


class ProcessesOut(Fault):
    name = "processes out"

    def lacks(self):
        return None if all(box.pids.folder for box in self.soak.boxes) else "no pids cgroup can be made here"

    async def begin(self, event):
        group = event.box.pids
        group.write("pids.max", "pids.max", group.read("pids.current", "pids.current") + self.chance.randint(0, 3))

    async def end(self, event):
        event.box.pids.write("pids.max", "pids.max", "max")


class MemoryOut(Fault):
    """The kernel kills what it chooses in the group; if that was the manager, the daemon is started again."""

    name, opening, by_log = "memory out", True, True

    def lacks(self):
        return None if all(box.memory.folder for box in self.soak.boxes) else "no memory cgroup can be made here"

    async def begin(self, event):
        group = event.box.memory
        self.manager = event.box.manager()
        self.clients = await event.box.clients()
        used = group.read("memory.usage_in_bytes", "memory.current")
        try:
            group.write("memory.limit_in_bytes", "memory.max", used + self.chance.choice((0, 1, 2)) * 262144)
        except OSError as error:  # memory in use cannot be taken back
            event.notes.append(f"the limit was refused: {error.strerror}")

    async def end(self, event):
        event.box.memory.write("memory.limit_in_bytes", "memory.max", GENEROUS)
        if event.box.role_of(event.box.processes().get(self.manager, "")) != "connection manager":
            event.notes.append("the manager was killed")
            event.victims |= self.clients  # nobody is left to name them
            await start_again(event)


class SyslogStops(Fault):
    name = "syslog reader stops"

    async def begin(self, event):
        event.box.syslog.stop()

    async def end(self, event):
        event.box.syslog.start()


class PidDiskFull(Fault):
    """The daemon is gone and cannot start: connections bypass until there is room."""

    name, opening = "pid file's disk full", True

    async def begin(self, event):
        send([event.box.manager()], signal.SIGKILL)
        event.box.pid_file.unlink(missing_ok=True)
        self.ballast = event.box.disk / "ballast"
        with open(self.ballast, "wb", buffering=0) as file:
            for _ in range(5):  # what the dead daemon held is freed a moment later
                with contextlib.suppress(OSError):
                    while True:
                        file.write(bytes(4096))
                await asyncio.sleep(0.1)
        said = await event.box.start()
        if said is None:
            event.findings.append("the daemon started without a pid file")
        elif "pid file" not in said or "\n" in said:
            event.findings.append(f"the start failed with other words than a line about the pid file: {said!r}")

    async def end(self, event):
        self.ballast.unlink()
        await start_again(event)


class SatelliteGone(Fault):
    """satsim ends, and both boxes' interfaces with it; they come back with other indexes."""

    name, opening, boxes = "satellite interface made again", True, (None,)

    async def begin(self, event):
        self.soak.network.remove_satellite()

    async def end(self, event):
        await asyncio.to_thread(self.soak.network.restore_satellite)
        for box in self.soak.boxes:
            await asyncio.to_thread(box.tune)

    def concerns(self, event, connection):
        return "user" in connection.path


class SatelliteDown(SatelliteGone):
    name = "satellite interface down"

    async def begin(self, event):
        self.soak.network[self.chance.choice(("term", "gw"))].run("ip", "link", "set", "sat0", "down")

    async def end(self, event):
        self.soak.network.address_satellite()
        for box in self.soak.boxes:
            await asyncio.to_thread(box.tune)


class ServersSilent(Fault):
    name, boxes = "servers silent", (None,)

    async def _both(self, action):
        for program in ("iptables", "ip6tables"):
            self.soak.network["server"].run(program, action, "INPUT", "-p", "tcp", "-j", "DROP")

    async def begin(self, event):
        await self._both("-I")

    async def end(self, event):
        await self._both("-D")


class ClockJumps(Fault):
    """Of the whole machine, there and back: time namespaces do not cover the real-time clock, and their offsets are fixed."""

    name, boxes, hold = "clock jumps", (None,), (0.5, 1.5)

    def lacks(self):
        return None if self.soak.options.set_clock else "would set this machine's clock: --set-clock allows it"

    async def begin(self, event):
        self.jump = self.chance.choice((-86400, -3600, 3600, 86400))
        time.clock_settime(time.CLOCK_REALTIME, time.time() + self.jump)

    async def end(self, event):
        time.clock_settime(time.CLOCK_REALTIME, time.time() - self.jump)


ALL = (ProxiesKilled, ProxiesStopped, IdleKilled, IdleStopped, QueuerKilled, QueuerStopped, DiallerKilled, KeeperKilled,
       ManagerStopped, ManagerKilled, AllKilled, Restarted, TableFull, DescriptorsOut, ProcessesOut, MemoryOut, SyslogStops,
       PidDiskFull, SatelliteGone, SatelliteDown, ServersSilent, ClockJumps)


async def probe(soak, box, patience):
    """Seconds until a new connection is accelerated by this box, or None."""
    path = ("user", "server") if box.role == "term" else ("near", "server")
    begin = time.monotonic()
    while time.monotonic() < begin + patience:
        connection = soak.traffic.begin("held", path, soak.chance.choice((socket.AF_INET, socket.AF_INET6)))
        waited = time.monotonic() + 0.7
        while connection.opened is None and time.monotonic() < waited:
            await asyncio.sleep(0.02)
        found = []
        if connection.opened is not None:
            with contextlib.suppress(SoakError):
                found = [row["client"] for row in await box.connections()]
        connection.release.set()
        if connection.client in found:
            return max(connection.opened - begin, 0)
        await asyncio.sleep(0.1)
    return None
