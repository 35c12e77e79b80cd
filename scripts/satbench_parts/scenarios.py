"""What is measured: the scenarios, each a file of scripts/lab/scenarios with the transfers made over it.

Section numbers are those of draft-kuhn-quic-4-sat-06; times to reach ("objectives") are the draft's own.
"""

from dataclasses import dataclass, field, replace
from pathlib import Path

from browser import PAGE_BYTES, PICTURES, SCRIPTS

KB, MB = 1000, 1_000_000
MARKS = (2 * MB, 10 * MB, 100 * MB)  # of the draft


@dataclass(frozen=True)
class Workload:
    name: str  # unique in its scenario
    size: int  # bytes of each flow
    limit: float  # seconds after which a transfer is aborted
    direction: str = "down"
    flows: int = 1
    pause: float = 0  # seconds without traffic before it
    repeat: int = 1  # short ones are repeated, and the median is shown
    timed: bool = False  # deliberately ended at the limit: what counts is how the flows have shared the link
    objectives: dict = field(default_factory=dict)  # bytes -> seconds
    kind: str = "transfer"  # or "page", "ssh", "tls-upload"
    # What the protocol needs beyond the bytes; not the TCP handshake, which a box near the client completes.
    round_trips: int = 1
    connections: int = 1  # that share the bytes: one can transfer while the others wait for answers
    first_byte_trips: int | None = None  # until the first byte of an answer, if that is judged
    port: int = 80  # of a page's server
    protocol: str = "http/1.1"  # of a page, as a browser names it
    goal: float | None = None  # seconds for everything, both ends
    goals: dict = field(default_factory=dict)  # the same for its first bytes: bytes -> seconds


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


def many(size, limit, direction="down", goal=None):
    label = f"{size // MB} MB" if size >= MB else f"{size // KB} kB"
    return Workload(f"10 x {label} {direction}", size, limit, direction, flows=10, goal=goal)


HTTP1_CONNECTIONS = 6  # of a browser, to one server


def http1_trips(handshake):
    """Round trips of a page over HTTP/1.1: one object at a time on each of a browser's six connections, of which the first
    has served the document; the others need a handshake first. The stylesheet's picture waits behind the others."""
    objects, trips, served = 1 + SCRIPTS + PICTURES + 1, 0, 0
    while served < objects:
        trips += 1
        served += HTTP1_CONNECTIONS if trips > handshake else 1
    return handshake + 1 + trips


# Opening https: one round trip for TLS 1.3, one for the document, one for what it names, one for what the stylesheet names.
PAGES = (
    Workload("page, HTTP/2 over TLS", PAGE_BYTES, 40, kind="page", port=443, protocol="h2", round_trips=4,
             first_byte_trips=2, repeat=3, goal=3.1),
    Workload("page, HTTP/1.1 over TLS", PAGE_BYTES, 40, kind="page", port=8443, round_trips=http1_trips(1),
             connections=HTTP1_CONNECTIONS, first_byte_trips=2, repeat=3, goal=7.0),
    Workload("page, HTTP/1.1", PAGE_BYTES, 40, kind="page", round_trips=http1_trips(0), connections=HTTP1_CONNECTIONS,
             first_byte_trips=1, repeat=3),
)
# OpenSSH: identification, key exchange, service, "none", the key offered, the key's signature, channel, command.
SSH = Workload("ssh login and true", 0, 30, kind="ssh", round_trips=8, repeat=3)
TLS_UPLOAD = Workload("1 MB up over TLS", 1 * MB, 30, "up", kind="tls-upload", round_trips=2, repeat=3)


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
        Workload("100 MB down", 100 * MB, 150, objectives=objectives(3, 6, 10), goal=4.6, goals={2 * MB: 0.95}),
        Workload("2 MB up", 2 * MB, 40, "up"),
        many(1 * MB, 40, goal=1.4), many(100 * KB, 40, "up"))),
    Scenario("leo", "leo", (
        Workload("60 MB down", 60 * MB, 60),
        Workload("2 MB up", 2 * MB, 30, "up"),
        many(1 * MB, 30))),
    Scenario("geo", "geo", (
        Workload("10 MiB down", 10 * 1024 * 1024, 40),
        Workload("2 MB up", 2 * MB, 40, "up"),
        many(500 * KB, 30), many(100 * KB, 30, "up"))),
    Scenario("geo-loss", "geo-loss", (
        Workload("10 MiB down", 10 * 1024 * 1024, 150),
        Workload("2 MB up", 2 * MB, 60, "up"),
        many(500 * KB, 60, goal=3.6), many(100 * KB, 60, "up"))),
    Scenario("maritime", "maritime", (
        Workload("100 kB down", 100 * KB, 60, goal=1.6),
        Workload("1 MB down", 1 * MB, 90, goal=6.0),
        Workload("300 kB up", 300 * KB, 60, "up"),
        many(100 * KB, 90), many(20 * KB, 60, "up", goal=3.2))),
    Scenario("web", "web", (
        Workload("64 kB down", 65536, 20, repeat=3),
        Workload("100 kB down", 100 * KB, 20, repeat=3),
        Workload("1 MB down", 1 * MB, 20, repeat=3),
        Workload("10 MB down", 10 * MB, 40),
        Workload("page, 10 x 100 kB down", 100 * KB, 30, flows=10, repeat=3),
        *PAGES, SSH,
        Workload("1 MB up", 1 * MB, 30, "up", goal=2.4),
        TLS_UPLOAD,
        many(100 * KB, 30, "up"),
        Workload("10 flows for 30 s", 10 * MB, 30, flows=10, timed=True))),
)

