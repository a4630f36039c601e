"""`StreamRequestHandler`: what its class variables do, and the keep-alive loop."""

from __future__ import annotations

import logging
import socket
from typing import TYPE_CHECKING, Any

import pytest
import trio
from harness import client_of, receive_all, receive_exactly, wait_until

import trioserver

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def debug_log(caplog: pytest.LogCaptureFixture) -> Iterator[pytest.LogCaptureFixture]:
    """The log of ``trioserver``, at every level."""
    with caplog.at_level(logging.DEBUG, logger="trioserver"):
        yield caplog


def serving(handler: type[trioserver.StreamRequestHandler]) -> trioserver.TCPServer:
    """A server that is not opened."""
    return trioserver.TCPServer(("127.0.0.1", 0), handler)


async def test_attributes_when_set_up_then_are_those_of_the_stdlib() -> None:
    """``connection`` is ``request``; the address and the server are the real ones."""
    seen = []

    class Handler(trioserver.StreamRequestHandler):
        async def handle(self) -> None:
            seen.append(self.connection is self.request)
            seen.append(self.client_address == self.request.socket.getpeername())
            await self.wfile.write(b"x")

    async with serving(Handler).running() as server, client_of(server) as client:
        assert await receive_all(client) == b"x"
    assert seen == [True, True]


async def test_timeout_when_the_client_is_silent_then_stream_timeout_and_a_debug_line(
    debug_log: pytest.LogCaptureFixture, io_path: str
) -> None:
    """A wait that takes too long ends the request, which is no reason for a traceback."""

    class Handler(trioserver.StreamRequestHandler):
        timeout = 0.01

        async def handle(self) -> None:
            await self.rfile.readline()

    async with serving(Handler).running() as server, client_of(server) as client:
        assert await receive_all(client) == b""
        report = await server.shutdown(None)
    assert report.failed == 1
    assert [(r.levelno, r.exc_info) for r in debug_log.records] == [(logging.DEBUG, None)]
    assert "StreamTimeout" in debug_log.text


async def test_wbufsize_when_set_then_writes_are_gathered_until_finish(io_path: str) -> None:
    """Nothing is sent before the buffer is full, flush() is called, or finish() flushes."""
    pending = []

    class Handler(trioserver.StreamRequestHandler):
        wbufsize = 100

        async def handle(self) -> None:
            await self.wfile.write(b"a" * 60)
            pending.append((self.wfile.pending, self.request.bytes_sent))
            await self.wfile.write(b"b" * 60)
            pending.append((self.wfile.pending, self.request.bytes_sent))
            await self.wfile.write(b"c")

    async with serving(Handler).running() as server, client_of(server) as client:
        assert await receive_all(client) == b"a" * 60 + b"b" * 60 + b"c"
    assert pending == [(60, 0), (0, 120)]


async def test_rbufsize_when_set_then_one_receive_asks_for_no_more(io_path: str) -> None:
    """With ``rbufsize = 1`` the stream holds no byte that was not asked for."""
    counts = []

    class Handler(trioserver.StreamRequestHandler):
        rbufsize = 1

        async def handle(self) -> None:
            await self.rfile.readline()
            counts.append(self.request.bytes_received)
            await self.wfile.write(await self.request.receive_some())

    async with serving(Handler).running() as server, client_of(server) as client:
        await client.send_all(b"line\nrest")
        assert await receive_exactly(client, 4) == b"rest"
    assert counts == [5]


@pytest.mark.parametrize("disable", [True, False])
async def test_disable_nagle_algorithm_when_set_then_so_is_tcp_nodelay(disable: bool) -> None:
    """True, the default, turns Nagle's algorithm off; false turns it on."""
    options = []

    class Handler(trioserver.StreamRequestHandler):
        disable_nagle_algorithm = disable

        async def handle(self) -> None:
            options.append(self.request.socket.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))

    async with serving(Handler).running() as server, client_of(server) as client:
        assert await receive_all(client) == b""
    assert [bool(option) for option in options] == [disable]


