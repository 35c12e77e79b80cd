"""Connections of all kinds, with both ends in this program: every byte is compared with what it must be, and each
stream ends with its SHA-256. The outcome of a connection is recorded in it; judge.py decides what is right."""

import asyncio
import contextlib
import errno
import hashlib
import random
import socket
import struct
import time

from network import ADDRESSES

PORT = 7000
HEADER = struct.Struct("!8sQ")
MAGIC = b"soak\x00\xff\r\n"
CHUNK = 65536
# From whom to whom, and the boxes between them.
PATHS = {("user", "server"): ("term", "gw"), ("server", "user"): ("gw", "term"),
         ("near", "server"): ("gw",), ("server", "near"): ("gw",)}
# The kinds, and how many of every hundred connections are of each.
KINDS = {"short": 40, "upload": 10, "download": 14, "both ways": 8, "idle": 12, "slow reader": 8, "half-close": 8}


class Wrong(Exception):
    """Something that must never happen to a connection; one line."""


async def both(one, other):
    """Runs both; if one fails, the other ends before the error is raised, so that no socket is closed under it."""
    tasks = [asyncio.ensure_future(one), asyncio.ensure_future(other)]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_EXCEPTION)
    finally:
        for task in tasks:
            task.cancel()
        results = await asyncio.gather(*tasks, return_exceptions=True)
    for result in results:
        if isinstance(result, Exception):
            raise result


class Content:
    """What a stream carries: a part of one block of random bytes, over and over."""

    block = random.Random(11).randbytes(1 << 20) * 2

    def __init__(self, number, way, size):
        self.size = size
        self.offset = (number * 7919 + way * 104729) % (1 << 20)

    def at(self, position, most=CHUNK):
        begin = (self.offset + position) % (1 << 20)
        return memoryview(self.block)[begin:begin + min(most, self.size - position)]


class Connection:
    def __init__(self, number, kind, path, family, size_up, size_down):
        self.number, self.kind, self.path, self.family = number, kind, path, family
        self.boxes = PATHS[path]
        self.up, self.down = Content(number, 0, size_up), Content(number, 1, size_down)
        self.began = self.moved = time.monotonic()
        self.opened = None  # when its header reached the server
        self.ended = None
        self.outcome = None  # "whole", "lost", "wrong" or "hung"
        self.detail = ""
        self.server_done = asyncio.get_running_loop().create_future()
        self.client = self.seen = None  # the client's end, as it sees it itself and as its server sees it
        self.client_task = self.server_task = None
        self.client_ended = self.resting = False
        self.release = asyncio.Event()  # for one that is held

    def moves(self):
        self.moved = time.monotonic()

    def __str__(self):
        return (f"{self.kind} {self.path[0]}->{self.path[1]} IPv{4 if self.family == socket.AF_INET else 6} "
                f"{self.client} ({self.up.size} B up, {self.down.size} B down)")


def text_of(name):
    return f"[{name[0]}]:{name[1]}" if ":" in name[0] else f"{name[0]}:{name[1]}"


