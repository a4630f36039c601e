"""``clock`` and ``instruments``: synchronous code makes hours pass in milliseconds."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import pytest
import trio
import trio.testing
from harness import Recorder

import trioserver
from trioserver_adapters.blocking import BlockingServer

if TYPE_CHECKING:
    from collections.abc import Callable

    from .kit import Call

    MakeCall = Callable[..., Call]

HOUR = 3600


class Minutes(trioserver.BaseServer[int]):
    """A server without a socket, which has a request each minute for an hour; then it stops by itself."""

    last = 0

    async def get_request(self) -> tuple[int, str]:
        await trio.sleep(60)
        self.last += 1
        if self.last > 60:
            self.request_shutdown(None)
            await trio.sleep_forever()
        return self.last, "nobody"


class Patience(trioserver.BaseRequestHandler[Any]):
    """Every third request takes too long, and every sixth one does not finish in time either."""

    finish_timeout = 5

    async def handle(self) -> None:
        await trio.sleep(45 if self.request % 3 == 0 else 15)

    async def finish(self) -> None:
        await trio.sleep(1 if self.request % 6 else HOUR)


def test_autojump_when_an_hour_of_timeouts_passes_then_it_takes_no_time() -> None:
    """From synchronous code, with no socket anywhere: each request's timeouts fire as they should."""
    native = Minutes(None, Patience, request_timeout=30)
    native.add_observer(recorder := Recorder())
    clock = trio.testing.MockClock(autojump_threshold=0)
    began = time.monotonic()
    with BlockingServer(native, clock=clock) as server:
        server.serve_forever()
        report = server.shutdown()
    assert time.monotonic() - began < 5
    assert (report.accepted, report.finished, report.cancelled) == (60, 40, 20)
    ended = [event for event in recorder.events if isinstance(event, trioserver.RequestEnded)]
    durations = {event.request_id: event.duration for event in ended}
    assert (durations[1], durations[3], durations[6]) == (16, 31, 35)
    timeouts = {event.request_id: event.timeouts for event in ended}
    assert timeouts[3] == (trioserver.Timeout.REQUEST,)
    assert timeouts[6] == (trioserver.Timeout.REQUEST, trioserver.Timeout.FINISH)
    assert recorder.events[-1].time - recorder.events[0].time >= HOUR


def test_autojump_when_handle_request_has_a_timeout_then_does_not_wait_for_it() -> None:
    """An hour, here."""

    class Idle(trioserver.BaseServer[int]):
        timeouts = 0

        async def get_request(self) -> tuple[int, str]:
            await trio.sleep_forever()
            raise AssertionError

        async def handle_timeout(self) -> None:
            self.timeouts += 1

    clock = trio.testing.MockClock(autojump_threshold=0)
    with BlockingServer(Idle(None, Patience, timeout=HOUR), clock=clock) as server:
        before = server.call(now)
        server.handle_request()
        assert (server.call(now) - before, server.server.timeouts) == (HOUR, 1)
        server.call(trio.sleep, HOUR)
        assert server.call(now) - before == 2 * HOUR


async def now() -> float:
    """Trio's time."""
    return trio.current_time()


class Counting(trio.abc.Instrument):
    """Counts what trio tells of."""

    def __init__(self) -> None:
        self.told: list[str] = []

    def before_run(self) -> None:
        self.told.append("before_run")

    def after_run(self) -> None:
        self.told.append("after_run")

    def task_spawned(self, task: trio.lowlevel.Task) -> None:
        self.told.append("task_spawned")


def test_instruments_when_given_then_trio_tells_them() -> None:
    """From before the loop to after it."""
    one, other = Counting(), Counting()
    with BlockingServer(Minutes(None, Patience), instruments=[one, other]) as server:
        assert one.told[0] == "before_run"
        server.call(now)
    assert one.told == other.told
    assert one.told[-1] == "after_run"
    assert one.told.count("task_spawned") > 2


@pytest.mark.parametrize("method", ["serve_forever", "start", "fileno", "server_close", "__enter__"])
def test_clock_when_it_can_not_be_started_then_every_call_says_so_and_it_can_be_closed(method: str) -> None:
    """What trio.run raised, as it is; no thread stays, nor does anyone wait for it."""
    server = BlockingServer(Minutes(None, Patience), clock=Unstartable())
    with pytest.raises(trio.TrioInternalError) as first:
        server.start()
    assert type(first.value.__cause__) is ZeroDivisionError
    with pytest.raises(trio.TrioInternalError) as second:
        getattr(server, method)()
    assert second.value is first.value
    if method != "server_close":
        with pytest.raises(trio.TrioInternalError):
            server.server_close()
    server.server_close()


class Unstartable(trio.abc.Clock):
    """A clock that fails."""

    def start_clock(self) -> None:
        raise ZeroDivisionError

    def current_time(self) -> float:
        return 0.0

    def deadline_to_sleep_time(self, deadline: float) -> float:
        return 0.0
