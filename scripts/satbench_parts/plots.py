"""SVG plots made by gnuplot: bytes received over time in a scenario's first transfer, and bars of time per scenario."""

import subprocess

import scenarios as plan

COLOURS = {"direct": "#b0413e", "gateway": "#e0a030", "terminal": "#8a8a8a", "both": "#2a7f62",
           "other-gateway": "#5b7db1", "other-both": "#31507d"}


def gnuplot(script):
    subprocess.run(["gnuplot"], input=script, text=True, check=True, capture_output=True)


def quoted(text):
    return '"' + text.replace('"', "'") + '"'


def over_time(results, scenario, settings, path):
    workload = scenario.workloads[0]
    runs = [run for run in (results.get(scenario.name, workload.name, column) for column in results.columns())
            if run and len(run["series"]) > 1]
    if not runs:
        return False
    size = workload.size * workload.flows / 1e6
    fastest = plan.fastest_seconds(settings, workload)
    rtt = float(settings["RTT_MS"]) / 1000
    longest = max(run["series"][-1][0] for run in runs)
    blocks, curves = [], []
    for number, run in enumerate(runs):
        points = "\n".join(f"{t} {b / 1e6}" for t, b in run["series"])
        blocks.append(f"$d{number} << END\n{points}\nEND\n")
        curves.append(f"$d{number} using 1:2 with lines lw 2 lc rgb '{COLOURS[run['column']]}' "
                      f"title {quoted(plan.COLUMNS[run['column']])}")
    if "SCHEDULE" not in settings:
        blocks.append(f"$limit << END\n{rtt} 0\n{fastest} {size}\nEND\n")
        curves.append("$limit using 1:2 with lines dt 3 lw 1 lc rgb '#000000' title 'RTT + bytes/rate'")
    gnuplot("".join(blocks) + f"""
set terminal svg size 640,360 font 'sans,11' background rgb 'white'
set output {quoted(str(path))}
set title {quoted(f"{scenario.name}: {settings.get('DESCRIPTION', scenario.conf)}")}
set xlabel 'seconds'
set ylabel 'MB received'
set key bottom right
set grid lc rgb '#dddddd'
set xrange [0:{longest * 1.02}]
set yrange [0:{size * 1.05}]
plot {', '.join(curves)}
""")
    return True


def bars(results, scenario_list, settings_of, path):
    """Time of each scenario's first transfer, as a multiple of the limit, so that all fit one scale."""
    shown = {run["column"] for scenario in scenario_list for run in
             (results.get(scenario.name, scenario.workloads[0].name, column) for column in results.columns()) if run}
    columns = [column for column in results.columns() if column in shown]  # gnuplot refuses a column without values
    rows, given_up = [], False
    for scenario in scenario_list:
        workload = scenario.workloads[0]
        runs = [results.get(scenario.name, workload.name, column) for column in columns]
        if not any(runs):
            continue
        settings = settings_of(scenario)
        limit = plan.fastest_seconds(settings, workload)
        values = [f"{(run['total_s'] or run['limit_s']) / limit:.3f}" if run else "NaN" for run in runs]
        given_up |= any(run and run["total_s"] is None for run in runs)
        rows.append(f"{quoted(f'{scenario.name}: {workload.name}')} {' '.join(values)}")
    if not rows:
        return False
    series = [f"$d using {number + 2}:xtic(1) lc rgb '{COLOURS[column]}' title {quoted(plan.COLUMNS[column])}"
              for number, column in enumerate(columns)]
    data = "\n".join(rows)
    note = " (transfers given up: time until then)" if given_up else ""
    gnuplot(f"""$d << END
{data}
END
set terminal svg size 900,420 font 'sans,11' background rgb 'white'
set output {quoted(str(path))}
set title 'Time to the last byte, as a multiple of RTT + bytes/rate{note}'
set style data histogram
set style histogram clustered gap 1.5
set style fill solid 0.9 noborder
set logscale y 2
set yrange [1:*]
set grid y lc rgb '#dddddd'
set xtics rotate by -25
set key top left
plot {', '.join(series)}
""")
    return True


def draw_all(results, scenario_list, settings_of, folder):
    """Returns the files of each scenario, by name, relative to the report; those of all scenarios under ''."""
    folder.mkdir(parents=True, exist_ok=True)
    made = {}
    for scenario in scenario_list:
        name = f"received-{scenario.name}.svg"
        if over_time(results, scenario, settings_of(scenario), folder / name):
            made[scenario.name] = [f"{folder.name}/{name}"]
    if bars(results, scenario_list, settings_of, folder / "times.svg"):
        made[""] = [f"{folder.name}/times.svg"]
    return made
