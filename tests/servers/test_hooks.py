"""The hooks of a server: each may be overridden, and each is called when the stdlib's is."""

from __future__ import annotations

import sys
from typing import Any

import pytest
import trio
import trio.testing
from harness import client_of, receive_all

import trioserver


class Hello(trioserver.StreamRequestHandler):
    """Greets, once."""

    async def handle(self) -> None:
        await self.wfile.write(b"hello")


class Traced(trioserver.TCPServer):
    """Wraps every hook of a request and notes the calls."""

    def __init__(self, handler: Any = Hello) -> None:
        super().__init__(("127.0.0.1", 0), handler)
        self.calls: list[str] = []
        self.answer = True

    async def get_request(self) -> tuple[trioserver.RequestStream, Any]:
        request, client_address = await super().get_request()
        self.calls.append("get_request")
        return request, (*client_address, "seen")

    async def verify_request(self, request: trioserver.RequestStream, client_address: Any) -> bool:
        self.calls.append(f"verify_request {client_address[-1]}")
        await trio.lowlevel.checkpoint()
        return self.answer

    async def process_request(self, request: trioserver.RequestStream, client_address: Any) -> None:
        self.calls.append("process_request")
        await super().process_request(request, client_address)

    async def finish_request(self, request: trioserver.RequestStream, client_address: Any) -> None:
        self.calls.append("finish_request")
        await super().finish_request(request, client_address)

    async def shutdown_request(self, request: trioserver.RequestStream) -> None:
        self.calls.append("shutdown_request")
        await super().shutdown_request(request)

    async def close_request(self, request: trioserver.RequestStream) -> None:
        self.calls.append("close_request")
        await super().close_request(request)

    async def handle_error(self, request: trioserver.RequestStream, client_address: Any) -> None:
        self.calls.append(f"handle_error {sys.exc_info()[1]!r}")


async def replies(server: trioserver.StreamServer) -> tuple[bytes, trioserver.ShutdownReport]:
    """What one client gets, and the report."""
    async with server.running():
        async with client_of(server) as client:
            reply = await receive_all(client)
        return reply, await server.shutdown(None)


async def test_hooks_when_all_are_overridden_then_are_called_in_the_documented_order(io_path: str) -> None:
    """One request goes through every hook once; the address that get_request() returns is the one used."""
    server = Traced()
    reply, report = await replies(server)
    assert (reply, report.finished) == (b"hello", 1)
    assert server.calls == [
        "get_request",
        "verify_request seen",
        "process_request",
        "finish_request",
        "shutdown_request",
        "close_request",
    ]


async def test_verify_request_when_false_then_the_request_is_rejected_and_closed(io_path: str) -> None:
    """No handler is called; the client sees the end; it counts as rejected."""
    server = Traced()
    server.answer = False
    reply, report = await replies(server)
    assert (reply, report.rejected, report.finished) == (b"", 1, 0)
    assert server.calls == ["get_request", "verify_request seen", "shutdown_request", "close_request"]


async def test_handle_error_when_the_handler_raises_then_is_called_before_the_closing_hooks() -> None:
    """handle_error() finds the exception in sys.exc_info(); then the request is closed as any other."""

    async def handler(request: object, client_address: object, server: object) -> None:
        raise KeyError("mine")

    server = Traced(handler)
    reply, report = await replies(server)
    assert (reply, report.failed) == (b"", 1)
    assert server.calls[3:] == [
        "finish_request",
        "handle_error KeyError('mine')",
        "shutdown_request",
        "close_request",
    ]


async def test_close_request_when_cancelled_then_is_called_alone(io_path: str) -> None:
    """There is no time for a graceful end: shutdown_request() is left out."""

    async def handler(request: trioserver.RequestStream, client_address: object, server: object) -> None:
        await request.send_all(b"x")
        await trio.sleep_forever()

    server = Traced(handler)
    async with server.running(), client_of(server) as client:
        assert await client.receive_some() == b"x"
        await server.shutdown()
    assert server.calls[-2:] == ["finish_request", "close_request"]


async def test_close_request_when_it_does_nothing_then_the_connection_is_closed_all_the_same() -> None:
    """P1 does not depend on what a subclass forgets."""

    class Forgetful(trioserver.TCPServer):
        async def shutdown_request(self, request: object) -> None:
            pass

    reply, _ = await replies(Forgetful(("127.0.0.1", 0), Hello))
    assert reply == b"hello"


async def test_handle_error_when_it_raises_then_the_server_stops_with_that_error() -> None:
    """To let an error stop the server, raise it from handle_error(); it is bare."""

    class Strict(trioserver.TCPServer):
        async def handle_error(self, request: object, client_address: object) -> None:
            raise

    async def handler(request: object, client_address: object, server: object) -> None:
        raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        async with Strict(("127.0.0.1", 0), handler).running() as server, client_of(server):
            await trio.sleep_forever()


async def test_handle_timeout_when_no_request_comes_then_is_called_once(io_path: str) -> None:
    """handle_request() waits for ``timeout`` seconds; with a request in time it is not called."""
    calls = []

    class Server(trioserver.TCPServer):
        timeout = 0.001

        async def handle_timeout(self) -> None:
            calls.append("timeout")

    async with Server(("127.0.0.1", 0), Hello) as server:
        await server.handle_request()
        assert calls == ["timeout"]
        async with client_of(server) as client:
            server.timeout = 5
            await server.handle_request()
            assert await receive_all(client) == b"hello"
    assert calls == ["timeout"]


async def test_service_actions_when_nobody_comes_then_is_called_every_poll_interval(
    autojump_clock: trio.testing.MockClock,
) -> None:
    """At least every poll_interval seconds, and what it raises stops the server."""
    times = []

    class Server(trioserver.BaseServer[Any]):
        async def get_request(self) -> tuple[Any, Any]:
            await trio.sleep_forever()
            raise AssertionError

        async def service_actions(self) -> None:
            times.append(trio.current_time() - began)
            if len(times) == 3:
                raise EOFError

    began = trio.current_time()
    with pytest.raises(EOFError):
        await Server(None, Hello).serve_forever(poll_interval=2)
    assert times == [2, 4, 6]


async def test_service_actions_when_a_request_came_then_is_called_at_once(io_path: str) -> None:
    """After a batch of accepted requests it does not wait for the interval."""
    called = trio.Event()

    class Server(trioserver.TCPServer):
        poll_interval = 3600

        async def service_actions(self) -> None:
            called.set()

    async with Server(("127.0.0.1", 0), Hello).running() as server:
        await trio.testing.wait_all_tasks_blocked()
        assert not called.is_set()
        async with client_of(server) as client:
            assert await receive_all(client) == b"hello"
        await called.wait()
