"""What the page "from socketserver to trioserver" says of both sides, where no other test shows it."""

from __future__ import annotations

import logging
import socket
import socketserver
import threading
from typing import Any

import pytest
import trio
import trio.testing
from harness import Echo, client_of, receive_all, receive_exactly, wait_until

import trioserver

LOOPBACK = ("127.0.0.1", 0)


class Stdlib(socketserver.StreamRequestHandler):
    """An echo, as the stdlib has it."""

    def handle(self) -> None:
        for line in self.rfile:
            self.wfile.write(line)


def test_defaults_that_differ_are_those_that_the_page_has() -> None:
    """Of both: a change of either is a change of the page."""
    theirs, ours = socketserver, trioserver
    assert (theirs.TCPServer.request_queue_size, ours.TCPServer.request_queue_size) == (5, 65535)
    assert (theirs.TCPServer.allow_reuse_address, ours.TCPServer.allow_reuse_address) == (False, True)
    assert (theirs.UDPServer.allow_reuse_address, ours.UDPServer.allow_reuse_address) == (False, False)
    assert (theirs.UDPServer.max_packet_size, ours.UDPServer.max_packet_size) == (8192, 65535)
    assert (theirs.TCPServer.address_family, ours.TCPServer.address_family) == (
        socket.AF_INET,
        socket.AF_UNSPEC,
    )
    nagle = "disable_nagle_algorithm"
    assert (getattr(theirs.StreamRequestHandler, nagle), getattr(ours.StreamRequestHandler, nagle)) == (
        False,
        True,
    )
    assert (theirs.ForkingMixIn.timeout, ours.ForkingTCPServer.timeout) == (300, None)
    assert (theirs.ForkingMixIn.max_children, ours.ForkingTCPServer.max_children) == (40, 40)
    assert ours.ThreadingTCPServer.max_threads == 100
    assert (ours.ThreadingTCPServer.daemon_threads, ours.ThreadingTCPServer.block_on_close) == (False, True)


def test_a_server_is_entered_with_async_with() -> None:
    """``with`` is told so."""
    server: Any = trioserver.TCPServer(LOOPBACK, Echo)
    with pytest.raises(TypeError, match="async with"), server:
        raise AssertionError("entered")


HOOKS = (
    "server_bind",
    "server_activate",
    "get_request",
    "verify_request",
    "shutdown_request",
    "close_request",
    "handle_error",
    "handle_timeout",
    "service_actions",
)


@pytest.mark.parametrize("name", HOOKS)
def test_a_hook_that_is_a_plain_def_is_refused(name: str) -> None:
    """When the server is made, and by its name."""

    def hook(self: object, *args: object) -> None: ...

    with pytest.raises(trioserver.ConfigError, match=name):
        type("Server", (trioserver.TCPServer,), {name: hook})(LOOPBACK, Echo)


async def test_the_socket_is_there_once_it_is_bound_and_can_not_be_replaced() -> None:
    """In the stdlib it is there after the constructor, and programs replace it."""
    with socketserver.TCPServer(LOOPBACK, Stdlib) as theirs:
        assert theirs.fileno() == theirs.socket.fileno() > 0
    server: Any = trioserver.TCPServer(LOOPBACK, Echo)
    assert (server.fileno(), server.server_address) == (-1, LOOPBACK)
    with pytest.raises(trioserver.LifecycleError):
        _ = server.socket
    async with server:
        assert server.fileno() == server.socket.fileno() > 0
        with pytest.raises(AttributeError):
            server.socket = None


async def test_the_plain_server_serves_side_by_side_and_max_requests_one_at_a_time() -> None:
    """A client that says nothing holds up the others of the stdlib's server; of ours where it is told to."""
    for limit, answered in ((None, True), (1, False)):
        server = trioserver.TCPServer(LOOPBACK, Echo, max_requests=limit)
        async with server.running(), client_of(server), client_of(server) as second:
            await wait_until(lambda server=server: server.requests)
            await second.send_all(b"hello\n")
            if answered:
                assert await receive_exactly(second, 6) == b"hello\n"
            else:
                await trio.testing.wait_all_tasks_blocked(0.01)
                assert len(server.requests) == 1


def test_a_shutdown_of_the_stdlibs_leaves_requests_alone() -> None:
    """And of ours ends them: see the tests of P1."""
    with socketserver.ThreadingTCPServer(LOOPBACK, Stdlib) as server:
        loop = threading.Thread(target=server.serve_forever, args=(0.001,))
        loop.start()
        with socket.socket() as client:
            client.connect(server.server_address)
            client.sendall(b"before\n")
            assert client.recv(100) == b"before\n"
            server.shutdown()
            loop.join()
            client.sendall(b"after\n")
            assert client.recv(100) == b"after\n"


