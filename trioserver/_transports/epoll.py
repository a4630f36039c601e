"""A faster way to wait, on Linux: an epoll of our own inside trio's.

trio registers a socket anew for each wait. Here each connection is registered once, edge-triggered, with an
epoll instance whose own descriptor trio waits for. That saves a system call and four coroutines for each
wait, which is a third of the cost of answering a short request, and a kilobyte for each idle connection.

It uses public trio alone: the connections' tasks sleep in ``wait_task_rescheduled``; an instrument looks
at the inner epoll after each of trio's I/O waits, so that tasks whose sockets are ready run in that very
turn; and a task waits for the inner epoll's descriptor, so that trio wakes up for it.

What edge-triggering asks for: an event says that something *has become* so, once. So an event for which
nobody waits is remembered until somebody does, who may then look in vain and wait again; and a closed half is
remembered for good, since it comes only once, often together with the last bytes.
"""

from __future__ import annotations

import contextlib
import select
import sys
from typing import TYPE_CHECKING, Any

import trio

from .busy_polling import BusyPolling
from .endpoint import KernelEndpoint

if TYPE_CHECKING:
    import socket
    from collections.abc import Awaitable

    from _typeshed import ReadableBuffer

AVAILABLE = sys.platform == "linux"

if AVAILABLE:
    _ENDED = select.EPOLLRDHUP | select.EPOLLHUP | select.EPOLLERR
    _READABLE = select.EPOLLIN | select.EPOLLPRI | _ENDED
    _WRITABLE = select.EPOLLOUT | select.EPOLLHUP | select.EPOLLERR
    _URGENT = select.EPOLLPRI
    _INPUT = select.EPOLLIN | select.EPOLLOUT  # the kernel tells of room to send along with each event
    _INTEREST = select.EPOLLPRI | select.EPOLLIN | select.EPOLLOUT | select.EPOLLRDHUP | select.EPOLLET
_MAX_EVENTS = 4096
_IN_VAIN = 2
"""How often a socket may tell of input for which nobody waits, before it is no longer watched.

A peer that sends faster than it is read, or to a handler that does something else, would wake trio for each
packet: much data took 1.4 times as long (measured). Whoever waits next has the socket watched again, and the
kernel tells at once what is so by then: nothing is lost.
"""


class _Woken:
    """What a woken task is resumed with: nothing, as ``outcome.Value(None)``, of which each can be used but
    once; to make a new one for each wake-up takes an eighth of the time of a short request (measured)."""

    __slots__ = ()

    def unwrap(self) -> None:
        """Called by ``wait_task_rescheduled``, in the task."""


class _Interrupted:
    """What an interrupted task is resumed with, as ``outcome.Error``."""

    __slots__ = ()

    def unwrap(self) -> None:
        """Called by ``wait_task_rescheduled``, in the task."""
        raise trio.ClosedResourceError("this socket was closed, or its wait interrupted")


_WOKEN: Any = _Woken()
_INTERRUPTED: Any = _Interrupted()