class Traffic:
    def __init__(self, network, chance):
        self.network, self.chance = network, chance
        self.loop = asyncio.get_running_loop()
        self.open, self.done = {}, []
        self.tasks = set()
        self.listeners = []
        self.numbers = 0
        self.kinds = list(KINDS)

    # --- both ends' beginning

    def listen(self):
        for role in ("server", "user", "near"):
            for family, host in zip((socket.AF_INET, socket.AF_INET6), ADDRESSES[role]):
                listener = self._socket(role, family)
                listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                listener.bind((host, PORT))
                listener.listen(1024)
                self.listeners.append(listener)
                self._run(self._accept(listener))

    def _socket(self, role, family):
        with self.network[role].entered():
            made = socket.socket(family, socket.SOCK_STREAM)
        made.setblocking(False)
        return made

    def _run(self, coroutine):
        task = self.loop.create_task(coroutine)
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)
        return task

    async def _accept(self, listener):
        while True:
            try:
                sock, _ = await self.loop.sock_accept(listener)
            except OSError:
                await asyncio.sleep(0.05)
                continue
            self._run(self._serve(sock, listener))

    def begin(self, kind=None, path=None, family=None):
        """Starts a connection; its task ends with it."""
        kind = kind or self.chance.choices(self.kinds, KINDS.values())[0]
        path = path or self.chance.choice(list(PATHS))
        family = family or self.chance.choice((socket.AF_INET, socket.AF_INET6))
        slow = path[0] == "user" or path[1] == "user"  # the satellite is shared
        much = int(10 ** self.chance.uniform(5, 6.3 if slow else 7.3))
        little = int(10 ** self.chance.uniform(0, 4.5))
        up, down = {"short": (little // 10, little), "upload": (much, little), "download": (little // 10, much),
                    "both ways": (much // 2, much // 2), "idle": (64, 64), "slow reader": (little // 10, min(much, 3_000_000)),
                    "half-close": (little, much // 4), "held": (1, 1)}[kind]
        self.numbers += 1
        connection = Connection(self.numbers, kind, path, family, up, down)
        self.open[connection.number] = connection
        connection.client_task = self._run(self._call(connection))
        return connection

    # --- one end of a connection

    async def _call(self, connection):
        sock = self._socket(connection.path[0], connection.family)
        host = ADDRESSES[connection.path[1]][0 if connection.family == socket.AF_INET else 1]
        try:
            await self.loop.sock_connect(sock, (host, PORT))
            connection.client = text_of(sock.getsockname())
            await self.loop.sock_sendall(sock, HEADER.pack(MAGIC, connection.number))
            await self._speak(connection, sock, connection.up, connection.down, True)
            await asyncio.shield(connection.server_done)
            connection.outcome = connection.outcome or "whole"
        except Wrong as error:
            self._note(connection, "wrong", str(error))
        except OSError as error:
            if connection.client is None:
                with contextlib.suppress(OSError):
                    connection.client = text_of(sock.getsockname())
            self._note(connection, "lost", f"client: {errno.errorcode.get(error.errno, error)}")
        finally:
            sock.close()
            connection.client_ended = True
            if connection.outcome != "whole" and connection.server_task is not None:
                if not (await asyncio.wait([connection.server_done], timeout=30))[0]:
                    self._note(connection, "hung", f"its server heard nothing of the end ({connection.detail})")
                    connection.server_task.cancel()
            connection.ended = time.monotonic()
            self.open.pop(connection.number, None)
            self.done.append(connection)

    async def _serve(self, sock, listener):
        connection = None
        try:
            sock.setblocking(False)
            header = await self._exactly(sock, HEADER.size)
            magic, number = HEADER.unpack(header)
            connection = self.open.get(number)
            if magic != MAGIC or connection is None:
                return  # its client has given it up
            connection.server_task = asyncio.current_task()
            connection.opened = time.monotonic()
            connection.seen = text_of(sock.getpeername())
            connection.moves()
            self._is_right(connection, sock, listener)
            await self._speak(connection, sock, connection.down, connection.up, False)
        except Wrong as error:
            if connection:
                self._note(connection, "wrong", f"server: {error}")
        except OSError as error:
            if connection:
                self._note(connection, "lost", f"server: {errno.errorcode.get(error.errno, error)}")
        except asyncio.IncompleteReadError:
            pass  # an incomplete header: the client reports the rest
        finally:
            sock.close()
            if connection and not connection.server_done.done():
                connection.server_done.set_result(None)

    @staticmethod
    def _is_right(connection, sock, listener):
        """Checks that the connection reached the right server, from its own client."""
        host = ADDRESSES[connection.path[0]][0 if connection.family == socket.AF_INET else 1]
        if sock.getpeername()[0] != host:
            raise Wrong(f"the client's address is {sock.getpeername()[0]}, not {host}")
        wanted = ADDRESSES[connection.path[1]][0 if connection.family == socket.AF_INET else 1]
        if listener.getsockname()[0] != wanted:
            raise Wrong(f"it came to {listener.getsockname()[0]}, not to {wanted}")

    @staticmethod
    def _note(connection, outcome, detail):
        rank = ("whole", "lost", "hung", "wrong")
        if connection.outcome is None or rank.index(outcome) > rank.index(connection.outcome):
            connection.outcome, connection.detail = outcome, detail

    # --- streams

    async def _exactly(self, sock, size):
        data = b""
        while len(data) < size:
            part = await self.loop.sock_recv(sock, size - len(data))
            if not part:
                raise asyncio.IncompleteReadError(data, size)
            data += part
        return data

    async def _speak(self, connection, sock, out, into, is_client):
        if connection.kind in ("idle", "held"):
            await self._exchange(connection, sock, out, into, is_client)
        elif connection.kind == "half-close" and not is_client:
            await self._receive(connection, sock, into, is_client)  # the answer begins after the end of the request
            await self._send(connection, sock, out)
        else:
            await both(self._send(connection, sock, out), self._receive(connection, sock, into, is_client))

    async def _send(self, connection, sock, content):
        digest, position = hashlib.sha256(), 0
        while position < content.size:
            part = content.at(position)
            await self.loop.sock_sendall(sock, part)
            digest.update(part)
            position += len(part)
            connection.moves()
        await self.loop.sock_sendall(sock, digest.digest())
        sock.shutdown(socket.SHUT_WR)
        connection.moves()

    async def _receive(self, connection, sock, content, is_client):
        digest, position = hashlib.sha256(), 0
        slow = connection.kind == "slow reader" and is_client
        while position < content.size:
            part = await self.loop.sock_recv(sock, min(32768 if slow else CHUNK, content.size - position))
            connection.moves()
            if not part:
                raise Wrong(f"a clean end after {position} of {content.size} bytes")
            if part != content.at(position, len(part)):
                raise Wrong(f"other bytes than were sent, from byte {position} on")
            digest.update(part)
            position += len(part)
            if slow:
                await asyncio.sleep(0.1)
        tail = b""
        while len(tail) <= digest.digest_size:
            part = await self.loop.sock_recv(sock, CHUNK)
            connection.moves()
            if not part:
                break
            tail += part
        if tail != digest.digest():
            raise Wrong(f"{len(tail)} bytes of a wrong hash at the end" if tail else "a clean end before the hash")

    async def _exchange(self, connection, sock, out, into, is_client):
        """Small messages with long pauses; a held one has a single message and ends when told to."""
        rounds = 1 if connection.kind == "held" else 2 + connection.number % 4
        question, answer = (bytes(out.at(0)), bytes(into.at(0))) if is_client else (bytes(into.at(0)), bytes(out.at(0)))
        for number in range(rounds):
            if is_client:
                await self.loop.sock_sendall(sock, question)
            if await self._message(sock, answer if is_client else question, number) is None:
                return
            connection.moves()
            if not is_client:
                await self.loop.sock_sendall(sock, answer)
            elif connection.kind == "held":
                await self._rest(connection, None)
            elif number + 1 < rounds:
                await self._rest(connection, 1 + (connection.number * 13 % 40) / 10)
        sock.shutdown(socket.SHUT_WR)
        if await self.loop.sock_recv(sock, 1):
            raise Wrong("a byte after the last one")

    async def _message(self, sock, wanted, number):
        try:
            message = await self._exactly(sock, len(wanted))
        except asyncio.IncompleteReadError:
            raise Wrong(f"a clean end in message {number}") from None
        if message != wanted:
            raise Wrong(f"other bytes than were sent, in message {number}")
        return message

    @staticmethod
    async def _rest(connection, seconds):
        connection.resting = True
        with contextlib.suppress(asyncio.TimeoutError):
            await asyncio.wait_for(connection.release.wait(), seconds)
        connection.resting = False
        connection.moves()

    # --- all of them

    async def flow(self, crowd, stop):
        """Keeps about this many connections going until told to stop."""
        while not stop.is_set():
            if sum(connection.kind != "held" for connection in self.open.values()) < crowd:
                self.begin()
                await asyncio.sleep(self.chance.uniform(0, 0.1))
            else:
                await asyncio.sleep(0.05)

    async def watch(self, patience):
        """A connection on which nothing moves hangs, and is given up; so does one whose end only the server has seen."""
        while True:
            await asyncio.sleep(1)
            now = time.monotonic()
            for connection in list(self.open.values()):
                waits = connection.outcome is None or (connection.outcome == "lost" and not connection.client_ended)
                if not connection.resting and waits and now - connection.moved > patience:
                    self._note(connection, "hung", f"nothing moved for {patience} s"
                               + ("" if connection.opened else ", and it never came to its server"))
                    connection.client_task.cancel()
                    if connection.server_task:
                        connection.server_task.cancel()

    async def end(self, patience):
        """Waits for all open connections; returns how many never ended."""
        deadline = time.monotonic() + patience
        for connection in self.open.values():
            connection.release.set()
        while self.open and time.monotonic() < deadline:
            await asyncio.sleep(0.1)
        return len(self.open)

    def close(self):
        for task in list(self.tasks):
            task.cancel()
        for listener in self.listeners:
            listener.close()
