"""handle_request(): how long it waits, and for what."""

from __future__ import annotations

import contextvars
import socket
import threading
import time
from typing import Any

import pytest

from .kit import ask_to_stop, names, receive_all, recording, throw
from .signaller import Signaller

variable = contextvars.ContextVar("variable", default="unset")


def handler(request: Any, client_address: Any, server: Any) -> None:
    """Nothing to do."""


@pytest.mark.parametrize(
    ("of_socket", "of_server", "least"),
    [
        (None, 0.02, 0.02),
        (0.02, None, 0.02),
        (0.02, 60, 0.02),
        (60, 0.02, 0.02),
        (0.0, 60, 0),
        (60, 0, 0),
        (None, 0, 0),
        (0.0, None, 0),
        (None, -1, 0),
    ],
)
@pytest.mark.parametrize("cls", ["TCPServer", "UDPServer", "ThreadingTCPServer"])
def test_b11_it_waits_as_long_as_the_smaller_of_the_two_timeouts_that_are_set(
    module: Any, make: Any, cls: str, of_socket: float | None, of_server: float | None, least: float
) -> None:
    """And then calls handle_timeout(), here, once, whose value it returns."""
    value = object()
    server = make(recording(getattr(module, cls), handle_timeout=lambda self: value), handler)
    server.socket.settimeout(of_socket)
    server.timeout = of_server
    server.calls = []
    begin = time.monotonic()
    assert server.handle_request() is value
    assert least <= time.monotonic() - begin < 10
    assert [call[:3] for call in server.calls] == [("handle_timeout", (), threading.get_ident())]


def test_b11_handle_timeout_does_nothing_by_default_and_there_is_no_timeout(module: Any, make: Any) -> None:
    """None is what handle_request() then returns."""
    server = make("TCPServer", handler, timeout=0)
    assert server.handle_request() is None
    assert module.BaseServer.timeout is None
    assert module.BaseServer(None, None).handle_timeout() is None


def test_b11_the_timeout_is_read_for_each_wait_from_instance_or_class(make: Any, module: Any) -> None:
    """Another one counts from the next call on."""
    cls = recording(module.TCPServer, handle_timeout=lambda self: "timeout")
    server = make(cls, handler)
    for owner, timeout in [(cls, 0), (server, 0.02), (server, 0)]:
        owner.timeout = timeout
        begin = time.monotonic()
        assert server.handle_request() == "timeout"
        assert timeout <= time.monotonic() - begin < 10


def test_b11_what_handle_timeout_raises_is_raised(module: Any, make: Any) -> None:
    """As it is, whatever it is; programs end loops with it."""
    for error in (OSError("x"), StopIteration(), SystemExit(1)):

        def fail(self: Any, error: BaseException = error) -> None:
            raise error

        server = make(recording(module.TCPServer, handle_timeout=fail), handler, timeout=0)
        with pytest.raises(type(error)) as caught:
            server.handle_request()
        assert caught.value is error
        assert (error.__context__, error.__cause__) == (None, None)


@pytest.mark.parametrize("timeout", [None, 0, 60])
def test_b11_a_request_that_is_there_is_served_whatever_the_timeout(
    module: Any, make: Any, connect: Any, timeout: float | None
) -> None:
    """One at a time, without a call of handle_timeout(); None is returned."""
    served: list[Any] = []

    def serve(request: Any, *args: Any) -> str:
        served.append(request)
        return "ignored"

    server = make(recording(module.TCPServer), serve, timeout=timeout)
    clients = [connect(server), connect(server)]
    for number, client in enumerate(clients, start=1):
        assert server.handle_request() is None
        assert len(served) == number
        assert receive_all(client) == b""
    assert "handle_timeout" not in names(server)


