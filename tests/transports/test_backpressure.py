"""P9 for writers: a peer that does not read makes writes wait, and nothing piles up or is lost."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import trio
import trio.testing

from trioserver import StreamReader, StreamWriter
from trioserver._transports.outbox import Flusher
from trioserver._transports.socket_stream import SocketStream

from .kit import FakeEndpoint, read_all_of, read_from

if TYPE_CHECKING:
    from .kit import Wires


async def test_p9_write_when_the_peer_does_not_read_then_it_waits(wires: Wires) -> None:
    """A write of more than the kernel takes waits, and ends when the peer has made room."""
    stream, peer = wires.with_peer(small=True)
    writer = StreamWriter(stream)
    data = bytes(range(256)) * 4096
    async with trio.open_nursery() as nursery:
        nursery.start_soon(writer.write, data)
        await trio.testing.wait_all_tasks_blocked()
        assert writer.pending == 0
        assert stream.bytes_sent < len(data)
        assert await read_from(peer, len(data)) == data


async def test_p9_pipelined_replies_when_the_peer_does_not_read_then_writes_wait() -> None:
    """Gathering has a bound: with input and without room, so much is gathered and then writes wait."""
    async with trio.open_nursery() as nursery:
        endpoint = FakeEndpoint(b"x" * 60000, room=10)
        stream = SocketStream(endpoint, flusher=Flusher(nursery.start_soon))
        writer = StreamWriter(stream)
        written = 0

        async def handle() -> None:
            nonlocal written
            await stream.wait_request()
            while True:
                written += await writer.write(b"r" * 1000)

        nursery.start_soon(handle)
        await trio.testing.wait_all_tasks_blocked()
        assert 65000 <= written <= 3 * 65536
        assert writer.pending <= 65536 + 1000
        endpoint.make_room(200_000)
        before = written
        await trio.testing.wait_all_tasks_blocked()
        assert written > before
        assert len(endpoint.sent) == 200_010
        nursery.cancel_scope.cancel()


async def test_write_when_gathered_replies_are_still_being_sent_then_it_waits_its_turn() -> None:
    """A write that comes while earlier replies wait for room goes out after them."""
    async with trio.open_nursery() as nursery:
        endpoint = FakeEndpoint(b"in", room=2)
        stream = SocketStream(endpoint, flusher=Flusher(nursery.start_soon))
        writer = StreamWriter(stream)
        await stream.wait_request()
        await writer.write(b"gathered")
        await trio.testing.wait_all_tasks_blocked()
        stream.buffer.take(2)
        nursery.start_soon(writer.write, b" written")
        await trio.testing.wait_all_tasks_blocked()
        assert bytes(endpoint.sent) == b"ga"
        endpoint.make_room(100)
        await trio.testing.wait_all_tasks_blocked()
        assert bytes(endpoint.sent) == b"gathered written"
        nursery.cancel_scope.cancel()


async def test_replies_when_gathered_while_others_are_being_sent_then_they_follow() -> None:
    """Replies gathered during a slow flush go out after it, though the handler waits for something else."""
    async with trio.open_nursery() as nursery:
        endpoint = FakeEndpoint(b"in", room=2)
        stream = SocketStream(endpoint, flusher=Flusher(nursery.start_soon))
        writer = StreamWriter(stream)
        await stream.wait_request()
        await writer.write(b"one")
        await trio.testing.wait_all_tasks_blocked()
        await writer.write(b"two")
        await trio.testing.wait_all_tasks_blocked()
        assert (bytes(endpoint.sent), writer.pending) == (b"on", 3)
        endpoint.make_room(100)
        await trio.testing.wait_all_tasks_blocked()
        assert (bytes(endpoint.sent), writer.pending) == (b"onetwo", 0)
        nursery.cancel_scope.cancel()


async def test_read_when_gathered_replies_do_not_fit_then_it_reads_all_the_same() -> None:
    """A peer that reads only after it has sent everything does not lock the handler up."""
    async with trio.open_nursery() as nursery:
        endpoint = FakeEndpoint(b"1\n2\n", b"3\n", room=0)
        stream = SocketStream(endpoint, flusher=Flusher(nursery.start_soon))
        reader, writer = StreamReader(stream), StreamWriter(stream)
        for number in (b"1\n", b"2\n", b"3\n"):
            assert await reader.readline() == number
            if number == b"1\n":
                await writer.write(number)
        endpoint.make_room(10)
        await writer.flush()
        assert bytes(endpoint.sent) == b"1\n"
        nursery.cancel_scope.cancel()


async def test_read_when_cancelled_in_sending_what_was_gathered_then_no_reply_is_torn() -> None:
    """A cancelled read loses no part of the replies that were written before it."""
    endpoint = FakeEndpoint(room=3)
    stream = SocketStream(endpoint)
    reader, writer = StreamReader(stream), StreamWriter(stream, buffer_bytes=100)
    await writer.write(b"reply")
    async with trio.open_nursery() as nursery:
        nursery.start_soon(reader.readline)
        await trio.testing.wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()
    assert (bytes(endpoint.sent), writer.pending) == (b"rep", 2)
    endpoint.make_room(100)
    await writer.write(b" and more")
    await writer.flush()
    assert bytes(endpoint.sent) == b"reply and more"


async def test_write_when_a_flush_was_cancelled_before_then_the_reply_is_sent_in_the_next_turn() -> None:
    """What a cancelled flush has left does not hold back the replies that are gathered after it."""
    endpoint = FakeEndpoint(b"1\n2\n", room=3)
    async with trio.open_nursery() as nursery:
        stream = SocketStream(endpoint, flusher=Flusher(nursery.start_soon))
        reader, writer = StreamReader(stream), StreamWriter(stream)
        await reader.readline()
        await writer.write(b"first")
        with trio.CancelScope() as scope:
            scope.cancel()
            await writer.flush()
        assert (scope.cancelled_caught, writer.pending) == (True, 2)
        endpoint.make_room(100)
        await writer.write(b" second")
        await trio.testing.wait_all_tasks_blocked()  # the handler waits, for something else
        assert bytes(endpoint.sent) == b"first second"
        nursery.cancel_scope.cancel()


async def test_flush_when_another_task_sends_then_nothing_gathered_is_lost() -> None:
    """Two writers at once are told so, and what was gathered is sent later."""
    endpoint = FakeEndpoint(room=1)
    stream = SocketStream(endpoint)
    writer = StreamWriter(stream, buffer_bytes=100)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(stream.send_all, b"first")
        await trio.testing.wait_all_tasks_blocked()
        await writer.write(b"second")
        with pytest.raises(trio.BusyResourceError):
            await writer.flush()
        with pytest.raises(trio.BusyResourceError):
            await stream.send_all(b"x")
        assert writer.pending == 6
        endpoint.make_room(100)
    await writer.flush()
    assert bytes(endpoint.sent) == b"firstsecond"


async def test_p9_everything_when_the_peer_is_slow_then_it_arrives_in_order(wires: Wires) -> None:
    """Gathered replies, writes and sends through tiny buffers arrive complete and in order."""
    stream, peer = wires.with_peer(small=True)
    reader, writer = StreamReader(stream), StreamWriter(stream)
    expected = b"".join(b"%05d" % number * 100 for number in range(100))

    async def handle() -> None:
        number = 0
        async for _ in reader:
            reply = b"%05d" % number * 100
            if number % 7 == 3:
                await stream.send_all(reply)
            else:
                await writer.write(reply)
            number += 1
        await writer.flush()
        await stream.send_eof()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(handle)
        peer.send(b"\n" * 100)
        peer.shutdown(1)
        await trio.testing.wait_all_tasks_blocked()
        assert await read_all_of(peer) == expected
