"""What each method of the reader returns, whatever the pieces that the bytes come in."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import trio
import trio.testing

from trioserver import ConfigError, IncompleteRead, StreamReader
from trioserver._transports.socket_stream import SocketStream

from .kit import FakeEndpoint

if TYPE_CHECKING:
    from collections.abc import Callable


def reader_of(
    *incoming: bytes | OSError, max_line_bytes: int = 65536, receive_bytes: int = -1
) -> StreamReader:
    """A reader to which these bytes come, in these pieces."""
    stream = SocketStream(FakeEndpoint(*incoming))
    return StreamReader(stream, max_line_bytes=max_line_bytes, receive_bytes=receive_bytes)


async def test_readline_when_lines_are_split_over_pieces_then_each_comes_whole() -> None:
    """Lines come whole, the last one as it is, and then nothing more."""
    reader = reader_of(b"on", b"e\ntw", b"o\n", b"end", b"")
    assert [await reader.readline() for _ in range(4)] == [b"one\n", b"two\n", b"end", b""]


async def test_readuntil_when_the_separator_is_split_then_it_is_found() -> None:
    """A separator of several bytes is found wherever the pieces end."""
    reader = reader_of(b"a\r", b"\n\r", b"\n", b"b\r\n\r\nc", b"")
    assert await reader.readuntil(b"\r\n\r\n") == b"a\r\n\r\n"
    assert await reader.readuntil(b"\r\n\r\n") == b"b\r\n\r\n"
    assert await reader.read() == b"c"


async def test_readuntil_when_the_stream_ends_first_then_the_error_has_what_came() -> None:
    """An end before the separator is IncompleteRead, which is an EOFError and carries the bytes."""
    reader = reader_of(b"half", b"")
    with pytest.raises(EOFError) as caught:
        await reader.readuntil(b"\n")
    assert isinstance(caught.value, IncompleteRead)
    assert (caught.value.partial, caught.value.expected) == (b"half", None)
    assert await reader.readline() == b""


async def test_readuntil_when_the_separator_is_empty_then_value_error() -> None:
    """An empty separator would be everywhere."""
    reader = reader_of(b"")
    with pytest.raises(ValueError, match="at least one byte"):
        await reader.readuntil(b"")


async def test_readexactly_when_enough_comes_then_no_more_is_taken() -> None:
    """The bytes after the ones asked for stay for the next read."""
    reader = reader_of(b"12", b"345", b"")
    assert await reader.readexactly(4) == b"1234"
    assert await reader.readexactly(0) == b""
    assert await reader.readexactly(1) == b"5"


async def test_readexactly_when_the_stream_ends_first_then_the_error_has_what_came() -> None:
    """IncompleteRead says how many bytes were wanted and has those that came."""
    reader = reader_of(b"12", b"3", b"")
    with pytest.raises(IncompleteRead, match="after 3 bytes, before 5 bytes") as caught:
        await reader.readexactly(5)
    assert (caught.value.partial, caught.value.expected) == (b"123", 5)


async def test_read_when_given_a_count_then_fewer_come_only_at_the_end() -> None:
    """A count is waited for, as in the stdlib's rfile."""
    reader = reader_of(b"1", b"2", b"3", b"")
    assert await reader.read(2) == b"12"
    assert await reader.read(5) == b"3"
    assert await reader.read(5) == b""


async def test_read1_when_something_is_there_then_it_does_not_wait_for_more() -> None:
    """What is there is returned, at most as much as asked for."""
    reader = reader_of(b"12345", b"67", b"")
    assert await reader.read1(3) == b"123"
    assert await reader.read1() == b"45"
    assert await reader.read1() == b"67"
    assert await reader.read1() == b""


async def test_iteration_when_the_stream_ends_then_the_last_line_counts() -> None:
    """Iterating gives lines, a last one without newline too, and no empty one."""
    assert [line async for line in reader_of(b"a\nb", b"\nc", b"")] == [b"a\n", b"b\n", b"c"]
    assert [line async for line in reader_of(b"a\n", b"")] == [b"a\n"]


async def test_receive_bytes_when_set_then_no_receive_asks_for_more() -> None:
    """rbufsize bounds one receive, and reads are whole all the same."""
    reader = reader_of(b"abcdef\n", b"", receive_bytes=2)
    assert await reader.readline() == b"abcdef\n"
    assert reader._stream.buffer.size == 0
    assert await reader.read() == b""


async def test_mixing_rfile_and_request_then_no_byte_is_lost_or_reordered() -> None:
    """The reader and the stream share one buffer."""
    reader = reader_of(b"line\nrest", b" more\n", b"")
    stream = reader._stream
    assert await reader.readline() == b"line\n"
    assert await stream.receive_some(2) == b"re"
    assert await stream.wait_request()
    assert await reader.read1(2) == b"st"
    assert await reader.readline() == b" more\n"
    assert not await stream.wait_request()


async def test_read_when_the_peer_resets_then_what_came_before_can_be_read() -> None:
    """A reset is BrokenResourceError, and the bytes before it are still there."""
    reader = reader_of(b"half", ConnectionResetError(104, "reset"))
    with pytest.raises(trio.BrokenResourceError):
        await reader.readline()
    assert await reader.read1() == b"half"


@pytest.mark.parametrize(
    "wrong",
    [
        lambda r: r.readline(0),
        lambda r: r.readuntil(b"\n", -1),
        lambda r: r.readexactly(-1),
        lambda r: r.readexactly(True),
        lambda r: r.read1(0),
    ],
)
async def test_read_when_an_argument_is_unusable_then_config_error_and_no_byte_is_lost(
    wrong: Callable[[StreamReader], trio.abc.AsyncResource],
) -> None:
    """Counts and limits that mean nothing are refused, and the stream does not appear to have ended."""
    reader = reader_of(b"data", b"")
    with pytest.raises(ConfigError):
        await wrong(reader)  # type: ignore[misc]
    assert not reader._stream.end_of_stream
    assert await reader.read() == b"data"


@pytest.mark.parametrize("options", [{"max_line_bytes": 0}, {"receive_bytes": -2}, {"max_line_bytes": True}])
def test_reader_when_an_option_is_unusable_then_config_error(options: dict[str, int]) -> None:
    """The constructor checks its options."""
    with pytest.raises(ConfigError):
        reader_of(b"", **options)
