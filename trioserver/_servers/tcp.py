"""`TCPServer`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from .._transports.listeners import ListenerGroup
from .._transports.open_tcp import check_address, open_tcp_endpoints
from .._transports.stream import RequestStream
from .ip import BindsToIP
from .stream import StreamServer, StreamServerOptions

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable

    from typing_extensions import Unpack

    from .._transports.adopt import Adoptable
    from .._transports.endpoint import ListeningEndpoint


class TCPServerOptions(StreamServerOptions, total=False):
    """The options of `TCPServer` that may be given as keywords."""

    address_family: int
    all_addresses: bool
    allow_reuse_address: bool
    allow_reuse_port: bool


class TCPServer(BindsToIP[RequestStream, ListenerGroup], StreamServer):
    """A TCP server, IPv4 or IPv6.

    ::

        async with trioserver.TCPServer(("127.0.0.1", 0), Echo).running() as server:
            print(server.server_address)

    Args:
      server_address: ``(host, port)``. The host is an address, a name, or ``""`` or ``None`` for all
        interfaces; the port 0 takes a free one. For IPv6 flow and scope may follow, as in the stdlib.
      RequestHandlerClass: See `BaseServer`; the request it gets is a `RequestStream`.
      bind_and_activate: See `BaseServer`.
      sock: See `StreamServer`.
      options: Values for the class variables below, those of `StreamServer` and those of `BaseServer`.

    Options, on the class, the instance, or as keywords:
      address_family: AF_INET or AF_INET6 to bind to no other; by default the host decides.
      all_addresses: Bind to every address that the host stands for, on one port; false.
      allow_reuse_address: Set SO_REUSEADDR, not on Windows; true.
      allow_reuse_port: Set SO_REUSEPORT; false.
      request_queue_size: Connections that the kernel queues; 65535, of which it takes what it can.
      linger_timeout: Seconds a finished connection may stay open for the end of the reply; 2.
      max_linger_bytes: Input that is thrown away meanwhile; 1 MiB.
      portable_io: Do without the server's own epoll; false on Linux.
      ssl_context: What makes every connection a TLS connection; None, the default, for plain ones.
      handshake_timeout: Seconds that a TLS handshake may take; 10.
      suppress_ragged_eofs: Whether an end without ``close_notify`` is an end of the stream; true.
      max_requests: How many requests may exist at once; None, the default, is no limit.
      request_timeout: Seconds that a whole request may take; None, the default, is no bound.
      timeout: How long ``handle_request()`` waits; None, the default, is for ever.
      poll_interval: The longest time between two calls of `service_actions`; 0.5 s.

    Each connection has Nagle's algorithm turned off; see ``StreamRequestHandler.disable_nagle_algorithm``.
    """

    allow_reuse_address: bool = True
    """Set SO_REUSEADDR, so that a server can restart while old connections are in TIME_WAIT.

    The stdlib's default is false, and restarting fails for a minute there (RFC 9293 section 3.3.2). On POSIX
    it does not allow two servers on one port (socket(7)). On Windows it would, and is not needed: there it
    is never set.
    """

    allow_reuse_port: bool = False
    """Set SO_REUSEPORT, so that several processes can serve one port and share its connections.

    Off, as in the stdlib: with it a second server of the same user, started by mistake, silently takes half
    of the clients (socket(7)). ``http.server`` had it on in the alphas of Python 3.14, and that happened
    (cpython #120485).
    """

    _option_types: ClassVar[type] = TCPServerOptions

    def __init__(
        self,
        server_address: tuple[str | None, int] | tuple[str | None, int, int, int] | None,
        RequestHandlerClass: Callable[[RequestStream, Any, Any], Awaitable[object]],
        bind_and_activate: bool = True,
        *,
        sock: Adoptable | Iterable[Adoptable] | None = None,
        **options: Unpack[TCPServerOptions],
    ) -> None:
        if sock is None:
            check_address(server_address)
        super().__init__(
            server_address,
            RequestHandlerClass,
            bind_and_activate,
            sock=sock,
            **options,  # type: ignore[misc]  # the base class looks the names up in _option_types
        )

    async def _bind(self) -> list[ListeningEndpoint]:
        return await open_tcp_endpoints(
            self.server_address,
            self._binding(),
        )
