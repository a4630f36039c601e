"""`UDPSessionServer`: a task for each peer, and its queue."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
import trio
import trio.testing

import trioserver

from .kit import CLIENT, OTHER, MemoryNetwork, client_of, memory_network, settle

ADDRESS = ("192.0.2.1", 5)


class Room:
    """A handler that reads when it is told to, and remembers."""

    def __init__(self) -> None:
        self.sessions: list[trioserver.DatagramSession] = []
        self.seen: list[tuple[Any, list[bytes]]] = []
        self.go = trio.Event()

    async def __call__(self, session: trioserver.DatagramSession, client_address: Any, server: Any) -> None:
        """Read everything, after ``go``."""
        seen: list[bytes] = []
        self.sessions.append(session)
        self.seen.append((client_address, seen))
        await self.go.wait()
        async for data in session:
            seen.append(data)


async def echo_all(session: trioserver.DatagramSession, client_address: Any, server: Any) -> None:
    """Send back each datagram of a peer."""
    async for data in session:
        await session.send(data)


async def one_word(session: trioserver.DatagramSession, client_address: Any, server: Any) -> None:
    """Read one datagram, and return."""
    await session.send(b"only " + await session.receive())


def sent_to(network: MemoryNetwork, address: Any) -> list[bytes]:
    """What a peer got."""
    return [data for data, whom in network.endpoint.sent if whom == address]


async def test_peers_when_two_send_then_each_has_one_task_and_its_datagrams_in_order() -> None:
    """A session is all that comes from one address."""
    room = Room()
    room.go.set()
    with memory_network() as network:
        async with trioserver.UDPSessionServer(ADDRESS, room).running() as server:
            for number in range(3):
                network.endpoint.feed(b"a%d" % number)
                network.endpoint.feed(b"b%d" % number, address=OTHER)
            network.endpoint.feed(b"")
            await settle()
            assert sorted(room.seen) == [
                (CLIENT, [b"a0", b"a1", b"a2", b""]),
                (OTHER, [b"b0", b"b1", b"b2"]),
            ]
            assert [record.client_address for record in server.requests] == [CLIENT, OTHER]
            assert {record.request for record in server.requests} == set(room.sessions)
            assert "waiting" in repr(room.sessions[0])


async def test_session_when_it_sends_then_the_peer_gets_it() -> None:
    """On a real socket; the bytes are counted, in the event and in the statistics."""
    ended: list[Any] = []
    server = trioserver.UDPSessionServer(("127.0.0.1", 0), echo_all)
    server.add_observer(lambda event: ended.append(event) if type(event) is trioserver.RequestEnded else None)
    async with server.running(grace_period=5):
        async with client_of(server) as one, client_of(server) as two:
            assert [await one.ask(b"hello"), await two.ask(b""), await one.ask(b"again")] == [
                b"hello",
                b"",
                b"again",
            ]
            assert server.statistics().active == 2
    assert sorted((event.bytes_received, event.bytes_sent) for event in ended) == [(0, 0), (10, 10)]
    assert (server.statistics().bytes_received, server.statistics().finished) == (10, 2)


async def test_session_when_its_handler_is_a_class_then_is_served() -> None:
    """A subclass of `BaseRequestHandler`, with all three methods."""
    calls: list[str] = []

    class Handler(trioserver.BaseRequestHandler[trioserver.DatagramSession]):
        async def setup(self) -> None:
            calls.append("setup")

        async def handle(self) -> None:
            calls.append(repr(await self.request.receive()))

        async def finish(self) -> None:
            await self.request.send(b"goodbye")
            calls.append("finish")

    with memory_network() as network:
        async with trioserver.UDPSessionServer(ADDRESS, Handler).running():
            network.endpoint.feed(b"hello")
            await settle()
            assert (calls, sent_to(network, CLIENT)) == (["setup", "b'hello'", "finish"], [b"goodbye"])


def test_handler_when_it_is_plain_then_is_refused() -> None:
    """A session is nothing to be served without a task."""

    class Plain(trioserver.BaseRequestHandler[trioserver.DatagramSession]):
        def handle(self) -> None:  # type: ignore[override]
            """Does not wait."""

    with pytest.raises(trioserver.ConfigError, match="async def"):
        trioserver.UDPSessionServer(ADDRESS, Plain)


async def test_queue_when_full_then_the_newest_is_dropped_and_counted() -> None:
    """P9: by the session and by the server; the others go on."""
    room = Room()
    with memory_network() as network:
        async with trioserver.UDPSessionServer(ADDRESS, room, max_queued_datagrams=2).running() as server:
            network.endpoint.feed(b"1", b"2", b"3", b"4")
            network.endpoint.feed(b"other", address=OTHER)
            await settle()
            full = server.requests[0].request
            assert (full.queued, full.dropped) == (2, 2)
            room.go.set()
            await settle()
            network.endpoint.feed(b"5")
            await settle()
            assert sorted(room.seen) == [(CLIENT, [b"1", b"2", b"5"]), (OTHER, [b"other"])]
            assert server.datagrams_lost.full_queues == 2


async def test_queue_when_a_burst_comes_at_once_then_the_default_holds_it() -> None:
    """64 are read before a session gets its turn, and 64 fit; a longer burst is read while it gets turns."""
    with memory_network() as network:
        async with trioserver.UDPSessionServer(ADDRESS, echo_all).running() as server:
            await settle()
            network.endpoint.feed(*[b"%d" % number for number in range(64)])
            await settle()
            assert sent_to(network, CLIENT) == [b"%d" % number for number in range(64)]
            assert server.datagrams_lost.full_queues == 0


async def test_limit_when_reached_then_unknown_peers_are_dropped_and_known_ones_read() -> None:
    """P6: there are never more sessions than ``max_requests``; when one has ended there is room again."""
    room = Room()
    room.go.set()
    with memory_network() as network:
        async with trioserver.UDPSessionServer(ADDRESS, room, max_requests=1).running() as server:
            network.endpoint.feed(b"1")
            network.endpoint.feed(b"refused", b"refused", address=OTHER)
            network.endpoint.feed(b"2")
            await settle()
            assert room.seen == [(CLIENT, [b"1", b"2"])]
            assert server.datagrams_lost.refused_sessions == 2
            server.requests[0].cancel()
            await settle()
            network.endpoint.feed(b"welcome", address=OTHER)
            await settle()
            assert room.seen[1:] == [(OTHER, [b"welcome"])]
            server.max_requests = 2
            network.endpoint.feed(b"3")
            await settle()
            assert room.seen[2:] == [(CLIENT, [b"3"])]


async def test_handler_when_it_returns_then_the_next_datagram_begins_another_session() -> None:
    """At once, however short the session was."""
    with memory_network() as network:
        async with trioserver.UDPSessionServer(ADDRESS, one_word, max_requests=1).running() as server:
            for number in range(3):
                network.endpoint.feed(b"%d" % number)
                await settle()
            assert sent_to(network, CLIENT) == [b"only 0", b"only 1", b"only 2"]
            assert server.statistics().finished == 3


async def test_handler_when_it_returns_and_more_has_come_then_that_begins_another_session() -> None:
    """So it makes no difference whether they came before or after it returned."""
    with memory_network() as network:
        async with trioserver.UDPSessionServer(ADDRESS, one_word, max_requests=1).running() as server:
            network.endpoint.feed(b"0", b"1", b"2")
            await settle()
            assert sent_to(network, CLIENT) == [b"only 0", b"only 1", b"only 2"]
            assert server.statistics().finished == 3
            assert server.datagrams_lost == trioserver.DatagramsLost(receive_buffer=None)


async def test_session_when_cancelled_then_what_it_has_not_read_is_lost_and_counted() -> None:
    """Whoever cancels a session wants to see no more of that; what comes later begins another one."""
    room = Room()
    with memory_network() as network:
        async with trioserver.UDPSessionServer(ADDRESS, room).running() as server:
            network.endpoint.feed(b"1", b"2")
            await settle()
            server.requests[0].cancel()
            await settle()
            assert (len(room.seen), server.datagrams_lost.unread) == (1, 2)
            network.endpoint.feed(b"3")
            await settle()
            assert len(room.seen) == 2
        assert server.datagrams_lost.unread == 3
    assert server.statistics().cancelled == 2


async def test_session_when_closed_then_receives_and_sends_no_more() -> None:
    """After its handler has returned, or ``aclose()``; those who wait are told."""
    errors: list[str] = []

    async def handler(session: trioserver.DatagramSession, client_address: Any, server: Any) -> None:
        async def receive() -> None:
            try:
                await session.receive()
            except trio.ClosedResourceError:
                errors.append("receive")

        await session.receive()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(receive)
            for _ in range(5):
                await trio.lowlevel.checkpoint()
            await session.aclose()
        with pytest.raises(trio.ClosedResourceError):
            await session.send(b"")
        with pytest.raises(trio.ClosedResourceError):
            session.send_nowait(b"")
        assert session.closed
        assert "ended" in repr(session)

    with memory_network() as network:
        async with trioserver.UDPSessionServer(ADDRESS, handler).running() as server:
            network.endpoint.feed(b"1")
            await settle()
            assert (errors, server.statistics().finished) == (["receive"], 1)


async def test_session_when_several_tasks_receive_then_each_datagram_goes_to_one() -> None:
    """It is a channel."""
    seen: list[bytes] = []

    async def handler(session: trioserver.DatagramSession, client_address: Any, server: Any) -> None:
        async def reader() -> None:
            async for data in session:
                seen.append(data)

        async with trio.open_nursery() as nursery:
            for _ in range(3):
                nursery.start_soon(reader)

    with memory_network() as network:
        server = trioserver.UDPSessionServer(ADDRESS, handler)
        async with server.running(grace_period=5):
            for number in range(10):
                network.endpoint.feed(b"%d" % number)
                await settle()
        assert sorted(seen) == [b"%d" % number for number in range(10)]
        assert server.statistics().finished == 1


async def test_session_when_a_datagram_was_cut_then_says_so() -> None:
    """Of the one that was received last."""
    flags: list[tuple[bytes, bool]] = []

    async def handler(session: trioserver.DatagramSession, client_address: Any, server: Any) -> None:
        async for data in session:
            flags.append((data, session.truncated))

    with memory_network() as network:
        async with trioserver.UDPSessionServer(ADDRESS, handler, max_packet_size=3).running():
            network.endpoint.feed(b"123", b"1234", b"12")
            await settle()
    assert flags == [(b"123", False), (b"123", True), (b"12", False)]


async def test_send_nowait_when_there_is_no_room_then_would_block_and_send_waits() -> None:
    """As the socket's."""
    with memory_network() as network:

        async def handler(session: trioserver.DatagramSession, client_address: Any, server: Any) -> None:
            session.send_nowait(b"1")
            network.endpoint.room = 0
            with pytest.raises(trio.WouldBlock):
                session.send_nowait(b"2")
            await session.send(b"3")

        async with trioserver.UDPSessionServer(ADDRESS, handler).running() as server:
            network.endpoint.feed(b"hello")
            await settle()
            network.endpoint.make_room(5)
            await settle()
            assert sent_to(network, CLIENT) == [b"1", b"3"]
            assert server.requests == ()


