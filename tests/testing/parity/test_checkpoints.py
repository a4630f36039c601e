"""Every operation is a checkpoint, whether it waits or not."""

from __future__ import annotations

from socket import AF_UNIX, SOCK_DGRAM
from typing import TYPE_CHECKING

import pytest
import trio
from trio.testing import assert_checkpoints

from .worlds import LOCALHOST, World, parity

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path


@parity
async def test_bind_and_connect_and_accept_when_they_need_not_wait_then_checkpoints(world: World) -> None:
    """All the same."""
    listener = world.socket()
    with assert_checkpoints():
        await listener.bind((LOCALHOST, 0))
    listener.listen(1)
    client = world.socket()
    with assert_checkpoints():
        await client.connect(listener.getsockname())
    await world.settle(listener.is_readable)
    with assert_checkpoints():
        await world.accept(listener)


@parity
async def test_send_when_there_is_room_then_a_checkpoint(world: World) -> None:
    """Each way to send."""
    client, _ = await world.pair()
    operations: list[Callable[[], Awaitable[object]]] = [
        lambda: client.send(b"x"),
        lambda: client.send(b""),
        lambda: client.sendmsg([b"x"]),
        lambda: client.sendto(b"x", (LOCALHOST, 1)),
        lambda: client.wait_writable(),
    ]
    for operation in operations:
        with assert_checkpoints():
            await operation()


@parity
async def test_receive_when_there_is_something_then_a_checkpoint(world: World) -> None:
    """Each way to receive, and at the end of the stream, too."""
    client, server = await world.pair()
    await client.send(bytes(100))
    await world.settle(server.is_readable)
    operations: list[Callable[[], Awaitable[object]]] = [
        lambda: server.recv(1),
        lambda: server.recv(0),
        lambda: server.recv_into(bytearray(1)),
        lambda: server.recvfrom(1),
        lambda: server.recvfrom_into(bytearray(1)),
        lambda: server.recvmsg(1),
        lambda: server.recvmsg_into([bytearray(1)]),
    ]
    for operation in operations:
        with assert_checkpoints():
            await operation()
    client.close()
    while await server.recv(100):
        pass
    with assert_checkpoints():
        await server.recv(1)


@parity
async def test_datagrams_when_there_is_one_then_a_checkpoint(world: World) -> None:
    """Sending and receiving."""
    left, right = await world.datagrams(), await world.datagrams()
    with assert_checkpoints():
        await left.sendto(b"x", right.getsockname())
    await world.settle(right.is_readable)
    with assert_checkpoints():
        await right.recvfrom(1)
    with assert_checkpoints():
        await left.connect(right.getsockname())


@parity
async def test_unix_datagrams_when_there_is_one_then_a_checkpoint(world: World, tmp_path: Path) -> None:
    """Sending and receiving on a path, and binding to it."""
    left, right = world.socket(AF_UNIX, SOCK_DGRAM), world.socket(AF_UNIX, SOCK_DGRAM)
    with assert_checkpoints():
        await left.bind(str(tmp_path / "left"))
    with assert_checkpoints():
        await right.sendto(b"x", left.getsockname())
    with assert_checkpoints():
        await left.recvfrom(1)


@pytest.mark.parametrize("host", ["localhost", LOCALHOST, None])
@parity
async def test_getaddrinfo_when_it_knows_then_a_checkpoint(world: World, host: str | None) -> None:
    """For names and for numbers."""
    with assert_checkpoints():
        await trio.socket.getaddrinfo(host, 80)
