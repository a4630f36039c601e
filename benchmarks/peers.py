"""The servers that are measured: ``python peers.py NAME PORT MODE``.

All of them do the same: in mode ``line`` they send each line back by itself, with one write; in
mode ``raw`` they send back what came. In the modes ``udp`` and ``udptask`` those that speak UDP send
each datagram back; ours in place, and in a task of its own. Each is written as its library's
documentation would have it, not tuned for the benchmark. The protocol with the harness:

1. once the server listens it prints ``READY <port>`` (PORT may be 0 for any free one);
2. on SIGTERM it closes every connection, as its library does when it stops at once;
3. when nothing of it runs any more it prints ``SHUTDOWN <milliseconds>``, and exits.

A new one is one function with ``@peer``. Its imports belong inside: the libraries of the others
need not be installed, and their memory and import hooks must not be in the process that is
measured. For the same reason this file imports nothing of the harness.
"""

from __future__ import annotations

import resource
import signal
import sys
import time
from functools import partial
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType

    import trio

HOST = "127.0.0.1"
BACKLOG = 4096  # what Linux allows by default (net.core.somaxconn); a burst of 2,000 must fit
CHUNK = 65536
LIFETIME = 3600  # seconds; no harness that dies leaves a server behind for longer


class Job:
    """What the harness asked for, and the lines that it waits for."""

    def __init__(self, port: int, mode: str) -> None:
        self.port = port
        self.mode = mode
        self._stopping = 0.0

    def ready(self, port: int) -> None:
        print(f"READY {port}", flush=True)

    def stopping(self) -> None:
        self._stopping = time.perf_counter()

    def stopped(self) -> None:
        print(f"SHUTDOWN {(time.perf_counter() - self._stopping) * 1e3:.2f}", flush=True)


PEERS: dict[str, Callable[[Job], None]] = {}


def peer(serve: Callable[[Job], None]) -> Callable[[Job], None]:
    PEERS[serve.__name__] = serve
    return serve


@peer
def trio_serve_tcp(job: Job) -> None:
    """trio alone: ``trio.serve_tcp``, and the line handler that everybody writes for it."""
    import trio

    async def line(stream: trio.SocketStream) -> None:
        buffer = bytearray()
        try:
            while data := await stream.receive_some():
                buffer += data
                while end := buffer.find(b"\n") + 1:
                    reply = bytes(buffer[:end])
                    del buffer[:end]
                    await stream.send_all(reply)
        except trio.BrokenResourceError:
            pass

    async def raw(stream: trio.SocketStream) -> None:
        try:
            while data := await stream.receive_some(CHUNK):
                await stream.send_all(data)
        except trio.BrokenResourceError:
            pass

    async def main() -> None:
        handler = line if job.mode == "line" else raw
        serve = partial(trio.serve_tcp, handler, job.port, host=HOST, backlog=BACKLOG)
        with trio.open_signal_receiver(signal.SIGTERM) as signals:
            async with trio.open_nursery() as nursery:
                listeners: list[trio.SocketListener] = await nursery.start(serve)
                job.ready(listeners[0].socket.getsockname()[1])
                await anext(aiter(signals))
                job.stopping()
                nursery.cancel_scope.cancel()
            job.stopped()

    trio.run(main)


def serve_blocking(job: Job, module: ModuleType, server_class: str, **attributes: object) -> None:
    """A server of ``socketserver``, the standard library's or ours, which have the same names."""
    import threading

    class Line(module.StreamRequestHandler):  # type: ignore[misc, name-defined]
        def handle(self) -> None:
            for line in self.rfile:
                self.wfile.write(line)

    class Datagram(module.BaseRequestHandler):  # type: ignore[misc, name-defined]
        def handle(self) -> None:
            data, sock = self.request
            sock.sendto(data, self.client_address)

    def stop(*_: object) -> None:
        job.stopping()
        threading.Thread(target=server.shutdown).start()

    cls: Any = type("Server", (getattr(module, server_class),), {"request_queue_size": BACKLOG, **attributes})
    with cls((HOST, job.port), Datagram if job.mode.startswith("udp") else Line) as server:
        signal.signal(signal.SIGTERM, stop)
        job.ready(server.server_address[1])
        server.serve_forever()
    job.stopped()


@peer
def socketserver_udp(job: Job) -> None:
    """The standard library's ``UDPServer``, which serves one datagram after the other."""
    import socketserver

    serve_blocking(job, socketserver, "UDPServer")


@peer
def socketserver_threading(job: Job) -> None:
    """The standard library's ``ThreadingTCPServer``."""
    import socketserver

    serve_blocking(job, socketserver, "ThreadingTCPServer", daemon_threads=True)


@peer
def socketserver_synchronous(job: Job) -> None:
    """The standard library's ``TCPServer``, which serves one connection after the other."""
    import socketserver

    serve_blocking(job, socketserver, "TCPServer")


@peer
def dropin_threading(job: Job) -> None:
    """``ThreadingTCPServer`` of ``trioserver_adapters.socketserver``."""
    from trioserver_adapters import socketserver

    serve_blocking(job, socketserver, "ThreadingTCPServer", daemon_threads=True)


@peer
def dropin_reusing_threads(job: Job) -> None:
    """The same, whose threads serve one request after another."""
    from trioserver_adapters import socketserver

    serve_blocking(job, socketserver, "ThreadingTCPServer", daemon_threads=True, reuse_threads=True)


@peer
def dropin_synchronous(job: Job) -> None:
    """``TCPServer`` of ``trioserver_adapters.socketserver``."""
    from trioserver_adapters import socketserver

    serve_blocking(job, socketserver, "TCPServer")


@peer
def trioserver(job: Job) -> None:
    """Ours, with the handler of the README."""
    serve_ours(job, timeouts=False)


@peer
def trioserver_timeouts(job: Job) -> None:
    """The same with a bound for each wait and for each request, which nobody reaches."""
    serve_ours(job, timeouts=True)


def serve_ours(job: Job, *, timeouts: bool) -> None:
    import trio

    from trioserver import Datagram, StreamRequestHandler, TCPServer, UDPServer

    class Line(StreamRequestHandler):
        async def handle(self) -> None:
            async for line in self.rfile:
                await self.wfile.write(line)

    class Raw(StreamRequestHandler):
        async def handle(self) -> None:
            while data := await self.rfile.read1():
                await self.wfile.write(data)

    def in_place(request: Datagram, client_address: object, server: object) -> None:
        request.socket.sendto_nowait(request.data, client_address)

    async def task_each(request: Datagram, client_address: object, server: object) -> None:
        await request.socket.sendto(request.data, client_address)

    def make() -> TCPServer | UDPServer:
        if job.mode in ("udp", "udptask"):
            return UDPServer((HOST, job.port), in_place if job.mode == "udp" else task_each)
        server = TCPServer((HOST, job.port), Line if job.mode == "line" else Raw)
        server.request_queue_size = BACKLOG
        if timeouts:
            server.request_timeout = LIFETIME
            Line.timeout = Raw.timeout = 60
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


def main() -> None:
    try:
        _, name, port, mode = sys.argv
        serve, job = PEERS[name], Job(int(port), mode)
    except (ValueError, KeyError):
        sys.exit(f"usage: peers.py {'|'.join(PEERS)} PORT line|raw|udp|udptask")
    signal.alarm(LIFETIME)
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    serve(job)


if __name__ == "__main__":
    main()
