"""What an error of ``accept`` means for a server: a table, and the delay that one of its answers asks for.

The list is that of accept(2) on Linux ("Linux accept() passes already-pending network errors on the new
socket as an error code from accept()"), with what the BSDs, macOS and Windows add. P7 rests on it.
"""

from __future__ import annotations

import enum
import errno
from typing import Final


class Verdict(enum.Enum):
    """What the accept loop does about an error."""

    SKIP = "skip"
    """It concerns one connection, which is gone: take the next."""
    BACK_OFF = "back off"
    """The system is out of something: wait, while the kernel's backlog keeps the clients."""
    FATAL = "fatal"
    """The listener is unusable, or the error is unknown: stop the server and raise it."""


def _numbers(*names: str) -> frozenset[int]:
    """The errnos of those names that this platform has."""
    return frozenset(getattr(errno, name) for name in names if hasattr(errno, name))


_SKIP: Final = _numbers(
    "ECONNABORTED",  # the peer was gone before accept: POSIX, all the BSDs
    "ECONNRESET",  # the same, as Windows and some kernels say it
    "EPERM",  # Linux: a firewall rule forbids the connection
    "EPROTO",
    "ENETDOWN",
    "ENOPROTOOPT",
    "EHOSTDOWN",
    "ENONET",
    "EHOSTUNREACH",
    "EOPNOTSUPP",
    "ENETUNREACH",
    "ENOSR",
    "ESOCKTNOSUPPORT",
    "EPROTONOSUPPORT",
    "ETIMEDOUT",
    "WSAECONNRESET",
)

_BACK_OFF: Final = _numbers(
    "EMFILE",  # this process has as many descriptors as RLIMIT_NOFILE allows
    "ENFILE",  # the whole system has
    "ENOBUFS",
    "ENOMEM",
    "WSAEMFILE",
)


def verdict(error: OSError) -> Verdict:
    """What to do about an ``OSError`` that ``accept`` raised."""
    if error.errno in _SKIP:
        return Verdict.SKIP
    if error.errno in _BACK_OFF:
        return Verdict.BACK_OFF
    return Verdict.FATAL


class Backoff:
    """How long to wait before the next try: 10 ms, doubling to 1 s, from the start after a success.

    The first delay is short since the cause is often a burst that ends at once; the longest is short
    enough that a server is back within a second of an operator's mending it. Also used when errors that
    ask to be skipped come in an unbroken row, so that nothing spins (P7).
    """

    FIRST: Final = 0.010
    LONGEST: Final = 1.0
    SKIPS_IN_A_ROW: Final = 64

    __slots__ = ("_delay", "_skips")

    def __init__(self) -> None:
        self._delay = 0.0
        self._skips = 0

    @property
    def active(self) -> bool:
        """Whether the last try led to a delay."""
        return self._delay > 0

    def next_delay(self) -> float:
        """The delay, in seconds, that is due after one more failure."""
        self._delay = min(self.LONGEST, self._delay * 2) if self._delay else self.FIRST
        return self._delay

    def skipped(self) -> bool:
        """Count an error that was skipped; true when there were too many in a row."""
        self._skips += 1
        return self._skips > self.SKIPS_IN_A_ROW

    def reset(self) -> None:
        """Forget the failures: something was accepted."""
        self._delay = 0.0
        self._skips = 0
