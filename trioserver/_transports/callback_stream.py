"""A connection that is served in place: its handler is called, without a task of its own."""

from __future__ import annotations

import contextvars
import errno
import os
import select
import socket
from typing import TYPE_CHECKING, Any, Final

import trio

from .._vocabulary.errors import StreamTimeout
from .._vocabulary.options import check_seconds
from .._vocabulary.reports import Timeout
from .callback_link import LINK_SLOTS, closed_error, refuse_result
from .callback_socket import CallbackSocket
from .stream import DRAINING, LOOKED, NO_DRAIN, RECEIVE_BYTES

if TYPE_CHECKING:
    from collections.abc import Callable

    from .callback_link import Callee
    from .callback_poller import CallbackPoller
    from .deadlines import DeadlineWatch

_NEVER: Final = float("inf")
_NOBODY: Any = None


def _ignore(stream: CallbackStream, events: int) -> None:
    """For a connection that is over."""


class CallbackStream(CallbackSocket):
    """A connected socket of the kernel's, its handler, and what is to be done for it.

    It is the handler's ``self.request``. Sending and receiving is the business of the server, which calls
    the handler; the methods for that raise RuntimeError.

    Args:
      poller: What tells when it is ready.
      watch: What makes `timeout` work.
      on_over: Called when the handler has finished, with the stream and what went wrong.
      sock: The socket; the stream owns it and closes it.
    """

    __slots__ = (
        *LINK_SLOTS,
        "_blocked",
        "_fd",
        "_over",
        "_poller",
        "_pushed",
        "_scheduled",
        "_timed_out",
        "_watch",
        "attention",
        "cancelled",
        "context",
        "deadline",
        "on_over",
        "ready",
        "record",
        "watched_until",
    )

    def __init__(
        self,
        poller: CallbackPoller,
        watch: DeadlineWatch,
        on_over: Callable[[CallbackStream, BaseException | None], None],
        sock: socket.socket,
    ) -> None:
        sock.setblocking(False)
        self._reset()
        # Not all that `RequestStream` has: nobody looks for an input buffer here.
        self.bytes_received = self.bytes_sent = 0
        self.end_of_stream = False
        self._draining = NO_DRAIN
        self.timeouts = ()
        self.record: Any = None
        self.cancelled = False
        self.deadline: float = _NEVER
        self.watched_until: float = _NEVER
        self.on_over = on_over
        self.ready: Callable[[CallbackStream, int], None] = CallbackStream._receive
        self.context = contextvars.copy_context()  # as a task would have it: what it sets is this handler's
        self._socket = sock
        self._fd = sock.fileno()
        self._poller = poller
        self._watch = watch
        self._closed = False
        self._over = False
        self.attention = False  # whether something was asked for beside the calls
        self._scheduled = False
        self._blocked = False  # whether the kernel has no room for what is unsent
        self._pushed = False
        self._timed_out = False
        self._timeout = self._peer_error = None
        self._lingering = False
        self._calling = True  # what a constructor writes waits for `begin`, as there may be no room for it

    # What the engine does.

    @trio.lowlevel.enable_ki_protection
    def begin(self, handler: Callee) -> None:
        """Begin to watch the socket, and set the handler up. To be called by `CallbackPoller.call`."""
        self.handler = handler
        if not self._closed:
            self._poller.add(self._fd, self)
        self._calling = True
        if self.handler.timeout is not None:
            self.timeout = self.handler.timeout
        self.call_setup()
        self._calling = False
        if self.unsent:
            self._flush()

    @trio.lowlevel.enable_ki_protection
    def fail(self, error: BaseException | None) -> None:
        """Serve no more: let the handler finish, and tell what was the matter."""
        if self._over:
            return
        self._over = self.ending = self._calling = True
        self.deadline = _NEVER
        self._poller.current = self
        try:
            self.context.run(
                self.call_finish, None if self._peer_error is None and not self._closed else self._broken
            )
        except BaseException as exc:
            exc.__context__ = exc.__context__ or error
            error = exc
        self._calling = False
        self._poller.forget(self._fd, self)
        self.ready, self.handler = _ignore, _NOBODY  # no cycles
        self.on_over(self, error)

    # Calls. Ctrl-C may strike here: then it is an exception of the handler's.

    @trio.lowlevel.disable_ki_protection
    def _receive(self, events: int = 0) -> None:
        """Receive, call the handler, send what it has written: every request's path, written out flat."""
        if self.more or self.ending:
            return  # it has its turn, and what comes after it waits in the kernel; or another has closed it
        try:
            data = self._socket.recv(RECEIVE_BYTES)
        except BlockingIOError:
            return
        except OSError as error:
            self._lose(error)
            return
        if self._timeout is not None:
            self._put_off()
        self._calling = True
        if not data:
            self._receive_end()
            return
        size = len(data)
        self.bytes_received += size
        if size == RECEIVE_BYTES:
            self._poller.more_input = True
        handler = self.handler
        delimiter = handler.delimiter
        # The short way: any chunk, or one line and nothing else.
        if self._partial is None and (
            delimiter is None
            or ((end := data.find(delimiter)) >= 0 and end + len(delimiter) == size <= self._max_line)
        ):
            result = handler.data_received(data)
            if result is not None:
                refuse_result(result, "data_received")
        else:
            self.feed(data)
            if self.more:
                self._poller.leave(self)
        self._calling = False
        if self.unsent:
            self._flush()

    def _receive_end(self) -> None:
        self.end_of_stream = True
        self.feed_end()
        self._calling = False
        if self.unsent:
            self._flush()
        if not self.ending and not self._blocked:
            self._watch_for_end()

    def _watch_for_end(self) -> None:
        self._poller.modify(self._fd, 0)  # or the end would be told for ever
        self.ready = CallbackStream._lose_peer

    def _lose_peer(self, events: int) -> None:
        """After its end, only a reset of the connection is told."""
        number = self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) or errno.ECONNRESET
        self._lose(OSError(number, os.strerror(number)))

    @trio.lowlevel.disable_ki_protection
    def go_on(self) -> None:
        """Handle what was left the last time."""
        if self.more and not (self._over or self._blocked):
            self._calling = True
            self.feed(b"")
            self._calling = False
            if self.more:
                self._poller.leave(self)
            if self.unsent:
                self._flush()

    # Sending.

    @trio.lowlevel.enable_ki_protection
    def _flush(self) -> None:
        """Send what was written; where there is no room wait for that, and read nothing meanwhile (P9)."""
        out, self._out = self._out, None  # as `_take_out`, written out
        data = out[0] if out is not None and len(out) == 1 else b"".join(out or ())
        try:
            sent = self._socket.send(data)
        except BlockingIOError:
            sent = 0
        except OSError as error:
            self.unsent = 0
            self._lose(error)
            return
        self.bytes_sent += sent
        self.unsent = unsent = len(data) - sent
        if unsent:
            self._out = [memoryview(data)[sent:]]
            if not self._blocked:
                self._blocked = True
                if not self._over:
                    self._poller.modify(self._fd, select.EPOLLOUT)
                    self.ready = CallbackStream._send_more
            if sent and self._timeout is not None:
                self._put_off()

    def _send_more(self, events: int) -> None:
        """There is room again."""
        self._flush()
        if self.unsent or self._peer_error is not None:
            return
        self._blocked = False
        if self._timeout is not None:
            self._put_off()  # it has taken the end of a reply: its next request is another wait
        if self.end_of_stream:
            self._watch_for_end()
        else:
            self._poller.modify(self._fd, select.EPOLLIN)
            self.ready = CallbackStream._receive
        self.attention = self.attention or self._draining > NO_DRAIN
        if self.more:
            self.go_on()

    @trio.lowlevel.enable_ki_protection
    def _push(self) -> None:
        if self._blocked or self._pushed or self._over:
            return
        if self._poller.in_turn:
            self._pushed = True
            self._poller.pushed(self)
        else:
            self.flush_pushed()

    def _send_what_fits(self) -> None:
        # In the handler's constructor it is too early: the rest could not wait for room yet.
        if not self._blocked and self._poller.watches(self._fd, self):
            self._flush()

    def flush_pushed(self) -> None:
        """Send what others have written."""
        self._pushed = False
        if self.unsent and not (self._blocked or self._over):
            self._flush()
            if self._draining:
                self._attend_soon()

    @trio.lowlevel.enable_ki_protection
    def _lose(self, error: OSError) -> None:
        """The peer is gone."""
        if self._peer_error is None:
            # Its traceback has frames that have this stream: a cycle, for each client that resets (P9).
            self._peer_error = error.with_traceback(None)
        self._attend_soon()

    # What was asked for beside the calls.

    @trio.lowlevel.enable_ki_protection
    def _attend_soon(self) -> None:
        self.attention = True
        if not (self._poller.current is self or self._scheduled or self._over):
            self._scheduled = True
            self._poller.changed(self)

    def attend(self) -> None:
        """See what was asked for, in the poller's turn."""
        self._scheduled = False
        if self._over:
            return
        if self.cancelled or self._closed or self.ending:
            self.fail(None)
        elif self._peer_error is not None:
            self.fail(self._broken())
        elif self._timed_out:
            self._time_out()
        elif self._draining:
            self._drain()
        else:
            self.attention = False

    def _drain(self) -> None:
        """End unless something is begun; what has arrived already is answered."""
        self.attention = False
        if not (self._draining == LOOKED or self.unsent or self.more or self.end_of_stream):
            self._draining = LOOKED
            self._poller.call(self, self._receive)
        if not self._over:
            if self.in_between:
                self.fail(None)
            else:
                self.attention = True

    def cancel(self) -> None:
        """End soon, for `Request.cancel`."""
        self.cancelled = True
        self._attend_soon()

    def cancel_now(self) -> None:
        """End at once: the server does."""
        self.cancelled = True
        self.fail(None)

    def begin_drain(self) -> None:
        """Tell the stream that its server drains."""
        self._draining = self._draining or DRAINING
        self._attend_soon()

    def busy_changed(self) -> None:
        """The handler's ``busy`` was set."""
        if self._timeout is not None:
            self._put_off()
        if self._draining:
            self._attend_soon()

    # Timeouts.

    @property
    def timeout(self) -> float | None:
        """Seconds that one wait for the peer may take; ``None``, the default, is no bound."""
        return self._timeout

    @timeout.setter
    def timeout(self, seconds: float | None) -> None:
        check_seconds("timeout", seconds, none="no bound")
        self._timeout = seconds
        self._put_off()

    def _put_off(self) -> None:
        """The peer did something: its time begins anew."""
        if self._timeout is None or self._over or self._closed:  # closed, nobody would take it out again (P9)
            self.deadline = _NEVER
            return
        self.deadline = trio.current_time() + self._timeout
        if self.deadline < self.watched_until:
            self._watch.add(self, self.deadline)

    def interrupt(self) -> None:
        """The deadline has come."""
        self._timed_out = True
        self._attend_soon()

    def _time_out(self) -> None:
        self._timed_out = self.attention = False
        timeout = self._timeout
        if timeout is None or trio.current_time() < self.deadline:
            self._put_off()  # something has come meanwhile
        elif self.waits_for_peer:
            self.note_timeout(Timeout.WAIT)
            self.fail(StreamTimeout(timeout))
        elif self.in_between:
            self.note_timeout(Timeout.IDLE)
            self.fail(None)
        else:
            self._put_off()  # the peer waits for the handler
        if self._draining and not self._over:
            self._drain()  # it may have begun in the same moment

    # The end.

    @trio.lowlevel.enable_ki_protection
    def close(self) -> None:
        """Close at once and without waiting."""
        if not self._closed:
            self._closed = self.ending = True  # nothing more is received, and what is unsent is dropped
            self._refusal = closed_error
            self._out = None
            self.unsent = 0
            self._poller.forget(self._fd, self)
            if self._lingering:
                trio.lowlevel.notify_closing(self._socket)
            self._socket.close()
            if self.watched_until < _NEVER:
                self._watch.discard(self)
            if not self._over:
                self._attend_soon()

    @property
    def idle(self) -> bool:
        """Whether nothing is begun."""
        return self.set_up and self.in_between