async def test_handler_when_it_never_reads_then_is_called_once_for_each_datagram() -> None:
    """The datagram that began a session begins no other one; so this does not go on for ever."""
    called = 0

    async def handler(session: trioserver.DatagramSession, client_address: Any, server: Any) -> None:
        nonlocal called
        called += 1

    with memory_network() as network:
        async with trioserver.UDPSessionServer(ADDRESS, handler).running() as server:
            network.endpoint.feed(b"1", b"2", b"3")
            await settle()
            assert (called, server.statistics().finished) == (3, 3)


async def test_drain_when_sessions_wait_then_their_iteration_ends() -> None:
    """What had come is read first; so a drain does not last as long as the peers."""
    room = Room()
    with memory_network() as network:
        server = trioserver.UDPSessionServer(ADDRESS, room, session_timeout=None)
        async with trio.open_nursery() as nursery:
            await nursery.start(server.serve_forever)
            network.endpoint.feed(b"1", b"2")
            network.endpoint.feed(b"3", address=OTHER)
            await settle()
            server.request_shutdown(None)
            await settle()
            assert len(server.requests) == 2
            room.go.set()
    assert sorted(room.seen) == [(CLIENT, [b"1", b"2"]), (OTHER, [b"3"])]
    assert (server.statistics().finished, server.datagrams_lost.unread) == (2, 0)


