#!/usr/bin/env python3
"""Shows what is delivered twice, in part or not as it was sent: a service that notes every request that reaches it, and
clients that note what they got.

  ledger.py serve PORT LEDGER        a line a request: its name, then "whole" or "cut"
  ledger.py load HOST PORT NOTES     four clients, a connection each, one after another, until SIGTERM; a line a connection:
                                     its name, then "good", "failed" or "damaged"
  ledger.py hold HOST PORT NOTES     one connection that says something all the time; ends when it ends. A line for its start.
"""

import hashlib
import signal
import socket
import sys
import threading
import time

SIZE = 40_000
NAME_BYTES = 16
HELD = b"held".ljust(NAME_BYTES)


def content(what, name):
    return hashlib.shake_128(what + name).digest(SIZE)


def read_to_end(connection):
    """What comes until the stream's end, and whether it ended well."""
    received = b""
    try:
        while piece := connection.recv(1 << 16):
            received += piece
    except OSError:
        return received, False
    return received, True


class Notes:
    def __init__(self, path):
        self.file = open(path, "a", encoding="ascii", buffering=1)
        self.lock = threading.Lock()

    def write(self, name, word):
        with self.lock:
            self.file.write(f"{name.decode().strip()} {word}\n")


def answer(connection, ledger):
    with connection:
        name = connection.recv(NAME_BYTES, socket.MSG_WAITALL)
        if name == HELD:
            while said := connection.recv(100):
                connection.sendall(said)
        elif len(name) == NAME_BYTES:
            request, ended = read_to_end(connection)
            whole = ended and request == content(b"request", name)
            ledger.write(name, "whole" if whole else "cut")
            if whole:
                connection.sendall(content(b"answer", name))


def quietly(function, *arguments):
    try:
        function(*arguments)
    except OSError:
        pass


def serve(port, ledger):
    listener = socket.create_server(("", port), backlog=1000)
    while True:
        connection, _ = listener.accept()
        connection.settimeout(120)
        threading.Thread(target=quietly, args=(answer, connection, ledger), daemon=True).start()


def exchange(address, name):
    expected = content(b"answer", name)
    received = b""
    try:
        with socket.create_connection(address, timeout=40) as connection:
            connection.sendall(name + content(b"request", name))
            connection.shutdown(socket.SHUT_WR)
            received, _ = read_to_end(connection)
    except OSError:
        pass
    if received == expected:
        return "good"
    return "failed" if expected.startswith(received) else "damaged"


def load(address, notes):
    over = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: over.set())

    def run(client):
        number = 0
        while not over.is_set():
            name = f"{client}-{number}".encode().ljust(NAME_BYTES)
            notes.write(name, exchange(address, name))
            number += 1
            time.sleep(0.02)

    clients = [threading.Thread(target=run, args=(client,)) for client in range(4)]
    for client in clients:
        client.start()
    for client in clients:
        client.join()


def hold(address, notes):
    """Whether the connection was open, and ended."""
    opened = False
    try:
        with socket.create_connection(address, timeout=120) as connection:
            connection.sendall(HELD + b"?")
            while connection.recv(100):
                if not opened:
                    notes.write(HELD, "open")
                    opened = True
                time.sleep(0.1)
                connection.sendall(b"?")
    except OSError:
        pass
    return opened


if __name__ == "__main__":
    mode, *rest = sys.argv[1:]
    if mode == "serve":
        serve(int(rest[0]), Notes(rest[1]))
    elif mode == "load":
        load((rest[0], int(rest[1])), Notes(rest[2]))
    else:
        # The first one may meet a box that has forgotten what its peer still believes it has.
        any(hold((rest[0], int(rest[1])), Notes(rest[2])) for _ in range(5))
