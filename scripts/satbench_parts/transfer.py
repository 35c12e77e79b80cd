"""HTTP transfers, one or several at once, with the times that matter: connected, first byte, bytes over time.

A client of its own instead of curl because curl does not say when which byte arrived. Every byte received is compared
with what was sent.
"""

import ctypes
import os
import selectors
import socket
import statistics
import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass, field

CLONE_NEWNET = 0x40000000
READ_BYTES = 1 << 18
TICK = 0.02  # seconds between samples, at least
stop = threading.Event()  # set when everything must end


@contextmanager
def inside(namespace):
    """The calling thread is in a named network namespace; sockets made here stay there."""
    libc = ctypes.CDLL(None, use_errno=True)

    def enter(descriptor):
        if libc.setns(descriptor, CLONE_NEWNET) != 0:
            raise OSError(ctypes.get_errno(), f"setns {namespace}")

    home = os.open("/proc/self/ns/net", os.O_RDONLY)
    there = os.open(f"/run/netns/{namespace}", os.O_RDONLY)
    try:
        enter(there)
        try:
            yield
        finally:
            enter(home)
    finally:
        os.close(home)
        os.close(there)


class PauseWatch:
    """The longest time for which the machine did not let this program run during a 'with'."""

    def __enter__(self):
        self.longest, self.ended = 0.0, threading.Event()
        self.thread = threading.Thread(target=self._watch)
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.ended.set()
        self.thread.join()

    def _watch(self):
        before = time.monotonic()
        while not self.ended.wait(TICK):
            now = time.monotonic()
            self.longest, before = max(self.longest, now - before - TICK), now


class Flow:
    """One request and its response, without ever blocking."""

    def __init__(self, address, request, body, expected):
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        self.socket.setblocking(False)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.out = memoryview(request)
        self.body = memoryview(body)
        self.expected = expected
        self.received = bytearray(len(expected) + 4096)  # header and body; anything more is an error anyway
        self.filled = 0
        self.header = None  # its length, when complete
        self.length = None
        self.connected = self.first_byte = self.done = self.error = None
        self.address = address

    def start(self):
        self.socket.connect_ex(self.address)

    def wants(self):
        return selectors.EVENT_READ | (selectors.EVENT_WRITE if len(self.out) or not self.connected else 0)

    def body_bytes(self):
        return self.filled - self.header if self.header else 0

    def handle(self, events, now):
        try:
            if events & selectors.EVENT_WRITE:
                self._write(now)
            if events & selectors.EVENT_READ:
                self._read(now)
        except BlockingIOError:
            pass
        except OSError as error:
            self.error = os.strerror(error.errno)

    def _write(self, now):
        if not self.connected:
            code = self.socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
            if code:
                raise OSError(code, "connect")
            self.connected = now
        while len(self.out):
            self.out = self.out[self.socket.send(self.out[:READ_BYTES]):]
            if not len(self.out):
                self.out, self.body = self.body, memoryview(b"")

    def _read(self, now):
        space = memoryview(self.received)[self.filled:self.filled + READ_BYTES]
        count = self.socket.recv_into(space) if len(space) else 0
        if count == 0:
            self.error = "the connection ended early"
            return
        if self.first_byte is None:
            self.first_byte = now
        self.filled += count
        if self.header is None:
            self._read_header()
        if self.header is not None and self.body_bytes() >= self.length:
            self.done = now

    def _read_header(self):
        end = self.received.find(b"\r\n\r\n", 0, self.filled)
        if end < 0:
            return
        lines = bytes(self.received[:end]).decode("latin-1").split("\r\n")
        status = lines[0].split()[1]
        if status not in ("200", "201", "204"):
            self.error = f"HTTP status {status}"
            return
        fields = {name.lower(): value.strip() for name, value in (line.split(":", 1) for line in lines[1:])}
        self.length = int(fields.get("content-length", 0))
        self.header = end + 4

    def intact(self):
        return memoryview(self.received)[self.header:self.header + self.length].tobytes() == self.expected


@dataclass
class Outcome:
    connect: float | None = None  # seconds, median of the flows
    first_byte: float | None = None
    paint: float | None = None  # a browser's first text or picture
    total: float | None = None  # until the last flow was done; None: aborted or failed
    received: int = 0
    longest_pause: float = 0  # seconds during which this program did not run because the machine was busy
    intact: bool | None = None  # None: not complete
    error: str | None = None
    series: list = field(default_factory=list)  # (seconds, bytes received by the receiving end)
    flow_bytes: list = field(default_factory=list)


def median(values):
    values = [value for value in values if value is not None]
    return statistics.median(values) if values else None


def run_flows(namespace, address, requests, limit, arrived, progress, starting):
    """requests: (header, body to send, body expected) of each flow. arrived(flows): bytes at the receiving end.
    starting() is called right before the first SYN."""
    outcome = Outcome(series=[(0.0, 0)])
    with inside(namespace):
        flows = [Flow(address, *request) for request in requests]
    starting()
    begin = time.monotonic()
    with selectors.DefaultSelector() as selector:
        for flow in flows:
            flow.start()
            selector.register(flow.socket, flow.wants(), flow)
        open_flows, now, next_sample = len(flows), 0.0, TICK
        while open_flows and now < limit and not stop.is_set():
            events = selector.select(TICK)
            before, now = now, time.monotonic() - begin
            outcome.longest_pause = max(outcome.longest_pause, now - before)
            for key, ready in events:
                flow = key.data
                flow.handle(ready, now)
                if flow.done or flow.error:
                    selector.unregister(flow.socket)
                    open_flows -= 1
                elif key.events != flow.wants():
                    selector.modify(flow.socket, flow.wants(), flow)
            if now >= next_sample or not open_flows:
                outcome.series.append((now, arrived(flows)))
                progress(now, outcome.series[-1][1])
                next_sample = now + TICK
    for flow in flows:
        flow.socket.close()
    outcome.connect = median([flow.connected for flow in flows])
    outcome.first_byte = median([flow.first_byte for flow in flows])
    outcome.error = next((flow.error for flow in flows if flow.error), None)
    outcome.flow_bytes = [flow.body_bytes() for flow in flows]
    outcome.received = outcome.series[-1][1]
    if all(flow.done for flow in flows):
        outcome.total = max(flow.done for flow in flows)
        outcome.intact = all(flow.intact() for flow in flows)
    return outcome


def download(namespace, host, name, content, flows, limit, progress, starting):
    request = f"GET /{name} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: satbench\r\n\r\n".encode()
    return run_flows(namespace, (host, 80), [(request, b"", content)] * flows, limit,
                     lambda running: sum(flow.body_bytes() for flow in running), progress, starting)


def upload(namespace, host, folder, content, flows, limit, progress, starting):
    """folder: the server's, with the subfolders body and www/up; nginx writes what it receives there."""

    def arrived(_):
        total = 0
        for place in ("body", "www/up"):
            for entry in os.scandir(folder / place):
                try:
                    total += entry.stat().st_size
                except FileNotFoundError:  # has just been moved from body to up
                    pass
        return total

    def request(number):
        return (f"PUT /up/{number} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: satbench\r\n"
                f"Content-Length: {len(content)}\r\n\r\n").encode()

    for entry in os.scandir(folder / "www/up"):
        os.unlink(entry.path)
    outcome = run_flows(namespace, (host, 80), [(request(number), content, b"") for number in range(flows)], limit,
                        arrived, progress, starting)
    if outcome.total is not None:
        outcome.intact = all((folder / "www/up" / str(number)).read_bytes() == content for number in range(flows))
    return outcome
