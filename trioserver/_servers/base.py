"""`BaseServer`: the life of a server, from construction to closing."""

from __future__ import annotations

import functools
import weakref
from typing import TYPE_CHECKING, Any, ClassVar, Final, TypedDict

import trio

from .._engine.accept import accept_requests, service
from .._engine.background import serve_in_background
from .._engine.engine import Engine
from .._engine.requests import in_trio_thread
from .._engine.serve import end_request
from .._vocabulary.errors import ConfigError, LifecycleError, WrongTask
from .._vocabulary.lifecycle import Act, State, after
from .._vocabulary.options import check_count, check_seconds
from .handler_checks import check_handler, check_kind, refuse_generators, refuse_synchronous
from .hooks import ASYNC_HOOKS, RequestT, ServerHooks

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from contextlib import AbstractAsyncContextManager
    from types import TracebackType
    from typing import Self

    from typing_extensions import Unpack

    from .._engine.requests import Request
    from .._vocabulary.events import Observer
    from .._vocabulary.reports import ServerStatistics, ShutdownReport


opened_servers: Final[weakref.WeakValueDictionary[int, BaseServer[Any]]] = weakref.WeakValueDictionary()
"""Every server of this process that was opened, by its ``id``: a forked child closes what is theirs."""


class ServerOptions(TypedDict, total=False):
    """The options of every server that may be given as keywords; see the attributes of `BaseServer`."""

    max_requests: int | None
    request_timeout: float | None
    timeout: float | None
    poll_interval: float


@functools.cache
def _options_of(server: Any) -> frozenset[str]:
    """The names of a server's options: those of each base, since a mix-in brings its own."""
    types = [cls.__dict__["_option_types"] for cls in server.__mro__ if "_option_types" in cls.__dict__]
    return frozenset().union(*(each.__optional_keys__ for each in types))


