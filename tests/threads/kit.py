"""What the tests of this folder share: servers of both kinds, and events that threads wait for."""

from __future__ import annotations

import socketserver
import threading
from typing import TYPE_CHECKING, Any

from harness import wait_until

import trioserver

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from trioserver._servers.synchronous import SynchronousHandler

SECONDS = 10
"""How long a thread waits for what is to come at once; nothing here takes as long as that."""


class Echo(socketserver.StreamRequestHandler):
    """The stdlib's handler class, as its documentation has it."""

    def handle(self) -> None:
        for line in self.rfile:
            self.wfile.write(line)


class Flag(threading.Event):
    """An event that one side waits for by blocking, and the other one by awaiting."""

    def block(self) -> None:
        """Wait in a thread; AssertionError if it does not come."""
        assert self.wait(SECONDS)

    async def until_set(self) -> None:
        """Wait in a task."""
        await wait_until(self.is_set)


def make_server(kind: str, handler: SynchronousHandler, folder: Path, **options: Any) -> Any:
    """A threading server of a kind."""
    classes: dict[str, Callable[..., Any]] = {
        "tcp": trioserver.ThreadingTCPServer,
        "unix": trioserver.ThreadingUnixStreamServer,
        "udp": trioserver.ThreadingUDPServer,
        "unix datagram": trioserver.ThreadingUnixDatagramServer,
    }
    address = str(folder / "socket") if kind.startswith("unix") else ("127.0.0.1", 0)
    return classes[kind](address, handler, **options)
