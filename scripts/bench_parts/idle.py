"""What idle connections cost the box, as their number grows."""

import os
import time
from pathlib import Path

from figures import hold, is_connection, meminfo, private_kb
from network import await_true, say

COUNTS = (100, 1000, 10000)
AT_ONCE = 500  # connections opened faster than they are accepted bypass (HalfOpen)
KERNEL = ("SUnreclaim", "PageTables", "KernelStack", "Percpu")


def tasks(pids):
    """Of processes, which may end meanwhile: threads, descriptors, and nanoseconds on a processor."""
    threads = descriptors = nanoseconds = 0
    for pid in pids:
        try:
            threads += len(os.listdir(f"/proc/{pid}/task"))
            descriptors += len(os.listdir(f"/proc/{pid}/fd"))
            nanoseconds += int(Path(f"/proc/{pid}/schedstat").read_text().split()[0])
        except OSError:
            continue
    return threads, descriptors, nanoseconds


def kernel_kb():
    memory = meminfo()
    return sum(memory[name] for name in KERNEL)


class IdleMeasure:
    """On one path with the daemon and one without; the latter shows what client and server need for the same connections."""

    def __init__(self, network, results, quick):
        self.network, self.results = network, results
        self.counts = (20, 100) if quick else COUNTS
        # A proxy inspects an idle connection after 2, 4, 8 … seconds, and then once a minute.
        self.settle, self.watch = (1, 2) if quick else (70, 60)

    def measure(self, subject):
        for count in self.counts:
            say(f"  {subject.name}: {count} idle connections")
            self._measure(subject, count)

    def _measure(self, subject, count):
        network, name = self.network, f"{subject.name}-{count}"
        kernel_before = kernel_kb()
        before, _, _ = tasks(network.pids(subject.box))
        for opened in range(0, count, AT_ONCE):
            hold(network, subject, min(AT_ONCE, count - opened))
            time.sleep(0.5)
        time.sleep(self.settle)
        kernel = kernel_kb() - kernel_before
        self.results.record("idle_kernel_kb", name, kernel)
        if subject.daemon:
            pids = network.pids(subject.box)
            busy = [pid for pid in pids if is_connection(pid)]
            threads, descriptors, before_watch = tasks(busy)
            _, _, all_before = tasks(pids)
            time.sleep(self.watch)
            _, _, after_watch = tasks(busy)
            _, _, all_after = tasks(pids)
            for figure, value in (("processes", len(busy)), ("threads", threads), ("descriptors", descriptors),
                                  ("private_kb", private_kb(busy)),
                                  ("proxies_cpu_percent", (after_watch - before_watch) / self.watch / 1e7),
                                  ("cpu_percent", (all_after - all_before) / self.watch / 1e7)):
                self.results.record(f"idle_{figure}", name, value)
        network.kill_all(subject.client)
        if subject.daemon:  # what remains of one size must not count in the next one
            await_true(lambda: tasks(network.pids(subject.box))[0] <= before + 200, 60)
        time.sleep(min(self.settle, 5))
