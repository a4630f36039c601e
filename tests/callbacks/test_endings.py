"""How a connection with a callback handler ends, and what is left to others; in every way to serve."""

from __future__ import annotations

import contextlib
import socket
import struct
from typing import Any

import pytest
import trio
import trio.testing
from harness import receive_all, receive_exactly

import trioserver

from .kit import Connect, every_way, half_close, play, until


class Commands(trioserver.CallbackRequestHandler):
    """Does what a line says."""

    delimiter = b"\n"
    finished = 0
    all: list[Any]

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        cls.all = []

    def setup(self) -> None:
        self.all.append(self)

    def data_received(self, data: bytes) -> None:
        if data == b"fail\n":
            self.write(b"before\n")
            raise ValueError(data)
        if data == b"close\n":
            self.write(b"bye\n")
            self.close()
        elif data == b"busy\n":
            self.busy = True
        else:
            self.write(data)

    def finish(self) -> None:
        self.finished += 1


async def reset(client: Any) -> None:
    """Go away with a reset."""
    stream = client.transport_stream if isinstance(client, trio.SSLStream) else client
    stream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    stream.socket.close()


def outcomes(server: Any) -> list[str]:
    """How the requests ended, in the order in which they came."""
    ended = sorted(server.ended(), key=lambda event: event.request_id)
    return [event.outcome.value for event in ended]


@every_way
def test_p4_when_data_received_raises_then_its_connection_ends_and_no_other(way: str) -> None:
    """What it wrote before is sent; ``finish`` is called, then ``handle_error``."""

    class Handler(Commands):
        pass

    async def talk(server: Any, connect: Connect) -> None:
        async with await connect() as good, await connect() as bad:
            await bad.send_all(b"fail\nmore\n")
            assert await receive_all(bad) == b"before\n"
            await good.send_all(b"echo\n")
            assert await receive_exactly(good, 5) == b"echo\n"

    server = play(way, Handler, talk)
    assert [type(error) for error in server.errors] == [ValueError]
    assert outcomes(server).count("failed") == 1
    assert [handler.finished for handler in Handler.all] == [1, 1]


@every_way
def test_p4_when_setup_raises_then_finish_is_not_called(way: str) -> None:
    """As with every handler; what it wrote is sent."""
    finished = []

    class Handler(trioserver.CallbackRequestHandler):
        def setup(self) -> None:
            self.write(b"hello\n")
            raise ValueError

        def finish(self) -> None:
            finished.append(self)

    async def talk(server: Any, connect: Connect) -> None:
        async with await connect() as client:
            assert await receive_all(client) == b"hello\n"

    server = play(way, Handler, talk, grace_period=None)
    assert [type(error) for error in server.errors] == [ValueError]
    assert outcomes(server) == ["failed"]
    assert finished == []


@every_way
def test_p4_when_finish_raises_then_that_is_the_error(way: str) -> None:
    """With what came before as its context."""

    class Handler(Commands):
        def finish(self) -> None:
            raise KeyError("finish")

    async def talk(server: Any, connect: Connect) -> None:
        async with await connect() as client:
            await client.send_all(b"fail\n")
            assert await receive_all(client) == b"before\n"

    server = play(way, Handler, talk, grace_period=None)
    (error,) = server.errors
    assert isinstance(error, KeyError)
    assert isinstance(error.__context__, ValueError)
    assert outcomes(server) == ["failed"]


@every_way
@pytest.mark.parametrize("method", ["setup", "data_received", "eof_received", "finish"])
@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit])
def test_p4_when_a_method_raises_what_is_no_exception_then_the_server_stops_with_it(
    way: str, method: str, error: type[BaseException]
) -> None:
    """Bare, with every connection closed and counted."""

    class Handler(Commands):
        def stop(self, *_: object) -> None:
            raise error

    setattr(Handler, method, Handler.stop)

    async def talk(server: Any, connect: Connect) -> None:
        with contextlib.suppress(OSError, trio.BrokenResourceError):
            async with await connect() as client:
                await client.send_all(b"x\n")
                await half_close(client)
                await receive_all(client)
                await trio.sleep_forever()

    with pytest.raises((error, BaseExceptionGroup)) as caught:
        play(way, Handler, talk, grace_period=None)
    stopped: BaseException = caught.value
    while way == "network" and isinstance(stopped, BaseExceptionGroup):  # the nursery there is the test's
        (stopped,) = stopped.exceptions
    assert type(stopped) is error


