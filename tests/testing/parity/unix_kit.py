"""What the tests of Unix sockets share."""

from __future__ import annotations

from socket import AF_UNIX, SOCK_DGRAM
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .worlds import Socket, World


async def datagrams(world: World, path: str | bytes) -> Socket:
    """A datagram socket at a path."""
    return await world.bound(path, family=AF_UNIX, kind=SOCK_DGRAM)


async def connected(world: World, path: str) -> tuple[Socket, Socket]:
    """A receiver, and a sender that is connected to it and has no name."""
    receiver, sender = await datagrams(world, path), world.socket(AF_UNIX, SOCK_DGRAM)
    await sender.connect(path)
    return sender, receiver


async def unix_pair(world: World, path: str) -> tuple[Socket, Socket]:
    """Connected streams."""
    return await world.pair(path, family=AF_UNIX)
