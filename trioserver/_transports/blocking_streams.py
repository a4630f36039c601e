"""A connection as synchronous handlers know it: a blocking socket, for as long as they serve it.

1. The thread has a descriptor of its own for the connection. So the one of the stream stays the stream's,
   whatever a handler does with its socket, and neither side can close a number that the other still uses.
2. The connection ends with its request (P1): by the stream, which closes its descriptor, and by
   `BlockingConnection.close`, which closes that of the thread, files that were made of it or not.
3. Whether calls block is a property of the connection, not of the descriptor. Nothing else receives or sends
   while a thread has it.
"""

from __future__ import annotations

import contextlib
import errno
import socket
import threading
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    import ssl
    from collections.abc import Iterator

    from _typeshed import ReadableBuffer, WriteableBuffer

    from .stream import RequestStream

_GONE: Final = frozenset({errno.ETIMEDOUT, errno.EHOSTUNREACH, errno.ENETUNREACH})
"""What else but a ``ConnectionError`` says that the network has lost the peer; see tcp(7)."""


class BlockingSocket(socket.socket):
    """What the handler gets: a socket of the stdlib, which counts what goes through it.

    Args:
      sock: The stream's socket; this one has a descriptor of its own for the same connection.

    Attributes:
      bytes_received: Bytes received, by what ``makefile()`` and the stdlib's handlers use.
      bytes_sent: Bytes sent.
      detached: Whether the handler has taken the descriptor away.
    """

    def __init__(self, sock: socket.socket) -> None:
        self.bytes_received = 0
        self.bytes_sent = 0
        self.detached = False
        self._lock = threading.Lock()
        self._streams: socket.socket | None = sock
        fd = socket.dup(sock.fileno())
        try:
            super().__init__(sock.family, sock.type, sock.proto, fileno=fd)
        except BaseException:
            socket.close(fd)
            raise

    # That these are functions of Python's is how an error is known to be this connection's; see `raised_in`.

    def recv(self, bufsize: int, flags: int = 0, /) -> bytes:
        """Receive, and count."""
        data = super().recv(bufsize, flags)
        if not flags:  # MSG_PEEK would count twice
            self.bytes_received += len(data)
        return data

    def recv_into(self, buffer: WriteableBuffer, nbytes: int = 0, flags: int = 0) -> int:
        """Receive, and count."""
        received = super().recv_into(buffer, nbytes, flags)
        if not flags:
            self.bytes_received += received
        return received

    def send(self, data: ReadableBuffer, flags: int = 0, /) -> int:
        """Send, and count."""
        sent = super().send(data, flags)
        self.bytes_sent += sent
        return sent

    def sendall(self, data: ReadableBuffer, flags: int = 0, /) -> None:
        """Send, and count."""
        super().sendall(data, flags)
        self.bytes_sent += memoryview(data).nbytes

    def close(self) -> None:
        """Close. The peer sees it at once, though the stream has the connection until the request ends."""
        super().close()
        if self.fileno() == -1:  # and not later, by the last file that was made of it
            self._shutdown(socket.SHUT_WR)

    def dup(self) -> socket.socket:  # type: ignore[override]  # that of the stdlib is of this class
        """Another descriptor of the connection, as a plain socket: the stdlib would call our constructor."""
        fd = socket.dup(self.fileno())
        try:
            sock = socket.socket(self.family, self.type, self.proto, fileno=fd)
        except BaseException:
            socket.close(fd)
            raise
        sock.settimeout(self.gettimeout())
        return sock

    def detach(self) -> int:
        """Give up the descriptor; the connection ends with the request nevertheless."""
        self.detached = True
        return super().detach()

    def _shutdown(self, how: int) -> None:
        with self._lock:  # or the stream could close its number meanwhile, and another socket have it
            if self._streams is not None:
                with contextlib.suppress(OSError):
                    self._streams.shutdown(how)

    def hang_up(self) -> None:
        """End the connection, in both directions; from the trio thread."""
        self._shutdown(socket.SHUT_RDWR)

    def forget_stream(self) -> None:
        """The stream is about to close its descriptor; from the trio thread."""
        with self._lock:
            self._streams = None


