"""`ThreadingMixIn`: synchronous handlers, each request in a worker thread."""

from __future__ import annotations

import logging
import math
import sys
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any, ClassVar, TypedDict
from weakref import WeakKeyDictionary

import trio

from .._engine.requests import in_trio_thread
from .._transports.addresses import format_address
from .._transports.blocking_streams import BlockingConnection
from .._transports.datagram_socket import Datagram
from .._transports.stream import RequestStream
from .._vocabulary.errors import HandshakeError, StreamTimeout, WrongTask
from .._vocabulary.options import check_flag
from .._vocabulary.reports import Timeout
from .base import BaseServer
from .datagram import DatagramSockets
from .loans import DatagramLoan, Loan, NoLoan
from .stream import StreamServer
from .synchronous import (
    AnyServerOptions,
    SynchronousHandler,
    call_handler,
    check_kernel_sockets,
    check_synchronous_handler,
    check_synchronous_method,
)
from .worker import call_in_thread

if TYPE_CHECKING:
    import ssl
    from collections.abc import Awaitable, Coroutine, Iterable

    from typing_extensions import Unpack

    from .._transports.adopt import Adoptable
    from .._vocabulary.reports import ShutdownReport

logger = logging.getLogger("trioserver")


class ThreadingOptions(TypedDict, total=False):
    """The options of `ThreadingMixIn` that may be given as keywords."""

    max_threads: int | None
    daemon_threads: bool
    block_on_close: bool


class ThreadingServerOptions(AnyServerOptions, ThreadingOptions, total=False):
    """The options of any server that it is mixed into."""


