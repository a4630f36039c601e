"""`ThreadingMixIn`: each request in a thread, which trio owns."""

from __future__ import annotations

import contextlib
import os
import socket
import sys
import threading
from functools import partial
from typing import TYPE_CHECKING, Any

from .._options import check_count
from .companion import companion_of
from .owner import InThread
from .workers import Workers

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Iterable

    from .base import BaseServer
    from .companion import Companion

    _Base = BaseServer
else:
    _Base = object  # a plain class, as in the standard library


_own = threading.local()
"""Has the request that this thread runs, and its companion."""


_counted = threading.local()
"""Has the companion that counts the request which this thread runs."""


class Threads(list[threading.Thread]):
    """The threads to wait for; those that have ended are dropped now and then.

    Attributes:
      starting: Held from the moment that a thread is kept until it has started: only then it can be joined,
        and `server_close` may be called in another thread meanwhile.
    """

    def __init__(self) -> None:
        super().__init__()
        self.starting = threading.RLock()  # a signal handler may close the server, too

    def append(self, thread: threading.Thread) -> None:
        """Keep a thread, unless it is a daemon."""
        self.reap()
        if not thread.daemon:
            super().append(thread)

    def discard(self, thread: threading.Thread) -> None:
        """Do not keep a thread."""
        if thread in self:
            self.remove(thread)

    def reap(self) -> None:
        """Drop those that have ended."""
        self[:] = [thread for thread in self if thread.is_alive()]

    def join(self) -> None:
        """Wait for all."""
        with self.starting:
            threads, self[:] = self[:], []
        for thread in threads:
            if thread.ident is not None:
                thread.join()


class NoThreads:
    """In their place where none is waited for."""

    starting = contextlib.nullcontext()

    def append(self, thread: threading.Thread) -> None:
        """Keep nothing."""

    def discard(self, thread: threading.Thread) -> None:
        """Keep nothing."""

    def join(self) -> None:
        """Wait for nothing."""


class ThreadingMixIn(_Base):
    """Mix-in class to handle each request in a new thread.

    Class variables that may be overridden by subclasses or instances; all but the first two are not in the
    standard library:
      daemon_threads: Whether threads are daemons, which neither `server_close` nor the interpreter waits for;
        false.
      block_on_close: Whether `server_close` waits for the other ones; true.
      max_requests: How many requests may run at once; None, the default, is no limit. At the limit no more
        are taken, and clients wait in the kernel's queue. May be changed on the instance while it serves.
      grace_period: For `server_close`, where it is not given as an argument; None.
      reuse_threads: Whether a thread goes on to serve other requests, which makes short connections
        cheaper. False by default: handlers may count on a new thread's empty ``threading.local``.
      defer_handshake: Whether the TLS handshake of a client takes place in the thread of its request, so that
        a slow or mute one does not stop the others; true. Only where ``socket`` is an ``ssl.SSLSocket``, and
        ``get_request``, ``verify_request`` and ``process_request`` are not overridden: these have a right to
        a connection whose handshake is done, in the thread that serves.
      handshake_timeout: How many seconds such a handshake may take; 10.0.
    """

    daemon_threads: bool = False
    block_on_close: bool = True
    max_requests: int | None = None
    grace_period: float | None = None
    reuse_threads: bool = False
    defer_handshake: bool = True
    handshake_timeout: float | None = 10.0

    _threads: Any = NoThreads()

    def __setattr__(self, name: str, value: Any) -> None:
        if name == "max_requests":
            check_count(name, value)
        super().__setattr__(name, value)
        if name == "max_requests":
            companion_of(self).wake()

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """What a thread does: as ``process_request`` of `BaseServer`, and handles the errors."""
        companion = companion_of(self)
        daemon = threading.current_thread().daemon
        owned = InThread(request, client_address, self.request_timeout, daemon)
        # Where a pool calls this it was not counted. By tokens: a subclass may pass on a wrapped request.
        token = object()
        if getattr(_counted, "companion", None) is not companion:
            companion.begin(token)
        _own.request = companion, owned
        try:
            try:
                companion.own(owned)
                if shake_hands(self, request):
                    self.finish_request(request, client_address)
            except Exception:
                self.handle_error(request, client_address)
            finally:
                self.shutdown_request(request)
        finally:
            _own.request = None, None
            owned.finish(companion.soon)
            companion.end(token)

    def process_request(self, request: Any, client_address: Any) -> None:
        """Start a thread for the request."""
        companion = companion_of(self)
        companion.limited = True
        if self.block_on_close:
            vars(self).setdefault("_threads", Threads())
        token = object()
        companion.begin(token)
        serve, args = counted(companion, self.process_request_thread, token), (request, client_address)
        if not _is_ours(self, "process_request_thread") and defers_handshake(self):
            serve = counted(companion, self.__shaken, token)
        thread: threading.Thread | None = None
        try:
            if self.reuse_threads:
                worker = self.__workers().start(partial(serve, *args), daemon=self.daemon_threads)
                if worker is not None:
                    self._threads.append(worker)
            else:
                thread = threading.Thread(target=serve, args=args)
                thread.daemon = self.daemon_threads
                with self._threads.starting:
                    self._threads.append(thread)
                    thread.start()
        except BaseException:  # no more threads can be started
            companion.end(token)
            if thread is not None:
                self._threads.discard(thread)
            raise

    def __shaken(self, request: Any, client_address: Any) -> None:
        # An override of `process_request_thread` gets a connection whose handshake is done.
        companion = companion_of(self)
        daemon = threading.current_thread().daemon
        owned = InThread(request, client_address, self.request_timeout, daemon)
        done = False
        try:
            companion.own(owned)
            done = shake_hands(self, request)
        finally:
            owned.finish(companion.soon)
            if not done:
                self.shutdown_request(request)
        if done:
            self.process_request_thread(request, client_address)

    def __workers(self) -> Workers:
        name = "_ThreadingMixIn__idle_workers"
        workers: Workers | None = vars(self).get(name)
        if workers is None or workers.pid != os.getpid():  # in a forked child none of the parent's runs
            vars(self)[name] = workers = Workers()
        return workers

    def server_close(self, grace_period: float | None = None) -> None:
        """Close the server, then wait for the threads that are no daemons, if ``block_on_close`` says so.

        Args:
          grace_period: After so many seconds the connections of requests that still run are shut down,
            those of daemons too, so that what blocks on them ends. None, the default, is the attribute of
            that name; where that is None, too, they take as long as they take, as in the standard library.
        """
        super().server_close()
        companion = companion_of(self)
        if grace_period is None:
            grace_period = self.grace_period
        if grace_period is not None:
            whose, own = getattr(_own, "request", (None, None))
            if own is not None and whose is companion:
                own.wait_no_more()  # a handler closes its server: it would wait for itself
            companion.end_requests(grace_period)
        workers: Workers | None = vars(self).get("_ThreadingMixIn__idle_workers")
        if workers is not None:
            workers.close()
        self._threads.join()
        companion.stop_if_idle()


