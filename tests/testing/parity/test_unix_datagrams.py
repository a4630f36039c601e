"""Unix sockets: datagrams."""

from __future__ import annotations

import socket

import pytest
import trio

from .unix_kit import connected, datagrams
from .worlds import World, background, parity


@parity
async def test_sendto_when_somebody_is_bound_there_then_it_arrives_with_its_senders_path(
    world: World, path: str
) -> None:
    """And can be replied to."""
    left, right = await datagrams(world, path), await datagrams(world, path + "2")
    assert await left.sendto(b"hello", path + "2") == 5
    assert await right.recvfrom(10) == (b"hello", path)
    await right.sendto(b"back", path)
    assert await left.recvfrom(10) == (b"back", path + "2")


@parity
async def test_recvfrom_when_the_sender_has_no_name_then_none(world: World, path: str) -> None:
    """There is nobody to reply to; sending does not give it a name, as it would with UDP."""
    sender, receiver = await connected(world, path)
    await sender.send(b"x")
    assert await receiver.recvfrom(10) == (b"x", None)
    assert sender.getsockname() == ""
    assert sender.getpeername() == path


@parity
async def test_recv_when_many_were_sent_then_each_comes_alone_and_in_order(world: World, path: str) -> None:
    """Datagrams have boundaries, here too."""
    sender, receiver = await connected(world, path)
    for data in [b"one", b"", b"three"]:
        await sender.send(data)
    assert [await receiver.recv(10) for _ in range(3)] == [b"one", b"", b"three"]


@parity
async def test_recv_when_the_datagram_is_longer_then_the_rest_is_lost(world: World, path: str) -> None:
    """What is cut off is not in the next datagram."""
    sender, receiver = await connected(world, path)
    for data in [b"abcdef", b"abcdef", b"next"]:
        await sender.send(data)
    assert await receiver.recv(3) == b"abc"
    assert (await receiver.recvmsg(3))[::2] == (b"abc", socket.MSG_TRUNC)
    assert await receiver.recv(3, socket.MSG_PEEK) == b"nex"
    assert await receiver.recv(10) == b"next"


@parity
async def test_sendto_when_connected_then_another_path_may_be_given(world: World, path: str) -> None:
    """The connection is only a default."""
    sender, _ = await connected(world, path)
    other = await datagrams(world, path + "2")
    await sender.sendto(b"x", path + "2")
    assert await other.recv(1) == b"x"


@parity
async def test_send_when_large_then_it_arrives_whole(world: World, path: str) -> None:
    """The send buffer is the limit, not UDP's 65507 bytes."""
    sender, receiver = await connected(world, path)
    await sender.send(bytes(100_000))
    assert await receiver.recv(200_000) == bytes(100_000)


@parity
async def test_connect_when_both_are_connected_then_they_talk(world: World, path: str) -> None:
    """Both have names for that."""
    left, right = await datagrams(world, path), await datagrams(world, path + "2")
    await left.connect(path + "2")
    await right.connect(path)
    await left.send(b"x")
    assert await right.recv(1) == b"x"
    await right.send(b"y")
    assert await left.recv(1) == b"y"


@parity
async def test_close_when_a_task_waits_then_closed_resource_error(world: World, path: str) -> None:
    """trio's own error."""
    receiver = await datagrams(world, path)

    async def receive() -> None:
        with pytest.raises(trio.ClosedResourceError):
            await receiver.recvfrom(1)

    async with background(receive):
        receiver.close()


@parity
async def test_abstract_name_when_bound_then_datagrams_come(world: World, path: str) -> None:
    """And replies go back there."""
    name = b"\0" + path.encode()
    left, right = await datagrams(world, name), await datagrams(world, path)
    await right.sendto(b"x", name)
    assert await left.recvfrom(1) == (b"x", path)
    await left.sendto(b"y", path)
    assert await right.recvfrom(1) == (b"y", name)
