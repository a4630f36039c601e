"""The promises, for datagrams that one task serves in a row."""

from __future__ import annotations

import contextvars
import errno
import weakref
from typing import Any

import pytest
import trio
import trio.testing
from hypothesis import given, settings
from hypothesis import strategies as st

import trioserver

from .kit import memory_network, settle
from .test_leader import Waiting, numbered, served

mine: contextvars.ContextVar[Any] = contextvars.ContextVar("mine", default=None)
outer: contextvars.ContextVar[Any] = contextvars.ContextVar("outer", default=None)


@given(plan=st.lists(st.tuples(st.integers(0, 2), st.integers(0, 2), st.booleans()), max_size=30))
@settings(max_examples=50)
def test_no_datagram_sees_the_variables_of_another(plan: list[tuple[int, int, bool]]) -> None:
    """Whether it waits or not, and those before it: it begins with the server's, and keeps its own."""
    done: list[int] = []

    async def handler(request: trioserver.Datagram, client_address: Any, server: Any) -> None:
        number = int(request.data)
        before, after, fails = plan[number]
        for _ in range(before):
            await trio.lowlevel.checkpoint()
        assert (mine.get(), outer.get()) == (None, "server's")
        mine.set(number)
        assert trio.lowlevel.current_task().context[mine] == number
        for _ in range(after):
            await trio.lowlevel.checkpoint()
        assert mine.get() == number
        done.append(number)
        if fails:
            raise ValueError(number)

    class Server(trioserver.UDPServer):
        async def handle_error(self, request: Any, client_address: Any) -> None:
            assert mine.get() == int(request.data)

    async def main() -> None:
        outer.set("server's")
        async with served(handler, Server) as (server, endpoint):
            outer.set("somebody else's")
            endpoint.feed(*(b"%d" % number for number in range(len(plan))))
            await settle()
            assert sorted(done) == list(range(len(plan)))
            assert server.statistics().failed == sum(fails for _, _, fails in plan)
            assert mine.get() is None

    trio.run(main)


@pytest.mark.parametrize("stop", ["request_shutdown", "cancel"])
async def test_p2_nothing_is_taken_after_a_stop_between_two_datagrams(stop: str) -> None:
    """What the leader took it has served; what it had not taken is still in the socket."""
    done: list[bytes] = []
    scope = trio.CancelScope()

    async def handler(request: trioserver.Datagram, client_address: Any, server: Any) -> None:
        done.append(request.data)
        if request.data == b"7":
            server.request_shutdown() if stop == "request_shutdown" else scope.cancel()

    seen = []
    with scope:
        async with served(handler) as both:
            seen.append(both)
            both[1].feed(*numbered)
            await trio.sleep_forever() if stop == "cancel" else await settle()
    [(server, endpoint)] = seen
    assert done == numbered[:8]
    assert endpoint.left == 22
    statistics = server.statistics()
    assert (statistics.accepted, statistics.finished, statistics.active) == (8, 8, 0)


async def test_p3_p4_a_datagram_that_fails_in_its_first_step_is_one_that_failed() -> None:
    """`handle_error` has the exception, and may wait; the others are served."""
    errors: list[Any] = []
    handled = trio.Event()

    class Server(trioserver.UDPServer):
        async def handle_error(self, request: Any, client_address: Any) -> None:
            await handled.wait()
            errors.append(request.data)

    async def handler(request: trioserver.Datagram, client_address: Any, server: Any) -> None:
        if int(request.data) % 10 == 3:
            raise ExceptionGroup("two", [ValueError(), KeyError()])

    async with served(handler, Server) as (server, endpoint):
        endpoint.feed(*numbered)
        await settle()
        assert (server.statistics().finished, len(server.requests)) == (27, 3)
        handled.set()
        await settle()
        assert sorted(errors) == [b"13", b"23", b"3"]
        assert (server.statistics().failed, server.requests) == (3, ())


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit])
async def test_p4_a_fatal_error_in_the_first_step_stops_the_server_bare(error: type[BaseException]) -> None:
    """And no other datagram is taken."""

    async def handler(request: trioserver.Datagram, client_address: Any, server: Any) -> None:
        if request.data == b"4":
            raise error

    seen = []
    with pytest.raises(error):
        async with served(handler) as both:
            seen.append(both)
            both[1].feed(*numbered)
            await trio.sleep_forever()
    [(server, endpoint)] = seen
    assert (server.statistics().finished, server.statistics().failed, endpoint.left) == (4, 1, 25)


