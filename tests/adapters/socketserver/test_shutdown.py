"""shutdown(): before, during and after serve_forever(), and what is left of the server then."""

from __future__ import annotations

from typing import Any

import pytest

import trioserver

from .kit import Flag, receive_all, recording


def handler(request: Any, client_address: Any, server: Any) -> None:
    """Nothing to do."""


def holding() -> tuple[Any, Flag, Flag]:
    """A handler, the flag that it sets, and the flag that it waits for then."""
    began, go_on = Flag(), Flag()

    def hold(*args: Any) -> None:
        began.set()
        go_on.block()

    return hold, began, go_on


@pytest.fixture
def server(module: Any, make: Any) -> Any:
    """A server that records."""
    return make(recording(module.TCPServer), handler)


def test_b23_shutdown_waits_until_the_loop_has_ended(make: Any, call: Any, connect: Any) -> None:
    """The handler that runs comes to its end first; both calls return None. Not only the first time."""
    server = make("TCPServer", handler)
    for _ in range(3):
        server.RequestHandlerClass, began, go_on = holding()
        loop = call(server.serve_forever, 0.01)
        client = connect(server)
        began.block()
        shutdown = call(server.shutdown)
        assert shutdown.goes_on()
        assert loop.is_alive()
        go_on.set()
        assert shutdown.wait() is None
        assert receive_all(client) == b""
        assert loop.wait() is None


def test_b23_after_shutdown_the_server_can_serve_again(
    make: Any, serving: Any, connect: Any, call: Any
) -> None:
    """As often as is wanted, in other threads."""
    server = make("TCPServer", lambda request, *args: request.sendall(b"served"))
    for _ in range(3):
        loop = call(server.serve_forever, 0.01)
        assert receive_all(connect(server)) == b"served"
        call(server.shutdown).wait()
        loop.wait()
    assert server.fileno() != -1


@pytest.mark.parametrize("cls", ["TCPServer", "UDPServer", "ThreadingTCPServer"])
def test_b24_shutdown_while_the_loop_begins_is_neither_lost_nor_does_it_hang(
    make: Any, call: Any, cls: str
) -> None:
    """However the two threads come to run."""
    for _ in range(20):
        server = make(cls, handler)
        loop = call(server.serve_forever, 0.01)
        assert call(server.shutdown).wait() is None
        loop.wait()
        server.server_close()


def test_b24_shutdown_while_a_later_loop_begins_is_not_lost(make: Any, call: Any) -> None:
    """Of the same server."""
    server = make("TCPServer", handler)
    for _ in range(20):
        loop = call(server.serve_forever, 0.01)
        call(server.shutdown).wait()
        loop.wait()


@pytest.mark.parametrize("where", ["RequestHandlerClass", "service_actions", "verify_request"])
def test_b27_shutdown_in_the_thread_of_the_loop_would_wait_for_itself(
    server: Any, connect: Any, call: Any, is_ours: bool, where: str
) -> None:
    """Ours raises an error there, and the loop ends all the same; the stdlib's waits for ever."""
    began = Flag()
    errors: list[Exception] = []

    def shut_down(*args: Any) -> None:
        began.set()
        try:
            server.shutdown()
        except RuntimeError as error:
            errors.append(error)

    setattr(server, where, shut_down)
    loop = call(server.serve_forever, 0.01)
    client = connect(server)
    began.block()
    if not is_ours:
        assert loop.goes_on()
        server._BaseServer__is_shut_down.set()
    loop.wait()
    client.close()
    assert [type(error) for error in errors] == [trioserver.WrongTask] * is_ours
    assert not is_ours or "request_shutdown" in str(errors[0])


def test_b27_a_handler_of_one_server_may_shut_down_another(
    make: Any, serving: Any, connect: Any, call: Any
) -> None:
    """It waits for that one's loop, in another thread."""
    other = make("TCPServer", handler)
    others_loop = call(other.serve_forever, 0.01)
    server = make("TCPServer", lambda *args: other.shutdown())
    with serving(server):
        assert receive_all(connect(server)) == b""
        others_loop.wait()
