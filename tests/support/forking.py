"""What the tests of forking servers share: handlers are plain functions, that run in a process."""

from __future__ import annotations

import os
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from harness import Recorder, wait_until

import trioserver

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable


class Server(trioserver.ForkingTCPServer):
    """Remembers what happens to it."""

    def __init__(self, handler: Callable[[Any, Any, Any], object], **options: Any) -> None:
        super().__init__(("127.0.0.1", 0), handler, **options)
        self.recorder = Recorder()
        self.add_observer(self.recorder)

    @property
    def ended(self) -> list[trioserver.RequestEnded]:
        """The events of requests that ended."""
        return [event for event in self.recorder.events if isinstance(event, trioserver.RequestEnded)]

    async def wait_ended(self, count: int = 1) -> trioserver.RequestEnded:
        """Wait until so many requests have ended; the last one's event."""
        await wait_until(lambda: len(self.ended) >= count)
        return self.ended[count - 1]


@asynccontextmanager
async def serving(handler: Callable[[Any, Any, Any], object], **options: Any) -> AsyncIterator[Server]:
    """A server that runs; at the end of the block it is shut down at once."""
    async with Server(handler, **options).running() as server:
        yield server


def ready_then_wait(request: Any, client_address: Any, server: Any) -> None:
    """A handler that says that it runs, and ends when the client says so."""
    request.sendall(b"r")
    request.recv(1)


def has_children() -> bool:
    """Whether this process has children, zombies or not; reaps one that is."""
    try:
        os.waitpid(-1, os.WNOHANG)
    except ChildProcessError:
        return False
    return True
