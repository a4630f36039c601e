"""Unchanged handlers of the stdlib's, in processes, on all four transports."""

from __future__ import annotations

import os
import socket
import socketserver
import sys
from typing import TYPE_CHECKING, Any

import pytest
import trio
from forking import Server, serving
from harness import client_of, receive_all, receive_exactly

import trioserver

if TYPE_CHECKING:
    from pathlib import Path


class Upper(socketserver.StreamRequestHandler):
    """As it is for the stdlib."""

    def handle(self) -> None:
        for line in self.rfile:
            self.wfile.write(b"%7d %s" % (os.getpid(), line.upper()))


class UpperDatagram(socketserver.DatagramRequestHandler):
    """As it is for the stdlib."""

    def handle(self) -> None:
        self.wfile.write(b"%d %s" % (os.getpid(), self.rfile.read().upper()))


@pytest.mark.parametrize("family", ["tcp", "unix"])
async def test_stream_handler_when_unchanged_then_serves_from_a_process_of_its_own(
    io_path: str, family: str, tmp_path: Path
) -> None:
    """Each connection has a process, which blocks in reading, while the others are served."""
    server: trioserver.StreamServer
    if family == "tcp":
        server = trioserver.ForkingTCPServer(("127.0.0.1", 0), Upper)
    else:
        server = trioserver.ForkingUnixStreamServer(tmp_path / "socket", Upper)
    async with server.running(grace_period=None), client_of(server) as first, client_of(server) as second:
        pids = []
        for client in (first, second, first):
            await client.send_all(b"abc\n")
            pid, text = (await receive_exactly(client, 12)).split()
            assert text == b"ABC"
            pids.append(int(pid))
        assert pids[0] == pids[2]
        assert len({os.getpid(), *pids}) == 3
        for client in (first, second):
            await client.send_eof()
            assert await receive_all(client) == b""


@pytest.mark.parametrize("family", ["udp", "unix"])
async def test_datagram_handler_when_unchanged_then_replies_from_a_process(
    family: str, tmp_path: Path
) -> None:
    """The reply comes from the server's socket, which stays non-blocking, and the next datagram is served."""
    server: trioserver.DatagramServer
    client: Any
    if family == "udp":
        server = trioserver.ForkingUDPServer(("127.0.0.1", 0), UpperDatagram)
        client = trio.socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        await client.bind(("127.0.0.1", 0))
    else:
        server = trioserver.ForkingUnixDatagramServer(tmp_path / "server", UpperDatagram)
        client = trio.socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        await client.bind(str(tmp_path / "client"))
    with client:
        async with server.running():
            for _ in range(3):
                await client.sendto(b"abc", server.server_address)
                pid, text = (await client.recv(1000)).split()
                assert text == b"ABC"
                assert int(pid) != os.getpid()
                assert not server.socket.getblocking()


async def test_handler_when_it_prints_then_the_output_arrives_once(capfd: pytest.CaptureFixture[str]) -> None:
    """What the parent has buffered is written before the fork, and what the process has before it exits."""

    def handler(request: Any, client_address: Any, server: Any) -> None:
        print("from the process")

    saved, sys.stdout = sys.stdout, os.fdopen(1, "w", closefd=False)  # buffered, as a file is
    try:
        print("from the parent")
        async with serving(handler) as server, client_of(server) as client:
            assert await receive_all(client) == b""
        sys.stdout.close()
    finally:
        sys.stdout = saved
    assert capfd.readouterr().out == "from the parent\nfrom the process\n"


async def test_handler_when_it_looks_at_its_server_then_sees_the_attributes_at_the_fork() -> None:
    """It has a copy; what it does to it does not get back."""

    def handler(request: Any, client_address: Any, server: Any) -> None:
        server.greeting += f", {client_address[0]}".encode()
        request.sendall(server.greeting)

    class Greeting(Server):
        greeting = b"hello"

    async with Greeting(handler).running() as server:
        for _ in range(2):
            async with client_of(server) as client:
                assert await receive_all(client) == b"hello, 127.0.0.1"


