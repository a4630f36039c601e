"""UDP: sizes, truncation, and queues that are full."""

from __future__ import annotations

import errno
import socket
from typing import Any

import pytest
import trio

from .kit import fails_with
from .worlds import LOCALHOST, Socket, World, parity


async def arrived(world: World, *datagrams: bytes) -> tuple[Socket, Socket]:
    """Two connected sockets; the right one has these datagrams."""
    left, right = await world.datagram_pair()
    for data in datagrams:
        await left.send(data)
    await world.settle(right.is_readable)
    return left, right


@parity
async def test_recv_when_the_datagram_is_longer_then_the_rest_is_lost(world: World) -> None:
    """The next call gets the next datagram."""
    _, right = await arrived(world, b"abcdef", b"next")
    assert await right.recv(3) == b"abc"
    assert await right.recv(3) == b"nex"


@parity
async def test_recv_when_asked_to_tell_then_the_count_is_that_of_the_whole(world: World) -> None:
    """MSG_TRUNC of recv(2); Python sees it where it fills a buffer."""
    _, right = await arrived(world, b"abcdef")
    buffer = bytearray(3)
    assert await right.recv_into(buffer, 3, socket.MSG_TRUNC | socket.MSG_PEEK) == 6
    assert buffer == b"abc"


@parity
async def test_recvmsg_when_the_datagram_is_longer_then_the_flags_say_so(world: World) -> None:
    """MSG_TRUNC comes back."""
    _, right = await arrived(world, b"abcdef", b"abc")
    assert (await right.recvmsg(3))[::2] == (b"abc", socket.MSG_TRUNC)
    assert (await right.recvmsg(3))[::2] == (b"abc", 0)


@parity
async def test_recvmsg_into_when_there_are_several_buffers_then_each_is_filled(world: World) -> None:
    """And the rest is cut."""
    left, right = await arrived(world, b"abcdef")
    buffers: list[Any] = [bytearray(2), bytearray(3)]
    assert await right.recvmsg_into(buffers) == (5, [], socket.MSG_TRUNC, left.getsockname())
    assert buffers == [b"ab", b"cde"]


@parity
async def test_recvfrom_into_when_there_is_one_then_count_and_sender(world: World) -> None:
    """The buffer holds as much as fits."""
    left, right = await arrived(world, b"abcdef", b"xy")
    buffer = bytearray(4)
    assert await right.recvfrom_into(buffer) == (4, left.getsockname())
    assert buffer == b"abcd"
    assert await right.recvfrom_into(buffer, 1) == (1, left.getsockname())
    assert buffer == b"xbcd"


@parity
async def test_recvfrom_when_zero_bytes_are_asked_for_then_the_datagram_stays(world: World) -> None:
    """Python returns without asking, with no address."""
    left, right = await arrived(world, b"abc")
    assert await right.recv(0) == b""
    assert await right.recvfrom(10) == (b"abc", left.getsockname())


@parity
async def test_peek_when_there_is_one_then_it_stays(world: World) -> None:
    """Whole, however little was looked at."""
    left, right = await arrived(world, b"abcdef")
    assert await right.recvfrom(3, socket.MSG_PEEK) == (b"abc", left.getsockname())
    assert await right.recv(10) == b"abcdef"


@pytest.mark.parametrize("size", [1, 1472, 1473, 9000, 65507])
@parity
async def test_send_when_large_then_it_arrives_whole(world: World, size: int) -> None:
    """IP splits it and puts it together again."""
    left, right = await world.datagram_pair()
    data = bytes(number % 251 for number in range(size))
    assert await left.send(data) == size
    assert await right.recv(65535) == data


@pytest.mark.parametrize("size", [65508, 70_000, 200_000])
@parity
async def test_send_when_too_large_then_emsgsize(world: World, size: int) -> None:
    """65535 bytes less the headers of IP and UDP; nothing is sent."""
    left, right = await world.datagram_pair()
    with fails_with(errno.EMSGSIZE):
        await left.send(bytes(size))
    await left.send(b"next")
    assert await right.recv(10) == b"next"


@parity
async def test_send_when_nobody_reads_then_datagrams_are_dropped(world: World) -> None:
    """The sender does not wait and is not told; those that fit come first, in order."""
    left, right = await world.datagram_pair()
    right.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 10_000)
    for number in range(200):
        assert await left.send(b"%1000d" % number) == 1000
    got = []
    while not await world.is_stuck(right.recv, 1, socket.MSG_PEEK):
        got.append(int(await right.recv(1000)))
    assert 1 <= len(got) < 100
    assert got == list(range(len(got)))
    await left.send(b"new")
    assert await right.recv(10) == b"new"


@parity
async def test_wait_writable_when_nobody_reads_then_it_does_not_wait(world: World) -> None:
    """What is dropped takes no room."""
    left, _ = await world.datagram_pair()
    for _ in range(50):
        await left.send(bytes(10_000))
    assert not await world.is_stuck(left.wait_writable)


@parity
async def test_sendto_when_the_port_is_zero_then_einval(world: World) -> None:
    """There is no such port to send to."""
    with fails_with(errno.EINVAL):
        await (await world.datagrams()).sendto(b"x", (LOCALHOST, 0))


@parity
async def test_sendto_when_to_broadcast_without_permission_then_eacces(world: World) -> None:
    """SO_BROADCAST is for those who mean it."""
    sock = world.socket(kind=socket.SOCK_DGRAM)
    with fails_with(errno.EACCES):
        await sock.sendto(b"x", ("255.255.255.255", 9))


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ((b"x", "127.0.0.1"), ValueError),
        ((b"x", (LOCALHOST,)), ValueError),
        ((b"x", (LOCALHOST, 65536)), OverflowError),
        ((b"x", ("::1", 5)), socket.gaierror),
        (("text", (LOCALHOST, 5)), TypeError),
        ((b"x", "flags", (LOCALHOST, 5)), TypeError),
    ],
)
@parity
async def test_sendto_when_called_wrongly_then_the_error_is_the_same(
    world: World, arguments: Any, error: type[Exception]
) -> None:
    """As the standard library or trio has it."""
    sock = await world.datagrams()
    with pytest.raises(error):
        await sock.sendto(*arguments)


@parity
async def test_stream_calls_when_a_datagram_socket_gets_them_then_eopnotsupp(world: World) -> None:
    """It neither listens nor accepts."""
    sock = await world.datagrams()
    with fails_with(errno.EOPNOTSUPP):
        sock.listen(1)
    with fails_with(errno.EOPNOTSUPP):
        await sock.accept()


@parity
async def test_recvfrom_when_cancelled_then_no_datagram_is_lost(world: World) -> None:
    """While it waits, and before it looks."""
    left, right = await world.datagram_pair()
    assert await world.is_stuck(right.recvfrom, 10)
    await left.send(b"kept")
    await world.settle(right.is_readable)
    with trio.CancelScope() as scope:
        scope.cancel()
        await right.recvfrom(10)
    assert scope.cancelled_caught
    assert await right.recvfrom(10) == (b"kept", left.getsockname())
