"""From runs to figures: a dictionary for each run, the medians of several, and the objectives with their verdicts."""

import scenarios as plan
import transfer

SERIES_POINTS = 250


def time_at(series, size):
    """When this many bytes had arrived, interpolated between two samples."""
    for (t0, b0), (t1, b1) in zip(series, series[1:]):
        if b1 >= size:
            return t1 if b1 == b0 else t0 + (t1 - t0) * (size - b0) / (b1 - b0)
    return None


def thinned(series):
    """Drops points between others of the same height, and of the rest as many as a plot does not need."""
    turns = [point for before, point, after in zip(series, series[1:], series[2:])
             if not before[1] == point[1] == after[1]]
    step = max(1, len(turns) // SERIES_POINTS)
    return [[round(t, 3), b] for t, b in [series[0], *turns[::step], series[-1]]]


def jain(values):
    """Jain's fairness index: 1 if all have the same, 1/n if one has everything."""
    squares = sum(value * value for value in values)
    return sum(values) ** 2 / (len(values) * squares) if squares else None


def figures(scenario, settings, column, workload, number, outcome, link, version):
    total_bytes = workload.size * workload.flows
    rate = float(settings["DOWN_MBIT" if workload.direction == "down" else "UP_MBIT"])
    limit = plan.fastest_seconds(settings, workload)
    seconds = outcome.total or workload.limit
    run = {
        "scenario": scenario.name, "workload": workload.name, "column": column, "round": number, "version": version,
        "direction": workload.direction, "flows": workload.flows, "bytes": total_bytes, "received": outcome.received,
        "connect_s": outcome.connect, "first_byte_s": outcome.first_byte, "paint_s": outcome.paint, "total_s": outcome.total,
        "limit_s": workload.limit, "timed": workload.timed, "intact": outcome.intact, "error": outcome.error,
        "marks_s": {str(mark): time_at(outcome.series, mark) for mark in plan.MARKS if mark <= total_bytes},
        "goodput_mbit": outcome.received * 8 / seconds / 1e6,
        "fastest_s": limit,
        "to_fastest": outcome.total / limit if outcome.total else None,
        "longest_pause_s": outcome.longest_pause, "link": link, "series": thinned(outcome.series),
    }
    # A mark at the end of the file is reached with its last byte, not with a sample.
    if str(total_bytes) in run["marks_s"] and outcome.total and workload.direction == "down":
        run["marks_s"][str(total_bytes)] = outcome.total
    run["efficiency"] = run["goodput_mbit"] / rate
    if workload.timed:
        run["jain"] = jain(outcome.flow_bytes)
    return run


def failed(scenario, column, workload, number, error):
    outcome = {"scenario": scenario.name, "workload": workload.name, "column": column, "round": number}
    return outcome | {"error": error, "total_s": None, "marks_s": {}, "series": [], "intact": None,
                      "limit_s": workload.limit, "flows": workload.flows, "direction": workload.direction,
                      "bytes": workload.size * workload.flows, "received": 0, "timed": workload.timed}


def middle(runs):
    """The run with the median total among several of the same; an incomplete one counts as slowest."""
    ordered = sorted(runs, key=lambda run: (run["total_s"] is None, run["total_s"] or 0))
    return ordered[(len(ordered) - 1) // 2]


class Results:
    """All runs, found by what they measured."""

    def __init__(self, runs):
        self.runs = runs
        self.groups = {}
        for run in runs:
            self.groups.setdefault((run["scenario"], run["workload"], run["column"]), []).append(run)

    def get(self, scenario, workload, column):
        runs = self.groups.get((scenario, workload, column))
        return middle(runs) if runs else None

    def first_byte(self, run):
        """The median of this figure: the run with the median total need not have the median first byte."""
        runs = self.groups[(run["scenario"], run["workload"], run["column"])]
        return transfer.median([same.get("first_byte_s") for same in runs])

    def columns(self):
        return [column for column in plan.COLUMNS if any(key[2] == column for key in self.groups)]

    def speedup(self, run):
        """How many times faster than direct; with a flag for a '>' sign if direct was given up."""
        direct = self.get(run["scenario"], run["workload"], "direct")
        if not direct or not run.get("total_s") or direct.get("error"):
            return None, False
        return (direct["total_s"] or direct["limit_s"]) / run["total_s"], direct["total_s"] is None


def seconds_text(value, limit):
    return f"> {limit:.0f} s" if value is None else f"{value:.2f} s"


class Objectives:
    """The project's objectives, with what was measured."""

    def __init__(self, results, scenario_list, settings_of):
        self.results = results
        self.rows = []  # (what, wanted, measured, reached)
        for scenario in scenario_list:
            settings = settings_of(scenario)
            for workload in scenario.workloads:
                self._draft(scenario, workload)
                self._first_byte(scenario, workload, settings)
                self._object(scenario, workload, settings)
                self._gateway(scenario, workload, settings)
                self._page(scenario, workload)
                self._goal(scenario, workload, settings)
                self._share(scenario, workload)
        self._never_slower(scenario_list)

    def _add(self, what, wanted, value, limit, text, at_most=True):
        reached = value is not None and (value <= limit if at_most else value >= limit)
        self.rows.append((what, wanted, text, reached))

    def _both(self, scenario, workload):
        run = self.results.get(scenario.name, workload.name, "both")
        return run if run and not run.get("error") else None

    def _draft(self, scenario, workload):
        run = self._both(scenario, workload)
        for mark, wanted in [*workload.objectives.items(), *workload.goals.items()] if run else ():
            if mark > workload.size * workload.flows:
                continue
            value = run["marks_s"].get(str(mark))
            self._add(f"{scenario.name}: {mark // plan.MB} MB {workload.direction}, both ends", f"at most {wanted} s", value,
                      wanted, seconds_text(value, run["limit_s"]))

    def _first_byte(self, scenario, workload, settings):
        run = self._both(scenario, workload)
        if (run and scenario.name in ("web", "geo") and workload.flows == 1 and workload.direction == "down"
                and workload.kind == "transfer"):
            rtts = self.results.first_byte(run) / (float(settings["RTT_MS"]) / 1000)
            self._add(f"{scenario.name}: first byte of {workload.name}, both ends", "at most 1.05 RTT", rtts, 1.05,
                      f"{rtts:.3f} RTT")

    def _object(self, scenario, workload, settings):
        run = self._both(scenario, workload)
        if not run or workload.direction != "down" or workload.flows != 1:
            return
        rtt, rate = float(settings["RTT_MS"]) / 1000, float(settings["DOWN_MBIT"]) * 1e6 / 8
        if workload.size == 65536:
            wanted, text = 1.1 * (rtt + workload.size / rate), "1.1 (RTT + bytes/rate)"
        elif workload.size in (10 * plan.MB, 10 * 1024 * 1024):
            factor = 1.2 if float(settings.get("LOSS_DOWN", 0)) > 0 else 1.1
            wanted, text = factor * (2 * rtt + workload.size / rate), f"{factor} (2 RTT + bytes/rate)"
        else:
            return
        self._add(f"{scenario.name}: {workload.name}, both ends", f"at most {wanted:.2f} s = {text}", run["total_s"],
                  wanted, seconds_text(run["total_s"], run["limit_s"]))

    def _gateway(self, scenario, workload, settings):
        """10 MB through the gateway's box alone against direct; of larger files, their first 10 MB."""
        runs = [self.results.get(scenario.name, workload.name, column) for column in ("gateway", "direct")]
        if None in runs or workload.direction != "down" or workload.flows != 1 or workload.size < 10 * plan.MB:
            return
        if workload.pause or "SCHEDULE" in settings:
            return
        gateway, direct = (run["marks_s"].get(str(10 * plan.MB)) for run in runs)
        loss, rate = float(settings.get("LOSS_DOWN", 0)), float(settings["DOWN_MBIT"])
        wanted = 8 if loss else 1.3 if rate >= 50 else 1.15
        given_up = direct is None
        ratio = (direct or runs[1]["limit_s"]) / gateway if gateway else None
        text = "not completed" if ratio is None else f"{'more than ' if given_up else ''}{ratio:.2f} times"
        self._add(f"{scenario.name}: 10 MB down, gateway only", f"{wanted} times faster than direct", ratio, wanted, text,
                  at_most=False)

    def _page(self, scenario, workload):
        run = self._both(scenario, workload)
        if run and workload.name.startswith("page, 10 x"):
            ratio, _ = self.results.speedup(run)
            self._add(f"{scenario.name}: {workload.name}, both ends", "2 times faster than direct", ratio, 2,
                      f"{ratio:.2f} times" if ratio else "not completed", at_most=False)

    def _goal(self, scenario, workload, settings):
        run = self._both(scenario, workload)
        if not run:
            return
        if workload.first_byte_trips and workload.goal:
            wanted = workload.first_byte_trips + 0.05
            trips = self.results.first_byte(run) / (float(settings["RTT_MS"]) / 1000) if run["first_byte_s"] else None
            self._add(f"{scenario.name}: first byte of {workload.name}, both ends", f"at most {wanted:.2f} RTT", trips, wanted,
                      f"{trips:.2f} RTT" if trips else "not completed")
        if workload.goal:
            self._add(f"{scenario.name}: {workload.name}, both ends", f"at most {workload.goal} s", run["total_s"], workload.goal,
                      seconds_text(run["total_s"], run["limit_s"]))
        direct = self.results.get(scenario.name, workload.name, "direct")
        if workload.kind == "ssh" and direct and direct["total_s"]:
            saved = (direct["total_s"] - (run["total_s"] or workload.limit)) / (float(settings["RTT_MS"]) / 1000)
            self._add(f"{scenario.name}: {workload.name}, both ends", "one round trip less than direct", saved, 0.95,
                      f"{saved:.2f} RTT less", at_most=False)

    def _share(self, scenario, workload):
        run = self._both(scenario, workload)
        if run and workload.timed:
            drops = run["link"]["down"]["queue_drops"]
            self._add(f"{scenario.name}: {workload.name}, both ends", "Jain's index at least 0.95", run["jain"], 0.95,
                      f"{run['jain']:.3f}", at_most=False)
            self._add(f"{scenario.name}: {workload.name}, both ends", "no loss in the satellite's queue", drops, 0,
                      f"{drops} packets")

    def _never_slower(self, scenario_list):
        """Two runs of the same transfer differ by up to 5 %, which is tolerated."""
        for column in ("gateway", "both"):
            slower, compared = [], 0
            for scenario in scenario_list:
                for workload in scenario.workloads:
                    run = self.results.get(scenario.name, workload.name, column)
                    direct = self.results.get(scenario.name, workload.name, "direct")
                    if not run or not direct or workload.timed or (direct["total_s"] is None and run["total_s"] is None):
                        continue
                    compared += 1
                    if run["total_s"] is None or (direct["total_s"] and run["total_s"] > 1.05 * direct["total_s"]):
                        ratio, _ = self.results.speedup(run)
                        slower.append(f"{scenario.name} {workload.name} ({ratio:.2f})" if ratio else
                                      f"{scenario.name} {workload.name}")
            if compared:
                self._add(f"all {compared} transfers, {plan.COLUMNS[column][8:]}", "never slower than direct (5 %)", len(slower),
                          0, "; ".join(slower) or "none slower")
