"""TCP sockets: unconnected, connecting, connected or listening."""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING, Any

from trioserver import format_address

from ._addresses import error, to_socket
from ._routes import host_for, source_host, target
from ._tcp_connection import Connection
from ._tcp_listener import Listener
from ._tcp_stack import tcp_stack
from ._tcp_transfer import TCPTransfer

if TYPE_CHECKING:
    from ._cores import Core


class TCPSocket(TCPTransfer):
    """A TCP socket."""

    __slots__ = ()

    # Connecting.

    def connect(self, address: Any) -> None:
        """Begin to connect."""
        if self._is_connected():
            return
        remote = target(self.family, address, v6_only=self.v6_only)
        bound = self.binding
        local = source_host(self.host, remote[0], None if bound is None else bound.host)
        peer_host = host_for(self.network, self.host, remote[0])
        if peer_host is None:
            raise error(errno.EHOSTUNREACH)
        connections = tcp_stack(self.host).connections
        if bound is None:
            bound = self.new_binding(local, 0)
            self.ports().bind_automatically(
                bound,
                lambda port: ((local, port), remote) not in connections and (local, port) != remote,
            )
            self.binding = bound
        elif ((local, bound.port), remote) in connections:
            raise error(errno.EADDRNOTAVAIL)
        self._connection = connection = Connection(
            self.network,
            self.host,
            peer_host,
            (local, bound.port),
            remote,
            self.options,
            bound,
            self.network.next_connection(),
        )
        connection.watcher = self
        self._in_doubt = True
        connection.connect()
        raise BlockingIOError(errno.EINPROGRESS, os.strerror(errno.EINPROGRESS))

    def _is_connected(self) -> bool:
        """What Linux says of a socket that was connected before: once how that went, then ``EISCONN``."""
        if self._listener is not None:
            raise error(errno.EISCONN)
        connection = self._connection
        if connection is None:
            return False
        if connection.connecting:
            raise error(errno.EALREADY)
        if not self._in_doubt:
            raise error(errno.EISCONN)
        self._in_doubt = False
        if not connection.dead:
            return True
        self._connection = None
        if self.binding is not None and self.binding.automatic:
            self.unbind()
        raise error(connection.error or errno.ECONNABORTED)

    # Listening.

    def listen(self, backlog: int) -> None:
        """Let others connect; also to change the backlog."""
        if self._connection is not None:
            raise error(errno.EINVAL)
        if self._listener is not None:
            self._listener.set_backlog(backlog)
            return
        if self.binding is None:
            self.bind(super().name())
        binding = self.binding
        assert binding is not None
        binding.listening = True
        try:
            self.ports().receive(binding)
        except OSError:
            binding.listening = False
            raise
        self._listener = Listener(self.network, binding, self.options, backlog, self)
        binding.owner = self._listener
        self.network.log.add(
            self.host.name, "listen", f"listens on {format_address(self.name())}", backlog=backlog
        )

    def check_accept(self) -> None:
        """Raise what `accept` would."""
        if self._listener is None:
            raise error(errno.EINVAL)
        self._listener.first()

    def accept(self) -> tuple[Core, Any]:
        """Take a connection off the backlog."""
        assert self._listener is not None
        connection = self._listener.take()
        accepted = TCPSocket(
            self.network, self.host, self.family, self.type, self.proto, options=connection.options
        )
        accepted.binding = connection.binding
        accepted._connection = connection
        connection.watcher = accepted
        return accepted, to_socket(self.family, connection.remote)

    def is_listening(self) -> bool:
        """Whether others can connect."""
        return self._listener is not None
