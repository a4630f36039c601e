"""UDP: sockets that get their address late, or twice, or share it."""

from __future__ import annotations

import errno
import socket
from socket import SOCK_DGRAM

import pytest
import trio
import trio.testing

from .kit import fails_with, vanished_address
from .worlds import LOCALHOST, World, parity

IP_RECVERR = 11  # ip(7); Python's socket has it from 3.14 on


@parity
async def test_recvfrom_when_not_bound_then_it_waits(world: World) -> None:
    """Nobody knows where it is."""
    assert await world.is_stuck(world.socket(kind=SOCK_DGRAM).recvfrom, 1)


@pytest.mark.parametrize("connecting", [False, True])
@parity
async def test_bind_when_an_address_was_given_already_then_einval(world: World, connecting: bool) -> None:
    """By sending, or by connecting."""
    sock = world.socket(kind=SOCK_DGRAM)
    receiver = await world.datagrams()
    if connecting:
        await sock.connect(receiver.getsockname())
    else:
        await sock.sendto(b"x", receiver.getsockname())
    with fails_with(errno.EINVAL):
        await sock.bind((LOCALHOST, 0))


@parity
async def test_connect_when_bound_to_the_wildcard_then_the_address_is_chosen(world: World) -> None:
    """The one from which the peer is reached."""
    receiver, sender = await world.datagrams(), await world.datagrams(("0.0.0.0", 0))
    port = sender.getsockname()[1]
    await sender.connect(receiver.getsockname())
    assert sender.getsockname() == (LOCALHOST, port)


@parity
async def test_connect_when_datagrams_of_others_wait_then_they_are_still_received(world: World) -> None:
    """They came before."""
    receiver, early, peer = [await world.datagrams() for _ in range(3)]
    await early.sendto(b"early", receiver.getsockname())
    await world.settle(receiver.is_readable)
    await receiver.connect(peer.getsockname())
    await early.sendto(b"late", receiver.getsockname())
    await peer.sendto(b"peer", receiver.getsockname())
    assert [await receiver.recv(10), await receiver.recv(10)] == [b"early", b"peer"]


@parity
async def test_recvfrom_when_another_task_does_then_busy_resource_error(world: World) -> None:
    """As for streams."""
    sock = await world.datagrams()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(sock.recvfrom, 1)
        await trio.testing.wait_all_tasks_blocked()
        with pytest.raises(trio.BusyResourceError):
            await sock.recvfrom(1)
        nursery.cancel_scope.cancel()


@parity
async def test_dup_when_one_is_closed_then_the_other_has_the_port(world: World) -> None:
    """And the datagrams that wait."""
    sock, sender = await world.datagrams(), await world.datagrams()
    copy = world.keep(sock.dup())
    await sender.sendto(b"x", sock.getsockname())
    sock.close()
    assert await copy.recv(1) == b"x"
    with fails_with(errno.EADDRINUSE):
        await world.datagrams(copy.getsockname())


@parity
async def test_unused_bytes_when_the_port_passes_on_then_old_datagrams_do_not(world: World) -> None:
    """What was not read is gone with the socket."""
    sock, sender = await world.datagrams(), await world.datagrams()
    name = sock.getsockname()
    await sender.sendto(b"old", name)
    await world.settle(sock.is_readable)
    sock.close()
    again = await world.datagrams(name)
    await sender.sendto(b"new", name)
    assert await again.recv(10) == b"new"


@parity
async def test_is_readable_when_datagrams_come_then_until_they_are_read(world: World) -> None:
    """An empty one counts."""
    left, right = await world.datagram_pair()
    assert not right.is_readable()
    await left.send(b"")
    await world.settle(right.is_readable)
    assert await right.recv(1) == b""
    assert not right.is_readable()


@parity
async def test_sendto_when_its_own_buffer_is_reused_then_what_was_sent_does_not_change(world: World) -> None:
    """It was copied."""
    left, right = await world.datagram_pair()
    buffer = bytearray(b"before")
    await left.send(buffer)
    buffer[:] = b"after!"
    assert await right.recv(10) == b"before"


@parity
async def test_sendto_when_two_sockets_talk_then_neither_direction_minds_the_other(world: World) -> None:
    """Each has a queue of its own."""
    left, right = await world.datagram_pair()
    for number in range(20):
        await left.send(b"l%d" % number)
        await right.send(b"r%d" % number)
    assert [await left.recv(5) for _ in range(20)] == [b"r%d" % number for number in range(20)]
    assert [await right.recv(5) for _ in range(20)] == [b"l%d" % number for number in range(20)]


@parity
async def test_recvmsg_when_a_socket_has_the_type_of_service_then_nothing_comes_unasked(world: World) -> None:
    """Ancillary data are for those who ask for them."""
    left, right = await world.datagram_pair()
    left.setsockopt(socket.IPPROTO_IP, socket.IP_TOS, 0x10)
    await left.send(b"x")
    assert await right.recvmsg(10, 100) == (b"x", [], 0, left.getsockname())


@parity
async def test_refused_when_not_connected_but_asked_for_then_the_next_call_says_so(world: World) -> None:
    """IP_RECVERR of ip(7)."""
    sock = await world.datagrams()
    sock.setsockopt(socket.IPPROTO_IP, IP_RECVERR, 1)
    await sock.sendto(b"anybody?", await vanished_address(world))
    await world.quiet()
    with fails_with(errno.ECONNREFUSED):
        await sock.recvfrom(1)
