"""What the accept loop does, call by call (P2, P7)."""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING, Final, Protocol

import trio

import trioserver

if TYPE_CHECKING:
    from typing import Any

FIRST: Final = 0.01
LONGEST: Final = 1.0
SKIPS_IN_A_ROW: Final = 64
EXHAUSTED: Final = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)
SKIPPED: Final = (errno.ECONNABORTED, errno.EPROTO, errno.EPERM)
_EPSILON: Final = 1e-6


class _Judge(Protocol):
    """Who hears of violations; the ledger."""

    server: Any

    def violated(self, promise: str, what: str, /) -> None: ...

    def check(self, holds: bool, promise: str, what: str, /) -> None: ...


class Accepting:
    """Follows the accept loop through the calls of ``get_request``.

    Attributes:
      taken: How many requests it has returned.
      taken_in_run: The same since the server is being served.
      errors: How many times it has failed.
      next_taken: Set when it returns the next one.
      storm: The errors that accepting meets with, whatever the network does; the next one first.
    """

    def __init__(self, judge: _Judge) -> None:
        self._judge = judge
        self.taken = 0
        self.taken_in_run = 0
        self.storm: list[int] = []
        self.errors = 0
        self.next_taken = trio.Event()
        self._requests = 0
        self._delay = 0.0
        self._skips = 0
        self._due: float | None = None
        self._was_full = False
        self._exhausted = False
        self._paused = 0

    def begin(self) -> None:
        """The server is served from now on."""
        self._delay, self._skips, self._due, self._exhausted, self._paused = 0.0, 0, None, False, 0
        self.taken_in_run = 0

    def asked(self) -> None:
        """``get_request`` is called: not before the delay is over, nor later."""
        check, now, due = self._judge.check, trio.current_time(), self._due
        check(self.taken == self._requests, "P2", f"{self.taken} taken, {self._requests} became requests")
        if due is not None:
            check(now > due - _EPSILON, "P7", f"accepting again {due - now:g} s too early: it spins")
            on_time = now < due + _EPSILON or self._was_full
            check(on_time, "P7", f"accepting again {now - due:g} s too late: the delays double up to 1 s")
        self._due, self._was_full = None, False

    def failed(self, error: OSError) -> None:
        """``get_request`` has raised this."""
        if error.errno not in (*EXHAUSTED, *SKIPPED):
            return
        self.errors += 1
        wait = error.errno in EXHAUSTED
        if not wait:
            self._skips += 1
            wait = self._skips > SKIPS_IN_A_ROW
        if wait:
            self._delay = min(LONGEST, self._delay * 2) if self._delay else FIRST
        self._due = trio.current_time() + (self._delay if wait else 0.0)

    def took(self) -> None:
        """``get_request`` returns a request."""
        self.taken += 1
        self.taken_in_run += 1
        self.next_taken.set()
        self._delay, self._skips, self._exhausted = 0.0, 0, False

    def became_a_request(self) -> None:
        """The server says that it has accepted one."""
        self._requests += 1
        same = self.taken == self._requests
        self._judge.check(same, "P2", f"{self.taken} taken, {self._requests} accepted")

    def told(self, event: trioserver.AcceptPaused | trioserver.AcceptResumed) -> None:
        """The server says that it does not accept for a while, or does again."""
        if isinstance(event, trioserver.AcceptResumed):
            self._paused -= 1
            self._judge.check(self._paused >= 0, "P7", "resumed, and was not paused")
            return
        self._paused += 1
        if event.reason == "max_requests":
            self._was_full = True
            limit, active = self._judge.server.max_requests, len(self._judge.server.requests)
            self._judge.check(limit is not None and active >= limit, "P6", f"paused with {active} of {limit}")
            return
        self._judge.check(not self._exhausted, "P7", f"more than one event for a row of failures: {event}")
        self._exhausted = True

    @property
    def waiting(self) -> bool:
        """Whether it waits for a delay to be over."""
        return self._due is not None
