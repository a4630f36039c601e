"""``socketserver``: the standard library's, and the drop-in that has the same names."""

from __future__ import annotations

import signal
import socket
import threading
from typing import TYPE_CHECKING, Any

from benchmarks.peers.registry import BACKLOG, CHUNK, HOST, Job, peer

if TYPE_CHECKING:
    from types import ModuleType


def serve_blocking(
    job: Job, module: ModuleType, server_class: str, *, nodelay: bool = False, **attributes: object
) -> None:
    """A server of *module*, with a handler that reads and writes as blocking code does."""

    class Line(module.StreamRequestHandler):  # type: ignore[misc, name-defined]
        disable_nagle_algorithm = nodelay

        def handle(self) -> None:
            for line in self.rfile:
                self.wfile.write(line)

    class Raw(module.BaseRequestHandler):  # type: ignore[misc, name-defined]
        def handle(self) -> None:
            if nodelay:
                self.request.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, True)
            while data := self.request.recv(CHUNK):
                self.request.sendall(data)

    class Datagram(module.BaseRequestHandler):  # type: ignore[misc, name-defined]
        def handle(self) -> None:
            data, sock = self.request
            sock.sendto(data, self.client_address)

    def stop(*_: object) -> None:
        job.stopping()
        threading.Thread(target=server.shutdown).start()

    handlers: dict[str, Any] = {"line": Line, "raw": Raw}
    cls: Any = type("Server", (getattr(module, server_class),), {"request_queue_size": BACKLOG, **attributes})
    with cls((HOST, job.port), handlers.get(job.mode, Datagram)) as server:
        signal.signal(signal.SIGTERM, stop)
        job.ready(server.server_address[1])
        server.serve_forever()
    job.stopped()


@peer("udp", "udptask")
def socketserver_udp(job: Job) -> None:
    """The standard library's ``UDPServer``, which serves one datagram after the other."""
    import socketserver

    serve_blocking(job, socketserver, "UDPServer")


@peer("line", "raw")
def socketserver_threading(job: Job) -> None:
    """The standard library's ``ThreadingTCPServer``."""
    import socketserver

    serve_blocking(job, socketserver, "ThreadingTCPServer", daemon_threads=True)


@peer("line", "raw")
def socketserver_threading_nodelay(job: Job) -> None:
    """The same with TCP_NODELAY, which its handlers call ``disable_nagle_algorithm``."""
    import socketserver

    serve_blocking(job, socketserver, "ThreadingTCPServer", nodelay=True, daemon_threads=True)


@peer("line", "raw")
def socketserver_synchronous(job: Job) -> None:
    """The standard library's ``TCPServer``, which serves one connection after the other."""
    import socketserver

    serve_blocking(job, socketserver, "TCPServer")


@peer("line", "raw")
def dropin_threading(job: Job) -> None:
    """``ThreadingTCPServer`` of ``trioserver_adapters.socketserver``."""
    from trioserver_adapters import socketserver

    serve_blocking(job, socketserver, "ThreadingTCPServer", daemon_threads=True)


@peer("line", "raw")
def dropin_reusing_threads(job: Job) -> None:
    """The same, whose threads serve one request after another."""
    from trioserver_adapters import socketserver

    serve_blocking(job, socketserver, "ThreadingTCPServer", daemon_threads=True, reuse_threads=True)


@peer("line", "raw")
def dropin_synchronous(job: Job) -> None:
    """``TCPServer`` of ``trioserver_adapters.socketserver``."""
    from trioserver_adapters import socketserver

    serve_blocking(job, socketserver, "TCPServer")