async def test_drain_when_sessions_already_wait_then_they_are_told() -> None:
    """And the server can be served again, with new sessions."""
    room = Room()
    room.go.set()
    with memory_network() as network:
        server = trioserver.UDPSessionServer(ADDRESS, room, session_timeout=None)
        for run in (1, 2):
            async with server.running(grace_period=None):
                network.endpoint.feed(b"hello")
                await settle()
            assert room.seen == [(CLIENT, [b"hello"])] * run
    assert server.statistics().finished == 2


async def test_close_request_when_overridden_then_a_session_that_has_ended_gets_no_more_datagrams() -> None:
    """An override that forgets ``super()`` does not let datagrams vanish in a queue that nobody reads."""

    class Forgetful(trioserver.UDPSessionServer):
        async def shutdown_request(self, request: trioserver.DatagramSession) -> None:
            """Forgets."""

        async def close_request(self, request: trioserver.DatagramSession) -> None:
            """Forgets, too."""

    with memory_network() as network:
        async with Forgetful(ADDRESS, one_word).running() as server:
            for number in range(3):
                network.endpoint.feed(b"%d" % number)
                await settle()
            assert sent_to(network, CLIENT) == [b"only 0", b"only 1", b"only 2"]
            assert server.statistics().finished == 3


async def test_error_in_a_session_then_the_others_go_on() -> None:
    """P4."""
    errors: list[Any] = []

    class Server(trioserver.UDPSessionServer):
        async def handle_error(self, request: trioserver.DatagramSession, client_address: Any) -> None:
            errors.append(client_address)

    async def handler(session: trioserver.DatagramSession, client_address: Any, server: Any) -> None:
        async for data in session:
            if data == b"bad":
                raise ValueError(data)
            await session.send(data)

    with memory_network() as network:
        async with Server(ADDRESS, handler).running() as server:
            network.endpoint.feed(b"bad", b"next")
            network.endpoint.feed(b"good", address=OTHER)
            await settle()
            assert errors == [CLIENT]
            assert sent_to(network, OTHER) == [b"good"]
            assert sent_to(network, CLIENT) == [b"next"]
            assert server.statistics().failed == 1


