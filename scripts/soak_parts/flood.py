"""A flood of SYNs with spoofed sources, as fast as one processor sends them, at a box with PEPsal and at one that only
forwards, by turns. What keeps working meanwhile is measured: transfers that were there before, and new connections.

    client -- box -- server        the same for both subjects
    flooder --'"""

import asyncio
import contextlib
import errno
import json
import os
import re
import signal
import socket
import statistics
import subprocess
import time
from pathlib import Path

from launch import last_words, launch
from network import BIN, SCRIPTS, Namespace, SoakError, call

SUBJECTS = ("plain", "pepsal")
SERVER, BULK_PORT, ECHO_PORT = "10.2.0.2", 5201, 7001
NEW_CONNECTIONS = 200
FLOWS = 4
# A SYN is sent again after 1 s, then after 2 more, and would be a third time after 7 s.
TWO_RETRANSMISSIONS = 7.0
RECOVERY = 5.0
SHARE_KEPT = 0.8


class Path3:
    """A client, a flooder and a server, and the box between them."""

    def __init__(self, subject, folder):
        self.subject, self.folder = subject, Path(folder)
        self.prefix = f"flood{os.getpid()}-{subject}"
        self.daemon = None
        self.namespaces = {}

    def __enter__(self):
        try:
            self._build()
            if self.subject == "pepsal":
                self._start_pepsal()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        if self.daemon:
            self["box"].run(SCRIPTS / "steering/pepsal-iptables", "stop", "--instance", self.prefix, check=False)
            self.daemon.send_signal(signal.SIGTERM)
            try:
                self.daemon.wait(20)
            except subprocess.TimeoutExpired:
                self.daemon.kill()
                self.daemon.wait()
        for role, namespace in self.namespaces.items():
            namespace.close()
            for pid in call("ip", "netns", "pids", f"{self.prefix}-{role}", check=False).split():
                with contextlib.suppress(ProcessLookupError):
                    os.kill(int(pid), signal.SIGKILL)
            call("ip", "netns", "del", f"{self.prefix}-{role}", check=False)
        for path in (f"/dev/shm/pepsal.{self.prefix}", f"/run/pepsal/{self.prefix}.ctl"):
            Path(path).unlink(missing_ok=True)

    def __getitem__(self, role):
        return self.namespaces[role]

    def _build(self):
        for role in ("client", "flooder", "box", "server"):
            call("ip", "netns", "add", f"{self.prefix}-{role}")
            self.namespaces[role] = Namespace(f"{self.prefix}-{role}")
            self[role].run("ip", "link", "set", "lo", "up")
            # The transfers' rate should only depend on the processor, not on a sender's pacing. Every kernel has this one.
            self[role].run("sysctl", "-qw", "net.ipv4.tcp_congestion_control=reno")
        self["box"].run("sysctl", "-qw", "net.ipv4.ip_forward=1", "net.ipv4.conf.all.rp_filter=0",
                        "net.ipv4.conf.default.rp_filter=0")
        for network, role, device in ((1, "client", "clients"), (2, "server", "servers"), (3, "flooder", "flood")):
            call("ip", "link", "add", "up0", "netns", self[role].name, "type", "veth", "peer", "name", device, "netns",
                 self["box"].name)
            for namespace, interface, host in ((self[role], "up0", 2), (self["box"], device, 1)):
                namespace.run("ip", "address", "add", f"10.{network}.0.{host}/24", "dev", interface)
                namespace.run("ip", "link", "set", interface, "up")
            self[role].run("ip", "route", "add", "default", "via", f"10.{network}.0.1")
        # Answers to the spoofed sources go where they would go on the Internet: away.
        self["box"].run("ip", "route", "add", "10.128.0.0/9", "via", "10.3.0.2")

    def _start_pepsal(self):
        log = self.folder / f"{self.prefix}.log"
        self.daemon = launch(log, ["ip", "netns", "exec", self["box"].name, BIN / "pepsal", "--instance", self.prefix,
                                   "--drain-timeout", "1", "--pidfile", self.folder / f"{self.prefix}.pid"])
        if self.daemon is None:
            raise SoakError(f"pepsal did not start: {last_words(log)}")
        self["box"].run(SCRIPTS / "steering/pepsal-iptables", "start", "--instance", self.prefix, "--intercept", "clients",
                        "--intercept", "flood")

    def ask(self, *words):
        return self["box"].run(BIN / "pepsalctl", "--instance", self.prefix, *words)

    def counters(self):
        return {name: int(value) for name, value in re.findall(r"^(\w+) (\d+)$", self.ask("status"), re.MULTILINE)}

    def address_of(self, role, interface):
        return self[role].run("cat", f"/sys/class/net/{interface}/address").strip()


