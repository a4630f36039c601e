"""`StreamRequestHandler`: a handler with ``rfile`` and ``wfile``."""

from __future__ import annotations

import socket
from io import DEFAULT_BUFFER_SIZE
from typing import TYPE_CHECKING, Any

from .._transports.reader import DEFAULT_MAX_LINE_BYTES, StreamReader
from .._transports.stream import HANDSHAKE_TIMEOUT, RequestStream
from .._transports.writer import StreamWriter
from .base import BaseRequestHandler

if TYPE_CHECKING:
    import ssl
    from collections.abc import Coroutine

    from typing_extensions import TypeVar

    from .._servers.base import BaseServer

    ServerT = TypeVar("ServerT", bound=BaseServer[Any], default=BaseServer[Any])
else:
    from typing import TypeVar

    ServerT = TypeVar("ServerT")


class StreamRequestHandler(BaseRequestHandler[RequestStream, ServerT]):
    """A handler for stream servers, with ``self.rfile`` to read from and ``self.wfile`` to write to.

    ::

        class Echo(trioserver.StreamRequestHandler):
            async def handle(self):
                while await self.wait_request():
                    await self.wfile.write(await self.rfile.readline())

    A checker knows the type of ``self.server`` where it is named: ``StreamRequestHandler[MyServer]``.

    Class variables, to be overridden:
      timeout: Seconds that one wait for the client may take; None, the default, is no bound.
      max_line_bytes: The longest line that ``rfile`` reads; 64 KiB.
      rbufsize: Bytes that one receive asks for; -1 is 64 KiB.
      wbufsize: Bytes that ``wfile`` gathers; 0, the default, gathers none.
      disable_nagle_algorithm: Whether TCP_NODELAY is set; true.
      finish_timeout: Seconds that `finish` may take once the request is cancelled; 5.

    Attributes:
      request: The connection, a `RequestStream`; it shares the input buffer with ``rfile``.
      connection: The same, under its other name in the stdlib.
      rfile: A `StreamReader`.
      wfile: A `StreamWriter`.
    """

    timeout: float | None = None
    """Seconds that one wait for the client may take, in reading and in writing; ``None`` is no bound.

    As the stdlib's it bounds each wait, and not the request. When it is over, `StreamTimeout` is raised.
    """

    rbufsize: int = -1
    """How many bytes one receive asks for; -1, the default, is 64 KiB. At least 1."""

    wbufsize: int = 0
    """How many bytes ``wfile`` gathers before it sends; 0, the default, sends each write at once, and -1 is
    ``io.DEFAULT_BUFFER_SIZE``, as in the stdlib."""

    disable_nagle_algorithm: bool = True
    """Whether TCP_NODELAY is set. The stdlib's default is false, and costs 40 ms for each reply that is
    written in two pieces."""

    max_line_bytes: int = DEFAULT_MAX_LINE_BYTES
    """The longest line that ``rfile`` reads, in bytes; 64 KiB by default."""

    _serves = "connections"

    connection: RequestStream
    rfile: StreamReader
    wfile: StreamWriter

    def _serve(self) -> Coroutine[Any, Any, None]:
        cls = type(self)
        if (
            self.wbufsize == 0
            and cls.setup is StreamRequestHandler.setup
            and cls.finish is StreamRequestHandler.finish
        ):
            # Each coroutine on the way to `handle` costs every idle connection a quarter of a kilobyte. What
            # is gathered when it returns the server flushes, as it does for handlers that are functions.
            self._set_up()
            return self.handle()
        return super()._serve()

    async def setup(self) -> None:
        """Make ``rfile`` and ``wfile``, and set the options of the connection."""
        self._set_up()

    def _set_up(self) -> None:
        stream = self.connection = self.request
        if self.timeout is not None:
            stream.timeout = self.timeout
        if not self.disable_nagle_algorithm:
            _enable_nagle(stream.socket)
        self.rfile = StreamReader(stream, max_line_bytes=self.max_line_bytes, receive_bytes=self.rbufsize)
        self.wfile = StreamWriter(
            stream, buffer_bytes=self.wbufsize if self.wbufsize >= 0 else DEFAULT_BUFFER_SIZE
        )

    def wait_request(self, timeout: float | None = None) -> Coroutine[Any, Any, bool]:
        """Wait for the next request on this connection; see `RequestStream.wait_request`. To be awaited.

        ::

            while await self.wait_request(60):
                await self.wfile.write(await self.rfile.readline())
        """
        return self.request.wait_request(timeout)

    async def starttls(
        self, ssl_context: ssl.SSLContext, *, timeout: float | None = HANDSHAKE_TIMEOUT
    ) -> None:
        r"""Go on over TLS, for protocols that begin in plain text; see `RequestStream.starttls`.

        ::

            await self.wfile.write(b"220 ready to start TLS\r\n")
            await self.starttls(self.server.starttls_context)
        """
        await self.request.starttls(ssl_context, timeout=timeout)

    def _has_to_finish(self) -> bool:
        if type(self).finish is not StreamRequestHandler.finish:
            return True
        outbox = self.request.outbox
        return outbox is not None and (not outbox.empty or self.request.unflushed)

    async def finish(self) -> None:
        """Send what ``wfile`` has gathered. A client that is gone is no error here."""
        await self.request.flush_gathered()


def _enable_nagle(sock: Any) -> None:
    if sock.family in (socket.AF_INET, socket.AF_INET6):
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 0)
