"""Servers without sockets, for what a real one can not be made to do, or not at a chosen time."""

from __future__ import annotations

import contextlib
import errno
import os
from collections import deque
from typing import TYPE_CHECKING, Any, TypeAlias, TypedDict

import trio

import trioserver

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable

    from trio.lowlevel import Task
    from typing_extensions import Unpack

Handle: TypeAlias = "Callable[[Any, Any, Any], Awaitable[object]]"


class Options(TypedDict, total=False):
    """The options of `BaseServer`."""

    max_requests: int | None
    request_timeout: float | None
    timeout: float | None
    poll_interval: float


class QueueServer(trioserver.BaseServer[Any]):
    """Serves what was put into its queue, and remembers what it closed."""

    def __init__(self, handler: Handle, **options: Unpack[Options]) -> None:
        super().__init__("queue", handler, **options)
        self._queue: deque[Any] = deque()
        self._there = trio.lowlevel.ParkingLot()
        self.calls = 0
        self.taken: list[Any] = []
        self.closed: list[Any] = []
        self.errors: list[BaseException] = []
        self.recorder: list[trioserver.ServerEvent] = []
        self.add_observer(self.recorder.append)

    def put(self, *requests: Any) -> None:
        """Let these come, in this order."""
        for request in requests:
            self._queue.append(request)
            self._there.unpark()

    async def get_request(self) -> tuple[Any, Any]:
        """Take the next one out of the queue; as with a socket, there is no checkpoint after that."""
        self.calls += 1
        await trio.lowlevel.checkpoint()
        while not self._queue:
            await self._there.park()
            await trio.lowlevel.checkpoint_if_cancelled()  # the limit may have been lowered just now (P6)
        request = self._queue.popleft()
        self.taken.append(request)
        return request, f"client {request}"

    async def close_request(self, request: Any) -> None:
        """Remember it."""
        self.closed.append(request)

    async def handle_error(self, request: Any, client_address: Any) -> None:
        """Keep the error."""
        self.errors.append(current_error())

    def ended(self) -> list[trioserver.RequestEnded]:
        """The events of requests that ended."""
        return [event for event in self.recorder if isinstance(event, trioserver.RequestEnded)]

    def names(self) -> list[str]:
        """The classes of the events, in order."""
        return [type(event).__name__ for event in self.recorder]


class ScriptedServer(QueueServer):
    """Each call of `get_request` does what the next entry of a script says; then it waits for the queue.

    An entry is an exception, to be raised, or a request.
    """

    def __init__(self, script: Iterable[Any], handler: Handle, **options: Unpack[Options]) -> None:
        super().__init__(handler, **options)
        self._script = iter(script)
        self.times: list[float] = []

    async def get_request(self) -> tuple[Any, Any]:
        """Do what the script says, without a checkpoint."""
        self.times.append(trio.current_time())
        for entry in self._script:
            self.calls += 1
            if isinstance(entry, BaseException):
                raise entry
            self.taken.append(entry)
            return entry, f"client {entry}"
        return await super().get_request()


class AtStep(trio.abc.Instrument):
    """Calls a function before the k-th step of any task; counts the steps."""

    def __init__(self, k: int, function: Callable[[], object]) -> None:
        self._k = k
        self._function = function
        self.count = 0

    def before_task_step(self, task: Task) -> None:
        self.count += 1
        if self.count == self._k:
            self._function()


def os_error(number: int) -> OSError:
    """The error that a system call raises for an errno."""
    return OSError(number, os.strerror(number))


def emfile() -> OSError:
    """Too many open files."""
    return os_error(errno.EMFILE)


def current_error() -> BaseException:
    """The exception that is being handled."""
    import sys

    error = sys.exc_info()[1]
    assert error is not None
    return error


async def forever(request: Any, client_address: Any, server: Any) -> None:
    """A handler that ends only when it is cancelled."""
    await trio.sleep_forever()


async def at_once(request: Any, client_address: Any, server: Any) -> None:
    """A handler that has nothing to do."""


def assert_accounted(server: QueueServer, report: trioserver.ShutdownReport | None = None) -> None:
    """P1 and P3, for a server that has stopped: all that was taken was closed, counted and told once."""
    statistics = server.statistics()
    assert statistics.active == 0
    assert server.requests == ()
    assert statistics.accepted == len(server.taken)
    assert len(set(server.taken)) == len(server.taken) == len(server.closed)
    assert set(server.closed) == set(server.taken)
    counts = {outcome: 0 for outcome in trioserver.Outcome}
    for event in server.ended():
        counts[event.outcome] += 1
    for outcome, count in counts.items():
        assert getattr(statistics, outcome.value) == count
        if report is not None:
            assert getattr(report, outcome.value) == count
    assert sum(counts.values()) == len(server.taken)


async def receive_until_closed(client: trio.abc.ReceiveStream) -> bytes:
    """Everything up to the end of the stream, or to its reset: it may come to either."""
    data = b""
    with contextlib.suppress(trio.BrokenResourceError):
        while chunk := await client.receive_some():
            data += chunk
    return data
