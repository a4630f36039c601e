"""Handlers of connections, good and bad ones."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import trio

import trioserver

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Generator

    from .journal import Entry

PATTERN: Final = bytes(range(251)) * 800
"""What is streamed where nothing is echoed: 200 kB, so that a byte that is lost shows."""


class HandlerFailed(Exception):
    """What handlers raise here."""


def journaled(function: Callable[[Any, Any, Any], Awaitable[None]]) -> Any:
    """A handler function whose calls are written down."""

    async def handler(request: Any, client_address: Any, server: Any) -> None:
        record = server.current_request()
        entry = server.ledger.journal.begin(
            function.__name__, client_address, None if record is None else record.id
        )
        try:
            await server.obey()
            await function(request, entry, server)
        except BaseException as error:
            entry.end(error)
            raise
        entry.end(None)

    return handler


class Journaled(trioserver.StreamRequestHandler[Any]):
    """The same for classes."""

    entry: Entry

    def __await__(self) -> Generator[Any, Any, None]:
        record = self.server.current_request()
        self.finish_timeout = self.server.ledger.plan.finish_timeout
        self.entry = self.server.ledger.journal.begin(
            type(self).__name__, self.client_address, None if record is None else record.id
        )
        return self.entry.follow(super().__await__())

    async def write(self, data: bytes) -> None:
        """Write, and write that down."""
        self.entry.said += data
        await self.wfile.write(data)


@journaled
async def echo(request: Any, entry: Entry, server: Any) -> None:
    """The plainest handler, and one that looks for wishes."""
    async for data in request:
        entry.heard += data
        await server.obey()
        entry.said += data
        await request.send_all(data)


class Lines(Journaled):
    """Echoes lines, which are gathered."""

    wbufsize = -1

    async def handle(self) -> None:
        """Each line."""
        async for line in self.rfile:
            self.entry.heard += line
            await self.write(line)


class KeepAlive(Journaled):
    """A persistent connection, as HTTP has it."""

    async def handle(self) -> None:
        """A line for a line, while there are any and the server does not drain."""
        await self.server.obey()
        while await self.wait_request(30):
            line = await self.rfile.readline()
            self.entry.heard += line
            await self.write(line)


class Impatient(Journaled):
    """Waits half a second for the client, no more."""

    timeout = 0.5

    async def handle(self) -> None:
        """Each line."""
        async for line in self.rfile:
            self.entry.heard += line
            await self.write(line)


class SlowToFinish(Journaled):
    """Has a ``finish`` that takes longer than it may."""

    async def handle(self) -> None:
        """Wait for a line."""
        self.entry.heard += await self.rfile.readline()

    async def finish(self) -> None:
        """Take twice the time that there is, once the request was cancelled."""
        await trio.sleep(2 * self.finish_timeout)
        await super().finish()


class Finishing(Journaled):
    """Has a ``finish`` that takes most of its time."""

    async def handle(self) -> None:
        """Wait for a line."""
        self.entry.heard += await self.rfile.readline()

    async def finish(self) -> None:
        """Take it, whatever happens."""
        self.entry.finish = "begun"
        await trio.sleep(0.9 * self.finish_timeout)
        self.entry.finish = "done"


class FailingToFinish(Journaled):
    """Has a ``finish`` that raises."""

    async def handle(self) -> None:
        """Wait for a line."""
        self.entry.heard += await self.rfile.readline()

    async def finish(self) -> None:
        """Fail."""
        await trio.sleep(0.01)
        raise HandlerFailed("finish")


@journaled
async def slow(request: Any, entry: Entry, server: Any) -> None:
    """Takes its time for each piece."""
    async for data in request:
        entry.heard += data
        await trio.sleep(0.1)
        entry.said += data
        await request.send_all(data)


@journaled
async def failing(request: Any, entry: Entry, server: Any) -> None:
    """Raises after the first piece."""
    entry.heard += await request.receive_some()
    raise HandlerFailed(f"request {entry.request_id}")


@journaled
async def failing_in_a_group(request: Any, entry: Entry, server: Any) -> None:
    """Raises a group, while tasks of its own are cancelled."""
    async with trio.open_nursery() as nursery:
        for delay in (0.02, 0.05, 100.0):
            nursery.start_soon(_fail_later, delay, entry)
        entry.heard += await request.receive_some()


async def _fail_later(delay: float, entry: Entry) -> None:
    entry.children += 1
    try:
        await trio.sleep(delay)
        raise HandlerFailed(f"a task of request {entry.request_id}")
    finally:
        entry.children -= 1


@journaled
async def deaf(request: Any, entry: Entry, server: Any) -> None:
    """Ignores all that comes."""
    await trio.sleep(0.3)


@journaled
async def stuck(request: Any, entry: Entry, server: Any) -> None:
    """Never ends by itself."""
    await trio.sleep_forever()


@journaled
async def curt(request: Any, entry: Entry, server: Any) -> None:
    """Says one thing and leaves, whatever comes."""
    entry.said += PATTERN[:100]
    await request.send_all(PATTERN[:100])


@journaled
async def pouring(request: Any, entry: Entry, server: Any) -> None:
    """Sends a lot, in pieces, and reads nothing."""
    for start in range(0, len(PATTERN), 50_000):
        piece = PATTERN[start : start + 50_000]
        entry.said += piece
        await request.send_all(piece)


@journaled
async def with_a_task(request: Any, entry: Entry, server: Any) -> None:
    """Reads in one task and writes in another."""
    send, receive = trio.open_memory_channel[bytes](3)

    async def answer() -> None:
        entry.children += 1
        try:
            async for data in receive:
                entry.said += data
                await request.send_all(data)
        finally:
            entry.children -= 1

    async with trio.open_nursery() as nursery:
        nursery.start_soon(answer)
        async with send:
            async for data in request:
                entry.heard += data
                await send.send(data)


@journaled
async def half_closing(request: Any, entry: Entry, server: Any) -> None:
    """Says all it has to say first, then listens to the end."""
    entry.said += PATTERN[:3000]
    await request.send_all(PATTERN[:3000])
    await request.send_eof()
    async for data in request:
        entry.heard += data


STREAMS: Final[dict[str, Any]] = {
    getattr(handler, "__name__", ""): handler
    for handler in (Lines, KeepAlive, Impatient, SlowToFinish, Finishing, FailingToFinish)
} | {
    "echo": echo,
    "slow": slow,
    "failing": failing,
    "failing in a group": failing_in_a_group,
    "deaf": deaf,
    "stuck": stuck,
    "curt": curt,
    "pouring": pouring,
    "with a task": with_a_task,
    "half-closing": half_closing,
}
ECHOING: Final = ("echo", "Lines", "slow", "with_a_task")
"""The names of those that answer all they hear."""
