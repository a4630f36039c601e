"""What the writer accepts and returns, and when what it gathers goes out."""

from __future__ import annotations

import array
from typing import TYPE_CHECKING, Any

import pytest
import trio
import trio.testing

from trioserver import ConfigError, StreamReader, StreamWriter
from trioserver._transports.outbox import Flusher
from trioserver._transports.socket_stream import SocketStream

from .kit import FakeEndpoint, read_from, reset

if TYPE_CHECKING:
    from .kit import Wires


def served_by(nursery: trio.Nursery, endpoint: FakeEndpoint) -> SocketStream:
    """A stream with a flusher, as a server's."""
    return SocketStream(endpoint, flusher=Flusher(nursery.start_soon))


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"bytes", b"bytes"),
        (bytearray(b"array"), b"array"),
        (memoryview(b"a view")[2:], b"view"),
        (array.array("i", [1, 2]), array.array("i", [1, 2]).tobytes()),
        (memoryview(array.array("d", [0.5])), array.array("d", [0.5]).tobytes()),
        (bytearray(), b""),
    ],
)
@pytest.mark.parametrize("buffer_bytes", [0, 100])
async def test_write_when_given_bytes_of_any_type_then_it_returns_their_count(
    data: Any, expected: bytes, buffer_bytes: int
) -> None:
    """Every bytes-like object is written whole, and the count is in bytes and not in items."""
    endpoint = FakeEndpoint()
    writer = StreamWriter(SocketStream(endpoint), buffer_bytes=buffer_bytes)
    assert await writer.write(data) == len(expected)
    await writer.flush()
    assert endpoint.sent == expected


async def test_write_when_given_what_is_still_to_be_awaited_then_says_so() -> None:
    """``write(rfile.readline())``: the likely mistake is named, and no warning comes after it."""

    async def readline() -> bytes:
        return b"line"

    endpoint = FakeEndpoint()
    with pytest.raises(TypeError, match=r"got the coroutine .*readline: is an 'await' missing\?"):
        await StreamWriter(SocketStream(endpoint)).write(readline())  # type: ignore[arg-type]
    assert endpoint.calls == []


@pytest.mark.parametrize("wrong", ["text", 5, None])
async def test_write_when_given_no_bytes_then_type_error_and_nothing_is_sent(wrong: Any) -> None:
    """Text is no bytes: a TypeError, as in the stdlib."""
    endpoint = FakeEndpoint()
    writer = StreamWriter(SocketStream(endpoint))
    with pytest.raises(TypeError):
        await writer.write(wrong)
    with pytest.raises(TypeError):
        await writer.writelines([wrong])
    assert endpoint.calls == []


async def test_writelines_when_given_lines_then_one_send_has_them_all() -> None:
    """Lines go out together, with nothing added."""
    endpoint = FakeEndpoint()
    await StreamWriter(SocketStream(endpoint)).writelines([b"a", bytearray(b"b\n"), memoryview(b"c")])
    assert (bytes(endpoint.sent), endpoint.calls) == (b"ab\nc", ["send"])


async def test_buffer_bytes_when_set_then_writes_are_gathered_up_to_it() -> None:
    """Below the limit nothing is sent until flush; past it everything is, at once."""
    endpoint = FakeEndpoint()
    writer = StreamWriter(SocketStream(endpoint), buffer_bytes=4)
    await writer.write(b"12")
    await writer.write(b"34")
    assert (endpoint.calls, writer.pending) == ([], 4)
    await writer.write(b"5")
    assert (bytes(endpoint.sent), endpoint.calls, writer.pending) == (b"12345", ["send"], 0)
    await writer.write(b"6")
    await writer.flush()
    await writer.flush()
    assert (bytes(endpoint.sent), endpoint.calls) == (b"123456", ["send", "send"])


async def test_buffer_bytes_when_the_handler_waits_for_input_then_it_is_sent_before() -> None:
    """A prompt is on its way before the answer is waited for."""
    endpoint = FakeEndpoint(b"")
    stream = SocketStream(endpoint)
    await StreamWriter(stream, buffer_bytes=100).write(b"name? ")
    await StreamReader(stream).readline()
    assert endpoint.calls[:2] == ["send", "recv"]


async def test_pipelined_input_when_replies_are_written_then_they_go_out_together() -> None:
    """Replies to pipelined requests are one send, made before the handler waits for more."""
    async with trio.open_nursery() as nursery:
        endpoint = FakeEndpoint(b"1\n2\n3\n", b"")
        stream = served_by(nursery, endpoint)
        reader, writer = StreamReader(stream), StreamWriter(stream)
        async for line in reader:
            await writer.write(b"re " + line)
        assert bytes(endpoint.sent) == b"re 1\nre 2\nre 3\n"
        assert endpoint.calls.count("send") == 1
        nursery.cancel_scope.cancel()


