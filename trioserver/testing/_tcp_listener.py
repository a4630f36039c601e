"""A listening TCP socket: its backlog."""

from __future__ import annotations

import errno
from collections import deque
from typing import TYPE_CHECKING, Final

from ._addresses import error
from ._ports import Binding
from ._tcp_connection import Connection
from ._watchers import NOBODY

if TYPE_CHECKING:
    from ._fabric import Fabric
    from ._socket_options import SocketOptions
    from ._tcp_segments import Segment
    from ._watchers import Watcher

MAX_BACKLOG: Final = 4096
"""Linux's ``net.core.somaxconn``; a longer backlog is cut to it, see listen(2)."""


class Listener:
    """Connections that nobody has accepted yet.

    As on Linux, a backlog of n holds n + 1; a SYN that comes while it is full is dropped, and the client
    sends it again after 1, 3, 7 ... seconds. Here a connection has a place from its SYN on; Linux gives it
    one with the acknowledgement that completes the handshake, and forgets that if there is no place.

    Args:
      network: Where it is.
      binding: The port.
      options: What accepted connections begin with.
      backlog: As for ``socket.listen``.
      watcher: Who waits for connections.
    """

    __slots__ = ("_backlog", "_handshakes", "_queue", "binding", "closed", "network", "options", "watcher")

    def __init__(
        self, network: Fabric, binding: Binding, options: SocketOptions, backlog: int, watcher: Watcher
    ) -> None:
        self.network = network
        self.binding = binding
        self.options = options
        self.watcher = watcher
        self.closed = False
        self._backlog = 0
        self._queue: deque[Connection] = deque()
        self._handshakes: dict[Connection, None] = {}
        self.set_backlog(backlog)

    def set_backlog(self, backlog: int) -> None:
        """Change it: ``listen`` was called again."""
        self._backlog = max(0, min(backlog, MAX_BACKLOG))

    @property
    def is_full(self) -> bool:
        """Whether there is no place for another."""
        return self.closed or len(self._queue) + len(self._handshakes) > self._backlog

    @property
    def waiting(self) -> bool:
        """Whether there is a connection to accept."""
        return bool(self._queue)

    def begin(self, syn: Segment) -> None:
        """A client wants to connect."""
        own = self.binding
        options = self.options.copy()
        binding = Binding(
            None,
            syn.destination[0],
            own.port,
            dual=False,
            reuse_address=own.reuse_address,
            reuse_port=own.reuse_port,
        )
        connection = Connection(
            self.network,
            syn.receiver,
            syn.sender,
            syn.destination,
            syn.source,
            options,
            binding,
            syn.connection or 0,
        )
        connection.stack.ports.add(binding)
        self._handshakes[connection] = None
        connection.answer(syn, self)

    def complete(self, connection: Connection) -> None:
        """A handshake is done."""
        del self._handshakes[connection]
        self._queue.append(connection)
        self.watcher.wake_reader()

    def forget(self, connection: Connection) -> None:
        """A handshake has failed."""
        del self._handshakes[connection]
        connection.orphaned = True

    def first(self) -> Connection:
        """The connection that waits for the longest, which stays where it is; see `take`.

        Raises:
          OSError: ``EINVAL`` after the socket was shut down.
          BlockingIOError: There is none.
        """
        if self.closed:
            raise error(errno.EINVAL)
        if not self._queue:
            raise BlockingIOError(errno.EAGAIN, "nobody has connected")
        return self._queue[0]

    def take(self) -> Connection:
        """Take that connection off the backlog."""
        return self._queue.popleft()

    def close(self, *, silently: bool = False) -> None:
        """Reset those that wait."""
        self.closed = True
        self.watcher = NOBODY
        waiting = [*self._queue, *self._handshakes]
        self._queue.clear()
        self._handshakes.clear()
        for connection in waiting:
            connection.listener = None
            connection.orphaned = True
            if silently:
                connection.vanish()
            elif not connection.dead:
                connection.reset()
            else:
                connection.close()
