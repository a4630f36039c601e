"""Bug 3: the stdlib's ``shutdown()`` hangs where no loop runs, in a handler, and in a signal handler."""

from __future__ import annotations

import os
import signal
import threading
from typing import Any

import pytest

import trioserver

from .kit import ask, ask_and_settle, bounded, client_of, echo, isolated, receive, start, variant, wait_until

ADDRESS = ("127.0.0.1", 0)
POLL_INTERVAL = 10.0


@pytest.mark.parametrize("name", ["TCPServer", "ThreadingTCPServer", "UDPServer"])
@isolated
def test_shutdown_when_nothing_has_been_served_then_the_next_serve_forever_returns(
    module: Any, patience: float, name: str
) -> None:
    """It does not wait for a loop that may never run, and is not lost; the one after that serves."""
    served = threading.Event()
    with getattr(module, name)(ADDRESS, lambda *args: served.set()) as server:
        for _ in range(2):  # twice is as good as once
            bounded(patience, server.shutdown)
        bounded(patience, server.serve_forever)
        thread = start(server)
        with client_of(server) as client:
            client.send(b"hello")
            assert served.wait(patience)
        bounded(patience, server.shutdown)
        bounded(patience, thread.join)


@isolated
def test_shutdown_when_called_in_a_handler_of_the_loop_then_says_what_to_call(
    module: Any, patience: float
) -> None:
    """It could only wait for itself. The loop ends nevertheless, as that is what was wanted."""
    errors: list[BaseException] = []

    def handler(request: Any, client_address: Any, server: Any) -> None:
        try:
            server.shutdown()
        except trioserver.WrongTask as exc:
            errors.append(exc)
        request.sendall(b"served")

    with module.TCPServer(ADDRESS, handler) as server:
        thread = start(server, POLL_INTERVAL)
        assert ask(server, seconds=patience) == b"served"
        bounded(patience, thread.join)
    (error,) = errors
    assert "request_shutdown" in str(error)


@isolated
def test_shutdown_when_called_in_service_actions_then_raises_and_the_loop_ends(
    module: Any, patience: float
) -> None:
    """What a hook raises goes out of ``serve_forever()``, this too; the server can serve again."""
    calls: list[int] = []

    def service_actions(self: Any) -> None:
        calls.append(1)
        if len(calls) == 1:
            self.shutdown()

    with variant(module.ThreadingTCPServer, service_actions=service_actions)(ADDRESS, echo) as server:
        with pytest.raises(trioserver.WrongTask):
            bounded(patience, server.serve_forever, 0.01)
        thread = start(server)
        assert ask(server, b"hello") == b"hello"
        bounded(patience, server.shutdown)
        bounded(patience, thread.join)


@isolated
def test_shutdown_when_two_threads_call_it_then_both_return_at_once(module: Any, patience: float) -> None:
    """Neither waits for the poll, nor for the other."""
    with module.TCPServer(ADDRESS, echo) as server:
        thread = start(server, POLL_INTERVAL)
        ask_and_settle(server)
        others = [threading.Thread(target=server.shutdown, daemon=True) for _ in range(2)]
        for each in others:
            each.start()
        for each in [*others, thread]:
            bounded(patience, each.join)


@isolated
def test_shutdown_when_called_while_the_loop_starts_then_is_neither_lost_nor_late(
    module: Any, patience: float
) -> None:
    """Two hundred times, with nothing between the two, and then once when it surely runs."""
    for _ in range(200):
        with module.TCPServer(ADDRESS, echo) as server:
            thread = start(server, POLL_INTERVAL)
            bounded(patience, server.shutdown)
            bounded(patience, thread.join)
    with module.TCPServer(ADDRESS, echo) as server:
        thread = start(server, POLL_INTERVAL)
        ask_and_settle(server)
        bounded(patience, server.shutdown)
        bounded(patience, thread.join)


@isolated
def test_forget_late_shutdown_when_true_then_a_shutdown_after_the_end_is_not_kept(
    module: Any, patience: float
) -> None:
    """It asked for what had already come; the next ``serve_forever()`` serves."""
    with variant(module.TCPServer, forget_late_shutdown=True)(ADDRESS, echo) as server:
        for number in range(3):
            thread = start(server)
            assert ask(server, b"%d" % number, seconds=patience) == b"%d" % number
            for _ in range(2):
                bounded(patience, server.shutdown)
            bounded(patience, thread.join)


@isolated
def test_shutdown_when_late_by_default_then_the_next_serve_forever_returns_at_once(either: Any) -> None:
    """The contract: after ``start()`` and ``shutdown()`` nobody knows whether the loop had begun."""
    with either.TCPServer(ADDRESS, echo) as server:
        thread = start(server)
        assert ask(server, b"hello") == b"hello"
        for _ in range(2):
            bounded(10, server.shutdown)
        bounded(10, thread.join)
        bounded(5, server.serve_forever, POLL_INTERVAL)


@pytest.mark.parametrize("name", ["TCPServer", "ThreadingTCPServer"])
@isolated
def test_request_shutdown_when_called_in_a_signal_handler_then_serve_forever_returns(
    module: Any, patience: float, name: str
) -> None:
    """In the main thread, which serves and so could not wait for the end of that."""
    with getattr(module, name)(ADDRESS, echo) as server:
        # The stdlib's offers nothing better.
        stop = getattr(server, "request_shutdown", server.shutdown)
        signal.signal(signal.SIGUSR1, lambda signum, frame: stop())

        def client() -> None:
            ask_and_settle(server)
            os.kill(os.getpid(), signal.SIGUSR1)

        thread = threading.Thread(target=client, daemon=True)
        thread.start()
        signal.signal(signal.SIGALRM, late)
        signal.setitimer(signal.ITIMER_REAL, patience)
        try:
            server.serve_forever(POLL_INTERVAL)
        except Late:
            raise AssertionError("serve_forever() goes on") from None
        signal.setitimer(signal.ITIMER_REAL, 0)
        bounded(patience, thread.join)


class Late(BaseException):
    """Nothing on the way handles it."""


def late(signum: int, frame: object) -> None:
    """A signal handler."""
    raise Late


@pytest.mark.parametrize("name", ["TCPServer", "ThreadingTCPServer"])
@isolated
def test_request_shutdown_when_called_in_a_handler_then_the_loop_ends_and_the_reply_is_sent(
    module: Any, patience: float, name: str
) -> None:
    """It never waits; and when nothing is served it is kept, as a ``shutdown()`` is."""

    def handler(request: Any, client_address: Any, server: Any) -> None:
        server.request_shutdown()
        request.sendall(request.recv(100))

    with getattr(module, name)(ADDRESS, handler) as server:
        thread = start(server, POLL_INTERVAL)
        with client_of(server, patience) as client:
            client.sendall(b"hello")
            assert receive(client) == b"hello"
        bounded(patience, thread.join)
        server.request_shutdown()
        bounded(patience, server.serve_forever)
        wait_until(lambda: not thread.is_alive())
