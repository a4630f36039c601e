"""P1: when serving is over, for whatever reason, no request runs and every connection is closed."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

import pytest
import trio
from harness import Recorder, client_of, wait_until

import trioserver

from .fakes import os_error, receive_until_closed

if TYPE_CHECKING:
    from collections.abc import Callable


class Stubborn(trioserver.StreamRequestHandler):
    """Does not end by itself, and takes a few turns to clean up when it is cancelled."""

    async def handle(self) -> None:
        server = self.server
        assert isinstance(server, Stoppable)
        server.running_handlers += 1
        await server.in_handler(self)

    async def finish(self) -> None:
        for _ in range(5):
            await trio.lowlevel.checkpoint()
        server = self.server
        assert isinstance(server, Stoppable)
        server.running_handlers -= 1


class Stoppable(trioserver.TCPServer):
    """A server that can be stopped in every way."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Stubborn)
        self.running_handlers = 0
        self.nth = 0
        self.go = trio.Event()
        self.raise_in_handler: BaseException | None = None
        self.raise_in_get_request: BaseException | None = None
        self.raise_in_service_actions: BaseException | None = None
        self.raise_in_handle_error: BaseException | None = None
        self.stop_in_handler = False
        self.recorder = Recorder()
        self.add_observer(self.recorder)

    async def in_handler(self, handler: Stubborn) -> None:
        self.nth += 1
        first = self.nth == 1
        await self.go.wait()
        if first and self.stop_in_handler:
            self.request_shutdown()
        if first and self.raise_in_handler is not None:
            raise self.raise_in_handler
        await trio.sleep_forever()

    async def get_request(self) -> tuple[trioserver.RequestStream, Any]:
        if self.go.is_set() and self.raise_in_get_request is not None:
            raise self.raise_in_get_request
        return await super().get_request()

    async def service_actions(self) -> None:
        if self.go.is_set() and self.raise_in_service_actions is not None:
            raise self.raise_in_service_actions

    async def handle_error(self, request: trioserver.RequestStream, client_address: Any) -> None:
        if self.raise_in_handle_error is not None:
            raise self.raise_in_handle_error


def by_shutdown(server: Stoppable, scope: trio.CancelScope, nursery: trio.Nursery) -> None:
    nursery.start_soon(server.shutdown)


def by_shutdown_with_grace(server: Stoppable, scope: trio.CancelScope, nursery: trio.Nursery) -> None:
    nursery.start_soon(server.shutdown, 0.01)


def by_handler(server: Stoppable, scope: trio.CancelScope, nursery: trio.Nursery) -> None:
    server.stop_in_handler = True


def by_cancellation(server: Stoppable, scope: trio.CancelScope, nursery: trio.Nursery) -> None:
    scope.cancel()


def by_closing(server: Stoppable, scope: trio.CancelScope, nursery: trio.Nursery) -> None:
    nursery.start_soon(server.server_close)


def by_get_request(server: Stoppable, scope: trio.CancelScope, nursery: trio.Nursery) -> None:
    server.raise_in_get_request = os_error(9)


def by_service_actions(server: Stoppable, scope: trio.CancelScope, nursery: trio.Nursery) -> None:
    server.raise_in_service_actions = ZeroDivisionError("service_actions")


def by_keyboard_interrupt(server: Stoppable, scope: trio.CancelScope, nursery: trio.Nursery) -> None:
    server.raise_in_handler = KeyboardInterrupt()


def by_system_exit(server: Stoppable, scope: trio.CancelScope, nursery: trio.Nursery) -> None:
    server.raise_in_handler = SystemExit(3)


def by_handle_error(server: Stoppable, scope: trio.CancelScope, nursery: trio.Nursery) -> None:
    server.raise_in_handler = ValueError("handler")
    server.raise_in_handle_error = ZeroDivisionError("handle_error")


WAYS: list[tuple[Callable[..., None], type[BaseException] | None]] = [
    (by_shutdown, None),
    (by_shutdown_with_grace, None),
    (by_handler, None),
    (by_cancellation, None),
    (by_closing, None),
    (by_get_request, OSError),
    (by_service_actions, ZeroDivisionError),
    (by_keyboard_interrupt, KeyboardInterrupt),
    (by_system_exit, SystemExit),
    (by_handle_error, ZeroDivisionError),
]


@pytest.mark.parametrize(("stop", "raised"), WAYS, ids=lambda value: getattr(value, "__name__", str(value)))
async def test_p1_nothing_runs_when_serve_forever_ends_whatever_stopped_it(
    io_path: str, stop: Callable[..., None], raised: type[BaseException] | None
) -> None:
    """Whatever stops it: no handler runs, clients see the end, the listener is closed, `stopped` is last."""
    server = Stoppable()
    server.poll_interval = 0.001
    seen: list[BaseException | None] = []
    scope = trio.CancelScope()

    async def serve() -> None:
        error: BaseException | None = None
        try:
            with scope:
                await server.serve_forever()
        except BaseException as exc:
            error = exc
        assert server.running_handlers == 0
        assert server.requests == ()
        assert server.sockets == ()
        assert server.recorder.names()[-1] == "ServerStopped"
        seen.append(error)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(serve)
        await wait_until(lambda: server.sockets)
        async with client_of(server) as first, client_of(server) as second:
            await wait_until(lambda: server.nth == 2)
            stop(server, scope, nursery)
            server.go.set()
            async with client_of_or_none(server):  # wakes the accept loop, for the ways through it
                await wait_until(lambda: seen)
            for client in (first, second):
                assert await receive_until_closed(client) == b""
    assert type(seen[0]) is (raised or type(None))
    statistics = server.statistics()
    assert statistics.accepted == statistics.failed + statistics.cancelled >= 2


class client_of_or_none:
    """A connection that is only there to be accepted, if there is still somebody to accept it."""

    def __init__(self, server: trioserver.StreamServer) -> None:
        self._address = server.server_address
        self._sock = trio.socket.socket()

    async def __aenter__(self) -> None:
        with contextlib.suppress(OSError):
            await self._sock.connect(self._address)

    async def __aexit__(self, *_: object) -> None:
        self._sock.close()
