"""TCP: connections that wait to be accepted."""

from __future__ import annotations

import errno

import pytest

from .kit import abort, fails_with
from .worlds import World, background, parity


@pytest.mark.parametrize(("backlog", "room"), [(0, 1), (1, 2), (3, 4)])
@parity
async def test_connect_when_the_backlog_is_full_then_it_waits(world: World, backlog: int, room: int) -> None:
    """Linux has room for one more than one asks for."""
    listener = await world.listener(backlog=backlog)
    for _ in range(room):
        await world.connect(listener)
    extra = world.socket()
    assert await world.is_stuck(extra.connect, listener.getsockname())


@parity
async def test_connect_when_the_backlog_has_room_again_then_it_succeeds(world: World) -> None:
    """At the next try of the handshake: a second later."""
    listener = await world.listener(backlog=0)
    first, second = await world.connect(listener), world.socket()
    names = [first.getsockname()]

    async def connect() -> None:
        await second.connect(listener.getsockname())
        names.append(second.getsockname())

    async with background(connect):
        await world.quiet()
        assert len(names) == 1
        assert (await world.accept(listener)).getpeername() == names[0]
    assert (await world.accept(listener)).getpeername() == names[1]


@parity
async def test_connect_when_the_listener_closes_while_the_backlog_is_full_then_refused(world: World) -> None:
    """The next try of the handshake finds nobody."""
    listener = await world.listener(backlog=0)
    await world.connect(listener)
    late = world.socket()

    async def connect() -> None:
        with fails_with(errno.ECONNREFUSED):
            await late.connect(listener.getsockname())

    async with background(connect):
        await world.quiet()
        listener.close()


@parity
async def test_listen_when_called_again_then_the_backlog_changes(world: World) -> None:
    """And what is in it stays."""
    listener = await world.listener(backlog=0)
    clients = [await world.connect(listener)]
    listener.listen(2)
    clients += [await world.connect(listener) for _ in range(2)]
    assert await world.is_stuck(world.socket().connect, listener.getsockname())
    for client in clients:
        assert (await world.accept(listener)).getpeername() == client.getsockname()


@parity
async def test_listen_when_the_backlog_is_negative_then_it_is_zero(world: World) -> None:
    """Python sees to it."""
    listener = await world.listener(backlog=-1)
    await world.connect(listener)
    assert await world.is_stuck(world.socket().connect, listener.getsockname())


@parity
async def test_close_when_connections_wait_for_accept_then_they_are_reset(world: World) -> None:
    """Nobody will ever serve them."""
    listener = await world.listener()
    clients = [await world.connect(listener) for _ in range(3)]
    listener.close()
    for client in clients:
        with fails_with(errno.ECONNRESET):
            await client.recv(1)


@parity
async def test_accept_when_the_client_has_closed_then_the_end_is_received(world: World) -> None:
    """The connection is accepted all the same."""
    listener = await world.listener()
    client = await world.connect(listener)
    name = client.getsockname()
    client.close()
    server = await world.accept(listener)
    assert server.getpeername() == name
    assert await server.recv(1) == b""


@parity
async def test_accept_when_the_client_has_reset_then_the_error_comes_on_the_socket(world: World) -> None:
    """Linux does not raise ECONNABORTED from accept, as other systems do."""
    listener = await world.listener()
    client = await world.connect(listener)
    abort(client)
    await world.quiet()
    server = await world.accept(listener)
    with fails_with(errno.ECONNRESET):
        await server.recv(1)
