"""TCP: listening sockets."""

from __future__ import annotations

import errno
import socket

import pytest

from .kit import fails_with, receive_exactly
from .worlds import World, background, parity


@parity
async def test_listen_when_connected_then_einval(world: World) -> None:
    """A connection is no listener."""
    for sock in await world.pair():
        with fails_with(errno.EINVAL):
            sock.listen(1)


@parity
async def test_accept_when_not_listening_then_einval(world: World) -> None:
    """At once, without a wait."""
    for sock in [world.socket(), await world.bound(), *await world.pair()]:
        with fails_with(errno.EINVAL):
            await sock.accept()


@parity
async def test_recv_when_listening_then_enotconn(world: World) -> None:
    """There is nothing to receive from."""
    with fails_with(errno.ENOTCONN):
        await (await world.listener()).recv(1)


@parity
async def test_send_when_listening_then_epipe(world: World) -> None:
    """There is nobody to send to."""
    with fails_with(errno.EPIPE):
        await (await world.listener()).send(b"x")


@parity
async def test_listener_when_somebody_connects_then_it_is_readable(world: World) -> None:
    """Until the connection is accepted."""
    listener = await world.listener()
    assert not listener.is_readable()
    await world.connect(listener)
    await world.settle(listener.is_readable)
    await world.accept(listener)
    assert not listener.is_readable()


@parity
async def test_close_when_connections_were_accepted_then_they_live(world: World) -> None:
    """The listener is not needed any more."""
    listener = await world.listener()
    client, server = await world.connect(listener), await world.accept(listener)
    listener.close()
    await client.send(b"hello")
    assert await receive_exactly(server, 5) == b"hello"


@parity
async def test_accept_when_the_listener_has_options_then_the_connection_inherits_them(world: World) -> None:
    """Also those that nobody would set on a listener; see NOTES in accept(2)."""
    options = [(socket.IPPROTO_TCP, socket.TCP_NODELAY), (socket.SOL_SOCKET, socket.SO_KEEPALIVE)]
    listener = await world.listener()
    for level, option in options:
        listener.setsockopt(level, option, 1)
    client = await world.connect(listener)
    server = await world.accept(listener)
    for level, option in options:
        assert server.getsockopt(level, option)
        assert not client.getsockopt(level, option)


@pytest.mark.parametrize("how", [socket.SHUT_RD, socket.SHUT_RDWR])
@parity
async def test_shutdown_when_listening_then_it_listens_no_more(world: World, how: int) -> None:
    """A waiting accept fails; clients are refused."""
    listener = await world.listener()

    async def accept() -> None:
        with fails_with(errno.EINVAL):
            await listener.accept()

    async with background(accept):
        listener.shutdown(how)
    with fails_with(errno.ECONNREFUSED):
        await world.connect(listener)


@parity
async def test_shutdown_when_listening_then_the_write_half_means_nothing(world: World) -> None:
    """It is still listening."""
    listener = await world.listener()
    listener.shutdown(socket.SHUT_WR)
    await world.connect(listener)
    await world.accept(listener)
