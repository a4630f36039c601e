"""Datagrams whose handlers do not wait are served in a row by one task; one that waits keeps it."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest
import trio
import trio.testing

import trioserver

from .kit import memory_network, settle

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from .kit import FakeDatagramEndpoint


@asynccontextmanager
async def served(
    handler: Any, make: type[trioserver.UDPServer] = trioserver.UDPServer, **options: Any
) -> AsyncIterator[tuple[trioserver.UDPServer, FakeDatagramEndpoint]]:
    """A server in memory, and its socket."""
    with memory_network() as network:
        async with make(("192.0.2.1", 5), handler, **options).running() as server:
            await settle()
            yield server, network.endpoint


class Steps(trio.abc.Instrument):
    """Counts the steps of the tasks of requests."""

    def __init__(self) -> None:
        self.count = 0

    def before_task_step(self, task: trio.lowlevel.Task) -> None:
        self.count += task.name == "trioserver: request"


class Waiting:
    """A handler, all of whose requests with a "w" wait until they are let go."""

    def __init__(self) -> None:
        self.begun: list[bytes] = []
        self.done: list[bytes] = []
        self.tasks: list[trio.lowlevel.Task] = []
        self.go = trio.Event()

    async def __call__(self, request: trioserver.Datagram, client_address: Any, server: Any) -> None:
        self.begun.append(request.data)
        self.tasks.append(task := trio.lowlevel.current_task())
        if request.data.startswith(b"w"):
            await self.go.wait()
        assert trio.lowlevel.current_task() is task
        self.done.append(request.data)


numbered = [b"%d" % number for number in range(30)]


async def test_burst_when_no_handler_waits_then_one_task_serves_it_in_order_in_one_step() -> None:
    """No task switch for each, and no chance in the order."""
    handler, steps = Waiting(), Steps()
    async with served(handler) as (server, endpoint):
        trio.lowlevel.add_instrument(steps)
        endpoint.feed(*numbered)
        await settle()
        trio.lowlevel.remove_instrument(steps)
        assert handler.done == numbered
        assert len(set(handler.tasks)) == 1
        assert steps.count <= 2  # it takes the last step to look, wait and see that there is no more
        assert server.statistics().finished == 30
        assert server.statistics().bytes_received == sum(map(len, numbered))
        assert server.requests == ()


async def test_second_burst_when_the_leader_has_waited_for_it_then_the_accept_loop_is_not_needed() -> None:
    """The leader waits for datagrams by itself: each lone one is one wake-up."""
    handler, steps = Waiting(), Steps()
    async with served(handler) as (_, endpoint):
        endpoint.feed(b"first")
        await settle()
        trio.lowlevel.add_instrument(steps)
        for data in numbered:
            endpoint.feed(data)
            await settle()
        trio.lowlevel.remove_instrument(steps)
        assert handler.done == [b"first", *numbered]
        assert len(set(handler.tasks)) == 1
        assert steps.count == 30


async def test_request_when_it_waits_then_it_keeps_the_task_and_holds_up_nobody() -> None:
    """Wherever in a burst it comes."""
    handler = Waiting()
    async with served(handler) as (server, endpoint):
        endpoint.feed(b"a", b"b", b"w1", b"c", b"w2", b"d")
        await settle()
        assert handler.begun[:3] == [b"a", b"b", b"w1"]
        assert sorted(handler.done) == [b"a", b"b", b"c", b"d"]
        assert [record.request.data for record in server.requests] == [b"w1", b"w2"]
        handler.go.set()
        await settle()
        assert sorted(handler.done[4:]) == [b"w1", b"w2"]
        assert server.statistics().finished == 6


async def test_requests_when_all_wait_then_all_are_there_at_once() -> None:
    """A lead is no limit."""
    handler = Waiting()
    async with served(handler) as (server, endpoint):
        endpoint.feed(*(b"w%d" % number for number in range(300)))
        await settle()
        assert len(server.requests) == 300 == len(set(handler.tasks))
        handler.go.set()
        await settle()
        assert server.statistics().finished == 300


async def test_scopes_and_nurseries_when_opened_before_the_first_wait_then_are_valid_after_it(
    autojump_clock: trio.testing.MockClock,
) -> None:
    """All of a request runs in one task, its first step, too."""
    ended: list[Any] = []

    async def handler(request: trioserver.Datagram, client_address: Any, server: Any) -> None:
        with trio.move_on_after(int(request.data)) as scope:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(trio.sleep, 2)
                async with agen() as value:
                    await trio.sleep(value)
        ended.append((request.data, scope.cancelled_caught, trio.current_time()))

    @asynccontextmanager
    async def agen() -> AsyncIterator[int]:
        yield 2

    async with served(handler) as (_, endpoint):
        endpoint.feed(b"1", b"3")
        await trio.sleep(5)
    assert sorted(ended) == [(b"1", True, 1), (b"3", False, 2)]


async def test_place_where_a_request_waits_when_its_task_is_looked_at_then_the_handlers_frame_is_there() -> (
    None
):
    """Who prints the stacks of all tasks sees where requests wait, as everywhere else."""
    handler = Waiting()
    async with served(handler) as (server, endpoint):
        endpoint.feed(b"a", b"w")
        await settle()
        task = server.requests[0].task
        assert task is not None
        names = [frame.f_code.co_name for frame, _ in task.iter_await_frames()]
        assert names[0] == "lead_requests"
        assert names[-2:] == ["wait", "park"] or "__call__" in names
        assert "__call__" in names


async def test_request_when_it_looks_at_itself_in_its_first_step_then_it_is_registered() -> None:
    """It is in ``requests`` and has an id, be it that nobody else can see it."""
    seen: list[Any] = []

    async def handler(
        request: trioserver.Datagram, client_address: Any, server: trioserver.UDPServer
    ) -> None:
        assert server.statistics().active == 1
        record = server.current_request()
        assert record is not None
        assert server.requests == (record,)
        assert (record.request, record.client_address) == (request, client_address)
        assert record.state is trioserver.RequestState.RUNNING
        seen.append(record.id)

    async with served(handler) as (server, endpoint):
        endpoint.feed(*numbered)
        await settle()
        assert seen == list(range(1, 31))
        assert server.statistics().finished == 30


@pytest.mark.parametrize("hook", ["verify_request", "process_request", "shutdown_request", "close_request"])
async def test_hook_when_overridden_and_it_waits_then_requests_wait_in_it(hook: str) -> None:
    """As in the handler: others are served meanwhile."""
    handler, go = Waiting(), trio.Event()
    base = getattr(trioserver.UDPServer, hook)

    async def waits(self: Any, request: Any, *args: Any) -> Any:
        if request.data == b"1":
            await go.wait()
        return await base(self, request, *args)

    async with served(handler, type("Hooked", (trioserver.UDPServer,), {hook: waits})) as (server, endpoint):
        endpoint.feed(*numbered)
        await settle()
        assert [record.request.data for record in server.requests] == [b"1"]
        assert server.statistics().finished == 29
        go.set()
        await settle()
        assert sorted(handler.done) == sorted(numbered)
        assert server.statistics().finished == 30


async def test_hook_when_set_on_a_server_that_leads_then_holds_from_the_next_request_on() -> None:
    """Whoever turns a filter on means at once."""
    done: list[bytes] = []

    async def handler(request: trioserver.Datagram, client_address: Any, server: Any) -> None:
        done.append(request.data)
        if request.data == b"5":

            async def verify_request(request: Any, client_address: Any) -> bool:
                return False

            server.verify_request = verify_request

    async with served(handler) as (server, endpoint):
        endpoint.feed(*numbered)
        await settle()
        assert done == numbered[:6]
        assert (server.statistics().finished, server.statistics().rejected) == (6, 24)


async def test_max_packet_size_when_set_on_a_server_that_leads_then_holds_from_the_next_request_on() -> None:
    """As every option does."""
    received: list[tuple[bytes, bool]] = []

    async def handler(request: trioserver.Datagram, client_address: Any, server: Any) -> None:
        received.append((request.data, request.truncated))
        server.max_packet_size = 2

    async with served(handler) as (_, endpoint):
        endpoint.feed(b"long", b"long", b"ok")
        await settle()
        assert received == [(b"long", False), (b"lo", True), (b"ok", False)]
