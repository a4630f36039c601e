"""What the mix-in accepts: handlers, options, bases, sockets."""

from __future__ import annotations

import functools
import socketserver
from typing import Any

import pytest
import trio
from harness import client_of, receive_all

import trioserver

from .kit import Echo

ADDRESS = ("127.0.0.1", 0)


async def asynchronous(request: Any, client_address: Any, server: Any) -> None:
    """A handler of the other kind."""


class AsyncCall:
    """An object that is called asynchronously."""

    async def __call__(self, request: Any, client_address: Any, server: Any) -> None:
        """Called."""


class HalfAsync(socketserver.BaseRequestHandler):
    """What is left of half a migration."""

    async def handle(self) -> None:  # type: ignore[override]
        """Not awaited by the stdlib's class."""


@pytest.mark.parametrize(
    "handler",
    [
        asynchronous,
        functools.partial(asynchronous),
        AsyncCall(),
        HalfAsync,
        trioserver.BaseRequestHandler,
    ],
)
@pytest.mark.parametrize(
    ("server", "right"),
    [
        (trioserver.ThreadingTCPServer, "trioserver.TCPServer"),
        (type("Mine", (trioserver.ThreadingUDPServer,), {}), "trioserver.UDPServer"),
    ],
)
def test_handler_when_it_is_asynchronous_then_the_error_says_which_server_is_right(
    server: Any, right: str, handler: Any
) -> None:
    """When the server is made, and not when the first request comes."""
    with pytest.raises(trioserver.ConfigError, match=right):
        server(ADDRESS, handler)


def test_handler_when_it_can_not_be_called_then_config_error() -> None:
    """As for every server."""
    with pytest.raises(trioserver.ConfigError, match="must be callable"):
        trioserver.ThreadingTCPServer(ADDRESS, None)  # type: ignore[arg-type]


async def test_handler_when_it_returns_what_must_be_awaited_then_type_error(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """It could not be known before."""
    server = trioserver.ThreadingTCPServer(ADDRESS, lambda *args: asynchronous(*args))
    async with server.running(), client_of(server) as client:
        assert await receive_all(client) == b""
        await server.shutdown(None)
    assert "has to be awaited" in caplog.text


@pytest.mark.parametrize("name", ["finish_request", "process_request_thread"])
def test_hook_of_the_thread_when_it_is_asynchronous_then_config_error(name: str) -> None:
    """Nothing in the thread would await it."""
    server = type("Server", (trioserver.ThreadingTCPServer,), {name: asynchronous})
    with pytest.raises(trioserver.ConfigError, match=f"Server.{name} must be a plain 'def'"):
        server(ADDRESS, Echo)


def test_mix_in_when_it_is_not_the_first_base_then_type_error() -> None:
    """Half of its methods would not be found."""
    with pytest.raises(TypeError, match="must come before TCPServer"):
        type("Wrong", (trioserver.TCPServer, trioserver.ThreadingMixIn), {})


async def test_mix_in_when_only_the_servers_init_is_called_then_it_works() -> None:
    """As programs for the stdlib do."""

    class Server(trioserver.ThreadingMixIn, trioserver.TCPServer):
        max_threads = 2
        daemon_threads = True

        def __init__(self) -> None:
            trioserver.TCPServer.__init__(self, ADDRESS, Echo)  # type: ignore[arg-type]

    server = Server()
    async with server.running(), client_of(server) as client:
        await client.send_all(b"x\n")
        await client.send_eof()
        assert await receive_all(client) == b"x\n"
    assert server._limiter.total_tokens == 2


def test_options_when_unknown_then_the_message_has_the_mix_ins_too() -> None:
    """All that there are, of all classes."""
    with pytest.raises(TypeError, match=r"block_on_close.*daemon_threads.*max_requests.*max_threads"):
        trioserver.ThreadingTCPServer(ADDRESS, Echo, threads=4)  # type: ignore[call-arg]


async def test_request_when_it_is_no_socket_then_the_handler_gets_it_as_it_is() -> None:
    """Rows of a database, say; nothing is closed or shut down."""
    served: list[tuple[object, Any]] = []

    class Rows(trioserver.ThreadingMixIn, trioserver.BaseServer[str]):
        async def get_request(self) -> tuple[str, Any]:
            await trio.lowlevel.checkpoint()
            return "row", None

    def handler(request: object, client_address: Any, server: Any) -> None:
        served.append((request, client_address))
        trio.from_thread.run_sync(server.request_shutdown, None)

    server = Rows(None, handler, max_threads=1)
    await server.serve_forever()
    assert served == [("row", None)]


async def test_finish_request_when_called_in_the_trio_thread_then_runtime_error(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """An override from an asynchronous server would stop the whole program until the client is done."""

    class Server(trioserver.ThreadingTCPServer):
        async def process_request(self, request: Any, client_address: Any) -> None:
            await self.finish_request(request, client_address)

    async with Server(ADDRESS, Echo).running() as server, client_of(server) as client:
        assert await receive_all(client) == b""
        assert (await server.shutdown(None)).failed == 1
    assert "await process_request() there" in caplog.text
