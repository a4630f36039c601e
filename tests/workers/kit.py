"""Small things for the tests of workers."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import trio
import worker_programs
from harness import receive_all

import trioserver

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

LOOPBACK = ("127.0.0.1", 0)


class Watched(trioserver.Workers):
    """Workers whose events can be waited for."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.events: list[Any] = []
        self._more = trio.Event()
        self.add_observer(self._note)

    def _note(self, event: trioserver.ServerEvent) -> None:
        self.events.append(event)
        self._more.set()
        self._more = trio.Event()

    def of(self, kind: type) -> list[Any]:
        """The events of a class."""
        return [event for event in self.events if type(event) is kind]

    async def wait_for(self, kind: type, count: int) -> Any:
        """Wait until there were so many events of a class; the last of them."""
        while len(found := self.of(kind)) < count:
            await self._more.wait()
        return found[count - 1]

    @property
    def pids(self) -> list[int]:
        """Of those that serve."""
        return [each.pid for each in self.processes if each.state is trioserver.WorkerState.SERVING]


def talking(**options: Any) -> Watched:
    """Workers that do what they are told, not yet served: one, unless there are to be more."""
    return Watched(worker_programs.talk, LOOPBACK, **{"workers": 1, **options})


class Client:
    """A connection to one worker, line by line."""

    def __init__(self, stream: trio.SocketStream) -> None:
        self.stream = stream

    async def ask(self, line: bytes) -> bytes:
        """Send a line, and get one."""
        await self.stream.send_all(line + b"\n")
        reply = b""
        while not reply.endswith(b"\n"):
            chunk = await self.stream.receive_some()
            assert chunk, f"the connection ended after {reply!r}"
            reply += chunk
        return reply[:-1]

    async def pid(self) -> int:
        """Whom it is connected to."""
        return int(await self.ask(b"pid"))

    async def rest(self) -> bytes:
        """What comes until the end of the connection, be it by a reset."""
        try:
            return await receive_all(self.stream)
        except trio.BrokenResourceError:
            return b""


@asynccontextmanager
async def client_of(workers: trioserver.Workers) -> AsyncIterator[Client]:
    """A client of any of them."""
    sock = trio.socket.socket(
        trio.socket.AF_UNIX if isinstance(workers.server_address, str) else trio.socket.AF_INET
    )
    stream = None
    try:
        await sock.connect(workers.server_address)
        stream = trio.SocketStream(sock)
        yield Client(stream)
    finally:
        sock.close()


@asynccontextmanager
async def client_of_worker(workers: trioserver.Workers, pid: int) -> AsyncIterator[Client]:
    """A client of a certain one: which it gets is up to the kernel, so it tries again."""
    while True:
        async with client_of(workers) as client:
            if await client.pid() == pid:
                yield client
                return
