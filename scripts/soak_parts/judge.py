"""What went wrong: with connections, with what the boxes hold afterwards, with their logs; and the table of faults."""

import re
import statistics

SLACK = 2.0  # seconds around a fault within which a connection being opened may have been hit
IDLE_MOST = 128  # per listener: the number to which bursts may raise the spare proxies
MEMORY_MORE = 4096  # kB by which a manager may have grown
# Children that end in these ways were killed by the soak, or by the kernel when memory ran short.
KILLED = re.compile(r"was lost.*\((?!signal 9\))(signal \d+|status \d+)\)")
CLOSED_KILLED = re.compile(r"closed client=(\S+) .*reason=proxy-killed")


def excuse(connection, events):
    """The fault that may have cost this connection."""
    for event in events:
        if {connection.client, connection.seen} & event.victims:
            return event
    # The fault during which it began comes before its neighbours.
    for slack in (0, SLACK):
        for event in events:
            if event.fault.opening and event.fault.concerns(event, connection) and met(connection, event, slack):
                return event
    return None


def met(connection, event, slack):
    """Whether the connection was being opened during the event."""
    begin, end = event.begin - slack, (event.end or float("inf")) + slack
    was_opening = connection.opened is None or connection.opened >= begin
    return was_opening and connection.began <= end and (connection.ended or end) >= event.begin


def add_victims_of_logs(events):
    for event in events:
        if event.fault.by_log:
            lines = [line for when, line in event.box.syslog.lines if event.begin <= when <= event.end + 10]
            event.victims |= {match[1] for line in lines if (match := CLOSED_KILLED.search(line))}


def judge_connections(done, events, begin):
    """Findings, and how many connections each event has cost."""
    findings, cost = [], {}
    for connection in done:
        if connection.outcome == "whole":
            continue
        event = excuse(connection, events) if connection.outcome == "lost" else None
        if event:
            cost[event] = cost.get(event, 0) + 1
            opened = "never opened" if connection.opened is None else f"opened at {connection.opened - begin:.2f} s"
            event.lost.append(f"{connection}: began at {connection.began - begin:.2f} s, {opened}, lost at "
                              f"{connection.ended - begin:.2f} s: {connection.detail}")
        else:
            findings.append(f"{connection.outcome} after {connection.ended - connection.began:.1f} s, at "
                            f"{connection.ended - begin:.1f} s: {connection}: {connection.detail}")
    return findings, cost


def judge_logs(boxes):
    return [f"{box.role}: {line.strip()}" for box in boxes for _, line in box.syslog.lines if KILLED.search(line)]


def differences(before, after, listeners):
    """What a box holds in excess of (or short of) what it held before the traffic."""
    found = []
    for name, value in after.items():
        old = before[name]
        if name == "rules":
            found += [f"rule gone: {line}" for line in old if line not in value]
            found += [f"rule more: {line}" for line in value if line not in old]
        elif name == "idle":
            if not 0 < value <= IDLE_MOST * listeners:
                found.append(f"{value} idle proxies")
        elif name == "manager's private kB":
            if value > old + MEMORY_MORE:
                found.append(f"{name}: {value}, {old} before")
        elif name in ("waiting for a peer", "sockets"):
            continue  # follow the demand for warm connections; checked below
        elif value != old:
            found.append(f"{name}: {value}, {old} before")
    lost = after["sockets"] - after["waiting for a peer"]
    if lost > before["sockets"] - before["waiting for a peer"] + IDLE_MOST:
        found.append(f"sockets that nobody waits at: {lost}")
    return found


def table(faults, events, cost):
    rows = [("fault", "times", "again after, median s", "longest s", "connections it cost", "found")]
    for fault in faults:
        mine = [event for event in events if event.fault is fault]
        if fault.reason:
            rows.append((fault.name, "skipped", "", "", "", fault.reason))
            continue
        again = [event.again for event in mine if event.again is not None]
        found = sum(len(event.findings) for event in mine)
        rows.append((fault.name, str(len(mine)), f"{statistics.median(again):.2f}" if again else "",
                     f"{max(again):.2f}" if again else "", str(sum(cost.get(event, 0) for event in mine)),
                     f"{found} wrong" if found else "nothing" if mine else ""))
    return rows


def text(rows):
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return "\n".join("  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip() for row in rows)
