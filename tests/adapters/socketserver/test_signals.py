"""Serving in the main thread: Ctrl-C, and signal handlers that shut the server down."""

from __future__ import annotations

import signal
import threading
from typing import TYPE_CHECKING, Any

import pytest

from .kit import Flag, ask_to_stop, receive_all, recording, throw
from .signaller import Signaller

if TYPE_CHECKING:
    from collections.abc import Iterator

LONG = 60
"""A poll interval that does not pass during a test."""


def reply(request: Any, client_address: Any, server: Any) -> None:
    """A handler."""
    request.sendall(b"served")


def settings() -> list[Any]:
    """How this process has signals handled."""
    return [signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM), wakeup_fd()]


def wakeup_fd() -> int:
    """The descriptor to which signals are written; it is left as it was."""
    fd = signal.set_wakeup_fd(-1)
    signal.set_wakeup_fd(fd)
    return fd


@pytest.fixture(autouse=True)
def signals_are_handled_as_before() -> Iterator[None]:
    """In all of these tests."""
    before = settings()
    yield
    assert settings() == before


@pytest.mark.parametrize("error", [KeyboardInterrupt(), SystemExit(1), ValueError("x")])
def test_b29_a_signal_handler_that_raises_ends_the_wait_at_once(
    make: Any, connect: Any, call: Any, error: BaseException
) -> None:
    """However long the poll interval is; the error is raised as it is, and the server can go on."""
    serves = Flag()
    server = make("TCPServer", reply, service_actions=serves.set)
    client = connect(server)
    with pytest.raises(type(error)) as caught, Signaller(lambda: throw(error), serves):
        server.serve_forever(LONG)
    assert caught.value is error
    assert call(server.shutdown).wait() is None
    assert receive_all(client) == b"served"
    client = connect(server)
    server.handle_request()
    assert receive_all(client) == b"served"


def test_b29_ctrl_c_ends_the_loop(make: Any, connect: Any) -> None:
    """By a KeyboardInterrupt in the main thread, after which a client can still connect."""
    serves = Flag()
    server = make("TCPServer", reply, service_actions=serves.set)
    client = connect(server)
    with pytest.raises(KeyboardInterrupt), Signaller(lambda: signal.raise_signal(signal.SIGINT), serves):
        server.serve_forever(LONG)
    assert receive_all(client) == b"served"
    connect(server)


def test_b29_a_signal_handler_may_raise_while_serving_begins(make: Any) -> None:
    """At whatever step of it: what had been begun does not stay behind."""

    def interrupt() -> None:
        raise KeyboardInterrupt

    for step in range(40):
        server = make("TCPServer", reply)
        with pytest.raises(KeyboardInterrupt), Signaller(interrupt, after=step / 10_000):
            server.serve_forever(LONG)
        server.server_close()


def test_b29_ctrl_c_gets_into_a_handler_that_runs(module: Any, make: Any, connect: Any) -> None:
    """Which is in the main thread; its request is closed, and nobody handles that as an error."""
    began = Flag()

    def serve(*args: Any) -> None:
        began.set()
        Flag().block()

    server = make(recording(module.TCPServer), serve)
    client = connect(server)
    with pytest.raises(KeyboardInterrupt), Signaller(lambda: signal.raise_signal(signal.SIGINT), began):
        server.serve_forever(LONG)
    assert receive_all(client) == b""
    assert [hook.name for hook in server.calls[-3:]] == [
        "finish_request",
        "shutdown_request",
        "close_request",
    ]
    assert type(server.calls[-1].error) is KeyboardInterrupt


def test_b29_a_signal_handler_may_start_a_thread_that_shuts_down(make: Any, connect: Any, call: Any) -> None:
    """As programs do for SIGTERM; serve_forever() returns."""
    server = make("TCPServer", reply)
    threads: list[Any] = []
    with Signaller(lambda: threads.append(call(server.shutdown))):
        assert server.serve_forever(0.01) is None
    assert threads[0].wait() is None


def test_b29_a_signal_handler_may_ask_for_the_end(make: Any, connect: Any, is_ours: bool) -> None:
    """Of ours; the stdlib's shutdown() would wait for itself there."""
    serves = Flag()
    server = make("TCPServer", reply, service_actions=serves.set)
    connect(server)
    with Signaller(lambda: ask_to_stop(server), serves):
        assert server.serve_forever(LONG if is_ours else 0.01) is None


def test_b29_signals_that_are_handled_do_not_end_the_loop(make: Any, connect: Any, call: Any) -> None:
    """Nor are their handlers called late: they run in the main thread, which waits."""
    seen = Flag()
    threads: list[Any] = []

    def look() -> None:
        threads.append(threading.current_thread())
        seen.set()

    def client() -> bytes:
        seen.block()
        data = receive_all(connect(server))
        server.shutdown()
        return data

    server = make("TCPServer", reply)
    with Signaller(look):
        peer = call(client)
        server.serve_forever(0.01)
    assert peer.wait() == b"served"
    assert threads == [threading.main_thread()]


def test_b29_while_the_server_serves_the_handlers_of_signals_stay_as_they_are(
    make: Any, connect: Any, call: Any
) -> None:
    """The program's own, or the default: a request can look at them."""
    seen: list[Any] = []

    def serve(*args: Any) -> None:
        seen.extend([signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)])

    before = [signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)]
    server = make("TCPServer", serve)
    client = connect(server)
    server.handle_request()
    assert receive_all(client) == b""
    assert seen == before
    client = connect(server)
    server.service_actions = lambda: throw(KeyboardInterrupt())
    with pytest.raises(KeyboardInterrupt):
        server.serve_forever(LONG)
    assert seen == before * 2