class BlockingConnection:
    """Lends the connection of a stream to a thread.

    Args:
      stream: The connection; it stays its owner.

    Attributes:
      socket: What the thread uses: a `BlockingSocket`, or the ``ssl.SSLSocket`` on top of it.

    Raises:
      TypeError: It is no socket of the operating system.
      RuntimeError: Something was read from it, or it speaks TLS, which a socket can not take over.
      OSError: There is no descriptor left.
    """

    def __init__(self, stream: RequestStream) -> None:
        sock = stream.socket
        if not isinstance(sock, socket.socket):
            raise TypeError(
                f"a synchronous handler needs a socket of the operating system, not a {type(sock).__name__}"
            )
        if stream.ssl_object is not None:
            raise RuntimeError("the stream speaks TLS already; a thread can not take that over")
        if stream.buffer.size:
            raise RuntimeError(
                f"{stream.buffer.size} bytes were read from the stream before the handler was called, which "
                "reads from the socket and would miss them; a hook can look at them with "
                "request.socket.recv(..., socket.MSG_PEEK)"
            )
        self._cancelled = False
        self._left = False
        self._plain = BlockingSocket(sock)
        self.socket: socket.socket = self._plain

    @property
    def request(self) -> object:
        """What the handler gets."""
        return self.socket

    # In the thread.

    def shake_hands(self, context: ssl.SSLContext, *, suppress_ragged_eofs: bool) -> None:
        """Make it a TLS connection; blocks."""
        wrapped = context.wrap_socket(
            self.socket,
            server_side=True,
            do_handshake_on_connect=False,
            suppress_ragged_eofs=suppress_ragged_eofs,
        )
        self.socket = wrapped
        self._plain.detached = False  # by wrap_socket()
        wrapped.do_handshake()

    def close(self) -> None:
        """Close the thread's descriptor, also if files that were made of the socket are open.

        When the thread has done with it, or has not begun. Over TLS a ``close_notify`` goes out first, whose
        answer is not waited for; a request that was cancelled just ends, and the peer can tell.
        """
        sock = self.socket
        if sock is not self._plain and not self._cancelled:
            with contextlib.suppress(OSError, ValueError):  # it does not wait; it may be broken, or closed
                sock.settimeout(0)
                sock.unwrap()  # type: ignore[attr-defined]  # it is an SSLSocket
        if (fd := socket.socket.detach(sock)) != -1:
            socket.close(fd)

    # In the trio thread.

    def lend(self) -> None:
        """Make it block, for a thread; until `give_back` the stream must not be used."""
        self.socket.settimeout(socket.getdefaulttimeout())  # as the stdlib's accept()

    def cancel(self) -> None:
        """End whatever blocks in the thread: receiving and sending, at once and from now on."""
        self._cancelled = True
        self._plain.hang_up()

    def leave(self) -> None:
        """The same; and the stream will be closed while the thread runs."""
        self.cancel()
        self._left = True
        self._plain.forget_stream()

    def give_back(self, stream: RequestStream) -> None:
        """Let the stream have the connection again, unless a thread was left with it."""
        stream.bytes_received += self._plain.bytes_received
        stream.bytes_sent += self._plain.bytes_sent
        self._plain.bytes_received = self._plain.bytes_sent = 0
        if not self._left and stream.socket.fileno() != -1:
            stream.socket.setblocking(False)

    def end(self) -> None:
        """End the connection, where the handler has kept a descriptor; before the stream is closed (P1)."""
        if self._plain.detached:
            self._plain.hang_up()
        if not self._left:
            self.close()  # where no thread had it since the handshake
        self._plain.forget_stream()

    # Errors.

    def cancellation_explains(self, error: Exception) -> bool:
        """Whether a handler may have raised this because of `cancel`.

        Anything: the end of the connection came wherever it was, and what it makes of that is its own affair.
        """
        return True

    def is_peers_doing(self, error: BaseException) -> bool:
        """Whether an error says that this connection broke, and not another one, or that it is too slow."""
        if not isinstance(error, OSError) or not any(known is self.socket for known in raised_in(error)):
            return False
        if isinstance(error, ConnectionError) or error.errno in _GONE:
            return True
        if self.socket is self._plain:
            return False
        import ssl

        return isinstance(error, ssl.SSLError)


def raised_in(error: BaseException) -> Iterator[Any]:
    """The objects whose methods an exception came through, from the outermost to the one that raised it."""
    traceback = error.__traceback__
    while traceback is not None:
        yield traceback.tb_frame.f_locals.get("self")
        traceback = traceback.tb_next
