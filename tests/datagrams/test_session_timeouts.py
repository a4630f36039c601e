"""When the session of a silent peer ends: exactly so under a ``MockClock``."""

from __future__ import annotations

from typing import Any

import pytest
import trio
import trio.testing

import trioserver

from .kit import CLIENT, OTHER, memory_network, settle

ADDRESS = ("192.0.2.1", 5)


class Ends:
    """When sessions ended, by their events."""

    def __init__(self, server: trioserver.UDPSessionServer) -> None:
        self.start = trio.current_time()
        self.seen: list[tuple[Any, float, tuple[trioserver.Timeout, ...]]] = []
        server.add_observer(self)

    def __call__(self, event: trioserver.ServerEvent) -> None:
        """One event."""
        if isinstance(event, trioserver.RequestEnded):
            assert event.outcome is trioserver.Outcome.FINISHED
            self.seen.append((event.client_address, event.time - self.start, event.timeouts))


async def read(session: trioserver.DatagramSession, client_address: Any, server: Any) -> None:
    """Read all."""
    async for _ in session:
        pass
    assert session.expired != server._sessions.draining


IDLE = (trioserver.Timeout.IDLE,)


async def test_peer_when_silent_then_its_session_ends_session_timeout_after_its_last_datagram(
    autojump_clock: trio.testing.MockClock,
) -> None:
    """Each at its own time; the event says why."""
    with memory_network() as network:
        server = trioserver.UDPSessionServer(ADDRESS, read, session_timeout=10)
        ends = Ends(server)
        async with server.running():
            network.endpoint.feed(b"1")
            await trio.sleep(3)
            network.endpoint.feed(b"1", address=OTHER)
            await trio.sleep(3)
            network.endpoint.feed(b"2")
            await trio.sleep(100)
            assert ends.seen == [(OTHER, 13, IDLE), (CLIENT, 16, IDLE)]


async def test_peer_when_it_sends_again_and_again_then_its_session_goes_on(
    autojump_clock: trio.testing.MockClock,
) -> None:
    """Each datagram counts, an empty one, too."""
    with memory_network() as network:
        server = trioserver.UDPSessionServer(ADDRESS, read, session_timeout=10)
        ends = Ends(server)
        async with server.running():
            for _ in range(20):
                network.endpoint.feed(b"")
                await trio.sleep(9)
            await trio.sleep(100)
            assert ends.seen == [(CLIENT, 19 * 9 + 10, IDLE)]


async def test_handler_when_busy_then_is_told_when_it_comes_to_wait(
    autojump_clock: trio.testing.MockClock,
) -> None:
    """After what is in the queue: nothing that came is lost."""
    seen: list[bytes] = []

    async def busy(session: trioserver.DatagramSession, client_address: Any, server: Any) -> None:
        async for data in session:
            seen.append(data)
            await trio.sleep(25)

    with memory_network() as network:
        server = trioserver.UDPSessionServer(ADDRESS, busy, session_timeout=10)
        ends = Ends(server)
        async with server.running():
            network.endpoint.feed(b"1", b"2")
            await trio.sleep(100)
            assert (seen, ends.seen) == ([b"1", b"2"], [(CLIENT, 50, IDLE)])


async def test_handler_when_busy_and_the_peer_speaks_again_then_the_session_goes_on(
    autojump_clock: trio.testing.MockClock,
) -> None:
    """It is over only when the handler was told."""
    seen: list[bytes] = []

    async def busy(session: trioserver.DatagramSession, client_address: Any, server: Any) -> None:
        async for data in session:
            seen.append(data)
            await trio.sleep(25)

    with memory_network() as network:
        server = trioserver.UDPSessionServer(ADDRESS, busy, session_timeout=10)
        ends = Ends(server)
        async with server.running():
            network.endpoint.feed(b"1")
            await trio.sleep(24)
            network.endpoint.feed(b"2")
            await trio.sleep(100)
            assert (seen, ends.seen) == ([b"1", b"2"], [(CLIENT, 50, IDLE)])


async def test_receive_when_the_peer_is_silent_then_raises_end_of_channel(
    autojump_clock: trio.testing.MockClock,
) -> None:
    """Time after time; and the session may still say goodbye."""

    async def handler(session: trioserver.DatagramSession, client_address: Any, server: Any) -> None:
        await session.receive()
        for _ in range(2):
            with pytest.raises(trio.EndOfChannel):
                await session.receive()
        await session.send(b"goodbye")

    with memory_network() as network:
        server = trioserver.UDPSessionServer(ADDRESS, handler, session_timeout=10)
        ends = Ends(server)
        async with server.running():
            network.endpoint.feed(b"1")
            await trio.sleep(11)
            assert ends.seen == [(CLIENT, 10, IDLE)]
            assert network.endpoint.sent == [(b"goodbye", CLIENT)]


async def test_timeout_when_none_then_a_session_never_ends_by_itself(
    autojump_clock: trio.testing.MockClock,
) -> None:
    """And when it is set meanwhile it holds for the next wait."""
    with memory_network() as network:
        server = trioserver.UDPSessionServer(ADDRESS, read, session_timeout=None)
        ends = Ends(server)
        async with server.running():
            network.endpoint.feed(b"1")
            await trio.sleep(80_000)
            assert len(server.requests) == 1
            server.session_timeout = 10
            network.endpoint.feed(b"2")
            await trio.sleep(100)
            assert ends.seen == [(CLIENT, 80_010, IDLE)]


async def test_sessions_when_there_are_many_then_one_task_watches_them_all(
    autojump_clock: trio.testing.MockClock,
) -> None:
    """A timer for each would cost as much as a task."""
    with memory_network() as network:
        server = trioserver.UDPSessionServer(ADDRESS, read, session_timeout=10)
        ends = Ends(server)
        async with server.running():
            before = trio.lowlevel.current_statistics().tasks_living
            for number in range(500):
                network.endpoint.feed(b"", address=("192.0.2.9", number + 1))
            await settle()
            assert trio.lowlevel.current_statistics().tasks_living - before <= 501
            await trio.sleep(10.001)
            assert [when for _, when, _ in ends.seen] == [10] * 500
            assert all(timeouts == IDLE for _, _, timeouts in ends.seen)


async def test_drain_when_it_ends_a_session_then_that_is_no_timeout(
    autojump_clock: trio.testing.MockClock,
) -> None:
    """The event does not blame the peer."""
    with memory_network() as network:
        server = trioserver.UDPSessionServer(ADDRESS, read, session_timeout=10)
        ends = Ends(server)
        async with server.running(grace_period=5):
            network.endpoint.feed(b"1")
            await trio.sleep(3)
        assert ends.seen == [(CLIENT, 3, ())]
