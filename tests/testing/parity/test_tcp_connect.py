"""TCP: how a connection comes to be."""

from __future__ import annotations

import socket

import pytest
import trio

from .kit import receive_exactly
from .worlds import LOCALHOST, World, background, parity


@parity
async def test_connect_when_a_socket_listens_then_bytes_go_both_ways(world: World) -> None:
    """The least that a network does."""
    client, server = await world.pair()
    assert await client.send(b"question") == 8
    assert await receive_exactly(server, 8) == b"question"
    assert await server.send(b"answer") == 6
    assert await receive_exactly(client, 6) == b"answer"


@parity
async def test_connect_when_nobody_accepts_yet_then_it_succeeds(world: World) -> None:
    """The handshake is the listening socket's, not the server program's."""
    listener = await world.listener()
    client = await world.connect(listener)
    assert client.getpeername() == listener.getsockname()


@parity
async def test_connect_when_nobody_accepts_yet_then_what_is_sent_waits_for_the_server(world: World) -> None:
    """And so does the end of it."""
    listener = await world.listener()
    client = await world.connect(listener)
    await client.send(b"early")
    client.close()
    server = await world.accept(listener)
    assert await receive_exactly(server, 5) == b"early"
    assert await server.recv(1) == b""


@parity
async def test_accept_when_nobody_connects_then_it_waits(world: World) -> None:
    """It is the first client that wakes it."""
    listener = await world.listener()
    assert await world.is_stuck(listener.accept)

    async def accept() -> None:
        server = await world.accept(listener)
        await server.send(b"hello")

    async with background(accept):
        client = await world.connect(listener)
        assert await receive_exactly(client, 5) == b"hello"


@parity
async def test_accept_when_many_have_connected_then_they_come_in_order(world: World) -> None:
    """First come, first served."""
    listener = await world.listener()
    clients = [await world.connect(listener) for _ in range(8)]
    names = [(await world.accept(listener)).getpeername() for _ in clients]
    assert names == [client.getsockname() for client in clients]


@parity
async def test_accept_when_a_client_has_connected_then_its_address_comes_along(world: World) -> None:
    """It is the name of the peer."""
    listener = await world.listener()
    client = await world.connect(listener)
    server, address = await listener.accept()
    world.keep(server)
    assert address == server.getpeername() == client.getsockname()


@parity
async def test_connect_when_the_socket_is_bound_then_the_connection_comes_from_there(world: World) -> None:
    """A client may choose its own address."""
    listener = await world.listener()
    client = await world.bound()
    name = client.getsockname()
    await client.connect(listener.getsockname())
    server = await world.accept(listener)
    assert client.getsockname() == server.getpeername() == name


@parity
async def test_connect_when_given_a_name_then_it_is_resolved(world: World) -> None:
    """As trio's sockets do it, unlike those of the standard library under asyncio."""
    listener = await world.listener()
    client = world.socket()
    await client.connect(("localhost", listener.getsockname()[1]))
    assert client.getpeername() == listener.getsockname()


@pytest.mark.parametrize("host", ["", "0.0.0.0"])
@parity
async def test_connect_when_the_address_is_the_wildcard_then_it_is_this_host(world: World, host: str) -> None:
    """RFC 1122 lets it mean "this host", and Linux takes it so."""
    listener = await world.listener()
    client = world.socket()
    await client.connect((host, listener.getsockname()[1]))
    assert client.getpeername() == listener.getsockname()


@parity
async def test_connect_when_the_address_is_another_loopback_address_then_it_is_reached(world: World) -> None:
    """All of 127.0.0.0/8 is this host; the client's end is named after the one that it dialled."""
    listener = await world.listener(("127.0.0.2", 0))
    client = await world.connect(listener)
    server = await world.accept(listener)
    assert server.getsockname()[0] == client.getpeername()[0] == "127.0.0.2"
    assert client.getsockname()[0] == server.getpeername()[0] == LOCALHOST


@parity
async def test_connect_when_the_listener_is_at_the_wildcard_then_each_end_has_a_real_address(
    world: World,
) -> None:
    """The accepted socket knows to which address the client connected."""
    listener = await world.listener(("0.0.0.0", 0))
    port = listener.getsockname()[1]
    assert listener.getsockname() == ("0.0.0.0", port)
    client = world.socket()
    await client.connect((LOCALHOST, port))
    server = await world.accept(listener)
    assert server.getsockname() == client.getpeername() == (LOCALHOST, port)


@parity
async def test_connect_when_many_do_then_no_two_have_the_same_name(world: World) -> None:
    """Each client gets an ephemeral port of its own."""
    listener = await world.listener()
    clients = [await world.connect(listener) for _ in range(10)]
    assert len({client.getsockname() for client in clients}) == 10
    assert all(client.getsockname()[1] >= 1024 for client in clients)


@parity
async def test_connect_when_cancelled_then_the_socket_is_closed(world: World) -> None:
    """It could be connected or not; trio says that nobody may find out."""
    listener = await world.listener()
    client = world.socket()
    with trio.CancelScope() as scope:
        scope.cancel()
        await client.connect(listener.getsockname())
    assert scope.cancelled_caught
    assert client.fileno() == -1


@parity
async def test_connect_when_two_sockets_connect_to_each_other_by_turns_then_connections_are_separate(
    world: World,
) -> None:
    """A connection is two addresses, not one: what is sent on one is not received on the other."""
    listener = await world.listener()
    pairs = [(await world.connect(listener), await world.accept(listener)) for _ in range(3)]
    for number, (client, _) in enumerate(pairs):
        await client.send(b"%d" % number)
    for number, (_, server) in enumerate(pairs):
        assert await server.recv(10) == b"%d" % number


@parity
async def test_accept_when_a_client_has_connected_then_the_socket_is_of_the_same_kind(world: World) -> None:
    """It does not listen, and was not shut down."""
    _, server = await world.pair()
    assert (server.family, server.type, server.proto) == (socket.AF_INET, socket.SOCK_STREAM, 0)
    assert server.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN) == 0
    assert not server.did_shutdown_SHUT_WR


@parity
async def test_socket_when_new_then_it_has_the_wildcard_address(world: World) -> None:
    """And no peer."""
    assert world.socket().getsockname() == ("0.0.0.0", 0)
    sock = world.socket()
    assert (sock.family, sock.type, sock.proto) == (socket.AF_INET, socket.SOCK_STREAM, 0)
