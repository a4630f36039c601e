"""Options that sockets of all kinds have."""

from __future__ import annotations

import errno
import socket
import struct
from typing import Any

import pytest

from .kit import abort, fails_with, refusing_address
from .worlds import Socket, World, parity

KINDS = [
    (socket.AF_INET, socket.SOCK_STREAM),
    (socket.AF_INET, socket.SOCK_DGRAM),
    (socket.AF_UNIX, socket.SOCK_STREAM),
    (socket.AF_UNIX, socket.SOCK_DGRAM),
]
each_kind = pytest.mark.parametrize(("family", "kind"), KINDS)


def option(sock: Socket, name: str) -> int:
    """An option of the socket level."""
    return sock.getsockopt(socket.SOL_SOCKET, getattr(socket, name))


def set_option(sock: Socket, name: str, value: Any) -> None:
    """Set an option of the socket level."""
    sock.setsockopt(socket.SOL_SOCKET, getattr(socket, name), value)


@each_kind
@parity
async def test_socket_when_new_then_it_says_what_it_is(world: World, family: int, kind: int) -> None:
    """By its attributes, and by its options."""
    sock = world.socket(family, kind)
    assert (sock.family, sock.type) == (family, kind)
    assert option(sock, "SO_DOMAIN") == family
    assert option(sock, "SO_TYPE") == kind
    assert option(sock, "SO_ERROR") == 0
    assert option(sock, "SO_ACCEPTCONN") == 0


@pytest.mark.parametrize(
    ("kind", "protocol"),
    [(socket.SOCK_STREAM, socket.IPPROTO_TCP), (socket.SOCK_DGRAM, socket.IPPROTO_UDP)],
)
@parity
async def test_protocol_when_not_given_then_it_is_that_of_the_type(
    world: World, kind: int, protocol: int
) -> None:
    """SO_PROTOCOL knows it, and the attribute repeats what was asked for."""
    sock = world.socket(socket.AF_INET, kind)
    assert option(sock, "SO_PROTOCOL") == protocol
    assert sock.proto == 0
    assert world.socket(socket.AF_INET, kind, protocol).proto == protocol


@each_kind
@parity
async def test_options_when_new_then_flags_are_off(world: World, family: int, kind: int) -> None:
    """All of them."""
    sock = world.socket(family, kind)
    for name in ["SO_REUSEADDR", "SO_REUSEPORT", "SO_KEEPALIVE", "SO_BROADCAST", "SO_OOBINLINE"]:
        assert option(sock, name) == 0


@pytest.mark.parametrize("name", ["SO_REUSEADDR", "SO_REUSEPORT", "SO_KEEPALIVE", "SO_OOBINLINE"])
@pytest.mark.parametrize("value", [1, 7, struct.pack("i", 1)])
@parity
async def test_flag_when_set_then_it_is_one(world: World, name: str, value: int | bytes) -> None:
    """Whatever it was set to, as a number or as bytes; and zero turns it off again."""
    sock = world.socket()
    set_option(sock, name, value)
    assert option(sock, name) == 1
    set_option(sock, name, 0)
    assert option(sock, name) == 0


@parity
async def test_acceptconn_when_listening_then_one(world: World) -> None:
    """It is how servers that adopt a socket learn what it is."""
    listener = await world.listener()
    assert option(listener, "SO_ACCEPTCONN") == 1
    await world.connect(listener)
    assert option(await world.accept(listener), "SO_ACCEPTCONN") == 0


@pytest.mark.parametrize("name", ["SO_ACCEPTCONN", "SO_TYPE", "SO_ERROR", "SO_DOMAIN", "SO_PROTOCOL"])
@parity
async def test_option_when_it_only_tells_then_it_can_not_be_set(world: World, name: str) -> None:
    """As if there were no such option."""
    with fails_with(errno.ENOPROTOOPT):
        set_option(world.socket(), name, 1)


@pytest.mark.parametrize("name", ["SO_RCVBUF", "SO_SNDBUF"])
@each_kind
@parity
async def test_buffer_when_its_size_is_set_then_it_is_doubled(
    world: World, name: str, family: int, kind: int
) -> None:
    """Room for the kernel's own records; see SO_RCVBUF in socket(7)."""
    sock = world.socket(family, kind)
    assert option(sock, name) > 10_000
    set_option(sock, name, 20_000)
    assert option(sock, name) == 40_000


@pytest.mark.parametrize(("name", "least"), [("SO_RCVBUF", 2304), ("SO_SNDBUF", 4608)])
@parity
async def test_buffer_when_its_size_is_tiny_then_the_least_is_taken(
    world: World, name: str, least: int
) -> None:
    """No socket is so small that it could not work."""
    sock = world.socket()
    set_option(sock, name, 1)
    assert option(sock, name) == least


@parity
async def test_linger_when_set_then_it_is_read_as_bytes(world: World) -> None:
    """Two integers, of which an integer shows the first."""
    sock = world.socket()
    assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_LINGER, 8) == bytes(8)
    set_option(sock, "SO_LINGER", struct.pack("ii", 1, 5))
    assert struct.unpack("ii", sock.getsockopt(socket.SOL_SOCKET, socket.SO_LINGER, 8)) == (1, 5)
    assert option(sock, "SO_LINGER") == 1


@parity
async def test_linger_when_given_one_integer_then_einval(world: World) -> None:
    """It is a structure."""
    with fails_with(errno.EINVAL):
        set_option(world.socket(), "SO_LINGER", 1)


@parity
async def test_error_when_the_connection_was_reset_then_reading_it_clears_it(world: World) -> None:
    """So that it is reported once, here or by recv."""
    client, server = await world.pair()
    abort(server)
    await world.settle(client.is_readable)
    assert option(client, "SO_ERROR") == errno.ECONNRESET
    assert option(client, "SO_ERROR") == 0
    assert await client.recv(1) == b""


@parity
async def test_error_when_connect_has_reported_it_then_zero(world: World) -> None:
    """trio has read it."""
    client = world.socket()
    with fails_with(errno.ECONNREFUSED):
        await client.connect(await refusing_address(world))
    assert option(client, "SO_ERROR") == 0


@pytest.mark.parametrize(("level", "number"), [(socket.SOL_SOCKET, 9999), (socket.IPPROTO_TCP, 9999)])
@parity
async def test_option_when_unknown_then_enoprotoopt(world: World, level: int, number: int) -> None:
    """Reading and setting."""
    sock = world.socket()
    with fails_with(errno.ENOPROTOOPT):
        sock.getsockopt(level, number)
    with fails_with(errno.ENOPROTOOPT):
        sock.setsockopt(level, number, 1)


@parity
async def test_setsockopt_when_called_wrongly_then_type_error(world: World) -> None:
    """A value and a length do not go together, and one of them is needed."""
    sock: Any = world.socket()
    with pytest.raises(TypeError, match="must not be None"):
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, None)
    with pytest.raises(TypeError, match="must be None"):
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1, 4)
    with pytest.raises(TypeError):
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, "1")


@each_kind
@parity
async def test_inheritable_when_new_then_not(world: World, family: int, kind: int) -> None:
    """PEP 446."""
    sock = world.socket(family, kind)
    assert not sock.get_inheritable()
    sock.set_inheritable(True)
    assert sock.get_inheritable()
