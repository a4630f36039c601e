"""`ForkingMixIn`: each request served by a synchronous handler, in a child process of its own.

The parent's side: a request's task forks, waits, and sees to it that the process ends with it. What the child
does is in ``in_process.py``.
"""

from __future__ import annotations

import logging
import signal
import socket
import sys
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar, TypedDict

import trio

from .._engine.engine import Engine
from .._transports.addresses import format_address
from .._transports.children import Child, fork
from .._transports.stream import RequestStream
from .._vocabulary.errors import HandlerProcessError, HandshakeError, LifecycleError
from .._vocabulary.options import check_seconds
from .._vocabulary.reports import RequestState, Timeout
from .base import BaseServer, opened_servers
from .in_process import Kind, leave_to_parent, serve_in_child
from .stream import StreamServer
from .synchronous import (
    AnyServerOptions,
    SynchronousHandler,
    call_handler,
    check_kernel_sockets,
    check_synchronous_handler,
    check_synchronous_method,
)
from .tcp import TCPServer
from .udp import UDPServer
from .unix import UnixStreamServer
from .unix_datagram import UnixDatagramServer

if TYPE_CHECKING:
    from collections.abc import Coroutine, Iterable

    from typing_extensions import Unpack

    from .._engine.requests import Request
    from .._transports.adopt import Adoptable
    from .._transports.in_child import Report
    from .._vocabulary.reports import ShutdownReport

    _Base = BaseServer[Any]
else:
    _Base = object

logger = logging.getLogger("trioserver")


class ForkingOptions(TypedDict, total=False):
    """The options of `ForkingMixIn` that may be given as keywords."""

    max_children: int | None
    finish_timeout: float
    block_on_close: bool


class ForkingServerOptions(AnyServerOptions, ForkingOptions, total=False):
    """The options of any server that it is mixed into."""


