"""TCP: receiving."""

from __future__ import annotations

import socket

import pytest

from .kit import receive_all, send_all
from .worlds import Socket, World, background, parity


async def arrived(world: World, data: bytes) -> tuple[Socket, Socket]:
    """A connection, and so much has come in at the server."""
    client, server = await world.pair()
    await send_all(client, data)
    await world.quiet()
    return client, server


@parity
async def test_recv_when_there_is_more_then_at_most_so_many(world: World) -> None:
    """The rest is for the next call."""
    _, server = await arrived(world, b"abcdef")
    assert await server.recv(2) == b"ab"
    assert await server.recv(100) == b"cdef"


@parity
async def test_recv_when_there_is_nothing_then_it_waits_for_the_first_bytes(world: World) -> None:
    """Not for all that it asked for."""
    client, server = await world.pair()
    got = []

    async def receive() -> None:
        got.append(await server.recv(100))

    async with background(receive):
        assert got == []
        await client.send(b"x")
    assert got == [b"x"]


@parity
async def test_recv_when_a_number_of_bytes_is_zero_then_nothing_is_taken(world: World) -> None:
    """Python does not even ask; the data stay."""
    _, server = await arrived(world, b"data")
    assert await server.recv(0) == b""
    assert await server.recv(4) == b"data"
    assert await server.recv(0) == b""  # with nothing there it does not wait either


@parity
async def test_recv_when_the_number_is_negative_then_value_error(world: World) -> None:
    """As the standard library has it."""
    _, server = await world.pair()
    with pytest.raises(ValueError, match="negative buffersize"):
        await server.recv(-1)


@parity
async def test_recv_when_many_sends_were_made_then_they_are_one_stream(world: World) -> None:
    """There are no boundaries in it."""
    client, server = await world.pair()
    for number in range(100):
        await client.send(b"%02d" % number)
    client.close()
    assert await receive_all(server) == b"".join(b"%02d" % number for number in range(100))


@parity
async def test_recv_when_a_lot_is_sent_then_it_arrives_whole(world: World) -> None:
    """In order, and once."""
    client, server = await world.pair()
    data = bytes(number * number % 251 for number in range(400_000))

    async def send() -> None:
        await send_all(client, data)
        client.close()

    async with background(send):
        assert await receive_all(server) == data


@parity
async def test_recv_when_at_the_end_then_again_and_again(world: World) -> None:
    """The end of a stream does not go away."""
    client, server = await world.pair()
    client.close()
    for _ in range(3):
        assert await server.recv(10) == b""


@parity
async def test_peek_when_there_is_data_then_it_stays(world: World) -> None:
    """As often as one likes, and less than all of it."""
    _, server = await arrived(world, b"peeked")
    assert await server.recv(3, socket.MSG_PEEK) == b"pee"
    assert await server.recv(100, socket.MSG_PEEK) == b"peeked"
    assert await server.recv(100) == b"peeked"


@parity
async def test_peek_when_at_the_end_then_empty(world: World) -> None:
    """And it waits until then."""
    client, server = await world.pair()
    assert await world.is_stuck(server.recv, 1, socket.MSG_PEEK)
    client.close()
    assert await server.recv(1, socket.MSG_PEEK) == b""
    assert await server.recv(1) == b""


@parity
async def test_dontwait_when_there_is_nothing_then_trio_waits_all_the_same(world: World) -> None:
    """All its sockets are non-blocking already."""
    client, server = await world.pair()
    assert await world.is_stuck(server.recv, 1, socket.MSG_DONTWAIT)
    await client.send(b"x")
    assert await server.recv(1, socket.MSG_DONTWAIT) == b"x"


@parity
async def test_waitall_when_some_has_come_then_that_is_returned(world: World) -> None:
    """A non-blocking socket does not wait for all."""
    _, server = await arrived(world, b"abc")
    assert await server.recv(10, socket.MSG_WAITALL) == b"abc"


@parity
async def test_is_readable_when_data_come_then_until_they_are_read(world: World) -> None:
    """It asks without waiting."""
    client, server = await world.pair()
    assert not server.is_readable()
    await client.send(b"ab")
    await world.settle(server.is_readable)
    assert await server.recv(1) == b"a"
    assert server.is_readable()
    assert await server.recv(1) == b"b"
    assert not server.is_readable()
    client.close()
    await world.settle(server.is_readable)
