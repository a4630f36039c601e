"""Clients of datagram servers; each writes down what it sent and what came."""

from __future__ import annotations

import contextlib
import socket
from typing import TYPE_CHECKING, Any, Final

import trio

if TYPE_CHECKING:
    import random
    from collections.abc import AsyncIterator, Awaitable, Callable

    from .world import World


class Sender:
    """A socket, the datagrams that it sent, and those that came."""

    def __init__(self, world: World, sock: Any) -> None:
        self.world = world
        self.socket = sock
        # Who had the port before may still get an answer.
        self.sent = world.datagrams.setdefault(sock.getsockname(), [])

    async def send(self, data: bytes) -> None:
        """Send one, which no other client sends."""
        self.sent.append(data)
        with contextlib.suppress(OSError), trio.move_on_after(1):
            await self.socket.sendto(data, self.world.address)

    async def receive(self, seconds: float) -> None:
        """Take what comes for so long; each is an answer to one that was sent."""
        with trio.move_on_after(seconds):
            while True:
                try:
                    data, _ = await self.socket.recvfrom(65536)
                except ConnectionError:
                    continue
                known = any(sent.startswith(data) for sent in self.sent)
                self.world.ledger.check(known, "integrity", f"a reply to nothing: {data[:50]!r}")


@contextlib.asynccontextmanager
async def opened(world: World, *, named: bool = True) -> AsyncIterator[Sender]:
    """A socket for the length of a block."""
    unix = world.plan.on_one_host
    sock = trio.socket.socket(socket.AF_UNIX if unix else socket.AF_INET, socket.SOCK_DGRAM)
    fd = sock.fileno()
    if unix:
        world.own_sockets[fd] = sock
    try:
        if unix and named:
            await sock.bind(f"/run/client{fd}")
        elif not unix:
            await sock.bind(("", 0))
        yield Sender(world, sock)
    finally:
        sock.close()
        world.own_sockets.pop(fd, None)


async def polite(world: World, dice: random.Random) -> None:
    """Ask, and wait for the answer, a few times."""
    async with opened(world) as sender:
        for _ in range(dice.randint(1, 6)):
            await sender.send(dice.randbytes(dice.randint(1, 1000)))
            await sender.receive(dice.random() * 0.5)


async def flooding(world: World, dice: random.Random) -> None:
    """Many at once, then read for a while."""
    async with opened(world) as sender, trio.open_nursery() as nursery:
        nursery.start_soon(sender.receive, 2.0)
        for _ in range(dice.randint(10, 60)):
            await sender.send(dice.randbytes(dice.randint(0, 300)))


async def never_reading(world: World, dice: random.Random) -> None:
    """Send, and take no answer: a Unix socket's queue fills, and the server has to wait."""
    async with opened(world) as sender:
        for _ in range(dice.randint(5, 40)):
            await sender.send(dice.randbytes(100))
        await trio.sleep(dice.random() * 3)


async def vanishing(world: World, dice: random.Random) -> None:
    """Send, and be gone when the answer comes."""
    for _ in range(dice.randint(1, 5)):
        async with opened(world, named=dice.random() < 0.7) as sender:
            await sender.send(dice.randbytes(10))
        await trio.sleep(dice.random() * 0.3)


async def odd(world: World, dice: random.Random) -> None:
    """Empty datagrams, and some of all sizes."""
    async with opened(world) as sender:
        for size in (0, 1, 8000, dice.randint(0, 60_000), 0):
            await sender.send(dice.randbytes(size))
            await trio.sleep(dice.random() * 0.05)
        await sender.receive(1.0)


DATAGRAM_CLIENTS: Final[tuple[Callable[[World, random.Random], Awaitable[None]], ...]] = (
    polite,
    flooding,
    never_reading,
    vanishing,
    odd,
)
