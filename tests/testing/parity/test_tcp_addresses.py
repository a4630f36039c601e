"""TCP: what an address may look like, and what a socket's names are."""

from __future__ import annotations

import errno
import socket
from typing import Any

import pytest

from .kit import abort, fails_with, receive_exactly
from .worlds import LOCALHOST, World, parity


@pytest.mark.parametrize("address", [("198.51.100.1", 0), ("192.0.2.200", 8000)])
@parity
async def test_bind_when_the_address_is_not_ours_then_eaddrnotavail(world: World, address: Any) -> None:
    """Only a host's own addresses can be bound."""
    with fails_with(errno.EADDRNOTAVAIL):
        await world.bound(address)


@pytest.mark.parametrize("host", ["", "0.0.0.0"])
@parity
async def test_bind_when_the_host_is_empty_then_it_is_the_wildcard(world: World, host: str) -> None:
    """As in the standard library."""
    sock = await world.bound((host, 0))
    assert sock.getsockname()[0] == "0.0.0.0"


@parity
async def test_bind_when_given_a_name_then_it_is_resolved(world: World) -> None:
    """As connect does."""
    sock = await world.bound(("localhost", 0))
    assert sock.getsockname()[0] == LOCALHOST


@pytest.mark.parametrize(
    ("address", "error"),
    [
        ("127.0.0.1:80", ValueError),
        ((LOCALHOST,), ValueError),
        ((LOCALHOST, 80, 0), ValueError),
        ((LOCALHOST, 65536), OverflowError),
        ((LOCALHOST, -1), OverflowError),
        (("::1", 0), socket.gaierror),
        ((LOCALHOST, "no such service"), socket.gaierror),
    ],
)
@parity
async def test_bind_when_the_address_is_wrong_then_the_error_is_the_same(
    world: World, address: Any, error: type[Exception]
) -> None:
    """And the socket is not bound."""
    sock = world.socket()
    with pytest.raises(error):
        await sock.bind(address)
    assert sock.getsockname() == ("0.0.0.0", 0)


@parity
async def test_listen_when_not_bound_then_a_port_is_chosen(world: World) -> None:
    """At the wildcard address."""
    sock = world.socket()
    sock.listen(1)
    host, port = sock.getsockname()
    assert host == "0.0.0.0"
    assert port >= 1024
    client = world.socket()
    await client.connect((LOCALHOST, port))


@parity
async def test_getpeername_when_not_connected_then_enotconn(world: World) -> None:
    """New, bound or listening."""
    for sock in [world.socket(), await world.bound(), await world.listener()]:
        with fails_with(errno.ENOTCONN):
            sock.getpeername()


@parity
async def test_names_when_connected_then_each_end_mirrors_the_other(world: World) -> None:
    """Names are plain tuples of text and number."""
    client, server = await world.pair()
    assert client.getsockname() == server.getpeername()
    assert client.getpeername() == server.getsockname()
    assert isinstance(client.getsockname(), tuple)
    assert [type(part) for part in client.getsockname()] == [str, int]


@parity
async def test_getpeername_when_the_peer_has_closed_then_it_is_still_known(world: World) -> None:
    """This half of the connection is open."""
    client, server = await world.pair()
    name = server.getsockname()
    server.close()
    assert await client.recv(1) == b""
    assert client.getpeername() == name


@parity
async def test_getpeername_when_both_halves_are_closed_then_enotconn(world: World) -> None:
    """The connection is over; the socket's own name stays."""
    client, server = await world.pair()
    name = server.getsockname()
    client.shutdown(socket.SHUT_WR)
    assert await server.recv(1) == b""
    server.shutdown(socket.SHUT_WR)
    assert await client.recv(1) == b""
    await world.quiet()
    with fails_with(errno.ENOTCONN):
        server.getpeername()
    assert server.getsockname() == name


@parity
async def test_getpeername_when_reset_then_enotconn(world: World) -> None:
    """Programs that log the peer's name when something failed are in for a surprise."""
    client, server = await world.pair()
    abort(server)
    await world.settle(client.is_readable)
    with fails_with(errno.ENOTCONN):
        client.getpeername()


@parity
async def test_connect_when_the_bound_address_is_shared_then_connections_differ_by_peer(world: World) -> None:
    """One local port is enough for connections to two servers."""
    listeners = [await world.listener() for _ in range(2)]
    clients = []
    name: Any = (LOCALHOST, 0)
    for listener in listeners:
        client = world.socket()
        client.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        await client.bind(name)
        name = client.getsockname()
        await client.connect(listener.getsockname())
        clients.append(client)
    for client, listener in zip(clients, listeners, strict=True):
        server = await world.accept(listener)
        assert server.getpeername() == name
        expected = b"%05d" % listener.getsockname()[1]
        await server.send(expected)
        assert await receive_exactly(client, 5) == expected
