"""TCP: addresses of one's own."""

from __future__ import annotations

import errno
import socket
from typing import Any

import pytest

from .kit import fails_with, receive_exactly
from .worlds import LOCALHOST, World, parity


def reuse(sock: Any, option: int = socket.SO_REUSEADDR) -> Any:
    """Allow that an address is used again."""
    sock.setsockopt(socket.SOL_SOCKET, option, 1)
    return sock


@parity
async def test_bind_when_the_port_is_zero_then_a_free_one_is_taken(world: World) -> None:
    """A different one for each."""
    names = [(await world.bound()).getsockname() for _ in range(10)]
    assert len(set(names)) == 10
    assert all(host == LOCALHOST and 1024 <= port <= 65535 for host, port in names)


@pytest.mark.parametrize("listening", [False, True])
@parity
async def test_bind_when_the_port_is_taken_then_eaddrinuse(world: World, listening: bool) -> None:
    """Whether its owner listens or not."""
    owner = await (world.listener() if listening else world.bound())
    sock = world.socket()
    with fails_with(errno.EADDRINUSE):
        await sock.bind(owner.getsockname())
    await sock.bind((LOCALHOST, 0))  # it can still be bound to something else


@parity
async def test_bind_when_the_port_is_taken_at_another_address_then_it_is_free(world: World) -> None:
    """An address and a port are taken together."""
    port = (await world.listener()).getsockname()[1]
    other = await world.listener(("127.0.0.2", port))
    assert other.getsockname() == ("127.0.0.2", port)


@pytest.mark.parametrize(("first", "second"), [("0.0.0.0", LOCALHOST), (LOCALHOST, "0.0.0.0")])
@parity
async def test_bind_when_one_is_the_wildcard_then_eaddrinuse(world: World, first: str, second: str) -> None:
    """The wildcard takes the port at all addresses."""
    port = (await world.bound((first, 0))).getsockname()[1]
    with fails_with(errno.EADDRINUSE):
        await world.bound((second, port))


@parity
async def test_bind_when_tcp_has_the_port_then_udp_may_take_it(world: World) -> None:
    """The protocols have ports of their own."""
    address = (await world.listener()).getsockname()
    assert (await world.datagrams(address)).getsockname() == address


@parity
async def test_bind_when_both_reuse_addresses_and_none_listens_then_both_get_it(world: World) -> None:
    """See SO_REUSEADDR in socket(7): Linux minds only an active listening socket."""
    first, second = reuse(world.socket()), reuse(world.socket())
    await first.bind((LOCALHOST, 0))
    await second.bind(first.getsockname())
    first.listen(1)
    with fails_with(errno.EADDRINUSE):
        second.listen(1)


@parity
async def test_bind_when_both_reuse_addresses_and_one_listens_then_eaddrinuse(world: World) -> None:
    """Two servers never share an address by accident."""
    first, second = reuse(world.socket()), reuse(world.socket())
    await first.bind((LOCALHOST, 0))
    first.listen(1)
    with fails_with(errno.EADDRINUSE):
        await second.bind(first.getsockname())


@parity
async def test_bind_when_only_one_reuses_addresses_then_eaddrinuse(world: World) -> None:
    """Both have to agree."""
    owner = await world.bound()
    with fails_with(errno.EADDRINUSE):
        await reuse(world.socket()).bind(owner.getsockname())


@parity
async def test_bind_when_both_reuse_ports_then_both_listen(world: World) -> None:
    """SO_REUSEPORT is how servers share an address on purpose; each client comes to one of them."""
    first, second = (reuse(world.socket(), socket.SO_REUSEPORT) for _ in range(2))
    await first.bind((LOCALHOST, 0))
    first.listen(5)
    await second.bind(first.getsockname())
    second.listen(5)
    await world.connect(first)
    await world.settle(lambda: first.is_readable() or second.is_readable())
    assert first.is_readable() != second.is_readable()


@parity
async def test_bind_when_only_one_reuses_ports_then_eaddrinuse(world: World) -> None:
    """Both have to agree, whoever is first."""
    first = reuse(world.socket(), socket.SO_REUSEPORT)
    await first.bind((LOCALHOST, 0))
    with fails_with(errno.EADDRINUSE):
        await world.bound(first.getsockname())
    with fails_with(errno.EADDRINUSE):
        await reuse(world.socket(), socket.SO_REUSEPORT).bind((await world.bound()).getsockname())


@parity
async def test_bind_when_the_listener_was_closed_then_the_port_is_free(world: World) -> None:
    """At once, when it had no connections."""
    listener = await world.listener()
    address = listener.getsockname()
    listener.close()
    assert (await world.listener(address)).getsockname() == address


@pytest.mark.parametrize("reusing", [False, True])
@parity
async def test_bind_when_connections_of_the_last_server_live_then_only_with_reuse(
    world: World, reusing: bool
) -> None:
    """Restarting a server while its clients are still connected needs SO_REUSEADDR, on both."""
    listener = world.socket()
    if reusing:
        reuse(listener)
    await listener.bind((LOCALHOST, 0))
    listener.listen(1)
    client = await world.connect(listener)
    server = await world.accept(listener)
    address = listener.getsockname()
    listener.close()
    again = world.socket()
    if reusing:
        reuse(again)
        await again.bind(address)
        again.listen(1)
        await server.send(b"still here")
        assert await receive_exactly(client, 10) == b"still here"
    else:
        with fails_with(errno.EADDRINUSE):
            await again.bind(address)


@pytest.mark.parametrize("server_first", [False, True])
@parity
async def test_bind_when_the_last_server_closed_first_then_only_with_reuse(
    world: World, server_first: bool
) -> None:
    """Who closes first is in TIME_WAIT, and keeps its port for a while (RFC 9293, 3.6.1)."""
    listener = reuse(world.socket())
    await listener.bind((LOCALHOST, 0))
    listener.listen(1)
    client, server = await world.connect(listener), await world.accept(listener)
    address = listener.getsockname()
    listener.close()
    first, second = (server, client) if server_first else (client, server)
    first.close()
    assert await second.recv(1) == b""
    second.close()
    await world.quiet()
    if server_first:
        with fails_with(errno.EADDRINUSE):
            await world.bound(address)
        await reuse(world.socket()).bind(address)
    else:
        await world.bound(address)


@parity
async def test_bind_when_done_before_then_einval(world: World) -> None:
    """An address is for life."""
    sock = await world.bound()
    with fails_with(errno.EINVAL):
        await sock.bind((LOCALHOST, 0))


@parity
async def test_bind_when_connected_then_einval(world: World) -> None:
    """Connecting has bound it."""
    client, _ = await world.pair()
    with fails_with(errno.EINVAL):
        await client.bind((LOCALHOST, 0))
