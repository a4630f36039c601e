"""Handlers of datagrams and of sessions, good and bad ones."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import trio

import trioserver

from .stream_handlers import HandlerFailed, journaled

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from .journal import Entry


@journaled
async def echo(request: Any, entry: Entry, server: Any) -> None:
    """Send it back."""
    entry.heard += request.data
    await request.socket.sendto(request.data, entry.client_address)


@journaled
async def slow(request: Any, entry: Entry, server: Any) -> None:
    """Send it back later."""
    await trio.sleep(0.2)
    await request.socket.sendto(request.data, entry.client_address)


@journaled
async def failing(request: Any, entry: Entry, server: Any) -> None:
    """Raise."""
    raise HandlerFailed(f"request {entry.request_id}")


@journaled
async def stuck(request: Any, entry: Entry, server: Any) -> None:
    """Never ends by itself."""
    await trio.sleep_forever()


@journaled
async def repeating(request: Any, entry: Entry, server: Any) -> None:
    """Send more than there is room for, so that it has to wait."""
    for _ in range(20):
        await request.socket.sendto(request.data, entry.client_address)


class Upper(trioserver.DatagramRequestHandler[Any]):
    """A class, with a reply that is gathered."""

    entry: Entry

    def __await__(self) -> Generator[Any, Any, None]:
        record = self.server.current_request()
        self.finish_timeout = self.server.ledger.plan.finish_timeout
        journal = self.server.ledger.journal
        self.entry = journal.begin("Upper", self.client_address, None if record is None else record.id)
        return self.entry.follow(super().__await__())

    async def handle(self) -> None:
        """Send it back at the end."""
        await self.server.obey()
        self.wfile.write(self.rfile.read())


PER_DATAGRAM: Final[dict[str, Any]] = {
    "echo": echo,
    "slow": slow,
    "failing": failing,
    "stuck": stuck,
    "repeating": repeating,
    "Upper": Upper,
}


def _journaled_in_place(function: Callable[[Any, Any], None]) -> Any:
    """A plain function whose calls are written down."""

    def handler(request: Any, client_address: Any, server: Any) -> None:
        entry = server.ledger.journal.begin(function.__name__, client_address, None)
        try:
            server.obey_in_place()
            function(request, client_address)
        except BaseException as error:
            entry.end(error)
            raise
        entry.end(None)

    return handler


@_journaled_in_place
def echo_in_place(request: Any, client_address: Any) -> None:
    """Send it back, if there is room."""
    request.socket.sendto_nowait(request.data, client_address)


@_journaled_in_place
def failing_in_place(request: Any, client_address: Any) -> None:
    """Raise."""
    raise HandlerFailed("in place")


@_journaled_in_place
def silent_in_place(request: Any, client_address: Any) -> None:
    """Do nothing."""


class UpperInPlace(trioserver.DatagramRequestHandler[Any]):
    """A class whose methods do not wait."""

    def handle(self) -> None:
        """Send it back at the end."""
        self.server.obey_in_place()
        self.wfile.write(self.packet)


IN_PLACE: Final[dict[str, Any]] = {
    "echo": echo_in_place,
    "failing": failing_in_place,
    "silent": silent_in_place,
}
"""Functions, so that they can be mixed; `UpperInPlace` is served alone."""


@journaled
async def echo_session(session: Any, entry: Entry, server: Any) -> None:
    """Send back each."""
    async for data in session:
        entry.heard += data
        await server.obey()
        await session.send(data)


@journaled
async def slow_session(session: Any, entry: Entry, server: Any) -> None:
    """Take time for each, so that the queue gets full."""
    async for data in session:
        await trio.sleep(0.1)
        await session.send(data)


@journaled
async def short_session(session: Any, entry: Entry, server: Any) -> None:
    """End after the first one: what is left begins another session."""
    await session.send(await session.receive())


@journaled
async def failing_session(session: Any, entry: Entry, server: Any) -> None:
    """Raise after the first one."""
    await session.receive()
    raise HandlerFailed(f"request {entry.request_id}")


@journaled
async def stuck_session(session: Any, entry: Entry, server: Any) -> None:
    """Never read."""
    await trio.sleep_forever()


@journaled
async def two_readers(session: Any, entry: Entry, server: Any) -> None:
    """Read in two tasks."""

    async def read() -> None:
        entry.children += 1
        try:
            async for data in session:
                await session.send(data)
        finally:
            entry.children -= 1

    async with trio.open_nursery() as nursery:
        nursery.start_soon(read)
        nursery.start_soon(read)


SESSIONS: Final[dict[str, Any]] = {
    "echo": echo_session,
    "slow": slow_session,
    "short": short_session,
    "failing": failing_session,
    "stuck": stuck_session,
    "two readers": two_readers,
}
