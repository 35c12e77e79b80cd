"""The tables that are printed, in Markdown."""

from figures import CROWD
from subjects import REUSE_OPTIONS


def row(*cells):
    print(f"| {' | '.join(str(cell) for cell in cells)} |")


class MainTable:
    SUBJECTS = ("plain", "haproxy", "pepsal", "reuse")

    def __init__(self, results, figures):
        self.results, self.figures = results, figures

    def _judge(self, figure, subject, other, target, at_least):
        """The ratio as text, and whether the target is reached."""
        value = self.results.ratio(figure, subject, other)
        return f"{value:.2f}", self._verdict(value >= target if at_least else value <= target)

    def _verdict(self, reached):
        return "yes" if reached else "**no**"

    def _row(self, title, figure, form, ratio="", target="", reached=""):
        row(title, *(self.results.cell(figure, subject, form) for subject in self.SUBJECTS), ratio, target, reached)

    def _beside_haproxy(self, title, figure, form, target=None):
        ratio, reached = self._judge(figure, "pepsal", "haproxy", target or 0, at_least=False)
        self._row(title, figure, form, f"{ratio} of HAProxy", f"≤ {target}" if target else "", reached if target else "")

    def _queue_row(self, title, figure, target=None):
        ratio, reached = self._judge(figure, "pepsal", "bare", target or 0, at_least=True)
        row(f"{title} (bare program: {self.results.cell(figure, 'bare', '.0f')})", "–", "–",
            self.results.cell(figure, "pepsal", ".0f"), "–", f"{ratio} of bare", f"≥ {target}" if target else "",
            reached if target else "")

    def print(self):
        row("figure", "plain forwarding", "HAProxy", "PEPsal", "PEPsal, reuse", "ratio", "target", "reached")
        row("---", "---:", "---:", "---:", "---:", "---", "---", "---")
        for figure in self.figures:
            getattr(self, figure)()

    def bulk(self):
        plain, plain_reached = self._judge("bulk_gbps", "pepsal", "plain", 0.9, at_least=True)
        other, other_reached = self._judge("bulk_gbps", "pepsal", "haproxy", 1.2, at_least=True)
        self._row("one bulk stream, Gb/s", "bulk_gbps", ".1f", f"{plain} of plain; {other} of HAProxy", "≥ 0.9; ≥ 1.2",
                  f"{plain_reached}; {other_reached}")

    def latency(self):
        self._beside_haproxy("64-byte request/response, median µs", "latency_median_us", ".1f", 1.2)
        self._beside_haproxy("the same, 99th percentile µs", "latency_p99_us", ".1f")

    def crowd(self):
        self._beside_haproxy(f"{CROWD} at once, 99th percentile µs", "crowd_p99_us", ".0f", 1.2)
        self._beside_haproxy("the same, median µs", "crowd_median_us", ".0f")

    def connections(self):
        default, default_reached = self._judge("connections_per_s", "pepsal", "haproxy", 0.4, at_least=True)
        reuse, reuse_reached = self._judge("connections_per_s", "reuse", "haproxy", 0.9, at_least=True)
        self._row("connections/s, HTTP, 32 at once", "connections_per_s", ".0f",
                  f"{default}; with reuse {reuse} of HAProxy", "≥ 0.4; ≥ 0.9", f"{default_reached}; {reuse_reached}")

    def memory(self):
        reached = self._verdict(self.results.median("memory_private_kb", "pepsal") <= 150)
        self._row("private memory of an idle connection, kB", "memory_private_kb", ".0f", "", "≤ 150", reached)
        self._row("memory the machine lost for it, kB", "memory_machine_kb", ".0f")

    def queuer(self):
        self._queue_row("SYN/s of a flood answered by the queuer", "queuer_syns_per_s", 0.85)


def print_honest(results):
    subjects = ("plain", "pepsal", "honest")
    row("figure", "plain forwarding", "fast", "honest")
    row("---", "---:", "---:", "---:")
    row("connect(), median µs", *(results.cell("connect_median_us", subject, ".0f") for subject in subjects))
    plain, fast, honest = (results.cell("connections_per_s", subject, ".0f") for subject in subjects)
    row("connections/s, HTTP, 32 at once", plain, fast,
        f"{honest} ({results.ratio('connections_per_s', 'honest', 'pepsal'):.2f} of fast)")


def print_idle(results, counts):
    def value(figure, count):
        return results.median(f"idle_{figure}", f"idle-{count}")

    row("idle connections", *counts)
    row("---", *("---:" for _ in counts))
    for title, figure in (("processes", "processes"), ("threads", "threads"), ("descriptors", "descriptors")):
        row(title, *(f"{value(figure, count):.0f}" for count in counts))
    row("private memory, MB", *(f"{value('private_kb', count) / 1000:.1f}" for count in counts))
    # Without the daemon, client and server have the same sockets.
    row("kernel memory of box and sockets, MB",
        *(f"{(value('kernel_kb', count) - results.median('idle_kernel_kb', f'plain-{count}')) / 1000:.1f}" for count in counts))
    row("of one core while idle, proxies", *(f"{value('proxies_cpu_percent', count):.2f} %" for count in counts))
    row("of one core while idle, all processes", *(f"{value('cpu_percent', count):.2f} %" for count in counts))


def circumstances(rounds, seconds, about, haproxy):
    peer = f"HAProxy {haproxy}, reuse: {' '.join(REUSE_OPTIONS)}. " if haproxy else ""
    return f"Medians of {rounds} rounds{seconds}; ratios are medians of each round's ratio. {peer}Machine: {about}."
