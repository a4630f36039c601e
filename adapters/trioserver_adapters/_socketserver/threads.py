"""`ThreadingMixIn`: each request in a thread, which trio owns."""

from __future__ import annotations

import contextlib
import socket
import sys
import threading
from functools import partial
from typing import TYPE_CHECKING, Any

from .companion import companion_of
from .owner import InThread
from .process import this_process
from .workers import Workers

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Iterable

    from .base import BaseServer
    from .companion import Companion

    _Base = BaseServer
else:
    _Base = object  # a plain class, as in the standard library


_current = threading.local()
"""Has ``served``, what this thread serves: a companion, its request, and what it has served before that."""


class Threads(list[threading.Thread]):
    """The threads to wait for; those that have ended are dropped now and then.

    Attributes:
      starting: Held from the moment that a thread is kept until it has started: only then it can be joined,
        and `server_close` may be called in another thread meanwhile.
    """

    def __init__(self) -> None:
        super().__init__()
        self._renew()

    def _renew(self) -> None:
        self._process = this_process()
        self._starting = threading.RLock()  # a signal handler may close the server, too

    @property
    def starting(self) -> Any:
        """The lock; in a forked child another one, since a thread that is not there may hold the parent's."""
        if self._process is not this_process():
            self._renew()
            self.clear()  # none of the parent's runs here
        return self._starting

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
        super().__setattr__(name, value)
        if name == "max_requests":
            companion_of(self).wake()

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """What a thread does: as ``process_request`` of `BaseServer`, and handles the errors."""
        companion = companion_of(self)
        whose, owned, _ = getattr(_current, "served", None) or (None, None, None)
        if owned is None or owned.taken or whose is not companion:  # a pool calls this: it was not counted
            owned = self.__count(companion, client_address, threading.current_thread().daemon)
            serve(companion, owned, self.__serve, request, client_address)
        else:
            self.__serve(request, client_address)

    def __serve(self, request: Any, client_address: Any) -> None:
        try:
            self.__own(request).taken = True
            if shake_hands(self, request):
                self.finish_request(request, client_address)
        except Exception:
            self.handle_error(request, client_address)
        finally:
            self.shutdown_request(request)

    def __shake_hands_and_serve(self, request: Any, client_address: Any) -> None:
        # An override of `process_request_thread` gets a connection whose handshake is done.
        done = False
        try:
            self.__own(request)
            done = shake_hands(self, request)
        finally:
            if not done:
                self.shutdown_request(request)
        if done:
            self.process_request_thread(request, client_address)

    def __own(self, request: Any) -> InThread:
        """Let trio own what this thread serves; a subclass may have wrapped the request meanwhile."""
        companion, owned, _ = _current.served
        known = owned.begun
        owned.begin(request)
        if not known:
            companion.own(owned)
        served: InThread = owned
        return served

    def __count(self, companion: Companion, client_address: Any, daemon: bool) -> InThread:
        owned = InThread(client_address, self.request_timeout, daemon)
        companion.begin(owned)
        return owned

    def process_request(self, request: Any, client_address: Any) -> None:
        """Start a thread for the request."""
        companion = companion_of(self)
        companion.limited = True
        daemon = self.daemon_threads
        if self.block_on_close and "_threads" not in vars(self):
            vars(self).setdefault("_threads", Threads())  # of two loops one wins
        owned = self.__count(companion, client_address, daemon)
        function = self.process_request_thread
        if getattr(function, "__func__", None) is not _process_request_thread and defers_handshake(self):
            function = self.__shake_hands_and_serve

        def process_request_thread(request: Any, client_address: Any) -> None:  # a thread is named after it
            serve(companion, owned, function, request, client_address)

        thread: threading.Thread | None = None
        try:
            # Here, and not in its thread: `server_close` may come before that does, and an override need not
            # call ours.
            owned.begin(request)
            companion.own(owned)
            if self.reuse_threads:
                work = partial(process_request_thread, request, client_address)
                worker = self.__workers().start(work, daemon=daemon)
                if worker is not None:
                    self._threads.append(worker)
            else:
                thread = threading.Thread(
                    target=process_request_thread, args=(request, client_address), daemon=daemon
                )
                with self._threads.starting:
                    self._threads.append(thread)
                    thread.start()
        except BaseException:  # no more threads can be started
            owned.finish(companion.soon)
            companion.end(owned)
            if thread is not None:
                self._threads.discard(thread)
            raise

    def __workers(self) -> Workers:
        name = "_ThreadingMixIn__idle_workers"
        workers: Workers | None = vars(self).get(name)
        if workers is None or workers.process is not this_process():  # none of a parent's runs here
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
            served = getattr(_current, "served", None)
            while served is not None:
                whose, owned, served = served
                if whose is companion:
                    owned.wait_no_more()  # a handler closes its server: it would wait for itself
            companion.end_requests(grace_period)
        workers: Workers | None = vars(self).get("_ThreadingMixIn__idle_workers")
        if workers is not None:
            workers.close()
        self._threads.join()
        companion.stop_if_idle()


_process_request_thread = ThreadingMixIn.process_request_thread


def serve(
    companion: Companion,
    owned: InThread,
    function: Callable[[Any, Any], object],
    request: Any,
    client_address: Any,
) -> None:
    """Serve a request that was counted; then it counts no longer, also where a subclass serves it."""
    before = getattr(_current, "served", None)
    _current.served = companion, owned, before
    try:
        function(request, client_address)
    finally:
        _current.served = before
        owned.finish(companion.soon)
        companion.end(owned)


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
