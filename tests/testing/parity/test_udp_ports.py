"""UDP: who gets what is sent to a port."""

from __future__ import annotations

import errno
import socket

import pytest

from .kit import fails_with
from .worlds import LOCALHOST, World, parity


@pytest.mark.parametrize(("host", "reached"), [("127.0.0.2", False), ("0.0.0.0", True), ("", True)])
@parity
async def test_bind_when_at_an_address_then_only_what_is_sent_there_arrives(
    world: World, host: str, reached: bool
) -> None:
    """The wildcard takes everything for its port."""
    receiver, sender = await world.datagrams((host, 0)), await world.datagrams()
    await sender.sendto(b"x", (LOCALHOST, receiver.getsockname()[1]))
    await world.quiet()
    assert receiver.is_readable() is reached


@parity
async def test_sendto_when_from_the_wildcard_then_the_reply_comes_from_the_address_asked(
    world: World,
) -> None:
    """On loopback the kernel's choice is 127.0.0.1, whatever address was asked."""
    receiver, sender = await world.datagrams(("0.0.0.0", 0)), await world.datagrams()
    port = receiver.getsockname()[1]
    await sender.sendto(b"x", ("127.0.0.2", port))
    _, address = await receiver.recvfrom(1)
    await receiver.sendto(b"y", address)
    assert await sender.recvfrom(1) == (b"y", (LOCALHOST, port))


@parity
async def test_bind_when_the_port_is_taken_then_eaddrinuse(world: World) -> None:
    """A port belongs to one socket, at the wildcard as well, but for each address there is one."""
    owner = await world.datagrams()
    with fails_with(errno.EADDRINUSE):
        await world.datagrams(owner.getsockname())
    port = owner.getsockname()[1]
    with fails_with(errno.EADDRINUSE):
        await world.datagrams(("0.0.0.0", port))
    assert (await world.datagrams(("127.0.0.2", port))).getsockname()[1] == port


@parity
async def test_bind_when_both_reuse_addresses_then_the_later_gets_the_datagrams(world: World) -> None:
    """Two sockets on one port: UDP has no listening state that would forbid it."""
    first, second, sender = (world.socket(kind=socket.SOCK_DGRAM) for _ in range(3))
    for sock in [first, second]:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    await first.bind((LOCALHOST, 0))
    await second.bind(first.getsockname())
    await sender.sendto(b"x", first.getsockname())
    await world.quiet()
    assert [first.is_readable(), second.is_readable()] == [False, True]


@parity
async def test_bind_when_one_of_two_is_more_precise_then_it_gets_the_datagrams(world: World) -> None:
    """An address goes before the wildcard, whoever came first."""
    precise, wildcard, sender = (world.socket(kind=socket.SOCK_DGRAM) for _ in range(3))
    for sock in [precise, wildcard]:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    await precise.bind((LOCALHOST, 0))
    port = precise.getsockname()[1]
    await wildcard.bind(("0.0.0.0", port))
    await sender.sendto(b"x", (LOCALHOST, port))
    await sender.sendto(b"y", ("127.0.0.3", port))
    assert await precise.recv(1) == b"x"
    assert await wildcard.recv(1) == b"y"


@parity
async def test_bind_when_both_reuse_ports_then_one_sender_always_comes_to_the_same(world: World) -> None:
    """Its address chooses."""
    first, second, sender = (world.socket(kind=socket.SOCK_DGRAM) for _ in range(3))
    for sock in [first, second]:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    await first.bind((LOCALHOST, 0))
    await second.bind(first.getsockname())
    for _ in range(10):
        await sender.sendto(b"x", first.getsockname())
    await world.quiet()
    assert first.is_readable() != second.is_readable()
    chosen = first if first.is_readable() else second
    assert [await chosen.recv(1) for _ in range(10)] == [b"x"] * 10


@parity
async def test_bind_when_the_socket_was_closed_then_the_port_is_free(world: World) -> None:
    """At once: there is no TIME_WAIT."""
    sock = await world.datagrams()
    address = sock.getsockname()
    sock.close()
    assert (await world.datagrams(address)).getsockname() == address
