"""P10: a busy connection, or a flood of them, starves nobody, and cancellation gets through."""

from __future__ import annotations

import contextlib
import itertools

import pytest
import trio
import trio.testing
from harness import client_of, receive_all, receive_exactly, wait_until

import trioserver

from .fakes import QueueServer, ScriptedServer, assert_accounted, at_once, receive_until_closed

BUDGET = 64
"""Operations of one stream that may pass without a checkpoint."""

BATCH = 64
"""Requests that may be accepted without a checkpoint."""


class Busy(trioserver.StreamRequestHandler):
    """Echoes lines, and counts them."""

    handled = 0

    async def handle(self) -> None:
        async for line in self.rfile:
            await self.wfile.write(line)
            Busy.handled += 1


class LinesInOneStep(trio.abc.Instrument):
    """The most lines that were handled without another task having a turn."""

    def __init__(self) -> None:
        self.most = 0
        self._before = Busy.handled

    def before_task_step(self, task: trio.lowlevel.Task) -> None:
        self._before = Busy.handled

    def after_task_step(self, task: trio.lowlevel.Task) -> None:
        self.most = max(self.most, Busy.handled - self._before)


@pytest.fixture(autouse=True)
def counts_begin_at_zero() -> None:
    """The count is the class's, so that several handlers share it."""
    Busy.handled = 0


async def flood(client: trio.abc.SendStream) -> None:
    """Pipelines without end, and gets stuck when the replies are not read."""
    with contextlib.suppress(trio.BrokenResourceError):
        while True:
            await client.send_all(b"x\n" * 10_000)


async def drain(client: trio.abc.ReceiveStream) -> None:
    """Reads replies without end."""
    await receive_until_closed(client)


async def test_p10_a_client_that_pipelines_endlessly_starves_no_other(io_path: str) -> None:
    """Beside it another one gets its answers, and no more than a budget is done between two turns."""

    server = trioserver.TCPServer(("127.0.0.1", 0), Busy)
    async with server.running():
        async with client_of(server) as busy, client_of(server) as polite:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(flood, busy)
                nursery.start_soon(drain, busy)
                await wait_until(lambda: Busy.handled > 100)
                steps = LinesInOneStep()
                trio.lowlevel.add_instrument(steps)
                for _ in range(10):
                    before = Busy.handled
                    await polite.send_all(b"please\n")
                    assert await receive_exactly(polite, 7) == b"please\n"
                    assert Busy.handled - before < 100 * BUDGET
                nursery.cancel_scope.cancel()
    trio.lowlevel.remove_instrument(steps)
    # Reading and writing a line are two operations of a budget.
    assert 1 <= steps.most <= BUDGET // 2 + 1


@pytest.mark.parametrize("whole_server", [False, True])
async def test_p10_cancellation_reaches_a_busy_connection_within_its_budget(
    io_path: str, whole_server: bool
) -> None:
    """However much input is there, a cancelled handler does not go on with it."""
    server = trioserver.TCPServer(("127.0.0.1", 0), Busy)
    async with server.running():
        async with client_of(server) as busy:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(flood, busy)
                nursery.start_soon(drain, busy)
                await wait_until(lambda: Busy.handled > 100)
                before = Busy.handled
                if whole_server:
                    server.request_shutdown()
                else:
                    server.requests[0].cancel()
                await wait_until(lambda: not server.requests)
                assert Busy.handled - before <= BUDGET
                nursery.cancel_scope.cancel()


async def test_p10_a_flood_of_connections_does_not_starve_those_that_are_there() -> None:
    """Between two batches of accepted requests every other task has a turn."""
    seen: list[int] = []
    server = ScriptedServer(range(20 * BATCH), at_once)
    async with server.running():
        while len(server.taken) < 20 * BATCH:
            seen.append(len(server.taken))
            await trio.lowlevel.checkpoint()
    assert max(after - before for before, after in itertools.pairwise(seen)) <= 2 * BATCH
    assert_accounted(server)


async def test_p10_a_connection_is_served_while_others_keep_coming(io_path: str) -> None:
    """A persistent client gets its answers beside clients that connect as fast as they can."""

    class Echo(trioserver.StreamRequestHandler):
        async def handle(self) -> None:
            async for line in self.rfile:
                await self.wfile.write(line)

    server = trioserver.TCPServer(("127.0.0.1", 0), Echo)

    async def connect() -> None:
        while True:
            async with client_of(server) as client:
                await client.send_all(b"bye\n")
                await client.send_eof()
                assert await receive_all(client) == b"bye\n"

    async with server.running():
        async with client_of(server) as there:
            async with trio.open_nursery() as nursery:
                for _ in range(20):
                    nursery.start_soon(connect)
                await wait_until(lambda: server.statistics().finished > 20)
                for _ in range(10):
                    before = server.statistics().accepted
                    await there.send_all(b"still here\n")
                    assert await receive_exactly(there, 11) == b"still here\n"
                    assert server.statistics().accepted - before < 200
                nursery.cancel_scope.cancel()


@pytest.mark.parametrize("way", ["cancel", "shutdown"])
async def test_p10_a_get_request_that_never_waits_can_be_stopped(way: str) -> None:
    """An endless supply of requests ends the server no later than after a batch."""
    server = ScriptedServer(itertools.count(), at_once)
    before = 0
    with trio.CancelScope() as scope:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(server.serve_forever)
            await wait_until(lambda: server.taken)
            before = len(server.taken)
            if way == "cancel":
                scope.cancel()
            else:
                server.request_shutdown()
    assert len(server.taken) - before <= 2 * BATCH
    assert_accounted(server)


async def test_p10_a_service_action_has_its_turn_under_an_endless_supply() -> None:
    """``service_actions`` is called though `get_request` never waits."""
    calls = 0

    class Serviced(ScriptedServer):
        async def service_actions(self) -> None:
            nonlocal calls
            calls += 1

    server = Serviced(itertools.count(), at_once)
    async with server.running():
        await wait_until(lambda: calls > 3)
        taken = len(server.taken)
    assert taken <= 2 * BATCH * (calls + 2)


async def test_p10_handlers_that_do_nothing_do_not_starve_the_accept_loop() -> None:
    """A queue that always has more is shared by accepting and serving: neither runs away from the other."""
    server = QueueServer(at_once)
    server.put(*range(1000))
    most = 0
    async with server.running():
        while len(server.closed) < 1000:
            most = max(most, len(server.requests))
            await trio.lowlevel.checkpoint()
    assert most <= 2 * BATCH
    assert_accounted(server)
