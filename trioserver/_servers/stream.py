"""`StreamServer`: what TCP and Unix stream servers have in common."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING, Any, ClassVar, Final

import trio

from .._engine.callbacks import Callbacks
from .._transports import epoll
from .._transports.adopt import Adoptable, adopt_endpoints
from .._transports.endpoint import KernelEndpoint
from .._transports.listeners import ListenerGroup
from .._transports.socket_stream import SocketStream
from .._transports.stream import HANDSHAKE_TIMEOUT, RequestStream
from .._transports.tls_context import check_ssl_context
from .._vocabulary.errors import LifecycleError
from .._vocabulary.options import check_count, check_flag, check_seconds
from .base import ServerOptions
from .handler_checks import is_callback_handler, is_overridden
from .sockets import SocketServer

if TYPE_CHECKING:
    import ssl
    from collections.abc import Awaitable, Callable, Iterable

    from typing_extensions import Unpack

    from .._engine.hooks import InPlace
    from .._transports.endpoint import ListeningEndpoint


_HOOKS_OF_A_TASK: Final = (
    "get_request",
    "verify_request",
    "handshake_request",
    "process_request",
    "finish_request",
    "shutdown_request",
    "close_request",
)
"""Whoever overrides one of these gets a task for each connection, for it to wait in."""

_LOOKED_UP_ONCE: Final = frozenset({*_HOOKS_OF_A_TASK, "RequestHandlerClass"})
"""Set on a server that serves, these need the accept loop to begin anew, and to ask how to serve."""


class StreamServerOptions(ServerOptions, total=False):
    """The options of stream servers that may be given as keywords."""

    request_queue_size: int
    linger_timeout: float
    max_linger_bytes: int
    portable_io: bool
    ssl_context: ssl.SSLContext | None
    handshake_timeout: float | None
    suppress_ragged_eofs: bool


class StreamServer(SocketServer[RequestStream, ListenerGroup]):
    """A server whose requests are connections. Abstract: use `TCPServer` or `UnixStreamServer`.

    Args:
      server_address: See the subclass.
      RequestHandlerClass: See `BaseServer`; the request it gets is a `RequestStream`.
      bind_and_activate: See `BaseServer`.
      sock: A socket to serve on, instead of one bound to ``server_address``, which may be ``None`` then: a
        stdlib socket, a trio socket or listener, the number of a descriptor, or several of them. It must be
        bound; it is made to listen. From the moment it is served or entered the server owns it and will
        close it. The file of an adopted Unix socket is never removed.
      options: Values for the class variables below and those of `BaseServer`.

    Options, on the class, the instance, or as keywords, beside those of `BaseServer`:
      request_queue_size: Connections that the kernel queues; 65535, of which it takes what it can.
      linger_timeout: Seconds a finished connection may stay open for the end of the reply; 2.
      max_linger_bytes: Input that is thrown away meanwhile; 1 MiB.
      portable_io: Do without the server's own epoll; false on Linux.
      ssl_context: What makes every connection a TLS connection; None, the default, for plain ones.
      handshake_timeout: Seconds that a TLS handshake may take; 10.
      suppress_ragged_eofs: Whether an end without ``close_notify`` is an end of the stream; true.
    """

    socket_type: int = socket.SOCK_STREAM

    request_queue_size: int = 65535
    """How many connections the kernel queues for this server; it silently takes less where it must.

    The stdlib's 5 drops or resets bursts of clients. trio, Go and nginx ask for the system's limit, too
    (``net.core.somaxconn``, 4096 on Linux). 65535 is the most that all kernels understand.
    """

    linger_timeout: float = 2.0
    """Seconds a finished connection may stay open for the client to get the end of the reply.

    Only needed where the client has not closed its half, and there is something that it sent and nobody read,
    or that it has not yet acknowledged: closing at once could then make the kernel reset the connection and
    drop the end of the reply. ``0`` closes without a wait.
    """

    max_linger_bytes: int = 1024 * 1024
    """How much of what the client still sends is read and thrown away meanwhile, in bytes."""

    portable_io: bool = not epoll.AVAILABLE
    """Wait for connections through trio's own I/O manager, as on other systems, and not through an epoll of
    the server's own, as on Linux, which is faster and takes less memory. Nothing else differs."""

    ssl_context: ssl.SSLContext | None = None
    """What makes every connection a TLS connection: a context for servers, with a certificate loaded.

    ::

        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain("cert.pem", "key.pem")

    The handshake is made by the request's own task, after `verify_request` and before `process_request`; it
    counts in ``max_requests``, and a client that stalls holds up nobody (P8). One that fails is a request
    that failed with a `HandshakeError`, and one line at level DEBUG; `handle_error` is not called. A handler
    asks ``request.ssl_object`` for the client's certificate and the rest.

    May be replaced while serving, to renew a certificate: handshakes that begin afterwards use the new one,
    connections keep what they have. But a server that serves with TLS can not be made one without, nor the
    other way: that is a LifecycleError.
    """

    handshake_timeout: float | None = HANDSHAKE_TIMEOUT
    """Seconds that a TLS handshake may take as a whole; 10 by default, ``None`` is no bound.

    Enough for two round trips, and a lost packet or two on a bad line; Go's HTTP client has the same. nginx
    and asyncio allow 60 s, for which each client that connects and says nothing would hold one of
    ``max_requests``.
    """

    suppress_ragged_eofs: bool = True
    """Whether the end of a TLS connection without ``close_notify`` is the end of the stream.

    Many clients do not send one; so that is the default here, in the stdlib's ``ssl``, where the name comes
    from, and in asyncio. Set it to false where the protocol does not say by itself how long a message is:
    who can cut the line can then not pass a part off as the whole. It is then a ``trio.BrokenResourceError``,
    as with trio's ``SSLStream``.
    """

    _option_types: ClassVar[type] = StreamServerOptions
    _kind: ClassVar[str | None] = "connections"

    def __init__(
        self,
        server_address: Any,
        RequestHandlerClass: Callable[[RequestStream, Any, Any], Awaitable[object]],
        bind_and_activate: bool = True,
        *,
        sock: Adoptable | Iterable[Adoptable] | None = None,
        **options: Unpack[StreamServerOptions],
    ) -> None:
        self._serves_tls: bool | None = None  # unknown while it is not being served
        self._sock = sock
        self._poller: epoll.Poller | None = None
        self._callbacks: Callbacks | None = None
        self._chosen = False  # whether the next one is up to date
        self._in_place: InPlace | None = None
        super().__init__(
            server_address,
            RequestHandlerClass,
            bind_and_activate,
            **options,  # type: ignore[misc]  # the base class looks the names up in _option_types
        )

    def _check_options(self) -> None:
        super()._check_options()
        check_count("request_queue_size", self.request_queue_size, least=0)
        check_seconds("linger_timeout", self.linger_timeout)
        check_count("max_linger_bytes", self.max_linger_bytes, least=0)
        check_ssl_context("ssl_context", self.ssl_context, optional=True)
        check_flag("portable_io", self.portable_io)
        check_flag("suppress_ragged_eofs", self.suppress_ragged_eofs)
        check_seconds("handshake_timeout", self.handshake_timeout, none="no bound")

    def __setattr__(self, name: str, value: Any) -> None:
        if name == "ssl_context":
            check_ssl_context(name, value, optional=True)
            if self.__dict__.get("_serves_tls") is not None:
                self._check_still_tls(value)
        if name in _LOOKED_UP_ONCE:
            self._check_thread(name)
        super().__setattr__(name, value)
        if name in _LOOKED_UP_ONCE and "_engine" in self.__dict__:
            self._chosen = False
            self._engine.limit_changed(0)

    def _check_still_tls(self, context: ssl.SSLContext | None) -> None:
        if (context is not None) is not self._serves_tls:
            now, then = ("with", "without") if self._serves_tls else ("without", "with")
            raise LifecycleError(
                f"this server is being served {now} TLS, and can not go on {then}: shut it down first"
            )

    # Opening and closing.

    async def _make_group(self) -> ListenerGroup:
        if self._sock is None:
            return ListenerGroup(await self._bind())
        return ListenerGroup(adopt_endpoints(self._sock, self.socket_type))

    async def _bind(self) -> list[ListeningEndpoint]:
        """Make bound endpoints for ``server_address``."""
        raise NotImplementedError(f"{type(self).__name__} does not say how to bind")

    async def server_activate(self) -> None:
        """Listen, with a backlog of ``request_queue_size``."""
        self._bound().listen(self.request_queue_size)

    def _release(self) -> None:
        super()._release()
        if self._group is not None:
            self._group.close()
            self._group = None

    # Serving.

    def _begin_accept(self) -> None:
        self._serves_tls = self.ssl_context is not None
        self._chosen = False

    @trio.lowlevel.enable_ki_protection  # an epoll that nobody knows would stay open
    def begin_callbacks(self) -> InPlace | None:
        """What accepts connections in place, if that is to be; called when the accept loop begins anew.

        Each of the two ways that there are beside trio's own has an epoll, made when there is need for it.
        """
        if not self._chosen:
            self._chosen = True
            self._in_place = self._choose()
        return self._in_place

    def _choose(self) -> InPlace | None:
        # An epoll is a descriptor: on another network than the kernel's servers would run out of them.
        if self.portable_io or not epoll.AVAILABLE or not self._bound().of_kernel:
            return None
        group = self._bound()
        if self._calls_in_place():
            if self._callbacks is None:
                self._callbacks = Callbacks(self._engine, self, group)
                self._callbacks.start()
            self._callbacks.begin(self.RequestHandlerClass)
            return self._callbacks
        if self._poller is None:
            self._poller = epoll.Poller()
            self._engine.start_helper(self._poller.run)
        group.accept_with(self._poller.endpoint, self._poller.unix_endpoint)
        return None

    def _calls_in_place(self) -> bool:
        """Whether the handler's methods are called in place, with nothing in between that waits."""
        return (
            is_callback_handler(self.RequestHandlerClass)
            and self.ssl_context is None
            and not any(is_overridden(self, name) for name in _HOOKS_OF_A_TASK)
        )

    @trio.lowlevel.enable_ki_protection
    def _end_run(self) -> None:
        self._serves_tls = None
        if self._group is not None:
            self._group.accept_with(KernelEndpoint, KernelEndpoint)
        if self._poller is not None:
            self._poller.close()
            self._poller = None
        if self._callbacks is not None:
            self._callbacks.close()
            self._callbacks = None
        self._in_place = None

    # Requests.

    async def get_request(self) -> tuple[RequestStream, Any]:
        """Accept a connection, waiting if there is none. No checkpoint once it is accepted (P2)."""
        group = self._group or self._bound()
        try:
            endpoint, client_address = group.accept_nowait()
        except BlockingIOError:
            endpoint, client_address = await group.accept_later()
        engine = self._engine
        return SocketStream(endpoint, watch=engine.deadlines, flusher=engine.flusher), client_address

    def handshake_request(self, request: RequestStream, client_address: Any) -> Awaitable[object] | None:
        """Make the TLS handshake if there is an ``ssl_context``. To be awaited."""
        context = self.ssl_context
        if context is None and not self._serves_tls:
            return None
        self._check_still_tls(context)  # it may have been the class's, or deleted
        assert context is not None
        return request.starttls(
            context, timeout=self.handshake_timeout, suppress_ragged_eofs=self.suppress_ragged_eofs
        )

    async def shutdown_request(self, request: RequestStream) -> None:
        """Close a connection that was served, so that the client gets all of the reply.

        Waits for that at most ``linger_timeout`` seconds; then, or when cancelled, calls `close_request`.
        """
        if request.may_be_closed:
            await self.close_request(request)
            return
        try:
            await request.close_gracefully(timeout=self.linger_timeout, max_bytes=self.max_linger_bytes)
        finally:
            await self.close_request(request)

    async def close_request(self, request: RequestStream) -> None:
        """Close the connection at once. No checkpoint."""
        request.close()
