"""IPv6, and IPv4 through it."""

from __future__ import annotations

import errno
import socket

import pytest

from .kit import fails_with, receive_exactly
from .worlds import LOCALHOST, Socket, World, parity

pytestmark = pytest.mark.usefixtures("ipv6")


def only_ipv6(sock: Socket, value: int = 1) -> Socket:
    """Say whether a socket is for IPv6 alone."""
    sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, value)
    return sock


@parity
async def test_connect_when_ipv6_then_names_have_four_parts(world: World) -> None:
    """Flow information and scope are zero."""
    client, server = await world.pair(("::1", 0), family=socket.AF_INET6)
    port = server.getsockname()[1]
    assert client.getpeername() == server.getsockname() == ("::1", port, 0, 0)
    await client.send(b"six")
    assert await receive_exactly(server, 3) == b"six"
    assert server.family == socket.AF_INET6


@parity
async def test_socket_when_ipv6_is_new_then_it_has_the_wildcard_address(world: World) -> None:
    """Of its family."""
    assert world.socket(socket.AF_INET6).getsockname() == ("::", 0, 0, 0)


@parity
async def test_v6only_when_not_set_then_off(world: World) -> None:
    """Linux's default; some other systems differ."""
    sock = world.socket(socket.AF_INET6)
    assert sock.getsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY) == 0
    only_ipv6(sock)
    assert sock.getsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY) == 1


@parity
async def test_v6only_when_bound_already_then_einval(world: World) -> None:
    """It has to be decided before; ipv6(7)."""
    sock = await world.bound(("::1", 0), family=socket.AF_INET6)
    with fails_with(errno.EINVAL):
        only_ipv6(sock)


@parity
async def test_listen_when_at_the_ipv6_wildcard_then_ipv4_clients_come_too(world: World) -> None:
    """With mapped names at the server, and plain ones at the client."""
    listener = await world.listener(("::", 0), family=socket.AF_INET6)
    port = listener.getsockname()[1]
    client = world.socket()
    await client.connect((LOCALHOST, port))
    server = await world.accept(listener)
    assert server.family == socket.AF_INET6
    assert server.getpeername() == ("::ffff:127.0.0.1", client.getsockname()[1], 0, 0)
    assert server.getsockname() == ("::ffff:127.0.0.1", port, 0, 0)
    assert client.getpeername() == (LOCALHOST, port)


@parity
async def test_listen_when_at_the_ipv6_wildcard_then_ipv6_clients_come(world: World) -> None:
    """As themselves."""
    listener = await world.listener(("::", 0), family=socket.AF_INET6)
    client = world.socket(socket.AF_INET6)
    await client.connect(("::1", listener.getsockname()[1]))
    assert (await world.accept(listener)).getpeername()[0] == "::1"


@parity
async def test_listen_when_for_ipv6_only_then_ipv4_clients_are_refused(world: World) -> None:
    """The port is free for another server."""
    listener = only_ipv6(world.socket(socket.AF_INET6))
    await listener.bind(("::", 0))
    listener.listen(1)
    with fails_with(errno.ECONNREFUSED):
        await world.socket().connect((LOCALHOST, listener.getsockname()[1]))


@parity
async def test_listen_when_at_an_ipv6_address_then_ipv4_clients_are_refused(world: World) -> None:
    """It is the wildcard that takes both, not the family."""
    listener = await world.listener(("::1", 0), family=socket.AF_INET6)
    with fails_with(errno.ECONNREFUSED):
        await world.socket().connect((LOCALHOST, listener.getsockname()[1]))


@parity
async def test_listen_when_at_the_ipv4_wildcard_then_ipv6_clients_are_refused(world: World) -> None:
    """The other way round there is no mapping."""
    listener = await world.listener(("0.0.0.0", 0))
    with fails_with(errno.ECONNREFUSED):
        await world.socket(socket.AF_INET6).connect(("::1", listener.getsockname()[1]))


