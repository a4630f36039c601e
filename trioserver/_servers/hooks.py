"""The overridable methods of every server, under the names and with the meaning of ``socketserver``'s."""

from __future__ import annotations

import logging
import sys
from typing import TYPE_CHECKING, Any, Final, Generic

import trio

from .._transports.addresses import format_address
from .._transports.datagram_socket import is_of_peer
from .._transports.stream import RequestStream
from .._vocabulary.errors import StreamTimeout, TransportError
from .._vocabulary.reports import Timeout

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from typing_extensions import TypeVar

    from .._engine.hooks import InPlace

    RequestT = TypeVar("RequestT", default=Any)
else:
    from typing import TypeVar

    RequestT = TypeVar("RequestT")

logger = logging.getLogger("trioserver")

ASYNC_HOOKS: Final = (
    "server_bind",
    "server_activate",
    "get_request",
    "verify_request",
    "shutdown_request",
    "close_request",
    "handle_error",
    "handle_timeout",
    "service_actions",
)


class ServerHooks(Generic[RequestT]):
    """What happens to a request, one method a step; subclasses override what they want otherwise.

    All of these are called in the request's own task, `get_request` excepted. For each request, in order::

        get_request                    in the accept loop
        verify_request                 false: the request is rejected
        handshake_request              the TLS handshake, where there is one
        process_request                calls finish_request, which calls the handler
        handle_error                   only if one of these raised an Exception
        shutdown_request               calls close_request
        close_request                  alone, if the request was cancelled
    """

    RequestHandlerClass: Callable[[RequestT, Any, Any], Awaitable[object]]

    async def get_request(self) -> tuple[RequestT, Any]:
        """Wait for a request.

        A subclass of ``BaseServer`` that overrides nothing but this is a whole server, of anything: rows of a
        database, messages of a queue. It is called by one task, again and again.

        Returns:
          The request and the client's address. From here on the server owns the request. Whatever is acquired
          must be returned without another checkpoint: a cancellation in between would lose it.

        Raises:
          OSError: Errors of one connection are skipped, exhaustion is waited out, as accept(2) lists them;
            any other one, like any other exception, stops the server.
        """
        raise NotImplementedError(f"{type(self).__name__} does not define get_request()")

    # The next four are for the engine, which serves requests in a row where it can.

    @property
    def get_request_nowait(self) -> Callable[[], tuple[RequestT, Any]] | None:
        """Takes a request at once, or raises OSError; ``None``, the default: there is no way to do so."""
        return None

    async def wait_for_request(self) -> None:
        """Wait until `get_request_nowait` may find a request."""
        await trio.lowlevel.checkpoint()

    async def get_request_after(self, error: OSError) -> tuple[RequestT, Any]:
        """Wait for a request, as `get_request`, after `get_request_nowait` has raised ``error``."""
        return await self.get_request()

    @property
    def handler_in_short(self) -> Callable[[RequestT, Any, Any], Awaitable[object]] | None:
        """What `process_request` comes to, where the other hooks do nothing; ``None``, the default, else."""
        return None

    async def verify_request(self, request: RequestT, client_address: Any) -> bool:
        """Whether to serve this request; true by default. May wait: others are accepted meanwhile."""
        return True

    # The next three are plain functions that return what is to be awaited, since each coroutine on the way to
    # the handler costs every idle connection half a kilobyte. An override may well be an ``async def``.

    def handshake_request(self, request: RequestT, client_address: Any) -> Awaitable[object] | None:
        """Agree with the client on how to talk, before it is served; ``None`` where nothing is to be awaited.

        A `TransportError` here is the end of the request and one line at level DEBUG; `handle_error` is
        not called, so that no client can stop a server by failing at it.
        """
        return None

    def process_request(self, request: RequestT, client_address: Any) -> Awaitable[object]:
        """Serve this request: call `finish_request`. To be awaited. The request is closed afterwards."""
        return self.finish_request(request, client_address)

    def finish_request(self, request: RequestT, client_address: Any) -> Awaitable[object]:
        """Call the handler, ``self.RequestHandlerClass(request, client_address, self)``. To be awaited."""
        handler = self.RequestHandlerClass(request, client_address, self)
        if (in_short := getattr(handler, "_in_short", None)) is not None:
            return in_short()  # type: ignore[no-any-return]
        if not hasattr(handler, "__await__"):
            raise TypeError(
                f"RequestHandlerClass {self.RequestHandlerClass!r} returned {handler!r}, which can not be "
                "awaited: it must be an async function or a subclass of trioserver.BaseRequestHandler; "
                "synchronous ones are served by the Threading and Forking servers, as "
                "trioserver.ThreadingTCPServer, and those for single datagrams also by trioserver.UDPServer"
            )
        return handler

    @property
    def serves_in_place(self) -> bool:
        """Whether requests are served by `handle_in_place`, without a task of their own; false by default."""
        return False

    def begin_callbacks(self) -> InPlace | None:
        """What accepts for handlers that are called in place whenever there is something; for the engine."""
        return None

    def handle_in_place(self, request: RequestT, client_address: Any) -> None:
        """Serve a request at once, without waiting; only called where `serves_in_place` is true."""
        self.RequestHandlerClass(request, client_address, self)

    async def shutdown_request(self, request: RequestT) -> None:
        """Close a request that was served, so that the client gets the end of the reply."""
        await self.close_request(request)

    async def close_request(self, request: RequestT) -> None:
        """Clean up a request at once. For streams the server closes the connection here."""

    async def handle_error(self, request: RequestT, client_address: Any) -> None:
        """Report the exception that `verify_request`, the handler or a closing hook raised.

        By default one record with the traceback goes to the logger ``trioserver`` at level ERROR; where it is
        the peer's doing (it went away, it sent too much, it sent nothing), one line at level DEBUG.
        ``sys.exc_info()`` is the exception, or the group of those that are errors.

        To let an error stop the server, raise: whatever this method raises propagates out of
        ``serve_forever()``.
        """
        error = sys.exc_info()[1]
        client = format_address(client_address)
        if error is not None and is_peers_doing(error, request):
            logger.debug("Request from %s: %s: %s", client, type(error).__name__, error)
        else:
            logger.error("Exception while serving the request from %s", client, exc_info=error)

    async def handle_timeout(self) -> None:
        """Called by ``handle_request()`` when ``timeout`` seconds passed without a request."""

    async def service_actions(self) -> None:
        """Called after each batch of accepted requests and at least every ``poll_interval`` seconds.

        In a task of its own, while the server accepts. A server that does not override it never wakes up
        idly. What it raises stops the server.
        """


def is_peers_doing(error: BaseException, request: object) -> bool:
    """Whether an error means no more than that the peer of ``request`` went away or misbehaved.

    It is what ``BaseServer.handle_error`` reports in one line at level DEBUG: a `TransportError`, the very
    error by which the connection of ``request`` was found to be broken, a reply that could not be sent to a
    client that is gone; a group of nothing else. For an override that wants to tell, too.

    Args:
      error: What a handler raised.
      request: The request that it was serving.
    """
    if isinstance(error, BaseExceptionGroup):
        return all(is_peers_doing(part, request) for part in error.exceptions)
    if isinstance(error, StreamTimeout):
        return isinstance(request, RequestStream) and Timeout.WAIT in request.timeouts
    if isinstance(error, TransportError) or is_of_peer(error):
        return True
    # The very error that was seen on this connection: another connection that the handler uses may break,
    # too.
    return (
        isinstance(error, trio.BrokenResourceError)
        and isinstance(request, RequestStream)
        and request.peer_error is not None
        and error.__cause__ is request.peer_error
    )
