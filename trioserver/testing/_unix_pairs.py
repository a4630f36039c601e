"""Unix stream sockets that are connected: what one end sends, the other has at once. There is no wire."""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING, Any

from ._addresses import error
from ._unix_names import NamedCore

if TYPE_CHECKING:
    from collections import deque

    from _typeshed import ReadableBuffer


class UnixPaired(NamedCore):
    """A Unix stream socket, as far as it is connected."""

    __slots__ = (
        "_backlog",
        "_connected",
        "_error",
        "_incoming",
        "_peer",
        "_peer_name",
        "_queue",
        "_read_shut",
        "_write_shut",
    )

    def __init__(self, *args: Any, **named: Any) -> None:
        super().__init__(*args, **named)
        self._peer: UnixPaired | None = None
        self._peer_name: str | bytes = ""
        self._connected = False  # stays True when the peer is gone
        self._incoming = bytearray()
        self._read_shut = self._write_shut = False
        self._error = 0
        self._queue: deque[UnixPaired] | None = None  # of one that listens
        self._backlog = 0

    def peer_name(self) -> str | bytes:
        """The other end's name, also when it is gone."""
        if not self._connected:
            raise error(errno.ENOTCONN)
        return self._peer_name

    # Data.

    def send(self, data: ReadableBuffer) -> int:
        """Hand over what the other end has room for."""
        if not self._connected:
            raise error(errno.ENOTCONN)
        peer = self._peer
        if self._write_shut or peer is None:
            raise error(errno.EPIPE)
        view = memoryview(data).cast("B")
        room = self.options.send_bytes - len(peer._incoming)
        if room <= 0 and view:
            raise BlockingIOError(errno.EAGAIN, "the peer has no room")
        sent = view[:room]
        if sent:
            peer._incoming += sent
            peer.wake_reader()
        return len(sent)

    def send_to(self, data: ReadableBuffer, address: Any) -> int:
        """A stream sends to its peer alone."""
        raise error(errno.EISCONN if self._connected else errno.EOPNOTSUPP)

    def receive(self, max_bytes: int, *, peek: bool = False) -> bytes:
        """Take what the peer has sent."""
        incoming = self._incoming
        if not self._connected:
            raise error(errno.EINVAL)
        if not incoming:
            if self._error:
                raise error(self.take_error())
            if self._read_shut or not max_bytes:
                return b""
            raise BlockingIOError(errno.EAGAIN, "nothing was received yet")
        data = bytes(incoming[:max_bytes])
        if not peek:
            del incoming[:max_bytes]
            if self._peer is not None and self._peer.is_writable():
                self._peer.wake_writer()
        return data

    def receive_from(self, max_bytes: int, *, peek: bool = False) -> tuple[bytes, Any, int]:
        """The same, and the name of the peer if it has one."""
        data = self.receive(max_bytes, peek=peek)
        return data, self._peer_name or None, len(data)

    def is_readable(self) -> bool:
        """Whether a receive, or an accept, would do something."""
        if self._queue is not None:
            return bool(self._queue) or self._read_shut
        return bool(self._incoming) or self._read_shut or self._error != 0 or not self._connected

    def is_writable(self) -> bool:
        """Whether it is worth to send: Linux waits until three quarters of the buffer are free."""
        if self._queue is not None:
            return False
        peer = self._peer
        if peer is None or self._write_shut:
            return True
        return len(peer._incoming) * 4 <= self.options.send_bytes

    def take_error(self) -> int:
        """The errno that waits to be raised."""
        number, self._error = self._error, 0
        return number

    def unsent_bytes(self) -> int:
        """What the peer has not read."""
        return 0 if self._peer is None else len(self._peer._incoming)

    # The end.

    def shut_down(self, *, read: bool, write: bool) -> None:
        """Close one half or both: they are the other halves of the peer."""
        self._shut(read=read, write=write)
        if self._peer is not None:
            self._peer._shut(read=write, write=read)

    def _shut(self, *, read: bool, write: bool) -> None:
        self._read_shut = self._read_shut or read
        self._write_shut = self._write_shut or write
        self.wake_reader()
        self.wake_writer()

    def close(self) -> None:
        """Close. A peer whose data was not read, or who was not accepted, gets ``ECONNRESET``."""
        self.unbind()
        waiting, self._queue = self._queue, None
        for embryo in waiting or ():
            embryo._disconnect(reset=True)
        self._disconnect(reset=bool(self._incoming))

    vanish = close

    def _disconnect(self, *, reset: bool) -> None:
        peer, self._peer = self._peer, None
        self._incoming.clear()
        if peer is not None:
            peer._peer = None
            if reset:
                peer._error = errno.ECONNRESET
            peer._shut(read=True, write=True)
