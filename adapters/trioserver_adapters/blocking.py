"""Servers for programs without trio: `BlockingServer` runs a native server in a thread of its own.

    with BlockingServer(trioserver.TCPServer(("127.0.0.1", 8000), Handler)) as server:
        server.serve_forever()  # until shutdown() in another thread, or Ctrl-C

The handlers are the native server's: asynchronous, or synchronous with its threading and forking classes.
"""

from __future__ import annotations

import collections
import contextvars
import os
import warnings
from collections.abc import Iterable
from functools import partial
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar, TypeVarTuple

import trio

import trioserver

from ._options import check_seconds
from ._trio_thread import TrioThread

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence
    from types import TracebackType
    from typing import Self

    from typing_extensions import Unpack

T = TypeVar("T")
Ts = TypeVarTuple("Ts")
ServerT = TypeVar("ServerT", bound="trioserver.BaseServer[Any]")

POLL_INTERVAL: Final = 0.5
"""The stdlib's default."""

_CAN_BE_OPENED: Final = {trioserver.State.NEW, trioserver.State.FORESTALLED, trioserver.State.STOPPED}

_INSTEAD: Final = {
    "serve_forever": "there, start server.serve_forever in a nursery",
    "handle_request": "there, await server.handle_request()",
    "start": "there, start server.serve_forever in a nursery",
    "shutdown": "there, call request_shutdown()",
    "stop": "there, call request_shutdown()",
    "server_close": "it was asked to stop, as request_shutdown() does; close it in another thread",
    "call": "there, await the function itself",
    "fileno": "there, use `async with server`, and server.fileno()",
    "__enter__": "there, use `async with server`",
}

_WAITS_FOR_REQUESTS: Final = {"shutdown", "stop", "server_close"}

_served_here: Final[contextvars.ContextVar[BlockingServer[Any] | None]] = contextvars.ContextVar(
    "_served_here", default=None
)
"""What serves this request; its worker threads know it, too, also those left to themselves."""


