"""The places in a server where something that waits could only wait for itself."""

from __future__ import annotations

import socketserver
from typing import TYPE_CHECKING, Any

import trio

import trioserver
from trioserver_adapters.blocking import BlockingServer

from .kit import LOOPBACK, Started, tcp

if TYPE_CHECKING:
    from collections.abc import Callable


class Place:
    """Somewhere in a server, where something is called; what that raised."""

    def __init__(self, function: Callable[[Any], object]) -> None:
        self.server: BlockingServer[Any] = self.make()
        self.raised: list[BaseException] = []
        self._function = function

    def make(self) -> BlockingServer[Any]:
        """The server."""
        return tcp(self.handle)

    def act(self, *_: object) -> None:
        """Call the function."""
        try:
            self._function(self.server)
        except BaseException as error:
            self.raised.append(error)

    async def handle(self, request: Any, client_address: Any, server: Any) -> None:
        """Serve a request, and go on until it is cancelled."""
        self.act()
        await trio.sleep_forever()


class InHandler(Place):
    """In the handler's task, in the trio thread."""


class InObserver(Place):
    """In an observer, which the trio thread calls."""

    def make(self) -> BlockingServer[Any]:
        server = tcp(self.handle)
        server.server.add_observer(Started(trioserver.RequestAccepted, self.act))
        return server

    async def handle(self, request: Any, client_address: Any, server: Any) -> None:
        await trio.sleep_forever()


class InWorker(Place):
    """In a worker thread of the handler's."""

    async def handle(self, request: Any, client_address: Any, server: Any) -> None:
        await trio.to_thread.run_sync(self.act)
        await trio.sleep_forever()


class InAbandonedWorker(Place):
    """In one that the handler does not wait for when it is cancelled; here it is not."""

    async def handle(self, request: Any, client_address: Any, server: Any) -> None:
        await trio.to_thread.run_sync(self.act, abandon_on_cancel=True)
        await trio.sleep_forever()


class InSynchronousHandler(Place):
    """In a thread of the native ``ThreadingMixIn``."""

    options: dict[str, Any] = {}  # noqa: RUF012  never changed

    def make(self) -> BlockingServer[Any]:
        place = self

        class Handler(socketserver.BaseRequestHandler):
            def handle(self) -> None:
                place.act()
                self.request.recv(1)

        return BlockingServer(trioserver.ThreadingTCPServer(LOOPBACK, Handler, **self.options))


class InDaemonThread(InSynchronousHandler):
    """In one that the server does not wait for."""

    options = {"daemon_threads": True}  # noqa: RUF012


TRIO_THREAD = [InHandler, InObserver]
WORKERS = [InWorker, InAbandonedWorker, InSynchronousHandler, InDaemonThread]
