"""The report in Markdown: the targets, then every scenario's table."""

import figures as fig
import scenarios as plan
from machine import machine_text


def cell(value, form):
    return form.format(value) if value is not None else "–"


def marks_of(workload):
    return [mark for mark in plan.MARKS if mark < workload.size * workload.flows]


def objective_lines(objectives):
    yield "| figure | target | measured | |"
    yield "|---|---|---|---|"
    for what, wanted, text, reached in objectives.rows:
        yield f"| {what} | {wanted} | {text} | {'reached' if reached else '**not reached**'} |"


def total_cell(run):
    if run.get("error"):
        return f"failed: {run['error']}"
    if run["timed"]:
        return f"{run['received'] / 1e6:.1f} MB in {run['limit_s']:.0f} s"
    if run["total_s"] is None:
        return f"> {run['limit_s']:.0f} s ({run['received'] / 1e6:.1f} MB)"
    return f"{run['total_s']:.2f} s{'' if run['intact'] else ' **damaged**'}"


def row(results, workload, run):
    ratio, at_least = results.speedup(run)
    times = [cell(run["marks_s"].get(str(mark)), "{:.2f} s") for mark in marks_of(workload)]
    if workload.kind == "page":
        times = [cell(run.get("paint_s"), "{:.2f} s")]
    ahead = "" if run["column"] == "direct" or ratio is None else f"{'> ' if at_least else ''}{ratio:.2f}"
    return " | ".join([
        plan.COLUMNS[run["column"]], cell(run.get("connect_s"), "{:.2f} s"), cell(results.first_byte(run), "{:.2f} s"),
        " / ".join(times) or "", total_cell(run), cell(run.get("goodput_mbit") or None, "{:.2f}"),
        cell(run.get("efficiency") and 100 * run["efficiency"], "{:.0f} %"), ahead,
        cell(run.get("to_fastest"), "{:.2f}")])


def scenario_lines(results, scenario, settings):
    yield f"### {scenario.name}: {settings.get('DESCRIPTION', scenario.conf)}"
    yield ""
    for workload in scenario.workloads:
        runs = [results.get(scenario.name, workload.name, column) for column in results.columns()]
        if not any(runs):
            continue
        marks = " / ".join(f"{mark // plan.MB} MB" for mark in marks_of(workload))
        if workload.kind == "page":
            marks = "first paint"
        fastest = plan.fastest_seconds(settings, workload)
        limit = "" if workload.timed else f"; the limit ({plan.floor_text(workload)}) is {fastest:.2f} s"
        if workload.first_byte_trips:
            first = workload.first_byte_trips * float(settings["RTT_MS"]) / 1000
            limit += f", the first byte's ({workload.first_byte_trips} RTT) {first:.2f} s"
        yield f"**{workload.name}**{limit}"
        yield ""
        yield f"| | connected | first byte | {marks} | {'loaded' if workload.kind == 'page' else 'all'} | Mb/s | of the rate | x direct | x limit |"
        yield "|---|---|---|---|---|---|---|---|---|"
        for run in filter(None, runs):
            yield f"| {row(results, workload, run)} |"
        yield ""


def summary_lines(results, scenario_list, settings_of):
    """Every transfer in one line: time until its last byte, in each column."""
    columns = results.columns()
    yield f"| | {' | '.join(plan.COLUMNS[column] for column in columns)} | limit |"
    yield "|---|" + "---|" * (len(columns) + 1)
    for scenario in scenario_list:
        settings = settings_of(scenario)
        for workload in scenario.workloads:
            runs = [results.get(scenario.name, workload.name, column) for column in columns]
            if not any(runs):
                continue
            fastest = plan.fastest_seconds(settings, workload)
            limit = "" if workload.timed else f"{fastest:.2f} s"
            cells = [total_cell(run) if run else "" for run in runs]
            yield f"| {scenario.name}: {workload.name} | {' | '.join(cells)} | {limit} |"


def markdown(data, results, objectives, scenario_list, settings_of, plots):
    about = data["about"]
    yield "# PEPsal over satellite links"
    yield ""
    versions = sorted({run["version"] for run in data["runs"] if run.get("version")} - {about["version"]})
    if versions:
        yield f"Some runs, kept from before, are of {', '.join(versions)}."
        yield ""
    yield f"{about['date']}, version {about['version']}, `{about['command']}`, rounds: {about['rounds']}."
    yield f"Machine: {machine_text(about['machine'])}."
    yield ""
    if objectives.rows:
        yield "## Targets"
        yield ""
        yield from objective_lines(objectives)
        yield ""
    yield "## In short"
    yield ""
    yield from summary_lines(results, scenario_list, settings_of)
    yield ""
    for path in plots.get("", ()):
        yield f"![times]({path})"
        yield ""
    yield "## All transfers"
    yield ""
    yield ("Times are from the first SYN, of pages from the browser's start of navigation, of ssh from its process's start. *connected* and *first byte* are the median of the flows. *> N s* means given up "
           "after N s, with what had arrived. *x direct*: times faster than direct. *x limit*: times the limit.")
    yield ""
    for scenario in scenario_list:
        lines = list(scenario_lines(results, scenario, settings_of(scenario)))
        if len(lines) <= 2:
            continue
        yield from lines
        for path in plots.get(scenario.name, ()):
            yield f"![{scenario.name}]({path})"
            yield ""
