"""A ``MockClock`` moved by hand, through ``call``: real sockets, and hours that take no time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import trio
import trio.testing
from harness import wait_until

import trioserver
from trioserver_adapters.blocking import BlockingServer

from .kit import LOOPBACK, Flag, client_of, receive_all

if TYPE_CHECKING:
    from collections.abc import Callable

    from .kit import Call

    MakeCall = Callable[..., Call]

HOUR = 3600


class KeepAlive(trioserver.StreamRequestHandler[Any]):
    """Serves lines until the client says nothing for a minute."""

    async def handle(self) -> None:
        while await self.wait_request(60):
            await self.wfile.write(await self.rfile.readline())

    async def finish(self) -> None:
        await super().finish()
        self.server.finishing.set()
        if self.server.slow:
            await trio.sleep(HOUR)


class ByHand(trioserver.TCPServer):
    """Says when a handler finishes."""

    slow = False

    def __init__(self, **options: Any) -> None:
        super().__init__(LOOPBACK, KeepAlive, **options)
        self.finishing = Flag()


class Clock:
    """A clock that stands still, and a server under it."""

    def __init__(self, native: trioserver.TCPServer) -> None:
        self.clock = trio.testing.MockClock()
        self.server = BlockingServer(native, clock=self.clock)

    def jump(self, seconds: float) -> None:
        """Let time pass."""

        async def jump() -> None:
            await trio.testing.wait_all_tasks_blocked()
            self.clock.jump(seconds)
            await trio.lowlevel.checkpoint()

        self.server.call(jump)

    def wait_state(self, state: trioserver.RequestState) -> None:
        """Wait until the one request is in that state."""
        native: Any = self.server.server
        self.server.call(wait_until, lambda: [each.state for each in native.requests] == [state])


def test_wait_request_when_a_minute_passes_by_hand_then_a_real_connection_ends() -> None:
    """Real sockets, and no time at all: not before it is over."""
    clock = Clock(ByHand())
    with clock.server as server, client_of(server) as client:
        server.start()
        for _ in range(60):  # an hour of requests
            client.sendall(b"hello\n")
            assert client.recv(100) == b"hello\n"
            clock.wait_state(trioserver.RequestState.IDLE)
            clock.jump(59)
        client.sendall(b"hello\n")
        assert client.recv(100) == b"hello\n"
        clock.wait_state(trioserver.RequestState.IDLE)
        clock.jump(61)
        assert receive_all(client) == b""
        client.close()  # or the server would linger, by a clock that stands still
        assert server.stop(None).finished == 1


def test_request_timeout_when_an_hour_passes_by_hand_then_a_request_that_took_as_long_is_cancelled() -> None:
    """However slowly its client goes on sending."""
    clock = Clock(ByHand(request_timeout=HOUR))
    with clock.server as server, client_of(server) as client:
        server.start()
        for _ in range(60):
            clock.wait_state(trioserver.RequestState.IDLE)
            clock.jump(59)
            client.sendall(b"hello\n")
            assert client.recv(100) == b"hello\n"
        clock.jump(HOUR - 60 * 59)
        assert receive_all(client) == b""
        assert server.stop(None).cancelled == 1


def test_finish_timeout_when_it_passes_by_hand_then_a_finish_that_hangs_is_cut_short(call: MakeCall) -> None:
    """And the shutdown ends, which has waited for that alone."""
    native = ByHand()
    native.slow = True
    clock = Clock(native)
    with clock.server as server, client_of(server):
        server.start()
        clock.wait_state(trioserver.RequestState.IDLE)
        server.call(cancel, native)
        native.finishing.block()
        shutdown = call(server.shutdown)
        assert shutdown.goes_on()
        clock.jump(KeepAlive.finish_timeout)
        assert shutdown.wait().cancelled == 1


async def cancel(native: trioserver.TCPServer) -> None:
    """Cancel the one request."""
    native.requests[0].cancel()


def test_grace_period_when_it_passes_by_hand_then_the_shutdown_ends(call: MakeCall) -> None:
    """With what still runs cancelled."""

    async def hold(request: Any, client_address: Any, server: Any) -> None:
        await trio.sleep_forever()

    clock = Clock(trioserver.TCPServer(LOOPBACK, hold))
    with clock.server as server, client_of(server) as client:
        server.start()
        clock.wait_state(trioserver.RequestState.RUNNING)
        shutdown = call(server.shutdown, HOUR)
        server.call(server.server.wait_draining)
        assert shutdown.goes_on()
        clock.jump(HOUR)
        assert shutdown.wait().cancelled == 1
        assert receive_all(client) == b""
