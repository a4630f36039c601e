"""A server's datagram socket as synchronous handlers know it: to send from, blocking."""

from __future__ import annotations

import errno
import threading
import time
from typing import TYPE_CHECKING, Any, Final

import trio

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

    from .datagram_socket import DatagramSocket
    from .endpoint import Address

_FIRST_PAUSE: Final = 0.001
_LONGEST_PAUSE: Final = 0.05


class BlockingDatagramSocket:
    """What a synchronous handler of a datagram server gets as the socket, for the length of one request.

    May be used from any thread, and in a forked process. It is the server's socket that it sends from, which
    stays open and non-blocking: there is nothing to close or to receive here.
    """

    def __init__(self, sock: DatagramSocket) -> None:
        self._socket = sock
        self._lock = threading.Lock()
        self._cancelled = False
        self._closed = False

    def sendto(self, data: ReadableBuffer, address: Address, /) -> int:
        """Send a datagram, blocking while the kernel has no room for it; returns its length.

        Raises:
          OSError: It can not be sent: ``ECONNREFUSED``, ``EHOSTUNREACH`` and the like, or ``ENOENT`` on Unix
            sockets, if the peer is gone; ``EDESTADDRREQ`` if it has no name; ``EMSGSIZE`` if it is too long;
            ``ECANCELED`` if the request is cancelled and there is no room.
        """
        pause = _FIRST_PAUSE
        while (sent := self._try_send(data, address)) is None:
            if self._cancelled:
                raise OSError(errno.ECANCELED, "the request was cancelled, and there is no room to send")
            # Not a wait for the socket: where it is the queue of a client on a Unix socket that is full, the
            # kernel says that there is room, at once, every time.
            time.sleep(pause)
            pause = min(_LONGEST_PAUSE, pause * 2)
        return sent

    def _try_send(self, data: ReadableBuffer, address: Address) -> int | None:
        """Send at once; ``None`` if there is no room."""
        with self._lock:  # or the number could be another socket's by the time it is used
            if self._closed:
                raise OSError(errno.ECANCELED, "the request was cancelled, and has lost its socket")
            try:
                return self._socket.sendto_nowait(data, address)
            except trio.WouldBlock:
                return None
            except trio.ClosedResourceError:
                raise OSError(errno.EBADF, "the server has closed its socket") from None

    def getsockname(self) -> Any:
        """The address it is bound to."""
        return self._socket.getsockname()

    def setsockopt(self, *args: Any) -> None:
        """Set an option, as ``socket.socket.setsockopt``; it is one of the server's socket."""
        self._socket.setsockopt(*args)

    def getsockopt(self, *args: Any) -> Any:
        """Read an option, as ``socket.socket.getsockopt``."""
        return self._socket.getsockopt(*args)

    def fileno(self) -> int:
        """The descriptor; -1 once it is closed."""
        return self._socket.fileno()

    @property
    def family(self) -> Any:
        """The address family."""
        return self._socket.socket.family

    @property
    def type(self) -> Any:
        """The type of the socket."""
        return self._socket.socket.type

    def cancel(self) -> None:
        """Wait for room no longer: the request was cancelled. From the trio thread."""
        self._cancelled = True

    def close(self) -> None:
        """Send nothing more; the server's business, when it leaves a thread to itself."""
        self._cancelled = True
        with self._lock:
            self._closed = True

    def __repr__(self) -> str:
        return f"<BlockingDatagramSocket of {self._socket!r}>"
