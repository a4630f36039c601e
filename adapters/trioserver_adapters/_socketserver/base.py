"""`BaseServer`: the loop that takes requests, and the steps of one."""

from __future__ import annotations

import inspect
import sys
import threading
import traceback
from typing import TYPE_CHECKING, Any, Final

import trioserver

from .._options import check_option, check_options
from .companion import companion_of
from .owner import InThread
from .process import this_process
from .waiter import Signal

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Self

    from .companion import Companion


_PACKAGE: Final = __name__.rpartition(".")[0] + "."


class BaseServer:
    """What all servers have in common: takes requests from anything with ``fileno()`` and ``get_request()``.

    As the standard library's, with the same methods to call and to override. All hooks are called in the
    thread that called `serve_forever` or `handle_request`. Any thread may call `shutdown`, `request_shutdown`
    and `server_close`.

    Class variables that may be overridden by subclasses or instances:
      timeout: How long `handle_request` waits, in seconds; None, the default, is for ever.
      request_timeout: How many seconds one request may take; None, the default, is no bound. After that its
        socket is shut down, so that what blocks on it ends; a process that serves it is terminated. Not in
        the standard library, whose ``timeout`` covers the wait for a request alone.
      forget_late_shutdown: Whether a `shutdown` after the end of `serve_forever` asks for nothing. False: as
        in the standard library it makes the next one return at once, since a thread that was just started
        may be about to call it.
    """

    timeout: float | None = None
    request_timeout: float | None = None
    forget_late_shutdown: bool = False

    def __init__(self, server_address: Any, RequestHandlerClass: Callable[[Any, Any, Self], object]) -> None:
        """Sets the two attributes. May be extended, do not override."""
        check_options(self)
        self.server_address = server_address
        self.RequestHandlerClass: Callable[[Any, Any, Any], object] = RequestHandlerClass

    def __setattr__(self, name: str, value: Any) -> None:
        check_option(self, name, value)
        super().__setattr__(name, value)

    def server_activate(self) -> None:
        """Called by the constructor to activate the server. May be overridden."""

    # Serving. The two names below are what programs know of the standard library's.

    __stop = False
    __has_served = False
    __serving_thread: int | None = None

    @property
    def __shutdown_request(self) -> bool:
        return self.__stop

    @__shutdown_request.setter
    def __shutdown_request(self, value: bool) -> None:
        self.__stop = value
        companion_of(self).wake()

    @property
    def __is_shut_down(self) -> threading.Event:
        """Set while nothing serves."""
        state: dict[str, threading.Event] = vars(self)
        if (name := "_BaseServer__idle") not in state:
            new = threading.Event()
            new.set()
            state.setdefault(name, new)
        return state[name]

    def serve_forever(self, poll_interval: float = 0.5) -> None:
        """Handle requests, one at a time, until shutdown. Ignores ``timeout``.

        Nothing polls: it waits for a request, a shutdown or the close of the server. What a signal handler
        raises, Ctrl-C too, ends it at once and is raised.

        Args:
          poll_interval: The longest time between two calls of `service_actions`, in seconds, where that is
            overridden.

        Raises:
          ValueError: The server is closed.
          BaseException: What a hook raises, see `handle_request`.
        """
        companion = companion_of(self)
        idle = self.__is_shut_down
        try:  # around all of it: Ctrl-C may come at any moment, and `shutdown` waits for the end
            idle.clear()
            self.__serving_thread = threading.get_ident()
            while True:
                with companion.needed():
                    self.__serve(companion, poll_interval)
                if companion.process is this_process():
                    break
                companion = companion_of(self)  # a hook has forked, and the child goes on
        finally:
            try:
                self.__stop = False
                self.__has_served = True
                self.__serving_thread = None
            finally:
                idle.set()
            if companion.closed:
                companion.stop_if_idle()

    def __serve(self, companion: Companion, poll_interval: float) -> None:
        if not self.__stop:
            companion.closed = False
            if (fd := self.__fileno()) < 0:
                raise ValueError(f"Invalid file descriptor: {fd}")
            companion.start()  # now, and not when there may be no descriptors left for it

        def stopping() -> bool:
            return self.__stop or companion.closed

        while not stopping() and companion.process is this_process():
            if not (ready := companion.is_ready(self.__fileno, stopping)):
                interval = poll_interval if self.__has_service_actions() else None
                signal = companion.wait_readable(self.__fileno, interval, stopping)
                if signal is Signal.WOKEN and self.__fileno() < 0:
                    break
                ready = signal is Signal.READY
            if stopping():
                break  # one that came meanwhile stays in the kernel's queue (bpo-35017)
            if ready:
                self._handle_request_noblock()
            self.service_actions()

    def __fileno(self) -> int:
        fd: int = self.fileno()  # type: ignore[attr-defined]  # of a subclass, or of the user's
        return fd

    def __has_service_actions(self) -> bool:
        """Whether it is other than ours, which need not be called while nothing happens."""
        function = getattr(self.service_actions, "__func__", None)
        return not getattr(function, "__module__", "").startswith(_PACKAGE)

    def shutdown(self) -> None:
        """Stop `serve_forever`, and wait until it has ended: at once, or after the request that it handles.

        Before `serve_forever` was ever called it returns at once, and so will that; the standard library's
        waits for that to be called. Closes nothing.

        Raises:
          WrongTask: Called in the thread that serves, by a handler or hook, it would wait for itself: call
            `request_shutdown` there. The shutdown is requested nevertheless.
        """
        own = self.__serving_thread == threading.get_ident()
        self.request_shutdown()
        if own:
            raise trioserver.WrongTask(
                "shutdown() waits for the end of serve_forever(), and was called in the thread that serves: "
                "call request_shutdown() there"
            )
        self.__is_shut_down.wait()

    def request_shutdown(self) -> None:
        """Let `serve_forever` end soon. Never waits; for any thread, handlers and signal handlers.

        Not in the standard library.
        """
        if self.forget_late_shutdown and self.__has_served and self.__is_shut_down.is_set():
            return
        self.__shutdown_request = True

    def service_actions(self) -> None:
        """Called by `serve_forever` after each request; every ``poll_interval`` where it is overridden."""

    def handle_request(self) -> Any:
        """Handle one request, or wait for one in vain: then returns what `handle_timeout` does.

        Waits for as long as the ``timeout`` of the server or that of its socket says, whichever is shorter.

        Raises:
          BaseException: What ``get_request`` raises, an OSError excepted; what `verify_request` and
            `handle_error` raise; a SystemExit, KeyboardInterrupt or the like of a handler.
        """
        timeout: float | None = self.socket.gettimeout()  # type: ignore[attr-defined]  # as in the stdlib
        if timeout is None:
            timeout = self.timeout
        elif self.timeout is not None:
            timeout = min(timeout, self.timeout)
        companion = companion_of(self)
        with companion.needed():
            signal = Signal.READY
            if not companion.is_ready(self.__fileno, lambda: False):
                signal = companion.wait_readable(self.__fileno, timeout, lambda: False)
            if signal is Signal.EXPIRED:
                return self.handle_timeout()
            if signal is Signal.READY:
                return self._handle_request_noblock()
        return None

    # One request.

    def _handle_request_noblock(self) -> Any:
        """Take a request that is there, and handle it."""
        backoff = companion_of(self).backoff
        try:
            request, client_address = self.get_request()  # type: ignore[attr-defined]  # of a subclass
        except OSError as error:
            backoff.failed(error)
            return None
        backoff.succeeded()
        if self.verify_request(request, client_address):
            try:
                self.process_request(request, client_address)
            except Exception:
                self.handle_error(request, client_address)
                self.shutdown_request(request)
            except:
                self.shutdown_request(request)
                raise
        else:
            self.shutdown_request(request)
        return None

    def handle_timeout(self) -> Any:
        """Called by `handle_request` if no request comes in time. May be overridden."""

    def verify_request(self, request: Any, client_address: Any) -> bool:
        """Whether to handle the request: true. May be overridden."""
        return True

    def process_request(self, request: Any, client_address: Any) -> None:
        """Call `finish_request`, then `shutdown_request`. Overridden by the mix-ins."""
        timeout = self.request_timeout
        if timeout is None:
            self.finish_request(request, client_address)
        else:
            companion = companion_of(self)
            owned = InThread(client_address, timeout, daemon=True)  # cut off, and not waited for
            owned.begin(request)
            companion.own(owned)
            try:
                self.finish_request(request, client_address)
            finally:
                owned.finish(companion.soon)
        self.shutdown_request(request)

    def server_close(self) -> None:
        """Called to clean up the server. May be overridden."""
        companion = companion_of(self)
        companion.close()
        companion.stop_if_idle()

    def finish_request(self, request: Any, client_address: Any) -> None:
        """Handle the request: call the handler class.

        Raises:
          TypeError: It is a handler class of trioserver's, or has to be awaited: nothing would be run.
        """
        handler_class: Any = self.RequestHandlerClass
        if isinstance(handler_class, type) and issubclass(handler_class, trioserver.BaseRequestHandler):
            raise _not_synchronous(self)
        handler = handler_class(request, client_address, self)
        if inspect.isawaitable(handler):  # and not hasattr(): a handler may have a ``__getattr__`` that acts
            if inspect.iscoroutine(handler):
                handler.close()
            raise _not_synchronous(self)

    def shutdown_request(self, request: Any) -> None:
        """Called to shut down and close a request."""
        self.close_request(request)

    def close_request(self, request: Any) -> None:
        """Called to clean up a request."""

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Report an exception of `process_request`: a traceback on ``sys.stderr``. May be overridden."""
        print("-" * 40, file=sys.stderr)
        print("Exception occurred during processing of request from", client_address, file=sys.stderr)
        traceback.print_exc()
        print("-" * 40, file=sys.stderr)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *args: object) -> None:
        self.server_close()


def _not_synchronous(server: BaseServer) -> TypeError:
    return TypeError(
        f"RequestHandlerClass {server.RequestHandlerClass!r} is no synchronous handler, and "
        f"{type(server).__name__} calls no others: serve it by a server of trioserver's, or derive it from "
        "trioserver_adapters.socketserver.BaseRequestHandler"
    )