@pytest.mark.parametrize("timeout", [None, 60])
def test_b11_a_request_that_comes_later_ends_the_wait(
    make: Any, connect: Any, call: Any, timeout: float
) -> None:
    """In the thread that waits."""
    server = make("TCPServer", lambda request, *args: request.sendall(b"served"), timeout=timeout)
    waiting = call(server.handle_request)
    assert waiting.goes_on()
    assert receive_all(connect(server)) == b"served"
    assert waiting.wait() is None


def test_b11_a_shutdown_is_none_of_its_business(make: Any, connect: Any, call: Any) -> None:
    """It waits on; the end was asked of a loop."""
    server = make("TCPServer", lambda request, *args: request.sendall(b"served"))
    waiting = call(server.handle_request)
    assert waiting.goes_on()
    ask_to_stop(server)
    assert waiting.goes_on()
    assert receive_all(connect(server)) == b"served"
    assert waiting.wait() is None


def test_the_wait_is_not_ended_early_by_a_signal(make: Any, module: Any) -> None:
    """Nor is it made longer by many: the time that has passed counts."""
    server = make(recording(module.TCPServer, handle_timeout=lambda self: "timeout"), handler, timeout=0.1)
    begin = time.monotonic()
    with Signaller() as sender:
        assert server.handle_request() == "timeout"
    assert 0.1 <= time.monotonic() - begin < 10
    assert sender.received > 1


@pytest.mark.parametrize("timeout", [None, 60])
def test_a_signal_handler_that_raises_ends_the_wait(make: Any, connect: Any, timeout: Any) -> None:
    """Its error is raised as it is; the next call serves."""
    server = make("TCPServer", lambda request, *args: request.sendall(b"served"), timeout=timeout)
    error = KeyboardInterrupt()
    with pytest.raises(KeyboardInterrupt) as caught, Signaller(lambda: throw(error)):
        server.handle_request()
    assert caught.value is error
    client = connect(server)
    server.handle_request()
    assert receive_all(client) == b"served"


def test_b12_the_hooks_and_the_handler_run_in_the_context_of_the_caller(make: Any, connect: Any) -> None:
    """A handler sees the caller's context variables, and the caller those that it has set."""

    def serve(request: Any, *args: Any) -> None:
        request.sendall(variable.get().encode())
        variable.set("by the handler")

    server = make("TCPServer", serve)
    client = connect(server)

    def check() -> None:
        variable.set("by the caller")
        server.handle_request()
        assert variable.get() == "by the handler"

    contextvars.copy_context().run(check)
    assert receive_all(client) == b"by the caller"


def test_b12_several_threads_may_each_wait_for_a_request(make: Any, connect: Any, call: Any) -> None:
    """Each serves one."""
    threads: list[int] = []
    server = make("TCPServer", lambda *args: threads.append(threading.get_ident()))
    waiting = [call(server.handle_request) for _ in range(3)]
    assert [each.goes_on() for each in waiting] == [True] * 3
    for _ in waiting:
        assert receive_all(connect(server)) == b""
    assert [each.wait() for each in waiting] == [None] * 3
    assert set(threads) == {each.ident for each in waiting}


def test_service_actions_are_not_called_for_single_requests(module: Any, make: Any, connect: Any) -> None:
    """They are those of the loop of serve_forever()."""
    server = make(recording(module.TCPServer), handler, timeout=0)
    client = connect(server)
    server.handle_request()
    server.handle_request()
    assert receive_all(client) == b""
    assert names(server)[-1] == "handle_timeout"
    assert "service_actions" not in names(server)


def test_handle_request_returns_what_an_override_of_the_private_step_does(module: Any, make: Any) -> None:
    """As in the standard library; programs override it to see that a request was taken."""

    class Server(module.UDPServer):
        def _handle_request_noblock(self) -> Any:
            super()._handle_request_noblock()
            return "taken"

    server = make(Server, handler)
    with socket.socket(type=socket.SOCK_DGRAM) as client:
        client.sendto(b"", server.server_address)
        assert server.handle_request() == "taken"
