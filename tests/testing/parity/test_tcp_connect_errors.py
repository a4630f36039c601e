"""TCP: how a connection does not come to be."""

from __future__ import annotations

import errno
import socket
from typing import Any

import pytest
import trio

from .kit import fails_with, refusing_address
from .worlds import LOCALHOST, World, parity


@parity
async def test_connect_when_nobody_listens_then_refused(world: World) -> None:
    """A bound socket is not a listening one."""
    client = world.socket()
    with pytest.raises(ConnectionRefusedError) as caught:
        await client.connect(await refusing_address(world))
    assert caught.value.errno == errno.ECONNREFUSED


@parity
async def test_connect_when_the_port_is_zero_then_refused(world: World) -> None:
    """Nobody can listen there."""
    with fails_with(errno.ECONNREFUSED):
        await world.socket().connect((LOCALHOST, 0))


@parity
async def test_connect_when_the_listener_was_closed_then_refused(world: World) -> None:
    """From that moment on."""
    listener = await world.listener()
    address = listener.getsockname()
    listener.close()
    with fails_with(errno.ECONNREFUSED):
        await world.socket().connect(address)


@parity
async def test_connect_when_the_listener_is_at_another_address_then_refused(world: World) -> None:
    """The port alone is not enough."""
    listener = await world.listener()
    with fails_with(errno.ECONNREFUSED):
        await world.socket().connect(("127.0.0.2", listener.getsockname()[1]))


@parity
async def test_connect_when_a_datagram_socket_has_the_port_then_refused(world: World) -> None:
    """TCP and UDP have ports of their own."""
    receiver = await world.datagrams()
    with fails_with(errno.ECONNREFUSED):
        await world.socket().connect(receiver.getsockname())


@parity
async def test_connect_when_refused_then_the_socket_can_try_again(world: World) -> None:
    """As Linux has it, after one error more, which ends the first try; other systems want a new socket."""
    client = world.socket()
    with fails_with(errno.ECONNREFUSED):
        await client.connect(await refusing_address(world))
    assert client.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == 0
    with fails_with(errno.ENOTCONN):
        client.getpeername()
    listener = await world.listener()
    with fails_with(errno.ECONNABORTED):
        await client.connect(listener.getsockname())
    await client.connect(listener.getsockname())
    assert client.getpeername() == listener.getsockname()


@parity
async def test_connect_when_connected_then_eisconn(world: World) -> None:
    """But for the first time: to Linux that is how one asks whether the connection is there."""
    listener = await world.listener()
    client = await world.connect(listener)
    await client.connect(listener.getsockname())
    for address in [listener.getsockname(), (await world.listener()).getsockname()]:
        with fails_with(errno.EISCONN):
            await client.connect(address)


@parity
async def test_connect_when_accepted_then_eisconn(world: World) -> None:
    """The server's end is connected, too."""
    _, server = await world.pair()
    with fails_with(errno.EISCONN):
        await server.connect((await world.listener()).getsockname())


@parity
async def test_connect_when_listening_then_eisconn(world: World) -> None:
    """A listening socket stays one."""
    listener = await world.listener()
    with fails_with(errno.EISCONN):
        await listener.connect((await world.listener()).getsockname())


@parity
async def test_connect_when_bound_to_loopback_then_the_rest_of_the_world_is_einval(world: World) -> None:
    """No route begins there."""
    client = await world.bound()
    with fails_with(errno.EINVAL):
        await client.connect(("198.51.100.1", 80))


@pytest.mark.parametrize(
    ("address", "error"),
    [
        ("localhost", ValueError),
        (b"127.0.0.1", ValueError),
        ((LOCALHOST,), ValueError),
        ((LOCALHOST, 1, 0), ValueError),
        ([LOCALHOST, 1], ValueError),
        ((LOCALHOST, 65536), OverflowError),
        ((LOCALHOST, -1), OverflowError),
        ((LOCALHOST, 1.5), OSError),
        (("::1", 1), socket.gaierror),
        ((LOCALHOST, "no such service"), socket.gaierror),
    ],
)
@parity
async def test_connect_when_the_address_is_wrong_then_the_error_is_the_same(
    world: World, address: Any, error: type[Exception]
) -> None:
    """And the socket goes on as if nothing had been asked."""
    client = world.socket()
    with pytest.raises(error):
        await client.connect(address)
    await client.connect((await world.listener()).getsockname())


@parity
async def test_connect_when_the_service_is_a_number_in_text_then_it_is_taken(world: World) -> None:
    """The resolver reads it."""
    listener = await world.listener()
    client = world.socket()
    await client.connect((LOCALHOST, str(listener.getsockname()[1])))
    assert client.getpeername() == listener.getsockname()


@pytest.mark.parametrize("family", [socket.AF_INET, socket.AF_INET6])
@parity
async def test_socket_when_the_type_does_not_exist_then_an_error(world: World, family: int) -> None:
    """There are no sequenced packets over IP."""
    with fails_with(errno.ESOCKTNOSUPPORT, errno.EPROTONOSUPPORT):
        trio.socket.socket(family, socket.SOCK_SEQPACKET).close()
