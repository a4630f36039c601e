"""The exceptions that trioserver raises itself, each saying whose fault it is.

    TrioServerError                      abstract: catch it, it is never raised as such
      ConfigError       (ValueError)     your arguments
      LifecycleError    (RuntimeError)   your order of calls
        ServerClosed
        AlreadyServing
        WrongTask
      TransportError                     their bytes, or the lack of them
        LimitExceeded
        IncompleteRead  (EOFError)
        StreamTimeout   (TimeoutError)
        HandshakeError
      HandlerProcessError                your handler, in a process of its own
      WorkerError                        your program, in the processes of `Workers`

What the operating system says of ``bind``, ``listen`` or ``accept`` stays the ``OSError`` it is, and a
stream raises trio's own exceptions: ``trio.BrokenResourceError`` when the peer is gone,
``trio.ClosedResourceError`` when your code closed it, ``trio.BusyResourceError`` when two of your tasks
use the same half of it at once.
"""

from __future__ import annotations

from typing import Any


class TrioServerError(Exception):
    """The base of every exception that is trioserver's own."""

    def __init__(self, *args: object) -> None:
        if type(self) is TrioServerError:
            raise TypeError("TrioServerError is abstract: raise one of its subclasses")
        super().__init__(*args)

    def __reduce__(self) -> Any:
        return _without_constructor, (type(self), self.args), self.__dict__


def _without_constructor(cls: type[TrioServerError], args: tuple[Any, ...]) -> TrioServerError:
    """Make a copy of an error in another process: the arguments of the constructors differ."""
    error = cls.__new__(cls, *args)
    error.args = args
    return error


class ConfigError(TrioServerError, ValueError):
    """An argument or option is not usable; the message names it and what would be."""


class LifecycleError(TrioServerError, RuntimeError):
    """A method was called when the server could not do what it asks."""


class ServerClosed(LifecycleError):
    """The server was closed with ``server_close()``: it can not be served again."""


class AlreadyServing(LifecycleError):
    """The server is being served by another task."""


class WrongTask(LifecycleError):
    """A request asked to wait for the end of its own server, which waits for the request."""


class TransportError(TrioServerError):
    """The peer sent what it should not have, or did not send what it should.

    ``BaseServer.handle_error`` reports these in one line at level DEBUG: a peer that misbehaves is no
    bug of the handler's and must not be able to fill a log with tracebacks.
    """


class LimitExceeded(TransportError):
    """More input came than the limit allows before what was being read was complete.

    Nothing is lost: the bytes stay in the stream's buffer and the next read returns them.

    Attributes:
      limit: The limit that was passed, in bytes.
    """

    def __init__(self, message: str, *, limit: int) -> None:
        super().__init__(message)
        self.limit = limit


class IncompleteRead(TransportError, EOFError):
    """The stream ended in the middle of what was being read.

    Attributes:
      partial: The bytes that did come, taken out of the stream's buffer.
      expected: How many bytes were asked for, or ``None`` when a separator was.
    """

    def __init__(self, partial: bytes, expected: int | None) -> None:
        wanted = "the separator" if expected is None else f"{expected} bytes"
        super().__init__(f"the stream ended after {len(partial)} bytes, before {wanted} came")
        self.partial = partial
        self.expected = expected


class StreamTimeout(TransportError, TimeoutError):
    """The peer let a read or a write wait for longer than the stream's ``timeout``.

    It is a ``TimeoutError``, as the stdlib's ``socket.timeout`` is, and a class of its own, so that a
    ``TimeoutError`` that your code raises is never taken for it.

    Attributes:
      timeout: The timeout that was reached, in seconds.
    """

    def __init__(self, timeout: float) -> None:
        super().__init__(f"the peer did nothing for {timeout:g} s")
        self.timeout = timeout


class HandshakeError(TransportError):
    """The TLS handshake with a client failed, or took longer than ``handshake_timeout``.

    The cause, ``__cause__``, is the ``ssl.SSLError``, the `StreamTimeout` or the ``trio.BrokenResourceError``
    that says more.
    """


class HandlerProcessError(TrioServerError):
    """The process that served a request did not exit with status 0.

    Attributes:
      exit_status: As ``subprocess``'s ``returncode``: negative for the signal that killed it.
      reported: Whether that is no news: the process has reported the exception itself, or it was Ctrl-C,
        which all processes of a terminal get.
    """

    def __init__(self, message: str, *, exit_status: int, reported: bool = False) -> None:
        super().__init__(message)
        self.exit_status = exit_status
        self.reported = reported


class WorkerError(TrioServerError):
    """A worker of `Workers` could not start; the message has the reason, standard error perhaps more.

    Attributes:
      exit_status: How its process ended, as ``subprocess``'s ``returncode``; ``None`` if there never was one.
    """

    def __init__(self, message: str, *, exit_status: int | None = None) -> None:
        super().__init__(message)
        self.exit_status = exit_status


for _class in [value for value in globals().values() if isinstance(value, type)]:
    _class.__module__ = "trioserver"  # so a traceback has the name by which it is caught
