"""The epoll of connections that are served in place, and the one task that serves them all.

trio waits for the epoll's descriptor, and the task takes what has become ready out of it, in the very turn in
which trio found that out. Each connection is registered once. Level-triggered, unlike those of `epoll`: what
a handler has left for the next turn comes again by itself, and so does what is behind an urgent byte or a
descriptor that is passed.
"""

from __future__ import annotations

import select
from typing import TYPE_CHECKING, Any, Final, Protocol

import trio

from .busy_polling import BusyPolling

if TYPE_CHECKING:
    import contextvars
    from collections.abc import Callable

_EVENTS: Final = 128
"""Connections that are served before other tasks have their turn (P10)."""

_LOOKS: Final = 4
"""How often to look for more of them before that: a turn of trio's costs as much as two or three requests."""

_ENDS: Final = 256
"""Connections that are ended in one turn, where all of them are (P10)."""


class Polled(Protocol):
    """A connection, as its poller sees it."""

    context: contextvars.Context
    """What is called for the connection runs in it."""

    ready: Callable[[Any, int], None]
    """To be called, with this, where some of what was asked for has become so; it may raise what a handler
    raises. A function, and no bound method: with thousands of connections each object that is one
    connection's own is one more that the processor's cache no longer has when its turn comes."""

    attention: bool
    """Whether it is to be attended to."""

    def go_on(self) -> None:
        """Handle what was left the last time; it may raise that, too."""

    def flush_pushed(self) -> None:
        """Send what others have written."""

    def attend(self) -> None:
        """See what has changed."""

    def fail(self, error: BaseException | None) -> None:
        """Serve no more."""

    def cancel_now(self) -> None:
        """End at once: the server does."""


class CallbackPoller:
    """Watches connections for the length of one run of a server.

    Attributes:
      current: The connection whose handler is being called.
      in_turn: Whether connections are being served: what is written to others is sent at the end of that.
      more_input: Set by a connection that has received as much as it asks for: there will be more at once.
    """

    __slots__ = (
        "_changed",
        "_epoll",
        "_left",
        "_polled",
        "_pushed",
        "_waiting",
        "current",
        "ended",
        "in_turn",
        "modify",
        "more_input",
    )

    def __init__(self) -> None:
        self._epoll = select.epoll()
        # By descriptor, as in `epoll.Poller`: a dict would have two more places to look at for each event.
        self._polled: list[Polled | None] = []
        self._left: list[Polled] = []
        self._changed: list[Polled] = []
        self._pushed: list[Polled] = []
        self._waiting = False
        self.ended = False
        self.in_turn = self.more_input = False
        self.current: Any = None
        # One call less for each connection.
        self.modify: Callable[[int, int], None] = self._epoll.modify

    def add(self, fd: int, polled: Polled) -> None:
        """Begin to watch a socket for input."""
        watched = self._polled
        if fd >= len(watched):
            watched.extend([None] * (fd + 1 - len(watched)))
        self._epoll.register(fd, select.EPOLLIN)
        watched[fd] = polled

    def watches(self, fd: int, polled: Polled) -> bool:
        """Whether a connection's socket is watched."""
        return fd < len(self._polled) and self._polled[fd] is polled

    def forget(self, fd: int, polled: Polled) -> None:
        """Watch a connection's socket no more; before it is closed, and afterwards it does nothing.

        Closing it would be enough, if no child that was forked had it, too; its events would come for ever.
        The number alone does not say whose it is: another connection may have it by now.
        """
        watched = self._polled
        if fd < len(watched) and watched[fd] is polled:
            watched[fd] = None
            try:  # noqa: SIM105  each connection comes here, and suppress() takes longer
                self._epoll.unregister(fd)
            except OSError:
                pass  # its handler has closed or detached the socket itself, which is its own affair (P4)

    def leave(self, polled: Polled) -> None:
        """Go on with a connection in the next turn, though nothing becomes ready."""
        self._left.append(polled)
        self._wake()

    def changed(self, polled: Polled) -> None:
        """Attend to a connection in the next turn."""
        self._changed.append(polled)
        self._wake()

    def pushed(self, polled: Polled) -> None:
        """Flush a connection at the end of this turn."""
        self._pushed.append(polled)

    def _wake(self) -> None:
        if self._waiting:
            self._waiting = False
            # trio's public way to wake a task that waits for a descriptor; nothing obliges to close it then.
            trio.lowlevel.notify_closing(self._epoll.fileno())

    @trio.lowlevel.enable_ki_protection
    async def run(self) -> None:
        """Serve connections until cancelled; then end all of them (P1)."""
        fd = self._epoll.fileno()
        look_again = BusyPolling().look_again
        try:
            while True:
                # It may have been woken before it was cancelled: what is ready by now came too late.
                await trio.lowlevel.checkpoint_if_cancelled()
                found = self._turn()
                # While something comes, look again in the next turn: cheaper than to register the descriptor
                # with trio each time.
                if look_again(bool(found or self._left or self._changed)):
                    await trio.lowlevel.cancel_shielded_checkpoint()
                    continue
                self._waiting = True
                try:
                    await trio.lowlevel.wait_readable(fd)
                except trio.ClosedResourceError:
                    pass  # woken
                finally:
                    self._waiting = False
        finally:
            self.ended = True
            # Those that were closed are watched no more, but may not yet have been attended to (P3).
            while rest := [polled for polled in self._polled if polled is not None] + self._changed:
                self._changed = []
                for polled in rest:
                    polled.cancel_now()
            self.current = None

    def _turn(self) -> int:
        """Serve what is ready; returns how many that were."""
        self.in_turn = True
        polled_by_fd = self._polled
        poll = self._epoll.poll
        found = 0
        if self._changed:
            changed, self._changed = self._changed[:_ENDS], self._changed[_ENDS:]
            for polled in changed:
                self.current = polled
                polled.attend()
        if self._left:
            left, self._left = self._left[:_EVENTS], self._left[_EVENTS:]  # P10
            for polled in left:
                self.call(polled, polled.go_on)
        for _ in range(_LOOKS):
            events = poll(0, _EVENTS)
            for fd, event in events:
                # Handlers may have closed any of the others meanwhile; a number is not used again before the
                # next connection is accepted.
                polled_or_none = polled_by_fd[fd]
                if polled_or_none is not None:
                    # As `call`, written out: it is the path of every request.
                    self.current = polled_or_none
                    try:
                        polled_or_none.context.run(polled_or_none.ready, polled_or_none, event)
                    except BaseException as exc:
                        polled_or_none.fail(exc)
                    else:
                        if polled_or_none.attention:
                            polled_or_none.attend()
            found += len(events)
            if (len(events) < 2 and not self.more_input) or found >= _EVENTS:
                break
            self.more_input = False
        while self._pushed:
            pushed, self._pushed = self._pushed, []
            for polled in pushed:
                polled.flush_pushed()
        self.in_turn = False
        self.current = None
        return found

    def call(self, polled: Polled, function: Callable[..., None], *args: object) -> None:
        """Call what may raise what a handler raises, and fail then."""
        self.current = polled
        try:
            polled.context.run(function, *args)
        except BaseException as exc:
            polled.fail(exc)
        else:
            if polled.attention:
                polled.attend()

    def close(self) -> None:
        """Close the epoll."""
        if not self._epoll.closed:
            self._epoll.close()