# Within two minutes: the faster scenarios, with less data.
QUICK = (
    Scenario("4.2", "quic4sat-4.2", (Workload("10 MB down", 10 * MB, 20, objectives=objectives(3, 5)),)),
    Scenario("4.7", "quic4sat-4.7", (Workload("2 MB down", 2 * MB, 10, objectives=objectives(3)),)),
    Scenario("web", "web", (
        Workload("64 kB down", 65536, 20),
        Workload("1 MB down", 1 * MB, 20),
        Workload("page, 10 x 100 kB down", 100 * KB, 20, flows=10),
        replace(PAGES[0], repeat=1),
        replace(SSH, repeat=1),
        Workload("1 MB up", 1 * MB, 20, "up"),
        replace(TLS_UPLOAD, repeat=1))),
)

COLUMNS = {
    "direct": "direct",
    "gateway": "PEPsal, gateway only",
    "terminal": "PEPsal, terminal only",
    "both": "PEPsal, both ends",
    "other-gateway": "other PEP, gateway only",
    "other-both": "other PEP, both ends",
}


def fastest_seconds(settings, workload):
    """The round trips that the protocol needs, then every byte at the link's rate: what no transport can beat."""
    rtt = float(settings.get("RTT_MS", 0)) / 1000
    rate = float(settings["DOWN_MBIT" if workload.direction == "down" else "UP_MBIT"]) * 1e6 / 8
    changes, silences = [(0.0, rate)], []
    for word in settings.get("SCHEDULE", "").split():
        at, which, change = word.split(":")
        what, value = change.split("=")
        if what == "rate" and which in (workload.direction, "both"):
            changes.append((float(at), float(value) * 1e6 / 8))
        elif what == "outage" and which in (workload.direction, "both"):
            silences.append((float(at), float(at) + float(value)))
    # The first byte leaves its sender half a round trip before it arrives, and the rate changes there.
    begin, left = (workload.round_trips - 0.5) * rtt, workload.size * workload.flows / workload.connections
    turns = sorted({start for start, _ in changes} | {turn for silence in silences for turn in silence})
    for start, end in zip(turns, turns[1:] + [float("inf")]):
        speed = max((change for change in changes if change[0] <= start), key=lambda change: change[0])[1]
        if any(first <= start < last for first, last in silences):
            speed = 0.0
        room = max(0.0, end - max(start, begin)) * speed if speed else 0.0
        if room >= left:
            return rtt / 2 + max(start, begin) + left / speed
        left -= room
    raise AssertionError("the last rate has no end")


def floor_text(workload):
    trips = "RTT" if workload.round_trips == 1 else f"{workload.round_trips} RTT"
    share = f"/{workload.connections}" if workload.connections > 1 else ""
    return f"{trips} + bytes{share}/rate" if workload.size else trips
