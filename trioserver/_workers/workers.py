"""`Workers`: several processes that serve one address."""

from __future__ import annotations

import os
import socket
from typing import TYPE_CHECKING, Any

import trio

from .._engine.background import serve_in_background
from .._engine.bare_nursery import open_bare_nursery
from .._engine.observers import Observers
from .._vocabulary.errors import LifecycleError
from .._vocabulary.lifecycle import RUNNING, Act, State, after
from .._vocabulary.options import check_count, check_flag, check_seconds
from .._vocabulary.workers import WorkerProcess, WorkersReport, WorkersStarted, WorkersStopped
from . import child
from .sockets import SHARES_OUT, Binding, SharedSockets, open_sockets
from .supervisor import Supervisor
from .target import pack

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from contextlib import AbstractAsyncContextManager
    from typing import Self

    from .._transports.adopt import Adoptable
    from .._vocabulary.events import Observer

_BACKLOG = 65535


def available_cpus() -> int:
    """How many processors this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


class Workers:
    """Several processes that serve one address, started, watched, replaced and drained by this one.

    ::

        def make_server(sockets):
            return trioserver.TCPServer(None, Echo, sock=sockets)

        async def main():
            async with trioserver.Workers(make_server, ("127.0.0.1", 8000), workers=4).running() as workers:
                await trio.sleep_forever()

        if __name__ == "__main__":
            trio.run(main)

    Each worker is a fresh interpreter with a trio loop and a server of its own. Not on Windows.

    Args:
      make_server: What each worker makes its server with: ``make_server(sockets)``, in the worker, is to
        return a server that serves on ``sockets``, a list; or an asynchronous context manager that gives
        one, for what it needs beside; or an awaitable of either. It must be a function at the top of a
        module, or a ``functools.partial`` of one, or its name as ``"module:function"``, which this process
        then does not import. One of the program's main file makes each worker run that file under another
        name than ``"__main__"``.
      server_address: ``(host, port)``, the port 0 takes a free one; or the path of a Unix socket.
      workers: How many; by default as many as there are processors for this process.
      grace_period: Seconds that the requests of a worker get when it alone has to go: when `restart`
        replaces it, SIGTERM is sent to it, or this process is gone; 10. None is no bound.
      sock: A bound socket, or several, to serve on instead, as for a `StreamServer`: all workers share it.
        From the moment they are served it belongs to them, and is closed in the end.
      socket_type: SOCK_DGRAM for UDP servers and Unix datagram servers; SOCK_STREAM.
      all_addresses: Bind to every address that the host stands for, see `TCPServer`; false.
      one_socket_each: Whether each worker has a socket of its own, with SO_REUSEPORT; true on Linux, for
        IP addresses. Otherwise all share one socket, see below.
      mode: The permissions of a Unix socket's file, see `UnixStreamServer`.
      start_timeout: Seconds that a worker may take from its launch until it serves; 30.
      kill_timeout: Seconds after the end of a grace period, for what handlers do when they are cancelled,
        after which a worker is killed; 10. As many has a process to end after a drain that had no bound.

    Raises:
      ConfigError: An argument is not usable.

    With sockets of their own the kernel shares connections out evenly, by a hash of the client's address: two
    workers on two processors did 1.7 times the work of one, with a shared socket 1.2 to 1.5 times, since
    who wakes up first takes all that wait. With a shared socket, on the other hand, connections go to whoever
    has room for them: a worker that is at its ``max_requests``, or was killed a moment ago, keeps no client
    waiting.

    A worker that ends by itself is replaced: at once, and, if that one does not last for 10 s, after 0.1 s,
    doubling to 10 s; from 1 s on, clients go to the other workers meanwhile. SIGTERM, sent to one worker,
    replaces it as `restart` does. Everything here is for the trio thread only.
    """

    def __init__(
        self,
        make_server: Callable[[list[socket.socket]], object] | str,
        server_address: tuple[str | None, int]
        | tuple[str | None, int, int, int]
        | str
        | bytes
        | os.PathLike[str]
        | None = None,
        *,
        workers: int | None = None,
        grace_period: float | None = 10.0,
        sock: Adoptable | Iterable[Adoptable] | None = None,
        socket_type: int = socket.SOCK_STREAM,
        all_addresses: bool = False,
        one_socket_each: bool = SHARES_OUT,
        mode: int | None = None,
        start_timeout: float = 30.0,
        kill_timeout: float = 10.0,
    ) -> None:
        check_count("workers", workers, none="as many as there are processors")
        check_seconds("grace_period", grace_period, none="no bound")
        check_flag("all_addresses", all_addresses)
        check_flag("one_socket_each", one_socket_each)
        check_count("mode", mode, least=0, none="what the umask leaves")
        check_seconds("start_timeout", start_timeout)
        check_seconds("kill_timeout", kill_timeout)
        self._binding = Binding(
            address=server_address,
            sock=sock,
            kind=socket_type,
            all_addresses=all_addresses,
            mode=mode,
            backlog=_BACKLOG,
            one_each=one_socket_each,
        )
        self._binding.check()
        self._start = {**pack(make_server), "grace_period": grace_period, "kill_timeout": kill_timeout}
        self._count: int = available_cpus() if workers is None else workers
        self._grace_period = grace_period
        self._start_timeout = start_timeout
        self._kill_timeout = kill_timeout
        self._observers = Observers()
        self._state = State.NEW
        self._opening = trio.CancelScope()
        self._supervisor: Supervisor | None = None
        self._sockets: SharedSockets | None = None
        self._stopping_since = 0.0
        self._stopped = trio.Event()
        self._report = WorkersReport()
        self.server_address: Any = server_address

    # Serving.

    @trio.lowlevel.enable_ki_protection
    async def serve_forever(self, *, task_status: trio.TaskStatus[Any] = trio.TASK_STATUS_IGNORED) -> None:
        """Serve until `shutdown` or `request_shutdown` is called, or the caller is cancelled.

        Args:
          task_status: For ``await nursery.start(workers.serve_forever)``, which returns the address once all
            workers accept requests.

        Raises:
          AlreadyServing: It is being served.
          LifecycleError: This is a worker itself: the program does not start under ``if __name__ ==
            "__main__"``.
          OSError: The address can not be bound.
          WorkerError: A worker could not start, when all are started. One that can not later on is logged.

        Cancellation: the workers cancel their requests at once; it ends when their processes have ended, at
        most ``kill_timeout`` seconds later.
        Promise: when this returns or raises, no worker runs, and each was reaped (P1).
        """
        if child.in_worker:
            raise LifecycleError(
                "this process is a worker, which ran the program's main file to find what it is to serve: "
                'what starts the workers must stand below if __name__ == "__main__"'
            )
        self._state = after(self._state, Act.SERVE)
        self._stopped = trio.Event()
        self._stopping_since = trio.current_time()
        self._report = WorkersReport()
        started = False

        def when_started() -> None:
            nonlocal started
            started = True
            self._observers.tell(WorkersStarted(time=trio.current_time(), server_address=self.server_address))
            task_status.started(self.server_address)

        try:
            if self._state is State.SERVING:
                await self._serve(when_started)
        finally:
            self._end()
        if not started:  # a shutdown came first
            task_status.started(self.server_address)

    async def _serve(self, when_started: Callable[[], object]) -> None:
        async with open_bare_nursery() as nursery:
            try:
                with trio.CancelScope() as self._opening:
                    sockets = await open_sockets(self._binding, self._count)
                    self._sockets = sockets
                if self._sockets is None or self._state is not State.SERVING:
                    return
                self.server_address = self._sockets.address
                self._supervisor = Supervisor(
                    nursery,
                    self._sockets,
                    self._start,
                    self._observers,
                    grace_period=self._grace_period,
                    start_timeout=self._start_timeout,
                    kill_timeout=self._kill_timeout,
                )
                await self._supervisor.run(when_started)
                await self._supervisor.wait_ended()
            except BaseException:
                self.request_shutdown(0.0)
                raise

    def _end(self) -> None:
        self._close_sockets()
        now = trio.current_time()
        if self._supervisor is not None:
            self._report = self._supervisor.report(now - self._stopping_since)
            self._supervisor = None
        self._state = after(self._state, Act.END)
        self._observers.tell(WorkersStopped(time=now, report=self._report))
        self._stopped.set()

    def _close_sockets(self) -> None:
        if self._sockets is not None:
            self._sockets.close()
            self._sockets = None

    def running(self, *, grace_period: float | None = 0.0) -> AbstractAsyncContextManager[Self]:
        """Serve in the background for the length of a block; see ``BaseServer.running``."""
        return serve_in_background(self, grace_period)

    # Restarting and stopping.

    @trio.lowlevel.enable_ki_protection
    async def restart(self) -> None:
        """Replace the workers by new ones, one after the other: a new program, or none of the old's memory.

        Each new worker serves, on the same socket, before the old one is told to drain; so no new connection
        is refused or reset, and no request cut short that ends within the constructor's ``grace_period``. Who
        has connected to the old one, and sent nothing yet, has 5 s of the same ``grace_period`` for that. Who
        keeps a connection finds it closed, and has to connect again. A place that waits for its next worker
        does not wait any longer. Called while the first ones start, it waits until they serve. Returns when
        the old ones have ended; at once, if a shutdown comes.

        Raises:
          LifecycleError: The workers do not serve.
          WorkerError: A new worker could not start. The old one in its place goes on, and the rest is not
            replaced.

        Cancellation: no further worker is replaced; those that were told to drain, do.
        """
        if self._supervisor is None or self._state is not State.SERVING:
            raise LifecycleError("restart() is for workers that serve")
        await self._supervisor.restart()

    def request_shutdown(self, grace_period: float | None = 0.0) -> None:
        """Stop serving soon; see ``BaseServer.request_shutdown``. All workers drain at the same time.

        Args:
          grace_period: Seconds that the requests may take; ``0``, the default, cancels them at once; ``None``
            lets them take as long as they need.
        """
        check_seconds("grace_period", grace_period, none="no bound")
        if self._state is State.SERVING:
            self._stopping_since = trio.current_time()
        self._state = after(self._state, Act.SHUT_DOWN)
        self._opening.cancel()
        # A listening socket is one for all who have it: with ours open, clients would go on to be queued
        # there during the drain, for nobody.
        self._close_sockets()
        if self._supervisor is not None:
            self._supervisor.stop(grace_period)

    async def shutdown(self, grace_period: float | None = 0.0) -> WorkersReport:
        """Stop serving, and return when no worker is left.

        Args:
          grace_period: As for `request_shutdown`.

        Returns:
          What became of the requests of all workers. If they do not serve: the report of the last time.

        Cancellation: gives up the grace period: the requests are cancelled at once.
        Promise: ends within ``grace_period`` and ``kill_timeout``, whatever clients and workers do (P5).
        """
        self.request_shutdown(grace_period)
        if self._state not in RUNNING:
            await trio.lowlevel.checkpoint()
            return self._report
        stopped = self._stopped
        try:
            await stopped.wait()
        except trio.Cancelled:
            if stopped is self._stopped:  # and not of another time that was begun meanwhile
                self.request_shutdown(0.0)
            raise
        return self._report

    # Looking.

    @property
    def state(self) -> State:
        """What they are doing, all together."""
        return self._state

    @property
    def processes(self) -> tuple[WorkerProcess, ...]:
        """The workers that have not ended, the oldest first, those that drain among them."""
        if self._supervisor is None:
            return ()
        return tuple(worker.snapshot() for worker in self._supervisor.workers if worker.pid)

    def add_observer(self, observer: Observer) -> None:
        """Call ``observer`` with every `WorkerStarted`, `WorkerEnded` and so on, from now on.

        It must not block. What it raises is logged, and stops nothing.
        """
        self._observers.add(observer)
