"""The queuer in a flood: SYNs from one core, verdicts from another, packets dropped right after the verdict."""

import time

from figures import field
from network import BenchError, say
from subjects import BINARIES, SERVER, Daemon

MARK_MASK = "0x70000"
DIFFERENT = 4_000_000_000


class QueueSubject:
    """A client and a box with a queue: the daemon's, or that of a program that only accepts (bare)."""

    def __init__(self, network, name):
        self.network, self.name = network, name
        self.client, self.box = f"q{name}-client", f"q{name}-box"
        say(f"preparing queue {name}")
        network.make(self.client)
        network.make(self.box, router=True)
        network.join((self.client, "up0", "10.1.0.2/24"), (self.box, "clients", "10.1.0.1/24"))
        # Packets that pass without a verdict do not count; the bare program's queue lets none pass.
        counted = [] if name == "bare" else ["-m", "mark", "!", "--mark", f"0/{MARK_MASK}"]
        network.inside(self.box, "iptables", "-t", "raw", "-A", "PREROUTING", "-i", "clients", "-p", "tcp", "--syn", "-m",
                       "mark", "--mark", f"0/{MARK_MASK}", "-j", "NFQUEUE", "--queue-num", 0)
        for match in (counted, []):
            network.inside(self.box, "iptables", "-t", "mangle", "-A", "PREROUTING", "-i", "clients", "-p", "tcp", *match,
                           "-j", "DROP")

    def verdicts(self):
        """Packets that have had a verdict so far."""
        return int(self.network.inside(self.box, "iptables", "-t", "mangle", "-nvxL", "PREROUTING", 1).split()[0])

    def mac(self, name, device):
        return self.network.inside(name, "cat", f"/sys/class/net/{device}/address").strip()


class QueueMeasures:
    def __init__(self, network, results, seconds):
        self.network, self.results, self.seconds = network, results, seconds

    def queuer(self, subject):
        """No handshake is ever completed, so all but the first SYNs bypass (see HalfOpen)."""
        network, daemon = self.network, None
        if subject.name == "bare":
            network.spawn(subject.box, "bare.log", BINARIES / "bare_nfqueue", core=0)
            time.sleep(0.5)
        else:
            daemon = Daemon(network, subject.box, ["--spare-proxies", "1"], core=0)
        sender = network.spawn(subject.client, "blast.log", BINARIES / "syn_blast", "up0", subject.mac(subject.client, "up0"),
                               subject.mac(subject.box, "clients"), SERVER, DIFFERENT, self.seconds + 1, core=1)
        time.sleep(0.5)
        begin, before = time.monotonic(), subject.verdicts()
        time.sleep(self.seconds)
        seconds, verdicts = time.monotonic() - begin, subject.verdicts() - before
        if sender.wait() != 0:
            raise BenchError(f"{subject.name}: the SYN sender ended early")
        sent = network.log("blast.log")
        self.results.record("queuer_syns_per_s", subject.name, verdicts / seconds)
        self.results.record("queuer_offered_per_s", subject.name, field(sent, "sent") / field(sent, "seconds"))
        if daemon:
            daemon.stop()
        network.kill_all(subject.box)
