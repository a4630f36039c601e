"""Signal handlers of the program: they are left as they are, and may raise, stop the server, or block."""

from __future__ import annotations

import signal
import sys
import threading
from typing import TYPE_CHECKING, Any

import pytest

import trioserver

from .kit import Held, Started, client_of, tcp

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from .kit import Call

    MakeCall = Callable[..., Call]


def test_signal_handlers_when_served_then_are_those_of_the_program() -> None:
    """SIGINT's, and the descriptor that signals are written to; while it is served, and afterwards."""
    ours = signal.getsignal(signal.SIGINT)
    seen: list[Any] = []
    wakeup = signal.set_wakeup_fd(-1)
    signal.set_wakeup_fd(wakeup)
    with tcp() as server:
        server.server.add_observer(
            Started(trioserver.ServerStarted, lambda: seen.append(signal.getsignal(signal.SIGINT)))
        )
        server.server.add_observer(Started(trioserver.ServerStarted, server.request_shutdown))
        server.serve_forever()
        server.handle_request()
        assert signal.set_wakeup_fd(wakeup) == wakeup
    assert [*seen, signal.getsignal(signal.SIGINT)] == [ours] * 3
    assert signal.set_wakeup_fd(wakeup) == wakeup


@pytest.fixture
def on_sigusr1() -> Iterator[Callable[[Callable[[], object]], None]]:
    """Makes a function what SIGUSR1 does, for the length of a test."""
    before = signal.getsignal(signal.SIGUSR1)
    yield lambda function: void(signal.signal(signal.SIGUSR1, lambda number, frame: void(function())))
    signal.signal(signal.SIGUSR1, before)


def void(_: object) -> None:
    """For a lambda without a result."""


def usr1() -> None:
    """SIGUSR1 to the main thread."""
    signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGUSR1)


def test_signal_handler_when_it_raises_then_that_is_raised_when_the_server_has_stopped(
    on_sigusr1: Callable[[Callable[[], object]], None],
) -> None:
    """Such as the SystemExit of one for SIGTERM."""
    handler = Held()
    on_sigusr1(lambda: sys.exit(7))
    with tcp(handler) as server, client_of(server) as client:
        server.server.add_observer(Started(trioserver.RequestAccepted, usr1))
        server.server.add_observer(Started(trioserver.ServerDraining, lambda: client.sendall(b"x")))
        with pytest.raises(SystemExit) as caught:
            server.serve_forever()
        assert caught.value.code == 7
        assert handler.ends == ["finished"]


def test_signal_handler_when_it_requests_a_shutdown_then_serve_forever_returns(
    on_sigusr1: Callable[[Callable[[], object]], None],
) -> None:
    """Which is how to stop in order without an exception."""
    with tcp() as server:
        on_sigusr1(server.request_shutdown)
        server.server.add_observer(Started(trioserver.ServerStarted, usr1))
        server.serve_forever()
        assert server.server.state is trioserver.State.STOPPED


def test_signal_handler_when_it_calls_what_blocks_then_that_works(
    on_sigusr1: Callable[[Callable[[], object]], None],
) -> None:
    """In the very thread that waits: the loop is another one."""
    reports: list[trioserver.ShutdownReport] = []
    with tcp() as server:
        on_sigusr1(lambda: reports.append(server.shutdown()))
        server.server.add_observer(Started(trioserver.ServerStarted, usr1))
        server.serve_forever()
    assert len(reports) == 1
