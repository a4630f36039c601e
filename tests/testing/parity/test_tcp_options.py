"""Options of TCP and IP."""

from __future__ import annotations

import errno
import socket

import pytest

from .kit import fails_with, receive_exactly
from .worlds import World, parity


@parity
async def test_nodelay_when_set_then_it_stays(world: World) -> None:
    """trio sets it on every stream."""
    sock = world.socket()
    assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) == 0
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) == 1
    await sock.connect((await world.listener()).getsockname())
    assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) == 1


@parity
async def test_nodelay_when_reset_then_it_can_still_be_set(world: World) -> None:
    """What Linux answers after the connection has ended."""
    client, server = await world.pair()
    server.close()
    assert await client.recv(1) == b""
    client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    assert client.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) == 1


@pytest.mark.parametrize(
    ("name", "default", "other"),
    [
        ("TCP_KEEPIDLE", 7200, 10),
        ("TCP_KEEPINTVL", 75, 5),
        ("TCP_KEEPCNT", 9, 3),
        ("TCP_USER_TIMEOUT", 0, 500),
    ],
)
@parity
async def test_keepalive_when_not_set_then_the_defaults_of_tcp_7(
    world: World, name: str, default: int, other: int
) -> None:
    """And what is set is read."""
    sock, number = world.socket(), getattr(socket, name)
    assert sock.getsockopt(socket.IPPROTO_TCP, number) == default
    sock.setsockopt(socket.IPPROTO_TCP, number, other)
    assert sock.getsockopt(socket.IPPROTO_TCP, number) == other


@parity
async def test_cork_when_set_then_taken_off_then_all_arrives(world: World) -> None:
    """What it gathers is sent in the end."""
    client, server = await world.pair()
    client.setsockopt(socket.IPPROTO_TCP, socket.TCP_CORK, 1)
    for _ in range(3):
        await client.send(b"part")
    client.setsockopt(socket.IPPROTO_TCP, socket.TCP_CORK, 0)
    assert await receive_exactly(server, 12) == b"part" * 3


@parity
async def test_ttl_when_not_set_then_sixty_four(world: World) -> None:
    """The kernel's default; see ip(7)."""
    sock = world.socket()
    assert sock.getsockopt(socket.IPPROTO_IP, socket.IP_TTL) == 64
    sock.setsockopt(socket.IPPROTO_IP, socket.IP_TTL, 5)
    assert sock.getsockopt(socket.IPPROTO_IP, socket.IP_TTL) == 5


@parity
async def test_tos_when_set_then_it_stays(world: World) -> None:
    """The type of service."""
    sock = world.socket()
    assert sock.getsockopt(socket.IPPROTO_IP, socket.IP_TOS) == 0
    sock.setsockopt(socket.IPPROTO_IP, socket.IP_TOS, 0x10)
    assert sock.getsockopt(socket.IPPROTO_IP, socket.IP_TOS) == 0x10


@parity
async def test_tcp_option_when_the_socket_is_udp_then_an_error(world: World) -> None:
    """It has no such option; Linux says so in two ways."""
    sock = world.socket(kind=socket.SOCK_DGRAM)
    with fails_with(errno.ENOPROTOOPT):
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    with fails_with(errno.EOPNOTSUPP):
        sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


@parity
async def test_tcp_option_when_the_socket_is_unix_then_eopnotsupp(world: World) -> None:
    """It has no protocol that would know it."""
    sock = world.socket(socket.AF_UNIX)
    with fails_with(errno.EOPNOTSUPP):
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    with fails_with(errno.EOPNOTSUPP):
        sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


@parity
async def test_v6only_when_the_socket_is_ipv4_then_enoprotoopt(world: World) -> None:
    """It is an option of IPv6."""
    with fails_with(errno.ENOPROTOOPT):
        world.socket().setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)


@parity
async def test_broadcast_when_a_datagram_socket_sets_it_then_it_stays(world: World) -> None:
    """It is the permission, not the deed."""
    sock = world.socket(kind=socket.SOCK_DGRAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
    assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST) == 1


@parity
async def test_maxseg_when_connected_then_a_segment_holds_something(world: World) -> None:
    """How much depends on the network."""
    client, _ = await world.pair()
    assert client.getsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG) >= 536
