"""Unix datagram sockets: reliable, in order, with a short queue that senders wait for."""

from __future__ import annotations

import errno
from collections import deque
from typing import TYPE_CHECKING, Any, Final

from ._addresses import error
from ._unix_names import NamedCore

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

MAX_QUEUE: Final = 10
"""Linux's ``net.unix.max_dgram_qlen``: one more than that fits."""


class UnixDatagramSocket(NamedCore):
    """A Unix datagram socket."""

    __slots__ = ("_blocked_by", "_gone", "_peer", "_queue", "_read_shut", "_senders", "_write_shut")

    def __init__(self, *args: Any, **named: Any) -> None:
        super().__init__(*args, **named)
        self._peer: UnixDatagramSocket | None = None  # what it is connected to
        self._queue: deque[tuple[bytes, Any]] = deque()
        self._senders: dict[UnixDatagramSocket, None] = {}  # who waits for room in the queue
        self._blocked_by: UnixDatagramSocket | None = None  # whose queue had no room for the last datagram
        self._read_shut = self._write_shut = self._gone = False

    def peer_name(self) -> str | bytes:
        """The name of what it is connected to."""
        if self._peer is None:
            raise error(errno.ENOTCONN)
        return self._peer._name

    def connect(self, address: Any) -> None:
        """Send to that socket from now on, and receive from no other."""
        peer = self.find(address)
        assert isinstance(peer, UnixDatagramSocket)
        if peer._peer not in (None, self):
            raise error(errno.EPERM)
        self._peer = peer

    def send(self, data: ReadableBuffer) -> int:
        """Send to what it is connected to."""
        peer = self._peer
        if peer is None:
            raise error(errno.ENOTCONN)
        if peer._gone:
            self._peer = None
            raise error(errno.ECONNREFUSED)
        return self._hand_over(data, peer)

    def send_to(self, data: ReadableBuffer, address: Any) -> int:
        """Send to a name."""
        peer = self.find(address)
        assert isinstance(peer, UnixDatagramSocket)
        return self._hand_over(data, peer)

    def _hand_over(self, data: ReadableBuffer, peer: UnixDatagramSocket) -> int:
        packed = bytes(data)
        if len(packed) > self.options.send_bytes * 2 - 32:
            raise error(errno.EMSGSIZE)
        if self._write_shut or peer._read_shut:
            raise error(errno.EPIPE)
        if peer._peer not in (None, self):
            raise error(errno.EPERM)
        if not peer._has_room():
            peer._senders[self] = None
            self._blocked_by = peer
            raise BlockingIOError(errno.EAGAIN, "the receiver's queue is full")
        self._blocked_by = None
        peer._queue.append((packed, self._name or None))
        peer.wake_reader()
        return len(packed)

    def _has_room(self) -> bool:
        return self._gone or self._read_shut or len(self._queue) <= MAX_QUEUE

    def receive_from(self, max_bytes: int, *, peek: bool = False) -> tuple[bytes, Any, int]:
        """Take a datagram: it is cut after ``max_bytes``."""
        if not self._queue:
            raise BlockingIOError(errno.EAGAIN, "no datagram was received yet")
        data, sender = self._queue[0]
        if not peek:
            self._queue.popleft()
            self._room_again()
        return data[:max_bytes], sender, len(data)

    def _room_again(self) -> None:
        senders, self._senders = self._senders, {}
        for sender in senders:
            sender.wake_writer()

    def is_readable(self) -> bool:
        """Whether there is a datagram."""
        return bool(self._queue)

    def is_writable(self) -> bool:
        """Whether there is room at what it is connected to; one that is not connected has always some."""
        if self._peer is None or self._peer._has_room():
            return True
        self._peer._senders[self] = None  # to be woken
        return False

    def may_send_again(self) -> bool:
        """Whether there is room now where there was none. On Linux one has to try again and again."""
        if self._blocked_by is None or self._blocked_by._has_room():
            return True
        self._blocked_by._senders[self] = None
        return False

    def shut_down(self, *, read: bool, write: bool) -> None:
        """Close one half or both. As on Linux, who does not block sees no closed receiving half."""
        self._read_shut = self._read_shut or read
        self._write_shut = self._write_shut or write
        self._room_again()

    def close(self) -> None:
        """Close; the name is free again."""
        self.unbind()
        self._gone = True
        self._queue.clear()
        self._peer = self._blocked_by = None
        self._room_again()

    vanish = close
