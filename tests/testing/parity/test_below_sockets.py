"""What reaches below trio's sockets, to descriptors."""

from __future__ import annotations

import trio

from .worlds import World, background, parity


@parity
async def test_wait_readable_when_given_the_socket_then_until_there_is_something(world: World) -> None:
    """trio.lowlevel waits for descriptors of the system."""
    client, server = await world.pair()

    async def wait() -> None:
        await trio.lowlevel.wait_readable(server.fileno())
        assert await server.recv(1) == b"x"

    async with background(wait):
        await client.send(b"x")


@parity
async def test_socketpair_when_made_then_two_connected_streams(world: World) -> None:
    """trio makes them of the system's sockets always; there is nothing to simulate about them."""
    left, right = trio.socket.socketpair()
    world.keep(left)
    world.keep(right)
    await left.send(b"x")
    assert await right.recv(1) == b"x"
