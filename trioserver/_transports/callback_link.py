"""Between the calls of a handler whose methods are plain functions and the bytes of its connection: no I/O.

A `CallbackLink` cuts what came into lines and passes them to the handler, gathers what that writes, and knows
when it is done. What reads and sends is a subclass: `CallbackStream` in place, or a `CallbackTask`. So
a handler sees the same, whichever it is served by.
"""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any, Final, NoReturn, Protocol

import trio

from .._vocabulary.errors import ConfigError, LimitExceeded
from .outbox import GATHER_BYTES
from .receive_buffer import ReceiveBuffer

if TYPE_CHECKING:
    from collections.abc import Callable

    from _typeshed import ReadableBuffer

LINES_PER_TURN: Final = 64
"""Lines of one connection that are handled before others have their turn (P10).

Measured with one polite client beside four that pipeline without pause: its median latency is under half a
millisecond. With 16 it was a third shorter, and the others got half as much done.
"""


class Callee(Protocol):
    """What is called: see ``CallbackRequestHandler``, which explains each of them."""

    delimiter: bytes | None
    max_line_bytes: int
    max_unsent_bytes: int
    timeout: float | None

    @property
    def busy(self) -> bool: ...

    def setup(self) -> object: ...

    def data_received(self, data: bytes, /) -> object: ...

    def eof_received(self) -> object: ...

    def finish(self) -> object: ...


LINK_SLOTS: Final = (
    "_calling",
    "_max_line",
    "_max_unsent",
    "_out",
    "_partial",
    "_position",
    "_refusal",
    "_rest",
    "_searched",
    "_sought",
    "ending",
    "handler",
    "more",
    "set_up",
    "unsent",
)


