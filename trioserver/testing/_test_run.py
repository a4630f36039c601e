"""One test of the pytest plugin: its seed, its clock, and what it must not leave behind."""

from __future__ import annotations

import contextlib
import os
import shlex
import stat
from typing import TYPE_CHECKING, Any, Final

import trio
import trio.testing

from ._deadlock import Deadlock, DeadlockWatch
from ._network import Network
from ._seeding import seeded, seeds_task_order

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable

LAST_EVENTS: Final = 40
"""How many events of the log the report of a failing test has: about a page."""


class TestRun:
    """Runs a test function in trio, as ``trio.run`` does, from a seed and in virtual time.

    Args:
      seed: What it all comes from.
      options: For the `Network`.
      inner: What runs it in the end: ``trio.run``, or what else the project's pytest-trio is told to use.

    Attributes:
      network: The network of the test, once it has one.
      failure: What became of its servers, if the test is to fail of that.
      left_open: The sockets that were still open when it ended.
    """

    __test__ = False  # it is no test, whatever its name

    def __init__(self, seed: int, options: dict[str, Any], inner: Callable[..., Any]) -> None:
        self._inner = inner
        self.running = False
        self.prepare(seed, options)

    def prepare(self, seed: int, options: dict[str, Any]) -> None:
        """Forget what became of the test before, if it is to be run once more."""
        self.seed = seed
        self.network: Network | None = None
        self.failure: Exception | None = None
        self.left_open: list[str] = []
        self._options = options

    def __call__(
        self,
        async_fn: Callable[..., Awaitable[Any]],
        *args: Any,
        clock: trio.abc.Clock | None = None,
        instruments: Iterable[trio.abc.Instrument] = (),
    ) -> Any:
        """Run it, with a clock that jumps where the test names none.

        Raises:
          Exception: `failure`; what the test raised is its context.
          Deadlock: Every task waits, with no deadline.
          AssertionError: Sockets or descriptors were left open, by a test that was fine otherwise.
          BaseException: What the test raised.
        """
        __tracebackhide__ = True
        watch = DeadlockWatch()
        clock = clock or trio.testing.MockClock(autojump_threshold=0)
        before = _descriptors()
        self.running = True
        try:
            with seeded(self.seed):
                value = self._inner(
                    _watched, watch, async_fn, args, clock=clock, instruments=[*instruments, watch]
                )
        except BaseException as error:
            # What a handler raised is most often why the test failed, too, which then is the context.
            if self.failure is None or _stops_the_program(error):
                raise
            raise self.failure  # noqa: B904
        finally:
            self.running = False
        if self.failure is not None:
            raise self.failure
        if self.left_open:
            raise AssertionError(f"sockets were left open: {', '.join(self.left_open)}")
        left = {fd: what for fd, what in _descriptors().items() if before.get(fd) != what}
        if left:
            raise AssertionError(f"descriptors of the operating system were left open: {left}")
        return value

    def make_network(self) -> Network:
        """The network of the test, to be entered."""
        self.network = Network(self.seed, **self._options)
        return self.network

    def note_open_sockets(self) -> None:
        """Look for sockets that nobody has closed, at the end of the test."""
        assert self.network is not None
        for host in self.network.hosts.values():
            self.left_open += [f"{sock!r} on {host.name}" for sock in host.sockets.values()]

    def report(self, name: str) -> str:
        """What the report of the test should have when it fails.

        Args:
          name: By which pytest finds it again.
        """
        lines = [
            f"seed {self.seed}; to run it again:",
            f"  pytest {shlex.quote(name)} --trioserver-seed={self.seed}",
        ]
        if not seeds_task_order:
            lines.append("  (the order of tasks is not seeded with this version of trio)")
        if self.network is not None and len(self.network.log):
            log = self.network.log
            before = len(log) - LAST_EVENTS
            lines += [f"the last {LAST_EVENTS} of {len(log)} events:" if before > 0 else "events:"]
            lines += [str(event) for event in log[max(0, before) :]]
        return "\n".join(lines)


async def _watched(
    watch: DeadlockWatch, async_fn: Callable[..., Awaitable[Any]], args: tuple[Any, ...]
) -> Any:
    """Run it until nothing can happen any more."""
    __tracebackhide__ = True
    failure: BaseException | None = None
    with trio.CancelScope() as scope:
        watch.begin(scope)
        try:
            return await async_fn(*args)
        except Exception as error:  # pytest-trio's, about the cancellation
            failure = error
        finally:
            watch.end()
    if watch.report is not None:
        raise Deadlock(f"every task waits, and no deadline is set:\n{watch.report}") from None
    assert failure is not None
    try:
        raise failure
    finally:
        del failure  # or its traceback, which has this frame, would keep itself alive


def _stops_the_program(error: BaseException) -> bool:
    """Whether it is, or has in it, what must get through to pytest itself."""
    if isinstance(error, BaseExceptionGroup):
        return any(_stops_the_program(part) for part in error.exceptions)
    return isinstance(error, (KeyboardInterrupt, SystemExit))


def _descriptors() -> dict[int, str]:
    """The sockets, pipes and epolls of this process; nothing on systems that do not list them."""
    found: dict[int, str] = {}
    with contextlib.suppress(OSError):
        for name in os.listdir("/dev/fd"):
            fd = int(name)
            with contextlib.suppress(OSError):
                status = os.fstat(fd)
                if stat.S_ISSOCK(status.st_mode):
                    found[fd] = f"socket {status.st_ino}"
                elif stat.S_ISFIFO(status.st_mode):
                    found[fd] = f"pipe {status.st_ino}"
                elif not stat.S_IFMT(status.st_mode):
                    found[fd] = "an epoll, or the like"
    return found
