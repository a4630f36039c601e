"""`ThreadingMixIn`: each request in a thread, which trio owns."""

from __future__ import annotations

import socket
import sys
import threading
from functools import partial
from typing import TYPE_CHECKING, Any

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


class Threads(list[threading.Thread]):
    """The threads to wait for; those that have ended are dropped now and then."""

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
        threads, self[:] = self[:], []
        for thread in threads:
            thread.join()


class NoThreads:
    """In their place where none is waited for."""

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
      reuse_threads: Whether a thread goes on to serve other requests, which makes short connections much
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
        daemon = threading.current_thread().daemon
        owned = InThread(request, client_address, self.request_timeout, daemon)
        companion.begin(id(request))  # where a pool calls this it was not
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
            owned.finish(companion.soon)
            companion.end(id(request))

    def process_request(self, request: Any, client_address: Any) -> None:
        """Start a thread for the request."""
        companion = companion_of(self)
        companion.limited = True
        if self.block_on_close:
            vars(self).setdefault("_threads", Threads())
        companion.begin(id(request))
        serve, args = counted(companion, self.process_request_thread), (request, client_address)
        thread: threading.Thread | None = None
        try:
            if self.reuse_threads:
                worker = self.__workers().start(partial(serve, *args), daemon=self.daemon_threads)
                if worker is not None:
                    self._threads.append(worker)
            else:
                thread = threading.Thread(target=serve, args=args)
                thread.daemon = self.daemon_threads
                self._threads.append(thread)
                thread.start()
        except BaseException:  # no more threads can be started
            companion.end(id(request))
            if thread is not None:
                self._threads.discard(thread)
            raise

    def __workers(self) -> Workers:
        workers: Workers = vars(self).setdefault("_ThreadingMixIn__idle_workers", Workers())
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
            companion.end_requests(grace_period)
        workers: Workers | None = vars(self).get("_ThreadingMixIn__idle_workers")
        if workers is not None:
            workers.close()
        self._threads.join()
        companion.stop_if_idle()


def counted(companion: Companion, serve: Callable[[Any, Any], object]) -> Callable[[Any, Any], None]:
    """``serve``, after which the request counts no longer: also where a subclass has replaced it."""

    def process_request_thread(request: Any, client_address: Any) -> None:  # a thread is named after it
        try:
            serve(request, client_address)
        finally:
            companion.end(id(request))  # which is still there, or another one could have its `id` by now

    return process_request_thread


def defers_handshake(server: Any) -> bool:
    """Whether connections of this server are accepted without a handshake."""
    ssl = sys.modules.get("ssl")
    if ssl is None or not isinstance(getattr(server, "socket", None), ssl.SSLSocket):
        return False
    return (
        getattr(server, "defer_handshake", False)
        and server.socket.do_handshake_on_connect
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