class EpollEndpoint(KernelEndpoint):
    """A connected socket whose waiting goes through a `Poller`."""

    __slots__ = (
        "_closed",
        "_ended",
        "_poller",
        "_reader",
        "_watched",
        "_writable",
        "_writer",
    )

    def __init__(self, sock: socket.socket, poller: Poller, *, short_means_empty: bool = True) -> None:
        super().__init__(sock)
        # False where a receive may stop early: at a descriptor that is passed, at urgent data. What is
        # behind that came in the same event, and there would not be another one for it.
        self.short_means_empty = short_means_empty
        self._poller = poller
        self._watched = 0  # whether it is in the poller; then one more than it has told of input in vain
        self._closed = False
        self._reader: trio.lowlevel.Task | None = None
        self._writer: trio.lowlevel.Task | None = None
        self._ended = False
        self._writable = True  # until the kernel says otherwise: so it stays when nobody sends

    # What the two below find out makes all earlier events old news, since events are only looked at between
    # the turns of tasks: whatever happens from here on is a new event.

    def found_empty(self) -> None:
        """Note that a receive found nothing."""
        # So an end that was seen was another socket's; see `Poller.forget`.
        self.readable = self._ended = False

    def found_full(self) -> None:
        """Note that a send found no room."""
        self._writable = False

    def recv_nowait(self, max_bytes: int) -> bytes:
        """Receive at most so many bytes."""
        try:
            data = self.socket.recv(max_bytes)
        except BlockingIOError:
            self.found_empty()
            raise
        if len(data) < max_bytes and self.short_means_empty:
            self.readable = False
        return data

    def send_nowait(self, data: ReadableBuffer) -> int:
        """Send what fits."""
        try:
            return self.socket.send(data)
        except BlockingIOError:
            self.found_full()
            raise

    # Plain functions that return what is to be awaited, since each coroutine between a handler and trio costs
    # every idle connection a fifth of a kilobyte, and every wait a little time. Between the call and the
    # await there is a waiter that does not sleep yet: so they are called where Ctrl-C does not strike.

    @trio.lowlevel.enable_ki_protection
    def wait_readable(self) -> Awaitable[None]:
        """Wait until a receive would do something."""
        if self.readable or self._ended:
            self.readable = False
            if self._watched > 1:
                self._watched -= 1  # it was not in vain
            return trio.lowlevel.checkpoint()  # noqa: ASYNC105
        if self._closed:
            raise trio.ClosedResourceError("this socket was closed")
        if self._reader is not None:
            raise trio.BusyResourceError("another task is receiving on this socket")
        if not self._watched:
            self._poller.register(self)
            self._watched = 1
        self._reader = trio.lowlevel.current_task()
        return trio.lowlevel.wait_task_rescheduled(self)  # noqa: ASYNC105

    @trio.lowlevel.enable_ki_protection
    def wait_writable(self) -> Awaitable[None]:
        """Wait until a send would do something."""
        if self._writable:
            return trio.lowlevel.checkpoint()  # noqa: ASYNC105
        if self._closed:
            raise trio.ClosedResourceError("this socket was closed")
        if self._writer is not None:
            raise trio.BusyResourceError("another task is sending on this socket")
        if not self._watched:
            self._poller.register(self)
            self._watched = 1
        self._writer = trio.lowlevel.current_task()
        return trio.lowlevel.wait_task_rescheduled(self._abort_write)  # noqa: ASYNC105

    def __call__(self, _: Any) -> trio.lowlevel.Abort:
        """Give up waiting to read: trio calls this when the waiting task is cancelled.

        It is what a bound method would be called for; each idle connection would have to keep one.
        """
        self._reader = None
        return trio.lowlevel.Abort.SUCCEEDED

    def _abort_write(self, _: Any) -> trio.lowlevel.Abort:
        self._writer = None
        return trio.lowlevel.Abort.SUCCEEDED

    def ready(self, events: int) -> None:
        """Wake who waits for these events, or remember them."""
        if events & _READABLE:
            if events & _ENDED:
                self._ended = True
            if events & _URGENT:
                self.short_means_empty = False
            if (task := self._reader) is not None:
                self._reader = None
                trio.lowlevel.reschedule(task, _WOKEN)
            else:
                self.readable = True
                self._watched += 1
                if self._watched > _IN_VAIN and self._writer is None:
                    self._poller.unregister(self)
                    self._watched = 0
        if events & _WRITABLE:
            self._writable = True
            if (task := self._writer) is not None:
                self._writer = None
                trio.lowlevel.reschedule(task, _WOKEN)

    def interrupt(self) -> None:
        """Make whoever waits look again."""
        if (task := self._reader) is not None:
            self._reader = None
            trio.lowlevel.reschedule(task, _INTERRUPTED)
        if (task := self._writer) is not None:
            self._writer = None
            trio.lowlevel.reschedule(task, _INTERRUPTED)

    def close(self) -> None:
        """Close at once."""
        if self._closed:
            return
        self._closed = True
        self.readable = self._writable = self._ended = False
        if self._watched:
            self._poller.forget(self)
        self.socket.close()
        self.interrupt()


