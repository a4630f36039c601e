"""The methods and attributes that trio's sockets have."""

from __future__ import annotations

import inspect
import socket

import pytest
import trio

from .worlds import World, parity

NAMES = [
    name
    for name, what in inspect.getmembers(trio.socket.SocketType)
    if not name.startswith("_") and (inspect.isfunction(what) or isinstance(what, property))
]


@pytest.mark.parametrize("name", NAMES)
@parity
async def test_attribute_when_trio_documents_it_then_the_socket_has_it(world: World, name: str) -> None:
    """Its own, not the one of the abstract class, which only raises NotImplementedError."""
    sock = world.socket()
    assert isinstance(sock, trio.socket.SocketType)
    own = getattr(type(sock), name)
    assert own is not getattr(trio.socket.SocketType, name)
    assert isinstance(own, property) is isinstance(getattr(trio.socket.SocketType, name), property)


@pytest.mark.parametrize("name", ["sendall", "makefile", "setblocking", "settimeout", "gettimeout"])
@parity
async def test_attribute_when_trio_leaves_it_out_then_the_socket_has_not_got_it(
    world: World, name: str
) -> None:
    """Code for blocking sockets fails at once, and not somewhere else."""
    assert not hasattr(world.socket(), name)


@pytest.mark.parametrize("flag", ["SOCK_NONBLOCK", "SOCK_CLOEXEC"])
@parity
async def test_type_when_given_with_flags_then_they_are_not_part_of_it(world: World, flag: str) -> None:
    """As socket(2) takes them."""
    sock = world.socket(kind=socket.SOCK_DGRAM | getattr(socket, flag))
    assert sock.type == socket.SOCK_DGRAM


@parity
async def test_family_and_type_when_asked_for_then_they_are_enumerations(world: World) -> None:
    """So that they print well."""
    sock = world.socket()
    assert sock.family is socket.AddressFamily.AF_INET
    assert sock.type is socket.SocketKind.SOCK_STREAM


@parity
async def test_sockets_when_compared_then_each_equals_itself_only(world: World) -> None:
    """They can be in sets and be keys."""
    first, second = world.socket(), world.socket()
    assert first == first
    assert first != second
    assert len({first, second, first}) == 2
    first.close()
    assert {first: "closed"}[first] == "closed"
