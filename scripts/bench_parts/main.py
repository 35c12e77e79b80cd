"""Measures the daemon against plain forwarding, HAProxy and a bare NFQUEUE program, in turns, in network namespaces of its
own. docs/BENCHMARKS.md explains each figure. scripts/bench starts this once everything it needs is installed."""

import os
import resource
import signal
import sys

sys.dont_write_bytecode = True  # nothing may appear next to the sources

from command_line import Parser, one_of, output_file, whole
from figures import Measures, Results
from idle import IdleMeasure
from machine import machine, machine_text
from network import BenchError, Network, say
from queuer import QueueMeasures, QueueSubject
from subjects import Subject
from tables import MainTable, circumstances, print_honest, print_idle

FIGURES = ["bulk", "latency", "crowd", "connections", "memory", "queuer"]


def parse(arguments):
    parser = Parser(prog="bench", description="Measures the daemon against plain forwarding, HAProxy and a bare NFQUEUE "
                    "program, in turns, and prints one Markdown table. Needs root, installs what it lacks with apt-get and "
                    "builds the daemon.")
    parser.add_argument("--rounds", type=whole(1, 999), default=5, metavar="N",
                        help="interleaved rounds; medians are shown (default 5)")
    parser.add_argument("--quick", action="store_true", help="one short round, to check that everything works")
    parser.add_argument("--only", type=one_of([*FIGURES, "honest", "idle"]), metavar="NAME",
                        help=f"one figure: {' '.join(FIGURES)}; or, outside the table, honest: --connect honest compared "
                        "with fast; idle: what idle connections cost (eight minutes per round)")
    parser.add_argument("--json", type=output_file, metavar="FILE", help="also write every single measurement to this file")
    parser.add_argument("--check", action="store_true", help="check the command line and exit")
    options = parser.parse_args(arguments)
    options.seconds = 2 if options.quick else 4
    options.rounds = 1 if options.quick else options.rounds
    return options


def run_rounds(options, measures, figures, subjects_of):
    """Subjects take turns, and each round begins with another one."""
    for number in range(options.rounds):
        for figure in figures:
            say(f"round {number + 1} of {options.rounds}: {figure}")
            subjects = subjects_of(figure)
            first = number % len(subjects)
            for subject in subjects[first:] + subjects[:first]:
                measures(figure)(subject)


def start(network, names, web=True):
    subjects = [Subject(network, name, web) for name in names]
    for subject in subjects if web else []:
        subject.see_that_it_answers()
    return subjects


def measure_table(options, network, results):
    figures = [options.only] if options.only else FIGURES
    subjects = start(network, MainTable.SUBJECTS) if figures != ["queuer"] else []
    queues = [QueueSubject(network, name) for name in ("bare", "pepsal")] if "queuer" in figures else []
    traffic = Measures(network, results, options.seconds)
    queue = QueueMeasures(network, results, options.seconds)
    run_rounds(options, lambda figure: getattr(queue if figure == "queuer" else traffic, figure), figures,
               lambda figure: queues if figure == "queuer" else subjects)
    MainTable(results, figures).print()


def measure_honest(options, network, results):
    subjects = start(network, ("plain", "pepsal", "honest"))
    traffic = Measures(network, results, options.seconds)
    run_rounds(options, lambda figure: getattr(traffic, figure), ["connect", "connections"], lambda _: subjects)
    print_honest(results)


def measure_idle(options, network, results):
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    subjects = start(network, ("plain", "idle"), web=False)
    idle = IdleMeasure(network, results, options.quick)
    run_rounds(options, lambda _: idle.measure, ["idle"], lambda _: subjects)
    print_idle(results, idle.counts)


def main(arguments):
    options = parse(arguments)
    if options.check:
        return 0
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: sys.exit(143))
    os.environ["LC_ALL"] = "C"
    results = Results()
    with Network() as network:
        network.allow_cubic()
        apart = {"honest": measure_honest, "idle": measure_idle}
        apart.get(options.only, measure_table)(options, network, results)
        version = "" if options.only in apart else network.call("haproxy", "-v").split()[2]
    seconds = "" if options.only == "idle" else f"; {options.seconds} s each"
    print("\n" + circumstances(options.rounds, seconds, machine_text(machine()), version))
    if options.json:
        results.write(options.json)
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except KeyboardInterrupt:
        sys.exit(130)
    except BenchError as failure:
        say(str(failure))
        sys.exit(1)
