"""TCP: connections that end by a reset."""

from __future__ import annotations

import errno
import socket

import pytest

from .kit import abort, fails_with, linger_zero, receive_exactly
from .worlds import World, background, parity


@parity
async def test_close_when_data_are_unread_then_the_peer_gets_econnreset(world: World) -> None:
    """RFC 2525, 2.17: who closes without reading has lost data, and says so."""
    client, server = await world.pair()
    await client.send(b"never read")
    await world.settle(server.is_readable)
    server.close()
    with fails_with(errno.ECONNRESET):
        await client.recv(1)


@parity
async def test_close_when_part_is_unread_then_the_peer_gets_econnreset(world: World) -> None:
    """One byte is enough."""
    client, server = await world.pair()
    await client.send(b"ab")
    await world.quiet()
    assert await server.recv(1) == b"a"
    server.close()
    with fails_with(errno.ECONNRESET):
        await client.recv(1)


@parity
async def test_close_when_all_was_peeked_at_only_then_the_peer_gets_econnreset(world: World) -> None:
    """To look is not to read."""
    client, server = await world.pair()
    await client.send(b"a")
    assert await server.recv(1, socket.MSG_PEEK) == b"a"
    server.close()
    with fails_with(errno.ECONNRESET):
        await client.recv(1)


@parity
async def test_close_when_the_unread_is_only_the_end_then_no_reset(world: World) -> None:
    """There is nothing lost."""
    client, server = await world.pair()
    client.shutdown(socket.SHUT_WR)
    await world.settle(server.is_readable)
    server.close()
    assert await client.recv(1) == b""


@parity
async def test_linger_when_zero_then_close_resets(world: World) -> None:
    """See SO_LINGER in socket(7)."""
    client, server = await world.pair()
    abort(client)
    with fails_with(errno.ECONNRESET):
        await server.recv(1)


@parity
async def test_linger_when_zero_then_shutdown_does_not_reset(world: World) -> None:
    """It is about close."""
    client, server = await world.pair()
    linger_zero(client)
    client.shutdown(socket.SHUT_WR)
    assert await server.recv(1) == b""
    await server.send(b"x")
    assert await client.recv(1) == b"x"


@pytest.mark.parametrize("unread", [False, True])
@parity
async def test_recv_when_it_waits_and_a_reset_comes_then_it_is_woken(world: World, unread: bool) -> None:
    """By close with unread data or by SO_LINGER."""
    client, server = await world.pair()

    async def receive() -> None:
        with fails_with(errno.ECONNRESET):
            await client.recv(1)

    async with background(receive):
        if unread:
            await client.send(b"x")
            await world.settle(server.is_readable)
            server.close()
        else:
            abort(server)


@parity
async def test_send_when_it_waits_and_a_reset_comes_then_it_is_woken(world: World) -> None:
    """The peer closed without reading."""
    client, server = await world.pair()
    await world.fill(client)

    async def send() -> None:
        with fails_with(errno.ECONNRESET):
            while True:  # the kernel may find a little more room
                await client.send(bytes(10_000))

    async with background(send):
        server.close()
    with fails_with(errno.EPIPE):
        await client.send(b"x")


@parity
async def test_reset_when_it_comes_then_the_socket_is_readable_and_writable(world: World) -> None:
    """Both would report it."""
    client, server = await world.pair()
    await world.fill(client)
    abort(server)
    await world.settle(client.is_readable)
    assert not await world.is_stuck(client.wait_writable)


@parity
async def test_reset_when_one_connection_has_it_then_others_and_the_listener_do_not(world: World) -> None:
    """A reset is about two addresses."""
    listener = await world.listener()
    pairs = [(await world.connect(listener), await world.accept(listener)) for _ in range(2)]
    abort(pairs[0][1])
    with fails_with(errno.ECONNRESET):
        await pairs[0][0].recv(1)
    client, server = pairs[1]
    await client.send(b"fine")
    assert await receive_exactly(server, 4) == b"fine"
    assert (await world.connect(listener)).getpeername() == listener.getsockname()


@parity
async def test_bind_when_the_last_connection_was_reset_then_the_port_is_free(world: World) -> None:
    """A reset leaves nothing in TIME_WAIT."""
    listener = await world.listener()
    address = listener.getsockname()
    client, server = await world.connect(listener), await world.accept(listener)
    listener.close()
    abort(server)
    with fails_with(errno.ECONNRESET):
        await client.recv(1)
    client.close()
    assert (await world.bound(address)).getsockname() == address
