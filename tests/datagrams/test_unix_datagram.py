"""`UnixDatagramServer`: clients with and without a name, and whose file it is."""

from __future__ import annotations

import errno
import logging
import os
import socket
import stat
import sys
from typing import TYPE_CHECKING, Any

import pytest
import trio

import trioserver

from .kit import client_of, echo

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


class Upper(trioserver.DatagramRequestHandler):
    """Replies."""

    async def handle(self) -> None:
        self.wfile.write(self.packet.upper())


class UpperInPlace(trioserver.DatagramRequestHandler):
    """The same without a task."""

    def handle(self) -> None:
        self.wfile.write(self.packet.upper())


@pytest.mark.parametrize("handler", [Upper, UpperInPlace])
async def test_client_when_it_has_a_name_then_gets_the_reply(handler: Any, tmp_path: Path) -> None:
    """A client that has bound its socket is answered there."""
    server = trioserver.UnixDatagramServer(tmp_path / "s", handler)
    async with server.running(), client_of(server, name=str(tmp_path / "c")) as client:
        assert await client.ask(b"hello") == b"HELLO"
        assert await client.ask(b"again") == b"AGAIN"


@pytest.mark.parametrize("handler", [Upper, UpperInPlace])
async def test_client_when_it_has_no_name_then_gets_none_and_nothing_fails(
    handler: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The request is served; there is nowhere to send the reply, and nothing to report."""
    caplog.set_level(logging.DEBUG, "trioserver")
    server = trioserver.UnixDatagramServer(tmp_path / "s", handler)
    async with server.running(), client_of(server) as client:
        await client.send(b"hello")
        while server.statistics().finished < 1:
            await trio.lowlevel.checkpoint()
        assert client.receive_nowait() is None
    assert (server.statistics().failed, caplog.records) == (0, [])


async def test_client_address_when_there_is_no_name_then_is_none(tmp_path: Path) -> None:
    """As in the stdlib."""
    addresses: list[Any] = []

    def handler(request: trioserver.Datagram, client_address: Any, server: Any) -> None:
        addresses.append(client_address)

    server = trioserver.UnixDatagramServer(tmp_path / "s", handler)
    async with server.running(), client_of(server) as client:
        await client.send(b"hello")
        while not addresses:
            await trio.lowlevel.checkpoint()
    assert addresses in ([None], [""])


@pytest.mark.skipif(sys.platform != "linux", reason="abstract names exist on Linux only")
async def test_abstract_name_when_served_then_clients_reach_it_and_are_answered() -> None:
    """Neither the server's nor the client's name needs a file."""
    name = f"\0trioserver-datagrams-{os.getpid()}"
    async with trioserver.UnixDatagramServer(name, echo).running() as server:
        async with client_of(server, name=name + "-client") as client:
            assert await client.ask(b"hello") == b"hello"


@pytest.mark.parametrize("form", [str, lambda path: path, os.fsencode], ids=["str", "PathLike", "bytes"])
async def test_path_when_given_in_any_form_then_is_served_and_its_file_removed(
    form: Callable[[Path], Any], tmp_path: Path
) -> None:
    """A path may be a string, an ``os.PathLike`` or bytes."""
    path = tmp_path / "s"
    for _ in range(2):
        async with trioserver.UnixDatagramServer(form(path), echo).running() as server:
            assert server.server_address == str(path)
            async with client_of(server, name=str(tmp_path / "c")) as client:
                assert await client.ask(b"hello") == b"hello"
        assert not path.exists()
        (tmp_path / "c").unlink()


async def test_mode_when_set_then_the_file_has_these_permissions(tmp_path: Path) -> None:
    """``mode`` decides who may send, whatever the umask."""
    path = tmp_path / "s"
    async with trioserver.UnixDatagramServer(path, echo, mode=0o620):
        assert stat.S_IMODE(path.stat().st_mode) == 0o620
    with pytest.raises(trioserver.ConfigError, match="mode"):
        trioserver.UnixDatagramServer(path, echo, mode=0o1777)


async def test_file_when_stale_then_is_replaced(tmp_path: Path) -> None:
    """The file of a server that died is no obstacle, whatever its type was."""
    path = tmp_path / "s"
    for kind in (socket.SOCK_DGRAM, socket.SOCK_STREAM):
        with socket.socket(socket.AF_UNIX, kind) as dead:
            dead.bind(str(path))
        async with trioserver.UnixDatagramServer(path, echo).running() as server:
            async with client_of(server) as client:
                await client.send(b"hello")
                while not server.statistics().accepted:
                    await trio.lowlevel.checkpoint()


async def test_file_when_a_server_uses_it_then_eaddrinuse_and_that_server_goes_on(tmp_path: Path) -> None:
    """A live server's file is never taken away from it, and it sees nothing of the attempt."""
    path = tmp_path / "s"
    async with trioserver.UnixDatagramServer(path, echo).running() as first:
        with pytest.raises(OSError, match=str(path)) as caught:
            await trioserver.UnixDatagramServer(path, echo).serve_forever()
        assert caught.value.errno == errno.EADDRINUSE
        async with client_of(first, name=str(tmp_path / "c")) as client:
            assert await client.ask(b"hello") == b"hello"
        assert first.statistics().accepted == 1


async def test_file_when_it_is_not_the_servers_then_is_left_alone(tmp_path: Path) -> None:
    """Neither a regular file at the start nor another's file at the end is removed."""
    path = tmp_path / "s"
    path.write_text("precious")
    with pytest.raises(OSError, match="not a socket"):
        await trioserver.UnixDatagramServer(path, echo).serve_forever()
    assert path.read_text() == "precious"
    path.unlink()
    async with trioserver.UnixDatagramServer(path, echo):
        path.rename(tmp_path / "moved")
        path.write_text("somebody else's")
    assert path.read_text() == "somebody else's"


async def test_file_when_the_drain_begins_then_is_gone_and_handlers_can_still_reply(tmp_path: Path) -> None:
    """Clients see at once that nobody is there; those that are served get their replies."""
    go = trio.Event()

    async def handler(request: trioserver.Datagram, client_address: Any, server: Any) -> None:
        await go.wait()
        await request.socket.sendto(request.data, client_address)

    path = tmp_path / "s"
    server = trioserver.UnixDatagramServer(path, handler)
    async with trio.open_nursery() as nursery:
        await nursery.start(server.serve_forever)
        async with client_of(server, name=str(tmp_path / "c")) as client:
            await client.send(b"hello")
            while not server.requests:
                await trio.lowlevel.checkpoint()
            server.request_shutdown(None)
            while path.exists():
                await trio.lowlevel.checkpoint()
            go.set()
            assert await client.receive() == b"hello"


@pytest.mark.parametrize("path", ["", None, 5, b""])
def test_path_when_it_is_none_then_the_error_names_the_argument(path: Any) -> None:
    """A ConfigError at construction, before anything is bound."""
    with pytest.raises(trioserver.ConfigError, match="server_address"):
        trioserver.UnixDatagramServer(path, echo)
