"""The measurements, and their medians and ratios."""

import json
import re
import statistics
import time
from pathlib import Path

from network import BenchError, await_true, say
from subjects import BINARIES, PINGPONG_PORT, SERVER

IDLE_CONNECTIONS = 200
CROWD = 50


class Results:
    """Values of each figure of each subject, one per round."""

    def __init__(self):
        self.values = {}

    def record(self, figure, subject, value):
        self.values.setdefault((figure, subject), []).append(value)
        say(f"  {figure} {subject} {value:g}")

    def has(self, figure, subject):
        return (figure, subject) in self.values

    def median(self, figure, subject):
        return statistics.median(self.values[figure, subject])

    def ratio(self, figure, subject, other):
        """The median of each round's ratio."""
        pairs = zip(self.values[figure, subject], self.values[figure, other], strict=True)
        return statistics.median(value / to for value, to in pairs)

    def cell(self, figure, subject, form):
        return format(self.median(figure, subject), form) if self.has(figure, subject) else "–"

    def write(self, path):
        rows = {f"{figure}.{subject}": values for (figure, subject), values in sorted(self.values.items())}
        Path(path).write_text(json.dumps(rows, indent=2) + "\n")


def field(text, name):
    for line in text.splitlines():
        words = line.split()
        if words and words[0].rstrip(":") == name.rstrip(":"):
            return float(words[1])
    raise BenchError(f"no '{name}' in what was measured")


class Measures:
    """Each function measures one subject once and records the result. It is named after the figure."""

    def __init__(self, network, results, seconds):
        self.network, self.results, self.seconds = network, results, seconds

    def bulk(self, subject):
        text = self.network.inside(subject.client, "iperf3", "-c", SERVER, "-t", self.seconds, "-O", 1, "-C", "cubic", "-J")
        self.results.record("bulk_gbps", subject.name, json.loads(text)["end"]["sum_received"]["bits_per_second"] / 1e9)

    def _pingpong(self, subject, figure, connections):
        text = self.network.inside(subject.client, BINARIES / "pingpong", "client", SERVER, PINGPONG_PORT, connections,
                                   self.seconds)
        for name in ("median_us", "p99_us"):
            self.results.record(f"{figure}_{name}", subject.name, field(text, name))

    def latency(self, subject):
        self._pingpong(subject, "latency", 1)

    def crowd(self, subject):
        self._pingpong(subject, "crowd", CROWD)

    def connections(self, subject):
        text = self.network.inside(subject.client, "wrk", "-t", 2, "-c", 32, "-d", f"{self.seconds}s", "-H",
                                   "Connection: close", f"http://{SERVER}/")
        errors = re.search(r"Socket errors.*|Non-2xx.*", text)
        if errors:
            raise BenchError(f"{subject.name}: wrk met errors: {errors[0]}")
        self.results.record("connections_per_s", subject.name, field(text, "Requests/sec"))

    def connect(self, subject):
        """Of the client's connect(2), one after another."""
        text = self.network.inside(subject.client, "curl", "-sS", "-H", "Connection: close", "-o",
                                   self.network.work / "answer", "-w", "%{time_connect}\\n", f"http://{SERVER}/?[1-400]")
        self.results.record("connect_median_us", subject.name, statistics.median(float(word) * 1e6 for word in text.split()))

    def memory(self, subject):
        network = self.network
        before, available = private_kb(network.pids(subject.box)), meminfo()["MemAvailable"]
        hold(network, subject, IDLE_CONNECTIONS)
        time.sleep(1)
        pids = network.pids(subject.box)
        titled = [pid for pid in pids if is_connection(pid)]
        if titled and len(titled) != IDLE_CONNECTIONS:
            raise BenchError(f"{subject.name}: {len(titled)} processes for {IDLE_CONNECTIONS} connections")
        private = private_kb(titled) if titled else private_kb(pids) - before
        lost = available - meminfo()["MemAvailable"]
        network.kill_all(subject.client)
        self.results.record("memory_private_kb", subject.name, private / IDLE_CONNECTIONS)
        self.results.record("memory_machine_kb", subject.name, lost / IDLE_CONNECTIONS)
        time.sleep(1)


def hold(network, subject, connections):
    """Opens idle connections; returns how many seconds that took."""
    log = f"hold-{subject.name}.log"
    begin = time.monotonic()
    process = network.spawn(subject.client, log, BINARIES / "pingpong", "hold", SERVER, PINGPONG_PORT, connections)
    if not await_true(lambda: "holding" in network.log(log) or process.poll() is not None, 120) or process.poll():
        raise BenchError(f"{subject.name}: could not hold {connections} connections: {network.log(log).strip()}")
    return time.monotonic() - begin


def is_connection(pid):
    try:
        return b" -> " in Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return False


def private_kb(pids):
    """Of processes, which may end meanwhile."""
    total = 0
    for pid in pids:
        try:
            text = Path(f"/proc/{pid}/smaps_rollup").read_text()
        except OSError:
            continue
        total += sum(int(size) for size in re.findall(r"^Private_\w+: +(\d+)", text, re.MULTILINE))
    return total


def meminfo():
    lines = Path("/proc/meminfo").read_text().splitlines()
    return {line.split(":")[0]: int(line.split()[1]) for line in lines}