class BlockingServer(Generic[ServerT]):
    """A native server with the methods of ``socketserver``'s: they block, and any thread may call them.

    Trio runs in a thread of its own, from the first call that needs it to `server_close`; before that there
    is neither a thread nor a descriptor. Use it as a context manager, or call `server_close`: a forgotten one
    is closed with a ``ResourceWarning`` when it is collected, and without one when the interpreter exits.

    A server belongs to the process that made it. In a forked child make another one.

    Args:
      server: What to run. It is for this thread only from now on: its own methods are called through `call`.
      clock: For ``trio.run``, such as a ``trio.testing.MockClock``; None, the default, is trio's own.
      instruments: For ``trio.run``; none by default.
      grace_period: Seconds that running requests may take after Ctrl-C in `serve_forever`, 10 by default, as
        on the command line; None is no bound. A second Ctrl-C cancels them.

    Raises:
      ConfigError: An argument is not usable.
    """

    _thread: TrioThread | None = None

    def __init__(
        self,
        server: ServerT,
        *,
        clock: trio.abc.Clock | None = None,
        instruments: Sequence[trio.abc.Instrument] = (),
        grace_period: float | None = 10.0,
    ) -> None:
        if not isinstance(server, trioserver.BaseServer):
            hint = (
                ": pass an instance, made with an address and a handler" if isinstance(server, type) else ""
            )
            raise trioserver.ConfigError(f"server must be a server of trioserver's, not {server!r}{hint}")
        check_seconds("grace_period", grace_period, "no bound")
        if clock is not None and not isinstance(clock, trio.abc.Clock):
            raise trioserver.ConfigError(f"clock must be a trio.abc.Clock, or None for trio's, not {clock!r}")
        self._server = server
        self._make_thread = partial(TrioThread, clock=clock, instruments=checked_instruments(instruments))
        self._grace_period = grace_period
        self._pid = os.getpid()
        self._opening = trio.Lock()
        self._entering: set[object] = set()
        self._shutdowns: collections.deque[tuple[float | None, bool]] = collections.deque()
        self._stop_next = False
        self._forestalled = False
        self._closed = False
        self._report = trioserver.ShutdownReport()
        self._failure: BaseException | None = None

    @property
    def server(self) -> ServerT:
        """The native server. Once it runs its methods are for `call`."""
        return self._server

    @property
    def server_address(self) -> Any:
        """Where it serves: the real address once it is open, what it was given before."""
        return self._server.server_address

    # Serving.

    def serve_forever(self, poll_interval: float = POLL_INTERVAL) -> None:
        """Serve until `shutdown` or `request_shutdown` is called.

        When it returns or raises, no request runs and every connection is closed (P1).

        Args:
          poll_interval: The stdlib's; nothing polls. Other than the default it sets the server's option of
            that name: the longest time between two calls of an overridden ``service_actions``, in seconds.

        Raises:
          KeyboardInterrupt, or what else a signal handler raises: The server was shut down first, with the
            grace period; when a second one came, at once. What stopped the server itself is then its cause.
          AlreadyServing, ServerClosed: It is being served, or was closed. When it was closed with a shutdown
            that had been asked for before it was served, this returns instead.
          WrongTask: Called in the thread that runs trio, which it would block.
          BaseException: What stopped the server, as it is: see ``trioserver.BaseServer.serve_forever``.
        """

        async def serve() -> None:
            if poll_interval != POLL_INTERVAL:
                self._server.poll_interval = poll_interval
            await self._server.serve_forever()

        try:
            self._run_server("serve_forever", serve)
        except trioserver.ServerClosed:
            if not self._forestalled:
                raise
            self._forestalled = False

    def handle_request(self) -> None:
        """Serve one request, and return when it is done; ``handle_timeout`` is called if none comes in time.

        Raises as `serve_forever`.
        """
        self._run_server("handle_request", self._server.handle_request)

    def start(self) -> None:
        """Serve in the background, and return as soon as requests can come.

        What stops the server then is raised by `stop` or `server_close`, whichever comes first.

        Raises:
          OSError: The address can not be bound.
          AlreadyServing, ServerClosed, WrongTask: As for `serve_forever`.
        """
        thread = self._loop()
        self._run_server("start", partial(thread.start_in_background, self._serve_in_background))

    async def _serve_in_background(self, *, task_status: trio.TaskStatus[Any]) -> None:
        status = _Status(task_status)
        try:
            await self._server.serve_forever(task_status=status)
        except trio.Cancelled:
            raise
        except BaseException as exc:
            if not status.was_started:
                raise  # in `start`
            self._failure = exc

    def stop(self, grace_period: float | None = 0.0) -> trioserver.ShutdownReport:
        """The same as `shutdown`; and raises what stopped a server that `start` started, if anything has."""
        report = self._shut_down("stop", grace_period)
        self._raise_failure()
        return report

    def _run_server(self, method: str, function: Callable[[], Awaitable[None]]) -> None:
        """Run the server in the loop, as one who knows of shutdowns that are asked for from now on."""
        ticket = object()
        self._entering.add(ticket)

        async def run() -> None:
            _served_here.set(self)
            while self._opening.locked():  # or `fileno`, say, and this would both bind
                async with self._opening:
                    pass
            self._take_shutdowns()
            self._entering.discard(ticket)
            if self._stop_next:
                self._stop_next = False
            else:
                await function()

        def interrupt(count: int) -> None:
            self._shutdowns.append((self._grace_period if count == 1 else 0.0, ticket in self._entering))
            self._take_shutdowns()

        try:
            self._run(method, run, interrupt)
        finally:
            self._entering.discard(ticket)

    # Stopping.

    def request_shutdown(self, grace_period: float | None = 0.0) -> None:
        """Stop serving soon: accept no more, and cancel what still runs after ``grace_period`` seconds.

        Never waits; for any thread, handlers and signal handlers. Before the server is first served it makes
        `serve_forever` return at once; after it was served it asks for what is so already.

        Args:
          grace_period: Seconds that running requests may take; ``0``, the default, cancels them at once;
            ``None`` lets them take as long as they need.
        """
        self._check_process()
        check_seconds("grace_period", grace_period, "no bound")
        self._shutdowns.append((grace_period, bool(self._entering)))
        if self._thread is not None:  # or whoever starts it will look; one of us sees the other
            self._thread.soon(self._take_shutdowns)

    def _take_shutdowns(self) -> None:
        """Pass on what was asked for; in the loop."""
        while self._shutdowns:
            grace_period, entering = self._shutdowns.popleft()
            try:
                self._server.request_shutdown(grace_period)
            except BaseException as exc:  # of an observer that calls sys.exit(), say: it would end the loop
                self._failure = exc
            if entering and self._server.state is trioserver.State.STOPPED:
                self._stop_next = True  # asked for while a serve was on its way: never lost (P5)

    def shutdown(self, grace_period: float | None = 0.0) -> trioserver.ShutdownReport:
        """Stop serving, and return when nothing of the server runs any more.

        Takes effect at once. Before the server is served it returns at once, and so will `serve_forever`.

        Args:
          grace_period: As for `request_shutdown`.

        Returns:
          What became of the requests; when the server does not run, of those of its last run.

        Raises:
          WrongTask: Called in the thread that runs trio, or in a request's worker thread: it would wait for
            itself; call `request_shutdown` there. The shutdown is requested nevertheless.
        """
        return self._shut_down("shutdown", grace_period)

    def _shut_down(self, method: str, grace_period: float | None) -> trioserver.ShutdownReport:
        self._check_process()
        check_seconds("grace_period", grace_period, "no bound")
        if self._thread is None or self._closed:
            self.request_shutdown(grace_period)
            return self._report
        entering = bool(self._entering)

        async def shut_down() -> trioserver.ShutdownReport:
            self._shutdowns.append((grace_period, entering))
            self._take_shutdowns()  # and no checkpoint after it, so that the next asks for the same again
            return await self._server.shutdown(grace_period)

        try:
            return self._run(method, shut_down)
        except trioserver.WrongTask:
            self.request_shutdown(grace_period)
            raise
        except trioserver.ServerClosed:  # by another thread, meanwhile
            return self._report

    # Opening and closing.

    def fileno(self) -> int:
        """The descriptor of the (first) listening socket, for ``select``; -1 where there is none.

        Opens the server, if it is not open, for `handle_request` to be called when it is readable.
        """
        try:
            return self._run("fileno", self._opened_fileno)
        except trioserver.ServerClosed:
            return -1

    async def _opened_fileno(self) -> int:
        async with self._opening:
            if self._server.fileno() == -1 and self._server.state in _CAN_BE_OPENED:
                await self._open_now()
        return self._server.fileno()

    async def _open(self) -> None:
        async with self._opening:  # two of us would both bind
            await self._open_now()

    async def _open_now(self) -> None:
        await self._server.__aenter__()
        if self._server.state is trioserver.State.CLOSED:
            await self._server.server_close()  # again: it was closed while it was being opened

    def server_close(self) -> None:
        """Close the server for good, and end the thread. Closing twice is fine.

        If it is being served its requests are cancelled; this returns when nothing of it is left.

        Raises:
          WrongTask: Called in the thread that runs trio, or in a request's worker thread. The server stops
            nevertheless.
          BaseException: What stopped a server that `start` started.
        """
        self._check_process()
        try:
            self._run("server_close", self._close)
        except trioserver.ServerClosed:
            pass  # by another thread, or before
        except trioserver.WrongTask:
            self.request_shutdown()
            raise
        finally:
            thread = self._thread
            if thread is not None and (thread.over or self._server.state is trioserver.State.CLOSED):
                self._closed = True
                thread.stop()
        self._raise_failure()

    async def _close(self) -> None:
        self._take_shutdowns()
        self._forestalled = self._stop_next or self._server.state is trioserver.State.FORESTALLED
        await self._server.server_close()
        self._report = await self._server.shutdown()

    def _raise_failure(self) -> None:
        failure, self._failure = self._failure, None
        if failure is not None:
            try:
                raise failure
            finally:
                del failure  # or the traceback would keep itself alive

    def __enter__(self) -> Self:
        """Open the server: ``server_address`` is real from now on."""
        self._run("__enter__", self._open)
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.server_close()

    def __del__(self, warn: Callable[..., None] = warnings.warn) -> None:
        thread = self._thread
        if thread is not None and not (thread.over or thread.stop_asked or thread.forked):
            message = f"unclosed {self!r}"
            thread.stop_soon()  # before the warning, which may be an error
            warn(message, ResourceWarning, source=self)

    def __repr__(self) -> str:
        return f"<BlockingServer of {self._server!r}>"

    # The loop.

    def call(self, async_fn: Callable[[Unpack[Ts]], Awaitable[T]], *args: *Ts) -> T:
        """Run ``async_fn(*args)`` beside the server, in its loop, and return what it returns.

        It sees a copy of the caller's context variables.

        Raises:
          BaseException: What it raises, as it is. What a signal handler raises in the waiting thread, Ctrl-C
            too, cancels it and is raised when it has ended.
          ServerClosed: The server is closed, or was while it ran.
          WrongTask: Called in the thread that runs trio: there, await the function.
        """
        return self._run("call", partial(async_fn, *args))

    def _run(
        self,
        method: str,
        function: Callable[[], Awaitable[T]],
        interrupt: Callable[[int], object] | None = None,
    ) -> T:
        thread = self._loop()
        if thread.is_current():
            raise trioserver.WrongTask(
                f"{method}() blocks, and was called in the thread that runs trio, which it would wait for: "
                f"{_INSTEAD[method]}"
            )
        if thread.is_current_worker():
            if method in _WAITS_FOR_REQUESTS and _served_here.get() is self:
                raise trioserver.WrongTask(
                    f"{method}() waits for the requests, and was called in one's thread: {_INSTEAD[method]}"
                )
            return trio.from_thread.run(function)  # in the task that waits for it: see its WrongTask
        return thread.call(function, interrupt)

    def _loop(self) -> TrioThread:
        """The thread, started if it has to be."""
        self._check_process()
        if self._closed:
            raise trioserver.ServerClosed("the server was closed, and can not be used again")
        thread = self._thread
        if thread is None:
            new = self._make_thread(f"trioserver: {self._server!r}", partial(close, self._server))
            thread = vars(self).setdefault("_thread", new)  # atomic: of two threads one wins
        thread.start()
        thread.soon(self._take_shutdowns)
        return thread

    def _check_process(self) -> None:
        if self._pid != os.getpid():
            raise trioserver.LifecycleError(
                f"this server was made in process {self._pid} and is used in its child {os.getpid()}: "
                "make one in the child"
            )


async def close(server: trioserver.BaseServer[Any]) -> None:
    """Close a server, unless that was done. Not a method: those of a thread that runs are not collected."""
    if server.state is not trioserver.State.CLOSED:
        await server.server_close()


class _Status:
    """A ``task_status`` that remembers whether it was told."""

    def __init__(self, status: trio.TaskStatus[Any]) -> None:
        self._status = status
        self.was_started = False

    def started(self, value: Any = None) -> None:
        self.was_started = True
        self._status.started(value)


def checked_instruments(value: Sequence[trio.abc.Instrument]) -> tuple[trio.abc.Instrument, ...]:
    """``value`` as a tuple; ConfigError unless these are instruments."""
    given: object = value
    instruments = tuple(value) if isinstance(given, Iterable) else None
    if instruments is None or not all(isinstance(each, trio.abc.Instrument) for each in instruments):
        raise trioserver.ConfigError(f"instruments must be a sequence of trio.abc.Instrument, not {given!r}")
    return instruments
