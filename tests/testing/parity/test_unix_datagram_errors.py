"""Unix sockets: datagrams that find nobody, or no room."""

from __future__ import annotations

import errno
import socket
from socket import AF_UNIX, SOCK_DGRAM

from .kit import fails_with
from .unix_kit import connected, datagrams
from .worlds import World, background, parity


@parity
async def test_sendto_when_there_is_no_such_path_then_enoent(world: World, path: str) -> None:
    """At once."""
    with fails_with(errno.ENOENT):
        await world.socket(AF_UNIX, SOCK_DGRAM).sendto(b"x", path)
    with fails_with(errno.ENOENT):
        await world.socket(AF_UNIX, SOCK_DGRAM).connect(path)


@parity
async def test_sendto_when_the_receiver_was_closed_then_econnrefused(world: World, path: str) -> None:
    """Its path is still there."""
    (await datagrams(world, path)).close()
    with fails_with(errno.ECONNREFUSED):
        await world.socket(AF_UNIX, SOCK_DGRAM).sendto(b"x", path)


@parity
async def test_send_when_the_receiver_has_gone_then_econnrefused_and_then_enotconn(
    world: World, path: str
) -> None:
    """The first error ends the connection."""
    sender, receiver = await connected(world, path)
    receiver.close()
    with fails_with(errno.ECONNREFUSED):
        await sender.send(b"x")
    with fails_with(errno.ENOTCONN):
        await sender.send(b"x")


@parity
async def test_send_when_not_connected_then_enotconn(world: World, path: str) -> None:
    """UDP says EDESTADDRREQ."""
    with fails_with(errno.ENOTCONN):
        await (await datagrams(world, path)).send(b"x")


@parity
async def test_sendto_when_to_a_stream_then_eprototype(world: World, path: str) -> None:
    """A listener takes no datagrams."""
    await world.listener(path, family=AF_UNIX)
    with fails_with(errno.EPROTOTYPE):
        await world.socket(AF_UNIX, SOCK_DGRAM).sendto(b"x", path)


@parity
async def test_sendto_when_the_receiver_is_connected_elsewhere_then_eperm(world: World, path: str) -> None:
    """It hears its peer only, and the sender is told."""
    left, right = await datagrams(world, path), await datagrams(world, path + "2")
    await right.connect(path)
    with fails_with(errno.EPERM):
        await world.socket(AF_UNIX, SOCK_DGRAM).sendto(b"x", path + "2")
    await left.sendto(b"y", path + "2")
    assert await right.recv(1) == b"y"


@parity
async def test_send_when_nobody_reads_then_it_waits(world: World, path: str) -> None:
    """Nothing is dropped, unlike UDP; it is the number of datagrams that counts: max_dgram_qlen, unix(7)."""
    sender, receiver = await connected(world, path)
    count = 0
    while not await world.is_stuck(sender.send, b"%d" % count):
        count += 1
    assert 1 <= count <= 1000

    async def send() -> None:
        await sender.send(b"%d" % count)

    async with background(send):
        assert await receiver.recv(10) == b"0"
    assert [await receiver.recv(10) for _ in range(count)] == [b"%d" % n for n in range(1, count + 1)]


@parity
async def test_send_when_it_waits_and_the_receiver_closes_then_econnrefused(world: World, path: str) -> None:
    """It is woken."""
    sender, receiver = await connected(world, path)
    while not await world.is_stuck(sender.send, b"x"):
        pass

    async def send() -> None:
        with fails_with(errno.ECONNREFUSED):
            await sender.send(b"x")

    async with background(send):
        receiver.close()


@parity
async def test_send_when_larger_than_the_send_buffer_then_emsgsize(world: World, path: str) -> None:
    """It would never fit."""
    sender, _ = await connected(world, path)
    sender.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 10_000)
    with fails_with(errno.EMSGSIZE):
        await sender.send(bytes(30_000))


@parity
async def test_stream_calls_when_a_datagram_socket_gets_them_then_eopnotsupp(world: World, path: str) -> None:
    """It neither listens nor accepts."""
    sock = await datagrams(world, path)
    with fails_with(errno.EOPNOTSUPP):
        sock.listen(1)
    with fails_with(errno.EOPNOTSUPP):
        await sock.accept()
