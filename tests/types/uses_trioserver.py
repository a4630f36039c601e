"""A typed program that uses every public name; it only has to type-check, and to import.

Checked by mypy and pyright with the rest, and by the nox session ``typing_compat`` in an environment that
also holds trio-typing.
"""

from __future__ import annotations

import socket
import socketserver
from pathlib import Path
from typing import TYPE_CHECKING, Any, assert_type

import trio

import trioserver

if TYPE_CHECKING:
    import ssl
    from collections.abc import Awaitable


class CountingServer(trioserver.TCPServer):
    """A server with state of its own, which its handlers see under its own type."""

    max_requests = 10

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), CountingHandler, linger_timeout=1.0, all_addresses=True)
        self.count = 0

    async def verify_request(self, request: trioserver.RequestStream, client_address: Any) -> bool:
        return not request.closed and await super().verify_request(request, client_address)

    async def get_request(self) -> tuple[trioserver.RequestStream, Any]:
        return await super().get_request()

    async def process_request(self, request: trioserver.RequestStream, client_address: Any) -> None:
        await super().process_request(request, client_address)

    def finish_request(self, request: trioserver.RequestStream, client_address: Any) -> Awaitable[object]:
        return super().finish_request(request, client_address)

    async def handle_error(self, request: trioserver.RequestStream, client_address: Any) -> None:
        raise

    async def service_actions(self) -> None:
        self.count += len(self.requests)


class CountingHandler(trioserver.StreamRequestHandler["CountingServer"]):
    """Uses the streams."""

    timeout = 5.0
    wbufsize = 1000

    async def setup(self) -> None:
        await super().setup()
        assert_type(self.server, CountingServer)
        assert_type(self.request, trioserver.RequestStream)
        assert_type(self.rfile, trioserver.StreamReader)
        assert_type(self.wfile, trioserver.StreamWriter)

    async def handle(self) -> None:
        self.server.count += 1
        while await self.wait_request(60):
            line: bytes = await self.rfile.readline(100)
            record: bytes = await self.rfile.readuntil(b";") + await self.rfile.readexactly(2)
            rest: bytes = await self.rfile.read(5) + await self.rfile.read1()
            await self.wfile.write(memoryview(line))
            await self.wfile.writelines([record, bytearray(rest)])
            await self.wfile.flush()
        async for line in self.rfile:
            assert_type(line, bytes)
        stream: trio.abc.HalfCloseableStream = self.request
        await stream.send_eof()
        credentials: trioserver.PeerCredentials = self.request.peer_credentials()
        assert_type(credentials.uid, int)


class PlainHandler(trioserver.CallbackRequestHandler["CountingServer"]):
    """Its methods are plain functions."""

    delimiter: bytes | None = b"\n"
    timeout = 5.0
    max_line_bytes = 100
    max_unsent_bytes = 1000

    def setup(self) -> None:
        assert_type(self.server, CountingServer)
        assert_type(self.request, trioserver.RequestStream)
        self.write(bytearray(b"hello"))

    def data_received(self, data: bytes) -> None:
        self.busy = not self.busy
        self.delimiter = None
        self.write(data)

    def eof_received(self) -> None:
        super().eof_received()
        self.close()

    def finish(self) -> None:
        assert_type(self.timeouts, tuple[trioserver.Timeout, ...])


class TextHandler(trioserver.BaseRequestHandler[str]):
    """A handler of what is no stream; the server's type is left out."""

    async def handle(self) -> None:
        assert_type(self.request, str)
        await self.server.wait_draining()


class TextServer(trioserver.BaseServer[str]):
    """A server of what is no stream."""

    async def get_request(self) -> tuple[str, int]:
        return "text", 1


async def function(request: trioserver.RequestStream, client_address: Any, server: CountingServer) -> None:
    """A handler that is a function."""
    await request.send_all(b"%d" % server.count)


def observe(event: trioserver.ServerEvent) -> None:
    """Looks at every kind of event."""
    if isinstance(event, trioserver.RequestEnded):
        assert_type(event.outcome, trioserver.Outcome)
        assert_type(event.bytes_sent, int)
    elif isinstance(event, trioserver.AcceptPaused):
        assert_type(event.error, OSError | None)
    elif isinstance(event, trioserver.ServerStopped):
        assert_type(event.report, trioserver.ShutdownReport)
    elif isinstance(event, (trioserver.ServerDraining, trioserver.RequestAccepted)):
        assert_type(event.time, float)
    elif isinstance(event, trioserver.ServerStarted | trioserver.AcceptResumed):
        pass