class Poller(trio.abc.Instrument):
    """The inner epoll, for the length of one run of a server."""

    def __init__(self) -> None:
        self._epoll = select.epoll()
        # By descriptor. The kernel always gives the lowest number that is free (open(2)), so it is no longer
        # than it has to be; in a dict each would take 60 bytes more, and a search.
        self._endpoints: list[EpollEndpoint | None] = []
        self._events = False
        self._awaited = False  # whether trio waits for the inner epoll's descriptor

    def endpoint(self, sock: socket.socket) -> EpollEndpoint:
        """An endpoint for a TCP connection, that waits through this poller."""
        return EpollEndpoint(sock, self)

    def unix_endpoint(self, sock: socket.socket) -> EpollEndpoint:
        """The same for a Unix stream connection, where a receive stops at a message with a descriptor."""
        return EpollEndpoint(sock, self, short_means_empty=False)

    def register(self, endpoint: EpollEndpoint) -> None:
        """Begin to watch a socket."""
        fd = endpoint.socket.fileno()
        endpoints = self._endpoints
        if fd >= len(endpoints):
            endpoints.extend([None] * (fd + 1 - len(endpoints)))
        self._epoll.register(fd, _INTEREST)
        endpoints[fd] = endpoint

    def unregister(self, endpoint: EpollEndpoint) -> None:
        """Watch a socket no longer, which stays open."""
        fd = endpoint.socket.fileno()
        if fd == -1:  # detached, or closed behind our back
            with contextlib.suppress(ValueError):
                fd = self._endpoints.index(endpoint)
        if fd != -1:
            self._endpoints[fd] = None
            # It is another's by now, perhaps. An instrument that raises is not called again.
            with contextlib.suppress(OSError):
                self._epoll.unregister(fd)

    def forget(self, endpoint: EpollEndpoint) -> None:
        """Ignore a socket that is about to be closed, which takes it out of the epoll, too.

        Unless its description is open elsewhere: a child that was forked has it. Then its events still come,
        under a number that may be another socket's by then, who looks in vain and forgets them.
        """
        if (fd := endpoint.socket.fileno()) != -1:
            self._endpoints[fd] = None
        else:  # detached, it is not closed
            self.unregister(endpoint)

    def after_io_wait(self, timeout: float) -> None:
        """Called by trio after each of its I/O waits: see who is ready."""
        # Where there was something to run, so that trio only looked, it wakes `run` if there is anything.
        if timeout or not self._awaited:
            self._look()

    @trio.lowlevel.enable_ki_protection  # what is told once must not be lost
    def _look(self) -> None:
        """Wake those whose sockets are ready."""
        found = self._epoll.poll(0, _MAX_EVENTS)
        if found:
            self._events = True
            endpoints = self._endpoints
            reschedule = trio.lowlevel.reschedule
            for fd, events in found:
                if (endpoint := endpoints[fd]) is None:
                    continue
                # What comes for each request, written out: input, for a task that waits for it, and no other.
                if events == _INPUT and (task := endpoint._reader) is not None and endpoint._writable:
                    endpoint._reader = None
                    reschedule(task, _WOKEN)
                else:
                    endpoint.ready(events)

    async def run(self) -> None:
        """Keep trio awake for the inner epoll; runs until cancelled."""
        look_again = BusyPolling().look_again
        trio.lowlevel.add_instrument(self)
        try:
            while True:
                self._awaited = True
                await trio.lowlevel.wait_readable(self._epoll.fileno())
                self._awaited = False
                if not self._events:
                    self._look()
                # While events come, stay runnable: cheaper than to register the descriptor each time.
                while look_again(self._events):
                    self._events = False
                    await trio.lowlevel.checkpoint()
        finally:
            trio.lowlevel.remove_instrument(self)

    def close(self) -> None:
        """Close the inner epoll."""
        if not self._epoll.closed:
            self._epoll.close()
