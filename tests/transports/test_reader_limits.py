"""P9 for readers: a peer can not make one buffer more than its limit, and no byte is lost past it."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import pytest
import trio
import trio.testing
from hypothesis import given, settings
from hypothesis import strategies as st

from trioserver import IncompleteRead, LimitExceeded, StreamReader
from trioserver._transports.socket_stream import SocketStream

from .kit import FakeEndpoint

if TYPE_CHECKING:
    from collections.abc import Sequence


async def test_p9_readline_when_no_newline_comes_then_it_ends_at_the_limit() -> None:
    """With a peer that never sends a newline, what is buffered is the limit and no more."""
    endpoint = FakeEndpoint(bytes(1_000_000))
    stream = SocketStream(endpoint)
    reader = StreamReader(stream, max_line_bytes=100)
    with pytest.raises(LimitExceeded) as caught:
        await reader.readline()
    assert caught.value.limit == 100
    assert stream.buffer.size == stream.bytes_received == 100


async def test_p9_line_when_it_is_as_long_as_the_limit_then_it_is_read() -> None:
    """The limit counts the newline, and a line of just that length is read."""
    reader = StreamReader(SocketStream(FakeEndpoint(b"1234\n12345\n")), max_line_bytes=5)
    assert await reader.readline() == b"1234\n"
    with pytest.raises(LimitExceeded):
        await reader.readline()
    assert await reader.readline(6) == b"12345\n"


@pytest.mark.parametrize("separator", [b"\n", b"\r\n"])
async def test_p9_readuntil_when_past_the_limit_then_the_bytes_are_not_lost(separator: bytes) -> None:
    """The bytes stay: a larger limit, read1 and readexactly all get them."""
    reader = StreamReader(SocketStream(FakeEndpoint(b"abc", b"def" + separator, b"g", b"")))
    for limit in (2, 3, 6):
        with pytest.raises(LimitExceeded):
            await reader.readuntil(separator, limit)
    assert await reader.readexactly(2) == b"ab"
    assert await reader.readuntil(separator, 100) == b"cdef" + separator
    assert await reader.read1() == b"g"


async def test_p9_read_to_the_end_when_it_goes_on_then_it_stops_at_the_limit() -> None:
    """Reading to the end has a limit, max_line_bytes or the one given, and an end just there is fine."""
    stream = SocketStream(FakeEndpoint(b"123", b"45", b""))
    reader = StreamReader(stream, max_line_bytes=4)
    with pytest.raises(LimitExceeded):
        await reader.read()
    assert stream.buffer.size == 5
    with pytest.raises(LimitExceeded):
        await reader.read(limit=0)
    assert await reader.read(limit=5) == b"12345"


async def test_read_when_cancelled_at_any_checkpoint_then_nothing_is_lost() -> None:
    """However often reads are cancelled, together they return all bytes in order."""
    endpoint = FakeEndpoint()
    stream = SocketStream(endpoint)
    reader = StreamReader(stream)
    text = b"".join(b"line %d\r\n" % number for number in range(40))
    got = b""
    fed = 0
    while len(got) < len(text):
        async with trio.open_nursery() as nursery:

            async def read() -> None:
                nonlocal got
                kind = len(got) % 3
                if kind == 0:
                    got += await reader.readuntil(b"\r\n")
                elif kind == 1:
                    got += await reader.readexactly(min(7, len(text) - len(got)))
                else:
                    got += await reader.read1(3)

            nursery.start_soon(read)
            if fed % 5:
                await trio.testing.wait_all_tasks_blocked()
            nursery.cancel_scope.cancel()
            endpoint.feed(text[fed : fed + 3] or b"")
            fed += 3
    assert got == text


CALLS = st.lists(
    st.one_of(
        st.tuples(st.just("readline"), st.just(0)),
        st.tuples(st.just("readuntil"), st.just(0)),
        st.tuples(st.just("read"), st.integers(0, 12)),
        st.tuples(st.just("readexactly"), st.integers(0, 12)),
        st.tuples(st.just("read1"), st.integers(1, 12)),
        st.tuples(st.just("receive_some"), st.integers(1, 12)),
        st.tuples(st.just("next"), st.just(0)),
    ),
    max_size=12,
)


async def call(reader: StreamReader, stream: SocketStream, name: str, count: int) -> bytes:
    """One call, its exception turned into what it carries."""
    if name == "readline":
        return await reader.readline()
    if name == "receive_some":
        return await stream.receive_some(count)
    if name == "read":
        return await reader.read(count)
    if name == "read1":
        return await reader.read1(count)
    try:
        if name == "readuntil":
            return await reader.readuntil(b"ab")
        if name == "next":
            return await anext(reader)
        return await reader.readexactly(count)
    except IncompleteRead as error:
        return error.partial
    except StopAsyncIteration:
        return b""


@settings(max_examples=200)
@given(
    pieces=st.lists(st.text("ab\n", min_size=1, max_size=8).map(str.encode), max_size=12),
    calls=CALLS,
    receive_bytes=st.sampled_from([-1, 1, 3]),
)
def test_reader_when_called_at_random_then_it_is_like_bytesio(
    pieces: list[bytes], calls: Sequence[tuple[str, int]], receive_bytes: int
) -> None:
    """Any bytes in any pieces, read by any calls, are what ``io.BytesIO`` gives for the same."""

    async def main() -> None:
        stream = SocketStream(FakeEndpoint(*pieces, b""))
        reader = StreamReader(stream, receive_bytes=receive_bytes)
        whole = b"".join(pieces)
        model = io.BytesIO(whole)
        for name, count in calls:
            got = await call(reader, stream, name, count)
            if name in ("read1", "receive_some"):  # how many come is the pieces' affair
                assert len(got) <= count
                assert bool(got) == (model.tell() < len(whole))
                expected = model.read(len(got))
            elif name == "readuntil":
                at = whole.find(b"ab", model.tell())
                expected = model.read(-1 if at < 0 else at + 2 - model.tell())
            elif name in ("read", "readexactly"):
                expected = model.read(count)
            else:
                expected = model.readline()
            assert got == expected
        assert await reader.read() == model.read()

    trio.run(main)
