"""A stream's timeout: exact on a mock clock, one for each direction, and for each wait."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest
import trio
import trio.testing

from trioserver import ConfigError, StreamReader, StreamTimeout, StreamWriter
from trioserver._transports.deadlines import DeadlineWatch
from trioserver._transports.socket_stream import SocketStream

from .kit import FakeEndpoint

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from .kit import Wires


@asynccontextmanager
async def fake(*incoming: bytes, room: int = 0) -> AsyncIterator[tuple[SocketStream, FakeEndpoint]]:
    """A stream on a fake endpoint, its timeouts watched."""
    async with trio.open_nursery() as nursery:
        endpoint = FakeEndpoint(*incoming, room=room)
        yield SocketStream(endpoint, watch=DeadlineWatch(nursery.start_soon)), endpoint
        nursery.cancel_scope.cancel()


async def test_timeout_when_nothing_comes_then_it_fires_exactly_then(
    autojump_clock: trio.testing.MockClock,
) -> None:
    """A read and a write that wait for the timeout's length raise StreamTimeout, at that very time."""
    async with fake() as (stream, _):
        stream.timeout = 2.5
        for call in (
            stream.receive_some,
            StreamReader(stream).readline,
            stream.wait_send_all_might_not_block,
        ):
            start = trio.current_time()
            with pytest.raises(StreamTimeout, match=r"2\.5 s"):
                await call()
            assert trio.current_time() - start == 2.5
        start = trio.current_time()
        with pytest.raises(TimeoutError):
            await StreamWriter(stream).write(b"x")
        assert trio.current_time() - start == 2.5


async def test_timeout_when_bytes_keep_coming_then_each_wait_has_its_own(
    autojump_clock: trio.testing.MockClock,
) -> None:
    """As the stdlib's it bounds one wait, not the whole of a read."""
    async with fake() as (stream, endpoint):
        stream.timeout = 2

        async def drip() -> None:
            for _ in range(4):
                await trio.sleep(1.5)
                endpoint.feed(b"x")

        async with trio.open_nursery() as nursery:
            nursery.start_soon(drip)
            with pytest.raises(StreamTimeout):
                await StreamReader(stream).readexactly(5)
        assert trio.current_time() == 4 * 1.5 + 2
        assert stream.buffer.size == 4


async def test_timeout_when_woken_for_no_reason_then_it_is_not_put_off(
    autojump_clock: trio.testing.MockClock,
) -> None:
    """Waking up in vain, or being interrupted, does not begin the timeout anew, in either direction."""
    async with fake() as (stream, endpoint):
        stream.timeout = 2
        ended: list[float] = []

        async def read() -> None:
            with pytest.raises(StreamTimeout):
                await stream.receive_some()
            ended.append(trio.current_time())

        async def write() -> None:
            with pytest.raises(StreamTimeout):
                await stream.send_all(b"x")
            ended.append(trio.current_time())

        async with trio.open_nursery() as nursery:
            nursery.start_soon(read)
            nursery.start_soon(write)
            for _ in range(3):
                await trio.sleep(0.5)
                stream.interrupt()
                await trio.sleep(0.1)
                endpoint.wake()
        assert ended == [2, 2]


async def test_timeout_when_both_directions_wait_then_each_fires_at_its_own_time(
    autojump_clock: trio.testing.MockClock,
) -> None:
    """The timeout of the reader neither ends nor puts off the wait of the writer."""
    async with fake() as (stream, endpoint):
        stream.timeout = 2
        ended: dict[str, float] = {}

        async def read() -> None:
            for name in ("first read", "second read"):
                with pytest.raises(StreamTimeout):
                    await stream.receive_some()
                ended[name] = trio.current_time()

        async def write() -> None:
            with pytest.raises(StreamTimeout):
                await stream.send_all(b"x")
            ended["write"] = trio.current_time()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(read)
            await trio.sleep(1)
            nursery.start_soon(write)
        assert ended == {"first read": 2, "write": 3, "second read": 4}
        assert endpoint.sent == b""


async def test_wait_request_when_it_has_a_timeout_then_a_writer_keeps_its_own(
    autojump_clock: trio.testing.MockClock,
) -> None:
    """The idle timeout is for the wait for a request, not for what another task sends meanwhile."""
    async with fake() as (stream, endpoint):

        async def write() -> None:
            await stream.send_all(b"broadcast")

        async with trio.open_nursery() as nursery:
            nursery.start_soon(write)
            for _ in range(3):
                assert not await stream.wait_request(1)
            assert trio.current_time() == 3
            assert stream.timeout is None
            stream.timeout = 1
            endpoint.make_room(100)
        assert bytes(endpoint.sent) == b"broadcast"


async def test_timeout_when_it_is_taken_back_then_none_fires(autojump_clock: trio.testing.MockClock) -> None:
    """With the timeout set to None again, a wait has no bound."""
    async with fake() as (stream, _):
        stream.timeout = 1
        stream.timeout = None
        with trio.move_on_after(1000) as scope:
            await stream.receive_some()
        assert scope.cancelled_caught


@pytest.mark.parametrize("wrong", [-1, "1", float("nan"), True])
async def test_timeout_when_it_is_no_number_of_seconds_then_config_error(wrong: float) -> None:
    """The setter and wait_request() refuse what can not be waited for."""
    async with fake() as (stream, _):
        with pytest.raises(ConfigError):
            stream.timeout = wrong
        with pytest.raises(ConfigError):
            await stream.wait_request(wrong)
        assert stream.timeout is None


async def test_timeout_when_the_stream_has_no_watch_then_it_says_so() -> None:
    """A timeout that nobody would watch is refused, not ignored."""
    with pytest.raises(RuntimeError, match="belongs to no server"):
        SocketStream(FakeEndpoint()).timeout = 1


async def test_timeout_on_a_real_connection_then_it_fires_no_earlier(wires: Wires) -> None:
    """On both ways to wait the timeout fires, for reading and for writing, and the stream goes on."""
    stream, peer = wires.with_peer(small=True)
    stream.timeout = 0.01
    start = trio.current_time()
    with pytest.raises(StreamTimeout):
        await stream.receive_some()
    assert trio.current_time() - start >= 0.01
    with pytest.raises(StreamTimeout):
        await stream.send_all(bytes(1 << 20))
    peer.send(b"late")
    assert await stream.receive_some() == b"late"


async def test_readline_when_a_line_comes_in_pieces_within_the_timeout_then_it_is_whole(
    autojump_clock: trio.testing.MockClock,
) -> None:
    """Each wait has the timeout to itself, and no piece is taken twice."""
    async with fake() as (stream, endpoint):
        stream.timeout = 5
        lines: list[bytes] = []

        async def read() -> None:
            reader = StreamReader(stream)
            lines.append(await reader.readline())
            lines.append(await reader.readuntil(b"\r\n"))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(read)
            for piece in (b"a", b"b", b"c\n", b"\r", b"d\r", b"\n"):
                await trio.sleep(4)
                endpoint.feed(piece)
        assert lines == [b"abc\n", b"\rd\r\n"]
