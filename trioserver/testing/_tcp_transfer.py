"""TCP sockets: names, data, and the end; `TCPSocket` has the beginning."""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING, Any

from ._addresses import error, to_socket
from ._ip_cores import IPCore
from ._tcp_stack import tcp_stack

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

    from ._ports import PortTable
    from ._tcp_connection import Connection
    from ._tcp_listener import Listener


class TCPTransfer(IPCore):
    """A TCP socket that is unconnected, connecting, connected or listening already."""

    __slots__ = ("_connection", "_in_doubt", "_listener")

    def __init__(self, *args: Any, **named: Any) -> None:
        super().__init__(*args, **named)
        self._connection: Connection | None = None
        self._listener: Listener | None = None
        self._in_doubt = False  # whether nobody has asked how connecting went, by connecting again

    def ports(self) -> PortTable:
        """The TCP ports of its host."""
        return tcp_stack(self.host).ports

    def name(self) -> Any:
        """The address of this end; a wildcard address until it is connected."""
        if self._connection is not None:
            return to_socket(self.family, self._connection.local)
        return super().name()

    def peer_name(self) -> Any:
        """The address of the other end, while there is one."""
        connection = self._connection
        if connection is None or connection.dead or not connection.established:
            raise error(errno.ENOTCONN)
        return to_socket(self.family, connection.remote)

    # Data.

    def receive(self, max_bytes: int, *, peek: bool = False) -> bytes:
        """Take what was received."""
        connection = self._connection
        if connection is None:
            raise error(errno.ENOTCONN)
        return connection.receive(max_bytes, peek=peek)

    def receive_from(self, max_bytes: int, *, peek: bool = False) -> tuple[bytes, Any, int]:
        """The same; a stream has no senders."""
        data = self.receive(max_bytes, peek=peek)
        return data, None, len(data)

    def send(self, data: ReadableBuffer) -> int:
        """Send what there is room for."""
        connection = self._connection
        if connection is None:
            raise error(errno.EPIPE)
        return connection.send(data)

    def send_to(self, data: ReadableBuffer, address: Any) -> int:
        """Send to the peer, whatever the address."""
        return self.send(data)

    def is_readable(self) -> bool:
        """Whether a receive, or an accept, would do something."""
        if self._connection is not None:
            return self._connection.is_readable()
        return self._listener is None or self._listener.waiting

    def is_writable(self) -> bool:
        """Whether a send would do something."""
        connection = self._connection
        if connection is None:
            return self._listener is None
        if connection.fin_queued or connection.dead or connection.error:
            return True
        return not connection.connecting and connection.has_room()

    def take_error(self) -> int:
        """The errno that waits to be raised."""
        connection = self._connection
        if connection is None:
            return 0
        number, connection.error = connection.error, 0
        return number

    def unsent_bytes(self) -> int:
        """What the peer has not acknowledged."""
        return 0 if self._connection is None or self._connection.dead else self._connection.unsent_bytes

    # The end.

    def shut_down(self, *, read: bool, write: bool) -> None:
        """Close one half or both; of a listening socket the reading half is what accepts."""
        if self._listener is not None:
            if read:
                self._stop_listening()
                self.wake_reader()
            return
        connection = self._connection
        if connection is None or connection.dead:
            raise error(errno.ENOTCONN)
        if connection.connecting:
            connection.vanish()
        else:
            connection.shut_down(read=read, write=write)

    def _stop_listening(self, *, silently: bool = False) -> None:
        if self._listener is not None:
            self._listener.close(silently=silently)
            self._listener = None
            if self.binding is not None:
                self.unbind()

    def close(self) -> None:
        """Close; what was sent is still delivered."""
        self._stop_listening()
        if self._connection is not None:
            self._connection.close()
        else:
            self.unbind()

    def vanish(self) -> None:
        """Be gone without a word."""
        self._stop_listening(silently=True)
        if self._connection is not None:
            self._connection.orphaned = True
            self._connection.vanish()
        self.unbind()