@every_way
@pytest.mark.parametrize("sent", [b"", b"half a line"])
def test_when_the_client_resets_then_that_is_no_error_of_the_servers(way: str, sent: bytes) -> None:
    """Before the first byte, or in the middle: ``finish``, and what `is_peers_doing` takes for that."""

    class Handler(Commands):
        pass

    async def talk(server: Any, connect: Connect) -> None:
        client = await connect()
        if sent:
            await client.send_all(sent)
        await until(
            lambda: server.requests and server.requests[0].bytes_received == len(sent) and Handler.all
        )
        if way == "in place unix":
            client.socket.close()
        else:
            await reset(client)
        await until(lambda: not server.requests)

    server = play(way, Handler, talk)
    assert [handler.finished for handler in Handler.all] == [1]
    if way != "in place unix":
        (error,) = server.errors
        assert isinstance(error, trio.BrokenResourceError)
        assert outcomes(server) == ["failed"]


@every_way
def test_close_when_called_by_a_method_then_ends_after_what_was_written(way: str) -> None:
    """What came after is dropped, and writing is an error from then on."""

    class Handler(Commands):
        pass

    async def talk(server: Any, connect: Connect) -> None:
        async with await connect() as client:
            await client.send_all(b"echo\nclose\nmore\n")
            assert await receive_all(client) == b"echo\nbye\n"
        await until(lambda: not server.requests)
        with pytest.raises(trio.ClosedResourceError):
            Handler.all[0].write(b"late")
        Handler.all[0].close()

    server = play(way, Handler, talk)
    assert outcomes(server) == ["finished"]
    assert [handler.finished for handler in Handler.all] == [1]


@every_way
@pytest.mark.parametrize("at_once", [False, True])
def test_close_when_called_from_another_task_then_the_connection_ends(way: str, at_once: bool) -> None:
    """Nothing has to come from the client for that; with ``request.close()`` it ends at once."""

    class Handler(Commands):
        pass

    async def talk(server: Any, connect: Connect) -> None:
        async with await connect() as client:
            await until(lambda: Handler.all)
            await trio.testing.wait_all_tasks_blocked()
            (handler,) = Handler.all
            if at_once:
                handler.request.close()
            else:
                handler.write(b"bye")
                handler.close()
                with pytest.raises(trio.ClosedResourceError):
                    handler.write(b"more")
            with contextlib.suppress(trio.BrokenResourceError):
                assert await receive_all(client) == (b"" if at_once else b"bye")
            await until(lambda: not server.requests)

    server = play(way, Handler, talk)
    assert outcomes(server) == ["finished"]
    assert [handler.finished for handler in Handler.all] == [1]


@every_way
@pytest.mark.parametrize("where", ["setup", "data_received", "eof_received"])
def test_request_close_in_a_method_then_that_is_no_error(way: str, where: str) -> None:
    """Nothing is made of what came after it, nor of what was written before."""
    late: list[str] = []

    class Handler(Commands):
        def setup(self) -> None:
            super().setup()
            if where == "setup":
                self.request.close()

        def data_received(self, data: bytes) -> None:
            super().data_received(data)
            if where == "data_received":
                self.request.close()

        def eof_received(self) -> None:
            self.request.close()

        def finish(self) -> None:
            super().finish()
            try:
                self.write(b"late")
            except trio.ClosedResourceError as error:
                late.append(type(error).__name__)

    async def talk(server: Any, connect: Connect) -> None:
        async with await connect() as client:
            with contextlib.suppress(trio.BrokenResourceError):
                await client.send_all(b"one\ntwo\n")
                await half_close(client)
                await receive_all(client)
            await until(lambda: not server.requests)

    server = play(way, Handler, talk)
    assert server.errors == []
    assert outcomes(server) == ["finished"]
    assert late == ["ClosedResourceError"]


@every_way
def test_close_in_setup_then_the_connection_ends(way: str) -> None:
    """After the greeting."""

    class Handler(trioserver.CallbackRequestHandler):
        def setup(self) -> None:
            self.write(b"too many")
            self.close()

    async def talk(server: Any, connect: Connect) -> None:
        async with await connect() as client:
            assert await receive_all(client) == b"too many"

    assert outcomes(play(way, Handler, talk, grace_period=None)) == ["finished"]


@every_way
def test_p4_request_close_in_the_constructor_then_that_connection_ends_and_no_other(way: str) -> None:
    """As in any method."""
    made: list[Any] = []

    class Handler(Commands):
        def __init__(self, request: Any, client_address: Any, server: Any) -> None:
            super().__init__(request, client_address, server)
            made.append(self)
            if len(made) == 1:
                self.request.close()

    async def talk(server: Any, connect: Connect) -> None:
        async with await connect() as client:
            with contextlib.suppress(trio.BrokenResourceError):
                assert await receive_all(client) == b""
        async with await connect() as client:
            await client.send_all(b"echo\n")
            assert await receive_exactly(client, 5) == b"echo\n"

    server = play(way, Handler, talk, grace_period=None)
    assert server.errors == []
    assert outcomes(server) == ["finished", "finished"]