def socket_in(namespace):
    with namespace.entered():
        made = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    made.setblocking(False)
    return made


async def echo(listener):
    loop = asyncio.get_running_loop()

    async def serve(sock):
        with contextlib.suppress(OSError), sock:
            await loop.sock_sendall(sock, await loop.sock_recv(sock, 64))

    tasks = set()
    while True:
        sock, _ = await loop.sock_accept(listener)
        sock.setblocking(False)
        tasks.add(task := loop.create_task(serve(sock)))
        task.add_done_callback(tasks.discard)


async def new_connection(namespace, patience=30):
    """Seconds until connected, or what went wrong; an echo shows that it is alive."""
    loop = asyncio.get_running_loop()
    begin = time.monotonic()
    connected = None
    with socket_in(namespace) as sock:
        try:
            async with asyncio.timeout(patience):
                await loop.sock_connect(sock, (SERVER, ECHO_PORT))
                connected = time.monotonic() - begin
                await loop.sock_sendall(sock, b"hello")
                return connected if await loop.sock_recv(sock, 64) == b"hello" else "no echo"
        except asyncio.TimeoutError:
            return "not connected" if connected is None else "no echo"
        except OSError as error:
            return errno.errorcode.get(error.errno, str(error))


def is_through(outcome):
    return isinstance(outcome, float)


async def program(path, role, *command):
    return await asyncio.create_subprocess_exec("ip", "netns", "exec", path[role].name, *(str(word) for word in command),
                                                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)


async def output_of(process, patience):
    try:
        output, _ = await asyncio.wait_for(process.communicate(), patience)
        return output.decode(errors="replace")
    except asyncio.TimeoutError:
        process.kill()
        await process.wait()
        return ""


def rate_of(output):
    """Of the transfers, in Mb/s."""
    try:
        return json.loads(output)["end"]["sum_received"]["bits_per_second"] / 1e6
    except (ValueError, KeyError):
        raise SoakError(f"iperf3 did not finish: {output.strip()[-200:]}") from None


async def recovered(path, begin):
    """Seconds from the flood's end until a new connection is accelerated."""
    while time.monotonic() < begin + 30:
        before = path.counters()["connections_opened"]
        if is_through(await new_connection(path["client"], 3)) and path.counters()["connections_opened"] > before:
            return time.monotonic() - begin
        await asyncio.sleep(0.1)
    return None


