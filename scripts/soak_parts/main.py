"""Traffic and faults over two boxes; scripts/soak starts this once everything it needs is installed."""

import argparse
import asyncio
import contextlib
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from pathlib import Path

sys.dont_write_bytecode = True  # nothing may appear next to the sources
sys.path += [str(Path(__file__).resolve().parent.parent / folder) for folder in ("bench_parts", "lab")]  # what the benchmarks use, too

import faults
import flood
import judge
from box import Box
from command_line import Parser, number, whole
from network import Network, SoakError
from traffic import PATHS, Traffic

MOST = 120  # connections in a table, so that filling it costs little


def parse(arguments):
    parser = Parser(prog="soak", description="Carries mixed traffic over two boxes with PEPsal while processes are killed and "
                    "stopped, limits are reached and interfaces vanish, at random. Every byte is compared. Ends with a table of "
                    "faults and findings; exits 1 if there were any findings. Everything runs in network namespaces.")
    parser.add_argument("minutes", nargs="?", type=number(0.1, 10080), metavar="MINUTES", help="how long, such as 60 or 0.5")
    parser.add_argument("--flood", nargs="?", type=whole(5, 3600), const=30, metavar="SECONDS",
                        help="instead: a SYN flood from spoofed sources at a box with PEPsal and at one without, in turns of "
                        "this many seconds each (default 30)")
    parser.add_argument("--rounds", type=whole(1, 100), default=3, metavar="N", help="rounds of the flood; medians are shown (default 3)")
    parser.add_argument("--transfers", type=whole(1, 1_000_000), default=None, metavar="MBIT",
                        help="total rate of the transfers during the flood, in Mb/s (default: as fast as they can)")
    parser.add_argument("--seed", type=whole(0, 2**63), default=None, metavar="N", help="repeat the faults of an earlier run (default: a new seed)")
    parser.add_argument("--only", action="append", metavar="TEXT", help="only faults whose name contains this text (repeatable)")
    parser.add_argument("--crowd", type=whole(1, 1000), default=24, metavar="N", help="concurrent connections (default 24)")
    parser.add_argument("--again", type=number(0.1, 600), default=2, metavar="SECONDS",
                        help="time within which new connections must be accelerated again (default 2)")
    parser.add_argument("--stall", type=number(1, 600), default=40, metavar="SECONDS",
                        help="time after which a connection on which nothing moves counts as hanging (default 40)")
    parser.add_argument("--set-clock", action="store_true", help="let the clock of this machine jump, by up to a day")
    parser.add_argument("--keep", action="store_true", help="keep the boxes' logs and print where they are")
    parser.add_argument("--check", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if (options.minutes is None) == (options.flood is None):
        parser.error("either MINUTES or --flood")
    return options


def say(text):
    sys.stderr.write(f"soak: {text}\n")


class Soak:
    def __init__(self, options, network):
        self.options, self.network = options, network
        self.chance = random.Random(options.seed)
        self.boxes, self.events, self.findings = [], [], []
        self.traffic = None
        self.begin = time.monotonic()

    def log(self, text):
        say(f"{time.monotonic() - self.begin:6.1f} s  {text}")

    def find(self, text):
        self.findings.append(text)
        self.log(f"WRONG: {text}")

    async def run(self):
        peers, honest = self.chance.random() < 0.5, self.chance.random() < 0.5
        self.log(f"seed {self.options.seed}, {'with' if peers else 'without'} warm connections, the gateway connects "
                 f"{'honestly' if honest else 'fast'}")
        common = ["--max-connections", str(MOST), "--max-connections-per-client", str(MOST), "--pending-lifetime", "5",
                  "--gc-interval", "1", "--fastopen"]
        self.boxes = [Box(self.network, "term", common + (["--peer", "10.81.2.2"] if peers else [])),
                      Box(self.network, "gw", common + (["--peer", "10.81.2.1"] if peers else [])
                          + (["--connect", "honest"] if honest else []))]
        try:
            for box in self.boxes:
                box.syslog.start()
                box.tune()
                failure = await box.start()
                if failure:
                    raise SoakError(f"{box.role}: {failure}")
                box.steer()
            await self._traffic_and_faults()
        finally:
            for box in self.boxes:
                await box.stop()
                box.discard()

    async def _traffic_and_faults(self):
        self.traffic = Traffic(self.network, self.chance)
        self.traffic.listen()
        before = await self._inventories()
        stop = asyncio.Event()
        flow = asyncio.ensure_future(self.traffic.flow(self.options.crowd, stop))
        watch = asyncio.ensure_future(self.traffic.watch(self.options.stall))
        try:
            await self._faults()
            stop.set()
            await flow
            self.log("no new connections; waiting for the open ones")
            if left := await self.traffic.end(self.options.stall + 60):
                self.find(f"{left} connections did not end: {next(iter(self.traffic.open.values()))}")
            for box in self.boxes:
                was = before[box.role]
                await self._settled(box, "after the traffic",
                                    lambda now, was=was, box=box: judge.differences(was, now, len(box.interfaces) + 1))
        finally:
            for task in (flow, watch):
                task.cancel()
            self.traffic.close()

    async def _inventories(self):
        """What each box holds before the traffic, once it is ready for it."""
        return {box.role: await self._settled(box, "before the traffic", self._is_ready) for box in self.boxes}

    @staticmethod
    def _is_ready(inventory):
        return [] if inventory["idle"] >= 8 and inventory["slots"] == 0 else ["not ready"]

    async def _settled(self, box, when, differences):
        """What a box holds, once nothing differs any more; what still differs after some time is a finding."""
        deadline = time.monotonic() + 45
        while True:
            try:
                inventory = await box.inventory()
                wrong = differences(inventory)
            except (OSError, ValueError, SoakError) as error:
                inventory, wrong = None, [str(error)]
            if not wrong or time.monotonic() > deadline:
                break
            await asyncio.sleep(0.5)
        for text in wrong:
            self.find(f"{box.role}, {when}: {text}")
        return inventory

    # --- faults

    def _kinds(self):
        kinds = [kind(self) for kind in faults.ALL]
        only = self.options.only
        self.all_faults = [fault for fault in kinds if not only or any(text in fault.name for text in only)]
        self.able = []
        for fault in self.all_faults:
            fault.reason = fault.lacks()
            if fault.reason:
                self.log(f"skipped: {fault.name}: {fault.reason}")
            else:
                self.able.append(fault)

    async def _faults(self):
        self._kinds()
        deadline = time.monotonic() + self.options.minutes * 60
        deck = []
        await asyncio.sleep(1)
        while time.monotonic() < deadline and self.able:
            deck = deck or self.chance.sample(self.able, len(self.able))  # each once before any is repeated
            await self._meet(deck.pop())
            await asyncio.sleep(self.chance.uniform(0.2, 1.0))

    async def _meet(self, fault):
        role = self.chance.choice(fault.boxes)
        box = next((box for box in self.boxes if box.role == role), None)
        event = faults.Event(fault, box)
        self.events.append(event)
        hold = self.chance.uniform(*fault.hold)
        try:
            await fault.begin(event)
            await asyncio.sleep(hold)
        except (SoakError, OSError, ValueError, KeyError) as error:
            event.findings.append(f"it could not be done: {error}")
        try:
            await fault.end(event)
        except (SoakError, OSError, ValueError, KeyError) as error:
            event.findings.append(f"it could not be undone: {error}")
        event.end = time.monotonic()
        await self._again(event)
        what = f"{fault.name}{f' on {box.role}' if box else ''} for {hold:.1f} s"
        notes = f" ({'; '.join(event.notes)})" if event.notes else ""
        self.log(f"{what}: {'accelerated after %.2f s' % event.again if event.again is not None else 'NOT accelerated'}{notes}")
        for text in event.findings:
            self.find(f"{what}: {text}")

    async def _again(self, event):
        boxes = [event.box] if event.box else self.boxes
        found = await asyncio.gather(*(faults.probe(self, box, self.options.again + 20) for box in boxes))
        if None in found:
            event.findings.append(f"no new connection was accelerated within {self.options.again + 20:g} s")
            return
        event.again = max(found)
        if event.again > self.options.again:
            event.findings.append(f"new connections were accelerated only {event.again:.1f} s after its end")

    # --- the end

    def report(self):
        judge.add_victims_of_logs(self.events)
        wrong, cost = judge.judge_connections(self.traffic.done, self.events, self.begin)
        for text in [*wrong, *judge.judge_logs(self.boxes)]:
            self.find(text)
        lines = [f"{event.begin - self.begin:.2f} to {event.end - self.begin:.2f} s, {event.fault.name}: {line}\n"
                 for event in self.events for line in event.lost]
        (self.network.folder / "lost.txt").write_text("".join(lines))
        done = self.traffic.done
        intact = sum(connection.outcome == "whole" for connection in done)
        size = sum(connection.up.size + connection.down.size for connection in done if connection.outcome == "whole")
        print(judge.text(judge.table(self.all_faults, self.events, cost)))
        print(f"\nseed {self.options.seed}: {len(done)} connections, {intact} whole ({size / 1e6:.0f} MB), "
              f"{sum(cost.values())} lost with what was killed, {len(self.findings)} wrong")
        return 1 if self.findings else 0


async def soak(options, folder):
    loop = asyncio.get_running_loop()
    task = asyncio.current_task()
    for name in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        loop.add_signal_handler(name, task.cancel)
    if options.flood:
        return await flood.run(options, folder, say, judge.text)
    with Network(f"soak{os.getpid()}", folder, options.seed % 2**32) as network:
        run = Soak(options, network)
        await run.run()
        return run.report()


def main(arguments):
    options = parse(arguments)
    if options.check:
        return 0
    options.seed = random.randrange(2**31) if options.seed is None else options.seed
    folder = tempfile.mkdtemp(prefix="pepsal-soak-")
    try:
        return asyncio.run(soak(options, folder))
    finally:
        if options.keep:
            say(f"logs are in {folder}")
        else:
            shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except (KeyboardInterrupt, asyncio.CancelledError):
        say("interrupted")
        sys.exit(130)
    except SoakError as failure:
        say(str(failure))
        sys.exit(1)
