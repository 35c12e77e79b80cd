"""A page in a real browser: headless Chromium, new for each load, driven by its DevTools protocol over a pipe."""

import json
import os
import random
import select
import shutil
import signal
import struct
import subprocess
import tempfile
import time
import zlib
from pathlib import Path

import transfer

FLAGS = ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--no-default-browser-check",
         "--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-extensions",
         "--disable-default-apps", "--disable-breakpad", "--disable-dev-shm-usage", "--metrics-recording-only", "--mute-audio",
         "--window-size=1280,900", "--ignore-certificate-errors", "--remote-debugging-pipe")
START_PATIENCE = 60  # seconds until a browser answers; only a limit for failures
QUIET_PATIENCE = 20  # seconds until it has finished starting up, which takes longer on a busy machine

# The page: its document names a stylesheet and scripts in its head and pictures in its body; the stylesheet names one more
# picture, which is therefore found a round trip later, like fonts and backgrounds.
DOCUMENT_BYTES, STYLE_BYTES, SCRIPT_BYTES = 9_000, 50_000, 60_000
SCRIPTS, PICTURES = 6, 41
PAGE_BYTES = 1_400_000
OBJECTS = 1 + 1 + SCRIPTS + PICTURES + 1

# What the browser itself reports about the load. Times are seconds since the navigation began.
REPORT = """JSON.stringify((() => {
  const page = performance.getEntriesByType('navigation')[0];
  const paint = performance.getEntriesByName('first-contentful-paint')[0];
  const resources = performance.getEntriesByType('resource');
  const pictures = [...document.images];
  return {
    connect: page.connectEnd / 1000, first_byte: page.responseStart / 1000, load: page.loadEventStart / 1000,
    paint: paint ? paint.startTime / 1000 : null,
    bytes: [page, ...resources].reduce((sum, entry) => sum + entry.decodedBodySize, 0), objects: 1 + resources.length,
    protocols: [...new Set([page, ...resources].map(entry => entry.nextHopProtocol))],
    broken: pictures.filter(picture => !picture.complete || picture.naturalWidth == 0).length,
    scripts: window.loaded_scripts || 0 };
})())"""


