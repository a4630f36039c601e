"""TCP: receiving into buffers, and with what comes beside the data."""

from __future__ import annotations

import errno
import socket
from typing import Any

import pytest

from .kit import fails_with, receive_exactly, send_all
from .worlds import Socket, World, parity


async def arrived(world: World, data: bytes) -> tuple[Socket, Socket]:
    """A connection, and so much has come in at the server."""
    client, server = await world.pair()
    await send_all(client, data)
    await world.quiet()
    return client, server


@parity
async def test_recv_into_when_the_buffer_is_large_then_the_count_says_how_much(world: World) -> None:
    """The rest of the buffer is left alone."""
    _, server = await arrived(world, b"abc")
    buffer = bytearray(b"------")
    assert await server.recv_into(buffer) == 3
    assert buffer == b"abc---"


@parity
async def test_recv_into_when_given_a_number_then_at_most_so_many(world: World) -> None:
    """Zero stands for the size of the buffer."""
    _, server = await arrived(world, b"abcdef")
    buffer = bytearray(4)
    assert await server.recv_into(buffer, 2) == 2
    assert await server.recv_into(memoryview(buffer)[2:], 0) == 2
    assert buffer == b"abcd"


@pytest.mark.parametrize("count", [5, -1])
@parity
async def test_recv_into_when_the_number_does_not_fit_then_value_error(world: World, count: int) -> None:
    """Larger than the buffer, or negative."""
    _, server = await arrived(world, b"abcdef")
    with pytest.raises(ValueError, match="buffer"):
        await server.recv_into(bytearray(4), count)


@parity
async def test_recv_into_when_the_buffer_is_empty_or_read_only_then_nothing_is_taken(world: World) -> None:
    """Zero bytes, and a TypeError."""
    _, server = await arrived(world, b"abc")
    assert await server.recv_into(bytearray()) == 0
    with pytest.raises(TypeError):
        await server.recv_into(b"fixed")
    assert await server.recv(10) == b"abc"


@parity
async def test_recvfrom_when_connected_then_there_is_no_address(world: World) -> None:
    """One knows the peer anyway."""
    _, server = await arrived(world, b"abcdef")
    assert await server.recvfrom(3) == (b"abc", None)
    buffer = bytearray(10)
    assert await server.recvfrom_into(buffer) == (3, None)
    assert buffer[:3] == b"def"


@parity
async def test_recvmsg_when_there_is_data_then_no_ancillary_data_and_no_flags(world: World) -> None:
    """Nor an address."""
    _, server = await arrived(world, b"abcdef")
    assert await server.recvmsg(3) == (b"abc", [], 0, None)
    assert (await server.recvmsg(10, 100, socket.MSG_PEEK))[:3] == (b"def", [], 0)


@parity
async def test_recvmsg_into_when_there_are_several_buffers_then_each_is_filled(world: World) -> None:
    """One after the other."""
    _, server = await arrived(world, b"abcdef")
    buffers: list[Any] = [bytearray(2), bytearray(3), bytearray(3)]
    count, ancillary, flags, _ = await server.recvmsg_into(buffers)
    assert (count, ancillary, flags) == (6, [], 0)
    assert buffers == [b"ab", b"cde", b"f\0\0"]


@parity
async def test_urgent_data_when_there_is_none_then_einval(world: World) -> None:
    """MSG_OOB never waits."""
    _, server = await world.pair()
    with fails_with(errno.EINVAL):
        await server.recv(1, socket.MSG_OOB)


@parity
async def test_urgent_data_when_sent_then_it_is_received_out_of_band(world: World) -> None:
    """RFC 6093 advises against it."""
    client, server = await world.pair()
    await client.send(b"ab!", socket.MSG_OOB)
    await world.quiet()
    assert await server.recv(1, socket.MSG_OOB) == b"!"
    assert await receive_exactly(server, 2) == b"ab"
