"""Small things that many test modules use."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import trio

import trioserver

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


class Echo(trioserver.StreamRequestHandler):
    """Sends back each line."""

    async def handle(self) -> None:
        async for line in self.rfile:
            await self.wfile.write(line)


class Recorder:
    """An observer that keeps the events."""

    def __init__(self) -> None:
        self.events: list[trioserver.ServerEvent] = []

    def __call__(self, event: trioserver.ServerEvent) -> None:
        self.events.append(event)

    def names(self) -> list[str]:
        """The classes of the events, in order."""
        return [type(event).__name__ for event in self.events]


@asynccontextmanager
async def client_of(server: trioserver.StreamServer) -> AsyncIterator[trio.SocketStream]:
    """A connected client."""
    sock = trio.socket.socket(server.socket.family)
    await sock.connect(server.server_address)
    stream = trio.SocketStream(sock)
    async with stream:
        yield stream


async def receive_all(stream: trio.abc.ReceiveStream) -> bytes:
    """Everything up to the end of the stream."""
    data = b""
    while chunk := await stream.receive_some():
        data += chunk
    return data


async def receive_exactly(stream: trio.abc.ReceiveStream, count: int) -> bytes:
    """So many bytes; AssertionError if the stream ends first."""
    data = b""
    while len(data) < count:
        chunk = await stream.receive_some(count - len(data))
        assert chunk, f"the stream ended after {data!r}"
        data += chunk
    return data


async def wait_until(condition: Any) -> None:
    """Let other tasks run until ``condition()`` is true; the bound is shorter than that of the whole test."""
    with trio.fail_after(10):
        while not condition():
            await trio.lowlevel.checkpoint()