async def test_pipelined_input_when_the_handler_waits_for_something_else_then_replies_go_out() -> None:
    """The flusher sends what is gathered while the handler is busy elsewhere."""
    async with trio.open_nursery() as nursery:
        endpoint = FakeEndpoint(b"1\n2\n")
        stream = served_by(nursery, endpoint)
        reader, writer = StreamReader(stream), StreamWriter(stream)
        await stream.wait_request()
        for reply in (b"first", b"second"):
            await reader.read1(1)
            await writer.write(reply)
            assert writer.pending == len(reply)
            await trio.testing.wait_all_tasks_blocked()
            assert endpoint.sent.endswith(reply)
        nursery.cancel_scope.cancel()


async def test_flush_when_cancelled_then_what_is_left_goes_out_whatever_the_handler_waits_for() -> None:
    """The writes have returned; the client, who waits for the rest of a reply, sends nothing before it."""
    async with trio.open_nursery() as nursery:
        endpoint = FakeEndpoint(b"1\n2\n", room=3)
        stream = served_by(nursery, endpoint)
        writer = StreamWriter(stream)
        await stream.wait_request()
        await writer.write(b"reply")
        with trio.CancelScope() as scope:
            async with trio.open_nursery() as flushing:
                flushing.start_soon(writer.flush)
                await trio.testing.wait_all_tasks_blocked()
                scope.cancel()
        endpoint.make_room(100)
        await trio.testing.wait_all_tasks_blocked()
        assert bytes(endpoint.sent) == b"reply"
        nursery.cancel_scope.cancel()


async def test_order_when_write_and_send_all_are_mixed_then_it_is_kept() -> None:
    """Gathered replies go out before what the stream itself is told to send."""
    async with trio.open_nursery() as nursery:
        endpoint = FakeEndpoint(b"more input")
        stream = served_by(nursery, endpoint)
        writer = StreamWriter(stream)
        await stream.wait_request()
        await writer.write(b"1")
        await stream.send_all(b"2")
        await writer.write(b"3")
        await stream.send_eof()
        assert bytes(endpoint.sent) == b"123"
        assert endpoint.calls[-1] == "shutdown 1"
        nursery.cancel_scope.cancel()


async def test_gathered_replies_when_the_peer_is_gone_then_the_next_write_says_so(wires: Wires) -> None:
    """What goes wrong with gathered replies is raised by the next call."""
    stream, peer = wires.with_peer("tcp")
    writer = StreamWriter(stream)
    peer.send(b"pipelined input")
    await stream.wait_request()
    reset(peer)
    await writer.write(b"a")
    await trio.testing.wait_all_tasks_blocked()
    for call in (writer.write(b"b"), writer.flush(), stream.send_all(b"c")):
        with pytest.raises(trio.BrokenResourceError):
            await call


async def test_write_when_the_stream_was_closed_then_it_raises() -> None:
    """Writing to a closed stream is the caller's mistake, gathered or not."""
    async with trio.open_nursery() as nursery:
        stream = served_by(nursery, FakeEndpoint(b"input"))
        await stream.wait_request()
        await stream.aclose()
        for buffer_bytes in (0, 10):
            with pytest.raises(trio.ClosedResourceError):
                await StreamWriter(stream, buffer_bytes=buffer_bytes).write(b"x")
        nursery.cancel_scope.cancel()


async def test_write_when_there_is_input_and_no_flusher_then_it_is_sent_at_once() -> None:
    """A stream that no server serves gathers nothing by itself, empty writes included."""
    endpoint = FakeEndpoint(b"input")
    stream = SocketStream(endpoint)
    writer = StreamWriter(stream)
    await stream.wait_request()
    assert await writer.write(b"") == 0
    assert await writer.write(b"x") == 1
    assert (bytes(endpoint.sent), writer.pending) == (b"x", 0)


async def test_write_when_the_peer_reads_then_it_gets_it(wires: Wires) -> None:
    """On a real connection a write arrives."""
    stream, peer = wires.with_peer("tcp")
    await StreamWriter(stream).write(b"hello")
    assert await read_from(peer, 5) == b"hello"


def test_writer_when_buffer_bytes_is_negative_then_config_error() -> None:
    """The constructor checks its option."""
    with pytest.raises(ConfigError):
        StreamWriter(SocketStream(FakeEndpoint()), buffer_bytes=-1)
