"""The servers that have a socket."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING, Any

import trioserver

from .base import BaseServer
from .companion import companion_of
from .threads import accept_deferred, defers_handshake

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Self


class TCPServer(BaseServer):
    """A server on a stream socket, TCP over IPv4 by default.

    Class variables that may be overridden by subclasses or instances:
      address_family: ``socket.AF_INET``.
      socket_type: ``socket.SOCK_STREAM``.
      request_queue_size: The backlog, 5.
      allow_reuse_address: Whether to set SO_REUSEADDR; false.
      allow_reuse_port: Whether to set SO_REUSEPORT, on IP sockets; false.
      linger_timeout: How many seconds a connection with unread input is kept after it was closed, so that
        the client can read all of the reply; 2.0. Closed at once it is reset, and the reply cut off: that is
        0, and the standard library, which does not have this.

    Attributes:
      socket: The listening socket; it may be replaced, by one that speaks TLS, say.
      server_address: Where it is bound to.
    """

    address_family: int = socket.AF_INET
    socket_type: int = socket.SOCK_STREAM
    request_queue_size: int = 5
    allow_reuse_address: bool = False
    allow_reuse_port: bool = False
    linger_timeout: float = 2.0

    def __init__(
        self,
        server_address: Any,
        RequestHandlerClass: Callable[[Any, Any, Self], object],
        bind_and_activate: bool = True,
    ) -> None:
        """Makes the socket, and binds and activates it. May be extended, do not override."""
        handler: Any = RequestHandlerClass  # called with `self`, which a checker can not see to be ours
        BaseServer.__init__(self, server_address, handler)
        self.socket = socket.socket(self.address_family, self.socket_type)
        if bind_and_activate:
            try:
                self.server_bind()
                self.server_activate()
            except:
                self.server_close()
                raise

    def server_bind(self) -> None:
        """Called by the constructor to bind the socket. May be overridden."""
        if self.allow_reuse_address and hasattr(socket, "SO_REUSEADDR"):
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        # Linux has refused it on others since 6.12.9 (cpython gh-128916).
        if (
            self.allow_reuse_port
            and hasattr(socket, "SO_REUSEPORT")
            and self.address_family in (socket.AF_INET, socket.AF_INET6)
        ):
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        self.socket.bind(self.server_address)
        self.server_address = self.socket.getsockname()

    def server_activate(self) -> None:
        """Called by the constructor to let requests come: listen. May be overridden."""
        self.socket.listen(self.request_queue_size)

    def server_close(self) -> None:
        """Close the socket, and end `serve_forever` in whatever thread it runs. Closing twice is fine.

        Connections that linger are waited for, ``linger_timeout`` seconds at most.
        """
        companion = companion_of(self)
        companion.close(self.fileno)
        self.socket.close()
        companion.wake()
        companion.stop_if_idle()

    def fileno(self) -> int:
        """The descriptor of the socket, for selectors; -1 when it is closed."""
        return self.socket.fileno()

    def get_request(self) -> tuple[Any, Any]:
        """Accept a connection. May be overridden."""
        if defers_handshake(self):
            return accept_deferred(self.socket)
        return self.socket.accept()

    def shutdown_request(self, request: Any) -> None:
        """Called to shut down and close a request."""
        companion, copy = companion_of(self), None
        try:
            request.shutdown(socket.SHUT_WR)
            copy = companion.copy_to_linger(request, self.linger_timeout)
        except OSError:
            pass  # the client may be gone
        except trioserver.ConfigError:
            self.close_request(request)
            raise
        try:
            self.close_request(request)
        finally:
            if copy is not None:
                if request.fileno() == -1:
                    companion.linger(copy, self.linger_timeout)
                else:  # somebody wants to keep it
                    copy.close()

    def close_request(self, request: Any) -> None:
        """Called to close a request."""
        request.close()


class UDPServer(TCPServer):
    """A server on a datagram socket: a request is ``(data, socket)``.

    Class variables that may be overridden by subclasses or instances:
      max_packet_size: Datagrams are cut off there, in bytes; 8192.
    """

    allow_reuse_address: bool = False
    allow_reuse_port: bool = False
    socket_type: int = socket.SOCK_DGRAM
    max_packet_size: int = 8192

    def get_request(self) -> tuple[Any, Any]:
        """Receive a datagram."""
        data, client_address = self.socket.recvfrom(self.max_packet_size)
        return (data, self.socket), client_address

    def server_activate(self) -> None:
        """Nothing to do: a datagram socket does not listen."""

    def shutdown_request(self, request: Any) -> None:
        """Nothing to shut down."""
        self.close_request(request)

    def close_request(self, request: Any) -> None:
        """Nothing to close: the socket is the server's."""