class CallbackLink:
    """The state of a connection between two calls.

    Attributes:
      handler: What is called.
      unsent: Bytes that were written and not yet handed to the operating system.
      more: Whether input was left for the next turn.
      ending: Whether the handler has said that it is done.
      set_up: Whether ``setup`` has succeeded, so that ``finish`` is to be called.
    """

    # No literal: the slots are in the subclasses, one of which has a base with slots of its own.
    __slots__ = tuple[str, ...]()

    handler: Callee
    unsent: int
    more: bool
    set_up: bool
    _calling: bool
    _max_line: int
    _max_unsent: int
    _out: list[bytes | memoryview] | None  # what is unsent: no list where nothing is, as most often
    _refusal: Callable[[], Exception] | None  # makes what a write raises
    _rest: bytes  # where `more` is true: the input, of which all before `_position` was handled
    _position: int  # there, too
    _partial: ReceiveBuffer | None  # the beginning of a line
    _searched: int  # there: bytes of it in which no delimiter ends,
    _sought: bytes  # which was this one: the handler may have set another meanwhile

    if TYPE_CHECKING:  # a slot, but for a `CallbackTask`, which looks at its stream, too

        @property
        def ending(self) -> bool: ...

        @ending.setter
        def ending(self, ending: bool) -> None: ...

    def _reset(self) -> None:
        self.unsent = 0
        self.more = self.ending = self.set_up = self._calling = False
        self._out = self._refusal = self._partial = None

    def attach(self, handler: Callee) -> None:
        """Take a handler, and its limits: to look them up each time would show."""
        self.handler = handler
        self._max_line = handler.max_line_bytes
        self._max_unsent = handler.max_unsent_bytes

    # What the handler calls.

    def write(self, data: ReadableBuffer) -> None:
        """See ``CallbackRequestHandler.write``."""
        if type(data) is not bytes:
            data = _as_bytes(data)
        if self._refusal is not None:
            raise self._refusal()
        size = self.unsent + len(data)
        if size > self._max_unsent and self.unsent:  # what nothing waits before may be longer
            self._send_what_fits()
            size = self.unsent + len(data)
            if size > (limit := self._max_unsent) and self.unsent:
                raise LimitExceeded(f"{size} bytes would wait to be sent, and {limit} may", limit=limit)  # P9
        if not data:
            return  # or they would pile up until there is something to send (P9)
        self.unsent = size
        if self._out is None:
            self._out = [data]
        else:
            self._out.append(data)
        if not self._calling:
            self._push()

    def end(self) -> None:
        """See ``CallbackRequestHandler.close``."""
        if not self.ending:
            self.ending = True
            if self._refusal is None:
                self._refusal = closed_error
            self._attend_soon()

    def busy_changed(self) -> None:
        """The handler's ``busy`` was set: it may decide what a drain or a timeout does."""

    def _push(self) -> None:
        """Send soon what was written outside of a call of this handler."""
        raise NotImplementedError

    def _send_what_fits(self) -> None:
        """Send at once as much of what was written as there is room for."""
        raise NotImplementedError

    def _attend_soon(self) -> None:
        """Something about this connection has changed: look at it soon."""
        raise NotImplementedError

    # What the subclasses ask.

    @property
    def waits_for_peer(self) -> bool:
        """Whether something is begun that the peer has to go on with: half a line, or what it has to read."""
        return self._partial is not None or self.unsent > 0

    @property
    def in_between(self) -> bool:
        """Whether nothing is begun: a drain, or a timeout, may end the connection without a loss."""
        return not (self.waits_for_peer or self.more or self.handler.busy)

    def _take_out(self) -> bytes | memoryview:
        """All that was written, in one piece; it counts as unsent until the subclass says otherwise."""
        out, self._out = self._out, None
        return out[0] if out is not None and len(out) == 1 else b"".join(out or ())

    # Calling, where Ctrl-C may strike: what it interrupts is an exception of the handler's.

    @trio.lowlevel.disable_ki_protection
    def call_setup(self) -> None:
        """Set the handler up."""
        result = self.handler.setup()
        if result is not None:
            refuse_result(result, "setup")
        self.attach(self.handler)  # it may have set other limits
        self.set_up = True

    @trio.lowlevel.disable_ki_protection
    def feed(self, data: bytes) -> None:
        """Pass on what was received; or, where there is `more`, what was left."""
        handler = self.handler
        delimiter = handler.delimiter
        if delimiter is None and not self.more and self._partial is None:
            result = handler.data_received(data)
            if result is not None:
                refuse_result(result, "data_received")
        else:
            self._feed_lines(data)

    def _feed_lines(self, data: bytes) -> None:
        handler = self.handler
        lines = LINES_PER_TURN
        position = 0
        if self.more:
            data, position = self._rest, self._position
            del self._rest
            self.more = False
        elif (partial := self._partial) is not None:
            partial.append(data)
            first = self._take_first(partial)
            if first is None:
                return
            data = partial.take(partial.size)
            self._partial = None
            lines -= 1
            result = handler.data_received(first)
            if result is not None:
                refuse_result(result, "data_received")
        end_of_data = len(data)
        while position < end_of_data and not self.ending:
            if not lines or self.unsent >= GATHER_BYTES:
                self._rest, self._position, self.more = data, position, True
                return
            lines -= 1
            delimiter = handler.delimiter
            if delimiter is None:
                line = data[position:]
                position = end_of_data
            else:
                if not delimiter:
                    raise ConfigError("delimiter must be at least one byte, or None")
                end = data.find(delimiter, position, position + self._max_line)
                if end < 0:
                    self._keep(data[position:], delimiter)
                    return
                end += len(delimiter)
                line = data[position:end]
                position = end
            result = handler.data_received(line)
            if result is not None:
                refuse_result(result, "data_received")

    def _keep(self, data: bytes, delimiter: bytes) -> None:
        """Keep the beginning of a line."""
        self._partial = partial = ReceiveBuffer()
        partial.append(data)
        self._searched = 0
        self._sought = delimiter
        self._check_partial(partial, delimiter)

    def _take_first(self, partial: ReceiveBuffer) -> bytes | None:
        """The line that was begun, if it is complete now."""
        delimiter = self.handler.delimiter
        if delimiter is None:
            return partial.take(partial.size)
        if delimiter != self._sought:
            self._searched = 0
            self._sought = delimiter
        line = partial.take_until(delimiter, self._max_line, self._searched)
        if line is None:
            self._check_partial(partial, delimiter)
        self._searched = 0 if line is not None else max(0, partial.size - len(delimiter) + 1)
        return line

    def _check_partial(self, partial: ReceiveBuffer, delimiter: bytes) -> None:
        if partial.size >= (limit := self._max_line):
            raise LimitExceeded(f"no {delimiter!r} in the first {limit} bytes", limit=limit)  # P9

    @trio.lowlevel.disable_ki_protection
    def feed_end(self) -> None:
        """Pass on that the peer has closed its half, after what came before."""
        partial, self._partial = self._partial, None
        if partial is not None and not self.ending:
            last = self.handler.data_received(partial.take(partial.size))
            if last is not None:
                refuse_result(last, "data_received")
        if not self.ending:
            result = self.handler.eof_received()
            if result is not None:
                refuse_result(result, "eof_received")

    @trio.lowlevel.disable_ki_protection
    def call_finish(self, refusal: Callable[[], Exception] | None) -> None:
        """Let the handler finish, once, if it was set up; it may still write if there is no refusal."""
        self.ending = True
        self._refusal = refusal
        try:
            if self.set_up:
                self.set_up = False
                result = self.handler.finish()
                if result is not None:
                    refuse_result(result, "finish")
        finally:
            self._refusal = closed_error  # a bound method would be a cycle


def _as_bytes(data: ReadableBuffer) -> bytes:
    if isinstance(data, (bytes, bytearray, memoryview)):
        return bytes(data)
    raise TypeError(f"a bytes-like object is required, not {type(data).__name__!r}")


def closed_error() -> Exception:
    return trio.ClosedResourceError("this connection was closed")


def refuse_result(result: Any, method: str) -> NoReturn:
    """Raise TypeError for what a method has returned: it was no plain function, or means something else."""
    if inspect.iscoroutine(result):
        result.close()
    raise TypeError(
        f"{method}() returned {result!r}: the methods of a callback handler are plain functions, which do "
        "not wait and return None; to reply, call self.write()"
    )
