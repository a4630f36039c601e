"""`UDPServer`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from .._transports.datagram_group import DatagramGroup
from .._transports.datagram_socket import Datagram
from .._transports.open_tcp import check_address, open_udp_endpoints
from .datagram import DatagramServer, DatagramServerOptions, DatagramSockets
from .hooks import RequestT
from .ip import BindsToIP

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from typing_extensions import Unpack

    from .._transports.adopt import Adoptable
    from .._transports.datagram_endpoint import DatagramEndpoint


class UDPServerOptions(DatagramServerOptions, total=False):
    """The options of `UDPServer` that may be given as keywords."""

    address_family: int
    all_addresses: bool
    allow_reuse_address: bool
    allow_reuse_port: bool


class UDPSockets(BindsToIP[RequestT, DatagramGroup], DatagramSockets[RequestT]):
    """The sockets of a UDP server, whatever a request is there."""

    allow_reuse_address: bool = False
    """Set SO_REUSEADDR, not on Windows.

    Off, as in the stdlib's ``UDPServer``, and other than for TCP: a UDP port knows no TIME_WAIT that it would
    help over, and on Linux it lets a second server that is started by mistake take the first one's datagrams,
    all of them and silently (socket(7)). Receivers of multicast that share a port need it, all of them.
    """

    allow_reuse_port: bool = False
    """Set SO_REUSEPORT, so that several processes can serve one port and share its clients.

    Off, as in the stdlib: with it a second server started by mistake silently takes half of the clients.
    """

    _option_types: ClassVar[type] = UDPServerOptions

    def __init__(
        self,
        server_address: tuple[str | None, int] | tuple[str | None, int, int, int] | None,
        RequestHandlerClass: Callable[[RequestT, Any, Any], object],
        bind_and_activate: bool = True,
        *,
        sock: Adoptable | Iterable[Adoptable] | None = None,
        **options: Unpack[UDPServerOptions],
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

    async def _bind(self) -> list[DatagramEndpoint]:
        return await open_udp_endpoints(
            self.server_address,
            self._binding(),
        )


class UDPServer(UDPSockets[Datagram], DatagramServer):
    """A UDP server, IPv4 or IPv6: each datagram is a request.

    ::

        async def echo(request, client_address, server):
            await request.socket.sendto(request.data, client_address)

        async with trioserver.UDPServer(("127.0.0.1", 0), echo).running() as server:
            print(server.server_address)

    Args:
      server_address: ``(host, port)``, as for `TCPServer`.
      RequestHandlerClass: See `DatagramServer`: an async function or handler class, which may wait, or a
        plain ``def`` that does not block. The request it gets is a `Datagram`.
      bind_and_activate: See `BaseServer`.
      sock: See `DatagramServer`.
      options: Values for the class variables below and those of `BaseServer`.

    Options, on the class, the instance, or as keywords:
      address_family: AF_INET or AF_INET6 to bind to no other; by default the host decides.
      all_addresses: Bind to every address that the host stands for, on one port; false.
      allow_reuse_address: Set SO_REUSEADDR, not on Windows; false.
      allow_reuse_port: Set SO_REUSEPORT; false.
      max_packet_size: The longest datagram that is received whole, in bytes; 65535.
      max_requests: How many requests may exist at once; None, the default, is no limit.
      request_timeout: Seconds that a whole request may take; None, the default, is no bound.
      timeout: How long ``handle_request()`` waits; None, the default, is for ever.
      poll_interval: The longest time between two calls of `service_actions`; 0.5 s.

    On a machine with several addresses a reply from a socket bound to all of them (``""``) comes from the
    address that the routing table chooses, which need not be the one the client asked: bind to that one.
    """