@pytest.mark.parametrize("six_first", [False, True])
@parity
async def test_bind_when_both_wildcards_take_a_port_then_eaddrinuse(world: World, six_first: bool) -> None:
    """Unless one of them is for IPv6 only."""
    addresses = [(socket.AF_INET6, "::"), (socket.AF_INET, "0.0.0.0")]
    (family, host), (other, other_host) = addresses if six_first else addresses[::-1]
    port = (await world.bound((host, 0), family=family)).getsockname()[1]
    with fails_with(errno.EADDRINUSE):
        await world.bound((other_host, port), family=other)


@parity
async def test_bind_when_ipv6_is_on_its_own_then_both_wildcards_fit(world: World) -> None:
    """As web servers do it."""
    for attempt in range(10):
        listener = only_ipv6(world.socket(socket.AF_INET6))
        await listener.bind(("::", 0))
        port = listener.getsockname()[1]
        try:
            bound = await world.bound(("0.0.0.0", port))
        except OSError:
            if attempt == 9:
                raise
            continue  # somebody else may have that port of IPv4
        assert bound.getsockname() == ("0.0.0.0", port)
        break


@pytest.mark.parametrize("host", ["::ffff:127.0.0.1", LOCALHOST])
@parity
async def test_connect_when_an_ipv6_socket_dials_ipv4_then_it_is_mapped(world: World, host: str) -> None:
    """trio maps the address when the socket may."""
    listener = await world.listener()
    client = world.socket(socket.AF_INET6)
    await client.connect((host, listener.getsockname()[1]))
    server = await world.accept(listener)
    assert client.getpeername()[:2] == ("::ffff:127.0.0.1", listener.getsockname()[1])
    assert server.getpeername() == (LOCALHOST, client.getsockname()[1])


@parity
async def test_connect_when_an_ipv6_only_socket_dials_a_mapped_address_then_it_fails(world: World) -> None:
    """It said so itself."""
    listener = await world.listener()
    client = only_ipv6(world.socket(socket.AF_INET6))
    with fails_with(errno.ENETUNREACH):
        await client.connect(("::ffff:127.0.0.1", listener.getsockname()[1]))


@parity
async def test_connect_when_to_the_ipv6_wildcard_then_it_is_this_host(world: World) -> None:
    """As with 0.0.0.0."""
    listener = await world.listener(("::1", 0), family=socket.AF_INET6)
    client = world.socket(socket.AF_INET6)
    await client.connect(("::", listener.getsockname()[1]))
    assert client.getpeername() == listener.getsockname()


@parity
async def test_datagrams_when_at_the_ipv6_wildcard_then_ipv4_senders_are_mapped(world: World) -> None:
    """And can be replied to by that name."""
    receiver = await world.datagrams(("::", 0), socket.AF_INET6)
    sender = await world.datagrams()
    await sender.sendto(b"four", (LOCALHOST, receiver.getsockname()[1]))
    data, address = await receiver.recvfrom(10)
    assert (data, address) == (b"four", ("::ffff:127.0.0.1", sender.getsockname()[1], 0, 0))
    await receiver.sendto(b"back", address)
    assert await sender.recvfrom(10) == (b"back", (LOCALHOST, receiver.getsockname()[1]))


@parity
async def test_datagrams_when_ipv6_then_they_arrive(world: World) -> None:
    """With names of four parts; two are enough to send to."""
    receiver, sender = [await world.datagrams(("::1", 0), socket.AF_INET6) for _ in range(2)]
    await sender.sendto(b"six", receiver.getsockname()[:2])
    assert await receiver.recvfrom(10) == (b"six", sender.getsockname())


@pytest.mark.parametrize("address", [("::1",), ("::1", 1, 0, 0, 0), "::1"])
@parity
async def test_bind_when_the_ipv6_address_has_a_wrong_form_then_value_error(
    world: World, address: object
) -> None:
    """Two to four parts it has."""
    with pytest.raises(ValueError, match="flowinfo"):
        await world.socket(socket.AF_INET6).bind(address)
