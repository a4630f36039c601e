"""`UnixDatagramServer`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from .._transports.datagram_group import DatagramGroup
from .._transports.datagram_socket import Datagram
from .._transports.open_unix import check_path, open_unix_datagram_endpoint
from .datagram import DatagramServer, DatagramServerOptions
from .socket_file import OwnsSocketFile

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Iterable

    from typing_extensions import Unpack

    from .._transports.adopt import Adoptable
    from .._transports.datagram_endpoint import DatagramEndpoint


class UnixDatagramServerOptions(DatagramServerOptions, total=False):
    """The options of `UnixDatagramServer` that may be given as keywords."""

    mode: int | None


class UnixDatagramServer(OwnsSocketFile[Datagram, DatagramGroup], DatagramServer):
    r"""A server on a Unix domain datagram socket.

    A socket file that a dead server left behind is replaced; one that a server uses is not, and ``OSError``
    (``EADDRINUSE``) is raised. When the server stops it removes its own file, and never another that has
    taken its place. (The stdlib does neither.)

    A client that has not bound its socket has no name: its ``client_address`` is ``None``, and it can not be
    answered. Datagrams on Unix sockets are not lost on the way: a client waits while the queue is full.

    Args:
      server_address: The path of the socket, or on Linux an abstract name, ``"\0name"``, which has no file.
      RequestHandlerClass: See `DatagramServer`: an async function or handler class, which may wait, or a
        plain ``def`` that does not block. The request it gets is a `Datagram`.
      bind_and_activate: See `BaseServer`.
      sock: See `DatagramServer`.
      options: Values for the class variables below and those of `BaseServer`.

    Options, on the class, the instance, or as keywords:
      mode: The permissions of the socket file, such as 0o600; None leaves them to the umask.
      max_packet_size: The longest datagram that is received whole, in bytes; 65535.
      max_requests: How many requests may exist at once; None, the default, is no limit.
      request_timeout: Seconds that a whole request may take; None, the default, is no bound.
      timeout: How long ``handle_request()`` waits; None, the default, is for ever.
      poll_interval: The longest time between two calls of `service_actions`; 0.5 s.
    """

    _option_types: ClassVar[type] = UnixDatagramServerOptions

    def __init__(
        self,
        server_address: str | bytes | os.PathLike[str] | os.PathLike[bytes] | None,
        RequestHandlerClass: Callable[[Datagram, Any, Any], object],
        bind_and_activate: bool = True,
        *,
        sock: Adoptable | Iterable[Adoptable] | None = None,
        **options: Unpack[UnixDatagramServerOptions],
    ) -> None:
        if sock is None:
            server_address = check_path(server_address)
        super().__init__(
            server_address,
            RequestHandlerClass,
            bind_and_activate,
            sock=sock,
            **options,  # type: ignore[misc]  # the base class looks the names up in _option_types
        )

    async def _bind(self) -> list[DatagramEndpoint]:
        endpoint, self._file = await open_unix_datagram_endpoint(
            check_path(self.server_address), kind=self.socket_type, mode=self.mode
        )
        return [endpoint]
