"""Unix sockets: names, on the file system and not."""

from __future__ import annotations

import errno
import os
import socket
from socket import AF_UNIX
from typing import TYPE_CHECKING

import pytest

from .kit import fails_with
from .worlds import World, parity

if TYPE_CHECKING:
    from pathlib import Path


@parity
async def test_names_when_connected_then_the_client_has_none(world: World, path: str) -> None:
    """An unnamed address is empty text; both ends of the server have its path."""
    listener = await world.listener(path, family=AF_UNIX)
    client = await world.connect(listener)
    server, address = await listener.accept()
    world.keep(server)
    assert address == client.getsockname() == server.getpeername() == ""
    assert client.getpeername() == server.getsockname() == listener.getsockname() == path


@parity
async def test_names_when_the_client_is_bound_then_its_path_is_known(world: World, path: str) -> None:
    """A client may have a name."""
    listener = await world.listener(path, family=AF_UNIX)
    client = await world.bound(path + "c", family=AF_UNIX)
    await client.connect(path)
    server = await world.accept(listener)
    assert server.getpeername() == client.getsockname() == path + "c"


@parity
async def test_bind_when_given_a_path_object_or_bytes_then_the_name_is_text(
    world: World, tmp_path: Path
) -> None:
    """trio takes any path."""
    sock = await world.bound(tmp_path / "a", family=AF_UNIX)
    assert sock.getsockname() == str(tmp_path / "a")
    sock = await world.bound(bytes(tmp_path / "b"), family=AF_UNIX)
    assert sock.getsockname() == str(tmp_path / "b")


@parity
async def test_bind_when_the_path_outlived_its_socket_then_eaddrinuse(world: World, path: str) -> None:
    """Somebody has to unlink it."""
    (await world.listener(path, family=AF_UNIX)).close()
    with fails_with(errno.EADDRINUSE):
        await world.bound(path, family=AF_UNIX)
    os.unlink(path)
    await world.bound(path, family=AF_UNIX)


@parity
async def test_bind_when_the_path_is_taken_then_eaddrinuse(world: World, path: str) -> None:
    """Whoever has it."""
    await world.bound(path, family=AF_UNIX)
    with fails_with(errno.EADDRINUSE):
        await world.bound(path, family=AF_UNIX)
    with fails_with(errno.EADDRINUSE):
        await world.bound(path, family=AF_UNIX, kind=socket.SOCK_DGRAM)


@parity
async def test_bind_when_done_before_then_einval(world: World, path: str) -> None:
    """An address is for life."""
    sock = await world.bound(path, family=AF_UNIX)
    with fails_with(errno.EINVAL):
        await sock.bind(path + "2")


@parity
async def test_bind_when_the_path_is_too_long_then_an_error(world: World) -> None:
    """107 bytes fit into sun_path; unix(7)."""
    with pytest.raises(OSError, match="path too long"):
        await world.socket(AF_UNIX).bind("/tmp/" + "x" * 110)


@parity
async def test_listen_when_not_bound_then_einval(world: World) -> None:
    """There is no path that could be chosen."""
    with fails_with(errno.EINVAL):
        world.socket(AF_UNIX).listen(1)


@parity
async def test_abstract_name_when_bound_then_no_file_is_made(world: World, path: str) -> None:
    """A name that begins with a zero byte lives and dies with its socket."""
    name = b"\0" + path.encode()
    listener = await world.listener(name, family=AF_UNIX)
    assert listener.getsockname() == name
    client = await world.connect(listener)
    assert client.getpeername() == name
    with fails_with(errno.EADDRINUSE):
        await world.bound(name, family=AF_UNIX)
    listener.close()
    with fails_with(errno.ECONNREFUSED):
        await world.socket(AF_UNIX).connect(name)
    await world.bound(name, family=AF_UNIX)
