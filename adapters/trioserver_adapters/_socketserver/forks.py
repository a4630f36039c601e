"""`ForkingMixIn`: each request in a process, which trio owns and reaps."""

from __future__ import annotations

import contextlib
import os
import re
import sys
import warnings
from typing import TYPE_CHECKING, Any, Final

from .companion import companion_of
from .held_signals import HeldSignals
from .owner import InProcess

if TYPE_CHECKING:
    from .base import BaseServer
    from .companion import Companion

    _Base = BaseServer
else:
    _Base = object  # a plain class, as in the standard library

_NO_WARNING: Final = ("ignore", None, DeprecationWarning, re.compile(re.escape(__name__) + "$"), 0)
"""A filter for warnings of this module alone."""


class ForkingMixIn(_Base):
    """Mix-in class to handle each request in a new process.

    Children are reaped when they end, whatever the server does then, and nobody else's are. A handler that
    raises makes its process exit with status 1.

    Class variables that may be overridden by subclasses or instances:
      timeout: As for the other servers; 300 seconds.
      active_children: The process ids of those that run; None before the first.
      max_children: How many may run at once; 40. At the limit no requests are taken, until one has ended.
      block_on_close: Whether `server_close` waits for them; true.
      grace_period: For `server_close`, where it is not given as an argument; None. Not in the standard
        library.
    """

    timeout: float | None = 300
    active_children: set[int] | None = None
    max_children: int = 40
    block_on_close: bool = True
    grace_period: float | None = None

    def collect_children(self, *, blocking: bool = False) -> None:
        """Reap children that have ended; and wait until there are fewer than ``max_children``, or none.

        Waiting ends with a shutdown, too. Trio's thread reaps them as well: one of both is the first.
        """
        children = self.active_children
        if children is None:
            return
        if len(children) >= self.max_children:
            self.__wait_for_room(children)
        for pid in children.copy():
            _reap(children, pid, 0 if blocking else os.WNOHANG)

    def __wait_for_room(self, children: set[int]) -> None:
        companion = companion_of(self)

        def has_room() -> bool:
            return len(children) < self.max_children or companion.closed or self.__stopping()

        companion.wait_woken(has_room)

    def __stopping(self) -> bool:
        # Of a loop that runs elsewhere this need not, and must not, know.
        return bool(vars(self).get("_BaseServer__stop", False))

    def handle_timeout(self) -> Any:
        """Reap children. May be extended, do not override."""
        self.collect_children()

    def service_actions(self) -> None:
        """Reap children; wait at the limit."""
        self.collect_children()

    def process_request(self, request: Any, client_address: Any) -> None:
        """Fork a process for the request."""
        companion = companion_of(self)
        companion.start()
        pid = -1
        try:
            with HeldSignals() as held:
                pid = _fork_beside_threads()
                if not pid:
                    held.release()
                    self.__serve_in_child(request, client_address)
                self.__own(companion, pid, client_address)
        finally:
            if pid > 0:  # also when a signal handler raises: what follows must not shut it down for the child
                self.close_request(request)

    def __own(self, companion: Companion, pid: int, client_address: Any) -> None:
        if self.active_children is None:
            self.active_children = set()
        children = self.active_children
        children.add(pid)
        companion.begin(pid)

        def reaped(pid: int) -> None:
            children.discard(pid)
            companion.end(pid)
            companion.wake()

        companion.own(InProcess(pid, client_address, self.request_timeout, reaped), at_once=True)

    def __serve_in_child(self, request: Any, client_address: Any) -> None:
        """Handle the request; never returns."""
        status = 1
        try:
            companion_of(self).in_child = True
            self.finish_request(request, client_address)
            status = 0
        except Exception:
            self.handle_error(request, client_address)
        finally:
            try:
                self.shutdown_request(request)
            finally:
                os._exit(status)

    def server_close(self, grace_period: float | None = None) -> None:
        """Close the server, then wait for its children, if ``block_on_close`` says so.

        Args:
          grace_period: After so many seconds those that still run are terminated, and killed after 5 more.
            None, the default, is the attribute of that name; where that is None, too, they take as long as
            they take, as in the standard library.
        """
        super().server_close()
        companion = companion_of(self)
        if grace_period is None:
            grace_period = self.grace_period
        if grace_period is not None:
            companion.end_requests(grace_period)
        self.collect_children(blocking=self.block_on_close)
        companion.stop_if_idle()


def _reap(children: set[int], pid: int, options: int) -> None:
    try:
        ended, _ = os.waitpid(pid, options)
    except ChildProcessError:  # it was reaped
        ended = pid
    except OSError:
        return
    if ended:
        children.discard(ended)


def _fork_beside_threads() -> int:
    """``os.fork()`` without Python's warning of a fork where there are threads.

    The warning (from 3.12 on) is about locks that another thread may hold for ever in the child. Trio's
    thread holds none that the child would want: it does not touch trio. And where warnings are errors it is
    raised after the fork, in the parent, which then does not know that it has a child.

    The filter is there during the fork only, and is taken out by itself: ``catch_warnings()`` would put back
    all the filters of before, also over those of another thread.
    """
    if sys.version_info < (3, 12):
        return os.fork()
    # Not by filterwarnings(), after which every warning that was shown once is shown again.
    filters: Any = warnings.filters
    filters.insert(0, _NO_WARNING)
    try:
        return os.fork()
    finally:
        with contextlib.suppress(ValueError):  # another thread has changed all filters meanwhile
            filters.remove(_NO_WARNING)
