"""Measures PEPsal over emulated satellite links; scripts/satbench starts this once everything it needs is installed."""

import argparse
import json
import os
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import date
from pathlib import Path

sys.dont_write_bytecode = True  # nothing may appear next to the sources
sys.path.append(str(Path(__file__).resolve().parent.parent / "bench_parts"))  # what both benchmarks use

import browser
import figures as fig
import plots
import programs
import report
import scenarios as plan
import transfer
from command_line import Parser, folder, listed, program, whole
from lab import OTHER_COMMAND, SCRIPTS, SERVER, Lab, LabError, link_share
from machine import machine

ROOT = SCRIPTS.parent
MACHINE = machine()
VERSION = subprocess.run(["git", "-C", str(ROOT), "describe", "--always", "--dirty"], capture_output=True, text=True,
                         check=False).stdout.strip() or "unknown"
LONGEST_PAUSE = 0.15, 0.01  # seconds, or of a run's time
ATTEMPTS = 3


def parse(arguments):
    names = [scenario.name for scenario in plan.SCENARIOS]
    parser = Parser(prog="satbench", description="Measures downloads and uploads over emulated satellite links: direct, and "
                    "with PEPsal on one box or both. Traffic stays in network namespaces created for it.")
    parser.add_argument("--quick", action="store_true", help="a selection that takes less than two minutes")
    parser.add_argument("--only", type=listed(names), metavar="SCENARIO,...", help=f"only these scenarios, of {', '.join(names)}")
    parser.add_argument("--workload", action="append", metavar="TEXT",
                        help="only transfers whose name contains this text (repeatable)")
    parser.add_argument("--columns", type=listed(list(plan.COLUMNS)), metavar="COLUMN,...",
                        help=f"only these columns, of {', '.join(plan.COLUMNS)} (default: all whose programs are there)")
    parser.add_argument("--rounds", type=whole(1, 100), default=1, metavar="N",
                        help="runs of each transfer, each with different losses (default 1)")
    parser.add_argument("--jobs", type=whole(1, 8), default=1, metavar="N",
                        help="columns measured in parallel, in scenarios up to 20 Mb/s (default 1)")
    parser.add_argument("--other", type=program, metavar="PATH", help="another transparent PEP, for two more columns")
    parser.add_argument("--other-command", metavar="TEMPLATE", default=OTHER_COMMAND,
                        help=f"how it is started in the foreground on each box (default '{OTHER_COMMAND}'); it gets all TCP "
                        "of the box through TPROXY")
    parser.add_argument("--pepsal-options", metavar="TEXT", default="", help="further options for pepsal, as one argument")
    parser.add_argument("--no-tuning", dest="tuning", action="store_false", help="without pepsal-satlink on the boxes")
    parser.add_argument("--tell", action="store_true", help="tell the boxes each change of the link's rate when it happens, "
                        "as a modem would (pepsalctl link)")
    parser.add_argument("--no-peers", dest="peers", action="store_false", help="both ends without warm connections")
    parser.add_argument("--folder", type=folder, metavar="DIR", default=str(ROOT / "scripts/lab/scenarios"),
                        help="scenario files (default scripts/lab/scenarios)")
    parser.add_argument("--output", type=Path, metavar="DIR", default=ROOT / "build/satbench",
                        help="results.json, report.md and plots go there; existing runs are kept unless "
                        "repeated (default build/satbench)")
    parser.add_argument("--fresh", action="store_true", help="discard existing runs")
    parser.add_argument("--report", action="store_true", help="measure nothing; write the report again from results.json")
    parser.add_argument("--check", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.columns and not options.other and any(column.startswith("other") for column in options.columns):
        parser.error("--columns: 'other-...' needs --other PATH")
    options.columns = options.columns or [column for column in plan.COLUMNS
                                          if (options.other or not column.startswith("other"))
                                          and not (options.quick and column == "terminal")]
    options.pepsal_options = options.pepsal_options.split()
    return options


class Progress:
    """One line that changes while a transfer runs, and one for each that has ended."""

    def __init__(self, total):
        self.total, self.done = total, 0
        self.terminal = sys.stderr.isatty()
        self.begin, self.shown = time.monotonic(), 0.0

    def running(self, label, size):
        def update(seconds, received):
            if self.terminal and time.monotonic() - self.shown > 0.2:
                self.shown = time.monotonic()
                share = received / size if size else 0
                bar = ("#" * int(20 * share)).ljust(20, ".")
                sys.stderr.write(f"\r\033[K[{self.done + 1}/{self.total}] {label} [{bar}] {received / 1e6:.1f} MB {seconds:.1f} s")
        return update

    def note(self, text):
        sys.stderr.write(("\r\033[K" if self.terminal else "") + text + "\n")

    def ended(self, label, run):
        self.done += 1
        elapsed = int(time.monotonic() - self.begin)
        self.note(f"[{self.done}/{self.total}] {elapsed // 60}:{elapsed % 60:02d} {label}: "
                  f"{report.total_cell(run).replace('*', '')}")


class Teller:
    """Tells a lab's boxes the rate at the times of the scenario's schedule."""

    def __init__(self, lab, settings):
        self.lab = lab
        self.over = threading.Event()
        self.error = None
        self.begin = 0.0
        rates = {"down": float(settings["DOWN_MBIT"]), "up": float(settings["UP_MBIT"])}
        lab.tell_rate(**rates)  # the last transfer may have left another
        self.changes = []
        for word in settings.get("SCHEDULE", "").split():
            at, which, change = word.split(":")
            what, value = change.split("=")
            if what == "rate":
                rates = rates | {way: float(value) for way in rates if which in (way, "both")}
                self.changes.append((float(at), rates))
        self.thread = threading.Thread(target=self._tell)

    def start(self):
        """With the schedule."""
        self.begin = time.monotonic()
        self.thread.start()

    def _tell(self):
        for at, rates in self.changes:
            if self.over.wait(max(0.0, self.begin + at - time.monotonic())):
                return
            try:
                self.lab.tell_rate(**rates)
            except LabError as error:
                self.error = error
                return

    def end(self):
        self.over.set()
        self.thread.join()
        if self.error:
            raise self.error


class Bench:
    def __init__(self, options, scenario_list):
        self.options = options
        self.scenarios = scenario_list
        self.runs = []
        self.count = 0
        transfers = sum(workload.repeat for scenario in scenario_list for workload in scenario.workloads)
        self.progress = Progress(transfers * len(options.columns) * options.rounds)

    def settings(self, scenario):
        return scenario.settings(self.options.folder)

    def run(self):
        for number in range(self.options.rounds):
            for scenario in self.scenarios:
                slow = float(self.settings(scenario)["DOWN_MBIT"]) <= 20
                with ThreadPoolExecutor(self.options.jobs if slow else 1) as pool:
                    pending = [pool.submit(self.measure, scenario, column, number) for column in self.options.columns]
                    try:
                        for future in pending:
                            self.runs.extend(future.result())
                    except BaseException:
                        transfer.stop.set()
                        for future in pending:
                            future.cancel()
                        raise

    def measure(self, scenario, column, number):
        self.count += 1
        runs = []
        try:
            with Lab(f"sb{os.getpid()}-{self.count}", scenario.conf, number + 1, self.options) as lab:
                lab.start_column(column)
                for workload in scenario.workloads:
                    for again in range(workload.repeat):
                        runs.append(self._transfer(lab, scenario, column, workload, number * workload.repeat + again))
        except LabError as error:
            done = {run["workload"] for run in runs}
            for workload in scenario.workloads:
                if workload.name not in done:
                    runs.append(fig.failed(scenario, column, workload, number, str(error)))
                    self.progress.ended(f"{scenario.name} {workload.name}, {column}", runs[-1])
        return runs

    def _transfer(self, lab, scenario, column, workload, number):
        """A run during which the machine stalled says nothing about the link: it is repeated, a few times at most."""
        for attempt in range(ATTEMPTS):
            run = self._attempt(lab, scenario, column, workload, number)
            least, share = LONGEST_PAUSE
            if run["longest_pause_s"] <= max(least, share * (run["total_s"] or run["limit_s"])):
                break
            self.progress.note(f"the machine stood still for {run['longest_pause_s']:.2f} s "
                               f"({'once more' if attempt + 1 < ATTEMPTS else 'kept all the same'})")
        self.progress.ended(f"{scenario.name} {workload.name}, {column}", run)
        return run

    def _attempt(self, lab, scenario, column, workload, number):
        label = f"{scenario.name} {workload.name}, {column}"
        content = os.urandom(workload.size)
        if workload.kind == "transfer" and workload.direction == "down":
            lab.put("file", content)
        transfer.stop.wait(workload.pause)
        teller = Teller(lab, self.settings(scenario)) if self.options.tell and lab.boxes else None
        before, warm_before = lab.link_counters(), lab.warm_connections_used()
        progress = self.progress.running(label, workload.size * workload.flows)

        def starting():  # the schedule's times count from the transfer's start
            lab.restart_schedule()
            if teller:
                teller.start()

        if workload.kind != "transfer":
            starting()
        if workload.kind == "page":
            scheme = "http" if workload.port == 80 else "https"
            outcome = browser.load_page(lab.namespace("user"), f"{scheme}://{SERVER}:{workload.port}/", workload.protocol,
                                        workload.limit)
        elif workload.kind == "ssh":
            outcome = programs.ssh(lab.namespace("user"), SERVER, lab.folder, workload.limit)
        elif workload.kind == "tls-upload":
            outcome = programs.tls_upload(lab.namespace("user"), SERVER, lab.folder, content, workload.limit)
        elif workload.direction == "down":
            outcome = transfer.download(lab.namespace("user"), SERVER, "file", content, workload.flows, workload.limit,
                                        progress, starting)
        else:
            outcome = transfer.upload(lab.namespace("user"), SERVER, lab.folder, content, workload.flows,
                                      workload.limit, progress, starting)
        if teller:
            teller.end()
        if transfer.stop.is_set():
            raise InterruptedError
        link = link_share(before, lab.link_counters())
        run = fig.figures(scenario, self.settings(scenario), column, workload, number, outcome, link, VERSION)
        if warm_before is not None:
            run["warm_connections"] = lab.warm_connections_used() - warm_before
        # What an aborted transfer has left in flight must not disturb the next one.
        if outcome.total is None:
            transfer.stop.wait(3)
        return run


def load(path):
    try:
        return json.loads(path.read_text())
    except FileNotFoundError:
        return {"runs": []}


def merged(old, new):
    made = {(run["scenario"], run["column"], run["workload"]) for run in new}
    return [run for run in old if (run["scenario"], run["column"], run["workload"]) not in made] + new


def write_report(options, data, scenario_list):
    def settings_of(scenario):
        return scenario.settings(options.folder)

    results = fig.Results(data["runs"])
    objectives = fig.Objectives(results, scenario_list, settings_of)
    drawn = plots.draw_all(results, scenario_list, settings_of, options.output / "plots")
    lines = list(report.markdown(data, results, objectives, scenario_list, settings_of, drawn))
    (options.output / "report.md").write_text("\n".join(lines) + "\n")
    return lines


def chosen(options):
    found = []
    for scenario in plan.QUICK if options.quick else plan.SCENARIOS:
        workloads = tuple(workload for workload in scenario.workloads
                          if not options.workload or any(text in workload.name for text in options.workload))
        if workloads and (not options.only or scenario.name in options.only):
            found.append(plan.Scenario(scenario.name, scenario.conf, workloads))
    return found


def main(arguments):
    options = parse(arguments)
    scenario_list = chosen(options)
    if not scenario_list:
        sys.stderr.write("satbench: there is no such transfer in the scenarios chosen\n")
        return 2
    kinds = {workload.kind for scenario in scenario_list for workload in scenario.workloads}
    options.with_ssh = "ssh" in kinds
    if options.check:
        print("browser" if "page" in kinds else "")
        return 0
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: sys.exit(143))
    options.output.mkdir(parents=True, exist_ok=True)
    path = options.output / "results.json"
    data = load(path) if options.report or not options.fresh else {"runs": []}
    status = 0
    if not options.report:
        bench = Bench(options, scenario_list)
        try:
            bench.run()
        finally:  # what was measured before an interrupt is kept
            data["runs"] = merged(data["runs"], bench.runs)
            data["about"] = {"date": date.today().isoformat(), "version": VERSION, "machine": MACHINE,
                             "rounds": options.rounds, "command": " ".join(["scripts/satbench", *arguments])}
            path.write_text(json.dumps(data, indent=None) + "\n")
        status = 1 if any(run.get("error") or run["intact"] is False for run in bench.runs) else 0
    lines = write_report(options, data, plan.QUICK if options.quick else plan.SCENARIOS)
    print("\n".join(lines))
    sys.stderr.write(f"satbench: {options.output}/report.md, results.json and plots/ are written\n")
    return status


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except (KeyboardInterrupt, InterruptedError):
        sys.exit(130)
    except LabError as failure:
        sys.stderr.write(f"satbench: {failure}\n")
        sys.exit(1)
