"""Unix stream sockets: how they connect."""

from __future__ import annotations

import errno
from collections import deque
from typing import TYPE_CHECKING, Any

from trioserver import format_address

from ._addresses import error
from ._tcp_listener import MAX_BACKLOG
from ._unix_pairs import UnixPaired

if TYPE_CHECKING:
    from ._cores import Core


class UnixStreamSocket(UnixPaired):
    """A Unix stream socket: unconnected, listening or connected."""

    __slots__ = ()

    def connect(self, address: Any) -> None:
        """Connect, at once.

        Raises:
          OSError: ``ECONNREFUSED`` if nobody listens, ``EAGAIN`` if the backlog is full: unlike with TCP
            nothing says when there is room again.
        """
        if self._connected or self._queue is not None:
            raise error(errno.EISCONN if self._connected else errno.EINVAL)
        listener = self.find(address)
        assert isinstance(listener, UnixStreamSocket)
        queue = listener._queue
        if queue is None:
            raise error(errno.ECONNREFUSED)
        if len(queue) > listener._backlog:
            raise error(errno.EAGAIN)
        other = UnixStreamSocket(
            self.network, self.host, self.family, self.type, self.proto, options=listener.options.copy()
        )
        other._name = listener._name  # as `getsockname` has it; the listener alone can be found by it
        other._attach(self)
        self._attach(other)
        queue.append(other)
        self.network.log.add(self.host.name, "connection", f"connected to {format_address(listener._name)}")
        listener.wake_reader()

    def _attach(self, peer: UnixStreamSocket) -> None:
        self._peer, self._peer_name, self._connected = peer, peer._name, True

    def listen(self, backlog: int) -> None:
        """Let others connect."""
        if not self._name or self._connected:
            raise error(errno.EINVAL)
        if self._queue is None:
            self._queue = deque()
            self.network.log.add(
                self.host.name, "listen", f"listens on {format_address(self._name)}", backlog=backlog
            )
        self._backlog = max(0, min(backlog, MAX_BACKLOG))

    def check_accept(self) -> None:
        """Raise what `accept` would."""
        if self._queue is None or self._read_shut:
            raise error(errno.EINVAL)
        if not self._queue:
            raise BlockingIOError(errno.EAGAIN, "nobody has connected")

    def accept(self) -> tuple[Core, Any]:
        """Take a connection off the backlog."""
        assert self._queue is not None
        accepted = self._queue.popleft()
        return accepted, accepted._peer_name

    def is_listening(self) -> bool:
        """Whether others can connect."""
        return self._queue is not None