@every_way
def test_write_in_the_constructor_then_all_of_it_is_sent(way: str) -> None:
    """Also where there is no room for it at once."""

    class Handler(Commands):
        max_unsent_bytes = 20_000_000

        def __init__(self, request: Any, client_address: Any, server: Any) -> None:
            super().__init__(request, client_address, server)
            self.write(bytes(20_000_000))

    async def talk(server: Any, connect: Connect) -> None:
        async with await connect() as client:
            assert await receive_exactly(client, 20_000_000) == bytes(20_000_000)
            await client.send_all(b"echo\n")
            assert await receive_exactly(client, 5) == b"echo\n"

    server = play(way, Handler, talk, grace_period=None)
    assert server.errors == []


@every_way
def test_eof_received_when_it_does_not_close_then_the_handler_goes_on_writing(way: str) -> None:
    """Until it closes; meanwhile the end is not told again."""
    ends: list[Any] = []

    class Handler(trioserver.CallbackRequestHandler):
        def eof_received(self) -> None:
            ends.append(self)

    async def talk(server: Any, connect: Connect) -> None:
        async with await connect() as client:
            await half_close(client)
            await until(lambda: ends)
            await trio.testing.wait_all_tasks_blocked()
            ends[0].write(b"late ")
            assert await receive_exactly(client, 5) == b"late "
            ends[0].write(b"reply")
            ends[0].close()
            assert await receive_all(client) == b"reply"

    server = play(way, Handler, talk, grace_period=None)
    assert outcomes(server) == ["finished"]
    assert len(ends) == 1


@every_way
def test_eof_received_when_much_is_unsent_then_the_client_gets_all_of_it(way: str) -> None:
    """A client that half-closes and reads late."""
    reply = b"r" * 900_000

    class Handler(trioserver.CallbackRequestHandler):
        delimiter = b"\n"

        def data_received(self, data: bytes) -> None:
            self.write(reply)

    async def talk(server: Any, connect: Connect) -> None:
        async with await connect() as client:
            await client.send_all(b"get\n" * 8)
            await half_close(client)
            await trio.testing.wait_all_tasks_blocked()
            assert len(await receive_all(client)) == 8 * len(reply)

    assert outcomes(play(way, Handler, talk, grace_period=None)) == ["finished"]


@every_way
def test_p1_when_a_request_is_cancelled_then_it_ends_and_no_other(way: str) -> None:
    """``finish`` is called once, and may say goodbye."""

    class Handler(Commands):
        def finish(self) -> None:
            super().finish()
            self.write(b"cancelled")

    async def talk(server: Any, connect: Connect) -> None:
        async with await connect() as first, await connect() as second:
            for client in (first, second):
                await client.send_all(b"echo\n")
                assert await receive_exactly(client, 5) == b"echo\n"
            server.requests[0].cancel()
            with contextlib.suppress(trio.BrokenResourceError):
                assert await receive_all(first) == b"cancelled"
            await second.send_all(b"echo\n")
            assert await receive_exactly(second, 5) == b"echo\n"
            assert len(server.requests) == 1
            await half_close(second)
            await until(lambda: not server.requests)

    server = play(way, Handler, talk)
    assert outcomes(server) == ["cancelled", "finished"]
    assert [handler.finished for handler in Handler.all] == [1, 1]


@every_way
def test_drain_when_nothing_is_begun_then_the_connection_ends_at_once(way: str) -> None:
    """And half a line, or a handler that is busy, has the grace period; a push may end it."""

    class Handler(Commands):
        pass

    async def talk(server: Any, connect: Connect) -> None:
        async with await connect() as idle, await connect() as half, await connect() as busy:
            await idle.send_all(b"echo\n")
            assert await receive_exactly(idle, 5) == b"echo\n"
            await half.send_all(b"half a ")
            await busy.send_all(b"busy\n")
            await until(lambda: server.statistics().bytes_received == 17)
            server.request_shutdown(None)
            await until(lambda: len(server.requests) == 2)
            assert await receive_all(idle) == b""
            await trio.testing.wait_all_tasks_blocked()
            assert len(server.requests) == 2
            await half.send_all(b"line\n")
            assert await receive_all(half) == b"half a line\n"
            (handler,) = (handler for handler in Handler.all if handler.busy)
            handler.write(b"done")
            handler.busy = False
            assert await receive_all(busy) == b"done"

    server = play(way, Handler, talk, grace_period=None)
    assert outcomes(server) == ["finished"] * 3


@every_way
def test_p5_when_the_grace_period_is_over_then_what_is_begun_is_cancelled(way: str) -> None:
    """Whatever the clients do."""

    class Handler(Commands):
        pass

    async def talk(server: Any, connect: Connect) -> None:
        async with await connect() as half:
            await half.send_all(b"half a ")
            await until(lambda: server.statistics().bytes_received == 7)
            server.request_shutdown(0.01)
            with contextlib.suppress(trio.BrokenResourceError):
                assert await receive_all(half) == b""
            await until(lambda: not server.requests)

    server = play(way, Handler, talk, grace_period=None)
    assert outcomes(server) == ["cancelled"]
    assert [handler.finished for handler in Handler.all] == [1]


