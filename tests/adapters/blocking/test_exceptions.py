"""P4: what stops the server is raised in the thread that serves: bare, and the same object."""

from __future__ import annotations

import contextlib
import gc
import socketserver
import weakref
from typing import TYPE_CHECKING, Any

import pytest
import trio
from harness import Echo

import trioserver
from trioserver_adapters.blocking import BlockingServer

from .kit import LOOPBACK, Held, Started, ask, client_of, tcp

if TYPE_CHECKING:
    from collections.abc import Callable

METHODS = ["serve_forever", "handle_request"]
FATAL = [SystemExit(3), KeyboardInterrupt(), GeneratorExit()]


def of_a_handler(error: BaseException) -> BlockingServer[Any]:
    """A server whose handler raises."""

    async def handler(request: Any, client_address: Any, server: Any) -> None:
        raise error

    return tcp(handler)


def of_a_thread(error: BaseException) -> BlockingServer[Any]:
    """A server whose synchronous handler raises, in its thread."""

    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            raise error

    return BlockingServer(trioserver.ThreadingTCPServer(LOOPBACK, Handler))


def of_handle_error(error: BaseException) -> BlockingServer[Any]:
    """A server whose handler fails, and whose ``handle_error`` raises."""

    class Strict(trioserver.TCPServer):
        async def handle_error(self, request: Any, client_address: Any) -> None:
            raise error from None

    async def handler(request: Any, client_address: Any, server: Any) -> None:
        raise ValueError

    return BlockingServer(Strict(LOOPBACK, handler))


def of_accept(error: BaseException) -> BlockingServer[Any]:
    """A server that can not accept."""

    class Broken(trioserver.TCPServer):
        async def get_request(self) -> Any:
            raise error

    return BlockingServer(Broken(LOOPBACK, Echo))


def of_observer(error: BaseException) -> BlockingServer[Any]:
    """A server whose observer ends it."""

    def fail() -> None:
        raise error

    server = tcp()
    server.server.add_observer(Started(trioserver.RequestAccepted, fail))
    return server


CASES = [
    *[(of_a_handler, error) for error in FATAL],
    *[(of_a_thread, error) for error in FATAL[:2]],
    *[(of_handle_error, error) for error in [ZeroDivisionError(), SystemExit(3)]],
    (of_accept, OSError(9, "broken")),
    (of_accept, ZeroDivisionError()),
    (of_observer, SystemExit(3)),
]


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(("make", "error"), CASES, ids=lambda part: getattr(part, "__name__", repr(part)))
def test_p4_what_stops_the_server_is_raised_where_it_is_served(
    make: Callable[[BaseException], BlockingServer[Any]], error: BaseException, method: str
) -> None:
    """After it has stopped; it may be served again."""
    with make(error) as server:
        with client_of(server), pytest.raises(type(error)) as caught:
            getattr(server, method)()
        assert caught.value is error
        assert error.__cause__ is None
        assert not hasattr(error, "exceptions")
        assert server.server.state is trioserver.State.STOPPED
        server.stop()


def test_p4_when_two_requests_stop_the_server_then_it_is_a_group() -> None:
    """There is one exception to raise, and nothing is lost."""
    errors = [SystemExit(3), SystemExit(4)]

    async def handler(request: Any, client_address: Any, server: Any) -> None:
        which = len(begun)
        begun.append(which)
        if which == 1:
            raise errors[1]
        try:
            await trio.sleep_forever()
        finally:
            raise errors[0]

    begun: list[int] = []
    with tcp(handler) as server, client_of(server), client_of(server):
        with pytest.raises(BaseExceptionGroup) as caught:
            server.serve_forever()
        assert set(caught.value.exceptions) == set(errors)


def test_p1_when_a_handler_stops_the_server_then_the_others_have_ended() -> None:
    """By the time at which it is raised."""
    held = Held()
    begun: list[str] = []

    async def handler(request: Any, client_address: Any, server: Any) -> None:
        begun.append("one more")
        if len(begun) == 2:
            raise SystemExit(3)
        await held(request, client_address, server)

    with tcp(handler) as server, client_of(server), client_of(server):
        with pytest.raises(SystemExit):
            server.serve_forever()
        assert held.ends == ["cancelled"]


def test_exceptions_when_raised_and_dropped_then_nothing_is_kept_alive() -> None:
    """Neither a cycle nor the server keeps them, and what their frames have."""

    class Large:
        pass

    async def fail(large: Large) -> None:
        raise ZeroDivisionError

    def call_it(server: BlockingServer[Any]) -> weakref.ref[Large]:
        large = Large()
        with contextlib.suppress(ZeroDivisionError):
            server.call(fail, large)
        return weakref.ref(large)

    with tcp() as server:
        gc.collect()
        kept = call_it(server)
        server.call(trio.lowlevel.checkpoint)  # the loop is done with the one before
        assert kept() is None
        assert ask_in_background(server) == b"hello\n"


def ask_in_background(server: BlockingServer[Any]) -> bytes:
    """The server still works."""
    server.start()
    try:
        return ask(server)
    finally:
        server.stop()
