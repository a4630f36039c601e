"""`UnixStreamServer`: paths, names, permissions, and whose file it is."""

from __future__ import annotations

import errno
import os
import socket
import stat
import sys
from typing import TYPE_CHECKING, Any

import pytest
from harness import Echo, client_of, receive_all, receive_exactly

import trioserver

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


@pytest.mark.parametrize("form", [str, lambda path: path, os.fsencode], ids=["str", "PathLike", "bytes"])
async def test_path_when_given_in_any_form_then_is_served(
    form: Callable[[Path], Any], tmp_path: Path, io_path: str
) -> None:
    """A path may be a string, an ``os.PathLike`` or bytes; at the end its file is gone."""
    path = tmp_path / "s"
    async with trioserver.UnixStreamServer(form(path), Echo).running() as server:
        assert server.server_address == str(path)
        async with client_of(server) as client:
            await client.send_all(b"hello\n")
            assert await receive_exactly(client, 6) == b"hello\n"
    assert not path.exists()


@pytest.mark.skipif(sys.platform != "linux", reason="abstract names exist on Linux only")
async def test_abstract_name_when_served_then_clients_reach_it() -> None:
    """A name that begins with a NUL has no file."""
    name = f"\0trioserver-test-{os.getpid()}"
    async with trioserver.UnixStreamServer(name, Echo).running() as server:
        async with client_of(server) as client:
            await client.send_all(b"hello\n")
            assert await receive_exactly(client, 6) == b"hello\n"


async def test_mode_when_set_then_the_file_has_these_permissions(tmp_path: Path) -> None:
    """``mode`` decides who may connect, whatever the umask."""
    path = tmp_path / "s"
    async with trioserver.UnixStreamServer(path, Echo, mode=0o660):
        assert stat.S_IMODE(path.stat().st_mode) == 0o660
    with pytest.raises(trioserver.ConfigError, match="mode"):
        trioserver.UnixStreamServer(path, Echo, mode=0o1777)


async def test_file_when_stale_then_is_replaced(tmp_path: Path) -> None:
    """The file of a server that died is no obstacle."""
    path = tmp_path / "s"
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
        dead.listen()
    async with trioserver.UnixStreamServer(path, Echo).running() as server:
        async with client_of(server) as client:
            await client.send_all(b"hello\n")
            assert await receive_exactly(client, 6) == b"hello\n"


async def test_file_when_a_server_listens_on_it_then_eaddrinuse_and_that_server_goes_on(
    tmp_path: Path,
) -> None:
    """A live server's file is never taken away from it."""
    path = tmp_path / "s"
    async with trioserver.UnixStreamServer(path, Echo).running() as first:
        with pytest.raises(OSError, match=str(path)) as caught:
            await trioserver.UnixStreamServer(path, Echo).serve_forever()
        assert caught.value.errno == errno.EADDRINUSE
        async with client_of(first) as client:
            await client.send_all(b"hello\n")
            assert await receive_exactly(client, 6) == b"hello\n"


async def test_file_when_it_is_no_socket_then_is_left_alone(tmp_path: Path) -> None:
    """A regular file at the path is never removed."""
    path = tmp_path / "s"
    path.write_text("precious")
    with pytest.raises(OSError, match="not a socket"):
        await trioserver.UnixStreamServer(path, Echo).serve_forever()
    assert path.read_text() == "precious"


async def test_file_when_another_has_taken_its_place_then_is_not_removed(tmp_path: Path) -> None:
    """At close the server removes its own inode and no other."""
    path = tmp_path / "s"
    async with trioserver.UnixStreamServer(path, Echo):
        path.rename(tmp_path / "moved")
        path.write_text("somebody else's")
    assert path.read_text() == "somebody else's"


async def test_file_when_served_twice_then_each_time_it_is_made_and_removed(tmp_path: Path) -> None:
    """A server that is not entered gives its file back after each run, and makes it again."""
    path = tmp_path / "s"
    server = trioserver.UnixStreamServer(path, Echo)
    for _ in range(2):
        async with server.running():
            assert path.is_socket()
        assert not path.exists()


@pytest.mark.parametrize("path", ["", None, 5, b""])
def test_path_when_it_is_none_then_the_error_names_the_argument(path: Any) -> None:
    """A ConfigError at construction, before anything is bound."""
    with pytest.raises(trioserver.ConfigError, match="server_address"):
        trioserver.UnixStreamServer(path, Echo)


@pytest.mark.skipif(sys.platform != "linux", reason="SO_PEERCRED exists on Linux only")
async def test_peer_credentials_when_asked_in_a_handler_then_name_the_client(tmp_path: Path) -> None:
    """A handler learns which process, user and group its client is."""

    class Who(trioserver.StreamRequestHandler):
        async def handle(self) -> None:
            pid, uid, gid = self.request.peer_credentials()
            await self.wfile.write(f"{pid} {uid} {gid}".encode())

    async with trioserver.UnixStreamServer(tmp_path / "s", Who).running() as server:
        async with client_of(server) as client:
            assert await receive_all(client) == f"{os.getpid()} {os.getuid()} {os.getgid()}".encode()