@every_way
def test_request_shutdown_when_called_by_a_method_then_the_server_stops(way: str) -> None:
    """In the middle of serving others."""

    class Handler(Commands):
        def data_received(self, data: bytes) -> None:
            self.server.request_shutdown()

    async def talk(server: Any, connect: Connect) -> None:
        clients = [await connect() for _ in range(5)]
        for client in clients:
            with contextlib.suppress(trio.BrokenResourceError, OSError):
                await client.send_all(b"stop\n")
        await until(lambda: not server.requests)
        for client in clients:
            with contextlib.suppress(trio.BrokenResourceError):
                await client.aclose()

    play(way, Handler, talk)
    assert [handler.finished for handler in Handler.all] == [1] * len(Handler.all)


@every_way
@pytest.mark.parametrize("how", ["cancel", "close", "end"])
def test_when_a_method_ends_the_others_then_what_was_ready_for_them_does_not_matter(
    way: str, how: str
) -> None:
    """Their events are old news then."""

    class Handler(Commands):
        def data_received(self, data: bytes) -> None:
            for record in self.server.requests:
                if how == "cancel":
                    record.cancel()
                elif how == "close":
                    record.request.close()
            if how == "end":
                for handler in self.all:
                    handler.close()

    async def talk(server: Any, connect: Connect) -> None:
        clients = [await connect() for _ in range(5)]
        await until(lambda: len(Handler.all) == 5)
        for client in clients:
            with contextlib.suppress(trio.BrokenResourceError, OSError):
                await client.send_all(b"all\n")
        await until(lambda: all(handler.finished for handler in Handler.all))
        for client in clients:
            with contextlib.suppress(trio.BrokenResourceError):
                await client.aclose()
        await until(lambda: not server.requests)

    server = play(way, Handler, talk)
    assert outcomes(server) == ["cancelled" if how == "cancel" else "finished"] * 5
    assert [handler.finished for handler in Handler.all] == [1] * 5


@every_way
@pytest.mark.parametrize(("sent", "expected"), [(b"", "IDLE"), (b"half a ", "WAIT"), (b"busy\n", None)])
def test_timeout_when_nothing_comes_then_the_connection_ends(
    way: str, sent: bytes, expected: str | None
) -> None:
    """Between two lines as after ``wait_request()``, in one with StreamTimeout; not while it is busy."""

    class Handler(Commands):
        timeout = 0.05

    async def talk(server: Any, connect: Connect) -> None:
        async with await connect() as client:
            await client.send_all(b"echo\n" + sent)
            assert await receive_exactly(client, 5) == b"echo\n"
            if expected is None:
                await trio.sleep(0.12)
                assert len(server.requests) == 1
                Handler.all[0].busy = False
            assert await receive_all(client) == b""

    server = play(way, Handler, talk, grace_period=None)
    (ended,) = server.ended()
    assert [timeout.name for timeout in ended.timeouts] == [expected or "IDLE"]
    assert [type(error) for error in server.errors] == [trioserver.StreamTimeout] * (expected == "WAIT")
    assert outcomes(server) == ["failed" if expected == "WAIT" else "finished"]


@every_way
def test_timeout_when_the_client_does_not_read_then_the_connection_ends(way: str) -> None:
    """In the middle of a reply, with StreamTimeout."""

    class Handler(trioserver.CallbackRequestHandler):
        timeout = 0.05
        max_unsent_bytes = 50_000_000

        def data_received(self, data: bytes) -> None:
            self.write(bytes(50_000_000))

    async def talk(server: Any, connect: Connect) -> None:
        async with await connect() as client:
            await client.send_all(b"get\n")
            await until(lambda: server.statistics().failed == 1)

    server = play(way, Handler, talk, linger_timeout=0)
    assert [type(error) for error in server.errors] == [trioserver.StreamTimeout]
    assert [timeout.name for timeout in server.ended()[0].timeouts] == ["WAIT"]


@every_way
def test_request_timeout_when_a_connection_lasts_too_long_then_it_is_cancelled(way: str) -> None:
    """The event says why."""

    class Handler(Commands):
        pass

    async def talk(server: Any, connect: Connect) -> None:
        async with await connect() as client:
            with contextlib.suppress(trio.BrokenResourceError):
                assert await receive_all(client) == b""
            await until(lambda: not server.requests)

    server = play(way, Handler, talk, request_timeout=0.05)
    assert outcomes(server) == ["cancelled"]
    assert server.ended()[0].timeouts[0] is trioserver.Timeout.REQUEST
    assert [handler.finished for handler in Handler.all] == [1]
