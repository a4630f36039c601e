"""A handler that is not synchronous, in the drop-in: where the stdlib is silent it says so."""

from __future__ import annotations

import socket
import sys
from typing import Any

import pytest

import trioserver
from trioserver_adapters import socketserver

from .kit import receive_all


class Awaited(trioserver.StreamRequestHandler):
    async def handle(self) -> None:
        await self.wfile.write(b"never")


class InPlace(trioserver.CallbackRequestHandler):
    def data_received(self, data: bytes) -> None:
        """Echo it."""
        self.write(data)


class OfDatagrams(trioserver.DatagramRequestHandler):
    async def handle(self) -> None:
        """Never called."""


async def awaited(request: Any, client_address: Any, server: Any) -> None:
    """An async function."""


@pytest.mark.parametrize("handler", [Awaited, InPlace, OfDatagrams, awaited])
def test_handler_when_it_is_not_synchronous_then_each_request_fails_and_says_what_would_serve_it(
    handler: Any,
) -> None:
    """The server goes on, as with any error of a handler's; there is no warning of a coroutine beside it."""
    errors: list[BaseException | None] = []

    class Server(socketserver.TCPServer):
        def handle_error(self, request: Any, client_address: Any) -> None:
            errors.append(sys.exc_info()[1])

    with Server(("127.0.0.1", 0), handler) as server:
        for _ in range(2):
            with socket.create_connection(server.server_address) as client:
                server.handle_request()
                assert receive_all(client) == b""
    assert len(errors) == 2
    for error in errors:
        assert isinstance(error, TypeError)
        assert "is no synchronous handler, and Server calls no others" in str(error)


def test_handler_when_it_has_every_attribute_then_it_is_not_taken_for_one_that_has_to_be_awaited() -> None:
    """Some make up their ``do_...`` methods in ``__getattr__``, and reply to the client there."""
    asked: list[str] = []

    class Obliging(socketserver.StreamRequestHandler):
        def __getattr__(self, name: str) -> Any:
            asked.append(name)
            return lambda: None

        def handle(self) -> None:
            self.wfile.write(b"served")

    with socketserver.TCPServer(("127.0.0.1", 0), Obliging) as server:
        with socket.create_connection(server.server_address) as client:
            server.handle_request()
            assert receive_all(client) == b"served"
    assert asked == []
