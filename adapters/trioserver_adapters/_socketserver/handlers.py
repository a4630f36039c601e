"""The handler classes."""

from __future__ import annotations

import contextlib
import errno
import socket
from io import BufferedIOBase, BytesIO
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from typing import BinaryIO

    from typing_extensions import Buffer

    from .base import BaseServer


_UNREACHABLE: Final = {errno.ENOTCONN, errno.EHOSTUNREACH, errno.ENETUNREACH}


class BaseRequestHandler:
    """Handles one request: the constructor calls `setup`, `handle` and `finish`.

    Attributes:
      request: The connection; for datagram servers ``(data, socket)``.
      client_address: Who asks.
      server: Who calls.
    """

    def __init__(self, request: Any, client_address: Any, server: BaseServer) -> None:
        self.request = request
        self.client_address = client_address
        self.server = server
        self.setup()
        try:
            self.handle()
        finally:
            self.finish()

    def setup(self) -> None:
        """Called before `handle`."""

    def handle(self) -> None:
        """Handle the request. To be overridden."""

    def finish(self) -> None:
        """Called after `handle`, even if that raised; not if `setup` did."""


class StreamRequestHandler(BaseRequestHandler):
    """Has ``rfile`` and ``wfile`` for a stream socket.

    Class variables that may be overridden by subclasses or instances:
      rbufsize: The buffer of ``rfile``, in bytes; -1 is the default of ``io``.
      wbufsize: The buffer of ``wfile``, in bytes; 0: each write is sent.
      timeout: For the socket, in seconds; None leaves it as it is.
      disable_nagle_algorithm: Whether to set TCP_NODELAY; false.
    """

    rbufsize: int = -1
    wbufsize: int = 0
    timeout: float | None = None
    disable_nagle_algorithm: bool = False
    connection: Any
    rfile: BufferedIOBase | BinaryIO
    wfile: BufferedIOBase | BinaryIO

    def setup(self) -> None:
        """Make ``connection``, ``rfile`` and ``wfile``."""
        self.connection = self.request
        if self.timeout is not None:
            self.connection.settimeout(self.timeout)
        if self.disable_nagle_algorithm:
            self.connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, True)
        self.rfile = self.connection.makefile("rb", self.rbufsize)
        if self.wbufsize == 0:
            self.wfile = SocketWriter(self.connection)
        else:
            self.wfile = self.connection.makefile("wb", self.wbufsize)

    def finish(self) -> None:
        """Flush and close both, as far as there are any: a subclass's `setup` may have failed half-way."""
        wfile, rfile = getattr(self, "wfile", None), getattr(self, "rfile", None)
        if wfile is not None:
            if not wfile.closed:
                with contextlib.suppress(OSError):  # the client may be gone
                    wfile.flush()
            wfile.close()
        if rfile is not None:
            rfile.close()


class SocketWriter(BufferedIOBase):
    """A ``wfile`` that sends each write, and holds nothing back."""

    def __init__(self, sock: Any) -> None:
        self._sock = sock

    def writable(self) -> bool:
        """True."""
        return True

    def write(self, data: Buffer, /) -> int:
        """Send all of ``data``; returns how many bytes that were."""
        self._sock.sendall(data)
        with memoryview(data) as view:
            return view.nbytes

    def fileno(self) -> int:
        """The descriptor of the socket."""
        fd: int = self._sock.fileno()
        return fd


class DatagramRequestHandler(BaseRequestHandler):
    """Has ``rfile`` and ``wfile`` for a datagram: what was written is sent, as one, by `finish`.

    Class variables that may be overridden by subclasses or instances; neither is in the standard library:
      send_empty_reply: Whether a handler that has written nothing answers with an empty datagram; true, as
        in the standard library: it may be what clients wait for.
      ignore_reply_errors: Whether a reply that can not be sent, since the client is gone or has no address,
        is no error; false, as in the standard library.
    """

    send_empty_reply: bool = True
    ignore_reply_errors: bool = False
    packet: bytes
    socket: socket.socket
    rfile: BinaryIO
    wfile: BytesIO

    def setup(self) -> None:
        """Make ``packet``, ``socket``, ``rfile`` and ``wfile``."""
        self.packet, self.socket = self.request
        self.rfile = BytesIO(self.packet)
        self.wfile = BytesIO()

    def finish(self) -> None:
        """Send the reply."""
        reply = self.wfile.getvalue()
        if not reply and not self.send_empty_reply:
            return
        if not self.ignore_reply_errors:
            self.socket.sendto(reply, self.client_address)
        elif self.client_address:
            try:
                self.socket.sendto(reply, self.client_address)
            except OSError as error:
                gone = isinstance(error, (ConnectionError, FileNotFoundError))
                if not gone and error.errno not in _UNREACHABLE:
                    raise
