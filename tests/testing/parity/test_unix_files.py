"""Unix sockets: paths as files, and trio's own way to open one."""

from __future__ import annotations

import errno
import os
import stat
from socket import AF_UNIX, SOCK_DGRAM
from typing import TYPE_CHECKING

import trio

from .kit import fails_with
from .worlds import World, parity

if TYPE_CHECKING:
    from pathlib import Path

    import pytest


@parity
async def test_bind_when_done_then_the_path_is_a_socket_in_the_file_system(
    world: World, tmp_path: Path
) -> None:
    """It can be listed, and its mode can be changed."""
    await world.bound(str(tmp_path / "s"), family=AF_UNIX)
    assert stat.S_ISSOCK(os.stat(tmp_path / "s").st_mode)


@parity
async def test_bind_when_the_folder_does_not_exist_then_enoent(world: World, tmp_path: Path) -> None:
    """As for any file."""
    with fails_with(errno.ENOENT):
        await world.bound(str(tmp_path / "no such folder" / "s"), family=AF_UNIX)


@parity
async def test_connect_when_the_path_is_a_file_then_econnrefused(world: World, tmp_path: Path) -> None:
    """It is there, and nobody answers."""
    (tmp_path / "file").write_text("not a socket")
    with fails_with(errno.ECONNREFUSED):
        await world.socket(AF_UNIX).connect(str(tmp_path / "file"))


@parity
async def test_bind_when_the_path_is_relative_then_it_stays_so(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The name is what was given."""
    monkeypatch.chdir(tmp_path)
    listener = await world.listener("s", family=AF_UNIX)
    assert (await world.connect(listener)).getpeername() == listener.getsockname() == "s"


@parity
async def test_names_when_one_is_abstract_and_one_a_path_then_they_are_two(
    world: World, tmp_path: Path
) -> None:
    """Neither finds the other."""
    path = str(tmp_path / "s")
    await world.listener(b"\0" + path.encode(), family=AF_UNIX)
    with fails_with(errno.ENOENT):
        await world.socket(AF_UNIX).connect(path)


@parity
async def test_connect_when_a_socket_dials_itself_then_econnrefused(world: World, tmp_path: Path) -> None:
    """It does not listen."""
    sock = await world.bound(str(tmp_path / "s"), family=AF_UNIX)
    with fails_with(errno.ECONNREFUSED):
        await sock.connect(str(tmp_path / "s"))


@parity
async def test_sendto_when_a_datagram_socket_sends_to_itself_then_it_arrives(
    world: World, tmp_path: Path
) -> None:
    """A socket is no worse an address than another."""
    path = str(tmp_path / "s")
    sock = await world.bound(path, family=AF_UNIX, kind=SOCK_DGRAM)
    await sock.sendto(b"me", path)
    assert await sock.recvfrom(10) == (b"me", path)


@parity
async def test_open_unix_socket_when_a_server_listens_then_a_stream(world: World, tmp_path: Path) -> None:
    """trio's own function, and its errors."""
    path = tmp_path / "s"
    listener = await world.listener(str(path), family=AF_UNIX)
    async with await trio.open_unix_socket(path) as stream:
        server = trio.SocketStream(await world.accept(listener))
        await stream.send_all(b"x")
        assert await server.receive_some(1) == b"x"
    with fails_with(errno.ENOENT):
        await trio.open_unix_socket(tmp_path / "nobody")