async def test_what_handle_timeout_returns_is_not_returned() -> None:
    """By ``handle_request()``; the stdlib's does."""

    class Ours(trioserver.TCPServer):
        async def handle_timeout(self) -> Any:
            return "returned"

    class Theirs(socketserver.TCPServer):
        timeout = 0.001

        def handle_timeout(self) -> Any:
            return "returned"

    server: Any = Ours(LOOPBACK, Echo, timeout=0)
    assert await server.handle_request() is None
    assert server.fileno() == -1  # each call binds and closes
    with Theirs(LOOPBACK, Stdlib) as theirs:
        handle_request: Any = theirs.handle_request
        assert handle_request() == "returned"


async def test_a_handler_whose_setup_makes_no_wfile_can_finish() -> None:
    """The stdlib's fails in ``finish``, over what ``setup`` would have made."""

    class Bare(trioserver.StreamRequestHandler):
        async def setup(self) -> None:
            pass

        async def handle(self) -> None:
            await self.request.send_all(b"done")

    server = trioserver.TCPServer(LOOPBACK, Bare)
    async with server.running(), client_of(server) as client:
        assert await receive_all(client) == b"done"
        await wait_until(lambda: not server.requests)
        assert server.statistics().finished == 1


async def test_rbufsize_of_zero_reads_byte_by_byte_and_a_line_all_the_same() -> None:
    """The stdlib's turns buffering off."""

    class Unbuffered(Echo):
        rbufsize = 0

    server = trioserver.TCPServer(LOOPBACK, Unbuffered)
    async with server.running(), client_of(server) as client:
        await client.send_all(b"hello\n")
        assert await receive_exactly(client, 6) == b"hello\n"


async def test_read_without_a_count_is_limited() -> None:
    """To 64 KiB; the stdlib reads until there is no more, or no more memory."""
    errors: list[Exception] = []

    class All(trioserver.StreamRequestHandler):
        async def handle(self) -> None:
            try:
                await self.rfile.read()
            except trioserver.LimitExceeded as error:
                errors.append(error)

    server = trioserver.TCPServer(LOOPBACK, All)
    async with server.running(), client_of(server) as client:
        await client.send_all(bytes(65537))
        await client.send_eof()
        assert await receive_all(client) == b""
    assert len(errors) == 1


@pytest.mark.parametrize("name", ["ThreadingTCPServer", "ForkingTCPServer"])
def test_asynchronous_handlers_are_refused_in_threads_and_processes(name: str) -> None:
    """With a word on what to serve them with."""
    with pytest.raises(trioserver.ConfigError, match=r"trioserver\.TCPServer"):
        getattr(trioserver, name)(LOOPBACK, Echo)


async def test_a_handler_of_the_stdlibs_gets_a_socket_in_a_thread() -> None:
    """Unchanged, with its blocking files."""
    seen: list[object] = []

    class Handler(Stdlib):
        def handle(self) -> None:
            seen.append(self.request)
            super().handle()

    server = trioserver.ThreadingTCPServer(LOOPBACK, Handler)
    async with server.running(), client_of(server) as client:
        await client.send_all(b"hello\n")
        assert await receive_exactly(client, 6) == b"hello\n"
    assert isinstance(seen[0], socket.socket)


async def test_errors_are_logged_and_not_printed(
    caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    """Through the logger ``trioserver``."""

    async def handler(request: Any, client_address: Any, server: Any) -> None:
        raise LookupError("a bug")

    server = trioserver.TCPServer(LOOPBACK, handler)
    with caplog.at_level(logging.DEBUG, logger="trioserver"):
        async with server.running(), client_of(server) as client:
            assert await receive_all(client) == b""
    assert [(log.name, log.levelno) for log in caplog.records] == [("trioserver", logging.ERROR)]
    assert capfd.readouterr() == ("", "")


def test_classes_are_siblings_that_are_subclasses_in_the_stdlib() -> None:
    """All are of `BaseServer`."""
    assert issubclass(socketserver.UDPServer, socketserver.TCPServer)
    for cls in (trioserver.UDPServer, trioserver.UnixStreamServer, trioserver.UnixDatagramServer):
        assert issubclass(cls, trioserver.BaseServer)
        assert (
            not issubclass(cls, (trioserver.TCPServer, trioserver.UDPServer)) or cls is trioserver.UDPServer
        )
        assert cls.__module__ != "socketserver"
    for name in ("address_family", "allow_reuse_address", "allow_reuse_port"):
        assert not hasattr(trioserver.UnixStreamServer, name)
        assert not hasattr(trioserver.UnixDatagramServer, name)
