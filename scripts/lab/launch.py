#!/usr/bin/env python3
"""launch.py LOG COMMAND...: starts a daemon in a session of its own, with its output in LOG, and returns when it says that it is
ready, as to systemd (READY=1, sd_notify(3)). Prints its pid. Exits with 1 and the last line of LOG if it ends before, or is
not ready within 20 s, when it is killed."""

import os
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

PATIENCE = 20  # s


def launch(log, command, own_session=True):
    """The process, ready, or None."""
    with tempfile.TemporaryDirectory() as folder, socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notices:
        os.chmod(folder, 0o755)  # the daemon may be another user's
        path = f"{folder}/notify"
        notices.bind(path)
        os.chmod(path, 0o666)
        notices.settimeout(0.05)
        with open(log, "wb") as output:
            process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output, stderr=output,
                                       start_new_session=own_session, env={**os.environ, "NOTIFY_SOCKET": path})
        end = time.monotonic() + PATIENCE
        while process.poll() is None and time.monotonic() < end:
            try:
                if b"READY=1" in notices.recv(4096).split(b"\n"):
                    return process
            except TimeoutError:
                continue
        if process.poll() is None:
            process.kill()
        return None


def last_words(log):
    lines = Path(log).read_text(errors="replace").strip().splitlines()
    return lines[-1] if lines else "it ended without a word"


if __name__ == "__main__":
    if len(sys.argv) < 3:
        sys.exit("usage: launch.py LOG COMMAND...")
    started = launch(sys.argv[1], sys.argv[2:])
    if started is None:
        sys.exit(last_words(sys.argv[1]))
    print(started.pid)