async def measure(path, seconds, transfers):
    """One round: existing connections continue during the flood, 200 new ones come, the flood ends."""
    rate = [] if transfers is None else ["-b", f"{transfers * 1000 // FLOWS}K"]
    listener = socket_in(path["server"])
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind((SERVER, ECHO_PORT))
    listener.listen(1024)
    server = await program(path, "server", "iperf3", "-s", "-1", "-p", BULK_PORT)
    answering = asyncio.ensure_future(echo(listener))
    figures = {}
    try:
        await asyncio.sleep(0.5)
        bulk = await program(path, "client", "iperf3", "-c", SERVER, "-p", BULK_PORT, "-P", FLOWS, "-O", 2, "-t", seconds, "-J", *rate)
        await asyncio.sleep(2)
        flood = await program(path, "flooder", BIN / "syn_blast", "up0", path.address_of("flooder", "up0"),
                              path.address_of("box", "flood"), SERVER, 4_000_000_000, seconds)
        tries = []
        for _ in range(NEW_CONNECTIONS):
            tries.append(asyncio.ensure_future(new_connection(path["client"])))
            await asyncio.sleep((seconds - 1) / NEW_CONNECTIONS)
        sent = dict(line.split() for line in (await output_of(flood, seconds + 60)).splitlines())
        end = time.monotonic()
        figures["offered"] = int(sent["sent"]) / float(sent["seconds"])
        if path.subject == "pepsal":
            figures["recovery"] = await recovered(path, end)
            counters = path.counters()
            figures["entries"] = counters["entries"]
            figures["queued"] = counters["packets_queued"]
        figures["took"] = await asyncio.gather(*tries)
        figures["bulk"] = rate_of(await output_of(bulk, seconds + 60))
    finally:
        answering.cancel()
        listener.close()
        with contextlib.suppress(ProcessLookupError):
            server.kill()
        await server.wait()
    return figures


def summary(subject, rounds):
    took = [one for figures in rounds for one in figures["took"]]
    through = [one for one in took if is_through(one)]
    failed = [one for one in took if not is_through(one)]
    there = [one for one in through if one < TWO_RETRANSMISSIONS]
    return (subject, f"{statistics.median(figures['offered'] for figures in rounds):.0f}",
            f"{statistics.median(figures['bulk'] for figures in rounds):.0f}",
            f"{len(there)} of {len(took)}", f"{statistics.median(through or [0]) * 1e3:.1f}",
            f"{max(through, default=0):.2f}", ", ".join(f"{failed.count(one)} {one}" for one in sorted(set(failed))) or "none")


def verdicts(results):
    """Each goal, the measurement, and whether the goal was reached."""
    ratio = statistics.median(pepsal["bulk"] / plain["bulk"] for plain, pepsal in zip(results["plain"], results["pepsal"]))
    yield "established transfers, of plain forwarding", f"{ratio:.2f}", f">= {SHARE_KEPT}", ratio >= SHARE_KEPT
    late = [sum(not is_through(one) or one >= TWO_RETRANSMISSIONS for one in figures["took"]) for figures in results["pepsal"]]
    yield "new connections beyond two retransmissions", f"{max(late)} of {NEW_CONNECTIONS}", "0", max(late) == 0
    recoveries = [figures["recovery"] for figures in results["pepsal"]]
    worst = None if None in recoveries else max(recoveries)
    yield ("accelerated again after the flood, s", "never" if worst is None else f"{worst:.1f}", f"<= {RECOVERY:g}",
           worst is not None and worst <= RECOVERY)


async def run(options, folder, say, text):
    results = {subject: [] for subject in SUBJECTS}
    for number in range(options.rounds):
        for subject in SUBJECTS if number % 2 == 0 else reversed(SUBJECTS):
            with Path3(subject, folder) as path:
                figures = await measure(path, options.flood, options.transfers)
            results[subject].append(figures)
            say(f"round {number + 1} of {options.rounds}, {subject}: "
                + ", ".join(f"{name} {value:.4g}" for name, value in figures.items() if isinstance(value, (int, float))))
    print(text([("subject", "SYNs/s", "transfers, Mb/s", "new connections within two retransmissions",
                 "median ms", "longest s", "failed"), *(summary(subject, results[subject]) for subject in SUBJECTS)]))
    rows = list(verdicts(results))
    print("\n" + text([("goal", "measured", "wanted", "reached"),
                       *((name, measured, wanted, "yes" if good else "NO") for name, measured, wanted, good in rows)]))
    return 0 if all(row[3] for row in rows) else 1
