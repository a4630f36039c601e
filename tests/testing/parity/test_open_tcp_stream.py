"""trio.open_tcp_stream: happy eyeballs, and what it says when nobody answers."""

from __future__ import annotations

import errno
import socket
from typing import Any

import pytest
import trio

from .worlds import LOCALHOST, World, parity

ipv6 = pytest.mark.usefixtures("ipv6")


async def port_of(world: World, *hosts: str, backlog: int = 5) -> tuple[int, list[trio.socket.SocketType]]:
    """One port on which all these addresses listen."""
    socks: list[trio.socket.SocketType] = []
    port = 0
    for host in hosts:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        socks.append(await world.listener((host, port), family=family, backlog=backlog))
        port = socks[0].getsockname()[1]
    return port, socks


async def peer_of(host: str, port: int, **options: Any) -> Any:
    """The address that a stream to a name comes to."""
    async with await trio.open_tcp_stream(host, port, **options) as stream:
        return stream.socket.getpeername()[0]


@ipv6
@parity
async def test_open_when_a_name_has_both_families_then_the_first_that_works(world: World) -> None:
    """trio begins with the first that the resolver names."""
    four, _, six = world.addresses
    port, _ = await port_of(world, four, six)
    world.add_name("both.example", six, four)
    assert await peer_of("both.example", port) == six


@ipv6
@parity
async def test_open_when_only_ipv4_listens_then_ipv4(world: World) -> None:
    """The refusal over IPv6 makes it try the next at once."""
    four, _, six = world.addresses
    port, _ = await port_of(world, four)
    world.add_name("both.example", six, four)
    assert await peer_of("both.example", port, happy_eyeballs_delay=100) == four


@ipv6
@parity
async def test_open_when_only_ipv6_listens_then_ipv6(world: World) -> None:
    """And the other way round."""
    four, _, six = world.addresses
    port, _ = await port_of(world, six)
    world.add_name("both.example", four, six)
    assert await peer_of("both.example", port, happy_eyeballs_delay=100) == six


@parity
async def test_open_when_the_first_does_not_answer_then_the_second_is_tried_meanwhile(world: World) -> None:
    """A backlog that is full is silent, as a black hole is."""
    first, second, _ = world.addresses
    port, (silent, good) = await port_of(world, first, second, backlog=0)
    await world.connect(silent)
    world.add_name("two.example", first, second)
    assert await peer_of("two.example", port, happy_eyeballs_delay=0.01) == second
    await world.accept(good)


@pytest.mark.parametrize("count", [1, 2])
@parity
async def test_open_when_nobody_listens_then_the_error_holds_all_attempts(world: World, count: int) -> None:
    """One for each address, however few there are."""
    world.add_name("some.example", *world.addresses[:count])
    port = (await world.bound(("0.0.0.0", 0))).getsockname()[1]
    with pytest.raises(OSError, match=r"all attempts to connect to some\.example:.* failed") as caught:
        await trio.open_tcp_stream("some.example", port)
    group = caught.value.__cause__
    assert isinstance(group, BaseExceptionGroup)
    found = [one.errno for one in group.exceptions if isinstance(one, OSError)]
    assert found == [errno.ECONNREFUSED] * count


@parity
async def test_open_when_the_name_is_unknown_then_gaierror(world: World) -> None:
    """Nothing was tried."""
    with pytest.raises(socket.gaierror):
        await trio.open_tcp_stream("nobody.invalid", 80)


@parity
async def test_open_when_cancelled_then_nothing_stays_open(world: World) -> None:
    """The attempts end with it."""
    port, (silent,) = await port_of(world, LOCALHOST, backlog=0)
    await world.connect(silent)
    assert await world.is_stuck(trio.open_tcp_stream, LOCALHOST, port)


@parity
async def test_open_when_given_a_local_address_then_the_connection_comes_from_there(world: World) -> None:
    """By a bind before the connect, without a port of its own."""
    port, (listener,) = await port_of(world, LOCALHOST)
    async with await trio.open_tcp_stream(LOCALHOST, port, local_address="127.0.0.2") as stream:
        server = await world.accept(listener)
        assert stream.socket.getsockname() == server.getpeername()
        assert server.getpeername()[0] == "127.0.0.2"


@parity
async def test_open_when_the_local_address_is_not_ours_then_an_error(world: World) -> None:
    """It can not be bound."""
    port, _ = await port_of(world, LOCALHOST)
    with pytest.raises(OSError, match="all attempts"):
        await trio.open_tcp_stream(LOCALHOST, port, local_address="198.51.100.1")
