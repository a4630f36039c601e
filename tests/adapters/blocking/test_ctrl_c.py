"""Ctrl-C in the thread that waits: the server stops in order, then ``KeyboardInterrupt``; twice: at once."""

from __future__ import annotations

import os
import signal
import time
from typing import TYPE_CHECKING, Any

import pytest
import trio

import trioserver
from trioserver_adapters.blocking import BlockingServer

from .kit import LOOPBACK, Flag, Held, Started, ask, client_of, ctrl_c, receive_all, tcp

if TYPE_CHECKING:
    from collections.abc import Callable

    from .kit import Call

    MakeCall = Callable[..., Call]


class Interrupted(Held):
    """Ctrl-C comes when a request runs."""

    async def __call__(self, request: Any, client_address: Any, server: Any) -> None:
        ctrl_c()
        await super().__call__(request, client_address, server)


METHODS = ["serve_forever", "handle_request"]


@pytest.mark.parametrize("method", METHODS)
def test_ctrl_c_when_a_request_runs_then_it_may_finish(method: str) -> None:
    """KeyboardInterrupt comes out when it has; meanwhile no other request is accepted."""
    handler = Interrupted()
    with tcp(handler) as server, client_of(server) as client:
        server.server.add_observer(Started(trioserver.ServerDraining, lambda: client.sendall(b"x")))
        with pytest.raises(KeyboardInterrupt) as caught:
            getattr(server, method)()
        assert handler.ends == ["finished"]
        assert caught.value.__cause__ is None
        assert server.server.state is trioserver.State.STOPPED
        assert receive_all(client) == b"r"


@pytest.mark.parametrize("method", METHODS)
def test_ctrl_c_when_it_comes_twice_then_requests_are_cancelled(method: str) -> None:
    """At once, though there is no bound to the grace period; one KeyboardInterrupt comes out."""
    handler = Interrupted()
    with BlockingServer(trioserver.TCPServer(LOOPBACK, handler), grace_period=None) as server:
        server.server.add_observer(Started(trioserver.ServerDraining, ctrl_c))
        with client_of(server) as client:
            with pytest.raises(KeyboardInterrupt):
                getattr(server, method)()
            assert receive_all(client) == b"r"
    assert handler.ends == ["cancelled"]


def test_ctrl_c_when_the_grace_period_is_over_then_requests_are_cancelled() -> None:
    """That of the constructor."""
    handler = Interrupted()
    with BlockingServer(trioserver.TCPServer(LOOPBACK, handler), grace_period=0.05) as server:
        with client_of(server):
            began = time.monotonic()
            with pytest.raises(KeyboardInterrupt):
                server.serve_forever()
            assert 0.05 <= time.monotonic() - began < 5
    assert handler.ends == ["cancelled"]


def test_ctrl_c_when_nothing_runs_then_ends_at_once_and_the_server_can_be_served_again() -> None:
    """A real signal to the process, as a terminal sends it."""
    with tcp() as server:
        observer = Started(trioserver.ServerStarted, lambda: os.kill(os.getpid(), signal.SIGINT))
        server.server.add_observer(observer)
        with pytest.raises(KeyboardInterrupt):
            server.serve_forever()
        server.server.remove_observer(observer)
        server.start()
        assert ask(server) == b"hello\n"


def test_ctrl_c_in_a_call_when_the_function_waits_then_it_is_cancelled() -> None:
    """KeyboardInterrupt is raised when it has ended; the server goes on."""
    ended: list[str] = []

    async def wait() -> None:
        ctrl_c()
        try:
            await trio.sleep_forever()
        finally:
            ended.append("yes")

    with tcp() as server:
        server.start()
        with pytest.raises(KeyboardInterrupt):
            server.call(wait)
        assert ended == ["yes"]
        assert ask(server) == b"hello\n"


def test_ctrl_c_in_a_call_when_the_function_fails_at_it_then_that_is_the_cause() -> None:
    """Nothing is lost."""
    error = ZeroDivisionError()

    async def fail() -> None:
        ctrl_c()
        try:
            await trio.sleep_forever()
        finally:
            raise error

    with tcp() as server, pytest.raises(KeyboardInterrupt) as caught:
        server.call(fail)
    assert caught.value.__cause__ is error


def test_ctrl_c_when_the_server_stops_by_an_error_at_it_then_that_is_the_cause() -> None:
    """In serve_forever."""
    error = SystemExit(3)

    async def handler(request: Any, client_address: Any, server: Any) -> None:
        ctrl_c()
        await server.wait_draining()
        raise error

    with tcp(handler) as server, client_of(server), pytest.raises(KeyboardInterrupt) as caught:
        server.serve_forever()
    assert caught.value.__cause__ is error


def test_ctrl_c_in_shutdown_when_requests_run_then_they_are_cancelled() -> None:
    """The grace period is given up."""
    handler = Held()
    with tcp(handler) as server, client_of(server):
        server.start()
        handler.begun.block()
        server.server.add_observer(Started(trioserver.ServerDraining, ctrl_c))
        with pytest.raises(KeyboardInterrupt):
            server.shutdown(None)
        assert server.shutdown(None).cancelled == 1
    assert handler.ends == ["cancelled"]


def test_ctrl_c_in_server_close_when_a_handler_finishes_then_it_is_closed_all_the_same() -> None:
    """And KeyboardInterrupt comes when that is done."""

    class Slow(trioserver.StreamRequestHandler):
        async def handle(self) -> None:
            begun.set()
            await trio.sleep_forever()

        async def finish(self) -> None:
            ctrl_c()
            await trio.lowlevel.checkpoint()
            finished.set()

    begun, finished = Flag(), Flag()
    server = tcp(Slow)
    server.start()
    with client_of(server):
        begun.block()
        with pytest.raises(KeyboardInterrupt):
            server.server_close()
    assert finished.is_set()
    assert server.server.state is trioserver.State.CLOSED
    server.server_close()
