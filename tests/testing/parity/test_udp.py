"""UDP: datagrams, and who they are from."""

from __future__ import annotations

import socket

from .worlds import LOCALHOST, World, background, parity


@parity
async def test_sendto_when_somebody_is_bound_there_then_it_arrives_with_its_senders_name(
    world: World,
) -> None:
    """The least that a network does."""
    left, right = await world.datagrams(), await world.datagrams()
    assert await left.sendto(b"hello", right.getsockname()) == 5
    assert await right.recvfrom(100) == (b"hello", left.getsockname())


@parity
async def test_sendto_when_not_bound_then_a_port_is_chosen(world: World) -> None:
    """At the wildcard address; the receiver sees which one was meant."""
    receiver, sender = await world.datagrams(), world.socket(kind=socket.SOCK_DGRAM)
    assert sender.getsockname() == ("0.0.0.0", 0)
    await sender.sendto(b"x", receiver.getsockname())
    host, port = sender.getsockname()
    assert host == "0.0.0.0"
    assert port >= 1024
    assert await receiver.recvfrom(1) == (b"x", (LOCALHOST, port))
    await receiver.sendto(b"y", (LOCALHOST, port))
    assert await sender.recvfrom(1) == (b"y", receiver.getsockname())


@parity
async def test_recvfrom_when_there_is_nothing_then_it_waits(world: World) -> None:
    """For the first datagram."""
    left, right = await world.datagrams(), await world.datagrams()
    assert await world.is_stuck(right.recvfrom, 1)

    async def receive() -> None:
        assert await right.recvfrom(10) == (b"x", left.getsockname())

    async with background(receive):
        await left.sendto(b"x", right.getsockname())


@parity
async def test_recvfrom_when_many_were_sent_then_each_comes_alone_and_in_order(world: World) -> None:
    """Datagrams have boundaries."""
    left, right = await world.datagrams(), await world.datagrams()
    for number in range(50):
        await left.sendto(b"%d" % number, right.getsockname())
    assert [await right.recv(100) for _ in range(50)] == [b"%d" % number for number in range(50)]


@parity
async def test_sendto_when_several_do_then_each_is_named(world: World) -> None:
    """One socket serves them all."""
    receiver = await world.datagrams()
    senders = [await world.datagrams() for _ in range(5)]
    for sender in senders:
        await sender.sendto(b"x", receiver.getsockname())
    assert [(await receiver.recvfrom(1))[1] for _ in senders] == [one.getsockname() for one in senders]


@parity
async def test_sendto_when_empty_then_an_empty_datagram_arrives(world: World) -> None:
    """It is not the end of anything."""
    left, right = await world.datagrams(), await world.datagrams()
    assert await left.sendto(b"", right.getsockname()) == 0
    await left.sendto(b"next", right.getsockname())
    assert await right.recvfrom(10) == (b"", left.getsockname())
    assert await right.recvfrom(10) == (b"next", left.getsockname())


@parity
async def test_sendto_when_nobody_is_there_then_nobody_minds(world: World) -> None:
    """A socket that is not connected hears nothing of it."""
    gone = await world.datagrams()
    address = gone.getsockname()
    gone.close()
    sender, receiver = await world.datagrams(), await world.datagrams()
    await sender.sendto(b"lost", address)
    await world.quiet()
    await sender.sendto(b"x", receiver.getsockname())
    assert await receiver.recv(1) == b"x"


@parity
async def test_sendto_when_to_itself_then_it_arrives(world: World) -> None:
    """A socket can talk to itself."""
    sock = await world.datagrams()
    await sock.sendto(b"me", sock.getsockname())
    assert await sock.recvfrom(10) == (b"me", sock.getsockname())


@parity
async def test_sendto_when_given_a_name_then_it_is_resolved(world: World) -> None:
    """For every datagram."""
    left, right = await world.datagrams(), await world.datagrams()
    await left.sendto(b"x", ("localhost", right.getsockname()[1]))
    assert await right.recv(1) == b"x"


@parity
async def test_sendto_when_given_flags_then_they_come_before_the_address(world: World) -> None:
    """As in the standard library."""
    left, right = await world.datagrams(), await world.datagrams()
    assert await left.sendto(b"x", socket.MSG_DONTWAIT, right.getsockname()) == 1
    assert await right.recv(1) == b"x"


@parity
async def test_sendmsg_when_given_an_address_then_the_buffers_are_one_datagram(world: World) -> None:
    """However many they are."""
    left, right = await world.datagrams(), await world.datagrams()
    assert await left.sendmsg([b"ab", b"", b"cd"], [], 0, right.getsockname()) == 4
    assert await right.recvmsg(10) == (b"abcd", [], 0, left.getsockname())
