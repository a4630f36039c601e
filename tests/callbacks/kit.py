"""Serving one handler class in each of the ways that there are, since nothing may differ."""

from __future__ import annotations

import itertools
import socket
import struct
import tempfile
from functools import partial
from typing import TYPE_CHECKING, Any, TypeAlias

import pytest
import trio
import trio.testing
from harness import Recorder

import trioserver
from tests.every_server.kits import client_context, server_context
from trioserver.testing import Network

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

Connect: TypeAlias = "Callable[[], Awaitable[Any]]"
Talk: TypeAlias = "Callable[[Any, Connect], Awaitable[object]]"

WAYS = ["in place", "in place unix", "portable", "hook", "tls", "network"]
every_way = pytest.mark.parametrize("way", WAYS)
_numbers = itertools.count()


class Keeper:
    """Before a server class: keeps what ``handle_error`` gets, and what observers are told."""

    errors: list[BaseException]
    recorder: Recorder

    async def handle_error(self, request: Any, client_address: Any) -> None:
        """Keep it."""
        import sys

        error = sys.exc_info()[1]
        assert error is not None
        self.errors.append(error)

    def ended(self) -> list[trioserver.RequestEnded]:
        """The events of requests that ended."""
        return [event for event in self.recorder.events if isinstance(event, trioserver.RequestEnded)]


class TCP(Keeper, trioserver.TCPServer):
    """A TCP server."""


class Unix(Keeper, trioserver.UnixStreamServer):
    """A Unix server."""


class Hooked(TCP):
    """Overrides a hook that may wait, so that each connection has a task."""

    async def verify_request(self, request: trioserver.RequestStream, client_address: Any) -> bool:
        """Wait a little."""
        await trio.lowlevel.checkpoint()
        return True


def make_server(way: str, handler: Any, folder: str, **options: Any) -> Any:
    """A server that serves in this way."""
    server: Any
    if way == "in place unix":
        server = Unix(f"{folder}/s{next(_numbers)}", handler, **options)
    elif way == "network":
        server = TCP(("", 80), handler, **options)
    else:
        if way == "portable":
            options["portable_io"] = True
        elif way == "tls":
            options["ssl_context"] = server_context()
        server = (Hooked if way == "hook" else TCP)(("127.0.0.1", 0), handler, **options)
    server.errors = []
    server.recorder = Recorder()
    server.add_observer(server.recorder)
    return server


async def connect(way: str, server: Any) -> Any:
    """A client's stream."""
    if way == "in place unix":
        return await trio.open_unix_socket(server.server_address)
    if way == "network":
        return await trio.open_tcp_stream("server", 80)
    stream = await trio.open_tcp_stream(*server.server_address)
    if way != "tls":
        return stream
    secure = trio.SSLStream(stream, client_context(), server_hostname="127.0.0.1", https_compatible=True)
    await secure.do_handshake()
    return secure


async def half_close(client: Any) -> None:
    """Send no more, but go on reading; over TLS without a ``close_notify``."""
    await (client.transport_stream if isinstance(client, trio.SSLStream) else client).send_eof()


async def until(condition: Callable[[], object]) -> None:
    """Let others run until it is true; on the network, whose clock waits for that, by sleeping."""
    with trio.fail_after(20):
        while not condition():
            if isinstance(trio.lowlevel.current_clock(), trio.testing.MockClock):
                await trio.sleep(0.001)
            else:
                await trio.lowlevel.checkpoint()


def play(way: str, handler: Any, talk: Talk, *, grace_period: float | None = 0.0, **options: Any) -> Any:
    """Serve ``handler`` and let clients talk to it; returns the server, with what it has kept."""

    async def served(server: Any) -> Any:
        before = trio.lowlevel.current_statistics().tasks_living
        async with server.running(grace_period=grace_period):
            await talk(server, partial(connect, way, server))
        assert server.requests == ()
        assert trio.lowlevel.current_statistics().tasks_living == before
        numbers = server.statistics()
        ended = numbers.finished + numbers.failed + numbers.cancelled + numbers.rejected
        assert numbers.accepted == ended == len(server.ended())
        return server

    async def main() -> Any:
        if way != "network":
            with tempfile.TemporaryDirectory() as folder:
                return await served(make_server(way, handler, folder, **options))
        with Network(seed=1) as network:
            server = make_server(way, handler, "", **options)
            async with trio.open_nursery() as nursery:
                with network.host("server"):
                    await nursery.start(server.serve_forever)
                with network.host("client"):
                    await talk(server, partial(connect, way, server))
                await server.shutdown(grace_period)
            assert server.requests == ()
            return server

    clock = trio.testing.MockClock(autojump_threshold=0) if way == "network" else None
    return trio.run(main, clock=clock)


class Commands(trioserver.CallbackRequestHandler):
    """Does what a line says."""

    delimiter = b"\n"
    finished = 0
    all: list[Any]

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        cls.all = []

    def setup(self) -> None:
        self.all.append(self)

    def data_received(self, data: bytes) -> None:
        if data == b"fail\n":
            self.write(b"before\n")
            raise ValueError(data)
        if data == b"close\n":
            self.write(b"bye\n")
            self.close()
        elif data == b"busy\n":
            self.busy = True
        else:
            self.write(data)

    def finish(self) -> None:
        self.finished += 1


async def reset(client: Any) -> None:
    """Go away with a reset."""
    stream = client.transport_stream if isinstance(client, trio.SSLStream) else client
    stream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    stream.socket.close()


def outcomes(server: Any) -> list[str]:
    """How the requests ended, in the order in which they came."""
    ended = sorted(server.ended(), key=lambda event: event.request_id)
    return [event.outcome.value for event in ended]