async def test_finish_request_when_overridden_then_is_called_in_the_process() -> None:
    """It is a plain function there, as in the stdlib."""

    class More(Server):
        def finish_request(self, request: Any, client_address: Any) -> Any:
            self.RequestHandlerClass(request, client_address, os.getppid())

    async with More(lambda request, _, extra: request.sendall(b"%d" % extra)).running() as server:
        async with client_of(server) as client:
            assert int(await receive_all(client)) == os.getpid()


async def test_server_of_anything_when_mixed_in_then_serves_it_in_a_process(tmp_path: Path) -> None:
    """What is no socket is passed on as it is."""

    def handler(request: Any, client_address: Any, server: Any) -> None:
        (tmp_path / request).write_text(f"{os.getppid()}")

    class Jobs(trioserver.ForkingMixIn, trioserver.BaseServer[str]):
        async def get_request(self) -> tuple[str, None]:
            await trio.lowlevel.checkpoint()
            return "job", None

    await Jobs(None, handler).handle_request()
    assert (tmp_path / "job").read_text() == f"{os.getpid()}"


async def test_process_when_it_closes_its_request_then_the_client_sees_the_end_at_once() -> None:
    """The parent's descriptor does not keep the connection open meanwhile."""

    def handler(request: Any, client_address: Any, server: Any) -> None:
        fd = os.dup(request.fileno())
        request.close()
        os.read(fd, 1)

    async with serving(handler) as server, client_of(server) as client:
        assert await receive_all(client) == b""
        assert len(server.active_children) == 1
        await client.send_all(b"x")
        assert (await server.wait_ended()).exit_status == 0


async def test_connection_when_it_was_read_from_before_then_is_refused(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The process would miss what verify_request has read: an error, and no fork."""

    class Reading(Server):
        async def verify_request(self, request: trioserver.RequestStream, client_address: Any) -> bool:
            return await request.wait_request()

    async with Reading(lambda *_: None).running() as server, client_of(server) as client:
        await client.send_all(b"x")
        assert await receive_all(client) == b""
    event = server.ended[0]
    assert event.exit_status is None
    assert isinstance(event.error, RuntimeError)


# Arguments.


class Asynchronous(trioserver.StreamRequestHandler):
    """To be awaited."""


async def asynchronous(request: Any, client_address: Any, server: Any) -> None:
    """To be awaited."""


@pytest.mark.parametrize("handler", [Asynchronous, asynchronous, None])
def test_handler_when_it_has_to_be_awaited_then_is_refused(handler: Any) -> None:
    """The message says what would be right."""
    with pytest.raises(trioserver.ConfigError, match="RequestHandlerClass"):
        trioserver.ForkingTCPServer(("127.0.0.1", 0), handler)


@pytest.mark.parametrize(
    ("name", "value"), [("max_children", 0), ("max_children", "1"), ("finish_timeout", -1)]
)
def test_option_when_not_usable_then_config_error_names_it(name: str, value: Any) -> None:
    """Wherever it is set, it is checked."""
    with pytest.raises(trioserver.ConfigError, match=name):
        Server(Upper, **{name: value})
    cls = type("Bad", (Server,), {name: value})
    with pytest.raises(trioserver.ConfigError, match=name):
        cls(Upper)


def test_mixin_when_named_after_the_server_then_is_refused() -> None:
    """There it would do nothing, and the handler would block the loop."""
    with pytest.raises(TypeError, match="ForkingMixIn must come before"):
        type("Wrong", (trioserver.TCPServer, trioserver.ForkingMixIn), {})


def test_options_of_the_stdlib_when_given_then_are_taken() -> None:
    """Those that programs set are there, with the stdlib's defaults."""
    server = trioserver.ForkingTCPServer(("127.0.0.1", 0), Upper, max_children=3, block_on_close=False)
    assert (server.max_children, server.block_on_close) == (3, False)
    assert trioserver.ForkingMixIn.max_children == socketserver.ForkingMixIn.max_children
    assert trioserver.ForkingMixIn.block_on_close == socketserver.ForkingMixIn.block_on_close
    assert not server.active_children


def test_program_when_it_calls_the_init_of_one_base_alone_then_works() -> None:
    """As programs for the stdlib do."""

    class Mine(trioserver.ForkingMixIn, trioserver.TCPServer):
        def __init__(self) -> None:
            trioserver.TCPServer.__init__(self, ("127.0.0.1", 0), Upper)  # type: ignore[arg-type]

    assert Mine().active_children == frozenset()