async def test_flood_when_a_known_peer_sends_it_then_other_tasks_run_and_shutdown_ends_it() -> None:
    """P10: reading for sessions that exist is no loop without an end."""
    served = 0

    async def handler(session: trioserver.DatagramSession, client_address: Any, server: Any) -> None:
        nonlocal served
        async for _ in session:
            served += 1
            network.endpoint.feed(b"more", b"more")

    with memory_network() as network:
        server = trioserver.UDPSessionServer(ADDRESS, handler)
        async with trio.open_nursery() as nursery:
            await nursery.start(server.serve_forever)
            network.endpoint.feed(b"first")
            while served < 1000:
                await trio.lowlevel.checkpoint()
            await server.shutdown()
    assert server.requests == ()


async def test_burst_when_for_one_session_then_other_tasks_run_every_64_datagrams() -> None:
    """P10: though no request is accepted meanwhile."""
    left: list[int] = []

    async def other() -> None:
        while True:
            await trio.lowlevel.checkpoint()
            left.append(network.endpoint.left)

    with memory_network() as network:
        async with trio.open_nursery() as nursery:
            server = trioserver.UDPSessionServer(ADDRESS, echo_all, max_queued_datagrams=2000)
            await nursery.start(server.serve_forever)
            network.endpoint.feed(b"first")
            await settle()
            nursery.start_soon(other)
            network.endpoint.feed(*[b"data"] * 1000)
            left.append(1000)
            while len(network.endpoint.sent) < 1001:
                await trio.lowlevel.checkpoint()
            nursery.cancel_scope.cancel()
    # Twice that, as trio draws the order of the tasks in each turn.
    assert max(a - b for a, b in itertools.pairwise(left)) <= 128


async def test_receive_when_datagrams_wait_then_is_a_checkpoint_within_16_calls() -> None:
    """P10: a handler that reads a long queue lets others run."""
    turns = 0
    read_at: list[int] = []
    go = trio.Event()

    async def other() -> None:
        nonlocal turns
        while True:
            await trio.lowlevel.checkpoint()
            turns += 1

    async def handler(session: trioserver.DatagramSession, client_address: Any, server: Any) -> None:
        await go.wait()
        for _ in range(60):
            await session.receive()
            read_at.append(turns)

    with memory_network() as network:
        async with trio.open_nursery() as nursery, trioserver.UDPSessionServer(ADDRESS, handler).running():
            network.endpoint.feed(*[b"data"] * 60)
            await settle()
            nursery.start_soon(other)
            go.set()
            while len(read_at) < 60:
                await trio.lowlevel.checkpoint()
            nursery.cancel_scope.cancel()
    # Twice the 17 from one to the next, as trio draws the order of the tasks in each turn.
    assert max(read_at.count(turn) for turn in read_at) <= 34


async def test_request_timeout_when_a_session_lasts_longer_then_is_cancelled(
    autojump_clock: trio.testing.MockClock,
) -> None:
    """It bounds the whole of a session."""
    ended: list[Any] = []
    with memory_network() as network:
        server = trioserver.UDPSessionServer(ADDRESS, echo_all, request_timeout=7, session_timeout=None)
        server.add_observer(
            lambda event: ended.append(event) if type(event) is trioserver.RequestEnded else None
        )
        async with server.running():
            network.endpoint.feed(b"hello")
            await trio.sleep(8)
    assert [(event.duration, event.timeouts) for event in ended] == [(7, (trioserver.Timeout.REQUEST,))]


@pytest.mark.parametrize(
    ("option", "value"), [("session_timeout", -1), ("max_queued_datagrams", 0), ("session_timeout", "60")]
)
def test_option_when_unusable_then_the_error_names_it(option: str, value: Any) -> None:
    """At construction."""
    options: Any = {option: value}
    with pytest.raises(trioserver.ConfigError, match=option):
        trioserver.UDPSessionServer(ADDRESS, echo_all, **options)
