"""`CallbackRequestHandler`: plain functions, which are called when there is something for them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Generic

from .._transports.callback_link import CallbackLink
from .._transports.callback_task import CallbackTask
from .._transports.reader import DEFAULT_MAX_LINE_BYTES
from .._transports.stream import RequestStream
from .base import BaseRequestHandler

if TYPE_CHECKING:
    from collections.abc import Generator

    from _typeshed import ReadableBuffer
    from typing_extensions import TypeVar

    from .._servers.base import BaseServer
    from .._vocabulary.reports import Timeout

    ServerT = TypeVar("ServerT", bound=BaseServer[Any], default=BaseServer[Any])

    # It is a BaseRequestHandler. But a checker would then refuse methods that are a plain ``def`` here, since
    # those of that class are async; so to a checker it is a class beside that one.
    class _Base(Generic[ServerT]):
        request: RequestStream
        client_address: Any
        server: ServerT

        def __await__(self) -> Generator[Any, Any, None]: ...

else:
    from typing import TypeVar

    ServerT = TypeVar("ServerT")
    _Base = BaseRequestHandler[RequestStream, ServerT]


class CallbackRequestHandler(_Base[ServerT]):
    r"""A handler for stream servers that never waits: its methods are plain functions, called in place.

    ::

        class Echo(trioserver.CallbackRequestHandler):
            delimiter = b"\n"

            def data_received(self, data):
                self.write(data)

    There is no task for each connection: one task of the server's calls the methods of all of them, whenever
    there is something for them. An answer takes about half the time that it takes with a task, an idle
    connection a third of the memory (measured). The price: they *must not block*, since nothing else in the
    program runs meanwhile, and what was begun has to be kept in attributes. It suits answers that are in
    memory: a cache, a counter, a proxy's health checks. Where an answer has to be waited for,
    `StreamRequestHandler` is simpler.

    All else is as for other handlers: the connections are requests that are counted, limited, timed, listed
    in ``server.requests``, cancelled alone, drained and closed by the same engine; an exception ends one of
    them and no other; each has its own context variables. ``trio.lowlevel.current_task()`` is the server's
    task for all.

    The name `data_received` is that of asyncio's and Twisted's protocols for just this: a part of what a
    connection carries. ``handle`` stays what it is in ``socketserver``, which serves a whole request. And a
    reply is written, not returned: so there is one way for none, one or several, now or later.

    In order: `setup`; `data_received`, any number of times; `eof_received` where the client ends first;
    `finish`.

    Where the connection does not wait in an epoll of the server's own (over TLS, with ``portable_io``, on
    other systems than Linux, on a simulated network), or the server overrides a hook that may wait (such as
    ``verify_request``), each connection has a task, which calls the methods. Nothing else differs.

    A checker knows the type of ``self.server`` where it is named: ``CallbackRequestHandler[MyServer]``.

    Class variables, to be overridden:
      delimiter: What ends a line, if `data_received` is to get lines; None, the default: whatever came.
      max_line_bytes: The longest line, its delimiter included; 64 KiB.
      max_unsent_bytes: How much may have been written that the client has no room for yet; 1 MiB.
      timeout: Seconds that one wait for the client may take; None, the default, is no bound.

    Attributes:
      request: The connection, a `RequestStream`: to look at (``socket``, ``bytes_received``, ``bytes_sent``,
        ``timeouts``, ``closed``, ``peer_credentials()``), and not to send or receive on.
      client_address: The client's address, in the form of the address family.
      server: The server.
    """

    delimiter: bytes | None = None
    r"""What ends a line, such as ``b"\n"`` or ``b"\r\n"``: each `data_received` gets one whole line, its
    delimiter included. ``None``, the default: it gets whatever came, cut anywhere.

    May be set at any time, by `data_received` too, for what comes after what it was called with.
    """

    max_line_bytes: int = DEFAULT_MAX_LINE_BYTES
    """The longest line, its delimiter included, in bytes; 64 KiB by default (P9). With a longer one the
    connection ends, with `LimitExceeded` to ``handle_error``, which reports one line at level DEBUG."""

    max_unsent_bytes: int = 1024 * 1024
    """How much may have been written that could not be sent yet, in bytes; 1 MiB by default (P9).

    As long as the client does not read what it was sent, nothing more is read from it, and `data_received`
    is not called: so it can not make a handler that only answers write more than one answer beyond 64 KiB.
    This is the limit of that, and for what is written to clients that did not ask. A `write` that would pass
    it first sends what there is room for, and then raises `LimitExceeded`, unless nothing waits any more: a
    single piece may be longer. Set ``timeout``, or a client that never reads stays as long as it likes.
    """

    timeout: float | None = None
    """Seconds that one wait for the client may take; ``None``, the default, is no bound.

    When nothing came for so long, or nothing of what was written could be sent, the connection ends: in the
    middle of a line or of a reply with `StreamTimeout` to ``handle_error``, as in the reads and writes of a
    `StreamRequestHandler` (``Timeout.WAIT``); between two requests without an error, as after its
    ``wait_request()`` (``Timeout.IDLE``). It does not fire while the client waits for the handler, which is
    `busy`.
    """

    is_called_back: ClassVar[bool] = True
    _serves = "connections"
    _busy = False
    handle = None  # not a method of this one

    def __init__(self, request: RequestStream, client_address: Any, server: ServerT) -> None:
        # Without super().__init__(), which would be one call more for each connection.
        self.request = request
        self.client_address = client_address
        self.server = server
        link = request if isinstance(request, CallbackLink) else CallbackTask(request, server.wait_draining)
        self._link: CallbackLink = link
        link.attach(self)

    async def _serve(self) -> None:
        assert isinstance(self._link, CallbackTask)
        await self._link.serve()

    @property
    def timeouts(self) -> tuple[Timeout, ...]:
        """Which timeouts of this request have fired so far, in order, each once: for `finish` to look at."""
        return self.request.timeouts

    # To be called.

    def write(self, data: ReadableBuffer) -> None:
        """Send ``data`` to the client. Does not wait: what does not fit is sent when there is room.

        From any method, or later from anywhere in the trio thread: a push. What is written in one call, or
        in answer to several lines that came together, goes out together. Of a ``bytearray`` or ``memoryview``
        a copy is made.

        Raises:
          LimitExceeded: More than ``max_unsent_bytes`` would wait to be sent. Nothing of ``data`` is sent;
            the connection goes on, unless this error ends it.
          trio.ClosedResourceError: `close` was called, or the connection has ended.
          trio.BrokenResourceError: In `finish`: the client is gone.
        """
        self._link.write(data)

    def close(self) -> None:
        """End the connection once all that was written is sent. Closing twice is fine.

        What came and was not yet received is dropped. `finish` is called, from elsewhere a little later. The
        client gets all of the reply; see ``StreamServer.linger_timeout``. To end it at once:
        ``self.request.close()``.
        """
        self._link.end()

    @property
    def busy(self) -> bool:
        """Whether something is begun that this object does not know of: true while the handler sets it so.

        A drain ends at once each connection where nothing is: half a line, or what the client has yet to
        read. With this set it has the grace period, and ends when it is set to false, which a push may do
        that has the answer.
        """
        return self._busy

    @busy.setter
    def busy(self, busy: bool) -> None:
        self._busy = busy
        self._link.busy_changed()

    # To be overridden.

    def setup(self) -> None:
        """Called first, at once. Nothing by default. May write a greeting. If it raises, nothing else is
        called."""

    def data_received(self, data: bytes, /) -> None:
        """Called with what came: a line and its delimiter, or a chunk; see ``delimiter``. Nothing by default.

        The last line may come without a delimiter, where the client has closed its half in the middle of it.

        What it raises ends this connection, as with any handler: `finish`, ``handle_error``, and what was
        written before is still sent.
        """

    def eof_received(self) -> None:
        """Called when the client has closed its half; a last line without a delimiter came before.

        By default it calls `close`. An override that does not may go on writing, until it does.
        """
        self.close()

    def finish(self) -> None:
        """Called last, always if `setup` succeeded: after `close`, an error, a timeout, a cancellation.

        Nothing by default. It may still write; where the request was cancelled, or a timeout has struck,
        only what fits at once is sent.
        """
