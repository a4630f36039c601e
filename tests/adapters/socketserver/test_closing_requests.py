"""shutdown_request() and close_request(): how a connection ends; of a datagram there is nothing to close."""

from __future__ import annotations

import socket
from typing import Any

import pytest

from .kit import ADDRESS, receive_all, recording


def handler(request: Any, client_address: Any, server: Any) -> None:
    """Nothing to do."""


class FakeRequest:
    """Keeps what it is asked to do; ``errors`` are raised by the methods of that name."""

    def __init__(self, **errors: BaseException) -> None:
        self.asked: list[Any] = []
        self.errors = errors

    def shutdown(self, how: int) -> None:
        self._asked("shutdown", how)

    def close(self) -> None:
        self._asked("close")

    def _asked(self, name: str, *args: Any) -> None:
        self.asked.append((name, *args))
        if name in self.errors:
            raise self.errors[name]


@pytest.mark.parametrize("cls", ["TCPServer", "ThreadingTCPServer"])
def test_b20_a_request_is_shut_down_for_writing_and_then_closed_through_the_hook(
    module: Any, make: Any, cls: str
) -> None:
    """It may be any object with these two methods; an OSError of the first is ignored."""
    for errors in ({}, {"shutdown": OSError("not connected")}):
        server = make(recording(getattr(module, cls)), handler)
        request = FakeRequest(**errors)
        assert server.shutdown_request(request) is None
        assert request.asked == [("shutdown", socket.SHUT_WR), ("close",)]
        assert [call[:2] for call in server.calls[-2:]] == [
            ("shutdown_request", (request,)),
            ("close_request", (request,)),
        ]


def test_b20_shutting_a_request_down_closes_nothing_where_the_hook_does_not(module: Any, make: Any) -> None:
    """Forking servers and others override close_request()."""
    server = make(recording(module.TCPServer, close_request=lambda self, request: None), handler)
    server.shutdown_request(request := FakeRequest())
    assert request.asked == [("shutdown", socket.SHUT_WR)]


@pytest.mark.parametrize("cls", ["TCPServer", "UnixStreamServer"])
def test_b20_close_request_closes_and_nothing_else(module: Any, cls: str) -> None:
    """It does not shut down: other processes may have the connection as well."""
    server = getattr(module, cls)(ADDRESS, handler, bind_and_activate=False)
    server.server_close()
    assert server.close_request(request := FakeRequest()) is None
    assert request.asked == [("close",)]


@pytest.mark.parametrize(
    ("errors", "left"),
    [
        ({"shutdown": ValueError("x")}, 1),
        ({"shutdown": KeyboardInterrupt()}, 1),
        ({"close": OSError("x")}, 2),
    ],
)
def test_b20_other_errors_of_shutting_down_and_any_of_closing_are_raised(
    make: Any, errors: dict[str, BaseException], left: int
) -> None:
    """After the former nothing is closed."""
    server = make("TCPServer", handler)
    (error,) = errors.values()
    request = FakeRequest(**errors)
    with pytest.raises(type(error)) as caught:
        server.shutdown_request(request)
    assert caught.value is error
    assert len(request.asked) == left


@pytest.mark.parametrize("how", ["shutdown_request", "close_request"])
def test_b20_a_connection_is_closed_when_these_return(make: Any, connect: Any, how: str) -> None:
    """Here and, by that, for the client."""
    server = make("TCPServer", handler)
    client = connect(server)
    request, _ = server.get_request()
    getattr(server, how)(request)
    assert request.fileno() == -1
    assert receive_all(client) == b""


@pytest.mark.parametrize("cls", ["BaseServer", "UDPServer"])
def test_b20_without_connections_there_is_nothing_to_close(module: Any, cls: str) -> None:
    """Of a datagram, which is a tuple, nothing is called; the hook is."""
    server = recording(getattr(module, cls))(ADDRESS, handler)
    try:
        server.calls = []
        request = (b"data", object())
        assert server.shutdown_request(request) is None
        assert [call[:2] for call in server.calls] == [
            ("shutdown_request", (request,)),
            ("close_request", (request,)),
        ]
    finally:
        server.server_close()


def test_b20_a_datagram_request_leaves_the_socket_of_the_server_open(make: Any, connect: Any) -> None:
    """It is part of each request and serves the next one."""
    server = make("UDPServer", lambda request, address, _: request[1].sendto(request[0], address))
    client = connect(server)
    for data in (b"one", b"two"):
        client.send(data)
        server.handle_request()
        assert client.recv(100) == data
