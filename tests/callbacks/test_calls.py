"""What a callback handler is called with, and what becomes of what it writes; in every way to serve."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest
import trio
import trio.testing
from harness import receive_all, receive_exactly

import trioserver

from .kit import Commands, Connect, every_way, half_close, play, until


class Echo(trioserver.CallbackRequestHandler):
    delimiter = b"\n"

    def data_received(self, data: bytes) -> None:
        self.write(data)


def more_than(server: Any, received: int) -> bool:
    """Whether more than so many bytes have come."""
    numbers: trioserver.ServerStatistics = server.statistics()
    return numbers.bytes_received > received


class Noting(trioserver.CallbackRequestHandler):
    """Notes what it is called with."""

    calls: list[Any]

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        cls.calls = []

    def setup(self) -> None:
        self.calls.append("setup")

    def data_received(self, data: bytes) -> None:
        self.calls.append(data)

    def eof_received(self) -> None:
        self.calls.append("eof")
        super().eof_received()

    def finish(self) -> None:
        self.calls.append("finish")


@every_way
def test_data_received_when_there_is_a_delimiter_then_each_call_gets_one_line(way: str) -> None:
    """However the lines are cut on their way; the last one, which has no delimiter, comes before the end."""

    class Handler(Noting):
        delimiter = b"\r\n"

    async def talk(server: Any, connect: Connect) -> None:
        async with await connect() as client:
            for piece in (b"one\r", b"\ntwo\r\nth", b"ree\r\n\r\n\r", b"x\r\r", b"\nrest"):
                await client.send_all(piece)
                received = sum(len(call) for call in Handler.calls if isinstance(call, bytes))
                await until(partial(more_than, server, received))
            await half_close(client)
            await until(lambda: "finish" in Handler.calls)

    play(way, Handler, talk)
    lines = [b"one\r\n", b"two\r\n", b"three\r\n", b"\r\n", b"\rx\r\r\n", b"rest"]
    assert ["setup", *lines, "eof", "finish"] == Handler.calls


@every_way
def test_data_received_when_there_is_no_delimiter_then_it_gets_all_that_comes(way: str) -> None:
    """In pieces of any size, in order."""

    class Handler(Noting):
        pass

    async def talk(server: Any, connect: Connect) -> None:
        async with await connect() as client:
            await client.send_all(bytes(range(256)) * 1000)
            await half_close(client)
            await until(lambda: "finish" in Handler.calls)

    play(way, Handler, talk)
    assert [call for call in Handler.calls if isinstance(call, str)] == ["setup", "eof", "finish"]
    assert b"".join(call for call in Handler.calls if isinstance(call, bytes)) == bytes(range(256)) * 1000


@every_way
def test_delimiter_when_set_by_data_received_then_holds_for_what_comes_after(way: str) -> None:
    """A protocol may switch between lines and blocks, in the middle of what came together."""

    class Handler(Noting):
        delimiter: bytes | None = b"\n"

        def data_received(self, data: bytes) -> None:
            super().data_received(data)
            self.delimiter = {b"semicolons\n": b";", b"anything;": None}.get(data, self.delimiter)

    async def talk(server: Any, connect: Connect) -> None:
        async with await connect() as client:
            await client.send_all(b"semicolons\na\nb;anything;c\n;d")
            await until(lambda: len(Handler.calls) == 5)

    play(way, Handler, talk)
    assert Handler.calls[:5] == ["setup", b"semicolons\n", b"a\nb;", b"anything;", b"c\n;d"]


@every_way
def test_delimiter_when_set_in_the_middle_of_a_line_then_holds_for_what_has_come_of_it(way: str) -> None:
    """Also for the part in which the one before was looked for."""
    got: list[bytes] = []

    class Handler(Commands):
        def data_received(self, data: bytes) -> None:
            got.append(data)

    async def talk(server: Any, connect: Connect) -> None:
        async with await connect() as client:
            await client.send_all(b"a;b")
            await until(lambda: server.statistics().bytes_received == 3)
            await client.send_all(b"c;d")
            await until(lambda: server.statistics().bytes_received == 6)
            Handler.all[0].delimiter = b";"
            await client.send_all(b"e;")
            await until(lambda: len(got) == 3)

    play(way, Handler, talk)
    assert got == [b"a;", b"bc;", b"de;"]


@every_way
def test_write_when_a_client_pipelines_then_all_replies_come_in_order(way: str) -> None:
    """More lines than are handled in one turn, and more bytes than a kernel has room for."""
    lines = b"".join(b"%d %s\n" % (number, b"x" * (number % 300)) for number in range(20_000))

    async def talk(server: Any, connect: Connect) -> None:
        async with await connect() as client, trio.open_nursery() as nursery:
            nursery.start_soon(client.send_all, lines)
            assert await receive_exactly(client, len(lines)) == lines

    server = play(way, Echo, talk)
    assert server.statistics().bytes_sent == server.statistics().bytes_received == len(lines)


@every_way
def test_write_from_every_method_then_all_of_it_is_sent(way: str) -> None:
    """A greeting, replies, an answer to the end, a goodbye."""

    class Handler(trioserver.CallbackRequestHandler):
        def setup(self) -> None:
            self.write(b"hello ")

        def data_received(self, data: bytes) -> None:
            self.write(bytearray(data))
            self.write(memoryview(b" "))

        def eof_received(self) -> None:
            self.write(b"eof ")
            super().eof_received()

        def finish(self) -> None:
            self.write(b"bye")

    async def talk(server: Any, connect: Connect) -> None:
        async with await connect() as client:
            assert await receive_exactly(client, 6) == b"hello "
            await client.send_all(b"data")
            await half_close(client)
            assert await receive_all(client) == b"data eof bye"

    server = play(way, Handler, talk, grace_period=None)
    assert server.statistics().finished == 1


@every_way
def test_write_when_called_from_another_task_then_it_is_a_push(way: str) -> None:
    """At once, without anything from the client; several, and to several clients, from a method of one."""
    handlers: list[Any] = []

    class Handler(trioserver.CallbackRequestHandler):
        def setup(self) -> None:
            handlers.append(self)

        def data_received(self, data: bytes) -> None:
            for handler in handlers:
                handler.write(data)
                handler.write(b"!")

    async def talk(server: Any, connect: Connect) -> None:
        async with await connect() as first, await connect() as second:
            await until(lambda: len(handlers) == 2)
            for handler in handlers:
                handler.write(b"push")
            assert await receive_exactly(first, 4) == await receive_exactly(second, 4) == b"push"
            await first.send_all(b"all")
            assert await receive_exactly(first, 4) == await receive_exactly(second, 4) == b"all!"

    play(way, Handler, talk)


@every_way
def test_write_when_the_client_does_not_read_then_nothing_more_is_read_from_it(way: str) -> None:
    """P9: what it is sent it has to read first; afterwards it gets all of it."""
    reply = b"r" * 700_000
    asked = 0

    class Handler(trioserver.CallbackRequestHandler):
        delimiter = b"\n"

        def data_received(self, data: bytes) -> None:
            nonlocal asked
            asked += 1
            self.write(reply)

    async def talk(server: Any, connect: Connect) -> None:
        async with await connect() as client:
            await client.send_all(b"get\n" * 16)
            await until(lambda: asked)
            await trio.testing.wait_all_tasks_blocked()
            assert asked < 16
            assert len(await receive_exactly(client, 16 * len(reply))) == 16 * len(reply)

    play(way, Handler, talk)
    assert asked == 16


@every_way
def test_p9_write_when_more_would_wait_than_may_then_raises_and_the_connection_goes_on(way: str) -> None:
    """What fits is sent first, also in the middle of a call; what was refused is not, and all else is."""
    written: list[int] = []

    class Handler(trioserver.CallbackRequestHandler):
        delimiter = b"\n"
        max_unsent_bytes = 100_000

        def data_received(self, data: bytes) -> None:
            written.append(0)
            with pytest.raises(trioserver.LimitExceeded) as raised:
                while written[-1] < 1 << 30:
                    self.write(b"x" * 50_000)
                    written[-1] += 50_000
            assert raised.value.limit == 100_000

    def answered(times: int) -> bool:
        return len(written) == times

    async def talk(server: Any, connect: Connect) -> None:
        async with await connect() as client:
            for answers in (1, 2):
                await client.send_all(b"get\n")
                await until(partial(answered, answers))
                assert await receive_exactly(client, written[-1]) == b"x" * written[-1]

    play(way, Handler, talk)


@every_way
def test_write_when_one_piece_is_longer_than_may_wait_and_nothing_waits_then_it_is_sent(way: str) -> None:
    """The bound is for what a client does not read; a long answer to one that reads is none of that."""

    class Handler(trioserver.CallbackRequestHandler):
        delimiter = b"\n"
        max_unsent_bytes = 10

        def data_received(self, data: bytes) -> None:
            self.write(b"x" * 3_000_000)

    async def talk(server: Any, connect: Connect) -> None:
        async with await connect() as client:
            await client.send_all(b"get\n")
            assert await receive_exactly(client, 3_000_000) == b"x" * 3_000_000

    play(way, Handler, talk)


@every_way
def test_finish_when_a_timeout_struck_in_the_middle_of_a_line_then_what_it_writes_is_sent(way: str) -> None:
    """As much of it as fits at once."""

    class Handler(trioserver.CallbackRequestHandler):
        delimiter = b"\n"
        timeout = 0.02

        def finish(self) -> None:
            self.write(b"too late\n")

    async def talk(server: Any, connect: Connect) -> None:
        async with await connect() as client:
            await client.send_all(b"half")
            assert await receive_all(client) == b"too late\n"

    play(way, Handler, talk)


@every_way
@pytest.mark.parametrize(
    "pieces", [[b"x" * 21], [b"x" * 11, b"x" * 10], [b"x" * 20 + b"\n"], [b"ok\n" + b"x" * 20]]
)
def test_p9_when_a_line_is_too_long_then_the_connection_ends(way: str, pieces: list[bytes]) -> None:
    """Whether its delimiter came or not; it is an error of the peer's."""

    class Handler(Noting):
        delimiter = b"\n"
        max_line_bytes = 20

    async def talk(server: Any, connect: Connect) -> None:
        async with await connect() as client:
            for piece in pieces:
                await client.send_all(piece)
                await trio.testing.wait_all_tasks_blocked()
            assert await client.receive_some() == b""

    server = play(way, Handler, talk, grace_period=None)
    (error,) = server.errors
    assert isinstance(error, trioserver.LimitExceeded)
    assert error.limit == 20
    assert [call for call in Handler.calls if call != b"ok\n"] == ["setup", "finish"]
    assert server.statistics().failed == 1


@every_way
def test_max_line_bytes_when_a_line_is_just_as_long_then_it_is_received(way: str) -> None:
    """The delimiter counts."""

    class Handler(Noting):
        delimiter = b"\n"
        max_line_bytes = 20

    line = b"x" * 19 + b"\n"

    async def talk(server: Any, connect: Connect) -> None:
        async with await connect() as client:
            await client.send_all(line)
            await until(lambda: len(Handler.calls) == 2)
            await client.send_all(line + line[:12])
            await until(lambda: len(Handler.calls) == 3)
            await client.send_all(line[12:])
            await until(lambda: len(Handler.calls) == 4)

    play(way, Handler, talk)
    assert ["setup", line, line, line] == Handler.calls[:4]
