"""`UnixStreamServer`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from .._transports.listeners import ListenerGroup
from .._transports.open_unix import check_path, open_unix_endpoint
from .._transports.stream import RequestStream
from .socket_file import OwnsSocketFile
from .stream import StreamServer, StreamServerOptions

if TYPE_CHECKING:
    import os
    from collections.abc import Awaitable, Callable, Iterable

    from typing_extensions import Unpack

    from .._transports.adopt import Adoptable
    from .._transports.endpoint import ListeningEndpoint


class UnixStreamServerOptions(StreamServerOptions, total=False):
    """The options of `UnixStreamServer` that may be given as keywords."""

    mode: int | None


class UnixStreamServer(OwnsSocketFile[RequestStream, ListenerGroup], StreamServer):
    r"""A server on a Unix domain stream socket.

    A socket file that a dead server left behind is replaced; one on which a server listens is not, and
    ``OSError`` (``EADDRINUSE``) is raised. When the server closes it removes its own file, and never another
    that has taken its place. (The stdlib does neither.)

    There is no ``allow_reuse_address`` or ``allow_reuse_port``: a path knows no TIME-WAIT, and newer kernels
    refuse SO_REUSEPORT for it (Linux 6.12.9; cpython #128933).

    Args:
      server_address: The path of the socket, or on Linux an abstract name, ``"\0name"``, which has no file.
      RequestHandlerClass: See `BaseServer`; the request it gets is a `RequestStream`, whose
        ``peer_credentials()`` says who the client is.
      bind_and_activate: See `BaseServer`.
      sock: See `StreamServer`.
      options: Values for the class variables below, those of `StreamServer` and those of `BaseServer`.

    Options, on the class, the instance, or as keywords:
      mode: The permissions of the socket file, such as 0o600; None leaves them to the umask.
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
    """

    _option_types: ClassVar[type] = UnixStreamServerOptions

    def __init__(
        self,
        server_address: str | bytes | os.PathLike[str] | os.PathLike[bytes] | None,
        RequestHandlerClass: Callable[[RequestStream, Any, Any], Awaitable[object]],
        bind_and_activate: bool = True,
        *,
        sock: Adoptable | Iterable[Adoptable] | None = None,
        **options: Unpack[UnixStreamServerOptions],
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

    async def _bind(self) -> list[ListeningEndpoint]:
        endpoint, self._file = await open_unix_endpoint(
            check_path(self.server_address),
            kind=self.socket_type,
            mode=self.mode,
            backlog=self.request_queue_size,
        )
        return [endpoint]