async def test_disable_nagle_algorithm_when_the_socket_listened_before_then_it_holds_all_the_same() -> None:
    """With socket activation connections are made before the server has the socket: TCP_NODELAY there too."""
    options = []

    async def handler(request: trioserver.RequestStream, client_address: Any, server: Any) -> None:
        options.append(request.socket.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))

    listening = socket.create_server(("127.0.0.1", 0))
    with socket.create_connection(listening.getsockname()):
        server = trioserver.TCPServer(None, handler, sock=listening)
        await server.handle_request()
    assert [bool(option) for option in options] == [True]


async def test_max_line_bytes_when_passed_then_limit_exceeded_and_a_debug_line(
    debug_log: pytest.LogCaptureFixture,
) -> None:
    """A line that is too long ends the request unless the handler catches it; no traceback."""

    class Handler(trioserver.StreamRequestHandler):
        max_line_bytes = 10

        async def handle(self) -> None:
            async for line in self.rfile:
                await self.wfile.write(line)

    async with serving(Handler).running() as server, client_of(server) as client:
        await client.send_all(b"short\n" + b"x" * 100)
        assert await receive_all(client) == b"short\n"
        await client.aclose()
        report = await server.shutdown(None)
    assert report.failed == 1
    assert [(r.levelno, r.exc_info) for r in debug_log.records] == [(logging.DEBUG, None)]
    assert "LimitExceeded" in debug_log.text


class KeepAlive(trioserver.StreamRequestHandler):
    """Echoes lines until the client leaves, is idle too long, or the server drains."""

    idle: float | None = None

    async def handle(self) -> None:
        while await self.wait_request(self.idle):
            await self.wfile.write(await self.rfile.readline())
        await self.wfile.write(b"bye")


async def test_wait_request_when_the_server_drains_then_idle_requests_end_at_once(io_path: str) -> None:
    """An idle connection does not hold up a drain without a bound, and its request finishes."""
    async with serving(KeepAlive).running() as server, client_of(server) as client:
        await client.send_all(b"hello\n")
        assert await receive_exactly(client, 6) == b"hello\n"
        await wait_until(lambda: server.requests[0].state is trioserver.RequestState.IDLE)
        server.request_shutdown(None)
        assert await receive_all(client) == b"bye"
        await client.aclose()
        assert (await server.shutdown(None)).finished == 1


async def test_wait_request_when_the_client_leaves_then_the_loop_ends(io_path: str) -> None:
    """False at the end of the stream."""
    async with serving(KeepAlive).running() as server, client_of(server) as client:
        await client.send_all(b"one\ntwo\n")
        await client.send_eof()
        assert await receive_all(client) == b"one\ntwo\nbye"


async def test_wait_request_when_idle_too_long_then_the_loop_ends_without_an_error(
    debug_log: pytest.LogCaptureFixture, io_path: str
) -> None:
    """False after the idle timeout, and nothing is logged."""

    class Impatient(KeepAlive):
        idle = 0.01

    async with serving(Impatient).running() as server, client_of(server) as client:
        assert await receive_all(client) == b"bye"
    assert debug_log.records == []


async def test_wait_draining_when_the_server_drains_then_a_handler_can_say_goodbye(io_path: str) -> None:
    """A handler that waits for something else learns of the drain, too."""

    class Handler(trioserver.StreamRequestHandler):
        async def handle(self) -> None:
            await self.wfile.write(b"hello ")
            await self.server.wait_draining()
            await self.wfile.write(b"goodbye")

    async with serving(Handler).running() as server, client_of(server) as client:
        assert await client.receive_some() == b"hello "
        async with trio.open_nursery() as nursery:
            nursery.start_soon(server.shutdown, None)
            assert await receive_all(client) == b"goodbye"
            await client.aclose()
