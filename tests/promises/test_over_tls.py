"""The promises over TLS, on both ways to wait: encrypted connections are requests as all others."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

import pytest
import trio
import trio.testing
from harness import Echo, Recorder, client_of, receive_exactly, wait_until

import trioserver
from trioserver import Outcome, RequestState

from ..tls.kit import NAME, Certificates, FakeServer, MemoryClient, tls_client_of
from .fakes import AtStep, receive_until_closed

if TYPE_CHECKING:
    import ssl
    from collections.abc import AsyncIterator

ANY_PORT = ("127.0.0.1", 0)
LARGE = 64 * 1024 * 1024
"""More than all the buffers between two sockets hold."""

made = Certificates()


@pytest.fixture
def server_context() -> ssl.SSLContext:
    """A context for servers; not to be changed."""
    return made.shared_server_context()


@pytest.fixture
def client_context() -> ssl.SSLContext:
    """A context for clients that trust that server; not to be changed."""
    return made.shared_client_context()


class Serve(trioserver.StreamRequestHandler):
    """Does what the first line says."""

    async def handle(self) -> None:
        async for line in self.rfile:
            if line == b"large\n":
                await self.wfile.write(bytes(LARGE))
            elif line == b"raise\n":
                raise ValueError("as it was told")
            elif line == b"raise system exit\n":
                raise SystemExit(3)
            else:
                await self.wfile.write(line)


class Server(trioserver.TCPServer):
    """Keeps the events, and the errors of handlers."""

    def __init__(self, context: ssl.SSLContext, **options: Any) -> None:
        super().__init__(ANY_PORT, Serve, ssl_context=context, **options)
        self.recorder = Recorder()
        self.add_observer(self.recorder)
        self.errors: list[BaseException] = []
        self.refuse = False

    async def verify_request(self, request: trioserver.RequestStream, client_address: Any) -> bool:
        return not self.refuse

    async def handle_error(self, request: Any, client_address: Any) -> None:
        import sys

        error = sys.exception()
        assert error is not None
        self.errors.append(error)

    def outcomes(self) -> list[Outcome]:
        """How requests ended, in the order in which they did."""
        return [e.outcome for e in self.recorder.events if isinstance(e, trioserver.RequestEnded)]

    def in_state(self, state: RequestState) -> int:
        """How many requests are doing that."""
        return sum(request.state is state for request in self.requests)


@contextlib.asynccontextmanager
async def clients_of_every_kind(
    server: Server, context: ssl.SSLContext
) -> AsyncIterator[list[trio.SocketStream]]:
    """One that is mute in its handshake, one that is idle after it, and one that does not read its reply."""
    async with client_of(server) as mute:
        async with tls_client_of(server, context) as idle, tls_client_of(server, context) as stuck:
            await idle.send_all(b"idle\n")
            assert await receive_exactly(idle, 5) == b"idle\n"
            await stuck.send_all(b"large\n")
            await wait_until(lambda: any(request.bytes_sent > 100_000 for request in server.requests))
            assert server.in_state(RequestState.HANDSHAKE) == 1
            assert len(server.requests) == 3
            yield [mute, idle.transport_stream, stuck.transport_stream]


@pytest.mark.parametrize("way", ["shutdown", "server_close", "cancelled", "system exit"])
async def test_p1_and_p3_over_tls_when_serving_ends_then_all_are_closed_and_counted(
    io_path: str, server_context: ssl.SSLContext, client_context: ssl.SSLContext, way: str
) -> None:
    """In the handshake, idle, or in the middle of a reply: no request runs, and every client sees the end."""
    server = Server(server_context)
    raised: list[BaseException] = []
    cancelling = trio.CancelScope()

    async def serve(task_status: trio.TaskStatus[Any]) -> None:
        try:
            with cancelling:
                await server.serve_forever(task_status=task_status)
        except SystemExit as error:
            raised.append(error)
        assert server.requests == ()

    async with trio.open_nursery() as nursery:
        await nursery.start(serve)
        async with clients_of_every_kind(server, client_context) as clients:
            accepted = 3
            if way == "shutdown":
                assert (await server.shutdown()).cancelled == 3
            elif way == "server_close":
                await server.server_close()
            elif way == "cancelled":
                cancelling.cancel()
            else:
                async with tls_client_of(server, client_context) as last:
                    await last.send_all(b"raise system exit\n")
                    await wait_until(lambda: raised)
                accepted = 4
            await wait_until(lambda: not server.requests)
            for client in clients:
                await receive_until_closed(client)
    assert server.outcomes().count(Outcome.CANCELLED) == 3
    assert server.statistics().accepted == len(server.outcomes()) == accepted


async def test_p2_over_tls_whatever_the_step_of_a_cancellation_nothing_is_lost(
    io_path: str, server_context: ssl.SSLContext, client_context: ssl.SSLContext
) -> None:
    """Cancelled before each of its steps, from accept to after the handshake: closed, and counted once."""
    accepted = 0
    for k in range(1, 60):
        server = Server(server_context)
        async with trio.open_nursery() as nursery:
            address = await nursery.start(server.serve_forever)
            step = AtStep(k, server.request_shutdown)
            trio.lowlevel.add_instrument(step)
            with trio.socket.socket() as sock, contextlib.suppress(trio.BrokenResourceError, OSError):
                await sock.connect(address)
                client = trio.SSLStream(trio.SocketStream(sock), client_context, server_hostname=NAME)
                await client.send_all(b"hello\n")
                await client.receive_some()
            trio.lowlevel.remove_instrument(step)
            server.request_shutdown()
        statistics = server.statistics()
        assert statistics.accepted == len(server.outcomes())
        assert statistics.accepted == statistics.cancelled + statistics.failed + statistics.finished
        accepted += statistics.accepted
    assert accepted > 20


async def test_p3_and_p4_over_tls_each_request_ends_in_one_way_and_touches_no_other(
    io_path: str, server_context: ssl.SSLContext, client_context: ssl.SSLContext
) -> None:
    """Finished, failed in the handler, failed in the handshake, rejected, cancelled; one more goes on."""
    server = Server(server_context)
    async with server.running(grace_period=1):
        async with tls_client_of(server, client_context) as witness:
            async with tls_client_of(server, client_context) as client:
                await client.send_all(b"hello\n")
                assert await receive_exactly(client, 6) == b"hello\n"
            await wait_until(lambda: server.outcomes() == [Outcome.FINISHED])
            async with tls_client_of(server, client_context) as client:
                await client.send_all(b"raise\n")
                await receive_until_closed(client)
            async with client_of(server) as plain:
                await plain.send_all(b"GET / HTTP/1.0\r\n\r\n")
                await receive_until_closed(plain)
            server.refuse = True
            async with client_of(server) as plain:
                await receive_until_closed(plain)
            server.refuse = False
            async with tls_client_of(server, client_context) as client:
                await wait_until(lambda: server.in_state(RequestState.RUNNING) == 2)
                server.requests[-1].cancel()
                await receive_until_closed(client)
            await witness.send_all(b"still here\n")
            assert await receive_exactly(witness, 11) == b"still here\n"
            await wait_until(lambda: len(server.outcomes()) == 5)
    assert server.outcomes() == [
        Outcome.FINISHED,
        Outcome.FAILED,
        Outcome.FAILED,
        Outcome.REJECTED,
        Outcome.CANCELLED,
        Outcome.FINISHED,
    ]
    assert [type(error) for error in server.errors] == [ValueError]
    names = server.recorder.names()
    assert names.count("RequestAccepted") == names.count("RequestEnded") == 6


async def write_much(request: trioserver.RequestStream, client_address: Any, server: Any) -> None:
    """A handler that is in the middle of its reply when the client does not read."""
    await request.send_all(bytes(10_000_000))


@pytest.mark.parametrize("grace", [0.0, 3.0, 60.0])
async def test_p5_over_tls_a_shutdown_is_bounded_whatever_clients_do(
    autojump_clock: trio.testing.MockClock,
    server_context: ssl.SSLContext,
    client_context: ssl.SSLContext,
    grace: float,
) -> None:
    """Mute in the handshake, without room for it, or in the middle of a reply: it takes the grace period."""
    server = FakeServer(write_much, ssl_context=server_context, handshake_timeout=1000)
    reports: list[trioserver.ShutdownReport] = []
    async with trio.open_nursery() as nursery:
        await nursery.start(server.serve_forever)
        server.connect()
        server.connect(MemoryClient(client_context).hello(), room=10)
        client = MemoryClient(client_context)
        stuck = server.connect(client.hello(), room=100_000)
        await trio.testing.wait_all_tasks_blocked()
        stuck.feed(client.answer(bytes(stuck.sent)))
        await trio.testing.wait_all_tasks_blocked()
        assert [r.state.value for r in server.requests] == ["handshake", "handshake", "running"]
        assert stuck.room == 0
        begin = trio.current_time()
        reports.append(await server.shutdown(grace))
        assert trio.current_time() - begin == grace
    assert reports[0].cancelled == 3


async def test_p5_over_tls_a_drain_without_bound_waits_no_longer_than_the_handshake_timeout(
    autojump_clock: trio.testing.MockClock, server_context: ssl.SSLContext
) -> None:
    """With ``grace_period=None`` a mute client holds it up for what is left of its 10 s."""
    server = FakeServer(write_much, ssl_context=server_context)
    async with trio.open_nursery() as nursery:
        await nursery.start(server.serve_forever)
        server.connect()
        await trio.sleep(4)
        report = await server.shutdown(None)
    assert trio.current_time() == 10
    assert (report.failed, report.duration) == (1, 6)


async def test_p5_over_tls_an_idle_connection_does_not_hold_up_a_drain(
    io_path: str, server_context: ssl.SSLContext, client_context: ssl.SSLContext
) -> None:
    """``wait_request()`` ends, as on a plain connection; what had arrived is answered first."""

    class KeepAlive(trioserver.StreamRequestHandler):
        async def handle(self) -> None:
            while await self.wait_request():
                await self.wfile.write(await self.rfile.readline())

    server = trioserver.TCPServer(ANY_PORT, KeepAlive, ssl_context=server_context)
    async with trio.open_nursery() as nursery:
        await nursery.start(server.serve_forever)
        async with tls_client_of(server, client_context) as client:
            await client.send_all(b"1\n")
            assert await receive_exactly(client, 2) == b"1\n"
            await wait_until(lambda: server.requests[0].state is RequestState.IDLE)
            await client.send_all(b"2\n")
            report = await server.shutdown(grace_period=None)
            assert await receive_exactly(client, 2) == b"2\n"
            assert await client.receive_some() == b""
    assert report.finished == 1


async def test_p6_over_tls_never_more_than_max_requests_exist(
    io_path: str, server_context: ssl.SSLContext, client_context: ssl.SSLContext
) -> None:
    """Those in their handshake count; all clients are served in the end."""
    server = Server(server_context, max_requests=2)
    most = 0

    def look(event: trioserver.ServerEvent) -> None:
        nonlocal most
        most = max(most, len(server.requests))

    server.add_observer(look)

    async def ask() -> None:
        async with tls_client_of(server, client_context) as client:
            await client.send_all(b"hello\n")
            assert await receive_exactly(client, 6) == b"hello\n"

    async with server.running(grace_period=1):
        async with trio.open_nursery() as nursery:
            for _ in range(12):
                nursery.start_soon(ask)
    assert most == 2
    assert server.statistics().accepted == 12


async def test_p9_over_tls_a_client_that_pipelines_and_reads_nothing_is_held_back(
    io_path: str, server_context: ssl.SSLContext, client_context: ssl.SSLContext
) -> None:
    """The server keeps a few buffers full, the TLS layer's included, and goes on when the client reads."""
    line = bytes(1023) + b"\n"
    handled = most = 0

    class Handler(trioserver.StreamRequestHandler):
        async def handle(self) -> None:
            nonlocal handled, most
            async for line in self.rfile:
                await self.wfile.write(line)
                handled += 1
                endpoint: Any = self.request._tls  # type: ignore[attr-defined]
                kept = endpoint._incoming.pending + endpoint._outgoing.pending + len(endpoint._pending)
                most = max(most, self.wfile.pending + self.request.buffer.size + kept)

    server = trioserver.TCPServer(ANY_PORT, Handler, ssl_context=server_context)
    async with server.running():
        async with tls_client_of(server, client_context) as client:
            client.transport_stream.setsockopt(trio.socket.SOL_SOCKET, trio.socket.SO_RCVBUF, 65536)

            async def send() -> None:
                for _ in range(64):
                    await client.send_all(line * 1024)

            async with trio.open_nursery() as nursery:
                nursery.start_soon(send)
                await wait_until(lambda: handled)
                before = -1
                while before != handled:  # no progress in many turns: all buffers are full
                    before = handled
                    for _ in range(300):
                        await trio.lowlevel.checkpoint()
                assert handled < 64 * 1024
                assert most <= 6 * 65536
                held_back = handled
                nursery.start_soon(receive_until_closed, client)
                await wait_until(lambda: handled > held_back)
                nursery.cancel_scope.cancel()


