"""Closing so that the client gets the end of the reply, in bounded time."""

from __future__ import annotations

import socket
import sys
from typing import TYPE_CHECKING

import pytest
import trio
import trio.testing

from trioserver import StreamWriter
from trioserver._transports.closing import discard_input
from trioserver._transports.outbox import Outbox
from trioserver._transports.socket_stream import SocketStream

from .kit import FakeEndpoint, read_all_of, reset

if TYPE_CHECKING:
    from .kit import Wires


async def test_close_when_the_client_sent_what_nobody_read_then_it_gets_all_of_the_reply(
    wires: Wires,
) -> None:
    """The stdlib resets the connection here, and the client loses the end of the reply."""
    stream, peer = wires.with_peer("tcp")
    reply = bytes(range(256)) * 4096
    peer.send(b"a request and a body that nobody reads" * 100)

    async def serve() -> None:
        await stream.receive_some(10)
        await stream.send_all(reply)
        await stream.close_gracefully(timeout=30, max_bytes=1 << 20)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(serve)
        assert await read_all_of(peer) == reply
        peer.close()
    assert stream.closed


async def test_close_when_something_is_gathered_then_it_is_sent_first(wires: Wires) -> None:
    """What was written and not yet sent belongs to the reply."""
    stream, peer = wires.with_peer("tcp")
    await StreamWriter(stream, buffer_bytes=1000).write(b"gathered")
    async with trio.open_nursery() as nursery:

        @nursery.start_soon
        async def _() -> None:
            await stream.close_gracefully(timeout=30, max_bytes=1000)

        assert await read_all_of(peer) == b"gathered"
        peer.close()
    assert stream.closed


async def test_close_when_the_client_has_closed_then_it_is_at_once(wires: Wires) -> None:
    """After the end of the stream, or a reset, there is nothing to wait for."""
    for how in ("end", "reset"):
        stream, peer = wires.with_peer("tcp")
        if how == "end":
            peer.shutdown(socket.SHUT_WR)
            assert await stream.receive_some() == b""
        else:
            reset(peer)
        with trio.fail_after(5):
            await stream.close_gracefully(timeout=1000, max_bytes=1000)
        assert stream.closed


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere nothing tells what was acknowledged")
async def test_close_when_the_client_only_reads_then_it_ends_with_the_acknowledgement(wires: Wires) -> None:
    """A client that has acknowledged everything and sent nothing is not waited for."""
    stream, peer = wires.with_peer("tcp")
    await stream.send_all(b"reply")
    with trio.fail_after(5):
        await stream.close_gracefully(timeout=1000, max_bytes=1000)
    assert await read_all_of(peer) == b"reply"


async def test_discard_when_the_peer_never_acknowledges_then_it_ends_exactly_at_the_timeout(
    autojump_clock: trio.testing.MockClock,
) -> None:
    """A peer that neither closes nor acknowledges is left to the kernel after the timeout."""
    for unsent in (1000, None):
        endpoint = FakeEndpoint()
        endpoint.unsent = unsent
        start = trio.current_time()
        await discard_input(endpoint, timeout=2.5, max_bytes=1000)
        assert trio.current_time() - start == 2.5
        assert endpoint.calls[0] == f"shutdown {socket.SHUT_WR}"
        assert endpoint.calls.count("recv") < 20


async def test_discard_when_the_acknowledgement_comes_late_then_it_is_noticed(
    autojump_clock: trio.testing.MockClock,
) -> None:
    """Nothing tells that it came, so it is looked for, at growing intervals."""
    endpoint = FakeEndpoint()
    endpoint.unsent = 1
    async with trio.open_nursery() as nursery:

        @nursery.start_soon
        async def _() -> None:
            await trio.sleep(0.5)
            endpoint.unsent = 0

        await discard_input(endpoint, timeout=100, max_bytes=1000)
    assert 0.5 <= trio.current_time() <= 1


async def test_discard_when_the_peer_sends_on_and_on_then_it_ends_at_so_many_bytes() -> None:
    """What is read and thrown away is bounded, and others get their turn meanwhile."""
    endpoint = FakeEndpoint(*[b"x" * 1000] * 100)
    endpoint.unsent = 1
    await discard_input(endpoint, timeout=1000, max_bytes=10_000)
    assert len(endpoint.incoming) == 90


@pytest.mark.parametrize("end", [b"", ConnectionResetError(104, "reset")])
async def test_discard_when_the_peer_is_done_then_it_ends(end: bytes | OSError) -> None:
    """The peer's end, or its reset, is the end."""
    endpoint = FakeEndpoint(b"rest", end)
    endpoint.unsent = 1
    await discard_input(endpoint, timeout=1000, max_bytes=1000)
    assert endpoint.calls.count("recv") == 2


async def test_discard_when_the_endpoint_is_closed_meanwhile_then_it_ends() -> None:
    """Closing from another task ends it."""
    endpoint = FakeEndpoint()
    endpoint.unsent = 1
    async with trio.open_nursery() as nursery:
        nursery.start_soon(lambda: discard_input(endpoint, timeout=1000, max_bytes=1000))
        while not endpoint._readers:
            await trio.lowlevel.checkpoint()
        endpoint.close()
    assert endpoint.socket.closed


async def test_close_when_cancelled_then_the_stream_is_closed_all_the_same(wires: Wires) -> None:
    """A cancelled close does not leave the descriptor open."""
    stream, _ = wires.with_peer("tcp", small=True)
    with trio.move_on_after(0):
        await stream.send_all(bytes(1 << 20))
    with trio.CancelScope() as scope:
        scope.cancel()
        await stream.close_gracefully(timeout=1000, max_bytes=1000)
    assert stream.closed
    assert stream.socket.fileno() == -1


async def test_close_when_the_stream_was_closed_then_nothing_happens() -> None:
    """A handler may close its stream; closing gracefully after that is fine."""
    endpoint = FakeEndpoint()
    stream = SocketStream(endpoint)
    stream.close()
    await stream.close_gracefully(timeout=1, max_bytes=1)
    assert "shutdown 1" not in endpoint.calls


async def test_close_when_gathered_output_finds_no_room_then_waits_no_longer_than_its_timeout(
    autojump_clock: trio.testing.MockClock,
) -> None:
    """A peer that never reads holds a finished request up for a while, and not for ever."""
    stream = SocketStream(FakeEndpoint(room=0))
    stream.outbox = Outbox(stream)
    stream.outbox.add(b"the end of the reply")
    start = trio.current_time()
    await stream.close_gracefully(timeout=2.0, max_bytes=1000)
    assert trio.current_time() - start == 2.0
    assert stream.closed