class ThreadingMixIn(BaseServer[Any]):
    """Serves *synchronous* handlers, each request in a worker thread. It comes first among the bases::

        class Server(trioserver.ThreadingMixIn, trioserver.TCPServer): ...

        class Echo(socketserver.StreamRequestHandler):  # the stdlib's
            def handle(self):
                for line in self.rfile:
                    self.wfile.write(line)

        server = Server(("127.0.0.1", 0), Echo)

    RequestHandlerClass is a handler class of the stdlib's ``socketserver``, or a function
    ``handler(request, client_address, server)``. On a stream server its ``request`` is a blocking
    ``socket.socket``, an ``ssl.SSLSocket`` if the server has an ``ssl_context``; on a datagram server
    ``(data, socket)``, where the socket has a blocking ``sendto``. Any other request is passed on as it is.
    Context variables are those of the request's task, and ``trio.from_thread`` works.

    The request belongs to a task, as ever. `process_request_thread` and `finish_request` are called in the
    thread, and are plain functions; every other hook is called in the trio thread, with the `RequestStream`
    or `Datagram` as its request. A handler may call ``self.server.request_shutdown()``; for all other methods
    of the server ``trio.from_thread`` is the way.

    A ``SystemExit`` of a handler, or another exception that is no ``Exception``, stops the server and is
    raised by ``serve_forever()`` (P4). In the stdlib it ends the thread alone.

    **Cancelled**, at the end of a grace period, say, a request's connection is shut down in both directions:
    what blocks in receiving from or sending to the client ends at once. The task then waits for the thread
    (P1), and whatever the handler raises because of that is one line at level DEBUG. A handler that blocks in
    something else, or computes, holds up the end of the server until it is done, unless ``daemon_threads``.
    It can ask ``trio.from_thread.check_cancelled()``. A datagram server's socket is not shut down: a
    handler may still reply, where that needs no wait.

    A drain does not tell a handler anything: one that waits in ``readline()`` for the next request of a
    persistent connection does so until the grace period is over, which ends it. Have one:
    ``server.shutdown(5)``.

    The connection ends with its request, whatever the handler does with its socket: closes it, detaches it,
    or leaves files open that were made of it. A thread has a descriptor of its own for it: each takes two.

    Options, on the class, the instance, or as keywords, beside those of the server:
      max_threads: How many worker threads the server may have; 100.
      daemon_threads: Leave the thread of a cancelled request to itself; false.
      block_on_close: False is the same.
    """

    max_threads: int | None = 100
    """How many worker threads this server may have, a limit of its own; ``None`` is no limit.

    No more requests exist at once, nor more than ``max_requests``: the others wait in the kernel (P6). May be
    changed while serving, in the trio thread. The stdlib has no limit. A client that is connected and says
    nothing has a thread, so it is well above the number of processors, and above the 40 that trio has for
    files and names; Tomcat has 200, Apache's worker 400, for handlers without an interpreter lock to wait
    for.
    """

    daemon_threads: bool = False
    """Whether a cancelled request does not wait for its thread. The stdlib's: whether the process does not.

    If true, its connection is shut down and closed, and it ends; the thread is left to itself, and goes on
    counting in ``max_threads``: meanwhile a request that was accepted may have to wait for a thread. P1 then
    holds for tasks and connections, not for that thread. An error that it raises later can only be logged.
    The process does not wait for threads of trio's in any case.
    In the thread ``trio.from_thread.run`` then runs its function in a task that is not the request's.
    """

    block_on_close: bool = True
    """Whether `server_close`, `shutdown` and ``serve_forever`` wait for threads; false does what
    ``daemon_threads`` does when true. The stdlib's: whether ``server_close`` joins them."""

    serves_synchronously: ClassVar[bool] = True

    _option_types: ClassVar[type] = ThreadingOptions
    _limits: ClassVar[frozenset[str]] = frozenset({"max_requests", "max_threads"})

    if TYPE_CHECKING:
        RequestHandlerClass: Any

        def __init__(
            self,
            server_address: Any,
            RequestHandlerClass: SynchronousHandler,
            bind_and_activate: bool = True,
            *,
            sock: Adoptable | Iterable[Adoptable] | None = None,
            **options: Unpack[ThreadingServerOptions],
        ) -> None: ...

    # No run-time __init__: programs call that of one base alone, as with the stdlib.

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        for base in cls.__mro__[: cls.__mro__.index(ThreadingMixIn)]:
            if issubclass(base, (StreamServer, DatagramSockets)) and not issubclass(base, ThreadingMixIn):
                raise TypeError(
                    f"{cls.__name__}: ThreadingMixIn must come before {base.__name__} among the bases"
                )

    def _check_options(self) -> None:
        super()._check_options()
        check_flag("daemon_threads", self.daemon_threads)
        check_flag("block_on_close", self.block_on_close)

    @cached_property
    def _limiter(self) -> trio.CapacityLimiter:
        return trio.CapacityLimiter(math.inf if self.max_threads is None else self.max_threads)

    @cached_property
    def _connections(self) -> WeakKeyDictionary[RequestStream, BlockingConnection]:
        return WeakKeyDictionary()

    def __setattr__(self, name: str, value: Any) -> None:
        super().__setattr__(name, value)
        if name == "max_threads":
            self._limiter.total_tokens = math.inf if value is None else value

    @property
    def request_limit(self) -> int | None:
        """How many requests may exist at once: the smaller one of ``max_requests`` and ``max_threads``."""
        limit, threads = super().request_limit, self.max_threads
        return limit if threads is None else threads if limit is None else min(limit, threads)

    def _inherited_sockets(self) -> list[Any]:
        threads = [connection.socket for connection in self._connections.values()]
        return [*super()._inherited_sockets(), *threads]

    @property
    def serves_in_place(self) -> bool:
        """False: each request has a task, which has a thread."""
        return False

    def _check_handler(self, handler: object) -> None:
        check_synchronous_handler(handler, type(self))
        for name in ("process_request_thread", "finish_request"):
            check_synchronous_method(type(self), name)

    def _check_sockets(self, sockets: tuple[Any, ...]) -> None:
        check_kernel_sockets(sockets, type(self))

    # Called by handlers, too, and then in their threads.

    def request_shutdown(self, grace_period: float | None = 0.0) -> None:
        """Stop serving soon; see ``BaseServer.request_shutdown``. A handler may call it in its thread."""
        if in_trio_thread():
            super().request_shutdown(grace_period)
        else:
            trio.from_thread.run_sync(super().request_shutdown, grace_period)

    if not TYPE_CHECKING:  # to a checker it is the ``async def`` that it stands for

        def shutdown(self, grace_period: float | None = 0.0) -> Coroutine[Any, Any, ShutdownReport]:
            """Stop serving, and wait for it; see ``BaseServer.shutdown``.

            Raises:
              WrongTask: A handler called it in its thread: it would wait for itself. The shutdown is
                requested nevertheless.
            """
            if not in_trio_thread():  # now, and not when it is awaited, which a handler would not do
                self.request_shutdown(grace_period)
                raise WrongTask(
                    "shutdown() waits until every request of the server is done, and was called in the "
                    "thread of one: call request_shutdown() there, which does not wait"
                )
            return super().shutdown(grace_period)

    # In the request's task.

    def handshake_request(self, request: Any, client_address: Any) -> Awaitable[object] | None:
        """Make the TLS handshake in a worker thread, if there is an ``ssl_context``. To be awaited."""
        if not isinstance(self, StreamServer):
            return super().handshake_request(request, client_address)
        context = self.ssl_context
        if context is None and not self._serves_tls:
            return None
        self._check_still_tls(context)
        assert context is not None
        return self._shake_hands(request, context, self.handshake_timeout, self.suppress_ragged_eofs)

    async def _shake_hands(
        self,
        request: RequestStream,
        context: ssl.SSLContext,
        timeout: float | None,
        suppress_ragged_eofs: bool,
    ) -> None:
        connection = await self._connection(request)
        shake_hands = partial(connection.shake_hands, context, suppress_ragged_eofs=suppress_ragged_eofs)
        try:
            with trio.CancelScope() as scope:
                if timeout is not None:
                    scope.deadline = trio.current_time() + timeout
                await self._call_in_thread(shake_hands, connection, last=False)
        except OSError as error:
            from .._transports.tls import describe

            raise HandshakeError(f"the TLS handshake failed: {describe(error)}") from error
        finally:
            connection.give_back(request)
        if scope.cancelled_caught:
            assert timeout is not None
            request.note_timeout(Timeout.HANDSHAKE)
            late = StreamTimeout(timeout)
            raise HandshakeError(f"the TLS handshake took longer than {timeout:g} s") from late

    async def process_request(self, request: Any, client_address: Any) -> None:
        """Serve this request: call `process_request_thread` in a worker thread, and wait for it."""
        loan = await self._loan(request)
        serve = partial(self.process_request_thread, loan.request, client_address)
        try:
            await self._call_in_thread(serve, loan, last=True)
        finally:
            if isinstance(loan, BlockingConnection):
                loan.give_back(request)

    async def close_request(self, request: Any) -> None:
        """Close the connection at once. No checkpoint."""
        if (
            isinstance(request, RequestStream)
            and (connection := self._connections.pop(request, None)) is not None
        ):
            connection.end()
        await super().close_request(request)

    async def handle_error(self, request: Any, client_address: Any) -> None:
        """Report the exception that a hook or the handler raised, as `BaseServer` does.

        One line at level DEBUG where it is the client's doing: a ``BrokenPipeError``, an ``ssl.SSLError``
        and the like of this very connection, or a reply to a datagram's sender that is gone. The
        ``TimeoutError`` of a handler's own ``timeout`` is an error as any other, as in the stdlib.
        """
        error = sys.exc_info()[1]
        loan: Loan | None = None
        if isinstance(request, RequestStream):
            loan = self._connections.get(request)
        elif isinstance(request, Datagram):
            loan = DatagramLoan(request)
        if error is not None and loan is not None and loan.is_peers_doing(error):
            client = format_address(client_address)
            logger.debug("Request from %s: %s: %s", client, type(error).__name__, error)
        else:
            await super().handle_error(request, client_address)

    async def _loan(self, request: object) -> Loan:
        if isinstance(request, RequestStream):
            return await self._connection(request)
        return DatagramLoan(request) if isinstance(request, Datagram) else NoLoan(request)

    async def _connection(self, request: RequestStream) -> BlockingConnection:
        """What the thread gets of a connection: what the handshake has made, if there was one."""
        if (connection := self._connections.get(request)) is None:
            if request.outbox is not None:
                await request.outbox.flush()  # what verify_request may have written
            connection = self._connections[request] = BlockingConnection(request)
        connection.lend()
        return connection

    async def _call_in_thread(self, function: Any, loan: Loan, *, last: bool) -> None:
        leave = self.daemon_threads or not self.block_on_close
        await call_in_thread(function, loan, limiter=self._limiter, leave=leave, last=last)

    # In the thread.

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """Call `finish_request`; to be overridden for what is to be done in the thread, before and after.

        Called in the thread. What it raises goes to `handle_error` in the trio thread, and the request is
        closed there; in the stdlib both are done here.
        """
        self.finish_request(request, client_address)

    def finish_request(self, request: Any, client_address: Any) -> Any:
        """Call the handler, ``self.RequestHandlerClass(request, client_address, self)``.

        Called in the thread. An override is a plain ``def``, and returns ``Any`` to a checker, since that of
        other servers returns what can be awaited.
        """
        if _in_trio_thread():
            raise RuntimeError(
                "finish_request() calls a handler that blocks, and was called in the trio thread: "
                "await process_request() there"
            )
        call_handler(self.RequestHandlerClass, request, client_address, self)


def _in_trio_thread() -> bool:
    try:
        trio.lowlevel.current_trio_token()
    except RuntimeError:
        return False
    return True
