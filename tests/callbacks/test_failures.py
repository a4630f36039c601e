"""What fails ends one connection with a callback handler, and no other; in every way to serve."""

from __future__ import annotations

import contextlib
from typing import Any

import pytest
import trio
import trio.testing
from harness import receive_all, receive_exactly

import trioserver

from .kit import Commands, Connect, every_way, half_close, outcomes, play, reset, until


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