async def test_p10_over_tls_a_client_that_pipelines_endlessly_starves_no_other(
    io_path: str, server_context: ssl.SSLContext, client_context: ssl.SSLContext
) -> None:
    """Beside it another one gets its answers, and a cancellation gets through."""
    handled = 0

    class Busy(Echo):
        async def handle(self) -> None:
            nonlocal handled
            async for line in self.rfile:
                await self.wfile.write(line)
                handled += 1

    async def flood(client: trio.abc.SendStream) -> None:
        with contextlib.suppress(trio.BrokenResourceError):
            while True:
                await client.send_all(b"x\n" * 10_000)

    server = trioserver.TCPServer(ANY_PORT, Busy, ssl_context=server_context)
    async with server.running():
        async with tls_client_of(server, client_context) as busy:
            async with tls_client_of(server, client_context) as polite:
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(flood, busy)
                    nursery.start_soon(receive_until_closed, busy)
                    await wait_until(lambda: handled > 100)
                    for _ in range(10):
                        before = handled
                        await polite.send_all(b"please\n")
                        assert await receive_exactly(polite, 7) == b"please\n"
                        assert handled - before < 1600
                    before = handled
                    server.requests[0].cancel()
                    await wait_until(lambda: len(server.requests) == 1)
                    assert handled - before <= 16
                    nursery.cancel_scope.cancel()