def counted(
    companion: Companion, serve: Callable[[Any, Any], object], token: object
) -> Callable[[Any, Any], None]:
    """``serve``, after which the request counts no longer: also where a subclass has replaced it."""

    def process_request_thread(request: Any, client_address: Any) -> None:  # a thread is named after it
        _counted.companion = companion
        try:
            serve(request, client_address)
        finally:
            _counted.companion = None
            companion.end(token)

    return process_request_thread


def defers_handshake(server: Any) -> bool:
    """Whether connections of this server are accepted without a handshake."""
    ssl = sys.modules.get("ssl")
    if ssl is None or not isinstance(getattr(server, "socket", None), ssl.SSLSocket):
        return False
    return (
        getattr(server, "defer_handshake", False)
        and server.socket.do_handshake_on_connect
        and getattr(server.socket.accept, "__func__", None) is ssl.SSLSocket.accept  # not overridden
        and _is_ours(server, "get_request", "verify_request", "process_request")
    )


def _is_ours(server: Any, *names: str) -> bool:
    """Whether these methods are those of this package."""
    package = __name__.rpartition(".")[0]
    functions: Iterable[Any] = (getattr(getattr(server, name), "__func__", None) for name in names)
    return all(getattr(function, "__module__", "").rpartition(".")[0] == package for function in functions)


def accept_deferred(listener: Any) -> tuple[socket.socket, Any]:
    """What ``SSLSocket.accept`` does, but the handshake."""
    connection, address = socket.socket.accept(listener)
    try:
        wrapped = listener.context.wrap_socket(
            connection,
            server_side=True,
            do_handshake_on_connect=False,
            suppress_ragged_eofs=listener.suppress_ragged_eofs,
        )
    except BaseException:
        connection.close()
        raise
    return wrapped, address


def shake_hands(server: Any, request: Any) -> bool:
    """Make up for a handshake that was deferred; false when it fails: the client is dropped, in silence."""
    if not defers_handshake(server) or request.version() is not None:
        return True
    connection: ssl.SSLSocket = request
    timeout = connection.gettimeout()
    try:
        connection.settimeout(server.handshake_timeout)
        connection.do_handshake()
        connection.settimeout(timeout)
    except OSError:
        return False
    return True
