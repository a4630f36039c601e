"""P5 for threads: ``shutdown`` before, during, after and from wherever; it never hangs and is never lost."""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING, Any

import pytest

import trioserver

from .kit import Flag, Held, Started, ask, client_of, receive_all, tcp, wait_serving

if TYPE_CHECKING:
    from collections.abc import Callable

    from .kit import Call

    MakeCall = Callable[..., Call]


def test_p5_shutdown_when_nothing_polls_then_takes_effect_at_once(call: MakeCall) -> None:
    """Long before the interval at which the stdlib's loop would look."""
    with tcp() as server:
        loop = call(server.serve_forever, 60)
        wait_serving(server)
        began = time.monotonic()
        server.shutdown()
        loop.wait()
        assert time.monotonic() - began < 10


def test_p5_shutdown_when_called_before_then_serve_forever_returns_at_once_and_once() -> None:
    """The stdlib's would wait for ever, here, for a loop that is not there."""
    with tcp() as server:
        assert server.shutdown() == server.shutdown() == trioserver.ShutdownReport()
        server.serve_forever()
        server.start()
        assert ask(server) == b"hello\n"


@pytest.mark.parametrize("method", ["serve_forever", "handle_request", "start"])
def test_p5_request_shutdown_when_called_before_there_is_a_thread_then_is_kept(method: str) -> None:
    """It is what the first thread that comes finds."""
    server = tcp()
    server.request_shutdown()
    getattr(server, method)()
    assert server.server.state is trioserver.State.STOPPED
    server.server_close()


def test_p5_shutdown_when_called_after_a_serve_then_the_next_one_is_not_concerned(call: MakeCall) -> None:
    """It asked for what was so already."""
    with tcp() as server:
        server.server.add_observer(Started(trioserver.ServerStarted, server.request_shutdown))
        server.serve_forever()
        server.shutdown()
        server.request_shutdown()
        started = Flag()
        server.server.add_observer(Started(trioserver.ServerStarted, started.set))
        server.serve_forever()
        assert started.is_set()


def test_p5_shutdown_when_called_by_many_threads_then_all_return_the_report(call: MakeCall) -> None:
    """Of the same run."""
    handler = Held()
    with tcp(handler) as server:
        loop = call(server.serve_forever)
        wait_serving(server)
        with client_of(server) as client:
            handler.begun.block()
            calls = [call(server.shutdown, 0 if number % 2 else None) for number in range(20)]
            reports = {each.wait() for each in calls}
            assert receive_all(client) == b"r"
        loop.wait()
    (report,) = reports
    assert (report.accepted, report.cancelled, handler.ends) == (1, 1, ["cancelled"])


def test_p1_shutdown_when_it_returns_then_requests_have_finished_within_the_grace_period(
    call: MakeCall,
) -> None:
    """And it waits for them, as long as it was told to."""
    handler = Held()
    with tcp(handler) as server:
        loop = call(server.serve_forever)
        wait_serving(server)
        with client_of(server) as client:
            handler.begun.block()
            shutdown = call(server.shutdown, None)
            assert shutdown.goes_on()
            assert loop.goes_on()
            client.sendall(b"x")
            report = shutdown.wait()
        loop.wait()
    assert (report.accepted, report.finished, handler.ends) == (1, 1, ["finished"])
    assert report.duration > 0


def test_shutdown_when_the_grace_period_is_over_then_requests_are_cancelled() -> None:
    """Not before."""
    handler = Held()
    with tcp(handler) as server:
        server.start()
        with client_of(server):
            handler.begun.block()
            began = time.monotonic()
            report = server.shutdown(0.1)
            assert 0.1 <= time.monotonic() - began < 5
    assert (report.cancelled, handler.ends) == (1, ["cancelled"])


def test_request_shutdown_when_called_then_does_not_wait(call: MakeCall) -> None:
    """A shorter one after it holds."""
    handler = Held()
    with tcp(handler) as server:
        loop = call(server.serve_forever)
        wait_serving(server)
        with client_of(server):
            handler.begun.block()
            server.request_shutdown(None)
            assert loop.goes_on()
            server.request_shutdown()
            loop.wait()
    assert handler.ends == ["cancelled"]


def test_report_when_the_server_was_closed_then_is_that_of_its_last_run() -> None:
    """Also where it is the closing that ended the run."""
    handler = Held()
    server = tcp(handler)
    server.start()
    with client_of(server):
        handler.begun.block()
        server.server_close()
    assert server.shutdown().cancelled == server.stop().cancelled == 1


@pytest.mark.parametrize("method", ["request_shutdown", "shutdown", "stop"])
@pytest.mark.parametrize("value", [-1, math.nan, "1", True, 10**400], ids=str)
def test_grace_period_when_it_is_nonsense_then_is_named_and_nothing_happens(method: str, value: Any) -> None:
    """Before anything is stopped, or the loop is told."""
    with tcp() as server:
        server.start()
        with pytest.raises(trioserver.ConfigError, match="grace_period"):
            getattr(server, method)(value)
        assert ask(server) == b"hello\n"


def test_shutdown_when_the_server_drains_for_ever_then_a_second_one_ends_it(call: MakeCall) -> None:
    """The earliest end holds, whoever asked first."""
    handler = Held()
    with tcp(handler) as server:
        server.start()
        with client_of(server):
            handler.begun.block()
            first = call(server.shutdown, None)
            assert first.goes_on()
            assert server.shutdown(0).cancelled == first.wait().cancelled == 1


def test_p5_shutdown_when_an_observer_fails_it_then_the_loop_survives_and_it_is_raised() -> None:
    """By ``server_close``: in the loop nobody could catch it."""
    server = tcp()
    error = SystemExit(3)

    def fail() -> None:
        raise error

    server.start()
    server.server.add_observer(Started(trioserver.ServerDraining, fail))
    server.request_shutdown()
    with pytest.raises(SystemExit) as caught:
        server.server_close()
    assert caught.value is error
    assert server.server.state is trioserver.State.CLOSED


def test_p5_shutdown_when_the_server_is_closed_before_it_is_served_then_serve_forever_returns() -> None:
    """Once: so a thread that comes late to serve ends as one that came in time; handle_request is told."""
    server = tcp()
    server.shutdown()
    server.server_close()
    with pytest.raises(trioserver.ServerClosed):
        server.handle_request()
    server.serve_forever()
    with pytest.raises(trioserver.ServerClosed):
        server.serve_forever()
