"""What is measured: the scenarios, each a file of scripts/lab/scenarios with the transfers made over it.

Section numbers are those of draft-kuhn-quic-4-sat-06; times to reach ("objectives") are the draft's own.
"""

from dataclasses import dataclass, field
from pathlib import Path

KB, MB = 1000, 1_000_000
MARKS = (2 * MB, 10 * MB, 100 * MB)  # of the draft


@dataclass(frozen=True)
class Workload:
    name: str  # unique in its scenario
    size: int  # bytes of each flow
    limit: float  # seconds after which a transfer is given up
    direction: str = "down"
    flows: int = 1
    pause: float = 0  # seconds without traffic before it
    repeat: int = 1  # short ones are made several times, of which the median is shown
    timed: bool = False  # given up at the limit on purpose: what counts is how the flows have shared the link
    objectives: dict = field(default_factory=dict)  # bytes -> seconds


@dataclass(frozen=True)
class Scenario:
    name: str
    conf: str
    workloads: tuple

    def settings(self, folder):
        lines = (Path(folder) / f"{self.conf}.conf").read_text().splitlines()
        return dict(line.split("=", 1) for line in lines if "=" in line and not line.startswith("#"))


def objectives(*seconds):
    return dict(zip(MARKS, seconds))


def many(size, limit, direction="down"):
    label = f"{size // MB} MB" if size >= MB else f"{size // KB} kB"
    return Workload(f"10 x {label} {direction}", size, limit, direction, flows=10)


SCENARIOS = (
    Scenario("4.1", "quic4sat-4.1", (
        Workload("100 MB down", 100 * MB, 120, objectives=objectives(3, 10, 85)),
        Workload("10 MB up", 10 * MB, 75, "up", objectives=objectives(10, 50)),
        many(500 * KB, 30), many(100 * KB, 30, "up"))),
    Scenario("4.2", "quic4sat-4.2", (
        Workload("100 MB down", 100 * MB, 60, objectives=objectives(3, 5, 20)),
        Workload("10 MB up", 10 * MB, 40, "up"),
        many(2 * MB, 30), many(500 * KB, 30, "up"))),
    Scenario("4.3", "quic4sat-4.3", (
        Workload("100 MB down", 100 * MB, 60, objectives=objectives(3, 5, 20)),
        Workload("500 kB up", 500 * KB, 40, "up"),
        many(1 * MB, 30), many(20 * KB, 30, "up"))),
    Scenario("4.4", "quic4sat-4.4", (
        Workload("100 MB down", 100 * MB, 60),
        Workload("100 MB down again, 5 s later", 100 * MB, 60, pause=5))),
    Scenario("4.5", "quic4sat-4.5", (
        Workload("50 MB down", 50 * MB, 60),)),
    Scenario("4.6", "quic4sat-4.6", (
        Workload("100 MB down", 100 * MB, 60, objectives=objectives(3, 5, 8)),
        Workload("100 MB down again, 10 s later", 100 * MB, 60, pause=10),
        Workload("2 MB up", 2 * MB, 30, "up"),
        many(5 * MB, 30), many(100 * KB, 30, "up"))),
    Scenario("4.7", "quic4sat-4.7", (
        Workload("100 MB down", 100 * MB, 150, objectives=objectives(3, 6, 10)),
        Workload("2 MB up", 2 * MB, 40, "up"),
        many(1 * MB, 40), many(100 * KB, 40, "up"))),
    Scenario("geo", "geo", (
        Workload("10 MiB down", 10 * 1024 * 1024, 40),
        Workload("2 MB up", 2 * MB, 40, "up"),
        many(500 * KB, 30), many(100 * KB, 30, "up"))),
    Scenario("geo-loss", "geo-loss", (
        Workload("10 MiB down", 10 * 1024 * 1024, 150),
        Workload("2 MB up", 2 * MB, 60, "up"),
        many(500 * KB, 60), many(100 * KB, 60, "up"))),
    Scenario("maritime", "maritime", (
        Workload("100 kB down", 100 * KB, 60),
        Workload("1 MB down", 1 * MB, 90),
        Workload("300 kB up", 300 * KB, 60, "up"),
        many(100 * KB, 90), many(20 * KB, 60, "up"))),
    Scenario("web", "web", (
        Workload("64 kB down", 65536, 20, repeat=3),
        Workload("100 kB down", 100 * KB, 20, repeat=3),
        Workload("1 MB down", 1 * MB, 20, repeat=3),
        Workload("10 MB down", 10 * MB, 40),
        Workload("page, 10 x 100 kB down", 100 * KB, 30, flows=10, repeat=3),
        Workload("1 MB up", 1 * MB, 30, "up"),
        many(100 * KB, 30, "up"),
        Workload("10 flows for 30 s", 10 * MB, 30, flows=10, timed=True))),
)

# Within two minutes: the faster scenarios, with less to carry.
QUICK = (
    Scenario("4.2", "quic4sat-4.2", (Workload("10 MB down", 10 * MB, 20, objectives=objectives(3, 5)),)),
    Scenario("4.7", "quic4sat-4.7", (Workload("2 MB down", 2 * MB, 10, objectives=objectives(3)),)),
    Scenario("web", "web", (
        Workload("64 kB down", 65536, 20),
        Workload("1 MB down", 1 * MB, 20),
        Workload("page, 10 x 100 kB down", 100 * KB, 20, flows=10),
        Workload("1 MB up", 1 * MB, 20, "up"))),
)

COLUMNS = {
    "direct": "direct",
    "gateway": "PEPsal, gateway only",
    "terminal": "PEPsal, terminal only",
    "both": "PEPsal, both ends",
    "other-gateway": "other PEP, gateway only",
    "other-both": "other PEP, both ends",
}


def fastest_seconds(settings, direction, total_bytes):
    """One round trip, then every byte at the link's rate: what no transport can beat."""
    rtt = float(settings.get("RTT_MS", 0)) / 1000
    rate = float(settings["DOWN_MBIT" if direction == "down" else "UP_MBIT"]) * 1e6 / 8
    changes = [(0.0, rate)]
    for word in settings.get("SCHEDULE", "").split():
        at, which, change = word.split(":")
        if change.startswith("rate=") and which in (direction, "both"):
            changes.append((float(at), float(change[5:]) * 1e6 / 8))
    # The first byte leaves the server half a round trip after the start, and the rate changes there.
    begin, left = rtt / 2, total_bytes
    for (start, speed), (end, _) in zip(changes, changes[1:] + [(float("inf"), 0)]):
        room = max(0.0, end - max(start, begin)) * speed
        if room >= left:
            return rtt / 2 + max(start, begin) + left / speed
        left -= room
    raise AssertionError("the last rate has no end")