class ForkingMixIn(_Base):
    """Serves *synchronous* handlers, each request in a child process. It comes first among the bases::

        class Server(trioserver.ForkingMixIn, trioserver.TCPServer): ...

    The handler is one of the stdlib's ``socketserver``, unchanged: a class, or a function, that is called
    with ``(request, client_address, server)`` and may block and compute as long as it likes. For stream
    servers ``request`` is a blocking ``socket.socket``, or an ``ssl.SSLSocket`` where the server has an
    ``ssl_context``; for datagram servers it is ``(data, socket)``, with a blocking socket to reply through.
    Any other request is passed on as it is.

    **In the process** there is a copy of everything. The server's attributes are those at the time of the
    fork, and nothing that is done to them gets back. Its sockets and the other connections are closed there.
    Asking the copy to stop is a LifecycleError; its other methods see a server that is not being served.
    Over TLS the socket has a timeout of eleven days, and not none: OpenSSL, left to itself, goes on after a
    signal, and SIGTERM would not get to a handler that sends to a client which does not read.

    Nothing of trio's may be used: ``trio.run`` works only in a new thread (``asyncio.run`` works).
    `finish_request` is called in the process, and is a plain function; all other methods are called in the
    parent. Exit handlers are not run, buffers other than those of ``sys.stdout`` and ``sys.stderr`` not
    written, and threads of the parent's do not exist, the one that writes its log, say.

    **The exit status** is in the request's event, ``RequestEnded.exit_status``, as ``subprocess``'s
    ``returncode``: 0 when the handler returned; 1 when it raised an Exception, which the process reports
    through the logger ``trioserver`` with its traceback; the argument of ``sys.exit()``; minus the signal.
    Any but 0 is a `HandlerProcessError` in the parent, for `handle_error`. ``None`` when somebody else in the
    program has reaped the process, or SIGCHLD is ignored: then nothing is known, and the request has
    finished.

    **Cancelled**, the process gets SIGTERM, which raises ``SystemExit`` in the handler, so that its
    ``finally`` clauses and its ``finish`` run; and SIGKILL if it has not ended after ``finish_timeout``
    seconds. The request ends when it was reaped (P1, P5). A handler that wants something else sets a signal
    handler. Ctrl-C raises ``KeyboardInterrupt`` in it, as in any program.

    TLS handshakes are made in the process, so one that fails is a HandshakeError of `process_request`: an
    event, and a line at level DEBUG from `handle_error`. ``bytes_received`` and ``bytes_sent`` are not
    counted.

    A fork that fails (``EAGAIN``: too many processes) is an error of that request, for `handle_error`.
    ``collect_children()`` does not exist: each process is reaped when it ends, and no others are.
    ``timeout`` remains that of `BaseServer`; the stdlib's 300 is there to reap.

    Options, on the class, the instance, or as keywords:
      max_children: How many processes there may be at once; 40. None is no limit.
      finish_timeout: Seconds from SIGTERM to SIGKILL for a process whose request is cancelled; 5.
      block_on_close: Accepted, and without effect.

    Raises:
      ConfigError: The handler has to be awaited; an option is not usable.
    """

    max_children: int | None = 40
    """How many processes there may be at once; 40, as in the stdlib. ``None`` is no limit.

    Like ``max_requests``, and whichever is smaller counts: at the limit no request is accepted, and
    clients wait in the kernel (P6). Nothing else waits for it: the stdlib blocks in ``waitpid``, and reaps
    what are not its own children.
    """

    finish_timeout: float = 5.0
    """Seconds that the process of a cancelled request may still take, from SIGTERM to SIGKILL."""

    block_on_close: bool = True
    """Accepted for programs that set it. Nothing of a server outlives it (P1): serving ends when all of its
    processes have, whatever this is."""

    serves_synchronously: ClassVar[bool] = True

    _option_types: ClassVar[type] = ForkingOptions
    _limits: ClassVar[frozenset[str]] = frozenset({"max_requests", "max_children"})

    if TYPE_CHECKING:
        RequestHandlerClass: Any

        def __init__(
            self,
            server_address: Any,
            RequestHandlerClass: SynchronousHandler,
            bind_and_activate: bool = True,
            *,
            sock: Adoptable | Iterable[Adoptable] | None = None,
            **options: Unpack[ForkingServerOptions],
        ) -> None: ...

    # No run-time __init__: programs call that of one base alone, as with the stdlib.

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        bases = cls.__mro__
        if BaseServer in bases and bases.index(BaseServer) < bases.index(ForkingMixIn):
            raise TypeError(f"{cls.__name__}: ForkingMixIn must come before the server among the bases")

    _is_copy = False

    @cached_property
    def _children(self) -> dict[int, Child]:
        return {}

    def _check_handler(self, handler: object) -> None:
        check_synchronous_handler(handler, type(self))
        check_synchronous_method(type(self), "finish_request")

    def _check_options(self) -> None:
        super()._check_options()
        check_seconds("finish_timeout", self.finish_timeout)

    def _check_sockets(self, sockets: tuple[Any, ...]) -> None:
        check_kernel_sockets(sockets, type(self))

    @property
    def request_limit(self) -> int | None:
        """How many requests may exist at once: the smaller of ``max_requests`` and ``max_children``."""
        limits = [limit for limit in (super().request_limit, self.max_children) if limit is not None]
        return min(limits, default=None)

    @property
    def active_children(self) -> frozenset[int]:
        """The ids of the processes that serve requests now. Not to be signalled: use ``Request.cancel()``."""
        return frozenset(self._children)

    # In the parent.

    def handshake_request(self, request: Any, client_address: Any) -> None:
        """Nothing: the TLS handshake is made in the process, which then has the keys."""
        if isinstance(self, StreamServer):
            self._check_still_tls(self.ssl_context)  # it may have been the class's: no plain text instead

    # Ctrl-C must not strike between the fork and the note of it (P2), nor while the process is ended (P1).
    @trio.lowlevel.enable_ki_protection
    async def process_request(self, request: Any, client_address: Any) -> None:
        """Serve the request in a process, and wait until that has ended.

        Raises:
          HandlerProcessError: It ended with a status other than 0.
          HandshakeError: The TLS handshake failed, or took too long. `handle_error` is not called for it.
          OSError: There is no process, or no descriptor, to be had.

        Cancellation: terminates the process; see the class.
        """
        await trio.lowlevel.checkpoint_if_cancelled()
        _check_untouched(request)
        record = self.current_request()
        child = fork(lambda report: self._serve_in_child(request, client_address, report))
        self._children[child.pid] = child
        try:
            await self._wait(child, record)
        finally:
            child.close()
            del self._children[child.pid]
            if record is not None:
                record.exit_status = child.exit_status
            if isinstance(request, RequestStream) and not request.closed:
                request.socket.setblocking(False)  # the process has made it blocking, which is shared
        _check_end(child, record)

    async def _wait(self, child: Child, record: Request[Any] | None) -> None:
        """Wait until the process has ended; when cancelled, make it."""
        try:
            await child.wait()
        except trio.Cancelled:
            child.send_signal(signal.SIGTERM)
            with trio.CancelScope(shield=True):
                with trio.move_on_after(self.finish_timeout):
                    await child.wait()
                if not child.poll():
                    if record is not None:
                        record.note_timeout(Timeout.FINISH)
                    child.send_signal(signal.SIGKILL)
                    await child.wait()
            raise

    async def handle_error(self, request: Any, client_address: Any) -> None:
        """Report the exception that is being handled; see ``BaseServer.handle_error``.

        That a process did not end with status 0 is one line, without a traceback, which would be the
        parent's: at level DEBUG if the process has reported the exception itself, or was interrupted by
        Ctrl-C, which the terminal sends to all; at level ERROR otherwise.
        """
        error = sys.exc_info()[1]
        if not isinstance(error, HandlerProcessError):
            await super().handle_error(request, client_address)
            return
        level = logging.DEBUG if error.reported else logging.ERROR
        logger.log(level, "Request from %s: %s", format_address(client_address), error)

    # In the child.

    def _serve_in_child(self, request: Any, client_address: Any, report: Report) -> int:
        for server in tuple(opened_servers.values()):
            leave_to_parent(server._inherited_sockets(), request)
            # What acts on the old one may reach the epolls, which the parent uses.
            server._engine = Engine()
        self._is_copy = True
        return serve_in_child(self, request, client_address, report)

    def finish_request(self, request: Any, client_address: Any) -> Any:
        """Call the handler, ``self.RequestHandlerClass(request, client_address, self)``, in the process."""
        call_handler(self.RequestHandlerClass, request, client_address, self)

    def request_shutdown(self, grace_period: float | None = 0.0) -> None:
        """Stop serving soon; see ``BaseServer.request_shutdown``. In a handler's process: a
        LifecycleError."""
        self._refuse_copy()
        super().request_shutdown(grace_period)

    if not TYPE_CHECKING:  # to a checker it is the ``async def`` that it stands for

        def shutdown(self, grace_period: float | None = 0.0) -> Coroutine[Any, Any, ShutdownReport]:
            """Stop serving, and wait for it; see ``BaseServer.shutdown``. In a handler's process: a
            LifecycleError."""
            self._refuse_copy()  # now, and not when it is awaited, which a synchronous handler would not do
            return super().shutdown(grace_period)

    def _refuse_copy(self) -> None:
        if self._is_copy:
            raise LifecycleError(
                "this process serves one request and has a copy of the server: only the server's own process "
                "can stop it, which has to be told, by a signal to os.getppid(), say"
            )


