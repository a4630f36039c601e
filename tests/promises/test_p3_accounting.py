"""P3: every request ends as exactly one of finished, failed, cancelled, rejected; and the counts add up."""

from __future__ import annotations

import enum
from typing import Any

import pytest
import trio
import trio.testing
from harness import wait_until
from hypothesis import given, settings
from hypothesis import strategies as st

import trioserver
from trioserver import Outcome

from .fakes import QueueServer, assert_accounted, at_once, forever


class Fate(enum.Enum):
    """What becomes of a request of these tests."""

    FINISHES = enum.auto()
    FAILS = enum.auto()
    FAILS_IN_VERIFY = enum.auto()
    FAILS_IN_CLOSE = enum.auto()
    REJECTED = enum.auto()
    CANCELLED = enum.auto()
    STAYS = enum.auto()
    GROUP = enum.auto()


EXPECTED = {
    Fate.FINISHES: Outcome.FINISHED,
    Fate.FAILS: Outcome.FAILED,
    Fate.FAILS_IN_VERIFY: Outcome.FAILED,
    Fate.FAILS_IN_CLOSE: Outcome.FAILED,
    Fate.REJECTED: Outcome.REJECTED,
    Fate.CANCELLED: Outcome.CANCELLED,
    Fate.STAYS: Outcome.CANCELLED,
    Fate.GROUP: Outcome.FAILED,
}


async def meet(request: tuple[int, Fate, int], client_address: Any, server: Any) -> None:
    """A handler that meets its fate after some turns."""
    number, fate, turns = request
    for _ in range(turns):
        await trio.lowlevel.checkpoint()
    if fate is Fate.FAILS:
        raise ValueError(number)
    if fate is Fate.GROUP:
        raise ExceptionGroup("several", [ValueError(number), KeyError(number)])
    if fate is Fate.CANCELLED:
        (record,) = (record for record in server.requests if record.request is request)
        record.cancel()
    if fate in (Fate.CANCELLED, Fate.STAYS):
        await trio.sleep_forever()


class FateServer(QueueServer):
    """Some fates are met before or after the handler."""

    async def verify_request(self, request: Any, client_address: Any) -> bool:
        if request[1] is Fate.FAILS_IN_VERIFY:
            raise ValueError(request)
        return request[1] is not Fate.REJECTED

    async def close_request(self, request: Any) -> None:
        await super().close_request(request)
        if request[1] is Fate.FAILS_IN_CLOSE:
            raise ValueError(request)


fates = st.lists(st.tuples(st.sampled_from(Fate), st.integers(0, 3)), max_size=30)


@given(fates=fates, pauses=st.lists(st.integers(0, 5), max_size=30), limit=st.none() | st.integers(1, 5))
@settings(max_examples=60)
def test_p3_counts_add_up_whatever_becomes_of_the_requests(
    fates: list[tuple[Fate, int]], pauses: list[int], limit: int | None
) -> None:
    """Each request is counted once, as what it came to; the report is what the events say."""

    async def main() -> None:
        # Those that stay would fill the limit for ever: each has a place of its own.
        stays = sum(fate is Fate.STAYS for fate, _ in fates)
        server = FateServer(meet, max_requests=None if limit is None else limit + stays)
        async with trio.open_nursery() as nursery:
            await nursery.start(server.serve_forever)
            for number, (fate, turns) in enumerate(fates):
                server.put((number, fate, turns))
                for _ in range(pauses[number] if number < len(pauses) else 0):
                    await trio.lowlevel.checkpoint()
            await trio.testing.wait_all_tasks_blocked()
            assert server.statistics().active == stays
            report = await server.shutdown()
        assert_accounted(server, report)
        assert report.accepted == len(fates)
        found = {event.request_id: event.outcome for event in server.ended()}
        assert found == {number + 1: EXPECTED[fate] for number, (fate, _) in enumerate(fates)}

    trio.run(main)


@given(fates=fates, turns=st.integers(0, 60), grace=st.sampled_from([0.0, 0.0, None, 0.001]))
@settings(max_examples=60)
def test_p3_counts_add_up_when_a_shutdown_comes_in_the_middle(
    fates: list[tuple[Fate, int]], turns: int, grace: float | None
) -> None:
    """Whenever the shutdown comes, what was taken is counted; the rest stays in the queue."""

    async def main() -> None:
        server = FateServer(meet)
        async with trio.open_nursery() as nursery:
            await nursery.start(server.serve_forever)
            for number, (fate, pause) in enumerate(fates):
                server.put((number, Fate.FINISHES if fate is Fate.STAYS else fate, pause))
            for _ in range(turns):
                await trio.lowlevel.checkpoint()
            report = await server.shutdown(grace)
        assert_accounted(server, report)
        assert report.accepted == len(server.taken) <= len(fates)

    trio.run(main)


async def test_p3_a_report_is_of_one_run_and_statistics_are_of_all() -> None:
    """Served twice, the report has the second run's counts and the statistics the sum."""
    server = QueueServer(at_once)
    for count in (3, 2):
        async with trio.open_nursery() as nursery:
            await nursery.start(server.serve_forever)
            server.put(*(f"{count}.{i}" for i in range(count)))
            await trio.testing.wait_all_tasks_blocked()
            report = await server.shutdown()
        assert (report.accepted, report.finished) == (count, count)
    assert server.statistics().finished == 5
    assert_accounted(server)


async def test_p3_shutdown_of_a_stopped_server_returns_the_last_report() -> None:
    """Everybody who asks gets the same report, also afterwards."""
    server = QueueServer(forever)
    reports = []

    async def shut_down() -> None:
        reports.append(await server.shutdown())

    async with trio.open_nursery() as nursery:
        await nursery.start(server.serve_forever)
        server.put(1, 2)
        await wait_until(lambda: len(server.requests) == 2)
        nursery.start_soon(shut_down)
        nursery.start_soon(shut_down)
    await shut_down()
    assert len(reports) == 3
    assert len(set(reports)) == 1
    assert_accounted(server, reports[0])


async def test_p3_a_request_counts_as_finished_when_it_is_cancelled_while_it_closes() -> None:
    """Its handler has returned: a cancellation that cuts short the farewell does not change the outcome."""

    class Slow(QueueServer):
        async def shutdown_request(self, request: Any) -> None:
            try:
                await trio.sleep_forever()
            finally:
                await self.close_request(request)

    server = Slow(at_once)
    async with server.running():
        server.put(1)
        await wait_until(lambda: server.requests)
        await wait_until(lambda: server.requests[0].state is trioserver.RequestState.CLOSING)
        server.requests[0].cancel()
        await wait_until(lambda: not server.requests)
    assert [event.outcome for event in server.ended()] == [Outcome.FINISHED]
    assert_accounted(server)


@pytest.mark.parametrize("count", [1, 63, 64, 65, 200])
async def test_p3_all_are_counted_when_many_come_at_once(count: int) -> None:
    """A burst larger than a batch, whose tasks are used again, loses and doubles none."""
    server = QueueServer(at_once)
    async with trio.open_nursery() as nursery:
        await nursery.start(server.serve_forever)
        for i in range(3):
            server.put(*(f"{i}.{j}" for j in range(count)))
            await trio.testing.wait_all_tasks_blocked()
        report = await server.shutdown(None)
    assert report.finished == 3 * count
    assert_accounted(server, report)