class BaseServer(ServerHooks[RequestT]):
    """What all servers have in common. By itself it serves whatever `get_request` of a subclass returns.

    Everything here is for the trio thread only; another thread goes through ``trio.from_thread.run``.

    Args:
      server_address: Where to serve; its form depends on the class.
      RequestHandlerClass: What serves a request: called with ``(request, client_address, server)`` and
        awaited. A subclass of `BaseRequestHandler`, or an async function.
      bind_and_activate: Whether the server calls `server_bind` and `server_activate` by itself, when it is
        entered or first served. A constructor does no I/O.
      options: Values for the class variables below.

    Options, on the class, the instance, or as keywords:
      max_requests: How many requests may exist at once; None, the default, is no limit.
      request_timeout: Seconds that a whole request may take; None, the default, is no bound.
      timeout: How long ``handle_request()`` waits; None, the default, is for ever.
      poll_interval: The longest time between two calls of `service_actions`; 0.5 s.

    Raises:
      ConfigError: An argument is not usable.
    """

    max_requests: int | None = None
    """How many requests may exist at once; ``None``, the default, is no limit.

    At the limit no more are accepted, and clients wait in the kernel's backlog. May be changed while serving.
    """

    request_timeout: float | None = None
    """How many seconds a whole request may take, from accept until it is closed; ``None`` is no bound.

    After that it is cancelled, and its event has ``Timeout.REQUEST``. A request that was done by then, and
    was just being closed, counts as finished all the same. For requests accepted from the time on at which
    it is set; those with a handler that is called in place do not take any time.
    """

    timeout: float | None = None
    """How long ``handle_request()`` waits for a request, in seconds; ``None`` is for ever.

    ``serve_forever()`` ignores it, as in the stdlib.
    """

    poll_interval: float = 0.5
    """The longest time between two calls of an overridden `service_actions`, in seconds."""

    _made = False
    _option_types: ClassVar[type] = ServerOptions
    _limits: ClassVar[frozenset[str]] = frozenset({"max_requests"})
    """The options that `request_limit` is made of."""
    _kind: ClassVar[str | None] = None
    """What the requests are, in the plural, where a handler class may be for something else."""

    def __init__(
        self,
        server_address: Any,
        RequestHandlerClass: Callable[[RequestT, Any, Any], Awaitable[object]],
        bind_and_activate: bool = True,
        **options: Unpack[ServerOptions],
    ) -> None:
        self._engine = Engine()
        self._opened = False
        self._bind_and_activate = bind_and_activate
        self.server_address: Any = server_address
        refuse_generators(RequestHandlerClass)
        check_kind(RequestHandlerClass, self._kind, type(self).__name__)
        self._check_handler(RequestHandlerClass)
        refuse_synchronous(type(self), *ASYNC_HOOKS)
        self.RequestHandlerClass = RequestHandlerClass
        self._set_options(options)
        self._check_options()
        self._made = True

    def _set_options(self, options: Any) -> None:
        known = self._option_names()
        for name, value in options.items():
            if name not in known:
                raise TypeError(
                    f"{type(self).__name__}() has no option {name!r}; it has {', '.join(sorted(known))}"
                )
            setattr(self, name, value)

    def _option_names(self) -> frozenset[str]:
        cls: Any = type(self)
        return _options_of(cls)

    def _check_handler(self, handler: object) -> None:
        check_handler(handler)

    def _check_options(self) -> None:
        """Raise ConfigError unless all options are usable, wherever they were set."""
        for name in self._limits:
            check_count(name, getattr(self, name), none="no limit")
        check_seconds("request_timeout", self.request_timeout, none="no bound")
        check_seconds("timeout", self.timeout, none="no timeout")
        check_seconds("poll_interval", self.poll_interval)
        if not self.poll_interval:
            raise ConfigError("poll_interval must be more than 0 seconds")

    def __setattr__(self, name: str, value: Any) -> None:
        if name in self._limits:
            check_count(name, value, none="no limit")
            self._check_thread(name)
        if not (self._made and name in self._option_names()):
            super().__setattr__(name, value)
            return
        state = self.__dict__
        before = {name: state[name]} if name in state else {}
        super().__setattr__(name, value)
        try:
            self._check_options()
        except ConfigError:
            super().__delattr__(name)
            state.update(before)
            raise
        if name in self._limits:
            self._engine.limit_changed(self.request_limit)

    def _check_thread(self, name: str) -> None:
        """Raise LifecycleError for an attribute that accepting has to look at, if another thread sets it.

        Before it is set: waking the accept loop from there fails half done, and it would never go on.
        """
        if self._made and self._engine.running and not in_trio_thread():
            raise LifecycleError(
                f"{name} of a server that runs is set in the trio thread; in another one by "
                f"trio.from_thread.run_sync(setattr, server, {name!r}, ...)"
            )

    @property
    def request_limit(self) -> int | None:
        """How many requests may exist at once, for whatever reason; ``None`` is no limit.

        It is ``max_requests`` here. Read before each request is accepted.
        """
        return self.max_requests

    # Opening and closing.

    async def server_bind(self) -> None:
        """Acquire what requests will come from: bind the socket. Nothing by default."""

    async def server_activate(self) -> None:
        """Let requests come: listen. Nothing by default."""

    def _release(self) -> None:
        """Give back what `server_bind` acquired."""
        self._opened = False

    def _inherited_sockets(self) -> list[Any]:
        """What a process that is forked now has a copy of: sockets, and connections, of this server's."""
        streams = [record.stream for record in self._engine.requests if record.stream is not None]
        return [*getattr(self, "sockets", ()), *(stream.socket for stream in streams)]

    async def _open(self) -> bool:
        """Bind and activate unless that was done; returns whether this call did it."""
        opened_servers[id(self)] = self
        if self._opened or not self._bind_and_activate:
            return False
        try:
            await self.server_bind()
            await self.server_activate()
        except BaseException:
            self._release()
            raise
        self._opened = True
        return True

    async def server_close(self) -> None:
        """Close the server for good. Closing twice is fine.

        If it is being served its requests are cancelled, and this returns when they are gone.

        Raises:
          WrongTask: Called from a request or hook of this server, which would wait for itself. The server
            stops nevertheless.

        Cancellation: everything is closed all the same.
        """
        if self._engine.running:
            self.request_shutdown(0.0)
            self._release()
            self._refuse_own_task("server_close")
            self._engine.close()
            with trio.CancelScope(shield=True):  # bounded by the handlers' finish_timeout
                await self._engine.wait_stopped()
        self._release()
        self._engine.close()
        await trio.lowlevel.checkpoint()

    async def aclose(self) -> None:
        """The same as `server_close`, under trio's name for it."""
        await self.server_close()

    async def __aenter__(self) -> Self:
        after(self._engine.state, Act.SERVE)
        await self._open()
        return self

    if not TYPE_CHECKING:  # a checker knows by itself

        def __enter__(self) -> None:
            raise TypeError(f"{type(self).__name__} is entered with 'async with', in an async function")

        def __exit__(self, *_: object) -> None:
            """Never called: `with` looks for it, to see that there is one."""

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.server_close()

    def fileno(self) -> int:
        """The descriptor of the (first) listening socket; -1 where there is none."""
        return -1

    # Serving.

    async def serve_forever(
        self,
        poll_interval: float | None = None,
        *,
        task_status: trio.TaskStatus[Any] = trio.TASK_STATUS_IGNORED,
    ) -> None:
        """Serve until `shutdown` or `request_shutdown` is called, or the caller is cancelled.

        Binds and activates first, unless that was done (by ``async with``, say), and then gives back at the
        end what it acquired: whoever opens the server closes it. It may be served again afterwards.

        Args:
          poll_interval: Sets the attribute, for those who know the stdlib's argument. Nothing polls.
          task_status: For ``await nursery.start(server.serve_forever)``, which returns the server's address
            once requests can come.

        Raises:
          AlreadyServing, ServerClosed: It is being served, or was closed.
          OSError: The address can not be bound, or ``accept`` failed for good.
          BaseException: What a hook outside of any request raised; a ``KeyboardInterrupt`` or ``SystemExit``
            of a handler; what `handle_error` raised. Always as it is, never in a group, unless there are
            several.

        Cancellation: cancels the requests too; it ends when all of them have.
        Promise: when this returns or raises, no request runs and every connection is closed (P1).
        """
        if poll_interval is not None:
            self.poll_interval = poll_interval

        started = False

        async def accept() -> None:
            nonlocal started
            started = True
            task_status.started(self.server_address)
            if self._has_service_actions():
                await self._engine.run_beside(
                    lambda: service(self._engine, self),
                    lambda: accept_requests(self._engine, self),
                )
            else:
                await accept_requests(self._engine, self)

        await self._run(accept)
        if not started:  # a shutdown came first
            task_status.started(self.server_address)

    async def handle_request(self) -> None:
        """Serve one request, and return when it is done.

        Waits at most ``timeout`` seconds for it, then calls `handle_timeout`. Raises, and may be
        stopped, as `serve_forever`.
        """
        timed_out = False

        async def accept() -> None:
            nonlocal timed_out
            with trio.CancelScope() as scope:
                if self.timeout is not None:
                    scope.deadline = trio.current_time() + self.timeout
                await accept_requests(self._engine, self, one=True)
            timed_out = scope.cancelled_caught
            # Still "accepting", though nothing more is accepted: when it ends the drain begins, and that
            # would tell the very request that waits for its first bytes to end.
            await self._wait_served()

        await self._run(accept)
        if timed_out:
            await self.handle_timeout()

    async def _wait_served(self) -> None:
        """Wait, after ``handle_request()`` has accepted one request, until it has ended."""
        await self._engine.wait_no_requests()

    # Ctrl-C must not strike between the end of the engine's run and that of what was made for it.
    @trio.lowlevel.enable_ki_protection
    async def _run(self, accept: Callable[[], Awaitable[None]]) -> None:
        """Run the engine, with the server open."""
        self._check_options()
        after(self._engine.state, Act.SERVE)  # or what follows would end the run of the one who serves it
        opened_here = False

        async def open_and_accept() -> None:
            # In here, so that a shutdown also stops a name resolution that takes long.
            nonlocal opened_here
            opened_here = await self._open()
            if not self._engine.accepting:
                return  # a shutdown came while it was opened
            self._begin_accept()
            self._engine.tell_started(self.server_address)
            await accept()

        def release() -> None:
            if opened_here:
                self._release()

        try:
            await self._engine.run(open_and_accept, release=release, end_request=end_request)
        finally:
            self._end_run()

    def _begin_accept(self) -> None:
        """Called when a run begins to accept."""

    def _end_run(self) -> None:
        """Called when a run has ended, and nothing of it runs any more."""

    def _has_service_actions(self) -> bool:
        return getattr(self.service_actions, "__func__", None) is not ServerHooks.service_actions

    def running(self, *, grace_period: float | None = 0.0) -> AbstractAsyncContextManager[Self]:
        """Serve in the background for the length of a block: ``async with server.running() as server:``.

        At the end of the block the server is shut down with ``grace_period``; if the block raises, at once.
        What stops the server earlier cancels the block and is raised from it. No exception is wrapped
        in a group.
        """
        return serve_in_background(self, grace_period)

    # Stopping.

    def request_shutdown(self, grace_period: float | None = 0.0) -> None:
        """Stop serving soon: accept no more, and cancel what still runs after ``grace_period`` seconds.

        Synchronous, never blocks, may be called at any time, from handlers too, and any number of times: the
        earliest end holds. Before the server is first served it makes `serve_forever` return at once;
        after it was served it asks for what is so already.

        Args:
          grace_period: Seconds that running requests may take; ``0``, the default, cancels them at once;
            ``None`` lets them take as long as they need. Requests that wait in ``wait_request()`` end at
            once in any case.
        """
        check_seconds("grace_period", grace_period, none="no bound")
        self._engine.request_stop(grace_period)

    async def shutdown(self, grace_period: float | None = 0.0) -> ShutdownReport:
        """Stop serving, and return when nothing of the server runs any more.

        Args:
          grace_period: As for `request_shutdown`.

        Returns:
          What became of the requests. When the server does not run: the report of its last run.

        Raises:
          WrongTask: Called from a request or hook of this server, which would wait for itself: call
            `request_shutdown` there. The shutdown is requested nevertheless.

        Cancellation: gives up the grace period: the requests are cancelled at once.
        Promise: ends within ``grace_period`` and the handlers' ``finish_timeout``, whatever clients do (P5).
        """
        self.request_shutdown(grace_period)
        self._refuse_own_task("shutdown")
        if not self._engine.running:
            return await self._engine.wait_stopped()
        run = self._engine.run_number
        try:
            return await self._engine.wait_stopped()
        except trio.Cancelled:
            if self._engine.run_number == run:  # and not another one that was begun meanwhile
                self._engine.request_stop(0.0)
            raise

    def _refuse_own_task(self, method: str) -> None:
        if self._engine.running and self._engine.is_own_task(trio.lowlevel.current_task()):
            raise WrongTask(
                f"{method}() waits until every request of the server is done, and was called from one of "
                "them, or from a hook of the server: call request_shutdown() there, which does not wait"
            )

    # Looking.

    @property
    def state(self) -> State:
        """What the server is doing."""
        return self._engine.state

    @property
    def requests(self) -> tuple[Request[RequestT], ...]:
        """The requests that exist now, the oldest first; each can be cancelled by itself."""
        return tuple(self._engine.requests)

    def current_request(self) -> Request[RequestT] | None:
        """The request that the calling task serves, or a task above it; ``None`` if there is none.

        For what a handler does not get by itself: its ``id``, its ``timeouts``. Looks through all requests,
        so it is for the exceptional path of a server with thousands of them. A worker thread of the request
        calls it through ``trio.from_thread.run_sync``; not one started with ``abandon_on_cancel``, whose
        calls trio runs elsewhere.
        """
        return self._engine.request_of(trio.lowlevel.current_task())

    def statistics(self) -> ServerStatistics:
        """A frozen snapshot of counts."""
        return self._engine.statistics(self.max_requests)

    async def wait_draining(self) -> None:
        """Wait until the server begins to stop: for handlers that want to say goodbye."""
        await self._engine.wait_draining()

    def add_observer(self, observer: Observer) -> None:
        """Call ``observer`` with every `ServerEvent` from now on. It must not block."""
        self._engine.observers.add(observer)

    def remove_observer(self, observer: Observer) -> None:
        """Call ``observer`` no more; ``ValueError`` if it was not added."""
        self._engine.observers.remove(observer)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} at {self.server_address!r}: {self.state.value}>"
