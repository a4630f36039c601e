"""TCP: one half of a connection closes, then the other."""

from __future__ import annotations

import errno
import socket

import pytest

from .kit import fails_with, receive_all, receive_exactly, send_all
from .worlds import World, background, parity


@parity
async def test_shutdown_when_writing_ends_then_the_other_direction_goes_on(world: World) -> None:
    """As in a request that ends before its reply begins."""
    client, server = await world.pair()
    await client.send(b"request")
    client.shutdown(socket.SHUT_WR)
    assert await receive_all(server) == b"request"
    await send_all(server, b"reply")
    server.close()
    assert await receive_all(client) == b"reply"


@parity
async def test_shutdown_when_writing_ended_then_send_is_epipe(world: World) -> None:
    """Receiving is not."""
    client, server = await world.pair()
    client.shutdown(socket.SHUT_WR)
    for data in [b"more", b""]:
        with fails_with(errno.EPIPE):
            await client.send(data)
    assert not await world.is_stuck(client.wait_writable)
    await server.send(b"x")
    assert await client.recv(1) == b"x"


@pytest.mark.parametrize(
    ("how", "expected"), [(socket.SHUT_RD, False), (socket.SHUT_WR, True), (socket.SHUT_RDWR, True)]
)
@parity
async def test_shutdown_when_called_then_trio_remembers_the_write_half(
    world: World, how: int, expected: bool
) -> None:
    """As an attribute of the socket."""
    client, _ = await world.pair()
    assert not client.did_shutdown_SHUT_WR
    client.shutdown(how)
    assert client.did_shutdown_SHUT_WR is expected


@parity
async def test_shutdown_when_called_twice_then_nothing_more_happens(world: World) -> None:
    """As long as the other half is open."""
    client, server = await world.pair()
    client.shutdown(socket.SHUT_WR)
    client.shutdown(socket.SHUT_WR)
    assert await server.recv(1) == b""
    client.shutdown(socket.SHUT_WR)


@parity
async def test_shutdown_when_the_connection_is_over_then_enotconn(world: World) -> None:
    """Both halves are closed and acknowledged."""
    client, server = await world.pair()
    for first, second in [(client, server), (server, client)]:
        first.shutdown(socket.SHUT_WR)
        assert await second.recv(1) == b""
    await world.quiet()
    for sock in [client, server]:
        with fails_with(errno.ENOTCONN):
            sock.shutdown(socket.SHUT_WR)


@pytest.mark.parametrize("how", [socket.SHUT_RD, socket.SHUT_WR, socket.SHUT_RDWR])
@parity
async def test_shutdown_when_not_connected_then_enotconn(world: World, how: int) -> None:
    """New or bound."""
    for sock in [world.socket(), await world.bound()]:
        with fails_with(errno.ENOTCONN):
            sock.shutdown(how)


@parity
async def test_shutdown_when_told_nonsense_then_einval(world: World) -> None:
    """There are three ways."""
    client, _ = await world.pair()
    with fails_with(errno.EINVAL):
        client.shutdown(3)


@parity
async def test_shutdown_when_reading_ends_then_recv_ends_at_once(world: World) -> None:
    """A task that waits is woken."""
    client, server = await world.pair()

    async def receive() -> None:
        assert await client.recv(1) == b""

    async with background(receive):
        client.shutdown(socket.SHUT_RD)
    assert await client.recv(1) == b""
    await client.send(b"x")
    assert await server.recv(1) == b"x"


@parity
async def test_shutdown_when_reading_ends_then_what_has_come_is_still_read(world: World) -> None:
    """And so is what comes later: Linux tells the peer nothing."""
    client, server = await world.pair()
    await server.send(b"before")
    await world.settle(client.is_readable)
    client.shutdown(socket.SHUT_RD)
    assert await client.recv(10) == b"before"
    assert await client.recv(10) == b""
    await server.send(b"after")
    await world.quiet()
    assert await client.recv(10) == b"after"


@parity
async def test_shutdown_when_both_halves_end_then_the_peer_reads_the_end(world: World) -> None:
    """And a waiting task here is woken."""
    client, server = await world.pair()

    async def receive() -> None:
        assert await client.recv(1) == b""

    async with background(receive):
        client.shutdown(socket.SHUT_RDWR)
    assert await server.recv(1) == b""
    with fails_with(errno.EPIPE):
        await client.send(b"x")


@parity
async def test_close_when_data_are_on_their_way_then_they_arrive_before_the_end(world: World) -> None:
    """Closing loses nothing that was sent."""
    client, server = await world.pair()
    await client.send(bytes(5000))
    client.close()
    await world.quiet()
    assert await receive_all(server) == bytes(5000)


@parity
async def test_close_when_much_was_sent_then_it_all_arrives_before_the_end(world: World) -> None:
    """More than the receiver has room for: it is sent after the close."""
    client, server = await world.pair()
    total = await world.fill(client)
    client.close()
    assert len(await receive_all(server)) == total


@parity
async def test_shutdown_when_much_was_sent_then_it_all_arrives_before_the_end(world: World) -> None:
    """The end waits for its turn."""
    client, server = await world.pair()
    total = await world.fill(client)
    client.shutdown(socket.SHUT_WR)
    assert len(await receive_all(server)) == total
    await server.send(b"thanks")
    assert await receive_exactly(client, 6) == b"thanks"


@parity
async def test_shutdown_when_both_ends_do_then_both_read_the_end(world: World) -> None:
    """At the same time."""
    client, server = await world.pair()
    client.shutdown(socket.SHUT_WR)
    server.shutdown(socket.SHUT_WR)
    assert await client.recv(1) == b""
    assert await server.recv(1) == b""


@parity
async def test_send_when_the_peer_has_half_closed_then_it_goes_on(world: World) -> None:
    """For as long as one likes."""
    client, server = await world.pair()
    client.shutdown(socket.SHUT_WR)
    assert await server.recv(1) == b""
    for _ in range(5):
        await server.send(b"chunk")
        assert await receive_exactly(client, 5) == b"chunk"


@parity
async def test_is_readable_when_the_peer_has_half_closed_then_true(world: World) -> None:
    """The end can be read."""
    client, server = await world.pair()
    client.shutdown(socket.SHUT_WR)
    await world.settle(server.is_readable)
    assert not client.is_readable()
