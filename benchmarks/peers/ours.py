"""trioserver: asynchronous handlers, plain ones, and the same with one thing changed."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING, Any

from benchmarks.peers.registry import BACKLOG, HOST, LIFETIME, Job, peer

if TYPE_CHECKING:
    from trioserver import Datagram, RequestStream, TCPServer, UDPServer


@peer("line", "raw", "tls", "udp", "udptask", "ping")
def trioserver(job: Job) -> None:
    """Ours, with the asynchronous handler of the README."""
    serve(job, handlers(job))


@peer("line", "raw", "tls", "ping")
def trioserver_callbacks(job: Job) -> None:
    """Ours, with a plain ``def`` handler that is called in place."""
    serve(job, callbacks(job))


@peer("udp")
def trioserver_datagram_tasks(job: Job) -> None:
    """Ours, with an asynchronous handler for each datagram."""
    job.mode = "udptask"
    serve(job, handlers(job))


@peer("line", "raw", "ping")
def trioserver_portable(job: Job) -> None:
    """Ours on the I/O path of other systems than Linux: ``portable_io = True``."""
    serve(job, handlers(job), portable_io=True)


@peer("line", "raw", "ping")
def trioserver_portable_callbacks(job: Job) -> None:
    """Plain ``def`` handlers on that path."""
    serve(job, callbacks(job), portable_io=True)


@peer("line", "raw")
def trioserver_stream_methods(job: Job) -> None:
    """Ours, with the methods of trio's stream interface, each of which is a checkpoint."""

    async def handle(request: RequestStream, client_address: object, server: object) -> None:
        async for data in request:
            await request.send_all(data)

    serve(job, handle)


@peer("line", "raw")
def trioserver_timeouts(job: Job) -> None:
    """Ours, with a bound for each wait and for each request, which nobody reaches."""
    serve(job, handlers(job, timeout=60), request_timeout=LIFETIME)


def handlers(job: Job, **attributes: object) -> Any:
    """Asynchronous ones."""
    from trioserver import StreamRequestHandler

    class Line(StreamRequestHandler):
        async def handle(self) -> None:
            async for line in self.rfile:
                await self.wfile.write(line)

    class Ping(StreamRequestHandler):
        async def handle(self) -> None:
            async for line in self.rfile:
                if line == b"PING\r\n":
                    await self.wfile.write(b"+PONG\r\n")

    class Raw(StreamRequestHandler):
        async def handle(self) -> None:
            while data := await self.rfile.read1():
                await self.wfile.write(data)

    async def datagram(request: Datagram, client_address: object, server: object) -> None:
        await request.socket.sendto(request.data, client_address)

    if job.mode == "udptask":
        return datagram
    base = {"ping": Ping, "raw": Raw}.get(job.mode, Line)
    return type("Handler", (base,), attributes)


def callbacks(job: Job) -> Any:
    """Plain ``def`` ones."""
    from trioserver import CallbackRequestHandler

    class Line(CallbackRequestHandler):
        delimiter = b"\n"

        def data_received(self, data: bytes) -> None:
            self.write(data)

    class Ping(CallbackRequestHandler):
        delimiter = b"\n"

        def data_received(self, data: bytes) -> None:
            if data == b"PING\r\n":
                self.write(b"+PONG\r\n")

    class Raw(CallbackRequestHandler):
        def data_received(self, data: bytes) -> None:
            self.write(data)

    return {"ping": Ping, "raw": Raw}.get(job.mode, Line)


def in_place(request: Datagram, client_address: object, server: object) -> None:
    """What serves a datagram without a task."""
    request.socket.sendto_nowait(request.data, client_address)


def serve(job: Job, handler: Any, **attributes: object) -> None:
    """Serve until SIGTERM, with these attributes of the server set."""
    import trio

    from trioserver import TCPServer, UDPServer

    def make() -> TCPServer | UDPServer:
        if job.mode in ("udp", "udptask"):
            return UDPServer((HOST, job.port), in_place if job.mode == "udp" else handler)
        server = TCPServer((HOST, job.port), handler)
        server.request_queue_size = BACKLOG
        if job.mode == "tls":
            from benchmarks.peers.tls import server_context

            server.ssl_context = server_context()
        for name, value in attributes.items():
            setattr(server, name, value)
        return server

    async def main() -> None:
        server = make()
        with trio.open_signal_receiver(signal.SIGTERM) as signals:
            async with trio.open_nursery() as nursery:
                await nursery.start(server.serve_forever)
                job.ready(server.server_address[1])
                await anext(aiter(signals))
                job.stopping()
                await server.shutdown()
                job.stopped()

    trio.run(main)