@pytest.mark.parametrize("count", [1, 30, 63, 64, 65, 200])
async def test_p4_a_datagram_that_cancels_itself_and_does_not_wait_cancels_no_other(count: int) -> None:
    """Also where it is the last one before the others' turn."""
    done: list[bytes] = []

    async def handler(request: trioserver.Datagram, client_address: Any, server: Any) -> None:
        if request.data == b"0":
            server.current_request().cancel()
        elif request.data == b"1":
            await trio.lowlevel.checkpoint()
        done.append(request.data)

    async with served(handler) as (server, endpoint):
        endpoint.feed(*[b"2"] * (count - 1), b"0", b"1", b"2")
        await settle()
        assert len(done) == count + 2 == server.statistics().finished


async def test_p5_request_timeout_cancels_a_datagram_that_waits_and_no_other(
    autojump_clock: trio.testing.MockClock,
) -> None:
    """It counts from when it was taken."""
    handler = Waiting()
    async with served(handler, request_timeout=3) as (server, endpoint):
        endpoint.feed(b"a", b"w1", b"b")
        await trio.sleep(2)
        endpoint.feed(b"w2")
        await trio.sleep(2)
        assert [record.request.data for record in server.requests] == [b"w2"]
        assert (server.statistics().finished, server.statistics().cancelled) == (2, 1)


@pytest.mark.parametrize("limit", [1, 2, 5])
@pytest.mark.parametrize("lowered", [False, True])
async def test_p6_never_more_than_max_requests(limit: int, lowered: bool) -> None:
    """Also where the limit is lowered by a request that the leader serves."""
    active = most = 0

    async def handler(request: trioserver.Datagram, client_address: Any, server: Any) -> None:
        nonlocal active, most
        server.max_requests = limit
        active += 1
        most = max(most, active, len(server.requests))
        if int(request.data) % 3:
            await trio.lowlevel.checkpoint()
        active -= 1

    async with served(handler, max_requests=None if lowered else limit) as (server, endpoint):
        endpoint.feed(*numbered)
        await settle()
        assert server.statistics().finished == 30
    assert most <= limit


async def test_p7_errors_of_receiving_are_skipped_in_the_midst_of_a_burst_and_fatal_ones_raised() -> None:
    """The accept loop deals with them, as without a leader."""
    handler = Waiting()
    with pytest.raises(OSError, match="fatal"):
        async with served(handler) as (server, endpoint):
            endpoint.feed(b"a")
            await settle()
            endpoint.fail(OSError(errno.ECONNREFUSED, "of a peer"), OSError(errno.ENOBUFS, "exhausted"))
            endpoint.feed(b"b", b"c")
            with trio.fail_after(5):
                while handler.done != [b"a", b"b", b"c"]:
                    await trio.lowlevel.checkpoint()
            assert server.statistics().accept_errors == 2
            endpoint.fail(OSError(errno.EIO, "fatal"))
            await trio.sleep_forever()


async def test_p10_a_flood_that_never_ends_leaves_others_their_turn() -> None:
    """And it can be stopped."""
    turns: list[int] = []

    async def handler(request: trioserver.Datagram, client_address: Any, server: Any) -> None:
        turns[-1] += 1
        endpoint.feed(b"more")

    async with served(handler) as (server, endpoint):
        turns.append(0)
        endpoint.feed(b"first")
        for _ in range(20):
            await trio.lowlevel.checkpoint()
            turns.append(0)
    assert max(turns) <= 2 * 64  # the leader may be the last to run in one round, and the first in the next
    assert sum(turns) == server.statistics().finished > 64


async def test_events_come_in_the_same_order_as_without_a_leader() -> None:
    """Each datagram is accepted, then it ends; ids count up."""
    events: list[Any] = []
    async with served(Waiting()) as (server, endpoint):
        server.add_observer(events.append)
        endpoint.feed(*numbered)
        await settle()
        names = [type(event).__name__ for event in events]
        assert names == ["RequestAccepted", "RequestEnded"] * 30
        ids = [event.request_id for event in events]
        assert ids[::2] == ids[1::2] == sorted(ids[::2])


async def test_p9_leader_when_it_can_not_receive_then_nothing_of_the_last_request_is_kept() -> None:
    """As long as accepting pauses: neither what it set in its context, nor the datagram itself."""

    class Big:
        """Something that one can tell the end of."""

    variable: contextvars.ContextVar[Big] = contextvars.ContextVar("variable")
    alive: weakref.WeakSet[Big] = weakref.WeakSet()

    async def handler(request: trioserver.Datagram, client_address: Any, server: Any) -> None:
        variable.set(big := Big())
        alive.add(big)
        if request.data == b"2":
            network.endpoint.fail(OSError(errno.ENOMEM, "no memory"))

    with memory_network() as network:
        async with trioserver.UDPServer(("192.0.2.1", 5), handler).running() as server:
            await settle()
            network.endpoint.feed(b"1", b"2")
            await settle()
            assert (server.statistics().finished, server.statistics().accept_errors) == (2, 1)
            assert not alive
