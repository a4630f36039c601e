"""TCP: who does not read makes the other wait."""

from __future__ import annotations

import socket

import pytest

from .kit import receive_exactly
from .worlds import Socket, World, background, parity


def small(sock: Socket, name: str = "SO_SNDBUF", size: int = 8192) -> Socket:
    """Give a socket a small buffer."""
    sock.setsockopt(socket.SOL_SOCKET, getattr(socket, name), size)
    return sock


@parity
async def test_send_when_nobody_reads_then_it_waits_in_the_end(world: World) -> None:
    """And what was sent until then is bounded, and is all received."""
    client, server = await world.pair()
    total = await world.fill(client)
    assert 10_000 <= total < 50_000_000
    await receive_exactly(server, total)
    await world.quiet()
    assert not server.is_readable()


@parity
async def test_send_when_the_receiver_reads_again_then_it_goes_on(world: World) -> None:
    """The task that waits is woken."""
    client, server = await world.pair()
    total = await world.fill(small(client))

    async def send() -> None:
        await client.send(b"the last")

    async with background(send):
        assert await receive_exactly(server, total) == bytes(total)
    assert await receive_exactly(server, 8) == b"the last"


@parity
async def test_send_when_the_buffer_is_larger_than_the_room_then_part_is_sent(world: World) -> None:
    """The count says how much."""
    client, server = await world.pair()
    data = bytes(range(256)) * 400_000
    count = await client.send(data)
    assert 0 < count < len(data)
    assert await receive_exactly(server, count) == data[:count]


@parity
async def test_send_when_cancelled_while_it_waits_then_it_has_sent_nothing(world: World) -> None:
    """All or nothing: trio's rule for every operation of a socket. Filling ends by cancelling."""
    client, server = await world.pair()
    total = await world.fill(small(client))
    assert await receive_exactly(server, total) == bytes(total)
    await client.send(b"sent")
    assert await receive_exactly(server, 4) == b"sent"


@parity
async def test_wait_writable_when_the_receiver_does_not_read_then_until_it_does(world: World) -> None:
    """As for sending."""
    client, server = await world.pair()
    total = await world.fill(small(client))
    while not await world.is_stuck(client.wait_writable):
        total += await world.fill(client)  # what was under way made room

    async with background(client.wait_writable):
        await receive_exactly(server, total)
    assert await client.send(b"x") == 1


@pytest.mark.parametrize("name", ["SO_SNDBUF", "SO_RCVBUF"])
@parity
async def test_send_when_buffers_are_small_then_less_fits(world: World, name: str) -> None:
    """Each of the two bounds what is under way; the listener's receive buffer is inherited."""
    listener = world.socket()
    if name == "SO_RCVBUF":
        small(listener, name)
    await listener.bind(("127.0.0.1", 0))
    listener.listen(1)
    client = await world.connect(listener)
    server = await world.accept(listener)
    free = await world.fill(client) if name == "SO_RCVBUF" else await world.fill(small(client))
    other = await world.pair()
    assert free < await world.fill(other[0])
    await receive_exactly(server, free)


@parity
async def test_send_when_both_buffers_are_small_then_kilobytes_fit(world: World) -> None:
    """No more than a few times their sizes."""
    listener = small(world.socket(), "SO_RCVBUF")
    await listener.bind(("127.0.0.1", 0))
    listener.listen(1)
    client = small(await world.connect(listener))
    await world.accept(listener)
    assert 4_000 <= await world.fill(client, bytes(1000)) <= 100_000


@parity
async def test_send_when_one_direction_is_full_then_the_other_is_not(world: World) -> None:
    """Streams do not share their room."""
    client, server = await world.pair()
    await world.fill(small(client))
    await server.send(b"free")
    assert await receive_exactly(client, 4) == b"free"


@parity
async def test_send_when_one_connection_is_full_then_others_are_not(world: World) -> None:
    """Nor do connections."""
    client, _ = await world.pair()
    await world.fill(small(client))
    other, server = await world.pair()
    await other.send(b"free")
    assert await receive_exactly(server, 4) == b"free"


@parity
async def test_send_when_nobody_has_accepted_then_it_is_bounded_too(world: World) -> None:
    """What waits in the backlog has buffers as well."""
    listener = await world.listener()
    client = await world.connect(listener)
    total = await world.fill(client)
    server = await world.accept(listener)
    assert await receive_exactly(server, total) == bytes(total)


@parity
async def test_recv_when_it_is_slow_then_nothing_is_lost(world: World) -> None:
    """A sender that is always faster."""
    client, server = await world.pair()
    small(client)
    data = bytes(number % 251 for number in range(200_000))
    got = bytearray()

    async def send() -> None:
        rest = memoryview(data)
        while rest:
            rest = rest[await client.send(rest) :]

    async with background(send):
        while len(got) < len(data):
            got += await server.recv(997)
    assert got == data
