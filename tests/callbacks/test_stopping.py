"""Cancelling, draining and timeouts of connections with callback handlers; in every way to serve."""

from __future__ import annotations

import contextlib
import os
from typing import Any

import pytest
import trio
import trio.testing
from harness import receive_all, receive_exactly

import trioserver

from .kit import Commands, Connect, every_way, half_close, outcomes, play, until


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


@pytest.mark.parametrize("way", ["in place", "in place unix", "portable", "hook"])
@pytest.mark.parametrize("how", ["close", "end"])
@pytest.mark.parametrize("cut", [b"\n", None])
def test_close_when_a_method_of_another_calls_it_then_what_has_come_is_dropped(
    way: str, how: str, cut: bytes | None
) -> None:
    """Also what became ready in the same moment: a reply to it would be a write after ``close``."""
    calls: list[Any] = []

    class Handler(Commands):
        delimiter = cut  # type: ignore[assignment]

        def data_received(self, data: bytes) -> None:
            calls.append(self)
            for handler in self.all:
                if handler is not self and how == "end":
                    handler.close()
                elif handler is not self:
                    handler.request.close()

    async def talk(server: Any, connect: Connect) -> None:
        clients = [await connect() for _ in range(5)]
        await until(lambda: len(Handler.all) == 5)
        for client in clients:
            os.write(client.socket.fileno(), b"all\n")  # no checkpoint in between: all of it comes at once
        await until(lambda: len(server.requests) == 1)
        for client in clients:
            with contextlib.suppress(trio.BrokenResourceError):
                await client.aclose()
        await until(lambda: not server.requests)

    server = play(way, Handler, talk)
    assert server.errors == []
    assert len(calls) == 1
    assert outcomes(server) == ["finished"] * 5


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
