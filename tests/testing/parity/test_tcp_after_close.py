"""TCP: what becomes of data for which there is nobody any more."""

from __future__ import annotations

import errno
import socket

from .kit import abort, fails_with, receive_exactly
from .worlds import World, parity


@parity
async def test_recv_when_reset_after_data_then_the_data_come_first(world: World) -> None:
    """What has arrived is not taken away by the reset."""
    client, server = await world.pair()
    await server.send(b"last words")
    await world.settle(client.is_readable)
    abort(server)
    await world.quiet()
    assert await receive_exactly(client, 10) == b"last words"
    with fails_with(errno.ECONNRESET):
        await client.recv(1)


@parity
async def test_recv_when_the_reset_was_reported_then_the_end(world: World) -> None:
    """An error is reported once; then there is simply nothing more."""
    client, server = await world.pair()
    abort(server)
    with fails_with(errno.ECONNRESET):
        await client.recv(1)
    for _ in range(2):
        assert await client.recv(1) == b""
    with fails_with(errno.EPIPE):
        await client.send(b"x")


@parity
async def test_send_when_reset_then_econnreset_and_then_epipe(world: World) -> None:
    """Whoever asks first gets the error."""
    client, server = await world.pair()
    abort(server)
    await world.settle(client.is_readable)
    with fails_with(errno.ECONNRESET):
        await client.send(b"x")
    with fails_with(errno.EPIPE):
        await client.send(b"x")
    assert await client.recv(1) == b""


@parity
async def test_send_when_the_peer_has_closed_then_first_it_succeeds(world: World) -> None:
    """Only the peer's answer says that nobody reads; then the pipe is broken."""
    client, server = await world.pair()
    server.close()
    assert await client.recv(1) == b""
    assert await client.send(b"first") == 5
    await world.quiet()
    with fails_with(errno.EPIPE):
        await client.send(b"second")
    assert await client.recv(1) == b""


@parity
async def test_send_when_the_peer_closed_and_nobody_read_the_end_then_the_same(world: World) -> None:
    """The end has arrived, read or not."""
    client, server = await world.pair()
    server.close()
    await world.settle(client.is_readable)
    assert await client.send(b"first") == 5
    await world.quiet()
    with fails_with(errno.EPIPE):
        await client.send(b"second")


@parity
async def test_reply_when_the_half_closed_client_has_gone_then_econnreset(world: World) -> None:
    """First the client closes its half, then all."""
    client, server = await world.pair()
    await client.send(b"request")
    client.shutdown(socket.SHUT_WR)
    assert await receive_exactly(server, 7) == b"request"
    assert await server.recv(1) == b""
    client.close()
    assert await server.send(b"reply") == 5
    await world.quiet()
    with fails_with(errno.EPIPE):
        await server.send(b"more")


@parity
async def test_data_when_they_arrive_after_close_then_they_are_answered_by_a_reset(world: World) -> None:
    """The end was read by nobody; so is the rest."""
    client, server = await world.pair()
    server.close()
    await client.send(b"x")
    await world.quiet()
    assert client.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == errno.EPIPE
