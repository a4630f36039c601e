"""`DatagramRequestHandler`: ``packet``, ``rfile``, ``wfile``, and what ``finish`` does."""

from __future__ import annotations

import io
import logging
from typing import TYPE_CHECKING, Any

import pytest
import trio
import trio.testing

import trioserver

from .kit import CLIENT, client_of, memory_network, settle

if TYPE_CHECKING:
    from collections.abc import Callable

    from .kit import FakeDatagramEndpoint


async def served(
    handler: Any,
    *datagrams: bytes,
    prepare: Callable[[FakeDatagramEndpoint], object] | None = None,
    **options: Any,
) -> tuple[list[bytes], trioserver.ServerStatistics]:
    """What comes back for these datagrams, in memory."""
    with memory_network() as network:
        async with trioserver.UDPServer(("192.0.2.1", 5), handler, **options).running() as server:
            if prepare is not None:
                prepare(network.endpoint)
            network.endpoint.feed(*datagrams)
            await settle()
        return [data for data, _ in network.endpoint.sent], server.statistics()


async def test_handler_when_it_writes_then_all_of_it_is_one_datagram() -> None:
    """``rfile`` is the packet, and what was written to ``wfile`` goes out once, at the end."""

    class Handler(trioserver.DatagramRequestHandler):
        async def handle(self) -> None:
            assert self.rfile.readline() == b"one\n"
            assert self.rfile.read() == b"two"
            assert (self.packet, self.truncated) == (b"one\ntwo", False)
            assert self.request == (self.packet, self.socket)
            self.wfile.write(b"three ")
            await trio.lowlevel.checkpoint()
            self.wfile.write(b"four")

    sent, statistics = await served(Handler, b"one\ntwo")
    assert (sent, statistics.finished) == ([b"three four"], 1)


async def test_handler_when_it_writes_nothing_then_nothing_is_sent() -> None:
    """No empty datagram, other than in the stdlib; to send one is one call."""

    class Handler(trioserver.DatagramRequestHandler):
        async def handle(self) -> None:
            self.wfile.write(b"")
            if self.packet == b"empty, please":
                await self.socket.sendto(b"", self.client_address)

    class Overriding(Handler):
        async def finish(self) -> None:
            await super().finish()

    class InPlace(trioserver.DatagramRequestHandler):
        def handle(self) -> None:
            self.wfile.write(b"")

    assert (await served(Handler, b"hello"))[0] == []
    assert (await served(Overriding, b"hello"))[0] == []
    assert (await served(InPlace, b"hello"))[0] == []
    assert (await served(Handler, b"empty, please"))[0] == [b""]


async def test_handler_when_the_datagram_was_cut_then_it_knows() -> None:
    """``truncated`` is that of the request."""

    class Handler(trioserver.DatagramRequestHandler):
        async def handle(self) -> None:
            self.wfile.write(b"%r %s" % (self.truncated, self.packet))

    sent, _ = await served(Handler, b"1234", b"12345", max_packet_size=4)
    assert sorted(sent) == [b"False 1234", b"True 1234"]


async def test_handler_when_setup_and_finish_are_overridden_then_all_three_run() -> None:
    """In the order of the stdlib; what ``setup`` does not do is not missed."""
    calls: list[str] = []

    class Handler(trioserver.DatagramRequestHandler):
        async def setup(self) -> None:
            calls.append("setup")

        async def handle(self) -> None:
            calls.append("handle")
            self.wfile.write(b"reply")

        async def finish(self) -> None:
            calls.append("finish")
            await super().finish()

    class Polite(Handler):
        async def setup(self) -> None:
            await super().setup()

    sent, _ = await served(Polite, b"hello")
    assert (sent, calls) == ([b"reply"], ["setup", "handle", "finish"])


async def test_handler_when_nothing_is_overridden_then_does_nothing() -> None:
    """The base class is a server that listens and says nothing."""
    sent, statistics = await served(trioserver.DatagramRequestHandler, b"hello")
    assert (sent, statistics.finished) == ([], 1)


async def test_handler_when_setup_raises_then_the_rest_is_not_called() -> None:
    """And the error is reported."""

    class Handler(trioserver.DatagramRequestHandler):
        async def setup(self) -> None:
            self.wfile.write(b"never sent")
            raise ValueError("setup")

    sent, statistics = await served(Handler, b"hello")
    assert (sent, statistics.failed) == ([], 1)


@pytest.mark.parametrize("overridden", [False, True])
async def test_finish_when_the_handler_fails_or_is_cancelled_then_runs(overridden: bool) -> None:
    """As in the stdlib: what was written by then is sent."""

    class Handler(trioserver.DatagramRequestHandler):
        async def handle(self) -> None:
            self.wfile.write(self.packet)
            if self.packet == b"fails":
                raise ValueError(self.packet)
            await trio.sleep_forever()

    class Overriding(Handler):
        async def finish(self) -> None:
            await super().finish()

    sent, statistics = await served(Overriding if overridden else Handler, b"fails", b"is cancelled")
    assert sorted(sent) == [b"fails", b"is cancelled"]
    assert (statistics.failed, statistics.cancelled) == (1, 1)