async def make_servers() -> None:
    """Every way to make one."""
    options: trioserver.TCPServerOptions = {"max_requests": 5, "address_family": socket.AF_INET6}
    trioserver.TCPServer(("::1", 0, 0, 0), CountingHandler, **options)
    trioserver.TCPServer(("", 80), function, False)
    trioserver.TCPServer(("", 80), PlainHandler)
    trioserver.TCPServer(None, function, sock=socket.socket())
    trioserver.TCPServer(None, function, sock=[3, trio.SocketListener(trio.socket.socket())])
    unix: trioserver.UnixStreamServerOptions = {"mode": 0o600}
    trioserver.UnixStreamServer(Path("socket"), function, **unix)
    trioserver.UnixStreamServer(b"\0name", function, mode=None)
    stream: trioserver.StreamServerOptions = {"portable_io": True}
    base: trioserver.ServerOptions = {"timeout": None}
    print(stream, TextServer(None, TextHandler, **base))


class Upper(trioserver.DatagramRequestHandler[trioserver.UDPServer]):
    """A datagram handler whose methods are plain."""

    def setup(self) -> None:
        assert_type(self.packet, bytes)

    def handle(self) -> None:
        assert_type(self.server, trioserver.UDPServer)
        assert_type(self.request, trioserver.Datagram)
        self.wfile.write(self.rfile.read().upper())


class SlowUpper(trioserver.DatagramRequestHandler):
    """The same with a task."""

    async def handle(self) -> None:
        await self.socket.sendto(self.packet.upper(), self.client_address)

    async def finish(self) -> None:
        assert_type(self.timeouts, tuple[trioserver.Timeout, ...])
        await super().finish()


def in_place(request: trioserver.Datagram, client_address: Any, server: object) -> None:
    """A datagram handler that does not wait."""
    request.socket.sendto_nowait(request.data, client_address)


async def session(request: trioserver.DatagramSession, client_address: Any, server: object) -> None:
    """A handler of a peer's datagrams."""
    async for data in request:
        await request.send(data)


class Blocking(socketserver.StreamRequestHandler):
    """The stdlib's."""

    def handle(self) -> None:
        self.wfile.write(self.rfile.readline())


class OwnThreadingServer(trioserver.ThreadingMixIn, trioserver.TCPServer):
    """Made by hand."""


async def make_more_servers(context: ssl.SSLContext) -> None:
    """Datagrams, TLS, threads, processes."""
    udp: trioserver.UDPServerOptions = {"max_packet_size": 1500, "request_timeout": 5}
    trioserver.UDPServer(("127.0.0.1", 0), Upper, **udp)
    trioserver.UDPServer(("127.0.0.1", 0), SlowUpper, max_requests=5)
    trioserver.UnixDatagramServer("path", in_place, mode=0o600)
    sessions = trioserver.UDPSessionServer(("127.0.0.1", 0), session, session_timeout=5)
    assert_type(sessions.datagrams_lost.full_queues, int)
    server = trioserver.TCPServer(("127.0.0.1", 0), function, ssl_context=context, handshake_timeout=5)
    server.ssl_context = context
    threads = trioserver.ThreadingTCPServer(("127.0.0.1", 0), Blocking, max_threads=5, ssl_context=context)
    threads.max_threads = None
    OwnThreadingServer(("127.0.0.1", 0), Blocking, daemon_threads=True)
    trioserver.ForkingUnixStreamServer("path", Blocking, max_children=5)
    assert_type((await threads.shutdown(5)).cancelled, int)


async def main() -> None:
    """The life of a server."""
    observer: trioserver.Observer = observe
    async with CountingServer() as server:
        assert_type(server, CountingServer)
        server.add_observer(observer)
        server.remove_observer(observer)
        await server.handle_request()
        await server.handle_timeout()
    async with server.running(grace_period=None) as running:
        assert_type(running, CountingServer)
        for request in running.requests:
            assert_type(request, trioserver.Request[trioserver.RequestStream])
            assert_type(request.state, trioserver.RequestState)
            request.cancel()
        statistics: trioserver.ServerStatistics = running.statistics()
        assert_type(statistics.state, trioserver.State)
        assert_type(running.fileno(), int)
    async with trio.open_nursery() as nursery:
        await nursery.start(server.serve_forever)
        try:
            report: trioserver.ShutdownReport = await server.shutdown(grace_period=5)
            assert_type(report.finished + report.rejected, int)
        except trioserver.WrongTask:
            server.request_shutdown()
        except (trioserver.ServerClosed, trioserver.AlreadyServing, trioserver.LifecycleError) as error:
            assert_type(str(error), str)
        except trioserver.IncompleteRead as error:
            assert_type(error.partial, bytes)
        except trioserver.LimitExceeded as error:
            assert_type(error.limit, int)
        except trioserver.StreamTimeout as error:
            assert_type(error.timeout, float)
        except (trioserver.ConfigError, trioserver.TransportError, trioserver.TrioServerError):
            await server.aclose()
    endpoint: trioserver.Endpoint | None = None
    stream_server: trioserver.StreamServer = server
    print(endpoint, stream_server.sockets)