def _check_untouched(request: Any) -> None:
    """Raise RuntimeError if the process would not get a connection as the client sees it."""
    if not isinstance(request, RequestStream):
        return
    if not isinstance(request.socket, socket.socket):
        raise RuntimeError("only sockets of the operating system can be served in a process")
    if request.buffer.size or request.ssl_object is not None:
        raise RuntimeError(
            "verify_request has read from the connection, or made it a TLS connection: the process that "
            "serves it gets the socket, and not what was read"
        )


def _check_end(child: Child, record: Request[Any] | None) -> None:
    """Raise what the end of a process means, unless it is a good one."""
    kind, text = child.report[:1], child.report[1:].decode(errors="replace")
    if kind in (Kind.HANDSHAKE_TIMEOUT.value, Kind.HANDSHAKE_ERROR.value):
        if record is not None:
            record.enter(RequestState.HANDSHAKE)  # where it has failed: that is nothing for handle_error
            if kind == Kind.HANDSHAKE_TIMEOUT.value:
                record.note_timeout(Timeout.HANDSHAKE)
        raise HandshakeError(text)
    if kind == Kind.REPORTED.value:
        raise HandlerProcessError(
            f"process {child.pid} of the handler raised {text}", exit_status=1, reported=True
        )
    status = child.exit_status
    if not status:
        return
    how = f"was killed by {_signal_name(-status)}" if status < 0 else f"exited with status {status}"
    raise HandlerProcessError(
        f"process {child.pid} of the handler {how}", exit_status=status, reported=status == -signal.SIGINT
    )


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


class ForkingTCPServer(ForkingMixIn, TCPServer):
    """A `TCPServer` with a process for each connection; see `ForkingMixIn`."""


class ForkingUnixStreamServer(ForkingMixIn, UnixStreamServer):
    """A `UnixStreamServer` with a process for each connection; see `ForkingMixIn`."""


class ForkingUDPServer(ForkingMixIn, UDPServer):
    """A `UDPServer` with a process for each datagram; see `ForkingMixIn`."""


class ForkingUnixDatagramServer(ForkingMixIn, UnixDatagramServer):
    """A `UnixDatagramServer` with a process for each datagram; see `ForkingMixIn`."""