async def test_finish_when_there_is_no_room_then_waits() -> None:
    """The reply is not lost."""

    class Handler(trioserver.DatagramRequestHandler):
        async def handle(self) -> None:
            self.wfile.write(b"reply")

    with memory_network() as network:
        async with trioserver.UDPServer(("192.0.2.1", 5), Handler).running() as server:
            network.endpoint.room = 0
            network.endpoint.feed(b"hello")
            await settle()
            assert (network.endpoint.sent, len(server.requests)) == ([], 1)
            network.endpoint.make_room(1)
            await settle()
            assert (network.endpoint.sent, server.requests) == ([(b"reply", CLIENT)], ())


async def test_finish_when_cancelled_and_there_is_no_room_then_is_cut_short_after_finish_timeout(
    autojump_clock: trio.testing.MockClock,
) -> None:
    """P5, and the event says so."""

    class Handler(trioserver.DatagramRequestHandler):
        finish_timeout = 3

        async def handle(self) -> None:
            self.wfile.write(b"reply")
            await trio.sleep_forever()

    events: list[Any] = []
    with memory_network() as network:
        server = trioserver.UDPServer(("192.0.2.1", 5), Handler)
        server.add_observer(events.append)
        async with server.running():
            network.endpoint.room = 0
            network.endpoint.feed(b"hello")
            await settle()
            start = trio.current_time()
            await server.shutdown()
            assert trio.current_time() - start == pytest.approx(3)
    (ended,) = [event for event in events if isinstance(event, trioserver.RequestEnded)]
    assert ended.outcome is trioserver.Outcome.CANCELLED
    assert ended.timeouts == (trioserver.Timeout.FINISH,)


async def test_files_when_replaced_then_the_new_ones_count() -> None:
    """They are attributes as in the stdlib, though they are made when they are first asked for."""

    class Handler(trioserver.DatagramRequestHandler):
        async def handle(self) -> None:
            assert self.rfile is self.rfile
            self.rfile = io.BytesIO(b"other")
            self.wfile.write(b"not sent")
            self.wfile = io.BytesIO()
            self.wfile.write(self.rfile.read())

    assert (await served(Handler, b"hello"))[0] == [b"other"]


async def test_client_when_it_sends_from_port_0_then_gets_no_reply_and_nothing_fails(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """RFC 768: a source port of zero asks for none."""

    class Handler(trioserver.DatagramRequestHandler):
        async def handle(self) -> None:
            self.wfile.write(b"reply")

    caplog.set_level(logging.INFO, "trioserver")
    with memory_network() as network:
        async with trioserver.UDPServer(("192.0.2.1", 5), Handler).running() as server:
            network.endpoint.feed(b"hello", address=("192.0.2.7", 0))
            await settle()
            assert (network.endpoint.sent, server.statistics().finished) == ([], 1)
    assert caplog.records == []


async def test_drain_when_a_handler_still_runs_then_it_can_reply() -> None:
    """The socket stays open until the last request has ended, other than a listening one."""
    go = trio.Event()

    class Handler(trioserver.DatagramRequestHandler):
        async def handle(self) -> None:
            await go.wait()
            self.wfile.write(b"reply")

    server = trioserver.UDPServer(("127.0.0.1", 0), Handler)
    async with trio.open_nursery() as nursery:
        await nursery.start(server.serve_forever)
        async with client_of(server) as client:
            await client.send(b"hello")
            while not server.requests:
                await trio.lowlevel.checkpoint()
            server.request_shutdown(None)
            await client.send(b"too late")
            await settle()
            go.set()
            assert await client.receive() == b"reply"
    assert (server.fileno(), server.statistics().accepted) == (-1, 1)


async def test_server_close_when_a_handler_runs_then_its_finish_can_reply_and_the_socket_is_closed() -> None:
    """P1: it returns when nothing runs and nothing is open."""

    class Handler(trioserver.DatagramRequestHandler):
        async def handle(self) -> None:
            await trio.sleep_forever()

        async def finish(self) -> None:
            self.wfile.write(b"goodbye")
            await super().finish()

    server = trioserver.UDPServer(("127.0.0.1", 0), Handler)
    async with trio.open_nursery() as nursery:
        await nursery.start(server.serve_forever)
        async with client_of(server) as client:
            await client.send(b"hello")
            while not server.requests:
                await trio.lowlevel.checkpoint()
            await server.server_close()
            assert server.fileno() == -1
            assert await client.receive() == b"goodbye"
