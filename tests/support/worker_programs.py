"""Programs for workers: they are imported by fresh interpreters, and so can not be in a test module."""

from __future__ import annotations

import contextlib
import os
import sys
import threading
import time
from typing import TYPE_CHECKING, Any

import trio

import trioserver

if TYPE_CHECKING:
    import socket
    from collections.abc import AsyncIterator


class Talk(trioserver.StreamRequestHandler):
    """Does what a line says, and answers with it."""

    async def handle(self) -> None:
        """Until the client is done: a drain does not end it."""
        async for line in self.rfile:
            match line.split():
                case [b"pid"]:
                    line = b"%d\n" % os.getpid()
                case [b"sockets"]:
                    line = b"%s\n" % " ".join(open_sockets()).encode()
                case [b"sleep"]:
                    await self.wfile.write(line)
                    await trio.sleep_forever()
                case [b"stubborn"]:
                    await self.wfile.write(line)
                    with trio.CancelScope(shield=True):
                        await trio.sleep_forever()
                case [b"hang"]:
                    await self.wfile.write(line)
                    await self.wfile.flush()
                    time.sleep(3600)  # noqa: ASYNC251  not to be interrupted by any message
                case [b"leave", b"behind"]:
                    # It has the connection, too, as if it served it.
                    await trio.lowlevel.open_process(
                        ["sleep", "3600"], pass_fds=[self.request.socket.fileno()]
                    )
                case [b"crash"]:
                    os._exit(7)
                case [b"exit"]:
                    sys.exit(3)
                case [b"stop"]:
                    self.server.request_shutdown(None)
                case _:
                    pass
            await self.wfile.write(line)


def open_sockets() -> list[str]:
    """What the sockets of this process are, by their numbers in the kernel; only on Linux."""
    found = []
    for name in os.listdir("/proc/self/fd"):
        with contextlib.suppress(OSError):
            target = os.readlink(f"/proc/self/fd/{name}")
            if target.startswith("socket:"):
                found.append(target)
    return found


def talk(sockets: list[socket.socket]) -> trioserver.TCPServer:
    """A server that does what it is told."""
    return trioserver.TCPServer(None, Talk, sock=sockets)


class Greet(trioserver.StreamRequestHandler):
    """Says who it is, and answers until a drain ends it."""

    async def handle(self) -> None:
        """A line for each line."""
        await self.wfile.write(b"%d\n" % os.getpid())
        while await self.request.wait_request():
            await self.wfile.write(await self.rfile.readline())


class GreetInPlace(trioserver.CallbackRequestHandler):
    """The same by plain functions."""

    delimiter = b"\n"

    def setup(self) -> None:
        """The server calls it first."""
        self.write(b"%d\n" % os.getpid())

    def data_received(self, line: bytes) -> None:
        """Called with each line."""
        self.write(line)


def greet(sockets: list[socket.socket]) -> trioserver.TCPServer:
    """A server that is the first to speak."""
    return trioserver.TCPServer(None, Greet, sock=sockets)


def greet_in_place(sockets: list[socket.socket]) -> trioserver.TCPServer:
    """The same by plain functions."""
    return trioserver.TCPServer(None, GreetInPlace, sock=sockets)


def talk_on_unix(sockets: list[socket.socket]) -> trioserver.UnixStreamServer:
    """The same on a Unix socket."""
    return trioserver.UnixStreamServer(None, Talk, sock=sockets)


def shout(sockets: list[socket.socket]) -> trioserver.UDPServer:
    """Datagrams, in capitals."""

    async def handler(request: Any, client_address: Any, server: Any) -> None:
        await request.socket.sendto(request.data.upper(), client_address)

    return trioserver.UDPServer(None, handler, sock=sockets)


async def talk_later(sockets: list[socket.socket]) -> trioserver.TCPServer:
    """A server that has to be awaited."""
    await trio.lowlevel.checkpoint()
    return talk(sockets)


@contextlib.asynccontextmanager
async def talk_and_note(path: str, sockets: list[socket.socket]) -> AsyncIterator[trioserver.TCPServer]:
    """A server with something around it: a file, in which its end is noted."""
    async with await trio.open_file(path, "a") as file:
        yield talk(sockets)
        await file.write("closed\n")


def talk_beside_a_thread(sockets: list[socket.socket]) -> trioserver.TCPServer:
    """Leaves a thread for which the interpreter waits at its end."""
    threading.Thread(target=time.sleep, args=(1000,)).start()
    return talk(sockets)


def talk_unless(path: str, sockets: list[socket.socket]) -> trioserver.TCPServer:
    """A server, unless there is such a file."""
    if os.path.exists(path):
        raise RuntimeError(f"there is\n{path}")
    return talk(sockets)


def talk_unless_elsewhere(path: str, sockets: list[socket.socket]) -> trioserver.TCPServer:
    """A server, on another socket than it was given if there is such a file."""
    return elsewhere(sockets) if os.path.exists(path) else talk(sockets)


def talk_but_once(path: str, sockets: list[socket.socket]) -> trioserver.TCPServer:
    """A server, unless there is such a file; then there is none any more."""
    try:
        os.unlink(path)
    except FileNotFoundError:
        return talk(sockets)
    raise RuntimeError(f"there was {path}")


def hang(sockets: list[socket.socket]) -> None:
    """Never gets to an end."""
    time.sleep(3600)


def fail_at_length(sockets: list[socket.socket]) -> None:
    """Says more than anybody reads, and nobody can read the traceback."""
    sys.stderr = open("/dev/full", "w")  # noqa: SIM115
    raise RuntimeError("very " * 1_000_000 + "wrong")


async def wait(sockets: list[socket.socket]) -> None:
    """Gets to an end when cancelled, and says both."""
    os.write(1, b"waits\n")  # in one piece, as print() may not: others write to the same pipe
    try:
        await trio.sleep_forever()
    finally:
        os.write(1, b"cancelled\n")


def leave(sockets: list[socket.socket]) -> None:
    """Gives up."""
    sys.exit(4)


def elsewhere(sockets: list[socket.socket]) -> trioserver.TCPServer:
    """Makes a server that has a port of its own."""
    return trioserver.TCPServer(("127.0.0.1", 0), Talk)


def nothing(sockets: list[socket.socket]) -> None:
    """Forgets to return its server."""
