"""UDP: connected sockets, and refused ports."""

from __future__ import annotations

import errno
import socket

import pytest

from .kit import fails_with, vanished_address
from .worlds import LOCALHOST, World, background, parity


@parity
async def test_connect_when_done_then_both_names_are_known(world: World) -> None:
    """Nothing is sent; the socket gets an address, and so does its peer."""
    receiver, sender = await world.datagrams(), world.socket(kind=socket.SOCK_DGRAM)
    await sender.connect(receiver.getsockname())
    assert sender.getpeername() == receiver.getsockname()
    assert sender.getsockname()[0] == LOCALHOST
    assert not receiver.is_readable()


@parity
async def test_send_when_connected_then_to_the_peer(world: World) -> None:
    """By each way to send."""
    left, right = await world.datagram_pair()
    await left.send(b"one")
    await left.sendmsg([b"t", b"wo"])
    assert [await right.recv(10) for _ in range(2)] == [b"one", b"two"]


@parity
async def test_send_when_not_connected_then_edestaddrreq(world: World) -> None:
    """It needs an address."""
    sock = await world.datagrams()
    with fails_with(errno.EDESTADDRREQ):
        await sock.send(b"x")
    with fails_with(errno.EDESTADDRREQ):
        await sock.sendmsg([b"x"])


@parity
async def test_getpeername_when_not_connected_then_enotconn(world: World) -> None:
    """It has no peer."""
    with fails_with(errno.ENOTCONN):
        (await world.datagrams()).getpeername()


@parity
async def test_sendto_when_connected_then_another_address_may_be_given(world: World) -> None:
    """Linux allows it; other systems say EISCONN."""
    left, _ = await world.datagram_pair()
    other = await world.datagrams()
    await left.sendto(b"x", other.getsockname())
    assert await other.recvfrom(1) == (b"x", left.getsockname())


@parity
async def test_recv_when_connected_then_strangers_are_not_heard(world: World) -> None:
    """Only what comes from the peer."""
    left, right = await world.datagram_pair()
    stranger = await world.datagrams()
    await stranger.sendto(b"stranger", right.getsockname())
    await left.send(b"peer")
    assert await right.recvfrom(10) == (b"peer", left.getsockname())
    await world.quiet()
    assert not right.is_readable()


@parity
async def test_connect_when_done_again_then_the_peer_changes(world: World) -> None:
    """As often as one likes."""
    sender = world.socket(kind=socket.SOCK_DGRAM)
    for _ in range(3):
        receiver = await world.datagrams()
        await sender.connect(receiver.getsockname())
        await sender.send(b"x")
        assert await receiver.recv(1) == b"x"
        assert sender.getpeername() == receiver.getsockname()


@parity
async def test_connect_when_several_share_a_port_then_each_hears_its_peer(world: World) -> None:
    """The most precise socket gets the datagram."""
    server = world.socket(kind=socket.SOCK_DGRAM)
    server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    await server.bind((LOCALHOST, 0))
    client, other = await world.datagrams(), await world.datagrams()
    connected = world.socket(kind=socket.SOCK_DGRAM)
    connected.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    await connected.bind(server.getsockname())
    await connected.connect(client.getsockname())
    await client.sendto(b"known", server.getsockname())
    await other.sendto(b"unknown", server.getsockname())
    assert await connected.recv(10) == b"known"
    assert await server.recv(10) == b"unknown"


@pytest.mark.parametrize("sending", [False, True])
@parity
async def test_refused_when_connected_then_the_next_call_says_so(world: World, sending: bool) -> None:
    """The answer of the peer's host is an error on the socket, reported once."""
    sock = world.socket(kind=socket.SOCK_DGRAM)
    await sock.connect(await vanished_address(world))
    await sock.send(b"anybody?")
    await world.quiet()
    with fails_with(errno.ECONNREFUSED):
        await (sock.send(b"x") if sending else sock.recv(1))
    assert await world.is_stuck(sock.recv, 1)
    await sock.send(b"again")


@parity
async def test_refused_when_a_task_waits_then_it_is_woken(world: World) -> None:
    """It does not wait for a datagram that will never come."""
    sock = world.socket(kind=socket.SOCK_DGRAM)
    await sock.connect(await vanished_address(world))

    async def receive() -> None:
        with fails_with(errno.ECONNREFUSED):
            await sock.recv(1)

    async with background(receive):
        await sock.send(b"anybody?")


@parity
async def test_refused_when_reported_by_so_error_then_it_is_cleared(world: World) -> None:
    """So that it is reported once."""
    sock = world.socket(kind=socket.SOCK_DGRAM)
    await sock.connect(await vanished_address(world))
    await sock.send(b"anybody?")
    await world.settle(sock.is_readable)
    assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == errno.ECONNREFUSED
    assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == 0
    assert not sock.is_readable()


@parity
async def test_refused_when_the_peer_has_gone_then_it_counts_as_well(world: World) -> None:
    """It had a peer once."""
    left, right = await world.datagram_pair()
    right.close()
    await left.send(b"x")
    await world.quiet()
    with fails_with(errno.ECONNREFUSED):
        await left.send(b"y")


@parity
async def test_refused_when_the_peer_hears_only_another_then_refused(world: World) -> None:
    """A connected socket is not there for strangers, and nobody else is."""
    _, right = await world.datagram_pair()
    stranger = world.socket(kind=socket.SOCK_DGRAM)
    await stranger.connect(right.getsockname())
    await stranger.send(b"x")
    await world.quiet()
    with fails_with(errno.ECONNREFUSED):
        await stranger.send(b"y")


@parity
async def test_shutdown_when_the_read_half_then_datagrams_still_come(world: World) -> None:
    """Linux forbids nothing."""
    left, right = await world.datagram_pair()
    left.shutdown(socket.SHUT_RD)
    await right.send(b"x")
    assert await left.recv(1) == b"x"


@parity
async def test_shutdown_when_the_write_half_then_send_is_epipe(world: World) -> None:
    """Receiving goes on."""
    left, right = await world.datagram_pair()
    left.shutdown(socket.SHUT_WR)
    with fails_with(errno.EPIPE):
        await left.send(b"x")
    await right.send(b"y")
    assert await left.recv(1) == b"y"


@parity
async def test_shutdown_when_not_connected_then_enotconn(world: World) -> None:
    """There is nothing to end."""
    with fails_with(errno.ENOTCONN):
        (await world.datagrams()).shutdown(socket.SHUT_RDWR)