def picture(size, noise):
    """A PNG of this many bytes: grey noise, which no transport can compress."""
    width = 64

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, max(1, (size - 100) // (width + 1)), 8, 0, 0, 0, 0))
    rows = b"".join(b"\0" + noise.randbytes(width) for _ in range(max(1, (size - 100) // (width + 1))))
    body = b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(rows, 0)) + chunk(b"IEND", b"")
    return body + bytes(max(0, size - len(body)))


def padded(text, size, opening, closing, noise):
    """Text of this many bytes, filled up with a comment of random letters."""
    room = size - len(text) - len(opening) - len(closing)
    return (text + opening + noise.randbytes(room).hex()[:room] + closing).encode()


def write_page(folder):
    """Writes index.html and the files it names, PAGE_BYTES in total; the same bytes every time."""
    noise = random.Random(1)
    names = [f"picture{number}.png" for number in range(PICTURES + 1)]
    left = PAGE_BYTES - DOCUMENT_BYTES - STYLE_BYTES - SCRIPTS * SCRIPT_BYTES
    weights = [noise.uniform(0.2, 1.8) for _ in names]
    sizes = [int(left * weight / sum(weights)) for weight in weights]
    sizes[-1] += left - sum(sizes)
    for name, size in zip(names, sizes):
        (folder / name).write_bytes(picture(size, noise))
    (folder / "style.css").write_bytes(padded(f"body {{ background: url({names[-1]}); margin: 2em }} img {{ width: 48px }}",
                                              STYLE_BYTES, "/*", "*/", noise))
    for number in range(SCRIPTS):
        (folder / f"script{number}.js").write_bytes(padded("window.loaded_scripts = (window.loaded_scripts || 0) + 1;",
                                                           SCRIPT_BYTES, "/*", "*/", noise))
    head = "".join(f"<script src=script{number}.js></script>" for number in range(SCRIPTS))
    body = "".join(f"<img src={name}>" for name in names[:-1])
    document = (f"<!DOCTYPE html><html><head><title>A page</title><link rel=icon href=data:,>"
                f"<link rel=stylesheet href=style.css>{head}</head><body><h1>A page of {OBJECTS} objects</h1><p>{body}</p>")
    (folder / "index.html").write_bytes(padded(document, DOCUMENT_BYTES, "<!--", "--></body></html>", noise))


class BrowserError(Exception):
    """The browser did not start or does not answer; one line."""


class Browser:
    """One Chromium in a network namespace, with a profile of its own. Use with 'with'."""

    def __init__(self, namespace):
        self.namespace = namespace
        self.number = 0
        self.pending = b""
        self.events = []

    def __enter__(self):
        self.home = Path(tempfile.mkdtemp(prefix=f"satbench{os.getpid()}-browser.", dir="/dev/shm"))
        to_browser, self.commands = os.pipe()
        self.answers, from_browser = os.pipe()
        environment = {**os.environ, "HOME": str(self.home), "XDG_CONFIG_HOME": str(self.home), "XDG_CACHE_HOME": str(self.home)}
        # Chromium reads commands from descriptor 3 and writes to 4; bash puts the pipe there.
        with open(self.home / "log", "wb") as log:
            self.process = subprocess.Popen(
                ["ip", "netns", "exec", self.namespace, "bash", "-c", f'exec "$@" 3<&{to_browser} 4>&{from_browser}', "bash",
                 "chromium", *FLAGS, f"--user-data-dir={self.home}/profile", "about:blank"],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environment, start_new_session=True,
                pass_fds=(to_browser, from_browser))
        os.close(to_browser)
        os.close(from_browser)
        try:
            self._attach()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        os.close(self.commands)
        try:  # its processes are a session of their own
            os.killpg(self.process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self.process.wait()
        os.close(self.answers)
        for _ in range(50):
            shutil.rmtree(self.home, ignore_errors=True)
            if not self.home.exists():
                break
            time.sleep(0.05)

    def _attach(self):
        until = time.monotonic() + START_PATIENCE
        while True:
            targets = self._call("Target.getTargets", until)["targetInfos"]
            pages = [target["targetId"] for target in targets if target["type"] == "page"]
            if pages:
                break
            time.sleep(0.1)
        self.session = self._call("Target.attachToTarget", until, targetId=pages[0], flatten=True)["sessionId"]
        self._call("Page.enable", until, self.session)

    def await_quiet(self):
        """Waits until its processes, which are their own session, use next to no processor time, so that only the page is measured."""
        until, used, quiet = time.monotonic() + QUIET_PATIENCE, self._processor_seconds(), 0
        while quiet < 2 and time.monotonic() < until and not transfer.stop.is_set():
            time.sleep(0.5)
            before, used = used, self._processor_seconds()
            quiet = quiet + 1 if used - before <= 0.02 else 0

    def _processor_seconds(self):
        ticks = 0
        for path in Path("/proc").glob("[0-9]*/stat"):
            try:
                fields = path.read_text().rpartition(")")[2].split()  # after the name: state, parent, group, session
            except OSError:
                continue
            if int(fields[3]) == self.process.pid:
                ticks += int(fields[11]) + int(fields[12])
        return ticks / os.sysconf("SC_CLK_TCK")

    def _receive(self, until):
        """The next message, or None on timeout."""
        while b"\0" not in self.pending:
            wait = min(0.05, until - time.monotonic())
            if wait <= 0 or transfer.stop.is_set():
                return None
            if select.select([self.answers], [], [], wait)[0]:
                data = os.read(self.answers, 1 << 16)
                if not data:
                    lines = (self.home / "log").read_text(errors="replace").strip().splitlines()
                    raise BrowserError(f"chromium ended: {lines[-1] if lines else 'it said nothing'}")
                self.pending += data
        message, _, self.pending = self.pending.partition(b"\0")
        return json.loads(message)

    def _call(self, method, until, session=None, **parameters):
        self.number += 1
        message = {"id": self.number, "method": method, "params": parameters}
        if session:
            message["sessionId"] = session
        os.write(self.commands, json.dumps(message).encode() + b"\0")
        while (answer := self._receive(until)) is not None:
            if answer.get("id") == self.number:
                if "error" in answer:
                    raise BrowserError(f"{method}: {answer['error'].get('message')}")
                return answer["result"]
            self.events.append(answer.get("method"))
        raise BrowserError(f"chromium does not answer to {method}")

    def load(self, url, limit):
        """Loads a page and returns the browser's report, or None if it is not loaded after this many seconds."""
        until = time.monotonic() + limit
        self.events.clear()
        answer = self._call("Page.navigate", until, self.session, url=url)
        if "errorText" in answer:
            raise BrowserError(f"{url}: {answer['errorText']}")
        while "Page.loadEventFired" not in self.events:
            message = self._receive(until)
            if message is None:
                return None
            self.events.append(message.get("method"))
        # The first paint may be reported a frame later than the load.
        until = time.monotonic() + START_PATIENCE
        for _ in range(40):
            value = self._call("Runtime.evaluate", until, self.session, expression=REPORT)["result"]["value"]
            report = json.loads(value)
            if report["paint"] is not None and report["load"] > 0:
                break
            time.sleep(0.05)
        return report


def load_page(namespace, url, protocol, limit):
    """Loads the page in a new browser. Returns an outcome like a transfer's; its total is the load event."""
    outcome = transfer.Outcome(series=[(0.0, 0)])
    try:
        with Browser(namespace) as browser:
            browser.await_quiet()
            watch = transfer.PauseWatch()
            with watch:
                report = browser.load(url, limit)
            outcome.longest_pause = watch.longest
    except BrowserError as error:
        outcome.error = str(error)
        return outcome
    if report is None:
        return outcome
    outcome.connect, outcome.first_byte, outcome.paint = report["connect"], report["first_byte"], report["paint"]
    outcome.total, outcome.received = report["load"], report["bytes"]
    outcome.series.append((outcome.total, outcome.received))
    outcome.intact = (report["bytes"] == PAGE_BYTES and report["objects"] == OBJECTS and report["broken"] == 0
                      and report["scripts"] == SCRIPTS)
    if report["protocols"] != [protocol]:
        outcome.error = f"loaded by {', '.join(report['protocols'])} instead of {protocol}"
    return outcome
