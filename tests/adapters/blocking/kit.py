"""What the tests of this folder share: handlers, clients, and calls in other threads."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import trio
from harness import Echo

import trioserver
from trioserver_adapters.blocking import BlockingServer

if TYPE_CHECKING:
    from collections.abc import Callable

LOOPBACK = ("127.0.0.1", 0)
SECONDS = 10
"""How long anything may take that is to come at once; nothing here takes as long as that."""
MOMENT = 0.05
"""How long to look at what is to stay as it is."""


class Call(threading.Thread):
    """A call that another thread makes, and what became of it."""

    def __init__(self, function: Callable[..., Any], *args: Any) -> None:
        super().__init__(daemon=True)
        self._call = (function, args)
        self._result: Any = None
        self.error: BaseException | None = None
        self.start()

    def run(self) -> None:
        """Make the call."""
        function, args = self._call
        try:
            self._result = function(*args)
        except BaseException as error:
            self.error = error
        del self._call

    def wait(self) -> Any:
        """Its result, or the exception that it raised; AssertionError if it does not end."""
        self.join(SECONDS)
        assert not self.is_alive()
        if self.error is not None:
            raise self.error
        return self._result

    def goes_on(self) -> bool:
        """Whether it has still not ended after a moment."""
        self.join(MOMENT)
        return self.is_alive()


class Flag(threading.Event):
    """An event that must come."""

    def block(self) -> None:
        """Wait; AssertionError if it does not come."""
        assert self.wait(SECONDS)


class Held:
    """A handler that sends ``b"r"``, goes on when the client sends a byte, and keeps how it ended."""

    def __init__(self) -> None:
        self.begun = Flag()
        self.ends: list[str] = []

    async def __call__(self, request: Any, client_address: Any, server: Any) -> None:
        try:
            await request.send_all(b"r")
            self.begun.set()
            await request.receive_some(1)
            self.ends.append("finished")
        except trio.Cancelled:
            self.ends.append("cancelled")
            raise


class Started:
    """An observer that calls a function when it is told of an event of some class."""

    def __init__(self, event: type[trioserver.ServerEvent], function: Callable[[], object]) -> None:
        self._event = event
        self._function = function

    def __call__(self, event: trioserver.ServerEvent) -> None:
        if isinstance(event, self._event):
            self._function()


def tcp(handler: Any = Echo, **options: Any) -> BlockingServer[trioserver.TCPServer]:
    """A TCP server on a free port."""
    return BlockingServer(trioserver.TCPServer(LOOPBACK, handler, **options))


def client_of(server: BlockingServer[Any]) -> socket.socket:
    """A connected client."""
    family = socket.AF_UNIX if isinstance(server.server_address, str) else socket.AF_INET
    client = socket.socket(family)
    client.settimeout(SECONDS)
    client.connect(server.server_address)
    return client


def ask(server: BlockingServer[Any], line: bytes = b"hello\n") -> bytes:
    """What an echo server replies to one line."""
    with client_of(server) as client, client.makefile("rb") as replies:
        client.sendall(line)
        client.shutdown(
            socket.SHUT_WR
        )  # a forked child has a copy of it, and would wait for itself to close it
        return replies.readline()


def receive_all(client: socket.socket) -> bytes:
    """What comes up to the end of the stream."""
    data = b""
    while chunk := client.recv(65536):
        data += chunk
    return data


def wait_until(condition: Callable[[], object]) -> None:
    """Wait in this thread until ``condition()`` is true; AssertionError if that takes too long."""
    until = time.monotonic() + SECONDS
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.001)


def wait_serving(server: BlockingServer[Any]) -> None:
    """Wait until requests can come."""
    wait_until(lambda: server.server.state is trioserver.State.SERVING and server.fileno() != -1)


def ctrl_c() -> None:
    """SIGINT to the main thread of this process, from whichever."""
    signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)


def start_program(text: str, *options: str) -> subprocess.Popen[str]:
    """Start a program in a process of its own, with all warnings as errors."""
    folders = [str(Path(module.__file__ or "").parents[1]) for module in (trioserver, _adapters())]
    return subprocess.Popen(
        [sys.executable, "-X", "dev", "-W", "error", *options, "-c", text],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(folders)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def _adapters() -> Any:
    return sys.modules["trioserver_adapters"]


def run_program(text: str, *options: str, sends: signal.Signals | None = None) -> tuple[int, str, str]:
    """Run a program; its exit status and what it wrote to stdout and stderr.

    ``sends`` is a signal for it when it has printed its first line.
    """
    process = start_program(text, *options)
    first = ""
    with process:
        try:
            if sends is not None:
                assert process.stdout is not None
                first = process.stdout.readline()
                process.send_signal(sends)
            output, errors = process.communicate(timeout=2 * SECONDS)
        finally:
            process.kill()
    return process.returncode, first + output, errors
