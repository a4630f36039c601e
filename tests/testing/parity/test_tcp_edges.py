"""TCP: what few programs do on purpose, and many by accident."""

from __future__ import annotations

import errno
import socket

import pytest

from .kit import abort, fails_with, linger_zero, receive_exactly
from .worlds import World, background, parity


@parity
async def test_shutdown_when_a_task_sends_then_it_is_epipe(world: World) -> None:
    """It is woken; there will never be room for it."""
    client, _ = await world.pair()
    await world.fill(client)

    async def send() -> None:
        with fails_with(errno.EPIPE):
            while True:  # the kernel may find a little more room
                await client.send(bytes(10_000))

    async with background(send):
        client.shutdown(socket.SHUT_WR)


@parity
async def test_linger_when_the_listener_has_it_then_its_connections_have_it(world: World) -> None:
    """An option that is inherited, with consequences."""
    listener = await world.listener()
    linger_zero(listener)
    client = await world.connect(listener)
    (await world.accept(listener)).close()
    with fails_with(errno.ECONNRESET):
        await client.recv(1)


@parity
async def test_linger_when_positive_then_close_is_as_ever(world: World) -> None:
    """With nothing left to send there is nothing to wait for."""
    client, server = await world.pair()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\5\0\0\0")
    await client.send(b"x")
    await world.quiet()
    client.close()
    assert await receive_exactly(server, 1) == b"x"
    assert await server.recv(1) == b""


@parity
async def test_wait_writable_when_listening_then_for_ever(world: World) -> None:
    """A listener is never ready to send."""
    assert await world.is_stuck((await world.listener()).wait_writable)


@parity
async def test_close_when_half_closed_and_data_unread_then_the_peer_reads_the_end_first(world: World) -> None:
    """The end came before the reset; sending finds out about that."""
    client, server = await world.pair()
    await server.send(b"never read")
    await world.settle(client.is_readable)
    client.shutdown(socket.SHUT_WR)
    assert await server.recv(1) == b""
    client.close()
    await world.quiet()
    assert await server.recv(1) == b""
    with fails_with(errno.EPIPE):
        await server.send(b"x")


@parity
async def test_close_when_both_ends_close_at_once_then_nothing_is_left(world: World) -> None:
    """The listener's port can be used on, and the next connection is a new one."""
    listener = await world.listener()
    for number in range(5):
        client = await world.connect(listener)
        server = await world.accept(listener)
        await client.send(b"%d" % number)
        assert await server.recv(10) == b"%d" % number
        client.close()
        server.close()


@parity
async def test_accept_when_the_data_were_sent_before_a_reset_then_they_are_read_first(world: World) -> None:
    """What waited in the backlog is not lost."""
    listener = await world.listener()
    client = await world.connect(listener)
    await client.send(b"last words")
    await world.quiet()
    abort(client)
    await world.quiet()
    server = await world.accept(listener)
    assert await receive_exactly(server, 10) == b"last words"
    with fails_with(errno.ECONNRESET):
        await server.recv(1)


@parity
async def test_connect_when_a_socket_dials_itself_then_it_talks_to_itself(world: World) -> None:
    """A simultaneous open of one (RFC 9293, 3.5); it befalls who dials a free ephemeral port often."""
    sock = await world.bound()
    await sock.connect(sock.getsockname())
    assert sock.getpeername() == sock.getsockname()
    await sock.send(b"echo")
    assert await receive_exactly(sock, 4) == b"echo"


@pytest.mark.parametrize("size", [1, 1459, 1460, 1461, 65_535, 65_536, 100_000])
@parity
async def test_send_when_of_any_size_then_it_arrives_whole(world: World, size: int) -> None:
    """Around the limits of segments and windows, too."""
    client, server = await world.pair()
    data = bytes(number % 251 for number in range(size))

    async def send() -> None:
        rest = data
        while rest:
            rest = rest[await client.send(rest) :]

    async with background(send):
        assert await receive_exactly(server, size) == data
    await world.quiet()
    assert not server.is_readable()
