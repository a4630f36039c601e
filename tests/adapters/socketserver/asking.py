"""A server of ours in a thread, and what it says."""

from __future__ import annotations

import contextlib
import socket
import threading
from typing import TYPE_CHECKING, Any

from trioserver_adapters import socketserver

if TYPE_CHECKING:
    from collections.abc import Iterator


class Hello(socketserver.BaseRequestHandler):
    """Says ok."""

    def handle(self) -> None:
        self.request.sendall(b"ok")


def ask(server: Any) -> bytes:
    """What the server says."""
    with socket.create_connection(server.server_address, timeout=3) as client:
        return client.recv(10)


@contextlib.contextmanager
def serving(server: Any, *args: Any) -> Iterator[Any]:
    """Serve in a thread, in the block."""
    thread = threading.Thread(target=server.serve_forever, args=args, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join(5)
        server.server_close()
