"""Clients of stream servers, polite and otherwise; each writes down what it sent and what came."""

from __future__ import annotations

import contextlib
import socket
import ssl
import struct
from typing import TYPE_CHECKING, Any, Final

import trio

from .certificate import NAME, client_context

if TYPE_CHECKING:
    import random
    from collections.abc import AsyncIterator, Awaitable, Callable

    from .journal import Conversation
    from .world import World

GONE: Final = (OSError, ssl.SSLError, trio.BrokenResourceError, trio.ClosedResourceError)
"""What a client may meet with on a bad day."""


class Peer:
    """One connection, from the client's side.

    Attributes:
      stream: With TLS where the server has it.
      socket: Underneath.
      said: What was sent and came.
    """

    def __init__(self, stream: Any, sock: Any, said: Conversation) -> None:
        self.stream = stream
        self.socket = sock
        self.said = said

    async def send(self, data: bytes) -> None:
        """Send all of it."""
        self.said.sent += data
        await self.stream.send_all(data)

    async def end_sending(self) -> None:
        """Close the sending half; over TLS there is none."""
        if isinstance(self.stream, trio.SocketStream):
            await self.stream.send_eof()

    async def read(self, piece: int = 65536, pause: float = 0.0) -> None:
        """Read to the end."""
        while data := await self.stream.receive_some(piece):
            self.said.received += data
            if pause:
                await trio.sleep(pause)
        self.said.ended = True

    def abort(self) -> None:
        """Reset it."""
        linger = struct.pack("ii", 1, 0)
        with contextlib.suppress(OSError):
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        self.socket.close()


@contextlib.asynccontextmanager
async def connected(world: World, *, tls: bool = True) -> AsyncIterator[Peer]:
    """Connect for the length of a block."""
    plan, count = world.plan, len(world.journal.conversations)
    family = socket.AF_UNIX if plan.on_one_host else socket.AF_INET
    sock = trio.socket.socket(family, socket.SOCK_STREAM)
    fd = sock.fileno()
    if plan.on_one_host:
        world.own_sockets[fd] = sock
    try:
        if plan.on_one_host:
            await sock.bind(f"/run/client{count}")
        await sock.connect(world.address)
        said = world.journal.converse(sock.getsockname())
        stream: Any = trio.SocketStream(sock)
        if plan.kind == "tls" and tls:
            stream = trio.SSLStream(stream, client_context(), server_hostname=NAME)
        yield Peer(stream, sock, said)
    finally:
        sock.close()
        world.own_sockets.pop(fd, None)


def lines(dice: random.Random, count: int, longest: int) -> list[bytes]:
    """Lines of random bytes, all different."""
    return [dice.randbytes(dice.randint(1, longest)).replace(b"\n", b" ") + b"\n" for _ in range(count)]


async def polite(world: World, dice: random.Random) -> None:
    """Ask, one line after the other, half-close, and read to the end."""
    async with connected(world) as peer, trio.open_nursery() as nursery:
        nursery.start_soon(peer.read)
        for line in lines(dice, dice.randint(1, 5), 200):
            await peer.send(line)
            await trio.sleep(dice.random() * 0.2)
        await peer.end_sending()


async def pipelining(world: World, dice: random.Random) -> None:
    """Send all at once, and read the answers meanwhile."""
    async with connected(world) as peer, trio.open_nursery() as nursery:
        nursery.start_soon(peer.read)
        await peer.send(b"".join(lines(dice, 40, 500)))
        await peer.end_sending()


async def half_closing(world: World, dice: random.Random) -> None:
    """Half-close before anything else is read."""
    async with connected(world) as peer:
        await peer.send(b"".join(lines(dice, 3, 300)))
        await peer.end_sending()
        await trio.sleep(dice.random())
        await peer.read()


async def slow_reading(world: World, dice: random.Random) -> None:
    """Send a lot and read little: the server's buffers fill."""
    async with connected(world) as peer, trio.open_nursery() as nursery:
        nursery.start_soon(peer.read, 2000, 0.02)
        await peer.send(b"".join(lines(dice, 60, 4000)))
        await peer.end_sending()


async def mute(world: World, dice: random.Random) -> None:
    """Connect, and say nothing for long."""
    async with connected(world, tls=dice.random() < 0.3) as peer:
        with trio.move_on_after(dice.random() * dice.choice((1, 10))):
            await peer.read()


async def idle(world: World, dice: random.Random) -> None:
    """Ask once, and keep the connection for later."""
    async with connected(world) as peer:
        await peer.send(b"hello\n")
        with trio.move_on_after(dice.random() * 10):
            await peer.read()


async def interrupted(world: World, dice: random.Random) -> None:
    """Leave in the middle of a line, one way or the other."""
    async with connected(world, tls=dice.random() < 0.8) as peer:
        await peer.send(dice.randbytes(dice.randint(1, 5000)).replace(b"\n", b" "))
        await trio.sleep(dice.random() * 0.3)
        if dice.random() < 0.6:
            peer.abort()


async def reconnecting(world: World, dice: random.Random) -> None:
    """Connect again and again, each time for one line."""
    for line in lines(dice, dice.randint(2, 6), 100):
        with contextlib.suppress(*GONE):
            async with connected(world) as peer:
                await peer.send(line)
                with trio.move_on_after(0.5):
                    peer.said.received += await peer.stream.receive_some()
        await trio.sleep(dice.random() * 0.1)


async def flooding(world: World, dice: random.Random) -> None:
    """Many connections at once."""
    async with trio.open_nursery() as nursery:
        for _ in range(dice.randint(3, 10)):
            nursery.start_soon(_shrugging, _one_line, world, dice)


async def _one_line(world: World, dice: random.Random) -> None:
    async with connected(world) as peer:
        await peer.send(b"hello\n")
        await peer.end_sending()
        with trio.move_on_after(1):
            await peer.read()


async def _shrugging(client: Callable[..., Awaitable[None]], world: World, dice: random.Random) -> None:
    with contextlib.suppress(*GONE):
        await client(world, dice)


STREAM_CLIENTS: Final[tuple[Callable[[World, random.Random], Awaitable[None]], ...]] = (
    polite,
    pipelining,
    half_closing,
    slow_reading,
    mute,
    idle,
    interrupted,
    reconnecting,
    flooding,
)
